/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/tcp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/serve/framer.h"
#include "control/serve/listen.h"
#include "control/serve/ring.h"

#define BACKLOG 1024        /* connections that wait for accept; the kernel's somaxconn caps it */
#define READ_MAX (16 << 10) /* octets a read: what a client can send ahead of its answers */
#define PLAIN_MAX (READ_MAX + TCP_LAYER_HELD) /* octets that a layer makes at a time */
#define GATHER_MAX (64 << 10) /* octets of answers gathered for one write */
#define MS_NS UINT64_C(1000000)
#define STUCK_MS 1000       /* who got nothing done for so long may go for a newcomer, too */

#define CONN_OF(ptr, member) ((struct tcp_conn *)(void *)((char *)(ptr) - offsetof(struct tcp_conn, member)))

/* Octets that wait, and what of them was used. */
struct kept {
	uint8_t *octets; /* NULL: none */
	size_t at, len;  /* len is what is left */
};

/* Answers on their way to a client that did not take them at once. */
struct block {
	uv_write_t write;
	struct tcp_conn *conn;
	size_t len;
	uint8_t octets[];
};

struct tcp_conn {
	uv_tcp_t handle;
	struct tcp *tcp;
	struct sockaddr_storage peer;
	struct room_place place;
	struct ring all;          /* in its struct tcp's */
	uint64_t active_ms;       /* loop time of the last query, octets taken, or the handshake's end */
	size_t unsent;            /* octets that the kernel had not taken then */
	struct framer framer;
	size_t queued;            /* octets gathered and in writes under way */
	struct kept wire, plain;  /* read but left while too much was queued */
	void *layer;              /* its state, or NULL */
	bool heard;               /* something has come */
	bool shaken;              /* the layer's handshake is over */
	bool reading;
	bool ended;               /* the client sends no more, or nothing sensible */
	bool finished;            /* the layer has said so, or must not */
	bool lost;                /* a write failed: `queued` counts what is gone, too */
};

struct tcp_listener {
	uv_tcp_t handle;
	struct tcp *tcp;
	struct sockaddr_storage sa;
	int fd;                   /* until the handle owns it */
	bool started;
};

struct tcp {
	const struct service_env *env;
	struct serve *serve;      /* env's */
	const struct tcp_layer *layer;
	void *layer_arg;
	unsigned idle_timeout_ms, first_timeout_ms;
	struct tcp_listener *listener;
	size_t cnt;
	uv_timer_t timer;
	bool started;
	struct ring all;          /* its connections, the least recently active first */
	struct tcp_conn *gathering; /* whose octets are gathered; between two calls nobody's */
	size_t gathered;
	uint8_t in[READ_MAX];
	uint8_t plain[PLAIN_MAX];
	uint8_t answer[FRAMER_PREFIX + SERVE_TCP_MAX];
	uint8_t gather[GATHER_MAX];
};

static void work(struct tcp_conn *c, const uint8_t *in, size_t len);

/* ---- the list of connections, by last activity ---- */

static void list_append(struct tcp_conn *c)
{
	c->active_ms = uv_now(c->handle.loop);
	c->unsent = uv_stream_get_write_queue_size((uv_stream_t *)&c->handle);
	ring_append(&c->tcp->all, &c->all);
}

static void touch(struct tcp_conn *c)
{
	ring_remove(&c->all);
	list_append(c);
	room_touch(c->tcp->env->room, &c->place);
}

/* ---- birth and death of a connection ---- */

static bool closing(struct tcp_conn *c)
{
	return uv_is_closing((uv_handle_t *)&c->handle);
}

static void on_conn_closed(uv_handle_t *handle)
{
	struct tcp_conn *c = handle->data;

	if (c->layer)
		c->tcp->layer->close(c->layer);
	framer_free(&c->framer);
	free(c->wire.octets);
	free(c->plain.octets);
	free(c);
}

/* Writes under way end with UV_ECANCELED before on_conn_closed. */
static void conn_close(struct tcp_conn *c)
{
	struct tcp *t = c->tcp;

	if (closing(c))
		return;
	if (t->gathering == c) {
		t->gathering = NULL;
		t->gathered = 0;
	}
	ring_remove(&c->all);
	room_remove(t->env->room, &c->place);
	uv_close((uv_handle_t *)&c->handle, on_conn_closed);
}

/* ---- writing ---- */

static void on_written(uv_write_t *write, int status)
{
	struct block *b = (struct block *)write;
	struct tcp_conn *c = b->conn;

	c->queued -= b->len;
	free(b);
	if (closing(c))
		return;
	if (status < 0) {
		conn_close(c);
		return;
	}
	touch(c);
	work(c, NULL, 0);
}

static bool lose(struct tcp_conn *c)
{
	c->lost = true;
	return false;
}

/* Sends what is gathered.  False when the connection is lost, now or before: a layer that
 * puts something need not say so. */
static bool flush(struct tcp_conn *c)
{
	struct tcp *t = c->tcp;
	uv_stream_t *stream = (uv_stream_t *)&c->handle;
	uv_buf_t buf = uv_buf_init((char *)t->gather, (unsigned)t->gathered);
	size_t len = t->gathered;

	if (c->lost || t->gathering != c)
		return !c->lost;
	t->gathering = NULL;
	t->gathered = 0;

	/* Nearly always the kernel takes all of it. */
	if (uv_stream_get_write_queue_size(stream) == 0) {
		int n = uv_try_write(stream, &buf, 1);

		if (n < 0 && n != UV_EAGAIN)
			return lose(c);
		if (n > 0) {
			buf.base += n;
			len -= (size_t)n;
			c->queued -= (size_t)n;
		}
	}
	if (len == 0)
		return true;

	struct block *b = malloc(sizeof(*b) + len);

	if (!b)
		return lose(c);
	b->conn = c;
	b->len = len;
	memcpy(b->octets, buf.base, len);
	buf = uv_buf_init((char *)b->octets, (unsigned)len);
	if (uv_write(&b->write, stream, &buf, 1, on_written) == 0)
		return true;
	free(b);
	return lose(c);
}

bool tcp_conn_put(struct tcp_conn *c, const uint8_t *octets, size_t len)
{
	struct tcp *t = c->tcp;

	assert(!t->gathering || t->gathering == c);
	while (len > 0 && !c->lost) {
		size_t n = GATHER_MAX - t->gathered;

		if (n > len)
			n = len;
		memcpy(t->gather + t->gathered, octets, n);
		t->gathering = c;
		t->gathered += n;
		c->queued += n;
		octets += n;
		len -= n;
		if (t->gathered == GATHER_MAX)
			flush(c);
	}
	return !c->lost;
}

/* Closes in order: the other side is told, as far as the kernel takes it at once. */
static void conn_end(struct tcp_conn *c)
{
	if (c->layer && !c->finished) {
		c->finished = true;
		c->tcp->layer->finish(c->layer);
		flush(c);
	}
	conn_close(c);
}

/* ---- reading ---- */

/* What a client may be told of the time-out (RFC 7828 section 3.3.2): 0, when there are
 * so many that it had better leave. */
static uint16_t keepalive(const struct tcp *t)
{
	unsigned units = t->idle_timeout_ms / 100;

	if (clients_full(t->env->room->clients))
		return 0;
	return (uint16_t)(units > UINT16_MAX ? UINT16_MAX : units);
}

/* Answers one message.  False when the connection cannot go on. */
static bool answer(struct tcp_conn *c, const uint8_t *msg, size_t len)
{
	struct tcp *t = c->tcp;
	struct serve_from from = {
		.peer = (struct sockaddr *)&c->peer, .transport = c->layer ? TRANSPORT_TLS : TRANSPORT_TCP,
		.keepalive = keepalive(t),
	};
	size_t n = serve_message(t->serve, &from, msg, len, t->answer + FRAMER_PREFIX,
				 SERVE_TCP_MAX);

	if (n == 0) {
		/* A response among queries: whoever sends it is no client of ours. */
		c->ended = true;
		return true;
	}
	t->answer[0] = (uint8_t)(n >> 8);
	t->answer[1] = (uint8_t)n;
	status_count(t->serve->slot, CNT_TX, 1);
	if (c->layer)
		return t->layer->encode(c->layer, t->answer, FRAMER_PREFIX + n);
	return tcp_conn_put(c, t->answer, FRAMER_PREFIX + n);
}

/* May more be answered, or does too much wait?  False in *alive when the connection is
 * lost by finding out. */
static bool has_room(struct tcp_conn *c, bool *alive)
{
	if (c->queued >= TCP_QUEUE_MAX)
		*alive = flush(c);
	return *alive && c->queued < TCP_QUEUE_MAX;
}

/* Answers what in[0..*len) holds until it is used up, the connection ends, or too
 * many answers wait; *in and *len are moved past what was used. */
static bool answer_all(struct tcp_conn *c, const uint8_t **in, size_t *len)
{
	const uint8_t *msg;
	size_t msg_len;
	bool alive = true, some = false;

	serve_begin(c->tcp->serve);
	while (alive && !c->ended && *len > 0 && has_room(c, &alive)) {
		switch (framer_feed(&c->framer, in, len, &msg, &msg_len)) {
		case FRAMER_MESSAGE:
			alive = answer(c, msg, msg_len);
			some = true;
			break;
		case FRAMER_SHORT:
			c->ended = true;
			break;
		case FRAMER_NO_MEMORY:
			alive = false;
			break;
		case FRAMER_MORE:
			break;
		}
	}
	serve_end(c->tcp->serve);
	framer_trim(&c->framer);
	if (some)
		touch(c);
	return alive;
}

static void drop(struct kept *k)
{
	free(k->octets);
	*k = (struct kept){0};
}

/* Keeps in[0..len) for later; it may be what is kept already.  False without memory. */
static bool keep(struct kept *k, const uint8_t *in, size_t len)
{
	if (k->octets) {
		k->at = (size_t)(in - k->octets);
		k->len = len;
		if (len == 0)
			drop(k);
		return true;
	}
	if (len == 0)
		return true;
	k->octets = malloc(len);
	if (!k->octets)
		return false;
	memcpy(k->octets, in, len);
	k->at = 0;
	k->len = len;
	return true;
}

/* As answer_all, for what comes through a layer. */
static bool answer_layer(struct tcp_conn *c, const uint8_t **in, size_t *len)
{
	struct tcp *t = c->tcp;
	bool alive = true;

	while (alive && !c->ended && !c->plain.octets && has_room(c, &alive)) {
		ptrdiff_t n = t->layer->decode(c->layer, in, len, t->plain, PLAIN_MAX);
		const uint8_t *plain = t->plain;
		size_t plain_len = n > 0 ? (size_t)n : 0;

		if (!c->shaken && t->layer->shaken(c->layer)) {
			c->shaken = true;
			touch(c); /* with time for its first query */
		}
		if (n == 0)
			break;
		if (n < 0) {
			c->ended = true;
			c->finished = c->finished || n == TCP_LAYER_BROKEN;
			break;
		}
		alive = answer_all(c, &plain, &plain_len) && keep(&c->plain, plain, plain_len);
	}
	return alive;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct tcp_conn *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init((char *)c->tcp->in, READ_MAX);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct tcp_conn *c = stream->data;

	if (n > 0) {
		c->heard = true;
		work(c, (const uint8_t *)buf->base, (size_t)n);
	} else if (n == UV_EOF) {
		/* Half closed: what was asked is answered first (RFC 7766 section 6.2.4). */
		c->ended = true;
		work(c, NULL, 0);
	} else if (n < 0) {
		conn_close(c);
	}
}

/* Answers what was kept, then in[0..len); never both of the wire, as nothing is read
 * while something is kept. */
static bool answer_what_came(struct tcp_conn *c, const uint8_t *in, size_t len)
{
	bool alive = true;

	if (c->plain.octets) {
		const uint8_t *plain = c->plain.octets + c->plain.at;
		size_t plain_len = c->plain.len;

		alive = answer_all(c, &plain, &plain_len);
		keep(&c->plain, plain, plain_len);
		if (!alive || c->plain.octets)
			return alive;
	}
	if (c->wire.octets) {
		in = c->wire.octets + c->wire.at;
		len = c->wire.len;
	}
	/* A layer may hold a message although the wire brought no more. */
	alive = c->layer ? answer_layer(c, &in, &len) : answer_all(c, &in, &len);
	return keep(&c->wire, in, len) && alive;
}

/* Goes on with a connection, then reads, waits or closes. */
static void work(struct tcp_conn *c, const uint8_t *in, size_t len)
{
	bool alive = true, wait;

	if (len > 0 || c->wire.octets || c->plain.octets || c->layer)
		alive = answer_what_came(c, in, len);
	alive = alive && flush(c);
	if (c->ended) {
		drop(&c->wire);
		drop(&c->plain);
	}
	wait = c->wire.octets || c->plain.octets;
	if (c->ended && alive && c->layer && !c->finished) {
		c->finished = true;
		c->tcp->layer->finish(c->layer);
		alive = flush(c);
	}

	/* A client that does not take its answers is not read from. */
	bool want = !c->ended && !wait && c->queued < TCP_QUEUE_MAX;

	if (alive && want && !c->reading)
		alive = uv_read_start((uv_stream_t *)&c->handle, on_alloc, on_read) == 0;
	else if (!want && c->reading)
		uv_read_stop((uv_stream_t *)&c->handle);
	c->reading = want;
	if (!alive || (c->ended && c->queued == 0))
		conn_close(c);
}

/* ---- accepting ---- */

/* Who has only connected has not begun one: such connections cost a client nothing, and go
 * as those of plain TCP do. */
static bool is_shaking(const struct tcp_conn *c)
{
	return c->layer && c->heard && !c->shaken;
}

/* Nothing is under way on it. */
static bool at_rest(const struct tcp_conn *c)
{
	return !is_shaking(c) && c->queued == 0 && c->framer.have == 0 && !c->wire.octets && !c->plain.octets;
}

static enum room_state room_state(const struct room_place *p, uint64_t now)
{
	const struct tcp_conn *c = CONN_OF(p, place);

	if (at_rest(c))
		return ROOM_RESTS;
	return now / MS_NS >= c->active_ms + STUCK_MS ? ROOM_STUCK : ROOM_BUSY;
}

static void evict(struct room_place *p, uint64_t now)
{
	struct tcp_conn *c = CONN_OF(p, place);

	(void)now;
	status_count(c->tcp->serve->slot, CNT_TCP_EVICT, 1);
	if (at_rest(c))
		conn_end(c);
	else
		conn_close(c);
}

static const struct room_keeper keeper = {room_state, evict};

/* A place for a newcomer from c->peer. */
static bool enter(struct tcp_conn *c)
{
	struct room *r = c->tcp->env->room;
	struct clients_prefix prefix;

	if (room_admit(r, (struct sockaddr *)&c->peer, true, uv_hrtime(), &prefix) != CLIENTS_TAKEN)
		return false;
	room_add(r, &c->place, &keeper, &prefix);
	return true;
}

static void on_refused(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct tcp_listener *l = stream->data;
	struct tcp *t = l->tcp;

	if (status < 0)
		return;

	struct tcp_conn *c = calloc(1, sizeof(*c));

	if (!c || uv_tcp_init(stream->loop, &c->handle)) {
		free(c);
		return;
	}
	c->handle.data = c;
	c->tcp = t;
	framer_init(&c->framer);
	if (uv_accept(stream, (uv_stream_t *)&c->handle) ||
	    uv_tcp_getpeername(&c->handle, (struct sockaddr *)&c->peer, &(int){ sizeof(c->peer) }) ||
	    !enter(c)) {
		status_count(t->serve->slot, CNT_TCP_REFUSE, 1);
		uv_close((uv_handle_t *)&c->handle, on_refused);
		return;
	}
	status_count(t->serve->slot, CNT_TCP_ACCEPT, 1);
	list_append(c);
	if (t->layer) {
		c->layer = t->layer->open(t->layer_arg, c);
		if (!c->layer) {
			conn_close(c);
			return;
		}
	}
	work(c, NULL, 0);
}

/* ---- time-outs ---- */

/* Ends connections on which nothing was done for the idle time (RFC 7766 section
 * 6.2.3): no query completed, and nothing taken of what waits; and those that have
 * never said anything for the first-byte time. */
static void on_timer(uv_timer_t *timer)
{
	struct tcp *t = timer->data;
	uint64_t now = uv_now(timer->loop);
	unsigned first = t->first_timeout_ms < t->idle_timeout_ms ? t->first_timeout_ms : t->idle_timeout_ms;
	struct ring *l = t->all.next, *next;

	for (; l != &t->all; l = next) {
		struct tcp_conn *c = CONN_OF(l, all);
		uint64_t age = now - c->active_ms;

		next = l->next;
		if (age < first)
			break; /* so is everything behind it */
		if (c->heard && age < t->idle_timeout_ms)
			continue;
		if (uv_stream_get_write_queue_size((uv_stream_t *)&c->handle) < c->unsent) {
			touch(c);
			continue;
		}
		status_count(t->serve->slot, CNT_TCP_TIMEOUT, 1);
		conn_end(c);
	}
}

/* Time-outs are late by at most a quarter of the shorter. */
static int start_timer(struct tcp *t)
{
	unsigned shorter = t->first_timeout_ms < t->idle_timeout_ms ? t->first_timeout_ms : t->idle_timeout_ms;
	uint64_t period = shorter / 4 + 1;

	return uv_timer_start(&t->timer, on_timer, period, period);
}

static void set_limits(struct tcp *t, const struct config *c)
{
	t->idle_timeout_ms = c->tcp_idle_timeout_ms;
	t->first_timeout_ms = c->tcp_first_timeout_ms;
}

/* ---- the whole ---- */

static bool same_host(const struct config_address *a, const struct config_address *b)
{
	struct config_address x = listen_at(a, 0), y = listen_at(b, 0);

	return x.sa_len == y.sa_len && memcmp(&x.sa, &y.sa, x.sa_len) == 0;
}

/* Is listen[i] of a host that stands before it in the list? */
static bool is_repeated(const struct config *c, size_t i)
{
	size_t k = 0;

	while (!same_host(&c->listen[k], &c->listen[i]))
		k++;
	return k < i;
}

int tcp_open(void **out, const struct service_env *env, const struct config *c,
	     const struct tcp_layer *layer, void *arg, uint16_t port, char *error, size_t error_size)
{
	struct tcp *t = calloc(1, sizeof(*t));

	if (t)
		t->listener = calloc(c->listen_cnt, sizeof(*t->listener));
	if (!t || !t->listener) {
		free(t);
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	t->env = env;
	t->serve = env->serve;
	t->layer = layer;
	t->layer_arg = arg;
	set_limits(t, c);
	ring_init(&t->all);
	for (size_t i = 0; i < c->listen_cnt; i++) {
		struct config_address a = port ? listen_at(&c->listen[i], port) : c->listen[i];
		struct tcp_listener *l = &t->listener[t->cnt];

		if (port && is_repeated(c, i))
			continue;
		l->tcp = t;
		l->sa = a.sa;
		l->fd = listen_socket(&a, SOCK_STREAM, env->thread, env->threads, error, error_size);
		if (l->fd < 0) {
			int result = l->fd;

			tcp_stop(t);
			tcp_free(t);
			return result;
		}
		t->cnt++;
	}
	*out = t;
	return 0;
}

static int start_listener(struct tcp_listener *l, uv_loop_t *loop)
{
	int error = uv_tcp_init(loop, &l->handle);

	if (error)
		return error;
	l->handle.data = l;
	l->started = true;
	error = uv_tcp_open(&l->handle, l->fd);
	if (error)
		return error;
	l->fd = -1;
	return uv_listen((uv_stream_t *)&l->handle, BACKLOG, on_connection);
}

int tcp_start(void *tcp, uv_loop_t *loop, char *error, size_t error_size)
{
	struct tcp *t = tcp;
	char text[LISTEN_TEXT];

	for (size_t i = 0; i < t->cnt; i++) {
		int result = start_listener(&t->listener[i], loop);

		if (result) {
			snprintf(error, error_size, "cannot listen on %s (TCP): %s",
				 listen_text(text, &t->listener[i].sa), uv_strerror(result));
			return result;
		}
	}
	uv_timer_init(loop, &t->timer);
	t->timer.data = t;
	t->started = true;
	return start_timer(t);
}

void tcp_limit(void *tcp, const struct config *c)
{
	struct tcp *t = tcp;

	set_limits(t, c);
	if (t->started)
		start_timer(t);
}

void tcp_stop(void *tcp)
{
	struct tcp *t = tcp;

	for (size_t i = 0; i < t->cnt; i++) {
		struct tcp_listener *l = &t->listener[i];

		if (l->fd >= 0)
			close(l->fd);
		l->fd = -1;
		if (l->started)
			uv_close((uv_handle_t *)&l->handle, NULL);
	}
	if (t->started)
		uv_close((uv_handle_t *)&t->timer, NULL);
	while (t->all.next != &t->all)
		conn_end(CONN_OF(t->all.next, all));
}

void tcp_free(void *tcp)
{
	struct tcp *t = tcp;

	free(t->listener);
	free(t);
}

static int open_plain(void **out, const struct service_env *env, const struct config *c,
		      char *error, size_t error_size)
{
	return tcp_open(out, env, c, NULL, NULL, 0, error, error_size);
}

const struct service tcp_service = {
	.name = "tcp", .open = open_plain, .start = tcp_start, .limit = tcp_limit,
	.stop = tcp_stop, .free = tcp_free,
};
