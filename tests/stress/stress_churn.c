/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stress_churn.c - RRsets of a zone are replaced, removed and added for a long time
 * at constant zone size, in commits of every size, beside a reader whose bursts last
 * for twenty commits on the average, so that memory always waits for it.
 *
 *     stress_churn [CHANGES]     (a million; ten million when POLLUX_LONG is 1)
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
#define TEXT_MAX 250   /* octets of a TXT; sizes vary over many size classes */
#define COMMIT_MAX 400 /* changes in one commit */

static struct { uint8_t len, fill; } content[NAMES]; /* len 0: not there */
static uint64_t state = 1;

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

	snprintf(text, sizeof(text), "n%05u.churn.", i);
	if (name_from_text(&n, text))
		fail("name", i, 0);
	return n;
}

static uint16_t rdata_of(unsigned i, uint8_t *rdata)
{
	rdata[0] = content[i].len;
	memset(rdata + 1, content[i].fill, content[i].len);
	return (uint16_t)(content[i].len + 1u);
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
	for (unsigned i = 0; i < NAMES; i++) {
		struct name n = owner_of(i);

		redraw(i);
		if (content[i].len &&
		    records_add(&rs, n.wire, TYPE_TXT, 60, rdata, rdata_of(i, rdata), 0, 0))
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
	unsigned first = draw(NAMES - cnt);

	/* Neighbours or spread out: in canonical order either way, each name once. */
	unsigned stride = 1 + draw((NAMES - first) / cnt);

	for (unsigned k = 0; k < cnt; k++) {
		unsigned i = first + k * stride;

		redraw(i);
		owner[k] = owner_of(i);
		rr[k] = (struct record){ .ttl = 60, .rdata = rdata[k], .rdata_len = rdata_of(i, rdata[k]) };
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

struct check { unsigned next; };

static int compare(void *arg, const uint8_t *owner, uint16_t type, uint32_t ttl,
		   const uint8_t *rdata, uint16_t len)
{
	struct check *c = arg;
	uint8_t want[256];

	if (type != TYPE_TXT)
		return 0;
	while (c->next < NAMES && !content[c->next].len)
		c->next++;
	if (c->next == NAMES || len != rdata_of(c->next, want) || memcmp(rdata, want, len) ||
	    name_cmp(owner, owner_of(c->next).wire))
		fail("a record is not what was written", c->next, len);
	c->next++;
	return 0;
}

int main(int argc, char **argv)
{
	const char *env = getenv("POLLUX_LONG");
	uint64_t changes = argc > 1 ? strtoull(argv[1], NULL, 10) :
			   env && !strcmp(env, "1") ? 10000000 : 1000000;
	struct arena_usage begin, early = { 0 }, end;
	uint64_t retired, done = 0, commits = 0;
	unsigned slot[2] = { 0 };
	struct reader self, other;
	struct name apex;
	struct db *db = NULL;

	if (name_from_text(&apex, "churn.") || db_create(&db, UINT64_C(256) << 20, ARENA_HUGE_NO) ||
	    db_reader_reserve(db, (uint32_t)getpid(), STATUS_KIND_SERVE, 2, slot))
		fail("no database", 0, 0);
	load(db, &apex);
	reader_init(&self, db_map(db), &db_status(db)->slot[slot[0]]);
	reader_init(&other, db_map(db), &db_status(db)->slot[slot[1]]);
	db_usage(db, &begin, &retired);
	reader_online(&other);
	while (done < changes) {
		unsigned cnt = draw(4) ? 1 + draw(8) : 1 + draw(COMMIT_MAX);

		commit_some(db, &apex, cnt);
		done += cnt;
		commits++;
		if (draw(20) == 0)
			reader_end(&other);
		if (!early.held && done > changes / 10)
			db_usage(db, &early, &retired);
	}
	reader_offline(&other);
	while (db_reclaim(db))
		;
	db_usage(db, &end, &retired);
	printf("%llu changes in %llu commits: used %llu -> %llu KiB, held %llu -> %llu -> %llu KiB, "
	       "backed %llu -> %llu KiB, %llu retired\n", (unsigned long long)done,
	       (unsigned long long)commits, (unsigned long long)begin.used >> 10,
	       (unsigned long long)end.used >> 10, (unsigned long long)begin.held >> 10,
	       (unsigned long long)early.held >> 10, (unsigned long long)end.held >> 10, (unsigned long long)begin.fill >> 10,
	       (unsigned long long)end.fill >> 10, (unsigned long long)retired);

	fflush(stdout);

	struct check c = { 0 };

	reader_begin(&self);
	if (reader_walk(&self, &apex, NULL, compare, &c))
		fail("walk", 0, 0);
	while (c.next < NAMES && !content[c.next].len)
		c.next++;
	if (c.next != NAMES)
		fail("records are missing", c.next, 0);
	if (end.used > begin.used + begin.used / 10)
		fail("memory creeps: used", begin.used, end.used);
	if (end.held > early.held + early.held / 10 + (1 << 20))
		fail("memory creeps: held", early.held, end.held);
	db_destroy(db);
	return 0;
}
