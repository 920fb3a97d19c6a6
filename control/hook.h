/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hook.h - places at which a test ends the process.
 *
 * Only in programs built with POLLUX_HOOKS (tests/e2e's own): the environment variable
 * POLLUX_HOOK=NAME:N ends the process by SIGKILL when the place NAME is reached for the
 * Nth time. */
#ifndef POLLUX_HOOK_H
#define POLLUX_HOOK_H

#ifdef POLLUX_HOOKS
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* hook_reached - one thread at a time. */
static inline void hook_reached(const char *name)
{
	const char *at = getenv("POLLUX_HOOK");
	size_t len = strlen(name);
	static unsigned reached;

	if (at && strncmp(at, name, len) == 0 && at[len] == ':' &&
	    ++reached == strtoul(at + len + 1, NULL, 10))
		raise(SIGKILL);
}
#else
static inline void hook_reached(const char *name)
{
	(void)name;
}
#endif

#endif
