/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ngtcp2_compat.h - the one place that knows which ngtcp2 there is: 0.12 (Debian 12) or
 * 1.x (Debian 13).  What both spell alike is used as it is.  The part for 1.x was
 * read against its headers; it was not built with it yet. */
#ifndef POLLUX_NGTCP2_COMPAT_H
#define POLLUX_NGTCP2_COMPAT_H

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <stdbool.h>

#if NGTCP2_VERSION_NUM < 0x010000

typedef ngtcp2_connection_close_error quic_close;
typedef ngtcp2_crypto_level quic_level;
#define QUIC_LEVEL_INITIAL NGTCP2_CRYPTO_LEVEL_INITIAL

/* quic_close_application, _transport, _library, _tls - why a connection is closed: an error code
 * of DoQ's, of QUIC's, an error of the library, an alert of TLS. */
static inline void quic_close_application(quic_close *c, uint64_t code)
{
	ngtcp2_connection_close_error_set_application_error(c, code, NULL, 0);
}

static inline void quic_close_library(quic_close *c, int error)
{
	ngtcp2_connection_close_error_set_transport_error_liberr(c, error, NULL, 0);
}

static inline void quic_close_tls(quic_close *c, uint8_t alert)
{
	ngtcp2_connection_close_error_set_transport_error_tls_alert(c, alert, NULL, 0);
}

/* quic_token - the token of an Initial packet; empty when there is none. */
static inline ngtcp2_vec quic_token(const ngtcp2_pkt_hd *hd)
{
	return hd->token;
}

/* quic_settings_token - tell that the address was validated by this token. */
static inline void quic_settings_token(ngtcp2_settings *s, const ngtcp2_vec *token, bool retry)
{
	(void)retry;
	s->token = *token;
}

static inline void quic_original_id(ngtcp2_transport_params *p, const ngtcp2_cid *id)
{
	p->original_dcid = *id;
}

/* quic_never_grease - do not tell the client that it may clear the QUIC Bit (RFC 9287),
 * whatever the library thinks: 0.12 always does, and gives no other way to stop it.  To
 * be called before the first packet is read. */
static inline void quic_never_grease(ngtcp2_conn *conn)
{
	((ngtcp2_transport_params *)ngtcp2_conn_get_local_transport_params(conn))->grease_quic_bit = 0;
}

static inline int quic_end_writing(ngtcp2_conn *conn, int64_t stream, uint64_t code)
{
	return ngtcp2_conn_shutdown_stream_write(conn, stream, code);
}

#else

typedef ngtcp2_ccerr quic_close;
typedef ngtcp2_encryption_level quic_level;
#define QUIC_LEVEL_INITIAL NGTCP2_ENCRYPTION_LEVEL_INITIAL

static inline void quic_close_application(quic_close *c, uint64_t code)
{
	ngtcp2_ccerr_set_application_error(c, code, NULL, 0);
}

static inline void quic_close_library(quic_close *c, int error)
{
	ngtcp2_ccerr_set_liberr(c, error, NULL, 0);
}

static inline void quic_close_tls(quic_close *c, uint8_t alert)
{
	ngtcp2_ccerr_set_tls_alert(c, alert, NULL, 0);
}

static inline ngtcp2_vec quic_token(const ngtcp2_pkt_hd *hd)
{
	return (ngtcp2_vec){(uint8_t *)hd->token, hd->tokenlen};
}

static inline void quic_settings_token(ngtcp2_settings *s, const ngtcp2_vec *token, bool retry)
{
	s->token = token->base;
	s->tokenlen = token->len;
	s->token_type = retry ? NGTCP2_TOKEN_TYPE_RETRY : NGTCP2_TOKEN_TYPE_NEW_TOKEN;
}

static inline void quic_original_id(ngtcp2_transport_params *p, const ngtcp2_cid *id)
{
	p->original_dcid = *id;
	p->original_dcid_present = 1;
}

static inline void quic_never_grease(ngtcp2_conn *conn)
{
	(void)conn; /* it is off unless asked for */
}

static inline int quic_end_writing(ngtcp2_conn *conn, int64_t stream, uint64_t code)
{
	return ngtcp2_conn_shutdown_stream_write(conn, 0, stream, code);
}

#endif

#endif
