/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/load/memif.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/common/log.h"

#define RING_SIZE memif_ring_size(MEMIF_LOG2_RING)
#define HUGE ((size_t)2 << 20)
#define NAP_NS 10000000
#define PATIENCE 5 /* seconds for each message of a server that has accepted us */

/* ---- the connection ---- */

static int put(const struct memif *m, const struct memif_message *message, int fd)
{
	struct iovec part = { .iov_base = (void *)message, .iov_len = sizeof(*message) };
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr h = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd >= 0) {
		h.msg_control = control.room;
		h.msg_controllen = sizeof(control.room);
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	return sendmsg(m->connection, &h, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The next message, which must be of this kind. */
static int get(struct memif *m, enum memif_kind kind, struct memif_message *message)
{
	ssize_t n = recv(m->connection, message, sizeof(*message), 0);

	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (n == 0)
		return -ECONNRESET;
	if (n == sizeof(*message) && message->kind == MEMIF_DISCONNECT) {
		snprintf(m->refusal, sizeof(m->refusal), "%.*s", (int)sizeof(message->disconnect.reason),
			 message->disconnect.reason);
		return -ECONNREFUSED;
	}
	return n == sizeof(*message) && message->kind == kind ? 0 : -EPROTO;
}

static int ask(struct memif *m, struct memif_message *message, int fd, enum memif_kind answer)
{
	int rc = put(m, message, fd);

	return rc != 0 ? rc : get(m, answer, message);
}

static int ask_ring(struct memif *m, const struct memif_ring *ring)
{
	struct memif_message message = { .kind = MEMIF_ADD_RING };

	message.ring.flags = ring == m->queries ? MEMIF_TO_SERVER : 0;
	message.ring.offset = (uint32_t)((const uint8_t *)ring - m->region);
	message.ring.log2_ring = MEMIF_LOG2_RING;
	return ask(m, &message, m->interrupt[ring == m->queries], MEMIF_ACK);
}

/* A server closes while another client is leaving, or before it is ready: -EAGAIN. */
static int greet(struct memif *m, const char *path)
{
	static const struct timeval patience = { .tv_sec = PATIENCE };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct memif_message message;
	int rc;

	if (strlen(path) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	strcpy(to.sun_path, path);
	m->connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (m->connection < 0)
		return -errno;
	setsockopt(m->connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(m->connection, (struct sockaddr *)&to, sizeof(to)) != 0)
		return errno == ENOENT || errno == ECONNREFUSED ? -EAGAIN : -errno;
	rc = get(m, MEMIF_HELLO, &message);
	if (rc != 0)
		return rc;
	if (message.hello.version_min > MEMIF_VERSION || message.hello.version_max < MEMIF_VERSION ||
	    message.hello.log2_ring_max < MEMIF_LOG2_RING)
		return -EPROTONOSUPPORT;
	message = (struct memif_message){ .kind = MEMIF_INIT };
	message.init.version = MEMIF_VERSION;
	snprintf((char *)message.init.name, MEMIF_NAME, "pollux-load");
	return ask(m, &message, -1, MEMIF_ACK);
}

static int share(struct memif *m, int fd)
{
	struct memif_message message = { .kind = MEMIF_ADD_REGION };
	int rc;

	message.region.size = m->size;
	rc = ask(m, &message, fd, MEMIF_ACK);
	if (rc == 0)
		rc = ask_ring(m, m->queries);
	if (rc == 0)
		rc = ask_ring(m, m->answers);
	if (rc != 0)
		return rc;
	message = (struct memif_message){ .kind = MEMIF_CONNECT };
	return ask(m, &message, -1, MEMIF_CONNECTED);
}

/* ---- the shared memory ---- */

static void unmap(struct memif *m)
{
	if (m->room)
		munmap(m->room, m->size + HUGE);
	m->room = NULL;
}

/* Give the file its size for good, and map it at a huge page's border. */
static int map_file(struct memif *m, int fd)
{
	if (ftruncate(fd, (off_t)m->size) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0)
		return -errno;
	m->room = mmap(NULL, m->size + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->room == MAP_FAILED) {
		m->room = NULL;
		return -errno;
	}
	m->region = (uint8_t *)(((uintptr_t)m->room + HUGE - 1) & ~(HUGE - 1));
	if (mmap(m->region, m->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return -errno;
	madvise(m->region, m->size, MADV_HUGEPAGE);
	return madvise(m->region, m->size, MADV_POPULATE_WRITE) == 0 || errno == EINVAL ? 0 : -errno;
}

/* A file of such pages; its descriptor or -errno. */
static int make_file(struct memif *m, unsigned pages)
{
	int rc, fd = memfd_create("pollux-load", MFD_CLOEXEC | MFD_ALLOW_SEALING | pages);

	if (fd < 0)
		return -errno;
	rc = map_file(m, fd);
	if (rc == 0)
		return fd;
	unmap(m);
	close(fd);
	return rc;
}

/* In huge pages where there are any. */
static int make_region(struct memif *m)
{
	int fd;

	m->size = 2 * (RING_SIZE + (size_t)MEMIF_RING * MEMIF_BUFFER);
	m->size = (m->size + HUGE - 1) & ~(HUGE - 1);
	fd = make_file(m, MFD_HUGETLB | MFD_HUGE_2MB);
	return fd < 0 ? make_file(m, 0) : fd;
}

static void lay_out(struct memif *m)
{
	struct memif_ring *rings[] = { m->queries = (struct memif_ring *)m->region,
				       m->answers = (struct memif_ring *)(m->region + RING_SIZE) };

	m->query_buffer = m->region + 2 * RING_SIZE;
	m->answer_buffer = m->query_buffer + (size_t)MEMIF_RING * MEMIF_BUFFER;
	for (unsigned r = 0; r < 2; r++) {
		const uint8_t *buffer = r ? m->answer_buffer : m->query_buffer;

		rings[r]->cookie = MEMIF_COOKIE;
		rings[r]->flags = MEMIF_NO_INTERRUPT;
		for (uint32_t i = 0; i < MEMIF_RING; i++) {
			rings[r]->desc[i].len = MEMIF_BUFFER;
			rings[r]->desc[i].offset = (uint32_t)(buffer - m->region) + i * MEMIF_BUFFER;
		}
	}
}

int memif_open(struct memif *m, const char *path, double seconds)
{
	static const struct timespec nap = { .tv_nsec = NAP_NS };
	int fd, rc = 0;

	*m = (struct memif){ .connection = -1, .interrupt = { -1, -1 } };
	fd = make_region(m);
	if (fd < 0) {
		log_error("%s: no shared memory: %s", path, strerror(-fd));
		return fd;
	}
	lay_out(m);
	for (unsigned i = 0; i < 2 && rc == 0; i++) {
		m->interrupt[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (m->interrupt[i] < 0)
			rc = -errno;
	}
	for (double waited = 0; rc == 0; waited += NAP_NS / 1e9) {
		rc = greet(m, path);
		/* A server that is just losing its last client hangs up or refuses. */
		if ((rc != -EAGAIN && rc != -ECONNRESET && rc != -ECONNREFUSED && rc != -EPIPE) ||
		    waited >= seconds)
			break;
		close(m->connection);
		m->connection = -1;
		nanosleep(&nap, NULL);
		rc = 0;
	}
	if (rc == 0)
		rc = share(m, fd);
	close(fd);
	if (rc != 0) {
		log_error("%s: %s%s%s", path, rc == -EAGAIN ? "no server there" : strerror(-rc),
			  *m->refusal ? ": " : "", m->refusal);
		return rc == -EAGAIN ? -ENOTCONN : rc;
	}
	/* The server has set all positions to 0. */
	atomic_store_explicit(&m->answers->head, MEMIF_RING, memory_order_release);
	return 0;
}

void memif_close(struct memif *m)
{
	if (m->connection >= 0)
		close(m->connection);
	for (unsigned i = 0; i < 2; i++)
		if (m->interrupt[i] >= 0)
			close(m->interrupt[i]);
	unmap(m);
	*m = (struct memif){ .connection = -1, .interrupt = { -1, -1 } };
}

bool memif_link(const struct memif *m)
{
	char octet;

	/* It has nothing more to say than that it goes. */
	return recv(m->connection, &octet, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* ---- frames ---- */

unsigned memif_room(struct memif *m, unsigned wanted, unsigned octets)
{
	unsigned room = MEMIF_RING - (uint16_t)(m->query_head - m->query_tail);

	if (room < wanted) {
		m->query_tail = atomic_load_explicit(&m->queries->tail, memory_order_acquire);
		room = MEMIF_RING - (uint16_t)(m->query_head - m->query_tail);
		if (room > MEMIF_RING)
			room = 0; /* the server is out of its mind */
		if (room < wanted)
			wanted = room;
	}
	for (unsigned i = 0; i < wanted; i++) {
		uint8_t *buffer = memif_query(m, i);

		for (unsigned at = 0; at < octets; at += MEMIF_LINE)
			__builtin_prefetch(buffer + at, 1);
		if (i % (MEMIF_LINE / sizeof(struct memif_desc)) == 0)
			__builtin_prefetch(&m->queries->desc[(uint16_t)(m->query_head + i) & (MEMIF_RING - 1)], 1);
	}
	return wanted;
}

void memif_send(struct memif *m, unsigned cnt)
{
	m->query_head = (uint16_t)(m->query_head + cnt);
	atomic_store_explicit(&m->queries->head, m->query_head, memory_order_release);
}

unsigned memif_waiting(const struct memif *m)
{
	unsigned cnt = (uint16_t)(atomic_load_explicit(&m->answers->tail, memory_order_acquire) - m->answer_at);

	return cnt <= MEMIF_RING ? cnt : 0;
}

void memif_release(struct memif *m, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++) {
		struct memif_desc *d = &m->answers->desc[(uint16_t)(m->answer_at + i) & (MEMIF_RING - 1)];

		d->flags = 0;
		d->len = MEMIF_BUFFER;
	}
	m->answer_at = (uint16_t)(m->answer_at + cnt);
	atomic_store_explicit(&m->answers->head, (uint16_t)(m->answer_at + MEMIF_RING), memory_order_release);
}
