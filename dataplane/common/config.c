/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <yaml.h>

#include "dataplane/answer/cookie.h"
#include "dataplane/answer/db.h"

/* The document is read three times: its octets (NUL, UTF-8), its YAML events
 * (anchors, aliases, tags, depth: the document API would hide them), and then its
 * nodes against the tables below.  The first reading that finds faults is the last.
 */

#define DEPTH_MAX 6          /* zone: [{file: x}] has three levels */
#define RUN_DIRECTORY_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - sizeof("/control.sock"))
#define SOCKET_PATH_MAX   (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
#define MEMORY_MIN (UINT64_C(16) << 20)

struct fault {
	unsigned line;
	unsigned order; /* of finding, for faults of one line */
	char *cause;
};

struct load {
	struct config *c;
	yaml_document_t *doc;
	struct fault fault[CONFIG_FAULTS_MAX];
	unsigned fault_cnt;
	bool full; /* CONFIG_FAULTS_MAX reached: stop */
};

struct field;
typedef void (*field_reader)(struct load *l, const yaml_node_t *value,
			     const struct field *f, void *object);

struct choice {
	const char *word;
	unsigned value;
};

/* One key of a mapping and where its value goes. */
struct field {
	const char *key;
	field_reader read;
	size_t offset;              /* in the object that the mapping describes */
	uint64_t min, max;          /* of numbers; octets of texts */
	const struct field *fields; /* of a section */
	const struct choice *choice;
	const char *words;          /* what a choice can be, for faults */
	bool required;
	bool may_be_empty;          /* "" is a value */
};

/* ---- faults ---- */

__attribute__((format(printf, 3, 4)))
static void fault(struct load *l, unsigned line, const char *format, ...)
{
	struct fault *f = &l->fault[l->fault_cnt];
	va_list args;

	if (l->full)
		return;
	va_start(args, format);
	if (vasprintf(&f->cause, format, args) < 0)
		f->cause = NULL;
	va_end(args);
	f->line = line;
	f->order = l->fault_cnt++;
	l->full = l->fault_cnt == CONFIG_FAULTS_MAX;
}

static int fault_cmp(const void *a, const void *b)
{
	const struct fault *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Append whole lines to a text of bounded size. */
struct report {
	char *text;
	size_t size, len;
};

static void report_line(struct report *r, const char *path, unsigned line, const char *cause)
{
	int n;

	if (r->len >= r->size)
		return;
	if (line > 0)
		n = snprintf(r->text + r->len, r->size - r->len, "%s:%u: %s\n", path, line, cause);
	else
		n = snprintf(r->text + r->len, r->size - r->len, "%s: %s\n", path, cause);
	if (n < 0 || (size_t)n >= r->size - r->len)
		r->text[r->len] = 0;
	else
		r->len += (size_t)n;
}

/* A piece of untrusted text as it may stand in a message. */
struct shown {
	char text[68];
};

static struct shown show(const char *text, size_t len)
{
	struct shown s;
	size_t i;

	for (i = 0; i < len && i < 60; i++) {
		unsigned char c = (unsigned char)text[i];

		s.text[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	s.text[i] = 0;
	if (i < len)
		strcpy(s.text + i, "...");
	return s;
}

static const char *scalar(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

static struct shown show_node(const yaml_node_t *node)
{
	return show(scalar(node), node->data.scalar.length);
}

static unsigned line_of(const yaml_node_t *node)
{
	return (unsigned)node->start_mark.line + 1;
}

static const char *type_of(const yaml_node_t *node)
{
	switch (node->type) {
	case YAML_SCALAR_NODE:   return "a single value";
	case YAML_SEQUENCE_NODE: return "a list";
	case YAML_MAPPING_NODE:  return "a mapping";
	default:                 return "nothing";
	}
}

static bool is_plain(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE &&
	       node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* null of the core schema (YAML 1.2.2 section 10.3.2). */
static bool is_null(const yaml_node_t *node)
{
	static const char *const word[] = {"", "~", "null", "Null", "NULL"};

	for (size_t i = 0; is_plain(node) && i < sizeof(word) / sizeof(*word); i++)
		if (strcmp(scalar(node), word[i]) == 0)
			return true;
	return false;
}

/* ---- texts and paths ---- */

/* A value that is one non-empty word or text, without control characters. */
static bool take_text(struct load *l, const yaml_node_t *value, const struct field *f)
{
	if (value->type != YAML_SCALAR_NODE) {
		fault(l, line_of(value), "%s: a text was expected, not %s", f->key, type_of(value));
		return false;
	}

	const char *text = scalar(value);
	size_t len = value->data.scalar.length;

	if (len == 0 && !f->may_be_empty) {
		fault(l, line_of(value), "%s: empty value", f->key);
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
			fault(l, line_of(value), "%s: control character in `%s'", f->key,
			      show_node(value).text);
			return false;
		}
	}
	if (f->max > 0 && len > f->max) {
		fault(l, line_of(value), "%s: longer than %llu octets", f->key,
		      (unsigned long long)f->max);
		return false;
	}
	return true;
}

static void *out_of_memory(struct load *l, unsigned line)
{
	fault(l, line, "out of memory");
	return NULL;
}

static void read_text(struct load *l, const yaml_node_t *value, const struct field *f,
		      void *object)
{
	char **out = (char **)((char *)object + f->offset);

	if (!take_text(l, value, f))
		return;
	free(*out);
	*out = strdup(scalar(value));
	if (!*out)
		out_of_memory(l, line_of(value));
}

/* "a//b/./c" names what "a/b/c" does; ".." stays, as links give it a meaning. */
static void path_tidy(char *path)
{
	char *to = path, *from = path;

	while (*from) {
		if (from[0] == '/' && from[1] == '/')
			from++;
		else if (from[0] == '/' && from[1] == '.' && (from[2] == '/' || !from[2]))
			from += 2;
		else
			*to++ = *from++;
	}
	if (to == path)
		*to++ = '/';
	*to = 0;
}

static char *path_join(const char *folder, const char *path)
{
	char *out;

	if (path[0] == '/')
		out = strdup(path);
	else if (asprintf(&out, "%s/%s", folder, path) < 0)
		out = NULL;
	if (out)
		path_tidy(out);
	return out;
}

static void read_path(struct load *l, const yaml_node_t *value, const struct field *f,
		      void *object)
{
	static const struct field any = {.max = PATH_MAX - 1};
	char **out = (char **)((char *)object + f->offset);
	size_t max = f->max ? f->max : any.max;
	struct field whole = *f;

	whole.max = any.max;
	if (!take_text(l, value, &whole))
		return;
	free(*out);
	*out = path_join(l->c->folder, scalar(value));
	if (!*out)
		out_of_memory(l, line_of(value));
	else if (strlen(*out) > max)
		fault(l, line_of(value), "%s: `%s' is longer than %zu octets", f->key,
		      show(*out, strlen(*out)).text, max);
}

/* DPDK's device arguments separate with commas and know no quoting. */
static void read_device_path(struct load *l, const yaml_node_t *value, const struct field *f,
			     void *object)
{
	char **out = (char **)((char *)object + f->offset);

	read_path(l, value, f, object);
	if (*out && strchr(*out, ','))
		fault(l, line_of(value), "%s: a comma in `%s'; DPDK cannot take it", f->key,
		      show(*out, strlen(*out)).text);
}

/* What the kernel allows as an interface name (no slash, colon or space), less
 * what DPDK's device arguments cannot take (comma, equals sign). */
static void read_interface(struct load *l, const yaml_node_t *value, const struct field *f,
			   void *object)
{
	if (!take_text(l, value, f))
		return;
	if (strpbrk(scalar(value), "/: ,=") || strcmp(scalar(value), ".") == 0 ||
	    strcmp(scalar(value), "..") == 0)
		fault(l, line_of(value), "%s: `%s' is no interface name", f->key,
		      show_node(value).text);
	else
		read_text(l, value, f, object);
}

/* ---- numbers ---- */

/* Decimal digits, then at most a suffix, which is left in *suffix.  A number in
 * quotes is a text. */
static bool take_number(const yaml_node_t *value, uint64_t *out, const char **suffix)
{
	const char *text = value->type == YAML_SCALAR_NODE ? scalar(value) : "";
	uint64_t n = 0;
	size_t i = 0;

	if (!is_plain(value) || strlen(text) != value->data.scalar.length)
		return false;
	for (; text[i] >= '0' && text[i] <= '9'; i++) {
		if (n > (UINT64_MAX - 9) / 10)
			return false;
		n = n * 10 + (uint64_t)(text[i] - '0');
	}
	/* 010 is eight to some readers of YAML and ten to others. */
	if (i == 0 || (i > 1 && text[0] == '0'))
		return false;
	*out = n;
	*suffix = text + i;
	return true;
}

static void fault_wrong(struct load *l, const yaml_node_t *value, const char *key,
			const char *expected)
{
	if (value->type == YAML_SCALAR_NODE)
		fault(l, line_of(value), "%s: %s was expected, not `%s'", key, expected,
		      show_node(value).text);
	else
		fault(l, line_of(value), "%s: %s was expected, not %s", key, expected,
		      type_of(value));
}

/* A number in min..max of f; the fault is told of. */
static bool read_number(struct load *l, const yaml_node_t *value, const struct field *f,
			uint64_t *out)
{
	const char *suffix;

	if (!take_number(value, out, &suffix) || *suffix) {
		fault_wrong(l, value, f->key, "a number");
		return false;
	}
	if (*out < f->min || *out > f->max) {
		fault(l, line_of(value), "%s: %s is not within %llu to %llu", f->key,
		      show_node(value).text, (unsigned long long)f->min,
		      (unsigned long long)f->max);
		return false;
	}
	return true;
}

static void read_unsigned(struct load *l, const yaml_node_t *value, const struct field *f,
			  void *object)
{
	uint64_t n;

	if (read_number(l, value, f, &n))
		*(unsigned *)((char *)object + f->offset) = (unsigned)n;
}

static void read_u16(struct load *l, const yaml_node_t *value, const struct field *f,
		     void *object)
{
	uint64_t n;

	if (read_number(l, value, f, &n))
		*(uint16_t *)((char *)object + f->offset) = (uint16_t)n;
}

/* A number with one of the suffixes of f->choice, whose value is the factor. */
static bool read_scaled(struct load *l, const yaml_node_t *value, const struct field *f,
			const char *expected, uint64_t *out)
{
	const struct choice *unit;
	const char *suffix;
	uint64_t n;

	if (!take_number(value, &n, &suffix)) {
		fault_wrong(l, value, f->key, expected);
		return false;
	}
	for (unit = f->choice; unit->word && strcmp(unit->word, suffix) != 0; unit++)
		;
	if (!unit->word) {
		fault_wrong(l, value, f->key, expected);
		return false;
	}
	if (n > f->max / unit->value || n * unit->value < f->min) {
		fault(l, line_of(value), "%s: %s is out of range", f->key,
		      show_node(value).text);
		return false;
	}
	*out = n * unit->value;
	return true;
}

static const struct choice size_units[] = {
	{"", 1}, {"K", 1u << 10}, {"M", 1u << 20}, {"G", 1u << 30}, {0}
};

static void read_memory(struct load *l, const yaml_node_t *value, const struct field *f,
			void *object)
{
	uint64_t n;

	_Static_assert(MEMORY_MIN == UINT64_C(16) << 20 && ARENA_MAX == UINT64_C(64) << 30,
		       "as the message says");
	if (read_scaled(l, value, f, "a size from 16M to 64G (K, M or G behind the number)", &n))
		*(uint64_t *)((char *)object + f->offset) = n;
}

static const struct choice time_units[] = {
	{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {0}
};

static void read_duration(struct load *l, const yaml_node_t *value, const struct field *f,
			  void *object)
{
	uint64_t n;

	if (read_scaled(l, value, f, "a duration (ms, s, m or h behind the number)", &n))
		*(unsigned *)((char *)object + f->offset) = (unsigned)n;
}

/* False if the value is none of the words. */
static void read_choice(struct load *l, const yaml_node_t *value, const struct field *f,
			void *object)
{
	const struct choice *c = f->choice;

	while (c->word && (value->type != YAML_SCALAR_NODE ||
			   strlen(c->word) != value->data.scalar.length ||
			   strcmp(c->word, scalar(value)) != 0))
		c++;
	if (c->word)
		*(unsigned *)((char *)object + f->offset) = c->value;
	else
		fault_wrong(l, value, f->key, f->words ? f->words : "auto, yes or no");
}

static const struct choice dnssec_words[] = {
	{"warn", DNSSEC_WARN}, {"refuse", DNSSEC_REFUSE}, {0}
};

/* ---- mappings and lists ---- */

/* Read a mapping into object.  Returns which fields were there, bit i for
 * fields[i]; 0 when it is no mapping. */
static uint64_t read_mapping(struct load *l, const yaml_node_t *node, const char *what,
			     const struct field *fields, void *object)
{
	uint64_t seen = 0;

	if (node->type != YAML_MAPPING_NODE) {
		fault(l, line_of(node), "%s: keys and values were expected, not %s", what,
		      type_of(node));
		return 0;
	}
	for (const yaml_node_pair_t *p = node->data.mapping.pairs.start;
	     p < node->data.mapping.pairs.top && !l->full; p++) {
		const yaml_node_t *key = yaml_document_get_node(l->doc, p->key);
		const yaml_node_t *value = yaml_document_get_node(l->doc, p->value);
		unsigned i = 0;

		if (key->type != YAML_SCALAR_NODE) {
			fault(l, line_of(key), "%s: a key must be a word, not %s", what,
			      type_of(key));
			continue;
		}
		while (fields[i].key && (strlen(fields[i].key) != key->data.scalar.length ||
					 strcmp(fields[i].key, scalar(key)) != 0))
			i++;
		if (!fields[i].key)
			fault(l, line_of(key), "unknown key `%s' in %s", show_node(key).text, what);
		else if (seen >> i & 1)
			fault(l, line_of(key), "duplicate key `%s' in %s", fields[i].key, what);
		else if (is_null(value))
			fault(l, line_of(key), "%s: empty value", fields[i].key);
		else
			fields[i].read(l, value, &fields[i], object);
		if (fields[i].key)
			seen |= UINT64_C(1) << i;
	}
	for (unsigned i = 0; fields[i].key; i++)
		if (fields[i].required && !(seen >> i & 1))
			fault(l, line_of(node), "%s: the key `%s' is missing", what,
			      fields[i].key);
	return seen;
}

static void read_section(struct load *l, const yaml_node_t *value, const struct field *f,
			 void *object)
{
	read_mapping(l, value, f->key, f->fields, (char *)object + f->offset);
}

/* The list's elements and a zeroed array for them; NULL after a fault, or when
 * there is nothing to read. */
static void *list_begin(struct load *l, const yaml_node_t *value, const struct field *f,
			size_t element, size_t *cnt)
{
	void *array;

	if (value->type != YAML_SEQUENCE_NODE) {
		fault(l, line_of(value), "%s: a list was expected, not %s", f->key,
		      type_of(value));
		return NULL;
	}
	*cnt = (size_t)(value->data.sequence.items.top - value->data.sequence.items.start);
	if (*cnt == 0 && !f->may_be_empty)
		fault(l, line_of(value), "%s: empty list", f->key);
	if (*cnt == 0)
		return NULL;
	if (f->max > 0 && *cnt > f->max) {
		fault(l, line_of(value), "%s: more than %llu entries", f->key,
		      (unsigned long long)f->max);
		return NULL;
	}
	array = calloc(*cnt, element);
	return array ? array : out_of_memory(l, line_of(value));
}

static const yaml_node_t *list_item(struct load *l, const yaml_node_t *value, size_t i)
{
	return yaml_document_get_node(l->doc, value->data.sequence.items.start[i]);
}

/* ---- server ---- */

/* ADDRESS or ADDRESS@PORT. */
static bool parse_address(const char *text, struct config_address *a)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a->sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a->sa;
	const char *at = strchr(text, '@');
	size_t len = at ? (size_t)(at - text) : strlen(text);
	char host[INET6_ADDRSTRLEN];
	unsigned port = 0;

	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = 0;

	if (!at)
		port = 53;
	for (const char *p = at ? at + 1 : ""; *p; p++) {
		if (*p < '0' || *p > '9' || p - at > 5)
			return false;
		port = port * 10 + (unsigned)(*p - '0');
	}
	if (port < 1 || port > UINT16_MAX)
		return false;

	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		a->sa_len = sizeof(*v4);
		return true;
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		a->sa_len = sizeof(*v6);
		return true;
	}
	return false;
}

/* Workers and the steering program compare a frame's destination with the
 * configured addresses, and answers leave from there: it must be one host's. */
static bool is_host_address(const struct config_address *a)
{
	if (a->sa.ss_family == AF_INET) {
		uint32_t v4 = ntohl(((const struct sockaddr_in *)&a->sa)->sin_addr.s_addr);

		return v4 >> 24 != 0 && v4 >> 28 < 14; /* 0/8, multicast, reserved */
	}

	const struct in6_addr *v6 = &((const struct sockaddr_in6 *)&a->sa)->sin6_addr;

	return !IN6_IS_ADDR_UNSPECIFIED(v6) && !IN6_IS_ADDR_MULTICAST(v6) &&
	       !IN6_IS_ADDR_V4MAPPED(v6) && !IN6_IS_ADDR_LINKLOCAL(v6);
}

static void read_listen(struct load *l, const yaml_node_t *value, const struct field *f,
			void *object)
{
	static const struct field item = {.key = "listen"};
	struct config *c = object;
	size_t cnt;
	struct config_address *a = list_begin(l, value, f, sizeof(*a), &cnt);

	if (!a)
		return;
	c->listen = a;
	for (size_t i = 0; i < cnt && !l->full; i++) {
		const yaml_node_t *node = list_item(l, value, i);
		struct config_address *slot = &a[c->listen_cnt];
		size_t k = 0;

		if (!take_text(l, node, &item))
			continue;
		if (!parse_address(scalar(node), slot)) {
			fault(l, line_of(node), "listen: `%s' is no ADDRESS or ADDRESS@PORT",
			      show_node(node).text);
			continue;
		}
		slot->line = line_of(node);
		if (!is_host_address(slot)) {
			fault(l, line_of(node), "listen: `%s' is no address of one host",
			      show_node(node).text);
			continue;
		}
		while (k < c->listen_cnt && (a[k].sa_len != slot->sa_len ||
					     memcmp(&a[k].sa, &slot->sa, slot->sa_len) != 0))
			k++;
		if (k < c->listen_cnt)
			fault(l, line_of(node), "listen: `%s' stands in line %u already",
			      show_node(node).text, a[k].line);
		else
			c->listen_cnt++;
	}
}

static const struct field tcp_fields[] = {
	{.key = "idle-timeout", .read = read_duration, .choice = time_units,
	 .offset = offsetof(struct config, tcp_idle_timeout_ms), .min = 100, .max = 3600000},
	{.key = "first-byte-timeout", .read = read_duration, .choice = time_units,
	 .offset = offsetof(struct config, tcp_first_timeout_ms), .min = 100, .max = 3600000},
	{.key = "max-clients", .read = read_unsigned,
	 .offset = offsetof(struct config, tcp_max_clients), .min = 1, .max = 1000000},
	{.key = "max-clients-per-prefix", .read = read_unsigned,
	 .offset = offsetof(struct config, tcp_max_prefix), .min = 1, .max = 1000000},
	{.key = "ipv4-prefix-length", .read = read_unsigned,
	 .offset = offsetof(struct config, tcp_ipv4_prefix), .min = 1, .max = 32},
	{.key = "ipv6-prefix-length", .read = read_unsigned,
	 .offset = offsetof(struct config, tcp_ipv6_prefix), .min = 1, .max = 128},
	{0}
};

static const struct choice switch_words[] = {
	{"on", 1}, {"yes", 1}, {"true", 1}, {"off", 0}, {"no", 0}, {"false", 0}, {0}
};

static const struct choice ask_words[] = {{"request", ASK_REQUEST}, {"require", ASK_REQUIRE}, {0}};

static const struct field tls_fields[] = {
	{.key = "certificate", .read = read_path, .offset = offsetof(struct config, tls_certificate)},
	{.key = "key", .read = read_path, .offset = offsetof(struct config, tls_key)},
	{.key = "client-ca", .read = read_path, .offset = offsetof(struct config, tls_client_ca)},
	{.key = "client-certificates", .read = read_choice, .choice = ask_words,
	 .words = "request or require", .offset = offsetof(struct config, tls_ask)},
	{.key = "port", .read = read_u16, .offset = offsetof(struct config, tls_port),
	 .min = 1, .max = UINT16_MAX},
	{.key = "dot", .read = read_choice, .choice = switch_words, .words = "yes or no",
	 .offset = offsetof(struct config, tls_dot)},
	{.key = "doq", .read = read_choice, .choice = switch_words, .words = "yes or no",
	 .offset = offsetof(struct config, tls_doq)},
	{.key = "dtls", .read = read_choice, .choice = switch_words, .words = "yes or no",
	 .offset = offsetof(struct config, tls_dtls)},
	{0}
};

static void read_tls(struct load *l, const yaml_node_t *value, const struct field *f,
		     void *object)
{
	struct config *c = object;

	c->has_tls = true;
	c->tls_line = line_of(value);
	c->tls_dot = c->tls_doq = c->tls_dtls = 1;
	read_mapping(l, value, f->key, f->fields, c);
	if (!c->tls_certificate != !c->tls_key)
		fault(l, c->tls_line, "tls: a certificate needs its key, and a key its certificate");
	if (!c->tls_client_ca && c->tls_ask != ASK_NOBODY)
		fault(l, c->tls_line, "tls: client-certificates needs client-ca, which says who is trusted");
	if (c->tls_client_ca && c->tls_ask == ASK_NOBODY)
		c->tls_ask = ASK_REQUIRE;
}

static void read_user(struct load *l, const yaml_node_t *value, const struct field *f,
		      void *object)
{
	((struct config *)object)->user_line = line_of(value);
	read_text(l, value, f, object);
}

static void read_secrets(struct load *l, const yaml_node_t *value, const struct field *f,
			 void *object)
{
	struct config *c = object;
	size_t cnt;
	uint8_t (*secret)[COOKIE_SECRET] = list_begin(l, value, f, sizeof(*secret), &cnt);

	free(secret); /* there is a place for them: only the list was to be checked */
	for (size_t i = 0; secret && i < cnt && !l->full; i++) {
		const yaml_node_t *node = list_item(l, value, i);
		const char *text = node->type == YAML_SCALAR_NODE ? scalar(node) : "";
		uint8_t *out = c->cookie_secret[i];
		bool good = strlen(text) == 2 * COOKIE_SECRET &&
			    strspn(text, "0123456789abcdefABCDEF") == 2 * COOKIE_SECRET;

		for (unsigned k = 0; good && k < COOKIE_SECRET; k++)
			sscanf(text + 2 * k, "%2hhx", &out[k]);
		if (!good) /* the text itself stays out of logs */
			fault(l, line_of(node), "%s: a secret is 32 hexadecimal digits", f->key);
		else
			c->cookie_secret_cnt++;
	}
}

static const struct choice cookie_words[] = {
	{"on", COOKIES_ON}, {"off", COOKIES_OFF}, {"require", COOKIES_REQUIRE}, {0}
};

static const struct choice additional_words[] = {
	{"minimal", 0}, {"full", 1}, {0}
};

static const struct field server_fields[] = {
	{.key = "listen", .read = read_listen, .max = CONFIG_LISTEN_MAX, .required = true},
	{.key = "identity", .read = read_text, .offset = offsetof(struct config, identity),
	 .max = 255, .may_be_empty = true},
	{.key = "version", .read = read_text, .offset = offsetof(struct config, version),
	 .max = 255, .may_be_empty = true},
	{.key = "run-directory", .read = read_path, .max = RUN_DIRECTORY_MAX,
	 .offset = offsetof(struct config, run_directory)},
	{.key = "data-directory", .read = read_path,
	 .offset = offsetof(struct config, data_directory)},
	{.key = "udp-payload", .read = read_u16, .offset = offsetof(struct config, udp_payload),
	 .min = 512, .max = 4096},
	{.key = "dnssec-check", .read = read_choice, .choice = dnssec_words,
	 .words = "warn or refuse", .offset = offsetof(struct config, dnssec_check)},
	{.key = "nsec3-iterations-max", .read = read_u16, .max = UINT16_MAX,
	 .offset = offsetof(struct config, nsec3_iterations_max)},
	{.key = "cookies", .read = read_choice, .choice = cookie_words,
	 .words = "on, off or require", .offset = offsetof(struct config, cookies)},
	{.key = "additional", .read = read_choice, .choice = additional_words,
	 .words = "minimal or full", .offset = offsetof(struct config, additional)},
	{.key = "cookie-secrets", .read = read_secrets, .max = 2},
	{.key = "user", .read = read_user, .offset = offsetof(struct config, user),
	 .max = CONFIG_USER_MAX},
	{.key = "threads", .read = read_unsigned, .offset = offsetof(struct config, threads),
	 .min = 1, .max = CONFIG_THREADS_MAX},
	{.key = "tcp", .read = read_section, .fields = tcp_fields},
	{.key = "tls", .read = read_tls, .fields = tls_fields},
	{0}
};

/* ---- dataplane ---- */

static void read_cores(struct load *l, const yaml_node_t *value, const struct field *f,
		       void *object)
{
	static const struct field item = {.key = "cores", .max = UINT_MAX};
	struct config *c = object;
	long here = sysconf(_SC_NPROCESSORS_CONF);
	size_t cnt;
	unsigned *cores = list_begin(l, value, f, sizeof(*cores), &cnt);

	if (!cores)
		return;
	c->cores = cores;
	for (size_t i = 0; i < cnt && !l->full; i++) {
		const yaml_node_t *node = list_item(l, value, i);
		uint64_t n;
		size_t k = 0;

		if (!read_number(l, node, &item, &n))
			continue;
		while (k < c->core_cnt && cores[k] != n)
			k++;
		if (here > 0 && n >= (uint64_t)here)
			fault(l, line_of(node), "cores: this machine has no core %s, only 0 to %ld",
			      show_node(node).text, here - 1);
		else if (k < c->core_cnt)
			fault(l, line_of(node), "cores: %s is named twice", show_node(node).text);
		else
			cores[c->core_cnt++] = (unsigned)n;
	}
}

static const struct field pcap_fields[] = {
	{.key = "read", .read = read_device_path, .offset = offsetof(struct config_port, target),
	 .required = true},
	{.key = "write", .read = read_device_path,
	 .offset = offsetof(struct config_port, pcap_write), .required = true},
	{0}
};

enum { FIELD_INTERFACE, FIELD_MEMIF, FIELD_PCAP, FIELD_QUEUES };

static const struct field port_fields[] = {
	[FIELD_INTERFACE] = {.key = "interface", .read = read_interface, .max = 15,
		.offset = offsetof(struct config_port, target)},
	[FIELD_MEMIF] = {.key = "memif", .read = read_device_path, .max = SOCKET_PATH_MAX,
		.offset = offsetof(struct config_port, target)},
	[FIELD_PCAP] = {.key = "pcap", .read = read_section, .fields = pcap_fields},
	[FIELD_QUEUES] = {.key = "queues", .read = read_unsigned,
		.offset = offsetof(struct config_port, queues),
		.min = 1, .max = CONFIG_PORT_QUEUES_MAX},
	{0}
};

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

static void check_port(struct load *l, const struct config_port *port, size_t cnt)
{
	const struct config_port *p = &port[cnt];

	if (same(p->target, p->pcap_write))
		fault(l, p->line, "pcap: `%s' would be read and written",
		      show(p->target, strlen(p->target)).text);
	for (size_t i = 0; i < cnt; i++) {
		const struct config_port *o = &port[i];
		bool twice = same(p->target, o->target) &&
			     (p->kind == PORT_INTERFACE) == (o->kind == PORT_INTERFACE);

		if (twice || same(p->target, o->pcap_write))
			fault(l, p->line, "ports: `%s' is in use by the port of line %u",
			      show(p->target, strlen(p->target)).text, o->line);
		if (same(p->pcap_write, o->pcap_write) || same(p->pcap_write, o->target))
			fault(l, p->line, "ports: `%s' is in use by the port of line %u",
			      show(p->pcap_write, strlen(p->pcap_write)).text, o->line);
	}
}

static void read_ports(struct load *l, const yaml_node_t *value, const struct field *f,
		       void *object)
{
	struct config *c = object;
	size_t cnt;
	struct config_port *port = list_begin(l, value, f, sizeof(*port), &cnt);

	if (!port)
		return;
	c->port = port;
	c->port_cnt = cnt;
	for (size_t i = 0; i < cnt && !l->full; i++) {
		const yaml_node_t *node = list_item(l, value, i);
		struct config_port *p = &port[i];
		uint64_t seen;
		unsigned kind;

		p->line = line_of(node);
		p->queues = 1;
		seen = read_mapping(l, node, "ports", port_fields, p);
		kind = (unsigned)seen & 7;
		if (node->type != YAML_MAPPING_NODE)
			continue;
		if (kind == 0 || (kind & (kind - 1)) != 0) {
			fault(l, p->line,
			      "ports: a port is one of interface, memif or pcap, and one only");
			continue;
		}
		p->kind = kind & 1 << FIELD_INTERFACE ? PORT_INTERFACE :
			  kind & 1 << FIELD_MEMIF ? PORT_MEMIF : PORT_PCAP;
		if (p->kind == PORT_PCAP && p->queues != 1)
			fault(l, p->line, "ports: a pcap has one queue");
		check_port(l, port, i);
	}
}

static const struct choice huge_words[] = {
	{"auto", ARENA_HUGE_AUTO}, {"yes", ARENA_HUGE_YES}, {"true", ARENA_HUGE_YES},
	{"no", ARENA_HUGE_NO}, {"false", ARENA_HUGE_NO}, {0}
};
static const struct choice checksum_words[] = {
	{"auto", CHECKSUMS_AUTO}, {"yes", CHECKSUMS_YES}, {"true", CHECKSUMS_YES},
	{"no", CHECKSUMS_NO}, {"false", CHECKSUMS_NO}, {0}
};

static const struct field dataplane_fields[] = {
	{.key = "cores", .read = read_cores, .max = CONFIG_CORES_MAX},
	{.key = "huge-pages", .read = read_choice, .choice = huge_words,
	 .offset = offsetof(struct config, huge_pages)},
	{.key = "verify-checksums", .read = read_choice, .choice = checksum_words,
	 .offset = offsetof(struct config, verify_checksums)},
	{.key = "ports", .read = read_ports, .max = CONFIG_PORTS_MAX, .may_be_empty = true},
	{0}
};

static void read_dataplane(struct load *l, const yaml_node_t *value, const struct field *f,
			   void *object)
{
	((struct config *)object)->has_dataplane = true;
	read_section(l, value, f, object);
}

/* ---- table, zones ---- */

static const struct field table_fields[] = {
	{.key = "memory", .read = read_memory, .choice = size_units,
	 .offset = offsetof(struct config, table_memory), .min = MEMORY_MIN, .max = ARENA_MAX},
	{0}
};

static void read_domain(struct load *l, const yaml_node_t *value, const struct field *f,
			void *object)
{
	struct name *domain = (struct name *)((char *)object + f->offset);

	if (take_text(l, value, f) && name_from_text(domain, scalar(value)) != 0)
		fault(l, line_of(value), "domain: `%s' is no domain name",
		      show_node(value).text);
}

static void read_zone_file(struct load *l, const yaml_node_t *value, const struct field *f,
			   void *object)
{
	((struct config_zone *)object)->file_line = line_of(value);
	read_path(l, value, f, object);
}

static const struct field zone_fields[] = {
	{.key = "domain", .read = read_domain, .offset = offsetof(struct config_zone, domain),
	 .max = NAME_TEXT_MAX, .required = true},
	{.key = "file", .read = read_zone_file, .offset = offsetof(struct config_zone, file),
	 .required = true},
	{.key = "dnssec-check", .read = read_choice, .choice = dnssec_words,
	 .words = "warn or refuse", .offset = offsetof(struct config_zone, dnssec_check)},
	{0}
};

static int zone_cmp(const void *a, const void *b)
{
	const struct config_zone *x = *(const struct config_zone *const *)a;
	const struct config_zone *y = *(const struct config_zone *const *)b;
	int order = x->domain.len != y->domain.len ? x->domain.len - y->domain.len :
		    memcmp(x->domain.wire, y->domain.wire, x->domain.len);

	return order ? order : x < y ? -1 : x > y;
}

/* Sorted, so that a file of very many zones is read in time. */
static void check_zones(struct load *l, const struct config_zone *zone, size_t cnt)
{
	const struct config_zone **order = calloc(cnt, sizeof(*order));
	char text[NAME_TEXT_MAX];

	if (!order) {
		out_of_memory(l, 0);
		return;
	}
	for (size_t i = 0; i < cnt; i++)
		order[i] = &zone[i];
	qsort(order, cnt, sizeof(*order), zone_cmp);
	for (size_t i = 1; i < cnt && !l->full; i++) {
		const struct name *a = &order[i - 1]->domain, *b = &order[i]->domain;

		/* A domain that was missing or wrong has no length. */
		if (a->len > 0 && a->len == b->len && memcmp(a->wire, b->wire, a->len) == 0)
			fault(l, order[i]->line, "zone: %s stands in line %u already",
			      name_to_text(text, b->wire), order[i - 1]->line);
	}
	free(order);
}

static void read_zones(struct load *l, const yaml_node_t *value, const struct field *f,
		       void *object)
{
	struct config *c = object;
	size_t cnt;
	struct config_zone *zone = list_begin(l, value, f, sizeof(*zone), &cnt);

	if (!zone)
		return;
	c->zone = zone;
	c->zone_cnt = cnt;
	for (size_t i = 0; i < cnt && !l->full; i++) {
		const yaml_node_t *node = list_item(l, value, i);

		zone[i].line = line_of(node);
		read_mapping(l, node, "zone", zone_fields, &zone[i]);
	}
	check_zones(l, zone, cnt);
}

static const struct field root_fields[] = {
	{.key = "server", .read = read_section, .fields = server_fields, .required = true},
	{.key = "dataplane", .read = read_dataplane, .fields = dataplane_fields},
	{.key = "table", .read = read_section, .fields = table_fields},
	{.key = "zone", .read = read_zones, .may_be_empty = true},
	{0}
};

/* A port speaks either TLS, QUIC and DTLS or none of them (RFC 7858 section 3.1, RFC 9250
 * section 4.1.1). */
static void check_tls(struct load *l, const struct config *c)
{
	for (size_t i = 0; c->has_tls && i < c->listen_cnt; i++) {
		const struct sockaddr_storage *sa = &c->listen[i].sa;
		uint16_t port = ntohs(sa->ss_family == AF_INET ?
				      ((const struct sockaddr_in *)sa)->sin_port :
				      ((const struct sockaddr_in6 *)sa)->sin6_port);

		if (port == c->tls_port)
			fault(l, c->listen[i].line, "listen: port %u is that of tls", port);
	}
}

/* The control process makes its sockets in the run directory. */
static void check_sockets(struct load *l, const struct config *c)
{
	size_t dir = c->run_directory ? strlen(c->run_directory) : 0;

	for (size_t i = 0; dir > 0 && i < c->port_cnt; i++) {
		const struct config_port *p = &c->port[i];

		if (p->kind == PORT_MEMIF && p->target &&
		    strncmp(p->target, c->run_directory, dir) == 0 &&
		    (strcmp(p->target + dir, "/control.sock") == 0 ||
		     strcmp(p->target + dir, "/attach.sock") == 0))
			fault(l, p->line, "memif: `%s' is the control process's socket",
			      show(p->target, strlen(p->target)).text);
	}
}

/* ---- octets, events, nodes ---- */

/* Octets of the UTF-8 character at text[0..left), 0 if it is none (RFC 3629). */
static size_t utf8_len(const unsigned char *text, size_t left)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = text[0] < 0x80 ? 1 : text[0] >> 5 == 6 ? 2 : text[0] >> 4 == 14 ? 3 :
		   text[0] >> 3 == 30 ? 4 : 0;
	uint32_t c = n == 1 ? text[0] : text[0] & (0x7fu >> n);

	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (text[i] >> 6 != 2)
			return 0;
		c = c << 6 | (text[i] & 0x3f);
	}
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

static void check_octets(struct load *l, const unsigned char *text, size_t len)
{
	unsigned line = 1;
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		n = utf8_len(text + i, len - i);
		if (n == 0 || text[i] == 0) {
			fault(l, line, n == 0 ? "not UTF-8" : "a NUL octet");
			return;
		}
		line += text[i] == '\n';
	}
}

static void fault_yaml(struct load *l, const yaml_parser_t *parser, const char *text,
		       size_t len)
{
	unsigned line = (unsigned)parser->problem_mark.line + 1;

	if (parser->error == YAML_READER_ERROR) {
		line = 1;
		for (size_t i = 0; i < parser->problem_offset && i < len; i++)
			line += text[i] == '\n';
	}
	fault(l, line, "%s%s%s", parser->problem ? parser->problem : "out of memory",
	      parser->context ? " " : "", parser->context ? parser->context : "");
}

/* What the node tree would no longer show. */
static void check_events(struct load *l, const char *text, size_t len)
{
	yaml_parser_t parser;
	unsigned depth = 0, documents = 0;
	bool end = false;

	if (!yaml_parser_initialize(&parser)) {
		out_of_memory(l, 0);
		return;
	}
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	while (!end && !l->full) {
		const yaml_char_t *anchor = NULL, *tag = NULL;
		yaml_event_t e;

		if (!yaml_parser_parse(&parser, &e)) {
			fault_yaml(l, &parser, text, len);
			break;
		}

		unsigned line = (unsigned)e.start_mark.line + 1;

		switch (e.type) {
		case YAML_STREAM_END_EVENT:
			end = true;
			break;
		case YAML_DOCUMENT_START_EVENT:
			if (e.data.document_start.tag_directives.start !=
			    e.data.document_start.tag_directives.end)
				fault(l, line, "tags are not allowed here");
			if (++documents == 2) {
				fault(l, line, "a second document");
				end = true;
			}
			break;
		case YAML_ALIAS_EVENT:
			fault(l, line, "aliases are not allowed here");
			break;
		case YAML_SCALAR_EVENT:
			anchor = e.data.scalar.anchor;
			tag = e.data.scalar.tag;
			break;
		case YAML_SEQUENCE_START_EVENT:
			anchor = e.data.sequence_start.anchor;
			tag = e.data.sequence_start.tag;
			depth++;
			break;
		case YAML_MAPPING_START_EVENT:
			anchor = e.data.mapping_start.anchor;
			tag = e.data.mapping_start.tag;
			depth++;
			break;
		case YAML_SEQUENCE_END_EVENT:
		case YAML_MAPPING_END_EVENT:
			depth--;
			break;
		default:
			break;
		}
		if (anchor)
			fault(l, line, "anchors are not allowed here");
		if (tag)
			fault(l, line, "tags are not allowed here");
		if (depth > DEPTH_MAX) {
			fault(l, line, "nested too deep");
			end = true;
		}
		yaml_event_delete(&e);
	}
	yaml_parser_delete(&parser);
}

static void read_nodes(struct load *l, const char *text, size_t len)
{
	yaml_parser_t parser;
	yaml_document_t doc;
	yaml_node_t *root;

	if (!yaml_parser_initialize(&parser)) {
		out_of_memory(l, 0);
		return;
	}
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (!yaml_parser_load(&parser, &doc)) {
		fault_yaml(l, &parser, text, len);
	} else {
		l->doc = &doc;
		root = yaml_document_get_root_node(&doc);
		if (!root || is_null(root))
			fault(l, 1, "the file is empty");
		else
			read_mapping(l, root, "the file", root_fields, l->c);
		if (!l->full)
			check_tls(l, l->c);
		if (!l->full)
			check_sockets(l, l->c);
		yaml_document_delete(&doc);
	}
	yaml_parser_delete(&parser);
}

/* ---- the whole ---- */

static void set_default(struct load *l, char **text, const char *value)
{
	*text = strdup(value);
	if (!*text)
		out_of_memory(l, 0);
}

static void set_paths(struct load *l, const char *path)
{
	struct config *c = l->c;
	char *folder = path[0] == '/' ? strdup("/") : getcwd(NULL, 0);
	char *slash;

	if (folder)
		c->path = path_join(folder, path);
	free(folder);
	c->folder = c->path ? strdup(c->path) : NULL;
	if (!c->folder) {
		fault(l, 0, "cannot tell its folder: %s", strerror(errno));
		return;
	}
	slash = strrchr(c->folder, '/');
	slash[slash == c->folder] = 0;
}

/* Write the faults and free them. */
static void tell(struct load *l, const char *path, char *errors, size_t errors_size)
{
	struct report r = {.text = errors, .size = errors_size};

	if (errors_size > 0)
		errors[0] = 0;
	qsort(l->fault, l->fault_cnt, sizeof(l->fault[0]), fault_cmp);
	for (unsigned i = 0; i < l->fault_cnt; i++) {
		report_line(&r, path, l->fault[i].line,
			    l->fault[i].cause ? l->fault[i].cause : "out of memory");
		free(l->fault[i].cause);
	}
}

struct config *config_parse(const char *path, const char *text, size_t len,
			    char *errors, size_t errors_size)
{
	struct load l = {.c = calloc(1, sizeof(*l.c))};

	if (!l.c) {
		out_of_memory(&l, 0);
		tell(&l, path, errors, errors_size);
		return NULL;
	}
	*l.c = (struct config){
		.udp_payload = 1232, .cookies = COOKIES_ON,
		.dnssec_check = DNSSEC_WARN, .nsec3_iterations_max = 100,
		.threads = 1, .tcp_max_clients = 1024, .tcp_max_prefix = 256,
		.tcp_ipv4_prefix = 24, .tcp_ipv6_prefix = 56,
		.tcp_idle_timeout_ms = 10000, .tcp_first_timeout_ms = 5000, .tls_port = 853,
		.huge_pages = ARENA_HUGE_AUTO, .verify_checksums = CHECKSUMS_AUTO,
		.table_memory = UINT64_C(1) << 30,
	};

	set_default(&l, &l.c->identity, "");
	set_default(&l, &l.c->user, "");
	set_default(&l, &l.c->version, "Pollux " POLLUX_VERSION);
	set_default(&l, &l.c->run_directory, "/run/pollux");
	set_default(&l, &l.c->data_directory, "/var/lib/pollux");
	set_paths(&l, path);
	if (l.fault_cnt == 0)
		check_octets(&l, (const unsigned char *)text, len);
	if (l.fault_cnt == 0)
		check_events(&l, text, len);
	if (l.fault_cnt == 0)
		read_nodes(&l, text, len);

	bool good = l.fault_cnt == 0;

	tell(&l, path, errors, errors_size);
	if (good)
		return l.c;
	config_free(l.c);
	return NULL;
}

/* The whole file; its text is the caller's.  0 or -errno. */
static int read_file(const char *path, char **text, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	char *buffer = NULL;
	ssize_t n = 0;
	int rc;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0)
		goto fail;
	errno = EISDIR;
	if (S_ISDIR(st.st_mode))
		goto fail;
	errno = EINVAL;
	if (!S_ISREG(st.st_mode))
		goto fail;
	errno = EFBIG;
	if (st.st_size > CONFIG_FILE_MAX)
		goto fail;

	buffer = malloc(CONFIG_FILE_MAX + 1);
	if (!buffer)
		goto fail;
	*len = 0;
	while ((n = read(fd, buffer + *len, CONFIG_FILE_MAX + 1 - *len)) > 0)
		*len += (size_t)n;
	if (n < 0)
		goto fail;
	errno = EFBIG;
	if (*len > CONFIG_FILE_MAX)
		goto fail;
	close(fd);
	*text = buffer;
	return 0;
fail:
	rc = -errno;
	free(buffer);
	close(fd);
	return rc;
}

struct config *config_load(const char *path, char *errors, size_t errors_size)
{
	struct load l = {0};
	char *text = NULL;
	size_t len = 0;
	int rc = read_file(path, &text, &len);

	if (rc != 0) {
		fault(&l, 0, "cannot read the configuration: %s",
		      rc == -EINVAL ? "not a regular file" : strerror(-rc));
		tell(&l, path, errors, errors_size);
		return NULL;
	}

	struct config *c = config_parse(path, text, len, errors, errors_size);

	free(text);
	return c;
}

/* 0 when path can be opened for reading, or errno. */
static int unreadable(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return errno;

	bool folder = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);

	close(fd);
	return folder ? EISDIR : 0;
}

size_t config_check_files(const struct config *c, char *errors, size_t errors_size)
{
	struct report r = {.text = errors, .size = errors_size};
	size_t faults = 0;
	char cause[PATH_MAX + 64];

	if (errors_size > 0)
		errors[0] = 0;
	for (size_t i = 0; i < c->port_cnt; i++) {
		const struct config_port *p = &c->port[i];
		int error = p->kind == PORT_PCAP ? unreadable(p->target) : 0;

		if (error == 0)
			continue;
		faults++;
		snprintf(cause, sizeof(cause), "cannot read %s: %s", p->target, strerror(error));
		report_line(&r, c->path, p->line, cause);
	}
	for (size_t i = 0; i < c->zone_cnt; i++) {
		const struct config_zone *z = &c->zone[i];
		int error = unreadable(z->file);

		if (error == 0)
			continue;
		faults++;
		snprintf(cause, sizeof(cause), "cannot read %s: %s", z->file, strerror(error));
		report_line(&r, c->path, z->file_line, cause);
	}
	return faults;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->port_cnt; i++) {
		free(c->port[i].target);
		free(c->port[i].pcap_write);
	}
	for (size_t i = 0; i < c->zone_cnt; i++)
		free(c->zone[i].file);
	free(c->listen);
	free(c->cores);
	free(c->port);
	free(c->zone);
	free(c->user);
	free(c->tls_certificate);
	free(c->tls_key);
	free(c->tls_client_ca);
	free(c->identity);
	free(c->version);
	free(c->run_directory);
	free(c->data_directory);
	free(c->path);
	free(c->folder);
	free(c);
}
