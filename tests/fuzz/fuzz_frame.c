/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fuzz_frame.c - any octets as a frame: refused with a reason, or turned into a reply
 * that the same code, with checksums verified, accepts from the other side. */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/frame.h"

#define REPLY_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The one address of the set is where the frame says it goes (as `dst` of e). */
static void set_of(struct frame_addresses *set, uint8_t family, const uint8_t addr[16],
		   uint16_t port_be)
{
	struct sockaddr_storage ss = { 0 };
	struct sockaddr_in *in = (void *)&ss;
	struct sockaddr_in6 *in6 = (void *)&ss;

	memset(set, 0, sizeof(*set));
	if (family == 4) {
		in->sin_family = AF_INET;
		in->sin_port = port_be;
		memcpy(&in->sin_addr, addr, 4);
	} else {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = port_be;
		memcpy(&in6->sin6_addr, addr, 16);
	}
	if (frame_addresses_add(set, &ss) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t v4[16] = { 10, 53, 0, 1 };
	static const uint8_t v6[16] = { 0xfd, 0x53, [15] = 1 };
	struct frame_addresses set, other;
	struct frame_rules rules = { .addresses = &set, .mtu = 1500 };
	struct sockaddr_storage ss = { 0 };
	struct sockaddr_in6 *in6 = (void *)&ss;
	struct frame f, g;
	struct punt_entry e;

	if (size > UINT16_MAX)
		return 0;
	set_of(&set, 4, v4, htons(53));
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(53);
	memcpy(&in6->sin6_addr, v6, 16);
	if (frame_addresses_add(&set, &ss) != 0)
		abort();

	if (!frame_parse(&f, &rules, data, size)) {
		if (f.reason < CNT_DROP_ETHER || f.reason > CNT_DROP_CHECKSUM)
			abort();
		return 0;
	}
	if ((size_t)f.payload + f.payload_len > size)
		abort();
	frame_source(&f, data, &e);

	uint8_t reply[128 + REPLY_MAX];
	size_t payload_len = f.payload_len < REPLY_MAX ? f.payload_len : REPLY_MAX;

	memcpy(reply, data, f.payload + payload_len);
	size_t len = frame_reply(&f, &rules, reply, payload_len);

	/* What we send, our own checks accept where it goes to. */
	set_of(&other, e.family, e.src, e.src_port_be);
	rules.addresses = &other;
	rules.check_sums = true;
	if (reply[0] & 1 || !frame_parse(&g, &rules, reply, len))
		abort();
	if (g.payload != f.payload || g.payload_len != payload_len)
		abort();
	return 0;
}
