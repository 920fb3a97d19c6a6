/* SPDX-License-Identifier: GPL-3.0-or-later */
/* form_text.c - RDATA as text, for the types that libknot has no text form of; see
 * form.h. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/answer/name.h"
#include "form.h"

/* RDATA being read and text being written; `full` once something did not fit. */
struct writer {
	char *text;
	size_t size, len;
	bool full;
	uint16_t type;
	const uint8_t *rdata, *at, *end;
};

static void put(struct writer *w, const char *text, size_t len)
{
	if (w->full || len >= w->size - w->len) {
		w->full = true;
		return;
	}
	memcpy(w->text + w->len, text, len);
	w->len += len;
	w->text[w->len] = '\0';
}

static void put_text(struct writer *w, const char *text)
{
	put(w, text, strlen(text));
}

static void put_number(struct writer *w, uint64_t number)
{
	char text[24];

	put(w, text, (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)number));
}

static void put_hex(struct writer *w, const uint8_t *octets, size_t len)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < len; i++) {
		const char pair[2] = { digits[octets[i] >> 4], digits[octets[i] & 15] };

		put(w, pair, 2);
	}
}

static void put_base64(struct writer *w, const uint8_t *octets, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t bits = (uint32_t)octets[i] << 16;
		char group[4];

		if (n > 1)
			bits |= (uint32_t)octets[i + 1] << 8;
		if (n > 2)
			bits |= octets[i + 2];
		for (unsigned d = 0; d < 4; d++)
			group[d] = d <= n ? digits[bits >> (18 - 6 * d) & 63] : '=';
		put(w, group, 4);
	}
}

static void put_quoted(struct writer *w, const uint8_t *octets, size_t len)
{
	put(w, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		char text[8];

		if (octets[i] < ' ' || octets[i] >= 0x7f)
			snprintf(text, sizeof(text), "\\%03u", octets[i]);
		else
			snprintf(text, sizeof(text), "%s%c",
				 octets[i] == '"' || octets[i] == '\\' ? "\\" : "", octets[i]);
		put_text(w, text);
	}
	put(w, "\"", 1);
}

/* number_take - the next `size` octets, of which checked RDATA has enough for the
 * fields of rrtype.h; where a text has more fields than those, they may be missing. */
static uint64_t number_take(struct writer *w, unsigned size)
{
	uint64_t number = 0;

	if ((size_t)(w->end - w->at) < size) {
		w->full = true;
		return 0;
	}
	while (size-- > 0)
		number = number << 8 | *w->at++;
	return number;
}

static void write_name(struct writer *w)
{
	char text[NAME_TEXT_MAX];

	put_text(w, name_to_text(text, w->at));
	w->at += name_wire_len(w->at);
}

static void write_address(struct writer *w, int family)
{
	char text[INET6_ADDRSTRLEN];
	size_t len = family == AF_INET ? 4 : 16;

	if ((size_t)(w->end - w->at) < len) {
		w->full = true;
		return;
	}
	put_text(w, inet_ntop(family, w->at, text, sizeof(text)));
	w->at += len;
}

static void write_string(struct writer *w)
{
	size_t len = number_take(w, 1);

	put_quoted(w, w->at, len);
	w->at += len;
}

static void write_strings(struct writer *w)
{
	write_string(w);
	while (w->at < w->end && !w->full) {
		put(w, " ", 1);
		write_string(w);
	}
}

static void write_rest(struct writer *w)
{
	if (w->at == w->end)
		put(w, "-", 1);
	put_base64(w, w->at, (size_t)(w->end - w->at));
	w->at = w->end;
}

static void write_hex(struct writer *w)
{
	put_hex(w, w->at, (size_t)(w->end - w->at));
	w->at = w->end;
}

static void write_type(struct writer *w, unsigned type)
{
	char text[16];

	put_text(w, rrtype_name(text, (uint16_t)type));
}

/* write_bits - what stands for each bit that is set in the rest. */
static void write_bits(struct writer *w, void (*what)(struct writer *w, unsigned bit))
{
	size_t cnt = (size_t)(w->end - w->at) * 8;

	for (unsigned bit = 0; bit < cnt && bit <= UINT16_MAX; bit++) {
		if (!(w->at[bit / 8] & 0x80 >> bit % 8))
			continue;
		put(w, " ", 1);
		what(w, bit);
	}
	w->at = w->end;
}

static void write_port(struct writer *w, unsigned port)
{
	put_number(w, port);
}

/* An E.164 address stands in digits already. */
static void write_atma(struct writer *w)
{
	bool e164 = number_take(w, 1) == 1;

	if (!e164) {
		write_hex(w);
		return;
	}
	put(w, "+", 1);
	put(w, (const char *)w->at, (size_t)(w->end - w->at));
	w->at = w->end;
}

static void write_hip(struct writer *w)
{
	size_t hit = number_take(w, 1);

	put_number(w, number_take(w, 1));

	size_t key = number_take(w, 2);

	put(w, " ", 1);
	put_hex(w, w->at, hit);
	put(w, " ", 1);
	put_base64(w, w->at + hit, key);
	w->at += hit + key;
}

static void write_names(struct writer *w)
{
	while (w->at < w->end) {
		write_name(w);
		if (w->at < w->end)
			put(w, " ", 1);
	}
}

static void write_relay(struct writer *w)
{
	uint64_t octet = number_take(w, 1);

	put_number(w, octet >> 7);
	put(w, " ", 1);
	put_number(w, octet & 0x7f);
}

static void write_gateway(struct writer *w)
{
	switch (w->rdata[1] & (w->type == 45 ? 0xff : 0x7f)) {
	case 1:
		write_address(w, AF_INET);
		break;
	case 2:
		write_address(w, AF_INET6);
		break;
	case 3:
		write_name(w);
		break;
	default:
		put(w, ".", 1);
	}
}

static void write_a6(struct writer *w)
{
	unsigned prefix = (unsigned)number_take(w, 1);
	uint8_t address[16] = { 0 };
	char text[INET6_ADDRSTRLEN];
	size_t skip = prefix / 8;

	put_number(w, prefix);
	if (prefix < 128) {
		memcpy(address + skip, w->at, 16 - skip);
		w->at += 16 - skip;
		put(w, " ", 1);
		put_text(w, inet_ntop(AF_INET6, address, text, sizeof(text)));
	}
	if (prefix > 0) {
		put(w, " ", 1);
		write_name(w);
	}
}

/* field_write - false when there is no text for it here. */
static bool field_write(struct writer *w, uint8_t field)
{
	switch (field) {
	case RD_NAME_C:
	case RD_NAME_L:
	case RD_NAME:
		write_name(w);
		break;
	case RD_NAMES:
		write_names(w);
		break;
	case RD_8:
	case FORM_ALGORITHM:
	case FORM_DIGEST:
	case FORM_HASH:
	case FORM_PROTOCOL:
		put_number(w, number_take(w, 1));
		break;
	case FORM_SCHEME: {
		uint64_t scheme = number_take(w, 1);

		if (scheme == 1)
			put_text(w, "NOTIFY");
		else
			put_number(w, scheme);
		break;
	}
	case RD_16:
	case FORM_CERT:
	case FORM_FLAGS:
		put_number(w, number_take(w, 2));
		break;
	case RD_32:
	case FORM_TIME:
	case FORM_STAMP:
		put_number(w, number_take(w, 4));
		break;
	case RD_64:
		put_number(w, number_take(w, 8));
		break;
	case RD_STRING:
		write_string(w);
		break;
	case RD_STRINGS:
		write_strings(w);
		break;
	case RD_REST:
	case RD_REST_1:
		write_rest(w);
		break;
	case RD_GATEWAY:
		write_gateway(w);
		break;
	case RD_HIP:
		write_hip(w);
		break;
	case RD_A6:
		write_a6(w);
		break;
	case FORM_IPV4:
		write_address(w, AF_INET);
		break;
	case FORM_TYPE:
		write_type(w, (unsigned)number_take(w, 2));
		break;
	case FORM_HEX:
		write_hex(w);
		break;
	case FORM_NSAP:
		put_text(w, "0x");
		write_hex(w);
		break;
	case FORM_ATMA:
		write_atma(w);
		break;
	case FORM_RELAY:
		write_relay(w);
		break;
	case FORM_SERVICES:
		put_number(w, number_take(w, 1));
		write_bits(w, write_port);
		break;
	case FORM_NXT:
		write_bits(w, write_type);
		break;
	default:
		return false;
	}
	return !w->full;
}

size_t form_text(char *text, size_t size, uint16_t type, const uint8_t *rdata, size_t len)
{
	struct writer w = { text, size, 0, size == 0, type, rdata, rdata, rdata + len };
	const uint8_t *field = form_fields(type);

	for (size_t i = 0; field && field[i] != RD_END; i++) {
		/* Names may be none, and then no blank ends the text. */
		if (i > 0 && !(field[i] == RD_NAMES && w.at == w.end) && field[i] != FORM_NXT)
			put(&w, " ", 1);
		if (!field_write(&w, field[i]))
			return 0;
	}
	return w.full ? 0 : w.len;
}
