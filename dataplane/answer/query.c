/* SPDX-License-Identifier: GPL-3.0-or-later */
/* query.c - check a DNS query; write the answers that need no data.  See answer.h.
 *
 * Where the standards leave a choice, or servers take one, this follows what two
 * of NSD 4.6, Knot 3.2 and BIND 9.18 do, which they were asked, message by message:
 *
 *  - Records in the answer and authority sections and unknown ones among the
 *    additional are read past and ignored (Knot, BIND), but their RDATA must be
 *    sound.  Owner names are not followed through pointers, and records of classes
 *    other than IN not looked into: that costs time and decides nothing.
 *  - Octets after the last record are ignored (NSD, BIND).
 *  - AA, TC, RA, Z and the rcode of a query are ignored (Knot, BIND).
 *  - An OPT that is malformed, not owned by the root, second, or not in the
 *    additional section is FORMERR, and the answer then has none; the same holds
 *    for any malformed record.  Malformed options are FORMERR even when the version
 *    is not 0 (Knot, BIND).
 *  - A query without a question is FORMERR (RFC 9619) with an OPT if it had one
 *    (Knot, BIND), unless it has a cookie (BIND).
 *  - Opcodes other than QUERY get NOTIMP, or BADVERS if they ask for that (Knot,
 *    BIND), and an OPT if they had one.
 *  - AXFR over UDP is NOTIMP (NSD, Knot); RFC 5936 4.2 leaves it undefined.
 *  - Types that are never data (0, OPT, TSIG, MAILB, ...) are looked up like others
 *    (NSD, Knot, for 0 NSD and BIND).
 *  - Class ANY is looked up in IN (NSD, Knot); other classes but CH are REFUSED
 *    (NSD, Knot).
 */
#include "answer.h"

#include <string.h>

#include "name_hash.h"
#include "rrtype.h"
#include "table.h"
#include "write.h"

#define OPCODE_MASK 0x78  /* in octet 2 */
#define FLAG_DO 0x8000    /* in the OPT's TTL (RFC 3225) */

#define UDP_PAYLOAD_DEFAULT 1232 /* fits the smallest IPv6 MTU: 1280 - 40 - 8 */

/* A record of the query.  Offsets into the message. */
struct record_view {
	size_t owner, rdata;
	uint16_t type, class, rdata_len;
	uint32_t ttl;
};

/* record_read - the record at msg[at]; returns the offset just past it, 0 if it
 * is cut short or its owner malformed. */
static size_t record_read(struct record_view *v, const uint8_t *msg, size_t at, size_t end)
{
	v->owner = at;
	at = name_skip(msg, at, end);
	if (at == 0 || end - at < 10)
		return 0;
	v->type = wire_read16(msg + at);
	v->class = wire_read16(msg + at + 2);
	v->ttl = wire_read32(msg + at + 4);
	v->rdata_len = wire_read16(msg + at + 8);
	v->rdata = at + 10;
	if (v->rdata_len > end - v->rdata)
		return 0;
	return v->rdata + v->rdata_len;
}

/* compressible_sound - is RDATA of a type whose names may be compressed as long as
 * its fields?  Those types have numbers and names only (RFC 1035 section 3.3). */
static bool compressible_sound(const uint8_t *field, const uint8_t *msg,
			       const struct record_view *v)
{
	size_t at = v->rdata, end = v->rdata + v->rdata_len;

	for (; *field != RD_END; field++) {
		size_t size = *field == RD_16 ? 2 : 4;

		if (*field == RD_NAME_C) {
			at = name_skip(msg, at, end);
			if (at == 0)
				return false;
		} else {
			if (end - at < size)
				return false;
			at += size;
		}
	}
	return at == end;
}

static bool rdata_sound(const uint8_t *msg, const struct record_view *v)
{
	const uint8_t *fields = rrtype_fields(v->type);

	if (!fields || v->class != CLASS_IN)
		return true;
	for (const uint8_t *f = fields; *f != RD_END; f++)
		if (*f == RD_NAME_C)
			return compressible_sound(fields, msg, v);
	return rdata_check(v->type, msg + v->rdata, v->rdata_len) == NULL;
}

/* tsig_sound - RFC 8945 4.2: algorithm, time, fudge, MAC, original ID, error and
 * other data fill the RDATA, and the class is ANY. */
static bool tsig_sound(const uint8_t *msg, const struct record_view *v)
{
	size_t end = v->rdata + v->rdata_len;
	size_t at = name_skip(msg, v->rdata, end);

	if (v->class != CLASS_ANY || at == 0 || end - at < 10)
		return false;
	size_t mac = wire_read16(msg + at + 8);

	at += 10;
	if (mac > end - at || end - at - mac < 6)
		return false;
	at += mac + 6;
	return wire_read16(msg + at - 2) == end - at;
}

/* sections_read - check all records behind the question at msg[at], take the OPT
 * from among them, and see whether the last is a TSIG.  Returns NOERROR, FORMERR
 * (then q has no OPT) or BADVERS. */
static uint16_t sections_read(struct query *q, size_t at, bool *tsig)
{
	const uint8_t *msg = q->msg;
	unsigned before = (unsigned)wire_read16(msg + 6) + wire_read16(msg + 8);
	unsigned cnt = before + wire_read16(msg + 10); /* of all sections */
	struct edns_options options = { 0 };
	bool opt = false, dnssec_ok = false;
	uint16_t size = 0;
	uint8_t version = 0;

	*tsig = false;
	if (cnt == 0)
		return RCODE_NOERROR;
	for (unsigned i = 0; i < cnt; i++) {
		struct record_view v;

		at = record_read(&v, msg, at, q->len);
		if (at == 0)
			return RCODE_FORMERR;
		if (v.type == TYPE_OPT) {
			/* One, in the additional section, owned by the root
			 * (RFC 6891 6.1.1, 6.1.2). */
			if (opt || i < before || msg[v.owner] != 0 ||
			    !edns_read(&options, q->transport, msg + v.rdata, v.rdata_len))
				return RCODE_FORMERR;
			opt = true;
			size = v.class;
			version = (uint8_t)(v.ttl >> 16);
			dnssec_ok = v.ttl & FLAG_DO;
		} else if (v.type == TYPE_TSIG) {
			/* The last additional record (RFC 8945 5.1). */
			if (i < before || i != cnt - 1 || !tsig_sound(msg, &v))
				return RCODE_FORMERR;
			*tsig = true;
		} else if (!rdata_sound(msg, &v)) {
			return RCODE_FORMERR;
		}
	}
	q->edns = opt;
	q->edns_size = size;
	q->dnssec_ok = dnssec_ok;
	if (opt)
		q->options = options;
	/* Version 0 is all there is (RFC 6891 6.1.3). */
	return version > 0 ? RCODE_BADVERS : RCODE_NOERROR;
}

/* question_read - take the one question.  False if it is malformed. */
static inline __attribute__((always_inline)) bool question_read(struct query *q)
{
	size_t at = name_read(&q->qname, q->msg, DNS_HEADER, q->len);

	if (at == 0 || q->len - at < 4)
		return false;
	q->qtype = wire_read16(q->msg + at);
	q->qclass = wire_read16(q->msg + at + 2);
	q->question_end = (uint16_t)(at + 4);
	return true;
}

/* limit_set - octets that the answer may have: in a datagram what the client takes, at
 * least 512 (RFC 6891 6.2.3), but no more than we want to send. */
static void limit_set(struct query *q, size_t max)
{
	size_t limit = UINT16_MAX;

	if (transport_datagram(q->transport)) {
		limit = q->edns_size < q->udp_payload ? q->edns_size : q->udp_payload;
		if (limit < DNS_UDP_MIN)
			limit = DNS_UDP_MIN;
	}
	q->limit = (uint16_t)(max < limit ? max : limit);
}

static enum verdict decide(struct query *q, uint16_t rcode)
{
	q->decided = true;
	q->rcode = rcode;
	return VERDICT_ANSWER;
}

/* query_read - the message itself: header, question, records; `asked` says that the
 * question has been read.  Returns whether all is well; if not, the rcode is decided. */
static __attribute__((noinline)) bool query_read(struct query *q, bool asked, bool *tsig)
{
	uint16_t question_cnt = wire_read16(q->msg + 4);
	uint16_t fault = RCODE_FORMERR;

	asked = asked || (question_cnt == 1 && question_read(q));
	/* What stands behind a question that cannot be read cannot be found. */
	if (asked || question_cnt == 0)
		fault = sections_read(q, q->question_end, tsig);
	if (q->opcode != OPCODE_QUERY) {
		decide(q, fault == RCODE_BADVERS ? RCODE_BADVERS : RCODE_NOTIMP);
		return false;
	}
	/* No question, but a cookie: only that is asked for, if we do cookies (RFC 7873 section 5.4). */
	if (fault == RCODE_NOERROR && question_cnt == 0 && q->options.cookie_len > 0 && q->settings &&
	    q->settings->cookies != COOKIES_OFF) {
		decide(q, RCODE_NOERROR);
		return false;
	}
	/* One question, neither more nor less (RFC 9619). */
	if (fault == RCODE_NOERROR && !asked)
		fault = RCODE_FORMERR;
	if (fault != RCODE_NOERROR) {
		decide(q, fault);
		return false;
	}
	return true;
}

/* header_usual - opcode QUERY, one question, nothing in the answer and authority sections. */
static inline bool header_usual(const uint8_t *msg)
{
	static const uint8_t mask[8] = { OPCODE_MASK, 0, 255, 255, 255, 255, 255, 255 };
	static const uint8_t want[8] = { OPCODE_QUERY, 0, 0, 1 };

	return (octets_load8(msg + 2) & octets_load8(mask)) == octets_load8(want);
}

/* opt_usual - is the record at msg[at] a plain OPT of version 0? */
static inline bool opt_usual(const struct query *q, size_t at)
{
	static const uint8_t mask[4] = { 255, 255, 255, 0 }, want[4] = { 0, 0, TYPE_OPT };
	const uint8_t *opt = q->msg + at;

	return q->len - at >= OPT_LEN &&
	       (octets_load4(opt) & octets_load4(mask)) == octets_load4(want) &&
	       opt[6] == 0 && wire_read16(opt + 9) == 0;
}

/* sections_usual - is there nothing behind the question but perhaps a plain OPT?  Nearly all
 * queries are like that; sections_read would say the same of them. */
static inline bool sections_usual(struct query *q)
{
	size_t at = q->question_end;
	uint16_t cnt = wire_read16(q->msg + 10);

	if (cnt == 0)
		return true;
	if (cnt > 1 || !opt_usual(q, at))
		return false;
	q->edns = true;
	q->edns_size = wire_read16(q->msg + at + 3);
	q->dnssec_ok = q->msg[at + 7] >> 7; /* RFC 3225 */
	return true;
}

/* look_up - the rest of query_parse when the data is asked for. */
static inline enum verdict look_up(const struct reader *r, struct query *q)
{
	q->hash = name_hash(arena_map_head(&r->map)->secret, q->qname.wire, q->qname.len);
	return VERDICT_ANSWER;
}

/* unusual - the rest of query_parse for everything but a plain question; `asked`
 * says that the question has been read. */
static __attribute__((noinline)) enum verdict unusual(const struct reader *r, struct query *q,
						      bool asked, size_t max)
{
	bool tsig = false, sound;

	if (!asked)
		q->qname.len = 0;
	q->edns = q->dnssec_ok = false;
	q->edns_size = 0;
	sound = query_read(q, asked, &tsig);
	limit_set(q, max);
	q->opt_room = q->edns ? edns_room(q->settings, q) : 0;
	if (q->question_end + q->opt_room > q->limit) {
		/* Who we are and which version this is may be left out. */
		q->options.nsid = q->options.zoneversion = false;
		q->opt_room = q->edns ? edns_room(q->settings, q) : 0;
	}
	if (!sound)
		return VERDICT_ANSWER;
	if (tsig)
		return VERDICT_PUNT;
	if (q->qclass == CLASS_CH)
		return VERDICT_ANSWER;
	if (q->qclass != CLASS_IN && q->qclass != CLASS_ANY)
		return decide(q, RCODE_REFUSED);
	if (q->qtype == TYPE_IXFR)
		return VERDICT_PUNT;
	if (q->qtype == TYPE_AXFR)
		return transport_datagram(q->transport) ? decide(q, RCODE_NOTIMP) : VERDICT_PUNT;
	return look_up(r, q);
}

enum verdict query_parse(const struct reader *r, struct query *q, const uint8_t *msg,
			 size_t len, enum transport transport, size_t max)
{
	/* Looked up once: others may be in force before the answer is written, and these stay
	 * until the burst ends. */
	const struct settings *settings = reader_settings(r);

	if (len < DNS_HEADER || len > UINT16_MAX || msg[2] & FLAG_QR >> 8)
		return VERDICT_DROP;
	memset(&q->qtype, 0, offsetof(struct query, options.cookie) - offsetof(struct query, qtype));
	q->msg = msg;
	q->settings = settings;
	q->hash = 0;
	q->len = (uint16_t)len;
	q->question_end = DNS_HEADER;
	q->udp_payload = settings ? settings->udp_payload : UDP_PAYLOAD_DEFAULT;
	q->opcode = (msg[2] & OPCODE_MASK) >> 3;
	q->transport = transport;

	bool asked = header_usual(msg) && question_read(q);

	if (!asked || !sections_usual(q) || q->qclass != CLASS_IN || q->qtype == TYPE_IXFR ||
	    q->qtype == TYPE_AXFR)
		return unusual(r, q, asked, max);
	limit_set(q, max);
	q->opt_room = q->edns ? OPT_LEN : 0;
	return look_up(r, q);
}

size_t answer_opt(const struct reader *r, const struct query *q, uint8_t *out, size_t at,
		  uint16_t rcode)
{
	wire_write16(out + 10, (uint16_t)(wire_read16(out + 10) + q->edns));
	return write_opt(r, q, out, at, rcode);
}

size_t query_error(const struct reader *r, struct query *q, uint8_t *out, uint16_t rcode)
{
	/* Only a path narrower than any IP has would not take the question. */
	if (q->question_end + q->opt_room > q->limit) {
		q->question_end = DNS_HEADER;
		q->edns = false;
	}
	answer_header(q, out, rcode, false);
	return answer_opt(r, q, out, q->question_end, rcode);
}
