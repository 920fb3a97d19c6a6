/* SPDX-License-Identifier: GPL-3.0-or-later */
/* db_reclaim.c - give back what no reader can reach any more. */
#include "db_private.h"
#include "replay.h"

#define RECLAIM_STEP 20000 /* refs freed or unlinked by one db_reclaim */

void batch_free(struct batch *b)
{
	ref_list_free(&b->unlink);
	ref_list_free(&b->teardown);
	ref_list_free(&b->zones);
	ref_list_free(&b->free);
	ref_list_free(&b->blocks);
	ref_list_free(&b->next_free);
	free(b);
}

void queue_batch(struct db *db, struct batch *b)
{
	struct arena_head *h = arena_head(db->arena);

	b->epoch = atomic_load_explicit(&h->epoch, memory_order_relaxed) + 1;
	atomic_store_explicit(&h->epoch, b->epoch, memory_order_seq_cst); /* E, O */
	db->retired += b->unlink.cnt + b->free.cnt + b->blocks.cnt;
	if (db->last)
		db->last->next = b;
	else
		db->first = b;
	db->last = b;
}

static void take_list(struct ref_list *to, struct ref_list *from)
{
	*to = *from;
	*from = (struct ref_list){ 0 };
}

/* The epoch that all readers have reached.  Never more than the newest: a reader that comes
 * online after this look still can reach what is unlinked after it. */
static uint64_t slowest_reader(const struct db *db)
{
	uint64_t least = atomic_load_explicit(&arena_head(db->arena)->epoch, memory_order_relaxed);

	for (unsigned i = 0; i < STATUS_SLOTS; i++) {
		uint64_t e = atomic_load_explicit(&db->status->slot[i].epoch, /* Q, O */
						  memory_order_seq_cst);
		if (e < least)
			least = e;
	}
	return least;
}

/* Take up to `room` queued nodes out of the table; they are freed a period later. */
static int unlink_some(struct db *db, struct batch *b, size_t *room)
{
	if (ref_list_reserve(&b->next_free, b->unlink.cnt))
		return -ENOMEM;
	for (; b->unlink.cnt && *room; --*room) {
		ref r = b->unlink.ref[--b->unlink.cnt];
		struct node *n = at(db, r);

		db->retired--;
		if (n->flags & NODE_PATH) {
			n->rrset_cnt = 0;
			if (n->size)
				continue; /* in use again */
		}
		replay_point("reclaim: unlink");
		unlink_node(db, r);
		b->next_free.ref[b->next_free.cnt++] = r;
	}
	return 0;
}

/* Take a removed zone apart. */
static int teardown_some(struct db *db, struct batch *b, size_t *room)
{
	ref zone = b->teardown.ref[b->teardown.cnt - 2], tree = b->teardown.ref[b->teardown.cnt - 1];
	struct zone *z = at(db, zone);
	struct name apex;

	if (!b->walking) {
		b->node = tree_first(&b->walk, db->base, tree);
		b->walking = true;
	}
	for (; b->node && *room; --*room) {
		if (list_add(&b->next_free, b->node))
			return -ENOMEM;
		replay_point("reclaim: unlink");
		unlink_node(db, b->node);
		b->node = tree_next(&b->walk);
	}
	if (b->node)
		return 0;

	/* The tree itself, the record and its last snapshot. */
	struct stage s = { .arena = db->arena, .base = db->base, .retired = b->next_free };
	size_t before = s.retired.cnt;
	int err = ref_list_reserve(&b->unlink, z->labels);

	if (!err)
		err = tree_retire(&s, tree);
	const struct snapshot *last = at(db, atomic_load_explicit(&z->snapshot, memory_order_relaxed));

	if (!err)
		err = retire_denial(&s, last);
	if (!err)
		err = stage_retire(&s, atomic_load_explicit(&z->snapshot, memory_order_relaxed));
	if (!err)
		err = stage_retire(&s, zone);
	b->next_free = s.retired;
	if (err) {
		b->next_free.cnt = before; /* again, whole, when there is memory */
		return err;
	}
	zone_apex(db, zone, &apex);
	if (--db->depth_cnt[apex.labels] == 0) {
		_Atomic uint64_t *d = &arena_head(db->arena)->depths[apex.labels / 64];

		atomic_store_explicit(d, atomic_load_explicit(d, memory_order_relaxed) &
				      ~(UINT64_C(1) << apex.labels % 64), memory_order_relaxed);
	}
	size_t queued = b->unlink.cnt;

	path_drop(db, &apex, apex.labels, &b->unlink);
	db->retired += b->unlink.cnt - queued;
	b->teardown.cnt -= 2;
	b->walking = false;
	return 0;
}

bool db_reclaim(struct db *db)
{
	uint64_t passed = slowest_reader(db);
	size_t room = RECLAIM_STEP;

	pin_free_held(db);
	while (db->first && db->first->epoch <= passed && room) {
		struct batch *b = db->first;

		if (b->unlink.cnt) {
			if (unlink_some(db, b, &room))
				return false;
		} else if (b->teardown.cnt) {
			if (teardown_some(db, b, &room))
				return false;
		} else if (b->free.cnt) {
			for (; b->free.cnt && room; room--) {
				replay_point("reclaim: free");
				arena_free(db->arena, b->free.ref[--b->free.cnt]);
				db->retired--;
			}
		} else if (b->blocks.cnt) {
			if (pin_free(db, b, &room))
				return false;
		} else if (b->next_free.cnt) {
			/* Unlinked just now: a second period begins. */
			db->first = b->next;
			if (!db->first)
				db->last = NULL;
			b->next = NULL;
			ref_list_free(&b->blocks);
			take_list(&b->blocks, &b->next_free);
			queue_batch(db, b);
		} else {
			db->first = b->next;
			if (!db->first)
				db->last = NULL;
			batch_free(b);
		}
	}
	return db->first && db->first->epoch <= slowest_reader(db);
}
