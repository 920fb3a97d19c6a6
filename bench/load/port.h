/* SPDX-License-Identifier: GPL-3.0-or-later */
/* port.h - the one DPDK port that queries leave by and answers come back to.
 *
 *   interface:NAME   AF_XDP on a kernel interface, its first queue.  A program of our
 *                    own takes datagrams to our source ports off the kernel's
 *                    path; ARP, neighbour discovery and all else stay with it
 *   memif:PATH       shared memory; we are the client, id 0
 *   pci:ADDRESS      a NIC that DPDK's drivers own (vfio)
 *
 * One queue, one polling core: the main thread.
 */
#ifndef POLLUX_BENCH_PORT_H
#define POLLUX_BENCH_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mempool.h>

enum port_kind { PORT_INTERFACE, PORT_MEMIF, PORT_PCI };

struct port {
	enum port_kind kind;
	const char *target;    /* interface, path or address */
	unsigned ifindex;      /* of an interface */
	uint8_t mac[6];
	uint16_t id;           /* DPDK's */
	bool open;
	int pass;              /* of the gate, memif only; -1 */
	struct rte_mempool *pool;
};

/* port_parse - what `text` names.  0, or -EINVAL (logged). */
int port_parse(struct port *p, const char *text);

/* port_open - start DPDK on CPU `core` and the port on it; until `seconds` have passed
 * wait for a memif's server or a NIC's link.  0 or -errno, logged; port_close also after
 * a failure. */
int port_open(struct port *p, unsigned core, double seconds);
void port_close(struct port *p);

/* port_ready - may the port be used until the next call?  Each round. */
bool port_ready(const struct port *p);

/* port_link - is anybody there?  A memif without its server, a NIC without link: no. */
bool port_link(const struct port *p);

#endif
