/* SPDX-License-Identifier: GPL-3.0-or-later */
/* load.bpf.c - the load generator's XDP program: datagrams to its source ports go to its
 * AF_XDP socket, everything else to the kernel, which goes on answering ARP and neighbour
 * discovery.  The ports are those of prepare.h; answers to no query of the generator's
 * are sorted out by the generator. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define PORT_FIRST 16384 /* PREPARE_PORT */
#define PORTS 16384      /* PREPARE_PORTS */
#define TAGS 2

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

static __always_inline int steer_udp(struct xdp_md *context, struct udphdr *udp, void *end)
{
	if ((void *)(udp + 1) > end || bpf_ntohs(udp->dest) - PORT_FIRST >= PORTS ||
	    bpf_ntohs(udp->dest) < PORT_FIRST)
		return XDP_PASS;
	return (int)bpf_redirect_map(&xsks_map, context->rx_queue_index, XDP_PASS);
}

SEC("xdp")
int load_steer(struct xdp_md *context)
{
	void *at = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	struct ethhdr *ethernet = at;
	__be16 kind;

	if ((void *)(ethernet + 1) > end)
		return XDP_PASS;
	kind = ethernet->h_proto;
	at = ethernet + 1;
	for (int i = 0; i < TAGS && (kind == bpf_htons(ETH_P_8021Q) || kind == bpf_htons(ETH_P_8021AD)); i++) {
		__be16 *tag = at;

		if ((void *)(tag + 2) > end)
			return XDP_PASS;
		kind = tag[1];
		at = tag + 2;
	}
	if (kind == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = at;

		if ((void *)(ip + 1) > end || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
		    ip->frag_off & bpf_htons(0x3fff))
			return XDP_PASS;
		return steer_udp(context, (struct udphdr *)(ip + 1), end);
	}
	if (kind == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = at;

		if ((void *)(ip + 1) > end || ip->nexthdr != IPPROTO_UDP)
			return XDP_PASS;
		return steer_udp(context, (struct udphdr *)(ip + 1), end);
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
