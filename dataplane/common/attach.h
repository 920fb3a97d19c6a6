/* SPDX-License-Identifier: GPL-3.0-or-later */
/* attach.h - the protocol between the two processes: SOCK_SEQPACKET on
 * RUN-DIRECTORY/attach.sock, one fixed-size message a packet, descriptors beside
 * it (SCM_RIGHTS).
 *
 *   dataplane                                   control
 *      hello {layouts, pid, workers}     ->
 *                                        <-     welcome {slots} + arena fd (read-only), status fd
 *                                        <-     or refuse {reason}
 *      serving {ports} + map fds         ->     all workers answer from this arena now
 *
 * `welcome` is sent only when the table is complete (all zones of the
 * configuration loaded or reported).  `serving` is what lets the control process
 * fill the steering program's address map.  The connection then stays open and
 * silent: its end says that the other side is gone (the control process believes
 * it only when the pidfd agrees).  Everything received is checked here; a peer
 * that breaks the rules is told why and disconnected.
 */
#ifndef POLLUX_ATTACH_H
#define POLLUX_ATTACH_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/answer/status.h"

#define ATTACH_MAGIC   0x50585441u /* "PXTA" */
#ifndef ATTACH_VERSION    /* a test may build with another */
#define ATTACH_VERSION 1  /* raised with every change of the messages; their first 8 octets never change */
#endif
#define ATTACH_PORTS   16
#define ATTACH_FDS     (ATTACH_PORTS * 4)

enum attach_type { ATTACH_HELLO = 1, ATTACH_WELCOME, ATTACH_REFUSE, ATTACH_SERVING };

struct attach_hello {
	uint32_t arena_layout, status_layout;
	uint32_t pid;
	uint32_t worker_cnt;    /* 1..STATUS_SLOTS */
};

struct attach_welcome {
	uint64_t arena_size;
	uint32_t worker_cnt;
	uint32_t slot[STATUS_SLOTS]; /* worker i reads with status slot[i] */
};

struct attach_refuse {
	char reason[256];       /* NUL-terminated sentence */
};

/* One AF_XDP port; its four map descriptors follow in this order: steer_address,
 * steer_settings, steer_bypass, steer_counter. */
struct attach_port {
	uint32_t ifindex;
	uint32_t queues;
	char name[16];
};

struct attach_serving {
	uint32_t port_cnt;      /* 0 when there are none on AF_XDP */
	struct attach_port port[ATTACH_PORTS];
};

struct attach_message {
	uint32_t magic;
	uint16_t version;
	uint16_t type;          /* enum attach_type */
	union {
		struct attach_hello hello;
		struct attach_welcome welcome;
		struct attach_refuse refuse;
		struct attach_serving serving;
	};
};

/* attach_send - send one message with fd_cnt descriptors (kept by the caller).
 * Only the octets of the message's type go out.  0 or -errno (-EAGAIN on a full
 * non-blocking socket). */
int attach_send(int sock, const struct attach_message *m, const int *fds, unsigned fd_cnt);

/* attach_receive - take one message.  On success *m is complete and valid for its
 * type, fds[0..*fd_cnt) belong to the caller (close-on-exec set) and are as many as
 * the type needs.  0; -EAGAIN; -EPIPE when the peer closed; -EPROTONOSUPPORT for a message of
 * another version, which m->version tells; -EPROTO for anything else than a valid message
 * (descriptors are closed). */
int attach_receive(int sock, struct attach_message *m, int fds[ATTACH_FDS], unsigned *fd_cnt);

/* attach_check - is m, received as len octets with fd_cnt descriptors, valid?
 * The core of attach_receive, for tests and fuzzing.  0, -EPROTONOSUPPORT or -EPROTO. */
int attach_check(const struct attach_message *m, size_t len, unsigned fd_cnt);

#endif
