/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/answer/db.h"
#include "dataplane/common/config.h"

static char errors[16384];

static struct config *parse_len(const char *text, size_t len)
{
	/* A block of exactly its size, so that ASan sees one octet over. */
	char *copy = malloc(len ? len : 1);
	struct config *c;

	memcpy(copy, text, len);
	c = config_parse("/etc/p.yaml", copy, len, errors, sizeof(errors));
	free(copy);
	return c;
}

static struct config *parse(const char *text)
{
	return parse_len(text, strlen(text));
}

static const char *const example =
	"server:\n"
	"  listen: [10.53.0.1, \"fd53::1\", 127.0.0.1@5300]\n"
	"  identity: ns1.example\n"
	"  version: \"\"\n"
	"  run-directory: run\n"
	"  data-directory: /data//./x\n"
	"  udp-payload: 1400\n"
	"  dnssec-check: refuse\n"
	"  nsec3-iterations-max: 0\n"
	"  user: pollux\n"
	"  threads: 2\n"
	"  tcp: {idle-timeout: 2m, max-clients: 7, max-clients-per-prefix: 5,\n"
	"        first-byte-timeout: 3s, ipv4-prefix-length: 32, ipv6-prefix-length: 64}\n"
	"  tls: {certificate: cert.pem, key: /etc/key.pem, port: 8853, dot: off, doq: no,\n"
	"        client-ca: ca.pem, client-certificates: request}\n"
	"dataplane:\n"
	"  cores: [0]\n"
	"  huge-pages: no\n"
	"  verify-checksums: yes\n"
	"  ports:\n"
	"    - interface: eth1\n"
	"      queues: 3\n"
	"    - memif: /run/pollux/memif0.sock\n"
	"    - pcap: {read: q.pcap, write: a.pcap}\n"
	"table:\n"
	"  memory: 8G\n"
	"zone:\n"
	"  - domain: Example.COM\n"
	"    file: example.com.zone\n"
	"    dnssec-check: warn\n"
	"  - {domain: ., file: /root.zone}\n";

Test(config, the_whole_contract_is_read)
{
	struct config *c = parse(example);
	char text[INET6_ADDRSTRLEN], name[NAME_TEXT_MAX];

	cr_assert(c, "%s", errors);
	cr_assert_str_eq(errors, "");
	cr_assert_str_eq(c->path, "/etc/p.yaml");
	cr_assert_str_eq(c->folder, "/etc");

	cr_assert_eq(c->listen_cnt, 3);
	struct sockaddr_in *v4 = (struct sockaddr_in *)&c->listen[0].sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&c->listen[1].sa;

	cr_assert_eq(v4->sin_family, AF_INET);
	cr_assert_eq(v4->sin_port, htons(53));
	cr_assert_str_eq(inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text)), "10.53.0.1");
	cr_assert_eq(c->listen[0].sa_len, sizeof(*v4));
	cr_assert_eq(v6->sin6_family, AF_INET6);
	cr_assert_eq(v6->sin6_port, htons(53));
	cr_assert_str_eq(inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text)), "fd53::1");
	cr_assert_eq(c->listen[1].sa_len, sizeof(*v6));
	cr_assert_eq(((struct sockaddr_in *)&c->listen[2].sa)->sin_port, htons(5300));
	cr_assert_eq(c->listen[2].line, 2);

	cr_assert_str_eq(c->identity, "ns1.example");
	cr_assert_str_eq(c->version, "");
	cr_assert_str_eq(c->run_directory, "/etc/run");
	cr_assert_str_eq(c->data_directory, "/data/x");
	cr_assert_eq(c->udp_payload, 1400);
	cr_assert_eq(c->dnssec_check, DNSSEC_REFUSE);
	cr_assert_eq(c->nsec3_iterations_max, 0);
	cr_assert_eq(c->zone[0].dnssec_check, DNSSEC_WARN);
	cr_assert_eq(c->zone[1].dnssec_check, DNSSEC_AS_SERVER);
	cr_assert_eq(c->tcp_idle_timeout_ms, 120000);
	cr_assert_eq(c->tcp_max_clients, 7);
	cr_assert_eq(c->tcp_max_prefix, 5);
	cr_assert_eq(c->tcp_first_timeout_ms, 3000);
	cr_assert_eq(c->tcp_ipv4_prefix, 32);
	cr_assert_eq(c->tcp_ipv6_prefix, 64);
	cr_assert_str_eq(c->user, "pollux");
	cr_assert_eq(c->user_line, 10);
	cr_assert_eq(c->threads, 2);
	cr_assert(c->has_tls);
	cr_assert_eq(c->tls_line, 14);
	cr_assert_str_eq(c->tls_certificate, "/etc/cert.pem");
	cr_assert_str_eq(c->tls_key, "/etc/key.pem");
	cr_assert_str_eq(c->tls_client_ca, "/etc/ca.pem");
	cr_assert_eq(c->tls_ask, ASK_REQUEST);
	cr_assert_eq(c->tls_port, 8853);
	cr_assert_eq(c->tls_dot, 0);
	cr_assert_eq(c->tls_doq, 0);
	cr_assert_eq(c->tls_dtls, 1);

	cr_assert(c->has_dataplane);
	cr_assert_eq(c->core_cnt, 1);
	cr_assert_eq(c->cores[0], 0);
	cr_assert_eq(c->huge_pages, ARENA_HUGE_NO);
	cr_assert_eq(c->verify_checksums, CHECKSUMS_YES);
	cr_assert_eq(c->port_cnt, 3);
	cr_assert_eq(c->port[0].kind, PORT_INTERFACE);
	cr_assert_str_eq(c->port[0].target, "eth1");
	cr_assert_eq(c->port[0].queues, 3);
	cr_assert_eq(c->port[0].line, 21);
	cr_assert_eq(c->port[1].kind, PORT_MEMIF);
	cr_assert_str_eq(c->port[1].target, "/run/pollux/memif0.sock");
	cr_assert_eq(c->port[1].queues, 1);
	cr_assert_eq(c->port[2].kind, PORT_PCAP);
	cr_assert_str_eq(c->port[2].target, "/etc/q.pcap");
	cr_assert_str_eq(c->port[2].pcap_write, "/etc/a.pcap");

	cr_assert_eq(c->table_memory, UINT64_C(8) << 30);
	cr_assert_eq(c->zone_cnt, 2);
	cr_assert_str_eq(name_to_text(name, c->zone[0].domain.wire), "example.com.");
	cr_assert_str_eq(c->zone[0].file, "/etc/example.com.zone");
	cr_assert_eq(c->zone[0].line, 28);
	cr_assert_eq(c->zone[0].file_line, 29);
	cr_assert_eq(c->zone[1].domain.len, 1);
	cr_assert_str_eq(c->zone[1].file, "/root.zone");
	config_free(c);
}

Test(config, what_is_not_said_has_its_default)
{
	struct config *c = parse("server: {listen: [127.0.0.1]}");

	cr_assert(c, "%s", errors);
	cr_assert_str_eq(c->identity, "");
	cr_assert_str_eq(c->version, "Pollux " POLLUX_VERSION);
	cr_assert_str_eq(c->run_directory, "/run/pollux");
	cr_assert_str_eq(c->data_directory, "/var/lib/pollux");
	cr_assert_eq(c->udp_payload, 1232);
	cr_assert_eq(c->dnssec_check, DNSSEC_WARN);
	cr_assert_eq(c->nsec3_iterations_max, 100);
	cr_assert_eq(c->tcp_max_clients, 1024);
	cr_assert_eq(c->tcp_idle_timeout_ms, 10000);
	cr_assert_eq(c->tcp_max_prefix, 256);
	cr_assert_eq(c->tcp_first_timeout_ms, 5000);
	cr_assert_eq(c->tcp_ipv4_prefix, 24);
	cr_assert_eq(c->tcp_ipv6_prefix, 56);
	cr_assert_str_eq(c->user, "");
	cr_assert_eq(c->threads, 1);
	cr_assert_not(c->has_tls);
	cr_assert_not(c->has_dataplane);
	cr_assert_eq(c->core_cnt, 0);
	cr_assert_eq(c->port_cnt, 0);
	cr_assert_eq(c->huge_pages, ARENA_HUGE_AUTO);
	cr_assert_eq(c->verify_checksums, CHECKSUMS_AUTO);
	cr_assert_eq(c->table_memory, UINT64_C(1) << 30);
	cr_assert_eq(c->zone_cnt, 0);
	config_free(c);
}

Test(config, who_is_trusted_is_asked_for)
{
	struct config *c = parse("server: {listen: [127.0.0.1], tls: {client-ca: ca.pem}}");

	cr_assert(c, "%s", errors);
	cr_assert_eq(c->tls_ask, ASK_REQUIRE);
	config_free(c);
	c = parse("server: {listen: [127.0.0.1], tls: {}}");
	cr_assert(c, "%s", errors);
	cr_assert_null(c->tls_client_ca);
	cr_assert_eq(c->tls_ask, ASK_NOBODY);
	config_free(c);
}

#define S "server: {listen: [127.0.0.1]}\n"
#define X20 "xxxxxxxxxxxxxxxxxxxx"
#define X100 X20 X20 X20 X20 X20
#define X256 X100 X100 X20 X20 "xxxxxxxxxxxxxxxx"

/* What is refused, and the line and the words that say so. */
static const struct {
	const char *text, *fault;
} refused[] = {
	{"", ":1: the file is empty"},
	{"# nothing\n", ":1: the file is empty"},
	{"~\n", ":1: the file is empty"},
	{"a\n", ":1: the file: keys and values were expected, not a single value"},
	{"[]\n", ":1: the file: keys and values were expected, not a list"},
	{"zone: []\n", ":1: the file: the key `server' is missing"},
	{"server: {}\n", ":1: server: the key `listen' is missing"},
	{"server:\n", ":1: server: empty value"},
	{"server: []\n", ":1: server: keys and values were expected, not a list"},
	{"server:\n  listen:\n", ":2: listen: empty value"},
	{"server: {listen: []}\n", ":1: listen: empty list"},
	{"server: {listen: 127.0.0.1}\n", ":1: listen: a list was expected, not a single value"},
	{"server: {listen: [127.0.0.1, '']}\n", ":1: listen: empty value"},
	{"server: {listen: [[127.0.0.1]]}\n", ":1: listen: a text was expected, not a list"},
	{"server:\n  listen:\n    - 127.0.0.1\n    - 127.0.0.1@53\n",
	 ":4: listen: `127.0.0.1@53' stands in line 3 already"},
	{"server:\n  listen:\n    - fd53::1\n    - fd53:0::1\n",
	 ":4: listen: `fd53:0::1' stands in line 3 already"},
	{"server: {listen: [127.0.0]}\n", ":1: listen: `127.0.0' is no ADDRESS or ADDRESS@PORT"},
	{"server: {listen: [127.0.0.1@]}\n", "is no ADDRESS or ADDRESS@PORT"},
	{"server: {listen: [127.0.0.1@0]}\n", "is no ADDRESS or ADDRESS@PORT"},
	{"server: {listen: [127.0.0.1@65536]}\n", "is no ADDRESS or ADDRESS@PORT"},
	{"server: {listen: [127.0.0.1@00000000000000053]}\n", "is no ADDRESS or ADDRESS@PORT"},
	{"server: {listen: ['127.0.0.1@-1']}\n", "is no ADDRESS or ADDRESS@PORT"},
	{"server: {listen: ['127.0.0.1@53@53']}\n", "is no ADDRESS or ADDRESS@PORT"},
	{"server: {listen: ['@53']}\n", "is no ADDRESS or ADDRESS@PORT"},
	{"server: {listen: [" X100 "]}\n", "is no ADDRESS or ADDRESS@PORT"},
	{"server: {listen: [0.0.0.0]}\n", "is no address of one host"},
	{"server: {listen: ['::']}\n", "is no address of one host"},
	{"server: {listen: [224.0.0.1]}\n", "is no address of one host"},
	{"server: {listen: [255.255.255.255]}\n", "is no address of one host"},
	{"server: {listen: ['ff02::1']}\n", "is no address of one host"},
	{"server: {listen: ['fe80::1']}\n", "is no address of one host"},
	{"server: {listen: ['::ffff:1.2.3.4']}\n", "is no address of one host"},
	{S "foo: 1\n", ":2: unknown key `foo' in the file"},
	{S S, ":2: duplicate key `server' in the file"},
	{S "zone: []\nzone: []\n", ":3: duplicate key `zone' in the file"},
	{S "[a]: 1\n", ":2: the file: a key must be a word, not a list"},
	{S "? {a: b}\n: 1\n", ":2: the file: a key must be a word, not a mapping"},
	{S "'zone\\0': []\n", ":2: unknown key"},
	{S "\"zone\\0\": []\n", ":2: unknown key `zone?' in the file"},
	{"server:\n  listen: [127.0.0.1]\n  identity: &a x\n", ":3: anchors are not allowed here"},
	{"server:\n  listen: [127.0.0.1]\n  identity: *a\n", ":3: aliases are not allowed here"},
	{"server: &a\n  listen: [127.0.0.1]\nzone: *a\n", ":3: aliases are not allowed here"},
	{"server:\n  listen: [127.0.0.1]\n  identity: !!str x\n", ":3: tags are not allowed here"},
	{"server: !!map {listen: ! [127.0.0.1]}\n", ":1: tags are not allowed here"},
	{"%TAG !e! tag:e,2000:\n---\n" S, ":1: tags are not allowed here"},
	{"---\n" S "---\n" S, ":3: a second document"},
	{S "---\n", ":2: a second document"},
	{S "zone: [[[[[[[[[]]]]]]]]]\n", ":2: nested too deep"},
	{S "zone: [\n", ":3: "},
	{S "\tzone: []\n", ":2: "},
	{S "zone: 'a\n", ":3: "},
	{S "zone: \"\\q\"\n", ":2: "},
	{S "zone: \x01\n", ":2: control characters are not allowed"},
	{S "identity: \xff\n", ":2: not UTF-8"},
	{S "\n# \xc0\xaf\n", ":3: not UTF-8"},
	{S "# \xed\xa0\x80\n", ":2: not UTF-8"},
	{S "# \xf4\x90\x80\x80\n", ":2: not UTF-8"},
	{S "# \xe2\x82", ":2: not UTF-8"},
	{"server: {listen: [127.0.0.1], identity: " X256 "}\n", ":1: identity: longer than 255 octets"},
	{"server: {listen: [127.0.0.1], version: " X256 "}\n", ":1: version: longer than 255 octets"},
	{"server: {listen: [127.0.0.1], identity: \"a\\nb\"}\n",
	 ":1: identity: control character in `a?b'"},
	{"server: {listen: [127.0.0.1], identity: \"a\\0b\"}\n",
	 ":1: identity: control character in `a?b'"},
	{"server: {listen: [127.0.0.1], identity: {a: b}}\n",
	 ":1: identity: a text was expected, not a mapping"},
	{"server: {listen: [127.0.0.1], run-directory: ''}\n", ":1: run-directory: empty value"},
	{"server: {listen: [127.0.0.1], run-directory: " X100 "}\n",
	 ":1: run-directory: `/etc/" X20 X20 "xxxxxxxxxxxxxxx...' is longer than 94 octets"},
	{"server: {listen: [127.0.0.1], udp-payload: 511}\n",
	 ":1: udp-payload: 511 is not within 512 to 4096"},
	{"server: {listen: [127.0.0.1], dnssec-check: maybe}\n", ":1: dnssec-check: warn or refuse was expected"},
	{"server: {listen: [127.0.0.1], nsec3-iterations-max: 65536}\n", "65536 is not within 0 to 65535"},
	{"server: {listen: [127.0.0.1], udp-payload: 4097}\n", "4097 is not within 512 to 4096"},
	{"server: {listen: [127.0.0.1], udp-payload: 18446744073709551616}\n",
	 "a number was expected"},
	{"server: {listen: [127.0.0.1], udp-payload: -1}\n", "a number was expected, not `-1'"},
	{"server: {listen: [127.0.0.1], udp-payload: 01000}\n", "a number was expected, not `01000'"},
	{"server: {listen: [127.0.0.1], udp-payload: '1232'}\n", "a number was expected, not `1232'"},
	{"server: {listen: [127.0.0.1], udp-payload: 1e3}\n", "a number was expected, not `1e3'"},
	{"server: {listen: [127.0.0.1], udp-payload: [1]}\n", "a number was expected, not a list"},
	{"server: {listen: [127.0.0.1], tcp: {max-clients: 0}}\n", "0 is not within 1 to 1000000"},
	{"server: {listen: [127.0.0.1], tcp: {max-clients-per-prefix: 0}}\n", "0 is not within 1 to 1000000"},
	{"server: {listen: [127.0.0.1], tcp: {ipv4-prefix-length: 33}}\n", "33 is not within 1 to 32"},
	{"server: {listen: [127.0.0.1], tcp: {ipv6-prefix-length: 129}}\n", "129 is not within 1 to 128"},
	{"server: {listen: [127.0.0.1], threads: 0}\n", "0 is not within 1 to 16"},
	{"server: {listen: [127.0.0.1], threads: 17}\n", "17 is not within 1 to 16"},
	{"server: {listen: [127.0.0.1], user: \"\"}\n", ":1: user: empty value"},
	{"server:\n  listen: [127.0.0.1]\n  tls:\n    certificate: a.pem\n",
	 ":4: tls: a certificate needs its key"},
	{"server: {listen: [127.0.0.1], tls: {key: a.pem}}\n", "and a key its certificate"},
	{"server:\n  listen: [127.0.0.1]\n  tls:\n    client-certificates: request\n",
	 ":4: tls: client-certificates needs client-ca"},
	{"server: {listen: [127.0.0.1], tls: {client-ca: ca.pem, client-certificates: off}}\n",
	 ":1: client-certificates: request or require was expected, not `off'"},
	{"server: {listen: [127.0.0.1], tls: {client-ca: [a.pem]}}\n", ":1: client-ca: "},
	{"server: {listen: [127.0.0.1], tls: {client-ca: \"\"}}\n", ":1: client-ca: empty value"},
	{"server: {listen: [127.0.0.1], tls: {dot: maybe}}\n", "dot: yes or no was expected"},
	{"server: {listen: [127.0.0.1], tls: {port: 0}}\n", "0 is not within 1 to 65535"},
	{"server:\n  listen:\n    - 127.0.0.1\n    - 127.0.0.1@853\n  tls: {dtls: off}\n",
	 ":4: listen: port 853 is that of tls"},
	{"server: {listen: [127.0.0.1], tcp: {idle-timeout: 10}}\n", ":1: idle-timeout: a duration"},
	{"server: {listen: [127.0.0.1], tcp: {idle-timeout: 10d}}\n", ":1: idle-timeout: a duration"},
	{"server: {listen: [127.0.0.1], tcp: {idle-timeout: 10 s}}\n", ":1: idle-timeout: a duration"},
	{"server: {listen: [127.0.0.1], tcp: {idle-timeout: 0s}}\n",
	 ":1: idle-timeout: 0s is out of range"},
	{"server: {listen: [127.0.0.1], tcp: {idle-timeout: 2h}}\n",
	 ":1: idle-timeout: 2h is out of range"},
	{"server: {listen: [127.0.0.1], tcp: {idle-timeout: 18446744073709551s}}\n", "out of range"},
	{S "table: {memory: 8T}\n", ":2: memory: a size"},
	{S "table: {memory: 8 G}\n", ":2: memory: a size"},
	{S "table: {memory: G}\n", ":2: memory: a size"},
	{S "table: {memory: 8GG}\n", ":2: memory: a size"},
	{S "table: {memory: 15M}\n", ":2: memory: 15M is out of range"},
	{S "table: {memory: 65G}\n", ":2: memory: 65G is out of range"},
	{S "table: {memory: 99999999999999999G}\n", ":2: memory: "},
	{S "dataplane: {cores: []}\n", ":2: cores: empty list"},
	{S "dataplane: {cores: 1}\n", ":2: cores: a list was expected"},
	{S "dataplane: {cores: [0, 0]}\n", ":2: cores: 0 is named twice"},
	{S "dataplane: {cores: [100000]}\n", ":2: cores: this machine has no core 100000"},
	{S "dataplane: {cores: [a]}\n", ":2: cores: a number was expected, not `a'"},
	{S "dataplane: {huge-pages: maybe}\n",
	 ":2: huge-pages: auto, yes or no was expected, not `maybe'"},
	{S "dataplane: {verify-checksums: [yes]}\n",
	 ":2: verify-checksums: auto, yes or no was expected, not a list"},
	{S "dataplane: {ports: [a]}\n", ":2: ports: keys and values were expected"},
	{S "dataplane: {ports: [{}]}\n", ":2: ports: a port is one of"},
	{S "dataplane: {ports: [{queues: 1}]}\n", ":2: ports: a port is one of"},
	{S "dataplane:\n  ports:\n    - interface: a\n      memif: b\n",
	 ":4: ports: a port is one of"},
	{S "dataplane: {ports: [{interface: a, queues: 0}]}\n", "0 is not within 1 to 16"},
	{S "dataplane: {ports: [{interface: a, queues: 17}]}\n", "17 is not within 1 to 16"},
	{S "dataplane: {ports: [{interface: 1234567890123456}]}\n", "longer than 15 octets"},
	{S "dataplane: {ports: [{interface: a/b}]}\n", "`a/b' is no interface name"},
	{S "dataplane: {ports: [{interface: 'a,b=1'}]}\n", "`a,b=1' is no interface name"},
	{S "dataplane: {ports: [{interface: ..}]}\n", "`..' is no interface name"},
	{S "dataplane: {ports: [{memif: 'a,b'}]}\n", "a comma in `/etc/a,b'"},
	{S "dataplane: {ports: [{memif: " X100 X20 "}]}\n", "is longer than 107 octets"},
	{S "dataplane: {ports: [{memif: /run/pollux/attach.sock}]}\n",
	 ":2: memif: `/run/pollux/attach.sock' is the control process's socket"},
	{S "dataplane: {ports: [{pcap: a}]}\n", ":2: pcap: keys and values were expected"},
	{S "dataplane: {ports: [{pcap: {read: a}}]}\n", ":2: pcap: the key `write' is missing"},
	{S "dataplane: {ports: [{pcap: {write: a}}]}\n", ":2: pcap: the key `read' is missing"},
	{S "dataplane: {ports: [{pcap: {read: a, write: ./a}}]}\n",
	 ":2: pcap: `/etc/a' would be read and written"},
	{S "dataplane: {ports: [{pcap: {read: a, write: b}, queues: 2}]}\n",
	 ":2: ports: a pcap has one queue"},
	{S "dataplane:\n  ports:\n    - interface: a\n    - interface: a\n",
	 ":5: ports: `a' is in use by the port of line 4"},
	{S "dataplane:\n  ports:\n    - memif: a\n    - memif: .//a\n",
	 ":5: ports: `/etc/a' is in use by the port of line 4"},
	{S "dataplane:\n  ports:\n    - memif: a\n    - pcap: {read: b, write: a}\n",
	 ":5: ports: `/etc/a' is in use by the port of line 4"},
	{S "dataplane:\n  ports:\n    - pcap: {read: a, write: b}\n    - pcap: {read: b, write: c}\n",
	 ":5: ports: `/etc/b' is in use by the port of line 4"},
	{S "zone: {domain: a, file: b}\n", ":2: zone: a list was expected, not a mapping"},
	{S "zone:\n", ":2: zone: empty value"},
	{S "zone:\n  - domain: a\n", ":3: zone: the key `file' is missing"},
	{S "zone:\n  - file: a\n", ":3: zone: the key `domain' is missing"},
	{S "zone:\n  - domain: a\n    file:\n", ":4: file: empty value"},
	{S "zone:\n  - domain:\n    file: a\n", ":3: domain: empty value"},
	{S "zone:\n  - domain: a..b\n    file: a\n", ":3: domain: `a..b' is no domain name"},
	{S "zone:\n  - {domain: a, file: b}\n  - {domain: b, file: b}\n  - {domain: A., file: c}\n",
	 ":5: zone: a. stands in line 3 already"},
	{S "zone:\n  - {domain: a, file: b, master: c}\n", ":3: unknown key `master' in zone"},
};

Test(config, each_fault_is_told_with_its_line)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		struct config *c = parse(refused[i].text);

		cr_assert_null(c, "accepted: %s", refused[i].text);
		cr_assert(strstr(errors, refused[i].fault), "%s\nsays %snot %s",
			  refused[i].text, errors, refused[i].fault);
		cr_assert_eq(strncmp(errors, "/etc/p.yaml:", 12), 0);
	}
}

Test(config, a_NUL_octet_is_refused)
{
	static const char text[] = S "\0zone: []\n";

	cr_assert_null(parse_len(text, sizeof(text) - 1));
	cr_assert_str_eq(errors, "/etc/p.yaml:2: a NUL octet\n");
}

Test(config, faults_come_together_and_in_the_order_of_the_file)
{
	cr_assert_null(parse("zone:\n  - {domain: a, file: b}\n  - {domain: a, file: b}\n"
			     "  - {domain: a..b}\nserver:\n  listen: [x]\n  identity:\n"));
	cr_assert_str_eq(errors,
			 "/etc/p.yaml:3: zone: a. stands in line 2 already\n"
			 "/etc/p.yaml:4: domain: `a..b' is no domain name\n"
			 "/etc/p.yaml:4: zone: the key `file' is missing\n"
			 "/etc/p.yaml:6: listen: `x' is no ADDRESS or ADDRESS@PORT\n"
			 "/etc/p.yaml:7: identity: empty value\n");
}

static unsigned lines(void)
{
	unsigned n = 0;

	for (const char *p = errors; *p; p++)
		n += *p == '\n';
	return n;
}

Test(config, twenty_faults_are_enough)
{
	char text[4096] = S;

	for (unsigned i = 0; i < 100; i++)
		sprintf(text + strlen(text), "k%u: 1\n", i);
	cr_assert_null(parse(text));
	cr_assert_eq(lines(), CONFIG_FAULTS_MAX);
	cr_assert(strstr(errors, "/etc/p.yaml:21: unknown key `k19'"));

	strcpy(text, S "zone: [");
	for (unsigned i = 0; i < 100; i++)
		strcat(text, "&a 1, ");
	strcat(text, "1]");
	cr_assert_null(parse(text));
	cr_assert_eq(lines(), CONFIG_FAULTS_MAX);
}

Test(config, a_small_buffer_holds_whole_lines)
{
	static const char text[] = "a: 1\nb: 2\n";

	for (size_t size = 0; size < 200; size++) {
		char *small = malloc(size ? size : 1);

		cr_assert_null(config_parse("p", text, strlen(text), small, size));
		if (size > 0) {
			size_t len = strnlen(small, size);

			cr_assert_lt(len, size);
			cr_assert(len == 0 || small[len - 1] == '\n');
		}
		free(small);
	}
}

Test(config, lists_have_their_limits)
{
	static char text[1 << 16];
	struct config *c;

	for (unsigned cnt = CONFIG_LISTEN_MAX; cnt <= CONFIG_LISTEN_MAX + 1; cnt++) {
		strcpy(text, "server: {listen: [");
		for (unsigned i = 0; i < cnt; i++)
			sprintf(text + strlen(text), "10.53.%u.%u,", i >> 8, i & 255);
		strcat(text, "]}\n");
		c = parse(text);
		cr_assert_eq(c != NULL, cnt == CONFIG_LISTEN_MAX);
		config_free(c);
	}
	cr_assert(strstr(errors, "listen: more than 256 entries"));

	for (unsigned cnt = CONFIG_PORTS_MAX; cnt <= CONFIG_PORTS_MAX + 1; cnt++) {
		strcpy(text, S "dataplane: {ports: [");
		for (unsigned i = 0; i < cnt; i++)
			sprintf(text + strlen(text), "{interface: eth%u},", i);
		strcat(text, "]}\n");
		c = parse(text);
		cr_assert_eq(c != NULL, cnt == CONFIG_PORTS_MAX);
		config_free(c);
	}
	cr_assert(strstr(errors, "ports: more than 16 entries"));

	memset(text, 'x', sizeof(text));
	memcpy(text, S "zone: [{domain: a, file: ", sizeof(S "zone: [{domain: a, file: ") - 1);
	strcpy(text + 5000, "}]\n");
	cr_assert_null(parse(text));
	cr_assert(strstr(errors, ":2: file: longer than 4095 octets"));
}

Test(config, nesting_costs_no_stack_and_little_time)
{
	size_t len = 1 << 20;
	char *text = malloc(len);

	for (const char *c = "[{-\"'!&|? "; *c; c++) {
		memset(text, *c, len);
		cr_assert_null(parse_len(text, len));
	}
	for (size_t i = 0; i < len; i++)
		text[i] = "- "[i % 2];
	cr_assert_null(parse_len(text, len));
	cr_assert(strstr(errors, "nested too deep"));
	for (size_t i = 0; i < len; i++)
		text[i] = "{a: "[i % 4];
	cr_assert_null(parse_len(text, len));
	free(text);
}

Test(config, many_zones_are_compared_in_time)
{
	size_t cnt = 50000, len = 0;
	char *text = malloc(64 * cnt + 100);
	struct config *c;

	len += (size_t)sprintf(text, S "zone:\n");
	for (size_t i = 0; i < cnt; i++)
		len += (size_t)sprintf(text + len, "- {domain: z%zu.example, file: z}\n", i);
	c = parse_len(text, len);
	cr_assert(c, "%s", errors);
	cr_assert_eq(c->zone_cnt, cnt);
	config_free(c);
	len += (size_t)sprintf(text + len, "- {domain: Z77.example, file: z}\n");
	cr_assert_null(parse_len(text, len));
	cr_assert_str_eq(errors, "/etc/p.yaml:50003: zone: z77.example. stands in line 80 already\n");
	free(text);
}

Test(config, every_prefix_is_read_or_refused)
{
	for (size_t len = 0; len < strlen(example); len++) {
		struct config *c = parse_len(example, len);

		cr_assert(c || lines() > 0);
		config_free(c);
	}
}

Test(config, every_changed_octet_is_read_or_refused)
{
	static const char with[] = "\0\n\t :-#&*!|>'\"{}[],?%@`\\0aG\x80\xc3";
	char text[2048];
	size_t len = strlen(example);

	memcpy(text, example, len);
	for (size_t i = 0; i < len; i++) {
		for (size_t k = 0; k < sizeof(with) - 1; k++) {
			text[i] = with[k];
			struct config *c = parse_len(text, len);

			cr_assert(c || lines() > 0);
			config_free(c);
		}
		text[i] = example[i];
	}
}

/* ---- files ---- */

static char folder[64];

static void make_folder(void)
{
	strcpy(folder, "/tmp/test_config.XXXXXX");
	cr_assert(mkdtemp(folder));
	cr_assert_eq(chdir(folder), 0);
}

static void remove_folder(void)
{
	char command[100];

	cr_assert_eq(chdir("/"), 0);
	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	cr_assert_eq(system(command), 0);
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	cr_assert(f);
	cr_assert_geq(fputs(text, f), 0);
	cr_assert_eq(fclose(f), 0);
}

TestSuite(config_files, .init = make_folder, .fini = remove_folder);

Test(config_files, paths_are_taken_from_the_files_folder)
{
	char want[128];

	cr_assert_eq(mkdir("sub", 0700), 0);
	write_file("sub/p.yaml", S "zone: [{domain: a, file: a.zone}]\n");

	struct config *c = config_load("sub/p.yaml", errors, sizeof(errors));

	cr_assert(c, "%s", errors);
	snprintf(want, sizeof(want), "%s/sub/a.zone", folder);
	cr_assert_str_eq(c->zone[0].file, want);
	snprintf(want, sizeof(want), "%s/sub", folder);
	cr_assert_str_eq(c->folder, want);
	config_free(c);
}

Test(config_files, faults_name_the_file_as_it_was_given)
{
	write_file("p.yaml", "x: 1\n");
	cr_assert_null(config_load("./p.yaml", errors, sizeof(errors)));
	cr_assert_str_eq(errors, "./p.yaml:1: unknown key `x' in the file\n"
				 "./p.yaml:1: the file: the key `server' is missing\n");
}

Test(config_files, what_cannot_be_read_is_refused)
{
	cr_assert_null(config_load("none.yaml", errors, sizeof(errors)));
	cr_assert_str_eq(errors, "none.yaml: cannot read the configuration: "
				 "No such file or directory\n");
	cr_assert_null(config_load(".", errors, sizeof(errors)));
	cr_assert_str_eq(errors, ".: cannot read the configuration: Is a directory\n");
	cr_assert_eq(mkfifo("fifo", 0600), 0);
	cr_assert_null(config_load("fifo", errors, sizeof(errors)));
	cr_assert_str_eq(errors, "fifo: cannot read the configuration: not a regular file\n");
	cr_assert_null(config_load("/proc/self/mem", errors, sizeof(errors)));
	cr_assert_null(config_load("", errors, sizeof(errors)));
}

Test(config_files, sixteen_mebibytes_are_the_limit)
{
	write_file("big.yaml", S "#");

	FILE *f = fopen("big.yaml", "a");

	for (size_t i = sizeof(S "#") - 1; i < CONFIG_FILE_MAX; i++)
		putc('x', f);
	fclose(f);

	struct config *c = config_load("big.yaml", errors, sizeof(errors));

	cr_assert(c, "%s", errors);
	config_free(c);
	f = fopen("big.yaml", "a");
	putc('x', f);
	fclose(f);
	cr_assert_null(config_load("big.yaml", errors, sizeof(errors)));
	cr_assert_str_eq(errors, "big.yaml: cannot read the configuration: File too large\n");
}

Test(config_files, missing_files_are_told_of_but_no_fault)
{
	char want[1024];

	write_file("there.zone", "");
	cr_assert_eq(mkdir("folder.zone", 0700), 0);
	write_file("p.yaml", S
		   "dataplane:\n  ports:\n    - pcap: {read: q.pcap, write: a.pcap}\n"
		   "zone:\n  - domain: a\n    file: there.zone\n  - domain: b\n    file: none.zone\n"
		   "  - domain: c\n    file: folder.zone\n");

	struct config *c = config_load("p.yaml", errors, sizeof(errors));

	cr_assert(c, "%s", errors);
	cr_assert_eq(config_check_files(c, errors, sizeof(errors)), 3);
	snprintf(want, sizeof(want),
		 "%s/p.yaml:4: cannot read %s/q.pcap: No such file or directory\n"
		 "%s/p.yaml:9: cannot read %s/none.zone: No such file or directory\n"
		 "%s/p.yaml:11: cannot read %s/folder.zone: Is a directory\n",
		 folder, folder, folder, folder, folder, folder);
	cr_assert_str_eq(errors, want);
	config_free(c);

	write_file("p.yaml", S "zone: [{domain: a, file: there.zone}]\n");
	c = config_load("p.yaml", errors, sizeof(errors));
	cr_assert_eq(config_check_files(c, errors, sizeof(errors)), 0);
	cr_assert_str_eq(errors, "");
	config_free(c);
}

Test(config, additional)
{
	struct config *c = parse("server:\n  listen: [127.0.0.1]\n");

	cr_assert(c, "%s", errors);
	cr_assert_eq(c->additional, 0);
	config_free(c);
	c = parse("server:\n  listen: [127.0.0.1]\n  additional: full\n");
	cr_assert(c, "%s", errors);
	cr_assert_eq(c->additional, 1);
	config_free(c);
	cr_assert_null(parse("server:\n  listen: [127.0.0.1]\n  additional: maximal\n"));
	cr_assert(strstr(errors, "minimal or full"), "%s", errors);
}

Test(config, cookies)
{
	static const uint8_t first[16] = { 0xe5, 0xe9, 0x73, 0xe5, 0xa6, 0xb2, 0xa4, 0x3f,
					   0x48, 0xe7, 0xdc, 0x84, 0x9e, 0x37, 0xbf, 0xcf };
	struct config *c = parse("server:\n  listen: [127.0.0.1]\n");

	cr_assert(c, "%s", errors);
	cr_assert_eq(c->cookies, COOKIES_ON);
	cr_assert_eq(c->cookie_secret_cnt, 0);
	config_free(c);

	c = parse("server:\n  listen: [127.0.0.1]\n  cookies: require\n"
		  "  cookie-secrets: [e5e973e5a6b2a43f48e7dc849e37bfcf, 445536BCD2513298075a5d379663c962]\n");
	cr_assert(c, "%s", errors);
	cr_assert_eq(c->cookies, COOKIES_REQUIRE);
	cr_assert_eq(c->cookie_secret_cnt, 2);
	cr_assert_eq(memcmp(c->cookie_secret[0], first, 16), 0);
	cr_assert_eq(c->cookie_secret[1][4], 0xd2);
	config_free(c);

	cr_assert_null(parse("server:\n  listen: [127.0.0.1]\n  cookies: maybe\n  cookie-secrets:\n"
			     "    - e5e973e5a6b2a43f48e7dc849e37bfc\n    - g5e973e5a6b2a43f48e7dc849e37bfcf\n"));
	cr_assert(strstr(errors, "/etc/p.yaml:3: "), "%s", errors);
	cr_assert(strstr(errors, "on, off or require"), "%s", errors);
	cr_assert(strstr(errors, "/etc/p.yaml:5: cookie-secrets: a secret is 32 hexadecimal digits"), "%s", errors);
	cr_assert(strstr(errors, "/etc/p.yaml:6: "), "%s", errors);
	cr_assert_not(strstr(errors, "e5e973"), "a secret in a message");
	cr_assert_null(parse("server:\n  listen: [127.0.0.1]\n  cookie-secrets: [a, b, c]\n"));
}
