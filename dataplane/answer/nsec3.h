/* SPDX-License-Identifier: GPL-3.0-or-later */
/* nsec3.h - hashed denial of existence (RFC 5155): the parameters of a chain, hashes of
 * names, and which of a zone's chains is served.
 *
 * Any thread; nothing here allocates or keeps state.  SHA-1 is nettle's, which takes the
 * CPU's own instructions where it has them.
 */
#ifndef POLLUX_NSEC3_H
#define POLLUX_NSEC3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "records.h"

#define NSEC3_HASH  20  /* octets of a SHA-1 digest */
#define NSEC3_LABEL 32  /* octets of it in base32hex (RFC 4648 section 7) */
#define NSEC3_SHA1   1  /* the only hash algorithm (RFC 5155 section 11) */
#define NSEC3_OPT_OUT 1 /* flag (section 3.1.2.1) */
#define NSEC3_SALT_MAX 255 /* octets (section 3.1.5) */

/* Hashing beyond this often is not done for anyone unless the operator says so
 * (RFC 9276 section 3.2: validators may already give up above 0). */
#define NSEC3_ITERATIONS_MAX 100

struct nsec3_chain {
	uint16_t iterations;
	uint8_t salt_len;
	uint8_t salt[];
};

/* A chain's parameters with room for any salt. */
struct nsec3_param {
	union {
		struct nsec3_chain chain;
		uint8_t octets[sizeof(struct nsec3_chain) + NSEC3_SALT_MAX + 1];
	};
};

static inline size_t nsec3_chain_size(const struct nsec3_chain *c)
{
	return offsetof(struct nsec3_chain, salt) + c->salt_len;
}

/* nsec3_hash - IH(salt, name, iterations) of a folded wire name of len octets
 * (RFC 5155 section 5) into out[NSEC3_HASH].  name and out may not overlap. */
void nsec3_hash(const struct nsec3_chain *c, const uint8_t *name, size_t len, uint8_t *out);

/* nsec3_encode - write a hash as an owner's first label: its length octet, then
 * base32hex in lower case, NSEC3_LABEL + 1 octets in all. */
void nsec3_encode(uint8_t *label, const uint8_t *hash);

/* nsec3_decode - the hash that the first label of a folded owner spells, into
 * hash[NSEC3_HASH]; false, and zeros, if it spells none. */
bool nsec3_decode(uint8_t *hash, const uint8_t *owner);

/* nsec3_param_read - the parameters in checked RDATA of an NSEC3 or NSEC3PARAM record, which
 * begin alike (RFC 5155 sections 3.2 and 4.2); false if the algorithm is unknown. */
bool nsec3_param_read(struct nsec3_param *p, const uint8_t *rdata);

/* nsec3_same_chain - does this RDATA name the chain? */
bool nsec3_same_chain(const struct nsec3_chain *c, const uint8_t *rdata);

/* nsec3_closed - is the chain closed: is each record's next the following one's owner, and the
 * last's the first's (section 7.1)?  False also if it is empty.  rs is sorted. */
bool nsec3_closed(const struct nsec3_chain *c, const struct records *rs);

/* nsec3_choose - of a zone's NSEC3PARAMs with flags 0 (section 4.1.2) and no more than `max`
 * iterations, the first whose chain is closed, or else, unless there is an NSEC chain that is
 * closed, the first that has a chain at all.  False if there is none: what is served is NSEC, if
 * anything.  Of rs, whose first owner is the apex and which is sorted, NS, DNAME, NSEC, NSEC3 and
 * NSEC3PARAM records matter.  What is loaded, what is checked (dnssec_check.h) and what is served
 * after changes (stage_served) go by the same choice. */
bool nsec3_choose(struct nsec3_param *p, const struct records *rs, unsigned max);

#endif
