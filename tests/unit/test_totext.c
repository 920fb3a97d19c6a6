/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records in text: whatever well-formed RDATA a type can have, the reader makes the
 * same octets of its text. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/zone/zonefile.h"
#include "dataplane/answer/rrtype.h"

#define TYPE_LOC       29
#define TYPE_A6        38
#define TYPE_APL       42
#define TYPE_IPSECKEY  45
#define TYPE_HIP       55
#define TYPE_SVCB      64
#define TYPE_HTTPS     65
#define TYPE_AMTRELAY 260

static char text[RECORD_TEXT_MAX];

static void fail(void *arg, const char *what)
{
	cr_assert_fail("%s: %s", (const char *)arg, what);
}

/* reread - read the record's text in a zone of its own and compare. */
static void reread(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
		   uint16_t len)
{
	struct records rs;
	struct name apex;
	char *zone = NULL;
	bool found = false;

	cr_assert_eq(record_to_text(text, sizeof(text), owner, type, ttl, rdata, len), 0);
	cr_assert_null(strchr(text, '\n'));
	cr_assert(asprintf(&zone, "$TTL 1\n%s\n%s\n%s\n", type == TYPE_SOA ? "" : "@ SOA a b 1 2 3 4 5",
			   type == TYPE_NS ? "" : "@ NS a", text) > 0);
	cr_assert_eq(name_from_text(&apex, "example."), 0);
	records_init(&rs);

	int rc = zonefile_read_text(&rs, &apex, zone, strlen(zone), "z", fail, text);

	cr_assert_eq(rc, 0, "%s", text);
	for (size_t i = 0; i < rs.cnt && !found; i++) {
		const struct record *rr = &rs.rr[i];

		found = rr->type == type && rr->ttl == ttl && name_cmp(rr->owner, owner) == 0 &&
			rr->rdata_len == len && memcmp(rr->rdata, rdata, len) == 0;
	}
	cr_assert(found, "%s", text);
	records_free(&rs);
	free(zone);
}

/* ---- random RDATA ---- */

static uint64_t seed = 20170821;

static unsigned draw(unsigned below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(seed >> 33) % below;
}

struct rdata {
	uint8_t octets[4096];
	size_t len;
};

static void add(struct rdata *r, uint8_t octet)
{
	cr_assert_lt(r->len, sizeof(r->octets));
	r->octets[r->len++] = octet;
}

static void add_16(struct rdata *r, unsigned value)
{
	add(r, (uint8_t)(value >> 8));
	add(r, (uint8_t)value);
}

/* Any octets, or letters, so that both kinds of text are met. */
static void add_octets(struct rdata *r, size_t cnt)
{
	bool letters = draw(2);

	while (cnt-- > 0)
		add(r, (uint8_t)(letters ? 'a' + draw(26) : draw(256)));
}

static void add_name(struct rdata *r)
{
	unsigned labels = draw(4);

	while (labels-- > 0) {
		unsigned len = 1 + draw(draw(8) ? 8 : 63);

		add(r, (uint8_t)len);
		add_octets(r, len);
	}
	add(r, 0);
}

static void add_string(struct rdata *r)
{
	unsigned len = draw(draw(8) ? 20 : 256);

	add(r, (uint8_t)len);
	add_octets(r, len);
}

static void add_bitmap(struct rdata *r)
{
	for (unsigned window = draw(3); window < 256; window += 1 + draw(200)) {
		unsigned len = 1 + draw(32);

		add(r, (uint8_t)window);
		add(r, (uint8_t)len);
		for (unsigned i = 1; i < len; i++)
			add(r, (uint8_t)draw(256));
		add(r, (uint8_t)(1 + draw(255)));
	}
}

static void add_svcb_params(struct rdata *r)
{
	for (unsigned key = draw(3); key < 12; key += 1 + draw(4)) {
		unsigned len = key == 3 ? 2 : key == 2 ? 0 : 4 * draw(5);

		add_16(r, key);
		add_16(r, len);
		if (key == 1 && len > 0) { /* alpn: one <character-string> */
			add(r, (uint8_t)(len - 1));
			len--;
		}
		add_octets(r, len);
	}
}

static void add_gateway(struct rdata *r, uint16_t type)
{
	static const size_t address[] = { 0, 4, 16 };
	unsigned kind = r->octets[1] & (type == TYPE_AMTRELAY ? 0x7f : 0xff);

	if (kind == 3)
		add_name(r);
	else if (kind < 3)
		add_octets(r, address[kind]);
}

static void add_hip(struct rdata *r)
{
	unsigned hit = 1 + draw(20), key = 1 + draw(60);

	add(r, (uint8_t)hit);
	add(r, (uint8_t)draw(4));
	add_16(r, key);
	add_octets(r, hit + key);
}

static void add_apl(struct rdata *r)
{
	for (unsigned n = draw(4); n > 0; n--) {
		unsigned family = 1 + draw(2), len = draw(family == 1 ? 5 : 17);

		add_16(r, family);
		add(r, (uint8_t)draw(family == 1 ? 33 : 129));
		add(r, (uint8_t)(len | draw(2) << 7));
		add_octets(r, len);
	}
}

static void add_a6(struct rdata *r)
{
	unsigned prefix = draw(129);

	add(r, (uint8_t)prefix);
	add_octets(r, (128 - prefix + 7) / 8);
	if (prefix > 0)
		add_name(r);
}

static void add_loc(struct rdata *r)
{
	add(r, 0);
	for (unsigned i = 0; i < 3; i++)
		add(r, (uint8_t)(draw(10) << 4 | draw(10)));
	for (unsigned i = 0; i < 3; i++) {
		add_16(r, 0x8000 - 0x1000 + draw(0x2000));
		add_16(r, draw(0x10000));
	}
}

static void add_field(struct rdata *r, uint16_t type, uint8_t field)
{
	switch (field) {
	case RD_NAME_C: case RD_NAME_L: case RD_NAME: add_name(r); break;
	case RD_8: add(r, (uint8_t)draw(draw(4) ? 4 : 256)); break;
	case RD_16: add_octets(r, 2); break;
	case RD_32: add_octets(r, 4); break;
	case RD_48: add_octets(r, 6); break;
	case RD_64: add_octets(r, 8); break;
	case RD_128: add_octets(r, 16); break;
	case RD_STRING: case RD_BYTES_8: add_string(r); break;
	case RD_STRINGS:
		for (unsigned n = 1 + draw(3); n > 0; n--)
			add_string(r);
		break;
	case RD_BITMAP: add_bitmap(r); break;
	case RD_BYTES_16: {
		unsigned len = draw(300);

		add_16(r, len);
		add_octets(r, len);
		break;
	}
	case RD_REST: add_octets(r, draw(60)); break;
	case RD_REST_1: add_octets(r, 1 + draw(60)); break;
	default: /* of one type's own */
		if (type == TYPE_LOC)
			add_loc(r);
		else if (type == TYPE_APL)
			add_apl(r);
		else if (type == TYPE_SVCB || type == TYPE_HTTPS)
			add_svcb_params(r);
		else if (type == TYPE_IPSECKEY || type == TYPE_AMTRELAY)
			add_gateway(r, type);
		else if (type == TYPE_A6)
			add_a6(r);
		else if (type == TYPE_HIP && r->len == 0)
			add_hip(r);
		else if (type == TYPE_HIP && draw(2))
			add_name(r);
	}
}

/* random_rdata - well-formed RDATA; false when the try was none. */
static bool random_rdata(struct rdata *r, uint16_t type)
{
	r->len = 0;
	for (const uint8_t *field = rrtype_fields(type); *field != RD_END; field++)
		add_field(r, type, *field);
	return rdata_check(type, r->octets, r->len) == NULL;
}

static void random_owner(struct name *n, uint16_t type)
{
	static const uint8_t tail[] = "\7example";
	struct rdata r;

	do {
		r.len = 0;
		if (type != TYPE_SOA && type != TYPE_NS) {
			add_name(&r);
			r.len--;
		}
		memcpy(r.octets + r.len, tail, sizeof(tail));
		r.len += sizeof(tail);
		/* Not the apex, where other data are. */
	} while (name_from_wire(n, r.octets, r.len) != r.len ||
		 (n->labels == 1) != (type == TYPE_SOA || type == TYPE_NS));
}

Test(totext, every_type)
{
	enum { WANTED = 100, TRIES = 5000 };

	for (unsigned type = 1; type <= 65535; type++) {
		unsigned done = 0;

		if (rrtype_is_meta((uint16_t)type) || !rrtype_fields((uint16_t)type))
			continue;
		for (unsigned i = 0; i < TRIES && done < WANTED; i++) {
			struct rdata r;
			struct name owner;

			if (!random_rdata(&r, (uint16_t)type))
				continue;
			random_owner(&owner, (uint16_t)type);
			reread(owner.wire, (uint16_t)type, draw(1u << 31), r.octets, (uint16_t)r.len);
			done++;
		}
		cr_expect_eq(done, WANTED, "type %u: %u", type, done);
	}
}

Test(totext, unknown_types)
{
	static const uint16_t types[] = { 100, 103, 110, 265, 1000, 32767, 32770, 65280, 65534 };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		for (unsigned n = 0; n < 20; n++) {
			struct rdata r = { .len = 0 };
			struct name owner;

			add_octets(&r, n);
			random_owner(&owner, types[i]);
			reread(owner.wire, types[i], n, r.octets, (uint16_t)r.len);
		}
	}
}

/* ---- what the text is ---- */

static void expect_text(uint16_t type, const char *rdata, size_t len, const char *want)
{
	static const uint8_t owner[] = "\1a";

	cr_assert_eq(record_to_text(text, sizeof(text), owner, type, 60, (const uint8_t *)rdata,
				    (uint16_t)len), 0);
	cr_expect_str_eq(text, want);
}

#define R(rdata) rdata, sizeof(rdata) - 1

Test(totext, forms)
{
	expect_text(TYPE_A, R("\1\2\3\4"), "a. 60 IN A 1.2.3.4");
	expect_text(TYPE_NS, R("\0"), "a. 60 IN NS .");
	expect_text(TYPE_MX, R("\0\12\2Mx\0"), "a. 60 IN MX 10 Mx.");
	expect_text(TYPE_TXT, R("\3a\"b\0"), "a. 60 IN TXT \"a\\\"b\" \"\"");
	expect_text(TYPE_SOA, R("\1a\0\1b\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5"),
		    "a. 60 IN SOA a. b. 1 2 3 4 5");
	expect_text(TYPE_MB, R("\1x\0"), "a. 60 IN MB x.");
	expect_text(65280, R(""), "a. 60 IN TYPE65280 \\# 0");
	expect_text(65280, R("\1\377"), "a. 60 IN TYPE65280 \\# 2 01FF");
	/* Well formed, but beyond the text form: an alpn with an empty list. */
	expect_text(TYPE_SVCB, R("\0\1\0\0\1\0\0"), "a. 60 IN SVCB \\# 7 00010000010000");
}

Test(totext, owner)
{
	static const uint8_t owner[] = "\11*-_/aZ0$\0\3.\\ \2\xff" "9";

	cr_assert_eq(record_to_text(text, sizeof(text), owner, TYPE_A, 0,
				    (const uint8_t *)"\1\2\3\4", 4), 0);
	cr_expect_str_eq(text, "*-_/aZ0\\$\\000.\\.\\\\\\032.\\2559. 0 IN A 1.2.3.4");
}

/* Every size that is too small, each in a block of its own. */
Test(totext, no_room)
{
	static const uint8_t owner[] = "\1a", rdata[] = { 1, 2, 3, 4 };
	const size_t need = strlen("a. 60 IN A 1.2.3.4") + 1;

	for (size_t size = 0; size <= need + 20; size++) {
		char *block = malloc(size ? size : 1);

		cr_expect_eq(record_to_text(block, size, owner, TYPE_A, 60, rdata, 4),
			     size < need ? -ENOSPC : 0, "%zu", size);
		free(block);
	}
}

/* The longest owner and RDATA have room in RECORD_TEXT_MAX. */
Test(totext, longest)
{
	static uint8_t rdata[65535], bitmap[2 + 256 * 34];
	uint8_t owner[NAME_MAX_LEN];
	size_t at = 0, len = 0;

	for (unsigned label = 0; label < 4; label++) {
		uint8_t octets = label < 3 ? 63 : 61;

		owner[at++] = octets;
		memset(owner + at, 0xff, octets);
		at += octets;
	}
	owner[at++] = 0;
	cr_assert_eq(at, sizeof(owner));

	memset(rdata, 0xff, sizeof(rdata));
	cr_assert_eq(record_to_text(text, sizeof(text), owner, 65280, INT32_MAX, rdata, 65535), 0);
	cr_assert_eq(record_to_text(text, sizeof(text), owner, TYPE_DNSKEY, INT32_MAX, rdata, 65535), 0);
	for (size_t i = 0; i < sizeof(rdata); i += 256)
		rdata[i] = i + 256 < sizeof(rdata) ? 255 : 254;
	cr_assert_null(rdata_check(TYPE_TXT, rdata, 65535));
	cr_assert_eq(record_to_text(text, sizeof(text), owner, TYPE_TXT, INT32_MAX, rdata, 65535), 0);

	/* All types there are in one NSEC: its mnemonics do not fit, its octets do. */
	bitmap[len++] = 0;
	for (unsigned window = 0; window < 256; window++) {
		bitmap[len++] = (uint8_t)window;
		bitmap[len++] = 32;
		memset(bitmap + len, 0xff, 32);
		len += 32;
	}
	cr_assert_null(rdata_check(TYPE_NSEC, bitmap, len));
	cr_assert_eq(record_to_text(text, sizeof(text), owner, TYPE_NSEC, INT32_MAX, bitmap,
				    (uint16_t)len), 0);
}
