/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stress_denial.c - names of a signed zone come and go, each with the records that keep its
 * chain closed, in one commit, while readers ask for them.
 *
 *     stress_denial nsec|nsec3 [SECONDS]   (3; 60 when POLLUX_LONG is 1)
 *
 * Whatever version a reader answers from: who is told that a name is not there gets a record
 * that covers it, and with NSEC3 one that matches the closest encloser. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/answer/answer.h"
#include "dataplane/answer/nsec3.h"
#include "dataplane/answer/rrtype.h"
#include "dataplane/answer/wire.h"

#define NAMES 1000
#define READERS 2

static const struct nsec3_chain chain;
static bool hashed;
static struct name apex;
static _Atomic bool stop;
static struct db *db;

/* Name 0 is the apex; the order is that of the chain. */
static struct link {
	struct name name, owner;     /* of the name, of its denial record */
	uint8_t hash[NSEC3_HASH];
	bool there;
} link_at[NAMES];

static void fail(const char *what, const struct name *n)
{
	char text[NAME_TEXT_MAX];

	fprintf(stderr, "FAIL: %s: %s\n", what, n ? name_to_text(text, n->wire) : "");
	abort();
}

static int by_owner(const void *a, const void *b)
{
	return name_cmp(((const struct link *)a)->owner.wire, ((const struct link *)b)->owner.wire);
}

static void make_links(void)
{
	uint8_t wire[1 + NSEC3_LABEL + NAME_MAX_LEN];
	char text[32];

	for (unsigned i = 0; i < NAMES; i++) {
		struct link *l = &link_at[i];

		snprintf(text, sizeof(text), i ? "n%04u.deny." : "deny.", i);
		name_from_text(&l->name, text);
		l->owner = l->name;
		l->there = i == 0 || i % 2;
		if (!hashed)
			continue;
		nsec3_hash(&chain, l->name.wire, l->name.len, l->hash);
		nsec3_encode(wire, l->hash);
		memcpy(wire + 1 + NSEC3_LABEL, apex.wire, apex.len);
		name_from_wire(&l->owner, wire, NAME_MAX_LEN);
	}
	qsort(link_at, NAMES, sizeof(link_at[0]), by_owner);
}

/* The next (step 1) or last (step NAMES - 1) that is there. */
static struct link *neighbour(const struct link *l, unsigned step)
{
	unsigned i = (unsigned)(l - link_at);

	do
		i = (i + step) % NAMES;
	while (!link_at[i].there);
	return &link_at[i];
}

/* The RDATA of a link's denial record. */
static uint16_t proof_of(const struct link *l, uint8_t *rdata)
{
	static const uint8_t types[] = { 0, 1, 0x40 };
	const struct link *next = neighbour(l, 1);
	uint16_t len = next->name.len;

	if (hashed) {
		memcpy(rdata, (const uint8_t[]){ 1, 0, 0, 0, 0, NSEC3_HASH }, 6);
		memcpy(rdata + 6, next->hash, NSEC3_HASH);
		len = 6 + NSEC3_HASH;
	} else {
		memcpy(rdata, next->name.wire, len);
	}
	memcpy(rdata + len, types, sizeof(types));
	return (uint16_t)(len + sizeof(types));
}

static void load(void)
{
	static const uint8_t soa[22], address[4], param[5] = { 1 };
	struct records rs;
	uint64_t version;
	uint8_t rdata[300];
	int err;

	records_init(&rs);
	err = records_add(&rs, apex.wire, TYPE_SOA, 60, soa, sizeof(soa), 0, 0) |
	      records_add(&rs, apex.wire, TYPE_NS, 60, soa, 1, 0, 0);
	if (hashed)
		err |= records_add(&rs, apex.wire, TYPE_NSEC3PARAM, 60, param, sizeof(param), 0, 0);
	for (unsigned i = 0; i < NAMES; i++) {
		const struct link *l = &link_at[i];

		if (!l->there)
			continue;
		err |= records_add(&rs, l->owner.wire, hashed ? TYPE_NSEC3 : TYPE_NSEC, 60, rdata,
				   proof_of(l, rdata), 0, 0);
		if (l->name.len > apex.len)
			err |= records_add(&rs, l->name.wire, TYPE_A, 60, address, 4, 0, 0);
	}
	struct txn *t = db_begin(db);

	if (err || records_sort(&rs) || txn_zone_put(t, &apex, &rs) || txn_commit(t, &version))
		fail("load", NULL);
	records_free(&rs);
}

static int by_change(const void *a, const void *b)
{
	const struct rrset_change *x = a, *y = b;
	int order = name_cmp(x->owner, y->owner);

	return order ? order : x->type - y->type;
}

/* One name comes or goes, with its denial record and its predecessor's. */
static void change(struct link *l)
{
	static const uint8_t address[4];
	uint16_t type = hashed ? TYPE_NSEC3 : TYPE_NSEC;
	uint8_t rdata[2][300];
	struct link *before = neighbour(l, NAMES - 1);
	struct record data = { .ttl = 60, .rdata = address, .rdata_len = 4 };
	struct record proof[2] = { { .ttl = 60, .rdata = rdata[0] }, { .ttl = 60, .rdata = rdata[1] } };
	uint64_t version;

	l->there = !l->there;
	proof[0].rdata_len = proof_of(l, rdata[0]);
	proof[1].rdata_len = proof_of(before, rdata[1]);

	struct rrset_change ch[3] = {
		{ .owner = l->name.wire, .type = TYPE_A, .rr = &data, .rr_cnt = l->there },
		{ .owner = l->owner.wire, .type = type, .rr = &proof[0], .rr_cnt = l->there },
		{ .owner = before->owner.wire, .type = type, .rr = &proof[1], .rr_cnt = 1 },
	};
	qsort(ch, 3, sizeof(ch[0]), by_change);

	struct txn *t = db_begin(db);

	if (txn_change(t, &apex, ch, 3, NULL, NULL) || txn_commit(t, &version))
		fail("commit", &l->name);
	db_reclaim(db);
}

/* Does the denial record at msg[at], owned by `owner`, cover the name?  *match: is it the apex's? */
static bool covers(const struct link *l, const struct name *owner, const uint8_t *rdata, bool *match)
{
	uint8_t begin[NSEC3_HASH], top[NSEC3_HASH];
	struct name next;

	if (!hashed) {
		name_from_wire(&next, rdata, NAME_MAX_LEN);
		return name_cmp(owner->wire, l->name.wire) < 0 &&
		       (next.len == apex.len || name_cmp(l->name.wire, next.wire) < 0);
	}
	const uint8_t *end = rdata + 6;

	nsec3_hash(&chain, apex.wire, apex.len, top);
	nsec3_decode(begin, owner->wire);
	*match |= memcmp(begin, top, NSEC3_HASH) == 0;
	if (memcmp(begin, end, NSEC3_HASH) < 0)
		return memcmp(begin, l->hash, NSEC3_HASH) < 0 && memcmp(l->hash, end, NSEC3_HASH) < 0;
	return memcmp(begin, l->hash, NSEC3_HASH) < 0 || memcmp(l->hash, end, NSEC3_HASH) < 0;
}

static void check(const struct link *l, const uint8_t *msg, size_t len)
{
	bool covered = false, match = !hashed;
	struct name owner;
	size_t at = name_skip(msg, DNS_HEADER, len) + 4;

	if ((msg[3] & 15) == RCODE_NOERROR && wire_read16(msg + 6) == 1)
		return;
	if ((msg[3] & 15) != RCODE_NXDOMAIN || msg[2] & 2)
		fail("neither there nor absent", &l->name);
	for (unsigned i = wire_read16(msg + 8); i > 0; i--) {
		at = name_unpack(&owner, msg, at, len);
		if (!at)
			fail("malformed", &l->name);
		uint16_t type = wire_read16(msg + at);

		if (type == TYPE_NSEC || type == TYPE_NSEC3)
			covered |= covers(l, &owner, msg + at + 10, &match);
		at += 10u + wire_read16(msg + at + 8);
	}
	if (!covered || !match)
		fail(covered ? "no closest encloser" : "absent, but not covered", &l->name);
}

static void *read_some(void *arg)
{
	const unsigned slot = *(const unsigned *)arg;
	uint8_t msg[300] = { [5] = 1, [11] = 1 }, out[2000];
	static const uint8_t tail[] = { 0, TYPE_A, 0, CLASS_IN, 0, 0, TYPE_OPT, 4, 208, 0, 0, 0x80, 0, 0, 0 };
	uint64_t cnt = 0, state = slot + 1;
	struct reader r;
	struct query q;
	uint16_t rcode;

	reader_init(&r, db_map(db), &db_status(db)->slot[slot]);
	reader_online(&r);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		reader_begin(&r);
		for (unsigned i = 0; i < 8; i++, cnt++) {
			state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;

			const struct link *l = &link_at[(state >> 33) % NAMES];

			if (l->name.len == apex.len)
				continue;
			memcpy(msg + DNS_HEADER, l->name.wire, l->name.len);
			memcpy(msg + DNS_HEADER + l->name.len, tail, sizeof(tail));
			query_parse(&r, &q, msg, DNS_HEADER + l->name.len + sizeof(tail), TRANSPORT_UDP, 1452);
			query_prefetch(&r, &q);
			check(l, out, query_answer(&r, &q, out, &rcode));
		}
		reader_end(&r);
	}
	reader_offline(&r);
	return (void *)(uintptr_t)cnt;
}

int main(int argc, char **argv)
{
	const char *env = getenv("POLLUX_LONG");
	time_t end = time(NULL) + (argc > 2 ? atoi(argv[2]) : env && !strcmp(env, "1") ? 60 : 3);
	unsigned slot[READERS] = { 0 };
	pthread_t thread[READERS];
	uint64_t commits = 0, answers = 0;

	hashed = argc > 1 && !strcmp(argv[1], "nsec3");
	if (name_from_text(&apex, "deny.") || db_create(&db, UINT64_C(256) << 20, ARENA_HUGE_NO) ||
	    db_reader_reserve(db, (uint32_t)getpid(), STATUS_KIND_SERVE, READERS, slot))
		fail("no database", NULL);
	make_links();
	load();
	for (unsigned i = 0; i < READERS; i++)
		if (pthread_create(&thread[i], NULL, read_some, &slot[i]))
			fail("no thread", NULL);
	for (srandom(1); time(NULL) < end; commits++) {
		struct link *l = &link_at[(unsigned)random() % NAMES];

		if (l->name.len > apex.len)
			change(l);
	}
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	for (unsigned i = 0; i < READERS; i++) {
		void *cnt;

		pthread_join(thread[i], &cnt);
		answers += (uintptr_t)cnt;
	}
	printf("%llu answers during %llu commits\n", (unsigned long long)answers, (unsigned long long)commits);
	db_destroy(db);
	return answers && commits ? 0 : 1;
}
