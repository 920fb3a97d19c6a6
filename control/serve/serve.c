/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/serve.h"

#include <netinet/in.h>
#include <stdio.h>
#include <time.h>

#include "control/serve/other.h"

#define FLAG_TC 0x02 /* in the third octet of a message (RFC 1035 4.1.1) */

void serve_init(struct serve *s, struct arena_map map, struct status_slot *slot,
		const char *name)
{
	s->slot = slot;
	reader_init(&s->reader, map, slot);
	snprintf(slot->name, sizeof(slot->name), "%s", name);
}

void serve_begin(struct serve *s)
{
	s->reader.now = (uint32_t)time(NULL);
	reader_online(&s->reader);
	reader_begin(&s->reader);
}

void serve_end(struct serve *s)
{
	reader_end(&s->reader);
	reader_offline(&s->reader);
}

size_t serve_finish(struct serve *s, struct query *q, enum verdict v, uint8_t *out)
{
	struct status_slot *slot = s->slot;
	uint16_t rcode = 0;
	size_t n = 0;

	status_count(slot, CNT_RX, 1);
	if (v == VERDICT_ANSWER)
		n = query_answer(&s->reader, q, out, &rcode);
	else if (v == VERDICT_PUNT)
		n = other_answer(&s->reader, q, out, &rcode);
	if (n == 0) {
		status_count(slot, CNT_DROP_NOT_QUERY, 1);
		return 0;
	}
	status_count(slot, CNT_ANSWER, 1);
	if (out[2] & FLAG_TC)
		status_count(slot, CNT_TRUNCATED, 1);
	if (q->edns)
		status_count(slot, CNT_EDNS, 1);

	_Atomic uint64_t *counter = &slot->rcode[rcode < STATUS_RCODES ? rcode : STATUS_RCODES - 1];

	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	return n;
}

void serve_client(struct query *q, const struct sockaddr *peer)
{
	bool v6 = peer->sa_family == AF_INET6;

	q->client = v6 ? (const uint8_t *)&((const struct sockaddr_in6 *)peer)->sin6_addr
		       : (const uint8_t *)&((const struct sockaddr_in *)peer)->sin_addr;
	q->client_len = v6 ? 16 : 4;
}

size_t serve_message(struct serve *s, const struct serve_from *from, const uint8_t *msg, size_t len,
		     uint8_t *out, size_t max)
{
	struct query q;
	enum verdict v = query_parse(&s->reader, &q, msg, len, from->transport, max);

	serve_client(&q, from->peer);
	q.keepalive = from->keepalive;
	if (v == VERDICT_ANSWER)
		query_prefetch(&s->reader, &q);
	return serve_finish(s, &q, v, out);
}
