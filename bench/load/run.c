/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/load/run.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_pause.h>

#include "dataplane/answer/answer.h"
#include "dataplane/answer/rrtype.h"

#define BURST PORT_BURST
#define AHEAD 12              /* frames between the prefetch of one and a look at it */
#define LINE 64
#define STREAM 1024           /* octets of prepared queries that are fetched ahead */
#define FRAME_OCTETS 128      /* of a query, about */
#define CALIBRATION_NS 20000000
#define FLIGHTS_MIN 8192
#define FLIGHTS_MAX (1u << 22)
#define FLIGHTS_FOR_ONE 16    /* closed loop: places in the ring for each query under way */
#define CHORES 1000           /* a second: clock, expiry, stop */
#define STALL 0.001           /* seconds: a round that took longer lost its CPU */
#define BEHIND 0.002          /* seconds of queries that wait for a full transmit queue */
#define PROGRESS 0.5
#define LINK_LOST_AFTER 0.05  /* seconds */

/* Shares above which the generator is taken for the limit: the time that it had work, and
 * the answers that came while too many were waiting.  Above the third the run says
 * nothing. */
#define BOUND_BUSY 0.97
#define BOUND_FULL 0.60
#define BOUND_STALLED 0.05

/* One run under way. */
struct state {
	struct run *r;
	const struct run_plan *plan;
	struct run_result *out;
	struct flights flights;
	double ticks;           /* a second */
	uint64_t now;           /* when this round of the loop began */
	uint64_t start, end;    /* of sending */
	uint64_t schedule;      /* open loop: when the first query was due */
	uint64_t due;           /* open loop: queries handed to `fill` or given up */
	uint64_t skipped;       /* of these given up */
	uint64_t behind;        /* answers that were among too many waiting ones */
	uint64_t busy, stalled; /* ticks */
	uint64_t chore_at, progress_at, progress_cnt, course_at, course_last, linkless;
	bool sending;
};

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* TSC ticks a second, against the kernel's clock. */
static double tick_rate(void)
{
	uint64_t ns = clock_ns(), ticks = rte_rdtsc(), passed;

	do
		passed = clock_ns() - ns;
	while (passed < CALIBRATION_NS);
	return (double)(rte_rdtsc() - ticks) / (double)passed * 1e9;
}

void run_init(struct run *r, struct port *port, const struct prepare_store *store,
	      const struct checker *checker, const volatile sig_atomic_t *stop)
{
	*r = (struct run){ .port = port, .store = store, .checker = *checker, .walk = 1, .stop = stop,
			   .ticks = tick_rate() };
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
	snprintf(r->example[r->example_cnt++], RUN_EXAMPLE_LEN, "%s %s: wrong %s; %s%s%s, %u octets", text,
		 type, check_name(verdict), got, *wanted ? " and not " : "", wanted, c->len);
}

/* Latencies of queries that were sent in one burst and answered in one are the same:
 * they are counted together. */
struct alike {
	uint64_t sent, cnt;
};

static void alike_count(struct alike *a, struct run_result *out, uint64_t now, uint64_t sent)
{
	if (a->cnt > 0 && a->sent != sent) {
		hist_add(&out->latency, now - a->sent, a->cnt);
		a->cnt = 0;
	}
	a->sent = sent;
	a->cnt++;
}

static inline void prefetch(const void *p)
{
	__builtin_prefetch(p);
}

/* Which queries are these the answers to?  Their prepared frames are on the way when the
 * answers are judged. */
static void find_queries(const struct state *s, const struct frame *frame, unsigned cnt,
			 struct checked *c, enum check *verdict)
{
	const struct checker *k = &s->r->checker;

	for (unsigned i = 0; i < cnt && i < AHEAD; i++) {
		prefetch(frame[i].data);
		prefetch(frame[i].data + LINE);
	}
	for (unsigned i = 0; i < cnt; i++) {
		if (i + AHEAD < cnt) {
			prefetch(frame[i + AHEAD].data);
			prefetch(frame[i + AHEAD].data + LINE);
		}
		verdict[i] = check_find(k, &s->flights, frame[i].data, frame[i].len, &c[i]);
		if (c[i].flight) {
			const uint8_t *p = (const uint8_t *)prepare_at(k->base, c[i].flight->at);

			prefetch(p);
			prefetch(p + LINE);
		}
	}
}

static void take_answers(struct state *s, const struct frame *frame, unsigned cnt, uint64_t now)
{
	struct run_result *out = s->out;
	const struct checker *k = &s->r->checker;
	struct checked c[BURST];
	enum check verdict[BURST];
	struct alike alike = { 0 };

	find_queries(s, frame, cnt, c, verdict);
	for (unsigned i = 0; i < cnt; i++) {
		if (c[i].flight && c[i].flight->at == 0) {
			/* The same answer twice in one burst. */
			verdict[i] = CHECK_LATE;
			c[i].flight = NULL;
		}
		if (c[i].flight) {
			verdict[i] = check_answer(k, &c[i]);
			out->answered++;
			out->rcode[c[i].rcode]++;
			out->truncated += c[i].truncated;
			out->sampled += c[i].sampled;
			out->octets += c[i].len;
			alike_count(&alike, out, now, c[i].flight->sent);
		}
		out->verdict[verdict[i]]++;
		if (verdict[i] >= CHECK_WRONG_FIRST)
			note_example(s->r, verdict[i], &c[i]);
		if (c[i].flight)
			flights_end(&s->flights, c[i].flight);
	}
	if (alike.cnt > 0)
		hist_add(&out->latency, now - alike.sent, alike.cnt);
}

/* Receive one burst.  How many frames it had. */
static unsigned receive(struct state *s)
{
	struct frame frame[BURST];
	unsigned waiting, cnt = port_receive(s->r->port, frame, &waiting);

	if (cnt > 0) {
		take_answers(s, frame, cnt, rte_rdtsc());
		port_release(s->r->port);
		/* Who has the queries, the server or we? */
		if (waiting > BURST || (s->plan->rate == 0 && 2 * waiting > s->plan->inflight))
			s->behind += cnt;
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

/* Write and send up to cnt queries.  How many the port took at once. */
static unsigned fill(struct state *s, unsigned cnt)
{
	struct frame frame[BURST];
	unsigned room = port_room(s->r->port, frame, cnt, FRAME_OCTETS, &s->out->no_buffer), n = 0;
	uint64_t now = rte_rdtsc();

	if (room == 0)
		return 0;
	for (; n < room; n++) {
		uint8_t *data = frame[n].data;
		uint32_t at;
		const struct prepared *p = next_query(s, &at);

		if (!p)
			break;
		prefetch((const uint8_t *)p + STREAM);
		prefetch((const uint8_t *)p + STREAM + LINE);
		/* Entries are padded to whole units. */
		for (unsigned i = 0; i < p->len; i += PREPARE_UNIT)
			memcpy(data + i, p->frame + i, PREPARE_UNIT);
		prepare_number_frame(data, p, flights_start(&s->flights, at, now));
		frame[n].len = p->len;
	}
	s->out->sent += n;
	s->due += n;
	return port_send(s->r->port, frame, n, room);
}

/* How many queries may or must be sent now. */
static uint64_t wanted(struct state *s)
{
	if (s->plan->rate == 0)
		return s->plan->inflight > s->flights.pending ? s->plan->inflight - s->flights.pending : 0;

	/* As of the round's begin: a stall behind it has not been taken off the schedule yet. */
	uint64_t due = (uint64_t)((double)(s->now - s->schedule) / s->ticks * s->plan->rate);

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
	if (port_behind(s->r->port) > 0)
		return port_flush(s->r->port);

	uint64_t n = s->sending ? wanted(s) : 0;

	return n == 0 ? 0 : fill(s, n < BURST ? (unsigned)n : BURST);
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
	port_forget(s->r->port);
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
	return s->sending || s->flights.pending > 0 || port_behind(s->r->port) > 0;
}

static void loop(struct state *s)
{
	uint64_t before = s->start;

	for (bool worked = false;;) {
		uint64_t now = s->now = rte_rdtsc();

		if (s->sending) {
			if ((double)(now - before) > STALL * s->ticks) {
				s->stalled += now - before;
				s->schedule += now - before;
			} else if (worked) {
				s->busy += now - before;
			}
		}
		before = now;
		worked = receive(s) > 0;
		worked |= transmit(s) > 0;
		if (!worked)
			rte_pause(); /* for the server, should it run on the same core */
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
			   .ticks = r->ticks };
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
	port_forget(r->port);

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
	out->full = received ? (double)s.behind / (double)received : 0;
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

bool run_disturbed(const struct run_result *r)
{
	return r->stalled > BOUND_STALLED;
}

bool run_generator_bound(const struct run_result *r, const struct run_plan *plan)
{
	return r->busy > BOUND_BUSY && (plan->rate > 0 || r->full > BOUND_FULL);
}
