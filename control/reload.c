/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/common/log.h"

#define ERRORS_TEXT 16384 /* octets of a configuration's faults */

/* One reload under way. */
struct reloading {
	struct reload parts;
	reload_done done;
	void *arg;
	uv_work_t work;
	struct config *config;
	const char *restart[RELOAD_RESTART_MAX];
	size_t restart_cnt;
	char errors[ERRORS_TEXT];
};

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_listen(const struct config *a, const struct config *b)
{
	if (a->listen_cnt != b->listen_cnt)
		return false;
	for (size_t i = 0; i < a->listen_cnt; i++)
		if (a->listen[i].sa_len != b->listen[i].sa_len ||
		    memcmp(&a->listen[i].sa, &b->listen[i].sa, a->listen[i].sa_len) != 0)
			return false;
	return true;
}

static bool same_ports(const struct config *a, const struct config *b)
{
	if (a->has_dataplane != b->has_dataplane || a->port_cnt != b->port_cnt)
		return false;
	for (size_t i = 0; i < a->port_cnt; i++)
		if (a->port[i].kind != b->port[i].kind || a->port[i].queues != b->port[i].queues ||
		    !same_text(a->port[i].target, b->port[i].target) ||
		    !same_text(a->port[i].pcap_write, b->port[i].pcap_write))
			return false;
	return true;
}

static bool same_cores(const struct config *a, const struct config *b)
{
	return a->core_cnt == b->core_cnt &&
	       (a->core_cnt == 0 || memcmp(a->cores, b->cores, a->core_cnt * sizeof(*a->cores)) == 0);
}

/* What sockets depend on. */
static bool same_tls(const struct config *a, const struct config *b)
{
	return a->has_tls == b->has_tls && a->tls_port == b->tls_port && a->tls_dot == b->tls_dot &&
	       a->tls_doq == b->tls_doq && a->tls_dtls == b->tls_dtls;
}

/* Names in out[] what of a new configuration needs a restart.  Returns how many that are. */
static size_t differences(const struct config *running, const struct config *now,
			  const char *out[RELOAD_RESTART_MAX])
{
	size_t cnt = 0;

	if (!same_listen(running, now))
		out[cnt++] = "server: listen (pollux-control and pollux-dataplane)";
	if (!same_text(running->run_directory, now->run_directory))
		out[cnt++] = "server: run-directory (pollux-control and pollux-dataplane)";
	if (!same_text(running->data_directory, now->data_directory))
		out[cnt++] = "server: data-directory (pollux-control)";
	if (running->threads != now->threads)
		out[cnt++] = "server: threads (pollux-control)";
	if (!same_text(running->user, now->user))
		out[cnt++] = "server: user (pollux-control and pollux-dataplane)";
	if (!same_tls(running, now))
		out[cnt++] = "server: tls (pollux-control): which transports, and their port";
	if (running->table_memory != now->table_memory)
		out[cnt++] = "table: memory (pollux-control)";
	if (running->huge_pages != now->huge_pages)
		out[cnt++] = "dataplane: huge-pages (pollux-control and pollux-dataplane)";
	if (!same_ports(running, now))
		out[cnt++] = "dataplane: ports (pollux-dataplane)";
	if (!same_cores(running, now))
		out[cnt++] = "dataplane: cores (pollux-dataplane)";
	if (running->verify_checksums != now->verify_checksums)
		out[cnt++] = "dataplane: verify-checksums (pollux-dataplane)";
	return cnt;
}

static void finish(struct reloading *r, const struct reload_result *result)
{
	for (size_t i = 0; i < result->restart_cnt; i++)
		log_warn("reload: a change of %s needs a restart", result->restart[i]);
	if (result->error)
		log_error("reload: %s", result->text);
	else
		log_info("reload: %s", result->text);
	if (r->done)
		r->done(r->arg, result);
	config_free(r->config);
	free(r);
}

static void on_configured(void *arg, const struct zones_result *z)
{
	struct reloading *r = arg;
	struct reload_result result = {.error = z->error, .text = z->text, .fault = z->fault,
				       .fault_cnt = z->fault_cnt, .restart = r->restart,
				       .restart_cnt = r->restart_cnt};

	finish(r, &result);
}

static void refuse(struct reloading *r)
{
	char *fault[CONFIG_FAULTS_MAX + 1], *rest = r->errors, *line;
	struct reload_result result = {.error = -ENOEXEC, .fault = fault,
				       .text = "the configuration has faults: nothing was changed"};

	while ((line = strsep(&rest, "\n")))
		if (*line && result.fault_cnt <= CONFIG_FAULTS_MAX) {
			log_error("%s", line);
			fault[result.fault_cnt++] = line;
		}
	finish(r, &result);
}

static void on_read(uv_work_t *work)
{
	struct reloading *r = work->data;

	r->config = config_load(r->parts.running->path, r->errors, sizeof(r->errors));
}

static void on_read_done(uv_work_t *work, int status)
{
	struct reloading *r = work->data;
	struct reload_result result = {.error = -ENOMEM, .text = "out of memory"};

	/* First what may be faulty, so that nothing has been changed then. */
	if (!status && (!r->config || threads_refresh(r->parts.threads, r->config, r->errors, sizeof(r->errors)))) {
		refuse(r);
		return;
	}
	if (!status) {
		r->restart_cnt = differences(r->parts.running, r->config, r->restart);
		threads_configure(r->parts.threads, r->config);
		attach_udp_payload(r->parts.attach, r->config->udp_payload);
		status = zones_configure(r->parts.zones, r->config, on_configured, r);
	}
	if (status)
		finish(r, &result);
}

int reload_start(const struct reload *parts, reload_done done, void *arg)
{
	struct reloading *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->parts = *parts;
	r->done = done;
	r->arg = arg;
	r->work.data = r;
	if (uv_queue_work(parts->loop, &r->work, on_read, on_read_done)) {
		free(r);
		return -ENOMEM;
	}
	return 0;
}
