/* SPDX-License-Identifier: GPL-3.0-or-later */
/* port.h - the one port that queries leave by and answers come back to.
 *
 *   interface:NAME   AF_XDP on a kernel interface, its first queue.  A program of our
 *                    own takes datagrams to our source ports off the kernel's
 *                    path; ARP, neighbour discovery and all else stay with it
 *   memif:PATH       shared memory (memif.h); DPDK is not started
 *   pci:ADDRESS      a NIC that DPDK's drivers own (vfio)
 *
 * One queue, one polling core: the main thread.
 */
#ifndef POLLUX_BENCH_PORT_H
#define POLLUX_BENCH_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mempool.h>

#include "bench/load/memif.h"

#define PORT_BURST 64 /* frames at most, each way */

enum port_kind { PORT_INTERFACE, PORT_MEMIF, PORT_PCI };

struct port {
	enum port_kind kind;
	const char *target;    /* interface, path or address */
	unsigned ifindex;      /* of an interface */
	uint8_t mac[6];
	uint16_t id;           /* DPDK's */
	bool open, started;
	struct rte_mempool *pool;
	struct memif memif;
	struct rte_mbuf *received[PORT_BURST]; /* until port_release */
	struct rte_mbuf *written[PORT_BURST];  /* from written_at on not yet taken by the device */
	unsigned received_cnt, written_cnt, written_at;
};

struct frame {
	uint8_t *data;
	uint32_t len;
};

/* port_parse - what `text` names.  0, or -EINVAL (logged). */
int port_parse(struct port *p, const char *text);

/* port_open - start DPDK on CPU `core` and the port on it; until `seconds` have passed
 * wait for a memif's server or a NIC's link.  0 or -errno, logged; port_close also after
 * a failure. */
int port_open(struct port *p, unsigned core, double seconds);
void port_close(struct port *p);

/* port_receive - up to PORT_BURST frames, the caller's to read until port_release, which
 * must follow.  *waiting: how many there were.  Over memif that is known; elsewhere a burst
 * that is half full counts as two. */
unsigned port_receive(struct port *p, struct frame *frame, unsigned *waiting);
void port_release(struct port *p);

/* port_room - room for up to cnt frames (PORT_BURST at most) to be written to frame[i].data;
 * 0 while the device has not taken all that was sent before, which is tried again.
 * *no_buffer counts times when there was no memory.  `octets`: how long they will be,
 * more or less. */
unsigned port_room(struct port *p, struct frame *frame, unsigned cnt, unsigned octets, uint64_t *no_buffer);

/* port_send - send the first `used` of `room` frames, each of its frame[i].len.  How many
 * the device took at once; the others go later. */
unsigned port_send(struct port *p, const struct frame *frame, unsigned used, unsigned room);

/* port_flush - try to send what is left of an earlier burst.  How many went. */
unsigned port_flush(struct port *p);

/* port_behind - how many frames are left; port_forget - drop them. */
static inline unsigned port_behind(const struct port *p)
{
	return p->written_cnt - p->written_at;
}

void port_forget(struct port *p);

/* port_link - is anybody there?  A memif without its server, a NIC without link: no. */
bool port_link(const struct port *p);

#endif
