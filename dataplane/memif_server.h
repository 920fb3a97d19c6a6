/* SPDX-License-Identifier: GPL-3.0-or-later */
/* memif_server.h - the server's end of a memif (common/memif.h): interface id 0, Ethernet
 * frames, one ring each way, polled, one client at a time.
 *
 * DPDK has a driver for this.  It copies frames into and out of mbufs in the order of its
 * store buffer, which stands still wherever a line has to come from the client's core, and a
 * client that leaves takes the rings away under the polling core.  Here the lines of the
 * next burst are fetched during the one under way, and the rings change hands:
 *
 * M1  the main thread completes a link, release-stores it as `want`, and waits until M3
 *     before the client is told that it is connected.
 * M2  the core acquire-loads `want` between two bursts and release-stores it as `adopted`.
 * M3  the main thread acquire-loads `adopted`: when it is what it wants, the core does not
 *     touch the link before again, which may be unmapped.
 *
 * No client is trusted.  Its memory must be sealed against shrinking, so that reading it
 * cannot fail; positions, places and lengths in it are looked at once and bounded; frames
 * are copied out before anybody reads them, and answers copied in.
 *
 * Functions are the main thread's but for those of the core.
 */
#ifndef POLLUX_MEMIF_SERVER_H
#define POLLUX_MEMIF_SERVER_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MEMIF_FRAME 2048 /* octets of a frame; what is longer loses its end */

struct memif_frame {
	uint8_t *data;
	uint32_t len;
};

struct memif_link; /* what one client shares */

struct memif_server {
	const char *path;
	int listener, connection, events; /* -1: none */
	bool greeted;            /* the client has said who it is */
	char name[33];           /* the client, by its own words */
	struct memif_link *link; /* of the client; what the core uses if `connected` */
	bool connected;
	alignas(64) _Atomic(struct memif_link *) want;    /* M1 */
	alignas(64) _Atomic(struct memif_link *) adopted; /* M2 */
	struct memif_link *current;                       /* the same, for the core itself */
	uint8_t *buffer;                                  /* the core's: a burst of frames */
};

/* memif_server_open - listen on the socket `path` (mode 0660), which must not be there, for
 * bursts of up to `burst` frames.  path must outlive *s.  0 or -errno; memif_server_close
 * also after a failure. */
int memif_server_open(struct memif_server *s, const char *path, unsigned burst);

/* memif_server_fd - readable when memif_server_step has something to do. */
int memif_server_fd(const struct memif_server *s);

/* memif_server_step - take what clients say.  Only while the core calls
 * memif_server_adopt again and again; waits for it when a client comes or goes. */
void memif_server_step(struct memif_server *s);

/* memif_server_close - once the core has ended: no client, no socket file. */
void memif_server_close(struct memif_server *s);

/* memif_server_adopt - between two bursts: see who the client is (M2).  The core. */
static inline void memif_server_adopt(struct memif_server *s)
{
	struct memif_link *want = atomic_load_explicit(&s->want, memory_order_acquire);

	if (want == s->current)
		return;
	s->current = want;
	atomic_store_explicit(&s->adopted, want, memory_order_release);
}

/* memif_server_receive - copy out up to `burst` frames, no more than the client has room
 * for answers.  They stay where frame[] says until the next call; each has room for
 * MEMIF_FRAME octets.  A frame that lies where it may not has length 0.  How many.  The core. */
unsigned memif_server_receive(struct memif_server *s, struct memif_frame *frame, unsigned burst);

/* memif_server_send - copy answers in and have the client see them, cnt at most as many as
 * were received.  How many could be: where the client's buffer is too small or lies where it
 * may not, the answer is lost.  The core. */
unsigned memif_server_send(struct memif_server *s, const struct memif_frame *frame, unsigned cnt);

#endif
