/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/encrypted_udp.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/serve/deadline.h"
#include "control/serve/demux.h"
#include "control/serve/doq.h"
#include "control/serve/dtls.h"
#include "control/serve/listen.h"
#include "control/serve/pair.h"

#define BURST 32          /* datagrams a system call */
#define BURSTS_A_TURN 8   /* before the loop's other handles get their turn */
#define IN_MAX 2048       /* octets of a datagram; the rest of a longer one is cut off */
#define OUT_MAX 1500
#define MS_NS UINT64_C(1000000)

struct encrypted_socket {
	uv_poll_t poll;
	struct encrypted_udp *udp;
	struct sockaddr_storage sa;
	int fd;
	bool started;
};

struct encrypted_udp {
	const struct service_env *env;
	struct doq *doq;       /* NULL: not asked for */
	struct dtls *dtls;     /* the same */
	struct encrypted_socket *socket;
	size_t cnt;
	uv_timer_t timer;
	bool started;

	struct mmsghdr in[BURST], out[BURST];
	struct iovec in_vec[BURST], out_vec[BURST];
	struct sockaddr_storage in_peer[BURST], out_peer[BURST];
	struct encrypted_socket *out_socket; /* of out[0..out_cnt) */
	unsigned out_cnt;
	uint8_t in_data[BURST][IN_MAX], out_data[BURST][OUT_MAX];
};

/* ---- sending ---- */

/* What the kernel refuses (no route, a firewall) is lost alone; a full socket buffer
 * loses the rest.  QUIC's and DTLS's own retransmission makes up for either. */
static void flush(struct encrypted_udp *u)
{
	unsigned at = 0;

	while (at < u->out_cnt) {
		int n = sendmmsg(u->out_socket->fd, u->out + at, u->out_cnt - at, 0);

		if (n > 0)
			at += (unsigned)n;
		else if (n < 0 && errno == EINTR)
			continue;
		else if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
			break;
		else
			at++;
	}
	status_count(u->env->serve->slot, CNT_TX_FULL, u->out_cnt - at);
	u->out_cnt = 0;
}

static struct encrypted_socket *socket_at(struct encrypted_udp *u, const struct sockaddr *local)
{
	for (size_t i = 0; i < u->cnt; i++)
		if (memcmp(&u->socket[i].sa, local, pair_socklen(local)) == 0)
			return &u->socket[i];
	return NULL;
}

static void on_timer(uv_timer_t *timer);

static void emit(void *arg, const struct sockaddr *local, const struct sockaddr *peer,
		 const uint8_t *data, size_t len)
{
	struct encrypted_udp *u = arg;
	struct encrypted_socket *sock = socket_at(u, local);

	if (!sock || len > OUT_MAX)
		return;
	if (u->out_cnt == BURST || (u->out_cnt > 0 && u->out_socket != sock))
		flush(u);
	/* A newcomer of another service may end a connection of ours at any time: then nobody
	 * else flushes, or sets the timer. */
	if (u->out_cnt == 0)
		uv_timer_start(&u->timer, on_timer, 0, 0);

	unsigned i = u->out_cnt++;

	u->out_socket = sock;
	memcpy(u->out_data[i], data, len);
	memcpy(&u->out_peer[i], peer, pair_socklen(peer));
	u->out_vec[i] = (struct iovec){u->out_data[i], len};
	u->out[i].msg_hdr = (struct msghdr){
		.msg_name = &u->out_peer[i], .msg_namelen = pair_socklen(peer),
		.msg_iov = &u->out_vec[i], .msg_iovlen = 1,
	};
}

/* ---- answering ---- */

static size_t answer(struct encrypted_udp *u, const struct sockaddr *peer, enum transport transport,
		     const uint8_t *msg, size_t len, uint8_t *out, size_t max)
{
	struct serve_from from = {.peer = peer, .transport = transport};
	size_t n = serve_message(u->env->serve, &from, msg, len, out, max);

	status_count(u->env->serve->slot, CNT_TX, n > 0);
	return n;
}

static uint64_t real_ns(void *arg)
{
	struct timespec t;

	(void)arg;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 * MS_NS + (uint64_t)t.tv_nsec;
}

static size_t answer_doq(void *arg, const struct sockaddr *peer, const uint8_t *msg, size_t len,
			 uint8_t *out, size_t max)
{
	return answer(arg, peer, TRANSPORT_QUIC, msg, len, out, max);
}

static size_t answer_dtls(void *arg, const struct sockaddr *peer, const uint8_t *msg, size_t len,
			  uint8_t *out, size_t max)
{
	return answer(arg, peer, TRANSPORT_DTLS, msg, len, out, max);
}

/* ---- receiving ---- */

static bool knows_pair(void *arg, const void *pair)
{
	struct encrypted_udp *u = arg;

	return u->doq && doq_knows_pair(u->doq, pair);
}

static bool knows_id(void *arg, const uint8_t *id, size_t left)
{
	struct encrypted_udp *u = arg;

	return u->doq && doq_knows_id(u->doq, id, left);
}

/* Shows what the engines have counted. */
static void publish(const struct encrypted_udp *u)
{
	struct status_slot *s = u->env->serve->slot;

	if (u->doq) {
		const struct doq_counts *c = doq_counted(u->doq);

		status_set(s, CNT_QUIC_ACCEPT, c->accepted);
		status_set(s, CNT_QUIC_REFUSE, c->refused);
		status_set(s, CNT_QUIC_TIMEOUT, c->timed_out);
		status_set(s, CNT_QUIC_EVICT, c->evicted);
		status_set(s, CNT_QUIC_RETRY, c->retried);
	}
	if (u->dtls) {
		const struct dtls_counts *c = dtls_counted(u->dtls);

		status_set(s, CNT_DTLS_ACCEPT, c->accepted);
		status_set(s, CNT_DTLS_REFUSE, c->refused);
		status_set(s, CNT_DTLS_TIMEOUT, c->timed_out);
		status_set(s, CNT_DTLS_EVICT, c->evicted);
	}
}

/* Has the timer go off at the first deadline, no more than a millisecond late. */
static void set_timer(struct encrypted_udp *u, uint64_t now);

static void on_timer(uv_timer_t *timer)
{
	struct encrypted_udp *u = timer->data;
	uint64_t now = uv_hrtime();

	serve_begin(u->env->serve);
	if (u->doq)
		doq_expire(u->doq, now);
	if (u->dtls)
		dtls_expire(u->dtls, now);
	serve_end(u->env->serve);
	flush(u);
	set_timer(u, now);
	publish(u);
}

static void set_timer(struct encrypted_udp *u, uint64_t now)
{
	uint64_t first = u->doq ? doq_deadline(u->doq) : DEADLINE_NONE;
	uint64_t other = u->dtls ? dtls_deadline(u->dtls) : DEADLINE_NONE;

	if (other < first)
		first = other;
	if (first == DEADLINE_NONE)
		uv_timer_stop(&u->timer);
	else
		uv_timer_start(&u->timer, on_timer, first > now ? (first - now + MS_NS - 1) / MS_NS : 0, 0);
}

static void take(struct encrypted_udp *u, struct encrypted_socket *sock, unsigned i, uint64_t now)
{
	const struct demux_quic quic = {knows_pair, knows_id, u};
	const struct sockaddr *local = (struct sockaddr *)&sock->sa, *peer = (struct sockaddr *)&u->in_peer[i];
	struct pair pair;

	if (u->in[i].msg_hdr.msg_flags & MSG_TRUNC)
		return;
	pair_make(&pair, local, peer);
	switch (demux_datagram(&quic, &pair, u->in_data[i], u->in[i].msg_len)) {
	case DEMUX_QUIC:
		if (u->doq)
			doq_feed(u->doq, local, peer, u->in_data[i], u->in[i].msg_len, now);
		break;
	case DEMUX_DTLS:
		if (u->dtls)
			dtls_feed(u->dtls, &pair, local, peer, u->in_data[i], u->in[i].msg_len, now);
		break;
	case DEMUX_DROP:
		break;
	}
}

static int receive_burst(struct encrypted_udp *u, struct encrypted_socket *sock)
{
	for (unsigned i = 0; i < BURST; i++) {
		u->in_vec[i] = (struct iovec){u->in_data[i], IN_MAX};
		u->in[i].msg_hdr = (struct msghdr){
			.msg_name = &u->in_peer[i], .msg_namelen = sizeof(u->in_peer[i]),
			.msg_iov = &u->in_vec[i], .msg_iovlen = 1,
		};
	}
	return recvmmsg(sock->fd, u->in, BURST, MSG_DONTWAIT, NULL);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct encrypted_socket *sock = poll->data;
	struct encrypted_udp *u = sock->udp;
	uint64_t now = uv_hrtime();
	int n = BURST;

	(void)status; /* an error on the socket shows, and is cleared, in recvmmsg */
	(void)events;
	for (unsigned turn = 0; turn < BURSTS_A_TURN && n == BURST; turn++) {
		n = receive_burst(u, sock);
		if (n <= 0)
			break;
		now = uv_hrtime();
		serve_begin(u->env->serve);
		for (int i = 0; i < n; i++)
			take(u, sock, (unsigned)i, now);
		if (u->doq)
			doq_flush(u->doq, now);
		serve_end(u->env->serve);
		flush(u);
	}
	set_timer(u, now);
	publish(u);
}

/* ---- birth and death ---- */

/* Packets are never cut into fragments (RFC 9000 section 14, RFC 6347 section 4.1.1.1), and
 * what ICMP says of path MTUs is not believed: they are small enough as they are. */
static int never_fragment(const struct encrypted_socket *sock)
{
	int value, error;

	if (sock->sa.ss_family == AF_INET) {
		value = IP_PMTUDISC_PROBE;
		error = setsockopt(sock->fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, sizeof(value));
	} else {
		value = IPV6_PMTUDISC_PROBE;
		error = setsockopt(sock->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &value, sizeof(value));
	}
	return error ? -errno : 0;
}

/* The program that finds a packet's thread.  The number that it returns is a socket's
 * place in the order in which they were bound, which is the threads'; a number of
 * none leaves the choice to the kernel's hash of the addresses.  A packet too short
 * to be read goes to thread 0, which drops it. */
static int steer(const struct encrypted_socket *sock)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, DEMUX_LONG_HEADER | DEMUX_QUIC_BIT),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, DEMUX_QUIC_BIT, 0, 2),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 1), /* the id's first octet: doq.h */
		BPF_STMT(BPF_RET | BPF_A, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	return setsockopt(sock->fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) ? -errno : 0;
}

static int open_socket(struct encrypted_udp *u, const struct config_address *a, char *error,
		       size_t error_size)
{
	struct encrypted_socket *sock = &u->socket[u->cnt];
	char text[LISTEN_TEXT];
	int result;

	for (size_t i = 0; i < u->cnt; i++)
		if (memcmp(&u->socket[i].sa, &a->sa, a->sa_len) == 0)
			return 0; /* an address that has several ports in the list */
	sock->udp = u;
	sock->sa = a->sa;
	sock->fd = listen_socket(a, SOCK_DGRAM, u->env->thread, u->env->threads, error, error_size);
	if (sock->fd < 0)
		return sock->fd;
	u->cnt++;
	result = never_fragment(sock);
	/* The second thread's socket makes a group of the first's and its own. */
	if (!result && u->env->thread > 0)
		result = steer(sock);
	if (result)
		snprintf(error, error_size, "cannot prepare %s (UDP): %s", listen_text(text, &sock->sa),
			 strerror(-result));
	return result;
}

static uint64_t idle_ns(const struct config *c)
{
	return c->tcp_idle_timeout_ms * MS_NS;
}

static int open_all(struct encrypted_udp *u, struct credentials_vault *vault, const struct config *c,
		    char *error, size_t error_size)
{
	int result = 0;

	snprintf(error, error_size, "out of memory");
	if (c->tls_doq) {
		const struct doq_env env = {
			.vault = vault, .room = u->env->room, .thread = u->env->thread,
			.idle_ns = idle_ns(c), .real_ns = real_ns, .emit = emit, .answer = answer_doq, .arg = u,
		};

		result = doq_new(&u->doq, &env);
	}
	if (!result && c->tls_dtls) {
		const struct dtls_env env = {
			.vault = vault, .room = u->env->room, .idle_ns = idle_ns(c), .emit = emit,
			.answer = answer_dtls, .arg = u,
		};

		result = dtls_new(&u->dtls, &env);
	}
	for (size_t i = 0; !result && i < c->listen_cnt; i++) {
		struct config_address a = listen_at(&c->listen[i], c->tls_port);

		result = open_socket(u, &a, error, error_size);
	}
	return result;
}

int encrypted_udp_open(struct encrypted_udp **out, const struct service_env *env,
		       struct credentials_vault *vault, const struct config *c,
		       char *error, size_t error_size)
{
	struct encrypted_udp *u = calloc(1, sizeof(*u));
	int result;

	if (u)
		u->socket = calloc(c->listen_cnt, sizeof(*u->socket));
	if (!u || !u->socket) {
		free(u);
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	u->env = env;
	result = open_all(u, vault, c, error, error_size);
	if (result) {
		encrypted_udp_stop(u);
		encrypted_udp_free(u);
		return result;
	}
	*out = u;
	return 0;
}

int encrypted_udp_start(struct encrypted_udp *u, uv_loop_t *loop, char *error, size_t error_size)
{
	uv_timer_init(loop, &u->timer);
	u->timer.data = u;
	u->started = true;
	for (size_t i = 0; i < u->cnt; i++) {
		struct encrypted_socket *sock = &u->socket[i];
		int result = uv_poll_init(loop, &sock->poll, sock->fd);

		if (!result) {
			sock->poll.data = sock;
			sock->started = true;
			result = uv_poll_start(&sock->poll, UV_READABLE, on_readable);
		}
		if (result) {
			snprintf(error, error_size, "cannot receive: %s", uv_strerror(result));
			return result;
		}
	}
	return 0;
}

void encrypted_udp_limit(struct encrypted_udp *u, const struct config *c)
{
	if (u->doq)
		doq_limit(u->doq, idle_ns(c));
	if (u->dtls)
		dtls_limit(u->dtls, idle_ns(c));
}

static void on_closed(uv_handle_t *handle)
{
	struct encrypted_socket *sock = handle->data;

	close(sock->fd);
	sock->started = false;
}

void encrypted_udp_stop(struct encrypted_udp *u)
{
	if (u->started) {
		if (u->doq)
			doq_close(u->doq, uv_hrtime());
		if (u->dtls)
			dtls_close(u->dtls, uv_hrtime());
		flush(u);
		uv_close((uv_handle_t *)&u->timer, NULL);
	}
	for (size_t i = 0; i < u->cnt; i++) {
		if (u->socket[i].started)
			uv_close((uv_handle_t *)&u->socket[i].poll, on_closed);
		else
			close(u->socket[i].fd);
	}
}

void encrypted_udp_free(struct encrypted_udp *u)
{
	if (u->doq)
		doq_free(u->doq);
	if (u->dtls)
		dtls_free(u->dtls);
	free(u->socket);
	free(u);
}
