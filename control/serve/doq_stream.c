/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/doq_stream.h"

#include <stdlib.h>
#include <string.h>

#define HEADER 12          /* octets of a DNS message's header (RFC 1035 section 4.1.1) */
#define FLAG_QR 0x80       /* in the third octet: a response */
#define TYPE_OPT 41
#define OPTION_KEEPALIVE 11 /* edns-tcp-keepalive (RFC 7828 section 3.1) */
#define FIRST_CAP 512      /* octets; holds nearly every query */

static size_t read_u16(const uint8_t *p)
{
	return (size_t)p[0] << 8 | p[1];
}

void doq_stream_init(struct doq_stream *s)
{
	*s = (struct doq_stream){0};
}

void doq_stream_free(struct doq_stream *s)
{
	free(s->buf);
	doq_stream_init(s);
}

/* Moves *at past a name, whatever is in it.  False when it runs out of the message. */
static bool skip_name(const uint8_t *msg, size_t len, size_t *at)
{
	while (*at < len) {
		size_t n = msg[*at];

		if (n >= 0xc0) { /* a pointer ends a name (RFC 1035 section 4.1.4) */
			*at += 2;
			return *at <= len;
		}
		*at += 1 + n;
		if (n == 0)
			return true;
	}
	return false;
}

/* Whether the RDATA of an OPT, rdata[0..len), names the option. */
static bool has_keepalive(const uint8_t *rdata, size_t len)
{
	while (len >= 4) {
		size_t n = read_u16(rdata + 2);

		if (read_u16(rdata) == OPTION_KEEPALIVE)
			return true;
		if (n > len - 4)
			return false;
		rdata += 4 + n;
		len -= 4 + n;
	}
	return false;
}

/* A message that cannot be walked is not judged here: it gets its FORMERR. */
static bool asks_keepalive(const uint8_t *msg, size_t len)
{
	size_t questions = read_u16(msg + 4), at = HEADER;
	size_t records = read_u16(msg + 6) + read_u16(msg + 8) + read_u16(msg + 10);

	while (questions-- > 0) {
		if (!skip_name(msg, len, &at) || len - at < 4)
			return false;
		at += 4;
	}
	while (records-- > 0) {
		if (!skip_name(msg, len, &at) || len - at < 10)
			return false;

		size_t type = read_u16(msg + at), n = read_u16(msg + at + 8);

		at += 10;
		if (n > len - at)
			return false;
		if (type == TYPE_OPT && has_keepalive(msg + at, n))
			return true;
		at += n;
	}
	return false;
}

/* RFC 9250 section 4.3.3 lists what is a protocol error. */
static bool acceptable(const uint8_t *msg, size_t len)
{
	return len >= HEADER && read_u16(msg) == 0 && !(msg[2] & FLAG_QR) && !asks_keepalive(msg, len);
}

/* False without memory. */
static bool keep(struct doq_stream *s, const uint8_t *data, size_t len)
{
	if (s->cap - s->have < len) {
		size_t cap = s->cap ? s->cap : FIRST_CAP;

		while (cap - s->have < len)
			cap *= 2;

		uint8_t *buf = realloc(s->buf, cap);

		if (!buf)
			return false;
		s->buf = buf;
		s->cap = cap;
	}
	memcpy(s->buf + s->have, data, len);
	s->have += len;
	return true;
}

enum doq_stream_result doq_stream_feed(struct doq_stream *s, const uint8_t *data, size_t len,
				       bool fin, const uint8_t **msg, size_t *msg_len)
{
	/* Never more than a message and its prefix are kept: what is longer is bad. */
	if (s->have > 0 || !fin) {
		if (len > DOQ_PREFIX + 65535 - s->have)
			return DOQ_STREAM_BAD;
		if (len > 0 && !keep(s, data, len))
			return DOQ_STREAM_NO_MEMORY;
		data = s->buf;
		len = s->have;
	}
	if (len >= DOQ_PREFIX && len - DOQ_PREFIX > read_u16(data))
		return DOQ_STREAM_BAD;
	if (!fin)
		return DOQ_STREAM_MORE;
	if (len < DOQ_PREFIX || len - DOQ_PREFIX != read_u16(data))
		return DOQ_STREAM_BAD;
	*msg = data + DOQ_PREFIX;
	*msg_len = len - DOQ_PREFIX;
	return acceptable(*msg, *msg_len) ? DOQ_STREAM_QUERY : DOQ_STREAM_BAD;
}
