/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "table.h"

#include <assert.h>
#include <errno.h>

#include "name_hash.h"

#define BUCKETS_MIN 512
#define LOAD 4 /* names a bucket at which the table doubles: 5 % of buckets then overflow */
#define LOAD_MAX 16 /* without memory for a larger one: two further buckets each */

/* A word set aside: no reader takes it for an entry, since its ref is 0. */
#define RESERVED (UINT64_C(0xffffffff) << 32)

static uint64_t buckets_for(uint64_t names)
{
	uint64_t n = BUCKETS_MIN;

	while (n * LOAD < names)
		n *= 2;
	return n;
}

static struct table *table_new(struct arena *a, uint64_t buckets)
{
	size_t size = sizeof(struct table) + buckets * sizeof(struct bucket);
	ref r = arena_alloc(a, size);

	if (!r)
		return NULL;
	struct table *t = (struct table *)arena_at((uint8_t *)arena_head(a), r);

	memset(t, 0, size);
	t->mask = buckets - 1;
	return t;
}

static ref ref_of(const struct table_writer *w, const void *p)
{
	return (ref)((size_t)((const uint8_t *)p - w->base) / ARENA_UNIT);
}

/* The first free word of the hash's buckets; a further bucket is added if there is
 * none.  NULL when the arena is full. */
static _Atomic uint64_t *free_word(struct table_writer *w, struct table *t, uint64_t hash)
{
	for (struct bucket *b = &t->bucket[hash & t->mask];;) {
		for (unsigned i = 0; i < BUCKET_WORDS; i++)
			if (!atomic_load_explicit(&b->word[i], memory_order_relaxed))
				return &b->word[i];

		ref more = (ref)atomic_load_explicit(&b->more, memory_order_relaxed);

		if (!more) {
			more = arena_alloc(w->arena, sizeof(*b));
			if (!more)
				return NULL;
			memset((void *)arena_at(w->base, more), 0, sizeof(*b));
			atomic_store_explicit(&b->more, more, memory_order_release); /* L */
		}
		b = (struct bucket *)arena_at(w->base, more);
	}
}

/* Call fn for the refs of all further buckets. */
static int each_more(const struct table_writer *w, const struct table *t,
		     int (*fn)(void *, ref), void *arg)
{
	for (uint64_t i = 0; i <= t->mask; i++) {
		ref more = (ref)atomic_load_explicit(&t->bucket[i].more, memory_order_relaxed);

		while (more) {
			const struct bucket *b = arena_at(w->base, more);
			ref next = (ref)atomic_load_explicit(&b->more, memory_order_relaxed);
			int err = fn(arg, more);

			if (err)
				return err;
			more = next;
		}
	}
	return 0;
}

static int free_one(void *arg, ref r)
{
	arena_free(arg, r);
	return 0;
}

static int list_one(void *arg, ref r)
{
	struct ref_list *l = arg;

	if (ref_list_reserve(l, 1))
		return -ENOMEM;
	l->ref[l->cnt++] = r;
	return 0;
}

static void publish(struct table_writer *w, struct table *t)
{
	w->table = t;
	atomic_store_explicit(&arena_head(w->arena)->table, ref_of(w, t),
			      memory_order_release); /* T */
}

int table_create(struct table_writer *w, struct arena *a)
{
	struct table *t = table_new(a, BUCKETS_MIN);

	if (!t)
		return -ENOSPC;
	*w = (struct table_writer){ .arena = a, .base = (uint8_t *)arena_head(a),
				    .secret = arena_head(a)->secret };
	publish(w, t);
	return 0;
}

static int copy_chains(struct table_writer *w, struct table *to, const struct bucket *b)
{
	for (;;) {
		for (unsigned i = 0; i < BUCKET_WORDS; i++) {
			uint64_t word = atomic_load_explicit(&b->word[i], memory_order_relaxed);

			if (!(ref)word)
				continue;
			const struct node *n = arena_at(w->base, (ref)word);
			uint64_t hash = name_hash(w->secret, n->name, n->name_len);
			_Atomic uint64_t *slot = free_word(w, to, hash);

			if (!slot)
				return -ENOSPC;
			atomic_store_explicit(slot, word, memory_order_relaxed);
		}
		uint64_t more = atomic_load_explicit(&b->more, memory_order_relaxed);

		if (!more)
			return 0;
		b = arena_at(w->base, (ref)more);
	}
}

/* Puts a table of so many buckets in place of the present one.  0, -ENOSPC or -ENOMEM: nothing
 * changed. */
static int rebuild(struct table_writer *w, uint64_t buckets, struct ref_list *old)
{
	uint64_t now = w->table->mask + 1;
	struct table *t = table_new(w->arena, buckets);
	size_t listed = old->cnt;
	int err = t ? 0 : -ENOSPC;

	for (uint64_t i = 0; !err && i < now; i++)
		err = copy_chains(w, t, &w->table->bucket[i]);
	if (!err)
		err = each_more(w, w->table, list_one, old);
	if (!err)
		err = list_one(old, ref_of(w, w->table));
	if (err) {
		old->cnt = listed;
		if (t) {
			each_more(w, t, free_one, w->arena);
			arena_free(w->arena, ref_of(w, t));
		}
		return err;
	}
	publish(w, t);
	return 0;
}

static uint64_t octets_used(const struct table_writer *w)
{
	struct arena_usage u;

	arena_usage(w->arena, &u);
	return u.used;
}

/* The largest table that fits, of at most `buckets`. */
static int grow(struct table_writer *w, uint64_t names, uint64_t buckets, struct ref_list *old)
{
	uint64_t now = w->table->mask + 1, n = buckets;
	int err = rebuild(w, n, old);

	while (err == -ENOSPC && n / 2 > now && names <= n / 2 * LOAD_MAX) {
		n /= 2;
		err = rebuild(w, n, old);
	}
	if (err == -ENOSPC && names <= now * LOAD_MAX)
		err = 0;
	if (!err)
		w->full_at = w->table->mask + 1 < buckets ? octets_used(w) : 0;
	return err;
}

/* Has so little become free since a larger one did not fit that another attempt, which may cost as
 * much as one that succeeds, is not worth it? */
static bool still_full(const struct table_writer *w)
{
	return octets_used(w) + (w->table->mask + 1) * sizeof(struct bucket) > w->full_at;
}

int table_resize(struct table_writer *w, uint64_t names, struct ref_list *old)
{
	uint64_t buckets = buckets_for(names), now = w->table->mask + 1;

	assert(w->reserved == 0);
	if (buckets > now)
		return table_crowded(w) && names <= now * LOAD_MAX && still_full(w) ? 0 :
		       grow(w, names, buckets, old);
	w->full_at = 0;
	/* Shrinking waits until a quarter would do, so that no size is left at once.  Without memory
	 * for it the table stays. */
	if (buckets * 4 <= now)
		rebuild(w, buckets * 2, old);
	return 0;
}

_Atomic uint64_t *table_slot(struct table_writer *w, uint64_t hash, const uint8_t *name,
			     size_t len)
{
	for (struct bucket *b = &w->table->bucket[hash & w->table->mask];;) {
		for (unsigned i = 0; i < BUCKET_WORDS; i++) {
			uint64_t word = atomic_load_explicit(&b->word[i], memory_order_relaxed);

			if (word >> 32 != hash >> 32 || !(ref)word)
				continue;
			const struct node *n = arena_at(w->base, (ref)word);

			if (n->name_len == len && memcmp(n->name, name, len) == 0)
				return &b->word[i];
		}
		ref more = (ref)atomic_load_explicit(&b->more, memory_order_relaxed);

		if (!more)
			return NULL;
		b = (struct bucket *)arena_at(w->base, more);
	}
}

int table_reserve(struct table_writer *w, uint64_t hash)
{
	_Atomic uint64_t *word = free_word(w, w->table, hash);

	if (!word)
		return -ENOSPC;
	atomic_store_explicit(word, RESERVED, memory_order_relaxed);
	w->reserved++;
	return 0;
}

/* One of the words set aside in the hash's buckets. */
static _Atomic uint64_t *reserved_word(struct table_writer *w, uint64_t hash)
{
	for (struct bucket *b = &w->table->bucket[hash & w->table->mask];;) {
		for (unsigned i = 0; i < BUCKET_WORDS; i++)
			if (atomic_load_explicit(&b->word[i], memory_order_relaxed) == RESERVED)
				return &b->word[i];
		ref more = (ref)atomic_load_explicit(&b->more, memory_order_relaxed);

		assert(more);
		b = (struct bucket *)arena_at(w->base, more);
	}
}

void table_unreserve(struct table_writer *w, uint64_t hash)
{
	atomic_store_explicit(reserved_word(w, hash), 0, memory_order_relaxed);
	w->reserved--;
}

void table_insert(struct table_writer *w, uint64_t hash, ref node)
{
	_Atomic uint64_t *word = reserved_word(w, hash);

	w->reserved--;
	w->names++;
	atomic_store_explicit(word, hash >> 32 << 32 | node, memory_order_release); /* L */
}

void table_remove(struct table_writer *w, _Atomic uint64_t *slot)
{
	w->names--;
	/* Nothing to order: who still sees the entry finds its memory whole. */
	atomic_store_explicit(slot, 0, memory_order_relaxed);
}
