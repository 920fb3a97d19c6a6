/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/room.h"

#include <stddef.h>
#include <string.h>

#define PLACE_OF(link, member) \
	((struct room_place *)(void *)((char *)(link) - offsetof(struct room_place, member)))

static struct ring *bucket_of(struct room *r, const struct clients_prefix *p)
{
	uint32_t h = p->family;

	for (unsigned i = 0; i < sizeof(p->octets); i++)
		h = (h ^ p->octets[i]) * 16777619; /* FNV-1a */
	return &r->bucket[(h ^ h >> 16) & (ROOM_BUCKETS - 1)];
}

void room_init(struct room *r, struct clients *k)
{
	r->clients = k;
	ring_init(&r->all);
	for (unsigned i = 0; i < ROOM_BUCKETS; i++)
		ring_init(&r->bucket[i]);
}

void room_add(struct room *r, struct room_place *p, const struct room_keeper *keeper,
	      const struct clients_prefix *prefix)
{
	p->keeper = keeper;
	p->prefix = *prefix;
	ring_append(&r->all, &p->all);
	ring_append(bucket_of(r, prefix), &p->same);
}

void room_touch(struct room *r, struct room_place *p)
{
	ring_remove(&p->all);
	ring_remove(&p->same);
	ring_append(&r->all, &p->all);
	ring_append(bucket_of(r, &p->prefix), &p->same);
}

void room_remove(struct room *r, struct room_place *p)
{
	ring_remove(&p->all);
	ring_remove(&p->same);
	clients_leave(r->clients, &p->prefix);
}

enum evicted { EVICTED, EVICTED_NONE, NONE_THERE };

/* Ends one connection of the prefix, or of all when that is NULL.  Who rests longest goes
 * first, and only then who got nothing done for a while. */
static enum evicted evict_one(struct room *r, const struct clients_prefix *prefix, uint64_t now)
{
	struct ring *ring = prefix ? bucket_of(r, prefix) : &r->all;
	struct room_place *goes = NULL;
	enum room_state state = ROOM_BUSY;
	unsigned looked = 0;
	bool any = false;

	for (struct ring *l = ring->next; l != ring && looked < ROOM_LOOK && state != ROOM_RESTS;
	     l = l->next, looked++) {
		struct room_place *p = prefix ? PLACE_OF(l, same) : PLACE_OF(l, all);

		if (prefix && memcmp(&p->prefix, prefix, sizeof(*prefix)) != 0)
			continue;
		any = true;

		enum room_state its = p->keeper->state(p, now);

		if (its > state) {
			state = its;
			goes = p;
		}
	}
	if (goes) {
		goes->keeper->evict(goes, now);
		return EVICTED;
	}
	return any || looked == ROOM_LOOK ? EVICTED_NONE : NONE_THERE;
}

enum clients_verdict room_admit(struct room *r, const struct sockaddr *peer, bool evict, uint64_t now,
				struct clients_prefix *prefix)
{
	enum clients_verdict v = clients_enter(r->clients, peer, false, prefix);
	enum evicted e;

	if (v == CLIENTS_TAKEN || v == CLIENTS_NO_MEMORY || !evict)
		return v;
	e = evict_one(r, v == CLIENTS_PREFIX_FULL ? prefix : NULL, now);
	if (e == NONE_THERE && v == CLIENTS_PREFIX_FULL && clients_full(r->clients))
		e = evict_one(r, NULL, now);
	if (e == EVICTED_NONE)
		return v;
	/* The place that became free is this one's, whoever else comes. */
	return clients_enter(r->clients, peer, true, prefix);
}
