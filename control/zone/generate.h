/* SPDX-License-Identifier: GPL-3.0-or-later */
/* generate.h - the $GENERATE directive of zone files.
 *
 * No RFC defines it; this is BIND 9's (its Administrator Reference Manual, "BIND
 * Primary File Extension: the $GENERATE Directive"):
 *
 *      $GENERATE START-STOP[/STEP] OWNER [TTL] [CLASS] TYPE RDATA
 *
 * In OWNER and RDATA `$` becomes the number, `${OFFSET[,WIDTH[,BASE]]}` the number
 * plus OFFSET, filled up with zeros to WIDTH, in BASE d, o, x, X, or n, N (hex
 * digits from the last to the first with dots between, for ip6.arpa); `$$` and
 * `\$` stay a dollar sign.  RDATA in one pair of quotes is taken out of them, as
 * BIND does; RDATA of several words needs none here, but does in BIND.
 *
 * Text in, text out: what comes out is a line for the zone file scanner, which
 * judges it.  Nothing here allocates or keeps state; any thread may call it.
 */
#ifndef POLLUX_GENERATE_H
#define POLLUX_GENERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GENERATE_RECORDS 1000000  /* lines one directive may make */
#define GENERATE_WIDTH   127      /* largest WIDTH, as in BIND */

struct generate {
	uint32_t start, stop, step;   /* start <= stop < 2^31, step >= 1 */
	uint32_t cnt;                 /* lines it makes, 1..GENERATE_RECORDS */
	const char *owner, *head, *rdata; /* into the directive's line; head: TTL, class, type */
	size_t owner_len, head_len, rdata_len;
	bool unquoted;                /* rdata stood in quotes, which are no part of it */
};

/* generate_parse - read what follows the word $GENERATE: text[0..len), untrusted,
 * one line without its newline, which must outlive *g.  Returns NULL, or a
 * constant sentence that says what is wrong. */
const char *generate_parse(struct generate *g, const char *text, size_t len);

/* generate_line - write line number i (0..cnt-1) with its newline into
 * out[0..size).  Returns its length; 0 when it does not fit; or a negative value
 * when a number leaves the range of 32 bits. */
int generate_line(const struct generate *g, uint32_t i, char *out, size_t size);

#endif
