/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec_check.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/answer/nsec3.h"
#include "dataplane/answer/rrtype.h"
#include "dataplane/answer/wire.h"

/* A name of the zone with its records, if any. */
struct item {
	const uint8_t *name;
	const struct record *rr;
	size_t cnt;              /* 0: an empty non-terminal */
	size_t parent;           /* index of the name above; of the apex: its own */
	bool below;              /* a cut or DNAME: it has no denial record */
	bool cut, dname;
	bool hidden;             /* owns NSEC3 records only */
	bool secure;             /* some name at or below it must have an NSEC3 in any case */
};

/* An NSEC3 record of the chain that is checked. */
struct link {
	uint8_t hash[NSEC3_HASH];
	const struct record *rr;
	bool used;               /* by a name */
};

struct check {
	const struct records *rs;
	const struct name *apex;
	bool warn;
	zonefile_report report;
	void *arg;
	const char *file;
	unsigned faults;
	struct item *item;
	size_t item_cnt, item_cap;
	struct link *link;
	size_t link_cnt;
};

/* fault - tell of one, at this record; NULL: of the zone as such. */
__attribute__((format(printf, 3, 4)))
static void fault(struct check *c, const struct record *rr, const char *format, ...)
{
	char text[PATH_MAX + 2 * NAME_TEXT_MAX + 256], cause[NAME_TEXT_MAX + 256], name[NAME_TEXT_MAX];
	const char *file = c->file ? c->file : name_to_text(name, c->apex->wire);
	const char *warning = c->warn ? "warning: " : "";
	va_list args;

	c->faults++;
	if (c->faults > ZONEFILE_ERRORS + 1)
		return;
	va_start(args, format);
	vsnprintf(cause, sizeof(cause), format, args);
	va_end(args);
	if (c->faults > ZONEFILE_ERRORS)
		snprintf(text, sizeof(text), "%s: %stoo many errors", file, warning);
	else if (c->file && rr && rr->file == 0 && rr->line > 0)
		snprintf(text, sizeof(text), "%s:%lu: %s%s", file, (unsigned long)rr->line, warning, cause);
	else
		snprintf(text, sizeof(text), "%s: %s%s", file, warning, cause);
	c->report(c->arg, text);
}

static const struct record *find_type(const struct item *it, uint16_t type)
{
	for (size_t i = 0; i < it->cnt; i++)
		if (it->rr[i].type == type)
			return &it->rr[i];
	return NULL;
}

static bool proof_only(const struct item *it)
{
	bool proof = false;

	for (size_t i = 0; i < it->cnt; i++) {
		const struct record *rr = &it->rr[i];

		if (rr->type != TYPE_NSEC3 &&
		    !(rr->type == TYPE_RRSIG && wire_read16(rr->rdata) == TYPE_NSEC3))
			return false;
		proof |= rr->type == TYPE_NSEC3;
	}
	return proof;
}

static struct item *item_add(struct check *c, const uint8_t *name, size_t parent)
{
	if (c->item_cnt == c->item_cap) {
		size_t cap = c->item_cap * 2 + 64;
		struct item *grown = realloc(c->item, cap * sizeof(*grown));

		if (!grown)
			return NULL;
		c->item = grown;
		c->item_cap = cap;
	}
	struct item *it = &c->item[c->item_cnt++];

	*it = (struct item){ .name = name, .parent = parent };
	return it;
}

static void classify(struct check *c, struct item *it)
{
	const struct item *above = &c->item[it->parent];

	if (it != above)
		it->below = above->below || above->cut || above->dname;
	it->cut = it != above && find_type(it, TYPE_NS);
	it->dname = find_type(it, TYPE_DNAME);
	it->hidden = proof_only(it);
	if (it->below || it->hidden || it->cnt == 0 || (it->cut && !find_type(it, TYPE_DS)))
		return;
	it->secure = true;
	while (it != above && !above->secure) {
		struct item *a = &c->item[it->parent];

		a->secure = true;
		it = a;
		above = &c->item[it->parent];
	}
}

/* All names in canonical order, empty non-terminals included. */
static int list_names(struct check *c)
{
	size_t line[NAME_MAX_LABELS + 1]; /* the last name and its ancestors, by labels */
	struct name last = { 0 };

	for (size_t i = 0, n; i < c->rs->cnt; i += n) {
		const struct record *rr = &c->rs->rr[i];
		struct name o;

		for (n = 1; i + n < c->rs->cnt && (rr[n].owner == rr->owner ||
						   name_cmp(rr[n].owner, rr->owner) == 0); n++)
			;
		name_from_wire(&o, rr->owner, NAME_MAX_LEN);

		unsigned d = c->apex->labels; /* of the first ancestor that is new */

		if (c->item_cnt) {
			while (d < o.labels && d < last.labels &&
			       memcmp(o.wire + name_suffix(&o, d + 1), last.wire + name_suffix(&last, d + 1),
				      1u + o.wire[name_suffix(&o, d + 1)]) == 0)
				d++;
			d++;
		}
		for (; d <= o.labels; d++) {
			size_t parent = d > c->apex->labels ? line[d - 1] : 0;
			struct item *it = item_add(c, rr->owner + name_suffix(&o, d), parent);

			if (!it)
				return -ENOMEM;
			line[d] = c->item_cnt - 1;
			if (d == o.labels) {
				it->rr = rr;
				it->cnt = n;
			}
			classify(c, it);
		}
		last = o;
	}
	return 0;
}

/* ---- type bitmaps (RFC 4034 section 4.1.2) ---- */

/* The first type in a checked bitmap that is above `after` (-1: any); -1 if none is. */
static int next_type(const uint8_t *map, const uint8_t *end, int after)
{
	for (; map < end; map += 2 + map[1]) {
		for (int i = 0; i < 8 * map[1]; i++) {
			int type = map[0] * 256 + i;

			if (type > after && map[2 + i / 8] & 0x80 >> i % 8)
				return type;
		}
	}
	return -1;
}

/* The first type at a name above `after` that its denial record must list: at a cut
 * only what the parent has to say (RFC 4035 section 2.3).  *rr is where to begin. */
static int next_there(const struct item *it, size_t *rr, int after, uint16_t proof)
{
	for (; *rr < it->cnt; ++*rr) {
		uint16_t type = it->rr[*rr].type;

		if (type <= after || (it->cut && type != TYPE_NS && type != TYPE_DS &&
				      type != TYPE_RRSIG && type != TYPE_NSEC))
			continue;
		/* What an NSEC3 chain does not say of itself, nor of the other kind. */
		if (proof == TYPE_NSEC3 && (type == TYPE_NSEC3 || type == TYPE_NSEC || type == TYPE_RRSIG))
			continue;
		return type;
	}
	return -1;
}

static void check_types(struct check *c, const struct item *it, const struct record *rr,
			const uint8_t *map)
{
	const uint8_t *end = rr->rdata + rr->rdata_len;
	char name[NAME_TEXT_MAX], type[16];
	size_t at = 0;

	for (int listed = -1, there = -1;;) {
		do
			listed = next_type(map, end, listed);
		while (rr->type == TYPE_NSEC3 && (listed == TYPE_RRSIG || listed == TYPE_NSEC));
		there = next_there(it, &at, there, rr->type);
		if (listed == there) {
			if (listed < 0)
				return;
			continue;
		}
		bool missing = listed < 0 || (there >= 0 && there < listed);

		fault(c, rr, "%s: %s %s %s", name_to_text(name, it->name),
		      rr->type == TYPE_NSEC ? "NSEC" : "NSEC3", missing ? "does not list" : "lists",
		      rrtype_name(type, (uint16_t)(missing ? there : listed)));
		return;
	}
}

/* ---- NSEC ---- */

static bool same_name(const uint8_t *a, const uint8_t *b)
{
	size_t len = name_wire_len(a);

	for (size_t i = 0; i < len; i++) /* a length octet is below 'A' */
		if (name_fold(a[i]) != b[i])
			return false;
	return true;
}

static void check_nsec(struct check *c)
{
	const struct item *last = NULL; /* and its record */
	const struct record *rr = NULL;
	char name[NAME_TEXT_MAX], next[NAME_TEXT_MAX];

	for (size_t i = 0; i <= c->item_cnt && c->faults <= ZONEFILE_ERRORS; i++) {
		const struct item *it = &c->item[i < c->item_cnt ? i : 0];
		const struct record *nsec = find_type(it, TYPE_NSEC);

		if (i < c->item_cnt && (it->below || it->hidden || it->cnt == 0)) {
			if (nsec)
				fault(c, nsec, "%s: NSEC at a name that is not authoritative",
				      name_to_text(name, it->name));
			continue;
		}
		/* Behind the last comes the apex again. */
		if (rr && !same_name(rr->rdata, it->name))
			fault(c, rr, "%s: NSEC leads to %s, but the next name is %s",
			      name_to_text(name, last->name), name_to_text((char[NAME_TEXT_MAX]){ 0 }, rr->rdata),
			      name_to_text(next, it->name));
		if (i == c->item_cnt)
			return;
		if (!nsec)
			fault(c, it->rr, "%s: no NSEC", name_to_text(name, it->name));
		else if (nsec + 1 < it->rr + it->cnt && nsec[1].type == TYPE_NSEC)
			fault(c, nsec + 1, "%s: a second NSEC", name_to_text(name, it->name));
		else
			check_types(c, it, nsec, nsec->rdata + name_wire_len(nsec->rdata));
		last = it;
		rr = nsec;
	}
}

/* ---- NSEC3 ---- */

static const uint8_t *next_hash(const struct record *rr)
{
	const uint8_t *len = rr->rdata + 5 + rr->rdata[4];

	return *len == NSEC3_HASH ? len + 1 : NULL;
}

/* List the records of a chain, and check that each leads to the next. */
static int list_links(struct check *c, const struct nsec3_chain *chain)
{
	char name[NAME_TEXT_MAX];

	c->link = malloc((c->rs->cnt + 1) * sizeof(*c->link));
	if (!c->link)
		return -ENOMEM;
	for (size_t i = 0; i < c->rs->cnt && c->faults <= ZONEFILE_ERRORS; i++) {
		const struct record *rr = &c->rs->rr[i];
		struct link *l = &c->link[c->link_cnt];

		if (rr->type != TYPE_NSEC3 || !nsec3_same_chain(chain, rr->rdata))
			continue;
		if (!nsec3_decode(l->hash, rr->owner) ||
		    name_wire_labels(rr->owner) != c->apex->labels + 1u || !next_hash(rr)) {
			fault(c, rr, "%s: no owner of an NSEC3 record (RFC 5155 section 3)",
			      name_to_text(name, rr->owner));
			continue;
		}
		l->rr = rr;
		l->used = false;
		c->link_cnt++;
	}
	for (size_t i = 0; i < c->link_cnt && c->faults <= ZONEFILE_ERRORS; i++) {
		const struct link *l = &c->link[i], *next = &c->link[(i + 1) % c->link_cnt];

		if (memcmp(next_hash(l->rr), next->hash, NSEC3_HASH) != 0)
			fault(c, l->rr, "%s: NSEC3 does not lead to the next record, %s",
			      name_to_text(name, l->rr->owner),
			      name_to_text((char[NAME_TEXT_MAX]){ 0 }, next->rr->owner));
	}
	return 0;
}

/* The link that matches the hash (*match) or covers it. */
static struct link *link_floor(struct check *c, const uint8_t *hash, bool *match)
{
	size_t lo = 0, hi = c->link_cnt;

	*match = false;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int d = memcmp(c->link[mid].hash, hash, NSEC3_HASH);

		if (d <= 0) {
			lo = mid + 1;
			*match = d == 0;
		} else {
			hi = mid;
		}
	}
	return c->link_cnt ? &c->link[(lo ? lo : c->link_cnt) - 1] : NULL;
}

static int check_nsec3(struct check *c, const struct nsec3_chain *chain)
{
	uint8_t hash[NSEC3_HASH];
	char name[NAME_TEXT_MAX];
	bool match;
	unsigned before = c->faults;
	int err = list_links(c, chain);

	if (err || c->faults > before)
		return err; /* with a broken chain what follows would only repeat that */
	for (size_t i = 0; i < c->item_cnt && c->faults <= ZONEFILE_ERRORS; i++) {
		const struct item *it = &c->item[i];

		if (it->below || it->hidden)
			continue;
		nsec3_hash(chain, it->name, name_wire_len(it->name), hash);
		struct link *l = link_floor(c, hash, &match);

		if (match) {
			const uint8_t *next = next_hash(l->rr);

			l->used = true;
			check_types(c, it, l->rr, next + NSEC3_HASH);
		} else if (it->secure || !(l->rr->rdata[1] & NSEC3_OPT_OUT)) {
			fault(c, it->rr, "%s: no NSEC3", name_to_text(name, it->name));
		}
	}
	for (size_t i = 0; i < c->link_cnt && c->faults <= ZONEFILE_ERRORS; i++)
		if (!c->link[i].used)
			fault(c, c->link[i].rr, "%s: NSEC3 of a name that is not there",
			      name_to_text(name, c->link[i].rr->owner));
	return 0;
}

/* ---- */

/* What the NSEC3PARAMs promise beside the chain that is served (NULL: none is). */
static void check_params(struct check *c, const struct nsec3_chain *served, unsigned max)
{
	const struct item *apex = &c->item[0];

	for (size_t i = 0; i < apex->cnt; i++) {
		const struct record *rr = &apex->rr[i];
		struct nsec3_param p;

		if (rr->type != TYPE_NSEC3PARAM || rr->rdata[1] != 0)
			continue; /* with other flags it is not for servers (RFC 5155 section 4.1.2) */
		if (!nsec3_param_read(&p, rr->rdata))
			fault(c, rr, "NSEC3PARAM: hash algorithm %u is unknown", rr->rdata[0]);
		else if (p.chain.iterations > max)
			fault(c, rr, "NSEC3PARAM: %u iterations are more than nsec3-iterations-max, %u: "
			      "this chain is not served", p.chain.iterations, max);
		else if (!(served && nsec3_same_chain(served, rr->rdata)) && !nsec3_closed(&p.chain, c->rs))
			fault(c, rr, "NSEC3PARAM: its chain is not closed, or there is none");
	}
}

int dnssec_check(const struct records *rs, const struct name *apex, unsigned nsec3_max, bool warn,
		 zonefile_report report, void *arg, const char *file)
{
	struct check c = { .rs = rs, .apex = apex, .warn = warn, .report = report, .arg = arg,
			   .file = file };
	struct nsec3_param served;
	bool nsec = false, nsec3 = false, param = false, sig = false;
	int err;

	for (size_t i = 0; i < rs->cnt; i++) {
		nsec |= rs->rr[i].type == TYPE_NSEC;
		nsec3 |= rs->rr[i].type == TYPE_NSEC3;
		param |= rs->rr[i].type == TYPE_NSEC3PARAM;
		sig |= rs->rr[i].type == TYPE_RRSIG;
	}
	if (!nsec && !nsec3 && !param && !sig)
		return 0;
	err = list_names(&c);
	if (!err) {
		bool chosen = nsec3_choose(&served, rs, nsec3_max);

		check_params(&c, chosen ? &served.chain : NULL, nsec3_max);
		if (chosen)
			err = check_nsec3(&c, &served.chain);
		else if (nsec)
			check_nsec(&c);
		else if (nsec3 && !param)
			fault(&c, NULL, "NSEC3 records, but no NSEC3PARAM says that they are complete");
		else if (!nsec3)
			fault(&c, NULL, "signed, but with neither NSEC nor NSEC3");
	}
	free(c.item);
	free(c.link);
	return err ? err : c.faults ? -EINVAL : 0;
}
