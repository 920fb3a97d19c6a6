/* SPDX-License-Identifier: GPL-3.0-or-later */
/* edit.h - changes of RRsets on their way into zones: from lines of text, or from the
 * durable store, to what db.h's txn_change takes.
 *
 * The text, a line an operation, in their order (blanks before a line do not matter;
 * empty lines and those that begin with # are passed over, and ; begins a comment):
 *
 *      zone ZONE             of what follows
 *      set RR                a record in master-file form: owner, TTL, [class,] type,
 *                            RDATA.  All records that a transaction sets of one owner and
 *                            type become that RRset, whatever it was before
 *      unset NAME TYPE       the RRset goes, also what was set of it above
 *      unset NAME            all RRsets of the name do
 *
 * Names without a final dot stand below the zone, @ is its apex; a record ends on its
 * line.  To unset what is not there is no fault.  All RRSIGs of a name are one RRset.
 *
 * One thread at a time.  The text is untrusted.
 */
#ifndef POLLUX_EDIT_H
#define POLLUX_EDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/zone/zonefile.h"
#include "dataplane/answer/db.h"

#define EDIT_SOURCE_MAX 255         /* octets of what stands for the file in messages */
#define EDIT_LINES_MAX (UINT32_MAX / 2)

/* Operations on one zone, as records: their line is their order, and `file` says what
 * they do. */
enum { EDIT_SET, EDIT_UNSET /* of its type; TYPE_ANY: of all types; no RDATA */ };

struct edit_zone {
	struct name apex;
	uint32_t line;              /* where it was named first */
	struct records ops;
	uint32_t serial;            /* when it has been committed: of the SOA, */
	uint64_t changes;           /* and how many RRsets that was */
};

struct edit {
	char source[EDIT_SOURCE_MAX + 1];
	struct edit_zone **zone;
	size_t zone_cnt, zone_cap;
	struct edit_zone *current;  /* the `zone` line read last, or NULL */
	uint32_t line;              /* number of the next line */
};

/* edit_new - nothing changed yet; `source` stands for the file in messages and is cut at
 * EDIT_SOURCE_MAX octets; the next line is number `line`.  NULL without memory. */
struct edit *edit_new(const char *source, uint32_t line);
void edit_free(struct edit *e);

/* Whether there is such a zone. */
typedef bool (*edit_known)(void *arg, const struct name *apex);

/* edit_add - read whole lines of text.  0; -EINVAL after telling report of faults
 * ("SOURCE:LINE: cause"); -ENOMEM.  After an error e is only fit to be freed. */
int edit_add(struct edit *e, const char *text, size_t len, edit_known known, void *known_arg,
	     zonefile_report report, void *arg);

/* edit_octets - memory that it takes, about. */
size_t edit_octets(const struct edit *e);

/* What operations come to: for txn_change, in its order. */
struct edit_changes {
	struct rrset_change *change;
	uint32_t *line;             /* of each change: the first of its operations */
	size_t cnt;
	struct record *rr;          /* what they point to; owners and RDATA are the ops' */
};

/* edit_reduce - what operations come to.  `ops` is only read and must outlive *out.
 * 0 or -ENOMEM. */
int edit_reduce(const struct records *ops, struct edit_changes *out);

/* edit_changes_add - one more change, behind the others, that no operation made.  Only once: there is
 * room for one. */
void edit_changes_add(struct edit_changes *c, const struct rrset_change *change);
void edit_changes_free(struct edit_changes *c);

/* edit_changes_make - make the changes in a zone's records, whose owners are in canonical order;
 * they are sorted then (records_sort).  What comes of it is not checked.  0 or -ENOMEM. */
int edit_changes_make(const struct edit_changes *c, struct records *rs);

#endif
