/* SPDX-License-Identifier: GPL-3.0-or-later */
/* attach_client.h - the dataplane's end of the attach protocol (common/attach.h).
 *
 * Finds the control process, maps what it hands over, brings the workers to it,
 * and says when they serve.  When the control process goes, the workers answer on
 * from what is mapped, while this looks for the next one, at first every 10 ms,
 * later every second.  The old memory is unmapped once no worker uses it.
 *
 * A state machine for the main thread's poll loop; nothing here blocks.
 */
#ifndef POLLUX_ATTACH_CLIENT_H
#define POLLUX_ATTACH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/port.h"
#include "dataplane/worker.h"

enum attach_state {
	ATTACH_AWAY,     /* no connection; the next try is at retry_at */
	ATTACH_GREETED,  /* hello sent, no answer yet: it may be loading zones for long */
	ATTACH_ADOPTING, /* workers are moving to `next` */
	ATTACH_ATTACHED, /* `serving` said */
};

struct attach_client {
	char path[108];             /* of attach.sock */
	struct workers *workers;
	const struct port *port;
	size_t port_cnt;
	enum attach_state state;
	int sock;                   /* -1 when away */
	uint64_t retry_at;          /* CLOCK_MONOTONIC milliseconds */
	unsigned back_off;          /* milliseconds */
	int told;                   /* errno that the log already names; 0: none */
	bool ready;                 /* and the service manager has been told */
	char refused[256];          /* the reason that was told last */
	struct attachment *current; /* what workers use; NULL before the first */
	struct attachment *next;    /* what they are moving to */
};

/* attach_client_init - the socket is in run_directory; workers and port[] outlive
 * *c.  0 or -ENAMETOOLONG. */
int attach_client_init(struct attach_client *c, const char *run_directory,
		       struct workers *workers, const struct port *port, size_t port_cnt);

/* attach_client_fd - to be polled for POLLIN, or -1. */
int attach_client_fd(const struct attach_client *c);

/* attach_client_timeout - call attach_client_step after at most so many
 * milliseconds; -1 when only the descriptor matters. */
int attach_client_timeout(const struct attach_client *c);

/* attach_client_step - go on as far as possible. */
void attach_client_step(struct attach_client *c);

/* attach_client_close - after workers_stop. */
void attach_client_close(struct attach_client *c);

#endif
