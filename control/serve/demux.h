/* SPDX-License-Identifier: GPL-3.0-or-later */
/* demux.h - tell DNS over QUIC from DNS over DTLS on one UDP port (RFC 9250
 * section 8.2).
 *
 * What a datagram's first octet may mean where several protocols share a port
 * (RFC 9443 section 3, which updates RFC 7983), and what it means here:
 *
 *        0 -   3   STUN           no protocol of this port
 *        4 -  15   DROP           none
 *       16 -  19   ZRTP           none
 *       20 -  63   DTLS           DTLS, unless a QUIC connection claims it
 *       64 -  79   TURN Channel   QUIC: a short header
 *       80 - 127   QUIC           QUIC: a short header
 *      128 - 191   RTP/RTCP       QUIC: a long header with the QUIC Bit cleared
 *      192 - 255   QUIC           QUIC: a long header
 *
 * A client may clear the QUIC Bit (0x40) once we have told it that it may (RFC 9287).
 * We never do; still, a packet of a known connection is that connection's, whatever
 * its first octet (known: its handshake is complete, so nobody forged the address).  So a datagram that sets neither 0x80 nor 0x40 is looked up among
 * the QUIC connections first, and only one that none of them knows can be DTLS.
 *
 * No state, no allocation, no system call: any thread.
 */
#ifndef POLLUX_DEMUX_H
#define POLLUX_DEMUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEMUX_LONG_HEADER 0x80 /* of a QUIC packet's first octet (RFC 9000 section 17.2) */
#define DEMUX_QUIC_BIT 0x40    /* always set but by agreement (RFC 9000 17.2, RFC 9287) */
#define DEMUX_DTLS_HEADER 13   /* octets of a DTLS record's header (RFC 6347 section 4.1) */

enum demux_to { DEMUX_DROP, DEMUX_QUIC, DEMUX_DTLS };

/* What is known of the QUIC connections at this moment. */
struct demux_quic {
	/* Is there one between these two addresses?  They are what demux_datagram was
	 * told, not looked at here. */
	bool (*knows_pair)(void *arg, const void *pair);
	/* Does one of them have the connection id that begins at id (of left octets)? */
	bool (*knows_id)(void *arg, const uint8_t *id, size_t left);
	void *arg;
};

/* demux_datagram - whose the datagram data[0..len), untrusted, is that came over
 * `pair`.
 *
 * DEMUX_DTLS: its first record is whole, of a content type between 20 and 63 and of
 * version DTLS 1.0 or 1.2 (a ClientHello carries either); nothing is said of what is
 * in it.  DEMUX_QUIC says nothing of the rest at all. */
enum demux_to demux_datagram(const struct demux_quic *quic, const void *pair,
			     const uint8_t *data, size_t len);

#endif
