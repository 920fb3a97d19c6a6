/* SPDX-License-Identifier: GPL-3.0-or-later */
/* credentials.h - what TLS, QUIC and DTLS sessions of port 853 have in common: the
 * certificate with its key, whose clients are trusted, and the secrets of session tickets,
 * cookies and tokens.
 *
 * A struct credentials never changes once it is in a vault, so any thread may use the
 * one it holds.  A reload puts another one into the vault: sessions begun before go on
 * with theirs, which lives until the last of them has ended.
 */
#ifndef POLLUX_CREDENTIALS_H
#define POLLUX_CREDENTIALS_H

#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CREDENTIALS_PIN 45     /* room for a pin in text, NUL included */
#define CREDENTIALS_SECRET 32  /* octets */
#define CREDENTIALS_CERTIFICATE "tls-certificate.pem" /* of our own making, in a folder */
#define CREDENTIALS_KEY "tls-key.pem"

/* Octets that a client may send until its handshake is over: many times what one takes.
 * GnuTLS gathers a handshake message of up to 16 MiB before it looks at its size. */
#define CREDENTIALS_HANDSHAKE_MAX (64 << 10)

struct credentials {
	_Atomic unsigned users;
	gnutls_certificate_credentials_t x509;
	/* What each transport may negotiate. */
	gnutls_priority_t tls, quic, dtls;
	/* Drawn at start and kept over reloads, so that tickets and cookies stay good. */
	gnutls_datum_t ticket_key, cookie_key;
	/* Of QUIC's address validation tokens and stateless resets, made from the private
	 * key: a restarted server can still end a connection that it has forgotten (RFC
	 * 9000 section 10.3.2). */
	uint8_t secret[CREDENTIALS_SECRET];
	/* The pin of the certificate's key: base64 of the SHA-256 of its
	 * SubjectPublicKeyInfo (RFC 7858 section 4.2, RFC 7469 section 2.4). */
	char pin[CREDENTIALS_PIN];
	int64_t expires; /* seconds since 1970: notAfter */
	/* Whether clients are asked for their certificates, GNUTLS_CERT_IGNORE when not; and
	 * by how many authorities those may be.  Who is asked gets no ticket, and no ticket
	 * of before is taken: each handshake shows the certificate, whatever has become of
	 * it, of the authorities or of this setting since the last one. */
	gnutls_certificate_request_t ask;
	unsigned authorities;
};

/* credentials_load - read a certificate (PEM, with its chain behind it) and its key
 * (PEM).  0 and *out, of which the caller is the one user; or -errno after writing a
 * sentence that names the file to `error`. */
int credentials_load(struct credentials **out, const char *certificate, const char *key,
		     char *error, size_t error_size);

/* credentials_own - the self-signed certificate kept in `folder`, made (as is the folder) when
 * none is there: for a P-256 key, in the name `name` ("pollux" if that is empty), of no end
 * that matters: clients know it by its pin.  The files are of the
 * folder's owner, and the key's is for nobody else.
 * Returns as credentials_load does; *made says whether it is new. */
int credentials_own(struct credentials **out, const char *folder, const char *name, bool *made,
		    char *error, size_t error_size);

/* credentials_trust - have clients asked for a certificate that those in the file `path` (PEM,
 * all of them authorities) have issued.  Who has none is turned away only when `required`,
 * who has one that does not verify always is: its chain, its time and its purpose
 * (clientAuth, if it names any) are looked at.  Nobody else uses c yet; when it is NULL the
 * file is read and judged, no more.  Returns as credentials_load does. */
int credentials_trust(struct credentials *c, const char *path, bool required, char *error,
		      size_t error_size);

/* credentials_set - give a new session of a server what it has of c: certificate, tickets,
 * what clients are asked for, and priority, which is one of c's.  0 or -ENOMEM.
 *
 * A handshake in which the client's certificate is refused ends in
 * GNUTLS_E_FATAL_ALERT_RECEIVED, for which no further alert is sent: who verifies sends it,
 * knowing why. */
int credentials_set(const struct credentials *c, gnutls_session_t session, gnutls_priority_t priority);

/* credentials_alert - tell the client of an error that has ended its session.  As
 * gnutls_alert_send_appropriate, which calls an empty certificate of TLS 1.2 a decode_error. */
void credentials_alert(gnutls_session_t session, int error);

/* credentials_drop - one user less.  NULL is nobody's. */
void credentials_drop(struct credentials *c);

/* The credentials in force.  Any thread. */
struct credentials_vault {
	pthread_mutex_t lock;
	struct credentials *current;
};

/* credentials_vault_init - a vault that holds c, and with it the caller's use of it. */
void credentials_vault_init(struct credentials_vault *v, struct credentials *c);
void credentials_vault_free(struct credentials_vault *v);

/* credentials_get - those in force; the caller becomes a user. */
struct credentials *credentials_get(struct credentials_vault *v);

/* credentials_put - c is in force from now on; it inherits.  The caller's use of it
 * goes to the vault.  0, or -ENOMEM: then all is as before, and c the caller's. */
int credentials_put(struct credentials_vault *v, struct credentials *c);

#endif
