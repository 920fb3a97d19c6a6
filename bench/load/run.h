/* SPDX-License-Identifier: GPL-3.0-or-later */
/* run.h - send prepared queries, take and check answers, for a while.
 *
 * Closed loop: a fixed number of queries is under way; each answer makes room for the
 * next query.  The server sets the pace; nothing is lost unless it loses it.
 *
 * Open loop: queries are due at a fixed rate whatever comes back.  What was due and could
 * not be handed over, because the port's transmit queue was full, counts as offered and
 * not answered.  Where the generator itself was held up (its CPU taken away), the schedule
 * waits: nothing was offered in that time, and the time is reported as stalled.
 *
 * A run ends with a wait for what is still under way, so that every query sent has been
 * answered or counted as lost.
 */
#ifndef POLLUX_BENCH_RUN_H
#define POLLUX_BENCH_RUN_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/load/check.h"
#include "bench/load/hist.h"
#include "bench/load/port.h"
#include "bench/load/prepare.h"

#define RUN_EXAMPLES 8      /* wrong answers told of one by one */
#define RUN_EXAMPLE_LEN 1200
#define RUN_INTERVAL 0.1    /* seconds between entries of a run's course */

struct run_plan {
	double seconds;     /* 0: until every query has been sent once */
	double rate;        /* queries a second; 0: closed loop */
	uint32_t inflight;  /* closed loop: queries under way */
	double timeout;     /* seconds until a query is given up */
	bool samples_only;  /* send only those whose answers are looked into */
	bool progress;      /* a line on the terminal, rewritten twice a second */
	const char *label;  /* that it begins with */
};

struct run_result {
	double seconds;         /* the time of sending */
	uint64_t offered;       /* open loop: due; closed loop: sent */
	uint64_t sent;
	uint64_t answered;      /* rightly or wrongly */
	uint64_t answered_in_time; /* of these, before sending ended */
	uint64_t lost;
	uint64_t late;
	uint64_t other;         /* frames that are no answers */
	uint64_t verdict[CHECKS];
	uint64_t rcode[16];
	uint64_t truncated;
	uint64_t sampled;       /* answers that were compared as a whole */
	uint64_t octets;        /* of answers' messages */
	struct hist latency;    /* TSC ticks */
	double ticks;           /* TSC ticks a second */
	double busy;            /* share of time in rounds that sent or received something */
	double stalled;         /* share of time in which the CPU was elsewhere */
	double full;            /* share of answers taken while more than a burst, or half of what is under way, was waiting */
	double cpu;             /* seconds of CPU that this process took */
	double watched;         /* seconds of CPU that the watched processes took */
	uint64_t no_buffer;     /* times that no packet buffer was free */
	bool link_lost;
	uint64_t *course;       /* answers in each RUN_INTERVAL; free() by the caller */
	unsigned course_cnt;
};

struct run {
	struct port *port;
	const struct prepare_store *store;
	struct checker checker;
	uint32_t walk;          /* the next query to send */
	uint32_t number;        /* of the next run's first query: answers to earlier runs stay late */
	const volatile sig_atomic_t *stop;
	double ticks;           /* of the TSC, a second */
	const int *watch;       /* process ids */
	unsigned watch_cnt;
	char example[RUN_EXAMPLES][RUN_EXAMPLE_LEN];
	unsigned example_cnt;
};

/* run_init - prepare for runs over the store's queries. */
void run_init(struct run *r, struct port *port, const struct prepare_store *store,
	      const struct checker *checker, const volatile sig_atomic_t *stop);

/* run_go - one run.  Fills *out, whose course the caller frees.  0 or -ENOMEM. */
int run_go(struct run *r, const struct run_plan *plan, struct run_result *out);

/* run_wrong - how many answers were wrong in any way. */
uint64_t run_wrong(const struct run_result *r);

/* run_disturbed - was the generator kept from its CPU for so long that the run says little? */
bool run_disturbed(const struct run_result *r);

/* run_generator_bound - was it the generator that set the limit, not the server? */
bool run_generator_bound(const struct run_result *r, const struct run_plan *plan);

#endif
