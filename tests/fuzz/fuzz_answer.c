/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One octet of setting (bit 0: TCP; the rest: how narrow the path is), then a message
 * that is asked of loaded zones, unsigned and signed in several ways.  Whatever it is: the
 * answer is a well-formed message within its limit, in a buffer of exactly that size and in the
 * query's own. */
#include "tests/unit/signed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LABS 4

static struct lab served[LABS];

static void open_labs(void)
{
	static const char *const zones[LABS] = { NULL, "mixed-nsec", "mixed-optout", "rfc5155" };

	for (unsigned i = 0; i < LABS; i++) {
		lab_open(&served[i]);
		if (zones[i]) {
			lab_put_file(&served[i], zones[i]);
			continue;
		}
		lab_put_sample(&served[i]);
		lab_put(&served[i], "sub.example.", "@ 60 SOA . . 1 1 1 1 30\n@ 60 NS ns\n"
			"ns 60 A 192.0.2.50\n*.a.b.c 60 CNAME alias2.example.\n");
	}
}

static void ask(struct lab *l, const uint8_t *data, size_t size, enum transport transport, size_t max)
{
	uint8_t *out = malloc(max), *place = malloc(max > size ? max : size);

	if (!out || !place)
		abort();
	size_t len = answer_in(l, data, size, transport, max, out);

	if (len && !answer_text(out, len))
		abort();
	if (size)
		memcpy(place, data, size);
	if (answer_in(l, place, size, transport, max, place) != len || memcmp(place, out, len))
		abort();
	free(out);
	free(place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!served[0].db)
		open_labs();
	if (size < 1 || size > 65535)
		return 0;
	enum transport transport = data[0] & 1 ? TRANSPORT_TCP : TRANSPORT_UDP;
	size_t max = transport == TRANSPORT_TCP ? 65535 : 1452u - 7u * (data[0] >> 1);

	for (unsigned i = 0; i < LABS; i++)
		ask(&served[i], data + 1, size - 1, transport, max);
	return 0;
}
