/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tree.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "name.h"
#include "node.h"

/* Tree nodes of a kind have one size, so that churn reuses their memory exactly: 256
 * octets, or 512 where keys stand beside the references. */
#define NODE_SIZE 256
#define LEAF_MAX 60
#define INNER_MAX 30
#define KEYED_SIZE TREE_LEAF_SIZE
#define KEYED_LEAF_MAX 41
#define KEYED_INNER_MAX 31

struct tree_node {
	uint64_t version;     /* the transaction that may still change it */
	uint16_t cnt;
	uint8_t level;        /* 0: leaf */
	uint8_t keyed;
	uint32_t pad;
	/* uint64_t key[capacity], if keyed: the entry's key, or that of the least below it;
	 *          behind the last entry's all ones, so that a search needs no count
	 * ref item[capacity]: the zone's node, or the tree node below
	 * ref first[capacity], unless a leaf: the least of the zone's nodes below */
	ref body[];
};

static_assert(sizeof(struct tree_node) == 16, "keys are aligned");
static_assert(16 + LEAF_MAX * 4 <= NODE_SIZE && 16 + INNER_MAX * 8 <= NODE_SIZE &&
	      16 + KEYED_LEAF_MAX * 12 <= KEYED_SIZE && 16 + KEYED_INNER_MAX * 16 <= KEYED_SIZE,
	      "entries fit");

/* An entry that is searched for or put; the key counts in keyed trees only. */
struct entry {
	uint64_t key;
	const uint8_t *name;
};

static const struct tree_node *tn(const uint8_t *base, ref r)
{
	return arena_at(base, r);
}

static const uint8_t *node_name(const uint8_t *base, ref r)
{
	return ((const struct node *)arena_at(base, r))->name;
}

static unsigned size_of(const struct tree_node *t)
{
	return t->keyed ? KEYED_SIZE : NODE_SIZE;
}

static unsigned capacity(const struct tree_node *t)
{
	if (t->keyed)
		return t->level ? KEYED_INNER_MAX : KEYED_LEAF_MAX;
	return t->level ? INNER_MAX : LEAF_MAX;
}

static uint64_t *prefixes(const struct tree_node *t)
{
	return t->keyed ? (uint64_t *)t->body : NULL;
}

static ref *items(const struct tree_node *t)
{
	return (ref *)t->body + (t->keyed ? 2 * capacity(t) : 0);
}

/* The nodes by whose names a tree node is searched. */
static ref *keys(const struct tree_node *t)
{
	return items(t) + (t->level ? capacity(t) : 0);
}

/* Number of entries that are before e; *equal: is the next one it? */
static unsigned lower_bound(const uint8_t *base, const struct tree_node *t,
			    const struct entry *e, bool *equal)
{
	const uint64_t *prefix = prefixes(t);
	const ref *key = keys(t);
	unsigned lo = 0, hi = t->cnt;

	*equal = false;
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		int c = prefix && prefix[mid] != e->key ? (prefix[mid] < e->key ? -1 : 1)
							: name_cmp(node_name(base, key[mid]), e->name);

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
 * the entry, else the first. */
static unsigned child_for(const uint8_t *base, const struct tree_node *t, const struct entry *e)
{
	bool equal;
	unsigned i = lower_bound(base, t, e, &equal);

	return equal || i == 0 ? i : i - 1;
}

ref tree_find(const uint8_t *base, ref root, const uint8_t *name)
{
	const struct entry e = { .name = name };
	bool equal;

	if (!root)
		return 0;
	const struct tree_node *t = tn(base, root);

	while (t->level)
		t = tn(base, items(t)[child_for(base, t, &e)]);
	unsigned i = lower_bound(base, t, &e, &equal);

	return equal ? items(t)[i] : 0;
}

/* Go `half` keys back from `end` if `key` is below the one that begins them.  Nobody can predict
 * that, so it is arithmetic, no branch. */
static inline const uint64_t *back_if_below(const uint64_t *end, unsigned half, uint64_t key)
{
	return (const uint64_t *)((const char *)end -
				  (half * sizeof(*end) & -(size_t)(key < end[-(int)half])));
}

/* How many keys of a tree node are at or below `key`?  All that there is room for are looked
 * through, by halves. */
static inline unsigned keys_up_to(const struct tree_node *t, uint64_t key)
{
	const uint64_t *prefix = (const uint64_t *)t->body, *end;
	unsigned n;

	static_assert(KEYED_LEAF_MAX == 41 && KEYED_INNER_MAX == 31, "the halves below");
	if (t->level) {
		end = back_if_below(prefix + KEYED_INNER_MAX, 16, key);
		end = back_if_below(end, 8, key);
		end = back_if_below(end, 4, key);
		end = back_if_below(end, 2, key);
	} else {
		end = back_if_below(prefix + KEYED_LEAF_MAX, 21, key);
		end = back_if_below(end, 10, key);
		end = back_if_below(end, 5, key);
		end = back_if_below(end, 3, key);
		end = back_if_below(end, 1, key);
	}
	n = (unsigned)(back_if_below(end, 1, key) - prefix);
	return n < t->cnt ? n : t->cnt; /* key may be all ones itself */
}

/* Of the entries before `end`, those whose key is the same as that of `what` are told apart by
 * cmp: how many entries are at or before it?  Kept out of tree_floor, which mostly finds
 * none and then saves no registers. */
static __attribute__((noinline)) unsigned count_equal(const uint8_t *base, const struct tree_node *t, unsigned end,
			    tree_cmp cmp, const void *what, bool *equal)
{
	const uint64_t *prefix = prefixes(t);
	unsigned lo = end - 1, hi = end;

	while (lo > 0 && prefix[lo - 1] == prefix[end - 1])
		lo--;
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		int c = cmp(arena_at(base, keys(t)[mid]), what);

		*equal |= c == 0;
		if (c <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Of a tree node's entries, how many are at or before `what`? */
static inline unsigned count_up_to(const uint8_t *base, const struct tree_node *t, uint64_t key, tree_cmp cmp,
				   const void *what, bool *equal)
{
	unsigned n = keys_up_to(t, key);

	return n && ((const uint64_t *)t->body)[n - 1] == key ? count_equal(base, t, n, cmp, what, equal) : n;
}

/* The leaf in which the last entry at or before `what` is, or NULL. */
static inline const struct tree_node *floor_leaf(const uint8_t *base, ref root, uint64_t key, tree_cmp cmp,
						 const void *what)
{
	const struct tree_node *t = root ? tn(base, root) : NULL;
	bool equal = false; /* of no interest here */

	while (t && t->level) {
		unsigned n = count_up_to(base, t, key, cmp, what, &equal);

		t = n ? tn(base, t->body[2 * KEYED_INNER_MAX + n - 1]) : NULL;
	}
	return t;
}

static inline ref floor_in(const uint8_t *base, const struct tree_node *t, uint64_t key, tree_cmp cmp,
			   const void *what, bool *equal)
{
	*equal = false;

	unsigned n = count_up_to(base, t, key, cmp, what, equal);

	return n ? t->body[2 * KEYED_LEAF_MAX + n - 1] : 0;
}

ref tree_floor(const uint8_t *base, ref root, uint64_t key, tree_cmp cmp, const void *what,
	       bool *equal)
{
	const struct tree_node *t = floor_leaf(base, root, key, cmp, what);

	*equal = false;
	return t ? floor_in(base, t, key, cmp, what, equal) : 0;
}

const struct tree_node *tree_floor_leaf(const uint8_t *base, ref root, uint64_t key, tree_cmp cmp,
					const void *what)
{
	return floor_leaf(base, root, key, cmp, what);
}

ref tree_floor_in(const uint8_t *base, const struct tree_node *leaf, uint64_t key, tree_cmp cmp,
		  const void *what, bool *equal)
{
	return floor_in(base, leaf, key, cmp, what, equal);
}

/* The first node below, or the last. */
static ref edge_of(const uint8_t *base, ref at, bool last)
{
	for (const struct tree_node *t; at; at = items(t)[last ? t->cnt - 1 : 0]) {
		t = tn(base, at);
		if (t->level == 0)
			return items(t)[last ? t->cnt - 1 : 0];
	}
	return 0;
}

ref tree_last(const uint8_t *base, ref root)
{
	return edge_of(base, root, true);
}

void tree_around(const uint8_t *base, ref root, uint64_t key, const uint8_t *name, ref *before,
		 ref *behind)
{
	const struct entry e = { key, name };
	ref left = 0, right = 0; /* tree nodes beside the way down */
	bool equal;

	*before = *behind = 0;
	while (root) {
		const struct tree_node *t = tn(base, root);
		unsigned i = t->level ? child_for(base, t, &e) : lower_bound(base, t, &e, &equal);

		if (t->level == 0) {
			unsigned next = i + equal;

			*before = i > 0 ? items(t)[i - 1] : edge_of(base, left, true);
			*behind = next < t->cnt ? items(t)[next] : edge_of(base, right, false);
			return;
		}
		if (i > 0)
			left = items(t)[i - 1];
		if (i + 1u < t->cnt)
			right = items(t)[i + 1];
		root = items(t)[i];
	}
}

/* Go down the left edge from the iterator's lowest level to a leaf. */
static ref descend(struct tree_iter *it)
{
	for (;;) {
		const struct tree_node *t = tn(it->base, it->level[it->depth - 1].at);
		unsigned i = it->level[it->depth - 1].index;

		if (t->level == 0)
			return items(t)[i];
		it->level[it->depth].at = items(t)[i];
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
	const struct entry e = { .name = name };
	bool equal;

	it->base = base;
	it->depth = 0;
	while (root) {
		const struct tree_node *t = tn(base, root);

		it->level[it->depth].at = root;
		it->level[it->depth].index = t->level ? child_for(base, t, &e)
						      : lower_bound(base, t, &e, &equal);
		root = t->level ? items(t)[it->level[it->depth].index] : 0;
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

static int new_tree_node(struct stage *s, unsigned level, bool keyed, ref *r)
{
	int err = stage_alloc(s, keyed ? KEYED_SIZE : NODE_SIZE, r);

	if (err)
		return err;
	struct tree_node *t = (struct tree_node *)arena_at(s->base, *r);

	t->version = s->version;
	t->cnt = 0;
	t->level = (uint8_t)level;
	t->keyed = keyed;
	t->pad = 0;
	if (keyed)
		memset(prefixes(t), 0xff, capacity(t) * sizeof(uint64_t));
	return 0;
}

/* own - make *r a tree node of this transaction, copying it if it is older. */
static int own(struct stage *s, ref *r, struct tree_node **out)
{
	const struct tree_node *old = tn(s->base, *r);

	if (old->version != s->version) {
		ref copy;
		int err = stage_alloc(s, size_of(old), &copy);

		if (!err)
			err = stage_retire(s, *r);
		if (err)
			return err;
		memcpy((void *)arena_at(s->base, copy), old, size_of(old));
		*r = copy;
		((struct tree_node *)arena_at(s->base, copy))->version = s->version;
	}
	*out = (struct tree_node *)arena_at(s->base, *r);
	return 0;
}

/* Move the entries [i, cnt) of `from` to `to`, where the first of them becomes entry j. */
static void move_entries(struct tree_node *to, unsigned j, const struct tree_node *from, unsigned i)
{
	unsigned n = from->cnt - i;

	if (from->keyed)
		memmove(prefixes(to) + j, prefixes(from) + i, n * sizeof(uint64_t));
	memmove(items(to) + j, items(from) + i, n * sizeof(ref));
	if (from->level)
		memmove(keys(to) + j, keys(from) + i, n * sizeof(ref));
}

/* Take the entries from the new end on out. */
static void cut_off(struct tree_node *t, unsigned cnt)
{
	if (t->keyed)
		memset(prefixes(t) + cnt, 0xff, (t->cnt - cnt) * sizeof(uint64_t));
	t->cnt = (uint16_t)cnt;
}

static void insert_at(struct tree_node *t, unsigned i, ref item, ref first, uint64_t key)
{
	move_entries(t, i + 1, t, i);
	if (t->keyed)
		prefixes(t)[i] = key;
	items(t)[i] = item;
	if (t->level)
		keys(t)[i] = first;
	t->cnt++;
}

/* Insert a whole tree node into one of the level above. */
static void insert_child(struct stage *s, struct tree_node *t, unsigned i, ref child)
{
	const struct tree_node *c = tn(s->base, child);

	insert_at(t, i, child, keys(c)[0], c->keyed ? prefixes(c)[0] : 0);
}

/* The least entry below child i may be another one now. */
static void update_first(struct stage *s, struct tree_node *t, unsigned i)
{
	const struct tree_node *c = tn(s->base, items(t)[i]);

	keys(t)[i] = keys(c)[0];
	if (t->keyed)
		prefixes(t)[i] = prefixes(c)[0];
}

static void remove_at(struct tree_node *t, unsigned i)
{
	move_entries(t, i, t, i + 1);
	cut_off(t, t->cnt - 1u);
}

/* Move the entries of `from` beginning with index i to the end of `to`. */
static void move_tail(struct tree_node *to, struct tree_node *from, unsigned i)
{
	move_entries(to, to->cnt, from, i);
	to->cnt = (uint16_t)(to->cnt + from->cnt - i);
	cut_off(from, i);
}

/* Insert into a node of ours; when it is full, its upper half goes to *split. */
static int insert_or_split(struct stage *s, struct tree_node *t, unsigned i, ref item,
			   ref first, uint64_t key, ref *split)
{
	*split = 0;
	if (t->cnt == capacity(t)) {
		int err = new_tree_node(s, t->level, t->keyed, split);

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
	insert_at(t, i, item, first, key);
	return 0;
}

static int put_below(struct stage *s, ref *at, ref node, const struct entry *e, ref *split)
{
	struct tree_node *t;
	bool equal;
	int err = own(s, at, &t);

	*split = 0;
	if (err)
		return err;
	if (t->level == 0) {
		unsigned i = lower_bound(s->base, t, e, &equal);

		if (equal) {
			items(t)[i] = node;
			return 0;
		}
		return insert_or_split(s, t, i, node, node, e->key, split);
	}

	unsigned i = child_for(s->base, t, e);
	ref child_split;

	err = put_below(s, &items(t)[i], node, e, &child_split);
	if (err)
		return err;
	update_first(s, t, i);
	if (!child_split)
		return 0;
	const struct tree_node *c = tn(s->base, child_split);

	return insert_or_split(s, t, i + 1, child_split, keys(c)[0],
			       c->keyed ? prefixes(c)[0] : 0, split);
}

static int put(struct stage *s, ref *root, bool keyed, uint64_t key, ref node)
{
	const struct entry e = { key, node_name(s->base, node) };
	ref split;
	int err;

	if (!*root) {
		err = new_tree_node(s, 0, keyed, root);
		if (err)
			return err;
	}
	err = put_below(s, root, node, &e, &split);
	if (err || !split)
		return err;

	ref top;

	err = new_tree_node(s, tn(s->base, *root)->level + 1u, keyed, &top);
	if (err)
		return err;
	struct tree_node *t = (struct tree_node *)arena_at(s->base, top);

	insert_child(s, t, 0, *root);
	insert_child(s, t, 1, split);
	*root = top;
	return 0;
}

int tree_put(struct stage *s, ref *root, ref node)
{
	return put(s, root, false, 0, node);
}

int tree_put_keyed(struct stage *s, ref *root, uint64_t key, ref node)
{
	return put(s, root, true, key, node);
}

/* Join child i of t with a neighbour where both fit in one with room to spare. */
static int join_small(struct stage *s, struct tree_node *t, unsigned i)
{
	const struct tree_node *child = tn(s->base, items(t)[i]);

	if (child->cnt > capacity(child) / 4 || t->cnt < 2)
		return 0;
	unsigned left = i ? i - 1 : i;

	if (tn(s->base, items(t)[left])->cnt + tn(s->base, items(t)[left + 1])->cnt >
	    (int)capacity(child) * 3 / 4)
		return 0;

	struct tree_node *a, *b;
	int err = own(s, &items(t)[left], &a);

	if (!err)
		err = own(s, &items(t)[left + 1], &b);
	if (!err)
		err = stage_retire(s, items(t)[left + 1]);
	if (err)
		return err;
	move_tail(a, b, 0);
	update_first(s, t, left);
	remove_at(t, left + 1);
	return 0;
}

static int remove_below(struct stage *s, ref *at, const struct entry *e)
{
	struct tree_node *t;
	bool equal;
	int err = own(s, at, &t);

	if (err)
		return err;
	if (t->level == 0) {
		unsigned i = lower_bound(s->base, t, e, &equal);

		if (equal)
			remove_at(t, i);
		return 0;
	}

	unsigned i = child_for(s->base, t, e);

	err = remove_below(s, &items(t)[i], e);
	if (err)
		return err;
	if (tn(s->base, items(t)[i])->cnt == 0) {
		err = stage_retire(s, items(t)[i]);
		remove_at(t, i);
		return err;
	}
	update_first(s, t, i);
	return join_small(s, t, i);
}

static int take_out(struct stage *s, ref *root, const struct entry *e)
{
	int err = remove_below(s, root, e);

	if (err)
		return err;
	for (;;) {
		const struct tree_node *t = tn(s->base, *root);

		if (t->cnt > (t->level ? 1 : 0))
			return 0;
		err = stage_retire(s, *root);
		*root = t->level ? items(t)[0] : 0;
		if (err || !*root)
			return err;
	}
}

int tree_remove(struct stage *s, ref *root, const uint8_t *name)
{
	return tree_find(s->base, *root, name) ? take_out(s, root, &(struct entry){ .name = name }) : 0;
}

int tree_remove_keyed(struct stage *s, ref *root, uint64_t key, const uint8_t *name)
{
	return *root ? take_out(s, root, &(struct entry){ key, name }) : 0;
}

/* ---- fingers ---- */

/* Number of entries that are before the name, where all before entry `from` are. */
static unsigned bound_from(const uint8_t *base, const struct tree_node *t, unsigned from,
			   const uint8_t *name, bool *equal)
{
	const ref *key = keys(t);
	unsigned lo = from, hi = t->cnt, step = 1;

	*equal = false;
	while (lo < hi) {
		unsigned at = lo + step - 1 < hi ? lo + step - 1 : hi - 1;
		int c = name_cmp(node_name(base, key[at]), name);

		if (c == 0) {
			*equal = true;
			return at;
		}
		if (c < 0) {
			lo = at + 1;
			step *= 2; /* names of a row are near, but how near? */
		} else {
			hi = at;
			step = (hi - lo + 1) / 2;
		}
	}
	return lo;
}

/* The lowest level below which the name can stand, if it is not before all that is there;
 * 0: the root's. */
static unsigned finger_climb(const struct tree_finger *f, const uint8_t *name)
{
	unsigned l = f->depth;

	while (l > 1 && f->level[l - 1].limit && name_cmp(f->level[l - 1].limit, name) <= 0)
		l--;
	return l - 1;
}

/* A leaf's names are in as many nodes all over the memory, of which each search by halves needs six, one
 * after the other; those of a row that lie in one leaf find them fetched. */
static void prefetch_names(const uint8_t *base, const struct tree_node *leaf)
{
	for (unsigned i = 0; i < leaf->cnt; i++) {
		const uint8_t *name = node_name(base, items(leaf)[i]);

		__builtin_prefetch(name);
		__builtin_prefetch(name + 32);
	}
}

/* Go down from level l, whose index is that of the child to go on with. */
static ref finger_descend(struct tree_finger *f, unsigned l, const uint8_t *name, bool *equal)
{
	const uint8_t *base = f->stage->base;
	const struct entry e = { .name = name };
	const struct tree_node *t = tn(base, f->level[l].at);

	while (t->level) {
		unsigned next = f->level[l].index + 1;

		f->level[l + 1].at = items(t)[next - 1];
		f->level[l + 1].limit = next < t->cnt ? node_name(base, keys(t)[next]) : f->level[l].limit;
		t = tn(base, f->level[++l].at);
		if (!t->level)
			prefetch_names(base, t);
		f->level[l].index = t->level ? child_for(base, t, &e) : lower_bound(base, t, &e, equal);
	}
	f->depth = l + 1;
	return *equal ? items(t)[f->level[l].index] : 0;
}

static ref finger_from_root(struct tree_finger *f, const uint8_t *name, bool *equal)
{
	const struct entry e = { .name = name };
	const struct tree_node *t = tn(f->stage->base, *f->root);

	f->level[0].at = *f->root;
	f->level[0].limit = NULL;
	f->level[0].index = t->level ? child_for(f->stage->base, t, &e)
				     : lower_bound(f->stage->base, t, &e, equal);
	return finger_descend(f, 0, name, equal);
}

/* Point at the entry of the name, or at where it would stand. */
static ref finger_seek(struct tree_finger *f, const uint8_t *name, bool *equal)
{
	const uint8_t *base = f->stage->base;

	*equal = false;
	if (!*f->root)
		return 0;
	if (!f->depth)
		return finger_from_root(f, name, equal);

	unsigned *index = &f->level[f->depth - 1].index;
	const struct tree_node *t = tn(base, f->level[f->depth - 1].at);
	int c = *index < t->cnt ? name_cmp(node_name(base, items(t)[*index]), name) : 1;

	*equal = c == 0;
	if (c == 0)
		return items(t)[*index];
	if (c > 0) { /* right here? */
		if (*index == 0 || name_cmp(node_name(base, items(t)[*index - 1]), name) >= 0)
			return finger_from_root(f, name, equal);
		if (*index < t->cnt)
			return 0;
	} else {
		*index = bound_from(base, t, *index + 1, name, equal);
		if (*index < t->cnt)
			return *equal ? items(t)[*index] : 0;
	}

	unsigned l = finger_climb(f, name);

	if (l + 1 == f->depth)
		return 0; /* behind the leaf's last */
	t = tn(base, f->level[l].at);
	f->level[l].index = bound_from(base, t, f->level[l].index + 1, name, equal);
	f->level[l].index -= !*equal;
	return finger_descend(f, l, name, equal);
}

ref tree_finger_find(struct tree_finger *f, const uint8_t *name)
{
	bool equal;

	return finger_seek(f, name, &equal);
}

/* Make all tree nodes on the way ones of this transaction. */
static int finger_own(struct tree_finger *f, struct tree_node **leaf)
{
	struct tree_node *t = (struct tree_node *)tn(f->stage->base, f->level[f->depth - 1].at);
	struct tree_node *parent = NULL;

	*leaf = t;
	if (t->version == f->stage->version)
		return 0; /* then all above it are, too */
	for (unsigned l = 0; l < f->depth; l++) {
		int err = own(f->stage, &f->level[l].at, &t);

		if (err)
			return err;
		*(l ? &items(parent)[f->level[l - 1].index] : f->root) = f->level[l].at;
		parent = t;
	}
	*leaf = t;
	return 0;
}

/* The leaf's first entry is another one: its inner nodes say so. */
static void finger_first(struct tree_finger *f)
{
	for (unsigned l = f->depth - 1; l-- > 0;) {
		update_first(f->stage, (struct tree_node *)arena_at(f->stage->base, f->level[l].at),
			     f->level[l].index);
		if (f->level[l].index)
			return;
	}
}

int tree_finger_put(struct tree_finger *f, ref node)
{
	struct tree_node *t;
	bool equal;

	finger_seek(f, node_name(f->stage->base, node), &equal);
	t = f->depth ? (struct tree_node *)tn(f->stage->base, f->level[f->depth - 1].at) : NULL;
	if (!t || (!equal && t->cnt == capacity(t))) {
		tree_finger_lift(f);
		return tree_put(f->stage, f->root, node);
	}

	unsigned i = f->level[f->depth - 1].index;
	int err = finger_own(f, &t);

	if (err)
		return err;
	if (equal)
		items(t)[i] = node;
	else
		insert_at(t, i, node, node, 0);
	if (i == 0)
		finger_first(f);
	return 0;
}

int tree_finger_remove(struct tree_finger *f, const uint8_t *name)
{
	struct tree_node *t;
	bool equal;

	if (!finger_seek(f, name, &equal))
		return 0;
	t = (struct tree_node *)tn(f->stage->base, f->level[f->depth - 1].at);
	if (t->cnt <= capacity(t) / 4u + 1) { /* it may have to be joined with a neighbour */
		tree_finger_lift(f);
		return take_out(f->stage, f->root, &(struct entry){ .name = name });
	}

	unsigned i = f->level[f->depth - 1].index;
	int err = finger_own(f, &t);

	if (err)
		return err;
	remove_at(t, i);
	if (i == 0)
		finger_first(f);
	return 0;
}

/* ---- building ---- */

static int build(struct stage *s, ref *root, const uint64_t *key, const ref *node, size_t cnt)
{
	/* The right edge of the tree under construction, one node a level. */
	ref edge[TREE_DEPTH] = { 0 };
	unsigned levels = 0;
	int err;

	*root = 0;
	for (size_t i = 0; i < cnt; i++) {
		ref item = node[i], first = node[i];
		uint64_t k = key ? key[i] : 0;

		for (unsigned l = 0;; l++) {
			assert(l < TREE_DEPTH);
			struct tree_node *t = edge[l] ? (struct tree_node *)arena_at(s->base, edge[l]) : NULL;

			/* A little room is left for later changes. */
			if (t && t->cnt < capacity(t) - capacity(t) / 10) {
				insert_at(t, t->cnt, item, first, k);
				break;
			}
			err = new_tree_node(s, l, key != NULL, &edge[l]);
			if (err)
				return err;
			struct tree_node *fresh = (struct tree_node *)arena_at(s->base, edge[l]);

			if (l == levels)
				levels++;
			if (t && l + 1 == levels) { /* the first split of the top level */
				ref left = (ref)(((const uint8_t *)t - s->base) / ARENA_UNIT);

				err = new_tree_node(s, l + 1, key != NULL, &edge[l + 1]);
				if (err)
					return err;
				levels++;
				insert_child(s, (struct tree_node *)arena_at(s->base, edge[l + 1]), 0,
					     left);
			}
			insert_at(fresh, 0, item, first, k);
			if (levels == l + 1)
				break;
			item = edge[l];
		}
	}
	*root = levels ? edge[levels - 1] : 0;
	return 0;
}

int tree_build(struct stage *s, ref *root, const ref *node, size_t cnt)
{
	return build(s, root, NULL, node, cnt);
}

int tree_build_keyed(struct stage *s, ref *root, const uint64_t *key, const ref *node, size_t cnt)
{
	return build(s, root, key, node, cnt);
}

int tree_retire(struct stage *s, ref root)
{
	if (!root)
		return 0;
	const struct tree_node *t = tn(s->base, root);

	if (t->level) {
		for (unsigned i = 0; i < t->cnt; i++) {
			int err = tree_retire(s, items(t)[i]);

			if (err)
				return err;
		}
	}
	return stage_retire(s, root);
}
