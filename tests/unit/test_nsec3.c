/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>

#include "dataplane/answer/denial_key.h"
#include "dataplane/answer/nsec3.h"
#include "dataplane/answer/rrtype.h"

/* RFC 5155 appendix A. */
Test(nsec3, hashes)
{
	static const struct { const char *name, *label; } cases[] = {
		{ "example.", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom" },
		{ "a.example.", "35mthgpgcu1qg68fab165klnsnk3dpvl" },
		{ "ai.example.", "gjeqe526plbf1g8mklp59enfd789njgi" },
		{ "ns1.example.", "2t7b4g4vsa5smi47k61mv5bv1a22bojr" },
		{ "ns2.example.", "q04jkcevqvmu85r014c7dkba38o0ji5r" },
		{ "w.example.", "k8udemvp1j2f7eg6jebps17vp3n8i58h" },
		{ "*.w.example.", "r53bq7cc2uvmubfu5ocmm6pers9tk9en" },
		{ "x.w.example.", "b4um86eghhds6nea196smvmlo4ors995" },
		{ "y.w.example.", "ji6neoaepv8b5o6k4ev33abha8ht9fgc" },
		{ "x.y.w.example.", "2vptu5timamqttgl4luu9kg21e0aor3s" },
		{ "xx.example.", "t644ebqk9bibcna874givr6joj62mlhv" },
	};
	static const uint8_t param[] = { 1, 0, 0, 12, 4, 0xaa, 0xbb, 0xcc, 0xdd };
	struct nsec3_param p;

	cr_assert(nsec3_param_read(&p, param) && nsec3_same_chain(&p.chain, param));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t hash[NSEC3_HASH], label[1 + NSEC3_LABEL], back[NSEC3_HASH];
		struct name n;

		name_from_text(&n, cases[i].name);
		nsec3_hash(&p.chain, n.wire, n.len, hash);
		nsec3_encode(label, hash);
		cr_expect_eq(label[0], NSEC3_LABEL);
		cr_expect_eq(memcmp(label + 1, cases[i].label, NSEC3_LABEL), 0, "%s", cases[i].name);
		cr_expect(nsec3_decode(back, label) && memcmp(back, hash, NSEC3_HASH) == 0);
	}
}

Test(nsec3, labels_that_are_no_hash)
{
	static const char *const labels[] = { "\37" "0p9mhaveqvm6t7vbl5lop2u3t2rp3to", "\41" "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom0",
		"\40" "wp9mhaveqvm6t7vbl5lop2u3t2rp3tom", "\40" "0p9mhaveqvm6t7vbl5lop2u3t2rp3to/",
		"\40" "0p9mhaveqvm6t7vbl5lop2u3t2rp3to`", "" };
	static const uint8_t zero[NSEC3_HASH];

	for (unsigned i = 0; i < 6; i++) {
		uint8_t hash[NSEC3_HASH] = { 1 };

		cr_expect_not(nsec3_decode(hash, (const uint8_t *)labels[i]), "%u", i);
		cr_expect_eq(memcmp(hash, zero, NSEC3_HASH), 0);
	}
}

Test(nsec3, parameters)
{
	struct nsec3_param p;

	cr_expect_not(nsec3_param_read(&p, (const uint8_t[]){ 2, 0, 0, 0, 0 }));
	cr_assert(nsec3_param_read(&p, (const uint8_t[]){ 1, 0, 0, 1, 1, 7 }));
	cr_expect(nsec3_same_chain(&p.chain, (const uint8_t[]){ 1, 1, 0, 1, 1, 7 }), "flags do not count");
	cr_expect_not(nsec3_same_chain(&p.chain, (const uint8_t[]){ 1, 0, 0, 2, 1, 7 }));
	cr_expect_not(nsec3_same_chain(&p.chain, (const uint8_t[]){ 1, 0, 0, 1, 1, 8 }));
	cr_expect_not(nsec3_same_chain(&p.chain, (const uint8_t[]){ 1, 0, 0, 1, 0 }));
}

/* The key of a name is how name_key begins, so keys are in canonical order. */
Test(nsec3, keys)
{
	srandom(1);
	for (unsigned i = 0; i < 200000; i++) {
		uint8_t wire[64] = { 0 }, key[NAME_KEY_MAX], eight[8] = { 0 };
		unsigned labels = 1 + (unsigned)random() % 4, at = 0;

		for (unsigned l = 0; l < labels; l++) {
			wire[at] = (uint8_t)(1 + random() % 10);
			for (unsigned k = 1; k <= wire[at]; k++)
				wire[at + k] = (uint8_t)(random() % 4 ? 'a' + random() % 3 :
								   random() % 4 ? random() % 4 : random() % 256);
			at += 1u + wire[at];
		}
		size_t len = name_key(key, wire);

		memcpy(eight, key, len < 8 ? len : 8);
		cr_assert_eq(denial_name_key(wire, labels), denial_hash_key(eight));
	}
}
