/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rrtype.h - the registry (RFC 6895, IANA "Domain Name System (DNS) Parameters"):
 * names of RR types, classes, opcodes and rcodes, which types are never data, and the
 * fields of each type's RDATA, so that RDATA can be checked, compared, and its names
 * found.  Logs, statistics, polluxctl and the zone reader have their names from here.
 *
 * A type that is not in the table is data of unknown shape (RFC 3597) and any
 * RDATA is right for it.  Constant tables only: any thread may call it.
 */
#ifndef POLLUX_RRTYPE_H
#define POLLUX_RRTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { /* the types that code names (RFC 1035 and the IANA registry) */
	TYPE_A = 1, TYPE_NS = 2, TYPE_MD = 3, TYPE_MF = 4, TYPE_CNAME = 5,
	TYPE_SOA = 6, TYPE_MB = 7, TYPE_MG = 8, TYPE_MR = 9, TYPE_PTR = 12,
	TYPE_MINFO = 14, TYPE_MX = 15, TYPE_TXT = 16, TYPE_AAAA = 28,
	TYPE_SRV = 33, TYPE_DNAME = 39, TYPE_OPT = 41, TYPE_DS = 43,
	TYPE_RRSIG = 46, TYPE_NSEC = 47, TYPE_DNSKEY = 48, TYPE_NSEC3 = 50,
	TYPE_NSEC3PARAM = 51, TYPE_SVCB = 64, TYPE_HTTPS = 65,
	TYPE_TKEY = 249, TYPE_TSIG = 250,
	TYPE_IXFR = 251, TYPE_AXFR = 252, TYPE_MAILB = 253, TYPE_MAILA = 254,
	TYPE_ANY = 255,
};

enum { CLASS_IN = 1, CLASS_CH = 3, CLASS_HS = 4, CLASS_NONE = 254, CLASS_ANY = 255 };

enum { /* rcodes (RFC 6895 section 2.3) */
	RCODE_NOERROR = 0, RCODE_FORMERR = 1, RCODE_SERVFAIL = 2,
	RCODE_NXDOMAIN = 3, RCODE_NOTIMP = 4, RCODE_REFUSED = 5,
	RCODE_YXDOMAIN = 6, RCODE_NOTAUTH = 9, RCODE_BADVERS = 16, RCODE_BADCOOKIE = 23,
};

enum { OPCODE_QUERY = 0, OPCODE_NOTIFY = 4, OPCODE_UPDATE = 5 };

/* One field of RDATA.  A type's fields are a list ended by RD_END. */
enum rd_field {
	RD_END = 0,
	RD_NAME_C,    /* name; a sender may compress it (RFC 1035 types, RFC 3597 s. 4) */
	RD_NAME_L,    /* name, never compressed, folded in canonical form (RFC 4034 6.2, RFC 6840 5.1) */
	RD_NAME,      /* name, never compressed, case kept in canonical form */
	RD_8, RD_16, RD_32, RD_48, RD_64, RD_128, /* numbers and addresses, bits */
	RD_STRING,    /* one <character-string> */
	RD_STRINGS,   /* one or more <character-string>s, to the end */
	RD_BITMAP,    /* type bitmap to the end (RFC 4034 4.1.2), may be empty */
	RD_BYTES_8,   /* one length octet and that many octets */
	RD_BYTES_16,  /* two length octets and that many octets */
	RD_REST,      /* any octets to the end, none included */
	RD_REST_1,    /* any octets to the end, at least one */
	/* Shapes of one type or two. */
	RD_LOC,       /* version 0: 16 octets, each size's digits in range (RFC 1876 2) */
	RD_APL,       /* address prefixes to the end, none included (RFC 3123 4) */
	RD_GATEWAY,   /* nothing, IPv4, IPv6 or a name as RD_NAME: octet 1 of the RDATA
	               * says which (RFC 4025 2.3, RFC 8777 4.2.3) */
	RD_HIP,       /* HIT and key behind their lengths (RFC 8005 5) */
	RD_NAMES,     /* names as RD_NAME to the end, none included */
	RD_PARAMS,    /* SvcParams to the end, keys rising (RFC 9460 2.2) */
	RD_A6,        /* prefix length, the rest of the address, and a name as RD_NAME_L
	               * unless the length is 0 (RFC 2874 3.1) */
};

/* rrtype_fields - the fields of a type's RDATA, or NULL for an unknown type. */
const uint8_t *rrtype_fields(uint16_t type);

/* rrtype_is_meta - types that are never data in a zone: 0, OPT, TKEY to ANY
 * (RFC 6895 section 3.1: 128 to 255 are Q and meta types), and 65535. */
bool rrtype_is_meta(uint16_t type);

/* rrtype_name - mnemonic, or TYPEn (RFC 3597 section 5) written to buf[16].
 * Returns buf. */
char *rrtype_name(char *buf, uint16_t type);

/* rrtype_from_name - number of a mnemonic or TYPEn, any case; -EINVAL if none. */
int rrtype_from_name(const char *text);

/* class_from_name - number of a mnemonic or CLASSn (RFC 3597 section 5), any case; -EINVAL if none. */
int class_from_name(const char *text);

/* opcode_name - mnemonic of an opcode (RFC 6895 section 2.2), or OPCODEn, in buf[16]. */
char *opcode_name(char *buf, uint8_t opcode);

/* rcode_name - mnemonic of an (extended) rcode, or RCODEn, in buf[16].  16 is BADVERS:
 * BADSIG only stands in TSIG (RFC 6895 section 2.3). */
char *rcode_name(char *buf, uint16_t rcode);

/* rdata_check - is rdata[0..len) well formed for its type?  Returns NULL, or a
 * constant sentence that says what is wrong.  Untrusted input; embedded names
 * must be uncompressed. */
const char *rdata_check(uint16_t type, const uint8_t *rdata, size_t len);

/* rdata_cmp - canonical order of two checked RDATA of one type (RFC 4034 6.3),
 * names folded where RFC 4034 6.2 as amended by RFC 6840 5.1 says so. */
int rdata_cmp(uint16_t type, const uint8_t *a, size_t a_len,
	      const uint8_t *b, size_t b_len);

/* rdata_next_name - iterate over the names in checked RDATA.  *at is where to
 * go on (0 first) and *field an index the iteration keeps (0 first).  Returns
 * true and sets *pos, *kind (RD_NAME_C, RD_NAME_L or RD_NAME) for each name. */
bool rdata_next_name(uint16_t type, const uint8_t *rdata, size_t len, size_t *at,
		     unsigned *field, size_t *pos, enum rd_field *kind);

#endif
