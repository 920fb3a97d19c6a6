/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/common/log.h"

/* Octets of socket buffer asked for: what arrives at 100,000 queries of 100 octets
 * a second in some 20 ms, with the kernel's own overhead, while the thread sleeps
 * or works elsewhere. */
#define UDP_BUFFER (4 << 20)

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* RFC 9715 section 3.1: a responder keeps its answers below the path's MTU by
 * itself (udp-payload).  PMTUDISC_OMIT makes the kernel ignore what ICMP says of
 * path MTUs, which anyone may forge to have answers cut into fragments that a
 * cache poisoner can replace (its appendix C); it never sets DF either, so that a
 * narrower path still gets its answer. */
static int set_datagram(int fd, const struct sockaddr_storage *sa)
{
	int error;

	if (sa->ss_family == AF_INET)
		error = set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
	else
		error = set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT);
	/* Without the right to force it the system's maximum has to do. */
	if (set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, UDP_BUFFER))
		set_int(fd, SOL_SOCKET, SO_RCVBUF, UDP_BUFFER);
	if (set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, UDP_BUFFER))
		set_int(fd, SOL_SOCKET, SO_SNDBUF, UDP_BUFFER);
	return error;
}

/* Octets that the kernel keeps of what a client has not been sent, above what is on its
 * way: without it a client that does not read could have megabytes kept. */
#define NOT_SENT (64 << 10)
#define FAST_OPEN 256 /* connections at a time that brought data and are not confirmed yet */

/* Connections inherit these.  Each makes things better where the kernel has it. */
static void set_stream(int fd)
{
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* answers are gathered by us already */
	set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOT_SENT);
	/* RFC 7413, RFC 7766 section 5; the system has to permit it, too (net.ipv4.tcp_fastopen). */
	set_int(fd, IPPROTO_TCP, TCP_FASTOPEN, FAST_OPEN);
}

static int bind_address(int fd, const struct config_address *a)
{
	const struct sockaddr *sa = (const struct sockaddr *)&a->sa;
	char text[LISTEN_TEXT];

	if (bind(fd, sa, a->sa_len) == 0)
		return 0;
	if (errno != EADDRNOTAVAIL)
		return -errno;

	int error = a->sa.ss_family == AF_INET ? set_int(fd, IPPROTO_IP, IP_FREEBIND, 1)
					       : set_int(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);

	if (!error && bind(fd, sa, a->sa_len) < 0)
		error = -errno;
	if (!error)
		log_warn("%s is no address of this machine now; "
			 "its kernel sockets answer once it is", listen_text(text, &a->sa));
	return error;
}

/* "UDP", or "UDP, domain" where the services database has a name for the port. */
static void protocol_text(const struct config_address *a, int type, char *text, size_t size)
{
	in_port_t port = a->sa.ss_family == AF_INET ? ((const struct sockaddr_in *)&a->sa)->sin_port
						    : ((const struct sockaddr_in6 *)&a->sa)->sin6_port;
	const struct servent *s = getservbyport(port, type == SOCK_DGRAM ? "udp" : "tcp");

	snprintf(text, size, "%s%s%s", type == SOCK_DGRAM ? "UDP" : "TCP", s ? ", " : "",
		 s ? s->s_name : "");
}

static void explain(const struct config_address *a, int type, int error, char *text, size_t size)
{
	char protocol[64], address[LISTEN_TEXT];

	protocol_text(a, type, protocol, sizeof(protocol));

	listen_text(address, &a->sa);
	switch (-error) {
	case EADDRINUSE:
		snprintf(text, size, "cannot listen on %s (%s): another program does already",
			 address, protocol);
		break;
	case EACCES:
	case EPERM:
		snprintf(text, size, "cannot listen on %s (%s): ports below 1024 need root or "
			 "CAP_NET_BIND_SERVICE", address, protocol);
		break;
	default:
		snprintf(text, size, "cannot listen on %s (%s): %s", address, protocol,
			 strerror(-error));
	}
}

int listen_socket(const struct config_address *a, int type, unsigned thread, unsigned threads,
		  char *error, size_t error_size)
{
	int result;
	int fd = socket(a->sa.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		result = -errno;
		goto fail;
	}
	result = 0;
	if (a->sa.ss_family == AF_INET6)
		result = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	/* For TCP it lets a restart bind beside connections in TIME_WAIT.  For UDP it
	 * would let a second program take the address from under us unseen. */
	if (!result && type == SOCK_STREAM)
		result = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (!result && type == SOCK_STREAM)
		set_stream(fd);
	if (!result && type == SOCK_DGRAM)
		result = set_datagram(fd, &a->sa);
	/* The first is bound without it, and so refused where anybody else is; once it
	 * permits others, only ones of our user that ask for it, too, get in. */
	if (!result && thread > 0)
		result = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!result)
		result = bind_address(fd, a);
	if (!result && thread == 0 && threads > 1)
		result = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!result)
		return fd;
	close(fd);
fail:
	explain(a, type, result, error, error_size);
	return result;
}

struct config_address listen_at(const struct config_address *a, uint16_t port)
{
	struct config_address b = *a;

	if (b.sa.ss_family == AF_INET)
		((struct sockaddr_in *)&b.sa)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)&b.sa)->sin6_port = htons(port);
	return b;
}

char *listen_text(char *text, const struct sockaddr_storage *sa)
{
	char address[INET6_ADDRSTRLEN] = "?";
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;

	if (sa->ss_family == AF_INET)
		inet_ntop(AF_INET, &in4->sin_addr, address, sizeof(address));
	else
		inet_ntop(AF_INET6, &in6->sin6_addr, address, sizeof(address));
	snprintf(text, LISTEN_TEXT, "%s@%u", address,
		 ntohs(sa->ss_family == AF_INET ? in4->sin_port : in6->sin6_port));
	return text;
}
