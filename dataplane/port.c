/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dataplane/port.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>

#include "dataplane/common/log.h"

/* AF_XDP: DPDK fills 2048 frames in and may hold as many received, sent and
 * completed ones; the rest is for the burst under way and the pool's cache. */
#define XDP_RING 2048
#define XDP_POOL 8192
/* pcap copies: only a burst each way and the cache are ever out. */
#define PCAP_RING 1024
#define PCAP_POOL 2048
#define POOL_CACHE 256

#define XDP_HEADROOM 256 /* octets the kernel keeps free before a frame (XDP_PACKET_HEADROOM) */
#define ROOM_MIN (2048 + RTE_PKTMBUF_HEADROOM)
#define COPY_MTU 1500

/* Leaves room for the 512 octets that every client takes (RFC 1035 2.3.4), even in
 * IPv6 with two VLAN tags, and is what every IPv4 host takes (RFC 1122 3.3.2). */
#define PORT_MTU_MIN 576

/* The kernel frees a killed run's buffers and queue from a work queue: until then
 * binding the queue again fails. */
#define OPEN_TRIES 20
#define OPEN_NAP_NS 100000000

#define ARGS_LEN 8192

/* ---- what an interface says ---- */

/* One ioctl on the interface's name. */
static int interface_ioctl(const char *name, unsigned long request, struct ifreq *ifr)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

	if (s < 0)
		return -errno;
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", name);
	if (ioctl(s, request, ifr) < 0)
		rc = -errno;
	close(s);
	return rc;
}

static int interface_ethtool(const char *name, void *command)
{
	struct ifreq ifr = { .ifr_data = command };

	return interface_ioctl(name, SIOCETHTOOL, &ifr);
}

/* Combined queues, as DPDK counts them: 1 for a driver that knows no such thing. */
static unsigned interface_queues(const char *name)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };

	if (interface_ethtool(name, &channels) != 0 || channels.max_combined == 0)
		return 1;
	return channels.combined_count;
}

/* A NIC that takes VLAN tags out hides them from XDP, and replies would go out
 * without: the tag has to stay in the frame. */
static void interface_keep_tags(const char *name)
{
	struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS };
	int rc;

	if (interface_ethtool(name, &flags) != 0 || !(flags.data & ETH_FLAG_RXVLAN))
		return;
	flags.cmd = ETHTOOL_SFLAGS;
	flags.data &= ~(uint32_t)ETH_FLAG_RXVLAN;
	rc = interface_ethtool(name, &flags);
	if (rc != 0)
		log_warn("interface %s: VLAN tags are taken out by the hardware, and that cannot be switched off (%s): queries with tags will be answered without",
			 name, strerror(-rc));
	else
		log_info("interface %s: rx-vlan-offload is switched off, so that VLAN tags stay in frames",
			 name);
}

/* ---- checks before DPDK runs ---- */

static int check_steering(struct port *p)
{
	uint32_t id = 0;
	int rc;

	if (!steer_object_path()) {
		log_error("interface %s: the steering program steer.bpf.o is not installed (POLLUX_STEER_OBJECT can name it)",
			  p->name);
		return -ENOENT;
	}
	rc = steer_detach_stale(p->ifindex, &id);
	if (rc == -EBUSY && id != 0)
		log_error("interface %s: XDP program %u, which is not ours, is attached; detach it first (ip link set dev %s xdp off)",
			  p->name, id, p->name);
	else if (rc == -EBUSY)
		log_error("interface %s: another pollux-dataplane is serving on it", p->name);
	else if (rc == -EPERM || rc == -EACCES)
		log_error("interface %s: AF_XDP needs root (CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_SYS_ADMIN)",
			  p->name);
	else if (rc != 0)
		log_error("interface %s: cannot look at its XDP program: %s", p->name, strerror(-rc));
	return rc;
}

static int check_interface(struct port *p)
{
	struct ifreq ifr;
	unsigned queues;
	int rc;

	p->ifindex = if_nametoindex(p->name);
	if (p->ifindex == 0) {
		log_error("interface %s: there is no such interface", p->name);
		return -ENODEV;
	}
	rc = interface_ioctl(p->name, SIOCGIFMTU, &ifr);
	if (rc == 0) {
		if (ifr.ifr_mtu > PORT_XDP_MTU) {
			log_error("interface %s: its MTU is %d, and native XDP takes at most %d; lower it (ip link set dev %s mtu %d)",
				  p->name, ifr.ifr_mtu, PORT_XDP_MTU, p->name, PORT_XDP_MTU);
			return -ERANGE;
		}
		if (ifr.ifr_mtu < PORT_MTU_MIN) {
			log_error("interface %s: its MTU is %d; answers need at least %d", p->name,
				  ifr.ifr_mtu, PORT_MTU_MIN);
			return -ERANGE;
		}
		p->rules.mtu = (uint16_t)ifr.ifr_mtu;
		rc = interface_ioctl(p->name, SIOCGIFHWADDR, &ifr);
	}
	if (rc == 0) {
		memcpy(p->rules.mac, ifr.ifr_hwaddr.sa_data, 6);
		rc = interface_ioctl(p->name, SIOCGIFFLAGS, &ifr);
	}
	if (rc != 0) {
		log_error("interface %s: %s", p->name, strerror(-rc));
		return rc;
	}
	if (!(ifr.ifr_flags & IFF_UP))
		log_warn("interface %s is down", p->name);

	queues = interface_queues(p->name);
	if (p->queues > queues) {
		log_error("interface %s: queues: %u, but it has %u for AF_XDP", p->name, p->queues, queues);
		return -EINVAL;
	}
	p->rules.check_mac = true;
	rc = check_steering(p);
	if (rc == 0)
		interface_keep_tags(p->name);
	return rc;
}

/* A socket file nobody listens on is what a killed run left. */
static int check_memif(struct port *p)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat st;
	int s, rc = 0;

	if (p->queues != 1) {
		log_error("memif %s: a memif has one queue; for more cores give each its own memif", p->name);
		return -EINVAL;
	}
	if (strlen(p->name) >= sizeof(sun.sun_path)) {
		log_error("memif %s: the path is too long for a socket", p->name);
		return -ENAMETOOLONG;
	}
	if (lstat(p->name, &st) != 0) {
		if (errno == ENOENT)
			return 0;
		rc = -errno;
		log_error("memif %s: %s", p->name, strerror(errno));
		return rc;
	}
	if (!S_ISSOCK(st.st_mode)) {
		log_error("memif %s: there is a file of that name, and it is no socket", p->name);
		return -EEXIST;
	}
	/* memif listens with SOCK_SEQPACKET: a connect of another type finds out whether
	 * somebody does (EPROTOTYPE) without being taken for a client. */
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s < 0)
		return -errno;
	strcpy(sun.sun_path, p->name);
	if (connect(s, (struct sockaddr *)&sun, sizeof(sun)) == 0 || errno != ECONNREFUSED) {
		log_error("memif %s: another process listens there", p->name);
		rc = -EADDRINUSE;
	} else if (unlink(p->name) != 0) {
		rc = -errno;
		log_error("memif %s: cannot remove the stale socket: %s", p->name, strerror(errno));
	}
	close(s);
	return rc;
}

/* DPDK's device arguments know no quoting. */
static int check_argument(const struct port *p, const char *text)
{
	if (text && strpbrk(text, ",[]=\"'")) {
		log_error("%s: DPDK cannot take a name with one of , [ ] = \" '", text);
		return -EINVAL;
	}
	return 0;
}

int port_check(struct port *p, const struct config *c, const struct config_port *cp,
	       const struct frame_addresses *addresses)
{
	int rc;

	*p = (struct port){
		.config = cp, .name = cp->target, .queues = cp->queues,
		.maps = { .address = -1, .settings = -1, .bypass = -1, .counter = -1 },
		.rules = { .addresses = addresses, .mtu = COPY_MTU,
			   .check_sums = c->verify_checksums == CHECKSUMS_YES },
	};
	rc = check_argument(p, cp->target);
	if (rc == 0)
		rc = check_argument(p, cp->pcap_write);
	if (rc == 0 && cp->kind == PORT_INTERFACE)
		rc = check_interface(p);
	if (rc == 0 && cp->kind == PORT_MEMIF)
		rc = check_memif(p);
	return rc;
}

/* ---- packet buffers ---- */

/* Octets of one mbuf's data room: headrooms and the largest frame. */
static uint16_t room(const struct port *p)
{
	unsigned want = RTE_PKTMBUF_HEADROOM + XDP_HEADROOM + FRAME_ETHER +
			FRAME_TAGS * FRAME_VLAN + p->rules.mtu;

	return (uint16_t)(want < ROOM_MIN ? ROOM_MIN : want);
}

static unsigned pool_size(const struct port *p)
{
	return p->config->kind == PORT_INTERFACE ? XDP_POOL : PCAP_POOL;
}

static uint32_t element_size(const struct port *p)
{
	return (uint32_t)sizeof(struct rte_mbuf) + room(p);
}

size_t port_memory(const struct port *p)
{
	if (p->config->kind == PORT_MEMIF)
		return 0; /* none of DPDK's */
	/* Rings and the pool's own lists are small beside the buffers: a quarter covers. */
	size_t object = rte_mempool_calc_obj_size(element_size(p), RTE_MEMPOOL_F_NO_SPREAD, NULL);

	return p->queues * pool_size(p) * object * 5 / 4;
}

/* A pool for one queue.  AF_XDP registers it with the kernel as one range whose
 * chunks must fit a page, hence no spreading and no second piece. */
static struct rte_mempool *pool_create(const struct port *p, unsigned number, unsigned queue)
{
	struct rte_pktmbuf_pool_private private = { .mbuf_data_room_size = room(p) };
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *pool;

	snprintf(name, sizeof(name), "port%u.%u", number, queue);
	pool = rte_mempool_create_empty(name, pool_size(p), element_size(p), POOL_CACHE,
					sizeof(private), (int)rte_socket_id(),
					RTE_MEMPOOL_F_NO_SPREAD);
	if (!pool)
		return NULL;
	if (rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL) != 0)
		goto fail;
	rte_pktmbuf_pool_init(pool, &private);
	if (rte_mempool_populate_default(pool) < 0)
		goto fail;
	if (p->config->kind == PORT_INTERFACE && pool->nb_mem_chunks != 1) {
		rte_errno = ENOMEM;
		goto fail;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
fail:
	rte_mempool_free(pool);
	return NULL;
}

/* ---- devices ---- */

/* Busy polling of the AF_XDP socket.  0 switches it off: the driver then goes into
 * poll(2), for up to a second, whenever the fill ring asks to be woken.  veth never
 * asks (only zero-copy drivers do), so that an idle worker makes no system call there:
 * strace counts none in a second.  On other drivers a worker must not sleep, or its
 * heartbeat would stop and its queue be taken from it: they get DPDK's default, which
 * makes one recvfrom(2) for each empty burst. */
static unsigned busy_budget(const struct port *p)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };

	if (interface_ethtool(p->name, &info) == 0 && strcmp(info.driver, "veth") == 0)
		return 0;
	return 64;
}

static int device_arguments(const struct port *p, unsigned number, char name[32],
			    char args[ARGS_LEN])
{
	int len = 0;

	switch (p->config->kind) {
	case PORT_INTERFACE:
		snprintf(name, 32, "net_af_xdp%u", number);
		len = snprintf(args, ARGS_LEN,
			       "iface=%s,start_queue=0,queue_count=%u,xdp_prog=%s,busy_budget=%u",
			       p->name, p->queues, steer_object_path(), busy_budget(p));
		break;
	case PORT_MEMIF:
		return -EINVAL; /* not one of DPDK's */
	case PORT_PCAP:
		snprintf(name, 32, "net_pcap%u", number);
		len = snprintf(args, ARGS_LEN, "rx_pcap=%s,tx_pcap=%s", p->name,
			       p->config->pcap_write);
		break;
	}
	return len < 0 || len >= ARGS_LEN ? -ENAMETOOLONG : 0;
}

static int queues_setup(struct port *p)
{
	uint16_t ring = p->config->kind == PORT_INTERFACE ? XDP_RING : PCAP_RING;
	int rc = 0;

	for (unsigned q = 0; q < p->queues && rc == 0; q++) {
		rc = rte_eth_rx_queue_setup(p->id, (uint16_t)q, ring, rte_socket_id(), NULL,
					    p->pool[q]);
		if (rc == 0)
			rc = rte_eth_tx_queue_setup(p->id, (uint16_t)q, ring, rte_socket_id(), NULL);
	}
	return rc;
}

static void device_close(struct port *p)
{
	char name[RTE_ETH_NAME_MAX_LEN];

	if (!p->open)
		return;
	p->open = false;
	if (rte_eth_dev_get_name_by_port(p->id, name) != 0)
		return;
	if (p->started)
		rte_eth_dev_stop(p->id);
	p->started = false;
	rte_eal_hotplug_remove("vdev", name);
}

static int device_open(struct port *p, const char *name, const char *args)
{
	struct rte_eth_conf conf = { 0 };
	int rc = rte_eal_hotplug_add("vdev", name, args);

	if (rc != 0)
		return rc;
	rc = rte_eth_dev_get_port_by_name(name, &p->id);
	if (rc != 0)
		return rc;
	p->open = true;
	rc = rte_eth_dev_configure(p->id, (uint16_t)p->queues, (uint16_t)p->queues, &conf);
	if (rc == 0)
		rc = queues_setup(p);
	if (rc == 0)
		rc = rte_eth_dev_start(p->id);
	if (rc != 0) {
		device_close(p);
		return rc;
	}
	p->started = true;
	return 0;
}

static void pools_free(struct port *p)
{
	for (unsigned q = 0; q < p->queues; q++) {
		rte_mempool_free(p->pool[q]);
		p->pool[q] = NULL;
	}
}

static int pools_create(struct port *p, unsigned number)
{
	for (unsigned q = 0; q < p->queues; q++) {
		p->pool[q] = pool_create(p, number, q);
		if (!p->pool[q]) {
			log_error("%s: no memory for packet buffers: %s", p->name, rte_strerror(rte_errno));
			pools_free(p);
			return -ENOMEM;
		}
	}
	return 0;
}

/* Tries what DPDK's driver could not do, since it does not say why: load the steering
 * program and attach it.  0 when that works, else what the kernel says. */
static int attach_probe(const struct port *p)
{
	struct bpf_object *object = bpf_object__open_file(steer_object_path(), NULL);
	struct bpf_program *program;
	int rc;

	if (!object)
		return -errno;
	program = bpf_object__next_program(object, NULL);
	rc = program ? bpf_program__set_type(program, BPF_PROG_TYPE_XDP) : -ENOENT;
	if (rc == 0)
		rc = bpf_object__load(object);
	if (rc == 0) {
		rc = bpf_xdp_attach((int)p->ifindex, bpf_program__fd(program),
				    XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
		if (rc == 0)
			bpf_xdp_detach((int)p->ifindex, 0, NULL);
	}
	bpf_object__close(object);
	return rc;
}

static int libbpf_silent(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

/* Opens an AF_XDP device, again and again while a killed run's sockets may still be
 * on their way out.  Each try has fresh buffers: the driver loses those of a failed one. */
static int device_open_xdp(struct port *p, unsigned number, const char *name, const char *args)
{
	static const struct timespec nap = { .tv_nsec = OPEN_NAP_NS };
	static const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	uint32_t id;
	int rc;

	/* Kernels before 5.11 count maps and buffers as locked memory. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	libbpf_set_print(libbpf_silent);
	for (unsigned i = 0; i < OPEN_TRIES; i++) {
		if (i > 0)
			nanosleep(&nap, NULL);
		rc = pools_create(p, number);
		if (rc != 0)
			return rc;
		rc = device_open(p, name, args);
		if (rc == 0)
			return 0;
		pools_free(p);
		steer_detach_stale(p->ifindex, &id);

		int probe = attach_probe(p);

		if (probe == -ERANGE) {
			log_error("interface %s: its driver finds an MTU too large for XDP: here it is %u, and on veth the peer's counts as well; at most %d fits",
				  p->name, p->rules.mtu, PORT_XDP_MTU);
			return probe;
		}
		if (probe != 0) {
			log_error("interface %s: cannot attach the steering program %s: %s", p->name,
				  steer_object_path(), strerror(-probe));
			return probe;
		}
	}
	log_error("interface %s: DPDK cannot open its AF_XDP sockets: %s", p->name, rte_strerror(-rc));
	return rc;
}

static int device_open_pcap(struct port *p, unsigned number, const char *name, const char *args)
{
	struct rte_ether_addr mac;
	mode_t mask;
	int rc = pools_create(p, number);

	if (rc != 0)
		return rc;
	mask = umask(0027);
	rc = device_open(p, name, args);
	umask(mask);
	if (rc == 0)
		rc = rte_eth_macaddr_get(p->id, &mac);
	if (rc != 0)
		log_error("%s: DPDK cannot open it", p->name);
	else
		memcpy(p->rules.mac, mac.addr_bytes, sizeof(p->rules.mac));
	return rc;
}

static int memif_open(struct port *p)
{
	static const uint8_t group_and_local = 3, local = 2;
	uint8_t *mac = p->rules.mac;
	int rc;

	/* It has no address.  One of our own answers what was sent to a group. */
	if (getrandom(mac, sizeof(p->rules.mac), 0) != sizeof(p->rules.mac))
		return -errno;
	mac[0] = (uint8_t)((mac[0] & ~group_and_local) | local);
	p->memif = aligned_alloc(alignof(struct memif_server), sizeof(*p->memif));
	rc = p->memif ? memif_server_open(p->memif, p->name, PORT_BURST) : -ENOMEM;
	if (rc != 0)
		log_error("memif %s: cannot listen: %s", p->name, strerror(-rc));
	return rc;
}

int port_open(struct port *p, unsigned number)
{
	char name[32], args[ARGS_LEN];
	int rc;

	if (p->config->kind == PORT_MEMIF)
		return memif_open(p);
	rc = device_arguments(p, number, name, args);
	if (rc != 0) {
		log_error("%s: the name is too long for DPDK", p->name);
		return rc;
	}
	if (p->config->kind == PORT_PCAP)
		return device_open_pcap(p, number, name, args);

	rc = device_open_xdp(p, number, name, args);
	if (rc != 0)
		return rc;
	rc = steer_maps_open(&p->maps, p->ifindex);
	if (rc != 0)
		log_error("interface %s: cannot open the steering program's maps: %s", p->name,
			  strerror(-rc));
	return rc;
}

int port_fd(const struct port *p)
{
	return p->memif ? memif_server_fd(p->memif) : -1;
}

void port_step(struct port *p)
{
	if (p->memif)
		memif_server_step(p->memif);
}

void port_close(struct port *p)
{
	uint32_t id;

	if (p->memif)
		memif_server_close(p->memif);
	free(p->memif);
	p->memif = NULL;
	steer_maps_close(&p->maps);
	device_close(p);
	pools_free(p);
	/* The driver detaches its program; should that have failed, we do. */
	if (p->ifindex != 0)
		steer_detach_stale(p->ifindex, &id);
}
