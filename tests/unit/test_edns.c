/* SPDX-License-Identifier: GPL-3.0-or-later */
/* EDNS options: cookies against the examples of RFC 9018 appendix A, then what each
 * option of a query brings into the answer. */
#include <criterion/criterion.h>

#include "answers.h"
#include "dataplane/answer/cookie.h"

static void hex(uint8_t *out, const char *text)
{
	for (; *text; text += 2)
		sscanf(text, "%2hhx", out++);
}

struct example {
	const char *client, *addr, *secret, *server;
	uint32_t time;
};

Test(cookie, rfc9018_appendix_a)
{
	static const struct example made[] = {
		{ "2464c4abcf10c957", "c6336464", "e5e973e5a6b2a43f48e7dc849e37bfcf",
		  "010000005cf79f111f8130c3eee29480", 1559731985 },
		{ "2464c4abcf10c957", "c6336464", "e5e973e5a6b2a43f48e7dc849e37bfcf",
		  "010000005cf7a871d4a564a1442aca77", 1559734385 },
		{ "fc93fc62807ddb86", "cb0071cb", "e5e973e5a6b2a43f48e7dc849e37bfcf",
		  "010000005cf7a9acf73a7810aca2381e", 1559734700 },
		{ "22681ab97d52c298", "20010db80220000159ded0f4876982b8", "dd3bdf9344b678b185a6f5cb60fca715",
		  "010000005cf7c57926556bd0934c72f8", 1559741817 },
		{ "22681ab97d52c298", "20010db80220000159ded0f4876982b8", "445536bcd2513298075a5d379663c962",
		  "010000005cf7c609a6bb79d16625507a", 1559741961 },
	};
	uint8_t client[8], addr[16], secret[16], want[16], got[16];

	for (unsigned i = 0; i < 5; i++) {
		uint8_t len = (uint8_t)(strlen(made[i].addr) / 2);

		hex(client, made[i].client);
		hex(addr, made[i].addr);
		hex(secret, made[i].secret);
		hex(want, made[i].server);
		cookie_make(got, client, addr, len, made[i].time, secret);
		cr_expect_eq(memcmp(got, want, 16), 0, "example %u", i);
		cr_expect(cookie_check(want, 16, client, addr, len, made[i].time, secret));
		cr_expect(cookie_check(want, 16, client, addr, len, made[i].time + 3600, secret));
		cr_expect_not(cookie_check(want, 16, client, addr, len, made[i].time + 3601, secret));
		cr_expect(cookie_check(want, 16, client, addr, len, made[i].time - 300, secret));
		cr_expect_not(cookie_check(want, 16, client, addr, len, made[i].time - 301, secret));
		for (unsigned bit = 0; bit < 128; bit++) {
			want[bit / 8] ^= (uint8_t)(1 << bit % 8);
			cr_expect_not(cookie_check(want, 16, client, addr, len, made[i].time, secret));
			want[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		addr[0] ^= 1;
		cr_expect_not(cookie_check(want, 16, client, addr, len, made[i].time, secret));
		for (uint8_t l = 0; l < 16; l++)
			cr_expect_not(cookie_check(want, l, client, addr, len, made[i].time, secret));
	}

	/* Appendix A.3: another implementation's reserved octets. */
	hex(client, "fc93fc62807ddb86");
	hex(addr, "cb0071cb");
	hex(secret, "e5e973e5a6b2a43f48e7dc849e37bfcf");
	hex(want, "01abcdef5cf78f71a314227b6679ebf5");
	cr_expect(cookie_check(want, 16, client, addr, 4, 1559727985, secret));
}

/* ---- in answers ---- */

#define NOW 1559734385u

static struct lab lab;
static enum transport transport = TRANSPORT_UDP; /* of what ask() asks */
static const uint8_t address[4] = { 198, 51, 100, 100 };

static void open_with(enum settings_cookies cookies, unsigned secrets)
{
	struct settings s = { .identity = "ns1", .udp_payload = 1232, .cookies = (uint8_t)cookies,
			      .cookie_secret_cnt = (uint8_t)secrets };
	uint64_t version;

	lab_open(&lab);
	lab_put_sample(&lab);
	hex(s.cookie_secret[secrets - 1], "e5e973e5a6b2a43f48e7dc849e37bfcf");
	struct txn *t = db_begin(lab.db);

	cr_assert_eq(txn_settings(t, &s), 0);
	cr_assert_eq(txn_commit(t, &version), 0);
}

/* Ask www.example. (or nothing at all) with these options; returns the OPT's RDATA of the answer in
 * hexadecimal, and its rcode. */
static const char *ask(const char *options, bool ask_nothing, uint16_t *rcode)
{
	static char text[1200];
	uint8_t msg[512], out[1232];
	size_t len = question(msg, "www.example.", TYPE_A, 1232), n = strlen(options) / 2, opt;
	struct query q;

	hex(msg + len, options);
	wire_write16(msg + len - 2, (uint16_t)n);
	if (ask_nothing) {
		msg[5] = 0;
		memmove(msg + 12, msg + len - 11, 11 + n);
		len = 12 + 11;
	}
	lab.reader.now = NOW;
	reader_begin(&lab.reader);
	cr_assert_eq(query_parse(&lab.reader, &q, msg, len + n, transport, 1232), VERDICT_ANSWER);
	q.client = address;
	q.client_len = 4;
	query_prefetch(&lab.reader, &q);
	n = query_answer(&lab.reader, &q, out, rcode);
	cr_assert(n <= q.limit);
	cr_assert_not_null(answer_text(out, n));
	reader_end(&lab.reader);

	/* Our OPT is the last record; its owner is the root. */
	for (opt = 12; opt + 11 <= n; opt++)
		if (out[opt] == 0 && wire_read16(out + opt + 1) == TYPE_OPT &&
		    opt + 11 + wire_read16(out + opt + 9) == n)
			break;
	if (opt + 11 > n)
		return "no OPT";
	text[0] = 0;
	for (size_t i = opt + 11; i < n; i++)
		sprintf(text + 2 * (i - opt - 11), "%02x", out[i]);
	return text;
}

#define CLIENT "2464c4abcf10c957"
#define OURS "010000005cf7a871d4a564a1442aca77" /* RFC 9018 appendix A.2, made at NOW */
#define OLDER "010000005cf79f111f8130c3eee29480" /* appendix A.1, 40 minutes before */
#define BAD "010000005cf7a871d4a564a1442aca78"

static void expect(const char *options, const char *want, uint16_t want_rcode)
{
	uint16_t rcode;
	const char *got = ask(options, false, &rcode);

	cr_expect_str_eq(got, want, "%s: %s", options, got);
	cr_expect_eq(rcode, want_rcode, "%s", options);
}

Test(edns, options)
{
	uint16_t rcode;

	open_with(COOKIES_ON, 1);
	expect("", "", RCODE_NOERROR);
	expect("00030000", "000300036e7331", RCODE_NOERROR);
	expect("00030002ffff", "000300036e7331", RCODE_NOERROR);
	/* ZONEVERSION: one label, type 0, serial 7 */
	expect("00130000", "00130006010000000007", RCODE_NOERROR);
	expect("001300000003000000630001aa", "000300036e733100130006010000000007", RCODE_NOERROR);
	/* COOKIE: the client's alone, an old one, a young one, a bad one */
	expect("000a0008" CLIENT, "000a0018" CLIENT OURS, RCODE_NOERROR);
	expect("000a0018" CLIENT OLDER, "000a0018" CLIENT OURS, RCODE_NOERROR);
	expect("000a0018" CLIENT OURS, "000a0018" CLIENT OURS, RCODE_NOERROR);
	expect("000a0018" CLIENT BAD, "000a0018" CLIENT OURS, RCODE_NOERROR);
	expect("000a0010" CLIENT "0102030405060708", "000a0018" CLIENT OURS, RCODE_NOERROR);
	/* malformed: no OPT in the answer, as for every malformed OPT */
	expect("000a00072464c4abcf10c9", "no OPT", RCODE_FORMERR);
	expect("000a0009" CLIENT "01", "no OPT", RCODE_FORMERR);
	expect("0013000100", "no OPT", RCODE_FORMERR);
	expect("000300", "no OPT", RCODE_FORMERR);
	expect("00030001", "no OPT", RCODE_FORMERR);
	/* no question, and no cookie */
	cr_expect_str_eq(ask("00030000", true, &rcode), "000300036e7331");
	cr_expect_eq(rcode, RCODE_FORMERR);
}

/* No question, but a cookie: a client's alone is what it came for, a server's is good or not,
 * whatever the policy and transport (RFC 7873 section 5.4). */
Test(edns, cookie_without_question)
{
	static const struct {
		const char *options, *got;
		uint16_t rcode;
	} cases[] = {
		{ "000a0008" CLIENT, "000a0018" CLIENT OURS, RCODE_NOERROR },
		{ "000a0018" CLIENT OURS, "000a0018" CLIENT OURS, RCODE_NOERROR },
		{ "000a0018" CLIENT OLDER, "000a0018" CLIENT OURS, RCODE_NOERROR },
		{ "000a0018" CLIENT BAD, "000a0018" CLIENT OURS, RCODE_BADCOOKIE },
		{ "000a0010" CLIENT "0102030405060708", "000a0018" CLIENT OURS, RCODE_BADCOOKIE },
		{ "000a0009" CLIENT "01", "no OPT", RCODE_FORMERR },
	};
	uint16_t rcode;

	for (unsigned i = 0; i < 4 * 6; i++) {
		unsigned k = i / 4;

		open_with(i % 2 ? COOKIES_ON : COOKIES_REQUIRE, 1);
		transport = i / 2 % 2 ? TRANSPORT_TCP : TRANSPORT_UDP;
		cr_expect_str_eq(ask(cases[k].options, true, &rcode), cases[k].got, "case %u", i);
		cr_expect_eq(rcode, cases[k].rcode, "case %u: %u", i, rcode);
		db_destroy(lab.db);
	}
	transport = TRANSPORT_UDP;
	/* Who does no cookies has been asked nothing. */
	open_with(COOKIES_OFF, 1);
	cr_expect_str_eq(ask("000a0008" CLIENT, true, &rcode), "");
	cr_expect_eq(rcode, RCODE_FORMERR);
	cr_expect_str_eq(ask("000a0018" CLIENT BAD, true, &rcode), "");
	cr_expect_eq(rcode, RCODE_FORMERR);
}

Test(edns, cookies_required)
{
	open_with(COOKIES_REQUIRE, 1);
	expect("", "", RCODE_NOERROR);
	expect("000a0008" CLIENT, "000a0018" CLIENT OURS, RCODE_BADCOOKIE);
	expect("000a0018" CLIENT BAD, "000a0018" CLIENT OURS, RCODE_BADCOOKIE);
	expect("000a0018" CLIENT OURS, "000a0018" CLIENT OURS, RCODE_NOERROR);
	/* Over TCP the address is no lie. */
	transport = TRANSPORT_TCP;
	expect("000a0018" CLIENT BAD, "000a0018" CLIENT OURS, RCODE_NOERROR);
}

/* After a roll-over the second secret's cookies are still good, but replaced. */
Test(edns, cookie_secrets_roll_over)
{
	uint16_t rcode;

	open_with(COOKIES_REQUIRE, 2);
	const char *got = ask("000a0018" CLIENT OURS, false, &rcode);

	cr_expect_eq(rcode, RCODE_NOERROR);
	cr_expect_eq(strlen(got), 56);
	cr_expect_str_neq(got, "000a0018" CLIENT OURS);
}

Test(edns, cookies_off)
{
	open_with(COOKIES_OFF, 1);
	expect("000a0008" CLIENT, "", RCODE_NOERROR);
}

/* RFC 8914 section 4.21, as NSD and Knot: outside all zones. */
Test(edns, not_authoritative)
{
	uint8_t msg[512], out[1232];
	size_t len = question(msg, "www.example.org.", TYPE_A, 1232), n;

	open_with(COOKIES_ON, 1);
	n = answer_in(&lab, msg, len, TRANSPORT_UDP, 1232, out);
	cr_expect_eq(n, len + 6);
	cr_expect_eq(memcmp(out + n - 6, "\0\17\0\2\0\24", 6), 0);
	len = question(msg, "www.example.org.", TYPE_A, 0);
	cr_expect_eq(answer_in(&lab, msg, len, TRANSPORT_UDP, 1232, out), len);
}

/* RFC 7828: a time-out for TCP connections that ask for one, and only those. */
Test(edns, keepalive)
{
	static const struct {
		enum transport transport;
		const char *option, *got;
		uint16_t rcode;
	} cases[] = {
		{ TRANSPORT_TCP, "000b0000", "\0\13\0\2\0\144", RCODE_NOERROR },
		{ TRANSPORT_TLS, "000b0000", "\0\13\0\2\0\144", RCODE_NOERROR },
		{ TRANSPORT_UDP, "000b0000", NULL, RCODE_NOERROR },
		{ TRANSPORT_DTLS, "000b0000", NULL, RCODE_NOERROR },
		{ TRANSPORT_UDP, "000b00020064", NULL, RCODE_NOERROR },
		{ TRANSPORT_TCP, "000b00020064", NULL, RCODE_FORMERR },
		{ TRANSPORT_TCP, "00030000", NULL, RCODE_NOERROR },
	};

	open_with(COOKIES_ON, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t msg[512], out[1232];
		size_t len = question(msg, "www.example.", TYPE_A, 1232), n = strlen(cases[i].option) / 2;
		struct query q;
		uint16_t rcode;

		hex(msg + len, cases[i].option);
		wire_write16(msg + len - 2, (uint16_t)n);
		reader_begin(&lab.reader);
		cr_assert_eq(query_parse(&lab.reader, &q, msg, len + n, cases[i].transport, 1232), VERDICT_ANSWER);
		q.keepalive = 100;
		query_prefetch(&lab.reader, &q);
		n = query_answer(&lab.reader, &q, out, &rcode);
		reader_end(&lab.reader);
		cr_expect_eq(rcode, cases[i].rcode, "case %zu", i);
		if (cases[i].got)
			cr_expect_eq(memcmp(out + n - 6, cases[i].got, 6), 0, "case %zu", i);
		else
			cr_expect_null(memmem(out, n, "\0\13\0\2", 4), "case %zu", i);
	}
}

/* A long question and a long identity: in the least that a client may take, 512 octets, there
 * is no room for both, and the question's answer comes first. */
Test(edns, identity_gives_way_to_the_question)
{
	struct settings s = { .udp_payload = 1232 };
	static const uint8_t nsid[4] = { 0, 3 };
	uint8_t msg[512], out[512];
	char qname[252] = "";
	uint64_t version;

	lab_open(&lab);
	lab_put_sample(&lab);
	memset(s.identity, 'i', SETTINGS_TEXT - 1);
	struct txn *t = db_begin(lab.db);

	cr_assert_eq(txn_settings(t, &s), 0);
	cr_assert_eq(txn_commit(t, &version), 0);
	while (strlen(qname) < 241)
		strcat(qname, "a.");
	strcat(qname, "example.");
	size_t len = question(msg, qname, TYPE_A, 512);

	memcpy(msg + len, nsid, sizeof(nsid));
	msg[len - 1] = sizeof(nsid);
	len = answer_in(&lab, msg, len + sizeof(nsid), TRANSPORT_UDP, 1232, out);
	const char *text = answer_text(out, len);

	cr_assert(text && strncmp(text, "NXDOMAIN aa\n", 12) == 0, "%s", text);
}

/* Settings that come into force between the parsing of a query and its answer are for the next
 * burst: room was kept for what the old ones say. */
Test(edns, settings_change_in_a_burst)
{
	struct settings s = { .udp_payload = 1232 };
	static const uint8_t nsid[4] = { 0, 3 };
	uint8_t msg[512], out[1232];
	uint64_t version;
	uint16_t rcode;
	struct query q;

	open_with(COOKIES_ON, 1);
	size_t len = question(msg, "www.example.", TYPE_A, 1232);

	memcpy(msg + len, nsid, sizeof(nsid));
	msg[len - 1] = sizeof(nsid);
	reader_online(&lab.reader);
	reader_begin(&lab.reader);
	cr_assert_eq(query_parse(&lab.reader, &q, msg, len + sizeof(nsid), TRANSPORT_UDP, 1232),
		     VERDICT_ANSWER);

	memset(s.identity, 'i', SETTINGS_TEXT - 1);
	struct txn *t = db_begin(lab.db);

	cr_assert_eq(txn_settings(t, &s), 0);
	cr_assert_eq(txn_commit(t, &version), 0);
	len = query_answer(&lab.reader, &q, out, &rcode);
	cr_assert_eq(memcmp(out + len - 7, "\0\3\0\3ns1", 7), 0);
	reader_end(&lab.reader);
	reader_offline(&lab.reader);
	db_destroy(lab.db);
}

/* ask_padded - www.example. with an OPT that brings these options (hexadecimal); returns the
 * answer's length. */
static size_t ask_padded(const char *options, uint16_t type, enum transport t, size_t max,
			 uint8_t *out)
{
	uint8_t msg[1024];
	size_t len = question(msg, "www.example.", type, 1232), n = strlen(options) / 2;

	hex(msg + len, options);
	wire_write16(msg + len - 2, (uint16_t)n);
	return answer_in(&lab, msg, len + n, t, max, out);
}

#define PADDING "000c0003ffffff"

/* RFC 7830 section 6: not where the answer can be read anyway. */
Test(edns, padding_in_clear_is_ignored)
{
	static const enum transport clear[] = { TRANSPORT_UDP, TRANSPORT_TCP };
	uint8_t with[1232], without[1232];

	open_with(COOKIES_ON, 1);
	for (unsigned i = 0; i < 2; i++) {
		size_t len = ask_padded("", TYPE_A, clear[i], 1232, without);

		cr_expect_eq(ask_padded(PADDING, TYPE_A, clear[i], 1232, with), len);
		cr_expect_eq(memcmp(with, without, len), 0);
	}
	db_destroy(lab.db);
}

/* RFC 8467 section 4.1: multiples of 468 octets; the last option (section 3), all zeros. */
Test(edns, padding_of_encrypted_answers)
{
	static const enum transport sealed[] = { TRANSPORT_TLS, TRANSPORT_QUIC, TRANSPORT_DTLS };
	uint8_t out[4096];

	open_with(COOKIES_ON, 1);
	for (unsigned i = 0; i < 3; i++) {
		size_t plain = ask_padded("", TYPE_A, sealed[i], 1232, out);

		cr_expect_lt(plain, 464, "what did not ask for it is not padded");
		size_t len = ask_padded(PADDING "00030000", TYPE_A, sealed[i], 1232, out);

		cr_assert_eq(len, 468);
		cr_assert_not_null(answer_text(out, len));
		uint16_t rest = (uint16_t)(468 - plain - 7 - 4); /* NSID takes 7 */

		cr_expect_eq(memcmp(out + plain, "\0\3\0\3ns1\0\14", 9), 0);
		cr_expect_eq(wire_read16(out + plain + 9), rest);
		cr_expect_eq(wire_read16(out + plain - 2), 7 + 4 + rest);
		for (size_t k = plain + 11; k < len; k++)
			cr_assert_eq(out[k], 0);
	}
	db_destroy(lab.db);
}

/* Every length of an answer from below one multiple to above the next, in every limit around it:
 * the padded answer has the next multiple's length or the limit's, or none where four octets
 * of option do not fit (RFC 7830 section 3). */
Test(edns, padding_at_every_length_and_limit)
{
	uint8_t out[4096];
	char options[80] = PADDING "00030000";

	for (unsigned id = 1; id < SETTINGS_TEXT; id++) {
		struct settings s = { .udp_payload = 4096 };
		uint64_t version;

		lab_open(&lab);
		lab_put(&lab, "example.", "@ 60 SOA . . 1 1 1 1 1\n@ 60 NS .\nwww 60 TXT "
			"0123456789012345678901234567890123456789012345678901234567890123456789"
			"0123456789012345678901234567890123456789012345678901234567890123456789 "
			"0123456789012345678901234567890123456789012345678901234567890123456789"
			"0123456789012345678901234567890123456789012345678901234567890123456789\n");
		memset(s.identity, 'i', id);
		struct txn *t = db_begin(lab.db);

		cr_assert_eq(txn_settings(t, &s), 0);
		cr_assert_eq(txn_commit(t, &version), 0);
		size_t bare = ask_padded("00030000", TYPE_TXT, TRANSPORT_QUIC, 65535, out);
		size_t want = (bare + 4 + 467) / 468 * 468;

		cr_assert_eq(ask_padded(options, TYPE_TXT, TRANSPORT_QUIC, 65535, out), want);
		for (size_t max = bare; max <= want + 1; max += max < bare + 6 || max > want - 4 ? 1 : 7) {
			size_t len = ask_padded(options, TYPE_TXT, TRANSPORT_QUIC, max, out);

			cr_assert_eq(len, max < bare + 4 ? bare : max < want ? max : want);
			cr_assert_not_null(answer_text(out, len));
		}
		db_destroy(lab.db);
	}
}
