/* SPDX-License-Identifier: GPL-3.0-or-later */
/* doq_stream.h - one query off one stream of DNS over QUIC (RFC 9250 section 4.2): its
 * length in two octets, the message, and the end of the stream.
 *
 * The stream is untrusted.  What has not ended yet is kept here; a query that comes
 * whole in one piece, as nearly all do, is not copied.  Memory grows with what has
 * arrived, not with what a length promises.  One thread at a time; no system call.
 */
#ifndef POLLUX_DOQ_STREAM_H
#define POLLUX_DOQ_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOQ_PREFIX 2 /* octets of length before the message */

/* Error codes of DNS over QUIC (RFC 9250 section 4.3). */
enum doq_error {
	DOQ_NO_ERROR, DOQ_INTERNAL_ERROR, DOQ_PROTOCOL_ERROR, DOQ_REQUEST_CANCELLED,
	DOQ_EXCESSIVE_LOAD, DOQ_UNSPECIFIED_ERROR,
};

enum doq_stream_result {
	DOQ_STREAM_MORE,      /* the query has not ended */
	DOQ_STREAM_QUERY,     /* *msg is the query, and the stream ended behind it */
	DOQ_STREAM_BAD,       /* DOQ_PROTOCOL_ERROR (RFC 9250 section 4.3.3) */
	DOQ_STREAM_NO_MEMORY, /* DOQ_INTERNAL_ERROR */
};

struct doq_stream {
	uint8_t *buf; /* prefix and message, as far as they have arrived */
	size_t cap;   /* octets allocated */
	size_t have;  /* octets in buf */
};

/* doq_stream_init - begin a stream.  doq_stream_free - give its memory back. */
void doq_stream_init(struct doq_stream *s);
void doq_stream_free(struct doq_stream *s);

/* doq_stream_feed - take the stream's next data[0..len); fin: it ends behind them.
 *
 * With DOQ_STREAM_QUERY, *msg holds *msg_len octets in `data` or in the stream, until
 * either goes away.  DOQ_STREAM_BAD: the stream ends before its message does or goes on
 * behind it (a second query, say), or the message is no query with id 0 (section
 * 4.2.1) or carries edns-tcp-keepalive (section 5.5.2).  Nothing may be fed after
 * anything but DOQ_STREAM_MORE. */
enum doq_stream_result doq_stream_feed(struct doq_stream *s, const uint8_t *data, size_t len,
				       bool fin, const uint8_t **msg, size_t *msg_len);

#endif
