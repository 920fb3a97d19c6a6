/* SPDX-License-Identifier: GPL-3.0-or-later */
/* polluxctl - ask the control process, print its answer for people, or as it came
 * (--json).  Exit status 0 when the answer was ok, else 1.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apply.h"
#include "session.h"

#define SOCKET_DEFAULT "/run/pollux/control.sock"
#define COLUMNS_MAX 8

static const char usage[] =
	"usage: polluxctl [--socket PATH] [--json] COMMAND\n"
	"\n"
	"  status                 the processes, the table, the workers\n"
	"  zone list              all zones\n"
	"  zone show ZONE         one zone\n"
	"  zone add ZONE FILE [--force]\n"
	"                         load a zone and serve it, or one that is there from this file;\n"
	"                         --force drops what was changed in it at run time\n"
	"  zone remove ZONE       serve it no longer\n"
	"  zone reload [ZONE] [--force]\n"
	"                         read its file again, or those of all zones; --force drops\n"
	"                         what was changed since\n"
	"  zone read ZONE [NAME]  its records, or those of one name\n"
	"  zone set ZONE RR...    its RRsets become these records: 'www 300 A 192.0.2.1'\n"
	"  zone unset ZONE NAME [TYPE]\n"
	"                         an RRset goes, or all of the name\n"
	"  apply FILE             commit the changes that FILE (- for standard input) tells\n"
	"  reload                 read the configuration again\n"
	"  stats                  what was counted\n"
	"  stop                   end the control process\n"
	"\n"
	"  --socket PATH          the control socket (" SOCKET_DEFAULT ")\n"
	"  --json                 print the reply's lines as they came\n";

/* ---- printing ---- */

/* A table whose columns are as wide as their widest cell. */
struct grid {
	char **cell; /* row after row */
	size_t cnt, cap;
	unsigned columns;
	unsigned right; /* bit i: column i is flush right */
};

static void *need(void *memory)
{
	if (!memory) {
		fputs("polluxctl: out of memory\n", stderr);
		exit(1);
	}
	return memory;
}

static void grid_add(struct grid *g, const char *text)
{
	if (g->cnt == g->cap) {
		g->cap = g->cap ? 2 * g->cap : 64;
		g->cell = need(realloc(g->cell, g->cap * sizeof(*g->cell)));
	}
	g->cell[g->cnt++] = need(strdup(text));
}

static void grid_add_number(struct grid *g, const json_t *value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	grid_add(g, json_is_integer(value) ? text : "-");
}

static void grid_print(struct grid *g, const char *indent)
{
	size_t width[COLUMNS_MAX] = {0};

	for (size_t i = 0; i < g->cnt; i++) {
		size_t n = strlen(g->cell[i]), *w = &width[i % g->columns];

		*w = n > *w ? n : *w;
	}
	for (size_t i = 0; i < g->cnt; i++) {
		unsigned column = (unsigned)(i % g->columns);
		bool last = column + 1 == g->columns;
		size_t pad = width[column] - strlen(g->cell[i]);

		if (column == 0)
			fputs(indent, stdout);
		if (g->right >> column & 1)
			printf("%*s", (int)pad, "");
		put_text(g->cell[i], stdout);
		if (!(g->right >> column & 1) && !last)
			printf("%*s", (int)pad, "");
		fputs(last ? "\n" : "  ", stdout);
	}
}

static void grid_free(struct grid *g)
{
	for (size_t i = 0; i < g->cnt; i++)
		free(g->cell[i]);
	free(g->cell);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void put_size(const json_t *object, const char *key)
{
	static const char *const unit[] = {"B", "KiB", "MiB", "GiB"};
	double size = (double)number_of(object, key);
	unsigned i = 0;

	for (; size >= 1024 && i < 3; i++)
		size /= 1024;
	printf(i == 0 ? "%.0f %s" : "%.1f %s", size, unit[i]);
}

static void print_workers(const json_t *workers)
{
	struct grid g = {.columns = 4, .right = 1 << 0 | 1 << 2};
	const json_t *w;
	size_t i;

	if (json_array_size(workers) == 0)
		return;
	grid_add(&g, "SLOT");
	grid_add(&g, "WORKER");
	grid_add(&g, "HEARTBEAT");
	grid_add(&g, "ITS QUEUES");
	json_array_foreach(workers, i, w) {
		char age[40];

		snprintf(age, sizeof(age), "%" JSON_INTEGER_FORMAT " ms ago",
			 number_of(w, "heartbeat_age_ms"));
		grid_add_number(&g, json_object_get(w, "slot"));
		grid_add(&g, text_of(w, "name"));
		grid_add(&g, age);
		grid_add(&g, json_is_true(json_object_get(w, "bypassed")) ?
			 "bypassed: the kernel has them" : "served");
	}
	grid_print(&g, "  ");
	grid_free(&g);
}

static void print_stalled(const json_t *stalled)
{
	const json_t *reader;
	size_t i;

	json_array_foreach(stalled, i, reader) {
		fputs("           ", stdout);
		put_text(text_of(reader, "name"), stdout);
		printf(" (process %" JSON_INTEGER_FORMAT ") has held retired memory for %" JSON_INTEGER_FORMAT
		       " ms\n", number_of(reader, "pid"), number_of(reader, "ms"));
	}
}

static void print_refused(const json_t *refused)
{
	const json_t *one;
	size_t i;

	json_array_foreach(refused, i, one) {
		printf("refused    dataplane, process %" JSON_INTEGER_FORMAT ": ", number_of(one, "pid"));
		put_text(text_of(one, "reason"), stdout);
		putchar('\n');
	}
}

static void print_status(const json_t *result)
{
	const json_t *plane = json_object_get(result, "dataplane");
	const json_t *table = json_object_get(result, "table");
	json_int_t up = number_of(result, "uptime_s");

	fputs("Pollux ", stdout);
	put_text(text_of(result, "version"), stdout);
	printf(", process %" JSON_INTEGER_FORMAT ", up ", number_of(result, "pid"));
	printf("%" JSON_INTEGER_FORMAT " d %02d:%02d:%02d\n", up / 86400, (int)(up / 3600 % 24),
	       (int)(up / 60 % 60), (int)(up % 60));
	printf("zones      %" JSON_INTEGER_FORMAT ", commit %" JSON_INTEGER_FORMAT "\n",
	       number_of(result, "zones"), number_of(result, "commit"));
	fputs("table      ", stdout);
	put_size(table, "used");
	fputs(" used, at most ", stdout);
	put_size(table, "peak");
	fputs(" so far; ", stdout);
	put_size(table, "fill");
	fputs(" backed of ", stdout);
	put_size(table, "max");
	fputs("; ", stdout);
	printf("%" JSON_INTEGER_FORMAT " blocks wait for readers; %s pages\n",
	       number_of(table, "retired"), json_is_true(json_object_get(table, "huge")) ? "huge" : "ordinary");
	print_stalled(json_object_get(table, "stalled"));
	if (json_is_true(json_object_get(plane, "attached")))
		printf("dataplane  attached, process %" JSON_INTEGER_FORMAT "\n",
		       number_of(plane, "pid"));
	else
		puts("dataplane  not attached: the control process answers alone");
	print_workers(json_object_get(plane, "workers"));
	print_refused(json_object_get(result, "refused"));
}

static void print_stats(const json_t *result)
{
	const json_t *workers = json_object_get(result, "workers");
	json_t *steering = json_object_get(result, "steering");
	struct grid g = {.columns = 3, .right = 1 << 2};
	const json_t *w;
	const char *key;
	json_t *value;
	size_t i;

	grid_add(&g, "WHO");
	grid_add(&g, "WHAT");
	grid_add(&g, "COUNT");
	json_array_foreach(workers, i, w) {
		static const char *const part[] = {"counters", "rcodes", "opcodes"};

		for (unsigned k = 0; k < 3; k++) {
			json_object_foreach(json_object_get(w, part[k]), key, value) {
				if (json_integer_value(value) == 0)
					continue;
				grid_add(&g, text_of(w, "name"));
				grid_add(&g, key);
				grid_add_number(&g, value);
			}
		}
	}
	json_object_foreach(steering, key, value) {
		if (json_integer_value(value) == 0)
			continue;
		grid_add(&g, "steering");
		grid_add(&g, key);
		grid_add_number(&g, value);
	}
	if (g.cnt > g.columns)
		grid_print(&g, "");
	else
		puts("nothing was counted yet");
	grid_free(&g);
}

/* Rows of zones, kept until the last has come so that columns line up. */
static void add_zone(struct grid *g, const json_t *row)
{
	static const char *const key[] = {"serial", "names", "records", "changes"};

	if (g->cnt == 0) {
		static const char *const head[] = {"ZONE", "SERIAL", "NAMES", "RECORDS",
						   "CHANGES", "STATE", "FILE", "ERROR"};

		g->columns = COLUMNS_MAX;
		g->right = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4;
		for (unsigned i = 0; i < COLUMNS_MAX; i++)
			grid_add(g, head[i]);
	}
	grid_add(g, text_of(row, "zone"));
	for (unsigned i = 0; i < sizeof(key) / sizeof(*key); i++)
		grid_add_number(g, json_object_get(row, key[i]));
	grid_add(g, text_of(row, "state"));
	grid_add(g, text_of(row, "file"));
	grid_add(g, text_of(row, "error"));
}

static void add_rows(enum protocol_command command, struct grid *zones, const json_t *rows)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		if (command == COMMAND_ZONE_READ) {
			put_text(json_is_string(row) ? json_string_value(row) : "-", stdout);
			putchar('\n');
		} else {
			add_zone(zones, row);
		}
	}
}

static void print_reload(const json_t *result)
{
	const json_t *line;
	size_t i;

	put_text(text_of(result, "text"), stdout);
	putchar('\n');
	json_array_foreach(json_object_get(result, "restart"), i, line) {
		fputs("needs a restart: ", stdout);
		put_text(json_is_string(line) ? json_string_value(line) : "-", stdout);
		putchar('\n');
	}
}

static void print_result(enum protocol_command command, struct grid *zones, const json_t *result)
{
	switch (command) {
	case COMMAND_STATUS:
		print_status(result);
		break;
	case COMMAND_STATS:
		print_stats(result);
		break;
	case COMMAND_ZONE_SHOW:
	case COMMAND_ZONE_ADD:
		add_zone(zones, result);
		break;
	case COMMAND_ZONE_LIST:
	case COMMAND_ZONE_RELOAD:
	case COMMAND_ZONE_READ:
		add_rows(command, zones, json_object_get(result, "rows"));
		break;
	case COMMAND_RELOAD:
		print_reload(result);
		break;
	case COMMAND_ZONE_REMOVE:
		put_text(text_of(result, "zone"), stdout);
		puts(" removed");
		break;
	default:
		puts("stopping");
		break;
	}
	if (zones->cnt > 0)
		grid_print(zones, "");
	else if (command == COMMAND_ZONE_LIST || command == COMMAND_ZONE_RELOAD)
		puts("no zones");
	if ((command == COMMAND_ZONE_RELOAD || command == COMMAND_ZONE_ADD) && number_of(result, "dropped") > 0)
		printf("%" JSON_INTEGER_FORMAT " changes made at run time were dropped\n",
		       number_of(result, "dropped"));
}

/* ---- asking ---- */

/* Print one line of the reply.  1: more will come; 0: that was the end and it is ok;
 * -1: the end, not ok. */
static int print_line(const struct session *s, enum protocol_command command,
		      struct grid *zones, const json_t *reply)
{
	const json_t *ok = json_object_get(reply, "ok");

	if (json_is_true(json_object_get(reply, "more"))) {
		add_rows(command, zones, json_object_get(reply, "rows"));
		return 1;
	}
	if (json_is_true(ok)) {
		print_result(command, zones, json_object_get(reply, "result"));
		return 0;
	}
	if (json_is_false(ok))
		put_error(reply);
	else
		fprintf(stderr, "polluxctl: %s: this is no reply of Pollux\n", s->path);
	return -1;
}

/* The same, as it came. */
static int print_raw(const json_t *reply, const char *line, size_t len)
{
	fwrite(line, 1, len, stdout);
	putchar('\n');
	return json_is_true(json_object_get(reply, "more")) ? 1 :
	       json_is_true(json_object_get(reply, "ok")) ? 0 : -1;
}

/* Read the whole reply and print it.  The exit status. */
static int print_reply(struct session *s, enum protocol_command command, bool as_json)
{
	struct grid zones = {0};
	const char *line;
	size_t len;
	int rc = 1;

	while (rc == 1 && (line = session_line(s, &len))) {
		json_t *reply = json_loadb(line, len, 0, NULL);

		rc = as_json ? print_raw(reply, line, len) :
		     print_line(s, command, &zones, reply);
		json_decref(reply);
	}
	grid_free(&zones);
	return rc == 0 ? 0 : 1;
}

/* ---- the command line ---- */

static const struct {
	const char *word, *second; /* "zone", "add" */
	enum protocol_command command;
	int least, most;           /* arguments behind them */
} words[] = {
	{"status", NULL, COMMAND_STATUS, 0, 0},
	{"zone", "list", COMMAND_ZONE_LIST, 0, 0},
	{"zone", "show", COMMAND_ZONE_SHOW, 1, 1},
	{"zone", "add", COMMAND_ZONE_ADD, 2, 2},
	{"zone", "remove", COMMAND_ZONE_REMOVE, 1, 1},
	{"zone", "reload", COMMAND_ZONE_RELOAD, 0, 1},
	{"zone", "read", COMMAND_ZONE_READ, 1, 2},
	{"stats", NULL, COMMAND_STATS, 0, 0},
	{"reload", NULL, COMMAND_RELOAD, 0, 0},
	{"stop", NULL, COMMAND_STOP, 0, 0},
};

static void add_argument(json_t *request, const char *key, const char *text)
{
	json_t *value = json_string(text);

	if (!value) {
		fprintf(stderr, "polluxctl: the %s is not UTF-8\n", key);
		exit(1);
	}
	if (json_object_set_new(request, key, value) != 0)
		need(NULL);
}

/* The control process has another working directory than we. */
static void add_file(json_t *request, const char *file)
{
	char *folder = file[0] == '/' ? need(strdup("")) : getcwd(NULL, 0);
	char *path;

	if (!folder) {
		fprintf(stderr, "polluxctl: cannot tell the working directory: %s\n",
			strerror(errno));
		exit(1);
	}
	if (asprintf(&path, "%s%s%s", folder, file[0] == '/' ? "" : "/", file) < 0)
		need(NULL);
	add_argument(request, "file", path);
	free(path);
	free(folder);
}

/* --force behind a command is taken off it. */
static bool take_force(int *argc, char **argv)
{
	bool force = *argc > 2 && strcmp(argv[*argc - 1], "--force") == 0 &&
		     (strcmp(argv[1], "reload") == 0 || strcmp(argv[1], "add") == 0);

	*argc -= force;
	return force;
}

/* The request that argv says, with its newline; NULL when it is no command. */
static char *build_request(int argc, char **argv, enum protocol_command *command)
{
	bool force = take_force(&argc, argv);

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		int used = words[i].second ? 2 : 1;
		char **arg = argv + used;

		if (argc < used + words[i].least || argc > used + words[i].most ||
		    strcmp(argv[0], words[i].word) != 0 ||
		    (words[i].second && strcmp(argv[1], words[i].second) != 0))
			continue;

		*command = words[i].command;

		json_t *request = need(json_object());

		add_argument(request, "command", protocol_command_name(*command));
		if (argc > used)
			add_argument(request, "zone", arg[0]);
		if (force)
			json_object_set_new(request, "force", json_true());
		if (*command == COMMAND_ZONE_ADD)
			add_file(request, arg[1]);
		else if (argc > used + 1)
			add_argument(request, "name", arg[1]);

		char *text = need(json_dumps(request, JSON_COMPACT)), *line;

		if (asprintf(&line, "%s\n", text) < 0)
			need(NULL);
		json_decref(request);
		free(text);
		return line;
	}
	return NULL;
}

/* ---- changes ---- */

/* An argument becomes part of a line. */
static const char *one_line(const char *argument)
{
	if (strpbrk(argument, "\n\r")) {
		fputs("polluxctl: a record must stand on one line\n", stderr);
		exit(1);
	}
	return argument;
}

/* Carries out what argv says if it is a change of records: the exit status, or -1 when it
 * is another command. */
static int change_records(struct session *s, const char *path, int argc, char **argv, bool as_json)
{
	bool set = argc >= 4 && strcmp(argv[0], "zone") == 0 && strcmp(argv[1], "set") == 0;
	bool unset = (argc == 4 || argc == 5) && strcmp(argv[0], "zone") == 0 &&
		     strcmp(argv[1], "unset") == 0;
	char *text = NULL;
	size_t len;
	int status = 1;

	if (argc == 2 && strcmp(argv[0], "apply") == 0)
		return session_open(s, path) ? 1 : apply_file(s, argv[1], as_json);
	if (!set && !unset)
		return -1;

	FILE *f = need(open_memstream(&text, &len));

	fprintf(f, "zone %s\n", one_line(argv[2]));
	for (int i = 3; set && i < argc; i++)
		fprintf(f, "set %s\n", one_line(argv[i]));
	if (unset)
		fprintf(f, "unset %s %s\n", one_line(argv[3]), argc > 4 ? one_line(argv[4]) : "");
	if (fclose(f) != 0)
		need(NULL);
	if (session_open(s, path) == 0)
		status = apply_text(s, text, as_json);
	free(text);
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{0}
	};
	const char *path = SOCKET_DEFAULT;
	enum protocol_command command;
	struct session s = {.fd = -1};
	bool as_json = false;
	char *request = NULL;
	int option, status;

	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (option) {
		case 's':
			path = optarg;
			break;
		case 'j':
			as_json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'v':
			puts("polluxctl " POLLUX_VERSION);
			return 0;
		default:
			fputs(usage, stderr);
			return 1;
		}
	}
	status = change_records(&s, path, argc - optind, argv + optind, as_json);
	if (status < 0) {
		status = 1;
		request = build_request(argc - optind, argv + optind, &command);
		if (!request) {
			fputs(usage, stderr);
			return 1;
		}
		if (session_open(&s, path) == 0 && session_send(&s, request, strlen(request)) == 0)
			status = print_reply(&s, command, as_json);
	}
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "polluxctl: cannot write: %s\n", strerror(errno));
		status = 1;
	}
	free(request);
	session_close(&s);
	return status;
}
