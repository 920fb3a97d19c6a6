/* SPDX-License-Identifier: GPL-3.0-or-later */
/* write.h - what the answer library's own files share for writing answers.
 *
 * `out` may be the query's own buffer in all of them: what an answer repeats of
 * the query lies at the same place in both.
 */
#ifndef POLLUX_WRITE_H
#define POLLUX_WRITE_H

#include "answer.h"
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

/* answer_header - write the header and, if q has one, the question as it was
 * asked into out[0..q->question_end).  ID, opcode and RD are the query's, QR is
 * set, TC, RA, Z, AD and CD are clear, the other sections' counts are 0. */
void answer_header(const struct query *q, uint8_t *out, uint16_t rcode, bool aa);

/* answer_opt - when the query had an OPT, append ours at out[at..) with the upper bits of
 * rcode and the options that were asked for, and count it in ARCOUNT.  The caller has kept
 * q->opt_room; an extended error is added where there is more.  Returns the answer's
 * new length. */
size_t answer_opt(const struct reader *r, const struct query *q, uint8_t *out, size_t at, uint16_t rcode);

/* edns_read - take what we know from an OPT's RDATA in[0..left); unknown options are
 * ignored (RFC 6891 section 6.1.2).  False when the options or one that we know are
 * malformed: FORMERR. */
bool edns_read(struct edns_options *o, enum transport transport, const uint8_t *in, size_t left);

/* edns_room - octets that our OPT may need for q, extended errors not counted. */
uint16_t edns_room(const struct settings *s, const struct query *q);

/* edns_write - append our options to the OPT's RDATA at out[at..limit).  Returns the new
 * end. */
size_t edns_write(const struct reader *r, const struct query *q, uint8_t *out, size_t at);

/* edns_refuse - does the operator's policy on cookies forbid to answer q
 * (RFC 7873 section 5.2.3)?  Then the rcode is BADCOOKIE. */
bool edns_refuse(const struct reader *r, const struct query *q);

/* chaos_answer - the whole answer to a query of class CH: the server's identity
 * and version (RFC 4892) from the settings, else REFUSED.  Returns its length, at
 * most q->limit; *rcode is what it says. */
size_t chaos_answer(const struct reader *r, struct query *q, uint8_t *out,
		    uint16_t *rcode);

#endif
