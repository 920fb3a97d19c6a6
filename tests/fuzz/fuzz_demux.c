/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whose a datagram is: the first octet says what the QUIC connections know (bit 0: the
 * address pair; bit 1: ids that begin with an octet below 8), the rest is the datagram. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "control/serve/demux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool knows_pair(void *arg, const void *pair)
{
	(void)pair;
	return *(const uint8_t *)arg & 1;
}

static bool knows_id(void *arg, const uint8_t *id, size_t left)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < left; i++) /* all of it is there to be read */
		sum |= id[i];
	(void)sum;
	return *(const uint8_t *)arg & 2 && left > 0 && id[0] < 8;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;

	uint8_t known = data[0];
	const struct demux_quic quic = {knows_pair, knows_id, &known};
	enum demux_to to = demux_datagram(&quic, NULL, data + 1, size - 1);

	if (size == 1)
		return to == DEMUX_DROP ? 0 : (abort(), 0);
	if (data[1] & 0xc0 || known & 1)
		return to == DEMUX_QUIC ? 0 : (abort(), 0);
	if (to == DEMUX_DTLS && (data[1] < 20 || data[1] > 63 || size < 14 || data[2] != 0xfe))
		abort();
	return 0;
}
