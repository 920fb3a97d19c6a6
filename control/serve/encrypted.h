/* SPDX-License-Identifier: GPL-3.0-or-later */
/* encrypted.h - the service on port 853 (server: tls): DNS over TLS on TCP (dot in the
 * configuration, RFC 7858), and on UDP DNS over QUIC and over DTLS.
 *
 * All of them show one certificate: the configured one or, when there is none, one of
 * our own making, kept in the data directory.  Its pin is logged at each start, so that
 * clients can be told it (RFC 7858 section 4.2).  With server: tls: client-ca, clients are
 * asked for certificates, over each of the three.  A reload reads the files again; what
 * they hold serves connections to come, and a fault in them leaves all as it is.
 */
#ifndef POLLUX_ENCRYPTED_H
#define POLLUX_ENCRYPTED_H

#include "control/serve/credentials.h"
#include "control/serve/service.h"

/* encrypted_check - read and judge the files that the configuration names; nothing is made.
 * 0, or -errno after writing a sentence. */
int encrypted_check(const struct config *c, char *error, size_t error_size);

extern const struct service encrypted_service;

#endif
