/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dataplane/keeper.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf/steerctl.h"
#include "dataplane/common/attach.h"

#define ERROR_TEXT 256

/* Both ends are this program; its answer is an int: 0 or -errno. */
struct request {
	enum { KEEPER_ADD, KEEPER_DETACH } what;
	unsigned ifindex;
	uint32_t mode;
};

struct kept {
	unsigned ifindex;
	uint32_t mode;
	int program;
};

/* ---- the child ---- */

/* One request and the descriptor beside it, or -1.  False at the end. */
static bool take(int sock, struct request *q, int *fd)
{
	struct iovec iov = {q, sizeof(*q)};
	union {
		struct cmsghdr head;
		char octets[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	ssize_t n;

	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);

	const struct cmsghdr *c = n == sizeof(*q) ? CMSG_FIRSTHDR(&msg) : NULL;

	*fd = -1;
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return n == sizeof(*q);
}

static void child(int sock)
{
	struct kept kept[ATTACH_PORTS];
	unsigned cnt = 0;
	struct request q;
	int fd;

	while (take(sock, &q, &fd)) {
		int result = -ENOENT;

		if (q.what == KEEPER_ADD) {
			result = fd < 0 ? -EINVAL : cnt == ATTACH_PORTS ? -ENOSPC : 0;
			if (result == 0)
				kept[cnt++] = (struct kept){q.ifindex, q.mode, fd};
		} else {
			for (unsigned i = 0; i < cnt; i++)
				if (kept[i].ifindex == q.ifindex)
					result = steer_program_detach(kept[i].ifindex, kept[i].program, kept[i].mode);
		}
		if (send(sock, &result, sizeof(result), MSG_NOSIGNAL) != sizeof(result))
			break;
	}
}

/* ---- the dataplane ---- */

int keeper_start(struct keeper *k, const struct rights *r)
{
	char error[ERROR_TEXT];
	int pair[2], result;

	*k = (struct keeper){.sock = -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	k->pid = fork();
	if (k->pid < 0) {
		result = -errno;
		close(pair[0]);
		close(pair[1]);
		return result;
	}
	if (k->pid == 0) {
		close(pair[0]);
		/* Who ends the group ends the dataplane, which then still needs this one: it
		 * ends with the socket. */
		signal(SIGTERM, SIG_IGN);
		signal(SIGINT, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		prctl(PR_SET_NAME, "pollux-keeper", 0, 0, 0);
		if (rights_keep_net_admin(r, error, sizeof(error)) == 0)
			child(pair[1]);
		_exit(0);
	}
	close(pair[1]);
	k->sock = pair[0];
	return 0;
}

static int ask(struct keeper *k, const struct request *q, int fd)
{
	struct iovec iov = {(void *)(uintptr_t)q, sizeof(*q)};
	union {
		struct cmsghdr head;
		char octets[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int result;
	ssize_t n;

	if (k->sock < 0)
		return -ENOTCONN;
	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);

		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	if (sendmsg(k->sock, &msg, MSG_NOSIGNAL) < 0)
		return -errno;
	do
		n = recv(k->sock, &result, sizeof(result), 0);
	while (n < 0 && errno == EINTR);
	return n == sizeof(result) ? result : -EPIPE;
}

int keeper_add(struct keeper *k, unsigned ifindex, uint32_t mode, int program)
{
	struct request q = {KEEPER_ADD, ifindex, mode};

	return ask(k, &q, program);
}

int keeper_detach(struct keeper *k, unsigned ifindex)
{
	struct request q = {KEEPER_DETACH, ifindex, 0};

	return ask(k, &q, -1);
}

void keeper_stop(struct keeper *k)
{
	if (k->sock < 0)
		return;
	close(k->sock);
	k->sock = -1;
	waitpid(k->pid, NULL, 0);
}
