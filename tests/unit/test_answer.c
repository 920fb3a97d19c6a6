/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers of every kind, as text.  What peers agree on is also compared with them by
 * tests/differential; here stand the rules one by one. */
#include <criterion/criterion.h>

#include "answers.h"

static struct lab lab;

static void open_zones(void)
{
	lab_open(&lab);
	lab_put_sample(&lab);
}

static const char *ask(const char *qname, uint16_t qtype, uint16_t edns, enum transport transport)
{
	uint8_t msg[512];
	static uint8_t out[1 << 16];
	size_t len = question(msg, qname, qtype, edns);

	len = answer_in(&lab, msg, len, transport, transport == TRANSPORT_TCP ? 65535 : 1452, out);
	cr_assert(len >= DNS_HEADER);
	const char *text = answer_text(out, len);

	cr_assert_not_null(text, "%s: malformed answer", qname);
	return text;
}

static void expect(const char *qname, uint16_t qtype, const char *want)
{
	const char *got = ask(qname, qtype, 1232, TRANSPORT_UDP);

	cr_expect_str_eq(got, want, "%s type %u:\ngot:\n%swant:\n%s", qname, qtype, got, want);
}

#define SOA "ns example. 60 IN SOA ns1.example. host.example. 7 1800 900 604800 60\n"
#define DSHEX "0000000000000000000000000000000000000000000000000000000000000000"
#define WWW "an www.example. 300 IN A 192.0.2.3\nan www.example. 300 IN A 192.0.2.4\n"

Test(answer, positive, .init = open_zones)
{
	expect("www.example.", TYPE_A, "NOERROR aa\n" WWW);
	expect("WWW.eXample.", TYPE_TXT, "NOERROR aa\nan www.example. 300 IN TXT \"hello\"\n");
	expect("example.", TYPE_MX, "NOERROR aa\nan example. 300 IN MX 10 mail.example.\n"
	       "an example. 300 IN MX 20 mx.mail.example.\n");
	expect("odd.example.", 65280, "NOERROR aa\nan odd.example. 300 IN TYPE65280 \\# 3 010203\n");
	expect("d.example.", TYPE_TXT, "NOERROR aa\nan d.example. 300 IN TXT \"owner\"\n");
	/* Who asks for name servers is told their addresses. */
	expect("example.", TYPE_NS, "NOERROR aa\nan example. 300 IN NS ns.other.test.\n"
	       "an example. 300 IN NS ns1.example.\nar ns1.example. 300 IN A 192.0.2.1\n"
	       "ar ns1.example. 300 IN AAAA 2001:db8::1\n");
}

/* RFC 2308 sections 2 and 3. */
Test(answer, negative, .init = open_zones)
{
	expect("www.example.", TYPE_AAAA, "NOERROR aa\n" SOA);
	expect("nothing.example.", TYPE_A, "NXDOMAIN aa\n" SOA);
	expect("x.www.example.", TYPE_A, "NXDOMAIN aa\n" SOA);
	expect("a.b.example.", TYPE_A, "NOERROR aa\n" SOA);
	expect("b.example.", TYPE_ANY, "NOERROR aa\n" SOA);
	expect("c.b.example.", TYPE_A, "NXDOMAIN aa\n" SOA);
}

/* RFC 6604. */
Test(answer, chains, .init = open_zones)
{
	expect("alias.example.", TYPE_A, "NOERROR aa\nan alias.example. 300 IN CNAME www.example.\n" WWW);
	expect("alias2.example.", TYPE_A, "NOERROR aa\nan alias2.example. 300 IN CNAME alias.example.\n"
	       "an alias.example. 300 IN CNAME www.example.\n" WWW);
	expect("alias.example.", TYPE_CNAME, "NOERROR aa\nan alias.example. 300 IN CNAME www.example.\n");
	expect("alias.example.", TYPE_AAAA, "NOERROR aa\nan alias.example. 300 IN CNAME www.example.\n" SOA);
	expect("none.example.", TYPE_A, "NXDOMAIN aa\nan none.example. 300 IN CNAME nothing.example.\n" SOA);
	expect("out.example.", TYPE_TXT, "NOERROR aa\nan out.example. 300 IN CNAME elsewhere.test.\n"
	       "an elsewhere.test. 60 IN TXT \"there\"\n");
	expect("loop1.example.", TYPE_A, "NOERROR aa\nan loop1.example. 300 IN CNAME loop2.example.\n"
	       "an loop2.example. 300 IN CNAME loop1.example.\n");
}

/* RFC 4592: expansion, and what hides a wildcard. */
Test(answer, wildcards, .init = open_zones)
{
	expect("x.wild.example.", TYPE_TXT, "NOERROR aa\nan x.wild.example. 300 IN TXT \"star\"\n");
	expect("x.y.wild.example.", TYPE_MX, "NOERROR aa\nan x.y.wild.example. 300 IN MX 5 mail.example.\n");
	expect("*.wild.example.", TYPE_TXT, "NOERROR aa\nan *.wild.example. 300 IN TXT \"star\"\n");
	expect("x.wild.example.", TYPE_A, "NOERROR aa\n" SOA);
	expect("exists.wild.example.", TYPE_TXT, "NOERROR aa\n" SOA);
	expect("x.exists.wild.example.", TYPE_TXT, "NXDOMAIN aa\n" SOA);
	expect("ent.wild.example.", TYPE_TXT, "NOERROR aa\n" SOA);
	expect("y.ent.wild.example.", TYPE_TXT, "NXDOMAIN aa\n" SOA);
	expect("x.*.wild.example.", TYPE_TXT, "NXDOMAIN aa\n" SOA);
	expect("x.cwild.example.", TYPE_A, "NOERROR aa\nan x.cwild.example. 300 IN CNAME www.example.\n" WWW);
}

#define CUT "ns cut.example. 300 IN NS ns.cut.example.\nns cut.example. 300 IN NS ns.sib.example.\n" \
	"ns cut.example. 300 IN NS ns1.example.\nar ns.cut.example. 300 IN A 192.0.2.8\n" \
	"ar ns.cut.example. 300 IN AAAA 2001:db8::8\nar ns.sib.example. 300 IN A 192.0.2.9\n" \
	"ar ns1.example. 300 IN A 192.0.2.1\nar ns1.example. 300 IN AAAA 2001:db8::1\n"

Test(answer, referrals, .init = open_zones)
{
	expect("cut.example.", TYPE_A, "NOERROR\n" CUT);
	expect("cut.example.", TYPE_NS, "NOERROR\n" CUT);
	expect("www.x.cut.example.", TYPE_A, "NOERROR\n" CUT);
	expect("below.cut.example.", TYPE_TXT, "NOERROR\n" CUT);
	expect("ns.cut.example.", TYPE_A, "NOERROR\n" CUT);
	expect("cut.example.", TYPE_DS, "NOERROR aa\nan cut.example. 300 IN DS 1 8 2 " DSHEX "\n");
	expect("sib.example.", TYPE_DS, "NOERROR aa\n" SOA);
	expect("x.lame.example.", TYPE_A, "NOERROR\nns lame.example. 300 IN NS ns.elsewhere.test.\n");
}

/* Parent and child both loaded, in either order: the child answers but for DS. */
Test(answer, parent_and_child, .init = open_zones)
{
	static const char child[] = "@ 60 SOA . . 1 1 1 1 30\n@ 60 NS ns\nns 60 A 192.0.2.50\n"
				    "@ 60 TXT child\n";
	for (int round = 0; round < 2; round++) {
		lab_put(&lab, "cut.example.", child);
		expect("cut.example.", TYPE_TXT, "NOERROR aa\nan cut.example. 60 IN TXT \"child\"\n");
		expect("below.cut.example.", TYPE_TXT, "NXDOMAIN aa\nns cut.example. 30 IN SOA . . 1 1 1 1 30\n");
		expect("cut.example.", TYPE_DS, "NOERROR aa\nan cut.example. 300 IN DS 1 8 2 " DSHEX "\n");
		expect("ns.cut.example.", TYPE_A, "NOERROR aa\nan ns.cut.example. 60 IN A 192.0.2.50\n");
		/* The other order: child first. */
		db_destroy(lab.db);
		lab_open(&lab);
		lab_put(&lab, "cut.example.", child);
		expect("cut.example.", TYPE_DS, "NOERROR aa\nns cut.example. 30 IN SOA . . 1 1 1 1 30\n");
		lab_put(&lab, "example.", sample_zone);
	}
}

/* RFC 6672. */
Test(answer, dname, .init = open_zones)
{
	expect("x.d.example.", TYPE_A, "NOERROR aa\nan d.example. 300 IN DNAME target.test.\n"
	       "an x.d.example. 300 IN CNAME x.target.test.\n");
	expect("deep.into.example.", TYPE_A, "NOERROR aa\nan into.example. 300 IN DNAME a.b.example.\n"
	       "an deep.into.example. 300 IN CNAME deep.a.b.example.\nan deep.a.b.example. 300 IN A 192.0.2.5\n");
	expect("y.into.example.", TYPE_A, "NXDOMAIN aa\nan into.example. 300 IN DNAME a.b.example.\n"
	       "an y.into.example. 300 IN CNAME y.a.b.example.\n" SOA);
	expect("d.example.", TYPE_DNAME, "NOERROR aa\nan d.example. 300 IN DNAME target.test.\n");
#define L63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
	expect(L63 L63 L63 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.d.example.", TYPE_A,
	       "YXDOMAIN aa\nan d.example. 300 IN DNAME target.test.\n");
}

Test(answer, outside, .init = open_zones)
{
	expect("www.example.org.", TYPE_A, "REFUSED\n");
	expect(".", TYPE_NS, "REFUSED\n");
	expect("test.", TYPE_A, "REFUSED\n");
}

/* RFC 8482 over UDP, everything over TCP. */
Test(answer, any, .init = open_zones)
{
	expect("www.example.", TYPE_ANY, "NOERROR aa\n" WWW);
	cr_assert_str_eq(ask("www.example.", TYPE_ANY, 0, TRANSPORT_TCP),
			 "NOERROR aa\n" WWW "an www.example. 300 IN TXT \"hello\"\n");
}

static void put_large(unsigned mx_cnt)
{
	static char text[1 << 20];
	char *p = text;

	p += sprintf(p, "@ 60 SOA . . 1 1 1 1 30\n@ 60 NS ns.sub\n");
	for (unsigned i = 0; i < mx_cnt; i++)
		p += sprintf(p, "many 60 MX %u host%u.many\n@ 60 NS host%u.x\n", i, i, i);
	p += sprintf(p, "c 60 CNAME many\nsub 60 NS ns.sub\nns.sub 60 A 192.0.2.1\n");
	for (unsigned i = 0; i < 60; i++)
		p += sprintf(p, "ns.sub 60 A 192.0.3.%u\n", i);
	lab_put(&lab, "large.", text);
}

/* Whole RRsets or none (RFC 2181 section 9), within every limit. */
Test(answer, truncation, .init = open_zones)
{
	put_large(40);
	cr_assert_str_eq(ask("many.large.", TYPE_MX, 0, TRANSPORT_UDP), "NOERROR aa tc\n");
	cr_assert(strstr(ask("many.large.", TYPE_MX, 1232, TRANSPORT_UDP), "host39"));
	cr_assert(strstr(ask("many.large.", TYPE_MX, 65535, TRANSPORT_UDP), "host39"));
	/* In-domain glue is required (RFC 9471 section 3.1). */
	cr_assert_str_eq(ask("x.sub.large.", TYPE_A, 0, TRANSPORT_UDP),
			 "NOERROR tc\nns sub.large. 60 IN NS ns.sub.large.\n");
	cr_assert(strstr(ask("x.sub.large.", TYPE_A, 1232, TRANSPORT_UDP), "192.0.3.59"));
	/* A chain keeps what fits. */
	cr_assert_str_eq(ask("c.large.", TYPE_MX, 0, TRANSPORT_UDP),
			 "NOERROR aa tc\nan c.large. 60 IN CNAME many.large.\n");

	uint8_t msg[512], out[65535];
	size_t len = question(msg, "many.large.", TYPE_MX, 1232);

	for (size_t max = 512; max < 1300; max++) {
		size_t n = answer_in(&lab, msg, len, TRANSPORT_UDP, max, out);

		cr_assert(n <= max && answer_text(out, n));
	}
}

/* Beyond 16 KiB no pointer reaches; names are then written out. */
Test(answer, beyond_pointers, .init = open_zones)
{
	put_large(1400);
	const char *text = ask("c.large.", TYPE_MX, 0, TRANSPORT_TCP);

	cr_assert(strstr(text, "an many.large. 60 IN MX 1399 host1399.many.large.\n"));
	text = ask("large.", TYPE_ANY, 0, TRANSPORT_TCP);
	cr_assert(strstr(text, "host1399.x.large."));

	/* A large block at the front of a message is as tight all through. */
	uint8_t msg[512], *out = malloc(65535);
	size_t len = question(msg, "many.large.", TYPE_MX, 0), rdata = 0;

	for (unsigned i = 0; i < 1400; i++) /* "hostN" and a pointer to many.large. */
		rdata += 2 + 10 + 2 + 1 + 4 + (i < 10 ? 1u : i < 100 ? 2u : i < 1000 ? 3u : 4u) + 2;
	cr_assert_eq(answer_in(&lab, msg, len, TRANSPORT_TCP, 65535, out), len + rdata);
	free(out);
}

/* The same octets whether the answer goes to a buffer of its own or the query's. */
Test(answer, in_place, .init = open_zones)
{
	static const char *const names[] = { "www.example.", "X.d.example.", "cut.example.", "no.example.",
					     "alias2.example.", "q.wild.example.", "example.org." };
	for (unsigned i = 0; i < 7; i++) {
		uint8_t msg[1500], out[1500];
		size_t len = question(msg, names[i], TYPE_A, 1232), n, k;

		n = answer_in(&lab, msg, len, TRANSPORT_UDP, 1452, out);
		k = answer_in(&lab, msg, len, TRANSPORT_UDP, 1452, msg);
		cr_assert_eq(n, k);
		cr_assert_eq(memcmp(msg, out, n), 0, "%s", names[i]);
	}
}

/* Names in an answer point at the question and at each other as far as they can. */
Test(answer, compression, .init = open_zones)
{
	uint8_t msg[512], out[1500];
	size_t len = question(msg, "example.", TYPE_MX, 0);

	/* header, question 13, MX mail (2+10+2+5+2), MX mx.mail (2+10+2+3+2) */
	cr_assert_eq(answer_in(&lab, msg, len, TRANSPORT_UDP, 1452, out), 12 + 13 + 21 + 19);
	lab_put(&lab, ".", "@ 60 SOA a. b. 1 1 1 1 30\n@ 60 NS a.\n@ 60 NS b.a.\na. 60 A 192.0.2.1\n");
	len = question(msg, ".", TYPE_NS, 0);
	/* header, question 5, NS a. (1+10+3), NS b.a. (1+10+2+2), A (2+10+4) */
	cr_assert_eq(answer_in(&lab, msg, len, TRANSPORT_UDP, 1452, out), 12 + 5 + 14 + 15 + 16);
}

/* Signatures can push the steps of a chain beyond 16 KiB, where no pointer reaches: the chain
 * ends there, and what is written of it is sound. */
Test(answer, long_signed_chain, .init = open_zones, .timeout = 20)
{
	static char text[1 << 18], signature[8001];
	static uint8_t out[1 << 16];
	static const char *const asked[] = { "c0.a-longer-label.chain.", "x.d0.a-longer-label.chain." };
	char *p = text;

	memset(signature, '/', sizeof(signature) - 1);
	p += sprintf(p, "@ 60 SOA . . 1 1 1 1 30\n@ 60 NS ns\nns 60 A 192.0.2.1\n"
		     "$ORIGIN a-longer-label.chain.\n");
	for (unsigned i = 0; i < 10; i++) {
		p += sprintf(p, "c%u 60 CNAME c%u\nd%u 60 DNAME d%u\n", i, i + 1, i, i + 1);
		p += sprintf(p, "c%u 60 RRSIG CNAME 8 2 60 20300101000000 20200101000000 1 chain. %s\n", i, signature);
		p += sprintf(p, "d%u 60 RRSIG DNAME 8 2 60 20300101000000 20200101000000 1 chain. %s\n", i, signature);
	}
	lab_put(&lab, "chain.", text);
	for (unsigned i = 0; i < 2; i++) {
		uint8_t msg[512];
		size_t len = question(msg, asked[i], TYPE_A, 1232);

		msg[len - 4] = 0x80; /* DO */
		len = answer_in(&lab, msg, len, TRANSPORT_TCP, 65535, out);
		const char *got = answer_text(out, len);

		cr_assert_not_null(got, "%s: malformed answer", asked[i]);
		cr_assert(strncmp(got, "NOERROR aa\n", 11) == 0, "%s", got);
		cr_assert(strstr(got, i ? "an d1.a-longer-label.chain. 60 IN DNAME d2.a-longer-label.chain.\n" : "an c1.a-longer-label.chain. 60 IN CNAME c2.a-longer-label.chain.\n"));
	}
}

/* ---- additional: full ---- */

static void open_full(void)
{
	struct settings s = { .udp_payload = 1232, .additional_full = 1 };
	uint64_t version;

	open_zones();
	lab_put(&lab, "full.", "$TTL 60\n@ SOA . . 1 1 1 1 1\n@ NS .\n"
		"@ MX 1 mail\n@ MX 2 mail\n@ MX 3 mail.example.\n@ MX 4 mail.elsewhere.invalid.\n"
		"@ MX 5 glue.cut\n@ MX 6 gone\n@ MX 7 alias\n"
		"mail A 192.0.2.50\nmail AAAA 2001:db8::50\nalias CNAME mail\n"
		"cut NS glue.cut\nglue.cut A 192.0.2.51\n"
		"_s._tcp SRV 0 0 1 Mail\n_s._tcp SRV 0 0 2 mail\n"
		"svc SVCB 1 mail\nsvc HTTPS 0 mail\n"
		"*.w MX 1 mail\nto CNAME x.w\n");
	struct txn *t = db_begin(lab.db);

	cr_assert_eq(txn_settings(t, &s), 0);
	cr_assert_eq(txn_commit(t, &version), 0);
}

#define MAIL "ar mail.full. 60 IN A 192.0.2.50\nar mail.full. 60 IN AAAA 2001:db8::50\n"

/* Addresses of targets in any of our zones, each once; no glue, and nothing that a chain leads to. */
Test(answer, full_additional, .init = open_full)
{
	static const char mx[] = "NOERROR aa\nan full. 60 IN MX 1 mail.full.\nan full. 60 IN MX 2 mail.full.\n"
		"an full. 60 IN MX 3 mail.example.\nan full. 60 IN MX 4 mail.elsewhere.invalid.\n"
		"an full. 60 IN MX 5 glue.cut.full.\nan full. 60 IN MX 6 gone.full.\nan full. 60 IN MX 7 alias.full.\n"
		MAIL "ar mail.example. 300 IN A 192.0.2.2\n";

	expect("full.", TYPE_MX, mx);
	expect("_s._tcp.full.", TYPE_SRV, "NOERROR aa\nan _s._tcp.full. 60 IN SRV 0 0 1 Mail.full.\n"
	       "an _s._tcp.full. 60 IN SRV 0 0 2 mail.full.\n" MAIL);
	expect("svc.full.", TYPE_SVCB, "NOERROR aa\nan svc.full. 60 IN SVCB 1 mail.full.\n" MAIL);
	expect("svc.full.", TYPE_HTTPS, "NOERROR aa\nan svc.full. 60 IN HTTPS 0 mail.full.\n" MAIL);
	expect("x.w.full.", TYPE_MX, "NOERROR aa\nan x.w.full. 60 IN MX 1 mail.full.\n" MAIL);
	expect("to.full.", TYPE_MX, "NOERROR aa\nan to.full. 60 IN CNAME x.w.full.\n"
	       "an x.w.full. 60 IN MX 1 mail.full.\n" MAIL);
	expect("full.", TYPE_A, "NOERROR aa\nns full. 1 IN SOA . . 1 1 1 1 1\n");
	db_destroy(lab.db);
}

/* Opcodes other than QUERY are counted, whatever else is wrong with the message. */
Test(answer, opcodes_are_counted)
{
	uint8_t msg[512], out[1232];
	size_t len = question(msg, "www.example.", TYPE_A, 1232);

	lab_open(&lab);
	lab_put_sample(&lab);
	for (unsigned opcode = 0; opcode < 16; opcode++) {
		for (unsigned i = 0; i <= opcode; i++) {
			msg[2] = (uint8_t)(opcode << 3);
			cr_assert_gt(answer_in(&lab, msg, i ? len : DNS_HEADER, TRANSPORT_UDP, 1232, out), 0);
		}
	}
	for (unsigned opcode = 0; opcode < 16; opcode++)
		cr_expect_eq(atomic_load(&lab.reader.slot->opcode[opcode]), opcode ? opcode + 1 : 0, "%u", opcode);
	db_destroy(lab.db);
}

/* What has no room is left out, and that is no truncation: in every size, from what the answer alone needs on. */
Test(answer, full_additional_gives_way, .init = open_full)
{
	uint8_t msg[512], out[1232];
	size_t len = question(msg, "_s._tcp.full.", TYPE_SRV, 1232);
	size_t whole = answer_in(&lab, msg, len, TRANSPORT_UDP, 1232, out), seen[3] = { 0 };

	for (size_t max = whole - 16 - 28; max <= whole; max++) {
		size_t n = answer_in(&lab, msg, len, TRANSPORT_UDP, max, out);

		cr_assert_not_null(answer_text(out, n));
		cr_assert_eq(out[2] & 2, 0);
		cr_assert_leq(out[11], 3);
		seen[out[11] - 1]++;
	}
	cr_expect_eq(seen[0], 16);
	cr_expect_eq(seen[1], 28);
	cr_expect_eq(seen[2], 1);
	db_destroy(lab.db);
}
