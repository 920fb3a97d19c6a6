/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "reference.h"

#include <stdbool.h>
#include <string.h>

/* A stretch of octets. */
struct part {
	const uint8_t *octets;
	size_t len;
};

static unsigned two(const uint8_t *octets)
{
	return octets[0] << 8 | octets[1];
}

static struct part behind(struct part whole, size_t skip)
{
	return (struct part){ whole.octets + skip, whole.len - skip };
}

static bool is_served(const uint8_t address[16], const uint8_t port[2],
		      const struct steer_address *served, size_t served_cnt)
{
	for (size_t i = 0; i < served_cnt; i++)
		if (!memcmp(served[i].addr, address, 16) && !memcmp(&served[i].port, port, 2))
			return true;
	return false;
}

static enum steer_reason message_reason(struct part message, size_t max_payload)
{
	if (message.len < 12)
		return STEER_DROP_SHORT;
	if (message.octets[2] >= 128)
		return STEER_DROP_RESPONSE;
	if (message.len > max_payload)
		return STEER_PASS_SIZE;
	return message.octets[2] / 8 == 0 ? STEER_REDIRECT : STEER_PASS_OPCODE;
}

static enum steer_reason udp_reason(struct part datagram, const uint8_t address[16], bool v6,
				    const struct steer_address *served, size_t served_cnt,
				    size_t max_payload)
{
	if (datagram.len < 8)
		return STEER_PASS_MALFORMED;
	if (!is_served(address, datagram.octets + 2, served, served_cnt))
		return STEER_PASS_ADDRESS;
	if (two(datagram.octets + 4) != datagram.len)
		return STEER_PASS_MALFORMED;
	if (v6 && two(datagram.octets + 6) == 0)
		return STEER_PASS_MALFORMED;
	return message_reason(behind(datagram, 8), max_payload);
}

enum steer_reason reference_reason(const uint8_t *frame, size_t len,
				   const struct steer_address *served, size_t served_cnt,
				   size_t max_payload)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	static const uint8_t extensions[] = { 0, 43, 50, 51, 60, 135, 139, 140, 253, 254 };
	struct part packet = { frame, len };
	uint8_t address[16];
	unsigned type;

	if (len < 14)
		return STEER_PASS_MALFORMED;
	type = two(frame + 12);
	packet = behind(packet, 14);
	for (int tags = 0; tags < 2; tags++) {
		if (type != 0x8100 && type != 0x88a8)
			break;
		if (packet.len < 4)
			return STEER_PASS_MALFORMED;
		type = two(packet.octets + 2);
		packet = behind(packet, 4);
	}

	if (type == 0x0800) {
		if (packet.len < 20 || packet.octets[0] < 0x45 || packet.octets[0] > 0x4f)
			return STEER_PASS_MALFORMED;
		size_t header = 4 * (packet.octets[0] - 0x40u), total = two(packet.octets + 2);
		if (total < header || packet.len < total)
			return STEER_PASS_MALFORMED;
		if (packet.octets[9] != 17)
			return STEER_PASS_NOT_UDP;
		/* all but the reserved bit and DF */
		if ((packet.octets[6] & 0x3f) != 0 || packet.octets[7] != 0)
			return STEER_PASS_FRAGMENT;
		if (header > 20)
			return STEER_PASS_OPTIONS;
		memcpy(address, mapped, 12);
		memcpy(address + 12, packet.octets + 16, 4);
		packet.len = total;
		return udp_reason(behind(packet, 20), address, false, served, served_cnt,
				  max_payload);
	}
	if (type == 0x86dd) {
		if (packet.len < 40 || packet.octets[0] / 16 != 6)
			return STEER_PASS_MALFORMED;
		size_t total = 40 + two(packet.octets + 4);
		uint8_t next = packet.octets[6];
		if (packet.len < total)
			return STEER_PASS_MALFORMED;
		if (next == 44)
			return STEER_PASS_FRAGMENT;
		if (memchr(extensions, next, sizeof(extensions)))
			return STEER_PASS_OPTIONS;
		if (next != 17)
			return STEER_PASS_NOT_UDP;
		memcpy(address, packet.octets + 24, 16);
		if (memcmp(address, mapped, 12) == 0)
			return STEER_PASS_ADDRESS;
		packet.len = total;
		return udp_reason(behind(packet, 40), address, true, served, served_cnt,
				  max_payload);
	}
	return STEER_PASS_NOT_IP;
}
