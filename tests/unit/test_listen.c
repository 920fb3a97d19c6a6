/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <unistd.h>

#include "control/serve/listen.h"

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	cr_assert_eq(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static int datagrams_at(const struct config_address *a)
{
	char error[256];
	int fd = listen_socket(a, SOCK_DGRAM, 0, 1, error, sizeof(error));

	cr_assert_geq(fd, 0, "%s", error);
	return fd;
}

/* RFC 9715: answers never say "don't fragment", and no path's MTU is believed.  The loopback
 * addresses, with ports that the kernel chooses. */
Test(listen, udp_discovers_no_path_mtu)
{
	struct config_address v4 = {.sa_len = sizeof(struct sockaddr_in)}, v6 = {.sa_len = sizeof(struct sockaddr_in6)};
	int fd;

	*(struct sockaddr_in *)&v4.sa = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	*(struct sockaddr_in6 *)&v6.sa = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	fd = datagrams_at(&v4);
	cr_expect_eq(option(fd, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_OMIT);
	close(fd);
	fd = datagrams_at(&v6); /* also where there is no ::1: listen_socket binds freely */
	cr_expect_eq(option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER), IPV6_PMTUDISC_OMIT);
	close(fd);
}
