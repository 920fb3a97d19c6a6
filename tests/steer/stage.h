/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stage.h - where the steering program is tested: a network namespace of the test's own
 * with a veth pair of two queues, the program loaded, and AF_XDP sockets.
 *
 *        steer1 ───────────── steer0   (ifindex; the program goes here)
 *     frames are sent         queue 0: gets them; may have an AF_XDP socket
 *                             queue 1: gets none
 *
 * steer1 sends from one queue, so that all it sends comes to queue 0 of steer0.  IPv6 is
 * off in the namespace, so that the kernel says nothing by itself and every counter
 * stands still between two frames of ours.  Needs root.  A failure ends the test.
 */
#ifndef POLLUX_TEST_STAGE_H
#define POLLUX_TEST_STAGE_H

#include <stddef.h>
#include <stdint.h>

#include <bpf/libbpf.h>

#include "bpf/steerctl.h"

struct stage {
	struct bpf_object *object;
	int program;  /* descriptors owned by object */
	int xsks_map;
	unsigned ifindex;      /* of steer0 */
	unsigned peer_ifindex; /* of steer1 */
	uint8_t mac[6];	       /* of steer0 */
};

/* An AF_XDP socket with one receive ring. */
struct xsk {
	int fd;
	uint8_t *umem;
	void *fill_ring, *receive_ring;
	size_t fill_ring_len, receive_ring_len;
	uint32_t *receive_producer, *receive_consumer;
	const void *receive_descs;
};

/* stage_open - the calling process moves into the new namespace; the program is loaded
 * and not attached.  The namespace goes with the process. */
void stage_open(struct stage *s);
void stage_close(struct stage *s);

/* stage_load - load the program once more, in place of the one that is loaded. */
void stage_load(struct stage *s);

/* stage_attach - attach a program to steer0 with XDP_FLAGS_...; 0 or -errno. */
int stage_attach(struct stage *s, int program, uint32_t flags);

/* stage_attached - the id of the program attached to steer0 in any mode, 0 for none. */
uint32_t stage_attached(const struct stage *s);

/* program_id - of a program's descriptor. */
uint32_t program_id(int program);

/* program_pass - load a program of the given name that passes every frame and has no
 * maps; the caller closes the descriptor. */
int program_pass(const char *name);

/* xsk_open - bind a socket to the queue of steer0 and put it into xsks_map there. */
void xsk_open(struct xsk *x, const struct stage *s, uint32_t queue);
void xsk_close(struct xsk *x);

/* xsk_receive - wait for the next frame, at most for timeout_ms, and return its length
 * (0: none), *frame pointing into the socket's memory.  For 16 frames in all: none is
 * given back. */
size_t xsk_receive(struct xsk *x, const uint8_t **frame, int timeout_ms);

/* stage_send - put a frame on the wire at steer1. */
void stage_send(const struct stage *s, const uint8_t *frame, size_t len);

#endif
