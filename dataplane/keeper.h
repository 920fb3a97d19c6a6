/* SPDX-License-Identifier: GPL-3.0-or-later */
/* keeper.h - a child process that can take the steering program off an interface.
 *
 * AF_XDP needs no rights once its sockets are open; removing the XDP program at the end
 * needs CAP_NET_ADMIN.  The dataplane gives that up, too, and leaves it to a small child
 * that does nothing else: it is made before anything is opened, is told which program
 * stands where, and waits.  When the dataplane ends in order it asks the child; when it
 * dies the child just ends: the program then passes everything to the kernel until the
 * next dataplane takes its place.
 *
 * All functions belong to the dataplane's main thread.
 */
#ifndef POLLUX_KEEPER_H
#define POLLUX_KEEPER_H

#include <stdint.h>
#include <sys/types.h>

#include "dataplane/common/rights.h"

struct keeper {
	int sock; /* to the child; -1: none */
	pid_t pid;
};

/* keeper_start - make the child, before any thread.  0 or -errno. */
int keeper_start(struct keeper *k, const struct rights *r);

/* keeper_add - tell it of the program on an interface, open as `program`, attached with
 * `mode`.  The descriptor stays the caller's.  0 or -errno. */
int keeper_add(struct keeper *k, unsigned ifindex, uint32_t mode, int program);

/* keeper_detach - have the program taken off the interface, if it is still the one that
 * was told of.  0 or -errno. */
int keeper_detach(struct keeper *k, unsigned ifindex);

/* keeper_stop - end the child. */
void keeper_stop(struct keeper *k);

#endif
