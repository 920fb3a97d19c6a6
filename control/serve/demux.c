/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/demux.h"

#define DTLS_FIRST 20 /* content types of TLS begin here: change_cipher_spec */
#define DTLS_LAST 63
#define DTLS_1_0 0xfeff /* RFC 4347 section 4.1 */
#define DTLS_1_2 0xfefd /* RFC 6347 section 4.1 */

static unsigned read_u16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* Header: type, version (2 octets), epoch (2), sequence number (6), length (2). */
static bool is_dtls(const uint8_t *data, size_t len)
{
	if (len < DEMUX_DTLS_HEADER || data[0] < DTLS_FIRST || data[0] > DTLS_LAST)
		return false;

	unsigned version = read_u16(data + 1);

	return (version == DTLS_1_0 || version == DTLS_1_2) &&
	       read_u16(data + 11) <= len - DEMUX_DTLS_HEADER;
}

enum demux_to demux_datagram(const struct demux_quic *quic, const void *pair,
			     const uint8_t *data, size_t len)
{
	if (len == 0)
		return DEMUX_DROP;
	if (data[0] & (DEMUX_LONG_HEADER | DEMUX_QUIC_BIT))
		return DEMUX_QUIC;
	if (quic->knows_pair(quic->arg, pair) || quic->knows_id(quic->arg, data + 1, len - 1))
		return DEMUX_QUIC;
	return is_dtls(data, len) ? DEMUX_DTLS : DEMUX_DROP;
}
