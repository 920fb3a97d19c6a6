/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/load/prepare.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "dataplane/answer/answer.h"

#define ROOM ((size_t)PREPARE_UNIT << 32) /* all that a reference reaches; taken as touched */
#define ETHER 14
#define TAG 4
#define IPV4 20
#define IPV6 40
#define UDP 8
#define PROTOCOL_UDP 17
#define HOPS 64

int prepare_init(struct prepare_store *s, const struct prepare_peers *peers)
{
	*s = (struct prepare_store){ .peers = *peers, .next = 1 };
	if (s->peers.sources == 0)
		s->peers.sources = 1;
	s->base = mmap(NULL, ROOM, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s->base == MAP_FAILED) {
		s->base = NULL;
		return -ENOMEM;
	}
	/* Where the kernel has huge pages to give, walking through the queries costs no
	 * TLB misses; where it has none, nothing is lost. */
	madvise(s->base, ROOM, MADV_HUGEPAGE);
	return 0;
}

void prepare_free(struct prepare_store *s)
{
	if (s->base)
		munmap(s->base, ROOM);
	s->base = NULL;
}

/* The ones' complement sum (RFC 1071) of octets at an even place of their datagram. */
static uint32_t sum_add(uint32_t sum, const uint8_t *p, size_t len)
{
	for (; len > 1; p += 2, len -= 2)
		sum += wire_read16(p);
	return len ? sum + (uint32_t)(p[0] << 8) : sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* The n-th address behind `first`, counted in the last four octets. */
static void address_nth(uint8_t *out, const uint8_t *first, size_t len, uint32_t n)
{
	memcpy(out, first, len);
	wire_write32(out + len - 4, wire_read32(first + len - 4) + n);
}

static size_t write_ether(uint8_t *frame, const struct prepare_peers *peers, bool six)
{
	size_t at = 12;

	memcpy(frame, peers->mac_to, 6);
	memcpy(frame + 6, peers->mac_from, 6);
	for (unsigned i = 0; i < peers->tag_cnt; i++, at += TAG) {
		/* The outer of two tags is a service tag (IEEE 802.1ad). */
		wire_write16(frame + at, i + 1 < peers->tag_cnt ? 0x88a8 : 0x8100);
		wire_write16(frame + at + 2, peers->tag[i]);
	}
	wire_write16(frame + at, six ? 0x86dd : 0x0800);
	return at + 2;
}

static size_t write_ipv4(uint8_t *ip, const struct prepare_peers *peers, uint32_t n, size_t udp_len)
{
	memset(ip, 0, IPV4);
	ip[0] = 0x45;
	wire_write16(ip + 2, (uint16_t)(IPV4 + udp_len));
	wire_write16(ip + 6, 0x4000); /* DF */
	ip[8] = HOPS;
	ip[9] = PROTOCOL_UDP;
	address_nth(ip + 12, peers->source4, 4, n);
	memcpy(ip + 16, peers->server4, 4);
	wire_write16(ip + 10, (uint16_t)~sum_fold(sum_add(0, ip, IPV4)));
	return IPV4;
}

static size_t write_ipv6(uint8_t *ip, const struct prepare_peers *peers, uint32_t n, size_t udp_len)
{
	memset(ip, 0, 8);
	ip[0] = 0x60;
	wire_write16(ip + 4, (uint16_t)udp_len);
	ip[6] = PROTOCOL_UDP;
	ip[7] = HOPS;
	address_nth(ip + 8, peers->source6, 16, n);
	memcpy(ip + 24, peers->server6, 16);
	return IPV6;
}

struct prepared *prepare_add(struct prepare_store *s, const uint8_t *msg, size_t len, int *error)
{
	struct prepare_peers *peers = &s->peers;
	struct prepared *p = (struct prepared *)(s->base + (size_t)s->next * PREPARE_UNIT);
	bool six = peers->use6 &&
		   (!peers->use4 || (uint64_t)s->cnt * peers->share6 / 100 !=
					    (uint64_t)(s->cnt + 1) * peers->share6 / 100);
	size_t udp_len = UDP + len, ip, end;
	uint32_t number = six ? s->asked6 : s->asked4, sum;

	*error = 0;
	if (len < DNS_HEADER || len > PREPARE_MESSAGE || msg[2] & 0x80 || wire_read16(msg + 4) != 1)
		return NULL;
	end = name_skip(msg, DNS_HEADER, len);
	if (end == 0 || len - end < 4)
		return NULL;
	if (s->next > UINT32_MAX - 4096 / PREPARE_UNIT) {
		*error = -ENOMEM;
		return NULL;
	}

	ip = write_ether(p->frame, peers, six);
	/* Addresses take turns; a multiplier prime to most counts keeps neighbours apart. */
	number = (uint32_t)((uint64_t)number * 7919 % peers->sources);
	p->dns = (uint8_t)(ip + UDP + (six ? write_ipv6(p->frame + ip, peers, number, udp_len)
					   : write_ipv4(p->frame + ip, peers, number, udp_len)));
	uint8_t *udp = p->frame + p->dns - UDP;

	wire_write16(udp, 0);
	wire_write16(udp + 2, peers->port);
	wire_write16(udp + 4, (uint16_t)udp_len);
	wire_write16(udp + 6, 0);
	memcpy(udp + UDP, msg, len);
	wire_write16(udp + UDP, 0);
	sum = PROTOCOL_UDP + (uint32_t)udp_len;
	sum = six ? sum_add(sum, p->frame + ip + 8, 32) : sum_add(sum, p->frame + ip + 12, 8);
	p->sum = sum_fold(sum_add(sum, udp, udp_len));
	p->len = (uint16_t)(p->dns + len);
	p->question_len = (uint16_t)(end + 4 - DNS_HEADER);
	p->rcode = RCODE_UNKNOWN;
	p->sample = 0;
	p->pad = 0;
	*(six ? &s->asked6 : &s->asked4) += 1;
	s->cnt++;
	s->next += prepare_units(p);
	return p;
}
