/* SPDX-License-Identifier: GPL-3.0-or-later */
/* name_hash.h - the one hash of domain names: XXH3 under the arena's secret.
 *
 * Everything that puts a name into the table or looks one up includes this, so
 * that writer and readers cannot disagree.  A seed alone would be a weak defence
 * against chosen names that collide, hence the long secret.
 */
#ifndef POLLUX_NAME_HASH_H
#define POLLUX_NAME_HASH_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "arena.h"

#define NAME_HASH_SHORT 64 /* octets */

/* name_hash_long - the same, out of line: names so long are rare, and the code for them is
 * long, too. */
static __attribute__((noinline, unused)) uint64_t name_hash_long(const uint8_t *secret,
								 const uint8_t *wire, size_t len)
{
	return XXH3_64bits_withSecret(wire, len, secret, ARENA_SECRET);
}

/* name_hash - hash a folded bare wire name of len octets (any suffix of a folded
 * name is one) under secret[ARENA_SECRET]. */
static inline uint64_t name_hash(const uint8_t *secret, const uint8_t *wire, size_t len)
{
	if (len > NAME_HASH_SHORT)
		return name_hash_long(secret, wire, len);
	return XXH3_64bits_withSecret(wire, len, secret, ARENA_SECRET);
}

#endif
