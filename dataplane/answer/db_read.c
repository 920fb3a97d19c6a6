/* SPDX-License-Identifier: GPL-3.0-or-later */
/* db_read.c - reading whole zones in order, from the trees. */
#include <errno.h>

#include "db.h"
#include "db_protocol.h"
#include "rrtype.h"
#include "wire.h"

const struct snapshot *reader_snapshot(const struct reader *r, const struct name *apex)
{
	const uint8_t *base = r->map.base;
	uint64_t hash = name_hash(arena_map_head(&r->map)->secret, apex->wire, apex->len);
	const struct node *n = table_find(base, table_current(base), hash, apex->wire, apex->len);

	for (; n; n = node_sibling(base, n)) {
		const struct snapshot *s;

		if ((n->flags & NODE_APEX) && node_visible(base, n, r->version, &s))
			return s;
	}
	return NULL;
}

int reader_zone(const struct reader *r, const struct name *apex, struct zone_info *zi)
{
	const struct snapshot *s = reader_snapshot(r, apex);

	if (!s)
		return -ENOENT;
	zi->apex = *apex;
	zi->serial = s->serial;
	zi->names = s->names;
	zi->records = s->records;
	return 0;
}

static int walk_node(const struct node *n, zone_rr_cb cb, void *arg)
{
	const struct rrset *set = node_rrsets(n);
	uint8_t rdata[UINT16_MAX];

	for (unsigned i = 0; i < n->rrset_cnt; i++) {
		for (uint32_t pos = 0, next; pos < set[i].len + set[i].sig_len; pos = next) {
			const uint8_t *rr = rrset_block(n, &set[i]) + pos + node_owner_len(n);
			size_t len = block_rdata(n, &set[i], pos, rdata, &next);
			int stop = cb(arg, n->name, wire_read16(rr), wire_read32(rr + 4),
				      rdata, (uint16_t)len);

			if (stop)
				return stop;
		}
	}
	return 0;
}

static int walk(const uint8_t *base, const struct snapshot *s, const struct name *only,
		zone_rr_cb cb, void *arg)
{
	struct tree_iter it;
	int stop = 0;

	if (only) {
		ref one = tree_find(base, s->tree, only->wire);

		return one ? walk_node(arena_at(base, one), cb, arg) : -ENOENT;
	}
	for (ref n = tree_first(&it, base, s->tree); n && !stop; n = tree_next(&it))
		stop = walk_node(arena_at(base, n), cb, arg);
	return stop;
}

int reader_walk(const struct reader *r, const struct name *apex, const struct name *only,
		zone_rr_cb cb, void *arg)
{
	const struct snapshot *s = reader_snapshot(r, apex);

	return s ? walk(r->map.base, s, only, cb, arg) : -ENOENT;
}

int pin_walk(const struct zone_pin *pin, const struct name *only, zone_rr_cb cb, void *arg)
{
	return walk(pin->base, arena_at(pin->base, pin->snapshot), only, cb, arg);
}

int reader_walk_after(const struct reader *r, const struct name *apex, const uint8_t *after,
		      zone_rr_cb cb, void *arg)
{
	const struct snapshot *s = reader_snapshot(r, apex);
	const uint8_t *base = r->map.base;
	struct tree_iter it;
	int stop = 0;

	if (!s)
		return -ENOENT;

	ref n = tree_seek(&it, base, s->tree, after);

	if (n && name_cmp(((const struct node *)arena_at(base, n))->name, after) == 0)
		n = tree_next(&it);
	for (; n && !stop; n = tree_next(&it))
		stop = walk_node(arena_at(base, n), cb, arg);
	return stop;
}
