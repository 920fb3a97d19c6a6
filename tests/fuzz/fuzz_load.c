/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames that come back to the load generator, and the digest of their messages. */
#include <stdlib.h>
#include <string.h>

#include "bench/load/check.h"
#include "bench/load/expect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t query[] = "\0\0\0\0\0\1\0\0\0\0\0\0\3www\7example\0\0\1\0\1";
	static const struct prepare_peers peers = {
		.use4 = true, .use6 = true, .server4 = { 10, 53, 0, 1 }, .source4 = { 10, 53, 0, 2 },
		.server6 = { 0xfd, 0x53, [15] = 1 }, .source6 = { 0xfd, 0x53, [15] = 2 },
		.port = 53, .share6 = 50,
	};
	static struct prepare_store store;
	static struct flights flights;
	static uint64_t expected[2];
	struct checker k = { .expected = expected, .sums = size % 2, .peers = &peers };
	struct checked c;
	int error;

	if (!store.base) {
		if (prepare_init(&store, &peers) != 0 || flights_init(&flights, 16) != 0)
			abort();
		for (uint32_t i = 0; i < 2; i++) {
			uint32_t at = store.next;

			prepare_add(&store, query, sizeof(query) - 1, &error)->sample = i + 1;
			flights_start(&flights, at, 0);
		}
	}
	k.base = store.base;
	k.learn = size % 3 == 0;
	check_frame(&k, &flights, data, size, &c);
	expect_digest(data, size);
	return 0;
}
