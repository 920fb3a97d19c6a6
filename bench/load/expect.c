/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/load/expect.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "dataplane/answer/answer.h"
#include "dataplane/answer/rrtype.h"
#include "dataplane/answer/wire.h"

#define PLAIN_MAX (65535 + NAME_MAX_LEN * 2) /* octets: RDATA with its names unpacked */
#define ARENA ((uint64_t)64 << 30)           /* octets at most; taken as filled */

enum { ANSWER, AUTHORITY, ADDITIONAL, SECTIONS };

/* A record of a message under way through the digest. */
struct record_read {
	struct name owner;
	uint16_t type, rr_class, rdata_len;
	uint32_t ttl;
	size_t rdata; /* where it is */
};

static size_t read_record(struct record_read *r, const uint8_t *msg, size_t at, size_t len)
{
	at = name_unpack(&r->owner, msg, at, len);
	if (at == 0 || len - at < 10)
		return 0;
	r->type = wire_read16(msg + at);
	r->rr_class = wire_read16(msg + at + 2);
	r->ttl = wire_read32(msg + at + 4);
	r->rdata_len = wire_read16(msg + at + 8);
	r->rdata = at + 10;
	return r->rdata_len > len - r->rdata ? 0 : r->rdata + r->rdata_len;
}

/* Octets that a field of fixed size takes, or 0. */
static size_t field_size(uint8_t field)
{
	switch (field) {
	case RD_8: return 1;
	case RD_16: return 2;
	case RD_32: return 4;
	case RD_48: return 6;
	case RD_64: return 8;
	case RD_128: return 16;
	}
	return 0;
}

/* RDATA with its names unpacked and folded where a sender may compress them (the types
 * of RFC 1035; they have nothing but names and fixed fields in front of the last name),
 * as it stands elsewhere.  Its length in out[PLAIN_MAX], SIZE_MAX when malformed. */
static size_t plain_rdata(uint8_t *out, const uint8_t *msg, size_t len, const struct record_read *r)
{
	const uint8_t *field = rrtype_fields(r->type);
	size_t at = r->rdata, end = at + r->rdata_len, used = 0;

	for (; field && *field != RD_END; field++) {
		size_t n = field_size(*field);

		if (n == 0 && *field != RD_NAME_C)
			break;
		if (*field == RD_NAME_C) {
			struct name name;

			at = name_unpack(&name, msg, at, len);
			if (at == 0 || at > end)
				return SIZE_MAX;
			memcpy(out + used, name.wire, name.len);
			used += name.len;
			continue;
		}
		if (n > end - at)
			return SIZE_MAX;
		memcpy(out + used, msg + at, n);
		used += n;
		at += n;
	}
	memcpy(out + used, msg + at, end - at);
	return used + end - at;
}

static bool digest_record(uint64_t *sum, const uint8_t *msg, size_t len, const struct record_read *r,
			  unsigned section)
{
	uint8_t plain[NAME_MAX_LEN + 11 + PLAIN_MAX], *p = plain;
	size_t n;

	memcpy(p, r->owner.wire, r->owner.len);
	p += r->owner.len;
	wire_write16(p, r->type);
	wire_write16(p + 2, r->rr_class);
	wire_write32(p + 4, r->ttl);
	p[8] = (uint8_t)section;
	p += 9;
	n = plain_rdata(p, msg, len, r);
	if (n == SIZE_MAX)
		return false;
	*sum += XXH3_64bits(plain, (size_t)(p - plain) + n); /* a sum knows no order */
	return true;
}

uint64_t expect_digest(const uint8_t *msg, size_t len)
{
	uint64_t sum[SECTIONS] = { 0 }, digest;
	uint32_t opt = 0;
	size_t at = DNS_HEADER;
	bool referral;

	if (len < DNS_HEADER)
		return 0;
	for (unsigned i = wire_read16(msg + 4); i > 0; i--) {
		at = name_skip(msg, at, len);
		if (at == 0 || len - at < 4)
			return 0;
		at += 4;
	}
	for (unsigned section = ANSWER; section < SECTIONS; section++) {
		for (unsigned i = wire_read16(msg + 6 + 2 * section); i > 0; i--) {
			struct record_read r;

			at = read_record(&r, msg, at, len);
			if (at == 0)
				return 0;
			if (section == ADDITIONAL && r.type == TYPE_OPT)
				/* Extended rcode and version (RFC 6891 6.1.3). */
				opt = 0x10000 | r.ttl >> 16;
			else if (!digest_record(&sum[section], msg, len, &r, section))
				return 0;
		}
	}
	if (at != len)
		return 0; /* octets behind the last record */
	referral = !(msg[2] & 0x04) && wire_read16(msg + 6) == 0 && wire_read16(msg + 8) != 0;
	digest = (uint64_t)(msg[2] & 0xfe) << 8 | (msg[3] & 0x0f) | (uint64_t)opt << 16;
	if (!(msg[2] & 0x02))
		digest += sum[ANSWER] + sum[AUTHORITY] + (referral ? sum[ADDITIONAL] : 0);
	return digest == 0 ? 1 : digest;
}

int expect_open(struct expect *x, const struct name *apex, const struct records *rs,
		uint16_t udp_payload)
{
	struct settings settings = { .udp_payload = udp_payload };
	uint64_t version;
	struct txn *t;
	unsigned slot;
	int rc = db_create(&x->db, ARENA, ARENA_HUGE_AUTO);

	if (rc != 0)
		return rc;
	rc = db_reader_reserve(x->db, (uint32_t)getpid(), STATUS_KIND_SERVE, 1, &slot);
	if (rc != 0)
		goto fail;
	t = db_begin(x->db);
	if (!t) {
		rc = -ENOMEM;
		goto fail;
	}
	rc = txn_settings(t, &settings);
	if (rc == 0)
		rc = txn_zone_put(t, apex, rs);
	if (rc != 0) {
		txn_abort(t);
		goto fail;
	}
	rc = txn_commit(t, &version);
	if (rc != 0)
		goto fail;
	reader_init(&x->reader, db_map(x->db), &db_status(x->db)->slot[slot]);
	reader_online(&x->reader);
	return 0;
fail:
	db_destroy(x->db);
	x->db = NULL;
	return rc;
}

void expect_close(struct expect *x)
{
	if (x->db) {
		reader_offline(&x->reader);
		db_destroy(x->db);
	}
	x->db = NULL;
}

bool expect_answer(struct expect *x, const uint8_t *msg, size_t len, uint8_t *rcode, uint64_t *digest)
{
	uint8_t out[65535];
	struct query q;
	uint16_t whole;
	size_t n = 0;

	reader_begin(&x->reader);
	if (query_parse(&x->reader, &q, msg, len, TRANSPORT_UDP, 1472) == VERDICT_ANSWER) {
		query_prefetch(&x->reader, &q);
		n = query_answer(&x->reader, &q, out, &whole);
	}
	reader_end(&x->reader);
	if (n == 0)
		return false;
	*rcode = out[3] & 0xf;
	*digest = expect_digest(out, n);
	return true;
}
