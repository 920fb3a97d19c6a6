/* SPDX-License-Identifier: GPL-3.0-or-later */
/* db.h - all zones: transactions of the one writer, and what readers do.
 *
 * One commit counter (arena_head.version) orders all changes.  A reader loads
 * it once before a burst and answers every query of the burst from the data of
 * that version.  See db_protocol.h for the whole protocol with its edges.
 *
 * Writer functions (struct db) belong to one thread at a time.  Reader functions
 * (struct reader) belong to the thread whose slot it is.  Neither ever waits for
 * the other.
 */
#ifndef POLLUX_DB_H
#define POLLUX_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "name.h"
#include "records.h"
#include "status.h"

/* ---- settings that answers depend on: one immutable block ---- */

#define SETTINGS_TEXT 256 /* room of each text, NUL included */

enum settings_cookies { COOKIES_OFF, COOKIES_ON, COOKIES_REQUIRE };

struct settings {
	char identity[SETTINGS_TEXT]; /* id.server, hostname.bind; "" refuses */
	char version[SETTINGS_TEXT];  /* version.bind, version.server; "" refuses */
	uint16_t udp_payload;         /* largest UDP answer, octets (default 1232) */
	uint8_t cookies;              /* enum settings_cookies */
	uint8_t additional_full;      /* addresses of MX, SRV, SVCB and HTTPS targets go with them */
	uint8_t cookie_secret_cnt;    /* 1 or 2 unless cookies are off */
	uint8_t cookie_secret[2][16]; /* the first makes cookies, all are known (RFC 9018 section 5) */
};

/* ---- the writer ---- */

struct db;
struct txn;

/* db_create - an empty database in a new arena of at most `max` octets, with a
 * status region.  0 or -errno. */
int db_create(struct db **out, uint64_t max, enum arena_huge huge);
void db_destroy(struct db *db);

/* db_nsec3_limit - from the next txn_zone_put on, an NSEC3 chain of more iterations than
 * this (at first 100) is not served: such a zone's negative answers go without proofs.  Each
 * of them would cost a worker so many hashes (RFC 9276 section 2.3). */
void db_nsec3_limit(struct db *db, unsigned iterations);

/* db_arena_fd, db_status_fd - descriptors to pass to a reader process: the first
 * new and read-only (caller closes), the second the db's own (caller does not). */
int db_arena_fd(const struct db *db);
int db_status_fd(const struct db *db);
struct status *db_status(const struct db *db);

/* db_map - the writer's own mapping, for readers in its process. */
struct arena_map db_map(const struct db *db);
/* db_usage - use of the arena, and how many blocks wait for readers to pass. */
void db_usage(const struct db *db, struct arena_usage *u, uint64_t *retired);

/* db_crowded - has the table fewer buckets than its names should have, for want of memory?  Answers are
 * right, but slower. */
bool db_crowded(const struct db *db);

/* db_pins - zones that are pinned (below), and how many of the retired blocks wait for
 * nothing but that. */
void db_pins(struct db *db, unsigned *pins, uint64_t *held);

/* db_begin - start the one open transaction.  Never NULL but for ENOMEM. */
struct txn *db_begin(struct db *db);

/* txn_zone_put - add the zone, or replace it: a diff of `rs` against what stands
 * is staged; names that do not change keep their memory.  `rs` must be sorted and
 * must hold a zone that passed zone_check (control/zone); it is only read.
 * 0, -ENOSPC (arena full), -ENOMEM, -EINVAL (no SOA at the apex), -E2BIG (a name with
 * over 32 MiB of records), -EALREADY (this
 * transaction has changed the zone already).  After another error than the last two the
 * transaction can only be aborted. */
int txn_zone_put(struct txn *t, const struct name *apex, const struct records *rs);

/* txn_zone_take - the same, but the memory of rs goes back while the zone is made of it: rs is freed,
 * whatever comes of it. */
int txn_zone_take(struct txn *t, const struct name *apex, struct records *rs);

/* txn_zone_drop - remove a zone.  0, -ENOENT, -EALREADY, -ENOSPC, -ENOMEM. */
int txn_zone_drop(struct txn *t, const struct name *apex);

/* One RRset that changes.  All RRSIGs of a name are one RRset here. */
struct rrset_change {
	const uint8_t *owner;    /* folded wire name, within the zone */
	const struct record *rr; /* what the RRset becomes: checked RDATA, one TTL */
	size_t rr_cnt;           /* 0: the RRset goes */
	uint16_t type;           /* TYPE_ANY with rr_cnt 0: all RRsets of the name go */
};

/* Is told all that will stand at a changed name, sorted; `of` is the first of its
 * changes.  Refuses by a value that is not 0. */
typedef int (*change_check)(void *arg, const struct rrset_change *of, const struct records *rs);

/* txn_change - change RRsets of a loaded zone.  c is in canonical order of owner, then
 * by type, each (owner, type) once, TYPE_ANY before the owner's others.  Unless the SOA
 * is among them, its serial is raised by one (RFC 1982 section 3.1).  check may be NULL.
 * 0; -ENOENT (no such zone), -EALREADY, -ENOSPC, -ENOMEM, -E2BIG, -EINVAL (the SOA would go),
 * -ERANGE (an owner outside the zone), or what check said.  After all but the first
 * two the transaction can only be aborted. */
int txn_change(struct txn *t, const struct name *apex, const struct rrset_change *c, size_t cnt,
	       change_check check, void *arg);

/* txn_soa - the SOA with the serial that txn_change has raised by itself in the zone: *rr, whose
 * RDATA is put into rdata[TXN_SOA_RDATA] and whose owner is apex's.  False when the SOA was among the
 * changes. */
#define TXN_SOA_RDATA (2 * NAME_MAX_LEN + 20)
bool txn_soa(const struct txn *t, const struct name *apex, struct record *rr, uint8_t *rdata);

/* txn_denial_gap - would this transaction leave a zone that it has changed with more gaps in the NSEC or
 * NSEC3 chain that is served than there were?  Then the first record whose next is not the following
 * one's owner is *owner's, and that owner *following.  Looks at every record of the chain, but only
 * when there is a gap. */
bool txn_denial_gap(const struct txn *t, const struct name *apex, struct name *owner,
		    struct name *following);

/* txn_denial_lacks - would this transaction leave a name of a zone that it has changed without its record
 * in the NSEC or NSEC3 chain that is served, which did not lack it before?  Looks at the names that it has
 * changed, and at all when an NSEC3 record goes whose name is none of those; where another chain is
 * served from now on, at the former only.  1 and *name; 0; -ENOMEM. */
int txn_denial_lacks(const struct txn *t, const struct name *apex, struct name *name);

/* txn_settings - replace the settings block.  0, -ENOSPC, -ENOMEM. */
int txn_settings(struct txn *t, const struct settings *s);

/* txn_prepare - do all of a commit that can fail: after 0, txn_commit cannot, and
 * only that or txn_abort may follow.  So a durable record can be written between the two.
 * -ENOSPC or -ENOMEM: the transaction can only be aborted. */
int txn_prepare(struct txn *t);

/* txn_commit - make all of it visible at once, after txn_prepare if that was not
 * called.  Returns 0 and sets *version, or -ENOSPC / -ENOMEM, in which case nothing
 * changed and the transaction is aborted.  txn is gone either way. */
int txn_commit(struct txn *t, uint64_t *version);
void txn_abort(struct txn *t);

/* db_rehash - after a zone has gone over to another NSEC3 chain, make its names anew with their
 * hashes in that.  Answers are right before, at the price of more SHA-1 for each negative one.
 * Does a bounded piece of it, as a transaction of its own that changes no record; none may be
 * open.  Returns true while there may be more to do; false also when there was no memory for it. */
bool db_rehash(struct db *db);

/* db_reclaim - free what no reader can reach any more; call now and then, and
 * after commits.  Does a bounded piece of work; returns true while more is
 * ready to be freed at once. */
bool db_reclaim(struct db *db);

/* db_reader_reserve - take `cnt` free status slots for process `pid`; their
 * indices to idx[].  0 or -EUSERS.  Any thread of the control process. */
int db_reader_reserve(struct db *db, uint32_t pid, enum status_kind kind,
		      unsigned cnt, unsigned idx[]);

/* db_reader_release - free all slots of a process that is dead (or, for the
 * caller's own, of threads that have ended). */
void db_reader_release(struct db *db, uint32_t pid);

/* ---- readers ---- */

/* One reading thread.  Plain data; map and slot must outlive it. */
struct reader {
	struct arena_map map;
	struct status_slot *slot;
	uint64_t version;    /* of the burst that is under way */
	uint32_t now;        /* Unix time, seconds; kept by the owner, for cookies */
};

/* reader_init - a reader on a mapping and a slot reserved for it.  It starts
 * offline. */
void reader_init(struct reader *r, struct arena_map map, struct status_slot *slot);

/* reader_begin - load the version that all answers until reader_end use. */
static inline void reader_begin(struct reader *r)
{
	r->version = atomic_load_explicit(&arena_map_head(&r->map)->version,
					  memory_order_acquire); /* V */
}

/* reader_end - say that no reference from before is held (edge Q). */
static inline void reader_end(struct reader *r)
{
	atomic_store_explicit(&r->slot->epoch,
		atomic_load_explicit(&arena_map_head(&r->map)->epoch,
				     memory_order_acquire),  /* E */
		memory_order_release);                       /* Q */
}

/* reader_online, reader_offline - a thread that may sleep goes offline first, so
 * that reclamation does not wait for it, and online before its next
 * reader_begin.  A poll-mode worker goes online once. */
void reader_online(struct reader *r);
void reader_offline(struct reader *r);

/* ---- reading zones in order (control socket, tests; later transfers) ---- */

struct zone_info {
	struct name apex;
	uint32_t serial;
	uint64_t names;     /* owner names, empty non-terminals included */
	uint64_t records;
};

/* reader_zone - find a loaded zone by apex in the reader's version.  0/-ENOENT. */
int reader_zone(const struct reader *r, const struct name *apex, struct zone_info *zi);

/* One RR handed to a walk; rdata uncompressed, in the callback's memory. */
typedef int (*zone_rr_cb)(void *arg, const uint8_t *owner, uint16_t type,
			  uint32_t ttl, const uint8_t *rdata, uint16_t rdata_len);

/* reader_walk - call cb for every record of a zone in canonical order, or of the
 * one name `only` when not NULL.  The reader must be between reader_begin and
 * reader_end.  Stops at, and returns, the first value of cb that is not 0;
 * -ENOENT when the zone (or the name) is not there. */
int reader_walk(const struct reader *r, const struct name *apex,
		const struct name *only, zone_rr_cb cb, void *arg);

/* reader_walk_after - the same for all names behind the folded wire name `after`, which
 * need not be there. */
int reader_walk_after(const struct reader *r, const struct name *apex, const uint8_t *after,
		      zone_rr_cb cb, void *arg);

/* ---- long readers: a pinned zone ---- */

/* One version of one zone that somebody reads for long (the control socket, a transfer).  What
 * belongs to it stays in memory until it is unpinned; all else is reclaimed meanwhile: its reader
 * may be offline.  The caller's memory, which stays where it is until then. */
struct zone_pin {
	struct zone_pin *next, **at; /* the db's list */
	const uint8_t *base;
	ref zone, snapshot;
	uint64_t version;
};

/* db_pin - pin the zone as r has it, between reader_begin and reader_end.  r's map may be any of
 * the db's arena in this process, and must outlive the pin.  0 or -ENOENT.
 * db_unpin - let go.  Any thread of the writer's process may call both. */
int db_pin(struct db *db, const struct reader *r, const struct name *apex, struct zone_pin *pin);
void db_unpin(struct db *db, struct zone_pin *pin);

/* pin_walk - as reader_walk, of the pinned zone.  The reader need not be online. */
int pin_walk(const struct zone_pin *pin, const struct name *only, zone_rr_cb cb, void *arg);

#endif
