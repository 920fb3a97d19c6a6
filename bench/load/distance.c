/* SPDX-License-Identifier: GPL-3.0-or-later */
/* distance A B - how long a cache line takes from CPU A to CPU B, in nanoseconds.
 *
 * A virtual machine's CPUs are where the host puts them, and it moves them: two threads of
 * one core, two cores with a common cache, or cores of two dies.  What two processes do
 * over shared memory takes three times as long in the last case, so runs are comparable
 * only at the same distance.
 */
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TURNS 20000u /* each way; a multiple of PIECES */
#define PIECES 10u   /* the fastest counts: the others were interrupted */

static alignas(128) _Atomic unsigned turn;

static void sit_on(const char *cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)atoi(cpu), &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0) {
		perror(cpu);
		exit(2);
	}
}

static void *answer(void *cpu)
{
	sit_on(cpu);
	for (unsigned i = 1; i < 2 * TURNS; i += 2) {
		while (atomic_load_explicit(&turn, memory_order_acquire) != i)
			;
		atomic_store_explicit(&turn, i + 1, memory_order_release);
	}
	return NULL;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
	double best = 1e9;
	pthread_t other;
	unsigned at = 0;

	if (argc != 3 || pthread_create(&other, NULL, answer, argv[2]) != 0) {
		fprintf(stderr, "Usage: distance CPU CPU\n");
		return 2;
	}
	sit_on(argv[1]);
	for (unsigned piece = 0; piece < PIECES; piece++) {
		double start = now();

		for (unsigned i = 0; i < TURNS / PIECES; i++, at += 2) {
			atomic_store_explicit(&turn, at + 1, memory_order_release);
			while (atomic_load_explicit(&turn, memory_order_acquire) != at + 2)
				;
		}
		double took = (now() - start) / (2.0 * TURNS / PIECES);

		/* The first has the thread's start in it. */
		if (piece > 0 && took < best)
			best = took;
	}
	pthread_join(other, NULL);
	printf("%.1f\n", best);
	return 0;
}
