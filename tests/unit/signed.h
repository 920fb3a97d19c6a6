/* SPDX-License-Identifier: GPL-3.0-or-later */
/* signed.h - for tests of answers from the signed zones in zones/. */
#ifndef POLLUX_TEST_SIGNED_H
#define POLLUX_TEST_SIGNED_H

#include "answers.h"

/* lab_put_file - load zones/FILE as the zone example. */
static inline void lab_put_file(struct lab *l, const char *file)
{
	static char path[4096], text[1 << 16];

	snprintf(path, sizeof(path), TEST_ZONES "/%s.zone", file);
	FILE *f = fopen(path, "r");

	if (!f)
		fatal(path);
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	fclose(f);
	lab_put(l, "example.", text);
}

#endif
