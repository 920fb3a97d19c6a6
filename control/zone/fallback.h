/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fallback.h - a reader for the records that libzscanner refuses.
 *
 * It reads one entry of a zone file, a record: owner, TTL and class in either order,
 * type, and RDATA in any text form that the RFCs give a type (form.h), or in the
 * generic form (RFC 3597 section 5).  Against the scanner it also takes: types that
 * the scanner has no text form of, every mnemonic of the registry as a record's type,
 * under RRSIG and in type bitmaps, CLASS1 for IN, and any printable octet or octet
 * over 127 in a name unquoted, but those that end a word.  It is written to be right
 * and small, not fast.
 *
 * The text is untrusted.  Nothing here allocates (but to read services.h's files) or
 * keeps state: any thread may call it.
 */
#ifndef POLLUX_FALLBACK_H
#define POLLUX_FALLBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/answer/name.h"

#define FALLBACK_RDATA_MAX 65535 /* octets */

struct fallback {
	/* The caller's, before: */
	const uint8_t *origin;       /* a valid name */
	uint8_t owner[NAME_MAX_LEN]; /* of the record before: for one that states none */
	size_t owner_len;            /* 0: there is none */

	/* The record; owner is its. */
	bool ttl_stated;
	uint32_t ttl;                /* if so */
	uint16_t type;
	size_t rdata_len;
	uint8_t rdata[FALLBACK_RDATA_MAX];

	/* The reader's; after a fault `word` is where it is. */
	const char *at, *end;        /* not yet read */
	unsigned depth;              /* of parentheses */
	const char *word, *word_end; /* without its quotes; NULL: the entry has ended */
	bool quoted;
	bool open;                   /* the quote is not closed */
	const char *cause;
	uint8_t scratch[FALLBACK_RDATA_MAX];
	uint32_t params[FALLBACK_RDATA_MAX / 4]; /* SvcParams: key and place */
};

/* fallback_read - read the entry text[0..len) into *f.  Returns NULL, or a constant
 * sentence that says what is wrong, and f->word (inside text) is where.  RDATA is
 * written as its text says; rdata_check judges it. */
const char *fallback_read(struct fallback *f, const char *text, size_t len);

#endif
