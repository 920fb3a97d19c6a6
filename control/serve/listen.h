/* SPDX-License-Identifier: GPL-3.0-or-later */
/* listen.h - the sockets of a listen address, which is always one host's: the
 * configuration refuses 0.0.0.0 and ::, so an answer's source is its socket's. */
#ifndef POLLUX_LISTEN_H
#define POLLUX_LISTEN_H

#include <stddef.h>
#include <sys/socket.h>

#include "dataplane/common/config.h"

#define LISTEN_TEXT 80 /* room for an address in text, NUL included */

/* listen_socket - a bound, non-blocking socket of `type` (SOCK_DGRAM, SOCK_STREAM)
 * for the address, for the serving thread `thread` of `threads`; a stream does not
 * listen yet.
 *
 * When there are several threads each has a socket of its own at the address
 * (SO_REUSEPORT).  The first thread's must be bound first: it alone finds out whether
 * another program has the address.
 *
 * An address that this machine does not have now is bound all the same, with a
 * warning: it may come with a route or be served by a memif port only.  Returns
 * the descriptor, the caller's, or -errno after writing a sentence to `error`.
 */
int listen_socket(const struct config_address *a, int type, unsigned thread, unsigned threads,
		  char *error, size_t error_size);

/* listen_at - the address with another port (in host byte order). */
struct config_address listen_at(const struct config_address *a, uint16_t port);

/* listen_text - "10.53.0.1@53" into text[LISTEN_TEXT].  Returns text. */
char *listen_text(char *text, const struct sockaddr_storage *sa);

#endif
