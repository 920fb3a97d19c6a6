/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "answer.h"

#include <string.h>

#include "denial.h"
#include "rrtype.h"
#include "write.h"

#define POINTER_MAX 0x3fff /* octets a compression pointer reaches (RFC 1035 4.1.4) */

/* CNAMEs and DNAMEs followed for one question, and how far into the message: without
 * signatures a step takes at most 800 octets, so of a step begun before CHAIN_END every name
 * that the next can need stands where a pointer reaches.  Signatures may be longer. */
#define CHAIN_MAX 16
#define CHAIN_END (POINTER_MAX - 800) /* octets */

#define BURST_AHEAD 64 /* queries whose data is fetched at a time, */
#define BLOCK_AHEAD 4  /* of a block so many cache lines and the last, */
#define GLUE_AHEAD 4   /* and the addresses of so many name servers */

enum section { ANSWER, AUTHORITY, ADDITIONAL };

/* An answer that is being written, and the name it has got to. */
struct writer {
	const struct reader *r;
	struct query *q;
	uint8_t *out;
	size_t at, limit;            /* octets; room for OPT is set aside */
	uint16_t count[3];
	bool aa, truncated;
	bool dnssec;                 /* DO: signatures and proofs go with the answer (RFC 3225) */
	uint16_t rcode;

	const struct name *sname;    /* QNAME, or the target that a chain has led to */
	uint64_t hash;
	uint16_t pos[NAME_MAX_LABELS + 1]; /* chain only: where sname's suffix of so many labels stands */
	struct name chain;
	uint64_t seen[CHAIN_MAX];    /* hashes of the names before */
	unsigned steps;
	struct proof proof;          /* what the authority section still owes */
};

/* Where in the message the suffix of sname with so many labels stands. */
static unsigned suffix_pos(const struct writer *w, unsigned labels)
{
	if (w->sname == &w->q->qname)
		return DNS_HEADER + name_suffix(w->sname, labels);
	return w->pos[labels];
}

/* Labels of the suffix of a name that begins at octet `off`. */
static unsigned labels_from(const struct node *n, unsigned off)
{
	return name_wire_labels(n->name + off);
}

/* Write RRs with all names in full: for places that pointers do not reach.
 * False if they do not fit. */
static bool put_expanded(struct writer *w, const struct node *n, const struct rrset *s,
			 uint32_t from, uint32_t to, unsigned owner_pos,
			 const uint8_t *owner, size_t owner_len)
{
	size_t at = w->at;
	uint8_t rdata[UINT16_MAX];

	for (uint32_t pos = from, next; pos < to; pos = next) {
		size_t len = block_rdata(n, s, pos, rdata, &next);
		bool pointer = owner_pos <= POINTER_MAX && owner_len > 1;
		size_t name_len = pointer ? 2 : owner_len;

		if (w->limit - at < name_len + RR_FIXED + len)
			return false;
		if (pointer)
			wire_write16(w->out + at, (uint16_t)(0xc000 | owner_pos));
		else
			memcpy(w->out + at, owner, owner_len);
		at += name_len;
		memcpy(w->out + at, rrset_block(n, s) + pos + node_owner_len(n), RR_FIXED);
		wire_write16(w->out + at + RR_FIXED - 2, (uint16_t)len);
		memcpy(w->out + at + RR_FIXED, rdata, len);
		at += RR_FIXED + len;
	}
	w->at = at;
	return true;
}

/* Move the pointers of a block that was copied to w->out[at] from where it was
 * baked (node.h). */
static inline void relocate(struct writer *w, const struct node *n, const struct rrset *s, size_t at)
{
	const uint16_t *reloc = rrset_relocs(n, s);
	unsigned baked = DNS_HEADER + n->name_len + 4u;
	unsigned block_shift = (unsigned)at - baked;
	unsigned suffix_shift = (unsigned)w->sname->len - n->name_len;
	bool linear = w->sname == &w->q->qname;

	for (unsigned i = 0; i < s->reloc_cnt; i++) {
		uint8_t *p = w->out + at + reloc[i];
		unsigned target = wire_read16(p) & POINTER_MAX;

		if (target >= baked)
			target += block_shift;
		else if (linear)
			target += suffix_shift;
		else
			target = w->pos[labels_from(n, target - DNS_HEADER)];
		wire_write16(p, (uint16_t)(0xc000 | target));
	}
}

/* Write the RRs [from, to) of an RRset's block and signatures; their owner stands
 * at owner_pos, and is `owner` in full.  A set that does not fit is left out
 * whole, and false returned. */
static inline __attribute__((always_inline))
bool put_block(struct writer *w, enum section section, const struct node *n,
			     const struct rrset *s, uint32_t from, uint32_t to, unsigned cnt,
			     unsigned owner_pos, const uint8_t *owner, size_t owner_len)
{
	size_t len = to - from, at = w->at;
	bool pointers = from < s->len && s->reloc_cnt > 0;

	if (__builtin_expect(owner_pos > POINTER_MAX || at + len > POINTER_MAX, 0)) {
		size_t names = len < BLOCK_NAMES ? len : BLOCK_NAMES; /* what pointers may have to reach */

		if (owner_pos > POINTER_MAX || (pointers && at + names > POINTER_MAX)) {
			if (!put_expanded(w, n, s, from, to, owner_pos, owner, owner_len))
				return false;
			w->count[section] = (uint16_t)(w->count[section] + cnt);
			return true;
		}
	}
	if (w->limit - at < len)
		return false;

	uint8_t *out = w->out + at;

	octets_copy(out, rrset_block(n, s) + from, len);
	if (owner_pos != DNS_HEADER && n->name_len > 1) {
		for (uint8_t *p = out; p < out + len; p += 2 + RR_FIXED + wire_read16(p + RR_FIXED))
			wire_write16(p, (uint16_t)(0xc000 | owner_pos));
	}
	/* Right behind the question for the owner itself everything is in place. */
	if (pointers && (at != DNS_HEADER + n->name_len + 4u || w->sname->len != n->name_len ||
			 w->sname != &w->q->qname))
		relocate(w, n, s, at);
	w->at = at + len;
	w->count[section] = (uint16_t)(w->count[section] + cnt);
	return true;
}

static __attribute__((noinline))
bool put_block_of(struct writer *w, enum section section, const struct node *n,
		  const struct rrset *s, uint32_t from, uint32_t to, unsigned cnt,
		  unsigned owner_pos, const uint8_t *owner, size_t owner_len)
{
	return put_block(w, section, n, s, from, to, cnt, owner_pos, owner, owner_len);
}

/* Octets of an RRset and the signatures that go with it, and how many RRs. */
static uint32_t signed_len(const struct writer *w, const struct rrset *s)
{
	return w->dnssec ? s->len + s->sig_len : s->len;
}

static unsigned signed_cnt(const struct writer *w, const struct rrset *s)
{
	return w->dnssec ? s->rr_cnt + (unsigned)s->sig_cnt : s->rr_cnt;
}

/* Write an RRset whose owner is sname itself or above it; a wildcard's is sname
 * (RFC 4592 section 3.3.1).  With DO its signatures stand right behind it and are as
 * much required as it is (RFC 4035 section 3.1.1). */
static inline __attribute__((always_inline))
bool put_rrset_here(struct writer *w, enum section section, const struct node *n,
		    const struct rrset *s, bool expand)
{
	unsigned labels = expand ? w->sname->labels : n->labels;
	const uint8_t *owner = w->sname->wire + name_suffix(w->sname, labels);

	if (put_block(w, section, n, s, 0, signed_len(w, s), signed_cnt(w, s),
		      suffix_pos(w, labels), owner,
		      w->sname->len - name_suffix(w->sname, labels)))
		return true;
	w->truncated = true; /* RFC 2181 section 9 */
	return false;
}

static __attribute__((noinline))
bool put_rrset(struct writer *w, enum section section, const struct node *n,
	       const struct rrset *s, bool expand)
{
	return put_rrset_here(w, section, n, s, expand);
}

static bool put_signatures(struct writer *w, const struct node *n, const struct rrset *s,
			   bool expand)
{
	unsigned labels = expand ? w->sname->labels : n->labels;
	const uint8_t *owner = w->sname->wire + name_suffix(w->sname, labels);

	if (put_block_of(w, ANSWER, n, s, s->len, s->len + s->sig_len, s->sig_cnt,
		      suffix_pos(w, labels), owner,
		      w->sname->len - name_suffix(w->sname, labels)))
		return true;
	w->truncated = true;
	return false;
}

/* The addresses of node n, whose name stands at `pos`, to the additional section.  False if some are
 * left out for want of room. */
static bool put_node_addresses(struct writer *w, const struct node *n, size_t pos)
{
	static const uint16_t types[] = { TYPE_A, TYPE_AAAA };

	for (unsigned i = 0; i < 2; i++) {
		const struct rrset *s = node_rrset(n, types[i]);

		if (!s)
			continue;
		/* Signatures of what is no glue are left out before the addresses are, and
		 * that is no truncation (RFC 4035 section 3.1.1). */
		if (!put_block_of(w, ADDITIONAL, n, s, 0, signed_len(w, s), signed_cnt(w, s),
				  (unsigned)pos, n->name, n->name_len) &&
		    (signed_len(w, s) == s->len ||
		     !put_block_of(w, ADDITIONAL, n, s, 0, s->len, s->rr_cnt, (unsigned)pos, n->name,
				   n->name_len)))
			return false;
	}
	return true;
}

/* The addresses of a name server in the same zone. */
static bool put_addresses(struct writer *w, const struct zone *zone, const struct node *ns_node,
			  const struct rrset *ns, const struct glue_ref *g, size_t ns_at)
{
	uint8_t wire[NAME_MAX_LEN + 1];
	size_t len = block_name(ns_node, ns, g->pos, wire);

	for (size_t i = 0; i < len; i += 16) /* lengths are no letters */
		octets_store16(wire + i, octets_fold(octets_load16(wire + i)));

	const struct node *n = find_in_zone(w->r, zone, g->hash, wire, len);

	return !n || put_node_addresses(w, n, ns_at + g->pos);
}

#define TARGETS_MAX 16 /* of an RRset, whose addresses are looked for */

/* Octets before the target in the RDATA of types that have one (RFC 1035 section 3.3.9, RFC 2782,
 * RFC 9460 section 2.2), or -1. */
static int target_off(uint16_t type)
{
	return type == TYPE_MX || type == TYPE_SVCB || type == TYPE_HTTPS ? 2 :
	       type == TYPE_SRV ? 6 : -1;
}

/* The addresses in our zones of the targets of an RRset, which was written at w->out[at]: for who wants
 * them (`additional: full`), as far as there is room. */
static void put_targets(struct writer *w, const struct node *n, const struct rrset *s, size_t at)
{
	uint64_t done[TARGETS_MAX];
	unsigned cnt = 0, off = (unsigned)target_off(s->type);

	for (uint32_t pos = 0; pos < s->len && cnt < TARGETS_MAX;) {
		uint32_t name_at = pos + node_owner_len(n) + RR_FIXED + off;
		uint8_t wire[NAME_MAX_LEN];
		struct name target;
		struct found f;

		pos = name_at - off + wire_read16(rrset_block(n, s) + name_at - off - 2);
		name_from_wire(&target, wire, block_name(n, s, name_at, wire));
		uint64_t hash = name_hash(arena_map_head(&w->r->map)->secret, target.wire, target.len);
		unsigned i = 0;

		while (i < cnt && done[i] != hash)
			i++;
		if (i < cnt)
			continue;
		done[cnt++] = hash;
		find_name(w->r, &target, hash, NULL, target.labels, &f);
		/* Glue is for referrals only (RFC 2181 section 5.4.1). */
		if (f.zone && f.exact && !(f.node->flags & (NODE_BELOW | NODE_CUT)) &&
		    !put_node_addresses(w, f.node, at + name_at))
			return;
	}
}

/* Does a name end in a node's last `labels` labels, `len` octets at `suffix`? */
static inline bool ends_in(const struct name *name, const uint8_t *suffix, unsigned len,
			   unsigned labels)
{
	return labels <= name->labels && len == name->len - (unsigned)name_suffix(name, labels) &&
	       memcmp(name->wire + name_suffix(name, labels), suffix, len) == 0;
}

/* The longest end of a node's name, of *labels labels, that stands already: it is sname's or the
 * question's, and `known` labels of it are sname's for certain.  Returns the octets before it;
 * *pos is where it stands. */
static __attribute__((noinline)) unsigned shared_end(const struct writer *w, const struct node *n,
						     unsigned known, unsigned *labels, unsigned *pos)
{
	const struct name *qname = &w->q->qname;
	unsigned l = n->labels, head = 0;

	for (; l > known; head += 1u + n->name[head], l--) {
		const uint8_t *suffix = n->name + head;

		if (ends_in(w->sname, suffix, n->name_len - head, l))
			break;
		if (w->steps && ends_in(qname, suffix, n->name_len - head, l)) {
			*labels = l;
			*pos = DNS_HEADER + name_suffix(qname, l);
			return head;
		}
	}
	*labels = l;
	*pos = l ? suffix_pos(w, l) : 0;
	return head;
}

/* Write an NSEC or NSEC3 RRset with its signatures.  Its owner stands nowhere yet, but for
 * what shared_end finds. */
static bool put_proof(struct writer *w, const struct node *n, const struct rrset *s)
{
	const struct zone *zone = arena_at(w->r->map.base, n->zone);
	unsigned labels = zone->labels, head = n->name[0] + 1u, pos;
	const struct name *sname = w->sname;
	const uint8_t *beside = sname->wire + name_suffix(sname, labels + (sname->labels > labels));
	size_t len = s->len + s->sig_len, at = w->at;

	/* Mostly the owner is a label below the apex that sname does not have there, or the apex;
	 * sname is in the zone until a chain has led elsewhere. */
	if (!w->steps && n->labels == labels + 1 && wire_read16(n->name) != wire_read16(beside))
		pos = suffix_pos(w, labels);
	else if (!w->steps && n->labels == labels)
		head = 0, pos = suffix_pos(w, labels);
	else
		head = shared_end(w, n, w->steps ? 0 : labels, &labels, &pos);
	if (head == 0 || at > POINTER_MAX)
		return put_block_of(w, AUTHORITY, n, s, 0, s->len + s->sig_len,
				 s->rr_cnt + (unsigned)s->sig_cnt,
				 head ? POINTER_MAX + 1 : pos, n->name, n->name_len);

	/* The first RR with its owner, the others pointing there.  The end of the owner takes the
	 * place of the block's pointer, which is one octet more than the root. */
	unsigned root = labels == 0;
	uint8_t *p = w->out + at + head - root, *end = p + len;

	if (w->limit - at < head + len - root)
		return false;
	memcpy(w->out + at, n->name, head);
	memcpy(p + root, rrset_block(n, s) + root, len - root);
	if (root)
		p[1] = 0;
	else
		wire_write16(p, (uint16_t)(0xc000 | pos));
	while (p += 2 + RR_FIXED + wire_read16(p + RR_FIXED), p < end)
		wire_write16(p, (uint16_t)(0xc000 | at));
	w->at = (size_t)(end - w->out);
	w->count[AUTHORITY] = (uint16_t)(w->count[AUTHORITY] + s->rr_cnt + s->sig_cnt);
	return true;
}

/* Proofs are as much required as what they prove (RFC 4035 section 3.1.3): no room for one
 * is truncation. */
static bool put_proofs(struct writer *w)
{
	for (unsigned i = 0; i < w->proof.cnt && !w->truncated; i++)
		w->truncated = !put_proof(w, w->proof.item[i].node, w->proof.item[i].set);
	w->proof.cnt = 0;
	return !w->truncated;
}

/* What says whether the child is signed (RFC 4035 section 3.1.4): the DS, or the proof
 * that there is none (section 3.1.4.1, RFC 5155 section 7.2.7).  False if it does not fit. */
static bool put_security(struct writer *w, const struct found *f, const struct node *cut)
{
	const struct rrset *ds = node_rrset(cut, TYPE_DS);

	if (ds && !ds->sig_cnt)
		return put_proofs(w); /* an unsigned zone's; those of a chain before it still are due */
	if (ds && !put_rrset(w, AUTHORITY, cut, ds, false))
		return false;
	if (!ds && f->snapshot->denial)
		denial_no_data(w->r, f, cut, &w->proof);
	return put_proofs(w);
}

/* A referral: NS of the cut, and glue (RFC 1034 4.3.2 step 3b, RFC 9471). */
static void put_referral(struct writer *w, const struct found *f, const struct node *cut)
{
	const struct rrset *ns = node_rrset(cut, TYPE_NS);
	const struct glue_ref *g = node_glue(cut);
	size_t ns_at = w->at;

	if (!ns || !put_rrset_here(w, AUTHORITY, cut, ns, false))
		return;
	size_t ns_len = w->at - ns_at;

	if (w->dnssec && !put_security(w, f, cut))
		return;
	if (ns_len != signed_len(w, ns))
		return; /* written in full, beyond 16 KiB: where the names stand is not known */
	/* What is required first (section 3.1), then what helps (section 3.2). */
	for (unsigned required = 2; required-- > 0;) {
		for (unsigned i = 0; i < cut->glue_cnt; i++) {
			if (g[i].in_domain == required &&
			    !put_addresses(w, f->zone, cut, ns, &g[i], ns_at)) {
				w->truncated |= required;
				return;
			}
		}
	}
}

/* No such data: the SOA, for as long as the absence may be cached (RFC 2308 section 3). */
static void put_negative(struct writer *w, const struct found *f)
{
	const struct node *apex = arena_at(w->r->map.base, f->snapshot->apex);
	const struct rrset *soa = node_rrset(apex, TYPE_SOA);
	size_t at = w->at;

	if (!soa || !put_rrset_here(w, AUTHORITY, apex, soa, false))
		return;
	/* The owner is a pointer, or the root (CHAIN_MAX); signatures have the TTL of what they
	 * cover (RFC 4034 section 3). */
	uint8_t *fixed = w->out + at + node_owner_len(apex), *end = w->out + w->at;
	uint32_t minimum = wire_read32(fixed + RR_FIXED + wire_read16(fixed + 8) - 4);

	for (; fixed < end; fixed += RR_FIXED + wire_read16(fixed + 8) + node_owner_len(apex))
		if (minimum < wire_read32(fixed + 4))
			wire_write32(fixed + 4, minimum);
}

/* Go on with the name whose (compressed) form stands at out[at]; false when the
 * chain has led there before, or is too long.  It then ends there, as one does that leaves our
 * zones, and the client goes on. */
static bool follow(struct writer *w, size_t at)
{
	uint16_t pos[NAME_MAX_LABELS + 1];
	unsigned labels = 0, len = 0;
	struct name *n = &w->chain;

	w->seen[w->steps++] = w->hash;
	for (;;) {
		const uint8_t *p = w->out + at;

		if (*p >= 0xc0) {
			at = wire_read16(p) & POINTER_MAX;
			continue;
		}
		n->off[labels] = (uint8_t)len;
		n->wire[len++] = *p;
		pos[labels] = (uint16_t)at;
		if (*p == 0)
			break;
		labels++;
		for (unsigned i = 1; i <= *p; i++)
			n->wire[len++] = name_fold(p[i]);
		at += 1u + *p;
	}
	n->labels = (uint8_t)labels;
	n->len = (uint8_t)len;
	for (unsigned i = 0; i <= labels; i++)
		w->pos[labels - i] = pos[i];
	w->sname = n;
	w->hash = name_hash(arena_map_head(&w->r->map)->secret, n->wire, n->len);
	for (unsigned i = 0; i < w->steps; i++)
		if (w->seen[i] == w->hash)
			return false;
	return w->steps < CHAIN_MAX && w->at <= CHAIN_END;
}

/* A DNAME above sname: it, and the CNAME that it stands for (RFC 6672 section 3.1).
 * True when the search goes on at the target. */
static bool put_dname(struct writer *w, const struct node *n)
{
	const struct rrset *s = node_rrset(n, TYPE_DNAME);
	size_t at = w->at;

	if (!put_rrset(w, ANSWER, n, s, false))
		return false;

	at += node_owner_len(n); /* of the DNAME's type */

	const uint8_t *target = rrset_block(n, s) + node_owner_len(n) + RR_FIXED; /* never compressed (section 2.5) */
	size_t target_len = name_wire_len(target);
	size_t prefix_len = name_suffix(w->sname, n->labels);
	bool root = target_len == 1;
	size_t rdlen = prefix_len + (root ? 1 : 2);

	if (prefix_len + target_len > NAME_MAX_LEN) {
		w->rcode = RCODE_YXDOMAIN; /* section 2.2 */
		return false;
	}
	if (w->limit - w->at < 2 + RR_FIXED + rdlen) {
		w->truncated = true;
		return false;
	}

	uint8_t *p = w->out + w->at;

	wire_write16(p, (uint16_t)(0xc000 | suffix_pos(w, w->sname->labels)));
	p += 2;
	wire_write16(p, TYPE_CNAME);
	wire_write16(p + 2, CLASS_IN);
	memcpy(p + 4, w->out + at + 4, 4); /* the DNAME's TTL (section 3.1) */
	wire_write16(p + 8, (uint16_t)rdlen);
	p += RR_FIXED;
	/* The question's own case, where the labels stand together. */
	memcpy(p, w->sname == &w->q->qname ? w->out + DNS_HEADER : w->sname->wire, prefix_len);
	if (root)
		p[prefix_len] = 0;
	else
		wire_write16(p + prefix_len, (uint16_t)(0xc000 | (at + RR_FIXED)));
	at = (size_t)(p - w->out);
	w->at = at + rdlen;
	w->count[ANSWER]++;
	/* Asked for CNAME, the synthesised one is the answer. */
	return w->q->qtype != TYPE_CNAME && w->q->qtype != TYPE_ANY && follow(w, at);
}

/* The RRSIGs of a name: they stand behind the RRsets they cover.  Over UDP those of one
 * RRset, for the reason that ANY gets one (RFC 8482). */
static bool put_all_signatures(struct writer *w, const struct node *n, bool expand)
{
	const struct rrset *s = node_rrsets(n);
	bool any = false;

	for (unsigned i = 0; i < n->rrset_cnt; i++) {
		if (!s[i].sig_cnt || s[i].type == TYPE_NSEC3)
			continue;
		any = true;
		if (!put_signatures(w, n, &s[i], expand) || transport_datagram(w->q->transport))
			break;
	}
	return any;
}

/* QTYPE ANY: over UDP one RRset (RFC 8482 section 4.1), over TCP all. */
static bool put_any(struct writer *w, const struct node *n, bool expand)
{
	const struct rrset *s = node_rrsets(n);
	bool any = false;

	for (unsigned i = 0; i < n->rrset_cnt; i++) {
		if (s[i].type == TYPE_NSEC3)
			continue;
		if (s[i].rr_cnt) {
			any = true;
			if (!put_rrset(w, ANSWER, n, &s[i], expand) ||
			    transport_datagram(w->q->transport))
				break;
		}
		if (s[i].sig_cnt && !transport_datagram(w->q->transport) && !(w->dnssec && s[i].rr_cnt)) {
			any = true;
			if (!put_signatures(w, n, &s[i], expand))
				break;
		}
	}
	return any;
}

/* The name exists, or a wildcard stands for it: its data, its CNAME, or nothing
 * of this type.  True when a CNAME was followed. */
static bool put_data(struct writer *w, const struct found *f, const struct node *n, bool expand)
{
	uint16_t qtype = w->q->qtype;
	/* NSEC3 records are not data of their owners (RFC 5155 section 7.2.8). */
	const struct rrset *s = qtype == TYPE_NSEC3 ? NULL : node_rrset(n, qtype);
	bool prove = w->dnssec && f->snapshot->denial;
	size_t at = w->at;

	if (expand && prove && (s || qtype == TYPE_ANY || qtype == TYPE_RRSIG || node_rrset(n, TYPE_CNAME)))
		denial_wildcard(w->r, f, w->sname, &w->proof);
	if (s) {
		if (put_rrset_here(w, ANSWER, n, s, expand) && qtype == TYPE_NS && !expand &&
		    w->at - at == signed_len(w, s) && put_proofs(w)) {
			/* Who asks for name servers needs their addresses next. */
			const struct glue_ref *g = node_glue(n);

			for (unsigned i = 0; i < n->glue_cnt; i++)
				if (!put_addresses(w, f->zone, n, s, &g[i], at))
					break;
		}
		if (__builtin_expect(w->q->settings && w->q->settings->additional_full, 0) && !w->truncated &&
		    target_off(qtype) >= 0 && w->at - at == signed_len(w, s) && put_proofs(w))
			put_targets(w, n, s, at);
		return false;
	}
	if (qtype == TYPE_ANY && put_any(w, n, expand))
		return false;
	if (qtype == TYPE_RRSIG && put_all_signatures(w, n, expand))
		return false;
	/* What may stand beside a CNAME is asked of its owner (RFC 4035 section 2.5). */
	s = qtype == TYPE_ANY || qtype == TYPE_RRSIG || qtype == TYPE_NSEC ? NULL :
		node_rrset(n, TYPE_CNAME);
	if (s)
		return put_rrset(w, ANSWER, n, s, expand) && follow(w, at + node_owner_len(n) + RR_FIXED);
	if (prove && expand)
		denial_wildcard_no_data(w->r, f, w->sname, n, &w->proof);
	else if (prove)
		denial_no_data(w->r, f, n, &w->proof);
	put_negative(w, f);
	return false;
}

/* The wildcard below the closest encloser (RFC 4592 section 2.1.1 and 3.3.1), or NULL. */
static const struct node *source_of_synthesis(const struct writer *w, const struct found *f)
{
	uint8_t wire[2 + NAME_MAX_LEN];
	size_t len = 2u + f->node->name_len;

	if (!(f->node->flags & NODE_WILDCARD_PARENT))
		return NULL;
	wire[0] = 1;
	wire[1] = '*';
	memcpy(wire + 2, f->node->name, f->node->name_len);
	return find_in_zone(w->r, f->zone,
			    name_hash(arena_map_head(&w->r->map)->secret, wire, len), wire, len);
}

/* What stands for a node that is there, but is not to be seen.  NULL if it is missing. */
static __attribute__((noinline)) const struct node *seen_instead(const struct writer *w,
								 struct found *f)
{
	const struct node *n = f->node;

	f->exact = false;
	if (n->flags & NODE_HIDDEN) /* RFC 5155 section 7.2.8: as if it did not exist. */
		n = f->node = arena_at(w->r->map.base, f->snapshot->apex);
	if (!(n->flags & NODE_BELOW))
		return n;

	/* Occluded: only the cut or DNAME above it is seen. */
	const uint8_t *wire = n->name;

	for (unsigned i = n->labels; i > n->cover_labels; i--)
		wire += 1 + *wire;
	size_t len = n->name_len - (size_t)(wire - n->name);

	return find_in_zone(w->r, f->zone, name_hash(arena_map_head(&w->r->map)->secret, wire, len),
			    wire, len);
}

/* From where sname is, or its closest encloser: write what there is to say of it.  True when
 * sname has changed and the search goes on. */
static bool step_found(struct writer *w, struct found *f)
{
	const struct name *sname = w->sname;

	if (!f->zone) {
		/* The end of a chain that leaves our zones is no error (RFC 6604 section 3). */
		w->rcode = w->steps ? RCODE_NOERROR : RCODE_REFUSED;
		w->q->ede = w->steps ? 0 : EDE_NOT_AUTHORITATIVE;
		return false;
	}
	if (w->q->options.zoneversion && w->steps == 0) { /* of the qname's zone (RFC 9660 section 3) */
		w->q->zone_known = true;
		w->q->zone_labels = f->zone->labels;
		w->q->zone_serial = f->snapshot->serial;
	}

	const struct node *n = f->node;

	if (n->flags & (NODE_HIDDEN | NODE_BELOW)) {
		n = seen_instead(w, f);
		if (!n) {
			w->rcode = RCODE_SERVFAIL;
			return false;
		}
	}
	if ((n->flags & NODE_CUT) && !(f->exact && w->q->qtype == TYPE_DS)) {
		put_referral(w, f, n);
		return false;
	}
	w->aa |= w->steps == 0; /* of the first owner name (RFC 6604 section 2) */
	if (f->exact)
		return put_data(w, f, n, false);
	if (n->flags & NODE_DNAME)
		return put_dname(w, n);

	const struct node *wildcard = source_of_synthesis(w, f);

	if (wildcard)
		return put_data(w, f, wildcard, true);
	w->rcode = RCODE_NXDOMAIN;
	if (w->dnssec && f->snapshot->denial)
		denial_no_name(w->r, f, sname, &w->proof);
	put_negative(w, f);
	return false;
}

/* Where a name is, for the question's type; f->zone is NULL when no zone of ours holds it. */
static void find_for(const struct reader *r, const struct query *q, const struct name *name, uint64_t hash,
		     const struct find_hint *hint, struct found *f)
{
	bool ds = q->qtype == TYPE_DS && name->labels > 0;

	find_name(r, name, hash, hint, name->labels - (ds ? 1u : 0u), f);
	if (ds && !f->zone) /* no parent here: the child answers */
		find_name(r, name, hash, hint, name->labels, f);
}

/* One step of RFC 1034 section 4.3.2 for sname.  True when it has changed and the search
 * goes on. */
static bool step(struct writer *w, const struct find_hint *hint)
{
	struct found f;

	find_for(w->r, w->q, w->sname, w->hash, hint, &f);
	return step_found(w, &f);
}

/* The first lines of a node: its name, its directory and, if it is small, its blocks.  An address
 * takes two; a line that is fetched in vain costs as much as one that is missed. */
static inline void prefetch_node(const struct reader *r, ref at, unsigned lines)
{
	const uint8_t *n = arena_at(r->map.base, at);

	for (unsigned i = 0; i < lines; i++)
		__builtin_prefetch(n + i * 64);
}

/* Of the name itself.  True: it is not in the table, and where its parent would be is on its way. */
static inline bool prefetch_name(const struct reader *r, struct query *q)
{
	const struct table *t = table_current(r->map.base);
	const struct name *name = &q->qname;
	bool absent;

	if (q->decided || q->qclass == CLASS_CH)
		return false;
	q->hint.node = table_candidate(t, q->hash, &absent);
	if (q->hint.node)
		prefetch_node(r, q->hint.node, 2);
	if (!absent || name->labels == 0)
		return false;
	q->hint.absent = 1;
	q->parent_hash = name_hash(arena_map_head(&r->map)->secret, name->wire + name->off[1],
				   (size_t)name->len - name->off[1]);
	table_prefetch_bucket(t, q->parent_hash);
	return true;
}

/* Of the parent. */
static inline void prefetch_parent(const struct reader *r, struct query *q)
{
	bool absent;

	q->hint.node = table_candidate(table_current(r->map.base), q->parent_hash, &absent);
	q->hint.absent += absent && q->qname.labels > 1;
	if (q->hint.node)
		prefetch_node(r, q->hint.node, 3);
}

/* What is to be fetched next for a query. */
struct ahead {
	bool glue;
	enum denial_part denial;
};

/* Of which proof will an answer with DO need a part that is elsewhere?  s is the RRset to be answered, or
 * NULL. */
static enum denial_part denial_ahead(const struct query *q, const struct rrset *s)
{
	const struct found *f = &q->found;
	const struct node *n = f->node;

	if (!f->snapshot->denial || n->flags & (NODE_HIDDEN | NODE_BELOW))
		return DENIAL_NONE;
	if (n->flags & NODE_CUT) {
		if ((f->exact && q->qtype == TYPE_DS) ? s != NULL : node_rrset(n, TYPE_DS) != NULL)
			return DENIAL_NONE;
	} else if (!f->exact) {
		return n->flags & NODE_DNAME ? DENIAL_NONE : DENIAL_NEXT;
	} else if (s || n->flags & NODE_CNAME) {
		return DENIAL_NONE;
	}
	if (n->flags & NODE_HASHED)
		__builtin_prefetch(node_own_hash(n));
	return f->snapshot->chain ? DENIAL_OWN : DENIAL_NONE;
}

/* Where the name is, when the table has told, and of which RRset the answer will begin there. */
static inline struct ahead prefetch_set(const struct reader *r, struct query *q)
{
	bool ds = q->qtype == TYPE_DS && q->qname.labels > 0;
	struct ahead ahead = { 0 };

	if (!q->hint.node ||
	    !find_quick(r, &q->qname, &q->hint, q->qname.labels - (ds ? 1u : 0u), &q->found)) {
		if (q->decided || q->qclass == CLASS_CH)
			return ahead;
		find_for(r, q, &q->qname, q->hash, &q->hint, &q->found);
	}
	q->hint.sure = true;
	if (!q->found.zone)
		return ahead;

	const struct node *n = q->found.node;
	bool cut = n->flags & NODE_CUT;
	const struct rrset *s = q->found.exact || cut ? node_rrset(n, cut && !ds ? TYPE_NS : q->qtype) : NULL;

	q->set = s;
	if (q->dnssec_ok)
		ahead.denial = denial_ahead(q, s);
	if (!s)
		return ahead;
	const uint8_t *block = rrset_block(n, s), *end = block + (q->dnssec_ok ? s->len + s->sig_len : s->len);

	__builtin_prefetch(block);
	__builtin_prefetch(end - 1);
	for (unsigned i = 1; end - block > 64 && i < BLOCK_AHEAD; i++)
		__builtin_prefetch(block += 64);
	ahead.glue = cut && n->glue_cnt > 0;
	if (ahead.glue)
		__builtin_prefetch(node_glue(n));
	return ahead;
}

/* Of the glue that goes with a cut: first where it would be, then itself. */
static inline void prefetch_glue(const struct reader *r, const struct query *q, bool itself)
{
	const struct node *n = q->found.node;
	const struct table *t = table_current(r->map.base);
	bool absent;

	for (unsigned i = 0; i < n->glue_cnt && i < GLUE_AHEAD; i++) {
		uint64_t hash = node_glue(n)[i].hash;
		ref at = itself ? table_candidate(t, hash, &absent) : 0;

		if (at)
			prefetch_node(r, at, 2);
		else if (!itself)
			table_prefetch_bucket(t, hash);
	}
}

/* Of the proofs that go with answers. */
static void prefetch_denials(const struct reader *r, struct query **q, unsigned cnt)
{
	unsigned left = 0;

	for (unsigned i = 0; i < cnt; i++)
		if (denial_seek(r, &q[i]->found, &q[i]->qname, q[i]->seek.part, &q[i]->seek))
			q[left++] = q[i];
	for (unsigned i = 0; i < left; i++)
		denial_fetch(r, &q[i]->qname, &q[i]->seek, &q[i]->found);
	for (unsigned i = 0; i < left; i++)
		denial_record(&q[i]->found);
}

void query_prefetch_burst(const struct reader *r, struct query *const *q, unsigned cnt)
{
	const struct table *t = table_current(r->map.base);
	struct query *some[BURST_AHEAD], *denied[BURST_AHEAD];

	for (unsigned from = 0, n; from < cnt; from += n, q += n) {
		unsigned left = 0, denials = 0;

		n = cnt - from < BURST_AHEAD ? cnt - from : BURST_AHEAD;
		/* Close together, so that their walks through the page table overlap. */
		for (unsigned i = 0; i < n; i++)
			table_prefetch_bucket(t, q[i]->hash);
		for (unsigned i = 0; i < n; i++)
			if (prefetch_name(r, q[i]))
				some[left++] = q[i];
		for (unsigned i = 0; i < left; i++)
			prefetch_parent(r, some[i]);
		left = 0;
		for (unsigned i = 0; i < n; i++) {
			struct ahead ahead = prefetch_set(r, q[i]);

			if (ahead.glue)
				some[left++] = q[i];
			if (ahead.denial) {
				q[i]->seek.part = ahead.denial;
				denied[denials++] = q[i];
			}
		}
		for (unsigned i = 0; i < left; i++)
			prefetch_glue(r, some[i], false);
		prefetch_denials(r, denied, denials);
		for (unsigned i = 0; i < left; i++)
			prefetch_glue(r, some[i], true);
	}
}

void query_prefetch(const struct reader *r, struct query *q)
{
	query_prefetch_burst(r, &q, 1);
}

/* The commonest answer: an RRset of the very name asked for, which stands ready as it goes
 * into the message.  Returns the answer's length, 0 when there is more to it. */
static inline size_t answer_plain(const struct reader *r, const struct query *q, uint8_t *out)
{
	const struct node *n = q->found.node;
	const struct rrset *s = q->set;
	size_t at = q->question_end, room = (size_t)q->limit - q->opt_room;

	if (!s || n->flags & (NODE_HIDDEN | NODE_BELOW) ||
	    q->qtype == TYPE_NSEC3 || q->options.zoneversion || (n->glue_cnt && q->qtype == TYPE_NS) ||
	    (q->settings && q->settings->additional_full && target_off(q->qtype) >= 0))
		return 0;

	size_t len = q->dnssec_ok ? s->len + s->sig_len : s->len;
	unsigned cnt = q->dnssec_ok ? s->rr_cnt + (unsigned)s->sig_cnt : s->rr_cnt;

	if (at + len > room)
		return 0;
	octets_copy(out + at, rrset_block(n, s), len);
	write_header(q, out, FLAG_AA, RCODE_NOERROR, (uint16_t)cnt, 0, q->edns);
	return write_opt(r, q, out, at + len, RCODE_NOERROR);
}

/* Write an RRset of a node whose name qname ends in right behind the question, its pointers
 * moved from where they were baked (node.h).  There must be room. */
static inline void put_first(const struct query *q, const struct node *n, const struct rrset *s, uint8_t *out)
{
	size_t at = q->question_end;
	uint8_t *p = out + at, *end = p + s->len;
	const uint16_t *reloc = rrset_relocs(n, s);
	unsigned baked = 0xc000 + DNS_HEADER + n->name_len + 4u, suffix_shift = (unsigned)q->qname.len - n->name_len;
	unsigned block_shift = 0xc000 + (unsigned)at - baked;
	uint16_t owner = (uint16_t)(0xc000 | (DNS_HEADER + name_suffix(&q->qname, n->labels)));

	octets_copy(p, rrset_block(n, s), s->len);
	for (unsigned i = 0; i < s->reloc_cnt; i++) {
		unsigned target = wire_read16(p + reloc[i]);

		wire_write16(p + reloc[i], (uint16_t)(target + (target >= baked ? block_shift : suffix_shift)));
	}
	for (; n->name_len > 1 && p < end; p += 2 + RR_FIXED + wire_read16(p + RR_FIXED))
		wire_write16(p, owner);
}

/* A referral without glue, signatures or proofs (RFC 1034 section 4.3.2 3b).  Returns as
 * answer_plain. */
static inline size_t answer_referral(const struct reader *r, const struct query *q, uint8_t *out)
{
	const struct node *n = q->found.node;
	const struct rrset *s = q->set;

	if (!s || n->flags & NODE_BELOW || n->glue_cnt || q->dnssec_ok || q->qtype == TYPE_DS ||
	    q->options.zoneversion || q->question_end + s->len + q->opt_room > q->limit)
		return 0;
	put_first(q, n, s, out);
	write_header(q, out, 0, RCODE_NOERROR, 0, s->rr_cnt, q->edns);
	return write_opt(r, q, out, q->question_end + s->len, RCODE_NOERROR);
}

/* The next: neither the name is there nor a wildcard, and no proof of that is asked for
 * (RFC 1035 section 4.3.2 3c, RFC 2308 section 3).  Returns as answer_plain. */
static inline size_t answer_no_name(const struct reader *r, const struct query *q, uint8_t *out)
{
	const struct found *f = &q->found;
	const struct node *apex = arena_at(r->map.base, f->snapshot->apex);

	if (q->dnssec_ok || q->options.zoneversion ||
	    f->node->flags & (NODE_HIDDEN | NODE_BELOW | NODE_DNAME | NODE_WILDCARD_PARENT))
		return 0;

	const struct rrset *s = node_rrset(apex, TYPE_SOA);

	if (!s || q->question_end + s->len + q->opt_room > q->limit)
		return 0;
	put_first(q, apex, s, out);

	uint8_t *ttl = out + q->question_end + node_owner_len(apex) + 4;
	uint32_t minimum = wire_read32(out + q->question_end + s->len - 4);

	if (minimum < wire_read32(ttl))
		wire_write32(ttl, minimum);
	write_header(q, out, FLAG_AA, RCODE_NXDOMAIN, 0, 1, q->edns);
	return write_opt(r, q, out, q->question_end + s->len, RCODE_NXDOMAIN);
}

/* The answers that most questions get, once it is known where the name is.  Returns as
 * answer_plain. */
static inline size_t answer_quick(const struct reader *r, const struct query *q, uint8_t *out, uint16_t *rcode)
{
	*rcode = RCODE_NOERROR;
	if (!q->hint.sure || !q->found.zone)
		return 0;
	if (q->found.node->flags & NODE_CUT)
		return answer_referral(r, q, out);
	if (q->found.exact)
		return answer_plain(r, q, out);
	*rcode = RCODE_NXDOMAIN;
	return answer_no_name(r, q, out);
}

/* A message whose opcode is not QUERY, which costs those that are nothing; only the slot's owner writes
 * it, as status_count. */
static __attribute__((noinline)) void count_opcode(const struct reader *r, uint8_t opcode)
{
	_Atomic uint64_t *counter = r->slot ? &r->slot->opcode[opcode % STATUS_OPCODES] : NULL;

	if (counter)
		atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
				      memory_order_relaxed);
}

size_t query_answer(const struct reader *r, struct query *q, uint8_t *out, uint16_t *rcode)
{
	if (q->options.cookie_len && q->opcode == OPCODE_QUERY && edns_refuse(r, q)) {
		q->decided = true;
		q->rcode = RCODE_BADCOOKIE;
	}
	if (q->decided) {
		if (q->opcode != OPCODE_QUERY)
			count_opcode(r, q->opcode);
		*rcode = q->rcode;
		return query_error(r, q, out, q->rcode);
	}
	if (q->qclass == CLASS_CH)
		return chaos_answer(r, q, out, rcode);

	/* Only a path narrower than any IP has would not take question and OPT. */
	if (q->question_end + q->opt_room > q->limit) {
		*rcode = RCODE_SERVFAIL;
		return query_error(r, q, out, RCODE_SERVFAIL);
	}

	size_t len = answer_quick(r, q, out, rcode);

	if (len)
		return len;

	struct writer w;

	w.r = r;
	w.q = q;
	w.out = out;
	w.at = q->question_end;
	w.limit = (size_t)q->limit - q->opt_room;
	memset(w.count, 0, sizeof(w.count));
	w.aa = w.truncated = false;
	w.dnssec = q->dnssec_ok;
	w.rcode = RCODE_NOERROR;
	w.sname = &q->qname;
	w.hash = q->hash;
	w.steps = 0;
	w.proof.cnt = 0;
	if (out != q->msg)
		memcpy(out, q->msg, q->question_end);

	bool on = q->hint.sure ? step_found(&w, &q->found) : step(&w, &q->hint);

	while (on)
		on = step(&w, NULL);
	if (w.proof.cnt && !w.truncated)
		put_proofs(&w);

	*rcode = w.rcode;
	write_header(q, out, (w.aa ? FLAG_AA : 0) | (w.truncated ? FLAG_TC : 0), w.rcode,
		     w.count[ANSWER], w.count[AUTHORITY], (uint16_t)(w.count[ADDITIONAL] + q->edns));
	return write_opt(r, q, out, w.at, w.rcode);
}
