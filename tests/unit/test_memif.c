/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The server's end of a memif: with the client of pollux-load, and with clients that
 * break every rule there is. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "bench/load/memif.h"
#include "tests/client/memif_echo.h"

#define PATIENCE_MS 5000

static char path[] = "/tmp/pollux-memif-XXXXXX";
static struct memif_echo echo;
static struct memif client;

static void start(void)
{
	int fd = mkstemp(path);

	close(fd);
	unlink(path);
	cr_assert(memif_echo_start(&echo, path));
}

static void stop(void)
{
	memif_echo_stop(&echo);
	cr_assert_eq(access(path, F_OK), -1, "the socket file stays");
}

TestSuite(memif, .init = start, .fini = stop);

static void nap(void)
{
	static const struct timespec ms = { .tv_nsec = 1000000 };

	nanosleep(&ms, NULL);
}

/* ---- frames ---- */

static void ask(uint32_t len)
{
	uint8_t *query;

	cr_assert_eq(memif_room(&client, 1, 64), 1);
	query = memif_query(&client, 0);
	for (uint32_t i = 0; i < len; i++)
		query[i] = (uint8_t)(i + len);
	memif_query_len(&client, 0, len);
	memif_send(&client, 1);
}

static unsigned wait_for(unsigned cnt)
{
	for (unsigned ms = 0; ms < PATIENCE_MS && memif_waiting(&client) < cnt; ms++)
		nap();
	return memif_waiting(&client);
}

/* The next answer is that to ask(len). */
static void expect(uint32_t len)
{
	uint32_t got;
	const uint8_t *answer;

	cr_assert_geq(wait_for(1), 1, "no answer to %u octets", len);
	answer = memif_answer(&client, 0, &got);
	cr_assert_eq(got, len, "%u octets for %u", got, len);
	for (uint32_t i = 0; i < len; i++)
		cr_assert_eq(answer[len - 1 - i], (uint8_t)(i + len), "octet %u of %u", i, len);
	memif_release(&client, 1);
}

Test(memif, frames_of_every_size)
{
	uint32_t got;

	cr_assert_eq(memif_open(&client, path, 1), 0);
	for (uint32_t len = 1; len <= MEMIF_FRAME; len += len < 200 ? 1 : 77) {
		ask(len);
		expect(len);
	}
	/* What is longer than a frame loses its end. */
	ask(MEMIF_FRAME + 9);
	cr_assert_eq(wait_for(1), 1);
	memif_answer(&client, 0, &got);
	cr_assert_eq(got, MEMIF_FRAME);
	memif_close(&client);
}

Test(memif, a_client_that_takes_no_answers_is_waited_for)
{
	unsigned asked = 0, answered = 0;

	cr_assert_eq(memif_open(&client, path, 1), 0);
	/* As many answers as there is room for, and as many queries behind them. */
	for (unsigned ms = 0; asked < 2 * MEMIF_RING && ms < PATIENCE_MS; ms++) {
		if (memif_room(&client, 1, 0) == 1)
			ask(60 + asked++ % 100);
		else
			nap();
	}
	cr_assert_eq(asked, 2 * MEMIF_RING);
	cr_assert_eq(wait_for(MEMIF_RING), MEMIF_RING);
	for (unsigned i = 0; i < 20; i++)
		nap();
	cr_assert_eq(memif_room(&client, 1, 0), 0, "queries were taken that cannot be answered");
	cr_assert_eq(atomic_load(&echo.received), MEMIF_RING);
	for (; answered < asked; answered++)
		expect(60 + answered % 100);
	cr_assert_eq(atomic_load(&echo.sent), asked);
	memif_close(&client);
}

/* The descriptor that the next query gets. */
static struct memif_desc *next_desc(void)
{
	return &client.queries->desc[client.query_head & (MEMIF_RING - 1)];
}

Test(memif, queries_that_lie_where_they_may_not)
{
	static const struct { uint16_t region; uint32_t offset, len; } bad[] = {
		{ 1, 0, 64 }, { 65535, 0, 64 }, { 0, UINT32_MAX, 64 }, { 0, UINT32_MAX, UINT32_MAX },
		{ 0, 0, UINT32_MAX },
	};
	size_t cnt = sizeof(bad) / sizeof(bad[0]);
	uint32_t got;

	cr_assert_eq(memif_open(&client, path, 1), 0);
	for (size_t i = 0; i < cnt; i++) {
		struct memif_desc *d = next_desc();

		d->region = bad[i].region;
		d->offset = bad[i].offset;
		d->len = bad[i].len;
		memif_send(&client, 1);
		ask(100);
		expect(100);
	}
	cr_assert_eq(atomic_load(&echo.empty), cnt);
	/* Octet by octet at the region's end. */
	for (uint32_t len = 1; len < 200; len++) {
		struct memif_desc *d = next_desc();

		d->offset = (uint32_t)(client.size - len);
		d->len = len;
		d->region = 0;
		memset(client.region + client.size - len, 7, len);
		memif_send(&client, 1);
		cr_assert_eq(wait_for(1), 1);
		cr_assert_eq(*memif_answer(&client, 0, &got), 7);
		cr_assert_eq(got, len);
		memif_release(&client, 1);
		d = next_desc();
		d->offset = (uint32_t)(client.size - len);
		d->len = len + 1;
		memif_send(&client, 1);
	}
	ask(80);
	expect(80);
	cr_assert_eq(atomic_load(&echo.empty), cnt + 199);
	memif_close(&client);
}

Test(memif, a_frame_in_pieces)
{
	static const uint32_t piece[] = { 14, 1, 64, 100, 1900 };
	uint32_t got;
	uint8_t octet = 0;
	const uint8_t *answer;

	cr_assert_eq(memif_open(&client, path, 1), 0);
	for (size_t i = 0; i < sizeof(piece) / sizeof(piece[0]); i++) {
		uint8_t *to = memif_query(&client, (unsigned)i);

		memif_query_len(&client, (unsigned)i, piece[i]);
		for (uint32_t n = 0; n < piece[i]; n++)
			to[n] = octet++;
		if (i + 1 < sizeof(piece) / sizeof(piece[0]))
			client.queries->desc[i].flags = MEMIF_NEXT;
	}
	memif_send(&client, sizeof(piece) / sizeof(piece[0]));
	cr_assert_eq(wait_for(1), 1);
	answer = memif_answer(&client, 0, &got);
	cr_assert_eq(got, MEMIF_FRAME);
	for (uint32_t i = 0; i < got; i++)
		cr_assert_eq(answer[got - 1 - i], (uint8_t)i);
	memif_release(&client, 1);
	/* One whose end never comes is none. */
	next_desc()->flags = MEMIF_NEXT;
	next_desc()->len = 60;
	memif_send(&client, 1);
	for (unsigned ms = 0; ms < PATIENCE_MS && atomic_load(&echo.empty) == 0; ms++)
		nap();
	cr_assert_eq(atomic_load(&echo.empty), 1);
	ask(70);
	expect(70);
	memif_close(&client);
}

Test(memif, answers_that_find_no_room)
{
	static const struct { uint16_t region; uint32_t offset, len; } bad[] = {
		{ 3, 0, 2048 }, { 0, UINT32_MAX, 2048 }, { 0, 0, UINT32_MAX }, { 0, 4096, 99 },
	};

	cr_assert_eq(memif_open(&client, path, 1), 0);
	ask(100);
	expect(100);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct memif_desc *d = &client.answers->desc[1], good = *d;

		d->region = bad[i].region;
		d->offset = bad[i].offset;
		d->len = bad[i].len;
		ask(100);
		for (unsigned ms = 0; ms < PATIENCE_MS && atomic_load(&echo.received) < i + 2; ms++)
			nap();
		*d = good;
		cr_assert_eq(atomic_load(&echo.received), i + 2);
	}
	cr_assert_eq(memif_waiting(&client), 0);
	cr_assert_eq(atomic_load(&echo.sent), 1);
	ask(120);
	expect(120);
	memif_close(&client);
}

Test(memif, positions_that_cannot_be)
{
	cr_assert_eq(memif_open(&client, path, 1), 0);
	ask(60);
	expect(60);
	for (unsigned jump = MEMIF_RING + 1; jump < 65536; jump += 4096) {
		atomic_store(&client.queries->head, (uint16_t)(client.query_head + jump));
		nap();
	}
	cr_assert_eq(atomic_load(&echo.received), 1, "queries from nowhere");
	atomic_store(&client.queries->head, client.query_head);
	ask(61);
	expect(61);
	memif_close(&client);
}

Test(memif, a_client_that_sleeps_is_woken)
{
	eventfd_t value;

	cr_assert_eq(memif_open(&client, path, 1), 0);
	ask(60);
	expect(60);
	cr_assert_eq(eventfd_read(client.interrupt[0], &value), -1, "woken although it polls");
	atomic_store(&client.answers->flags, 0);
	ask(61);
	expect(61);
	for (unsigned ms = 0; ms < PATIENCE_MS && eventfd_read(client.interrupt[0], &value) != 0; ms++)
		nap();
	cr_assert_eq(value, 1);
	cr_assert(atomic_load(&client.queries->flags) & MEMIF_NO_INTERRUPT, "it wants to be woken, too");
	memif_close(&client);
}

/* ---- clients ---- */

static int connect_raw(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(to.sun_path, path);
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	cr_assert_eq(connect(sock, (struct sockaddr *)&to, sizeof(to)), 0);
	return sock;
}

static void put(int sock, const struct memif_message *m, size_t size, int fd)
{
	struct iovec part = { .iov_base = (void *)m, .iov_len = size };
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
	cr_assert_eq(sendmsg(sock, &h, MSG_NOSIGNAL), (ssize_t)size);
}

static void expect_kind(int sock, enum memif_kind kind, const char *words)
{
	struct memif_message m;

	cr_assert_eq(recv(sock, &m, sizeof(m), 0), sizeof(m));
	cr_assert_eq(m.kind, kind, "kind %u instead of %u: %s", m.kind, kind,
		     m.kind == MEMIF_DISCONNECT ? m.disconnect.reason : "");
	if (words)
		cr_assert(strstr(m.disconnect.reason, words), "%s", m.disconnect.reason);
}

#define SIZE 65536

/* A file for a region. */
static int file(size_t size, int seals)
{
	struct memif_ring ring = { .cookie = MEMIF_COOKIE };
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert_eq(ftruncate(fd, (off_t)size), 0);
	cr_assert_eq(pwrite(fd, &ring, sizeof(ring), 0), sizeof(ring));
	if (seals)
		cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void refused(int sock, const char *words)
{
	char octet;

	expect_kind(sock, MEMIF_DISCONNECT, words);
	cr_assert_eq(recv(sock, &octet, 1, 0), 0, "still connected");
	close(sock);
	/* And the next one is welcome. */
	cr_assert_eq(memif_open(&client, path, 1), 0);
	ask(60);
	expect(60);
	memif_close(&client);
}

static int greet(void)
{
	struct memif_message m = { .kind = MEMIF_INIT, .init = { .version = MEMIF_VERSION, .name = "raw" } };
	int sock = connect_raw();

	expect_kind(sock, MEMIF_HELLO, NULL);
	put(sock, &m, sizeof(m), -1);
	expect_kind(sock, MEMIF_ACK, NULL);
	return sock;
}

static int greet_with_region(void)
{
	struct memif_message m = { .kind = MEMIF_ADD_REGION, .region = { .size = SIZE } };
	int sock = greet(), fd = file(SIZE, F_SEAL_SHRINK);

	put(sock, &m, sizeof(m), fd);
	close(fd);
	expect_kind(sock, MEMIF_ACK, NULL);
	return sock;
}

/* One wrong message behind a right beginning. */
static void wrong(int sock, struct memif_message m, int fd, const char *words)
{
	put(sock, &m, sizeof(m), fd);
	if (fd >= 0)
		close(fd);
	refused(sock, words);
}

#define M(k, ...) (struct memif_message){ .kind = MEMIF_##k, __VA_ARGS__ }

Test(memif, greetings_that_are_wrong)
{
	struct memif_message m = { 0 };
	int sock = connect_raw();

	expect_kind(sock, MEMIF_HELLO, NULL);
	put(sock, &m, 3, -1);
	refused(sock, "wrong size");

	static const struct { struct memif_message m; const char *words; } bad[] = {
		{ { .kind = MEMIF_INIT, .init = { .version = 0x300 } }, "version 2.0" },
		{ { .kind = MEMIF_INIT, .init = { .version = MEMIF_VERSION, .id = 1 } }, "interface 0" },
		{ { .kind = MEMIF_INIT, .init = { .version = MEMIF_VERSION, .mode = 1 } }, "Ethernet" },
		{ { .kind = MEMIF_CONNECT }, "not introduced" },
		{ { .kind = MEMIF_ADD_RING }, "not introduced" },
		{ { .kind = 0 }, "not introduced" },
		{ { .kind = 65535 }, "not introduced" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		sock = connect_raw();
		expect_kind(sock, MEMIF_HELLO, NULL);
		wrong(sock, bad[i].m, -1, bad[i].words);
	}
	wrong(greet(), M(INIT, .init.version = MEMIF_VERSION), -1, "before");
	wrong(greet(), M(ACK), -1, "out of turn");
	wrong(greet(), M(CONNECT), -1, "missing");
}

Test(memif, regions_that_are_wrong)
{
	wrong(greet(), M(ADD_REGION, .region.size = SIZE), -1, "no descriptor");
	wrong(greet(), M(ADD_REGION, .region.size = SIZE), file(SIZE, 0), "may shrink");
	wrong(greet(), M(ADD_REGION, .region.size = SIZE), eventfd(0, 0), "larger");
	wrong(greet(), M(ADD_REGION, .region.size = SIZE + 1), file(SIZE, F_SEAL_SHRINK), "larger");
	wrong(greet(), M(ADD_REGION, .region.size = UINT64_MAX), file(SIZE, F_SEAL_SHRINK), "larger");
	wrong(greet(), M(ADD_REGION, .region.size = 0), file(SIZE, F_SEAL_SHRINK), "larger");
	wrong(greet(), M(ADD_REGION, .region = { .size = SIZE, .index = 1 }), file(SIZE, F_SEAL_SHRINK), "order");
	wrong(greet_with_region(), M(ADD_REGION, .region.size = SIZE), file(SIZE, F_SEAL_SHRINK), "order");
	/* Sealed against writing, it cannot be mapped. */
	wrong(greet(), M(ADD_REGION, .region.size = SIZE), file(SIZE, F_SEAL_SHRINK | F_SEAL_WRITE), "mapped");
}

Test(memif, rings_that_are_wrong)
{
	struct memif_message good = M(ADD_RING, .ring = { .flags = MEMIF_TO_SERVER, .log2_ring = 8 });
	int sock;

	wrong(greet(), good, -1, "no region");
	wrong(greet_with_region(), M(ADD_RING, .ring = { .index = 1 }), -1, "one ring");
	wrong(greet_with_region(), M(ADD_RING, .ring = { .region = 1 }), -1, "no region");
	wrong(greet_with_region(), M(ADD_RING, .ring = { .log2_ring = 15 }), -1, "too many");
	wrong(greet_with_region(), M(ADD_RING, .ring = { .log2_ring = 4, .header = 2 }), -1, "headers");
	wrong(greet_with_region(), M(ADD_RING, .ring = { .log2_ring = 12 }), -1, "within");
	wrong(greet_with_region(), M(ADD_RING, .ring = { .log2_ring = 4, .offset = 2 }), -1, "border");
	wrong(greet_with_region(), M(ADD_RING, .ring = { .log2_ring = 4, .offset = SIZE - 128 }), -1, "within");
	wrong(greet_with_region(), M(ADD_RING, .ring = { .log2_ring = 4, .offset = UINT32_MAX - 63 }), -1, "within");

	sock = greet_with_region();
	put(sock, &good, sizeof(good), -1);
	expect_kind(sock, MEMIF_ACK, NULL);
	wrong(sock, good, -1, "one ring");

	sock = greet_with_region();
	put(sock, &good, sizeof(good), eventfd(0, 0));
	expect_kind(sock, MEMIF_ACK, NULL);
	wrong(sock, M(CONNECT), -1, "missing");

	/* No cookie where the other ring is said to be. */
	sock = greet_with_region();
	put(sock, &good, sizeof(good), -1);
	expect_kind(sock, MEMIF_ACK, NULL);
	good.ring.flags = 0;
	good.ring.offset = 8192;
	put(sock, &good, sizeof(good), -1);
	expect_kind(sock, MEMIF_ACK, NULL);
	wrong(sock, M(CONNECT), -1, "cookie");
}

Test(memif, one_client_at_a_time)
{
	int sock, silent;
	char octet;

	cr_assert_eq(memif_open(&client, path, 1), 0);
	sock = connect_raw();
	expect_kind(sock, MEMIF_DISCONNECT, "Another client");
	close(sock);
	ask(60);
	expect(60);
	/* It says something more: it goes. */
	put(client.connection, &M(INIT, .init.version = MEMIF_VERSION), sizeof(struct memif_message), -1);
	expect_kind(client.connection, MEMIF_DISCONNECT, "after all");
	for (unsigned ms = 0; ms < PATIENCE_MS && memif_link(&client); ms++)
		nap();
	cr_assert(!memif_link(&client));
	memif_close(&client);

	/* One who hangs in his greeting gives way. */
	silent = greet_with_region();
	cr_assert_eq(memif_open(&client, path, 1), 0);
	ask(61);
	expect(61);
	cr_assert_eq(recv(silent, &octet, 1, 0), 0);
	close(silent);
	memif_close(&client);
}

Test(memif, a_socket_that_is_there_is_not_taken)
{
	struct memif_server second;

	cr_assert_eq(memif_server_open(&second, path, 32), -EADDRINUSE);
	memif_server_close(&second);
	cr_assert_eq(memif_open(&client, path, 1), 0);
	memif_close(&client);
}
