/* SPDX-License-Identifier: GPL-3.0-or-later */
/* framer.h - cut a TCP octet stream into DNS messages (RFC 1035 section 4.2.2):
 * each has its length before it in two octets, may span any number of segments,
 * and a segment may hold any number of messages (RFC 7766 section 8).
 *
 * The stream is untrusted.  A framer keeps at most one message that has not
 * ended yet; its memory grows with what has arrived, not with what a length
 * promises.  One thread at a time; no system call.
 */
#ifndef POLLUX_FRAMER_H
#define POLLUX_FRAMER_H

#include <stddef.h>
#include <stdint.h>

#define FRAMER_PREFIX 2   /* octets of length before each message */
#define FRAMER_SHORTEST 12 /* octets of a message: a DNS header (RFC 1035 4.1.1) */

enum framer_result {
	FRAMER_MORE,      /* all input is taken and no message is complete */
	FRAMER_MESSAGE,   /* a message is complete */
	FRAMER_SHORT,     /* a length below FRAMER_SHORTEST: the stream is no DNS */
	FRAMER_NO_MEMORY,
};

struct framer {
	uint8_t *buf;   /* prefix and message, as far as they have arrived */
	size_t cap;     /* octets allocated */
	size_t have;    /* octets in buf; 0 between messages */
};

/* framer_init - begin a stream.  framer_free - give its memory back. */
void framer_init(struct framer *f);
void framer_free(struct framer *f);

/* framer_trim - give memory back while no message is under way: one that was large must
 * not be paid for until the stream ends. */
void framer_trim(struct framer *f);

/* framer_feed - take octets from *in (of *len), and stop behind the first message
 * that they complete.
 *
 * *in and *len are moved past what was taken.  With FRAMER_MESSAGE, *msg holds
 * *msg_len octets, either in the input or in the framer, until the next call or
 * until the input goes away.  After FRAMER_SHORT and FRAMER_NO_MEMORY the stream
 * cannot go on.
 */
enum framer_result framer_feed(struct framer *f, const uint8_t **in, size_t *len,
			       const uint8_t **msg, size_t *msg_len);

#endif
