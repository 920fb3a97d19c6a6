/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/tcp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/serve/framer.h"
#include "control/serve/listen.h"

#define BACKLOG 1024       /* connections that wait for accept; the kernel's somaxconn caps it */
#define READ_MAX (16 << 10) /* octets a read: what a client can send ahead of its answers */
#define BLOCK_MIN (16 << 10) /* octets of answers gathered for one write */

/* Answers on their way to a client. */
struct block {
	uv_write_t write;
	struct conn *conn;
	size_t len, cap;
	uint8_t octets[];
};

struct conn {
	struct sockaddr_storage peer;
	uv_tcp_t handle;
	struct tcp *tcp;
	struct conn *prev, *next; /* in tcp's list, least recently active first */
	uint64_t active_ms;       /* loop time of the last query, or octets taken */
	size_t unsent;            /* octets that the kernel had not taken then */
	struct framer framer;
	struct block *block;      /* being filled, or NULL */
	size_t queued;            /* octets in block and in writes under way */
	uint8_t *rest;            /* read but left while too much was queued; or NULL */
	size_t rest_at, rest_len;
	bool reading;
	bool ended;               /* the client sends no more, or nothing sensible */
};

struct tcp_listener {
	uv_tcp_t handle;
	struct tcp *tcp;
	struct sockaddr_storage sa;
	int fd;                   /* until the handle owns it */
	bool started;
};

struct tcp {
	struct serve *serve;
	struct tcp_limits limits;
	struct tcp_listener *listener;
	size_t cnt;
	uv_timer_t timer;
	bool started;
	struct conn *head, *tail;
	unsigned clients;
	uint8_t in[READ_MAX];
	uint8_t answer[FRAMER_PREFIX + SERVE_TCP_MAX];
};

static void work(struct conn *c, const uint8_t *in, size_t len);

/* ---- the list of connections, by last activity ---- */

static void list_remove(struct conn *c)
{
	struct tcp *t = c->tcp;

	*(c->prev ? &c->prev->next : &t->head) = c->next;
	*(c->next ? &c->next->prev : &t->tail) = c->prev;
}

static void list_append(struct conn *c)
{
	struct tcp *t = c->tcp;

	c->active_ms = uv_now(c->handle.loop);
	c->unsent = uv_stream_get_write_queue_size((uv_stream_t *)&c->handle);
	c->prev = t->tail;
	c->next = NULL;
	*(t->tail ? &t->tail->next : &t->head) = c;
	t->tail = c;
}

static void touch(struct conn *c)
{
	list_remove(c);
	list_append(c);
}

/* ---- birth and death of a connection ---- */

static void on_conn_closed(uv_handle_t *handle)
{
	struct conn *c = handle->data;

	framer_free(&c->framer);
	free(c->block);
	free(c->rest);
	free(c);
}

/* Writes under way end with UV_ECANCELED before on_conn_closed. */
static void conn_close(struct conn *c)
{
	if (uv_is_closing((uv_handle_t *)&c->handle))
		return;
	list_remove(c);
	c->tcp->clients--;
	uv_close((uv_handle_t *)&c->handle, on_conn_closed);
}

/* ---- writing ---- */

static void on_written(uv_write_t *write, int status)
{
	struct block *b = (struct block *)write;
	struct conn *c = b->conn;

	c->queued -= b->len;
	free(b);
	if (uv_is_closing((uv_handle_t *)&c->handle))
		return;
	if (status < 0) {
		conn_close(c);
		return;
	}
	touch(c);
	work(c, NULL, 0);
}

/* Sends the block that is being filled.  False when the connection is lost. */
static bool flush(struct conn *c)
{
	struct block *b = c->block;

	if (!b)
		return true;

	uv_buf_t buf = uv_buf_init((char *)b->octets, (unsigned)b->len);

	c->block = NULL;
	if (uv_write(&b->write, (uv_stream_t *)&c->handle, &buf, 1, on_written) == 0)
		return true;
	c->queued -= b->len;
	free(b);
	return false;
}

/* Queues len octets.  False when the connection is lost. */
static bool append(struct conn *c, const uint8_t *octets, size_t len)
{
	if (c->block && c->block->cap - c->block->len < len && !flush(c))
		return false;
	if (!c->block) {
		size_t cap = len > BLOCK_MIN ? len : BLOCK_MIN;
		struct block *b = malloc(sizeof(*b) + cap);

		if (!b)
			return false;
		b->conn = c;
		b->len = 0;
		b->cap = cap;
		c->block = b;
	}
	memcpy(c->block->octets + c->block->len, octets, len);
	c->block->len += len;
	c->queued += len;
	return true;
}

/* ---- reading ---- */

/* Answers one message.  False when the connection cannot go on. */
static bool answer(struct conn *c, const uint8_t *msg, size_t len)
{
	struct tcp *t = c->tcp;
	size_t n = serve_message(t->serve, (struct sockaddr *)&c->peer, msg, len, TRANSPORT_TCP,
				 t->answer + FRAMER_PREFIX,
				 SERVE_TCP_MAX);

	if (n == 0) {
		/* A response among queries: whoever sends it is no client of ours. */
		c->ended = true;
		return true;
	}
	t->answer[0] = (uint8_t)(n >> 8);
	t->answer[1] = (uint8_t)n;
	status_count(t->serve->slot, CNT_TX, 1);
	return append(c, t->answer, FRAMER_PREFIX + n);
}

/* Answers what in[0..*len) holds until it is used up, the connection ends, or too
 * many answers wait; *in and *len are moved past what was used. */
static bool answer_all(struct conn *c, const uint8_t **in, size_t *len)
{
	const uint8_t *msg;
	size_t msg_len;
	bool alive = true, some = false;

	serve_begin(c->tcp->serve);
	while (alive && !c->ended && *len > 0 && c->queued < TCP_QUEUE_MAX) {
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
	if (some)
		touch(c);
	return alive && flush(c);
}

static bool keep_rest(struct conn *c, const uint8_t *in, size_t len)
{
	c->rest = malloc(len);
	if (!c->rest)
		return false;
	memcpy(c->rest, in, len);
	c->rest_at = 0;
	c->rest_len = len;
	return true;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct conn *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init((char *)c->tcp->in, READ_MAX);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct conn *c = stream->data;

	if (n > 0) {
		work(c, (const uint8_t *)buf->base, (size_t)n);
	} else if (n == UV_EOF) {
		/* Half closed: what was asked is answered first (RFC 7766 section 6.2.4). */
		c->ended = true;
		work(c, NULL, 0);
	} else if (n < 0) {
		conn_close(c);
	}
}

/* Goes on with a connection: answers what is left from before or in[0..len) (never
 * both: nothing is read while something is left), then reads, waits or closes. */
static void work(struct conn *c, const uint8_t *in, size_t len)
{
	bool alive = true;

	if (c->rest && c->queued < TCP_QUEUE_MAX) {
		const uint8_t *rest = c->rest + c->rest_at;

		alive = answer_all(c, &rest, &c->rest_len);
		c->rest_at = (size_t)(rest - c->rest);
		if (c->rest_len == 0 || c->ended) {
			free(c->rest);
			c->rest = NULL;
		}
	} else if (len > 0) {
		alive = answer_all(c, &in, &len);
		if (alive && !c->ended && len > 0)
			alive = keep_rest(c, in, len);
	}

	/* A client that does not take its answers is not read from. */
	bool want = !c->ended && !c->rest && c->queued < TCP_QUEUE_MAX;

	if (alive && want && !c->reading)
		alive = uv_read_start((uv_stream_t *)&c->handle, on_alloc, on_read) == 0;
	else if (!want && c->reading)
		uv_read_stop((uv_stream_t *)&c->handle);
	c->reading = want;
	if (!alive || (c->ended && c->queued == 0))
		conn_close(c);
}

/* ---- accepting ---- */

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

	struct conn *c = calloc(1, sizeof(*c));

	if (!c || uv_tcp_init(stream->loop, &c->handle)) {
		free(c);
		return;
	}
	c->handle.data = c;
	c->tcp = t;
	c->peer.ss_family = AF_INET;
	if (uv_accept(stream, (uv_stream_t *)&c->handle) || t->clients >= t->limits.clients) {
		status_count(t->serve->slot, CNT_TCP_REFUSE, 1);
		uv_close((uv_handle_t *)&c->handle, on_refused);
		return;
	}
	status_count(t->serve->slot, CNT_TCP_ACCEPT, 1);
	uv_tcp_getpeername(&c->handle, (struct sockaddr *)&c->peer, &(int){ sizeof(c->peer) });
	uv_tcp_nodelay(&c->handle, 1); /* answers are gathered here already */
	framer_init(&c->framer);
	t->clients++;
	list_append(c);
	work(c, NULL, 0);
}

/* Ends connections on which nothing was done for the idle time (RFC 7766 section
 * 6.2.3): no query completed, and nothing taken of what waits. */
static void on_timer(uv_timer_t *timer)
{
	struct tcp *t = timer->data;
	uint64_t now = uv_now(timer->loop);

	while (t->head && now - t->head->active_ms >= t->limits.idle_timeout_ms) {
		struct conn *c = t->head;

		if (uv_stream_get_write_queue_size((uv_stream_t *)&c->handle) < c->unsent) {
			touch(c);
			continue;
		}
		status_count(t->serve->slot, CNT_TCP_TIMEOUT, 1);
		conn_close(c);
	}
}

int tcp_open(struct tcp **out, struct serve *s, const struct config_address *a, size_t cnt,
	     const struct tcp_limits *limits, char *error, size_t error_size)
{
	struct tcp *t = calloc(1, sizeof(*t));

	if (t)
		t->listener = calloc(cnt ? cnt : 1, sizeof(*t->listener));
	if (!t || !t->listener) {
		free(t);
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	t->serve = s;
	t->limits = *limits;
	for (size_t i = 0; i < cnt; i++) {
		struct tcp_listener *l = &t->listener[i];

		l->tcp = t;
		l->sa = a[i].sa;
		l->fd = listen_socket(&a[i], SOCK_STREAM, error, error_size);
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

/* Time-outs are late by at most a quarter. */
static int start_timer(struct tcp *t)
{
	uint64_t period = t->limits.idle_timeout_ms / 4 + 1;

	return uv_timer_start(&t->timer, on_timer, period, period);
}

int tcp_start(struct tcp *t, uv_loop_t *loop, char *error, size_t error_size)
{
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

void tcp_limit(struct tcp *t, const struct tcp_limits *limits)
{
	t->limits = *limits;
	if (t->started)
		start_timer(t);
}

unsigned tcp_clients(const struct tcp *t)
{
	return t->clients;
}

void tcp_stop(struct tcp *t)
{
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
	while (t->head)
		conn_close(t->head);
}

void tcp_free(struct tcp *t)
{
	free(t->listener);
	free(t);
}
