/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A message on its way through the control process: whatever query_parse makes of it,
 * and, whatever that is, the search for a TSIG RR.  What comes out must be a message. */
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/serve/other.h"
#include "control/serve/serve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct sockaddr_in peer = {.sin_family = AF_INET};

static struct serve *start(void)
{
	static struct serve serve;
	static struct db *db; /* for the whole run */
	unsigned slot;

	if (db_create(&db, UINT64_C(16) << 20, ARENA_HUGE_NO) ||
	    db_reader_reserve(db, (uint32_t)getpid(), STATUS_KIND_SERVE, 1, &slot))
		abort();
	serve_init(&serve, db_map(db), &db_status(db)->slot[slot], "fuzz");
	return &serve;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct serve *serve;
	static uint8_t out[SERVE_TCP_MAX];
	struct other_tsig t;

	if (size > SERVE_TCP_MAX)
		return 0;
	if (!serve)
		serve = start();
	if (other_find_tsig(data, size, &t) == TSIG_FOUND && t.algorithm_end + 16 > size)
		abort();
	serve_begin(serve);
	for (int tcp = 0; tcp < 2; tcp++) {
		struct serve_from from = {
			.peer = (struct sockaddr *)&peer, .transport = tcp ? TRANSPORT_TCP : TRANSPORT_UDP,
		};
		size_t n = serve_message(serve, &from, data, size, out, tcp ? SERVE_TCP_MAX : SERVE_UDP_MAX);

		if (n > 0 && (n < DNS_HEADER || other_find_tsig(out, n, &t) == TSIG_BAD))
			abort();
	}
	serve_end(serve);
	return 0;
}
