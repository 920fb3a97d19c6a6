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

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "arena.h"
#include "node.h"
#include "octets.h"
#include "stage.h"

#ifdef __has_feature /* clang's way of saying it */
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

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

/* bucket_match - which words have the hash's tag: bit i for word i.
 *
 * A hint where to look: the words are read again, one by one, as the atomics that they are.
 * For what is not found it is more.  Each half of a word is read whole, and after the
 * load of the version that came before (edge V), so a name of that version is among them.
 */
static inline unsigned bucket_match(const struct bucket *b, uint64_t hash)
{
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
	const __m128 *p = (const void *)b; /* two words each; their upper halves are gathered */
	__m128i tag = _mm_set1_epi32((int)(hash >> 32));
	__m128i low = _mm_castps_si128(_mm_shuffle_ps(p[0], p[1], _MM_SHUFFLE(3, 1, 3, 1)));
	__m128i high = _mm_castps_si128(_mm_shuffle_ps(p[2], p[3], _MM_SHUFFLE(3, 1, 3, 1)));
	__m128i same = _mm_packs_epi32(_mm_cmpeq_epi32(low, tag), _mm_cmpeq_epi32(high, tag));

	return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(same, _mm_setzero_si128())) &
	       ((1u << BUCKET_WORDS) - 1);
#else
	unsigned match = 0;

	for (unsigned i = 0; i < BUCKET_WORDS; i++)
		if (atomic_load_explicit(&b->word[i], memory_order_acquire) >> 32 == hash >> 32)
			match |= 1u << i;
	return match;
#endif
}

/* bucket_ref - the node in the lowest word of `match` (not 0), if the word still has the
 * hash's tag; or 0. */
static inline ref bucket_ref(const struct bucket *b, uint64_t hash, unsigned match)
{
	uint64_t w = atomic_load_explicit(&b->word[__builtin_ctz(match)], memory_order_acquire); /* L */

	return w >> 32 == hash >> 32 ? (ref)w : 0;
}

/* table_candidate - the first node whose tag fits, from the name's first bucket, or
 * 0; for prefetching.  The name is not compared.  *absent: the bucket says that the name is
 * not in the table. */
static inline ref table_candidate(const struct table *t, uint64_t hash, bool *absent)
{
	const struct bucket *b = table_bucket(t, hash);
	unsigned match = bucket_match(b, hash);

	*absent = !match && !atomic_load_explicit(&b->more, memory_order_acquire); /* L */
	return match ? bucket_ref(b, hash, match) : 0;
}

/* table_find - the first node of the name's chain, or NULL.  name is folded. */
static inline const struct node *table_find(const uint8_t *base, const struct table *t,
					    uint64_t hash, const uint8_t *name, size_t len)
{
	for (const struct bucket *b = table_bucket(t, hash);;) {
		for (unsigned m = bucket_match(b, hash); m; m &= m - 1) {
			ref r = bucket_ref(b, hash, m);

			if (!r)
				continue;
			const struct node *n = arena_at(base, r);

			if (n->name_len == len && octets_same(n->name, name, len))
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
	uint64_t full_at;    /* octets of the arena in use when a larger one did not fit; 0: it is large enough */
};

/* table_create - an empty table, published.  0 or -ENOSPC. */
int table_create(struct table_writer *w, struct arena *a);

/* table_resize - make the table the right size for `names` chains if it is too
 * small for them or far too big; the old one goes to `old` to be freed when its
 * readers are gone.  One that is too big stays when there is no memory for another; for one that
 * is too small the largest that fits is taken, or it stays, as long as that has room for the
 * chains at a bearable cost (table_crowded then).
 * 0, -ENOSPC (nothing changed), -ENOMEM. */
int table_resize(struct table_writer *w, uint64_t names, struct ref_list *old);

/* table_crowded - are there fewer buckets than there should be, for want of memory?  Then finding a name
 * takes up to some three cache lines instead of one. */
static inline bool table_crowded(const struct table_writer *w)
{
	return w->full_at > 0;
}

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
