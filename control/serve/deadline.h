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

/* deadlines_init - room for `cap` members, so that setting one cannot fail.  0 or
 * -ENOMEM.  deadlines_free - forgets all members. */
int deadlines_init(struct deadlines *d, size_t cap);
void deadlines_free(struct deadlines *d);

/* deadline_set - put a member in, or move it; DEADLINE_NONE takes it out.  A new
 * member begins as {0}. */
void deadline_set(struct deadlines *d, struct deadline *one, uint64_t at);

/* deadlines_first - the earliest member, or NULL. */
static inline struct deadline *deadlines_first(const struct deadlines *d)
{
	return d->cnt ? d->heap[0] : NULL;
}

#endif
