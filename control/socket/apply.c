/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "apply.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Octets of text in a request: many lines, yet few enough that its parts are read, sent
 * and parsed at the same time. */
#define CHUNK (256u << 10)

/* Requests whose replies are not read yet.  A reply is some 20 octets, so they do not fill a
 * socket. */
#define UNDER_WAY_MAX 8

struct applying {
	struct session *s;
	const char *source;
	bool as_json;
	bool open;             /* a transaction */
	bool pending;          /* changes in it, or in what is to be sent */
	unsigned under_way;
	unsigned long line;    /* number of the line that is next */
	char *zone;            /* the `zone` line that holds, with its newline; or NULL */
	char *resume;          /* the one that held at the last commit, and */
	unsigned long resume_line; /* that commit's line */
};

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Is the line's first word this one?  It ends with a newline. */
static bool line_is(const char *line, const char *word)
{
	size_t n = strlen(word);

	return strncmp(line, word, n) == 0 && blank(line[n]);
}

static int tell(const struct applying *a, unsigned long line, const char *cause)
{
	fprintf(stderr, "polluxctl: %s:%lu: %s\n", a->source, line, cause);
	return -1;
}

static int no_memory(void)
{
	fputs("polluxctl: out of memory\n", stderr);
	return -1;
}

/* Sends a request, which is taken over, and what follows its line. */
static int request(struct applying *a, json_t *request, const char *octets, size_t octets_len)
{
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	size_t len = text ? strlen(text) : 0;
	int error;

	json_decref(request);
	if (!text)
		return no_memory();
	text[len] = '\n';
	error = session_send(a->s, text, len + 1);
	free(text);
	if (!error && octets_len > 0)
		error = session_send(a->s, octets, octets_len);
	a->under_way += !error;
	return error;
}

/* Reads the oldest reply that is due: NULL after telling that it is none or not ok. */
static json_t *reply(struct applying *a, bool print)
{
	size_t len;
	const char *line = session_line(a->s, &len);
	json_t *reply;

	if (!line)
		return NULL;
	a->under_way--;
	reply = json_loadb(line, len, 0, NULL);
	if (a->as_json && (print || !json_is_true(json_object_get(reply, "ok")))) {
		fwrite(line, 1, len, stdout);
		putchar('\n');
	}
	if (json_is_true(json_object_get(reply, "ok")))
		return reply;
	if (!a->as_json)
		put_error(reply);
	json_decref(reply);
	return NULL;
}

/* Reads replies until at most so many are due. */
static int settle(struct applying *a, unsigned due)
{
	while (a->under_way > due) {
		json_t *r = reply(a, false);

		if (!r)
			return -1;
		json_decref(r);
	}
	return 0;
}

/* Begins a transaction, unless one is open: its text begins on line `first`. */
static int begin(struct applying *a, unsigned long first)
{
	if (a->open)
		return 0;
	a->open = true;
	return request(a, json_pack("{s:s,s:s,s:I}", "command", "txn-begin", "source", a->source,
				    "line", (json_int_t)first), NULL, 0);
}

/* Sends whole lines of text, of which the first has this number. */
static int edit(struct applying *a, const char *text, size_t len, unsigned long first)
{
	bool resume = !a->open && a->resume;

	if (len == 0)
		return 0;
	/* A transaction begins with the zone that held: a line that stands where `commit` did. */
	if (begin(a, resume ? a->resume_line : first) ||
	    (resume && edit(a, a->resume, strlen(a->resume), a->resume_line)) ||
	    settle(a, UNDER_WAY_MAX - 1))
		return -1;
	return request(a, json_pack("{s:s,s:I}", "command", "txn-edit", "octets", (json_int_t)len), text, len);
}

static void print_commit(const json_t *result)
{
	const json_t *zones = json_object_get(result, "zones"), *zone;
	size_t i;

	printf("commit %" JSON_INTEGER_FORMAT "%s", json_integer_value(json_object_get(result, "commit")),
	       json_array_size(zones) ? ": " : "\n");
	json_array_foreach(zones, i, zone) {
		const char *name = json_string_value(json_object_get(zone, "zone"));

		put_text(name ? name : "-", stdout);
		printf(" serial %" JSON_INTEGER_FORMAT "%s",
		       json_integer_value(json_object_get(zone, "serial")),
		       i + 1 < json_array_size(zones) ? ", " : "\n");
	}
	fflush(stdout);
}

static int commit(struct applying *a)
{
	json_t *r;

	if (begin(a, a->line) || request(a, json_pack("{s:s}", "command", "txn-commit"), NULL, 0) ||
	    settle(a, 1) || !(r = reply(a, true)))
		return -1;
	a->open = a->pending = false;
	if (!a->as_json)
		print_commit(json_object_get(r, "result"));
	json_decref(r);
	return 0;
}

/* keep_zone - the `zone` line that holds from here on. */
static int keep_zone(struct applying *a, const char *line, const char *end)
{
	free(a->zone);
	a->zone = strndup(line, (size_t)(end - line));
	return a->zone ? 0 : no_memory();
}

static int keep_resume(struct applying *a)
{
	free(a->resume);
	a->resume = a->zone ? strdup(a->zone) : NULL;
	a->resume_line = a->line;
	return a->zone && !a->resume ? no_memory() : 0;
}

/* Takes whole lines, each with its newline: what stands between two `commit` lines is sent as it
 * is. */
static int take_lines(struct applying *a, const char *text, const char *end)
{
	const char *from = text, *next;
	unsigned long first = a->line;

	for (const char *p = text; p < end; p = next) {
		const char *word = p;

		next = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1;
		while (blank(*word) && *word != '\n')
			word++;
		if (line_is(word, "set") || line_is(word, "unset")) {
			a->pending = true;
		} else if (line_is(word, "zone")) {
			if (keep_zone(a, p, next))
				return -1;
		} else if (line_is(word, "commit")) {
			if (edit(a, from, (size_t)(p - from), first) || commit(a) || keep_resume(a))
				return -1;
			from = next;
			first = a->line + 1;
		}
		a->line++;
	}
	return edit(a, from, (size_t)(end - from), first);
}

/* Text on its way from a file; the lines that are whole leave it at once. */
struct incoming {
	char *text;
	size_t len, cap;
};

/* Reads on.  The number of octets, 0 at the end, or -1 after telling why not. */
static ssize_t read_on(struct applying *a, struct incoming *in, int fd)
{
	ssize_t n;

	if (in->cap - in->len < CHUNK / 2) {
		size_t cap = in->cap ? 2 * in->cap : CHUNK;
		char *text;

		if (in->len >= PROTOCOL_OCTETS_MAX)
			return tell(a, a->line, "the line is too long");
		text = realloc(in->text, cap + 1); /* and a newline that may be missing */
		if (!text)
			return no_memory();
		in->text = text;
		in->cap = cap;
	}
	do
		n = read(fd, in->text + in->len, in->cap - in->len);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		fprintf(stderr, "polluxctl: %s: %s\n", a->source, strerror(errno));
		return -1;
	}
	if (n == 0 && in->len > 0)
		in->text[in->len++] = '\n';
	in->len += (size_t)n;
	return n;
}

static int apply_lines(struct applying *a, int fd)
{
	struct incoming in = {.text = NULL};
	int error = 0;
	ssize_t n;

	do {
		const char *last;

		n = read_on(a, &in, fd);
		last = n >= 0 && in.len > 0 ? memrchr(in.text, '\n', in.len) : NULL;
		if (!last)
			continue;

		size_t whole = (size_t)(last + 1 - in.text);

		error = take_lines(a, in.text, in.text + whole);
		in.len -= whole;
		memmove(in.text, in.text + whole, in.len);
	} while (n > 0 && !error);
	free(in.text);
	if (!error && n == 0)
		error = settle(a, 0);
	/* What follows the last commit may be the beginning of something that was cut off. */
	if (!error && n == 0 && a->pending)
		error = tell(a, a->line - 1, "no `commit' behind the last lines: they are not applied");
	return n < 0 ? -1 : error;
}

/* At most so many octets of a source are told in messages. */
static const char *short_source(const char *file)
{
	size_t len = strlen(file);

	return len > PROTOCOL_SOURCE_MAX ? file + len - PROTOCOL_SOURCE_MAX : file;
}

int apply_file(struct session *s, const char *file, bool as_json)
{
	bool standard = strcmp(file, "-") == 0;
	struct applying a = {.s = s, .source = standard ? "standard input" : short_source(file),
			     .as_json = as_json, .line = 1};
	int fd = standard ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
	int error;

	if (fd < 0) {
		fprintf(stderr, "polluxctl: %s: %s\n", file, strerror(errno));
		return 1;
	}
	error = apply_lines(&a, fd);
	if (!standard)
		close(fd);
	free(a.zone);
	free(a.resume);
	return error ? 1 : 0;
}

int apply_text(struct session *s, const char *text, bool as_json)
{
	struct applying a = {.s = s, .source = "command line", .as_json = as_json, .line = 1};

	return edit(&a, text, strlen(text), 1) || commit(&a) ? 1 : 0;
}
