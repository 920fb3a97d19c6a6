/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cookie.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "wire.h"

#define VERSION 1
#define AGE_MAX 3600   /* seconds (RFC 9018 section 4.3) */
#define FUTURE_MAX 300

static_assert(crypto_shorthash_siphash24_BYTES == 8 &&
	      crypto_shorthash_siphash24_KEYBYTES == COOKIE_SECRET, "SipHash-2-4 of 64 bits");

/* Complete a server cookie whose first eight octets stand: version, reserved, timestamp
 * (RFC 9018 section 4.4). */
static void cookie_hash(uint8_t *server, const uint8_t *client, const uint8_t *addr,
			uint8_t addr_len, const uint8_t *secret)
{
	uint8_t in[COOKIE_CLIENT + 8 + 16];

	memcpy(in, client, COOKIE_CLIENT);
	memcpy(in + COOKIE_CLIENT, server, 8);
	memcpy(in + COOKIE_CLIENT + 8, addr, addr_len);
	crypto_shorthash_siphash24(server + 8, in, COOKIE_CLIENT + 8u + addr_len, secret);
}

void cookie_make(uint8_t *server, const uint8_t *client, const uint8_t *addr, uint8_t addr_len,
		 uint32_t now, const uint8_t *secret)
{
	server[0] = VERSION;
	memset(server + 1, 0, 3); /* reserved (section 4.2) */
	wire_write32(server + 4, now);
	cookie_hash(server, client, addr, addr_len, secret);
}

bool cookie_check(const uint8_t *server, uint8_t len, const uint8_t *client, const uint8_t *addr,
		  uint8_t addr_len, uint32_t now, const uint8_t *secret)
{
	uint8_t want[COOKIE_SERVER];

	if (len != COOKIE_SERVER || server[0] != VERSION)
		return false;
	uint32_t timestamp = wire_read32(server + 4);
	int32_t age = (int32_t)(now - timestamp); /* RFC 1982 arithmetic (RFC 9018 section 4.3) */

	if (age > AGE_MAX || age < -FUTURE_MAX)
		return false;
	/* Another server of the same secret may have put something into the reserved octets. */
	memcpy(want, server, 8);
	cookie_hash(want, client, addr, addr_len, secret);
	return sodium_memcmp(want, server, COOKIE_SERVER) == 0;
}
