/* SPDX-License-Identifier: GPL-3.0-or-later */
/* memif.h - the client's end of a memif (dataplane/common/memif.h): one ring each way,
 * polled, Ethernet frames, interface id 0.
 *
 * DPDK's driver copies every frame twice, in the order of its store buffer: where a line
 * has to come from the other core, it stands still.  Here the frames are written and read
 * where they lie, and their lines are fetched a burst ahead.
 *
 * What the server writes are positions and lengths, which are bounded, and frames, which it
 * is trusted not to touch again before it gets them back.  One thread.
 */
#ifndef POLLUX_BENCH_MEMIF_H
#define POLLUX_BENCH_MEMIF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "dataplane/common/memif.h"

#define MEMIF_LOG2_RING 10
#define MEMIF_RING (1u << MEMIF_LOG2_RING)
/* An odd number of cache lines: buffers 2,048 octets apart would share two of a first
 * level cache's sets, and 64 of a second level's. */
#define MEMIF_BUFFER 2112
#define MEMIF_LINE 64

struct memif {
	int connection;                /* -1: none */
	int interrupt[2];              /* the protocol wants them; nobody uses them */
	void *room;                    /* what `region` lies in */
	uint8_t *region;               /* rings and buffers, the server's as well */
	size_t size;
	struct memif_ring *queries, *answers;
	uint8_t *query_buffer, *answer_buffer;
	uint16_t query_head, query_tail; /* as last seen */
	uint16_t answer_at;            /* the next one to be read */
	char refusal[97];              /* the server's words, if it had some */
};

/* memif_open - connect to the server at this socket; until `seconds` have passed wait for
 * it to appear.  0 or -errno (logged); memif_close also after a failure. */
int memif_open(struct memif *m, const char *path, double seconds);
void memif_close(struct memif *m);

/* memif_link - is the server still there?  A system call. */
bool memif_link(const struct memif *m);

/* memif_room - how many queries, `wanted` at most, can be written.  Starts to fetch the
 * buffers of so many for writing, `octets` of each. */
unsigned memif_room(struct memif *m, unsigned wanted, unsigned octets);

/* memif_query - where the i-th query behind the last one sent is to be written. */
static inline uint8_t *memif_query(const struct memif *m, unsigned i)
{
	return m->query_buffer + (size_t)((uint16_t)(m->query_head + i) & (MEMIF_RING - 1)) * MEMIF_BUFFER;
}

/* memif_query_len - it has so many octets. */
static inline void memif_query_len(struct memif *m, unsigned i, uint32_t len)
{
	struct memif_desc *d = &m->queries->desc[(uint16_t)(m->query_head + i) & (MEMIF_RING - 1)];

	d->flags = 0;
	d->len = len;
}

/* memif_send - hand the first cnt of them to the server. */
void memif_send(struct memif *m, unsigned cnt);

/* memif_waiting - how many answers there are. */
unsigned memif_waiting(const struct memif *m);

/* memif_answer - the i-th of them, *len octets. */
static inline uint8_t *memif_answer(const struct memif *m, unsigned i, uint32_t *len)
{
	unsigned slot = (uint16_t)(m->answer_at + i) & (MEMIF_RING - 1);
	uint32_t n = m->answers->desc[slot].len;

	*len = n < MEMIF_BUFFER ? n : MEMIF_BUFFER;
	return m->answer_buffer + (size_t)slot * MEMIF_BUFFER;
}

/* memif_release - the first cnt answers have been read. */
void memif_release(struct memif *m, unsigned cnt);

#endif
