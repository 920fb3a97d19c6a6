/* SPDX-License-Identifier: GPL-3.0-or-later */
/* replay.h - named points between two steps of the protocol, at which a test may do
 * what another thread could do there: interleavings are then played on purpose, the same
 * each time.
 *
 * Only in the copy of the library that tests/unit/test_replay.c and pollux-control-hooks are
 * built with (POLLUX_REPLAY); elsewhere the points are nothing.
 */
#ifndef POLLUX_REPLAY_H
#define POLLUX_REPLAY_H

#ifdef POLLUX_REPLAY

/* replay_hook - called at each point with its name, unless NULL. */
extern void (*replay_hook)(const char *point);

static inline void replay_point(const char *point)
{
	if (replay_hook)
		replay_hook(point);
}

#else

static inline void replay_point(const char *point)
{
}

#endif

#endif
