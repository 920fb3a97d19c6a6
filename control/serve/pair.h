/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pair.h - the two addresses of a datagram as a key: equal exactly when family,
 * addresses and ports are.  Any thread. */
#ifndef POLLUX_PAIR_H
#define POLLUX_PAIR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

struct pair {
	struct sockaddr_in6 local, peer; /* IPv4 as the mapped address (RFC 4291 2.5.5.2) */
};

/* pair_make - the key of a datagram between the two, AF_INET or AF_INET6. */
void pair_make(struct pair *p, const struct sockaddr *local, const struct sockaddr *peer);

static inline bool pair_equal(const struct pair *a, const struct pair *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* pair_socklen - octets of an address of that family. */
static inline socklen_t pair_socklen(const struct sockaddr *sa)
{
	return sa->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

#endif
