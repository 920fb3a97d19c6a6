/* SPDX-License-Identifier: GPL-3.0-or-later */
/* other.h - answers to what the fast path leaves: signed requests, transfers.
 *
 * No allocation, no system call, no clock.
 */
#ifndef POLLUX_OTHER_H
#define POLLUX_OTHER_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/answer/answer.h"

#define TSIG_BADKEY 17 /* the server does not know the key (RFC 8945 section 3) */

/* Where the TSIG RR of a message stands. */
struct other_tsig {
	size_t at;           /* its first octet */
	size_t name_end;     /* just past its owner, the key's name */
	size_t rdata;        /* its RDATA, which begins with the algorithm's name */
	size_t algorithm_end;
};

enum other_find { TSIG_NONE, TSIG_FOUND, TSIG_BAD };

/* other_find_tsig - look for a TSIG RR in msg[0..len), untrusted.  TSIG_BAD when
 * the message or the TSIG RR is malformed or the RR is not the last one of the
 * additional section (RFC 8945 section 5.1). */
enum other_find other_find_tsig(const uint8_t *msg, size_t len, struct other_tsig *t);

/* other_answer - write the answer to q, which query_parse left with VERDICT_PUNT,
 * into out[0..q->limit), not the query's own buffer.  Between reader_begin and
 * reader_end.  Returns its length and sets *rcode.
 *
 *   TSIG    no key is configured, so every key is unknown: NOTAUTH with a TSIG RR,
 *           error BADKEY, unsigned (RFC 8945 section 5.2.1); FORMERR when malformed
 *   AXFR, IXFR   REFUSED, as nobody is permitted a transfer; NOTAUTH when the
 *           name is no zone here (RFC 5936 section 2.2.1)
 *   else    REFUSED
 */
size_t other_answer(const struct reader *r, struct query *q, uint8_t *out, uint16_t *rcode);

#endif
