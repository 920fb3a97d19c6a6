/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "nsec3.h"

#include <string.h>

#include <nettle/sha1.h>

#include "name.h"
#include "rrtype.h"
#include "wire.h"

#define SHA1_BLOCK 64    /* octets (RFC 3174 section 4) */
#define SHA1_PADDING 72  /* at most: a one bit, zeros, the message's length in 64 bits */

/* sha1_pad - the padding of a message m[0..len), which has room for it; returns the blocks
 * that it fills. */
static size_t sha1_pad(uint8_t *m, size_t len)
{
	size_t blocks = (len + 8) / SHA1_BLOCK + 1;

	memset(m + len, 0, SHA1_PADDING);
	m[len] = 0x80;
	wire_write32(m + blocks * SHA1_BLOCK - 4, (uint32_t)len * 8);
	return blocks;
}

/* sha1 - the digest of a padded message.  nettle's compression function alone: most of its
 * general interface would cost as much again for the one block that nearly all names are.  Where
 * nettle is built fat, as Debian's is, it chooses at run time the one that uses the CPU's SHA
 * instructions; NETTLE_FAT_OVERRIDE in the environment can say otherwise. */
static void sha1(const uint8_t *m, size_t blocks, uint8_t *out)
{
	uint32_t state[] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };

	for (; blocks > 0; blocks--, m += SHA1_BLOCK)
		nettle_sha1_compress(state, m);
	for (unsigned i = 0; i < 5; i++)
		wire_write32(out + 4 * i, state[i]);
}

void nsec3_hash(const struct nsec3_chain *c, const uint8_t *name, size_t len, uint8_t *out)
{
	/* Of a name that is as long as any the wildcard is two octets more. */
	uint8_t m[2 + NAME_MAX_LEN + NSEC3_SALT_MAX + SHA1_PADDING];

	memcpy(m, name, len);
	memcpy(m + len, c->salt, c->salt_len);
	sha1(m, sha1_pad(m, len + c->salt_len), out);
	if (!c->iterations)
		return;
	memcpy(m + NSEC3_HASH, c->salt, c->salt_len);
	size_t blocks = sha1_pad(m, NSEC3_HASH + c->salt_len);

	for (unsigned i = 0; i < c->iterations; i++) {
		memcpy(m, out, NSEC3_HASH);
		sha1(m, blocks, out);
	}
}

void nsec3_encode(uint8_t *label, const uint8_t *hash)
{
	static const char digit[] = "0123456789abcdefghijklmnopqrstuv";

	*label++ = NSEC3_LABEL;
	for (unsigned i = 0; i < NSEC3_LABEL; i++) {
		unsigned bit = 5 * i, two = hash[bit / 8] << 8;

		if (bit / 8 + 1 < NSEC3_HASH)
			two |= hash[bit / 8 + 1];
		*label++ = (uint8_t)digit[two >> (11 - bit % 8) & 31];
	}
}

bool nsec3_decode(uint8_t *hash, const uint8_t *owner)
{
	uint64_t bits = 0;

	memset(hash, 0, NSEC3_HASH);
	if (owner[0] != NSEC3_LABEL)
		return false;
	for (unsigned i = 0; i < NSEC3_LABEL; i++) {
		uint8_t c = owner[1 + i];
		unsigned digit = (uint8_t)(c - '0'), letter = (uint8_t)(c - 'a');

		if (digit > 9)
			digit = letter + 10;
		if (digit > 31) {
			memset(hash, 0, NSEC3_HASH);
			return false;
		}
		bits = bits << 5 | digit;
		if (i % 8 == 7) { /* five octets are whole */
			uint8_t *p = hash + i / 8 * 5;

			p[0] = (uint8_t)(bits >> 32);
			wire_write32(p + 1, (uint32_t)bits);
		}
	}
	return true;
}

bool nsec3_param_read(struct nsec3_param *p, const uint8_t *rdata)
{
	if (rdata[0] != NSEC3_SHA1)
		return false;
	p->chain.iterations = wire_read16(rdata + 2);
	p->chain.salt_len = rdata[4];
	memcpy(p->octets + offsetof(struct nsec3_chain, salt), rdata + 5, rdata[4]);
	return true;
}

bool nsec3_same_chain(const struct nsec3_chain *c, const uint8_t *rdata)
{
	return rdata[0] == NSEC3_SHA1 && wire_read16(rdata + 2) == c->iterations &&
	       rdata[4] == c->salt_len && memcmp(rdata + 5, c->salt, c->salt_len) == 0;
}

/* The next hashed owner name in an NSEC3 record (section 3.2), or NULL if it is no SHA-1. */
static const uint8_t *next_hash(const uint8_t *rdata)
{
	const uint8_t *len = rdata + 5 + rdata[4];

	return *len == NSEC3_HASH ? len + 1 : NULL;
}

bool nsec3_closed(const struct nsec3_chain *c, const struct records *rs)
{
	uint8_t first[NSEC3_HASH], hash[NSEC3_HASH];
	const uint8_t *next = NULL;

	for (size_t i = 0; i < rs->cnt; i++) {
		const struct record *rr = &rs->rr[i];

		if (rr->type != TYPE_NSEC3 || !nsec3_same_chain(c, rr->rdata))
			continue;
		if (!nsec3_decode(hash, rr->owner) || !next_hash(rr->rdata))
			return false;
		if (!next)
			memcpy(first, hash, sizeof(first));
		else if (memcmp(next, hash, sizeof(hash)) != 0)
			return false;
		next = next_hash(rr->rdata);
	}
	return next && memcmp(next, first, sizeof(first)) == 0;
}

static bool has_any(const struct nsec3_chain *c, const struct records *rs)
{
	for (size_t i = 0; i < rs->cnt; i++)
		if (rs->rr[i].type == TYPE_NSEC3 && nsec3_same_chain(c, rs->rr[i].rdata))
			return true;
	return false;
}

static bool choose(struct nsec3_param *p, const struct records *rs, unsigned max,
		   bool (*fit)(const struct nsec3_chain *c, const struct records *rs))
{
	for (size_t i = 0; i < rs->cnt; i++) {
		const struct record *rr = &rs->rr[i];

		if (rr->owner != rs->rr[0].owner && name_cmp(rr->owner, rs->rr[0].owner) != 0)
			return false;
		if (rr->type == TYPE_NSEC3PARAM && rr->rdata[1] == 0 &&
		    nsec3_param_read(p, rr->rdata) && p->chain.iterations <= max && fit(&p->chain, rs))
			return true;
	}
	return false;
}

/* The records of the name at rs->rr[i] end where. */
static size_t name_end(const struct records *rs, size_t i)
{
	size_t end = i + 1;

	while (end < rs->cnt && (rs->rr[end].owner == rs->rr[i].owner ||
				 name_cmp(rs->rr[end].owner, rs->rr[i].owner) == 0))
		end++;
	return end;
}

/* Is there an NSEC chain, and is each record's next the following one's owner?  What stands below
 * a cut or a DNAME is no part of it. */
static bool nsec_closed(const struct records *rs)
{
	const uint8_t *cover = NULL, *first = NULL;
	struct name next;

	for (size_t i = 0, end; i < rs->cnt; i = end) {
		const uint8_t *owner = rs->rr[i].owner;
		const struct record *nsec = NULL;

		end = name_end(rs, i);
		if (cover && name_within(owner, cover))
			continue;
		for (size_t k = i; k < end; k++) {
			if ((rs->rr[k].type == TYPE_NS && i > 0) || rs->rr[k].type == TYPE_DNAME)
				cover = owner;
			if (rs->rr[k].type == TYPE_NSEC && !nsec)
				nsec = &rs->rr[k];
		}
		if (!nsec)
			continue;
		if (first && name_cmp(next.wire, owner) != 0)
			return false;
		if (!name_from_wire(&next, nsec->rdata, nsec->rdata_len))
			return false;
		if (!first)
			first = owner;
	}
	return first && name_cmp(next.wire, first) == 0;
}

bool nsec3_choose(struct nsec3_param *p, const struct records *rs, unsigned max)
{
	return choose(p, rs, max, nsec3_closed) ||
	       (choose(p, rs, max, has_any) && !nsec_closed(rs));
}
