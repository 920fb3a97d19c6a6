/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tcp.h - DNS over TCP (RFC 7766): many queries on a connection, answered in the
 * order in which they came, each up to 65,535 octets.
 *
 * A struct tcp belongs to the thread of its loop.  Clients are untrusted, and what
 * each may hold is bounded: a query that has not ended, what it sent ahead in one
 * read, and TCP_QUEUE_MAX octets of answers that it has not taken; its connection
 * ends when it gets nothing done for the idle time.
 */
#ifndef POLLUX_TCP_H
#define POLLUX_TCP_H

#include <uv.h>

#include "control/serve/serve.h"
#include "dataplane/common/config.h"

/* Octets of answers that may wait for a client before no more of its queries are
 * read: two of the largest.  With 1,024 clients the most that slow ones can hold
 * is then some 200 MB. */
#define TCP_QUEUE_MAX (128 << 10)

struct tcp;

struct tcp_limits {
	unsigned clients;          /* connections at a time */
	unsigned idle_timeout_ms;
};

/* tcp_open - bind a socket for each address; connections are taken only after
 * tcp_start.  s must outlive it.  0, or -errno after writing a sentence to `error`. */
int tcp_open(struct tcp **out, struct serve *s, const struct config_address *a, size_t cnt,
	     const struct tcp_limits *limits, char *error, size_t error_size);

/* tcp_start - accept and answer from now on, on this loop.  0 or -errno, then with
 * a sentence in `error`. */
int tcp_start(struct tcp *t, uv_loop_t *loop, char *error, size_t error_size);

/* tcp_limit - other limits from now on.  Connections over the new number stay. */
void tcp_limit(struct tcp *t, const struct tcp_limits *limits);

/* tcp_clients - connections now. */
unsigned tcp_clients(const struct tcp *t);

/* tcp_stop - close all; the loop has to run until that is done before tcp_free. */
void tcp_stop(struct tcp *t);
void tcp_free(struct tcp *t);

#endif
