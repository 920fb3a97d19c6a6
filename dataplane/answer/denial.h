/* SPDX-License-Identifier: GPL-3.0-or-later */
/* denial.h - which NSEC or NSEC3 records prove that something is not there
 * (RFC 4035 section 3.1.3, RFC 5155 section 7.2).
 *
 * A snapshot of a signed zone has a keyed tree (tree.h) of the nodes that own its NSEC
 * records, or those NSEC3 records that are of the chain it serves.  An NSEC owner's key is
 * the beginning of its sort key below the apex; an NSEC3 owner's is that of its hash.  So
 * the predecessor of a name is found without looking at names that have no record: glue,
 * occluded names and empty non-terminals.
 *
 * Each node knows its own hash and its wildcard's, so a proof takes one SHA-1 at most: that
 * of the next closer name.  Only while a zone has gone over to another chain and its nodes have
 * not (db_rehash) are they hashed for each answer.
 *
 * A zone without denial records, or with a gap in them, gets what there is.
 */
#ifndef POLLUX_DENIAL_H
#define POLLUX_DENIAL_H

#include "find.h"
#include "nsec3.h"

#define PROOF_MAX 24 /* nodes: a wildcard's for each step of a chain, and three */

/* The records of a proof, each once. */
struct proof {
	unsigned cnt;
	struct {
		const struct node *node;
		const struct rrset *set; /* of it: NSEC or NSEC3 */
	} item[PROOF_MAX];
};

/* denial_own_hash, denial_wildcard_hash - what a node, or the wildcard below it, is in the
 * NSEC3 chain with this id: the node's own record of it, or, as long as that is of another chain,
 * made in hash[NSEC3_HASH]. */
const uint8_t *denial_own_hash(const struct nsec3_chain *c, uint32_t id, const struct node *n,
			       uint8_t *hash);
const uint8_t *denial_wildcard_hash(const struct nsec3_chain *c, uint32_t id, const struct node *n,
				    uint8_t *hash);

/* denial_seek, denial_fetch, denial_record - find one part of the proof for f early, in steps between
 * each of which others can be looked at while memory comes.  The first, when the node f->node is in the cache,
 * says whether the others are of use; denial_fetch puts what it finds into f. */
bool denial_seek(const struct reader *r, const struct found *f, const struct name *name,
		 enum denial_part part, struct denial_seek *s);
void denial_fetch(const struct reader *r, const struct name *name, const struct denial_seek *s, struct found *f);
void denial_record(struct found *f);

/* All of these add to *p, for the zone and version of f.  `name` is the name that was looked
 * up, folded; f->node is its closest encloser unless said. */

/* denial_no_data - node n exists, without the type (or is an empty non-terminal). */
void denial_no_data(const struct reader *r, const struct found *f, const struct node *n,
		    struct proof *p);

/* denial_no_name - neither the name nor the wildcard at its closest encloser exists. */
void denial_no_name(const struct reader *r, const struct found *f, const struct name *name,
		    struct proof *p);

/* denial_wildcard - the wildcard answers: nothing closer exists. */
void denial_wildcard(const struct reader *r, const struct found *f, const struct name *name,
		     struct proof *p);

/* denial_wildcard_no_data - the wildcard, node n, has no such type. */
void denial_wildcard_no_data(const struct reader *r, const struct found *f,
			     const struct name *name, const struct node *n, struct proof *p);

#endif
