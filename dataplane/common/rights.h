/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rights.h - what a process may do once all that needs rights is open: it becomes its
 * user, gives up its capabilities, can never gain new ones, makes files for itself
 * only, and makes no system call that it does not need.
 *
 * The order of a start: rights_find while the configuration is at hand; then the ports
 * and devices that need rights; rights_directory for folders; rights_drop; then all else.
 * What could not be given up is said in the log, with the reason.
 */
#ifndef POLLUX_RIGHTS_H
#define POLLUX_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "dataplane/common/config.h"

/* Whom a process becomes; zeroed: whom it was started by. */
struct rights {
	const char *user; /* the configuration's; NULL to stay */
	uid_t uid;
	gid_t gid;
};

/* rights_find - look the configured user up.  A process that was not started by root can
 * only stay what it is: that is said when it is not the one asked for.  0, or -errno after
 * writing a sentence to `error`. */
int rights_find(struct rights *r, const struct config *c, char *error, size_t error_size);

/* rights_directory - make a folder unless it is there, for the user; and see that the user
 * may write in one that is.  Before rights_drop.  0, or -errno after writing a sentence. */
int rights_directory(const struct rights *r, const char *path, char *error, size_t error_size);

/* rights_drop - give up everything, in all threads there are and will be.
 *
 * Capabilities: none; but CAP_DAC_OVERRIDE for who stays root, since root without it could
 * not read the zone files of others.  No system calls outside the list in rights.c: they
 * fail with EPERM.  Not under a sanitizer, whose run-time makes others.
 * 0, or -errno after writing a sentence: then nothing may be served. */
int rights_drop(const struct rights *r, char *error, size_t error_size);

/* rights_keep_net_admin - the same for a process whose only work is on network devices: it
 * keeps CAP_NET_ADMIN and may speak netlink. */
int rights_keep_net_admin(const struct rights *r, char *error, size_t error_size);

#endif
