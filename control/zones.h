/* SPDX-License-Identifier: GPL-3.0-or-later */
/* zones.h - the zone manager: which zones there are, and the one thread that
 * changes them.
 *
 * Every change is a job for the writer thread, the only caller of db.h's writer
 * functions: it reads the zone file, sorts, commits, tells the loop thread how it went, and
 * then frees what readers have left behind.  What is changed at run time is in the
 * durable store (control/zone/store.h) before anybody sees it.  Serving goes on meanwhile.  A job
 * that fails leaves the zones as they were.
 *
 * Functions without another word belong to the loop thread.
 */
#ifndef POLLUX_ZONES_H
#define POLLUX_ZONES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <uv.h>

#include "control/zone/edit.h"
#include "dataplane/answer/db.h"
#include "dataplane/common/config.h"

#define ZONES_TEXT 512 /* room for the sentence about a job or a zone, NUL included */

enum zone_state {
	ZONE_WAITING, /* not read yet */
	ZONE_LOADED,  /* served; `error` may tell why a later reload was refused */
	ZONE_BAD,     /* not served; `error` tells why */
};

struct zone_entry {
	struct name domain;
	char *file;             /* absolute path */
	bool dnssec_refuse;     /* a zone whose denial records are not whole is bad (dnssec-check) */
	enum zone_state state;
	uint32_t serial;        /* when loaded: of the SOA */
	uint64_t names;         /* owner names, empty non-terminals included */
	uint64_t records;
	time_t loaded;          /* wall clock of the last load that went well */
	uint64_t load_ns;       /* how long it took, from opening the file to the commit */
	char error[ZONES_TEXT]; /* of the last try; "" when it went well */
	struct zonefile_id id;  /* of the file as it was read */
	uint64_t changes;       /* RRsets changed since then */
	bool base_due;          /* the writer's: the store wants its contents; */
	bool configured;        /* the configuration names it, and it was not added at run time */
};

struct zones;

#define ZONES_STALLED_NS UINT64_C(100000000)
#define ZONES_FAULTS 100 /* faults of zone files that a result tells */

/* How a job went.  All of it is the manager's and there only during the call. */
struct zones_result {
	int error;          /* 0; -ENOENT (no such zone), -EINVAL (bad zone or change), -ENOSPC
	                     * (arena full), -EIO (a file cannot be read), -ENOMEM,
	                     * -ECANCELED (the manager stops), -EBUSY (a reload would drop
	                     * changes), -EROFS (it cannot be made durable) */
	const char *text;   /* a sentence for people */
	char *const *fault; /* "FILE:LINE: cause" of bad zones and changes */
	size_t fault_cnt;
	const struct edit *edit; /* zones_apply's, or NULL */
	uint64_t version;   /* of zones_apply's commit */
	uint64_t dropped;   /* changes that a reload has dropped */
};

/* Told in the loop thread when a job is over. */
typedef void (*zones_done)(void *arg, const struct zones_result *r);

/* zones_open - start the writer thread.  It takes settings and zones from c, which
 * is read only here, and what was added or removed at run time from the store in its data
 * directory, but loads nothing yet.  Without a store (the log tells why) zones are served
 * all the same, but changes at run time are refused.  map and slot are a reader's of the
 * same database, for the writer thread alone.  0 or -errno. */
int zones_open(struct zones **out, uv_loop_t *loop, struct db *db, const struct config *c,
	       struct arena_map map, struct status_slot *slot);

/* zones_load_all - publish the settings and load every zone of the configuration. */
int zones_load_all(struct zones *z, zones_done done, void *arg);

/* zones_add - a zone from an absolute path: a new one, with what was changed in it at run time when
 * it was there before and went with its configuration, or a reload of one that is there, whose file
 * this is from then on; zones_remove - and away with it;
 * zones_reload - read the zone's file again, of all zones when domain is NULL (then
 * error is that of the last one that failed, and the others are reloaded).  A zone with
 * changes made at run time is left as it is, unless they may be dropped (force); of all
 * zones, one with such changes and an unchanged file counts as well.
 * 0, or -ENOMEM and done is not called. */
int zones_add(struct zones *z, const struct name *domain, const char *file, bool force,
	      zones_done done, void *arg);
int zones_remove(struct zones *z, const struct name *domain, zones_done done, void *arg);
int zones_reload(struct zones *z, const struct name *domain, bool force, zones_done done,
		 void *arg);

/* zones_apply - commit a transaction, which is taken over: all of it or nothing. */
int zones_apply(struct zones *z, struct edit *e, zones_done done, void *arg);

/* zones_configure - take the settings and zones of another configuration, which must last
 * until done is called: zones that are new in it are loaded, those that it no longer names
 * go (what was changed in them at run time is kept), and the files of all others are read
 * again as by zones_reload.  Zones added or removed at run time stay so.  0, -ENOMEM or
 * -ECANCELED. */
int zones_configure(struct zones *z, const struct config *c, zones_done done, void *arg);

/* zones_each - call cb for each zone in canonical order, from the first behind
 * `after` (NULL: from the beginning), until it returns not 0, which is then returned.
 * The registry is locked meanwhile: no zones_* in cb.  Any thread. */
int zones_each(struct zones *z, const struct name *after,
	       int (*cb)(void *arg, const struct zone_entry *e), void *arg);

/* zones_find - as zones_each for one zone.  -ENOENT when there is none. */
int zones_find(struct zones *z, const struct name *domain,
	       int (*cb)(void *arg, const struct zone_entry *e), void *arg);

/* zones_usage - memory, as the writer thread saw it last; zones and loaded ones. */
struct zones_usage {
	struct arena_usage arena;
	uint64_t retired;       /* blocks that wait for readers, */
	uint64_t held;          /* and of these, those that wait for pins, */
	unsigned pins;          /* of which there are so many */
	size_t zones, loaded;
	unsigned stalled_cnt;   /* readers that have held up reclamation for ZONES_STALLED_NS */
	struct { unsigned slot; uint64_t ns; } stalled[STATUS_SLOTS];
};
void zones_usage(struct zones *z, struct zones_usage *u);

/* zones_stop - end the writer thread after the job that it is at; waiting jobs end
 * with -ECANCELED.  False when that job is not over within a few seconds: then the
 * process must end without touching the database.  After true the loop has to run
 * once more before zones_free. */
bool zones_stop(struct zones *z);
void zones_free(struct zones *z);

#endif
