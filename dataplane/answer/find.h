/* SPDX-License-Identifier: GPL-3.0-or-later */
/* find.h - from a name to the zone that decides and the node, or the closest
 * encloser, in it (RFC 1034 section 4.3.2 steps 2 and 3).
 *
 * The deepest loaded apex at or above the name decides.  Usually the name's own
 * entry in the table tells all in one probe, an absent name's parent in two;
 * otherwise a binary search over the number of labels finds the deepest ancestor.
 */
#ifndef POLLUX_FIND_H
#define POLLUX_FIND_H

#include "answer.h"
#include "db.h"
#include "db_protocol.h"

/* find_name - look `name` (folded, hash of all of it) up in the reader's version.
 *
 * Zones whose apex has more than max_apex labels do not take part: that is how DS at
 * an apex is asked of the parent (RFC 4035 section 3.1.4.1).  hint is what query_prefetch
 * has learnt of the name in the same version, or NULL. */
void find_name(const struct reader *r, const struct name *name, uint64_t hash,
	       const struct find_hint *hint, unsigned max_apex, struct found *f);

/* find_quick - the same where the hint leads straight to a node of the version, of the only
 * zone that knows its name, with no other apex between: nearly always.  False says nothing. */
static inline bool find_quick(const struct reader *r, const struct name *name,
			      const struct find_hint *hint, unsigned max_apex, struct found *f)
{
	const uint8_t *base = r->map.base;
	const struct node *n = arena_at(base, hint->node);
	unsigned off = name->off[hint->absent];
	size_t len = (size_t)name->len - off;

	if (!hint->node || n->name_len != len || !octets_same(n->name, name->wire + off, len) ||
	    atomic_load_explicit(&n->sibling, memory_order_acquire) || !n->zone || /* L */
	    n->created > r->version ||
	    atomic_load_explicit(&n->deleted, memory_order_relaxed) <= r->version) /* D */
		return false;
	f->zone = arena_at(base, n->zone);
	f->snapshot = zone_snapshot(base, n->zone, r->version);
	f->node = n;
	f->exact = hint->absent == 0;
	f->known = DENIAL_NONE;
	return f->snapshot && f->zone->labels <= max_apex &&
	       !(atomic_load_explicit(&f->zone->depths[0], memory_order_relaxed) |
		 atomic_load_explicit(&f->zone->depths[1], memory_order_relaxed));
}

/* find_in_zone - the zone's node of a folded wire name in the reader's version, or NULL. */
const struct node *find_in_zone(const struct reader *r, const struct zone *zone, uint64_t hash,
				const uint8_t *wire, size_t len);

#endif
