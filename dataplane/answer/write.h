/* SPDX-License-Identifier: GPL-3.0-or-later */
/* write.h - what the answer library's own files share for writing answers.
 *
 * `out` may be the query's own buffer in all of them: what an answer repeats of
 * the query lies at the same place in both.
 */
#ifndef POLLUX_WRITE_H
#define POLLUX_WRITE_H

#include <string.h>

#include "answer.h"
#include "rrtype.h"
#include "wire.h"

#define EDE_NOT_AUTHORITATIVE 20 /* RFC 8914 section 4.21; as NSD and Knot */

#define OPT_LEN 11 /* octets of an OPT record without options (RFC 6891 6.1.2) */

/* reader_settings - the settings that answers depend on, or NULL when none were
 * ever committed.  Good until reader_end. */
static inline const struct settings *reader_settings(const struct reader *r)
{
	/* Acquire pairs with the writer's release of a complete block. */
	ref at = atomic_load_explicit(&arena_map_head(&r->map)->settings,
				      memory_order_acquire);

	return at ? arena_at(r->map.base, at) : NULL;
}

/* Of a header's third and fourth octets (RFC 1035 section 4.1.1), as one number. */
#define FLAG_QR 0x8000
#define FLAG_OPCODE 0x7800
#define FLAG_AA 0x0400
#define FLAG_TC 0x0200
#define FLAG_RD 0x0100

/* write_header - write the header and, if q has one, the question as it was asked into
 * out[0..q->question_end).  ID, opcode and RD are the query's, QR is set, flags are AA and TC
 * or not, RA, Z, AD and CD are clear; the sections have so many records. */
static inline void write_header(const struct query *q, uint8_t *out, unsigned flags, uint16_t rcode,
				uint16_t answer, uint16_t authority, uint16_t additional)
{
	const uint8_t *msg = q->msg;

	flags |= FLAG_QR | (((unsigned)msg[2] << 8) & (FLAG_OPCODE | FLAG_RD)) | (rcode & 15u);
	wire_write64(out + 2, (uint64_t)flags << 48 |
		     (uint64_t)(q->question_end > DNS_HEADER) << 32 |
		     (uint64_t)answer << 16 | authority);
	wire_write16(out + 10, additional);
	if (out != msg) {
		memcpy(out, msg, 2);
		memcpy(out + DNS_HEADER, msg + DNS_HEADER, q->question_end - DNS_HEADER);
	}
}

/* answer_header - the same without records. */
static inline void answer_header(const struct query *q, uint8_t *out, uint16_t rcode, bool aa)
{
	write_header(q, out, aa ? FLAG_AA : 0, rcode, 0, 0, 0);
}

/* edns_write - append our options to the OPT's RDATA at out[at..limit).  Returns the new
 * end. */
size_t edns_write(const struct reader *r, const struct query *q, uint8_t *out, size_t at);

/* write_opt - when the query had an OPT, append ours at out[at..) with the upper bits of
 * rcode and the options that were asked for; ARCOUNT is the caller's.  The caller has kept
 * q->opt_room; an extended error is added where there is more.  Returns the answer's
 * new length. */
static inline size_t write_opt(const struct reader *r, const struct query *q, uint8_t *out, size_t at,
			       uint16_t rcode)
{
	if (!q->edns)
		return at;

	uint8_t dnssec_ok = (uint8_t)(q->dnssec_ok << 7); /* RFC 3225 */

	/* The root, type, our size, the rcode's upper bits (RFC 6891 6.1.3), version 0. */
	wire_write64(out + at, (uint64_t)TYPE_OPT << 40 | (uint64_t)q->udp_payload << 24 |
		     (uint64_t)(rcode >> 4) << 16 | dnssec_ok);
	wire_write32(out + at + 7, (uint32_t)dnssec_ok << 24);
	at += OPT_LEN;
	if (__builtin_expect(!q->options.any && !q->ede, 1))
		return at;

	size_t end = edns_write(r, q, out, at);

	wire_write16(out + at - 2, (uint16_t)(end - at));
	return end;
}

/* answer_opt - the same, counted in ARCOUNT. */
size_t answer_opt(const struct reader *r, const struct query *q, uint8_t *out, size_t at, uint16_t rcode);

/* edns_read - take what we know from an OPT's RDATA in[0..left); unknown options are
 * ignored (RFC 6891 section 6.1.2).  False when the options or one that we know are
 * malformed: FORMERR. */
bool edns_read(struct edns_options *o, enum transport transport, const uint8_t *in, size_t left);

/* edns_room - octets that our OPT may need for q, extended errors not counted. */
uint16_t edns_room(const struct settings *s, const struct query *q);

/* edns_refuse - does the operator's policy on cookies forbid to answer q
 * (RFC 7873 section 5.2.3), or does q ask about its server cookie alone, which is not good
 * (section 5.4)?  Then the rcode is BADCOOKIE. */
bool edns_refuse(const struct reader *r, const struct query *q);

/* chaos_answer - the whole answer to a query of class CH: the server's identity
 * and version (RFC 4892) from the settings, else REFUSED.  Returns its length, at
 * most q->limit; *rcode is what it says. */
size_t chaos_answer(const struct reader *r, struct query *q, uint8_t *out,
		    uint16_t *rcode);

#endif
