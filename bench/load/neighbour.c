/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/load/neighbour.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TRIES 20
#define NAP_NS 50000000
#define PORT_DISCARD 9 /* RFC 863: what goes there is to be ignored */

/* A UDP socket towards the server, or -errno. */
static int towards(int family, const uint8_t *server)
{
	struct sockaddr_storage sa = { .ss_family = (sa_family_t)family };
	int s = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	if (s < 0)
		return -errno;
	if (family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)&sa;

		in->sin_port = htons(PORT_DISCARD);
		memcpy(&in->sin_addr, server, 4);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&sa;

		in6->sin6_port = htons(PORT_DISCARD);
		memcpy(&in6->sin6_addr, server, 16);
	}
	if (connect(s, (struct sockaddr *)&sa,
		    family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)) == 0)
		return s;
	rc = -errno;
	close(s);
	return rc;
}

int neighbour_source(int family, const uint8_t *server, uint8_t *source)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	int s = towards(family, server), rc = 0;

	if (s < 0)
		return s;
	if (getsockname(s, (struct sockaddr *)&sa, &len) != 0)
		rc = -errno;
	else if (family == AF_INET)
		memcpy(source, &((struct sockaddr_in *)&sa)->sin_addr, 4);
	else
		memcpy(source, &((struct sockaddr_in6 *)&sa)->sin6_addr, 16);
	close(s);
	return rc;
}

/* Does this netlink message tell the MAC of the address?  RTM_NEWNEIGH of rtnetlink(7). */
static bool tells_mac(struct nlmsghdr *h, unsigned ifindex, size_t len, const uint8_t *server, uint8_t mac[6])
{
	struct ndmsg *nd = NLMSG_DATA(h);
	int left = (int)NLMSG_PAYLOAD(h, sizeof(*nd));
	const uint8_t *address = NULL, *found = NULL;

	if (h->nlmsg_type != RTM_NEWNEIGH || (unsigned)nd->ndm_ifindex != ifindex ||
	    nd->ndm_state & (NUD_INCOMPLETE | NUD_FAILED))
		return false;
	for (struct rtattr *a = (struct rtattr *)(nd + 1); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == NDA_DST && RTA_PAYLOAD(a) == len)
			address = RTA_DATA(a);
		else if (a->rta_type == NDA_LLADDR && RTA_PAYLOAD(a) == 6)
			found = RTA_DATA(a);
	}
	if (!address || !found || memcmp(address, server, len) != 0)
		return false;
	memcpy(mac, found, 6);
	return true;
}

/* Ask the kernel for all its neighbours of a family. */
static int look_up(unsigned ifindex, int family, const uint8_t *server, uint8_t mac[6])
{
	struct {
		struct nlmsghdr head;
		struct ndmsg body;
	} ask = {
		.head = { .nlmsg_len = sizeof(ask), .nlmsg_type = RTM_GETNEIGH,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.body = { .ndm_family = (uint8_t)family },
	};
	union {
		struct nlmsghdr head;
		uint8_t octets[32768];
	} reply;
	size_t len = family == AF_INET ? 4 : 16;
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), rc = -ENOENT;
	bool more = true;

	if (s < 0)
		return -errno;
	if (send(s, &ask, sizeof(ask), 0) < 0) {
		rc = -errno;
		more = false;
	}
	while (more) {
		ssize_t got = recv(s, &reply, sizeof(reply), 0);

		if (got <= 0)
			break;
		for (struct nlmsghdr *h = &reply.head; NLMSG_OK(h, (size_t)got); h = NLMSG_NEXT(h, got)) {
			if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
				more = false;
			else if (tells_mac(h, ifindex, len, server, mac))
				rc = 0;
		}
	}
	close(s);
	return rc;
}

/* The gateway and the interface in the kernel's answer, an RTM_NEWROUTE of rtnetlink(7).
 * The server itself where there is no gateway. */
static void read_route(struct nlmsghdr *h, size_t len, uint8_t *hop, unsigned *ifindex)
{
	struct rtmsg *rt = NLMSG_DATA(h);
	int left = (int)NLMSG_PAYLOAD(h, sizeof(*rt));

	for (struct rtattr *a = (struct rtattr *)(rt + 1); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == RTA_GATEWAY && RTA_PAYLOAD(a) == len)
			memcpy(hop, RTA_DATA(a), len);
		else if (a->rta_type == RTA_OIF && RTA_PAYLOAD(a) == sizeof(*ifindex))
			memcpy(ifindex, RTA_DATA(a), sizeof(*ifindex));
	}
}

int neighbour_hop(int family, const uint8_t *server, uint8_t *hop, unsigned *ifindex)
{
	size_t len = family == AF_INET ? 4 : 16;
	struct {
		struct nlmsghdr head;
		struct rtmsg body;
		struct rtattr to;
		uint8_t address[16];
	} ask = {
		.head = { .nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof(struct rtmsg)) + RTA_LENGTH(len)),
			  .nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST },
		.body = { .rtm_family = (uint8_t)family, .rtm_dst_len = (uint8_t)(8 * len) },
		.to = { .rta_type = RTA_DST, .rta_len = (uint16_t)RTA_LENGTH(len) },
	};
	union {
		struct nlmsghdr head;
		uint8_t octets[4096];
	} reply;
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), rc = -EIO;
	ssize_t got;

	if (s < 0)
		return -errno;
	memcpy(ask.address, server, len);
	memcpy(hop, server, len);
	*ifindex = 0;
	got = send(s, &ask, ask.head.nlmsg_len, 0) < 0 ? -1 : recv(s, &reply, sizeof(reply), 0);
	if (got < 0) {
		rc = -errno;
	} else if (NLMSG_OK(&reply.head, (size_t)got) && reply.head.nlmsg_type == RTM_NEWROUTE) {
		read_route(&reply.head, len, hop, ifindex);
		rc = 0;
	} else if (NLMSG_OK(&reply.head, (size_t)got) && reply.head.nlmsg_type == NLMSG_ERROR) {
		rc = ((struct nlmsgerr *)NLMSG_DATA(&reply.head))->error;
	}
	close(s);
	return rc;
}

int neighbour_mac(unsigned ifindex, int family, const uint8_t *server, uint8_t mac[6])
{
	static const struct timespec nap = { .tv_nsec = NAP_NS };
	int s = towards(family, server), rc = -ENOENT;

	if (s < 0)
		return s;
	for (unsigned i = 0; i < TRIES && rc == -ENOENT; i++) {
		rc = look_up(ifindex, family, server, mac);
		if (rc == -ENOENT) {
			send(s, "", 0, MSG_DONTWAIT); /* for this the kernel has to know */
			nanosleep(&nap, NULL);
		}
	}
	close(s);
	return rc;
}
