/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tls.h - the server's side of TLS between a TCP connection and its framer (DNS over
 * TLS, RFC 7858): TLS 1.2 and 1.3, ALPN `dot`, session tickets.
 *
 * Octets in, octets out: no socket, no clock.  Everything from the client is
 * untrusted; what a session keeps of it is at most one record and one handshake
 * message.  A struct tls belongs to one thread; the credentials are shared.
 */
#ifndef POLLUX_TLS_H
#define POLLUX_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/serve/credentials.h"

#define TLS_RECORD_MAX 16384 /* octets of plaintext (RFC 8446 section 5.1) */

struct tls;

/* Takes octets for the wire, of which a copy is made; false when it cannot, and the
 * session is then lost. */
typedef bool (*tls_emit)(void *arg, const uint8_t *octets, size_t len);

/* tls_new - a session that waits for a ClientHello.  It becomes a user of c, which
 * the caller holds.  0 or -ENOMEM. */
int tls_new(struct tls **out, struct credentials *c, tls_emit emit, void *arg);

/* tls_free - end it without a word. */
void tls_free(struct tls *t);

/* tls_decrypt - take all of in[0..len) off the wire and write what it holds for the
 * application to out, which has room for len + TLS_RECORD_MAX octets.
 *
 * Emits handshake messages and alerts.  Returns the octets written, or -EPROTO when
 * the session has failed: its alert has been emitted, and all that can be done is to
 * close.  *ended is set, and stays as it is otherwise, when the client says that it
 * sends no more (close_notify); what came before that is still to be answered. */
ptrdiff_t tls_decrypt(struct tls *t, const uint8_t *in, size_t len, uint8_t *out, bool *ended);

/* tls_encrypt - emit octets[0..len) as records.  False when the session is lost. */
bool tls_encrypt(struct tls *t, const uint8_t *octets, size_t len);

/* tls_end - emit close_notify: nothing is encrypted after it. */
void tls_end(struct tls *t);

/* tls_established - is the handshake over?  tls_resumed - had we met before? */
bool tls_established(const struct tls *t);
bool tls_resumed(const struct tls *t);

#endif
