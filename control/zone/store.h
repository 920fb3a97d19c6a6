/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store.h - what was changed at run time, on disk: the file DATA-DIRECTORY/zones.mdb.
 *
 * Of each zone that was changed since its file was read it keeps a journal (the changed
 * RRsets of each transaction, in their order, each as what it became) and the file's
 * identity; beside that, which zones were added and removed at run time.  The journal
 * stands on a base: the zone's whole contents, written in small steps after the first
 * change, and again when the journal has grown larger than STORE_JOURNAL_MIN octets
 * and than its base; the journal before it is then dropped.  Until the first base is
 * complete, the journal stands on the zone file.
 *
 * A base is written while the zone changes: each of its names is as it was at some
 * moment after the base was begun, and all changes since then are in the journal.  As
 * these say what an RRset became, not how, replaying them makes the zone whole.
 *
 * All writing is in transactions of LMDB with its usual durability: what
 * store_commit has returned from survives a crash, and what it has not is there in
 * whole or not at all.
 *
 * One thread at a time.  Functions return 0 or -EIO after noting why (store_error),
 * unless said.
 */
#ifndef POLLUX_STORE_H
#define POLLUX_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/zone/zonefile.h"
#include "dataplane/answer/db.h"

#define STORE_JOURNAL_MIN (UINT64_C(16) << 20) /* octets */
#define STORE_FILE_MAX 4095                    /* octets of a path */

enum store_kind {
	STORE_CONFIGURED, /* named by the configuration; changed at run time */
	STORE_ADDED,      /* at run time; may have been changed, too */
	STORE_REMOVED,    /* at run time */
};

struct store_zone {
	enum store_kind kind;
	char file[STORE_FILE_MAX + 1]; /* of STORE_ADDED; else "" */
	struct zonefile_id id;         /* of the file on which the changes stand */
	uint64_t changes;              /* RRsets, since the file was read; 0: no journal */
	uint64_t octets, base_octets;  /* of the journal, of the base */
	uint32_t base;                 /* its number; 0: none is complete */
};

struct store;

/* store_open - open, or make, the store in the directory, which is made, too.  0, or
 * -errno after writing a sentence to `error`. */
int store_open(struct store **out, const char *directory, char *error, size_t error_size);

/* store_exists - is there one in the directory, whether or not it can be opened? */
bool store_exists(const char *directory);
void store_close(struct store *s);

/* store_error - why the last function failed. */
const char *store_error(const struct store *s);

/* store_each - call cb for every zone that something is known of, until it returns not
 * 0, which is then returned.  No other function of the store in cb. */
int store_each(struct store *s,
	       int (*cb)(void *arg, const struct name *apex, const struct store_zone *z), void *arg);

/* store_find - what is known of a zone.  0, -ENOENT or -EIO. */
int store_find(struct store *s, const struct name *apex, struct store_zone *z);

/* store_read - the zone's base to *base (in canonical order) and its journal to *ops, as
 * edit.h's operations; nothing when nothing is known of it.  Both are the caller's,
 * initialised.  0, -ENOMEM or -EIO. */
int store_read(struct store *s, const struct name *apex, struct records *base, struct records *ops);

/* store_begin - one transaction for the changes below; then store_commit, which makes
 * them durable, or store_abort.  After a failed store_commit it is over, too. */
int store_begin(struct store *s);
int store_commit(struct store *s);
void store_abort(struct store *s);

/* store_change - append to the zone's journal.  id is that of the file that was read, for
 * a zone without a journal. */
int store_change(struct store *s, const struct name *apex, const struct zonefile_id *id,
		 const struct rrset_change *c, size_t cnt);

/* store_forget - the zone's journal and base go: its file was read again. */
int store_forget(struct store *s, const struct name *apex);

/* store_add, store_remove - the zone was added at run time, with this file, or removed:
 * nothing else is known of it then.  A zone that is not configured needs no memory of its
 * removal.
 * store_add_changed - the same as store_add, but the zone's journal and base stay. */
int store_add(struct store *s, const struct name *apex, const char *file);
int store_add_changed(struct store *s, const struct name *apex, const char *file);
int store_remove(struct store *s, const struct name *apex, bool configured);

/* store_base_due - should a base of the zone be written now? */
bool store_base_due(const struct store_zone *z);

/* A base that is being written. */
struct store_base {
	struct name apex;
	uint32_t base;      /* its number */
	uint32_t next;      /* of its next part */
	uint64_t journal;   /* number of the first journal entry that it needs */
	uint64_t octets;
};

/* store_base_begin, store_base_put, store_base_end - write a base in as many transactions
 * as wanted: its records in canonical order.  The last one makes it the zone's base and drops
 * what it replaces.  A base whose zone was forgotten meanwhile ends in -ESTALE. */
int store_base_begin(struct store *s, struct store_base *b, const struct name *apex);
int store_base_put(struct store *s, struct store_base *b, const struct records *rs);
int store_base_end(struct store *s, const struct store_base *b);

#endif
