/* SPDX-License-Identifier: GPL-3.0-or-later */
/* zonefile.c - reading zone files; see zonefile.h.
 *
 * libzscanner turns text into records, one at a time; what it cannot do is done
 * here, between two of its calls.  Of a file a window of whole lines stands in memory.
 * Where the scanner meets its end, or an error in an entry that may go on behind it, more is
 * read and the entry scanned again: so none is ever taken for cut.  After each call its position
 * is the newline that ended the entry (or the line of the error): from there
 * entry_end, a small reader of quotes, comments and parentheses, finds which lines
 * the entry had and where the next begins.  Directives that the scanner refuses are
 * looked at there: $GENERATE, and an $ORIGIN that is relative.  Records that it refuses
 * are read again by fallback.h.
 */
#define XXH_INLINE_ALL
#include "zonefile.h"

#include <errno.h>
#include <fcntl.h>
#include <libzscanner/scanner.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "dataplane/answer/pages.h"
#include "dataplane/answer/rrtype.h"
#include "fallback.h"
#include "generate.h"

#define MESSAGE_MAX (PATH_MAX + 512)  /* octets of one report */
#define FILES_MAX   UINT16_MAX        /* struct record has 16 bits for the file */
#define GENERATE_TEXT ((size_t)1 << 19) /* octets expanded at once: more than the longest record */
#define GENERATE_RECORDS_ALL (UINT32_C(1) << 24) /* in all directives of a zone: an IPv4 /8 */
#define GENERATE_OCTETS_ALL  (UINT64_C(1) << 30) /* of text */
#ifndef ZONEFILE_WINDOW /* a test builds with another */
#define ZONEFILE_WINDOW ((size_t)1 << 20) /* octets of text in memory, unless an entry needs more, */
#endif
#define AHEAD (ZONEFILE_WINDOW / 16)  /* and so many not yet scanned, if there are more */
#define NEAR_MAX    40                /* octets of the text that a message shows */

/* Stands for "no TTL" where the scanner wants one; itself no valid TTL. */
#define TTL_UNKNOWN UINT32_MAX

/* One reading of a zone. */
struct reading {
	struct records *rs;
	zonefile_record each;  /* not NULL: records go there, with each_arg, not to rs, */
	void *each_arg;
	int each_result;       /* and this is what made it stop, if not 0 */
	const struct name *apex;
	zonefile_report report;
	void *arg;
	char **files;          /* names of the files met, by struct record's index */
	size_t file_cnt, file_cap;
	bool no_include;       /* text from memory */
	bool lines;            /* single records, each on a line */
	struct fallback *fallback; /* NULL until a record asks for it */
	bool stop;             /* no use in going on */
	int error;             /* first -errno other than a fault of the text */
	unsigned faults, warnings;
	uint32_t last_ttl;     /* last one stated in a record (RFC 1035 5.1), or TTL_UNKNOWN */
	uint32_t generated;    /* records */
	uint64_t generated_octets;
};

/* One file, while it and those it includes are read. */
struct source {
	struct reading *r;
	const struct source *parent; /* includes this one */
	unsigned depth;
	const char *name;      /* as in messages */
	uint16_t file;
	dev_t dev;
	ino_t ino;
	int fd;                /* of the file; or -1, and */
	const char *rest;      /* what it would have, of */
	size_t rest_len;       /* so many octets */
	bool ended;            /* all of it is in the text, or has been */
	struct zonefile_id id; /* once it has ended, if there is */
	XXH3_state_t *hash;    /* of what was read; or NULL */
	char *text;            /* of pages_alloc: whole lines, each with its newline, */
	size_t len;            /* octets of them, */
	size_t have, room;     /* with what is behind, and in all */
	zs_scanner_t *scanner;
	int scanner_start;     /* its state before an entry */
	const char *next;      /* where the entries not yet read begin ... */
	uint64_t next_line;    /* ... and the line that is; at first, that of the text */
	uint8_t origin[NAME_MAX_LEN]; /* as it was at some point before next */
	size_t origin_len;
};

/* ---- faults ---- */

static void tell(struct reading *r, const char *file, uint64_t line, const char *kind,
		 const char *format, va_list args)
{
	char text[MESSAGE_MAX];
	int len;

	if (line > 0)
		len = snprintf(text, sizeof(text), "%s:%llu: %s", file, (unsigned long long)line, kind);
	else
		len = snprintf(text, sizeof(text), "%s: %s", file, kind);
	if (len > 0 && (size_t)len < sizeof(text))
		vsnprintf(text + len, sizeof(text) - (size_t)len, format, args);
	r->report(r->arg, text);
}

/* fault - tell of one that makes the zone bad.  Line 0: of the file as such. */
__attribute__((format(printf, 4, 5)))
static void fault(struct reading *r, const char *file, uint64_t line, const char *format, ...)
{
	va_list args;

	if (r->stop)
		return;
	if (r->faults++ == ZONEFILE_ERRORS) {
		char text[MESSAGE_MAX];

		snprintf(text, sizeof(text), "%s: too many errors", file);
		r->report(r->arg, text);
		r->stop = true;
		return;
	}
	va_start(args, format);
	tell(r, file, line, "", format, args);
	va_end(args);
}

/* warn - tell of what is accepted; as many as there may be errors. */
__attribute__((format(printf, 4, 5)))
static void warn(struct reading *r, const char *file, uint64_t line, const char *format, ...)
{
	va_list args;

	if (r->warnings++ >= ZONEFILE_ERRORS)
		return;
	va_start(args, format);
	tell(r, file, line, "warning: ", format, args);
	va_end(args);
}

static void no_memory(struct reading *r)
{
	r->error = -ENOMEM;
	r->stop = true;
}

/* ---- entries ---- */

/* entry_end - the newline that ends the entry which begins at p, or the last one
 * of the text; *lines counts the newlines before it.  Parentheses may span lines,
 * and quotes within them too (RFC 1035 5.1); with `strings` quotes anywhere. */
static const char *entry_end(const char *p, const char *end, bool strings, uint64_t *lines)
{
	const char *last = end - 1;
	bool quoted = false;
	unsigned depth = 0;

	for (*lines = 0; p < last; p++) {
		switch (*p) {
		case '\\':
			if (p[1] != '\n')
				p++;
			break;
		case '"':
			quoted = !quoted;
			break;
		case '(':
			depth += !quoted;
			break;
		case ')':
			depth -= !quoted && depth > 0;
			break;
		case ';':
			if (!quoted)
				p = (const char *)memchr(p, '\n', (size_t)(end - p)) - 1;
			break;
		case '\n':
			if (depth == 0 && !(strings && quoted))
				return p;
			++*lines;
			break;
		}
	}
	return last;
}

/* entry_is - does the entry at p begin with this directive? */
static bool entry_is(const char *p, const char *end, const char *directive)
{
	size_t len = strlen(directive);

	return (size_t)(end - p) > len && strncasecmp(p, directive, len) == 0 &&
	       (p[len] == ' ' || p[len] == '\t' || p[len] == '\n' || p[len] == ';');
}

/* entry_empty - nothing but blanks and a comment on the line at p? */
static bool entry_empty(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return *p == '\n' || *p == ';';
}

/* origin_read - take the origin from an $ORIGIN entry into src->origin; a name
 * without a final dot stands below the origin before it, as RFC 1035 5.1 says of
 * all names.  False when there is no valid name, or something behind it. */
static bool origin_read(struct source *src, const char *p)
{
	struct name n;
	char text[NAME_TEXT_MAX];
	size_t len = 0;

	p += strlen("$ORIGIN");
	while (*p == ' ' || *p == '\t')
		p++;
	while (len + 1 < sizeof(text) && p[len] != '\n' && p[len] != ';' && p[len] != ' ' &&
	       p[len] != '\t')
		len++;
	memcpy(text, p, len);
	text[len] = '\0';
	if (strlen(text) != len || !entry_empty(p + len))
		return false;
	if (len == 1 && text[0] == '@')
		return true;
	if (name_from_text(&n, text) < 0)
		return false;

	/* A final dot that a backslash hides is part of the last label. */
	size_t hides = 0;

	while (hides + 1 < len && text[len - 2 - hides] == '\\')
		hides++;
	if (len > 0 && text[len - 1] == '.' && hides % 2 == 0) {
		memcpy(src->origin, n.wire, n.len);
		src->origin_len = n.len;
		return true;
	}

	size_t head = n.len - 1u;

	if (head + src->origin_len > NAME_MAX_LEN)
		return false;
	memmove(src->origin + head, src->origin, src->origin_len);
	memcpy(src->origin, n.wire, head);
	src->origin_len += head;
	return true;
}

/* Where an entry stands. */
struct entry {
	const char *begin, *end; /* first octet; the newline behind it */
	uint64_t line, end_line;
};

/* entry_find - the entry in which the octet at `at` stands, src->next <= at; the
 * $ORIGINs before it are applied to src->origin. */
static struct entry entry_find(struct source *src, const char *at)
{
	const char *end = src->text + src->len;
	struct entry e = { .begin = src->next, .line = src->next_line };

	for (;;) {
		uint64_t lines;

		e.end = entry_end(e.begin, end, false, &lines);
		e.end_line = e.line + lines;
		if (e.end >= at || e.end + 1 >= end)
			return e;
		if (entry_is(e.begin, end, "$ORIGIN"))
			origin_read(src, e.begin);
		e.begin = e.end + 1;
		e.line = e.end_line + 1;
	}
}

/* scanner_at - where in src->text the scanner is.  A backslash before the last newline makes it
 * read on in a newline of its own. */
static const char *scanner_at(const struct source *src)
{
	const char *end = src->text + src->len;

	return src->scanner->input.end == end ? src->scanner->input.current : end - 1;
}

/* origin_note - the scanner's origin is valid: keep it. */
static void origin_note(struct source *src)
{
	memcpy(src->origin, src->scanner->zone_origin, src->scanner->zone_origin_length);
	src->origin_len = src->scanner->zone_origin_length;
}

/* lines_count - newlines in [p, at).  The scanner's own count leaves out those in
 * quotes. */
static uint64_t lines_count(const char *p, const char *at)
{
	uint64_t cnt = 0;

	while ((p = memchr(p, '\n', (size_t)(at - p)))) {
		cnt++;
		p++;
	}
	return cnt;
}

/* scanner_go_on - at the newline `at`, in the state `start`, that before an entry. */
static void scanner_go_on(zs_scanner_t *s, int start, const char *at)
{
	s->input.current = at;
	s->cs = start;
	s->top = 0;
	s->multiline = false;
	s->long_string = false;
	s->comma_list = false;
	s->error.fatal = false;
	s->state = ZS_STATE_NONE;
}

/* entry_read - go on after the entry, whatever the scanner thinks of it. */
static void entry_read(struct source *src, const struct entry *e)
{
	src->next = e->end + 1;
	src->next_line = e->end_line + 1;
	scanner_go_on(src->scanner, src->scanner_start, e->end);
}

/* ---- records ---- */

/* ttl_resolve - the TTL of the record in the scanner; false after a fault. */
static bool ttl_resolve(struct source *src, zs_scanner_t *s, uint64_t line, uint32_t *ttl)
{
	struct reading *r = src->r;

	*ttl = s->r_ttl;
	if (*ttl == TTL_UNKNOWN && r->lines) {
		fault(r, src->name, line, "no TTL");
		return false;
	}
	if (*ttl == TTL_UNKNOWN && s->default_ttl == TTL_UNKNOWN) {
		/* None stated and no $TTL before (RFC 2308 section 4): the last one
		 * stated (RFC 1035 5.1), else the SOA's MINIMUM in its old meaning, as
		 * BIND has it.  4294967295 counts as none. */
		if (r->last_ttl != TTL_UNKNOWN) {
			*ttl = r->last_ttl;
			return true;
		}
		if (s->r_type != TYPE_SOA) {
			fault(r, src->name, line, "no TTL: none stated here or before, and no $TTL");
			return false;
		}

		const uint8_t *min = s->r_data + s->r_data_length - 4;

		*ttl = (uint32_t)min[0] << 24 | (uint32_t)min[1] << 16 | (uint32_t)min[2] << 8 | min[3];
		if (*ttl > INT32_MAX)
			*ttl = 0;
		warn(r, src->name, line, "no TTL: taking the SOA's minimum, %lu", (unsigned long)*ttl);
		s->default_ttl = *ttl;
		return true;
	}
	/* RFC 2181 section 8: 31 bits; a larger one counts as 0. */
	if (*ttl > INT32_MAX) {
		warn(r, src->name, line, "TTL %lu is over 2147483647 and counts as 0", (unsigned long)*ttl);
		*ttl = 0;
	}
	if (s->default_ttl == TTL_UNKNOWN)
		r->last_ttl = *ttl;
	return true;
}

/* record_keep - a record that is one. */
static void record_keep(struct source *src, const zs_scanner_t *s, uint32_t ttl, uint32_t line)
{
	struct reading *r = src->r;
	uint8_t owner[NAME_MAX_LEN];

	if (!r->each) {
		if (records_add(r->rs, s->r_owner, s->r_type, ttl, s->r_data, (uint16_t)s->r_data_length,
				src->file, line) < 0)
			no_memory(r);
		return;
	}
	for (size_t i = 0; i < s->r_owner_length; i++) /* a length octet is below 'A' */
		owner[i] = name_fold(s->r_owner[i]);
	r->each_result = r->each(r->each_arg, &(struct record){
		.owner = owner, .rdata = s->r_data, .ttl = ttl, .line = line, .type = s->r_type,
		.rdata_len = (uint16_t)s->r_data_length, .file = src->file });
	r->stop |= r->each_result != 0;
}

/* record_take - check the record in the scanner and add it.  Returns NULL, or what
 * is wrong with its contents; other faults have been told of. */
static const char *record_take(struct source *src, zs_scanner_t *s, uint64_t line)
{
	struct reading *r = src->r;
	uint32_t ttl;

	if (rrtype_is_meta(s->r_type))
		return "a meta-type is never data in a zone (RFC 6895 section 3.1)";

	const char *cause = rdata_check(s->r_type, s->r_data, s->r_data_length);

	if (cause)
		return cause;
	if (r->lines && !name_within(s->r_owner, r->apex->wire)) {
		char name[NAME_TEXT_MAX];

		fault(r, src->name, line, "%s is outside the zone", name_to_text(name, s->r_owner));
		return NULL;
	}
	if (ttl_resolve(src, s, line, &ttl))
		record_keep(src, s, ttl, line > UINT32_MAX ? UINT32_MAX : (uint32_t)line);
	return NULL;
}

/* record_fault - a fault of a record's contents. */
static void record_fault(struct source *src, const zs_scanner_t *s, uint64_t line,
			 const char *cause)
{
	char type[16];

	fault(src->r, src->name, line, "%s: %s", rrtype_name(type, s->r_type), cause);
}

/* source_record - the scanner has read one. */
static void source_record(struct source *src)
{
	zs_scanner_t *s = src->scanner;
	const char *at = scanner_at(src);
	uint64_t line = src->next_line, lines = 1;

	if (memchr(src->next, '\n', (size_t)(at - src->next))) {
		/* More than one line since the last: other entries, or one in parentheses. */
		struct entry e = entry_find(src, at);

		line = e.line;
		if (src->r->lines && e.end_line != e.line)
			fault(src->r, src->name, line, "a record must end on its line");
		lines += lines_count(src->next, at);
		origin_note(src);
	}
	src->next = at + 1;
	src->next_line += lines;

	const char *cause = record_take(src, s, line);

	if (cause)
		record_fault(src, s, line, cause);
}

/* fallback_record - read the record text[0..len), which the scanner s refused, and put
 * it there as if it had not.  Returns NULL, or what is wrong, and *at is where; the
 * owner for records behind it is then nobody's. */
static const char *fallback_record(struct source *src, zs_scanner_t *s, const char *text,
				   size_t len, const char **at)
{
	struct reading *r = src->r;
	struct fallback *f = r->fallback;
	struct name origin, owner;

	if (!f)
		f = r->fallback = malloc(sizeof(*f));
	*at = text;
	if (!f) {
		no_memory(r);
		return strerror(ENOMEM);
	}
	/* What a fault before has left in the scanner may be no name. */
	if (name_from_wire(&origin, s->zone_origin, s->zone_origin_length) == 0)
		return "no valid origin";
	f->origin = s->zone_origin;
	f->owner_len = name_from_wire(&owner, s->r_owner, s->r_owner_length);
	memcpy(f->owner, s->r_owner, f->owner_len);

	const char *cause = fallback_read(f, text, len);

	if (cause) {
		*at = f->word ? f->word : text + len;
		return cause;
	}
	memcpy(s->r_owner, f->owner, f->owner_len);
	s->r_owner_length = (uint32_t)f->owner_len;
	s->r_class = CLASS_IN;
	s->r_ttl = f->ttl_stated ? f->ttl : s->default_ttl;
	s->r_type = f->type;
	memcpy(s->r_data, f->rdata, f->rdata_len);
	s->r_data_length = (uint32_t)f->rdata_len;
	return NULL;
}

/* ---- $GENERATE ---- */

/* generate_fallback - the scanner has refused a line that ends at its position. */
static const char *generate_fallback(struct source *src, zs_scanner_t *s, uint64_t line)
{
	const char *end = s->input.current, *begin = end, *at;
	const char *cause;

	while (begin > s->input.start && begin[-1] != '\n')
		begin--;
	cause = fallback_record(src, s, begin, (size_t)(end - begin), &at);
	if (cause)
		return cause;
	scanner_go_on(s, src->scanner_start, end);
	return record_take(src, s, line);
}

/* generate_batch - read the lines of text, of which the first is number `first`
 * of g.  False after a fault. */
static bool generate_batch(struct source *src, const struct generate *g, uint32_t first,
			   zs_scanner_t *s, const char *text, size_t len, uint64_t line)
{
	zs_set_input_string(s, text, len);
	s->line_counter = 1;
	while (!src->r->stop && zs_parse_record(s) == 0 && s->state != ZS_STATE_EOF) {
		const char *cause = "not a record";

		if (s->state == ZS_STATE_DATA)
			cause = record_take(src, s, line);
		else if (s->state == ZS_STATE_ERROR)
			cause = generate_fallback(src, s, line);
		if (cause) {
			uint32_t i = first + (uint32_t)s->line_counter - 1;

			fault(src->r, src->name, line, "$GENERATE at %lu: %s",
			      (unsigned long)g->start + (unsigned long)i * g->step, cause);
			return false;
		}
	}
	return !src->r->stop;
}

/* generate_all - expand and read, a bufferful at a time. */
static void generate_all(struct source *src, const struct generate *g, zs_scanner_t *s,
			 char *text, uint64_t line)
{
	struct reading *r = src->r;
	uint32_t i = 0;

	while (i < g->cnt) {
		uint32_t first = i;
		size_t len = 0;
		int n = 0;

		while (i < g->cnt) {
			n = generate_line(g, i, text + len, GENERATE_TEXT - len);
			if (n <= 0)
				break;
			len += (size_t)n;
			i++;
		}
		r->generated_octets += len;
		if (r->generated_octets > GENERATE_OCTETS_ALL) {
			fault(r, src->name, line, "the zone's $GENERATEs make over %llu octets of text",
			      (unsigned long long)GENERATE_OCTETS_ALL);
			r->stop = true;
			return;
		}
		if (i > first && !generate_batch(src, g, first, s, text, len, line))
			return;
		if (n < 0 || (i < g->cnt && i == first)) {
			fault(r, src->name, line, "$GENERATE at %lu: %s",
			      (unsigned long)g->start + (unsigned long)i * g->step,
			      n < 0 ? "number out of range" : "line too long");
			return;
		}
	}
}

static zs_scanner_t *scanner_new(const uint8_t *origin, size_t origin_len, uint32_t default_ttl)
{
	zs_scanner_t *s = malloc(sizeof(*s));

	if (!s)
		return NULL;
	if (zs_init(s, NULL, CLASS_IN, default_ttl) < 0) {
		free(s);
		return NULL;
	}
	memcpy(s->zone_origin, origin, origin_len);
	s->zone_origin_length = (uint32_t)origin_len;
	return s;
}

static void scanner_free(zs_scanner_t *s)
{
	if (s)
		zs_deinit(s);
	free(s);
}

/* source_generate - the entry is a $GENERATE. */
static void source_generate(struct source *src, const struct entry *e)
{
	struct reading *r = src->r;
	struct generate g;
	const char *at = e->begin + strlen("$GENERATE");
	const char *line_end = memchr(at, '\n', (size_t)(e->end - at) + 1);
	const char *cause = generate_parse(&g, at, (size_t)(line_end - at));

	if (cause) {
		fault(r, src->name, e->line, "%s", cause);
		return;
	}
	if (g.cnt > GENERATE_RECORDS_ALL - r->generated) {
		fault(r, src->name, e->line, "the zone's $GENERATEs make over %lu records",
		      (unsigned long)GENERATE_RECORDS_ALL);
		r->stop = true;
		return;
	}
	r->generated += g.cnt;

	zs_scanner_t *s = scanner_new(src->origin, src->origin_len, src->scanner->default_ttl);
	char *text = malloc(GENERATE_TEXT);

	if (s && text) {
		generate_all(src, &g, s, text, e->line);
		src->scanner->default_ttl = s->default_ttl;
	} else {
		no_memory(r);
	}
	free(text);
	scanner_free(s);
}

/* ---- files ---- */

static void source_read(struct source *src, const uint8_t *origin, size_t origin_len,
			uint32_t *default_ttl);

/* file_index - remember a file's name for messages; -1 after a fault. */
static int file_index(struct reading *r, const char *name)
{
	if (r->file_cnt == FILES_MAX) {
		fault(r, name, 0, "over %d files in one zone", FILES_MAX);
		r->stop = true;
		return -1;
	}
	if (r->file_cnt == r->file_cap) {
		size_t cap = r->file_cap ? r->file_cap * 2 : 4;
		char **files = realloc(r->files, cap * sizeof(*files));

		if (!files) {
			no_memory(r);
			return -1;
		}
		r->files = files;
		r->file_cap = cap;
	}
	char *copy = strdup(name);

	if (!copy) {
		no_memory(r);
		return -1;
	}
	r->files[r->file_cnt] = copy;
	return (int)r->file_cnt++;
}

/* text_tidy - make the lines text[from..to) ready for the scanner: CR LF becomes LF.  Returns their new
 * end. */
static size_t text_tidy(char *text, size_t from, size_t to)
{
	char *cr = memchr(text + from, '\r', to - from);
	size_t out = cr ? (size_t)(cr - text) : to;

	for (size_t in = out; in < to; in++)
		if (text[in] != '\r' || in + 1 == to || text[in + 1] != '\n')
			text[out++] = text[in];
	return out;
}

/* text_take - as read(2) does. */
static ssize_t text_take(struct source *src, char *to, size_t room)
{
	size_t len = room < src->rest_len ? room : src->rest_len;

	if (src->fd >= 0)
		return read(src->fd, to, room);
	if (len > 0)
		memcpy(to, src->rest, len);
	src->rest += len;
	src->rest_len -= len;
	return (ssize_t)len;
}

/* text_read - read what there is room for behind the text.  0 or -errno. */
static int text_read(struct source *src)
{
	while (!src->ended && src->have + 1 < src->room) {
		ssize_t n = text_take(src, src->text + src->have, src->room - 1 - src->have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		src->ended = n == 0;
		if (src->hash)
			XXH3_64bits_update(src->hash, src->text + src->have, (size_t)n);
		src->id.size += (uint64_t)n;
		src->have += (size_t)n;
		if (src->ended && src->hash)
			src->id.hash = XXH3_64bits_digest(src->hash);
	}
	return 0;
}

/* text_lines - more whole lines; at the end of the file what is left is one. */
static bool text_lines(struct source *src)
{
	const char *newline = memrchr(src->text + src->len, '\n', src->have - src->len);
	size_t end = src->ended ? src->have : newline ? (size_t)(newline - src->text) + 1 : src->len;
	size_t len = text_tidy(src->text, src->len, end), before = src->len;

	memmove(src->text + len, src->text + end, src->have - end);
	src->have -= end - len;
	src->len = len;
	if (src->ended && (len == 0 || src->text[len - 1] != '\n')) {
		src->text[src->len++] = '\n'; /* text_read leaves room for it */
		src->have = src->len;
	}
	return src->len > before;
}

/* source_fill - read on behind the text; what is before src->next goes.  0, also at the end of the
 * file, or -errno. */
static int source_fill(struct source *src)
{
	size_t gone = (size_t)(src->next - src->text);
	int error = 0;

	memmove(src->text, src->next, src->have - gone);
	src->len -= gone;
	src->have -= gone;
	src->next = src->text;
	while (!error && !src->ended) {
		if (src->have > src->room / 2) {
			char *more = pages_resize(src->text, src->room, src->room * 2);

			if (!more)
				return -ENOMEM;
			src->next = src->text = more;
			src->room *= 2;
		}
		error = text_read(src);
		if (!error && text_lines(src))
			break;
	}
	return error;
}

/* source_begin - read the first lines of so many octets.  0 or -errno. */
static int source_begin(struct source *src, size_t size)
{
	int error;

	/* Copied, not mapped: a file that is cut short meanwhile must not end us. */
	src->room = size + 2 < ZONEFILE_WINDOW ? size + 2 : ZONEFILE_WINDOW;
	src->next = src->text = pages_alloc(src->room);
	if (!src->text)
		return -ENOMEM;
	error = text_read(src);
	if (error)
		return error;
	if (src->have >= 3 && memcmp(src->text, "\xef\xbb\xbf", 3) == 0) {
		src->have -= 3; /* a byte order mark (RFC 3629 section 6) */
		memmove(src->text, src->text + 3, src->have);
	}
	return text_lines(src) ? 0 : source_fill(src);
}

/* source_text - the same of text from memory. */
static int source_text(struct source *src, const char *text, size_t len)
{
	src->fd = -1;
	src->rest = text;
	src->rest_len = len;
	return source_begin(src, len);
}

static void source_close(struct source *src)
{
	if (src->fd >= 0)
		close(src->fd);
	src->fd = -1;
	XXH3_freeState(src->hash);
	src->hash = NULL;
	pages_free(src->text, src->room);
	src->text = NULL;
}

static bool file_includes_itself(const struct source *src)
{
	for (const struct source *s = src->parent; s; s = s->parent)
		if (s->dev == src->dev && s->ino == src->ino)
			return true;
	return false;
}

static int64_t changed_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* file_open - open src->name and begin to read it, with its hash if it is not included.  Returns 0, and
 * the caller ends it by source_close; or -errno, or 1 when the file is one that is being read already. */
static int file_open(struct source *src)
{
	/* A FIFO would block in open, a terminal would become ours. */
	struct stat st;
	int rc = 0;

	src->fd = open(src->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (src->fd < 0)
		return -errno;
	if (fstat(src->fd, &st) < 0) {
		rc = -errno;
	} else if (S_ISDIR(st.st_mode)) {
		rc = -EISDIR;
	} else if (!S_ISREG(st.st_mode)) {
		rc = -ENOTSUP;
	} else {
		src->dev = st.st_dev;
		src->ino = st.st_ino;
		src->id.mtime_ns = changed_ns(&st);
		rc = file_includes_itself(src);
	}
	if (rc == 0 && !src->parent) {
		src->hash = XXH3_createState();
		rc = src->hash ? 0 : -ENOMEM;
		if (src->hash)
			XXH3_64bits_reset(src->hash);
	}
	if (rc == 0)
		rc = source_begin(src, (size_t)st.st_size);
	if (rc != 0)
		source_close(src);
	return rc;
}

static const char *file_cause(int rc)
{
	if (rc > 0)
		return "it includes itself";
	return rc == -ENOTSUP ? "not a regular file" : strerror(-rc);
}

/* include_path - where the scanner's file name leads: relative names start in the
 * including file's folder.  False when it is no path. */
static bool include_path(const struct source *src, char *path)
{
	const zs_scanner_t *s = src->scanner;
	const char *name = s->include_filename;
	int len;

	/* The scanner puts its own folder, ".", before a relative name.  The length
	 * that it read tells a name with a NUL in it. */
	bool relative = name[0] != '/';

	if (relative)
		name += 2;
	if (strlen(name) != s->r_data_tail || name[0] == '\0')
		return false;

	const char *slash = relative ? strrchr(src->name, '/') : NULL;

	if (slash)
		len = snprintf(path, PATH_MAX, "%.*s/%s", (int)(slash - src->name), src->name, name);
	else
		len = snprintf(path, PATH_MAX, "%s", name);
	return len > 0 && len < PATH_MAX;
}

/* source_include - the entry is an $INCLUDE; origin and last owner are the file's
 * own (RFC 1035 5.1), while a $TTL in it goes on to hold behind it, as it does in
 * BIND and NSD. */
static void source_include(struct source *src, const struct entry *e)
{
	struct reading *r = src->r;
	zs_scanner_t *s = src->scanner;
	struct source child = { .r = r, .parent = src, .depth = src->depth + 1, .next_line = 1 };
	char path[PATH_MAX];

	if (r->no_include) {
		fault(r, src->name, e->line, "$INCLUDE is not possible here");
		return;
	}
	if (child.depth > ZONEFILE_DEPTH) {
		fault(r, src->name, e->line, "$INCLUDE is nested over %d deep", ZONEFILE_DEPTH);
		return;
	}
	if (!include_path(src, path)) {
		fault(r, src->name, e->line, "$INCLUDE of what is no file name");
		return;
	}
	child.name = path;

	int rc = file_open(&child);

	if (rc == -ENOMEM) {
		no_memory(r);
	} else if (rc != 0) {
		fault(r, src->name, e->line, "cannot include %s: %s", path, file_cause(rc));
		if (rc < 0 && r->error == 0)
			r->error = rc;
	} else {
		/* The scanner leaves a NULL dname when the directive names no origin. */
		const uint8_t *origin = s->dname ? s->r_data : s->zone_origin;
		size_t len = s->dname ? s->r_data_length : s->zone_origin_length;

		source_read(&child, origin, len, &s->default_ttl);
	}
}

/* word_begin, word_end - of the word around p, in the line or lines [begin, end). */
static const char *word_begin(const char *p, const char *begin)
{
	while (p > begin && !strchr(" \t\n", p[-1]))
		p--;
	return p;
}

static const char *word_end(const char *p, const char *end)
{
	while (p < end && (*p == '\0' || !strchr(" \t\n", *p)))
		p++;
	return p;
}

/* word_in_head - do only an owner, a TTL and a class stand before the word, so that
 * it should be a type? */
static bool word_in_head(const struct entry *e, const char *word)
{
	const char *p = word_end(e->begin, word);

	if (e->begin[0] == '$')
		return false;
	for (;;) {
		while (p < word && strchr(" \t", *p))
			p++;
		if (p >= word)
			return p == word && word > e->begin;

		const char *end = word_end(p, word);
		bool class_in = end - p == 2 && strncasecmp(p, "IN", 2) == 0;

		if (!class_in && (*p < '0' || *p > '9'))
			return false;
		p = end;
	}
}

/* fault_near - report one with the word [p, end) at which a reader stumbled. */
static void fault_near(struct source *src, uint64_t line, const char *cause, const char *p,
		       const char *end)
{
	char near[NEAR_MAX + 16] = "";

	if (end > p) {
		char *out = near + sprintf(near, " near \"");

		for (size_t i = 0; p + i < end && i < NEAR_MAX; i++)
			*out++ = p[i] > ' ' && p[i] < 0x7f ? p[i] : '?';
		strcpy(out, "\"");
	}
	fault(src->r, src->name, line, "%s%s", cause, near);
}

/* error_at - the word in e at which the scanner stumbled, in the line that ends at
 * `at`. */
static const char *error_at(const struct source *src, const struct entry *e, const char *at)
{
	size_t rest = src->scanner->buffer_length; /* of the line from the error on, and a NUL */
	const char *p = at;

	if (rest > 0 && rest - 1 <= (size_t)(at - e->begin))
		p = at - (rest - 1);
	return word_begin(p == at && p > e->begin ? p - 1 : p, e->begin);
}

/* error_tell - report the scanner's error in e, in the line that ends at `at`. */
static void error_tell(struct source *src, const struct entry *e, const char *at, uint64_t line)
{
	const zs_scanner_t *s = src->scanner;
	const char *p = error_at(src, e, at), *cause = zs_strerror(s->error.code);

	if (s->error.code == ZS_UNSUPPORTED_TYPE ||
	    (s->error.code == ZS_BAD_NUMBER && (*p < '0' || *p > '9') && word_in_head(e, p)))
		cause = "no known record type (and the class can only be IN)";
	fault_near(src, line, cause, p, word_end(p, at));
}

/* string_record - a quote is open at the end of e: read the record with what follows up to
 * where the quote is closed and the line ends, as NSD does.  If that is one, e becomes that. */
static bool string_record(struct source *src, struct entry *e)
{
	struct entry longer = *e;
	const char *where;
	uint64_t lines;

	longer.end = entry_end(e->begin, src->text + src->len, true, &lines);
	longer.end_line = e->line + lines;
	if (fallback_record(src, src->scanner, e->begin, (size_t)(longer.end - e->begin), &where))
		return false;
	*e = longer;
	return true;
}

/* error_record - the scanner refuses a record, e, in the line that ends at `at`.  When
 * the fallback refuses it too, the reader that came further tells why. */
static void error_record(struct source *src, struct entry *e, const char *at, uint64_t line)
{
	struct reading *r = src->r;
	zs_scanner_t *s = src->scanner;
	const char *where;
	const char *cause = fallback_record(src, s, e->begin, (size_t)(e->end - e->begin), &where);

	if (cause && !r->stop && !r->lines && r->fallback->open) {
		if (string_record(src, e))
			cause = NULL;
		else /* for what there is to tell of it */
			cause = fallback_record(src, s, e->begin, (size_t)(e->end - e->begin), &where);
	}

	if (cause && !r->stop) {
		if (where <= error_at(src, e, at))
			error_tell(src, e, at, line);
		else
			fault_near(src, e->line + lines_count(e->begin, where), cause, where,
				   r->fallback->word ? r->fallback->word_end : where);
	} else if (!cause) {
		if (r->lines && e->end_line != e->line)
			fault(r, src->name, e->line, "a record must end on its line");
		cause = record_take(src, s, e->line);
		if (cause)
			record_fault(src, s, e->line, cause);
	}
}

/* entry_stuck - the first entry not yet read that the scanner cannot get out of (an
 * error without a position: "$INCLUDE" alone is one); entries before it hold no
 * records. */
static struct entry entry_stuck(struct source *src)
{
	const char *end = src->text + src->len;
	zs_scanner_t *s = src->scanner;

	for (;;) {
		struct entry e = entry_find(src, src->next);

		entry_read(src, &e);
		zs_set_input_string(s, e.begin, (size_t)(e.end - e.begin) + 1);
		if (zs_parse_record(s) < 0 || s->state != ZS_STATE_EOF || src->next == end) {
			zs_set_input_string(s, src->text, src->len);
			return e;
		}
		if (entry_is(e.begin, end, "$ORIGIN"))
			origin_note(src);
	}
}

/* source_error - the scanner found one, or a directive that is ours. */
static void source_error(struct source *src)
{
	struct reading *r = src->r;
	zs_scanner_t *s = src->scanner;
	const char *end = src->text + src->len;
	struct entry e;

	if (s->input.start != src->text) {
		/* In what the scanner adds at the end: parentheses are open. */
		e = entry_find(src, end - 1);
		fault(r, src->name, e.line, "%s", zs_strerror(s->error.code));
		src->next = end;
		return;
	}
	if (s->error.code == ZS_UNCOVERED_STATE || scanner_at(src) < src->next) {
		e = entry_stuck(src);
		fault(r, src->name, e.line, "malformed %s", e.begin[0] == '$' ? "directive" : "entry");
	} else {
		const char *at = scanner_at(src);
		uint64_t line = src->next_line + lines_count(src->next, at);

		e = entry_find(src, at);
		if (e.begin[0] != '$')
			origin_note(src);
		if (e.begin[0] != '$')
			error_record(src, &e, at, line);
		else if (entry_is(e.begin, end, "$GENERATE"))
			source_generate(src, &e);
		else if (!entry_is(e.begin, end, "$ORIGIN") || !origin_read(src, e.begin))
			error_tell(src, &e, at, line);
		/* else: a relative $ORIGIN, which the scanner would not read */
	}
	if (e.begin[0] == '$') {
		/* What a bad $ORIGIN leaves in the scanner may be no name. */
		memcpy(s->zone_origin, src->origin, src->origin_len);
		s->zone_origin_length = (uint32_t)src->origin_len;
	}
	entry_read(src, &e);
}

/* source_more - have more text, and scan from src->next again: what was scanned behind that were no
 * records, and may be an entry that goes on. */
static void source_more(struct source *src)
{
	int error = source_fill(src);

	if (error == -ENOMEM) {
		no_memory(src->r);
	} else if (error) {
		fault(src->r, src->name, 0, "%s", strerror(-error));
		src->r->error = src->r->error ? src->r->error : error;
		src->r->stop = true;
	}
	zs_set_input_string(src->scanner, src->text, src->len);
	scanner_go_on(src->scanner, src->scanner_start, src->text);
}

/* source_cut - may what the scanner has just told depend on text that is not there yet? */
static bool source_cut(const struct source *src)
{
	const zs_scanner_t *s = src->scanner;

	if (src->ended)
		return false;
	if (s->input.start != src->text || s->state == ZS_STATE_EOF)
		return true;
	if (s->state != ZS_STATE_ERROR)
		return false;
	if (s->error.code == ZS_UNCOVERED_STATE || scanner_at(src) < src->next)
		return true; /* without a position: see entry_stuck */

	struct source look = *src; /* entry_find takes notes */
	struct entry e = entry_find(&look, scanner_at(src));
	const char *end = src->text + src->len;
	uint64_t lines;

	return e.end + 1 >= end || entry_end(e.begin, end, true, &lines) + 1 >= end;
}

/* source_scan - all entries of src's text. */
static void source_scan(struct source *src)
{
	zs_scanner_t *s = src->scanner;
	struct reading *r = src->r;

	zs_set_input_string(s, src->text, src->len);
	while (!r->stop) {
		size_t rest = (size_t)(src->text + src->len - src->next);

		if (!src->ended && rest <= AHEAD)
			source_more(src);
		else if (rest == 0 || zs_parse_record(s) != 0)
			break;
		else if (source_cut(src))
			source_more(src);
		else if (s->state == ZS_STATE_DATA)
			source_record(src);
		else if (s->state == ZS_STATE_ERROR)
			source_error(src);
		else if (s->state != ZS_STATE_INCLUDE)
			break;
		else {
			struct entry e = entry_find(src, scanner_at(src));

			source_include(src, &e);
			origin_note(src);
			entry_read(src, &e);
		}
	}
}

/* source_torn - is the file another than it was when it was opened?  Then half of what was read may be
 * of one and half of the other. */
static bool source_torn(const struct source *src)
{
	struct stat st;

	return src->fd >= 0 && src->ended && fstat(src->fd, &st) == 0 &&
	       ((uint64_t)st.st_size != src->id.size || changed_ns(&st) != src->id.mtime_ns);
}

/* source_read - read src with this origin, and close it. */
static void source_read(struct source *src, const uint8_t *origin, size_t origin_len,
			uint32_t *default_ttl)
{
	int file = file_index(src->r, src->name);

	if (file >= 0) {
		src->file = (uint16_t)file;
		memcpy(src->origin, origin, origin_len);
		src->origin_len = origin_len;
		src->scanner = scanner_new(origin, origin_len, *default_ttl);
		if (src->scanner) {
			src->scanner_start = src->scanner->cs;
			source_scan(src);
			if (!src->r->stop && source_torn(src))
				fault(src->r, src->name, 0, "it has changed while it was read");
			*default_ttl = src->scanner->default_ttl;
		} else {
			no_memory(src->r);
		}
		scanner_free(src->scanner);
	}
	source_close(src);
}

static int reading_result(const struct reading *r)
{
	return r->error ? r->error : r->faults ? -EINVAL : 0;
}

/* reading_free - all but the records. */
static void reading_free(struct reading *r)
{
	for (size_t i = 0; i < r->file_cnt; i++)
		free(r->files[i]);
	free(r->files);
	free(r->fallback);
}

static void warn_outside(struct reading *r, const struct record *rr)
{
	char name[NAME_TEXT_MAX];

	warn(r, r->files[rr->file], rr->line, "%s is outside the zone, and ignored",
	     name_to_text(name, rr->owner));
}

/* outside_drop - ignore the records that are not the zone's, as BIND and Knot do.  In canonical order they
 * stand before and behind all others. */
static void outside_drop(struct reading *r)
{
	struct records *rs = r->rs;
	size_t first = 0, end;

	for (; first < rs->cnt && !name_within(rs->rr[first].owner, r->apex->wire); first++)
		warn_outside(r, &rs->rr[first]);
	for (end = rs->cnt; end > first && !name_within(rs->rr[end - 1].owner, r->apex->wire); end--)
		;
	for (size_t i = end; i < rs->cnt; i++)
		warn_outside(r, &rs->rr[i]);
	rs->cnt = end - first;
	if (first > 0)
		memmove(rs->rr, rs->rr + first, rs->cnt * sizeof(rs->rr[0]));
}

/* reading_end - check what was read; the result of all. */
static int reading_end(struct reading *r)
{
	int rc = reading_result(r);

	if (rc == 0)
		rc = records_sort(r->rs);
	if (rc == 0)
		outside_drop(r);
	if (rc == 0)
		rc = zone_check(r->rs, r->apex, r->report, r->arg, (const char *const *)r->files);
	if (rc < 0)
		records_free(r->rs);
	reading_free(r);
	return rc;
}

int zonefile_read_id(struct records *rs, const struct name *apex, const char *path,
		     struct zonefile_id *id, zonefile_report report, void *arg)
{
	struct reading r = { .rs = rs, .apex = apex, .report = report, .arg = arg,
			     .last_ttl = TTL_UNKNOWN };
	struct source src = { .r = &r, .name = path, .next_line = 1 };
	uint32_t default_ttl = TTL_UNKNOWN;
	int rc = file_open(&src);

	if (rc < 0) {
		fault(&r, path, 0, "%s", file_cause(rc));
		r.error = rc;
	} else {
		source_read(&src, apex->wire, apex->len, &default_ttl);
		*id = src.id;
	}
	return reading_end(&r);
}

int zonefile_read(struct records *rs, const struct name *apex, const char *path,
		  zonefile_report report, void *arg)
{
	struct zonefile_id id;

	return zonefile_read_id(rs, apex, path, &id, report, arg);
}

/* The first fault or warning ends it: there is another way to tell of them. */
static void on_doubt(void *arg, const char *text)
{
	struct reading *r = arg;

	(void)text;
	r->stop = true;
}

int zonefile_each(const struct name *apex, const char *path, struct zonefile_id *id,
		  zonefile_record each, void *arg)
{
	struct reading r = { .each = each, .each_arg = arg, .apex = apex, .report = on_doubt, .arg = &r,
			     .last_ttl = TTL_UNKNOWN };
	struct source src = { .r = &r, .name = path, .next_line = 1 };
	uint32_t default_ttl = TTL_UNKNOWN;
	int rc = file_open(&src);

	if (rc == 0) {
		source_read(&src, apex->wire, apex->len, &default_ttl);
		*id = src.id;
		rc = r.each_result ? r.each_result : r.warnings ? -EINVAL : reading_result(&r);
	}
	reading_free(&r);
	return rc;
}

bool zonefile_same(const char *path, const struct zonefile_id *id)
{
	struct source src = { .name = path };
	struct stat st;

	if (stat(path, &st) < 0 || (uint64_t)st.st_size != id->size)
		return false;
	if (changed_ns(&st) == id->mtime_ns)
		return true;

	int rc = file_open(&src);

	while (rc == 0 && !src.ended) {
		src.next = src.text + src.len;
		rc = source_fill(&src);
	}
	source_close(&src);
	return rc == 0 && src.id.size == id->size && src.id.hash == id->hash;
}

int zonefile_read_text(struct records *rs, const struct name *apex, const char *text,
		       size_t len, const char *name, zonefile_report report, void *arg)
{
	struct reading r = { .rs = rs, .apex = apex, .report = report, .arg = arg,
			     .last_ttl = TTL_UNKNOWN, .no_include = true };
	struct source src = { .r = &r, .name = name, .next_line = 1 };
	uint32_t default_ttl = TTL_UNKNOWN;

	if (source_text(&src, text, len)) {
		source_close(&src);
		return -ENOMEM;
	}
	source_read(&src, apex->wire, apex->len, &default_ttl);
	return reading_end(&r);
}

int zonefile_read_lines(struct records *rs, const struct name *apex, const char *text,
			size_t len, uint64_t line, const char *name,
			zonefile_report report, void *arg)
{
	struct reading r = { .rs = rs, .apex = apex, .report = report, .arg = arg,
			     .last_ttl = TTL_UNKNOWN, .no_include = true, .lines = true };
	struct source src = { .r = &r, .name = name, .next_line = line };
	uint32_t default_ttl = TTL_UNKNOWN;

	if (source_text(&src, text, len)) {
		source_close(&src);
		return -ENOMEM;
	}
	source_read(&src, apex->wire, apex->len, &default_ttl);
	reading_free(&r);
	return reading_result(&r);
}
