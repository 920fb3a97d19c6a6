/* SPDX-License-Identifier: GPL-3.0-or-later */
/* replay.c - runs a fuzz target over a committed corpus: every file as it is, every
 * prefix of it, and every single-bit change of its first 512 octets. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each input lives in a block of exactly its size, so that ASan sees one octet over. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void run_file(const char *path)
{
	static uint8_t data[1 << 16];
	FILE *f = fopen(path, "rb");

	if (!f) {
		perror(path);
		exit(1);
	}
	size_t size = fread(data, 1, sizeof(data), f);

	fclose(f);
	run(data, size);
	for (size_t n = 0; n < size && n < 4096; n++)
		run(data, n);
	for (size_t n = 0; n < size && n < 512; n++) {
		for (int bit = 0; bit < 8; bit++) {
			data[n] ^= (uint8_t)(1 << bit);
			run(data, size);
			data[n] ^= (uint8_t)(1 << bit);
		}
	}
}

int main(int argc, char **argv)
{
	unsigned files = 0;

	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *e;

		if (!dir) {
			perror(argv[i]);
			return 1;
		}
		while ((e = readdir(dir))) {
			char path[4096];

			if (e->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
			run_file(path);
			files++;
		}
		closedir(dir);
	}
	printf("%u corpus files\n", files);
	return files ? 0 : 1;
}
