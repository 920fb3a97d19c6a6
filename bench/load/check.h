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
	const uint8_t *frame;
	const uint8_t *msg;     /* the message in the frame, `len` octets */
	uint32_t len;
	uint8_t ip, udp;        /* where in the frame these headers begin */
	uint8_t rcode;          /* the header's four bits */
	bool truncated;
	bool sampled;           /* looked at as a whole */
};

/* check_find - which query is data[0..len) an answer to?  CHECK_RIGHT with c->flight that
 * query's, still pending, which the caller ends; check_answer must follow.  Else a verdict,
 * and c->flight is NULL.  *c is only filled in as far as check_answer needs it. */
enum check check_find(const struct checker *k, const struct flights *f, const uint8_t *data, size_t len,
		      struct checked *c);

/* check_answer - judge the answer that check_find has found the query of. */
enum check check_answer(const struct checker *k, struct checked *c);

/* check_frame - both at once. */
static inline enum check check_frame(const struct checker *k, const struct flights *f, const uint8_t *data,
				     size_t len, struct checked *c)
{
	enum check verdict = check_find(k, f, data, len, c);

	return verdict == CHECK_RIGHT ? check_answer(k, c) : verdict;
}

#endif
