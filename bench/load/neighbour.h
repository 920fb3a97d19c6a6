/* SPDX-License-Identifier: GPL-3.0-or-later */
/* neighbour.h - what the kernel knows about the way to the server. */
#ifndef POLLUX_BENCH_NEIGHBOUR_H
#define POLLUX_BENCH_NEIGHBOUR_H

#include <stdint.h>

/* neighbour_source - the address that the kernel would send from to `server`: both of
 * family AF_INET (4 octets) or AF_INET6 (16).  0 or -errno. */
int neighbour_source(int family, const uint8_t *server, uint8_t *source);

/* neighbour_hop - who on which link is to be handed what is for `server`: the server itself
 * or a gateway.  0 or -errno. */
int neighbour_hop(int family, const uint8_t *server, uint8_t *hop, unsigned *ifindex);

/* neighbour_mac - the MAC address of `server`, which must be on the link of `ifindex`.
 * Makes the kernel look for it, and waits for up to a second.  0, -ENOENT, -errno. */
int neighbour_mac(unsigned ifindex, int family, const uint8_t *server, uint8_t mac[6]);

#endif
