/* SPDX-License-Identifier: GPL-3.0-or-later */
/* db_pin.c - versions of zones that are read for long; see db_protocol.h, edge H.
 *
 * A block of a zone (a node, a tree node, a snapshot) begins with the version that brought it.  It
 * belongs to version v of the zone when it was brought by v or before and was retired by a
 * commit behind v.  What else is retired with zones (their records, NSEC3 parameters,
 * settings) begins with something else: a pin may hold it or not, as no pin reads it. */
#include <stddef.h>

#include "db_private.h"
#include "replay.h"

static_assert(offsetof(struct node, created) == 0 && offsetof(struct snapshot, version) == 0,
	      "the version comes first; in tree.c's struct, too");

int db_pin(struct db *db, const struct reader *r, const struct name *apex, struct zone_pin *pin)
{
	const struct snapshot *s = reader_snapshot(r, apex);

	if (!s)
		return -ENOENT;
	*pin = (struct zone_pin){ .base = r->map.base, .version = r->version,
		.snapshot = (ref)((size_t)((const uint8_t *)s - r->map.base) / ARENA_UNIT) };
	pin->zone = ((const struct node *)arena_at(r->map.base, s->apex))->zone;
	pthread_mutex_lock(&db->slots);
	pin->next = db->pins;
	pin->at = &db->pins;
	if (pin->next)
		pin->next->at = &pin->next;
	db->pins = pin;
	pthread_mutex_unlock(&db->slots);
	return 0;
}

void db_unpin(struct db *db, struct zone_pin *pin)
{
	pthread_mutex_lock(&db->slots);
	*pin->at = pin->next;
	if (pin->next)
		pin->next->at = pin->at;
	db->unpinned = true;
	pthread_mutex_unlock(&db->slots);
}

void db_pins(struct db *db, unsigned *pins, uint64_t *held)
{
	*pins = 0;
	pthread_mutex_lock(&db->slots);
	for (const struct zone_pin *p = db->pins; p; p = p->next)
		++*pins;
	pthread_mutex_unlock(&db->slots);
	*held = db->held_cnt;
}

static bool changes(const struct batch *b, ref zone)
{
	for (size_t i = 0; i < b->zones.cnt; i++)
		if (b->zones.ref[i] == zone)
			return true;
	return false;
}

/* Does a pin hold a block that was retired by this version?  b: only pins of zones that its commit
 * changed count.  db->slots is locked. */
static bool holds(const struct db *db, const struct batch *b, ref block, uint64_t version)
{
	uint64_t born = *(const uint64_t *)at(db, block);

	for (const struct zone_pin *p = db->pins; p; p = p->next)
		if (born <= p->version && p->version < version && (!b || changes(b, p->zone)))
			return true;
	return false;
}

static int hold(struct db *db, ref block, uint64_t version)
{
	if (db->held_cnt == db->held_cap) {
		size_t cap = db->held_cap * 2 + 64;
		struct held *grown = realloc(db->held, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		db->held = grown;
		db->held_cap = cap;
	}
	db->held[db->held_cnt++] = (struct held){ block, version };
	return 0;
}

int pin_free(struct db *db, struct batch *b, size_t *room)
{
	int err = 0;

	/* Whoever pins what this batch retired has done so before its readers' look at the batch's epoch. */
	pthread_mutex_lock(&db->slots);

	bool any = db->pins;

	for (; !err && b->blocks.cnt && *room; --*room) {
		ref block = b->blocks.ref[b->blocks.cnt - 1];

		if (any && holds(db, b, block, b->version)) {
			err = hold(db, block, b->version);
			if (err)
				break;
		} else {
			replay_point("reclaim: free");
			arena_free(db->arena, block);
			db->retired--;
		}
		b->blocks.cnt--;
	}
	pthread_mutex_unlock(&db->slots);
	return err;
}

void pin_free_held(struct db *db)
{
	size_t kept = 0;

	pthread_mutex_lock(&db->slots);
	if (db->unpinned) {
		db->unpinned = false;
		for (size_t i = 0; i < db->held_cnt; i++) {
			if (holds(db, NULL, db->held[i].block, db->held[i].version)) {
				db->held[kept++] = db->held[i];
			} else {
				arena_free(db->arena, db->held[i].block);
				db->retired--;
			}
		}
		db->held_cnt = kept;
		if (!kept) {
			free(db->held);
			db->held = NULL;
			db->held_cap = 0;
		}
	}
	pthread_mutex_unlock(&db->slots);
}
