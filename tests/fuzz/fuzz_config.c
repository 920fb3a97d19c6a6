/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/common/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refusal says why, and what is not refused keeps what config.h promises. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char errors[4096];
	struct config *c = config_parse("/etc/pollux/pollux.yaml", (const char *)data, size,
					errors, sizeof(errors));

	if (!c) {
		if (strncmp(errors, "/etc/pollux/pollux.yaml:", 24) != 0)
			abort();
		return 0;
	}
	if (errors[0] || c->listen_cnt < 1 || !c->identity || !c->version ||
	    c->run_directory[0] != '/' || c->data_directory[0] != '/' ||
	    c->udp_payload < 512 || c->udp_payload > 4096 || c->table_memory > ARENA_MAX)
		abort();
	for (size_t i = 0; i < c->zone_cnt; i++)
		if (c->zone[i].domain.len < 1 || c->zone[i].file[0] != '/')
			abort();
	for (size_t i = 0; i < c->port_cnt; i++)
		if (!c->port[i].target || c->port[i].queues < 1 ||
		    (c->port[i].kind == PORT_PCAP) != (c->port[i].pcap_write != NULL))
			abort();
	config_free(c);
	return 0;
}
