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

enum check check_frame(const struct checker *k, struct flights *f, const uint8_t *data, size_t len,
		       struct checked *c)
{
	size_t ip = 14 + 4 * (size_t)k->peers->tag_cnt, udp, ip_len, udp_len;
	uint16_t kind, port;
	bool six;

	*c = (struct checked){ 0 };
	if (len < ip + 20 + UDP)
		return CHECK_OTHER;
	kind = wire_read16(data + ip - 2);
	if (kind == 0x0800 && data[ip] == 0x45 && data[ip + 9] == 17) {
		six = false;
		udp = ip + 20;
		ip_len = wire_read16(data + ip + 2) - (size_t)20;
	} else if (kind == 0x86dd && len >= ip + 40 + UDP && data[ip + 6] == 17) {
		six = true;
		udp = ip + 40;
		ip_len = wire_read16(data + ip + 4);
	} else {
		return CHECK_OTHER;
	}
	port = wire_read16(data + udp + 2);
	if (wire_read16(data + udp) != k->peers->port || port < PREPARE_PORT ||
	    port >= PREPARE_PORT + PREPARE_PORTS)
		return CHECK_OTHER;
	udp_len = wire_read16(data + udp + 4);
	if (udp_len < UDP + DNS_HEADER || udp_len != ip_len || udp_len > len - udp)
		return CHECK_WRONG_LENGTH; /* whose it is cannot be told */

	const uint8_t *msg = data + udp + UDP;
	struct flight *e = flights_find(f, prepare_number(wire_read16(msg), port));

	if (!e || e->at == 0)
		return CHECK_LATE;

	const struct prepared *p = prepare_at(k->base, e->at);
	const uint8_t *asked = p->frame + p->dns;

	c->flight = e;
	c->msg = msg;
	c->len = udp_len - UDP;
	c->rcode = msg[3] & 0xf;
	c->truncated = msg[2] >> 1 & 1;
	if (p->dns != udp + UDP)
		return CHECK_WRONG_ADDRESS; /* the other family */
	if (six) {
		if (memcmp(data + ip + 8, p->frame + ip + 24, 16) != 0 ||
		    memcmp(data + ip + 24, p->frame + ip + 8, 16) != 0)
			return CHECK_WRONG_ADDRESS;
	} else {
		uint64_t asked_pair = load64(p->frame + ip + 12);

		if (load64(data + ip + 12) != (asked_pair >> 32 | asked_pair << 32))
			return CHECK_WRONG_ADDRESS;
	}
	if (ip > 14 && memcmp(data + 12, p->frame + 12, ip - 14) != 0)
		return CHECK_WRONG_ADDRESS; /* VLAN tags are part of where it goes */
	/* QR, the query's opcode, one question. */
	if ((msg[2] & 0xf8) != (asked[2] & 0x78) + (k->echo ? 0 : 0x80) || wire_read16(msg + 4) != 1)
		return CHECK_WRONG_HEADER;
	if (c->len < (size_t)DNS_HEADER + p->question_len ||
	    memcmp(msg + DNS_HEADER, asked + DNS_HEADER, p->question_len) != 0)
		return CHECK_WRONG_QUESTION;
	if (c->rcode != p->rcode && p->rcode != RCODE_UNKNOWN && !k->echo)
		return CHECK_WRONG_RCODE;
	if (p->sample == 0)
		return CHECK_RIGHT;
	if (k->sums && !sum_is_right(data + (six ? ip + 8 : ip + 12), six ? 32 : 8, data + udp, udp_len))
		return CHECK_WRONG_SUM;
	return check_sample(k, p, c);
}
