/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session.h - polluxctl's connection to the control socket. */
#ifndef POLLUX_SESSION_H
#define POLLUX_SESSION_H

#include <stdio.h>

#include "protocol.h"

struct session {
	int fd;
	const char *path;
	struct lines lines;
};

/* session_open - connect.  0, or -1 after telling why not. */
int session_open(struct session *s, const char *path);

/* session_send - write all octets.  0, or -1 after telling why not. */
int session_send(struct session *s, const char *octets, size_t len);

/* session_line - the next line of a reply (until the next call) and its length; NULL
 * after telling why there is none. */
const char *session_line(struct session *s, size_t *len);
void session_close(struct session *s);

/* What may be printed of a text: whatever could steer a terminal becomes a question mark. */
void put_text(const char *text, FILE *to);

/* put_error - the sentence of an error reply and its details, to stderr. */
void put_error(const json_t *reply);

#endif
