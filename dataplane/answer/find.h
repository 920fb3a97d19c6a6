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

#include "db.h"
#include "db_protocol.h"

struct found {
	const struct zone *zone;      /* NULL: no loaded zone holds the name */
	const struct snapshot *snapshot;
	const struct node *node;      /* of the name, or its closest encloser */
	bool exact;
};

/* find_name - look `name` (folded, hash of all of it) up in the reader's version.
 *
 * Zones whose apex has more than max_apex labels do not take part: that is how DS at
 * an apex is asked of the parent (RFC 4035 section 3.1.4.1).  hint is a first guess
 * from table_candidate, or 0. */
void find_name(const struct reader *r, const struct name *name, uint64_t hash, ref hint,
	       unsigned max_apex, struct found *f);

/* find_in_zone - the zone's node of a folded wire name in the reader's version, or NULL. */
const struct node *find_in_zone(const struct reader *r, const struct zone *zone, uint64_t hash,
				const uint8_t *wire, size_t len);

#endif
