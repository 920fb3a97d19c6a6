/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/load/sweep.h"

#include <stdio.h>
#include <stdlib.h>

#define TOP 1.1 /* the ramp's end, in terms of the closed loop's rate */

double sweep_loss(const struct run_result *r)
{
	return r->offered ? 1 - (double)r->verdict[CHECK_RIGHT] / (double)r->offered : 1;
}

static int step(struct run *r, const struct run_plan *plan, double rate, struct sweep *s, bool *good)
{
	struct sweep_step *step = &s->step[s->cnt];
	char label[64];
	int rc;

	snprintf(label, sizeof(label), "sweep: %.0f/s", rate);
	step->plan = *plan;
	step->plan.rate = rate;
	step->plan.label = label;
	rc = run_go(r, &step->plan, &step->out);
	step->plan.label = "";
	if (rc != 0)
		return rc;
	free(step->out.course);
	step->out.course = NULL;
	step->out.course_cnt = 0;
	*good = sweep_loss(&step->out) <= s->loss && run_wrong(&step->out) == 0;
	if (*good && rate > s->rate) {
		s->rate = rate;
		s->best = (int)s->cnt;
	}
	s->cnt++;
	return 0;
}

int sweep_go(struct run *r, const struct run_plan *plan, double loss, struct sweep *s)
{
	struct run_plan closed = *plan;
	struct run_result out;
	double bad = 0;
	bool good;
	int rc;

	*s = (struct sweep){ .loss = loss, .best = -1 };
	closed.rate = 0;
	closed.label = "sweep: closed loop";
	rc = run_go(r, &closed, &out);
	free(out.course);
	if (rc != 0)
		return rc;
	s->closed_rate = (double)out.answered_in_time / out.seconds;
	if (s->closed_rate == 0)
		return 0;
	for (unsigned i = 1; i <= SWEEP_RAMP && !*r->stop; i++) {
		double rate = s->closed_rate * TOP * i / SWEEP_RAMP;

		rc = step(r, plan, rate, s, &good);
		if (rc != 0)
			return rc;
		/* A good rate above a bad one: that one was an accident. */
		if (good)
			bad = 0;
		else if (bad == 0)
			bad = rate;
	}
	for (unsigned i = 0; i < SWEEP_BISECT && bad > 0 && !*r->stop; i++) {
		double rate = (s->rate + bad) / 2;

		rc = step(r, plan, rate, s, &good);
		if (rc != 0)
			return rc;
		if (!good)
			bad = rate;
	}
	return 0;
}
