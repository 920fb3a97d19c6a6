/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "control/serve/demux.h"

/* Knows the address pair, or the id 1 2 3 4 at the front of what it is shown. */
struct known {
	bool pair, id;
};

static bool knows_pair(void *arg, const void *pair)
{
	cr_assert_str_eq(pair, "a pair");
	return ((struct known *)arg)->pair;
}

static bool knows_id(void *arg, const uint8_t *id, size_t left)
{
	static const uint8_t ours[4] = {1, 2, 3, 4};

	return ((struct known *)arg)->id && left >= sizeof(ours) && memcmp(id, ours, sizeof(ours)) == 0;
}

/* In a block of its own size, so that a sanitizer sees an octet too far. */
static enum demux_to demux(bool pair, bool id, const uint8_t *data, size_t len)
{
	struct known known = {pair, id};
	const struct demux_quic quic = {knows_pair, knows_id, &known};
	uint8_t *copy = calloc(1, len ? len : 1);

	memcpy(copy, data, len);

	enum demux_to to = demux_datagram(&quic, "a pair", copy, len);

	free(copy);
	return to;
}

/* A record of 12 octets with that content type and version. */
static const uint8_t *record(unsigned first, unsigned version)
{
	static uint8_t data[25];

	memset(data, 0, sizeof(data));
	data[0] = (uint8_t)first;
	data[1] = (uint8_t)(version >> 8);
	data[2] = (uint8_t)version;
	data[12] = 12;
	return data;
}

/* Every first octet, in each state, before a good and a bad version. */
Test(demux, every_first_octet)
{
	static const struct { unsigned first, last; enum demux_to unknown; } table[] = {
		{0, 3, DEMUX_DROP},      /* STUN */
		{4, 15, DEMUX_DROP},     /* unassigned */
		{16, 19, DEMUX_DROP},    /* ZRTP */
		{20, 63, DEMUX_DTLS},    /* DTLS */
		{64, 79, DEMUX_QUIC},    /* TURN channel: not here */
		{80, 127, DEMUX_QUIC},   /* QUIC, short header */
		{128, 191, DEMUX_QUIC},  /* RTP: not here */
		{192, 255, DEMUX_QUIC},  /* QUIC, long header */
	};
	unsigned next = 0;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		cr_assert_eq(table[i].first, next, "the table has a hole");
		for (unsigned first = next; first <= table[i].last; first++) {
			enum demux_to unknown = table[i].unknown;
			enum demux_to bad = unknown == DEMUX_DTLS ? DEMUX_DROP : unknown;

			cr_expect_eq(demux(false, false, record(first, 0xfefd), 25), unknown, "%u", first);
			cr_expect_eq(demux(false, false, record(first, 0xfeff), 25), unknown, "%u", first);
			cr_expect_eq(demux(false, false, record(first, 0x0303), 25), bad, "%u", first);
			cr_expect_eq(demux(false, false, record(first, 0xfefe), 25), bad, "%u", first);
			cr_expect_eq(demux(true, false, record(first, 0xfefd), 25), DEMUX_QUIC, "%u", first);
			cr_expect_eq(demux(false, true, record(first, 0x0102), 25),
				     bad, "%u: 1 2 and zeros are no id", first);

			uint8_t with_id[25] = {(uint8_t)first, 1, 2, 3, 4};

			cr_expect_eq(demux(false, true, with_id, 25), DEMUX_QUIC, "%u", first);
			cr_expect_eq(demux(false, false, with_id, 25), bad, "%u", first);
		}
		next = table[i].last + 1;
	}
	cr_assert_eq(next, 256);
}

Test(demux, dtls_has_a_whole_record)
{
	uint8_t data[25];

	memcpy(data, record(22, 0xfefd), sizeof(data));
	for (size_t len = 0; len < 25; len++)
		cr_expect_eq(demux(false, false, data, len), DEMUX_DROP, "%zu octets", len);
	cr_expect_eq(demux(false, false, data, 25), DEMUX_DTLS);
	data[12] = 13;
	cr_expect_eq(demux(false, false, data, 25), DEMUX_DROP, "one octet more promised");
	data[11] = 1;
	data[12] = 0;
	cr_expect_eq(demux(false, false, data, 25), DEMUX_DROP, "256 octets promised");
	data[11] = 0;
	data[12] = 3; /* another record behind it */
	cr_expect_eq(demux(false, false, data, 25), DEMUX_DTLS);
}

Test(demux, short_datagrams)
{
	static const uint8_t one[] = {0x40, 0};

	cr_expect_eq(demux(true, true, one, 0), DEMUX_DROP, "an empty datagram is nobody's");
	cr_expect_eq(demux(false, false, one, 1), DEMUX_QUIC);
	cr_expect_eq(demux(true, false, one + 1, 1), DEMUX_QUIC, "of a known pair");
	cr_expect_eq(demux(false, true, one + 1, 1), DEMUX_DROP);
}
