/* SPDX-License-Identifier: GPL-3.0-or-later */
/* answer.h - from a DNS query to its answer, in three stages so that a burst of
 * queries can overlap its cache misses:
 *
 *      query_parse    check the message, fold and hash the qname
 *      query_prefetch_burst
 *                     prefetch buckets, find their candidates, prefetch those, and go on to
 *                     where those lead: the name above, name servers' addresses
 *      query_answer   write the answer
 *
 * No allocation, no system call, no clock.  Between reader_begin and reader_end;
 * the calling thread is the reader's.
 */
#ifndef POLLUX_ANSWER_H
#define POLLUX_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "db.h"
#include "name.h"

#define DNS_HEADER 12
#define DNS_UDP_MIN 512 /* octets of answer without EDNS (RFC 1035 2.3.4) */

enum verdict {
	VERDICT_ANSWER, /* out[0..out_len) is the answer */
	VERDICT_DROP,   /* not a query: no answer may be sent (QR=1, short header) */
	VERDICT_PUNT,   /* for the control process: TSIG, IXFR, AXFR over TCP, ... */
};

enum transport {
	TRANSPORT_UDP, TRANSPORT_TCP,
	TRANSPORT_TLS, TRANSPORT_QUIC, /* RFC 7858, RFC 9250: streams */
	TRANSPORT_DTLS,                /* RFC 8094: datagrams */
};

/* transport_datagram - is an answer one datagram, so that what does not fit is truncated? */
static inline bool transport_datagram(enum transport t)
{
	return t == TRANSPORT_UDP || t == TRANSPORT_DTLS;
}

static inline bool transport_encrypted(enum transport t)
{
	return t >= TRANSPORT_TLS;
}

/* What a query's OPT asks for. */
struct edns_options {
	bool any;              /* one of these at least; if not, the others are not set */
	bool nsid;             /* RFC 5001 */
	bool zoneversion;      /* RFC 9660 */
	bool padding;          /* RFC 7830 */
	bool keepalive;        /* RFC 7828; over TCP and TLS only */
	uint8_t cookie_len;    /* octets of cookie[]: 0 (none), 8, or 16 to 40 (RFC 7873) */
	uint8_t cookie[40];    /* the client's, then the server's */
};

struct node;
struct rrset;
struct snapshot;
struct tree_node;
struct zone;

/* Where a name is (find.h). */
struct found {
	const struct zone *zone;      /* NULL: no loaded zone holds the name */
	const struct snapshot *snapshot;
	const struct node *node;      /* of the name, or its closest encloser */
	bool exact;
	uint8_t known;                /* enum denial_part: what denial_fetch has found already, */
	bool match;                   /* that it is of this very hash, */
	const struct node *proof;     /* the node that owns it, */
	const struct rrset *record;   /* and itself, or NULL */
};

/* What query_prefetch_burst has learnt on the way there. */
struct find_hint {
	ref node;              /* perhaps the node of the longest suffix not known to be absent; or 0 */
	uint8_t absent;        /* so many of the longest suffixes are not in the table: 0 to 2 */
	bool sure;             /* `found` is where the name is */
};

/* The part of a proof that is not where the name itself is, and so is worth fetching early. */
enum denial_part {
	DENIAL_NONE,
	DENIAL_NEXT,  /* what covers the name (NSEC) or the next closer name (NSEC3) */
	DENIAL_OWN,   /* what matches or covers the node's own hash (NSEC3) */
};

/* Where query_prefetch_burst looks for it (denial.h). */
struct denial_seek {
	const struct tree_node *leaf;
	uint64_t key;
	enum denial_part part;
	uint8_t hash[20];      /* octets of SHA-1 */
};

struct query {
	/* Set by query_parse. */
	const uint8_t *msg;    /* the query; may be the buffer the answer goes to */
	const struct settings *settings; /* those in force, for all of the answer; or NULL */
	uint64_t hash;         /* of qname */
	uint16_t len;          /* octets of msg */
	uint16_t limit;        /* octets the answer may have */
	uint16_t question_end; /* offset just past the question; 12 if there is none */
	uint16_t udp_payload;  /* ours, from the settings: what our OPT says */
	uint16_t opt_room;     /* octets kept for our OPT with its options, 0 without EDNS */
	uint8_t opcode;
	enum transport transport;
	uint64_t parent_hash;  /* query_prefetch_burst's */
	struct found found;
	struct denial_seek seek;

	/* Query_parse sets the rest to 0 first, to the options' cookie. */
	uint16_t qtype, qclass;
	uint16_t edns_size;    /* the client's payload size, 0 without OPT */
	uint16_t rcode;        /* already decided (FORMERR, BADVERS, ...), else NOERROR */
	bool decided;          /* rcode and nothing else is the answer */
	bool edns, dnssec_ok;
	/* Learnt by query_answer, for the OPT. */
	bool zone_known;
	uint16_t ede;          /* INFO-CODE of an extended error (RFC 8914), 0 for none */
	uint8_t zone_labels;   /* of the zone that decides */
	uint32_t zone_serial;
	/* The caller's, after query_parse: who asks, so that cookies can be made; 4 or 16
	 * octets in network byte order that stay there until query_answer.  NULL: no cookies. */
	uint8_t client_len;
	uint16_t keepalive;    /* idle time-out of its connection in units of 100 ms; 0 asks it to
				* end that (RFC 7828 section 3.3.2) */
	const uint8_t *client;
	/* Kept by query_prefetch_burst for query_answer. */
	struct find_hint hint;
	const struct rrset *set; /* of the type asked for or, at a cut, NS; may be NULL */
	struct edns_options options;

	struct name qname;     /* folded */
};

/* query_parse - read msg[0..len), untrusted, as a request over `transport`.
 *
 * max is the most octets an answer may have on this path: in datagrams what the
 * port's MTU leaves for their payload, in streams 65535.  The smaller of it,
 * the client's EDNS size and settings' udp_payload becomes q->limit (RFC 6891
 * 6.2.5).  VERDICT_ANSWER means: go on with the next stages, also when the rcode
 * is decided.  With VERDICT_PUNT *q is as complete as with VERDICT_ANSWER, so that
 * the control process, which gets it for the same messages, can go on from there.
 * Classes other than IN, ANY (looked up as IN) and CH are decided here.
 */
enum verdict query_parse(const struct reader *r, struct query *q, const uint8_t *msg,
			 size_t len, enum transport transport, size_t max);

/* query_prefetch_burst - find out where the answers to a burst's queries are, and have that
 * fetched into the cache while others are looked at.  q[0..cnt) have passed query_parse with
 * VERDICT_ANSWER.  Answers are right without it, too, but slower. */
void query_prefetch_burst(const struct reader *r, struct query *const *q, unsigned cnt);

/* query_prefetch - the same for one query alone. */
void query_prefetch(const struct reader *r, struct query *q);

/* query_answer - write the answer to q into out[0..q->limit), which may be the
 * query's own buffer.  Returns its length in octets, always at least 12 and at
 * most q->limit; the rcode written (with its extended bits) is stored to *rcode.  Opcodes other than
 * QUERY are counted in the reader's slot, if it has one. */
size_t query_answer(const struct reader *r, struct query *q, uint8_t *out,
		    uint16_t *rcode);

/* query_error - an answer with nothing but header, question and OPT (if asked
 * for), as the control process needs for what it takes over.  out may be the
 * query's own buffer.  Returns its length, at most q->limit. */
size_t query_error(const struct reader *r, struct query *q, uint8_t *out, uint16_t rcode);

#endif
