/* SPDX-License-Identifier: GPL-3.0-or-later */
/* config.h - the configuration file (YAML), read by both processes.
 *
 * The file is untrusted in form: unknown or duplicate keys, aliases, wrong types
 * and settings that overlap are refused with file, line and reason.
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
#define CONFIG_LISTEN_MAX 256 /* as many as the steering program's map holds */
#define CONFIG_PORTS_MAX 16   /* as many as an attach message names */
#define CONFIG_CORES_MAX 64   /* as many as the status region has slots */
#define CONFIG_THREADS_MAX 16 /* each needs a slot of the status region, as the cores do */
#define CONFIG_USER_MAX 32    /* octets of a user's name, as useradd permits */
#define CONFIG_FAULTS_MAX 20  /* told of before the reader gives up */
#define CONFIG_FILE_MAX (16u << 20) /* octets */

enum config_port_kind { PORT_INTERFACE, PORT_MEMIF, PORT_PCAP };
enum config_checksums { CHECKSUMS_AUTO, CHECKSUMS_YES, CHECKSUMS_NO };
enum config_dnssec { DNSSEC_AS_SERVER, DNSSEC_WARN, DNSSEC_REFUSE }; /* the first: a zone's only */
enum config_ask { ASK_NOBODY, ASK_REQUEST, ASK_REQUIRE }; /* clients for their certificates */

struct config_address {
	struct sockaddr_storage sa; /* AF_INET or AF_INET6, with its port */
	socklen_t sa_len;
	unsigned line;
};

struct config_port {
	enum config_port_kind kind;
	char *target;         /* interface name, socket path, or pcap to read */
	char *pcap_write;     /* PORT_PCAP only, else NULL */
	unsigned queues;      /* default 1 */
	unsigned line;
};

struct config_zone {
	struct name domain;
	char *file;
	unsigned line;        /* of the entry */
	unsigned file_line;   /* of its file: key */
	enum config_dnssec dnssec_check; /* dnssec-check, default DNSSEC_AS_SERVER */
};

struct config {
	char *path, *folder;         /* of the configuration file */

	/* server */
	struct config_address *listen; /* 1 or more, different, each of one host (no wildcard) */
	size_t listen_cnt;
	char *identity;              /* at most 255 octets; "" when not set */
	char *version;               /* version.bind, the same; default "Pollux VERSION" */
	char *run_directory;         /* default /run/pollux */
	char *data_directory;        /* default /var/lib/pollux */
	unsigned cookies;            /* server: cookies, enum settings_cookies; default on */
	unsigned additional;         /* server: additional; 1: full, default 0: minimal */
	uint8_t cookie_secret_cnt;   /* server: cookie-secrets; 0: one is drawn at each start */
	uint8_t cookie_secret[2][16];
	uint16_t udp_payload;        /* server: udp-payload, default 1232, 512..4096 */
	enum config_dnssec dnssec_check; /* server: dnssec-check, default DNSSEC_WARN */
	uint16_t nsec3_iterations_max; /* server: nsec3-iterations-max, default 100 */
	char *user;                  /* server: user, whom to become once all is open; "" to stay */
	unsigned user_line;
	unsigned threads;            /* server: threads on kernel sockets, default 1 */
	unsigned tcp_max_clients;    /* server: tcp: max-clients, default 1024 */
	unsigned tcp_max_prefix;     /* server: tcp: max-clients-per-prefix, default 256 */
	unsigned tcp_ipv4_prefix, tcp_ipv6_prefix; /* bits, default 24 and 56 */
	unsigned tcp_idle_timeout_ms;/* server: tcp: idle-timeout, default 10s */
	unsigned tcp_first_timeout_ms; /* server: tcp: first-byte-timeout, default 5s */
	bool has_tls;                /* there is a section server: tls */
	unsigned tls_line;
	char *tls_certificate, *tls_key; /* server: tls: certificate and key; both or neither NULL */
	char *tls_client_ca;         /* server: tls: client-ca, or NULL */
	enum config_ask tls_ask;     /* server: tls: client-certificates; ASK_NOBODY without
	                              * client-ca, and else ASK_REQUIRE unless said */
	uint16_t tls_port;           /* server: tls: port, default 853, of TCP and of UDP */
	unsigned tls_dot, tls_doq, tls_dtls; /* 0 or 1; in the section, default 1 */

	/* dataplane */
	bool has_dataplane;
	unsigned *cores;             /* different ones that this machine has */
	size_t core_cnt;             /* 0 when not set */
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
 * fault, in the order of the file and at most CONFIG_FAULTS_MAX, to `errors` (of
 * errors_size octets): "FILE:LINE: cause", or "FILE: cause" when the file cannot
 * be read at all.  Whether zone files are there is not looked at: a zone that
 * cannot be loaded must not keep the others from being served. */
struct config *config_load(const char *path, char *errors, size_t errors_size);

/* config_parse - the same from text[0..len), untrusted; `path` names it in
 * messages and gives the folder for relative paths. */
struct config *config_parse(const char *path, const char *text, size_t len,
			    char *errors, size_t errors_size);

/* config_check_files - can the files that the configuration names be read (zone
 * files, pcaps)?  Writes "FILE:LINE: cause" lines as above and returns how many
 * files cannot. */
size_t config_check_files(const struct config *c, char *errors, size_t errors_size);

void config_free(struct config *c);

#endif
