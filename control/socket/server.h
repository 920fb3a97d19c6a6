/* SPDX-License-Identifier: GPL-3.0-or-later */
/* server.h - the control socket's server: RUN-DIRECTORY/control.sock, mode 0660,
 * speaking protocol.h.
 *
 * All in the loop thread but for reading a zone, which a thread of libuv's pool
 * writes to a temporary file first: a client that stops reading its reply then holds
 * up no reclamation.  Of each client at most one request, one reply line and what it
 * sent ahead is kept in memory.
 */
#ifndef POLLUX_SERVER_H
#define POLLUX_SERVER_H

#include <uv.h>

#include "control/attach.h"
#include "control/reload.h"
#include "control/watch.h"
#include "control/zones.h"

struct server;

/* What the server tells of and changes; all must outlive it. */
struct server_parts {
	struct db *db;
	struct zones *zones;
	struct attach *attach;
	struct watch *watch;
	struct status *status;
	struct arena_map map;
	struct status_slot *const *serve_slot; /* of the kernel sockets' threads */
	unsigned serve_cnt;
	struct status_slot *reading_slot; /* a reader's, for this server alone */
	const struct reload *reload;      /* the command reload */
	void (*stop)(void *arg);          /* the command stop */
	void *arg;
};

/* server_open - listen in the run directory.  0, or -errno after writing a sentence
 * to `error`. */
int server_open(struct server **out, uv_loop_t *loop, const char *run_directory,
		const struct server_parts *parts, char *error, size_t error_size);

/* server_stop - remove the socket and close all clients.  Every zones_* job has ended
 * before; the loop has to run until all is closed before server_free. */
void server_stop(struct server *s);
void server_free(struct server *s);

#endif
