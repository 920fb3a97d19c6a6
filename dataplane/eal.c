/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dataplane/eal.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#include "dataplane/common/log.h"

#define HUGE_PAGE ((size_t)2 << 20)
#define HUGE_FREE "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
#define EAL_OWN ((size_t)64 << 20) /* octets that DPDK wants for itself and its drivers */

#define ARGS_MAX 24
#define ARG_MAX_LEN 8192 /* octets; room for a long list of CPUs */

/* EAL's command line under construction. */
struct args {
	char *arg[ARGS_MAX + 1];
	int cnt;
	bool failed;
};

static void __attribute__((format(printf, 2, 3))) args_add(struct args *a, const char *format, ...)
{
	va_list list;

	if (a->cnt == ARGS_MAX) {
		a->failed = true;
		return;
	}
	va_start(list, format);
	if (vasprintf(&a->arg[a->cnt], format, list) < 0) {
		a->arg[a->cnt] = NULL;
		a->failed = true;
	} else {
		a->cnt++;
	}
	va_end(list);
}

/* One line of DPDK's log. */
static ssize_t log_write(void *cookie, const char *text, size_t len)
{
	size_t n = len;

	while (n > 0 && text[n - 1] == '\n')
		n--;
	if (n > 0)
		log_warn("dpdk: %.*s", (int)n, text);
	return (ssize_t)len;
}

static unsigned long free_huge_pages(void)
{
	unsigned long cnt = 0;
	FILE *f = fopen(HUGE_FREE, "re");

	if (!f)
		return 0;
	if (fscanf(f, "%lu", &cnt) != 1)
		cnt = 0;
	fclose(f);
	return cnt;
}

/* Which memory: true for huge pages. */
static int choose_memory(const struct config *c, size_t memory, bool *huge)
{
	unsigned long need = (memory + HUGE_PAGE - 1) / HUGE_PAGE, have = free_huge_pages();

	*huge = c->huge_pages != ARENA_HUGE_NO && have >= need;
	if (c->huge_pages == ARENA_HUGE_YES && !*huge) {
		log_error("dataplane: huge-pages: yes, but %lu pages of 2 MiB are needed and %lu are free (%s)",
			  need, have, HUGE_FREE);
		return -ENOMEM;
	}
	if (c->huge_pages == ARENA_HUGE_AUTO && !*huge)
		log_info("packet buffers in ordinary pages: %lu huge pages of 2 MiB would be needed, %lu are free",
			 need, have);
	else
		log_info("packet buffers in %s pages", *huge ? "huge" : "ordinary");
	return 0;
}

/* The CPUs for the main thread, as EAL's list: allowed ones without a worker. */
static int choose_cpus(const struct config *c, char *list, size_t size)
{
	cpu_set_t allowed, rest;
	size_t len = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return -errno;
	rest = allowed;
	for (size_t i = 0; i < c->core_cnt; i++) {
		if (c->cores[i] >= CPU_SETSIZE || !CPU_ISSET(c->cores[i], &allowed)) {
			log_error("dataplane: cores: this process may not run on core %u", c->cores[i]);
			return -EINVAL;
		}
		CPU_CLR(c->cores[i], &rest);
	}
	if (CPU_COUNT(&rest) == 0)
		rest = allowed;
	for (int cpu = 0; cpu < CPU_SETSIZE && len + 8 < size; cpu++)
		if (CPU_ISSET(cpu, &rest))
			len += (size_t)snprintf(list + len, size - len, "%s%d", len ? "," : "", cpu);
	return 0;
}

/* EAL makes a folder and never removes it.  Nothing of ours is shared, so that it is
 * empty, and better gone at once than left by a killed run. */
static void remove_folder(void)
{
	const char *folder = rte_eal_get_runtime_dir();

	if (rmdir(folder) != 0 && errno != ENOENT)
		log_warn("%s: %s", folder, strerror(errno));
}

int eal_start(const struct config *c, size_t memory)
{
	static const cookie_io_functions_t log_functions = { .write = log_write };
	static struct args a; /* EAL keeps pointers into its arguments */
	char cpus[ARG_MAX_LEN / 2], lcores[ARG_MAX_LEN];
	FILE *log = fopencookie(NULL, "w", log_functions);
	bool huge;
	size_t len;
	int rc;

	memory += EAL_OWN;
	rc = choose_memory(c, memory, &huge);
	if (rc == 0)
		rc = choose_cpus(c, cpus, sizeof(cpus));
	if (rc != 0) {
		if (log)
			fclose(log);
		return rc;
	}

	len = (size_t)snprintf(lcores, sizeof(lcores), "0@(%s)", cpus);
	for (size_t i = 0; i < c->core_cnt && len + 32 < sizeof(lcores); i++)
		len += (size_t)snprintf(lcores + len, sizeof(lcores) - len, ",%zu@%u",
					EAL_LCORE_FIRST + i, c->cores[i]);

	if (log) {
		setvbuf(log, NULL, _IOLBF, BUFSIZ);
		rte_openlog_stream(log);
	}
	args_add(&a, "pollux-dataplane");
	args_add(&a, "--lcores=%s", lcores);
	args_add(&a, "--main-lcore=0");
	args_add(&a, "--file-prefix=pollux-%d", (int)getpid());
	args_add(&a, "--no-telemetry");
	args_add(&a, "--no-pci");
	args_add(&a, "--iova-mode=va"); /* no port does DMA by physical address */
	args_add(&a, "--log-level=error");
	/* A driver that cannot open its device says so in its own words; port.c then finds
	 * out why and says it in ours. */
	args_add(&a, "--log-level=pmd.net.af_xdp:critical");
	if (huge) {
		args_add(&a, "--in-memory");
	} else {
		args_add(&a, "--no-shconf"); /* EAL refuses --in-memory beside --no-huge */
		args_add(&a, "--no-huge");
		args_add(&a, "-m");
		args_add(&a, "%zu", memory >> 20);
	}
	if (a.failed) {
		rc = -ENOMEM;
		log_error("dataplane: no memory for DPDK's arguments");
	} else if (rte_eal_init(a.cnt, a.arg) < 0) {
		rc = -rte_errno;
		log_error("dataplane: DPDK did not start: %s", rte_strerror(rte_errno));
	}
	remove_folder();
	return rc;
}

void eal_stop(void)
{
	rte_eal_cleanup();
}
