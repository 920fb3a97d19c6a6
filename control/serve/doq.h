/* SPDX-License-Identifier: GPL-3.0-or-later */
/* doq.h - the server's side of DNS over QUIC (RFC 9250): datagrams in, datagrams out.
 *
 * No socket and no clock: the caller brings both.  Each struct doq belongs to one
 * serving thread and has its own connections.  Their ids are ours to choose but for the
 * client's first, and begin with the thread's number, so that the kernel can bring
 * packets of a connection that has moved to another address to the thread that has it
 * (RFC 9000 section 9; encrypted.c has the program for it).
 *
 * Everything from the wire is untrusted.  What a client may hold: DOQ_STREAMS queries
 * at a time, DOQ_WINDOW octets of queries that have not ended or wait, and DOQ_QUEUE_MAX
 * octets of answers that it has not acknowledged before more of its queries are
 * answered; of its handshake, CREDENTIALS_HANDSHAKE_MAX octets.  Connections are counted
 * with all others; when there are too many, one that has rested longest goes for a newcomer
 * (room.h), whose address has to be validated.  One on which nothing got done for the idle time
 * ends: no query was completed and nothing of an answer taken; packets alone (PING, part of a
 * query) do not keep it.  An address is validated by Retry before it gets a connection while
 * DOQ_RETRY_FROM others have not finished their handshakes, and gets at most three times what it
 * sent until it is validated (RFC 9000 section 8).
 * 0-RTT is not accepted, so nothing can be replayed (RFC 9250 section 4.5 leaves that
 * to the server).
 *
 * Not here: zone transfers (RFC 9250 section 4.4), of which an answer is many messages.
 */
#ifndef POLLUX_DOQ_H
#define POLLUX_DOQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "control/serve/credentials.h"
#include "control/serve/pair.h"
#include "control/serve/room.h"

#define DOQ_STREAMS 100        /* queries under way on a connection */
#define DOQ_WINDOW (128 << 10) /* octets: two of the largest queries */
#define DOQ_QUEUE_MAX (128 << 10) /* octets: two of the largest answers */
#define DOQ_RETRY_FROM 128     /* handshakes under way in the thread */
#define DOQ_ID 16              /* octets of the ids that we choose */

struct doq;

struct doq_env {
	struct credentials_vault *vault;
	struct room *room;         /* of the thread */
	unsigned thread;           /* 0 to 255 */
	uint64_t idle_ns;          /* that nothing may get done; also max_idle_timeout (RFC 9000 10.1) */
	/* The date: nanoseconds since 1970, of tokens, which outlive process and machine. */
	uint64_t (*real_ns)(void *arg);
	/* Sends a datagram; a copy is made. */
	void (*emit)(void *arg, const struct sockaddr *local, const struct sockaddr *peer,
		     const uint8_t *data, size_t len);
	/* Answers a query: as serve_message, into max octets.  0: there is no answer. */
	size_t (*answer)(void *arg, const struct sockaddr *peer, const uint8_t *msg, size_t len,
			 uint8_t *out, size_t max);
	void *arg;
};

/* How often something happened. */
struct doq_counts {
	uint64_t accepted, completed, resumed, retried, refused, timed_out, evicted, version, reset, moved;
};

/* doq_new - without connections.  What env points to outlives it.  0 or -ENOMEM. */
int doq_new(struct doq **out, const struct doq_env *env);

/* doq_limit - another idle time-out; max_idle_timeout for connections to come. */
void doq_limit(struct doq *d, uint64_t idle_ns);

/* doq_knows_pair, doq_knows_id - for the demultiplexer: is there a connection between
 * those addresses, its handshake complete; with an id of ours at the front of
 * id[0..left)? */
bool doq_knows_pair(const struct doq *d, const struct pair *pair);
bool doq_knows_id(const struct doq *d, const uint8_t *id, size_t left);

/* doq_feed - take a datagram that arrived at `local`.  Queries are answered at once,
 * but what is to be sent waits for doq_flush, so that datagrams of one burst share it.
 * now: nanoseconds of a clock that never goes back. */
void doq_feed(struct doq *d, const struct sockaddr *local, const struct sockaddr *peer,
	      const uint8_t *data, size_t len, uint64_t now);
void doq_flush(struct doq *d, uint64_t now);

/* doq_deadline - when doq_expire has something to do; DEADLINE_NONE: never. */
uint64_t doq_deadline(const struct doq *d);
void doq_expire(struct doq *d, uint64_t now);

/* doq_connections - how many there are.  doq_counted - what has happened. */
unsigned doq_connections(const struct doq *d);
const struct doq_counts *doq_counted(const struct doq *d);

/* doq_close - tell all clients goodbye (DOQ_NO_ERROR).  doq_free - forget all. */
void doq_close(struct doq *d, uint64_t now);
void doq_free(struct doq *d);

#endif
