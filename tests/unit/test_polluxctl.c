/* SPDX-License-Identifier: GPL-3.0-or-later */
/* polluxctl against a server of ours that answers as the test says. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64], path[80];
static char asked[4096];     /* the request as the server got it */
static char out[1 << 16];    /* standard output, then standard error */
static int status;           /* exit status, -1 after a signal */

struct server {
	int fd;
	const char *reply;
	size_t len;
};

static void *serve(void *arg)
{
	struct server *s = arg;
	int client = accept(s->fd, NULL, NULL);
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(asked) - 1 && !memchr(asked, '\n', len) &&
	       (n = read(client, asked + len, sizeof(asked) - 1 - len)) > 0)
		len += (size_t)n;
	asked[len] = 0;
	/* The client may have gone at what it did not like. */
	for (size_t at = 0; at < s->len; at += (size_t)n) {
		n = send(client, s->reply + at, s->len - at, MSG_NOSIGNAL);
		if (n < 0)
			break;
	}
	close(client);
	return NULL;
}

static void run(const char *arguments)
{
	char command[512];
	FILE *f;
	size_t n;

	snprintf(command, sizeof(command), "cd '%s' && '%s' --socket '%s' %s 2>err",
		 folder, POLLUXCTL, path, arguments);
	f = popen(command, "r");
	cr_assert(f);
	n = fread(out, 1, sizeof(out) - 1, f);
	status = pclose(f);
	status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	snprintf(command, sizeof(command), "%s/err", folder);
	f = fopen(command, "r");
	cr_assert(f);
	n += fread(out + n, 1, sizeof(out) - 1 - n, f);
	fclose(f);
	out[n] = 0;
}

static void ask_len(const char *arguments, const char *reply, size_t len)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct server s = {socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), reply, len};
	pthread_t thread;

	strcpy(sa.sun_path, path);
	unlink(path);
	cr_assert_eq(bind(s.fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	cr_assert_eq(listen(s.fd, 1), 0);
	cr_assert_eq(pthread_create(&thread, NULL, serve, &s), 0);
	run(arguments);
	pthread_join(thread, NULL);
	close(s.fd);
}

static void ask(const char *arguments, const char *reply)
{
	ask_len(arguments, reply, strlen(reply));
}

static void begin(void)
{
	strcpy(folder, "/tmp/test_polluxctl.XXXXXX");
	cr_assert(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/sock", folder);
}

static void end(void)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	cr_assert_eq(system(command), 0);
}

TestSuite(polluxctl, .init = begin, .fini = end);

#define OK "{\"ok\":true,\"result\":{}}\n"

Test(polluxctl, each_command_is_asked_as_the_protocol_says)
{
	static const char *const command[][2] = {
		{"status", "{\"command\":\"status\"}\n"},
		{"zone list", "{\"command\":\"zone-list\"}\n"},
		{"zone show a", "{\"command\":\"zone-show\",\"zone\":\"a\"}\n"},
		{"zone add a /b/c", "{\"command\":\"zone-add\",\"zone\":\"a\",\"file\":\"/b/c\"}\n"},
		{"zone add a /b/c --force",
		 "{\"command\":\"zone-add\",\"zone\":\"a\",\"force\":true,\"file\":\"/b/c\"}\n"},
		{"zone remove a", "{\"command\":\"zone-remove\",\"zone\":\"a\"}\n"},
		{"zone reload", "{\"command\":\"zone-reload\"}\n"},
		{"zone reload a", "{\"command\":\"zone-reload\",\"zone\":\"a\"}\n"},
		{"zone read a", "{\"command\":\"zone-read\",\"zone\":\"a\"}\n"},
		{"zone read a b.a", "{\"command\":\"zone-read\",\"zone\":\"a\",\"name\":\"b.a\"}\n"},
		{"stats", "{\"command\":\"stats\"}\n"},
		{"--json stop", "{\"command\":\"stop\"}\n"},
	};

	for (size_t i = 0; i < sizeof(command) / sizeof(*command); i++) {
		ask(command[i][0], OK);
		cr_assert_str_eq(asked, command[i][1]);
		cr_assert_eq(status, 0, "%s: %s", command[i][0], out);
	}
}

Test(polluxctl, a_file_is_taken_from_the_callers_folder)
{
	char want[200];

	ask("zone add a 'b c.zone'", OK);
	snprintf(want, sizeof(want),
		 "{\"command\":\"zone-add\",\"zone\":\"a\",\"file\":\"%s/b c.zone\"}\n", folder);
	cr_assert_str_eq(asked, want);
}

Test(polluxctl, what_is_no_command_is_not_asked)
{
	static const char *const wrong[] = {
		"", "x", "zone", "zone x", "zone show", "zone show a b", "zone add a",
		"zone add a b c", "status x", "list zone", "zone read", "zone read a b c",
		"--wrong status", "zone read a b c --json",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		run(wrong[i]);
		cr_assert_eq(status, 1, "%s", wrong[i]);
		cr_assert(strstr(out, "usage: polluxctl"), "%s: %s", wrong[i], out);
	}
	run("--help");
	cr_assert_eq(status, 0);
	cr_assert(strstr(out, "usage: polluxctl"));
	run("--version");
	cr_assert_eq(status, 0);
	cr_assert_str_eq(out, "polluxctl " POLLUX_VERSION "\n");
}

Test(polluxctl, nobody_there_is_told)
{
	run("status");
	cr_assert_eq(status, 1);
	cr_assert(strstr(out, "polluxctl: cannot reach the control process at /tmp/"));
	run("--socket /tmp/0123456789012345678901234567890123456789012345678901234567890123456789"
	    "012345678901234567890123456789012345678901234567890 status");
	cr_assert_eq(status, 1);
	cr_assert(strstr(out, "longer than a socket's name may be"));
}

#define ROW "{\"zone\":\"example.com.\",\"state\":\"serving\",\"file\":\"/e\",\"serial\":10," \
	    "\"names\":3,\"records\":7,\"changes\":12,\"error\":null}"
#define BAD "{\"zone\":\"b.\",\"state\":\"failed\",\"file\":\"/b\",\"serial\":null," \
	    "\"names\":null,\"records\":null,\"changes\":0,\"error\":\"/b:1: x\\u001b[2J\"}"
#define HEAD "ZONE          SERIAL  NAMES  RECORDS  CHANGES  STATE    FILE  ERROR\n"

Test(polluxctl, zones_stand_in_columns)
{
	ask("zone list", "{\"more\":true,\"rows\":[" ROW "]}\n"
			 "{\"ok\":true,\"result\":{\"rows\":[" BAD "]}}\n");
	cr_assert_str_eq(out, HEAD
		"example.com.      10      3        7       12  serving  /e    -\n"
		"b.                 -      -        -        0  failed   /b    /b:1: x?[2J\n");
	cr_assert_eq(status, 0);
	ask("zone show example.com", "{\"ok\":true,\"result\":" ROW "}\n");
	cr_assert_str_eq(out, HEAD "example.com.      10      3        7       12  serving  /e    -\n");
	ask("zone list", "{\"ok\":true,\"result\":{\"rows\":[]}}\n");
	cr_assert_str_eq(out, "no zones\n");
	ask("zone remove a", "{\"ok\":true,\"result\":{\"zone\":\"a.\"}}\n");
	cr_assert_str_eq(out, "a. removed\n");
}

Test(polluxctl, records_come_line_by_line)
{
	ask("zone read a", "{\"more\":true,\"rows\":[\"a. 1 IN A 1.2.3.4\",\"b\"]}\n"
			   "{\"more\":true,\"rows\":[]}\n"
			   "{\"ok\":true,\"result\":{\"rows\":[\"c\"]}}\n");
	cr_assert_str_eq(out, "a. 1 IN A 1.2.3.4\nb\nc\n");
	cr_assert_eq(status, 0);
}

Test(polluxctl, status_is_for_people)
{
	ask("status", "{\"ok\":true,\"result\":{\"version\":\"9.9\",\"pid\":7,\"uptime_s\":90061,"
		      "\"commit\":4,\"zones\":2,\"dataplane\":{\"attached\":true,\"pid\":8,\"workers\":["
		      "{\"slot\":1,\"name\":\"worker 0\",\"heartbeat_age_ms\":3,\"bypassed\":true}]},"
		      "\"table\":{\"max\":1073741824,\"fill\":2097152,\"used\":1000,\"peak\":1536,"
		      "\"retired\":0,\"huge\":true}}}\n");
	cr_assert_str_eq(out,
		"Pollux 9.9, process 7, up 1 d 01:01:01\n"
		"zones      2, commit 4\n"
		"table      1000 B used, at most 1.5 KiB so far; 2.0 MiB backed of 1.0 GiB; "
		"0 blocks wait for readers; huge pages\n"
		"dataplane  attached, process 8\n"
		"  SLOT  WORKER    HEARTBEAT  ITS QUEUES\n"
		"     1  worker 0   3 ms ago  bypassed: the kernel has them\n");
	ask("status", "{\"ok\":true,\"result\":{\"dataplane\":{\"attached\":false,\"pid\":null,"
		      "\"workers\":[]}}}\n");
	cr_assert(strstr(out, "dataplane  not attached"));
}

Test(polluxctl, stats_leave_out_what_is_nothing)
{
	ask("stats", "{\"ok\":true,\"result\":{\"workers\":[{\"name\":\"worker 0\",\"counters\":"
		     "{\"received\":12,\"sent\":0},\"rcodes\":{\"NXDOMAIN\":5},\"opcodes\":{\"NOTIFY\":2}}],"
		     "\"steering\":{\"redirect\":100}}}\n");
	cr_assert_str_eq(out, "WHO       WHAT      COUNT\n"
			      "worker 0  received     12\n"
			      "worker 0  NXDOMAIN      5\n"
			      "worker 0  NOTIFY        2\n"
			      "steering  redirect    100\n");
	ask("stats", "{\"ok\":true,\"result\":{\"workers\":[],\"steering\":{}}}\n");
	cr_assert_str_eq(out, "nothing was counted yet\n");
}

Test(polluxctl, an_error_is_told_with_its_details)
{
	ask("zone add a b", "{\"ok\":false,\"code\":\"bad-zone\",\"error\":\"the zone is bad\\n\","
			    "\"details\":[\"f:1: x\",\"f:2: y\"]}\n");
	cr_assert_str_eq(out, "f:1: x\nf:2: y\npolluxctl: the zone is bad?\n");
	cr_assert_eq(status, 1);
	ask("zone add a b", "{\"ok\":false,\"code\":\"bad-zone\",\"error\":\"f:1: x\","
			    "\"details\":[\"f:1: x\"]}\n");
	cr_assert_str_eq(out, "polluxctl: f:1: x\n");
	/* Also in the middle of rows. */
	ask("zone list", "{\"more\":true,\"rows\":[" ROW "]}\n"
			 "{\"ok\":false,\"code\":\"internal\",\"error\":\"no luck\"}\n");
	cr_assert_str_eq(out, "polluxctl: no luck\n");
	cr_assert_eq(status, 1);
}

Test(polluxctl, json_is_printed_as_it_came)
{
	static const char more[] = "{\"more\":true, \"rows\":[1]}\n{\"ok\":true, \"result\":{}}\n";
	static const char error[] = "{\"ok\":false,\"code\":\"x\",\"error\":\"y\"}\n";

	ask("--json zone list", more);
	cr_assert_str_eq(out, more);
	cr_assert_eq(status, 0);
	ask("--json status", error);
	cr_assert_str_eq(out, error);
	cr_assert_eq(status, 1);
}

Test(polluxctl, an_odd_server_is_an_error_and_no_crash)
{
	static const char *const reply[] = {
		"", "{\"ok\":true", "\n", "x\n", "[]\n", "1\n", "{}\n", "{\"ok\":1}\n",
		"{\"more\":false}\n", "{\"more\":true,\"rows\":[1]}\n", "{\"ok\":false}\n",
		"{\"ok\":false,\"error\":1,\"details\":[1]}\n",
	};
	static const char *const command[] = {
		"status", "zone list", "zone read a", "stats", "--json status",
	};

	for (size_t i = 0; i < sizeof(reply) / sizeof(*reply); i++) {
		for (size_t k = 0; k < sizeof(command) / sizeof(*command); k++) {
			ask(command[k], reply[i]);
			cr_assert_eq(status, 1, "%s: %s: %s", command[k], reply[i], out);
		}
	}
}

Test(polluxctl, odd_results_are_no_crash)
{
	static const char *const result[] = {
		"null", "1", "[]", "{}", "{\"rows\":1}", "{\"rows\":[1,null,{}]}",
		"{\"rows\":[{\"zone\":1,\"serial\":\"x\"}]}",
		"{\"dataplane\":1,\"table\":[],\"uptime_s\":-9223372036854775808,\"pid\":\"x\"}",
		"{\"dataplane\":{\"attached\":true,\"workers\":[1,{\"slot\":\"a\",\"name\":2}]}}",
		"{\"workers\":[1,{\"name\":1,\"counters\":[1],\"rcodes\":{\"a\":\"b\"}}],\"steering\":3}",
	};
	static const char *const command[] = {
		"status", "zone list", "zone show a", "zone remove a", "zone read a", "stats",
	};
	char reply[512];

	for (size_t i = 0; i < sizeof(result) / sizeof(*result); i++) {
		for (size_t k = 0; k < sizeof(command) / sizeof(*command); k++) {
			snprintf(reply, sizeof(reply), "{\"ok\":true,\"result\":%s}\n", result[i]);
			ask(command[k], reply);
			cr_assert_eq(status, 0, "%s: %s: %s", command[k], result[i], out);
		}
	}
}

Test(polluxctl, a_reply_without_end_is_given_up)
{
	size_t len = (64u << 20) + 2;
	char *reply = malloc(len);

	memset(reply, 'x', len);
	ask_len("status", reply, len);
	cr_assert_eq(status, 1);
	cr_assert(strstr(out, "Message too long"));
	free(reply);
}

Test(polluxctl, output_that_cannot_be_written_is_an_error)
{
	ask("status >/dev/full", OK);
	cr_assert_eq(status, 1);
	cr_assert(strstr(out, "polluxctl: cannot write"));
}
