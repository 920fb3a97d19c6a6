/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/client/memif_echo.h"

#include <poll.h>

#define LOOK_MS 10 /* between two looks whether it is to stop */

static void reverse(struct memif_frame *f)
{
	for (uint32_t i = 0; i < f->len / 2; i++) {
		uint8_t octet = f->data[i];

		f->data[i] = f->data[f->len - 1 - i];
		f->data[f->len - 1 - i] = octet;
	}
}

static void *core(void *arg)
{
	struct memif_echo *e = arg;

	while (!atomic_load(&e->core_stops)) {
		struct memif_frame frame[MEMIF_ECHO_BURST];
		unsigned cnt, kept = 0;

		memif_server_adopt(&e->server);
		cnt = memif_server_receive(&e->server, frame, MEMIF_ECHO_BURST);
		if (cnt == 0)
			continue;
		for (unsigned i = 0; i < cnt; i++) {
			reverse(&frame[i]);
			if (frame[i].len > 0)
				frame[kept++] = frame[i];
		}
		atomic_fetch_add(&e->received, cnt);
		atomic_fetch_add(&e->empty, cnt - kept);
		atomic_fetch_add(&e->sent, memif_server_send(&e->server, frame, kept));
	}
	return NULL;
}

static void *serve(void *arg)
{
	struct memif_echo *e = arg;

	while (!atomic_load(&e->main_stops)) {
		struct pollfd p = { .fd = memif_server_fd(&e->server), .events = POLLIN };

		if (poll(&p, 1, LOOK_MS) > 0)
			memif_server_step(&e->server);
	}
	return NULL;
}

bool memif_echo_start(struct memif_echo *e, const char *path)
{
	*e = (struct memif_echo){ 0 };
	if (memif_server_open(&e->server, path, MEMIF_ECHO_BURST) != 0) {
		memif_server_close(&e->server);
		return false;
	}
	return pthread_create(&e->core, NULL, core, e) == 0 && pthread_create(&e->main, NULL, serve, e) == 0;
}

void memif_echo_stop(struct memif_echo *e)
{
	atomic_store(&e->main_stops, true);
	pthread_join(e->main, NULL); /* it may be waiting for the core */
	atomic_store(&e->core_stops, true);
	pthread_join(e->core, NULL);
	memif_server_close(&e->server);
}
