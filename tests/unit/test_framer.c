/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "control/serve/framer.h"

/* Writes a message of len octets, each `fill`, with its prefix.  Returns octets. */
static size_t put_message(uint8_t *out, size_t len, uint8_t fill)
{
	out[0] = (uint8_t)(len >> 8);
	out[1] = (uint8_t)len;
	memset(out + 2, fill, len);
	return 2 + len;
}

/* Feeds the stream in pieces of `step` octets, each in a block of its own size so
 * that a sanitizer sees a read past it, and counts messages.  Checks that each
 * holds only its own fill. */
static unsigned run(const uint8_t *stream, size_t len, size_t step, enum framer_result *last)
{
	struct framer f;
	unsigned cnt = 0;

	*last = FRAMER_MORE;
	framer_init(&f);
	for (size_t at = 0; at < len && *last != FRAMER_SHORT; at += step) {
		size_t n = len - at < step ? len - at : step;
		uint8_t *piece = malloc(n);
		const uint8_t *in = piece, *msg;
		size_t left = n, msg_len;

		memcpy(piece, stream + at, n);
		while ((*last = framer_feed(&f, &in, &left, &msg, &msg_len)) == FRAMER_MESSAGE) {
			cnt++;
			cr_assert_geq(msg_len, FRAMER_SHORTEST);
			for (size_t i = 0; i < msg_len; i++)
				cr_assert_eq(msg[i], cnt, "message %u octet %zu", cnt, i);
		}
		if (*last == FRAMER_MORE)
			cr_assert_eq(left, 0);
		cr_assert_eq(in, piece + (n - left));
		free(piece);
	}
	framer_free(&f);
	return cnt;
}

Test(framer, messages_in_any_pieces)
{
	static const size_t lens[] = {12, 13, 255, 256, 511, 512, 513, 4096, 12};
	static uint8_t stream[16384];
	enum framer_result last;
	size_t len = 0;

	for (unsigned i = 0; i < 9; i++)
		len += put_message(stream + len, lens[i], (uint8_t)(i + 1));
	for (size_t step = 1; step <= len; step += step < 40 ? 1 : 97) {
		cr_assert_eq(run(stream, len, step, &last), 9, "step %zu", step);
		cr_assert_eq(last, FRAMER_MORE);
	}
}

Test(framer, every_prefix_holds_what_is_whole)
{
	uint8_t stream[256];
	enum framer_result last;
	size_t first = put_message(stream, 20, 1);
	size_t both = first + put_message(stream + first, 40, 2);

	for (size_t len = 0; len <= both; len++) {
		unsigned want = len >= both ? 2 : len >= first ? 1 : 0;

		cr_assert_eq(run(stream, len, 7, &last), want, "prefix of %zu octets", len);
		cr_assert_eq(run(stream, len, 256, &last), want, "prefix of %zu octets", len);
	}
}

Test(framer, longest_message)
{
	static uint8_t stream[2 + 65535];
	enum framer_result last;
	size_t len = put_message(stream, 65535, 1);

	cr_assert_eq(run(stream, len, len, &last), 1);
	cr_assert_eq(run(stream, len, 1000, &last), 1);
	cr_assert_eq(run(stream, len - 1, len, &last), 0);
	cr_assert_eq(last, FRAMER_MORE);
}

Test(framer, lengths_below_a_header_end_the_stream)
{
	for (size_t n = 0; n < 14; n++) {
		uint8_t stream[32];
		enum framer_result last;
		size_t len = put_message(stream, n, 1);

		for (size_t step = 1; step <= len; step++) {
			unsigned cnt = run(stream, len, step, &last);

			cr_assert_eq(cnt, n >= FRAMER_SHORTEST ? 1 : 0);
			cr_assert_eq(last, n >= FRAMER_SHORTEST ? FRAMER_MORE : FRAMER_SHORT);
		}
	}
}

Test(framer, memory_follows_what_arrived)
{
	struct framer f;
	const uint8_t head[3] = {0xff, 0xff, 0x01};
	const uint8_t *in = head, *msg;
	size_t len = sizeof(head), msg_len;

	framer_init(&f);
	cr_assert_eq(framer_feed(&f, &in, &len, &msg, &msg_len), FRAMER_MORE);
	cr_assert_leq(f.cap, 512);
	framer_free(&f);
}

Test(framer, memory_goes_back_between_messages)
{
	static uint8_t stream[2 + 60000];
	struct framer f;
	const uint8_t *in = stream, *msg;
	size_t len = 30000, msg_len;

	stream[0] = 60000 >> 8;
	stream[1] = 60000 & 0xff;
	framer_init(&f);
	cr_assert_eq(framer_feed(&f, &in, &len, &msg, &msg_len), FRAMER_MORE);
	framer_trim(&f); /* a message is under way: nothing goes */
	cr_assert_eq(f.have, 30000);
	len = sizeof(stream) - 30000;
	cr_assert_eq(framer_feed(&f, &in, &len, &msg, &msg_len), FRAMER_MESSAGE);
	cr_assert_eq(msg_len, 60000);
	framer_trim(&f);
	cr_assert_eq(f.cap, 0);
	cr_assert_null(f.buf);
	framer_free(&f);
}
