/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/zones.h"
#include "dataplane/common/log.h"

static char folder[] = "/tmp/pollux-zones-XXXXXX";
static char good[64], bad[64], other[64], missing[64], data[64];
static uv_loop_t loop;
static struct db *db;
static struct zones *zones;
static struct reader reader;
static size_t dropped;
static uint64_t memory = UINT64_C(8) << 20;
static struct config_zone config_zone[3];
static struct config config = {.identity = "test", .version = "test", .udp_payload = 1232,
			       .zone = config_zone};

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
}

#define ZONE(serial) "@ 60 SOA ns h " serial " 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\n"
#define LARGE 44000 /* names: one such zone fits into the table, two do not */

static void write_names(const char *path, const char *serial, unsigned names)
{
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	fprintf(f, "@ 60 SOA ns h %s 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\n", serial);
	for (unsigned i = 0; i < names; i++)
		fprintf(f, "h%u 60 A 192.0.2.1\n", i);
	fclose(f);
}

static void write_large(const char *path, const char *serial)
{
	write_names(path, serial, LARGE);
}

static struct name name(const char *text)
{
	struct name n;

	cr_assert_eq(name_from_text(&n, text), 0);
	return n;
}

static void start(void)
{
	unsigned slot[2];

	cr_assert_eq(db_create(&db, memory, ARENA_HUGE_NO), 0);
	cr_assert_eq(db_reader_reserve(db, (uint32_t)getpid(), STATUS_KIND_SERVE, 2, slot), 0);
	reader_init(&reader, db_map(db), &db_status(db)->slot[slot[1]]);
	cr_assert_eq(zones_open(&zones, &loop, db, &config, db_map(db), &db_status(db)->slot[slot[0]]), 0);
}

static void setup(void)
{
	cr_assert_not_null(mkdtemp(folder));
	snprintf(good, sizeof(good), "%s/good", folder);
	snprintf(bad, sizeof(bad), "%s/bad", folder);
	snprintf(other, sizeof(other), "%s/other", folder);
	snprintf(missing, sizeof(missing), "%s/missing", folder);
	snprintf(data, sizeof(data), "%s/data", folder);
	config.data_directory = data;
	write_file(good, ZONE("1"));
	write_file(bad, ZONE("1") "ns 60 CNAME @\nx 60 A 1.2.3\n");
	write_file(other, ZONE("7"));
	config_zone[0] = (struct config_zone){.domain = name("good.test"), .file = good};
	config_zone[1] = (struct config_zone){.domain = name("bad.test"), .file = bad};
	config_zone[2] = (struct config_zone){.domain = name("a.test"), .file = missing};
	config.zone_cnt = 3;
	cr_assert_eq(uv_loop_init(&loop), 0);
	start();
}

static void stop(void)
{
	cr_assert(zones_stop(zones));
	while (uv_run(&loop, UV_RUN_DEFAULT))
		;
	zones_free(zones);
	zones = NULL;
}

static void teardown(void)
{
	if (zones)
		stop();
	db_destroy(db);
	cr_assert_eq(uv_loop_close(&loop), 0);
	unlink(good);
	unlink(bad);
	unlink(other);
	for (const char *const *f = (const char *const[]){"zones.mdb", "zones.mdb-lock", "zones.lock", NULL}; *f; f++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/%s", data, *f);
		unlink(path);
	}
	rmdir(data);
	rmdir(folder);
}

TestSuite(zones, .init = setup, .fini = teardown);

/* The result of the job that was submitted last. */
static int result;
static char said[ZONES_TEXT];
static size_t faults;
static char fault[ZONES_TEXT];
static unsigned over;

static void on_done(void *arg, const struct zones_result *r)
{
	over++;
	result = r->error;
	snprintf(said, sizeof(said), "%s", r->text);
	faults = r->fault_cnt;
	dropped = r->dropped;
	snprintf(fault, sizeof(fault), "%s", faults ? r->fault[0] : "");
	uv_stop(&loop);
}

static int wait_for(int submitted)
{
	cr_assert_eq(submitted, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	return result;
}

static int load_all(void)
{
	return wait_for(zones_load_all(zones, on_done, NULL));
}

static int add_as(const char *domain, const char *file, bool force)
{
	struct name n = name(domain);

	return wait_for(zones_add(zones, &n, file, force, on_done, NULL));
}

static int add(const char *domain, const char *file)
{
	return add_as(domain, file, false);
}

static int drop(const char *domain)
{
	struct name n = name(domain);

	return wait_for(zones_remove(zones, &n, on_done, NULL));
}

static int reload(const char *domain)
{
	struct name n;

	if (domain)
		n = name(domain);
	return wait_for(zones_reload(zones, domain ? &n : NULL, false, on_done, NULL));
}

static bool is_zone(void *arg, const struct name *apex)
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

/* Commits a transaction of these lines. */
static int apply(const char *text)
{
	struct edit *e = edit_new("t", 1);

	cr_assert_eq(edit_add(e, text, strlen(text), is_zone, NULL, on_fault, NULL), 0);
	return wait_for(zones_apply(zones, e, on_done, NULL));
}

/* Takes the first zones of the configuration alone. */
static int configure(size_t zone_cnt)
{
	struct config c = config;

	c.zone_cnt = zone_cnt;
	return wait_for(zones_configure(zones, &c, on_done, NULL));
}

/* The version that is served. */
static uint64_t version(void)
{
	reader_begin(&reader);
	return reader.version;
}

/* Serial of what is served; -1 when it is not. */
static int64_t serial(const char *domain)
{
	struct name n = name(domain);
	struct zone_info zi;

	reader_online(&reader);
	reader_begin(&reader);

	int error = reader_zone(&reader, &n, &zi);

	reader_end(&reader);
	reader_offline(&reader);
	return error ? -1 : (int64_t)zi.serial;
}

static int take_entry(void *arg, const struct zone_entry *e)
{
	*(struct zone_entry *)arg = *e;
	return 0;
}

static struct zone_entry entry(const char *domain)
{
	struct name n = name(domain);
	struct zone_entry e;

	cr_assert_eq(zones_find(zones, &n, take_entry, &e), 0);
	return e;
}

static void start_again(size_t zone_cnt)
{
	stop();
	db_destroy(db);
	config.zone_cnt = zone_cnt;
	start();
	load_all();
}

static void expect_changed(const char *domain, uint64_t changes, uint64_t records, int64_t wanted)
{
	cr_assert_eq(entry(domain).changes, changes);
	cr_assert_eq(entry(domain).records, records);
	cr_assert_eq(serial(domain), wanted);
}

static int append_name(void *arg, const struct zone_entry *e)
{
	char text[NAME_TEXT_MAX];

	strcat(strcat(arg, name_to_text(text, e->domain.wire)), " ");
	return 0;
}

Test(zones, a_bad_zone_does_not_keep_the_others_away)
{
	char list[256] = "";

	cr_assert_eq(entry("good.test").state, ZONE_WAITING);
	cr_assert_neq(load_all(), 0);
	cr_assert_eq(serial("good.test"), 1);
	cr_assert_eq(serial("bad.test"), -1);
	cr_assert_eq(entry("good.test").state, ZONE_LOADED);
	cr_assert_eq(entry("good.test").records, 3);
	cr_assert_eq(entry("good.test").error[0], '\0');
	cr_assert_eq(entry("bad.test").state, ZONE_BAD);
	cr_assert_not_null(strstr(entry("bad.test").error, "bad:"), "%s", entry("bad.test").error);
	cr_assert_not_null(strstr(entry("a.test").error, "missing"));
	zones_each(zones, NULL, append_name, list);
	cr_assert_str_eq(list, "a.test. bad.test. good.test. ");
	list[0] = '\0';

	struct name after = name("b.test");

	zones_each(zones, &after, append_name, list);
	cr_assert_str_eq(list, "bad.test. good.test. ");
	list[0] = '\0';
	after = name("bad.test");
	zones_each(zones, &after, append_name, list);
	cr_assert_str_eq(list, "good.test. ");
}

Test(zones, add_and_remove)
{
	load_all();
	cr_assert_eq(add("new.test", other), 0, "%s", said);
	cr_assert_eq(serial("new.test"), 7);
	cr_assert_eq(drop("new.test"), 0);
	cr_assert_eq(serial("new.test"), -1);
	cr_assert_eq(drop("new.test"), -ENOENT);
	cr_assert_eq(drop("bad.test"), 0, "never loaded");
	cr_assert_eq(add("bad.test", other), 0);
}

/* That is a reload, from the same file or another, which is the zone's file from then on. */
Test(zones, a_zone_that_is_there_is_added)
{
	load_all();
	cr_assert_eq(add("bad.test", other), 0, "one that was not loaded: %s", said);
	expect_changed("bad.test", 0, 3, 7);
	write_file(good, ZONE("2"));
	cr_assert_eq(add("good.test", good), 0, "%s", said);
	cr_assert_eq(serial("good.test"), 2);
	cr_assert_eq(add("good.test", bad), -EINVAL);
	cr_assert_eq(serial("good.test"), 2, "what stood");
	cr_assert_str_eq(entry("good.test").file, good);
	cr_assert_str_eq(entry("good.test").error, "");
	cr_assert_eq(apply("zone good.test\nset new 60 A 192.0.2.1\n"), 0, "%s", said);
	cr_assert_eq(add("good.test", other), -EBUSY);
	cr_assert_str_eq(entry("good.test").file, good);
	expect_changed("good.test", 2, 4, 3);
	cr_assert_eq(add_as("good.test", other, true), 0, "%s", said);
	cr_assert_eq(dropped, 2);
	for (unsigned i = 0; i < 3; i++) { /* and it stays that, configured or not */
		expect_changed("good.test", 0, 3, 7);
		cr_assert_str_eq(entry("good.test").file, other);
		if (i == 1)
			start_again(3);
		configure(i == 0 ? 3 : 0);
	}
	expect_changed("good.test", 0, 3, 7);
}

Test(zones, a_bad_file_is_not_added)
{
	struct name n = name("new.test");

	load_all();
	cr_assert_eq(add("new.test", missing), -EIO);
	cr_assert_not_null(strstr(said, missing), "%s", said);
	cr_assert_eq(add("new.test", bad), -EINVAL);
	cr_assert_geq(faults, 1);
	cr_assert_not_null(strstr(fault, "bad:"), "%s", fault);
	cr_assert_eq(zones_find(zones, &n, take_entry, NULL), -ENOENT);
	cr_assert_eq(serial("new.test"), -1);
}

Test(zones, a_bad_reload_keeps_the_old_data)
{
	load_all();
	write_file(good, ZONE("2"));
	cr_assert_eq(reload("good.test"), 0);
	cr_assert_eq(serial("good.test"), 2);
	write_file(good, ZONE("3") "x 60 CNAME y\nx 60 A 192.0.2.1\n");
	cr_assert_eq(reload("good.test"), -EINVAL);
	cr_assert_eq(serial("good.test"), 2);
	cr_assert_eq(entry("good.test").state, ZONE_LOADED);
	cr_assert_eq(entry("good.test").serial, 2);
	cr_assert_neq(entry("good.test").error[0], '\0');
	write_file(good, ZONE("4") "$INCLUDE nothing\n");
	cr_assert_eq(reload("good.test"), -EIO);
	cr_assert_eq(serial("good.test"), 2);
	write_file(good, ZONE("5"));
	cr_assert_eq(reload("good.test"), 0);
	cr_assert_eq(entry("good.test").error[0], '\0');
	cr_assert_eq(reload("nothing.test"), -ENOENT);
}

Test(zones, reload_of_all)
{
	load_all();
	write_file(good, ZONE("2"));
	write_file(bad, ZONE("3"));
	cr_assert_eq(reload(NULL), -EIO, "one is missing still");
	cr_assert_eq(serial("good.test"), 2);
	cr_assert_eq(serial("bad.test"), 3);
	write_file(missing, ZONE("4"));
	cr_assert_eq(reload(NULL), 0);
	cr_assert_eq(serial("a.test"), 4);
	unlink(missing);
}

/* 200,000 names need more than the 8 MiB there are. */
Test(zones, a_full_table_changes_nothing)
{
	struct zones_usage u;

	load_all();
	write_names(other, "9", 200000);
	cr_assert_eq(add("big.test", other), -ENOSPC, "%d %s", result, said);
	cr_assert_eq(serial("big.test"), -1);
	cr_assert_eq(serial("good.test"), 1);
	/* And what it took for a while can be used again. */
	for (unsigned i = 0; i < 3; i++) {
		cr_assert_eq(add("new.test", good), 0, "%s", said);
		cr_assert_eq(drop("new.test"), 0, "%s", said);
	}
	zones_usage(zones, &u);
	cr_assert_eq(u.zones, 3);
	cr_assert_eq(u.loaded, 1);
	cr_assert_leq(u.arena.used, u.arena.max);
}

Test(zones, jobs_that_wait_end_with_the_manager)
{
	struct name n = name("good.test");

	cr_assert_eq(zones_load_all(zones, on_done, NULL), 0);
	for (unsigned i = 0; i < 50; i++)
		cr_assert_eq(zones_reload(zones, &n, false, on_done, NULL), 0);
	stop();
	cr_assert_eq(over, 51, "each is told, whether done or not");
}

/* What was changed in a zone comes back with it in one step: nobody sees the file alone. */
Test(zones, a_zone_comes_back_with_its_changes_in_one_step)
{
	uint64_t before;

	write_file(bad, ZONE("1"));
	configure(2);
	cr_assert_eq(apply("zone bad.test\nset new 60 A 192.0.2.1\nunset ns\n"), 0, "%s", said);
	cr_assert_eq(serial("bad.test"), 2);
	cr_assert_eq(entry("bad.test").records, 3);
	cr_assert_eq(configure(1), 0);
	cr_assert_eq(serial("bad.test"), -1);
	before = version();
	cr_assert_eq(configure(2), 0, "%s", said);
	cr_assert_eq(serial("bad.test"), 2);
	cr_assert_eq(entry("bad.test").records, 3);
	cr_assert_eq(entry("bad.test").changes, 3);
	cr_assert_eq(version() - before, 3, "the settings, good.test, and this one");
}

#define CHAIN "@ 60 NSEC ns NS SOA NSEC\nns 60 NSEC @ A NSEC\n"

/* The denial of existence in a zone that comes back is checked, but what was acknowledged is
 * served, whatever dnssec-check says now. */
Test(zones, a_zone_that_comes_back_is_checked_and_served)
{
	static const char *const file[] = {ZONE("1") CHAIN, ZONE("1") "new 60 A 192.0.2.1\n" CHAIN};

	write_file(bad, file[0]);
	configure(2);
	cr_assert_eq(faults, 0, "%s", fault);
	cr_assert_eq(apply("zone bad.test\nset new 60 A 192.0.2.1\n"), 0, "%s", said);
	for (unsigned refuse = 0; refuse < 2; refuse++) {
		config.dnssec_check = refuse ? DNSSEC_REFUSE : DNSSEC_WARN;
		start_again(2);
		cr_expect_eq(result, 0, "%s", said);
		cr_expect_eq(entry("bad.test").state, ZONE_LOADED);
		expect_changed("bad.test", 2, 6, 2);
		cr_assert_gt(faults, 0);
		cr_expect_not_null(strstr(fault, "warning: bad.test.: NSEC leads to ns.bad.test., but the next"), "%s", fault);
	}
	/* A file with the same fault is refused. */
	write_file(other, file[1]);
	cr_expect_neq(add("new.test", other), 0);
	cr_expect_eq(serial("new.test"), -1);
	/* It can be mended by a change. */
	cr_assert_eq(apply("zone bad.test\nunset new\n"), 0, "%s", said);
	start_again(2);
	expect_changed("bad.test", 4, 5, 3);
	cr_expect_eq(faults, 0, "%s", fault);
}

/* What was changed in a zone that is no longer configured is kept, as the log says. */
Test(zones, a_zone_that_is_added_again_has_its_changes)
{
	write_file(bad, ZONE("1"));
	configure(2);
	cr_assert_eq(apply("zone bad.test\nset new 60 A 192.0.2.1\n"), 0, "%s", said);
	configure(1);
	cr_assert_eq(add("bad.test", bad), 0, "%s", said);
	expect_changed("bad.test", 2, 4, 2);
	cr_assert_eq(apply("zone bad.test\nset newer 60 A 192.0.2.1\n"), 0, "%s", said);
	start_again(1);
	expect_changed("bad.test", 4, 5, 3);
}

Test(zones, a_zone_that_a_start_did_not_find_configured_has_its_changes)
{
	write_file(bad, ZONE("1"));
	configure(2);
	cr_assert_eq(apply("zone bad.test\nset new 60 A 192.0.2.1\n"), 0, "%s", said);
	start_again(1);
	cr_assert_eq(serial("bad.test"), -1);
	cr_assert_eq(add("bad.test", bad), 0, "%s", said);
	expect_changed("bad.test", 2, 4, 2);
	/* A removal drops them. */
	cr_assert_eq(drop("bad.test"), 0);
	cr_assert_eq(add("bad.test", bad), 0, "%s", said);
	expect_changed("bad.test", 0, 3, 1);
}

Test(zones, changes_that_are_kept_go_when_they_are_dropped)
{
	write_file(bad, ZONE("1"));
	configure(2);
	cr_assert_eq(apply("zone bad.test\nset new 60 A 192.0.2.1\nset other 60 A 192.0.2.1\n"), 0, "%s", said);
	configure(1);
	cr_assert_eq(add_as("bad.test", other, true), 0, "%s", said);
	cr_assert_eq(dropped, 3);
	cr_assert_eq(serial("bad.test"), 7);
	start_again(1);
	expect_changed("bad.test", 0, 3, 7);
}

/* When there is room again, a reload brings back the zone with its changes. */
Test(zones, a_zone_that_did_not_come_back_does_with_a_reload)
{
	write_large(bad, "1");
	write_large(other, "7");
	configure(2);
	cr_assert_eq(apply("zone bad.test\nset new 60 A 192.0.2.1\n"), 0, "%s", said);
	for (unsigned all = 0; all < 2; all++) {
		configure(1);
		cr_assert_eq(add("large.test", other), 0, "%s", said);
		cr_assert_eq(configure(2), -ENOSPC);
		cr_assert_eq(entry("bad.test").state, ZONE_BAD);
		cr_assert_eq(reload(all ? NULL : "bad.test"), -ENOSPC, "%s", said);
		cr_assert_eq(serial("bad.test"), -1);
		cr_assert_eq(drop("large.test"), 0);
		cr_assert_eq(reload(all ? NULL : "bad.test"), 0, "%s", said);
		expect_changed("bad.test", 2, 4 + LARGE, 2);
	}
}

/* A change that finds the table full when readers have just let go of enough is tried again. */
Test(zones, memory_that_comes_free_during_a_change_is_used)
{
	struct name n = name("large.test"), m = name("larger.test");

	write_large(other, "7");
	configure(1);
	cr_assert_eq(add("large.test", other), 0, "%s", said);
	reader_online(&reader);
	reader_begin(&reader);
	cr_assert_eq(drop("large.test"), 0);
	cr_assert_eq(zones_add(zones, &m, other, false, on_done, NULL), 0);
	usleep(10000); /* it reads the file now, which takes longer, and reclaims nothing meanwhile */
	reader_offline(&reader);
	cr_assert_eq(wait_for(0), 0, "%s", said);
	cr_assert_eq(serial("larger.test"), 7);
	cr_assert_eq(zones_find(zones, &n, take_entry, NULL), -ENOENT);
}

static uint64_t used_then;

static void on_done_early(void *arg, const struct zones_result *r)
{
	struct zones_usage u;

	zones_usage(zones, &u);
	used_then = u.arena.used;
	on_done(arg, r);
}

/* Replies do not wait until the memory of a large zone is free: that of its removal, and those of the
 * jobs behind it. */
Test(zones, a_removal_is_over_before_its_memory_is_free)
{
	struct name n = name("large.test");
	struct zones_usage u;
	unsigned jobs;
	uint64_t full;

	memory = UINT64_C(256) << 20;
	start_again(1);
	write_names(other, "7", 300000);
	cr_assert_eq(add("large.test", other), 0, "%s", said);
	zones_usage(zones, &u);
	full = u.arena.used;
	over = 0;
	cr_assert_eq(zones_remove(zones, &n, on_done_early, NULL), 0);
	n = name("good.test");
	for (jobs = 1; jobs < 4; jobs++)
		cr_assert_eq(zones_reload(zones, &n, false, on_done_early, NULL), 0);
	while (over < jobs)
		wait_for(0);
	cr_assert_gt(used_then, full / 2, "%lu of %lu", used_then, full);
	for (unsigned i = 0; u.arena.used > full / 2 && i < 1000; i++, usleep(10000))
		zones_usage(zones, &u);
	cr_assert_lt(u.arena.used, full / 2, "it is given back in the end");
}
