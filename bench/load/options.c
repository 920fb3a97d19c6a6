/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/load/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/answer/rrtype.h"
#include "dataplane/common/log.h"

static const char usage[] =
"Usage: pollux-load [OPTION]... PORT SERVER[@PORT] [SERVER[@PORT]]\n"
"       pollux-load [OPTION]... --save FILE\n"
"\n"
"Ask a DNS server as fast as it can answer, check every answer, and tell the rate, the\n"
"losses and the latency.  SERVER: an IPv4 address, an IPv6 address, or one of each.\n"
"\n"
"PORT\n"
"  interface:NAME        AF_XDP on a kernel interface (root)\n"
"  memif:PATH            shared memory with the server at this socket\n"
"  pci:ADDRESS           a NIC bound to vfio; needs --mac and --source\n"
"\n"
"What is asked\n"
"  --queries FILE        lines NAME [TYPE [FLAGS]]; flags E: EDNS, D: EDNS with DO, R: RD\n"
"  --pcap FILE           the queries to port 53 of a capture\n"
"  --saved FILE          what --save wrote\n"
"  --zone FILE --domain NAME\n"
"                        the zone that is served: answers are compared with it, and\n"
"                        unless a file of queries is given, they are made from it\n"
"  --profile NAME        hits, zipf, nxdomain, deep, referrals or mixed (default: hits)\n"
"  --type TYPE           hits of this type only\n"
"  --count N             queries to make (default: 1000000)\n"
"  --seed N              of what is random (default: 1)\n"
"  --edns PERCENT        queries with EDNS (default: 70)\n"
"  --do PERCENT          queries with DO set, with EDNS (default: 0)\n"
"  --save FILE           only write the queries and what their answers must be, so that\n"
"                        the next runs start at once\n"
"\n"
"From where\n"
"  --source ADDRESS      first source address; once for each family\n"
"  --sources N           so many source addresses in a row (default: 1)\n"
"  --share6 PERCENT      queries over IPv6 when both families are asked (default: 50)\n"
"  --vlan ID[,ID]        VLAN tags, the outer first\n"
"  --mac ADDRESS         the server's, or the next hop's (default: as the kernel knows)\n"
"\n"
"How fast\n"
"  --inflight N          so many queries under way at all times (default: 512)\n"
"  --rate N              N queries a second instead, whatever comes back\n"
"  --sweep PERCENT       the highest rate at which at most PERCENT are lost\n"
"  --time SECONDS        (default: 10)\n"
"  --warmup SECONDS      before that, unmeasured (default: 0.5)\n"
"  --step SECONDS        of each rate of a sweep (default: 1)\n"
"  --timeout SECONDS     until a query is lost (default: 0.5)\n"
"\n"
"What is checked (of every answer: ID, addresses, question, rcode where it is known)\n"
"  --sample N            of every N-th query the whole answer (default: 64; 0: none)\n"
"  --learn               without a zone: what is right is what was answered to slow questions\n"
"  --payload N           the largest UDP answer that the server gives (default: 1232)\n"
"  --checksums yes|no    UDP checksums of samples (default: no on an interface, where a\n"
"                        kernel on the same machine leaves them unfinished)\n"
"  --echo                the peer sends every query back as it is\n"
"\n"
"  --core N              CPU to poll on (default: the first allowed)\n"
"  --json FILE           results as JSON (-: to standard output, in place of the report)\n"
"  --watch PID[,PID]...  tell the CPU that these processes take, the server's for example\n"
"  --quiet               no progress line\n"
"  --help\n"
"\n"
"Exit status: 0, 1 when answers were wrong or there were none or the server went away,\n"
"2 when it could not run.\n";

enum {
	OPT_QUERIES = 256, OPT_PCAP, OPT_SAVED, OPT_SAVE, OPT_ZONE, OPT_DOMAIN, OPT_PROFILE, OPT_TYPE, OPT_COUNT, OPT_SEED,
	OPT_EDNS, OPT_DO, OPT_SOURCE, OPT_SOURCES, OPT_SHARE6, OPT_VLAN, OPT_MAC, OPT_INFLIGHT,
	OPT_RATE, OPT_SWEEP, OPT_TIME, OPT_WARMUP, OPT_STEP, OPT_TIMEOUT, OPT_SAMPLE, OPT_LEARN,
	OPT_PAYLOAD, OPT_CHECKSUMS, OPT_ECHO, OPT_CORE, OPT_JSON, OPT_WATCH, OPT_QUIET, OPT_HELP,
};

static const struct option long_options[] = {
	{ "queries", 1, NULL, OPT_QUERIES }, { "pcap", 1, NULL, OPT_PCAP },
	{ "saved", 1, NULL, OPT_SAVED },     { "save", 1, NULL, OPT_SAVE },
	{ "zone", 1, NULL, OPT_ZONE },       { "domain", 1, NULL, OPT_DOMAIN },
	{ "profile", 1, NULL, OPT_PROFILE }, { "type", 1, NULL, OPT_TYPE },
	{ "count", 1, NULL, OPT_COUNT },     { "seed", 1, NULL, OPT_SEED },
	{ "edns", 1, NULL, OPT_EDNS },       { "do", 1, NULL, OPT_DO },
	{ "source", 1, NULL, OPT_SOURCE },   { "sources", 1, NULL, OPT_SOURCES },
	{ "share6", 1, NULL, OPT_SHARE6 },   { "vlan", 1, NULL, OPT_VLAN },
	{ "mac", 1, NULL, OPT_MAC },         { "inflight", 1, NULL, OPT_INFLIGHT },
	{ "rate", 1, NULL, OPT_RATE },       { "sweep", 1, NULL, OPT_SWEEP },
	{ "time", 1, NULL, OPT_TIME },       { "warmup", 1, NULL, OPT_WARMUP },
	{ "step", 1, NULL, OPT_STEP },       { "timeout", 1, NULL, OPT_TIMEOUT },
	{ "sample", 1, NULL, OPT_SAMPLE },   { "learn", 0, NULL, OPT_LEARN },
	{ "payload", 1, NULL, OPT_PAYLOAD }, { "checksums", 1, NULL, OPT_CHECKSUMS },
	{ "echo", 0, NULL, OPT_ECHO },       { "core", 1, NULL, OPT_CORE },
	{ "json", 1, NULL, OPT_JSON },       { "watch", 1, NULL, OPT_WATCH },
	{ "quiet", 0, NULL, OPT_QUIET },     
	{ "help", 0, NULL, OPT_HELP },       { NULL, 0, NULL, 0 },
};

/* A number within bounds. */
static bool read_number(const char *text, double min, double max, double *out)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end != '\0' || !(v >= min && v <= max)) {
		log_error("%s: a number from %g to %g is wanted", text, min, max);
		return false;
	}
	*out = v;
	return true;
}

static bool read_u32(const char *text, double min, double max, uint32_t *out)
{
	double v;

	if (!read_number(text, min, max, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

static bool read_unsigned(const char *text, double max, unsigned *out)
{
	return read_u32(text, 0, max, out);
}

static bool read_mac(struct options *o, const char *text)
{
	uint8_t *m = o->peers.mac_to;
	int used = 0;

	o->mac_set = sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx%n", &m[0], &m[1], &m[2], &m[3], &m[4],
			    &m[5], &used) == 6 && text[used] == '\0';
	if (!o->mac_set)
		log_error("%s is no MAC address", text);
	return o->mac_set;
}

static bool read_vlan(struct options *o, const char *text)
{
	unsigned a, b;
	int used = 0;

	if (sscanf(text, "%u,%u%n", &a, &b, &used) == 2 && text[used] == '\0')
		o->peers.tag_cnt = 2;
	else if (b = 0, used = 0, sscanf(text, "%u%n", &a, &used) == 1 && text[used] == '\0')
		o->peers.tag_cnt = 1;
	else
		a = 4096;
	if (a > 4094 || b > 4094) {
		log_error("%s: one or two VLAN ids are wanted", text);
		return false;
	}
	o->peers.tag[0] = (uint16_t)a;
	o->peers.tag[1] = (uint16_t)b;
	return true;
}

static bool read_source(struct options *o, const char *text)
{
	if (inet_pton(AF_INET, text, o->peers.source4) == 1)
		return o->source4_set = true;
	if (inet_pton(AF_INET6, text, o->peers.source6) == 1)
		return o->source6_set = true;
	log_error("%s is no address", text);
	return false;
}

static bool read_server(struct options *o, const char *text)
{
	char address[64];
	const char *at = strchr(text, '@');
	uint32_t port = 53;

	snprintf(address, sizeof(address), "%.*s", at ? (int)(at - text) : (int)strlen(text), text);
	if (at && !read_u32(at + 1, 1, 65535, &port))
		return false;
	if ((o->peers.use4 || o->peers.use6) && o->peers.port != port) {
		log_error("both servers must have the same port");
		return false;
	}
	o->peers.port = (uint16_t)port;
	if (!o->peers.use4 && inet_pton(AF_INET, address, o->peers.server4) == 1)
		return o->peers.use4 = true;
	if (!o->peers.use6 && inet_pton(AF_INET6, address, o->peers.server6) == 1)
		return o->peers.use6 = true;
	log_error("%s: one address of each family at most is wanted", text);
	return false;
}

static bool set_source(struct options *o, enum source_kind kind, const char *path)
{
	if (o->source != SOURCE_NONE) {
		log_error("only one of --queries, --pcap and --saved is possible");
		return false;
	}
	o->source = kind;
	o->path = path;
	return true;
}

static bool read_type(struct options *o, const char *text)
{
	int type = rrtype_from_name(text);

	if (type < 0) {
		log_error("%s is no type", text);
		return false;
	}
	o->make.type = (uint16_t)type;
	return true;
}

static bool read_profile(struct options *o, const char *text)
{
	int profile = source_profile_from_name(text);

	if (profile < 0) {
		log_error("%s is no profile", text);
		return false;
	}
	o->make.profile = (enum source_profile)profile;
	return true;
}

static bool read_yes_no(const char *text, bool *out)
{
	*out = strcmp(text, "yes") == 0;
	if (!*out && strcmp(text, "no") != 0) {
		log_error("%s: yes or no is wanted", text);
		return false;
	}
	return true;
}

static bool read_watch(struct options *o, const char *text)
{
	const char *p = text;
	char *end;

	do {
		long pid = strtol(p, &end, 10);

		if (end == p || pid <= 0 || pid > INT_MAX || (*end && *end != ',') ||
		    o->watch_cnt == OPTIONS_WATCH) {
			log_error("%s: up to %d process ids are wanted", text, OPTIONS_WATCH);
			return false;
		}
		o->watch[o->watch_cnt++] = (int)pid;
		p = end + 1;
	} while (*end);
	return true;
}

static bool read_option(struct options *o, int c, bool *sums_set)
{
	double v;
	uint32_t n;

	switch (c) {
	case OPT_QUERIES: return set_source(o, SOURCE_TEXT, optarg);
	case OPT_PCAP: return set_source(o, SOURCE_PCAP, optarg);
	case OPT_SAVED: return set_source(o, SOURCE_SAVED, optarg);
	case OPT_SAVE: o->save = optarg; return true;
	case OPT_ZONE: o->zone_path = optarg; return true;
	case OPT_DOMAIN:
		o->domain = optarg;
		if (name_from_text(&o->apex, optarg) == 0)
			return true;
		log_error("%s is no name", optarg);
		return false;
	case OPT_PROFILE: return read_profile(o, optarg);
	case OPT_TYPE: return read_type(o, optarg);
	case OPT_COUNT: return read_u32(optarg, 1, 200e6, &o->make.cnt);
	case OPT_SEED:
		if (!read_number(optarg, 0, 9e15, &v))
			return false;
		o->make.seed = (uint64_t)v;
		return true;
	case OPT_EDNS: return read_unsigned(optarg, 100, &o->make.edns.edns);
	case OPT_DO: return read_unsigned(optarg, 100, &o->make.edns.dnssec_ok);
	case OPT_SOURCE: return read_source(o, optarg);
	case OPT_SOURCES: return read_u32(optarg, 1, 16e6, &o->peers.sources);
	case OPT_SHARE6: return read_unsigned(optarg, 100, &o->peers.share6);
	case OPT_VLAN: return read_vlan(o, optarg);
	case OPT_MAC: return read_mac(o, optarg);
	case OPT_INFLIGHT: return read_u32(optarg, 1, 65536, &o->inflight);
	case OPT_RATE: return read_number(optarg, 1, 1e9, &o->rate);
	case OPT_SWEEP:
		if (!read_number(optarg, 0, 50, &v))
			return false;
		o->sweep = v / 100;
		return true;
	case OPT_TIME: return read_number(optarg, 0.01, 86400, &o->seconds);
	case OPT_WARMUP: return read_number(optarg, 0, 3600, &o->warmup);
	case OPT_STEP: return read_number(optarg, 0.01, 3600, &o->step);
	case OPT_TIMEOUT: return read_number(optarg, 0.001, 60, &o->timeout);
	case OPT_SAMPLE: return read_u32(optarg, 0, 1e9, &o->sample);
	case OPT_LEARN: return o->learn = true;
	case OPT_PAYLOAD:
		if (!read_u32(optarg, 512, 65535, &n))
			return false;
		o->payload = (uint16_t)n;
		return true;
	case OPT_CHECKSUMS: *sums_set = true; return read_yes_no(optarg, &o->sums);
	case OPT_ECHO: return o->echo = true;
	case OPT_CORE: return read_unsigned(optarg, CPU_SETSIZE - 1, &o->core);
	case OPT_JSON: o->json = optarg; return true;
	case OPT_WATCH: return read_watch(o, optarg);
	case OPT_QUIET: o->progress = false; return true;
	}
	return false; /* getopt has told of it */
}

static unsigned first_cpu(void)
{
	cpu_set_t allowed;
	unsigned cpu = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
		while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &allowed))
			cpu++;
	return cpu;
}

/* What only makes sense together. */
static bool check_options(struct options *o)
{
	if (!o->zone_path != !o->domain) {
		log_error("--zone and --domain belong together");
		return false;
	}
	if (o->source == SOURCE_NONE) {
		if (!o->zone_path) {
			log_error("what to ask? --queries, --pcap, --saved or --zone says it");
			return false;
		}
		o->source = SOURCE_PROFILE;
	}
	if (o->rate > 0 && o->sweep >= 0) {
		log_error("--rate and --sweep exclude each other");
		return false;
	}
	if (o->source == SOURCE_SAVED && (o->zone_path || o->save)) {
		log_error("--saved goes without --zone and --save");
		return false;
	}
	if (o->learn && (o->zone_path || o->source == SOURCE_SAVED || o->echo)) {
		log_error("--learn is for runs without --zone, --saved and --echo");
		return false;
	}
	return true;
}

int options_read(struct options *o, int argc, char **argv)
{
	bool sums_set = false;

	*o = (struct options){
		.core = first_cpu(),
		.peers = { .sources = 1, .share6 = 50 },
		.make = { .profile = PROFILE_HITS, .cnt = 1000000, .seed = 1, .edns = { .edns = 70 } },
		.sweep = -1, .inflight = 512, .seconds = 10, .warmup = 0.5, .step = 1, .timeout = 0.5,
		.sample = 64, .payload = SOURCE_PAYLOAD, .progress = isatty(STDERR_FILENO),
	};
	for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
		if (c == OPT_HELP) {
			fputs(usage, stdout);
			return 1;
		}
		if (!read_option(o, c, &sums_set))
			return -EINVAL;
	}
	if (o->save && argc == optind)
		return check_options(o) ? 0 : -EINVAL;
	if (argc - optind < 2 || argc - optind > 3) {
		log_error("a port and a server are wanted (--help says more)");
		return -EINVAL;
	}
	o->port_text = argv[optind];
	if (port_parse(&o->port, o->port_text) != 0 || !read_server(o, argv[optind + 1]) ||
	    (argc - optind == 3 && !read_server(o, argv[optind + 2])) || !check_options(o))
		return -EINVAL;
	if (!sums_set)
		o->sums = o->port.kind != PORT_INTERFACE;
	return 0;
}
