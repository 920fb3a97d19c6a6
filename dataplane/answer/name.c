/* SPDX-License-Identifier: GPL-3.0-or-later */
/* name.c - domain names in wire form; see name.h. */
#include "name.h"

#include <errno.h>
#include <string.h>

#define POINTER 0xc0 /* the two high bits of a compression pointer (RFC 1035 4.1.4) */

size_t name_unpack(struct name *n, const uint8_t *msg, size_t at, size_t end)
{
	size_t start = at; /* of the label sequence being read: it only sinks */
	size_t after = 0;  /* just past the name where it stood, once known */
	size_t out = 0;
	unsigned labels = 0, pointers = 0;

	for (;;) {
		if (at >= end)
			return 0;

		size_t len = msg[at];

		if ((len & POINTER) == POINTER) {
			if (end - at < 2 || ++pointers > NAME_MAX_LABELS)
				return 0;
			size_t target = (len & ~(size_t)POINTER) << 8 | msg[at + 1];

			if (target >= start)
				return 0;
			if (after == 0)
				after = at + 2;
			at = start = target;
			continue;
		}
		if (len > NAME_MAX_LABEL || len >= end - at || len >= NAME_MAX_LEN - out)
			return 0;
		n->off[labels] = (uint8_t)out;
		for (size_t i = 0; i <= len; i++)
			n->wire[out + i] = name_fold(msg[at + i]);
		out += len + 1;
		at += len + 1;
		if (len == 0)
			break;
		/* Room for the root label, so that labels stays within bounds. */
		if (out >= NAME_MAX_LEN)
			return 0;
		labels++;
	}
	n->len = (uint8_t)out;
	n->labels = (uint8_t)labels;
	return after ? after : at;
}

size_t name_skip(const uint8_t *msg, size_t at, size_t end)
{
	size_t room = NAME_MAX_LEN;

	for (;;) {
		if (at >= end)
			return 0;

		size_t len = msg[at];

		if ((len & POINTER) == POINTER)
			return end - at < 2 ? 0 : at + 2;
		if (len > NAME_MAX_LABEL || len >= end - at || len >= room)
			return 0;
		at += len + 1;
		room -= len + 1;
		if (len == 0)
			return at;
	}
}

size_t name_from_wire(struct name *n, const uint8_t *wire, size_t max)
{
	return name_take(n, wire, max, 0); /* nothing is known of what stands behind it */
}

size_t name_wire_len(const uint8_t *wire)
{
	size_t pos = 0;

	while (wire[pos] != 0)
		pos += wire[pos] + 1u;
	return pos + 1;
}

unsigned name_wire_labels(const uint8_t *wire)
{
	unsigned labels = 0;

	for (; *wire != 0; wire += *wire + 1u)
		labels++;
	return labels;
}

/* label_offsets - off[i]: where label i of a valid name begins; returns their number. */
static unsigned label_offsets(uint8_t off[NAME_MAX_LABELS], const uint8_t *wire)
{
	unsigned labels = 0;

	for (size_t pos = 0; wire[pos] != 0; pos += wire[pos] + 1u)
		off[labels++] = (uint8_t)pos;
	return labels;
}

/* label_cmp - canonical order of two labels. */
static int label_cmp(const uint8_t *x, const uint8_t *y)
{
	int order = memcmp(x + 1, y + 1, *x < *y ? *x : *y);

	return order ? order : *x - *y;
}

/* same_parent - are two names that are not the root equal behind their first labels? */
static bool same_parent(const uint8_t *a, const uint8_t *b)
{
	do {
		a += *a + 1u;
		b += *b + 1u;
		if (*a != *b)
			return false;
		for (unsigned i = 1; i <= *a; i++)
			if (a[i] != b[i])
				return false;
	} while (*a != 0);
	return true;
}

int name_cmp(const uint8_t *a, const uint8_t *b)
{
	/* Most names that are compared are neighbours in one zone. */
	if (*a != 0 && *b != 0 && same_parent(a, b))
		return label_cmp(a, b);

	uint8_t a_off[NAME_MAX_LABELS], b_off[NAME_MAX_LABELS];
	unsigned a_labels = label_offsets(a_off, a);
	unsigned b_labels = label_offsets(b_off, b);

	while (a_labels > 0 && b_labels > 0) {
		int order = label_cmp(a + a_off[--a_labels], b + b_off[--b_labels]);

		if (order != 0)
			return order;
	}
	return (int)a_labels - (int)b_labels;
}

bool name_within(const uint8_t *name, const uint8_t *ancestor)
{
	size_t len = name_wire_len(name);
	size_t want = name_wire_len(ancestor);

	while (len > want) {
		len -= *name + 1u;
		name += *name + 1u;
	}
	return len == want && memcmp(name, ancestor, len) == 0;
}

/* Key octets 0 and 1 never stand for themselves: 0 ends a label, and so sorts
 * before any octet that a longer label could have there; a label's 0 and 1
 * become 1,1 and 1,2, which sort in that order and before 2. */
size_t name_key(uint8_t *key, const uint8_t *wire)
{
	uint8_t off[NAME_MAX_LABELS];
	unsigned labels = label_offsets(off, wire);
	size_t out = 0;

	while (labels > 0) {
		const uint8_t *label = wire + off[--labels];

		for (unsigned i = 1; i <= label[0]; i++) {
			if (label[i] <= 1) {
				key[out++] = 1;
				key[out++] = (uint8_t)(label[i] + 1);
			} else {
				key[out++] = label[i];
			}
		}
		key[out++] = 0;
	}
	return out;
}

/* special - printable octets that mean something in a master file (RFC 1035 5.1). */
static bool special(uint8_t c)
{
	return c == '.' || c == '\\' || c == '"' || c == '(' || c == ')' ||
	       c == ';' || c == '@' || c == '$';
}

char *name_to_text(char *text, const uint8_t *wire)
{
	char *out = text;

	if (*wire == 0)
		*out++ = '.';
	for (; *wire != 0; wire += *wire + 1u) {
		for (unsigned i = 1; i <= *wire; i++) {
			uint8_t c = wire[i];

			if (c <= ' ' || c >= 0x7f) {
				*out++ = '\\';
				*out++ = (char)('0' + c / 100);
				*out++ = (char)('0' + c / 10 % 10);
				*out++ = (char)('0' + c % 10);
			} else {
				if (special(c))
					*out++ = '\\';
				*out++ = (char)c;
			}
		}
		*out++ = '.';
	}
	*out = '\0';
	return text;
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* text_octet - read one octet of a label, escaped or not; returns what follows
 * it, or NULL when it is none. */
static const char *text_octet(const char *text, uint8_t *octet)
{
	uint8_t c = (uint8_t)*text;

	if (c <= ' ' || c >= 0x7f || c == '"' || c == '(' || c == ')' || c == ';')
		return NULL;
	if (c != '\\') {
		*octet = c;
		return text + 1;
	}
	if (digit(text[1])) {
		if (!digit(text[2]) || !digit(text[3]))
			return NULL;
		int value = (text[1] - '0') * 100 + (text[2] - '0') * 10 + (text[3] - '0');

		if (value > 255)
			return NULL;
		*octet = (uint8_t)value;
		return text + 4;
	}
	c = (uint8_t)text[1];
	if (c < ' ' || c >= 0x7f)
		return NULL;
	*octet = c;
	return text + 2;
}

int name_from_text(struct name *n, const char *text)
{
	uint8_t wire[NAME_MAX_LEN];
	size_t out = 0; /* where the length octet of the current label is */

	if (strcmp(text, "@") == 0)
		return -EINVAL;
	if (strcmp(text, ".") == 0)
		text++;
	else if (*text == '\0')
		return -EINVAL;
	while (*text != '\0') {
		size_t len = 0;

		while (*text != '\0' && *text != '.') {
			uint8_t octet;

			text = text_octet(text, &octet);
			/* One octet stays free for the root label. */
			if (!text || len == NAME_MAX_LABEL || out + 1 + len >= NAME_MAX_LEN - 1)
				return -EINVAL;
			wire[out + 1 + len++] = octet;
		}
		if (len == 0)
			return -EINVAL;
		wire[out] = (uint8_t)len;
		out += len + 1;
		if (*text == '.')
			text++;
	}
	wire[out++] = 0;
	return name_read(n, wire, 0, out) ? 0 : -EINVAL;
}
