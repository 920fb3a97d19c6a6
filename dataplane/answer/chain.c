/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <assert.h>

#include "db_private.h"

/* The word that leads to a node of the chain whose head word or sibling is given. */
struct link {
	_Atomic uint64_t *slot;  /* the table's word, or */
	_Atomic ref *sibling;    /* the link in the node before */
};

static void link_set(struct db *db, const struct link *l, uint64_t hash, ref r)
{
	if (l->sibling)
		atomic_store_explicit(l->sibling, r, memory_order_release); /* L */
	else if (r)
		atomic_store_explicit(l->slot, hash >> 32 << 32 | r, memory_order_release); /* L */
	else
		table_remove(&db->table, l->slot);
}

/* The first node of the chain for which pred says yes, and what leads to it. */
static ref chain_find(struct db *db, const struct node *like, uint64_t hash,
		      bool (*pred)(const struct node *n, ref r, const void *arg),
		      const void *arg, struct link *link)
{
	*link = (struct link){ .slot = table_slot(&db->table, hash, like->name, like->name_len) };
	ref r = link->slot ? (ref)atomic_load_explicit(link->slot, memory_order_relaxed) : 0;

	while (r) {
		struct node *n = at(db, r);

		if (pred(n, r, arg))
			return r;
		link->sibling = &n->sibling;
		r = atomic_load_explicit(&n->sibling, memory_order_relaxed);
	}
	return 0;
}

static bool of_zone(const struct node *n, ref r, const void *arg)
{
	return n->zone == *(const ref *)arg;
}

static bool is_ref(const struct node *n, ref r, const void *arg)
{
	return r == *(const ref *)arg;
}

void link_node(struct db *db, ref r, uint64_t hash)
{
	struct node *n = at(db, r);
	struct link link;
	ref old = chain_find(db, n, hash, of_zone, &n->zone, &link);

	if (old) {
		atomic_store_explicit(&n->sibling,
			atomic_load_explicit(&((struct node *)at(db, old))->sibling,
					     memory_order_relaxed), memory_order_relaxed);
		link_set(db, &link, hash, r);
	} else if (link.slot) {
		ref head = (ref)atomic_load_explicit(link.slot, memory_order_relaxed);

		atomic_store_explicit(&n->sibling, head, memory_order_relaxed);
		link_set(db, &(struct link){ .slot = link.slot }, hash, r);
	} else {
		table_insert(&db->table, hash, r);
	}
}

void unlink_node(struct db *db, ref r)
{
	struct node *n = at(db, r);
	uint64_t hash = hash_of(db, n->name, n->name_len);
	struct link link;

	if (chain_find(db, n, hash, is_ref, &r, &link))
		link_set(db, &link, hash,
			 atomic_load_explicit(&n->sibling, memory_order_relaxed));
}

/* path_add - one more apex stands below this name.  The path nodes are linked at
 * once: to readers they say nothing but that the search may go on. */
static int path_add(struct db *db, const struct name *apex, unsigned labels)
{
	const uint8_t *name = apex->wire + name_suffix(apex, labels);
	size_t len = apex->len - name_suffix(apex, labels);
	uint64_t hash = hash_of(db, name, len);
	const struct node *found = table_find(db->base, db->table.table, hash, name, len);

	for (; found; found = node_sibling(db->base, found)) {
		if (found->flags & NODE_PATH) {
			((struct node *)found)->size++;
			return 0;
		}
	}

	ref r = arena_alloc(db->arena, sizeof(struct node) + len);

	if (!r)
		return -ENOSPC;
	if (!table_slot(&db->table, hash, name, len) && table_reserve(&db->table, hash)) {
		arena_free(db->arena, r);
		return -ENOSPC;
	}
	struct node *n = at(db, r);

	memset((void *)n, 0, sizeof(*n));
	n->flags = NODE_PATH;
	n->size = 1;
	n->labels = (uint8_t)labels;
	n->name_len = (uint8_t)len;
	memcpy(n->name, name, len);
	link_node(db, r, hash);
	return 0;
}

/* path_drop - the opposite for the names of fewer than `labels` labels above an apex;
 * nodes that serve none any more go to `unlink`, which has room for them.
 * rrset_cnt marks a node that is queued there already. */
void path_drop(struct db *db, const struct name *apex, unsigned labels,
		      struct ref_list *unlink)
{
	while (labels-- > 0) {
		const uint8_t *name = apex->wire + name_suffix(apex, labels);
		size_t len = apex->len - name_suffix(apex, labels);
		const struct node *n = table_find(db->base, db->table.table,
						  hash_of(db, name, len), name, len);

		while (n && !(n->flags & NODE_PATH))
			n = node_sibling(db->base, n);
		struct node *path = (struct node *)n;

		assert(path && path->size);
		if (--path->size == 0 && !path->rrset_cnt) {
			unlink->ref[unlink->cnt++] = ref_to(db, path);
			path->rrset_cnt = 1;
		}
	}
}

/* path_add_all - path nodes for all names above an apex, or none. */
int path_add_all(struct db *db, const struct name *apex, struct ref_list *unlink)
{
	for (unsigned l = 0; l < apex->labels; l++) {
		int err = path_add(db, apex, l);

		if (err) {
			path_drop(db, apex, l, unlink);
			return err;
		}
	}
	return 0;
}

