/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire.h - numbers in network byte order (RFC 1035 section 2.3.2) at any
 * alignment.  The caller has checked that the octets are there. */
#ifndef POLLUX_WIRE_H
#define POLLUX_WIRE_H

#include <stdint.h>

static inline uint16_t wire_read16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t wire_read32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void wire_write16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void wire_write32(uint8_t *p, uint32_t v)
{
	wire_write16(p, (uint16_t)(v >> 16));
	wire_write16(p + 2, (uint16_t)v);
}

static inline void wire_write64(uint8_t *p, uint64_t v)
{
	wire_write32(p, (uint32_t)(v >> 32));
	wire_write32(p + 4, (uint32_t)v);
}

#endif
