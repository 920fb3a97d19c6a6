/* SPDX-License-Identifier: GPL-3.0-or-later */
/* services.h - numbers of IP protocols and ports of services, by which WKS records name them
 * (RFC 1035 section 3.4.2).
 *
 * First come the names of the time when WKS was in use, and some of today; then those of
 * /etc/protocols and /etc/services, by which BIND and NSD read such records (with
 * getprotobyname and getservbyname, which no two threads may call at once, and which may load
 * modules).  A zone's text can so mean more on one machine than on another; never something else
 * for the names of the table.
 *
 * Any thread may call these functions; they open files.
 */
#ifndef POLLUX_SERVICES_H
#define POLLUX_SERVICES_H

/* services_protocol - the number of a protocol, any case, or -1. */
int services_protocol(const char *name);

/* services_port - the port of a service, any case, over TCP (6) or UDP (17); over other protocols
 * any will do.  Or -1. */
int services_port(const char *name, unsigned protocol);

#endif
