/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Whole huge pages, so that all of a block can lie in them. */
static size_t rounded(size_t size)
{
	return (size + PAGES_HUGE - 1) & ~(PAGES_HUGE - 1);
}

/* Address space for a block at a multiple of 2 MiB, with nothing behind it.  NULL if none. */
static uint8_t *place(size_t size)
{
	if (size > SIZE_MAX / 2)
		return NULL;
	uint8_t *all = mmap(NULL, size + PAGES_HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			    -1, 0);

	if (all == MAP_FAILED)
		return NULL;
	uint8_t *p = (uint8_t *)(((uintptr_t)all + PAGES_HUGE - 1) & ~(uintptr_t)(PAGES_HUGE - 1));

	if (p > all)
		munmap(all, (size_t)(p - all));
	munmap(p + size, (size_t)(all + PAGES_HUGE - p));
	return p;
}

void *pages_alloc(size_t size)
{
	if (size < PAGES_HUGE)
		return malloc(size);

	uint8_t *p = place(rounded(size));

	if (!p)
		return NULL;
	if (mmap(p, rounded(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED) {
		munmap(p, rounded(size));
		return NULL;
	}
	madvise(p, rounded(size), MADV_HUGEPAGE); /* a wish: all is right without, too */
	return p;
}

void *pages_resize(void *p, size_t size, size_t new_size)
{
	if (size < PAGES_HUGE && new_size < PAGES_HUGE)
		return realloc(p, new_size);
	if (size >= PAGES_HUGE && new_size >= PAGES_HUGE && rounded(size) == rounded(new_size))
		return p;

	if (size >= PAGES_HUGE && new_size >= PAGES_HUGE) {
		uint8_t *to = place(rounded(new_size));

		if (!to)
			return NULL;
		if (mremap(p, rounded(size), rounded(new_size), MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED) {
			munmap(to, rounded(new_size));
			return NULL;
		}
		return to;
	}
	void *to = pages_alloc(new_size);

	if (to && p) {
		memcpy(to, p, size < new_size ? size : new_size);
		pages_free(p, size);
	}
	return to;
}

void pages_drop(void *p, size_t size, size_t len)
{
	if (size >= PAGES_HUGE && len >= PAGES_HUGE)
		madvise(p, len & ~(PAGES_HUGE - 1), MADV_DONTNEED);
}

void pages_free(void *p, size_t size)
{
	if (size < PAGES_HUGE)
		free(p);
	else if (p)
		munmap(p, rounded(size));
}
