/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A QUIC stream, once whole and once in pieces: both must give the same query, or the
 * same refusal. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "control/serve/doq_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The result and, of a query, a sum over its octets. */
static uint64_t run(const uint8_t *data, size_t size, size_t step)
{
	struct doq_stream s;
	enum doq_stream_result r = DOQ_STREAM_MORE;
	const uint8_t *msg;
	size_t at = 0, len;
	uint64_t sum;

	doq_stream_init(&s);
	do {
		size_t n = size - at < step ? size - at : step;

		r = doq_stream_feed(&s, data + at, n, at + n == size, &msg, &len);
		at += n;
	} while (r == DOQ_STREAM_MORE && at < size);
	sum = r;
	if (r == DOQ_STREAM_MORE)
		abort(); /* the stream has ended */
	if (r == DOQ_STREAM_QUERY) {
		if (len != size - DOQ_PREFIX)
			abort();
		for (size_t i = 0; i < len; i++)
			sum = (sum ^ msg[i]) * 1099511628211u;
	}
	doq_stream_free(&s);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t whole = run(data, size, size + 1);

	if (run(data, size, 1) != whole || run(data, size, 5) != whole)
		abort();
	return 0;
}
