/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A connection over TCP with a layer of our own on it, in a loop of our own. */
#include <criterion/criterion.h>

#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/serve/tcp.h"

static uv_loop_t loop;
static struct room room;
static struct serve serve;
static struct status_slot slot;
static struct clients *clients;
static void *tcp;
static struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100007f};
static struct tcp_conn *conn;  /* that is open */
static size_t put;             /* octets that decode puts */
static bool taken;             /* and what became of them */

static void *layer_open(void *arg, struct tcp_conn *c)
{
	cr_assert_eq(arg, &loop);
	conn = c;
	return &conn;
}

static ptrdiff_t layer_decode(void *state, const uint8_t **in, size_t *len, uint8_t *out, size_t room_len)
{
	static const uint8_t octets[1 << 18];

	(void)state;
	(void)out;
	(void)room_len;
	if (*len == 0)
		return 0;
	*in += *len;
	*len = 0;
	taken = tcp_conn_put(conn, octets, put);
	return TCP_LAYER_BROKEN;
}

static bool layer_shaken(const void *state)
{
	cr_assert_eq(state, &conn);
	return true;
}

static bool layer_encode(void *state, const uint8_t *octets, size_t len)
{
	(void)state;
	(void)octets;
	(void)len;
	return false;
}

static void layer_finish(void *state)
{
	(void)state;
}

static void layer_close(void *state)
{
	cr_assert_eq(state, &conn);
	conn = NULL;
}

static const struct tcp_layer layer = {
	layer_open, layer_decode, layer_shaken, layer_encode, layer_finish, layer_close,
};

/* Lets the loop turn until the condition holds, for a second at most. */
#define RUN_UNTIL(condition) \
	for (unsigned turn = 0; !(condition) && turn < 1000; turn++, usleep(1000)) \
		uv_run(&loop, UV_RUN_NOWAIT)

static void setup(void)
{
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct config_address listen = {.sa_len = sizeof(address)};
	const struct config c = {
		.listen = &listen, .listen_cnt = 1, .tcp_idle_timeout_ms = 60000, .tcp_first_timeout_ms = 60000,
		.tcp_max_clients = 10, .tcp_max_prefix = 10, .tcp_ipv4_prefix = 24, .tcp_ipv6_prefix = 56,
	};
	static struct service_env env = {.serve = &serve, .room = &room, .threads = 1};
	char error[256];

	signal(SIGPIPE, SIG_IGN); /* as pollux-control */
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, len), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	close(fd); /* a port that was free just now */
	memcpy(&listen.sa, &address, len);
	clients = clients_create(&c);
	room_init(&room, clients);
	serve.slot = &slot;
	uv_loop_init(&loop);
	cr_assert_eq(tcp_open(&tcp, &env, &c, &layer, &loop, 0, error, sizeof(error)), 0, "%s", error);
	cr_assert_eq(tcp_start(tcp, &loop, error, sizeof(error)), 0, "%s", error);
}

static void teardown(void)
{
	tcp_stop(tcp);
	uv_run(&loop, UV_RUN_DEFAULT);
	tcp_free(tcp);
	cr_expect_eq(uv_loop_close(&loop), 0);
	cr_expect_eq(clients_cnt(clients), 0);
	clients_free(clients);
}

static int client(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	RUN_UNTIL(conn);
	cr_assert(conn);
	return fd;
}

TestSuite(tcp, .init = setup, .fini = teardown);

/* The client resets the connection; a write fails while the layer decodes what had come.  The
 * connection ends then, not after the idle time. */
Test(tcp, lost_within_decode)
{
	const struct linger at_once = {.l_onoff = 1};
	int fd = client();

	put = 100000; /* more than is gathered for one write */
	cr_assert_eq(write(fd, "x", 1), 1);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
	taken = true;
	RUN_UNTIL(!conn);
	cr_expect_not(taken, "the layer was not told");
	cr_expect_null(conn, "the connection is still there");
	cr_expect_eq(clients_cnt(clients), 0);
}

/* What a layer puts before it breaks is sent. */
Test(tcp, broken_within_decode)
{
	int fd = client();
	size_t got = 0;
	char in[4096];

	put = 100000;
	cr_assert_eq(write(fd, "x", 1), 1);
	RUN_UNTIL(!conn);
	cr_expect(taken);
	cr_expect_null(conn);
	for (ssize_t n; (n = read(fd, in, sizeof(in))) > 0;)
		got += (size_t)n;
	cr_expect_eq(got, put);
	close(fd);
}
