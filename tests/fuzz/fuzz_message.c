/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two octets of setting (transport and whether there are settings; the path's limit),
 * then a message that is parsed and answered by a server without zones, in a buffer
 * of exactly the size allowed and again in the query's own. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/answer/answer.h"
#include "dataplane/answer/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	alignas(64) struct arena_head head;
	alignas(ARENA_UNIT) struct settings settings;
	alignas(64) uint8_t table[sizeof(struct table) + sizeof(struct bucket)]; /* empty */
} arena = { .settings = { .identity = "identity", .version = "version", .udp_payload = 1232 } };

#define REF_OF(member) ((ref)(offsetof(__typeof__(arena), member) / ARENA_UNIT))

static void require(bool holds)
{
	if (!holds)
		abort();
}

static size_t answer(const struct reader *r, struct query *q, enum verdict v, uint8_t *out)
{
	uint16_t rcode = 9;
	size_t len;

	if (v == VERDICT_ANSWER) {
		query_prefetch(r, q);
		len = query_answer(r, q, out, &rcode);
		require((out[3] & 15) == (rcode & 15));
	} else {
		len = query_error(r, q, out, rcode);
	}
	require(len >= DNS_HEADER && len <= q->limit);
	return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = { .map = { (const uint8_t *)&arena, sizeof(arena) } };
	struct query q;

	if (size < 2 || size > 65535)
		return 0;
	enum transport transport = data[0] & 1 ? TRANSPORT_TCP : TRANSPORT_UDP;
	size_t max = DNS_HEADER + data[1] * 16u;

	arena.head.settings = data[0] & 2 ? REF_OF(settings) : 0;
	arena.head.table = REF_OF(table);
	data += 2;
	size -= 2;

	enum verdict v = query_parse(&r, &q, data, size, transport, max);

	if (v == VERDICT_DROP) {
		require(size < DNS_HEADER || data[2] & 0x80);
		return 0;
	}
	require(q.limit <= max && q.question_end <= size && q.question_end >= DNS_HEADER);

	uint8_t *out = malloc(q.limit);
	uint8_t *place = malloc(q.limit > size ? q.limit : size);

	require(out && place);
	size_t len = answer(&r, &q, v, out);

	memcpy(place, data, size);
	require(query_parse(&r, &q, place, size, transport, max) == v);
	require(answer(&r, &q, v, place) == len);
	require(memcmp(place, out, len) == 0);
	free(out);
	free(place);
	return 0;
}
