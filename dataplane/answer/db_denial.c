/* SPDX-License-Identifier: GPL-3.0-or-later */
/* db_denial.c - denial trees (denial.h) in transactions. */
#include "db_private.h"
#include "denial_key.h"
#include "rrtype.h"

/* Does the node belong into the tree of a zone that serves this chain (NULL: NSEC)? */
static bool belongs(const struct node *n, const struct nsec3_chain *c)
{
	const struct rrset *s;

	if (n->flags & NODE_BELOW)
		return false;
	if (!c)
		return node_rrset(n, TYPE_NSEC) != NULL;
	s = n->flags & NODE_PROOF ? node_rrset(n, TYPE_NSEC3) : NULL;
	return s && nsec3_same_chain(c, rrset_block(n, s) + node_owner_len(n) + RR_FIXED);
}

static uint64_t key_of(const struct node *n, const struct nsec3_chain *c, unsigned apex_labels)
{
	return c ? denial_hash_key(node_proof_hash(n)) : denial_name_key(n->name, n->labels - apex_labels);
}

int stage_chain(struct txn *t, const struct snapshot *old, const struct nsec3_chain *c,
		struct snapshot *content)
{
	const struct nsec3_chain *standing = old && old->chain ? at(t->db, old->chain) : NULL;
	int err = 0;

	t->chain_same = standing && c ? nsec3_chain_size(c) == nsec3_chain_size(standing) &&
					memcmp(c, standing, nsec3_chain_size(c)) == 0
				      : standing == c; /* both NULL */
	content->chain = t->chain_same && old ? old->chain : 0;
	if (!t->chain_same) {
		if (standing)
			err = stage_retire(&t->stage, old->chain);
		if (!err && c)
			err = stage_alloc(&t->stage, nsec3_chain_size(c), &content->chain);
		if (!err && c)
			memcpy(at(t->db, content->chain), c, nsec3_chain_size(c));
	}
	t->chain = !err && content->chain ? at(t->db, content->chain) : NULL;
	return err;
}

void stage_hashes(const struct txn *t, struct node_source *src, const struct node *standing,
		  uint8_t *hash)
{
	uint8_t wildcard[2 + NAME_MAX_LEN] = { 1, '*' };
	size_t len;

	if (!t->chain || src->flags & (NODE_BELOW | NODE_HIDDEN))
		return;
	src->flags |= NODE_HASHED;
	src->hash = hash;
	if (standing && t->chain_same && standing->flags & NODE_HASHED) {
		memcpy(hash, node_own_hash(standing), 2 * NODE_HASH);
		return;
	}
	len = name_wire_len(src->owner);
	nsec3_hash(t->chain, src->owner, len, hash);
	memcpy(wildcard + 2, src->owner, len);
	nsec3_hash(t->chain, wildcard, 2 + len, hash + NODE_HASH);
}

int stage_denial_all(struct txn *t, const struct name *apex, struct snapshot *content,
		     const ref *node, size_t cnt)
{
	const struct db *db = t->db;
	size_t owners = 0;
	int err;

	content->denial = 0;
	for (size_t i = 0; i < cnt; i++)
		owners += belongs(at(db, node[i]), t->chain);
	if (!owners)
		return 0;

	ref *owner = malloc(owners * sizeof(*owner));
	uint64_t *key = malloc(owners * sizeof(*key));

	err = owner && key ? 0 : -ENOMEM;
	for (size_t i = 0, k = 0; !err && i < cnt; i++) {
		const struct node *n = at(db, node[i]);

		if (belongs(n, t->chain)) {
			owner[k] = node[i];
			key[k++] = key_of(n, t->chain, apex->labels);
		}
	}
	if (!err)
		err = tree_build_keyed(&t->stage, &content->denial, key, owner, owners);
	free(owner);
	free(key);
	return err;
}

int stage_denial(struct txn *t, const struct name *apex, struct snapshot *content, ref was,
		 ref is)
{
	const struct node *n = is ? at(t->db, is) : NULL;

	if (n && belongs(n, t->chain))
		return tree_put_keyed(&t->stage, &content->denial, key_of(n, t->chain, apex->labels), is);
	n = was ? at(t->db, was) : NULL;
	if (n && belongs(n, t->chain))
		return tree_remove_keyed(&t->stage, &content->denial,
					 key_of(n, t->chain, apex->labels), n->name);
	return 0;
}

static int cmp_hash(const struct node *n, const void *hash)
{
	return memcmp(node_proof_hash(n), hash, NSEC3_HASH);
}

void stage_apex_denial(const struct txn *t, struct snapshot *s)
{
	const uint8_t *base = t->db->base;
	bool equal;

	s->apex_match = s->apex_wildcard = 0;
	if (!s->tree || !s->chain || !s->denial)
		return;
	const struct node *apex = at(t->db, s->apex);
	const uint8_t *own = node_own_hash(apex), *wildcard = node_wildcard_hash(apex);
	ref r = tree_floor(base, s->denial, denial_hash_key(own), cmp_hash, own, &equal);

	s->apex_match = equal ? r : 0;
	r = tree_floor(base, s->denial, denial_hash_key(wildcard), cmp_hash, wildcard, &equal);
	s->apex_wildcard = r ? r : tree_last(base, s->denial);
}
