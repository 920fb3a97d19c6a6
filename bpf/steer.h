/* SPDX-License-Identifier: GPL-3.0-or-later */
/* steer.h - the maps of the steering program, as it and user space know them.
 *
 *   xsks_map         XSKMAP, queue -> AF_XDP socket; filled by DPDK's driver.
 *   steer_address    hash, struct steer_address -> __u8 (1): what is served.  Empty:
 *                    everything passes to the kernel.  Room for two lists of
 *                    STEER_ADDRESSES, as one replaces the other.
 *   steer_settings   array of one struct steer_settings.
 *   steer_bypass     array, queue -> __u32; not 0: the queue's traffic passes.
 *   steer_counter    per-CPU array, enum steer_reason -> __u64.
 */
#ifndef POLLUX_STEER_H
#define POLLUX_STEER_H

#include <linux/types.h>

#define STEER_QUEUES 64
#define STEER_ADDRESSES 256

/* Key of steer_address.  Network byte order; IPv4 as ::ffff:a.b.c.d. */
struct steer_address {
	__u8  addr[16];
	__be16 port;
	__u8  pad[2]; /* 0 */
};

struct steer_settings {
	__u32 max_payload; /* octets of DNS message that go to a worker; 0 stands for 1232 */
};

/* Why a frame went where it went; index into steer_counter. */
enum steer_reason {
	STEER_REDIRECT,       /* to the queue's worker */
	STEER_PASS_NO_SOCKET, /* would be, but the queue has no AF_XDP socket */
	STEER_PASS_BYPASS,    /* would be, but the queue is bypassed */
	STEER_PASS_NOT_IP,    /* ARP, other ethertypes, more than two VLAN tags */
	STEER_PASS_NOT_UDP,   /* TCP, ICMP, ... */
	STEER_PASS_ADDRESS,   /* UDP to another address or port (853 among them) */
	STEER_PASS_OPTIONS,   /* IPv4 options, IPv6 extension headers */
	STEER_PASS_FRAGMENT,
	STEER_PASS_SIZE,      /* DNS message longer than max_payload */
	STEER_PASS_OPCODE,    /* NOTIFY, UPDATE, ... */
	STEER_PASS_MALFORMED, /* lengths that do not fit; the kernel decides */
	STEER_DROP_RESPONSE,  /* QR=1: no query */
	STEER_DROP_SHORT,     /* shorter than a DNS header: no query */
	STEER_REASONS
};

#endif
