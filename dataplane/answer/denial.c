/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "denial.h"

#include "denial_key.h"
#include "rrtype.h"

/* The records s of n, unless they are in the proof already. */
static inline void add_record(struct proof *p, const struct node *n, const struct rrset *s)
{
	for (unsigned i = 0; i < p->cnt; i++)
		if (p->item[i].node == n)
			return;
	if (s && p->cnt < PROOF_MAX) {
		p->item[p->cnt].node = n;
		p->item[p->cnt++].set = s;
	}
}

/* n's records of the type, if it has any. */
static inline void add(struct proof *p, const struct node *n, uint16_t type)
{
	add_record(p, n, n ? node_rrset(n, type) : NULL);
}

/* ---- NSEC ---- */

static int cmp_name(const struct node *n, const void *name)
{
	return name_cmp(n->name, name);
}

/* The NSEC of the last name that has one, at or before this one. */
static void cover_name(const struct reader *r, const struct found *f, const uint8_t *name,
		       unsigned labels, struct proof *p)
{
	const uint8_t *base = r->map.base;
	bool equal;
	ref at = tree_floor(base, f->snapshot->denial,
			    denial_name_key(name, labels - f->zone->labels), cmp_name, name, &equal);

	if (at)
		add(p, arena_at(base, at), TYPE_NSEC);
}

/* The NSEC of the last name that has one before the name that was looked up. */
static void cover_sought(const struct reader *r, const struct found *f, const struct name *name,
			 struct proof *p)
{
	if (f->known == DENIAL_NEXT)
		add_record(p, f->proof, f->record);
	else
		cover_name(r, f, name->wire, name->labels, p);
}

/* The NSEC of a node (RFC 4035 section 3.1.3.1), or, of an empty non-terminal, the one
 * before it, whose next name is below it. */
static void match_name(const struct reader *r, const struct found *f, const struct node *n,
		       struct proof *p)
{
	if (node_rrset(n, TYPE_NSEC))
		add(p, n, TYPE_NSEC);
	else
		cover_name(r, f, n->name, n->labels, p);
}

/* ---- NSEC3 ---- */

static int cmp_hash(const struct node *n, const void *hash)
{
	return memcmp(node_proof_hash(n), hash, NSEC3_HASH);
}

/* The node whose NSEC3 matches the hash (*match) or covers it: the one before, and before
 * the first the last (RFC 5155 section 1.3, "cover"). */
static const struct node *hash_floor(const struct reader *r, const struct found *f,
				     const uint8_t *hash, bool *match)
{
	const uint8_t *base = r->map.base;
	ref at = tree_floor(base, f->snapshot->denial, denial_hash_key(hash), cmp_hash, hash, match);

	if (!at)
		at = tree_last(base, f->snapshot->denial);
	return at ? arena_at(base, at) : NULL;
}

static void cover_hash(const struct reader *r, const struct found *f, const uint8_t *hash,
		       struct proof *p)
{
	bool match;

	add(p, hash_floor(r, f, hash, &match), TYPE_NSEC3);
}

static bool hashed_for(const struct node *n, uint32_t id)
{
	return n->flags & NODE_HASHED && node_hash_chain(n) == id;
}

const uint8_t *denial_own_hash(const struct nsec3_chain *c, uint32_t id, const struct node *n,
			       uint8_t *hash)
{
	if (hashed_for(n, id))
		return node_own_hash(n);
	nsec3_hash(c, n->name, n->name_len, hash);
	return hash;
}

const uint8_t *denial_wildcard_hash(const struct nsec3_chain *c, uint32_t id, const struct node *n,
				    uint8_t *hash)
{
	uint8_t wildcard[2 + NAME_MAX_LEN] = { 1, '*' };

	if (hashed_for(n, id))
		return node_wildcard_hash(n);
	memcpy(wildcard + 2, n->name, n->name_len);
	nsec3_hash(c, wildcard, 2u + n->name_len, hash);
	return hash;
}

static const struct nsec3_chain *chain_of(const struct reader *r, const struct found *f)
{
	return arena_at(r->map.base, f->snapshot->chain);
}

/* hash_floor of a node's own hash. */
static const struct node *own_floor(const struct reader *r, const struct found *f,
				    const struct node *n, bool *match)
{
	if (n->flags & NODE_APEX) {
		*match = f->snapshot->apex_match;
		return *match ? arena_at(r->map.base, f->snapshot->apex_match) : NULL;
	}
	if (f->known == DENIAL_OWN && n == f->node) {
		*match = f->match;
		return f->proof;
	}
	uint8_t hash[NSEC3_HASH];

	return hash_floor(r, f, denial_own_hash(chain_of(r, f), f->snapshot->chain_id, n, hash), match);
}

/* The NSEC3 that matches a node, to the proof; false if it has none (opt-out). */
static bool match_hash(const struct reader *r, const struct found *f, const struct node *n,
		       struct proof *p)
{
	bool match;
	const struct node *at = own_floor(r, f, n, &match);

	if (match)
		add(p, at, TYPE_NSEC3);
	return match;
}

static const struct node *parent_of(const struct reader *r, const struct found *f,
				    const struct node *n)
{
	size_t label = 1u + n->name[0], len = n->name_len - label;

	return find_in_zone(r, f->zone, name_hash(arena_map_head(&r->map)->secret,
						  n->name + label, len), n->name + label, len);
}

/* The hash of the next closer name (section 1.3): that of `name` one label below n. */
static void next_closer_hash(const struct reader *r, const struct found *f, const struct node *n,
			     const struct name *name, uint8_t *hash)
{
	const uint8_t *next = name->wire + name_suffix(name, n->labels + 1u);

	nsec3_hash(chain_of(r, f), next, (size_t)(name->wire + name->len - next), hash);
}

static void cover_next_closer(const struct reader *r, const struct found *f, const struct node *n,
			      const struct name *name, struct proof *p)
{
	uint8_t hash[NSEC3_HASH];

	if (f->known == DENIAL_NEXT && n == f->node) {
		add_record(p, f->proof, f->record);
		return;
	}
	next_closer_hash(r, f, n, name, hash);
	cover_hash(r, f, hash, p);
}

/* The closest encloser proof (section 7.2.1) for `name`, n being its closest encloser, or the
 * closest provable encloser: at a span that opts out, n itself and names above it may
 * have no NSEC3 (section 7.2.4).  Returns the encloser that is proved; NULL if a chain
 * has gaps up to the apex. */
static const struct node *prove_encloser(const struct reader *r, const struct found *f,
					 const struct node *n, const struct name *name,
					 struct proof *p)
{
	const struct node *covers = NULL, *at; /* covers: what is one label below n, if it exists */
	bool match;

	while (at = own_floor(r, f, n, &match), !match) {
		if (n->flags & NODE_APEX)
			return NULL;
		covers = at;
		n = parent_of(r, f, n);
		if (!n)
			return NULL;
	}
	add(p, at, TYPE_NSEC3);
	if (covers)
		add(p, covers, TYPE_NSEC3);
	else
		cover_next_closer(r, f, n, name, p);
	return n;
}

/* ---- both ---- */

#define OWNER_AHEAD 3  /* cache lines of a node that owns a record, and */
#define RECORD_AHEAD 5 /* at most of the record with its signatures */

bool denial_seek(const struct reader *r, const struct found *f, const struct name *name,
		 enum denial_part part, struct denial_seek *s)
{
	const struct snapshot *snapshot = f->snapshot;
	const uint8_t *base = r->map.base, *hash = s->hash;

	s->part = part;
	if (!snapshot->chain) {
		if (part != DENIAL_NEXT)
			return false;
		s->key = denial_name_key(name->wire, name->labels - f->zone->labels);
		s->leaf = tree_floor_leaf(base, snapshot->denial, s->key, cmp_name, name->wire);
	} else {
		if (part == DENIAL_NEXT)
			next_closer_hash(r, f, f->node, name, s->hash);
		else if (f->node->flags & NODE_APEX)
			return false;
		else
			hash = denial_own_hash(chain_of(r, f), snapshot->chain_id, f->node, s->hash);
		if (hash != s->hash)
			memcpy(s->hash, hash, NSEC3_HASH);
		s->key = denial_hash_key(s->hash);
		s->leaf = tree_floor_leaf(base, snapshot->denial, s->key, cmp_hash, s->hash);
	}
	if (!s->leaf) /* before the first: what is the last of the chain is looked for without haste */
		return false;
	for (unsigned at = 0; at < TREE_LEAF_SIZE; at += 64)
		__builtin_prefetch((const uint8_t *)s->leaf + at);
	return true;
}

void denial_fetch(const struct reader *r, const struct name *name, const struct denial_seek *s, struct found *f)
{
	const uint8_t *base = r->map.base;
	ref at = f->snapshot->chain ? tree_floor_in(base, s->leaf, s->key, cmp_hash, s->hash, &f->match) :
		 tree_floor_in(base, s->leaf, s->key, cmp_name, name->wire, &f->match);

	if (!at)
		return;
	f->known = (uint8_t)s->part;
	f->proof = arena_at(base, at);
	for (unsigned i = 0; i < OWNER_AHEAD; i++)
		__builtin_prefetch((const uint8_t *)f->proof + 64 * i);
}

void denial_record(struct found *f)
{
	const struct rrset *s;

	if (!f->known)
		return;
	f->record = s = node_rrset(f->proof, f->snapshot->chain ? TYPE_NSEC3 : TYPE_NSEC);
	if (!s)
		return;

	const uint8_t *block = rrset_block(f->proof, s), *end = block + s->len + s->sig_len;

	for (unsigned i = 0; i < RECORD_AHEAD && block < end; i++, block += 64)
		__builtin_prefetch(block);
	__builtin_prefetch(end - 1);
}

void denial_no_data(const struct reader *r, const struct found *f, const struct node *n,
		    struct proof *p)
{
	struct name name;

	if (!f->snapshot->chain) {
		match_name(r, f, n, p);
	} else if (!match_hash(r, f, n, p) && !(n->flags & NODE_APEX)) {
		/* Section 7.2.4; also an empty non-terminal above insecure delegations. */
		name_from_wire(&name, n->name, NAME_MAX_LEN);
		prove_encloser(r, f, n, &name, p);
	}
}

void denial_no_name(const struct reader *r, const struct found *f, const struct name *name,
		    struct proof *p)
{
	const struct node *n = f->node;
	uint8_t hash[NSEC3_HASH];

	if (!f->snapshot->chain) {
		/* RFC 4035 section 3.1.3.2. */
		uint8_t wildcard[2 + NAME_MAX_LEN];

		cover_sought(r, f, name, p);
		if (n->flags & NODE_DENIES_WILDCARD) {
			add(p, n, TYPE_NSEC);
			return;
		}
		wildcard[0] = 1;
		wildcard[1] = '*';
		memcpy(wildcard + 2, n->name, n->name_len);
		cover_name(r, f, wildcard, n->labels + 1u, p);
		return;
	}
	/* RFC 5155 section 7.2.2. */
	n = prove_encloser(r, f, n, name, p);
	if (n && n->flags & NODE_APEX)
		add(p, arena_at(r->map.base, f->snapshot->apex_wildcard), TYPE_NSEC3);
	else if (n)
		cover_hash(r, f, denial_wildcard_hash(chain_of(r, f), f->snapshot->chain_id, n, hash), p);
}

void denial_wildcard(const struct reader *r, const struct found *f, const struct name *name,
		     struct proof *p)
{
	if (!f->snapshot->chain)
		cover_sought(r, f, name, p); /* RFC 4035 section 3.1.3.3 */
	else
		/* RFC 5155 section 7.2.6: the encloser is known from the signature's labels. */
		cover_next_closer(r, f, f->node, name, p);
}

void denial_wildcard_no_data(const struct reader *r, const struct found *f,
			     const struct name *name, const struct node *n, struct proof *p)
{
	if (!f->snapshot->chain) {
		/* RFC 4035 section 3.1.3.4. */
		cover_sought(r, f, name, p);
		match_name(r, f, n, p);
		return;
	}
	/* RFC 5155 section 7.2.5. */
	prove_encloser(r, f, f->node, name, p);
	match_hash(r, f, n, p);
}
