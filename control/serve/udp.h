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

#include "control/serve/service.h"

struct udp;

/* The sockets of one serving thread: a socket for each listen address. */
extern const struct service udp_service;

/* udp_punted - answer a datagram that a worker handed over, from the socket that
 * its destination belongs to.  The entry is untrusted.  False when it is not
 * addressed to us. */
bool udp_punted(struct udp *u, const struct punt_entry *e);

#endif
