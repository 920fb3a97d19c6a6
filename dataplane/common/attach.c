/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "attach.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/answer/arena.h"

#define BODY offsetof(struct attach_message, hello)

/* Room for all descriptors of a message.  One more than that ends in MSG_CTRUNC. */
union control {
	struct cmsghdr align;
	char octets[CMSG_SPACE(ATTACH_FDS * sizeof(int))];
};

/* Octets of a message of this type, 0 for no type. */
static size_t message_len(uint16_t type)
{
	switch (type) {
	case ATTACH_HELLO:   return BODY + sizeof(struct attach_hello);
	case ATTACH_WELCOME: return BODY + sizeof(struct attach_welcome);
	case ATTACH_REFUSE:  return BODY + sizeof(struct attach_refuse);
	case ATTACH_SERVING: return BODY + sizeof(struct attach_serving);
	}
	return 0;
}

static bool hello_valid(const struct attach_hello *h)
{
	return h->pid > 0 && h->pid <= INT32_MAX && h->worker_cnt >= 1 &&
	       h->worker_cnt <= STATUS_SLOTS;
}

static bool welcome_valid(const struct attach_welcome *w)
{
	uint64_t taken = 0;

	_Static_assert(STATUS_SLOTS <= 64, "one bit a slot");
	if (w->arena_size == 0 || w->arena_size > ARENA_MAX || w->worker_cnt < 1 ||
	    w->worker_cnt > STATUS_SLOTS)
		return false;
	for (uint32_t i = 0; i < w->worker_cnt; i++) {
		if (w->slot[i] >= STATUS_SLOTS || taken >> w->slot[i] & 1)
			return false;
		taken |= UINT64_C(1) << w->slot[i];
	}
	return true;
}

static bool serving_valid(const struct attach_serving *s)
{
	if (s->port_cnt > ATTACH_PORTS)
		return false;
	for (uint32_t i = 0; i < s->port_cnt; i++) {
		const struct attach_port *p = &s->port[i];

		if (p->ifindex == 0 || p->queues < 1 || p->queues > STATUS_SLOTS ||
		    p->name[0] == 0 || !memchr(p->name, 0, sizeof(p->name)))
			return false;
		for (uint32_t j = 0; j < i; j++)
			if (s->port[j].ifindex == p->ifindex)
				return false;
	}
	return true;
}

int attach_check(const struct attach_message *m, size_t len, unsigned fd_cnt)
{
	bool valid = false;
	unsigned fds = 0;

	if (len < BODY || m->magic != ATTACH_MAGIC)
		return -EPROTO;
	if (m->version != ATTACH_VERSION)
		return -EPROTONOSUPPORT;
	if (len != message_len(m->type))
		return -EPROTO;

	switch (m->type) {
	case ATTACH_HELLO:
		valid = hello_valid(&m->hello);
		break;
	case ATTACH_WELCOME:
		valid = welcome_valid(&m->welcome);
		fds = 2;
		break;
	case ATTACH_REFUSE:
		valid = memchr(m->refuse.reason, 0, sizeof(m->refuse.reason)) != NULL;
		break;
	case ATTACH_SERVING:
		valid = serving_valid(&m->serving);
		fds = valid ? m->serving.port_cnt * 4 : 0;
		break;
	}
	return valid && fd_cnt == fds ? 0 : -EPROTO;
}

int attach_send(int sock, const struct attach_message *m, const int *fds, unsigned fd_cnt)
{
	size_t len = message_len(m->type);
	struct iovec iov = {.iov_base = (void *)(uintptr_t)m, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;
	ssize_t sent;

	if (attach_check(m, len, fd_cnt) != 0)
		return -EINVAL;

	if (fd_cnt > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.octets;
		msg.msg_controllen = CMSG_SPACE(fd_cnt * sizeof(int));

		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fd_cnt * sizeof(int));
		memcpy(CMSG_DATA(c), fds, fd_cnt * sizeof(int));
	}
	do
		sent = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* All descriptors of a received message, whatever it turns out to be. */
static unsigned take_fds(struct msghdr *msg, int fds[ATTACH_FDS])
{
	unsigned cnt = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;

		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (cnt < ATTACH_FDS)
				fds[cnt++] = fd;
			else
				close(fd);
		}
	}
	return cnt;
}

int attach_receive(int sock, struct attach_message *m, int fds[ATTACH_FDS], unsigned *fd_cnt)
{
	struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
	union control control;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.octets,
			     .msg_controllen = sizeof(control.octets)};
	ssize_t len;
	unsigned cnt;
	int rc = 0;

	*fd_cnt = 0;
	memset(m, 0, sizeof(*m));
	do
		len = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;

	cnt = take_fds(&msg, fds);
	rc = len == 0 ? -EPIPE : attach_check(m, (size_t)len, cnt);
	/* Of another version it may be longer than ours. */
	if (rc == 0 && (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		rc = -EPROTO;

	if (rc != 0) {
		while (cnt > 0)
			close(fds[--cnt]);
		return rc;
	}
	*fd_cnt = cnt;
	return 0;
}
