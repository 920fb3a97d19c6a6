/* SPDX-License-Identifier: GPL-3.0-or-later */
/* port.h - where frames come from and go to: the ports of the configuration, as
 * DPDK devices but for memif.
 *
 *   interface  AF_XDP on a kernel interface with the steering program; frames to
 *              the interface's MAC only, no promiscuous mode
 *   memif      shared-memory rings (memif_server.h): one queue, one client at a time
 *   pcap       one file read, one written; its end ends the run
 *
 * None of these drivers says whether a query's checksums are right, so
 * `verify-checksums: auto` verifies nothing, `yes` does it in frame.c.
 *
 * Main thread only, but for the queues, which are polled by one core each.
 */
#ifndef POLLUX_PORT_H
#define POLLUX_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mempool.h>

#include "bpf/steerctl.h"
#include "dataplane/common/config.h"
#include "dataplane/frame.h"
#include "dataplane/memif_server.h"

#define PORT_BURST 32 /* frames that a worker takes at once */

/* Octets of an IP packet that native XDP takes: a page less XDP's headroom (256),
 * the room for struct skb_shared_info (320), Ethernet header and two VLAN tags. */
#define PORT_XDP_MTU (4096 - 256 - 320 - FRAME_ETHER - FRAME_TAGS * FRAME_VLAN)

struct port {
	const struct config_port *config;
	const char *name;        /* for messages: the interface, or the file's path */
	uint16_t id;             /* DPDK's number, once `open` */
	struct memif_server *memif; /* NULL: a DPDK device */
	unsigned queues;         /* each both receives and transmits */
	unsigned ifindex;        /* AF_XDP only, else 0 */
	bool open;
	bool started;
	struct frame_rules rules;
	struct steer_maps maps;  /* AF_XDP only, once open */
	struct rte_mempool *pool[CONFIG_PORT_QUEUES_MAX];
};

/* port_check - fill *p from its configuration and see that it can be opened, as far
 * as that can be told before DPDK runs: interface there, MTU, queues, rights, no
 * foreign XDP program (a stale one of ours is removed), no other process listening
 * on the memif socket (a stale socket file is removed).  Every fault is logged.
 * c and addresses must outlive p.  0 or -errno. */
int port_check(struct port *p, const struct config *c, const struct config_port *cp,
	       const struct frame_addresses *addresses);

/* port_memory - octets of packet buffers that an open port takes. */
size_t port_memory(const struct port *p);

/* port_open - make the DPDK device, its buffers and queues, and start it, or listen for
 * memif's clients.  `number` makes names unique.  Logs what is wrong.  0 or -errno;
 * port_close also after a failure. */
int port_open(struct port *p, unsigned number);

/* port_fd, port_step - of a port that has something to do for the main thread, call
 * port_step when its descriptor is readable; -1 for the others.  While cores run. */
int port_fd(const struct port *p);
void port_step(struct port *p);

/* port_close - stop it: sockets closed, XDP program detached, memif socket file
 * removed, pcap file complete.  No core may poll it any more. */
void port_close(struct port *p);

#endif
