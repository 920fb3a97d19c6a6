/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the durable store gives back. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "control/zone/edit.h"
#include "control/zone/store.h"
#include "dataplane/answer/rrtype.h"

static char folder[] = "/tmp/pollux-store-XXXXXX";
static struct store *store;
static struct name zone, below;
static const struct zonefile_id id = {.size = 7, .mtime_ns = 8, .hash = 9};

static void reopen(void)
{
	char error[256] = "";

	store_close(store);
	store = NULL;
	cr_assert_eq(store_open(&store, folder, error, sizeof(error)), 0, "%s", error);
}

static void setup(void)
{
	cr_assert_not_null(mkdtemp(folder));
	cr_assert_eq(name_from_text(&zone, "example."), 0);
	cr_assert_eq(name_from_text(&below, "a.example."), 0);
	reopen();
}

static void teardown(void)
{
	static const char *const file[] = {"zones.mdb", "zones.mdb-lock", "zones.lock"};

	store_close(store);
	for (unsigned i = 0; i < 3; i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/%s", folder, file[i]);
		unlink(path);
	}
	rmdir(folder);
}

TestSuite(store, .init = setup, .fini = teardown, .timeout = 120);

static bool any_zone(void *arg, const struct name *apex)
{
	(void)arg;
	(void)apex;
	return true;
}

static void on_fault(void *arg, const char *text)
{
	(void)arg;
	cr_assert(false, "%s", text);
}

/* Journal what a text changes in a zone. */
static void change(const struct name *apex, const char *text)
{
	struct edit *e = edit_new("t", 1);
	struct edit_changes c;
	char line[NAME_TEXT_MAX + 8] = "zone ", *at = line + 5;

	strcat(name_to_text(at, apex->wire), "\n");
	cr_assert_eq(edit_add(e, line, strlen(line), any_zone, NULL, on_fault, NULL), 0);
	cr_assert_eq(edit_add(e, text, strlen(text), any_zone, NULL, on_fault, NULL), 0);
	cr_assert_eq(edit_reduce(&e->zone[0]->ops, &c), 0);
	cr_assert_eq(store_begin(store), 0);
	cr_assert_eq(store_change(store, apex, &id, c.change, c.cnt), 0, "%s", store_error(store));
	cr_assert_eq(store_commit(store), 0);
	edit_changes_free(&c);
	edit_free(e);
}

/* What the journal comes to: "OWNER TYPE COUNT;" each, behind the number of records of the
 * base. */
static const char *kept(const struct name *apex)
{
	static char out[4096];
	struct records base, ops;
	struct edit_changes c;
	char owner[NAME_TEXT_MAX], type[16];
	int len;

	records_init(&base);
	records_init(&ops);
	cr_assert_eq(store_read(store, apex, &base, &ops), 0, "%s", store_error(store));
	cr_assert_eq(edit_reduce(&ops, &c), 0);
	len = snprintf(out, sizeof(out), "%zu:", base.cnt);
	for (size_t i = 0; i < c.cnt; i++)
		len += snprintf(out + len, sizeof(out) - (size_t)len, "%s %s %zu;",
				name_to_text(owner, c.change[i].owner),
				rrtype_name(type, c.change[i].type), c.change[i].rr_cnt);
	edit_changes_free(&c);
	records_free(&base);
	records_free(&ops);
	return out;
}

static struct store_zone find(const struct name *apex)
{
	struct store_zone z;

	cr_assert_eq(store_find(store, apex, &z), 0);
	return z;
}

Test(store, journal)
{
	struct store_zone z;

	cr_assert_eq(store_find(store, &zone, &z), -ENOENT);
	change(&zone, "set a 1 A 1.1.1.1\nset a 1 A 1.1.1.2\nset b 1 TXT x\n");
	change(&below, "set @ 1 TXT x\n");
	change(&zone, "set a 1 A 1.1.1.3\nunset b\n");
	change(&zone, "set b 1 A 1.1.1.3\nunset c A\n");
	for (unsigned i = 0; i < 2; i++) {
		/* An RRset is what it became last, not the sum. */
		cr_assert_str_eq(kept(&zone), "0:a.example. A 1;b.example. ANY 0;b.example. A 1;c.example. A 0;");
		cr_assert_str_eq(kept(&below), "0:a.example. TXT 1;");
		z = find(&zone);
		cr_assert_eq(z.kind, STORE_CONFIGURED);
		cr_assert_eq(z.changes, 6);
		cr_assert_eq(z.id.hash, 9);
		cr_assert(store_base_due(&z));
		reopen();
	}
	cr_assert_eq(store_begin(store), 0);
	cr_assert_eq(store_forget(store, &zone), 0);
	cr_assert_eq(store_commit(store), 0);
	cr_assert_eq(store_find(store, &zone, &z), -ENOENT);
	cr_assert_str_eq(kept(&zone), "0:");
	cr_assert_str_eq(kept(&below), "0:a.example. TXT 1;");
}

Test(store, aborted)
{
	const struct rrset_change c = {.owner = zone.wire, .type = TYPE_ANY};
	struct store_zone z;

	cr_assert_eq(store_begin(store), 0);
	cr_assert_eq(store_change(store, &zone, &id, &c, 1), 0);
	store_abort(store);
	cr_assert_eq(store_find(store, &zone, &z), -ENOENT);
	/* A process that ends meanwhile is the same. */
	cr_assert_eq(store_begin(store), 0);
	cr_assert_eq(store_change(store, &zone, &id, &c, 1), 0);
	reopen();
	cr_assert_eq(store_find(store, &zone, &z), -ENOENT);
}

/* One part of a base: `cnt` names from number `first` on. */
static void put_base(struct store_base *b, unsigned first, unsigned cnt)
{
	struct records rs;
	uint8_t rdata[201] = {200};

	records_init(&rs);
	for (unsigned i = first; i < first + cnt; i++) {
		char text[32];
		struct name n;

		snprintf(text, sizeof(text), "n%06u.example.", i);
		cr_assert_eq(name_from_text(&n, text), 0);
		cr_assert_eq(records_add(&rs, n.wire, TYPE_TXT, 1, rdata, sizeof(rdata), 0, 0), 0);
	}
	cr_assert_eq(store_base_put(store, b, &rs), 0, "%s", store_error(store));
	records_free(&rs);
}

Test(store, base)
{
	struct store_base b;
	struct store_zone z;

	change(&zone, "set a 1 A 1.1.1.1\n");
	cr_assert_eq(store_begin(store), 0);
	cr_assert_eq(store_base_begin(store, &b, &zone), 0);
	put_base(&b, 0, 10000); /* over 2 MiB: more than one value */
	cr_assert_eq(store_commit(store), 0);
	change(&zone, "set b 1 A 1.1.1.1\n"); /* while it is written */
	cr_assert_str_eq(kept(&zone), "0:a.example. A 1;b.example. A 1;");
	reopen(); /* cut off: as if it had never been */
	cr_assert_str_eq(kept(&zone), "0:a.example. A 1;b.example. A 1;");
	for (unsigned round = 0; round < 3; round++) {
		cr_assert_eq(store_begin(store), 0);
		cr_assert_eq(store_base_begin(store, &b, &zone), 0);
		put_base(&b, 0, 100 + round);
		cr_assert_eq(store_commit(store), 0);
		change(&zone, "set c 1 A 1.1.1.1\n");
		cr_assert_eq(store_begin(store), 0);
		put_base(&b, 5000, 100);
		cr_assert_eq(store_base_end(store, &b), 0);
		cr_assert_eq(store_commit(store), 0);
		reopen();

		char wanted[64];

		snprintf(wanted, sizeof(wanted), "%u:c.example. A 1;", 200 + round);
		cr_assert_str_eq(kept(&zone), wanted);
		z = find(&zone);
		cr_assert(z.base > 0 && z.base_octets > 200 * 200 && !store_base_due(&z));
		cr_assert_eq(z.changes, 3 + round);
	}
}

Test(store, base_of_a_zone_that_was_forgotten)
{
	struct store_base b;

	change(&zone, "set a 1 A 1.1.1.1\n");
	cr_assert_eq(store_begin(store), 0);
	cr_assert_eq(store_base_begin(store, &b, &zone), 0);
	put_base(&b, 0, 10);
	cr_assert_eq(store_forget(store, &zone), 0);
	cr_assert_eq(store_commit(store), 0);
	cr_assert_eq(store_begin(store), 0);
	cr_assert_eq(store_base_end(store, &b), -ESTALE);
	store_abort(store);
	change(&zone, "set a 1 A 1.1.1.1\n");
	cr_assert_eq(store_begin(store), 0);
	cr_assert_eq(store_base_end(store, &b), -ESTALE);
	store_abort(store);
	cr_assert_str_eq(kept(&zone), "0:a.example. A 1;");
}

static int on_zone(void *arg, const struct name *apex, const struct store_zone *z)
{
	char *out = arg, text[NAME_TEXT_MAX];

	sprintf(out + strlen(out), "%s %d %s;", name_to_text(text, apex->wire), z->kind, z->file);
	return 0;
}

Test(store, added_and_removed)
{
	char out[4096] = "";

	change(&zone, "set a 1 A 1.1.1.1\n");
	cr_assert_eq(store_begin(store), 0);
	cr_assert_eq(store_add(store, &below, "/some/file"), 0);
	cr_assert_eq(store_remove(store, &zone, true), 0);
	cr_assert_eq(store_commit(store), 0);
	change(&below, "set @ 1 TXT x\n");
	cr_assert_eq(store_begin(store), 0);
	cr_assert_eq(store_add_changed(store, &below, "/another/file"), 0);
	cr_assert_eq(store_commit(store), 0);
	reopen();
	cr_assert_eq(store_each(store, on_zone, out), 0);
	cr_assert_str_eq(out, "a.example. 1 /another/file;example. 2 ;");
	cr_assert_str_eq(kept(&zone), "0:");
	cr_assert_str_eq(kept(&below), "0:a.example. TXT 1;");
	cr_assert_eq(store_begin(store), 0);
	cr_assert_eq(store_forget(store, &below), 0);
	cr_assert_eq(store_remove(store, &zone, false), 0);
	cr_assert_eq(store_commit(store), 0);
	out[0] = '\0';
	cr_assert_eq(store_each(store, on_zone, out), 0);
	cr_assert_str_eq(out, "a.example. 1 /another/file;");
}

/* All RRSIGs of a name are one RRset here: more of them than 16 bits count, and more octets than
 * a part mostly has. */
Test(store, as_many_signatures_as_a_name_may_have)
{
	enum { CNT = 70000, LEN = 18 + 1 + 40 };
	struct record *rr = calloc(CNT, sizeof(*rr));
	struct rrset_change c[2] = {
		{.owner = zone.wire, .type = TYPE_RRSIG, .rr = rr, .rr_cnt = CNT},
		{.owner = below.wire, .type = TYPE_RRSIG, .rr = rr, .rr_cnt = 1},
	};
	uint8_t (*rdata)[LEN] = calloc(CNT, LEN);
	struct records base, ops, all;
	struct store_base b;

	cr_assert(rr && rdata);
	records_init(&all);
	for (unsigned i = 0; i < CNT; i++) {
		memcpy(rdata[i] + 19, &i, sizeof(i));
		rr[i] = (struct record){.owner = zone.wire, .rdata = rdata[i], .ttl = 60, .type = TYPE_RRSIG,
					.rdata_len = LEN};
		cr_assert_eq(records_add(&all, zone.wire, TYPE_RRSIG, 60, rdata[i], LEN, 0, 0), 0);
	}
	cr_assert_eq(store_begin(store), 0);
	cr_assert_eq(store_change(store, &zone, &id, c, 2), 0, "%s", store_error(store));
	cr_assert_eq(store_base_begin(store, &b, &zone), 0);
	cr_assert_eq(store_base_put(store, &b, &all), 0, "%s", store_error(store));
	cr_assert_eq(store_base_end(store, &b), 0);
	cr_assert_eq(store_change(store, &zone, &id, c, 2), 0, "%s", store_error(store));
	cr_assert_eq(store_commit(store), 0);
	reopen();
	records_init(&base);
	records_init(&ops);
	cr_assert_eq(store_read(store, &zone, &base, &ops), 0, "%s", store_error(store));
	cr_assert_eq(base.cnt, CNT);
	cr_assert_eq(ops.cnt, 1 + CNT + 1 + 1); /* each behind an operation that unsets what was there */
	for (unsigned i = 0; i < CNT; i++) {
		cr_assert(base.rr[i].rdata_len == LEN && memcmp(base.rr[i].rdata, rdata[i], LEN) == 0);
		cr_assert(ops.rr[1 + i].rdata_len == LEN && memcmp(ops.rr[1 + i].rdata, rdata[i], LEN) == 0);
	}
	cr_assert_eq(name_cmp(ops.rr[2 + CNT].owner, below.wire), 0);
	records_free(&base);
	records_free(&ops);
	records_free(&all);
	free(rdata);
	free(rr);
}

Test(store, in_a_directory_that_somebody_has_locked)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY);

	cr_assert(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0);
	reopen();
	close(fd);
}

Test(store, one_process)
{
	struct store *second = NULL;
	char error[256] = "";

	cr_assert_eq(store_open(&second, folder, error, sizeof(error)), -EWOULDBLOCK);
	cr_assert_not_null(strstr(error, "another process"));
	cr_assert_eq(store_open(&second, "/dev/null/x", error, sizeof(error)), -ENOTDIR);
}
