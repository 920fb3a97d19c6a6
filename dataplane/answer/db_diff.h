/* SPDX-License-Identifier: GPL-3.0-or-later */
/* db_diff.h - what would make a zone that stands hold the records of a list that is
 * told one by one, in any order: changes for txn_change.
 *
 * Of a record that stands only a bit is kept, of others all, so this takes memory for what
 * differs.  Only for zones without signatures, where a small list of differences is likely.
 *
 * Writer's thread only; nothing may be committed from zone_diff_open on until the changes are.
 */
#ifndef POLLUX_DB_DIFF_H
#define POLLUX_DB_DIFF_H

#include "db.h"

struct zone_diff;

/* zone_diff_open - nothing told yet.  *out is the caller's, for zone_diff_free.  0, -ENOMEM,
 * -ENOENT (no such zone), -ENOTSUP (it has NSEC or NSEC3 records). */
int zone_diff_open(struct zone_diff **out, const struct db *db, const struct name *apex);

/* zone_diff_add - one record of the list: its owner folded, its RDATA checked; octets are copied.
 * 0, -ENOMEM, -ERANGE (it is outside the zone), -ENOTSUP (it is part of DNSSEC's proofs), -E2BIG
 * (so much differs that to put the zone anew costs no more). */
int zone_diff_add(struct zone_diff *d, const struct record *rr);

/* zone_diff_end - all have been told: *c and *cnt are the changes, which live as long as d.
 * Of a name that changes all RRsets are among them, of the apex always, so the serial is the
 * list's.  0, -ENOMEM or -E2BIG.  To be called once. */
int zone_diff_end(struct zone_diff *d, const struct rrset_change **c, size_t *cnt);

/* zone_diff_free - NULL is nothing. */
void zone_diff_free(struct zone_diff *d);

#endif
