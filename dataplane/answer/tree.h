/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tree.h - a copy-on-write B+tree in the arena, from canonical owner names to
 * nodes: the truth about one zone at one version.
 *
 * Published tree nodes never change.  A change copies the path from the root down
 * (tree nodes made by the same transaction are changed in place) and yields a new root; the
 * rest is shared.  The root 0 is the empty tree.  The leaves hold references to
 * struct node (node.h), in canonical order (RFC 4034 section 6.1).
 *
 * A keyed tree also keeps a 64-bit key beside each reference, in the order of the names (equal
 * keys are told apart by name), so that a search touches few nodes but those it finds.
 * denial.h has such trees, whose owners alone it holds.
 *
 * Readers need nothing but the root and that its version is not reclaimed.
 */
#ifndef POLLUX_TREE_H
#define POLLUX_TREE_H

#include <stdbool.h>

#include "arena.h"
#include "node.h"
#include "stage.h"

#define TREE_DEPTH 12 /* levels: far more than 2^32 nodes can fill */

/* tree_find - the node of the folded wire name, or 0. */
ref tree_find(const uint8_t *base, ref root, const uint8_t *name);

/* A position in a tree of one version.  Plain data of the caller's. */
struct tree_iter {
	const uint8_t *base;
	unsigned depth;              /* levels in use; 0: at the end */
	struct { ref at; unsigned index; } level[TREE_DEPTH];
};

/* tree_first, tree_seek - the first node, or the first at or after `name`, in
 * canonical order; 0 if there is none.  tree_next - the one after. */
ref tree_first(struct tree_iter *it, const uint8_t *base, ref root);
ref tree_seek(struct tree_iter *it, const uint8_t *base, ref root, const uint8_t *name);
ref tree_next(struct tree_iter *it);

/* Compares a node with what is searched: <0 when it is before it, 0, >0. */
typedef int (*tree_cmp)(const struct node *n, const void *what);

/* tree_floor - in a keyed tree, the last node at or before `what`, whose key is given; 0 if
 * all are after it.  *equal: is it `what` itself?  cmp is called for equal keys only. */
ref tree_floor(const uint8_t *base, ref root, uint64_t key, tree_cmp cmp, const void *what,
	       bool *equal);

/* tree_floor_leaf, tree_floor_in - the same in two steps, so that the leaf, which most often is not in
 * the cache, can be fetched between them: the leaf in which tree_floor would look, or NULL if all are
 * after `what`; and what it would find there. */
struct tree_node;
const struct tree_node *tree_floor_leaf(const uint8_t *base, ref root, uint64_t key, tree_cmp cmp,
					const void *what);
ref tree_floor_in(const uint8_t *base, const struct tree_node *leaf, uint64_t key, tree_cmp cmp,
		  const void *what, bool *equal);
#define TREE_LEAF_SIZE 512 /* octets of a keyed tree's leaf */

/* tree_around - of a keyed tree, the last node before a place and the first behind it, or 0;
 * the node that stands at it, of this key and name, counts as neither. */
void tree_around(const uint8_t *base, ref root, uint64_t key, const uint8_t *name, ref *before,
		 ref *behind);

/* tree_last - the last node, or 0. */
ref tree_last(const uint8_t *base, ref root);

/* tree_put - make *root hold `node` under its name, instead of what was there.
 * tree_remove - remove the name if it is there.
 * tree_build - a new tree of cnt nodes in canonical order.
 * tree_retire - retire all tree nodes below root (not the zone's nodes).
 * 0, -ENOSPC or -ENOMEM; after an error the transaction must be aborted. */
int tree_put(struct stage *s, ref *root, ref node);
int tree_remove(struct stage *s, ref *root, const uint8_t *name);
int tree_build(struct stage *s, ref *root, const ref *node, size_t cnt);
int tree_retire(struct stage *s, ref root);

/* A finger: the way to where a tree that is being changed was looked at last.  Names near that,
 * above all those of a row in canonical order, are found and changed without a descent from
 * the root each.  Not for keyed trees.  Plain data of the caller's; between two of its calls nothing
 * else changes the tree, unless tree_finger_lift is called. */
struct tree_finger {
	struct stage *stage;
	ref *root;
	unsigned depth;              /* levels in use, the leaf's included; 0: it points nowhere */
	struct {
		ref at;
		unsigned index;      /* the child that is next, or the entry in the leaf */
		const uint8_t *limit; /* least name behind all of this; NULL: there is none */
	} level[TREE_DEPTH];
};

/* tree_finger_find, tree_finger_put, tree_finger_remove - as tree_find, tree_put and tree_remove,
 * in the tree *f->root.  f->stage and f->root are the caller's to set, all else is 0 at first.
 * tree_finger_lift - something else has changed the tree. */
ref tree_finger_find(struct tree_finger *f, const uint8_t *name);
int tree_finger_put(struct tree_finger *f, ref node);
int tree_finger_remove(struct tree_finger *f, const uint8_t *name);

static inline void tree_finger_lift(struct tree_finger *f)
{
	f->depth = 0;
}

/* The same for keyed trees. */
int tree_put_keyed(struct stage *s, ref *root, uint64_t key, ref node);
int tree_remove_keyed(struct stage *s, ref *root, uint64_t key, const uint8_t *name);
int tree_build_keyed(struct stage *s, ref *root, const uint64_t *key, const ref *node, size_t cnt);

#endif
