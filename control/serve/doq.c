/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/doq.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "control/serve/deadline.h"
#include "control/serve/doq_stream.h"
#include "control/serve/ngtcp2_compat.h"

#define MESSAGE_MAX 65535  /* octets of a DNS message (RFC 9250 section 4.2) */
#define PACKET_MAX 1452    /* octets of a datagram from us, at most */
#define BUCKETS 4096       /* of each hash table; a power of two */
#define HASH_SECRET 192    /* octets; XXH3 wants at least 136 */
#define HANDSHAKE_NS UINT64_C(5000000000)
#define RETRY_TOKEN_NS UINT64_C(10000000000)          /* a round trip */
#define NEW_TOKEN_NS UINT64_C(86400000000000)         /* a day */
#define SECOND_NS UINT64_C(1000000000)
#define RESETS_A_SECOND 1000 /* stateless resets, of a thread (RFC 9000 section 10.3.3) */
#define STUCK_NS SECOND_NS /* who got nothing done for so long may go for a newcomer, too */
#define ENDED_MAX 1024     /* connections remembered after their end */
#define RESET_SMALLEST (NGTCP2_MIN_STATELESS_RESET_RANDLEN + NGTCP2_STATELESS_RESET_TOKENLEN)

static const gnutls_datum_t alpn = {(unsigned char *)"doq", 3}; /* RFC 9250 section 4.1.1 */

struct list {
	struct conn *head, *tail; /* least recently active first */
	unsigned cnt;
};

/* One of a connection's ids. */
struct id {
	struct id *next;    /* in its bucket */
	struct id *sibling; /* of its connection */
	struct conn *conn;
	uint8_t len;
	uint8_t octets[NGTCP2_MAX_CIDLEN];
};

struct stream {
	struct stream *all_prev, *all_next; /* of its connection */
	struct stream *prev, *next; /* in one of its connection's two queues, or in none */
	struct queue *queue;
	int64_t id;
	struct doq_stream in;
	uint8_t *query;     /* that waits to be answered, else NULL */
	size_t query_len;
	size_t credit;      /* octets that came on it and still count against DOQ_WINDOW */
	uint8_t *answer;    /* with its length before it; until all is acknowledged */
	size_t answer_len, sent;
};

struct queue {
	struct stream *head, *tail;
};

struct conn {
	struct deadline deadline; /* first: container of it */
	struct doq *doq;
	struct conn *prev, *next; /* in doq's list of live or of ended ones */
	struct conn *dirty_next;
	struct conn *pair_next;   /* in its bucket */
	struct pair pair;
	struct sockaddr_storage local, peer;
	struct id *ids;
	struct room_place place;
	bool live;                /* else only ids, and what closed it, are left */
	bool dirty, shaken, known; /* known: in the table of pairs */
	ngtcp2_crypto_conn_ref ref;
	ngtcp2_conn *quic;
	gnutls_session_t tls;
	struct credentials *credentials;
	enum doq_error error;     /* ours, that ends the connection; else DOQ_NO_ERROR */
	uint8_t alert;            /* TLS's, the same */
	size_t crypto;            /* octets of handshake messages that came */
	struct stream *streams;
	uint64_t active;          /* when its handshake, a query, or a part of an answer was last done */
	struct queue waiting, sending;
	size_t queued;            /* octets of answers */
	uint8_t *farewell;        /* the packet that closed it, to be repeated */
	size_t farewell_len;
	unsigned late;            /* packets that came after the end */
};

struct doq {
	struct doq_env env;
	struct list live, ended;
	unsigned shaking;         /* live ones whose handshakes have not ended */
	struct conn *dirty;
	struct deadlines deadlines;
	uint64_t now;             /* of the call under way */
	uint8_t secret[CREDENTIALS_SECRET]; /* of tokens and resets: reloads leave it */
	uint64_t reset_second;
	unsigned resets;
	struct doq_counts counts;
	struct id *id_bucket[BUCKETS];
	struct conn *pair_bucket[BUCKETS];
	uint8_t hash_secret[HASH_SECRET];
	uint8_t answer[DOQ_PREFIX + MESSAGE_MAX];
};

/* ---- tables and lists ---- */

static size_t bucket(const struct doq *d, const void *octets, size_t len)
{
	/* Keyed: clients choose their first ids and their addresses. */
	return XXH3_64bits_withSecret(octets, len, d->hash_secret, HASH_SECRET) & (BUCKETS - 1);
}

static struct conn *find_id(const struct doq *d, const uint8_t *octets, size_t len)
{
	const struct id *i = d->id_bucket[bucket(d, octets, len)];

	while (i && (i->len != len || memcmp(i->octets, octets, len) != 0))
		i = i->next;
	return i ? i->conn : NULL;
}

static int add_id(struct conn *c, const ngtcp2_cid *cid)
{
	struct doq *d = c->doq;
	struct id *i = malloc(sizeof(*i));

	if (!i)
		return -ENOMEM;

	struct id **at = &d->id_bucket[bucket(d, cid->data, cid->datalen)];

	*i = (struct id){.next = *at, .sibling = c->ids, .conn = c, .len = (uint8_t)cid->datalen};
	memcpy(i->octets, cid->data, cid->datalen);
	*at = c->ids = i;
	return 0;
}

static void free_id(struct doq *d, struct id *i)
{
	struct id **at = &d->id_bucket[bucket(d, i->octets, i->len)];

	while (*at != i)
		at = &(*at)->next;
	*at = i->next;
	free(i);
}

static void remove_id(struct conn *c, const ngtcp2_cid *cid)
{
	for (struct id **at = &c->ids; *at; at = &(*at)->sibling) {
		struct id *i = *at;

		if (i->len == cid->datalen && memcmp(i->octets, cid->data, i->len) == 0) {
			*at = i->sibling;
			free_id(c->doq, i);
			return;
		}
	}
}

static struct conn *find_pair(const struct doq *d, const struct pair *pair)
{
	struct conn *c = d->pair_bucket[bucket(d, pair, sizeof(*pair))];

	while (c && !pair_equal(&c->pair, pair))
		c = c->pair_next;
	return c;
}

static void remove_pair(struct conn *c)
{
	struct conn **at = &c->doq->pair_bucket[bucket(c->doq, &c->pair, sizeof(c->pair))];

	if (!c->known)
		return;
	while (*at != c)
		at = &(*at)->pair_next;
	*at = c->pair_next;
	c->known = false;
}

/* Notes between which addresses the connection is now.  Only once its handshake is complete
 * it is put into the table: whoever forges an address must not take what comes from there
 * away from DTLS. */
static void set_pair(struct conn *c, const struct sockaddr *local, const struct sockaddr *peer)
{
	struct pair pair;

	pair_make(&pair, local, peer);
	if (c->known && pair_equal(&pair, &c->pair))
		return;
	if (c->known)
		c->doq->counts.moved++;
	remove_pair(c);
	c->pair = pair;
	memcpy(&c->local, local, pair_socklen(local));
	memcpy(&c->peer, peer, pair_socklen(peer));
	if (!c->shaken)
		return;

	struct conn **at = &c->doq->pair_bucket[bucket(c->doq, &pair, sizeof(pair))];

	c->pair_next = *at;
	*at = c;
	c->known = true;
}

static void list_remove(struct list *l, struct conn *c)
{
	*(c->prev ? &c->prev->next : &l->head) = c->next;
	*(c->next ? &c->next->prev : &l->tail) = c->prev;
	l->cnt--;
}

static void list_append(struct list *l, struct conn *c)
{
	c->prev = l->tail;
	c->next = NULL;
	*(l->tail ? &l->tail->next : &l->head) = c;
	l->tail = c;
	l->cnt++;
}

static void touch(struct conn *c)
{
	c->active = c->doq->now;
	list_remove(&c->doq->live, c);
	list_append(&c->doq->live, c);
	room_touch(c->doq->env.room, &c->place);
}

static void mark_dirty(struct conn *c)
{
	if (c->dirty)
		return;
	c->dirty = true;
	c->dirty_next = c->doq->dirty;
	c->doq->dirty = c;
}

static void unmark_dirty(struct conn *c)
{
	if (!c->dirty)
		return;

	struct conn **at = &c->doq->dirty;

	while (*at != c)
		at = &(*at)->dirty_next;
	*at = c->dirty_next;
	c->dirty = false;
}

/* ---- streams ---- */

static void dequeue(struct stream *s)
{
	struct queue *q = s->queue;

	if (!q)
		return;
	*(s->prev ? &s->prev->next : &q->head) = s->next;
	*(s->next ? &s->next->prev : &q->tail) = s->prev;
	s->queue = NULL;
}

static void enqueue(struct queue *q, struct stream *s)
{
	s->queue = q;
	s->prev = q->tail;
	s->next = NULL;
	*(q->tail ? &q->tail->next : &q->head) = s;
	q->tail = s;
}

/* What came on the stream no longer counts against the connection's window. */
static void give_credit(struct conn *c, struct stream *s)
{
	doq_stream_free(&s->in);
	free(s->query);
	s->query = NULL;
	if (s->credit > 0)
		ngtcp2_conn_extend_max_offset(c->quic, s->credit);
	s->credit = 0;
}

/* Answers the stream's query into its place in the sending queue.  False without
 * memory, or an answer. */
static bool answer(struct conn *c, struct stream *s, const uint8_t *msg, size_t len)
{
	struct doq *d = c->doq;
	size_t n = d->env.answer(d->env.arg, (const struct sockaddr *)&c->peer, msg, len,
				 d->answer + DOQ_PREFIX, MESSAGE_MAX);

	give_credit(c, s);
	touch(c);
	if (n == 0)
		return false;
	d->answer[0] = (uint8_t)(n >> 8);
	d->answer[1] = (uint8_t)n;
	s->answer = malloc(DOQ_PREFIX + n);
	if (!s->answer)
		return false;
	memcpy(s->answer, d->answer, DOQ_PREFIX + n);
	s->answer_len = DOQ_PREFIX + n;
	c->queued += s->answer_len;
	enqueue(&c->sending, s);
	return true;
}

static bool put_off(struct conn *c, struct stream *s, const uint8_t *msg, size_t len)
{
	s->query = malloc(len);
	if (!s->query)
		return false;
	memcpy(s->query, msg, len);
	s->query_len = len;
	enqueue(&c->waiting, s);
	return true;
}

/* Answers what waited for room; within none of ngtcp2's callbacks. */
static void answer_waiting(struct conn *c)
{
	while (c->waiting.head && c->queued < DOQ_QUEUE_MAX) {
		struct stream *s = c->waiting.head;

		dequeue(s);
		if (!answer(c, s, s->query, s->query_len))
			quic_end_writing(c->quic, s->id, DOQ_INTERNAL_ERROR);
	}
}

/* ---- what ngtcp2 calls ---- */

static int on_stream_open(ngtcp2_conn *quic, int64_t id, void *user)
{
	struct conn *c = user;
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	s->id = id;
	doq_stream_init(&s->in);
	if (ngtcp2_conn_set_stream_user_data(quic, id, s)) {
		free(s);
		return NGTCP2_ERR_CALLBACK_FAILURE;
	}
	s->all_next = c->streams;
	if (c->streams)
		c->streams->all_prev = s;
	c->streams = s;
	return 0;
}

static void free_stream(struct conn *c, struct stream *s)
{
	*(s->all_prev ? &s->all_prev->all_next : &c->streams) = s->all_next;
	if (s->all_next)
		s->all_next->all_prev = s->all_prev;
	c->queued -= s->answer_len;
	doq_stream_free(&s->in);
	free(s->query);
	free(s->answer);
	free(s);
}

/* Who takes its answers is not idle, however slowly they go. */
static int on_acked(ngtcp2_conn *quic, int64_t id, uint64_t offset, uint64_t len, void *user, void *stream)
{
	(void)quic;
	(void)id;
	(void)offset;
	(void)len;
	(void)stream;
	touch(user);
	return 0;
}

static int on_stream_close(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t code,
			   void *user, void *stream)
{
	struct conn *c = user;
	struct stream *s = stream;

	(void)flags;
	(void)id;
	(void)code;
	if (!s)
		return 0;
	dequeue(s);
	give_credit(c, s);
	free_stream(c, s);
	ngtcp2_conn_extend_max_streams_bidi(quic, 1);
	return 0;
}

/* The client takes its query back (RFC 9250 section 4.3.1): no answer is sent. */
static int on_stream_reset(ngtcp2_conn *quic, int64_t id, uint64_t size, uint64_t code,
			   void *user, void *stream)
{
	struct stream *s = stream;

	(void)size;
	(void)code;
	if (!s)
		return 0;
	dequeue(s);
	give_credit(user, s);
	return quic_end_writing(quic, id, DOQ_REQUEST_CANCELLED) ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_stop_sending(ngtcp2_conn *quic, int64_t id, uint64_t code, void *user, void *stream)
{
	(void)quic;
	(void)id;
	(void)code;
	(void)user;
	if (stream)
		dequeue(stream);
	return 0; /* the library resets the stream */
}

static int fail(struct conn *c, enum doq_error error)
{
	c->error = error;
	return NGTCP2_ERR_CALLBACK_FAILURE;
}

static int on_stream_data(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t offset,
			  const uint8_t *data, size_t len, void *user, void *stream)
{
	struct conn *c = user;
	struct stream *s = stream;
	const uint8_t *msg;
	size_t msg_len;

	(void)offset;
	if (!s)
		return fail(c, DOQ_INTERNAL_ERROR);
	s->credit += len;
	switch (doq_stream_feed(&s->in, data, len, flags & NGTCP2_STREAM_DATA_FLAG_FIN, &msg, &msg_len)) {
	case DOQ_STREAM_MORE:
		return 0;
	case DOQ_STREAM_QUERY:
		break;
	case DOQ_STREAM_BAD:
		return fail(c, DOQ_PROTOCOL_ERROR);
	case DOQ_STREAM_NO_MEMORY:
		return fail(c, DOQ_INTERNAL_ERROR);
	}
	if (c->queued < DOQ_QUEUE_MAX ? answer(c, s, msg, msg_len) : put_off(c, s, msg, msg_len))
		return 0;
	return quic_end_writing(quic, id, DOQ_INTERNAL_ERROR) ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

/* Nothing else limits what TLS gathers: CRYPTO frames have no flow control (RFC 9000 section
 * 7.5). */
static int on_crypto_data(ngtcp2_conn *quic, quic_level level, uint64_t offset, const uint8_t *data,
			  size_t len, void *user)
{
	struct conn *c = user;

	c->crypto += len;
	if (c->crypto <= CREDENTIALS_HANDSHAKE_MAX)
		return ngtcp2_crypto_recv_crypto_data_cb(quic, level, offset, data, len, user);
	c->alert = GNUTLS_A_DECODE_ERROR;
	return NGTCP2_ERR_CALLBACK_FAILURE;
}

static uint64_t real_ns(const struct doq *d)
{
	return d->env.real_ns(d->env.arg);
}

/* The address is validated now: the client may come back without Retry, and with a
 * ticket. */
static int on_handshake(ngtcp2_conn *quic, void *user)
{
	struct conn *c = user;
	struct doq *d = c->doq;
	gnutls_datum_t chosen;
	uint8_t token[NGTCP2_CRYPTO_MAX_REGULAR_TOKENLEN];

	/* RFC 9001 section 8.1: the protocol has to be agreed upon. */
	if (gnutls_alpn_get_selected_protocol(c->tls, &chosen) < 0) {
		c->alert = GNUTLS_A_NO_APPLICATION_PROTOCOL;
		return NGTCP2_ERR_CALLBACK_FAILURE;
	}
	c->shaken = true;
	d->shaking--;
	d->counts.completed++;
	d->counts.resumed += gnutls_session_is_resumed(c->tls) != 0;
	touch(c);

	ngtcp2_ssize n = ngtcp2_crypto_generate_regular_token(token, d->secret, CREDENTIALS_SECRET,
		(const struct sockaddr *)&c->peer, pair_socklen((const struct sockaddr *)&c->peer), real_ns(d));

	if (n > 0)
		ngtcp2_conn_submit_new_token(quic, token, (size_t)n);
	if (c->credentials->ask == GNUTLS_CERT_IGNORE)
		gnutls_session_ticket_send(c->tls, 1, 0); /* without it there is no resumption, no more */
	return 0;
}

static void draw_id(const struct doq *d, ngtcp2_cid *cid, size_t len)
{
	gnutls_rnd(GNUTLS_RND_RANDOM, cid->data, len);
	cid->data[0] = (uint8_t)d->env.thread;
	cid->datalen = len;
}

static int on_new_id(ngtcp2_conn *quic, ngtcp2_cid *cid, uint8_t *token, size_t len, void *user)
{
	struct conn *c = user;

	(void)quic;
	draw_id(c->doq, cid, len);
	if (ngtcp2_crypto_generate_stateless_reset_token(token, c->doq->secret, CREDENTIALS_SECRET,
							 cid) || add_id(c, cid))
		return NGTCP2_ERR_CALLBACK_FAILURE;
	return 0;
}

static int on_old_id(ngtcp2_conn *quic, const ngtcp2_cid *cid, void *user)
{
	(void)quic;
	remove_id(user, cid);
	return 0;
}

static void on_random(uint8_t *out, size_t len, const ngtcp2_rand_ctx *context)
{
	(void)context;
	gnutls_rnd(GNUTLS_RND_NONCE, out, len);
}

static const ngtcp2_callbacks callbacks = {
	.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
	.recv_crypto_data = on_crypto_data,
	.encrypt = ngtcp2_crypto_encrypt_cb,
	.decrypt = ngtcp2_crypto_decrypt_cb,
	.hp_mask = ngtcp2_crypto_hp_mask_cb,
	.update_key = ngtcp2_crypto_update_key_cb,
	.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
	.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
	.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
	.version_negotiation = ngtcp2_crypto_version_negotiation_cb,
	.rand = on_random,
	.get_new_connection_id = on_new_id,
	.remove_connection_id = on_old_id,
	.handshake_completed = on_handshake,
	.stream_open = on_stream_open,
	.recv_stream_data = on_stream_data,
	.acked_stream_data_offset = on_acked,
	.stream_close = on_stream_close,
	.stream_reset = on_stream_reset,
	.stream_stop_sending = on_stop_sending,
};

/* ---- the end of a connection ---- */

/* Gives back all that a live connection has but its ids. */
static void lay_down(struct conn *c)
{
	struct doq *d = c->doq;

	if (!c->live)
		return;
	c->live = false;
	unmark_dirty(c);
	remove_pair(c);
	list_remove(&d->live, c);
	if (!c->shaken)
		d->shaking--;
	room_remove(d->env.room, &c->place);
	while (c->streams)
		free_stream(c, c->streams);
	ngtcp2_conn_del(c->quic);
	gnutls_deinit(c->tls);
	credentials_drop(c->credentials);
	c->quic = NULL;
	c->tls = NULL;
	c->credentials = NULL;
}

/* At once and without a word. */
static void conn_free(struct conn *c)
{
	struct doq *d = c->doq;
	bool live = c->live;

	lay_down(c);
	if (!live)
		list_remove(&d->ended, c);
	deadline_set(&d->deadlines, &c->deadline, DEADLINE_NONE);
	while (c->ids) {
		struct id *i = c->ids;

		c->ids = i->sibling;
		free_id(d, i);
	}
	free(c->farewell);
	free(c);
}

static void emit(struct doq *d, const struct sockaddr *local, const struct sockaddr *peer,
		 const uint8_t *data, ngtcp2_ssize len)
{
	if (len > 0)
		d->env.emit(d->env.arg, local, peer, data, (size_t)len);
}

static void emit_path(struct doq *d, const ngtcp2_path *path, const uint8_t *data, ngtcp2_ssize len)
{
	emit(d, path->local.addr, path->remote.addr, data, len);
}

/* The connection is over; its ids are remembered for three probe time-outs, so that
 * what is still on its way finds them (RFC 9000 section 10.2). */
static void conn_end(struct conn *c)
{
	struct doq *d = c->doq;
	uint64_t until = d->now + 3 * ngtcp2_conn_get_pto(c->quic);

	lay_down(c);
	list_append(&d->ended, c);
	deadline_set(&d->deadlines, &c->deadline, until);
	if (d->ended.cnt > ENDED_MAX)
		conn_free(d->ended.head);
}

static void conn_close(struct conn *c, const quic_close *why)
{
	uint8_t packet[PACKET_MAX];
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info = {0};

	ngtcp2_path_storage_zero(&path);

	ngtcp2_ssize n = ngtcp2_conn_write_connection_close(c->quic, &path.path, &info, packet,
							    sizeof(packet), why, c->doq->now);

	if (n > 0) {
		emit_path(c->doq, &path.path, packet, n);
		c->farewell = malloc((size_t)n);
		if (c->farewell) {
			memcpy(c->farewell, packet, (size_t)n);
			c->farewell_len = (size_t)n;
		}
	}
	conn_end(c);
}

static void conn_close_code(struct conn *c, enum doq_error code)
{
	quic_close why = {0};

	quic_close_application(&why, code);
	conn_close(c, &why);
}

/* Ends a connection that has done no wrong, for want of time or room. */
static void conn_dismiss(struct conn *c)
{
	conn_close_code(c, c->streams ? DOQ_EXCESSIVE_LOAD : DOQ_NO_ERROR);
}

/* Ends a connection for an error that ngtcp2 returned. */
static void conn_fail(struct conn *c, int error)
{
	quic_close why = {0};

	switch (error) {
	case NGTCP2_ERR_DRAINING: /* the client has closed it */
		conn_end(c);
		return;
	case NGTCP2_ERR_IDLE_CLOSE: /* RFC 9000 section 10.1: silently */
	case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
		c->doq->counts.timed_out++;
		conn_free(c);
		return;
	case NGTCP2_ERR_DROP_CONN:
	case NGTCP2_ERR_RETRY: /* doq_feed has sent it */
		conn_free(c);
		return;
	case NGTCP2_ERR_CRYPTO:
		quic_close_tls(&why, ngtcp2_conn_get_tls_alert(c->quic));
		break;
	case NGTCP2_ERR_CALLBACK_FAILURE:
		if (c->alert)
			quic_close_tls(&why, c->alert);
		else
			quic_close_application(&why, c->error ? c->error : DOQ_INTERNAL_ERROR);
		break;
	default:
		quic_close_library(&why, error);
	}
	conn_close(c, &why);
}

/* ---- sending ---- */

/* When it will have been idle for too long: nothing got done, whatever packets came. */
static uint64_t idle_end(const struct conn *c)
{
	return c->shaken ? c->active + c->doq->env.idle_ns : DEADLINE_NONE;
}

static void set_deadline(struct conn *c)
{
	uint64_t at = ngtcp2_conn_get_expiry(c->quic), idle = idle_end(c);

	deadline_set(&c->doq->deadlines, &c->deadline, at < idle ? at : idle);
}

/* Puts as many answers into a packet as fit, and sends as many packets as congestion
 * control permits. */
static void conn_write(struct conn *c)
{
	struct doq *d = c->doq;
	uint8_t packet[PACKET_MAX];
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info = {0};
	struct stream *s;

	answer_waiting(c);
	ngtcp2_path_storage_zero(&path);
	s = c->sending.head;
	for (;;) {
		struct stream *next = s ? s->next : NULL;
		ngtcp2_vec rest = {0};
		ngtcp2_ssize taken = -1;
		uint32_t flags = s ? NGTCP2_WRITE_STREAM_FLAG_MORE | NGTCP2_WRITE_STREAM_FLAG_FIN : 0;

		if (s)
			rest = (ngtcp2_vec){s->answer + s->sent, s->answer_len - s->sent};

		ngtcp2_ssize n = ngtcp2_conn_writev_stream(c->quic, &path.path, &info, packet, sizeof(packet),
							   &taken, flags, s ? s->id : -1, s ? &rest : NULL,
							   s ? 1 : 0, d->now);

		if (s && taken >= 0) {
			s->sent += (size_t)taken;
			if (s->sent == s->answer_len) {
				dequeue(s);
				s = next;
			}
		}
		if (n == 0)
			break;
		if (n > 0) {
			emit_path(d, &path.path, packet, n);
		} else if (n == NGTCP2_ERR_STREAM_DATA_BLOCKED) {
			s = next; /* it stays in the queue */
		} else if (s && (n == NGTCP2_ERR_STREAM_SHUT_WR || n == NGTCP2_ERR_STREAM_NOT_FOUND)) {
			dequeue(s);
			s = next;
		} else if (n != NGTCP2_ERR_WRITE_MORE) {
			conn_fail(c, (int)n);
			return;
		}
	}
	ngtcp2_conn_update_pkt_tx_time(c->quic, d->now);
	set_deadline(c);
}

void doq_flush(struct doq *d, uint64_t now)
{
	d->now = now;
	while (d->dirty) {
		struct conn *c = d->dirty;

		unmark_dirty(c);
		conn_write(c);
	}
}

/* ---- new connections ---- */

/* RFC 9000 section 6.1: for a datagram that could begin a connection. */
static void negotiate_version(struct doq *d, const struct sockaddr *local, const struct sockaddr *peer,
			      const ngtcp2_version_cid *vc)
{
	static const uint32_t versions[] = {0x1a2a3a4a, NGTCP2_PROTO_VER_V1}; /* one is no version */
	uint8_t packet[PACKET_MAX], random;

	gnutls_rnd(GNUTLS_RND_NONCE, &random, 1);
	d->counts.version++;
	emit(d, local, peer, packet,
	     ngtcp2_pkt_write_version_negotiation(packet, sizeof(packet), random, vc->scid, vc->scidlen,
						  vc->dcid, vc->dcidlen, versions, 2));
}

/* RFC 9000 section 10.3: for a packet of a connection that is not known, shorter than it. */
static void reset(struct doq *d, const struct sockaddr *local, const struct sockaddr *peer,
		  const ngtcp2_version_cid *vc, size_t len)
{
	uint8_t packet[64], token[NGTCP2_STATELESS_RESET_TOKENLEN], random[26];
	ngtcp2_cid cid;

	if (len <= RESET_SMALLEST)
		return;
	if (d->reset_second != d->now / SECOND_NS) {
		d->reset_second = d->now / SECOND_NS;
		d->resets = 0;
	}
	if (d->resets++ >= RESETS_A_SECOND)
		return;

	size_t random_len = len - 1 - sizeof(token);

	if (random_len > sizeof(random))
		random_len = sizeof(random);
	gnutls_rnd(GNUTLS_RND_NONCE, random, random_len);
	ngtcp2_cid_init(&cid, vc->dcid, vc->dcidlen);
	if (ngtcp2_crypto_generate_stateless_reset_token(token, d->secret, sizeof(d->secret), &cid))
		return;
	d->counts.reset++;
	emit(d, local, peer, packet,
	     ngtcp2_pkt_write_stateless_reset(packet, sizeof(packet), token, random, random_len));
}

static void retry(struct doq *d, const struct sockaddr *local, const struct sockaddr *peer,
		  const ngtcp2_pkt_hd *hd)
{
	uint8_t packet[PACKET_MAX], token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN];
	ngtcp2_cid id;

	draw_id(d, &id, DOQ_ID);

	ngtcp2_ssize n = ngtcp2_crypto_generate_retry_token(token, d->secret, sizeof(d->secret), hd->version, peer,
							    pair_socklen(peer), &id, &hd->dcid, real_ns(d));

	if (n < 0)
		return;
	d->counts.retried++;
	emit(d, local, peer, packet,
	     ngtcp2_crypto_write_retry(packet, sizeof(packet), hd->version, &hd->scid, &id, &hd->dcid, token,
				       (size_t)n));
}

/* Tells a client that it gets no connection; nothing is kept of it. */
static void turn_away(struct doq *d, const struct sockaddr *local, const struct sockaddr *peer,
		      const ngtcp2_pkt_hd *hd, uint64_t code)
{
	uint8_t packet[PACKET_MAX];

	d->counts.refused++;
	emit(d, local, peer, packet,
	     ngtcp2_crypto_write_connection_close(packet, sizeof(packet), hd->version, &hd->scid, &hd->dcid,
						  code, NULL, 0));
}

#define CONN_OF(p) ((struct conn *)(void *)((char *)(p) - offsetof(struct conn, place)))

static enum room_state room_state(const struct room_place *p, uint64_t now)
{
	const struct conn *c = CONN_OF(p);

	if (c->shaken && !c->streams)
		return ROOM_RESTS;
	return now >= c->active + STUCK_NS ? ROOM_STUCK : ROOM_BUSY;
}

static void evict(struct room_place *p, uint64_t now)
{
	struct conn *c = CONN_OF(p);

	c->doq->now = now;
	c->doq->counts.evicted++;
	conn_dismiss(c);
}

static const struct room_keeper keeper = {room_state, evict};

static ngtcp2_conn *get_quic(ngtcp2_crypto_conn_ref *r)
{
	return ((struct conn *)r->user_data)->quic;
}

static int start_tls(struct conn *c)
{
	if (gnutls_init(&c->tls, GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET) < 0) {
		c->tls = NULL;
		return -ENOMEM;
	}
	c->ref = (ngtcp2_crypto_conn_ref){get_quic, c};
	gnutls_session_set_ptr(c->tls, &c->ref);
	if (credentials_set(c->credentials, c->tls, c->credentials->quic) ||
	    gnutls_alpn_set_protocols(c->tls, &alpn, 1, GNUTLS_ALPN_MANDATORY) < 0 ||
	    ngtcp2_crypto_gnutls_configure_server_session(c->tls))
		return -ENOMEM;
	return 0;
}

static ngtcp2_path path_of(const struct sockaddr *local, const struct sockaddr *peer)
{
	return (ngtcp2_path){
		.local = {(struct sockaddr *)local, pair_socklen(local)},
		.remote = {(struct sockaddr *)peer, pair_socklen(peer)},
	};
}

/* What a client said in its first packet, and what we know from its token. */
struct first {
	const ngtcp2_pkt_hd *hd;
	ngtcp2_cid original; /* the id that it chose first */
	ngtcp2_vec token;
	bool validated, retried;
};

static int start_quic(struct conn *c, const ngtcp2_path *path, const struct first *f)
{
	struct doq *d = c->doq;
	ngtcp2_settings settings;
	ngtcp2_transport_params params;
	ngtcp2_cid id;

	ngtcp2_settings_default(&settings);
	settings.initial_ts = d->now;
	settings.handshake_timeout = HANDSHAKE_NS;
	settings.max_tx_udp_payload_size = PACKET_MAX;
	/* Answers are short: it is not worth probes. */
	settings.no_pmtud = 1;
	if (f->validated)
		quic_settings_token(&settings, &f->token, f->retried);

	draw_id(d, &id, DOQ_ID);
	ngtcp2_transport_params_default(&params);
	params.initial_max_streams_bidi = DOQ_STREAMS;
	params.initial_max_stream_data_bidi_remote = DOQ_PREFIX + MESSAGE_MAX;
	params.initial_max_data = DOQ_WINDOW;
	params.max_idle_timeout = d->env.idle_ns;
	params.stateless_reset_token_present = 1;
	quic_original_id(&params, &f->original);
	if (f->retried) {
		params.retry_scid = f->hd->dcid;
		params.retry_scid_present = 1;
	}
	if (ngtcp2_crypto_generate_stateless_reset_token(params.stateless_reset_token, d->secret,
							 sizeof(d->secret), &id) ||
	    ngtcp2_conn_server_new(&c->quic, &f->hd->scid, &id, path, f->hd->version, &callbacks, &settings,
				   &params, NULL, c)) {
		c->quic = NULL;
		return -ENOMEM;
	}
	quic_never_grease(c->quic);
	ngtcp2_conn_set_tls_native_handle(c->quic, c->tls);
	return add_id(c, &f->hd->dcid) || add_id(c, &id) ? -ENOMEM : 0;
}

/* NULL without memory. */
static struct conn *conn_new(struct doq *d, const struct sockaddr *local, const struct sockaddr *peer,
			     const struct first *f, const struct clients_prefix *prefix)
{
	struct conn *c = calloc(1, sizeof(*c));
	ngtcp2_path path = path_of(local, peer);

	if (!c || deadlines_reserve(&d->deadlines, d->live.cnt + d->ended.cnt + 1)) {
		free(c);
		clients_leave(d->env.room->clients, prefix);
		return NULL;
	}
	c->doq = d;
	c->live = true;
	c->credentials = credentials_get(d->env.vault);
	c->active = d->now;
	list_append(&d->live, c);
	room_add(d->env.room, &c->place, &keeper, prefix);
	d->shaking++;
	set_pair(c, local, peer);
	if (start_tls(c) || start_quic(c, &path, f)) {
		conn_free(c);
		return NULL;
	}
	d->counts.accepted++;
	return c;
}

/* Reads the token, if there is one.  False: the client must not get a connection. */
static bool read_token(struct doq *d, const struct sockaddr *peer, struct first *f)
{
	f->original = f->hd->dcid;
	f->token = quic_token(f->hd);
	if (f->token.len == 0)
		return true;
	if (f->token.base[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY) {
		f->validated = f->retried =
			ngtcp2_crypto_verify_retry_token(&f->original, f->token.base, f->token.len, d->secret,
							 sizeof(d->secret), f->hd->version, peer,
							 pair_socklen(peer), &f->hd->dcid, RETRY_TOKEN_NS,
							 real_ns(d)) == 0;
		return f->retried;
	}
	/* Of a NEW_TOKEN frame, perhaps; any other is as good as none (RFC 9000 8.1.3). */
	f->validated = f->token.base[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_REGULAR &&
		       ngtcp2_crypto_verify_regular_token(f->token.base, f->token.len, d->secret,
							  sizeof(d->secret), peer, pair_socklen(peer),
							  NEW_TOKEN_NS, real_ns(d)) == 0;
	return true;
}

/* A connection for a client's first packet; NULL when it gets none (now). */
static struct conn *welcome(struct doq *d, const struct sockaddr *local, const struct sockaddr *peer,
			    const uint8_t *data, size_t len)
{
	ngtcp2_pkt_hd hd;
	struct first f = {.hd = &hd};
	struct clients_prefix prefix;
	enum clients_verdict v = CLIENTS_FULL;

	/* Also refuses 0-RTT that comes before its Initial packet: nobody can read it. */
	if (ngtcp2_accept(&hd, data, len) != 0)
		return NULL;
	if (!read_token(d, peer, &f)) {
		turn_away(d, local, peer, &hd, NGTCP2_INVALID_TOKEN);
		return NULL;
	}
	if (f.validated || d->shaking < DOQ_RETRY_FROM) {
		/* Nobody goes for an address that may be forged. */
		v = room_admit(d->env.room, peer, f.validated, d->now, &prefix);
		if (v == CLIENTS_TAKEN)
			return conn_new(d, local, peer, &f, &prefix);
	}
	if (!f.validated && v != CLIENTS_NO_MEMORY)
		retry(d, local, peer, &hd);
	else
		turn_away(d, local, peer, &hd, NGTCP2_CONNECTION_REFUSED);
	return NULL;
}

/* ---- receiving ---- */

/* A packet of a connection that is over: what closed it is said again, ever more rarely
 * (RFC 9000 section 10.2.1). */
static void late(struct conn *c, const struct sockaddr *local, const struct sockaddr *peer)
{
	struct pair pair;

	pair_make(&pair, local, peer);
	c->late++;
	if (c->farewell && (c->late & (c->late - 1)) == 0 && pair_equal(&pair, &c->pair))
		emit(c->doq, local, peer, c->farewell, (ngtcp2_ssize)c->farewell_len);
}

void doq_feed(struct doq *d, const struct sockaddr *local, const struct sockaddr *peer,
	      const uint8_t *data, size_t len, uint64_t now)
{
	ngtcp2_version_cid vc;
	ngtcp2_path path = path_of(local, peer);
	ngtcp2_pkt_info info = {0};
	int error = ngtcp2_pkt_decode_version_cid(&vc, data, len, DOQ_ID);

	d->now = now;
	if (error == NGTCP2_ERR_VERSION_NEGOTIATION) {
		negotiate_version(d, local, peer, &vc);
		return;
	}
	if (error)
		return;

	bool is_long = data[0] & 0x80;
	struct conn *c = find_id(d, vc.dcid, vc.dcidlen);

	if (!c && !is_long) {
		reset(d, local, peer, &vc, len);
		return;
	}
	if (!c && vc.version == 0)
		return; /* Version Negotiation is for clients */
	if (!c && vc.version != NGTCP2_PROTO_VER_V1) { /* the library knows drafts, too */
		if (len >= NGTCP2_MAX_UDP_PAYLOAD_SIZE)
			negotiate_version(d, local, peer, &vc);
		return;
	}
	if (!c)
		c = welcome(d, local, peer, data, len);
	if (!c)
		return;
	if (!c->live) {
		late(c, local, peer);
		return;
	}
	error = ngtcp2_conn_read_pkt(c->quic, &path, &info, data, len, now);
	if (error) {
		ngtcp2_pkt_hd hd;

		/* A ClientHello of several packets, and not its first: it is kept for validated
		 * addresses only. */
		if (error == NGTCP2_ERR_RETRY && ngtcp2_accept(&hd, data, len) == 0)
			retry(d, local, peer, &hd);
		conn_fail(c, error);
		return;
	}

	const ngtcp2_path *current = ngtcp2_conn_get_path(c->quic);

	set_pair(c, current->local.addr, current->remote.addr);
	mark_dirty(c);
}

uint64_t doq_deadline(const struct doq *d)
{
	const struct deadline *first = deadlines_first(&d->deadlines);

	return first ? first->at : DEADLINE_NONE;
}

void doq_expire(struct doq *d, uint64_t now)
{
	struct deadline *first;

	d->now = now;
	while ((first = deadlines_first(&d->deadlines)) && first->at <= now) {
		struct conn *c = (struct conn *)first;
		int error;

		if (!c->live) {
			conn_free(c);
			continue;
		}
		if (idle_end(c) <= now) {
			d->counts.timed_out++;
			conn_dismiss(c);
			continue;
		}
		deadline_set(&d->deadlines, first, DEADLINE_NONE); /* conn_write sets it */
		error = ngtcp2_conn_handle_expiry(c->quic, now);
		if (error)
			conn_fail(c, error);
		else
			mark_dirty(c);
	}
	doq_flush(d, now);
}

/* ---- birth and death ---- */

int doq_new(struct doq **out, const struct doq_env *env)
{
	struct doq *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->env = *env;
	deadlines_init(&d->deadlines);
	gnutls_rnd(GNUTLS_RND_KEY, d->hash_secret, sizeof(d->hash_secret));

	struct credentials *c = credentials_get(env->vault);

	memcpy(d->secret, c->secret, sizeof(d->secret));
	credentials_drop(c);
	*out = d;
	return 0;
}

void doq_limit(struct doq *d, uint64_t idle_ns)
{
	d->env.idle_ns = idle_ns;
}

bool doq_knows_pair(const struct doq *d, const struct pair *pair)
{
	return find_pair(d, pair) != NULL;
}

bool doq_knows_id(const struct doq *d, const uint8_t *id, size_t left)
{
	/* The first id is the client's choice, which may look like the head of others' records. */
	return left >= DOQ_ID && id[0] == d->env.thread && find_id(d, id, DOQ_ID) != NULL;
}

unsigned doq_connections(const struct doq *d)
{
	return d->live.cnt;
}

const struct doq_counts *doq_counted(const struct doq *d)
{
	return &d->counts;
}

void doq_close(struct doq *d, uint64_t now)
{
	d->now = now;
	while (d->live.head)
		conn_close_code(d->live.head, DOQ_NO_ERROR);
}

void doq_free(struct doq *d)
{
	while (d->live.head)
		conn_free(d->live.head);
	while (d->ended.head)
		conn_free(d->ended.head);
	deadlines_free(&d->deadlines);
	gnutls_memset(d->secret, 0, sizeof(d->secret));
	free(d);
}
