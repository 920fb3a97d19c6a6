/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pollux-load - ask a DNS server as fast as it can answer, and check every answer. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "bench/load/check.h"
#include "bench/load/expect.h"
#include "bench/load/neighbour.h"
#include "bench/load/options.h"
#include "bench/load/prepare.h"
#include "bench/load/report.h"
#include "bench/load/run.h"
#include "bench/load/source.h"
#include "bench/load/sweep.h"
#include "control/zone/zonefile.h"
#include "dataplane/common/log.h"

#define LINK_WAIT 10.0     /* seconds */
#define LEARN_INFLIGHT 4
#define LEARN_ROUNDS 3     /* for questions whose answers were lost */

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	(void)number;
	stopped = 1;
}

/* ---- who asks whom ---- */

/* The MAC address of the server or of the gateway on the way to it. */
static int find_mac(struct options *o, int family, const uint8_t *server)
{
	unsigned ifindex;
	uint8_t hop[16];
	int rc = neighbour_hop(family, server, hop, &ifindex);

	if (rc == 0 && ifindex != o->port.ifindex) {
		log_error("the way to the server does not lead over %s (--mac says whom to send to)", o->port.target);
		return -EHOSTUNREACH;
	}
	if (rc == 0)
		rc = neighbour_mac(o->port.ifindex, family, hop, o->peers.mac_to);
	if (rc != 0)
		log_error("the MAC address of the server, or of the gateway to it, is unknown (%s): --mac says it",
			  strerror(-rc));
	return rc;
}

static int find_family(struct options *o, int family, const uint8_t *server, uint8_t *source, bool source_set)
{
	size_t len = family == AF_INET ? 4 : 16;
	int rc;

	if (o->port.kind == PORT_INTERFACE) {
		rc = source_set ? 0 : neighbour_source(family, server, source);
		if (rc != 0)
			log_error("no way to the server: %s", strerror(-rc));
		return rc != 0 || o->mac_set ? rc : find_mac(o, family, server);
	}
	if (!source_set) { /* as if it were the server's neighbour */
		memcpy(source, server, len);
		source[len - 1] ^= 2;
	}
	return 0;
}

static int find_peers(struct options *o)
{
	static const uint8_t memif_to[6] = { 2, 0, 0, 0, 0, 1 };
	struct prepare_peers *p = &o->peers;
	int rc = 0;

	memcpy(p->mac_from, o->port.mac, 6);
	if (o->port.kind == PORT_MEMIF && !o->mac_set)
		memcpy(p->mac_to, memif_to, 6);
	if (o->port.kind == PORT_PCI && !o->mac_set) {
		log_error("on a PCI port the server's MAC address is wanted (--mac)");
		return -EINVAL;
	}
	if (p->use4)
		rc = find_family(o, AF_INET, p->server4, p->source4, o->source4_set);
	if (rc == 0 && p->use6)
		rc = find_family(o, AF_INET6, p->server6, p->source6, o->source6_set);
	return rc;
}

/* ---- queries and their answers ---- */

struct preparation {
	const struct options *o;
	struct prepare_store store;
	struct expect expect;
	bool known;            /* from a zone */
	uint64_t *expected;
	uint32_t expected_cnt, expected_cap;
	FILE *save;            /* write them there instead */
	uint64_t saved;
	uint64_t unfit;        /* queries of files that cannot be sent */
};

static int take_sample(struct preparation *w, struct prepared *p, uint64_t digest)
{
	if (w->expected_cnt == w->expected_cap) {
		uint32_t cap = w->expected_cap ? 2 * w->expected_cap : 4096;
		uint64_t *more = realloc(w->expected, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		w->expected = more;
		w->expected_cap = cap;
	}
	w->expected[w->expected_cnt++] = digest;
	p->sample = w->expected_cnt;
	return 0;
}

/* A query and what is known about its answer. */
static int take_known(void *arg, const uint8_t *msg, size_t len, uint8_t rcode, uint64_t digest)
{
	struct preparation *w = arg;
	int error;
	struct prepared *p = prepare_add(&w->store, msg, len, &error);

	if (!p) {
		w->unfit++;
		return error;
	}
	p->rcode = rcode;
	if (w->o->sample > 0 && (w->store.cnt - 1) % w->o->sample == 0)
		return take_sample(w, p, digest);
	return stopped ? -EINTR : 0;
}

static int take_query(void *arg, const uint8_t *msg, size_t len)
{
	struct preparation *w = arg;
	uint8_t rcode = RCODE_UNKNOWN;
	uint64_t digest = 0;

	if (w->known && !expect_answer(&w->expect, msg, len, &rcode, &digest))
		rcode = RCODE_UNKNOWN;
	if (!w->save)
		return take_known(w, msg, len, rcode, digest);
	w->saved++;
	return stopped ? -EINTR : source_save_add(w->save, msg, len, rcode, digest);
}

static void zone_fault(void *arg, const char *text)
{
	(void)arg;
	log_error("%s", text);
}

static int prepare(struct preparation *w, const struct options *o)
{
	struct records rs;
	int rc = prepare_init(&w->store, &o->peers);

	records_init(&rs);
	if (rc == 0 && o->zone_path)
		rc = zonefile_read(&rs, &o->apex, o->zone_path, zone_fault, NULL);
	if (rc == 0 && o->zone_path && !o->echo) {
		rc = expect_open(&w->expect, &o->apex, &rs, o->payload);
		if (rc != 0)
			log_error("no room for the zone: %s", strerror(-rc));
		w->known = rc == 0;
	}
	if (rc == 0) {
		switch (o->source) {
		case SOURCE_TEXT: rc = source_text(o->path, &o->make.edns, take_query, w); break;
		case SOURCE_PCAP: rc = source_pcap(o->path, take_query, w); break;
		case SOURCE_SAVED: rc = source_saved(o->path, take_known, w); break;
		default: rc = source_zone(&rs, &o->apex, &o->make, take_query, w); break;
		}
	}
	expect_close(&w->expect);
	records_free(&rs);
	if (rc == -ENOMEM)
		log_error("no memory for the queries");
	if (w->unfit > 0)
		log_warn("%lu messages are no queries and are left out", w->unfit);
	if (rc == 0 && w->store.cnt == 0 && w->saved == 0) {
		log_error("there are no queries");
		rc = -EINVAL;
	}
	return rc;
}

/* Ask the samples slowly and take their answers for right. */
static int learn(struct run *r, const struct options *o)
{
	struct run_plan plan = { .inflight = LEARN_INFLIGHT, .timeout = o->timeout, .samples_only = true,
				 .progress = o->progress, .label = "learning" };
	struct run_result *out = malloc(sizeof(*out));
	int rc = out ? 0 : -ENOMEM;

	r->checker.learn = true;
	for (unsigned i = 0; i < LEARN_ROUNDS && rc == 0 && !stopped; i++) {
		rc = run_go(r, &plan, out);
		free(out->course);
		if (rc == 0 && out->lost == 0)
			break;
	}
	r->checker.learn = false;
	free(out);
	return rc;
}

/* ---- all of it ---- */

/* No port, no server: queries into a file. */
static int save(const struct options *o)
{
	struct preparation w = { .o = o, .save = source_save_open(o->save) };
	int rc = w.save ? prepare(&w, o) : -errno, closed = w.save ? source_save_close(w.save) : 0;

	prepare_free(&w.store);
	if (rc == 0)
		rc = closed;
	if (rc != 0)
		log_error("%s: %s", o->save, strerror(-rc));
	else
		printf("%lu queries in %s\n", w.saved, o->save);
	return rc;
}

static int measure(struct run *r, const struct options *o, struct run_plan *plan, struct run_result *out,
		   struct sweep **sweep)
{
	struct run_plan warm = *plan;
	int rc = 0;

	if (o->learn)
		rc = learn(r, o);
	if (rc == 0 && o->warmup > 0) {
		warm.seconds = o->warmup;
		warm.progress = false;
		rc = run_go(r, &warm, out);
		if (rc == 0 && out->link_lost)
			return 0;
		free(out->course);
		out->course = NULL;
	}
	if (rc == 0 && o->sweep >= 0) {
		struct run_plan steps = *plan;

		*sweep = calloc(1, sizeof(**sweep));
		if (!*sweep)
			return -ENOMEM;
		steps.seconds = o->step;
		rc = sweep_go(r, &steps, o->sweep, *sweep);
		/* Stay at the rate that was found: it must hold for the whole time. */
		plan->rate = (*sweep)->rate;
	}
	if (rc == 0)
		rc = run_go(r, plan, out);
	return rc;
}

static int run_all(struct options *o)
{
	struct preparation w = { .o = o };
	struct run_result *out = calloc(1, sizeof(*out));
	struct sweep *sweep = NULL;
	struct run r;
	struct run_plan plan = { .seconds = o->seconds, .rate = o->rate, .inflight = o->inflight,
				 .timeout = o->timeout, .progress = o->progress, .label = "" };
	int rc = out ? port_open(&o->port, o->core, LINK_WAIT) : -ENOMEM;

	if (rc == 0)
		rc = find_peers(o);
	if (rc == 0)
		rc = prepare(&w, o);
	if (rc == 0) {
		struct checker checker = { .base = w.store.base, .peers = &w.store.peers, .echo = o->echo,
					   .sums = o->sums, .expected = w.expected };

		run_init(&r, &o->port, &w.store, &checker, &stopped);
		r.watch = o->watch;
		r.watch_cnt = o->watch_cnt;
		rc = measure(&r, o, &plan, out, &sweep);
	}
	port_close(&o->port);
	if (rc == 0) {
		if (!o->json || strcmp(o->json, "-") != 0)
			report_text(o, &r, &plan, out, sweep);
		if (o->json)
			rc = report_json(o, &r, &plan, out, sweep);
		if (rc == 0)
			rc = run_wrong(out) > 0 || out->answered == 0 || out->link_lost;
	}
	if (out)
		free(out->course);
	free(out);
	free(sweep);
	free(w.expected);
	prepare_free(&w.store);
	return rc;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct options o;
	int rc;

	log_open("pollux-load");
	rc = options_read(&o, argc, argv);
	if (rc != 0)
		return rc > 0 ? 0 : 2;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	rc = o.save ? save(&o) : run_all(&o);
	if (rc < 0)
		log_error("there is no result: %s", strerror(-rc));
	return rc < 0 ? 2 : rc;
}
