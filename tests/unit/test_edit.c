/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes of RRsets from text to what a transaction takes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/zone/edit.h"
#include "dataplane/answer/rrtype.h"

static char told[4096];

static void on_fault(void *arg, const char *text)
{
	(void)arg;
	if (!told[0])
		snprintf(told, sizeof(told), "%s", text);
}

static bool known(void *arg, const struct name *apex)
{
	char text[NAME_TEXT_MAX];

	(void)arg;
	name_to_text(text, apex->wire);
	return strcmp(text, "z.") == 0 || strcmp(text, "y.") == 0;
}

static int add(struct edit *e, const char *text)
{
	told[0] = '\0';
	return edit_add(e, text, strlen(text), known, NULL, on_fault, NULL);
}

/* What the operations on zone number `zone` come to, as "OWNER TYPE COUNT;" each. */
static const char *come_to(const struct edit *e, size_t zone)
{
	static char out[4096];
	struct edit_changes c;
	char owner[NAME_TEXT_MAX], type[16];
	size_t len = 0;

	cr_assert_eq(edit_reduce(&e->zone[zone]->ops, &c), 0);
	out[0] = '\0';
	for (size_t i = 0; i < c.cnt; i++) {
		cr_assert(c.line[i] > 0);
		for (size_t k = 0; k < c.change[i].rr_cnt; k++)
			cr_assert_eq(c.change[i].rr[k].type, c.change[i].type);
		len += (size_t)snprintf(out + len, sizeof(out) - len, "%s %s %zu;",
					name_to_text(owner, c.change[i].owner),
					rrtype_name(type, c.change[i].type), c.change[i].rr_cnt);
	}
	edit_changes_free(&c);
	return out;
}

Test(edit, order_decides)
{
	static const struct { const char *text, *wanted; } cases[] = {
		{ "zone z\nset a 1 A 1.1.1.1\nset A.z. 1 IN A 1.1.1.2\n", "a.z. A 2;" },
		{ "zone z\nset b 1 A 1.1.1.1\nset a.b 1 A 1.1.1.2\nset @ 1 TXT x", "z. TXT 1;b.z. A 1;a.b.z. A 1;" },
		{ "zone z\nset a 1 A 1.1.1.1\nunset a A\n", "a.z. A 0;" },
		{ "zone z\nunset a A\nset a 1 A 1.1.1.1\n", "a.z. A 1;" },
		{ "zone z\nset a 1 A 1.1.1.1\nunset a A\nset a 1 A 1.1.1.1\n", "a.z. A 1;" },
		{ "zone z\nunset a\nset a 1 AAAA ::1\n", "a.z. ANY 0;a.z. AAAA 1;" },
		{ "zone z\nset a 1 AAAA ::1\nunset a\n", "a.z. ANY 0;" },
		{ "zone z\nset a 1 AAAA ::1\nunset a\nset a 1 TXT x\nset a 1 TXT y\nunset a MX\n",
		  "a.z. ANY 0;a.z. TXT 2;" },
		{ "zone z ; z\n\n# x\n; y\n  set a 1 A 1.1.1.1 ; c\r\n\tunset  b\tAAAA ;x y\n", "a.z. A 1;b.z. AAAA 0;" },
		{ "zone z\nunset @ MX\nunset a\\.\nunset a\\\\.\n", "z. MX 0;a\\..z. ANY 0;a\\\\. ANY 0;" },
		{ "zone z\nset a 1 TYPE65280 \\# 1 00\nunset b TYPE65280\n", "a.z. TYPE65280 1;b.z. TYPE65280 0;" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct edit *e = edit_new("s", 1);
		int error = add(e, cases[i].text);

		if (strstr(cases[i].text, "a\\\\.\n")) {
			cr_assert_eq(error, -EINVAL); /* `a\\.' ends with a dot of its own */
			cr_assert_str_eq(told, "s:4: a\\\\. is outside the zone");
		} else {
			cr_assert_eq(error, 0, "%zu: %s", i, told);
			cr_assert_str_eq(come_to(e, 0), cases[i].wanted);
		}
		edit_free(e);
	}
}

Test(edit, faults_name_their_line)
{
	static const struct { const char *text, *wanted; } cases[] = {
		{ "set a 1 A 1.1.1.1\n", "s:7: no zone was named before" },
		{ "zone x\n", "s:7: there is no zone x." },
		{ "zone\n", "s:7: `' is no domain name" },
		{ "zone z y\n", "s:7: zone: more than a name" },
		{ "zone z\nsett\n", "s:8: `sett' is neither zone nor set nor unset" },
		{ "zone z\nset\n", "s:8: set: a record is missing" },
		{ "zone z\nset ; a\n", "s:8: set: a record is missing" },
		{ "zone z\nset $TTL 1\n", "s:8: set: a record is wanted, no directive" },
		{ "zone z\nset a A 1.1.1.1\n", "s:8: no TTL" },
		{ "zone z\nset a 1 A 1.1.1.1\nset b 1 A 1.1.1\nset c 1 A 1.1.1.1\n",
		  "s:9: invalid IPv4 address near \"1.1.1\"" },
		{ "zone z\nset a.y. 1 A 1.1.1.1\n", "s:8: a.y. is outside the zone" },
		{ "zone z\nset a 1 A (\nset b 1 A 1.1.1.1 )\n", "s:9: invalid address character near \"b\"" },
		{ "zone z\nset a 1 TXT (x\nunset b\nset y )\n", "s:8: a record must end on its line" },
		{ "zone z\nset a 1 TYPE41 \\# 0\n", "s:8: OPT: a meta-type is never data in a zone (RFC 6895 section 3.1)" },
		{ "zone z\nunset\n", "s:8: `' is no domain name" },
		{ "zone z\nunset a..b\n", "s:8: `a..b' is no domain name" },
		{ "zone z\nunset a.y.\n", "s:8: a.y. is outside the zone" },
		{ "zone z\nunset a FOO\n", "s:8: `FOO' is no record type" },
		{ "zone z\nunset a ANY\n", "s:8: `ANY' is no record type" },
		{ "zone z\nunset a A A\n", "s:8: unset: more than a name and a type" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct edit *e = edit_new("s", 7);

		cr_assert_eq(add(e, cases[i].text), -EINVAL, "%s told %s", cases[i].text, told);
		cr_assert(strncmp(told, cases[i].wanted, strlen(cases[i].wanted)) == 0, "%s: %s",
			  cases[i].text, told);
		edit_free(e);
	}
}

/* In pieces: the zone that was named holds, and lines are counted on. */
Test(edit, pieces)
{
	struct edit *e = edit_new("s", 1);

	cr_assert_eq(add(e, "zone z\nset a 1 A 1.1.1.1\n"), 0);
	cr_assert_eq(add(e, "set a 1 A 1.1.1.2\nzone y\nset a 1 A 1.1.1.1\nzone z\nunset b\n"), 0);
	cr_assert_eq(e->zone_cnt, 2);
	cr_assert_str_eq(come_to(e, 0), "a.y. A 1;");
	cr_assert_str_eq(come_to(e, 1), "a.z. A 2;b.z. ANY 0;");
	cr_assert(edit_octets(e) > sizeof(*e));
	cr_assert_eq(add(e, "set a 1 A 1\n"), -EINVAL);
	cr_assert(strncmp(told, "s:8: ", 5) == 0, "%s", told);
	edit_free(e);
}

/* Many names in any order, against canonical order. */
Test(edit, sorted)
{
	struct edit *e = edit_new("s", 1);
	struct edit_changes c;
	char text[64];

	srand(7);
	cr_assert_eq(add(e, "zone z\n"), 0);
	for (int i = 0; i < 3000; i++) {
		snprintf(text, sizeof(text), rand() % 5 ? "set n%d.m%d 1 %s\n" : "unset n%d.m%d %.1s\n",
			 rand() % 40, rand() % 10, rand() % 2 ? "A 1.1.1.1" : "TXT x");
		if (strstr(text, "unset") && strstr(text, " T"))
			strcpy(strstr(text, " T"), " TXT\n");
		cr_assert_eq(add(e, text), 0, "%s: %s", text, told);
	}
	cr_assert_eq(edit_reduce(&e->zone[0]->ops, &c), 0);
	cr_assert(c.cnt > 300 && c.cnt <= 800, "%zu", c.cnt);
	for (size_t i = 1; i < c.cnt; i++) {
		int order = name_cmp(c.change[i - 1].owner, c.change[i].owner);

		cr_assert(order < 0 || (order == 0 && c.change[i - 1].type < c.change[i].type));
	}
	edit_changes_free(&c);
	edit_free(e);
}

/* Whatever comes, in whole or in part, is taken or refused. */
Test(edit, any_octets, .timeout = 120)
{
	static const char good[] = "zone z\nset a 300 A 192.0.2.1\nset \"b c\" 1 TXT \"x\\\"y\" ( z )\n"
		"unset d\\.e MX\nunset @\nset a 1 SVCB 1 . alpn=h2\nzone y\nset *.x 0 CNAME @\n";
	char text[sizeof(good)];

	srand(11);
	for (size_t len = 0; len < sizeof(good); len++) {
		struct edit *e = edit_new("s", 1);

		edit_add(e, good, len, known, NULL, on_fault, NULL);
		edit_free(e);
	}
	for (int round = 0; round < 5000; round++) { /* fuzz_edit goes on from here */
		struct edit *e = edit_new("s", 1);

		memcpy(text, good, sizeof(good));
		for (int i = rand() % 4; i >= 0; i--)
			text[(size_t)rand() % (sizeof(good) - 1)] = (char)(rand() % 3 ? "\n\t ()\"\\;$@.#"[rand() % 12] : rand());
		if (edit_add(e, text, sizeof(good) - 1, known, NULL, on_fault, NULL) == 0)
			for (size_t z = 0; z < e->zone_cnt; z++) {
				struct edit_changes c;

				cr_assert_eq(edit_reduce(&e->zone[z]->ops, &c), 0);
				edit_changes_free(&c);
			}
		edit_free(e);
	}
}

/* The records of a zone, as "OWNER TYPE TTL;" each. */
static const char *listed(const struct records *rs)
{
	static char out[4096];
	char owner[NAME_TEXT_MAX], type[16];
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < rs->cnt; i++)
		len += (size_t)snprintf(out + len, sizeof(out) - len, "%s %s %u;",
					name_to_text(owner, rs->rr[i].owner),
					rrtype_name(type, rs->rr[i].type), rs->rr[i].ttl);
	return out;
}

Test(edit, changes_made_in_records)
{
	static const char zone[] = "@ 9 SOA a a 1 2 3 4 5\n@ 9 NS a\na 9 A 1.1.1.1\na 9 A 1.1.1.2\na 9 TXT x\n"
				   "b 9 A 1.1.1.1\nz 9 TXT x\n";
	static const struct { const char *text, *wanted; } cases[] = {
		{ "", "z. NS 9;z. SOA 9;a.z. A 9;a.z. A 9;a.z. TXT 9;b.z. A 9;z.z. TXT 9;" },
		{ "set a 1 A 1.1.1.3\n", "z. NS 9;z. SOA 9;a.z. A 1;a.z. TXT 9;b.z. A 9;z.z. TXT 9;" },
		{ "unset a A\nunset z\nunset none\n", "z. NS 9;z. SOA 9;a.z. TXT 9;b.z. A 9;" },
		{ "unset a\nset a 1 MX 1 a\nset @ 1 SOA a a 2 2 3 4 5\n",
		  "z. NS 9;z. SOA 1;a.z. MX 1;b.z. A 9;z.z. TXT 9;" },
		{ "set 0 1 A 1.1.1.1\nset x.y 1 A 1.1.1.1\nset zz 1 A 1.1.1.1\nunset b AAAA\n",
		  "z. NS 9;z. SOA 9;0.z. A 1;a.z. A 9;a.z. A 9;a.z. TXT 9;b.z. A 9;x.y.z. A 1;z.z. TXT 9;zz.z. A 1;" },
	};
	struct name apex;

	name_from_text(&apex, "z");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct edit *e = edit_new("s", 1);
		struct edit_changes c;
		struct records rs;

		records_init(&rs);
		cr_assert_eq(zonefile_read_text(&rs, &apex, zone, strlen(zone), "f", on_fault, NULL), 0);
		cr_assert_eq(add(e, "zone z\n"), 0);
		cr_assert_eq(add(e, cases[i].text), 0, "%s", told);
		cr_assert_eq(edit_reduce(&e->zone[0]->ops, &c), 0);
		cr_assert_eq(edit_changes_make(&c, &rs), 0);
		cr_assert_str_eq(listed(&rs), cases[i].wanted, "%zu: %s", i, listed(&rs));
		edit_changes_free(&c);
		records_free(&rs);
		edit_free(e);
	}
}
