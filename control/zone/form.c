/* SPDX-License-Identifier: GPL-3.0-or-later */
/* form.c - text forms of RDATA: the tables; see form.h. */
#include "form.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FIELDS_MAX 10

#define FORM_SIG { FORM_TYPE, FORM_ALGORITHM, RD_8, FORM_TIME, FORM_STAMP, FORM_STAMP, \
		   RD_16, RD_NAME, RD_REST_1 }
#define FORM_KEY { FORM_FLAGS, FORM_PROTOCOL, FORM_ALGORITHM, RD_REST_1 }
#define FORM_DS  { RD_16, FORM_ALGORITHM, FORM_DIGEST, FORM_HEX }

/* Types whose text is not what rrtype_fields says.  RD_REST_1 and FORM_HEX want a word, which may be
 * empty in quotes. */
static const struct {
	uint16_t type;
	uint8_t fields[FIELDS_MAX];
} forms[] = {
	{ 1, { FORM_IPV4 } },                              /* A */
	{ 6, { RD_NAME, RD_NAME, RD_32, FORM_TIME, FORM_TIME, FORM_TIME, FORM_TIME } }, /* SOA */
	{ 10, { FORM_NONE } },                             /* NULL */
	{ 11, { FORM_IPV4, FORM_SERVICES } },              /* WKS */
	{ 22, { FORM_NSAP } },
	{ 24, FORM_SIG },
	{ 25, { FORM_FLAGS, FORM_PROTOCOL, FORM_ALGORITHM, RD_REST } }, /* KEY: perhaps none */
	{ 30, { RD_NAME, FORM_NXT } },
	{ 31, { FORM_HEX } },                              /* EID */
	{ 32, { FORM_HEX } },                              /* NIMLOC */
	{ 34, { FORM_ATMA } },
	{ 37, { FORM_CERT, RD_16, FORM_ALGORITHM, RD_REST_1 } },
	{ 40, { RD_8, RD_8, RD_8, RD_REST } },             /* SINK */
	{ 43, FORM_DS },
	{ 44, { RD_8, RD_8, FORM_HEX } },                  /* SSHFP */
	{ 46, FORM_SIG },                                  /* RRSIG */
	{ 48, FORM_KEY },                                  /* DNSKEY */
	{ 49, { RD_REST_1 } },                             /* DHCID */
	{ 50, { FORM_HASH, RD_8, RD_16, FORM_SALT, FORM_BASE32, RD_BITMAP } }, /* NSEC3 */
	{ 51, { FORM_HASH, RD_8, RD_16, FORM_SALT } },     /* NSEC3PARAM */
	{ 52, { RD_8, RD_8, RD_8, FORM_HEX } },            /* TLSA */
	{ 53, { RD_8, RD_8, RD_8, FORM_HEX } },            /* SMIMEA */
	{ 57, FORM_KEY },                                  /* RKEY */
	{ 59, FORM_DS },                                   /* CDS */
	{ 60, FORM_KEY },                                  /* CDNSKEY */
	{ 61, { RD_REST_1 } },                             /* OPENPGPKEY */
	{ 63, { RD_32, RD_8, RD_8, FORM_HEX } },           /* ZONEMD */
	{ 66, { FORM_TYPE, FORM_SCHEME, RD_16, RD_NAME } }, /* DSYNC */
	{ 104, { RD_16, FORM_LOCATOR } },                  /* NID */
	{ 105, { RD_16, FORM_IPV4 } },                     /* L32 */
	{ 106, { RD_16, FORM_LOCATOR } },                  /* L64 */
	{ 109, { FORM_EUI64 } },
	{ 256, { RD_16, RD_16, FORM_OCTETS } },            /* URI */
	{ 257, { RD_8, RD_STRING, FORM_OCTETS } },         /* CAA */
	{ 260, { RD_8, FORM_RELAY, RD_GATEWAY } },         /* AMTRELAY */
	{ 32768, FORM_DS },                                /* TA */
	{ 32769, FORM_DS },                                /* DLV */
};

const uint8_t *form_fields(uint16_t type)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (forms[i].type == type)
			return forms[i].fields[0] == FORM_NONE ? NULL : forms[i].fields;
	return rrtype_fields(type);
}

struct mnemonic {
	uint8_t field;
	uint16_t number;
	const char *name;
};

/* IANA "DNS Security Algorithm Numbers", with the spellings that zone files have. */
static const struct mnemonic mnemonics[] = {
	{ FORM_ALGORITHM, 1, "RSAMD5" },
	{ FORM_ALGORITHM, 2, "DH" },
	{ FORM_ALGORITHM, 3, "DSA" },
	{ FORM_ALGORITHM, 4, "ECC" },
	{ FORM_ALGORITHM, 5, "RSASHA1" },
	{ FORM_ALGORITHM, 6, "DSA-NSEC3-SHA1" },
	{ FORM_ALGORITHM, 6, "NSEC3DSA" },
	{ FORM_ALGORITHM, 7, "RSASHA1-NSEC3-SHA1" },
	{ FORM_ALGORITHM, 7, "NSEC3RSASHA1" },
	{ FORM_ALGORITHM, 8, "RSASHA256" },
	{ FORM_ALGORITHM, 10, "RSASHA512" },
	{ FORM_ALGORITHM, 12, "ECC-GOST" },
	{ FORM_ALGORITHM, 12, "ECCGOST" },
	{ FORM_ALGORITHM, 13, "ECDSAP256SHA256" },
	{ FORM_ALGORITHM, 14, "ECDSAP384SHA384" },
	{ FORM_ALGORITHM, 15, "ED25519" },
	{ FORM_ALGORITHM, 16, "ED448" },
	{ FORM_ALGORITHM, 17, "SM2SM3" },
	{ FORM_ALGORITHM, 23, "ECC-GOST12" },
	{ FORM_ALGORITHM, 252, "INDIRECT" },
	{ FORM_ALGORITHM, 253, "PRIVATEDNS" },
	{ FORM_ALGORITHM, 254, "PRIVATEOID" },
	{ FORM_DIGEST, 1, "SHA-1" },
	{ FORM_DIGEST, 1, "SHA1" },
	{ FORM_DIGEST, 2, "SHA-256" },
	{ FORM_DIGEST, 2, "SHA256" },
	{ FORM_DIGEST, 3, "GOST" },
	{ FORM_DIGEST, 4, "SHA-384" },
	{ FORM_DIGEST, 4, "SHA384" },
	{ FORM_HASH, 1, "SHA-1" },
	{ FORM_CERT, 1, "PKIX" },
	{ FORM_CERT, 2, "SPKI" },
	{ FORM_CERT, 3, "PGP" },
	{ FORM_CERT, 4, "IPKIX" },
	{ FORM_CERT, 5, "ISPKI" },
	{ FORM_CERT, 6, "IPGP" },
	{ FORM_CERT, 7, "ACPKIX" },
	{ FORM_CERT, 8, "IACPKIX" },
	{ FORM_CERT, 253, "URI" },
	{ FORM_CERT, 254, "OID" },
	{ FORM_PROTOCOL, 0, "NONE" },
	{ FORM_PROTOCOL, 1, "TLS" },
	{ FORM_PROTOCOL, 2, "EMAIL" },
	{ FORM_PROTOCOL, 3, "DNSSEC" },
	{ FORM_PROTOCOL, 4, "IPSEC" },
	{ FORM_PROTOCOL, 255, "ALL" },
	/* RFC 2535 section 7.1, where bits count from the left; SIGn is the low four.  KSK is BIND's. */
	{ FORM_FLAGS, 0xc000, "NOKEY" },
	{ FORM_FLAGS, 0x8000, "NOAUTH" },
	{ FORM_FLAGS, 0x4000, "NOCONF" },
	{ FORM_FLAGS, 0x2000, "FLAG2" },
	{ FORM_FLAGS, 0x1000, "EXTEND" },
	{ FORM_FLAGS, 0x0800, "FLAG4" },
	{ FORM_FLAGS, 0x0400, "FLAG5" },
	{ FORM_FLAGS, 0x0000, "USER" },
	{ FORM_FLAGS, 0x0100, "ZONE" },
	{ FORM_FLAGS, 0x0200, "HOST" },
	{ FORM_FLAGS, 0x0300, "NTYP3" },
	{ FORM_FLAGS, 0x0080, "FLAG8" },
	{ FORM_FLAGS, 0x0040, "FLAG9" },
	{ FORM_FLAGS, 0x0020, "FLAG10" },
	{ FORM_FLAGS, 0x0010, "FLAG11" },
	{ FORM_FLAGS, 0x0001, "KSK" },
	{ FORM_FLAGS, 0, "SIG0" }, { FORM_FLAGS, 1, "SIG1" }, { FORM_FLAGS, 2, "SIG2" },
	{ FORM_FLAGS, 3, "SIG3" }, { FORM_FLAGS, 4, "SIG4" }, { FORM_FLAGS, 5, "SIG5" },
	{ FORM_FLAGS, 6, "SIG6" }, { FORM_FLAGS, 7, "SIG7" }, { FORM_FLAGS, 8, "SIG8" },
	{ FORM_FLAGS, 9, "SIG9" }, { FORM_FLAGS, 10, "SIG10" }, { FORM_FLAGS, 11, "SIG11" },
	{ FORM_FLAGS, 12, "SIG12" }, { FORM_FLAGS, 13, "SIG13" }, { FORM_FLAGS, 14, "SIG14" },
	{ FORM_FLAGS, 15, "SIG15" },
	{ FORM_SCHEME, 1, "NOTIFY" },
};

int form_number(uint8_t field, const char *word)
{
	for (size_t i = 0; i < sizeof(mnemonics) / sizeof(mnemonics[0]); i++)
		if (mnemonics[i].field == field && strcasecmp(mnemonics[i].name, word) == 0)
			return mnemonics[i].number;
	return -1;
}

/* IANA "DNS SVCB Service Parameter Keys", by number. */
static const char *const params[] = {
	"mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint",
	"dohpath", "ohttp", "tls-supported-groups", "docpath", "pvd", "oots",
};

int form_param(const char *word)
{
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
		if (strcmp(params[i], word) == 0)
			return (int)i;
	if (strncmp(word, "key", 3) != 0)
		return -1;
	size_t digits = strspn(word + 3, "0123456789");

	/* keyN has no leading zero, and key65535 is reserved (RFC 9460 14.3.2). */
	if (digits == 0 || digits > 5 || word[3 + digits] != '\0' || (word[3] == '0' && digits > 1))
		return -1;
	long number = strtol(word + 3, NULL, 10);

	return number < 65535 ? (int)number : -1;
}
