/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bpf/steerctl.h"

#include <errno.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define OBJECT_IN_BUILD_TREE "../bpf/steer.bpf.o"
#define PROGRAM_MAPS_MAX 16
#define ADDRESSES_IN_MAP (2 * STEER_ADDRESSES) /* room for the old and the new list */
#define DETACH_ATTEMPTS 3

static const char *const reason_names[STEER_REASONS] = {
	[STEER_REDIRECT] = "redirect",
	[STEER_PASS_NO_SOCKET] = "pass-no-socket",
	[STEER_PASS_BYPASS] = "pass-bypass",
	[STEER_PASS_NOT_IP] = "pass-not-ip",
	[STEER_PASS_NOT_UDP] = "pass-not-udp",
	[STEER_PASS_ADDRESS] = "pass-address",
	[STEER_PASS_OPTIONS] = "pass-options",
	[STEER_PASS_FRAGMENT] = "pass-fragment",
	[STEER_PASS_SIZE] = "pass-size",
	[STEER_PASS_OPCODE] = "pass-opcode",
	[STEER_PASS_MALFORMED] = "pass-malformed",
	[STEER_DROP_RESPONSE] = "drop-response",
	[STEER_DROP_SHORT] = "drop-short",
};

/* What steer_maps_open looks for. */
static const struct map_layout {
	const char *name;
	size_t offset; /* of its descriptor in struct steer_maps */
	uint32_t type, key_size, value_size, max_entries;
} map_layouts[] = {
	{ "steer_address", offsetof(struct steer_maps, address), BPF_MAP_TYPE_HASH,
	  sizeof(struct steer_address), sizeof(uint8_t), ADDRESSES_IN_MAP },
	{ "steer_settings", offsetof(struct steer_maps, settings), BPF_MAP_TYPE_ARRAY,
	  sizeof(uint32_t), sizeof(struct steer_settings), 1 },
	{ "steer_bypass", offsetof(struct steer_maps, bypass), BPF_MAP_TYPE_ARRAY,
	  sizeof(uint32_t), sizeof(uint32_t), STEER_QUEUES },
	{ "steer_counter", offsetof(struct steer_maps, counter), BPF_MAP_TYPE_PERCPU_ARRAY,
	  sizeof(uint32_t), sizeof(uint64_t), STEER_REASONS },
};
#define MAP_LAYOUTS (sizeof(map_layouts) / sizeof(map_layouts[0]))

const char *steer_object_path(void)
{
	static char path[PATH_MAX];
	const char *chosen = secure_getenv("POLLUX_STEER_OBJECT");
	char *slash;
	ssize_t len;

	if (chosen)
		return access(chosen, R_OK) == 0 ? chosen : NULL;

	len = readlink("/proc/self/exe", path, sizeof(path) - sizeof(OBJECT_IN_BUILD_TREE));
	if (len > 0) {
		path[len] = '\0';
		slash = strrchr(path, '/');
		if (slash) {
			strcpy(slash + 1, OBJECT_IN_BUILD_TREE);
			if (access(path, R_OK) == 0)
				return path;
		}
	}
	return access(POLLUX_STEER_INSTALLED, R_OK) == 0 ? POLLUX_STEER_INSTALLED : NULL;
}

/* An attached program: its id, the mode flag to detach it with, an open descriptor. */
struct attached {
	uint32_t id;
	uint32_t mode;
	int fd;
	struct bpf_prog_info info;
	uint32_t map_ids[PROGRAM_MAPS_MAX];
};

/* attached_open - the program of the given id, which may just have gone (-ENOENT).  On
 * success the caller closes p->fd. */
static int attached_open(struct attached *p, uint32_t id, uint32_t mode)
{
	uint32_t info_len = sizeof(p->info);
	int rc;

	memset(p, 0, sizeof(*p));
	p->id = id;
	p->mode = mode;
	p->fd = bpf_prog_get_fd_by_id(id);
	if (p->fd < 0)
		return -errno;
	p->info.nr_map_ids = PROGRAM_MAPS_MAX;
	p->info.map_ids = (uintptr_t)p->map_ids;
	rc = bpf_obj_get_info_by_fd(p->fd, &p->info, &info_len);
	if (rc < 0) {
		rc = -errno;
		close(p->fd);
		p->fd = -1;
		return rc;
	}
	if (p->info.nr_map_ids > PROGRAM_MAPS_MAX)
		p->info.nr_map_ids = PROGRAM_MAPS_MAX;
	return 0;
}

static bool attached_is_ours(const struct attached *p)
{
	return strncmp(p->info.name, STEER_PROGRAM, sizeof(p->info.name)) == 0;
}

/* attached_ids - the interface's programs: one at most in the driver, in the kernel's
 * generic layer and in the NIC itself.  0 stands for none. */
static int attached_ids(unsigned ifindex, uint32_t id[3])
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	char name[IF_NAMESIZE];
	int rc;

	if (!if_indextoname(ifindex, name)) /* libbpf would say: no program */
		return -ENODEV;
	rc = bpf_xdp_query((int)ifindex, 0, &query);
	if (rc < 0)
		return rc;
	id[0] = query.drv_prog_id;
	id[1] = query.skb_prog_id;
	id[2] = query.hw_prog_id;
	return 0;
}

static const uint32_t attach_modes[3] = { XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE,
					  XDP_FLAGS_HW_MODE };

/* map_by_name - the descriptor of one of the program's maps, or -errno. */
static int map_by_name(const struct attached *p, const char *name, struct bpf_map_info *info)
{
	for (uint32_t i = 0; i < p->info.nr_map_ids; i++) {
		uint32_t info_len = sizeof(*info);
		int fd = bpf_map_get_fd_by_id(p->map_ids[i]);
		int rc;

		if (fd < 0)
			return -errno;
		memset(info, 0, sizeof(*info));
		rc = bpf_obj_get_info_by_fd(fd, info, &info_len);
		if (rc == 0 && strncmp(info->name, name, sizeof(info->name)) == 0)
			return fd;
		rc = rc < 0 ? -errno : 0;
		close(fd);
		if (rc < 0)
			return rc;
	}
	return -ENOENT;
}

/* probe_load - a program that says whether an XSKMAP has a socket at the index that
 * begins the frame.  User space cannot ask (a look-up in an XSKMAP is for programs
 * only), nor does every kernel have sock_diag for AF_XDP. */
static int probe_load(int xskmap)
{
	const struct bpf_insn insns[] = {
		/* r2 = data, r3 = data_end; r4 = data + 4 */
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_1,
		  .off = offsetof(struct xdp_md, data) },
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_3, .src_reg = BPF_REG_1,
		  .off = offsetof(struct xdp_md, data_end) },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_4, .src_reg = BPF_REG_2 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_4, .imm = 4 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_JGT | BPF_X, .dst_reg = BPF_REG_4, .src_reg = BPF_REG_3,
		  .off = 9 },
		/* on the stack: key = *(u32 *)data */
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_2 },
		{ .code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .src_reg = BPF_REG_2,
		  .off = -4 },
		/* r0 = bpf_map_lookup_elem(xskmap, &key) != NULL */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = -4 },
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_1,
		  .src_reg = BPF_PSEUDO_MAP_FD, .imm = xskmap },
		{ 0 }, /* the second half of the one before */
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_0, .imm = 0, .off = 1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "pollux_probe", "GPL", insns,
			       sizeof(insns) / sizeof(insns[0]), NULL);

	return fd < 0 ? -errno : fd;
}

/* attached_in_use - 1 when a live AF_XDP socket stands in its xsks_map, else 0; a
 * socket's entry goes with the socket.  -errno when that cannot be known. */
static int attached_in_use(const struct attached *p)
{
	struct bpf_map_info info;
	int probe, rc = 0, xskmap = map_by_name(p, "xsks_map", &info);

	if (xskmap < 0)
		return xskmap == -ENOENT ? 0 : xskmap;
	if (info.type != BPF_MAP_TYPE_XSKMAP) {
		close(xskmap);
		return 0;
	}
	probe = probe_load(xskmap);
	if (probe < 0) {
		close(xskmap);
		return probe;
	}
	for (uint32_t queue = 0; queue < info.max_entries && rc == 0; queue++) {
		uint8_t frame[ETH_ZLEN] = { 0 };
		LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame,
			    .data_size_in = sizeof(frame));

		memcpy(frame, &queue, sizeof(queue));
		rc = bpf_prog_test_run_opts(probe, &run);
		rc = rc < 0 ? -errno : run.retval != 0;
	}
	close(probe);
	close(xskmap);
	return rc;
}

/* attached_detach - remove p if it is ours and nobody uses it; -EEXIST or -ENOENT when
 * the interface has changed in the meantime. */
static int attached_detach(const struct attached *p, unsigned ifindex, uint32_t *id)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, expected, .old_prog_fd = p->fd);
	int rc;

	if (!attached_is_ours(p)) {
		*id = p->id;
		return -EBUSY;
	}
	rc = attached_in_use(p);
	if (rc != 0)
		return rc < 0 ? rc : -EBUSY;
	return bpf_xdp_detach((int)ifindex, p->mode | XDP_FLAGS_REPLACE, &expected);
}

int steer_detach_stale(unsigned ifindex, uint32_t *id)
{
	uint32_t ids[3];
	int rc = 0;

	*id = 0;
	for (int attempt = 0; attempt < DETACH_ATTEMPTS; attempt++) {
		rc = attached_ids(ifindex, ids);
		for (int i = 0; i < 3 && rc == 0; i++) {
			struct attached p;

			if (ids[i] == 0)
				continue;
			rc = attached_open(&p, ids[i], attach_modes[i]);
			if (rc < 0)
				break;
			rc = attached_detach(&p, ifindex, id);
			close(p.fd);
		}
		if (rc != -EEXIST && rc != -ENOENT)
			return rc;
	}
	return -EBUSY; /* somebody attaches and detaches as we look */
}

static void maps_clear(struct steer_maps *m)
{
	*m = (struct steer_maps){ .address = -1, .settings = -1, .bypass = -1, .counter = -1 };
}

static int *map_slot(struct steer_maps *m, const struct map_layout *layout)
{
	return (int *)((char *)m + layout->offset);
}

/* ours_open - the program of ours that is attached there; the caller closes p->fd. */
static int ours_open(struct attached *p, unsigned ifindex)
{
	uint32_t ids[3];
	int rc = attached_ids(ifindex, ids);

	for (int i = 0; i < 3 && rc == 0; i++) {
		if (ids[i] == 0)
			continue;
		rc = attached_open(p, ids[i], attach_modes[i]);
		if (rc < 0)
			return rc;
		if (attached_is_ours(p))
			return 0;
		close(p->fd);
	}
	return rc < 0 ? rc : -ENOENT;
}

int steer_program_open(unsigned ifindex, uint32_t *mode)
{
	struct attached p;
	int rc = ours_open(&p, ifindex);

	if (rc < 0)
		return rc;
	*mode = p.mode;
	return p.fd;
}

int steer_program_detach(unsigned ifindex, int program, uint32_t mode)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, expected, .old_prog_fd = program);

	return bpf_xdp_detach((int)ifindex, mode | XDP_FLAGS_REPLACE, &expected);
}

int steer_maps_open(struct steer_maps *m, unsigned ifindex)
{
	struct attached p;
	int rc;

	maps_clear(m);
	rc = ours_open(&p, ifindex);
	if (rc < 0)
		return rc;

	for (size_t i = 0; i < MAP_LAYOUTS && rc == 0; i++) {
		const struct map_layout *layout = &map_layouts[i];
		struct bpf_map_info info;
		int fd = map_by_name(&p, layout->name, &info);

		if (fd < 0) {
			rc = fd == -ENOENT ? -EPROTO : fd;
			break;
		}
		*map_slot(m, layout) = fd;
		if (info.type != layout->type || info.key_size != layout->key_size ||
		    info.value_size != layout->value_size ||
		    info.max_entries != layout->max_entries)
			rc = -EPROTO;
	}
	close(p.fd);
	if (rc < 0)
		steer_maps_close(m);
	return rc;
}

void steer_maps_close(struct steer_maps *m)
{
	for (size_t i = 0; i < MAP_LAYOUTS; i++) {
		int *fd = map_slot(m, &map_layouts[i]);

		if (*fd >= 0)
			close(*fd);
	}
	maps_clear(m);
}

/* address_key - the sockaddr as the map's key. */
static int address_key(struct steer_address *key, const struct sockaddr_storage *sa)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;

	memset(key, 0, sizeof(*key));
	if (sa->ss_family == AF_INET) {
		if (in->sin_addr.s_addr == INADDR_ANY)
			return -EINVAL;
		key->addr[10] = 0xff;
		key->addr[11] = 0xff;
		memcpy(&key->addr[12], &in->sin_addr, 4);
		key->port = in->sin_port;
	} else if (sa->ss_family == AF_INET6) {
		if (IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr))
			return -EINVAL;
		memcpy(key->addr, &in6->sin6_addr, 16);
		key->port = in6->sin6_port;
	} else {
		return -EINVAL;
	}
	return key->port == 0 ? -EINVAL : 0;
}

/* addresses_read - the map's keys; no other writer exists.  Their number, or -errno. */
static int addresses_read(int map, struct steer_address keys[ADDRESSES_IN_MAP])
{
	int cnt = 0;

	while (cnt < ADDRESSES_IN_MAP) {
		if (bpf_map_get_next_key(map, cnt ? &keys[cnt - 1] : NULL, &keys[cnt]) < 0)
			return errno == ENOENT ? cnt : -errno;
		cnt++;
	}
	return cnt;
}

int steer_set_addresses(const struct steer_maps *m, const struct sockaddr_storage *sa, size_t cnt)
{
	struct steer_address want[STEER_ADDRESSES], have[ADDRESSES_IN_MAP];
	const uint8_t served = 1;
	int have_cnt, rc;

	if (cnt > STEER_ADDRESSES)
		return -E2BIG;
	for (size_t i = 0; i < cnt; i++) {
		rc = address_key(&want[i], &sa[i]);
		if (rc < 0)
			return rc;
	}
	have_cnt = addresses_read(m->address, have);
	if (have_cnt < 0)
		return have_cnt;
	for (size_t i = 0; i < cnt; i++)
		if (bpf_map_update_elem(m->address, &want[i], &served, BPF_ANY) < 0)
			return -errno;
	for (int i = 0; i < have_cnt; i++) {
		bool wanted = false;

		for (size_t j = 0; j < cnt && !wanted; j++)
			wanted = memcmp(&have[i], &want[j], sizeof(have[i])) == 0;
		if (!wanted && bpf_map_delete_elem(m->address, &have[i]) < 0)
			return -errno;
	}
	return 0;
}

int steer_set_max_payload(const struct steer_maps *m, uint32_t octets)
{
	const struct steer_settings settings = { .max_payload = octets };
	const uint32_t first = 0;

	return bpf_map_update_elem(m->settings, &first, &settings, BPF_ANY) < 0 ? -errno : 0;
}

int steer_set_bypass(const struct steer_maps *m, unsigned queue, bool on)
{
	const uint32_t key = queue, value = on;

	if (queue >= STEER_QUEUES)
		return -EINVAL;
	return bpf_map_update_elem(m->bypass, &key, &value, BPF_ANY) < 0 ? -errno : 0;
}

int steer_counters(const struct steer_maps *m, uint64_t counter[STEER_REASONS])
{
	int cpus = libbpf_num_possible_cpus(), rc = 0;
	uint64_t *each;

	if (cpus < 0)
		return cpus;
	each = calloc((size_t)cpus, sizeof(*each));
	if (!each)
		return -ENOMEM;
	for (uint32_t reason = 0; reason < STEER_REASONS && rc == 0; reason++) {
		counter[reason] = 0;
		if (bpf_map_lookup_elem(m->counter, &reason, each) < 0)
			rc = -errno;
		for (int cpu = 0; cpu < cpus && rc == 0; cpu++)
			counter[reason] += each[cpu];
	}
	free(each);
	return rc;
}

const char *steer_reason_name(enum steer_reason reason)
{
	return (unsigned)reason < STEER_REASONS ? reason_names[reason] : NULL;
}
