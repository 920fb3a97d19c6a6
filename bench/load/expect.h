/* SPDX-License-Identifier: GPL-3.0-or-later */
/* expect.h - what the answer to a query has to be.
 *
 * Answers are compared by a digest of what they say, not of their octets, so that the
 * order of records and sections' compression are the server's own business: the header's
 * QR, opcode, AA, TC and rcode (the OPT record's bits of it included), whether there is
 * an OPT record, and the records of the answer and authority sections as sets, with
 * their TTLs.  The additional section counts in referrals only, where it holds the glue
 * (RFC 9471); elsewhere what a server adds is its choice.  Of a truncated answer only
 * header and OPT count.
 */
#ifndef POLLUX_BENCH_EXPECT_H
#define POLLUX_BENCH_EXPECT_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/answer/db.h"
#include "dataplane/answer/records.h"

/* expect_digest - the digest of a message, untrusted; 0 when it is malformed. */
uint64_t expect_digest(const uint8_t *msg, size_t len);

/* The zone in an answer library of our own. */
struct expect {
	struct db *db;
	struct reader reader;
};

/* expect_open - load a sorted, checked zone.  `udp_payload` is what the server under test
 * has as its largest UDP answer.  0 or -errno. */
int expect_open(struct expect *x, const struct name *apex, const struct records *rs,
		uint16_t udp_payload);
void expect_close(struct expect *x);

/* expect_answer - the answer to a query: its rcode's four header bits to *rcode, and its
 * digest.  False when the server does not answer such a message from the zone alone. */
bool expect_answer(struct expect *x, const uint8_t *msg, size_t len, uint8_t *rcode,
		   uint64_t *digest);

#endif
