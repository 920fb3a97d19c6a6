/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/encrypted.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/serve/encrypted_udp.h"
#include "control/serve/tcp.h"
#include "control/serve/tls.h"
#include "dataplane/common/log.h"

#define SOON (14 * 86400) /* seconds before its end a certificate is warned of */

_Static_assert(TLS_ENDED == TCP_LAYER_ENDED && TLS_BROKEN == TCP_LAYER_BROKEN,
	       "what a layer's decode returns");

/* One thread's. */
struct encrypted {
	void *dot; /* struct tcp, or NULL */
	struct encrypted_udp *udp; /* or NULL */
};

/* ---- TLS between TCP and its framer ---- */

static bool put(void *conn, const uint8_t *octets, size_t len)
{
	return tcp_conn_put(conn, octets, len);
}

static void *layer_open(void *vault, struct tcp_conn *conn)
{
	struct credentials *c = credentials_get(vault);
	struct tls *t = NULL;

	if (tls_new(&t, c, put, conn))
		t = NULL;
	credentials_drop(c);
	return t;
}

static ptrdiff_t layer_decode(void *tls, const uint8_t **in, size_t *len, uint8_t *out, size_t room)
{
	return tls_decrypt(tls, in, len, out, room);
}

static bool layer_shaken(const void *tls)
{
	return tls_established(tls);
}

static bool layer_encode(void *tls, const uint8_t *octets, size_t len)
{
	return tls_encrypt(tls, octets, len);
}

static void layer_finish(void *tls)
{
	tls_end(tls);
}

static void layer_close(void *tls)
{
	tls_free(tls);
}

static const struct tcp_layer tls_layer = {
	layer_open, layer_decode, layer_shaken, layer_encode, layer_finish, layer_close,
};

/* ---- the process's part ---- */

/* Those that the configuration names (or has made).  0, or -errno after writing a sentence. */
static int open_credentials(struct credentials **out, const struct config *c, char *error, size_t error_size)
{
	bool made = false;
	int result = c->tls_certificate
		? credentials_load(out, c->tls_certificate, c->tls_key, error, error_size)
		: credentials_own(out, c->data_directory, c->identity, &made, error, error_size);

	if (!result && made)
		log_info("tls: made a certificate, kept in %s", c->data_directory);
	if (!result && c->tls_client_ca) {
		result = credentials_trust(*out, c->tls_client_ca, c->tls_ask == ASK_REQUIRE, error, error_size);
		if (result)
			credentials_drop(*out);
	}
	return result;
}

int encrypted_check(const struct config *c, char *error, size_t error_size)
{
	struct credentials *credentials;
	int result = 0;

	if (!c->has_tls)
		return 0;
	if (c->tls_certificate) {
		result = open_credentials(&credentials, c, error, error_size);
		if (!result)
			credentials_drop(credentials);
	} else if (c->tls_client_ca) {
		result = credentials_trust(NULL, c->tls_client_ca, false, error, error_size);
	}
	return result;
}

static void tell(const struct credentials *c)
{
	static const char *const asked[] = {
		[GNUTLS_CERT_REQUEST] = "asked for, but not required", [GNUTLS_CERT_REQUIRE] = "required",
	};
	int64_t left = c->expires - (int64_t)time(NULL);

	log_info("tls: clients know the certificate by pin-sha256=\"%s\"", c->pin);
	if (left < 0)
		log_warn("tls: the certificate has expired");
	else if (left < SOON)
		log_warn("tls: the certificate expires in %d days", (int)(left / 86400));
	if (c->ask != GNUTLS_CERT_IGNORE)
		log_info("tls: certificates of clients are %s; authorities that are trusted: %u", asked[c->ask],
			 c->authorities);
}

static int prepare(void **shared, const struct config *c, char *error, size_t error_size)
{
	struct credentials *credentials;
	struct credentials_vault *v;
	int result;

	if (!c->has_tls)
		return 0;
	result = open_credentials(&credentials, c, error, error_size);
	if (result)
		return result;
	v = malloc(sizeof(*v));
	if (!v) {
		credentials_drop(credentials);
		return -ENOMEM;
	}
	tell(credentials);
	credentials_vault_init(v, credentials);
	*shared = v;
	return 0;
}

static int refresh(void *shared, const struct config *c, char *error, size_t error_size)
{
	struct credentials *credentials;
	int result;

	if (!shared || !c->has_tls)
		return 0;
	result = open_credentials(&credentials, c, error, error_size);
	if (result)
		return result;
	result = credentials_put(shared, credentials);
	if (result) {
		credentials_drop(credentials);
		snprintf(error, error_size, "tls: %s", strerror(-result));
		return result;
	}
	tell(credentials);
	return 0;
}

static void release(void *shared)
{
	credentials_vault_free(shared);
	free(shared);
}

/* ---- a thread's ---- */

static void encrypted_stop(void *state)
{
	struct encrypted *e = state;

	if (e->dot)
		tcp_stop(e->dot);
	if (e->udp)
		encrypted_udp_stop(e->udp);
}

static void encrypted_free(void *state)
{
	struct encrypted *e = state;

	if (e->dot)
		tcp_free(e->dot);
	if (e->udp)
		encrypted_udp_free(e->udp);
	free(e);
}

static int encrypted_open(void **out, const struct service_env *env, const struct config *c,
			  char *error, size_t error_size)
{
	struct encrypted *e;
	int result = 0;

	if (!env->shared)
		return 0;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	if (c->tls_dot)
		result = tcp_open(&e->dot, env, c, &tls_layer, env->shared, c->tls_port, error, error_size);
	if (!result && (c->tls_doq || c->tls_dtls))
		result = encrypted_udp_open(&e->udp, env, env->shared, c, error, error_size);
	if (result) {
		encrypted_stop(e);
		encrypted_free(e);
		return result;
	}
	*out = e;
	return 0;
}

static int encrypted_start(void *state, uv_loop_t *loop, char *error, size_t error_size)
{
	struct encrypted *e = state;

	int result = e->dot ? tcp_start(e->dot, loop, error, error_size) : 0;

	if (!result && e->udp)
		result = encrypted_udp_start(e->udp, loop, error, error_size);
	return result;
}

static void encrypted_limit(void *state, const struct config *c)
{
	struct encrypted *e = state;

	if (e->dot)
		tcp_limit(e->dot, c);
	if (e->udp)
		encrypted_udp_limit(e->udp, c);
}

const struct service encrypted_service = {
	.name = "encrypted", .prepare = prepare, .open = encrypted_open, .start = encrypted_start,
	.refresh = refresh, .limit = encrypted_limit, .stop = encrypted_stop, .free = encrypted_free,
	.release = release,
};
