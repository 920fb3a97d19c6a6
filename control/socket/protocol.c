/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "protocol.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_KEEP (64u << 10) /* octets of buffer that stay when it is empty */

enum argument {
	ARG_ZONE = 1, ARG_NAME = 2, ARG_FILE = 4, ARG_SOURCE = 8, ARG_LINE = 16, ARG_TEXT = 32,
	ARG_FORCE = 64, ARG_OCTETS = 128,
};

static const char *const arguments[] = {"zone", "name", "file", "source", "line", "text",
					 "force", "octets"};
#define ARGUMENTS (sizeof(arguments) / sizeof(*arguments))

static const struct {
	const char *name;
	unsigned required, optional; /* enum argument */
} commands[COMMAND_COUNT] = {
	[COMMAND_STATUS]      = {"status", 0, 0},
	[COMMAND_ZONE_LIST]   = {"zone-list", 0, 0},
	[COMMAND_ZONE_SHOW]   = {"zone-show", ARG_ZONE, 0},
	[COMMAND_ZONE_ADD]    = {"zone-add", ARG_ZONE | ARG_FILE, ARG_FORCE},
	[COMMAND_ZONE_REMOVE] = {"zone-remove", ARG_ZONE, 0},
	[COMMAND_ZONE_RELOAD] = {"zone-reload", 0, ARG_ZONE | ARG_FORCE},
	[COMMAND_ZONE_READ]   = {"zone-read", ARG_ZONE, ARG_NAME},
	[COMMAND_STATS]       = {"stats", 0, 0},
	[COMMAND_STOP]        = {"stop", 0, 0},
	[COMMAND_RELOAD]      = {"reload", 0, 0},
	[COMMAND_TXN_BEGIN]   = {"txn-begin", 0, ARG_SOURCE | ARG_LINE},
	[COMMAND_TXN_EDIT]    = {"txn-edit", 0, ARG_TEXT | ARG_OCTETS},
	[COMMAND_TXN_COMMIT]  = {"txn-commit", 0, 0},
	[COMMAND_TXN_ABORT]   = {"txn-abort", 0, 0},
};

const char *const protocol_counter[CNT_COUNT] = {
	[CNT_RX] = "received",
	[CNT_TX] = "sent",
	[CNT_TX_FULL] = "lost-transmit-full",
	[CNT_ANSWER] = "answered",
	[CNT_PUNT] = "handed-over",
	[CNT_PUNT_FULL] = "lost-hand-over-full",
	[CNT_DROP_ETHER] = "dropped-ethernet",
	[CNT_DROP_IP] = "dropped-ip",
	[CNT_DROP_ADDRESS] = "dropped-address",
	[CNT_DROP_UDP] = "dropped-udp",
	[CNT_DROP_CHECKSUM] = "dropped-checksum",
	[CNT_DROP_NOT_QUERY] = "dropped-not-query",
	[CNT_TRUNCATED] = "truncated",
	[CNT_EDNS] = "edns",
	[CNT_TCP_ACCEPT] = "tcp-accepted",
	[CNT_TCP_REFUSE] = "tcp-refused",
	[CNT_TCP_TIMEOUT] = "tcp-timed-out",
	[CNT_TCP_EVICT] = "tcp-evicted",
	[CNT_QUIC_ACCEPT] = "quic-accepted",
	[CNT_QUIC_REFUSE] = "quic-refused",
	[CNT_QUIC_TIMEOUT] = "quic-timed-out",
	[CNT_QUIC_EVICT] = "quic-evicted",
	[CNT_QUIC_RETRY] = "quic-retried",
	[CNT_DTLS_ACCEPT] = "dtls-accepted",
	[CNT_DTLS_REFUSE] = "dtls-refused",
	[CNT_DTLS_TIMEOUT] = "dtls-timed-out",
	[CNT_DTLS_EVICT] = "dtls-evicted",
};

const char *protocol_command_name(enum protocol_command command)
{
	return commands[command].name;
}

/* ---- requests ---- */

/* Untrusted text as it may stand in a fault's sentence: short, and whole characters
 * of UTF-8 (which it is, as jansson has read it). */
struct shown {
	char text[64];
};

static struct shown show(const char *text)
{
	struct shown s;
	size_t n = 0;

	while (text[n] && n < 56) {
		s.text[n] = (unsigned char)text[n] < 0x20 || text[n] == 0x7f ? '?' : text[n];
		n++;
	}
	if (text[n]) {
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
		memcpy(s.text + n, "...", 4);
	} else {
		s.text[n] = 0;
	}
	return s;
}

__attribute__((format(printf, 3, 4)))
static int refuse(struct request_fault *f, const char *code, const char *format, ...)
{
	va_list args;

	f->code = code;
	va_start(args, format);
	vsnprintf(f->text, sizeof(f->text), format, args);
	va_end(args);
	return -EINVAL;
}

static int read_id(struct request *q, struct request_fault *f, const json_t *id)
{
	if (!json_is_integer(id) &&
	    !(json_is_string(id) && json_string_length(id) <= PROTOCOL_ID_MAX))
		return refuse(f, PROTOCOL_BAD_ARGUMENT,
			      "id must be an integer or a text of at most %d octets",
			      PROTOCOL_ID_MAX);

	size_t n = json_dumpb(id, q->id, sizeof(q->id) - 1, JSON_COMPACT | JSON_ENCODE_ANY);

	if (n == 0 || n >= sizeof(q->id)) {
		q->id[0] = 0;
		return refuse(f, PROTOCOL_INTERNAL, "the id cannot be kept");
	}
	q->id[n] = 0;
	return 0;
}

static int read_name(struct name *out, struct request_fault *f, const char *key,
		     const json_t *value)
{
	if (!json_is_string(value))
		return refuse(f, PROTOCOL_BAD_ARGUMENT, "%s must be a text", key);
	if (name_from_text(out, json_string_value(value)) != 0)
		return refuse(f, PROTOCOL_BAD_ARGUMENT, "%s: `%s' is no domain name", key,
			      show(json_string_value(value)).text);
	return 0;
}

static int read_file(struct request *q, struct request_fault *f, const json_t *value)
{
	const char *path = json_string_value(value);

	if (!path)
		return refuse(f, PROTOCOL_BAD_ARGUMENT, "file must be a text");
	if (path[0] != '/')
		return refuse(f, PROTOCOL_BAD_ARGUMENT, "file: `%s' is no absolute path",
			      show(path).text);
	if (json_string_length(value) > PROTOCOL_FILE_MAX)
		return refuse(f, PROTOCOL_BAD_ARGUMENT, "file: longer than %d octets",
			      PROTOCOL_FILE_MAX);
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return refuse(f, PROTOCOL_BAD_ARGUMENT, "file: control character in `%s'",
				      show(path).text);
	memcpy(q->file, path, json_string_length(value) + 1);
	return 0;
}

static int read_source(struct request *q, struct request_fault *f, const json_t *value)
{
	const char *source = json_string_value(value);

	if (!source || json_string_length(value) > PROTOCOL_SOURCE_MAX)
		return refuse(f, PROTOCOL_BAD_ARGUMENT, "source must be a text of at most %d octets",
			      PROTOCOL_SOURCE_MAX);
	for (const char *p = source; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return refuse(f, PROTOCOL_BAD_ARGUMENT, "source: control character in `%s'",
				      show(source).text);
	memcpy(q->source, source, json_string_length(value) + 1);
	return 0;
}

static int read_line(struct request *q, struct request_fault *f, const json_t *value)
{
	json_int_t line = json_integer_value(value);

	if (!json_is_integer(value) || line < 1 || line > INT32_MAX)
		return refuse(f, PROTOCOL_BAD_ARGUMENT, "line must be a number from 1 to %d", INT32_MAX);
	q->line = (uint32_t)line;
	return 0;
}

static int read_text(struct request *q, struct request_fault *f, json_t *value)
{
	if (!json_is_string(value))
		return refuse(f, PROTOCOL_BAD_ARGUMENT, "text must be a text");
	q->text = json_incref(value);
	return 0;
}

/* Read before all else: what follows the line depends on it. */
static int read_octets(struct request *q, struct request_fault *f, const json_t *value)
{
	json_int_t octets = json_integer_value(value);

	q->octets = -1;
	if (!json_is_integer(value) || octets < 0 || octets > PROTOCOL_OCTETS_MAX)
		return refuse(f, PROTOCOL_BAD_ARGUMENT, "octets must be a number from 0 to %u",
			      PROTOCOL_OCTETS_MAX);
	q->octets = (int32_t)octets;
	return 0;
}

static int read_force(struct request *q, struct request_fault *f, const json_t *value)
{
	if (!json_is_boolean(value))
		return refuse(f, PROTOCOL_BAD_ARGUMENT, "force must be true or false");
	q->force = json_is_true(value);
	return 0;
}

static int read_argument(struct request *q, struct request_fault *f, enum argument arg,
			 json_t *value)
{
	switch (arg) {
	case ARG_ZONE: return read_name(&q->zone, f, "zone", value);
	case ARG_NAME: return read_name(&q->name, f, "name", value);
	case ARG_FILE: return read_file(q, f, value);
	case ARG_SOURCE: return read_source(q, f, value);
	case ARG_LINE: return read_line(q, f, value);
	case ARG_TEXT: return read_text(q, f, value);
	case ARG_FORCE: return read_force(q, f, value);
	case ARG_OCTETS: return 0; /* read already */
	}
	return -EINVAL;
}

static int read_request(struct request *q, struct request_fault *f, json_t *root)
{
	const json_t *id = json_object_get(root, "id"), *octets = json_object_get(root, "octets");
	const char *key, *word = json_string_value(json_object_get(root, "command"));
	unsigned command = 0, given = 0;
	json_t *value;
	int rc = 0;

	if (octets)
		rc = read_octets(q, f, octets);
	if (id && read_id(q, f, id) != 0)
		rc = -EINVAL;
	if (rc != 0)
		return rc;
	if (!word)
		return refuse(f, PROTOCOL_UNKNOWN_COMMAND, "command is missing or no text");
	while (command < COMMAND_COUNT && strcmp(commands[command].name, word) != 0)
		command++;
	if (command == COMMAND_COUNT)
		return refuse(f, PROTOCOL_UNKNOWN_COMMAND, "there is no command `%s'",
			      show(word).text);
	q->command = command;

	unsigned known = commands[command].required | commands[command].optional;

	json_object_foreach(root, key, value) {
		unsigned i = 0;

		if (strcmp(key, "id") == 0 || strcmp(key, "command") == 0)
			continue;
		while (i < ARGUMENTS && strcmp(key, arguments[i]) != 0)
			i++;
		if (i == ARGUMENTS || !(1u << i & known))
			return refuse(f, PROTOCOL_BAD_ARGUMENT, "%s takes no argument `%s'", word,
				      show(key).text);
		given |= 1u << i;
		rc = read_argument(q, f, 1u << i, value);
		if (rc != 0)
			return rc;
	}

	unsigned missing = commands[command].required & ~given;

	if (missing)
		return refuse(f, PROTOCOL_BAD_ARGUMENT, "%s needs the argument `%s'", word,
			      arguments[__builtin_ctz(missing)]);
	if (q->command == COMMAND_TXN_EDIT && !(given & ARG_TEXT) == !(given & ARG_OCTETS))
		return refuse(f, PROTOCOL_BAD_ARGUMENT, "%s needs one of the arguments `text' and `octets'",
			      word);
	q->has_zone = given & ARG_ZONE;
	q->has_name = given & ARG_NAME;
	if (q->has_name && !name_within(q->name.wire, q->zone.wire))
		return refuse(f, PROTOCOL_BAD_ARGUMENT, "name: it is not within the zone");
	return 0;
}

int request_parse(struct request *q, struct request_fault *f, const char *line, size_t len)
{
	json_error_t error;
	json_t *root;
	int rc;

	memset(q, 0, sizeof(*q));
	memset(f, 0, sizeof(*f));
	q->line = 1;
	root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	if (!root) {
		if (json_error_code(&error) == json_error_out_of_memory) {
			refuse(f, PROTOCOL_INTERNAL, "out of memory");
			return -ENOMEM;
		}
		return refuse(f, PROTOCOL_BAD_REQUEST,
			      "not one JSON object with different keys (at octet %d)",
			      error.position);
	}
	if (json_is_object(root))
		rc = read_request(q, f, root);
	else
		rc = refuse(f, PROTOCOL_BAD_REQUEST, "a JSON object was expected, not a list");
	json_decref(root);
	if (rc != 0)
		request_clear(q);
	return rc;
}

void request_clear(struct request *q)
{
	json_decref(q->text);
	q->text = NULL;
}

/* ---- replies ---- */

/* root as a line; root is taken over.  The id is JSON of ours (request_parse). */
static char *reply_line(const struct request *q, json_t *root, size_t *len)
{
	char *text = NULL, *line;
	size_t n;

	if (root && q && q->id[0] &&
	    json_object_set_new(root, "id", json_loads(q->id, JSON_DECODE_ANY, NULL)) != 0) {
		json_decref(root);
		return NULL;
	}
	if (root)
		text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (!text)
		return NULL;

	n = strlen(text);
	line = realloc(text, n + 2);
	if (!line) {
		free(text);
		return NULL;
	}
	memcpy(line + n, "\n", 2);
	*len = n + 1;
	return line;
}

char *reply_ok(const struct request *q, json_t *result, size_t *len)
{
	return reply_line(q, json_pack("{s:b,s:o}", "ok", 1, "result", result), len);
}

char *reply_more(const struct request *q, json_t *rows, size_t *len)
{
	return reply_line(q, json_pack("{s:b,s:o}", "more", 1, "rows", rows), len);
}

char *reply_error(const struct request *q, const char *code, json_t *details, size_t *len,
		  const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);

	json_t *root = json_pack("{s:b,s:s,s:o}", "ok", 0, "code", code, "error",
				 protocol_text(text));

	if (details && (!root || json_object_set(root, "details", details) != 0)) {
		json_decref(root);
		root = NULL;
	}
	json_decref(details);
	return reply_line(q, root, len);
}

json_t *protocol_text(const char *text)
{
	json_t *string = json_string(text);

	if (string)
		return string;

	/* Not UTF-8, or no memory.  Take it octet by octet: jansson says of each
	 * stretch whether it is UTF-8. */
	size_t len = strlen(text), out = 0;
	char *copy = malloc(3 * len + 1);

	if (!copy)
		return NULL;
	for (size_t i = 0; i < len;) {
		size_t n = 1;

		while (n <= 4 && n <= len - i) {
			json_t *one = json_stringn(text + i, n);

			json_decref(one);
			if (one)
				break;
			n++;
		}
		if (n > 4 || n > len - i) {
			memcpy(copy + out, "\xef\xbf\xbd", 3);
			out += 3;
			i++;
		} else {
			memcpy(copy + out, text + i, n);
			out += n;
			i += n;
		}
	}
	string = json_stringn(copy, out);
	free(copy);
	return string;
}

/* ---- lines ---- */

void lines_init(struct lines *l, size_t max)
{
	memset(l, 0, sizeof(*l));
	l->max = max;
}

int lines_add(struct lines *l, const void *octets, size_t len)
{
	size_t kept = l->end - l->begin;

	if (len == 0)
		return 0;
	if (l->begin > 0) {
		memmove(l->data, l->data + l->begin, kept);
		l->seen -= l->begin;
		l->begin = 0;
		l->end = kept;
	}
	if (len > l->cap - kept) {
		size_t cap = l->cap ? l->cap : 4096;
		char *data;

		if (len > SIZE_MAX / 2 - kept)
			return -ENOMEM;
		while (cap < kept + len)
			cap *= 2;
		data = realloc(l->data, cap);
		if (!data)
			return -ENOMEM;
		l->data = data;
		l->cap = cap;
	}
	memcpy(l->data + kept, octets, len);
	l->end += len;
	return 0;
}

int lines_next(struct lines *l, const char **line, size_t *len)
{
	char *newline = l->end > l->seen ? memchr(l->data + l->seen, '\n', l->end - l->seen) : NULL;
	size_t n = newline ? (size_t)(newline - l->data) - l->begin : l->end - l->begin;

	if (n > l->max)
		return -EMSGSIZE;
	if (!newline) {
		l->seen = l->end;
		if (n == 0 && l->cap > LINES_KEEP) {
			free(l->data);
			lines_init(l, l->max);
		}
		return 0;
	}
	*line = l->data + l->begin;
	*len = n;
	l->begin += n + 1;
	l->seen = l->begin;
	return 1;
}

size_t lines_take(struct lines *l, void *out, size_t room)
{
	size_t n = l->end - l->begin;

	if (n > room)
		n = room;
	if (n > 0)
		memcpy(out, l->data + l->begin, n);
	l->begin += n;
	l->seen = l->begin;
	return n;
}

void lines_free(struct lines *l)
{
	free(l->data);
	lines_init(l, l->max);
}
