/* SPDX-License-Identifier: GPL-3.0-or-later */
/* User space's side of the steering program. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <criterion/criterion.h>

#include "bpf/steerctl.h"
#include "stage.h"

static struct stage stage;

static void stage_set(void)
{
	stage_open(&stage);
}

static void stage_strike(void)
{
	stage_close(&stage);
}

TestSuite(steerctl, .init = stage_set, .fini = stage_strike, .timeout = 120);

static const uint32_t modes[] = { XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE };

Test(steerctl, stale_none)
{
	uint32_t id = 1;

	cr_assert_eq(steer_detach_stale(stage.ifindex, &id), 0);
	cr_assert_eq(id, 0);
}

Test(steerctl, no_interface)
{
	struct steer_maps m;
	uint32_t id;

	cr_assert_eq(steer_detach_stale(0x7ffffff0, &id), -ENODEV);
	cr_assert_eq(steer_maps_open(&m, 0x7ffffff0), -ENODEV);
}

Test(steerctl, stale_ours)
{
	for (int i = 0; i < 2; i++) {
		uint32_t id = 1;

		cr_assert_eq(stage_attach(&stage, stage.program, modes[i]), 0);
		cr_assert_neq(stage_attached(&stage), 0);
		cr_assert_eq(steer_detach_stale(stage.ifindex, &id), 0);
		cr_assert_eq(id, 0);
		cr_assert_eq(stage_attached(&stage), 0);
		cr_assert_eq(steer_detach_stale(stage.ifindex, &id), 0);
	}
}

Test(steerctl, stale_in_use)
{
	for (uint32_t queue = 0; queue < 2; queue++) {
		struct xsk xsk;
		uint32_t id = 1;

		cr_assert_eq(stage_attach(&stage, stage.program, XDP_FLAGS_DRV_MODE), 0);
		xsk_open(&xsk, &stage, queue);
		cr_assert_eq(steer_detach_stale(stage.ifindex, &id), -EBUSY);
		cr_assert_eq(id, 0);
		cr_assert_eq(stage_attached(&stage), program_id(stage.program));
		xsk_close(&xsk);
		cr_assert_eq(steer_detach_stale(stage.ifindex, &id), 0);
		cr_assert_eq(stage_attached(&stage), 0);
	}
}

Test(steerctl, stale_foreign)
{
	static const char *const names[] = { "other", "pollux_stee", "pollux_steer2", "" };

	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		for (int i = 0; i < 2; i++) {
			int foreign = program_pass(names[n]);
			uint32_t id = 0;

			cr_assert_eq(stage_attach(&stage, foreign, modes[i]), 0);
			cr_assert_eq(steer_detach_stale(stage.ifindex, &id), -EBUSY);
			cr_assert_eq(id, program_id(foreign));
			cr_assert_eq(stage_attached(&stage), program_id(foreign));
			cr_assert_eq(stage_attach(&stage, -1, modes[i]), 0);
			close(foreign);
		}
	}
}

/* Ours by name, but it has no maps: nobody can be using it. */
Test(steerctl, stale_without_maps)
{
	int program = program_pass(STEER_PROGRAM);
	uint32_t id;

	cr_assert_eq(stage_attach(&stage, program, XDP_FLAGS_DRV_MODE), 0);
	cr_assert_eq(steer_detach_stale(stage.ifindex, &id), 0);
	cr_assert_eq(stage_attached(&stage), 0);
	close(program);
}

struct swap {
	int program;
	unsigned delay_us;
	atomic_bool go;
};

static void *swap_run(void *argument)
{
	struct swap *swap = argument;

	while (!atomic_load(&swap->go))
		;
	usleep(swap->delay_us);
	return (void *)(intptr_t)stage_attach(&stage, swap->program, XDP_FLAGS_DRV_MODE);
}

/* Another program takes the place of ours while ours is being removed: it must stay. */
Test(steerctl, stale_race)
{
	int foreign = program_pass("other"), refused = 0;

	for (unsigned round = 0; round < 300; round++) {
		struct swap swap = { .program = foreign, .delay_us = round };
		pthread_t thread;
		void *rc;
		uint32_t id;
		int detached;

		cr_assert_eq(stage_attach(&stage, stage.program, XDP_FLAGS_DRV_MODE), 0);
		cr_assert_eq(pthread_create(&thread, NULL, swap_run, &swap), 0);
		atomic_store(&swap.go, true);
		detached = steer_detach_stale(stage.ifindex, &id);
		cr_assert_eq(pthread_join(thread, &rc), 0);
		cr_assert_eq((intptr_t)rc, 0);
		cr_assert_eq(stage_attached(&stage), program_id(foreign), "round %u", round);
		cr_assert(detached == 0 || (detached == -EBUSY && id == program_id(foreign)));
		refused += detached != 0;
		cr_assert_eq(stage_attach(&stage, -1, XDP_FLAGS_DRV_MODE), 0);
	}
	cr_log_info("refused in %d of 300 rounds", refused);
	close(foreign);
}

static bool maps_closed(const struct steer_maps *m)
{
	return m->address == -1 && m->settings == -1 && m->bypass == -1 && m->counter == -1;
}

Test(steerctl, maps_of_nobody)
{
	struct steer_maps m = { 0 };
	int program = program_pass("other");

	cr_assert_eq(steer_maps_open(&m, stage.ifindex), -ENOENT);
	cr_assert(maps_closed(&m));
	cr_assert_eq(stage_attach(&stage, program, XDP_FLAGS_DRV_MODE), 0);
	cr_assert_eq(steer_maps_open(&m, stage.ifindex), -ENOENT);
	cr_assert(maps_closed(&m));
	close(program);
}

Test(steerctl, maps_of_another_version)
{
	struct steer_maps m = { 0 };
	int program = program_pass(STEER_PROGRAM);

	cr_assert_eq(stage_attach(&stage, program, XDP_FLAGS_DRV_MODE), 0);
	cr_assert_eq(steer_maps_open(&m, stage.ifindex), -EPROTO);
	cr_assert(maps_closed(&m));
	close(program);
}

Test(steerctl, maps_open)
{
	for (int i = 0; i < 2; i++) {
		struct steer_maps m;
		struct steer_settings settings;
		uint32_t first = 0;

		cr_assert_eq(stage_attach(&stage, stage.program, modes[i]), 0);
		cr_assert_eq(steer_maps_open(&m, stage.ifindex), 0);
		cr_assert_eq(steer_set_max_payload(&m, 700), 0);
		cr_assert_eq(bpf_map_lookup_elem(m.settings, &first, &settings), 0);
		cr_assert_eq(settings.max_payload, 700);
		/* descriptors outlive the attachment */
		cr_assert_eq(stage_attach(&stage, -1, modes[i]), 0);
		cr_assert_eq(steer_set_max_payload(&m, 0), 0);
		steer_maps_close(&m);
		cr_assert(maps_closed(&m));
		steer_maps_close(&m);
	}
}

/* Two interfaces, or two runs: the maps are those of the program that is attached. */
Test(steerctl, maps_of_the_right_program)
{
	struct steer_maps old, new;
	uint32_t key = 0, value;

	cr_assert_eq(stage_attach(&stage, stage.program, XDP_FLAGS_DRV_MODE), 0);
	cr_assert_eq(steer_maps_open(&old, stage.ifindex), 0);
	cr_assert_eq(stage_attach(&stage, -1, XDP_FLAGS_DRV_MODE), 0);
	stage_load(&stage);
	cr_assert_eq(stage_attach(&stage, stage.program, XDP_FLAGS_DRV_MODE), 0);
	cr_assert_eq(steer_maps_open(&new, stage.ifindex), 0);
	cr_assert_eq(steer_set_bypass(&new, 0, true), 0);
	cr_assert_eq(bpf_map_lookup_elem(new.bypass, &key, &value), 0);
	cr_assert_eq(value, 1);
	cr_assert_eq(bpf_map_lookup_elem(old.bypass, &key, &value), 0);
	cr_assert_eq(value, 0);
	steer_maps_close(&old);
	steer_maps_close(&new);
}

static struct steer_maps maps;

static void maps_set(void)
{
	stage_open(&stage);
	cr_assert_eq(stage_attach(&stage, stage.program, XDP_FLAGS_DRV_MODE), 0);
	cr_assert_eq(steer_maps_open(&maps, stage.ifindex), 0);
}

static void maps_strike(void)
{
	steer_maps_close(&maps);
	stage_close(&stage);
}

TestSuite(steermaps, .init = maps_set, .fini = maps_strike, .timeout = 120);

/* sockaddr_number - the number-th of many addresses, of both families. */
static struct sockaddr_storage sockaddr_number(unsigned number)
{
	struct sockaddr_storage sa = { .ss_family = number & 1 ? AF_INET : AF_INET6 };
	struct sockaddr_in *in = (struct sockaddr_in *)&sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&sa;

	if (sa.ss_family == AF_INET) {
		in->sin_addr.s_addr = htonl(0x0a350000 + number);
		in->sin_port = htons(53);
	} else {
		inet_pton(AF_INET6, "fd53::", &in6->sin6_addr);
		in6->sin6_addr.s6_addr[14] = (uint8_t)(number >> 8);
		in6->sin6_addr.s6_addr[15] = (uint8_t)number;
		in6->sin6_port = htons(53);
	}
	return sa;
}

/* key_number - what steer.h says the map's key of that address is. */
static struct steer_address key_number(unsigned number)
{
	struct steer_address key = { .port = htons(53) };

	if (number & 1) {
		uint32_t address = htonl(0x0a350000 + number);

		inet_pton(AF_INET6, "::ffff:0.0.0.0", key.addr);
		memcpy(key.addr + 12, &address, 4);
	} else {
		inet_pton(AF_INET6, "fd53::", key.addr);
		key.addr[14] = (uint8_t)(number >> 8);
		key.addr[15] = (uint8_t)number;
	}
	return key;
}

static bool address_served(unsigned number)
{
	struct steer_address key = key_number(number);
	uint8_t value = 0;

	return bpf_map_lookup_elem(maps.address, &key, &value) == 0 && value == 1;
}

static unsigned addresses_count(void)
{
	struct steer_address key, next;
	unsigned cnt = 0;

	while (bpf_map_get_next_key(maps.address, cnt ? &key : NULL, &next) == 0) {
		key = next;
		cnt++;
	}
	return cnt;
}

static int addresses_set(unsigned from, unsigned cnt)
{
	struct sockaddr_storage sa[STEER_ADDRESSES + 1];

	for (unsigned i = 0; i < cnt; i++)
		sa[i] = sockaddr_number(from + i);
	return steer_set_addresses(&maps, sa, cnt);
}

Test(steermaps, addresses)
{
	/* from, count: overlapping, disjoint, empty, as many as can be, all replaced */
	static const unsigned lists[][2] = { { 1, 1 },	 { 1, 4 },   { 3, 4 },	 { 100, 7 },
					     { 1, 0 },	 { 1, 256 }, { 257, 256 }, { 300, 256 },
					     { 301, 2 }, { 301, 2 }, { 1, 0 } };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		unsigned from = lists[i][0], cnt = lists[i][1];

		cr_assert_eq(addresses_set(from, cnt), 0, "list %zu", i);
		cr_assert_eq(addresses_count(), cnt, "list %zu", i);
		for (unsigned number = from; number < from + cnt; number++)
			cr_assert(address_served(number), "list %zu: %u", i, number);
	}
}

Test(steermaps, addresses_twice)
{
	struct sockaddr_storage sa[3] = { sockaddr_number(1), sockaddr_number(1),
					  sockaddr_number(2) };

	cr_assert_eq(steer_set_addresses(&maps, sa, 3), 0);
	cr_assert_eq(addresses_count(), 2);
}

Test(steermaps, addresses_refused)
{
	struct sockaddr_storage sa[2];

	cr_assert_eq(addresses_set(1, 2), 0);
	cr_assert_eq(addresses_set(1000, STEER_ADDRESSES + 1), -E2BIG);

	sa[0] = sockaddr_number(7);
	sa[1] = sockaddr_number(8);
	sa[1].ss_family = AF_UNIX;
	cr_assert_eq(steer_set_addresses(&maps, sa, 2), -EINVAL);
	for (unsigned number = 8; number <= 9; number++) {
		sa[1] = sockaddr_number(number);
		((struct sockaddr_in *)&sa[1])->sin_port = 0; /* the same place in both */
		cr_assert_eq(steer_set_addresses(&maps, sa, 2), -EINVAL);
	}
	sa[1] = sockaddr_number(9);
	((struct sockaddr_in *)&sa[1])->sin_addr.s_addr = 0;
	cr_assert_eq(steer_set_addresses(&maps, sa, 2), -EINVAL);
	sa[1] = sockaddr_number(8);
	memset(&((struct sockaddr_in6 *)&sa[1])->sin6_addr, 0, 16);
	cr_assert_eq(steer_set_addresses(&maps, sa, 2), -EINVAL);

	cr_assert_eq(addresses_count(), 2);
	cr_assert(address_served(1) && address_served(2));
}

struct changes {
	atomic_bool done;
	int rc;
};

static void *changes_run(void *argument)
{
	struct changes *changes = argument;

	for (unsigned i = 0; i < 2000 && changes->rc == 0; i++)
		changes->rc = addresses_set(i & 1 ? 4 : 5, 2);
	atomic_store(&changes->done, true);
	return NULL;
}

/* What is in the old list and in the new one is served without a gap. */
Test(steermaps, addresses_without_gap)
{
	struct changes changes = { 0 };
	pthread_t thread;

	cr_assert_eq(addresses_set(4, 2), 0);
	cr_assert_eq(pthread_create(&thread, NULL, changes_run, &changes), 0);
	while (!atomic_load(&changes.done))
		cr_assert(address_served(5));
	pthread_join(thread, NULL);
	cr_assert_eq(changes.rc, 0);
}

static void *replace_run(void *argument)
{
	atomic_bool *go = argument;

	while (!atomic_load(go))
		;
	return (void *)(intptr_t)addresses_set(2, 1);
}

/* Who finds the old address gone finds the new one there. */
Test(steermaps, addresses_added_before_removed)
{
	for (int round = 0; round < 300; round++) {
		atomic_bool go = false;
		pthread_t thread;
		void *rc;

		cr_assert_eq(addresses_set(1, 1), 0);
		cr_assert_eq(pthread_create(&thread, NULL, replace_run, &go), 0);
		atomic_store(&go, true);
		while (address_served(1))
			;
		cr_assert(address_served(2), "round %d", round);
		pthread_join(thread, &rc);
		cr_assert_eq((intptr_t)rc, 0);
	}
}

Test(steermaps, bypass)
{
	uint32_t value;

	for (uint32_t queue = 0; queue < STEER_QUEUES; queue++) {
		cr_assert_eq(steer_set_bypass(&maps, queue, true), 0);
		cr_assert_eq(bpf_map_lookup_elem(maps.bypass, &queue, &value), 0);
		cr_assert_eq(value, 1);
		cr_assert_eq(steer_set_bypass(&maps, queue, false), 0);
		cr_assert_eq(bpf_map_lookup_elem(maps.bypass, &queue, &value), 0);
		cr_assert_eq(value, 0);
	}
	cr_assert_eq(steer_set_bypass(&maps, STEER_QUEUES, true), -EINVAL);
	cr_assert_eq(steer_set_bypass(&maps, UINT32_MAX, true), -EINVAL);
}

/* Every CPU counts for itself; steer_counters adds up. */
Test(steermaps, counters)
{
	uint64_t counter[STEER_REASONS];
	uint8_t frame[60] = { [12] = 0x08, [13] = 0x06 }; /* ARP */
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = 10);
	cpu_set_t allowed, one;
	uint64_t runs = 0;

	cr_assert_eq(steer_counters(&maps, counter), 0);
	for (int i = 0; i < STEER_REASONS; i++)
		cr_assert_eq(counter[i], 0);
	cr_assert_eq(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
		cr_assert_eq(bpf_prog_test_run_opts(stage.program, &run), 0);
		runs += 10;
		cr_assert_eq(steer_counters(&maps, counter), 0);
		for (int i = 0; i < STEER_REASONS; i++)
			cr_assert_eq(counter[i], i == STEER_PASS_NOT_IP ? runs : 0);
	}
}

/* A process without any privilege fills the maps that it was handed. */
Test(steermaps, unprivileged)
{
	int status;
	pid_t child = fork();

	cr_assert(child >= 0);
	if (child == 0) {
		uint64_t counter[STEER_REASONS];
		struct steer_maps other;

		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(1);
		if (addresses_set(1, 3) < 0)
			_exit(2);
		if (steer_set_bypass(&maps, 3, true) < 0 || steer_set_max_payload(&maps, 512) < 0)
			_exit(3);
		if (steer_counters(&maps, counter) < 0)
			_exit(4);
		if (steer_maps_open(&other, stage.ifindex) != -EPERM)
			_exit(5);
		_exit(0);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "step %d", WEXITSTATUS(status));
	cr_assert_eq(addresses_count(), 3);
}

Test(steermaps, object_path)
{
	const char *given = getenv("POLLUX_STEER_OBJECT");

	cr_assert(given);
	cr_assert_str_eq(steer_object_path(), given);
	setenv("POLLUX_STEER_OBJECT", "/nonexistent/steer.bpf.o", 1);
	cr_assert_null(steer_object_path());
}

Test(steermaps, reason_names)
{
	for (int i = 0; i < STEER_REASONS; i++) {
		const char *name = steer_reason_name((enum steer_reason)i);

		cr_assert(name && name[0]);
		for (int j = 0; j < i; j++)
			cr_assert_str_neq(name, steer_reason_name((enum steer_reason)j));
	}
	cr_assert_null(steer_reason_name(STEER_REASONS));
	cr_assert_null(steer_reason_name((enum steer_reason)-1));
}
