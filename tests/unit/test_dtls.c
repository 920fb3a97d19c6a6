/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The engine against GnuTLS's client, over a network that loses what it is told to.
 * GnuTLS's retransmission needs real time; all else has a clock of its own. */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/dtls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/serve/deadline.h"
#include "control/serve/demux.h"
#include "control/serve/dtls.h"
#include "tests/client/identities.h"

#define SECOND UINT64_C(1000000000)
#define IDLE (10 * SECOND)
#define HELD 256
#define CLIENTS 24

struct datagram {
	uint8_t data[2048];
	size_t len;
};

struct client {
	struct sockaddr_in address;
	gnutls_session_t tls;
	struct datagram in[HELD];
	unsigned in_at, in_cnt;
	struct datagram sent[HELD]; /* all that it ever sent */
	unsigned sent_cnt;
	bool shaken;
};

static struct credentials_vault vault;
static struct clients *clients;
static struct room room;
static struct dtls *dtls;
static uint64_t now = 1000 * SECOND;
static struct client client[CLIENTS];
static unsigned client_cnt;
static gnutls_certificate_credentials_t client_credentials;
static uint64_t from_server, from_client; /* octets */
static size_t largest;                    /* datagram from the server */
static unsigned questions;
static size_t answer_size = 60;
static unsigned lose_server, lose_client; /* the datagram, counted from 1, that is lost; 0: none */
static bool deaf;                         /* nobody takes what the server sends */
static unsigned client_mtu = 1400;
static unsigned hear = 1000;              /* datagrams until all are deaf */

static const struct sockaddr_in server = {
	.sin_family = AF_INET, .sin_port = 0x5503, .sin_addr.s_addr = 0x0100350a,
};

static void emit(void *arg, const struct sockaddr *local, const struct sockaddr *peer,
		 const uint8_t *data, size_t len)
{
	const struct sockaddr_in *to = (const struct sockaddr_in *)peer;

	cr_assert_eq(arg, &dtls);
	cr_assert_arr_eq(local, &server, sizeof(server));
	from_server += len;
	largest = len > largest ? len : largest;
	if (deaf || hear == 0 || (lose_server > 0 && --lose_server == 0))
		return;
	hear--;
	for (unsigned i = 0; i < client_cnt; i++) {
		struct client *c = &client[i];

		if (c->address.sin_port != to->sin_port || c->in_cnt == HELD)
			continue;
		memcpy(c->in[c->in_cnt].data, data, len);
		c->in[c->in_cnt++].len = len;
	}
}

static size_t answer(void *arg, const struct sockaddr *peer, const uint8_t *msg, size_t len,
		     uint8_t *out, size_t max)
{
	(void)arg;
	(void)peer;
	cr_assert_leq(len, max);
	questions++;
	if (msg[0] == '!')
		return 0;
	memset(out, 'a', max);
	memcpy(out, msg, len);
	return answer_size > max ? max : answer_size;
}

static void feed(const struct client *c, const uint8_t *data, size_t len)
{
	struct pair pair;
	uint8_t *copy = malloc(len ? len : 1); /* of its own size: a sanitizer sees an octet too far */

	memcpy(copy, data, len);
	pair_make(&pair, (const struct sockaddr *)&server, (const struct sockaddr *)&c->address);
	from_client += len;
	dtls_feed(dtls, &pair, (const struct sockaddr *)&server, (const struct sockaddr *)&c->address, copy, len, now);
	free(copy);
}

static ssize_t client_push(gnutls_transport_ptr_t ptr, const void *data, size_t len)
{
	struct client *c = ptr;

	cr_assert_lt(c->sent_cnt, HELD);
	memcpy(c->sent[c->sent_cnt].data, data, len);
	c->sent[c->sent_cnt++].len = len;
	if (lose_client > 0 && --lose_client == 0)
		return (ssize_t)len;
	feed(c, data, len);
	return (ssize_t)len;
}

static ssize_t client_pull(gnutls_transport_ptr_t ptr, void *out, size_t len)
{
	struct client *c = ptr;

	if (c->in_at == c->in_cnt) {
		gnutls_transport_set_errno(c->tls, EAGAIN);
		return -1;
	}

	const struct datagram *g = &c->in[c->in_at++];

	len = g->len < len ? g->len : len;
	memcpy(out, g->data, len);
	return (ssize_t)len;
}

static int client_wait(gnutls_transport_ptr_t ptr, unsigned ms)
{
	(void)ms;
	return ((struct client *)ptr)->in_at < ((struct client *)ptr)->in_cnt;
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
	char folder[] = "/tmp/test_dtls.XXXXXX", path[64], error[256];
	struct credentials *c;
	bool made;

	cr_assert_not_null(mkdtemp(folder));
	cr_assert_eq(credentials_own(&c, folder, "", &made, error, sizeof(error)), 0, "%s", error);
	snprintf(path, sizeof(path), "%s/" CREDENTIALS_CERTIFICATE, folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/" CREDENTIALS_KEY, folder);
	unlink(path);
	rmdir(folder);
	credentials_vault_init(&vault, c);
	limit(100, 100);
	room_init(&room, clients);
	gnutls_certificate_allocate_credentials(&client_credentials);

	const struct dtls_env env = {
		.vault = &vault, .room = &room, .idle_ns = IDLE, .emit = emit, .answer = answer, .arg = &dtls,
	};

	cr_assert_eq(dtls_new(&dtls, &env), 0);
}

static void teardown(void)
{
	for (unsigned i = 0; i < client_cnt; i++)
		if (client[i].tls)
			gnutls_deinit(client[i].tls);
	dtls_free(dtls);
	cr_expect_eq(clients_cnt(clients), 0, "a session is still counted");
	cr_expect_eq(atomic_load(&vault.current->users), 1, "a session still holds the credentials");
	credentials_vault_free(&vault);
	clients_free(clients);
	gnutls_certificate_free_credentials(client_credentials);
}

static void start(struct client *c, const gnutls_datum_t *ticket)
{
	gnutls_init(&c->tls, GNUTLS_CLIENT | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK | GNUTLS_FORCE_CLIENT_CERT);
	gnutls_priority_set_direct(c->tls, "NORMAL:-VERS-ALL:+VERS-DTLS1.2", NULL);
	gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, client_credentials);
	gnutls_transport_set_ptr(c->tls, c);
	gnutls_transport_set_push_function(c->tls, client_push);
	gnutls_transport_set_pull_function(c->tls, client_pull);
	gnutls_transport_set_pull_timeout_function(c->tls, client_wait);
	gnutls_dtls_set_mtu(c->tls, client_mtu);
	gnutls_dtls_set_timeouts(c->tls, 100, 20000);
	if (ticket)
		gnutls_session_set_data(c->tls, ticket->data, ticket->size);
}

static struct client *begin(const gnutls_datum_t *ticket)
{
	struct client *c = &client[client_cnt++];

	c->address = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons((uint16_t)(20000 + client_cnt)),
		.sin_addr.s_addr = htonl(0x0a350002),
	};
	start(c, ticket);
	return c;
}

/* Until the handshake ends well or badly, or `seconds` of real time have passed. */
static int shake(struct client *c, double seconds)
{
	struct timespec pause = {.tv_nsec = 10000000};
	int result;

	for (double waited = 0; waited <= seconds; waited += 0.01) {
		do
			result = gnutls_handshake(c->tls);
		while (result == GNUTLS_E_INTERRUPTED || (result == GNUTLS_E_AGAIN && c->in_at < c->in_cnt));
		if (result == 0)
			c->shaken = true;
		if (result != GNUTLS_E_AGAIN)
			return result;
		if (seconds > 0) {
			nanosleep(&pause, NULL);
			now += SECOND / 100;
			if (dtls_deadline(dtls) <= now)
				dtls_expire(dtls, now);
		}
	}
	return result;
}

static ssize_t receive(struct client *c, void *out, size_t size)
{
	ssize_t n;

	do
		n = gnutls_record_recv(c->tls, out, size);
	while (n == GNUTLS_E_AGAIN && c->in_at < c->in_cnt);
	return n;
}

static void asks(struct client *c, const char *text)
{
	uint8_t back[2000];

	cr_assert_eq(gnutls_record_send(c->tls, text, strlen(text)), (ssize_t)strlen(text));
	ssize_t n = receive(c, back, sizeof(back));

	cr_assert_eq(n, (ssize_t)answer_size, "%zd: %s", n, n < 0 ? gnutls_strerror((int)n) : "");
	cr_assert_arr_eq(back, text, strlen(text));
}

TestSuite(dtls, .init = setup, .fini = teardown);

Test(dtls, a_question)
{
	struct client *c = begin(NULL);

	cr_assert_eq(shake(c, 0), 0);
	asks(c, "one question");
	asks(c, "another");
	cr_expect_eq(questions, 2);
	cr_expect_eq(dtls_counted(dtls)->cookies, 1);
	cr_expect_eq(dtls_counted(dtls)->completed, 1);
	gnutls_bye(c->tls, GNUTLS_SHUT_WR);
	cr_expect_eq(dtls_sessions(dtls), 0, "it has said that it goes");
	cr_expect_eq(dtls_deadline(dtls), DEADLINE_NONE);
}

/* Before the cookie comes back nothing is kept, and what is sent is less than what came. */
Test(dtls, no_state_without_cookie)
{
	struct client *c = begin(NULL);
	struct datagram hello;

	deaf = true;
	gnutls_handshake(c->tls);
	hello = c->sent[0];
	cr_expect_eq(dtls_sessions(dtls), 0);
	cr_expect_gt(from_server, 0);
	cr_expect_lt(from_server, from_client);

	/* Cut short or with an octet of its structure changed it gets nothing at all. */
	for (size_t len = 0; len < hello.len; len++) {
		uint64_t before = from_server;

		feed(c, hello.data, len);
		cr_assert_eq(from_server, before, "%zu octets of it", len);
	}
	for (size_t i = 0; i < hello.len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			uint64_t before = from_server;
			struct datagram g = hello;

			g.data[i] ^= (uint8_t)(1 << bit);
			feed(c, g.data, g.len);
			cr_assert_lt(from_server - before, g.len);
		}
	}
	cr_expect_eq(dtls_sessions(dtls), 0);
	cr_expect_eq(dtls_deadline(dtls), DEADLINE_NONE);
}

Test(dtls, junk)
{
	struct client *c = begin(NULL);
	uint8_t junk[1400];

	srand(7);
	for (unsigned i = 0; i < 20000; i++) {
		size_t len = (size_t)rand() % sizeof(junk), record;

		for (size_t k = 0; k < len; k++)
			junk[k] = (uint8_t)rand();
		if (len >= DEMUX_DTLS_HEADER) { /* as far as the demultiplexer looks it is good */
			record = len - DEMUX_DTLS_HEADER;
			junk[0] = (uint8_t)(20 + rand() % 4);
			junk[1] = 0xfe;
			junk[2] = rand() % 2 ? 0xfd : 0xff;
			memset(junk + 3, 0, 8);
			junk[11] = (uint8_t)(record >> 8);
			junk[12] = (uint8_t)record;
		}
		if (len >= 25 && i % 2) { /* and even like a ClientHello */
			junk[0] = 22;
			junk[13] = 1;
			junk[14] = junk[19] = junk[20] = junk[21] = junk[22] = 0;
			junk[15] = junk[23] = (uint8_t)((len - 25) >> 8);
			junk[16] = junk[24] = (uint8_t)(len - 25);
			junk[22] = 0;
		}
		feed(c, junk, len);
	}
	cr_expect_eq(from_server, 0);
	cr_expect_eq(dtls_sessions(dtls), 0);
}

/* A cookie is good for its pair of addresses only. */
Test(dtls, stolen_cookie)
{
	struct client *c = begin(NULL), *thief = begin(NULL);

	cr_assert_eq(shake(c, 0), 0);
	cr_assert_geq(c->sent_cnt, 2);
	feed(thief, c->sent[1].data, c->sent[1].len);
	cr_expect_eq(dtls_sessions(dtls), 1);
	cr_expect_eq(dtls_counted(dtls)->accepted, 1);
	cr_expect_eq(dtls_counted(dtls)->cookies, 2);
}

/* Each of the client's first datagrams and each of the server's is lost once. */
Test(dtls, lost_datagrams)
{
	for (unsigned i = 0; i < 12; i++) {
		struct client *c = begin(NULL);
		int result;

		lose_client = i < 4 ? i + 1 : 0;
		lose_server = i < 4 ? 0 : i - 3;
		result = shake(c, 4);
		cr_assert_eq(result, 0, "%u: %s", i, gnutls_strerror(result));
		lose_client = lose_server = 0;
		asks(c, "still there");
	}
}

/* Of the last flight some datagrams are lost again and again; each time that the client
 * repeats its own, it is there once more, until it has arrived. */
Test(dtls, a_last_flight_that_is_lost)
{
	struct client *c = begin(NULL);
	const struct datagram *finished;
	uint64_t before;

	hear = 5; /* the cookie, and the server's first flight */
	cr_assert_eq(shake(c, 0), GNUTLS_E_AGAIN);
	cr_assert_eq(dtls_counted(dtls)->completed, 1);
	finished = &c->sent[c->sent_cnt - 1];
	for (unsigned i = 0; i < 3; i++) {
		before = from_server;
		hear = i;
		feed(c, finished->data, finished->len);
		cr_assert_gt(from_server, before);
		cr_assert_eq(shake(c, 0), GNUTLS_E_AGAIN);
	}
	hear = 1000;
	feed(c, finished->data, finished->len);
	cr_assert_eq(shake(c, 0), 0);
	asks(c, "and a question");
	before = from_server;
	for (unsigned i = 0; i < 100; i++)
		feed(c, finished->data, finished->len);
	cr_assert_eq(from_server, before, "it has arrived");
	asks(c, "and another");
}

/* Somebody who knows the addresses makes the server send little. */
Test(dtls, a_last_flight_is_repeated_a_few_times)
{
	struct client *c = begin(NULL);
	uint64_t first;

	cr_assert_eq(shake(c, 0), 0);
	first = from_server;
	for (unsigned i = 0; i < 1000; i++)
		feed(c, c->sent[c->sent_cnt - 1].data, c->sent[c->sent_cnt - 1].len);
	cr_assert_lt(from_server - first, 6000);
	asks(c, "a question");
}

Test(dtls, answers_fit)
{
	struct client *c = begin(NULL);

	cr_assert_eq(shake(c, 0), 0);
	answer_size = 1 << 16;
	gnutls_record_send(c->tls, "much", 4);
	cr_expect_leq(largest, DTLS_MTU);
	cr_expect_gt(largest, DTLS_MTU - 64);
	gnutls_record_send(c->tls, "!no answer", 10);
	cr_expect_eq(questions, 2);
}

Test(dtls, replayed_records)
{
	struct client *c = begin(NULL);

	cr_assert_eq(shake(c, 0), 0);
	asks(c, "once");
	for (unsigned i = 0; i < c->sent_cnt; i++)
		feed(c, c->sent[i].data, c->sent[i].len);
	cr_expect_eq(questions, 1, "a repeated record is answered again");
	asks(c, "and more");
}

Test(dtls, damaged_records)
{
	struct client *c = begin(NULL);

	srand(9);
	cr_assert_eq(shake(c, 0), 0);
	for (unsigned i = 0; i < 300; i++) {
		struct datagram g = c->sent[2 + (unsigned)rand() % (c->sent_cnt - 2)]; /* no ClientHello */

		g.data[(size_t)rand() % g.len] ^= (uint8_t)(1 << rand() % 8);
		feed(c, g.data, g.len);
		feed(c, g.data, (size_t)rand() % g.len);
		c->in_at = c->in_cnt = 0; /* flights that are sent again, if any */
	}
	cr_expect_eq(questions, 0);
	cr_expect_lt(from_server, from_client);
	asks(c, "still there");
}

Test(dtls, resumption)
{
	gnutls_datum_t ticket = {0};
	struct client *c = begin(NULL), *again;

	cr_assert_eq(shake(c, 0), 0);
	cr_assert_eq(gnutls_session_get_data2(c->tls, &ticket), 0);
	again = begin(&ticket);
	cr_assert_eq(shake(again, 0), 0);
	cr_expect(gnutls_session_is_resumed(again->tls));
	cr_expect_eq(dtls_counted(dtls)->resumed, 1);
	asks(again, "known");
	gnutls_free(ticket.data);
}

/* The fragments of a handshake message that has no end are not gathered for long. */
Test(dtls, a_message_of_16_megabytes)
{
	struct client *c = begin(NULL);
	/* A record of 1,000 octets and a header, a fragment of a ClientKeyExchange. */
	uint8_t fragment[25 + 1000] = {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0x03, 0xf4,
				       16, 0xff, 0xff, 0xff, 0, 2, 0, 0, 0, 0, 0x03, 0xe8};
	unsigned i;

	hear = 1;
	gnutls_handshake(c->tls);
	gnutls_handshake(c->tls);
	cr_assert_eq(dtls_sessions(dtls), 1);
	for (i = 0; i < 200 && dtls_sessions(dtls) == 1; i++) {
		fragment[10] = (uint8_t)(100 + i % 100);
		fragment[9] = (uint8_t)(i / 100);
		fragment[20] = (uint8_t)(i * 1000 >> 8);
		fragment[21] = (uint8_t)(i * 1000);
		fragment[19] = (uint8_t)(i * 1000 >> 16);
		feed(c, fragment, sizeof(fragment));
	}
	cr_expect_lt(i * 1000, CREDENTIALS_HANDSHAKE_MAX);
	cr_expect_gt(i, 50, "it ended for another reason");
}

/* A client that has lost its session begins anew from the same port (RFC 6347 section
 * 4.2.8); one that only says so does the old session no harm. */
Test(dtls, begins_anew)
{
	struct client *c = begin(NULL);
	gnutls_session_t old;

	cr_assert_eq(shake(c, 0), 0);
	old = c->tls;
	c->in_at = c->in_cnt = 0;
	start(c, NULL);
	deaf = true;
	gnutls_handshake(c->tls); /* a ClientHello without cookie */
	deaf = false;
	cr_expect_eq(dtls_counted(dtls)->accepted, 1);
	gnutls_deinit(c->tls);
	c->tls = old;
	asks(c, "the old one");
	gnutls_deinit(c->tls);
	c->in_at = c->in_cnt = 0;
	start(c, NULL);
	cr_assert_eq(shake(c, 0), 0);
	asks(c, "the new one");
	cr_expect_eq(dtls_sessions(dtls), 1);
	cr_expect_eq(dtls_counted(dtls)->accepted, 2);
}

Test(dtls, idle)
{
	struct client *c = begin(NULL), *silent = begin(NULL);
	uint8_t octet;

	cr_assert_eq(shake(c, 0), 0);
	now += IDLE - SECOND;
	dtls_expire(dtls, now);
	asks(c, "not idle");
	now += IDLE - SECOND;
	dtls_expire(dtls, now);
	cr_expect_eq(dtls_sessions(dtls), 1);
	now += SECOND;
	dtls_expire(dtls, now);
	cr_expect_eq(dtls_sessions(dtls), 0);
	cr_expect_eq(receive(c, &octet, 1), 0, "it is told");

	/* One that sends its cookie back and nothing more. */
	hear = 1;
	gnutls_handshake(silent->tls);
	gnutls_handshake(silent->tls);
	cr_expect_eq(dtls_sessions(dtls), 1);
	for (unsigned i = 0; i < 100; i++) {
		now += SECOND / 10;
		dtls_expire(dtls, now);
	}
	cr_expect_eq(dtls_sessions(dtls), 0);
	cr_expect_eq(dtls_deadline(dtls), DEADLINE_NONE);
}

Test(dtls, room_for_newcomers)
{
	limit(5, 5);
	for (unsigned i = 0; i < 5; i++) {
		cr_assert_eq(shake(begin(NULL), 0), 0);
		now += SECOND / 100;
	}
	asks(&client[0], "busy");
	cr_assert_eq(shake(begin(NULL), 0), 0);
	asks(&client[5], "new");
	asks(&client[0], "still there");
	cr_expect_eq(dtls_counted(dtls)->evicted, 1);
	cr_expect_eq(dtls_sessions(dtls), 5);

	/* Handshakes under way do not go. */
	limit(6, 6);
	for (unsigned i = 0; i < 5; i++)
		gnutls_bye(client[i == 1 ? 5 : i].tls, GNUTLS_SHUT_WR);
	cr_assert_eq(dtls_sessions(dtls), 0);
	for (unsigned i = 0; i < 8; i++) {
		struct client *c = begin(NULL);

		hear = 1;
		gnutls_handshake(c->tls);
		gnutls_handshake(c->tls);
	}
	cr_expect_eq(dtls_sessions(dtls), 6);
	cr_expect_eq(dtls_counted(dtls)->refused, 2);
}

/* ---- certificates of clients ---- */

static char *id;

static void setup_asking(void)
{
	char error[256];

	setup();
	id = identities_make();
	cr_assert_not_null(id);
	cr_assert_eq(credentials_trust(vault.current, identities_path(id, "ca"), true, error, sizeof(error)), 0, "%s",
		     error);
}

static void teardown_asking(void)
{
	teardown();
	identities_remove(id);
}

static void become(const char *name, const char *key)
{
	gnutls_certificate_free_credentials(client_credentials);
	client_credentials = identities_load(id, name, key);
	cr_assert_not_null(client_credentials);
}

TestSuite(dtls_clients, .init = setup_asking, .fini = teardown_asking);

Test(dtls_clients, good_and_bad)
{
	static const struct { const char *name, *key; int alert; } shown[] = {
		{"good", "key", 0}, {"chain", "key", 0}, {NULL, NULL, GNUTLS_A_HANDSHAKE_FAILURE},
		{"expired", "key", GNUTLS_A_CERTIFICATE_EXPIRED},
		{"server", "key", GNUTLS_A_UNSUPPORTED_CERTIFICATE},
		{"stranger", "key", GNUTLS_A_UNKNOWN_CA}, {"stranger", "other-key", GNUTLS_A_UNKNOWN_CA},
		{"good", "other-key", GNUTLS_A_DECRYPT_ERROR},
	};

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		become(shown[i].name, shown[i].key);

		struct client *c = begin(NULL);
		int result = shake(c, 0);

		if (shown[i].alert) {
			cr_expect_eq(result, GNUTLS_E_FATAL_ALERT_RECEIVED, "%s", gnutls_strerror(result));
			cr_expect_eq(gnutls_alert_get(c->tls), (unsigned)shown[i].alert, "%zu: %s", i,
				     gnutls_alert_get_strname(gnutls_alert_get(c->tls)));
			cr_expect_eq(dtls_sessions(dtls), 0);
		} else {
			cr_assert_eq(result, 0, "%s", gnutls_strerror(result));
			asks(c, "known");
			gnutls_bye(c->tls, GNUTLS_SHUT_WR);
		}
		cr_expect_not(gnutls_session_get_flags(c->tls) & GNUTLS_SFLAGS_SESSION_TICKET, "it has a ticket");
		gnutls_deinit(c->tls);
		c->tls = NULL;
	}
	vault.current->ask = GNUTLS_CERT_REQUEST;
	become(NULL, NULL);

	struct client *c = begin(NULL);

	cr_assert_eq(shake(c, 0), 0);
	asks(c, "nobody");
}

/* More than 5,000 octets of certificates in small fragments, of which one is lost. */
Test(dtls_clients, fragments)
{
	become("chain", "key");
	for (unsigned i = 0; i < 6; i++) {
		struct client *c;
		int result;

		client_mtu = i % 2 ? 300 : 1400;
		c = begin(NULL);
		lose_client = i == 0 ? 0 : i + 2;
		result = shake(c, 4);
		cr_assert_eq(result, 0, "%u: %s", i, gnutls_strerror(result));
		asks(c, "known");
	}
}

/* A ticket from before clients were asked lets nobody in, and harms nobody. */
Test(dtls_clients, old_tickets)
{
	gnutls_datum_t ticket = {0};
	struct client *c;

	vault.current->ask = GNUTLS_CERT_IGNORE;
	c = begin(NULL);
	cr_assert_eq(shake(c, 0), 0);
	cr_assert_eq(gnutls_session_get_data2(c->tls, &ticket), 0);
	vault.current->ask = GNUTLS_CERT_REQUIRE;
	cr_expect_eq(shake(begin(&ticket), 0), GNUTLS_E_FATAL_ALERT_RECEIVED);
	become("good", "key");
	c = begin(&ticket);
	cr_expect_eq(shake(c, 0), 0);
	cr_expect_not(gnutls_session_is_resumed(c->tls));
	asks(c, "known");
	gnutls_free(ticket.data);
}

Test(dtls, goodbye)
{
	struct client *c = begin(NULL);
	uint8_t octet;

	cr_assert_eq(shake(c, 0), 0);
	dtls_close(dtls, now);
	cr_expect_eq(receive(c, &octet, 1), 0);
	cr_expect_eq(dtls_sessions(dtls), 0);
}
