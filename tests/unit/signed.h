/* SPDX-License-Identifier: GPL-3.0-or-later */
/* signed.h - for tests of answers from the signed zones in zones/. */
#ifndef POLLUX_TEST_SIGNED_H
#define POLLUX_TEST_SIGNED_H

#include "answers.h"

/* lab_put_file_and - load zones/FILE and more records as the zone example. */
static inline void lab_put_file_and(struct lab *l, const char *file, const char *more)
{
	static char path[4096], text[1 << 16];

	snprintf(path, sizeof(path), TEST_ZONES "/%s.zone", file);
	FILE *f = fopen(path, "r");

	if (!f)
		fatal(path);
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	fclose(f);
	strncat(text, more, sizeof(text) - 1 - strlen(text));
	lab_put(l, "example.", text);
}

static inline void lab_put_file(struct lab *l, const char *file)
{
	lab_put_file_and(l, file, "");
}

#endif
