/* SPDX-License-Identifier: GPL-3.0-or-later */
/* main.c - pollux-dataplane: answers DNS queries from ports of its own, out of the
 * table that pollux-control keeps. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "dataplane/attach_client.h"
#include "dataplane/common/attach.h"
#include "dataplane/common/config.h"
#include "dataplane/common/log.h"
#include "dataplane/common/rights.h"
#include "dataplane/eal.h"
#include "dataplane/frame.h"
#include "dataplane/keeper.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"

#define PROGRAM "pollux-dataplane"
#define ERRORS_LEN 65536 /* octets of complaints about a configuration */
#define ERROR_LEN 512

static const char usage[] =
	"usage: " PROGRAM " --config FILE\n"
	"Answers DNS queries from the ports of FILE's `dataplane' section, in the\n"
	"foreground, out of the table of the pollux-control that runs with the same FILE.\n";

/* What one run has; zeroed, it is nothing yet. */
struct run {
	struct config *config;
	struct frame_addresses addresses;
	struct port *port;
	size_t port_cnt;         /* checked */
	size_t open_cnt;         /* port_open was tried */
	struct workers *workers;
	struct attach_client attach;
	struct rights rights;
	bool dropped;            /* they are given up */
	struct keeper keeper;
	int signals;
};

static struct config *load(const char *path)
{
	static char errors[ERRORS_LEN];
	struct config *c = config_load(path, errors, sizeof(errors));
	char *save = NULL;

	if (!c) {
		for (char *line = strtok_r(errors, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			log_error("%s", line);
		return NULL;
	}
	if (c->port_cnt == 0 || c->core_cnt == 0) {
		log_error("%s: a dataplane needs `dataplane: cores' and `dataplane: ports'", path);
		config_free(c);
		return NULL;
	}
	return c;
}

static int fill_addresses(struct run *r)
{
	for (size_t i = 0; i < r->config->listen_cnt; i++) {
		int rc = frame_addresses_add(&r->addresses, &r->config->listen[i].sa);

		if (rc != 0) {
			log_error("%s:%u: listen: %s", r->config->path, r->config->listen[i].line,
				  rc == -ENOSPC ? "a dataplane answers at most 256 addresses" : strerror(-rc));
			return rc;
		}
	}
	return 0;
}

static int check_ports(struct run *r)
{
	size_t interfaces = 0;

	r->port = calloc(r->config->port_cnt, sizeof(*r->port));
	if (!r->port) {
		log_error("no memory for ports");
		return -ENOMEM;
	}
	for (size_t i = 0; i < r->config->port_cnt; i++) {
		int rc = port_check(&r->port[i], r->config, &r->config->port[i], &r->addresses);

		if (rc != 0)
			return rc;
		r->port_cnt++;
		interfaces += r->config->port[i].kind == PORT_INTERFACE;
	}
	if (interfaces > ATTACH_PORTS) {
		log_error("dataplane: %zu interfaces; at most %d can be served", interfaces, ATTACH_PORTS);
		return -EINVAL;
	}
	return 0;
}

/* Every signal that we take comes through this descriptor; threads inherit the mask. */
static int open_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int open_ports(struct run *r)
{
	size_t memory = 0;
	int rc;

	for (size_t i = 0; i < r->port_cnt; i++)
		memory += port_memory(&r->port[i]);
	rc = eal_start(r->config, memory);
	if (rc != 0)
		return rc;
	while (r->open_cnt < r->port_cnt && rc == 0) {
		rc = port_open(&r->port[r->open_cnt], (unsigned)r->open_cnt);
		r->open_cnt++;
	}
	return rc;
}

/* Who will take the steering programs off.  Without it they would stay, and pass all to the
 * kernel. */
static void tell_keeper(struct run *r, const struct port *p)
{
	uint32_t mode;
	int program = steer_program_open(p->ifindex, &mode);
	int rc = program < 0 ? program : keeper_add(&r->keeper, p->ifindex, mode, program);

	if (program >= 0)
		close(program);
	if (rc != 0)
		log_warn("interface %s: its steering program will stay when we end: %s", p->name,
			 strerror(-rc));
}

/* Everything that needs rights is open: none is needed from here on. */
static int drop_rights(struct run *r)
{
	char error[ERROR_LEN];

	for (size_t i = 0; i < r->port_cnt; i++) {
		const struct port *p = &r->port[i];

		if (p->ifindex != 0)
			tell_keeper(r, p);
		/* Its clients are those of the user's group. */
		if (p->config->kind == PORT_MEMIF && r->rights.user &&
		    lchown(p->name, r->rights.uid, r->rights.gid) != 0)
			log_warn("memif %s: cannot be given to user %s: %s", p->name, r->rights.user,
				 strerror(errno));
	}
	if (rights_drop(&r->rights, error, sizeof(error)) != 0) {
		log_error("%s", error);
		return -EPERM;
	}
	r->dropped = true;
	return 0;
}

static void close_ports(struct run *r)
{
	for (size_t i = 0; i < r->open_cnt; i++) {
		struct port *p = &r->port[i];
		int rc;

		port_close(p);
		rc = r->dropped && p->ifindex != 0 ? keeper_detach(&r->keeper, p->ifindex) : 0;
		if (rc != 0)
			log_warn("interface %s: its steering program stays, and passes all to the kernel: %s",
				 p->name, strerror(-rc));
	}
	keeper_stop(&r->keeper);
}

/* Until a signal or the end of the pcaps. */
static void serve(struct run *r)
{
	enum { SIGNALS, WORKERS, ATTACH, PORTS };

	for (;;) {
		struct pollfd p[PORTS + CONFIG_PORTS_MAX] = {
			[SIGNALS] = { .fd = r->signals, .events = POLLIN },
			[WORKERS] = { .fd = workers_event(r->workers), .events = POLLIN },
			[ATTACH] = { .fd = attach_client_fd(&r->attach), .events = POLLIN },
		};

		for (size_t i = 0; i < r->port_cnt; i++)
			p[PORTS + i] = (struct pollfd){ .fd = port_fd(&r->port[i]), .events = POLLIN };
		if (poll(p, PORTS + r->port_cnt, attach_client_timeout(&r->attach)) < 0 && errno != EINTR) {
			log_error("poll: %s", strerror(errno));
			return;
		}
		if (p[SIGNALS].revents) {
			log_info("stopping");
			return;
		}
		if (p[WORKERS].revents) {
			log_info("every pcap is answered to its end");
			return;
		}
		for (size_t i = 0; i < r->port_cnt; i++)
			if (p[PORTS + i].revents)
				port_step(&r->port[i]);
		attach_client_step(&r->attach);
	}
}

/* Makes the process that keeps a right, before there are threads. */
static int start_keeper(struct run *r)
{
	char error[ERROR_LEN];
	int rc = rights_find(&r->rights, r->config, error, sizeof(error));

	if (rc != 0) {
		log_error("%s", error);
		return rc;
	}
	rc = keeper_start(&r->keeper, &r->rights);
	if (rc != 0)
		log_error("cannot make a process: %s", strerror(-rc));
	return rc;
}

static int run(struct run *r, const char *path)
{
	int rc = 1;

	r->keeper.sock = -1;
	r->config = load(path);
	if (!r->config)
		return 1;
	r->signals = open_signals();
	if (r->signals < 0)
		log_error("signalfd: %s", strerror(errno));
	if (r->signals < 0 || fill_addresses(r) != 0 || check_ports(r) != 0)
		goto out;
	if (start_keeper(r) != 0 || open_ports(r) != 0 || drop_rights(r) != 0)
		goto out;
	r->workers = workers_create(r->config, r->port, r->port_cnt);
	if (!r->workers)
		goto out;
	if (attach_client_init(&r->attach, r->config->run_directory, r->workers, r->port,
			       r->port_cnt) != 0)
		goto out;
	if (workers_start(r->workers) == 0) {
		serve(r);
		log_stopping();
		rc = 0;
	}
	workers_stop(r->workers);
	attach_client_close(&r->attach);
out:
	close_ports(r);
	if (r->workers)
		workers_free(r->workers);
	if (r->open_cnt > 0)
		eal_stop();
	free(r->port);
	config_free(r->config);
	return rc;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	static struct run r;
	const char *path = NULL;
	int option;

	log_open(PROGRAM);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts(PROGRAM " " POLLUX_VERSION);
			return 0;
		default:
			fputs(usage, stderr);
			return 1;
		}
	}
	if (!path || optind < argc) {
		fputs(usage, stderr);
		return 1;
	}
	return run(&r, path);
}
