/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The input is what a client of the control socket sends. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/socket/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_line(const char *line, size_t len)
{
	struct request q;
	struct request_fault f;
	char *reply;
	size_t reply_len = 0;

	if (request_parse(&q, &f, line, len) == 0) {
		if (q.command >= COMMAND_COUNT ||
		    (q.command == COMMAND_ZONE_ADD && q.file[0] != '/') ||
		    (q.has_zone && q.zone.len < 1) ||
		    (q.has_name && !name_within(q.name.wire, q.zone.wire)))
			abort();
		reply = reply_ok(&q, json_object(), &reply_len);
	} else {
		reply = reply_error(&q, f.code, NULL, &reply_len, "%s", f.text);
	}
	/* One line of JSON, whatever was asked. */
	if (!reply || reply_len < 3 || memchr(reply, '\n', reply_len) != reply + reply_len - 1)
		abort();

	json_t *root = json_loadb(reply, reply_len, 0, NULL);

	if (!json_is_boolean(json_object_get(root, "ok")))
		abort();
	json_decref(root);
	free(reply);
	request_clear(&q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lines l;
	const char *line;
	size_t len;
	int rc = 0;

	lines_init(&l, 4096);
	/* In pieces of any size: the octets themselves say which. */
	for (size_t at = 0; at < size && rc >= 0;) {
		size_t n = 1 + data[at] % 61;

		n = n > size - at ? size - at : n;
		if (lines_add(&l, data + at, n) != 0)
			abort();
		at += n;
		while ((rc = lines_next(&l, &line, &len)) == 1) {
			if (len > 4096)
				abort();
			one_line(line, len);
		}
	}
	lines_free(&l);
	return 0;
}
