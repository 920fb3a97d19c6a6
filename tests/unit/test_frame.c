/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/frame.h"

static const uint8_t our_mac[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t client_mac[6] = { 2, 0, 0, 0, 0, 2 };

static void add(struct frame_addresses *set, const char *text, uint16_t port)
{
	struct sockaddr_storage ss = { 0 };
	struct sockaddr_in *in = (void *)&ss;
	struct sockaddr_in6 *in6 = (void *)&ss;

	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
	} else {
		cr_assert_eq(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
	}
	cr_assert_eq(frame_addresses_add(set, &ss), 0);
}

static const struct frame_rules *rules(bool check_sums)
{
	static struct frame_addresses set;
	static struct frame_rules r = { .addresses = &set, .mtu = 1500, .check_mac = true };

	if (set.cnt == 0) {
		add(&set, "10.53.0.1", 53);
		add(&set, "fd53::1", 53);
		memcpy(r.mac, our_mac, 6);
	}
	r.check_sums = check_sums;
	return &r;
}

/* What makes up a test frame; the zero value of a field is the ordinary case. */
struct recipe {
	int family;           /* 4 or 6 */
	unsigned tags;        /* VLAN tags: the outer 0x88a8 when there are two */
	size_t payload_len;
	bool no_sum;          /* UDP checksum 0 */
};

/* The checksum by the letter of RFC 1071: big-endian words, one after the other. */
static uint16_t naive_sum(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	uint32_t sum = 0;

	cr_assert_eq(a_len % 2, 0);
	for (size_t i = 0; i < a_len; i += 2)
		sum += (uint32_t)(a[i] << 8 | a[i + 1]);
	for (size_t i = 0; i < b_len; i += 2)
		sum += (uint32_t)(b[i] << 8 | (i + 1 < b_len ? b[i + 1] : 0));
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Checksum over pseudo-header and datagram; 0 when a stored one is right. */
static uint16_t naive_udp_sum(int family, const uint8_t *ip, const uint8_t *udp, size_t len)
{
	uint8_t pseudo[40] = { 0 };
	size_t n;

	if (family == 4) {
		memcpy(pseudo, ip + 12, 8);
		n = 8;
	} else {
		memcpy(pseudo, ip + 8, 32);
		n = 32;
	}
	pseudo[n + 1] = 17;
	pseudo[n + 2] = (uint8_t)(len >> 8);
	pseudo[n + 3] = (uint8_t)len;
	return naive_sum(pseudo, n + 4, udp, len);
}

static size_t build(uint8_t *data, const struct recipe *r)
{
	uint8_t *p = data;
	size_t udp_len = 8 + r->payload_len;

	memcpy(p, our_mac, 6);
	memcpy(p + 6, client_mac, 6);
	p += 12;
	for (unsigned i = 0; i < r->tags; i++) {
		uint16_t type = i + 1 < r->tags ? 0x88a8 : 0x8100;

		*p++ = (uint8_t)(type >> 8);
		*p++ = (uint8_t)type;
		*p++ = 0x60;
		*p++ = (uint8_t)(10 + i);
	}
	*p++ = r->family == 4 ? 0x08 : 0x86;
	*p++ = r->family == 4 ? 0x00 : 0xdd;

	uint8_t *ip = p;

	if (r->family == 4) {
		uint8_t h[20] = { 0x45, 3, (uint8_t)((20 + udp_len) >> 8), (uint8_t)(20 + udp_len),
				  0x12, 0x34, 0x40, 0, 37, 17, 0, 0, 10, 53, 0, 2, 10, 53, 0, 1 };
		uint16_t sum = naive_sum(h, 20, NULL, 0);

		h[10] = (uint8_t)(sum >> 8);
		h[11] = (uint8_t)sum;
		memcpy(p, h, 20);
		p += 20;
	} else {
		uint8_t h[40] = { 0x60, 1, 2, 3, (uint8_t)(udp_len >> 8), (uint8_t)udp_len, 17, 55 };

		inet_pton(AF_INET6, "fd53::2", h + 8);
		inet_pton(AF_INET6, "fd53::1", h + 24);
		memcpy(p, h, 40);
		p += 40;
	}

	uint8_t udp[8] = { 0xc0, 0x01, 0, 53, (uint8_t)(udp_len >> 8), (uint8_t)udp_len };

	memcpy(p, udp, 8);
	for (size_t i = 0; i < r->payload_len; i++)
		p[8 + i] = (uint8_t)(i * 7 + 1);
	if (!r->no_sum) {
		uint16_t sum = naive_udp_sum(r->family, ip, p, udp_len);

		p[6] = (uint8_t)(sum >> 8);
		p[7] = (uint8_t)sum;
	}
	return (size_t)(p - data) + udp_len;
}

/* frame_parse on a heap block of exactly len octets, so that ASan sees overreads. */
static bool parse(struct frame *f, const struct frame_rules *r, const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	bool ok;

	memcpy(copy, data, len);
	memset(f, 0xee, sizeof(*f));
	ok = frame_parse(f, r, copy, len);
	free(copy);
	return ok;
}

static const struct recipe recipes[] = {
	{ 4, 0, 30, false }, { 4, 1, 30, false }, { 4, 2, 31, false }, { 4, 0, 0, true },
	{ 6, 0, 30, false }, { 6, 1, 31, false }, { 6, 2, 30, false }, { 6, 0, 0, false },
};
#define RECIPES (sizeof(recipes) / sizeof(recipes[0]))

Test(frame, understands_every_kind)
{
	for (size_t i = 0; i < RECIPES; i++) {
		const struct recipe *r = &recipes[i];
		uint8_t data[256];
		size_t len = build(data, r);
		size_t ip = 14 + 4 * r->tags, udp = ip + (r->family == 4 ? 20 : 40);
		struct frame f;
		struct punt_entry e;

		for (int sums = 0; sums < 2; sums++) {
			cr_assert(parse(&f, rules(sums), data, len), "recipe %zu", i);
			cr_assert_eq(f.family, r->family);
			cr_assert_eq(f.ip, ip);
			cr_assert_eq(f.udp, udp);
			cr_assert_eq(f.payload, udp + 8);
			cr_assert_eq(f.payload_len, r->payload_len);
			cr_assert_eq(frame_max_payload(&f, rules(sums)), 1500 - (udp + 8 - 14));
		}
		frame_source(&f, data, &e);
		cr_assert_eq(e.family, r->family);
		cr_assert_eq(ntohs(e.src_port_be), 0xc001);
		cr_assert_eq(ntohs(e.dst_port_be), 53);
		cr_assert_eq(e.src[r->family == 4 ? 3 : 15], 2);
		cr_assert_eq(e.dst[r->family == 4 ? 3 : 15], 1);
	}
}

Test(frame, refuses_every_prefix)
{
	for (size_t i = 0; i < RECIPES; i++) {
		uint8_t data[256];
		size_t len = build(data, &recipes[i]);
		struct frame f;

		for (size_t n = 0; n < len; n++)
			cr_assert_not(parse(&f, rules(false), data, n), "recipe %zu, %zu octets", i, n);
	}
}

Test(frame, ignores_padding)
{
	for (size_t i = 0; i < RECIPES; i++) {
		uint8_t data[256];
		size_t len = build(data, &recipes[i]);
		struct frame f;

		memset(data + len, 0xff, 18);
		cr_assert(parse(&f, rules(true), data, len + 18));
		cr_assert_eq(f.payload_len, recipes[i].payload_len);
	}
}

/* One octet of a valid frame changed, and what comes of it. */
static const struct {
	const char *what;
	int family;
	int at;               /* offset in the IP header; from 100 on in UDP; negative in Ethernet */
	uint8_t value;
	enum status_counter reason;
} changes[] = {
	{ "another destination MAC", 4, -14, 4, CNT_DROP_ETHER },
	{ "broadcast frame", 4, -14, 0xff, CNT_DROP_ETHER },
	{ "group source MAC", 4, -8, 3, CNT_DROP_ETHER },
	{ "ARP", 4, -1, 0x06, CNT_DROP_ETHER },
	{ "version 6 under IPv4's ethertype", 4, 0, 0x65, CNT_DROP_IP },
	{ "IPv4 options", 4, 0, 0x46, CNT_DROP_IP },
	{ "IPv4 header of 16 octets", 4, 0, 0x44, CNT_DROP_IP },
	{ "total length too long", 4, 3, 59, CNT_DROP_IP },
	{ "total length below the header", 4, 3, 19, CNT_DROP_IP },
	{ "no room for UDP", 4, 3, 27, CNT_DROP_UDP },
	{ "more fragments", 4, 6, 0x20, CNT_DROP_IP },
	{ "fragment offset, low octet", 4, 7, 1, CNT_DROP_IP },
	{ "fragment offset, high bits", 4, 6, 0x10, CNT_DROP_IP },
	{ "ICMP", 4, 9, 1, CNT_DROP_ADDRESS },
	{ "TCP", 4, 9, 6, CNT_DROP_ADDRESS },
	{ "source 0.0.0.0/8", 4, 12, 0, CNT_DROP_IP },
	{ "source 127/8", 4, 12, 127, CNT_DROP_IP },
	{ "source multicast", 4, 12, 239, CNT_DROP_IP },
	{ "another address", 4, 19, 9, CNT_DROP_ADDRESS },
	{ "another port", 4, 103, 54, CNT_DROP_ADDRESS },
	{ "UDP length too long", 4, 105, 39, CNT_DROP_UDP },
	{ "UDP length below the header", 4, 105, 7, CNT_DROP_UDP },
	{ "UDP length 0", 6, 105, 0, CNT_DROP_UDP },
	{ "version 4 under IPv6's ethertype", 6, 0, 0x45, CNT_DROP_IP },
	{ "payload length too long", 6, 5, 39, CNT_DROP_IP },
	{ "payload length without room for UDP", 6, 5, 7, CNT_DROP_UDP },
	{ "payload length 0 (jumbogram)", 6, 5, 0, CNT_DROP_UDP },
	{ "hop-by-hop options", 6, 6, 0, CNT_DROP_IP },
	{ "routing header", 6, 6, 43, CNT_DROP_IP },
	{ "fragment header", 6, 6, 44, CNT_DROP_IP },
	{ "destination options", 6, 6, 60, CNT_DROP_IP },
	{ "ICMPv6", 6, 6, 58, CNT_DROP_ADDRESS },
	{ "IPv6 source multicast", 6, 8, 0xff, CNT_DROP_IP },
	{ "another IPv6 address", 6, 39, 9, CNT_DROP_ADDRESS },
};

Test(frame, refuses_each_with_its_reason)
{
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct recipe r = { .family = changes[i].family, .payload_len = 30 };
		uint8_t data[256];
		size_t len = build(data, &r);
		size_t ip_len = r.family == 4 ? 20 : 40;
		int at = changes[i].at;
		struct frame f;

		data[at >= 100 ? 14 + ip_len + (size_t)(at - 100) : (size_t)(14 + at)] = changes[i].value;
		cr_assert_not(parse(&f, rules(false), data, len), "%s", changes[i].what);
		cr_assert_eq(f.reason, changes[i].reason, "%s: reason %d", changes[i].what, f.reason);
	}
}

Test(frame, refuses_senders_without_address)
{
	static const char *const sources[] = { "::", "::1", "::ffff:10.53.0.2", "ff02::1" };
	struct recipe r = { .family = 6, .payload_len = 30 };
	uint8_t data[256];
	size_t len = build(data, &r);
	struct frame f;

	for (size_t i = 0; i < 4; i++) {
		inet_pton(AF_INET6, sources[i], data + 22);
		cr_assert_not(parse(&f, rules(false), data, len));
		cr_assert_eq(f.reason, CNT_DROP_IP, "%s", sources[i]);
	}
	inet_pton(AF_INET6, "::2", data + 22);
	cr_assert(parse(&f, rules(false), data, len));

	r.family = 4;
	len = build(data, &r);
	memset(data + 26, 0xff, 4);
	cr_assert_not(parse(&f, rules(false), data, len), "255.255.255.255");
	data[29] = 0xfe;
	cr_assert(parse(&f, rules(false), data, len));
	memset(data + 34, 0, 2);
	cr_assert_not(parse(&f, rules(false), data, len), "source port 0");
	cr_assert_eq(f.reason, CNT_DROP_UDP);
}

/* An IPv6 header that names ::ffff:10.53.0.1 is not one to 10.53.0.1. */
Test(frame, bug_mapped_destination)
{
	struct recipe r = { .family = 6, .payload_len = 30 };
	uint8_t data[256];
	size_t len = build(data, &r);
	struct frame f;

	inet_pton(AF_INET6, "::ffff:10.53.0.1", data + 38);
	cr_assert_not(parse(&f, rules(false), data, len));
	cr_assert_eq(f.reason, CNT_DROP_ADDRESS);
}

Test(frame, refuses_three_tags)
{
	struct recipe r = { .family = 4, .tags = 3, .payload_len = 30 };
	uint8_t data[256];
	size_t len = build(data, &r);
	struct frame f;

	cr_assert_not(parse(&f, rules(false), data, len));
	cr_assert_eq(f.reason, CNT_DROP_ETHER);
}

Test(frame, answers_any_mac_where_told)
{
	struct recipe r = { .family = 4, .payload_len = 30 };
	struct frame_rules any = *rules(true);
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	uint8_t data[256];
	size_t len = build(data, &r);
	struct frame f;

	any.check_mac = false;
	data[0] = 4;
	cr_assert(parse(&f, &any, data, len));
	frame_reply(&f, &any, data, 30);
	cr_assert_eq(data[6], 4);
	cr_assert_eq(memcmp(data, client_mac, 6), 0);

	len = build(data, &r);
	memcpy(data, broadcast, 6);
	cr_assert(parse(&f, &any, data, len));
	frame_reply(&f, &any, data, 30);
	cr_assert_eq(memcmp(data + 6, our_mac, 6), 0, "a group address is no source");
}

Test(frame, verifies_checksums_where_told)
{
	for (size_t i = 0; i < RECIPES; i++) {
		if (recipes[i].no_sum)
			continue;

		uint8_t data[256];
		size_t len = build(data, &recipes[i]);
		size_t ip = 14 + 4 * recipes[i].tags;
		size_t udp = ip + (recipes[i].family == 4 ? 20 : 40);
		struct frame f;

		data[udp + 6] ^= 1;
		cr_assert(parse(&f, rules(false), data, len));
		cr_assert_not(parse(&f, rules(true), data, len));
		cr_assert_eq(f.reason, CNT_DROP_CHECKSUM);
		data[udp + 6] ^= 1;
		if (recipes[i].family == 4) {
			data[ip + 8]--; /* a router that forgot the header checksum */
			cr_assert(parse(&f, rules(false), data, len));
			cr_assert_not(parse(&f, rules(true), data, len));
			cr_assert_eq(f.reason, CNT_DROP_CHECKSUM);
		}
	}
}

Test(frame, ipv6_needs_a_checksum)
{
	struct recipe r = { .family = 6, .payload_len = 30, .no_sum = true };
	uint8_t data[256];
	size_t len = build(data, &r);
	struct frame f;

	cr_assert_not(parse(&f, rules(false), data, len));
	cr_assert_eq(f.reason, CNT_DROP_CHECKSUM);
}

/* Checks everything in a reply but its payload against the query's recipe. */
static void check_reply(const struct recipe *r, const uint8_t *query, const uint8_t *reply,
			size_t len, size_t payload_len)
{
	size_t ip = 14 + 4 * r->tags, udp = ip + (r->family == 4 ? 20 : 40);
	size_t udp_len = 8 + payload_len;

	cr_assert_eq(len, udp + udp_len);
	cr_assert_eq(memcmp(reply, client_mac, 6), 0);
	cr_assert_eq(memcmp(reply + 6, our_mac, 6), 0);
	cr_assert_eq(memcmp(reply + 12, query + 12, ip - 12), 0, "tags and ethertype stay");
	if (r->family == 4) {
		uint8_t want[12] = { 0x45, 0, (uint8_t)((20 + udp_len) >> 8), (uint8_t)(20 + udp_len),
				     0, 0, 0x40, 0, 64, 17, reply[ip + 10], reply[ip + 11] };

		cr_assert_eq(memcmp(reply + ip, want, 12), 0);
		cr_assert_eq(naive_sum(reply + ip, 20, NULL, 0), 0);
		cr_assert_eq(memcmp(reply + ip + 12, query + ip + 16, 4), 0);
		cr_assert_eq(memcmp(reply + ip + 16, query + ip + 12, 4), 0);
	} else {
		uint8_t want[8] = { 0x60, 0, 0, 0, (uint8_t)(udp_len >> 8), (uint8_t)udp_len, 17, 64 };

		cr_assert_eq(memcmp(reply + ip, want, 8), 0);
		cr_assert_eq(memcmp(reply + ip + 8, query + ip + 24, 16), 0);
		cr_assert_eq(memcmp(reply + ip + 24, query + ip + 8, 16), 0);
	}
	cr_assert_eq(memcmp(reply + udp, query + udp + 2, 2), 0);
	cr_assert_eq(memcmp(reply + udp + 2, query + udp, 2), 0);
	cr_assert_eq((size_t)(reply[udp + 4] << 8 | reply[udp + 5]), udp_len);
	cr_assert(reply[udp + 6] | reply[udp + 7], "the checksum is always written");
	cr_assert_eq(naive_udp_sum(r->family, reply + ip, reply + udp, udp_len), 0);
}

Test(frame, replies_of_every_length)
{
	srand(53);
	for (size_t i = 0; i < RECIPES; i++) {
		for (size_t payload_len = 0; payload_len <= 1452; payload_len++) {
			uint8_t query[1600], reply[1600];
			size_t len = build(query, &recipes[i]);
			struct frame f;

			cr_assert(frame_parse(&f, rules(true), query, len));
			memcpy(reply, query, len);
			for (size_t n = 0; n < payload_len; n++)
				reply[f.payload + n] = (uint8_t)rand();
			len = frame_reply(&f, rules(true), reply, payload_len);
			check_reply(&recipes[i], query, reply, len, payload_len);
		}
	}
}

/* RFC 768: a sum that comes out as 0 is sent as 0xffff. */
Test(frame, checksum_zero_is_sent_as_ones)
{
	struct recipe r = { .family = 4, .payload_len = 2 };
	uint8_t query[256], reply[256];
	size_t len = build(query, &r), zeros = 0;
	struct frame f;

	cr_assert(frame_parse(&f, rules(true), query, len));
	for (unsigned v = 0; v <= 0xffff; v++) {
		memcpy(reply, query, len);
		reply[f.payload] = (uint8_t)(v >> 8);
		reply[f.payload + 1] = (uint8_t)v;
		frame_reply(&f, rules(true), reply, 2);
		cr_assert(reply[f.udp + 6] | reply[f.udp + 7]);
		zeros += reply[f.udp + 6] == 0xff && reply[f.udp + 7] == 0xff;
	}
	cr_assert_geq(zeros, (size_t)1);
}

/* A reply turned round again is a frame that would be accepted. */
Test(frame, mutations_are_bounded)
{
	srand(1);
	for (unsigned round = 0; round < 200000; round++) {
		uint8_t data[256];
		size_t len = build(data, &recipes[(unsigned)rand() % RECIPES]);
		struct frame f;

		for (int n = rand() % 4; n >= 0; n--)
			data[(unsigned)rand() % len] = (uint8_t)rand();
		len -= (unsigned)rand() % 3;
		if (!parse(&f, rules(false), data, len)) {
			cr_assert(f.reason >= CNT_DROP_ETHER && f.reason <= CNT_DROP_CHECKSUM);
			continue;
		}
		cr_assert_leq(f.payload + f.payload_len, len);
		cr_assert_eq(f.payload, f.udp + 8);
		cr_assert_eq(frame_reply(&f, rules(false), data, f.payload_len),
			     f.payload + f.payload_len);
	}
}

Test(frame, address_set_is_exact)
{
	struct frame_addresses *set = calloc(1, sizeof(*set));
	struct sockaddr_storage ss = { .ss_family = AF_INET };
	struct sockaddr_in *in = (void *)&ss;
	uint8_t key[16] = { [10] = 0xff, [11] = 0xff };

	for (unsigned i = 0; i < FRAME_ADDRESSES; i++) {
		in->sin_addr.s_addr = htonl(0x0a350000 + i);
		in->sin_port = htons(53);
		cr_assert_eq(frame_addresses_add(set, &ss), 0);
		cr_assert_eq(frame_addresses_add(set, &ss), 0, "twice is once");
	}
	cr_assert_eq(set->cnt, FRAME_ADDRESSES);
	in->sin_addr.s_addr = htonl(0x0a360000);
	cr_assert_eq(frame_addresses_add(set, &ss), -ENOSPC);
	ss.ss_family = AF_UNIX;
	cr_assert_eq(frame_addresses_add(set, &ss), -EAFNOSUPPORT);

	for (unsigned i = 0; i < 0x10000; i++) {
		uint32_t a = htonl(0x0a350000 + i);

		memcpy(key + 12, &a, 4);
		cr_assert_eq(frame_addresses_has(set, key, htons(53)), i < FRAME_ADDRESSES);
		cr_assert_not(frame_addresses_has(set, key, htons(54)));
	}
	free(set);
}
