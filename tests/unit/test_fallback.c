/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the zone file scanner refuses and the fallback reads: every mnemonic of the
 * registry with a text form, as a record, under RRSIG and in type bitmaps; and both
 * readers by turns. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/zone/fallback.h"
#include "control/zone/zonefile.h"
#include "dataplane/answer/rrtype.h"

#define APEX "example."
#define HEAD "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\n"

/* One text and its RDATA.  Relative names end in "example.". */
struct example {
	const char *type, *text;
	const char *rdata;
	size_t len;
};

#define R(rdata) rdata, sizeof(rdata) - 1
#define EX "\7example\0"
#define Z8 "\0\0\0\0\0\0\0\0"

static const struct example examples[] = {
	{ "A", "192.0.2.1", R("\300\0\2\1") },
	{ "NS", "a", R("\1a" EX) },
	{ "MD", "Mail", R("\4Mail" EX) },
	{ "MF", "mail.", R("\4mail\0") },
	{ "CNAME", "@", R(EX) },
	{ "SOA", "ns h. 1 1w 2D 3h30m 4294967295",
	  R("\2ns" EX "\1h\0" "\0\0\0\1\0\x09\x3a\x80\0\2\xa3\0\0\0\x31\x38\xff\xff\xff\xff") },
	{ "MB", "host", R("\4host" EX) },
	{ "MG", "member", R("\6member" EX) },
	{ "MR", "new.name.", R("\3new\4name\0") },
	{ "NULL", "\\# 2 0102", R("\1\2") },
	{ "WKS", "192.0.2.1 TCP smtp 53 ( FTP\n telnet )",
	  R("\300\0\2\1\6\0\0\5\x40\0\0\4") },
	{ "WKS", "192.0.2.1 egp 5", R("\300\0\2\1\x08\4") },
	{ "WKS", "192.0.2.1 tcp imaps ldap",
	  R("\300\0\2\1\6" Z8 Z8 Z8 Z8 Z8 Z8 "\4" Z8 Z8 Z8 Z8 Z8 Z8 Z8 Z8 Z8 "\0\0\0\x40") },
	{ "WKS", "192.0.2.1 17", R("\300\0\2\1\x11") },
	{ "PTR", "p", R("\1p" EX) },
	{ "HINFO", "\"PDP 11\" UNIX", R("\6PDP 11\4UNIX") },
	{ "MINFO", "owner errors.", R("\5owner" EX "\6errors\0") },
	{ "MX", "10 mx", R("\0\12\2mx" EX) },
	{ "TXT", "one \"two \\\"2\\\"\" \\051", R("\3one\7two \"2\"\1" "3") },
	{ "RP", "who . ", R("\3who" EX "\0") },
	{ "AFSDB", "1 db", R("\0\1\2db" EX) },
	{ "X25", "311061700956", R("\014" "311061700956") },
	{ "ISDN", "150862028003217", R("\017" "150862028003217") },
	{ "ISDN", "150862028003217 004", R("\017" "150862028003217" "\3" "004") },
	{ "RT", "2 relay", R("\0\2\5relay" EX) },
	{ "NSAP", "0x47.0005.80.005a00.0000.0001.e133.ffffff000161.00",
	  R("\x47\0\5\x80\0\x5a\0\0\0\0\1\xe1\x33\xff\xff\xff\0\1\x61\0") },
	{ "NSAP-PTR", "nsap", R("\4nsap" EX) },
	{ "SIG", "MB 5 1 3600 20300101000000 1577836800 7 @ AQI=",
	  R("\0\7\5\1\0\0\x0e\x10\x70\xdb\xd8\x80\x5e\x0b\xe1\0\0\7" EX "\1\2") },
	{ "KEY", "256 DNSSEC RSASHA1 AQID", R("\1\0\3\5\1\2\3") },
	{ "KEY", "NOAUTH|host|SIG15|FLAG11 3 8 AQID", R("\x82\x1f\3\x8\1\2\3") },
	{ "KEY", "0Xc1a0 3 8 AQID", R("\xc1\xa0\3\x8\1\2\3") },
	{ "DNSKEY", "ZONE 3 8 AwEAAQID", R("\1\0\3\x8\3\1\0\1\2\3") },
	{ "PX", "50 map.rfc822. map.x400", R("\0\62\3map\6rfc822\0\3map\4x400" EX) },
	{ "GPOS", "-32.6882 116.8652 10.0", R("\10-32.6882\10" "116.8652\4" "10.0") },
	{ "AAAA", "2001:db8::1", R("\40\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1") },
	{ "LOC", "52 22 23.000 N 4 53 32.5 E -2.00m 0.00m 10000m 10m",
	  R("\0\0\x16\x13\x8b\x3c\xf0\x18\x81\x0c\xbe\xd4\0\x98\x95\xb8") },
	{ "LOC", "0 S 180 W 0", R("\0\x12\x16\x13\x80\0\0\0\x59\x60\x4e\0\0\x98\x96\x80") },
	{ "NXT", "next A MB SRV NXT", R("\4next" EX "\x41\0\0\2\x40") },
	{ "EID", "01 0203", R("\1\2\3") },
	{ "NIMLOC", "abCD", R("\xab\xcd") },
	{ "SRV", "1 2 443 s", R("\0\1\0\2\1\xbb\1s" EX) },
	{ "ATMA", "+61.200.000.000", R("\1" "61200000000") },
	{ "ATMA", "39.246f00.0e7c9c", R("\0\x39\x24\x6f\0\x0e\x7c\x9c") },
	{ "NAPTR", "1 2 u sip+E2U \"!^.*$!sip:a@b!\" .",
	  R("\0\1\0\2\1u\7sip+E2U\16!^.*$!sip:a@b!\0") },
	{ "KX", "1 kx", R("\0\1\2kx" EX) },
	{ "CERT", "PKIX 1 RSASHA256 AQ==", R("\0\1\0\1\10\1") },
	{ "A6", "0 2001:db8::1", R("\0\40\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1") },
	{ "A6", "64 ::5:6:7:8 prefix", R("\100\0\5\0\6\0\7\0\10\6prefix" EX) },
	{ "A6", "128 p", R("\200\1p" EX) },
	{ "DNAME", "d", R("\1d" EX) },
	{ "SINK", "64 1 2 AQID", R("\100\1\2\1\2\3") },
	{ "APL", "1:192.0.2.0/24 !1:192.0.2.64/28 2:2001:db8::/32",
	  R("\0\1\x18\3\300\0\2\0\1\x1c\x84\300\0\2\100\0\2\40\4\40\1\x0d\xb8") },
	{ "DS", "1 RSASHA256 SHA-256 0102 03", R("\0\1\10\2\1\2\3") },
	{ "SSHFP", "4 2 abcd", R("\4\2\xab\xcd") },
	{ "IPSECKEY", "10 1 2 192.0.2.38 AQID", R("\12\1\2\300\0\2\x26\1\2\3") },
	{ "IPSECKEY", "10 3 2 gw AQID", R("\12\3\2\2gw" EX "\1\2\3") },
	{ "IPSECKEY", "10 0 2 . AQID", R("\12\0\2\1\2\3") },
	{ "RRSIG", "RESINFO ED25519 1 1h 20300101000000 20200101000000 7 @ AQI=",
	  R("\1\5\17\1\0\0\x0e\x10\x70\xdb\xd8\x80\x5e\x0b\xe1\0\0\7" EX "\1\2") },
	{ "NSEC", "b A RESINFO TYPE1234", R("\1b" EX "\0\1\x40\1\1\4\4\x1b\0\0\0\0\0\0\0\0"
	  "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x20") },
	{ "DNSKEY", "257 3 ED25519 AQ ID", R("\1\1\3\17\1\2\3") },
	{ "DHCID", "AAIB", R("\0\2\1") },
	{ "NSEC3", "1 0 5 aabb 0P9MHAVEQVM6T7VBL5LOP2U3T2RP3TOM MX WALLET",
	  R("\1\0\0\5\2\xaa\xbb\x14\x06\x53\x68\xab\xee\xd7\xec\x6e\x9f\xeb\xa9\x6b\x8c\x8b\xc3\xe8"
	    "\xb7\x91\xf7\x16" "\0\2\0\1\1\1\2") },
	{ "NSEC3PARAM", "SHA-1 0 0 -", R("\1\0\0\0\0") },
	{ "TLSA", "3 1 1 aabb", R("\3\1\1\xaa\xbb") },
	{ "SMIMEA", "3 1 1 aabb", R("\3\1\1\xaa\xbb") },
	{ "HIP", "2 20010db8 AQID", R("\4\2\0\3\40\1\x0d\xb8\1\2\3") },
	{ "HIP", "2 20010db8 AQID rvs1 ( rvs2. )",
	  R("\4\2\0\3\40\1\x0d\xb8\1\2\3\4rvs1" EX "\4rvs2\0") },
	{ "NINFO", "status ok", R("\6status\2ok") },
	{ "RKEY", "0 3 8 AQID", R("\0\0\3\10\1\2\3") },
	{ "TALINK", "before after", R("\6before" EX "\5after" EX) },
	{ "CDS", "0 0 0 00", R("\0\0\0\0\0") },
	{ "CDNSKEY", "0 3 0 AA==", R("\0\0\3\0\0") },
	{ "OPENPGPKEY", "AQ == ", R("\1") },
	{ "CSYNC", "66 3 A WKS AAAA", R("\0\0\0\102\0\3\0\4\100\x10\0\10") },
	{ "ZONEMD", "1 1 241 000102030405060708090a0b",
	  R("\0\0\0\1\1\361\0\1\2\3\4\5\6\7\10\11\12\13") },
	{ "SVCB", "0 svc", R("\0\0\3svc" EX) },
	{ "SVCB", "1 . dohpath=/q{?dns} key65280=x alpn=\"h2,f\\\\\\\\oo\\\\,b\" mandatory=port,alpn port=8",
	  R("\0\1\0" "\0\0\0\4\0\1\0\3" "\0\1\0\12\2h2\6f\\oo,b" "\0\3\0\2\0\10" "\0\7\0\10/q{?dns}"
	    "\xff\0\0\1x") },
	{ "HTTPS", "1 . ohttp tls-supported-groups=29,23 docpath=a,bc ipv4hint=192.0.2.1 ech=AQID "
	  "ipv6hint=::1 no-default-alpn alpn=h3",
	  R("\0\1\0" "\0\1\0\3\2h3" "\0\2\0\0" "\0\4\0\4\300\0\2\1" "\0\5\0\3\1\2\3"
	    "\0\6\0\20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1" "\0\10\0\0" "\0\11\0\4\0\x1d\0\x17"
	    "\0\12\0\5\1a\2bc") },
	{ "SVCB", "1 . docpath", R("\0\1\0" "\0\12\0\0") },
	{ "DSYNC", "CDS NOTIFY 5359 scanner", R("\0\73\1\x14\xef\7scanner" EX) },
	{ "DSYNC", "TYPE62 129 0 .", R("\0\76\x81\0\0\0") },
	{ "HHIT", "AQID", R("\1\2\3") },
	{ "BRID", "AQID", R("\1\2\3") },
	{ "SPF", "\"v=spf1 -all\"", R("\13v=spf1 -all") },
	{ "UNSPEC", "AQID", R("\1\2\3") },
	{ "NID", "10 0014:4fff:ff20:ee64", R("\0\12\0\x14\x4f\xff\xff\x20\xee\x64") },
	{ "NID", "10 14:4fff:0:1", R("\0\12\0\x14\x4f\xff\0\0\0\1") },
	{ "L32", "10 10.1.2.0", R("\0\12\12\1\2\0") },
	{ "L64", "10 2001:DB8:1140:0", R("\0\12\40\1\x0d\xb8\x11\x40\0\0") },
	{ "LP", "10 l64", R("\0\12\3l64" EX) },
	{ "EUI48", "00-00-5e-00-53-2a", R("\0\0\x5e\0\x53\x2a") },
	{ "EUI64", "00-00-5e-ef-10-00-00-2a", R("\0\0\x5e\xef\x10\0\0\x2a") },
	{ "URI", "10 1 \"ftp://ftp1.example.com/public\"", R("\0\12\0\1ftp://ftp1.example.com/public") },
	{ "CAA", "128 issue \"ca.example.net; a=b\"", R("\200\5issueca.example.net; a=b") },
	{ "AVC", "app:x y", R("\5app:x\1y") },
	{ "DOA", "0 1 2 \"\" aHR0cHM6Ly8=", R("\0\0\0\0\0\0\0\1\2\0https://") },
	{ "DOA", "0 1 2 text/plain -", R("\0\0\0\0\0\0\0\1\2\12text/plain") },
	{ "AMTRELAY", "10 0 1 203.0.113.15", R("\12\1\313\0\161\17") },
	{ "AMTRELAY", "10 1 3 relay", R("\12\203\5relay" EX) },
	{ "AMTRELAY", "128 1 0 .", R("\200\200") },
	{ "AMTRELAY", "10 0 2 2001:db8::15", R("\12\2\40\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x15") },
	{ "RESINFO", "qnamemin exterr=15-17 \"infourl=https://r.example\"",
	  R("\10qnamemin\14exterr=15-17\31infourl=https://r.example") },
	{ "WALLET", "BTC abc", R("\3BTC\3abc") },
	{ "CLA", "TCP-v4-v6", R("\11TCP-v4-v6") },
	{ "IPN", "18446744073709551615", R("\xff\xff\xff\xff\xff\xff\xff\xff") },
	{ "TA", "1 8 2 0102", R("\0\1\10\2\1\2") },
	{ "DLV", "1 8 2 0102", R("\0\1\10\2\1\2") },
};

#define EXAMPLES (sizeof(examples) / sizeof(examples[0]))

static char told[4096];

static void note(void *arg, const char *text)
{
	(void)arg;
	snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s\n", text);
}

/* read_lines - records behind the head of a zone that only they make invalid: into
 * *rs, in the order of the text. */
static int read_lines(struct records *rs, const char *lines)
{
	struct name apex;

	told[0] = '\0';
	cr_assert_eq(name_from_text(&apex, APEX), 0);
	records_init(rs);
	return zonefile_read_lines(rs, &apex, lines, strlen(lines), 1, "z", note, NULL);
}

static const struct record *find(const struct records *rs, const char *owner, uint16_t type)
{
	struct name n;

	cr_assert_eq(name_from_text(&n, owner), 0);
	for (size_t i = 0; i < rs->cnt; i++)
		if (rs->rr[i].type == type && name_cmp(rs->rr[i].owner, n.wire) == 0)
			return &rs->rr[i];
	return NULL;
}

/* expect_fallback - the fallback alone reads it. */
static void expect_fallback(const char *line, uint16_t type, const void *rdata, size_t len)
{
	static struct fallback f;
	struct name apex;
	const char *cause;

	cr_assert_eq(name_from_text(&apex, APEX), 0);
	f.origin = apex.wire;
	f.owner_len = 0;
	cause = fallback_read(&f, line, strlen(line));
	cr_assert_null(cause, "%s: %s", line, cause);
	cr_expect_eq(f.type, type, "%s", line);
	cr_expect(f.rdata_len == len && memcmp(f.rdata, rdata, len) == 0, "%s: %zu", line, f.rdata_len);
	cr_expect_null(rdata_check(type, f.rdata, f.rdata_len), "%s", line);
}

/* Both readers make the same of each example, and what is written of it is read back. */
Test(fallback, examples)
{
	static char text[RECORD_TEXT_MAX];

	for (size_t i = 0; i < EXAMPLES; i++) {
		const struct example *x = &examples[i];
		const uint8_t *rdata = (const uint8_t *)x->rdata;
		int type = rrtype_from_name(x->type);
		char *line = NULL;
		struct records rs;
		struct name apex;

		cr_assert_gt(type, 0, "%s", x->type);
		cr_assert(asprintf(&line, "a 60 IN %s %s", x->type, x->text) > 0);
		expect_fallback(line, (uint16_t)type, rdata, x->len);

		/* The whole reader. */
		char *zone = NULL;

		cr_assert(asprintf(&zone, "$TTL 60\n%s%s%s\nb. 60 A 192.0.2.1\n",
				   type == TYPE_SOA ? "" : "@ SOA ns h 1 2 3 4 5\n",
				   type == TYPE_NS ? "" : "@ NS ns\n",
				   type == TYPE_SOA || type == TYPE_NS ? line + 1 : line) > 0);
		cr_assert_eq(name_from_text(&apex, APEX), 0);
		records_init(&rs);
		told[0] = '\0';
		zone[strlen(zone) - strlen("b. 60 A 192.0.2.1\n")] = '\0';
		if (type != TYPE_SOA && type != TYPE_NS) {
			int rc = zonefile_read_text(&rs, &apex, zone, strlen(zone), "z", note, NULL);

			cr_assert_eq(rc, 0, "%s: %s", zone, told);
			const struct record *rr = find(&rs, "a.example.", (uint16_t)type);

			cr_assert_not_null(rr, "%s", zone);
			cr_expect(rr->rdata_len == x->len && memcmp(rr->rdata, rdata, x->len) == 0,
				  "%s", zone);
			cr_expect_eq(rr->ttl, 60);
			records_free(&rs);
		}

		/* And back. */
		cr_assert_eq(record_to_text(text, sizeof(text), (const uint8_t *)"\1a\7example",
					    (uint16_t)type, 60, rdata, (uint16_t)x->len), 0);
		if (type != 10) /* NULL has no other form */
			cr_expect_null(strstr(text, "\\#"), "%s", text);
		expect_fallback(text, (uint16_t)type, rdata, x->len);
		free(zone);
		free(line);
	}
}

/* Every mnemonic that can be data has an example, and every example is a mnemonic. */
Test(fallback, examples_are_complete)
{
	for (unsigned type = 1; type < 65535; type++) {
		char name[16];
		bool found = false;

		rrtype_name(name, (uint16_t)type);
		if (strncmp(name, "TYPE", 4) == 0 || !rrtype_fields((uint16_t)type))
			continue;
		for (size_t i = 0; i < EXAMPLES; i++)
			found |= strcmp(examples[i].type, name) == 0;
		cr_expect(found, "%s", name);
	}
}

/* Each type as the one that an RRSIG covers, and in each kind of bitmap, by mnemonic
 * and as TYPEn. */
Test(fallback, types_in_rdata)
{
	for (size_t i = 0; i < EXAMPLES; i++) {
		int type = rrtype_from_name(examples[i].type);
		char number[16], *lines = NULL;

		snprintf(number, sizeof(number), "TYPE%d", type);
		for (int form = 0; form < 2; form++) {
			const char *name = form ? number : examples[i].type;
			struct records rs;

			cr_assert(asprintf(&lines,
				"a 60 RRSIG %s 8 1 60 20300101000000 20200101000000 7 @ AQ==\n"
				"a 60 NSEC b %s\n"
				"h 60 NSEC3 1 0 0 - 00000000000000000000000000000001 %s\n"
				"a 60 CSYNC 1 0 %s\n", name, name, name, name) > 0);
			cr_assert_eq(read_lines(&rs, lines), 0, "%s%s", lines, told);
			cr_assert_eq(rs.cnt, 4);

			const struct record *sig = &rs.rr[0];

			cr_expect_eq(sig->rdata[0] << 8 | sig->rdata[1], type);
			for (size_t k = 1; k < 4; k++) {
				size_t at = k == 1 ? 11 : k == 2 ? 26 : 6;
				const uint8_t *map = rs.rr[k].rdata + at;

				cr_expect_eq(map[0], type / 256, "%s", lines);
				cr_expect_eq(map[1], type % 256 / 8 + 1, "%s", lines);
				cr_expect_eq(map[1 + map[1]], 0x80 >> type % 8, "%s", lines);
				cr_expect_eq(rs.rr[k].rdata_len, at + 2 + map[1], "%s", lines);
			}
			records_free(&rs);
			free(lines);
		}
	}
}

/* Records of both readers by turns: owner, TTL and origin go on between them. */
Test(fallback, turns)
{
	static const char zone[] = HEAD
		"m MB x\n"
		"  A 192.0.2.1\n"
		"  30 MG y\n"
		"$ORIGIN sub\n"
		"[x]+!%$:= CLASS1 A 192.0.2.2\n"
		"  TXT scanner\n"
		"$TTL 5\n"
		"  MR z ; again ( \" \n"
		"  MINFO ( a ; (\n  b )\n"
		"w TXT last\n"
		"$ORIGIN a[b].example.\n"
		"q A 192.0.2.3\n"
		"$GENERATE 1-2 g$ MB h$\n"
		"\303\244 A 192.0.2.4\n"
		"l 20 CLASS1 MX ( 1 a ) \n";
	static const struct { const char *owner, *type; uint32_t ttl, line; } want[] = {
		{ "m.example.", "MB", 60, 4 }, { "m.example.", "A", 60, 5 },
		{ "m.example.", "MG", 30, 6 },
		{ "[x]+!%\\$:=.sub.example.", "A", 60, 8 },
		{ "[x]+!%\\$:=.sub.example.", "TXT", 60, 9 },
		{ "[x]+!%\\$:=.sub.example.", "MR", 5, 11 },
		{ "[x]+!%\\$:=.sub.example.", "MINFO", 5, 12 },
		{ "w.sub.example.", "TXT", 5, 14 },
		{ "q.a[b].example.", "A", 5, 16 },
		{ "g1.a[b].example.", "MB", 5, 17 }, { "g2.a[b].example.", "MB", 5, 17 },
		{ "\\195\\164.a[b].example.", "A", 5, 18 },
		{ "l.a[b].example.", "MX", 20, 19 },
	};
	struct records rs;
	struct name apex;

	told[0] = '\0';
	cr_assert_eq(name_from_text(&apex, APEX), 0);
	records_init(&rs);
	cr_assert_eq(zonefile_read_text(&rs, &apex, zone, strlen(zone), "z", note, NULL), 0, "%s", told);
	cr_expect_str_empty(told);
	cr_expect_eq(rs.cnt, 2 + sizeof(want) / sizeof(want[0]));
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const struct record *rr = find(&rs, want[i].owner, (uint16_t)rrtype_from_name(want[i].type));

		cr_assert_not_null(rr, "%s %s", want[i].owner, want[i].type);
		cr_expect_eq(rr->ttl, want[i].ttl, "%s %s: %u", want[i].owner, want[i].type, rr->ttl);
		cr_expect_eq(rr->line, want[i].line, "%s %s: %u", want[i].owner, want[i].type, rr->line);
	}
	records_free(&rs);
}

/* What neither reader takes: one message, with the line and the word. */
static const struct { const char *line, *want; } faults[] = {
	{ "a 60 MB", "z:1: the record ends too early\n" },
	{ "a 60 MB x y", "z:1: unexpected data near \"y\"\n" },
	{ "a 60 MB a..b", "z:1: a label is empty near \"a..b\"\n" },
	{ "a 60 MB a\\256", "z:1: an escaped octet is over 255 near \"a\\256\"\n" },
	{ "a 60 MB a\\1", "z:1: a backslash and a digit, but not three of them near \"a\\1\"\n" },
	{ "a 60 WKS 192.0.2.1 foo", "z:1: unknown protocol near \"foo\"\n" },
	{ "a 60 WKS 192.0.2.1 tcp foo", "z:1: unknown service near \"foo\"\n" },
	{ "a 60 WKS 192.0.2.1 tcp 65536", "z:1: number is too big near \"65536\"\n" },
	{ "a 60 NSAP 47", "z:1: an NSAP address begins with 0x near \"47\"\n" },
	{ "a 60 NSAP 0x4", "z:1: an odd number of hexadecimal characters near \"0x4\"\n" },
	{ "a 60 ISDN 1 2 3", "z:1: ISDN: there are more than two character-strings\n" },
	{ "a 60 HIP 2 200 AQID", "z:1: a HIT is not of up to 255 octets in pairs of digits near \"200\"\n" },
	{ "a 60 HIP 2 2001 AQI", "z:1: base 64 is cut short near \"AQI\"\n" },
	{ "a 60 AMTRELAY 1 2 0 .", "z:1: number is too big near \"2\"\n" },
	{ "a 60 AMTRELAY 1 0 4 .", "z:1: gateway type is unknown near \".\"\n" },
	{ "a 60 IPN 18446744073709551616", "z:1: number is too big near \"18446744073709551616\"\n" },
	{ "[ 60 KEY ZONE|FOO 3 8 AQID", "z:1: neither a number nor a known word near \"ZONE|FOO\"\n" },
	{ "[ 60 KEY ZONE| 3 8 AQID", "z:1: neither a number nor a known word near \"ZONE|\"\n" },
	{ "[ 60 KEY |ZONE 3 8 AQID", "z:1: neither a number nor a known word near \"|ZONE\"\n" },
	{ "[ 60 KEY 0x10000 3 8 AQID", "z:1: invalid number near \"0x10000\"\n" },
	{ "[ 60 KEY 65536 3 8 AQID", "z:1: number is too big near \"65536\"\n" },
	{ "a 60 RRSIG FOO 8 1 60 1 1 7 @ AQ==", "z:1: no known record type (and the class can only be IN) near \"FOO\"\n" },
	{ "[ 60 SVCB 1 . ohttp=x", "z:1: this service parameter has no value near \"ohttp=x\"\n" },
	{ "[ 60 SVCB 1 . foo=x", "z:1: unknown service parameter near \"foo=x\"\n" },
	{ "[ 60 SVCB 1 . alpn=", "z:1: item of a service parameter is not of 1 to 255 octets near \"alpn=\"\n" },
	{ "[ 60 SVCB 1 . key65535=", "z:1: unknown service parameter near \"key65535=\"\n" },
	{ "[ 60 A 192.0.2", "z:1: invalid IPv4 address near \"192.0.2\"\n" },
	{ "[ 60 OPT x", "z:1: this type has no text form but \\# LENGTH HEX near \"x\"\n" },
	{ "[ 60 OPT \\# 0", "z:1: OPT: a meta-type is never data in a zone (RFC 6895 section 3.1)\n" },
	{ "[ 60 MAILB \\# 0", "z:1: MAILB: a meta-type is never data in a zone (RFC 6895 section 3.1)\n" },
	{ "[ MB x", "z:1: no TTL\n" },
	{ "[.org. 60 MB x", "z:1: [.org. is outside the zone\n" },
	{ "a 60 MINFO ( x\ny )", "z:1: a record must end on its line\n" },
	{ "a 60 CH MB x", "z:1: no known record type (and the class can only be IN) near \"CH\"\n" },
};

Test(fallback, faults)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct records rs;

		cr_expect_eq(read_lines(&rs, faults[i].line), -EINVAL, "%s", faults[i].line);
		cr_expect_str_eq(told, faults[i].want, "%s: %s", faults[i].line, told);
		records_free(&rs);
	}
}

/* Every prefix and every changed octet of every example, in a block of its own: ends,
 * and reads nothing behind the text. */
Test(fallback, damaged)
{
	static struct fallback f;
	static const char marks[] = "\\\"();=, 0a-\377\n";
	struct name apex;

	cr_assert_eq(name_from_text(&apex, APEX), 0);
	for (size_t i = 0; i < EXAMPLES; i++) {
		char *line = NULL;
		int len = asprintf(&line, "a 60 IN %s %s", examples[i].type, examples[i].text);

		for (int cut = 0; cut <= len; cut++) {
			char *block = malloc(cut ? (size_t)cut : 1);

			memcpy(block, line, (size_t)cut);
			f.origin = apex.wire;
			f.owner_len = 0;
			fallback_read(&f, block, (size_t)cut);
			for (const char *mark = marks; cut > 8 && *mark; mark++) {
				block[cut - 1] = *mark;
				f.owner_len = 0;
				if (!fallback_read(&f, block, (size_t)cut))
					rdata_check(f.type, f.rdata, f.rdata_len);
			}
			free(block);
		}
		free(line);
	}
}
