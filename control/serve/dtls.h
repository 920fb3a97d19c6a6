/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dtls.h - the server's side of DNS over DTLS (RFC 8094, DTLS 1.2): datagrams in,
 * datagrams out.
 *
 * No socket.  Each struct dtls belongs to one serving thread and has its own sessions,
 * one for each pair of addresses.  Everything from the wire is untrusted: nothing is
 * kept of a client before it has sent back a cookie (RFC 6347 section 4.2.1), and only
 * a well-formed ClientHello gets one, which is shorter than what asked for it.  Until its
 * handshake is over a client may send CREDENTIALS_HANDSHAKE_MAX octets.  An
 * answer is one record of at most DTLS_MTU octets, cut with TC where it does not fit.
 * Sessions are counted with all connections; when there are too many, one that has
 * rested longest goes for a newcomer (room.h).
 *
 * GnuTLS times the retransmission of handshakes by its own clock; `now` decides all else.
 */
#ifndef POLLUX_DTLS_H
#define POLLUX_DTLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "control/serve/credentials.h"
#include "control/serve/pair.h"
#include "control/serve/room.h"

#define DTLS_MTU 1232 /* octets of a datagram from us: IPv6's minimum MTU less the headers */

struct dtls;

struct dtls_env {
	struct credentials_vault *vault;
	struct room *room; /* of the thread */
	uint64_t idle_ns; /* a session without a query for so long ends */
	/* Sends a datagram; a copy is made. */
	void (*emit)(void *arg, const struct sockaddr *local, const struct sockaddr *peer,
		     const uint8_t *data, size_t len);
	/* Answers a query: as serve_message, into max octets.  0: there is no answer. */
	size_t (*answer)(void *arg, const struct sockaddr *peer, const uint8_t *msg, size_t len,
			 uint8_t *out, size_t max);
	void *arg;
};

/* How often something happened. */
struct dtls_counts {
	uint64_t cookies, accepted, completed, resumed, refused, timed_out, evicted;
};

/* dtls_new - without sessions.  What env points to outlives it.  0 or -ENOMEM. */
int dtls_new(struct dtls **out, const struct dtls_env *env);

/* dtls_limit - another idle time-out. */
void dtls_limit(struct dtls *d, uint64_t idle_ns);

/* dtls_feed - take a datagram that came over `pair`, which is of local and peer, and that
 * demux_datagram says is DTLS's.  now: nanoseconds of a clock that never goes back. */
void dtls_feed(struct dtls *d, const struct pair *pair, const struct sockaddr *local,
	       const struct sockaddr *peer, const uint8_t *data, size_t len, uint64_t now);

/* dtls_deadline - when dtls_expire has something to do; DEADLINE_NONE: never. */
uint64_t dtls_deadline(const struct dtls *d);
void dtls_expire(struct dtls *d, uint64_t now);

/* dtls_sessions - how many there are.  dtls_counted - what has happened. */
unsigned dtls_sessions(const struct dtls *d);
const struct dtls_counts *dtls_counted(const struct dtls *d);

/* dtls_close - tell all clients goodbye.  dtls_free - forget all. */
void dtls_close(struct dtls *d, uint64_t now);
void dtls_free(struct dtls *d);

#endif
