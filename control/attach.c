/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/attach.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/unix.h"
#include "dataplane/common/log.h"

#define PEERS_MAX 64 /* connections; only our own user and root can open one */

struct attach {
	uv_loop_t *loop;
	struct db *db;
	const struct config *config;
	uint16_t udp_payload;         /* as configured last */
	uint64_t arena_size;
	attach_changed changed;
	void *arg;
	char path[UNIX_PATH_ROOM];
	int fd;
	uv_poll_t poll;
	bool loaded;
	struct dataplane *first;
	unsigned peers;
	struct attach_refused refused[ATTACH_REFUSED_MAX]; /* oldest first */
	unsigned refused_cnt;
};

/* ---- birth and death ---- */

static void on_handle_closed(uv_handle_t *handle)
{
	struct dataplane *d = handle->data;

	if (handle == (uv_handle_t *)&d->sock_poll) {
		close(d->sock);
		d->sock = -1;
	} else {
		close(d->pidfd);
		d->pidfd = -1;
	}
	if (--d->handles == 0 && d->gone)
		free(d);
}

static bool sock_open(const struct dataplane *d)
{
	return d->sock >= 0 && !uv_is_closing((const uv_handle_t *)&d->sock_poll);
}

static void close_sock(struct dataplane *d)
{
	if (sock_open(d))
		uv_close((uv_handle_t *)&d->sock_poll, on_handle_closed);
}

static void close_ports(struct dataplane *d)
{
	for (unsigned i = 0; i < d->port_cnt; i++)
		steer_maps_close(&d->port[i].maps);
	d->port_cnt = 0;
}

/* Takes it out of the list; its memory goes when its handles are closed. */
static void forget(struct dataplane *d)
{
	struct attach *a = d->attach;
	struct dataplane **at = &a->first;

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	a->peers--;
	d->gone = true;
	close_ports(d);
	close_sock(d);
	if (d->pidfd >= 0 && !uv_is_closing((uv_handle_t *)&d->pidfd_poll))
		uv_close((uv_handle_t *)&d->pidfd_poll, on_handle_closed);
}

static void on_dead(uv_poll_t *poll, int status, int events)
{
	struct dataplane *d = poll->data;
	struct attach *a = d->attach;

	(void)status;
	(void)events;
	if (d->state >= DATAPLANE_WELCOMED) {
		log_warn("dataplane %u is dead; the kernel sockets answer what it answered", d->pid);
		a->changed(a->arg, d, true);
		db_reader_release(a->db, d->pid);
	}
	forget(d);
}

/* The connection has ended.  Who holds slots stays until the process is dead. */
static void disconnected(struct dataplane *d)
{
	if (d->state < DATAPLANE_WELCOMED)
		forget(d);
	else
		close_sock(d);
}

/* The process is no longer one that was refused; false when it was not one. */
static bool forget_refused(struct attach *a, uint32_t pid)
{
	for (unsigned i = 0; i < a->refused_cnt; i++) {
		if (a->refused[i].pid != pid)
			continue;
		a->refused_cnt--;
		memmove(a->refused + i, a->refused + i + 1,
			(a->refused_cnt - i) * sizeof(*a->refused));
		return true;
	}
	return false;
}

unsigned attach_refused(struct attach *a, struct attach_refused out[ATTACH_REFUSED_MAX])
{
	for (unsigned i = a->refused_cnt; i-- > 0;)
		if (kill((pid_t)a->refused[i].pid, 0) && errno == ESRCH)
			forget_refused(a, a->refused[i].pid);
	memcpy(out, a->refused, a->refused_cnt * sizeof(*out));
	return a->refused_cnt;
}

/* It tries again and again: the log needs to say so once. */
static void note_refused(struct dataplane *d, const char *reason)
{
	struct attach *a = d->attach;
	struct attach_refused now = {.pid = d->pid};
	bool told = false;

	snprintf(now.reason, sizeof(now.reason), "%s", reason);
	for (unsigned i = 0; i < a->refused_cnt; i++)
		told = told || (a->refused[i].pid == now.pid && strcmp(a->refused[i].reason, now.reason) == 0);
	if (!told)
		log_warn("dataplane %u refused: %s", d->pid, reason);
	if (!forget_refused(a, d->pid) && a->refused_cnt == ATTACH_REFUSED_MAX)
		forget_refused(a, a->refused[0].pid);
	a->refused[a->refused_cnt++] = now;
}

static void refuse(struct dataplane *d, const char *reason)
{
	struct attach_message m = {.magic = ATTACH_MAGIC, .version = ATTACH_VERSION,
				   .type = ATTACH_REFUSE};

	snprintf(m.refuse.reason, sizeof(m.refuse.reason), "%s", reason);
	attach_send(d->sock, &m, NULL, 0);
	note_refused(d, reason);
	disconnected(d);
}

/* ---- messages ---- */

/* The same process, come back after its connection ended. */
static struct dataplane *earlier(const struct dataplane *d)
{
	for (struct dataplane *e = d->attach->first; e; e = e->next)
		if (e != d && e->pid == d->pid && e->state >= DATAPLANE_WELCOMED)
			return e;
	return NULL;
}

/* Gives d the slots of the record that it takes the place of: the process uses each
 * for the same worker as before, so nothing that it still reads is let go. */
static bool inherit(struct dataplane *d, struct dataplane *e)
{
	if (sock_open(e) || e->worker_cnt != d->worker_cnt)
		return false;
	memcpy(d->slot, e->slot, sizeof(d->slot));
	forget(e);
	return true;
}

static void welcome(struct dataplane *d)
{
	struct attach *a = d->attach;
	struct dataplane *before = earlier(d);
	struct attach_message m = {.magic = ATTACH_MAGIC, .version = ATTACH_VERSION,
				   .type = ATTACH_WELCOME};
	char reason[128];

	if (before && !inherit(d, before)) {
		refuse(d, "this process is attached already");
		return;
	}
	if (!before && db_reader_reserve(a->db, d->pid, STATUS_KIND_WORKER, d->worker_cnt, d->slot)) {
		snprintf(reason, sizeof(reason), "no status slots left for %u workers", d->worker_cnt);
		refuse(d, reason);
		return;
	}
	d->state = DATAPLANE_WELCOMED;

	int fds[2] = {db_arena_fd(a->db), db_status_fd(a->db)};

	if (fds[0] < 0) {
		refuse(d, "the control process cannot open the table for reading");
		return;
	}
	m.welcome.arena_size = a->arena_size;
	m.welcome.worker_cnt = d->worker_cnt;
	for (unsigned i = 0; i < d->worker_cnt; i++)
		m.welcome.slot[i] = d->slot[i];

	int error = attach_send(d->sock, &m, fds, 2);

	close(fds[0]);
	if (error) {
		log_warn("dataplane %u: cannot send: %s", d->pid, strerror(-error));
		disconnected(d);
		return;
	}
	forget_refused(d->attach, d->pid);
	log_info("dataplane %u attached with %u workers", d->pid, d->worker_cnt);
	a->changed(a->arg, d, false);
}

static void on_hello(struct dataplane *d, const struct attach_hello *h)
{
	char reason[160];

	if (d->state != DATAPLANE_NEW) {
		refuse(d, "hello came twice");
		return;
	}
	if (h->arena_layout != ARENA_LAYOUT || h->status_layout != STATUS_LAYOUT) {
		snprintf(reason, sizeof(reason), "layouts differ: table %u and status %u of pollux-control, "
			 "%u and %u of pollux-dataplane: restart the older one",
			 ARENA_LAYOUT, STATUS_LAYOUT, h->arena_layout, h->status_layout);
		refuse(d, reason);
		return;
	}
	d->worker_cnt = h->worker_cnt;
	d->state = DATAPLANE_WAITING;
	if (d->attach->loaded)
		welcome(d);
	else
		log_info("dataplane %u waits until the zones are loaded", d->pid);
}

/* Queries longer than the longest answer, or than the punt ring takes, go to the kernel. */
static uint32_t max_payload(const struct attach *a)
{
	return a->udp_payload < PUNT_PAYLOAD ? a->udp_payload : PUNT_PAYLOAD;
}

/* Tells the steering program what is served.  Empty maps pass all to the kernel, so
 * a failure here costs speed and no answer. */
static void fill_maps(struct attach *a, struct dataplane_port *p)
{
	struct sockaddr_storage sa[STEER_ADDRESSES];
	const struct config *c = a->config;
	unsigned queues = p->port.queues < STEER_QUEUES ? p->port.queues : STEER_QUEUES;
	size_t cnt = c->listen_cnt;

	static_assert(CONFIG_LISTEN_MAX <= STEER_ADDRESSES, "every address fits into the map");
	for (size_t i = 0; i < c->listen_cnt; i++)
		sa[i] = c->listen[i].sa;

	int error = steer_set_max_payload(&p->maps, max_payload(a));

	for (unsigned q = 0; q < queues && !error; q++)
		error = steer_set_bypass(&p->maps, q, false);
	if (!error)
		error = steer_set_addresses(&p->maps, sa, cnt);
	if (error)
		log_error("%.16s: cannot fill the steering program's maps: %s; "
			  "the kernel sockets answer there", p->port.name, strerror(-error));
	else
		log_info("%.16s: %zu addresses are steered to %u queues", p->port.name, cnt, queues);
}

static void on_serving(struct dataplane *d, const struct attach_serving *s, const int *fds)
{
	struct attach *a = d->attach;

	if (d->state != DATAPLANE_WELCOMED) {
		for (unsigned i = 0; i < s->port_cnt * 4; i++)
			close(fds[i]);
		refuse(d, "serving came before welcome, or twice");
		return;
	}
	d->port_cnt = s->port_cnt;
	for (unsigned i = 0; i < s->port_cnt; i++) {
		struct dataplane_port *p = &d->port[i];

		*p = (struct dataplane_port){.port = s->port[i],
			.maps = {fds[4 * i], fds[4 * i + 1], fds[4 * i + 2], fds[4 * i + 3]}};
		p->port.name[sizeof(p->port.name) - 1] = '\0';
		fill_maps(a, p);
	}
	d->serving_ns = uv_hrtime();
	d->state = DATAPLANE_SERVING;
	log_info("dataplane %u serves", d->pid);
	a->changed(a->arg, d, false);
}

static void on_message(uv_poll_t *poll, int status, int events)
{
	struct dataplane *d = poll->data;

	(void)status;
	(void)events;
	while (sock_open(d)) {
		struct attach_message m;
		int fds[ATTACH_FDS];
		unsigned fd_cnt = 0;
		char reason[160];
		int error = attach_receive(d->sock, &m, fds, &fd_cnt);

		if (error == -EAGAIN)
			return;
		if (error == -EPROTONOSUPPORT) {
			snprintf(reason, sizeof(reason), "versions of the attach protocol differ: %u of pollux-control, "
				 "%u of pollux-dataplane: restart the older one", ATTACH_VERSION, m.version);
			refuse(d, reason);
		} else if (error == -EPROTO) {
			refuse(d, "that was no attach message");
		} else if (error) {
			if (d->state >= DATAPLANE_WELCOMED)
				log_warn("dataplane %u has closed its connection", d->pid);
			disconnected(d);
		} else if (m.type == ATTACH_HELLO) {
			on_hello(d, &m.hello);
		} else if (m.type == ATTACH_SERVING) {
			on_serving(d, &m.serving, fds);
		} else {
			for (unsigned i = 0; i < fd_cnt; i++)
				close(fds[i]);
			refuse(d, "a message of the control process came from a dataplane");
		}
		/* refuse and disconnected free nothing before the loop turns: d stays valid. */
	}
}

/* ---- connections ---- */

/* The peer's process.  Its number may be another process's by the time the pidfd is
 * open; but if the connection still stands then, the number is not stale. */
static int peer_pidfd(int sock, struct ucred *cred)
{
	socklen_t len = sizeof(*cred);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, cred, &len) < 0)
		return -errno;
	if (cred->uid != geteuid() && cred->uid != 0)
		return -EPERM;
	if (cred->pid <= 0)
		return -ESRCH; /* in a PID namespace that we cannot see */

	int fd = (int)syscall(SYS_pidfd_open, cred->pid, 0);

	if (fd < 0)
		return -errno;

	struct pollfd p = {.fd = sock, .events = POLLRDHUP};

	if (poll(&p, 1, 0) < 0 || (p.revents & (POLLHUP | POLLRDHUP | POLLERR))) {
		close(fd);
		return -ECONNRESET;
	}
	return fd;
}

static void accept_peer(struct attach *a, int sock)
{
	struct ucred cred;
	int pidfd = peer_pidfd(sock, &cred);

	if (pidfd < 0) {
		log_warn("attach: a connection is refused: %s", strerror(-pidfd));
		close(sock);
		return;
	}

	struct dataplane *d = a->peers < PEERS_MAX ? calloc(1, sizeof(*d)) : NULL;

	if (!d) {
		log_warn("attach: too many connections");
		close(pidfd);
		close(sock);
		return;
	}
	d->attach = a;
	d->pid = (uint32_t)cred.pid;
	d->sock = sock;
	d->pidfd = pidfd;
	d->sock_poll.data = d;
	d->pidfd_poll.data = d;
	if (uv_poll_init(a->loop, &d->sock_poll, sock)) {
		close(pidfd);
		close(sock);
		free(d);
		return;
	}
	d->handles = 1;
	d->next = a->first;
	a->first = d;
	a->peers++;
	if (uv_poll_init(a->loop, &d->pidfd_poll, pidfd)) {
		close(pidfd);
		d->pidfd = -1;
		forget(d);
		return;
	}
	d->handles = 2;
	uv_poll_start(&d->pidfd_poll, UV_READABLE, on_dead);
	uv_poll_start(&d->sock_poll, UV_READABLE | UV_DISCONNECT, on_message);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
	struct attach *a = poll->data;

	(void)status;
	(void)events;
	for (;;) {
		int sock = accept4(a->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (sock < 0)
			return;
		accept_peer(a, sock);
	}
}

int attach_open(struct attach **out, uv_loop_t *loop, struct db *db, const struct config *c,
		attach_changed changed, void *arg, char *error, size_t error_size)
{
	struct attach *a = calloc(1, sizeof(*a));
	struct arena_usage usage;
	uint64_t retired;

	if (!a) {
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	*a = (struct attach){.loop = loop, .db = db, .config = c, .udp_payload = c->udp_payload,
			     .changed = changed, .arg = arg};
	a->fd = unix_listen(a->path, c->run_directory, "attach.sock", SOCK_SEQPACKET, 0600,
			    error, error_size);
	db_usage(db, &usage, &retired);
	a->arena_size = usage.max;
	if (a->fd < 0) {
		int result = a->fd;

		free(a);
		return result;
	}
	uv_poll_init(loop, &a->poll, a->fd);
	a->poll.data = a;
	uv_poll_start(&a->poll, UV_READABLE, on_connection);
	*out = a;
	return 0;
}

void attach_loaded(struct attach *a)
{
	struct dataplane *next;

	a->loaded = true;
	for (struct dataplane *d = a->first; d; d = next) {
		next = d->next;
		if (d->state == DATAPLANE_WAITING)
			welcome(d);
	}
}

void attach_udp_payload(struct attach *a, uint16_t octets)
{
	a->udp_payload = octets;
	for (struct dataplane *d = a->first; d; d = d->next)
		for (unsigned i = 0; d->state == DATAPLANE_SERVING && i < d->port_cnt; i++) {
			int error = steer_set_max_payload(&d->port[i].maps, max_payload(a));

			if (error)
				log_error("%.16s: the steering program keeps the old udp-payload: %s",
					  d->port[i].port.name, strerror(-error));
		}
}

struct dataplane *attach_first(const struct attach *a)
{
	return a->first;
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct attach *a = handle->data;

	close(a->fd);
}

void attach_stop(struct attach *a)
{
	unlink(a->path);
	uv_close((uv_handle_t *)&a->poll, on_listener_closed);
	while (a->first)
		forget(a->first);
}

void attach_free(struct attach *a)
{
	free(a);
}
