/* SPDX-License-Identifier: GPL-3.0-or-later */
/* chaos.c - who and what this server is, in class CH (RFC 4892); see write.h.
 *
 * As NSD and Knot do: AA is clear, the TTL 0, and whatever else is asked for in
 * this class is REFUSED.  Type ANY gets the text too (NSD, BIND).
 */
#include <string.h>

#include "rrtype.h"
#include "write.h"

#define RR_FIXED 12 /* octets before the RDATA: compressed owner, type, class, TTL, length */

/* chaos_text - the text that the name stands for, "" for none. */
static const char *chaos_text(const struct settings *s, const struct name *qname)
{
	static const struct {
		const char *wire;
		uint8_t len;
		bool identity;
	} names[] = {
		{ "\7version\4bind", 14, false },
		{ "\7version\6server", 16, false },
		{ "\10hostname\4bind", 15, true },
		{ "\2id\6server", 11, true },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (qname->len == names[i].len &&
		    memcmp(qname->wire, names[i].wire, names[i].len) == 0)
			return names[i].identity ? s->identity : s->version;
	return "";
}

size_t chaos_answer(const struct reader *r, struct query *q, uint8_t *out, uint16_t *rcode)
{
	const struct settings *s = q->settings;
	const char *text = "";

	if (s && (q->qtype == TYPE_TXT || q->qtype == TYPE_ANY))
		text = chaos_text(s, &q->qname);

	size_t len = strnlen(text, SETTINGS_TEXT - 1); /* fits one character-string */
	size_t at = q->question_end;

	if (len == 0 || at + RR_FIXED + 1 + len + q->opt_room > q->limit) {
		*rcode = RCODE_REFUSED;
		return query_error(r, q, out, RCODE_REFUSED);
	}
	answer_header(q, out, RCODE_NOERROR, false);
	wire_write16(out + 6, 1);
	wire_write16(out + at, 0xc000 | DNS_HEADER); /* the qname */
	wire_write16(out + at + 2, TYPE_TXT);
	wire_write16(out + at + 4, CLASS_CH);
	memset(out + at + 6, 0, 4);
	wire_write16(out + at + 10, (uint16_t)(1 + len));
	out[at + RR_FIXED] = (uint8_t)len;
	memcpy(out + at + RR_FIXED + 1, text, len);
	*rcode = RCODE_NOERROR;
	return answer_opt(r, q, out, at + RR_FIXED + 1 + len, RCODE_NOERROR);
}
