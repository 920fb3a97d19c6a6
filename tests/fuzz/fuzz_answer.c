/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One octet of setting (bit 0: TCP; the rest: how narrow the path is), then a message
 * that is asked of loaded zones.  Whatever it is: the answer is a well-formed message
 * within its limit, in a buffer of exactly that size and in the query's own. */
#include "tests/unit/answers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct lab lab;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!lab.db) {
		lab_open(&lab);
		lab_put_sample(&lab);
		lab_put(&lab, "sub.example.", "@ 60 SOA . . 1 1 1 1 30\n@ 60 NS ns\n"
			"ns 60 A 192.0.2.50\n*.a.b.c 60 CNAME alias2.example.\n");
	}
	if (size < 1 || size > 65535)
		return 0;
	enum transport transport = data[0] & 1 ? TRANSPORT_TCP : TRANSPORT_UDP;
	size_t max = transport == TRANSPORT_TCP ? 65535 : 1452u - 7u * (data[0] >> 1);

	data++;
	size--;

	uint8_t *out = malloc(max), *place = malloc(max > size ? max : size);

	if (!out || !place)
		abort();
	size_t len = answer_in(&lab, data, size, transport, max, out);

	if (len && !answer_text(out, len))
		abort();
	memcpy(place, data, size);
	if (answer_in(&lab, place, size, transport, max, place) != len || memcmp(place, out, len))
		abort();
	free(out);
	free(place);
	return 0;
}
