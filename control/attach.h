/* SPDX-License-Identifier: GPL-3.0-or-later */
/* attach.h - the control process's end of dataplane/common/attach.h: which
 * dataplanes there are, what they hold, and when they are dead.
 *
 * A dataplane keeps its status slots until its process is dead, as its pidfd tells;
 * a connection that ends proves nothing.  Several dataplanes may be attached, as
 * long as there are slots.  All functions belong to the loop thread.
 */
#ifndef POLLUX_CONTROL_ATTACH_H
#define POLLUX_CONTROL_ATTACH_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "bpf/steerctl.h"
#include "dataplane/answer/db.h"
#include "dataplane/common/attach.h"
#include "dataplane/common/config.h"

/* One AF_XDP port of a dataplane. */
struct dataplane_port {
	struct attach_port port;
	struct steer_maps maps;
	bool bypassed[STEER_QUEUES]; /* as we set it last */
};

enum dataplane_state {
	DATAPLANE_NEW,      /* connected */
	DATAPLANE_WAITING,  /* has said hello before all zones were loaded */
	DATAPLANE_WELCOMED, /* has slots */
	DATAPLANE_SERVING,
};

struct dataplane {
	struct dataplane *next;
	struct attach *attach;
	enum dataplane_state state;
	uint32_t pid;
	uint32_t worker_cnt;          /* from WAITING on */
	unsigned slot[STATUS_SLOTS];  /* from WELCOMED on: of worker i */
	uint64_t serving_ns;          /* CLOCK_MONOTONIC, of the change to SERVING */
	unsigned port_cnt;
	struct dataplane_port port[ATTACH_PORTS];

	int sock, pidfd;              /* -1 when closed; a handle belongs to each */
	uv_poll_t sock_poll, pidfd_poll;
	unsigned handles;             /* open ones; the memory goes with the last */
	bool gone;                    /* not in the list any more */
};

/* Told about a dataplane that has been welcomed, is serving, or is dead (then its
 * slots and maps are released after the call). */
typedef void (*attach_changed)(void *arg, struct dataplane *d, bool dead);

struct attach;

/* attach_open - listen on RUN-DIRECTORY/attach.sock, for our own user and root only.
 * c and db must outlive it.  0, or -errno after writing a sentence to `error`. */
int attach_open(struct attach **out, uv_loop_t *loop, struct db *db, const struct config *c,
		attach_changed changed, void *arg, char *error, size_t error_size);

/* attach_loaded - the table is complete: welcome those who wait and who come. */
void attach_loaded(struct attach *a);

/* attach_udp_payload - the largest UDP answer is another one: so is the largest query that the
 * steering programs give to workers, of dataplanes that serve and that come. */
void attach_udp_payload(struct attach *a, uint16_t octets);

/* attach_first - the list of dataplanes, in all states. */
struct dataplane *attach_first(const struct attach *a);

#define ATTACH_REFUSED_MAX 8

/* A dataplane that was refused last time, and lives. */
struct attach_refused {
	uint32_t pid;
	char reason[160];
};

/* attach_refused - those that were refused, the youngest ATTACH_REFUSED_MAX, to out[].
 * Returns how many. */
unsigned attach_refused(struct attach *a, struct attach_refused out[ATTACH_REFUSED_MAX]);

/* attach_stop - stop listening, close connections (dataplanes go on answering) and
 * remove the socket; the loop has to run until that is done before attach_free. */
void attach_stop(struct attach *a);
void attach_free(struct attach *a);

#endif
