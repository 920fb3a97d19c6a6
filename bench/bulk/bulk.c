/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bulk.c - how fast large transactions are, and what they do to answers.
 *
 *     bulk [-n NAMES] [-c CHANGES] [-r ROUNDS] [-s SEED] [-p no|auto|yes] [-d DIRECTORY]
 *
 * A zone of NAMES names (1,000,000).  One thread, on the first processor, does what the control
 * process does with transactions of CHANGES RRsets (100,000) that are spread at random over
 * the zone: text to records, records to changes, the new tree and nodes, the durable record in
 * DIRECTORY (a new one below TMPDIR), the commit, reclamation.  Another one, on the last processor,
 * answers questions for random names of the zone a burst at a time, as a worker does between
 * receiving and sending.
 *
 * Printed are first, of each step, the nanoseconds of the thread's own time an RRset takes, and the
 * RRsets a second in all, waiting for the disk included; then, in ROUNDS (5) rounds of a
 * second each, the answers a second alone and beside the transactions, and the median of
 * their quotients.  Two processors are needed for these.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/zone/edit.h"
#include "control/zone/store.h"
#include "control/zone/zonefile.h"
#include "dataplane/answer/answer.h"
#include "dataplane/answer/db.h"
#include "dataplane/answer/rrtype.h"

#define BURST 32
#define CHUNK (256u << 10) /* octets of text parsed at once, as polluxctl sends them */
#define TEXTS 4            /* different transactions, used in turn */
#define ROUNDS_MAX 100

enum step { PARSE, REDUCE, CHANGE, STORE, SYNC, COMMIT, RECLAIM, STEPS };

static const char *const step_name[STEPS] = {
	"text to records", "records to changes", "nodes and tree", "durable record", "its commit",
	"commit", "reclamation",
};

struct message {
	uint16_t len;
	uint8_t octets[62];
};

static unsigned names = 1000000, changes = 100000, rounds = 5, seed = 1;
static struct db *db;
static struct store *store;
static struct name apex;
static char *text[TEXTS];
static size_t text_len[TEXTS];
static struct message *asked;
static double spent[STEPS];      /* seconds of the writer's own */
static uint64_t changed;
static double changing;          /* seconds by the clock */
static _Atomic bool go_on, stop;
static _Atomic uint64_t answers;

static void die(const char *what)
{
	fprintf(stderr, "bulk: %s\n", what);
	exit(1);
}

static void on_fault(void *arg, const char *said)
{
	(void)arg;
	die(said);
}

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void use_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("cannot use the processor");
}

/* ---- what there is ---- */

static size_t put_address(char *to, unsigned i, unsigned generation)
{
	unsigned a = i + generation;

	return (size_t)sprintf(to, "n%u 60 A 10.%u.%u.%u\n", i, a >> 16 & 255, a >> 8 & 255, a & 255);
}

static void make_zone(void)
{
	char *zone = malloc((size_t)names * 48 + 200);
	struct records rs;
	uint64_t version;
	size_t len;

	if (!zone)
		die("out of memory");
	len = (size_t)sprintf(zone, "$ORIGIN example.com.\n@ 60 SOA ns1 h 1 2 3 4 5\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n");
	for (unsigned i = 0; i < names; i++)
		len += put_address(zone + len, i, 0);
	records_init(&rs);
	if (zonefile_read_text(&rs, &apex, zone, len, "zone", on_fault, NULL))
		die("no zone");

	struct txn *t = db_begin(db);

	if (!t || txn_zone_put(t, &apex, &rs) || txn_commit(t, &version))
		die("the zone does not fit");
	records_free(&rs);
	free(zone);
}

static void make_texts(void)
{
	unsigned *order = malloc(names * sizeof(*order));

	for (unsigned i = 0; order && i < names; i++)
		order[i] = i;
	for (unsigned k = 0; order && k < TEXTS; k++) {
		text[k] = malloc((size_t)changes * 52 + 100);
		if (!text[k])
			die("out of memory");
		text_len[k] = (size_t)sprintf(text[k], "zone example.com\n");
		for (unsigned i = 0; i < changes; i++) {
			unsigned j = i + (unsigned)random() % (names - i), name = order[j];

			order[j] = order[i];
			order[i] = name;
			memcpy(text[k] + text_len[k], "set ", 4);
			text_len[k] += 4 + put_address(text[k] + text_len[k] + 4, name, k + 1);
		}
	}
	if (!order)
		die("out of memory");
	free(order);
}

static void make_questions(void)
{
	asked = calloc(names, sizeof(*asked));
	if (!asked)
		die("out of memory");
	for (unsigned i = 0; i < names; i++) {
		struct message *m = &asked[i];
		char qname[32];
		struct name n;

		snprintf(qname, sizeof(qname), "n%u.example.com.", (unsigned)random() % names);
		name_from_text(&n, qname);
		m->octets[5] = 1;
		memcpy(m->octets + 12, n.wire, n.len);
		memcpy(m->octets + 12 + n.len, (const uint8_t[]){ 0, TYPE_A, 0, 1 }, 4);
		m->len = (uint16_t)(12 + n.len + 4);
	}
}

/* ---- the writer ---- */

static bool is_zone(void *arg, const struct name *n)
{
	(void)arg;
	return name_cmp(n->wire, apex.wire) == 0;
}

static int on_check(void *arg, const struct rrset_change *of, const struct records *rs)
{
	(void)arg;
	return zone_check_name(rs, of->owner, &apex, 1, "bulk", on_fault, NULL);
}

static void count(enum step step, double *from)
{
	double now = seconds(CLOCK_THREAD_CPUTIME_ID);

	spent[step] += now - *from;
	*from = now;
}

/* A line's end at or behind `at`. */
static size_t line_end(unsigned k, size_t at)
{
	if (at >= text_len[k])
		return text_len[k];
	return (size_t)((char *)memchr(text[k] + at, '\n', text_len[k] - at) + 1 - text[k]);
}

static void apply(unsigned k)
{
	double begin = seconds(CLOCK_MONOTONIC), from = seconds(CLOCK_THREAD_CPUTIME_ID);
	struct edit *e = edit_new("bulk", 1);
	struct edit_changes c;
	struct zonefile_id id = {0};
	uint64_t version;

	for (size_t at = 0, next; at < text_len[k]; at = next) {
		next = line_end(k, at + CHUNK);
		if (edit_add(e, text[k] + at, next - at, is_zone, NULL, on_fault, NULL))
			die("the text is refused");
	}
	count(PARSE, &from);
	if (edit_reduce(&e->zone[0]->ops, &c))
		die("out of memory");
	count(REDUCE, &from);

	struct txn *t = db_begin(db);

	if (store_begin(store) || txn_change(t, &apex, c.change, c.cnt, on_check, NULL))
		die("the changes are refused");
	count(CHANGE, &from);
	if (store_change(store, &apex, &id, c.change, c.cnt))
		die(store_error(store));
	count(STORE, &from);
	if (txn_prepare(t))
		die("the table is full");
	if (store_commit(store))
		die(store_error(store));
	count(SYNC, &from);
	if (txn_commit(t, &version))
		die("the commit has failed");
	count(COMMIT, &from);
	edit_changes_free(&c);
	edit_free(e);
	while (db_reclaim(db))
		;
	count(RECLAIM, &from);
	changed += changes;
	changing += seconds(CLOCK_MONOTONIC) - begin;
	/* The store must not grow for ever: a base would take its journal's place. */
	if (store_begin(store) || store_forget(store, &apex) || store_commit(store))
		die(store_error(store));
}

static void *writer(void *arg)
{
	(void)arg;
	use_cpu(0);
	for (unsigned k = 0; !atomic_load(&stop); k++) {
		while (!atomic_load(&go_on) && !atomic_load(&stop))
			usleep(1000);
		if (!atomic_load(&stop))
			apply(k % TEXTS);
	}
	return NULL;
}

/* ---- the answers ---- */

static void *answering(void *arg)
{
	static uint8_t out[BURST][1500];
	static struct query q[BURST];
	struct reader *r = arg;
	struct query *waiting[BURST];
	uint64_t done = 0;
	uint16_t rcode;

	use_cpu((int)sysconf(_SC_NPROCESSORS_ONLN) - 1);
	reader_online(r);
	for (unsigned i = 0; !atomic_load_explicit(&stop, memory_order_relaxed); i = (i + BURST) % (names - BURST)) {
		for (unsigned k = 0; k < BURST; k++)
			memcpy(out[k], asked[i + k].octets, asked[i + k].len);
		reader_begin(r);
		for (unsigned k = 0; k < BURST; k++)
			query_parse(r, waiting[k] = &q[k], out[k], asked[i + k].len, TRANSPORT_UDP, 1452);
		query_prefetch_burst(r, waiting, BURST);
		for (unsigned k = 0; k < BURST; k++) {
			query_answer(r, &q[k], out[k], &rcode);
			if (rcode != 0 || out[k][7] != 1)
				die("a wrong answer");
		}
		reader_end(r);
		atomic_store_explicit(&answers, done += BURST, memory_order_relaxed);
	}
	reader_offline(r);
	return NULL;
}

static double rate(void)
{
	double begin = seconds(CLOCK_MONOTONIC);
	uint64_t before = atomic_load(&answers);

	usleep(1000000);
	return (double)(atomic_load(&answers) - before) / (seconds(CLOCK_MONOTONIC) - begin);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure_steps(void)
{
	double all = 0;

	apply(0); /* the first one finds an arena that is packed, and a new store */
	memset(spent, 0, sizeof(spent));
	changed = 0;
	changing = 0;
	for (unsigned k = 1; k < TEXTS || changed < 1000000; k++)
		apply(k % TEXTS);
	printf("%-24s ns an RRset, of the thread's own time\n", "");
	for (unsigned s = 0; s < STEPS; s++) {
		printf("%-24s %8.0f\n", step_name[s], spent[s] / (double)changed * 1e9);
		all += spent[s];
	}
	printf("%-24s %8.0f: %.0f RRsets a second; %.0f by the clock\n", "all", all / (double)changed * 1e9,
	       (double)changed / all, (double)changed / changing);
}

static void measure_effect(struct reader *r)
{
	double quotient[ROUNDS_MAX], alone[ROUNDS_MAX], beside[ROUNDS_MAX];
	pthread_t threads[2];

	pthread_create(&threads[0], NULL, writer, NULL);
	pthread_create(&threads[1], NULL, answering, r);
	usleep(200000);
	for (unsigned i = 0; i < rounds; i++) {
		alone[i] = rate();
		changed = 0;
		changing = 0;
		atomic_store(&go_on, true);
		beside[i] = rate();
		atomic_store(&go_on, false);
		usleep((useconds_t)(2e6 * changes / 1e6) + 100000); /* for the one that it is at */
		quotient[i] = beside[i] / alone[i];
		printf("answers a second: %.0f alone, %.0f beside %.0f RRsets a second: %+.1f %%\n", alone[i],
		       beside[i], changing > 0 ? (double)changed / changing : 0, 100 * (quotient[i] - 1));
	}
	atomic_store(&stop, true);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	qsort(quotient, rounds, sizeof(*quotient), by_value);
	printf("the median: %+.1f %%\n", 100 * (quotient[rounds / 2] - 1));
}

int main(int argc, char **argv)
{
	enum arena_huge huge = ARENA_HUGE_AUTO;
	char made[200] = "", *directory = NULL, error[256], command[300];
	const char *tmp = getenv("TMPDIR");
	struct arena_usage u;
	struct reader r;
	uint64_t retired;
	unsigned slot = 0;

	for (int c; (c = getopt(argc, argv, "n:c:r:s:p:d:")) != -1;) {
		switch (c) {
		case 'n': names = (unsigned)atoi(optarg); break;
		case 'c': changes = (unsigned)atoi(optarg); break;
		case 'r': rounds = (unsigned)atoi(optarg); break;
		case 's': seed = (unsigned)atoi(optarg); break;
		case 'p': huge = !strcmp(optarg, "no") ? ARENA_HUGE_NO : !strcmp(optarg, "yes") ? ARENA_HUGE_YES : ARENA_HUGE_AUTO; break;
		case 'd': directory = optarg; break;
		default: die("usage: bulk [-n NAMES] [-c CHANGES] [-r ROUNDS] [-s SEED] [-p no|auto|yes] [-d DIRECTORY]");
		}
	}
	if (names < 1000 || names > 1 << 24 || changes < 1 || changes > names || rounds > ROUNDS_MAX)
		die("names from 1000 to 16777216, changes from 1 to as many");
	if (!directory) {
		snprintf(made, sizeof(made), "%s/bulk-XXXXXX", tmp ? tmp : "/tmp");
		directory = mkdtemp(made);
	}
	srandom(seed);
	name_from_text(&apex, "example.com.");
	if (!directory || store_open(&store, directory, error, sizeof(error)))
		die(directory ? error : "no directory");
	if (db_create(&db, UINT64_C(8) << 30, huge) ||
	    db_reader_reserve(db, (uint32_t)getpid(), STATUS_KIND_SERVE, 1, &slot))
		die("no database");
	make_zone();
	make_texts();
	make_questions();
	reader_init(&r, db_map(db), &db_status(db)->slot[slot]);
	db_usage(db, &u, &retired);
	printf("%u names, %u changes in a transaction, seed %u, %s pages, %.1f MiB in the arena\n", names, changes,
	       seed, u.huge ? "2 MiB" : "4 KiB", (double)u.used / (1 << 20));
	measure_steps();
	if (rounds > 0 && sysconf(_SC_NPROCESSORS_ONLN) > 1)
		measure_effect(&r);
	store_close(store);
	db_destroy(db);
	if (made[0]) {
		snprintf(command, sizeof(command), "rm -rf '%s'", made);
		return system(command) != 0;
	}
	return 0;
}
