/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/serve/dtls.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/dtls.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "control/serve/deadline.h"

#define BUCKETS 4096       /* a power of two */
#define HASH_SECRET 192    /* octets; XXH3 wants at least 136 */
#define RECORD_MAX 16384   /* octets of plaintext (RFC 5246 section 6.2.1) */
#define SECOND_NS UINT64_C(1000000000)
#define MS_NS UINT64_C(1000000)
#define HANDSHAKE_NS (5 * SECOND_NS)
#define RETRANSMIT_MS 1000 /* RFC 6347 section 4.2.4.1 */
#define STUCK_NS SECOND_NS /* a handshake that takes longer may go for a newcomer */
#define FLIGHT_MAX 8192    /* octets of a last flight that is kept */
#define REPEATS 8          /* of it at most: who asks may be somebody else */

#define RECORD_HEADER 13   /* RFC 6347 section 4.1 */
#define HANDSHAKE_HEADER 12 /* section 4.2.2 */
#define EPOCH_AT 3         /* in a record */
#define TYPE_HANDSHAKE 22
#define CLIENT_HELLO 1
#define RANDOM 32
#define RANDOM_AT (RECORD_HEADER + HANDSHAKE_HEADER + 2) /* in the datagram; RFC 5246 7.4.1.2 */

struct session {
	struct deadline deadline; /* first: container of it */
	struct dtls *dtls;
	struct session *prev, *next; /* least recently active first */
	struct session *pair_next;   /* in its bucket */
	struct pair pair;
	struct sockaddr_storage local, peer;
	struct room_place place;
	gnutls_session_t tls;
	struct credentials *credentials;
	uint8_t random[RANDOM];   /* of the client's: which ClientHello it was */
	bool shaken;
	uint64_t active;          /* when it began, or had its last query */
	size_t taken;             /* octets, until it is shaken */
	const uint8_t *in;        /* a datagram that was not taken yet, or NULL */
	size_t in_len;
	/* What was sent since the client's last datagram, each with its length in two octets:
	 * once the session is shaken, the last flight, until the first query shows that it has
	 * arrived. */
	uint8_t *flight;
	size_t flight_len;
	unsigned repeats;         /* of the last flight */
};

struct dtls {
	struct dtls_env env;
	struct session *head, *tail;
	unsigned cnt;
	struct deadlines deadlines;
	uint64_t now;             /* of the call under way */
	struct dtls_counts counts;
	struct session *bucket[BUCKETS];
	uint8_t hash_secret[HASH_SECRET];
	uint8_t message[RECORD_MAX];
	uint8_t answer[DTLS_MTU];
};

/* ---- the list and the table of sessions ---- */

static struct session **bucket(struct dtls *d, const struct pair *pair)
{
	return &d->bucket[XXH3_64bits_withSecret(pair, sizeof(*pair), d->hash_secret, HASH_SECRET) &
			  (BUCKETS - 1)];
}

static struct session *find(struct dtls *d, const struct pair *pair)
{
	struct session *s = *bucket(d, pair);

	while (s && !pair_equal(&s->pair, pair))
		s = s->pair_next;
	return s;
}

static void list_remove(struct session *s)
{
	struct dtls *d = s->dtls;

	*(s->prev ? &s->prev->next : &d->head) = s->next;
	*(s->next ? &s->next->prev : &d->tail) = s->prev;
	d->cnt--;
}

static void list_append(struct session *s)
{
	struct dtls *d = s->dtls;

	s->active = d->now;
	s->prev = d->tail;
	s->next = NULL;
	*(d->tail ? &d->tail->next : &d->head) = s;
	d->tail = s;
	d->cnt++;
}

static void touch(struct session *s)
{
	list_remove(s);
	list_append(s);
	room_touch(s->dtls->env.room, &s->place);
}

/* ---- datagrams for GnuTLS ---- */

static size_t read_u16(const uint8_t *p)
{
	return (size_t)p[0] << 8 | p[1];
}

static size_t read_u24(const uint8_t *p)
{
	return (size_t)p[0] << 16 | read_u16(p + 1);
}

static void emit(const struct session *s, const uint8_t *data, size_t len)
{
	const struct dtls_env *env = &s->dtls->env;

	env->emit(env->arg, (const struct sockaddr *)&s->local, (const struct sockaddr *)&s->peer, data, len);
}

static void flight_forget(struct session *s)
{
	free(s->flight);
	s->flight = NULL;
	s->flight_len = 0;
}

static void flight_add(struct session *s, const uint8_t *data, size_t len)
{
	size_t whole = s->flight_len + 2 + len;
	uint8_t *larger = whole <= FLIGHT_MAX ? realloc(s->flight, whole) : NULL;

	if (!larger) {
		flight_forget(s); /* GnuTLS repeats it, though not as soon */
		return;
	}
	s->flight = larger;
	larger[s->flight_len] = (uint8_t)(len >> 8);
	larger[s->flight_len + 1] = (uint8_t)len;
	memcpy(larger + s->flight_len + 2, data, len);
	s->flight_len = whole;
}

/* The same records once more: a client drops those that it has had (RFC 6347 section
 * 4.1.2.6).  It may have had one and not used it: GnuTLS repeats them as new ones, later. */
static void flight_repeat(struct session *s)
{
	if (s->repeats == REPEATS)
		return;
	s->repeats++;
	for (size_t at = 0, len; at < s->flight_len; at += 2 + len) {
		len = read_u16(s->flight + at);
		emit(s, s->flight + at + 2, len);
	}
}

static ssize_t push(gnutls_transport_ptr_t ptr, const void *data, size_t len)
{
	struct session *s = ptr;

	if (!s->shaken)
		flight_add(s, data, len);
	emit(s, data, len);
	return (ssize_t)len;
}

static ssize_t pull(gnutls_transport_ptr_t ptr, void *out, size_t len)
{
	struct session *s = ptr;

	if (!s->in) {
		gnutls_transport_set_errno(s->tls, EAGAIN);
		return -1;
	}
	if (len > s->in_len)
		len = s->in_len; /* what does not fit of a datagram is lost */
	memcpy(out, s->in, len);
	s->in = NULL;
	if (!s->shaken)
		s->flight_len = 0;
	return (ssize_t)len;
}

static int pull_wait(gnutls_transport_ptr_t ptr, unsigned ms)
{
	(void)ms;
	return ((const struct session *)ptr)->in != NULL;
}

/* ---- sessions ---- */

static void session_free(struct session *s)
{
	struct dtls *d = s->dtls;
	struct session **at = bucket(d, &s->pair);

	while (*at != s)
		at = &(*at)->pair_next;
	*at = s->pair_next;
	list_remove(s);
	room_remove(d->env.room, &s->place);
	deadline_set(&d->deadlines, &s->deadline, DEADLINE_NONE);
	gnutls_deinit(s->tls);
	credentials_drop(s->credentials);
	free(s->flight);
	free(s);
}

/* With a word to the client, if it can be said. */
static void session_end(struct session *s)
{
	s->in = NULL;
	if (s->shaken)
		gnutls_bye(s->tls, GNUTLS_SHUT_WR);
	session_free(s);
}

static void session_fail(struct session *s, int error)
{
	credentials_alert(s->tls, error);
	session_free(s);
}

static int start_tls(struct session *s, gnutls_dtls_prestate_st *prestate)
{
	const struct credentials *c = s->credentials;

	if (gnutls_init(&s->tls, GNUTLS_SERVER | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK) < 0) {
		s->tls = NULL;
		return -ENOMEM;
	}
	if (credentials_set(c, s->tls, c->dtls))
		return -ENOMEM;
	gnutls_dtls_prestate_set(s->tls, prestate);
	gnutls_dtls_set_mtu(s->tls, DTLS_MTU);
	gnutls_dtls_set_timeouts(s->tls, RETRANSMIT_MS, HANDSHAKE_NS / MS_NS);
	gnutls_transport_set_ptr(s->tls, s);
	gnutls_transport_set_push_function(s->tls, push);
	gnutls_transport_set_pull_function(s->tls, pull);
	gnutls_transport_set_pull_timeout_function(s->tls, pull_wait);
	return 0;
}

#define SESSION_OF(p) ((struct session *)(void *)((char *)(p) - offsetof(struct session, place)))

static enum room_state room_state(const struct room_place *p, uint64_t now)
{
	const struct session *s = SESSION_OF(p);

	if (s->shaken)
		return ROOM_RESTS;
	return now >= s->active + STUCK_NS ? ROOM_STUCK : ROOM_BUSY;
}

static void evict(struct room_place *p, uint64_t now)
{
	struct session *s = SESSION_OF(p);

	s->dtls->now = now;
	s->dtls->counts.evicted++;
	session_end(s);
}

static const struct room_keeper keeper = {room_state, evict};

/* A client whose place was counted, as that of prefix.  NULL without memory. */
static struct session *session_new(struct dtls *d, const struct pair *pair, const struct sockaddr *local,
				   const struct sockaddr *peer, const struct clients_prefix *prefix,
				   gnutls_dtls_prestate_st *prestate)
{
	struct session *s = calloc(1, sizeof(*s));
	struct session **at = bucket(d, pair);

	if (!s || deadlines_reserve(&d->deadlines, d->cnt + 1)) {
		free(s);
		clients_leave(d->env.room->clients, prefix);
		return NULL;
	}
	s->dtls = d;
	s->pair = *pair;
	memcpy(&s->local, local, pair_socklen(local));
	memcpy(&s->peer, peer, pair_socklen(peer));
	s->credentials = credentials_get(d->env.vault);
	s->pair_next = *at;
	*at = s;
	list_append(s);
	room_add(d->env.room, &s->place, &keeper, prefix);
	if (start_tls(s, prestate)) {
		session_free(s);
		return NULL;
	}
	d->counts.accepted++;
	return s;
}

/* False when the session is no more. */
static bool shake(struct session *s)
{
	struct dtls *d = s->dtls;
	int result;

	do
		result = gnutls_handshake(s->tls);
	while (result == GNUTLS_E_INTERRUPTED || result == GNUTLS_E_WARNING_ALERT_RECEIVED ||
	       (result == GNUTLS_E_AGAIN && s->in));
	if (result == GNUTLS_E_SUCCESS) {
		s->shaken = true;
		if (s->flight_len == 0)
			flight_forget(s); /* resumed: the last flight was the client's */
		d->counts.completed++;
		d->counts.resumed += gnutls_session_is_resumed(s->tls) != 0;
		touch(s);
		deadline_set(&d->deadlines, &s->deadline, d->now + d->env.idle_ns);
		return true;
	}
	if (gnutls_error_is_fatal(result)) {
		session_fail(s, result);
		return false;
	}

	uint64_t next = d->now + gnutls_dtls_get_timeout(s->tls) * MS_NS;

	if (next > s->active + HANDSHAKE_NS)
		next = s->active + HANDSHAKE_NS;
	deadline_set(&d->deadlines, &s->deadline, next);
	return true;
}

static void answer(struct session *s, size_t len)
{
	struct dtls *d = s->dtls;
	size_t max = gnutls_dtls_get_data_mtu(s->tls), n;

	touch(s);
	flight_forget(s);
	if (max > sizeof(d->answer))
		max = sizeof(d->answer);
	n = d->env.answer(d->env.arg, (const struct sockaddr *)&s->peer, d->message, len, d->answer, max);
	if (n > 0)
		gnutls_record_send(s->tls, d->answer, n);
}

/* Whether there is a handshake message under the new keys among the records: the client's
 * Finished. */
static bool has_finished(const uint8_t *data, size_t len)
{
	for (size_t at = 0; at < len; at += RECORD_HEADER + read_u16(data + at + 11))
		if (data[at] == TYPE_HANDSHAKE && read_u16(data + at + EPOCH_AT) > 0)
			return true;
	return false;
}

static void session_read(struct session *s, const uint8_t *data, size_t len)
{
	struct dtls *d = s->dtls;

	/* The client repeats its last flight, so that it has not had ours (RFC 6347 section
	 * 4.2.4).  GnuTLS repeats that only when its own time-out has passed, which began later
	 * than the client's and doubles. */
	if (s->shaken && s->flight && has_finished(data, len))
		flight_repeat(s);
	s->in = data;
	s->in_len = len;
	if (!s->shaken) {
		s->taken += len;
		if (s->taken > CREDENTIALS_HANDSHAKE_MAX) {
			session_fail(s, GNUTLS_E_HANDSHAKE_TOO_LARGE);
			return;
		}
		if (!shake(s))
			return; /* it is no more */
		if (!s->shaken)
			return;
	}
	for (;;) {
		ssize_t n = gnutls_record_recv(s->tls, d->message, sizeof(d->message));

		if (n > 0) {
			answer(s, (size_t)n);
		} else if (n == 0) {
			session_end(s);
			return;
		} else if (n == GNUTLS_E_AGAIN && !s->in) {
			return;
		} else if (n == GNUTLS_E_TIMEDOUT && s->flight) {
			s->in = NULL; /* it will not repeat the last flight any more */
			return;
		} else if (n != GNUTLS_E_AGAIN && n != GNUTLS_E_INTERRUPTED &&
			   n != GNUTLS_E_WARNING_ALERT_RECEIVED) {
			/* Bad records are dropped before they get here (RFC 6347 section
			 * 4.1.2.7).  A renegotiation ends the session, too. */
			session_fail(s, (int)n);
			return;
		}
	}
}

/* ---- newcomers ---- */

/* Whether the datagram is whole records and nothing else (RFC 6347 section 4.1.1).  Of one
 * that is not, GnuTLS would wait for the rest in the next datagram. */
static bool is_records(const uint8_t *data, size_t len)
{
	while (len >= RECORD_HEADER && read_u16(data + 11) <= len - RECORD_HEADER) {
		size_t n = RECORD_HEADER + read_u16(data + 11);

		data += n;
		len -= n;
		if (len == 0)
			return true;
	}
	return false;
}

/* Moves *at past a vector whose length stands in `prefix` octets (RFC 5246 section 4.3) and
 * is between least and most.  False when it does not fit. */
static bool skip(const uint8_t *p, size_t end, size_t *at, size_t prefix, size_t least, size_t most)
{
	if (end - *at < prefix)
		return false;

	size_t n = prefix == 1 ? p[*at] : read_u16(p + *at);

	*at += prefix;
	if (n < least || n > most || n > end - *at)
		return false;
	*at += n;
	return true;
}

/* Whether the datagram begins with a ClientHello that is whole and not encrypted (RFC 6347
 * sections 4.2.1 and 4.2.2; RFC 5246 section 7.4.1.2). */
static bool is_client_hello(const uint8_t *data, size_t len)
{
	if (len < RECORD_HEADER + HANDSHAKE_HEADER || data[0] != TYPE_HANDSHAKE || data[3] != 0 || data[4] != 0)
		return false;

	size_t record = read_u16(data + 11);
	const uint8_t *hello = data + RECORD_HEADER;

	if (record > len - RECORD_HEADER || record < HANDSHAKE_HEADER || hello[0] != CLIENT_HELLO)
		return false;

	size_t size = read_u24(hello + 1);

	/* Not in fragments: whoever reassembles them keeps state. */
	if (read_u24(hello + 6) != 0 || read_u24(hello + 9) != size || size != record - HANDSHAKE_HEADER)
		return false;

	const uint8_t *body = hello + HANDSHAKE_HEADER;
	size_t at = 2 + RANDOM; /* client_version before it */

	if (size < at || body[0] != 0xfe)
		return false;
	if (!skip(body, size, &at, 1, 0, 32) ||     /* session_id */
	    !skip(body, size, &at, 1, 0, 255) ||    /* cookie */
	    !skip(body, size, &at, 2, 2, 65534) ||  /* cipher_suites */
	    !skip(body, size, &at, 1, 1, 255))      /* compression_methods */
		return false;
	return at == size || (skip(body, size, &at, 2, 0, 65535) && at == size); /* extensions */
}

/* Where the answer to a ClientHello goes. */
struct to {
	const struct dtls_env *env;
	const struct sockaddr *local, *peer;
};

static ssize_t push_cookie(gnutls_transport_ptr_t ptr, const void *data, size_t len)
{
	const struct to *to = ptr;

	to->env->emit(to->env->arg, to->local, to->peer, data, len);
	return (ssize_t)len;
}

/* A ClientHello that belongs to no session, or to one that its client has forgotten
 * (RFC 6347 section 4.2.8), which stays until the cookie is right. */
static void greet(struct dtls *d, struct session *old, const struct pair *pair, const struct sockaddr *local,
		  const struct sockaddr *peer, const uint8_t *data, size_t len)
{
	struct credentials *c = credentials_get(d->env.vault);
	struct to to = {&d->env, local, peer};
	gnutls_dtls_prestate_st prestate = {0};
	struct clients_prefix prefix;
	struct session *s;
	int result = gnutls_dtls_cookie_verify(&c->cookie_key, (void *)pair, sizeof(*pair), (void *)data, len,
					       &prestate);

	if (result == GNUTLS_E_BAD_COOKIE) {
		d->counts.cookies++;
		gnutls_dtls_cookie_send(&c->cookie_key, (void *)pair, sizeof(*pair), &prestate, &to, push_cookie);
	}
	credentials_drop(c);
	if (result < 0)
		return;
	if (old)
		session_free(old);
	switch (room_admit(d->env.room, peer, true, d->now, &prefix)) {
	case CLIENTS_TAKEN:
		break;
	case CLIENTS_FULL:
	case CLIENTS_PREFIX_FULL:
		d->counts.refused++;
		return;
	case CLIENTS_NO_MEMORY:
		return;
	}
	s = session_new(d, pair, local, peer, &prefix, &prestate);
	if (!s)
		return;
	memcpy(s->random, data + RANDOM_AT, RANDOM);
	session_read(s, data, len);
}

void dtls_feed(struct dtls *d, const struct pair *pair, const struct sockaddr *local,
	       const struct sockaddr *peer, const uint8_t *data, size_t len, uint64_t now)
{
	struct session *s = find(d, pair);

	d->now = now;
	if (!is_records(data, len))
		return;
	if ((!s || s->shaken) && is_client_hello(data, len)) {
		/* The one that began the session may come late once more: cookies are good
		 * for long. */
		if (!s || memcmp(s->random, data + RANDOM_AT, RANDOM) != 0)
			greet(d, s, pair, local, peer, data, len);
	} else if (s) {
		session_read(s, data, len);
	}
}

/* ---- time ---- */

uint64_t dtls_deadline(const struct dtls *d)
{
	const struct deadline *first = deadlines_first(&d->deadlines);

	return first ? first->at : DEADLINE_NONE;
}

void dtls_expire(struct dtls *d, uint64_t now)
{
	struct deadline *first;

	d->now = now;
	while ((first = deadlines_first(&d->deadlines)) && first->at <= now) {
		struct session *s = (struct session *)first;

		if (s->shaken && now - s->active < d->env.idle_ns) {
			deadline_set(&d->deadlines, first, s->active + d->env.idle_ns);
		} else if (s->shaken || now - s->active >= HANDSHAKE_NS) {
			d->counts.timed_out++;
			session_end(s);
		} else {
			/* Sends again what was not answered; not before its own clock says so,
			 * which may be a little behind ours. */
			if (shake(s) && s->deadline.at <= now)
				deadline_set(&d->deadlines, &s->deadline, now + MS_NS);
		}
	}
}

/* ---- birth and death ---- */

int dtls_new(struct dtls **out, const struct dtls_env *env)
{
	struct dtls *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->env = *env;
	deadlines_init(&d->deadlines);
	gnutls_rnd(GNUTLS_RND_KEY, d->hash_secret, sizeof(d->hash_secret));
	*out = d;
	return 0;
}

void dtls_limit(struct dtls *d, uint64_t idle_ns)
{
	d->env.idle_ns = idle_ns;
}

unsigned dtls_sessions(const struct dtls *d)
{
	return d->cnt;
}

const struct dtls_counts *dtls_counted(const struct dtls *d)
{
	return &d->counts;
}

void dtls_close(struct dtls *d, uint64_t now)
{
	d->now = now;
	while (d->head)
		session_end(d->head);
}

void dtls_free(struct dtls *d)
{
	while (d->head)
		session_free(d->head);
	deadlines_free(&d->deadlines);
	free(d);
}
