/* SPDX-License-Identifier: GPL-3.0-or-later */
/* RR types: mnemonics, what RDATA is well formed, its order and its names. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/answer/name.h"
#include "dataplane/answer/rrtype.h"

struct sample {
	const char *type;
	uint16_t len;
	const char *rdata;
	bool open; /* ends with octets of any number, so that prefixes may be right too */
};

#define R(text) sizeof(text) - 1, text

static const char a6_middle[] = "\100\1\2\3\4\5\6\7\10\1x";

static const struct sample good[] = {
	{ "A", R("\1\2\3\4"), false },
	{ "NS", R("\2ns\7example\0"), false },
	{ "NS", R("\0"), false },
	{ "MD", R("\1a\0"), false }, { "MF", R("\1a\0"), false },
	{ "CNAME", R("\1a\0"), false },
	{ "SOA", R("\2ns\0\4root\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5"), false },
	{ "MB", R("\1a\0"), false }, { "MG", R("\1a\0"), false }, { "MR", R("\1a\0"), false },
	{ "NULL", R("anything"), true }, { "NULL", R(""), true },
	{ "WKS", R("\1\2\3\4\6\100"), true }, { "WKS", R("\1\2\3\4\6"), true },
	{ "PTR", R("\1a\0"), false },
	{ "UNSPEC", R("x"), true }, { "CLA", R("\3TCP"), true },
	{ "IPN", R("\0\0\0\0\0\0\0\1"), false },
	{ "HINFO", R("\3PDP\4UNIX"), false }, { "HINFO", R("\0\0"), false },
	{ "MINFO", R("\1a\0\1b\0"), false },
	{ "MX", R("\0\12\2mx\0"), false },
	{ "TXT", R("\3abc\2de"), true }, { "TXT", R("\0"), false },
	{ "RP", R("\1a\0\1b\0"), false }, { "AFSDB", R("\0\1\1b\0"), false },
	{ "X25", R("\4" "1234"), false },
	{ "ISDN", R("\4" "1234"), false }, { "ISDN", R("\4" "1234\3" "004"), true },
	{ "RT", R("\0\1\1b\0"), false },
	{ "NSAP", R("\47"), true }, { "NSAP-PTR", R("\1b\0"), false },
	{ "SIG", R("\0\1\10\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1\1x\0"), false },
	{ "SIG", R("\0\1\10\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1\1x\0s"), true },
	{ "KEY", R("\0\0\3\10k"), true }, { "KEY", R("\300\0\3\0"), true },
	{ "PX", R("\0\1\1a\0\1b\0"), false }, { "GPOS", R("\1" "1\1" "2\1" "3"), false },
	{ "AAAA", R("\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1"), false },
	{ "LOC", R("\0\22\26\23\211\27\50\300\161\54\210\240\0\230\226\200"), false },
	{ "NXT", R("\1a\0\100"), true },
	{ "SRV", R("\0\1\0\2\0\65\1a\0"), false },
	{ "NAPTR", R("\0\1\0\2\1s\3SIP\0\1a\0"), false },
	{ "KX", R("\0\1\1a\0"), false }, { "CERT", R("\0\1\0\2\10c"), true },
	{ "A6", R("\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20"), false },
	{ "A6", sizeof(a6_middle), a6_middle, false },
	{ "A6", R("\200\1x\0"), false },
	{ "DNAME", R("\1a\0"), false },
	{ "APL", R("\0\1\25\3\300\250\40\0\2\10\201\377"), true }, { "APL", R(""), true },
	{ "DS", R("\0\1\10\2digest"), true }, { "SSHFP", R("\1\1f"), true },
	{ "IPSECKEY", R("\12\0\2key"), true }, { "IPSECKEY", R("\12\1\2\1\2\3\4key"), true },
	{ "IPSECKEY", R("\12\2\2\1\2\3\4\1\2\3\4\1\2\3\4\1\2\3\4key"), true },
	{ "IPSECKEY", R("\12\3\2\1a\0key"), true }, { "IPSECKEY", R("\12\0\0"), true },
	{ "RRSIG", R("\0\1\10\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1\1x\0"), false },
	{ "RRSIG", R("\0\1\10\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1\1x\0s"), true },
	{ "NSEC", R("\1a\0\0\1\100\1\1\100"), true }, { "NSEC", R("\1a\0"), true },
	{ "DNSKEY", R("\1\1\3\10k"), true }, { "DHCID", R("d"), true },
	{ "NSEC3", R("\1\0\0\1\2sa\3has\0\1\100"), true }, { "NSEC3", R("\1\0\0\1\0\3has"), false },
	{ "NSEC3PARAM", R("\1\0\0\1\2sa"), false }, { "NSEC3PARAM", R("\1\0\0\0\0"), false },
	{ "TLSA", R("\3\1\1c"), true }, { "SMIMEA", R("\3\1\1c"), true },
	{ "HIP", R("\2\2\0\3hikey\1a\0\1b\0"), true }, { "HIP", R("\2\2\0\3hikey"), true },
	{ "CDS", R("\0\0\0\0\0"), true }, { "CDNSKEY", R("\0\0\3\0\0"), true },
	{ "OPENPGPKEY", R("k"), true }, { "CSYNC", R("\0\0\0\1\0\3\0\1\140"), true },
	{ "ZONEMD", R("\0\0\0\1\1\1" "123456789012"), true },
	{ "SVCB", R("\0\0\1a\0"), true }, { "HTTPS", R("\0\1\0\0\1\0\3\2h2\0\3\0\2\1\273"), true },
	{ "HTTPS", R("\0\1\0\0\0\0\4\0\1\0\3\0\1\0\3\2h2\0\3\0\2\1\273"), true },
	{ "SPF", R("\1v"), true }, { "NID", R("\0\12\1\2\3\4\5\6\7\10"), false },
	{ "L32", R("\0\12\1\2\3\4"), false }, { "L64", R("\0\12\1\2\3\4\5\6\7\10"), false },
	{ "LP", R("\0\12\1a\0"), false }, { "EUI48", R("123456"), false },
	{ "EUI64", R("12345678"), false }, { "URI", R("\0\1\0\2u"), true },
	{ "ZONEMD", R("\0\0\0\1\1\1" "1"), true }, { "TLSA", R("\3\1\1"), true },
	{ "CAA", R("\0\5issueca"), true }, { "CAA", R("\0\6is-sueca"), true }, { "CAA", R("\0\0ca"), true }, { "AVC", R("\1v"), true },
	{ "DSYNC", R("\0\73\1\0\65\1a\0"), false },
	{ "DOA", R("\0\0\0\1\0\0\0\2\1\4text"), true },
	{ "AMTRELAY", R("\12\0"), true }, { "AMTRELAY", R("\12\201\1\2\3\4"), false },
	{ "AMTRELAY", R("\12\203\1a\0"), false },
	{ "RESINFO", R("\1v"), true }, { "WALLET", R("\1v"), true },
	{ "TA", R("\0\1\10\2d"), true }, { "DLV", R("\0\1\10\2d"), true },
	{ "TYPE65280", R("whatever"), true }, { "TYPE65280", R(""), true },
};

static const struct sample bad[] = {
	{ "A", R(""), 0 }, { "A", R("\1\2\3\4\5"), 0 }, { "AAAA", R("\1\2\3\4"), 0 },
	{ "NS", R(""), 0 }, { "NS", R("\1a\0\0"), 0 }, { "NS", R("\300\0"), 0 },
	{ "NS", R("\100a\0"), 0 }, { "CNAME", R("\1a"), 0 }, { "MX", R("\0\12"), 0 },
	{ "SOA", R("\2ns\0\4root\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5\6"), 0 },
	{ "TXT", R(""), 0 }, { "TXT", R("\2a"), 0 }, { "TXT", R("\1a\1"), 0 },
	{ "HINFO", R("\0"), 0 }, { "HINFO", R("\0\0\0"), 0 },
	{ "ISDN", R("\1a\1b\1c"), 0 }, { "ISDN", R(""), 0 },
	{ "LOC", R("\1\22\26\23\211\27\50\300\161\54\210\240\0\230\226\200"), 0 },
	{ "LOC", R("\0\240\26\23\211\27\50\300\161\54\210\240\0\230\226\200"), 0 },
	{ "LOC", R("\0\22\32\23\211\27\50\300\161\54\210\240\0\230\226\200"), 0 },
	{ "LOC", R("\0\22\26\23\211\27\50\300\161\54\210\240\0\230\226\200\0"), 0 },
	{ "A6", R("\201\1x\0"), 0 }, { "A6", R("\200"), 0 },
	{ "APL", R("\0\1\41\0"), 0 }, { "APL", R("\0\2\201\0"), 0 }, { "APL", R("\0\1\10\2\12"), 0 },
	{ "APL", R("\0\1\10\5\1\2\3\4\5"), 0 }, { "APL", R("\0\1\10\2\12\0"), 0 },
	{ "IPSECKEY", R("\12\4\2key"), 0 }, { "IPSECKEY", R("\12\203\2\1a\0"), 0 },
	{ "IPSECKEY", R("\12\1\2\1\2\3"), 0 }, { "IPSECKEY", R("\12\3\2\1a"), 0 },
	{ "AMTRELAY", R("\12\4"), 0 }, { "AMTRELAY", R("\12\0\1"), 0 },
	{ "NSEC", R("\1a\0\0\0"), 0 }, { "NSEC", R("\1a\0\0\1\0"), 0 },
	{ "NSEC", R("\1a\0\0\1\100\0\1\100"), 0 }, { "NSEC", R("\1a\0\1\1\100\0\1\100"), 0 },
	{ "NSEC", R("\1a\0\0\2\100"), 0 }, { "NSEC", R("\1a\0\0"), 0 },
	{ "NSEC", R("\1a\0\0\41" "1234567890123456789012345678901234"), 0 },
	{ "NSEC3", R("\1\0\0\1\2sa\0\0\1\100"), 0 },
	{ "ZONEMD", R("\0\0\0\1\1"), 0 }, { "CAA", R("\0"), 0 }, { "CAA", R("\0\5issu"), 0 },
	{ "HIP", R("\0\2\0\3key"), 0 }, { "HIP", R("\2\2\0\0hi"), 0 },
	{ "HIP", R("\2\2\0\3hikey\1a"), 0 },
	{ "SVCB", R("\0\1\0\0\3\0\2\1\273\0\1\0\3\2h2"), 0 },
	{ "SVCB", R("\0\1\0\0\3\0\2\1\273\0\3\0\2\1\273"), 0 },
	{ "SVCB", R("\0\1\0\0\0\0\2\0\1"), 0 }, { "SVCB", R("\0\1\0\0\0\0\1\0\0\1\0\0"), 0 },
	{ "SVCB", R("\0\1\0\0\0\0\2\0\0"), 0 }, { "SVCB", R("\0\1\0\0\0\0\0"), 0 },
	{ "SVCB", R("\0\1\0\0\0\0\4\0\3\0\1\0\1\0\0\0\3\0\0"), 0 },
	{ "SVCB", R("\0\1\0\0\3\0\2\1"), 0 }, { "DS", R("\0\1\10"), 0 },
	{ "RRSIG", R("\0\1\10\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1\1x"), 0 },
};

#define CNT(table) (sizeof(table) / sizeof(table[0]))

static uint16_t number(const struct sample *s)
{
	int type = rrtype_from_name(s->type);

	cr_assert_geq(type, 0, "%s", s->type);
	return (uint16_t)type;
}

/* check_exact - rdata_check with the octets in a block of exactly their size. */
static const char *check_exact(uint16_t type, const void *rdata, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	const char *fault;

	memcpy(copy, rdata, len);
	fault = rdata_check(type, copy, len);
	if (!fault) {
		/* What passes can be walked, and is equal to itself. */
		size_t at = 0, pos;
		unsigned field = 0;
		enum rd_field kind;

		while (rdata_next_name(type, copy, len, &at, &field, &pos, &kind)) {
			cr_assert_lt(pos, at);
			cr_assert_leq(at, len);
			cr_assert_eq(name_wire_len(copy + pos), at - pos);
			cr_assert(kind == RD_NAME_C || kind == RD_NAME_L || kind == RD_NAME);
		}
		cr_assert_eq(rdata_cmp(type, copy, len, rdata, len), 0);
	}
	free(copy);
	return fault;
}

Test(rrtype, mnemonics)
{
	char buf[16];
	int named = 0;

	for (int type = 0; type <= 65535; type++) {
		rrtype_name(buf, (uint16_t)type);
		cr_assert_eq(rrtype_from_name(buf), type, "%s", buf);
		named += strncmp(buf, "TYPE", 4) != 0;
		snprintf(buf, sizeof(buf), "type%d", type);
		cr_assert_eq(rrtype_from_name(buf), type);
	}
	cr_assert_geq(named, 90);
	cr_assert_str_eq(rrtype_name(buf, 257), "CAA");
	cr_assert_str_eq(rrtype_name(buf, 54), "TYPE54");
	cr_assert_eq(rrtype_from_name("nsec3param"), TYPE_NSEC3PARAM);
	static const char *const none[] = { "", "TYPE", "TYPE65536", "TYPE-1", "TYPE1x", "AX",
					    "TYPE000001", "TYPE99999999999999999999" };
	for (size_t i = 0; i < CNT(none); i++)
		cr_assert_eq(rrtype_from_name(none[i]), -EINVAL, "%s", none[i]);
}

Test(rrtype, meta)
{
	static const uint16_t meta[] = { 0, 41, 128, 249, 250, 251, 252, 253, 254, 255, 65535 };
	static const uint16_t data[] = { 1, 2, 10, 40, 42, 127, 256, 32768, 65280, 65534 };

	for (size_t i = 0; i < CNT(meta); i++) {
		cr_assert(rrtype_is_meta(meta[i]));
		cr_assert_null(rrtype_fields(meta[i]));
	}
	for (size_t i = 0; i < CNT(data); i++)
		cr_assert_not(rrtype_is_meta(data[i]));
}

/* Types that are assigned and those of private use are data, whatever their number
 * (RFC 6895 section 3.1); class and type share no names. */
Test(rrtype, private_use_is_data)
{
	for (unsigned type = 256; type < 65535; type++)
		cr_assert_not(rrtype_is_meta((uint16_t)type), "%u", type);
	cr_assert_null(rdata_check(65280, (const uint8_t *)"x", 1));
}

Test(rrtype, classes)
{
	char buf[16];

	for (int number = 0; number <= 65535; number++) {
		snprintf(buf, sizeof(buf), "class%d", number);
		cr_assert_eq(class_from_name(buf), number);
	}
	cr_assert_eq(class_from_name("IN"), CLASS_IN);
	cr_assert_eq(class_from_name("NONE"), CLASS_NONE);
	cr_assert_eq(class_from_name("ch"), CLASS_CH);
	cr_assert_eq(class_from_name("INN"), -EINVAL);
	cr_assert_eq(class_from_name("CLASS65536"), -EINVAL);
	cr_assert_eq(class_from_name("TYPE1"), -EINVAL);
}

Test(rrtype, opcodes)
{
	char buf[16];

	cr_assert_str_eq(opcode_name(buf, OPCODE_QUERY), "QUERY");
	cr_assert_str_eq(opcode_name(buf, OPCODE_NOTIFY), "NOTIFY");
	cr_assert_str_eq(opcode_name(buf, OPCODE_UPDATE), "UPDATE");
	cr_assert_str_eq(opcode_name(buf, 6), "DSO");
	cr_assert_str_eq(opcode_name(buf, 3), "OPCODE3");
	cr_assert_str_eq(opcode_name(buf, 15), "OPCODE15");
}

Test(rrtype, rcodes)
{
	char buf[16];

	cr_assert_str_eq(rcode_name(buf, 0), "NOERROR");
	cr_assert_str_eq(rcode_name(buf, 5), "REFUSED");
	cr_assert_str_eq(rcode_name(buf, 16), "BADVERS");
	cr_assert_str_eq(rcode_name(buf, 23), "BADCOOKIE");
	cr_assert_str_eq(rcode_name(buf, 12), "RCODE12");
	cr_assert_str_eq(rcode_name(buf, 65535), "RCODE65535");
}

Test(rrtype, good_rdata_passes)
{
	for (size_t i = 0; i < CNT(good); i++) {
		const char *fault = check_exact(number(&good[i]), good[i].rdata, good[i].len);

		cr_assert_null(fault, "%s (sample %zu): %s", good[i].type, i, fault);
	}
}

Test(rrtype, bad_rdata_does_not)
{
	for (size_t i = 0; i < CNT(bad); i++)
		cr_assert_not_null(check_exact(number(&bad[i]), bad[i].rdata, bad[i].len),
				   "%s (sample %zu)", bad[i].type, i);
}

Test(rrtype, every_known_type_has_a_sample)
{
	for (int type = 0; type <= 65535; type++) {
		size_t i = 0;

		if (!rrtype_fields((uint16_t)type) || type == 31 || type == 32 || type == 34 ||
		    type == 40 || type == 56 || type == 57 || type == 58 || type == 67 || type == 68)
			continue;
		while (i < CNT(good) && number(&good[i]) != type)
			i++;
		cr_assert_lt(i, CNT(good), "type %d", type);
	}
}

Test(rrtype, prefixes_and_tails)
{
	static uint8_t longer[65536];

	for (size_t i = 0; i < CNT(good); i++) {
		uint16_t type = number(&good[i]);

		for (size_t len = 0; len < good[i].len; len++) {
			const char *fault = check_exact(type, good[i].rdata, len);

			if (!good[i].open)
				cr_assert_not_null(fault, "%s (sample %zu, %zu octets)",
						   good[i].type, i, len);
		}
		/* 65,535 octets are the most RDATA can have. */
		cr_assert_not_null(rdata_check(type, longer, 65536));
		check_exact(type, longer, 65535);
	}
}

Test(rrtype, mutations_do_no_harm)
{
	uint64_t seed = 3;
	uint8_t data[64];

	for (int round = 0; round < 1000; round++) {
		for (size_t i = 0; i < CNT(good); i++) {
			memset(data, 0, sizeof(data));
			memcpy(data, good[i].rdata, good[i].len);
			for (int change = 0; change < 2; change++) {
				seed = seed * UINT64_C(6364136223846793005) + 1;
				if (good[i].len > 0)
					data[(seed >> 33) % good[i].len] = (uint8_t)(seed >> 50);
			}
			check_exact(number(&good[i]), data, good[i].len);
		}
	}
}

static int cmp(uint16_t type, const char *a, size_t a_len, const char *b, size_t b_len)
{
	int x = rdata_cmp(type, (const uint8_t *)a, a_len, (const uint8_t *)b, b_len);
	int y = rdata_cmp(type, (const uint8_t *)b, b_len, (const uint8_t *)a, a_len);

	cr_assert_eq((x > 0) - (x < 0), (y < 0) - (y > 0));
	return (x > 0) - (x < 0);
}

#define CMP(type, a, b) cmp(type, a, sizeof(a) - 1, b, sizeof(b) - 1)

Test(rrtype, canonical_rdata_order)
{
	cr_assert_eq(CMP(TYPE_A, "\1\2\3\4", "\1\2\3\5"), -1);
	cr_assert_eq(CMP(TYPE_A, "\200\0\0\0", "\177\0\0\0"), 1);
	/* Shorter first when it is a prefix (RFC 4034 6.3). */
	cr_assert_eq(CMP(65280, "ab", "abc"), -1);
	cr_assert_eq(CMP(65280, "", "a"), -1);
	cr_assert_eq(CMP(65280, "b", "abc"), 1);
	cr_assert_eq(CMP(65280, "A", "a"), -1);
	cr_assert_eq(CMP(TYPE_TXT, "\1A", "\1a"), -1);
	/* Names fold in some types ... */
	cr_assert_eq(CMP(TYPE_NS, "\2NS\0", "\2ns\0"), 0);
	cr_assert_eq(CMP(TYPE_NS, "\1b\0", "\1A\0"), 1);
	cr_assert_eq(CMP(TYPE_MX, "\0A\1B\0", "\0a\1a\0"), -1); /* but a number is none */
	cr_assert_eq(CMP(TYPE_SRV, "\0\1\0\1\0\1\1X\0", "\0\1\0\1\0\1\1x\0"), 0);
	cr_assert_eq(CMP(TYPE_SOA, "\1A\0\1B\0\0\0\0A\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
				   "\1a\0\1b\0\0\0\0A\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), 0);
	cr_assert_eq(CMP(TYPE_SOA, "\1A\0\1B\0\0\0\0A\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
				   "\1a\0\1b\0\0\0\0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), -1);
	cr_assert_eq(CMP(TYPE_DNAME, "\1A\1b\0", "\1a\0"), 1);
	cr_assert_eq(CMP(35, "\0\1\0\2\1s\3SIP\0\1A\0", "\0\1\0\2\1s\3SIP\0\1a\0"), 0);
	cr_assert_eq(CMP(35, "\0\1\0\2\1s\3SIP\0\1A\0", "\0\1\0\2\1s\3sip\0\1a\0"), -1);
	/* ... RRSIG's signer among them, NSEC's next name not (RFC 6840 5.1) ... */
	cr_assert_eq(CMP(TYPE_RRSIG, "\0\1\10\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1\1X\0s",
				     "\0\1\10\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1\1x\0s"), 0);
	cr_assert_eq(CMP(TYPE_RRSIG, "\0\1\10\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1\1X\0S",
				     "\0\1\10\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1\1x\0s"), -1);
	cr_assert_eq(CMP(TYPE_NSEC, "\1A\0", "\1a\0"), -1);
	/* ... and those of types made since not (RFC 3597 section 7). */
	cr_assert_eq(CMP(65, "\0\1\1A\0", "\0\1\1a\0"), -1);
	cr_assert_eq(CMP(107, "\0\1\1A\0", "\0\1\1a\0"), -1);
}

/* names - "offset:kind " of each name. */
static const char *names(const char *type, const void *rdata, size_t len)
{
	static char out[64];
	size_t at = 0, pos, used = 0;
	unsigned field = 0;
	enum rd_field kind;

	out[0] = '\0';
	while (rdata_next_name((uint16_t)rrtype_from_name(type), rdata, len, &at, &field,
			       &pos, &kind))
		used += (size_t)snprintf(out + used, sizeof(out) - used, "%zu:%c ", pos,
					 kind == RD_NAME_C ? 'C' : kind == RD_NAME_L ? 'L' : '-');
	return out;
}

Test(rrtype, names_in_rdata)
{
	cr_assert_str_eq(names("A", "\1\2\3\4", 4), "");
	cr_assert_str_eq(names("NS", "\1a\0", 3), "0:C ");
	cr_assert_str_eq(names("MX", "\0\1\1a\0", 5), "2:C ");
	cr_assert_str_eq(names("SOA", "\1a\0\2bb\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5", 27),
			 "0:C 3:C ");
	cr_assert_str_eq(names("SRV", "\0\1\0\2\0\3\1a\0", 9), "6:L ");
	cr_assert_str_eq(names("DNAME", "\1a\0", 3), "0:L ");
	cr_assert_str_eq(names("NAPTR", "\0\1\0\2\1s\3SIP\0\1a\0", 14), "11:L ");
	cr_assert_str_eq(names("RRSIG", "\0\1\10\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1\1x\0s", 22), "18:L ");
	cr_assert_str_eq(names("NSEC", "\1a\0\0\1\100", 6), "0:- ");
	cr_assert_str_eq(names("HTTPS", "\0\1\1a\0", 5), "2:- ");
	cr_assert_str_eq(names("IPSECKEY", "\12\3\2\1a\0key", 9), "3:- ");
	cr_assert_str_eq(names("IPSECKEY", "\12\0\2key", 6), "");
	cr_assert_str_eq(names("AMTRELAY", "\12\203\1a\0", 5), "2:- ");
	cr_assert_str_eq(names("HIP", "\2\2\0\3hikey\1a\0\2bb\0", 16), "9:- 12:- ");
	cr_assert_str_eq(names("A6", "\0\1\2\3\4\5\6\7\10\1\2\3\4\5\6\7\10", 17), "");
	cr_assert_str_eq(names("A6", a6_middle, sizeof(a6_middle)), "9:L ");
	cr_assert_str_eq(names("TYPE65280", "\1a\0", 3), "");
}
