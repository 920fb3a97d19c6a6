/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Zones put, replaced and dropped in every order, and looked up again: find_name
 * against a search through plain lists. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/answer/db.h"
#include "dataplane/answer/find.h"
#include "dataplane/answer/rrtype.h"

#define MIB (UINT64_C(1) << 20)

struct lab {
	struct db *db;
	struct reader reader;
};

static struct lab lab_open(uint64_t max)
{
	struct lab l;
	unsigned slot;

	cr_assert_eq(db_create(&l.db, max, ARENA_HUGE_NO), 0);
	cr_assert_eq(db_reader_reserve(l.db, 1, STATUS_KIND_SERVE, 1, &slot), 0);
	reader_init(&l.reader, db_map(l.db), &db_status(l.db)->slot[slot]);
	return l;
}

static struct name name_of(const char *text)
{
	struct name n;

	cr_assert_eq(name_from_text(&n, text), 0, "%s", text);
	return n;
}

static void add_soa(struct records *rs, const struct name *apex, uint32_t serial)
{
	uint8_t rdata[22] = { 0, 0, serial >> 24, serial >> 16, serial >> 8, serial };

	rdata[21] = 60;
	cr_assert_eq(records_add(rs, apex->wire, TYPE_SOA, 3600, rdata, 22, 0, 0), 0);
	cr_assert_eq(records_add(rs, apex->wire, TYPE_NS, 3600, (const uint8_t *)"", 1, 0, 0), 0);
}

static void add_a(struct records *rs, const struct name *owner, uint32_t address)
{
	cr_assert_eq(records_add(rs, owner->wire, TYPE_A, 300, (uint8_t *)&address, 4, 0, 0), 0);
}

static int put(struct lab *l, const struct name *apex, struct records *rs)
{
	struct txn *t = db_begin(l->db);
	uint64_t version;

	cr_assert_eq(records_sort(rs), 0);
	int err = txn_zone_put(t, apex, rs);

	if (err) {
		txn_abort(t);
		return err;
	}
	return txn_commit(t, &version);
}

static int drop(struct lab *l, const struct name *apex)
{
	struct txn *t = db_begin(l->db);
	uint64_t version;
	int err = txn_zone_drop(t, apex);

	if (err) {
		txn_abort(t);
		return err;
	}
	return txn_commit(t, &version);
}

static void reclaim(struct lab *l)
{
	for (int i = 0; i < 10000 && db_reclaim(l->db); i++)
		;
}

static uint64_t used(struct lab *l)
{
	struct arena_usage u;
	uint64_t retired;

	db_usage(l->db, &u, &retired);
	return u.used;
}

static struct found look(struct lab *l, const struct name *n, unsigned max_apex)
{
	struct found f;

	reader_begin(&l->reader);
	find_name(&l->reader, n, name_hash(arena_map_head(&l->reader.map)->secret, n->wire, n->len),
		  0, max_apex, &f);
	return f;
}

Test(db, one_zone)
{
	struct lab l = lab_open(16 * MIB);
	struct name apex = name_of("example."), www = name_of("www.a.b.example."),
		    ent = name_of("a.b.example."), not = name_of("x.y.b.example."),
		    other = name_of("example.org.");
	struct records rs;

	cr_assert_null(look(&l, &www, 127).zone);
	records_init(&rs);
	add_soa(&rs, &apex, 1);
	add_a(&rs, &www, 1);
	cr_assert_eq(put(&l, &apex, &rs), 0);

	struct found f = look(&l, &www, 127);

	cr_assert(f.exact);
	cr_assert_not_null(node_rrset(f.node, TYPE_A));
	f = look(&l, &ent, 127);
	cr_assert(f.exact);
	cr_assert_eq(f.node->rrset_cnt, 0);
	f = look(&l, &not, 127);
	cr_assert(f.zone && !f.exact);
	cr_assert_eq(f.node->labels, 2);
	cr_assert_null(look(&l, &other, 127).zone);
	cr_assert_eq(drop(&l, &apex), 0);
	cr_assert_null(look(&l, &www, 127).zone);
	cr_assert_eq(drop(&l, &apex), -ENOENT);
	records_free(&rs);
	db_destroy(l.db);
}

Test(db, refuses_what_is_no_zone)
{
	struct lab l = lab_open(16 * MIB);
	struct name apex = name_of("example."), www = name_of("www.example.");
	struct records rs;

	records_init(&rs);
	cr_assert_eq(put(&l, &apex, &rs), -EINVAL);
	add_a(&rs, &www, 1);
	cr_assert_eq(put(&l, &apex, &rs), -EINVAL);
	records_free(&rs);

	struct txn *t = db_begin(l.db);

	records_init(&rs);
	add_soa(&rs, &apex, 1);
	cr_assert_eq(records_sort(&rs), 0);
	cr_assert_eq(txn_zone_put(t, &apex, &rs), 0);
	cr_assert_eq(txn_zone_put(t, &apex, &rs), -EALREADY);
	cr_assert_eq(txn_zone_drop(t, &apex), -EALREADY);
	txn_abort(t);
	cr_assert_null(look(&l, &apex, 127).zone);
	records_free(&rs);
	db_destroy(l.db);
}

/* A full arena is an error to the writer; what stood stands, and the memory of the
 * attempt comes back. */
Test(db, arena_full)
{
	struct lab l = lab_open(4 * MIB);
	struct name small = name_of("small."), big = name_of("big."), www = name_of("www.small.");
	struct records rs, many;

	records_init(&rs);
	add_soa(&rs, &small, 1);
	add_a(&rs, &www, 1);
	cr_assert_eq(put(&l, &small, &rs), 0);
	uint64_t before = used(&l);

	records_init(&many);
	add_soa(&many, &big, 1);
	for (uint32_t i = 0; i < 60000; i++) {
		char text[64];

		snprintf(text, sizeof(text), "n%u.big.", i);
		struct name n = name_of(text);

		add_a(&many, &n, i);
	}
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(put(&l, &big, &many), -ENOSPC);
		reclaim(&l);
		cr_assert_eq(used(&l), before);
		cr_assert(look(&l, &www, 127).exact);
		cr_assert_null(look(&l, &big, 127).zone);
	}
	/* What fits still fits, at every size up to the limit. */
	for (uint32_t cnt = 1000; cnt < 60000; cnt += 1000) {
		many.cnt = cnt;
		int err = put(&l, &big, &many);

		cr_assert(err == 0 || err == -ENOSPC);
		reclaim(&l);
		cr_assert(look(&l, &www, 127).exact);
		if (err == 0) {
			cr_assert(look(&l, &big, 127).exact);
			cr_assert_eq(drop(&l, &big), 0);
			reclaim(&l);
		}
		cr_assert(used(&l) <= before + 2 * MIB);
	}
	many.cnt = 60002;
	records_free(&rs);
	records_free(&many);
	db_destroy(l.db);
}

/* ---- random zones against plain lists ---- */

#define ZONES 9
#define NAMES 40

static const char *const apexes[ZONES] = {
	".", "a.", "b.a.", "c.b.a.", "a.a.a.a.a.", "b.", "a.b.", "*.a.", "c.c.c.c.c.c.c.c.",
};

struct model {
	bool loaded;
	struct name apex;
	struct name owner[NAMES];
	unsigned cnt;
};

static struct name random_name(const struct name *below, unsigned most)
{
	static const char *const label[] = { "a", "b", "c", "*", "d" };
	char text[NAME_TEXT_MAX], all[2 * NAME_TEXT_MAX] = "", up[NAME_TEXT_MAX];

	for (unsigned n = (unsigned)rand() % (most + 1); n > 0; n--) {
		strcat(all, label[rand() % 5]);
		strcat(all, ".");
	}
	name_to_text(up, below->wire);
	snprintf(text, sizeof(text), "%.500s%.500s", all, strcmp(up, ".") || !*all ? up : "");
	return name_of(text);
}

static bool knows(const struct model *m, const uint8_t *name)
{
	for (unsigned i = 0; i < m->cnt; i++)
		if (name_within(m->owner[i].wire, name) && name_within(name, m->apex.wire))
			return true;
	return false;
}

/* What find_name must say of a name. */
static void check(struct lab *l, struct model *m, const struct name *n, unsigned max_apex)
{
	struct found f = look(l, n, max_apex);
	const struct model *zone = NULL;
	char text[NAME_TEXT_MAX];

	name_to_text(text, n->wire);
	for (unsigned i = 0; i < ZONES; i++)
		if (m[i].loaded && name_within(n->wire, m[i].apex.wire) &&
		    m[i].apex.labels <= max_apex &&
		    (!zone || m[i].apex.labels > zone->apex.labels))
			zone = &m[i];
	if (!zone) {
		cr_assert_null(f.zone, "%s", text);
		return;
	}
	cr_assert_not_null(f.zone, "%s", text);
	cr_assert_eq(f.zone->labels, zone->apex.labels, "%s", text);

	unsigned labels = n->labels;

	while (!knows(zone, n->wire + name_suffix(n, labels)))
		labels--;
	cr_assert_eq(f.exact, labels == n->labels, "%s", text);
	cr_assert_eq(f.node->labels, labels, "%s", text);
	cr_assert_eq(memcmp(f.node->name, n->wire + name_suffix(n, labels), f.node->name_len), 0);
	cr_assert_eq(arena_at(l->reader.map.base, f.node->zone), f.zone);
}

static void check_all(struct lab *l, struct model *m)
{
	for (unsigned k = 0; k < 60; k++) {
		const struct name *below = &m[rand() % ZONES].apex;
		struct name n = random_name(below, 5);

		check(l, m, &n, 127);
		if (n.labels)
			check(l, m, &n, n.labels - 1u);
	}
	for (unsigned i = 0; i < ZONES; i++)
		for (unsigned k = 0; m[i].loaded && k < m[i].cnt; k++)
			check(l, m, &m[i].owner[k], 127);
}

Test(db, random_zones, .timeout = 240)
{
	struct lab l = lab_open(64 * MIB);
	static struct model m[ZONES];

	srand(7);
	for (unsigned i = 0; i < ZONES; i++)
		m[i].apex = name_of(apexes[i]);
	uint64_t empty = used(&l);

	for (unsigned round = 0; round < 1500; round++) {
		struct txn *t = db_begin(l.db);
		struct model next[ZONES];
		uint64_t version;

		memcpy(next, m, sizeof(m));
		for (unsigned i = 0; i < ZONES; i++) {
			int what = rand() % 8;

			if (what < 2) {
				struct records rs;
				/* A change of a few names, or of all. */
				unsigned keep = next[i].loaded && what == 0 ? next[i].cnt * 9 / 10 : 1;

				records_init(&rs);
				next[i].cnt = what == 0 ? NAMES : 1 + (unsigned)rand() % NAMES;
				if (keep > next[i].cnt)
					keep = next[i].cnt;
				next[i].owner[0] = next[i].apex;
				for (unsigned k = keep; k < next[i].cnt; k++)
					next[i].owner[k] = random_name(&next[i].apex, 4);
				add_soa(&rs, &next[i].apex, round);
				for (unsigned k = 0; k < next[i].cnt; k++)
					add_a(&rs, &next[i].owner[k], k);
				cr_assert_eq(records_sort(&rs), 0);
				cr_assert_eq(txn_zone_put(t, &next[i].apex, &rs), 0);
				records_free(&rs);
				next[i].loaded = true;
			} else if (what == 2) {
				cr_assert_eq(txn_zone_drop(t, &next[i].apex),
					     next[i].loaded ? 0 : -ENOENT);
				next[i].loaded = false;
			}
		}
		if (rand() % 8 == 0) {
			txn_abort(t);
		} else if (rand() % 3 == 0) {
			/* A reader in the middle of a burst keeps its version over the commit. */
			reader_online(&l.reader);
			reader_begin(&l.reader);
			uint64_t old = l.reader.version;

			cr_assert_eq(txn_commit(t, &version), 0);
			reclaim(&l);
			for (unsigned k = 0; k < 60; k++) {
				struct name n = random_name(&m[rand() % ZONES].apex, 5);
				struct found f;

				l.reader.version = old;
				find_name(&l.reader, &n, name_hash(arena_map_head(&l.reader.map)->secret,
								   n.wire, n.len), 0, 127, &f);
				const struct model *zone = NULL;

				for (unsigned i = 0; i < ZONES; i++)
					if (m[i].loaded && name_within(n.wire, m[i].apex.wire) &&
					    (!zone || m[i].apex.labels > zone->apex.labels))
						zone = &m[i];
				cr_assert_eq(f.zone != NULL, zone != NULL);
				if (zone) {
					unsigned labels = n.labels;

					while (!knows(zone, n.wire + name_suffix(&n, labels)))
						labels--;
					cr_assert_eq(f.zone->labels, zone->apex.labels);
					cr_assert_eq(f.node->labels, labels);
					cr_assert_eq(f.exact, labels == n.labels);
				}
			}
			reader_end(&l.reader);
			reader_offline(&l.reader);
			memcpy(m, next, sizeof(m));
		} else {
			cr_assert_eq(txn_commit(t, &version), 0);
			memcpy(m, next, sizeof(m));
		}
		if (rand() % 2)
			reclaim(&l);
		check_all(&l, m);
	}

	for (unsigned i = 0; i < ZONES; i++)
		cr_assert_eq(drop(&l, &m[i].apex), m[i].loaded ? 0 : -ENOENT);
	reclaim(&l);
	reclaim(&l);
	cr_assert_eq(used(&l), empty, "every block came back");
	db_destroy(l.db);
}
