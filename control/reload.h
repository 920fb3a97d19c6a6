/* SPDX-License-Identifier: GPL-3.0-or-later */
/* reload.h - the configuration file read again while the process runs.
 *
 * What answers depend on (identity, version, udp-payload) becomes one new settings block;
 * the limits of connections and what is asked of signed zones hold from then on; zones come, go, or
 * change their files.  What else differs from what the process was started with is named:
 * it needs a restart, of whom is said.  A file with a fault changes nothing.
 *
 * All functions belong to the loop thread.
 */
#ifndef POLLUX_RELOAD_H
#define POLLUX_RELOAD_H

#include "control/attach.h"
#include "control/serve/threads.h"
#include "control/zones.h"

#define RELOAD_RESTART_MAX 16

/* What a reload works on; all must outlive it. */
struct reload {
	uv_loop_t *loop;
	const struct config *running; /* as the process was started */
	struct zones *zones;
	struct threads *threads;
	struct attach *attach;
};

/* How it went.  All of it is there only during the call. */
struct reload_result {
	int error;                    /* 0; -ENOEXEC: the file has faults and nothing was changed; else
	                               * as zones_configure's: all that could be was applied */
	const char *text;             /* a sentence for people */
	char *const *fault;           /* "FILE:LINE: cause" */
	size_t fault_cnt;
	const char *const *restart;   /* what differs and needs a restart */
	size_t restart_cnt;
};

typedef void (*reload_done)(void *arg, const struct reload_result *r);

/* reload_start - read and apply; done (or the log alone, when it is NULL) is told.  0, or
 * -ENOMEM and done is not called. */
int reload_start(const struct reload *parts, reload_done done, void *arg);

#endif
