/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading queries, and the answers that need no zone. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/answer/answer.h"
#include "dataplane/answer/name_hash.h"
#include "dataplane/answer/rrtype.h"
#include "dataplane/answer/table.h"
#include "dataplane/answer/write.h"

/* An arena without zones, made by hand: its head, settings and an empty table. */
static struct {
	alignas(64) struct arena_head head;
	alignas(ARENA_UNIT) struct settings settings;
	alignas(64) uint8_t table[sizeof(struct table) + sizeof(struct bucket)];
} arena;

static struct reader reader = { .map = { (const uint8_t *)&arena, sizeof(arena) } };

#define REF_OF(member) ((ref)(offsetof(__typeof__(arena), member) / ARENA_UNIT))

static void setup(void)
{
	strcpy(arena.settings.identity, "ns1.example");
	strcpy(arena.settings.version, "Pollux");
	arena.settings.udp_payload = 1400;
	arena.head.settings = REF_OF(settings);
	arena.head.table = REF_OF(table);
	for (size_t i = 0; i < ARENA_SECRET; i++)
		arena.head.secret[i] = (uint8_t)(i * 7);
}

TestSuite(query, .init = setup);

/* A message under construction. */
struct message {
	size_t len;
	uint8_t octets[2048];
};

static void add(struct message *m, const void *octets, size_t len)
{
	memcpy(m->octets + m->len, octets, len);
	m->len += len;
}

static void add16(struct message *m, unsigned value)
{
	wire_write16(m->octets + m->len, (uint16_t)value);
	m->len += 2;
}

static void header(struct message *m, unsigned flags, unsigned qd, unsigned an,
		   unsigned ns, unsigned ar)
{
	m->len = 0;
	add16(m, 0x1234);
	add16(m, flags);
	add16(m, qd);
	add16(m, an);
	add16(m, ns);
	add16(m, ar);
}

#define WWW "\3wWw\7Example\0"
#define WWW_LEN 13
#define WWW_END (12 + WWW_LEN + 4)

static void question(struct message *m, unsigned type, unsigned class)
{
	add(m, WWW, WWW_LEN);
	add16(m, type);
	add16(m, class);
}

static void record(struct message *m, const void *owner, size_t owner_len, unsigned type,
		   unsigned class, uint32_t ttl, const void *rdata, size_t len)
{
	add(m, owner, owner_len);
	add16(m, type);
	add16(m, class);
	add16(m, ttl >> 16);
	add16(m, ttl & 0xffff);
	add16(m, (unsigned)len);
	add(m, rdata, len);
}

static void opt(struct message *m, unsigned size, uint32_t ttl)
{
	record(m, "", 1, TYPE_OPT, size, ttl, "", 0);
}

static void add_tsig(struct message *m)
{
	static const char rdata[] = "\013hmac-sha256\0\0\0\0\0\0\0\1\54\0\4abcd\x12\x34\0\0\0";

	record(m, "\3key", 5, TYPE_TSIG, CLASS_ANY, 0, rdata, sizeof(rdata));
}

static void soa(struct message *m)
{
	static const uint8_t rdata[4 + 20] = { 0xc0, 0x0c, 1, 'h' };
	uint8_t whole[25];

	memcpy(whole, rdata, 4);
	memset(whole + 4, 0, 21);
	record(m, "\xc0\x10", 2, TYPE_SOA, CLASS_IN, 0, whole, 25);
}

static struct query q;
static uint8_t out[65535];
static size_t out_len;

/* parse - query_parse from a block of exactly the message's size. */
static enum verdict parse_on(const struct message *m, enum transport transport, size_t max)
{
	static uint8_t *block;

	free(block);
	block = malloc(m->len ? m->len : 1);
	memcpy(block, m->octets, m->len);
	memset(&q, 0xa5, sizeof(q));
	return query_parse(&reader, &q, block, m->len, transport, max);
}

static enum verdict parse(const struct message *m)
{
	return parse_on(m, TRANSPORT_UDP, 1472);
}

/* decided - parse, expect a decided rcode, and write the answer: rcode, whether the
 * question is in it, and whether an OPT is. */
static void decided(const struct message *m, uint16_t rcode, bool asked, bool edns)
{
	uint8_t place[sizeof(m->octets)];

	cr_assert_eq(parse(m), VERDICT_ANSWER);
	cr_assert(q.decided);
	cr_assert_eq(q.rcode, rcode, "rcode %u, not %u", q.rcode, rcode);
	out_len = query_error(&reader, &q, out, q.rcode);
	cr_assert_eq(out_len, (asked ? q.question_end : 12u) + (edns ? 11u : 0u));
	cr_assert_leq(out_len, q.limit);
	cr_assert_eq(wire_read16(out), 0x1234);
	cr_assert_eq(out[2] & 0x86, 0x80, "QR alone");
	cr_assert_eq(out[2] & 0x79, m->octets[2] & 0x79, "opcode and RD are the query's");
	cr_assert_eq(out[3], rcode & 15);
	cr_assert_eq(wire_read16(out + 4), asked);
	cr_assert_eq(wire_read16(out + 6), 0);
	cr_assert_eq(wire_read16(out + 8), 0);
	cr_assert_eq(wire_read16(out + 10), edns);
	if (asked)
		cr_assert_arr_eq(out + 12, m->octets + 12, q.question_end - 12);
	if (edns) {
		const uint8_t *o = out + out_len - 11;

		cr_assert_eq(o[0], 0);
		cr_assert_eq(wire_read16(o + 1), TYPE_OPT);
		cr_assert_eq(wire_read16(o + 3), 1400);
		cr_assert_eq(o[5], rcode >> 4);
		cr_assert_eq(o[6], 0);
		cr_assert_eq(wire_read16(o + 7), q.dnssec_ok ? 0x8000 : 0);
		cr_assert_eq(wire_read16(o + 9), 0);
	}

	/* The same in the query's own buffer. */
	memcpy(place, m->octets, m->len);
	cr_assert_eq(query_parse(&reader, &q, place, m->len, TRANSPORT_UDP, 1472), VERDICT_ANSWER);
	cr_assert_eq(query_error(&reader, &q, place, q.rcode), out_len);
	cr_assert_arr_eq(place, out, out_len);
}

static void goes_on(const struct message *m)
{
	cr_assert_eq(parse(m), VERDICT_ANSWER);
	cr_assert_not(q.decided);
	cr_assert_eq(q.rcode, RCODE_NOERROR);
}

Test(query, a_plain_one)
{
	struct message m;

	header(&m, 0x0100, 1, 0, 0, 0);
	question(&m, TYPE_AAAA, CLASS_IN);
	goes_on(&m);
	cr_assert_eq(q.len, m.len);
	cr_assert_eq(q.question_end, m.len);
	cr_assert_eq(q.qtype, TYPE_AAAA);
	cr_assert_eq(q.qclass, CLASS_IN);
	cr_assert_eq(q.opcode, 0);
	cr_assert_not(q.edns);
	cr_assert_not(q.dnssec_ok);
	cr_assert_eq(q.edns_size, 0);
	cr_assert_eq(q.limit, 512);
	cr_assert_eq(q.udp_payload, 1400);
	cr_assert_eq(q.transport, TRANSPORT_UDP);
	cr_assert_eq(q.qname.len, WWW_LEN);
	cr_assert_arr_eq(q.qname.wire, "\3www\7example", WWW_LEN);
	cr_assert_eq(q.hash, name_hash(arena.head.secret, q.qname.wire, q.qname.len));
}

Test(query, no_query)
{
	struct message m;

	header(&m, 0x8000, 1, 0, 0, 0);
	question(&m, TYPE_A, CLASS_IN);
	cr_assert_eq(parse(&m), VERDICT_DROP);
	header(&m, 0, 1, 0, 0, 0);
	for (m.len = 0; m.len < 12; m.len++)
		cr_assert_eq(parse(&m), VERDICT_DROP);

	uint8_t *big = calloc(1, 65536);

	cr_assert_eq(query_parse(&reader, &q, big, 65536, TRANSPORT_TCP, 65535), VERDICT_DROP);
	cr_assert_eq(query_parse(&reader, &q, big, 65535, TRANSPORT_TCP, 65535), VERDICT_ANSWER);
	free(big);
}

Test(query, every_prefix)
{
	struct message m;
	size_t whole;

	header(&m, 0x0100, 1, 0, 1, 2);
	question(&m, TYPE_A, CLASS_IN);
	soa(&m);
	opt(&m, 1232, 0x8000);
	add_tsig(&m);
	whole = m.len;
	cr_assert_eq(parse(&m), VERDICT_PUNT);
	cr_assert(q.edns && q.dnssec_ok);
	for (m.len = 12; m.len < whole; m.len++)
		decided(&m, RCODE_FORMERR, m.len >= WWW_END, false);
}

Test(query, question_count)
{
	struct message m;

	header(&m, 0x0100, 0, 0, 0, 0);
	decided(&m, RCODE_FORMERR, false, false);
	header(&m, 0, 0, 0, 0, 1);
	opt(&m, 1232, 0);
	decided(&m, RCODE_FORMERR, false, true);
	header(&m, 0, 2, 0, 0, 0);
	question(&m, TYPE_A, CLASS_IN);
	question(&m, TYPE_A, CLASS_IN);
	decided(&m, RCODE_FORMERR, false, false);
	header(&m, 0, 65535, 0, 0, 0);
	decided(&m, RCODE_FORMERR, false, false);
}

Test(query, bad_question_names)
{
	static const struct { const char *octets; size_t len; } bad[] = {
		{ "\x41xx\0\0\1\0\1", 8 }, { "\x80\0\0\1\0\1", 6 }, { "\xc0\x0c\0\1\0\1", 6 },
		{ "\3abc", 4 }, { "\3ab", 3 }, { "\1a\0\0\1\0", 6 }, { "", 0 }, { "\1a\0", 3 },
	};
	struct message m;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		header(&m, 0x0110, 1, 0, 0, 0);
		add(&m, bad[i].octets, bad[i].len);
		decided(&m, RCODE_FORMERR, false, false);
	}
}

Test(query, opcodes)
{
	struct message m;

	for (unsigned opcode = 1; opcode < 16; opcode++) {
		header(&m, opcode << 11 | 0x0130, 1, 0, 0, 0);
		question(&m, TYPE_SOA, CLASS_IN);
		decided(&m, RCODE_NOTIMP, true, false);
		cr_assert_eq(q.opcode, opcode);

		header(&m, opcode << 11, 1, 0, 0, 1);
		question(&m, TYPE_SOA, CLASS_IN);
		opt(&m, 1232, 0x8000);
		decided(&m, RCODE_NOTIMP, true, true);
		wire_write16(m.octets + WWW_END + 5, 0x0001);
		decided(&m, RCODE_BADVERS, true, true);

		/* Whatever is wrong with the rest. */
		m.len--;
		decided(&m, RCODE_NOTIMP, true, false);
		header(&m, opcode << 11, 0, 0, 0, 0);
		decided(&m, RCODE_NOTIMP, false, false);
		header(&m, opcode << 11, 2, 0, 0, 0);
		decided(&m, RCODE_NOTIMP, false, false);
		header(&m, opcode << 11, 1, 0, 0, 0);
		add(&m, "\x41", 1);
		decided(&m, RCODE_NOTIMP, false, false);
	}
}

Test(query, flags_and_rcode_of_a_query_do_not_matter)
{
	struct message m;

	for (unsigned flags = 0; flags < 0x800; flags++) {
		header(&m, flags, 1, 0, 0, 0);
		question(&m, TYPE_A, CLASS_IN);
		goes_on(&m);
		answer_header(&q, out, RCODE_NXDOMAIN, true);
		cr_assert_eq(wire_read16(out + 2), 0x8403 | (flags & 0x0100));
		answer_header(&q, out, RCODE_BADVERS, false);
		cr_assert_eq(wire_read16(out + 2), 0x8000 | (flags & 0x0100));
	}
}

Test(query, records_that_nobody_asked_for)
{
	static const unsigned sections[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } };
	struct message m;

	for (int i = 0; i < 3; i++) {
		const unsigned *s = sections[i];

		header(&m, 0, 1, s[0], s[1], s[2]);
		question(&m, TYPE_A, CLASS_IN);
		record(&m, WWW, WWW_LEN, TYPE_A, CLASS_IN, 0, "\1\2\3\4", 4);
		goes_on(&m);
		header(&m, 0, 1, s[0], s[1], s[2]);
		question(&m, TYPE_A, CLASS_IN);
		soa(&m);
		goes_on(&m);
		header(&m, 0, 1, s[0], s[1], s[2]);
		question(&m, TYPE_A, CLASS_IN);
		record(&m, WWW, WWW_LEN, 65280, CLASS_IN, 0, "abc", 3);
		goes_on(&m);

		/* Malformed RDATA, cut short, or none at all. */
		header(&m, 0, 1, s[0], s[1], s[2]);
		question(&m, TYPE_A, CLASS_IN);
		decided(&m, RCODE_FORMERR, true, false);
		record(&m, WWW, WWW_LEN, TYPE_A, CLASS_IN, 0, "\1\2\3", 3);
		decided(&m, RCODE_FORMERR, true, false);
		header(&m, 0, 1, s[0], s[1], s[2]);
		question(&m, TYPE_A, CLASS_IN);
		record(&m, "", 1, TYPE_MX, CLASS_IN, 0, "\0\1\300\14\0", 5);
		decided(&m, RCODE_FORMERR, true, false);
		wire_write16(m.octets + WWW_END + 9, 4);
		m.len--;
		goes_on(&m);
		header(&m, 0, 1, s[0] * 2, s[1] * 2, s[2] * 2);
		question(&m, TYPE_A, CLASS_IN);
		record(&m, WWW, WWW_LEN, TYPE_A, CLASS_IN, 0, "\1\2\3\4", 4);
		decided(&m, RCODE_FORMERR, true, false);
	}
	/* Counts that add up to more than 16 bits hold. */
	header(&m, 0, 1, 65535, 65535, 65535);
	question(&m, TYPE_A, CLASS_IN);
	decided(&m, RCODE_FORMERR, true, false);
}

Test(query, octets_behind_the_message)
{
	struct message m;

	header(&m, 0, 1, 0, 0, 1);
	question(&m, TYPE_A, CLASS_IN);
	opt(&m, 1232, 0);
	add(&m, "garbage", 7);
	goes_on(&m);
	cr_assert(q.edns);
	cr_assert_eq(q.question_end, WWW_END);
}

Test(query, edns)
{
	struct message m;

	header(&m, 0, 1, 0, 0, 1);
	question(&m, TYPE_A, CLASS_IN);
	opt(&m, 1232, 0x8000);
	goes_on(&m);
	cr_assert(q.edns);
	cr_assert(q.dnssec_ok);
	cr_assert_eq(q.edns_size, 1232);

	/* Unknown flags and the extended rcode of a query say nothing. */
	header(&m, 0, 1, 0, 0, 1);
	question(&m, TYPE_A, CLASS_IN);
	opt(&m, 1232, 0xff007fff);
	goes_on(&m);
	cr_assert_not(q.dnssec_ok);

	/* Anywhere among the additional records. */
	header(&m, 0, 1, 0, 0, 2);
	question(&m, TYPE_A, CLASS_IN);
	opt(&m, 4000, 0);
	record(&m, WWW, WWW_LEN, TYPE_A, CLASS_IN, 0, "\1\2\3\4", 4);
	goes_on(&m);
	cr_assert_eq(q.edns_size, 4000);

	/* RFC 6891 6.1.3 */
	for (uint32_t version = 1; version < 256; version++) {
		header(&m, 0x0100, 1, 0, 0, 1);
		question(&m, TYPE_AXFR, CLASS_CH);
		opt(&m, 1232, version << 16 | (version & 1 ? 0x8000 : 0));
		decided(&m, RCODE_BADVERS, true, true);
		cr_assert_eq(q.dnssec_ok, version & 1);
	}
}

Test(query, edns_malformed)
{
	static const unsigned misplaced[2][2] = { { 1, 0 }, { 0, 1 } };
	struct message m;

	for (int i = 0; i < 2; i++) {
		header(&m, 0, 1, misplaced[i][0], misplaced[i][1], 0);
		question(&m, TYPE_A, CLASS_IN);
		opt(&m, 1232, 0);
		decided(&m, RCODE_FORMERR, true, false);
	}
	/* RFC 6891 6.1.1: one at most. */
	header(&m, 0, 1, 0, 0, 2);
	question(&m, TYPE_A, CLASS_IN);
	opt(&m, 1232, 0);
	opt(&m, 1232, 0);
	decided(&m, RCODE_FORMERR, true, false);
	/* Of the root. */
	header(&m, 0, 1, 0, 0, 1);
	question(&m, TYPE_A, CLASS_IN);
	record(&m, "\1a", 3, TYPE_OPT, 1232, 0, "", 0);
	decided(&m, RCODE_FORMERR, true, false);
}

Test(query, edns_options)
{
	static const struct { const char *octets; size_t len; bool good; } options[] = {
		{ "\0\12\0\10abcdefgh", 12, true }, { "\xff\xff\0\0", 4, true },
		{ "\xff\xff\0\0\0\3\0\0", 8, true }, { "\xff\xff\0\1x\0\3\0\0", 9, true },
		{ "\0\12\0\11abcdefgh", 12, false }, { "\0\12\0", 3, false },
		{ "\0", 1, false }, { "\xff\xff\0\0\0", 5, false },
		{ "\0\12\xff\xff" "abc", 7, false },
	};
	struct message m;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		header(&m, 0, 1, 0, 0, 1);
		question(&m, TYPE_A, CLASS_IN);
		record(&m, "", 1, TYPE_OPT, 1232, 0, options[i].octets, options[i].len);
		if (options[i].good)
			goes_on(&m);
		else
			decided(&m, RCODE_FORMERR, true, false);
	}
}

Test(query, limit)
{
	static const struct { unsigned client; size_t max; enum transport over; uint16_t limit; } cases[] = {
		{ 1232, 1472, TRANSPORT_UDP, 1232 }, { 0, 1472, TRANSPORT_UDP, 512 },
		{ 511, 1472, TRANSPORT_UDP, 512 }, { 512, 1472, TRANSPORT_UDP, 512 },
		{ 513, 1472, TRANSPORT_UDP, 513 }, { 65535, 1472, TRANSPORT_UDP, 1400 },
		{ 1400, 1472, TRANSPORT_UDP, 1400 }, { 1401, 1472, TRANSPORT_UDP, 1400 },
		{ 4096, 1300, TRANSPORT_UDP, 1300 }, { 0, 400, TRANSPORT_UDP, 400 },
		{ 512, 65535, TRANSPORT_TCP, 65535 }, { 512, 99999, TRANSPORT_TCP, 65535 },
		{ 4096, 2000, TRANSPORT_TCP, 2000 },
	};
	struct message m;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		header(&m, 0, 1, 0, 0, 1);
		question(&m, TYPE_A, CLASS_IN);
		opt(&m, cases[i].client, 0);
		cr_assert_eq(parse_on(&m, cases[i].over, cases[i].max), VERDICT_ANSWER);
		cr_assert_eq(q.limit, cases[i].limit, "case %zu: %u", i, q.limit);
	}
	header(&m, 0, 1, 0, 0, 0);
	question(&m, TYPE_A, CLASS_IN);
	cr_assert_eq(parse_on(&m, TRANSPORT_TCP, 65535), VERDICT_ANSWER);
	cr_assert_eq(q.limit, 65535);

	/* Without settings ours is 1232; settings below 512 do not go below 512. */
	header(&m, 0, 1, 0, 0, 1);
	question(&m, TYPE_A, CLASS_IN);
	opt(&m, 4096, 0);
	arena.head.settings = 0;
	goes_on(&m);
	cr_assert_eq(q.limit, 1232);
	arena.head.settings = REF_OF(settings);
	arena.settings.udp_payload = 100;
	goes_on(&m);
	cr_assert_eq(q.limit, 512);

	/* Too narrow for question and OPT, then for the header alone. */
	cr_assert_eq(parse_on(&m, TRANSPORT_UDP, WWW_END + 10), VERDICT_ANSWER);
	cr_assert_eq(query_error(&reader, &q, out, RCODE_SERVFAIL), 12);
	cr_assert_eq(wire_read16(out + 4), 0);
	cr_assert_eq(parse_on(&m, TRANSPORT_UDP, WWW_END + 11), VERDICT_ANSWER);
	cr_assert_eq(query_error(&reader, &q, out, RCODE_SERVFAIL), WWW_END + 11);
}

Test(query, tsig)
{
	struct message m;
	size_t rdata;

	header(&m, 0, 1, 0, 0, 2);
	question(&m, TYPE_A, CLASS_IN);
	opt(&m, 1232, 0x8000);
	rdata = m.len + 5 + 10;
	add_tsig(&m);
	cr_assert_eq(parse(&m), VERDICT_PUNT);
	cr_assert(q.edns && q.dnssec_ok);
	cr_assert_eq(q.limit, 1232);
	cr_assert_eq(q.qtype, TYPE_A);
	cr_assert_eq(parse_on(&m, TRANSPORT_TCP, 65535), VERDICT_PUNT);

	/* Its parts must fill the RDATA: lengths of MAC, other data, the algorithm. */
	static const size_t lengths[] = { 22, 32, 0 };

	for (size_t i = 0; i < 3; i++) {
		uint8_t *at = m.octets + rdata + lengths[i];

		for (int step = -1; step <= 1; step += 2) {
			*at = (uint8_t)(*at + step);
			decided(&m, RCODE_FORMERR, true, false);
			*at = (uint8_t)(*at - step);
		}
	}
	cr_assert_eq(parse(&m), VERDICT_PUNT);
	wire_write16(m.octets + rdata - 8, CLASS_IN);
	decided(&m, RCODE_FORMERR, true, false);

	/* RFC 8945 5.1: last, once, in the additional section. */
	header(&m, 0, 1, 0, 0, 2);
	question(&m, TYPE_A, CLASS_IN);
	add_tsig(&m);
	opt(&m, 1232, 0);
	decided(&m, RCODE_FORMERR, true, false);
	header(&m, 0, 1, 0, 0, 2);
	question(&m, TYPE_A, CLASS_IN);
	add_tsig(&m);
	add_tsig(&m);
	decided(&m, RCODE_FORMERR, true, false);
	header(&m, 0, 1, 1, 0, 0);
	question(&m, TYPE_A, CLASS_IN);
	add_tsig(&m);
	decided(&m, RCODE_FORMERR, true, false);
	header(&m, 0, 1, 0, 1, 0);
	question(&m, TYPE_A, CLASS_IN);
	add_tsig(&m);
	decided(&m, RCODE_FORMERR, true, false);
	header(&m, 0, 0, 0, 0, 1);
	add_tsig(&m);
	decided(&m, RCODE_FORMERR, false, false);
}

Test(query, transfers)
{
	struct message m;

	header(&m, 0, 1, 0, 1, 0);
	question(&m, TYPE_IXFR, CLASS_IN);
	soa(&m);
	cr_assert_eq(parse(&m), VERDICT_PUNT);
	cr_assert_eq(parse_on(&m, TRANSPORT_TCP, 65535), VERDICT_PUNT);
	header(&m, 0, 1, 0, 0, 0);
	question(&m, TYPE_AXFR, CLASS_IN);
	cr_assert_eq(parse_on(&m, TRANSPORT_TCP, 65535), VERDICT_PUNT);
	decided(&m, RCODE_NOTIMP, true, false);
}

Test(query, odd_types_are_looked_up)
{
	static const uint16_t types[] = { 0, 10, 41, 128, 249, 250, 253, 254, 255, 256, 65280, 65535 };
	struct message m;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		header(&m, 0, 1, 0, 0, 0);
		question(&m, types[i], CLASS_IN);
		goes_on(&m);
		cr_assert_eq(q.qtype, types[i]);
	}
}

Test(query, classes)
{
	static const uint16_t refused[] = { 0, 2, 4, 254, 256, 65280, 65535 };
	struct message m;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		header(&m, 0, 1, 0, 0, 1);
		question(&m, TYPE_AXFR, refused[i]);
		opt(&m, 1232, 0);
		decided(&m, RCODE_REFUSED, true, true);
	}
	header(&m, 0, 1, 0, 0, 0);
	question(&m, TYPE_A, CLASS_ANY);
	goes_on(&m);
	cr_assert_eq(q.hash, name_hash(arena.head.secret, q.qname.wire, q.qname.len));
	header(&m, 0, 1, 0, 0, 0);
	question(&m, TYPE_A, CLASS_CH);
	goes_on(&m);
}

/* chaos - ask for wire name of len octets; "" expects REFUSED, else the text. */
static void chaos(const char *name, size_t len, uint16_t type, bool edns, const char *text)
{
	struct message m;
	uint8_t place[sizeof(m.octets)];
	uint16_t rcode = 99;
	size_t text_len = strlen(text), end;

	header(&m, 0x0110, 1, 0, 0, edns);
	add(&m, name, len);
	add16(&m, type);
	add16(&m, CLASS_CH);
	end = m.len;
	if (edns)
		opt(&m, 1232, 0x8000);
	goes_on(&m);
	out_len = chaos_answer(&reader, &q, out, &rcode);
	cr_assert_eq(rcode, *text ? RCODE_NOERROR : RCODE_REFUSED, "%s", name);
	cr_assert_eq(wire_read16(out + 2), 0x8100 | rcode);
	cr_assert_eq(wire_read16(out + 4), 1);
	cr_assert_eq(wire_read16(out + 6), *text != '\0');
	cr_assert_eq(wire_read16(out + 8), 0);
	cr_assert_eq(wire_read16(out + 10), edns);
	cr_assert_arr_eq(out + 12, m.octets + 12, end - 12);
	if (*text) {
		cr_assert_eq(out_len, end + 13 + text_len + (edns ? 11 : 0));
		cr_assert_arr_eq(out + end, "\300\14\0\20\0\3\0\0\0\0", 10);
		cr_assert_eq(wire_read16(out + end + 10), text_len + 1);
		cr_assert_eq(out[end + 12], text_len);
		cr_assert_arr_eq(out + end + 13, text, text_len);
	} else {
		cr_assert_eq(out_len, end + (edns ? 11 : 0));
	}

	memcpy(place, m.octets, m.len);
	query_parse(&reader, &q, place, m.len, TRANSPORT_UDP, 1472);
	cr_assert_eq(chaos_answer(&reader, &q, place, &rcode), out_len);
	cr_assert_arr_eq(place, out, out_len);
}

#define CHAOS(name, ...) chaos(name, sizeof(name), __VA_ARGS__)

Test(query, chaos)
{
	CHAOS("\7version\4bind", TYPE_TXT, false, "Pollux");
	CHAOS("\7vErSiOn\4BIND", TYPE_TXT, true, "Pollux");
	CHAOS("\7version\6server", TYPE_TXT, false, "Pollux");
	CHAOS("\2id\6server", TYPE_TXT, true, "ns1.example");
	CHAOS("\10hostname\4bind", TYPE_TXT, false, "ns1.example");
	CHAOS("\7version\4bind", TYPE_ANY, false, "Pollux");
	CHAOS("\7version\4bind", TYPE_A, false, "");
	CHAOS("\7version\4bind", TYPE_AXFR, false, "");
	CHAOS("\7version\4bind", TYPE_SOA, true, "");
	CHAOS("\7authors\4bind", TYPE_TXT, false, "");
	CHAOS("\4bind", TYPE_TXT, false, "");
	CHAOS("", TYPE_TXT, false, "");
	CHAOS("\1x\7version\4bind", TYPE_TXT, false, "");

	arena.settings.version[0] = '\0';
	CHAOS("\7version\4bind", TYPE_TXT, false, "");
	CHAOS("\2id\6server", TYPE_TXT, false, "ns1.example");
	/* The longest text, and one that lost its end. */
	memset(arena.settings.identity, 'i', SETTINGS_TEXT);
	arena.settings.identity[SETTINGS_TEXT - 1] = '\0';
	CHAOS("\2id\6server", TYPE_TXT, true, arena.settings.identity);
	arena.head.settings = 0;
	CHAOS("\2id\6server", TYPE_TXT, true, "");
}

Test(query, mutations_do_no_harm)
{
	uint64_t seed = 5;
	unsigned verdicts[3] = { 0 };
	struct message m, changed;

	header(&m, 0x0100, 1, 0, 1, 3);
	question(&m, TYPE_A, CLASS_IN);
	soa(&m);
	record(&m, "\xc0\x0c", 2, TYPE_MX, CLASS_IN, 0, "\0\1\xc0\x0c", 4);
	record(&m, "", 1, TYPE_OPT, 1232, 0x8000, "\0\12\0\10abcdefgh", 12);
	add_tsig(&m);
	for (int round = 0; round < 200000; round++) {
		uint16_t rcode;

		changed.len = m.len;
		memcpy(changed.octets, m.octets, m.len);
		for (int i = 0; i < 3; i++) {
			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
			changed.octets[(seed >> 33) % m.len] = (uint8_t)(seed >> 55);
		}
		enum verdict v = parse(&changed);

		verdicts[v]++;
		if (v == VERDICT_DROP)
			continue;
		cr_assert_leq(query_error(&reader, &q, out, q.rcode), q.limit);
		if (v == VERDICT_ANSWER && !q.decided && q.qclass == CLASS_CH)
			cr_assert_leq(chaos_answer(&reader, &q, out, &rcode), q.limit);
	}
	for (int v = 0; v < 3; v++)
		cr_assert_gt(verdicts[v], 100);
}
