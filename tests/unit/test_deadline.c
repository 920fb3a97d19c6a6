/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>

#include <stdlib.h>

#include "control/serve/deadline.h"

#define MEMBERS 100

/* Random changes; the first must always be the earliest of all. */
Test(deadline, first_is_earliest)
{
	struct deadlines d;
	struct deadline one[MEMBERS] = {0};
	uint64_t at[MEMBERS];

	srand(1);
	deadlines_init(&d);
	cr_assert_eq(deadlines_reserve(&d, MEMBERS), 0);
	for (size_t i = 0; i < MEMBERS; i++)
		at[i] = DEADLINE_NONE;
	cr_assert_null(deadlines_first(&d));
	for (unsigned round = 0; round < 20000; round++) {
		size_t i = (size_t)rand() % MEMBERS, cnt = 0;
		uint64_t first = DEADLINE_NONE;

		at[i] = rand() % 4 == 0 ? DEADLINE_NONE : (uint64_t)(rand() % 500);
		deadline_set(&d, &one[i], at[i]);
		for (size_t k = 0; k < MEMBERS; k++) {
			first = at[k] < first ? at[k] : first;
			cnt += at[k] != DEADLINE_NONE;
			cr_assert_eq(one[k].place != 0, at[k] != DEADLINE_NONE);
		}
		cr_assert_eq(d.cnt, cnt);
		if (cnt == 0)
			cr_assert_null(deadlines_first(&d));
		else
			cr_assert_eq(deadlines_first(&d)->at, first);
	}
	deadlines_free(&d);
}
