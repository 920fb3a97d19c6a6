/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/common/log.h"

#define MS UINT64_C(1000000)
#define PUNT_PERIOD_MS 2     /* how long a handed-over datagram waits at most */
#define BEAT_PERIOD_NS (10 * MS)
#define SILENT_NS (50 * MS)  /* a worker beats every poll round: microseconds */
#define PUNT_TURN PUNT_SLOTS /* datagrams of one worker a turn: the ring, once */

struct watch {
	struct udp *udp;
	struct status *status;
	uv_timer_t timer;
	struct attach *attach;  /* of the dataplanes seen; NULL before the first */
	uint64_t beat_ns;       /* of the last look at heartbeats */
};

static struct status_slot *slot_of(const struct watch *w, const struct dataplane *d, unsigned worker)
{
	return &w->status->slot[d->slot[worker]];
}

/* The port and queue that a worker says it polls; NULL when it is on no AF_XDP port.
 * What it says is checked, as it stands in shared memory. */
static struct dataplane_port *port_of(const struct watch *w, const struct dataplane *d,
				      unsigned worker, unsigned *queue)
{
	struct status_slot *slot = slot_of(w, d, worker);
	uint32_t ifindex = atomic_load_explicit(&slot->port_ifindex, memory_order_relaxed);

	*queue = atomic_load_explicit(&slot->port_queue, memory_order_relaxed);
	if (ifindex == 0 || *queue >= STEER_QUEUES)
		return NULL;
	for (unsigned i = 0; i < d->port_cnt; i++)
		if (d->port[i].port.ifindex == ifindex)
			return (struct dataplane_port *)&d->port[i];
	return NULL;
}

bool watch_bypassed(const struct watch *w, const struct dataplane *d, unsigned worker)
{
	unsigned queue;
	const struct dataplane_port *p = port_of(w, d, worker, &queue);

	return p && p->bypassed[queue];
}

static void check_beat(struct watch *w, struct dataplane *d, unsigned worker, uint64_t now)
{
	unsigned queue;
	struct dataplane_port *p = port_of(w, d, worker, &queue);

	if (!p)
		return;

	uint64_t beat = atomic_load_explicit(&slot_of(w, d, worker)->heartbeat,
					     memory_order_relaxed);

	/* Who has only begun to serve may have its first round before it. */
	if (beat < d->serving_ns)
		beat = d->serving_ns;

	bool silent = now > beat && now - beat >= SILENT_NS;

	if (silent == p->bypassed[queue])
		return;

	int error = steer_set_bypass(&p->maps, queue, silent);

	/* Noted even after a failure: it would fail every time, and is said once. */
	p->bypassed[queue] = silent;
	if (error)
		log_error("%s queue %u: cannot change its bypass: %s", p->port.name, queue,
			  strerror(-error));
	else if (silent)
		log_warn("dataplane %u, worker %u on %s queue %u is silent for %u ms: "
			 "the kernel sockets answer", d->pid, worker, p->port.name, queue,
			 (unsigned)((now - beat) / MS));
	else
		log_info("dataplane %u, worker %u on %s queue %u is back", d->pid, worker,
			 p->port.name, queue);
}

static void drain(struct watch *w, struct dataplane *d, unsigned worker)
{
	struct punt_ring *ring = &slot_of(w, d, worker)->punt;
	struct punt_entry e;

	for (unsigned n = 0; n < PUNT_TURN && punt_pop(ring, &e); n++)
		udp_punted(w->udp, &e);
}

static void on_timer(uv_timer_t *timer)
{
	struct watch *w = timer->data;
	uint64_t now = uv_hrtime(); /* CLOCK_MONOTONIC, as the heartbeats */
	bool beats = now - w->beat_ns >= BEAT_PERIOD_NS;

	if (beats)
		w->beat_ns = now;
	for (struct dataplane *d = attach_first(w->attach); d; d = d->next) {
		if (d->state < DATAPLANE_WELCOMED)
			continue;
		for (unsigned i = 0; i < d->worker_cnt; i++) {
			drain(w, d, i);
			if (beats && d->state == DATAPLANE_SERVING)
				check_beat(w, d, i, now);
		}
	}
}

void watch_changed(void *arg, struct dataplane *d, bool dead)
{
	struct watch *w = arg;
	bool others = false;

	w->attach = d->attach;
	if (!dead) {
		if (!uv_is_active((uv_handle_t *)&w->timer))
			uv_timer_start(&w->timer, on_timer, PUNT_PERIOD_MS, PUNT_PERIOD_MS);
		return;
	}
	/* What it handed over before it died still gets its answer. */
	for (unsigned i = 0; i < d->worker_cnt; i++)
		drain(w, d, i);
	for (struct dataplane *e = attach_first(w->attach); e; e = e->next)
		others = others || (e != d && e->state >= DATAPLANE_WELCOMED);
	if (!others)
		uv_timer_stop(&w->timer);
}

int watch_open(struct watch **out, uv_loop_t *loop, struct udp *udp, struct status *status)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->udp = udp;
	w->status = status;
	uv_timer_init(loop, &w->timer);
	w->timer.data = w;
	*out = w;
	return 0;
}

void watch_stop(struct watch *w)
{
	uv_close((uv_handle_t *)&w->timer, NULL);
}

void watch_free(struct watch *w)
{
	free(w);
}
