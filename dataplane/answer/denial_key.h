/* SPDX-License-Identifier: GPL-3.0-or-later */
/* denial_key.h - the keys of denial trees (denial.h), alike for writer and readers. */
#ifndef POLLUX_DENIAL_KEY_H
#define POLLUX_DENIAL_KEY_H

#include "name.h"
#include "wire.h"

/* denial_hash_key - of an NSEC3 hash: its first eight octets. */
static inline uint64_t denial_hash_key(const uint8_t *hash)
{
	return (uint64_t)wire_read32(hash) << 32 | wire_read32(hash + 4);
}

/* denial_label_key - the same of one label alone, as it is when it is long or the only one,
 * and has no octets 0 and 1; else 0.  No octet behind the label is read. */
static inline uint64_t denial_label_key(const uint8_t *label)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	unsigned n = label[0];
	uint64_t key, high; /* octets behind a short label are 255 in high */

	if (n >= 8) {
		key = high = denial_hash_key(label + 1);
	} else if (n) {
		/* Two halves, or three octets, that may be the same in part. */
		if (n >= 4)
			key = (uint64_t)wire_read32(label + 1) << 32 |
			      (uint64_t)wire_read32(label + n - 3) << (64 - 8 * n);
		else
			key = (uint64_t)label[1] << 56 | (uint64_t)label[1 + n / 2] << (56 - n / 2 * 8) |
			      (uint64_t)label[n] << (64 - 8 * n);
		high = key | UINT64_MAX >> 8 * n;
	} else {
		return 0;
	}
	/* Is any octet below 2? */
	return (high - 2 * ones) & ~high & ones << 7 ? 0 : key;
}

/* denial_name_key - of a folded name of `labels` labels (127 at most) beyond the apex's: the
 * first eight octets of what name_key writes for them. */
static inline uint64_t denial_name_key(const uint8_t *wire, unsigned labels)
{
	if (labels == 1) {
		uint64_t alone = denial_label_key(wire);

		if (alone)
			return alone;
	}

	const uint8_t *label[NAME_MAX_LABELS];
	uint64_t key = 0;
	int shift = 64; /* bits of the key that are left */

	for (unsigned i = 0; i < labels; i++, wire += 1 + *wire)
		label[i] = wire;
	while (labels > 0 && shift > 0) {
		const uint8_t *l = label[--labels];

		for (unsigned i = 1; i <= l[0] && shift > 0; i++) {
			uint8_t c = l[i];

			if (c <= 1) { /* 0 ends labels: these two become 1 1 and 1 2 */
				key |= UINT64_C(1) << (shift -= 8);
				c++;
				if (!shift)
					break;
			}
			key |= (uint64_t)c << (shift -= 8);
		}
		shift -= 8;
	}
	return key;
}

#endif
