/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store.c - what was changed at run time, on disk; see store.h.
 *
 * Three tables: "zone" by apex; "journal" by apex and number; "base" by apex, base and
 * part.  An apex in wire form ends itself, so none is the beginning of another.
 * Numbers in keys are big-endian, so that keys sort as they count. */
#define XXH_INLINE_ALL
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "dataplane/answer/rrtype.h"
#include "dataplane/answer/wire.h"
#include "edit.h"

#define STORE_LAYOUT 1
#define MAP_SIZE ((size_t)64 << 30)  /* octets of address space: the most that it can hold */
#define PART ((size_t)1 << 20)       /* octets of a value, about: its last RRset may be long */
#define PART_ROOM (PART + (256u << 10)) /* mostly enough */
#define MANY UINT16_MAX              /* for a number of records: 32 bits with it follow */

struct store {
	int lock;                    /* a file that is locked */
	MDB_env *env;
	MDB_dbi zone, journal, base;
	MDB_txn *txn;                /* store_begin's */
	uint8_t *part;
	size_t len, room;            /* octets of it */
	char error[256];
};

/* Value of a zone, followed by the file's path. */
struct stored {
	uint32_t kind, base;
	uint64_t changes, octets, base_octets;
	uint64_t next;               /* number of the next journal entry */
	uint64_t size, hash;
	int64_t mtime_ns;
	uint32_t next_base;          /* numbers are never used twice */
	uint32_t file_len;
};

static int fail(struct store *s, const char *what, int rc)
{
	snprintf(s->error, sizeof(s->error), "the store: %s: %s", what, mdb_strerror(rc));
	return -EIO;
}

static int damaged(struct store *s)
{
	snprintf(s->error, sizeof(s->error), "the store is damaged");
	return -EIO;
}

const char *store_error(const struct store *s)
{
	return s->error;
}

/* ---- birth and death ---- */

/* The directory, with its parents; 0 or -errno. */
static int make_directory(const char *directory)
{
	char path[STORE_FILE_MAX + 1];

	if (strlen(directory) >= sizeof(path))
		return -ENAMETOOLONG;
	strcpy(path, directory);
	for (char *p = path + 1; ; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return -errno;
		*p = c;
		if (c == '\0')
			return 0;
	}
}

static int open_tables(struct store *s)
{
	MDB_dbi meta;
	MDB_val key = {6, "layout"}, value;
	uint32_t layout = STORE_LAYOUT;
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &meta);
	if (!rc)
		rc = mdb_dbi_open(txn, "zone", MDB_CREATE, &s->zone);
	if (!rc)
		rc = mdb_dbi_open(txn, "journal", MDB_CREATE, &s->journal);
	if (!rc)
		rc = mdb_dbi_open(txn, "base", MDB_CREATE, &s->base);
	if (!rc)
		rc = mdb_get(txn, meta, &key, &value);
	if (rc == MDB_NOTFOUND) {
		value = (MDB_val){sizeof(layout), &layout};
		rc = mdb_put(txn, meta, &key, &value, 0);
	} else if (!rc && (value.mv_size != sizeof(layout) ||
			   memcmp(value.mv_data, &layout, sizeof(layout)) != 0)) {
		rc = MDB_VERSION_MISMATCH;
	}
	if (!rc)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

static int open_env(struct store *s, const char *path)
{
	int rc = mdb_env_create(&s->env);

	if (!rc)
		rc = mdb_env_set_maxdbs(s->env, 4);
	if (!rc)
		rc = mdb_env_set_mapsize(s->env, MAP_SIZE);
	if (!rc)
		rc = mdb_env_open(s->env, path, MDB_NOSUBDIR | MDB_NOTLS, 0640);
	return rc ? rc : open_tables(s);
}

int store_open(struct store **out, const char *directory, char *error, size_t error_size)
{
	struct store *s = calloc(1, sizeof(*s));
	char path[STORE_FILE_MAX + 16];
	int rc = make_directory(directory);

	if (!s || !(s->part = malloc(PART_ROOM))) {
		free(s);
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	s->room = PART_ROOM;
	/* A file of its own: the directory may be the run directory, too, which has a lock. */
	snprintf(path, sizeof(path), "%s/zones.lock", directory);
	s->lock = rc ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (s->lock < 0) {
		rc = rc ? rc : -errno;
		snprintf(error, error_size, "data-directory %s: %s", directory, strerror(-rc));
		store_close(s);
		return rc;
	}
	if (flock(s->lock, LOCK_EX | LOCK_NB)) {
		rc = -errno;
		snprintf(error, error_size, "data-directory %s: another process has it", directory);
		store_close(s);
		return rc;
	}
	snprintf(path, sizeof(path), "%s/zones.mdb", directory);
	rc = open_env(s, path);
	if (rc) {
		snprintf(error, error_size, "%s: %s", path, mdb_strerror(rc));
		store_close(s);
		return -EIO;
	}
	*out = s;
	return 0;
}

bool store_exists(const char *directory)
{
	char path[STORE_FILE_MAX + 16];
	struct stat st;

	snprintf(path, sizeof(path), "%s/zones.mdb", directory);
	return stat(path, &st) == 0 && st.st_size > 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->txn)
		mdb_txn_abort(s->txn);
	if (s->env)
		mdb_env_close(s->env);
	if (s->lock >= 0)
		close(s->lock);
	free(s->part);
	free(s);
}

int store_begin(struct store *s)
{
	int rc = mdb_txn_begin(s->env, NULL, 0, &s->txn);

	return rc ? fail(s, "cannot write", rc) : 0;
}

int store_commit(struct store *s)
{
	int rc = mdb_txn_commit(s->txn);

	s->txn = NULL;
	return rc ? fail(s, "cannot write", rc) : 0;
}

void store_abort(struct store *s)
{
	if (s->txn)
		mdb_txn_abort(s->txn);
	s->txn = NULL;
}

/* ---- zones ---- */

static bool take_stored(const MDB_val *v, struct stored *d, char *file)
{
	if (v->mv_size < sizeof(*d))
		return false;
	memcpy(d, v->mv_data, sizeof(*d));
	if (d->file_len > STORE_FILE_MAX || v->mv_size != sizeof(*d) + d->file_len ||
	    d->kind > STORE_REMOVED)
		return false;
	if (file) {
		memcpy(file, (const char *)v->mv_data + sizeof(*d), d->file_len);
		file[d->file_len] = '\0';
	}
	return true;
}

static void tell_zone(struct store_zone *z, const struct stored *d)
{
	z->kind = d->kind;
	z->id = (struct zonefile_id){.size = d->size, .mtime_ns = d->mtime_ns, .hash = d->hash};
	z->changes = d->changes;
	z->octets = d->octets;
	z->base_octets = d->base_octets;
	z->base = d->base;
}

static MDB_val apex_key(const struct name *apex)
{
	return (MDB_val){apex->len, (void *)apex->wire};
}

/* 0, MDB_NOTFOUND, another of LMDB's, or MDB_CORRUPTED. */
static int get_stored(struct store *s, MDB_txn *txn, const struct name *apex, struct stored *d,
		      char *file)
{
	MDB_val key = apex_key(apex), value;
	int rc = mdb_get(txn, s->zone, &key, &value);

	if (rc)
		return rc;
	return take_stored(&value, d, file) ? 0 : MDB_CORRUPTED;
}

static int put_stored(struct store *s, const struct name *apex, struct stored *d, const char *file)
{
	MDB_val key = apex_key(apex), value = {sizeof(*d) + d->file_len, NULL};
	int rc = mdb_put(s->txn, s->zone, &key, &value, MDB_RESERVE);

	if (rc)
		return fail(s, "cannot write", rc);
	memcpy(value.mv_data, d, sizeof(*d));
	memcpy((char *)value.mv_data + sizeof(*d), file, d->file_len);
	return 0;
}

/* A transaction for reading, begun and ended around one function. */
static int read_begin(struct store *s, MDB_txn **txn)
{
	int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, txn);

	return rc ? fail(s, "cannot read", rc) : 0;
}

int store_each(struct store *s,
	       int (*cb)(void *arg, const struct name *apex, const struct store_zone *z), void *arg)
{
	MDB_cursor *cursor = NULL;
	MDB_val key, value;
	MDB_txn *txn;
	int result = read_begin(s, &txn), rc;

	if (result)
		return result;
	rc = mdb_cursor_open(txn, s->zone, &cursor);
	while (!rc && !result && !(rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))) {
		struct store_zone z;
		struct stored d;
		struct name apex;

		if (name_from_wire(&apex, key.mv_data, key.mv_size) != key.mv_size ||
		    !take_stored(&value, &d, z.file)) {
			result = damaged(s);
		} else {
			tell_zone(&z, &d);
			result = cb(arg, &apex, &z);
		}
	}
	if (cursor)
		mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return result ? result : rc == MDB_NOTFOUND || !rc ? 0 : fail(s, "cannot read", rc);
}

int store_find(struct store *s, const struct name *apex, struct store_zone *z)
{
	MDB_txn *txn;
	struct stored d;
	int error = read_begin(s, &txn), rc;

	if (error)
		return error;
	rc = get_stored(s, txn, apex, &d, z->file);
	mdb_txn_abort(txn);
	if (rc == MDB_NOTFOUND)
		return -ENOENT;
	if (rc)
		return fail(s, "cannot read", rc);
	tell_zone(z, &d);
	return 0;
}

/* ---- RRsets as octets ---- */

/* A part is a checksum of what follows, then RRsets: type, number of records (0: it
 * goes; MANY), the owner, and of each record TTL, length and RDATA. */
#define CHECKSUM 8

static void part_begin(struct store *s)
{
	uint8_t *part = s->room > PART_ROOM ? realloc(s->part, PART_ROOM) : NULL;

	if (part) {
		s->part = part;
		s->room = PART_ROOM;
	}
	s->len = CHECKSUM;
}

static void part_octets(struct store *s, const void *octets, size_t len)
{
	memcpy(s->part + s->len, octets, len);
	s->len += len;
}

static size_t set_octets(const uint8_t *owner, const struct record *rr, size_t cnt)
{
	size_t octets = 8 + name_wire_len(owner);

	for (size_t i = 0; i < cnt; i++)
		octets += 6u + rr[i].rdata_len;
	return octets;
}

/* part_set - append one RRset; false without memory. */
static bool part_set(struct store *s, const uint8_t *owner, uint16_t type,
		     const struct record *rr, size_t cnt)
{
	uint16_t head[2] = {type, cnt < MANY ? (uint16_t)cnt : MANY};
	uint32_t many = (uint32_t)cnt;
	size_t need = s->len + set_octets(owner, rr, cnt);

	/* All RRSIGs of a name are one RRset here, which may be of many MiB. */
	if (need > s->room) {
		uint8_t *part = realloc(s->part, need);

		if (!part)
			return false;
		s->part = part;
		s->room = need;
	}
	part_octets(s, head, sizeof(head));
	if (cnt >= MANY)
		part_octets(s, &many, sizeof(many));
	part_octets(s, owner, name_wire_len(owner));
	for (size_t i = 0; i < cnt; i++) {
		part_octets(s, &rr[i].ttl, 4);
		part_octets(s, &rr[i].rdata_len, 2);
		part_octets(s, rr[i].rdata, rr[i].rdata_len);
	}
	return true;
}

static int part_put(struct store *s, MDB_dbi table, const void *key, size_t key_len)
{
	MDB_val k = {key_len, (void *)key}, v = {s->len, s->part};
	uint64_t sum = XXH3_64bits(s->part + CHECKSUM, s->len - CHECKSUM);
	int rc;

	memcpy(s->part, &sum, CHECKSUM);
	rc = mdb_put(s->txn, table, &k, &v, 0);
	return rc ? fail(s, "cannot write", rc) : 0;
}

/* Reading a part: what is left of it. */
struct cut {
	const uint8_t *at;
	size_t len;
};

static bool cut_octets(struct cut *c, void *out, size_t len)
{
	if (c->len < len)
		return false;
	memcpy(out, c->at, len);
	c->at += len;
	c->len -= len;
	return true;
}

/* cut_set - read one RRset into *rs: as plain records, or as operations on line *line
 * and the one after it.  0, -ENOMEM, -EINVAL. */
static int cut_set(struct cut *c, struct records *rs, uint32_t *line)
{
	struct name owner;
	uint16_t head[2], len;
	uint32_t ttl, cnt;
	int error = 0;

	if (!cut_octets(c, head, sizeof(head)))
		return -EINVAL;
	cnt = head[1];
	if (cnt == MANY && !cut_octets(c, &cnt, sizeof(cnt)))
		return -EINVAL;
	if (!name_from_wire(&owner, c->at, c->len))
		return -EINVAL;
	c->at += owner.len;
	c->len -= owner.len;
	if (line)
		error = records_add(rs, owner.wire, head[0], 0, NULL, 0, EDIT_UNSET, ++*line);
	if (line)
		++*line;
	for (uint32_t i = 0; !error && i < cnt; i++) {
		if (!cut_octets(c, &ttl, 4) || !cut_octets(c, &len, 2) || c->len < len)
			return -EINVAL;
		error = records_add(rs, owner.wire, head[0], ttl, c->at, len, EDIT_SET,
				    line ? *line : 0);
		c->at += len;
		c->len -= len;
	}
	return error;
}

static int cut_part(const MDB_val *v, struct records *rs, uint32_t *line)
{
	struct cut c = {v->mv_data, v->mv_size};
	uint64_t sum;
	int error = 0;

	if (!cut_octets(&c, &sum, CHECKSUM) || XXH3_64bits(c.at, c.len) != sum)
		return -EINVAL;
	while (!error && c.len > 0)
		error = cut_set(&c, rs, line);
	return error;
}

/* ---- keys of parts ---- */

struct part_key {
	uint8_t octets[NAME_MAX_LEN + 8];
	size_t len, prefix;          /* prefix: the apex, or the apex and its base */
};

static struct part_key journal_key(const struct name *apex, uint64_t number)
{
	struct part_key k = {.len = apex->len + 8u, .prefix = apex->len};

	memcpy(k.octets, apex->wire, apex->len);
	wire_write32(k.octets + apex->len, (uint32_t)(number >> 32));
	wire_write32(k.octets + apex->len + 4, (uint32_t)number);
	return k;
}

static struct part_key base_key(const struct name *apex, uint32_t base, uint32_t part)
{
	struct part_key k = journal_key(apex, (uint64_t)base << 32 | part);

	k.prefix += 4;
	return k;
}

/* walk - call cb for the parts from `from` on whose keys begin as its prefix says; it may
 * delete with the cursor.  0 or one of LMDB's errors, or what cb said. */
static int walk(MDB_txn *txn, MDB_dbi table, const struct part_key *from,
		int (*cb)(void *arg, MDB_cursor *cursor, const MDB_val *key, const MDB_val *value),
		void *arg)
{
	MDB_val key = {from->len, (void *)from->octets}, value;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, table, &cursor), result = 0;

	if (rc)
		return rc;
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	while (!rc && !result && key.mv_size == from->len &&
	       memcmp(key.mv_data, from->octets, from->prefix) == 0) {
		result = cb(arg, cursor, &key, &value);
		if (!result)
			rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return result ? result : rc == MDB_NOTFOUND ? 0 : rc;
}

/* ---- reading ---- */

struct reading {
	struct records *rs;
	uint32_t line, *lines;
};

static int on_read(void *arg, MDB_cursor *cursor, const MDB_val *key, const MDB_val *value)
{
	struct reading *r = arg;

	(void)cursor;
	(void)key;
	return cut_part(value, r->rs, r->lines);
}

int store_read(struct store *s, const struct name *apex, struct records *base, struct records *ops)
{
	struct reading bases = {.rs = base}, journal = {.rs = ops};
	struct part_key key;
	struct stored d;
	MDB_txn *txn;
	int rc = read_begin(s, &txn);

	if (rc)
		return rc;
	journal.lines = &journal.line;
	rc = get_stored(s, txn, apex, &d, NULL);
	if (rc == MDB_NOTFOUND) {
		mdb_txn_abort(txn);
		return 0;
	}
	if (!rc && d.base) {
		key = base_key(apex, d.base, 0);
		rc = walk(txn, s->base, &key, on_read, &bases);
	}
	if (!rc) {
		key = journal_key(apex, 0);
		rc = walk(txn, s->journal, &key, on_read, &journal);
	}
	mdb_txn_abort(txn);
	if (rc == -ENOMEM)
		return rc;
	if (rc == -EINVAL)
		return damaged(s);
	return rc ? fail(s, "cannot read", rc) : 0;
}

/* ---- writing ---- */

/* What is known of a zone, for a change of it; of a new one nothing. */
static int known(struct store *s, const struct name *apex, struct stored *d, char *file)
{
	int rc = get_stored(s, s->txn, apex, d, file);

	if (rc == MDB_NOTFOUND) {
		*d = (struct stored){.kind = STORE_CONFIGURED, .next_base = 1};
		file[0] = '\0';
		return 0;
	}
	return rc ? fail(s, "cannot read", rc) : 0;
}

static int put_journal(struct store *s, const struct name *apex, struct stored *d)
{
	struct part_key key = journal_key(apex, d->next++);

	d->octets += s->len;
	return part_put(s, s->journal, key.octets, key.len);
}

int store_change(struct store *s, const struct name *apex, const struct zonefile_id *id,
		 const struct rrset_change *c, size_t cnt)
{
	char file[STORE_FILE_MAX + 1];
	struct stored d;
	int error = known(s, apex, &d, file);

	if (error)
		return error;
	if (d.changes == 0) {
		d.size = id->size;
		d.mtime_ns = id->mtime_ns;
		d.hash = id->hash;
	}
	d.changes += cnt;
	part_begin(s);
	for (size_t i = 0; !error && i < cnt; i++) {
		if (!part_set(s, c[i].owner, c[i].type, c[i].rr, c[i].rr_cnt))
			return fail(s, "an RRset", ENOMEM);
		if (s->len >= PART || i + 1 == cnt) {
			error = put_journal(s, apex, &d);
			part_begin(s);
		}
	}
	return error ? error : put_stored(s, apex, &d, file);
}

static int on_delete(void *arg, MDB_cursor *cursor, const MDB_val *key, const MDB_val *value)
{
	(void)arg;
	(void)key;
	(void)value;
	return mdb_cursor_del(cursor, 0);
}

/* All parts of the zone in a table. */
static int delete_all(struct store *s, MDB_dbi table, const struct name *apex)
{
	struct part_key key = journal_key(apex, 0);
	int rc = walk(s->txn, table, &key, on_delete, NULL);

	return rc ? fail(s, "cannot write", rc) : 0;
}

/* Nothing is known of the zone any more but what kind says. */
static int reset(struct store *s, const struct name *apex, enum store_kind kind, const char *file)
{
	char old_file[STORE_FILE_MAX + 1];
	MDB_val key = apex_key(apex);
	struct stored d;
	int error = known(s, apex, &d, old_file), rc;

	if (!error)
		error = delete_all(s, s->journal, apex);
	if (!error)
		error = delete_all(s, s->base, apex);
	if (error)
		return error;
	if (kind == STORE_CONFIGURED) {
		rc = mdb_del(s->txn, s->zone, &key, NULL);
		return rc && rc != MDB_NOTFOUND ? fail(s, "cannot write", rc) : 0;
	}
	/* The numbers of bases go on: one that is being written must not meet its own. */
	d = (struct stored){.kind = kind, .next_base = d.next_base, .next = d.next,
			    .file_len = (uint32_t)strlen(file)};
	return put_stored(s, apex, &d, file);
}

int store_forget(struct store *s, const struct name *apex)
{
	char file[STORE_FILE_MAX + 1];
	struct stored d;
	int error = known(s, apex, &d, file);

	return error ? error : reset(s, apex, d.kind, file);
}

int store_add(struct store *s, const struct name *apex, const char *file)
{
	if (strlen(file) > STORE_FILE_MAX)
		return fail(s, "the file's name", ENAMETOOLONG);
	return reset(s, apex, STORE_ADDED, file);
}

int store_add_changed(struct store *s, const struct name *apex, const char *file)
{
	char old_file[STORE_FILE_MAX + 1];
	struct stored d;
	int error = known(s, apex, &d, old_file);

	if (error)
		return error;
	if (strlen(file) > STORE_FILE_MAX)
		return fail(s, "the file's name", ENAMETOOLONG);
	d.kind = STORE_ADDED;
	d.file_len = (uint32_t)strlen(file);
	return put_stored(s, apex, &d, file);
}

int store_remove(struct store *s, const struct name *apex, bool configured)
{
	return reset(s, apex, configured ? STORE_REMOVED : STORE_CONFIGURED, "");
}

/* ---- bases ---- */

bool store_base_due(const struct store_zone *z)
{
	return z->changes > 0 && (z->base == 0 || (z->octets > STORE_JOURNAL_MIN &&
						   z->octets > z->base_octets));
}

struct leftover {
	uint32_t keep;               /* base */
	size_t prefix;               /* octets of the apex */
};

static int on_leftover(void *arg, MDB_cursor *cursor, const MDB_val *key, const MDB_val *value)
{
	const struct leftover *l = arg;

	(void)value;
	if (wire_read32((const uint8_t *)key->mv_data + l->prefix) == l->keep)
		return 0;
	return mdb_cursor_del(cursor, 0);
}

/* All bases but one: replaced ones, and those that a crash has cut off. */
static int delete_bases(struct store *s, const struct name *apex, uint32_t keep)
{
	struct leftover l = {keep, apex->len};
	struct part_key key = journal_key(apex, 0);
	int rc = walk(s->txn, s->base, &key, on_leftover, &l);

	return rc ? fail(s, "cannot write", rc) : 0;
}

int store_base_begin(struct store *s, struct store_base *b, const struct name *apex)
{
	char file[STORE_FILE_MAX + 1];
	struct stored d;
	int error = known(s, apex, &d, file);

	if (!error)
		error = delete_bases(s, apex, d.base);
	if (error)
		return error;
	*b = (struct store_base){.apex = *apex, .base = d.next_base++, .journal = d.next};
	return put_stored(s, apex, &d, file);
}

int store_base_put(struct store *s, struct store_base *b, const struct records *rs)
{
	int error = 0;

	part_begin(s);
	for (size_t i = 0, n; !error && i < rs->cnt; i += n) {
		const struct record *rr = &rs->rr[i];
		struct part_key key = base_key(&b->apex, b->base, b->next);

		for (n = 1; i + n < rs->cnt && rr[n].type == rr->type &&
		     name_cmp(rr[n].owner, rr->owner) == 0; n++)
			;
		if (!part_set(s, rr->owner, rr->type, rr, n))
			return fail(s, "an RRset", ENOMEM);
		if (s->len >= PART || i + n == rs->cnt) {
			error = part_put(s, s->base, key.octets, key.len);
			b->octets += s->len;
			b->next++;
			part_begin(s);
		}
	}
	return error;
}

struct older {
	uint64_t than;
	size_t prefix;
	uint64_t octets;             /* of what was deleted */
};

static int on_older(void *arg, MDB_cursor *cursor, const MDB_val *key, const MDB_val *value)
{
	struct older *o = arg;
	const uint8_t *number = (const uint8_t *)key->mv_data + o->prefix;

	if (((uint64_t)wire_read32(number) << 32 | wire_read32(number + 4)) >= o->than)
		return MDB_NOTFOUND;
	o->octets += value->mv_size;
	return mdb_cursor_del(cursor, 0);
}

int store_base_end(struct store *s, const struct store_base *b)
{
	struct older older = {.than = b->journal, .prefix = b->apex.len};
	struct part_key key = journal_key(&b->apex, 0);
	char file[STORE_FILE_MAX + 1];
	struct stored d;
	int error = known(s, &b->apex, &d, file), rc;

	if (error)
		return error;
	if (d.changes == 0 || d.next_base != b->base + 1)
		return -ESTALE;
	rc = walk(s->txn, s->journal, &key, on_older, &older);
	if (rc && rc != MDB_NOTFOUND)
		return fail(s, "cannot write", rc);
	d.octets -= older.octets;
	d.base = b->base;
	d.base_octets = b->octets;
	error = delete_bases(s, &b->apex, d.base);
	return error ? error : put_stored(s, &b->apex, &d, file);
}
