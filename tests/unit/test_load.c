/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The load generator's plain core: queries, prepared frames, flights, checks. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/load/check.h"
#include "bench/load/expect.h"
#include "bench/load/prepare.h"
#include "bench/load/source.h"
#include "control/zone/zonefile.h"
#include "dataplane/answer/answer.h"
#include "dataplane/answer/rrtype.h"
#include "dataplane/frame.h"

static const char zone_text[] =
	"$ORIGIN example.\n$TTL 3600\n"
	"@ SOA ns1 hostmaster 1 7200 900 1209600 300\n@ NS ns1\n@ NS ns2.elsewhere.test.\n"
	"ns1 A 192.0.2.1\nwww A 192.0.2.2\nwww AAAA 2001:db8::2\nmail MX 10 www\nalias CNAME www\n"
	"cut NS ns.cut\nns.cut A 192.0.2.3\n";

static const struct prepare_peers both = {
	.mac_from = { 2, 0, 0, 0, 0, 2 }, .mac_to = { 2, 0, 0, 0, 0, 1 },
	.use4 = true, .use6 = true,
	.server4 = { 10, 53, 0, 1 }, .server6 = { 0xfd, 0x53, [15] = 1 },
	.source4 = { 10, 53, 1, 250 }, .source6 = { 0xfd, 0x53, [14] = 9 },
	.sources = 1000, .port = 53, .share6 = 50,
};

static size_t question(uint8_t *msg, const char *text, uint16_t type)
{
	struct name n;

	cr_assert_eq(name_from_text(&n, text), 0);
	memset(msg, 0, DNS_HEADER);
	msg[5] = 1;
	memcpy(msg + DNS_HEADER, n.wire, n.len);
	wire_write16(msg + DNS_HEADER + n.len, type);
	wire_write16(msg + DNS_HEADER + n.len + 2, CLASS_IN);
	return DNS_HEADER + (size_t)n.len + 4;
}

static void no_fault(void *arg, const char *text)
{
	cr_assert_fail("%s", text);
}

static void read_zone(struct records *rs, struct name *apex)
{
	records_init(rs);
	name_from_text(apex, "example.");
	cr_assert_eq(zonefile_read_text(rs, apex, zone_text, sizeof(zone_text) - 1, "text", no_fault, NULL), 0);
}

/* A server of one frame: what the dataplane makes of data[0..len) with an answer that
 * `write` puts behind the question, or the library's from the zone when NULL. */
static size_t serve(uint8_t *data, size_t len, struct expect *x)
{
	static struct frame_addresses addresses;
	struct sockaddr_storage sa = { .ss_family = AF_INET };
	struct frame_rules rules = { .addresses = &addresses, .mtu = 1500, .check_sums = true };
	struct frame f;
	struct query q;
	uint16_t rcode;
	size_t n;

	((uint16_t *)(void *)&sa)[1] = 53 << 8;
	memcpy((uint8_t *)&sa + 4, both.server4, 4);
	frame_addresses_add(&addresses, &sa);
	sa.ss_family = AF_INET6;
	memset((uint8_t *)&sa + 4, 0, 4);
	memcpy((uint8_t *)&sa + 8, both.server6, 16);
	frame_addresses_add(&addresses, &sa);
	cr_assert(frame_parse(&f, &rules, data, len), "reason %d", f.reason);
	reader_begin(&x->reader);
	cr_assert_eq(query_parse(&x->reader, &q, data + f.payload, f.payload_len, TRANSPORT_UDP, 1232),
		     VERDICT_ANSWER);
	query_prefetch(&x->reader, &q);
	n = query_answer(&x->reader, &q, data + f.payload, &rcode);
	reader_end(&x->reader);
	return frame_reply(&f, &rules, data, n);
}

/* ---- prepared queries ---- */

Test(load, numbers_survive_id_and_port)
{
	for (uint64_t n = 0; n <= PREPARE_NUMBER; n += 12345) {
		uint16_t port = prepare_port((uint32_t)n);

		cr_assert(port >= PREPARE_PORT && port - PREPARE_PORT < PREPARE_PORTS);
		cr_assert_eq(prepare_number((uint16_t)n, port), n);
	}
	cr_assert_eq(prepare_number(0xffff, prepare_port(PREPARE_NUMBER)), PREPARE_NUMBER);
}

/* frame_parse with check_sums judges every header and both checksums. */
Test(load, prepared_frames_are_right)
{
	struct prepare_store s;
	struct expect x;
	struct records rs;
	struct name apex;
	unsigned six = 0;

	read_zone(&rs, &apex);
	cr_assert_eq(expect_open(&x, &apex, &rs, 1232), 0);
	for (unsigned tags = 0; tags <= 2; tags++) {
		struct prepare_peers peers = both;
		uint32_t at = 1;

		peers.tag_cnt = tags;
		peers.tag[0] = 5;
		peers.tag[1] = 7;
		cr_assert_eq(prepare_init(&s, &peers), 0);
		for (unsigned i = 0; i < 300; i++) {
			uint8_t msg[300], frame[1500];
			char text[300];
			int error;

			snprintf(text, sizeof(text), "%.*s.example.", 1 + (int)(i % 63),
				 "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789");
			struct prepared *p = prepare_add(&s, msg, question(msg, text, TYPE_A), &error);

			cr_assert(p && prepare_at(s.base, at) == p);
			at += prepare_units(p);
			memcpy(frame, p->frame, p->len);
			prepare_number_frame(frame, p, i * 1234567);
			six += wire_read16(frame + 12 + 4 * tags) == 0x86dd;
			serve(frame, p->len, &x);
		}
		cr_assert_eq(at, s.next);
		cr_assert_eq(s.cnt, 300);
		prepare_free(&s);
	}
	cr_assert_eq(six, 450, "half of them IPv6: %u", six);
	expect_close(&x);
	records_free(&rs);
}

Test(load, what_is_no_query_is_not_prepared)
{
	struct prepare_store s;
	uint8_t msg[2000] = { 0 };
	size_t len = question(msg, "www.example.", TYPE_A);
	int error;

	cr_assert_eq(prepare_init(&s, &both), 0);
	for (size_t i = 0; i < len; i++)
		cr_assert_null(prepare_add(&s, msg, i, &error), "the first %zu octets", i);
	cr_assert_null(prepare_add(&s, msg, sizeof(msg), &error), "too long");
	msg[2] = 0x80;
	cr_assert_null(prepare_add(&s, msg, len, &error), "an answer");
	msg[2] = 0;
	msg[5] = 2;
	cr_assert_null(prepare_add(&s, msg, len, &error), "two questions");
	cr_assert_eq(error, 0);
	msg[5] = 1;
	cr_assert_not_null(prepare_add(&s, msg, len, &error));
	cr_assert_eq(s.cnt, 1);
	prepare_free(&s);
}

/* ---- flights ---- */

Test(load, flights_end_are_lost_and_expire)
{
	struct flights f;
	struct flight *e;

	cr_assert_eq(flights_init(&f, 8), 0);
	f.next = f.oldest = PREPARE_NUMBER - 2; /* around the numbers' end */
	for (uint32_t i = 0; i < 8; i++)
		cr_assert_eq(flights_start(&f, 100 + i, 10 + i), (PREPARE_NUMBER - 2 + i) & PREPARE_NUMBER);
	cr_assert_eq(f.pending, 8);
	e = flights_find(&f, PREPARE_NUMBER);
	cr_assert(e && e->at == 102);
	flights_end(&f, e);
	cr_assert_eq(f.pending, 7);
	cr_assert_null(flights_find(&f, 77), "never sent");

	cr_assert_eq(flights_start(&f, 200, 18), 7, "not in the places of those that may still come back");
	cr_assert_eq(f.lost, 0);
	cr_assert_eq(f.pending, 8);
	cr_assert(flights_find(&f, PREPARE_NUMBER - 2)->at == 100);
	cr_assert_eq(flights_start(&f, 201, 19), 16, "there is no other place");
	cr_assert_eq(f.lost, 1);
	cr_assert_eq(f.pending, 8);
	cr_assert_null(flights_find(&f, 0), "overtaken");

	flights_expire(&f, 15); /* from the place of 14 on; those before it have been passed over */
	cr_assert_eq(f.lost, 2);
	cr_assert_eq(f.pending, 7);
	flights_expire(&f, 1000);
	cr_assert_eq(f.lost, 9);
	cr_assert_eq(f.pending, 0);
	cr_assert_eq(f.oldest, f.next);
	flights_free(&f);
}

/* ---- checks ---- */

struct scene {
	struct prepare_store store;
	struct flights flights;
	struct checker checker;
	struct expect expect;
	uint64_t expected[1];
	uint8_t frame[1500]; /* a right answer */
	size_t len;
	struct prepared *p;
};

/* One query for www.example. A over a family, and its answer. */
static void scene_make(struct scene *s, bool six, bool sample)
{
	struct prepare_peers peers = both;
	struct records rs;
	struct name apex;
	uint8_t msg[300];
	size_t len = question(msg, "wWw.example.", TYPE_A);
	int error;

	memset(s, 0, sizeof(*s));
	peers.use6 = six;
	peers.use4 = !six;
	read_zone(&rs, &apex);
	cr_assert_eq(expect_open(&s->expect, &apex, &rs, 1232), 0);
	cr_assert_eq(prepare_init(&s->store, &peers), 0);
	cr_assert_eq(flights_init(&s->flights, 64), 0);
	s->p = prepare_add(&s->store, msg, len, &error);
	cr_assert_not_null(s->p);
	cr_assert(expect_answer(&s->expect, msg, len, &s->p->rcode, &s->expected[0]));
	cr_assert_neq(s->expected[0], 0);
	s->p->sample = sample;
	s->checker = (struct checker){ .base = s->store.base, .peers = &s->store.peers, .sums = true,
				       .expected = s->expected };
	memcpy(s->frame, s->p->frame, s->p->len);
	prepare_number_frame(s->frame, s->p, flights_start(&s->flights, 1, 5));
	s->len = serve(s->frame, s->p->len, &s->expect);
	records_free(&rs);
}

static void scene_end(struct scene *s)
{
	expect_close(&s->expect);
	flights_free(&s->flights);
	prepare_free(&s->store);
}

static enum check look(struct scene *s, const uint8_t *frame, size_t len)
{
	struct checked c;

	return check_frame(&s->checker, &s->flights, frame, len, &c);
}

Test(load, a_right_answer_is_right_once)
{
	for (int six = 0; six < 2; six++) {
		struct scene s;
		struct checked c;

		scene_make(&s, six, true);
		cr_assert_eq(check_frame(&s.checker, &s.flights, s.frame, s.len, &c), CHECK_RIGHT);
		cr_assert(c.flight && c.flight->sent == 5 && c.sampled && !c.truncated && c.rcode == 0);
		flights_end(&s.flights, c.flight);
		cr_assert_eq(look(&s, s.frame, s.len), CHECK_LATE, "twice");
		scene_end(&s);
	}
}

/* Any octet of an answer that is changed makes it another's or wrong, but for those
 * that may differ. */
Test(load, every_changed_octet_is_seen)
{
	for (int six = 0; six < 2; six++) {
		struct scene s;
		size_t ip = 14, msg = ip + (six ? 40 : 20) + 8;

		scene_make(&s, six, true);
		for (size_t i = 0; i < s.len; i++) {
			/* MAC addresses; fields of IP that a router may change; RA, AD and CD. */
			bool free = i < 12 || (!six && (i == ip + 1 || (i >= ip + 4 && i < ip + 9) ||
							(i >= ip + 10 && i < ip + 12))) ||
				    (six && ((i >= ip && i < ip + 4) || i == ip + 7));

			for (int bit = 0; bit < 8; bit++) {
				uint8_t frame[1500];
				enum check verdict;

				memcpy(frame, s.frame, s.len);
				frame[i] ^= (uint8_t)(1 << bit);
				verdict = look(&s, frame, s.len);
				cr_assert(free ? verdict == CHECK_RIGHT || verdict == CHECK_OTHER
					       : verdict != CHECK_RIGHT,
					  "octet %zu (message from %zu), bit %d: %s", i, msg, bit,
					  check_name(verdict));
			}
		}
		for (size_t len = 0; len < s.len; len++) {
			uint8_t *cut = malloc(len ? len : 1); /* so that sanitizers see its end */

			memcpy(cut, s.frame, len);
			cr_assert_neq(look(&s, cut, len), CHECK_RIGHT, "the first %zu octets", len);
			free(cut);
		}
		scene_end(&s);
	}
}

Test(load, kinds_of_wrong_answers)
{
	struct scene s;
	uint8_t frame[1500];

	scene_make(&s, false, false);
	s.checker.sums = false;

	memcpy(frame, s.frame, s.len);
	frame[42 + 3] = 3;
	cr_assert_eq(look(&s, frame, s.len), CHECK_WRONG_RCODE);
	memcpy(frame, s.frame, s.len);
	frame[42 + 2] &= 0x7f;
	cr_assert_eq(look(&s, frame, s.len), CHECK_WRONG_HEADER, "QR");
	memcpy(frame, s.frame, s.len);
	frame[42 + 13] ^= 0x20;
	cr_assert_eq(look(&s, frame, s.len), CHECK_WRONG_QUESTION, "the case of a letter");
	memcpy(frame, s.frame, s.len);
	frame[29]++;
	cr_assert_eq(look(&s, frame, s.len), CHECK_WRONG_ADDRESS);
	memcpy(frame, s.frame, s.len);
	frame[35]++;
	cr_assert_eq(look(&s, frame, s.len), CHECK_OTHER, "not from port 53");
	memcpy(frame, s.frame, s.len);
	frame[39]--;
	cr_assert_eq(look(&s, frame, s.len), CHECK_WRONG_LENGTH);
	memcpy(frame, s.frame, s.len);
	frame[s.len - 1]++;
	cr_assert_eq(look(&s, frame, s.len), CHECK_RIGHT, "no sample: the records are not looked at");
	s.p->sample = 1;
	cr_assert_eq(look(&s, frame, s.len), CHECK_WRONG_CONTENT);
	s.checker.sums = true;
	cr_assert_eq(look(&s, frame, s.len), CHECK_WRONG_SUM);
	scene_end(&s);
}

Test(load, answers_are_learnt)
{
	struct scene s;

	scene_make(&s, false, true);
	s.expected[0] = 0;
	s.checker.sums = false;
	struct checked c;

	cr_assert_eq(check_frame(&s.checker, &s.flights, s.frame, s.len, &c), CHECK_RIGHT);
	cr_assert(!c.sampled, "nothing to compare with");
	s.checker.learn = true;
	cr_assert_eq(look(&s, s.frame, s.len), CHECK_RIGHT);
	s.checker.learn = false;
	s.frame[s.len - 1]++;
	cr_assert_eq(look(&s, s.frame, s.len), CHECK_WRONG_CONTENT);
	scene_end(&s);
}

Test(load, echoes)
{
	struct scene s;
	uint8_t frame[1500];
	struct frame_rules rules = { .mtu = 1500 };
	struct frame f = { .ip = 14, .udp = 34, .payload = 42, .family = 4 };
	size_t len;

	scene_make(&s, false, true);
	cr_assert_eq(look(&s, s.frame, s.len), CHECK_RIGHT);
	memcpy(frame, s.p->frame, s.p->len);
	prepare_number_frame(frame, s.p, s.flights.next - 1);
	len = frame_reply(&f, &rules, frame, s.p->len - (size_t)42);
	cr_assert_eq(look(&s, frame, len), CHECK_WRONG_HEADER, "a query is no answer");
	s.checker.echo = true;
	cr_assert_eq(look(&s, frame, len), CHECK_RIGHT);
	cr_assert_eq(look(&s, s.frame, s.len), CHECK_WRONG_HEADER, "an answer is no echo");
	frame[42 + 4]++;
	cr_assert_neq(look(&s, frame, len), CHECK_RIGHT);
	scene_end(&s);
}

/* ---- digests ---- */

/* A referral, uncompressed and compressed, in two orders: one digest. */
static const uint8_t plain[] =
	"\0\0\x80\0\0\1\0\0\0\1\0\2" "\3cut\7example\0\0\1\0\1"
	"\3CUT\7example\0\0\2\0\1\0\0\1\0\0\20\2ns\3cut\7example\0"
	"\2ns\3cut\7example\0\0\1\0\1\0\0\1\0\0\4\1\2\3\4"
	"\2ns\3cut\7example\0\0\1\0\1\0\0\1\0\0\4\5\6\7\x8";
static const uint8_t packed[] =
	"\7\7\x80\0\0\1\0\0\0\1\0\2" "\3cut\7example\0\0\1\0\1"
	"\xc0\x0c\0\2\0\1\0\0\1\0\0\5\2NS\xc0\x0c"
	"\xc0\x29\0\1\0\1\0\0\1\0\0\4\5\6\7\x8"
	"\xc0\x29\0\1\0\1\0\0\1\0\0\4\1\2\3\4";

Test(load, a_digest_knows_neither_order_nor_compression)
{
	uint64_t digest = expect_digest(plain, sizeof(plain) - 1);
	uint8_t msg[sizeof(plain)];

	cr_assert_neq(digest, 0);
	cr_assert_eq(expect_digest(packed, sizeof(packed) - 1), digest);
	memcpy(msg, plain, sizeof(plain));
	msg[sizeof(plain) - 2]++;
	cr_assert_neq(expect_digest(msg, sizeof(plain) - 1), digest, "a referral's glue counts");
	msg[2] |= 4;
	digest = expect_digest(msg, sizeof(plain) - 1);
	msg[sizeof(plain) - 2]++;
	cr_assert_eq(expect_digest(msg, sizeof(plain) - 1), digest, "elsewhere additional records do not");
	for (size_t len = 0; len < sizeof(packed) - 1; len++) {
		uint8_t *cut = malloc(len ? len : 1);

		memcpy(cut, packed, len);
		cr_assert_eq(expect_digest(cut, len), 0, "the first %zu octets", len);
		free(cut);
	}
}

/* ---- sources ---- */

struct list {
	unsigned cnt;
	uint16_t type[64];
	char text[64][NAME_TEXT_MAX];
	bool edns[64], dnssec_ok[64], recurse[64];
};

static int list_add(void *arg, const uint8_t *msg, size_t len)
{
	struct list *l = arg;
	struct name n;
	size_t end = name_read(&n, msg, DNS_HEADER, len);

	cr_assert(end != 0 && len - end >= 4 && l->cnt < 64);
	name_to_text(l->text[l->cnt], n.wire);
	l->type[l->cnt] = wire_read16(msg + end);
	l->edns[l->cnt] = len > end + 4;
	l->dnssec_ok[l->cnt] = len > end + 4 && msg[end + 4 + 7] & 0x80;
	l->recurse[l->cnt] = msg[2] & 1;
	l->cnt++;
	return 0;
}

static int from_text(struct list *l, const char *text)
{
	static const struct source_edns none;
	char path[] = "/tmp/pollux-test-XXXXXX";
	int fd = mkstemp(path), rc;

	cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	memset(l, 0, sizeof(*l));
	rc = source_text(path, &none, list_add, l);
	unlink(path);
	return rc;
}

Test(load, queries_from_text)
{
	struct list l;

	cr_assert_eq(from_text(&l, "; remark\n\nwww.example. AAAA\nexample TYPE65280 ER\r\na.b\nx. ANY D\n#\n"), 0);
	cr_assert_eq(l.cnt, 4);
	cr_assert_str_eq(l.text[0], "www.example.");
	cr_assert(l.type[0] == TYPE_AAAA && !l.edns[0]);
	cr_assert(l.type[1] == 65280 && l.edns[1] && !l.dnssec_ok[1] && l.recurse[1]);
	cr_assert(l.type[2] == TYPE_A);
	cr_assert(l.type[3] == TYPE_ANY && l.dnssec_ok[3] && !l.recurse[3]);
	cr_assert_lt(from_text(&l, "www NONSENSE\n"), 0);
	cr_assert_lt(from_text(&l, "www A X\n"), 0);
	cr_assert_lt(from_text(&l, "a..b A\n"), 0);
}

Test(load, queries_from_a_zone)
{
	struct source_zone z = { .cnt = 60, .seed = 3, .edns = { .edns = 50, .dnssec_ok = 10 } };
	struct list *l = calloc(1, sizeof(*l));
	struct records rs;
	struct name apex;
	unsigned edns = 0, dnssec_ok = 0;

	read_zone(&rs, &apex);
	z.profile = PROFILE_HITS;
	cr_assert_eq(source_zone(&rs, &apex, &z, list_add, l), 0);
	cr_assert_eq(l->cnt, 60);
	for (unsigned i = 0; i < 60; i++) {
		cr_assert_null(strstr(l->text[i], "cut"), "%s is not this zone's", l->text[i]);
		edns += l->edns[i];
		dnssec_ok += l->dnssec_ok[i];
	}
	cr_assert_eq(dnssec_ok, 6);
	cr_assert(edns >= 30 && edns <= 36, "%u", edns);

	z.profile = PROFILE_REFERRALS;
	l->cnt = 0;
	cr_assert_eq(source_zone(&rs, &apex, &z, list_add, l), 0);
	cr_assert_str_eq(l->text[5], "www.cut.example.");

	z.profile = PROFILE_DEEP;
	l->cnt = 0;
	cr_assert_eq(source_zone(&rs, &apex, &z, list_add, l), 0);
	unsigned dots = 0;

	for (const char *p = l->text[7]; *p; p++)
		dots += *p == '.';
	cr_assert_eq(dots, 30, "%s", l->text[7]);

	z.profile = PROFILE_ZIPF;
	z.type = TYPE_AAAA;
	l->cnt = 0;
	cr_assert_eq(source_zone(&rs, &apex, &z, list_add, l), 0);
	cr_assert_str_eq(l->text[59], "www.example.");
	z.type = TYPE_SRV;
	cr_assert_lt(source_zone(&rs, &apex, &z, list_add, l), 0, "there are none");
	records_free(&rs);
	free(l);
}

/* Reads all octets it is given, so that sanitizers see them. */
static int sum_up(void *arg, const uint8_t *msg, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*(unsigned *)arg += msg[i];
	return 0;
}

static int sum_up_known(void *arg, const uint8_t *msg, size_t len, uint8_t rcode, uint64_t digest)
{
	*(unsigned *)arg += rcode + (unsigned)digest;
	return sum_up(arg, msg, len);
}

Test(load, queries_are_saved_and_read)
{
	char path[] = "/tmp/pollux-test-XXXXXX";
	unsigned sum = 0, again = 0;
	FILE *f;
	long len;

	close(mkstemp(path));
	f = source_save_open(path);
	cr_assert_not_null(f);
	for (unsigned i = 1; i <= 3; i++) {
		uint8_t msg[300];
		size_t n = question(msg, "www.example.", TYPE_A);

		cr_assert_eq(source_save_add(f, msg, n, (uint8_t)i, i * 1000), 0);
		sum_up_known(&sum, msg, n, (uint8_t)i, i * 1000);
	}
	len = ftell(f);
	cr_assert_eq(source_save_close(f), 0);
	cr_assert_eq(source_saved(path, sum_up_known, &again), 0);
	cr_assert_eq(again, sum);
	cr_assert_eq(truncate(path, len - 1), 0);
	cr_assert_eq(source_saved(path, sum_up_known, &again), -EINVAL);
	cr_assert_eq(truncate(path, 3), 0);
	cr_assert_eq(source_saved(path, sum_up_known, &again), -EINVAL);
	unlink(path);
	cr_assert_eq(source_saved(path, sum_up_known, &again), -ENOENT);
}

static int from_pcap(source_sink sink, void *arg, const void *octets, size_t len)
{
	char path[] = "/tmp/pollux-test-XXXXXX";
	int fd = mkstemp(path), rc;

	cr_assert(fd >= 0 && write(fd, octets, len) == (ssize_t)len);
	close(fd);
	rc = source_pcap(path, sink, arg);
	unlink(path);
	return rc;
}

Test(load, queries_from_a_pcap)
{
	struct list *l = calloc(1, sizeof(*l));
	struct prepare_peers peers = both;
	struct prepare_store s;
	uint8_t file[4000] = { 0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, [20] = 1 }, msg[300];
	size_t len = 24;
	unsigned sum = 0;
	int error;

	for (unsigned tags = 0; tags <= 2; tags++) {
		peers.tag_cnt = tags;
		cr_assert_eq(prepare_init(&s, &peers), 0);
		for (unsigned i = 0; i < 4; i++) {
			struct prepared *p = prepare_add(&s, msg, question(msg, "www.example.", TYPE_A), &error);

			memset(file + len, 0, 16);
			file[len + 8] = file[len + 12] = (uint8_t)p->len;
			memcpy(file + len + 16, p->frame, p->len);
			len += 16 + (size_t)p->len;
		}
		prepare_free(&s);
	}
	cr_assert_eq(from_pcap(list_add, l, file, len), 0);
	cr_assert_eq(l->cnt, 12);
	cr_assert_str_eq(l->text[11], "www.example.");
	for (size_t cut = 0; cut < len; cut += 7)
		from_pcap(sum_up, &sum, file, cut);
	srandom(1);
	for (unsigned i = 0; i < 300; i++) {
		uint8_t bad[sizeof(file)];

		memcpy(bad, file, len);
		bad[(size_t)random() % len] ^= (uint8_t)(1 << random() % 8);
		from_pcap(sum_up, &sum, bad, len);
	}
	cr_assert_lt(from_pcap(sum_up, &sum, "no pcap file at all, but long enough", 36), 0);
	free(l);
}
