/* SPDX-License-Identifier: GPL-3.0-or-later */
/* records.h - a growing list of resource records in private memory, on their way
 * into a zone: the zone reader and tests fill it, db.h takes it sorted.
 *
 * One thread at a time.  The list owns copies of all octets given to it.
 */
#ifndef POLLUX_RECORDS_H
#define POLLUX_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct record {
	const uint8_t *owner; /* folded wire name; equal owners may share octets */
	const uint8_t *rdata; /* wire form, names uncompressed, case kept */
	uint32_t ttl;         /* seconds */
	uint32_t line;        /* where it came from, for messages; 0 unknown */
	uint16_t type;
	uint16_t rdata_len;   /* octets */
	uint16_t file;        /* index the caller gives, for messages */
};

struct records {
	struct record *rr;
	size_t cnt, cap;
	struct records_chunk *chunk; /* storage of the octets */
	size_t octets;               /* octets used in chunks */
	bool sorted;                 /* by records_sort, nothing added since */
	const uint8_t *last_owner;   /* shared while owners repeat, */
	size_t last_owner_len;       /* and its octets */
};

/* records_init - an empty list.  Never fails. */
void records_init(struct records *rs);

/* records_add - append one record; owner is folded here, rdata kept as given.
 * The caller has checked it (rdata_check).  0 or -ENOMEM. */
int records_add(struct records *rs, const uint8_t *owner, uint16_t type,
		uint32_t ttl, const uint8_t *rdata, uint16_t rdata_len,
		uint16_t file, uint32_t line);

/* records_sort - order by owner (canonical), type, RDATA (canonical; RRSIGs by
 * type covered first), drop duplicates (RFC 2181 section 5), and give each RRset
 * one TTL, its lowest (RFC 2181 section 5.2).  An RRSIG takes part in the set of
 * its covered type.  0 or -ENOMEM. */
int records_sort(struct records *rs);

/* records_shed - whoever goes through the sorted list from its begin on will not look at what stands
 * before rr[first] again, where a name begins: give that memory back.  The list is only fit for
 * more of this, and to be freed. */
void records_shed(struct records *rs, size_t first);

/* records_clear - empty the list; its newest storage stays for reuse. */
void records_clear(struct records *rs);

/* records_free - free all storage; the list is empty afterwards. */
void records_free(struct records *rs);

#endif
