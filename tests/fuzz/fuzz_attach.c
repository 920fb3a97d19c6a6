/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The first octet says with how many descriptors the rest arrived. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/common/attach.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;

	/* Exactly as many octets as were received. */
	size_t len = size - 1;
	struct attach_message *m = malloc(len ? len : 1);

	if (!m)
		abort();
	memcpy(m, data + 1, len);
	if (attach_check(m, len, data[0]) == 0) {
		if (m->type == ATTACH_WELCOME)
			for (uint32_t i = 0; i < m->welcome.worker_cnt; i++)
				if (m->welcome.slot[i] >= STATUS_SLOTS)
					abort();
		if (m->type == ATTACH_SERVING && m->serving.port_cnt * 4 != data[0])
			abort();
		if (m->type == ATTACH_REFUSE && strlen(m->refuse.reason) > 255)
			abort();
	}
	free(m);
	return 0;
}
