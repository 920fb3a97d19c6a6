/* SPDX-License-Identifier: GPL-3.0-or-later */
/* records.c - a growing list of resource records; see records.h. */
#include "records.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "name.h"
#include "pages.h"
#include "rrtype.h"

#define CHUNK_MIN ((size_t)16 << 10) /* octets; each further chunk is twice as big ... */
#define CHUNK_MAX (4 * PAGES_HUGE)   /* ... up to this */
#define AHEAD     8                  /* owners between the fetch of octets and their use */

struct records_chunk {
	struct records_chunk *next;
	size_t used, size; /* octets of data[], and of all */
	uint8_t data[];
};

/* chunk_reserve - room for len octets at the end of the newest chunk; the caller
 * adds what it takes to `used`.  NULL when memory has ended. */
static uint8_t *chunk_reserve(struct records_chunk **list, size_t len)
{
	struct records_chunk *c = *list;

	if (!c || c->size - sizeof(*c) - c->used < len) {
		size_t size = c ? c->size * 2 : CHUNK_MIN;

		if (size > CHUNK_MAX)
			size = CHUNK_MAX;
		if (size < sizeof(*c) + len)
			size = sizeof(*c) + len;
		c = pages_alloc(size);
		if (!c)
			return NULL;
		c->next = *list;
		c->used = 0;
		c->size = size;
		*list = c;
	}
	return c->data + c->used;
}

static void chunk_free_all(struct records_chunk *list)
{
	while (list) {
		struct records_chunk *next = list->next;

		pages_free(list, list->size);
		list = next;
	}
}

void records_init(struct records *rs)
{
	memset(rs, 0, sizeof(*rs));
}

void records_clear(struct records *rs)
{
	if (rs->chunk) {
		chunk_free_all(rs->chunk->next);
		rs->chunk->next = NULL;
		rs->chunk->used = 0;
	}
	rs->cnt = rs->octets = 0;
	rs->last_owner = NULL;
	rs->sorted = false;
}

void records_free(struct records *rs)
{
	chunk_free_all(rs->chunk);
	pages_free(rs->rr, rs->cap * sizeof(*rs->rr));
	records_init(rs);
}

int records_add(struct records *rs, const uint8_t *owner, uint16_t type,
		uint32_t ttl, const uint8_t *rdata, uint16_t rdata_len,
		uint16_t file, uint32_t line)
{
	uint8_t folded[NAME_MAX_LEN + 16];
	size_t owner_len = name_wire_len(owner);

	octets_fold_copy(folded, owner, owner_len, 0);

	bool repeats = rs->last_owner && rs->last_owner_len == owner_len &&
		       octets_same(folded, rs->last_owner, owner_len);
	size_t len = (repeats ? 0 : owner_len) + rdata_len;

	if (rs->cnt == rs->cap) {
		size_t cap = rs->cap ? rs->cap * 2 : 64;
		struct record *rr = pages_resize(rs->rr, rs->cap * sizeof(*rr), cap * sizeof(*rr));

		if (!rr)
			return -ENOMEM;
		rs->rr = rr;
		rs->cap = cap;
	}
	uint8_t *data = chunk_reserve(&rs->chunk, len);

	if (!data)
		return -ENOMEM;
	rs->chunk->used += len;
	rs->octets += len;
	if (!repeats) {
		octets_copy(data, folded, owner_len);
		rs->last_owner = data;
		rs->last_owner_len = owner_len;
		data += owner_len;
	}
	if (rdata_len > 0)
		memcpy(data, rdata, rdata_len);
	rs->rr[rs->cnt++] = (struct record){
		.owner = rs->last_owner, .rdata = data, .ttl = ttl, .line = line,
		.type = type, .rdata_len = rdata_len, .file = file,
	};
	rs->sorted = false;
	return 0;
}

/* Neighbouring records with one owner pointer, as one thing to sort. */
struct run {
	const uint8_t *key; /* name_key of the owner */
	uint32_t key_len;
	uint32_t cnt;       /* records */
	size_t first;       /* index of the first */
};

/* What is moved about instead of a run: its key's first octets past what all keys share,
 * big-endian, and its index. */
struct place {
	uint64_t prefix;
	size_t at;
};

/* A run in its place.  As big as a struct place, so that it can follow one in memory. */
struct span {
	size_t first;
	uint32_t cnt;
	bool same;          /* of the owner of the one before */
};

static_assert(sizeof(struct span) <= sizeof(struct place), "spans fit where places were");

static int run_cmp(const struct run *a, const struct run *b)
{
	uint32_t common = a->key_len < b->key_len ? a->key_len : b->key_len;
	int order = memcmp(a->key, b->key, common);

	return order ? order : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

static int place_cmp(const void *x, const void *y, void *arg)
{
	const struct place *a = x, *b = y;
	const struct run *run = arg;

	return run_cmp(&run[a->at], &run[b->at]);
}

/* runs_find - the runs of rs, of which there are *cnt and room for *room, with their keys in *keys.
 * NULL when memory has ended. */
static struct run *runs_find(const struct records *rs, size_t *cnt, size_t *room,
			     struct records_chunk **keys)
{
	size_t runs = 0;

	for (size_t i = 0; i < rs->cnt; i++)
		runs += i == 0 || rs->rr[i].owner != rs->rr[i - 1].owner;

	struct run *run = pages_alloc(runs * sizeof(*run));

	if (!run)
		return NULL;
	*room = runs;
	*cnt = 0;
	for (size_t i = 0; i < rs->cnt; i++) {
		if (i > 0 && rs->rr[i].owner == rs->rr[i - 1].owner &&
		    run[*cnt - 1].cnt < UINT32_MAX) {
			run[*cnt - 1].cnt++;
			continue;
		}
		uint8_t *key = chunk_reserve(keys, NAME_KEY_MAX);

		if (!key) {
			pages_free(run, *room * sizeof(*run));
			return NULL;
		}
		size_t len = name_key(key, rs->rr[i].owner);

		(*keys)->used += len;
		run[(*cnt)++] = (struct run){ .key = key, .key_len = (uint32_t)len,
					      .cnt = 1, .first = i };
	}
	return run;
}

/* places_fill - the places of the runs in their order so far, with their prefixes: names of one
 * zone share the key of its apex, so what tells them apart begins after it. */
static void places_fill(struct place *place, const struct run *run, size_t cnt)
{
	uint32_t shared = run[0].key_len;

	for (size_t i = 1; i < cnt; i++) {
		if (run[i].key_len < shared)
			shared = run[i].key_len;
		while (shared > 0 && memcmp(run[0].key, run[i].key, shared) != 0)
			shared--;
	}
	for (size_t i = 0; i < cnt; i++) {
		uint64_t prefix = 0;

		/* Zero past the end: no key octet sorts lower, and place_cmp looks at
		 * the keys when prefixes are equal. */
		for (uint32_t at = shared; at < shared + 8; at++)
			prefix = prefix << 8 | (at < run[i].key_len ? run[i].key[at] : 0);
		place[i] = (struct place){ .prefix = prefix, .at = i };
	}
}

#define RADIX_BITS 11
#define RADIX ((size_t)1 << RADIX_BITS)

/* places_sort - order p[0..cnt) by prefix, digit by digit from the least; what has one prefix stays
 * in its order.  other[0..cnt) is room; returns which of both has the result. */
static struct place *places_sort(struct place *p, struct place *other, size_t cnt)
{
	size_t begin[RADIX];

	for (unsigned shift = 0; shift < 64; shift += RADIX_BITS) {
		memset(begin, 0, sizeof(begin));
		for (size_t i = 0; i < cnt; i++)
			begin[p[i].prefix >> shift & (RADIX - 1)]++;
		if (begin[p[0].prefix >> shift & (RADIX - 1)] == cnt)
			continue;
		for (size_t d = 0, sum = 0; d < RADIX; d++) {
			size_t here = begin[d];

			begin[d] = sum;
			sum += here;
		}
		for (size_t i = 0; i < cnt; i++)
			other[begin[p[i].prefix >> shift & (RADIX - 1)]++] = p[i];

		struct place *sorted = other;

		other = p;
		p = sorted;
	}
	return p;
}

/* spans_fill - the runs in the order of their places. */
static void spans_fill(struct span *span, const struct place *place, const struct run *run, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++) {
		const struct run *r = &run[place[i].at];

		if (i + 2 * AHEAD < cnt)
			__builtin_prefetch(&run[place[i + 2 * AHEAD].at]);
		span[i] = (struct span){ .first = r->first, .cnt = r->cnt,
			.same = i > 0 && place[i].prefix == place[i - 1].prefix &&
				run_cmp(&run[place[i - 1].at], r) == 0 };
	}
}

/* spans_sort - the runs of rs in canonical order, of which there are *cnt, in a block of room for *room;
 * *ordered if they stand in rs so.  A million of them in no order would wait for memory at each of
 * qsort's comparisons, hence the radix sort.  NULL when memory has ended. */
static struct span *spans_sort(const struct records *rs, size_t *cnt, size_t *room, bool *ordered)
{
	struct records_chunk *keys = NULL;
	struct run *run = runs_find(rs, cnt, room, &keys);
	size_t octets = *room * sizeof(struct place);
	struct place *a = run ? pages_alloc(octets) : NULL, *b = a ? pages_alloc(octets) : NULL;

	if (b) {
		places_fill(a, run, *cnt);
		*ordered = true;
		for (size_t i = 1; i < *cnt && *ordered; i++)
			*ordered = a[i - 1].prefix < a[i].prefix ||
				   (a[i - 1].prefix == a[i].prefix && run_cmp(&run[i - 1], &run[i]) <= 0);
	}
	if (b && !*ordered) {
		struct place *sorted = places_sort(a, b, *cnt);

		b = sorted == a ? b : a;
		a = sorted;
		for (size_t first = 0, next; first < *cnt; first = next) {
			for (next = first + 1; next < *cnt && a[next].prefix == a[first].prefix; next++)
				;
			if (next - first > 1)
				qsort_r(a + first, next - first, sizeof(*a), place_cmp, run);
		}
	}
	if (b)
		spans_fill((struct span *)b, a, run, *cnt);
	pages_free(a, octets);
	pages_free(run, *room * sizeof(*run));
	chunk_free_all(keys);
	return (struct span *)b;
}

/* Within one owner: type, RDATA in canonical order, and a fixed order of what is
 * equal so that which duplicate stays does not depend on the input's order.
 * RDATA of an RRSIG begins with the type covered (RFC 4034 3.1), so that its
 * canonical order keeps each covered type's signatures together. */
static int record_cmp(const void *x, const void *y)
{
	const struct record *a = x, *b = y;

	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;

	int order = rdata_cmp(a->type, a->rdata, a->rdata_len, b->rdata, b->rdata_len);

	if (order == 0 && a->rdata_len > 0)
		order = memcmp(a->rdata, b->rdata, a->rdata_len);
	return order;
}

/* sort_owner - order the records of one owner. */
static void sort_owner(struct record *rr, size_t cnt)
{
	if (cnt > 16) {
		qsort(rr, cnt, sizeof(*rr), record_cmp);
		return;
	}
	for (size_t i = 1; i < cnt; i++) {
		struct record moving = rr[i];
		size_t at = i;

		for (; at > 0 && record_cmp(&moving, &rr[at - 1]) < 0; at--)
			rr[at] = rr[at - 1];
		rr[at] = moving;
	}
}

/* same_set - do two records of one owner belong to one RRset?  RRSIGs count with
 * those of their covered type only. */
static bool same_set(const struct record *a, const struct record *b)
{
	if (a->type != b->type)
		return false;
	return a->type != TYPE_RRSIG || a->rdata_len < 2 || b->rdata_len < 2 ||
	       memcmp(a->rdata, b->rdata, 2) == 0;
}

/* squeeze_set - drop duplicates among the sorted in[0..cnt), which are one RRset,
 * into out[] (which may overlap at or before in) with the lowest TTL of all
 * (RFC 2181 5 and 5.2).  Returns how many stayed. */
static size_t squeeze_set(struct record *out, const struct record *in, size_t cnt)
{
	size_t kept = 0;
	uint32_t ttl = in[0].ttl;

	for (size_t i = 0; i < cnt; i++) {
		if (in[i].ttl < ttl)
			ttl = in[i].ttl;
		if (kept > 0 && rdata_cmp(in[i].type, in[i].rdata, in[i].rdata_len,
					  out[kept - 1].rdata, out[kept - 1].rdata_len) == 0)
			continue;
		out[kept++] = in[i];
	}
	for (size_t i = 0; i < kept; i++)
		out[i].ttl = ttl;
	return kept;
}

/* squeeze - the same for all sets of rr[0..cnt), sorted, with shared owners. */
static size_t squeeze(struct record *rr, size_t cnt)
{
	size_t out = 0;

	for (size_t first = 0, next; first < cnt; first = next) {
		for (next = first + 1; next < cnt && rr[next].owner == rr[first].owner &&
				       same_set(&rr[first], &rr[next]); next++)
			;
		out += squeeze_set(rr + out, rr + first, next - first);
	}
	return out;
}

/* keep - copy octets into the newest chunk; NULL when memory has ended. */
static const uint8_t *keep(struct records_chunk **list, const uint8_t *octets, size_t len)
{
	uint8_t *to = chunk_reserve(list, len);

	if (to) {
		memcpy(to, octets, len);
		(*list)->used += len;
	}
	return to;
}

/* gather_records - put the records into the order of their spans.  0 or -ENOMEM. */
static int gather_records(struct records *rs, struct span *span, size_t spans)
{
	struct record *rr = pages_alloc(rs->cnt * sizeof(*rr));
	size_t out = 0;

	if (!rr)
		return -ENOMEM;
	for (size_t i = 0; i < spans; i++) {
		if (i + 2 * AHEAD < spans)
			__builtin_prefetch(rs->rr + span[i + 2 * AHEAD].first);
		memcpy(rr + out, rs->rr + span[i].first, span[i].cnt * sizeof(*rr));
		span[i].first = out;
		out += span[i].cnt;
	}
	pages_free(rs->rr, rs->cap * sizeof(*rr));
	rs->rr = rr;
	rs->cap = rs->cnt;
	return 0;
}

/* gather_octets - and their octets, too: whoever goes through a big zone in order then finds each
 * record's next to the last one's instead of waiting for memory.  0 or -ENOMEM. */
static int gather_octets(struct records *rs, const struct span *span, size_t spans)
{
	struct records_chunk *chunk = NULL, **end = &chunk;
	struct record *rr = rs->rr;
	const uint8_t *owner = NULL;
	bool whole = true;

	for (size_t i = 0; i < spans && whole; i++) {
		if (i + AHEAD < spans) {
			const uint8_t *octets = rr[span[i + AHEAD].first].owner;

			__builtin_prefetch(octets);
			__builtin_prefetch(octets + 64);
		}
		struct record *first = rr + span[i].first;

		if (!span[i].same)
			owner = keep(&chunk, first->owner, name_wire_len(first->owner));
		whole = owner != NULL;
		for (uint32_t j = 0; whole && j < span[i].cnt; j++) {
			const uint8_t *rdata = keep(&chunk, first[j].rdata, first[j].rdata_len);

			whole = rdata != NULL;
			if (whole) {
				first[j].owner = owner;
				first[j].rdata = rdata;
			}
		}
	}
	if (whole) {
		chunk_free_all(rs->chunk);
		rs->chunk = chunk;
		return 0;
	}
	while (*end) /* the records are in both */
		end = &(*end)->next;
	*end = rs->chunk;
	rs->chunk = chunk;
	return -ENOMEM;
}

/* one_owner - do all records share their owner's octets, as those of one name do? */
static bool one_owner(const struct records *rs)
{
	for (size_t i = 1; i < rs->cnt; i++)
		if (rs->rr[i].owner != rs->rr[0].owner)
			return false;
	return true;
}

int records_sort(struct records *rs)
{
	struct span *span = NULL;
	size_t spans = 0, room = 0;
	bool ordered = true;
	int ret = -ENOMEM;

	if (rs->sorted || rs->cnt == 0) {
		rs->sorted = true;
		return 0;
	}
	if (one_owner(rs)) {
		sort_owner(rs->rr, rs->cnt);
		goto sorted;
	}
	/* In steps that need little memory at a time. */
	span = spans_sort(rs, &spans, &room, &ordered);
	if (!span || (!ordered && (gather_records(rs, span, spans) || gather_octets(rs, span, spans))))
		goto done;

	/* Runs stand in order now: give equal neighbours one owner, sort within. */
	for (size_t i = 0, next; i < spans; i = next) {
		struct record *first = rs->rr + span[i].first;
		size_t cnt = span[i].cnt;

		for (next = i + 1; next < spans && span[next].same; next++) {
			for (uint32_t j = 0; j < span[next].cnt; j++)
				first[cnt + j].owner = first->owner;
			cnt += span[next].cnt;
		}
		sort_owner(first, cnt);
	}
sorted:
	rs->cnt = squeeze(rs->rr, rs->cnt);
	rs->last_owner = NULL;
	rs->sorted = true;
	ret = 0;
done:
	pages_free(span, room * sizeof(struct place));
	return ret;
}

void records_shed(struct records *rs, size_t first)
{
	const uint8_t *octets = rs->rr[first].owner;

	pages_drop(rs->rr, rs->cap * sizeof(*rs->rr), first * sizeof(*rs->rr));
	for (struct records_chunk *c = rs->chunk; c; c = c->next) {
		if (octets < c->data || octets >= c->data + c->used)
			continue;
		chunk_free_all(c->next);
		c->next = NULL;
		return;
	}
}
