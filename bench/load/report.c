/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/load/report.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/answer/rrtype.h"
#include "dataplane/common/log.h"

static const double quantiles[] = { 0.5, 0.9, 0.99, 0.999 };
static const char *const quantile_names[] = { "p50", "p90", "p99", "p99.9" };
#define QUANTILES (sizeof(quantiles) / sizeof(quantiles[0]))

static double microseconds(const struct run_result *r, uint64_t ticks)
{
	return (double)ticks / r->ticks * 1e6;
}

static double rate(const struct run_result *r)
{
	return r->seconds > 0 ? (double)r->answered_in_time / r->seconds : 0;
}

/* Who set the pace? */
static const char *limit(const struct run_result *r, const struct run_plan *plan)
{
	if (run_disturbed(r))
		return "disturbance";
	if (run_generator_bound(r, plan))
		return "generator";
	if (plan->rate > 0 && sweep_loss(r) < 0.001)
		return "rate";
	return "server";
}

/* ---- for people ---- */

static void text_rcodes(const struct run_result *r)
{
	char name[16];

	printf("rcodes   ");
	for (uint16_t i = 0; i < 16; i++)
		if (r->rcode[i] > 0)
			printf("  %s %lu", rcode_name(name, i), r->rcode[i]);
	printf("%s\n", r->answered ? "" : "  none");
}

static void text_wrong(const struct run *run, const struct run_result *r)
{
	printf("wrong      %lu", run_wrong(r));
	for (unsigned i = CHECK_WRONG_FIRST; i < CHECKS; i++)
		if (r->verdict[i] > 0)
			printf("  %s %lu", check_name(i), r->verdict[i]);
	printf("; %lu answers compared as a whole\n", r->sampled);
	for (unsigned i = 0; i < run->example_cnt; i++)
		printf("           %s\n", run->example[i]);
}

static void text_result(const struct options *o, const struct run *run, const struct run_plan *plan,
			const struct run_result *r)
{
	if (plan->rate > 0)
		printf("offered    %lu in %.2f s: %.0f a second\n", r->offered, r->seconds,
		       (double)r->offered / r->seconds);
	else
		printf("sent       %lu in %.2f s, %u under way\n", r->sent, r->seconds, plan->inflight);
	printf("answered   %lu: %.0f a second\n", r->answered, rate(r));
	printf("lost       %lu of %lu (%.4f %%), late %lu\n", r->lost + r->offered - r->sent, r->offered,
	       r->offered ? 100.0 * (double)(r->lost + r->offered - r->sent) / (double)r->offered : 0.0,
	       r->late);
	text_wrong(run, r);
	text_rcodes(r);
	printf("answers    %.1f octets on average, %lu truncated\n",
	       r->answered ? (double)r->octets / (double)r->answered : 0.0, r->truncated);
	printf("latency   ");
	for (unsigned i = 0; i < QUANTILES; i++)
		printf(" %s %.1f ", quantile_names[i], microseconds(r, hist_quantile(&r->latency, quantiles[i])));
	printf(" max %.1f microseconds\n", microseconds(r, r->latency.max));
	printf("generator  busy %.1f %%, behind for %.0f %% of the answers, CPU taken away %.1f %%\n",
	       100 * r->busy, 100 * r->full, 100 * r->stalled);
	printf("limit      %s\n", limit(r, plan));
	if (o->watch_cnt > 0)
		printf("watched    %.2f s of CPU, %.3f microseconds an answer\n", r->watched,
		       r->answered ? r->watched / (double)r->answered * 1e6 : 0.0);
}

/* What it comes down to, in plain words. */
static void text_verdict(const struct run_plan *plan, const struct run_result *r, const struct sweep *s)
{
	const char *who = limit(r, plan);
	double lost = r->offered ? 1 - (double)r->answered / (double)r->offered : 1;

	printf("\n");
	if (r->link_lost)
		printf("The server went away.\n");
	if (r->answered == 0) {
		printf("No query was answered: does a DNS server listen at that address, and do its answers "
		       "find the way back to the source addresses?\n");
		return;
	}
	if (run_wrong(r) > 0)
		printf("%.2g %% of the answers were WRONG: %lu of %lu.\n",
		       100 * (double)run_wrong(r) / (double)r->answered, run_wrong(r), r->answered);
	else
		printf("All answers were right as far as they were checked.\n");
	if (s)
		printf("The server answers up to %.0f queries a second with at most %.4g %% lost.\n", s->rate,
		       100 * s->loss);
	else if (plan->rate > 0)
		printf("The server answered %.4g %% of %.0f queries a second, half of them within %.1f "
		       "microseconds, 99 %% within %.1f.\n", 100 * (1 - lost), (double)r->offered / r->seconds,
		       microseconds(r, hist_quantile(&r->latency, 0.5)),
		       microseconds(r, hist_quantile(&r->latency, 0.99)));
	else
		printf("The server answers %s%.0f queries a second with %u under way.\n",
		       strcmp(who, "server") == 0 ? "" : "at least ", rate(r), plan->inflight);
	if (strcmp(who, "disturbance") == 0)
		printf("Other programs took %.0f %% of this generator's CPU: measure again on a quiet machine.\n",
		       100 * r->stalled);
	else if (strcmp(who, "generator") == 0)
		printf("The generator set the pace, not the server, which may be faster.\n");
	else if (plan->rate == 0 && !s)
		printf("The server set the pace: the generator had time to spare.\n");
}

void report_text(const struct options *o, const struct run *run, const struct run_plan *plan,
		 const struct run_result *r, const struct sweep *s)
{
	if (s) {
		printf("%14s %14s %9s %9s %9s  (closed loop: %.0f answers a second)\n", "offered/s", "answered/s",
		       "loss %", "p50 us", "p99 us", s->closed_rate);
		for (unsigned i = 0; i < s->cnt; i++) {
			const struct run_result *x = &s->step[i].out;

			printf("%14.0f %14.0f %9.4f %9.1f %9.1f%s%s\n", (double)x->offered / x->seconds, rate(x),
			       100 * sweep_loss(x), microseconds(x, hist_quantile(&x->latency, 0.5)),
			       microseconds(x, hist_quantile(&x->latency, 0.99)),
			       (int)i == s->best ? "  best" : "",
			       run_generator_bound(x, &s->step[i].plan) ? "  (generator's limit)" : "");
		}
		printf("\nhighest rate with at most %.4g %% lost: %.0f a second\n\n", 100 * s->loss, s->rate);
	}
	text_result(o, run, plan, r);
	text_verdict(plan, r, s);
	if (o->json)
		printf("results in %s\n", o->json);
}

/* ---- for programs ---- */

static json_t *json_rcodes(const struct run_result *r)
{
	json_t *j = json_object();
	char name[16];

	for (uint16_t i = 0; i < 16; i++)
		if (r->rcode[i] > 0)
			json_object_set_new(j, rcode_name(name, i), json_integer((json_int_t)r->rcode[i]));
	return j;
}

static json_t *json_latency(const struct run_result *r)
{
	json_t *j = json_object();

	for (unsigned i = 0; i < QUANTILES; i++)
		json_object_set_new(j, quantile_names[i],
				    json_real(microseconds(r, hist_quantile(&r->latency, quantiles[i]))));
	json_object_set_new(j, "max", json_real(microseconds(r, r->latency.max)));
	return j;
}

static json_t *json_result(const struct run_plan *plan, const struct run_result *r)
{
	json_t *j = json_pack("{s:f, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:s}",
		"seconds", r->seconds, "offered", (json_int_t)r->offered, "sent", (json_int_t)r->sent,
		"answered", (json_int_t)r->answered, "right", (json_int_t)r->verdict[CHECK_RIGHT],
		"lost", (json_int_t)(r->lost + r->offered - r->sent),
		"loss", sweep_loss(r), "rate", rate(r), "late", (json_int_t)r->late,
		"truncated", (json_int_t)r->truncated, "sampled", (json_int_t)r->sampled,
		"busy", r->busy, "full", r->full, "stalled", r->stalled, "cpu", r->cpu, "watched_cpu", r->watched,
		"limit", limit(r, plan));
	json_t *wrong = json_object();

	for (unsigned i = CHECK_WRONG_FIRST; i < CHECKS; i++)
		json_object_set_new(wrong, check_name(i), json_integer((json_int_t)r->verdict[i]));
	json_object_set_new(j, "wrong", json_integer((json_int_t)run_wrong(r)));
	json_object_set_new(j, "wrong_by_kind", wrong);
	json_object_set_new(j, "rcodes", json_rcodes(r));
	json_object_set_new(j, "octets",
			    json_real(r->answered ? (double)r->octets / (double)r->answered : 0));
	json_object_set_new(j, "latency_us", json_latency(r));
	if (plan->rate > 0)
		json_object_set_new(j, "rate_wanted", json_real(plan->rate));
	else
		json_object_set_new(j, "inflight", json_integer(plan->inflight));
	json_object_set_new(j, "link_lost", json_boolean(r->link_lost));
	return j;
}

static json_t *json_sweep(const struct sweep *s)
{
	json_t *j = json_pack("{s:f, s:f, s:f}", "loss_allowed", s->loss, "closed_rate", s->closed_rate,
			      "rate", s->rate);
	json_t *steps = json_array();

	for (unsigned i = 0; i < s->cnt; i++)
		json_array_append_new(steps, json_result(&s->step[i].plan, &s->step[i].out));
	json_object_set_new(j, "steps", steps);
	return j;
}

int report_json(const struct options *o, const struct run *run, const struct run_plan *plan,
		const struct run_result *r, const struct sweep *s)
{
	json_t *j = json_result(plan, r), *examples = json_array(), *course = json_array();
	int rc;

	json_object_set_new(j, "version", json_string(POLLUX_VERSION));
	json_object_set_new(j, "port", json_string(o->port_text));
	json_object_set_new(j, "queries", json_integer(run->store->cnt));
	json_object_set_new(j, "seed", json_integer((json_int_t)o->make.seed));
	for (unsigned i = 0; i < run->example_cnt; i++)
		json_array_append_new(examples, json_string(run->example[i]));
	json_object_set_new(j, "examples", examples);
	for (unsigned i = 0; i < r->course_cnt; i++)
		json_array_append_new(course, json_integer((json_int_t)r->course[i]));
	json_object_set_new(j, "course_interval", json_real(RUN_INTERVAL));
	json_object_set_new(j, "course", course);
	if (s)
		json_object_set_new(j, "sweep", json_sweep(s));
	if (strcmp(o->json, "-") == 0)
		rc = json_dumpf(j, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF ? 0 : -EIO;
	else
		rc = json_dump_file(j, o->json, JSON_INDENT(2)) == 0 ? 0 : -EIO;
	if (rc != 0)
		log_error("%s: cannot be written", o->json);
	json_decref(j);
	return rc;
}
