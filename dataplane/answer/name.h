/* SPDX-License-Identifier: GPL-3.0-or-later */
/* name.h - domain names in wire form (RFC 1035 section 3.1).
 *
 * A struct name holds one valid, uncompressed name folded to lower case
 * (RFC 4343), so two names are equal exactly when their octets are.  Functions
 * that take a bare `const uint8_t *wire` expect such a name and trust it.
 * Nothing here allocates, logs or keeps state: any thread may call it.
 */
#ifndef POLLUX_NAME_H
#define POLLUX_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "octets.h"

#define NAME_MAX_LEN    255 /* octets, root label included (RFC 1035 2.3.4) */
#define NAME_MAX_LABEL   63 /* octets, length octet not included */
#define NAME_MAX_LABELS 127 /* labels, root not counted */
#define NAME_TEXT_MAX  1024 /* room for the longest name in text, NUL included */
#define NAME_KEY_MAX    512 /* room for the longest sort key */

struct name {
	uint8_t len;                      /* octets in wire[], 1..255 */
	uint8_t labels;                   /* root not counted: 0 for "." */
	uint8_t off[NAME_MAX_LABELS + 1]; /* off[i]: where label i begins; off[labels]: the root label */
	uint8_t wire[NAME_MAX_LEN + 1];
};

/* name_fold - ASCII lower case of one octet (RFC 4343 section 3). */
static inline uint8_t name_fold(uint8_t c)
{
	return c + ((uint8_t)(c - 'A') < 26 ? 'a' - 'A' : 0);
}

/* name_suffix - where in n->wire the suffix of `labels` labels begins. */
static inline uint8_t name_suffix(const struct name *n, unsigned labels)
{
	return n->off[n->labels - labels];
}

/* name_is_wildcard - is the first label an asterisk (RFC 4592 section 2.1.1)? */
static inline bool name_is_wildcard(const uint8_t *wire)
{
	return wire[0] == 1 && wire[1] == '*';
}

/* name_take - the work of name_read and name_from_wire: fold the name at in[0..max) into *n;
 * in[0..room) may be read, whatever the name's length.  Returns its length or 0. */
static inline size_t name_take(struct name *n, const uint8_t *in, size_t max, size_t room)
{
	size_t pos = 0, len, all = 0;
	unsigned labels = 0;

	if (max == 0)
		return 0;
	if (max > NAME_MAX_LEN)
		max = NAME_MAX_LEN;
	/* Before each read pos < max; labels stays within NAME_MAX_LABELS because
	 * each label takes two octets or more and the root label one. */
	for (;;) {
		len = in[pos];
		n->off[labels] = (uint8_t)pos;
		if (len == 0)
			break;
		all |= len;
		pos += len + 1;
		if (pos >= max)
			return 0;
		labels++;
	}
	if (all > NAME_MAX_LABEL)
		return 0;
	len = pos + 1;
	n->len = (uint8_t)len;
	n->labels = (uint8_t)labels;
	/* A wire name can be folded blindly: its length octets are at most 63, 'A' is 65. */
	octets_fold_copy(n->wire, in, len, room);
	return len;
}

/* name_read - fold the question name at msg[at] into *n.
 *
 * msg[0..end) is untrusted and only read.  Returns the offset just past the
 * name, or 0 if it is cut short, longer than 255 octets, uses a label type
 * other than 0x00 (RFC 6891 section 5), or is compressed (nothing stands before
 * a question that it could point at).
 */
static inline size_t name_read(struct name *n, const uint8_t *msg, size_t at, size_t end)
{
	size_t len = at < end ? name_take(n, msg + at, end - at, end - at) : 0;

	return len ? at + len : 0;
}

/* name_unpack - as name_read, but compressed names are followed: each pointer
 * must point before the label sequence it ends (RFC 1035 4.1.4), so it ends, and
 * there may be no more of them than a name has labels, so it ends soon.  Returns
 * the offset just past the name where it stood, or 0.
 */
size_t name_unpack(struct name *n, const uint8_t *msg, size_t at, size_t end);

/* name_skip - the offset just past the (possibly compressed) name at msg[at],
 * or 0 if it does not end before `end`.  Pointers are not followed. */
size_t name_skip(const uint8_t *msg, size_t at, size_t end);

/* name_from_wire - fill *n from a trusted or untrusted bare wire name of at
 * most `max` octets.  Returns its length, 0 if it is not a valid name. */
size_t name_from_wire(struct name *n, const uint8_t *wire, size_t max);

/* name_wire_len - octets of a valid bare wire name, root label included. */
size_t name_wire_len(const uint8_t *wire);

/* name_wire_labels - labels of a valid bare wire name, root not counted. */
unsigned name_wire_labels(const uint8_t *wire);

/* name_cmp - canonical order (RFC 4034 section 6.1) of two valid folded names:
 * <0, 0, >0. */
int name_cmp(const uint8_t *a, const uint8_t *b);

/* name_within - is `name` equal to or below `ancestor`?  Both folded. */
bool name_within(const uint8_t *name, const uint8_t *ancestor);

/* name_key - write a sort key of a folded name into key[NAME_KEY_MAX]: memcmp
 * order of two keys (the shorter first when one is a prefix of the other) is
 * name_cmp order of the names.  Returns its length. */
size_t name_key(uint8_t *key, const uint8_t *wire);

/* name_to_text - master-file form (RFC 1035 5.1) with a final dot into
 * text[NAME_TEXT_MAX]; octets outside printable ASCII as \DDD, special ones
 * with a backslash.  Returns text. */
char *name_to_text(char *text, const uint8_t *wire);

/* name_from_text - read an absolute or relative (then: below the root) name in
 * master-file form.  Returns 0, or -EINVAL when it is no name. */
int name_from_text(struct name *n, const char *text);

#endif
