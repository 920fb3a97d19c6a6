/* SPDX-License-Identifier: GPL-3.0-or-later */
/* db_change.c - single RRsets changed in a zone that stands: the cost is that of the
 * change.
 *
 * Changed names are staged in canonical order, so a parent's flags are final before
 * its children's are made.  A change may reach further than its name: names come
 * with their empty non-terminals and go with them (RFC 4592 section 2.2.2), a wildcard
 * is noted at its parent, and a cut or DNAME that comes or goes reclassifies all
 * below it.
 *
 * A transaction may change as many names as the zone has, so the common change, of a name
 * that is there and stays, costs no descent in the tree but the one that finds it, and that
 * one begins where the last ended. */
#include "db_private.h"
#include "rrtype.h"
#include "wire.h"

/* What became of a name: a name that goes and comes again has more than one of these. */
struct touched {
	ref was;                 /* its node before the transaction, or 0 */
	ref is;                  /* its staged node, or 0 */
};

struct change {
	struct txn *t;
	const struct name *apex;
	ref zone;
	ref tree;                /* staged */
	struct tree_finger finger; /* in it */
	struct touched *touched; /* of all names that were staged */
	size_t touched_cnt, touched_cap;
	bool ordered;            /* they are in canonical order, each once */
	bool raised;             /* the serial */
	struct records rs;       /* of the name that changes */
	const struct node *parent; /* found last by parent_node; NULL: none */
};

static const struct node *staged(const struct change *c, const uint8_t *name)
{
	const uint8_t *base = c->t->db->base;
	ref r = tree_find(base, c->tree, name);

	return r ? arena_at(base, r) : NULL;
}

/* Does anything stand below the name? */
static bool has_descendants(const struct change *c, const uint8_t *name)
{
	const uint8_t *base = c->t->db->base;
	struct tree_iter it;
	ref r = tree_seek(&it, base, c->tree, name);

	if (r && name_cmp(((const struct node *)arena_at(base, r))->name, name) == 0)
		r = tree_next(&it);
	return r && name_within(((const struct node *)arena_at(base, r))->name, name);
}

/* Add the records of a node to rs, but those of a type that one of the changes
 * [ch, ch + cnt) replaces. */
static int keep_records(struct change *c, struct records *rs, const struct node *n,
			const struct rrset_change *ch, size_t cnt)
{
	const struct rrset *set = node_rrsets(n);
	uint8_t *rdata = (uint8_t *)c->t->db->bake; /* free between two stage_node */

	for (unsigned i = 0; i < n->rrset_cnt; i++) {
		bool rrs = true, signatures = true;

		for (size_t k = 0; k < cnt; k++) {
			rrs &= ch[k].type != set[i].type && ch[k].type != TYPE_ANY;
			signatures &= ch[k].type != TYPE_RRSIG && ch[k].type != TYPE_ANY;
		}
		for (uint32_t pos = 0, next; pos < set[i].len + set[i].sig_len; pos = next) {
			const uint8_t *rr = rrset_block(n, &set[i]) + pos + node_owner_len(n);
			size_t len = block_rdata(n, &set[i], pos, rdata, &next);

			if ((pos < set[i].len ? rrs : signatures) &&
			    records_add(rs, n->name, wire_read16(rr), wire_read32(rr + 4),
					rdata, (uint16_t)len, 0, 0))
				return -ENOMEM;
		}
	}
	return 0;
}

static bool is_apex(const struct change *c, const uint8_t *name)
{
	return name_cmp(name, c->apex->wire) == 0;
}

/* The name above; the caller has seen that it is not the apex. */
static const uint8_t *parent_of(const uint8_t *name)
{
	return name + 1 + name[0];
}

/* note - n, a name's staged node so far or NULL, is replaced by r, or removed (0).  A node
 * that is not linked yet tells in `sibling` which of c->touched it is, from 1.  One of this transaction is
 * retired here; what becomes of older ones is settled at the end. */
static int note(struct change *c, const struct node *n, ref r)
{
	struct db *db = c->t->db;
	size_t i = c->touched_cnt;

	if (n && n->created == c->t->stage.version) {
		i = atomic_load_explicit(&n->sibling, memory_order_relaxed) - 1u;
		if (stage_retire(&c->t->stage, ref_to(db, n)))
			return -ENOMEM;
	} else {
		if (i == c->touched_cap) {
			size_t cap = 2 * i + 64;
			struct touched *grown = realloc(c->touched, cap * sizeof(*grown));

			if (!grown)
				return -ENOMEM;
			c->touched = grown;
			c->touched_cap = cap;
		}
		c->touched_cnt++;
		c->touched[i].was = n ? ref_to(db, n) : 0;
	}
	c->touched[i].is = r;
	if (r)
		atomic_store_explicit(&((struct node *)at(db, r))->sibling, (ref)(i + 1), memory_order_relaxed);
	return 0;
}

/* The staged node above a name that is not the apex, or NULL: mostly the same for
 * many names in a row. */
static const struct node *parent_node(struct change *c, const uint8_t *name)
{
	const uint8_t *above = parent_of(name);
	size_t len = name_wire_len(above);

	if (!c->parent || c->parent->name_len != len || memcmp(c->parent->name, above, len) != 0)
		c->parent = staged(c, above);
	return c->parent;
}

/* Stage the node of a name, whose parent is staged, from all its records; *n is its staged
 * node so far, or NULL, and becomes what it is then. */
static int stage_name(struct change *c, const uint8_t *name, const struct node **n,
		      uint16_t wildcard, const struct record *rr, size_t rr_cnt)
{
	struct node_source src = { .owner = name, .rr = rr, .rr_cnt = rr_cnt };
	const struct node *parent = NULL;
	ref standing = *n ? ref_to(c->t->db, *n) : 0, r;

	if (!is_apex(c, name))
		parent = parent_node(c, name);
	classify(&src, !parent, !parent ? NULL : &(struct node_class){
		 .flags = parent->flags, .labels = parent->labels,
		 .cover_labels = parent->cover_labels });
	src.flags |= wildcard;
	int err = stage_node(c->t, c->zone, c->apex, &src, standing, &r);

	if (err || r == standing)
		return err;
	if (*n == c->parent)
		c->parent = NULL;
	err = note(c, *n, r);
	*n = at(c->t->db, r);
	return err ? err : tree_finger_put(&c->finger, r);
}

/* What the child "*" makes of a name. */
static uint16_t wildcard_flag(const struct change *c, const uint8_t *name)
{
	uint8_t wildcard[2 + NAME_MAX_LEN] = { 1, '*' };

	memcpy(wildcard + 2, name, name_wire_len(name));
	return name_wire_len(name) + 2 <= NAME_MAX_LEN && staged(c, wildcard) ?
		NODE_WILDCARD_PARENT : 0;
}

/* Stage a name again with the records it has: what its parent or children say of it
 * has changed. */
static int stage_again(struct change *c, const uint8_t *name)
{
	struct records rs;

	records_init(&rs);

	const struct node *n = staged(c, name);
	int err = keep_records(c, &rs, n, NULL, 0);

	if (!err)
		err = records_sort(&rs);
	c->ordered = false;
	if (!err)
		err = stage_name(c, name, &n, wildcard_flag(c, name), rs.rr, rs.cnt);
	records_free(&rs);
	return err;
}

/* Stage again all that stands below a name, parents first. */
static int stage_below(struct change *c, const uint8_t *name)
{
	const uint8_t *base = c->t->db->base;
	uint8_t last[NAME_MAX_LEN];
	struct tree_iter it;
	int err = 0;

	memcpy(last, name, name_wire_len(name));
	while (!err) { /* staging changes the tree: the next name is looked for anew */
		ref r = tree_seek(&it, base, c->tree, last);

		if (r && name_cmp(((const struct node *)arena_at(base, r))->name, last) == 0)
			r = tree_next(&it);
		const struct node *n = r ? arena_at(base, r) : NULL;

		if (!n || !name_within(n->name, name))
			break;
		memcpy(last, n->name, n->name_len);
		err = stage_again(c, last);
	}
	return err;
}

/* Stage empty non-terminals where names between the apex and this one are missing. */
static int stage_ancestors(struct change *c, const uint8_t *wire)
{
	struct name name;
	int err = 0;

	/* Where one is, all above it are. */
	if (is_apex(c, wire) || parent_node(c, wire))
		return 0;
	name_from_wire(&name, wire, NAME_MAX_LEN);
	for (unsigned l = c->apex->labels + 1u; !err && l < name.labels; l++) {
		const uint8_t *above = name.wire + name_suffix(&name, l);

		const struct node *n = staged(c, above);

		if (n)
			continue;
		c->ordered = false;
		err = stage_name(c, above, &n, 0, NULL, 0);
		if (!err && name_is_wildcard(above))
			err = stage_again(c, parent_of(above));
	}
	return err;
}

/* Take a name out, and with it the ancestors that were there only for its sake. */
static int remove_name(struct change *c, const struct node *n)
{
	for (;;) {
		const uint8_t *name = n->name;
		bool wildcard = name_is_wildcard(name);
		int err = note(c, n, 0);

		if (n == c->parent)
			c->parent = NULL;
		if (!err)
			err = tree_finger_remove(&c->finger, name);
		if (err)
			return err;
		name = parent_of(name); /* ends at the apex, which has records */
		if (is_apex(c, name))
			return wildcard ? stage_again(c, name) : 0;
		n = staged(c, name);
		if (n->rrset_cnt || has_descendants(c, name))
			return wildcard ? stage_again(c, name) : 0;
		c->ordered = false;
	}
}

/* Which names below are seen does not depend on more of a node than this. */
static bool same_class(const struct node *a, const struct node *b)
{
	const uint16_t flags = NODE_CUT | NODE_DNAME | NODE_BELOW;

	return (a ? a->flags & flags : 0) == (b ? b->flags & flags : 0) &&
	       (!a || !b || a->cover_labels == b->cover_labels);
}

/* All changes of one name. */
static int change_name(struct change *c, const struct rrset_change *ch, size_t cnt,
		       change_check check, void *arg)
{
	const uint8_t *name = ch->owner;
	ref r = tree_finger_find(&c->finger, name);
	const struct node *before = r ? at(c->t->db, r) : NULL, *now = before;
	int err = 0;

	records_clear(&c->rs);
	if (before)
		err = keep_records(c, &c->rs, before, ch, cnt);
	for (size_t i = 0; i < cnt; i++)
		for (size_t k = 0; !err && k < ch[i].rr_cnt; k++)
			err = records_add(&c->rs, name, ch[i].type, ch[i].rr[k].ttl, ch[i].rr[k].rdata,
					  ch[i].rr[k].rdata_len, ch[i].rr[k].file, ch[i].rr[k].line);
	if (!err)
		err = records_sort(&c->rs);
	if (!err && check)
		err = check(arg, ch, &c->rs);
	if (err)
		return err;

	if (!c->rs.cnt && is_apex(c, name))
		return -EINVAL;
	if (!c->rs.cnt && !has_descendants(c, name))
		return before ? remove_name(c, before) : 0;
	err = stage_ancestors(c, name);
	/* A wildcard that comes or goes later has its parent staged again; below a name that is
	 * not there is none. */
	if (!err)
		err = stage_name(c, name, &now, before ? before->flags & NODE_WILDCARD_PARENT : 0,
				 c->rs.rr, c->rs.cnt);
	if (!err && !before && name_is_wildcard(name))
		err = stage_again(c, parent_of(name));
	if (!err && !same_class(before, now))
		err = stage_below(c, name);
	return err;
}

static int by_name(const void *a, const void *b, void *arg)
{
	const struct touched *x = a, *y = b;
	const struct node *n = arena_at(arg, x->is ? x->is : x->was);

	return name_cmp(n->name, ((const struct node *)arena_at(arg, y->is ? y->is : y->was))->name);
}

static int64_t node_records(const struct node *n)
{
	const struct rrset *set = node_rrsets(n);
	int64_t cnt = 0;

	for (unsigned i = 0; i < n->rrset_cnt; i++)
		cnt += set[i].rr_cnt + set[i].sig_cnt;
	return cnt;
}

/* Put what was touched into canonical order, each name once.  Of what is noted of a name at
 * most one note tells of a node before, and at most one of a node now. */
static void order_touched(struct change *c)
{
	const uint8_t *base = c->t->db->base;
	struct touched *t = c->touched;
	size_t cnt = 0, out = 0;

	for (size_t i = 0; i < c->touched_cnt; i++)
		if (t[i].was || t[i].is)
			t[cnt++] = t[i];
	qsort_r(t, cnt, sizeof(*t), by_name, (void *)base);
	for (size_t i = 0; i < cnt; i++) {
		if (out > 0 && by_name(&t[out - 1], &t[i], (void *)base) == 0) {
			t[out - 1].was |= t[i].was;
			t[out - 1].is |= t[i].is;
		} else {
			t[out++] = t[i];
		}
	}
	c->touched_cnt = out;
}

/* Say for each touched name what became of it between the old tree and the new, for
 * the commit and for the zone's counts. */
static int settle(struct change *c, struct snapshot *content)
{
	struct txn *t = c->t;
	int err = 0;

	if (!c->ordered)
		order_touched(c);
	for (size_t i = 0; !err && i < c->touched_cnt; i++) {
		ref was = c->touched[i].was, is = c->touched[i].is;

		if (was == is)
			continue; /* it came and went: both 0 */
		if (was)
			content->records -= (uint64_t)node_records(at(t->db, was));
		if (is) {
			struct node *n = at(t->db, is);

			atomic_store_explicit(&n->sibling, 0, memory_order_relaxed);
			content->records += (uint64_t)node_records(n);
		}
		content->names += (is != 0) - (was != 0);
		err = stage_denial(t, c->apex, was, is);
		if (!err && was && is)
			err = stage_retire(&t->stage, was);
		if (!err)
			err = !is ? list_add(&t->removed, was) :
				list_add(was ? &t->changed : &t->added, is);
	}
	return err;
}

/* The apex's SOA with its serial raised by one, in rs. */
static int raise_serial(struct change *c, const struct node *apex, struct records *rs)
{
	const struct rrset *soa = node_rrset(apex, TYPE_SOA);
	uint8_t *rdata = (uint8_t *)c->t->db->bake;
	uint32_t next;

	if (!soa)
		return -EINVAL;
	size_t len = block_rdata(apex, soa, 0, rdata, &next);

	wire_write32(rdata + len - 20, wire_read32(rdata + len - 20) + 1);
	return records_add(rs, apex->name, TYPE_SOA,
			   wire_read32(rrset_block(apex, soa) + node_owner_len(apex) + 4),
			   rdata, (uint16_t)len, 0, 0);
}

/* Raise the serial, unless the SOA is among the changes; those of the apex come first. */
static int change_serial(struct change *c, const struct rrset_change *ch, size_t cnt)
{
	struct records rs;
	int err;

	for (size_t i = 0; i < cnt && is_apex(c, ch[i].owner); i++)
		if (ch[i].type == TYPE_SOA)
			return 0;
	c->raised = true;
	records_init(&rs);
	err = raise_serial(c, staged(c, c->apex->wire), &rs);
	if (!err)
		err = change_name(c, &(struct rrset_change){ .owner = c->apex->wire, .type = TYPE_SOA,
				  .rr = rs.rr, .rr_cnt = rs.cnt }, 1, NULL, NULL);
	records_free(&rs);
	return err;
}

static int change_all(struct change *c, const struct rrset_change *ch, size_t cnt,
		      change_check check, void *arg)
{
	int err = change_serial(c, ch, cnt);

	for (size_t i = 0, n; !err && i < cnt; i += n) {
		if (!name_within(ch[i].owner, c->apex->wire))
			return -ERANGE;
		for (n = 1; i + n < cnt && name_cmp(ch[i + n].owner, ch[i].owner) == 0; n++)
			;
		err = change_name(c, ch + i, n, check, arg);
	}
	return err;
}

/* Make the denial trees from all names. */
static int rebuild_denial(struct change *c)
{
	struct ref_list all = { 0 };
	struct tree_iter it;
	int err = 0;

	for (ref r = tree_first(&it, c->t->db->base, c->tree); !err && r; r = tree_next(&it))
		err = list_add(&all, r);
	if (!err)
		err = stage_denial_all(c->t, c->apex, all.ref, all.cnt);
	ref_list_free(&all);
	return err;
}

static int change_open(struct change *c, struct zone_op *op, struct txn *t, const struct name *apex)
{
	struct db *db = t->db;

	*op = (struct zone_op){ .zone = zone_find(db, apex->wire, apex->len) };
	if (!op->zone)
		return -ENOENT;
	if (op_touches(t, apex))
		return -EALREADY;
	op->old = atomic_load_explicit(&((struct zone *)at(db, op->zone))->snapshot,
				       memory_order_relaxed);

	const struct snapshot *old = at(db, op->old);

	*c = (struct change){ .t = t, .apex = apex, .zone = op->zone, .tree = old->tree, .ordered = true };
	c->finger = (struct tree_finger){ .stage = &t->stage, .root = &c->tree };
	records_init(&c->rs);
	stage_chains(t, old);
	return 0;
}

/* The new snapshot, if all is well so far; frees what c holds. */
static int change_close(struct change *c, struct zone_op *op, int err)
{
	struct txn *t = c->t;
	const struct snapshot *old = at(t->db, op->old);
	struct snapshot content = *old;

	if (!err)
		err = settle(c, &content);
	const struct node *n = staged(c, c->apex->wire);

	if (!err && (t->rebuild || (n && stage_lost_chain(t, n))))
		err = rebuild_denial(c);
	if (!err) {
		const struct rrset *soa = n ? node_rrset(n, TYPE_SOA) : NULL;

		if (soa) { /* its last 20 octets are its numbers */
			content.serial = wire_read32(rrset_block(n, soa) + soa->len - 20);
			content.tree = c->tree;
			content.apex = ref_to(t->db, n);
			op->raised = c->raised;
			err = stage_served(t, old, &content);
			if (!err)
				err = stage_snapshot(t, op, &content);
		} else {
			err = -EINVAL;
		}
	}
	records_free(&c->rs);
	free(c->touched);
	return err;
}

int txn_change(struct txn *t, const struct name *apex, const struct rrset_change *ch, size_t cnt,
	       change_check check, void *arg)
{
	struct zone_op op;
	struct change c;
	int err = change_open(&c, &op, t, apex);

	return err ? err : change_close(&c, &op, change_all(&c, ch, cnt, check, arg));
}

#define REHASH_LOOK 8192 /* names looked at by one db_rehash, */
#define REHASH_STEP 256  /* and of them made anew */

/* Has a node that stands the hashes of the chain that is served? */
static bool hashes_current(const struct txn *t, const struct node *n)
{
	bool hashed = n->flags & NODE_HASHED;

	return hashed == (t->chain && !(n->flags & (NODE_BELOW | NODE_HIDDEN))) &&
	       (!hashed || node_hash_chain(n) == t->chain_id);
}

/* Make some of the names from `from` on anew for the chain that is served; `from` becomes the
 * one to go on with. */
static int rehash_some(struct change *c, struct name *from)
{
	const uint8_t *base = c->t->db->base;
	unsigned looked = 0, made = 0;
	struct tree_iter it;
	int err = 0;

	while (!err) { /* staging changes the tree: the next name is looked for anew */
		ref r = tree_seek(&it, base, c->tree, from->wire);
		const struct node *n = r ? at(c->t->db, r) : NULL;

		for (; n && hashes_current(c->t, n) && looked < REHASH_LOOK; looked++)
			n = (r = tree_next(&it)) ? at(c->t->db, r) : NULL;
		if (!n) {
			c->t->rehashed = true;
			return 0;
		}
		name_from_wire(from, n->name, NAME_MAX_LEN);
		if (looked == REHASH_LOOK || made++ == REHASH_STEP)
			return 0;
		err = stage_again(c, from->wire);
	}
	return err;
}

static int rehash_step(struct db *db, ref zone)
{
	struct txn *t = db_begin(db);
	struct zone_op op;
	struct change c;
	struct name apex;
	uint64_t version;
	int err;

	zone_apex(db, zone, &apex);
	if (db->rehash_zone != zone)
		db->rehash_from = apex;
	db->rehash_zone = zone;
	err = change_open(&c, &op, t, &apex);
	if (!err) {
		t->rehash = true;
		err = change_close(&c, &op, rehash_some(&c, &db->rehash_from));
	}
	if (err)
		txn_abort(t);
	else
		err = txn_commit(t, &version);
	if (err)
		db->rehash_zone = 0;
	return err;
}

bool db_rehash(struct db *db)
{
	while (db->stale.cnt) {
		ref zone = db->stale.ref[db->stale.cnt - 1];
		const struct zone *z = at(db, zone);

		/* It may be gone, or another may have its place in memory. */
		if (list_has(&db->zones, zone) &&
		    ((struct snapshot *)at(db, atomic_load_explicit(&z->snapshot, memory_order_relaxed)))->stale)
			return rehash_step(db, zone) == 0;
		db->stale.cnt--;
		db->rehash_zone = 0;
	}
	return false;
}

bool txn_soa(const struct txn *t, const struct name *apex, struct record *rr, uint8_t *rdata)
{
	for (size_t i = 0; i < t->op_cnt; i++) {
		const struct zone_op *op = &t->op[i];
		const struct zone *z = at(t->db, op->zone);
		uint32_t next;

		if (!op->raised || z->name_len != apex->len || memcmp(z->name, apex->wire, apex->len) != 0)
			continue;

		const struct snapshot *s = at(t->db, op->snapshot);
		const struct node *n = at(t->db, s->apex);
		const struct rrset *soa = node_rrset(n, TYPE_SOA);

		*rr = (struct record){ .owner = apex->wire, .type = TYPE_SOA, .rdata = rdata,
			.ttl = wire_read32(rrset_block(n, soa) + node_owner_len(n) + 4),
			.rdata_len = (uint16_t)block_rdata(n, soa, 0, rdata, &next) };
		return true;
	}
	return false;
}
