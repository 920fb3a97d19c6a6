/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/deadline.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void deadlines_init(struct deadlines *d)
{
	*d = (struct deadlines){0};
}

int deadlines_reserve(struct deadlines *d, size_t cnt)
{
	size_t cap = d->cap ? d->cap : 64;

	if (cnt <= d->cap)
		return 0;
	while (cap < cnt)
		cap *= 2;

	struct deadline **heap = realloc(d->heap, cap * sizeof(struct deadline *));

	if (!heap)
		return -ENOMEM;
	d->heap = heap;
	d->cap = cap;
	return 0;
}

void deadlines_free(struct deadlines *d)
{
	free(d->heap);
	*d = (struct deadlines){0};
}

static void put(struct deadlines *d, size_t at, struct deadline *one)
{
	d->heap[at] = one;
	one->place = at + 1;
}

static void rise(struct deadlines *d, size_t at, struct deadline *one)
{
	while (at > 0 && d->heap[(at - 1) / 2]->at > one->at) {
		put(d, at, d->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put(d, at, one);
}

static void sink(struct deadlines *d, size_t at, struct deadline *one)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= d->cnt)
			break;
		if (child + 1 < d->cnt && d->heap[child + 1]->at < d->heap[child]->at)
			child++;
		if (d->heap[child]->at >= one->at)
			break;
		put(d, at, d->heap[child]);
		at = child;
	}
	put(d, at, one);
}

static void take_out(struct deadlines *d, struct deadline *one)
{
	size_t at = one->place - 1;
	struct deadline *last = d->heap[--d->cnt];

	one->place = 0;
	if (last == one)
		return;
	if (at > 0 && d->heap[(at - 1) / 2]->at > last->at)
		rise(d, at, last);
	else
		sink(d, at, last);
}

void deadline_set(struct deadlines *d, struct deadline *one, uint64_t at)
{
	if (at == DEADLINE_NONE) {
		if (one->place)
			take_out(d, one);
		return;
	}
	if (!one->place) {
		assert(d->cnt < d->cap);
		one->at = at;
		rise(d, d->cnt++, one);
	} else if (at < one->at) {
		one->at = at;
		rise(d, one->place - 1, one);
	} else {
		one->at = at;
		sink(d, one->place - 1, one);
	}
}
