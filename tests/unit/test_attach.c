/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/answer/arena.h"
#include "dataplane/common/attach.h"

#define BODY offsetof(struct attach_message, hello)

static size_t len_of(uint16_t type)
{
	return BODY + (type == ATTACH_HELLO ? sizeof(struct attach_hello) :
		       type == ATTACH_WELCOME ? sizeof(struct attach_welcome) :
		       type == ATTACH_REFUSE ? sizeof(struct attach_refuse) :
		       sizeof(struct attach_serving));
}

/* A valid message of each type, and how many descriptors it needs. */
static unsigned valid(struct attach_message *m, uint16_t type)
{
	memset(m, 0, sizeof(*m));
	m->magic = ATTACH_MAGIC;
	m->version = ATTACH_VERSION;
	m->type = type;
	switch (type) {
	case ATTACH_HELLO:
		m->hello = (struct attach_hello){1, 1, 4711, 2};
		return 0;
	case ATTACH_WELCOME:
		m->welcome.arena_size = ARENA_MAX;
		m->welcome.worker_cnt = STATUS_SLOTS;
		for (unsigned i = 0; i < STATUS_SLOTS; i++)
			m->welcome.slot[i] = STATUS_SLOTS - 1 - i;
		return 2;
	case ATTACH_REFUSE:
		strcpy(m->refuse.reason, "another layout");
		return 0;
	default:
		m->serving.port_cnt = ATTACH_PORTS;
		for (unsigned i = 0; i < ATTACH_PORTS; i++) {
			m->serving.port[i].ifindex = i + 1;
			m->serving.port[i].queues = STATUS_SLOTS;
			strcpy(m->serving.port[i].name, "eth0");
		}
		return ATTACH_FDS;
	}
}

static void pair(int s[2])
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s), 0);
}

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned cnt = 0;

	while (readdir(d))
		cnt++;
	closedir(d);
	return cnt;
}

/* Send octets with descriptors, past all checks of attach_send. */
static void send_raw(int sock, const void *octets, size_t len, unsigned fd_cnt)
{
	struct iovec iov = {(void *)(uintptr_t)octets, len};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(250 * sizeof(int))] = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd_cnt > 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(fd_cnt * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fd_cnt * sizeof(int));
		for (unsigned i = 0; i < fd_cnt; i++)
			((int *)CMSG_DATA(c))[i] = STDIN_FILENO;
	}
	cr_assert_eq(sendmsg(sock, &msg, MSG_NOSIGNAL), (ssize_t)len);
}

Test(attach, each_message_arrives_as_it_was_sent)
{
	int s[2], sent[ATTACH_FDS], got[ATTACH_FDS];
	unsigned before;

	pair(s);
	for (unsigned i = 0; i < ATTACH_FDS; i++)
		sent[i] = memfd_create("descriptor", 0);
	before = open_fds();
	for (uint16_t type = ATTACH_HELLO; type <= ATTACH_SERVING; type++) {
		struct attach_message m, r;
		unsigned fds = valid(&m, type), cnt = 99;

		cr_assert_eq(attach_send(s[0], &m, sent, fds), 0, "type %u", type);
		memset(&r, 0xaa, sizeof(r));
		cr_assert_eq(attach_receive(s[1], &r, got, &cnt), 0, "type %u", type);
		cr_assert_eq(cnt, fds);
		cr_assert_eq(memcmp(&m, &r, len_of(type)), 0);
		for (unsigned i = 0; i < cnt; i++) {
			struct stat a, b;

			cr_assert_eq(fstat(sent[i], &a), 0);
			cr_assert_eq(fstat(got[i], &b), 0);
			cr_assert_eq(a.st_ino, b.st_ino);
			cr_assert(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
			close(got[i]);
		}
	}
	cr_assert_eq(open_fds(), before);
}

Test(attach, no_message_is_not_an_error_and_an_end_is_told)
{
	struct attach_message m;
	int s[2], fds[ATTACH_FDS];
	unsigned cnt;

	pair(s);
	cr_assert_eq(attach_receive(s[0], &m, fds, &cnt), -EAGAIN);
	close(s[1]);
	cr_assert_eq(attach_receive(s[0], &m, fds, &cnt), -EPIPE);
	valid(&m, ATTACH_HELLO);
	cr_assert_eq(attach_send(s[0], &m, NULL, 0), -EPIPE);
}

Test(attach, a_full_socket_is_told)
{
	struct attach_message m;
	int s[2], rc = 0;

	pair(s);
	valid(&m, ATTACH_REFUSE);
	for (unsigned i = 0; i < 100000 && rc == 0; i++)
		rc = attach_send(s[0], &m, NULL, 0);
	cr_assert_eq(rc, -EAGAIN);
}

Test(attach, own_mistakes_are_not_sent)
{
	struct attach_message m;
	int s[2], fds[2] = {0, 0}, got[ATTACH_FDS];
	unsigned cnt;

	pair(s);
	valid(&m, ATTACH_WELCOME);
	cr_assert_eq(attach_send(s[0], &m, fds, 1), -EINVAL);
	m.type = 9;
	cr_assert_eq(attach_send(s[0], &m, fds, 2), -EINVAL);
	cr_assert_eq(attach_receive(s[1], &m, got, &cnt), -EAGAIN);
}

Test(attach, every_other_length_and_number_of_descriptors_is_refused)
{
	for (uint16_t type = ATTACH_HELLO; type <= ATTACH_SERVING; type++) {
		struct attach_message m;
		unsigned fds = valid(&m, type);

		for (size_t len = 0; len <= sizeof(m) + 1; len++)
			cr_assert_eq(attach_check(&m, len, fds), len == len_of(type) ? 0 : -EPROTO);
		for (unsigned n = 0; n <= ATTACH_FDS + 1; n++)
			cr_assert_eq(attach_check(&m, len_of(type), n), n == fds ? 0 : -EPROTO);
	}
}

Test(attach, each_rule_is_kept)
{
	struct attach_message m;

#define REFUSED(type, change) do { \
		unsigned fds_ = valid(&m, type); \
		change; \
		cr_assert_eq(attach_check(&m, len_of(type), fds_), -EPROTO, #change); \
	} while (0)

	REFUSED(ATTACH_HELLO, m.magic++);
	REFUSED(ATTACH_HELLO, m.type = 0);
	REFUSED(ATTACH_HELLO, m.hello.pid = 0);
	REFUSED(ATTACH_HELLO, m.hello.pid = UINT32_MAX);
	REFUSED(ATTACH_HELLO, m.hello.worker_cnt = 0);
	REFUSED(ATTACH_HELLO, m.hello.worker_cnt = STATUS_SLOTS + 1);
	REFUSED(ATTACH_WELCOME, m.welcome.arena_size = 0);
	REFUSED(ATTACH_WELCOME, m.welcome.arena_size = ARENA_MAX + 1);
	REFUSED(ATTACH_WELCOME, m.welcome.worker_cnt = 0);
	REFUSED(ATTACH_WELCOME, m.welcome.worker_cnt = STATUS_SLOTS + 1);
	REFUSED(ATTACH_WELCOME, m.welcome.slot[3] = STATUS_SLOTS);
	REFUSED(ATTACH_WELCOME, m.welcome.slot[3] = UINT32_MAX);
	REFUSED(ATTACH_WELCOME, m.welcome.slot[3] = m.welcome.slot[0]);
	REFUSED(ATTACH_REFUSE, memset(m.refuse.reason, 'x', sizeof(m.refuse.reason)));
	REFUSED(ATTACH_SERVING, m.serving.port_cnt = ATTACH_PORTS + 1);
	REFUSED(ATTACH_SERVING, m.serving.port_cnt = UINT32_MAX);
	REFUSED(ATTACH_SERVING, m.serving.port[1].ifindex = 0);
	REFUSED(ATTACH_SERVING, m.serving.port[1].ifindex = m.serving.port[0].ifindex);
	REFUSED(ATTACH_SERVING, m.serving.port[1].queues = 0);
	REFUSED(ATTACH_SERVING, m.serving.port[1].queues = STATUS_SLOTS + 1);
	REFUSED(ATTACH_SERVING, m.serving.port[1].name[0] = 0);
	REFUSED(ATTACH_SERVING, memset(m.serving.port[1].name, 'x', 16));
}

/* Of another version nothing is known but that: it may have any length and type. */
Test(attach, another_version_is_told)
{
	struct attach_message m;
	char big[2 * sizeof(m)] = {0};
	int s[2], fds[ATTACH_FDS];
	unsigned before, cnt;

	pair(s);
	before = open_fds();
	valid(&m, ATTACH_HELLO);
	m.version++;
	m.type = 99;
	memcpy(big, &m, sizeof(m));
	for (size_t len = BODY; len <= sizeof(big); len++) {
		send_raw(s[0], big, len, len % 3);
		cr_assert_eq(attach_receive(s[1], &m, fds, &cnt), -EPROTONOSUPPORT, "%zu octets", len);
		cr_assert_eq(m.version, ATTACH_VERSION + 1);
	}
	m.magic++;
	cr_assert_eq(attach_check(&m, len_of(ATTACH_HELLO), 0), -EPROTO);
	cr_assert_eq(open_fds(), before);
}

Test(attach, serving_without_ports_is_valid)
{
	struct attach_message m;

	valid(&m, ATTACH_SERVING);
	m.serving.port_cnt = 0;
	cr_assert_eq(attach_check(&m, len_of(ATTACH_SERVING), 0), 0);
}

Test(attach, refused_messages_leave_no_descriptor_open)
{
	struct attach_message m;
	char big[sizeof(m) + 1] = {0};
	int s[2], fds[ATTACH_FDS];
	unsigned before, cnt = 99;

	pair(s);
	before = open_fds();

	valid(&m, ATTACH_HELLO);
	send_raw(s[0], &m, len_of(ATTACH_HELLO), 3);
	cr_assert_eq(attach_receive(s[1], &m, fds, &cnt), -EPROTO);
	cr_assert_eq(cnt, 0);

	/* More descriptors than there is room for: MSG_CTRUNC. */
	valid(&m, ATTACH_SERVING);
	for (unsigned n = ATTACH_FDS + 1; n <= 250; n += 61) {
		send_raw(s[0], &m, len_of(ATTACH_SERVING), n);
		cr_assert_eq(attach_receive(s[1], &m, fds, &cnt), -EPROTO);
		valid(&m, ATTACH_SERVING);
	}

	/* More octets than any message has: MSG_TRUNC. */
	memcpy(big, &m, sizeof(m));
	send_raw(s[0], big, sizeof(big), ATTACH_FDS);
	cr_assert_eq(attach_receive(s[1], &m, fds, &cnt), -EPROTO);

	for (size_t len = 1; len < len_of(ATTACH_WELCOME); len++) {
		valid(&m, ATTACH_WELCOME);
		send_raw(s[0], &m, len, 2);
		cr_assert_eq(attach_receive(s[1], &m, fds, &cnt), -EPROTO);
	}
	cr_assert_eq(open_fds(), before);
}
