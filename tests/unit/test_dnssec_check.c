/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>
#include <errno.h>

#include "control/zone/dnssec_check.h"
#include "dataplane/answer/nsec3.h"
#include "signed.h"

static char told[1 << 14];

static void on_fault(void *arg, const char *text)
{
	(void)arg;
	cr_assert(strlen(told) + strlen(text) + 2 < sizeof(told));
	strcat(strcat(told, text), "\n");
}

static char zone[1 << 16];

static void read_zone(const char *file)
{
	static char path[4096];

	snprintf(path, sizeof(path), TEST_ZONES "/%s.zone", file);
	FILE *f = fopen(path, "r");

	cr_assert(f, "%s", path);
	zone[fread(zone, 1, sizeof(zone) - 1, f)] = 0;
	fclose(f);
}

static int check_text(const char *text, unsigned max, bool warn, const char *file)
{
	struct records rs;
	struct name apex;

	told[0] = 0;
	records_init(&rs);
	name_from_text(&apex, "example.");
	cr_assert_eq(zonefile_read_text(&rs, &apex, text, strlen(text), "z", lab_report, NULL), 0);
	int err = dnssec_check(&rs, &apex, max, warn, on_fault, NULL, file);

	records_free(&rs);
	cr_assert_eq(err != 0, told[0] != 0, "%d: %s", err, told);
	return err;
}

static const char *const good[] = { "rfc4035", "rfc5155", "mixed-nsec", "mixed-nsec3", "mixed-optout" };

Test(dnssec_check, good_zones)
{
	for (unsigned i = 0; i < 5; i++) {
		read_zone(good[i]);
		cr_assert_eq(check_text(zone, 100, false, NULL), 0, "%s: %s", good[i], told);
	}
	cr_assert_eq(check_text(sample_zone, 100, false, NULL), 0, "an unsigned zone");
	cr_assert_eq(check_text("$TTL 60\n@ SOA . . 1 1 1 1 1\n@ NS .\n@ DNAME other.\n@ NSEC3PARAM 1 0 0 -\nx TXT occluded\n"
				"3msev9usmd4br9s97v51r2tdvmr9iqo1 NSEC3 1 0 0 - 3msev9usmd4br9s97v51r2tdvmr9iqo1 "
				"NS SOA DNAME NSEC3PARAM\n", 100, false, NULL), 0, "a DNAME at the apex: %s", told);
}

/* The zone without its line `at`, or with the line twice as another owner's. */
static void without_line(char *out, const char *at)
{
	size_t before = (size_t)(at - zone);
	const char *end = strchr(at, '\n') + 1;

	memcpy(out, zone, before);
	strcpy(out + before, end);
}

static bool line_has(const char *at, const char *word)
{
	size_t len = strcspn(at, "\n");

	return memmem(at, len, word, strlen(word)) != NULL;
}

/* Whichever denial record is missing, the gap is found; whichever name comes or goes, too. */
Test(dnssec_check, every_record_counts)
{
	static char cut[1 << 16];
	unsigned proofs = 0, types = 0;

	for (unsigned i = 0; i < 5; i++) {
		read_zone(good[i]);
		for (const char *at = zone; *at; at = strchr(at, '\n') + 1) {
			if (line_has(at, "RRSIG N") || line_has(at, "NSEC3PARAM"))
				continue;
			if (line_has(at, " NSEC ") || line_has(at, " NSEC3 ")) {
				without_line(cut, at);
				cr_expect_eq(check_text(cut, 100, false, NULL), -EINVAL, "%s: %.100s", good[i], at);
				proofs++;
			} else if (line_has(at, " IN TXT ") || line_has(at, " IN CNAME ") || line_has(at, " IN DS ") ||
				   line_has(at, " IN HINFO ")) {
				without_line(cut, at);
				cr_expect_eq(check_text(cut, 100, false, NULL), -EINVAL, "%s: %.100s", good[i], at);
				types++;
			}
		}
		strcat(strcpy(cut, zone), "new 60 TXT \"new\"\n");
		cr_expect_eq(check_text(cut, 100, false, NULL), -EINVAL, "%s", good[i]);
		strcat(strcpy(cut, zone), "new 60 NS ns.elsewhere.test.\n");
		bool optout = i == 1 || i == 4;

		cr_expect_eq(check_text(cut, 100, false, NULL), optout ? 0 : -EINVAL, "%s: %s", good[i], told);
	}
	cr_assert(proofs > 50 && types > 20, "%u, %u", proofs, types);
}

static void expect(const char *file, const char *drop, const char *add, unsigned max, const char *want)
{
	static char text[1 << 16], *at;

	read_zone(file);
	strcpy(text, zone);
	if (drop) {
		at = strstr(zone, drop);
		cr_assert(at, "%s", drop);
		without_line(text, at);
	}
	strcat(text, add);
	check_text(text, max, false, NULL);
	cr_expect_str_eq(told, want, "got %s", told);
}

Test(dnssec_check, what_it_says)
{
	expect("rfc4035", "ns2.example. 3600 IN NSEC ", "", 100,
	       "example.: ns2.example.: no NSEC\n");
	expect("rfc4035", "ns2.example. 3600 IN NSEC ", "ns2 NSEC xx NS RRSIG NSEC\n", 100,
	       "example.: ns2.example.: NSEC does not list A\n"
	       "example.: ns2.example.: NSEC leads to xx.example., but the next name is *.w.example.\n");
	expect("rfc4035", NULL, "ns1.a NSEC ns2.a A\n", 100,
	       "example.: ns1.a.example.: NSEC at a name that is not authoritative\n");
	expect("rfc4035", NULL, "ai TXT new\n", 100, "example.: ai.example.: NSEC does not list TXT\n");
	expect("rfc5155", NULL, "new TXT new\n", 100, "example.: new.example.: no NSEC3\n");
	expect("rfc5155", NULL, "", 11,
	       "example.: NSEC3PARAM: 12 iterations are more than nsec3-iterations-max, 11: this chain is not served\n");
	expect("rfc5155", "example. 0 IN NSEC3PARAM", "", 100,
	       "example.: NSEC3 records, but no NSEC3PARAM says that they are complete\n");
	expect("rfc5155", NULL, "@ NSEC3PARAM 1 0 0 -\n", 100,
	       "example.: NSEC3PARAM: its chain is not closed, or there is none\n");
	expect("rfc5155", NULL, "@ NSEC3PARAM 7 0 0 -\n", 100,
	       "example.: NSEC3PARAM: hash algorithm 7 is unknown\n");
}

Test(dnssec_check, where_and_how_loud)
{
	read_zone("rfc4035");
	strcat(zone, "ai TXT new\n");
	cr_assert_eq(check_text(zone, 100, true, "some/file"), -EINVAL);
	cr_assert(strstr(told, "some/file:") == told && strstr(told, ": warning: ai.example.: NSEC does not list TXT"),
		  "%s", told);

	/* A new name a line: no more than ZONEFILE_ERRORS are told. */
	for (unsigned i = 0; i < 100; i++)
		sprintf(zone + strlen(zone), "n%u TXT x\n", i);
	cr_assert_eq(check_text(zone, 100, false, NULL), -EINVAL);

	unsigned lines = 0;

	for (const char *p = told; (p = strchr(p, '\n')); p++)
		lines++;
	cr_assert_eq(lines, ZONEFILE_ERRORS + 1);
	cr_assert(strstr(told, "too many errors\n"));
}

/* Where an NSEC3PARAM lists a chain with a gap and the NSEC chain is whole, that is served, and that is
 * checked; and names are hashed for none.  Where that has a gap, too, it is the other. */
Test(dnssec_check, what_is_checked_is_what_is_served)
{
	static const char both[] =
		"$TTL 60\n@ SOA . . 1 1 1 1 1\n@ NS .\n@ NSEC3PARAM 1 0 0 -\n@ NSEC A NS SOA NSEC NSEC3PARAM\n"
		"a A 192.0.2.1\na NSEC cut A NSEC\ncut NS ns.cut\ncut NSEC d NS NSEC\nns.cut A 192.0.2.2\n"
		"d DNAME a\nd NSEC @ DNAME NSEC\nx.d TXT x\n"
		"3msev9usmd4br9s97v51r2tdvmr9iqo1 NSEC3 1 0 0 - 4msev9usmd4br9s97v51r2tdvmr9iqo1 NS SOA\n";
	static const char broken[] = "example.: NSEC3PARAM: its chain is not closed, or there is none\n";
	static const char gap[] = "example.: 3msev9usmd4br9s97v51r2tdvmr9iqo1.example.: "
		"NSEC3 does not lead to the next record, 3msev9usmd4br9s97v51r2tdvmr9iqo1.example.\n";
	static const char occluded[] = "ns.cut NSEC a A\nx.d NSEC a A\n";

	for (unsigned i = 0; i < 3; i++) {
		uint8_t msg[512], out[4096];
		struct lab lab;

		snprintf(zone, sizeof(zone), "%s%s", both, i == 2 ? "b TXT x\nb NSEC zz TXT NSEC\n" : i ? occluded : "");
		check_text(zone, 100, false, NULL);
		if (i == 0)
			cr_expect_str_eq(told, broken, "%s", told);
		if (i == 1)
			cr_expect(strstr(told, "x.d.example.: NSEC at a name that is not authoritative"), "%s", told);
		if (i == 2)
			cr_expect_str_eq(told, gap, "%s", told);
		lab_open(&lab);
		lab_put(&lab, "example.", zone);
		cr_expect_not(db_rehash(lab.db), "%u", i);

		size_t len = question(msg, "nothing.example.", TYPE_A, 4096);

		msg[len - 4] = 0x80;
		len = answer_in(&lab, msg, len, TRANSPORT_TCP, 4096, out);
		cr_expect(strstr(answer_text(out, len), i == 2 ? "IN NSEC3 " : "IN NSEC "), "%u: %s", i, answer_text(out, len));
		db_destroy(lab.db);
	}
}

/* ---- transactions ---- */

/* The names of a zone that changes, their types and their records. */
static const struct {
	const char *name, *types, *records;
} pool[] = {
	{ "a", "A", "A 192.0.2.1" }, { "b", "TXT", "TXT x" }, { "m.ent", "A", "A 192.0.2.1" }, { "n.ent", "A", "A 192.0.2.2" },
	{ "x.y.z.deep", "A", "A 192.0.2.1" }, { "*.w", "TXT", "TXT x" }, { "ins", "NS", "NS ns.elsewhere." },
	{ "ins.ent", "NS", "NS ns.elsewhere." }, { "q.below", "NS", "NS ns.elsewhere." },
	{ "r.below", "NS", "NS ns.elsewhere." }, { "sec", "DS NS", "DS 1 8 2 "
	  "0000000000000000000000000000000000000000000000000000000000000000\nsec NS ns.elsewhere." },
	{ "d", "DNAME", "DNAME a" }, { "h.d", "TXT", "TXT occluded" }, { "zz", "A", "A 192.0.2.1" },
};
#define POOL (sizeof(pool) / sizeof(pool[0]))

static bool insecure(unsigned i)
{
	return pool[i].records[0] == 'N';
}

enum proof { PROOF_NSEC, PROOF_NSEC3, PROOF_OPTOUT, PROOFS };

/* An owner of a denial record: what is sorted, and its text. */
struct proof_owner {
	uint8_t key[NAME_KEY_MAX];
	size_t len;
	char text[64];
	const char *types;
};

static int by_key(const void *a, const void *b)
{
	const struct proof_owner *x = a, *y = b;
	int order = memcmp(x->key, y->key, x->len < y->len ? x->len : y->len);

	return order ? order : x->len < y->len ? -1 : x->len > y->len;
}

static void add_owner(struct proof_owner *o, const char *label, const char *types, enum proof proof)
{
	static const uint8_t param[] = { NSEC3_SHA1, 0, 0, 0, 0 };
	struct nsec3_param p;
	struct name n;
	char text[64];

	snprintf(text, sizeof(text), "%s%sexample.", label, *label ? "." : "");
	cr_assert_eq(name_from_text(&n, text), 0);
	strcpy(o->text, text);
	o->types = types;
	o->len = name_key(o->key, n.wire);
	if (proof == PROOF_NSEC)
		return;
	uint8_t hash[NSEC3_HASH], encoded[1 + NSEC3_LABEL];

	cr_assert(nsec3_param_read(&p, param));
	nsec3_hash(&p.chain, n.wire, n.len, hash);
	memcpy(o->key, hash, o->len = NSEC3_HASH);
	nsec3_encode(encoded, hash);
	snprintf(o->text, sizeof(o->text), "%.32s", (const char *)encoded + 1);
}

/* A zone with names of the pool and a chain that is closed: with all records that it must have or, at
 * times, without some. */
static void random_zone(char *text, enum proof proof)
{
	struct proof_owner owner[3 * POOL];
	bool there[POOL], lossy = random() % 2;
	char *p = text;
	unsigned cnt = 1;

	p += sprintf(p, "$TTL 60\n@ SOA . . 1 1 1 1 1\n@ NS .\n%s", proof ? "@ NSEC3PARAM 1 0 0 -\n" : "");
	add_owner(&owner[0], "", proof ? "NS SOA NSEC3PARAM" : "NS SOA", proof);
	for (unsigned i = 0; i < POOL; i++) {
		bool occluded = !strcmp(pool[i].name, "h.d");

		there[i] = random() % 2 && (!occluded || there[i - 1]);
		if (there[i])
			p += sprintf(p, "%s %s\n", pool[i].name, pool[i].records);
		if (!there[i] || occluded)
			continue;
		bool may_lack = proof == PROOF_OPTOUT && insecure(i);

		if (!(lossy && random() % 12 == 0) && !(may_lack && random() % 2))
			add_owner(&owner[cnt++], pool[i].name, pool[i].types, proof);
	}
	/* Empty non-terminals. */
	static const struct { const char *name; uint16_t of; } ents[] = {
		{ "ent", 1 << 2 | 1 << 3 | 1 << 7 }, { "deep", 1 << 4 }, { "z.deep", 1 << 4 },
		{ "y.z.deep", 1 << 4 }, { "w", 1 << 5 }, { "below", 1 << 8 | 1 << 9 },
	};

	for (unsigned k = 0; proof && k < sizeof(ents) / sizeof(ents[0]); k++) {
		bool any = false, secure = false;

		for (unsigned i = 0; i < POOL; i++) {
			any |= there[i] && ents[k].of >> i & 1;
			secure |= there[i] && ents[k].of >> i & 1 && !insecure(i);
		}
		if (any && !(lossy && random() % 12 == 0) &&
		    !(proof == PROOF_OPTOUT && !secure && random() % 2))
			add_owner(&owner[cnt++], ents[k].name, "", proof);
	}
	qsort(owner, cnt, sizeof(owner[0]), by_key);
	for (unsigned i = 0; i < cnt; i++) {
		p += sprintf(p, "%s ", owner[i].text);
		p += proof ? sprintf(p, "NSEC3 1 %u 0 - ", proof == PROOF_OPTOUT) : sprintf(p, "NSEC ");
		p += sprintf(p, "%s %s%s\n", owner[(i + 1) % cnt].text, owner[i].types, proof ? "" : " NSEC");
	}
}

static int by_owner(const void *a, const void *b)
{
	const struct rrset_change *x = a, *y = b;
	int order = name_cmp(x->owner, y->owner);

	return order ? order : (x->type > y->type) - (x->type < y->type);
}

/* The RRsets of a zone but the SOA; `away`: as they go. */
static size_t rrsets(const struct records *rs, struct rrset_change *c, bool away)
{
	size_t cnt = 0;

	for (size_t i = 0, n; i < rs->cnt; i += n) {
		const struct record *rr = &rs->rr[i];

		for (n = 1; i + n < rs->cnt && rr[n].type == rr->type && name_cmp(rr[n].owner, rr->owner) == 0; n++)
			;
		if (rr->type != TYPE_SOA)
			c[cnt++] = (struct rrset_change){ .owner = rr->owner, .type = rr->type, .rr = away ? NULL : rr,
							  .rr_cnt = away ? 0 : n };
	}
	return cnt;
}

/* From one version of a zone to another by a transaction: it is told when, and only when, what the
 * check of the whole finds is a gap or a name without its record. */
Test(dnssec_check, transactions_are_judged_alike)
{
	static char now[1 << 14], then[1 << 14];
	unsigned refused = 0, taken = 0;
	struct name apex;
	struct lab lab;

	name_from_text(&apex, "example.");
	srandom(1);
	for (unsigned proof = 0; proof < PROOFS; proof++) {
		now[0] = 0;
		for (unsigned round = 0; round < 1000; round++) {
			random_zone(then, proof);
			bool bad = check_text(then, 100, false, NULL) != 0;

			if (!now[0]) {
				if (bad)
					continue;
				lab_open(&lab);
				lab_put(&lab, "example.", strcpy(now, then));
			}
			struct rrset_change change[400];
			struct records from, to;
			struct name name, next;
			uint64_t version;

			records_init(&from);
			records_init(&to);
			cr_assert_eq(zonefile_read_text(&from, &apex, now, strlen(now), "z", lab_report, NULL), 0);
			cr_assert_eq(zonefile_read_text(&to, &apex, then, strlen(then), "z", lab_report, NULL), 0);
			size_t cnt = rrsets(&to, change, false), all = cnt;
			struct rrset_change gone[200];

			for (size_t i = rrsets(&from, gone, true); i-- > 0;) {
				size_t k = 0;

				while (k < cnt && by_owner(&gone[i], &change[k]))
					k++;
				if (k == cnt)
					change[all++] = gone[i];
			}
			qsort(change, all, sizeof(change[0]), by_owner);
			struct txn *t = db_begin(lab.db);

			cr_assert_eq(txn_change(t, &apex, change, all, NULL, NULL), 0);
			cr_assert_not(txn_denial_gap(t, &apex, &name, &next));
			int lacks = txn_denial_lacks(t, &apex, &name);

			cr_assert_eq(lacks, bad, "%u, %u: %d, %s\nfrom:\n%s\nto:\n%s", proof, round, lacks, told, now, then);
			if (lacks) {
				char text[NAME_TEXT_MAX], want[NAME_TEXT_MAX + 16];

				snprintf(want, sizeof(want), "example.: %s: no NSEC", name_to_text(text, name.wire));
				cr_assert(strstr(told, want), "%s\n%s", want, told);
				txn_abort(t);
				refused++;
			} else {
				cr_assert_eq(txn_commit(t, &version), 0);
				strcpy(now, then);
				taken++;
			}
			records_free(&from);
			records_free(&to);
			while (db_reclaim(lab.db))
				;
		}
		db_destroy(lab.db);
	}
	cr_assert(refused > 500 && taken > 500, "%u, %u", refused, taken);
}
