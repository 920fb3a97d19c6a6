/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The zone file reader: every directive, every class of fault with its line. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/zone/zonefile.h"
#include "dataplane/answer/rrtype.h"

/* Four lines that make a valid zone; cases follow from line 5 on. */
#define HEAD "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"

/* What a reading told. */
struct log {
	char text[1 << 16];
	size_t len, cnt;
};

static void note(void *arg, const char *text)
{
	struct log *log = arg;
	int n = snprintf(log->text + log->len, sizeof(log->text) - log->len, "%s\n", text);

	cr_assert(n > 0 && (size_t)n < sizeof(log->text) - log->len);
	log->len += (size_t)n;
	log->cnt++;
}

static struct name apex_of(const char *text)
{
	struct name n;

	cr_assert_eq(name_from_text(&n, text), 0);
	return n;
}

static int read_zone(struct records *rs, struct log *log, const char *text, size_t len)
{
	struct name apex = apex_of("example.");

	memset(log, 0, sizeof(*log));
	records_init(rs);
	return zonefile_read_text(rs, &apex, text, len, "z", note, log);
}

/* dump - all records as text, one a line; the caller frees. */
static char *dump(const struct records *rs)
{
	static char line[RECORD_TEXT_MAX];
	char *all = NULL;
	size_t len;
	FILE *f = open_memstream(&all, &len);

	for (size_t i = 0; i < rs->cnt; i++) {
		const struct record *rr = &rs->rr[i];

		cr_assert_eq(record_to_text(line, sizeof(line), rr->owner, rr->type, rr->ttl,
					    rr->rdata, rr->rdata_len), 0);
		fprintf(f, "%s\n", line);
	}
	fclose(f);
	return all;
}

/* expect_zone - HEAD and `text` read as HEAD's records and those of `want`, sorted. */
static void expect_zone(const char *text, const char *want)
{
	static const char ours[] =
		"example. 60 IN NS ns.example.\n"
		"example. 60 IN SOA ns.example. h.example. 1 2 3 4 5\n";
	char *all = NULL;
	struct records rs;
	struct log log;

	cr_assert(asprintf(&all, "%s%s", HEAD, text) > 0);

	int rc = read_zone(&rs, &log, all, strlen(all));

	cr_assert_eq(rc, 0, "%s\n%s", text, log.text);
	free(all);

	char *got = dump(&rs), *rest;

	cr_assert_eq(strncmp(got, ours, strlen(ours)), 0, "%s", got);
	rest = strstr(got, "ns.example. 60 IN A 192.0.2.1\n");
	cr_assert_not_null(rest, "%s", got);

	/* Take the name server's line out, wherever it sorts. */
	size_t ns = strlen("ns.example. 60 IN A 192.0.2.1\n");

	memmove(rest, rest + ns, strlen(rest + ns) + 1);
	cr_expect_str_eq(got + strlen(ours), want, "for:\n%s\ngot:\n%s", text, got + strlen(ours));
	free(got);
	records_free(&rs);
}

struct fault_case {
	const char *text, *want; /* want: the reports, a newline after each */
};

static void expect_faults(const char *head, const struct fault_case *c)
{
	struct records rs;
	struct log log;
	char *all = NULL;

	cr_assert(asprintf(&all, "%s%s", head, c->text) >= 0);

	int rc = read_zone(&rs, &log, all, strlen(all));

	free(all);
	cr_expect_eq(rc, -EINVAL, "%s", c->text);
	cr_expect_str_eq(log.text, c->want, "for:\n%s\ngot:\n%s", c->text, log.text);
	cr_expect_eq(rs.cnt, 0);
	cr_expect_null(rs.rr);
}

#define X10 "xxxxxxxxxx"
#define X50 X10 X10 X10 X10 X10
#define X63 X50 X10 "xxx"

/* ---- faults ---- */

static const struct fault_case faults[] = {
	/* Of the scanner: each with the line where it stands. */
	{ "a A 1.2.3\n", "z:5: invalid IPv4 address near \"1.2.3\"\n" },
	{ "a A\n", "z:5: the record ends too early\n" },
	{ "a A 1.2.3.4 5\n", "z:5: unexpected data near \"5\"\n" },
	{ "a AAAA 1.2.3.4\n", "z:5: invalid IPv6 address near \"1.2.3.4\"\n" },
	{ "a MX ns\n", "z:5: invalid number near \"ns\"\n" },
	{ "a SRV 0 0 65536 b\n", "z:5: number is bigger than 16 bits near \"65536\"\n" },
	{ "a CAA 0 iss\\256ue x\n", "z:5: number is bigger than 8 bits near \"iss\\256ue\"\n" },
	{ "a DS 1 8 2 XYZ\n", "z:5: invalid hexadecimal character near \"XYZ\"\n" },
	{ "a NSEC b FOO\n", "z:5: invalid bitmap near \"FOO\"\n" },
	{ "a SVCB 1 . alpn=h2 alpn=h3\n", "z:5: duplicate parameter name\n" },
	{ "a RRSIG A 8 2 60 20301301000000 20200101000000 1 example. AQAB\n",
	  "z:5: invalid date near \"20301301000000\"\n" },
	{ "a 4294967296 A 1.2.3.4\n", "z:5: number is bigger than 32 bits near \"4294967296\"\n" },
	{ "a 1w1x A 1.2.3.4\n", "z:5: invalid time unit near \"1w1x\"\n" },
	{ "a\002b A 1.2.3.4\n", "z:5: invalid domain name character near \"a?b\"\n" },
	{ X63 "x A 1.2.3.4\n", "z:5: maximal domain name label length has exceeded near \""
	  X10 X10 X10 X10 "\"\n" },
	{ X63 "." X63 "." X63 "." X63 " A 1.2.3.4\n",
	  "z:5: maximal domain name length has exceeded near \"" X10 X10 X10 X10 "\"\n" },
	{ "a A 1.2.3.4 \r x\n", "z:5: unsupported CRLF newline, remove CR bytes near \"?\"\n" },
	{ "\n; c\n\n  \na A x\n", "z:9: invalid address character near \"x\"\n" },
	{ "a A 1.2.3", "z:5: invalid IPv4 address near \"1.2.3\"\n" },

	/* Types and classes. */
	{ "a FOO bar\n",
	  "z:5: no known record type (and the class can only be IN) near \"FOO\"\n" },
	{ "a 5 IN FOO bar\n",
	  "z:5: no known record type (and the class can only be IN) near \"FOO\"\n" },
	{ "a CH A 1.2.3.4\n",
	  "z:5: no known record type (and the class can only be IN) near \"CH\"\n" },
	{ "a CLASS3 A 1.2.3.4\n",
	  "z:5: no known record type (and the class can only be IN) near \"CLASS3\"\n" },
	{ "a TYPE0 \\# 0\n", "z:5: TYPE0: a meta-type is never data in a zone (RFC 6895 section 3.1)\n" },
	{ "a TYPE41 \\# 0\n", "z:5: OPT: a meta-type is never data in a zone (RFC 6895 section 3.1)\n" },
	{ "a TYPE250 \\# 0\n", "z:5: TSIG: a meta-type is never data in a zone (RFC 6895 section 3.1)\n" },
	{ "a TYPE255 \\# 0\n", "z:5: ANY: a meta-type is never data in a zone (RFC 6895 section 3.1)\n" },
	{ "a TYPE65535 \\# 0\n",
	  "z:5: TYPE65535: a meta-type is never data in a zone (RFC 6895 section 3.1)\n" },
	{ "a TYPE65536 \\# 0\n", "z:5: number is bigger than 16 bits near \"TYPE65536\"\n" },

	/* Generic RDATA (RFC 3597): the scanner takes any for a known type, we do not. */
	{ "a A \\# 3 010203\n", "z:5: A: RDATA is too short\n" },
	{ "a NS \\# 2 C000\n", "z:5: NS: name is compressed or has a label over 63 octets\n" },
	{ "a TYPE65280 \\# 2 01\n", "z:5: the RDATA is not as long as it is said to be\n" },
	{ "a TYPE65280 \\# 1 0g\n", "z:5: invalid hexadecimal character near \"0g\"\n" },
	{ "a TYPE65280 abc\n", "z:5: unable to process text form for this type near \"abc\"\n" },

	/* Going on behind a fault: after its entry, however many lines that has. */
	{ "a TXT \"unclosed\nb A x\n", "z:5: a quote is not closed near \"unclosed\"\n"
	  "z:6: invalid address character near \"x\"\n" },
	{ "a TXT )\nb A x\n", "z:5: too many right parentheses near \")\"\n"
	  "z:6: invalid address character near \"x\"\n" },
	{ "a TXT ( x ( y )\n )\nb A x\n", "z:7: invalid address character near \"x\"\n" },
	{ "a MX ( 10 bad..name ) ; c\nb A x\n", "z:5: invalid domain name character near \"bad..name\"\n"
	  "z:6: invalid address character near \"x\"\n" },
	{ "a MX ( 10\n ; )\n bad..name\n)\nb A x\n", "z:7: invalid domain name character near \"bad..name\"\n"
	  "z:9: invalid address character near \"x\"\n" },
	{ "a TXT ( \"x\n y\" )\nb A x\n", "z:7: invalid address character near \"x\"\n" },
	{ "a\\\nb A 1.2.3.4\nb A x\n", "z:7: invalid address character near \"x\"\n" },
	{ "( ; c\n )\nb A x\n", "z:7: invalid address character near \"x\"\n" },
	{ "a TXT ( \"x\"\n \"y\"\nb A 1.2.3.4\n", "z:5: unclosed last multiline block\n" },
	{ "a TXT (", "z:5: unclosed last multiline block\n" },
	{ "\n(", "z:6: unclosed last multiline block\n" },

	/* Directives. */
	{ "$FOO x\nb A x\n", "z:5: invalid directive near \"$FOO\"\n"
	  "z:6: invalid address character near \"x\"\n" },
	{ "$", "z:5: invalid directive near \"$\"\n" },
	{ "$TTL x\nb A x\n", "z:5: invalid number near \"x\"\n"
	  "z:6: invalid address character near \"x\"\n" },
	{ "$TTL\n", "z:5: invalid zone TTL near \"$TTL\"\n" },
	{ "$ORIGIN\nb A x\n", "z:5: invalid FQDN zone origin near \"$ORIGIN\"\n"
	  "z:6: invalid address character near \"x\"\n" },
	{ "$ORIGIN a.. b\n", "z:5: unexpected data near \"a..\"\n" },
	{ "$ORIGIN a.example. c\nb A x\n", "z:5: unexpected data near \"c\"\n"
	  "z:6: invalid address character near \"x\"\n" },
	{ "$ORIGIN " X63 "." X63 "." X63 "\n$ORIGIN " X63 "\nb A x\n",
	  "z:6: invalid FQDN zone origin near \"" X10 X10 X10 X10 "\"\n"
	  "z:7: invalid address character near \"x\"\n" },
	{ "$INCLUDE\n$TTL 5\n$INCLUDE\nb A x\n", "z:5: malformed directive\nz:7: malformed directive\n"
	  "z:8: invalid address character near \"x\"\n" },
	{ "$INCLUDE x y\n", "z:5: invalid origin in include directive near \"y\"\n" },
	{ "$INCLUDE x\nb A x\n", "z:5: $INCLUDE is not possible here\n"
	  "z:6: invalid address character near \"x\"\n" },

	/* $GENERATE. */
	{ "$GENERATE", "z:5: $GENERATE without a range\n" },
	{ "$GENERATE 1-2 ; x\n", "z:5: $GENERATE without an owner name\n" },
	{ "$GENERATE 1-2 \"a$\" A 1.2.3.4\n", "z:5: $GENERATE without an owner name\n" },
	{ "$GENERATE 1-2 a$\n", "z:5: $GENERATE without a type\n" },
	{ "$GENERATE 1-2 a$ 60 IN\n", "z:5: $GENERATE without a type\n" },
	{ "$GENERATE 1-2 a$ A\n", "z:5: $GENERATE without RDATA\n" },
	{ "$GENERATE 2-1 a$ A 1.2.3.4\n", "z:5: $GENERATE has an empty range\n" },
	{ "$GENERATE 1-2/0 a$ A 1.2.3.4\n", "z:5: $GENERATE has an empty range\n" },
	{ "$GENERATE 1-2x a$ A 1.2.3.4\n", "z:5: $GENERATE needs a range START-STOP or "
	  "START-STOP/STEP of numbers below 2147483648\n" },
	{ "$GENERATE 1-2147483648 a$ A 1.2.3.4\n", "z:5: $GENERATE needs a range START-STOP or "
	  "START-STOP/STEP of numbers below 2147483648\n" },
	{ "$GENERATE 0-1000000 a$ A 1.2.3.4\n", "z:5: $GENERATE would make over 1000000 records\n" },
	{ "$GENERATE 1-2 a${} A 1.2.3.4\n", "z:5: $GENERATE needs ${OFFSET,WIDTH,BASE} with WIDTH "
	  "up to 127 and BASE one of d o x X n N\n" },
	{ "$GENERATE 1-2 a$ TXT ${0,128}\n", "z:5: $GENERATE needs ${OFFSET,WIDTH,BASE} with WIDTH "
	  "up to 127 and BASE one of d o x X n N\n" },
	{ "$GENERATE 1-2 a$ TXT ${0,1,q}\n", "z:5: $GENERATE needs ${OFFSET,WIDTH,BASE} with WIDTH "
	  "up to 127 and BASE one of d o x X n N\n" },
	{ "$GENERATE 1-2 a$ ( A\n 1.2.3.4 )\nb A x\n",
	  "z:5: $GENERATE must stand on one line, with quotes and parentheses closed\n"
	  "z:7: invalid address character near \"x\"\n" },
	{ "$GENERATE 1-2 a$ TXT \"$\nb A x\n",
	  "z:5: $GENERATE must stand on one line, with quotes and parentheses closed\n"
	  "z:6: invalid address character near \"x\"\n" },
	{ "$GENERATE 1-2 a$ TXT \"( $\"\nb A x\n",
	  "z:5: $GENERATE must stand on one line, with quotes and parentheses closed\n"
	  "z:6: invalid address character near \"x\"\n" },
	{ "$GENERATE 250-260/2 a$ A 1.2.3.$\nb A x\n", "z:5: $GENERATE at 256: invalid IPv4 address\n"
	  "z:6: invalid address character near \"x\"\n" },
	{ "$GENERATE 1-2 a$ MB x..$\n", "z:5: $GENERATE at 1: a label is empty\n" },
	{ "$GENERATE 1-2 a$ FOO x\n", "z:5: $GENERATE at 1: no known record type (and the class can only be IN)\n" },
	{ "$GENERATE 5-6 a$ A \"\\# 3 01020$\"\n", "z:5: $GENERATE at 5: RDATA is too short\n" },
	{ "$GENERATE 2147483646-2147483647 a${1} A 1.2.3.4\n",
	  "z:5: $GENERATE at 2147483647: number out of range\n" },

	/* An empty field must be said to be empty. */
	{ "a TLSA 3 1 1\n", "z:5: the record ends too early\n" },
	{ "a OPENPGPKEY\n", "z:5: the record ends too early\n" },

	/* The zone as a whole. */
	{ "@ SOA ns h 2 2 3 4 5\n", "z:5: example.: a second SOA\n" },
	{ "a SOA ns h 1 2 3 4 5\n", "z:5: a.example.: a SOA that is not at the zone's apex\n" },
	{ "a CNAME b\na CNAME c\n", "z:6: a.example.: more than one CNAME (RFC 2181 section 10.1)\n" },
	{ "a A 1.2.3.4\n\na CNAME (\n b )\n", "z:7: a.example.: CNAME beside A (RFC 2181 section 10.1)\n" },
	{ "a CNAME b\nA TXT x\n", "z:5: a.example.: CNAME beside TXT (RFC 2181 section 10.1)\n" },
	{ "@ CNAME b\n", "z:5: example.: CNAME beside NS (RFC 2181 section 10.1)\n" },
	{ "a DNAME b\na DNAME c\n", "z:6: a.example.: more than one DNAME (RFC 6672 section 2.4)\n" },
	{ "a CNAME b\na DNAME c\n", "z:5: a.example.: CNAME beside a DNAME (RFC 6672 section 2.3)\n" },
	{ "$GENERATE 1-2 a CNAME b$\n", "z:5: a.example.: more than one CNAME (RFC 2181 section 10.1)\n" },
};

Test(zonefile, faults)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		expect_faults(HEAD, &faults[i]);
}

static const struct fault_case bare_faults[] = {
	{ "", "z: no SOA record at the apex, example.\nz: no NS record at the apex, example.\n" },
	{ "\xef\xbb\xbf", "z: no SOA record at the apex, example.\nz: no NS record at the apex, example.\n" },
	{ "; c\n\n$TTL 5\n", "z: no SOA record at the apex, example.\n"
	  "z: no NS record at the apex, example.\n" },
	{ "\n@ 5 SOA ns h ( 1\n 2 3 4 5 )\n", "z:2: no NS record at the apex, example.\n" },
	{ "@ 5 NS ns\n", "z: no SOA record at the apex, example.\n" },
	{ " A 1.2.3.4\n", "z:1: no owner: none stated here or before near \"A\"\n" },
	{ "@ NS ns\n", "z:1: no TTL: none stated here or before, and no $TTL\n" },
	{ "a A 1.2.3.4\n$TTL 5\n", "z:1: no TTL: none stated here or before, and no $TTL\n" },
};

Test(zonefile, faults_of_the_whole)
{
	for (size_t i = 0; i < sizeof(bare_faults) / sizeof(bare_faults[0]); i++)
		expect_faults("", &bare_faults[i]);
}

Test(zonefile, too_many_faults)
{
	char text[4096], want[4096];
	size_t len = 0, want_len = 0;

	/* As many as are told of, and one more. */
	for (int i = 0; i < ZONEFILE_ERRORS + 1; i++) {
		len += (size_t)sprintf(text + len, "a%d A x\n", i);
		if (i < ZONEFILE_ERRORS)
			want_len += (size_t)sprintf(want + want_len,
						    "z:%d: invalid address character near \"x\"\n", i + 5);
	}
	strcpy(want + want_len, "z: too many errors\n");
	expect_faults(HEAD, &(struct fault_case){ text, want });

	/* The same in the check of the zone. */
	len = want_len = 0;
	for (int i = 0; i < ZONEFILE_ERRORS + 1; i++) {
		len += (size_t)sprintf(text + len, "a%02d SOA ns h 1 2 3 4 5\n", i);
		if (i < ZONEFILE_ERRORS)
			want_len += (size_t)sprintf(want + want_len, "z:%d: a%02d.example.: a SOA that is not "
						    "at the zone's apex\n", i + 5, i);
	}
	strcpy(want + want_len, "z: too many errors\n");
	expect_faults(HEAD, &(struct fault_case){ text, want });
}

/* Records that came from no file: the zone's name stands for it. */
Test(zonefile, check_alone)
{
	static const uint8_t cut[] = "\1b\1a\7example", outside[] = "\1x";
	struct name apex = apex_of("Example.");
	struct records rs;
	struct log log = { 0 };

	records_init(&rs);
	cr_assert_eq(records_add(&rs, cut, TYPE_NS, 60, (const uint8_t *)"", 1, 0, 0), 0);
	cr_assert_eq(records_add(&rs, outside, TYPE_NS, 60, (const uint8_t *)"", 1, 0, 0), 0);
	cr_assert_eq(records_add(&rs, cut, TYPE_CNAME, 60, (const uint8_t *)"", 1, 0, 7), 0);
	cr_assert_eq(records_add(&rs, cut, TYPE_OPT, 60, NULL, 0, 0, 0), 0);
	cr_assert_eq(records_sort(&rs), 0);
	cr_expect_eq(zone_check(&rs, &apex, note, &log, NULL), -EINVAL);
	cr_expect_str_eq(log.text,
		"example.: b.a.example. OPT: a meta-type is never data in a zone (RFC 6895 section 3.1)\n"
		"example.:7: b.a.example.: CNAME beside NS (RFC 2181 section 10.1)\n"
		"example.: x. is outside the zone\n"
		"example.: no SOA record at the apex, example.\n"
		"example.: no NS record at the apex, example.\n", "%s", log.text);
	records_free(&rs);
}

/* An RRset that fills a message to the last octet, and one octet more. */
Test(zonefile, largest_rrset)
{
	/* Header 12, question 11 + 4, OPT 11; each record 12 and its RDATA; 65,535 in all
	 * with one TXT of 1 + 255 octets 244 times, and one of the rest. */
	const int full = 244, rest = 65535 - 12 - 15 - 11 - full * (12 + 256) - 12;

	for (int more = 0; more < 2; more++) {
		char *text = NULL;
		size_t len;
		FILE *f = open_memstream(&text, &len);
		struct records rs;
		struct log log;

		fputs(HEAD, f);
		for (int i = 0; i < full; i++)
			fprintf(f, "a TXT \"%0255d\"\n", i + 1);
		fprintf(f, "a TXT \"%0*d\"\n", rest - 1 + more, 0);
		fclose(f);
		cr_assert(rest > 1 && rest < 255);

		int rc = read_zone(&rs, &log, text, len);

		cr_expect_eq(rc, more ? -EINVAL : 0, "%s", log.text);
		cr_expect(!more || strstr(log.text, ": a.example. TXT: the RRset does not fit"), "%s",
			  log.text);
		records_free(&rs);
		free(text);
	}
}

Test(zonefile, octet_nul)
{
	static const char in_data[] = HEAD "a A 1.2.3.4\0\nb A x\n";
	static const char in_comment[] = HEAD "; \0\na A 1.2.3.4\n";
	struct records rs;
	struct log log;

	cr_expect_eq(read_zone(&rs, &log, in_data, sizeof(in_data) - 1), -EINVAL);
	cr_expect_str_eq(log.text, "z:5: invalid address character near \"1.2.3.4?\"\n"
			 "z:6: invalid address character near \"x\"\n");
	cr_expect_eq(read_zone(&rs, &log, in_comment, sizeof(in_comment) - 1), 0);
	cr_expect_eq(rs.cnt, 4);
	records_free(&rs);
}

/* ---- what is read ---- */

Test(zonefile, entries)
{
	expect_zone("", "");
	expect_zone("a A 1.2.3.4", "a.example. 60 IN A 1.2.3.4\n"); /* no newline at the end */
	expect_zone("a A 1.2.3.4\r\nb 5 IN A 1.2.3.5\r\n",
		    "a.example. 60 IN A 1.2.3.4\nb.example. 5 IN A 1.2.3.5\n");
	expect_zone("a IN 5 A 1.2.3.4\n  in 5 A 1.2.3.5 ; c\n",
		    "a.example. 5 IN A 1.2.3.4\na.example. 5 IN A 1.2.3.5\n");
	expect_zone("a.EXAMPLE. 1h A 1.2.3.4\n*.A AAAA ::1\n",
		    "a.example. 3600 IN A 1.2.3.4\n*.a.example. 60 IN AAAA ::1\n");
	expect_zone("a TXT ( \"b;(\" ; )\n c\n )\n", "a.example. 60 IN TXT \"b;(\" \"c\"\n");
	expect_zone("a MX 10 Mail.Example.\n", "a.example. 60 IN MX 10 Mail.Example.\n");
	expect_zone("a\\.b A 1.2.3.4\n\\000\\(\\097 A 1.2.3.4\n",
		    "\\000\\(a.example. 60 IN A 1.2.3.4\na\\.b.example. 60 IN A 1.2.3.4\n");
	expect_zone("a A \\# 4 01020304\nb TYPE1 \\# 4 01020304\nc TYPE65280 \\# 0\nd TYPE731 \\# 2 AbC0\n",
		    "a.example. 60 IN A 1.2.3.4\nb.example. 60 IN A 1.2.3.4\n"
		    "c.example. 60 IN TYPE65280 \\# 0\nd.example. 60 IN TYPE731 \\# 2 ABC0\n");
	/* Twice the same is one (RFC 2181 5); one TTL a set, the lowest (5.2). */
	expect_zone("a CNAME b\nA CNAME b\n", "a.example. 60 IN CNAME b.example.\n");
	expect_zone("a 9 A 1.1.1.1\na 5 A 1.1.1.2\n",
		    "a.example. 5 IN A 1.1.1.1\na.example. 5 IN A 1.1.1.2\n");
	/* What may stand beside a CNAME (RFC 4035 2.5), and what is below a cut or a DNAME. */
	expect_zone("a CNAME b\na NSEC b CNAME RRSIG NSEC\na KEY 256 3 8 AQAB\n",
		    "a.example. 60 IN CNAME b.example.\na.example. 60 IN KEY 256 3 8 AQAB\n"
		    "a.example. 60 IN NSEC b.example. CNAME RRSIG NSEC\n");
	expect_zone("a NS b.a\nb.a A 1.1.1.1\nc.a TXT x\nd DNAME a\ne.d TXT x\n",
		    "a.example. 60 IN NS b.a.example.\nb.a.example. 60 IN A 1.1.1.1\n"
		    "c.a.example. 60 IN TXT \"x\"\nd.example. 60 IN DNAME a.example.\n"
		    "e.d.example. 60 IN TXT \"x\"\n");
}

Test(zonefile, byte_order_mark)
{
	static const char text[] = "\xef\xbb\xbf" HEAD;
	struct records rs;
	struct log log;

	cr_expect_eq(read_zone(&rs, &log, text, strlen(text)), 0, "%s", log.text);
	cr_expect_eq(rs.cnt, 3);
	records_free(&rs);
}

Test(zonefile, origin)
{
	expect_zone("$ORIGIN sub.example.\na A 1.1.1.1\n$ORIGIN x\n@ A 1.1.1.2\nb MX 0 c\n",
		    "a.sub.example. 60 IN A 1.1.1.1\nx.sub.example. 60 IN A 1.1.1.2\n"
		    "b.x.sub.example. 60 IN MX 0 c.x.sub.example.\n");
	/* The last owner stays the last owner. */
	expect_zone("a A 1.1.1.1\n$ORIGIN y\n A 1.1.1.2\n$ORIGIN @\n$ORIGIN z ; c\nb A 1.1.1.3\n",
		    "a.example. 60 IN A 1.1.1.1\na.example. 60 IN A 1.1.1.2\n"
		    "b.z.y.example. 60 IN A 1.1.1.3\n");
	expect_zone("$ORIGIN q.example.\n;\n$ORIGIN r\n$ORIGIN s.example.\n$ORIGIN a\\.\nb A 1.1.1.1\n",
		    "b.a\\..s.example. 60 IN A 1.1.1.1\n");
	expect_zone("$ORIGIN t.example.\n$ORIGIN a\\\\.example.\n$ORIGIN u\\\\\nb A 1.1.1.1\n",
		    "b.u\\\\.a\\\\.example. 60 IN A 1.1.1.1\n");
	expect_zone("$ORIGIN .\na.example A 1.1.1.1\n", "a.example. 60 IN A 1.1.1.1\n");
}

static void expect_ttls(const char *text, const char *want, const char *told)
{
	struct records rs;
	struct log log;

	cr_assert_eq(read_zone(&rs, &log, text, strlen(text)), 0, "%s", log.text);
	cr_expect_str_eq(log.text, told);

	char *got = dump(&rs);

	cr_expect_str_eq(got, want, "%s", got);
	free(got);
	records_free(&rs);
}

Test(zonefile, ttl)
{
	/* $TTL (RFC 2308 section 4), from where it stands on. */
	expect_ttls("$TTL 1h\n@ SOA a b 1 2 3 4 5\n@ NS a\n$TTL 9\na A 1.1.1.1\nb 7 A 1.1.1.1\nc A 1.1.1.1\n",
		    "example. 3600 IN NS a.example.\nexample. 3600 IN SOA a.example. b.example. 1 2 3 4 5\n"
		    "a.example. 9 IN A 1.1.1.1\nb.example. 7 IN A 1.1.1.1\nc.example. 9 IN A 1.1.1.1\n", "");
	/* Without: the last one stated (RFC 1035 5.1). */
	expect_ttls("@ 100 SOA a b 1 2 3 4 5\n@ NS a\na 7 A 1.1.1.1\nb A 1.1.1.1\n",
		    "example. 100 IN NS a.example.\nexample. 100 IN SOA a.example. b.example. 1 2 3 4 5\n"
		    "a.example. 7 IN A 1.1.1.1\nb.example. 7 IN A 1.1.1.1\n", "");
	/* None stated by the SOA: its minimum, from there on. */
	expect_ttls("@ SOA a b 1 2 3 4 50\n@ NS a\na 7 A 1.1.1.1\nb A 1.1.1.1\n",
		    "example. 50 IN NS a.example.\nexample. 50 IN SOA a.example. b.example. 1 2 3 4 50\n"
		    "a.example. 7 IN A 1.1.1.1\nb.example. 50 IN A 1.1.1.1\n",
		    "z:1: warning: no TTL: taking the SOA's minimum, 50\n");
	/* 31 bits; more counts as none (RFC 2181 section 8). */
	expect_ttls("$TTL 2147483647\n@ SOA a b 1 2 3 4 50\n@ NS a\na 2147483648 A 1.1.1.1\n"
		    "b 4294967295 A 1.1.1.1\n",
		    "example. 2147483647 IN NS a.example.\n"
		    "example. 2147483647 IN SOA a.example. b.example. 1 2 3 4 50\n"
		    "a.example. 0 IN A 1.1.1.1\nb.example. 0 IN A 1.1.1.1\n",
		    "z:4: warning: TTL 2147483648 is over 2147483647 and counts as 0\n"
		    "z:5: warning: TTL 4294967295 is over 2147483647 and counts as 0\n");
	expect_ttls("@ SOA a b 1 2 3 4 4294967295\n@ NS a\n",
		    "example. 0 IN NS a.example.\nexample. 0 IN SOA a.example. b.example. 1 2 3 4 4294967295\n",
		    "z:1: warning: no TTL: taking the SOA's minimum, 0\n");
}

/* What may stand beside a CNAME (RFC 4035 section 2.5, RFC 2535 section 2.3.5). */
Test(zonefile, beside_a_cname)
{
	expect_zone("a CNAME b\na SIG A 8 1 60 20300101000000 20200101000000 7 @ AQID\na NXT b CNAME\n"
		    "a KEY 256 3 8 AQID\n",
		    "a.example. 60 IN CNAME b.example.\n"
		    "a.example. 60 IN SIG A 8 1 60 1893456000 1577836800 7 example. AQID\n"
		    "a.example. 60 IN KEY 256 3 8 AQID\n"
		    "a.example. 60 IN NXT b.example. CNAME\n");
}

/* No octets where a digest, key or tag should be: NSD's "", Knot's CAA. */
Test(zonefile, empty_fields)
{
	expect_zone("a TLSA 3 1 1 \"\"\na OPENPGPKEY \"\"\na CAA 0 \"\" x\na CAA 0 is-sue x\na ZONEMD 1 1 240 01\n",
		    "a.example. 60 IN TLSA \\# 3 030101\n"
		    "a.example. 60 IN OPENPGPKEY \\# 0\n"
		    "a.example. 60 IN ZONEMD 1 1 240 01\n"
		    "a.example. 60 IN CAA \\# 3 000078\n"
		    "a.example. 60 IN CAA 0 is-sue \"x\"\n");
}

/* A quoted string goes over lines, in parentheses or not (NSD); what stands behind it is read as ever,
 * and one that is not closed is a fault of its own line only. */
Test(zonefile, strings_over_lines)
{
	expect_zone("a TXT \"x\ny\" z ; \"\nb TXT \"\n;(\n\" ( \"\n\"\n) \\\"\nc A 1.2.3.4\n"
		    "d TXT \"\\\n\\\\\n$TTL 5\n\"\n  TXT e\n\"\n\" A 1.2.3.5\n",
		    "\\010.example. 60 IN A 1.2.3.5\n"
		    "a.example. 60 IN TXT \"x\\010y\" \"z\"\n"
		    "b.example. 60 IN TXT \"\\010;(\\010\" \"\\010\" \"\\\"\"\n"
		    "c.example. 60 IN A 1.2.3.4\n"
		    "d.example. 60 IN TXT \"e\"\n"
		    "d.example. 60 IN TXT \"\\010\\\\\\010$TTL 5\\010\"\n");
	expect_faults(HEAD, &(struct fault_case){ "a TXT \"x\nb A 1.2.3.4\nc A x\n",
		      "z:5: a quote is not closed near \"x\"\nz:7: invalid address character near \"x\"\n" });
	expect_faults(HEAD, &(struct fault_case){ "a TXT \"x\n\" y\nb A x\nc TXT \"\\\"\n",
		      "z:7: invalid address character near \"x\"\nz:8: a quote is not closed near \"\\\"\"\n" });
}

/* What is not the zone's is ignored, wherever it stands in canonical order. */
Test(zonefile, outside_the_zone)
{
	static const char text[] = HEAD "a.org. A 1.2.3.4\nexample. MX 1 a\nexampla. A 1.1.1.1\nb A 1.2.3.4\n"
		"xexample. SOA a b 1 2 3 4 5\n. NS a\norg. A 1.2.3.4\n";
	struct records rs;
	struct log log;

	cr_assert_eq(read_zone(&rs, &log, text, strlen(text)), 0, "%s", log.text);
	char *got = dump(&rs);

	cr_expect_str_eq(log.text, "z:10: warning: . is outside the zone, and ignored\n"
			 "z:7: warning: exampla. is outside the zone, and ignored\n"
			 "z:11: warning: org. is outside the zone, and ignored\n"
			 "z:5: warning: a.org. is outside the zone, and ignored\n"
			 "z:9: warning: xexample. is outside the zone, and ignored\n", "%s", log.text);
	cr_expect(rs.cnt == 5 && !strstr(got, "org.") && strstr(got, "b.example. 60 IN A 1.2.3.4\n"), "%s", got);
	free(got);
	records_free(&rs);

	/* Nothing at all is left of a file that is another zone's. */
	static const char other[] = "$ORIGIN org.\n" HEAD;

	cr_assert_eq(read_zone(&rs, &log, other, strlen(other)), -EINVAL);
	cr_expect(strstr(log.text, "z: no SOA record at the apex, example.\n"), "%s", log.text);
}

Test(zonefile, warnings_are_bounded)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct records rs;
	struct log log;

	fputs(HEAD, f);
	for (int i = 0; i < 1000; i++)
		fprintf(f, "a%d 2147483648 A 1.1.1.1\n", i);
	fclose(f);
	cr_expect_eq(read_zone(&rs, &log, text, len), 0);
	cr_expect_eq(log.cnt, ZONEFILE_ERRORS);
	cr_expect_eq(rs.cnt, 1003);
	records_free(&rs);
	free(text);
}

/* What named-checkzone (BIND 9.18) makes of the same lines, but for the last. */
Test(zonefile, generate)
{
	expect_zone("$GENERATE 1-3 h$ A 10.0.0.$\n",
		    "h1.example. 60 IN A 10.0.0.1\nh2.example. 60 IN A 10.0.0.2\n"
		    "h3.example. 60 IN A 10.0.0.3\n");
	expect_zone("$generate 0-20/10 h${5,4,d}x 7 IN A 10.0.0.$ ; $\n",
		    "h0005x.example. 7 IN A 10.0.0.0\nh0015x.example. 7 IN A 10.0.0.10\n"
		    "h0025x.example. 7 IN A 10.0.0.20\n");
	expect_zone("$GENERATE 1-1 a$ IN 7 A 1.1.1.1\n$GENERATE 1-1 b$ 1h A 1.1.1.1\n"
		    "$GENERATE 1-1 c$ IN A 1.1.1.1\n",
		    "a1.example. 7 IN A 1.1.1.1\nb1.example. 3600 IN A 1.1.1.1\n"
		    "c1.example. 60 IN A 1.1.1.1\n");
	expect_zone("$GENERATE 1-2 m$ MX \"0 mail$.\"\n",
		    "m1.example. 60 IN MX 0 mail1.\nm2.example. 60 IN MX 0 mail2.\n");
	expect_zone("$GENERATE 1-1 t$ TXT \"text $ a\"\n$GENERATE 2-2 t$ TXT \"\\\"text $\\\" a\"\n",
		    "t1.example. 60 IN TXT \"text\" \"1\" \"a\"\nt2.example. 60 IN TXT \"text 2\" \"a\"\n");
	expect_zone("$GENERATE 255-256 ${0,3,x}.hx CNAME ${0,3,X}.up\n",
		    "0ff.hx.example. 60 IN CNAME 0FF.up.example.\n"
		    "100.hx.example. 60 IN CNAME 100.up.example.\n");
	expect_zone("$GENERATE 255-256 ${0,5,n}.n PTR a${0,7,N}up\n",
		    "f.f.0.n.example. 60 IN PTR aF.F.0.0up.example.\n"
		    "0.0.1.n.example. 60 IN PTR a0.0.1.0up.example.\n");
	expect_zone("$GENERATE 254-254 ${0,6,n}n PTR a${0,0,o}.up\n$GENERATE 17-17 ${0,0,n}.n PTR b\n",
		    "e.f.0.n.example. 60 IN PTR a376.up.example.\n1.1.n.example. 60 IN PTR b.example.\n");
	expect_zone("$GENERATE 5-5 \\$$$$a${-3} A 1.1.1.1\n$GENERATE 5-5 a${-8} A 1.1.1.1\n"
		    "$GENERATE 5-5 b${-8,4} A 1.1.1.1\n$GENERATE 5-5 c${-8,4,x} A 1.1.1.1\n",
		    "\\$\\$5a2.example. 60 IN A 1.1.1.1\na-3.example. 60 IN A 1.1.1.1\n"
		    "b-003.example. 60 IN A 1.1.1.1\ncfffffffd.example. 60 IN A 1.1.1.1\n");
	expect_zone("$GENERATE 2147483646-2147483647 r$ A 1.1.1.1\n",
		    "r2147483646.example. 60 IN A 1.1.1.1\nr2147483647.example. 60 IN A 1.1.1.1\n");
	expect_zone("$GENERATE 7-7 t$ TYPE65280 \"\\# 4 0101010$\"\n",
		    "t7.example. 60 IN TYPE65280 \\# 4 01010107\n");
	/* RDATA of several words needs no quotes here. */
	expect_zone("$GENERATE 1-2 m$ MX ( 0 mail$. )\n$GENERATE 1-1 t$ TXT a \"b $\"\n",
		    "m1.example. 60 IN MX 0 mail1.\nm2.example. 60 IN MX 0 mail2.\n"
		    "t1.example. 60 IN TXT \"a\" \"b 1\"\n");
}

Test(zonefile, generate_and_origin)
{
	expect_zone("a A 1.1.1.9\n$ORIGIN b\n$GENERATE 1-1 $ A 1.1.1.$\nx A 1.1.1.1\n"
		    "$ORIGIN c.example.\n$GENERATE 2-2 $ A 1.1.1.$\n A 1.1.1.2\n",
		    "a.example. 60 IN A 1.1.1.9\n1.b.example. 60 IN A 1.1.1.1\n"
		    "x.b.example. 60 IN A 1.1.1.1\nx.b.example. 60 IN A 1.1.1.2\n"
		    "2.c.example. 60 IN A 1.1.1.2\n");
}

/* What all directives of a zone make is bounded too; here none makes anything. */
Test(zonefile, generate_is_bounded)
{
	char *text = NULL, *want = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len), *w = open_memstream(&want, &len);

	for (int i = 0; i < 17; i++) {
		fprintf(f, "$GENERATE 0-999999 a A x\n");
		if (i < 16)
			fprintf(w, "z:%d: $GENERATE at 0: invalid IPv4 address\n", i + 5);
	}
	fprintf(w, "z:21: the zone's $GENERATEs make over 16777216 records\n");
	fclose(f);
	fclose(w);
	expect_faults(HEAD, &(struct fault_case){ text, want });
	free(text);
	free(want);
}

/* So is their text; here it is in the TTL, so that the records stay small. */
Test(zonefile, generate_text_is_bounded)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fprintf(f, "$GENERATE 0-9999 a$ %0110000d A 1.1.1.1\n", 60);
	fclose(f);
	expect_faults(HEAD, &(struct fault_case){
		text, "z:5: the zone's $GENERATEs make over 1073741824 octets of text\n" });
	free(text);

	f = open_memstream(&text, &len);
	fprintf(f, "$GENERATE 1-2 a$ %0*d A 1.1.1.1\n", 1 << 19, 60);
	fclose(f);
	expect_faults(HEAD, &(struct fault_case){ text, "z:5: $GENERATE at 1: line too long\n" });
	free(text);
}

/* ---- files ---- */

static char dir[64];

static void dir_make(void)
{
	strcpy(dir, "/tmp/pollux-zonefile-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
}

static void dir_remove(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	cr_assert_eq(system(command), 0);
}

__attribute__((format(printf, 2, 3)))
static void file_write(const char *name, const char *format, ...)
{
	char path[256];
	va_list args;

	snprintf(path, sizeof(path), "%s/%s", dir, name);

	FILE *f = fopen(path, "w");

	cr_assert_not_null(f, "%s", path);
	va_start(args, format);
	vfprintf(f, format, args);
	va_end(args);
	fclose(f);
}

static int read_file(struct records *rs, struct log *log, const char *name)
{
	struct name apex = apex_of("example.");
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	memset(log, 0, sizeof(*log));
	records_init(rs);
	return zonefile_read(rs, &apex, path, note, log);
}

/* expect_told - reading the file gives rc and these reports, "D/" for the folder. */
static void expect_told(const char *name, int rc, const char *want)
{
	struct records rs;
	struct log log;
	char got[sizeof(log.text)];
	char *out = got;

	cr_expect_eq(read_file(&rs, &log, name), rc, "%s", log.text);
	for (const char *p = log.text; *p != '\0';) {
		if (strncmp(p, dir, strlen(dir)) == 0) {
			*out++ = 'D';
			p += strlen(dir);
		} else {
			*out++ = *p++;
		}
	}
	*out = '\0';
	cr_expect_str_eq(got, want, "%s: %s", name, got);
	if (rc < 0)
		cr_expect_eq(rs.cnt, 0);
	records_free(&rs);
}

Test(zonefile, include, .init = dir_make, .fini = dir_remove)
{
	struct records rs;
	struct log log;
	char path[256];

	snprintf(path, sizeof(path), "%s/sub", dir);
	cr_assert_eq(mkdir(path, 0700), 0);
	file_write("zone", HEAD
		   "a A 1.1.1.1\n"
		   "$INCLUDE sub/one one.example. ; below another name\n"
		   " A 1.1.1.2\n"                     /* last owner and origin as before */
		   "b A 1.1.1.3\n"                    /* but with the $TTL of the file */
		   "$ORIGIN o\n"
		   "$INCLUDE \"%s/sub/two\"\n"         /* in the origin that is */
		   "$INCLUDE sub/one ( t.example. )\n" /* again, elsewhere */
		   "c MX 1 d", dir);
	file_write("sub/one", "x TXT one\n$INCLUDE two\ny TXT three\n"); /* beside itself */
	file_write("sub/two", "$TTL 7\nz TXT two");

	cr_assert_eq(read_file(&rs, &log, "zone"), 0, "%s", log.text);

	char *got = dump(&rs);

	cr_expect_str_eq(got,
		"example. 60 IN NS ns.example.\n"
		"example. 60 IN SOA ns.example. h.example. 1 2 3 4 5\n"
		"a.example. 7 IN A 1.1.1.1\n"
		"a.example. 7 IN A 1.1.1.2\n"
		"b.example. 7 IN A 1.1.1.3\n"
		"ns.example. 60 IN A 192.0.2.1\n"
		"c.o.example. 7 IN MX 1 d.o.example.\n"
		"z.o.example. 7 IN TXT \"two\"\n"
		"x.one.example. 60 IN TXT \"one\"\n"
		"y.one.example. 7 IN TXT \"three\"\n"
		"z.one.example. 7 IN TXT \"two\"\n"
		"x.t.example. 7 IN TXT \"one\"\n"
		"y.t.example. 7 IN TXT \"three\"\n"
		"z.t.example. 7 IN TXT \"two\"\n", "%s", got);
	free(got);
	records_free(&rs);
}

/* libzscanner's stack of states has 16 places, and each $INCLUDE takes one. */
Test(zonefile, many_includes, .init = dir_make, .fini = dir_remove)
{
	char text[8192] = HEAD;
	struct records rs;
	struct log log;

	for (int i = 0; i < 100; i++)
		sprintf(text + strlen(text), "$INCLUDE inc i%d.example.\n", i);
	file_write("zone", "%s", text);
	file_write("inc", "@ A 1.1.1.1\n");
	cr_expect_eq(read_file(&rs, &log, "zone"), 0, "%s", log.text);
	cr_expect_eq(rs.cnt, 103);
	records_free(&rs);
}

Test(zonefile, include_depth, .init = dir_make, .fini = dir_remove)
{
	char name[16];

	file_write("zone", HEAD "$INCLUDE f1\n");
	for (int i = 1; i <= ZONEFILE_DEPTH; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		file_write(name, "a%d A 1.1.1.1\n%s", i, "");
		if (i < ZONEFILE_DEPTH)
			file_write(name, "a%d A 1.1.1.1\n$INCLUDE f%d\n", i, i + 1);
	}
	expect_told("zone", 0, "");

	/* One more. */
	file_write(name, "\n$INCLUDE last\nb A x\n");
	file_write("last", "a A 1.1.1.1\n");
	expect_told("zone", -EINVAL, "D/f16:2: $INCLUDE is nested over 16 deep\n"
		    "D/f16:3: invalid address character near \"x\"\n");
}

Test(zonefile, include_faults, .init = dir_make, .fini = dir_remove)
{
	char path[256], other[256];

	file_write("zone", HEAD "$INCLUDE zone\n");
	expect_told("zone", -EINVAL, "D/zone:5: cannot include D/zone: it includes itself\n");

	/* By other names: through a folder, and a link. */
	file_write("zone", HEAD "$INCLUDE f\n");
	file_write("f", "a A 1.1.1.1\n$INCLUDE ./g\n");
	snprintf(path, sizeof(path), "%s/f", dir);
	snprintf(other, sizeof(other), "%s/g", dir);
	cr_assert_eq(symlink(path, other), 0);
	expect_told("zone", -EINVAL, "D/f:2: cannot include D/./g: it includes itself\n");

	file_write("zone", HEAD "$INCLUDE none\na A x\n$INCLUDE .\n$INCLUDE \"\"\n$INCLUDE a\\000b\n");
	expect_told("zone", -ENOENT, "D/zone:5: cannot include D/none: No such file or directory\n"
		    "D/zone:6: invalid address character near \"x\"\n"
		    "D/zone:7: cannot include D/.: Is a directory\n"
		    "D/zone:8: $INCLUDE of what is no file name\n"
		    "D/zone:9: $INCLUDE of what is no file name\n");

	/* A fault in a file, and the zone's line of a fault that is found later. */
	file_write("zone", HEAD "$INCLUDE h\nb A 1.1.1.1\n");
	file_write("h", "\n\na A x\n");
	expect_told("zone", -EINVAL, "D/h:3: invalid address character near \"x\"\n");
	file_write("h", "\nb CNAME a\n");
	expect_told("zone", -EINVAL, "D/h:2: b.example.: CNAME beside A (RFC 2181 section 10.1)\n");
}

/* A file that multiplies: each level includes the next ten times. */
Test(zonefile, include_bomb, .init = dir_make, .fini = dir_remove)
{
	char name[16], text[1024];

	file_write("zone", HEAD "$INCLUDE f1\n");
	for (int i = 1; i <= ZONEFILE_DEPTH; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		text[0] = '\0';
		for (int k = 0; k < 10 && i < ZONEFILE_DEPTH; k++)
			sprintf(text + strlen(text), "$INCLUDE f%d\n", i + 1);
		file_write(name, "%s", text);
	}
	expect_told("zone", -EINVAL, "D/f16: over 65535 files in one zone\n");
}

Test(zonefile, files, .init = dir_make, .fini = dir_remove)
{
	char path[256];

	expect_told("none", -ENOENT, "D/none: No such file or directory\n");
	expect_told(".", -EISDIR, "D/.: Is a directory\n");
	snprintf(path, sizeof(path), "%s/fifo", dir);
	cr_assert_eq(mkfifo(path, 0600), 0);
	expect_told("fifo", -ENOTSUP, "D/fifo: not a regular file\n");
	file_write("empty", "%s", "");
	expect_told("empty", -EINVAL, "D/empty: no SOA record at the apex, example.\n"
		    "D/empty: no NS record at the apex, example.\n");
}

/* A file of more lines than one buffer of any size below holds. */
Test(zonefile, long_file, .init = dir_make, .fini = dir_remove)
{
	char path[256];
	struct records rs;
	struct log log;

	snprintf(path, sizeof(path), "%s/zone", dir);

	FILE *f = fopen(path, "w");

	fputs(HEAD, f);
	for (int i = 0; i < 100000; i++)
		fprintf(f, "a%d A 10.%d.%d.%d\n", i, i >> 16, i >> 8 & 255, i & 255);
	fputs("last CNAME a1", f);
	fclose(f);
	cr_assert_eq(read_file(&rs, &log, "zone"), 0, "%s", log.text);
	cr_expect_eq(rs.cnt, 100004);
	for (size_t i = 0; i < rs.cnt; i++) {
		const struct record *rr = &rs.rr[i];
		char name[NAME_TEXT_MAX];
		int number;

		if (sscanf(name_to_text(name, rr->owner), "a%d.", &number) == 1)
			cr_assert_eq(rr->line, (uint32_t)number + 5);
		if (rr->type == TYPE_CNAME)
			cr_assert_eq(rr->line, 100005);
	}
	records_free(&rs);
}

/* ---- any octets ---- */

/* Every directive, and entries of all shapes. */
static const char sample[] =
	"$TTL 1h ; c\n"
	"@ IN SOA ns h ( 1 ; serial\n\t2 3 4 5 )\n"
	" NS ns\n"
	"ns 5 A 192.0.2.1\n"
	"$ORIGIN a\n"
	"\\065\\.b TXT ( \"q\\\"; (\n\" \\; )\n"
	"$ORIGIN b.example.\n"
	"$GENERATE 1-4/3 c${1,2,x} TXT \"x $ \\\"y\\\"\"\n"
	"d TYPE65280 \\# 2 01Ff\n"
	"*.e SVCB 1 . alpn=h2 port=53\n"
	"f CNAME e\n"
	"f NSEC g A TYPE1234\n";

/* check_reading - whatever the text, the reader ends in a report, or in a zone that
 * its own text is read back as. */
static void check_reading(const char *text, size_t len)
{
	struct records rs, again;
	struct log log;
	char *exact = malloc(len ? len : 1);

	memcpy(exact, text, len);

	int rc = read_zone(&rs, &log, exact, len);

	free(exact);
	if (rc < 0) {
		cr_assert_eq(rc, -EINVAL);
		cr_assert_gt(log.cnt, 0);
		cr_assert_eq(rs.cnt, 0);
		return;
	}

	char *first = dump(&rs);

	cr_assert_eq(read_zone(&again, &log, first, strlen(first)), 0, "%s%s", log.text, first);

	char *second = dump(&again);

	cr_assert_str_eq(first, second);
	free(first);
	free(second);
	records_free(&rs);
	records_free(&again);
}

Test(zonefile, sample)
{
	struct records rs;
	struct log log;

	cr_assert_eq(read_zone(&rs, &log, sample, strlen(sample)), 0, "%s", log.text);
	cr_expect_eq(rs.cnt, 10);
	cr_expect_eq(log.cnt, 0);
	records_free(&rs);
}

Test(zonefile, prefixes)
{
	for (size_t len = 0; len <= strlen(sample); len++)
		check_reading(sample, len);
}

Test(zonefile, mutations)
{
	static const char octets[] = { '\0', '\n', '\r', ' ', '"', '$', '(', ')', '.', ';', '\\', '0', '@',
				       (char)0xff };
	char text[sizeof(sample)];
	size_t len = strlen(sample);

	for (size_t at = 0; at < len; at++) {
		for (size_t i = 0; i < sizeof(octets); i++) {
			memcpy(text, sample, len);
			text[at] = octets[i];
			check_reading(text, len);
		}
		/* One octet left out, and one doubled. */
		memcpy(text, sample, at);
		memcpy(text + at, sample + at + 1, len - at - 1);
		check_reading(text, len - 1);
		memcpy(text, sample, at + 1);
		memcpy(text + at + 1, sample + at, len - at);
		check_reading(text, len + 1);
	}
}

/* Appends to the file of which it is told. */
static void note_and_append(void *arg, const char *text)
{
	note(arg, text);

	char path[256];

	snprintf(path, sizeof(path), "%s/zone", dir);

	FILE *f = fopen(path, "a");

	cr_assert_not_null(f);
	fputs("x A 192.0.2.1\n", f);
	fclose(f);
}

Test(zonefile, changes_while_it_is_read, .init = dir_make, .fini = dir_remove)
{
	struct name apex = apex_of("example.");
	struct records rs;
	struct log log = { .len = 0 };
	char path[256];

	snprintf(path, sizeof(path), "%s/zone", dir);
	file_write("zone", "%sa 4294967295 A 192.0.2.1\n", HEAD);
	records_init(&rs);
	cr_assert_eq(zonefile_read(&rs, &apex, path, note_and_append, &log), -EINVAL, "%s", log.text);
	cr_assert_not_null(strstr(log.text, "/zone: it has changed while it was read\n"), "%s", log.text);
	cr_assert_eq(rs.cnt, 0);
}

static int on_each(void *arg, const struct record *rr)
{
	struct records *rs = arg;

	if (rr->type == TYPE_TXT)
		return -EXDEV;
	return records_add(rs, rr->owner, rr->type, rr->ttl, rr->rdata, rr->rdata_len, rr->file, rr->line);
}

/* The same records, or no more than that there is something to tell. */
Test(zonefile, each, .init = dir_make, .fini = dir_remove)
{
	struct name apex = apex_of("example.");
	struct zonefile_id id[2];
	struct records rs[2];
	struct log log = { .len = 0 };
	char path[256];

	snprintf(path, sizeof(path), "%s/zone", dir);
	file_write("zone", "%s$INCLUDE more\nB.A A 192.0.2.1\n", HEAD);
	file_write("more", "$GENERATE 1-3 h$ A 192.0.2.$\na A ( 192.0.2.2\n )\n");
	records_init(&rs[0]);
	records_init(&rs[1]);
	cr_assert_eq(zonefile_read_id(&rs[0], &apex, path, &id[0], note, &log), 0, "%s", log.text);
	cr_assert_eq(zonefile_each(&apex, path, &id[1], on_each, &rs[1]), 0);
	cr_assert(id[0].size == id[1].size && id[0].hash == id[1].hash && id[0].mtime_ns == id[1].mtime_ns);
	cr_assert(zonefile_same(path, &id[1]));
	cr_assert_eq(rs[1].rr[rs[1].cnt - 1].line, 6);
	cr_assert_eq(records_sort(&rs[1]), 0);

	char *a = dump(&rs[0]), *b = dump(&rs[1]);

	cr_assert_str_eq(a, b);
	free(a);
	free(b);
	records_free(&rs[0]);

	static const struct { const char *text; int want; } cases[] = {
		{ "t TXT x\na A x\n", -EXDEV }, { "a A x\nt TXT x\n", -EINVAL }, { "a 4294967295 A 192.0.2.1\n", -EINVAL },
		{ "$INCLUDE none\n", -ENOENT }, { "(", -EINVAL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		file_write("zone", "%s%s", HEAD, cases[i].text);
		cr_expect_eq(zonefile_each(&apex, path, &id[1], on_each, &rs[1]), cases[i].want, "%s", cases[i].text);
	}
	snprintf(path, sizeof(path), "%s/none", dir);
	cr_assert_eq(zonefile_each(&apex, path, &id[1], on_each, &rs[1]), -ENOENT);
	records_free(&rs[1]);
}
