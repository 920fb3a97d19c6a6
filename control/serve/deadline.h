/* SPDX-License-Identifier: GPL-3.0-or-later */
/* deadline.h - which of many moments comes first: a binary heap whose members live
 * in what they belong to.  One thread at a time. */
#ifndef POLLUX_DEADLINE_H
#define POLLUX_DEADLINE_H

#include <stddef.h>
#include <stdint.h>

#define DEADLINE_NONE UINT64_MAX

struct deadline {
	uint64_t at;  /* nanoseconds of some clock */
	size_t place; /* in the heap, from 1; 0: not in it */
};

struct deadlines {
	struct deadline **heap;
	size_t cnt, cap;
};

/* deadlines_init - a heap without members.  deadlines_free - forgets all members. */
void deadlines_init(struct deadlines *d);
void deadlines_free(struct deadlines *d);

/* deadlines_reserve - have room for cnt members, so that setting one cannot fail.  0
 * or -ENOMEM. */
int deadlines_reserve(struct deadlines *d, size_t cnt);

/* deadline_set - put a member in, for which there is room, or move it; DEADLINE_NONE
 * takes it out.  A new member begins as {0}. */
void deadline_set(struct deadlines *d, struct deadline *one, uint64_t at);

/* deadlines_first - the earliest member, or NULL. */
static inline struct deadline *deadlines_first(const struct deadlines *d)
{
	return d->cnt ? d->heap[0] : NULL;
}

#endif
