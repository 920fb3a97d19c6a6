/* SPDX-License-Identifier: GPL-3.0-or-later */
/* room.h - the connections of one serving thread, over all its transports, by last
 * activity; and which of them goes when a newcomer finds all places taken (RFC 7766
 * section 6.2.3, RFC 9210 section 4.2).
 *
 * clients.h counts the connections of all threads.  When there are as many as there may
 * be, the newcomer gets the place of the one of its thread that has rested longest,
 * whatever transport that came over; of its prefix when that is full.  A thread that has
 * none there may have one all the same, so that nobody is refused for where the kernel
 * put him: with several threads limits are exceeded by at most one for each but the
 * first.
 *
 * No clock: the caller brings it.  A struct room belongs to its thread.
 */
#ifndef POLLUX_ROOM_H
#define POLLUX_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "control/serve/clients.h"
#include "control/serve/ring.h"

#define ROOM_BUCKETS 256 /* lists of a thread's connections by prefix; a power of two */
#define ROOM_LOOK 512    /* connections looked at for one that may go */

enum room_state {
	ROOM_BUSY,  /* stays */
	ROOM_STUCK, /* got nothing done for a while: goes if nobody rests */
	ROOM_RESTS, /* nothing is under way on it */
};

/* What a connection has of this, {0} before room_add. */
struct room_place {
	struct ring all, same; /* in the thread's ring, and its bucket's by prefix */
	const struct room_keeper *keeper;
	struct clients_prefix prefix;
};

/* A transport: what its connections do, and how one ends for a newcomer, which must
 * room_remove it.  now: nanoseconds, as room_admit was told. */
struct room_keeper {
	enum room_state (*state)(const struct room_place *p, uint64_t now);
	void (*evict)(struct room_place *p, uint64_t now);
};

struct room {
	struct clients *clients; /* of all threads */
	struct ring all; /* the first is the least recently active; so in the buckets */
	struct ring bucket[ROOM_BUCKETS];
};

/* room_init - without connections.  k outlives it. */
void room_init(struct room *r, struct clients *k);

/* room_admit - count one more client from peer, for whom another has to go if need be and
 * with `evict`; else it may only have a place that is free.  *prefix is set in any case.
 * CLIENTS_TAKEN: room_add (or clients_leave) has to follow. */
enum clients_verdict room_admit(struct room *r, const struct sockaddr *peer, bool evict, uint64_t now,
				struct clients_prefix *prefix);

/* room_add - its connection, active now.  room_touch - it was active now.  room_remove - it
 * is over, and no longer counted. */
void room_add(struct room *r, struct room_place *p, const struct room_keeper *keeper,
	      const struct clients_prefix *prefix);
void room_touch(struct room *r, struct room_place *p);
void room_remove(struct room *r, struct room_place *p);

#endif
