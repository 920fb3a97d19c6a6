/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dataplane/attach_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/common/attach.h"
#include "dataplane/common/log.h"

#define BACK_OFF_MIN 10    /* milliseconds */
#define BACK_OFF_MAX 1000
#define BACK_OFF_REFUSED 5000 /* what refused us once will do so for a while */
#define ADOPT_POLL 1       /* milliseconds; a round of a core takes far less */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- what was handed over ---- */

static void attachment_free(struct attachment *a)
{
	if (!a)
		return;
	if (a->map.base)
		arena_unmap(&a->map);
	if (a->status)
		munmap(a->status, sizeof(*a->status));
	free(a);
}

static int status_map(struct attachment *a, int fd)
{
	struct stat st;
	void *at;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (st.st_size < (off_t)sizeof(*a->status)) {
		log_error("the control process's status region has %lld octets, %zu are expected: another version runs there",
			  (long long)st.st_size, sizeof(*a->status));
		return -EPROTO;
	}
	at = mmap(NULL, sizeof(*a->status), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	a->status = at;
	if (a->status->magic == STATUS_MAGIC && a->status->layout == STATUS_LAYOUT &&
	    a->status->slot_size == sizeof(struct status_slot))
		return 0;
	log_error("the control process's status region has layout %u, this program knows %u: another version runs there",
		  a->status->layout, STATUS_LAYOUT);
	return -EPROTO;
}

/* Both mappings of a welcome; what is wrong is logged. */
static int attachment_map(struct attachment **out, const struct attach_welcome *welcome,
			  int arena_fd, int status_fd)
{
	struct attachment *a = calloc(1, sizeof(*a));
	uint32_t layout = 0;
	int rc;

	if (!a)
		return -ENOMEM;
	memcpy(a->slot, welcome->slot, sizeof(a->slot));
	rc = arena_map(&a->map, arena_fd, &layout);
	if (rc == -EPROTO)
		log_error("the control process's table has layout %u, this program knows %u: another version runs there",
			  layout, ARENA_LAYOUT);
	else if (rc != 0)
		log_error("cannot map the control process's table: %s", strerror(-rc));
	if (rc == 0) {
		rc = status_map(a, status_fd);
		if (rc != 0 && rc != -EPROTO)
			log_error("cannot map the control process's status region: %s", strerror(-rc));
	}
	if (rc != 0) {
		attachment_free(a);
		return rc;
	}
	*out = a;
	return 0;
}

/* ---- the connection ---- */

int attach_client_init(struct attach_client *c, const char *run_directory,
		       struct workers *workers, const struct port *port, size_t port_cnt)
{
	*c = (struct attach_client){
		.workers = workers, .port = port, .port_cnt = port_cnt,
		.sock = -1, .back_off = BACK_OFF_MIN,
	};
	int len = snprintf(c->path, sizeof(c->path), "%s/attach.sock", run_directory);

	if (len < 0 || (size_t)len >= sizeof(c->path)) {
		log_error("%s: the path is too long for a socket in it", run_directory);
		return -ENAMETOOLONG;
	}
	return 0;
}

/* Away from the control process, for at least so many milliseconds. */
static void go_away(struct attach_client *c, unsigned pause)
{
	if (c->sock >= 0)
		close(c->sock);
	c->sock = -1;
	c->state = ATTACH_AWAY;
	c->retry_at = now_ms() + pause;
}

static void back_off(struct attach_client *c)
{
	go_away(c, c->back_off);
	c->back_off = c->back_off * 2 < BACK_OFF_MAX ? c->back_off * 2 : BACK_OFF_MAX;
}

static int greet(struct attach_client *c)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct attach_message m = {
		.magic = ATTACH_MAGIC, .version = ATTACH_VERSION, .type = ATTACH_HELLO,
		.hello = { .arena_layout = ARENA_LAYOUT, .status_layout = STATUS_LAYOUT,
			   .pid = (uint32_t)getpid(), .worker_cnt = workers_cnt(c->workers) },
	};

	memcpy(sun.sun_path, c->path, sizeof(sun.sun_path));
	c->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->sock < 0 || connect(c->sock, (struct sockaddr *)&sun, sizeof(sun)) != 0)
		return -errno;
	return attach_send(c->sock, &m, NULL, 0);
}

static void step_away(struct attach_client *c)
{
	int rc;

	if (now_ms() < c->retry_at)
		return;
	rc = greet(c);
	if (rc == 0) {
		c->state = ATTACH_GREETED;
		return;
	}
	if (c->told != -rc) {
		log_info("waiting for the control process at %s: %s", c->path, strerror(-rc));
		c->told = -rc;
	}
	back_off(c);
}

/* We may not attach; the log needs to say why once. */
static void refused(struct attach_client *c, const char *reason)
{
	if (strcmp(c->refused, reason) != 0)
		log_error("the control process refuses us: %s", reason);
	snprintf(c->refused, sizeof(c->refused), "%s", reason);
	go_away(c, BACK_OFF_REFUSED);
}

/* The answer to hello: welcome or refuse. */
static void step_greeted(struct attach_client *c)
{
	struct attach_message m;
	int fds[ATTACH_FDS];
	unsigned fd_cnt = 0;
	int rc = attach_receive(c->sock, &m, fds, &fd_cnt);

	if (rc == -EAGAIN)
		return;
	if (rc == -EPROTONOSUPPORT) {
		char reason[160];

		snprintf(reason, sizeof(reason), "versions of the attach protocol differ: %u of pollux-control, "
			 "%u of pollux-dataplane: restart the older one", m.version, ATTACH_VERSION);
		refused(c, reason);
		return;
	}
	if (rc != 0) {
		if (rc != -EPIPE)
			log_warn("the control process sent something that is no answer to hello");
		back_off(c);
		return;
	}
	if (m.type == ATTACH_WELCOME && m.welcome.worker_cnt == workers_cnt(c->workers)) {
		if (attachment_map(&c->next, &m.welcome, fds[0], fds[1]) == 0) {
			workers_publish(c->workers, c->next);
			c->refused[0] = '\0';
			c->state = ATTACH_ADOPTING;
		} else {
			go_away(c, BACK_OFF_REFUSED);
		}
	} else if (m.type == ATTACH_REFUSE) {
		refused(c, m.refuse.reason);
	} else {
		log_warn("the control process's answer to hello is not one to ours");
		go_away(c, BACK_OFF_REFUSED);
	}
	for (unsigned i = 0; i < fd_cnt; i++)
		close(fds[i]);
}

static int say_serving(struct attach_client *c)
{
	struct attach_message m = {
		.magic = ATTACH_MAGIC, .version = ATTACH_VERSION, .type = ATTACH_SERVING,
	};
	int fds[ATTACH_FDS];
	unsigned fd_cnt = 0;

	for (size_t i = 0; i < c->port_cnt; i++) {
		const struct port *p = &c->port[i];

		if (p->ifindex == 0)
			continue;

		struct attach_port *ap = &m.serving.port[m.serving.port_cnt++];

		ap->ifindex = p->ifindex;
		ap->queues = p->queues;
		snprintf(ap->name, sizeof(ap->name), "%s", p->name);
		fds[fd_cnt++] = p->maps.address;
		fds[fd_cnt++] = p->maps.settings;
		fds[fd_cnt++] = p->maps.bypass;
		fds[fd_cnt++] = p->maps.counter;
	}
	return attach_send(c->sock, &m, fds, fd_cnt);
}

static void step_adopting(struct attach_client *c)
{
	int rc;

	if (!workers_adopted(c->workers))
		return;
	attachment_free(c->current); /* A3: nobody is in it */
	c->current = c->next;
	c->next = NULL;
	rc = say_serving(c);
	if (rc != 0) {
		log_warn("the control process went while we attached: %s", strerror(-rc));
		back_off(c);
		return;
	}
	c->state = ATTACH_ATTACHED;
	c->back_off = BACK_OFF_MIN;
	c->told = 0;
	log_info("attached to the control process at %s", c->path);
	if (!c->ready)
		log_ready();
	c->ready = true;
}

/* Nothing is said any more: what can be read is the end. */
/* Who watched for silent workers and bypassed their queues has gone: nobody else would
 * turn back those that answer again. */
static void clear_bypasses(struct attach_client *c)
{
	for (size_t i = 0; i < c->port_cnt; i++)
		for (unsigned q = 0; c->port[i].ifindex != 0 && q < c->port[i].queues; q++)
			steer_set_bypass(&c->port[i].maps, q, false);
}

static void step_attached(struct attach_client *c)
{
	struct attach_message m;
	int fds[ATTACH_FDS];
	unsigned fd_cnt = 0;
	int rc = attach_receive(c->sock, &m, fds, &fd_cnt);

	if (rc == -EAGAIN)
		return;
	if (rc == -EPIPE || rc == -ECONNRESET) {
		log_warn("the control process has gone; answering on from its last table");
	} else {
		log_warn("the control process broke the attach protocol; answering on from its last table");
		for (unsigned i = 0; i < fd_cnt; i++)
			close(fds[i]);
	}
	clear_bypasses(c);
	back_off(c);
}

int attach_client_fd(const struct attach_client *c)
{
	return c->state == ATTACH_GREETED || c->state == ATTACH_ATTACHED ? c->sock : -1;
}

int attach_client_timeout(const struct attach_client *c)
{
	uint64_t now;

	if (c->state == ATTACH_ADOPTING)
		return ADOPT_POLL;
	if (c->state != ATTACH_AWAY)
		return -1;
	now = now_ms();
	return c->retry_at > now ? (int)(c->retry_at - now) : 0;
}

void attach_client_step(struct attach_client *c)
{
	if (c->state == ATTACH_AWAY)
		step_away(c);
	if (c->state == ATTACH_GREETED)
		step_greeted(c);
	if (c->state == ATTACH_ADOPTING)
		step_adopting(c);
	else if (c->state == ATTACH_ATTACHED)
		step_attached(c);
}

void attach_client_close(struct attach_client *c)
{
	if (c->sock >= 0)
		close(c->sock);
	c->sock = -1;
	attachment_free(c->current);
	attachment_free(c->next);
	c->current = c->next = NULL;
}
