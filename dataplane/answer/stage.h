/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stage.h - memory of an open transaction: what it has allocated, so that an
 * abort can give it back, and what its commit will retire.
 *
 * Writer's thread only.
 */
#ifndef POLLUX_STAGE_H
#define POLLUX_STAGE_H

#include "arena.h"

struct ref_list { /* a growing array of references, in private memory */
	ref *ref;
	size_t cnt, cap;
};

/* ref_list_reserve - room for `more` further entries.  0 or -ENOMEM. */
int ref_list_reserve(struct ref_list *l, size_t more);
void ref_list_free(struct ref_list *l);

struct stage {
	struct arena *arena;
	uint8_t *base;
	uint64_t version;        /* what the transaction will become */
	struct ref_list fresh;   /* allocated by it */
	struct ref_list retired; /* unreachable from its version on */
};

/* stage_alloc - as arena_alloc, remembered as fresh.  Sets *r; -ENOSPC, -ENOMEM. */
int stage_alloc(struct stage *s, size_t size, ref *r);

/* stage_retire - r is not part of the new version.  It may be fresh itself. */
int stage_retire(struct stage *s, ref r);

#endif
