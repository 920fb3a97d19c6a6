/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/load/check.h"

#include <string.h>

#include "bench/load/expect.h"
#include "dataplane/answer/answer.h"

#define UDP 8

static const char *const names[CHECKS] = {
	[CHECK_RIGHT] = "right",
	[CHECK_OTHER] = "other",
	[CHECK_LATE] = "late",
	[CHECK_WRONG_LENGTH] = "length",
	[CHECK_WRONG_ADDRESS] = "address",
	[CHECK_WRONG_HEADER] = "header",
	[CHECK_WRONG_QUESTION] = "question",
	[CHECK_WRONG_RCODE] = "rcode",
	[CHECK_WRONG_SUM] = "checksum",
	[CHECK_WRONG_CONTENT] = "content",
};

const char *check_name(enum check c)
{
	return names[c];
}

/* Is the UDP checksum of the datagram right, pseudo header included (RFC 768, RFC 8200
 * 8.1)? */
static bool sum_is_right(const uint8_t *addresses, size_t addresses_len, const uint8_t *udp,
			 size_t udp_len)
{
	uint64_t sum = 17 + udp_len;

	if (wire_read16(udp + 6) == 0)
		return addresses_len == 8; /* IPv4 may do without */
	for (size_t i = 0; i < addresses_len; i += 2)
		sum += wire_read16(addresses + i);
	for (size_t i = 0; i + 1 < udp_len; i += 2)
		sum += wire_read16(udp + i);
	if (udp_len % 2)
		sum += (uint64_t)udp[udp_len - 1] << 8;
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* The whole of a sample's answer. */
static enum check check_sample(const struct checker *k, const struct prepared *p, struct checked *c)
{
	uint64_t digest;

	c->sampled = true;
	if (k->echo)
		return c->len == (size_t)p->len - p->dns &&
			       memcmp(c->msg + 2, p->frame + p->dns + 2, c->len - 2) == 0
			     ? CHECK_RIGHT
			     : CHECK_WRONG_CONTENT;
	digest = expect_digest(c->msg, c->len);
	if (digest == 0)
		return CHECK_WRONG_CONTENT; /* not well formed */
	if (k->learn && k->expected[p->sample - 1] == 0)
		k->expected[p->sample - 1] = digest;
	if (k->expected[p->sample - 1] == 0) {
		c->sampled = false;
		return CHECK_RIGHT;
	}
	return k->expected[p->sample - 1] == digest ? CHECK_RIGHT : CHECK_WRONG_CONTENT;
}

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Are a[0..len) and b[0..len) the same?  len is at least 4.  Few steps for the short
 * strings that questions are; words overlap rather than reach beyond the end. */
static bool same(const uint8_t *a, const uint8_t *b, size_t len)
{
	uint64_t differ = 0;

	if (len < 8)
		return ((load32(a) ^ load32(b)) | (load32(a + len - 4) ^ load32(b + len - 4))) == 0;
	for (size_t i = 0; i + 8 < len; i += 8)
		differ |= load64(a + i) ^ load64(b + i);
	return (differ | (load64(a + len - 8) ^ load64(b + len - 8))) == 0;
}

enum check check_find(const struct checker *k, const struct flights *f, const uint8_t *data, size_t len,
		      struct checked *c)
{
	size_t ip = 14 + 4 * (size_t)k->peers->tag_cnt, udp, ip_len, udp_len;
	uint16_t kind, port;

	c->flight = NULL;
	if (len < ip + 20 + UDP)
		return CHECK_OTHER;
	kind = wire_read16(data + ip - 2);
	if (kind == 0x0800 && data[ip] == 0x45 && data[ip + 9] == 17) {
		udp = ip + 20;
		ip_len = wire_read16(data + ip + 2) - (size_t)20;
	} else if (kind == 0x86dd && len >= ip + 40 + UDP && data[ip + 6] == 17) {
		udp = ip + 40;
		ip_len = wire_read16(data + ip + 4);
	} else {
		return CHECK_OTHER;
	}
	port = wire_read16(data + udp + 2);
	if (wire_read16(data + udp) != k->peers->port || (uint16_t)(port - PREPARE_PORT) >= PREPARE_PORTS)
		return CHECK_OTHER;
	udp_len = wire_read16(data + udp + 4);
	if (udp_len < UDP + DNS_HEADER || udp_len != ip_len || udp_len > len - udp)
		return CHECK_WRONG_LENGTH; /* whose it is cannot be told */

	const uint8_t *msg = data + udp + UDP;
	struct flight *e = flights_find(f, prepare_number(wire_read16(msg), port));

	if (!e || e->at == 0)
		return CHECK_LATE;
	c->flight = e;
	c->frame = data;
	c->msg = msg;
	c->len = (uint32_t)(udp_len - UDP);
	c->ip = (uint8_t)ip;
	c->udp = (uint8_t)udp;
	return CHECK_RIGHT;
}

/* Have the addresses, and the VLAN tags, been turned round? */
static bool addresses_are_right(const struct prepared *p, const struct checked *c)
{
	const uint8_t *got = c->frame + c->ip, *asked = p->frame + c->ip;

	if (p->dns != c->udp + UDP)
		return false; /* the other family */
	if (c->ip > 14 && memcmp(c->frame + 12, p->frame + 12, c->ip - (size_t)14) != 0)
		return false;
	if (c->udp - c->ip == 20) {
		uint64_t pair = load64(asked + 12);

		return load64(got + 12) == (pair >> 32 | pair << 32);
	}
	return ((load64(got + 8) ^ load64(asked + 24)) | (load64(got + 16) ^ load64(asked + 32)) |
		(load64(got + 24) ^ load64(asked + 8)) | (load64(got + 32) ^ load64(asked + 16))) == 0;
}

enum check check_answer(const struct checker *k, struct checked *c)
{
	const struct prepared *p = prepare_at(k->base, c->flight->at);
	const uint8_t *asked = p->frame + p->dns, *msg = c->msg;

	c->sampled = false;
	c->rcode = msg[3] & 0xf;
	c->truncated = msg[2] >> 1 & 1;
	if (!addresses_are_right(p, c))
		return CHECK_WRONG_ADDRESS;
	/* QR, the query's opcode, one question. */
	if ((msg[2] & 0xf8) != (asked[2] & 0x78) + (k->echo ? 0 : 0x80) || wire_read16(msg + 4) != 1)
		return CHECK_WRONG_HEADER;
	if (c->len < (size_t)DNS_HEADER + p->question_len ||
	    !same(msg + DNS_HEADER, asked + DNS_HEADER, p->question_len))
		return CHECK_WRONG_QUESTION;
	if (c->rcode != p->rcode && p->rcode != RCODE_UNKNOWN && !k->echo)
		return CHECK_WRONG_RCODE;
	if (p->sample == 0)
		return CHECK_RIGHT;
	if (k->sums) {
		size_t addresses = c->udp - c->ip == 20 ? 8 : 32;

		if (!sum_is_right(c->frame + c->udp - addresses, addresses, c->frame + c->udp, c->len + UDP))
			return CHECK_WRONG_SUM;
	}
	return check_sample(k, p, c);
}
