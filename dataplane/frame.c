/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dataplane/frame.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100 /* IEEE 802.1Q customer tag */
#define ETHERTYPE_SVLAN 0x88a8 /* IEEE 802.1ad service tag */

#define PROTOCOL_UDP 17
#define REPLY_TTL 64 /* hops; the default of RFC 1700 and of the hosts around us */

#define IPV4_DF 0x4000
#define IPV4_FRAGMENT 0x3fff /* MF and the fragment offset (RFC 791 3.1) */

/* Next header values that are extension headers (RFC 8200 4.1 and the IANA list). */
static const uint8_t extension[] = { 0, 43, 44, 50, 51, 60, 135, 139, 140, 253, 254 };

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* ---- the address set ---- */

static unsigned address_bucket(const uint8_t addr[16], uint16_t port_be)
{
	uint64_t hi, lo;

	memcpy(&hi, addr, 8);
	memcpy(&lo, addr + 8, 8);
	hi = (hi ^ port_be) * UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio */
	hi ^= hi >> 32;
	lo = (lo ^ hi) * UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned)(lo >> 32) % FRAME_BUCKETS;
}

/* The bucket that holds the address, or the empty one where it would be.  Ends,
 * since at least half the buckets are empty. */
static unsigned address_find(const struct frame_addresses *set, const uint8_t addr[16],
			     uint16_t port_be)
{
	unsigned at = address_bucket(addr, port_be);

	while (set->bucket[at].used && (set->bucket[at].port_be != port_be ||
					memcmp(set->bucket[at].addr, addr, 16) != 0))
		at = (at + 1) % FRAME_BUCKETS;
	return at;
}

int frame_addresses_add(struct frame_addresses *set, const struct sockaddr_storage *sa)
{
	struct frame_address a = { .used = true };

	if (sa->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;

		memcpy(a.addr, mapped, 12);
		memcpy(a.addr + 12, &in->sin_addr, 4);
		a.port_be = in->sin_port;
	} else if (sa->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;

		memcpy(a.addr, &in6->sin6_addr, 16);
		a.port_be = in6->sin6_port;
	} else {
		return -EAFNOSUPPORT;
	}

	unsigned at = address_find(set, a.addr, a.port_be);

	if (set->bucket[at].used)
		return 0;
	if (set->cnt == FRAME_ADDRESSES)
		return -ENOSPC;
	set->bucket[at] = a;
	set->cnt++;
	return 0;
}

bool frame_addresses_has(const struct frame_addresses *set, const uint8_t addr[16],
			 uint16_t port_be)
{
	return set->bucket[address_find(set, addr, port_be)].used;
}

/* ---- the Internet checksum (RFC 1071) ---- */

static inline uint64_t load8(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, 8);
	return word;
}

/* The two halves of eight octets, which add up without a carry that would have to be waited for. */
static inline uint64_t halves(uint64_t word)
{
	return (word & 0xffffffff) + (word >> 32);
}

/* Adds p[0..len), 64 KiB at most, to a ones' complement sum that is folded only at the end.  The
 * words are taken in memory order: RFC 1071 2(B) makes that come out right in
 * either byte order, as long as every piece but the last has even length. */
static inline uint64_t sum_add(uint64_t sum, const uint8_t *p, size_t len)
{
	uint64_t other = 0;

	for (; len >= 32; p += 32, len -= 32) {
		sum += halves(load8(p)) + halves(load8(p + 8));
		other += halves(load8(p + 16)) + halves(load8(p + 24));
	}
	for (; len >= 8; p += 8, len -= 8)
		other += halves(load8(p));
	sum += other;
	if (len & 4) {
		uint32_t word;

		memcpy(&word, p, 4);
		sum += word;
		p += 4;
	}
	if (len & 2) {
		uint16_t word;

		memcpy(&word, p, 2);
		sum += word;
		p += 2;
	}
	if (len & 1) {
		uint16_t word = 0;

		memcpy(&word, p, 1);
		sum += word;
	}
	return sum;
}

/* The 16-bit sum, in memory order like its input. */
static uint16_t sum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Sum of the UDP pseudo-header (RFC 768, RFC 8200 8.1) and the datagram. */
static uint64_t sum_udp(const struct frame *f, const uint8_t *data, uint16_t udp_len)
{
	const uint8_t *ip = data + f->ip;
	uint8_t pseudo[4] = { 0, PROTOCOL_UDP };
	uint64_t sum;

	put16(pseudo + 2, udp_len);
	sum = sum_add(0, pseudo, sizeof(pseudo));
	if (f->family == 4)
		sum = sum_add(sum, ip + 12, 8);
	else
		sum = sum_add(sum, ip + 8, 32);
	return sum_add(sum, data + f->udp, udp_len);
}

/* ---- parsing ---- */

/* An IPv4 sender that a reply can be sent to. */
static bool ipv4_source_ok(const uint8_t *a)
{
	static const uint8_t broadcast[4] = { 255, 255, 255, 255 };

	return a[0] != 0 && a[0] != 127 && (a[0] & 0xf0) != 0xe0 &&
	       memcmp(a, broadcast, 4) != 0;
}

/* The same for IPv6: not multicast, ::, ::1, nor an IPv4 address in disguise. */
static bool ipv6_source_ok(const uint8_t *a)
{
	static const uint8_t zero[15];

	if (a[0] == 0xff)
		return false;
	if (a[0] != 0)
		return true;
	return !(memcmp(a, zero, 15) == 0 && a[15] <= 1) && memcmp(a, mapped, 12) != 0;
}

static bool is_extension(uint8_t next_header)
{
	for (size_t i = 0; i < sizeof(extension); i++)
		if (extension[i] == next_header)
			return true;
	return false;
}

/* Each of the following reads one layer.  *at is where it begins, and behind it
 * on success; `end` is where the enclosing layer ends, at <= end. */

static bool parse_ether(struct frame *f, const struct frame_rules *rules,
			const uint8_t *data, size_t *at, size_t end, uint16_t *type)
{
	f->reason = CNT_DROP_ETHER;
	if (end - *at < FRAME_ETHER)
		return false;
	if (rules->check_mac && memcmp(data, rules->mac, 6) != 0)
		return false;
	if (data[6] & 1) /* a group address is never a source (IEEE 802.3 3.2.3) */
		return false;
	*type = get16(data + 12);
	*at = FRAME_ETHER;
	for (unsigned tags = 0; *type == ETHERTYPE_VLAN || *type == ETHERTYPE_SVLAN; tags++) {
		if (tags == FRAME_TAGS || end - *at < FRAME_VLAN)
			return false;
		*type = get16(data + *at + 2);
		*at += FRAME_VLAN;
	}
	return *type == ETHERTYPE_IPV4 || *type == ETHERTYPE_IPV6;
}

static bool parse_ipv4(struct frame *f, const struct frame_rules *rules,
		       const uint8_t *data, size_t *at, size_t *end, uint8_t addr[16])
{
	const uint8_t *ip = data + *at;

	f->reason = CNT_DROP_IP;
	if (*end - *at < FRAME_IPV4 || ip[0] != 0x45) /* version 4, no options */
		return false;

	uint16_t total = get16(ip + 2);

	if (total < FRAME_IPV4 || total > *end - *at)
		return false;
	if (get16(ip + 6) & IPV4_FRAGMENT)
		return false;
	if (!ipv4_source_ok(ip + 12))
		return false;
	if (rules->check_sums && sum_fold(sum_add(0, ip, FRAME_IPV4)) != 0xffff) {
		f->reason = CNT_DROP_CHECKSUM;
		return false;
	}
	f->reason = CNT_DROP_ADDRESS;
	if (ip[9] != PROTOCOL_UDP)
		return false;
	memcpy(addr, mapped, 12);
	memcpy(addr + 12, ip + 16, 4);
	*end = *at + total;
	*at += FRAME_IPV4;
	return true;
}

static bool parse_ipv6(struct frame *f, const uint8_t *data, size_t *at, size_t *end,
		       uint8_t addr[16])
{
	const uint8_t *ip = data + *at;

	f->reason = CNT_DROP_IP;
	if (*end - *at < FRAME_IPV6 || ip[0] >> 4 != 6)
		return false;

	uint16_t length = get16(ip + 4);

	if (length > *end - *at - FRAME_IPV6)
		return false;
	if (is_extension(ip[6]) || !ipv6_source_ok(ip + 8))
		return false;
	f->reason = CNT_DROP_ADDRESS;
	/* The set holds IPv4 addresses in this form; on the wire it is nobody's. */
	if (ip[6] != PROTOCOL_UDP || memcmp(ip + 24, mapped, 12) == 0)
		return false;
	memcpy(addr, ip + 24, 16);
	*end = *at + FRAME_IPV6 + length;
	*at += FRAME_IPV6;
	return true;
}

bool frame_parse(struct frame *f, const struct frame_rules *rules, const uint8_t *data,
		 size_t len)
{
	size_t at = 0, end = len;
	uint16_t type;
	uint8_t addr[16];

	if (!parse_ether(f, rules, data, &at, end, &type))
		return false;

	f->ip = (uint16_t)at;
	if (type == ETHERTYPE_IPV4) {
		f->family = 4;
		if (!parse_ipv4(f, rules, data, &at, &end, addr))
			return false;
	} else {
		f->family = 6;
		if (!parse_ipv6(f, data, &at, &end, addr))
			return false;
	}

	f->udp = (uint16_t)at;
	f->reason = CNT_DROP_UDP;
	if (end - at < FRAME_UDP)
		return false;

	const uint8_t *udp = data + at;
	uint16_t udp_len = get16(udp + 4);
	uint16_t port_be;

	memcpy(&port_be, udp + 2, 2);
	if (udp_len < FRAME_UDP || udp_len > end - at || get16(udp) == 0)
		return false;
	if (!frame_addresses_has(rules->addresses, addr, port_be)) {
		f->reason = CNT_DROP_ADDRESS;
		return false;
	}

	uint16_t sum = get16(udp + 6);

	f->reason = CNT_DROP_CHECKSUM;
	if (sum == 0 && f->family == 6)
		return false;
	/* Over IPv4, 0 says that the sender made none (RFC 768). */
	if (rules->check_sums && sum != 0 && sum_fold(sum_udp(f, data, udp_len)) != 0xffff)
		return false;

	f->payload = f->udp + FRAME_UDP;
	f->payload_len = udp_len - FRAME_UDP;
	return true;
}

void frame_source(const struct frame *f, const uint8_t *data, struct punt_entry *e)
{
	const uint8_t *ip = data + f->ip;

	e->family = f->family;
	e->pad = 0;
	memset(e->src, 0, sizeof(e->src));
	memset(e->dst, 0, sizeof(e->dst));
	if (f->family == 4) {
		memcpy(e->src, ip + 12, 4);
		memcpy(e->dst, ip + 16, 4);
	} else {
		memcpy(e->src, ip + 8, 16);
		memcpy(e->dst, ip + 24, 16);
	}
	memcpy(&e->src_port_be, data + f->udp, 2);
	memcpy(&e->dst_port_be, data + f->udp + 2, 2);
}

const uint8_t *frame_client(const struct frame *f, const uint8_t *data, uint8_t *len)
{
	*len = f->family == 4 ? 4 : 16;
	return data + f->ip + (f->family == 4 ? 12 : 8);
}

size_t frame_max_payload(const struct frame *f, const struct frame_rules *rules)
{
	size_t headers = (size_t)(f->payload - FRAME_ETHER);

	return rules->mtu > headers ? rules->mtu - headers : 0;
}

/* ---- the reply ---- */

static void swap(uint8_t *a, uint8_t *b, size_t len)
{
	uint8_t t[16];

	memcpy(t, a, len);
	memcpy(a, b, len);
	memcpy(b, t, len);
}

size_t frame_reply(const struct frame *f, const struct frame_rules *rules, uint8_t *data,
		   size_t payload_len)
{
	uint8_t *ip = data + f->ip, *udp = data + f->udp;
	uint16_t udp_len = (uint16_t)(FRAME_UDP + payload_len);

	swap(data, data + 6, 6);
	if (data[6] & 1)
		memcpy(data + 6, rules->mac, 6);

	if (f->family == 4) {
		static const uint8_t start[2] = { 0x45, 0 };
		uint16_t sum;

		memcpy(ip, start, 2);
		put16(ip + 2, (uint16_t)(FRAME_IPV4 + udp_len));
		put16(ip + 4, 0);
		put16(ip + 6, IPV4_DF);
		ip[8] = REPLY_TTL;
		put16(ip + 10, 0);
		swap(ip + 12, ip + 16, 4);
		sum = (uint16_t)~sum_fold(sum_add(0, ip, FRAME_IPV4));
		memcpy(ip + 10, &sum, 2);
	} else {
		static const uint8_t start[4] = { 0x60 };

		memcpy(ip, start, 4);
		put16(ip + 4, udp_len);
		ip[7] = REPLY_TTL;
		swap(ip + 8, ip + 24, 16);
	}

	swap(udp, udp + 2, 2);
	put16(udp + 4, udp_len);
	put16(udp + 6, 0);

	uint16_t sum = (uint16_t)~sum_fold(sum_udp(f, data, udp_len));

	if (sum == 0)
		sum = 0xffff;
	memcpy(udp + 6, &sum, 2);
	return f->payload + payload_len;
}
