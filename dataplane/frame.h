/* SPDX-License-Identifier: GPL-3.0-or-later */
/* frame.h - from an Ethernet frame to the DNS message in it, and back.
 *
 * Understood is exactly this: Ethernet II with up to two VLAN tags, IPv4 without
 * options or IPv6 without extension headers, no fragment, UDP to an address and
 * port of the set.  Everything else is refused with the reason to count.  A reply
 * is built in the query's own buffer: addresses turned round, VLAN tags kept,
 * everything else written afresh.
 *
 * Bytes in, bytes out: no DPDK, no allocation, no clock, no state.  Any thread;
 * the rules are only read.  It does not look into the DNS message, does not
 * answer ARP, ICMP or neighbour discovery, and never fragments.
 */
#ifndef POLLUX_FRAME_H
#define POLLUX_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "dataplane/answer/status.h"

#define FRAME_ETHER 14 /* octets of an Ethernet header without tags */
#define FRAME_VLAN   4 /* octets of one VLAN tag (IEEE 802.1Q) */
#define FRAME_IPV4  20 /* octets without options (RFC 791 3.1) */
#define FRAME_IPV6  40 /* octets (RFC 8200 section 3) */
#define FRAME_UDP    8 /* octets (RFC 768) */
#define FRAME_TAGS   2 /* VLAN tags at most */

#define FRAME_ADDRESSES 256 /* addresses of one set at most */
#define FRAME_BUCKETS   512 /* a power of two, so that at least half stay empty */

/* One address; IPv4 as ::ffff:a.b.c.d, so that both families share a table. */
struct frame_address {
	uint8_t  addr[16];
	uint16_t port_be;
	bool     used;
};

/* The addresses that are answered: open addressing, never changed once workers
 * read it, so that its lines stay shared in every core's cache. */
struct frame_addresses {
	struct frame_address bucket[FRAME_BUCKETS];
	unsigned cnt;
};

/* frame_addresses_add - put an AF_INET or AF_INET6 address with its port into the
 * set (zeroed before the first).  One already there is no error.  0, -EAFNOSUPPORT,
 * or -ENOSPC beyond FRAME_ADDRESSES. */
int frame_addresses_add(struct frame_addresses *set, const struct sockaddr_storage *sa);

/* frame_addresses_has - is {addr, port} in it?  addr as in struct frame_address. */
bool frame_addresses_has(const struct frame_addresses *set, const uint8_t addr[16],
			 uint16_t port_be);

/* What holds for all frames of one port. */
struct frame_rules {
	const struct frame_addresses *addresses;
	uint16_t mtu;         /* octets of an IP packet that the port takes */
	uint8_t  mac[6];      /* the port's own */
	bool     check_mac;   /* only frames to `mac` are ours */
	bool     check_sums;  /* verify IPv4 header and UDP checksums */
};

/* Where things are in a frame that frame_parse accepted.  Offsets and lengths in
 * octets. */
struct frame {
	uint16_t ip;          /* the IP header: 14, 18 or 22 */
	uint16_t udp;         /* the UDP header */
	uint16_t payload;     /* the DNS message */
	uint16_t payload_len; /* what UDP says; may be 0 */
	uint8_t  family;      /* 4 or 6 */
	enum status_counter reason; /* why not, when frame_parse returned false */
};

/* frame_parse - is data[0..len), untrusted and only read, a datagram for us?
 *
 * True: *f says where its parts are.  False: f->reason is one of CNT_DROP_ETHER,
 * _IP, _ADDRESS, _UDP, _CHECKSUM.  Octets behind the IP packet (padding of short
 * frames) and behind the UDP datagram (RFC 9868) are ignored.  Refused too are
 * senders that no reply can reach: a group source MAC; a source address that is
 * unspecified, loopback, multicast or broadcast (RFC 1122 3.2.1.3, RFC 4291 2.7
 * and 2.5.2); source port 0 (RFC 768); and UDP over IPv6 without a checksum
 * (RFC 8200 8.1), whatever check_sums says.
 */
bool frame_parse(struct frame *f, const struct frame_rules *rules, const uint8_t *data,
		 size_t len);

/* frame_source - the addresses and ports of an accepted frame for the control
 * process; fills all of *e but len and payload. */
void frame_source(const struct frame *f, const uint8_t *data, struct punt_entry *e);

/* frame_client - the source address in an accepted frame, network byte order; *len is
 * set to 4 or 16.  It stays until frame_reply. */
const uint8_t *frame_client(const struct frame *f, const uint8_t *data, uint8_t *len);

/* frame_max_payload - octets of DNS message that fit in a reply to f: what the
 * port's MTU leaves after IP and UDP headers and the kept VLAN tags (counted,
 * since not every driver takes tagged frames beyond MTU + 14). */
size_t frame_max_payload(const struct frame *f, const struct frame_rules *rules);

/* frame_reply - turn the query's frame into the frame of its reply.
 *
 * The message of payload_len octets (at most frame_max_payload) is already at
 * data + f->payload.  MAC addresses, IP addresses and ports change places (a
 * group destination MAC becomes the port's own, as it may not be a source); TTL
 * and hop limit are 64; IPv4 goes with DF set, so that no router fragments it
 * (RFC 9715), and with identification 0, which an atomic datagram may have
 * (RFC 6864 4.1).  The UDP checksum is always written, 0 as 0xffff (RFC 768).
 * Returns the frame's length in octets.
 */
size_t frame_reply(const struct frame *f, const struct frame_rules *rules, uint8_t *data,
		   size_t payload_len);

#endif
