/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sweep.h - find the highest rate at which at most a given share is lost. */
#ifndef POLLUX_BENCH_SWEEP_H
#define POLLUX_BENCH_SWEEP_H

#include "bench/load/run.h"

#define SWEEP_RAMP 10    /* rates in even steps up to above the closed loop's */
#define SWEEP_BISECT 6   /* rates between the last good and the first bad one */

struct sweep_step {
	struct run_plan plan;
	struct run_result out;
};

struct sweep {
	double loss;         /* share allowed */
	double closed_rate;  /* answers a second of the closed loop before it */
	double rate;         /* the highest good one offered; 0: none was good */
	int best;            /* its step, -1 */
	unsigned cnt;
	struct sweep_step step[SWEEP_RAMP + SWEEP_BISECT];
};

/* sweep_loss - the share of what was offered that was not answered rightly. */
double sweep_loss(const struct run_result *r);

/* sweep_go - run it; plan says in-flight number (for the closed loop), seconds of a step
 * and timeout.  A rate is good when the loss is at most `loss` and no answer was wrong.
 * Stops early when r->stop is set.  0 or -ENOMEM.  The steps' courses are freed. */
int sweep_go(struct run *r, const struct run_plan *plan, double loss, struct sweep *s);

#endif
