/* SPDX-License-Identifier: GPL-3.0-or-later */
/* edns.c - EDNS options: what a query asks for and what its answer brings; see
 * write.h. */
#include <string.h>

#include "cookie.h"
#include "rrtype.h"
#include "write.h"

enum { /* the IANA registry of DNS EDNS0 option codes */
	OPTION_NSID = 3, OPTION_COOKIE = 10, OPTION_KEEPALIVE = 11, OPTION_PADDING = 12, OPTION_EDE = 15,
	OPTION_ZONEVERSION = 19,
};

#define OPTION_HEADER 4      /* octets of code and length */
#define COOKIE_RENEW 1800    /* seconds: an older cookie is replaced (RFC 9018 section 4.3) */
#define KEEPALIVE_LEN 2      /* octets of TIMEOUT (RFC 7828 section 3.1) */
#define ZONEVERSION_LEN 6    /* octets of LABELCOUNT, TYPE, serial (RFC 9660 section 2) */
#define PADDED_MULTIPLE 468  /* octets: the length of padded answers (RFC 8467 section 4.1) */
#define ZONEVERSION_SERIAL 0 /* TYPE: SOA-SERIAL */

bool edns_read(struct edns_options *o, enum transport transport, const uint8_t *in, size_t left)
{
	*o = (struct edns_options){ 0 };
	while (left > 0) {
		if (left < OPTION_HEADER)
			return false;
		uint16_t code = wire_read16(in), len = wire_read16(in + 2);

		if (len > left - OPTION_HEADER)
			return false;
		in += OPTION_HEADER;
		switch (code) {
		case OPTION_NSID:
			o->nsid = true; /* what a query's NSID holds says nothing (RFC 5001 section 2.1) */
			break;
		case OPTION_COOKIE:
			/* The client's alone, or with a server's of 8 to 32 octets; the first
			 * option counts (RFC 7873 sections 5.2 and 5.2.2). */
			if (len != COOKIE_CLIENT && (len < COOKIE_CLIENT + 8 || len > COOKIE_MAX))
				return false;
			if (o->cookie_len == 0) {
				o->cookie_len = (uint8_t)len;
				memcpy(o->cookie, in, len);
			}
			break;
		case OPTION_ZONEVERSION:
			if (len != 0) /* RFC 9660 section 3.1 */
				return false;
			o->zoneversion = true;
			break;
		case OPTION_KEEPALIVE:
			/* Of TCP connections, TLS on them or not (RFC 7858 section 3.4);
			 * elsewhere it is ignored (RFC 7828 section 3.2.1), and clients give
			 * no time-out (the same). */
			if (transport != TRANSPORT_TCP && transport != TRANSPORT_TLS)
				break;
			if (len != 0)
				return false;
			o->keepalive = true;
			break;
		case OPTION_PADDING:
			o->padding = true; /* whatever it holds (RFC 7830 section 3) */
			break;
		}
		in += len;
		left -= OPTION_HEADER + len;
	}
	o->any = o->nsid || o->zoneversion || o->padding || o->keepalive || o->cookie_len;
	return true;
}

uint16_t edns_room(const struct settings *s, const struct query *q)
{
	size_t room = OPT_LEN;

	if (q->options.nsid && s && s->identity[0])
		room += OPTION_HEADER + strnlen(s->identity, SETTINGS_TEXT);
	if (q->options.cookie_len && s && s->cookies != COOKIES_OFF)
		room += OPTION_HEADER + COOKIE_CLIENT + COOKIE_SERVER;
	if (q->options.zoneversion)
		room += OPTION_HEADER + ZONEVERSION_LEN;
	if (q->options.keepalive)
		room += OPTION_HEADER + KEEPALIVE_LEN;
	return (uint16_t)room;
}

/* Is the server cookie of the query one of ours for this client? */
static bool cookie_good(const struct reader *r, const struct settings *s, const struct query *q)
{
	const uint8_t *client = q->options.cookie, *server = client + COOKIE_CLIENT;
	uint8_t len = (uint8_t)(q->options.cookie_len - COOKIE_CLIENT);

	for (unsigned i = 0; i < s->cookie_secret_cnt; i++)
		if (cookie_check(server, len, client, q->client, q->client_len, r->now,
				 s->cookie_secret[i]))
			return true;
	return false;
}

bool edns_refuse(const struct reader *r, const struct query *q)
{
	const struct settings *s = q->settings;

	if (!s || s->cookies == COOKIES_OFF || !q->client || !q->options.cookie_len)
		return false;
	/* Without a question the server cookie is what is asked about, if there is one, over
	 * whatever transport (RFC 7873 section 5.4). */
	if (q->question_end == DNS_HEADER)
		return q->rcode == RCODE_NOERROR && q->options.cookie_len > COOKIE_CLIENT &&
		       !cookie_good(r, s, q);
	/* Over TCP the address is no lie (RFC 7873 section 5.2.3). */
	return s->cookies == COOKIES_REQUIRE && q->transport == TRANSPORT_UDP && !cookie_good(r, s, q);
}

static uint8_t *option(uint8_t *out, uint16_t code, size_t len)
{
	wire_write16(out, code);
	wire_write16(out + 2, (uint16_t)len);
	return out + OPTION_HEADER;
}

/* The client's cookie and ours: the one it has while that is good and young. */
static uint8_t *write_cookie(const struct reader *r, const struct settings *s,
			     const struct query *q, uint8_t *out)
{
	const uint8_t *client = q->options.cookie;
	const uint8_t *server = client + COOKIE_CLIENT;

	out = option(out, OPTION_COOKIE, COOKIE_CLIENT + COOKIE_SERVER);
	memcpy(out, client, COOKIE_CLIENT);
	out += COOKIE_CLIENT;
	if (q->options.cookie_len == COOKIE_CLIENT + COOKIE_SERVER &&
	    r->now - wire_read32(server + 4) < COOKIE_RENEW &&
	    cookie_check(server, COOKIE_SERVER, client, q->client, q->client_len, r->now,
			 s->cookie_secret[0]))
		memcpy(out, server, COOKIE_SERVER);
	else
		cookie_make(out, client, q->client, q->client_len, r->now, s->cookie_secret[0]);
	return out + COOKIE_SERVER;
}

/* The length of a message that ends at `end` is what padding hides: up to the next multiple, or
 * the limit if that is nearer. */
static uint8_t *write_padding(const struct query *q, uint8_t *out, size_t end)
{
	size_t least = end + OPTION_HEADER, padded = least + PADDED_MULTIPLE - 1;

	padded -= padded % PADDED_MULTIPLE;
	if (padded > q->limit)
		padded = q->limit;
	if (least > padded)
		return out + end;
	memset(option(out + end, OPTION_PADDING, padded - least), 0, padded - least);
	return out + padded;
}

size_t edns_write(const struct reader *r, const struct query *q, uint8_t *out, size_t at)
{
	const struct settings *s = q->settings;
	uint8_t *p = out + at;

	if (q->options.nsid && s && s->identity[0]) {
		size_t len = strnlen(s->identity, SETTINGS_TEXT);

		memcpy(option(p, OPTION_NSID, len), s->identity, len);
		p += OPTION_HEADER + len;
	}
	if (q->options.cookie_len && q->client && s && s->cookies != COOKIES_OFF)
		p = write_cookie(r, s, q, p);
	if (q->options.keepalive) {
		wire_write16(option(p, OPTION_KEEPALIVE, KEEPALIVE_LEN), q->keepalive);
		p += OPTION_HEADER + KEEPALIVE_LEN;
	}
	if (q->zone_known) {
		p = option(p, OPTION_ZONEVERSION, ZONEVERSION_LEN);
		p[0] = q->zone_labels;
		p[1] = ZONEVERSION_SERIAL;
		wire_write32(p + 2, q->zone_serial);
		p += ZONEVERSION_LEN;
	}
	if (q->ede && (size_t)(p - out) + OPTION_HEADER + 2 <= q->limit) {
		wire_write16(option(p, OPTION_EDE, 2), q->ede);
		p += OPTION_HEADER + 2;
	}
	/* The last option, only where the answer is encrypted (RFC 8467 section 3, RFC 7830
	 * section 6). */
	if (q->options.padding && transport_encrypted(q->transport))
		p = write_padding(q, out, (size_t)(p - out));
	return (size_t)(p - out);
}
