/* SPDX-License-Identifier: GPL-3.0-or-later */
/* serve.h - what one serving thread of the control process needs to answer: its
 * reader, its status slot, and the way from a message to its answer that UDP, TCP
 * and the punt rings share.
 *
 * All of it belongs to one thread; each serving thread has its own (threads.h).
 */
#ifndef POLLUX_SERVE_H
#define POLLUX_SERVE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "dataplane/answer/answer.h"

#define SERVE_UDP_MAX 65507 /* octets of payload in the largest IPv4 datagram */
#define SERVE_TCP_MAX 65535 /* octets of a message over TCP (RFC 1035 4.2.2) */

struct serve {
	struct reader reader;
	struct status_slot *slot; /* also the reader's */
};

/* serve_init - a serving thread that reads the mapping with a slot reserved for
 * it.  Both must outlive it. */
void serve_init(struct serve *s, struct arena_map map, struct status_slot *slot,
		const char *name);

/* serve_begin, serve_end - around a burst of messages; data from the arena is not
 * touched outside, so a thread that then sleeps holds up no reclamation. */
void serve_begin(struct serve *s);
void serve_end(struct serve *s);

/* serve_finish - write the answer to a message that query_parse has read with
 * verdict v (and, for VERDICT_ANSWER, query_prefetch has seen) into
 * out[0..q->limit), and count it.  Returns its length, 0 when none may be sent. */
size_t serve_finish(struct serve *s, struct query *q, enum verdict v, uint8_t *out);

/* Where a message came from. */
struct serve_from {
	const struct sockaddr *peer; /* AF_INET or AF_INET6 */
	enum transport transport;
	uint16_t keepalive; /* of a TCP connection: its idle time-out, in units of 100 ms */
};

/* serve_client - tell a parsed query who asks, so that it can get a cookie.  peer is
 * AF_INET or AF_INET6, and stays there until the answer is written. */
void serve_client(struct query *q, const struct sockaddr *peer);

/* serve_message - all stages for one untrusted message.  out has room for `max`
 * octets, and max is at least DNS_UDP_MIN.  Returns the answer's length, 0 when
 * none may be sent. */
size_t serve_message(struct serve *s, const struct serve_from *from, const uint8_t *msg, size_t len,
		     uint8_t *out, size_t max);

#endif
