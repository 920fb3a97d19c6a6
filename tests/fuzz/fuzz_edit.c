/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A transaction's text, in two pieces, to the changes that it comes to: in canonical order,
 * each RRset once, all within the zone. */
#include <stdint.h>
#include <stdlib.h>

#include "control/zone/edit.h"
#include "dataplane/answer/rrtype.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_fault(void *arg, const char *text)
{
	(void)arg;
	if (!text[0])
		abort();
}

static bool known(void *arg, const struct name *apex)
{
	(void)arg;
	return apex->labels == 1;
}

static void reduce(const struct edit_zone *zone)
{
	struct edit_changes c;

	if (edit_reduce(&zone->ops, &c))
		abort();
	for (size_t i = 0; i < c.cnt; i++) {
		const struct rrset_change *ch = &c.change[i];
		int order = i ? name_cmp(ch[-1].owner, ch->owner) : -1;

		if (!name_within(ch->owner, zone->apex.wire) || order > 0 ||
		    (order == 0 && ch[-1].type != TYPE_ANY && ch[-1].type >= ch->type))
			abort();
		for (size_t k = 0; k < ch->rr_cnt; k++)
			if (ch->rr[k].type != ch->type ||
			    rdata_check(ch->type, ch->rr[k].rdata, ch->rr[k].rdata_len))
				abort();
	}
	edit_changes_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct edit *e = edit_new("fuzz", 1);
	size_t half = size / 2;

	if (!e)
		abort();
	if (edit_add(e, (const char *)data, half, known, NULL, on_fault, NULL) == 0 &&
	    edit_add(e, (const char *)data + half, size - half, known, NULL, on_fault, NULL) == 0)
		for (size_t i = 0; i < e->zone_cnt; i++)
			reduce(e->zone[i]);
	edit_free(e);
	return 0;
}
