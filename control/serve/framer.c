/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/framer.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 512 /* octets; holds nearly every query */

static size_t read_length(const uint8_t *p)
{
	return (size_t)p[0] << 8 | p[1];
}

static void advance(const uint8_t **in, size_t *len, size_t n)
{
	*in += n;
	*len -= n;
}

/* Takes octets of the input until the framer holds `want`.  False without memory. */
static bool gather(struct framer *f, const uint8_t **in, size_t *len, size_t want)
{
	size_t n = want - f->have;

	if (n > *len)
		n = *len;
	if (f->cap - f->have < n) {
		size_t cap = f->cap ? f->cap : FIRST_CAP;

		while (cap - f->have < n)
			cap *= 2;
		uint8_t *buf = realloc(f->buf, cap);

		if (!buf)
			return false;
		f->buf = buf;
		f->cap = cap;
	}
	if (n > 0)
		memcpy(f->buf + f->have, *in, n);
	f->have += n;
	advance(in, len, n);
	return true;
}

void framer_init(struct framer *f)
{
	*f = (struct framer){0};
}

void framer_free(struct framer *f)
{
	free(f->buf);
	*f = (struct framer){0};
}

void framer_trim(struct framer *f)
{
	if (f->have == 0)
		framer_free(f);
}

enum framer_result framer_feed(struct framer *f, const uint8_t **in, size_t *len,
			       const uint8_t **msg, size_t *msg_len)
{
	/* The common case, a whole message in the input, is not copied. */
	if (f->have == 0 && *len >= FRAMER_PREFIX) {
		size_t n = read_length(*in);

		if (n < FRAMER_SHORTEST)
			return FRAMER_SHORT;
		if (n <= *len - FRAMER_PREFIX) {
			*msg = *in + FRAMER_PREFIX;
			*msg_len = n;
			advance(in, len, FRAMER_PREFIX + n);
			return FRAMER_MESSAGE;
		}
	}
	if (f->have < FRAMER_PREFIX) {
		if (!gather(f, in, len, FRAMER_PREFIX))
			return FRAMER_NO_MEMORY;
		if (f->have < FRAMER_PREFIX)
			return FRAMER_MORE;
	}

	size_t n = read_length(f->buf);

	if (n < FRAMER_SHORTEST)
		return FRAMER_SHORT;
	if (!gather(f, in, len, FRAMER_PREFIX + n))
		return FRAMER_NO_MEMORY;
	if (f->have < FRAMER_PREFIX + n)
		return FRAMER_MORE;
	*msg = f->buf + FRAMER_PREFIX;
	*msg_len = n;
	f->have = 0;
	return FRAMER_MESSAGE;
}
