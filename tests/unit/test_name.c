/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Domain names: reading, order, keys, text. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/answer/name.h"
#include "dataplane/answer/name_hash.h"

static uint64_t seed = 20240611;

static uint32_t rnd(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

/* random_name - a valid wire name, mostly of the octets that sort or fold oddly. */
static size_t random_name(uint8_t *wire)
{
	static const uint8_t odd[] = { 0, 1, 2, 0x3f, '@', 'A', 'Z', '[', 'a', 'z', '{', 0xc1, 0xff };
	size_t labels = rnd(6), at = 0;

	for (size_t i = 0; i < labels; i++) {
		size_t len = 1 + rnd(3);

		if (rnd(20) == 0)
			len = 1 + rnd(63);
		if (at + len + 2 > NAME_MAX_LEN)
			break;
		wire[at++] = (uint8_t)len;
		while (len-- > 0)
			wire[at++] = rnd(8) ? odd[rnd(sizeof(odd))] : (uint8_t)rnd(256);
	}
	wire[at++] = 0;
	return at;
}

static struct name text_name(const char *text)
{
	struct name n;

	cr_assert_eq(name_from_text(&n, text), 0, "%s", text);
	return n;
}

Test(name, read_folds_and_records_offsets)
{
	static const uint8_t wire[] = "\3WwW\7ExAmPlE\3c@M\0tail";
	struct name n;

	cr_assert_eq(name_read(&n, wire, 0, sizeof(wire)), 17);
	cr_assert_eq(n.len, 17);
	cr_assert_eq(n.labels, 3);
	cr_assert_arr_eq(n.wire, "\3www\7example\3c@m", 17);
	cr_assert_eq(n.off[0], 0);
	cr_assert_eq(n.off[1], 4);
	cr_assert_eq(n.off[2], 12);
	cr_assert_eq(n.off[3], 16);
	cr_assert_eq(name_suffix(&n, 3), 0);
	cr_assert_eq(name_suffix(&n, 1), 12);
	cr_assert_eq(name_suffix(&n, 0), 16);
}

Test(name, folding_is_of_ascii_letters_alone)
{
	for (int c = 0; c < 256; c++) {
		/* Eight octets at once and one by one. */
		for (uint8_t len = 1; len <= 20; len++) {
			uint8_t wire[22] = { len };
			struct name n;
			uint8_t want = (uint8_t)(c >= 'A' && c <= 'Z' ? c + 32 : c);

			memset(wire + 1, c, len);
			wire[len + 1] = 0;
			cr_assert_eq(name_fold((uint8_t)c), want);
			cr_assert_eq(name_read(&n, wire, 0, len + 2u), len + 2u);
			for (uint8_t i = 1; i <= len; i++)
				cr_assert_eq(n.wire[i], want);
			cr_assert_eq(n.wire[0], len);
			cr_assert_eq(n.wire[len + 1], 0);
		}
	}
}

Test(name, every_prefix_of_a_name_is_refused)
{
	for (int round = 0; round < 500; round++) {
		uint8_t wire[NAME_MAX_LEN];
		size_t len = random_name(wire);

		for (size_t cut = 0; cut <= len; cut++) {
			/* Of exactly its size, so that a sanitizer sees a read beyond it. */
			uint8_t *copy = malloc(cut + 1);
			struct name n;

			memcpy(copy + 1, wire, cut);
			size_t want = cut == len ? len + 1 : 0;

			cr_assert_eq(name_read(&n, copy, 1, cut + 1), want);
			cr_assert_eq(name_unpack(&n, copy, 1, cut + 1), want);
			cr_assert_eq(name_skip(copy, 1, cut + 1), want);
			cr_assert_eq(name_from_wire(&n, copy + 1, cut), cut == len ? len : 0);
			free(copy);
		}
	}
}

Test(name, limits)
{
	uint8_t wire[300];
	struct name n;

	/* 63 octets in a label, not 64. */
	memset(wire, 'a', sizeof(wire));
	wire[0] = 63;
	wire[64] = 0;
	cr_assert_eq(name_read(&n, wire, 0, sizeof(wire)), 65);
	wire[0] = 64;
	wire[65] = 0;
	cr_assert_eq(name_read(&n, wire, 0, sizeof(wire)), 0);
	cr_assert_eq(name_unpack(&n, wire, 0, sizeof(wire)), 0);
	cr_assert_eq(name_skip(wire, 0, sizeof(wire)), 0);

	/* 127 labels and 255 octets, not one more. */
	for (int i = 0; i < 300; i += 2) {
		wire[i] = 1;
		wire[i + 1] = 'a';
	}
	wire[254] = 0;
	cr_assert_eq(name_read(&n, wire, 0, sizeof(wire)), 255);
	cr_assert_eq(n.labels, 127);
	cr_assert_eq(n.off[127], 254);
	cr_assert_eq(name_unpack(&n, wire, 0, sizeof(wire)), 255);
	cr_assert_eq(n.labels, 127);
	cr_assert_eq(name_skip(wire, 0, sizeof(wire)), 255);
	cr_assert_eq(name_wire_labels(n.wire), 127);
	wire[254] = 1;
	wire[256] = 0;
	cr_assert_eq(name_read(&n, wire, 0, sizeof(wire)), 0);
	cr_assert_eq(name_unpack(&n, wire, 0, sizeof(wire)), 0);
	cr_assert_eq(name_skip(wire, 0, sizeof(wire)), 0);
	/* 256 octets whose last label is longer. */
	wire[252] = 2;
	wire[255] = 0;
	cr_assert_eq(name_read(&n, wire, 0, sizeof(wire)), 0);
	cr_assert_eq(name_unpack(&n, wire, 0, sizeof(wire)), 0);
	cr_assert_eq(name_skip(wire, 0, sizeof(wire)), 0);
}

Test(name, compressed)
{
	/*                            0           8       13    18 */
	static const uint8_t msg[] = "\7example\0\3WWW\300\0\1a\300\11\300\24";
	struct name n;

	cr_assert_eq(name_unpack(&n, msg, 9, 20), 15);
	cr_assert_arr_eq(n.wire, "\3www\7example", 13);
	cr_assert_eq(n.labels, 2);
	cr_assert_eq(name_unpack(&n, msg, 15, 20), 19);
	cr_assert_arr_eq(n.wire, "\1a\3www\7example", 15);
	cr_assert_eq(n.labels, 3);
	cr_assert_eq(n.off[2], 6);
	cr_assert_eq(name_skip(msg, 15, 20), 19);
	cr_assert_eq(name_skip(msg, 15, 18), 0);

	/* No question has a pointer. */
	cr_assert_eq(name_read(&n, msg, 9, 20), 0);

	/* To itself, forward, into its own labels, and past the end. */
	cr_assert_eq(name_unpack(&n, (const uint8_t *)"\300\0", 0, 2), 0);
	cr_assert_eq(name_unpack(&n, (const uint8_t *)"\300\2\0", 0, 3), 0);
	cr_assert_eq(name_unpack(&n, (const uint8_t *)"\1a\300\0", 0, 4), 0);
	cr_assert_eq(name_unpack(&n, (const uint8_t *)"\1a\300", 0, 3), 0);
	/* Pointers that lead back to their own sequence. */
	cr_assert_eq(name_unpack(&n, (const uint8_t *)"\1a\300\4\300\0", 4, 6), 0);
	/* Label types 0x40 and 0x80. */
	cr_assert_eq(name_unpack(&n, (const uint8_t *)"\100\0", 0, 2), 0);
	cr_assert_eq(name_unpack(&n, (const uint8_t *)"\200\0", 0, 2), 0);
	cr_assert_eq(name_skip((const uint8_t *)"\100\0", 0, 2), 0);
	cr_assert_eq(name_skip((const uint8_t *)"\200\0", 0, 2), 0);
}

Test(name, compressed_over_255_octets)
{
	uint8_t msg[400];
	struct name n;
	size_t at = 0;

	/* 192 octets and the root, then 60 in front of them: 253; then 64. */
	for (int i = 0; i < 3; i++) {
		msg[at] = 63;
		memset(msg + at + 1, 'x', 63);
		at += 64;
	}
	msg[at++] = 0;
	size_t first = at;

	msg[at++] = 59;
	memset(msg + at, 'y', 59);
	at += 59;
	msg[at++] = 0xc0;
	msg[at++] = 0;
	cr_assert_eq(name_unpack(&n, msg, first, at), at);
	cr_assert_eq(n.len, 253);
	msg[first] = 63;
	memset(msg + first + 1, 'y', 63);
	msg[first + 64] = 0xc0;
	msg[first + 65] = 0;
	cr_assert_eq(name_unpack(&n, msg, first, first + 66), 0);
}

Test(name, chains_of_pointers_are_bounded)
{
	uint8_t msg[2 * 200 + 1] = { 0 };
	struct name n;

	/* msg[0] is the root name; each pointer points at the one before. */
	for (unsigned i = 0; i < 200; i++) {
		msg[1 + 2 * i] = 0xc0 | (i ? (2 * i - 1) >> 8 : 0);
		msg[2 + 2 * i] = (uint8_t)(i ? 2 * i - 1 : 0);
	}
	cr_assert_eq(name_unpack(&n, msg, 1 + 2 * 126, sizeof(msg)), 3 + 2 * 126);
	cr_assert_eq(n.len, 1);
	cr_assert_eq(name_unpack(&n, msg, 1 + 2 * 127, sizeof(msg)), 0);
	cr_assert_eq(name_unpack(&n, msg, 1 + 2 * 199, sizeof(msg)), 0);
}

/* RFC 4034 section 6.1, in order. */
static const char *const canonical[] = {
	"example", "a.example", "yljkjljk.a.example", "Z.a.example", "zABC.a.EXAMPLE",
	"z.example", "\\001.z.example", "*.z.example", "\\200.z.example",
};

static int sign(int x)
{
	return (x > 0) - (x < 0);
}

static int key_cmp(const uint8_t *a, const uint8_t *b)
{
	uint8_t ka[NAME_KEY_MAX], kb[NAME_KEY_MAX];
	size_t la = name_key(ka, a), lb = name_key(kb, b);
	int order = memcmp(ka, kb, la < lb ? la : lb);

	cr_assert_leq(la, sizeof(ka));
	return order ? sign(order) : (la > lb) - (la < lb);
}

Test(name, canonical_order_of_rfc_4034)
{
	const int cnt = sizeof(canonical) / sizeof(canonical[0]);

	for (int i = 0; i < cnt; i++) {
		for (int j = 0; j < cnt; j++) {
			struct name a = text_name(canonical[i]), b = text_name(canonical[j]);

			cr_assert_eq(sign(name_cmp(a.wire, b.wire)), sign(i - j));
			cr_assert_eq(key_cmp(a.wire, b.wire), sign(i - j));
		}
	}
}

Test(name, key_order_is_canonical_order)
{
	int order_seen[3] = { 0 };

	for (int round = 0; round < 200000; round++) {
		uint8_t wire[NAME_MAX_LEN];
		struct name a, b;

		cr_assert_neq(name_from_wire(&a, wire, random_name(wire)), 0);
		cr_assert_neq(name_from_wire(&b, wire, random_name(wire)), 0);
		if (rnd(2) && a.labels > 0) {
			/* A close relative: one octet of it changed, or its parent. */
			b = a;
			if (rnd(2))
				name_from_wire(&b, a.wire + a.off[1], a.len);
			else
				b.wire[1] = (uint8_t)rnd(3);
		}
		int order = sign(name_cmp(a.wire, b.wire));

		cr_assert_eq(order, key_cmp(a.wire, b.wire));
		cr_assert_eq(order, -sign(name_cmp(b.wire, a.wire)));
		cr_assert_eq(order == 0, a.len == b.len && memcmp(a.wire, b.wire, a.len) == 0);
		order_seen[order + 1]++;
	}
	for (int i = 0; i < 3; i++)
		cr_assert_gt(order_seen[i], 1000);
}

Test(name, longest_key)
{
	uint8_t wire[NAME_MAX_LEN] = { 0 }, key[NAME_KEY_MAX];

	wire[0] = wire[64] = wire[128] = 63;
	wire[192] = 61;
	cr_assert_eq(name_wire_len(wire), 255);
	cr_assert_eq(name_key(key, wire), 2 * 250 + 4);
}

Test(name, within)
{
	struct name name = text_name("a.b.example"), up = text_name("b.example");
	struct name root = text_name("."), other = text_name("bb.example");
	/* Same octets at the end, but not at a label's start: \002b\007example is
	 * no ancestor of x\002b\007example in one label. */
	struct name trick = text_name("x\\001b\\007example");
	struct name tail = text_name("b.example");

	cr_assert(name_within(name.wire, up.wire));
	cr_assert(name_within(name.wire, name.wire));
	cr_assert(name_within(name.wire, root.wire));
	cr_assert(name_within(root.wire, root.wire));
	cr_assert_not(name_within(up.wire, name.wire));
	cr_assert_not(name_within(name.wire, other.wire));
	cr_assert_not(name_within(root.wire, name.wire));
	cr_assert_arr_eq(trick.wire + 2, tail.wire, tail.len);
	cr_assert_not(name_within(trick.wire, tail.wire));
}

Test(name, text)
{
	static const struct { const char *in, *out; } good[] = {
		{ ".", "." }, { "a", "a." }, { "A.Example.", "a.example." },
		{ "a\\.b.c", "a\\.b.c." }, { "\\097", "a." }, { "\\065", "a." },
		{ "\\000\\255", "\\000\\255." }, { "a\\ b", "a\\032b." }, { "\\@", "\\@." },
		{ "a@b", "a\\@b." }, { "*.x", "*.x." }, { "\\\\.x", "\\\\.x." },
		{ "_dns.$x", "_dns.\\$x." }, { "\\\"\\;\\(\\)", "\\\"\\;\\(\\)." },
	};
	static const char *const bad[] = {
		"", "..", ".a", "a..", "a..b", "\\", "\\25", "\\256", "\\2x5", "a b", "a\tb",
		"@", "\x80", "a\\\x01", "\"a\"", "a;b", "(a)", "a\\",
	};
	char text[NAME_TEXT_MAX];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct name n = text_name(good[i].in);

		cr_assert_str_eq(name_to_text(text, n.wire), good[i].out);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct name n;

		cr_assert_eq(name_from_text(&n, bad[i]), -EINVAL, "%s", bad[i]);
	}
}

Test(name, text_limits)
{
	char text[600];
	struct name n;

	memset(text, 'a', 64);
	text[63] = '\0';
	cr_assert_eq(name_from_text(&n, text), 0);
	text[63] = 'a';
	text[64] = '\0';
	cr_assert_eq(name_from_text(&n, text), -EINVAL);

	/* 127 one-octet labels fill 255 octets; a label or an octet more does not fit. */
	for (int i = 0; i < 256; i++)
		text[i] = i % 2 ? '.' : 'a';
	text[253] = '\0';
	cr_assert_eq(name_from_text(&n, text), 0);
	cr_assert_eq(n.len, 255);
	cr_assert_eq(n.labels, 127);
	text[253] = '.';
	text[254] = '\0';
	cr_assert_eq(name_from_text(&n, text), 0);
	text[254] = 'a';
	text[255] = '\0';
	cr_assert_eq(name_from_text(&n, text), -EINVAL);
	strcpy(text + 252, "aa");
	cr_assert_eq(name_from_text(&n, text), -EINVAL);
}

Test(name, text_round_trip)
{
	char text[NAME_TEXT_MAX];

	for (int round = 0; round < 20000; round++) {
		uint8_t wire[NAME_MAX_LEN];
		struct name n, back;

		name_from_wire(&n, wire, random_name(wire));
		name_to_text(text, n.wire);
		cr_assert_lt(strlen(text), sizeof(text));
		cr_assert_eq(name_from_text(&back, text), 0, "%s", text);
		cr_assert_eq(back.len, n.len);
		cr_assert_arr_eq(back.wire, n.wire, n.len);
		cr_assert_eq(back.labels, n.labels);
		cr_assert_arr_eq(back.off, n.off, n.labels + 1u);
	}

	/* The longest text there is. */
	uint8_t wire[NAME_MAX_LEN] = { 0 };

	wire[0] = wire[64] = wire[128] = 63;
	wire[192] = 61;
	cr_assert_eq(strlen(name_to_text(text, wire)), 4 * 250 + 4);
}

Test(name, text_mutations_do_no_harm)
{
	char text[64];
	struct name n;
	int good = 0;

	for (int round = 0; round < 50000; round++) {
		strcpy(text, "a\\001b.\\.c.Example.ORG.");
		for (uint32_t i = 0, changes = 1 + rnd(3); i < changes; i++)
			text[rnd(23)] = (char)rnd(256);
		if (name_from_text(&n, text) == 0) {
			cr_assert_eq(name_wire_len(n.wire), n.len);
			good++;
		}
	}
	cr_assert(good > 1000 && good < 49000);
}

Test(name, hash_depends_on_every_octet_and_on_the_secret)
{
	uint8_t secret[ARENA_SECRET], other[ARENA_SECRET], wire[NAME_MAX_LEN];

	for (size_t i = 0; i < sizeof(secret); i++) {
		secret[i] = (uint8_t)rnd(256);
		other[i] = (uint8_t)rnd(256);
	}
	for (size_t len = 1; len <= NAME_MAX_LEN; len += 1 + len / 8) {
		for (size_t i = 0; i < len; i++)
			wire[i] = (uint8_t)rnd(256);
		uint64_t hash = name_hash(secret, wire, len);

		for (size_t i = 0; i < len; i++) {
			wire[i] ^= 1;
			cr_assert_neq(name_hash(secret, wire, len), hash);
			wire[i] ^= 1;
		}
		cr_assert_neq(name_hash(other, wire, len), hash);
		cr_assert_eq(name_hash(secret, wire, len), hash);
	}
}
