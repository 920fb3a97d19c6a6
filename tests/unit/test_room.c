/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections of two made-up transports, and newcomers. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stddef.h>
#include <string.h>

#include "control/serve/room.h"

#define CONNS 2000

struct conn {
	struct room_place place; /* first: container of it */
	enum room_state state;
	bool there;
	char transport;
};

static struct clients *clients;
static struct room room, second; /* of two threads */
static struct conn conn[CONNS];
static unsigned cnt;
static uint64_t asked_at; /* the time that state was last told */

static enum room_state state(const struct room_place *p, uint64_t now)
{
	asked_at = now;
	return ((const struct conn *)p)->state;
}

static void evict(struct room *r, struct room_place *p, char transport)
{
	struct conn *c = (struct conn *)p;

	cr_assert(c->there);
	cr_assert_eq(c->transport, transport, "ended by another transport");
	c->there = false;
	room_remove(r, p);
}

static void evict_a(struct room_place *p, uint64_t now)
{
	cr_assert_eq(now, 7);
	evict(&room, p, 'a');
}

static void evict_b(struct room_place *p, uint64_t now)
{
	cr_assert_eq(now, 7);
	evict(&room, p, 'b');
}

static const struct room_keeper a = {state, evict_a}, b = {state, evict_b};

static void limit(unsigned all, unsigned prefix)
{
	const struct config c = {
		.tcp_max_clients = all, .tcp_max_prefix = prefix, .tcp_ipv4_prefix = 24, .tcp_ipv6_prefix = 56,
	};

	clients = clients_create(&c);
	room_init(&room, clients);
	room_init(&second, clients);
}

/* One more from the network 10.0.`net`.0/24; NULL when it is refused. */
static struct conn *come_to(struct room *r, const struct room_keeper *keeper, unsigned net, bool may_evict)
{
	struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000001 | net << 8)};
	struct clients_prefix prefix;
	struct conn *c = &conn[cnt];

	if (room_admit(r, (struct sockaddr *)&peer, may_evict, 7, &prefix) != CLIENTS_TAKEN)
		return NULL;
	cnt++;
	*c = (struct conn){.state = ROOM_RESTS, .there = true, .transport = keeper == &a ? 'a' : 'b'};
	room_add(r, &c->place, keeper, &prefix);
	return c;
}

static struct conn *come(const struct room_keeper *keeper, unsigned net)
{
	return come_to(&room, keeper, net, true);
}

static void leave_all(void)
{
	while (room.all.next != &room.all)
		room_remove(&room, (struct room_place *)room.all.next);
	while (second.all.next != &second.all)
		room_remove(&second, (struct room_place *)second.all.next);
	cr_expect_eq(clients_cnt(clients), 0);
	clients_free(clients);
}

Test(room, who_rested_longest_goes_whatever_its_transport)
{
	limit(4, 4);

	struct conn *one = come(&a, 1), *two = come(&b, 2), *three = come(&a, 3), *four = come(&b, 4);

	room_touch(&room, &one->place);
	cr_assert(come(&a, 5));
	cr_expect_not(two->there, "a newcomer of one transport takes the place of another's connection");
	cr_assert(come(&b, 6));
	cr_expect_not(three->there);
	cr_assert(come(&b, 7));
	cr_expect_not(four->there);
	cr_assert(come(&b, 8));
	cr_expect_not(one->there);
	cr_expect_eq(asked_at, 7);
	cr_expect_eq(clients_cnt(clients), 4);
	leave_all();
}

Test(room, a_full_prefix_has_its_own_to_go)
{
	limit(5, 2);

	struct conn *other = come(&a, 1), *one = come(&b, 2), *two = come(&a, 2);

	cr_assert(come(&a, 2));
	cr_expect_not(one->there);
	cr_assert(come(&b, 2));
	cr_expect_not(two->there);
	cr_expect(other->there, "of another prefix");
	leave_all();
}

Test(room, who_is_busy_stays)
{
	limit(3, 3);

	struct conn *busy = come(&a, 1), *stuck = come(&b, 2), *rests = come(&a, 3);

	busy->state = ROOM_BUSY;
	stuck->state = ROOM_STUCK;
	come(&b, 4)->state = ROOM_BUSY;
	cr_expect_not(rests->there, "who rests goes before who is stuck");
	come(&a, 5)->state = ROOM_BUSY;
	cr_expect_not(stuck->there);
	cr_expect_null(come(&b, 6), "nobody can go");
	cr_expect_eq(clients_cnt(clients), 3);
	leave_all();
}

Test(room, nobody_goes_for_who_may_not_evict)
{
	limit(1, 1);

	struct conn *one = come_to(&room, &a, 1, false);

	cr_assert(one);
	cr_expect_null(come_to(&room, &b, 1, false));
	cr_expect_null(come_to(&room, &b, 2, false));
	cr_expect(one->there);
	leave_all();
}

/* The places are all another thread's. */
Test(room, a_thread_with_none_may_have_one)
{
	limit(2, 1);
	come_to(&second, &a, 1, true);
	come_to(&second, &a, 2, true);
	cr_expect(come(&b, 1), "in spite of its prefix and of all");
	cr_expect_eq(clients_cnt(clients), 3);
	cr_expect(come(&a, 3));
	cr_expect_eq(clients_cnt(clients), 3, "but never a second");
	leave_all();
}

/* However many of other prefixes have rested longer. */
Test(room, its_prefix_is_found_among_many)
{
	limit(CONNS, 1);
	for (unsigned i = 0; i < 1000; i++)
		come(i % 2 ? &a : &b, i);

	struct conn *one = come(&a, 5000);

	cr_assert(come(&b, 5000));
	cr_expect_not(one->there);
	cr_expect_eq(clients_cnt(clients), 1001);
	leave_all();
}
