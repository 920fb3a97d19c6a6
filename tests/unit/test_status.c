/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The punt ring. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/answer/status.h"

static struct punt_entry sample(uint16_t number)
{
	struct punt_entry e = { .family = 4, .src_port_be = number, .dst_port_be = 53 };

	e.src[0] = 10;
	e.dst[15] = 7;
	return e;
}

Test(status, order_and_bounds)
{
	struct punt_ring *ring = calloc(1, sizeof(*ring));
	struct punt_entry in, *out = malloc(sizeof(*out));
	uint8_t payload[PUNT_PAYLOAD + 1];

	/* Start close to where the counters wrap. */
	ring->head = ring->tail = UINT32_MAX - 3;
	for (int round = 0; round < 3; round++) {
		cr_assert_not(punt_pop(ring, out));
		for (uint16_t i = 0; i < PUNT_SLOTS; i++) {
			in = sample(i);
			memset(payload, i, sizeof(payload));
			cr_assert(punt_push(ring, &in, payload, (uint16_t)(i * 20)));
		}
		cr_assert_not(punt_push(ring, &in, payload, 1), "the ring is full");
		for (uint16_t i = 0; i < PUNT_SLOTS; i++) {
			in = sample(i);
			memset(payload, i, sizeof(payload));
			cr_assert(punt_pop(ring, out));
			cr_assert_eq(out->len, i * 20);
			cr_assert_eq(out->family, 4);
			cr_assert_eq(out->src_port_be, i);
			cr_assert_eq(out->dst_port_be, 53);
			cr_assert_arr_eq(out->src, in.src, 16);
			cr_assert_arr_eq(out->dst, in.dst, 16);
			cr_assert_arr_eq(out->payload, payload, out->len);
		}
		cr_assert_not(punt_pop(ring, out));
	}

	cr_assert(punt_push(ring, &in, payload, PUNT_PAYLOAD));
	cr_assert(punt_pop(ring, out));
	cr_assert_eq(out->len, PUNT_PAYLOAD);
	cr_assert_not(punt_push(ring, &in, payload, PUNT_PAYLOAD + 1));
	cr_assert_not(punt_pop(ring, out));
	free(ring);
	free(out);
}

Test(status, a_wild_producer_harms_nobody)
{
	struct punt_ring *ring = calloc(1, sizeof(*ring));
	struct punt_entry in = sample(1), *out = malloc(sizeof(*out));

	for (uint32_t ahead = PUNT_SLOTS + 1; ahead > PUNT_SLOTS; ahead *= 3) {
		ring->head = ring->tail + ahead;
		cr_assert_not(punt_pop(ring, out));
		cr_assert_eq(ring->tail, ring->head);
	}
	/* It works again afterwards. */
	cr_assert(punt_push(ring, &in, (const uint8_t *)"x", 1));
	ring->entry[(ring->head - 1) % PUNT_SLOTS].len = 65535;
	cr_assert(punt_pop(ring, out));
	cr_assert_eq(out->len, PUNT_PAYLOAD);
	cr_assert_eq(out->payload[0], 'x');
	free(ring);
	free(out);
}

#define HANDOVERS 50000

static void *produce(void *arg)
{
	struct punt_ring *ring = arg;
	uint8_t payload[64];

	for (uint32_t i = 0; i < HANDOVERS;) {
		struct punt_entry in = sample((uint16_t)i);

		memset(payload, (int)i, sizeof(payload));
		if (punt_push(ring, &in, payload, sizeof(payload)))
			i++;
		else
			sched_yield();
	}
	return NULL;
}

Test(status, two_threads_lose_nothing)
{
	struct punt_ring *ring = calloc(1, sizeof(*ring));
	struct punt_entry *out = malloc(sizeof(*out));
	pthread_t producer;

	cr_assert_eq(pthread_create(&producer, NULL, produce, ring), 0);
	for (uint32_t i = 0; i < HANDOVERS;) {
		if (!punt_pop(ring, out)) {
			sched_yield();
			continue;
		}
		cr_assert_eq(out->src_port_be, (uint16_t)i);
		cr_assert_eq(out->len, 64);
		for (int j = 0; j < 64; j++)
			cr_assert_eq(out->payload[j], (uint8_t)i);
		i++;
	}
	pthread_join(producer, NULL);
	cr_assert_not(punt_pop(ring, out));
	free(ring);
	free(out);
}

Test(status, counters)
{
	struct status_slot *slot = calloc(1, sizeof(*slot));

	status_count(slot, CNT_RX, 32);
	status_count(slot, CNT_RX, 1);
	status_count(slot, CNT_TCP_TIMEOUT, 2);
	cr_assert_eq(slot->counter[CNT_RX], 33);
	cr_assert_eq(slot->counter[CNT_TCP_TIMEOUT], 2);
	cr_assert_eq(slot->counter[CNT_TX], 0);
	free(slot);
}
