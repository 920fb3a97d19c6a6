/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two octets of RR type, then octets that are read as a name in every way, as its
 * text, and as RDATA of that type. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/answer/name.h"
#include "dataplane/answer/rrtype.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* A name that was read is whole, and survives text and keys. */
static void check_name(const struct name *n)
{
	char text[NAME_TEXT_MAX];
	uint8_t key[NAME_KEY_MAX];
	struct name back;

	require(n->len == name_wire_len(n->wire));
	require(n->labels == name_wire_labels(n->wire));
	require(n->wire[n->off[n->labels]] == 0);
	require(name_key(key, n->wire) <= sizeof(key));
	require(name_from_text(&back, name_to_text(text, n->wire)) == 0);
	require(back.len == n->len && name_cmp(back.wire, n->wire) == 0);
	require(name_within(n->wire, n->wire + name_suffix(n, n->labels / 2)));
}

static void check_rdata(uint16_t type, const uint8_t *rdata, size_t len)
{
	size_t at = 0, pos;
	unsigned field = 0;
	enum rd_field kind;

	if (rdata_check(type, rdata, len))
		return;
	while (rdata_next_name(type, rdata, len, &at, &field, &pos, &kind))
		require(at <= len && name_wire_len(rdata + pos) == at - pos);
	require(rdata_cmp(type, rdata, len, rdata, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct name n;

	if (size < 2)
		return 0;
	uint16_t type = (uint16_t)(data[0] << 8 | data[1]);

	data += 2;
	size -= 2;
	for (size_t at = 0; at < size && at < 64; at++) {
		size_t end = name_read(&n, data, at, size);

		if (end) {
			require(end <= size && end == at + n.len);
			check_name(&n);
		}
		end = name_unpack(&n, data, at, size);
		if (end) {
			require(end <= size && end == name_skip(data, at, size));
			check_name(&n);
		}
	}
	check_rdata(type, data, size);

	char *text = malloc(size + 1);

	require(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	if (name_from_text(&n, text) == 0)
		check_name(&n);
	free(text);
	return 0;
}
