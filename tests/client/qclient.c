/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/client/qclient.h"

#include <gnutls/crypto.h>
#include <netinet/in.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <stdlib.h>
#include <string.h>

#define OLD (NGTCP2_VERSION_NUM < 0x010000) /* 0.12 (Debian 12); else 1.x */

static gnutls_certificate_credentials_t credentials;
static gnutls_priority_t priority;

static ngtcp2_conn *get_conn(ngtcp2_crypto_conn_ref *ref)
{
	return ((struct qclient *)ref->user_data)->conn;
}

static socklen_t size_of(const struct sockaddr *sa)
{
	return sa->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static ngtcp2_path path_of(struct qclient *q)
{
	return (ngtcp2_path){
		.local = {(struct sockaddr *)&q->local, size_of((struct sockaddr *)&q->local)},
		.remote = {(struct sockaddr *)&q->remote, size_of((struct sockaddr *)&q->remote)},
	};
}

static void on_random(uint8_t *out, size_t len, const ngtcp2_rand_ctx *context)
{
	(void)context;
	gnutls_rnd(GNUTLS_RND_NONCE, out, len);
}

static int on_new_id(ngtcp2_conn *conn, ngtcp2_cid *cid, uint8_t *token, size_t len, void *user)
{
	(void)conn;
	(void)user;
	gnutls_rnd(GNUTLS_RND_NONCE, cid->data, len);
	cid->datalen = len;
	gnutls_rnd(GNUTLS_RND_NONCE, token, NGTCP2_STATELESS_RESET_TOKENLEN);
	return 0;
}

static int on_handshake(ngtcp2_conn *conn, void *user)
{
	struct qclient *q = user;

	q->shaken = true;
	q->resumed = gnutls_session_is_resumed(q->tls);
	q->grease = ngtcp2_conn_get_remote_transport_params(conn)->grease_quic_bit;
	return 0;
}

static int on_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset, const uint8_t *data,
		   size_t len, void *user, void *stream)
{
	struct qclient_stream *s = stream;

	(void)offset;
	if (!s)
		return 0;
	s->in = realloc(s->in, s->in_len + len + 1);
	memcpy(s->in + s->in_len, data, len);
	s->in_len += len;
	s->fin = flags & NGTCP2_STREAM_DATA_FLAG_FIN;
	ngtcp2_conn_extend_max_stream_offset(conn, id, len);
	if (!((struct qclient *)user)->slow)
		ngtcp2_conn_extend_max_offset(conn, len);
	return 0;
}

static int on_reset(ngtcp2_conn *conn, int64_t id, uint64_t size, uint64_t code, void *user, void *stream)
{
	struct qclient_stream *s = stream;

	(void)conn;
	(void)id;
	(void)size;
	(void)user;
	if (s) {
		s->reset = true;
		s->code = code;
	}
	return 0;
}

static int on_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t code, void *user, void *stream)
{
	struct qclient_stream *s = stream;

	(void)conn;
	(void)flags;
	(void)id;
	(void)code;
	(void)user;
	if (s)
		s->closed = true;
	return 0;
}

static void keep_token(struct qclient *q, const uint8_t *token, size_t len)
{
	if (len <= sizeof(q->token)) {
		memcpy(q->token, token, len);
		q->token_len = len;
	}
}

#if OLD
static int on_token(ngtcp2_conn *conn, const ngtcp2_vec *token, void *user)
{
	(void)conn;
	keep_token(user, token->base, token->len);
	return 0;
}
#else
static int on_token(ngtcp2_conn *conn, const uint8_t *token, size_t len, void *user)
{
	(void)conn;
	keep_token(user, token, len);
	return 0;
}
#endif

static int on_versions(ngtcp2_conn *conn, const ngtcp2_pkt_hd *hd, const uint32_t *versions, size_t cnt,
		       void *user)
{
	(void)conn;
	(void)hd;
	for (size_t i = 0; i < cnt; i++)
		if (versions[i] == NGTCP2_PROTO_VER_V1)
			((struct qclient *)user)->negotiated = true;
	return 0;
}

static int on_retry(ngtcp2_conn *conn, const ngtcp2_pkt_hd *hd, void *user)
{
	((struct qclient *)user)->retried = true;
	return ngtcp2_crypto_recv_retry_cb(conn, hd, user);
}

static int on_stateless_reset(ngtcp2_conn *conn, const ngtcp2_pkt_stateless_reset *sr, void *user)
{
	(void)conn;
	(void)sr;
	((struct qclient *)user)->was_reset = true;
	return 0;
}

static const ngtcp2_callbacks callbacks = {
	.client_initial = ngtcp2_crypto_client_initial_cb,
	.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
	.encrypt = ngtcp2_crypto_encrypt_cb,
	.decrypt = ngtcp2_crypto_decrypt_cb,
	.hp_mask = ngtcp2_crypto_hp_mask_cb,
	.update_key = ngtcp2_crypto_update_key_cb,
	.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
	.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
	.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
	.version_negotiation = ngtcp2_crypto_version_negotiation_cb,
	.recv_version_negotiation = on_versions,
	.recv_retry = on_retry,
	.recv_stateless_reset = on_stateless_reset,
	.rand = on_random,
	.get_new_connection_id = on_new_id,
	.handshake_completed = on_handshake,
	.recv_stream_data = on_data,
	.stream_reset = on_reset,
	.stream_close = on_close,
	.recv_new_token = on_token,
};

static int ignore(gnutls_session_t tls, const unsigned char *data, size_t len)
{
	(void)tls;
	(void)data;
	(void)len;
	return 0;
}

static int put_hello(gnutls_session_t tls, gnutls_buffer_t out)
{
	static const uint8_t octets[4096];
	const struct qclient_ref *ref = gnutls_session_get_ptr(tls);
	size_t len = ((struct qclient *)ref->user_data)->hello;

	return gnutls_buffer_append_data(out, octets, len) < 0 ? -1 : (int)len;
}

static int start_tls(struct qclient *q, const struct qclient_options *o)
{
	const char *alpn = o->alpn ? o->alpn : "doq";
	gnutls_datum_t name = {(unsigned char *)alpn, (unsigned)strlen(alpn)};

	if (!credentials && (gnutls_certificate_allocate_credentials(&credentials) < 0 ||
			     gnutls_priority_init(&priority, "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-X25519:"
						  "%DISABLE_TLS13_COMPAT_MODE", NULL) < 0))
		return -1;
	if (gnutls_init(&q->tls, GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT) < 0)
		return -1;
	q->ref = (struct qclient_ref){(void *)get_conn, q};
	gnutls_session_set_ptr(q->tls, &q->ref);
	gnutls_priority_set(q->tls, priority);
	gnutls_credentials_set(q->tls, GNUTLS_CRD_CERTIFICATE, o->credentials ? o->credentials : credentials);
	if (name.size > 0)
		gnutls_alpn_set_protocols(q->tls, &name, 1, 0);
	q->hello = o->hello;
	if (o->hello > 0 && gnutls_session_ext_register(q->tls, "long", 0xff42, GNUTLS_EXT_TLS, ignore, put_hello, NULL,
							 NULL, NULL,
							 GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO) < 0)
		return -1;
	if (o->session)
		gnutls_session_set_data(q->tls, o->session->data, o->session->size);
	return ngtcp2_crypto_gnutls_configure_client_session(q->tls);
}

/* A handshake message of 16 MiB, as far as it goes. */
static int ramble(ngtcp2_conn *conn, size_t len)
{
	uint8_t *octets = calloc(1, len);
	int result;

	memset(memset(octets, 1, 1) + 1, 0xff, 3);
#if OLD
	result = ngtcp2_conn_submit_crypto_data(conn, NGTCP2_CRYPTO_LEVEL_INITIAL, octets, len);
#else
	result = ngtcp2_conn_submit_crypto_data(conn, NGTCP2_ENCRYPTION_LEVEL_INITIAL, octets, len);
#endif
	free(octets);
	return result;
}

int qclient_init(struct qclient *q, const struct sockaddr *local, const struct sockaddr *remote,
		 const struct qclient_options *options, uint64_t now)
{
	static const struct qclient_options none;
	const struct qclient_options *o = options ? options : &none;
	ngtcp2_settings settings;
	ngtcp2_transport_params params;
	ngtcp2_cid dcid, scid;
	ngtcp2_conn *conn;

	memset(q, 0, sizeof(*q));
	memcpy(&q->local, local, size_of(local));
	memcpy(&q->remote, remote, size_of(remote));
	if (start_tls(q, o))
		return -1;
	gnutls_rnd(GNUTLS_RND_NONCE, dcid.data, 18);
	dcid.datalen = 18;
	if (o->id)
		ngtcp2_cid_init(&dcid, o->id, o->id_len);
	gnutls_rnd(GNUTLS_RND_NONCE, scid.data, 8);
	scid.datalen = 8;
	ngtcp2_settings_default(&settings);
	settings.initial_ts = now;
#if OLD
	settings.token = (ngtcp2_vec){(uint8_t *)o->token, o->token_len};
#else
	settings.token = o->token;
	settings.tokenlen = o->token_len;
	settings.token_type = NGTCP2_TOKEN_TYPE_NEW_TOKEN;
#endif
	ngtcp2_transport_params_default(&params);
	params.initial_max_stream_data_bidi_local = 200000;
	params.initial_max_data = o->window ? o->window : 1000000;
	q->slow = o->window > 0;
	params.max_idle_timeout = 60 * UINT64_C(1000000000);

	ngtcp2_path path = path_of(q);

	if (ngtcp2_conn_client_new(&conn, &dcid, &scid, &path, o->version ? o->version : NGTCP2_PROTO_VER_V1,
				   &callbacks, &settings, &params, NULL, q))
		return -1;
	q->conn = conn;
	ngtcp2_conn_set_tls_native_handle(conn, q->tls);
	return o->ramble > 0 ? ramble(conn, o->ramble) : 0;
}

void qclient_free(struct qclient *q)
{
	for (size_t i = 0; i < q->streams; i++) {
		free(q->stream[i].in);
		free(q->stream[i].out);
	}
	ngtcp2_conn_del(q->conn);
	gnutls_deinit(q->tls);
	memset(q, 0, sizeof(*q));
}

struct qclient_stream *qclient_send(struct qclient *q, struct qclient_stream *s, const uint8_t *data,
				    size_t len, bool fin)
{
	if (!s) {
		if (q->streams == QCLIENT_STREAMS)
			return NULL;
		s = &q->stream[q->streams++];
		s->id = -1;
	}
	s->out = realloc(s->out, s->out_len + len + 1);
	if (len > 0)
		memcpy(s->out + s->out_len, data, len);
	s->out_len += len;
	s->out_fin |= fin;
	return s;
}

struct qclient_stream *qclient_ask(struct qclient *q, const uint8_t *msg, size_t len)
{
	uint8_t prefix[2] = {(uint8_t)(len >> 8), (uint8_t)len};
	struct qclient_stream *s = qclient_send(q, NULL, prefix, 2, false);

	return s ? qclient_send(q, s, msg, len, true) : NULL;
}

void qclient_cancel(struct qclient *q, struct qclient_stream *s, uint64_t code)
{
#if OLD
	ngtcp2_conn_shutdown_stream(q->conn, s->id, code);
#else
	ngtcp2_conn_shutdown_stream(q->conn, 0, s->id, code);
#endif
	s->sent = s->out_len;
	s->open = true;
	s->out_fin = false;
}

void qclient_take(struct qclient *q, size_t octets)
{
	ngtcp2_conn_extend_max_offset(q->conn, octets);
}

void qclient_keep_alive(struct qclient *q, uint64_t ns)
{
	ngtcp2_conn_set_keep_alive_timeout(q->conn, ns);
}

/* Streams are opened as soon as the server permits them. */
static void open_streams(struct qclient *q)
{
	for (size_t i = 0; q->shaken && i < q->streams; i++) {
		struct qclient_stream *s = &q->stream[i];

		if (!s->open && ngtcp2_conn_open_bidi_stream(q->conn, &s->id, s) == 0)
			s->open = true;
	}
	q->streams_left = ngtcp2_conn_get_streams_bidi_left(q->conn);
}

size_t qclient_out(struct qclient *q, uint8_t *out, uint64_t now)
{
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info = {0};

	if (q->closed)
		return 0;
	ngtcp2_path_storage_zero(&path);
	open_streams(q);
	for (size_t i = 0; i <= q->streams; i++) {
		struct qclient_stream *s = i < q->streams ? &q->stream[i] : NULL;
		ngtcp2_vec rest = {0};
		ngtcp2_ssize taken = -1, n;
		bool all;

		if (s && (!s->open || s->closed || (s->sent >= s->out_len && !s->out_fin)))
			continue;
		if (s)
			rest = (ngtcp2_vec){s->out + s->sent, s->out_len - s->sent};
		n = ngtcp2_conn_writev_stream(q->conn, &path.path, &info, out, QCLIENT_PACKET, &taken,
					      s && s->out_fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0,
					      s ? s->id : -1, s ? &rest : NULL, s ? 1 : 0, now);
		if (s && taken >= 0) {
			s->sent += (size_t)taken;
			all = s->sent == s->out_len;
			if (all)
				s->out_fin = false;
		}
		ngtcp2_conn_update_pkt_tx_time(q->conn, now);
		if (n > 0)
			return (size_t)n;
		if (n < 0 && n != NGTCP2_ERR_STREAM_DATA_BLOCKED && n != NGTCP2_ERR_STREAM_SHUT_WR &&
		    n != NGTCP2_ERR_STREAM_NOT_FOUND) {
			q->error = (int)n;
			q->closed = true;
			return 0;
		}
	}
	return 0;
}

static void over(struct qclient *q, int error)
{
	q->error = error;
	q->closed = true;
	if (error == NGTCP2_ERR_DRAINING) {
#if OLD
		ngtcp2_connection_close_error why;

		ngtcp2_conn_get_connection_close_error(q->conn, &why);
		q->application = why.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION;
		q->code = why.error_code;
#else
		const ngtcp2_ccerr *why = ngtcp2_conn_get_ccerr(q->conn);

		q->application = why->type == NGTCP2_CCERR_TYPE_APPLICATION;
		q->code = why->error_code;
#endif
	}
}

void qclient_in(struct qclient *q, const uint8_t *data, size_t len, uint64_t now)
{
	ngtcp2_path path = path_of(q);
	ngtcp2_pkt_info info = {0};
	int error;

	if (q->closed)
		return;
	error = ngtcp2_conn_read_pkt(q->conn, &path, &info, data, len, now);
	if (error)
		over(q, error);
}

uint64_t qclient_expiry(struct qclient *q)
{
	return q->closed ? UINT64_MAX : ngtcp2_conn_get_expiry(q->conn);
}

void qclient_expire(struct qclient *q, uint64_t now)
{
	int error = q->closed ? 0 : ngtcp2_conn_handle_expiry(q->conn, now);

	if (error)
		over(q, error);
}

size_t qclient_close(struct qclient *q, uint64_t code, uint8_t *out, uint64_t now)
{
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info = {0};
	ngtcp2_ssize n;

	if (q->closed)
		return 0;
#if OLD
	ngtcp2_connection_close_error why;

	ngtcp2_connection_close_error_set_application_error(&why, code, NULL, 0);
#else
	ngtcp2_ccerr why;

	ngtcp2_ccerr_set_application_error(&why, code, NULL, 0);
#endif
	ngtcp2_path_storage_zero(&path);
	n = ngtcp2_conn_write_connection_close(q->conn, &path.path, &info, out, QCLIENT_PACKET, &why, now);
	q->closed = true;
	return n > 0 ? (size_t)n : 0;
}

int qclient_move(struct qclient *q, const struct sockaddr *local, uint64_t now)
{
	memcpy(&q->local, local, size_of(local));

	ngtcp2_path path = path_of(q);

	return ngtcp2_conn_initiate_immediate_migration(q->conn, &path, now);
}

int qclient_ticket(struct qclient *q, gnutls_datum_t *session)
{
	return gnutls_session_get_data2(q->tls, session) < 0 ? -1 : 0;
}
