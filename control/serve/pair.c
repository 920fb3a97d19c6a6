/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/pair.h"

static void map_address(struct sockaddr_in6 *out, const struct sockaddr *sa)
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

void pair_make(struct pair *p, const struct sockaddr *local, const struct sockaddr *peer)
{
	map_address(&p->local, local);
	map_address(&p->peer, peer);
}
