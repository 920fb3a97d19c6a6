/* SPDX-License-Identifier: GPL-3.0-or-later */
/* apply.h - polluxctl's transactions: lines of a file, or of the command line. */
#ifndef POLLUX_APPLY_H
#define POLLUX_APPLY_H

#include "session.h"

/* apply_file - read `file` ("-": standard input), in the form of control/zone/edit.h with
 * `commit` lines between transactions, and commit them one after the other until one
 * is refused.  The exit status. */
int apply_file(struct session *s, const char *file, bool as_json);

/* apply_text - commit one transaction of these lines.  The exit status. */
int apply_text(struct session *s, const char *text, bool as_json);

#endif
