/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hist.h - a histogram of latencies with a fixed relative error.
 *
 * Values below HIST_EXACT have a bucket each; above, each power of two is split into
 * HIST_EXACT / 2 equal buckets, so that a bucket is at most 1/32 of its value wide.
 * The unit is the caller's.  Plain data, zeroed before use; one thread at a time.
 */
#ifndef POLLUX_BENCH_HIST_H
#define POLLUX_BENCH_HIST_H

#include <stdint.h>

#define HIST_BITS 6
#define HIST_EXACT (1u << HIST_BITS)
#define HIST_BUCKETS (HIST_EXACT + (64 - HIST_BITS) * (HIST_EXACT / 2))

struct hist {
	uint64_t cnt;
	uint64_t max; /* exact */
	uint64_t bucket[HIST_BUCKETS];
};

/* hist_bucket - the bucket of a value, in the order of values. */
static inline unsigned hist_bucket(uint64_t value)
{
	if (value < HIST_EXACT)
		return (unsigned)value;
	unsigned shift = 63u - (unsigned)__builtin_clzll(value) - (HIST_BITS - 1);

	return HIST_EXACT + (shift - 1) * (HIST_EXACT / 2) + (unsigned)(value >> shift) - HIST_EXACT / 2;
}

/* hist_add - count `times` values of the same size. */
static inline void hist_add(struct hist *h, uint64_t value, uint64_t times)
{
	h->bucket[hist_bucket(value)] += times;
	h->cnt += times;
	if (value > h->max)
		h->max = value;
}

/* hist_upper - the largest value that falls into a bucket. */
uint64_t hist_upper(unsigned bucket);

/* hist_quantile - a value that a share of at least q (0 < q <= 1) of all counted values
 * does not exceed: the upper end of the bucket where that share is reached, never more
 * than max.  0 when nothing was counted. */
uint64_t hist_quantile(const struct hist *h, double q);

#endif
