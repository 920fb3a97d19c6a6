/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/zones.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/zone/dnssec_check.h"
#include "control/zone/zonefile.h"
#include "dataplane/answer/rrtype.h"
#include "dataplane/answer/wire.h"
#include "dataplane/common/log.h"

#define NS UINT64_C(1000000000)
#define RECLAIM_PERIOD_NS (20 * NS / 1000) /* while memory waits for readers to pass */
#define FULL_WAIT_NS (NS / 2)   /* for memory to come free before "arena full" is final */
#define STOP_WAIT_NS (3 * NS)
#define STOPPING "pollux-control is stopping"

enum job_kind { JOB_LOAD_ALL, JOB_ADD, JOB_REMOVE, JOB_RELOAD, JOB_RELOAD_ALL, JOB_APPLY };

struct job {
	struct job *next;
	enum job_kind kind;
	struct name domain;
	char *file;
	struct edit *edit;
	uint64_t version;       /* of the commit of an edit */
	zones_done done;
	void *arg;
	int error;
	char text[ZONES_TEXT];
	char *fault[ZONES_FAULTS];
	size_t fault_cnt;
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
	uint64_t retired;
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
	char text[ZONES_TEXT]; /* the first one */
};

static void on_fault(void *arg, const char *text)
{
	struct faults *f = arg;
	struct job *j = f->job;

	if (f->cnt++ == 0)
		snprintf(f->text, sizeof(f->text), "%s", text);
	if (j->fault_cnt < ZONES_FAULTS) {
		j->fault[j->fault_cnt] = strdup(text);
		j->fault_cnt += j->fault[j->fault_cnt] != NULL;
	}
	log_error("%s", text);
}

static void publish_usage(struct zones *z)
{
	struct arena_usage u;
	uint64_t retired;

	db_usage(z->db, &u, &retired);
	uv_mutex_lock(&z->mutex);
	z->arena = u;
	z->retired = retired;
	uv_mutex_unlock(&z->mutex);
}

static void reclaim(struct zones *z)
{
	while (db_reclaim(z->db))
		;
	publish_usage(z);
}

/* Waits for readers to let go of retired memory.  False when none waits or none
 * came free in time: then the arena is full indeed. */
static bool wait_for_memory(struct zones *z)
{
	uint64_t end = uv_hrtime() + FULL_WAIT_NS;
	uint64_t before, after;

	reclaim(z);
	before = z->retired;
	do {
		uv_sleep(1);
		reclaim(z);
		after = z->retired;
	} while (after > 0 && uv_hrtime() < end);
	return before > 0 && after < before;
}

static int try_put(struct zones *z, const struct name *domain, const struct records *rs)
{
	struct txn *t = db_begin(z->db);
	uint64_t version;

	if (!t)
		return -ENOMEM;

	int error = txn_zone_put(t, domain, rs);

	if (error) {
		txn_abort(t);
		return error;
	}
	return txn_commit(t, &version);
}

static int try_drop(struct zones *z, const struct name *domain)
{
	struct txn *t = db_begin(z->db);
	uint64_t version;

	if (!t)
		return -ENOMEM;

	int error = txn_zone_drop(t, domain);

	if (error) {
		txn_abort(t);
		return error;
	}
	return txn_commit(t, &version);
}

static void explain(int error, char *text)
{
	switch (-error) {
	case ENOSPC:
		snprintf(text, ZONES_TEXT, "the table is full (table: memory:)");
		break;
	case ENOMEM:
		snprintf(text, ZONES_TEXT, "out of memory");
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

/* Reads the zone's file.  On failure j->text says why. */
static int read_zone(struct zones *z, struct job *j, struct records *rs, const struct zone_entry *e)
{
	struct faults faults = {.job = j};
	int error = zonefile_read(rs, &e->domain, e->file, on_fault, &faults);

	if (!error) {
		if (e->dnssec_refuse)
			error = dnssec_check(rs, &e->domain, z->nsec3_max, false, on_fault, &faults, e->file);
		else if (dnssec_check(rs, &e->domain, z->nsec3_max, true, on_warning, j, e->file) == -ENOMEM)
			error = -ENOMEM;
	}
	if (!error)
		return 0;
	if (faults.cnt > 1)
		snprintf(j->text, ZONES_TEXT, "%.400s (and %u more)", faults.text, faults.cnt - 1);
	else if (faults.cnt == 1)
		snprintf(j->text, ZONES_TEXT, "%s", faults.text);
	else
		explain(error, j->text);
	return error == -EINVAL || error == -ENOMEM ? error : -EIO;
}

/* Reads the zone's file and publishes it.  On failure what stood stays. */
static int put_zone(struct zones *z, struct job *j, const struct zone_entry *e)
{
	struct records rs;

	records_init(&rs);

	int error = read_zone(z, j, &rs, e);

	if (!error) {
		error = try_put(z, &e->domain, &rs);
		if (error == -ENOSPC && wait_for_memory(z))
			error = try_put(z, &e->domain, &rs);
		if (error)
			explain(error, j->text);
	}
	records_free(&rs);
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

/* Loads an entry's zone anew and notes how that went. */
static int load_entry(struct zones *z, struct job *j, struct zone_entry *e)
{
	char domain[NAME_TEXT_MAX];
	struct zone_info info;
	uint64_t start = uv_hrtime();
	size_t told = j->fault_cnt;
	int error = put_zone(z, j, e);
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
			  j->fault_cnt > told ? "" : ": ", j->fault_cnt > told ? "" : j->text);
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

static int load_every(struct zones *z, struct job *j)
{
	char first[ZONES_TEXT] = "";
	size_t bad = 0;
	int error = 0;

	/* Only this thread adds and removes, so the places stay. */
	for (size_t i = 0; i < z->cnt; i++) {
		if (stopping(z)) {
			snprintf(j->text, ZONES_TEXT, STOPPING);
			return -ECANCELED;
		}

		int result = load_entry(z, j, z->zone[i]);

		/* What a replaced zone leaves is room for the next. */
		reclaim(z);
		if (!result)
			continue;
		if (bad++ == 0)
			memcpy(first, j->text, sizeof(first));
		error = result;
	}
	if (bad > 1)
		snprintf(j->text, ZONES_TEXT, "%zu zones cannot be loaded; the first: %.400s", bad, first);
	else if (bad == 1)
		memcpy(j->text, first, sizeof(first));
	else
		snprintf(j->text, ZONES_TEXT, "%zu zones loaded", z->cnt);
	return error;
}

static int add_zone(struct zones *z, struct job *j)
{
	if (registry_find(z, &j->domain)) {
		snprintf(j->text, ZONES_TEXT, "the zone is there already");
		return -EEXIST;
	}

	struct zone_entry *e = entry_new(&j->domain, j->file);

	if (!e) {
		explain(-ENOMEM, j->text);
		return -ENOMEM;
	}

	e->dnssec_refuse = z->dnssec_refuse;

	int error = load_entry(z, j, e);

	if (!error) {
		error = registry_insert(z, e);
		if (!error)
			return 0;
		explain(error, j->text);
		try_drop(z, &j->domain);
	}
	entry_free(e);
	return error;
}

static int remove_zone(struct zones *z, struct job *j)
{
	struct zone_entry *e = registry_find(z, &j->domain);
	char domain[NAME_TEXT_MAX];
	int error = 0;

	if (!e) {
		snprintf(j->text, ZONES_TEXT, "there is no such zone");
		return -ENOENT;
	}
	if (e->state == ZONE_LOADED) {
		error = try_drop(z, &j->domain);
		if (error == -ENOSPC && wait_for_memory(z))
			error = try_drop(z, &j->domain);
	}
	if (error) {
		explain(error, j->text);
		return error;
	}
	registry_remove(z, e);
	name_to_text(domain, j->domain.wire);
	snprintf(j->text, ZONES_TEXT, "zone %.400s removed", domain);
	log_info("%s", j->text);
	return 0;
}

/* ---- changes of RRsets: the writer thread ---- */

/* Keeps the SOA that a walk meets. */
struct soa {
	uint8_t rdata[2 * NAME_MAX_LEN + 20];
	uint16_t len;
	uint32_t ttl;
};

static int on_soa(void *arg, const uint8_t *owner, uint16_t type, uint32_t ttl,
		  const uint8_t *rdata, uint16_t rdata_len)
{
	struct soa *soa = arg;

	(void)owner;
	if (type != TYPE_SOA || rdata_len > sizeof(soa->rdata) || rdata_len < 20)
		return 0;
	memcpy(soa->rdata, rdata, rdata_len);
	soa->len = rdata_len;
	soa->ttl = ttl;
	return 1;
}

/* Raises the serial (RFC 1982 section 3.1) by an operation of its own, unless there is
 * one on the SOA already, so that what is made durable says all that changes. */
static int raise_serial(struct zones *z, struct edit_zone *zone)
{
	struct soa soa = {.len = 0};
	const struct record *rr = zone->ops.rr;
	int error;

	for (size_t i = 0; i < zone->ops.cnt; i++)
		if ((rr[i].type == TYPE_SOA || rr[i].type == TYPE_ANY) &&
		    name_cmp(rr[i].owner, zone->apex.wire) == 0)
			return 0;
	reader_online(&z->reader);
	reader_begin(&z->reader);
	error = reader_walk(&z->reader, &zone->apex, &zone->apex, on_soa, &soa);
	reader_end(&z->reader);
	reader_offline(&z->reader);
	if (error < 0)
		return error;

	uint8_t *serial = soa.rdata + soa.len - 20;

	wire_write32(serial, wire_read32(serial) + 1);
	return records_add(&zone->ops, zone->apex.wire, TYPE_SOA, soa.ttl, soa.rdata, soa.len,
			   EDIT_SET, EDIT_LINES_MAX + 1);
}

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
	error = raise_serial(z, zone);
	if (!error)
		error = edit_reduce(&zone->ops, &changes);
	if (error)
		return error;
	c->changes = &changes;
	error = txn_change(t, &zone->apex, changes.change, changes.cnt, on_check, c);
	edit_changes_free(&changes);
	if (error && error != -ENOSPC && error != -ENOMEM && c->faults.cnt == 0)
		apply_fault(c, error == -EINVAL ? "no SOA record at the apex" : strerror(-error));
	return error == -ENOSPC || error == -ENOMEM ? error : error ? -EINVAL : 0;
}

static int try_apply(struct zones *z, struct job *j, struct checking *c)
{
	struct txn *t = db_begin(z->db);
	int error = 0;

	if (!t)
		return -ENOMEM;
	for (size_t i = 0; !error && i < j->edit->zone_cnt; i++)
		if (j->edit->zone[i]->ops.cnt > 0)
			error = stage_zone(z, t, c, j->edit->zone[i]);
	if (error) {
		txn_abort(t);
		return error;
	}
	return txn_commit(t, &j->version);
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
		uv_mutex_unlock(&z->mutex);
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
		explain(error, j->text);
	return error;
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
		explain(error, j->text);
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
			return load_entry(z, j, e);
		snprintf(j->text, ZONES_TEXT, "there is no such zone");
		return -ENOENT;
	case JOB_APPLY:
		return apply(z, j);
	}
	return -EINVAL;
}

static void writer(void *arg)
{
	struct zones *z = arg;

	uv_mutex_lock(&z->mutex);
	while (!z->stop) {
		struct job *j = queue_pop(&z->todo);

		if (!j && z->retired > 0)
			uv_cond_timedwait(&z->wake, &z->mutex, RECLAIM_PERIOD_NS);
		else if (!j)
			uv_cond_wait(&z->wake, &z->mutex);
		uv_mutex_unlock(&z->mutex);
		if (j)
			j->error = do_job(z, j);
		reclaim(z);
		uv_mutex_lock(&z->mutex);
		if (j) {
			queue_push(&z->finished, j);
			uv_async_send(&z->async);
		}
	}
	z->ended = true;
	uv_cond_signal(&z->over);
	uv_mutex_unlock(&z->mutex);
}

/* ---- the loop thread ---- */

static void finish(struct job *j)
{
	struct zones_result r = {.error = j->error, .text = j->text, .fault = j->fault,
				 .fault_cnt = j->fault_cnt, .edit = j->edit, .version = j->version};

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

static void give(struct zones *z, struct job *j)
{
	uv_mutex_lock(&z->mutex);
	queue_push(&z->todo, j);
	uv_cond_signal(&z->wake);
	uv_mutex_unlock(&z->mutex);
}

static int submit(struct zones *z, enum job_kind kind, const struct name *domain,
		  const char *file, zones_done done, void *arg)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->kind = kind;
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
	give(z, j);
	return 0;
}

static int take_config(struct zones *z, const struct config *c)
{
	snprintf(z->settings.identity, SETTINGS_TEXT, "%s", c->identity);
	snprintf(z->settings.version, SETTINGS_TEXT, "%s", c->version);
	z->settings.udp_payload = c->udp_payload;
	z->dnssec_refuse = c->dnssec_check == DNSSEC_REFUSE;
	z->nsec3_max = c->nsec3_iterations_max;
	db_nsec3_limit(z->db, z->nsec3_max);
	for (size_t i = 0; i < c->zone_cnt; i++) {
		struct zone_entry *e = NULL;

		if (registry_grow(z) == 0)
			e = entry_new(&c->zone[i].domain, c->zone[i].file);
		if (!e)
			return -ENOMEM;
		e->dnssec_refuse = c->zone[i].dnssec_check == DNSSEC_AS_SERVER ? z->dnssec_refuse :
				   c->zone[i].dnssec_check == DNSSEC_REFUSE;
		z->zone[z->cnt++] = e;
	}
	if (z->cnt > 0)
		qsort(z->zone, z->cnt, sizeof(*z->zone), entry_cmp);
	return 0;
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
	error = uv_cond_init(&z->wake);
	if (error)
		goto free_mutex;
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
free_mutex:
	uv_mutex_destroy(&z->mutex);
free_registry:
	registry_free(z);
	free(z);
	return error;
}

int zones_load_all(struct zones *z, zones_done done, void *arg)
{
	return submit(z, JOB_LOAD_ALL, NULL, NULL, done, arg);
}

int zones_add(struct zones *z, const struct name *domain, const char *file,
	      zones_done done, void *arg)
{
	return submit(z, JOB_ADD, domain, file, done, arg);
}

int zones_remove(struct zones *z, const struct name *domain, zones_done done, void *arg)
{
	return submit(z, JOB_REMOVE, domain, NULL, done, arg);
}

int zones_reload(struct zones *z, const struct name *domain, zones_done done, void *arg)
{
	return submit(z, domain ? JOB_RELOAD : JOB_RELOAD_ALL, domain, NULL, done, arg);
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
	give(z, j);
	return 0;
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
	*u = (struct zones_usage){.arena = z->arena, .retired = z->retired, .zones = z->cnt};
	for (size_t i = 0; i < z->cnt; i++)
		u->loaded += z->zone[i]->state == ZONE_LOADED;
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
	uv_cond_destroy(&z->over);
	uv_cond_destroy(&z->wake);
	uv_mutex_destroy(&z->mutex);
	free(z);
}
