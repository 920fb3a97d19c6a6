/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tree.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "name.h"
#include "node.h"

/* All tree nodes are 256 octets, so that churn reuses their memory exactly. */
#define LEAF_MAX 60
#define INNER_MAX 30

struct tree_node {
	uint64_t version;     /* the transaction that may still change it */
	uint16_t cnt;
	uint16_t level;       /* 0: leaf */
	uint32_t pad;
	union {
		ref node[LEAF_MAX];
		struct {
			ref child[INNER_MAX];
			ref first[INNER_MAX]; /* the least node below child[i] */
		};
	};
};

static_assert(sizeof(struct tree_node) == 256, "tree nodes fill their size class");

static const struct tree_node *tn(const uint8_t *base, ref r)
{
	return arena_at(base, r);
}

static const uint8_t *node_name(const uint8_t *base, ref r)
{
	return ((const struct node *)arena_at(base, r))->name;
}

static unsigned capacity(const struct tree_node *t)
{
	return t->level ? INNER_MAX : LEAF_MAX;
}

/* The names a tree node is searched by. */
static const ref *keys(const struct tree_node *t)
{
	return t->level ? t->first : t->node;
}

/* Number of entries whose name is before `name`; *equal: is the next one it? */
static unsigned lower_bound(const uint8_t *base, const struct tree_node *t,
			    const uint8_t *name, bool *equal)
{
	unsigned lo = 0, hi = t->cnt;

	*equal = false;
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		int c = name_cmp(node_name(base, keys(t)[mid]), name);

		if (c < 0) {
			lo = mid + 1;
		} else {
			hi = mid;
			*equal |= c == 0;
		}
	}
	return lo;
}

/* The child of an inner node to descend into: the last that begins at or before
 * the name, else the first. */
static unsigned child_for(const uint8_t *base, const struct tree_node *t, const uint8_t *name)
{
	bool equal;
	unsigned i = lower_bound(base, t, name, &equal);

	return equal || i == 0 ? i : i - 1;
}

ref tree_find(const uint8_t *base, ref root, const uint8_t *name)
{
	bool equal;

	if (!root)
		return 0;
	const struct tree_node *t = tn(base, root);

	while (t->level)
		t = tn(base, t->child[child_for(base, t, name)]);
	unsigned i = lower_bound(base, t, name, &equal);

	return equal ? t->node[i] : 0;
}

/* Go down the left edge from the iterator's lowest level to a leaf. */
static ref descend(struct tree_iter *it)
{
	for (;;) {
		const struct tree_node *t = tn(it->base, it->level[it->depth - 1].at);
		unsigned i = it->level[it->depth - 1].index;

		if (t->level == 0)
			return t->node[i];
		it->level[it->depth].at = t->child[i];
		it->level[it->depth].index = 0;
		it->depth++;
	}
}

/* Leave exhausted levels behind; 0 at the end. */
static ref settle(struct tree_iter *it)
{
	while (it->depth) {
		const struct tree_node *t = tn(it->base, it->level[it->depth - 1].at);

		if (it->level[it->depth - 1].index < t->cnt)
			return descend(it);
		if (--it->depth)
			it->level[it->depth - 1].index++;
	}
	return 0;
}

ref tree_first(struct tree_iter *it, const uint8_t *base, ref root)
{
	it->base = base;
	it->depth = root ? 1 : 0;
	it->level[0].at = root;
	it->level[0].index = 0;
	return settle(it);
}

ref tree_seek(struct tree_iter *it, const uint8_t *base, ref root, const uint8_t *name)
{
	bool equal;

	it->base = base;
	it->depth = 0;
	while (root) {
		const struct tree_node *t = tn(base, root);

		it->level[it->depth].at = root;
		it->level[it->depth].index = t->level ? child_for(base, t, name)
						      : lower_bound(base, t, name, &equal);
		root = t->level ? t->child[it->level[it->depth].index] : 0;
		it->depth++;
	}
	return settle(it);
}

ref tree_next(struct tree_iter *it)
{
	if (!it->depth)
		return 0;
	it->level[it->depth - 1].index++;
	return settle(it);
}

/* ---- writer ---- */

static int new_tree_node(struct stage *s, unsigned level, ref *r)
{
	int err = stage_alloc(s, sizeof(struct tree_node), r);

	if (err)
		return err;
	struct tree_node *t = (struct tree_node *)arena_at(s->base, *r);

	t->version = s->version;
	t->cnt = 0;
	t->level = (uint16_t)level;
	t->pad = 0;
	return 0;
}

/* own - make *r a tree node of this transaction, copying it if it is older. */
static int own(struct stage *s, ref *r, struct tree_node **out)
{
	const struct tree_node *old = tn(s->base, *r);

	if (old->version != s->version) {
		ref copy;
		int err = stage_alloc(s, sizeof(*old), &copy);

		if (!err)
			err = stage_retire(s, *r);
		if (err)
			return err;
		memcpy((void *)arena_at(s->base, copy), old, sizeof(*old));
		*r = copy;
		((struct tree_node *)arena_at(s->base, copy))->version = s->version;
	}
	*out = (struct tree_node *)arena_at(s->base, *r);
	return 0;
}

static void insert_at(struct tree_node *t, unsigned i, ref item, ref first)
{
	unsigned after = t->cnt - i;

	if (t->level) {
		memmove(&t->child[i + 1], &t->child[i], after * sizeof(ref));
		memmove(&t->first[i + 1], &t->first[i], after * sizeof(ref));
		t->child[i] = item;
		t->first[i] = first;
	} else {
		memmove(&t->node[i + 1], &t->node[i], after * sizeof(ref));
		t->node[i] = item;
	}
	t->cnt++;
}

static void remove_at(struct tree_node *t, unsigned i)
{
	unsigned after = t->cnt - i - 1u;

	if (t->level) {
		memmove(&t->child[i], &t->child[i + 1], after * sizeof(ref));
		memmove(&t->first[i], &t->first[i + 1], after * sizeof(ref));
	} else {
		memmove(&t->node[i], &t->node[i + 1], after * sizeof(ref));
	}
	t->cnt--;
}

/* Move the entries of `from` beginning with index i to the end of `to`. */
static void move_tail(struct tree_node *to, struct tree_node *from, unsigned i)
{
	unsigned n = from->cnt - i;

	if (from->level) {
		memcpy(&to->child[to->cnt], &from->child[i], n * sizeof(ref));
		memcpy(&to->first[to->cnt], &from->first[i], n * sizeof(ref));
	} else {
		memcpy(&to->node[to->cnt], &from->node[i], n * sizeof(ref));
	}
	to->cnt = (uint16_t)(to->cnt + n);
	from->cnt = (uint16_t)i;
}

/* Insert into a node of ours; when it is full, its upper half goes to *split. */
static int insert_or_split(struct stage *s, struct tree_node *t, unsigned i, ref item,
			   ref first, ref *split)
{
	*split = 0;
	if (t->cnt == capacity(t)) {
		int err = new_tree_node(s, t->level, split);

		if (err)
			return err;
		struct tree_node *upper = (struct tree_node *)arena_at(s->base, *split);
		/* Names often arrive in order: then leave the full half full. */
		unsigned at = i == t->cnt ? t->cnt - 1u : t->cnt / 2u;

		move_tail(upper, t, at);
		if (i > at) {
			t = upper;
			i -= at;
		}
	}
	insert_at(t, i, item, first);
	return 0;
}

static int put_below(struct stage *s, ref *at, ref node, const uint8_t *name, ref *split)
{
	struct tree_node *t;
	bool equal;
	int err = own(s, at, &t);

	*split = 0;
	if (err)
		return err;
	if (t->level == 0) {
		unsigned i = lower_bound(s->base, t, name, &equal);

		if (equal) {
			t->node[i] = node;
			return 0;
		}
		return insert_or_split(s, t, i, node, node, split);
	}

	unsigned i = child_for(s->base, t, name);
	ref child_split;

	err = put_below(s, &t->child[i], node, name, &child_split);
	if (err)
		return err;
	t->first[i] = keys(tn(s->base, t->child[i]))[0];
	if (!child_split)
		return 0;
	return insert_or_split(s, t, i + 1, child_split,
			       keys(tn(s->base, child_split))[0], split);
}

int tree_put(struct stage *s, ref *root, ref node)
{
	ref split;
	int err;

	if (!*root) {
		err = new_tree_node(s, 0, root);
		if (err)
			return err;
	}
	err = put_below(s, root, node, node_name(s->base, node), &split);
	if (err || !split)
		return err;

	ref top;

	err = new_tree_node(s, tn(s->base, *root)->level + 1u, &top);
	if (err)
		return err;
	struct tree_node *t = (struct tree_node *)arena_at(s->base, top);

	insert_at(t, 0, *root, keys(tn(s->base, *root))[0]);
	insert_at(t, 1, split, keys(tn(s->base, split))[0]);
	*root = top;
	return 0;
}

/* Join child i of t with a neighbour where both fit in one with room to spare. */
static int join_small(struct stage *s, struct tree_node *t, unsigned i)
{
	const struct tree_node *child = tn(s->base, t->child[i]);

	if (child->cnt > capacity(child) / 4 || t->cnt < 2)
		return 0;
	unsigned left = i ? i - 1 : i;

	if (tn(s->base, t->child[left])->cnt + tn(s->base, t->child[left + 1])->cnt >
	    (int)capacity(child) * 3 / 4)
		return 0;

	struct tree_node *a, *b;
	int err = own(s, &t->child[left], &a);

	if (!err)
		err = own(s, &t->child[left + 1], &b);
	if (!err)
		err = stage_retire(s, t->child[left + 1]);
	if (err)
		return err;
	move_tail(a, b, 0);
	t->first[left] = keys(a)[0];
	remove_at(t, left + 1);
	return 0;
}

static int remove_below(struct stage *s, ref *at, const uint8_t *name)
{
	struct tree_node *t;
	bool equal;
	int err = own(s, at, &t);

	if (err)
		return err;
	if (t->level == 0) {
		unsigned i = lower_bound(s->base, t, name, &equal);

		if (equal)
			remove_at(t, i);
		return 0;
	}

	unsigned i = child_for(s->base, t, name);

	err = remove_below(s, &t->child[i], name);
	if (err)
		return err;
	if (tn(s->base, t->child[i])->cnt == 0) {
		err = stage_retire(s, t->child[i]);
		remove_at(t, i);
		return err;
	}
	t->first[i] = keys(tn(s->base, t->child[i]))[0];
	return join_small(s, t, i);
}

int tree_remove(struct stage *s, ref *root, const uint8_t *name)
{
	if (!tree_find(s->base, *root, name))
		return 0;
	int err = remove_below(s, root, name);

	if (err)
		return err;
	for (;;) {
		const struct tree_node *t = tn(s->base, *root);

		if (t->cnt > (t->level ? 1 : 0))
			return 0;
		err = stage_retire(s, *root);
		*root = t->level ? t->child[0] : 0;
		if (err || !*root)
			return err;
	}
}

int tree_build(struct stage *s, ref *root, const ref *node, size_t cnt)
{
	/* The right edge of the tree under construction, one node a level. */
	ref edge[TREE_DEPTH] = { 0 };
	unsigned levels = 0;
	int err;

	*root = 0;
	for (size_t i = 0; i < cnt; i++) {
		ref item = node[i], first = node[i];

		for (unsigned l = 0;; l++) {
			assert(l < TREE_DEPTH);
			struct tree_node *t = edge[l] ? (struct tree_node *)arena_at(s->base, edge[l]) : NULL;

			/* A little room is left for later changes. */
			if (t && t->cnt < capacity(t) - capacity(t) / 10) {
				insert_at(t, t->cnt, item, first);
				break;
			}
			err = new_tree_node(s, l, &edge[l]);
			if (err)
				return err;
			struct tree_node *fresh = (struct tree_node *)arena_at(s->base, edge[l]);

			if (l == levels)
				levels++;
			if (t && l + 1 == levels) { /* the first split of the top level */
				ref left = (ref)(((const uint8_t *)t - s->base) / ARENA_UNIT);

				err = new_tree_node(s, l + 1, &edge[l + 1]);
				if (err)
					return err;
				levels++;
				insert_at((struct tree_node *)arena_at(s->base, edge[l + 1]), 0,
					  left, keys(t)[0]);
			}
			insert_at(fresh, 0, item, first);
			if (levels == l + 1)
				break;
			item = edge[l];
			first = keys(fresh)[0];
		}
	}
	*root = levels ? edge[levels - 1] : 0;
	return 0;
}

int tree_retire(struct stage *s, ref root)
{
	if (!root)
		return 0;
	const struct tree_node *t = tn(s->base, root);

	if (t->level) {
		for (unsigned i = 0; i < t->cnt; i++) {
			int err = tree_retire(s, t->child[i]);

			if (err)
				return err;
		}
	}
	return stage_retire(s, root);
}
