/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check.h - is a received frame the answer to a query that is under way?
 *
 * Frames are untrusted.  Bytes in, a verdict out: no DPDK, no clock.
 */
#ifndef POLLUX_BENCH_CHECK_H
#define POLLUX_BENCH_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/load/flight.h"
#include "bench/load/prepare.h"

enum check {
	CHECK_RIGHT,
	CHECK_OTHER,          /* no answer of our server to one of our ports: not counted */
	CHECK_LATE,           /* to a query given up, or answered already */
	CHECK_WRONG_LENGTH,   /* IP, UDP and frame disagree about it, or cut short */
	CHECK_WRONG_ADDRESS,  /* not turned round */
	CHECK_WRONG_HEADER,   /* QR, opcode, number of questions */
	CHECK_WRONG_QUESTION, /* not octet for octet the query's */
	CHECK_WRONG_RCODE,
	CHECK_WRONG_SUM,      /* UDP checksum; of samples */
	CHECK_WRONG_CONTENT,  /* of samples */
	CHECKS,
};

#define CHECK_WRONG_FIRST CHECK_WRONG_LENGTH

/* check_name - what a verdict is called in reports. */
const char *check_name(enum check c);

struct checker {
	const uint8_t *base;    /* of the prepared queries */
	const struct prepare_peers *peers;
	bool echo;              /* answers are the queries, unchanged */
	bool sums;              /* verify the checksums of samples */
	bool learn;             /* take over what samples are answered */
	uint64_t *expected;     /* digest of each sample's answer; 0: unknown */
};

/* What was found out about an answer; the rest only with a flight. */
struct checked {
	struct flight *flight;  /* NULL: no query under way */
	const uint8_t *msg;     /* the message in the frame, `len` octets */
	size_t len;
	uint8_t rcode;          /* the header's four bits */
	bool truncated;
	bool sampled;           /* looked at as a whole */
};

/* check_frame - judge data[0..len).  Where it can be told which query an answer is to,
 * c->flight is that query's, still pending: the caller ends it. */
enum check check_frame(const struct checker *k, struct flights *f, const uint8_t *data, size_t len,
		       struct checked *c);

#endif
