/* SPDX-License-Identifier: GPL-3.0-or-later */
/* zonefile.h - from a zone file to checked, sorted records (RFC 1035 section 5),
 * and from a record to text.
 *
 * The text is untrusted.  $ORIGIN, $TTL, $INCLUDE (at most ZONEFILE_DEPTH deep,
 * cycles refused, relative to the including file) and $GENERATE (see generate.h) are
 * followed; types that libzscanner does not know can stand as TYPEn with generic
 * RDATA (RFC 3597).  The class is IN.  A record without a TTL has that of the last
 * $TTL (RFC 2308 section 4), of the last record that states one (RFC 1035 5.1), or
 * the SOA's minimum; one over 2147483647 counts as 0 (RFC 2181 section 8).  Line
 * ends may be CR LF, the last may be missing, and a UTF-8 byte order mark is
 * skipped.  A file is read piece by piece while it is scanned, and refused when it has
 * changed meanwhile.
 *
 * What is not checked: glue, the targets of names, signatures.  Names below a cut
 * or a DNAME are accepted (RFC 6672 section 2.4 leaves that open); answers hide them.
 *
 * Any thread may call these functions.
 */
#ifndef POLLUX_ZONEFILE_H
#define POLLUX_ZONEFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/answer/name.h"
#include "dataplane/answer/records.h"

#define ZONEFILE_DEPTH  16   /* $INCLUDE in $INCLUDE */
#define ZONEFILE_ERRORS 20   /* faults told of before the reader gives up */
#define RECORD_TEXT_MAX (1 << 18) /* octets: room for any record in text, NUL included */

/* Receives one fault, "FILE:LINE: cause" without a newline, or a warning,
 * "FILE:LINE: warning: cause".  LINE is where the record begins, or where in it the
 * scanner stumbled; it is left out where the file or zone as such is at fault. */
typedef void (*zonefile_report)(void *arg, const char *text);

/* zonefile_read - read the zone `apex` from `path` into *rs (initialised, empty),
 * sort it, leave out what is outside the zone, with a warning, and check it with zone_check.
 * Every fault goes to report.
 * 0; -EINVAL when the zone is bad (rs is emptied); -errno when a file cannot be
 * read (also reported); -ENOMEM. */
int zonefile_read(struct records *rs, const struct name *apex, const char *path,
		  zonefile_report report, void *arg);

/* What a zone's file was when it was read; files that it includes are not part of it. */
struct zonefile_id {
	uint64_t size;    /* octets */
	int64_t mtime_ns; /* since the epoch */
	uint64_t hash;    /* XXH3 of the contents */
};

/* zonefile_read_id - zonefile_read, and tell in *id what file that was, when it could be
 * opened. */
int zonefile_read_id(struct records *rs, const struct name *apex, const char *path,
		     struct zonefile_id *id, zonefile_report report, void *arg);

/* Receives one record, which lasts until it returns: owner folded, RDATA checked.  What is not 0
 * ends the reading. */
typedef int (*zonefile_record)(void *arg, const struct record *rr);

/* zonefile_each - hand over the records of the file one by one, in its order, those outside the
 * zone, too.  None of them is kept, nothing is checked but the text.  0; what `each` said;
 * another value at the first fault or warning, which is not told: zonefile_read_id does. */
int zonefile_each(const struct name *apex, const char *path, struct zonefile_id *id,
		  zonefile_record each, void *arg);

/* zonefile_same - is the file at `path` still what *id says?  Its contents are read only
 * when its time has changed but its size has not.  False, too, when it cannot be read. */
bool zonefile_same(const char *path, const struct zonefile_id *id);

/* zonefile_read_text - the same from memory; `name` stands for the file in
 * messages, and $INCLUDE is refused. */
int zonefile_read_text(struct records *rs, const struct name *apex, const char *text,
		       size_t len, const char *name, zonefile_report report, void *arg);

/* zonefile_read_lines - add single records, each whole on its line of text, to *rs
 * (which may hold others), unsorted.  Lines are counted from `line`; `name` stands for
 * the file in messages; empty lines are skipped.  Each record must say its owner and
 * its TTL and be within the zone; no line may begin with a $ (a directive): the caller
 * sees to that.  0, -EINVAL or -ENOMEM. */
int zonefile_read_lines(struct records *rs, const struct name *apex, const char *text,
			size_t len, uint64_t line, const char *name,
			zonefile_report report, void *arg);

/* zone_check - what a zone must be before it is published: one SOA, at the apex;
 * an NS RRset there; all names within the apex; no meta-type; no CNAME beside
 * other data (RFC 2181 10.1; RRSIG, NSEC and their forerunners may, RFC 4035 2.5) nor twice; at
 * most one DNAME at a name, none beside a CNAME (RFC 6672 2.3, 2.4); no RRset too
 * big for a message of 65,535 octets.  rs is sorted and its RDATA is checked;
 * files[record.file] names the file in messages (NULL: the zone's name stands
 * there).  Faults go to report, after ZONEFILE_ERRORS of them "too many errors";
 * 0 or -EINVAL. */
int zone_check(const struct records *rs, const struct name *apex,
	       zonefile_report report, void *arg, const char *const *files);

/* zone_check_name - the same rules for one name that changes: rs holds all that will
 * stand at `owner`, sorted, in a zone whose other names are as they should be.  `line`
 * stands in messages for records that have none, `file` for all of them. */
int zone_check_name(const struct records *rs, const uint8_t *owner, const struct name *apex,
		    uint32_t line, const char *file, zonefile_report report, void *arg);

/* record_to_text - one record in master-file form with its owner, TTL, class and
 * type, without a newline, into text[0..size), NUL-terminated.  What it writes,
 * zonefile_read reads back as the same octets; where a type's text form cannot say
 * them, or is unknown to the reader, the generic form (RFC 3597 section 5) stands.
 * owner and rdata are valid (rdata_check).  0; -ENOSPC when it does not fit, which
 * cannot be when size is RECORD_TEXT_MAX. */
int record_to_text(char *text, size_t size, const uint8_t *owner, uint16_t type,
		   uint32_t ttl, const uint8_t *rdata, uint16_t rdata_len);

#endif
