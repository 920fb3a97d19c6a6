/* SPDX-License-Identifier: GPL-3.0-or-later */
/* reading.h - a zone's records as text in a temporary file. */
#ifndef POLLUX_READING_H
#define POLLUX_READING_H

#include "dataplane/answer/db.h"

/* reading_spool - write the records of the loaded zone `apex`, or of one name in it,
 * one a line in master-file form, to a nameless temporary file.  The zone is pinned meanwhile.
 *
 * r, of the same database, is the calling thread's and offline.  Returns the descriptor, the caller's;
 * -ENOENT (no such zone), -ENODATA (no such name), or another -errno. */
int reading_spool(struct db *db, struct reader *r, const struct name *apex, const struct name *only);

#endif
