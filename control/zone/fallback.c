/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fallback.c - reading a record that the scanner refuses; see fallback.h. */
#include "fallback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "dataplane/answer/rrtype.h"
#include "fallback_private.h"
#include "form.h"

static const char unexpected[] = "unexpected data";
static const char no_type[] = "no known record type (and the class can only be IN)";

bool fallback_fault(struct fallback *f, const char *cause)
{
	f->cause = cause;
	return false;
}

/* ---- words (RFC 1035 5.1) ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* string_end - the quote that closes what begins at p, or NULL. */
static const char *string_end(const char *p, const char *end)
{
	for (; p < end && *p != '"'; p++)
		if (*p == '\\' && ++p == end)
			break;
	return p < end ? p : NULL;
}

/* plain_end - the end of an unquoted word.  A value in quotes behind an equals sign
 * belongs to it (RFC 9460 section 2.1); NULL when those do not close. */
static const char *plain_end(const char *p, const char *end)
{
	const char *begin = p;

	for (; p < end && !is_blank(*p) && *p != '(' && *p != ')' && *p != ';'; p++) {
		if (*p == '\\' && p + 1 < end && p[1] != '\n') {
			p++;
		} else if (*p == '"') {
			if (p == begin || p[-1] != '=')
				break;
			p = string_end(p + 1, end);
			if (!p)
				return NULL;
		}
	}
	return p;
}

bool fallback_word(struct fallback *f)
{
	f->word = NULL;
	f->quoted = false;
	for (; f->at < f->end; f->at++) {
		char c = *f->at;

		if (c == ';') {
			const char *line = memchr(f->at, '\n', (size_t)(f->end - f->at));

			f->at = line ? line : f->end - 1;
		} else if (c == '(') {
			f->depth++;
		} else if (c == ')') {
			if (f->depth == 0) {
				f->word = f->at;
				f->word_end = f->at + 1;
				return fallback_fault(f, "too many right parentheses");
			}
			f->depth--;
		} else if (!is_blank(c)) {
			break;
		}
	}
	if (f->at == f->end)
		return f->depth == 0 || fallback_fault(f, "a parenthesis is not closed");

	const char *begin = f->at, *end;

	f->quoted = *begin == '"';
	begin += f->quoted;
	end = f->quoted ? string_end(begin, f->end) : plain_end(begin, f->end);
	f->word = begin;
	f->word_end = end ? end : f->end;
	f->open = !end;
	if (!end)
		return fallback_fault(f, "a quote is not closed");
	f->at = end + f->quoted;
	return true;
}

bool fallback_wanted(struct fallback *f)
{
	return f->word || fallback_fault(f, "the record ends too early");
}

bool fallback_short(struct fallback *f, char word[WORD_MAX])
{
	if (!fallback_wanted(f))
		return false;
	size_t len = (size_t)(f->word_end - f->word);

	if (len == 0 || len >= WORD_MAX || memchr(f->word, '\0', len))
		return fallback_fault(f, "neither a number nor a known word");
	memcpy(word, f->word, len);
	word[len] = '\0';
	return true;
}

/* word_is - is it this one, any case, not in quotes? */
static bool word_is(const struct fallback *f, const char *what)
{
	size_t len = strlen(what);

	return f->word && !f->quoted && (size_t)(f->word_end - f->word) == len &&
	       strncasecmp(f->word, what, len) == 0;
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

bool fallback_octet(struct fallback *f, const char **at, const char *end, uint8_t *octet)
{
	const char *p = *at;

	if (*p != '\\') {
		*octet = (uint8_t)*p;
		*at = p + 1;
		return true;
	}
	p++;
	if (p == end)
		return fallback_fault(f, "a backslash ends the word");
	if (!digit(*p)) {
		*octet = (uint8_t)*p;
		*at = p + 1;
		return true;
	}
	/* \DDD: three digits, at most 255 (RFC 1035 5.1). */
	if (end - p < 3 || !digit(p[1]) || !digit(p[2]))
		return fallback_fault(f, "a backslash and a digit, but not three of them");
	int value = (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');

	if (value > 255)
		return fallback_fault(f, "an escaped octet is over 255");
	*octet = (uint8_t)value;
	*at = p + 3;
	return true;
}

/* ---- octets ---- */

bool fallback_put(struct fallback *f, const uint8_t *octets, size_t len)
{
	if (len > sizeof(f->rdata) - f->rdata_len)
		return fallback_fault(f, "RDATA is longer than 65535 octets");
	if (len > 0)
		memcpy(f->rdata + f->rdata_len, octets, len);
	f->rdata_len += len;
	return true;
}

bool fallback_put_number(struct fallback *f, uint64_t number, unsigned size)
{
	uint8_t octets[8];

	for (unsigned i = size; i-- > 0; number >>= 8)
		octets[i] = (uint8_t)number;
	return fallback_put(f, octets, size);
}

/* ---- numbers ---- */

bool fallback_digits(struct fallback *f, const char *at, const char *end, uint64_t max,
		     uint64_t *number)
{
	if (at == end)
		return fallback_fault(f, "invalid number");
	*number = 0;
	for (; at < end; at++) {
		if (!digit(*at))
			return fallback_fault(f, "invalid number");
		uint64_t d = (uint64_t)(*at - '0');

		if (d > max || *number > (max - d) / 10)
			return fallback_fault(f, "number is too big");
		*number = *number * 10 + d;
	}
	return true;
}

/* As fallback_digits, of a word. */
static bool number_field(struct fallback *f, uint64_t max, uint64_t *number)
{
	return fallback_wanted(f) && fallback_digits(f, f->word, f->word_end, max, number) &&
	       fallback_word(f);
}

static bool put_decimal(struct fallback *f, unsigned size)
{
	uint64_t number;

	return number_field(f, size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1, &number) &&
	       fallback_put_number(f, number, size);
}

/* time_read - seconds, or numbers with units: w, d, h, m, s. */
static bool time_read(struct fallback *f, uint32_t *seconds)
{
	static const char units[] = "wdhms";
	static const uint32_t worth[] = { 604800, 86400, 3600, 60, 1 };
	uint64_t sum = 0;

	if (!fallback_wanted(f))
		return false;
	for (const char *p = f->word; p < f->word_end || p == f->word;) {
		const char *from = p, *unit;
		uint64_t number;

		while (p < f->word_end && digit(*p))
			p++;
		if (!fallback_digits(f, from, p, UINT32_MAX, &number))
			return false;
		if (p < f->word_end) {
			unit = strchr(units, *p | 0x20);
			if (!unit || *unit == '\0')
				return fallback_fault(f, "invalid time unit");
			number *= worth[unit - units];
			p++;
		}
		sum += number;
		if (sum > UINT32_MAX)
			return fallback_fault(f, "number is too big");
	}
	*seconds = (uint32_t)sum;
	return fallback_word(f);
}

/* stamp_read - seconds since 1970, or YYYYMMDDHHmmSS in UTC, both modulo 2^32
 * (RFC 4034 section 3.1.5, 3.2). */
static bool stamp_read(struct fallback *f)
{
	uint64_t number;
	struct tm tm = { 0 };

	if (!fallback_wanted(f))
		return false;
	if (f->word_end - f->word != 14)
		return put_decimal(f, 4);
	if (!fallback_digits(f, f->word, f->word_end, UINT64_MAX, &number))
		return false;
	tm.tm_sec = (int)(number % 100);
	tm.tm_min = (int)(number / 100 % 100);
	tm.tm_hour = (int)(number / 10000 % 100);
	tm.tm_mday = (int)(number / 1000000 % 100);
	tm.tm_mon = (int)(number / 100000000 % 100) - 1;
	tm.tm_year = (int)(number / 10000000000) - 1900;

	struct tm same = tm;
	time_t seconds = timegm(&same);

	if (tm.tm_year < 70 || same.tm_mon != tm.tm_mon || same.tm_mday != tm.tm_mday ||
	    same.tm_hour != tm.tm_hour || same.tm_min != tm.tm_min || same.tm_sec != tm.tm_sec)
		return fallback_fault(f, "invalid date");
	return fallback_put_number(f, (uint32_t)seconds, 4) && fallback_word(f);
}

/* mnemonic_read - a number of `size` octets, or one of the field's mnemonics. */
static bool mnemonic_read(struct fallback *f, uint8_t field, unsigned size)
{
	char word[WORD_MAX];

	if (f->word && f->word < f->word_end && digit(*f->word))
		return put_decimal(f, size);
	if (!fallback_short(f, word))
		return false;
	int number = form_number(field, word);

	if (number < 0)
		return fallback_fault(f, "neither a number nor a known word");
	return fallback_put_number(f, (uint64_t)number, size) && fallback_word(f);
}

/* flags_read - a number (BIND: also in hexadecimal), or mnemonics with | between. */
static bool flags_read(struct fallback *f)
{
	const char *p = f->word, *end = f->word_end;
	unsigned flags = 0;

	if (!fallback_wanted(f))
		return false;
	if (end - p > 2 && p[0] == '0' && (p[1] | 0x20) == 'x') {
		for (p += 2; p < end && fallback_hex_digit(*p) >= 0 && flags < 0x1000; p++)
			flags = flags << 4 | (unsigned)fallback_hex_digit(*p);
		return p < end ? fallback_fault(f, "invalid number") :
				 fallback_put_number(f, flags, 2) && fallback_word(f);
	}
	if (p < end && digit(*p))
		return put_decimal(f, 2);
	for (const char *bar = p; bar < end; p = bar + 1) {
		char word[WORD_MAX];

		bar = memchr(p, '|', (size_t)(end - p));
		bar = bar ? bar : end;
		size_t len = (size_t)(bar - p);

		if (len < sizeof(word))
			memcpy(word, p, len);
		word[len < sizeof(word) ? len : 0] = '\0';
		int number = form_number(FORM_FLAGS, word);

		if (number < 0)
			return fallback_fault(f, "neither a number nor a known word");
		flags |= (unsigned)number;
	}
	return fallback_put_number(f, flags, 2) && fallback_word(f);
}

/* type_read - a mnemonic or TYPEn. */
static bool type_read(struct fallback *f, uint16_t *type)
{
	char word[WORD_MAX];

	if (!fallback_short(f, word))
		return false;
	int number = rrtype_from_name(word);

	if (number < 0)
		return fallback_fault(f, no_type);
	*type = (uint16_t)number;
	return fallback_word(f);
}

static bool type_field(struct fallback *f)
{
	uint16_t type;

	return type_read(f, &type) && fallback_put_number(f, type, 2);
}

/* ---- names ---- */

/* name_of - the name in the word, relative to the origin without a final dot, in
 * wire form with its case kept. */
static bool name_of(struct fallback *f, uint8_t wire[NAME_MAX_LEN], size_t *len)
{
	const char *p = f->word, *end = f->word_end;
	size_t out = 0; /* where the length octet of the label is */
	size_t origin_len = name_wire_len(f->origin);
	bool absolute = false;

	if (p == end)
		return fallback_fault(f, "a name is empty");
	if (end - p == 1 && *p == '@') {
		p = end;
	} else if (end - p == 1 && *p == '.') {
		p = end;
		absolute = true;
	}
	while (p < end) {
		size_t label = 0;

		for (; p < end && *p != '.'; label++) {
			uint8_t octet;

			if (*p != '\\' && !f->quoted && ((uint8_t)*p < ' ' || *p == 0x7f))
				return fallback_fault(f, "a control character in a name");
			if (!fallback_octet(f, &p, end, &octet))
				return false;
			if (label == NAME_MAX_LABEL)
				return fallback_fault(f, "a label is longer than 63 octets");
			/* One octet stays free for the root label. */
			if (out + 1 + label >= NAME_MAX_LEN - 1)
				return fallback_fault(f, "a name is longer than 255 octets");
			wire[out + 1 + label] = octet;
		}
		if (label == 0)
			return fallback_fault(f, "a label is empty");
		wire[out] = (uint8_t)label;
		out += label + 1;
		absolute = p < end && p + 1 == end;
		p += p < end;
	}
	if (absolute) {
		wire[out] = 0;
		*len = out + 1;
		return true;
	}
	if (out + origin_len > NAME_MAX_LEN)
		return fallback_fault(f, "a name is longer than 255 octets");
	memcpy(wire + out, f->origin, origin_len);
	*len = out + origin_len;
	return true;
}

static bool name_field(struct fallback *f)
{
	uint8_t wire[NAME_MAX_LEN];
	size_t len;

	return fallback_wanted(f) && name_of(f, wire, &len) && fallback_put(f, wire, len) &&
	       fallback_word(f);
}

static bool names_field(struct fallback *f)
{
	while (f->word)
		if (!name_field(f))
			return false;
	return true;
}

/* ---- strings ---- */

static bool string_field(struct fallback *f)
{
	uint8_t octets[256];
	size_t len = 0;

	if (!fallback_wanted(f))
		return false;
	for (const char *p = f->word; p < f->word_end;) {
		if (len == 255)
			return fallback_fault(f, "a character-string is longer than 255 octets");
		if (!fallback_octet(f, &p, f->word_end, &octets[1 + len++]))
			return false;
	}
	octets[0] = (uint8_t)len;
	return fallback_put(f, octets, 1 + len) && fallback_word(f);
}

static bool strings_field(struct fallback *f)
{
	do {
		if (!string_field(f))
			return false;
	} while (f->word);
	return true;
}

static bool octets_field(struct fallback *f)
{
	if (!fallback_wanted(f))
		return false;
	for (const char *p = f->word; p < f->word_end;) {
		uint8_t octet;

		if (!fallback_octet(f, &p, f->word_end, &octet) || !fallback_put(f, &octet, 1))
			return false;
	}
	return fallback_word(f);
}

/* ---- octets in digits ---- */

int fallback_hex_digit(char c)
{
	if (digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* hex_put - pairs of hex digits; *half holds the first of a pair, or -1. */
static bool hex_put(struct fallback *f, const char *at, const char *end, int *half)
{
	for (; at < end; at++) {
		int value = fallback_hex_digit(*at);

		if (value < 0)
			return fallback_fault(f, "invalid hexadecimal character");
		if (*half < 0) {
			*half = value;
			continue;
		}
		if (!fallback_put_number(f, (uint64_t)(*half << 4 | value), 1))
			return false;
		*half = -1;
	}
	return true;
}

/* hex_field - to the end; blanks may stand anywhere (RFC 4034 5.3). */
static bool hex_field(struct fallback *f)
{
	int half = -1;

	while (f->word)
		if (!hex_put(f, f->word, f->word_end, &half) || !fallback_word(f))
			return false;
	return half < 0 || fallback_fault(f, "an odd number of hexadecimal characters");
}

/* salt_field - one word behind a length octet, "-" for no octets. */
static bool salt_field(struct fallback *f)
{
	size_t at = f->rdata_len;
	int half = -1;

	if (!fallback_wanted(f) || !fallback_put_number(f, 0, 1))
		return false;
	if (!word_is(f, "-") && !hex_put(f, f->word, f->word_end, &half))
		return false;
	if (half >= 0 || f->rdata_len - at > 256)
		return fallback_fault(f, "a salt is not of 0 to 255 octets in pairs of digits");
	f->rdata[at] = (uint8_t)(f->rdata_len - at - 1);
	return fallback_word(f);
}

/* base32_field - one word of base 32 hex behind a length octet (RFC 4648 section 7,
 * without padding). */
static bool base32_field(struct fallback *f)
{
	size_t at = f->rdata_len;
	uint32_t bits = 0;
	unsigned cnt = 0;

	if (!fallback_wanted(f) || !fallback_put_number(f, 0, 1))
		return false;
	for (const char *p = f->word; p < f->word_end; p++) {
		char c = digit(*p) ? *p : (char)(*p | 0x20);
		int value = digit(c) ? c - '0' : c >= 'a' && c <= 'v' ? c - 'a' + 10 : -1;

		if (value < 0)
			return fallback_fault(f, "invalid base 32 character");
		bits = bits << 5 | (uint32_t)value;
		cnt += 5;
		if (cnt >= 8) {
			cnt -= 8;
			if (!fallback_put_number(f, bits >> cnt & 255, 1))
				return false;
		}
	}
	if (cnt >= 5 || (bits & ((1u << cnt) - 1)) != 0 || f->rdata_len - at > 256)
		return fallback_fault(f, "base 32 is cut short");
	f->rdata[at] = (uint8_t)(f->rdata_len - at - 1);
	return fallback_word(f);
}

bool fallback_base64(struct fallback *f, struct fallback_base64 *b, const char *at,
		     const char *end)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (; at < end; at++) {
		const char *place = *at == '\0' ? NULL : strchr(digits, *at);

		if (*at == '=' && b->cnt >= 2)
			b->padding++;
		else if (!place || b->padding > 0)
			return fallback_fault(f, "invalid base 64 character");
		b->bits = b->bits << 6 | (*at == '=' ? 0 : (uint32_t)(place - digits));
		if (++b->cnt < 4)
			continue;

		const uint8_t octets[3] = { (uint8_t)(b->bits >> 16), (uint8_t)(b->bits >> 8),
					    (uint8_t)b->bits };

		if (!fallback_put(f, octets, 3 - b->padding))
			return false;
		b->cnt = 0;
	}
	return true;
}

bool fallback_base64_end(struct fallback *f, const struct fallback_base64 *b)
{
	return b->cnt == 0 || fallback_fault(f, "base 64 is cut short");
}

/* base64_field - to the end, or "-" alone for no octets (DOA). */
static bool base64_field(struct fallback *f)
{
	struct fallback_base64 b = { 0 };

	if (word_is(f, "-"))
		return fallback_word(f);
	while (f->word)
		if (!fallback_base64(f, &b, f->word, f->word_end) || !fallback_word(f))
			return false;
	return fallback_base64_end(f, &b);
}

/* groups_field - `cnt` groups of up to `max` hex digits with `mark` between; exactly
 * max digits when `whole`. */
static bool groups_field(struct fallback *f, unsigned cnt, unsigned max, char mark, bool whole)
{
	if (!fallback_wanted(f))
		return false;
	const char *p = f->word;

	for (unsigned i = 0; i < cnt; i++) {
		unsigned digits = 0, value = 0;

		for (; p < f->word_end && fallback_hex_digit(*p) >= 0; p++, digits++)
			value = value << 4 | (unsigned)fallback_hex_digit(*p);
		if (digits == 0 || digits > max || (whole && digits < max) ||
		    (i + 1 < cnt && (p == f->word_end || *p++ != mark)))
			return fallback_fault(f, "invalid groups of hexadecimal characters");
		if (!fallback_put_number(f, value, max / 2))
			return false;
	}
	if (p != f->word_end)
		return fallback_fault(f, "invalid groups of hexadecimal characters");
	return fallback_word(f);
}

static bool address_field(struct fallback *f, int family)
{
	char word[INET6_ADDRSTRLEN + 1];
	uint8_t octets[16];

	if (!fallback_wanted(f))
		return false;
	size_t len = (size_t)(f->word_end - f->word);

	if (len < sizeof(word)) {
		memcpy(word, f->word, len);
		word[len] = '\0';
	}
	if (len >= sizeof(word) || strlen(word) != len || inet_pton(family, word, octets) != 1)
		return fallback_fault(f, family == AF_INET ? "invalid IPv4 address"
							   : "invalid IPv6 address");
	return fallback_put(f, octets, family == AF_INET ? 4 : 16) && fallback_word(f);
}

/* ---- types in bits ---- */

/* bitmap_field - mnemonics to the end as windows (RFC 4034 4.1.2); `plain` has one
 * bitmap for types below 128 instead, in which bit 0 is not used (RFC 2535 5.2). */
static bool bitmap_field(struct fallback *f, bool plain)
{
	static const uint8_t none[32];
	uint8_t bits[65536 / 8] = { 0 };

	while (f->word) {
		uint16_t type;

		if (!type_read(f, &type))
			return false;
		if (plain && type > 127)
			return fallback_fault(f, "NXT has no types over 127");
		bits[type / 8] |= (uint8_t)(0x80 >> type % 8);
	}
	for (unsigned window = 0; window < (plain ? 1 : 256); window++) {
		const uint8_t *octets = bits + window * 32;
		unsigned len = 32;

		if (memcmp(octets, none, 32) == 0)
			continue;
		while (octets[len - 1] == 0)
			len--;
		if (!plain && (!fallback_put_number(f, window, 1) || !fallback_put_number(f, len, 1)))
			return false;
		if (!fallback_put(f, octets, len))
			return false;
	}
	return true;
}

/* ---- shapes of a type or two ---- */

/* gateway_field - as octet 1 says (RFC 4025 2.3, RFC 8777 4.2.3); "." for none. */
static bool gateway_field(struct fallback *f)
{
	switch (f->rdata[1] & (f->type == 45 ? 0xff : 0x7f)) {
	case 0:
		if (!word_is(f, "."))
			return fallback_fault(f, "no gateway is written as a dot");
		return fallback_word(f);
	case 1:
		return address_field(f, AF_INET);
	case 2:
		return address_field(f, AF_INET6);
	case 3:
		return name_field(f);
	default:
		return fallback_fault(f, "gateway type is unknown");
	}
}

static bool relay_field(struct fallback *f)
{
	uint64_t discovery, type;

	return number_field(f, 1, &discovery) && number_field(f, 127, &type) &&
	       fallback_put_number(f, discovery << 7 | type, 1);
}

/* hip_field - algorithm, HIT in hex, key in base 64, each one word; the wire has both
 * lengths first (RFC 8005 sections 5 and 6). */
static bool hip_field(struct fallback *f)
{
	uint8_t *head = f->rdata + f->rdata_len;
	struct fallback_base64 b = { 0 };
	uint64_t algorithm;
	int half = -1;

	if (!number_field(f, 255, &algorithm) || !fallback_put_number(f, algorithm << 16, 4) ||
	    !fallback_wanted(f) || !hex_put(f, f->word, f->word_end, &half))
		return false;
	size_t hit = f->rdata_len - 4;

	if (half >= 0 || hit > 255)
		return fallback_fault(f, "a HIT is not of up to 255 octets in pairs of digits");
	if (!fallback_word(f) || !fallback_wanted(f) ||
	    !fallback_base64(f, &b, f->word, f->word_end) || !fallback_base64_end(f, &b))
		return false;
	size_t key = f->rdata_len - 4 - hit;

	head[0] = (uint8_t)hit;
	head[2] = (uint8_t)(key >> 8);
	head[3] = (uint8_t)key;
	return fallback_word(f);
}

/* a6_field - prefix length, what it leaves of an address, and the prefix's name
 * (RFC 2874 section 3.1): no address behind 128 bits, no name behind none. */
static bool a6_field(struct fallback *f)
{
	uint64_t prefix;

	if (!number_field(f, 128, &prefix) || !fallback_put_number(f, prefix, 1))
		return false;
	if (prefix < 128) {
		size_t at = f->rdata_len, skip = prefix / 8;

		if (!address_field(f, AF_INET6))
			return false;
		f->rdata[at + skip] &= (uint8_t)(0xff >> prefix % 8);
		memmove(f->rdata + at, f->rdata + at + skip, 16 - skip);
		f->rdata_len -= skip;
	}
	return prefix == 0 || name_field(f);
}

static bool field_read(struct fallback *f, uint8_t field)
{
	switch (field) {
	case RD_NAME_C:
	case RD_NAME_L:
	case RD_NAME:
		return name_field(f);
	case RD_NAMES:
		return names_field(f);
	case RD_8:
		return put_decimal(f, 1);
	case RD_16:
		return put_decimal(f, 2);
	case RD_32:
		return put_decimal(f, 4);
	case RD_64:
		return put_decimal(f, 8);
	case RD_48:
		return groups_field(f, 6, 2, '-', true);
	case RD_128:
		return address_field(f, AF_INET6);
	case RD_STRING:
		return string_field(f);
	case RD_STRINGS:
		return strings_field(f);
	case RD_BITMAP:
		return bitmap_field(f, false);
	case RD_REST:
		return base64_field(f);
	case RD_REST_1:
		return fallback_wanted(f) && base64_field(f);
	case RD_GATEWAY:
		return gateway_field(f);
	case RD_HIP:
		return hip_field(f);
	case RD_A6:
		return a6_field(f);
	case FORM_STAMP:
		return stamp_read(f);
	case FORM_TIME: {
		uint32_t seconds;

		return time_read(f, &seconds) && fallback_put_number(f, seconds, 4);
	}
	case FORM_TYPE:
		return type_field(f);
	case FORM_ALGORITHM:
	case FORM_DIGEST:
	case FORM_HASH:
	case FORM_PROTOCOL:
	case FORM_SCHEME:
		return mnemonic_read(f, field, 1);
	case FORM_CERT:
		return mnemonic_read(f, field, 2);
	case FORM_FLAGS:
		return flags_read(f);
	case FORM_IPV4:
		return address_field(f, AF_INET);
	case FORM_EUI64:
		return groups_field(f, 8, 2, '-', true);
	case FORM_LOCATOR:
		return groups_field(f, 4, 4, ':', false);
	case FORM_HEX:
		return fallback_wanted(f) && hex_field(f);
	case FORM_SALT:
		return salt_field(f);
	case FORM_BASE32:
		return base32_field(f);
	case FORM_OCTETS:
		return octets_field(f);
	case FORM_NXT:
		return bitmap_field(f, true);
	case FORM_RELAY:
		return relay_field(f);
	default:
		return irregular_read(f, field);
	}
}

/* ---- the record ---- */

/* generic_read - \# LENGTH HEX (RFC 3597 section 5). */
static bool generic_read(struct fallback *f)
{
	uint64_t len;

	if (!fallback_word(f) || !number_field(f, 65535, &len) || !hex_field(f))
		return false;
	return f->rdata_len == len ||
	       fallback_fault(f, "the RDATA is not as long as it is said to be");
}

/* class_of - the class that the word is, or a negative number. */
static int class_of(const struct fallback *f)
{
	char word[WORD_MAX];
	size_t len = (size_t)(f->word_end - f->word);

	if (len >= sizeof(word) || memchr(f->word, '\0', len))
		return -EINVAL;
	memcpy(word, f->word, len);
	word[len] = '\0';
	return class_from_name(word);
}

/* head_read - TTL and class, either first, both optional (RFC 1035 5.1), and the type. */
static bool head_read(struct fallback *f)
{
	bool class_stated = false;

	for (;;) {
		if (!fallback_wanted(f))
			return false;
		if (!class_stated && class_of(f) == CLASS_IN) {
			class_stated = true;
			if (!fallback_word(f))
				return false;
		} else if (!f->ttl_stated && f->word < f->word_end && digit(*f->word)) {
			f->ttl_stated = true;
			if (!time_read(f, &f->ttl))
				return false;
		} else {
			return type_read(f, &f->type);
		}
	}
}

static bool entry_read(struct fallback *f, bool owner_stated)
{
	if (!fallback_word(f))
		return false;
	if (owner_stated) {
		if (!fallback_wanted(f) || !name_of(f, f->owner, &f->owner_len) || !fallback_word(f))
			return false;
	} else if (f->owner_len == 0) {
		return fallback_fault(f, "no owner: none stated here or before");
	}
	if (!head_read(f))
		return false;
	if (word_is(f, "\\#"))
		return generic_read(f);

	const uint8_t *field = form_fields(f->type);

	if (!field)
		return fallback_fault(f, "this type has no text form but \\# LENGTH HEX");
	for (; *field != RD_END; field++)
		if (!field_read(f, *field))
			return false;
	return !f->word || fallback_fault(f, unexpected);
}

const char *fallback_read(struct fallback *f, const char *text, size_t len)
{
	f->ttl_stated = false;
	f->type = 0;
	f->rdata_len = 0;
	f->at = text;
	f->end = text + len;
	f->depth = 0;
	f->word = NULL;
	f->open = false;
	return entry_read(f, len > 0 && !is_blank(*text)) ? NULL : f->cause;
}
