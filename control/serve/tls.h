/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tls.h - the server's side of TLS between a TCP connection and its framer (DNS over
 * TLS, RFC 7858): TLS 1.2 and 1.3, ALPN `dot`, session tickets; certificates of clients as
 * the credentials say.
 *
 * Octets in, octets out: no socket, no clock.  Everything from the client is
 * untrusted; what a session keeps of it is at most one record and, of handshake
 * messages, CREDENTIALS_HANDSHAKE_MAX octets and what one call brings.  A struct tls
 * belongs to one thread; the credentials are shared.
 */
#ifndef POLLUX_TLS_H
#define POLLUX_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/serve/credentials.h"

struct tls;

/* Takes octets for the wire, of which a copy is made; false when it cannot, and the
 * session is then lost. */
typedef bool (*tls_emit)(void *arg, const uint8_t *octets, size_t len);

/* tls_new - a session that waits for a ClientHello.  It becomes a user of c, which
 * the caller holds.  0 or -ENOMEM. */
int tls_new(struct tls **out, struct credentials *c, tls_emit emit, void *arg);

/* tls_free - end it without a word. */
void tls_free(struct tls *t);

#define TLS_ENDED  (-1) /* the client sends no more (close_notify) */
#define TLS_BROKEN (-2) /* the session has failed */

/* tls_decrypt - take octets off the wire, *in and *len moved past them, and write at
 * most `room` (not 0) of what they hold for the application to out.
 *
 * Emits handshake messages and alerts.  Returns how many octets were written; 0 when
 * all input was taken and more is needed; TLS_ENDED: what came before is still to be
 * answered; TLS_BROKEN: its alert has been emitted, and all that can be done is to
 * close.  After a positive number there may be more, also with *len 0. */
ptrdiff_t tls_decrypt(struct tls *t, const uint8_t **in, size_t *len, uint8_t *out, size_t room);

/* tls_encrypt - emit octets[0..len) as records.  False when the session is lost. */
bool tls_encrypt(struct tls *t, const uint8_t *octets, size_t len);

/* tls_end - emit close_notify: nothing is encrypted after it. */
void tls_end(struct tls *t);

/* tls_established - is the handshake over?  tls_resumed - had we met before? */
bool tls_established(const struct tls *t);
bool tls_resumed(const struct tls *t);

#endif
