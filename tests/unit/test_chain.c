/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A zone goes over from one NSEC3 chain to another, or to NSEC, by transactions: all answers are
 * at every step those of a database that has just read the same records. */
#include <criterion/criterion.h>

#include "answers.h"
#include "dataplane/answer/db_protocol.h"
#include "dataplane/answer/find.h"
#include "dataplane/answer/nsec3.h"

#define HOSTS 1500

static struct lab lab;
static struct name apex;
static const char *const salts[] = { "\1\252", "\2\1\2", "\0" }; /* with their lengths */

static void add(struct records *rs, const uint8_t *owner, uint16_t type, const uint8_t *rdata,
		size_t len)
{
	cr_assert_eq(records_add(rs, owner, type, 60, rdata, (uint16_t)len, 0, 0), 0);
}

static void name_of(struct name *n, unsigned i)
{
	char text[64];

	snprintf(text, sizeof(text), i % 7 == 3 ? "h%u.sub%u.example." : "h%u.example.", i, i);
	name_from_text(n, text);
}

static int by_hash(const void *a, const void *b)
{
	return memcmp(a, b, NSEC3_HASH);
}

/* The chain with salts[k] for all names; without the record that is `left_out` from its start. */
static void add_chain(struct records *rs, unsigned k, unsigned left_out)
{
	static uint8_t hash[2 * HOSTS + 2][NSEC3_HASH];
	uint8_t param[16] = { NSEC3_SHA1, 0, 0, (uint8_t)k };
	struct nsec3_param p;
	struct name n;
	unsigned cnt = 0;

	memcpy(param + 4, salts[k], 1u + (uint8_t)salts[k][0]);
	cr_assert(nsec3_param_read(&p, param));
	nsec3_hash(&p.chain, apex.wire, apex.len, hash[cnt++]);
	for (unsigned i = 0; i < HOSTS; i++) {
		name_of(&n, i);
		nsec3_hash(&p.chain, n.wire, n.len, hash[cnt++]);
		if (n.labels == 3) /* and the empty non-terminal */
			nsec3_hash(&p.chain, n.wire + n.off[1], n.len - n.off[1], hash[cnt++]);
	}
	qsort(hash, cnt, NSEC3_HASH, by_hash);
	for (unsigned i = 0; i < cnt; i++) {
		uint8_t owner[NAME_MAX_LEN], rdata[64], *at = rdata;

		if (i == left_out)
			continue;
		nsec3_encode(owner, hash[i]);
		memcpy(owner + 1 + NSEC3_LABEL, apex.wire, apex.len);
		memcpy(at, param, 5u + param[4]);
		at += 5 + param[4];
		*at++ = NSEC3_HASH;
		memcpy(at, hash[(i + 1) % cnt], NSEC3_HASH);
		at += NSEC3_HASH;
		memcpy(at, "\0\1\x40", 3);
		add(rs, owner, TYPE_NSEC3, rdata, (size_t)(at + 3 - rdata));
	}
}

static void add_param(struct records *rs, unsigned k)
{
	uint8_t param[16] = { NSEC3_SHA1, 0, 0, (uint8_t)k };

	memcpy(param + 4, salts[k], 1u + (uint8_t)salts[k][0]);
	add(rs, apex.wire, TYPE_NSEC3PARAM, param, 5u + param[4]);
}

/* NSEC for each name, or what removes them. */
static void add_nsec(struct records *rs)
{
	struct records names;
	struct name n;

	records_init(&names);
	add(&names, apex.wire, TYPE_A, (const uint8_t *)"\0\0\0\0", 4);
	for (unsigned i = 0; i < HOSTS; i++) {
		name_of(&n, i);
		add(&names, n.wire, TYPE_A, (const uint8_t *)"\0\0\0\0", 4);
	}
	records_sort(&names);
	for (size_t i = 0; i < names.cnt; i++) {
		const uint8_t *next = names.rr[(i + 1) % names.cnt].owner;
		uint8_t rdata[NAME_MAX_LEN + 3];
		size_t len = name_wire_len(next);

		memcpy(rdata, next, len);
		memcpy(rdata + len, "\0\1\x40", 3);
		add(rs, names.rr[i].owner, TYPE_NSEC, rdata, len + 3);
	}
	records_free(&names);
}

static void open_zone(void)
{
	static const uint8_t soa[22] = { [21] = 60 }, ns[1];
	struct records rs;
	struct name n;
	uint64_t version;

	name_from_text(&apex, "example.");
	lab_open(&lab);
	records_init(&rs);
	add(&rs, apex.wire, TYPE_SOA, soa, sizeof(soa));
	add(&rs, apex.wire, TYPE_NS, ns, 1);
	for (unsigned i = 0; i < HOSTS; i++) {
		name_of(&n, i);
		add(&rs, n.wire, TYPE_A, (const uint8_t *)"\300\0\2\1", 4);
	}
	add_chain(&rs, 0, UINT_MAX);
	add_param(&rs, 0);
	records_sort(&rs);
	struct txn *t = db_begin(lab.db);

	cr_assert_eq(txn_zone_put(t, &apex, &rs), 0);
	cr_assert_eq(txn_commit(t, &version), 0);
	records_free(&rs);
	cr_assert_not(db_rehash(lab.db), "a zone that was just read is hashed");
}

/* One transaction: these RRsets come, or with `away` go; frees rs. */
static struct txn *staged(struct records *rs, bool away)
{
	struct rrset_change *ch = calloc(rs->cnt, sizeof(*ch));
	size_t cnt = 0;

	records_sort(rs);
	for (size_t i = 0, n; i < rs->cnt; i += n) {
		for (n = 1; i + n < rs->cnt && rs->rr[i + n].type == rs->rr[i].type &&
			    name_cmp(rs->rr[i + n].owner, rs->rr[i].owner) == 0; n++)
			;
		ch[cnt++] = (struct rrset_change){ .owner = rs->rr[i].owner, .type = rs->rr[i].type,
						   .rr = away ? NULL : &rs->rr[i], .rr_cnt = away ? 0 : n };
	}
	struct txn *t = db_begin(lab.db);

	cr_assert_eq(txn_change(t, &apex, ch, cnt, NULL, NULL), 0);
	free(ch);
	records_free(rs);
	return t;
}

static void change(struct records *rs, bool away)
{
	struct txn *t = staged(rs, away);
	uint64_t version;

	cr_assert_eq(txn_commit(t, &version), 0);
	while (db_reclaim(lab.db))
		;
}

static int collect(void *arg, const uint8_t *owner, uint16_t type, uint32_t ttl,
		   const uint8_t *rdata, uint16_t rdata_len)
{
	return records_add(arg, owner, type, ttl, rdata, rdata_len, 0, 0);
}

/* What is proved with: "-" nothing, "nsec", or a chain's number of iterations; the same as of a
 * database that has just read the zone. */
static const char *served(void)
{
	static const char *const names[] = { "nothing.example.", "h1.example.", "x.h1.example.",
		"sub3.example.", "x.sub3.example.", "h10.sub10.example.", "x.h10.sub10.example.", "example.",
		"a.b.c.d.example.", "h1499.example.", "0.example.", "zz.example." };
	static uint8_t out[2][4096];
	static char kind[8];
	struct records rs;
	struct lab fresh;
	uint64_t version;

	records_init(&rs);
	reader_begin(&lab.reader);
	cr_assert_eq(reader_walk(&lab.reader, &apex, NULL, collect, &rs), 0);
	records_sort(&rs);
	lab_open(&fresh);
	struct txn *t = db_begin(fresh.db);

	cr_assert_eq(txn_zone_put(t, &apex, &rs), 0);
	cr_assert_eq(txn_commit(t, &version), 0);
	records_free(&rs);
	for (unsigned i = 0; i < 2 * sizeof(names) / sizeof(names[0]); i++) {
		uint8_t msg[512];
		size_t len = question(msg, names[i / 2], i % 2 ? TYPE_A : TYPE_TXT, 4096);

		msg[len - 4] = 0x80;
		size_t n = answer_in(&lab, msg, len, TRANSPORT_TCP, 4096, out[0]);
		size_t m = answer_in(&fresh, msg, len, TRANSPORT_TCP, 4096, out[1]);

		cr_assert(n == m && !memcmp(out[0], out[1], n), "%s:\n%s", names[i / 2], answer_text(out[0], n));
		if (i == 0) {
			const char *text = answer_text(out[0], n), *nsec3 = strstr(text, " NSEC3 1 0 ");

			snprintf(kind, sizeof(kind), "%.*s", 1, nsec3 ? nsec3 + 11 : "-");
			if (strstr(text, " NSEC "))
				strcpy(kind, "nsec");
		}
	}
	db_destroy(fresh.db);
	return kind;
}

Test(chain, changes_while_it_is_served, .init = open_zone)
{
	struct arena_usage before, after;
	struct records rs;
	uint64_t retired;
	unsigned steps = 0;

	cr_assert_str_eq(served(), "0");

	/* Another is listed and lacks a record; the old one is whole. */
	records_init(&rs);
	add_chain(&rs, 1, 700);
	add_param(&rs, 0);
	add_param(&rs, 1);
	change(&rs, false);
	cr_assert_str_eq(served(), "0");
	cr_assert_not(db_rehash(lab.db));

	/* It is complete, and alone is listed: served from that version on, and the transaction is small. */
	records_init(&rs);
	add_chain(&rs, 1, UINT_MAX);
	add_param(&rs, 0);
	change(&rs, false);
	db_usage(lab.db, &before, &retired);
	records_init(&rs);
	add_param(&rs, 1);
	change(&rs, false);
	db_usage(lab.db, &after, &retired);
	cr_assert_lt(after.used, before.used + (16 << 10));
	cr_assert_str_eq(served(), "1");

	/* The names follow in pieces; what is asked meanwhile, changed, or aborted, goes well. */
	while (db_rehash(lab.db)) {
		cr_assert_str_eq(served(), "1");
		records_init(&rs);
		add_param(&rs, 0);
		txn_abort(staged(&rs, false));
		records_init(&rs);
		add(&rs, (const uint8_t *)"\2h1\7example", TYPE_A, (const uint8_t[]){ 192, 0, 2, (uint8_t)++steps }, 4);
		change(&rs, false);
	}
	cr_assert_gt(steps, 4);
	cr_assert_str_eq(served(), "1");

	/* The old one goes, record by record in one transaction. */
	records_init(&rs);
	add_chain(&rs, 0, UINT_MAX);
	change(&rs, true);
	cr_assert_str_eq(served(), "1");
	cr_assert_not(db_rehash(lab.db));
	db_destroy(lab.db);
}

/* In the middle of it the zone goes back, and then on to a third chain, to NSEC and to no proofs. */
Test(chain, changes_again_before_it_is_done, .init = open_zone)
{
	static const unsigned order[] = { 1, 0, 2, 1, 2 };
	struct records rs;

	records_init(&rs);
	add_chain(&rs, 1, UINT_MAX);
	add_chain(&rs, 2, UINT_MAX);
	add_param(&rs, 0);
	change(&rs, false);
	for (unsigned i = 0; i < 5; i++) {
		char want[2] = { (char)('0' + order[i]) };

		records_init(&rs);
		add_param(&rs, order[i]);
		change(&rs, false);
		cr_assert_str_eq(served(), want);
		for (unsigned k = 0; k < i; k++)
			cr_assert(db_rehash(lab.db));
		cr_assert_str_eq(served(), want);
	}

	/* NSEC is whole, NSEC3 too: the NSEC3PARAM decides. */
	records_init(&rs);
	add_nsec(&rs);
	change(&rs, false);
	cr_assert_str_eq(served(), "2");
	records_init(&rs);
	add_param(&rs, 2);
	change(&rs, true);
	cr_assert_str_eq(served(), "nsec");
	cr_assert(db_rehash(lab.db));
	cr_assert_str_eq(served(), "nsec");

	/* A chain with a gap is listed: NSEC goes on. */
	records_init(&rs);
	add_chain(&rs, 1, UINT_MAX);
	for (size_t i = 10; i < rs.cnt; i++)
		rs.rr[i - 9] = rs.rr[i];
	rs.cnt = 1;
	change(&rs, true);
	records_init(&rs);
	add_param(&rs, 1);
	change(&rs, false);
	cr_assert_str_eq(served(), "nsec");

	records_init(&rs);
	add_nsec(&rs);
	for (unsigned k = 0; k < 3; k++)
		add_chain(&rs, k, UINT_MAX);
	add_param(&rs, 1);
	change(&rs, true);
	cr_assert_str_eq(served(), "-");
	while (db_rehash(lab.db))
		;
	cr_assert_str_eq(served(), "-");
	db_destroy(lab.db);
}

/* Of more chains than there is room for, the one that is listed is found. */
Test(chain, of_many_the_listed_one, .init = open_zone)
{
	struct records rs;

	for (unsigned k = 1; k < 6; k++) { /* one record of each of five more */
		uint8_t rdata[] = { 1, 0, 0, (uint8_t)(10 + k), 0, 20, [26] = 0, 1, 0x40 };
		uint8_t owner[NAME_MAX_LEN], hash[NSEC3_HASH] = { (uint8_t)k };

		records_init(&rs);
		nsec3_encode(owner, hash);
		memcpy(owner + 1 + NSEC3_LABEL, apex.wire, apex.len);
		add(&rs, owner, TYPE_NSEC3, rdata, sizeof(rdata));
		change(&rs, false);
	}
	cr_assert_str_eq(served(), "0");
	records_init(&rs);
	add_chain(&rs, 1, UINT_MAX);
	change(&rs, false);
	records_init(&rs);
	add_param(&rs, 1);
	change(&rs, false);
	cr_assert_str_eq(served(), "1");
	db_destroy(lab.db);
}

/* A transaction that opens a gap is known by it, with the place; one that does not, or that leaves fewer, is
 * not; whether with NSEC or NSEC3, at any place of the chain. */
Test(chain, gaps_of_a_transaction, .init = open_zone)
{
	struct name owner, following;
	uint64_t version;

	for (int nsec = 0; nsec < 2; nsec++) {
		struct records all;

		records_init(&all);
		if (nsec) {
			struct records rs;

			add_nsec(&all);
			records_init(&rs);
			add_nsec(&rs);
			change(&rs, false);
			records_init(&rs);
			add_chain(&rs, 0, UINT_MAX);
			add_param(&rs, 0);
			change(&rs, true);
			cr_assert_str_eq(served(), "nsec");
		} else {
			add_chain(&all, 0, UINT_MAX);
		}
		records_sort(&all);
		for (size_t i = 0; i < all.cnt; i += i < 3 || i + 4 > all.cnt ? 1 : 397) {
			size_t before = (i + all.cnt - 1) % all.cnt, behind = (i + 1) % all.cnt;
			struct records one;

			records_init(&one);
			add(&one, all.rr[i].owner, all.rr[i].type, all.rr[i].rdata, all.rr[i].rdata_len);
			struct txn *t = staged(&one, true);

			cr_assert(txn_denial_gap(t, &apex, &owner, &following), "%zu", i);
			cr_assert_eq(name_cmp(owner.wire, all.rr[before].owner), 0);
			cr_assert_eq(name_cmp(following.wire, all.rr[behind].owner), 0);
			if (i % 2) {
				txn_abort(t);
				continue;
			}
			cr_assert_eq(txn_commit(t, &version), 0);
			records_init(&one);
			add(&one, all.rr[i].owner, all.rr[i].type, all.rr[i].rdata, all.rr[i].rdata_len);
			t = staged(&one, false);
			cr_assert_not(txn_denial_gap(t, &apex, &owner, &following));
			cr_assert_eq(txn_commit(t, &version), 0);
		}
		records_free(&all);
	}
	db_destroy(lab.db);
}
