/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <netinet/in.h>
#include <criterion/criterion.h>

#include "control/serve/other.h"
#include "control/serve/serve.h"

#include "answers.h"

static struct lab lab;
static struct serve serve;
static const struct sockaddr_in peer = {.sin_family = AF_INET};

static void setup(void)
{
	unsigned slot;

	lab_open(&lab);
	lab_put_sample(&lab);
	cr_assert_eq(db_reader_reserve(lab.db, 2, STATUS_KIND_SERVE, 1, &slot), 0);
	serve_init(&serve, db_map(lab.db), &db_status(lab.db)->slot[slot], "test");
}

static void teardown(void)
{
	db_destroy(lab.db);
}

TestSuite(other, .init = setup, .fini = teardown);

/* A TSIG RR, whose owner is a wire name; returns the new length of the message. */
static size_t add_tsig(uint8_t *msg, size_t at, const uint8_t *owner, size_t owner_len,
		       uint16_t mac_len)
{
	static const uint8_t algorithm[] = "\x0bhmac-sha256";
	size_t rdata_len = sizeof(algorithm) + 16 + mac_len;

	memcpy(msg + at, owner, owner_len);
	at += owner_len;
	wire_write16(msg + at, TYPE_TSIG);
	wire_write16(msg + at + 2, CLASS_ANY);
	memset(msg + at + 4, 0, 4);
	wire_write16(msg + at + 8, (uint16_t)rdata_len);
	at += 10;
	memcpy(msg + at, algorithm, sizeof(algorithm));
	at += sizeof(algorithm);
	memcpy(msg + at, "\x00\x00\x65\x43\x21\x00\x01\x2c", 8); /* time signed, fudge 300 */
	wire_write16(msg + at + 8, mac_len);
	memset(msg + at + 10, 0x5a, mac_len);
	at += 10u + mac_len;
	memcpy(msg + at, msg, 2); /* original ID */
	memset(msg + at + 2, 0, 4);
	wire_write16(msg + 10, (uint16_t)(wire_read16(msg + 10) + 1));
	return at + 6;
}

static const uint8_t key_name[] = "\x03Key\x07""example";

static size_t signed_question(uint8_t *msg, uint16_t edns)
{
	size_t at = question(msg, "www.example.", TYPE_A, edns);

	return add_tsig(msg, at, key_name, sizeof(key_name), 32);
}

static size_t ask(const uint8_t *msg, size_t len, enum transport transport, uint8_t *out)
{
	struct serve_from from = {.peer = (struct sockaddr *)&peer, .transport = transport};
	size_t n;

	serve_begin(&serve);
	n = serve_message(&serve, &from, msg, len, out,
			  transport == TRANSPORT_UDP ? SERVE_UDP_MAX : SERVE_TCP_MAX);
	serve_end(&serve);
	return n;
}

static unsigned rcode_of(const uint8_t *msg)
{
	return msg[3] & 15;
}

Test(other, unknown_key_is_told_unsigned)
{
	for (unsigned edns = 0; edns <= 1232; edns += 1232) {
		static uint8_t msg[1024], out[65536];
		size_t len = signed_question(msg, (uint16_t)edns);
		size_t n = ask(msg, len, TRANSPORT_UDP, out);
		struct other_tsig t;

		cr_assert_gt(n, 0);
		cr_assert_eq(rcode_of(out), RCODE_NOTAUTH);
		cr_assert_eq(out[2] & 0x86, 0x80, "QR, neither AA nor TC");
		cr_assert_eq(wire_read16(out), wire_read16(msg));
		cr_assert_eq(wire_read16(out + 4), 1);
		cr_assert_eq(wire_read16(out + 10), edns ? 2 : 1);
		cr_assert_eq(other_find_tsig(out, n, &t), TSIG_FOUND);
		cr_assert_arr_eq(out + t.at, "\x03key\x07""example", sizeof(key_name));
		cr_assert_arr_eq(out + t.algorithm_end, "\x00\x00\x65\x43\x21\x00\x01\x2c", 8);

		const uint8_t *tail = out + t.algorithm_end + 8;

		cr_assert_eq(wire_read16(tail), 0, "no MAC");
		cr_assert_eq(wire_read16(tail + 2), wire_read16(msg), "original ID");
		cr_assert_eq(wire_read16(tail + 4), TSIG_BADKEY);
		cr_assert_eq(wire_read16(tail + 6), 0, "no other data");
		cr_assert_eq(tail + 8, out + n);
	}
}

Test(other, every_prefix_of_a_signed_question)
{
	static uint8_t msg[1024], out[65536];
	size_t len = signed_question(msg, 1232);

	for (size_t n = 0; n < len; n++) {
		uint8_t *copy = malloc(n ? n : 1);
		struct other_tsig t;
		size_t answer;

		memcpy(copy, msg, n);
		cr_assert_eq(other_find_tsig(copy, n, &t), TSIG_BAD, "prefix of %zu octets", n);
		answer = ask(copy, n, TRANSPORT_UDP, out);
		cr_assert_eq(answer == 0, n < DNS_HEADER);
		if (answer)
			cr_assert_eq(rcode_of(out), RCODE_FORMERR, "prefix of %zu octets", n);
		free(copy);
	}
}

Test(other, malformed_tsig_is_formerr)
{
	static uint8_t msg[1024], bad[1024], out[65536];
	size_t at = question(msg, "www.example.", TYPE_A, 0);
	size_t len = add_tsig(msg, at, key_name, sizeof(key_name), 32);
	size_t fixed = at + sizeof(key_name); /* type, class, TTL, length */
	static const struct { const char *what; int offset; uint8_t value; } cases[] = {
		{ "class IN", 3, CLASS_IN },
		{ "TTL 1", 7, 1 },
		{ "RDATA longer than the message", 9, 200 },
		{ "MAC longer than the RDATA", 10 + 13 + 9, 99 },
		{ "MAC shorter than the RDATA", 10 + 13 + 9, 31 },
		{ "other data that is not there", 10 + 13 + 10 + 32 + 5, 1 },
		{ "compressed algorithm", 10, 0xc0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(bad, msg, len);
		bad[fixed + (size_t)cases[i].offset] = cases[i].value;
		cr_assert_gt(ask(bad, len, TRANSPORT_UDP, out), 0, "%s", cases[i].what);
		cr_assert_eq(rcode_of(out), RCODE_FORMERR, "%s", cases[i].what);
	}

	/* Twice, and before an OPT: it must be the last RR. */
	memcpy(bad, msg, len);
	size_t twice = add_tsig(bad, len, key_name, sizeof(key_name), 32);
	cr_assert_gt(ask(bad, twice, TRANSPORT_UDP, out), 0);
	cr_assert_eq(rcode_of(out), RCODE_FORMERR, "two TSIG RRs");
	memcpy(bad, msg, len);
	memcpy(bad + len, "\0\0\x29\x04\xd0\0\0\0\0\0\0", 11);
	wire_write16(bad + 10, 2);
	cr_assert_gt(ask(bad, len + 11, TRANSPORT_UDP, out), 0);
	cr_assert_eq(rcode_of(out), RCODE_FORMERR, "OPT behind TSIG");
}

Test(other, compressed_key_name_is_written_out)
{
	static uint8_t msg[1024], out[65536];
	static const uint8_t pointer[] = {3, 'k', 'e', 'y', 0xc0, DNS_HEADER};
	size_t len = add_tsig(msg, question(msg, "www.example.", TYPE_A, 0), pointer,
			      sizeof(pointer), 32);
	size_t n = ask(msg, len, TRANSPORT_UDP, out);
	struct other_tsig t;

	cr_assert_eq(rcode_of(out), RCODE_NOTAUTH);
	cr_assert_eq(other_find_tsig(out, n, &t), TSIG_FOUND);
	cr_assert_arr_eq(out + t.at, "\x03key\x03www\x07""example", 17);
}

/* Names so long that question and TSIG RR exceed 512 octets. */
Test(other, too_long_for_the_client_is_truncated)
{
	static uint8_t msg[1024], out[65536];
	char qname[256] = "";
	uint8_t owner[NAME_MAX_LEN] = {0};

	for (unsigned i = 0; i < 4; i++) {
		memset(qname + strlen(qname), 'a' + (int)i, i < 3 ? 63 : 61);
		strcat(qname, ".");
		owner[64 * i] = i < 3 ? 63 : 61;
		memset(owner + 64 * i + 1, 'k', owner[64 * i]);
	}
	size_t len = add_tsig(msg, question(msg, qname, TYPE_A, 0), owner, sizeof(owner), 32);
	size_t n = ask(msg, len, TRANSPORT_UDP, out);
	struct other_tsig t;

	cr_assert_gt(n, 0);
	cr_assert_leq(n, 512);
	cr_assert_eq(rcode_of(out), RCODE_NOTAUTH);
	cr_assert(out[2] & 2, "TC");
	n = ask(msg, len, TRANSPORT_TCP, out);
	cr_assert_not(out[2] & 2, "no TC");
	cr_assert_eq(other_find_tsig(out, n, &t), TSIG_FOUND);
}

Test(other, transfers)
{
	static const struct { const char *name; uint16_t type; unsigned rcode; } cases[] = {
		{ "example.", TYPE_AXFR, RCODE_REFUSED },
		{ "EXAMPLE.", TYPE_IXFR, RCODE_REFUSED },
		{ "www.example.", TYPE_AXFR, RCODE_NOTAUTH },
		{ "nowhere.", TYPE_AXFR, RCODE_NOTAUTH },
		{ "nowhere.", TYPE_IXFR, RCODE_NOTAUTH },
	};
	static uint8_t msg[1024], out[65536];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = question(msg, cases[i].name, cases[i].type, 0);

		cr_assert_gt(ask(msg, len, TRANSPORT_TCP, out), 0, "case %zu", i);
		cr_assert_eq(rcode_of(out), cases[i].rcode, "case %zu", i);
	}
}

Test(other, counts_what_it_answers)
{
	static uint8_t msg[1024], out[65536];
	size_t len = signed_question(msg, 1232);

	ask(msg, len, TRANSPORT_UDP, out);
	msg[2] |= 0x80;
	cr_assert_eq(ask(msg, len, TRANSPORT_UDP, out), 0);
	cr_assert_eq(serve.slot->counter[CNT_RX], 2);
	cr_assert_eq(serve.slot->counter[CNT_ANSWER], 1);
	cr_assert_eq(serve.slot->counter[CNT_EDNS], 1);
	cr_assert_eq(serve.slot->counter[CNT_DROP_NOT_QUERY], 1);
	cr_assert_eq(serve.slot->rcode[RCODE_NOTAUTH], 1);
}
