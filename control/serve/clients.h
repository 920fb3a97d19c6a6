/* SPDX-License-Identifier: GPL-3.0-or-later */
/* clients.h - how many connections clients have, in all and from one prefix (RFC 7766
 * section 6.2.2, RFC 9210 section 6.4), over all serving threads and transports.
 *
 * Any thread may call; a lock is held for a look into a hash table.
 */
#ifndef POLLUX_CLIENTS_H
#define POLLUX_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "dataplane/common/config.h"

struct clients;

/* The addresses that are counted as one client. */
struct clients_prefix {
	uint8_t octets[16]; /* bits behind the prefix's length are 0 */
	uint8_t family;     /* 4 or 6 */
};

enum clients_verdict {
	CLIENTS_TAKEN,       /* counted: the caller leaves once the connection has ended */
	CLIENTS_FULL,        /* there are as many as there may be */
	CLIENTS_PREFIX_FULL, /* the prefix has as many as it may have */
	CLIENTS_NO_MEMORY,
};

/* clients_create - with the limits of a configuration.  NULL without memory. */
struct clients *clients_create(const struct config *c);

/* clients_limit - other limits from now on.  Who is over a new limit stays. */
void clients_limit(struct clients *k, const struct config *c);

/* clients_enter - count one more from an AF_INET or AF_INET6 address, if it may come; with
 * `above`, also above the limits.  *prefix is set in any case. */
enum clients_verdict clients_enter(struct clients *k, const struct sockaddr *peer, bool above,
				   struct clients_prefix *prefix);

/* clients_leave - one of those that were taken has gone. */
void clients_leave(struct clients *k, const struct clients_prefix *prefix);

/* clients_cnt - connections now.  clients_full - are there so many that one has to go
 * when another comes? */
unsigned clients_cnt(struct clients *k);
bool clients_full(struct clients *k);

void clients_free(struct clients *k);

#endif
