/* SPDX-License-Identifier: GPL-3.0-or-later */
/* db_diff.c - a zone that stands and a list of records; see db_diff.h.
 *
 * Records and nodes that were met are bits, one for each 8 octets of the arena: a record has
 * at least 11 (an owner of one octet and RR_FIXED), and a node's first octets are none of its
 * records'. */
#include "db_diff.h"

#include "db_private.h"
#include "rrtype.h"
#include "wire.h"

#define GRAIN 8            /* octets of the arena for a bit */
#define MANY_SHARE 16      /* so much of a zone's records, */
#define MANY_MIN 1024      /* and so many, may differ */

struct zone_diff {
	const struct db *db;
	struct name apex;
	ref zone;
	const struct snapshot *standing;
	uint8_t *met;            /* the bits */
	size_t met_cnt;          /* of records */
	const struct node *last; /* of the owner told last, or NULL */
	struct records rs;       /* what differs; at the end, all records of names where something does */
	struct rrset_change *change;
	uint8_t rdata[UINT16_MAX];
};

int zone_diff_open(struct zone_diff **out, const struct db *db, const struct name *apex)
{
	ref zone = zone_find(db, apex->wire, apex->len);
	struct arena_usage u;

	if (!zone)
		return -ENOENT;
	const struct zone *z = at(db, zone);
	const struct snapshot *s = at(db, atomic_load_explicit(&z->snapshot, memory_order_relaxed));

	if (s->chains || s->stale)
		return -ENOTSUP;
	struct zone_diff *d = malloc(sizeof(*d));

	if (!d)
		return -ENOMEM;
	arena_usage(db->arena, &u);
	d->db = db;
	d->apex = *apex;
	d->zone = zone;
	d->standing = s;
	d->met = calloc(u.fill / GRAIN / 8 + 1, 1);
	d->met_cnt = 0;
	d->last = NULL;
	d->change = NULL;
	records_init(&d->rs);
	if (!d->met) {
		free(d);
		return -ENOMEM;
	}
	*out = d;
	return 0;
}

void zone_diff_free(struct zone_diff *d)
{
	if (!d)
		return;
	records_free(&d->rs);
	free(d->change);
	free(d->met);
	free(d);
}

/* The bit of what begins at p; *octet has it. */
static uint8_t bit_of(const struct zone_diff *d, const void *p, uint8_t **octet)
{
	size_t i = (size_t)((const uint8_t *)p - d->db->base) / GRAIN;

	*octet = &d->met[i / 8];
	return (uint8_t)(1u << i % 8);
}

static bool is_met(const struct zone_diff *d, const void *p)
{
	uint8_t *octet, bit = bit_of(d, p, &octet);

	return *octet & bit;
}

/* False if it was met before. */
static bool meet(struct zone_diff *d, const void *p)
{
	uint8_t *octet, bit = bit_of(d, p, &octet);
	bool first = !(*octet & bit);

	*octet |= bit;
	return first;
}

/* The zone's node of a name, or NULL. */
static const struct node *node_of(const struct zone_diff *d, const uint8_t *name)
{
	const struct db *db = d->db;
	size_t len = name_wire_len(name);
	const struct node *n = table_find(db->base, db->table.table, hash_of(db, name, len), name, len);

	while (n && (n->zone != d->zone ||
		     atomic_load_explicit(&n->deleted, memory_order_relaxed) != VERSION_NEVER))
		n = node_sibling(db->base, n);
	return n;
}

static size_t many(const struct zone_diff *d)
{
	return d->standing->records / MANY_SHARE + MANY_MIN;
}

/* Meet the record in its node, if it stands there as it is. */
static bool meet_record(struct zone_diff *d, const struct node *n, const struct record *rr)
{
	const struct rrset *set = node_rrset(n, rr->type);

	for (uint32_t pos = 0, next; set && pos < set->len; pos = next) {
		const uint8_t *there = rrset_block(n, set) + pos;
		size_t len = block_rdata(n, set, pos, d->rdata, &next);

		if (len != rr->rdata_len || memcmp(d->rdata, rr->rdata, len) != 0)
			continue;
		if (wire_read32(there + node_owner_len(n) + 4) != rr->ttl)
			return false;
		d->met_cnt += meet(d, there);
		return true;
	}
	return false;
}

int zone_diff_add(struct zone_diff *d, const struct record *rr)
{
	if (rr->type == TYPE_RRSIG || rr->type == TYPE_NSEC || rr->type == TYPE_NSEC3 ||
	    rr->type == TYPE_NSEC3PARAM)
		return -ENOTSUP;

	size_t len = name_wire_len(rr->owner);

	if (!d->last || d->last->name_len != len || memcmp(d->last->name, rr->owner, len) != 0)
		d->last = node_of(d, rr->owner);
	if (d->last && meet_record(d, d->last, rr))
		return 0;
	if (!d->last && !name_within(rr->owner, d->apex.wire))
		return -ERANGE;
	if (d->rs.cnt >= many(d))
		return -E2BIG;
	return records_add(&d->rs, rr->owner, rr->type, rr->ttl, rr->rdata, rr->rdata_len, rr->file, rr->line);
}

/* Have all of a node's records been met? */
static bool all_met(const struct zone_diff *d, const struct node *n)
{
	const struct rrset *set = node_rrsets(n);

	for (unsigned i = 0; i < n->rrset_cnt; i++) {
		const uint8_t *block = rrset_block(n, &set[i]);

		for (uint32_t pos = 0; pos < set[i].len; pos += RR_FIXED + node_owner_len(n) +
		     wire_read16(block + pos + node_owner_len(n) + 8))
			if (!is_met(d, block + pos))
				return false;
		if (set[i].sig_len)
			return false;
	}
	return true;
}

/* A name changes: note that, once if there is a node, and its records that stay. */
static int touch(struct zone_diff *d, const uint8_t *name, const struct node *n)
{
	const struct rrset *set = n ? node_rrsets(n) : NULL;
	int err;

	if (n && !meet(d, n))
		return 0;
	err = records_add(&d->rs, name, TYPE_ANY, 0, NULL, 0, 0, 0);
	for (unsigned i = 0; n && i < n->rrset_cnt; i++)
		for (uint32_t pos = 0, next; !err && pos < set[i].len; pos = next) {
			const uint8_t *rr = rrset_block(n, &set[i]) + pos;
			size_t len = block_rdata(n, &set[i], pos, d->rdata, &next);

			if (is_met(d, rr))
				err = records_add(&d->rs, name, set[i].type, wire_read32(rr + node_owner_len(n) + 4),
						  d->rdata, (uint16_t)len, 0, 0);
		}
	return err;
}

/* All names that change. */
static int touch_all(struct zone_diff *d)
{
	size_t cnt = d->rs.cnt, gone = d->standing->records - d->met_cnt;
	struct tree_iter it;
	int err;

	if (gone > many(d))
		return -E2BIG;
	err = touch(d, d->apex.wire, at(d->db, d->standing->apex));
	for (size_t i = 0; !err && i < cnt; i++) {
		const uint8_t *owner = d->rs.rr[i].owner; /* octets stay where they are */

		if (i == 0 || owner != d->rs.rr[i - 1].owner)
			err = touch(d, owner, node_of(d, owner));
	}
	if (err || !gone)
		return err;
	for (ref r = tree_first(&it, d->db->base, d->standing->tree); !err && r; r = tree_next(&it)) {
		const struct node *n = at(d->db, r);

		if (!all_met(d, n))
			err = touch(d, n->name, n);
	}
	return err;
}

int zone_diff_end(struct zone_diff *d, const struct rrset_change **c, size_t *cnt)
{
	const struct record *rr;
	size_t out = 0;
	int err = touch_all(d);

	if (!err)
		err = records_sort(&d->rs);
	if (err)
		return err;
	d->change = malloc((2 * d->rs.cnt + 1) * sizeof(*d->change));
	if (!d->change)
		return -ENOMEM;
	rr = d->rs.rr;
	for (size_t i = 0, n; i < d->rs.cnt; i += n) {
		if (i == 0 || rr[i].owner != rr[i - 1].owner)
			d->change[out++] = (struct rrset_change){ .owner = rr[i].owner, .type = TYPE_ANY };
		for (n = 1; i + n < d->rs.cnt && rr[i + n].owner == rr[i].owner && rr[i + n].type == rr[i].type; n++)
			;
		if (rr[i].type != TYPE_ANY)
			d->change[out++] = (struct rrset_change){
				.owner = rr[i].owner, .type = rr[i].type, .rr = rr + i, .rr_cnt = n,
			};
	}
	*c = d->change;
	*cnt = out;
	return 0;
}
