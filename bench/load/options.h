/* SPDX-License-Identifier: GPL-3.0-or-later */
/* options.h - the command line of pollux-load. */
#ifndef POLLUX_BENCH_OPTIONS_H
#define POLLUX_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/load/port.h"
#include "bench/load/prepare.h"
#include "bench/load/source.h"

#define OPTIONS_WATCH 32

enum source_kind { SOURCE_NONE, SOURCE_TEXT, SOURCE_PCAP, SOURCE_SAVED, SOURCE_PROFILE };

struct options {
	const char *port_text;
	struct port port;
	unsigned core;
	struct prepare_peers peers;
	bool source4_set, source6_set, mac_set;

	enum source_kind source;
	const char *path;          /* of a text, pcap or saved file */
	const char *save;          /* write queries and expected answers there, and send none */
	const char *zone_path, *domain;
	struct name apex;
	struct source_zone make;   /* profile, count, seed, EDNS */

	double rate, sweep;        /* queries a second; share of loss a sweep allows, -1: no sweep */
	uint32_t inflight;
	double seconds, warmup, step, timeout;
	uint32_t sample;           /* every n-th query's answer is compared as a whole; 0: none */
	uint16_t payload;          /* the server's largest UDP answer */
	bool echo, learn, progress;
	bool sums;                 /* verify samples' checksums */
	int watch[OPTIONS_WATCH];  /* processes whose CPU is told */
	unsigned watch_cnt;
	const char *json;          /* where results go as JSON; "-": standard output */
};

/* options_read - read the command line.  0; 1 when help was asked for and given; -EINVAL
 * (told of on stderr). */
int options_read(struct options *o, int argc, char **argv);

#endif
