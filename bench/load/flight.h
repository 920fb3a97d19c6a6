/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flight.h - the queries that are under way, in a ring indexed by their numbers.
 *
 * A query is lost when it has not been answered after a time, or when the ring is so full
 * that its place is wanted.  One thread.
 */
#ifndef POLLUX_BENCH_FLIGHT_H
#define POLLUX_BENCH_FLIGHT_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "bench/load/prepare.h"

#define FLIGHTS_SKIP 8

struct flight {
	uint64_t sent;   /* when, in the caller's unit */
	uint32_t number;
	uint32_t at;     /* reference to the query; 0: answered or lost */
};

struct flights {
	struct flight *ring;
	uint32_t mask;
	uint32_t next;   /* number of the next query */
	uint32_t oldest; /* none before it is under way */
	uint32_t pending;
	uint64_t lost;
};

/* flights_init - room for `cnt` (a power of two, up to 2^24) queries.  0 or -ENOMEM. */
static inline int flights_init(struct flights *f, uint32_t cnt)
{
	*f = (struct flights){ .mask = cnt - 1, .ring = calloc(cnt, sizeof(*f->ring)) };
	return f->ring ? 0 : -ENOMEM;
}

static inline void flights_free(struct flights *f)
{
	free(f->ring);
	f->ring = NULL;
}

/* flights_start - note that the query `at` is sent now; its number.  Numbers whose places
 * are taken by queries that are still under way are passed over, a few of them. */
static inline uint32_t flights_start(struct flights *f, uint32_t at, uint64_t now)
{
	uint32_t number = f->next;
	struct flight *e = &f->ring[number & f->mask];

	for (unsigned i = 0; e->at && i < FLIGHTS_SKIP; i++) {
		number = (number + 1) & PREPARE_NUMBER;
		e = &f->ring[number & f->mask];
	}
	if (e->at) {
		f->lost++;
		f->pending--;
	}
	*e = (struct flight){ .sent = now, .number = number, .at = at };
	f->next = (number + 1) & PREPARE_NUMBER;
	f->pending++;
	return number;
}

/* flights_find - the place of a number, or NULL when it was never sent or is too old. */
static inline struct flight *flights_find(const struct flights *f, uint32_t number)
{
	struct flight *e = &f->ring[number & f->mask];

	return e->number == number ? e : NULL;
}

/* flights_end - the query of *e is answered. */
static inline void flights_end(struct flights *f, struct flight *e)
{
	e->at = 0;
	f->pending--;
}

/* flights_expire - count as lost what was sent before `limit`.  Goes by places: what has
 * been passed over may be counted a round of the ring later. */
static inline void flights_expire(struct flights *f, uint64_t limit)
{
	/* What the ring has come round to is no longer there to look at. */
	if (((f->next - f->oldest) & PREPARE_NUMBER) > f->mask + 1)
		f->oldest = (f->next - f->mask - 1) & PREPARE_NUMBER;
	for (; f->oldest != f->next; f->oldest = (f->oldest + 1) & PREPARE_NUMBER) {
		struct flight *e = &f->ring[f->oldest & f->mask];

		if (e->at == 0)
			continue;
		if (e->sent >= limit)
			break;
		e->at = 0;
		f->pending--;
		f->lost++;
	}
}

#endif
