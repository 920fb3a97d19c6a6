/* SPDX-License-Identifier: GPL-3.0-or-later */
/* totext.c - records in master-file form; see zonefile.h.
 *
 * RDATA is written by libknot, or by form_text where libknot has only the generic
 * form (RFC 3597 section 5).  Where that text would not be read back as the same
 * octets (RDATA that is well formed but that its text form cannot say), the generic
 * form stands instead: every candidate is read as a zone file's reader does, by the
 * scanner or else the fallback, before it is taken.
 */
#include <errno.h>
#include <libknot/rrset-dump.h>
#include <libzscanner/scanner.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/answer/rrtype.h"
#include "fallback.h"
#include "form.h"
#include "zonefile.h"

/* Text being written. */
struct sink {
	char *text;
	size_t size, len; /* len < size */
};

static bool put(struct sink *s, const char *text, size_t len)
{
	if (len >= s->size - s->len)
		return false;
	memcpy(s->text + s->len, text, len);
	s->len += len;
	s->text[s->len] = '\0';
	return true;
}

static bool plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '/' || c == '*';
}

/* put_name - with every octet escaped that the scanner refuses unescaped. */
static bool put_name(struct sink *s, const uint8_t *wire)
{
	if (*wire == 0)
		return put(s, ".", 1);
	for (; *wire != 0; wire += *wire + 1u) {
		for (unsigned i = 1; i <= *wire; i++) {
			uint8_t c = wire[i];
			char text[8];
			size_t len = 0;

			if (!plain(c))
				text[len++] = '\\';
			if (c > ' ' && c < 0x7f)
				text[len++] = (char)c;
			else
				len += (size_t)snprintf(text + len, sizeof(text) - len, "%03u", c);
			if (!put(s, text, len))
				return false;
		}
		if (!put(s, ".", 1))
			return false;
	}
	return true;
}

static bool put_generic(struct sink *s, const uint8_t *rdata, uint16_t len)
{
	static const char hex[] = "0123456789ABCDEF";
	char text[16];
	int n = snprintf(text, sizeof(text), "\\# %u ", len);

	if (!put(s, text, (size_t)n - (len == 0)))
		return false;
	for (unsigned i = 0; i < len; i++) {
		const char octet[2] = { hex[rdata[i] >> 4], hex[rdata[i] & 15] };

		if (!put(s, octet, 2))
			return false;
	}
	return true;
}

/* put_text - RDATA as libknot writes it, or form_text; false when neither can. */
static bool put_text(struct sink *s, uint16_t type, const uint8_t *rdata, uint16_t len)
{
	static const knot_dump_style_t style = { .human_timestamp = true };
	static _Thread_local uint8_t room[sizeof(knot_rdata_t) + KNOT_RDATA_MAXLEN + 1]
		__attribute__((aligned(__alignof__(knot_rdata_t))));
	static uint8_t root[] = { 0 };
	knot_rrset_t set;

	knot_rdata_init((knot_rdata_t *)room, len, rdata);
	knot_rrset_init(&set, root, type, CLASS_IN, 0);
	set.rrs.count = 1;
	set.rrs.size = (uint32_t)knot_rdata_size(len);
	set.rrs.rdata = (knot_rdata_t *)room;

	int n = knot_rrset_txt_dump_data(&set, 0, s->text + s->len, s->size - s->len, &style);

	if (n < 0 || (size_t)n >= s->size - s->len) {
		s->text[s->len] = '\0';
		return false;
	}
	if (strncmp(s->text + s->len, "\\# ", 3) == 0) {
		size_t form = form_text(s->text + s->len, s->size - s->len, type, rdata, len);

		s->len += form;
		return form > 0;
	}
	s->len += (size_t)n;
	while (s->text[s->len - 1] == ' ' && s->text[s->len - 2] != '\\')
		s->text[--s->len] = '\0'; /* libknot ends some types with a blank */
	return true;
}

/* falls_back - does the fallback make the same type and RDATA of this text? */
static bool falls_back(const struct sink *s, uint16_t type, const uint8_t *rdata, uint16_t len)
{
	static _Thread_local struct fallback f;
	static const uint8_t root[] = { 0 };

	f.origin = root;
	f.owner_len = 0;
	return !fallback_read(&f, s->text, s->len) && f.type == type && f.rdata_len == len &&
	       memcmp(f.rdata, rdata, len) == 0;
}

/* reads_back - does the reader make the same type and RDATA of this text? */
static bool reads_back(const struct sink *s, uint16_t type, const uint8_t *rdata, uint16_t len)
{
	/* 200 KiB, for each thread that comes here; it keeps nothing between calls. */
	static _Thread_local zs_scanner_t scanner;
	static _Thread_local bool ready;
	static _Thread_local int start;

	if (!ready) {
		if (zs_init(&scanner, NULL, CLASS_IN, 0) < 0)
			return false;
		zs_deinit(&scanner);
		scanner.path = NULL;
		start = scanner.cs;
		ready = true;
	}
	scanner.cs = start;
	scanner.top = 0;
	scanner.multiline = false;
	scanner.long_string = false;
	scanner.comma_list = false;
	scanner.error.fatal = false;
	zs_set_input_string(&scanner, s->text, s->len);
	if (zs_parse_record(&scanner) == 0 && scanner.state == ZS_STATE_DATA)
		return scanner.r_type == type && scanner.r_data_length == len &&
		       memcmp(scanner.r_data, rdata, len) == 0;
	return falls_back(s, type, rdata, len);
}

int record_to_text(char *text, size_t size, const uint8_t *owner, uint16_t type,
		   uint32_t ttl, const uint8_t *rdata, uint16_t rdata_len)
{
	struct sink s = { text, size, 0 };
	char middle[64], name[16];

	if (size == 0 || !put_name(&s, owner) ||
	    !put(&s, middle, (size_t)snprintf(middle, sizeof(middle), " %lu IN ", (unsigned long)ttl)))
		return -ENOSPC;

	size_t type_at = s.len;

	rrtype_name(name, type);
	if (!put(&s, name, strlen(name)) || !put(&s, " ", 1))
		return -ENOSPC;

	size_t rdata_at = s.len;

	if (put_text(&s, type, rdata, rdata_len) && reads_back(&s, type, rdata, rdata_len))
		return 0;

	s.len = rdata_at;
	if (put_generic(&s, rdata, rdata_len) && reads_back(&s, type, rdata, rdata_len))
		return 0;

	/* No type of this name can be data: a meta-type. */
	s.len = type_at;
	if (!put(&s, middle, (size_t)snprintf(middle, sizeof(middle), "TYPE%u ", type)) ||
	    !put_generic(&s, rdata, rdata_len))
		return -ENOSPC;
	return 0;
}
