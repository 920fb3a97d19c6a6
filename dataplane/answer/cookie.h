/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cookie.h - DNS Cookies that any server with the same secret makes and knows
 * (RFC 7873, RFC 9018): version 1, SipHash-2-4.
 *
 * Pure functions; any thread.
 */
#ifndef POLLUX_COOKIE_H
#define POLLUX_COOKIE_H

#include <stdbool.h>
#include <stdint.h>

#define COOKIE_CLIENT 8  /* octets of a client cookie */
#define COOKIE_SERVER 16 /* octets of our server cookies */
#define COOKIE_MAX 40    /* octets of both, any server's (RFC 7873 section 4) */
#define COOKIE_SECRET 16 /* octets */

/* cookie_make - write the server cookie for a client at address addr[0..addr_len)
 * (network byte order; 4 or 16 octets) at the Unix time `now` to server[COOKIE_SERVER]. */
void cookie_make(uint8_t *server, const uint8_t *client, const uint8_t *addr, uint8_t addr_len,
		 uint32_t now, const uint8_t *secret);

/* cookie_check - is server[0..len) a cookie made with this secret for this client, not
 * over an hour old and at most five minutes from the future (RFC 9018 section 4.3)? */
bool cookie_check(const uint8_t *server, uint8_t len, const uint8_t *client, const uint8_t *addr,
		  uint8_t addr_len, uint32_t now, const uint8_t *secret);

#endif
