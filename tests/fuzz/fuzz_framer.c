/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A TCP stream, once whole and once in pieces: both must give the same messages. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "control/serve/framer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A sum over all messages that depends on each octet, its place and the lengths. */
static uint64_t run(const uint8_t *data, size_t size, size_t step)
{
	struct framer f;
	uint64_t sum = 14695981039346656037u;

	framer_init(&f);
	for (size_t at = 0; at < size; at += step) {
		const uint8_t *in = data + at, *msg;
		size_t len = size - at < step ? size - at : step, msg_len;
		enum framer_result r;

		while ((r = framer_feed(&f, &in, &len, &msg, &msg_len)) == FRAMER_MESSAGE) {
			for (size_t i = 0; i < msg_len; i++)
				sum = (sum ^ msg[i]) * 1099511628211u;
			sum = (sum ^ msg_len) * 1099511628211u;
		}
		if (r != FRAMER_MORE)
			break;
		if (len != 0)
			abort();
		framer_trim(&f);
	}
	framer_free(&f);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t whole = run(data, size, size + 1);

	if (run(data, size, 1) != whole || run(data, size, 5) != whole)
		abort();
	return 0;
}
