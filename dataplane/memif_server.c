/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dataplane/memif_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/common/log.h"
#include "dataplane/common/memif.h"

#define LINE 64
/* An odd number of lines: frames 2,048 octets apart would share two of a first level
 * cache's sets. */
#define STRIDE (MEMIF_FRAME + LINE)
#define FETCH 2              /* lines of a frame that are fetched a burst ahead; few queries have more */
#define DESC_LINE (LINE / sizeof(struct memif_desc))

#define REGIONS 256
#define BACKLOG 4
#define ADOPT_NAP_NS 20000   /* between two looks whether the core has adopted a link */

/* What kind of thing an epoll event is about. */
enum { EVENT_LISTENER, EVENT_CLIENT };

struct region {
	uint8_t *base;
	size_t size;
};

/* One direction.  The position is the core's. */
struct ring {
	struct memif_ring *shared;
	uint8_t log2;
	uint16_t at;               /* the next descriptor */
	uint16_t end;              /* positions before it may be used, as last seen */
	int interrupt;             /* -1: none */
};

struct memif_link {
	struct ring query, answer;
	uint16_t fetched;          /* queries before it have been fetched */
	unsigned region_cnt;
	struct region region[REGIONS];
};

/* ---- the core ---- */

static inline unsigned ring_slots(const struct ring *r)
{
	return 1u << r->log2;
}

static inline struct memif_desc *ring_desc(const struct ring *r, uint16_t at)
{
	return &r->shared->desc[at & (ring_slots(r) - 1)];
}

/* Where a descriptor says that a piece is: *len octets, and *after behind these in its
 * region; NULL if it is not in the client's memory.  Each field is read once: the client
 * may change them at any time. */
static inline uint8_t *desc_piece(const struct memif_link *l, const struct memif_desc *d, uint32_t *len,
				  size_t *after)
{
	uint16_t region = __atomic_load_n(&d->region, __ATOMIC_RELAXED);
	uint32_t offset = __atomic_load_n(&d->offset, __ATOMIC_RELAXED);
	uint32_t size = __atomic_load_n(&d->len, __ATOMIC_RELAXED);

	if (region >= l->region_cnt || offset > l->region[region].size ||
	    size > l->region[region].size - offset)
		return NULL;
	*len = size;
	*after = l->region[region].size - offset - size;
	return l->region[region].base + offset;
}

/* Whole lines where `room` behind them on both sides allows it: no branch depends on a
 * frame's length then, but for the number of its lines. */
static inline void copy_frame(uint8_t *to, const uint8_t *from, uint32_t len, size_t room)
{
	if (room < LINE) {
		memcpy(to, from, len);
		return;
	}
	for (uint32_t i = 0; i < len; i += LINE)
		memcpy(to + i, from + i, LINE);
}

/* Fetch the descriptors from at to end for reading or writing. */
static inline void fetch_descs(const struct ring *r, uint16_t at, uint16_t end, bool write)
{
	for (; (int16_t)(end - at) > 0; at = (uint16_t)(at + DESC_LINE))
		write ? __builtin_prefetch(ring_desc(r, at), 1) : __builtin_prefetch(ring_desc(r, at));
}

/* Fetch where their frames are. */
static inline void fetch_frames(const struct memif_link *l, const struct ring *r, uint16_t at, uint16_t end,
				bool write)
{
	for (; at != end; at++) {
		uint32_t len;
		size_t after;
		const uint8_t *piece = desc_piece(l, ring_desc(r, at), &len, &after);

		for (unsigned i = 0; piece && i < FETCH; i++)
			write ? __builtin_prefetch(piece + i * LINE, 1) : __builtin_prefetch(piece + i * LINE);
	}
}

/* Positions from at on that the other side has released, as of now if fewer are known than
 * wanted.  A distance longer than the ring is none. */
static inline unsigned ring_ready(struct ring *r, unsigned wanted)
{
	unsigned ready = (uint16_t)(r->end - r->at);

	if (ready < wanted) {
		r->end = atomic_load_explicit(&r->shared->head, memory_order_acquire);
		ready = (uint16_t)(r->end - r->at);
		if (ready > ring_slots(r)) {
			r->end = r->at;
			ready = 0;
		}
	}
	return ready;
}

/* Copy out the frame at r->at, of one piece or several before end. */
static uint32_t take_frame(struct memif_link *l, uint8_t *to, uint16_t end)
{
	struct ring *r = &l->query;
	uint32_t len = 0;
	bool whole = false, good = true;

	while (!whole && r->at != end) {
		const struct memif_desc *d = ring_desc(r, r->at++);
		uint32_t n;
		size_t after;
		const uint8_t *from = desc_piece(l, d, &n, &after);

		whole = !(__atomic_load_n(&d->flags, __ATOMIC_RELAXED) & MEMIF_NEXT);
		good = good && from;
		if (!good)
			continue;
		if (n > MEMIF_FRAME - len)
			n = MEMIF_FRAME - len;
		/* Behind the last of a burst's frames is room for a line more, too. */
		copy_frame(to + len, from, n, after);
		len += n;
	}
	return good && whole ? len : 0;
}

unsigned memif_server_receive(struct memif_server *s, struct memif_frame *frame, unsigned burst)
{
	struct memif_link *l = s->current;
	unsigned cnt = 0, waiting, room;
	uint16_t end;

	if (!l)
		return 0;
	waiting = ring_ready(&l->query, 2 * burst);
	if (waiting == 0)
		return 0;
	room = ring_ready(&l->answer, burst);
	if (room < burst)
		burst = room;
	end = (uint16_t)(l->query.at + (waiting < burst ? waiting : burst));
	if ((int16_t)(l->fetched - end) < 0)
		fetch_frames(l, &l->query, (int16_t)(l->fetched - l->query.at) < 0 ? l->query.at : l->fetched, end,
			     false);

	while (l->query.at != end) {
		frame[cnt].data = s->buffer + (size_t)cnt * STRIDE;
		frame[cnt].len = take_frame(l, frame[cnt].data, l->query.end);
		cnt++;
		if ((int16_t)(end - l->query.at) < 0)
			end = l->query.at; /* the last one had several pieces */
	}
	atomic_store_explicit(&l->query.shared->tail, l->query.at, memory_order_release);

	/* For this burst's answers, and for the next burst, whose descriptors came with it. */
	fetch_frames(l, &l->answer, l->answer.at, (uint16_t)(l->answer.at + cnt), true);
	fetch_descs(&l->answer, (uint16_t)(l->answer.at + cnt), (uint16_t)(l->answer.at + 2 * cnt), true);
	waiting = (uint16_t)(l->query.end - l->query.at);
	l->fetched = (uint16_t)(l->query.at + (waiting < cnt ? waiting : cnt));
	fetch_frames(l, &l->query, l->query.at, l->fetched, false);
	fetch_descs(&l->query, l->fetched, (uint16_t)(l->fetched + cnt), false);
	__builtin_prefetch(&l->answer.shared->head);
	return cnt;
}

/* The lines of long answers that were not fetched when their queries came. */
static inline void fetch_rest(const struct memif_link *l, const struct memif_frame *frame, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++) {
		uint32_t len;
		size_t after;
		const uint8_t *to = NULL;

		if (frame[i].len > FETCH * LINE)
			to = desc_piece(l, ring_desc(&l->answer, (uint16_t)(l->answer.at + i)), &len, &after);
		for (uint32_t n = FETCH * LINE; to && n < frame[i].len; n += LINE)
			__builtin_prefetch(to + n, 1);
	}
}

unsigned memif_server_send(struct memif_server *s, const struct memif_frame *frame, unsigned cnt)
{
	struct memif_link *l = s->current;
	struct ring *r = &l->answer;
	unsigned sent = 0;

	fetch_rest(l, frame, cnt);
	for (unsigned i = 0; i < cnt; i++) {
		struct memif_desc *d = ring_desc(r, r->at);
		uint32_t len;
		size_t after;
		uint8_t *to = desc_piece(l, d, &len, &after);

		if (!to || len < frame[i].len)
			continue;
		copy_frame(to, frame[i].data, frame[i].len, len - frame[i].len);
		d->flags = 0;
		d->len = frame[i].len;
		r->at++;
		sent++;
	}
	/* An exchange is a full barrier: a client that goes to sleep takes its flag away and
	 * then looks at the tail once more. */
	atomic_exchange_explicit(&r->shared->tail, r->at, memory_order_seq_cst);
	if (!(atomic_load_explicit(&r->shared->flags, memory_order_seq_cst) & MEMIF_NO_INTERRUPT) &&
	    r->interrupt >= 0)
		eventfd_write(r->interrupt, 1);
	return sent;
}

/* ---- what a client shares ---- */

static struct memif_link *link_create(void)
{
	struct memif_link *l = calloc(1, sizeof(*l));

	if (l)
		l->query.interrupt = l->answer.interrupt = -1;
	return l;
}

static void link_free(struct memif_link *l)
{
	if (!l)
		return;
	for (unsigned i = 0; i < l->region_cnt; i++)
		munmap(l->region[i].base, l->region[i].size);
	if (l->query.interrupt >= 0)
		close(l->query.interrupt);
	if (l->answer.interrupt >= 0)
		close(l->answer.interrupt);
	free(l);
}

/* Why not, or NULL. */
static const char *add_region(struct memif_link *l, const struct memif_message *m, int fd)
{
	struct stat st;
	uint64_t size = m->region.size;
	int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
	void *base;

	if (m->region.index != l->region_cnt || l->region_cnt == REGIONS)
		return "Regions come in order, up to 256";
	if (fd < 0 || fstat(fd, &st) != 0)
		return "The region has no descriptor";
	if (size == 0 || st.st_size < 0 || size > (uint64_t)st.st_size)
		return "The region is larger than its file";
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return "The region's file may shrink: seal it";
	base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return "The region cannot be mapped";
	l->region[l->region_cnt++] = (struct region){ base, size };
	return NULL;
}

/* Takes *fd over, if it is a good one. */
static const char *add_ring(struct memif_link *l, const struct memif_message *m, int *fd)
{
	struct ring *r = m->ring.flags & MEMIF_TO_SERVER ? &l->query : &l->answer;
	const struct region *region;

	if (m->ring.index != 0 || r->shared)
		return "There is one ring each way";
	if (m->ring.region >= l->region_cnt)
		return "The ring is in no region";
	region = &l->region[m->ring.region];
	if (m->ring.log2_ring > MEMIF_LOG2_MAX || m->ring.header != 0)
		return "The ring has too many descriptors, or headers";
	if (m->ring.offset % LINE != 0 || m->ring.offset > region->size ||
	    memif_ring_size(m->ring.log2_ring) > region->size - m->ring.offset)
		return "The ring is not within its region, on a line's border";
	r->shared = (struct memif_ring *)(void *)(region->base + m->ring.offset);
	r->log2 = m->ring.log2_ring;
	r->interrupt = *fd;
	*fd = -1;
	return NULL;
}

static const char *ring_start(struct ring *r)
{
	if (!r->shared)
		return "A ring is missing";
	if (__atomic_load_n(&r->shared->cookie, __ATOMIC_RELAXED) != MEMIF_COOKIE)
		return "A ring has not the cookie";
	atomic_store_explicit(&r->shared->head, 0, memory_order_relaxed);
	atomic_store_explicit(&r->shared->tail, 0, memory_order_release);
	return NULL;
}

/* ---- the client ---- */

static void tell(int sock, const struct memif_message *m)
{
	/* One who does not read what it asked for is lost at its next step. */
	(void)!send(sock, m, sizeof(*m), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void tell_disconnect(int sock, const char *reason)
{
	struct memif_message m = { .kind = MEMIF_DISCONNECT };

	snprintf(m.disconnect.reason, sizeof(m.disconnect.reason), "%s", reason);
	tell(sock, &m);
}

/* M1, M3. */
static void publish(struct memif_server *s, struct memif_link *l)
{
	static const struct timespec nap = { .tv_nsec = ADOPT_NAP_NS };

	atomic_store_explicit(&s->want, l, memory_order_release);
	while (atomic_load_explicit(&s->adopted, memory_order_acquire) != l)
		nanosleep(&nap, NULL);
}

static void client_forget(struct memif_server *s)
{
	if (s->connection >= 0)
		close(s->connection); /* which ends its events */
	s->connection = -1;
	link_free(s->link);
	s->link = NULL;
	s->connected = s->greeted = false;
}

/* reason: ours, NULL when it is the client that goes. */
static void client_end(struct memif_server *s, const char *reason)
{
	if (reason) {
		log_warn("memif %s: client %s refused: %s", s->path, s->name, reason);
		tell_disconnect(s->connection, reason);
	} else if (s->connected) {
		log_info("memif %s: client %s has gone", s->path, s->name);
	}
	if (s->connected)
		publish(s, NULL);
	client_forget(s);
}

static const char *client_init(struct memif_server *s, const struct memif_message *m)
{
	snprintf(s->name, sizeof(s->name), "%.*s", MEMIF_NAME, (const char *)m->init.name);
	for (char *c = s->name; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	if (s->greeted)
		return "It has introduced itself before";
	if (m->init.version != MEMIF_VERSION)
		return "Only version 2.0 is spoken here";
	if (m->init.id != 0)
		return "Only interface 0 is here";
	if (m->init.mode != 0)
		return "Only Ethernet frames are understood here";
	s->greeted = true;
	return NULL;
}

static const char *client_connect(struct memif_server *s)
{
	struct memif_message m = { .kind = MEMIF_CONNECTED };
	const char *fault = ring_start(&s->link->query);

	if (!fault)
		fault = ring_start(&s->link->answer);
	if (fault)
		return fault;
	atomic_store_explicit(&s->link->query.shared->flags, MEMIF_NO_INTERRUPT, memory_order_relaxed);
	publish(s, s->link);
	s->connected = true;
	log_info("memif %s: client %s is connected", s->path, s->name);
	snprintf((char *)m.connect.name, MEMIF_NAME, "pollux");
	tell(s->connection, &m);
	return NULL;
}

/* Take a message; fd is one that came with it, or -1.  Why the client must go, or NULL. */
static const char *client_message(struct memif_server *s, const struct memif_message *m, int *fd)
{
	static const struct memif_message ack = { .kind = MEMIF_ACK };
	const char *fault = NULL;

	if (s->connected)
		return "It speaks after all has been said";
	if (m->kind != MEMIF_INIT && !s->greeted)
		return "It has not introduced itself";
	switch (m->kind) {
	case MEMIF_INIT:
		fault = client_init(s, m);
		break;
	case MEMIF_ADD_REGION:
		fault = add_region(s->link, m, *fd);
		break;
	case MEMIF_ADD_RING:
		fault = add_ring(s->link, m, fd);
		break;
	case MEMIF_CONNECT:
		return client_connect(s);
	default:
		return "It speaks out of turn";
	}
	if (!fault)
		tell(s->connection, &ack);
	return fault;
}

/* The descriptor that came with a message, or -1; further ones are closed. */
static int passed_fd(struct msghdr *h)
{
	int found = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (found < 0)
				found = fd;
			else
				close(fd);
		}
	}
	return found;
}

/* One message of the client.  False when there is none. */
static bool client_step(struct memif_server *s)
{
	struct memif_message m;
	struct iovec part = { .iov_base = &m, .iov_len = sizeof(m) };
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr h = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room,
			    .msg_controllen = sizeof(control.room) };
	const char *fault = "A message has the wrong size";
	ssize_t n = recvmsg(s->connection, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fd;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		client_end(s, NULL);
		return false;
	}
	fd = passed_fd(&h);
	if (n == sizeof(m) && m.kind == MEMIF_DISCONNECT) {
		client_end(s, NULL);
	} else {
		if (n == sizeof(m))
			fault = client_message(s, &m, &fd);
		if (fault)
			client_end(s, fault);
	}
	if (fd >= 0)
		close(fd);
	return s->connection >= 0;
}

/* Somebody comes.  One who has not finished introducing himself gives way, so that no
 * silent client keeps others out; one who is connected stays. */
static void client_accept(struct memif_server *s)
{
	struct memif_message hello = { .kind = MEMIF_HELLO };
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = EVENT_CLIENT };
	int sock = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

	if (sock < 0)
		return;
	if (s->connected) {
		tell_disconnect(sock, "Another client is connected");
		close(sock);
		return;
	}
	client_forget(s);
	snprintf(s->name, sizeof(s->name), "?");
	s->connection = sock;
	s->link = link_create();
	if (!s->link || epoll_ctl(s->events, EPOLL_CTL_ADD, sock, &event) != 0) {
		client_end(s, "No memory");
		return;
	}
	snprintf((char *)hello.hello.name, MEMIF_NAME, "pollux " POLLUX_VERSION);
	hello.hello.version_min = hello.hello.version_max = MEMIF_VERSION;
	hello.hello.region_max = REGIONS - 1;
	hello.hello.log2_ring_max = MEMIF_LOG2_MAX;
	tell(sock, &hello);
}

/* ---- the socket ---- */

static int listen_on(struct memif_server *s)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = EVENT_LISTENER };
	mode_t mask;
	int rc;

	if (strlen(s->path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, s->path);
	s->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listener < 0)
		return -errno;
	mask = umask(0117);
	rc = bind(s->listener, (struct sockaddr *)&sun, sizeof(sun)) == 0 ? 0 : -errno;
	umask(mask);
	if (rc != 0) {
		close(s->listener); /* the file is another's */
		s->listener = -1;
		return rc;
	}
	return listen(s->listener, BACKLOG) == 0 &&
	       epoll_ctl(s->events, EPOLL_CTL_ADD, s->listener, &event) == 0 ? 0 : -errno;
}

int memif_server_open(struct memif_server *s, const char *path, unsigned burst)
{
	*s = (struct memif_server){ .path = path, .listener = -1, .connection = -1, .events = -1 };
	s->buffer = aligned_alloc(LINE, (size_t)burst * STRIDE);
	if (!s->buffer)
		return -ENOMEM;
	memset(s->buffer, 0, (size_t)burst * STRIDE);
	s->events = epoll_create1(EPOLL_CLOEXEC);
	return s->events < 0 ? -errno : listen_on(s);
}

int memif_server_fd(const struct memif_server *s)
{
	return s->events;
}

void memif_server_step(struct memif_server *s)
{
	struct epoll_event event[2];
	int cnt = epoll_wait(s->events, event, 2, 0);
	bool comes = false;

	/* Who goes makes room for who comes. */
	for (int i = 0; i < cnt; i++) {
		if (event[i].data.u32 == EVENT_LISTENER)
			comes = true;
		else
			while (s->connection >= 0 && client_step(s))
				;
	}
	if (comes)
		client_accept(s);
}

void memif_server_close(struct memif_server *s)
{
	client_forget(s);
	if (s->listener >= 0) {
		close(s->listener);
		unlink(s->path);
	}
	if (s->events >= 0)
		close(s->events);
	free(s->buffer);
	*s = (struct memif_server){ .listener = -1, .connection = -1, .events = -1 };
}
