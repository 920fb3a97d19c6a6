/* SPDX-License-Identifier: GPL-3.0-or-later */
/* irregular.c - RDATA with a grammar of its own; see fallback_private.h. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "fallback_private.h"
#include "form.h"
#include "services.h"

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* ---- LOC (RFC 1876 section 3) ---- */

/* fixed_read - a decimal number with up to `places` digits behind the point, as that
 * many times ten to the power; an "m" may end it if so said. */
static bool fixed_read(struct fallback *f, unsigned places, bool metres, uint64_t max,
		       uint64_t *number)
{
	const char *p = f->word, *end = f->word_end;

	if (metres && end - p > 1 && (end[-1] == 'm' || end[-1] == 'M'))
		end--;
	if (p == end || !digit(*p))
		return fallback_fault(f, "invalid number");
	*number = 0;
	for (bool point = false; p < end || places > 0; ) {
		unsigned d = 0;

		if (p < end && *p == '.' && !point) {
			point = true;
			p++;
			continue;
		}
		if (p < end) {
			if (!digit(*p) || (point && places == 0))
				return fallback_fault(f, "invalid number");
			d = (unsigned)(*p++ - '0');
			places -= point;
		} else {
			places--;
		}
		*number = *number * 10 + d;
		if (*number > max)
			return fallback_fault(f, "number is too big");
	}
	return fallback_word(f);
}

/* angle_read - degrees, minutes and seconds in thousandths, and where to. */
static bool angle_read(struct fallback *f, unsigned degrees_max, const char letters[2],
		       uint32_t *out)
{
	static const uint64_t worth[3] = { 3600000, 60000, 1 };
	uint64_t angle = 0, number, max[3] = { degrees_max, 59, 59999 };

	for (unsigned i = 0; i < 4; i++) {
		if (!fallback_wanted(f))
			return false;
		if (i > 0 && f->word_end - f->word == 1 &&
		    (*f->word & ~0x20) >= 'A' && memchr(letters, *f->word & ~0x20, 2)) {
			/* The equator and the zero meridian are 2^31; north and east add. */
			bool adds = (*f->word & ~0x20) == letters[0];

			*out = UINT32_C(1) << 31;
			*out = adds ? *out + (uint32_t)angle : *out - (uint32_t)angle;
			return angle <= degrees_max * worth[0] ? fallback_word(f)
							       : fallback_fault(f, "angle is too big");
		}
		if (i == 3)
			break;
		if (!fixed_read(f, i == 2 ? 3 : 0, false, max[i], &number))
			return false;
		angle += number * worth[i];
	}
	return fallback_fault(f, "an angle has no direction behind it");
}

/* size_read - centimetres as a digit and a power of ten; optional. */
static bool size_read(struct fallback *f, uint8_t *size)
{
	uint64_t cm;
	unsigned power = 0;

	if (!f->word)
		return true;
	if (!fixed_read(f, 2, true, UINT64_C(9000000000), &cm))
		return false;
	for (; cm >= 10; cm /= 10)
		power++;
	*size = (uint8_t)(cm << 4 | power);
	return true;
}

static bool loc_read(struct fallback *f)
{
	/* Defaults: a metre across, ten kilometres and ten metres off. */
	uint8_t sizes[3] = { 0x12, 0x16, 0x13 };
	uint32_t latitude, longitude;
	uint64_t altitude;
	bool below;

	if (!angle_read(f, 90, "NS", &latitude) || !angle_read(f, 180, "EW", &longitude) ||
	    !fallback_wanted(f))
		return false;
	below = f->word < f->word_end && *f->word == '-';
	f->word += below;
	/* Altitude 0 is 100 km below the spheroid. */
	if (!fixed_read(f, 2, true, below ? 10000000 : UINT64_C(4284967295), &altitude) ||
	    !size_read(f, &sizes[0]) || !size_read(f, &sizes[1]) || !size_read(f, &sizes[2]))
		return false;
	return fallback_put_number(f, 0, 1) && fallback_put(f, sizes, 3) &&
	       fallback_put_number(f, latitude, 4) && fallback_put_number(f, longitude, 4) &&
	       fallback_put_number(f, below ? 10000000 - altitude : 10000000 + altitude, 4);
}

/* ---- APL: [!]FAMILY:ADDRESS/PREFIX (RFC 3123 section 5) ---- */

static bool prefix_read(struct fallback *f)
{
	const char *p = f->word, *end = f->word_end;
	bool negated = *p == '!';
	const char *colon, *slash;
	char text[INET6_ADDRSTRLEN + 1];
	uint8_t address[16];
	uint64_t family, prefix;

	p += negated;
	colon = memchr(p, ':', (size_t)(end - p));
	slash = memchr(p, '/', (size_t)(end - p));
	if (!colon || !slash || slash < colon || slash - colon - 1 >= (long)sizeof(text))
		return fallback_fault(f, "invalid address prefix");
	if (!fallback_digits(f, p, colon, UINT16_MAX, &family) ||
	    !fallback_digits(f, slash + 1, end, family == 1 ? 32 : 128, &prefix))
		return false;

	size_t len = (size_t)(slash - colon - 1);

	memcpy(text, colon + 1, len);
	text[len] = '\0';
	if (family < 1 || family > 2 || strlen(text) != len ||
	    inet_pton(family == 1 ? AF_INET : AF_INET6, text, address) != 1)
		return fallback_fault(f, "invalid address prefix");
	len = family == 1 ? 4 : 16;
	while (len > 0 && address[len - 1] == 0)
		len--;
	return fallback_put_number(f, family, 2) && fallback_put_number(f, prefix, 1) &&
	       fallback_put_number(f, len | (negated ? 0x80 : 0), 1) &&
	       fallback_put(f, address, len) && fallback_word(f);
}

static bool apl_read(struct fallback *f)
{
	while (f->word)
		if (f->word == f->word_end ? !fallback_fault(f, "invalid address prefix")
					   : !prefix_read(f))
			return false;
	return true;
}

/* ---- WKS (RFC 1035 section 3.4.2), NSAP (RFC 1706), ATMA ---- */

static bool services_read(struct fallback *f)
{
	uint8_t *ports = f->scratch;
	size_t len = 0;
	uint64_t number;
	char word[WORD_MAX];

	memset(ports, 0, 65536 / 8);
	if (!fallback_short(f, word))
		return false;
	int protocol = digit(word[0]) ? -1 : services_protocol(word);

	if (protocol >= 0)
		number = (uint64_t)protocol;
	else if (!digit(word[0]))
		return fallback_fault(f, "unknown protocol");
	else if (!fallback_digits(f, f->word, f->word_end, 255, &number))
		return false;
	if (!fallback_put_number(f, number, 1) || !fallback_word(f))
		return false;
	protocol = (int)number;
	while (f->word) {
		if (!fallback_short(f, word))
			return false;
		int port = digit(word[0]) ? -1 : services_port(word, (unsigned)protocol);

		if (port >= 0)
			number = (uint64_t)port;
		else if (!digit(word[0]))
			return fallback_fault(f, "unknown service");
		else if (!fallback_digits(f, f->word, f->word_end, 65535, &number))
			return false;
		ports[number / 8] |= (uint8_t)(0x80 >> number % 8);
		if (number / 8 >= len)
			len = number / 8 + 1;
		if (!fallback_word(f))
			return false;
	}
	return fallback_put(f, ports, len);
}

/* dotted_put - pairs of hex digits from p to the word's end; dots mean nothing. */
static bool dotted_put(struct fallback *f, const char *p)
{
	int half = -1;

	for (; p < f->word_end; p++) {
		int value = fallback_hex_digit(*p);

		if (*p == '.')
			continue;
		if (value < 0)
			return fallback_fault(f, "invalid hexadecimal character");
		if (half >= 0 && !fallback_put_number(f, (uint64_t)(half << 4 | value), 1))
			return false;
		half = half >= 0 ? -1 : value;
	}
	return half < 0 ? fallback_word(f)
			: fallback_fault(f, "an odd number of hexadecimal characters");
}

static bool nsap_read(struct fallback *f)
{
	if (!fallback_wanted(f))
		return false;
	if (f->word_end - f->word < 3 || f->word[0] != '0' || (f->word[1] | 0x20) != 'x')
		return fallback_fault(f, "an NSAP address begins with 0x");
	return dotted_put(f, f->word + 2);
}

/* A plus sign leads an E.164 number, of which dots are no part. */
static bool atma_read(struct fallback *f)
{
	if (!fallback_wanted(f))
		return false;
	if (f->word == f->word_end || *f->word != '+')
		return fallback_put_number(f, 0, 1) && dotted_put(f, f->word);
	if (!fallback_put_number(f, 1, 1))
		return false;
	for (const char *p = f->word + 1; p < f->word_end; p++) {
		if (*p == '.')
			continue;
		if (!digit(*p))
			return fallback_fault(f, "an E.164 address has digits only");
		if (!fallback_put_number(f, (uint8_t)*p, 1))
			return false;
	}
	return fallback_word(f);
}

/* ---- SvcParams (RFC 9460 section 2.1 and appendix A) ---- */

enum { /* those whose values have a text form of their own */
	PARAM_MANDATORY = 0, PARAM_ALPN = 1, PARAM_NO_DEFAULT_ALPN = 2, PARAM_PORT = 3,
	PARAM_IPV4HINT = 4, PARAM_ECH = 5, PARAM_IPV6HINT = 6, PARAM_OHTTP = 8,
	PARAM_TLS_GROUPS = 9, PARAM_DOCPATH = 10,
};

/* item_of - the next of a comma-separated list in *at, copied with a NUL: numbers,
 * addresses, and names of keys have no escapes. */
static bool item_of(struct fallback *f, const uint8_t **at, const uint8_t *end, char *item,
		    size_t size)
{
	size_t len = 0;

	for (; *at < end && **at != ','; ++*at) {
		if (len + 1 >= size || **at == '\0')
			return fallback_fault(f, "invalid list in a service parameter");
		item[len++] = (char)**at;
	}
	item[len] = '\0';
	return len > 0 || fallback_fault(f, "empty item in a service parameter");
}

/* octets_of - the same with escapes, as a length octet and octets in the RDATA
 * (RFC 9460 appendix A.1). */
static bool octets_of(struct fallback *f, const uint8_t **at, const uint8_t *end)
{
	size_t head = f->rdata_len;

	if (!fallback_put_number(f, 0, 1))
		return false;
	for (; *at < end && **at != ','; ++*at) {
		if (**at == '\\' && ++*at == end)
			return fallback_fault(f, "a backslash ends a service parameter");
		if (!fallback_put(f, *at, 1))
			return false;
	}
	if (f->rdata_len - head < 2 || f->rdata_len - head > 256)
		return fallback_fault(f, "item of a service parameter is not of 1 to 255 octets");
	f->rdata[head] = (uint8_t)(f->rdata_len - head - 1);
	return true;
}

static bool item_read(struct fallback *f, int key, const uint8_t **at, const uint8_t *end)
{
	char item[INET6_ADDRSTRLEN + 1];
	uint8_t address[16];
	uint64_t number;

	if (key == PARAM_ALPN || key == PARAM_DOCPATH)
		return octets_of(f, at, end);
	if (!item_of(f, at, end, item, sizeof(item)))
		return false;
	switch (key) {
	case PARAM_MANDATORY: {
		int listed = form_param(item);

		if (listed < 0)
			return fallback_fault(f, "unknown service parameter");
		return fallback_put_number(f, (uint64_t)listed, 2);
	}
	case PARAM_IPV4HINT:
		if (inet_pton(AF_INET, item, address) != 1)
			return fallback_fault(f, "invalid IPv4 address");
		return fallback_put(f, address, 4);
	case PARAM_IPV6HINT:
		if (inet_pton(AF_INET6, item, address) != 1)
			return fallback_fault(f, "invalid IPv6 address");
		return fallback_put(f, address, 16);
	default: /* port and groups */
		return fallback_digits(f, item, item + strlen(item), UINT16_MAX, &number) &&
		       fallback_put_number(f, number, 2);
	}
}

static int keys_order(const void *a, const void *b)
{
	return memcmp(a, b, 2);
}

/* value_read - the value, which stands decoded in scratch[0..len). */
static bool value_read(struct fallback *f, int key, size_t len, bool stated)
{
	const uint8_t *at = f->scratch, *end = at + len;
	size_t head = f->rdata_len;
	struct fallback_base64 b = { 0 };

	switch (key) {
	case PARAM_NO_DEFAULT_ALPN:
	case PARAM_OHTTP:
		return len == 0 || fallback_fault(f, "this service parameter has no value");
	case PARAM_ECH:
		if (len == 0)
			return fallback_fault(f, "this service parameter needs a value");
		return fallback_base64(f, &b, (const char *)at, (const char *)end) &&
		       fallback_base64_end(f, &b);
	case PARAM_DOCPATH: /* without a value: the root path */
		if (len == 0)
			return true;
		break;
	case PARAM_MANDATORY:
	case PARAM_ALPN:
	case PARAM_PORT:
	case PARAM_IPV4HINT:
	case PARAM_IPV6HINT:
	case PARAM_TLS_GROUPS:
		if (!stated)
			return fallback_fault(f, "this service parameter needs a value");
		break;
	default:
		return fallback_put(f, at, len);
	}
	for (;; at++) {
		if (!item_read(f, key, &at, end))
			return false;
		if (at == end)
			break;
		if (key == PARAM_PORT)
			return fallback_fault(f, "there is more than one port");
	}
	/* The list of keys rises on the wire (RFC 9460 section 8). */
	if (key == PARAM_MANDATORY)
		qsort(f->rdata + head, (f->rdata_len - head) / 2, 2, keys_order);
	return true;
}

/* param_read - append one, whatever its key. */
static bool param_read(struct fallback *f)
{
	size_t begin = f->rdata_len, len = 0, name_len;
	const char *end = f->word_end, *p;
	char name[WORD_MAX];

	p = memchr(f->word, '=', (size_t)(end - f->word));

	bool stated = p;

	name_len = (size_t)((p ? p : end) - f->word);
	if (name_len >= sizeof(name))
		return fallback_fault(f, "unknown service parameter");
	memcpy(name, f->word, name_len);
	name[name_len] = '\0';

	int key = strlen(name) == name_len ? form_param(name) : -1;

	if (key < 0)
		return fallback_fault(f, "unknown service parameter");

	/* The whole parameter or its value alone may stand in quotes. */
	p = p ? p + 1 : end;
	if (!f->quoted && p < end && *p == '"') {
		p++;
		end--;
		if (end < p || *end != '"')
			return fallback_fault(f, "unexpected data behind a quoted value");
	}
	while (p < end) {
		if (len == sizeof(f->scratch))
			return fallback_fault(f, "RDATA is longer than 65535 octets");
		if (!f->quoted && f->word_end == end && *p == '"')
			return fallback_fault(f, "a quote within a value");
		if (!fallback_octet(f, &p, end, &f->scratch[len++]))
			return false;
	}
	/* Behind keyN stand the value's own octets, whatever N is (RFC 9460 section 2.1). */
	if (!fallback_put_number(f, (uint64_t)key, 2) || !fallback_put_number(f, 0, 2) ||
	    !(strncmp(name, "key", 3) == 0 ? fallback_put(f, f->scratch, len)
					   : value_read(f, key, len, stated)))
		return false;
	len = f->rdata_len - begin - 4;
	f->rdata[begin + 2] = (uint8_t)(len >> 8);
	f->rdata[begin + 3] = (uint8_t)len;
	return fallback_word(f);
}

static int params_order(const void *a, const void *b)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

/* params_read - they stand in any order in text, and by key on the wire (RFC 9460
 * section 2.2). */
static bool params_read(struct fallback *f)
{
	size_t first = f->rdata_len, len, cnt = 0;

	for (; f->word; cnt++) {
		size_t begin = f->rdata_len;

		if (!param_read(f))
			return false;
		/* Each took four octets or more: there is room. */
		f->params[cnt] = (uint32_t)f->rdata[begin] << 24 |
				 (uint32_t)f->rdata[begin + 1] << 16 | (uint32_t)begin;
	}
	qsort(f->params, cnt, sizeof(f->params[0]), params_order);

	len = f->rdata_len;
	memcpy(f->scratch, f->rdata, len);
	f->rdata_len = first;
	for (size_t i = 0; i < cnt; i++) {
		size_t begin = f->params[i] & 0xffff;
		size_t size = 4 + ((size_t)f->scratch[begin + 2] << 8 | f->scratch[begin + 3]);

		if (i > 0 && f->params[i] >> 16 == f->params[i - 1] >> 16)
			return fallback_fault(f, "duplicate parameter name");
		if (!fallback_put(f, f->scratch + begin, size))
			return false;
	}
	return true;
}

bool irregular_read(struct fallback *f, uint8_t field)
{
	switch (field) {
	case RD_LOC:
		return loc_read(f);
	case RD_APL:
		return apl_read(f);
	case RD_PARAMS:
		return params_read(f);
	case FORM_SERVICES:
		return services_read(f);
	case FORM_NSAP:
		return nsap_read(f);
	case FORM_ATMA:
		return atma_read(f);
	default:
		return fallback_fault(f, "this type has no text form but \\# LENGTH HEX");
	}
}
