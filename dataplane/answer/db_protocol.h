/* SPDX-License-Identifier: GPL-3.0-or-later */
/* db_protocol.h - how one writer changes all zones while any number of readers, in
 * any process, answer from them without a lock or a write to zone memory.
 *
 * What a reader holds on to is a version: it loads the commit counter once (edge V)
 * and every answer until reader_end is made from the data of that version.
 *
 * The hash table leads to the newest node of each (name, zone).  If that node is of
 * another version than the reader's, the reader asks the tree of the zone's snapshot
 * of its version: trees are immutable and are the truth, the table is the short cut.
 *
 * A commit, in this order:
 *   1  everything new is allocated and written: nodes, tree paths, snapshots.  Table
 *      slots are set aside; a grown table is published in place of the old one.
 *      All that can fail is over.
 *   2  new nodes are linked into the table (L); nodes of removed names get their
 *      `deleted` version
 *   3  the zones' snapshots are published (S), then settings
 *   4  the commit counter is stored (V): this is the commit
 *   5  what became unreachable is queued under a new epoch (E)
 *
 * Edges (release store by the writer, acquire load by a reader, unless said):
 *   V  version.  A reader that loads v sees all that was stored before v: a
 *      reader at v finds every node, snapshot and settings block of v.
 *   L  a table word, bucket.more or node.sibling.  Whoever loads a ref from there
 *      sees the node complete.
 *   T  arena_head.table.  A new table is complete (all chains in it) before.
 *   S  zone.snapshot.  Whoever loads it sees the snapshot and its tree complete.
 *   F  arena_head.fill.  Backed memory before the number that permits its touch.
 *   D  node.deleted, relaxed: only its order with V matters, and it is
 *      stored before V.  A reader at an older v that sees it already compares
 *      deleted > v and goes on as if it had not.
 *   Q  slot.epoch, by a reader (release) after its last use of any ref, loaded by
 *      the writer (acquire): the reader's loads are over before memory is reused.
 *   E  epoch.  A reader that loads e (acquire) sees all unlinking before e was
 *      stored, so after its next Q store of e it can reach nothing that was queued
 *      under an epoch up to e.
 *   H  a pin (db_pin), under a lock that the writer takes before it frees blocks of zones.
 *      Whoever pins a version has it between reader_begin and reader_end: what that
 *      version needs cannot be freed before Q, and the writer that has seen Q sees the pin.
 *   O  going online: the slot's epoch is stored and the writer's epoch loaded again,
 *      both sequentially consistent, as is the writer's store of the epoch and its load
 *      of the slot.  Either the writer sees the reader, or the reader sees the new epoch and
 *      with it (E) all that was unlinked.
 *
 * Why absence is safe: a name of version v is in the table from before v's V store
 * until all readers of versions that know it have passed (unlinking a removed
 * name waits for the grace period after the commit that removed it).  A
 * reader probes after its V load; what it does not find is not in its version.
 *
 * Why replaced nodes need no `deleted`: a reader that loads v >= n's replacement
 * has the link to the replacement by V; a reader that still got the old node loaded
 * the link before it, hence its v is older, and for it the old node is right.
 *
 * Why memory is never freed under a reader: a block is queued after it was unlinked from the
 * table and is in no snapshot that a later V load can lead to; it is freed when every slot's epoch
 * has reached its batch's (Q, E), or is offline (O), at one look at them all after the batch was
 * queued.  A name's removal takes two such periods: one until it is unlinked, one until it is
 * freed.
 *
 * Why a pinned zone's memory stays: a block belongs to the pinned version v when it was brought by
 * v or before and retired by a commit behind v; when its batch has passed, such a block of a zone
 * that the commit changed is put aside instead of freed, until no pin holds it any more (H).
 * A pinned reader goes by the snapshot and its tree alone, never by the table.
 *
 * The table is prefix-closed: the ancestors of every name in it, up to the root, have
 * entries (empty non-terminals are nodes; above an apex stand NODE_PATH nodes).
 * Ancestors are linked before and unlinked after their descendants' zones.  The
 * binary search for the closest encloser relies on it: all ancestors of names of
 * version v are present for readers at v, whatever else comes and goes.
 *
 * depths masks only ever grow while a zone lives: a bit too many costs a probe.
 */
#ifndef POLLUX_DB_PROTOCOL_H
#define POLLUX_DB_PROTOCOL_H

#include "arena.h"
#include "name_hash.h"
#include "node.h"
#include "table.h"
#include "tree.h"

/* zone_snapshot - the zone's snapshot of version v, or NULL when it is not loaded
 * in that version. */
static inline const struct snapshot *zone_snapshot(const uint8_t *base, ref zone, uint64_t v)
{
	const struct zone *z = arena_at(base, zone);
	ref r = atomic_load_explicit(&z->snapshot, memory_order_acquire); /* S */

	while (r) {
		const struct snapshot *s = arena_at(base, r);

		if (s->version <= v)
			return s->tree ? s : NULL;
		r = s->prev;
	}
	return NULL;
}

struct reader;

/* reader_snapshot (db_read.c) - the snapshot of the zone in the reader's version, or NULL. */
const struct snapshot *reader_snapshot(const struct reader *r, const struct name *apex);

/* node_visible - what the zone of node n knows under n's name in version v: n itself
 * in the usual case; NULL if nothing.  *s is set to the zone's snapshot, NULL if
 * the zone is not loaded then. */
static inline const struct node *node_visible(const uint8_t *base, const struct node *n,
					      uint64_t v, const struct snapshot **s)
{
	*s = n->zone ? zone_snapshot(base, n->zone, v) : NULL;
	if (!*s)
		return NULL;
	if (n->created <= v &&
	    atomic_load_explicit(&n->deleted, memory_order_relaxed) > v) /* D */
		return n;
	ref r = tree_find(base, (*s)->tree, n->name);

	return r ? arena_at(base, r) : NULL;
}

/* node_sibling - the next node of the chain, or NULL. */
static inline const struct node *node_sibling(const uint8_t *base, const struct node *n)
{
	ref r = atomic_load_explicit(&n->sibling, memory_order_acquire); /* L */

	return r ? arena_at(base, r) : NULL;
}

#endif
