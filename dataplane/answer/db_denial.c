/* SPDX-License-Identifier: GPL-3.0-or-later */
/* db_denial.c - denial trees (denial.h) in transactions.
 *
 * Of a zone's NSEC records and of each of its NSEC3 chains a tree is kept, whether it is
 * served or not, and how many gaps it has.  So it costs nothing to go over to another that is
 * complete. */
#include "db_private.h"
#include "denial.h"
#include "denial_key.h"
#include "rrtype.h"
#include "wire.h"

/* ---- nodes ---- */

static const struct rrset *proof_of(const struct node *n, bool nsec3)
{
	if (nsec3 ? !(n->flags & NODE_PROOF) : n->flags & NODE_BELOW)
		return NULL;
	return node_rrset(n, nsec3 ? TYPE_NSEC3 : TYPE_NSEC);
}

static const uint8_t *proof_rdata(const struct node *n, bool nsec3)
{
	return rrset_block(n, proof_of(n, nsec3)) + node_owner_len(n) + RR_FIXED;
}

static uint64_t key_of(const struct node *n, bool nsec3, unsigned apex_labels)
{
	return nsec3 ? denial_hash_key(node_proof_hash(n)) : denial_name_key(n->name, n->labels - apex_labels);
}

/* Is b the next owner that a names? */
static bool leads_to(const struct node *a, const struct node *b, bool nsec3)
{
	const uint8_t *rdata = proof_rdata(a, nsec3);
	struct name next;

	if (!nsec3)
		return name_from_wire(&next, rdata, NAME_MAX_LEN) && next.len == b->name_len &&
		       memcmp(next.wire, b->name, next.len) == 0;
	rdata += 5 + rdata[4]; /* behind the salt (RFC 5155 section 3.2) */
	return rdata[0] == NSEC3_HASH && memcmp(rdata + 1, node_proof_hash(b), NSEC3_HASH) == 0;
}

/* ---- chains ---- */

static bool is_nsec3(unsigned i)
{
	return i > 0;
}

void stage_chains(struct txn *t, const struct snapshot *old)
{
	if (old && old->chains)
		t->chains = *(const struct denial_chains *)at(t->db, old->chains);
	else
		t->chains = (struct denial_chains){ 0 };
	t->rebuild = t->rehash = t->rehashed = false;
	t->chain = old && old->chain ? at(t->db, old->chain) : NULL;
	t->chain_id = old ? old->chain_id : 0;
}

/* The place of the chain with these parameters; *i stays what it is if it has none. */
static bool chain_find(const struct txn *t, const uint8_t *rdata, unsigned *i)
{
	for (unsigned k = 1; k < DENIAL_CHAINS; k++) {
		ref param = t->chains.c[k].param;

		if (param && nsec3_same_chain(at(t->db, param), rdata)) {
			*i = k;
			return true;
		}
	}
	return false;
}

/* Make a place for it, if there is one; *i is 0 if not. */
static int chain_add(struct txn *t, const uint8_t *rdata, unsigned *i)
{
	struct nsec3_param p;
	unsigned k = 1;

	*i = 0;
	if (chain_find(t, rdata, i) || !nsec3_param_read(&p, rdata))
		return 0;
	while (k < DENIAL_CHAINS && t->chains.c[k].param)
		k++;
	if (k == DENIAL_CHAINS) {
		t->chains.more = 1;
		return 0;
	}
	struct denial_chain *c = &t->chains.c[k];
	int err = stage_alloc(&t->stage, nsec3_chain_size(&p.chain), &c->param);

	if (err)
		return err;
	memcpy(at(t->db, c->param), &p.chain, nsec3_chain_size(&p.chain));
	c->id = ++t->chains.last_id;
	*i = k;
	return 0;
}

/* A chain without records gives its place up. */
static int chain_drop(struct txn *t, unsigned i)
{
	struct denial_chain *c = &t->chains.c[i];
	int err = c->param ? stage_retire(&t->stage, c->param) : 0;

	if (!err)
		*c = (struct denial_chain){ 0 };
	t->rebuild |= t->chains.more != 0; /* others may take it */
	return err;
}

int stage_chain(struct txn *t, const struct nsec3_chain *c)
{
	uint8_t rdata[5 + NSEC3_SALT_MAX] = { NSEC3_SHA1 };
	unsigned i = 0;
	int err = 0;

	if (c) {
		wire_write16(rdata + 2, c->iterations);
		rdata[4] = c->salt_len;
		memcpy(rdata + 5, c->salt, c->salt_len);
		err = chain_add(t, rdata, &i);
	}
	t->chain = i ? at(t->db, t->chains.c[i].param) : NULL;
	t->chain_id = t->chains.c[i].id;
	return err;
}

/* ---- hashes of nodes ---- */

bool stage_hashes(const struct txn *t, struct node_source *src, const struct node *standing,
		  uint8_t *hashes)
{
	uint8_t wildcard[2 + NAME_MAX_LEN] = { 1, '*' };
	size_t len = name_wire_len(src->owner);
	bool want = t->chain && !(src->flags & (NODE_BELOW | NODE_HIDDEN));

	src->flags &= (uint16_t)~NODE_HASHED;
	src->hashes = hashes;
	if (standing) {
		bool has = standing->flags & NODE_HASHED;

		if (has) {
			src->flags |= NODE_HASHED;
			memcpy(hashes, node_own_hash(standing), NODE_HASHES);
		}
		return has == want && (!has || node_hash_chain(standing) == t->chain_id);
	}
	if (!want)
		return true;
	src->flags |= NODE_HASHED;
	nsec3_hash(t->chain, src->owner, len, hashes);
	memcpy(wildcard + 2, src->owner, len);
	nsec3_hash(t->chain, wildcard, 2 + len, hashes + NODE_HASH);
	memcpy(hashes + 2 * NODE_HASH, &t->chain_id, sizeof(t->chain_id));
	return true;
}

/* ---- trees ---- */

static uint32_t gap(const struct node *a, const struct node *b, bool nsec3)
{
	return !leads_to(a, b, nsec3);
}

/* The nodes before and behind n's place in a circle of which n is no part; false if it is empty. */
static bool neighbours(const struct txn *t, const struct denial_chain *c, const struct node *n,
		       uint64_t key, const struct node **before, const struct node **behind)
{
	const uint8_t *base = t->db->base;
	struct tree_iter it;
	ref a, b;

	tree_around(base, c->tree, key, n->name, &a, &b);
	if (!a && !b)
		return false;
	if (!a)
		a = tree_last(base, c->tree);
	if (!b)
		b = tree_first(&it, base, c->tree);
	*before = at(t->db, a);
	*behind = at(t->db, b);
	return true;
}

/* n comes into chain i, goes from it (is 0), or is replaced by another node of its name. */
static int move(struct txn *t, unsigned apex_labels, unsigned i, const struct node *was,
		const struct node *is)
{
	const struct node *n = is ? is : was, *before, *behind;
	struct denial_chain *c = &t->chains.c[i];
	bool nsec3 = is_nsec3(i);
	uint64_t key = key_of(n, nsec3, apex_labels);

	if (neighbours(t, c, n, key, &before, &behind)) {
		c->gaps -= was ? gap(was, behind, nsec3) + (is ? 0 : gap(before, was, nsec3)) :
				 gap(before, behind, nsec3);
		c->gaps += is ? gap(is, behind, nsec3) + (was ? 0 : gap(before, is, nsec3)) :
				gap(before, behind, nsec3);
	} else {
		c->gaps = is ? gap(is, is, nsec3) : 0;
	}
	if (is)
		return tree_put_keyed(&t->stage, &c->tree, key, ref_to(t->db, is));
	int err = tree_remove_keyed(&t->stage, &c->tree, key, was->name);

	return err || c->tree ? err : chain_drop(t, i);
}

int stage_denial(struct txn *t, const struct name *apex, ref was, ref is)
{
	const struct node *a = was ? at(t->db, was) : NULL, *b = is ? at(t->db, is) : NULL;
	int err = 0;

	for (int nsec3 = 0; !err && nsec3 < 2; nsec3++) {
		const struct node *from = a && proof_of(a, nsec3) ? a : NULL;
		const struct node *to = b && proof_of(b, nsec3) ? b : NULL;
		unsigned i = 0, k = 0;

		if (from && nsec3 && !chain_find(t, proof_rdata(from, true), &i))
			from = NULL; /* there was no place for it */
		if (to && nsec3) {
			err = chain_add(t, proof_rdata(to, true), &k);
			if (!k)
				to = NULL;
		}
		if (from && to && i == k) {
			err = move(t, apex->labels, i, from, to);
		} else {
			if (!err && to)
				err = move(t, apex->labels, k, NULL, to);
			if (!err && from)
				err = move(t, apex->labels, i, from, NULL);
		}
	}
	return err;
}

/* Places for the chains of the apex's NSEC3PARAMs before any others. */
static int chain_add_listed(struct txn *t, const struct node *apex)
{
	const struct rrset *s = node_rrset(apex, TYPE_NSEC3PARAM);
	const uint8_t *rr = s ? rrset_block(apex, s) + node_owner_len(apex) : NULL;
	unsigned i;
	int err = 0;

	for (unsigned k = 0; !err && s && k < s->rr_cnt; k++) {
		err = chain_add(t, rr + RR_FIXED, &i);
		rr += RR_FIXED + wire_read16(rr + 8) + node_owner_len(apex);
	}
	return err;
}

int stage_denial_all(struct txn *t, const struct name *apex, const ref *node, size_t cnt)
{
	struct denial_chains *chains = &t->chains;
	ref *owner = malloc((cnt + 1) * sizeof(*owner));
	uint64_t *key = malloc((cnt + 1) * sizeof(*key));
	uint8_t *place = malloc(cnt + 1); /* of a node's NSEC3, 0: none */
	int err = owner && key && place ? 0 : -ENOMEM;

	for (unsigned i = 0; !err && i < DENIAL_CHAINS; i++) {
		err = tree_retire(&t->stage, chains->c[i].tree);
		chains->c[i].tree = chains->c[i].gaps = 0;
	}
	/* A chain that is hashed for keeps its place; others may be without records now. */
	for (unsigned i = 1; !err && i < DENIAL_CHAINS; i++)
		if (chains->c[i].param && chains->c[i].id != t->chain_id)
			err = chain_drop(t, i);
	chains->more = 0;
	if (!err)
		err = chain_add_listed(t, at(t->db, node[0]));
	for (size_t i = 0; !err && i < cnt; i++) {
		const struct node *n = at(t->db, node[i]);
		unsigned k = 0;

		if (proof_of(n, true))
			err = chain_add(t, proof_rdata(n, true), &k);
		place[i] = (uint8_t)k;
	}
	for (unsigned k = 0; !err && k < DENIAL_CHAINS; k++) {
		struct denial_chain *c = &chains->c[k];
		size_t owners = 0;

		for (size_t i = 0; i < cnt; i++) {
			const struct node *n = at(t->db, node[i]);

			if (is_nsec3(k) ? place[i] != k : !proof_of(n, false))
				continue;
			key[owners] = key_of(n, is_nsec3(k), apex->labels);
			owner[owners++] = node[i];
		}
		for (size_t i = 0; i < owners; i++)
			c->gaps += gap(at(t->db, owner[i]), at(t->db, owner[(i + 1) % owners]), is_nsec3(k));
		if (owners)
			err = tree_build_keyed(&t->stage, &c->tree, key, owner, owners);
		else if (is_nsec3(k) && c->param)
			err = chain_drop(t, k);
	}
	t->rebuild = false;
	free(owner);
	free(key);
	free(place);
	return err;
}

/* ---- which is served ---- */

/* The chain of the first of the apex's NSEC3PARAMs with flags 0 (RFC 5155 section 4.1.2) that has records,
 * without gaps if so asked; 0 if there is none. */
static unsigned listed_chain(const struct txn *t, const struct node *apex, bool whole)
{
	const struct rrset *s = node_rrset(apex, TYPE_NSEC3PARAM);
	const uint8_t *rr = s ? rrset_block(apex, s) + node_owner_len(apex) : NULL;

	for (unsigned k = 0; s && k < s->rr_cnt; k++) {
		const uint8_t *rdata = rr + RR_FIXED;
		unsigned i = 0;

		if (rdata[1] == 0 && wire_read16(rdata + 2) <= t->db->nsec3_max &&
		    chain_find(t, rdata, &i) && t->chains.c[i].tree && !(whole && t->chains.c[i].gaps))
			return i;
		rr += RR_FIXED + wire_read16(rr + 8) + node_owner_len(apex);
	}
	return 0;
}

bool stage_lost_chain(const struct txn *t, const struct node *apex)
{
	const struct rrset *s = t->chains.more ? node_rrset(apex, TYPE_NSEC3PARAM) : NULL;
	const uint8_t *rr = s ? rrset_block(apex, s) + node_owner_len(apex) : NULL;
	unsigned i;

	for (unsigned k = 0; s && k < s->rr_cnt; k++) {
		if (!chain_find(t, rr + RR_FIXED, &i))
			return true;
		rr += RR_FIXED + wire_read16(rr + 8) + node_owner_len(apex);
	}
	return false;
}

int stage_served(struct txn *t, const struct snapshot *old, struct snapshot *content)
{
	const struct node *apex = at(t->db, content->apex);
	const struct denial_chain *nsec = &t->chains.c[0];
	unsigned i = listed_chain(t, apex, true);
	bool any;

	if (!i && (!nsec->tree || nsec->gaps))
		i = listed_chain(t, apex, false);
	content->denial = t->chains.c[i].tree;
	content->chain = t->chains.c[i].param;
	content->chain_id = t->chains.c[i].id;
	/* Nodes that stand or have been staged were hashed for another chain, or for none. */
	content->stale = (old && old->stale) || (old && old->chain_id != content->chain_id) ||
			 t->chain_id != content->chain_id;
	if (t->rehashed && t->chain_id == content->chain_id)
		content->stale = false;
	else if (old && old->chain_id != content->chain_id)
		t->db->rehash_zone = 0; /* from the first name again */

	any = content->stale; /* as long as nodes name an id, none is given twice */
	for (unsigned k = 0; k < DENIAL_CHAINS; k++)
		any |= t->chains.c[k].tree || t->chains.c[k].param;
	const struct denial_chains *was = old && old->chains ? at(t->db, old->chains) : NULL;

	content->chains = was ? old->chains : 0;
	if (was && any && memcmp(was, &t->chains, sizeof(*was)) == 0)
		return 0;
	int err = was ? stage_retire(&t->stage, old->chains) : 0;

	content->chains = 0;
	if (!err && any)
		err = stage_alloc(&t->stage, sizeof(t->chains), &content->chains);
	if (!err && any)
		memcpy(at(t->db, content->chains), &t->chains, sizeof(t->chains));
	return err;
}

static int cmp_hash(const struct node *n, const void *hash)
{
	return memcmp(node_proof_hash(n), hash, NSEC3_HASH);
}

void stage_apex_denial(const struct txn *t, struct snapshot *s)
{
	const uint8_t *base = t->db->base, *wanted;
	uint8_t hash[NSEC3_HASH];
	bool equal;

	s->apex_match = s->apex_wildcard = 0;
	if (!s->tree || !s->chain || !s->denial)
		return;
	const struct nsec3_chain *c = at(t->db, s->chain);
	const struct node *apex = at(t->db, s->apex);

	wanted = denial_own_hash(c, s->chain_id, apex, hash);
	ref r = tree_floor(base, s->denial, denial_hash_key(wanted), cmp_hash, wanted, &equal);

	s->apex_match = equal ? r : 0;
	wanted = denial_wildcard_hash(c, s->chain_id, apex, hash);
	r = tree_floor(base, s->denial, denial_hash_key(wanted), cmp_hash, wanted, &equal);
	s->apex_wildcard = r ? r : tree_last(base, s->denial);
}

int retire_denial(struct stage *s, const struct snapshot *last)
{
	const struct denial_chains *chains = last->chains ? arena_at(s->base, last->chains) : NULL;
	int err = 0;

	for (unsigned i = 0; !err && chains && i < DENIAL_CHAINS; i++) {
		err = tree_retire(s, chains->c[i].tree);
		if (!err && chains->c[i].param)
			err = stage_retire(s, chains->c[i].param);
	}
	return err || !chains ? err : stage_retire(s, last->chains);
}

/* The chain that a snapshot serves, or NULL. */
static const struct denial_chain *served_chain(const struct txn *t, const struct snapshot *s)
{
	const struct denial_chains *chains = s && s->chains ? at(t->db, s->chains) : NULL;

	for (unsigned i = 0; chains && s->denial && i < DENIAL_CHAINS; i++)
		if (chains->c[i].tree == s->denial)
			return &chains->c[i];
	return NULL;
}

/* The operation that has changed this zone, or NULL. */
static const struct zone_op *op_of(const struct txn *t, const struct name *apex)
{
	for (size_t i = 0; i < t->op_cnt; i++) {
		const struct zone *z = at(t->db, t->op[i].zone);

		if (!t->op[i].drop && z->name_len == apex->len && memcmp(z->name, apex->wire, apex->len) == 0)
			return &t->op[i];
	}
	return NULL;
}

bool txn_denial_gap(const struct txn *t, const struct name *apex, struct name *owner,
		    struct name *following)
{
	const struct zone_op *op = op_of(t, apex);
	const struct denial_chain *was = served_chain(t, op && op->old ? at(t->db, op->old) : NULL);
	const struct denial_chain *is = served_chain(t, op ? at(t->db, op->snapshot) : NULL);

	if (!is || is->gaps <= (was ? was->gaps : 0))
		return false;

	bool nsec3 = is->param != 0;
	struct tree_iter it;
	const struct node *first = at(t->db, tree_first(&it, t->db->base, is->tree)), *n = first;

	for (ref r; ; n = at(t->db, r)) {
		r = tree_next(&it);
		const struct node *next = r ? at(t->db, r) : first;

		if (!leads_to(n, next, nsec3) || !r) {
			name_from_wire(owner, n->name, NAME_MAX_LEN);
			name_from_wire(following, next->name, NAME_MAX_LEN);
			return true;
		}
	}
}

/* The node whose record in the NSEC3 chain of s matches the hash, or else (not *match) covers it. */
static const struct node *hash_floor(const struct txn *t, const struct snapshot *s,
				     const uint8_t *hash, bool *match)
{
	const uint8_t *base = t->db->base;
	ref r = tree_floor(base, s->denial, denial_hash_key(hash), cmp_hash, hash, match);

	return at(t->db, r ? r : tree_last(base, s->denial));
}

/* Must a name have its NSEC3 also where the span opts out: are there records, and more than those of an
 * insecure delegation (RFC 5155 section 7.1)? */
static bool is_secure(const struct node *n)
{
	return n->rrset_cnt && !(n->flags & (NODE_BELOW | NODE_HIDDEN)) &&
	       !(n->flags & NODE_CUT && !node_rrset(n, TYPE_DS));
}

/* The same of an empty non-terminal: does it lead to such a name? */
static bool leads_to_secure(const struct txn *t, const struct snapshot *s, const struct node *ent)
{
	struct tree_iter it;

	for (ref r = tree_seek(&it, t->db->base, s->tree, ent->name); r; r = tree_next(&it)) {
		const struct node *n = at(t->db, r);

		if (!name_within(n->name, ent->name))
			return false;
		if (is_secure(n))
			return true;
	}
	return false;
}

/* Does a name of the zone lack its record in the chain that s serves?  It need not have one if it is
 * not authoritative, nor an NSEC if it is an empty non-terminal. */
static bool lacks_proof(const struct txn *t, const struct snapshot *s, const struct node *n)
{
	uint8_t hash[NSEC3_HASH];
	bool match;

	if (!s->denial || n->flags & (NODE_BELOW | NODE_HIDDEN))
		return false;
	if (!s->chain)
		return n->rrset_cnt && !node_rrset(n, TYPE_NSEC);
	const struct node *floor = hash_floor(t, s, denial_own_hash(at(t->db, s->chain), s->chain_id, n, hash),
					      &match);

	return !match && (!(proof_rdata(floor, true)[1] & NSEC3_OPT_OUT) || is_secure(n) ||
			  (!n->rrset_cnt && leads_to_secure(t, s, n)));
}

static const struct node *node_of(const struct txn *t, const struct snapshot *s, const uint8_t *name)
{
	ref r = s->tree ? tree_find(t->db->base, s->tree, name) : 0;

	return r ? at(t->db, r) : NULL;
}

/* The name n of the new snapshot, or an empty non-terminal above it, that lacks its record and did not
 * lack it before; NULL if there is none. */
static const struct node *newly_lacking(const struct txn *t, const struct snapshot *old,
					const struct snapshot *s, const struct node *n)
{
	bool up = s->chain && is_secure(n); /* it makes those above it secure */

	do {
		const struct node *was = old ? node_of(t, old, n->name) : NULL;

		if (lacks_proof(t, s, n) && !(was && lacks_proof(t, old, was)))
			return n;
		n = up && !(n->flags & NODE_APEX) ? node_of(t, s, n->name + 1 + n->name[0]) : NULL;
	} while (n && !n->rrset_cnt);
	return NULL;
}

/* Hashes: those of NSEC3 records that went, and those of names that were touched. */
struct hashes {
	uint8_t (*hash)[NSEC3_HASH];
	size_t cnt, cap;
};

static int hashes_add(struct hashes *h, const uint8_t *hash)
{
	if (h->cnt == h->cap) {
		size_t cap = h->cap * 2 + 64;
		void *grown = realloc(h->hash, cap * sizeof(*h->hash));

		if (!grown)
			return -ENOMEM;
		h->hash = grown;
		h->cap = cap;
	}
	memcpy(h->hash[h->cnt++], hash, NSEC3_HASH);
	return 0;
}

static int by_hash(const void *a, const void *b)
{
	return memcmp(a, b, NSEC3_HASH);
}

static bool hashes_has(const struct hashes *h, const uint8_t *hash)
{
	return h->cnt && bsearch(hash, h->hash, h->cnt, NSEC3_HASH, by_hash);
}

/* What the lists of a transaction say of one zone. */
struct touching {
	const struct txn *t;
	ref zone;
	const struct snapshot *old, *s;
	const struct node *found;  /* lacks its record */
	struct hashes lost, names;
};

/* n has gone, or is replaced: note its NSEC3 if the chain that is served has that no more. */
static int note_lost(struct touching *c, const struct node *n)
{
	bool match;

	if (!n || !proof_of(n, true) || !nsec3_same_chain(at(c->t->db, c->s->chain), proof_rdata(n, true)))
		return 0;
	hash_floor(c->t, c->s, node_proof_hash(n), &match);
	return match ? 0 : hashes_add(&c->lost, node_proof_hash(n));
}

static int note_name(struct touching *c, const struct node *n)
{
	uint8_t hash[NSEC3_HASH];

	if (n->flags & NODE_HIDDEN)
		return 0;
	return hashes_add(&c->names, denial_own_hash(at(c->t->db, c->s->chain), c->s->chain_id, n, hash));
}

static int look_at_list(struct touching *c, const struct ref_list *l,
			int (*look)(struct touching *c, const struct node *n))
{
	int err = 0;

	for (size_t i = 0; !err && !c->found && i < l->cnt; i++) {
		const struct node *n = at(c->t->db, l->ref[i]);

		if (n->zone == c->zone)
			err = look(c, n);
	}
	return err;
}

static int look_at_new(struct touching *c, const struct node *n)
{
	c->found = newly_lacking(c->t, c->old, c->s, n);
	return 0;
}

static int look_at_changed(struct touching *c, const struct node *n)
{
	return note_lost(c, node_of(c->t, c->old, n->name));
}

/* An NSEC3 record went and nothing that was touched is its name: has another name that hash? */
static void look_at_all(struct touching *c)
{
	uint8_t hash[NSEC3_HASH];
	struct tree_iter it;
	size_t left = 0;

	qsort(c->names.hash, c->names.cnt, NSEC3_HASH, by_hash);
	for (size_t i = 0; i < c->lost.cnt; i++)
		if (!hashes_has(&c->names, c->lost.hash[i]))
			memmove(c->lost.hash[left++], c->lost.hash[i], NSEC3_HASH);
	c->lost.cnt = left;
	if (!left)
		return;
	qsort(c->lost.hash, left, NSEC3_HASH, by_hash);
	for (ref r = tree_first(&it, c->t->db->base, c->s->tree); r && !c->found; r = tree_next(&it)) {
		const struct node *n = at(c->t->db, r);

		if (!(n->flags & (NODE_BELOW | NODE_HIDDEN)) &&
		    hashes_has(&c->lost, denial_own_hash(at(c->t->db, c->s->chain), c->s->chain_id, n, hash)))
			c->found = newly_lacking(c->t, c->old, c->s, n);
	}
}

int txn_denial_lacks(const struct txn *t, const struct name *apex, struct name *name)
{
	const struct zone_op *op = op_of(t, apex);
	struct touching c = { .t = t };
	int err;

	if (!op)
		return 0;
	c.zone = op->zone;
	c.s = at(t->db, op->snapshot);
	c.old = op->old ? at(t->db, op->old) : NULL;
	err = look_at_list(&c, &t->added, look_at_new);
	if (!err)
		err = look_at_list(&c, &t->changed, look_at_new);
	if (c.s->chain && c.old && c.old->chain_id == c.s->chain_id) {
		if (!err)
			err = look_at_list(&c, &t->changed, look_at_changed);
		if (!err)
			err = look_at_list(&c, &t->removed, note_lost);
		if (c.lost.cnt && !err)
			err = look_at_list(&c, &t->added, note_name);
		if (c.lost.cnt && !err)
			err = look_at_list(&c, &t->changed, note_name);
		if (c.lost.cnt && !err)
			err = look_at_list(&c, &t->removed, note_name);
		if (c.lost.cnt && !err && !c.found)
			look_at_all(&c);
	}
	free(c.lost.hash);
	free(c.names.hash);
	if (err || !c.found)
		return err;
	name_from_wire(name, c.found->name, NAME_MAX_LEN);
	return 1;
}
