/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The latency histogram. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "bench/load/hist.h"

Test(hist, buckets_are_in_order_and_without_gaps)
{
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		uint64_t upper = hist_upper(i);

		cr_assert_eq(hist_bucket(upper), i, "bucket %u ends at %lu", i, upper);
		if (i + 1 < HIST_BUCKETS)
			cr_assert_eq(hist_bucket(upper + 1), i + 1, "after bucket %u", i);
	}
	cr_assert_eq(hist_upper(HIST_BUCKETS - 1), UINT64_MAX);
	cr_assert_eq(hist_bucket(0), 0);
}

Test(hist, the_error_is_bounded)
{
	srandom(1);
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t v = ((uint64_t)random() << 33 ^ (uint64_t)random() << 8) >> (random() % 64);
		uint64_t upper = hist_upper(hist_bucket(v));

		cr_assert(upper >= v && upper - v <= v / (HIST_EXACT / 2), "%lu stands for %lu", upper, v);
	}
}

Test(hist, quantiles)
{
	struct hist *h = calloc(1, sizeof(*h));

	cr_assert_eq(hist_quantile(h, 0.5), 0, "of nothing");
	hist_add(h, 7, 1);
	cr_assert_eq(hist_quantile(h, 0.001), 7);
	cr_assert_eq(hist_quantile(h, 1), 7);
	for (uint64_t v = 1; v <= 1000; v++)
		hist_add(h, v * 1000, 1);
	cr_assert_eq(h->cnt, 1001);
	cr_assert_eq(h->max, 1000000);
	cr_assert_eq(hist_quantile(h, 1), 1000000, "never above the largest value");
	uint64_t median = hist_quantile(h, 0.5);

	cr_assert(median >= 500000 && median <= 500000 * 33 / 32, "%lu", median);
	hist_add(h, 5, 1000000);
	cr_assert_eq(hist_quantile(h, 0.99), 5);
	cr_assert_eq(hist_quantile(h, 0.9999), hist_upper(hist_bucket(901000)));
	free(h);
}
