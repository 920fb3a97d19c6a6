/* SPDX-License-Identifier: GPL-3.0-or-later */
/* encrypted_udp.h - the sockets of DNS over QUIC and DNS over DTLS, which share UDP port
 * 853 (demux.h tells one from the other), for one serving thread.
 *
 * Each thread has a socket at each address.  The kernel spreads datagrams over them by
 * address and port, as for UDP/53, but for packets with QUIC's short header: those go
 * to the thread whose number is in the connection id, so that a connection that moves
 * to another address stays where it is.  No packet is passed between threads.
 */
#ifndef POLLUX_ENCRYPTED_UDP_H
#define POLLUX_ENCRYPTED_UDP_H

#include "control/serve/credentials.h"
#include "control/serve/service.h"

struct encrypted_udp;

/* As struct service has them; vault outlives *out. */
int encrypted_udp_open(struct encrypted_udp **out, const struct service_env *env,
		       struct credentials_vault *vault, const struct config *c,
		       char *error, size_t error_size);
int encrypted_udp_start(struct encrypted_udp *u, uv_loop_t *loop, char *error, size_t error_size);
void encrypted_udp_limit(struct encrypted_udp *u, const struct config *c);
void encrypted_udp_stop(struct encrypted_udp *u);
void encrypted_udp_free(struct encrypted_udp *u);

#endif
