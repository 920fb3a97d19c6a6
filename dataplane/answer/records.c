/* SPDX-License-Identifier: GPL-3.0-or-later */
/* records.c - a growing list of resource records; see records.h. */
#include "records.h"

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
	uint64_t prefix;    /* the key's first octets past what all keys share, big-endian */
	const uint8_t *key; /* name_key of the owner */
	uint32_t key_len;
	uint32_t cnt;       /* records */
	size_t first;       /* index of the first */
};

static int run_cmp(const void *x, const void *y)
{
	const struct run *a = x, *b = y;

	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;

	uint32_t common = a->key_len < b->key_len ? a->key_len : b->key_len;
	int order = memcmp(a->key, b->key, common);

	return order ? order : (a->key_len > b->key_len) - (a->key_len < b->key_len);
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

/* runs_prefix - fill in the prefixes: names of one zone share the key of its
 * apex, so what tells them apart begins after it. */
static void runs_prefix(struct run *run, size_t cnt)
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

		/* Zero past the end: no key octet sorts lower, and run_cmp goes on
		 * to the keys when prefixes are equal. */
		for (uint32_t at = shared; at < shared + 8; at++)
			prefix = prefix << 8 | (at < run[i].key_len ? run[i].key[at] : 0);
		run[i].prefix = prefix;
	}
}

/* What is moved about instead of a run. */
struct place {
	uint64_t prefix;
	size_t at;
};

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

/* runs_sort - bring (*run)[0..cnt) into the order of run_cmp, in an array of the same size that takes its
 * place.  A million of them in no order would wait for memory at each of qsort's comparisons.
 * 0 or -ENOMEM. */
static int runs_sort(struct run **run, size_t cnt, size_t room)
{
	struct run *sorted = pages_alloc(room * sizeof(*sorted));
	struct place *place = pages_alloc(2 * cnt * sizeof(*place));

	if (!sorted || !place) {
		pages_free(sorted, room * sizeof(*sorted));
		pages_free(place, 2 * cnt * sizeof(*place));
		return -ENOMEM;
	}
	for (size_t i = 0; i < cnt; i++)
		place[i] = (struct place){ .prefix = (*run)[i].prefix, .at = i };

	const struct place *order = places_sort(place, place + cnt, cnt);

	for (size_t i = 0; i < cnt; i++) {
		if (i + 2 * AHEAD < cnt)
			__builtin_prefetch(&(*run)[order[i + 2 * AHEAD].at]);
		sorted[i] = (*run)[order[i].at];
	}
	pages_free(place, 2 * cnt * sizeof(*place));
	pages_free(*run, room * sizeof(*sorted));
	*run = sorted;
	for (size_t first = 0, next; first < cnt; first = next) {
		for (next = first + 1; next < cnt && sorted[next].prefix == sorted[first].prefix; next++)
			;
		if (next - first > 1)
			qsort(sorted + first, next - first, sizeof(*sorted), run_cmp);
	}
	return 0;
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

/* gather - put the records into the order of their runs, and their octets too: whoever
 * goes through a big zone in order then finds each record's next to the last one's
 * instead of waiting for memory.  0 or -ENOMEM. */
static int gather(struct records *rs, struct run *run, size_t runs)
{
	struct record *rr = pages_alloc(rs->cnt * sizeof(*rr));
	struct records_chunk *chunk = NULL;
	size_t out = 0;

	if (!rr)
		return -ENOMEM;
	for (size_t i = 0; i < runs; i++) {
		const struct record *in = rs->rr + run[i].first;

		if (i + 2 * AHEAD < runs)
			__builtin_prefetch(rs->rr + run[i + 2 * AHEAD].first);
		if (i + AHEAD < runs) {
			const uint8_t *octets = rs->rr[run[i + AHEAD].first].owner;

			__builtin_prefetch(octets);
			__builtin_prefetch(octets + 64);
		}
		const uint8_t *owner = keep(&chunk, in->owner, name_wire_len(in->owner));

		run[i].first = out;
		for (uint32_t j = 0; owner && j < run[i].cnt; j++, out++) {
			rr[out] = in[j];
			rr[out].owner = owner;
			rr[out].rdata = keep(&chunk, in[j].rdata, in[j].rdata_len);
			if (!rr[out].rdata)
				owner = NULL;
		}
		if (!owner) {
			pages_free(rr, rs->cnt * sizeof(*rr));
			chunk_free_all(chunk);
			return -ENOMEM;
		}
	}
	pages_free(rs->rr, rs->cap * sizeof(*rr));
	chunk_free_all(rs->chunk);
	rs->rr = rr;
	rs->cap = rs->cnt;
	rs->chunk = chunk;
	return 0;
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
	struct records_chunk *keys = NULL;
	struct run *run = NULL;
	size_t runs = 0, room = 0;
	int ret = -ENOMEM;

	if (rs->sorted || rs->cnt == 0) {
		rs->sorted = true;
		return 0;
	}
	if (one_owner(rs)) {
		sort_owner(rs->rr, rs->cnt);
		goto sorted;
	}
	run = runs_find(rs, &runs, &room, &keys);
	if (!run)
		goto done;
	runs_prefix(run, runs);

	bool ordered = true;

	for (size_t i = 1; i < runs && ordered; i++)
		ordered = run_cmp(&run[i - 1], &run[i]) <= 0;
	if (!ordered) {
		if (runs_sort(&run, runs, room) || gather(rs, run, runs))
			goto done;
	}

	/* Runs stand in order now: give equal neighbours one owner, sort within. */
	for (size_t i = 0, next; i < runs; i = next) {
		struct record *first = rs->rr + run[i].first;
		size_t cnt = run[i].cnt;

		for (next = i + 1; next < runs && run_cmp(&run[i], &run[next]) == 0; next++) {
			for (uint32_t j = 0; j < run[next].cnt; j++)
				first[cnt + j].owner = first->owner;
			cnt += run[next].cnt;
		}
		sort_owner(first, cnt);
	}
sorted:
	rs->cnt = squeeze(rs->rr, rs->cnt);
	rs->last_owner = NULL;
	rs->sorted = true;
	ret = 0;
done:
	pages_free(run, room * sizeof(*run));
	chunk_free_all(keys);
	return ret;
}
