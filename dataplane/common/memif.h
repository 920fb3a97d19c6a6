/* SPDX-License-Identifier: GPL-3.0-or-later */
/* memif.h - the shared memory packet interface (memif, version 2.0) as it lies in memory and
 * on its socket; for both ends.
 *
 * The client makes the memory and says over the socket (SOCK_SEQPACKET, one message a
 * packet, descriptors beside it) where the rings are in it; then it fills both with
 * descriptors of its buffers.  Rings are indexed by free-running 16-bit positions, each
 * written by one side:
 *
 *   to the server    head by the client, behind what is to be read; tail by the server,
 *                    behind what it has read
 *   to the client    tail by the server, behind what is to be read; head by the client,
 *                    behind the buffers that may be filled
 */
#ifndef POLLUX_MEMIF_H
#define POLLUX_MEMIF_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define MEMIF_VERSION 0x200
#define MEMIF_COOKIE 0x3e31f20
#define MEMIF_NAME 32      /* octets of a name; zeros behind it if there is room */
#define MEMIF_SECRET 24
#define MEMIF_REASON 96
#define MEMIF_LOG2_MAX 14  /* of a ring's descriptors */

#define MEMIF_NO_INTERRUPT 1 /* ring flag: its reader polls */
#define MEMIF_NEXT 1         /* descriptor flag: the frame goes on in the next one */
#define MEMIF_TO_SERVER 1    /* flag of add_ring */

enum memif_kind {
	MEMIF_ACK = 1,     /* server: to init, add_region and add_ring */
	MEMIF_HELLO,       /* server, first */
	MEMIF_INIT,        /* client, second */
	MEMIF_ADD_REGION,  /* client, with the memory's descriptor */
	MEMIF_ADD_RING,    /* client, with the descriptor of its interrupts */
	MEMIF_CONNECT,     /* client: that was all */
	MEMIF_CONNECTED,   /* server: frames may come */
	MEMIF_DISCONNECT,  /* either */
};

/* Numbers in the machine's own order: both ends are on it. */
struct memif_message {
	uint16_t kind;
	union {
		struct __attribute__((packed)) {
			uint8_t name[MEMIF_NAME];
			uint16_t version_min, version_max;
			/* The highest index, not how many. */
			uint16_t region_max, to_client_max, to_server_max;
			uint8_t log2_ring_max;
		} hello;
		struct __attribute__((packed)) {
			uint16_t version;
			uint32_t id;
			uint8_t mode; /* 0: Ethernet */
			uint8_t secret[MEMIF_SECRET];
			uint8_t name[MEMIF_NAME];
		} init;
		struct __attribute__((packed)) {
			uint16_t index;
			uint64_t size;
		} region;
		struct __attribute__((packed)) {
			uint16_t flags;
			uint16_t index, region;
			uint32_t offset;
			uint8_t log2_ring;
			uint16_t header;
		} ring;
		struct __attribute__((packed)) {
			uint8_t name[MEMIF_NAME];
		} connect; /* and connected */
		struct __attribute__((packed)) {
			uint32_t code;
			char reason[MEMIF_REASON];
		} disconnect;
		uint8_t all[126];
	};
} __attribute__((packed));

struct memif_desc {
	uint16_t flags;
	uint16_t region;
	uint32_t len;      /* octets of the frame, or of the buffer that may be filled */
	uint32_t offset;   /* in the region */
	uint32_t metadata;
};

struct memif_ring {
	uint32_t cookie;
	_Atomic uint16_t flags;
	_Atomic uint16_t head;
	uint8_t pad1[56];
	_Atomic uint16_t tail;
	uint8_t pad2[62];
	struct memif_desc desc[];
};

static_assert(sizeof(struct memif_message) == 128, "as the protocol has it");
static_assert(sizeof(struct memif_desc) == 16 && offsetof(struct memif_ring, tail) == 64 &&
	      offsetof(struct memif_ring, desc) == 128, "as the protocol has it");

/* memif_ring_size - octets of a ring with 1 << log2 descriptors. */
static inline size_t memif_ring_size(unsigned log2)
{
	return sizeof(struct memif_ring) + (sizeof(struct memif_desc) << log2);
}

#endif
