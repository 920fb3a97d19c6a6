/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec_check.h - is the denial of existence in a signed zone whole? */
#ifndef POLLUX_DNSSEC_CHECK_H
#define POLLUX_DNSSEC_CHECK_H

#include "zonefile.h"

/* dnssec_check - check the NSEC chain, or the NSEC3 chain that would be served (nsec3.h), of
 * sorted records that have passed zone_check: every name that must have its record has
 * one and no other has; each leads to the next, and the last to the first; it lists the types
 * that stand there (RFC 4034 section 4.1, RFC 4035 section 2.3, RFC 5155 sections 3.1 and
 * 7.1).  Where a span opts out, insecure delegations and the empty non-terminals above
 * them alone may have none (RFC 5155 section 6).  Chains of further NSEC3PARAMs must be closed,
 * and none may need more than nsec3_max iterations.  A zone without such records and
 * without signatures is no concern of this; nor is whether signatures are valid.
 *
 * Each fault goes to report as in zone_check, behind "warning: " when `warn` is set; after
 * ZONEFILE_ERRORS of them "too many errors".  `file` is where the records came from (NULL: the
 * zone's name stands for it); lines of further files are not told.  0; -EINVAL when there were faults; -ENOMEM.  Any thread. */
int dnssec_check(const struct records *rs, const struct name *apex, unsigned nsec3_max, bool warn,
		 zonefile_report report, void *arg, const char *file);

#endif
