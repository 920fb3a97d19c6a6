/* SPDX-License-Identifier: GPL-3.0-or-later */
/* octets.h - copying, comparing and folding the few octets that names and records have.
 *
 * For lengths known only at run time a call of libc's memcpy or memcmp costs more than the
 * work itself.  These take 16 octets at a time and the last ones, if need be, for the second
 * time; nothing outside [0..len) is read or written.
 */
#ifndef POLLUX_OCTETS_H
#define POLLUX_OCTETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define OCTETS_FEW 256 /* from here on libc's copy is the faster */

typedef uint8_t octets16 __attribute__((vector_size(16)));

static inline octets16 octets_load16(const uint8_t *p)
{
	octets16 x;

	memcpy(&x, p, sizeof(x));
	return x;
}

static inline void octets_store16(uint8_t *p, octets16 x)
{
	memcpy(p, &x, sizeof(x));
}

static inline uint64_t octets_load8(const uint8_t *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof(x));
	return x;
}

static inline uint32_t octets_load4(const uint8_t *p)
{
	uint32_t x;

	memcpy(&x, p, sizeof(x));
	return x;
}

/* octets_copy - copy len octets between places that do not overlap. */
static inline void octets_copy(uint8_t *to, const uint8_t *from, size_t len)
{
	if (len >= 16) {
		octets16 last = octets_load16(from + len - 16);

		if (__builtin_expect(len >= OCTETS_FEW, 0)) {
			memcpy(to, from, len);
			return;
		}
		for (size_t i = 16; i < len; i += 16) {
			octets_store16(to + i - 16, octets_load16(from + i - 16));
			__asm__("" : "+r"(i)); /* or the compiler makes a call of it again */
		}
		octets_store16(to + len - 16, last);
	} else if (len >= 8) {
		uint64_t first = octets_load8(from), last = octets_load8(from + len - 8);

		memcpy(to, &first, 8);
		memcpy(to + len - 8, &last, 8);
	} else if (len >= 4) {
		uint32_t first = octets_load4(from), last = octets_load4(from + len - 4);

		memcpy(to, &first, 4);
		memcpy(to + len - 4, &last, 4);
	} else {
		for (size_t i = 0; i < len; i++)
			to[i] = from[i];
	}
}

/* octets_same - are len octets alike? */
static inline bool octets_same(const uint8_t *a, const uint8_t *b, size_t len)
{
	uint64_t differ = 0;

	if (len >= 8) {
		for (size_t i = 8; i < len; i += 8)
			differ |= octets_load8(a + i - 8) ^ octets_load8(b + i - 8);
		differ |= octets_load8(a + len - 8) ^ octets_load8(b + len - 8);
	} else if (len >= 4) {
		differ = (octets_load4(a) ^ octets_load4(b)) |
			 (octets_load4(a + len - 4) ^ octets_load4(b + len - 4));
	} else {
		for (size_t i = 0; i < len; i++)
			differ |= (uint64_t)(a[i] ^ b[i]);
	}
	return differ == 0;
}

/* octets_fold - ASCII lower case of each octet (RFC 4343 section 3). */
static inline octets16 octets_fold(octets16 x)
{
	octets16 upper = (octets16)((octets16)(x - 'A') < 26);

	return x + (upper & ('a' - 'A'));
}

/* octets_fold_tail - octets_fold_copy where no more than the len octets may be read. */
static __attribute__((noinline, unused)) void octets_fold_tail(uint8_t *to, const uint8_t *from,
							       size_t len)
{
	uint8_t all[16] = { 0 };

	if (len < 16) {
		octets_copy(all, from, len);
		octets_store16(to, octets_fold(octets_load16(all)));
		return;
	}
	octets16 last = octets_fold(octets_load16(from + len - 16));

	for (size_t i = 16; i < len; i += 16)
		octets_store16(to + i - 16, octets_fold(octets_load16(from + i - 16)));
	octets_store16(to + len - 16, last);
}

/* octets_fold_copy - the same while copying len octets (1 or more); what stands behind them in
 * `to` up to the next multiple of 16 may be overwritten.  `room` octets of `from` may be read. */
static inline __attribute__((always_inline))
void octets_fold_copy(uint8_t *to, const uint8_t *from, size_t len, size_t room)
{
	if (((len + 15) & ~(size_t)15) > room) {
		octets_fold_tail(to, from, len);
		return;
	}
	for (size_t i = 0; i < len; i += 16)
		octets_store16(to + i, octets_fold(octets_load16(from + i)));
}

#endif
