/* SPDX-License-Identifier: GPL-3.0-or-later */
/* source.h - where queries come from: a text file, a pcap file, or a zone.
 *
 * Every source calls a sink for each query in turn, a DNS message with ID 0 (of a pcap:
 * with whatever ID it had), until there are no more or the sink returns another value
 * than 0, which the source then returns.  Files are untrusted; faults are logged.
 */
#ifndef POLLUX_BENCH_SOURCE_H
#define POLLUX_BENCH_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "dataplane/answer/name.h"
#include "dataplane/answer/records.h"

typedef int (*source_sink)(void *arg, const uint8_t *msg, size_t len);

#define SOURCE_PAYLOAD 1232  /* octets that our OPT records offer */

/* Where a file's lines do not say it themselves. */
struct source_edns {
	unsigned edns;       /* percent of queries with OPT */
	unsigned dnssec_ok;  /* percent of all queries with DO set, as part of those */
};

/* source_text - lines `NAME [TYPE [FLAGS]]` as dnsperf and kxdpgun read them; TYPE is A if
 * left out; FLAGS are letters: E with EDNS, D with EDNS and DO, R with RD.  Empty lines
 * and those beginning with ; or # are skipped.  0; -EINVAL, -errno, the sink's. */
int source_text(const char *path, const struct source_edns *edns, source_sink sink, void *arg);

/* source_pcap - the UDP datagrams to port 53 of a pcap file (not pcapng) over Ethernet
 * with up to two VLAN tags, or bare IP; fragments and IP options are skipped.
 * 0; -EINVAL, -errno, the sink's. */
int source_pcap(const char *path, source_sink sink, void *arg);

/* source_saved - queries that source_save_* wrote, with what their answers must be.
 * 0; -EINVAL, -errno, the sink's. */
typedef int (*source_saved_sink)(void *arg, const uint8_t *msg, size_t len, uint8_t rcode,
				 uint64_t digest);
int source_saved(const char *path, source_saved_sink sink, void *arg);

/* source_save_open, _add, _close - write such a file, for this machine to read.  rcode and
 * digest as in prepare.h and expect.h.  The file, or NULL (errno); 0 or -errno. */
FILE *source_save_open(const char *path);
int source_save_add(FILE *f, const uint8_t *msg, size_t len, uint8_t rcode, uint64_t digest);
int source_save_close(FILE *f);

enum source_profile {
	PROFILE_HITS,      /* RRsets of the zone, each as often as the others */
	PROFILE_ZIPF,      /* the same, the n-th most asked with frequency 1/n */
	PROFILE_NXDOMAIN,  /* a random label in front of the zone's name */
	PROFILE_DEEP,      /* a random label and 28 more in front of it */
	PROFILE_REFERRALS, /* names below delegations, uniformly */
	PROFILE_MIXED,     /* 60 % hits (or referrals, where the zone has more of them),
	                    * 30 % random names, 10 % existing names without the type */
	PROFILES,
};

/* source_profile_from_name - its number, or -EINVAL. */
int source_profile_from_name(const char *text);

struct source_zone {
	enum source_profile profile;
	uint16_t type;       /* hits of this type only; 0: all */
	uint32_t cnt;        /* queries to make */
	uint64_t seed;
	struct source_edns edns;
};

/* source_zone - queries made from a sorted zone.  0; -EINVAL when the zone has nothing
 * that the profile could ask for; -ENOMEM; the sink's. */
int source_zone(const struct records *rs, const struct name *apex, const struct source_zone *z,
		source_sink sink, void *arg);

#endif
