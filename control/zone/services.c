/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "services.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LINE_MAX_OCTETS 1024 /* of those files; longer ones are read in pieces, and are no entries */
#define BLANKS " \t\r\n"

struct entry {
	const char *name;
	unsigned number;
};

static const struct entry protocols[] = {
	{ "icmp", 1 }, { "igmp", 2 }, { "ggp", 3 }, { "tcp", 6 }, { "egp", 8 }, { "udp", 17 },
};

/* The services of RFC 1010 by today's names. */
static const struct entry services[] = {
	{ "echo", 7 }, { "discard", 9 }, { "systat", 11 }, { "daytime", 13 },
	{ "netstat", 15 }, { "qotd", 17 }, { "chargen", 19 }, { "ftp-data", 20 },
	{ "ftp", 21 }, { "ssh", 22 }, { "telnet", 23 }, { "smtp", 25 }, { "time", 37 },
	{ "nameserver", 42 }, { "whois", 43 }, { "nicname", 43 }, { "tacacs", 49 },
	{ "domain", 53 }, { "bootps", 67 }, { "bootpc", 68 }, { "tftp", 69 },
	{ "gopher", 70 }, { "finger", 79 }, { "http", 80 }, { "kerberos", 88 },
	{ "pop2", 109 }, { "pop3", 110 }, { "sunrpc", 111 }, { "auth", 113 },
	{ "nntp", 119 }, { "ntp", 123 }, { "imap2", 143 }, { "imap", 143 },
	{ "snmp", 161 }, { "snmp-trap", 162 }, { "irc", 194 }, { "ldap", 389 }, { "https", 443 },
	{ "submission", 587 }, { "ldaps", 636 }, { "imaps", 993 }, { "pop3s", 995 },
};

static int find(const struct entry *e, size_t cnt, const char *name)
{
	for (size_t i = 0; i < cnt; i++)
		if (strcasecmp(e[i].name, name) == 0)
			return (int)e[i].number;
	return -1;
}

/* The number in a line "NAME NUMBER ALIAS...", NUMBER being followed by `behind`, or -1. */
static int line_find(char *line, const char *name, const char *behind, unsigned max)
{
	char *rest, *end, *word, *number;

	line[strcspn(line, "#")] = '\0';
	word = strtok_r(line, BLANKS, &rest);
	number = word ? strtok_r(NULL, BLANKS, &rest) : NULL;
	while (number && word && strcasecmp(word, name) != 0)
		word = strtok_r(NULL, BLANKS, &rest);
	if (!number || !word || *number < '0' || *number > '9')
		return -1;

	unsigned long value = strtoul(number, &end, 10);

	return value <= max && strncasecmp(end, behind, strlen(behind)) == 0 ? (int)value : -1;
}

static int file_find(const char *path, const char *name, const char *behind, unsigned max)
{
	FILE *f = fopen(path, "re");
	char line[LINE_MAX_OCTETS];
	int number = -1;

	while (f && number < 0 && fgets(line, sizeof(line), f))
		number = line_find(line, name, behind, max);
	if (f)
		fclose(f);
	return number;
}

int services_protocol(const char *name)
{
	int number = find(protocols, sizeof(protocols) / sizeof(protocols[0]), name);

	return number >= 0 ? number : file_find("/etc/protocols", name, "", 255);
}

int services_port(const char *name, unsigned protocol)
{
	int port = find(services, sizeof(services) / sizeof(services[0]), name);

	return port >= 0 ? port : file_find("/etc/services", name, protocol == 6 ? "/tcp" :
					    protocol == 17 ? "/udp" : "/", 65535);
}
