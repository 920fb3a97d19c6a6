/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void put_text(const char *text, FILE *to)
{
	for (; *text; text++)
		putc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, to);
}

void put_error(const json_t *reply)
{
	const char *error = json_string_value(json_object_get(reply, "error"));
	const json_t *line;
	size_t i;

	error = error ? error : "-";
	json_array_foreach(json_object_get(reply, "details"), i, line) {
		const char *text = json_is_string(line) ? json_string_value(line) : "-";

		/* The only fault may be the sentence itself. */
		if (strcmp(text, error) != 0) {
			put_text(text, stderr);
			putc('\n', stderr);
		}
	}
	fputs("polluxctl: ", stderr);
	put_text(error, stderr);
	putc('\n', stderr);
}

int session_open(struct session *s, const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	s->path = path;
	lines_init(&s->lines, PROTOCOL_REPLY_MAX);
	if (strlen(path) >= sizeof(sa.sun_path)) {
		fprintf(stderr, "polluxctl: %s: longer than a socket's name may be\n", path);
		return -1;
	}
	strcpy(sa.sun_path, path);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		fprintf(stderr, "polluxctl: cannot reach the control process at %s: %s\n", path,
			strerror(errno));
		return -1;
	}
	return 0;
}

int session_send(struct session *s, const char *octets, size_t len)
{
	while (len > 0) {
		ssize_t n = send(s->fd, octets, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			fprintf(stderr, "polluxctl: %s: %s\n", s->path, strerror(errno));
			return -1;
		}
		octets += n;
		len -= (size_t)n;
	}
	return 0;
}

const char *session_line(struct session *s, size_t *len)
{
	char buffer[1 << 16];
	const char *line;
	int rc;

	while ((rc = lines_next(&s->lines, &line, len)) == 0) {
		ssize_t n = recv(s->fd, buffer, sizeof(buffer), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			fprintf(stderr, "polluxctl: %s: %s\n", s->path, n == 0 ?
				"the control process closed the connection" : strerror(errno));
			return NULL;
		}
		rc = lines_add(&s->lines, buffer, (size_t)n);
		if (rc != 0)
			break;
	}
	if (rc < 0) {
		fprintf(stderr, "polluxctl: %s: %s\n", s->path, strerror(-rc));
		return NULL;
	}
	return line;
}

void session_close(struct session *s)
{
	lines_free(&s->lines);
	if (s->fd >= 0)
		close(s->fd);
}
