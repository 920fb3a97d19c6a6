/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/socket/reading.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/zone/zonefile.h"

/* Octets of the longest record's line: 65,535 octets of RDATA, each as \DDD, and an
 * owner, type and quotes around. */
#define TEXT_MAX (4 * 65536 + 8192)
#define BUFFER (256 << 10) /* octets a write */

struct spool {
	FILE *file;
	char *text; /* TEXT_MAX */
};

static int on_record(void *arg, const uint8_t *owner, uint16_t type, uint32_t ttl,
		     const uint8_t *rdata, uint16_t rdata_len)
{
	struct spool *s = arg;
	int error = record_to_text(s->text, TEXT_MAX, owner, type, ttl, rdata, rdata_len);

	if (error)
		return error;
	if (fputs(s->text, s->file) < 0 || putc('\n', s->file) < 0)
		return errno ? -errno : -EIO;
	return 0;
}

/* On disk where it can be, as a big zone's text is big too. */
static int open_file(void)
{
	int fd = open(P_tmpdir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		fd = memfd_create("zone-read", MFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The reader is online only until it has pinned the zone: what it writes then takes long, and
 * must not keep memory from being reclaimed that has nothing to do with it. */
static int walk(struct db *db, struct reader *r, const struct name *apex, const struct name *only,
		struct spool *s)
{
	struct zone_pin pin;
	int error;

	reader_online(r);
	reader_begin(r);
	error = db_pin(db, r, apex, &pin);
	reader_end(r);
	reader_offline(r);
	if (error)
		return error;
	error = pin_walk(&pin, only, on_record, s);
	db_unpin(db, &pin);
	return error == -ENOENT ? -ENODATA : error;
}

int reading_spool(struct db *db, struct reader *r, const struct name *apex, const struct name *only)
{
	struct spool s = {.text = malloc(TEXT_MAX)};
	int fd = -1, copy = -1, error;

	if (!s.text)
		return -ENOMEM;
	fd = open_file();
	error = fd < 0 ? fd : 0;
	if (error)
		goto out;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy >= 0)
		s.file = fdopen(copy, "w");
	if (!s.file) {
		error = -errno;
		goto out;
	}
	copy = -1;
	setvbuf(s.file, NULL, _IOFBF, BUFFER);
	error = walk(db, r, apex, only, &s);
	if (fclose(s.file) && !error)
		error = -errno;
out:
	if (copy >= 0)
		close(copy);
	free(s.text);
	if (!error)
		return fd;
	if (fd >= 0)
		close(fd);
	return error;
}
