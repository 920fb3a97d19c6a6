/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report.h - what a run found, for people and as JSON. */
#ifndef POLLUX_BENCH_REPORT_H
#define POLLUX_BENCH_REPORT_H

#include "bench/load/options.h"
#include "bench/load/run.h"
#include "bench/load/sweep.h"

/* report_text - to standard output. */
void report_text(const struct options *o, const struct run *r, const struct run_plan *plan,
		 const struct run_result *out, const struct sweep *sweep);

/* report_json - to the file o->json.  0 or -errno. */
int report_json(const struct options *o, const struct run *r, const struct run_plan *plan,
		const struct run_result *out, const struct sweep *sweep);

#endif
