/* SPDX-License-Identifier: GPL-3.0-or-later */
/* arena.h - the shared memory that holds all zone data, and its allocator.
 *
 * The arena is a memfd.  The control process is its only writer; every other
 * process maps a descriptor that was reopened read-only.  References inside it
 * are not pointers but `ref`s: offsets in units of 16 octets, so that 32 bits
 * reach 64 GiB; 0 is no reference.
 *
 * The whole range is reserved at its maximum (MAP_NORESERVE) and backed step by
 * step with fallocate: that call's ENOSPC, not a SIGBUS at a touch, is how the
 * writer learns that memory has ended.  `fill` is published before any ref into
 * a new part is, so a reader may touch exactly the octets below it.
 *
 * Allocation bookkeeping is private to the writer.  Small blocks come from
 * 64 KiB chunks of one size class each (at most a quarter is lost to
 * rounding); chunks that empty go back to a list that any class or
 * a large block can draw from, so churn does not fragment the arena.
 */
#ifndef POLLUX_ARENA_H
#define POLLUX_ARENA_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t ref;

#define ARENA_MAGIC  UINT64_C(0x504f4c4c55584152) /* "POLLUXAR" */
#ifndef ARENA_LAYOUT      /* a test may build with another */
#define ARENA_LAYOUT 6    /* raised with every change of anything stored in the arena */
#endif
#define ARENA_UNIT 16     /* octets */
#define ARENA_MAX (UINT64_C(1) << 36) /* octets a ref can reach */
#define ARENA_SECRET 192  /* octets; XXH3 wants at least 136 */

/* The first octets of the arena; what is here never moves.  Fields are written
 * by the writer only.  The edges are named and argued in db.h. */
struct arena_head {
	uint64_t magic;
	uint32_t layout;
	uint32_t unit;
	uint64_t size;            /* octets reserved: the configured maximum */
	uint8_t  secret[ARENA_SECRET]; /* random per boot of the control process */

	alignas(64) _Atomic uint64_t version; /* the commit counter (edge V) */
	_Atomic uint64_t epoch;   /* grows with every batch of retired memory (edge E) */
	_Atomic uint64_t fill;    /* octets that may be touched (edge F) */
	_Atomic ref table;        /* current hash table (edge T) */
	_Atomic ref settings;     /* current settings block, or 0 */
	_Atomic uint64_t depths[2]; /* bit d: some loaded apex has d labels; may hold more */
};

struct arena; /* the writer's handle */

enum arena_huge { ARENA_HUGE_NO, ARENA_HUGE_AUTO, ARENA_HUGE_YES };

/* arena_create - make an arena of at most `max` octets (rounded up to 2 MiB,
 * refused above ARENA_MAX).  HUGE_AUTO takes reserved 2 MiB pages when as many as `max`
 * needs are free, else ordinary shared memory of which the kernel is asked to make huge
 * pages, part by part as it is backed (MADV_COLLAPSE); HUGE_YES fails without reserved ones.
 * 0 or -errno. */
int arena_create(struct arena **out, uint64_t max, enum arena_huge huge);
void arena_destroy(struct arena *a);

/* arena_reader_fd - a new read-only descriptor of it, to be passed to a reader
 * and closed by the caller; or -errno. */
int arena_reader_fd(const struct arena *a);

struct arena_head *arena_head(const struct arena *a);

/* arena_alloc - `size` octets (1 or more), 16-aligned, contents undefined.
 * Returns 0 when the arena is full; nothing has changed then. */
ref arena_alloc(struct arena *a, size_t size);

/* arena_free - give a block back.  No reader may be able to reach it. */
void arena_free(struct arena *a, ref r);

struct arena_usage {
	uint64_t max;       /* octets configured */
	uint64_t fill;      /* octets backed by memory */
	uint64_t used;      /* octets in live blocks, rounding included */
	uint64_t held;      /* octets of the 64 KiB chunks they lie in */
	uint64_t peak;      /* largest `used` so far */
	bool huge;          /* all in 2 MiB pages */
};
void arena_usage(const struct arena *a, struct arena_usage *u);

/* A reader's mapping of the arena.  Plain data, one per process. */
struct arena_map {
	const uint8_t *base;
	uint64_t size;
};

/* arena_map - map a descriptor that came from arena_reader_fd in another
 * process, read-only.  Checks size, magic and layout version first.  0, -errno,
 * or -EPROTO when it is another layout (then *layout holds which). */
int arena_map(struct arena_map *m, int fd, uint32_t *layout);
void arena_unmap(struct arena_map *m);

/* arena_map_of - the writer's own mapping, for readers in its process. */
struct arena_map arena_map_of(const struct arena *a);

static inline const struct arena_head *arena_map_head(const struct arena_map *m)
{
	return (const struct arena_head *)m->base;
}

static inline const void *arena_at(const uint8_t *base, ref r)
{
	return base + (uint64_t)r * ARENA_UNIT;
}

#endif
