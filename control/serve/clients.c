/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/clients.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#define BUCKETS 4096 /* a power of two; as many as the connections that one usually permits */

/* A prefix that has connections. */
struct entry {
	struct entry *next;
	struct clients_prefix prefix;
	unsigned cnt;
};

struct clients {
	pthread_mutex_t lock; /* of all below */
	uint64_t seed;        /* nobody outside can choose prefixes of one bucket */
	_Atomic unsigned cnt, max; /* read without the lock, too: any recent value will do */
	unsigned prefix_max;
	unsigned bits4, bits6;
	struct entry *bucket[BUCKETS];
};

static void set_limits(struct clients *k, const struct config *c)
{
	k->max = c->tcp_max_clients;
	k->prefix_max = c->tcp_max_prefix;
	k->bits4 = c->tcp_ipv4_prefix;
	k->bits6 = c->tcp_ipv6_prefix;
}

struct clients *clients_create(const struct config *c)
{
	struct clients *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	if (getrandom(&k->seed, sizeof(k->seed), 0) != sizeof(k->seed) ||
	    pthread_mutex_init(&k->lock, NULL)) {
		free(k);
		return NULL;
	}
	set_limits(k, c);
	return k;
}

void clients_limit(struct clients *k, const struct config *c)
{
	pthread_mutex_lock(&k->lock);
	set_limits(k, c);
	pthread_mutex_unlock(&k->lock);
}

static void make_prefix(const struct clients *k, const struct sockaddr *peer,
			struct clients_prefix *p)
{
	bool v6 = peer->sa_family == AF_INET6;
	unsigned bits = v6 ? k->bits6 : k->bits4;

	memset(p, 0, sizeof(*p));
	p->family = v6 ? 6 : 4;
	if (v6)
		memcpy(p->octets, &((const struct sockaddr_in6 *)peer)->sin6_addr, 16);
	else
		memcpy(p->octets, &((const struct sockaddr_in *)peer)->sin_addr, 4);
	for (unsigned i = 0; i < sizeof(p->octets); i++, bits -= bits < 8 ? bits : 8)
		if (bits < 8)
			p->octets[i] &= (uint8_t)(0xff00u >> bits);
}

/* Where the prefix's entry hangs, or would. */
static struct entry **find(struct clients *k, const struct clients_prefix *p)
{
	struct entry **at = &k->bucket[XXH3_64bits_withSeed(p, sizeof(*p), k->seed) & (BUCKETS - 1)];

	while (*at && memcmp(&(*at)->prefix, p, sizeof(*p)) != 0)
		at = &(*at)->next;
	return at;
}

enum clients_verdict clients_enter(struct clients *k, const struct sockaddr *peer, bool above,
				   struct clients_prefix *prefix)
{
	enum clients_verdict v = CLIENTS_TAKEN;
	struct entry **at;

	pthread_mutex_lock(&k->lock);
	make_prefix(k, peer, prefix);
	at = find(k, prefix);
	if (!above && *at && (*at)->cnt >= k->prefix_max) {
		v = CLIENTS_PREFIX_FULL;
	} else if (!above && k->cnt >= k->max) {
		v = CLIENTS_FULL;
	} else {
		if (!*at) {
			*at = calloc(1, sizeof(**at));
			if (*at)
				(*at)->prefix = *prefix;
		}
		if (*at) {
			(*at)->cnt++;
			k->cnt++;
		} else {
			v = CLIENTS_NO_MEMORY;
		}
	}
	pthread_mutex_unlock(&k->lock);
	return v;
}

void clients_leave(struct clients *k, const struct clients_prefix *prefix)
{
	struct entry **at, *e;

	pthread_mutex_lock(&k->lock);
	at = find(k, prefix);
	e = *at;
	if (e) {
		k->cnt--;
		if (--e->cnt == 0) {
			*at = e->next;
			free(e);
		}
	}
	pthread_mutex_unlock(&k->lock);
}

unsigned clients_cnt(struct clients *k)
{
	return atomic_load_explicit(&k->cnt, memory_order_relaxed);
}

bool clients_full(struct clients *k)
{
	return clients_cnt(k) >= atomic_load_explicit(&k->max, memory_order_relaxed);
}

void clients_free(struct clients *k)
{
	if (!k)
		return;
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct entry *e = k->bucket[i], *next; e; e = next) {
			next = e->next;
			free(e);
		}
	pthread_mutex_destroy(&k->lock);
	free(k);
}
