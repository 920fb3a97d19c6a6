/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/load/port.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>

#include "dataplane/common/log.h"

#define RING 2048
/* AF_XDP keeps a fill ring's worth of buffers in the kernel and as many on their way. */
#define POOL 8192
#define POOL_CACHE 256
#define ROOM (2048 + RTE_PKTMBUF_HEADROOM)
#define MEMORY_MIB 128 /* for buffers and DPDK itself, without huge pages */
#define NAP_NS 10000000
#define OPEN_TRIES 80
#define OPEN_NAP_NS 100000000
#define PROGRAM "load_steer" /* of load.bpf.c */
#define RUNTIME_DIR "/var/run/dpdk/"

static const char *const kinds[] = { "interface:", "memif:", "pci:" };

int port_parse(struct port *p, const char *text)
{
	*p = (struct port){ .memif = { .connection = -1 } };
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i]);

		if (strncmp(text, kinds[i], len) != 0)
			continue;
		p->kind = i;
		p->target = text + len;
		if (*p->target == '\0' || strpbrk(p->target, ",[]=\"'"))
			break; /* DPDK's arguments know no quoting */
		return 0;
	}
	log_error("%s is no port: interface:NAME, memif:PATH or pci:ADDRESS", text);
	return -EINVAL;
}

static int interface_look(struct port *p)
{
	struct ifreq ifr = { 0 };
	int s, rc = 0;

	p->ifindex = if_nametoindex(p->target);
	if (p->ifindex == 0) {
		log_error("%s: there is no such interface", p->target);
		return -ENODEV;
	}
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", p->target);
	if (ioctl(s, SIOCGIFHWADDR, &ifr) != 0) {
		rc = -errno;
		log_error("%s: %s", p->target, strerror(errno));
	}
	memcpy(p->mac, ifr.ifr_hwaddr.sa_data, 6);
	close(s);
	return rc;
}

/* ---- DPDK ---- */

static ssize_t log_line(void *cookie, const char *text, size_t len)
{
	size_t n = len;

	while (n > 0 && text[n - 1] == '\n')
		n--;
	if (n > 0)
		log_warn("dpdk: %.*s", (int)n, text);
	return (ssize_t)len;
}

static unsigned long huge_free(void)
{
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
	unsigned long n = 0;

	if (f && fscanf(f, "%lu", &n) != 1)
		n = 0;
	if (f)
		fclose(f);
	return n;
}

static int eal_begin(struct port *p, unsigned core)
{
	static const cookie_io_functions_t functions = { .write = log_line };
	static char lcores[32], prefix[64], memory[16], device[64], folder[96];
	bool huge = huge_free() >= MEMORY_MIB / 2;
	FILE *log = fopencookie(NULL, "w", functions);
	char *argv[16];
	int argc = 0, rc = 0;

	if (log) {
		setvbuf(log, NULL, _IOLBF, BUFSIZ);
		rte_openlog_stream(log);
	}
	snprintf(lcores, sizeof(lcores), "--lcores=0@%u", core);
	snprintf(prefix, sizeof(prefix), "--file-prefix=pollux-load-%d", (int)getpid());
	snprintf(memory, sizeof(memory), "%d", MEMORY_MIB);
	argv[argc++] = (char *)"pollux-load";
	argv[argc++] = lcores;
	argv[argc++] = prefix;
	argv[argc++] = (char *)"--no-telemetry";
	argv[argc++] = (char *)"--log-level=error";
	if (p->kind == PORT_PCI) {
		snprintf(device, sizeof(device), "--allow=%s", p->target);
		argv[argc++] = device;
	} else {
		argv[argc++] = (char *)"--no-pci";
		argv[argc++] = (char *)"--iova-mode=va";
	}
	if (huge) {
		argv[argc++] = (char *)"--in-memory";
	} else {
		argv[argc++] = (char *)"--no-shconf";
		argv[argc++] = (char *)"--no-huge";
		argv[argc++] = (char *)"-m";
		argv[argc++] = memory;
	}
	argv[argc] = NULL;
	if (rte_eal_init(argc, argv) < 0) {
		rc = rte_errno ? -rte_errno : -EIO;
		log_error("DPDK did not start: %s", rte_strerror(-rc));
	} else {
		p->started = true;
	}
	/* Nothing of ours is shared: the folder is empty, and better gone at once. */
	snprintf(folder, sizeof(folder), RUNTIME_DIR "%s", prefix + strlen("--file-prefix="));
	rmdir(folder);
	return rc;
}

/* AF_XDP registers the pool with the kernel as one range whose pieces must fit a page,
 * hence no spreading and no second piece. */
static int pool_make(struct port *p)
{
	struct rte_pktmbuf_pool_private private = { .mbuf_data_room_size = ROOM };

	p->pool = rte_mempool_create_empty("load", POOL, sizeof(struct rte_mbuf) + ROOM, POOL_CACHE,
					   sizeof(private), (int)rte_socket_id(),
					   p->kind == PORT_INTERFACE ? RTE_MEMPOOL_F_NO_SPREAD : 0);
	if (!p->pool)
		goto fail;
	if (rte_mempool_set_ops_byname(p->pool, rte_mbuf_best_mempool_ops(), NULL) != 0)
		goto fail;
	rte_pktmbuf_pool_init(p->pool, &private);
	if (rte_mempool_populate_default(p->pool) < 0)
		goto fail;
	rte_mempool_obj_iter(p->pool, rte_pktmbuf_init, NULL);
	return 0;
fail:
	log_error("no memory for packet buffers: %s", rte_strerror(rte_errno));
	return -ENOMEM;
}

/* The object lies beside the program: a bench tool runs from its build tree. */
static int object_path(char *path, size_t size)
{
	ssize_t len = readlink("/proc/self/exe", path, size - 16);
	char *slash;

	if (len < 0)
		return -errno;
	path[len] = '\0';
	slash = strrchr(path, '/');
	strcpy(slash + 1, "load.bpf.o");
	if (access(path, R_OK) != 0) {
		log_error("%s: %s", path, strerror(errno));
		return -ENOENT;
	}
	return 0;
}

static int device_add(struct port *p)
{
	char name[RTE_ETH_NAME_MAX_LEN], args[1024], object[512];
	int rc = 0;

	if (p->kind == PORT_PCI) {
		snprintf(name, sizeof(name), "%s", p->target);
	} else {
		static const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

		/* Kernels before 5.11 count maps and buffers as locked memory. */
		setrlimit(RLIMIT_MEMLOCK, &unlimited);
		rc = object_path(object, sizeof(object));
		if (rc != 0)
			return rc;
		snprintf(name, sizeof(name), "net_af_xdp0");
		snprintf(args, sizeof(args), "iface=%s,start_queue=0,queue_count=1,xdp_prog=%s,busy_budget=0",
			 p->target, object);
		rc = rte_eal_hotplug_add("vdev", name, args);
	}
	if (rc == 0)
		rc = rte_eth_dev_get_port_by_name(name, &p->id);
	p->open = rc == 0;
	return rc;
}

static void device_remove(struct port *p)
{
	char name[RTE_ETH_NAME_MAX_LEN];

	if (p->open && rte_eth_dev_get_name_by_port(p->id, name) == 0) {
		rte_eth_dev_stop(p->id);
		if (p->kind == PORT_PCI)
			rte_eth_dev_close(p->id);
		else
			rte_eal_hotplug_remove("vdev", name);
	}
	p->open = false;
}

static int device_start(struct port *p)
{
	struct rte_eth_conf conf = { 0 };
	struct rte_ether_addr mac;
	int rc = rte_eth_dev_configure(p->id, 1, 1, &conf);

	if (rc == 0)
		rc = rte_eth_rx_queue_setup(p->id, 0, RING, rte_socket_id(), NULL, p->pool);
	if (rc == 0)
		rc = rte_eth_tx_queue_setup(p->id, 0, RING, rte_socket_id(), NULL);
	if (rc == 0)
		rc = rte_eth_dev_start(p->id);
	if (rc == 0)
		rc = rte_eth_macaddr_get(p->id, &mac);
	if (rc == 0)
		memcpy(p->mac, mac.addr_bytes, 6);
	return rc;
}

/* The program that a killed run left on the interface goes; any other stays, and AF_XDP
 * will refuse it. */
static void detach_stale(const struct port *p)
{
	struct bpf_prog_info info = { 0 };
	uint32_t id = 0, len = sizeof(info);
	int fd;

	if (bpf_xdp_query_id((int)p->ifindex, 0, &id) != 0 || id == 0)
		return;
	fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0)
		return;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && strcmp(info.name, PROGRAM) == 0 &&
	    bpf_xdp_detach((int)p->ifindex, 0, NULL) == 0)
		log_warn("%s: the program of a killed run is removed", p->target);
	close(fd);
}

/* The kernel frees an earlier run's socket from a work queue: until then binding the
 * queue again fails. */
static int device_open(struct port *p)
{
	static const struct timespec nap = { .tv_nsec = OPEN_NAP_NS };
	unsigned tries = p->kind == PORT_INTERFACE ? OPEN_TRIES : 1;
	int rc = -EIO;

	if (p->kind == PORT_INTERFACE)
		detach_stale(p);
	for (unsigned i = 1; i <= tries && rc != 0; i++) {
		if (i > 1)
			nanosleep(&nap, NULL);
		rte_log_set_global_level(i < tries ? RTE_LOG_EMERG : RTE_LOG_ERR);
		rc = device_add(p);
		if (rc == 0)
			rc = device_start(p);
		if (rc != 0)
			device_remove(p);
	}
	rte_log_set_global_level(RTE_LOG_ERR);
	if (rc != 0)
		log_error("%s: DPDK cannot open it: %s", p->target, rte_strerror(-rc));
	return rc;
}

bool port_link(const struct port *p)
{
	struct rte_eth_link link = { 0 };

	if (p->kind == PORT_MEMIF)
		return memif_link(&p->memif);
	return p->kind == PORT_INTERFACE ||
	       (rte_eth_link_get_nowait(p->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP);
}

static int open_memif(struct port *p, unsigned core, double seconds)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 2 }; /* locally administered */
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(core, &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu) != 0) {
		log_error("CPU %u: %s", core, strerror(errno));
		return -errno;
	}
	memcpy(p->mac, mac, sizeof(mac));
	return memif_open(&p->memif, p->target, seconds);
}

int port_open(struct port *p, unsigned core, double seconds)
{
	static const struct timespec nap = { .tv_nsec = NAP_NS };
	int rc = p->kind == PORT_INTERFACE ? interface_look(p) : 0;

	if (p->kind == PORT_MEMIF)
		return open_memif(p, core, seconds);
	if (rc == 0)
		rc = eal_begin(p, core);
	if (rc == 0)
		rc = pool_make(p);
	if (rc == 0)
		rc = device_open(p);
	if (rc != 0)
		return rc;
	for (double waited = 0; !port_link(p); waited += NAP_NS / 1e9) {
		if (waited > seconds) {
			log_error("%s: no link", p->target);
			return -ENOTCONN;
		}
		nanosleep(&nap, NULL);
	}
	return 0;
}

void port_close(struct port *p)
{
	memif_close(&p->memif);
	if (!p->started)
		return;
	port_forget(p);
	device_remove(p);
	rte_mempool_free(p->pool);
	p->pool = NULL;
	rte_eal_cleanup();
	p->started = false;
}

/* ---- frames ---- */

unsigned port_receive(struct port *p, struct frame *frame, unsigned *waiting)
{
	unsigned cnt;

	if (p->kind == PORT_MEMIF) {
		*waiting = memif_waiting(&p->memif);
		cnt = *waiting < PORT_BURST ? *waiting : PORT_BURST;
		for (unsigned i = 0; i < cnt; i++)
			frame[i].data = memif_answer(&p->memif, i, &frame[i].len);
		p->received_cnt = cnt;
		return cnt;
	}
	cnt = rte_eth_rx_burst(p->id, 0, p->received, PORT_BURST);
	*waiting = cnt >= PORT_BURST / 2 ? 2 * PORT_BURST : cnt;
	for (unsigned i = 0; i < cnt; i++) {
		frame[i].data = rte_pktmbuf_mtod(p->received[i], uint8_t *);
		frame[i].len = rte_pktmbuf_data_len(p->received[i]);
	}
	p->received_cnt = cnt;
	return cnt;
}

void port_release(struct port *p)
{
	if (p->kind == PORT_MEMIF)
		memif_release(&p->memif, p->received_cnt);
	else
		rte_pktmbuf_free_bulk(p->received, p->received_cnt);
	p->received_cnt = 0;
}

unsigned port_flush(struct port *p)
{
	unsigned taken = 0;

	if (port_behind(p) > 0)
		taken = rte_eth_tx_burst(p->id, 0, p->written + p->written_at, (uint16_t)port_behind(p));
	p->written_at += taken;
	return taken;
}

void port_forget(struct port *p)
{
	if (port_behind(p) > 0)
		rte_pktmbuf_free_bulk(p->written + p->written_at, port_behind(p));
	p->written_at = p->written_cnt = 0;
}

unsigned port_room(struct port *p, struct frame *frame, unsigned cnt, unsigned octets, uint64_t *no_buffer)
{
	if (p->kind == PORT_MEMIF) {
		cnt = memif_room(&p->memif, cnt, octets);
		for (unsigned i = 0; i < cnt; i++)
			frame[i].data = memif_query(&p->memif, i);
		return cnt;
	}
	if (port_behind(p) > 0)
		return 0;
	if (rte_pktmbuf_alloc_bulk(p->pool, p->written, cnt) != 0) {
		++*no_buffer;
		return 0;
	}
	for (unsigned i = 0; i < cnt; i++)
		frame[i].data = rte_pktmbuf_mtod(p->written[i], uint8_t *);
	return cnt;
}

unsigned port_send(struct port *p, const struct frame *frame, unsigned used, unsigned room)
{
	if (p->kind == PORT_MEMIF) {
		for (unsigned i = 0; i < used; i++)
			memif_query_len(&p->memif, i, frame[i].len);
		memif_send(&p->memif, used);
		return used;
	}
	if (used < room)
		rte_pktmbuf_free_bulk(p->written + used, room - used);
	for (unsigned i = 0; i < used; i++) {
		rte_pktmbuf_data_len(p->written[i]) = (uint16_t)frame[i].len;
		rte_pktmbuf_pkt_len(p->written[i]) = frame[i].len;
	}
	p->written_cnt = used;
	p->written_at = 0;
	return port_flush(p);
}
