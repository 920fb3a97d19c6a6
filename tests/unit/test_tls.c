/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/serve/tls.h"
#include "tests/client/identities.h"

#define ROOM 1000 /* octets a call: less than a record may have */

/* Octets on their way, and a client of GnuTLS at the other end of them. */
struct wire {
	uint8_t octets[1 << 20];
	size_t len, at;
};

static struct wire to_server, to_client;
static struct credentials *credentials;
static struct tls *server;
static gnutls_session_t client;
static gnutls_certificate_credentials_t client_credentials;
static uint8_t plain[1 << 20];
static size_t plain_len;
static bool ended;
static ptrdiff_t last;

static bool put(struct wire *w, const void *octets, size_t len)
{
	cr_assert_leq(len, sizeof(w->octets) - w->len);
	memcpy(w->octets + w->len, octets, len);
	w->len += len;
	return true;
}

static bool emit(void *arg, const uint8_t *octets, size_t len)
{
	cr_assert_eq(arg, &to_client);
	return put(&to_client, octets, len);
}

static ssize_t client_push(gnutls_transport_ptr_t arg, const void *octets, size_t len)
{
	(void)arg;
	put(&to_server, octets, len);
	return (ssize_t)len;
}

static ssize_t client_pull(gnutls_transport_ptr_t arg, void *out, size_t len)
{
	size_t left = to_client.len - to_client.at;

	(void)arg;
	if (left == 0) {
		gnutls_transport_set_errno(client, EAGAIN);
		return -1;
	}
	len = len < left ? len : left;
	memcpy(out, to_client.octets + to_client.at, len);
	to_client.at += len;
	return (ssize_t)len;
}

static void setup(void)
{
	char folder[] = "/tmp/test_tls.XXXXXX", path[64], error[256];
	bool made;

	cr_assert_not_null(mkdtemp(folder));
	cr_assert_eq(credentials_own(&credentials, folder, "", &made, error, sizeof(error)), 0, "%s", error);
	snprintf(path, sizeof(path), "%s/" CREDENTIALS_CERTIFICATE, folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/" CREDENTIALS_KEY, folder);
	unlink(path);
	rmdir(folder);
	gnutls_certificate_allocate_credentials(&client_credentials);
}

static void teardown(void)
{
	gnutls_certificate_free_credentials(client_credentials);
	cr_expect_eq(atomic_load(&credentials->users), 1, "a session still holds the credentials");
	credentials_drop(credentials);
}

static void begin(const char *priority, const char *alpn)
{
	to_server = to_client = (struct wire){0};
	plain_len = 0;
	ended = false;
	last = 0;
	cr_assert_eq(tls_new(&server, credentials, emit, &to_client), 0);
	/* It shows its certificate although it knows better (the server names its authorities). */
	gnutls_init(&client, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_FORCE_CLIENT_CERT);
	cr_assert_eq(gnutls_priority_set_direct(client, priority, NULL), 0);
	gnutls_credentials_set(client, GNUTLS_CRD_CERTIFICATE, client_credentials);
	gnutls_transport_set_push_function(client, client_push);
	gnutls_transport_set_pull_function(client, client_pull);
	if (alpn)
		gnutls_alpn_set_protocols(client, &(gnutls_datum_t){(unsigned char *)alpn, (unsigned)strlen(alpn)},
					  1, 0);
}

static void end(void)
{
	gnutls_deinit(client);
	tls_free(server);
}

/* Hands the server what the client has sent, `step` octets at a time, each piece in a
 * block of its own size. */
static void deliver(size_t step)
{
	while (to_server.at < to_server.len && last == 0) {
		size_t n = to_server.len - to_server.at;
		uint8_t *piece, *out;
		const uint8_t *in;

		n = n < step ? n : step;
		in = piece = malloc(n);
		out = malloc(ROOM);
		memcpy(piece, to_server.octets + to_server.at, n);
		to_server.at += n;
		while ((last = tls_decrypt(server, &in, &n, out, ROOM)) > 0) {
			memcpy(plain + plain_len, out, (size_t)last);
			plain_len += (size_t)last;
		}
		cr_assert(last != 0 || n == 0);
		if (last == TLS_ENDED)
			ended = true;
		free(piece);
		free(out);
	}
}

/* Runs the handshake; the client's result. */
static int shake(size_t step)
{
	int result;

	for (unsigned round = 0; round < 10; round++) {
		result = gnutls_handshake(client);
		deliver(step);
		if (result != GNUTLS_E_AGAIN)
			break;
	}
	return result;
}

/* What the client receives next; tickets on the way are taken in. */
static ssize_t receive(void *out, size_t len)
{
	ssize_t n;

	do
		n = gnutls_record_recv(client, out, len);
	while (n == GNUTLS_E_AGAIN && to_client.at < to_client.len);
	return n;
}

static const char *const versions[] = {
	"NORMAL:-VERS-ALL:+VERS-TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.2",
};

TestSuite(tls, .init = setup, .fini = teardown);

Test(tls, there_and_back)
{
	static const size_t steps[] = {1, 100, 1 << 20};
	static uint8_t much[100000], back[100000];

	for (size_t i = 0; i < sizeof(much); i++)
		much[i] = (uint8_t)(i * 7 + i / 256);
	for (size_t v = 0; v < 2; v++) {
		for (size_t s = 0; s < 3; s++) {
			size_t at = 0;

			begin(versions[v], "dot");
			cr_assert_eq(shake(steps[s]), 0);
			cr_assert(tls_established(server));
			cr_expect_not(tls_resumed(server));
			for (size_t sent = 0; sent < sizeof(much);)
				sent += (size_t)gnutls_record_send(client, much + sent, sizeof(much) - sent);
			deliver(steps[s]);
			cr_assert_eq(plain_len, sizeof(much));
			cr_assert_arr_eq(plain, much, sizeof(much));
			cr_assert(tls_encrypt(server, much, sizeof(much)));
			while (at < sizeof(back)) {
				ssize_t n = receive(back + at, sizeof(back) - at);

				cr_assert_gt(n, 0);
				at += (size_t)n;
			}
			cr_assert_arr_eq(back, much, sizeof(much));
			gnutls_datum_t chosen;

			cr_expect_eq(gnutls_alpn_get_selected_protocol(client, &chosen), 0);
			cr_expect_not(ended);
			gnutls_bye(client, GNUTLS_SHUT_WR);
			deliver(steps[s]);
			cr_expect(ended);
			cr_expect(tls_encrypt(server, much, 10), "half-closed connections are answered");
			tls_end(server);
			cr_expect_eq(receive(back, sizeof(back)), 10);
			cr_expect_eq(receive(back, sizeof(back)), 0);
			cr_expect_not(tls_encrypt(server, much, 1));
			end();
		}
	}
}

/* With the very piece that ends the handshake comes the first query. */
Test(tls, a_query_with_the_last_of_the_handshake)
{
	begin(versions[0], NULL);
	cr_assert_eq(gnutls_handshake(client), GNUTLS_E_AGAIN);
	deliver(1 << 20);
	cr_assert_eq(gnutls_handshake(client), 0);
	gnutls_record_send(client, "0123456789", 10);
	deliver(1 << 20);
	cr_expect_eq(plain_len, 10);
	end();
}

Test(tls, alpn)
{
	begin(versions[0], "h2");
	cr_expect_eq(shake(1 << 20), GNUTLS_E_FATAL_ALERT_RECEIVED);
	cr_expect_eq(gnutls_alert_get(client), GNUTLS_A_NO_APPLICATION_PROTOCOL);
	cr_expect_eq(last, TLS_BROKEN);
	end();
	begin(versions[0], NULL);
	cr_expect_eq(shake(1 << 20), 0, "no protocol need be named");
	end();
}

Test(tls, old_versions)
{
	static const char *const old[] = {
		"NORMAL:-VERS-ALL:+VERS-TLS1.1:%VERIFY_ALLOW_SIGN_WITH_SHA1", "NORMAL:-VERS-ALL:+VERS-TLS1.0",
		"NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA",
		"NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC",
	};

	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
		begin(old[i], NULL);
		cr_expect_neq(shake(1 << 20), 0, "%s", old[i]);
		cr_expect_not(tls_established(server));
		end();
	}
}

/* A second session with the first one's ticket; also after a reload. */
Test(tls, resumption)
{
	for (size_t v = 0; v < 2; v++) {
		gnutls_datum_t ticket = {0};
		char octet;

		begin(versions[v], NULL);
		cr_assert_eq(shake(1 << 20), 0);
		tls_encrypt(server, (const uint8_t *)"x", 1);
		cr_assert_eq(receive(&octet, 1), 1);
		cr_assert_eq(gnutls_session_get_data2(client, &ticket), 0);
		end();
		begin(versions[v], NULL);
		gnutls_session_set_data(client, ticket.data, ticket.size);
		cr_assert_eq(shake(1 << 20), 0);
		cr_expect(tls_resumed(server), "%s", versions[v]);
		end();
		gnutls_free(ticket.data);
	}
}

/* ---- certificates of clients ---- */

static char *id;

static void setup_asking(void)
{
	char error[256];

	setup();
	id = identities_make();
	cr_assert_not_null(id);
	cr_assert_eq(credentials_trust(credentials, identities_path(id, "ca"), true, error, sizeof(error)), 0, "%s",
		     error);
}

static void teardown_asking(void)
{
	teardown();
	identities_remove(id);
}

/* The client shows that certificate, or none. */
static void become(const char *name, const char *key)
{
	gnutls_certificate_free_credentials(client_credentials);
	client_credentials = identities_load(id, name, key);
	cr_assert_not_null(client_credentials);
}

/* How it ends for the client: the alert that it gets; 0: it is answered. */
static int outcome(size_t step)
{
	int result = shake(step), alert = 0;
	char octets[16];

	if (result == 0) {
		gnutls_record_send(client, "question", 8);
		deliver(step);
		if (last == 0 && plain_len == 8)
			tls_encrypt(server, (const uint8_t *)"answer", 6);
		result = (int)receive(octets, sizeof(octets));
	}
	if (result != 6) {
		cr_expect_eq(result, GNUTLS_E_FATAL_ALERT_RECEIVED, "%s", gnutls_strerror(result));
		cr_expect_eq(last, TLS_BROKEN);
		cr_expect_eq(plain_len, 0, "a question was taken");
		alert = (int)gnutls_alert_get(client);
	}
	cr_expect_not(gnutls_session_get_flags(client) & GNUTLS_SFLAGS_SESSION_TICKET, "it has a ticket");
	return alert;
}

TestSuite(tls_clients, .init = setup_asking, .fini = teardown_asking);

Test(tls_clients, good)
{
	static const char *const good[] = {"good", "plain", "chain"};
	static const size_t steps[] = {1, 1 << 20};

	for (size_t v = 0; v < 2; v++) {
		for (size_t i = 0; i < 3; i++) {
			for (size_t s = 0; s < 2; s++) {
				become(good[i], "key");
				begin(versions[v], NULL);
				cr_expect_eq(outcome(steps[s]), 0, "%s, %s", versions[v], good[i]);
				end();
			}
		}
	}
}

static const struct {
	const char *name, *key;
	int alert;
} bad[] = {
	{"expired", "key", GNUTLS_A_CERTIFICATE_EXPIRED},
	{"future", "key", GNUTLS_A_CERTIFICATE_EXPIRED},
	{"server", "key", GNUTLS_A_UNSUPPORTED_CERTIFICATE},
	{"stranger", "key", GNUTLS_A_UNKNOWN_CA},
	{"forged", "key", GNUTLS_A_UNKNOWN_CA},
	{"own", "key", GNUTLS_A_UNKNOWN_CA},
	{"good", "other-key", GNUTLS_A_DECRYPT_ERROR},
	/* The certificate is looked at before the signature that only its key can make: see
	 * verify_early in credentials.c. */
	{"stranger", "other-key", GNUTLS_A_UNKNOWN_CA},
};

/* Whether they could do without a certificate or not. */
Test(tls_clients, bad)
{
	for (size_t v = 0; v < 2; v++) {
		for (size_t i = 0; i < 2 * sizeof(bad) / sizeof(bad[0]); i++) {
			credentials->ask = i % 2 ? GNUTLS_CERT_REQUEST : GNUTLS_CERT_REQUIRE;
			become(bad[i / 2].name, bad[i / 2].key);
			begin(versions[v], NULL);
			cr_expect_eq(outcome(1 << 20), bad[i / 2].alert, "%s, %s: %s", versions[v], bad[i / 2].name,
				     gnutls_alert_get_strname(gnutls_alert_get(client)));
			end();
		}
	}
}

/* What a client gets that shows no certificate (RFC 8446 section 4.4.2.4, RFC 5246 section
 * 7.4.6). */
static const int none[] = {GNUTLS_A_CERTIFICATE_REQUIRED, GNUTLS_A_HANDSHAKE_FAILURE};

Test(tls_clients, none)
{
	for (size_t v = 0; v < 2; v++) {
		become(NULL, NULL);
		credentials->ask = GNUTLS_CERT_REQUIRE;
		begin(versions[v], NULL);
		cr_expect_eq(outcome(1 << 20), none[v], "%s: %s", versions[v],
			     gnutls_alert_get_strname(gnutls_alert_get(client)));
		end();
		credentials->ask = GNUTLS_CERT_REQUEST;
		begin(versions[v], NULL);
		cr_expect_eq(outcome(1 << 20), 0, "%s", versions[v]);
		end();
	}
}

/* A ticket from before clients were asked lets nobody in, and harms nobody. */
Test(tls_clients, old_tickets)
{
	for (size_t v = 0; v < 2; v++) {
		gnutls_datum_t ticket = {0};
		char octet;

		become(NULL, NULL);
		credentials->ask = GNUTLS_CERT_IGNORE;
		begin(versions[v], NULL);
		cr_assert_eq(shake(1 << 20), 0);
		tls_encrypt(server, (const uint8_t *)"x", 1);
		cr_assert_eq(receive(&octet, 1), 1);
		cr_assert_eq(gnutls_session_get_data2(client, &ticket), 0);
		end();
		credentials->ask = GNUTLS_CERT_REQUIRE;
		for (unsigned i = 0; i < 2; i++) {
			become(i ? "good" : NULL, "key");
			begin(versions[v], NULL);
			gnutls_session_set_data(client, ticket.data, ticket.size);
			cr_expect_eq(outcome(1 << 20), i ? 0 : none[v], "%s %u", versions[v], i);
			cr_expect_not(tls_resumed(server));
			end();
		}
		gnutls_free(ticket.data);
	}
}

/* Garbage instead of, within and after the handshake: one alert, then nothing. */
Test(tls, garbage)
{
	uint8_t junk[600];

	srand(3);
	for (unsigned round = 0; round < 300; round++) {
		size_t before = round % 3;

		for (size_t i = 0; i < sizeof(junk); i++)
			junk[i] = (uint8_t)rand();
		if (round % 2) { /* an honest record header before the junk */
			junk[0] = (uint8_t)(20 + round % 4);
			junk[1] = 3;
			junk[2] = 3;
			junk[3] = 1;
		}
		begin(versions[round / 3 % 2], NULL);
		if (before >= 1) {
			gnutls_handshake(client);
			deliver(1 << 20);
		}
		if (before >= 2)
			shake(1 << 20);
		put(&to_server, junk, sizeof(junk));
		deliver(round % 5 ? 1 << 20 : 7);
		if (last < 0) {
			size_t sent = to_client.len;

			const uint8_t *in = junk;
			size_t n = 10;

			cr_expect_eq(tls_decrypt(server, &in, &n, plain, sizeof(plain)), TLS_BROKEN);
			cr_expect_eq(to_client.len, sent, "something after the alert");
			cr_expect_not(tls_encrypt(server, junk, 1));
		}
		cr_expect_eq(plain_len, 0);
		cr_expect_lt(to_client.len, 8000);
		end();
	}
}

/* A handshake message that has no end is not gathered for long. */
Test(tls, a_message_of_16_megabytes)
{
	static const uint8_t header[] = {22, 3, 1, 0x40, 0}; /* a record of 16 KiB */

	begin(versions[0], NULL);
	for (unsigned i = 0; i < 6 && last == 0; i++) {
		uint8_t record[1 << 14] = {0};

		if (i == 0)
			memset(memset(record, 1, 1) + 1, 0xff, 3); /* a ClientHello's length */
		put(&to_server, header, sizeof(header));
		put(&to_server, record, sizeof(record));
		cr_expect(i < 5, "%zu octets were taken", to_server.len);
		deliver(1 << 14);
	}
	cr_expect_eq(last, TLS_BROKEN);
	cr_expect_eq(to_client.len, 7, "an alert");
	cr_expect_eq(to_client.octets[6], GNUTLS_A_DECODE_ERROR);
	end();
}

/* A wire that takes nothing more. */
static bool refuse(void *arg, const uint8_t *octets, size_t len)
{
	(void)arg;
	(void)octets;
	(void)len;
	return false;
}

Test(tls, no_way_out)
{
	begin(versions[0], NULL);
	tls_free(server);
	cr_assert_eq(tls_new(&server, credentials, refuse, NULL), 0);
	cr_assert_eq(gnutls_handshake(client), GNUTLS_E_AGAIN);
	deliver(1 << 20);
	cr_expect_eq(last, TLS_BROKEN);
	end();
}
