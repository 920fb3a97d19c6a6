/* SPDX-License-Identifier: GPL-3.0-or-later */
/* service.h - one way of being asked on kernel sockets (UDP, TCP, ...), as the serving
 * threads see it.
 *
 * A service is a constant: functions that threads.c calls, and its place in the list
 * there.  It exists once in the process (prepare, refresh, release: what all threads
 * share) and once in each thread (the rest: sockets and connections).  open runs for
 * thread 0 first, in the main thread, while ports below 1024 may still be bound; start
 * comes after that right is gone and once all zones are loaded.  From start on the
 * thread of the loop alone touches a thread's state.
 *
 *   main thread   prepare  open(0) open(1) ...  [rights dropped]  start(0) start(1) ...
 *   each thread                                                   limit ... limit  stop
 *   main thread                                          refresh, before limit
 *   main thread, after all threads have ended                                  free, release
 */
#ifndef POLLUX_SERVICE_H
#define POLLUX_SERVICE_H

#include <uv.h>

#include "control/serve/room.h"
#include "control/serve/serve.h"
#include "dataplane/common/config.h"

/* What a thread gives its services; stays as it is for the thread's life. */
struct service_env {
	struct serve *serve;        /* the thread's reader and counters */
	struct room *room;          /* the thread's: its connections over all services */
	unsigned thread, threads;   /* number of this one, and of all */
	void *shared;               /* what the service's prepare left; else NULL */
};

struct service {
	const char *name;

	/* prepare - once, before any open, with all rights.  May be NULL.  0, or -errno
	 * after writing a sentence to `error`. */
	int (*prepare)(void **shared, const struct config *c, char *error, size_t error_size);

	/* open - bind for one thread; nothing is received yet.  Leaves *state NULL when the
	 * configuration asks for no such service; nothing else is then called.  env and what
	 * it points to outlive the state; c is there during the call only.  0, or -errno
	 * after writing a sentence to `error`. */
	int (*open)(void **state, const struct service_env *env, const struct config *c,
		    char *error, size_t error_size);

	/* start - answer from now on, on this loop.  0, or -errno after writing a sentence. */
	int (*start)(void *state, uv_loop_t *loop, char *error, size_t error_size);

	/* refresh - a new configuration: what is shared follows it (keys are read again).
	 * 0, or -errno after writing a sentence to `error`: all is as it was.  May be NULL. */
	int (*refresh)(void *shared, const struct config *c, char *error, size_t error_size);

	/* limit - the same for one thread's state, in its thread; c is there during the call
	 * only.  May be NULL. */
	void (*limit)(void *state, const struct config *c);

	/* stop - close all handles; the loop runs until they are closed.  Also called for a
	 * state that was never started. */
	void (*stop)(void *state);
	void (*free)(void *state);

	/* release - free what is shared.  May be NULL when prepare is. */
	void (*release)(void *shared);
};

#endif
