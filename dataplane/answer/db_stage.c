/* SPDX-License-Identifier: GPL-3.0-or-later */
/* db_stage.c - transactions until their commit. */
#include <assert.h>

#include "db_private.h"
#include "pages.h"
#include "rrtype.h"
#include "wire.h"

struct txn *db_begin(struct db *db)
{
	assert(!db->open);
	db->open = true;
	db->txn = (struct txn){
		.db = db,
		.stage = { .arena = db->arena, .base = db->base, .version = version_of(db) + 1 },
	};
	return &db->txn;
}

void txn_end(struct txn *t)
{
	ref_list_free(&t->stage.fresh);
	ref_list_free(&t->stage.retired);
	ref_list_free(&t->added);
	ref_list_free(&t->changed);
	ref_list_free(&t->removed);
	free(t->op);
	t->db->open = false;
}

void txn_abort(struct txn *t)
{
	txn_unprepare(t);
	for (size_t i = 0; i < t->stage.fresh.cnt; i++)
		arena_free(t->db->arena, t->stage.fresh.ref[i]);
	txn_end(t);
}

ref zone_find(const struct db *db, const uint8_t *apex, size_t len)
{
	const struct node *n = table_find(db->base, db->table.table, hash_of(db, apex, len), apex, len);

	for (; n; n = node_sibling(db->base, n))
		if ((n->flags & NODE_APEX) && zone_snapshot(db->base, n->zone, version_of(db)))
			return n->zone;
	return 0;
}

static int op_add(struct txn *t, const struct zone_op *op)
{
	if (t->op_cnt == t->op_cap) {
		size_t cap = t->op_cap * 2 + 8;
		struct zone_op *grown = realloc(t->op, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		t->op = grown;
		t->op_cap = cap;
	}
	t->op[t->op_cnt++] = *op;
	return 0;
}

bool op_touches(const struct txn *t, const struct name *apex)
{
	for (size_t i = 0; i < t->op_cnt; i++) {
		const struct zone *z = at(t->db, t->op[i].zone);

		if (z->name_len == apex->len && memcmp(z->name, apex->wire, apex->len) == 0)
			return true;
	}
	return false;
}

/* A name of the zone that is being put, before its node is made.  There are as many as names, so
 * it is small. */
struct pending {
	const uint8_t *owner;
	const struct record *rr;
	uint32_t rr_cnt;         /* 0: an empty non-terminal */
	uint16_t flags;
	uint8_t cover_labels, labels;
};

struct pending_list {
	struct pending *p;
	size_t cnt, cap;
};

static struct pending *pending_add(struct pending_list *l)
{
	if (l->cnt == l->cap) {
		size_t cap = l->cap * 2 + 64;
		struct pending *grown = pages_resize(l->p, l->cap * sizeof(*grown), cap * sizeof(*grown));

		if (!grown)
			return NULL;
		l->p = grown;
		l->cap = cap;
	}
	return &l->p[l->cnt++];
}

static bool has_type(const struct record *rr, size_t cnt, uint16_t type)
{
	for (size_t i = 0; i < cnt; i++)
		if (rr[i].type == type)
			return true;
	return false;
}

/* Is there nothing but NSEC3 records and their signatures? */
static bool only_proof(const struct record *rr, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		if (rr[i].type != TYPE_NSEC3 &&
		    !(rr[i].type == TYPE_RRSIG && wire_read16(rr[i].rdata) == TYPE_NSEC3))
			return false;
	return true;
}

/* Does the NSEC among these records, if there is one, cover the child "*" of its owner?  It does
 * unless the next name stands below the owner and not behind that. */
static bool denies_wildcard(const struct node_source *src)
{
	const struct record *rr = src->rr, *end = rr ? rr + src->rr_cnt : rr;
	unsigned labels = name_wire_labels(src->owner);
	struct name next;

	while (rr < end && rr->type != TYPE_NSEC)
		rr++;
	if (rr == end || !name_from_wire(&next, rr->rdata, rr->rdata_len))
		return false;
	if (next.labels <= labels || !name_within(next.wire, src->owner))
		return true;
	const uint8_t *child = next.wire + name_suffix(&next, labels + 1);

	return child[1] > '*' || (child[1] == '*' && child[0] > 1);
}

void classify(struct node_source *src, bool apex, const struct node_class *parent)
{
	src->flags = apex ? NODE_APEX : 0;
	src->cover_labels = 0;
	if (parent && (parent->flags & NODE_BELOW)) {
		src->flags |= NODE_BELOW;
		src->cover_labels = parent->cover_labels;
	} else if (parent && (parent->flags & (NODE_CUT | NODE_DNAME))) {
		src->flags |= NODE_BELOW;
		src->cover_labels = parent->labels;
	} else {
		if (!apex && has_type(src->rr, src->rr_cnt, TYPE_NS))
			src->flags |= NODE_CUT;
		if (has_type(src->rr, src->rr_cnt, TYPE_DNAME))
			src->flags |= NODE_DNAME;
		if (has_type(src->rr, src->rr_cnt, TYPE_CNAME))
			src->flags |= NODE_CNAME;
		if (denies_wildcard(src))
			src->flags |= NODE_DENIES_WILDCARD;
	}
	/* NSEC3 records stand right below the apex (RFC 5155 section 3), whether it has a DNAME
	 * or not: they are proofs, and no data that one could hide. */
	if (parent && (parent->flags & NODE_APEX) && has_type(src->rr, src->rr_cnt, TYPE_NSEC3))
		src->flags |= NODE_PROOF | (only_proof(src->rr, src->rr_cnt) ? NODE_HIDDEN : 0);
}

/* List all names of the zone in canonical order, empty non-terminals included
 * (RFC 4592 section 2.2.2), and say what each is. */
static int pending_fill(struct pending_list *l, const struct name *apex,
			const struct records *rs)
{
	size_t line[NAME_MAX_LABELS + 1]; /* the last name's ancestors, by labels: indices */
	struct name last = { 0 };

	for (size_t i = 0; i < rs->cnt;) {
		const struct record *rr = &rs->rr[i];
		size_t n = 1;
		struct name o;

		while (i + n < rs->cnt && n < UINT32_MAX &&
		       (rr[n].owner == rr->owner || name_cmp(rr[n].owner, rr->owner) == 0))
			n++;
		i += n;
		name_from_wire(&o, rr->owner, NAME_MAX_LEN);
		if (o.labels < apex->labels)
			return -EINVAL;

		/* How many labels, counted from the root, it shares with the last name. */
		unsigned common = apex->labels;

		if (l->cnt) {
			while (common < o.labels && common < last.labels) {
				const uint8_t *a = o.wire + name_suffix(&o, common + 1);
				const uint8_t *b = last.wire + name_suffix(&last, common + 1);

				if (memcmp(a, b, 1u + *a))
					break;
				common++;
			}
		} else if (o.labels != apex->labels) {
			return -EINVAL; /* the apex comes first */
		}

		for (unsigned d = l->cnt ? common + 1 : apex->labels; d <= o.labels; d++) {
			struct pending *p = pending_add(l);

			if (!p)
				return -ENOMEM;
			struct pending *parent = d > apex->labels ? &l->p[line[d - 1]] : NULL;
			struct node_source src = { .owner = rr->owner + name_suffix(&o, d) };

			if (d == o.labels) {
				src.rr = rr;
				src.rr_cnt = n;
			}
			classify(&src, d == apex->labels, !parent ? NULL : &(struct node_class){
				 .flags = parent->flags, .labels = parent->labels,
				 .cover_labels = parent->cover_labels });
			*p = (struct pending){ .owner = src.owner, .rr = src.rr, .rr_cnt = (uint32_t)src.rr_cnt,
					       .flags = src.flags, .cover_labels = src.cover_labels,
					       .labels = (uint8_t)d };
			if (parent && name_is_wildcard(p->owner))
				parent->flags |= NODE_WILDCARD_PARENT;
			line[d] = (size_t)(p - l->p);
		}
		last = o;
	}
	return l->cnt && has_type(l->p[0].rr, l->p[0].rr_cnt, TYPE_SOA) ? 0 : -EINVAL;
}

int stage_node(struct txn *t, ref zone, const struct name *apex, struct node_source *src,
	       ref standing, ref *out)
{
	struct db *db = t->db;
	uint8_t hashes[NODE_HASHES];

	src->apex = apex->wire;
	src->secret = arena_head(db->arena)->secret;
	bool current = stage_hashes(t, src, standing && !t->rehash ? at(db, standing) : NULL, hashes);
	size_t size = node_bake(db->bake, BAKE_MAX, src);

	if (size && standing && node_same(at(db, standing), db->bake)) {
		*out = standing;
		return 0;
	}
	if (size && !current) {
		stage_hashes(t, src, NULL, hashes);
		size = node_bake(db->bake, BAKE_MAX, src);
	}
	if (!size)
		return -E2BIG;
	int err = stage_alloc(&t->stage, size, out);

	if (err)
		return err;
	struct node *n = at(db, *out);

	memcpy((void *)n, db->bake, size);
	n->created = t->stage.version;
	atomic_store_explicit(&n->deleted, VERSION_NEVER, memory_order_relaxed);
	n->zone = zone;
	return 0;
}

/* Stage the node of one name of a zone that is put, and list it for the commit. */
static int put_node(struct txn *t, const struct zone_op *op, const struct name *apex,
		    const struct pending *p, ref standing, ref *out)
{
	struct node_source src = { .owner = p->owner, .rr = p->rr, .rr_cnt = p->rr_cnt, .flags = p->flags,
				   .cover_labels = p->cover_labels };
	int err = stage_node(t, op->zone, apex, &src, standing, out);

	if (err || *out == standing)
		return err;
	if (!standing)
		return list_add(&t->added, *out);
	err = stage_retire(&t->stage, standing);
	return err ? err : list_add(&t->changed, *out);
}

#define SHED_STEP 16384 /* names */

/* The names before p[i] are made. */
static void shed(struct pending_list *l, size_t i, struct records *rs)
{
	if (l->p[i].rr)
		records_shed(rs, (size_t)(l->p[i].rr - rs->rr));
	pages_drop(l->p, l->cap * sizeof(*l->p), i * sizeof(*l->p));
}

/* Go through the zone's new names and the standing tree side by side.  `taken` is NULL, or the records to
 * be freed meanwhile. */
static int stage_names(struct txn *t, const struct zone_op *op, const struct name *apex,
		       struct pending_list *l, struct records *taken, struct snapshot *content)
{
	struct db *db = t->db;
	const struct snapshot *old = op->old ? at(db, op->old) : NULL;
	struct tree_iter it;
	ref standing = old ? tree_first(&it, db->base, old->tree) : 0;
	size_t added = t->added.cnt, changed = t->changed.cnt, removed = t->removed.cnt;
	ref *all = malloc(l->cnt * sizeof(*all));
	ref *tree = &content->tree;
	int err = all ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < l->cnt; i++) {
		int c = 1;

		if (taken && i % SHED_STEP == 0)
			shed(l, i, taken);
		while (standing &&
		       (c = name_cmp(((struct node *)at(db, standing))->name, l->p[i].owner)) < 0) {
			err = list_add(&t->removed, standing);
			if (err)
				goto out;
			standing = tree_next(&it);
		}
		err = put_node(t, op, apex, &l->p[i], standing && c == 0 ? standing : 0, &all[i]);
		if (standing && c == 0)
			standing = tree_next(&it);
	}
	for (; !err && standing; standing = tree_next(&it))
		err = list_add(&t->removed, standing);
	if (taken)
		records_free(taken);
	if (err)
		goto out;
	content->apex = all[0];

	/* Few changes share the old tree; many are cheaper as a new one. */
	size_t changes = t->added.cnt - added + t->changed.cnt - changed + t->removed.cnt - removed;

	bool few = old && changes < l->cnt / 8;

	if (few) {
		*tree = old->tree;
		for (size_t i = removed; !err && i < t->removed.cnt; i++)
			err = tree_remove(&t->stage, tree,
					  ((struct node *)at(db, t->removed.ref[i]))->name);
		for (size_t i = changed; !err && i < t->changed.cnt; i++)
			err = tree_put(&t->stage, tree, t->changed.ref[i]);
		for (size_t i = added; !err && i < t->added.cnt; i++)
			err = tree_put(&t->stage, tree, t->added.ref[i]);
	} else {
		err = tree_build(&t->stage, tree, all, l->cnt);
		if (!err && old)
			err = tree_retire(&t->stage, old->tree);
	}
	if (err)
		goto out;
	for (size_t i = removed; few && !err && i < t->removed.cnt; i++)
		err = stage_denial(t, apex, t->removed.ref[i], 0);
	for (size_t i = changed; few && !err && i < t->changed.cnt; i++)
		err = stage_denial(t, apex, tree_find(db->base, old->tree,
						      ((struct node *)at(db, t->changed.ref[i]))->name),
				   t->changed.ref[i]);
	for (size_t i = added; few && !err && i < t->added.cnt; i++)
		err = stage_denial(t, apex, 0, t->added.ref[i]);
	if (!err && (!few || t->rebuild || stage_lost_chain(t, at(db, all[0]))))
		err = stage_denial_all(t, apex, all, l->cnt);
	if (!err)
		err = stage_served(t, old, content);
out:
	free(all);
	return err;
}

static uint32_t soa_serial(const struct records *rs)
{
	for (size_t i = 0; i < rs->cnt; i++)
		if (rs->rr[i].type == TYPE_SOA) /* the last 20 octets are its numbers */
			return wire_read32(rs->rr[i].rdata + rs->rr[i].rdata_len - 20);
	return 0;
}

int stage_snapshot(struct txn *t, struct zone_op *op, const struct snapshot *content)
{
	int err = stage_alloc(&t->stage, sizeof(*content), &op->snapshot);

	if (!err && op->old)
		err = stage_retire(&t->stage, op->old);
	if (err)
		return err;
	struct snapshot *s = at(t->db, op->snapshot);

	*s = *content;
	s->version = t->stage.version;
	s->prev = op->old;
	stage_apex_denial(t, s);
	return op_add(t, op);
}

static int zone_put(struct txn *t, const struct name *apex, const struct records *rs, struct records *taken)
{
	struct db *db = t->db;
	struct pending_list l = { 0 };
	struct zone_op op = { .zone = zone_find(db, apex->wire, apex->len) };
	struct snapshot content = { .serial = soa_serial(rs), .records = rs->cnt };
	struct nsec3_param param;
	int err;

	if (op_touches(t, apex))
		return -EALREADY;
	err = pending_fill(&l, apex, rs);
	if (err)
		goto out;
	if (op.zone) {
		op.old = atomic_load_explicit(&((struct zone *)at(db, op.zone))->snapshot,
					      memory_order_relaxed);
	} else {
		op.fresh = true;
		err = stage_alloc(&t->stage, sizeof(struct zone) + apex->len, &op.zone);
		if (err)
			goto out;
		struct zone *z = at(db, op.zone);

		memset((void *)z, 0, sizeof(*z));
		z->labels = apex->labels;
		z->name_len = apex->len;
		memcpy(z->name, apex->wire, apex->len);
	}
	content.names = l.cnt;
	stage_chains(t, op.old ? at(db, op.old) : NULL);
	err = stage_chain(t, nsec3_choose(&param, rs, db->nsec3_max) ? &param.chain : NULL);
	if (!err)
		err = stage_names(t, &op, apex, &l, taken, &content);
	if (!err)
		err = stage_snapshot(t, &op, &content);
out:
	pages_free(l.p, l.cap * sizeof(*l.p));
	return err;
}

int txn_zone_put(struct txn *t, const struct name *apex, const struct records *rs)
{
	return zone_put(t, apex, rs, NULL);
}

int txn_zone_take(struct txn *t, const struct name *apex, struct records *rs)
{
	int err = zone_put(t, apex, rs, rs);

	records_free(rs);
	return err;
}

int txn_zone_drop(struct txn *t, const struct name *apex)
{
	struct db *db = t->db;
	struct zone_op op = { .zone = zone_find(db, apex->wire, apex->len), .drop = true };

	if (op_touches(t, apex))
		return -EALREADY;
	if (!op.zone)
		return -ENOENT;
	op.old = atomic_load_explicit(&((struct zone *)at(db, op.zone))->snapshot,
				      memory_order_relaxed);

	/* What is to be taken apart with the zone. */
	const struct snapshot *old = at(db, op.old);

	return stage_snapshot(t, &op, &(struct snapshot){ .chains = old->chains });
}

int txn_settings(struct txn *t, const struct settings *s)
{
	ref old = atomic_load_explicit(&arena_head(t->db->arena)->settings, memory_order_relaxed);
	int err = stage_alloc(&t->stage, sizeof(*s), &t->settings);

	if (!err && old)
		err = stage_retire(&t->stage, old);
	if (!err)
		*(struct settings *)at(t->db, t->settings) = *s;
	return err;
}

