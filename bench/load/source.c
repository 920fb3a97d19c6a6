/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/load/source.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/answer/answer.h"
#include "dataplane/answer/rrtype.h"
#include "dataplane/answer/wire.h"
#include "dataplane/common/log.h"

#define QUERY_MAX (DNS_HEADER + NAME_MAX_LEN + 4 + 11)

/* ---- one query ---- */

static size_t write_query(uint8_t *msg, const uint8_t *wire, size_t wire_len, uint16_t type, bool edns,
			  bool dnssec_ok, bool recurse)
{
	uint8_t *p = msg + DNS_HEADER;

	memset(msg, 0, DNS_HEADER);
	msg[2] = recurse; /* RD */
	msg[5] = 1;
	memcpy(p, wire, wire_len);
	p += wire_len;
	wire_write16(p, type);
	wire_write16(p + 2, CLASS_IN);
	p += 4;
	if (edns || dnssec_ok) { /* RFC 6891 6.1.2 */
		msg[11] = 1;
		*p++ = 0;
		wire_write16(p, TYPE_OPT);
		wire_write16(p + 2, SOURCE_PAYLOAD);
		wire_write32(p + 4, dnssec_ok ? 0x8000 : 0);
		wire_write16(p + 8, 0);
		p += 10;
	}
	return (size_t)(p - msg);
}

/* The n-th query of a sequence in which `percent` of all, evenly spread, are chosen. */
static bool chosen(uint64_t n, unsigned percent)
{
	return n * percent / 100 != (n + 1) * percent / 100;
}

/* ---- text ---- */

static int text_line(char *line, uint64_t n, const struct source_edns *edns, source_sink sink,
		     void *arg)
{
	static const char blank[] = " \t\r\n";
	char *rest, *owner = strtok_r(line, blank, &rest);
	char *type_text = owner ? strtok_r(NULL, blank, &rest) : NULL;
	char *flags = type_text ? strtok_r(NULL, blank, &rest) : NULL;
	bool with_do = chosen(n, edns->dnssec_ok), with_edns = with_do || chosen(n, edns->edns);
	bool recurse = false;
	uint8_t msg[QUERY_MAX];
	int type = TYPE_A;
	struct name name;

	if (!owner || *owner == ';' || *owner == '#')
		return 0;
	if (name_from_text(&name, owner) != 0)
		return -EINVAL;
	if (type_text && strcasecmp(type_text, "ANY") == 0)
		type = TYPE_ANY;
	else if (type_text)
		type = rrtype_from_name(type_text);
	if (type < 0)
		return -EINVAL;
	if (flags)
		with_edns = with_do = false;
	for (; flags && *flags; flags++) {
		switch (*flags) {
		case 'E': with_edns = true; break;
		case 'D': with_do = true; break;
		case 'R': recurse = true; break;
		default: return -EINVAL;
		}
	}
	return sink(arg, msg, write_query(msg, name.wire, name.len, (uint16_t)type, with_edns, with_do,
					  recurse));
}

int source_text(const char *path, const struct source_edns *edns, source_sink sink, void *arg)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	uint64_t n = 0;
	int rc = 0;

	if (!f) {
		rc = -errno;
		log_error("%s: %s", path, strerror(errno));
		return rc;
	}
	for (; rc == 0 && getline(&line, &size, f) >= 0; n++) {
		rc = text_line(line, n, edns, sink, arg);
		if (rc == -EINVAL)
			log_error("%s:%lu: not of the form NAME [TYPE [FLAGS]]", path, n + 1);
	}
	if (rc == 0 && ferror(f)) {
		rc = -EIO;
		log_error("%s: cannot be read", path);
	}
	free(line);
	fclose(f);
	return rc;
}

/* ---- pcap ---- */

#define PCAP_MICRO 0xa1b2c3d4u
#define PCAP_NANO 0xa1b23c4du
#define PCAP_FRAME 65535 /* octets: longer ones are not looked into */
#define LINK_ETHERNET 1
#define LINK_RAW 101

/* The UDP payload of an IP packet to port 53, or NULL. */
static const uint8_t *packet_payload(const uint8_t *ip, size_t len, size_t *payload_len)
{
	const uint8_t *udp;
	size_t udp_len;

	if (len >= 28 && ip[0] == 0x45 && ip[9] == 17 && !(wire_read16(ip + 6) & 0x3fff))
		udp = ip + 20;
	else if (len >= 48 && ip[0] >> 4 == 6 && ip[6] == 17)
		udp = ip + 40;
	else
		return NULL;
	udp_len = wire_read16(udp + 4);
	if (wire_read16(udp + 2) != 53 || udp_len < 8 || udp_len > len - (size_t)(udp - ip))
		return NULL;
	*payload_len = udp_len - 8;
	return udp + 8;
}

static const uint8_t *frame_payload(const uint8_t *frame, size_t len, uint32_t link, size_t *payload_len)
{
	size_t at = 12;

	if (link == LINK_RAW)
		return packet_payload(frame, len, payload_len);
	for (unsigned tags = 0; len >= at + 2; tags++, at += 4) {
		uint16_t kind = wire_read16(frame + at);

		if (kind == 0x0800 || kind == 0x86dd)
			return packet_payload(frame + at + 2, len - at - 2, payload_len);
		if ((kind != 0x8100 && kind != 0x88a8) || tags == 2)
			break;
	}
	return NULL;
}

static uint32_t pcap_number(const uint8_t *p, bool swapped)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return swapped ? __builtin_bswap32(v) : v;
}

int source_pcap(const char *path, source_sink sink, void *arg)
{
	uint8_t head[24], *frame = malloc(PCAP_FRAME);
	FILE *f = fopen(path, "re");
	bool swapped = false;
	uint32_t magic, link;
	int rc = 0;

	if (!f || !frame) {
		rc = f ? -ENOMEM : -errno;
		log_error("%s: %s", path, strerror(-rc));
		goto done;
	}
	rc = -EINVAL;
	if (fread(head, sizeof(head), 1, f) != 1) {
		log_error("%s: no pcap file", path);
		goto done;
	}
	magic = pcap_number(head, false);
	if (magic != PCAP_MICRO && magic != PCAP_NANO) {
		swapped = true;
		magic = pcap_number(head, true);
	}
	link = pcap_number(head + 20, swapped) & 0xfffffff; /* above: the length of a FCS */
	if ((magic != PCAP_MICRO && magic != PCAP_NANO) || (link != LINK_ETHERNET && link != LINK_RAW)) {
		log_error("%s: no pcap file of Ethernet or IP frames (editcap -F pcap makes one of pcapng)",
			  path);
		goto done;
	}
	for (rc = 0; rc == 0 && fread(head, 16, 1, f) == 1;) {
		size_t len = pcap_number(head + 8, swapped), payload_len;
		const uint8_t *payload;

		if (len > PCAP_FRAME || fread(frame, 1, len, f) != len) {
			log_error("%s: cut short", path);
			rc = -EINVAL;
			break;
		}
		payload = frame_payload(frame, len, link, &payload_len);
		if (payload)
			rc = sink(arg, payload, payload_len);
	}
done:
	if (f)
		fclose(f);
	free(frame);
	return rc;
}

/* ---- saved queries ---- */

static const char saved_magic[8] = "PXLOAD1";

struct saved {
	uint64_t digest;
	uint16_t len;
	uint8_t rcode;
	uint8_t pad[5];
};

FILE *source_save_open(const char *path)
{
	FILE *f = fopen(path, "we");

	if (f)
		fwrite(saved_magic, sizeof(saved_magic), 1, f);
	return f;
}

int source_save_add(FILE *f, const uint8_t *msg, size_t len, uint8_t rcode, uint64_t digest)
{
	struct saved head = { .digest = digest, .len = (uint16_t)len, .rcode = rcode };

	return fwrite(&head, sizeof(head), 1, f) == 1 && fwrite(msg, 1, len, f) == len ? 0 : -EIO;
}

int source_save_close(FILE *f)
{
	int failed = ferror(f);

	return fclose(f) != 0 || failed ? -EIO : 0;
}

int source_saved(const char *path, source_saved_sink sink, void *arg)
{
	FILE *f = fopen(path, "re");
	uint8_t msg[UINT16_MAX];
	struct saved head;
	int rc = 0;

	if (!f) {
		rc = -errno;
		log_error("%s: %s", path, strerror(errno));
		return rc;
	}
	if (fread(msg, sizeof(saved_magic), 1, f) != 1 || memcmp(msg, saved_magic, sizeof(saved_magic)) != 0)
		rc = -EINVAL;
	while (rc == 0 && fread(&head, sizeof(head), 1, f) == 1) {
		if (fread(msg, 1, head.len, f) != head.len)
			rc = -EINVAL;
		else
			rc = sink(arg, msg, head.len, head.rcode, head.digest);
	}
	if (rc == -EINVAL)
		log_error("%s: not written by pollux-load --save, or cut short", path);
	fclose(f);
	return rc;
}

/* ---- a zone ---- */

static const char *const profile_names[PROFILES] = {
	[PROFILE_HITS] = "hits",           [PROFILE_ZIPF] = "zipf",
	[PROFILE_NXDOMAIN] = "nxdomain",   [PROFILE_DEEP] = "deep",
	[PROFILE_REFERRALS] = "referrals", [PROFILE_MIXED] = "mixed",
};

int source_profile_from_name(const char *text)
{
	for (int i = 0; i < PROFILES; i++)
		if (strcmp(text, profile_names[i]) == 0)
			return i;
	return -EINVAL;
}

/* A generator of random numbers (splitmix64, public domain arithmetic): the same seed
 * gives the same queries everywhere. */
static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static double random_unit(uint64_t *state)
{
	return (double)(random_next(state) >> 11) / (double)(UINT64_C(1) << 53);
}

/* What of the zone can be asked for: indices of records. */
struct targets {
	const struct records *rs;
	uint32_t *hit, *cut;
	uint32_t hit_cnt, cut_cnt;
};

/* Signatures and denial records come with other answers, and nobody asks for them. */
static bool is_asked(uint16_t type)
{
	return type != TYPE_RRSIG && type != TYPE_NSEC && type != TYPE_NSEC3 && type != TYPE_NSEC3PARAM;
}

static int targets_collect(struct targets *t, const struct records *rs, const struct name *apex,
			   uint16_t type)
{
	const uint8_t *cut = NULL;

	*t = (struct targets){ .rs = rs };
	t->hit = malloc((rs->cnt + 1) * sizeof(*t->hit));
	t->cut = malloc((rs->cnt + 1) * sizeof(*t->cut));
	if (!t->hit || !t->cut)
		return -ENOMEM;
	for (size_t i = 0; i < rs->cnt; i++) {
		const struct record *r = &rs->rr[i];
		bool first = i == 0 || r->type != r[-1].type || name_cmp(r->owner, r[-1].owner) != 0;

		/* In canonical order what lies below a cut follows it. */
		if (cut && name_within(r->owner, cut))
			continue;
		cut = NULL;
		if (!first)
			continue;
		if (r->type == TYPE_NS && name_cmp(r->owner, apex->wire) != 0) {
			cut = r->owner;
			t->cut[t->cut_cnt++] = (uint32_t)i;
		} else if (is_asked(r->type) && (type == 0 || r->type == type)) {
			t->hit[t->hit_cnt++] = (uint32_t)i;
		}
	}
	return 0;
}

static void targets_free(struct targets *t)
{
	free(t->hit);
	free(t->cut);
}

/* A label of 12 random letters and digits in front of a name.  Its length in out. */
static size_t random_label(uint8_t *out, const uint8_t *wire, size_t len, uint64_t *state)
{
	static const char letters[32] = "abcdefghijklmnopqrstuvwxyz234567";
	uint64_t bits = random_next(state);

	out[0] = 12;
	for (unsigned i = 1; i <= 12; i++, bits >>= 5)
		out[i] = (uint8_t)letters[bits & 31];
	memcpy(out + 13, wire, len);
	return len + 13;
}

/* What is asked of the zone in one query: a name of up to NAME_MAX_LEN octets. */
struct wish {
	uint8_t wire[NAME_MAX_LEN + 64];
	size_t len;
	uint16_t type;
};

static void wish_name(struct wish *w, const uint8_t *wire, uint16_t type)
{
	w->len = name_wire_len(wire);
	memcpy(w->wire, wire, w->len);
	w->type = type;
}

static void wish_hit(struct wish *w, const struct targets *t, uint32_t n)
{
	const struct record *r = &t->rs->rr[t->hit[n]];

	wish_name(w, r->owner, r->type);
}

static void wish_referral(struct wish *w, const struct targets *t, uint32_t n)
{
	const uint8_t *wire = t->rs->rr[t->cut[n]].owner;

	w->len = name_wire_len(wire);
	memcpy(w->wire, "\3www", 4);
	memcpy(w->wire + 4, wire, w->len);
	w->len += 4;
	w->type = TYPE_A;
}

static void wish_random(struct wish *w, const struct name *apex, unsigned labels, uint64_t *state)
{
	uint8_t below[NAME_MAX_LEN];
	size_t len = apex->len;

	memcpy(below, apex->wire, len);
	for (; labels > 1 && len + 2 + 13 <= NAME_MAX_LEN; labels--, len += 2) {
		memmove(below + 2, below, len);
		below[0] = 1;
		below[1] = 'x';
	}
	w->len = random_label(w->wire, below, len, state);
	w->type = TYPE_A;
}

/* A name that exists, asked for a type that hardly any name has. */
static void wish_nodata(struct wish *w, const struct targets *t, uint32_t n)
{
	wish_hit(w, t, n);
	w->type = TYPE_SRV;
}

static void wish_make(struct wish *w, const struct targets *t, const struct name *apex,
		      const struct source_zone *z, uint64_t *state)
{
	enum source_profile profile = z->profile;
	uint64_t draw = random_next(state);
	uint32_t hit = t->hit_cnt ? (uint32_t)(draw % t->hit_cnt) : 0;
	uint32_t cut = t->cut_cnt ? (uint32_t)(draw % t->cut_cnt) : 0;

	if (profile == PROFILE_MIXED) {
		uint64_t percent = random_next(state) % 100;

		if (percent >= 90) {
			wish_nodata(w, t, hit);
			return;
		}
		profile = percent >= 60 ? PROFILE_NXDOMAIN
			  : t->cut_cnt > t->hit_cnt ? PROFILE_REFERRALS
						    : PROFILE_HITS;
	}
	switch (profile) {
	case PROFILE_ZIPF:
		/* Log-uniform ranks are Zipf's law with exponent 1; ranks are spread over
		 * the zone by a step that is prime to nearly every count. */
		hit = (uint32_t)(pow((double)t->hit_cnt + 1, random_unit(state)) - 1);
		hit = (uint32_t)((uint64_t)hit * 2654435761u % t->hit_cnt);
		/* fall through */
	case PROFILE_HITS:
		wish_hit(w, t, hit);
		break;
	case PROFILE_REFERRALS:
		wish_referral(w, t, cut);
		break;
	case PROFILE_DEEP:
		wish_random(w, apex, 29, state);
		break;
	default:
		wish_random(w, apex, 1, state);
		break;
	}
}

int source_zone(const struct records *rs, const struct name *apex, const struct source_zone *z,
		source_sink sink, void *arg)
{
	bool hits = z->profile == PROFILE_HITS || z->profile == PROFILE_ZIPF || z->profile == PROFILE_MIXED;
	uint64_t state = z->seed;
	struct targets t;
	int rc = targets_collect(&t, rs, apex, z->type);

	if (rc == 0 && ((hits && t.hit_cnt == 0) || (z->profile == PROFILE_REFERRALS && t.cut_cnt == 0))) {
		log_error("the zone has nothing to ask for in profile %s", profile_names[z->profile]);
		rc = -EINVAL;
	}
	for (uint32_t i = 0; rc == 0 && i < z->cnt; i++) {
		uint8_t msg[QUERY_MAX + 64];
		struct wish w;

		wish_make(&w, &t, apex, z, &state);
		if (w.len > NAME_MAX_LEN)
			continue; /* no room in front of a name that long */
		rc = sink(arg, msg, write_query(msg, w.wire, w.len, w.type, chosen(i, z->edns.edns),
						chosen(i, z->edns.dnssec_ok), false));
	}
	targets_free(&t);
	return rc;
}
