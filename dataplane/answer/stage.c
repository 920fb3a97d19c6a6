/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stage.h"

#include <errno.h>
#include <stdlib.h>

int ref_list_reserve(struct ref_list *l, size_t more)
{
	if (l->cap - l->cnt >= more)
		return 0;

	size_t cap = l->cap * 2 > l->cnt + more ? l->cap * 2 : l->cnt + more + 64;
	ref *grown = realloc(l->ref, cap * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	l->ref = grown;
	l->cap = cap;
	return 0;
}

void ref_list_free(struct ref_list *l)
{
	free(l->ref);
	*l = (struct ref_list){ 0 };
}

int stage_alloc(struct stage *s, size_t size, ref *r)
{
	if (ref_list_reserve(&s->fresh, 1))
		return -ENOMEM;
	*r = arena_alloc(s->arena, size);
	if (!*r)
		return -ENOSPC;
	s->fresh.ref[s->fresh.cnt++] = *r;
	return 0;
}

int stage_retire(struct stage *s, ref r)
{
	if (ref_list_reserve(&s->retired, 1))
		return -ENOMEM;
	s->retired.ref[s->retired.cnt++] = r;
	return 0;
}
