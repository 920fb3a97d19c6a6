/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "find.h"
#include "replay.h"

/* The chain of the suffix of so many labels, or NULL. */
static const struct node *probe(const struct reader *r, const struct name *name, unsigned labels)
{
	const uint8_t *base = r->map.base, *wire = name->wire + name_suffix(name, labels);
	size_t len = name->len - name_suffix(name, labels);
	uint64_t hash = name_hash(arena_map_head(&r->map)->secret, wire, len);

	replay_point("read: probe");
	const struct table *t = table_current(base);

	replay_point("read: bucket");
	return table_find(base, t, hash, wire, len);
}

/* Of a chain, the node whose zone's apex is deepest, up to max_apex labels. */
static bool pick_deepest(const struct reader *r, const struct node *chain, unsigned max_apex,
			 struct found *f)
{
	for (; chain; chain = node_sibling(r->map.base, chain)) {
		const struct snapshot *s;

		replay_point("read: node");
		const struct node *n = node_visible(r->map.base, chain, r->version, &s);

		if (!n)
			continue;
		const struct zone *z = arena_at(r->map.base, n->zone);

		if (z->labels <= max_apex && (!f->zone || z->labels > f->zone->labels)) {
			f->zone = z;
			f->snapshot = s;
			f->node = n;
		}
	}
	return f->zone != NULL;
}

static const struct node *pick_zone(const struct reader *r, const struct node *chain,
				    const struct zone *zone)
{
	for (; chain; chain = node_sibling(r->map.base, chain)) {
		const struct snapshot *s;

		if (chain->zone && arena_at(r->map.base, chain->zone) == zone)
			return node_visible(r->map.base, chain, r->version, &s);
	}
	return NULL;
}

const struct node *find_in_zone(const struct reader *r, const struct zone *zone, uint64_t hash,
				const uint8_t *wire, size_t len)
{
	const uint8_t *base = r->map.base;

	return pick_zone(r, table_find(base, table_current(base), hash, wire, len), zone);
}

/* Is there an apex deeper than f's zone, at most `to` labels deep?  It would have to
 * stand at a depth that the zone's mask (or that of all apexes) names. */
static void find_deeper_apex(const struct reader *r, const struct name *name, unsigned to,
			     struct found *f)
{
	const _Atomic uint64_t *depths = f->zone ? f->zone->depths : arena_map_head(&r->map)->depths;
	uint64_t mask[2] = { atomic_load_explicit(&depths[0], memory_order_relaxed),
			     atomic_load_explicit(&depths[1], memory_order_relaxed) };
	unsigned from = f->zone ? f->zone->labels + 1u : 0;

	if (!(mask[0] | mask[1]))
		return;
	for (unsigned d = to + 1; d-- > from;) {
		if (!(mask[d / 64] >> d % 64 & 1))
			continue;
		struct found deeper = { 0 };

		/* Only an apex of d labels counts; others of the chain are in zones above. */
		if (pick_deepest(r, probe(r, name, d), d, &deeper) && deeper.zone->labels == d) {
			*f = deeper;
			return;
		}
	}
}

/* The deepest name in the table above `name`, of which the ancestor of `depth` labels is known
 * not to be there.  Returns its chain, NULL if not even the root is there: nothing is loaded. */
static __attribute__((noinline)) const struct node *search_up(const struct reader *r,
							      const struct name *name,
							      unsigned *depth)
{
	const struct node *chain = *depth > 0 ? probe(r, name, 0) : NULL;
	unsigned lo = 0, hi = *depth;

	if (!chain)
		return NULL;
	/* The table is prefix-closed: at most seven more for 127 labels. */
	while (hi - lo > 1) {
		unsigned mid = (lo + hi) / 2;
		const struct node *c = probe(r, name, mid);

		if (c) {
			lo = mid;
			chain = c;
		} else {
			hi = mid;
		}
	}
	*depth = lo;
	return chain;
}

/* The entry at `depth` labels was another zone's: the closest encloser among f's zone's names. */
static __attribute__((noinline)) void search_zone(const struct reader *r, const struct name *name,
						  unsigned depth, struct found *f)
{
	unsigned lo = f->zone->labels, hi = depth;

	while (hi - lo > 1) {
		unsigned mid = (lo + hi) / 2;
		const struct node *n = pick_zone(r, probe(r, name, mid), f->zone);

		if (n) {
			lo = mid;
			f->node = n;
		} else {
			hi = mid;
		}
	}
}

/* Is this candidate the name's suffix that begins at octet `off`? */
static bool is_suffix(const struct node *n, const struct name *name, unsigned off)
{
	size_t len = name->len - off;

	return n->name_len == len && octets_same(n->name, name->wire + off, len);
}

void find_name(const struct reader *r, const struct name *name, uint64_t hash,
	       const struct find_hint *hint, unsigned max_apex, struct found *f)
{
	const uint8_t *base = r->map.base;
	const struct node *chain = NULL;
	unsigned absent = hint ? hint->absent : 0; /* so many of the longest suffixes */
	unsigned depth = name->labels - absent; /* of the deepest name in the table at or above */

	*f = (struct found){ 0 };
	if (hint && hint->node) {
		chain = arena_at(base, hint->node);
		if (!is_suffix(chain, name, name->off[absent]))
			chain = NULL;
	}
	if (!chain && absent == 0) {
		chain = table_find(base, table_current(base), hash, name->wire, name->len);
		if (!chain) {
			if (depth == 0)
				return;
			depth--;
			absent = 1;
		}
	}
	if (!chain && absent == 1)
		chain = probe(r, name, depth);
	else if (!chain)
		depth++;
	if (!chain) {
		chain = search_up(r, name, &depth);
		if (!chain)
			return;
	}

	pick_deepest(r, chain, max_apex, f);
	if (depth > 0) {
		const struct zone *z = f->zone;

		find_deeper_apex(r, name, depth - 1 < max_apex ? depth - 1 : max_apex, f);
		if (!f->zone)
			return;
		if (f->zone == z)
			f->exact = depth == name->labels;
		else
			search_zone(r, name, depth, f);
		return;
	}
	f->exact = f->zone && name->labels == 0;
}
