/* SPDX-License-Identifier: GPL-3.0-or-later */
/* prepare.h - queries as finished frames, laid one behind the other in the order in
 * which they will be sent, so that sending walks through memory.
 *
 * What differs each time a query is sent are its ID and source port.  Together they
 * carry the query's number, so that an answer says by itself to which sending it
 * belongs:
 *
 *	ID    number bits 0..15
 *	port  PREPARE_PORT + (number bits 16..29  xor  number bits 0..13)
 *
 * The xor makes the port change with every query: 16,384 flows even in a short burst.
 * IPv4 queries go with identification 0 and DF (RFC 6864 4.1).
 */
#ifndef POLLUX_BENCH_PREPARE_H
#define POLLUX_BENCH_PREPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/answer/wire.h"

#define PREPARE_PORT 16384     /* first source port; as many follow */
#define PREPARE_PORTS 16384
#define PREPARE_NUMBER 0x3fffffffu /* a query's number has 30 bits */
#define PREPARE_UNIT 16        /* octets; references count in these */
#define PREPARE_MESSAGE 1400   /* octets: the longest query */
#define PREPARE_TAGS 2         /* VLAN tags */

#define RCODE_UNKNOWN 0xff

/* Who asks whom.  A family without a server is not used. */
struct prepare_peers {
	uint8_t mac_from[6], mac_to[6];
	uint16_t tag[PREPARE_TAGS]; /* VLAN ids, outermost first */
	unsigned tag_cnt;
	bool use4, use6;
	uint8_t server4[4], server6[16];
	uint8_t source4[4], source6[16]; /* the first of `sources` addresses in a row */
	unsigned sources;
	uint16_t port;         /* the server's */
	unsigned share6;       /* percent of queries over IPv6 where both are used */
};

struct prepared {
	uint16_t len;          /* octets of frame */
	uint16_t question_len; /* octets from the DNS header's end on */
	uint16_t sum;          /* UDP checksum, not complemented, with ID and port 0 */
	uint8_t dns;           /* where in frame the message begins */
	uint8_t rcode;         /* the one to be answered, or RCODE_UNKNOWN */
	uint32_t sample;       /* 1 + index of its expected answer; 0: not looked into */
	uint32_t pad;
	uint8_t frame[];
};

struct prepare_store {
	uint8_t *base;
	uint32_t next;         /* in units; 0 refers to nothing */
	uint32_t cnt;
	uint32_t asked4, asked6;
	struct prepare_peers peers;
};

/* prepare_init - an empty store for queries between these peers.  0 or -ENOMEM. */
int prepare_init(struct prepare_store *s, const struct prepare_peers *peers);
void prepare_free(struct prepare_store *s);

/* prepare_add - append a query.  msg[0..len) is untrusted: it must be a message with
 * QR=0 and one question.  The new entry, or NULL with *error 0 (no query of that
 * kind) or -ENOMEM. */
struct prepared *prepare_add(struct prepare_store *s, const uint8_t *msg, size_t len,
			     int *error);

/* prepare_at - the entry of a reference. */
static inline const struct prepared *prepare_at(const uint8_t *base, uint32_t at)
{
	return (const struct prepared *)(base + (size_t)at * PREPARE_UNIT);
}

/* prepare_units - how many units an entry takes. */
static inline uint32_t prepare_units(const struct prepared *p)
{
	return (uint32_t)((sizeof(*p) + p->len + PREPARE_UNIT - 1) / PREPARE_UNIT);
}

static inline uint16_t prepare_port(uint32_t number)
{
	return (uint16_t)(PREPARE_PORT + ((number >> 16 ^ number) & (PREPARE_PORTS - 1)));
}

/* prepare_number - the number that ID and port carry; port is one of ours. */
static inline uint32_t prepare_number(uint16_t id, uint16_t port)
{
	return (uint32_t)(((port - PREPARE_PORT) ^ id) & (PREPARE_PORTS - 1)) << 16 | id;
}

/* prepare_number_frame - write a number into a copy of p->frame. */
static inline void prepare_number_frame(uint8_t *frame, const struct prepared *p, uint32_t number)
{
	uint16_t port = prepare_port(number), id = (uint16_t)number;
	uint32_t sum = (uint32_t)p->sum + port + id;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum & 0xffff;
	wire_write16(frame + p->dns - 8, port);
	/* 0 would mean that there is no checksum (RFC 768). */
	wire_write16(frame + p->dns - 2, (uint16_t)(sum == 0 ? 0xffff : sum));
	wire_write16(frame + p->dns, id);
}

#endif
