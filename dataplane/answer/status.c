/* SPDX-License-Identifier: GPL-3.0-or-later */
/* status.c - the punt ring; see status.h for its edges P and C. */
#include "status.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static_assert((PUNT_SLOTS & (PUNT_SLOTS - 1)) == 0, "indices wrap by a mask");

#define PUNT_HEAD offsetof(struct punt_entry, payload)

bool punt_push(struct punt_ring *ring, const struct punt_entry *head,
	       const uint8_t *payload, uint16_t len)
{
	/* Only this thread writes head. */
	uint32_t at = atomic_load_explicit(&ring->head, memory_order_relaxed);
	/* Pairs with the consumer's store in punt_pop (C): it has read the slot. */
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
	struct punt_entry *e = &ring->entry[at & (PUNT_SLOTS - 1)];

	if (len > PUNT_PAYLOAD || at - tail >= PUNT_SLOTS)
		return false;
	memcpy(e, head, PUNT_HEAD);
	e->len = len;
	if (len > 0)
		memcpy(e->payload, payload, len);
	atomic_store_explicit(&ring->head, at + 1, memory_order_release); /* P */
	return true;
}

bool punt_pop(struct punt_ring *ring, struct punt_entry *out)
{
	/* Only this thread writes tail. */
	uint32_t at = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire); /* P */
	const struct punt_entry *e = &ring->entry[at & (PUNT_SLOTS - 1)];

	if (head == at)
		return false;
	if (head - at > PUNT_SLOTS) {
		atomic_store_explicit(&ring->tail, head, memory_order_release);
		return false;
	}
	/* The length is judged in our own copy: the shared one may change. */
	memcpy(out, e, PUNT_HEAD);
	if (out->len > PUNT_PAYLOAD)
		out->len = PUNT_PAYLOAD;
	memcpy(out->payload, e->payload, out->len);
	atomic_store_explicit(&ring->tail, at + 1, memory_order_release); /* C */
	return true;
}
