/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stress_churn.c - RRsets of a zone are replaced, removed and added for a long time
 * at constant zone size, in commits of every size, beside a reader whose bursts last
 * for twenty commits on the average, so that memory always waits for it.  Behind that come
 * a quarter as many changes while the zone is pinned now and then, as for a transfer: a thousand
 * commits later it must still read as it was.
 *
 *     stress_churn [CHANGES [NAMES]]   (a million; ten million when POLLUX_LONG is 1)
 *
 * Memory must not creep: at the end the arena uses at most a tenth more than where it
 * began, and the chunks that hold it are at most a tenth more than when a tenth of the
 * changes was done, but for 1 MiB (a zone just loaded is packed, one that changes is not).
 * Everything reads back as it was written. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/answer/db.h"
#include "dataplane/answer/rrtype.h"

#define NAMES 100000
#define NAMES_MAX 4000000
#define PINNED_COMMITS 1500 /* at most, from a pin to the reading of what was pinned */
#define TEXT_MAX 250   /* octets of a TXT; sizes vary over many size classes */
#define COMMIT_MAX 400 /* changes in one commit */

struct content { uint8_t len, fill; }; /* len 0: not there */

static struct content *content, *pinned; /* of each name: now, and when the zone was pinned */
static unsigned names = NAMES;
static uint64_t state = 1, total, total_commits; /* changes so far */

static unsigned draw(unsigned below) /* xorshift64* */
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (unsigned)((state * UINT64_C(2685821657736338717)) >> 33) % below;
}

static void fail(const char *what, uint64_t a, uint64_t b)
{
	fprintf(stderr, "FAIL: %s (%llu, %llu)\n", what, (unsigned long long)a,
		(unsigned long long)b);
	abort();
}

static struct name owner_of(unsigned i)
{
	char text[32];
	struct name n;

	snprintf(text, sizeof(text), "n%07u.churn.", i);
	if (name_from_text(&n, text))
		fail("name", i, 0);
	return n;
}

static uint16_t rdata_of(const struct content *c, uint8_t *rdata)
{
	rdata[0] = c->len;
	memset(rdata + 1, c->fill, c->len);
	return (uint16_t)(c->len + 1u);
}

/* Half of the names are there on the average. */
static void redraw(unsigned i)
{
	content[i].len = draw(2) ? (uint8_t)(1 + draw(TEXT_MAX)) : 0;
	content[i].fill = (uint8_t)('a' + draw(26));
}

static void load(struct db *db, const struct name *apex)
{
	static const uint8_t soa[22];
	uint8_t rdata[256];
	struct records rs;
	uint64_t version;

	records_init(&rs);
	if (records_add(&rs, apex->wire, TYPE_SOA, 60, soa, sizeof(soa), 0, 0) ||
	    records_add(&rs, apex->wire, TYPE_NS, 60, soa, 1, 0, 0))
		fail("memory", 0, 0);
	for (unsigned i = 0; i < names; i++) {
		struct name n = owner_of(i);

		redraw(i);
		if (content[i].len &&
		    records_add(&rs, n.wire, TYPE_TXT, 60, rdata, rdata_of(&content[i], rdata), 0, 0))
			fail("memory", 0, 0);
	}
	struct txn *t = db_begin(db);

	if (records_sort(&rs) || txn_zone_put(t, apex, &rs) || txn_commit(t, &version))
		fail("load", 0, 0);
	records_free(&rs);
}

static void commit_some(struct db *db, const struct name *apex, unsigned cnt)
{
	static struct rrset_change ch[COMMIT_MAX];
	static struct record rr[COMMIT_MAX];
	static struct name owner[COMMIT_MAX];
	static uint8_t rdata[COMMIT_MAX][256];
	uint64_t version;
	unsigned first = draw(names - cnt);

	/* Neighbours or spread out: in canonical order either way, each name once. */
	unsigned stride = 1 + draw((names - first) / cnt);

	for (unsigned k = 0; k < cnt; k++) {
		unsigned i = first + k * stride;

		redraw(i);
		owner[k] = owner_of(i);
		rr[k] = (struct record){ .ttl = 60, .rdata = rdata[k], .rdata_len = rdata_of(&content[i], rdata[k]) };
		ch[k] = (struct rrset_change){ .owner = owner[k].wire, .type = TYPE_TXT, .rr = &rr[k],
					       .rr_cnt = content[i].len != 0 };
	}
	struct txn *t = db_begin(db);
	int err = txn_change(t, apex, ch, cnt, NULL, NULL);

	if (!err)
		err = txn_commit(t, &version);
	if (err)
		fail("commit", (uint64_t)-err, cnt);
	while (db_reclaim(db))
		;
}

struct check {
	const struct content *content;
	unsigned next;
};

static int compare(void *arg, const uint8_t *owner, uint16_t type, uint32_t ttl,
		   const uint8_t *rdata, uint16_t len)
{
	struct check *c = arg;
	uint8_t want[256];

	if (type != TYPE_TXT)
		return 0;
	while (c->next < names && !c->content[c->next].len)
		c->next++;
	if (c->next == names || len != rdata_of(&c->content[c->next], want) || memcmp(rdata, want, len) ||
	    name_cmp(owner, owner_of(c->next).wire))
		fail("a record is not what was written", c->next, len);
	c->next++;
	return 0;
}

static void check_end(struct check *c)
{
	while (c->next < names && !c->content[c->next].len)
		c->next++;
	if (c->next != names)
		fail("records are missing", c->next, 0);
}

/* Pins the zone, or reads what was pinned so many commits ago and lets go of it. */
static void pin_or_read(struct db *db, struct reader *r, const struct name *apex, struct zone_pin *pin,
			unsigned *commits)
{
	struct check c = { pinned, 0 };

	if (*commits > 0 && --*commits > 0)
		return;
	if (pin->snapshot) {
		if (pin_walk(pin, NULL, compare, &c))
			fail("walk of what is pinned", 0, 0);
		check_end(&c);
		db_unpin(db, pin);
		pin->snapshot = 0;
	} else {
		reader_online(r);
		reader_begin(r);
		if (db_pin(db, r, apex, pin))
			fail("pin", 0, 0);
		reader_end(r);
		reader_offline(r);
		memcpy(pinned, content, names * sizeof(*pinned));
	}
	*commits = 1 + draw(PINNED_COMMITS);
}

/* So many changes.  pinning: who pins meanwhile, or NULL. */
static void churn(struct db *db, const struct name *apex, struct reader *other, uint64_t changes,
		  struct reader *pinning)
{
	struct zone_pin pin = { 0 };
	unsigned commits = 1;
	uint64_t done = 0;

	while (done < changes || pin.snapshot) {
		unsigned cnt = draw(4) ? 1 + draw(8) : 1 + draw(COMMIT_MAX);

		commit_some(db, apex, cnt);
		done += cnt;
		total += cnt;
		total_commits++;
		if (pinning)
			pin_or_read(db, pinning, apex, &pin, &commits);
		if (draw(20) == 0)
			reader_end(other);
	}
}

/* early: where the chunks should be, or NULL: where they are depends on what was pinned. */
static void check_memory(struct db *db, struct reader *other, const struct arena_usage *begin,
			 const struct arena_usage *early)
{
	struct arena_usage end;
	uint64_t retired, held;
	unsigned pins;

	reader_offline(other);
	while (db_reclaim(db))
		;
	db_usage(db, &end, &retired);
	db_pins(db, &pins, &held);
	printf("%llu changes in %llu commits: used %llu -> %llu KiB, held %llu -> %llu -> %llu KiB, "
	       "backed %llu -> %llu KiB, %llu retired\n", (unsigned long long)total,
	       (unsigned long long)total_commits, (unsigned long long)begin->used >> 10,
	       (unsigned long long)end.used >> 10, (unsigned long long)begin->held >> 10,
	       (unsigned long long)(early ? early->held >> 10 : 0), (unsigned long long)end.held >> 10,
	       (unsigned long long)begin->fill >> 10, (unsigned long long)end.fill >> 10,
	       (unsigned long long)retired);
	fflush(stdout);
	if (retired || held || pins)
		fail("memory waits for nobody", retired, held);
	if (end.used > begin->used + begin->used / 10)
		fail("memory creeps: used", begin->used, end.used);
	if (early && end.held > early->held + early->held / 10 + (1 << 20))
		fail("memory creeps: held", early->held, end.held);
}

int main(int argc, char **argv)
{
	const char *env = getenv("POLLUX_LONG");
	uint64_t changes = argc > 1 ? strtoull(argv[1], NULL, 10) :
			   env && !strcmp(env, "1") ? 10000000 : 1000000;
	struct arena_usage begin, early;
	unsigned slot[2] = { 0 };
	uint64_t retired;
	struct reader self, other;
	struct name apex;
	struct db *db = NULL;

	if (argc > 2)
		names = (unsigned)strtoul(argv[2], NULL, 10);
	content = malloc(names * sizeof(*content));
	pinned = malloc(names * sizeof(*pinned));
	if (names < 2 * COMMIT_MAX || names > NAMES_MAX || !content || !pinned)
		fail("names", names, 0);
	if (name_from_text(&apex, "churn.") || db_create(&db, UINT64_C(2) << 30, ARENA_HUGE_NO) ||
	    db_reader_reserve(db, (uint32_t)getpid(), STATUS_KIND_SERVE, 2, slot))
		fail("no database", 0, 0);
	load(db, &apex);
	reader_init(&self, db_map(db), &db_status(db)->slot[slot[0]]);
	reader_init(&other, db_map(db), &db_status(db)->slot[slot[1]]);
	db_usage(db, &begin, &retired);
	reader_online(&other);
	churn(db, &apex, &other, changes / 10, NULL);
	db_usage(db, &early, &retired);
	churn(db, &apex, &other, changes - changes / 10, NULL);
	check_memory(db, &other, &begin, &early);
	reader_online(&other);
	churn(db, &apex, &other, changes / 4, &self);
	check_memory(db, &other, &begin, NULL);

	struct check c = { content, 0 };

	reader_begin(&self);
	if (reader_walk(&self, &apex, NULL, compare, &c))
		fail("walk", 0, 0);
	check_end(&c);
	db_destroy(db);
	free(content);
	free(pinned);
	return 0;
}
