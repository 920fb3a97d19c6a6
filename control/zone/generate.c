/* SPDX-License-Identifier: GPL-3.0-or-later */
/* generate.c - the $GENERATE directive; see generate.h. */
#include "generate.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What is left of a text. */
struct cursor {
	const char *at, *end;
};

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static void skip_blanks(struct cursor *c)
{
	while (c->at < c->end && blank(*c->at))
		c->at++;
}

static bool take(struct cursor *c, char want)
{
	if (c->at == c->end || *c->at != want)
		return false;
	c->at++;
	return true;
}

/* take_number - digits that make at most INT32_MAX. */
static bool take_number(struct cursor *c, uint32_t *number)
{
	uint64_t n = 0;

	if (c->at == c->end || !digit(*c->at))
		return false;
	for (; c->at < c->end && digit(*c->at); c->at++) {
		n = n * 10 + (uint64_t)(*c->at - '0');
		if (n > INT32_MAX)
			return false;
	}
	*number = (uint32_t)n;
	return true;
}

/* take_word - up to the next blank that no backslash hides. */
static bool take_word(struct cursor *c, const char **word, size_t *len)
{
	skip_blanks(c);
	*word = c->at;
	while (c->at < c->end && !blank(*c->at)) {
		if (*c->at == '\\' && c->end - c->at > 1)
			c->at++;
		c->at++;
	}
	*len = (size_t)(c->at - *word);
	return *len > 0;
}

/* What a `${...}` says. */
struct number_form {
	int64_t offset;
	uint32_t width;
	char base;
};

/* take_form - what may follow a dollar sign: nothing, or OFFSET[,WIDTH[,BASE]] in
 * braces.  False when the braces hold anything else. */
static bool take_form(struct cursor *c, struct number_form *f)
{
	uint32_t offset;

	*f = (struct number_form){ .base = 'd' };
	if (!take(c, '{'))
		return true;

	bool negative = take(c, '-');

	if (!take_number(c, &offset))
		return false;
	f->offset = negative ? -(int64_t)offset : (int64_t)offset;
	if (take(c, ',')) {
		if (!take_number(c, &f->width) || f->width > GENERATE_WIDTH)
			return false;
		if (take(c, ',')) {
			if (c->at == c->end || *c->at == '\0' || !strchr("doxXnN", *c->at))
				return false;
			f->base = *c->at++;
		}
	}
	return take(c, '}');
}

/* forms_valid - is every dollar sign in the text one that take_form takes? */
static bool forms_valid(const char *text, size_t len)
{
	struct cursor c = { text, text + len };
	struct number_form f;

	while (c.at < c.end) {
		char ch = *c.at++;

		if (ch == '\\' && c.at < c.end)
			c.at++;
		else if (ch == '$' && !take(&c, '$') && !take_form(&c, &f))
			return false;
	}
	return true;
}

/* line_end - where a comment begins, or the end.  *whole says whether all quotes
 * and parentheses that the text opens are closed in it.  In text taken out of
 * quotes (`unquoted`), `\"` stands for a quote. */
static size_t line_end(const char *text, size_t len, bool unquoted, bool *whole)
{
	bool quoted = false;
	unsigned depth = 0;
	size_t i;

	*whole = false;
	for (i = 0; i < len; i++) {
		char c = text[i];

		if (c == '\\') {
			if (i + 1 == len)
				return i;
			c = text[++i];
			if (!unquoted || c != '"')
				continue;
		}
		if (c == '"')
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (c == ';')
			break;
		else if (c == '(')
			depth++;
		else if (c == ')' && depth-- == 0)
			return i;
	}
	*whole = !quoted && depth == 0;
	return i;
}

/* unquote - take RDATA out of the one pair of quotes that holds all of it. */
static void unquote(struct generate *g)
{
	size_t len = g->rdata_len;

	if (len < 2 || g->rdata[0] != '"')
		return;
	for (size_t i = 1; i < len; i++) {
		if (g->rdata[i] == '\\') {
			i++;
		} else if (g->rdata[i] == '"') {
			if (i != len - 1)
				return;
			g->rdata++;
			g->rdata_len -= 2;
			g->unquoted = true;
			return;
		}
	}
}

/* parse_range - START-STOP[/STEP] and nothing else. */
static const char *parse_range(struct generate *g, const char *text, size_t len)
{
	struct cursor c = { text, text + len };

	g->step = 1;
	if (!take_number(&c, &g->start) || !take(&c, '-') || !take_number(&c, &g->stop) ||
	    (take(&c, '/') && !take_number(&c, &g->step)) || c.at != c.end)
		return "$GENERATE needs a range START-STOP or START-STOP/STEP of numbers below 2147483648";
	if (g->start > g->stop || g->step == 0)
		return "$GENERATE has an empty range";

	uint32_t cnt = (g->stop - g->start) / g->step + 1;

	if (cnt > GENERATE_RECORDS)
		return "$GENERATE would make over 1000000 records";
	g->cnt = cnt;
	return NULL;
}

static bool word_is(const char *word, size_t len, const char *want)
{
	return len == strlen(want) && strncasecmp(word, want, len) == 0;
}

const char *generate_parse(struct generate *g, const char *text, size_t len)
{
	const char *word, *cause;
	size_t word_len;
	bool whole;

	*g = (struct generate){ 0 };
	len = line_end(text, len, false, &whole);
	if (!whole)
		return "$GENERATE must stand on one line, with quotes and parentheses closed";

	struct cursor c = { text, text + len };

	if (!take_word(&c, &word, &word_len))
		return "$GENERATE without a range";
	cause = parse_range(g, word, word_len);
	if (cause)
		return cause;
	if (!take_word(&c, &g->owner, &g->owner_len) || strchr("()\"", g->owner[0]))
		return "$GENERATE without an owner name";

	/* TTL and class in either order, each at most once; then the type. */
	unsigned before_type = 0;

	do {
		if (!take_word(&c, &word, &word_len))
			return "$GENERATE without a type";
		if (!g->head)
			g->head = word;
		g->head_len = (size_t)(word + word_len - g->head);
	} while (before_type++ < 2 && (digit(word[0]) || word_is(word, word_len, "IN")));

	skip_blanks(&c);
	while (c.end > c.at && blank(c.end[-1]) && (c.end - c.at == 1 || c.end[-2] != '\\'))
		c.end--;
	g->rdata = c.at;
	g->rdata_len = (size_t)(c.end - c.at);
	if (g->rdata_len == 0)
		return "$GENERATE without RDATA";
	unquote(g);
	line_end(g->rdata, g->rdata_len, g->unquoted, &whole);
	if (!whole)
		return "$GENERATE must stand on one line, with quotes and parentheses closed";
	if (!forms_valid(g->owner, g->owner_len) || !forms_valid(g->rdata, g->rdata_len))
		return "$GENERATE needs ${OFFSET,WIDTH,BASE} with WIDTH up to 127 and BASE one of d o x X n N";
	return NULL;
}

/* Where a line is being written. */
struct sink {
	char *at, *end;
	bool full;
};

static void put(struct sink *s, const char *text, size_t len)
{
	if (len > (size_t)(s->end - s->at)) {
		s->full = true;
		return;
	}
	memcpy(s->at, text, len);
	s->at += len;
}

/* put_nibbles - hex digits from the last to the first, dots between; WIDTH counts
 * digits and dots, and where it leaves room for a dot one stands last, as in BIND. */
static void put_nibbles(struct sink *s, uint32_t value, uint32_t width, bool upper)
{
	const char *hex = upper ? "0123456789ABCDEF" : "0123456789abcdef";

	do {
		put(s, &hex[value & 15], 1);
		value >>= 4;
		width -= width > 0;
		if (width > 0 || value != 0) {
			put(s, ".", 1);
			width -= width > 0;
		}
	} while (width > 0 || value != 0);
}

static bool put_number(struct sink *s, uint32_t number, const struct number_form *f)
{
	int64_t sum = (int64_t)number + f->offset;
	char text[GENERATE_WIDTH + 16];
	int len = 0;

	if (sum < INT32_MIN || sum > INT32_MAX)
		return false;

	int32_t value = (int32_t)sum;
	int width = (int)f->width;

	switch (f->base) {
	case 'd': len = snprintf(text, sizeof(text), "%0*d", width, value); break;
	case 'o': len = snprintf(text, sizeof(text), "%0*o", width, (uint32_t)value); break;
	case 'x': len = snprintf(text, sizeof(text), "%0*x", width, (uint32_t)value); break;
	case 'X': len = snprintf(text, sizeof(text), "%0*X", width, (uint32_t)value); break;
	default:
		put_nibbles(s, (uint32_t)value, f->width, f->base == 'N');
		return true;
	}
	put(s, text, (size_t)len);
	return true;
}

/* put_expanded - text with its dollar signs replaced.  What is escaped stays so:
 * a line can then never begin with a bare `$` and be taken for a directive. */
static bool put_expanded(struct sink *s, const char *text, size_t len, bool unquoted,
			 uint32_t number)
{
	struct cursor c = { text, text + len };
	struct number_form f;

	while (c.at < c.end) {
		const char *from = c.at;
		char ch = *c.at++;

		if (ch == '\\' && c.at < c.end) {
			if (unquoted && *c.at == '"')
				from++;
			c.at++;
			put(s, from, (size_t)(c.at - from));
		} else if (ch != '$') {
			put(s, from, 1);
		} else if (take(&c, '$')) {
			put(s, "\\$", 2);
		} else {
			take_form(&c, &f);
			if (!put_number(s, number, &f))
				return false;
		}
	}
	return true;
}

int generate_line(const struct generate *g, uint32_t i, char *out, size_t size)
{
	struct sink s = { out, out + (size < INT_MAX ? size : INT_MAX), false };
	uint32_t number = g->start + i * g->step;

	if (!put_expanded(&s, g->owner, g->owner_len, false, number))
		return -ERANGE;
	put(&s, " ", 1);
	put(&s, g->head, g->head_len);
	put(&s, " ", 1);
	if (!put_expanded(&s, g->rdata, g->rdata_len, g->unquoted, number))
		return -ERANGE;
	put(&s, "\n", 1);
	return s.full ? 0 : (int)(s.at - out);
}
