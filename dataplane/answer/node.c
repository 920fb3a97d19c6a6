/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "node.h"

#include <assert.h>
#include <string.h>

#include "name_hash.h"
#include "nsec3.h"
#include "rrtype.h"
#include "wire.h"

#define BAKED_QUESTION 12 /* where the owner stands in the message a block is baked for */
#define RELOCS_MAX 8192   /* an RR with a pointer has 14 octets, an RRset at most 65,535 */
#define SUFFIXES 1024     /* names a block's compression remembers; later ones are not pointed at */

/* A name, or the end of one, that a pointer may refer to. */
struct suffix {
	uint16_t pos;  /* octet of the owner (in_block 0) or of the block */
	uint8_t len;   /* uncompressed octets */
	uint8_t in_block;
};

struct bake {
	const uint8_t *owner;
	uint8_t *block;
	size_t at;            /* octets of the block so far */
	uint16_t *reloc;      /* of the RRset, kept aside until the block is done */
	size_t reloc_cnt, reloc_cap;
	struct suffix suffix[SUFFIXES];
	size_t suffix_cnt;
};

/* The baked pointer at p: the next label sequence, in the owner or in the block. */
static const uint8_t *follow(const uint8_t *block, const uint8_t *owner, const uint8_t *p)
{
	unsigned target = wire_read16(p) & 0x3fffu;
	unsigned owner_len = (unsigned)name_wire_len(owner);

	if (target < BAKED_QUESTION + owner_len)
		return owner + (target - BAKED_QUESTION);
	return block + (target - BAKED_QUESTION - owner_len - 4);
}

/* Does the possibly compressed name at p read as the uncompressed folded `name`? */
static bool same_name(const struct bake *b, const uint8_t *p, const uint8_t *name)
{
	for (;;) {
		if (*p >= 0xc0) {
			p = follow(b->block, b->owner, p);
			continue;
		}
		if (*p != *name)
			return false;
		if (*p == 0)
			return true;
		name++;
		for (unsigned n = *p++; n > 0; n--)
			if (name_fold(*p++) != *name++)
				return false;
	}
}

static const struct suffix *find_suffix(const struct bake *b, const uint8_t *name, uint8_t len)
{
	for (size_t i = 0; i < b->suffix_cnt; i++) {
		const struct suffix *s = &b->suffix[i];

		if (s->len == len &&
		    same_name(b, s->in_block ? b->block + s->pos : b->owner + s->pos, name))
			return s;
	}
	return NULL;
}

static void add_suffix(struct bake *b, size_t pos, uint8_t len, bool in_block)
{
	if (b->suffix_cnt < SUFFIXES)
		b->suffix[b->suffix_cnt++] = (struct suffix){
			.pos = (uint16_t)pos, .len = len, .in_block = in_block };
}

/* Write an RDATA name of a type that may be compressed (RFC 3597 section 4). */
static bool bake_name(struct bake *b, const uint8_t *wire)
{
	struct name n;
	size_t start = b->at;
	unsigned i;
	const struct suffix *s = NULL;

	name_from_wire(&n, wire, NAME_MAX_LEN);
	for (i = 0; i < n.labels; i++) {
		s = find_suffix(b, n.wire + n.off[i], n.len - n.off[i]);
		if (s)
			break;
	}
	memcpy(b->block + b->at, wire, n.off[i]); /* the labels that stand nowhere yet, case kept */
	b->at += n.off[i];
	for (unsigned k = 0; k < i && start + n.off[k] < BLOCK_NAMES; k++)
		add_suffix(b, start + n.off[k], n.len - n.off[k], true);
	if (!s) {
		b->block[b->at++] = 0;
		return true;
	}
	if (b->reloc_cnt == b->reloc_cap)
		return false;
	b->reloc[b->reloc_cnt++] = (uint16_t)b->at;

	unsigned target = BAKED_QUESTION + s->pos;

	if (s->in_block)
		target += (unsigned)name_wire_len(b->owner) + 4;
	wire_write16(b->block + b->at, (uint16_t)(0xc000 | target));
	b->at += 2;
	return true;
}

static bool bake_rr(struct bake *b, const struct record *rr, size_t room)
{
	if (room < b->at || room - b->at < 2 + RR_FIXED + (size_t)rr->rdata_len)
		return false;

	uint8_t *p = b->block + b->at;
	size_t copied = 0, at = 0, pos;
	unsigned field = 0;
	enum rd_field kind;

	if (*b->owner == 0) {
		*p++ = 0;
	} else {
		wire_write16(p, 0xc000 | BAKED_QUESTION);
		p += 2;
	}
	wire_write16(p, rr->type);
	wire_write16(p + 2, CLASS_IN);
	wire_write32(p + 4, rr->ttl);
	b->at = (size_t)(p + RR_FIXED - b->block);
	while (rdata_next_name(rr->type, rr->rdata, rr->rdata_len, &at, &field, &pos, &kind)) {
		if (kind != RD_NAME_C)
			continue;
		memcpy(b->block + b->at, rr->rdata + copied, pos - copied);
		b->at += pos - copied;
		if (!bake_name(b, rr->rdata + pos))
			return false;
		copied = pos + name_wire_len(rr->rdata + pos);
	}
	memcpy(b->block + b->at, rr->rdata + copied, rr->rdata_len - copied);
	b->at += rr->rdata_len - copied;
	wire_write16(p + 8, (uint16_t)(b->block + b->at - p - RR_FIXED));
	return true;
}

static uint16_t covered(const struct record *sig)
{
	return wire_read16(sig->rdata);
}

/* The RRs [0..n) at rr that share rr's type (RRSIGs: also the type they cover). */
static size_t set_len(const struct record *rr, size_t cnt)
{
	size_t n = 1;

	while (n < cnt && rr[n].type == rr->type &&
	       (rr->type != TYPE_RRSIG || covered(&rr[n]) == covered(rr)))
		n++;
	return n;
}

/* The hashes end where glue begins, which is 8-aligned. */
static bool bake_hashes(struct node *buf, size_t cap, const struct node_source *src)
{
	size_t len = (src->flags & NODE_HASHED ? NODE_HASHES : 0) +
		     (src->flags & NODE_PROOF ? NODE_HASH : 0);
	size_t end = (buf->size + len + 7) & ~(size_t)7;
	uint8_t *p = (uint8_t *)buf + buf->size;

	if (end > cap)
		return false;
	memset(p, 0, end - buf->size);
	p = (uint8_t *)buf + end - len;
	if (src->flags & NODE_PROOF) {
		nsec3_decode(p, src->owner);
		p += NODE_HASH;
	}
	if (src->flags & NODE_HASHED)
		memcpy(p, src->hashes, NODE_HASHES);
	buf->size = (uint32_t)end;
	return true;
}

size_t node_bake(struct node *buf, size_t cap, const struct node_source *src)
{
	size_t owner_len = name_wire_len(src->owner);
	const struct record *rr = src->rr, *end = rr ? rr + src->rr_cnt : rr, *sig = rr, *sig_end;
	uint16_t relocs[RELOCS_MAX];
	struct bake b; /* the suffixes, 4 KiB, are written before they are read */

	if (cap < 4096)
		return 0;
	b.owner = src->owner;
	b.reloc = relocs;
	b.reloc_cap = sizeof(relocs) / sizeof(relocs[0]);
	memset(buf, 0, offsetof(struct node, name));
	buf->flags = src->flags;
	buf->cover_labels = src->cover_labels;
	buf->labels = (uint8_t)name_wire_labels(src->owner);
	buf->name_len = (uint8_t)owner_len;
	memcpy(buf->name, src->owner, owner_len);
	memset(buf->name + owner_len, 0, node_rrset_off(buf) - offsetof(struct node, name) - owner_len);

	while (sig < end && sig->type != TYPE_RRSIG)
		sig++;
	for (sig_end = sig; sig_end < end && sig_end->type == TYPE_RRSIG; sig_end++)
		;

	/* How many RRsets: a merge of the types that stand here and those covered. */
	size_t sets = 0;

	for (int pass = 0; pass < 2; pass++) {
		struct rrset *set = (struct rrset *)((uint8_t *)buf + node_rrset_off(buf));
		size_t at = node_rrset_off(buf) + sets * sizeof(*set), i = 0;
		const struct record *r = rr, *g = sig;

		if (at > cap)
			return 0;
		for (;; i++) {
			if (r == sig)
				r = sig_end; /* RRSIGs are not a set of their own */
			if (r >= end && g >= sig_end)
				break;
			uint16_t type = r >= end ? covered(g) :
					g >= sig_end || r->type < covered(g) ? r->type : covered(g);
			size_t n = r < end && r->type == type ? set_len(r, (size_t)(end - r)) : 0;
			size_t k = g < sig_end && covered(g) == type ? set_len(g, (size_t)(sig_end - g)) : 0;

			if (pass == 1) {
				/* The owner's suffixes may be pointed at; all of a wildcard but the
				 * asterisk: what stands in the question is another name then. */
				struct name o;

				name_from_wire(&o, src->owner, NAME_MAX_LEN);
				b.block = (uint8_t *)buf + at;
				b.at = b.reloc_cnt = b.suffix_cnt = 0;
				for (unsigned l = name_is_wildcard(src->owner); l < o.labels; l++)
					add_suffix(&b, o.off[l], o.len - o.off[l], false);
				for (size_t j = 0; j < n; j++)
					if (!bake_rr(&b, &r[j], cap - at))
						return 0;
				size_t len = b.at;

				for (size_t j = 0; j < k; j++)
					if (!bake_rr(&b, &g[j], cap - at))
						return 0;
				set[i] = (struct rrset){
					.type = type, .rr_cnt = (uint16_t)n, .sig_cnt = (uint16_t)k,
					.reloc_cnt = (uint16_t)b.reloc_cnt, .off = (uint32_t)at,
					.len = (uint32_t)len, .sig_len = (uint32_t)(b.at - len) };
				size_t pad = (at + b.at) & 1;

				if (cap - at < b.at + pad + 2 * b.reloc_cnt)
					return 0;
				if (pad)
					b.block[b.at] = 0;
				memcpy(b.block + b.at + pad, relocs, 2 * b.reloc_cnt);
				at += (b.at + pad + 2 * b.reloc_cnt + 3) & ~(size_t)3;
				memset(b.block + b.at + pad + 2 * b.reloc_cnt, 0,
				       (size_t)((uint8_t *)buf + at - (b.block + b.at + pad + 2 * b.reloc_cnt)));
			}
			r += n;
			g += k;
		}
		sets = i;
		buf->rrset_cnt = (uint16_t)sets;
		buf->size = (uint32_t)at;
	}

	if ((src->flags & (NODE_HASHED | NODE_PROOF)) && !bake_hashes(buf, cap, src))
		return 0;
	if (!(src->flags & (NODE_CUT | NODE_APEX)))
		return buf->size;
	const struct rrset *ns = node_rrset(buf, TYPE_NS);

	if (!ns)
		return buf->size;

	size_t at = (buf->size + 7u) & ~(size_t)7;
	struct glue_ref *glue = (struct glue_ref *)((uint8_t *)buf + at);

	if (cap - at < ns->rr_cnt * sizeof(*glue))
		return 0;
	memset((uint8_t *)buf + buf->size, 0, at - buf->size);

	uint32_t pos = 0;

	for (unsigned j = 0; j < ns->rr_cnt; j++) {
		uint32_t name_at = pos + node_owner_len(buf) + RR_FIXED;
		struct name target;
		uint8_t wire[NAME_MAX_LEN];

		block_name(buf, ns, name_at, wire);
		name_from_wire(&target, wire, sizeof(wire));
		if (name_within(target.wire, src->apex)) {
			glue[buf->glue_cnt++] = (struct glue_ref){
				.hash = name_hash(src->secret, target.wire, target.len),
				.pos = name_at,
				.in_domain = (src->flags & NODE_CUT) &&
					     name_within(target.wire, src->owner) };
		}
		pos = name_at + wire_read16(rrset_block(buf, ns) + name_at - 2);
	}
	if (buf->glue_cnt)
		buf->size = (uint32_t)(at + buf->glue_cnt * sizeof(*glue));
	return buf->size;
}

bool node_same(const struct node *a, const struct node *b)
{
	size_t from = offsetof(struct node, flags);

	return a->size == b->size &&
	       memcmp((const uint8_t *)a + from, (const uint8_t *)b + from, a->size - from) == 0;
}

size_t block_name(const struct node *n, const struct rrset *s, uint32_t pos, uint8_t *wire)
{
	const uint8_t *block = rrset_block(n, s), *p = block + pos;
	size_t len = 0;

	for (;;) {
		if (*p >= 0xc0) {
			p = follow(block, n->name, p);
			continue;
		}
		memcpy(wire + len, p, 1u + *p);
		len += 1u + *p;
		if (*p == 0)
			return len;
		p += 1 + *p;
	}
}

size_t block_rdata(const struct node *n, const struct rrset *s, uint32_t pos,
		   uint8_t *rdata, uint32_t *next)
{
	const uint8_t *block = rrset_block(n, s);
	const uint8_t *fields = rrtype_fields(wire_read16(block + pos + node_owner_len(n)));
	uint32_t at = pos + node_owner_len(n) + RR_FIXED, end = at + wire_read16(block + at - 2);
	size_t len = 0;

	/* Types with names that are compressed hold but names and numbers before
	 * the last of them; all else is copied as it stands. */
	for (; fields && at < end; fields++) {
		unsigned number = *fields == RD_16 ? 2 : 0;

		if (*fields == RD_NAME_C) {
			len += block_name(n, s, at, rdata + len);
			at = (uint32_t)name_skip(block, at, end);
		} else if (number) {
			memcpy(rdata + len, block + at, number);
			len += number;
			at += number;
		} else {
			break;
		}
	}
	memcpy(rdata + len, block + at, end - at);
	*next = end;
	return len + end - at;
}
