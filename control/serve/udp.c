/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/serve/listen.h"

#define BURST 32        /* datagrams a system call; as the workers' bursts */
#define BURSTS_A_TURN 8 /* before the loop's other handles get their turn */
#define MESSAGE_MAX 65536 /* octets; no datagram is longer */
#define STAGGER 192 /* octets between messages: their beginnings are in different sets of the caches */

struct udp_socket {
	uv_poll_t poll;
	struct udp *udp;
	struct sockaddr_storage sa;
	int fd;
	bool started;
};

struct udp {
	struct serve *serve;
	struct udp_socket *socket;
	size_t cnt;

	/* One burst.  An answer is written over its query. */
	struct mmsghdr in[BURST], out[BURST];
	struct iovec in_vec[BURST], out_vec[BURST];
	struct sockaddr_storage peer[BURST];
	struct query query[BURST];
	enum verdict verdict[BURST];
	uint8_t message[BURST][MESSAGE_MAX + STAGGER];
	uint8_t answer[MESSAGE_MAX]; /* for punted datagrams, and answers that quote their query */
};

static void udp_stop(void *state);
static void udp_free(void *state);

static int udp_open(void **out, const struct service_env *env, const struct config *c,
		    char *error, size_t error_size)
{
	struct udp *u = calloc(1, sizeof(*u));

	if (u)
		u->socket = calloc(c->listen_cnt, sizeof(*u->socket));
	if (!u || !u->socket) {
		free(u);
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	u->serve = env->serve;
	for (unsigned i = 0; i < BURST; i++) {
		u->in_vec[i] = (struct iovec){u->message[i], MESSAGE_MAX};
		u->in[i].msg_hdr = (struct msghdr){
			.msg_name = &u->peer[i], .msg_iov = &u->in_vec[i], .msg_iovlen = 1,
		};
	}
	for (size_t i = 0; i < c->listen_cnt; i++) {
		struct udp_socket *sock = &u->socket[i];

		sock->udp = u;
		sock->sa = c->listen[i].sa;
		sock->fd = listen_socket(&c->listen[i], SOCK_DGRAM, env->thread, env->threads,
					 error, error_size);
		if (sock->fd < 0) {
			int result = sock->fd;

			udp_stop(u);
			udp_free(u);
			return result;
		}
		u->cnt++;
	}
	*out = u;
	return 0;
}

/* Sends out[0..cnt).  An answer that the kernel refuses (no route, source port 0,
 * a firewall) is lost alone; a full socket buffer loses the rest. */
static void send_burst(struct udp *u, int fd, unsigned cnt)
{
	unsigned sent = 0, at = 0;

	while (at < cnt) {
		int n = sendmmsg(fd, u->out + at, cnt - at, 0);

		if (n > 0) {
			at += (unsigned)n;
			sent += (unsigned)n;
		} else if (n < 0 && errno == EINTR) {
			continue;
		} else if (n < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
			break;
		} else {
			at++;
		}
	}
	status_count(u->serve->slot, CNT_TX, sent);
	status_count(u->serve->slot, CNT_TX_FULL, cnt - sent);
}

/* Answers in[0..cnt) of one socket, stage by stage. */
static void answer_burst(struct udp *u, struct udp_socket *sock, unsigned cnt)
{
	struct serve *s = u->serve;
	unsigned answers = 0;

	serve_begin(s);
	for (unsigned i = 0; i < cnt; i++) {
		u->verdict[i] = query_parse(&s->reader, &u->query[i], u->message[i],
					    u->in[i].msg_len, TRANSPORT_UDP, SERVE_UDP_MAX);
		serve_client(&u->query[i], u->in[i].msg_hdr.msg_name);
	}
	for (unsigned i = 0; i < cnt; i++)
		if (u->verdict[i] == VERDICT_ANSWER)
			query_prefetch(&s->reader, &u->query[i]);
	for (unsigned i = 0; i < cnt; i++) {
		bool in_place = u->verdict[i] == VERDICT_ANSWER;
		uint8_t *buf = in_place ? u->message[i] : u->answer;
		size_t len = serve_finish(s, &u->query[i], u->verdict[i], buf);

		if (len == 0)
			continue;
		if (!in_place)
			memcpy(u->message[i], buf, len);

		struct msghdr *in = &u->in[i].msg_hdr;

		u->out_vec[answers] = (struct iovec){u->message[i], len};
		u->out[answers].msg_hdr = (struct msghdr){
			.msg_name = in->msg_name, .msg_namelen = in->msg_namelen,
			.msg_iov = &u->out_vec[answers], .msg_iovlen = 1,
		};
		answers++;
	}
	serve_end(s);
	if (answers > 0)
		send_burst(u, sock->fd, answers);
}

static int receive_burst(struct udp *u, struct udp_socket *sock)
{
	for (unsigned i = 0; i < BURST; i++)
		u->in[i].msg_hdr.msg_namelen = sizeof(u->peer[i]); /* the kernel has changed it */
	return recvmmsg(sock->fd, u->in, BURST, MSG_DONTWAIT, NULL);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct udp_socket *sock = poll->data;

	(void)status; /* an error on the socket shows, and is cleared, in recvmmsg */
	(void)events;
	for (unsigned turn = 0; turn < BURSTS_A_TURN; turn++) {
		int n = receive_burst(sock->udp, sock);

		if (n > 0)
			answer_burst(sock->udp, sock, (unsigned)n);
		if (n < BURST)
			return;
	}
}

static int start_socket(struct udp_socket *sock, uv_loop_t *loop)
{
	int error = uv_poll_init(loop, &sock->poll, sock->fd);

	if (error)
		return error;
	sock->poll.data = sock;
	sock->started = true;
	return uv_poll_start(&sock->poll, UV_READABLE, on_readable);
}

static int udp_start(void *state, uv_loop_t *loop, char *text, size_t size)
{
	struct udp *u = state;
	int error = 0;

	for (size_t i = 0; i < u->cnt && !error; i++)
		error = start_socket(&u->socket[i], loop);
	if (error)
		snprintf(text, size, "cannot receive: %s", uv_strerror(error));
	return error;
}

static bool same_port(const struct sockaddr_storage *sa, uint16_t port_be)
{
	return port_be == (sa->ss_family == AF_INET ? ((const struct sockaddr_in *)sa)->sin_port
						    : ((const struct sockaddr_in6 *)sa)->sin6_port);
}

static bool same_address(const struct sockaddr_storage *sa, const uint8_t *addr)
{
	if (sa->ss_family == AF_INET)
		return memcmp(&((const struct sockaddr_in *)sa)->sin_addr, addr, 4) == 0;
	return memcmp(&((const struct sockaddr_in6 *)sa)->sin6_addr, addr, 16) == 0;
}

/* The socket that a datagram to the entry's destination would have come to. */
static struct udp_socket *socket_of(struct udp *u, const struct punt_entry *e)
{
	sa_family_t family = e->family == 4 ? AF_INET : AF_INET6;

	for (size_t i = 0; i < u->cnt; i++) {
		struct udp_socket *sock = &u->socket[i];

		if (sock->sa.ss_family == family && same_port(&sock->sa, e->dst_port_be) &&
		    same_address(&sock->sa, e->dst))
			return sock;
	}
	return NULL;
}

static socklen_t punt_peer(const struct punt_entry *e, struct sockaddr_storage *sa)
{
	memset(sa, 0, sizeof(*sa));
	if (e->family == 4) {
		struct sockaddr_in *in4 = (struct sockaddr_in *)sa;

		in4->sin_family = AF_INET;
		in4->sin_port = e->src_port_be;
		memcpy(&in4->sin_addr, e->src, 4);
		return sizeof(*in4);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = e->src_port_be;
	memcpy(&in6->sin6_addr, e->src, 16);
	return sizeof(*in6);
}

bool udp_punted(struct udp *u, const struct punt_entry *e)
{
	if ((e->family != 4 && e->family != 6) || e->src_port_be == 0 || e->len > PUNT_PAYLOAD)
		return false;

	struct udp_socket *sock = socket_of(u, e);

	if (!sock)
		return false;
	serve_begin(u->serve);

	socklen_t peer_len = punt_peer(e, &u->peer[0]);
	struct serve_from from = {.peer = (struct sockaddr *)&u->peer[0], .transport = TRANSPORT_UDP};
	size_t len = serve_message(u->serve, &from, e->payload, e->len, u->answer, SERVE_UDP_MAX);

	serve_end(u->serve);
	if (len == 0)
		return true;
	u->out_vec[0] = (struct iovec){u->answer, len};
	u->out[0].msg_hdr = (struct msghdr){
		.msg_name = &u->peer[0], .msg_namelen = peer_len,
		.msg_iov = &u->out_vec[0], .msg_iovlen = 1,
	};
	send_burst(u, sock->fd, 1);
	return true;
}

static void on_closed(uv_handle_t *handle)
{
	struct udp_socket *sock = handle->data;

	close(sock->fd);
	sock->started = false;
}

static void udp_stop(void *state)
{
	struct udp *u = state;

	for (size_t i = 0; i < u->cnt; i++) {
		if (u->socket[i].started)
			uv_close((uv_handle_t *)&u->socket[i].poll, on_closed);
		else
			close(u->socket[i].fd);
	}
}

static void udp_free(void *state)
{
	struct udp *u = state;

	free(u->socket);
	free(u);
}

const struct service udp_service = {
	.name = "udp", .open = udp_open, .start = udp_start, .stop = udp_stop, .free = udp_free,
};
