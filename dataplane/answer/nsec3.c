/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "nsec3.h"

#include <string.h>

#include <nettle/sha1.h>

#include "name.h"
#include "rrtype.h"
#include "wire.h"

void nsec3_hash(const struct nsec3_chain *c, const uint8_t *name, size_t len, uint8_t *out)
{
	struct sha1_ctx ctx;

	sha1_init(&ctx);
	sha1_update(&ctx, len, name);
	for (unsigned i = 0;; i++) {
		sha1_update(&ctx, c->salt_len, c->salt);
		sha1_digest(&ctx, NSEC3_HASH, out); /* begins anew, too */
		if (i == c->iterations)
			return;
		sha1_update(&ctx, NSEC3_HASH, out);
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

bool nsec3_choose(struct nsec3_param *p, const struct records *rs, unsigned max)
{
	return choose(p, rs, max, nsec3_closed) || choose(p, rs, max, has_any);
}
