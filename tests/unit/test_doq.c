/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The engine against clients of our own, over a network that loses, repeats and
 * reorders what it is told to, in a time of its own. */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/serve/deadline.h"
#include "control/serve/doq.h"
#include "control/serve/doq_stream.h"
#include "tests/client/identities.h"
#include "tests/client/qclient.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define DELAY (2 * MS)  /* of each datagram, one way */
#define CLIENTS 1200
#define IDLE (10 * SECOND)

struct datagram {
	struct datagram *next;
	uint64_t at;
	struct sockaddr_in local, peer; /* as the server sees it */
	bool to_server;
	size_t len;
	uint8_t data[];
};

static struct credentials_vault vault;
static struct clients *clients;
static struct room room;
static struct doq *doq;
static uint64_t now = 1000 * SECOND;
static uint64_t boot = 1700000000 * SECOND; /* the date at which it was 0 */
static struct datagram *flight, **flight_end = &flight;
static struct qclient client[CLIENTS];
static size_t client_cnt;
static unsigned lose;   /* one in so many datagrams is lost, 0: none */
static unsigned repeat; /* one in so many comes twice, the second late */
static uint64_t from_client, from_server; /* octets */
static size_t questions;
static size_t answer_size = 100;

static struct sockaddr_in server_address(void)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(853),
				    .sin_addr.s_addr = htonl(0x0a350001)};
}

static struct sockaddr_in address(unsigned i)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)(10000 + i)),
				    .sin_addr.s_addr = htonl(0x0a350002 + (i >> 6 << 8))};
}

static void post(bool to_server, const struct sockaddr_in *local, const struct sockaddr_in *peer,
		 const uint8_t *data, size_t len)
{
	unsigned times = 1;

	if (lose && (unsigned)rand() % lose == 0)
		return;
	if (repeat && (unsigned)rand() % repeat == 0)
		times = 2;
	for (unsigned i = 0; i < times; i++) {
		struct datagram *g = malloc(sizeof(*g) + len);

		*g = (struct datagram){.at = now + DELAY + i * 7 * MS, .local = *local, .peer = *peer,
				       .to_server = to_server, .len = len};
		memcpy(g->data, data, len);
		*flight_end = g;
		flight_end = &g->next;
	}
}

static void emit(void *arg, const struct sockaddr *local, const struct sockaddr *peer,
		 const uint8_t *data, size_t len)
{
	cr_assert_eq(arg, &doq);
	from_server += len;
	post(false, (const struct sockaddr_in *)local, (const struct sockaddr_in *)peer, data, len);
}

/* The query again, as a response, filled up to answer_size with its last octet. */
static size_t answer(void *arg, const struct sockaddr *peer, const uint8_t *msg, size_t len,
		     uint8_t *out, size_t max)
{
	size_t n = answer_size > len ? answer_size : len;

	(void)arg;
	(void)peer;
	cr_assert_leq(n, max);
	memcpy(out, msg, len);
	memset(out + len, msg[len - 1], n - len);
	out[2] |= 0x80;
	questions++;
	return n;
}

static uint64_t real_ns(void *arg)
{
	(void)arg;
	return boot + now;
}

static void deliver(struct datagram *g)
{
	if (g->to_server) {
		doq_feed(doq, (struct sockaddr *)&g->local, (struct sockaddr *)&g->peer, g->data, g->len, now);
		doq_flush(doq, now);
		return;
	}
	for (size_t i = 0; i < client_cnt; i++)
		if (client[i].conn && memcmp(&client[i].local, &g->peer, sizeof(g->peer)) == 0)
			qclient_in(&client[i], g->data, g->len, now);
}

static void send_clients(void)
{
	struct sockaddr_in server = server_address();
	uint8_t packet[QCLIENT_PACKET];
	size_t n;

	for (size_t i = 0; i < client_cnt; i++)
		while (client[i].conn && (n = qclient_out(&client[i], packet, now)) > 0) {
			from_client += n;
			post(true, &server, (struct sockaddr_in *)&client[i].local, packet, n);
		}
}

/* Lets time pass. */
static void run(uint64_t span)
{
	uint64_t end = now + span;

	for (;;) {
		uint64_t next = end;

		send_clients();
		for (struct datagram *g = flight; g; g = g->next)
			next = g->at < next ? g->at : next;
		for (size_t i = 0; i < client_cnt; i++)
			if (client[i].conn && qclient_expiry(&client[i]) < next)
				next = qclient_expiry(&client[i]);
		if (doq_deadline(doq) < next)
			next = doq_deadline(doq);
		if (next >= end)
			break;
		now = next > now ? next : now + 1000;
		for (struct datagram **at = &flight; *at;) {
			struct datagram *g = *at;

			if (g->at > now) {
				at = &g->next;
				continue;
			}
			*at = g->next;
			if (!*at)
				flight_end = at;
			deliver(g);
			free(g);
		}
		for (size_t i = 0; i < client_cnt; i++)
			if (client[i].conn && qclient_expiry(&client[i]) <= now)
				qclient_expire(&client[i], now);
		if (doq_deadline(doq) <= now)
			doq_expire(doq, now);
	}
	now = end;
}

static void limit(unsigned all, unsigned prefix)
{
	const struct config c = {
		.tcp_max_clients = all, .tcp_max_prefix = prefix, .tcp_ipv4_prefix = 24, .tcp_ipv6_prefix = 56,
	};

	if (clients)
		clients_limit(clients, &c);
	else
		clients = clients_create(&c);
}

static void setup(void)
{
	char folder[] = "/tmp/test_doq.XXXXXX", path[64], error[256];
	struct credentials *c;
	bool made;

	srand(1);
	cr_assert_not_null(mkdtemp(folder));
	cr_assert_eq(credentials_own(&c, folder, "", &made, error, sizeof(error)), 0, "%s", error);
	snprintf(path, sizeof(path), "%s/" CREDENTIALS_CERTIFICATE, folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/" CREDENTIALS_KEY, folder);
	unlink(path);
	rmdir(folder);
	credentials_vault_init(&vault, c);
	limit(4096, 4096);
	room_init(&room, clients);

	const struct doq_env env = {
		.vault = &vault, .room = &room, .thread = 5, .idle_ns = IDLE, .real_ns = real_ns, .emit = emit,
		.answer = answer, .arg = &doq,
	};

	cr_assert_eq(doq_new(&doq, &env), 0);
}

static void teardown(void)
{
	for (size_t i = 0; i < client_cnt; i++)
		if (client[i].conn)
			qclient_free(&client[i]);
	doq_free(doq);
	cr_expect_eq(clients_cnt(clients), 0, "a connection is still counted");
	cr_expect_eq(atomic_load(&vault.current->users), 1, "a connection still holds the credentials");
	credentials_vault_free(&vault);
	clients_free(clients);
	while (flight) {
		struct datagram *g = flight;

		flight = g->next;
		free(g);
	}
}

static struct qclient *begin(const struct qclient_options *o)
{
	struct sockaddr_in local = address((unsigned)client_cnt), server = server_address();
	struct qclient *q = &client[client_cnt++];

	cr_assert_eq(qclient_init(q, (struct sockaddr *)&local, (struct sockaddr *)&server, o, now), 0);
	return q;
}

static uint8_t query[4096] = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'q', 0, 0, 1, 0, 1};
#define QUERY 19

static struct qclient_stream *ask(struct qclient *q, unsigned number)
{
	query[13] = (uint8_t)('a' + number % 26);
	query[18] = (uint8_t)number;
	return qclient_ask(q, query, QUERY);
}

static void answered(const struct qclient_stream *s, unsigned number)
{
	size_t n = answer_size > QUERY ? answer_size : QUERY;

	cr_assert(s->fin, "no answer to %u, %zu octets", number, s->in_len);
	cr_assert_eq(s->in_len, 2 + n);
	cr_assert_eq(s->in[0] << 8 | s->in[1], (int)n);
	cr_assert_eq(s->in[2 + 13], 'a' + number % 26);
	cr_assert_eq(s->in[1 + n], (uint8_t)number);
}

static void closed_with(const struct qclient *q, bool application, uint64_t code)
{
	cr_assert(q->closed);
	cr_expect_eq(q->application, application);
	cr_expect_eq(q->code, code, "%#lx", (unsigned long)q->code);
}

TestSuite(doq, .init = setup, .fini = teardown);

Test(doq, a_question)
{
	struct qclient *q = begin(NULL);
	struct qclient_stream *s = ask(q, 1);

	run(SECOND);
	answered(s, 1);
	cr_expect(s->closed, "the stream is over on both sides");
	cr_expect_not(q->closed);
	cr_expect_not(q->grease, "the client was told that it may clear the QUIC Bit");
	cr_expect_not(q->retried);
	cr_expect_eq(q->streams_left, DOQ_STREAMS, "an ended stream makes room for another");
	cr_expect_eq(doq_connections(doq), 1);
	run(IDLE + SECOND);
	cr_expect_eq(doq_connections(doq), 0, "idle for longer than it may");
	cr_expect_eq(doq_deadline(doq), DEADLINE_NONE);
}

/* Packets alone do not keep a connection: something has to get done. */
Test(doq, who_only_pings_is_idle)
{
	struct qclient *q = begin(NULL);

	ask(q, 1);
	run(SECOND);
	answered(&q->stream[0], 1);
	qclient_keep_alive(q, SECOND);
	run(IDLE / 2);
	ask(q, 2);
	run(IDLE / 2 + SECOND);
	answered(&q->stream[1], 2);
	cr_expect_not(q->closed, "its last query was not long ago");
	run(IDLE / 2);
	closed_with(q, true, DOQ_NO_ERROR);
	cr_expect_eq(doq_connections(doq), 0);
}

Test(doq, an_octet_now_and_then_is_idle)
{
	struct qclient *q = begin(NULL);
	struct qclient_stream *s = qclient_send(q, NULL, (const uint8_t *)"\0\x13", 2, false);

	for (unsigned i = 0; i < IDLE / SECOND + 1; i++) {
		cr_assert_not(q->closed, "after %u s", i);
		qclient_send(q, s, query + i, 1, false);
		run(SECOND);
	}
	closed_with(q, true, DOQ_EXCESSIVE_LOAD);
	cr_expect_eq(doq_connections(doq), 0);
}

Test(doq, a_slow_taker_is_not_idle)
{
	struct qclient *q = begin(&(struct qclient_options){.window = 10000});

	answer_size = 60000;
	ask(q, 1);
	for (unsigned i = 0; i < 9; i++) {
		run(IDLE / 2);
		qclient_take(q, 6000);
	}
	run(SECOND);
	answered(&q->stream[0], 1);
	cr_expect_eq(questions, 1);
	ask(q, 2); /* of which it takes only a part, for ever */
	qclient_keep_alive(q, SECOND);
	run(IDLE / 2);
	cr_expect_not(q->closed);
	run(IDLE);
	closed_with(q, true, DOQ_EXCESSIVE_LOAD);
}

Test(doq, many_questions)
{
	struct qclient *q = begin(NULL);

	for (unsigned i = 0; i < QCLIENT_STREAMS; i++)
		ask(q, i);
	run(SECOND);
	for (unsigned i = 0; i < QCLIENT_STREAMS; i++)
		answered(&q->stream[i], i);
	cr_expect_eq(questions, QCLIENT_STREAMS);
}

Test(doq, lost_and_repeated)
{
	lose = 5;
	repeat = 5;
	answer_size = 3000;
	for (unsigned i = 0; i < 20; i++) {
		struct qclient *q = begin(NULL);

		for (unsigned k = 0; k < 10; k++)
			ask(q, k);
	}
	run(30 * SECOND);
	for (size_t i = 0; i < client_cnt; i++)
		for (unsigned k = 0; k < 10; k++)
			answered(&client[i].stream[k], k);
	cr_expect_eq(questions, 200, "each query is answered once");
}

Test(doq, largest)
{
	static uint8_t most[65535];
	struct qclient *q = begin(NULL);

	memcpy(most, query, QUERY);
	answer_size = 65535;
	for (unsigned i = 0; i < 20; i++)
		qclient_ask(q, most, sizeof(most));
	run(20 * SECOND);
	for (unsigned i = 0; i < 20; i++) {
		cr_assert(q->stream[i].fin, "%u", i);
		cr_expect_eq(q->stream[i].in_len, 2 + 65535);
	}
	cr_expect_eq(questions, 20);
}

/* Of a client that takes no answers no more is answered than DOQ_QUEUE_MAX permits. */
Test(doq, slow_reader)
{
	struct qclient *q = begin(NULL);

	run(SECOND);
	answer_size = 60000;
	for (unsigned i = 0; i < DOQ_STREAMS; i++)
		ask(q, i);
	send_clients();

	/* From now on the client is deaf. */
	void *conn = q->conn;
	uint64_t end = now + 5 * SECOND;

	q->conn = NULL;
	while (now < end)
		run(SECOND);
	cr_expect_leq(questions, DOQ_QUEUE_MAX / 60000 + 1);
	cr_expect_geq(questions, 1);
	q->conn = conn;
	run(8 * SECOND);
	cr_expect_eq(questions, DOQ_STREAMS, "what waited is answered once there is room");
}

Test(doq, protocol_errors)
{
	static const struct { const char *what; uint8_t octets[40]; size_t len; bool fin; } bad[] = {
		{"id", {0, 19, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'q', 0, 0, 1, 0, 1}, 21, true},
		{"end within the length", {0}, 1, true},
		{"end at once", {0}, 0, true},
		{"end within the message", {0, 19, 0, 0, 1, 0}, 6, true},
		{"too short", {0, 4, 0, 0, 1, 0}, 6, true},
		{"a second query", {0, 12, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12}, 16, false},
		{"a response", {0, 12, 0, 0, 0x80}, 14, true},
		{"keepalive", {0, 27, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 4,
			       0, 11, 0, 0}, 29, true},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct qclient *q = begin(NULL);

		qclient_send(q, NULL, bad[i].octets, bad[i].len, bad[i].fin);
		run(SECOND);
		cr_assert(q->closed, "%s", bad[i].what);
		closed_with(q, true, DOQ_PROTOCOL_ERROR);
	}
	cr_expect_eq(questions, 0);
	cr_expect_eq(doq_connections(doq), 0);
}

Test(doq, cancelled)
{
	struct qclient *q = begin(NULL);
	struct qclient_stream *s, *other;

	run(SECOND);
	s = qclient_send(q, NULL, (const uint8_t *)"\0", 1, false);
	other = ask(q, 3);
	run(100 * MS);
	qclient_cancel(q, s, DOQ_REQUEST_CANCELLED);
	run(SECOND);
	answered(other, 3);
	cr_expect(s->closed);
	cr_expect_not(q->closed);
	cr_expect_eq(q->streams_left, DOQ_STREAMS);
}

Test(doq, alpn)
{
	struct qclient *q = begin(&(struct qclient_options){.alpn = "h3"});

	run(SECOND);
	closed_with(q, false, 0x100 + GNUTLS_A_NO_APPLICATION_PROTOCOL);
	q = begin(&(struct qclient_options){.alpn = ""});
	run(SECOND);
	closed_with(q, false, 0x100 + GNUTLS_A_NO_APPLICATION_PROTOCOL);
	cr_expect_eq(doq_connections(doq), 0);
}

/* A handshake message that has no end is not gathered for long. */
Test(doq, a_message_of_16_megabytes)
{
	struct qclient *q = begin(&(struct qclient_options){.ramble = 1 << 20});

	run(3 * SECOND);
	closed_with(q, false, 0x100 + GNUTLS_A_DECODE_ERROR);
	cr_expect_lt(from_client, 2 * CREDENTIALS_HANDSHAKE_MAX);
	cr_expect_eq(doq_connections(doq), 0);
}

Test(doq, unknown_version)
{
	static const uint32_t versions[] = {0x0a0a0a0a, 0xff00001d, 0x709a50c4};

	for (size_t i = 0; i < 3; i++) {
		struct qclient *q = begin(&(struct qclient_options){.version = versions[i]});

		run(SECOND);
		cr_expect(q->negotiated, "%#x", versions[i]);
		cr_expect_not(q->shaken);
	}
	cr_expect_eq(doq_connections(doq), 0);
	cr_expect_eq(doq_counted(doq)->accepted, 0);
}

Test(doq, resumption)
{
	struct qclient *q = begin(NULL);
	gnutls_datum_t session;

	run(SECOND);
	cr_assert(q->shaken);
	cr_assert_eq(qclient_ticket(q, &session), 0);
	cr_assert_gt(q->token_len, 0, "no NEW_TOKEN");
	q = begin(&(struct qclient_options){.session = &session});
	ask(q, 1);
	run(SECOND);
	answered(&q->stream[0], 1);
	cr_expect(q->resumed);
	cr_expect_eq(doq_counted(doq)->resumed, 1);
	gnutls_free(session.data);
}

Test(doq, closed_by_client)
{
	struct sockaddr_in server = server_address();
	struct qclient *q = begin(NULL);
	uint8_t packet[QCLIENT_PACKET];
	uint64_t sent;
	size_t n;

	run(SECOND);
	n = qclient_close(q, DOQ_NO_ERROR, packet, now);
	cr_assert_gt(n, 0);
	post(true, &server, (struct sockaddr_in *)&q->local, packet, n);
	run(5 * MS);
	cr_expect_eq(doq_connections(doq), 0);
	cr_expect_eq(clients_cnt(clients), 0);
	sent = from_server;
	post(true, &server, (struct sockaddr_in *)&q->local, packet, n);
	run(5 * MS);
	cr_expect_eq(from_server, sent, "nothing is said to a late packet of a closed connection");
	run(5 * SECOND);
	cr_expect_eq(doq_deadline(doq), DEADLINE_NONE, "the closed connection is forgotten");
}

/* The ids that we give begin with the thread's number; a packet to an id nobody has gets
 * a reset that its connection's client believes. */
Test(doq, stateless_reset)
{
	struct qclient *q = begin(NULL);
	const struct doq_env env = {
		.vault = &vault, .room = &room, .thread = 5, .idle_ns = IDLE, .real_ns = real_ns, .emit = emit,
		.answer = answer, .arg = &doq,
	};

	run(SECOND);
	cr_assert(q->shaken);
	doq_free(doq); /* it crashes and comes back */
	cr_assert_eq(doq_new(&doq, &env), 0);
	ask(q, 1);
	run(SECOND);
	cr_expect(q->was_reset);
	cr_expect_eq(doq_counted(doq)->reset, 1);
	cr_expect_lt(from_server, 20000);
}

Test(doq, no_reset_for_junk)
{
	struct sockaddr_in server = server_address(), peer = address(3);
	uint8_t junk[1500];
	uint64_t sent;

	/* Always shorter than what caused it (RFC 9000 section 10.3.3). */
	for (size_t len = 1; len <= sizeof(junk); len = len < 60 ? len + 1 : len + 111) {
		memset(junk, 0x55, len);
		sent = from_server;
		doq_feed(doq, (struct sockaddr *)&server, (struct sockaddr *)&peer, junk, len, now);
		cr_expect_lt(from_server - sent, len);
		cr_expect(len < 60 || from_server > sent, "%zu", len);
	}
	/* And not without end. */
	memset(junk, 0x41, sizeof(junk));
	now += 2 * SECOND;
	sent = doq_counted(doq)->reset;
	for (unsigned i = 0; i < 5000; i++)
		doq_feed(doq, (struct sockaddr *)&server, (struct sockaddr *)&peer, junk, 100, now);
	cr_expect_eq(doq_counted(doq)->reset - sent, 1000);
}

/* 0-RTT packets are dropped: by themselves, and behind an Initial packet. */
Test(doq, early_data)
{
	struct sockaddr_in server = server_address(), peer = address(7);
	struct qclient *q;
	uint8_t packet[QCLIENT_PACKET], early[1300];
	size_t n;

	for (size_t i = 0; i < sizeof(early); i++)
		early[i] = (uint8_t)rand();
	memcpy(early, "\xd3\0\0\0\1\x08" "01234567" "\x08" "abcdefgh" "\x45\0", 25);
	doq_feed(doq, (struct sockaddr *)&server, (struct sockaddr *)&peer, early, sizeof(early), now);
	doq_flush(doq, now);
	cr_expect_eq(from_server, 0);
	cr_expect_eq(doq_connections(doq), 0);

	q = begin(NULL);
	ask(q, 1);
	n = qclient_out(q, packet, now);
	memcpy(early + 6, packet + 6, 8);
	post(true, &server, (struct sockaddr_in *)&q->local, packet, n);
	for (unsigned i = 0; i < 50; i++) {
		memcpy(early + 5, packet + 5, 1 + packet[5]); /* of this connection */
		post(true, &server, (struct sockaddr_in *)&q->local, early, 1200);
	}
	run(SECOND);
	answered(&q->stream[0], 1);
	cr_expect_eq(questions, 1);
}

Test(doq, migration)
{
	struct qclient *q = begin(NULL);
	struct sockaddr_in elsewhere = address(500), before = address(0), server = server_address();
	struct pair pair;

	ask(q, 1);
	run(SECOND);
	cr_assert_eq(qclient_move(q, (struct sockaddr *)&elsewhere, now), 0);
	ask(q, 2);
	run(SECOND);
	answered(&q->stream[1], 2);
	cr_expect_eq(doq_counted(doq)->moved, 1);
	cr_expect_eq(doq_counted(doq)->accepted, 1);
	pair_make(&pair, (struct sockaddr *)&server, (struct sockaddr *)&elsewhere);
	cr_expect(doq_knows_pair(doq, &pair));
	pair_make(&pair, (struct sockaddr *)&server, (struct sockaddr *)&before);
	cr_expect_not(doq_knows_pair(doq, &pair));
}

/* A token is good for a day, whenever the machine was started meanwhile; who has one needs
 * no Retry to get the place of another. */
Test(doq, tokens_age_across_reboots)
{
	static const struct { uint64_t age; bool good; } cases[] = {{3600 * SECOND, true}, {25 * 3600 * SECOND, false}};
	const struct doq_env env = {
		.vault = &vault, .room = &room, .thread = 5, .idle_ns = IDLE, .real_ns = real_ns, .emit = emit,
		.answer = answer, .arg = &doq,
	};
	struct qclient *q = begin(NULL);

	run(SECOND);
	cr_assert_gt(q->token_len, 0);
	limit(1, 1);
	for (size_t i = 0; i < 2; i++) {
		uint64_t date = real_ns(NULL), before = now;
		struct qclient *other, *known;

		doq_free(doq);
		now = before - 500 * SECOND;
		boot = date + cases[i].age - now;
		cr_assert_eq(doq_new(&doq, &env), 0);
		other = begin(NULL);
		run(SECOND);
		cr_assert(other->shaken);
		known = begin(&(struct qclient_options){.token = q->token, .token_len = q->token_len});
		run(SECOND);
		cr_expect(known->shaken);
		cr_expect_eq(known->retried, !cases[i].good, "%zu", i);
		now = before;
		boot = date - now;
	}
}

/* A ClientHello of two packets, of which the second comes first. */
Test(doq, hello_in_the_wrong_order)
{
	struct sockaddr_in server = server_address();
	struct qclient *q = begin(&(struct qclient_options){.hello = 1500});
	uint8_t first[QCLIENT_PACKET], second[QCLIENT_PACKET];
	size_t first_len = qclient_out(q, first, now), second_len;

	now += 50 * MS; /* it does not send both at once */
	second_len = qclient_out(q, second, now);
	cr_assert(first_len >= 1200 && second_len >= 1200, "%zu, %zu octets", first_len, second_len);
	post(true, &server, (struct sockaddr_in *)&q->local, second, second_len);
	run(2 * DELAY);
	cr_expect_eq(doq_connections(doq), 0, "something is kept for an address that is not validated");
	cr_expect_eq(clients_cnt(clients), 0);
	cr_expect_leq(from_server, 3 * second_len);
	ask(q, 1);
	run(SECOND / 10);
	answered(&q->stream[0], 1);
	cr_expect(q->retried);
	cr_expect_eq(doq_counted(doq)->retried, 1);
}

/* A first packet claims nothing for the demultiplexer: anybody can send it, in anybody's
 * name, with an id like the head of a DTLS record. */
Test(doq, claims_nothing_before_the_handshake)
{
	static const uint8_t record[DOQ_ID] = {0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x28, 0, 1, 0, 0};
	struct sockaddr_in server = server_address(), peer = address(0);
	struct qclient *q = begin(&(struct qclient_options){.id = record, .id_len = sizeof(record)});
	struct pair pair;

	pair_make(&pair, (struct sockaddr *)&server, (struct sockaddr *)&peer);
	run(3 * DELAY / 2);
	cr_assert_eq(doq_connections(doq), 1);
	cr_expect_not(doq_knows_pair(doq, &pair));
	cr_expect_not(doq_knows_id(doq, record, sizeof(record)));
	ask(q, 1);
	run(SECOND);
	answered(&q->stream[0], 1);
	cr_expect(doq_knows_pair(doq, &pair));
	cr_expect_not(doq_knows_id(doq, record, sizeof(record)));
}

/* A thousand at once: those over DOQ_RETRY_FROM have to show that they are there. */
Test(doq, a_thousand)
{
	unsigned retried = 0;

	limit(4096, 64);
	for (unsigned i = 0; i < 1000; i++)
		ask(begin(NULL), i);
	run(10 * SECOND);
	for (unsigned i = 0; i < 1000; i++) {
		answered(&client[i].stream[0], i);
		retried += client[i].retried;
	}
	cr_expect_gt(retried, 500);
	cr_expect_eq(doq_counted(doq)->completed, 1000);

	/* A token of the first time spares the Retry. */
	struct qclient *q = &client[0];
	uint8_t token[sizeof(q->token)];
	struct qclient_options o = {.token = token, .token_len = q->token_len};

	cr_assert_gt(q->token_len, 0);
	memcpy(token, q->token, sizeof(token));
	for (unsigned i = 0; i < 150; i++)
		begin(NULL);
	uint64_t before = doq_counted(doq)->retried;
	struct sockaddr_in local = address(0), server = server_address();

	qclient_free(q);
	send_clients();
	cr_assert_eq(qclient_init(q, (struct sockaddr *)&local, (struct sockaddr *)&server, &o, now), 0);
	ask(q, 7);
	run(5 * SECOND);
	answered(&q->stream[0], 7);
	cr_expect_not(q->retried);
	cr_expect_gt(doq_counted(doq)->retried, before);
}

/* Whoever does not answer from its address gets at most three times what it sent. */
Test(doq, amplification)
{
	struct sockaddr_in server = server_address();
	uint8_t packet[QCLIENT_PACKET];

	for (unsigned i = 0; i < 300; i++) {
		struct sockaddr_in local = address(i);
		struct qclient q;
		uint64_t before = from_server;
		size_t n;

		cr_assert_eq(qclient_init(&q, (struct sockaddr *)&local, (struct sockaddr *)&server, NULL, now), 0);
		n = qclient_out(&q, packet, now);
		cr_assert_geq(n, 1200);
		post(true, &server, &local, packet, n);
		run(20 * SECOND / 300);
		cr_expect_leq(from_server - before, 3 * 300 * n);
		qclient_free(&q);
	}
	run(20 * SECOND);
	cr_expect_leq(from_server, 3 * 300 * QCLIENT_PACKET, "%lu", (unsigned long)from_server);
	cr_expect_eq(doq_connections(doq), 0);
	cr_expect_eq(doq_deadline(doq), DEADLINE_NONE);
}

Test(doq, room_for_newcomers)
{
	limit(10, 10);
	for (unsigned i = 0; i < 10; i++) {
		ask(begin(NULL), i);
		run(SECOND / 10);
	}
	ask(&client[0], 1);
	run(SECOND / 10);
	cr_assert_eq(doq_connections(doq), 10);
	ask(begin(NULL), 10);
	run(SECOND);
	answered(&client[10].stream[0], 10);
	cr_expect(client[10].retried, "nobody goes for an address that is not validated");
	cr_expect(client[1].closed, "the one that rested longest");
	closed_with(&client[1], true, DOQ_NO_ERROR);
	cr_expect_not(client[0].closed);
	cr_expect_eq(doq_counted(doq)->evicted, 1);
	cr_expect_eq(doq_connections(doq), 10);

	/* Who is busy stays; newcomers are refused. */
	qclient_free(&client[1]);
	for (unsigned i = 0; i < 11; i++)
		if (client[i].conn) {
			ask(&client[i], i);
			qclient_send(&client[i], NULL, (const uint8_t *)"\0", 1, false);
		}
	run(20 * MS);
	begin(NULL);
	run(SECOND / 2);
	closed_with(&client[11], false, 2);
	cr_expect_eq(doq_counted(doq)->evicted, 1);
	cr_expect_eq(doq_connections(doq), 10);
}

Test(doq, reload)
{
	struct qclient *q = begin(NULL), *r;
	struct credentials *c, *old = vault.current;
	char folder[] = "/tmp/test_doq.XXXXXX", path[64], error[256];
	bool made;

	run(SECOND);
	cr_assert_not_null(mkdtemp(folder));
	cr_assert_eq(credentials_own(&c, folder, "", &made, error, sizeof(error)), 0);
	snprintf(path, sizeof(path), "%s/" CREDENTIALS_CERTIFICATE, folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/" CREDENTIALS_KEY, folder);
	unlink(path);
	rmdir(folder);
	cr_assert_str_neq(c->pin, old->pin);
	cr_assert_eq(credentials_put(&vault, c), 0);
	ask(q, 1);
	r = begin(NULL);
	ask(r, 2);
	run(SECOND);
	answered(&q->stream[0], 1);
	answered(&r->stream[0], 2);
}

/* Certificates of clients: what ends the connection is in the handshake, and nothing is
 * answered. */
Test(doq, clients_are_asked)
{
	static const struct { const char *name, *key; int alert; } shown[] = {
		{"good", "key", 0}, {"chain", "key", 0}, {NULL, NULL, GNUTLS_A_CERTIFICATE_REQUIRED},
		{"expired", "key", GNUTLS_A_CERTIFICATE_EXPIRED},
		{"server", "key", GNUTLS_A_UNSUPPORTED_CERTIFICATE},
		{"stranger", "key", GNUTLS_A_UNKNOWN_CA}, {"stranger", "other-key", GNUTLS_A_UNKNOWN_CA},
		{"good", "other-key", GNUTLS_A_DECRYPT_ERROR},
	};
	char *id = identities_make(), error[256];
	gnutls_datum_t ticket;

	cr_assert_not_null(id);
	begin(NULL);
	run(SECOND);
	cr_assert_eq(qclient_ticket(&client[0], &ticket), 0);
	cr_assert_eq(credentials_trust(vault.current, identities_path(id, "ca"), true, error, sizeof(error)), 0, "%s",
		     error);
	for (unsigned i = 0; i < 2 * sizeof(shown) / sizeof(shown[0]); i++) {
		gnutls_certificate_credentials_t c = identities_load(id, shown[i / 2].name, shown[i / 2].key);
		/* Every other one has a ticket from before shown were asked. */
		struct qclient *q = begin(&(struct qclient_options){.credentials = c, .session = i % 2 ? &ticket : NULL});
		struct qclient_stream *s = ask(q, i);
		size_t before = questions;

		run(SECOND);
		cr_expect_not(q->resumed, "%u", i);
		cr_expect_not(gnutls_session_get_flags(q->tls) & GNUTLS_SFLAGS_SESSION_TICKET, "it has a ticket");
		if (shown[i / 2].alert) {
			closed_with(q, false, 0x100 + (uint64_t)shown[i / 2].alert);
			cr_expect_eq(questions, before);
		} else {
			answered(s, i);
		}
		qclient_free(q);
		gnutls_certificate_free_credentials(c);
	}
	vault.current->ask = GNUTLS_CERT_REQUEST;

	struct qclient *q = begin(NULL);
	struct qclient_stream *s = ask(q, 1);

	run(SECOND);
	answered(s, 1);
	gnutls_free(ticket.data);
	identities_remove(id);
}

Test(doq, goodbye)
{
	struct qclient *q = begin(NULL);

	run(SECOND);
	doq_close(doq, now);
	run(SECOND);
	closed_with(q, true, DOQ_NO_ERROR);
	cr_expect_eq(doq_connections(doq), 0);
}

/* Every octet of every packet of a handshake and a question damaged, in turn. */
Test(doq, damaged)
{
	struct sockaddr_in server = server_address();
	uint8_t packet[QCLIENT_PACKET];

	for (unsigned i = 0; i < 60; i++) {
		struct qclient *q = begin(NULL);

		ask(q, i);
		for (unsigned k = 0; k < 6; k++) {
			size_t n;

			while ((n = qclient_out(q, packet, now)) > 0) {
				uint8_t was[QCLIENT_PACKET];

				memcpy(was, packet, n);
				for (unsigned m = 0; m < 3; m++)
					packet[(size_t)rand() % n] ^= (uint8_t)(1 << rand() % 8);
				doq_feed(doq, (struct sockaddr *)&server, (struct sockaddr *)&q->local, packet,
					 n, now);
				doq_feed(doq, (struct sockaddr *)&server, (struct sockaddr *)&q->local, was,
					 (size_t)rand() % n, now);
				post(true, &server, (struct sockaddr_in *)&q->local, was, n);
			}
			run(5 * MS);
		}
	}
	run(5 * SECOND);
	for (unsigned i = 0; i < 60; i++)
		if (!client[i].closed) /* damage may end a connection, but not answer wrongly */
			answered(&client[i].stream[0], i);
	run(60 * SECOND);
	cr_expect_eq(doq_connections(doq), 0);
}
