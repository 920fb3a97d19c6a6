/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "control/serve/doq_stream.h"

/* id, flags, counts, www.example A IN, OPT with one option of 4 octets */
static const uint8_t query[] = {
	0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1,
	3, 'w', 'w', 'w', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1,
	0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 6, 0, 3, 0, 2, 'h', 'i',
};
#define OPTION_AT (sizeof(query) - 6)

static uint8_t stream[70000];

static size_t put(const uint8_t *msg, size_t len)
{
	stream[0] = (uint8_t)(len >> 8);
	stream[1] = (uint8_t)len;
	memmove(stream + 2, msg, len);
	return 2 + len;
}

/* Feeds stream[0..len) in pieces, the last with the end of the stream or, if late, with the
 * end alone behind it. */
static enum doq_stream_result run(size_t len, size_t step, bool late, const uint8_t *want,
				  size_t want_len)
{
	struct doq_stream s;
	enum doq_stream_result r = DOQ_STREAM_MORE;
	const uint8_t *msg;
	size_t msg_len;

	doq_stream_init(&s);
	for (size_t at = 0; r == DOQ_STREAM_MORE && at < len; at += step) {
		size_t n = len - at < step ? len - at : step;
		uint8_t *piece = malloc(n);

		memcpy(piece, stream + at, n);
		r = doq_stream_feed(&s, piece, n, !late && at + n == len, &msg, &msg_len);
		if (r == DOQ_STREAM_QUERY) {
			cr_assert_eq(msg_len, want_len);
			cr_assert_arr_eq(msg, want, want_len);
		}
		free(piece);
	}
	if (r == DOQ_STREAM_MORE && (late || len == 0)) {
		r = doq_stream_feed(&s, NULL, 0, true, &msg, &msg_len);
		if (r == DOQ_STREAM_QUERY) {
			cr_assert_eq(msg_len, want_len);
			cr_assert_arr_eq(msg, want, want_len);
		}
	}
	cr_assert_leq(s.have, 65537);
	doq_stream_free(&s);
	return r;
}

/* The same whatever the pieces. */
static enum doq_stream_result result(size_t len, const uint8_t *want, size_t want_len)
{
	static const size_t steps[] = {1, 2, 3, 7, 1200};
	enum doq_stream_result r = run(len, len + 1, false, want, want_len);

	cr_assert_eq(run(len, len + 1, true, want, want_len), r);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		cr_assert_eq(run(len, steps[i], false, want, want_len), r, "%zu", steps[i]);
		cr_assert_eq(run(len, steps[i], true, want, want_len), r, "%zu", steps[i]);
	}
	return r;
}

static enum doq_stream_result message(const uint8_t *msg, size_t len)
{
	return result(put(msg, len), msg, len);
}

Test(doq_stream, a_query)
{
	static uint8_t longest[65535];

	cr_expect_eq(message(query, sizeof(query)), DOQ_STREAM_QUERY);
	cr_expect_eq(message(query, 12), DOQ_STREAM_QUERY, "cut short: its FORMERR is the answer's matter");
	memcpy(longest, query, sizeof(query));
	cr_expect_eq(message(longest, sizeof(longest)), DOQ_STREAM_QUERY);
}

Test(doq_stream, ends_early)
{
	size_t len = put(query, sizeof(query));

	for (size_t n = 0; n < len; n++)
		cr_expect_eq(result(n, NULL, 0), DOQ_STREAM_BAD, "%zu octets", n);
}

Test(doq_stream, goes_on)
{
	size_t len = put(query, sizeof(query));

	cr_expect_eq(result(len + 1, NULL, 0), DOQ_STREAM_BAD);
	memcpy(stream + len, stream, len);
	cr_expect_eq(result(2 * len, NULL, 0), DOQ_STREAM_BAD, "two queries");
	stream[0] = stream[1] = 0xff;
	cr_expect_eq(result(2 + 65535 + 1, NULL, 0), DOQ_STREAM_BAD);
}

Test(doq_stream, no_query_of_doq)
{
	uint8_t msg[sizeof(query)];

	memcpy(msg, query, sizeof(msg));
	msg[1] = 1;
	cr_expect_eq(message(msg, sizeof(msg)), DOQ_STREAM_BAD, "message id 1");
	msg[1] = 0;
	msg[0] = 0x80;
	cr_expect_eq(message(msg, sizeof(msg)), DOQ_STREAM_BAD, "message id 0x8000");
	msg[0] = 0;
	msg[2] |= 0x80;
	cr_expect_eq(message(msg, sizeof(msg)), DOQ_STREAM_BAD, "a response");
	for (size_t n = 0; n < 12; n++)
		cr_expect_eq(message(query, n), DOQ_STREAM_BAD, "a message of %zu octets", n);
}

Test(doq_stream, keepalive)
{
	uint8_t msg[sizeof(query)];

	memcpy(msg, query, sizeof(msg));
	msg[OPTION_AT + 1] = 11;
	cr_expect_eq(message(msg, sizeof(msg)), DOQ_STREAM_BAD);
	/* Behind another option. */
	memcpy(msg, query, sizeof(msg));
	msg[OPTION_AT + 3] = 0;
	msg[OPTION_AT + 4] = 0;
	msg[OPTION_AT + 5] = 11;
	cr_expect_eq(message(msg, sizeof(msg)), DOQ_STREAM_QUERY, "the option's code without a length");
	/* In the RDATA of something else, or in an option. */
	memcpy(msg, query, sizeof(msg));
	msg[OPTION_AT + 5] = 11;
	msg[OPTION_AT + 4] = 0;
	cr_expect_eq(message(msg, sizeof(msg)), DOQ_STREAM_QUERY);
	memcpy(msg, query, sizeof(msg));
	msg[31] = 42;
	msg[OPTION_AT + 1] = 11;
	cr_expect_eq(message(msg, sizeof(msg)), DOQ_STREAM_QUERY, "not in an OPT");
}
