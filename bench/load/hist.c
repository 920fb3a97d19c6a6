/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/load/hist.h"

#include <math.h>

uint64_t hist_upper(unsigned bucket)
{
	if (bucket < HIST_EXACT)
		return bucket;
	unsigned shift = (bucket - HIST_EXACT) / (HIST_EXACT / 2) + 1;
	uint64_t top = (bucket - HIST_EXACT) % (HIST_EXACT / 2) + HIST_EXACT / 2;

	/* The last bucket's end is 2^64: the shift takes it to 0, and 0 - 1 is right. */
	return ((top + 1) << shift) - 1;
}

uint64_t hist_quantile(const struct hist *h, double q)
{
	uint64_t wanted = (uint64_t)ceil(q * (double)h->cnt), seen = 0;

	if (h->cnt == 0)
		return 0;
	if (wanted < 1)
		wanted = 1;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= wanted)
			return hist_upper(i) < h->max ? hist_upper(i) : h->max;
	}
	return h->max;
}
