/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_MAX_LEN 2048 /* octets of one line; longer ones are cut */

static const char *program_name = "pollux";

void log_open(const char *program)
{
	program_name = program;
}

/* Names and file contents reach the log: whatever could steer a terminal or fake
 * a second line becomes a question mark. */
static void log_line(const char *level, const char *format, va_list args)
{
	char line[LINE_MAX_LEN];
	int head = snprintf(line, sizeof(line) / 2, "%s: %s", program_name, level);
	size_t len = head < 0 ? 0 : (size_t)head;

	if (len >= sizeof(line) / 2)
		len = sizeof(line) / 2 - 1;

	int body = vsnprintf(line + len, sizeof(line) - len, format, args);

	if (body > 0)
		len += strlen(line + len);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';

	/* A log that cannot be written has nowhere to be reported. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

void log_info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line("", format, args);
	va_end(args);
}

void log_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line("warning: ", format, args);
	va_end(args);
}

void log_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line("error: ", format, args);
	va_end(args);
}

/* The protocol of sd_notify(3): one datagram to the socket named in
 * $NOTIFY_SOCKET; a leading @ stands for the abstract name space. */
static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	if (!path || (path[0] != '/' && path[0] != '@'))
		return;

	size_t len = strlen(path);

	if (len >= sizeof(sa.sun_path))
		return;
	memcpy(sa.sun_path, path, len);
	if (path[0] == '@')
		sa.sun_path[0] = 0;

	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sa,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warn("cannot tell the service manager %s", state);
	close(fd);
}

void log_ready(void)
{
	if (write(STDOUT_FILENO, "ready\n", 6) < 0)
		log_warn("cannot write to standard output");
	notify("READY=1");
}

void log_stopping(void)
{
	notify("STOPPING=1");
}
