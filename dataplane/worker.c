/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dataplane/worker.h"

#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "dataplane/answer/answer.h"
#include "dataplane/common/log.h"
#include "dataplane/eal.h"
#include "dataplane/memif_server.h"

#define BURST PORT_BURST     /* frames in flight through the stages of one burst */
#define TX_TRIES 64          /* transmits of one burst; a full queue ends in CNT_TX_FULL */
#define HEARTBEATS 2000      /* a second, idle or not; the control process expects 1000 */
#define DETACHED_NAP_NS 1000000 /* between looks for the first attachment */

/* A frame, and where its answer is written. */
struct buffer {
	uint8_t *data;
	uint16_t len, room;      /* octets there, octets that fit */
	struct rte_mbuf *mbuf;   /* NULL over memif */
};

/* One query on its way through a burst. */
struct job {
	struct buffer buffer;
	struct frame frame;
	struct query query;
};

struct worker {
	const struct port *port;
	uint16_t queue;
	unsigned index;          /* among all workers */
	bool ends;               /* pcap: an empty burst is its end */
	bool ended;
	struct reader reader;
	struct job job[BURST];
	/* Of the burst under way; added to the slot before its answers go out. */
	uint32_t counter[CNT_WORKERS];
	uint32_t rcode[STATUS_RCODES];
};

struct core {
	alignas(64) _Atomic(const struct attachment *) adopted; /* A2 */
	const struct attachment *current; /* the same, for the core itself */
	struct workers *all;
	struct worker **worker;
	unsigned worker_cnt;
	unsigned lcore;
	uint64_t beat_at;        /* TSC of the next heartbeat */
	uint64_t beat_cycles;
};

struct workers {
	alignas(64) _Atomic(const struct attachment *) want; /* A1 */
	_Atomic bool stop;
	alignas(64) _Atomic unsigned pcaps_left;
	int event;
	unsigned worker_cnt, core_cnt, started;
	struct worker *worker;
	struct core *core;
};

/* ---- one burst ---- */

static void worker_drop(struct worker *w, const struct buffer *b, enum status_counter reason)
{
	w->counter[reason]++;
	rte_pktmbuf_free(b->mbuf);
}

static unsigned receive_memif(struct memif_server *memif, struct buffer *buffer)
{
	struct memif_frame frame[BURST];
	unsigned cnt = memif_server_receive(memif, frame, BURST);

	for (unsigned i = 0; i < cnt; i++)
		buffer[i] = (struct buffer){ frame[i].data, (uint16_t)frame[i].len, MEMIF_FRAME, NULL };
	return cnt;
}

static unsigned receive_device(const struct worker *w, struct buffer *buffer)
{
	struct rte_mbuf *mbuf[BURST];
	unsigned cnt = rte_eth_rx_burst(w->port->id, w->queue, mbuf, BURST);

	for (unsigned i = 0; i < cnt; i++) {
		struct rte_mbuf *m = mbuf[i];

		rte_prefetch0(rte_pktmbuf_mtod(m, void *));
		/* A frame in pieces is none for us, even if all but padding is in the first one. */
		buffer[i] = (struct buffer){ rte_pktmbuf_mtod(m, uint8_t *),
					     m->nb_segs > 1 ? 0 : rte_pktmbuf_data_len(m),
					     (uint16_t)(m->buf_len - m->data_off), m };
	}
	return cnt;
}

/* Receive and parse frames: w->job[0..return) are datagrams for us. */
static unsigned burst_receive(struct worker *w)
{
	struct buffer buffer[BURST];
	unsigned jobs = 0, cnt = w->port->memif ? receive_memif(w->port->memif, buffer) :
						  receive_device(w, buffer);

	w->counter[CNT_RX] = cnt;
	if (cnt == 0)
		w->ended = w->ends;
	for (unsigned i = 0; i < cnt; i++) {
		struct job *j = &w->job[jobs];

		if (!frame_parse(&j->frame, &w->port->rules, buffer[i].data, buffer[i].len)) {
			worker_drop(w, &buffer[i], j->frame.reason);
			continue;
		}
		j->buffer = buffer[i];
		jobs++;
	}
	return jobs;
}

static void worker_punt(struct worker *w, const struct job *j)
{
	const uint8_t *data = j->buffer.data;
	struct punt_entry head;

	frame_source(&j->frame, data, &head);
	if (j->frame.payload_len <= PUNT_PAYLOAD &&
	    punt_push(&w->reader.slot->punt, &head, data + j->frame.payload, j->frame.payload_len))
		w->counter[CNT_PUNT]++;
	else
		w->counter[CNT_PUNT_FULL]++;
	rte_pktmbuf_free(j->buffer.mbuf);
}

/* Parse the messages; what is no query, or not ours to answer, leaves the burst. */
static unsigned burst_parse(struct worker *w, unsigned jobs)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < jobs; i++) {
		struct job *j = &w->job[i];
		const uint8_t *data = j->buffer.data;
		size_t max = frame_max_payload(&j->frame, &w->port->rules);
		size_t space = (size_t)j->buffer.room - j->frame.payload;

		switch (query_parse(&w->reader, &j->query, data + j->frame.payload,
				    j->frame.payload_len, TRANSPORT_UDP, max < space ? max : space)) {
		case VERDICT_ANSWER:
			j->query.client = frame_client(&j->frame, data, &j->query.client_len);
			if (kept != i)
				w->job[kept] = *j;
			kept++;
			break;
		case VERDICT_PUNT:
			worker_punt(w, j);
			break;
		case VERDICT_DROP:
			worker_drop(w, &j->buffer, CNT_DROP_NOT_QUERY);
			break;
		}
	}
	return kept;
}

/* Write the answer over the query, and the reply's frame around it. */
static void worker_answer(struct worker *w, struct job *j)
{
	uint8_t *data = j->buffer.data, *msg = data + j->frame.payload;
	uint16_t rcode;
	size_t len = query_answer(&w->reader, &j->query, msg, &rcode);

	w->counter[CNT_TRUNCATED] += msg[2] >> 1 & 1; /* TC (RFC 1035 4.1.1) */
	w->counter[CNT_EDNS] += j->query.edns;
	if (rcode < STATUS_RCODES)
		w->rcode[rcode]++;
	j->buffer.len = (uint16_t)frame_reply(&j->frame, &w->port->rules, data, len);
}

static unsigned transmit_memif(struct memif_server *memif, const struct job *job, unsigned cnt)
{
	struct memif_frame frame[BURST];

	for (unsigned i = 0; i < cnt; i++)
		frame[i] = (struct memif_frame){ job[i].buffer.data, job[i].buffer.len };
	return memif_server_send(memif, frame, cnt);
}

/* What the queue does not take is freed. */
static unsigned transmit_device(const struct worker *w, const struct job *job, unsigned cnt)
{
	struct rte_mbuf *mbuf[BURST];
	unsigned sent = 0;

	for (unsigned i = 0; i < cnt; i++) {
		mbuf[i] = job[i].buffer.mbuf;
		rte_pktmbuf_data_len(mbuf[i]) = job[i].buffer.len;
		rte_pktmbuf_pkt_len(mbuf[i]) = job[i].buffer.len;
	}
	for (unsigned i = 0; i < TX_TRIES && sent < cnt; i++)
		sent += rte_eth_tx_burst(w->port->id, w->queue, mbuf + sent, (uint16_t)(cnt - sent));
	rte_pktmbuf_free_bulk(mbuf + sent, cnt - sent);
	return sent;
}

/* Send what can be sent, and count it. */
static void burst_transmit(struct worker *w, unsigned jobs)
{
	unsigned sent = w->port->memif ? transmit_memif(w->port->memif, w->job, jobs) :
					 transmit_device(w, w->job, jobs);

	status_count(w->reader.slot, CNT_TX, sent);
	if (sent < jobs)
		status_count(w->reader.slot, CNT_TX_FULL, jobs - sent);
}

static void worker_count(struct worker *w)
{
	struct status_slot *s = w->reader.slot;

	for (unsigned i = 0; i < CNT_WORKERS; i++)
		if (w->counter[i] != 0)
			status_count(s, i, w->counter[i]);
	for (unsigned i = 0; i < STATUS_RCODES; i++)
		if (w->rcode[i] != 0)
			atomic_store_explicit(&s->rcode[i],
				atomic_load_explicit(&s->rcode[i], memory_order_relaxed) + w->rcode[i],
				memory_order_relaxed);
	memset(w->counter, 0, sizeof(w->counter));
	memset(w->rcode, 0, sizeof(w->rcode));
}

static void worker_burst(struct worker *w)
{
	struct query *query[BURST];
	unsigned jobs = burst_receive(w);

	if (w->counter[CNT_RX] == 0) {
		reader_end(&w->reader); /* idle readers must not hold memory either */
		return;
	}
	reader_begin(&w->reader);
	jobs = burst_parse(w, jobs);
	for (unsigned i = 0; i < jobs; i++)
		query[i] = &w->job[i].query;
	query_prefetch_burst(&w->reader, query, jobs);
	for (unsigned i = 0; i < jobs; i++)
		worker_answer(w, &w->job[i]);
	reader_end(&w->reader);
	w->counter[CNT_ANSWER] = jobs;
	worker_count(w); /* first, so that whoever has the answer finds it counted */
	if (jobs > 0)
		burst_transmit(w, jobs);
}

/* ---- one core ---- */

static void core_heartbeat(struct core *c)
{
	uint64_t now = rte_rdtsc();
	struct timespec ts;

	if (now < c->beat_at)
		return;
	c->beat_at = now + c->beat_cycles;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	for (unsigned i = 0; i < c->worker_cnt; i++)
		c->worker[i]->reader.now = (uint32_t)time(NULL);
	for (unsigned i = 0; i < c->worker_cnt; i++)
		atomic_store_explicit(&c->worker[i]->reader.slot->heartbeat,
				      (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec,
				      memory_order_relaxed);
}

static void worker_move(struct worker *w, const struct attachment *a)
{
	struct status_slot *slot = &a->status->slot[a->slot[w->index]];

	reader_init(&w->reader, a->map, slot);
	snprintf(slot->name, sizeof(slot->name), "worker %u", w->index);
	atomic_store_explicit(&slot->port_ifindex, w->port->ifindex, memory_order_relaxed);
	atomic_store_explicit(&slot->port_queue, w->queue, memory_order_relaxed);
	atomic_store_explicit(&slot->kind, STATUS_KIND_WORKER, memory_order_release);
	if (!w->ended)
		reader_online(&w->reader);
}

/* Between two rounds: take over a new attachment. */
static void core_adopt(struct core *c)
{
	const struct attachment *a = atomic_load_explicit(&c->all->want, memory_order_acquire); /* A2 */

	if (a == c->current)
		return;
	for (unsigned i = 0; i < c->worker_cnt; i++) {
		if (c->current)
			reader_offline(&c->worker[i]->reader); /* already, if it has ended */
		worker_move(c->worker[i], a);
	}
	c->current = a;
	c->beat_at = 0;
	atomic_store_explicit(&c->adopted, a, memory_order_release); /* A2 */
}

static void worker_has_ended(struct workers *all)
{
	if (atomic_fetch_sub_explicit(&all->pcaps_left, 1, memory_order_acq_rel) == 1)
		eventfd_write(all->event, 1);
}

/* Between two rounds: take over new clients of memifs, served or not. */
static void core_memif(struct core *c)
{
	for (unsigned i = 0; i < c->worker_cnt; i++)
		if (c->worker[i]->port->memif)
			memif_server_adopt(c->worker[i]->port->memif);
}

static int core_main(void *arg)
{
	static const struct timespec nap = { .tv_nsec = DETACHED_NAP_NS };
	struct core *c = arg;

	while (!atomic_load_explicit(&c->all->stop, memory_order_relaxed)) {
		core_memif(c);
		core_adopt(c);
		if (!c->current) {
			nanosleep(&nap, NULL);
			continue;
		}
		core_heartbeat(c);
		for (unsigned i = 0; i < c->worker_cnt; i++) {
			struct worker *w = c->worker[i];

			if (w->ended)
				continue;
			worker_burst(w);
			if (w->ended) {
				reader_offline(&w->reader); /* it says no more where it is */
				worker_has_ended(c->all);
			}
		}
	}
	for (unsigned i = 0; i < c->worker_cnt && c->current; i++)
		reader_offline(&c->worker[i]->reader);
	return 0;
}

/* ---- the main thread's side ---- */

static int cores_create(struct workers *w, const struct config *c)
{
	w->core_cnt = c->core_cnt < w->worker_cnt ? (unsigned)c->core_cnt : w->worker_cnt;
	if (w->core_cnt < c->core_cnt)
		log_warn("dataplane: %zu cores for %u queues: the last %zu stay idle", c->core_cnt,
			 w->worker_cnt, c->core_cnt - w->core_cnt);
	w->core = aligned_alloc(alignof(struct core), w->core_cnt * sizeof(*w->core));
	if (!w->core)
		return -ENOMEM;
	memset(w->core, 0, w->core_cnt * sizeof(*w->core));
	for (unsigned i = 0; i < w->core_cnt; i++) {
		struct core *core = &w->core[i];

		core->all = w;
		core->lcore = EAL_LCORE_FIRST + i;
		core->beat_cycles = rte_get_tsc_hz() / HEARTBEATS;
		core->worker = calloc(w->worker_cnt, sizeof(*core->worker));
		if (!core->worker)
			return -ENOMEM;
		for (unsigned n = i; n < w->worker_cnt; n += w->core_cnt)
			core->worker[core->worker_cnt++] = &w->worker[n];
	}
	return 0;
}

struct workers *workers_create(const struct config *c, const struct port *port, size_t port_cnt)
{
	struct workers *w = aligned_alloc(alignof(struct workers), sizeof(*w));
	unsigned n = 0;

	if (!w) {
		log_error("dataplane: no memory for workers");
		return NULL;
	}
	memset(w, 0, sizeof(*w));
	w->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (size_t i = 0; i < port_cnt; i++)
		w->worker_cnt += port[i].queues;
	if (w->worker_cnt == 0 || w->worker_cnt > STATUS_SLOTS) {
		log_error("dataplane: the ports have %u queues; 1 to %d can be served", w->worker_cnt,
			  STATUS_SLOTS);
		goto fail;
	}
	w->worker = calloc(w->worker_cnt, sizeof(*w->worker));
	if (!w->worker || w->event < 0)
		goto fail_memory;
	for (size_t i = 0; i < port_cnt; i++) {
		for (unsigned q = 0; q < port[i].queues; q++, n++) {
			w->worker[n].port = &port[i];
			w->worker[n].queue = (uint16_t)q;
			w->worker[n].index = n;
			w->worker[n].ends = port[i].config->kind == PORT_PCAP;
			if (w->worker[n].ends)
				atomic_fetch_add_explicit(&w->pcaps_left, 1, memory_order_relaxed);
		}
	}
	if (cores_create(w, c) == 0)
		return w;
fail_memory:
	log_error("dataplane: no memory for workers");
fail:
	workers_free(w);
	return NULL;
}

unsigned workers_cnt(const struct workers *w)
{
	return w->worker_cnt;
}

int workers_start(struct workers *w)
{
	for (; w->started < w->core_cnt; w->started++) {
		struct core *core = &w->core[w->started];
		int rc = rte_eal_remote_launch(core_main, core, core->lcore);

		if (rc != 0) {
			log_error("dataplane: cannot start a worker: %s", strerror(-rc));
			return rc;
		}
	}
	return 0;
}

void workers_publish(struct workers *w, const struct attachment *a)
{
	atomic_store_explicit(&w->want, a, memory_order_release); /* A1 */
}

bool workers_adopted(const struct workers *w)
{
	const struct attachment *a = atomic_load_explicit(&w->want, memory_order_relaxed);

	for (unsigned i = 0; i < w->core_cnt; i++)
		if (atomic_load_explicit(&w->core[i].adopted, memory_order_acquire) != a) /* A3 */
			return false;
	return true;
}

int workers_event(const struct workers *w)
{
	return w->event;
}

void workers_stop(struct workers *w)
{
	atomic_store_explicit(&w->stop, true, memory_order_relaxed);
	for (unsigned i = 0; i < w->started; i++)
		rte_eal_wait_lcore(w->core[i].lcore);
	w->started = 0;
}

void workers_free(struct workers *w)
{
	if (w->event >= 0)
		close(w->event);
	for (unsigned i = 0; i < w->core_cnt && w->core; i++)
		free(w->core[i].worker);
	free(w->core);
	free(w->worker);
	free(w);
}
