/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stress_db.c - one writer changes zones as fast as it can while readers ask.
 *
 *     stress_db threads|processes [SECONDS]   (5; 60 when POLLUX_LONG is 1)
 *
 * Version N of the zones one. and two. says N everywhere: in the SOA's serial and in every
 * address.  Name i of zone one. exists in version N unless (i + N) % 3 == 0, and a CNAME leads
 * from one. to two., which change in one commit.  Zone three. comes and goes.  Now and then so does
 * zone many., with so many names that the table grows and shrinks.  A reader
 * that begins a burst must get the same N from every answer of it, positive, negative
 * or through the chain, and never an N older than one it has seen before.  Among the threads is
 * one that pins a zone and reads it later, while it sleeps in between: what it reads is of one N, too.
 *
 * threads: all on one mapping, which is what ThreadSanitizer can see.
 * processes: readers map the arena read-only themselves, as the dataplane does.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/answer/answer.h"
#include "dataplane/answer/db.h"
#include "dataplane/answer/rrtype.h"
#include "dataplane/answer/table.h"
#include "dataplane/answer/wire.h"

#define READERS 3
#define NAMES 120
#define MANY 7000       /* names of zone many.: a table for two thirds is too large without them */
#define MANY_TURN 60    /* commits from one of its arrivals to the next */
#define BURST 16

static _Atomic bool stop;

static void fail(const char *what, uint64_t a, uint64_t b)
{
	fprintf(stderr, "FAIL: %s (%llu, %llu)\n", what, (unsigned long long)a,
		(unsigned long long)b);
	abort();
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- writer ---- */

static void add(struct records *rs, const char *owner, uint16_t type, const void *rdata, size_t len)
{
	struct name n;

	if (name_from_text(&n, owner) ||
	    records_add(rs, n.wire, type, 60, rdata, (uint16_t)len, 0, 0))
		fail("records_add", 0, 0);
}

static void put(struct txn *t, const char *zone, uint32_t version, unsigned names)
{
	uint8_t soa[22] = { 0 }, address[4];
	char owner[64];
	struct records rs;
	struct name apex;

	records_init(&rs);
	wire_write32(soa + 2, version);
	wire_write32(soa + 18, 60);
	wire_write32(address, version);
	add(&rs, zone, TYPE_SOA, soa, sizeof(soa));
	add(&rs, zone, TYPE_NS, "", 1);
	for (unsigned i = 0; i < names; i++) {
		if ((i + version) % 3 == 0)
			continue;
		snprintf(owner, sizeof(owner), "n%u.%s", i, zone);
		add(&rs, owner, TYPE_A, address, 4);
	}
	if (zone[0] == 'o')
		add(&rs, "x.one.", TYPE_CNAME, "\1y\3two", 7);
	if (zone[0] == 't' && zone[1] == 'w')
		add(&rs, "y.two.", TYPE_A, address, 4);
	if (name_from_text(&apex, zone) || records_sort(&rs) || txn_zone_put(t, &apex, &rs))
		fail("txn_zone_put", version, 0);
	records_free(&rs);
}

/* What many. does in version n. */
static void put_many(struct txn *t, uint32_t n)
{
	struct name many;
	int err = 0;

	name_from_text(&many, "many.");
	if (n % MANY_TURN == MANY_TURN / 4)
		put(t, "many.", n, MANY);
	else if (n % MANY_TURN == MANY_TURN / 2)
		err = txn_zone_drop(t, &many);
	if (err && err != -ENOENT) /* its arrival may have been aborted */
		fail("txn_zone_drop", n, 1);
}

static void write_until(struct db *db, double end)
{
	struct name three;
	uint64_t version, commits = 0, mask = 0, grown = 0, shrunk = 0;
	struct arena_usage early = { 0 }, late;
	uint64_t retired;

	name_from_text(&three, "three.");
	for (uint32_t n = 1; now() < end; n++) {
		struct txn *t = db_begin(db);

		put(t, "one.", n, NAMES);
		put(t, "two.", n, 10);
		if (n % 4 == 1)
			put(t, "three.", n, NAMES);
		else if (n % 4 == 3 && txn_zone_drop(t, &three))
			fail("txn_zone_drop", n, 0);
		put_many(t, n);
		if (n % 7 == 0) {
			txn_abort(t);
			if (n % 4 == 1 || n % 4 == 3) { /* keep three.'s rhythm */
				t = db_begin(db);
				if (n % 4 == 1)
					put(t, "three.", n, NAMES);
				else if (txn_zone_drop(t, &three))
					fail("txn_zone_drop", n, 0);
				if (txn_commit(t, &version))
					fail("txn_commit", n, 0);
			}
		} else if (txn_commit(t, &version)) {
			fail("txn_commit", n, 0);
		}
		commits++;
		grown += mask && table_current(db_map(db).base)->mask > mask;
		shrunk += table_current(db_map(db).base)->mask < mask;
		mask = table_current(db_map(db).base)->mask;
		db_reclaim(db);
		if (commits == 200)
			db_usage(db, &early, &retired);
	}
	db_usage(db, &late, &retired);
	printf("%llu commits, arena %llu KiB used after 200, %llu KiB at the end, peak %llu KiB\n",
	       (unsigned long long)commits, (unsigned long long)early.used >> 10,
	       (unsigned long long)late.used >> 10, (unsigned long long)late.peak >> 10);
	printf("the table grew %llu times and shrank %llu times\n", (unsigned long long)grown,
	       (unsigned long long)shrunk);
	if (commits > 3 * MANY_TURN && (!grown || !shrunk))
		fail("the table has kept its size", grown, shrunk);
}

/* ---- readers ---- */

/* Ask for the addresses of a name: returns the version the answer speaks of, and
 * whether the name exists; UINT64_MAX when the zone is not loaded. */
static uint64_t ask(const struct reader *r, const char *qname, bool *exists)
{
	uint8_t msg[300] = { 0x12, 0x34, 0x01, 0, 0, 1 }, out[1232];
	struct query q;
	struct name n;
	uint16_t rcode;

	if (name_from_text(&n, qname))
		fail("name", 0, 0);
	memcpy(msg + 12, n.wire, n.len);
	wire_write16(msg + 12 + n.len, TYPE_A);
	wire_write16(msg + 14 + n.len, CLASS_IN);
	if (query_parse(r, &q, msg, 16u + n.len, TRANSPORT_UDP, 1232) != VERDICT_ANSWER)
		fail("query_parse", 0, 0);
	query_prefetch(r, &q);
	size_t len = query_answer(r, &q, out, &rcode);

	if (rcode == RCODE_REFUSED)
		return UINT64_MAX;
	*exists = rcode == RCODE_NOERROR;
	if (rcode == RCODE_NXDOMAIN) /* serial, four numbers, the end */
		return wire_read32(out + len - 20);
	if (rcode != RCODE_NOERROR || wire_read16(out + 6) == 0)
		fail("rcode", rcode, wire_read16(out + 6));
	return wire_read32(out + len - 4);
}

struct reading {
	struct reader reader;
	unsigned seed;
	uint64_t answers;
};

static void read_burst(struct reading *rd, uint64_t *last)
{
	uint64_t version = 0;
	char qname[64];
	bool exists = false;

	reader_begin(&rd->reader);
	for (unsigned i = 0; i < BURST; i++) {
		unsigned k = (unsigned)rand_r(&rd->seed) % NAMES;

		snprintf(qname, sizeof(qname), "n%u.one.", k);
		uint64_t v = ask(&rd->reader, qname, &exists);

		if (v == UINT64_MAX) {
			if (*last)
				fail("a loaded zone is gone", *last, 0);
			continue;
		}
		if (version && v != version)
			fail("two versions in one burst", version, v);
		version = v;
		if (exists != ((k + v) % 3 != 0))
			fail("existence does not match the version", k, v);
		v = ask(&rd->reader, "x.one.", &exists);
		if (v != version)
			fail("a chain over two zones mixes versions", version, v);
		snprintf(qname, sizeof(qname), "n%u.three.", k);
		v = ask(&rd->reader, qname, &exists);
		if (v != UINT64_MAX && (v > version + 1 || exists != ((k + v) % 3 != 0)))
			fail("zone three does not match", v, version);
		rd->answers += 3;
	}
	reader_end(&rd->reader);
	if (version < *last)
		fail("a version older than one seen", version, *last);
	*last = version;
}

static void *read_loop(void *arg)
{
	struct reading *rd = arg;
	uint64_t last = 0;

	reader_online(&rd->reader);
	for (unsigned i = 0; !atomic_load_explicit(&stop, memory_order_relaxed); i++) {
		read_burst(rd, &last);
		if (i % 64 == 0) { /* as a thread that sleeps does */
			reader_offline(&rd->reader);
			reader_online(&rd->reader);
		}
	}
	reader_offline(&rd->reader);
	return NULL;
}

/* What a walk through a pinned zone meets. */
struct walk {
	uint32_t version;
	unsigned names, apex; /* owners of addresses; records of the apex */
};

static int on_record(void *arg, const uint8_t *owner, uint16_t type, uint32_t ttl,
		     const uint8_t *rdata, uint16_t len)
{
	struct walk *w = arg;

	if (type == TYPE_SOA)
		w->version = wire_read32(rdata + 2);
	if (type == TYPE_A && wire_read32(rdata) != w->version)
		fail("a pinned zone mixes versions", wire_read32(rdata), w->version);
	w->names += type == TYPE_A;
	w->apex += type == TYPE_SOA || type == TYPE_NS;
	return 0;
}

struct pinning {
	struct db *db;
	struct reader reader;
	uint64_t walks;
};

static void *pin_loop(void *arg)
{
	struct pinning *p = arg;
	struct name apex[2];
	unsigned seed = 9;

	name_from_text(&apex[0], "one.");
	name_from_text(&apex[1], "three.");
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		struct walk w = { 0, 0, 0 };
		unsigned want = 0, zone = (unsigned)rand_r(&seed) % 2;
		struct zone_pin pin;

		reader_online(&p->reader);
		reader_begin(&p->reader);

		int err = db_pin(p->db, &p->reader, &apex[zone], &pin);

		reader_end(&p->reader);
		reader_offline(&p->reader);
		if (err)
			continue;
		usleep((useconds_t)rand_r(&seed) % 5000);
		pin_walk(&pin, NULL, on_record, &w);
		db_unpin(p->db, &pin);
		for (unsigned i = 0; i < NAMES; i++)
			want += (i + w.version) % 3 != 0;
		if (w.apex != 2 || w.names != want)
			fail("a pinned zone is not whole", w.names, want);
		p->walks++;
	}
	return NULL;
}

static void run_threads(struct db *db, double seconds)
{
	struct reading rd[READERS] = { 0 };
	pthread_t thread[READERS], pinner;
	struct pinning pinning = { .db = db };
	unsigned slot[READERS + 1] = { 0 }, pins;
	uint64_t answers = 0, held;

	if (db_reader_reserve(db, (uint32_t)getpid(), STATUS_KIND_SERVE, READERS + 1, slot))
		fail("slots", 0, 0);
	reader_init(&pinning.reader, db_map(db), &db_status(db)->slot[slot[READERS]]);
	if (pthread_create(&pinner, NULL, pin_loop, &pinning))
		fail("pthread_create", READERS, 0);
	for (unsigned i = 0; i < READERS; i++) {
		rd[i].seed = i + 1;
		reader_init(&rd[i].reader, db_map(db), &db_status(db)->slot[slot[i]]);
		if (pthread_create(&thread[i], NULL, read_loop, &rd[i]))
			fail("pthread_create", i, 0);
	}
	write_until(db, now() + seconds);
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	for (unsigned i = 0; i < READERS; i++) {
		pthread_join(thread[i], NULL);
		answers += rd[i].answers;
	}
	pthread_join(pinner, NULL);
	while (db_reclaim(db))
		;
	db_pins(db, &pins, &held);
	printf("%llu answers, none mixed; %llu pinned zones read\n", (unsigned long long)answers,
	       (unsigned long long)pinning.walks);
	if (!answers || !pinning.walks || pins || held)
		fail("no answers, or pins that stay", pinning.walks, held);
}

static void stop_child(int sig)
{
	(void)sig;
	atomic_store_explicit(&stop, true, memory_order_relaxed);
}

static int child(int arena_fd, int status_fd, unsigned slot)
{
	struct reading rd = { .seed = slot + 1 };
	struct arena_map map = { 0 };
	uint32_t layout;
	struct status *status = mmap(NULL, sizeof(*status), PROT_READ | PROT_WRITE, MAP_SHARED,
				     status_fd, 0);

	if (status == MAP_FAILED || arena_map(&map, arena_fd, &layout))
		fail("map", 0, 0);
	reader_init(&rd.reader, map, &status->slot[slot]);
	read_loop(&rd);
	printf("%llu answers, none mixed\n", (unsigned long long)rd.answers);
	fflush(stdout);
	return rd.answers ? 0 : 1;
}

static void run_processes(struct db *db, double seconds)
{
	pid_t pid[READERS];
	unsigned slot[READERS] = { 0 };

	if (db_reader_reserve(db, (uint32_t)getpid(), STATUS_KIND_WORKER, READERS, slot))
		fail("slots", 0, 0);
	signal(SIGTERM, stop_child);
	for (unsigned i = 0; i < READERS; i++) {
		int fd = db_arena_fd(db);

		pid[i] = fork();
		if (pid[i] < 0 || fd < 0)
			fail("fork", i, 0);
		if (pid[i] == 0)
			_exit(child(fd, db_status_fd(db), slot[i]));
		close(fd);
	}
	write_until(db, now() + seconds);
	for (unsigned i = 0; i < READERS; i++) {
		int status = 0;

		kill(pid[i], SIGTERM);
		if (waitpid(pid[i], &status, 0) != pid[i] || status)
			fail("a reader died", i, (uint64_t)status);
	}
}

int main(int argc, char **argv)
{
	const char *env = getenv("POLLUX_LONG");
	double seconds = argc > 2 ? atof(argv[2]) : env && !strcmp(env, "1") ? 60 : 5;
	struct db *db;

	if (argc < 2 || db_create(&db, UINT64_C(64) << 20, ARENA_HUGE_NO))
		return 1;
	if (strcmp(argv[1], "processes") == 0)
		run_processes(db, seconds);
	else
		run_threads(db, seconds);
	db_destroy(db);
	return 0;
}
