/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A stand-in for EAL's interrupt thread waits, is woken and "handles"; cores use the
 * gated thing as fast as they can.  Never may both be at it. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_interrupts.h>

#include "dataplane/gate.h"

#define CORES 3
#define EVENTS 300

static _Thread_local bool interrupt_thread;
static _Atomic unsigned inside;    /* cores at the gated thing */
static _Atomic bool handling;      /* the handler at it */
static _Atomic bool stop;
static _Atomic unsigned faults, uses, handled;
static int event_fd;

/* What gate.c asks EAL. */
int rte_thread_is_intr(void)
{
	return interrupt_thread;
}

static void *core(void *arg)
{
	int pass = *(int *)arg;

	while (!atomic_load(&stop)) {
		if (!gate_open(pass))
			continue;
		atomic_fetch_add(&inside, 1);
		if (atomic_load(&handling))
			atomic_fetch_add(&faults, 1);
		atomic_fetch_sub(&inside, 1);
		atomic_fetch_add(&uses, 1);
	}
	gate_leave(pass);
	return NULL;
}

static void *interrupts(void *arg)
{
	int epfd = epoll_create1(0);
	struct epoll_event e = { .events = EPOLLIN };

	interrupt_thread = true;
	epoll_ctl(epfd, EPOLL_CTL_ADD, event_fd, &e);
	while (!atomic_load(&stop)) {
		eventfd_t value;

		if (epoll_wait(epfd, &e, 1, 10) != 1)
			continue;
		atomic_store(&handling, true);
		for (int i = 0; i < 200; i++)
			if (atomic_load(&inside) != 0)
				atomic_fetch_add(&faults, 1);
		eventfd_read(event_fd, &value);
		atomic_fetch_add(&handled, 1);
		atomic_store(&handling, false);
	}
	close(epfd);
	return NULL;
}

Test(gate, keeps_handlers_and_cores_apart)
{
	pthread_t thread[CORES + 1];
	int pass[CORES];

	event_fd = eventfd(0, EFD_NONBLOCK);
	for (int i = 0; i < CORES; i++) {
		pass[i] = gate_join();
		cr_assert_geq(pass[i], 0);
	}
	pthread_create(&thread[CORES], NULL, interrupts, NULL);
	/* The last core comes late: until it does, nobody waits for it. */
	for (int i = 0; i < CORES - 1; i++)
		pthread_create(&thread[i], NULL, core, &pass[i]);
	for (int i = 0; i < EVENTS; i++) {
		unsigned before = atomic_load(&handled);

		if (i == EVENTS / 2)
			pthread_create(&thread[CORES - 1], NULL, core, &pass[CORES - 1]);
		eventfd_write(event_fd, 1);
		while (atomic_load(&handled) == before)
			usleep(10);
	}
	atomic_store(&stop, true);
	for (int i = 0; i <= CORES; i++)
		pthread_join(thread[i], NULL);
	cr_assert_eq(atomic_load(&handled), (unsigned)EVENTS);
	cr_assert_gt(atomic_load(&uses), 0u);
	cr_assert_eq(atomic_load(&faults), 0u);
	close(event_fd);
}

Test(gate, runs_out_of_passes)
{
	for (int i = 0; i < GATE_PASSES; i++)
		cr_assert_eq(gate_join(), i);
	cr_assert_eq(gate_join(), -1);
}
