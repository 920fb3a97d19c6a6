/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/dtls.h>
#include <gnutls/x509.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CHAIN_MAX 16 /* certificates; a handshake has to carry them */
#define AUTHORITIES_MAX 64 /* certificates; a handshake carries their names */

/* Forward secrecy and AEAD only (RFC 9325 section 4.2); AES-128 first, which is both
 * enough and the fastest where the processor has it. */
#define CIPHERS "-CIPHER-ALL:+AES-128-GCM:+CHACHA20-POLY1305:+AES-256-GCM:-RSA:-DHE-RSA:-DHE-DSS"
#define TLS_PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE:" CIPHERS
#define DTLS_PRIORITY "NORMAL:-VERS-ALL:+VERS-DTLS1.2:%SERVER_PRECEDENCE:" CIPHERS
/* RFC 9001 sections 4.2 and 8.4: TLS 1.3, and no record of its compatibility mode. */
#define QUIC_PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:%DISABLE_TLS13_COMPAT_MODE:%SERVER_PRECEDENCE:" CIPHERS

static const char secret_label[] = "pollux quic tokens and resets";

static int fault(char *error, size_t error_size, const char *path, const char *what)
{
	snprintf(error, error_size, "%s: %s", path, what);
	return -EINVAL;
}

/* The file's octets, zeroed with gnutls_memset before they are given back: see
 * forget(). */
static int read_file(gnutls_datum_t *out, const char *path, char *error, size_t error_size)
{
	int result = 0;

	if (access(path, R_OK) < 0)
		result = -errno;
	else if (gnutls_load_file(path, out) < 0)
		result = errno ? -errno : -EIO;
	if (result)
		snprintf(error, error_size, "%s: %s", path, strerror(-result));
	return result;
}

static void forget(gnutls_datum_t *d)
{
	if (d->data)
		gnutls_memset(d->data, 0, d->size);
	gnutls_free(d->data);
	*d = (gnutls_datum_t){0};
}

static int draw_secrets(struct credentials *c)
{
	if (gnutls_session_ticket_key_generate(&c->ticket_key) < 0 ||
	    gnutls_key_generate(&c->cookie_key, GNUTLS_COOKIE_KEY_SIZE) < 0)
		return -ENOMEM;
	return 0;
}

static int set_priorities(struct credentials *c)
{
	if (gnutls_priority_init(&c->tls, TLS_PRIORITY, NULL) < 0 ||
	    gnutls_priority_init(&c->quic, QUIC_PRIORITY, NULL) < 0 ||
	    gnutls_priority_init(&c->dtls, DTLS_PRIORITY, NULL) < 0)
		return -EINVAL;
	return 0;
}

static int make_pin(struct credentials *c, gnutls_x509_crt_t certificate)
{
	uint8_t digest[32];
	size_t size = sizeof(digest);
	gnutls_datum_t text = {0};

	if (gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, digest, &size) < 0 ||
	    gnutls_base64_encode2(&(gnutls_datum_t){digest, (unsigned)size}, &text) < 0)
		return -EINVAL;
	snprintf(c->pin, sizeof(c->pin), "%s", (const char *)text.data);
	gnutls_free(text.data);
	c->expires = gnutls_x509_crt_get_expiration_time(certificate);
	return 0;
}

/* The certificates of the text, at most `most`, for *cnt of which the caller answers. */
static int import_chain(gnutls_x509_crt_t *chain, unsigned *cnt, unsigned most, const gnutls_datum_t *text,
			const char *path, char *error, size_t error_size)
{
	char what[160];

	*cnt = most;

	int result = gnutls_x509_crt_list_import(chain, cnt, text, GNUTLS_X509_FMT_PEM,
						 GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);

	if (result >= 0)
		return 0;
	*cnt = 0;
	if (result == GNUTLS_E_SHORT_MEMORY_BUFFER)
		snprintf(what, sizeof(what), "more than %u certificates", most);
	else if (result == GNUTLS_E_BASE64_UNEXPECTED_HEADER_ERROR ||
		 result == GNUTLS_E_NO_CERTIFICATE_FOUND)
		snprintf(what, sizeof(what), "there is no certificate in PEM form in it");
	else
		snprintf(what, sizeof(what), "no good certificate: %s", gnutls_strerror(result));
	return fault(error, error_size, path, what);
}

static int import_key(gnutls_x509_privkey_t key, const gnutls_datum_t *text, const char *path,
		      char *error, size_t error_size)
{
	char what[160];
	int result = gnutls_x509_privkey_import2(key, text, GNUTLS_X509_FMT_PEM, NULL,
						 GNUTLS_PKCS_PLAIN);

	if (result >= 0)
		return 0;
	if (result == GNUTLS_E_DECRYPTION_FAILED || result == GNUTLS_E_PKCS1_WRONG_PAD)
		snprintf(what, sizeof(what), "the key is encrypted with a password; it has to be "
			 "readable without");
	else if (result == GNUTLS_E_BASE64_UNEXPECTED_HEADER_ERROR ||
		 result == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		snprintf(what, sizeof(what), "there is no private key in PEM form in it");
	else
		snprintf(what, sizeof(what), "no good private key: %s", gnutls_strerror(result));
	return fault(error, error_size, path, what);
}

/* Fills c from the texts of both files. */
static int fill(struct credentials *c, const gnutls_datum_t *certificate_text,
		const gnutls_datum_t *key_text, const char *certificate_path, const char *key_path,
		char *error, size_t error_size)
{
	gnutls_x509_crt_t chain[CHAIN_MAX];
	gnutls_x509_privkey_t key = NULL;
	unsigned cnt = 0;
	char what[512];
	int result = import_chain(chain, &cnt, CHAIN_MAX, certificate_text, certificate_path, error,
				  error_size);

	if (result)
		return result;
	result = -ENOMEM;
	snprintf(error, error_size, "%s: cannot be used", certificate_path);
	if (gnutls_x509_privkey_init(&key) < 0)
		goto out;
	result = import_key(key, key_text, key_path, error, error_size);
	if (result)
		goto out;

	int set = gnutls_certificate_set_x509_key(c->x509, chain, (int)cnt, key);

	if (set == GNUTLS_E_CERTIFICATE_KEY_MISMATCH) {
		snprintf(what, sizeof(what), "the key does not belong to the certificate in %s",
			 certificate_path);
		result = fault(error, error_size, key_path, what);
	} else if (set < 0) {
		snprintf(what, sizeof(what), "the certificate cannot be used: %s", gnutls_strerror(set));
		result = fault(error, error_size, certificate_path, what);
	} else if (make_pin(c, chain[0]) ||
		   gnutls_hmac_fast(GNUTLS_MAC_SHA256, key_text->data, key_text->size, secret_label,
				    sizeof(secret_label), c->secret) < 0) {
		result = fault(error, error_size, certificate_path, "no pin can be made of it");
	}
out:
	gnutls_x509_privkey_deinit(key);
	for (unsigned i = 0; i < cnt; i++)
		gnutls_x509_crt_deinit(chain[i]);
	return result;
}

int credentials_load(struct credentials **out, const char *certificate, const char *key,
		     char *error, size_t error_size)
{
	gnutls_datum_t certificate_text = {0}, key_text = {0};
	struct credentials *c = calloc(1, sizeof(*c));
	int result = -ENOMEM;

	snprintf(error, error_size, "out of memory");
	if (!c)
		return result;
	atomic_init(&c->users, 1);
	if (gnutls_certificate_allocate_credentials(&c->x509) < 0 || draw_secrets(c))
		goto fail;
	result = set_priorities(c);
	if (result) {
		snprintf(error, error_size, "this GnuTLS lacks what is needed");
		goto fail;
	}
	result = read_file(&certificate_text, certificate, error, error_size);
	if (!result)
		result = read_file(&key_text, key, error, error_size);
	if (!result)
		result = fill(c, &certificate_text, &key_text, certificate, key, error, error_size);
	forget(&certificate_text);
	forget(&key_text);
	if (result)
		goto fail;
	*out = c;
	return 0;
fail:
	credentials_drop(c);
	return result;
}

/* ---- a certificate of our own ---- */

/* Writes the file in one step and for good; readable by its owner alone, who is the
 * folder's: the user whom the process becomes. */
static int write_file(const char *path, const struct stat *folder, const gnutls_datum_t *text)
{
	char temporary[PATH_MAX];
	int result = 0;

	if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	unlink(temporary);

	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;

	ssize_t n = write(fd, text->data, text->size);

	if (fchown(fd, folder->st_uid, folder->st_gid) < 0 && errno != EPERM)
		result = -errno;
	else if (n < 0 || fsync(fd) < 0)
		result = -errno;
	else if ((size_t)n < text->size)
		result = -ENOSPC;
	close(fd);
	if (!result && rename(temporary, path) < 0)
		result = -errno;
	if (result)
		unlink(temporary);
	return result;
}

static int describe(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const char *name)
{
	uint8_t serial[16];
	size_t name_len = strlen(name);
	time_t now = time(NULL);

	/* A day before now for clients whose clocks are slow; the end is RFC 5280's own
	 * "no well-defined expiration date" (section 4.1.2.5). */
	if (gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial)) < 0)
		return -1;
	serial[0] = (serial[0] & 0x7f) | 1; /* positive, not zero */
	return gnutls_x509_crt_set_version(crt, 3) < 0 ||
	       gnutls_x509_crt_set_serial(crt, serial, sizeof(serial)) < 0 ||
	       gnutls_x509_crt_set_activation_time(crt, now - 86400) < 0 ||
	       gnutls_x509_crt_set_expiration_time(crt, GNUTLS_X509_NO_WELL_DEFINED_EXPIRATION) < 0 ||
	       gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
					     (unsigned)(name_len > 64 ? 64 : name_len)) < 0 ||
	       gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name, (unsigned)name_len,
						    GNUTLS_FSAN_SET) < 0 ||
	       gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE) < 0 ||
	       gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0) < 0 ||
	       gnutls_x509_crt_set_key(crt, key) < 0 ||
	       gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0) < 0;
}

static int make_own(const char *folder, const char *certificate, const char *key_path, const char *name)
{
	gnutls_x509_crt_t crt = NULL;
	gnutls_x509_privkey_t key = NULL;
	gnutls_datum_t text = {0};
	struct stat st;
	int result = -ENOMEM;

	if (stat(folder, &st) < 0)
		return -errno;
	if (gnutls_x509_privkey_init(&key) < 0 || gnutls_x509_crt_init(&crt) < 0)
		goto out;
	result = -EINVAL;
	if (gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
					 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) < 0 ||
	    describe(crt, key, name) || gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &text) < 0)
		goto out;
	/* The certificate last: it is there only when all is. */
	result = write_file(key_path, &st, &text);
	forget(&text);
	if (result)
		goto out;
	result = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &text) < 0 ? -EINVAL
									      : write_file(certificate, &st, &text);
out:
	forget(&text);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
	return result;
}

int credentials_own(struct credentials **out, const char *folder, const char *name, bool *made,
		    char *error, size_t error_size)
{
	char certificate[PATH_MAX], key[PATH_MAX];

	if (snprintf(certificate, sizeof(certificate), "%s/" CREDENTIALS_CERTIFICATE, folder) >=
	    (int)sizeof(certificate)) {
		snprintf(error, error_size, "%s: %s", folder, strerror(ENAMETOOLONG));
		return -ENAMETOOLONG;
	}
	snprintf(key, sizeof(key), "%s/" CREDENTIALS_KEY, folder);
	*made = access(certificate, F_OK) < 0 && errno == ENOENT;
	if (*made) {
		mkdir(folder, 0755); /* what keeps it from being there shows below */

		int result = make_own(folder, certificate, key, name[0] ? name : "pollux");

		if (result) {
			snprintf(error, error_size, "cannot make a certificate in %s: %s", folder,
				 strerror(-result));
			return result;
		}
	}
	return credentials_load(out, certificate, key, error, error_size);
}

/* ---- clients ---- */

static const struct refusal {
	unsigned status; /* GNUTLS_CERT_... */
	gnutls_alert_description_t alert;
} refusals[] = { /* RFC 8446 section 6.2; the first that fits */
	{GNUTLS_CERT_SIGNER_NOT_FOUND, GNUTLS_A_UNKNOWN_CA},
	{GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED, GNUTLS_A_CERTIFICATE_EXPIRED},
	{GNUTLS_CERT_PURPOSE_MISMATCH, GNUTLS_A_UNSUPPORTED_CERTIFICATE},
	{~0u, GNUTLS_A_BAD_CERTIFICATE},
};

/* Whether the client's certificate is good.  A client without one is GnuTLS's to refuse, if
 * it is to be: it knows what was asked. */
static int verify(gnutls_session_t session)
{
	gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT,
	};
	const struct refusal *r = refusals;
	unsigned status = 0;

	if (!gnutls_certificate_get_peers(session, NULL))
		return 0;
	if (gnutls_certificate_verify_peers(session, &purpose, 1, &status) < 0)
		status = GNUTLS_CERT_INVALID; /* too many, or no certificates at all */
	if (status == 0)
		return 0;
	while (!(r->status & status))
		r++;
	gnutls_alert_send(session, GNUTLS_AL_FATAL, r->alert);
	return GNUTLS_E_FATAL_ALERT_RECEIVED;
}

/* TLS 1.3 verifies the client's signature first and then calls verify().  The key is of the
 * client's choice until then: of RSA, with an exponent as long as the modulus, 32,768 bits
 * cost this thread seconds.  So the certificate is looked at before, too: its chain is
 * verified from the authority's end, so that only keys that are vouched for are used. */
static int verify_early(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
			const gnutls_datum_t *message)
{
	(void)type;
	(void)when;
	(void)message;
	return incoming ? verify(session) : 0;
}

static int trust(struct credentials *c, const gnutls_datum_t *text, const char *path, char *error,
		 size_t error_size)
{
	gnutls_x509_crt_t crt[AUTHORITIES_MAX];
	unsigned cnt;
	char what[160];
	int result = import_chain(crt, &cnt, AUTHORITIES_MAX, text, path, error, error_size);

	if (result)
		return result;
	for (unsigned i = 0; i < cnt && !result; i++)
		if (gnutls_x509_crt_get_ca_status(crt[i], NULL) != 1) {
			snprintf(what, sizeof(what), "certificate %u of %u is not that of an authority (CA)",
				 i + 1, cnt);
			result = fault(error, error_size, path, what);
		}
	if (!result && c) {
		if (gnutls_certificate_set_x509_trust(c->x509, crt, (int)cnt) < 0)
			result = fault(error, error_size, path, "the certificates cannot be used");
		c->authorities = cnt;
	}
	for (unsigned i = 0; i < cnt; i++)
		gnutls_x509_crt_deinit(crt[i]);
	return result;
}

int credentials_trust(struct credentials *c, const char *path, bool required, char *error,
		      size_t error_size)
{
	gnutls_datum_t text = {0};
	int result = read_file(&text, path, error, error_size);

	if (!result)
		result = trust(c, &text, path, error, error_size);
	forget(&text);
	if (result || !c)
		return result;
	c->ask = required ? GNUTLS_CERT_REQUIRE : GNUTLS_CERT_REQUEST;
	gnutls_certificate_set_verify_function(c->x509, verify);
	/* No OCSP answer that the client brings: it would be verified before the chain is, with
	 * whatever key the client has put there. */
	gnutls_certificate_set_verify_flags(c->x509, GNUTLS_VERIFY_DISABLE_CRL_CHECKS);
	return 0;
}

/* ---- use ---- */

void credentials_alert(gnutls_session_t session, int error)
{
	if (error == GNUTLS_E_NO_CERTIFICATE_FOUND) /* RFC 5246 section 7.4.6 */
		gnutls_alert_send(session, GNUTLS_AL_FATAL, GNUTLS_A_HANDSHAKE_FAILURE);
	else
		gnutls_alert_send_appropriate(session, error);
}

int credentials_set(const struct credentials *c, gnutls_session_t session, gnutls_priority_t priority)
{
	if (gnutls_priority_set(session, priority) < 0 ||
	    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, c->x509) < 0)
		return -ENOMEM;
	if (c->ask == GNUTLS_CERT_IGNORE)
		return gnutls_session_ticket_enable_server(session, &c->ticket_key) < 0 ? -ENOMEM : 0;
	gnutls_certificate_server_set_request(session, c->ask);
	gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_CERTIFICATE_VERIFY, GNUTLS_HOOK_PRE,
					   verify_early);
	return 0;
}

static int copy(gnutls_datum_t *to, const gnutls_datum_t *from)
{
	unsigned char *data = gnutls_malloc(from->size);

	if (!data)
		return -ENOMEM;
	memcpy(data, from->data, from->size);
	forget(to);
	*to = (gnutls_datum_t){data, from->size};
	return 0;
}

/* Gives c, which nobody uses yet, the secrets drawn for old. */
static int inherit(struct credentials *c, const struct credentials *old)
{
	int result = copy(&c->ticket_key, &old->ticket_key);

	if (!result)
		result = copy(&c->cookie_key, &old->cookie_key);
	if (!result)
		memcpy(c->secret, old->secret, sizeof(c->secret));
	return result;
}

void credentials_drop(struct credentials *c)
{
	/* Release and acquire: what others did with it is over before it is freed. */
	if (!c || atomic_fetch_sub_explicit(&c->users, 1, memory_order_acq_rel) != 1)
		return;
	forget(&c->ticket_key);
	forget(&c->cookie_key);
	gnutls_memset(c->secret, 0, sizeof(c->secret));
	if (c->tls)
		gnutls_priority_deinit(c->tls);
	if (c->quic)
		gnutls_priority_deinit(c->quic);
	if (c->dtls)
		gnutls_priority_deinit(c->dtls);
	if (c->x509)
		gnutls_certificate_free_credentials(c->x509);
	free(c);
}

void credentials_vault_init(struct credentials_vault *v, struct credentials *c)
{
	pthread_mutex_init(&v->lock, NULL);
	v->current = c;
}

void credentials_vault_free(struct credentials_vault *v)
{
	credentials_drop(v->current);
	v->current = NULL;
	pthread_mutex_destroy(&v->lock);
}

struct credentials *credentials_get(struct credentials_vault *v)
{
	pthread_mutex_lock(&v->lock);

	struct credentials *c = v->current;

	atomic_fetch_add_explicit(&c->users, 1, memory_order_relaxed);
	pthread_mutex_unlock(&v->lock);
	return c;
}

int credentials_put(struct credentials_vault *v, struct credentials *c)
{
	struct credentials *old = credentials_get(v);
	int result = inherit(c, old);

	if (!result) {
		pthread_mutex_lock(&v->lock);
		v->current = c;
		pthread_mutex_unlock(&v->lock);
		credentials_drop(old); /* the vault's use of it */
	}
	credentials_drop(old);
	return result;
}
