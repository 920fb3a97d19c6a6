/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct tls {
	gnutls_session_t session;
	struct credentials *credentials;
	tls_emit emit;
	void *arg;
	const uint8_t *in; /* not taken yet; within tls_decrypt only */
	size_t left;
	size_t silent; /* octets taken since there last were some for the application */
	bool established, failed, ending;
};

static ssize_t pull(gnutls_transport_ptr_t arg, void *out, size_t len)
{
	struct tls *t = arg;

	if (t->left == 0) {
		gnutls_transport_set_errno(t->session, EAGAIN);
		return -1;
	}
	if (len > t->left)
		len = t->left;
	memcpy(out, t->in, len);
	t->in += len;
	t->left -= len;
	return (ssize_t)len;
}

static ssize_t push(gnutls_transport_ptr_t arg, const void *octets, size_t len)
{
	struct tls *t = arg;

	if (t->emit(t->arg, octets, len))
		return (ssize_t)len;
	t->failed = true;
	gnutls_transport_set_errno(t->session, EPIPE);
	return -1;
}

/* A client that names protocols has to name ours (RFC 7301 section 3.2): then it is
 * not one that was led here from some other service.  It need not name any. */
static const gnutls_datum_t alpn = {(unsigned char *)"dot", 3};

int tls_new(struct tls **out, struct credentials *c, tls_emit emit, void *arg)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	if (gnutls_init(&t->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0) {
		free(t);
		return -ENOMEM;
	}
	atomic_fetch_add_explicit(&c->users, 1, memory_order_relaxed);
	t->credentials = c;
	t->emit = emit;
	t->arg = arg;
	if (credentials_set(c, t->session, c->tls) ||
	    gnutls_alpn_set_protocols(t->session, &alpn, 1, GNUTLS_ALPN_MANDATORY) < 0) {
		tls_free(t);
		return -ENOMEM;
	}
	gnutls_handshake_set_timeout(t->session, GNUTLS_INDEFINITE_TIMEOUT); /* the connection has one */
	gnutls_transport_set_ptr(t->session, t);
	gnutls_transport_set_pull_function(t->session, pull);
	gnutls_transport_set_push_function(t->session, push);
	*out = t;
	return 0;
}

void tls_free(struct tls *t)
{
	gnutls_deinit(t->session);
	credentials_drop(t->credentials);
	free(t);
}

static ptrdiff_t broken(struct tls *t, int error)
{
	if (!t->failed)
		credentials_alert(t->session, error);
	t->failed = true;
	return TLS_BROKEN;
}

static bool is_harmless(int error)
{
	/* A warning alert says nothing that matters to us; EINTR cannot come. */
	return error == GNUTLS_E_INTERRUPTED || error == GNUTLS_E_WARNING_ALERT_RECEIVED;
}

/* One step: the handshake, or a record. */
static ssize_t step(struct tls *t, uint8_t *out, size_t room)
{
	if (!t->established) {
		int result = gnutls_handshake(t->session);

		if (result != GNUTLS_E_SUCCESS)
			return result;
		t->established = true;
	}
	return gnutls_record_recv(t->session, out, room);
}

ptrdiff_t tls_decrypt(struct tls *t, const uint8_t **in, size_t *len, uint8_t *out, size_t room)
{
	ssize_t n;

	if (t->failed)
		return TLS_BROKEN;
	t->in = *in;
	t->left = *len;
	/* Tickets and keys end in EAGAIN, too, with input left behind them. */
	do
		n = step(t, out, room);
	while ((n == GNUTLS_E_AGAIN && t->left > 0) || (n < 0 && is_harmless((int)n)));
	*in = t->in;
	t->silent += *len - t->left;
	*len = t->left;
	t->left = 0;
	if (n > 0) {
		t->silent = 0;
		return n;
	}
	if (n == 0)
		return TLS_ENDED;
	/* Also once it is established: TLS 1.3 has messages after the handshake. */
	if (n == GNUTLS_E_AGAIN && t->silent > CREDENTIALS_HANDSHAKE_MAX)
		return broken(t, GNUTLS_E_HANDSHAKE_TOO_LARGE);
	if (n == GNUTLS_E_AGAIN)
		return 0;
	/* A renegotiation (TLS 1.2) ends here, too: nobody needs one. */
	return broken(t, (int)n);
}

bool tls_encrypt(struct tls *t, const uint8_t *octets, size_t len)
{
	while (len > 0) {
		ssize_t n = t->failed || t->ending ? -1 : gnutls_record_send(t->session, octets, len);

		if (n <= 0) {
			t->failed = true;
			return false;
		}
		octets += n;
		len -= (size_t)n;
	}
	return true;
}

void tls_end(struct tls *t)
{
	if (t->established && !t->failed && !t->ending)
		gnutls_bye(t->session, GNUTLS_SHUT_WR);
	t->ending = true;
}

bool tls_established(const struct tls *t)
{
	return t->established;
}

bool tls_resumed(const struct tls *t)
{
	return gnutls_session_is_resumed(t->session);
}
