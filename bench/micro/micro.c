/* SPDX-License-Identifier: GPL-3.0-or-later */
/* micro.c - what each step from query to answer costs, alone.
 *
 *     micro [-n NAMES] [-q QUESTIONS] [-s SEED] [-r ROUNDS] [-d nsec|nsec3] [-p no|auto|yes] [-i]
 *
 * Makes a zone of NAMES hosts and as many delegations, then runs each step over
 * a fixed, random sequence of questions, ROUNDS times, and prints the median, least and
 * greatest nanoseconds for one operation.  With -i, under callgrind, each step runs once and
 * its instructions are dumped under its name (bench/instructions does that).  With -d the
 * zone is signed (by no key), with NSEC or NSEC3, and all questions have DO set.  -p says
 * whether the arena is to lie in huge pages, as the configuration's huge-pages does.
 *
 * Setting and seed are printed: the same seed asks the same questions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#include "dataplane/answer/answer.h"
#include "dataplane/answer/db_protocol.h"
#include "dataplane/answer/find.h"
#include "dataplane/answer/nsec3.h"
#include "dataplane/answer/rrtype.h"
#include "dataplane/answer/wire.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif
#define BURST 32         /* queries in flight, as in a worker */

enum kind { HIT, MISS, DEEP_MISS, REFERRAL, WILDCARD, CHAIN, KINDS };

static const char *const kind_name[KINDS] = {
	"hit", "nxdomain", "nxdomain-deep", "referral", "wildcard", "cname",
};

struct message {
	uint16_t len;
	uint8_t octets[126];
};

static struct message *asked[KINDS];
static struct reader reader;
static unsigned rounds = 5;
static unsigned questions = 100000; /* of each kind */
static bool instructions;
static enum { UNSIGNED, NSEC, NSEC3 } denial;
static uint64_t sink; /* what keeps the compiler from dropping work */

static void die(const char *what)
{
	fprintf(stderr, "micro: %s\n", what);
	exit(1);
}

static void add(struct records *rs, const char *owner, uint16_t type, const uint8_t *rdata,
		size_t len)
{
	struct name n;

	if (name_from_text(&n, owner) ||
	    records_add(rs, n.wire, type, 3600, rdata, (uint16_t)len, 0, 0))
		die("out of memory");
}

static void add_name(struct records *rs, const char *owner, uint16_t type, const char *target)
{
	struct name n;

	if (name_from_text(&n, target))
		die(target);
	add(rs, owner, type, n.wire, n.len);
}

/* A signature's RDATA as ECDSA P-256 has it, under no key. */
static void sign(struct records *rs, const uint8_t *owner, uint16_t type)
{
	uint8_t rdata[18 + 9 + 64] = { 0, 0, 13, (uint8_t)name_wire_labels(owner) };

	wire_write16(rdata, type);
	memcpy(rdata + 18, "\7example", 9);
	if (records_add(rs, owner, TYPE_RRSIG, 3600, rdata, sizeof(rdata), 0, 0))
		die("out of memory");
}

static void add_proof(struct records *rs, const uint8_t *owner, const uint8_t *next, size_t len)
{
	static const uint8_t types[] = { 0, 6, 0x40, 0, 0, 0, 0, 3 }; /* A RRSIG NSEC */
	uint8_t rdata[NAME_MAX_LEN + sizeof(types)];

	memcpy(rdata, next, len);
	memcpy(rdata + len, types, sizeof(types));
	if (records_add(rs, owner, denial == NSEC ? TYPE_NSEC : TYPE_NSEC3, 60, rdata,
			(uint16_t)(len + sizeof(types)), 0, 0))
		die("out of memory");
	sign(rs, owner, denial == NSEC ? TYPE_NSEC : TYPE_NSEC3);
}

static int by_hash(const void *a, const void *b)
{
	return memcmp(a, b, NSEC3_HASH);
}

/* Sign what is the zone's own, and add the proofs of what is not there. */
static void add_dnssec(struct records *rs)
{
	static const struct nsec3_chain chain = { 0 };
	const uint8_t **owner = calloc(rs->cnt + 1, sizeof(*owner));
	uint8_t (*hash)[NSEC3_HASH] = calloc(2 * rs->cnt + 1, NSEC3_HASH);
	size_t cnt = rs->cnt, owners = 0, hashes = 0;

	if (!owner || !hash)
		die("out of memory");
	for (size_t i = 0; i < cnt; i++) {
		const uint8_t *name = rs->rr[i].owner;

		if (name_wire_labels(name) == 3 && !name_is_wildcard(name))
			continue; /* glue */
		if (rs->rr[i].type != TYPE_NS || name_wire_labels(name) == 1)
			sign(rs, name, rs->rr[i].type);
		if (owners && owner[owners - 1] == name)
			continue;
		owner[owners++] = name;
		nsec3_hash(&chain, name, name_wire_len(name), hash[hashes++]);
		if (name_is_wildcard(name)) /* and the empty non-terminal above it */
			nsec3_hash(&chain, name + 2, name_wire_len(name) - 2, hash[hashes++]);
	}
	if (denial == NSEC) {
		owner[owners] = owner[0];
		for (size_t i = 0; i < owners; i++)
			add_proof(rs, owner[i], owner[i + 1], name_wire_len(owner[i + 1]));
	} else {
		qsort(hash, hashes, NSEC3_HASH, by_hash);
		add(rs, "example.", TYPE_NSEC3PARAM, (const uint8_t[]){ 1, 0, 0, 0, 0 }, 5);
		for (size_t i = 0; i < hashes; i++) {
			uint8_t name[1 + NSEC3_LABEL + 9], next[6 + NSEC3_HASH] = { 1, 0, 0, 0, 0, NSEC3_HASH };

			nsec3_encode(name, hash[i]);
			memcpy(name + 1 + NSEC3_LABEL, "\7example", 9);
			memcpy(next + 6, hash[(i + 1) % hashes], NSEC3_HASH);
			add_proof(rs, name, next, sizeof(next));
		}
	}
	free(owner);
	free(hash);
}

static void make_zone(struct db *db, unsigned names)
{
	static const uint8_t soa[22] = { [21] = 60 }, address[4] = { 192, 0, 2, 1 };
	char owner[300], target[300];
	struct records rs;
	struct name apex;
	uint64_t version;

	records_init(&rs);
	add(&rs, "example.", TYPE_SOA, soa, sizeof(soa));
	add_name(&rs, "example.", TYPE_NS, "ns.example.");
	add(&rs, "ns.example.", TYPE_A, address, 4);
	for (unsigned i = 0; i < names; i++) {
		snprintf(owner, sizeof(owner), "host%u.example.", i);
		add(&rs, owner, TYPE_A, address, 4);
		snprintf(owner, sizeof(owner), "zone%u.example.", i);
		add_name(&rs, owner, TYPE_NS, "ns1.elsewhere.test.");
		snprintf(target, sizeof(target), "ns2.zone%u.example.", i);
		add_name(&rs, owner, TYPE_NS, i % 5 ? "ns2.elsewhere.test." : target);
		if (i % 5 == 0)
			add(&rs, target, TYPE_A, address, 4);
		if (i % 100 == 0) {
			snprintf(owner, sizeof(owner), "*.wild%u.example.", i / 100);
			add(&rs, owner, TYPE_A, address, 4);
			snprintf(owner, sizeof(owner), "alias%u.example.", i / 100);
			snprintf(target, sizeof(target), "host%u.example.", i);
			add_name(&rs, owner, TYPE_CNAME, target);
		}
	}
	name_from_text(&apex, "example.");
	if (records_sort(&rs))
		die("out of memory");
	if (denial) {
		add_dnssec(&rs);
		if (records_sort(&rs))
			die("out of memory");
	}
	struct txn *t = db_begin(db);

	if (txn_zone_put(t, &apex, &rs) || txn_commit(t, &version))
		die("the arena is full");
	records_free(&rs);
}

static void question(struct message *m, const char *qname, bool edns)
{
	const uint8_t opt[11] = { 0, 0, TYPE_OPT, 4, 208, 0, 0, denial ? 0x80 : 0 };
	struct name n;

	if (name_from_text(&n, qname) || n.len > sizeof(m->octets) - 12 - 4 - sizeof(opt))
		die(qname);
	memset(m, 0, sizeof(*m));
	m->octets[2] = 1;
	m->octets[5] = 1;
	edns |= denial != UNSIGNED;
	m->octets[11] = edns;
	memcpy(m->octets + 12, n.wire, n.len);
	m->len = (uint16_t)(12 + n.len);
	wire_write16(m->octets + m->len, TYPE_A);
	wire_write16(m->octets + m->len + 2, CLASS_IN);
	m->len = (uint16_t)(m->len + 4);
	if (edns) {
		memcpy(m->octets + m->len, opt, sizeof(opt));
		m->len = (uint16_t)(m->len + sizeof(opt));
	}
}

static void make_questions(unsigned names, unsigned seed)
{
	char deep[256] = "", qname[600];

	for (unsigned i = 0; i < 28; i++)
		strcat(deep, "x.");
	srandom(seed);
	for (unsigned k = 0; k < KINDS; k++) {
		asked[k] = calloc(questions, sizeof(**asked));
		if (!asked[k])
			die("out of memory");
		for (unsigned i = 0; i < questions; i++) {
			unsigned r = (unsigned)random() % names;

			switch (k) {
			case HIT: snprintf(qname, sizeof(qname), "host%u.example.", r); break;
			case MISS: snprintf(qname, sizeof(qname), "%lx.example.", random()); break;
			case DEEP_MISS: snprintf(qname, sizeof(qname), "%s%lx.example.", deep, random()); break;
			case REFERRAL: snprintf(qname, sizeof(qname), "www.zone%u.example.", r); break;
			case WILDCARD: snprintf(qname, sizeof(qname), "%lx.wild%u.example.", random(), r / 100); break;
			case CHAIN: snprintf(qname, sizeof(qname), "alias%u.example.", r / 100); break;
			}
			question(&asked[k][i], qname, i % 10 < 7);
		}
	}
}

/* ---- the operations; each does all questions of one kind ---- */

static void do_parse(const struct message *m)
{
	struct query q;

	for (unsigned i = 0; i < questions; i++)
		sink += query_parse(&reader, &q, m[i].octets, m[i].len, TRANSPORT_UDP, 1452);
}

static void do_hash(const struct message *m)
{
	const uint8_t *secret = arena_map_head(&reader.map)->secret;

	for (unsigned i = 0; i < questions; i++)
		sink += name_hash(secret, m[i].octets + 12, m[i].len - 27u);
}

static void do_find(const struct message *m)
{
	struct found f;
	struct query q;

	for (unsigned i = 0; i < questions; i++) {
		query_parse(&reader, &q, m[i].octets, m[i].len, TRANSPORT_UDP, 1452);
		find_name(&reader, &q.qname, q.hash, 0, NAME_MAX_LABELS, &f);
		sink += f.exact;
	}
}

static void do_tree(const struct message *m)
{
	const uint8_t *base = reader.map.base;
	struct found f;
	struct name n;

	find_name(&reader, &(struct name){ .len = 1 }, 0, 0, NAME_MAX_LABELS, &f);
	name_from_text(&n, "example.");
	find_name(&reader, &n, name_hash(arena_map_head(&reader.map)->secret, n.wire, n.len), 0,
		  NAME_MAX_LABELS, &f);
	for (unsigned i = 0; i < questions; i++)
		sink += tree_find(base, f.snapshot->tree, m[i].octets + 12);
}

/* As a worker does it: a burst at a time, each stage for all of it. */
static void do_answer(const struct message *m)
{
	static uint8_t out[BURST][1500];
	static struct query q[BURST];
	struct query *waiting[BURST];
	uint16_t rcode;

	for (unsigned i = 0; i + BURST <= questions; i += BURST) {
		if (instructions)
			CALLGRIND_TOGGLE_COLLECT; /* receiving is not what is counted */
		for (unsigned k = 0; k < BURST; k++)
			memcpy(out[k], m[i + k].octets, m[i + k].len);
		if (instructions)
			CALLGRIND_TOGGLE_COLLECT;
		reader_begin(&reader);
		for (unsigned k = 0; k < BURST; k++)
			query_parse(&reader, waiting[k] = &q[k], out[k], m[i + k].len, TRANSPORT_UDP, 1452);
		query_prefetch_burst(&reader, waiting, BURST);
		for (unsigned k = 0; k < BURST; k++)
			sink += query_answer(&reader, &q[k], out[k], &rcode);
		reader_end(&reader);
	}
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const char *what, const char *kind, void (*op)(const struct message *),
		    const struct message *m)
{
	double ns[100];
	char name[64];

	snprintf(name, sizeof(name), "%s/%s", what, kind);
	if (instructions) {
		CALLGRIND_START_INSTRUMENTATION;
		CALLGRIND_ZERO_STATS;
		op(m);
		CALLGRIND_DUMP_STATS_AT(name);
		CALLGRIND_STOP_INSTRUMENTATION;
		return;
	}
	op(m);
	for (unsigned i = 0; i < rounds; i++) {
		double start = now_ns();

		op(m);
		ns[i] = (now_ns() - start) / questions;
	}
	qsort(ns, rounds, sizeof(ns[0]), by_value);
	printf("%-24s %8.1f %8.1f %8.1f\n", name, ns[rounds / 2], ns[0], ns[rounds - 1]);
}

int main(int argc, char **argv)
{
	unsigned names = 100000, seed = 1, slot = 0;
	enum arena_huge huge = ARENA_HUGE_AUTO;
	struct db *db;

	for (int c; (c = getopt(argc, argv, "n:q:s:r:d:p:i")) != -1;) {
		switch (c) {
		case 'n': names = (unsigned)atoi(optarg); break;
		case 'q': questions = (unsigned)atoi(optarg); break;
		case 's': seed = (unsigned)atoi(optarg); break;
		case 'r': rounds = (unsigned)atoi(optarg); break;
		case 'd': denial = !strcmp(optarg, "nsec") ? NSEC : !strcmp(optarg, "nsec3") ? NSEC3 : UNSIGNED; break;
		case 'p': huge = !strcmp(optarg, "no") ? ARENA_HUGE_NO : !strcmp(optarg, "yes") ? ARENA_HUGE_YES : ARENA_HUGE_AUTO; break;
		case 'i': instructions = true; break;
		default: die("usage: micro [-n NAMES] [-q QUESTIONS] [-s SEED] [-r ROUNDS] [-d nsec|nsec3] [-p no|auto|yes] [-i]");
		}
	}
	if (names < 100 || questions < BURST || rounds < 1 || rounds > 100)
		die("names from 100, questions from 32, rounds from 1 to 100");
	if (db_create(&db, UINT64_C(4) << 30, huge) ||
	    db_reader_reserve(db, (uint32_t)getpid(), STATUS_KIND_SERVE, 1, &slot))
		die("no database");
	double start = now_ns();

	make_zone(db, names);
	double made = now_ns();
	struct arena_usage u;
	uint64_t retired;

	db_usage(db, &u, &retired);
	make_questions(names, seed);
	reader_init(&reader, db_map(db), &db_status(db)->slot[slot]);
	reader_online(&reader);
	reader_begin(&reader);
	printf("%u hosts and %u delegations%s, seed %u, %s pages, %u questions of each kind, "
	       "%u rounds; " COMPILER "\n", names, names, denial == NSEC ? ", NSEC and DO" :
	       denial ? ", NSEC3 and DO" : "", seed, u.huge ? "2 MiB" : "4 KiB", questions, rounds);
	printf("made in %.2f s, %.1f MiB in the arena\n", (made - start) / 1e9,
	       (double)u.used / (1 << 20));
	if (!instructions)
		printf("%-24s %8s %8s %8s   ns an operation\n", "", "median", "least", "most");
	measure("parse", "hit", do_parse, asked[HIT]);
	measure("parse", "nxdomain-deep", do_parse, asked[DEEP_MISS]);
	measure("hash", "hit", do_hash, asked[HIT]);
	measure("find", "hit", do_find, asked[HIT]);
	measure("find", "nxdomain", do_find, asked[MISS]);
	measure("find", "nxdomain-deep", do_find, asked[DEEP_MISS]);
	measure("tree", "hit", do_tree, asked[HIT]);
	measure("tree", "nxdomain", do_tree, asked[MISS]);
	for (unsigned k = 0; k < KINDS; k++)
		measure("answer", kind_name[k], do_answer, asked[k]);
	reader_offline(&reader);
	db_destroy(db);
	return sink ? 0 : 1;
}
