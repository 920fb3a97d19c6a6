/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/socket/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/socket/protocol.h"
#include "control/socket/reading.h"
#include "control/unix.h"
#include "dataplane/answer/rrtype.h"
#include "dataplane/common/log.h"

#define CLIENTS_MAX 64        /* programs of the operator's; more are closed at once */
#define READ_MAX (64 << 10)   /* octets a read, of a socket or a spooled zone */
#define DISCARD_MAX (64u << 20) /* octets taken from a client that sends too much */
#define ROWS_A_LINE 256       /* zones in a "more" line: some 64 KiB */

struct client {
	uv_pipe_t pipe;
	struct server *server;
	struct client *prev, *next;
	struct lines lines;
	struct request request;    /* the one that is being answered, */
	struct request_fault fault; /* what is wrong with it, if code is not NULL, */
	char *octets;              /* and what follows its line, from malloc: */
	size_t octets_len;         /* so much of request.octets is there */
	bool busy;                 /* until its last line is written */
	bool reading;
	bool ended;                /* nothing more will be read */
	bool closed;               /* the pipe is */
	size_t discarded;          /* octets behind a request that was too long */
	uv_shutdown_t shutdown;
	unsigned refs;             /* the pipe, and a job or a file read under way */

	uv_write_t write;
	char *reply;               /* being written */
	void (*more)(struct client *c); /* what follows the line being written; NULL: nothing */

	struct edit *edit;         /* the open transaction, or NULL */
	size_t staged;             /* octets of it, as counted in the server */
	uv_work_t edit_work;       /* txn-edit: */
	int edit_result;
	json_t *faults;

	uint64_t dropped;          /* changes, by zone-reload or zone-add */
	struct name last;          /* of the zones told already, for zone-list */
	bool any;

	struct client *wait_next;  /* in the queue for the reading thread */
	uv_fs_t fs;                /* a spooled zone: */
	int spool;                 /* descriptor or -1 */
	int64_t spool_at;
	struct lines spooled;
	char *chunk;               /* READ_MAX */
};

struct server {
	struct server_parts parts;
	uv_pipe_t pipe;
	char path[UNIX_PATH_ROOM];
	struct client *first;
	unsigned clients, open;    /* connections; open transactions */
	size_t staged;             /* octets of all open transactions */
	uint64_t start_ns;
	char in[READ_MAX];

	struct reader reader;      /* of the one zone that is being spooled */
	uv_work_t work;
	struct client *spooling;
	int spool_result;
	struct client *wait, **wait_tail;
};

static void serve_next(struct client *c);
static void spool_next(struct server *s);

/* ---- birth and death of a client ---- */

/* The client's transaction is over: what it took counts no longer. */
static struct edit *take_edit(struct client *c)
{
	struct edit *e = c->edit;

	c->server->staged -= c->staged;
	c->server->open -= e != NULL;
	c->staged = 0;
	c->edit = NULL;
	return e;
}

static void release(struct client *c)
{
	struct server *s = c->server;

	if (--c->refs > 0)
		return;
	*(c->prev ? &c->prev->next : &s->first) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->clients--;
	if (c->spool >= 0)
		close(c->spool);
	lines_free(&c->spooled);
	lines_free(&c->lines);
	request_clear(&c->request);
	free(c->octets);
	edit_free(take_edit(c));
	free(c->chunk);
	free(c->reply);
	free(c);
}

static void on_closed(uv_handle_t *handle)
{
	release(handle->data);
}

static void client_close(struct client *c)
{
	if (c->closed)
		return;
	c->closed = true;
	uv_close((uv_handle_t *)&c->pipe, on_closed);
}

/* ---- replies ---- */

static void request_over(struct client *c)
{
	c->busy = false;
	if (c->spool >= 0)
		close(c->spool);
	c->spool = -1;
	lines_free(&c->spooled);
	request_clear(&c->request);
	free(c->octets);
	c->octets = NULL;
	serve_next(c);
}

static void on_written(uv_write_t *write, int status)
{
	struct client *c = write->data;

	free(c->reply);
	c->reply = NULL;
	if (status < 0) {
		client_close(c);
		return;
	}
	if (c->more)
		c->more(c);
	else
		request_over(c);
}

/* Writes a line, from malloc and taken over; `more` goes on when the client has taken
 * it.  A NULL line is a lack of memory: the client is closed. */
static void write_line(struct client *c, char *line, size_t len, void (*more)(struct client *))
{
	if (!line || c->closed) {
		free(line);
		client_close(c);
		return;
	}

	uv_buf_t buf = uv_buf_init(line, (unsigned)len);

	c->reply = line;
	c->more = more;
	c->write.data = c;
	if (uv_write(&c->write, (uv_stream_t *)&c->pipe, &buf, 1, on_written)) {
		free(c->reply);
		c->reply = NULL;
		client_close(c);
	}
}

static void send_ok(struct client *c, json_t *result)
{
	size_t len;
	char *line = reply_ok(&c->request, result, &len);

	write_line(c, line, len, NULL);
}

static void send_more(struct client *c, json_t *rows, void (*more)(struct client *))
{
	size_t len;
	char *line = reply_more(&c->request, rows, &len);

	write_line(c, line, len, more);
}

static void send_error(struct client *c, const char *code, json_t *details, const char *text)
{
	size_t len;
	char *line = reply_error(&c->request, code, details, &len, "%s", text);

	write_line(c, line, len, NULL);
}

static void set_uint(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static json_t *rows_of(json_t *rows)
{
	return json_pack("{s:o}", "rows", rows);
}

/* ---- zones ---- */

static json_t *name_json(const struct name *n)
{
	char text[NAME_TEXT_MAX];

	return protocol_text(name_to_text(text, n->wire));
}

static json_t *row(const struct zone_entry *e)
{
	json_t *o = json_object();
	bool loaded = e->state == ZONE_LOADED;
	const char *state = e->state == ZONE_WAITING ? "loading" : !loaded ? "failed" :
			    e->error[0] ? "stale" : "serving";

	json_object_set_new(o, "zone", name_json(&e->domain));
	json_object_set_new(o, "state", json_string(state));
	json_object_set_new(o, "file", protocol_text(e->file));
	json_object_set_new(o, "serial", loaded ? json_integer(e->serial) : json_null());
	json_object_set_new(o, "names", loaded ? json_integer((json_int_t)e->names) : json_null());
	json_object_set_new(o, "records", loaded ? json_integer((json_int_t)e->records) : json_null());
	set_uint(o, "changes", e->changes);
	json_object_set_new(o, "error", e->error[0] ? protocol_text(e->error) : json_null());
	return o;
}

/* A result of rows; a reload's tells what it dropped. */
static json_t *result_rows(const struct client *c, json_t *rows)
{
	json_t *o = rows_of(rows);

	if (c->request.command == COMMAND_ZONE_RELOAD)
		set_uint(o, "dropped", c->dropped);
	return o;
}

struct listing {
	json_t *rows;
	struct name last;
	size_t cnt;
};

static int on_listed(void *arg, const struct zone_entry *e)
{
	struct listing *l = arg;

	json_array_append_new(l->rows, row(e));
	l->last = e->domain;
	return ++l->cnt == ROWS_A_LINE;
}

/* A line of rows at a time, so that neither the loop nor the registry is held long. */
static void list_more(struct client *c)
{
	struct listing l = {.rows = json_array()};
	int more = zones_each(c->server->parts.zones, c->any ? &c->last : NULL, on_listed, &l);

	c->any = true;
	c->last = l.last;
	if (more)
		send_more(c, l.rows, list_more);
	else
		send_ok(c, result_rows(c, l.rows));
}

static void zone_list(struct client *c)
{
	c->any = false;
	list_more(c);
}

static int on_shown(void *arg, const struct zone_entry *e)
{
	*(json_t **)arg = row(e);
	return 0;
}

static json_t *zone_row(struct client *c)
{
	json_t *o = NULL;

	zones_find(c->server->parts.zones, &c->request.zone, on_shown, &o);
	return o;
}

static void no_such_zone(struct client *c)
{
	send_error(c, PROTOCOL_NO_SUCH_ZONE, NULL, "there is no such zone");
}

static void zone_show(struct client *c)
{
	json_t *o = zone_row(c);

	if (o)
		send_ok(c, o);
	else
		no_such_zone(c);
}

static const char *result_code(int error)
{
	switch (-error) {
	case ENOENT: return PROTOCOL_NO_SUCH_ZONE;
	case EINVAL: return PROTOCOL_BAD_ZONE;
	case EIO: return PROTOCOL_CANNOT_READ;
	case EBUSY: return PROTOCOL_CHANGED;
	case EROFS: return PROTOCOL_CANNOT_STORE;
	case ENOSPC: return PROTOCOL_TABLE_FULL;
	default: return PROTOCOL_INTERNAL;
	}
}

static json_t *details_of(const struct zones_result *r)
{
	json_t *details = r->fault_cnt ? json_array() : NULL;

	for (size_t i = 0; i < r->fault_cnt; i++)
		json_array_append_new(details, protocol_text(r->fault[i]));
	return details;
}

/* The reply to a change that went well. */
static void change_ok(struct client *c)
{
	struct request *q = &c->request;

	if (q->command == COMMAND_ZONE_REMOVE) {
		send_ok(c, json_pack("{s:o}", "zone", name_json(&q->zone)));
		return;
	}
	if (q->command == COMMAND_ZONE_RELOAD && !q->has_zone) {
		zone_list(c);
		return;
	}

	json_t *o = zone_row(c);

	if (!o) {
		no_such_zone(c); /* removed by another client since */
	} else if (q->command == COMMAND_ZONE_ADD) {
		set_uint(o, "dropped", c->dropped);
		send_ok(c, o);
	} else {
		send_ok(c, result_rows(c, json_pack("[o]", o)));
	}
}

static void on_changed(void *arg, const struct zones_result *r)
{
	struct client *c = arg;

	c->dropped = r->dropped;
	if (c->closed) {
		/* Nobody waits any more. */
	} else if (!r->error) {
		change_ok(c);
	} else {
		send_error(c, result_code(r->error), details_of(r), r->text);
	}
	release(c);
}

static void change(struct client *c)
{
	struct zones *z = c->server->parts.zones;
	struct request *q = &c->request;
	int error;

	c->refs++;
	switch (q->command) {
	case COMMAND_ZONE_ADD:
		error = zones_add(z, &q->zone, q->file, q->force, on_changed, c);
		break;
	case COMMAND_ZONE_REMOVE:
		error = zones_remove(z, &q->zone, on_changed, c);
		break;
	default:
		error = zones_reload(z, q->has_zone ? &q->zone : NULL, q->force, on_changed, c);
	}
	if (error) {
		c->refs--;
		send_error(c, PROTOCOL_INTERNAL, NULL, "out of memory");
	}
}

/* ---- the configuration ---- */

static json_t *texts(const char *const *text, size_t cnt)
{
	json_t *list = json_array();

	for (size_t i = 0; i < cnt; i++)
		json_array_append_new(list, protocol_text(text[i]));
	return list;
}

static void on_reloaded(void *arg, const struct reload_result *r)
{
	struct client *c = arg;

	if (c->closed) {
		/* Nobody waits any more. */
	} else if (!r->error) {
		send_ok(c, json_pack("{s:o,s:o}", "text", protocol_text(r->text), "restart",
				     texts(r->restart, r->restart_cnt)));
	} else {
		send_error(c, r->error == -ENOEXEC ? PROTOCOL_BAD_CONFIGURATION : result_code(r->error),
			   r->fault_cnt ? texts((const char *const *)r->fault, r->fault_cnt) : NULL, r->text);
	}
	release(c);
}

static void reload(struct client *c)
{
	c->refs++;
	if (reload_start(c->server->parts.reload, on_reloaded, c)) {
		c->refs--;
		send_error(c, PROTOCOL_INTERNAL, NULL, "out of memory");
	}
}

/* ---- transactions ---- */

static void no_transaction(struct client *c)
{
	send_error(c, PROTOCOL_NO_TRANSACTION, NULL, "no transaction is open");
}

static void txn_begin(struct client *c)
{
	const char *source = c->request.source;

	if (c->edit) {
		send_error(c, PROTOCOL_TRANSACTION_OPEN, NULL, "a transaction is open already");
		return;
	}
	c->edit = edit_new(*source ? source : "transaction", c->request.line);
	if (!c->edit) {
		send_error(c, PROTOCOL_INTERNAL, NULL, "out of memory");
		return;
	}
	c->server->open++;
	send_ok(c, json_object());
}

static void txn_abort_open(struct client *c)
{
	if (!c->edit) {
		no_transaction(c);
		return;
	}
	edit_free(take_edit(c));
	send_ok(c, json_object());
}

static int on_any_zone(void *arg, const struct zone_entry *e)
{
	(void)arg;
	(void)e;
	return 1;
}

static bool is_zone(void *arg, const struct name *domain)
{
	struct zones *z = arg;

	return zones_find(z, domain, on_any_zone, NULL) == 1;
}

static void on_edit_fault(void *arg, const char *text)
{
	struct client *c = arg;

	if (!c->faults)
		c->faults = json_array();
	json_array_append_new(c->faults, protocol_text(text));
}

/* In a thread of the pool: nothing else touches the client's transaction meanwhile. */
static void on_edit_work(uv_work_t *work)
{
	struct client *c = work->data;
	const json_t *json = c->request.text;
	const char *text = json ? json_string_value(json) : c->octets ? c->octets : "";

	c->edit_result = edit_add(c->edit, text, json ? json_string_length(json) : c->octets_len,
				  is_zone, c->server->parts.zones, on_edit_fault, c);
}

static void fail_edit(struct client *c, const char *code, const char *text)
{
	json_t *faults = c->faults;

	c->faults = NULL;
	edit_free(take_edit(c));
	send_error(c, code, faults, text);
}

static void on_edited(uv_work_t *work, int status)
{
	struct client *c = work->data;
	struct server *s = c->server;
	int error = status ? status : c->edit_result;
	size_t octets = edit_octets(c->edit);

	s->staged += octets - c->staged;
	c->staged = octets;
	if (c->closed) {
		json_decref(c->faults);
		c->faults = NULL;
	} else if (error == -EINVAL) {
		fail_edit(c, PROTOCOL_BAD_CHANGE, json_string_value(json_array_get(c->faults, 0)));
	} else if (error) {
		fail_edit(c, PROTOCOL_INTERNAL, strerror(-error));
	} else if (s->staged > PROTOCOL_STAGED_MAX) {
		fail_edit(c, PROTOCOL_TOO_MUCH, "open transactions take too much memory");
	} else {
		send_ok(c, json_object());
	}
	release(c);
}

static void txn_edit(struct client *c)
{
	if (!c->edit) {
		no_transaction(c);
		return;
	}
	c->edit_work.data = c;
	c->refs++;
	if (uv_queue_work(c->pipe.loop, &c->edit_work, on_edit_work, on_edited)) {
		c->refs--;
		fail_edit(c, PROTOCOL_INTERNAL, "out of memory");
	}
}

/* The zones that a transaction changed. */
static json_t *applied(const struct zones_result *r)
{
	json_t *o = json_object(), *zones = json_array();

	for (size_t i = 0; i < r->edit->zone_cnt; i++) {
		const struct edit_zone *z = r->edit->zone[i];
		json_t *row = json_object();

		if (z->ops.cnt == 0) {
			json_decref(row);
			continue;
		}
		json_object_set_new(row, "zone", name_json(&z->apex));
		set_uint(row, "serial", z->serial);
		json_array_append_new(zones, row);
	}
	set_uint(o, "commit", r->version);
	json_object_set_new(o, "zones", zones);
	return o;
}

static void on_applied(void *arg, const struct zones_result *r)
{
	struct client *c = arg;

	take_edit(c);
	if (c->closed) {
		/* Nobody waits any more. */
	} else if (!r->error) {
		send_ok(c, applied(r));
	} else {
		send_error(c, r->error == -EINVAL ? PROTOCOL_BAD_CHANGE : result_code(r->error),
			   details_of(r), r->text);
	}
	release(c);
}

static void txn_commit_open(struct client *c)
{
	if (!c->edit) {
		no_transaction(c);
		return;
	}
	/* Its memory counts until it is committed. */
	struct edit *e = c->edit;

	c->edit = NULL;
	c->server->open--;
	c->refs++;
	if (zones_apply(c->server->parts.zones, e, on_applied, c)) {
		c->refs--;
		send_error(c, PROTOCOL_INTERNAL, NULL, "out of memory");
	}
}

/* ---- reading a zone ---- */

static void spool_chunk(struct client *c);

static void on_chunk(uv_fs_t *fs)
{
	struct client *c = fs->data;
	ssize_t n = fs->result;
	json_t *rows = json_array();
	const char *line;
	size_t len;
	int got = 0;

	uv_fs_req_cleanup(fs);
	if (n > 0 && lines_add(&c->spooled, c->chunk, (size_t)n))
		n = UV_ENOMEM;
	while (n > 0 && (got = lines_next(&c->spooled, &line, &len)) == 1)
		json_array_append_new(rows, json_stringn(line, len));
	if (got < 0)
		n = got;
	if (c->closed) {
		json_decref(rows);
	} else if (n < 0) {
		json_decref(rows);
		send_error(c, PROTOCOL_INTERNAL, NULL, "the zone's text cannot be read back");
	} else if (n == 0) {
		send_ok(c, rows_of(rows));
	} else {
		c->spool_at += n;
		send_more(c, rows, spool_chunk);
	}
	release(c);
}

static void spool_chunk(struct client *c)
{
	uv_buf_t buf = uv_buf_init(c->chunk, READ_MAX);

	c->fs.data = c;
	c->refs++;
	if (uv_fs_read(c->pipe.loop, &c->fs, c->spool, &buf, 1, c->spool_at, on_chunk)) {
		c->refs--;
		send_error(c, PROTOCOL_INTERNAL, NULL, "the zone's text cannot be read back");
	}
}

static void on_spool_work(uv_work_t *work)
{
	struct server *s = work->data;
	struct request *q = &s->spooling->request;

	s->spool_result = reading_spool(s->parts.db, &s->reader, &q->zone, q->has_name ? &q->name : NULL);
}

static void on_spooled(uv_work_t *work, int status)
{
	struct server *s = work->data;
	struct client *c = s->spooling;
	int result = status ? status : s->spool_result;

	s->spooling = NULL;
	if (c->closed) {
		if (result >= 0)
			close(result);
	} else if (result >= 0) {
		c->spool = result;
		c->spool_at = 0;
		lines_init(&c->spooled, PROTOCOL_LINE_MAX);
		spool_chunk(c);
	} else if (result == -ENOENT) {
		send_error(c, PROTOCOL_NO_SUCH_ZONE, NULL, "no such zone is loaded");
	} else if (result == -ENODATA) {
		send_error(c, PROTOCOL_NO_SUCH_NAME, NULL, "the zone does not have that name");
	} else {
		log_error("zone-read: %s", strerror(-result));
		send_error(c, PROTOCOL_INTERNAL, NULL, strerror(-result));
	}
	release(c);
	spool_next(s);
}

/* One zone at a time, as there is one reader. */
static void spool_next(struct server *s)
{
	struct client *c;

	while (!s->spooling && (c = s->wait)) {
		s->wait = c->wait_next;
		if (!s->wait)
			s->wait_tail = &s->wait;
		s->spooling = c;
		s->work.data = s;
		if (c->closed || uv_queue_work(c->pipe.loop, &s->work, on_spool_work, on_spooled)) {
			s->spooling = NULL;
			client_close(c);
			release(c);
		}
	}
}

static void zone_read(struct client *c)
{
	struct server *s = c->server;

	if (!c->chunk)
		c->chunk = malloc(READ_MAX);
	if (!c->chunk) {
		send_error(c, PROTOCOL_INTERNAL, NULL, "out of memory");
		return;
	}
	c->refs++;
	c->wait_next = NULL;
	*s->wait_tail = c;
	s->wait_tail = &c->wait_next;
	spool_next(s);
}

/* ---- status and statistics ---- */

static json_t *worker_status(struct server *s, const struct dataplane *d, unsigned worker)
{
	struct status_slot *slot = &s->parts.status->slot[d->slot[worker]];
	uint64_t beat = atomic_load_explicit(&slot->heartbeat, memory_order_relaxed);
	uint64_t now = uv_hrtime();
	char name[sizeof(slot->name) + 1] = "";
	json_t *o = json_object();

	memcpy(name, slot->name, sizeof(slot->name));
	set_uint(o, "slot", d->slot[worker]);
	json_object_set_new(o, "name", protocol_text(name));
	set_uint(o, "heartbeat_age_ms", now > beat ? (now - beat) / 1000000 : 0);
	json_object_set_new(o, "bypassed", json_boolean(watch_bypassed(s->parts.watch, d, worker)));
	return o;
}

static json_t *dataplane_status(struct server *s)
{
	json_t *o = json_object(), *workers = json_array();
	uint32_t pid = 0;

	for (struct dataplane *d = attach_first(s->parts.attach); d; d = d->next) {
		if (d->state < DATAPLANE_WELCOMED)
			continue;
		pid = d->pid;
		for (unsigned i = 0; i < d->worker_cnt; i++)
			json_array_append_new(workers, worker_status(s, d, i));
	}
	json_object_set_new(o, "attached", json_boolean(pid != 0));
	json_object_set_new(o, "pid", pid ? json_integer(pid) : json_null());
	json_object_set_new(o, "workers", workers);
	return o;
}

/* Readers that hold up reclamation. */
static json_t *stalled_status(struct server *s, const struct zones_usage *u)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < u->stalled_cnt; i++) {
		const struct status_slot *slot = &s->parts.status->slot[u->stalled[i].slot];
		char name[sizeof(slot->name) + 1] = "";
		json_t *o = json_object();

		memcpy(name, slot->name, sizeof(slot->name));
		set_uint(o, "slot", u->stalled[i].slot);
		json_object_set_new(o, "name", protocol_text(name));
		set_uint(o, "pid", atomic_load_explicit(&slot->pid, memory_order_relaxed));
		set_uint(o, "ms", u->stalled[i].ns / 1000000);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *refused_status(struct server *s)
{
	struct attach_refused refused[ATTACH_REFUSED_MAX];
	unsigned cnt = attach_refused(s->parts.attach, refused);
	json_t *list = json_array();

	for (unsigned i = 0; i < cnt; i++)
		json_array_append_new(list, json_pack("{s:I,s:o}", "pid", (json_int_t)refused[i].pid,
						      "reason", protocol_text(refused[i].reason)));
	return list;
}

static void show_status(struct client *c)
{
	struct server *s = c->server;
	struct zones_usage u;
	json_t *o = json_object(), *table = json_object(), *transactions = json_object();

	zones_usage(s->parts.zones, &u);
	json_object_set_new(o, "version", json_string(POLLUX_VERSION));
	set_uint(o, "pid", (uint64_t)getpid());
	set_uint(o, "uptime_s", (uv_hrtime() - s->start_ns) / 1000000000);
	set_uint(o, "commit", atomic_load_explicit(&arena_map_head(&s->parts.map)->version,
						   memory_order_relaxed));
	set_uint(o, "zones", u.loaded);
	json_object_set_new(o, "dataplane", dataplane_status(s));
	json_object_set_new(o, "refused", refused_status(s));
	set_uint(table, "max", u.arena.max);
	set_uint(table, "fill", u.arena.fill);
	set_uint(table, "used", u.arena.used);
	set_uint(table, "peak", u.arena.peak);
	set_uint(table, "retired", u.retired);
	set_uint(table, "pins", u.pins);
	set_uint(table, "held", u.held);
	json_object_set_new(table, "huge", json_boolean(u.arena.huge));
	json_object_set_new(table, "stalled", stalled_status(s, &u));
	json_object_set_new(o, "table", table);
	set_uint(transactions, "open", s->open);
	set_uint(transactions, "staged", s->staged);
	json_object_set_new(o, "transactions", transactions);
	send_ok(c, o);
}

static json_t *slot_stats(const struct status_slot *slot)
{
	json_t *o = json_object(), *counters = json_object(), *rcodes = json_object(),
	       *opcodes = json_object();
	char name[sizeof(slot->name) + 1] = "", rcode[16], opcode[16];

	memcpy(name, slot->name, sizeof(slot->name));
	json_object_set_new(o, "name", protocol_text(name));
	for (unsigned i = 0; i < CNT_COUNT; i++)
		set_uint(counters, protocol_counter[i],
			 atomic_load_explicit(&slot->counter[i], memory_order_relaxed));
	for (unsigned i = 0; i < STATUS_RCODES; i++) {
		uint64_t n = atomic_load_explicit(&slot->rcode[i], memory_order_relaxed);

		if (n > 0)
			set_uint(rcodes, rcode_name(rcode, (uint16_t)i), n);
	}
	for (unsigned i = 0; i < STATUS_OPCODES; i++) {
		uint64_t n = atomic_load_explicit(&slot->opcode[i], memory_order_relaxed);

		if (n > 0)
			set_uint(opcodes, opcode_name(opcode, (uint8_t)i), n);
	}
	json_object_set_new(o, "counters", counters);
	json_object_set_new(o, "rcodes", rcodes);
	json_object_set_new(o, "opcodes", opcodes);
	return o;
}

/* Adds the counters of d's ports to sum[]; false when it has none. */
static bool add_steering(const struct dataplane *d, uint64_t sum[STEER_REASONS])
{
	bool any = false;

	for (unsigned p = 0; p < d->port_cnt; p++) {
		uint64_t counter[STEER_REASONS];

		if (steer_counters(&d->port[p].maps, counter))
			continue;
		any = true;
		for (unsigned i = 0; i < STEER_REASONS; i++)
			sum[i] += counter[i];
	}
	return any;
}

static void show_stats(struct client *c)
{
	struct server *s = c->server;
	json_t *o = json_object(), *workers = json_array(), *steering = json_object();
	uint64_t sum[STEER_REASONS] = {0};
	bool any = false;

	for (struct dataplane *d = attach_first(s->parts.attach); d; d = d->next) {
		if (d->state < DATAPLANE_WELCOMED)
			continue;
		for (unsigned i = 0; i < d->worker_cnt; i++)
			json_array_append_new(workers, slot_stats(&s->parts.status->slot[d->slot[i]]));
		any = add_steering(d, sum) || any;
	}
	for (unsigned i = 0; i < s->parts.serve_cnt; i++)
		json_array_append_new(workers, slot_stats(s->parts.serve_slot[i]));
	for (unsigned i = 0; any && i < STEER_REASONS; i++)
		set_uint(steering, steer_reason_name((enum steer_reason)i), sum[i]);
	json_object_set_new(o, "workers", workers);
	json_object_set_new(o, "steering", steering);
	send_ok(c, o);
}

/* ---- requests ---- */

static void stop_now(struct client *c)
{
	struct server *s = c->server;

	request_over(c);
	s->parts.stop(s->parts.arg);
}

static void stop_process(struct client *c)
{
	size_t len;
	char *line = reply_ok(&c->request, json_object(), &len);

	log_info("the control socket says stop");
	write_line(c, line, len, stop_now);
}

static void discard(struct client *c);

/* The request is there as a whole. */
static void answer(struct client *c)
{
	if (c->fault.code && c->request.octets < 0) {
		size_t len;
		char *line = reply_error(&c->request, c->fault.code, NULL, &len, "%s", c->fault.text);

		lines_free(&c->lines);
		write_line(c, line, len, discard);
		return;
	}
	if (c->fault.code) {
		send_error(c, c->fault.code, NULL, c->fault.text);
		return;
	}
	switch (c->request.command) {
	case COMMAND_STATUS: show_status(c); break;
	case COMMAND_ZONE_LIST: zone_list(c); break;
	case COMMAND_ZONE_SHOW: zone_show(c); break;
	case COMMAND_ZONE_ADD:
	case COMMAND_ZONE_REMOVE:
	case COMMAND_ZONE_RELOAD: change(c); break;
	case COMMAND_ZONE_READ: zone_read(c); break;
	case COMMAND_STATS: show_stats(c); break;
	case COMMAND_STOP: stop_process(c); break;
	case COMMAND_RELOAD: reload(c); break;
	case COMMAND_TXN_BEGIN: txn_begin(c); break;
	case COMMAND_TXN_EDIT: txn_edit(c); break;
	case COMMAND_TXN_COMMIT: txn_commit_open(c); break;
	case COMMAND_TXN_ABORT: txn_abort_open(c); break;
	case COMMAND_COUNT: break; /* request_parse gives no such command */
	}
}

/* Only so much is read as is wanted: what follows is the next request. */
static void on_octets_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct client *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init(c->octets + c->octets_len, (unsigned)((size_t)c->request.octets - c->octets_len));
}

static void on_octets(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *c = stream->data;

	(void)buf;
	if (n < 0) { /* cut off */
		client_close(c);
		return;
	}
	c->octets_len += (size_t)n;
	if (c->octets_len < (size_t)c->request.octets)
		return;
	uv_read_stop(stream);
	answer(c);
}

static void handle(struct client *c, const char *line, size_t len)
{
	c->busy = true;
	c->octets_len = 0;
	if (request_parse(&c->request, &c->fault, line, len) == 0)
		c->fault.code = NULL;
	if (c->request.octets > 0) {
		c->octets = malloc((size_t)c->request.octets);
		if (!c->octets) {
			client_close(c);
			return;
		}
		c->octets_len = lines_take(&c->lines, c->octets, (size_t)c->request.octets);
	}
	if (c->request.octets <= 0 || c->octets_len == (size_t)c->request.octets)
		answer(c);
	else if (c->ended || uv_read_start((uv_stream_t *)&c->pipe, on_octets_alloc, on_octets))
		client_close(c);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct client *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init(c->server->in, READ_MAX);
}

/* ---- a request that is too long ---- */

static void on_discarded(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *c = stream->data;

	(void)buf;
	if (n > 0)
		c->discarded += (size_t)n;
	if (n < 0 || c->discarded > DISCARD_MAX)
		client_close(c);
}

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
	struct client *c = shutdown->data;

	if (status || uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_discarded))
		client_close(c);
}

/* Closing at once would take the reply away from a client that is still sending. */
static void discard(struct client *c)
{
	c->shutdown.data = c;
	if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->pipe, on_shutdown))
		client_close(c);
}

static void too_long(struct client *c)
{
	size_t len;
	char *line = reply_error(NULL, PROTOCOL_TOO_LONG, NULL, &len,
				 "a request has at most %u octets", PROTOCOL_LINE_MAX);

	c->busy = true;
	lines_free(&c->lines);
	write_line(c, line, len, discard);
}

/* ---- reading requests ---- */

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *c = stream->data;

	if (n == UV_EOF)
		c->ended = true;
	else if (n < 0 || lines_add(&c->lines, buf->base, (size_t)n)) {
		client_close(c);
		return;
	}
	if (!c->busy)
		serve_next(c);
}

/* Takes the next request that has arrived, else reads on; nothing is read while a
 * request is being answered. */
static void serve_next(struct client *c)
{
	const char *line;
	size_t len;

	if (c->closed)
		return;
	if (c->reading)
		uv_read_stop((uv_stream_t *)&c->pipe);
	c->reading = false;

	int got = lines_next(&c->lines, &line, &len);

	if (got == 1)
		handle(c, line, len);
	else if (got < 0)
		too_long(c);
	else if (c->ended || uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read))
		client_close(c);
	else
		c->reading = true;
}

static void on_refused(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct server *s = stream->data;

	if (status < 0)
		return;

	struct client *c = calloc(1, sizeof(*c));

	if (!c || uv_pipe_init(stream->loop, &c->pipe, 0)) {
		free(c);
		return;
	}
	c->pipe.data = c;
	c->server = s;
	c->spool = -1;
	if (uv_accept(stream, (uv_stream_t *)&c->pipe) || s->clients >= CLIENTS_MAX) {
		log_warn("control socket: more than %u clients", CLIENTS_MAX);
		uv_close((uv_handle_t *)&c->pipe, on_refused);
		return;
	}
	lines_init(&c->lines, PROTOCOL_LINE_MAX);
	lines_init(&c->spooled, PROTOCOL_LINE_MAX);
	c->refs = 1;
	c->next = s->first;
	if (s->first)
		s->first->prev = c;
	s->first = c;
	s->clients++;
	serve_next(c);
}

int server_open(struct server **out, uv_loop_t *loop, const char *run_directory,
		const struct server_parts *parts, char *error, size_t error_size)
{
	struct server *s = calloc(1, sizeof(*s));

	if (!s) {
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	s->parts = *parts;
	s->wait_tail = &s->wait;
	s->start_ns = uv_hrtime();
	reader_init(&s->reader, parts->map, parts->reading_slot);
	snprintf(parts->reading_slot->name, sizeof(parts->reading_slot->name), "control reading");

	int fd = unix_listen(s->path, run_directory, "control.sock", SOCK_STREAM, 0660,
			     error, error_size);

	if (fd < 0) {
		free(s);
		return fd;
	}
	uv_pipe_init(loop, &s->pipe, 0);
	s->pipe.data = s;

	int result = uv_pipe_open(&s->pipe, fd);

	if (!result)
		result = uv_listen((uv_stream_t *)&s->pipe, CLIENTS_MAX, on_connection);
	if (result)
		snprintf(error, error_size, "cannot listen on %s: %s", s->path, uv_strerror(result));
	*out = s;
	return result;
}

void server_stop(struct server *s)
{
	unlink(s->path);
	uv_close((uv_handle_t *)&s->pipe, NULL);
	for (struct client *c = s->first; c; c = c->next)
		client_close(c);
}

void server_free(struct server *s)
{
	free(s);
}
