/* SPDX-License-Identifier: GPL-3.0-or-later */
/* watch.h - looking after the workers of attached dataplanes: heartbeats and punt
 * rings.  Works only while there is a dataplane; all in the loop thread.
 *
 * A worker on an AF_XDP queue that is silent for 50 ms is stopped, hung or starved:
 * its queue then passes to the kernel, where udp.h answers, until it beats again.
 */
#ifndef POLLUX_WATCH_H
#define POLLUX_WATCH_H

#include <stdbool.h>
#include <uv.h>

#include "control/attach.h"
#include "control/serve/udp.h"

struct watch;

/* watch_open - 0 or -ENOMEM.  udp and status must outlive it. */
int watch_open(struct watch **out, uv_loop_t *loop, struct udp *udp, struct status *status);

/* watch_changed - attach.h's attach_changed, arg being the watch. */
void watch_changed(void *arg, struct dataplane *d, bool dead);

/* watch_bypassed - does the queue of d's worker pass to the kernel now? */
bool watch_bypassed(const struct watch *w, const struct dataplane *d, unsigned worker);

/* watch_stop - the loop has to run once more before watch_free. */
void watch_stop(struct watch *w);
void watch_free(struct watch *w);

#endif
