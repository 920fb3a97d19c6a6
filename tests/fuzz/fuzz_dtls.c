/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Datagrams to the DTLS engine, cut at each length in two octets, from one address: until a
 * cookie comes back nothing is kept, and less is sent than what came. */
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/serve/deadline.h"
#include "control/serve/dtls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct dtls *dtls;
static struct credentials_vault vault;
static struct room room;
static size_t sent;

static void emit(void *arg, const struct sockaddr *local, const struct sockaddr *peer,
		 const uint8_t *data, size_t len)
{
	(void)arg;
	(void)local;
	(void)peer;
	(void)data;
	sent += len;
}

static size_t answer(void *arg, const struct sockaddr *peer, const uint8_t *msg, size_t len,
		     uint8_t *out, size_t max)
{
	(void)arg;
	(void)peer;
	(void)msg;
	(void)len;
	(void)out;
	(void)max;
	abort(); /* nobody here has keys */
}

static void prepare(void)
{
	static const struct config config = {
		.tcp_max_clients = 10, .tcp_max_prefix = 10, .tcp_ipv4_prefix = 24, .tcp_ipv6_prefix = 56,
	};
	char folder[] = "/tmp/fuzz_dtls.XXXXXX", path[64], error[256];
	struct credentials *c;
	bool made;

	if (!mkdtemp(folder) || credentials_own(&c, folder, "", &made, error, sizeof(error)))
		abort();
	snprintf(path, sizeof(path), "%s/" CREDENTIALS_CERTIFICATE, folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/" CREDENTIALS_KEY, folder);
	unlink(path);
	rmdir(folder);
	credentials_vault_init(&vault, c);
	room_init(&room, clients_create(&config));

	const struct dtls_env env = {
		.vault = &vault, .room = &room, .idle_ns = 1000000000, .emit = emit,
		.answer = answer,
	};

	if (dtls_new(&dtls, &env))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = 0x5503},
					peer = {.sin_family = AF_INET, .sin_port = 1, .sin_addr.s_addr = 1};
	struct pair pair;

	if (!dtls)
		prepare();
	pair_make(&pair, (const struct sockaddr *)&local, (const struct sockaddr *)&peer);
	while (size >= 2) {
		size_t len = (size_t)data[0] << 8 | data[1];

		data += 2;
		size -= 2;
		if (len > size)
			len = size;

		uint8_t *copy = malloc(len ? len : 1); /* of its own size: a sanitizer sees more */

		for (size_t i = 0; i < len; i++)
			copy[i] = data[i];
		sent = 0;
		dtls_feed(dtls, &pair, (const struct sockaddr *)&local, (const struct sockaddr *)&peer, copy, len, 1);
		free(copy);
		if (sent >= len && sent > 0)
			abort();
		if (dtls_sessions(dtls) != 0 || dtls_deadline(dtls) != DEADLINE_NONE)
			abort();
		data += len;
		size -= len;
	}
	return 0;
}
