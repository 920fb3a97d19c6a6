/* SPDX-License-Identifier: GPL-3.0-or-later */
/* node.h - what the arena holds of a zone: its record, its snapshots, and one
 * immutable node per owner name with ready-made wire blocks.
 *
 * Layout of a node, one allocation:
 *
 *   struct node | name | struct rrset[rrset_cnt] | for each RRset: block, signatures, relocations | hashes | struct glue_ref[glue_cnt]
 *
 * The block of an RRset is its RRs as they stand in the answer to a question for
 * exactly this owner: the owner as the pointer 0xc00c (the root as its one octet), names in the RDATA of the
 * RFC 1035 types compressed (RFC 3597 section 4).  So the commonest answer is one
 * memcpy.  Anywhere else three kinds of pointers move, each kind by one distance:
 *
 *   owner   the two octets that begin each RR; found by walking the RRs
 *   suffix  into the owner name ("question suffix"); listed as relocations
 *   block   into an earlier RDATA name of the same block; listed as relocations
 *
 * A relocation is where in the block a pointer stands; where that points tells its
 * kind.  The block's baked position is right behind the question: octet
 * 12 + name_len + 4 of the message.  Only names in the first BLOCK_NAMES octets of
 * a block are pointed at, so that they can be reached wherever the block lands in the
 * first 4 KiB of a message.
 *
 * RRSIGs stand behind the RRset they cover (RFC 4034 section 3), baked the same
 * way; they contain no compressed names, so they need no relocations.
 */
#ifndef POLLUX_NODE_H
#define POLLUX_NODE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "arena.h"
#include "name.h"
#include "records.h"

#define VERSION_NEVER UINT64_MAX

enum node_flags {
	NODE_APEX  = 1 << 0,
	NODE_CUT   = 1 << 1, /* delegation: NS, not the apex (RFC 1034 4.2) */
	NODE_BELOW = 1 << 2, /* below a cut or a DNAME: glue or occluded (RFC 2136 7.18, RFC 6672 2.4) */
	NODE_DNAME = 1 << 3, /* has a DNAME */
	NODE_CNAME = 1 << 4, /* has a CNAME */
	NODE_WILDCARD_PARENT = 1 << 5, /* its child "*" exists (RFC 4592 2.1.1) */
	NODE_PATH  = 1 << 6, /* of no zone: a name above an apex, kept to make the table prefix-closed */
	NODE_HASHED = 1 << 7, /* its own NSEC3 hash and its wildcard's are among its hashes */
	NODE_PROOF = 1 << 8, /* has NSEC3 records, NODE_BELOW or not; the hash that its name spells is
	                      * the first of its hashes */
	NODE_HIDDEN = 1 << 9, /* has nothing else: no name of the zone (RFC 5155 7.2.8) */
	NODE_DENIES_WILDCARD = 1 << 10, /* its NSEC covers the child "*" */
};

struct rrset {
	uint16_t type;
	uint16_t rr_cnt;    /* 0: only signatures stand here */
	uint16_t sig_cnt;
	uint16_t reloc_cnt;
	uint32_t off;       /* octets from the node to the block */
	uint32_t len;       /* octets of the block; sig_len octets of RRSIGs follow, */
	uint32_t sig_len;   /* then, 2-aligned, uint16_t reloc[reloc_cnt] */
};

#define BLOCK_NAMES  0x3000 /* octets */

/* An NS target within the zone: its addresses go with a referral (RFC 9471). */
struct glue_ref {
	uint64_t hash;      /* of the target's folded name */
	uint32_t pos;       /* octets from the NS block to the target's name */
	uint32_t in_domain; /* 1: at or below this very cut, so the referral needs it */
};

struct node {
	uint64_t created;              /* version that brought it */
	_Atomic uint64_t deleted;      /* version that removed the name without a successor, or VERSION_NEVER */
	_Atomic ref sibling;           /* node of the same name in another zone, or 0 */
	ref zone;                      /* struct zone; 0 for NODE_PATH */
	uint32_t size;                 /* octets of all of it; NODE_PATH: how many apexes it serves */
	uint16_t flags;                /* from here on: the content that diffs compare */
	uint16_t rrset_cnt;
	uint16_t glue_cnt;
	uint8_t  cover_labels;         /* NODE_BELOW: labels of the covering cut or DNAME */
	uint8_t  labels;
	uint8_t  name_len;
	uint8_t  name[];               /* folded wire form */
};

struct snapshot {
	uint64_t version;
	ref prev;       /* the one before; followed only by readers of older versions */
	ref tree;       /* 0: the zone is not there in this version */
	ref apex;       /* its node */
	uint32_t serial;
	uint64_t names, records;
	ref denial;     /* tree of the owners of NSEC, or of the served chain's NSEC3; 0: unsigned */
	ref chain;      /* struct nsec3_chain, or 0: NSEC */
	uint32_t chain_id; /* of it; the hashes of nodes that say another are of no use */
	bool stale;     /* some nodes may have such hashes, or none (db_rehash) */
	ref chains;     /* struct denial_chains: all that could be served; 0: the zone has none */
	/* Of an NSEC3 chain, as most that is asked for and does not exist is missing right below
	 * the apex: the nodes whose records match the apex, and match or cover its wildcard; or 0. */
	ref apex_match, apex_wildcard;
};

/* The NSEC records of a zone, or the NSEC3 records of one chain, served or not. */
struct denial_chain {
	ref tree;       /* keyed (denial.h): the nodes that own them; 0: there are none */
	ref param;      /* struct nsec3_chain; 0: NSEC */
	uint32_t id;    /* no other chain of this zone has had it; 0: NSEC */
	uint32_t gaps;  /* of them, those whose next is not the following one's owner */
};

#define DENIAL_CHAINS 4 /* NSEC, then NSEC3 chains; of further ones nothing is known */

struct denial_chains {
	struct denial_chain c[DENIAL_CHAINS];
	uint32_t last_id;
	uint32_t more;  /* 1: there are NSEC3 records of a chain that found no place */
};

struct zone {
	_Atomic ref snapshot;          /* newest; edge S */
	uint8_t labels, name_len;
	uint8_t pad[2];
	_Atomic uint64_t depths[2];    /* bit d: a loaded apex below this one has d labels; may hold more */
	uint8_t name[];
};

#define RR_FIXED 10 /* octets of type, class, TTL and RDLENGTH, behind the owner */

/* node_owner_len - octets of the owner in each RR of the node's blocks. */
static inline unsigned node_owner_len(const struct node *n)
{
	return n->name_len == 1 ? 1 : 2;
}

static inline size_t node_rrset_off(const struct node *n)
{
	return (offsetof(struct node, name) + n->name_len + 3) & ~(size_t)3;
}

static inline const struct rrset *node_rrsets(const struct node *n)
{
	return (const struct rrset *)((const uint8_t *)n + node_rrset_off(n));
}

static inline const struct glue_ref *node_glue(const struct node *n)
{
	return (const struct glue_ref *)((const uint8_t *)n + n->size) - n->glue_cnt;
}

#define NODE_HASH 20   /* octets of a SHA-1 digest (RFC 5155 section 11) */
#define NODE_HASHES 44 /* octets of two and of the chain's id */

/* The node's hashes: the decoded owner, if NODE_PROOF; then, if NODE_HASHED, what it is in the
 * NSEC3 chain node_hash_chain of its zone, and what its wildcard is. */
static inline const uint8_t *node_own_hash(const struct node *n)
{
	return (const uint8_t *)node_glue(n) - NODE_HASHES;
}

static inline const uint8_t *node_wildcard_hash(const struct node *n)
{
	return node_own_hash(n) + NODE_HASH;
}

static inline uint32_t node_hash_chain(const struct node *n)
{
	uint32_t id;

	memcpy(&id, node_own_hash(n) + 2 * NODE_HASH, sizeof(id));
	return id;
}

static inline const uint8_t *node_proof_hash(const struct node *n)
{
	return (const uint8_t *)node_glue(n) - (n->flags & NODE_HASHED ? NODE_HASHES : 0) - NODE_HASH;
}

/* node_rrset - the RRset of a type, or NULL; one that holds only signatures counts
 * as none. */
static inline const struct rrset *node_rrset(const struct node *n, uint16_t type)
{
	const struct rrset *s = node_rrsets(n);

	for (unsigned i = 0; i < n->rrset_cnt; i++)
		if (s[i].type == type)
			return s[i].rr_cnt ? &s[i] : NULL;
	return NULL;
}

static inline const uint8_t *rrset_block(const struct node *n, const struct rrset *s)
{
	return (const uint8_t *)n + s->off;
}

static inline const uint16_t *rrset_relocs(const struct node *n, const struct rrset *s)
{
	return (const uint16_t *)((const uint8_t *)n + ((s->off + s->len + s->sig_len + 1) & ~1u));
}

/* What a node is made from. */
struct node_source {
	const uint8_t *owner;        /* folded */
	const struct record *rr;     /* its records, sorted (records_sort) */
	size_t rr_cnt;
	uint16_t flags;
	uint8_t cover_labels;
	const uint8_t *apex;         /* of its zone, for glue */
	const uint8_t *secret;       /* ARENA_SECRET octets */
	const uint8_t *hashes;       /* NODE_HASHES octets, if flags say NODE_HASHED */
};

/* node_bake - write the image of a node into buf[0..cap).  Returns its size in
 * octets, or 0 if cap is too small.  `created`, `deleted`, `sibling` and `zone` are left 0. */
size_t node_bake(struct node *buf, size_t cap, const struct node_source *src);

/* node_same - do two images hold the same content? */
bool node_same(const struct node *a, const struct node *b);

/* block_name - uncompress the name at block offset `pos` of RRset s, with its
 * case, into wire[255].  Returns its length. */
size_t block_name(const struct node *n, const struct rrset *s, uint32_t pos, uint8_t *wire);

/* block_rdata - uncompress the RDATA of the RR at block offset `pos` into
 * rdata[65535].  Returns its length; *next is the offset of the RR behind it.
 * RRs of the signatures have offsets from s->len on. */
size_t block_rdata(const struct node *n, const struct rrset *s, uint32_t pos,
		   uint8_t *rdata, uint32_t *next);

#endif
