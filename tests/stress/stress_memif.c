/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stress_memif.c - clients of a memif come, ask as fast as they can, check every answer and
 * go in the middle of it, while the server's core polls: the rings change hands without the
 * core ever touching one that is gone.
 *
 *     stress_memif [CLIENTS]   (40; 5,000 when POLLUX_LONG is 1) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/load/memif.h"
#include "tests/client/memif_echo.h"

#define CLIENTS 40
#define LONG_CLIENTS 5000
#define FRAMES 3000 /* of one client at most: thrice round the ring */
#define HEAD 8      /* octets: a number, in front and at the end */

static struct memif_echo echo;
static uint32_t state = 1;

static uint32_t draw(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state % below;
}

static void fail(const char *what, uint64_t a, uint64_t b)
{
	fprintf(stderr, "FAIL: %s (%llu, %llu)\n", what, (unsigned long long)a, (unsigned long long)b);
	abort();
}

static uint32_t length_of(uint64_t number)
{
	return 2 * HEAD + 1 + (uint32_t)(number * 37 % 180);
}

static void send_burst(struct memif *m, uint64_t *number)
{
	unsigned room = memif_room(m, 1 + draw(64), 128);

	for (unsigned i = 0; i < room; i++, ++*number) {
		uint8_t *query = memif_query(m, i);
		uint32_t len = length_of(*number);

		memcpy(query, number, HEAD);
		memset(query + HEAD, (uint8_t)*number, len - 2 * HEAD);
		memcpy(query + len - HEAD, number, HEAD);
		memif_query_len(m, i, len);
	}
	memif_send(m, room);
}

/* Answers have the octets of their queries the other way round. */
static void take_answers(struct memif *m, uint64_t *number)
{
	unsigned cnt = memif_waiting(m);

	for (unsigned i = 0; i < cnt; i++, ++*number) {
		uint32_t len;
		const uint8_t *answer = memif_answer(m, i, &len);
		uint64_t end = 0;

		if (len != length_of(*number))
			fail("an answer's length", len, *number);
		for (unsigned n = 0; n < HEAD; n++)
			end |= (uint64_t)answer[len - 1 - n] << 8 * n;
		if (end != *number || answer[len / 2] != (uint8_t)*number)
			fail("an answer's octets", end, *number);
	}
	memif_release(m, cnt);
}

static void one_client(const char *path)
{
	struct memif m;
	uint64_t first = (uint64_t)draw(1u << 30) << 20, sent = first, answered = first;
	uint64_t last = first + draw(FRAMES);
	bool leaves = draw(2);

	if (memif_open(&m, path, 5) != 0)
		fail("a client is not let in", 0, 0);
	while (sent < last || (!leaves && answered < sent)) {
		if (sent < last)
			send_burst(&m, &sent);
		take_answers(&m, &answered);
	}
	memif_close(&m);
}

int main(int argc, char **argv)
{
	const char *is_long = getenv("POLLUX_LONG");
	unsigned long clients = is_long && *is_long == '1' ? LONG_CLIENTS : CLIENTS;
	char path[] = "/tmp/pollux-memif-XXXXXX";
	int fd = mkstemp(path);

	if (argc > 1)
		clients = strtoul(argv[1], NULL, 10);
	if (fd < 0)
		fail("no file", 0, 0);
	close(fd);
	unlink(path);
	if (!memif_echo_start(&echo, path))
		fail("no server", 0, 0);
	for (unsigned long i = 0; i < clients; i++)
		one_client(path);
	memif_echo_stop(&echo);
	printf("%lu clients, %llu frames\n", clients, (unsigned long long)atomic_load(&echo.received));
	return 0;
}
