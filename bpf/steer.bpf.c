/* SPDX-License-Identifier: GPL-3.0-or-later */
/* steer.bpf.c - the XDP program: plain DNS queries go to a worker's AF_XDP socket,
 * everything else to the kernel.  steer.h describes its maps.
 *
 * Redirected is only what a worker answers: UDP over IPv4 or IPv6 behind 0 to 2 VLAN
 * tags, whole, without options or extension headers, to a configured address and port,
 * opcode QUERY, and short enough.  Dropped is only what is provably no query, and only
 * when it is addressed to us.  In doubt a frame passes: the kernel knows every rule of
 * IP, and the control process answers from its sockets what it delivers.
 *
 * Checksums are not verified.  A NIC has done it before XDP runs, but does not say so
 * here; a virtual link leaves them unfinished; and summing every frame costs more than
 * all the rest.  Whoever answers decides (see the dataplane's verify-checksums).  The one
 * thing that needs no sum is looked at: UDP over IPv6 without a checksum is not DNS
 * (RFC 8200 section 8.1), and passes so that the kernel discards it.
 *
 * Each reader takes its header off the front of a cursor: bounds first, then the read,
 * then the advance.  Where the message ends is said by IP's length, which the frame has
 * been found to hold: Ethernet padding behind it is never taken for a part of it.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "steer.h"

#define VLAN_TAGS_MAX 2
#define IPV4_MORE_FRAGMENTS 0x2000 /* RFC 791 section 3.1 */
#define IPV4_FRAGMENT_OFFSET 0x1fff
#define DNS_PAYLOAD_DEFAULT 1232 /* octets: an IPv6 packet of 1280 without its headers */
#define DNS_FLAG_QR 0x80	 /* in the third octet of the message, RFC 1035 4.1.1 */
#define DNS_OPCODE_MASK 0x78	 /* likewise; QUERY is 0 */

/* IPv6 extension headers (RFC 7045 section 4) that <linux/in.h> does not name. */
#define IPV6_MOBILITY 135
#define IPV6_HIP 139
#define IPV6_SHIM6 140
#define IPV6_EXPERIMENT_1 253
#define IPV6_EXPERIMENT_2 254

struct vlan_tag {
	__be16 control;
	__be16 ethertype; /* of what follows */
};

struct dns_header {
	__be16 id;
	__u8 flags[2];
	__be16 count[4];
};

struct cursor {
	void *at;
	void *end;
};

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, STEER_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

/* Twice the addresses that may be set: while a list replaces another both are in it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * STEER_ADDRESSES);
	__type(key, struct steer_address);
	__type(value, __u8);
} steer_address SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steer_settings);
} steer_settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STEER_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} steer_bypass SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STEER_REASONS);
	__type(key, __u32);
	__type(value, __u64);
} steer_counter SEC(".maps");

/* The readers return STEER_REDIRECT while the frame is still one for a worker, and else
 * the reason why it is not. */

static __always_inline __u32 cursor_left(const struct cursor *frame)
{
	return (__u32)(frame->end - frame->at);
}

/* ethernet_read - Ethernet II with its VLAN tags (802.1Q, 802.1ad). */
static __always_inline enum steer_reason ethernet_read(struct cursor *frame, __be16 *ethertype)
{
	struct ethhdr *ethernet = frame->at;

	if ((void *)(ethernet + 1) > frame->end)
		return STEER_PASS_MALFORMED;
	*ethertype = ethernet->h_proto;
	frame->at = ethernet + 1;

	for (int tags = 0; tags < VLAN_TAGS_MAX; tags++) {
		struct vlan_tag *tag = frame->at;

		if (*ethertype != bpf_htons(ETH_P_8021Q) && *ethertype != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > frame->end)
			return STEER_PASS_MALFORMED;
		*ethertype = tag->ethertype;
		frame->at = tag + 1;
	}
	return STEER_REDIRECT;
}

/* ipv4_read - the header, and the destination into *to; *ip_left becomes the length of
 * what it carries, which may be less than the frame still holds. */
static __always_inline enum steer_reason ipv4_read(struct cursor *frame, struct steer_address *to,
						   __u32 *ip_left)
{
	struct iphdr *ip = frame->at;
	__u32 header_len, total_len;

	if ((void *)(ip + 1) > frame->end)
		return STEER_PASS_MALFORMED;
	header_len = ip->ihl * 4u;
	total_len = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || header_len < sizeof(*ip) || total_len < header_len ||
	    total_len > cursor_left(frame))
		return STEER_PASS_MALFORMED;
	if (ip->protocol != IPPROTO_UDP)
		return STEER_PASS_NOT_UDP;
	if (ip->frag_off & bpf_htons(IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET))
		return STEER_PASS_FRAGMENT;
	if (header_len != sizeof(*ip))
		return STEER_PASS_OPTIONS;

	to->addr[10] = 0xff;
	to->addr[11] = 0xff;
	__builtin_memcpy(&to->addr[12], &ip->daddr, sizeof(ip->daddr));
	*ip_left = total_len - sizeof(*ip);
	frame->at = ip + 1;
	return STEER_REDIRECT;
}

/* ipv6_next_header - what a next header that is not UDP makes of the packet. */
static __always_inline enum steer_reason ipv6_next_header(__u8 next_header)
{
	switch (next_header) {
	case IPPROTO_UDP:
		return STEER_REDIRECT;
	case IPPROTO_FRAGMENT:
		return STEER_PASS_FRAGMENT;
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_ESP:
	case IPPROTO_AH:
	case IPPROTO_DSTOPTS:
	case IPV6_MOBILITY:
	case IPV6_HIP:
	case IPV6_SHIM6:
	case IPV6_EXPERIMENT_1:
	case IPV6_EXPERIMENT_2:
		return STEER_PASS_OPTIONS;
	default:
		return STEER_PASS_NOT_UDP;
	}
}

/* ipv6_read - as ipv4_read. */
static __always_inline enum steer_reason ipv6_read(struct cursor *frame, struct steer_address *to,
						   __u32 *ip_left)
{
	struct ipv6hdr *ip = frame->at;
	enum steer_reason reason;

	if ((void *)(ip + 1) > frame->end)
		return STEER_PASS_MALFORMED;
	*ip_left = bpf_ntohs(ip->payload_len);
	frame->at = ip + 1;
	if (ip->version != 6 || *ip_left > cursor_left(frame))
		return STEER_PASS_MALFORMED;
	reason = ipv6_next_header(ip->nexthdr);
	if (reason != STEER_REDIRECT)
		return reason;
	/* ::ffff:0:0/96 is how the map writes IPv4 addresses; no packet to us bears it. */
	if (ip->daddr.in6_u.u6_addr32[0] == 0 && ip->daddr.in6_u.u6_addr32[1] == 0 &&
	    ip->daddr.in6_u.u6_addr32[2] == bpf_htonl(0xffff))
		return STEER_PASS_ADDRESS;

	__builtin_memcpy(to->addr, &ip->daddr, sizeof(to->addr));
	return STEER_REDIRECT;
}

/* udp_read - the header and whether it is to us; *dns_len becomes the message's length.
 *
 * The UDP length must be exactly what IP carries: a longer one is cut, behind a shorter
 * one there is more than a DNS message (RFC 9868 puts options there), and a length of 0
 * is a jumbogram's (RFC 2675). */
static __always_inline enum steer_reason udp_read(struct cursor *frame, struct steer_address *to,
						  __u32 ip_left, int is_ipv6, __u32 *dns_len)
{
	struct udphdr *udp = frame->at;

	if (ip_left < sizeof(*udp) || (void *)(udp + 1) > frame->end)
		return STEER_PASS_MALFORMED;
	to->port = udp->dest;
	if (!bpf_map_lookup_elem(&steer_address, to))
		return STEER_PASS_ADDRESS;
	if (bpf_ntohs(udp->len) != ip_left || (is_ipv6 && udp->check == 0))
		return STEER_PASS_MALFORMED;
	*dns_len = ip_left - sizeof(*udp);
	frame->at = udp + 1;
	return STEER_REDIRECT;
}

/* dns_read - dns_len octets at the cursor, which the frame is known to hold. */
static __always_inline enum steer_reason dns_read(struct cursor *frame, __u32 dns_len)
{
	struct dns_header *dns = frame->at;
	struct steer_settings *settings;
	__u32 first = 0, max_payload = DNS_PAYLOAD_DEFAULT;

	if (dns_len < sizeof(*dns))
		return STEER_DROP_SHORT;
	/* dns_len has said it already, in a way that the verifier cannot follow. */
	if ((void *)(dns + 1) > frame->end)
		return STEER_PASS_MALFORMED;
	if (dns->flags[0] & DNS_FLAG_QR)
		return STEER_DROP_RESPONSE;

	settings = bpf_map_lookup_elem(&steer_settings, &first);
	if (settings && settings->max_payload != 0)
		max_payload = settings->max_payload;
	if (dns_len > max_payload)
		return STEER_PASS_SIZE;
	if (dns->flags[0] & DNS_OPCODE_MASK)
		return STEER_PASS_OPCODE;
	return STEER_REDIRECT;
}

static __always_inline enum steer_reason frame_read(struct cursor *frame)
{
	struct steer_address to = {};
	__u32 ip_left = 0, dns_len = 0;
	__be16 ethertype = 0;
	enum steer_reason reason;

	reason = ethernet_read(frame, &ethertype);
	if (reason != STEER_REDIRECT)
		return reason;

	if (ethertype == bpf_htons(ETH_P_IP))
		reason = ipv4_read(frame, &to, &ip_left);
	else if (ethertype == bpf_htons(ETH_P_IPV6))
		reason = ipv6_read(frame, &to, &ip_left);
	else
		reason = STEER_PASS_NOT_IP;
	if (reason != STEER_REDIRECT)
		return reason;

	reason = udp_read(frame, &to, ip_left, ethertype == bpf_htons(ETH_P_IPV6), &dns_len);
	if (reason != STEER_REDIRECT)
		return reason;
	return dns_read(frame, dns_len);
}

/* queue_read - whether the queue's worker may have the frame.  A queue past the maps'
 * end has no worker. */
static __always_inline enum steer_reason queue_read(__u32 queue)
{
	__u32 *bypass = bpf_map_lookup_elem(&steer_bypass, &queue);

	if (bypass && *bypass != 0)
		return STEER_PASS_BYPASS;
	if (!bpf_map_lookup_elem(&xsks_map, &queue))
		return STEER_PASS_NO_SOCKET;
	return STEER_REDIRECT;
}

static __always_inline void reason_count(__u32 reason)
{
	__u64 *counter = bpf_map_lookup_elem(&steer_counter, &reason);

	if (counter)
		(*counter)++; /* this CPU's own */
}

SEC("xdp")
int pollux_steer(struct xdp_md *ctx)
{
	struct cursor frame = {
		.at = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};
	__u32 queue = ctx->rx_queue_index;
	enum steer_reason reason;

	reason = frame_read(&frame);
	if (reason == STEER_REDIRECT)
		reason = queue_read(queue);
	reason_count(reason);

	switch (reason) {
	case STEER_REDIRECT:
		/* Should the socket have gone since: pass. */
		return bpf_redirect_map(&xsks_map, queue, XDP_PASS);
	case STEER_DROP_RESPONSE:
	case STEER_DROP_SHORT:
		return XDP_DROP;
	default:
		return XDP_PASS;
	}
}

char steer_license[] SEC("license") = "GPL";
