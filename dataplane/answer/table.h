/* SPDX-License-Identifier: GPL-3.0-or-later */
/* table.h - the hash table in front of the zones' trees, in the arena: from a
 * canonical owner name to the chain of its nodes, one for each zone that knows it.
 *
 * A bucket is one cache line: seven entries and a link to a further bucket.  An entry
 * is one 64-bit word, tag << 32 | ref, so one store publishes or removes it.  A
 * name's bucket comes from the lower half of its hash, its tag from the upper.
 * Entries never move within a table; growing builds another table beside it.
 *
 * Readers: any number, any process, no locks.  Writer: one thread.  The edges are
 * in db_protocol.h.
 */
#ifndef POLLUX_TABLE_H
#define POLLUX_TABLE_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#include "arena.h"
#include "node.h"
#include "stage.h"

#define BUCKET_WORDS 7

struct bucket {
	alignas(64) _Atomic uint64_t word[BUCKET_WORDS];
	_Atomic uint64_t more;      /* ref of a further bucket, or 0 */
};

struct table {
	alignas(64) uint64_t mask;  /* buckets - 1 */
	struct bucket bucket[];
};

static_assert(sizeof(struct bucket) == 64, "a miss costs one cache line");

static inline const struct table *table_current(const uint8_t *base)
{
	return arena_at(base, atomic_load_explicit(&((const struct arena_head *)base)->table,
						   memory_order_acquire)); /* T */
}

static inline const struct bucket *table_bucket(const struct table *t, uint64_t hash)
{
	return &t->bucket[hash & t->mask];
}

/* table_candidate - the first node whose tag fits, from the name's first bucket, or
 * 0; for prefetching.  The name is not compared. */
static inline ref table_candidate(const struct table *t, uint64_t hash)
{
	const struct bucket *b = table_bucket(t, hash);

	for (unsigned i = 0; i < BUCKET_WORDS; i++) {
		uint64_t w = atomic_load_explicit(&b->word[i], memory_order_acquire); /* L */

		if (w >> 32 == hash >> 32)
			return (ref)w;
	}
	return 0;
}

/* table_find - the first node of the name's chain, or NULL.  name is folded. */
static inline const struct node *table_find(const uint8_t *base, const struct table *t,
					    uint64_t hash, const uint8_t *name, size_t len)
{
	for (const struct bucket *b = table_bucket(t, hash);;) {
		for (unsigned i = 0; i < BUCKET_WORDS; i++) {
			uint64_t w = atomic_load_explicit(&b->word[i], memory_order_acquire); /* L */

			if (w >> 32 != hash >> 32 || !(ref)w)
				continue;
			const struct node *n = arena_at(base, (ref)w);

			if (n->name_len == len && memcmp(n->name, name, len) == 0)
				return n;
		}
		uint64_t more = atomic_load_explicit(&b->more, memory_order_acquire); /* L */

		if (!more)
			return NULL;
		b = arena_at(base, (ref)more);
	}
}

/* ---- writer ---- */

/* The writer's private account of the current table. */
struct table_writer {
	struct arena *arena;
	uint8_t *base;
	const uint8_t *secret;
	struct table *table;
	uint64_t names;      /* chains in the table */
	uint64_t reserved;   /* slots set aside by table_reserve */
};

/* table_create - an empty table, published.  0 or -ENOSPC. */
int table_create(struct table_writer *w, struct arena *a);

/* table_resize - make the table the right size for `names` chains if it is too
 * small for them or far too big; the old one goes to `old` to be freed when its
 * readers are gone.  0, -ENOSPC (nothing changed), -ENOMEM. */
int table_resize(struct table_writer *w, uint64_t names, struct ref_list *old);

/* table_slot - the word that holds the name's chain, or NULL. */
_Atomic uint64_t *table_slot(struct table_writer *w, uint64_t hash, const uint8_t *name,
			     size_t len);

/* table_reserve - set a slot aside in the hash's bucket, so that table_insert
 * cannot fail.  0 or -ENOSPC.  table_unreserve gives one back. */
int table_reserve(struct table_writer *w, uint64_t hash);
void table_unreserve(struct table_writer *w, uint64_t hash);

/* table_insert - publish a new chain in a reserved slot. */
void table_insert(struct table_writer *w, uint64_t hash, ref node);

/* table_remove - take the chain in this slot out. */
void table_remove(struct table_writer *w, _Atomic uint64_t *slot);

/* table_prefetch_bucket - for bulk work. */
static inline void table_prefetch_bucket(const struct table *t, uint64_t hash)
{
	__builtin_prefetch(table_bucket(t, hash));
}

#endif
