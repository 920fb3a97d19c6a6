/* SPDX-License-Identifier: GPL-3.0-or-later */
/* db_private.h - what the parts of the writer share: db.c (birth, readers' slots),
 * db_stage.c (transactions until their commit), db_commit.c, db_reclaim.c, and
 * chain.c (a name's nodes in the table).
 *
 * Writer's thread only.
 */
#ifndef POLLUX_DB_PRIVATE_H
#define POLLUX_DB_PRIVATE_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "db.h"
#include "db_protocol.h"
#include "nsec3.h"

#define BAKE_MAX (UINT64_C(32) << 20) /* octets; see node_bake.  Only touched pages cost memory. */

/* What one commit, or one step of reclamation, has made unreachable. */
struct batch {
	struct batch *next;
	uint64_t epoch;          /* passed when all readers have reached it */
	uint64_t version;        /* of the commit */
	struct ref_list zones;   /* that it changed */
	struct ref_list unlink;  /* nodes to take out of the table, then to free */
	struct ref_list teardown;/* zones whose whole contents go: pairs of zone, tree */
	struct ref_list free;    /* to be freed */
	struct ref_list blocks;  /* of zones, to be freed unless a pin holds them */
	struct ref_list next_free; /* unlinked after this period, to be freed after the next */
	bool walking;            /* a zone is being taken apart: */
	struct tree_iter walk;   /* where, and */
	ref node;                /* the node that is next */
};

/* One zone touched by the open transaction. */
struct zone_op {
	ref zone;
	ref old;                 /* its snapshot so far, or 0 */
	ref snapshot;            /* the one to publish */
	bool fresh;              /* the zone is new */
	bool drop;
	bool raised;             /* its serial, by txn_change itself */
};

struct txn {
	struct db *db;
	struct stage stage;
	struct ref_list added;   /* nodes of names new in their zone */
	struct ref_list changed; /* nodes that replace one */
	struct ref_list removed; /* nodes of names that go */
	struct zone_op *op;
	size_t op_cnt, op_cap;
	ref settings;            /* new block, or 0 */
	struct batch *batch;     /* when prepared: what the commit makes unreachable, */
	bool *kept;              /* and which of `added` had a table slot set aside */
	/* Of the zone that is being staged: */
	struct denial_chains chains;
	const struct nsec3_chain *chain; /* what its nodes are hashed for, or NULL, */
	uint32_t chain_id;
	bool rebuild;            /* its denial trees have to be made anew (stage_denial_all) */
	bool rehash;             /* nodes that were hashed for another chain do not stay */
	bool rehashed;           /* none is left of them */
};

/* A block that only pins keep. */
struct held {
	ref block;
	uint64_t version;        /* from which on it is in no zone */
};

struct db {
	struct arena *arena;
	uint8_t *base;
	int status_fd;
	struct status *status;
	pthread_mutex_t slots;   /* guards handing out of status slots, and pins: */
	struct zone_pin *pins;
	bool unpinned;           /* one has gone since `held` was looked at */
	struct held *held;
	size_t held_cnt, held_cap;
	struct table_writer table;
	struct ref_list zones;   /* all loaded zones, in no order */
	uint32_t depth_cnt[NAME_MAX_LABELS + 1]; /* loaded apexes with so many labels */
	struct batch *first, *last; /* queued, oldest first */
	uint64_t retired;        /* refs in them */
	struct txn txn;
	bool open;
	unsigned nsec3_max;      /* iterations */
	struct ref_list stale;   /* zones whose last snapshot may be stale; */
	ref rehash_zone;         /* that of them which db_rehash is at, or 0, */
	struct name rehash_from; /* and the name where it goes on */
	struct node *bake;       /* BAKE_MAX octets */
};

static inline void *at(const struct db *db, ref r)
{
	return (void *)arena_at(db->base, r);
}

static inline ref ref_to(const struct db *db, const void *p)
{
	return (ref)((size_t)((const uint8_t *)p - db->base) / ARENA_UNIT);
}

static inline uint64_t hash_of(const struct db *db, const uint8_t *name, size_t len)
{
	return name_hash(arena_head(db->arena)->secret, name, len);
}

static inline uint64_t version_of(const struct db *db)
{
	return atomic_load_explicit(&arena_head(db->arena)->version, memory_order_relaxed);
}

static inline int list_add(struct ref_list *l, ref r)
{
	if (ref_list_reserve(l, 1))
		return -ENOMEM;
	l->ref[l->cnt++] = r;
	return 0;
}

static inline bool list_has(const struct ref_list *l, ref r)
{
	for (size_t i = 0; i < l->cnt; i++)
		if (l->ref[i] == r)
			return true;
	return false;
}

static inline void zone_apex(const struct db *db, ref zone, struct name *apex)
{
	name_from_wire(apex, ((struct zone *)at(db, zone))->name, NAME_MAX_LEN);
}

/* db_reclaim.c: free a batch that has nothing left. */
void batch_free(struct batch *b);

/* db_stage.c */

/* txn_end - free a transaction's private memory. */
void txn_end(struct txn *t);

/* zone_find - the loaded zone with this apex, or 0. */
ref zone_find(const struct db *db, const uint8_t *apex, size_t len);

/* op_touches - has this transaction changed the zone already? */
bool op_touches(const struct txn *t, const struct name *apex);

/* What a child's flags depend on. */
struct node_class {
	uint16_t flags;
	uint8_t labels, cover_labels;
};

/* classify - set src's flags from its records and its parent's; all but
 * NODE_WILDCARD_PARENT, which depends on its children. */
void classify(struct node_source *src, bool apex, const struct node_class *parent);

/* stage_node - make the node of one name; *out is the standing one if that says the
 * same.  The caller retires what it replaces. */
int stage_node(struct txn *t, ref zone, const struct name *apex, struct node_source *src,
	       ref standing, ref *out);

/* stage_snapshot - the zone's new snapshot with this content, and op listed. */
int stage_snapshot(struct txn *t, struct zone_op *op, const struct snapshot *content);

/* db_denial.c */

/* stage_chains - a zone is staged next; `old` is its snapshot so far, or NULL.  Its nodes are hashed
 * for the chain that is served. */
void stage_chains(struct txn *t, const struct snapshot *old);

/* stage_chain - they are hashed for this chain (NULL: none), which will be served. */
int stage_chain(struct txn *t, const struct nsec3_chain *c);

/* stage_hashes - before a node is baked: has it hashes, and which; those of `standing`, unless
 * that is NULL.  hashes has room for NODE_HASHES.  False if they are not what a new node
 * should have. */
bool stage_hashes(const struct txn *t, struct node_source *src, const struct node *standing,
		  uint8_t *hashes);

/* stage_denial - one name's node has changed (0: there was, or is, none).
 * stage_denial_all - the same made anew from all nodes of the zone in order. */
int stage_denial(struct txn *t, const struct name *apex, ref was, ref is);
int stage_denial_all(struct txn *t, const struct name *apex, const ref *node, size_t cnt);

/* stage_lost_chain - is a chain that an NSEC3PARAM of the apex lists among those that found no place?
 * Then the trees are to be made anew: what is listed comes first. */
bool stage_lost_chain(const struct txn *t, const struct node *apex);

/* stage_served - choose what is served, as nsec3_choose does of records; content, whose apex is
 * there, gets all that is about denial but what stage_apex_denial adds when it is complete. */
int stage_served(struct txn *t, const struct snapshot *old, struct snapshot *content);
void stage_apex_denial(const struct txn *t, struct snapshot *s);

/* retire_denial - retire what the last snapshot of a zone has of denial. */
int retire_denial(struct stage *s, const struct snapshot *last);

/* chain.c */

/* link_node - link node r in the place of its zone's older node, else at the head of
 * its name's chain.  Cannot fail: a slot is reserved if the name is new. */
void link_node(struct db *db, ref r, uint64_t hash);

/* unlink_node - take node r out of its chain, if it still is there. */
void unlink_node(struct db *db, ref r);

/* path_add_all - one more apex stands below all names above it: path nodes for them,
 * or none and -ENOSPC.  They are linked at once: to readers they say nothing but that
 * the search may go on.  Nodes that came and went meanwhile go to `unlink`. */
int path_add_all(struct db *db, const struct name *apex, struct ref_list *unlink);

/* path_drop - the opposite for the names of fewer than `labels` labels above an apex;
 * nodes that serve none any more go to `unlink`, which has room for them. */
void path_drop(struct db *db, const struct name *apex, unsigned labels, struct ref_list *unlink);

/* pin_free - the blocks of a batch, whose readers have passed: free those that no pin holds,
 * at most *room of them, and keep the others in db->held.  0 or -ENOMEM. */
int pin_free(struct db *db, struct batch *b, size_t *room);

/* pin_free_held - free of db->held what no pin holds any more, if one has gone. */
void pin_free_held(struct db *db);

/* db_commit.c: give back what txn_prepare has set aside. */
void txn_unprepare(struct txn *t);

/* db_reclaim.c: queue what a commit has made unreachable, under a new epoch. */
void queue_batch(struct db *db, struct batch *b);

#endif
