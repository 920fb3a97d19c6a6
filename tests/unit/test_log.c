/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/common/log.h"

static int captured;

/* Send what goes to `fd` into a file of ours. */
static void capture(int fd)
{
	captured = memfd_create("captured", MFD_CLOEXEC);
	cr_assert_geq(captured, 0);
	cr_assert_eq(dup2(captured, fd), fd);
}

static const char *seen(void)
{
	static char text[8192];
	ssize_t n = pread(captured, text, sizeof(text) - 1, 0);

	cr_assert_geq(n, 0);
	text[n] = 0;
	return text;
}

Test(log, a_line_has_program_and_level)
{
	capture(STDERR_FILENO);
	log_open("pollux-test");
	log_info("%d zones", 3);
	log_warn("odd");
	log_error("%s", "bad");
	cr_assert_str_eq(seen(), "pollux-test: 3 zones\npollux-test: warning: odd\n"
				 "pollux-test: error: bad\n");
}

Test(log, no_text_makes_a_second_line_or_steers_a_terminal)
{
	capture(STDERR_FILENO);
	log_open("p");
	log_info("a\nb\r\x1b[2J\x7f\t");
	cr_assert_str_eq(seen(), "p: a?b??[2J??\n");
}

Test(log, a_long_line_is_cut)
{
	char text[5000];
	const char *line;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	capture(STDERR_FILENO);
	log_open(text);
	log_info("y");
	log_open("p");
	log_info("%s", text);
	line = strchr(seen(), '\n');
	cr_assert(line);
	cr_assert_eq(strncmp(line + 1, "p: xxx", 6), 0);
	cr_assert_eq(strlen(line + 1), 2048);
	cr_assert_eq(line[2048], '\n');
}

/* A socket as the service manager has it, named in $NOTIFY_SOCKET. */
static int manager(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, path);
	if (path[0] == '@')
		sa.sun_path[0] = 0;
	cr_assert_eq(bind(fd, (struct sockaddr *)&sa,
			  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))), 0);
	cr_assert_eq(setenv("NOTIFY_SOCKET", path, 1), 0);
	return fd;
}

static const char *told(int fd)
{
	static char text[100];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = 0;
	return text;
}

Test(log, the_service_manager_is_told)
{
	char path[64];

	for (unsigned abstract = 0; abstract < 2; abstract++) {
		snprintf(path, sizeof(path), "%spollux-test-log.%d", abstract ? "@" : "/tmp/",
			 (int)getpid());
		int fd = manager(path);

		capture(STDOUT_FILENO);
		log_ready();
		cr_assert_str_eq(seen(), "ready\n");
		cr_assert_str_eq(told(fd), "READY=1");
		log_stopping();
		cr_assert_str_eq(told(fd), "STOPPING=1");
		cr_assert_str_eq(told(fd), "");
		close(fd);
		if (!abstract)
			cr_assert_eq(unlink(path), 0);
	}
}

Test(log, without_a_service_manager_nothing_is_told)
{
	static char text[300];

	memset(text, 'x', sizeof(text) - 1);
	text[0] = '/';
	capture(STDERR_FILENO);
	unsetenv("NOTIFY_SOCKET");
	log_stopping();
	setenv("NOTIFY_SOCKET", "", 1);
	log_stopping();
	setenv("NOTIFY_SOCKET", "relative", 1);
	log_stopping();
	setenv("NOTIFY_SOCKET", text, 1);
	log_stopping();
	cr_assert_str_eq(seen(), "");
	setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
	log_open("p");
	log_stopping();
	cr_assert_str_eq(seen(), "p: warning: cannot tell the service manager STOPPING=1\n");
}
