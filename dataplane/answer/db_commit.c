/* SPDX-License-Identifier: GPL-3.0-or-later */
/* db_commit.c - the commit of a transaction; db_protocol.h has its order. */
#include "db_private.h"
#include "replay.h"

#define AHEAD 8 /* names whose buckets are prefetched in bulk work */

static void set_depth(_Atomic uint64_t depths[2], unsigned labels)
{
	uint64_t old = atomic_load_explicit(&depths[labels / 64], memory_order_relaxed);

	/* Before the commit that needs it, so V orders it. */
	atomic_store_explicit(&depths[labels / 64], old | UINT64_C(1) << labels % 64,
			      memory_order_relaxed);
}

/* Tell the zones above a new apex, and the new zone of the apexes below it, how
 * deep to look.  All apexes of the transaction are linked by now. */
static void note_depths(struct db *db, ref zone)
{
	struct zone *z = at(db, zone);
	bool above_others = false;
	struct name apex;

	zone_apex(db, zone, &apex);
	set_depth(arena_head(db->arena)->depths, z->labels);
	for (unsigned l = 0; l <= apex.labels; l++) {
		const uint8_t *name = apex.wire + name_suffix(&apex, l);
		size_t len = apex.len - name_suffix(&apex, l);
		const struct node *n = table_find(db->base, db->table.table,
						  hash_of(db, name, len), name, len);

		for (; n; n = node_sibling(db->base, n)) {
			if (l < apex.labels && (n->flags & NODE_APEX))
				set_depth(((struct zone *)at(db, n->zone))->depths, z->labels);
			above_others |= l == apex.labels && (n->flags & NODE_PATH);
		}
	}
	if (!above_others)
		return;
	for (size_t i = 0; i < db->zones.cnt; i++) {
		const struct zone *other = at(db, db->zones.ref[i]);

		if (other->labels > z->labels && name_within(other->name, z->name))
			set_depth(z->depths, other->labels);
	}
}

static void prefetch_ahead(struct db *db, const struct ref_list *l, size_t i)
{
	if (i + 2 * AHEAD < l->cnt)
		__builtin_prefetch(at(db, l->ref[i + 2 * AHEAD]));
	if (i + AHEAD < l->cnt) {
		const struct node *n = at(db, l->ref[i + AHEAD]);

		table_prefetch_bucket(db->table.table, hash_of(db, n->name, n->name_len));
	}
}

/* Set table slots aside for all new names; *kept says for which. */
static int reserve_slots(struct txn *t, bool *kept, size_t *done)
{
	struct db *db = t->db;

	for (size_t i = 0; i < t->added.cnt; i++, *done = i) {
		const struct node *n = at(db, t->added.ref[i]);
		uint64_t hash = hash_of(db, n->name, n->name_len);

		prefetch_ahead(db, &t->added, i);
		kept[i] = !table_slot(&db->table, hash, n->name, n->name_len);
		if (kept[i] && table_reserve(&db->table, hash))
			return -ENOSPC;
	}
	return 0;
}

/* Take back the first `paths` operations' path nodes and the first `reserved` slots. */
static void take_back(struct txn *t, const bool *kept, struct batch *b, size_t paths,
		      size_t reserved)
{
	struct db *db = t->db;
	struct name apex;

	for (size_t i = 0; i < reserved; i++) {
		const struct node *n = at(db, t->added.ref[i]);

		if (kept[i])
			table_unreserve(&db->table, hash_of(db, n->name, n->name_len));
	}
	while (paths-- > 0) {
		zone_apex(db, t->op[paths].zone, &apex);
		if (t->op[paths].fresh)
			path_drop(db, &apex, apex.labels, &b->unlink);
	}
}

/* Step 1 of a commit: all that can fail.  What it makes unreachable goes to b, also
 * when it fails. */
static int prepare(struct txn *t, bool *kept, struct batch *b)
{
	struct db *db = t->db;
	size_t paths = 0, reserved = 0, labels = 0, fresh = 0, drops = 0;
	struct name apex;
	int err;

	for (size_t i = 0; i < t->op_cnt; i++) {
		fresh += t->op[i].fresh;
		drops += t->op[i].drop;
		labels += ((struct zone *)at(db, t->op[i].zone))->labels;
	}
	/* Room in private lists for what must not fail later. */
	if (ref_list_reserve(&db->zones, fresh) || ref_list_reserve(&db->stale, t->op_cnt) ||
	    ref_list_reserve(&b->teardown, 2 * drops) ||
	    ref_list_reserve(&b->unlink, labels + t->removed.cnt) ||
	    ref_list_reserve(&b->zones, t->op_cnt))
		return -ENOMEM;
	for (size_t i = 0; i < t->op_cnt; i++)
		b->zones.ref[b->zones.cnt++] = t->op[i].zone;
	b->version = t->stage.version;
	err = table_resize(&db->table, db->table.names + t->added.cnt + labels, &b->free);
	while (!err && paths < t->op_cnt) {
		zone_apex(db, t->op[paths].zone, &apex);
		if (t->op[paths].fresh)
			err = path_add_all(db, &apex, &b->unlink);
		if (!err)
			paths++;
	}
	if (!err)
		err = reserve_slots(t, kept, &reserved);
	if (err)
		take_back(t, kept, b, paths, reserved);
	return err;
}

static void release_batch(struct db *db, struct batch *b)
{
	if (b && b->unlink.cnt + b->free.cnt + b->blocks.cnt + b->teardown.cnt)
		queue_batch(db, b);
	else if (b)
		batch_free(b);
}

int txn_prepare(struct txn *t)
{
	struct batch *b = calloc(1, sizeof(*b));
	bool *kept = malloc(t->added.cnt + 1);
	int err = b && kept ? prepare(t, kept, b) : -ENOMEM;

	if (err) {
		release_batch(t->db, b);
		free(kept);
		return err;
	}
	t->batch = b;
	t->kept = kept;
	return 0;
}

void txn_unprepare(struct txn *t)
{
	if (!t->batch)
		return;
	take_back(t, t->kept, t->batch, t->op_cnt, t->added.cnt);
	release_batch(t->db, t->batch);
	free(t->kept);
	t->batch = NULL;
	t->kept = NULL;
}

/* Step 2: link the new nodes, mark the removed. */
static void link_all(struct txn *t, const bool *kept, struct batch *b)
{
	struct db *db = t->db;

	for (size_t i = 0; i < t->changed.cnt; i++) {
		const struct node *n = at(db, t->changed.ref[i]);

		prefetch_ahead(db, &t->changed, i);
		replay_point("commit: link");
		link_node(db, t->changed.ref[i], hash_of(db, n->name, n->name_len));
	}
	for (size_t i = 0; i < t->added.cnt; i++) {
		const struct node *n = at(db, t->added.ref[i]);
		uint64_t hash = hash_of(db, n->name, n->name_len), before = db->table.reserved;

		prefetch_ahead(db, &t->added, i);
		replay_point("commit: link");
		link_node(db, t->added.ref[i], hash);
		/* Two zones of this transaction may bring the same name: it needs one slot. */
		if (kept[i] && db->table.reserved == before)
			table_unreserve(&db->table, hash);
	}
	for (size_t i = 0; i < t->removed.cnt; i++) {
		struct node *n = at(db, t->removed.ref[i]);

		replay_point("commit: mark");
		atomic_store_explicit(&n->deleted, t->stage.version, memory_order_relaxed); /* D */
		b->unlink.ref[b->unlink.cnt++] = t->removed.ref[i];
	}
}

/* Steps 2 and 3 for the zones themselves. */
static void publish_zones(struct txn *t, struct batch *b)
{
	struct db *db = t->db;

	for (size_t i = 0; i < t->op_cnt; i++) {
		const struct zone_op *op = &t->op[i];

		if (op->fresh) {
			db->zones.ref[db->zones.cnt++] = op->zone;
			db->depth_cnt[((struct zone *)at(db, op->zone))->labels]++;
		}
	}
	for (size_t i = 0; i < t->op_cnt; i++)
		if (t->op[i].fresh)
			note_depths(db, t->op[i].zone);
	for (size_t i = 0; i < t->op_cnt; i++) {
		const struct zone_op *op = &t->op[i];
		struct zone *z = at(db, op->zone);

		if (op->drop) {
			size_t k = 0;

			while (db->zones.ref[k] != op->zone)
				k++;
			db->zones.ref[k] = db->zones.ref[--db->zones.cnt];
			b->teardown.ref[b->teardown.cnt++] = op->zone;
			b->teardown.ref[b->teardown.cnt++] = ((struct snapshot *)at(db, op->old))->tree;
		}
		if (((struct snapshot *)at(db, op->snapshot))->stale && !list_has(&db->stale, op->zone))
			db->stale.ref[db->stale.cnt++] = op->zone;
		replay_point("commit: snapshot");
		atomic_store_explicit(&z->snapshot, op->snapshot, memory_order_release); /* S */
	}
}

int txn_commit(struct txn *t, uint64_t *version)
{
	struct db *db = t->db;
	struct arena_head *h = arena_head(db->arena);
	int err = t->batch ? 0 : txn_prepare(t);

	if (err) {
		txn_abort(t);
		return err;
	}

	struct batch *b = t->batch;

	link_all(t, t->kept, b);
	publish_zones(t, b);
	if (t->settings)
		atomic_store_explicit(&h->settings, t->settings, memory_order_release);
	*version = t->stage.version;
	replay_point("commit: before");
	atomic_store_explicit(&h->version, *version, memory_order_release); /* V */
	replay_point("commit: after");

	/* What was retired was all of zones, but for the settings, which need not go at once. */
	b->blocks = t->stage.retired;
	t->stage.retired = (struct ref_list){ 0 };
	release_batch(db, b);
	free(t->kept);
	txn_end(t);
	return 0;
}
