/* SPDX-License-Identifier: GPL-3.0-or-later */
/* udp.h - DNS over UDP on kernel sockets: what the steering passes on, and all of
 * it while no dataplane is there.
 *
 * A struct udp belongs to the thread of its loop.  Datagrams are untrusted and
 * taken in bursts of up to 32.
 */
#ifndef POLLUX_UDP_H
#define POLLUX_UDP_H

#include <uv.h>

#include "control/serve/serve.h"
#include "dataplane/common/config.h"

struct udp;

/* udp_open - bind a socket for each address; nothing is received before udp_start.
 * The addresses are copied, s must outlive it.  0, or -errno after writing a
 * sentence to `error`. */
int udp_open(struct udp **out, struct serve *s, const struct config_address *a, size_t cnt,
	     char *error, size_t error_size);

/* udp_start - answer from now on, on this loop.  0 or -errno. */
int udp_start(struct udp *u, uv_loop_t *loop);

/* udp_punted - answer a datagram that a worker handed over, from the socket that
 * its destination belongs to.  The entry is untrusted.  False when it is not
 * addressed to us. */
bool udp_punted(struct udp *u, const struct punt_entry *e);

/* udp_stop - close all sockets; the loop has to run once more before udp_free. */
void udp_stop(struct udp *u);
void udp_free(struct udp *u);

#endif
