/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>
#include <errno.h>

#include "control/zone/dnssec_check.h"
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
