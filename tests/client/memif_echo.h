/* SPDX-License-Identifier: GPL-3.0-or-later */
/* memif_echo.h - a memif server that sends every frame back with its octets in reverse
 * order: a main thread and a polling core, as the dataplane has them. */
#ifndef POLLUX_TESTS_MEMIF_ECHO_H
#define POLLUX_TESTS_MEMIF_ECHO_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/memif_server.h"

#define MEMIF_ECHO_BURST 32

struct memif_echo {
	struct memif_server server;
	pthread_t main, core;
	_Atomic bool main_stops, core_stops;
	_Atomic uint64_t received, empty, sent;
};

/* memif_echo_start - serve on the socket `path`.  False when that cannot be. */
bool memif_echo_start(struct memif_echo *e, const char *path);

/* memif_echo_stop - end both threads, and close. */
void memif_echo_stop(struct memif_echo *e);

#endif
