/* SPDX-License-Identifier: GPL-3.0-or-later */
/* unix.h - Unix sockets in the run directory, and the directory itself. */
#ifndef POLLUX_UNIX_H
#define POLLUX_UNIX_H

#include <stddef.h>
#include <sys/types.h>

#define UNIX_PATH_ROOM 108 /* octets of a Unix socket's path, NUL included (unix(7)) */

/* unix_claim - make the run directory (0755) unless it is there, and claim it for
 * this process until it ends: two control processes in one directory would take each
 * other's sockets away.  Returns a descriptor to keep open, or -errno (-EBUSY: another
 * one has it) after writing a sentence to `error`. */
int unix_claim(const char *directory, char *error, size_t error_size);

/* unix_listen - listen on a socket of `type` at directory/name with these permissions;
 * the path is stored to path[UNIX_PATH_ROOM].  A socket file that nobody listens on is
 * replaced.  Returns the non-blocking descriptor, the caller's, or -errno (-EADDRINUSE:
 * somebody listens) after writing a sentence to `error`. */
int unix_listen(char *path, const char *directory, const char *name, int type, mode_t mode,
		char *error, size_t error_size);

#endif
