/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rrtype.c - the RR types and their RDATA; see rrtype.h. */
#include "rrtype.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "name.h"

struct rrtype {
	const char *name;
	const uint8_t *fields; /* NULL: shape unknown, or never data */
};

#define F(...) (const uint8_t[]){ __VA_ARGS__, RD_END }
/* That a signature, key, digest or certificate has octets at all is not asked for: NSD reads "" for
 * none in text, and nothing here looks into them. */
#define F_SIG F(RD_16, RD_8, RD_8, RD_32, RD_32, RD_32, RD_16, RD_NAME_L, RD_REST)
#define F_KEY F(RD_16, RD_8, RD_8, RD_REST)
#define F_DS  F(RD_16, RD_8, RD_8, RD_REST)

/* By type number (IANA "Resource Record (RR) TYPEs"); gaps are unknown types. */
static const struct rrtype low_types[] = {
	[1] = { "A", F(RD_32) },
	[2] = { "NS", F(RD_NAME_C) },
	[3] = { "MD", F(RD_NAME_C) },
	[4] = { "MF", F(RD_NAME_C) },
	[5] = { "CNAME", F(RD_NAME_C) },
	[6] = { "SOA", F(RD_NAME_C, RD_NAME_C, RD_32, RD_32, RD_32, RD_32, RD_32) },
	[7] = { "MB", F(RD_NAME_C) },
	[8] = { "MG", F(RD_NAME_C) },
	[9] = { "MR", F(RD_NAME_C) },
	[10] = { "NULL", F(RD_REST) },
	[11] = { "WKS", F(RD_32, RD_8, RD_REST) },
	[12] = { "PTR", F(RD_NAME_C) },
	[13] = { "HINFO", F(RD_STRING, RD_STRING) },
	[14] = { "MINFO", F(RD_NAME_C, RD_NAME_C) },
	[15] = { "MX", F(RD_16, RD_NAME_C) },
	[16] = { "TXT", F(RD_STRINGS) },
	[17] = { "RP", F(RD_NAME_L, RD_NAME_L) },
	[18] = { "AFSDB", F(RD_16, RD_NAME_L) },
	[19] = { "X25", F(RD_STRING) },
	[20] = { "ISDN", F(RD_STRINGS) }, /* one or two: rdata_check counts */
	[21] = { "RT", F(RD_16, RD_NAME_L) },
	[22] = { "NSAP", F(RD_REST_1) },
	[23] = { "NSAP-PTR", F(RD_NAME) },
	[24] = { "SIG", F_SIG },
	[25] = { "KEY", F_KEY }, /* may carry no key (RFC 2535 3.1.2) */
	[26] = { "PX", F(RD_16, RD_NAME_L, RD_NAME_L) },
	[27] = { "GPOS", F(RD_STRING, RD_STRING, RD_STRING) },
	[28] = { "AAAA", F(RD_128) },
	[29] = { "LOC", F(RD_LOC) },
	[30] = { "NXT", F(RD_NAME_L, RD_REST_1) },
	[31] = { "EID", F(RD_REST_1) },
	[32] = { "NIMLOC", F(RD_REST_1) },
	[33] = { "SRV", F(RD_16, RD_16, RD_16, RD_NAME_L) },
	[34] = { "ATMA", F(RD_8, RD_REST_1) },
	[35] = { "NAPTR", F(RD_16, RD_16, RD_STRING, RD_STRING, RD_STRING, RD_NAME_L) },
	[36] = { "KX", F(RD_16, RD_NAME_L) },
	[37] = { "CERT", F(RD_16, RD_16, RD_8, RD_REST) },
	[38] = { "A6", F(RD_A6) },
	[39] = { "DNAME", F(RD_NAME_L) },
	[40] = { "SINK", F(RD_REST_1) },
	[41] = { "OPT", NULL },
	[42] = { "APL", F(RD_APL) },
	[43] = { "DS", F_DS },
	[44] = { "SSHFP", F(RD_8, RD_8, RD_REST) },
	[45] = { "IPSECKEY", F(RD_8, RD_8, RD_8, RD_GATEWAY, RD_REST) },
	[46] = { "RRSIG", F_SIG },
	[47] = { "NSEC", F(RD_NAME, RD_BITMAP) },
	[48] = { "DNSKEY", F_KEY },
	[49] = { "DHCID", F(RD_REST) },
	[50] = { "NSEC3", F(RD_8, RD_8, RD_16, RD_BYTES_8, RD_BYTES_8, RD_BITMAP) },
	[51] = { "NSEC3PARAM", F(RD_8, RD_8, RD_16, RD_BYTES_8) },
	[52] = { "TLSA", F(RD_8, RD_8, RD_8, RD_REST) },
	[53] = { "SMIMEA", F(RD_8, RD_8, RD_8, RD_REST) },
	[55] = { "HIP", F(RD_HIP, RD_NAMES) },
	[56] = { "NINFO", F(RD_STRINGS) },
	[57] = { "RKEY", F_KEY },
	[58] = { "TALINK", F(RD_NAME, RD_NAME) },
	[59] = { "CDS", F_DS },
	[60] = { "CDNSKEY", F_KEY },
	[61] = { "OPENPGPKEY", F(RD_REST) },
	[62] = { "CSYNC", F(RD_32, RD_16, RD_BITMAP) },
	[63] = { "ZONEMD", F(RD_32, RD_8, RD_8, RD_REST) },
	[64] = { "SVCB", F(RD_16, RD_NAME, RD_PARAMS) },
	[65] = { "HTTPS", F(RD_16, RD_NAME, RD_PARAMS) },
	[66] = { "DSYNC", F(RD_16, RD_8, RD_16, RD_NAME) },
	[67] = { "HHIT", F(RD_REST_1) },
	[68] = { "BRID", F(RD_REST_1) },
	[99] = { "SPF", F(RD_STRINGS) },
	[100] = { "UINFO", NULL },
	[101] = { "UID", NULL },
	[102] = { "GID", NULL },
	[103] = { "UNSPEC", F(RD_REST) },
	[104] = { "NID", F(RD_16, RD_64) },
	[105] = { "L32", F(RD_16, RD_32) },
	[106] = { "L64", F(RD_16, RD_64) },
	[107] = { "LP", F(RD_16, RD_NAME) },
	[108] = { "EUI48", F(RD_48) },
	[109] = { "EUI64", F(RD_64) },
	[128] = { "NXNAME", NULL },
	[249] = { "TKEY", NULL },
	[250] = { "TSIG", NULL },
	[251] = { "IXFR", NULL },
	[252] = { "AXFR", NULL },
	[253] = { "MAILB", NULL },
	[254] = { "MAILA", NULL },
	[255] = { "ANY", NULL },
	[256] = { "URI", F(RD_16, RD_16, RD_REST) },
	[257] = { "CAA", F(RD_8, RD_BYTES_8, RD_REST) },
	[258] = { "AVC", F(RD_STRINGS) },
	[259] = { "DOA", F(RD_32, RD_32, RD_8, RD_STRING, RD_REST) },
	[260] = { "AMTRELAY", F(RD_8, RD_8, RD_GATEWAY) },
	[261] = { "RESINFO", F(RD_STRINGS) },
	[262] = { "WALLET", F(RD_STRINGS) },
	[263] = { "CLA", F(RD_STRINGS) },
	[264] = { "IPN", F(RD_64) },
};

#define LOW_CNT (sizeof(low_types) / sizeof(low_types[0]))

enum { TYPE_TA = 32768, TYPE_DLV = 32769 };

static const struct rrtype high_types[] = {
	{ "TA", F_DS },
	{ "DLV", F_DS },
};

#define HIGH_CNT (sizeof(high_types) / sizeof(high_types[0]))

static const struct rrtype *rrtype_get(uint16_t type)
{
	static const struct rrtype unknown = { NULL, NULL };

	if (type < LOW_CNT)
		return &low_types[type];
	if (type >= TYPE_TA && type - TYPE_TA < (int)HIGH_CNT)
		return &high_types[type - TYPE_TA];
	return &unknown;
}

const uint8_t *rrtype_fields(uint16_t type)
{
	return rrtype_get(type)->fields;
}

bool rrtype_is_meta(uint16_t type)
{
	return type == 0 || type == TYPE_OPT || (type >= 128 && type <= 255) || type == 65535;
}

char *rrtype_name(char *buf, uint16_t type)
{
	const char *name = rrtype_get(type)->name;

	if (name)
		snprintf(buf, 16, "%s", name);
	else
		snprintf(buf, 16, "TYPE%u", type);
	return buf;
}

/* number_from_name - the number behind a prefix such as "TYPE", any case: one to five
 * digits, at most 65535 (RFC 3597 section 5); or -EINVAL. */
static int number_from_name(const char *text, const char *prefix)
{
	size_t len = strlen(prefix);
	int number = 0;

	if (strncasecmp(text, prefix, len) != 0 || text[len] == '\0' || strlen(text) > len + 5)
		return -EINVAL;
	for (const char *c = text + len; *c != '\0'; c++) {
		if (*c < '0' || *c > '9')
			return -EINVAL;
		number = number * 10 + (*c - '0');
	}
	return number <= 65535 ? number : -EINVAL;
}

int rrtype_from_name(const char *text)
{
	for (size_t i = 0; i < LOW_CNT; i++)
		if (low_types[i].name && strcasecmp(text, low_types[i].name) == 0)
			return (int)i;
	for (size_t i = 0; i < HIGH_CNT; i++)
		if (strcasecmp(text, high_types[i].name) == 0)
			return TYPE_TA + (int)i;
	return number_from_name(text, "TYPE");
}

/* ---- classes, opcodes, rcodes ---- */

/* name_of_number - that of a table, or prefix and number. */
static char *name_of_number(char *buf, const char *const *names, size_t cnt, const char *prefix,
			    uint16_t number)
{
	if (number < cnt && names[number])
		snprintf(buf, 16, "%s", names[number]);
	else
		snprintf(buf, 16, "%s%u", prefix, number);
	return buf;
}

/* IANA "DNS CLASSes" (RFC 6895 section 3.2). */
static const char *const classes[] = {
	[CLASS_IN] = "IN", [CLASS_CH] = "CH", [CLASS_HS] = "HS",
	[CLASS_NONE] = "NONE", [CLASS_ANY] = "ANY",
};

#define CLASS_CNT (sizeof(classes) / sizeof(classes[0]))

int class_from_name(const char *text)
{
	for (size_t i = 0; i < CLASS_CNT; i++)
		if (classes[i] && strcasecmp(text, classes[i]) == 0)
			return (int)i;
	return number_from_name(text, "CLASS");
}

char *opcode_name(char *buf, uint8_t opcode)
{
	static const char *const names[] = {
		"QUERY", "IQUERY", "STATUS", [4] = "NOTIFY", "UPDATE", "DSO",
	};

	return name_of_number(buf, names, sizeof(names) / sizeof(names[0]), "OPCODE", opcode);
}

char *rcode_name(char *buf, uint16_t rcode)
{
	static const char *const names[] = {
		"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
		"YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE", "DSOTYPENI",
		[16] = "BADVERS", "BADKEY", "BADTIME", "BADMODE", "BADNAME", "BADALG",
		"BADTRUNC", "BADCOOKIE",
	};

	return name_of_number(buf, names, sizeof(names) / sizeof(names[0]), "RCODE", rcode);
}

/* ---- RDATA: one function for each shape that is more than a length ----
 *
 * Each looks at in[0..left), the untrusted octets from where a field begins to
 * the end of the RDATA, sets *size to what the field takes, at most left, and
 * returns NULL, or a sentence that says what is wrong. */

static const char cut_short[] = "RDATA is too short";

static const char *name_size(const uint8_t *in, size_t left, size_t *size)
{
	size_t max = left < NAME_MAX_LEN ? left : NAME_MAX_LEN;
	size_t pos = 0;

	for (;;) {
		if (pos >= max)
			return "name does not end within RDATA or 255 octets";
		size_t len = in[pos];

		if (len > NAME_MAX_LABEL)
			return "name is compressed or has a label over 63 octets";
		if (len >= max - pos)
			return "name does not end within RDATA or 255 octets";
		pos += len + 1;
		if (len == 0)
			break;
	}
	*size = pos;
	return NULL;
}

static const char *names_size(const uint8_t *in, size_t left, size_t *size)
{
	size_t pos = 0;

	while (pos < left) {
		size_t n;
		const char *fault = name_size(in + pos, left - pos, &n);

		if (fault)
			return fault;
		pos += n;
	}
	*size = pos;
	return NULL;
}

static const char *strings_size(const uint8_t *in, size_t left, size_t *size)
{
	size_t pos = 0;

	if (left == 0)
		return "there is no character-string";
	while (pos < left) {
		if (in[pos] >= left - pos)
			return "character-string is cut short";
		pos += in[pos] + 1u;
	}
	*size = pos;
	return NULL;
}

static const char *bytes_size(const uint8_t *in, size_t left, size_t head, size_t *size)
{
	if (left < head)
		return cut_short;
	size_t len = head == 1 ? in[0] : (size_t)in[0] << 8 | in[1];

	if (len > left - head)
		return cut_short;
	*size = head + len;
	return NULL;
}

/* RFC 4034 4.1.2: windows rise, each has 1 to 32 octets, the last of them not 0. */
static const char *bitmap_size(const uint8_t *in, size_t left, size_t *size)
{
	size_t pos = 0;
	int window = -1;

	while (pos < left) {
		if (left - pos < 2)
			return "type bitmap is cut short";
		size_t len = in[pos + 1];

		if (in[pos] <= window)
			return "type bitmap windows are not in order";
		if (len < 1 || len > 32)
			return "type bitmap window is not of 1 to 32 octets";
		if (len > left - pos - 2)
			return "type bitmap is cut short";
		if (in[pos + 2 + len - 1] == 0)
			return "type bitmap window ends with a zero octet";
		window = in[pos];
		pos += 2 + len;
	}
	*size = pos;
	return NULL;
}

/* RFC 1876 section 2: sizes and precisions are a decimal digit times a power of
 * ten below ten.  Other versions have no known shape. */
static const char *loc_size(const uint8_t *in, size_t left, size_t *size)
{
	if (left < 16)
		return cut_short;
	if (in[0] != 0)
		return "LOC version is not 0";
	for (int i = 1; i <= 3; i++)
		if (in[i] >> 4 > 9 || (in[i] & 15) > 9)
			return "LOC size or precision is out of range";
	*size = 16;
	return NULL;
}

/* RFC 3123 section 4: family, prefix length, negation bit and length, and so many
 * octets of the address, the last of them not 0. */
static const char *apl_size(const uint8_t *in, size_t left, size_t *size)
{
	size_t pos = 0;

	while (pos < left) {
		if (left - pos < 4)
			return "address prefix is cut short";
		unsigned family = (unsigned)in[pos] << 8 | in[pos + 1];
		unsigned prefix = in[pos + 2];
		size_t len = in[pos + 3] & 0x7f;

		if (len > left - pos - 4)
			return "address prefix is cut short";
		if ((family == 1 && (prefix > 32 || len > 4)) ||
		    (family == 2 && (prefix > 128 || len > 16)))
			return "address prefix is longer than its family allows";
		if (len > 0 && in[pos + 4 + len - 1] == 0)
			return "address prefix ends with a zero octet";
		pos += 4 + len;
	}
	*size = pos;
	return NULL;
}

/* gateway_kind - of IPSECKEY or AMTRELAY, whose discovery bit is not part of it. */
static unsigned gateway_kind(uint16_t type, const uint8_t *rdata)
{
	return type == 45 ? rdata[1] : rdata[1] & 0x7f;
}

static const char *gateway_size(uint16_t type, const uint8_t *rdata, const uint8_t *in,
				size_t left, size_t *size)
{
	switch (gateway_kind(type, rdata)) {
	case 0:
		*size = 0;
		return NULL;
	case 1:
		*size = 4;
		break;
	case 2:
		*size = 16;
		break;
	case 3:
		return name_size(in, left, size);
	default:
		return "gateway type is unknown";
	}
	return *size > left ? cut_short : NULL;
}

static const char *hip_size(const uint8_t *in, size_t left, size_t *size)
{
	if (left < 4)
		return cut_short;
	size_t hit = in[0], key = (size_t)in[2] << 8 | in[3];

	if (hit == 0 || key == 0)
		return "HIT or public key is empty";
	if (hit + key > left - 4)
		return cut_short;
	*size = 4 + hit + key;
	return NULL;
}

/* RFC 9460 2.2: keys strictly rising; key 0 ("mandatory") lists keys that are
 * there, in rising order and without itself (section 8). */
static const char *params_size(const uint8_t *in, size_t left, size_t *size)
{
	size_t pos = 0;
	int last = -1;
	const uint8_t *mandatory = NULL;
	size_t mandatory_left = 0; /* octets of keys not yet met */

	while (pos < left) {
		if (left - pos < 4)
			return "service parameter is cut short";
		int key = in[pos] << 8 | in[pos + 1];
		size_t len = (size_t)in[pos + 2] << 8 | in[pos + 3];

		if (len > left - pos - 4)
			return "service parameter is cut short";
		if (key <= last)
			return "service parameters are not in order";
		last = key;
		pos += 4;
		if (key == 0) {
			if (len == 0 || len % 2 != 0)
				return "list of mandatory service parameters is malformed";
			mandatory = in + pos;
			mandatory_left = len;
		} else if (mandatory_left > 0 && (mandatory[0] << 8 | mandatory[1]) == key) {
			mandatory += 2;
			mandatory_left -= 2;
		}
		pos += len;
	}
	/* The keys come in rising order, and so are met only when the list does. */
	if (mandatory_left > 0)
		return "a mandatory service parameter is missing or out of order";
	*size = pos;
	return NULL;
}

/* a6_suffix - octets of address behind a prefix length of at most 128. */
static size_t a6_suffix(unsigned prefix)
{
	return (128 - prefix + 7) / 8;
}

static const char *a6_size(const uint8_t *in, size_t left, size_t *size)
{
	size_t n = 0;

	if (left < 1 || in[0] > 128)
		return "A6 prefix length is missing or over 128";
	size_t head = 1 + a6_suffix(in[0]);

	if (head > left)
		return cut_short;
	if (in[0] != 0) {
		const char *fault = name_size(in + head, left - head, &n);

		if (fault)
			return fault;
	}
	*size = head + n;
	return NULL;
}

/* field_size - the same for any field; `at` is where it begins in rdata[0..len). */
static const char *field_size(uint16_t type, uint8_t field, const uint8_t *rdata,
			      size_t at, size_t len, size_t *size)
{
	const uint8_t *in = rdata + at;
	size_t left = len - at;

	switch ((enum rd_field)field) {
	case RD_NAME_C:
	case RD_NAME_L:
	case RD_NAME:
		return name_size(in, left, size);
	case RD_8:
		*size = 1;
		break;
	case RD_16:
		*size = 2;
		break;
	case RD_32:
		*size = 4;
		break;
	case RD_48:
		*size = 6;
		break;
	case RD_64:
		*size = 8;
		break;
	case RD_128:
		*size = 16;
		break;
	case RD_STRING:
	case RD_BYTES_8:
		return bytes_size(in, left, 1, size);
	case RD_BYTES_16:
		return bytes_size(in, left, 2, size);
	case RD_STRINGS:
		return strings_size(in, left, size);
	case RD_BITMAP:
		return bitmap_size(in, left, size);
	case RD_REST_1:
		*size = left ? left : 1;
		break;
	case RD_LOC:
		return loc_size(in, left, size);
	case RD_APL:
		return apl_size(in, left, size);
	case RD_GATEWAY:
		return gateway_size(type, rdata, in, left, size);
	case RD_HIP:
		return hip_size(in, left, size);
	case RD_NAMES:
		return names_size(in, left, size);
	case RD_PARAMS:
		return params_size(in, left, size);
	case RD_A6:
		return a6_size(in, left, size);
	case RD_REST:
	case RD_END:
		*size = left;
		break;
	}
	return *size > left ? cut_short : NULL;
}

/* rdata_rules - what single types ask for beyond the shape of their fields. */
static const char *rdata_rules(uint16_t type, const uint8_t *rdata, size_t len)
{
	switch (type) {
	case 20: /* ISDN: an address and perhaps a sub-address (RFC 1183 3.2) */
		if (rdata[0] + 1u < len && rdata[0] + 1u + rdata[rdata[0] + 1u] + 1u < len)
			return "there are more than two character-strings";
		return NULL;
	case TYPE_NSEC3: /* a hash of no octets names nothing (RFC 5155 3.2) */
		return rdata[5 + rdata[4]] == 0 ? "NSEC3 hash is empty" : NULL;
	default:
		return NULL;
	}
}

const char *rdata_check(uint16_t type, const uint8_t *rdata, size_t len)
{
	const uint8_t *field = rrtype_fields(type);
	size_t at = 0;

	if (len > 65535)
		return "RDATA is longer than 65535 octets";
	if (!field)
		return NULL;
	for (; *field != RD_END; field++) {
		size_t size;
		const char *fault = field_size(type, *field, rdata, at, len, &size);

		if (fault)
			return fault;
		at += size;
	}
	if (at != len)
		return "RDATA is too long";
	return rdata_rules(type, rdata, len);
}

/* cmp_octets - memcmp of a[0..len) with b[0..len), folded if so wished. */
static int cmp_octets(const uint8_t *a, const uint8_t *b, size_t len, bool fold)
{
	if (!fold)
		return len == 0 ? 0 : memcmp(a, b, len);
	for (size_t i = 0; i < len; i++) {
		int order = name_fold(a[i]) - name_fold(b[i]);

		if (order != 0)
			return order;
	}
	return 0;
}

/* a leads: up to the first difference b has the same fields at the same places.
 * A folded name's length octets are below 'A' and stay as they are. */
int rdata_cmp(uint16_t type, const uint8_t *a, size_t a_len,
	      const uint8_t *b, size_t b_len)
{
	size_t common = a_len < b_len ? a_len : b_len;
	size_t at = 0, next = 0, pos;
	unsigned field = 0;
	enum rd_field kind;
	int order = 0;

	while (order == 0 && at < common &&
	       rdata_next_name(type, a, a_len, &next, &field, &pos, &kind)) {
		size_t from = pos < common ? pos : common;
		size_t to = next < common ? next : common;

		order = cmp_octets(a + at, b + at, from - at, false);
		if (order == 0)
			order = cmp_octets(a + from, b + from, to - from,
					   kind == RD_NAME_C || kind == RD_NAME_L);
		at = to;
	}
	if (order == 0)
		order = cmp_octets(a + at, b + at, common - at, false);
	if (order == 0)
		order = (a_len > b_len) - (a_len < b_len);
	return order;
}

bool rdata_next_name(uint16_t type, const uint8_t *rdata, size_t len, size_t *at,
		     unsigned *field, size_t *pos, enum rd_field *kind)
{
	const uint8_t *fields = rrtype_fields(type);

	if (!fields)
		return false;
	for (; fields[*field] != RD_END; (*field)++) {
		uint8_t f = fields[*field];
		size_t size;

		*pos = *at;
		*kind = (enum rd_field)f;
		if (f == RD_NAMES) {
			if (*at == len)
				continue;
			*kind = RD_NAME;
			*at += name_wire_len(rdata + *at);
			return true; /* and the field stays for the next one */
		}
		if (field_size(type, f, rdata, *at, len, &size))
			return false;
		*at += size;
		if (f == RD_GATEWAY && gateway_kind(type, rdata) == 3) {
			*kind = RD_NAME;
		} else if (f == RD_A6 && rdata[*pos] != 0) {
			*kind = RD_NAME_L;
			*pos += 1 + a6_suffix(rdata[*pos]);
		} else if (f != RD_NAME_C && f != RD_NAME_L && f != RD_NAME) {
			continue;
		}
		(*field)++;
		return true;
	}
	return false;
}
