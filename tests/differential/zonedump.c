/* SPDX-License-Identifier: GPL-3.0-or-later */
/* zonedump - read a zone file as Pollux does and print each record's owner, TTL, type
 * and RDATA in hex; or the faults, and fail.  "-q" prints the number of records only. */
#include <stdio.h>
#include <string.h>

#include "control/zone/zonefile.h"
#include "dataplane/answer/rrtype.h"

static void tell(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "%s\n", text);
}

int main(int argc, char **argv)
{
	bool quiet = argc == 4 && strcmp(argv[1], "-q") == 0;
	struct name apex;
	struct records rs;

	if (argc != 3 + quiet || name_from_text(&apex, argv[1 + quiet]) < 0) {
		fprintf(stderr, "usage: zonedump [-q] ZONE FILE\n");
		return 2;
	}
	records_init(&rs);
	if (zonefile_read(&rs, &apex, argv[2 + quiet], tell, NULL) < 0)
		return 1;
	if (quiet)
		printf("%zu\n", rs.cnt);
	for (size_t i = 0; i < rs.cnt && !quiet; i++) {
		const struct record *rr = &rs.rr[i];

		for (size_t k = 0; k < name_wire_len(rr->owner); k++)
			printf("%02x", rr->owner[k]);
		printf(" %lu %u ", (unsigned long)rr->ttl, rr->type);
		for (size_t k = 0; k < rr->rdata_len; k++)
			printf("%02x", rr->rdata[k]);
		printf("\n");
	}
	records_free(&rs);
	return 0;
}
