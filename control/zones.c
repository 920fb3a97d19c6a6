/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/zones.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/hook.h"
#include "control/zone/dnssec_check.h"
#include "control/zone/store.h"
#include "control/zone/zonefile.h"
#include "dataplane/answer/cookie.h"
#include "dataplane/answer/db_diff.h"
#include "dataplane/answer/rrtype.h"
#include "dataplane/answer/wire.h"
#include "dataplane/common/log.h"

#define NS UINT64_C(1000000000)
#define RECLAIM_PERIOD_NS (20 * NS / 1000) /* while memory waits for readers to pass */
#define FULL_WAIT_NS (NS / 2)   /* for memory to come free before "arena full" is final */
#define STOP_WAIT_NS (3 * NS)
#define BASE_TURN 16 /* jobs between two of these steps while jobs wait */
#define BASE_STEP ((size_t)128 << 10) /* octets of records written to the store at a time */
#define BASE_STOP_NS NS /* for bases to be completed when the process stops */
#define BASE_REST_NS (NS / 100) /* without a job, before that */
#define STOPPING "pollux-control is stopping"

enum job_kind { JOB_LOAD_ALL, JOB_ADD, JOB_REMOVE, JOB_RELOAD, JOB_RELOAD_ALL, JOB_APPLY,
		JOB_CONFIGURE };

struct job {
	struct job *next;
	enum job_kind kind;
	struct name domain;
	char *file;
	const struct config *config;
	struct edit *edit;
	uint64_t version;       /* of the commit of an edit */
	bool force;
	uint64_t dropped;
	zones_done done;
	void *arg;
	int error;
	char text[ZONES_TEXT];
	char *fault[ZONES_FAULTS];
	size_t fault_cnt;
	size_t error_cnt;       /* faults that were told and no warnings */
};

struct queue { struct job *head, **tail; };

/* Everything below `mutex` is under it.  The writer thread alone changes the
 * registry, so it may read it without. */
struct zones {
	struct db *db;
	struct reader reader;
	struct settings settings;
	bool dnssec_refuse;     /* of zones that the configuration says nothing else of */
	unsigned nsec3_max;     /* iterations */
	bool crowded;           /* the table was, at the last commit */
	struct store *store;    /* or NULL: */
	char store_error[ZONES_TEXT];
	bool storing;           /* a transaction of the store is open */
	bool base_due;          /* some entry has it */
	bool rehash_due;        /* names of some zone may have hashes of another NSEC3 chain */
	bool base_open;         /* one is being written: */
	struct store_base base;
	uint8_t base_at[NAME_MAX_LEN]; /* the last name that is in it */
	uv_thread_t thread;
	uv_async_t async;

	uv_mutex_t mutex;
	uv_cond_t wake;         /* a job, or stop */
	uv_cond_t over;         /* the thread has ended */
	struct queue todo, finished;
	bool stop, ended;
	struct zone_entry **zone; /* in canonical order */
	size_t cnt, cap;
	struct arena_usage arena;
	uint64_t retired, held;
	unsigned pins;
	struct { uint64_t epoch, since_ns; } late[STATUS_SLOTS]; /* since_ns 0: it is not */
};

/* ---- queues ---- */

static void queue_init(struct queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

static void queue_push(struct queue *q, struct job *j)
{
	j->next = NULL;
	*q->tail = j;
	q->tail = &j->next;
}

static struct job *queue_pop(struct queue *q)
{
	struct job *j = q->head;

	if (j) {
		q->head = j->next;
		if (!q->head)
			q->tail = &q->head;
	}
	return j;
}

static void job_free(struct job *j)
{
	for (size_t i = 0; i < j->fault_cnt; i++)
		free(j->fault[i]);
	edit_free(j->edit);
	free(j->file);
	free(j);
}

/* ---- the registry ---- */

static int entry_cmp(const void *a, const void *b)
{
	const struct zone_entry *const *x = a, *const *y = b;

	return name_cmp((*x)->domain.wire, (*y)->domain.wire);
}

static void entry_free(struct zone_entry *e)
{
	free(e->file);
	free(e);
}

static struct zone_entry *entry_new(const struct name *domain, const char *file)
{
	struct zone_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->domain = *domain;
	e->file = strdup(file);
	if (!e->file) {
		free(e);
		return NULL;
	}
	return e;
}

/* Where domain stands or would stand. */
static size_t registry_at(const struct zones *z, const struct name *domain, bool *there)
{
	size_t low = 0, high = z->cnt;

	*there = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = name_cmp(z->zone[mid]->domain.wire, domain->wire);

		if (order == 0) {
			*there = true;
			return mid;
		}
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct zone_entry *registry_find(const struct zones *z, const struct name *domain)
{
	bool there;
	size_t at = registry_at(z, domain, &there);

	return there ? z->zone[at] : NULL;
}

/* Makes room for one more.  The mutex is held. */
static int registry_grow(struct zones *z)
{
	if (z->cnt < z->cap)
		return 0;

	size_t cap = z->cap ? 2 * z->cap : 16;
	struct zone_entry **zone = realloc(z->zone, cap * sizeof(*zone));

	if (!zone)
		return -ENOMEM;
	z->zone = zone;
	z->cap = cap;
	return 0;
}

/* The entry is taken over, also when there is no memory for it. */
static int registry_insert(struct zones *z, struct zone_entry *e)
{
	bool there;

	uv_mutex_lock(&z->mutex);

	int error = registry_grow(z);

	if (!error) {
		size_t at = registry_at(z, &e->domain, &there);

		memmove(z->zone + at + 1, z->zone + at, (z->cnt - at) * sizeof(*z->zone));
		z->zone[at] = e;
		z->cnt++;
	}
	uv_mutex_unlock(&z->mutex);
	if (error)
		entry_free(e);
	return error;
}

static void registry_remove(struct zones *z, struct zone_entry *e)
{
	bool there;

	uv_mutex_lock(&z->mutex);

	size_t at = registry_at(z, &e->domain, &there);

	z->cnt--;
	memmove(z->zone + at, z->zone + at + 1, (z->cnt - at) * sizeof(*z->zone));
	uv_mutex_unlock(&z->mutex);
	entry_free(e);
}

/* ---- loading: the writer thread ---- */

/* The faults of one zone on their way into its job. */
struct faults {
	struct job *job;
	unsigned cnt;
	char text[ZONES_TEXT]; /* the first one that is no warning */
};

static void on_fault(void *arg, const char *text)
{
	struct faults *f = arg;
	struct job *j = f->job;
	bool warning = strstr(text, ": warning: ") != NULL; /* zonefile_report's */

	if (!warning && f->cnt++ == 0)
		snprintf(f->text, sizeof(f->text), "%s", text);
	j->error_cnt += !warning;
	if (j->fault_cnt < ZONES_FAULTS) {
		j->fault[j->fault_cnt] = strdup(text);
		j->fault_cnt += j->fault[j->fault_cnt] != NULL;
	}
	if (warning)
		log_warn("%s", text);
	else
		log_error("%s", text);
}

/* Notes which readers have not yet seen that memory was retired.  The mutex is held. */
static void note_late(struct zones *z)
{
	uint64_t now = uv_hrtime();
	uint64_t current = atomic_load_explicit(&arena_map_head(&z->reader.map)->epoch,
						memory_order_relaxed);

	for (unsigned i = 0; i < STATUS_SLOTS; i++) {
		const struct status_slot *slot = &db_status(z->db)->slot[i];
		uint64_t epoch = atomic_load_explicit(&slot->epoch, memory_order_relaxed);

		if (!atomic_load_explicit(&slot->pid, memory_order_relaxed) || epoch >= current)
			z->late[i].since_ns = 0; /* offline is beyond all epochs */
		else if (z->late[i].since_ns == 0 || z->late[i].epoch != epoch)
			z->late[i].since_ns = now;
		z->late[i].epoch = epoch;
	}
}

static void publish_usage(struct zones *z)
{
	struct arena_usage u;
	uint64_t retired, held;
	unsigned pins;

	db_usage(z->db, &u, &retired);
	db_pins(z->db, &pins, &held);
	uv_mutex_lock(&z->mutex);
	z->arena = u;
	z->retired = retired;
	z->held = held;
	z->pins = pins;
	note_late(z);
	uv_mutex_unlock(&z->mutex);
}

static void reclaim(struct zones *z)
{
	while (db_reclaim(z->db))
		;
	publish_usage(z);
}

/* The same between two jobs: one that waits comes first. */
static void reclaim_some(struct zones *z)
{
	bool more = true;

	while (more && db_reclaim(z->db)) {
		uv_mutex_lock(&z->mutex);
		more = !z->todo.head;
		uv_mutex_unlock(&z->mutex);
	}
	publish_usage(z);
}

/* Waits for readers to let go of retired memory.  False when none came free, at once or in time:
 * then the arena is full indeed. */
static bool wait_for_memory(struct zones *z)
{
	uint64_t end = uv_hrtime() + FULL_WAIT_NS, retired;
	struct arena_usage before;

	db_usage(z->db, &before, &retired);
	for (reclaim(z); z->retired > 0 && uv_hrtime() < end; reclaim(z))
		uv_sleep(1);
	return z->arena.used < before.used;
}

/* ---- durable, then visible ---- */

/* What the store is to remember with a change of a zone. */
enum remember { REMEMBER_NOTHING, REMEMBER_RELOAD, REMEMBER_ADD, REMEMBER_ADD_CHANGED, REMEMBER_REMOVE };

static int store_fault(struct zones *z)
{
	snprintf(z->store_error, sizeof(z->store_error), "%s", store_error(z->store));
	log_error("%s", z->store_error);
	return -EROFS;
}

static int store_open_change(struct zones *z)
{
	if (!z->store)
		return -EROFS;
	if (store_begin(z->store))
		return store_fault(z);
	z->storing = true;
	return 0;
}

static void give_up(struct zones *z, struct txn *t)
{
	if (z->storing)
		store_abort(z->store);
	z->storing = false;
	txn_abort(t);
}

/* Says it once when the table has become crowded, and when it no longer is. */
static void tell_crowded(struct zones *z)
{
	bool crowded = db_crowded(z->db);

	if (crowded && !z->crowded)
		log_warn("the table is nearly full (table: memory:): its index cannot grow any more, answers take longer");
	else if (!crowded && z->crowded)
		log_info("the table's index has grown");
	z->crowded = crowded;
}

/* Commits t, and before that what the store has open. */
static int commit(struct zones *z, struct txn *t, uint64_t *version)
{
	int error = txn_prepare(t);

	if (error) {
		give_up(z, t);
		return error;
	}
	hook_reached("prepared");
	if (z->storing) {
		z->storing = false;
		if (store_commit(z->store)) {
			txn_abort(t);
			return store_fault(z);
		}
	}
	hook_reached("stored");
	error = txn_commit(t, version); /* cannot fail */
	tell_crowded(z);
	hook_reached("committed");
	return error;
}

/* Takes back a base that is being written of the zone, which is about to be another. */
static void base_cancel(struct zones *z, const struct name *domain)
{
	if (z->base_open && name_cmp(z->base.apex.wire, domain->wire) == 0)
		z->base_open = false;
}

static int remember(struct zones *z, enum remember what, const struct name *domain,
		    const char *file)
{
	struct store_zone known;
	int error;

	if (what == REMEMBER_NOTHING)
		return 0;
	base_cancel(z, domain);
	if (what == REMEMBER_RELOAD) {
		/* Of most zones the store has nothing to forget. */
		error = z->store ? store_find(z->store, domain, &known) : -ENOENT;
		if (error == -ENOENT || (!error && known.changes == 0))
			return 0;
	}
	error = store_open_change(z);
	if (error)
		return error;
	error = what == REMEMBER_ADD ? store_add(z->store, domain, file) :
		what == REMEMBER_ADD_CHANGED ? store_add_changed(z->store, domain, file) :
		what == REMEMBER_REMOVE ? store_remove(z->store, domain, true) :
		store_forget(z->store, domain);
	return error ? store_fault(z) : 0;
}

/* rs is freed: that is where the memory for the zone comes from. */
static int put(struct zones *z, const struct name *domain, struct records *rs, enum remember what,
	       const char *file)
{
	struct txn *t = db_begin(z->db);
	uint64_t version;
	int error = -ENOMEM;

	if (t) {
		error = txn_zone_take(t, domain, rs);
		if (!error)
			error = remember(z, what, domain, file);
		if (error)
			give_up(z, t);
		else
			error = commit(z, t, &version);
	}
	records_free(rs);
	return error;
}

static int try_change(struct zones *z, const struct name *domain, const struct rrset_change *c, size_t cnt,
		      change_check check, enum remember what, const char *file)
{
	struct txn *t = db_begin(z->db);
	uint64_t version;

	if (!t)
		return -ENOMEM;

	int error = txn_change(t, domain, c, cnt, check, (void *)domain);

	if (!error)
		error = remember(z, what, domain, file);
	if (error) {
		give_up(z, t);
		return error;
	}
	return commit(z, t, &version);
}

static int try_drop(struct zones *z, const struct name *domain, enum remember what)
{
	struct txn *t = db_begin(z->db);
	uint64_t version;

	if (!t)
		return -ENOMEM;

	int error = txn_zone_drop(t, domain);

	if (error == -ENOENT)
		error = 0; /* it was never loaded */
	if (!error)
		error = remember(z, what, domain, NULL);
	if (error) {
		give_up(z, t);
		return error;
	}
	return commit(z, t, &version);
}

static void explain(const struct zones *z, int error, char *text)
{
	switch (-error) {
	case ENOSPC:
		snprintf(text, ZONES_TEXT, "the table is full (table: memory:)");
		break;
	case ENOMEM:
		snprintf(text, ZONES_TEXT, "out of memory");
		break;
	case E2BIG:
		snprintf(text, ZONES_TEXT, "a name has more than 32 MiB of records");
		break;
	case EROFS:
		snprintf(text, ZONES_TEXT, "it cannot be made durable: %.400s", z->store_error);
		break;
	default:
		snprintf(text, ZONES_TEXT, "%s", strerror(-error));
	}
}

static void on_warning(void *arg, const char *text)
{
	struct job *j = arg;

	if (j->fault_cnt < ZONES_FAULTS) {
		j->fault[j->fault_cnt] = strdup(text);
		j->fault_cnt += j->fault[j->fault_cnt] != NULL;
	}
	log_warn("%s", text);
}

/* How the denial of existence in a zone is judged. */
enum denial {
	DENIAL_SKIP,   /* not here */
	DENIAL_WARN,
	DENIAL_REFUSE, /* faults make the zone bad */
};

/* What dnssec-check says of the zone. */
static enum denial denial_of(const struct zone_entry *e)
{
	return e->dnssec_refuse ? DENIAL_REFUSE : DENIAL_WARN;
}

/* Reads the zone's file.  On failure j->text says why. */
static int read_zone(struct zones *z, struct job *j, struct records *rs, const struct zone_entry *e,
		     struct zonefile_id *id, enum denial denial)
{
	struct faults faults = {.job = j};
	int error = zonefile_read_id(rs, &e->domain, e->file, id, on_fault, &faults);

	if (!error && denial == DENIAL_REFUSE)
		error = dnssec_check(rs, &e->domain, z->nsec3_max, false, on_fault, &faults, e->file);
	else if (!error && denial == DENIAL_WARN &&
		 dnssec_check(rs, &e->domain, z->nsec3_max, true, on_warning, j, e->file) == -ENOMEM)
		error = -ENOMEM;
	if (!error)
		return 0;
	if (faults.cnt > 1)
		snprintf(j->text, ZONES_TEXT, "%.400s (and %u more)", faults.text, faults.cnt - 1);
	else if (faults.cnt == 1)
		snprintf(j->text, ZONES_TEXT, "%s", faults.text);
	else
		explain(z, error, j->text);
	return error == -EINVAL || error == -ENOMEM ? error : -EIO;
}

static int on_record(void *arg, const struct record *rr)
{
	return zone_diff_add(arg, rr);
}

static void on_nothing(void *arg, const char *text)
{
	(void)arg;
	(void)text;
}

static int on_changed(void *arg, const struct rrset_change *of, const struct records *rs)
{
	return zone_check_name(rs, of->owner, arg, 0, NULL, on_nothing, NULL);
}

/* Reads the file of a zone that stands and publishes what is different in it, with memory for no more
 * than that.  After an error nothing has happened; but for -EROFS another way may lead on, or tell
 * what is wrong: to read it as a whole. */
static int put_difference(struct zones *z, const struct zone_entry *e, enum remember what,
			  struct zonefile_id *id)
{
	const struct rrset_change *change;
	struct zone_diff *d;
	size_t cnt;
	int error = zone_diff_open(&d, z->db, &e->domain);

	if (error)
		return error;
	error = zonefile_each(&e->domain, e->file, id, on_record, d);
	if (!error)
		error = zone_diff_end(d, &change, &cnt);
	if (!error)
		error = try_change(z, &e->domain, change, cnt, on_changed, what, e->file);
	if (error == -ENOSPC && wait_for_memory(z))
		error = try_change(z, &e->domain, change, cnt, on_changed, what, e->file);
	zone_diff_free(d);
	return error;
}

static int read_stored(struct zones *z, struct job *j, const struct zone_entry *e,
		       const struct store_zone *known, bool same, struct records *rs);

/* Reads the zone and publishes it: its file, or what is known of it in the store, which stands on that
 * file if `same`.  Twice if memory had to come free first, since publishing takes the records.  On
 * failure j->text says why. */
static int put_whole(struct zones *z, struct job *j, const struct zone_entry *e, enum remember what,
		     struct zonefile_id *id, const struct store_zone *known, bool same)
{
	struct records rs;
	bool again = false;
	int error;

	do {
		records_init(&rs);
		error = known ? read_stored(z, j, e, known, same, &rs) : read_zone(z, j, &rs, e, id, denial_of(e));
		if (error) {
			records_free(&rs);
			return error;
		}
		error = put(z, &e->domain, &rs, what, e->file);
		again = error == -ENOSPC && !again && wait_for_memory(z);
	} while (again);
	if (error)
		explain(z, error, j->text);
	return error;
}

/* Reads the zone's file and publishes it.  On failure what stood stays. */
static int put_zone(struct zones *z, struct job *j, struct zone_entry *e, enum remember what)
{
	struct zonefile_id id = {0};
	int error = e->state == ZONE_LOADED ? put_difference(z, e, what, &id) : -ENOENT;

	if (error == -EROFS)
		explain(z, error, j->text);
	else if (error)
		error = put_whole(z, j, e, what, &id, NULL, false);
	if (!error) {
		uv_mutex_lock(&z->mutex);
		j->dropped += e->changes;
		e->changes = 0;
		uv_mutex_unlock(&z->mutex);
		e->id = id;
	}
	return error;
}

/* What stands of a zone now. */
static void zone_now(struct zones *z, const struct name *domain, struct zone_info *info)
{
	*info = (struct zone_info){0};
	reader_online(&z->reader);
	reader_begin(&z->reader);
	reader_zone(&z->reader, domain, info);
	reader_end(&z->reader);
	reader_offline(&z->reader);
}

static int restore_zone(struct zones *z, struct job *j, struct zone_entry *e,
			const struct store_zone *known, enum remember what);

/* Loads a zone that is not served: what was changed in it at run time is part of it, unless that
 * may be dropped. */
static int first_zone(struct zones *z, struct job *j, struct zone_entry *e, enum remember what)
{
	struct store_zone known;
	int error = z->store ? store_find(z->store, &e->domain, &known) : -ENOENT;

	if (!error && known.changes > 0 && !j->force)
		return restore_zone(z, j, e, &known, what == REMEMBER_ADD ? REMEMBER_ADD_CHANGED :
				    REMEMBER_NOTHING);
	if (error != -ENOENT && error) {
		error = store_fault(z);
		snprintf(j->text, ZONES_TEXT, "%s", z->store_error);
		return error;
	}
	if (!error) {
		uv_mutex_lock(&z->mutex);
		e->changes = known.changes; /* that a forced load drops */
		uv_mutex_unlock(&z->mutex);
	}
	return put_zone(z, j, e, what);
}

/* Loads an entry's zone, which is served already or (first) is not, and notes how that went. */
static int load_entry(struct zones *z, struct job *j, struct zone_entry *e, bool first,
		      enum remember what)
{
	char domain[NAME_TEXT_MAX];
	struct zone_info info;
	uint64_t start = uv_hrtime();
	size_t told = j->error_cnt;
	int error = first ? first_zone(z, j, e, what) : put_zone(z, j, e, what);
	uint64_t took = uv_hrtime() - start;

	name_to_text(domain, e->domain.wire);
	if (!error) {
		zone_now(z, &e->domain, &info);
		snprintf(j->text, ZONES_TEXT,
			 "zone %.256s serial %u, %llu names, %llu records, %.3f s", domain,
			 info.serial, (unsigned long long)info.names,
			 (unsigned long long)info.records, (double)took / 1e9);
		log_info("%s", j->text);
	}

	uv_mutex_lock(&z->mutex);
	if (error) {
		if (what != REMEMBER_ADD) /* then it was not the zone's file */
			snprintf(e->error, sizeof(e->error), "%s", j->text);
		if (e->state != ZONE_LOADED)
			e->state = ZONE_BAD;
	} else {
		e->error[0] = '\0';
		e->state = ZONE_LOADED;
		e->serial = info.serial;
		e->names = info.names;
		e->records = info.records;
		e->loaded = time(NULL);
		e->load_ns = took;
	}
	uv_mutex_unlock(&z->mutex);
	if (error)
		log_error("zone %s %s%s%s", domain, e->state == ZONE_LOADED ?
			  "keeps its old data" : "is not served",
			  j->error_cnt > told ? "" : ": ", j->error_cnt > told ? "" : j->text);
	return error;
}

static bool stopping(struct zones *z)
{
	uv_mutex_lock(&z->mutex);

	bool stop = z->stop;

	uv_mutex_unlock(&z->mutex);
	return stop;
}

static int load_settings(struct zones *z)
{
	struct txn *t = db_begin(z->db);
	uint64_t version;

	if (!t)
		return -ENOMEM;

	int error = txn_settings(t, &z->settings);

	if (error) {
		txn_abort(t);
		return error;
	}
	return txn_commit(t, &version);
}

/* May the zone's file be read again?  Else 1 (nothing to be done) or -EBUSY. */
static int may_reload(struct zones *z, struct job *j, struct zone_entry *e)
{
	bool alone = j->kind == JOB_RELOAD || j->kind == JOB_ADD;
	char domain[NAME_TEXT_MAX];

	if (j->force || e->changes == 0)
		return 0;
	if (!alone && zonefile_same(e->file, &e->id))
		return 1;
	snprintf(j->text, ZONES_TEXT, "%.256s: %llu changes of RRsets were made since its file was "
		 "read; with --force they are dropped", name_to_text(domain, e->domain.wire),
		 (unsigned long long)e->changes);
	if (!alone) {
		log_warn("zone %s", j->text);
		uv_mutex_lock(&z->mutex);
		snprintf(e->error, sizeof(e->error), "%s", j->text);
		uv_mutex_unlock(&z->mutex);
	}
	return -EBUSY;
}

/* Reads a zone's file again if that may be; one that is not served is loaded as at the start. */
static int load_again(struct zones *z, struct job *j, struct zone_entry *e, enum remember what)
{
	bool first = e->state != ZONE_LOADED;
	int result = first ? 0 : may_reload(z, j, e);

	return result ? result : load_entry(z, j, e, first, what);
}

static int load_every(struct zones *z, struct job *j)
{
	char first_text[ZONES_TEXT] = "";
	size_t bad = 0;
	int error = 0;

	/* Only this thread adds and removes, so the places stay. */
	for (size_t i = 0; i < z->cnt; i++) {
		if (stopping(z)) {
			snprintf(j->text, ZONES_TEXT, STOPPING);
			return -ECANCELED;
		}

		int result = load_again(z, j, z->zone[i], REMEMBER_RELOAD);

		/* What a replaced zone leaves is room for the next. */
		reclaim(z);
		if (result >= 0)
			continue;
		if (bad++ == 0)
			memcpy(first_text, j->text, sizeof(first_text));
		error = result;
	}
	if (bad > 1)
		snprintf(j->text, ZONES_TEXT, "%zu zones cannot be loaded; the first: %.400s", bad, first_text);
	else if (bad == 1)
		memcpy(j->text, first_text, sizeof(first_text));
	else
		snprintf(j->text, ZONES_TEXT, "%zu zones loaded", z->cnt);
	return error;
}

/* ---- another configuration ---- */

static int take_settings(struct zones *z, const struct config *c)
{
	snprintf(z->settings.identity, SETTINGS_TEXT, "%s", c->identity);
	snprintf(z->settings.version, SETTINGS_TEXT, "%s", c->version);
	z->settings.udp_payload = c->udp_payload;
	z->dnssec_refuse = c->dnssec_check == DNSSEC_REFUSE;
	z->nsec3_max = c->nsec3_iterations_max;
	db_nsec3_limit(z->db, z->nsec3_max);
	z->settings.cookies = (uint8_t)c->cookies;
	z->settings.additional_full = (uint8_t)c->additional;
	if (c->cookie_secret_cnt > 0) {
		memcpy(z->settings.cookie_secret, c->cookie_secret, sizeof(c->cookie_secret));
		z->settings.cookie_secret_cnt = c->cookie_secret_cnt;
	} else if (z->settings.cookie_secret_cnt == 0) {
		/* One of our own until the process ends; clients just get new cookies then. */
		if (uv_random(NULL, NULL, z->settings.cookie_secret[0], COOKIE_SECRET, 0, NULL))
			return -EIO;
		z->settings.cookie_secret_cnt = 1;
	}
	return 0;
}

static void take_check(const struct zones *z, struct zone_entry *e, const struct config_zone *zone)
{
	e->dnssec_refuse = zone->dnssec_check == DNSSEC_AS_SERVER ? z->dnssec_refuse :
			   zone->dnssec_check == DNSSEC_REFUSE;
}

static void take_zone(const struct zones *z, struct zone_entry *e, const struct config_zone *zone)
{
	e->configured = true;
	take_check(z, e, zone);
}

static int config_zone_cmp(const void *a, const void *b)
{
	const struct config_zone *const *x = a, *const *y = b;

	return name_cmp((*x)->domain.wire, (*y)->domain.wire);
}

/* A zone that is no longer configured. */
static int drop_configured(struct zones *z, struct job *j, struct zone_entry *e)
{
	char domain[NAME_TEXT_MAX];
	int error = try_drop(z, &e->domain, REMEMBER_NOTHING);

	if (error == -ENOSPC && wait_for_memory(z))
		error = try_drop(z, &e->domain, REMEMBER_NOTHING);
	if (error) {
		explain(z, error, j->text);
		return error;
	}
	base_cancel(z, &e->domain);
	log_info("zone %s is no longer configured: it is gone%s", name_to_text(domain, e->domain.wire),
		 e->changes ? "; what was changed in it at run time is kept" : "");
	registry_remove(z, e);
	return 0;
}

/* A zone of the new configuration: an entry for it, if it has none, and its file. */
static int keep_configured(struct zones *z, struct job *j, const struct config_zone *zone)
{
	struct zone_entry *e = registry_find(z, &zone->domain);
	struct store_zone known;
	char domain[NAME_TEXT_MAX], *file;

	name_to_text(domain, zone->domain.wire);
	if (!e && z->store && store_find(z->store, &zone->domain, &known) == 0 &&
	    known.kind == STORE_REMOVED) {
		log_info("zone %s was removed at run time: polluxctl zone add brings it back", domain);
		return 0;
	}
	if (!e) {
		e = entry_new(&zone->domain, zone->file);
		if (!e || registry_insert(z, e)) {
			explain(z, -ENOMEM, j->text);
			return -ENOMEM;
		}
	} else if (!e->configured) {
		if (strcmp(e->file, zone->file) != 0)
			log_info("zone %s keeps the file with which it was added at run time", domain);
		take_check(z, e, zone);
		return 0;
	} else if (strcmp(e->file, zone->file) != 0) {
		file = strdup(zone->file);
		if (!file) {
			explain(z, -ENOMEM, j->text);
			return -ENOMEM;
		}
		uv_mutex_lock(&z->mutex);
		free(e->file);
		e->file = file;
		uv_mutex_unlock(&z->mutex);
	}
	take_zone(z, e, zone);
	return 0;
}

static int configure_zones(struct zones *z, struct job *j, const struct config_zone **zone)
{
	const struct config *c = j->config;
	int error = 0;

	for (size_t i = 0; i < c->zone_cnt; i++)
		zone[i] = &c->zone[i];
	qsort(zone, c->zone_cnt, sizeof(*zone), config_zone_cmp);
	for (size_t i = z->cnt; !error && i-- > 0;) {
		const struct config_zone key = {.domain = z->zone[i]->domain}, *want = &key;

		if (z->zone[i]->configured &&
		    !bsearch(&want, zone, c->zone_cnt, sizeof(*zone), config_zone_cmp))
			error = drop_configured(z, j, z->zone[i]);
	}
	for (size_t i = 0; !error && i < c->zone_cnt; i++)
		error = keep_configured(z, j, zone[i]);
	return error ? error : load_every(z, j);
}

static int configure(struct zones *z, struct job *j)
{
	const struct config_zone **zone = malloc((j->config->zone_cnt + 1) * sizeof(*zone));
	int error = zone ? 0 : -ENOMEM;

	if (!error)
		error = take_settings(z, j->config);
	if (!error)
		error = load_settings(z);
	if (error == -ENOSPC && wait_for_memory(z))
		error = load_settings(z);
	if (error)
		explain(z, error, j->text);
	else
		error = configure_zones(z, j, zone);
	free(zone);
	return error;
}

/* ---- single zones ---- */

static void swap_files(struct zones *z, struct zone_entry *e, struct job *j)
{
	char *file = e->file;

	uv_mutex_lock(&z->mutex);
	e->file = j->file;
	uv_mutex_unlock(&z->mutex);
	j->file = file;
}

/* A zone that is there: a reload, maybe from another file, which stays its file then as that of a zone
 * that was added. */
static int add_again(struct zones *z, struct job *j, struct zone_entry *e)
{
	bool same = strcmp(e->file, j->file) == 0;
	int error;

	swap_files(z, e, j);
	error = load_again(z, j, e, same ? REMEMBER_RELOAD : REMEMBER_ADD);
	if (error)
		swap_files(z, e, j);
	else if (!same)
		e->configured = false;
	return error;
}

static int add_zone(struct zones *z, struct job *j)
{
	struct zone_entry *e = registry_find(z, &j->domain);

	if (e)
		return add_again(z, j, e);
	e = entry_new(&j->domain, j->file);
	if (!e) {
		explain(z, -ENOMEM, j->text);
		return -ENOMEM;
	}

	e->dnssec_refuse = z->dnssec_refuse;

	/* Room first: nothing may fail behind the commit. */
	uv_mutex_lock(&z->mutex);

	int error = registry_grow(z);

	uv_mutex_unlock(&z->mutex);
	if (error)
		explain(z, error, j->text);
	else
		error = load_entry(z, j, e, true, REMEMBER_ADD);
	if (error)
		entry_free(e);
	else
		registry_insert(z, e);
	return error;
}

static int remove_zone(struct zones *z, struct job *j)
{
	struct zone_entry *e = registry_find(z, &j->domain);
	char domain[NAME_TEXT_MAX];
	int error;

	if (!e) {
		snprintf(j->text, ZONES_TEXT, "there is no such zone");
		return -ENOENT;
	}
	error = try_drop(z, &j->domain, REMEMBER_REMOVE);
	if (error == -ENOSPC && wait_for_memory(z))
		error = try_drop(z, &j->domain, REMEMBER_REMOVE);
	if (error) {
		explain(z, error, j->text);
		return error;
	}
	registry_remove(z, e);
	name_to_text(domain, j->domain.wire);
	snprintf(j->text, ZONES_TEXT, "zone %.400s removed", domain);
	log_info("%s", j->text);
	return 0;
}

/* ---- changes of RRsets: the writer thread ---- */

/* What a check of changed names needs. */
struct checking {
	struct faults faults;
	const struct edit *edit;
	const struct edit_zone *zone;
	const struct edit_changes *changes;
};

static int on_check(void *arg, const struct rrset_change *of, const struct records *rs)
{
	struct checking *c = arg;
	uint32_t line = c->changes->line[of - c->changes->change];

	return zone_check_name(rs, of->owner, &c->zone->apex, line <= EDIT_LINES_MAX ? line : 0,
			       c->edit->source, on_fault, &c->faults);
}

static void apply_fault(struct checking *c, const char *cause)
{
	char text[ZONES_TEXT], domain[NAME_TEXT_MAX];

	snprintf(text, sizeof(text), "%s:%lu: zone %.200s: %s", c->edit->source,
		 (unsigned long)c->zone->line, name_to_text(domain, c->zone->apex.wire), cause);
	on_fault(&c->faults, text);
}

/* Makes durable what was staged of a zone.  Where its serial was raised by itself that is a
 * change like the others: what is durable says all that changes. */
static int store_zone_change(struct zones *z, const struct txn *t, const struct edit_zone *zone,
			     const struct zone_entry *entry, struct edit_changes *c)
{
	uint8_t rdata[TXN_SOA_RDATA];
	struct record soa;

	if (txn_soa(t, &zone->apex, &soa, rdata)) {
		edit_changes_add(c, &(struct rrset_change){.owner = zone->apex.wire, .type = TYPE_SOA,
							   .rr = &soa, .rr_cnt = 1});
	}
	return store_change(z->store, &zone->apex, &entry->id, c->change, c->cnt) ? store_fault(z) : 0;
}

/* Of a zone with dnssec-check: refuse the chain of NSEC or NSEC3 records stays closed, and names that
 * change have their records in it. */
static int refuse_gap(struct txn *t, struct checking *c)
{
	char text[2 * NAME_TEXT_MAX + 100], a[NAME_TEXT_MAX], b[NAME_TEXT_MAX];
	struct name owner, following;

	if (!txn_denial_gap(t, &c->zone->apex, &owner, &following)) {
		int lacks = txn_denial_lacks(t, &c->zone->apex, &owner);

		if (lacks <= 0)
			return lacks;
		snprintf(text, sizeof(text), "the denial of existence would lack the record of %s "
			 "(dnssec-check: refuse)", name_to_text(a, owner.wire));
		apply_fault(c, text);
		return -EINVAL;
	}
	snprintf(text, sizeof(text), "the denial of existence would have a gap: the record at %s does not lead to "
		 "the following one, at %s (dnssec-check: refuse)", name_to_text(a, owner.wire),
		 name_to_text(b, following.wire));
	apply_fault(c, text);
	return -EINVAL;
}

/* Stages the changes of one zone; on failure c has told why, or it is a lack of memory. */
static int stage_zone(struct zones *z, struct txn *t, struct checking *c, struct edit_zone *zone)
{
	struct zone_entry *entry = registry_find(z, &zone->apex);
	struct edit_changes changes;
	int error;

	c->zone = zone;
	if (!entry || entry->state != ZONE_LOADED) {
		apply_fault(c, entry ? "it is not loaded" : "there is no such zone");
		return -EINVAL;
	}
	error = edit_reduce(&zone->ops, &changes);
	if (error)
		return error;
	c->changes = &changes;
	error = txn_change(t, &zone->apex, changes.change, changes.cnt, on_check, c);
	if (!error && entry->dnssec_refuse)
		error = refuse_gap(t, c);
	if (!error)
		error = store_zone_change(z, t, zone, entry, &changes);
	zone->changes = changes.cnt;
	edit_changes_free(&changes);
	if (error == -EROFS)
		return error;
	if (error && error != -ENOSPC && error != -ENOMEM && c->faults.cnt == 0)
		apply_fault(c, error == -EINVAL ? "no SOA record at the apex" : strerror(-error));
	return error == -ENOSPC || error == -ENOMEM ? error : error ? -EINVAL : 0;
}

static int try_apply(struct zones *z, struct job *j, struct checking *c)
{
	struct txn *t = db_begin(z->db);
	int error;

	if (!t)
		return -ENOMEM;
	error = store_open_change(z);
	for (size_t i = 0; !error && i < j->edit->zone_cnt; i++)
		if (j->edit->zone[i]->ops.cnt > 0)
			error = stage_zone(z, t, c, j->edit->zone[i]);
	if (error) {
		give_up(z, t);
		return error;
	}
	return commit(z, t, &j->version);
}

static void note_base(struct zones *z, struct zone_entry *e)
{
	struct store_zone known;

	if (z->store && store_find(z->store, &e->domain, &known) == 0 && store_base_due(&known))
		z->base_due = e->base_due = true;
}

/* Notes what stands now of the zones that a transaction changed. */
static void note_applied(struct zones *z, struct edit *edit)
{
	for (size_t i = 0; i < edit->zone_cnt; i++) {
		struct zone_entry *e = registry_find(z, &edit->zone[i]->apex);
		struct zone_info info;

		if (!e)
			continue; /* nothing was to be changed in it */
		zone_now(z, &edit->zone[i]->apex, &info);
		edit->zone[i]->serial = info.serial;
		uv_mutex_lock(&z->mutex);
		e->serial = info.serial;
		e->names = info.names;
		e->records = info.records;
		e->changes += edit->zone[i]->changes;
		uv_mutex_unlock(&z->mutex);
		note_base(z, e);
	}
}

static int apply(struct zones *z, struct job *j)
{
	struct checking c = {.faults = {.job = j}, .edit = j->edit};
	int error = try_apply(z, j, &c);

	if (error == -ENOSPC && wait_for_memory(z))
		error = try_apply(z, j, &c);
	if (!error)
		note_applied(z, j->edit);
	else if (c.faults.cnt > 0)
		snprintf(j->text, ZONES_TEXT, "%s", c.faults.text);
	else
		explain(z, error, j->text);
	return error;
}

/* ---- what was changed at run time comes back: the writer thread ---- */

/* Makes the changes that `ops` come to in the records that they were made on. */
static int make_changes(struct zones *z, struct job *j, const struct zone_entry *e, struct records *rs,
			const struct records *ops)
{
	struct faults faults = {.job = j};
	struct edit_changes changes;
	int error = edit_reduce(ops, &changes);

	if (!error) {
		error = edit_changes_make(&changes, rs);
		edit_changes_free(&changes);
	}
	if (!error)
		error = zone_check(rs, &e->domain, on_fault, &faults, NULL);
	if (faults.cnt > 0)
		snprintf(j->text, ZONES_TEXT, "the changes made at run time do not fit its file, which has "
			 "changed: mend it and reload the zone, or have them dropped (--force)");
	else if (error)
		explain(z, error, j->text);
	return error;
}

/* Tells of faults in the denial of existence in a zone that comes back, and of no more than
 * that, also with dnssec-check: refuse: that refuses what is new, and this is what stood.  Its
 * changes were acknowledged and passed what was asked of them then; a restart after `refuse` was set
 * or nsec3-iterations-max lowered must not take the zone away, which would be worse than faults in its
 * proofs.  They can be mended by further changes, or with a file and --force. */
static int check_stored(struct zones *z, struct job *j, const struct zone_entry *e, const struct records *rs)
{
	int result = dnssec_check(rs, &e->domain, z->nsec3_max, true, on_warning, j, NULL);
	char domain[NAME_TEXT_MAX];

	if (result == -ENOMEM) {
		explain(z, result, j->text);
		return result;
	}
	if (result && e->dnssec_refuse)
		log_warn("zone %s: served as it was in spite of these faults and dnssec-check: refuse, as its changes "
			 "at run time were acknowledged", name_to_text(domain, e->domain.wire));
	return 0;
}

/* The zone as it was when the process ended, in *rs; `same`: on the file that it stood on.  On
 * failure j->text says why. */
static int read_stored(struct zones *z, struct job *j, const struct zone_entry *e,
		       const struct store_zone *known, bool same, struct records *rs)
{
	struct zonefile_id id;
	struct records ops;
	int error;

	records_init(&ops);
	error = store_read(z->store, &e->domain, rs, &ops);
	if (error) {
		error = error == -ENOMEM ? error : store_fault(z);
		snprintf(j->text, ZONES_TEXT, "%s", error == -ENOMEM ? "out of memory" : z->store_error);
	} else if (!known->base) {
		/* Another file is new, and may be refused as such; the changes wait in the store. */
		error = read_zone(z, j, rs, e, &id, e->dnssec_refuse && !same ? DENIAL_REFUSE : DENIAL_SKIP);
	}
	if (!error)
		error = make_changes(z, j, e, rs, &ops);
	if (!error)
		error = check_stored(z, j, e, rs);
	records_free(&ops);
	return error;
}

/* Publishes a zone as it was when the process ended, in one step. */
static int restore_zone(struct zones *z, struct job *j, struct zone_entry *e,
			const struct store_zone *known, enum remember what)
{
	char domain[NAME_TEXT_MAX];
	bool same = zonefile_same(e->file, &known->id);
	int error;

	error = put_whole(z, j, e, what, NULL, known, same);
	e->id = known->id;
	uv_mutex_lock(&z->mutex);
	e->changes = known->changes;
	uv_mutex_unlock(&z->mutex);
	if (error)
		return error;
	name_to_text(domain, e->domain.wire);
	if (!same)
		log_warn("zone %s: its file has changed since %llu changes of RRsets were made; %s; a forced "
			 "reload (polluxctl zone reload --force) takes the file as it is", domain,
			 (unsigned long long)known->changes, known->base ? "the zone as it was is served" :
			 "they are applied to the new file");
	else
		log_info("zone %s: %llu changes made at run time are part of it", domain,
			 (unsigned long long)known->changes);
	note_base(z, e);
	return 0;
}

/* ---- bases: the writer thread, between jobs ---- */

/* Names on their way into a base. */
struct slice {
	struct records rs;
	bool full;
	int error;
};

static int on_slice(void *arg, const uint8_t *owner, uint16_t type, uint32_t ttl,
		    const uint8_t *rdata, uint16_t rdata_len)
{
	struct slice *s = arg;

	/* It ends between two names. */
	if (s->rs.octets > BASE_STEP && name_cmp(s->rs.rr[s->rs.cnt - 1].owner, owner) != 0) {
		s->full = true;
		return 1;
	}
	s->error = records_add(&s->rs, owner, type, ttl, rdata, rdata_len, 0, 0);
	return s->error;
}

static int base_begin(struct zones *z)
{
	size_t i = 0;
	int error;

	while (i < z->cnt && !z->zone[i]->base_due)
		i++;
	if (i == z->cnt) {
		z->base_due = false;
		return 0;
	}
	z->zone[i]->base_due = false;
	error = store_open_change(z);
	if (!error && store_base_begin(z->store, &z->base, &z->zone[i]->domain))
		error = store_fault(z);
	z->base_open = !error;
	return error;
}

static int base_slice(struct zones *z, bool first)
{
	struct slice s = {.full = false};
	int error;

	records_init(&s.rs);
	reader_online(&z->reader);
	reader_begin(&z->reader);
	error = first ? reader_walk(&z->reader, &z->base.apex, NULL, on_slice, &s) :
		reader_walk_after(&z->reader, &z->base.apex, z->base_at, on_slice, &s);
	reader_end(&z->reader);
	reader_offline(&z->reader);
	error = s.error ? s.error : error < 0 ? error : 0;
	if (!error && s.rs.cnt > 0) {
		const uint8_t *last = s.rs.rr[s.rs.cnt - 1].owner;

		memcpy(z->base_at, last, name_wire_len(last));
		if (store_base_put(z->store, &z->base, &s.rs))
			error = store_fault(z);
	}
	if (!error && !s.full) {
		z->base_open = false;
		if (store_base_end(z->store, &z->base))
			error = store_fault(z);
	}
	records_free(&s.rs);
	return error;
}

/* Writes a piece of a base, if one is due.  After an error it is left until the zone
 * changes again. */
static void base_step(struct zones *z)
{
	bool first = !z->base_open;
	int error = first ? base_begin(z) : store_open_change(z);

	if (!error && z->base_open)
		error = base_slice(z, first);
	if (z->storing) {
		hook_reached("base");
		z->storing = false;
		if (error)
			store_abort(z->store);
		else if (store_commit(z->store))
			error = store_fault(z);
		hook_reached("base-stored");
	}
	if (error)
		z->base_open = false;
}

static int do_job(struct zones *z, struct job *j)
{
	struct zone_entry *e;
	int error;

	switch (j->kind) {
	case JOB_LOAD_ALL:
		error = load_settings(z);
		if (!error)
			return load_every(z, j);
		explain(z, error, j->text);
		return error;
	case JOB_RELOAD_ALL:
		return load_every(z, j);
	case JOB_ADD:
		return add_zone(z, j);
	case JOB_REMOVE:
		return remove_zone(z, j);
	case JOB_RELOAD:
		e = registry_find(z, &j->domain);
		if (e)
			return load_again(z, j, e, REMEMBER_RELOAD);
		snprintf(j->text, ZONES_TEXT, "there is no such zone");
		return -ENOENT;
	case JOB_APPLY:
		return apply(z, j);
	case JOB_CONFIGURE:
		return configure(z, j);
	}
	return -EINVAL;
}

/* Who gave the job hears of it: what it leaves to do is not for them to wait for. */
static void job_over(struct zones *z, struct job *j)
{
	uv_mutex_lock(&z->mutex);
	queue_push(&z->finished, j);
	uv_async_send(&z->async);
	uv_mutex_unlock(&z->mutex);
}

static void writer(void *arg)
{
	struct zones *z = arg;
	unsigned jobs = 0;
	bool rested = true;

	uv_mutex_lock(&z->mutex);
	while (!z->stop) {
		struct job *j = queue_pop(&z->todo);
		bool pieces = z->base_due || z->rehash_due;

		if (!j && pieces && !rested) {
			/* The next job of a row need not wait for a piece of a base, or of hashes. */
			rested = true;
			uv_cond_timedwait(&z->wake, &z->mutex, BASE_REST_NS);
			continue;
		}
		rested = !j;
		if (!j && z->retired > 0 && !pieces)
			uv_cond_timedwait(&z->wake, &z->mutex, RECLAIM_PERIOD_NS);
		else if (!j && !pieces)
			uv_cond_wait(&z->wake, &z->mutex);
		uv_mutex_unlock(&z->mutex);
		bool turn = !j || ++jobs % BASE_TURN == 0;

		if (j) {
			j->error = do_job(z, j);
			publish_usage(z);
			job_over(z, j);
		}

		if (z->base_due && turn)
			base_step(z);
		/* A job may have changed a zone's NSEC3 chain. */
		z->rehash_due = turn ? db_rehash(z->db) : true;
		reclaim_some(z);
		uv_mutex_lock(&z->mutex);
	}
	/* A zone whose base is complete does not depend on its file any more. */
	uv_mutex_unlock(&z->mutex);
	for (uint64_t end = uv_hrtime() + BASE_STOP_NS; z->base_due && uv_hrtime() < end;)
		base_step(z);
	uv_mutex_lock(&z->mutex);
	z->ended = true;
	uv_cond_signal(&z->over);
	uv_mutex_unlock(&z->mutex);
}

/* ---- the loop thread ---- */

static void finish(struct job *j)
{
	struct zones_result r = {.error = j->error, .text = j->text, .fault = j->fault,
				 .fault_cnt = j->fault_cnt, .edit = j->edit, .version = j->version,
				 .dropped = j->dropped};

	j->done(j->arg, &r);
	job_free(j);
}

static void on_finished(uv_async_t *async)
{
	struct zones *z = async->data;

	for (;;) {
		uv_mutex_lock(&z->mutex);

		struct job *j = queue_pop(&z->finished);

		uv_mutex_unlock(&z->mutex);
		if (!j)
			return;
		finish(j);
	}
}

/* The job is taken over. */
static int give(struct zones *z, struct job *j)
{
	uv_mutex_lock(&z->mutex);

	bool stop = z->stop;

	if (!stop) {
		queue_push(&z->todo, j);
		uv_cond_signal(&z->wake);
	}
	uv_mutex_unlock(&z->mutex);
	if (stop)
		job_free(j);
	return stop ? -ECANCELED : 0;
}

static int submit(struct zones *z, enum job_kind kind, const struct name *domain,
		  const char *file, bool force, zones_done done, void *arg)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->kind = kind;
	j->force = force;
	j->done = done;
	j->arg = arg;
	if (domain)
		j->domain = *domain;
	if (file) {
		j->file = strdup(file);
		if (!j->file) {
			free(j);
			return -ENOMEM;
		}
	}
	return give(z, j);
}

static int take_config(struct zones *z, const struct config *c)
{
	int error = take_settings(z, c);

	if (error)
		return error;
	for (size_t i = 0; i < c->zone_cnt; i++) {
		struct zone_entry *e = NULL;

		if (registry_grow(z) == 0)
			e = entry_new(&c->zone[i].domain, c->zone[i].file);
		if (!e)
			return -ENOMEM;
		take_zone(z, e, &c->zone[i]);
		z->zone[z->cnt++] = e;
	}
	if (z->cnt > 0)
		qsort(z->zone, z->cnt, sizeof(*z->zone), entry_cmp);
	return 0;
}

/* Zones that were removed at run time and that the configuration no longer names. */
struct restoring {
	struct zones *z;
	struct name *forget;
	size_t forget_cnt;
	int error;
};

static int take_removed(struct restoring *r, const struct name *apex, struct zone_entry *e)
{
	char domain[NAME_TEXT_MAX];

	if (e) {
		log_info("zone %s was removed at run time: polluxctl zone add brings it back",
			 name_to_text(domain, apex->wire));
		registry_remove(r->z, e);
		return 0;
	}

	struct name *forget = realloc(r->forget, (r->forget_cnt + 1) * sizeof(*forget));

	if (!forget)
		return r->error = -ENOMEM;
	r->forget = forget;
	r->forget[r->forget_cnt++] = *apex;
	return 0;
}

static int take_added(struct restoring *r, const struct name *apex, const char *file,
		      struct zone_entry *e)
{
	char domain[NAME_TEXT_MAX], *copy;

	if (!e) {
		e = entry_new(apex, file);
		if (!e || registry_insert(r->z, e))
			return r->error = -ENOMEM;
		e->dnssec_refuse = r->z->dnssec_refuse;
		return 0;
	}
	e->configured = false; /* as if it were not named there */
	if (strcmp(e->file, file) == 0)
		return 0;
	log_info("zone %s has the file with which it was added at run time, %s",
		 name_to_text(domain, apex->wire), file);
	copy = strdup(file);
	if (!copy)
		return r->error = -ENOMEM;
	free(e->file);
	e->file = copy;
	return 0;
}

static int on_stored(void *arg, const struct name *apex, const struct store_zone *known)
{
	struct restoring *r = arg;
	struct zone_entry *e = registry_find(r->z, apex);
	char domain[NAME_TEXT_MAX];

	if (known->kind == STORE_REMOVED)
		return take_removed(r, apex, e);
	if (known->kind == STORE_ADDED)
		return take_added(r, apex, known->file, e);
	if (!e)
		log_warn("zone %s is not configured, but was: %llu changes made at run time are kept",
			 name_to_text(domain, apex->wire), (unsigned long long)known->changes);
	return 0;
}

/* Opens the store, and takes from it which zones were added and removed. */
static int take_store(struct zones *z, const char *directory)
{
	struct restoring r = {.z = z};
	int error;

	error = store_open(&z->store, directory, z->store_error, sizeof(z->store_error));
	if (error && store_exists(directory)) {
		/* Without it zones would fall back to what they were before these changes. */
		log_error("%s: what was changed at run time is in there and cannot be read", z->store_error);
		return error;
	}
	if (error) {
		log_warn("%s: changes at run time are refused", z->store_error);
		return 0;
	}
	error = store_each(z->store, on_stored, &r);
	if (error && !r.error)
		error = store_fault(z);
	for (size_t i = 0; !error && i < r.forget_cnt; i++)
		error = store_begin(z->store) || store_remove(z->store, &r.forget[i], false) ||
			store_commit(z->store) ? store_fault(z) : 0;
	free(r.forget);
	return error;
}

static void registry_free(struct zones *z)
{
	for (size_t i = 0; i < z->cnt; i++)
		entry_free(z->zone[i]);
	free(z->zone);
}

int zones_open(struct zones **out, uv_loop_t *loop, struct db *db, const struct config *c,
	       struct arena_map map, struct status_slot *slot)
{
	struct zones *z = calloc(1, sizeof(*z));

	if (!z)
		return -ENOMEM;
	z->db = db;
	reader_init(&z->reader, map, slot);
	snprintf(slot->name, sizeof(slot->name), "control writer");
	queue_init(&z->todo);
	queue_init(&z->finished);

	int error = take_config(z, c);

	if (!error)
		error = uv_mutex_init(&z->mutex);
	if (error)
		goto free_registry;
	error = take_store(z, c->data_directory);
	if (error)
		goto close_store;
	error = uv_cond_init(&z->wake);
	if (error)
		goto close_store;
	error = uv_cond_init(&z->over);
	if (error)
		goto free_wake;
	publish_usage(z);
	error = uv_async_init(loop, &z->async, on_finished);
	if (error)
		goto free_over;
	z->async.data = z;
	error = uv_thread_create(&z->thread, writer, z);
	if (error) {
		/* The loop still holds the handle: the process ends anyway. */
		uv_close((uv_handle_t *)&z->async, NULL);
		return error;
	}
	*out = z;
	return 0;

free_over:
	uv_cond_destroy(&z->over);
free_wake:
	uv_cond_destroy(&z->wake);
close_store:
	store_close(z->store);
	uv_mutex_destroy(&z->mutex);
free_registry:
	registry_free(z);
	free(z);
	return error;
}

int zones_load_all(struct zones *z, zones_done done, void *arg)
{
	return submit(z, JOB_LOAD_ALL, NULL, NULL, false, done, arg);
}

int zones_add(struct zones *z, const struct name *domain, const char *file, bool force,
	      zones_done done, void *arg)
{
	return submit(z, JOB_ADD, domain, file, force, done, arg);
}

int zones_remove(struct zones *z, const struct name *domain, zones_done done, void *arg)
{
	return submit(z, JOB_REMOVE, domain, NULL, false, done, arg);
}

int zones_reload(struct zones *z, const struct name *domain, bool force, zones_done done,
		 void *arg)
{
	return submit(z, domain ? JOB_RELOAD : JOB_RELOAD_ALL, domain, NULL, force, done, arg);
}

int zones_apply(struct zones *z, struct edit *e, zones_done done, void *arg)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j) {
		edit_free(e);
		return -ENOMEM;
	}
	j->kind = JOB_APPLY;
	j->edit = e;
	j->done = done;
	j->arg = arg;
	return give(z, j);
}

int zones_configure(struct zones *z, const struct config *c, zones_done done, void *arg)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->kind = JOB_CONFIGURE;
	j->config = c;
	j->done = done;
	j->arg = arg;
	return give(z, j);
}

int zones_each(struct zones *z, const struct name *after,
	       int (*cb)(void *arg, const struct zone_entry *e), void *arg)
{
	int result = 0;
	size_t i = 0;
	bool there;

	uv_mutex_lock(&z->mutex);
	if (after) {
		i = registry_at(z, after, &there);
		i += there;
	}
	for (; i < z->cnt && !result; i++)
		result = cb(arg, z->zone[i]);
	uv_mutex_unlock(&z->mutex);
	return result;
}

int zones_find(struct zones *z, const struct name *domain,
	       int (*cb)(void *arg, const struct zone_entry *e), void *arg)
{
	uv_mutex_lock(&z->mutex);

	struct zone_entry *e = registry_find(z, domain);
	int result = e ? cb(arg, e) : -ENOENT;

	uv_mutex_unlock(&z->mutex);
	return result;
}

void zones_usage(struct zones *z, struct zones_usage *u)
{
	uv_mutex_lock(&z->mutex);
	*u = (struct zones_usage){.arena = z->arena, .retired = z->retired, .held = z->held,
				  .pins = z->pins, .zones = z->cnt};
	for (size_t i = 0; i < z->cnt; i++)
		u->loaded += z->zone[i]->state == ZONE_LOADED;
	for (unsigned i = 0; i < STATUS_SLOTS; i++) {
		uint64_t since = z->late[i].since_ns, now = uv_hrtime();

		if (since == 0 || now - since < ZONES_STALLED_NS || z->retired == 0)
			continue;
		u->stalled[u->stalled_cnt].slot = i;
		u->stalled[u->stalled_cnt++].ns = now - since;
	}
	uv_mutex_unlock(&z->mutex);
}

bool zones_stop(struct zones *z)
{
	uint64_t end = uv_hrtime() + STOP_WAIT_NS;
	struct job *j;

	uv_mutex_lock(&z->mutex);
	z->stop = true;
	uv_cond_signal(&z->wake);
	for (uint64_t now = uv_hrtime(); !z->ended && now < end; now = uv_hrtime())
		uv_cond_timedwait(&z->over, &z->mutex, end - now);

	bool ended = z->ended;

	uv_mutex_unlock(&z->mutex);
	if (!ended)
		return false;
	uv_thread_join(&z->thread);
	on_finished(&z->async);
	while ((j = queue_pop(&z->todo))) {
		j->error = -ECANCELED;
		snprintf(j->text, ZONES_TEXT, STOPPING);
		finish(j);
	}
	uv_close((uv_handle_t *)&z->async, NULL);
	return true;
}

void zones_free(struct zones *z)
{
	registry_free(z);
	store_close(z->store);
	uv_cond_destroy(&z->over);
	uv_cond_destroy(&z->wake);
	uv_mutex_destroy(&z->mutex);
	free(z);
}
