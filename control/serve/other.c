/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/other.h"

#include <string.h>

#include "dataplane/answer/rrtype.h"

#define RR_FIXED 10 /* octets of type, class, TTL and RDLENGTH (RFC 1035 4.1.3) */
#define FLAG_TC 0x02

/* Behind the algorithm's name in TSIG's RDATA (RFC 8945 section 4.2). */
#define TSIG_TIME 8  /* octets: time signed 6, fudge 2 */
#define TSIG_MAC_SIZE 2
#define TSIG_TAIL 6  /* original ID, error, other length */

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint8_t *put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

/* Is the RDATA from t->rdata to end well formed?  Sets t->algorithm_end. */
static bool read_rdata(const uint8_t *msg, size_t end, struct other_tsig *t)
{
	struct name algorithm;

	/* The algorithm's name is never compressed (RFC 8945 section 4.2). */
	t->algorithm_end = name_read(&algorithm, msg, t->rdata, end);
	if (t->algorithm_end == 0)
		return false;

	size_t at = t->algorithm_end;

	if (end - at < TSIG_TIME + TSIG_MAC_SIZE)
		return false;
	at += TSIG_TIME;

	size_t mac = get16(msg + at);

	at += TSIG_MAC_SIZE;
	if (end - at < mac)
		return false;
	at += mac;
	if (end - at < TSIG_TAIL)
		return false;

	size_t other = get16(msg + at + 4);

	at += TSIG_TAIL;
	return end - at == other;
}

enum other_find other_find_tsig(const uint8_t *msg, size_t len, struct other_tsig *t)
{
	if (len < DNS_HEADER)
		return TSIG_BAD;

	size_t at = DNS_HEADER;

	for (unsigned n = get16(msg + 4); n > 0; n--) {
		at = name_skip(msg, at, len);
		if (at == 0 || len - at < 4)
			return TSIG_BAD;
		at += 4;
	}

	unsigned before = (unsigned)get16(msg + 6) + get16(msg + 8); /* answer, authority */
	unsigned all = before + get16(msg + 10);

	for (unsigned n = 0; n < all; n++) {
		size_t owner = at;
		size_t name_end = name_skip(msg, at, len);

		if (name_end == 0 || len - name_end < RR_FIXED)
			return TSIG_BAD;

		uint16_t type = get16(msg + name_end);
		size_t rdata_len = get16(msg + name_end + 8);

		at = name_end + RR_FIXED;
		if (len - at < rdata_len)
			return TSIG_BAD;
		at += rdata_len;
		if (type != TYPE_TSIG)
			continue;

		/* Last of the additional section, class ANY, TTL 0 (RFC 8945 sections 5.1, 4.2). */
		struct name key;

		if (n < before || n + 1 != all || get16(msg + name_end + 2) != CLASS_ANY ||
		    get16(msg + name_end + 4) || get16(msg + name_end + 6) ||
		    name_unpack(&key, msg, owner, len) == 0)
			return TSIG_BAD;
		*t = (struct other_tsig){.at = owner, .name_end = name_end,
					 .rdata = name_end + RR_FIXED};
		return read_rdata(msg, at, t) ? TSIG_FOUND : TSIG_BAD;
	}
	return TSIG_NONE;
}

/* Appends the unsigned TSIG RR that tells BADKEY to the n octets at out.  Returns
 * the new length, or 0 when it does not fit into q->limit. */
static size_t add_tsig_error(const struct query *q, const struct other_tsig *t,
			     uint8_t *out, size_t n)
{
	struct name key;

	name_unpack(&key, q->msg, t->at, q->len);

	size_t algorithm_len = t->algorithm_end - t->rdata;
	size_t rdata_len = algorithm_len + TSIG_TIME + TSIG_MAC_SIZE + TSIG_TAIL;

	if (q->limit < n || q->limit - n < key.len + RR_FIXED + rdata_len)
		return 0;

	uint8_t *p = out + n;

	memcpy(p, key.wire, key.len);
	p += key.len;
	p = put16(p, TYPE_TSIG);
	p = put16(p, CLASS_ANY);
	p = put16(p, 0);
	p = put16(p, 0);
	p = put16(p, (uint16_t)rdata_len);
	/* Algorithm, time signed and fudge as they came: without a MAC they prove nothing. */
	memcpy(p, q->msg + t->rdata, algorithm_len + TSIG_TIME);
	p += algorithm_len + TSIG_TIME;
	p = put16(p, 0);                /* MAC size: unsigned (RFC 8945 section 5.3.2) */
	memcpy(p, q->msg, 2);           /* original ID */
	p = put16(p + 2, TSIG_BADKEY);
	p = put16(p, 0);                /* no other data */
	put16(out + 10, (uint16_t)(get16(out + 10) + 1));
	return (size_t)(p - out);
}

static size_t answer_signed(const struct reader *r, struct query *q, const struct other_tsig *t,
			    uint8_t *out)
{
	size_t n = query_error(r, q, out, RCODE_NOTAUTH);
	size_t all = add_tsig_error(q, t, out, n);

	if (all)
		return all;
	/* Names too long for the client's size: it may ask again over TCP. */
	out[2] |= FLAG_TC;
	return n;
}

size_t other_answer(const struct reader *r, struct query *q, uint8_t *out, uint16_t *rcode)
{
	struct other_tsig tsig;
	struct zone_info zone;

	switch (other_find_tsig(q->msg, q->len, &tsig)) {
	case TSIG_FOUND:
		*rcode = RCODE_NOTAUTH;
		return answer_signed(r, q, &tsig, out);
	case TSIG_BAD:
		*rcode = RCODE_FORMERR;
		break;
	case TSIG_NONE:
		*rcode = RCODE_REFUSED;
		if ((q->qtype == TYPE_AXFR || q->qtype == TYPE_IXFR) &&
		    reader_zone(r, &q->qname, &zone))
			*rcode = RCODE_NOTAUTH;
	}
	return query_error(r, q, out, *rcode);
}
