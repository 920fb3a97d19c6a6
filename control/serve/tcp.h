/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tcp.h - DNS over TCP (RFC 7766), and over what runs on TCP (RFC 7858): many queries on
 * a connection, each answer up to 65,535 octets.
 *
 * Answers are sent in the order of their queries: each is complete before the next
 * query is looked at, so that an earlier one never waits (RFC 7766 section 6.2.1.1 lets
 * a server answer in any order, so as not to wait).
 *
 * A struct tcp belongs to the thread of its loop.  Clients are untrusted, and what
 * each may hold is bounded: a query that has not ended, what it sent ahead in one
 * read, and TCP_QUEUE_MAX octets of answers that it has not taken.  Its connection
 * ends when nothing has come on it for the first-byte time-out, or it gets nothing
 * done for the idle time-out, or has rested longest when a newcomer finds all places
 * taken (room.h).  A handshake of a layer does not rest once the client has begun it: like
 * those over UDP it goes only after a second, and after all that rest.
 */
#ifndef POLLUX_TCP_H
#define POLLUX_TCP_H

#include <stdbool.h>
#include <stddef.h>

#include "control/serve/service.h"

/* Octets of answers that may wait for a client before no more of its queries are
 * read: two of the largest. */
#define TCP_QUEUE_MAX (128 << 10)

struct tcp;
struct tcp_conn;

/* What may lie between the socket and the framer: TLS.  With one, what is read goes
 * through decode before it is cut into messages, and each answer, its length before it,
 * goes through encode.  Everything else (limits, time-outs, back-pressure, order) is the
 * connection's.  All are called in the connection's thread, never one from within
 * another.
 *
 *   socket -> decode -> framer -> serve_message -> encode -> tcp_conn_put -> socket
 */
struct tcp_layer {
	/* open - a connection was accepted.  arg is tcp_open's.  Returns its state, NULL to
	 * refuse it. */
	void *(*open)(void *arg, struct tcp_conn *c);

	/* decode - take octets off the wire, *in and *len moved past them, and write at
	 * most `room` of plaintext to out, which is *len + TCP_LAYER_HELD or more.  It may
	 * tcp_conn_put (a handshake).  Returns how many were written; 0 when all input was taken and more is needed;
	 * TCP_LAYER_ENDED when the peer sends no more (what it asked is still answered);
	 * TCP_LAYER_BROKEN when the connection cannot go on (what was put is still sent).
	 * After a positive number it is called again, also with *len 0, unless answers have
	 * to wait: then once they were taken. */
	ptrdiff_t (*decode)(void *state, const uint8_t **in, size_t *len, uint8_t *out, size_t room);

	/* shaken - is the handshake over, if there is one? */
	bool (*shaken)(const void *state);

	/* encode - tcp_conn_put the octets in their form on the wire.  False when the
	 * connection cannot go on. */
	bool (*encode)(void *state, const uint8_t *octets, size_t len);

	/* finish - the connection ends in order now: put what says so (close_notify).  At
	 * most once; not after TCP_LAYER_BROKEN. */
	void (*finish)(void *state);

	void (*close)(void *state);
};

#define TCP_LAYER_HELD (16 << 10) /* octets that a layer may have held back: a TLS record */
#define TCP_LAYER_ENDED  (-1)
#define TCP_LAYER_BROKEN (-2)

/* tcp_conn_put - from a layer's decode, encode or finish: octets for the wire, copied.
 * False when the connection is lost. */
bool tcp_conn_put(struct tcp_conn *c, const uint8_t *octets, size_t len);

/* tcp_open - bind a socket for each listen address of c, at its port, or at `port` when
 * that is not 0 (once for each host then); connections are taken only after tcp_start.
 * layer is NULL for none; it and arg outlive it.  The rest is as struct service has it,
 * here for other services to build on: *out is a struct tcp. */
int tcp_open(void **out, const struct service_env *env, const struct config *c,
	     const struct tcp_layer *layer, void *arg, uint16_t port, char *error, size_t error_size);
int tcp_start(void *tcp, uv_loop_t *loop, char *error, size_t error_size);
void tcp_limit(void *tcp, const struct config *c);
void tcp_stop(void *tcp);
void tcp_free(void *tcp);

/* Plain DNS over TCP at the listen addresses. */
extern const struct service tcp_service;

#endif
