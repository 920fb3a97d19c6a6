/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <criterion/criterion.h>

#define RING_FRAMES 16
#define FRAME_OCTETS 4096

void stage_open(struct stage *s)
{
	static const char links[] =
		"echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 && "
		"echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6 && "
		"ip link set lo up && "
		"ip link add steer0 numrxqueues 2 numtxqueues 2 type veth "
		"peer name steer1 numrxqueues 2 numtxqueues 1 && "
		"ip link set steer0 up && ip link set steer1 up";
	struct ifreq request = { .ifr_name = "steer0" };
	int fd;

	memset(s, 0, sizeof(*s));
	cr_assert_eq(unshare(CLONE_NEWNET), 0, "unshare: %s (root?)", strerror(errno));
	cr_assert_eq(system(links), 0, "cannot make the veth pair");
	s->ifindex = if_nametoindex("steer0");
	s->peer_ifindex = if_nametoindex("steer1");
	cr_assert(s->ifindex && s->peer_ifindex);

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert(fd >= 0 && ioctl(fd, SIOCGIFHWADDR, &request) == 0);
	memcpy(s->mac, request.ifr_hwaddr.sa_data, sizeof(s->mac));
	close(fd);
	stage_load(s);
}

void stage_close(struct stage *s)
{
	bpf_object__close(s->object);
	s->object = NULL;
}

void stage_load(struct stage *s)
{
	const char *path = steer_object_path();
	struct bpf_program *program;

	bpf_object__close(s->object);
	cr_assert(path, "no steer.bpf.o");
	s->object = bpf_object__open_file(path, NULL);
	cr_assert(s->object, "%s: %s", path, strerror(errno));
	cr_assert_eq(bpf_object__load(s->object), 0);
	program = bpf_object__next_program(s->object, NULL);
	cr_assert(program && !bpf_object__next_program(s->object, program),
		  "one program is what DPDK's driver looks for");
	s->program = bpf_program__fd(program);
	s->xsks_map = bpf_object__find_map_fd_by_name(s->object, "xsks_map");
	cr_assert(s->program >= 0 && s->xsks_map >= 0);
}

int stage_attach(struct stage *s, int program, uint32_t flags)
{
	return bpf_xdp_attach((int)s->ifindex, program, flags, NULL);
}

uint32_t stage_attached(const struct stage *s)
{
	uint32_t id = 0;

	cr_assert_eq(bpf_xdp_query_id((int)s->ifindex, 0, &id), 0);
	return id;
}

uint32_t program_id(int program)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	cr_assert_eq(bpf_obj_get_info_by_fd(program, &info, &len), 0);
	return info.id;
}

int program_pass(const char *name)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, name, "GPL", insns, 2, NULL);

	cr_assert(fd >= 0, "%s", strerror(errno));
	return fd;
}

static void *ring_map(int fd, uint64_t page, size_t len)
{
	void *ring = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
			  (off_t)page);

	cr_assert(ring != MAP_FAILED);
	return ring;
}

void xsk_open(struct xsk *x, const struct stage *s, uint32_t queue)
{
	const int ring_frames = RING_FRAMES;
	struct sockaddr_xdp address = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = XDP_COPY,
		.sxdp_ifindex = s->ifindex,
		.sxdp_queue_id = queue,
	};
	struct xdp_umem_reg reg = { .len = RING_FRAMES * FRAME_OCTETS, .chunk_size = FRAME_OCTETS };
	struct xdp_mmap_offsets offsets;
	socklen_t offsets_len = sizeof(offsets);
	uint64_t *fill;
	int rc = -1;

	x->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	cr_assert(x->fd >= 0, "AF_XDP: %s", strerror(errno));
	x->umem = mmap(NULL, reg.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert(x->umem != MAP_FAILED);
	reg.addr = (uintptr_t)x->umem;
	cr_assert_eq(setsockopt(x->fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)), 0);
	cr_assert_eq(setsockopt(x->fd, SOL_XDP, XDP_UMEM_FILL_RING, &ring_frames, 4), 0);
	cr_assert_eq(setsockopt(x->fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &ring_frames, 4), 0);
	cr_assert_eq(setsockopt(x->fd, SOL_XDP, XDP_RX_RING, &ring_frames, 4), 0);
	cr_assert_eq(getsockopt(x->fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &offsets_len), 0);

	x->fill_ring_len = offsets.fr.desc + RING_FRAMES * sizeof(uint64_t);
	x->fill_ring = ring_map(x->fd, XDP_UMEM_PGOFF_FILL_RING, x->fill_ring_len);
	x->receive_ring_len = offsets.rx.desc + RING_FRAMES * sizeof(struct xdp_desc);
	x->receive_ring = ring_map(x->fd, XDP_PGOFF_RX_RING, x->receive_ring_len);
	x->receive_producer = (uint32_t *)((char *)x->receive_ring + offsets.rx.producer);
	x->receive_consumer = (uint32_t *)((char *)x->receive_ring + offsets.rx.consumer);
	x->receive_descs = (char *)x->receive_ring + offsets.rx.desc;

	fill = (uint64_t *)((char *)x->fill_ring + offsets.fr.desc);
	for (uint64_t i = 0; i < RING_FRAMES; i++)
		fill[i] = i * FRAME_OCTETS;
	__atomic_store_n((uint32_t *)((char *)x->fill_ring + offsets.fr.producer), RING_FRAMES,
			 __ATOMIC_RELEASE);

	/* The kernel frees a queue a moment after its last socket was closed. */
	for (int i = 0; i < 200 && rc != 0; i++) {
		rc = bind(x->fd, (struct sockaddr *)&address, sizeof(address));
		if (rc < 0 && errno != EBUSY)
			break;
		if (rc < 0)
			usleep(10000);
	}
	cr_assert_eq(rc, 0, "bind: %s", strerror(errno));
	cr_assert_eq(bpf_map_update_elem(s->xsks_map, &queue, &x->fd, BPF_ANY), 0, "%s",
		     strerror(errno));
}

void xsk_close(struct xsk *x)
{
	munmap(x->fill_ring, x->fill_ring_len);
	munmap(x->receive_ring, x->receive_ring_len);
	close(x->fd);
	munmap(x->umem, RING_FRAMES * FRAME_OCTETS);
}

size_t xsk_receive(struct xsk *x, const uint8_t **frame, int timeout_ms)
{
	struct pollfd wait = { .fd = x->fd, .events = POLLIN };
	const struct xdp_desc *desc = x->receive_descs;
	uint32_t next = *x->receive_consumer; /* only we write it */

	poll(&wait, 1, timeout_ms);
	if (__atomic_load_n(x->receive_producer, __ATOMIC_ACQUIRE) == next)
		return 0;
	desc += next % RING_FRAMES;
	__atomic_store_n(x->receive_consumer, next + 1, __ATOMIC_RELEASE);
	*frame = x->umem + desc->addr;
	return desc->len;
}

void stage_send(const struct stage *s, const uint8_t *frame, size_t len)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)s->peer_ifindex };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	cr_assert(fd >= 0);
	cr_assert_eq(sendto(fd, frame, len, 0, (struct sockaddr *)&to, sizeof(to)), (ssize_t)len);
	close(fd);
}
