/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Record lists: what goes in comes out sorted, without duplicates. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/answer/name.h"
#include "dataplane/answer/records.h"
#include "dataplane/answer/rrtype.h"

static uint64_t seed = 7;

static uint32_t rnd(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

static void add(struct records *rs, const char *owner, uint16_t type, uint32_t ttl,
		const void *rdata, uint16_t len)
{
	struct name n;

	cr_assert_eq(name_from_text(&n, owner), 0);
	/* As a zone file may write it. */
	for (size_t i = 0; i < n.len; i++)
		if (rnd(2) && n.wire[i] >= 'a' && n.wire[i] <= 'z')
			n.wire[i] ^= 0x20;
	cr_assert_eq(records_add(rs, n.wire, type, ttl, rdata, len, 3, 77), 0);
}

/* check - is rs in the order that records.h promises, strictly? */
static void check(const struct records *rs)
{
	cr_assert(rs->sorted);
	for (size_t i = 1; i < rs->cnt; i++) {
		const struct record *a = &rs->rr[i - 1], *b = &rs->rr[i];
		int order = name_cmp(a->owner, b->owner);

		cr_assert_leq(order, 0);
		cr_assert_eq(order == 0, a->owner == b->owner, "equal owners share octets");
		if (order < 0)
			continue;
		cr_assert_leq(a->type, b->type);
		if (a->type < b->type)
			continue;
		cr_assert_lt(rdata_cmp(a->type, a->rdata, a->rdata_len, b->rdata, b->rdata_len), 0);
		if (a->type == TYPE_RRSIG && memcmp(a->rdata, b->rdata, 2) != 0)
			cr_assert_lt(memcmp(a->rdata, b->rdata, 2), 0);
		else
			cr_assert_eq(a->ttl, b->ttl);
	}
}

Test(records, empty)
{
	struct records rs;

	records_init(&rs);
	cr_assert_eq(records_sort(&rs), 0);
	cr_assert_eq(rs.cnt, 0);
	cr_assert(rs.sorted);
	records_free(&rs);
}

Test(records, keeps_what_it_is_given)
{
	struct records rs;
	char big[65535];

	memset(big, 'b', sizeof(big));
	records_init(&rs);
	add(&rs, "WWW.example", TYPE_TXT, 5, "\3Abc", 4);
	add(&rs, "www.example", TYPE_A, 6, "\1\2\3\4", 4);
	add(&rs, "x.example", 65000, 7, big, 65535);
	add(&rs, "x.example", 65001, 8, NULL, 0);
	cr_assert_eq(rs.cnt, 4);
	cr_assert_not(rs.sorted);
	cr_assert_arr_eq(rs.rr[0].owner, "\3www\7example", 13);
	cr_assert_arr_eq(rs.rr[0].rdata, "\3Abc", 4);
	cr_assert_eq(rs.rr[0].owner, rs.rr[1].owner);
	cr_assert_eq(rs.rr[1].ttl, 6);
	cr_assert_eq(rs.rr[1].file, 3);
	cr_assert_eq(rs.rr[1].line, 77);
	cr_assert_eq(rs.rr[2].rdata_len, 65535);
	cr_assert_arr_eq(rs.rr[2].rdata, big, 65535);
	cr_assert_eq(rs.rr[3].rdata_len, 0);
	records_free(&rs);
	cr_assert_eq(rs.cnt, 0);
	cr_assert_null(rs.rr);
}

Test(records, duplicates_and_ttls)
{
	struct records rs;

	records_init(&rs);
	add(&rs, "b.example", TYPE_NS, 300, "\2ns\1B", 6);
	add(&rs, "a.example", TYPE_A, 100, "\1\1\1\1", 4);
	add(&rs, "b.example", TYPE_NS, 200, "\2NS\1b", 6);
	add(&rs, "a.example", TYPE_A, 50, "\1\1\1\1", 4);
	add(&rs, "a.example", TYPE_A, 70, "\0\1\1\1", 4);
	add(&rs, "a.example", TYPE_TXT, 20, "\1a", 2);
	add(&rs, "a.example", TYPE_TXT, 30, "\1A", 2);
	cr_assert_eq(records_sort(&rs), 0);
	check(&rs);
	cr_assert_eq(rs.cnt, 5);
	cr_assert_eq(rs.rr[0].rdata[0], 0);
	cr_assert_eq(rs.rr[0].ttl, 50); /* the lowest, that of a duplicate */
	cr_assert_eq(rs.rr[1].ttl, 50);
	cr_assert_eq(rs.rr[2].rdata[1], 'A'); /* text keeps its case */
	cr_assert_eq(rs.rr[3].rdata[1], 'a');
	cr_assert_eq(rs.rr[3].ttl, 20);
	cr_assert_eq(rs.rr[4].type, TYPE_NS); /* names that differ in case are equal */
	cr_assert_eq(rs.rr[4].ttl, 200);
	records_free(&rs);
}

Test(records, signatures_form_sets_by_covered_type)
{
	static const char a[] = "\0\1\10\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0s";
	static const char b[] = "\0\1\10\2\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0s";
	static const char c[] = "\0\2\10\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0s";
	struct records rs;

	records_init(&rs);
	add(&rs, "x", TYPE_RRSIG, 9, c, 20);
	add(&rs, "x", TYPE_RRSIG, 5, b, 20);
	add(&rs, "x", TYPE_RRSIG, 7, a, 20);
	cr_assert_eq(records_sort(&rs), 0);
	check(&rs);
	cr_assert_eq(rs.cnt, 3);
	cr_assert_arr_eq(rs.rr[0].rdata, a, 20);
	cr_assert_arr_eq(rs.rr[1].rdata, b, 20);
	cr_assert_arr_eq(rs.rr[2].rdata, c, 20);
	cr_assert_eq(rs.rr[0].ttl, 5);
	cr_assert_eq(rs.rr[1].ttl, 5);
	cr_assert_eq(rs.rr[2].ttl, 9);
	records_free(&rs);
}

/* The same records in any order of arrival come out the same. */
Test(records, order_of_arrival_does_not_matter)
{
	enum { CNT = 400 };
	struct { char owner[32]; uint16_t type; uint32_t ttl; uint8_t rdata[4]; } in[CNT];
	struct records first;

	for (int i = 0; i < CNT; i++) {
		/* Few owners, one of them with many records, and some duplicates. */
		if (rnd(4) == 0)
			snprintf(in[i].owner, sizeof(in[i].owner), "example");
		else
			snprintf(in[i].owner, sizeof(in[i].owner), "%s%u.example",
				 rnd(2) ? "\\000." : "h", rnd(40));
		in[i].type = rnd(2) ? TYPE_A : 65280;
		in[i].ttl = rnd(1000);
		for (int j = 0; j < 4; j++)
			in[i].rdata[j] = (uint8_t)rnd(3);
	}
	records_init(&first);
	for (int round = 0; round < 200; round++) {
		struct records rs;

		records_init(&rs);
		for (int i = 0; i < CNT; i++)
			add(&rs, in[i].owner, in[i].type, in[i].ttl, in[i].rdata, 4);
		cr_assert_eq(records_sort(&rs), 0);
		check(&rs);
		cr_assert_lt(rs.cnt, CNT);
		if (round == 0) {
			first = rs;
			continue;
		}
		cr_assert_eq(rs.cnt, first.cnt);
		for (size_t i = 0; i < rs.cnt; i++) {
			cr_assert_eq(name_cmp(rs.rr[i].owner, first.rr[i].owner), 0);
			cr_assert_eq(rs.rr[i].type, first.rr[i].type);
			cr_assert_eq(rs.rr[i].ttl, first.rr[i].ttl);
			cr_assert_arr_eq(rs.rr[i].rdata, first.rr[i].rdata, 4);
		}
		/* Sorting again, also after an addition, keeps the order. */
		cr_assert_eq(records_sort(&rs), 0);
		check(&rs);
		add(&rs, "example", TYPE_A, 1, "\0\0\0\7", 4);
		cr_assert_not(rs.sorted);
		cr_assert_eq(records_sort(&rs), 0);
		check(&rs);
		cr_assert_eq(rs.cnt, first.cnt + 1);
		records_free(&rs);
		for (int i = CNT - 1; i > 0; i--) {
			uint32_t j = rnd((uint32_t)i + 1);
			__typeof__(in[0]) swap = in[i];

			in[i] = in[j];
			in[j] = swap;
		}
	}
	records_free(&first);
}
