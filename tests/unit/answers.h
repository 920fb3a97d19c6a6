/* SPDX-License-Identifier: GPL-3.0-or-later */
/* answers.h - for tests of answers: a database from zone texts, questions as
 * messages, and answers as text that can be compared. */
#ifndef POLLUX_TEST_ANSWERS_H
#define POLLUX_TEST_ANSWERS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/zone/zonefile.h"
#include "dataplane/answer/answer.h"
#include "dataplane/answer/db.h"
#include "dataplane/answer/rrtype.h"
#include "dataplane/answer/wire.h"

struct lab {
	struct db *db;
	struct reader reader;
};

static inline void fatal(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

static inline void lab_open(struct lab *l)
{
	unsigned slot = 0;

	if (db_create(&l->db, UINT64_C(64) << 20, ARENA_HUGE_NO) ||
	    db_reader_reserve(l->db, 1, STATUS_KIND_SERVE, 1, &slot))
		fatal("no database");
	reader_init(&l->reader, db_map(l->db), &db_status(l->db)->slot[slot]);
}

static inline void lab_report(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "%s\n", text);
}

/* lab_put - load (or replace) a zone from text. */
static inline void lab_put(struct lab *l, const char *apex_text, const char *text)
{
	struct records rs;
	struct name apex;
	uint64_t version;

	records_init(&rs);
	if (name_from_text(&apex, apex_text) ||
	    zonefile_read_text(&rs, &apex, text, strlen(text), apex_text, lab_report, NULL))
		fatal("bad test zone");
	struct txn *t = db_begin(l->db);

	if (txn_zone_put(t, &apex, &rs) || txn_commit(t, &version))
		fatal("zone not put");
	records_free(&rs);
}

/* A zone with one of everything, and a second one that it leads to. */
static const char sample_zone[] =
	"$TTL 300\n"
	"@ 3600 SOA ns1 host 7 1800 900 604800 60\n"
	"@ NS ns1\n@ NS ns.other.test.\n@ MX 10 mail\n@ MX 20 mx.mail\n"
	"ns1 A 192.0.2.1\nns1 AAAA 2001:db8::1\n"
	"mail A 192.0.2.2\n"
	"www A 192.0.2.3\nwww A 192.0.2.4\nwww TXT \"hello\"\n"
	"alias CNAME www\nalias2 CNAME alias\nout CNAME elsewhere.test.\nnone CNAME nothing\n"
	"loop1 CNAME loop2\nloop2 CNAME loop1\n"
	"deep.a.b A 192.0.2.5\n"
	"*.wild TXT \"star\"\n*.wild MX 5 mail\n"
	"exists.wild A 192.0.2.6\nsub.ent.wild A 192.0.2.7\n"
	"*.cwild CNAME www\n"
	"cut NS ns.cut\ncut NS ns.sib\ncut NS ns1\ncut DS 1 8 2 "
	"0000000000000000000000000000000000000000000000000000000000000000\n"
	"ns.cut A 192.0.2.8\nns.cut AAAA 2001:db8::8\nbelow.cut TXT \"occluded\"\n"
	"sib NS ns.sib\nns.sib A 192.0.2.9\n"
	"lame NS ns.elsewhere.test.\n"
	"d DNAME target.test.\nd TXT \"owner\"\n"
	"into DNAME a.b\n"
	"odd TYPE65280 \\# 3 010203\n";

static inline void lab_put_sample(struct lab *l)
{
	lab_put(l, "example.", sample_zone);
	lab_put(l, "elsewhere.test.", "@ 60 SOA . . 1 1 1 1 30\n@ 60 NS ns\nns 60 A 192.0.2.99\n"
		"@ 60 TXT there\n");
}

/* question - a query message: RD set as most clients do; EDNS size 0 leaves OPT out. */
static inline size_t question(uint8_t *msg, const char *qname, uint16_t qtype, uint16_t edns)
{
	static const uint8_t header[DNS_HEADER] = { 0x12, 0x34, 0x01, 0, 0, 1 };
	struct name n;
	size_t at = DNS_HEADER;

	if (name_from_text(&n, qname))
		fatal("bad test name");
	memcpy(msg, header, sizeof(header));
	memcpy(msg + at, n.wire, n.len);
	at += n.len;
	wire_write16(msg + at, qtype);
	wire_write16(msg + at + 2, CLASS_IN);
	at += 4;
	if (edns) {
		const uint8_t opt[11] = { 0, 0, TYPE_OPT, edns >> 8, edns & 255 };

		memcpy(msg + at, opt, sizeof(opt));
		at += sizeof(opt);
		msg[11] = 1;
	}
	return at;
}

/* answer_in - the answer to a message of any kind; 0 when there is none. */
static inline size_t answer_in(struct lab *l, const uint8_t *msg, size_t len,
			       enum transport transport, size_t max, uint8_t *out)
{
	struct query q;
	uint16_t rcode;
	size_t n = 0;

	reader_online(&l->reader);
	reader_begin(&l->reader);
	if (query_parse(&l->reader, &q, msg, len, transport, max) == VERDICT_ANSWER) {
		query_prefetch(&l->reader, &q);
		n = query_answer(&l->reader, &q, out, &rcode);
		if (n > q.limit || n < DNS_HEADER)
			fatal("answer's length out of bounds");
	}
	reader_end(&l->reader);
	reader_offline(&l->reader);
	return n;
}

/* One RR at msg[at] as text; returns the offset behind it, 0 if it is malformed. */
static inline size_t rr_text(const uint8_t *msg, size_t at, size_t end, char *text, size_t size)
{
	static uint8_t rdata[1 << 16];
	struct name owner;

	at = name_unpack(&owner, msg, at, end);
	if (!at || end - at < 10)
		return 0;
	uint16_t type = wire_read16(msg + at);
	uint32_t ttl = wire_read32(msg + at + 4);
	size_t rdlen = wire_read16(msg + at + 8), rd_end, len = 0;

	at += 10;
	if (rdlen > end - at)
		return 0;
	rd_end = at + rdlen;
	if (type == TYPE_OPT) {
		snprintf(text, size, "OPT");
		return rd_end;
	}
	for (const uint8_t *f = rrtype_fields(type); f && at < rd_end; f++) {
		struct name n;

		if (*f == RD_NAME_C) {
			size_t next = name_unpack(&n, msg, at, end);

			if (!next || next > rd_end)
				return 0;
			memcpy(rdata + len, n.wire, n.len);
			len += n.len;
			at = next;
		} else if (*f == RD_16) {
			memcpy(rdata + len, msg + at, 2);
			len += 2;
			at += 2;
		} else {
			break;
		}
	}
	memcpy(rdata + len, msg + at, rd_end - at);
	len += rd_end - at;
	if (rdata_check(type, rdata, len) ||
	    record_to_text(text, size, owner.wire, type, ttl, rdata, (uint16_t)len))
		return 0;
	return rd_end;
}

/* answer_text - the whole answer, a line each: "RCODE aa tc", then every RR with its
 * section; blanks are folded to one space.  NULL if the message is malformed. */
static inline char *answer_text(const uint8_t *msg, size_t len)
{
	static const char *const sections[] = { "an", "ns", "ar" };
	static char text[1 << 20];
	char rcode[16], *p = text;
	size_t at = DNS_HEADER;

	if (len < DNS_HEADER)
		return NULL;
	p += sprintf(p, "%s%s%s\n", rcode_name(rcode, msg[3] & 15), msg[2] & 4 ? " aa" : "",
		     msg[2] & 2 ? " tc" : "");
	for (unsigned i = wire_read16(msg + 4); i > 0; i--) {
		at = name_skip(msg, at, len);
		if (!at || len - at < 4)
			return NULL;
		at += 4;
	}
	for (unsigned s = 0; s < 3; s++) {
		for (unsigned i = wire_read16(msg + 6 + 2 * s); i > 0; i--) {
			static char rr[1 << 18];

			at = rr_text(msg, at, len, rr, sizeof(rr));
			if (!at)
				return NULL;
			if (!strcmp(rr, "OPT"))
				continue;
			p += sprintf(p, "%s ", sections[s]);
			for (const char *c = rr; *c; c++)
				if (!(strchr(" \t", *c) && strchr(" \t", c[1])))
					*p++ = *c == '\t' ? ' ' : *c;
			*p++ = '\n';
		}
	}
	*p = 0;
	return at == len ? text : NULL;
}

#endif
