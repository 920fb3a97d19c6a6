/* SPDX-License-Identifier: GPL-3.0-or-later */
/* form.h - the text form of each RR type's RDATA, field by field.
 *
 * Most types are written as their fields stand (rrtype.h): names, decimal numbers,
 * character-strings, octets in base 64.  What else a type's RFC asks for is listed
 * in form.c.  The reader (fallback.h) and the writer (form_text) go by the same list.
 * Constant tables only: any thread may call it.
 */
#ifndef POLLUX_FORM_H
#define POLLUX_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/answer/rrtype.h"

/* Fields whose text is not what rrtype.h's field of that size would have. */
enum form_field {
	FORM_NONE = 64,  /* no text form: only the generic one (RFC 3597 section 5) */
	FORM_TIME,       /* 32 bits: seconds, or a sum of 1w2d3h4m5s */
	FORM_STAMP,      /* 32 bits: seconds or YYYYMMDDHHmmSS (RFC 4034 3.2) */
	FORM_TYPE,       /* 16 bits: mnemonic of an RR type, or TYPEn */
	FORM_ALGORITHM,  /* 8 bits: number or mnemonic (RFC 4034 appendix A.1) */
	FORM_DIGEST,     /* 8 bits: number or mnemonic of a DS digest */
	FORM_HASH,       /* 8 bits: number or mnemonic of an NSEC3 hash */
	FORM_CERT,       /* 16 bits: number or mnemonic of a CERT type (RFC 4398 2.1) */
	FORM_PROTOCOL,   /* 8 bits: number or mnemonic of a KEY protocol (RFC 2535 7.1) */
	FORM_FLAGS,      /* 16 bits: number, or mnemonics of KEY flags with | between (RFC 2535 7.1) */
	FORM_SCHEME,     /* 8 bits: number or mnemonic of a DSYNC scheme (RFC 9859 2.1) */
	FORM_IPV4,       /* 32 bits: dotted decimal */
	FORM_EUI64,      /* 64 bits: eight pairs of hex digits with hyphens (RFC 7043 4.2) */
	FORM_LOCATOR,    /* 64 bits: four groups of hex digits with colons (RFC 6742 2.1.2) */
	FORM_HEX,        /* hex digits to the end, "" for none */
	FORM_SALT,       /* length octet and octets in hex, "-" for none (RFC 5155 3.3) */
	FORM_BASE32,     /* length octet and octets in base 32 hex (RFC 5155 3.3) */
	FORM_OCTETS,     /* one string to the end of the RDATA, without a length */
	FORM_SERVICES,   /* WKS: protocol, then ports to the end (RFC 1035 3.4.2) */
	FORM_NSAP,       /* 0x, hex digits and dots (RFC 1706 section 7) */
	FORM_ATMA,       /* +digits (E.164), or hex digits and dots (AESA) */
	FORM_NXT,        /* NXT: mnemonics of types below 128 (RFC 2535 5.2) */
	FORM_RELAY,      /* 8 bits as two numbers: discovery bit, type (RFC 8777 4.3.1) */
};

/* form_fields - the fields of a type's text, enum rd_field and enum form_field, ended
 * by RD_END; NULL when the type has no text form. */
const uint8_t *form_fields(uint16_t type);

/* form_number - the number that a mnemonic (any case) of this field stands for, or -1
 * when it has none such. */
int form_number(uint8_t field, const char *word);

/* form_param - the key of an SvcParam's name: registered, or keyN (RFC 9460 2.1); or -1. */
int form_param(const char *word);

/* form_text - write checked RDATA (rdata_check) in the type's text form to
 * text[0..size), NUL-terminated; returns its length.  0 when it does not fit or the
 * writer has no text for these fields (those that libknot writes). */
size_t form_text(char *text, size_t size, uint16_t type, const uint8_t *rdata, size_t len);

#endif
