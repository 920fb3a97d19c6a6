/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "db.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "db_private.h"

static int status_create(struct db *db)
{
	db->status_fd = memfd_create("pollux-status", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (db->status_fd < 0)
		return -errno;
	if (ftruncate(db->status_fd, sizeof(struct status)) ||
	    fcntl(db->status_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		goto fail;
	db->status = mmap(NULL, sizeof(struct status), PROT_READ | PROT_WRITE, MAP_SHARED,
			  db->status_fd, 0);
	if (db->status == MAP_FAILED)
		goto fail;
	db->status->layout = STATUS_LAYOUT;
	db->status->slot_size = sizeof(struct status_slot);
	for (unsigned i = 0; i < STATUS_SLOTS; i++)
		atomic_store_explicit(&db->status->slot[i].epoch, STATUS_OFFLINE,
				      memory_order_relaxed);
	db->status->magic = STATUS_MAGIC;
	return 0;
fail:;
	int err = -errno;

	close(db->status_fd);
	return err;
}

int db_create(struct db **out, uint64_t max, enum arena_huge huge)
{
	struct db *db = calloc(1, sizeof(*db));
	int err;

	if (!db)
		return -ENOMEM;
	err = arena_create(&db->arena, max, huge);
	if (err)
		goto fail;
	db->base = (uint8_t *)arena_head(db->arena);
	db->nsec3_max = NSEC3_ITERATIONS_MAX;
	db->bake = mmap(NULL, BAKE_MAX, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (db->bake == MAP_FAILED) {
		err = -ENOMEM;
		goto fail_arena;
	}
	err = status_create(db);
	if (err)
		goto fail_bake;
	err = table_create(&db->table, db->arena);
	if (err)
		goto fail_status;
	pthread_mutex_init(&db->slots, NULL);
	*out = db;
	return 0;

fail_status:
	munmap(db->status, sizeof(*db->status));
	close(db->status_fd);
fail_bake:
	munmap(db->bake, BAKE_MAX);
fail_arena:
	arena_destroy(db->arena);
fail:
	free(db);
	return err;
}

void db_destroy(struct db *db)
{
	if (!db)
		return;
	if (db->open)
		txn_abort(&db->txn);
	while (db->first) {
		struct batch *next = db->first->next;

		batch_free(db->first);
		db->first = next;
	}
	ref_list_free(&db->zones);
	free(db->held);
	ref_list_free(&db->stale);
	pthread_mutex_destroy(&db->slots);
	munmap(db->status, sizeof(*db->status));
	close(db->status_fd);
	munmap(db->bake, BAKE_MAX);
	arena_destroy(db->arena);
	free(db);
}

void db_nsec3_limit(struct db *db, unsigned iterations)
{
	db->nsec3_max = iterations;
}

int db_arena_fd(const struct db *db)
{
	return arena_reader_fd(db->arena);
}

struct arena_map db_map(const struct db *db)
{
	return arena_map_of(db->arena);
}

int db_status_fd(const struct db *db)
{
	return db->status_fd;
}

struct status *db_status(const struct db *db)
{
	return db->status;
}

void db_usage(const struct db *db, struct arena_usage *u, uint64_t *retired)
{
	arena_usage(db->arena, u);
	*retired = db->retired;
}

bool db_crowded(const struct db *db)
{
	return table_crowded(&db->table);
}

/* ---- readers' slots ---- */

int db_reader_reserve(struct db *db, uint32_t pid, enum status_kind kind, unsigned cnt,
		      unsigned idx[])
{
	unsigned found = 0;

	pthread_mutex_lock(&db->slots);
	for (unsigned i = 0; i < STATUS_SLOTS && found < cnt; i++)
		if (!atomic_load_explicit(&db->status->slot[i].pid, memory_order_relaxed))
			idx[found++] = i;
	for (unsigned i = 0; found == cnt && i < cnt; i++) {
		struct status_slot *s = &db->status->slot[idx[i]];

		for (unsigned c = 0; c < CNT_COUNT; c++)
			atomic_store_explicit(&s->counter[c], 0, memory_order_relaxed);
		for (unsigned c = 0; c < STATUS_RCODES; c++)
			atomic_store_explicit(&s->rcode[c], 0, memory_order_relaxed);
		for (unsigned c = 0; c < STATUS_OPCODES; c++)
			atomic_store_explicit(&s->opcode[c], 0, memory_order_relaxed);
		atomic_store_explicit(&s->heartbeat, 0, memory_order_relaxed);
		atomic_store_explicit(&s->punt.tail,
			atomic_load_explicit(&s->punt.head, memory_order_relaxed),
			memory_order_relaxed);
		atomic_store_explicit(&s->kind, kind, memory_order_relaxed);
		atomic_store_explicit(&s->pid, pid, memory_order_release);
	}
	pthread_mutex_unlock(&db->slots);
	return found == cnt ? 0 : -EUSERS;
}

void db_reader_release(struct db *db, uint32_t pid)
{
	pthread_mutex_lock(&db->slots);
	for (unsigned i = 0; i < STATUS_SLOTS; i++) {
		struct status_slot *s = &db->status->slot[i];

		if (atomic_load_explicit(&s->pid, memory_order_relaxed) != pid)
			continue;
		atomic_store_explicit(&s->kind, STATUS_KIND_NONE, memory_order_relaxed);
		atomic_store_explicit(&s->epoch, STATUS_OFFLINE, memory_order_release);
		atomic_store_explicit(&s->pid, 0, memory_order_release);
	}
	pthread_mutex_unlock(&db->slots);
}

void reader_init(struct reader *r, struct arena_map map, struct status_slot *slot)
{
	*r = (struct reader){ .map = map, .slot = slot };
	reader_offline(r);
}

void reader_online(struct reader *r)
{
	const struct arena_head *h = arena_map_head(&r->map);
	uint64_t e;

	do { /* O */
		e = atomic_load_explicit(&h->epoch, memory_order_seq_cst);
		atomic_store_explicit(&r->slot->epoch, e, memory_order_seq_cst);
	} while (atomic_load_explicit(&h->epoch, memory_order_seq_cst) != e);
}

void reader_offline(struct reader *r)
{
	atomic_store_explicit(&r->slot->epoch, STATUS_OFFLINE, memory_order_release); /* Q */
}

