/* SPDX-License-Identifier: GPL-3.0-or-later */
/* status.h - the layout of the status region: shared memory that the control
 * process and the dataplane both write.  Epochs, heartbeats, counters and the
 * punt rings live here; zone data never does.
 *
 * The region is a memfd of sizeof(struct status) octets made by the control
 * process.  One slot per reading thread of either process.  A slot's owner is
 * its only writer but for `pid`, which the control process sets when it hands
 * the slot out and clears only once that process is dead (a closed connection
 * is not enough: a hung reader may still look at old memory).
 *
 * Either side may be hostile by accident only: the control process checks every
 * index it takes from a ring, and treats payloads as datagrams from the wire.
 */
#ifndef POLLUX_STATUS_H
#define POLLUX_STATUS_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define STATUS_MAGIC  UINT64_C(0x504f4c4c55585354) /* "POLLUXST" */
#ifndef STATUS_LAYOUT     /* a test may build with another */
#define STATUS_LAYOUT 3   /* raised with every change of what is below */
#endif
#define STATUS_SLOTS 64   /* reading threads, of both processes together */
#define STATUS_OFFLINE UINT64_MAX /* epoch of a reader that holds no reference */

#define PUNT_SLOTS 64     /* a power of two */
#define PUNT_PAYLOAD 1472 /* octets: the largest UDP payload of a 1500-octet frame */

enum status_kind { STATUS_KIND_NONE, STATUS_KIND_WORKER, STATUS_KIND_SERVE };

/* Ways a frame or datagram ends, one counter each. */
enum status_counter {
	CNT_RX,               /* frames or datagrams received */
	CNT_TX,               /* sent */
	CNT_TX_FULL,          /* answers lost: the transmit queue stayed full */
	CNT_ANSWER,           /* answers written */
	CNT_PUNT,             /* handed to the control process */
	CNT_PUNT_FULL,        /* lost: the ring was full */
	CNT_DROP_ETHER,       /* not to our MAC, or no IP in 0..2 VLAN tags */
	CNT_DROP_IP,          /* IPv4/IPv6 header malformed, options, fragments */
	CNT_DROP_ADDRESS,     /* not a configured address, protocol or port */
	CNT_DROP_UDP,         /* UDP length wrong, or a multi-segment mbuf */
	CNT_DROP_CHECKSUM,    /* the driver said bad */
	CNT_DROP_NOT_QUERY,   /* QR=1, or shorter than a DNS header */
	CNT_TRUNCATED,        /* answers sent with TC */
	CNT_EDNS,             /* queries with OPT */
	CNT_WORKERS,          /* what follows only the control process counts: */
	CNT_TCP_ACCEPT = CNT_WORKERS, CNT_TCP_REFUSE, CNT_TCP_TIMEOUT, /* connections, TLS's too */
	CNT_TCP_EVICT,        /* ended for a newcomer */
	CNT_QUIC_ACCEPT, CNT_QUIC_REFUSE, CNT_QUIC_TIMEOUT, CNT_QUIC_EVICT,
	CNT_QUIC_RETRY,       /* had to show their address first */
	CNT_DTLS_ACCEPT, CNT_DTLS_REFUSE, CNT_DTLS_TIMEOUT, CNT_DTLS_EVICT,
	CNT_COUNT
};
#define STATUS_RCODES 24 /* 0..23 */
#define STATUS_OPCODES 16 /* all (RFC 6895 section 2.2) */

/* One datagram handed over.  Addresses and ports in network byte order. */
struct punt_entry {
	uint8_t  family;      /* 4 or 6 */
	uint8_t  pad;
	uint16_t len;         /* octets of payload, at most PUNT_PAYLOAD */
	uint16_t src_port_be, dst_port_be;
	uint8_t  src[16], dst[16]; /* IPv4 in the first 4 octets */
	uint8_t  payload[PUNT_PAYLOAD];
};

/* Single producer (the slot's worker), single consumer (the control process).
 * P  the producer fills entry[head % N], then release-stores head + 1.
 * C  the consumer acquire-loads head, reads, then release-stores tail. */
struct punt_ring {
	alignas(64) _Atomic uint32_t head;
	alignas(64) _Atomic uint32_t tail;
	alignas(64) struct punt_entry entry[PUNT_SLOTS];
};

struct status_slot {
	alignas(64) _Atomic uint64_t epoch;     /* see db.h */
	_Atomic uint64_t heartbeat;             /* CLOCK_MONOTONIC nanoseconds of the last poll round */
	alignas(64) _Atomic uint32_t pid;       /* 0: free */
	_Atomic uint32_t kind;                  /* enum status_kind */
	_Atomic uint32_t port_ifindex;          /* worker on AF_XDP: interface, else 0 */
	_Atomic uint32_t port_queue;            /* and its queue */
	char name[32];                          /* e.g. "worker 0", set once by the owner */
	alignas(64) _Atomic uint64_t counter[CNT_COUNT];
	_Atomic uint64_t rcode[STATUS_RCODES];
	_Atomic uint64_t opcode[STATUS_OPCODES]; /* of the answers; QUERY is not counted */
	alignas(64) struct punt_ring punt;
};

struct status {
	uint64_t magic;
	uint32_t layout;
	uint32_t slot_size;     /* sizeof(struct status_slot), a second check */
	alignas(64) struct status_slot slot[STATUS_SLOTS];
};

/* status_count - add to a counter of one's own slot: a plain load and store,
 * as nobody else writes it (relaxed; readers want no more than a recent value). */
static inline void status_count(struct status_slot *s, enum status_counter c, uint64_t n)
{
	atomic_store_explicit(&s->counter[c],
		atomic_load_explicit(&s->counter[c], memory_order_relaxed) + n,
		memory_order_relaxed);
}

/* status_set - the same for a counter that is kept elsewhere. */
static inline void status_set(struct status_slot *s, enum status_counter c, uint64_t n)
{
	atomic_store_explicit(&s->counter[c], n, memory_order_relaxed);
}

/* punt_push - hand a datagram to the control process.  False when the ring is
 * full (edge P). */
bool punt_push(struct punt_ring *ring, const struct punt_entry *head,
	       const uint8_t *payload, uint16_t len);

/* punt_pop - take the oldest datagram into *out, whose len is then at most
 * PUNT_PAYLOAD whatever the producer wrote.  False when empty (edge C).  A head
 * that is out of range empties the ring. */
bool punt_pop(struct punt_ring *ring, struct punt_entry *out);

#endif
