/* SPDX-License-Identifier: GPL-3.0-or-later */
/* edit.c - changes of RRsets on their way into zones; see edit.h. */
#include "edit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/answer/rrtype.h"

/* ---- from text ---- */

/* One edit_add under way. */
struct adding {
	struct edit *e;
	zonefile_report report;
	void *arg;
	char *set;             /* the records of `set` lines, and empty lines for others */
	size_t set_len;
	uint32_t set_line;     /* number of its first line */
	unsigned faults;
	int error;
};

struct edit *edit_new(const char *source, uint32_t line)
{
	struct edit *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	snprintf(e->source, sizeof(e->source), "%s", source);
	e->line = line;
	return e;
}

void edit_free(struct edit *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->zone_cnt; i++) {
		records_free(&e->zone[i]->ops);
		free(e->zone[i]);
	}
	free(e->zone);
	free(e);
}

size_t edit_octets(const struct edit *e)
{
	size_t octets = sizeof(*e) + e->zone_cap * sizeof(*e->zone);

	for (size_t i = 0; i < e->zone_cnt; i++)
		octets += sizeof(**e->zone) + e->zone[i]->ops.octets +
			  e->zone[i]->ops.cap * sizeof(struct record);
	return octets;
}

__attribute__((format(printf, 2, 3)))
static void fault(struct adding *a, const char *format, ...)
{
	char cause[NAME_TEXT_MAX + 256], text[EDIT_SOURCE_MAX + NAME_TEXT_MAX + 300];
	va_list args;

	if (a->faults++ >= ZONEFILE_ERRORS)
		return;
	va_start(args, format);
	vsnprintf(cause, sizeof(cause), format, args);
	va_end(args);
	snprintf(text, sizeof(text), "%s:%lu: %s", a->e->source, (unsigned long)a->e->line, cause);
	a->report(a->arg, text);
}

/* A word of a line. */
struct word {
	const char *at;
	size_t len;
};

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* next_word - the next one of the line, empty where it ends or a comment begins. */
static struct word next_word(const char **p, const char *end)
{
	struct word w;

	while (*p < end && blank(**p))
		++*p;
	if (*p < end && **p == ';')
		*p = end;
	w.at = *p;
	while (*p < end && !blank(**p))
		++*p;
	w.len = (size_t)(*p - w.at);
	return w;
}

static bool word_is(struct word w, const char *text)
{
	return w.len == strlen(text) && memcmp(w.at, text, w.len) == 0;
}

/* word_copy - to text[size]; false when it does not fit or has a NUL in it. */
static bool word_copy(struct word w, char *text, size_t size)
{
	if (w.len >= size || memchr(w.at, '\0', w.len))
		return false;
	memcpy(text, w.at, w.len);
	text[w.len] = '\0';
	return true;
}

/* A word as it may stand in a message. */
static const char *show(char text[64], struct word w)
{
	size_t n = w.len < 60 ? w.len : 60;

	for (size_t i = 0; i < n; i++)
		text[i] = w.at[i] > ' ' && w.at[i] < 0x7f ? w.at[i] : '?';
	strcpy(text + n, w.len > n ? "..." : "");
	return text;
}

/* read_name - a name, below the apex when it has no final dot. */
static bool read_name(struct name *n, struct word w, const struct name *apex)
{
	char text[NAME_TEXT_MAX];
	uint8_t wire[2 * NAME_MAX_LEN];
	size_t hides = 0;

	if (word_is(w, "@")) {
		*n = *apex;
		return true;
	}
	if (w.len == 0 || !word_copy(w, text, sizeof(text)) || name_from_text(n, text) != 0)
		return false;
	/* A final dot that a backslash hides is part of the last label. */
	while (hides + 1 < w.len && text[w.len - 2 - hides] == '\\')
		hides++;
	if (text[w.len - 1] == '.' && hides % 2 == 0)
		return true;
	memcpy(wire, n->wire, n->len - 1u);
	memcpy(wire + n->len - 1, apex->wire, apex->len);
	return name_from_wire(n, wire, n->len - 1u + apex->len) > 0;
}

/* flush_set - read the records gathered so far into the current zone. */
static void flush_set(struct adding *a)
{
	struct edit *e = a->e;

	if (a->set_len > 0 && e->current) {
		int error = zonefile_read_lines(&e->current->ops, &e->current->apex, a->set,
						a->set_len, a->set_line, e->source, a->report, a->arg);

		if (error == -ENOMEM)
			a->error = error;
		else if (error)
			a->faults++;
	}
	a->set_len = 0;
	a->set_line = e->line;
}

/* The zone's place in the list, which is in canonical order. */
static size_t zone_at(const struct edit *e, const struct name *apex, bool *there)
{
	size_t low = 0, high = e->zone_cnt;

	*there = false;
	while (low < high && !*there) {
		size_t mid = low + (high - low) / 2;
		int order = name_cmp(e->zone[mid]->apex.wire, apex->wire);

		*there = order == 0;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return high;
}

static struct edit_zone *find_or_add(struct edit *e, const struct name *apex)
{
	struct edit_zone *z;
	bool there;
	size_t at = zone_at(e, apex, &there);

	if (there)
		return e->zone[at];
	if (e->zone_cnt == e->zone_cap) {
		size_t cap = e->zone_cap ? 2 * e->zone_cap : 4;
		struct edit_zone **zone = realloc(e->zone, cap * sizeof(*zone));

		if (!zone)
			return NULL;
		e->zone = zone;
		e->zone_cap = cap;
	}
	z = calloc(1, sizeof(*z));
	if (!z)
		return NULL;
	z->apex = *apex;
	z->line = e->line;
	records_init(&z->ops);
	memmove(e->zone + at + 1, e->zone + at, (e->zone_cnt - at) * sizeof(*e->zone));
	e->zone[at] = z;
	e->zone_cnt++;
	return z;
}

static void read_zone_line(struct adding *a, struct word w, edit_known known, void *known_arg)
{
	struct edit *e = a->e;
	struct name apex;
	char text[NAME_TEXT_MAX];

	flush_set(a);
	if (w.len == 0 || !word_copy(w, text, sizeof(text)) || name_from_text(&apex, text) != 0) {
		fault(a, "`%s' is no domain name", show(text, w));
		return;
	}
	if (!known(known_arg, &apex)) {
		fault(a, "there is no zone %s", name_to_text(text, apex.wire));
		return;
	}
	e->current = find_or_add(e, &apex);
	if (!e->current)
		a->error = -ENOMEM;
}

static void read_unset(struct adding *a, const char *p, const char *end)
{
	struct edit_zone *z = a->e->current;
	struct word owner = next_word(&p, end), type = next_word(&p, end);
	struct name n;
	char text[NAME_TEXT_MAX];
	int number = TYPE_ANY;

	if (!read_name(&n, owner, &z->apex)) {
		fault(a, "`%s' is no domain name", show(text, owner));
	} else if (!name_within(n.wire, z->apex.wire)) {
		fault(a, "%s is outside the zone", name_to_text(text, n.wire));
	} else if (type.len > 0 && (!word_copy(type, text, sizeof(text)) ||
				    (number = rrtype_from_name(text)) < 0 ||
				    rrtype_is_meta((uint16_t)number))) {
		fault(a, "`%s' is no record type", show(text, type));
	} else if (next_word(&p, end).len > 0) {
		fault(a, "unset: more than a name and a type");
	} else if (records_add(&z->ops, n.wire, (uint16_t)number, 0, NULL, 0, EDIT_UNSET,
			       a->e->line)) {
		a->error = -ENOMEM;
	}
}

/* The record of a `set` line joins those that are read together. */
static void gather_set(struct adding *a, const char *p, const char *end)
{
	while (p < end && blank(*p))
		p++;
	if (p == end || *p == ';') {
		fault(a, "set: a record is missing");
	} else if (*p == '$') {
		fault(a, "set: a record is wanted, no directive");
	} else {
		memcpy(a->set + a->set_len, p, (size_t)(end - p));
		a->set_len += (size_t)(end - p);
	}
}

static void read_line(struct adding *a, const char *p, const char *end, edit_known known,
		      void *known_arg)
{
	struct word verb = next_word(&p, end);
	char text[64];

	if (verb.len == 0 || *verb.at == '#')
		return;
	if (word_is(verb, "zone")) {
		struct word zone = next_word(&p, end);

		if (next_word(&p, end).len > 0)
			fault(a, "zone: more than a name");
		else
			read_zone_line(a, zone, known, known_arg);
	} else if (!word_is(verb, "set") && !word_is(verb, "unset")) {
		fault(a, "`%s' is neither zone nor set nor unset", show(text, verb));
	} else if (!a->e->current) {
		fault(a, "no zone was named before");
	} else if (word_is(verb, "set")) {
		gather_set(a, p, end);
	} else {
		read_unset(a, p, end);
	}
}

int edit_add(struct edit *e, const char *text, size_t len, edit_known known, void *known_arg,
	     zonefile_report report, void *arg)
{
	struct adding a = {.e = e, .report = report, .arg = arg, .set_line = e->line};
	const char *p = text, *end = text + len;

	/* `set ' is cut off each line, so the records and their newlines fit, but for the
	 * newline that the last line may lack. */
	a.set = malloc(len + 1);
	if (!a.set)
		return -ENOMEM;
	while (p < end && !a.error && a.faults == 0) {
		const char *line_end = memchr(p, '\n', (size_t)(end - p));

		if (!line_end)
			line_end = end;
		if (e->line > EDIT_LINES_MAX) {
			fault(&a, "too many lines in one transaction");
			break;
		}
		read_line(&a, p, line_end, known, known_arg);
		a.set[a.set_len++] = '\n';
		e->line++;
		p = line_end + 1;
	}
	if (!a.error)
		flush_set(&a);
	free(a.set);
	return a.error ? a.error : a.faults ? -EINVAL : 0;
}

/* ---- to changes ---- */

/* An operation on its way into order. */
struct op {
	uint64_t prefix;       /* of the key, behind what all keys share */
	const uint8_t *key;    /* name_key of the owner */
	const struct record *rr;
	uint32_t key_len;
};

static int op_cmp(const void *x, const void *y)
{
	const struct op *a = x, *b = y;

	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	if (a->key != b->key) {
		uint32_t common = a->key_len < b->key_len ? a->key_len : b->key_len;
		int order = memcmp(a->key, b->key, common);

		if (order || a->key_len != b->key_len)
			return order ? order : a->key_len < b->key_len ? -1 : 1;
	}
	if (a->rr->type != b->rr->type)
		return a->rr->type < b->rr->type ? -1 : 1;
	return a->rr->line < b->rr->line ? -1 : a->rr->line > b->rr->line;
}

/* op_prefix - eight octets of the key from `from` on, as a number in key order. */
static uint64_t op_prefix(const struct op *o, uint32_t from)
{
	uint64_t prefix = 0;

	for (uint32_t i = from; i < from + 8; i++)
		prefix = prefix << 8 | (i < o->key_len ? o->key[i] : 0);
	return prefix;
}

/* op_sort - the operations in the order of owner, type and line; the keys' memory to
 * *keys.  NULL without memory. */
static struct op *op_sort(const struct records *ops, uint8_t **keys)
{
	struct op *op = malloc((ops->cnt + 1) * sizeof(*op));
	size_t room = NAME_KEY_MAX, used = 0;
	uint32_t shared = UINT32_MAX;
	bool sorted = true;

	/* A key has at most two octets for each of its name's. */
	for (size_t i = 0; i < ops->cnt; i++)
		if (i == 0 || ops->rr[i].owner != ops->rr[i - 1].owner)
			room += 2 * name_wire_len(ops->rr[i].owner);
	*keys = malloc(room);
	if (!op || !*keys) {
		free(op);
		free(*keys);
		return NULL;
	}
	for (size_t i = 0; i < ops->cnt; i++) {
		op[i] = (struct op){.rr = &ops->rr[i]};
		if (i > 0 && ops->rr[i].owner == ops->rr[i - 1].owner) {
			op[i].key = op[i - 1].key;
			op[i].key_len = op[i - 1].key_len;
			continue;
		}
		op[i].key = *keys + used;
		op[i].key_len = (uint32_t)name_key(*keys + used, ops->rr[i].owner);
		used += op[i].key_len;
		if (op[i].key_len < shared)
			shared = op[i].key_len;
		for (uint32_t k = 0; i > 0 && k < shared; k++)
			if (op[i].key[k] != op[0].key[k])
				shared = k;
	}
	for (size_t i = 0; i < ops->cnt; i++) {
		op[i].prefix = op_prefix(&op[i], shared);
		sorted = sorted && (i == 0 || op_cmp(&op[i - 1], &op[i]) <= 0);
	}
	if (!sorted)
		qsort(op, ops->cnt, sizeof(*op), op_cmp);
	return op;
}

static bool op_same_owner(const struct op *a, const struct op *b)
{
	return a->key == b->key || (a->prefix == b->prefix && a->key_len == b->key_len &&
				    memcmp(a->key, b->key, a->key_len) == 0);
}

static void put_change(struct edit_changes *c, const struct record *first, uint16_t type,
		       size_t rr_first, size_t rr_cnt)
{
	c->line[c->cnt] = first->line;
	c->change[c->cnt++] = (struct rrset_change){
		.owner = first->owner, .type = type, .rr = rr_cnt ? c->rr + rr_first : NULL,
		.rr_cnt = rr_cnt,
	};
}

/* reduce_name - the operations op[0..cnt) of one name; *rrs records are used. */
static void reduce_name(struct edit_changes *c, const struct op *op, size_t cnt, size_t *rrs)
{
	const struct record *all = NULL; /* the last that unsets all types */

	for (size_t i = 0; i < cnt; i++)
		if (op[i].rr->type == TYPE_ANY)
			all = op[i].rr;
	if (all)
		put_change(c, all, TYPE_ANY, 0, 0);
	for (size_t i = 0, n; i < cnt; i += n) {
		uint16_t type = op[i].rr->type;
		size_t first = i, from = *rrs;

		for (n = 0; i + n < cnt && op[i + n].rr->type == type; n++)
			if (op[i + n].rr->file == EDIT_UNSET || (all && op[i + n].rr->line < all->line))
				first = i + n + 1; /* what stands before it is gone */
		if (type == TYPE_ANY)
			continue;
		for (size_t k = first; k < i + n; k++) {
			c->rr[*rrs] = *op[k].rr;
			c->rr[*rrs].file = 0;
			if (op[k].rr->line > EDIT_LINES_MAX)
				c->rr[*rrs].line = 0; /* not from text */
			++*rrs;
		}
		if (*rrs > from)
			put_change(c, op[first].rr, type, from, *rrs - from);
		else if (!all)
			put_change(c, op[i].rr, type, 0, 0);
	}
}

void edit_changes_add(struct edit_changes *c, const struct rrset_change *change)
{
	c->line[c->cnt] = 0;
	c->change[c->cnt++] = *change;
}

int edit_reduce(const struct records *ops, struct edit_changes *out)
{
	uint8_t *keys = NULL;
	struct op *op = op_sort(ops, &keys);
	size_t rrs = 0;

	*out = (struct edit_changes){
		.change = malloc((ops->cnt + 1) * sizeof(*out->change)),
		.line = malloc((ops->cnt + 1) * sizeof(*out->line)),
		.rr = malloc((ops->cnt + 1) * sizeof(*out->rr)),
	};
	if (!op || !out->change || !out->line || !out->rr) {
		edit_changes_free(out);
		if (op)
			free(keys);
		free(op);
		return -ENOMEM;
	}
	for (size_t i = 0, n; i < ops->cnt; i += n) {
		for (n = 1; i + n < ops->cnt && op_same_owner(&op[i], &op[i + n]); n++)
			;
		reduce_name(out, op + i, n, &rrs);
	}
	free(keys);
	free(op);
	return 0;
}

void edit_changes_free(struct edit_changes *c)
{
	free(c->change);
	free(c->line);
	free(c->rr);
	*c = (struct edit_changes){0};
}

int edit_changes_make(const struct edit_changes *c, struct records *rs)
{
	size_t kept = 0, next = 0;
	int error = 0;

	for (size_t i = 0; i < rs->cnt; i++) {
		const struct record *rr = &rs->rr[i];
		bool replaced = false;

		while (next < c->cnt && name_cmp(c->change[next].owner, rr->owner) < 0)
			next++;
		for (size_t k = next; !replaced && k < c->cnt &&
		     name_cmp(c->change[k].owner, rr->owner) == 0; k++)
			replaced = c->change[k].type == rr->type || c->change[k].type == TYPE_ANY;
		if (!replaced)
			rs->rr[kept++] = *rr;
	}
	rs->cnt = kept;
	for (size_t i = 0; i < c->cnt; i++)
		for (size_t k = 0; !error && k < c->change[i].rr_cnt; k++) {
			const struct record *rr = &c->change[i].rr[k];

			error = records_add(rs, c->change[i].owner, rr->type, rr->ttl, rr->rdata, rr->rdata_len,
					    0, 0);
		}
	return error ? error : records_sort(rs);
}
