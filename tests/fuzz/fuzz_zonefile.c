/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Zone text: the reader ends in a report, or in records whose text it reads back as
 * the same records. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/zone/dnssec_check.h"
#include "control/zone/zonefile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *arg, const char *text)
{
	size_t *octets = arg;

	*octets += strlen(text);
}

static void check(int holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct name apex = { .len = 3, .labels = 1, .off = { 0, 2 }, .wire = "\1a" };
	static char text[RECORD_TEXT_MAX + 1];
	struct records rs, again;
	size_t octets = 0;

	records_init(&rs);
	if (zonefile_read_text(&rs, &apex, (const char *)data, size, "z", count, &octets) < 0) {
		check(octets > 0 && rs.cnt == 0);
		return 0;
	}
	check(rs.sorted && zone_check(&rs, &apex, count, &octets, NULL) == 0);

	/* Denial records as they come: told of, or good. */
	octets = 0;
	check((dnssec_check(&rs, &apex, 10, false, count, &octets, NULL) == 0) == (octets == 0));

	/* A zone of a hundred thousand records comes from one $GENERATE: not all again. */
	size_t cnt = rs.cnt < 64 ? rs.cnt : 64;
	char *all = NULL;
	size_t len = 0;

	for (size_t i = 0; i < cnt; i++) {
		const struct record *rr = &rs.rr[i];

		check(record_to_text(text, sizeof(text) - 1, rr->owner, rr->type, rr->ttl, rr->rdata,
				     rr->rdata_len) == 0);
		strcat(text, "\n");
		all = realloc(all, len + strlen(text));
		check(all != NULL);
		memcpy(all + len, text, strlen(text));
		len += strlen(text);
	}

	records_init(&again);
	if (cnt == rs.cnt) {
		octets = 0;
		check(zonefile_read_text(&again, &apex, all, len, "t", count, &octets) == 0);
		check(octets == 0 && again.cnt == rs.cnt);
		for (size_t i = 0; i < cnt; i++) {
			const struct record *x = &rs.rr[i], *y = &again.rr[i];

			check(name_cmp(x->owner, y->owner) == 0 && x->type == y->type &&
			      x->ttl == y->ttl && x->rdata_len == y->rdata_len &&
			      memcmp(x->rdata, y->rdata, x->rdata_len) == 0);
		}
	}
	free(all);
	records_free(&again);
	records_free(&rs);
	return 0;
}
