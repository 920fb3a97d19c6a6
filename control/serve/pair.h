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

/* pair_address - an AF_INET or AF_INET6 address in the form that struct pair has. */
static inline void pair_address(struct sockaddr_in6 *out, const struct sockaddr *sa)
{
	memset(out, 0, sizeof(*out));
	out->sin6_family = AF_INET6;
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in4 = (const struct sockaddr_in *)sa;

		out->sin6_port = in4->sin_port;
		out->sin6_addr.s6_addr[10] = out->sin6_addr.s6_addr[11] = 0xff;
		memcpy(&out->sin6_addr.s6_addr[12], &in4->sin_addr, 4);
	} else {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;

		out->sin6_port = in6->sin6_port;
		out->sin6_addr = in6->sin6_addr;
		out->sin6_scope_id = in6->sin6_scope_id; /* of a link-local address */
	}
}

static inline void pair_make(struct pair *p, const struct sockaddr *local,
			     const struct sockaddr *peer)
{
	pair_address(&p->local, local);
	pair_address(&p->peer, peer);
}

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
