/* SPDX-License-Identifier: GPL-3.0-or-later */
/* swarm - many clients of DNS over QUIC and over DTLS at the same moment, each with a
 * socket of its own, for tests.
 *
 *   swarm [options] SERVER PORT QUERY...
 *     QUERY       a message in hexadecimal
 *     --doq N     so many clients of DNS over QUIC
 *     --dtls N    and of DNS over DTLS
 *     --times N   each asks all queries so often, one after the other (1)
 *     --hold S    seconds that they stay after their last answer (0)
 *     --wait S    seconds in all after which it gives up (20)
 *     --move      QUIC: before the last query the client goes to another port
 *     --resume    each comes a second time, with its ticket
 *     --junk      before it begins, each sends a datagram of octets 0 to 63
 *     --silent    they shake hands and ask nothing
 *     --certificate FILE  theirs, PEM, for which --key has the key
 *     --key FILE
 *     --print     print each answer of the first client, in hexadecimal
 *
 * Prints one line for each kind: clients, those whose handshakes ended, those that
 * have all their answers, resumed ones, those that were sent a Retry, those that were
 * told that the QUIC Bit may be cleared, and what went wrong how often; on standard error,
 * why a client was lost.  An answer has to be a response to its query, with its id and
 * question.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tests/client/qclient.h"

#define QUERIES 64
#define MS UINT64_C(1000000)
#define DTLS_RETRY (1000 * MS) /* a query that got no answer is asked again */

struct query {
	uint8_t octets[2048];
	size_t len;
};

struct peer {
	bool dtls, shaken, done, failed, again, gone, moved;
	bool repeated;        /* DTLS: a query was asked twice */
	int fd;
	struct sockaddr_storage local;
	unsigned asked, answered;
	uint64_t done_at, asked_at;
	struct qclient *q;
	struct qclient_stream *stream;
	gnutls_session_t tls;
	uint8_t in[2048];     /* DTLS: a datagram that GnuTLS has not taken yet, */
	ssize_t in_len;       /* of so many octets; less than 0: none */
	gnutls_datum_t ticket;
	uint64_t deadline;
};

static struct sockaddr_storage server;
static socklen_t server_len;
static struct query query[QUERIES];
static unsigned queries, times = 1;
static bool move, resume, junk, silent, print;
static double hold, patience = 20;
static struct peer *peer;
static size_t peers;
static int epoll;
static gnutls_certificate_credentials_t credentials;
static struct { unsigned shaken, done, resumed, retried, grease, wrong, closed, lost; } count[2];

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 * MS + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void open_socket(struct peer *p)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
	socklen_t len = sizeof(p->local);
	int big = 1 << 18;

	p->fd = socket(server.ss_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&server, server_len) < 0)
		die("socket");
	setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
	getsockname(p->fd, (struct sockaddr *)&p->local, &len);
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, p->fd, &event) < 0)
		die("epoll_ctl");
}

/* ---- what both kinds share ---- */

static const struct query *next_query(const struct peer *p)
{
	return &query[p->asked % queries];
}

/* Is it a response to q, with its id and question? */
static bool responds(const struct query *q, const uint8_t *msg, size_t len)
{
	size_t question = q->len;

	/* The question ends at the first octet 0 of its name, and type and class. */
	for (size_t i = 12; i + 5 <= q->len; i += 1 + q->octets[i])
		if (q->octets[i] == 0) {
			question = i + 5;
			break;
		}
	return len >= question && (msg[2] & 0x80) && memcmp(msg, q->octets, 2) == 0 &&
	       memcmp(msg + 12, q->octets + 12, question - 12) == 0;
}

static void check(struct peer *p, const uint8_t *msg, size_t len)
{
	count[p->dtls].wrong += !responds(&query[p->answered % queries], msg, len);
	if (print && p == peer) {
		for (size_t i = 0; i < len; i++)
			printf("%02x", msg[i]);
		printf("\n");
	}
	p->answered++;
	if (p->answered == queries * times) {
		p->done = true;
		p->done_at = now_ns();
		count[p->dtls].done++;
	}
}

static void begin(struct peer *p, uint64_t now);

/* The client has what it wanted: it goes, and perhaps comes back. */
static void leave(struct peer *p, uint64_t now)
{
	uint8_t packet[QCLIENT_PACKET];

	if (p->dtls) {
		if (resume && !p->again)
			gnutls_session_get_data2(p->tls, &p->ticket);
		gnutls_bye(p->tls, GNUTLS_SHUT_WR);
		gnutls_deinit(p->tls);
		p->tls = NULL;
	} else {
		size_t n;

		if (resume && !p->again)
			qclient_ticket(p->q, &p->ticket);
		n = qclient_close(p->q, 0, packet, now);
		if (n > 0)
			send(p->fd, packet, n, 0);
		qclient_free(p->q);
	}
	close(p->fd);
	p->gone = true;
	if (resume && !p->again) {
		p->again = true;
		p->gone = p->done = p->shaken = p->moved = false;
		p->asked = p->answered = 0;
		p->stream = NULL;
		count[p->dtls].done--;
		count[p->dtls].shaken--;
		begin(p, now);
	}
}

static void lose(struct peer *p, const char *why)
{
	p->failed = true;
	count[p->dtls].closed++;
	fprintf(stderr, "%s client %zu: %s, %u of %u answered\n", p->dtls ? "dtls" : "doq", (size_t)(p - peer), why,
		p->answered, queries * times);
}

/* ---- QUIC ---- */

static void quic_go(struct peer *p, uint64_t now)
{
	struct qclient *q = p->q;
	uint8_t packet[QCLIENT_PACKET];
	size_t n;

	if (q->shaken && !p->shaken) {
		p->shaken = true;
		count[0].shaken++;
		count[0].resumed += q->resumed;
		count[0].retried += q->retried;
		count[0].grease += q->grease;
		p->done = silent;
		p->done_at = now;
	}
	if (p->stream && p->stream->fin) {
		struct qclient_stream *s = p->stream;

		p->stream = NULL;
		if (s->in_len < 2 || (size_t)(s->in[0] << 8 | s->in[1]) != s->in_len - 2)
			count[0].wrong++;
		else
			check(p, s->in + 2, s->in_len - 2);
	}
	if (p->shaken && !p->stream && !p->done) {
		if (move && !p->moved && p->asked == queries * times - 1) {
			int before = p->fd;

			open_socket(p);
			close(before);
			qclient_move(q, (struct sockaddr *)&p->local, now);
			p->moved = true;
		}
		p->stream = qclient_ask(q, next_query(p)->octets, next_query(p)->len);
		p->asked++;
	}
	while ((n = qclient_out(q, packet, now)) > 0)
		send(p->fd, packet, n, 0);
	if (q->closed && !p->done)
		lose(p, "closed");
	p->deadline = qclient_expiry(q);
}

/* ---- DTLS ---- */

/* GnuTLS asks twice whether there is something, and one that comes in between is left in its
 * buffer until the next one comes: so it sees one at a time, which is there before it looks. */
static int dtls_wait(gnutls_transport_ptr_t ptr, unsigned ms)
{
	(void)ms;
	return ((struct peer *)ptr)->in_len >= 0;
}

static ssize_t dtls_push(gnutls_transport_ptr_t ptr, const void *data, size_t len)
{
	return send(((struct peer *)ptr)->fd, data, len, 0);
}

static ssize_t dtls_pull(gnutls_transport_ptr_t ptr, void *data, size_t len)
{
	struct peer *p = ptr;

	if (p->in_len < 0) {
		gnutls_transport_set_errno(p->tls, EAGAIN);
		return -1;
	}
	if (len > (size_t)p->in_len)
		len = (size_t)p->in_len;
	memcpy(data, p->in, len);
	p->in_len = -1;
	return (ssize_t)len;
}

static void dtls_ask(struct peer *p, uint64_t now)
{
	const struct query *q = &query[p->answered % queries];

	p->asked = p->answered + 1;
	p->asked_at = now;
	gnutls_record_send(p->tls, q->octets, q->len);
	p->deadline = now + DTLS_RETRY;
}

/* Is it the second answer to a query that was repeated? */
static bool dtls_late(const struct peer *p, const uint8_t *msg, size_t len)
{
	return p->asked == p->answered ||
	       (p->repeated && p->answered > 0 && !responds(&query[p->answered % queries], msg, len) &&
		responds(&query[(p->answered - 1) % queries], msg, len));
}

static void dtls_go(struct peer *p, uint64_t now)
{
	uint8_t msg[65536];

	if (!p->shaken) {
		int result;

		do
			result = gnutls_handshake(p->tls);
		while (result == GNUTLS_E_AGAIN && p->in_len >= 0);
		if (result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED) {
			p->deadline = now + gnutls_dtls_get_timeout(p->tls) * MS;
			return;
		}
		if (result < 0) {
			lose(p, gnutls_strerror(result));
			return;
		}
		p->shaken = true;
		p->done = silent;
		p->done_at = now;
		count[1].shaken++;
		count[1].resumed += gnutls_session_is_resumed(p->tls) != 0;
		if (!silent)
			dtls_ask(p, now);
	}
	for (;;) {
		ssize_t n = gnutls_record_recv(p->tls, msg, sizeof(msg));

		if ((n == GNUTLS_E_AGAIN && p->in_len < 0) || n == GNUTLS_E_INTERRUPTED)
			break;
		if (n == GNUTLS_E_AGAIN)
			continue;
		if (n <= 0) {
			if (!p->done)
				lose(p, n < 0 ? gnutls_strerror((int)n) : "the server has closed");
			return;
		}
		if (dtls_late(p, msg, (size_t)n))
			continue;
		check(p, msg, (size_t)n);
		if (p->done)
			return;
		dtls_ask(p, now);
	}
	if (!p->done && now >= p->asked_at + DTLS_RETRY) {
		count[1].lost++;
		p->repeated = true;
		dtls_ask(p, now);
	}
	p->deadline = p->asked_at + DTLS_RETRY;
}

/* ---- the swarm ---- */

static void go(struct peer *p, uint64_t now)
{
	if (p->dtls)
		dtls_go(p, now);
	else
		quic_go(p, now);
}

static void begin(struct peer *p, uint64_t now)
{
	static const gnutls_datum_t none;

	open_socket(p);
	p->in_len = -1;
	if (junk) {
		uint8_t octets[64];

		for (unsigned i = 0; i < sizeof(octets); i++)
			octets[i] = (uint8_t)(i ^ (unsigned)(p - peer));
		octets[0] &= 0x3f;
		send(p->fd, octets, sizeof(octets), 0);
	}
	if (p->dtls) {
		gnutls_init(&p->tls, GNUTLS_CLIENT | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK | GNUTLS_FORCE_CLIENT_CERT);
		gnutls_priority_set_direct(p->tls, "NORMAL:-VERS-ALL:+VERS-DTLS1.2", NULL);
		gnutls_credentials_set(p->tls, GNUTLS_CRD_CERTIFICATE, credentials);
		gnutls_transport_set_ptr(p->tls, p);
		gnutls_transport_set_push_function(p->tls, dtls_push);
		gnutls_transport_set_pull_function(p->tls, dtls_pull);
		gnutls_transport_set_pull_timeout_function(p->tls, dtls_wait);
		gnutls_dtls_set_mtu(p->tls, 1400);
		gnutls_dtls_set_timeouts(p->tls, 1000, (unsigned)(patience * 1000));
		if (p->ticket.data != none.data)
			gnutls_session_set_data(p->tls, p->ticket.data, p->ticket.size);
	} else {
		const struct qclient_options o = {.credentials = credentials, .session = p->ticket.data ? &p->ticket : NULL};

		if (!p->q)
			p->q = calloc(1, sizeof(*p->q));
		if (qclient_init(p->q, (struct sockaddr *)&p->local, (struct sockaddr *)&server, &o, now))
			die("qclient_init");
	}
	go(p, now);
}

static void receive(struct peer *p, uint64_t now)
{
	uint8_t data[2048];
	ssize_t n;

	if (p->dtls) {
		while (!p->gone && !p->failed && (p->in_len = recv(p->fd, p->in, sizeof(p->in), 0)) >= 0)
			dtls_go(p, now);
		return;
	}
	while ((n = recv(p->fd, data, sizeof(data), 0)) >= 0)
		qclient_in(p->q, data, (size_t)n, now);
	quic_go(p, now);
}

/* Until all are gone, or patience is over. */
static void run(uint64_t end)
{
	for (;;) {
		struct epoll_event event[64];
		uint64_t now = now_ns(), next = end;
		bool busy = false;
		int n;

		for (size_t i = 0; i < peers; i++) {
			struct peer *p = &peer[i];

			if (p->gone || p->failed)
				continue;
			if (p->done && now >= p->done_at + (uint64_t)(hold * 1e9)) {
				leave(p, now);
				now = now_ns();
				if (p->gone)
					continue;
			} else if (now >= p->deadline) {
				if (!p->dtls)
					qclient_expire(p->q, now);
				go(p, now);
			}
			busy = true;
			if (p->deadline < next)
				next = p->deadline;
			if (p->done && p->done_at + (uint64_t)(hold * 1e9) < next)
				next = p->done_at + (uint64_t)(hold * 1e9);
		}
		if (!busy || now >= end)
			return;
		n = epoll_wait(epoll, event, 64, next > now ? (int)((next - now + MS - 1) / MS) : 0);
		for (int i = 0; i < n; i++) {
			struct peer *p = event[i].data.ptr;

			if (!p->gone && !p->failed)
				receive(p, now_ns());
		}
	}
}

static void read_query(const char *text)
{
	struct query *q = &query[queries];
	unsigned octet;

	if (queries == QUERIES)
		exit(2);
	while (q->len < sizeof(q->octets) && sscanf(text, "%2x", &octet) == 1) {
		q->octets[q->len++] = (uint8_t)octet;
		text += 2;
	}
	queries++;
}

static void read_server(const char *address, const char *port)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)&server;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&server;

	if (inet_pton(AF_INET, address, &in4->sin_addr) == 1) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons((uint16_t)atoi(port));
		server_len = sizeof(*in4);
	} else if (inet_pton(AF_INET6, address, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)atoi(port));
		server_len = sizeof(*in6);
	} else {
		fprintf(stderr, "swarm: %s is no address\n", address);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"doq", required_argument, NULL, 'q'}, {"dtls", required_argument, NULL, 'd'},
		{"times", required_argument, NULL, 't'}, {"hold", required_argument, NULL, 'h'},
		{"wait", required_argument, NULL, 'w'}, {"move", no_argument, NULL, 'm'},
		{"resume", no_argument, NULL, 'r'}, {"junk", no_argument, NULL, 'j'},
		{"silent", no_argument, NULL, 's'}, {"print", no_argument, NULL, 'p'},
		{"certificate", required_argument, NULL, 'c'}, {"key", required_argument, NULL, 'k'}, {0},
	};
	static const char *const kind[] = {"doq", "dtls"};
	size_t wanted[2] = {0, 0};
	const char *certificate = NULL, *key = NULL;
	struct rlimit files;
	bool good = true;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'q': wanted[0] = (size_t)atol(optarg); break;
		case 'd': wanted[1] = (size_t)atol(optarg); break;
		case 't': times = (unsigned)atoi(optarg); break;
		case 'h': hold = atof(optarg); break;
		case 'w': patience = atof(optarg); break;
		case 'm': move = true; break;
		case 'r': resume = true; break;
		case 'j': junk = true; break;
		case 's': silent = true; break;
		case 'p': print = true; break;
		case 'c': certificate = optarg; break;
		case 'k': key = optarg; break;
		default: return 2;
		}
	}
	if (argc - optind < 3)
		return 2;
	read_server(argv[optind], argv[optind + 1]);
	for (int i = optind + 2; i < argc; i++)
		read_query(argv[i]);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	gnutls_certificate_allocate_credentials(&credentials);
	if (certificate && gnutls_certificate_set_x509_key_file(credentials, certificate, key, GNUTLS_X509_FMT_PEM) < 0)
		return 2;
	epoll = epoll_create1(0);
	peers = wanted[0] + wanted[1];
	peer = calloc(peers, sizeof(*peer));
	if (!peer)
		return 2;

	/* Turn about, so that both kinds come at the same moment. */
	for (size_t i = 0, made[2] = {0, 0}; i < peers; i++) {
		bool dtls = made[1] * wanted[0] < made[0] * wanted[1] || made[0] == wanted[0];

		made[dtls]++;
		peer[i].dtls = dtls;
		begin(&peer[i], now_ns());
	}
	run(now_ns() + (uint64_t)(patience * 1e9));
	for (int k = 0; k < 2; k++) {
		if (wanted[k] == 0)
			continue;
		printf("%s clients=%zu shaken=%u done=%u resumed=%u retried=%u grease=%u wrong=%u closed=%u lost=%u\n",
		       kind[k], wanted[k], count[k].shaken, count[k].done, count[k].resumed, count[k].retried,
		       count[k].grease, count[k].wrong, count[k].closed, count[k].lost);
		good = good && (silent ? count[k].shaken : count[k].done) == wanted[k] && count[k].wrong == 0;
	}
	return good ? 0 : 1;
}
