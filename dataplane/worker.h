/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker.h - the polling cores.
 *
 * A worker is one queue of one port, with its own reader, status slot and counters;
 * a core polls one worker or several.  (A slot per queue, not per core, is what
 * lets the control process turn exactly the silent queues to the kernel.)
 *
 * What workers read from is an attachment.  The main thread owns attachments and
 * replaces the one in use as a whole:
 *
 * A1  the main thread completes *a, then release-stores it as `want`.
 * A2  a core acquire-loads `want` between two bursts and so sees *a complete; it
 *     moves its readers over and release-stores *a as `adopted`.
 * A3  the main thread acquire-loads `adopted` of every core: when all say *a, no core
 *     touches the one before again, and it may be unmapped.
 *
 * Functions are the main thread's.
 */
#ifndef POLLUX_WORKER_H
#define POLLUX_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/answer/db.h"
#include "dataplane/common/config.h"
#include "dataplane/port.h"

/* One control process's memory, mapped.  Never changed once published. */
struct attachment {
	struct arena_map map;
	struct status *status;
	uint32_t slot[STATUS_SLOTS]; /* of worker i */
};

struct workers;

/* workers_create - one worker for each queue of the open ports, spread over the
 * configured cores.  c and port[] must outlive it.  NULL after logging why. */
struct workers *workers_create(const struct config *c, const struct port *port, size_t port_cnt);

/* workers_cnt - status slots they need. */
unsigned workers_cnt(const struct workers *w);

/* workers_start - let the cores run.  They poll nothing until workers_publish. */
int workers_start(struct workers *w);

/* workers_publish - answer from *a from the next burst on (A1).  The one before
 * must not be changed or freed until workers_adopted. */
void workers_publish(struct workers *w, const struct attachment *a);

/* workers_adopted - do all cores use what was published last (A3)? */
bool workers_adopted(const struct workers *w);

/* workers_event - a descriptor that is readable once every pcap has been answered
 * to its end; never when there are none. */
int workers_event(const struct workers *w);

/* workers_stop - end the cores after their burst; then no attachment is in use. */
void workers_stop(struct workers *w);
void workers_free(struct workers *w);

#endif
