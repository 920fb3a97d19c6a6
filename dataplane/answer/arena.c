/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "arena.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21U << 26)
#endif

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define CHUNK (UINT64_C(64) << 10) /* octets; unit of the large allocator */
#define CHUNK_UNITS (CHUNK / ARENA_UNIT)
#define STEP (UINT64_C(2) << 20)   /* octets; the arena is backed in multiples of it, a huge page */
#define STEP_MAX (UINT64_C(32) << 20) /* octets backed at once: one call a step costs too much */

/* Size classes: 16 to 128 octets by 16, then four to each doubling, to 16 KiB.
 * Larger blocks are runs of whole chunks. */
#define CLASS_SMALL 8
#define CLASSES (CLASS_SMALL + 7 * 4)
#define CLASS_LIMIT 16384

enum chunk_state { CHUNK_UNBACKED, CHUNK_FREE, CHUNK_CLASS, CHUNK_LARGE, CHUNK_LARGE_TAIL };

struct chunk {
	uint8_t state;
	uint8_t class;
	uint16_t live;       /* blocks handed out of a CHUNK_CLASS */
	uint16_t fresh;      /* blocks never handed out begin at this index */
	ref free;            /* list of returned blocks, linked through their first octets */
	uint32_t run;        /* CHUNK_LARGE: chunks in the run */
};

struct arena {
	int fd;
	uint8_t *base;
	uint64_t size;
	uint64_t fill;       /* octets backed */
	uint64_t used, peak;
	uint64_t small;      /* octets of it that are in ordinary pages */
	bool huge;           /* of hugetlbfs */
	bool collapse;       /* ask the kernel to make huge pages of ordinary ones */
	struct chunk *chunk;
	uint32_t chunk_cnt;  /* of `size` */
	uint32_t free_cnt;   /* chunks in CHUNK_FREE */
	uint32_t lowest;     /* no free chunk below this index */
	/* Chunks of each class with room, a bit each.  The lowest is always taken from, so
	 * that after a peak the upper ones empty and can serve again as a whole. */
	struct { uint64_t *word; uint32_t first; } room[CLASSES]; /* first: no bit in a word below */
};

static unsigned class_of(size_t size)
{
	if (size <= CLASS_SMALL * 16)
		return (unsigned)((size + 15) / 16) - 1;

	unsigned shift = 63 - (unsigned)__builtin_clzll(size - 1); /* 2^shift < size <= 2^(shift+1) */

	return CLASS_SMALL + (shift - 7) * 4 + (unsigned)(((size - 1) >> (shift - 2)) & 3);
}

static uint32_t class_size(unsigned class)
{
	if (class < CLASS_SMALL)
		return (class + 1) * 16;
	class -= CLASS_SMALL;
	return (UINT32_C(128) << (class / 4)) / 4 * (4 + class % 4 + 1);
}

/* Huge pages that are free now, in octets. */
static uint64_t huge_free(void)
{
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
	unsigned long long pages = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%llu", &pages) != 1)
		pages = 0;
	fclose(f);
	return pages * STEP;
}

/* Map all of the arena's file at a multiple of 2 MiB, so that its huge pages are huge in the
 * page table, too.  MAP_FAILED and errno on failure. */
static void *map_aligned(int fd, uint64_t size, int prot)
{
	uint8_t *place = mmap(NULL, size + STEP, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			      -1, 0);

	if (place == MAP_FAILED)
		return MAP_FAILED;
	uint8_t *base = (uint8_t *)(((uintptr_t)place + STEP - 1) & ~(uintptr_t)(STEP - 1));
	void *map = mmap(base, size, prot, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0);

	if (map == MAP_FAILED) {
		munmap(place, size + STEP);
		return MAP_FAILED;
	}
	if (base > place)
		munmap(place, (size_t)(base - place));
	if (base < place + STEP)
		munmap(base + size, (size_t)(place + STEP - base));
	madvise(base, size, MADV_DONTDUMP);
	return base;
}

static int arena_open(struct arena *a, bool huge)
{
	a->fd = memfd_create("pollux-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING |
			     (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0));
	if (a->fd < 0)
		return -errno;
	a->huge = huge;
	/* The size is final: nobody, this process included, may move the end. */
	if (ftruncate(a->fd, (off_t)a->size) ||
	    fcntl(a->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		goto fail;
	a->base = map_aligned(a->fd, a->size, PROT_READ | PROT_WRITE);
	if (a->base == MAP_FAILED)
		goto fail;
	return 0;
fail:;
	int err = -errno;

	close(a->fd);
	a->fd = -1;
	return err;
}

static int back(const struct arena *a, uint64_t at, uint64_t size)
{
	while (fallocate(a->fd, 0, (off_t)at, (off_t)size))
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* Back [fill, fill + step) with huge pages of ordinary memory, before readers can have touched it.
 * One page of each is enough for the kernel to make the rest: backing all of them first would have
 * it copy them.  False if any cannot be had; what was backed stays. */
static bool back_collapsed(struct arena *a, uint64_t step)
{
	if (!a->collapse)
		return false;
	for (uint64_t at = a->fill; at < a->fill + step; at += STEP)
		if (back(a, at, 1))
			return false;
	if (madvise(a->base + a->fill, step, MADV_COLLAPSE) == 0)
		return true;
	a->collapse = errno != EINVAL; /* a kernel that knows nothing of it */
	return false;
}

/* arena_back - back the arena up to at least `want` octets. */
static int arena_back(struct arena *a, uint64_t want)
{
	if (want > a->size)
		return -ENOSPC;
	while (a->fill < want) {
		uint64_t step = a->fill < STEP_MAX ? STEP : STEP_MAX;

		if (step > a->size - a->fill)
			step = a->size - a->fill;
		if (!back_collapsed(a, step)) {
			if (back(a, a->fill, step)) {
				if (step == STEP)
					return -ENOSPC;
				step = STEP; /* the last pages may still be had one by one */
				if (back(a, a->fill, step))
					return -ENOSPC;
			}
			a->small += a->huge ? 0 : step;
		}
		for (uint64_t c = a->fill / CHUNK; c < (a->fill + step) / CHUNK; c++)
			a->chunk[c].state = CHUNK_FREE;
		a->free_cnt += (uint32_t)(step / CHUNK);
		if (a->lowest > a->fill / CHUNK)
			a->lowest = (uint32_t)(a->fill / CHUNK);
		a->fill += step;
		/* F: backed before published, published before any ref into it. */
		atomic_store_explicit(&arena_head(a)->fill, a->fill, memory_order_release);
	}
	return 0;
}

static void arena_free_private(struct arena *a)
{
	for (unsigned c = 0; c < CLASSES; c++)
		free(a->room[c].word);
	free(a->chunk);
	free(a);
}

int arena_create(struct arena **out, uint64_t max, enum arena_huge huge)
{
	static_assert(sizeof(struct arena_head) <= CHUNK, "the head fits the first chunk");
	int err;

	if (max > ARENA_MAX)
		return -EINVAL;

	struct arena *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->size = max < STEP ? STEP : (max + STEP - 1) / STEP * STEP;
	a->chunk_cnt = (uint32_t)(a->size / CHUNK);
	a->lowest = a->chunk_cnt;
	a->chunk = calloc(a->chunk_cnt, sizeof(*a->chunk));
	err = -ENOMEM;
	if (!a->chunk)
		goto fail;
	for (unsigned c = 0; c < CLASSES; c++) {
		a->room[c].word = calloc((a->chunk_cnt + 63) / 64, sizeof(uint64_t));
		if (!a->room[c].word)
			goto fail;
	}

	err = -ENOMEM;
	if (huge == ARENA_HUGE_YES || (huge == ARENA_HUGE_AUTO && huge_free() >= a->size))
		err = arena_open(a, true);
	if (err && huge != ARENA_HUGE_YES)
		err = arena_open(a, false);
	if (err)
		goto fail;
	a->collapse = !a->huge && huge != ARENA_HUGE_NO;
	err = arena_back(a, STEP);
	if (err)
		goto fail_map;
	a->chunk[0].state = CHUNK_LARGE; /* the head; also keeps ref 0 from being handed out */
	a->chunk[0].run = 1;
	a->free_cnt--;
	a->lowest = 1;
	a->used = a->peak = CHUNK;

	struct arena_head *h = arena_head(a);

	h->layout = ARENA_LAYOUT;
	h->unit = ARENA_UNIT;
	h->size = a->size;
	if (getrandom(h->secret, sizeof(h->secret), 0) != (ssize_t)sizeof(h->secret)) {
		err = -EIO;
		goto fail_map;
	}
	h->magic = ARENA_MAGIC;
	*out = a;
	return 0;

fail_map:
	munmap(a->base, a->size);
	close(a->fd);
fail:
	arena_free_private(a);
	return err;
}

void arena_destroy(struct arena *a)
{
	if (!a)
		return;
	munmap(a->base, a->size);
	close(a->fd);
	arena_free_private(a);
}

int arena_reader_fd(const struct arena *a)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", a->fd);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

struct arena_head *arena_head(const struct arena *a)
{
	return (struct arena_head *)a->base;
}

/* arena_take_run - the first of `cnt` adjacent free chunks, or 0. */
static uint32_t arena_take_run(struct arena *a, uint32_t cnt)
{
	for (;;) {
		uint32_t backed = (uint32_t)(a->fill / CHUNK), found = 0, c = a->lowest;

		while (a->free_cnt >= cnt && c < backed && found < cnt)
			found = a->chunk[c++].state == CHUNK_FREE ? found + 1 : 0;
		if (a->free_cnt >= cnt && found == cnt) {
			uint32_t first = c - cnt;

			a->free_cnt -= cnt;
			if (cnt == 1 || first == a->lowest)
				a->lowest = first + cnt;
			return first;
		}
		/* Free chunks at the end of the backed part count. */
		found = 0;
		while (found < cnt && backed > found &&
		       a->chunk[backed - found - 1].state == CHUNK_FREE)
			found++;
		if (arena_back(a, a->fill + (uint64_t)(cnt - found) * CHUNK))
			return 0;
	}
}

static void room_set(struct arena *a, uint32_t c)
{
	unsigned class = a->chunk[c].class;

	a->room[class].word[c / 64] |= UINT64_C(1) << c % 64;
	if (c / 64 < a->room[class].first)
		a->room[class].first = c / 64;
}

static void room_clear(struct arena *a, uint32_t c)
{
	a->room[a->chunk[c].class].word[c / 64] &= ~(UINT64_C(1) << c % 64);
}

/* The lowest chunk of the class with room, or 0. */
static uint32_t room_lowest(struct arena *a, unsigned class)
{
	uint32_t words = (uint32_t)(a->fill / CHUNK + 63) / 64, i = a->room[class].first;

	while (i < words && !a->room[class].word[i])
		i++;
	a->room[class].first = i;
	return i < words ? i * 64 + (uint32_t)__builtin_ctzll(a->room[class].word[i]) : 0;
}

static void arena_account(struct arena *a, uint64_t octets)
{
	a->used += octets;
	if (a->used > a->peak)
		a->peak = a->used;
}

static ref arena_alloc_large(struct arena *a, size_t size)
{
	uint64_t cnt = (size + CHUNK - 1) / CHUNK;

	if (cnt > a->chunk_cnt)
		return 0;
	uint32_t first = arena_take_run(a, (uint32_t)cnt);

	if (!first)
		return 0;
	for (uint32_t c = first; c < first + cnt; c++)
		a->chunk[c].state = CHUNK_LARGE_TAIL;
	a->chunk[first].state = CHUNK_LARGE;
	a->chunk[first].run = (uint32_t)cnt;
	arena_account(a, cnt * CHUNK);
	return (ref)(first * CHUNK_UNITS);
}

ref arena_alloc(struct arena *a, size_t size)
{
	if (size > CLASS_LIMIT)
		return arena_alloc_large(a, size);

	unsigned class = class_of(size);
	uint32_t octets = class_size(class), c = room_lowest(a, class);

	if (!c) {
		c = arena_take_run(a, 1);
		if (!c)
			return 0;
		a->chunk[c] = (struct chunk){ .state = CHUNK_CLASS, .class = (uint8_t)class };
		room_set(a, c);
	}

	struct chunk *k = &a->chunk[c];
	uint32_t limit = (uint32_t)(CHUNK / octets);
	ref r = k->free;

	if (r)
		memcpy(&k->free, arena_at(a->base, r), sizeof(k->free));
	else
		r = (ref)(c * CHUNK_UNITS + k->fresh++ * (octets / ARENA_UNIT));
	if (++k->live == limit)
		room_clear(a, c);
	arena_account(a, octets);
	return r;
}

void arena_free(struct arena *a, ref r)
{
	uint32_t c = (uint32_t)(r / CHUNK_UNITS);
	struct chunk *k = &a->chunk[c];

	if (k->state == CHUNK_LARGE) {
		uint32_t cnt = k->run;

		for (uint32_t i = c; i < c + cnt; i++)
			a->chunk[i] = (struct chunk){ .state = CHUNK_FREE };
		a->free_cnt += cnt;
		a->used -= cnt * CHUNK;
		if (c < a->lowest)
			a->lowest = c;
		return;
	}

	uint32_t octets = class_size(k->class);

	assert(k->state == CHUNK_CLASS && k->live > 0);
	a->used -= octets;
	if (k->live-- == CHUNK / octets)
		room_set(a, c);
	memcpy(a->base + (uint64_t)r * ARENA_UNIT, &k->free, sizeof(k->free));
	k->free = r;
	if (k->live == 0) {
		room_clear(a, c);
		*k = (struct chunk){ .state = CHUNK_FREE };
		a->free_cnt++;
		if (c < a->lowest)
			a->lowest = c;
	}
}

void arena_usage(const struct arena *a, struct arena_usage *u)
{
	*u = (struct arena_usage){ .max = a->size, .fill = a->fill, .used = a->used,
				   .held = a->fill - a->free_cnt * CHUNK,
				   .peak = a->peak, .huge = a->small == 0 };
}

int arena_map(struct arena_map *m, int fd, uint32_t *layout)
{
	struct arena_head h;
	struct stat st;

	*layout = 0;
	if (fstat(fd, &st))
		return -errno;
	if (st.st_size < (off_t)STEP || (uint64_t)st.st_size > ARENA_MAX)
		return -EPROTO;

	/* hugetlbfs files cannot be read(2) everywhere: look through a small mapping. */
	const struct arena_head *p = mmap(NULL, STEP, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	memcpy(&h, p, sizeof(h));
	munmap((void *)p, STEP);
	if (h.magic != ARENA_MAGIC)
		return -EPROTO;
	*layout = h.layout;
	if (h.layout != ARENA_LAYOUT || h.unit != ARENA_UNIT || h.size != (uint64_t)st.st_size)
		return -EPROTO;

	uint8_t *base = map_aligned(fd, h.size, PROT_READ);

	if (base == MAP_FAILED)
		return -errno;
	*m = (struct arena_map){ .base = base, .size = h.size };
	return 0;
}

void arena_unmap(struct arena_map *m)
{
	if (m->base)
		munmap((void *)m->base, m->size);
	*m = (struct arena_map){ 0 };
}

struct arena_map arena_map_of(const struct arena *a)
{
	return (struct arena_map){ .base = a->base, .size = a->size };
}
