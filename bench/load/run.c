/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/load/run.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "dataplane/answer/answer.h"
#include "dataplane/answer/rrtype.h"

#define BURST 32
#define AHEAD 4               /* frames between the prefetch of one and its check */
#define FLIGHTS_MIN 8192
#define FLIGHTS_MAX (1u << 22)
#define FLIGHTS_FOR_ONE 16    /* closed loop: places in the ring for each query under way */
#define CHORES 1000           /* a second: clock, expiry, stop */
#define STALL 0.001           /* seconds: a round that took longer lost its CPU */
#define BEHIND 0.002          /* seconds of queries that wait for a full transmit queue */
#define PROGRESS 0.5
#define LINK_LOST_AFTER 0.05  /* seconds */

/* Shares above which the generator is taken for the limit. */
#define BOUND_BUSY 0.97
#define BOUND_FULL 0.60
#define BOUND_STALLED 0.05

/* One run under way. */
struct state {
	struct run *r;
	const struct run_plan *plan;
	struct run_result *out;
	struct flights flights;
	struct rte_mbuf *backlog[BURST]; /* written, and not yet taken by the port */
	unsigned backlog_cnt, backlog_at;
	double ticks;           /* a second */
	uint64_t start, end;    /* of sending */
	uint64_t schedule;      /* open loop: when the first query was due */
	uint64_t due;           /* open loop: queries handed to `fill` or given up */
	uint64_t skipped;       /* of these given up */
	uint64_t full;          /* answers in full bursts */
	uint64_t busy, stalled; /* ticks */
	uint64_t chore_at, progress_at, progress_cnt, course_at, course_last, linkless;
	bool sending;
};

void run_init(struct run *r, struct port *port, const struct prepare_store *store,
	      const struct checker *checker, const volatile sig_atomic_t *stop)
{
	*r = (struct run){ .port = port, .store = store, .checker = *checker, .walk = 1, .stop = stop };
}

/* ---- answers ---- */

/* What is wrong with an answer, for people. */
static void note_example(struct run *r, enum check verdict, const struct checked *c)
{
	char text[NAME_TEXT_MAX] = "?", type[16] = "", got[16] = "", wanted[16] = "";
	const struct prepared *p;
	struct name name;
	size_t end;

	if (r->example_cnt == RUN_EXAMPLES)
		return;
	if (c->flight) {
		p = prepare_at(r->checker.base, c->flight->at);
		end = name_read(&name, p->frame, p->dns + (size_t)DNS_HEADER, p->len);
		if (end != 0 && p->len - end >= 4) {
			name_to_text(text, name.wire);
			rrtype_name(type, wire_read16(p->frame + end));
		}
		rcode_name(got, c->rcode);
		if (verdict == CHECK_WRONG_RCODE)
			rcode_name(wanted, p->rcode);
	}
	snprintf(r->example[r->example_cnt++], RUN_EXAMPLE_LEN, "%s %s: wrong %s; %s%s%s, %zu octets", text,
		 type, check_name(verdict), got, *wanted ? " and not " : "", wanted, c->len);
}

static void take_answers(struct state *s, struct rte_mbuf **mbuf, unsigned cnt, uint64_t now)
{
	struct run_result *out = s->out;
	const struct checker *k = &s->r->checker;

	for (unsigned i = 0; i < cnt && i < AHEAD; i++)
		rte_prefetch0(rte_pktmbuf_mtod(mbuf[i], void *));
	for (unsigned i = 0; i < cnt; i++) {
		struct checked c;
		enum check verdict;

		if (i + AHEAD < cnt)
			rte_prefetch0(rte_pktmbuf_mtod(mbuf[i + AHEAD], void *));
		verdict = check_frame(k, &s->flights, rte_pktmbuf_mtod(mbuf[i], uint8_t *),
				      rte_pktmbuf_data_len(mbuf[i]), &c);
		out->verdict[verdict]++;
		if (c.flight) {
			out->answered++;
			out->rcode[c.rcode]++;
			out->truncated += c.truncated;
			out->sampled += c.sampled;
			out->octets += c.len;
			hist_add(&out->latency, now - c.flight->sent, 1);
		}
		if (verdict >= CHECK_WRONG_FIRST)
			note_example(s->r, verdict, &c);
		if (c.flight)
			flights_end(&s->flights, c.flight);
	}
	rte_pktmbuf_free_bulk(mbuf, cnt);
}

/* Receive one burst.  How many frames it had. */
static unsigned receive(struct state *s)
{
	struct rte_mbuf *mbuf[BURST];
	unsigned cnt = rte_eth_rx_burst(s->r->port->id, 0, mbuf, BURST);

	if (cnt > 0) {
		take_answers(s, mbuf, cnt, rte_rdtsc());
		if (cnt == BURST)
			s->full += cnt;
	}
	return cnt;
}

/* ---- queries ---- */

/* The next query of the store; NULL at its end when it is to be gone through once. */
static const struct prepared *next_query(struct state *s, uint32_t *at)
{
	struct run *r = s->r;

	for (;;) {
		if (r->walk >= r->store->next) {
			r->walk = 1;
			if (s->plan->seconds == 0) {
				s->sending = false;
				return NULL;
			}
		}
		const struct prepared *p = prepare_at(r->store->base, r->walk);

		*at = r->walk;
		r->walk += prepare_units(p);
		if (!s->plan->samples_only ||
		    (p->sample != 0 && r->checker.expected[p->sample - 1] == 0))
			return p;
	}
}

/* Write up to cnt queries to the backlog. */
static void fill(struct state *s, unsigned cnt)
{
	uint64_t now = rte_rdtsc();
	unsigned n = 0;

	if (rte_pktmbuf_alloc_bulk(s->r->port->pool, s->backlog, cnt) != 0) {
		s->out->no_buffer++;
		return;
	}
	for (; n < cnt; n++) {
		uint8_t *data = rte_pktmbuf_mtod(s->backlog[n], uint8_t *);
		uint32_t at;
		const struct prepared *p = next_query(s, &at);

		if (!p)
			break;
		/* Entries are padded to whole units. */
		for (unsigned i = 0; i < p->len; i += PREPARE_UNIT)
			memcpy(data + i, p->frame + i, PREPARE_UNIT);
		prepare_number_frame(data, p, flights_start(&s->flights, at, now));
		rte_pktmbuf_data_len(s->backlog[n]) = p->len;
		rte_pktmbuf_pkt_len(s->backlog[n]) = p->len;
	}
	if (n < cnt)
		rte_pktmbuf_free_bulk(s->backlog + n, cnt - n);
	s->out->sent += n;
	s->due += n;
	s->backlog_at = 0;
	s->backlog_cnt = n;
}

/* How many queries may or must be sent now. */
static uint64_t wanted(struct state *s)
{
	if (s->plan->rate == 0)
		return s->plan->inflight > s->flights.pending ? s->plan->inflight - s->flights.pending : 0;

	uint64_t due = (uint64_t)((double)(rte_rdtsc() - s->schedule) / s->ticks * s->plan->rate);

	if (due <= s->due)
		return 0;
	/* The transmit queue has been full for long: these will not be sent any more. */
	uint64_t behind = due - s->due, most = (uint64_t)(BEHIND * s->plan->rate) + BURST;

	if (behind > most) {
		s->skipped += behind - most;
		s->due += behind - most;
		behind = most;
	}
	return behind;
}

/* Send what is wanted, as far as the port takes it.  How many frames it took. */
static unsigned transmit(struct state *s)
{
	unsigned taken;

	if (s->backlog_cnt == 0) {
		uint64_t n = s->sending ? wanted(s) : 0;

		if (n == 0)
			return 0;
		fill(s, n < BURST ? (unsigned)n : BURST);
		if (s->backlog_cnt == 0)
			return 0;
	}
	taken = rte_eth_tx_burst(s->r->port->id, 0, s->backlog + s->backlog_at, (uint16_t)s->backlog_cnt);
	s->backlog_at += taken;
	s->backlog_cnt -= taken;
	return taken;
}

/* ---- now and then ---- */

static void show_progress(struct state *s, uint64_t now)
{
	const struct run_result *out = s->out;
	double rate = (double)(out->answered - s->progress_cnt) / (PROGRESS);

	fprintf(stderr, "\r%s %5.1f s  %11.0f answers/s  lost %lu  wrong %lu \033[K", s->plan->label,
		(double)(now - s->start) / s->ticks, rate, s->flights.lost, run_wrong(out));
	s->progress_cnt = out->answered;
}

static void note_course(struct state *s, uint64_t now)
{
	struct run_result *out = s->out;
	uint64_t *more;

	for (; now >= s->course_at && s->sending; s->course_at += (uint64_t)(RUN_INTERVAL * s->ticks)) {
		more = realloc(out->course, (out->course_cnt + 1) * sizeof(*more));
		if (!more)
			return; /* the course is a help, no result */
		out->course = more;
		out->course[out->course_cnt++] = out->answered - s->course_last;
		s->course_last = out->answered;
	}
}

/* Frames that the port has not taken although sending ended a timeout ago. */
static void drop_backlog(struct state *s, uint64_t now)
{
	if (s->sending || (double)(now - s->start) < (s->out->seconds + s->plan->timeout) * s->ticks)
		return;
	rte_pktmbuf_free_bulk(s->backlog + s->backlog_at, s->backlog_cnt);
	s->backlog_cnt = 0;
}

/* False when the run is over. */
static bool chores(struct state *s, uint64_t now)
{
	flights_expire(&s->flights, now - (uint64_t)(s->plan->timeout * s->ticks));
	note_course(s, now);
	if (s->plan->progress && now >= s->progress_at) {
		show_progress(s, now);
		s->progress_at += (uint64_t)(PROGRESS * s->ticks);
	}
	if (port_link(s->r->port)) {
		s->linkless = 0;
	} else if (s->linkless == 0) {
		s->linkless = now;
	} else if ((double)(now - s->linkless) > LINK_LOST_AFTER * s->ticks) {
		s->out->link_lost = true;
		return false;
	}
	if (s->sending && (*s->r->stop || (s->plan->seconds > 0 && now >= s->end)))
		s->sending = false;
	if (!s->sending && s->out->seconds == 0) {
		s->out->seconds = (double)(now - s->start) / s->ticks;
		s->out->answered_in_time = s->out->answered;
	}
	drop_backlog(s, now);
	return s->sending || s->flights.pending > 0 || s->backlog_cnt > 0;
}

static void loop(struct state *s)
{
	uint64_t before = s->start;

	for (bool worked = false;;) {
		uint64_t now = rte_rdtsc();

		if (s->sending) {
			if ((double)(now - before) > STALL * s->ticks) {
				s->stalled += now - before;
				s->schedule += now - before;
			} else if (worked) {
				s->busy += now - before;
			}
		}
		before = now;
		worked = false;
		if (port_ready(s->r->port)) {
			worked = receive(s) > 0;
			worked |= transmit(s) > 0;
		}
		if (now < s->chore_at)
			continue;
		s->chore_at = now + (uint64_t)(s->ticks / CHORES);
		if (!chores(s, now))
			return;
	}
}

static uint32_t flights_wanted(const struct run_plan *plan)
{
	double cnt = plan->rate > 0 ? plan->rate * plan->timeout : (double)plan->inflight * FLIGHTS_FOR_ONE;
	uint32_t n = FLIGHTS_MIN;

	while (n < cnt && n < FLIGHTS_MAX)
		n *= 2;
	return n;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Nanoseconds of CPU that a thread has taken (proc(5): schedstat). */
static uint64_t thread_cpu(int pid, const char *thread)
{
	unsigned long ns = 0;
	char path[320];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, thread);
	f = fopen(path, "re");
	if (f && fscanf(f, "%lu", &ns) != 1)
		ns = 0;
	if (f)
		fclose(f);
	return ns;
}

/* Seconds of CPU of all threads of the watched processes. */
static double watched_seconds(const struct run *r)
{
	uint64_t ns = 0;

	for (unsigned i = 0; i < r->watch_cnt; i++) {
		struct dirent *e;
		char path[64];
		DIR *d;

		snprintf(path, sizeof(path), "/proc/%d/task", r->watch[i]);
		d = opendir(path);
		while (d && (e = readdir(d)) != NULL)
			if (e->d_name[0] != '.')
				ns += thread_cpu(r->watch[i], e->d_name);
		if (d)
			closedir(d);
	}
	return (double)ns / 1e9;
}

int run_go(struct run *r, const struct run_plan *plan, struct run_result *out)
{
	struct state s = { .r = r, .plan = plan, .out = out, .sending = true,
			   .ticks = (double)rte_get_tsc_hz() };
	double cpu = cpu_seconds(), watched = watched_seconds(r);
	uint64_t received;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = flights_init(&s.flights, flights_wanted(plan));
	if (rc != 0)
		return rc;
	s.flights.next = s.flights.oldest = r->number;
	if (plan->seconds == 0)
		r->walk = 1;
	s.start = s.schedule = rte_rdtsc();
	s.end = s.start + (uint64_t)(plan->seconds * s.ticks);
	s.course_at = s.start + (uint64_t)(RUN_INTERVAL * s.ticks);
	s.progress_at = s.start + (uint64_t)(PROGRESS * s.ticks);
	loop(&s);
	if (plan->progress)
		fprintf(stderr, "\r\033[K");
	rte_pktmbuf_free_bulk(s.backlog + s.backlog_at, s.backlog_cnt);

	out->lost = s.flights.lost + s.flights.pending;
	out->offered = out->sent + s.skipped;
	out->late = out->verdict[CHECK_LATE];
	out->other = out->verdict[CHECK_OTHER];
	out->ticks = s.ticks;
	received = out->answered + out->late + out->other;
	if (out->seconds == 0) /* the link went away */
		out->seconds = (double)(rte_rdtsc() - s.start) / s.ticks;
	out->busy = (double)s.busy / s.ticks / out->seconds;
	out->stalled = (double)s.stalled / s.ticks / out->seconds;
	out->full = received ? (double)s.full / (double)received : 0;
	out->cpu = cpu_seconds() - cpu;
	out->watched = watched_seconds(r) - watched;
	r->number = s.flights.next;
	flights_free(&s.flights);
	return 0;
}

uint64_t run_wrong(const struct run_result *r)
{
	uint64_t cnt = 0;

	for (unsigned i = CHECK_WRONG_FIRST; i < CHECKS; i++)
		cnt += r->verdict[i];
	return cnt;
}

bool run_generator_bound(const struct run_result *r, const struct run_plan *plan)
{
	if (r->stalled > BOUND_STALLED)
		return true;
	return r->busy > BOUND_BUSY && (plan->rate > 0 || r->full > BOUND_FULL);
}
