/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Interleavings of one writer and its readers, played on purpose at the points of
 * replay.h: every change between any two of some states of the database is made while a reader
 * is at each point of its search, and readers search while a writer is at each point
 * of its commit and reclamation.  What a reader finds must be what stood in its
 * version, whatever is in the table at that moment. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/answer/db.h"
#include "dataplane/answer/find.h"
#include "dataplane/answer/replay.h"
#include "dataplane/answer/rrtype.h"
#include "dataplane/answer/table.h"

void (*replay_hook)(const char *point);

#define MANY 4200 /* names: so many that a table that was made for them is too large for all other states */

/* A state: for each of two zones its names, below its apex; NULL: not loaded. */
static const char *const zones[2] = { "z.", "a.z." };
static const struct state {
	const char *names[2][6];
	bool loaded[2], many;
} states[] = {
	{ .loaded = { true }, .names = { { "a", "b.a", "x.y.w" } } },
	{ .loaded = { true }, .names = { { "a" } } },
	{ .loaded = { true }, .names = { { "a", "*", "*.y.w", "q.x.y.w" } } },
	{ .loaded = { true, true }, .names = { { "a", "b.a" }, { "b", "c.d" } } },
	{ .loaded = { false, true }, .names = { { NULL }, { "b" } } },
	{ .loaded = { false } },
	{ .loaded = { true }, .names = { { "a", "d.c.a" } }, .many = true },
};
#define STATES (sizeof(states) / sizeof(states[0]))
#define LARGE (STATES - 1) /* the state of many names */

static const char *const asked[] = {
	"z.", "a.z.", "b.a.z.", "c.d.a.z.", "d.a.z.", "x.y.w.z.", "q.x.y.w.z.", "y.w.z.", "w.z.",
	"*.z.", "k.l.m.n.o.z.", "d.c.a.z.", "other.",
};
#define ASKED (sizeof(asked) / sizeof(asked[0]))

struct result { int zone, node; bool exact; };

static struct db *db;
static struct reader early, late;
static struct name names[ASKED];
static struct result truth[STATES][ASKED];
static size_t from, to;

static void put_record(struct records *rs, const struct name *n, uint16_t type)
{
	static const uint8_t soa[22];

	cr_assert_eq(records_add(rs, n->wire, type, 60, soa, type == TYPE_SOA ? 22 : type == TYPE_NS ? 1 : 4,
				 0, 0), 0);
}

static void put_zone(struct txn *t, const struct state *s, unsigned z)
{
	struct name apex, n;
	struct records rs;
	char text[64];

	name_from_text(&apex, zones[z]);
	if (!s->loaded[z]) {
		txn_zone_drop(t, &apex);
		return;
	}
	records_init(&rs);
	put_record(&rs, &apex, TYPE_SOA);
	put_record(&rs, &apex, TYPE_NS);
	for (unsigned i = 0; i < 6 && s->names[z][i]; i++) {
		snprintf(text, sizeof(text), "%s.%s", s->names[z][i], zones[z]);
		name_from_text(&n, text);
		put_record(&rs, &n, TYPE_A);
	}
	for (unsigned i = 0; s->many && z == 0 && i < MANY; i++) {
		snprintf(text, sizeof(text), "n%u.%s", i, zones[z]);
		name_from_text(&n, text);
		put_record(&rs, &n, TYPE_A);
	}
	cr_assert_eq(records_sort(&rs), 0);
	cr_assert_eq(txn_zone_put(t, &apex, &rs), 0);
	records_free(&rs);
}

/* Bring the database from any state to s, and free all that can be freed. */
static void enter(size_t s)
{
	struct txn *t = db_begin(db);
	uint64_t version;

	put_zone(t, &states[s], 0);
	put_zone(t, &states[s], 1);
	cr_assert_eq(txn_commit(t, &version), 0);
	for (int i = 0; i < 1000 && db_reclaim(db); i++)
		;
}

/* Bring the database to the state `from`, its table of the size for that, or still of that for many names
 * (then the next commit makes it smaller). */
static void enter_from(bool large)
{
	enter(large ? LARGE : from);
	enter(from);
}

/* Times that a played commit has made the table larger and smaller. */
static unsigned long grown, shrunk;

static void enter_to(void)
{
	uint64_t before = table_current(early.map.base)->mask, after;

	enter(to);
	after = table_current(early.map.base)->mask;
	grown += after > before;
	shrunk += after < before;
}

static struct result look(struct reader *r, size_t i)
{
	struct found f;

	find_name(r, &names[i], name_hash(arena_map_head(&r->map)->secret, names[i].wire, names[i].len),
		  0, NAME_MAX_LABELS, &f);
	if (!f.zone)
		return (struct result){ -1, -1, false };
	/* The memory is whole: the name that was found is an ancestor of the one asked for. */
	cr_assert(name_within(names[i].wire, f.node->name));
	return (struct result){ f.zone->labels, f.node->labels, f.exact };
}

static void expect(struct reader *r, size_t i, size_t state, const char *where)
{
	struct result got = look(r, i), want = truth[state][i];

	cr_assert(got.zone == want.zone && got.node == want.node && got.exact == want.exact,
		  "from state %zu to %zu, %s, %s as in state %zu: zone %d, node %d, exact %d; "
		  "not %d, %d, %d", from, to, where, asked[i], state, got.zone, got.node,
		  got.exact, want.zone, want.node, want.exact);
}

static void set_up(void)
{
	unsigned slot[2];

	cr_assert_eq(db_create(&db, UINT64_C(64) << 20, ARENA_HUGE_NO), 0);
	cr_assert_eq(db_reader_reserve(db, 1, STATUS_KIND_SERVE, 2, slot), 0);
	reader_init(&early, db_map(db), &db_status(db)->slot[slot[0]]);
	reader_init(&late, db_map(db), &db_status(db)->slot[slot[1]]);
	for (size_t i = 0; i < ASKED; i++)
		cr_assert_eq(name_from_text(&names[i], asked[i]), 0);
	for (size_t s = 0; s < STATES; s++) {
		enter(s);
		reader_online(&early);
		reader_begin(&early);
		for (size_t i = 0; i < ASKED; i++)
			truth[s][i] = look(&early, i);
		reader_end(&early);
		reader_offline(&early);
	}
	/* The states do differ. */
	cr_assert_eq(truth[5][1].zone, -1);
	cr_assert_eq(truth[3][1].zone, 2);
	cr_assert_eq(truth[0][5].node, 4);
	cr_assert_eq(truth[1][5].node, 1);
}

/* ---- a writer changes everything while a reader is at one point of its search ---- */

static unsigned points_left;

static void write_at_point(const char *point)
{
	if (strncmp(point, "read:", 5) || points_left-- > 0)
		return;
	replay_hook = NULL;
	enter_to();
}

/* At each point of the search for one name. */
static unsigned long play_search(size_t i, bool large)
{
	unsigned long played = 0;
	bool reached = true;

	for (unsigned point = 0; reached; point++) {
		enter_from(large);
		reader_online(&early);
		reader_begin(&early);
		points_left = point;
		replay_hook = write_at_point;
		expect(&early, i, from, "while a search is under way");
		reached = replay_hook == NULL;
		replay_hook = NULL;
		played += reached;
		/* Still the old version, then the new. */
		expect(&early, i, from, "later in the burst");
		reader_end(&early);
		reader_begin(&early);
		expect(&early, i, reached ? to : from, "in the next burst");
		reader_end(&early);
		reader_offline(&early);
	}
	return played;
}

Test(replay, writer_at_each_point_of_a_search, .init = set_up, .timeout = 240)
{
	unsigned long played = 0;

	for (from = 0; from < STATES; from++) {
		for (to = 0; to < STATES; to++) {
			for (size_t i = 0; i < ASKED; i++) {
				played += play_search(i, false);
				if (from < 2 && to < 2)
					played += play_search(i, true);
			}
		}
	}
	cr_assert(played > 1000, "%lu interleavings", played);
	cr_assert(grown > 100 && shrunk > 100, "%lu with a larger, %lu with a smaller table", grown, shrunk);
}

/* ---- readers search while a writer is at each point of its commit ---- */

static uint64_t version_before;
static unsigned long searches;

static void read_at_point(const char *point)
{
	if (!strncmp(point, "read:", 5))
		return;
	replay_hook = NULL;
	reader_online(&late);
	reader_begin(&late);
	for (size_t i = 0; i < ASKED; i++) {
		if (early.slot->epoch != STATUS_OFFLINE)
			expect(&early, i, from, point);
		expect(&late, i, late.version == version_before ? from : to, point);
		searches++;
	}
	reader_end(&late);
	reader_offline(&late);
	replay_hook = read_at_point;
}

Test(replay, readers_at_each_point_of_a_commit, .init = set_up, .timeout = 240)
{
	for (from = 0; from < STATES; from++) {
		for (to = 0; to < STATES; to++) {
			/* With and without a reader that holds the old version throughout, and a
			 * table that is too large. */
			for (int how = 0; how < 4; how++) {
				bool held = how % 2;

				enter_from(how >= 2);
				reader_begin(&late);
				version_before = late.version;
				if (held) {
					reader_online(&early);
					reader_begin(&early);
				}
				replay_hook = read_at_point;
				enter_to();
				replay_hook = NULL;
				reader_offline(&early);
				replay_hook = read_at_point;
				for (int i = 0; i < 100 && db_reclaim(db); i++)
					;
				replay_hook = NULL;
			}
		}
	}
	cr_assert(searches > 100000, "%lu searches", searches);
	cr_assert(grown > 10 && shrunk > 10, "%lu with a larger, %lu with a smaller table", grown, shrunk);
}

/* ---- how far a search goes ---- */

static unsigned probes;

static void count_probes(const char *point)
{
	probes += !strcmp(point, "read: probe");
}

static void put_small_zone(struct txn *t, const char *apex_text)
{
	static const char *const below[] = { "", "www.", "*.w.", "a.b.c." };
	struct name apex, n;
	struct records rs;
	char text[64];

	name_from_text(&apex, apex_text);
	records_init(&rs);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "%s%s", below[i], apex_text);
		name_from_text(&n, text);
		put_record(&rs, &n, i ? TYPE_A : TYPE_SOA);
		if (!i)
			put_record(&rs, &n, TYPE_NS);
	}
	cr_assert_eq(records_sort(&rs), 0);
	cr_assert_eq(txn_zone_put(t, &apex, &rs), 0);
	records_free(&rs);
}

/* The zone of a name is found in as many probes among thousands of zones, beside it and below
 * others, as when it is alone. */
Test(replay, as_few_probes_among_many_zones, .init = set_up)
{
	static const char *const names_asked[] = { "one.test.", "www.one.test.", "x.one.test.", "x.y.one.test.", "q.w.one.test.",
		"b.c.one.test.", "x.b.c.one.test.", "1.2.3.4.5.6.7.8.9.one.test." };
	unsigned alone[8], most = 0;
	uint64_t version;

	for (unsigned many = 0; many < 2; many++) {
		struct txn *t = db_begin(db);

		if (!many)
			put_small_zone(t, "one.test.");
		for (unsigned i = 0; many && i < MANY; i++) {
			char text[64];

			snprintf(text, sizeof(text), i % 5 ? "z%u.test." : "below.z%u.test.", i % 5 ? i : i + 1);
			put_small_zone(t, text);
		}
		cr_assert_eq(txn_commit(t, &version), 0);
		reader_online(&late);
		reader_begin(&late);
		for (unsigned i = 0; i < 8; i++) {
			struct name n;
			struct found f;

			name_from_text(&n, names_asked[i]);
			probes = 0;
			replay_hook = count_probes;
			find_name(&late, &n, name_hash(arena_map_head(&late.map)->secret, n.wire, n.len), NULL,
				  NAME_MAX_LABELS, &f);
			replay_hook = NULL;
			cr_assert(f.zone && f.zone->labels == 2 && name_within(n.wire, f.zone->name), "%s", names_asked[i]);
			if (many)
				cr_expect_eq(probes, alone[i], "%s: %u, %u", names_asked[i], probes, alone[i]);
			alone[i] = probes;
			most = probes > most ? probes : most;
		}
		reader_end(&late);
		reader_offline(&late);
	}
	cr_expect_leq(most, 6, "%u", most);
}
