/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qclient.h - a client of DNS over QUIC for tests: datagrams out, datagrams in.  It
 * shares no code with the server, and does wrong what it is told to. */
#ifndef POLLUX_QCLIENT_H
#define POLLUX_QCLIENT_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define QCLIENT_STREAMS 128
#define QCLIENT_PACKET 1452

struct qclient_stream {
	int64_t id;
	bool open, fin, reset, closed; /* fin: the server's last octet is here */
	uint8_t *out, *in;
	size_t out_len, sent, in_len;
	bool out_fin;
	uint64_t code;                 /* of a reset */
};

struct qclient_ref { /* as ngtcp2_crypto_conn_ref */
	void *get_conn, *user_data;
};

struct qclient {
	struct qclient_ref ref;
	void *conn;                    /* ngtcp2_conn */
	gnutls_session_t tls;
	struct sockaddr_storage local, remote;
	bool shaken, closed;           /* closed: by the server, or by time */
	bool application;              /* the code is DoQ's, not QUIC's */
	uint64_t code;
	int error;                     /* of ngtcp2 */
	bool grease;                   /* the server lets the QUIC Bit be cleared (RFC 9287) */
	bool negotiated, retried;      /* Version Negotiation came; a Retry */
	bool resumed, was_reset;       /* statelessly */
	bool slow;                     /* has a window */
	size_t hello;                  /* as in its options */
	uint8_t token[256];            /* of NEW_TOKEN */
	size_t token_len;
	struct qclient_stream stream[QCLIENT_STREAMS];
	size_t streams;
	uint64_t streams_left;         /* that the server lets it open */
};

struct qclient_options {
	const char *alpn;              /* NULL: doq; "": none */
	uint32_t version;              /* 0: 1 */
	const gnutls_datum_t *session; /* to be resumed, or NULL */
	const uint8_t *token;          /* for the first packet, or NULL */
	size_t token_len;
	gnutls_certificate_credentials_t credentials; /* with the client's certificate, or NULL */
	size_t ramble;                 /* octets of an endless ClientHello before the real one */
	const uint8_t *id;             /* that it chooses for the server first, or NULL */
	size_t id_len;
	size_t hello;                  /* octets by which its ClientHello is longer */
	size_t window;                 /* octets that it takes before qclient_take; 0: all */
};

/* qclient_init - a connection between the two addresses.  0, or -1. */
int qclient_init(struct qclient *q, const struct sockaddr *local, const struct sockaddr *remote,
		 const struct qclient_options *options, uint64_t now);
void qclient_free(struct qclient *q);

/* qclient_send - data for a stream, which is opened with its first; fin ends it.
 * Returns the stream, NULL when there can be no more. */
struct qclient_stream *qclient_send(struct qclient *q, struct qclient_stream *s, const uint8_t *data,
				    size_t len, bool fin);

/* qclient_ask - a query of its own stream, with its length before it. */
struct qclient_stream *qclient_ask(struct qclient *q, const uint8_t *msg, size_t len);

/* qclient_cancel - reset the stream and ask for the end of its other half. */
void qclient_cancel(struct qclient *q, struct qclient_stream *s, uint64_t code);

/* qclient_take - so many octets more may come.  qclient_keep_alive - send a PING after so
 * long a silence. */
void qclient_take(struct qclient *q, size_t octets);
void qclient_keep_alive(struct qclient *q, uint64_t ns);

/* qclient_out - the next datagram into out[QCLIENT_PACKET]; 0: none (now). */
size_t qclient_out(struct qclient *q, uint8_t *out, uint64_t now);

/* qclient_in - a datagram came. */
void qclient_in(struct qclient *q, const uint8_t *data, size_t len, uint64_t now);

/* qclient_expiry - when qclient_expire has something to do. */
uint64_t qclient_expiry(struct qclient *q);
void qclient_expire(struct qclient *q, uint64_t now);

/* qclient_close - the datagram that closes it, into out[QCLIENT_PACKET]. */
size_t qclient_close(struct qclient *q, uint64_t code, uint8_t *out, uint64_t now);

/* qclient_move - go on from another address (RFC 9000 section 9).  0, or -1. */
int qclient_move(struct qclient *q, const struct sockaddr *local, uint64_t now);

/* qclient_ticket - what a later connection can resume; *session is the caller's.  0 or -1. */
int qclient_ticket(struct qclient *q, gnutls_datum_t *session);

#endif
