/* SPDX-License-Identifier: GPL-3.0-or-later */
/* threads.h - the threads that answer on kernel sockets, and what they listen with.
 *
 * Each thread has its own event loop, its own reader with a status slot, and its own
 * sockets at every address; the kernel spreads clients over them by address and port
 * (SO_REUSEPORT).  Thread 0 is the main thread with its loop; the others are made here.
 * All functions belong to the main thread.
 */
#ifndef POLLUX_THREADS_H
#define POLLUX_THREADS_H

#include <uv.h>

#include "control/serve/clients.h"
#include "control/serve/service.h"
#include "dataplane/common/config.h"

struct threads;
struct udp;

/* threads_open - bind everything that the configuration asks for, for c->threads
 * threads, which read `map` with the slots slot[0..c->threads).  loop is thread 0's.
 * All must outlive it but c.  0, or -errno after writing a sentence to `error`. */
int threads_open(struct threads **out, const struct config *c, uv_loop_t *loop, struct arena_map map,
		 struct status_slot *const *slot, char *error, size_t error_size);

/* threads_start - answer from now on.  0, or -errno after writing a sentence. */
int threads_start(struct threads *t, char *error, size_t error_size);

/* threads_refresh - read again what another configuration names (keys), for new connections.  0, or
 * -errno after writing a sentence to `error`: all is as it was. */
int threads_refresh(struct threads *t, const struct config *c, char *error, size_t error_size);

/* threads_configure - another configuration's limits; returns when every thread has them. */
void threads_configure(struct threads *t, const struct config *c);

/* threads_udp - the UDP sockets of the main thread, for handed-over datagrams. */
struct udp *threads_udp(const struct threads *t);

/* threads_stop - end the other threads, close what thread 0 has; its loop has to run
 * until that is closed before threads_free. */
void threads_stop(struct threads *t);
void threads_free(struct threads *t);

#endif
