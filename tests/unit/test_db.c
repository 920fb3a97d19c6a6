/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Zones put, replaced and dropped in every order, and looked up again: find_name
 * against a search through plain lists. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/answer/db.h"
#include "dataplane/answer/db_diff.h"
#include "dataplane/answer/db_private.h"
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

/* Buckets that others have overflown into stay until the table is made anew.  How many there are
 * depends on the secret. */
static uint64_t overflow(struct lab *l)
{
	const struct table *t = l->db->table.table;
	uint64_t octets = 0;

	for (uint64_t i = 0; i <= t->mask; i++) {
		const struct bucket *b = &t->bucket[i];

		while ((ref)b->more) {
			b = arena_at(l->db->base, (ref)b->more);
			octets += sizeof(*b);
		}
	}
	return octets;
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

/* Memory is there, but no larger table fits: names go on into further buckets, up to a limit. */
Test(db, table_that_cannot_grow)
{
	static const uint32_t sizes[] = {3000, 5000, 8000};
	struct lab l = lab_open(16 * MIB);
	struct name apex = name_of("zone."), n;
	struct records rs;
	size_t eaten = 0;
	ref eat[256];
	char text[64];

	records_init(&rs);
	add_soa(&rs, &apex, 1);
	for (uint32_t i = 0; i < 9000; i++) {
		snprintf(text, sizeof(text), "n%04u.zone.", i);
		n = name_of(text);
		add_a(&rs, &n, i);
	}
	cr_assert_eq(records_sort(&rs), 0);
	rs.cnt = 1000;
	cr_assert_eq(put(&l, &apex, &rs), 0);

	uint64_t mask = l.db->table.table->mask;

	/* Each second chunk of the arena is free. */
	while (eaten < 256 && (eat[eaten] = arena_alloc(l.db->arena, 60000)))
		eaten++;
	cr_assert_gt(eaten, 100);
	for (size_t i = 0; i < eaten; i += 2)
		arena_free(l.db->arena, eat[i]);
	for (size_t i = 0; i < 3; i++) {
		rs.cnt = sizes[i];
		cr_assert_eq(put(&l, &apex, &rs), 0, "%u", sizes[i]);
		reclaim(&l);
		cr_expect_eq(l.db->table.table->mask, mask);
		cr_expect(db_crowded(l.db));
		for (size_t k = 0; k < rs.cnt; k++) {
			name_from_wire(&n, rs.rr[k].owner, NAME_MAX_LEN);
			cr_assert(look(&l, &n, 127).exact);
		}
	}
	rs.cnt = 9000;
	cr_expect_eq(put(&l, &apex, &rs), -ENOSPC, "names without end in a bucket");
	reclaim(&l);
	cr_expect(db_crowded(l.db));
	cr_expect(look(&l, &n, 127).exact);

	/* When there is memory again it grows, also at a change that brings no names. */
	for (size_t i = 1; i < eaten; i += 2)
		arena_free(l.db->arena, eat[i]);
	rs.cnt = 8000;
	cr_assert_eq(put(&l, &apex, &rs), 0);
	cr_expect_not(db_crowded(l.db));
	cr_expect_geq(l.db->table.table->mask + 1, 8000 / 4);
	cr_expect(look(&l, &n, 127).exact);
	rs.cnt = 9002;
	records_free(&rs);
	db_destroy(l.db);
}

/* A table that is larger than it needs to be is made smaller when there is room for the smaller one
 * beside it: to lack that is no reason to refuse a change. */
Test(db, table_too_large_in_a_full_arena)
{
	static const uint8_t filler[12000];
	struct lab l = lab_open(4 * MIB);
	struct name small = name_of("small."), big = name_of("big."), last;
	struct records rs, many;
	int err = -ENOSPC;

	records_init(&many);
	add_soa(&many, &big, 1);
	for (uint32_t i = 0; i < 20000; i++) {
		char text[64];

		snprintf(text, sizeof(text), "n%u.big.", i);
		struct name n = name_of(text);

		add_a(&many, &n, i);
	}
	records_init(&rs);
	add_soa(&rs, &small, 1);
	cr_assert_eq(put(&l, &small, &rs), 0);
	cr_assert_eq(put(&l, &big, &many), 0);
	cr_assert_eq(drop(&l, &big), 0);
	reclaim(&l);

	uint64_t large = l.db->table.table->mask;

	/* As many names as can be staged. */
	for (uint32_t i = 0; i < 400; i++) {
		char text[64];

		snprintf(text, sizeof(text), "n%04u.small.", i);
		last = name_of(text);
		cr_assert_eq(records_add(&rs, last.wire, 65280, 60, filler, sizeof(filler), 0, 0), 0);
	}
	cr_assert_eq(records_sort(&rs), 0);
	while (err == -ENOSPC) {
		struct txn *t = db_begin(l.db);
		uint64_t version;

		rs.cnt--;
		err = txn_zone_put(t, &small, &rs);
		if (err)
			txn_abort(t);
		else
			cr_assert_eq(txn_commit(t, &version), 0);
	}
	cr_assert_eq(err, 0);
	cr_assert_eq(l.db->table.table->mask, large);
	name_from_wire(&last, rs.rr[rs.cnt - 1].owner, NAME_MAX_LEN);
	cr_assert(look(&l, &last, 127).exact);
	cr_assert_gt(rs.cnt, 100);
	reclaim(&l);
	rs.cnt = 3;
	cr_assert_eq(put(&l, &small, &rs), 0);
	reclaim(&l);
	cr_assert_eq(put(&l, &small, &rs), 0);
	cr_assert_lt(l.db->table.table->mask, large);
	name_from_wire(&last, rs.rr[2].owner, NAME_MAX_LEN);
	cr_assert(look(&l, &last, 127).exact);
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
	cr_assert_eq(used(&l) - overflow(&l), empty, "every block came back");
	db_destroy(l.db);
}

/* ---- single RRsets changed, against the whole zone put ---- */

#define SETS 60

static const uint16_t change_types[] = { TYPE_A, TYPE_NS, TYPE_DNAME, TYPE_CNAME, TYPE_RRSIG, TYPE_TXT };

struct set_model {
	bool there;
	struct name owner;
	uint16_t type;
	unsigned char value;
};

static uint16_t set_rdata(const struct set_model *m, uint8_t *rdata)
{
	static const uint8_t sig[18] = { 0, TYPE_A };

	switch (m->type) {
	case TYPE_A:
		memcpy(rdata, (uint8_t[4]){ 192, 0, 2, m->value }, 4);
		return 4;
	case TYPE_TXT:
		memcpy(rdata, (uint8_t[2]){ 1, m->value }, 2);
		return 2;
	case TYPE_RRSIG: /* the signer is the root */
		memcpy(rdata, sig, 18);
		rdata[18] = 0;
		rdata[19] = m->value;
		return 20;
	default:
		memcpy(rdata, (uint8_t[3]){ 1, m->value, 0 }, 3);
		return 3;
	}
}

static void model_records(const struct set_model *m, const struct name *apex, uint32_t serial,
			  struct records *rs)
{
	uint8_t rdata[32];

	records_init(rs);
	add_soa(rs, apex, serial);
	for (unsigned i = 0; i < SETS; i++)
		if (m[i].there)
			cr_assert_eq(records_add(rs, m[i].owner.wire, m[i].type, 60, rdata,
						 set_rdata(&m[i], rdata), 0, 0), 0);
	cr_assert_eq(records_sort(rs), 0);
}

static int change_cmp(const void *a, const void *b)
{
	const struct rrset_change *x = a, *y = b;
	int c = name_cmp(x->owner, y->owner);

	return c ? c : (int)x->type - (int)y->type;
}

/* A change must leave exactly what a put of the whole zone would: the put that follows
 * finds nothing to do. */
Test(db, change_equals_put, .timeout = 240)
{
	struct lab l = lab_open(32 * MIB);
	static struct set_model m[SETS];
	struct name apex = name_of("z.");
	struct records rs;
	uint32_t serial = 7;
	uint64_t version, empty = used(&l);

	srand(11);
	for (unsigned i = 0; i < SETS; i++) {
		bool again;

		do { /* each (owner, type) once; not the apex's NS */
			m[i].owner = random_name(&apex, 4);
			m[i].type = change_types[rand() % 6];
			again = m[i].owner.labels == 1 && m[i].type == TYPE_NS;
			for (unsigned k = 0; k < i; k++)
				again |= m[k].type == m[i].type &&
					 name_cmp(m[k].owner.wire, m[i].owner.wire) == 0;
		} while (again);
	}
	model_records(m, &apex, serial, &rs);
	cr_assert_eq(put(&l, &apex, &rs), 0);
	records_free(&rs);

	for (unsigned round = 0; round < 3000; round++) {
		struct rrset_change ch[SETS];
		struct record rr[SETS];
		uint8_t rdata[SETS][32];
		struct set_model next[SETS];
		size_t cnt = 0;
		struct txn *t = db_begin(l.db);

		memcpy(next, m, sizeof(m));
		for (unsigned n = 1 + (unsigned)rand() % (rand() % 8 ? 3 : SETS); n > 0; n--) {
			unsigned i = (unsigned)rand() % SETS;
			bool twice = false;

			for (size_t k = 0; k < cnt; k++)
				twice |= ch[k].owner == next[i].owner.wire;
			if (twice)
				continue;
			next[i].there = rand() % 2;
			next[i].value = 'a' + (unsigned char)(rand() % 3);
			rr[cnt] = (struct record){ .ttl = 60, .rdata = rdata[cnt],
						   .rdata_len = set_rdata(&next[i], rdata[cnt]) };
			ch[cnt] = (struct rrset_change){ .owner = next[i].owner.wire, .type = next[i].type,
							 .rr = &rr[cnt], .rr_cnt = next[i].there };
			cnt++;
		}
		qsort(ch, cnt, sizeof(ch[0]), change_cmp);
		cr_assert_eq(txn_change(t, &apex, ch, cnt, NULL, NULL), 0);
		if (rand() % 5 == 0) {
			txn_abort(t);
		} else {
			cr_assert_eq(txn_commit(t, &version), 0);
			memcpy(m, next, sizeof(m));
			serial++;
		}

		model_records(m, &apex, serial, &rs);
		t = db_begin(l.db);
		cr_assert_eq(txn_zone_put(t, &apex, &rs), 0);
		cr_assert_eq(t->added.cnt + t->changed.cnt + t->removed.cnt, 0, "round %u", round);

		const struct snapshot *now = arena_at(l.reader.map.base, t->op[0].snapshot);
		const struct snapshot *was = arena_at(l.reader.map.base, t->op[0].old);

		cr_assert_eq(now->names, was->names);
		cr_assert_eq(now->records, was->records);
		cr_assert_eq(now->serial, was->serial);
		cr_assert_eq(now->apex, was->apex);
		txn_abort(t);
		records_free(&rs);
		for (unsigned k = 0; k < 4; k++) {
			struct name n = random_name(&apex, 4);

			look(&l, &n, 127);
		}
		if (rand() % 3 == 0)
			reclaim(&l);
	}
	cr_assert_eq(drop(&l, &apex), 0);
	reclaim(&l);
	reclaim(&l);
	cr_assert_eq(used(&l) - overflow(&l), empty);
	db_destroy(l.db);
}

Test(db, change_refused)
{
	struct lab l = lab_open(16 * MIB);
	struct name apex = name_of("z."), out = name_of("y.");
	struct records rs;

	records_init(&rs);
	add_soa(&rs, &apex, 1);
	cr_assert_eq(put(&l, &apex, &rs), 0);
	records_free(&rs);

	const struct rrset_change all = { .owner = apex.wire, .type = TYPE_ANY },
		soa = { .owner = apex.wire, .type = TYPE_SOA },
		outside = { .owner = out.wire, .type = TYPE_A };
	struct { const struct rrset_change *c; const struct name *zone; int err; } cases[] = {
		{ &all, &apex, -EINVAL }, { &soa, &apex, -EINVAL },
		{ &outside, &apex, -ERANGE }, { &outside, &out, -ENOENT },
	};
	for (unsigned i = 0; i < 4; i++) {
		struct txn *t = db_begin(l.db);

		cr_assert_eq(txn_change(t, cases[i].zone, cases[i].c, 1, NULL, NULL), cases[i].err, "%u", i);
		txn_abort(t);
	}
	cr_assert(look(&l, &apex, 127).exact);
	db_destroy(l.db);
}

/* What was prepared and is given up leaves neither names nor memory behind. */
Test(db, prepared_and_aborted)
{
	struct lab l = lab_open(16 * MIB);
	struct name apex = name_of("z."), other = name_of("deep.below.other."), a = name_of("a.z."),
		    b = name_of("b.c.z.");
	const uint8_t address[4] = { 192, 0, 2, 1 };
	struct record rr = { .ttl = 300, .type = TYPE_A, .rdata = address, .rdata_len = 4 };
	struct rrset_change ch = { .owner = b.wire, .type = TYPE_A, .rr = &rr, .rr_cnt = 1 };
	struct records rs, more;
	uint64_t before = 0, version;

	records_init(&rs);
	records_init(&more);
	add_soa(&rs, &apex, 1);
	add_a(&rs, &a, 1);
	cr_assert_eq(put(&l, &apex, &rs), 0);
	add_soa(&more, &other, 1);
	cr_assert_eq(records_sort(&more), 0);
	for (unsigned i = 0; i < 50; i++) {
		struct txn *t = db_begin(l.db);

		cr_assert_eq(txn_change(t, &apex, &ch, 1, NULL, NULL), 0);
		cr_assert_eq(txn_zone_put(t, &other, &more), 0);
		cr_assert_eq(txn_prepare(t), 0);
		txn_abort(t);
		reclaim(&l);
		reclaim(&l);
		if (i == 0)
			before = used(&l);
		cr_assert_eq(used(&l), before, "round %u", i);
		cr_assert(!look(&l, &b, 127).exact);
		cr_assert_null(look(&l, &other, 127).zone);
	}

	struct txn *t = db_begin(l.db);

	cr_assert_eq(txn_change(t, &apex, &ch, 1, NULL, NULL), 0);
	cr_assert_eq(txn_zone_put(t, &other, &more), 0);
	cr_assert_eq(txn_prepare(t), 0);
	cr_assert_eq(txn_commit(t, &version), 0);
	cr_assert(look(&l, &b, 127).exact);
	cr_assert(look(&l, &other, 127).exact);
	records_free(&rs);
	records_free(&more);
	db_destroy(l.db);
}

/* All readers may be offline at one look at their slots and one online before the next: what
 * a reclamation takes out of the table may be freed by a later look only. */
Test(db, unlinked_and_freed_on_different_looks)
{
	struct lab l = lab_open(16 * MIB);
	struct name apex = name_of("z."), a = name_of("a.z.");
	struct arena_usage u;
	struct records rs;
	uint64_t retired;

	for (unsigned dropped = 0; dropped < 2; dropped++) {
		records_init(&rs);
		add_soa(&rs, &apex, 1);
		add_a(&rs, &a, 1);
		cr_assert_eq(put(&l, &apex, &rs), 0);
		records_free(&rs);
		reclaim(&l);
		if (dropped) {
			cr_assert_eq(drop(&l, &apex), 0);
		} else {
			records_init(&rs);
			add_soa(&rs, &apex, 1);
			cr_assert_eq(put(&l, &apex, &rs), 0);
			records_free(&rs);
		}
		cr_assert(db_reclaim(l.db), "unlinked, and to be freed at once");
		db_usage(l.db, &u, &retired);
		cr_assert_gt(retired, 0);
		reclaim(&l);
		db_usage(l.db, &u, &retired);
		cr_assert_eq(retired, 0);
	}
	db_destroy(l.db);
}

/* A wildcard below the longest name would be no name. */
Test(db, change_of_a_name_of_127_labels)
{
	struct lab l = lab_open(16 * MIB);
	struct name apex = name_of("z."), longest;
	const uint8_t address[4] = { 192, 0, 2, 1 };
	const struct record rr = { .ttl = 300, .type = TYPE_A, .rdata = address, .rdata_len = 4 };
	char text[2 * NAME_MAX_LABELS + 1];
	struct records rs;
	uint64_t version;

	for (unsigned i = 0; i < NAME_MAX_LABELS; i++)
		memcpy(text + 2 * i, i + 1 < NAME_MAX_LABELS ? "a." : "z.", 3);
	longest = name_of(text);
	cr_assert_eq(longest.labels, NAME_MAX_LABELS);
	records_init(&rs);
	add_soa(&rs, &apex, 1);
	cr_assert_eq(put(&l, &apex, &rs), 0);
	records_free(&rs);

	struct txn *t = db_begin(l.db);
	const struct rrset_change ch = { .owner = longest.wire, .type = TYPE_A, .rr = &rr, .rr_cnt = 1 };

	cr_assert_eq(txn_change(t, &apex, &ch, 1, NULL, NULL), 0);
	cr_assert_eq(txn_commit(t, &version), 0);
	cr_assert(look(&l, &longest, 127).exact);
	db_destroy(l.db);
}

struct sum {
	unsigned records;
	uint32_t addresses;
};

static int add_up(void *arg, const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
		  uint16_t len)
{
	struct sum *s = arg;

	s->records++;
	if (type == TYPE_A)
		s->addresses += (uint32_t)rdata[0] | (uint32_t)rdata[1] << 8;
	return 0;
}

/* 100 names n0 to n99, whose addresses begin with `first`. */
static void put_hundred(struct lab *l, const struct name *apex, uint32_t first)
{
	struct records rs;

	records_init(&rs);
	add_soa(&rs, apex, first);
	for (unsigned i = 0; i < 100; i++) {
		char text[NAME_TEXT_MAX], owner[NAME_TEXT_MAX + 16];
		struct name n;

		snprintf(owner, sizeof(owner), "n%u.%s", i, name_to_text(text, apex->wire));
		n = name_of(owner);
		add_a(&rs, &n, first + i);
	}
	cr_assert_eq(put(l, apex, &rs), 0);
	records_free(&rs);
}

static struct sum pinned_sum(const struct zone_pin *pin)
{
	struct sum s = { 0, 0 };

	cr_assert_eq(pin_walk(pin, NULL, add_up, &s), 0);
	return s;
}

static void pin_now(struct lab *l, const struct name *apex, struct zone_pin *pin)
{
	reader_online(&l->reader);
	reader_begin(&l->reader);
	cr_assert_eq(db_pin(l->db, &l->reader, apex, pin), 0);
	reader_end(&l->reader);
	reader_offline(&l->reader);
}

Test(db, a_pinned_zone_stays)
{
	struct lab l = lab_open(16 * MIB);
	struct name a = name_of("a."), b = name_of("b."), one = name_of("n7.a.");
	struct zone_pin first, second, third;
	uint64_t held, at_start, after;
	struct sum s = { 0, 0 };
	unsigned pins;

	reader_begin(&l.reader);
	cr_assert_eq(db_pin(l.db, &l.reader, &a, &first), -ENOENT);
	put_hundred(&l, &a, 1);
	put_hundred(&l, &b, 1);
	reclaim(&l);
	at_start = used(&l);
	pin_now(&l, &a, &first);

	/* Another zone's memory is reclaimed as ever. */
	for (unsigned i = 2; i < 50; i++) {
		put_hundred(&l, &b, i);
		reclaim(&l);
	}
	db_pins(l.db, &pins, &held);
	cr_assert(pins == 1 && held == 0);
	cr_assert_leq(used(&l), at_start + 1024);

	/* Of the pinned one what stood then is kept, but not what comes and goes. */
	put_hundred(&l, &a, 1000);
	reclaim(&l);
	pin_now(&l, &a, &second);
	after = used(&l);
	for (unsigned i = 2000; i < 2050; i++) {
		put_hundred(&l, &a, i);
		reclaim(&l);
	}
	cr_assert_lt(used(&l), after + 2 * (after - at_start));
	pin_now(&l, &a, &third);
	cr_assert_eq(drop(&l, &a), 0);
	reclaim(&l);
	reclaim(&l);
	cr_assert_null(look(&l, &one, 127).zone);

	cr_assert_eq(pinned_sum(&first).addresses, 100 * 1 + 4950);
	cr_assert_eq(pinned_sum(&second).addresses, 100 * 1000 + 4950);
	cr_assert_eq(pinned_sum(&third).addresses, 100 * 2049 + 4950);
	cr_assert_eq(pinned_sum(&third).records, 102);
	cr_assert_eq(pin_walk(&first, &one, add_up, &s), 0);
	cr_assert(s.records == 1 && s.addresses == 8);

	/* Each lets go of its own. */
	db_unpin(l.db, &first);
	reclaim(&l);
	cr_assert_eq(pinned_sum(&second).addresses, 100 * 1000 + 4950);
	db_unpin(l.db, &third);
	reclaim(&l);
	cr_assert_eq(pinned_sum(&second).addresses, 100 * 1000 + 4950);
	db_unpin(l.db, &second);
	reclaim(&l);
	db_pins(l.db, &pins, &held);
	cr_assert(pins == 0 && held == 0);

	struct arena_usage u;
	uint64_t retired;

	db_usage(l.db, &u, &retired);
	cr_assert_eq(retired, 0);
	cr_assert_lt(u.used, at_start);
	db_destroy(l.db);
}

/* Another program must not read what it knows in another form: whoever has to change a number
 * here raises the layout's first.  (What is moved within a struct is not seen.) */
Test(db, layout_has_a_number)
{
	cr_expect_eq(ARENA_LAYOUT, 6);
	cr_expect_eq(sizeof(struct arena_head), 320);
	cr_expect_eq(sizeof(struct bucket), 64);
	cr_expect_eq(sizeof(struct table), 64);
	cr_expect_eq(sizeof(struct settings), 550);
	cr_expect_eq(sizeof(struct zone), 24);
	cr_expect_eq(sizeof(struct snapshot), 72);
	cr_expect_eq(sizeof(struct denial_chains), 72);
	cr_expect_eq(sizeof(struct nsec3_chain), 4);
	cr_expect_eq(sizeof(struct node), 40);
	cr_expect_eq(sizeof(struct rrset), 20);
	cr_expect_eq(sizeof(struct glue_ref), 16);

	cr_expect_eq(STATUS_LAYOUT, 3);
	cr_expect_eq(sizeof(struct status_slot), 97600);
}

/* ---- db_diff.h ---- */

/* A zone of a few names with random records in random order, some twice, some with another TTL. */
static void random_zone(struct records *rs, const struct name *apex, uint32_t serial)
{
	static const char *const names[] = { "example.", "a.example.", "b.a.example.", "*.b.a.example.",
		"c.d.e.example.", "x.c.d.e.example.", "f.example.", "g.f.example.", "h.example." };

	records_init(rs);
	for (unsigned i = 0; i < 25; i++) {
		struct name owner = name_of(names[(unsigned)random() % 9]);
		unsigned kind = (unsigned)random() % 8;
		uint32_t ttl = random() % 20 ? 300 : 301;
		uint8_t rdata[] = { 1, random() % 2 ? 'n' : 'N', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0 };

		if (i == 7)
			add_soa(rs, apex, serial);
		if (kind < 5) /* as may stand beside each other */
			add_a(rs, &owner, (uint32_t)random() % 4);
		else if (kind < 7)
			cr_assert_eq(records_add(rs, owner.wire, kind == 5 ? TYPE_NS : TYPE_PTR, ttl, rdata,
						 sizeof(rdata), 0, 0), 0);
		else
			cr_assert_eq(records_add(rs, owner.wire, TYPE_TXT, ttl, rdata, 2, 0, 0), 0);
	}
}

static int put_diff(struct lab *l, const struct name *apex, const struct records *rs)
{
	const struct rrset_change *c;
	struct zone_diff *d;
	uint64_t version;
	size_t cnt;
	int err = zone_diff_open(&d, l->db, apex);

	cr_assert_eq(err, 0);
	for (size_t i = 0; !err && i < rs->cnt; i++)
		err = zone_diff_add(d, &rs->rr[i]);
	if (!err)
		err = zone_diff_end(d, &c, &cnt);
	if (!err) {
		struct txn *t = db_begin(l->db);

		cr_assert_eq(txn_change(t, apex, c, cnt, NULL, NULL), 0);
		cr_assert_eq(txn_commit(t, &version), 0);
	}
	zone_diff_free(d);
	return err;
}

static int gather_record(void *arg, const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
			 uint16_t rdata_len)
{
	return records_add(arg, owner, type, ttl, rdata, rdata_len, 0, 0);
}

/* A zone that becomes another by its differences is what it would have been had it been put. */
Test(db, differences)
{
	struct lab changed = lab_open(16 * MIB);
	struct name apex = name_of("example.");
	struct records rs;

	random_zone(&rs, &apex, 1);
	cr_assert_eq(put(&changed, &apex, &rs), 0);
	records_free(&rs);
	for (unsigned round = 1; round < 500; round++) {
		struct lab fresh = lab_open(2 * MIB);
		struct records is, should;
		struct zone_info info, wanted;
		struct tree_iter it[2];
		struct txn *fresh_txn;
		uint64_t version;

		srandom(round / 3); /* now and then the same again */
		random_zone(&rs, &apex, round / 2);
		cr_assert_eq(put_diff(&changed, &apex, &rs), 0);
		cr_assert_eq(records_sort(&rs), 0);
		cr_assert_eq(txn_zone_take(fresh_txn = db_begin(fresh.db), &apex, &rs), 0);
		cr_assert_eq(txn_commit(fresh_txn, &version), 0);
		records_init(&is);
		records_init(&should);
		reader_begin(&changed.reader);
		reader_begin(&fresh.reader);
		reader_zone(&changed.reader, &apex, &info);
		reader_zone(&fresh.reader, &apex, &wanted);
		cr_assert(info.serial == wanted.serial && info.names == wanted.names &&
			  info.records == wanted.records, "round %u", round);
		cr_assert_eq(reader_walk(&changed.reader, &apex, NULL, gather_record, &is), 0);
		cr_assert_eq(reader_walk(&fresh.reader, &apex, NULL, gather_record, &should), 0);
		cr_assert_eq(is.cnt, should.cnt);
		for (size_t i = 0; i < is.cnt; i++)
			cr_assert(name_cmp(is.rr[i].owner, should.rr[i].owner) == 0 &&
				  is.rr[i].type == should.rr[i].type && is.rr[i].ttl == should.rr[i].ttl &&
				  is.rr[i].rdata_len == should.rr[i].rdata_len &&
				  memcmp(is.rr[i].rdata, should.rr[i].rdata, is.rr[i].rdata_len) == 0,
				  "round %u, record %zu", round, i);

		const struct lab *l[2] = { &changed, &fresh };
		ref r[2];

		for (unsigned k = 0; k < 2; k++) {
			struct db *db = l[k]->db;
			const struct zone *z = at(db, zone_find(db, apex.wire, apex.len));

			r[k] = tree_first(&it[k], db->base, ((struct snapshot *)at(db, z->snapshot))->tree);
		}
		for (; r[0] && r[1]; r[0] = tree_next(&it[0]), r[1] = tree_next(&it[1])) {
			const struct node *a = at(changed.db, r[0]), *b = at(fresh.db, r[1]);

			cr_assert(name_cmp(a->name, b->name) == 0 && a->flags == b->flags &&
				  a->cover_labels == b->cover_labels, "round %u", round);
		}
		cr_assert(!r[0] && !r[1]);
		records_free(&is);
		records_free(&should);
		db_destroy(fresh.db);
		reader_end(&changed.reader);
		reclaim(&changed);
	}
	db_destroy(changed.db);
}

/* Too much of it is refused, and what is outside the zone. */
Test(db, differences_refused)
{
	struct lab l = lab_open(16 * MIB);
	struct name apex = name_of("example."), out = name_of("example.org.");
	struct zone_diff *d;
	struct records rs;
	int err = 0;

	cr_assert_eq(zone_diff_open(&d, l.db, &apex), -ENOENT);
	records_init(&rs);
	add_soa(&rs, &apex, 1);
	cr_assert_eq(put(&l, &apex, &rs), 0);
	records_clear(&rs);
	add_a(&rs, &out, 1);
	cr_assert_eq(put_diff(&l, &apex, &rs), -ERANGE);
	records_clear(&rs);
	cr_assert_eq(records_add(&rs, apex.wire, TYPE_RRSIG, 1, (const uint8_t *)"", 1, 0, 0), 0);
	cr_assert_eq(put_diff(&l, &apex, &rs), -ENOTSUP);
	cr_assert_eq(zone_diff_open(&d, l.db, &apex), 0);
	records_clear(&rs);
	add_a(&rs, &apex, 1);
	for (unsigned i = 0; i < 10000 && !err; i++)
		err = zone_diff_add(d, rs.rr);
	cr_assert_eq(err, -E2BIG);
	zone_diff_free(d);
	records_free(&rs);
	db_destroy(l.db);
}

/* ---- records that are freed while a zone is made of them ---- */

static int count_walked(void *arg, const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
			uint16_t rdata_len)
{
	struct { uint64_t cnt, sum; } *w = arg;
	uint32_t number = 0;

	(void)owner;
	(void)ttl;
	if (type == TYPE_A)
		memcpy(&number, rdata, rdata_len);
	w->cnt++;
	w->sum += number;
	return 0;
}

Test(db, taken)
{
	struct lab l = lab_open(256 * MIB);
	struct name apex = name_of("example.");
	struct { uint64_t cnt, sum; } walked;
	const unsigned names = 150000; /* more than fit in a few huge pages */

	for (unsigned round = 0; round < 3; round++) {
		struct txn *t = db_begin(l.db);
		struct records rs;
		uint64_t version, sum = 0;

		records_init(&rs);
		add_soa(&rs, &apex, round);
		for (uint32_t i = 0; i < names; i++) {
			char text[64];
			/* in an order that is the zone's, or is not */
			uint32_t number = round == 1 ? i : (uint32_t)((uint64_t)i * 7919 % names);

			snprintf(text, sizeof(text), "n%07u.%sexample.", number, number % 10 ? "" : "ent.");
			struct name owner = name_of(text);

			add_a(&rs, &owner, number + round);
			if (number % 3 == 0)
				add_a(&rs, &owner, number + round); /* twice */
			sum += number + round;
		}
		cr_assert_eq(records_sort(&rs), 0);
		cr_assert_eq(txn_zone_take(t, &apex, &rs), 0);
		cr_assert_eq(rs.cnt, 0);
		cr_assert_null(rs.rr);
		cr_assert_eq(txn_commit(t, &version), 0);
		memset(&walked, 0, sizeof(walked));
		reader_begin(&l.reader);
		cr_assert_eq(reader_walk(&l.reader, &apex, NULL, count_walked, &walked), 0);
		reader_end(&l.reader);
		cr_assert(walked.cnt == names + 2 && walked.sum == sum, "round %u", round);
		reclaim(&l);
	}
	db_destroy(l.db);
}
