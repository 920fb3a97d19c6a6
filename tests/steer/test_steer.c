/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The steering program over frames of every kind (BPF_PROG_TEST_RUN), and over a wire. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <criterion/criterion.h>
#include <linux/if_link.h>

#include "bpf/steerctl.h"
#include "reference.h"
#include "stage.h"

#define ETHERNET_MIN 14 /* octets; the kernel runs nothing on less */
#define PAYLOAD_MAX 1232
#define MTU 1500

static struct stage stage;
static struct xsk xsk;
static struct steer_maps maps;
static struct steer_address served[3];
#define SERVED (sizeof(served) / sizeof(served[0]))

/* A frame with the places of its parts. */
struct frame {
	uint8_t octets[2048];
	size_t len, ip, udp, dns;
	int family;
};

static void put16(uint8_t *to, unsigned value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static void ipv4_checksum(struct frame *f)
{
	uint8_t *ip = f->octets + f->ip;
	unsigned sum = 0;

	put16(ip + 10, 0);
	for (int i = 0; i < 20; i += 2)
		sum += ip[i] * 256u + ip[i + 1];
	put16(ip + 10, ~(sum % 0xffff));
}

/* frame_fit - make the IP and UDP lengths say that the message has dns_len octets and
 * that the frame ends with it. */
static void frame_fit(struct frame *f, size_t dns_len)
{
	f->len = f->dns + dns_len;
	put16(f->octets + f->udp + 4, (unsigned)(8 + dns_len));
	if (f->family == AF_INET) {
		put16(f->octets + f->ip + 2, (unsigned)(28 + dns_len));
		ipv4_checksum(f);
	} else {
		put16(f->octets + f->ip + 4, (unsigned)(8 + dns_len));
	}
}

/* frame_query - a query for the root's NS to 10.53.0.1 or fd53::1, port 53. */
static void frame_query(struct frame *f, int family, int tags)
{
	static const uint8_t message[] = { 0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0,
					   0,	 0,    0,    0,	   0, 2, 0, 1 };
	static const uint8_t client[6] = { 2, 0, 0, 0, 0, 1 };
	uint8_t *at = f->octets;

	memset(f, 0, sizeof(*f));
	f->family = family;
	memcpy(at, stage.mac, 6);
	memcpy(at + 6, client, 6);
	at += 12;
	for (int i = 0; i < tags; i++, at += 4) {
		put16(at, i + 1 < tags ? 0x88a8 : 0x8100);
		put16(at + 2, 100 + (unsigned)i);
	}
	put16(at, family == AF_INET ? 0x0800 : 0x86dd);
	at += 2;
	f->ip = (size_t)(at - f->octets);
	if (family == AF_INET) {
		at[0] = 0x45;
		at[6] = 0x40; /* DF */
		at[8] = 64;
		at[9] = IPPROTO_UDP;
		inet_pton(AF_INET, "10.53.0.2", at + 12);
		inet_pton(AF_INET, "10.53.0.1", at + 16);
		at += 20;
	} else {
		at[0] = 0x60;
		at[6] = IPPROTO_UDP;
		at[7] = 64;
		inet_pton(AF_INET6, "fd53::2", at + 8);
		inet_pton(AF_INET6, "fd53::1", at + 24);
		at += 40;
	}
	f->udp = (size_t)(at - f->octets);
	put16(at, 40000);
	put16(at + 2, 53);
	/* The sum is not looked at, but over IPv6 there must be one. */
	put16(at + 6, family == AF_INET ? 0 : 0xbeef);
	f->dns = f->udp + 8;
	memcpy(f->octets + f->dns, message, sizeof(message));
	frame_fit(f, sizeof(message));
}

/* run - the program's verdict on a frame at a queue of steer0.  It must be the verdict of
 * one reason, whose counter alone has moved, by one, and the frame must be as it was. */
static enum steer_reason run(const uint8_t *octets, size_t len, uint32_t queue)
{
	uint64_t before[STEER_REASONS], after[STEER_REASONS];
	uint8_t out[sizeof(((struct frame *)0)->octets)];
	struct xdp_md context = {
		.data_end = (uint32_t)len,
		.ingress_ifindex = stage.ifindex,
		.rx_queue_index = queue,
	};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = octets, .data_size_in = (uint32_t)len,
		    .data_out = out, .data_size_out = sizeof(out), .ctx_in = &context,
		    .ctx_size_in = sizeof(context));
	int reason = -1;
	uint32_t verdict;

	cr_assert_eq(steer_counters(&maps, before), 0);
	cr_assert_eq(bpf_prog_test_run_opts(stage.program, &opts), 0, "test run: %s",
		     strerror(errno));
	cr_assert_eq(steer_counters(&maps, after), 0);
	for (int i = 0; i < STEER_REASONS; i++) {
		if (after[i] == before[i])
			continue;
		cr_assert(after[i] == before[i] + 1 && reason < 0, "%s counted beside %s",
			  steer_reason_name((enum steer_reason)i),
			  reason < 0 ? "itself" : steer_reason_name((enum steer_reason)reason));
		reason = i;
	}
	cr_assert(reason >= 0, "nothing counted");

	verdict = XDP_PASS;
	if (reason == STEER_REDIRECT)
		verdict = XDP_REDIRECT;
	else if (reason == STEER_DROP_RESPONSE || reason == STEER_DROP_SHORT)
		verdict = XDP_DROP;
	cr_assert_eq(opts.retval, verdict, "%s, but verdict %u",
		     steer_reason_name((enum steer_reason)reason), opts.retval);
	cr_assert(opts.data_size_out == len && memcmp(out, octets, len) == 0, "frame changed");
	return (enum steer_reason)reason;
}

#define expect(frame_length, wanted, ...)                                                          \
	do {                                                                                       \
		enum steer_reason got_ = run(f.octets, (frame_length), 0), wanted_ = (wanted);     \
		cr_assert(got_ == wanted_, "%s instead of %s: line %d, family %d, value %ld",      \
			  steer_reason_name(got_), steer_reason_name(wanted_), __LINE__, f.family, \
			  (long)(__VA_ARGS__ + 0));                                                \
	} while (0)

static const int families[] = { AF_INET, AF_INET6 };

#define for_families(family)                                                               \
	for (int family##_at = 0, family; family##_at < 2 && (family = families[family##_at]); \
	     family##_at++)

static void serve(const char *address, uint16_t port, struct sockaddr_storage *sa,
		  struct steer_address *key)
{
	struct sockaddr_in *in = (struct sockaddr_in *)sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;

	memset(sa, 0, sizeof(*sa));
	memset(key, 0, sizeof(*key));
	key->port = htons(port);
	if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
		sa->ss_family = AF_INET;
		in->sin_port = htons(port);
		memset(key->addr + 10, 0xff, 2);
		memcpy(key->addr + 12, &in->sin_addr, 4);
	} else {
		cr_assert_eq(inet_pton(AF_INET6, address, &in6->sin6_addr), 1);
		sa->ss_family = AF_INET6;
		in6->sin6_port = htons(port);
		memcpy(key->addr, &in6->sin6_addr, 16);
	}
}

static void stage_set(void)
{
	struct sockaddr_storage sa[SERVED];

	stage_open(&stage);
	cr_assert_eq(stage_attach(&stage, stage.program, XDP_FLAGS_DRV_MODE), 0);
	cr_assert_eq(steer_maps_open(&maps, stage.ifindex), 0);
	serve("10.53.0.1", 53, &sa[0], &served[0]);
	serve("10.53.0.1", 5300, &sa[1], &served[1]);
	serve("fd53::1", 53, &sa[2], &served[2]);
	cr_assert_eq(steer_set_addresses(&maps, sa, SERVED), 0);
	xsk_open(&xsk, &stage, 0);
}

static void stage_strike(void)
{
	xsk_close(&xsk);
	steer_maps_close(&maps);
	stage_close(&stage);
}

TestSuite(steer, .init = stage_set, .fini = stage_strike, .timeout = 300);

Test(steer, tags)
{
	static const unsigned kinds[2] = { 0x8100, 0x88a8 };
	struct frame f;

	for_families(family) {
		for (int tags = 0; tags <= 3; tags++) {
			/* every mixture of the two kinds of tag */
			for (int mixture = 0; mixture < 1 << tags; mixture++) {
				frame_query(&f, family, tags);
				for (int i = 0; i < tags; i++)
					put16(f.octets + 12 + 4 * i, kinds[mixture >> i & 1]);
				expect(f.len, tags <= 2 ? STEER_REDIRECT : STEER_PASS_NOT_IP,
				       mixture);
			}
		}
		/* QinQ's old ethertype is none of ours */
		frame_query(&f, family, 1);
		put16(f.octets + 12, 0x9100);
		expect(f.len, STEER_PASS_NOT_IP);
	}
}

Test(steer, ethertypes)
{
	struct frame f;

	for_families(family) {
		frame_query(&f, family, 0);
		for (unsigned type = 0; type < 0x10000; type++) {
			enum steer_reason wanted = STEER_PASS_NOT_IP;

			if (type == 0x0800)
				wanted = family == AF_INET ? STEER_REDIRECT : STEER_PASS_MALFORMED;
			else if (type == 0x86dd)
				wanted = family == AF_INET6 ? STEER_REDIRECT : STEER_PASS_MALFORMED;
			put16(f.octets + 12, type);
			expect(f.len, wanted, type);
		}
	}
}

Test(steer, prefixes)
{
	struct frame f;

	for_families(family) {
		for (int tags = 0; tags <= 2; tags++) {
			frame_query(&f, family, tags);
			for (size_t len = ETHERNET_MIN; len < f.len; len++)
				expect(len, STEER_PASS_MALFORMED, len);
			expect(f.len, STEER_REDIRECT);
		}
		/* likewise inside the third tag, which nobody reads */
		frame_query(&f, family, 3);
		for (size_t len = ETHERNET_MIN; len < f.len; len++)
			expect(len, len < 22 ? STEER_PASS_MALFORMED : STEER_PASS_NOT_IP, len);
	}
}

Test(steer, sizes)
{
	struct frame f;

	for_families(family) {
		size_t most = MTU - (family == AF_INET ? 28 : 48);

		for (int tags = 0; tags <= 2; tags++) {
			frame_query(&f, family, tags);
			for (size_t dns_len = 0; dns_len <= most; dns_len++) {
				enum steer_reason wanted = STEER_REDIRECT;

				if (dns_len < 12)
					wanted = STEER_DROP_SHORT;
				else if (dns_len > PAYLOAD_MAX)
					wanted = STEER_PASS_SIZE;
				frame_fit(&f, dns_len);
				expect(f.len, wanted, dns_len);
			}
		}
	}
}

Test(steer, size_setting)
{
	static const uint32_t settings[] = { 1, 12, 13, 512, 1231, 1400, 0xffffffff };
	struct frame f;

	for_families(family) {
		frame_query(&f, family, 0);
		for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
			cr_assert_eq(steer_set_max_payload(&maps, settings[i]), 0);
			for (size_t dns_len = 12; dns_len <= 1450; dns_len++) {
				frame_fit(&f, dns_len);
				expect(f.len,
				       dns_len <= settings[i] ? STEER_REDIRECT : STEER_PASS_SIZE,
				       dns_len);
			}
		}
		cr_assert_eq(steer_set_max_payload(&maps, 0), 0);
		frame_fit(&f, 1232);
		expect(f.len, STEER_REDIRECT);
		frame_fit(&f, 1233);
		expect(f.len, STEER_PASS_SIZE);
	}
}

Test(steer, padding)
{
	struct frame f;

	for_families(family) {
		for (size_t dns_len = 0; dns_len <= 20; dns_len++) {
			frame_query(&f, family, 0);
			frame_fit(&f, dns_len);
			for (size_t padding = 0; padding <= 60; padding++)
				expect(f.len + padding,
				       dns_len < 12 ? STEER_DROP_SHORT : STEER_REDIRECT, padding);
		}
	}
}

Test(steer, wrong_lengths)
{
	struct frame f;

	for_families(family) {
		size_t udp_len, ip_len, ip_extra = family == AF_INET ? 20 : 0;

		frame_query(&f, family, 0);
		udp_len = f.len - f.udp;
		/* Behind the message there is padding enough for most of these to fit. */
		for (unsigned len = 0; len < 0x10000; len++) {
			put16(f.octets + f.udp + 4, len);
			expect(f.len + 200, len == udp_len ? STEER_REDIRECT : STEER_PASS_MALFORMED,
			       len);
		}
		frame_fit(&f, udp_len - 8);
		ip_len = udp_len + ip_extra;
		for (unsigned len = 0; len < 0x10000; len++) {
			put16(f.octets + f.ip + (family == AF_INET ? 2 : 4), len);
			expect(f.len + 200, len == ip_len ? STEER_REDIRECT : STEER_PASS_MALFORMED,
			       len);
		}
		/* Both lengths agree, and are short: less than a UDP header is not UDP, less
		 * than a DNS header is no query, more than the frame is cut. */
		for (unsigned len = 0; len < 0x10000 - ip_extra; len++) {
			enum steer_reason wanted = STEER_REDIRECT;

			if (len < 8 || len > udp_len)
				wanted = STEER_PASS_MALFORMED;
			else if (len < 8 + 12)
				wanted = STEER_DROP_SHORT;
			put16(f.octets + f.udp + 4, len);
			put16(f.octets + f.ip + (family == AF_INET ? 2 : 4),
			      len + (unsigned)ip_extra);
			expect(f.len, wanted, len);
		}
	}
}

Test(steer, ipv4_header)
{
	struct frame f;

	/* version and header length; the packet is as long as it says */
	for (unsigned first = 0; first < 0x100; first++) {
		enum steer_reason wanted = STEER_PASS_MALFORMED;

		frame_query(&f, AF_INET, 0);
		frame_fit(&f, 100);
		f.octets[f.ip] = (uint8_t)first;
		if (first == 0x45)
			wanted = STEER_REDIRECT;
		else if (first > 0x45 && first <= 0x4f)
			wanted = STEER_PASS_OPTIONS;
		expect(f.len, wanted, first);
	}
	/* real options, the UDP header behind them */
	for (size_t words = 1; words <= 10; words++) {
		uint8_t *ip;

		frame_query(&f, AF_INET, 0);
		ip = f.octets + f.ip;
		memmove(ip + 20 + 4 * words, ip + 20, f.len - f.udp);
		memset(ip + 20, 1, 4 * words); /* no operation */
		ip[0] = (uint8_t)(0x45 + words);
		put16(ip + 2, (unsigned)(f.len - f.ip + 4 * words));
		expect(f.len + 4 * words, STEER_PASS_OPTIONS, words);
		/* cut inside the options */
		put16(ip + 2, (unsigned)(20 + 4 * words - 1));
		expect(f.len + 4 * words, STEER_PASS_MALFORMED, words);
	}
	for (unsigned protocol = 0; protocol < 0x100; protocol++) {
		frame_query(&f, AF_INET, 0);
		f.octets[f.ip + 9] = (uint8_t)protocol;
		expect(f.len, protocol == 17 ? STEER_REDIRECT : STEER_PASS_NOT_UDP, protocol);
	}
}

Test(steer, ipv6_header)
{
	static const uint8_t extensions[] = { 0, 43, 50, 51, 60, 135, 139, 140, 253, 254 };
	struct frame f;

	for (unsigned version = 0; version < 16; version++) {
		frame_query(&f, AF_INET6, 0);
		f.octets[f.ip] = (uint8_t)(version << 4);
		expect(f.len, version == 6 ? STEER_REDIRECT : STEER_PASS_MALFORMED, version);
	}
	/* traffic class and flow label say nothing to us */
	frame_query(&f, AF_INET6, 0);
	memset(f.octets + f.ip, 0x6f, 1);
	memset(f.octets + f.ip + 1, 0xff, 3);
	expect(f.len, STEER_REDIRECT);

	for (unsigned next = 0; next < 0x100; next++) {
		enum steer_reason wanted = STEER_PASS_NOT_UDP;

		frame_query(&f, AF_INET6, 0);
		f.octets[f.ip + 6] = (uint8_t)next;
		if (next == 17)
			wanted = STEER_REDIRECT;
		else if (next == 44)
			wanted = STEER_PASS_FRAGMENT;
		else if (memchr(extensions, (int)next, sizeof(extensions)))
			wanted = STEER_PASS_OPTIONS;
		expect(f.len, wanted, next);
	}
	/* a real one of eight octets before UDP: options, routing, fragment */
	for (unsigned next = 0; next <= 60; next++) {
		uint8_t *ip;

		if (next != 0 && next != 43 && next != 44 && next != 60)
			continue;
		frame_query(&f, AF_INET6, 0);
		ip = f.octets + f.ip;
		memmove(ip + 48, ip + 40, f.len - f.udp);
		memset(ip + 40, 0, 8);
		ip[40] = IPPROTO_UDP;
		ip[6] = (uint8_t)next;
		put16(ip + 4, (unsigned)(f.len - f.udp + 8));
		expect(f.len + 8, next == 44 ? STEER_PASS_FRAGMENT : STEER_PASS_OPTIONS, next);
	}
}

Test(steer, fragments)
{
	struct frame f;

	frame_query(&f, AF_INET, 0);
	for (unsigned field = 0; field < 0x10000; field++) {
		/* RFC 791: reserved, DF, MF, then the offset */
		bool whole = (field & 0x3fff) == 0;

		put16(f.octets + f.ip + 6, field);
		expect(f.len, whole ? STEER_REDIRECT : STEER_PASS_FRAGMENT, field);
	}
	/* no part of a response or of a short message is dropped when it is a fragment */
	put16(f.octets + f.ip + 6, 0x2000);
	f.octets[f.dns + 2] = 0x80;
	expect(f.len, STEER_PASS_FRAGMENT);
	frame_fit(&f, 3);
	expect(f.len, STEER_PASS_FRAGMENT);
}

Test(steer, ports)
{
	struct frame f;

	for_families(family) {
		frame_query(&f, family, 0);
		for (unsigned port = 0; port < 0x10000; port++) {
			bool ours = port == 53 || (port == 5300 && family == AF_INET);

			put16(f.octets + f.udp + 2, port);
			expect(f.len, ours ? STEER_REDIRECT : STEER_PASS_ADDRESS, port);
		}
		/* the client's port is the client's affair */
		frame_query(&f, family, 0);
		put16(f.octets + f.udp, 53);
		expect(f.len, STEER_REDIRECT);
	}
}

Test(steer, addresses)
{
	struct frame f;

	for_families(family) {
		size_t destination = family == AF_INET ? 16 : 24;
		size_t len = family == AF_INET ? 4 : 16;

		for (size_t bit = 0; bit < 8 * len; bit++) {
			frame_query(&f, family, 0);
			f.octets[f.ip + destination + bit / 8] ^= (uint8_t)(1 << bit % 8);
			expect(f.len, STEER_PASS_ADDRESS, bit);
		}
		/* ours as the source does not help */
		frame_query(&f, family, 0);
		memcpy(f.octets + f.ip + destination - len, f.octets + f.ip + destination, len);
		expect(f.len, STEER_REDIRECT);
		memset(f.octets + f.ip + destination, 0x22, len);
		expect(f.len, STEER_PASS_ADDRESS);
		/* nothing is dropped that goes elsewhere */
		f.octets[f.dns + 2] = 0x80;
		expect(f.len, STEER_PASS_ADDRESS);
		frame_fit(&f, 3);
		expect(f.len, STEER_PASS_ADDRESS);
	}
	/* an IPv4 address in IPv6's clothes */
	frame_query(&f, AF_INET6, 0);
	inet_pton(AF_INET6, "::ffff:10.53.0.1", f.octets + f.ip + 24);
	expect(f.len, STEER_PASS_ADDRESS);
}

Test(steer, no_addresses)
{
	struct frame f;

	cr_assert_eq(steer_set_addresses(&maps, NULL, 0), 0);
	for_families(family) {
		frame_query(&f, family, 0);
		expect(f.len, STEER_PASS_ADDRESS);
		f.octets[f.dns + 2] = 0x80;
		expect(f.len, STEER_PASS_ADDRESS);
	}
}

Test(steer, message_flags)
{
	struct frame f;

	for_families(family) {
		frame_query(&f, family, 0);
		/* RFC 1035 4.1.1: QR, opcode, AA, TC, RD; RA, Z, AD, CD, rcode */
		for (unsigned flags = 0; flags < 0x10000; flags++) {
			enum steer_reason wanted = STEER_REDIRECT;

			if (flags & 0x8000)
				wanted = STEER_DROP_RESPONSE;
			else if (flags & 0x7800)
				wanted = STEER_PASS_OPCODE;
			put16(f.octets + f.dns + 2, flags);
			expect(f.len, wanted, flags);
		}
		/* a response is dropped at any size, another opcode passes at any */
		frame_fit(&f, 1300);
		put16(f.octets + f.dns + 2, 0x8000);
		expect(f.len, STEER_DROP_RESPONSE);
		put16(f.octets + f.dns + 2, 0x2800);
		expect(f.len, STEER_PASS_SIZE);
		/* no counts are read: the worker answers FORMERR where it must */
		frame_fit(&f, 12);
		memset(f.octets + f.dns + 2, 0, 2);
		memset(f.octets + f.dns + 4, 0xff, 8);
		expect(f.len, STEER_REDIRECT);
	}
}

Test(steer, udp_checksum)
{
	struct frame f;

	for_families(family) {
		frame_query(&f, family, 0);
		for (unsigned sum = 0; sum < 0x10000; sum += 0xff) {
			bool absent = family == AF_INET6 && sum == 0;

			put16(f.octets + f.udp + 6, sum);
			expect(f.len, absent ? STEER_PASS_MALFORMED : STEER_REDIRECT, sum);
		}
	}
}

Test(steer, bypass)
{
	struct frame f;

	for_families(family) {
		frame_query(&f, family, 0);
		cr_assert_eq(steer_set_bypass(&maps, 0, true), 0);
		expect(f.len, STEER_PASS_BYPASS);
		/* what goes elsewhere anyway goes there still */
		f.octets[f.dns + 2] = 0x80;
		expect(f.len, STEER_DROP_RESPONSE);
		f.octets[f.dns + 2] = 0x28;
		expect(f.len, STEER_PASS_OPCODE);
		f.octets[f.dns + 2] = 0;
		cr_assert_eq(steer_set_bypass(&maps, 0, false), 0);
		expect(f.len, STEER_REDIRECT);
		/* another queue's bypass is not this one's */
		cr_assert_eq(steer_set_bypass(&maps, 1, true), 0);
		expect(f.len, STEER_REDIRECT);
		cr_assert_eq(run(f.octets, f.len, 1), STEER_PASS_BYPASS);
		cr_assert_eq(steer_set_bypass(&maps, 1, false), 0);
		cr_assert_eq(run(f.octets, f.len, 1), STEER_PASS_NO_SOCKET);
	}
}

Test(steer, socket_comes_and_goes)
{
	struct frame f;

	frame_query(&f, AF_INET, 0);
	for (int i = 0; i < 3; i++) {
		expect(f.len, STEER_REDIRECT);
		xsk_close(&xsk);
		expect(f.len, STEER_PASS_NO_SOCKET);
		xsk_open(&xsk, &stage, 0);
	}
}

static uint64_t random_state = 0x9e3779b97f4a7c15;

/* xorshift64 (Marsaglia): the same frames in every run */
static uint32_t random_below(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 32) % limit;
}

static void frame_mutate(struct frame *f)
{
	static const uint8_t telling[] = { 0,  1,  4,  5,    6,	   8,	 12,   17,   20,   28, 40,
					   44, 53, 60, 0x40, 0x45, 0x46, 0x60, 0x7f, 0x80, 0xff };

	for (uint32_t changes = 1 + random_below(4); changes > 0; changes--) {
		/* mostly in the headers, where it matters */
		size_t within = random_below(4) ? f->dns + 4 : f->len;
		size_t at = within > f->len ? random_below((uint32_t)f->len) :
					      random_below((uint32_t)within);

		switch (random_below(6)) {
		case 0:
			f->octets[at] = (uint8_t)random_below(256);
			break;
		case 1:
			f->octets[at] ^= (uint8_t)(1 << random_below(8));
			break;
		case 2:
			f->octets[at] = telling[random_below(sizeof(telling))];
			break;
		case 3: /* cut or pad */
			f->len = ETHERNET_MIN + random_below(1500);
			break;
		case 4: /* another size, lengths made to fit */
			frame_fit(f, random_below(1400));
			break;
		default: /* take a few octets away, or put some in */
			if (random_below(2) && f->len > at + 8)
				memmove(f->octets + at, f->octets + at + 4, f->len - at - 4);
			else
				memmove(f->octets + at + 4, f->octets + at, f->len - at);
		}
	}
}

Test(steer, mutations)
{
	unsigned seen[STEER_REASONS] = { 0 };
	struct frame f;

	for (int i = 0; i < 300000; i++) {
		enum steer_reason wanted;

		frame_query(&f, families[random_below(2)], (int)random_below(4));
		frame_mutate(&f);
		wanted = reference_reason(f.octets, f.len, served, SERVED, PAYLOAD_MAX);
		expect(f.len, wanted, i);
		seen[wanted]++;
	}
	/* else the run would have said little */
	for (int reason = 0; reason < STEER_REASONS; reason++)
		if (reason != STEER_PASS_BYPASS && reason != STEER_PASS_NO_SOCKET)
			cr_assert_gt(seen[reason], 100, "%s seen %u times",
				     steer_reason_name((enum steer_reason)reason), seen[reason]);
}

/* ---- the table of bpf/README.md ---- */

static void udp_port(struct frame *f, unsigned port)
{
	put16(f->octets + f->udp + 2, port);
}

static void protocol(struct frame *f, unsigned number, unsigned port)
{
	f->octets[f->ip + (f->family == AF_INET ? 9 : 6)] = (uint8_t)number;
	udp_port(f, port);
	if (f->family == AF_INET)
		ipv4_checksum(f);
}

static void opcode(struct frame *f, unsigned code)
{
	f->octets[f->dns + 2] = (uint8_t)(code << 3);
}

static void insert_extension(struct frame *f, unsigned next)
{
	uint8_t *ip = f->octets + f->ip;

	memmove(ip + 48, ip + 40, f->len - f->udp);
	memset(ip + 40, 0, 8);
	ip[40] = ip[6];
	ip[6] = (uint8_t)next;
	put16(ip + 4, (unsigned)(f->len - f->udp + 8));
	f->len += 8;
}

static void insert_options(struct frame *f)
{
	uint8_t *ip = f->octets + f->ip;

	memmove(ip + 24, ip + 20, f->len - f->udp);
	memset(ip + 20, 1, 4);
	ip[0] = 0x46;
	put16(ip + 2, (unsigned)(f->len - f->ip + 4));
	f->len += 4;
}

/* A line of the table: changes a query into such a frame, of one kind of several.  Returns false
 * when there is no kind of that number (for the frame's family). */
static bool row_query(struct frame *f, unsigned kind) { return kind == 0; }
static bool row_tags(struct frame *f, unsigned kind)
{
	frame_query(f, f->family, (int)kind + 1);
	return kind < 2;
}
static bool row_client_port(struct frame *f, unsigned kind)
{
	static const unsigned ports[] = { 1, 53, 853, 65535 };

	put16(f->octets + f->udp, ports[kind & 3]);
	return kind < 4;
}
static bool row_additional(struct frame *f, unsigned kind)
{
	put16(f->octets + f->dns + 10, 1);
	f->octets[f->dns + 14] = kind ? 251 + (uint8_t)kind : 0;
	frame_fit(f, 60);
	return kind < 3;
}
static bool row_arp(struct frame *f, unsigned kind)
{
	put16(f->octets + 12, 0x0806);
	return kind == 0;
}
static bool row_three_tags(struct frame *f, unsigned kind)
{
	frame_query(f, f->family, 3);
	return kind == 0;
}
static bool row_tcp_domain(struct frame *f, unsigned kind)
{
	protocol(f, IPPROTO_TCP, 53);
	return kind == 0;
}
static bool row_tcp_domain_s(struct frame *f, unsigned kind)
{
	protocol(f, IPPROTO_TCP, 853);
	return kind == 0;
}
static bool row_tcp(struct frame *f, unsigned kind)
{
	static const unsigned ports[] = { 1, 22, 80, 5300, 65535 };

	protocol(f, IPPROTO_TCP, ports[kind % 5]);
	return kind < 5;
}
static bool row_icmp(struct frame *f, unsigned kind)
{
	protocol(f, f->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6, 53);
	return kind == 0;
}
static bool row_udp_domain_s(struct frame *f, unsigned kind)
{
	udp_port(f, 853);
	return kind == 0;
}
static bool row_udp(struct frame *f, unsigned kind)
{
	static const unsigned ports[] = { 52, 54, 1853, 5353, 65535 };

	udp_port(f, ports[kind % 5]);
	return kind < 5;
}
static bool row_address(struct frame *f, unsigned kind)
{
	f->octets[f->udp - 1] = 7;
	return kind == 0;
}
static bool row_response_elsewhere(struct frame *f, unsigned kind)
{
	udp_port(f, 40001);
	f->octets[f->dns + 2] = 0x80;
	return kind == 0;
}
static bool row_options(struct frame *f, unsigned kind)
{
	if (f->family == AF_INET)
		insert_options(f);
	return f->family == AF_INET && kind == 0;
}
static bool row_extensions(struct frame *f, unsigned kind)
{
	static const unsigned next[] = { 0, 43, 60 };

	if (f->family == AF_INET6)
		insert_extension(f, next[kind % 3]);
	return f->family == AF_INET6 && kind < 3;
}
static bool row_first_fragment(struct frame *f, unsigned kind)
{
	if (f->family == AF_INET6) {
		insert_extension(f, 44);
		f->octets[f->ip + 43] = 1; /* M */
	} else {
		put16(f->octets + f->ip + 6, 0x2000);
	}
	return kind == 0;
}
static bool row_later_fragment(struct frame *f, unsigned kind)
{
	if (f->family == AF_INET6) {
		insert_extension(f, 44);
		f->octets[f->ip + 43] = 0xb8;
	} else {
		put16(f->octets + f->ip + 6, 0x00b9);
	}
	return kind == 0;
}
static bool row_long(struct frame *f, unsigned kind)
{
	frame_fit(f, PAYLOAD_MAX + 1 + 100 * kind);
	return kind < 3;
}
static bool row_long_update(struct frame *f, unsigned kind)
{
	opcode(f, 5);
	frame_fit(f, PAYLOAD_MAX + 1 + kind);
	return kind < 2;
}
static bool row_opcode(struct frame *f, unsigned kind)
{
	opcode(f, kind + 1);
	return kind < 15;
}
static bool row_udp_length(struct frame *f, unsigned kind)
{
	put16(f->octets + f->udp + 4, (unsigned)(f->len - f->udp) + (kind ? 1 : -1u));
	return kind < 2;
}
static bool row_ip_length(struct frame *f, unsigned kind)
{
	f->len -= 1 + kind;
	return kind < 5;
}
static bool row_no_checksum(struct frame *f, unsigned kind)
{
	put16(f->octets + f->udp + 6, 0);
	return f->family == AF_INET6 && kind == 0;
}
static bool row_response(struct frame *f, unsigned kind)
{
	f->octets[f->dns + 2] = (uint8_t)(0x80 | kind << 3);
	return kind < 16;
}
static bool row_short(struct frame *f, unsigned kind)
{
	frame_fit(f, kind);
	return kind < 12;
}

enum around { AS_EVER, NO_SOCKET, BYPASS }; /* what else is so */

static const struct row {
	const char *what;
	bool (*make)(struct frame *f, unsigned kind);
	enum around around;
} rows[] = {
	{ "a query over UDP to a listen address and its port", row_query, AS_EVER },
	{ "the same in one or two VLAN tags", row_tags, AS_EVER },
	{ "the same from any port of the client, 53 too", row_client_port, AS_EVER },
	{ "a query with EDNS options, signed (TSIG), IXFR or AXFR over UDP", row_additional, AS_EVER },
	{ "a query while the queue has no AF_XDP socket", row_query, NO_SOCKET },
	{ "a query while the queue's worker is silent", row_query, BYPASS },
	{ "ARP", row_arp, AS_EVER },
	{ "three VLAN tags", row_three_tags, AS_EVER },
	{ "TCP to port 53 (domain)", row_tcp_domain, AS_EVER },
	{ "TCP to port 853 (domain-s: DNS over TLS)", row_tcp_domain_s, AS_EVER },
	{ "TCP to any other port", row_tcp, AS_EVER },
	{ "ICMP or ICMPv6", row_icmp, AS_EVER },
	{ "UDP to port 853 (domain-s: DNS over QUIC and DTLS)", row_udp_domain_s, AS_EVER },
	{ "UDP to any other port", row_udp, AS_EVER },
	{ "UDP to port 53 of another address", row_address, AS_EVER },
	{ "a response to another port of ours", row_response_elsewhere, AS_EVER },
	{ "IPv4 options", row_options, AS_EVER },
	{ "IPv6 hop-by-hop options, routing or destination options", row_extensions, AS_EVER },
	{ "the first fragment of a query", row_first_fragment, AS_EVER },
	{ "a later fragment of a query", row_later_fragment, AS_EVER },
	{ "a query longer than udp-payload", row_long, AS_EVER },
	{ "an UPDATE longer than udp-payload", row_long_update, AS_EVER },
	{ "NOTIFY, UPDATE, STATUS and other opcodes", row_opcode, AS_EVER },
	{ "a UDP length that is not IP's", row_udp_length, AS_EVER },
	{ "an IP length beyond the frame's end", row_ip_length, AS_EVER },
	{ "UDP over IPv6 without a checksum", row_no_checksum, AS_EVER },
	{ "a response (QR=1) to a listen address and its port", row_response, AS_EVER },
	{ "less than a DNS header to a listen address and its port", row_short, AS_EVER },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* cell - the n-th cell of a table's line, trimmed, in place. */
static char *cell(char *line, int n)
{
	char *at = line, *end;

	for (; n >= 0 && at; n--)
		at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL;
	if (!at || !(end = strchr(at, '|')))
		return NULL;
	while (*at == ' ')
		at++;
	while (end > at && end[-1] == ' ')
		end--;
	*end = '\0';
	return at;
}

/* run_row - frames of one line, all of which move the counter that it names. */
static void run_row(const struct row *row, const char *where, const char *counter)
{
	unsigned frames = 0;
	struct frame f;

	if (row->around == NO_SOCKET)
		xsk_close(&xsk);
	cr_assert_eq(steer_set_bypass(&maps, 0, row->around == BYPASS), 0);
	for_families(family) {
		for (unsigned kind = 0;; kind++) {
			enum steer_reason got;
			const char *to;

			frame_query(&f, family, 0);
			if (!row->make(&f, kind))
				break;
			got = run(f.octets, f.len, 0);
			to = got == STEER_REDIRECT ? "worker" :
			     got == STEER_DROP_RESPONSE || got == STEER_DROP_SHORT ? "dropped" : "kernel";
			cr_assert_str_eq(steer_reason_name(got), counter, "%s, family %d, kind %u: %s",
					 row->what, family, kind, steer_reason_name(got));
			cr_assert_eq(strncmp(where, to, strlen(to)), 0, "%s goes to %s", row->what, to);
			frames++;
		}
	}
	cr_assert_gt(frames, 0);
	if (row->around == NO_SOCKET)
		xsk_open(&xsk, &stage, 0);
	cr_assert_eq(steer_set_bypass(&maps, 0, false), 0);
}

/* What the page says is so, for each of its lines; and no line is without its frames. */
Test(steer, table)
{
	FILE *page = fopen(STEER_PAGE, "r");
	bool seen[ROWS] = { false }, counted[STEER_REASONS] = { false };
	char line[512], copy[512];

	cr_assert(page, "%s", STEER_PAGE);
	while (fgets(line, sizeof(line), page)) {
		const char *what, *where, *counter;
		char third[512];
		size_t i = 0;

		if (line[0] != '|' || line[1] != ' ' || strstr(line, "what comes"))
			continue;
		memcpy(copy, line, sizeof(copy));
		memcpy(third, line, sizeof(third));
		what = cell(line, 0);
		where = cell(copy, 1);
		counter = cell(third, 2);
		cr_assert(what && where && counter, "%s", line);
		while (i < ROWS && strcmp(rows[i].what, what) != 0)
			i++;
		cr_assert_lt(i, ROWS, "no frames for the line `%s'", what);
		cr_assert(!seen[i], "`%s' stands there twice", what);
		seen[i] = true;
		run_row(&rows[i], where, counter);
		for (int r = 0; r < STEER_REASONS; r++)
			counted[r] = counted[r] || strcmp(counter, steer_reason_name((enum steer_reason)r)) == 0;
	}
	fclose(page);
	for (size_t i = 0; i < ROWS; i++)
		cr_assert(seen[i], "the page has no line `%s'", rows[i].what);
	for (int r = 0; r < STEER_REASONS; r++)
		cr_assert(counted[r], "no line moves %s", steer_reason_name((enum steer_reason)r));
}

/* receive_dns - what a kernel socket gets within timeout_ms. */
static ssize_t receive_dns(int fd, uint8_t *buffer, size_t len, int timeout_ms)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	return poll(&wait, 1, timeout_ms) == 1 ? recv(fd, buffer, len, 0) : -1;
}

/* Over the wire: with a socket the query is the worker's, whole and with its tags; what
 * is no query of the worker's, and without the socket also the query, is the kernel's. */
Test(steer, wire)
{
	struct sockaddr_in local = { .sin_family = AF_INET, .sin_port = htons(53) };
	uint8_t got[512];
	const uint8_t *delivered;
	struct frame query, update;
	ssize_t len;
	int fd;

	cr_assert_eq(system("ip address add 10.53.0.1/24 dev steer0"), 0);
	inet_pton(AF_INET, "10.53.0.1", &local.sin_addr);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&local, sizeof(local)) == 0);

	for_families(family) {
		for (int tags = 0; tags <= 2; tags++) {
			frame_query(&query, family, tags);
			stage_send(&stage, query.octets, query.len);
			cr_assert_eq(xsk_receive(&xsk, &delivered, 2000), query.len);
			cr_assert_eq(memcmp(delivered, query.octets, query.len), 0);
		}
	}

	frame_query(&query, AF_INET, 0);
	update = query;
	update.octets[update.dns + 2] = 0x28;
	stage_send(&stage, update.octets, update.len);
	len = receive_dns(fd, got, sizeof(got), 2000);
	cr_assert_eq(len, (ssize_t)(update.len - update.dns));
	cr_assert_eq(memcmp(got, update.octets + update.dns, (size_t)len), 0);
	cr_assert_eq(xsk_receive(&xsk, &delivered, 0), 0, "the update came to both");

	xsk_close(&xsk);
	stage_send(&stage, query.octets, query.len);
	len = receive_dns(fd, got, sizeof(got), 2000);
	cr_assert_eq(len, (ssize_t)(query.len - query.dns));
	cr_assert_eq(memcmp(got, query.octets + query.dns, (size_t)len), 0);
	cr_assert_eq(receive_dns(fd, got, sizeof(got), 50), -1, "the query came twice");
	close(fd);
	xsk_open(&xsk, &stage, 0);
}
