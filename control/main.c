/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pollux-control: owns the zones, answers on kernel sockets what no worker answers,
 * and looks after the dataplane. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "control/attach.h"
#include "control/reload.h"
#include "control/serve/encrypted.h"
#include "control/serve/threads.h"
#include "control/socket/server.h"
#include "control/unix.h"
#include "control/watch.h"
#include "control/zone/dnssec_check.h"
#include "control/zone/zonefile.h"
#include "control/zones.h"
#include "dataplane/answer/db.h"
#include "dataplane/common/config.h"
#include "dataplane/common/log.h"
#include "dataplane/common/rights.h"

#define ERRORS_TEXT 16384 /* octets of a configuration's faults */
#define ERROR_TEXT 512
#define FILES_BESIDE 256  /* descriptors for all that is no TCP connection */

/* The control process's own reading threads, a status slot for each: the writer, who
 * reads zones for the control socket, then the serving threads. */
enum { SLOT_WRITER, SLOT_READING, SLOT_SERVE, SLOTS = SLOT_SERVE + CONFIG_THREADS_MAX };

struct control {
	struct config *config;
	uv_loop_t loop;
	struct db *db;
	struct arena_map map;
	unsigned slot[SLOTS];
	struct status_slot *serve_slot[CONFIG_THREADS_MAX];
	struct threads *threads;
	struct zones *zones;
	struct watch *watch;
	struct attach *attach;
	struct server *server;
	struct reload reload;
	struct rights rights;
	uv_signal_t signal[3];
	int claim;         /* descriptor of the run directory */
	bool stopping;
	int result;        /* exit status */
	char error[ERROR_TEXT];
};

static struct status_slot *slot(const struct control *c, unsigned which)
{
	return &db_status(c->db)->slot[c->slot[which]];
}

/* ---- stopping ---- */

static void stop(void *arg)
{
	struct control *c = arg;

	if (c->stopping)
		return;
	c->stopping = true;
	log_stopping();
	log_info("stopping");
	for (unsigned i = 0; i < 3; i++)
		uv_close((uv_handle_t *)&c->signal[i], NULL);

	bool ended = zones_stop(c->zones);

	server_stop(c->server);
	attach_stop(c->attach);
	if (!ended) {
		/* Half-way through a big zone: nothing is kept of it anyway. */
		log_info("stopped while a zone was loading");
		_exit(c->result);
	}
	watch_stop(c->watch);
	threads_stop(c->threads);
}

static void on_stop_signal(uv_signal_t *handle, int number)
{
	log_info("%s", number == SIGINT ? "interrupted" : "terminated");
	stop(handle->data);
}

/* ---- starting ---- */

static void on_reload_signal(uv_signal_t *handle, int number)
{
	struct control *c = handle->data;

	(void)number;
	if (reload_start(&c->reload, NULL, NULL))
		log_error("reload: out of memory");
}

/* All zones are loaded or reported: answer from now on. */
static void on_loaded(void *arg, const struct zones_result *r)
{
	struct control *c = arg;
	int error;

	/* Bad zones have been told in the log. */
	if (c->stopping)
		return;
	error = threads_start(c->threads, c->error, sizeof(c->error));
	if (error) {
		log_error("%s", c->error);
		c->result = 1;
		stop(c);
		return;
	}
	attach_loaded(c->attach);
	log_ready();
}

static int watch_signal(struct control *c, unsigned which, int number, uv_signal_cb cb)
{
	int error = uv_signal_init(&c->loop, &c->signal[which]);

	c->signal[which].data = c;
	return error ? error : uv_signal_start(&c->signal[which], cb, number);
}

/* Each TCP connection needs a descriptor, and the usual limit is as low as 1024. */
static void raise_files(struct control *c)
{
	rlim_t want = (rlim_t)c->config->tcp_max_clients + FILES_BESIDE;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= want)
		return;
	limit.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < want)
		log_warn("only %llu files may be open: less than tcp: max-clients needs",
			 (unsigned long long)limit.rlim_cur);
}

static int fail(struct control *c, const char *what, int error)
{
	snprintf(c->error, sizeof(c->error), "%s: %s", what, strerror(-error));
	return error;
}

static int open_table(struct control *c)
{
	uint32_t layout;
	int fd;
	int error = db_create(&c->db, c->config->table_memory, c->config->huge_pages);

	if (error)
		return fail(c, "cannot make the table", error);
	error = db_reader_reserve(c->db, (uint32_t)getpid(), STATUS_KIND_SERVE,
				  SLOT_SERVE + c->config->threads, c->slot);
	if (error)
		return fail(c, "cannot reserve status slots", error);
	for (unsigned i = 0; i < c->config->threads; i++)
		c->serve_slot[i] = slot(c, SLOT_SERVE + i);
	/* Reading goes through a read-only mapping here too: a fault in the parsing of
	 * messages cannot damage a zone. */
	fd = db_arena_fd(c->db);
	if (fd < 0)
		return fail(c, "cannot open the table for reading", fd);
	error = arena_map(&c->map, fd, &layout);
	close(fd);
	return error ? fail(c, "cannot map the table", error) : 0;
}

static int open_managers(struct control *c)
{
	struct server_parts parts;
	int error = zones_open(&c->zones, &c->loop, c->db, c->config, c->map, slot(c, SLOT_WRITER));

	if (error)
		return fail(c, "cannot start the writer", error);
	error = watch_open(&c->watch, &c->loop, threads_udp(c->threads), db_status(c->db));
	if (error)
		return fail(c, "cannot watch the dataplane", error);
	error = attach_open(&c->attach, &c->loop, c->db, c->config, watch_changed, c->watch,
			    c->error, sizeof(c->error));
	if (error)
		return error;
	c->reload = (struct reload){
		.loop = &c->loop, .running = c->config, .zones = c->zones, .threads = c->threads,
		.attach = c->attach,
	};
	parts = (struct server_parts){
		.db = c->db, .zones = c->zones, .attach = c->attach, .watch = c->watch,
		.status = db_status(c->db), .map = c->map, .serve_slot = c->serve_slot, .serve_cnt = c->config->threads,
		.reading_slot = slot(c, SLOT_READING), .reload = &c->reload,
		.stop = stop, .arg = c,
	};
	return server_open(&c->server, &c->loop, c->config->run_directory, &parts,
			   c->error, sizeof(c->error));
}

/* Names the configuration's line for each file that is missing.  A zone without its
 * file is not served; the others are. */
static void report_files(const struct control *c)
{
	static char errors[ERRORS_TEXT];
	char *rest = errors, *line;

	if (config_check_files(c->config, errors, sizeof(errors)) == 0)
		return;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			log_error("%s", line);
}

/* What root has read and a reload will read as the user. */
static void report_unreadable(const struct control *c)
{
	const char *const file[] = {
		c->config->path, c->config->tls_certificate, c->config->tls_key, c->config->tls_client_ca,
	};

	for (size_t i = 0; i < sizeof(file) / sizeof(file[0]); i++)
		if (file[i] && access(file[i], R_OK) < 0)
			log_warn("%s: a reload will not be able to read it: %s", file[i], strerror(errno));
}

/* Opens all.  After a failure the process ends: what is open is the kernel's to close. */
static int start(struct control *c)
{
	int error;

	signal(SIGPIPE, SIG_IGN);
	raise_files(c);
	report_files(c);
	error = rights_find(&c->rights, c->config, c->error, sizeof(c->error));
	if (!error)
		error = rights_directory(&c->rights, c->config->run_directory, c->error, sizeof(c->error));
	if (!error)
		error = rights_directory(&c->rights, c->config->data_directory, c->error, sizeof(c->error));
	if (error)
		return error;
	c->claim = unix_claim(c->config->run_directory, c->error, sizeof(c->error));
	if (c->claim < 0)
		return c->claim;
	error = uv_loop_init(&c->loop);
	if (error)
		return fail(c, "cannot make the event loop", error);
	error = open_table(c);
	if (error)
		return error;
	error = threads_open(&c->threads, c->config, &c->loop, c->map, c->serve_slot,
			     c->error, sizeof(c->error));
	if (error)
		return error;
	/* Ports below 1024 are bound.  No other thread runs yet. */
	error = rights_drop(&c->rights, c->error, sizeof(c->error));
	if (error)
		return error;
	report_unreadable(c);
	error = open_managers(c);
	if (error)
		return error;
	error = watch_signal(c, 0, SIGTERM, on_stop_signal);
	if (!error)
		error = watch_signal(c, 1, SIGINT, on_stop_signal);
	if (!error)
		error = watch_signal(c, 2, SIGHUP, on_reload_signal);
	if (!error)
		error = zones_load_all(c->zones, on_loaded, c);
	return error ? fail(c, "cannot start", error) : 0;
}

static void finish(struct control *c)
{
	server_free(c->server);
	attach_free(c->attach);
	watch_free(c->watch);
	zones_free(c->zones);
	threads_free(c->threads);
	arena_unmap(&c->map);
	db_reader_release(c->db, (uint32_t)getpid());
	db_destroy(c->db);
	uv_loop_close(&c->loop);
	close(c->claim);
	config_free(c->config);
}

static int run(struct config *config)
{
	static struct control c;

	c.config = config;
	c.claim = -1;
	if (start(&c)) {
		log_error("%s", c.error);
		/* The socket files of a start that fails half-way. */
		if (c.attach)
			attach_stop(c.attach);
		return 1;
	}
	uv_run(&c.loop, UV_RUN_DEFAULT);
	finish(&c);
	return c.result;
}

/* ---- the command line ---- */

static void usage(FILE *to)
{
	fputs("usage: pollux-control --config FILE [--check]\n"
	      "       pollux-control --help | --version\n"
	      "\n"
	      "  --config FILE  the configuration (YAML)\n"
	      "  --check        check the configuration and the zones and files that it names,\n"
	      "                 and end\n", to);
}

static void print_fault(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "%s\n", text);
}

static int check_credentials(const struct config *config)
{
	char error[ERROR_TEXT];
	int result = encrypted_check(config, error, sizeof(error));

	if (result)
		print_fault(NULL, error);
	return result;
}

/* Reads every file that the configuration names, zones whole. */
static int check(const struct config *config)
{
	static char errors[ERRORS_TEXT];
	size_t bad = config_check_files(config, errors, sizeof(errors));

	fputs(errors, stderr);
	bad += check_credentials(config) != 0;
	for (size_t i = 0; i < config->zone_cnt; i++) {
		const struct config_zone *zone = &config->zone[i];
		struct records rs;

		if (access(zone->file, R_OK) < 0)
			continue; /* told above */
		records_init(&rs);
		bool refuse = zone->dnssec_check == DNSSEC_REFUSE ||
			      (zone->dnssec_check == DNSSEC_AS_SERVER && config->dnssec_check == DNSSEC_REFUSE);
		int error = zonefile_read(&rs, &zone->domain, zone->file, print_fault, NULL);

		if (!error && dnssec_check(&rs, &zone->domain, config->nsec3_iterations_max, !refuse,
					   print_fault, NULL, zone->file))
			error = refuse ? -EINVAL : 0;
		bad += error != 0;
		records_free(&rs);
	}
	if (bad == 0)
		printf("%s: good\n", config->path);
	return bad ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'k'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{0},
	};
	static char errors[ERRORS_TEXT];
	const char *path = NULL;
	bool only_check = false;
	int option, result;

	log_open("pollux-control");
	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 'k':
			only_check = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'v':
			puts("pollux-control " POLLUX_VERSION);
			return 0;
		default:
			usage(stderr);
			return 1;
		}
	}
	if (!path || optind < argc) {
		usage(stderr);
		return 1;
	}

	struct config *config = config_load(path, errors, sizeof(errors));

	if (!config) {
		fputs(errors, stderr);
		return 1;
	}
	if (!only_check)
		return run(config);
	result = check(config);
	config_free(config);
	return result;
}
