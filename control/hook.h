/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hook.h - places at which a test ends the process.
 *
 * Only in programs built with POLLUX_HOOKS (tests/e2e's own): the environment variable
 * POLLUX_HOOK=NAME:N[,NAME:N...] ends the process by SIGKILL when the place NAME is reached for the
 * Nth time, or when that has happened to each of a list in its order.  Places are hook_reached's and those
 * of the writer in the answer library (dataplane/answer/replay.h). */
#ifndef POLLUX_HOOK_H
#define POLLUX_HOOK_H

#ifdef POLLUX_HOOKS
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/answer/replay.h"

/* hook_reached - one thread at a time. */
static inline void hook_reached(const char *name)
{
	static const char *next; /* of the list */
	static unsigned reached;
	size_t len = strlen(name);
	char *end;

	if (!next)
		next = getenv("POLLUX_HOOK");
	if (!next || strncmp(next, name, len) != 0 || next[len] != ':' ||
	    ++reached != strtoul(next + len + 1, &end, 10))
		return;
	if (*end == '\0')
		raise(SIGKILL);
	next = end + 1;
	reached = 0;
}

/* Readers have points, too, in any thread. */
static inline void hook_point(const char *point)
{
	if (strncmp(point, "read:", 5) != 0)
		hook_reached(point);
}

void (*replay_hook)(const char *point) = hook_point;
#else
static inline void hook_reached(const char *name)
{
	(void)name;
}
#endif

#endif
