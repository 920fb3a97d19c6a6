/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ring.h - doubly linked rings whose links live in what they belong to.  Any thread, one at a
 * time. */
#ifndef POLLUX_RING_H
#define POLLUX_RING_H

/* Of a member, or the ring itself: its `next` is the first member, its `prev` the last; of an
 * empty one both are itself. */
struct ring {
	struct ring *prev, *next;
};

/* ring_init - without members. */
static inline void ring_init(struct ring *ring)
{
	ring->prev = ring->next = ring;
}

/* ring_append - put a member, which is in no ring, last.  ring_remove - take one out. */
static inline void ring_append(struct ring *ring, struct ring *member)
{
	member->prev = ring->prev;
	member->next = ring;
	ring->prev->next = member;
	ring->prev = member;
}

static inline void ring_remove(struct ring *member)
{
	member->prev->next = member->next;
	member->next->prev = member->prev;
}

#endif
