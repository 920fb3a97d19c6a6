/* SPDX-License-Identifier: GPL-3.0-or-later */
/* config.h - the configuration file (YAML), read by both processes.
 *
 * The file is untrusted in form: unknown or duplicate keys, aliases, wrong types,
 * missing files and settings that overlap are refused with file, line and reason.
 * Relative paths are taken from the configuration file's folder; all paths below
 * are absolute.  Single-threaded use.
 */
#ifndef POLLUX_CONFIG_H
#define POLLUX_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "dataplane/answer/arena.h"
#include "dataplane/answer/name.h"

#define CONFIG_PORT_QUEUES_MAX 16

enum config_port_kind { PORT_INTERFACE, PORT_MEMIF, PORT_PCAP };
enum config_checksums { CHECKSUMS_AUTO, CHECKSUMS_YES, CHECKSUMS_NO };

struct config_address {
	struct sockaddr_storage sa; /* AF_INET or AF_INET6, with its port */
	socklen_t sa_len;
	unsigned line;
};

struct config_port {
	enum config_port_kind kind;
	char *target;         /* interface name, socket path, or pcap to read */
	char *pcap_write;     /* PORT_PCAP only */
	unsigned queues;      /* default 1 */
	unsigned line;
};

struct config_zone {
	struct name domain;
	char *file;
	unsigned line;
};

struct config {
	char *path, *folder;         /* of the configuration file */

	/* server */
	struct config_address *listen;
	size_t listen_cnt;
	char *identity;              /* "" when not set */
	char *version;               /* version.bind; default "Pollux VERSION" */
	char *run_directory;         /* default /run/pollux */
	char *data_directory;        /* default /var/lib/pollux */
	uint16_t udp_payload;        /* server: udp-payload, default 1232, 512..4096 */
	unsigned tcp_max_clients;    /* server: tcp: max-clients, default 1024 */
	unsigned tcp_idle_timeout_ms;/* server: tcp: idle-timeout, default 10s */

	/* dataplane */
	bool has_dataplane;
	unsigned *cores;
	size_t core_cnt;
	enum arena_huge huge_pages;
	enum config_checksums verify_checksums;
	struct config_port *port;
	size_t port_cnt;

	/* table */
	uint64_t table_memory;       /* octets, default 1 GiB */

	struct config_zone *zone;
	size_t zone_cnt;
};

/* config_load - read and check `path`.  Returns NULL after writing one line per
 * fault, "FILE:LINE: cause", to `errors` (of errors_size octets). */
struct config *config_load(const char *path, char *errors, size_t errors_size);
void config_free(struct config *c);

#endif
