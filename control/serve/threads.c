/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/threads.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/serve/encrypted.h"
#include "control/serve/tcp.h"
#include "control/serve/udp.h"

/* All that there is; udp is first, as threads_udp expects. */
static const struct service *const services[] = { &udp_service, &tcp_service, &encrypted_service };

#define SERVICES (sizeof(services) / sizeof(services[0]))

enum order { ORDER_CONFIGURE, ORDER_STOP };

struct thread {
	struct threads *all;
	uv_loop_t own, *loop;
	struct serve serve;
	struct room room;
	struct service_env env[SERVICES];
	void *state[SERVICES];      /* NULL: not asked for */
	/* From here on of threads 1 and up. */
	bool has_loop, running;
	uv_thread_t thread;
	uv_async_t wake;
	enum order order;           /* set before wake, read after it */
	const struct config *config;
	uv_sem_t done;              /* the order is carried out */
};

struct threads {
	struct clients *clients;
	void *shared[SERVICES];
	unsigned cnt;
	struct thread thread[];
};

static void stop_services(struct thread *th)
{
	for (size_t i = 0; i < SERVICES; i++)
		if (th->state[i])
			services[i]->stop(th->state[i]);
}

static void limit_services(struct thread *th, const struct config *c)
{
	for (size_t i = 0; i < SERVICES; i++)
		if (th->state[i] && services[i]->limit)
			services[i]->limit(th->state[i], c);
}

static void on_wake(uv_async_t *wake)
{
	struct thread *th = wake->data;

	if (th->order == ORDER_STOP) {
		stop_services(th);
		uv_close((uv_handle_t *)&th->wake, NULL);
	} else {
		limit_services(th, th->config);
	}
	uv_sem_post(&th->done);
}

static void run(void *arg)
{
	struct thread *th = arg;

	uv_run(th->loop, UV_RUN_DEFAULT);
}

static void give_order(struct thread *th, enum order order)
{
	th->order = order;
	uv_async_send(&th->wake);
	uv_sem_wait(&th->done);
}

/* A loop of its own; thread 0 has one already. */
static int make_loop(struct thread *th)
{
	int error = uv_loop_init(&th->own);

	if (error)
		return error;
	error = uv_async_init(&th->own, &th->wake, on_wake);
	if (!error)
		error = uv_sem_init(&th->done, 0);
	if (error)
		return error;
	th->wake.data = th;
	th->loop = &th->own;
	th->has_loop = true;
	return 0;
}

static int open_thread(struct thread *th, unsigned number, const struct config *c,
		       char *error, size_t error_size)
{
	struct threads *t = th->all;

	for (size_t i = 0; i < SERVICES; i++) {
		th->env[i] = (struct service_env){
			.serve = &th->serve, .room = &th->room, .thread = number,
			.threads = c->threads, .shared = t->shared[i],
		};

		int result = services[i]->open(&th->state[i], &th->env[i], c, error, error_size);

		if (result)
			return result;
	}
	return 0;
}

int threads_open(struct threads **out, const struct config *c, uv_loop_t *loop, struct arena_map map,
		 struct status_slot *const *slot, char *error, size_t error_size)
{
	struct threads *t = calloc(1, sizeof(*t) + c->threads * sizeof(t->thread[0]));
	int result = -ENOMEM;

	snprintf(error, error_size, "out of memory");
	if (!t)
		return result;
	t->clients = clients_create(c);
	if (!t->clients)
		goto fail;
	for (size_t i = 0; i < SERVICES; i++) {
		if (services[i]->prepare)
			result = services[i]->prepare(&t->shared[i], c, error, error_size);
		else
			result = 0;
		if (result)
			goto fail;
	}
	for (unsigned i = 0; i < c->threads; i++) {
		struct thread *th = &t->thread[i];
		char name[24] = "control";

		th->all = t;
		th->loop = loop;
		t->cnt++;
		if (i > 0)
			snprintf(name, sizeof(name), "control %u", i);
		serve_init(&th->serve, map, slot[i], name);
		room_init(&th->room, t->clients);
		result = i > 0 ? make_loop(th) : 0;
		if (result)
			snprintf(error, error_size, "cannot make a thread's event loop: %s",
				 uv_strerror(result));
		else
			result = open_thread(th, i, c, error, error_size);
		if (result)
			goto fail;
	}
	*out = t;
	return 0;
fail:
	threads_stop(t);
	threads_free(t);
	return result;
}

/* Signals are the main thread's. */
static int make_thread(struct thread *th)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);

	int error = uv_thread_create(&th->thread, run, th);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	th->running = !error;
	return error;
}

int threads_start(struct threads *t, char *error, size_t error_size)
{
	/* All of them listen before one answers: a client that the kernel gives to a
	 * listener stays with it. */
	for (unsigned i = 0; i < t->cnt; i++) {
		struct thread *th = &t->thread[i];

		for (size_t s = 0; s < SERVICES; s++) {
			int result = th->state[s] ? services[s]->start(th->state[s], th->loop,
								       error, error_size) : 0;

			if (result)
				return result;
		}
	}
	for (unsigned i = 1; i < t->cnt; i++) {
		int result = make_thread(&t->thread[i]);

		if (result) {
			snprintf(error, error_size, "cannot make a thread: %s", uv_strerror(result));
			return result;
		}
	}
	return 0;
}

int threads_refresh(struct threads *t, const struct config *c, char *error, size_t error_size)
{
	int result = 0;

	for (size_t i = 0; !result && i < SERVICES; i++)
		if (services[i]->refresh)
			result = services[i]->refresh(t->shared[i], c, error, error_size);
	return result;
}

void threads_configure(struct threads *t, const struct config *c)
{
	clients_limit(t->clients, c);
	for (unsigned i = 0; i < t->cnt; i++) {
		struct thread *th = &t->thread[i];

		th->config = c;
		if (th->running)
			give_order(th, ORDER_CONFIGURE);
		else
			limit_services(th, c);
	}
}

struct udp *threads_udp(const struct threads *t)
{
	return t->thread[0].state[0];
}

void threads_stop(struct threads *t)
{
	for (unsigned i = 0; i < t->cnt; i++) {
		struct thread *th = &t->thread[i];

		if (th->running) {
			give_order(th, ORDER_STOP);
			uv_thread_join(&th->thread);
			th->running = false;
		} else {
			stop_services(th);
		}
		if (!th->has_loop)
			continue;
		if (!uv_is_closing((uv_handle_t *)&th->wake))
			uv_close((uv_handle_t *)&th->wake, NULL);
		uv_run(&th->own, UV_RUN_DEFAULT);
		uv_loop_close(&th->own);
		uv_sem_destroy(&th->done);
		th->has_loop = false;
	}
}

void threads_free(struct threads *t)
{
	for (unsigned i = 0; i < t->cnt; i++)
		for (size_t s = 0; s < SERVICES; s++)
			if (t->thread[i].state[s])
				services[s]->free(t->thread[i].state[s]);
	for (size_t s = 0; s < SERVICES; s++)
		if (t->shared[s] && services[s]->release)
			services[s]->release(t->shared[s]);
	clients_free(t->clients);
	free(t);
}
