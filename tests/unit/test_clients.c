/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "control/serve/clients.h"

static struct config config = {
	.tcp_max_clients = 5, .tcp_max_prefix = 3, .tcp_ipv4_prefix = 24, .tcp_ipv6_prefix = 56,
};

static enum clients_verdict enter(struct clients *k, const char *address, struct clients_prefix *p)
{
	struct sockaddr_storage sa = {.ss_family = strchr(address, ':') ? AF_INET6 : AF_INET};
	void *to = sa.ss_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)&sa)->sin6_addr
					    : (void *)&((struct sockaddr_in *)&sa)->sin_addr;

	cr_assert_eq(inet_pton(sa.ss_family, address, to), 1);
	return clients_enter(k, (struct sockaddr *)&sa, false, p);
}

Test(clients, are_limited_by_prefix_and_in_all)
{
	struct clients *k = clients_create(&config);
	struct clients_prefix p[6], other;

	cr_assert(k);
	cr_assert_eq(enter(k, "192.0.2.1", &p[0]), CLIENTS_TAKEN);
	cr_assert_eq(enter(k, "192.0.2.200", &p[1]), CLIENTS_TAKEN);
	cr_assert_eq(enter(k, "192.0.2.1", &p[2]), CLIENTS_TAKEN);
	cr_assert_eq(memcmp(&p[0], &p[1], sizeof(p[0])), 0);
	cr_assert_eq(enter(k, "192.0.2.77", &other), CLIENTS_PREFIX_FULL);
	cr_assert_eq(memcmp(&p[0], &other, sizeof(other)), 0);
	cr_assert_eq(enter(k, "192.0.3.1", &p[3]), CLIENTS_TAKEN);
	cr_assert_neq(memcmp(&p[0], &p[3], sizeof(p[0])), 0);
	cr_assert_not(clients_full(k));
	cr_assert_eq(enter(k, "2001:db8::1", &p[4]), CLIENTS_TAKEN);
	cr_assert(clients_full(k));
	cr_assert_eq(enter(k, "198.51.100.1", &other), CLIENTS_FULL);
	/* Who is at its own limit is told of that. */
	cr_assert_eq(enter(k, "192.0.2.9", &other), CLIENTS_PREFIX_FULL);

	clients_leave(k, &p[0]);
	cr_assert_eq(clients_cnt(k), 4);
	cr_assert_eq(enter(k, "192.0.2.9", &p[0]), CLIENTS_TAKEN);
	for (unsigned i = 0; i < 5; i++)
		clients_leave(k, &p[i]);
	cr_assert_eq(clients_cnt(k), 0);
	clients_free(k);
}

Test(clients, prefixes_end_at_any_bit)
{
	static const struct {
		unsigned bits4, bits6;
		const char *a, *b;
		bool same;
	} cases[] = {
		{32, 128, "192.0.2.1", "192.0.2.1", true}, {32, 128, "192.0.2.1", "192.0.2.0", false},
		{25, 128, "192.0.2.1", "192.0.2.127", true}, {25, 128, "192.0.2.1", "192.0.2.128", false},
		{1, 128, "0.0.0.1", "127.255.0.0", true}, {1, 128, "0.0.0.1", "128.0.0.1", false},
		{24, 56, "2001:db8:0:ff::1", "2001:db8::", true}, {24, 56, "2001:db8:0:100::", "2001:db8::", false},
		{24, 128, "2001:db8::1", "2001:db8::2", false}, {24, 127, "2001:db8::2", "2001:db8::3", true},
		/* The families never meet. */
		{24, 32, "32.1.13.184", "2001:db8::", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config c = config;
		struct clients_prefix a, b;

		c.tcp_ipv4_prefix = cases[i].bits4;
		c.tcp_ipv6_prefix = cases[i].bits6;

		struct clients *k = clients_create(&c);

		enter(k, cases[i].a, &a);
		enter(k, cases[i].b, &b);
		cr_assert_eq(memcmp(&a, &b, sizeof(a)) == 0, cases[i].same, "case %zu", i);
		clients_free(k);
	}
}

Test(clients, who_is_over_a_new_limit_stays_and_leaves_as_what_it_was)
{
	struct config c = config;
	struct clients *k = clients_create(&c);
	struct clients_prefix a, b, other;

	enter(k, "192.0.2.1", &a);
	enter(k, "192.0.2.2", &b);
	c.tcp_max_clients = c.tcp_max_prefix = 1;
	c.tcp_ipv4_prefix = 32;
	clients_limit(k, &c);
	cr_assert_eq(clients_cnt(k), 2);
	cr_assert_eq(enter(k, "198.51.100.1", &other), CLIENTS_FULL);
	clients_leave(k, &a);
	clients_leave(k, &b);
	cr_assert_eq(clients_cnt(k), 0);
	cr_assert_eq(enter(k, "192.0.2.1", &a), CLIENTS_TAKEN);
	cr_assert_eq(a.octets[3], 1);
	clients_free(k);
}

static void *come_and_go(void *arg)
{
	struct clients_prefix p;
	char address[32];

	for (unsigned i = 0; i < 20000; i++) {
		snprintf(address, sizeof(address), "10.%u.%u.1", i & 3, i >> 2 & 7);
		if (enter(arg, address, &p) == CLIENTS_TAKEN)
			clients_leave(arg, &p);
	}
	return NULL;
}

Test(clients, are_counted_by_several_threads)
{
	struct clients *k = clients_create(&config);
	pthread_t thread[4];

	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, come_and_go, k), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	cr_assert_eq(clients_cnt(k), 0);
	clients_free(k);
}
