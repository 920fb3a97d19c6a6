/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fallback_private.h - what fallback.c and irregular.c share: words in, octets out.
 *
 * Each function returns false after a fault: f->cause says it, f->word is where.
 * Functions that read a word take f->word and go on to the next one.
 */
#ifndef POLLUX_FALLBACK_PRIVATE_H
#define POLLUX_FALLBACK_PRIVATE_H

#include "fallback.h"

#define WORD_MAX 32 /* octets of a mnemonic or number, NUL included */

/* fallback_fault - note the cause of a fault at the word; returns false. */
bool fallback_fault(struct fallback *f, const char *cause);

/* fallback_word - go on to the next word. */
bool fallback_word(struct fallback *f);

/* fallback_wanted - is there a word? */
bool fallback_wanted(struct fallback *f);

/* fallback_short - copy an unquoted word of a mnemonic's length. */
bool fallback_short(struct fallback *f, char word[WORD_MAX]);

/* fallback_octet - take one octet, escaped or not, from *at, which is before end. */
bool fallback_octet(struct fallback *f, const char **at, const char *end, uint8_t *octet);

/* fallback_put - append octets or a number of `size` octets to the RDATA. */
bool fallback_put(struct fallback *f, const uint8_t *octets, size_t len);
bool fallback_put_number(struct fallback *f, uint64_t number, unsigned size);

/* fallback_digits - a decimal number up to max: the characters [at, end), all of them. */
bool fallback_digits(struct fallback *f, const char *at, const char *end, uint64_t max,
		     uint64_t *number);

/* fallback_hex_digit - its value, or -1. */
int fallback_hex_digit(char c);

/* fallback_base64 - decode [at, end) and go on in *bits and *cnt: for characters that
 * are cut into words.  fallback_base64_end - was that all? */
struct fallback_base64 {
	uint32_t bits;
	unsigned cnt, padding; /* characters of this group of four; of those, '=' */
};
bool fallback_base64(struct fallback *f, struct fallback_base64 *b, const char *at,
		     const char *end);
bool fallback_base64_end(struct fallback *f, const struct fallback_base64 *b);

/* irregular_read - a field with a grammar of its own: RD_LOC, RD_APL, RD_PARAMS,
 * FORM_SERVICES, FORM_ATMA, FORM_NSAP. */
bool irregular_read(struct fallback *f, uint8_t field);

#endif
