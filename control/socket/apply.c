/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "apply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Octets of text in a request: many lines, yet few enough that the control process
 * is not held long, and that JSON's escapes cannot make it longer than a request may be. */
#define CHUNK (128u << 10)

struct applying {
	struct session *s;
	const char *source;
	bool as_json;
	bool open;             /* a transaction */
	char *text;            /* lines that were not sent yet */
	size_t len, cap;
	unsigned long line;    /* number of the line that was read last */
	unsigned long first;   /* of text's first line */
	char *zone;            /* the `zone` line that holds, with its newline; or NULL */
};

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Is the line's first word this one? */
static bool line_is(const char *line, size_t len, const char *word)
{
	size_t n = strlen(word), skip = 0;

	while (skip < len && blank(line[skip]))
		skip++;
	return len - skip >= n && memcmp(line + skip, word, n) == 0 &&
	       (len - skip == n || blank(line[skip + n]));
}

static int tell(const struct applying *a, unsigned long line, const char *cause)
{
	fprintf(stderr, "polluxctl: %s:%lu: %s\n", a->source, line, cause);
	return -1;
}

/* Sends a request, which is taken over, and reads its reply: NULL after telling that
 * it is none or not ok.  */
static json_t *ask(struct applying *a, json_t *request, bool print)
{
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	size_t len = text ? strlen(text) : 0;
	json_t *reply = NULL;
	const char *line = NULL;

	json_decref(request);
	if (!text) {
		fputs("polluxctl: out of memory\n", stderr);
		return NULL;
	}
	if (len > PROTOCOL_LINE_MAX) {
		tell(a, a->first, "the line is too long");
		free(text);
		return NULL;
	}
	text[len] = '\n';
	if (session_send(a->s, text, len + 1) == 0)
		line = session_line(a->s, &len);
	free(text);
	if (!line)
		return NULL;
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

/* Sends what is gathered, in a transaction that is begun when none is open. */
static int flush(struct applying *a)
{
	json_t *text, *reply;

	if (!a->open) {
		reply = ask(a, json_pack("{s:s,s:s,s:I}", "command", "txn-begin", "source", a->source,
					 "line", (json_int_t)a->first), false);
		if (!reply)
			return -1;
		json_decref(reply);
		a->open = true;
	}
	if (a->len == 0)
		return 0;
	text = json_stringn(a->text, a->len);
	if (!text)
		return tell(a, a->first, "here, or behind it, is what is not UTF-8");
	a->len = 0;
	reply = ask(a, json_pack("{s:s,s:o}", "command", "txn-edit", "text", text), false);
	json_decref(reply);
	a->first = a->line; /* it is being gathered, or it is a `commit' */
	return reply ? 0 : -1;
}

static int gather(struct applying *a, const char *line, size_t len)
{
	if (a->len > 0 && a->len + len > CHUNK && flush(a))
		return -1;
	if (a->len + len + 1 > a->cap) {
		size_t cap = 2 * (a->len + len + 1);
		char *text = realloc(a->text, cap);

		if (!text) {
			fputs("polluxctl: out of memory\n", stderr);
			return -1;
		}
		a->text = text;
		a->cap = cap;
	}
	memcpy(a->text + a->len, line, len);
	a->len += len;
	if (len == 0 || line[len - 1] != '\n')
		a->text[a->len++] = '\n';
	return 0;
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
}

static int commit(struct applying *a)
{
	json_t *reply;

	if (flush(a))
		return -1;
	reply = ask(a, json_pack("{s:s}", "command", "txn-commit"), true);
	if (!reply)
		return -1;
	a->open = false;
	if (!a->as_json)
		print_commit(json_object_get(reply, "result"));
	json_decref(reply);
	return 0;
}

/* The next transaction begins with the zone that held: a line that stands where
 * `commit` did. */
static int begin_next(struct applying *a)
{
	a->first = a->line + 1;
	if (!a->zone)
		return 0;
	a->first = a->line;
	return gather(a, a->zone, strlen(a->zone));
}

static int take_line(struct applying *a, const char *line, size_t len, bool *pending)
{
	if (line_is(line, len, "commit")) {
		*pending = false;
		return commit(a) || begin_next(a) ? -1 : 0;
	}
	*pending = *pending || line_is(line, len, "set") || line_is(line, len, "unset");
	if (line_is(line, len, "zone")) {
		free(a->zone);
		a->zone = strndup(line, len);
	}
	return gather(a, line, len);
}

static int apply_lines(struct applying *a, FILE *f)
{
	bool pending = false;
	char *line = NULL;
	size_t room = 0;
	ssize_t len;
	int error = 0;

	while (!error && (len = getline(&line, &room, f)) >= 0) {
		a->line++;
		error = take_line(a, line, (size_t)len, &pending);
	}
	if (!error && ferror(f)) {
		fprintf(stderr, "polluxctl: %s: %s\n", a->source, strerror(errno));
		error = -1;
	}
	/* What follows the last commit may be the beginning of something that was cut off. */
	if (!error && pending)
		error = tell(a, a->line, "no `commit' behind the last lines: they are not applied");
	free(line);
	return error;
}

static void applying_free(struct applying *a)
{
	free(a->text);
	free(a->zone);
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
			     .as_json = as_json, .first = 1};
	FILE *f = standard ? stdin : fopen(file, "r");
	int error;

	if (!f) {
		fprintf(stderr, "polluxctl: %s: %s\n", file, strerror(errno));
		return 1;
	}
	error = apply_lines(&a, f);
	if (!standard)
		fclose(f);
	applying_free(&a);
	return error ? 1 : 0;
}

int apply_text(struct session *s, const char *text, bool as_json)
{
	struct applying a = {.s = s, .source = "command line", .as_json = as_json, .first = 1};
	int error = gather(&a, text, strlen(text)) || commit(&a);

	applying_free(&a);
	return error ? 1 : 0;
}
