/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/answer/pages.h"

static void fill(uint8_t *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		p[i] = (uint8_t)(i * 31 >> 3);
}

static bool filled(const uint8_t *p, size_t to)
{
	for (size_t i = 0; i < to; i++)
		if (p[i] != (uint8_t)(i * 31 >> 3))
			return false;
	return true;
}

/* Each way from one size to another keeps what both have. */
Test(pages, resize_keeps_the_contents)
{
	static const size_t sizes[] = {
		100, 5000, PAGES_HUGE - 1, PAGES_HUGE, PAGES_HUGE + 1, 2 * PAGES_HUGE, 7 * PAGES_HUGE + 4095,
		3 * PAGES_HUGE, PAGES_HUGE, 64, 4 * PAGES_HUGE, 1,
	};
	size_t size = 0;
	uint8_t *p = NULL;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		uint8_t *to = pages_resize(p, size, sizes[i]);

		cr_assert(to);
		cr_assert(filled(to, size < sizes[i] ? size : sizes[i]), "from %zu to %zu", size, sizes[i]);
		fill(to, size < sizes[i] ? size : sizes[i], sizes[i]);
		p = to;
		size = sizes[i];
	}
	pages_free(p, size);
	pages_free(NULL, 0);
	pages_free(NULL, 5 * PAGES_HUGE);
}

Test(pages, large_blocks_begin_at_huge_pages)
{
	uint8_t *p = pages_alloc(3 * PAGES_HUGE + 1);

	cr_assert(p);
	cr_assert_eq((uintptr_t)p % PAGES_HUGE, 0);
	fill(p, 0, 3 * PAGES_HUGE + 1);
	p = pages_resize(p, 3 * PAGES_HUGE + 1, 9 * PAGES_HUGE);
	cr_assert(p);
	cr_assert_eq((uintptr_t)p % PAGES_HUGE, 0);
	cr_assert(filled(p, 3 * PAGES_HUGE + 1));
	pages_free(p, 9 * PAGES_HUGE);
}

/* What is dropped reads as nothing, the rest stays; blocks without huge pages stay whole. */
Test(pages, drop)
{
	uint8_t *p = pages_alloc(4 * PAGES_HUGE), *small = pages_alloc(5000);

	cr_assert(p && small);
	fill(p, 0, 4 * PAGES_HUGE);
	pages_drop(p, 4 * PAGES_HUGE, PAGES_HUGE - 1);
	cr_assert(filled(p, 4 * PAGES_HUGE));
	pages_drop(p, 4 * PAGES_HUGE, 2 * PAGES_HUGE + 5);
	cr_assert_eq(p[2 * PAGES_HUGE - 1], 0);
	cr_assert_eq(p[2 * PAGES_HUGE], (uint8_t)(2 * PAGES_HUGE * 31 >> 3));
	cr_assert_eq(p[2 * PAGES_HUGE + 7], (uint8_t)((2 * PAGES_HUGE + 7) * 31 >> 3));
	fill(small, 0, 5000);
	pages_drop(small, 5000, 5000);
	cr_assert(filled(small, 5000));
	pages_free(p, 4 * PAGES_HUGE);
	pages_free(small, 5000);
}

Test(pages, more_than_there_is_leaves_what_was)
{
	uint8_t *p = pages_alloc(2 * PAGES_HUGE);

	cr_assert(p);
	fill(p, 0, 2 * PAGES_HUGE);
	cr_assert_null(pages_alloc(SIZE_MAX / 4));
	cr_assert_null(pages_alloc(SIZE_MAX));
	cr_assert_null(pages_resize(p, 2 * PAGES_HUGE, SIZE_MAX / 4));
	cr_assert(filled(p, 2 * PAGES_HUGE));
	pages_free(p, 2 * PAGES_HUGE);
}
