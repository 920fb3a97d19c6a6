/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mixture.c - asks a server for names that change all the time, as fast as it answers, and
 * looks whether every single answer is that of one version of the data.
 *
 *     mixture SERVER QUESTIONS
 *
 * Version N of the zones example.com and example.org says N in both SOAs' serials and in
 *
 *      v             TXT "N"
 *      pair          A 10.N, AAAA 2001:db8::N
 *      gone          TXT "N", in even versions; the name is not there in others
 *      c             CNAME xM.example.org, where M is N modulo 1000; in example.org only that
 *      xM            TXT "N"                                                  x is there
 *      sub           NS ns.sub, with glue A 10.N, AAAA 2001:db8::N
 *
 * (test_mixture.py commits them).  Whatever of these an answer holds must be of one N; what is not
 * there must not be there in the version that the answer's SOA tells; and a question that was
 * sent after an answer of version N had come is answered from version N or a later one.
 *
 * Questions go out in rows; the next row follows when all of one are answered or half a second has
 * passed.  Prints a JSON object of what was counted.  The status is 1 when an answer was wrong. */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROW 512            /* questions under way */
#define QUERY_MAX 64
#define ANSWER_MAX 1500
#define TARGETS 1000
#define NONE UINT32_MAX    /* no version told */

enum { A = 1, CNAME = 5, SOA = 6, MX = 15, TXT = 16, AAAA = 28 };
enum { NOERROR = 0, NXDOMAIN = 3 };

/* What a question's answer must be. */
enum kind { PLAIN, EVEN_DATA, EVEN_NODATA, CHAIN, CHAIN_NODATA, ABSENT, NODATA, REFERRAL };

static const struct {
	const char *name;        /* a % is a number that never was asked before */
	uint16_t type;
	enum kind kind;
} questions[] = {
	{"v.example.com", TXT, PLAIN}, {"pair.example.com", A, PLAIN}, {"pair.example.com", AAAA, PLAIN},
	{"gone.example.com", TXT, EVEN_DATA}, {"gone.example.com", MX, EVEN_NODATA},
	{"c.example.com", TXT, CHAIN}, {"c.example.com", AAAA, CHAIN_NODATA},
	{"nx%.example.com", A, ABSENT}, {"nx%.example.org", TXT, ABSENT},
	{"v.example.com", MX, NODATA}, {"y.sub.example.com", A, REFERRAL},
};
#define QUESTIONS (sizeof(questions) / sizeof(*questions))

/* What one answer tells. */
struct told {
	uint8_t rcode;
	bool mixed;              /* of two versions */
	uint32_t version;
	bool soa, address, address6;
	uint32_t target;         /* of the CNAME */
	unsigned answer_cnt;
};

static uint64_t state = 3;
static uint32_t newest;          /* version seen in rows that are over */
static uint64_t asked, answered, lost, versions, per_kind[QUESTIONS];

static uint64_t draw(void) /* xorshift64* */
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * UINT64_C(2685821657736338717);
}

static unsigned read16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint32_t read32(const uint8_t *p)
{
	return (uint32_t)read16(p) << 16 | read16(p + 2);
}

static size_t make_query(uint8_t *q, unsigned id, unsigned question)
{
	char text[QUERY_MAX];
	const char *name = questions[question].name, *percent = strchr(name, '%');
	size_t len = 12;

	if (percent)
		snprintf(text, sizeof(text), "%.*s%u%s", (int)(percent - name), name, (unsigned)(draw() >> 34),
			 percent + 1);
	else
		snprintf(text, sizeof(text), "%s", name);
	memset(q, 0, 12);
	q[0] = (uint8_t)(id >> 8);
	q[1] = (uint8_t)id;
	q[5] = 1;
	for (char *label = strtok(text, "."); label; label = strtok(NULL, ".")) {
		q[len] = (uint8_t)strlen(label);
		memcpy(q + len + 1, label, q[len]);
		len += q[len] + 1u;
	}
	memcpy(q + len, (const uint8_t[]){0, 0, (uint8_t)questions[question].type, 0, 1}, 5);
	return len + 5;
}

/* The end of the name at `at`, or 0. */
static size_t name_end(const uint8_t *m, size_t at, size_t len)
{
	while (at < len && m[at] != 0 && m[at] < 0xc0)
		at += m[at] + 1u;
	at += at < len && m[at] >= 0xc0 ? 2 : 1;
	return at <= len ? at : 0;
}

static void tell(struct told *t, uint32_t version)
{
	t->mixed |= t->version != NONE && t->version != version;
	t->version = version;
}

static uint32_t number(const uint8_t *digits, size_t len)
{
	uint32_t n = 0;

	for (size_t i = 0; i < len; i++)
		n = n * 10 + digits[i] - '0';
	return n;
}

static bool read_record(struct told *t, unsigned type, const uint8_t *rdata, size_t len)
{
	switch (type) {
	case A:
		t->address = true;
		tell(t, read32(rdata) & 0xffffff);
		return len == 4;
	case AAAA:
		t->address6 = true;
		tell(t, len == 16 ? read32(rdata + 12) : 0);
		return len == 16;
	case TXT:
		tell(t, number(rdata + 1, rdata[0]));
		return len == rdata[0] + 1u;
	case CNAME:
		t->target = number(rdata + 2, rdata[0] - 1u);
		return len > 3 && rdata[1] == 'x';
	case SOA:
		t->soa = true;
		tell(t, len > 20 ? read32(rdata + len - 20) : 0);
		return len > 20;
	}
	return true;
}

static bool read_answer(struct told *t, const uint8_t *m, size_t len)
{
	unsigned records;
	size_t at;

	*t = (struct told){.version = NONE, .target = NONE};
	if (len < 12 || !(m[2] & 0x80) || m[2] & 2 || read16(m + 4) != 1)
		return false;
	t->rcode = m[3] & 15;
	t->answer_cnt = read16(m + 6);
	records = read16(m + 6) + read16(m + 8) + read16(m + 10);
	at = name_end(m, 12, len);
	if (!at)
		return false;
	for (at += 4; records > 0; records--) {
		at = name_end(m, at, len);
		if (!at || len < at + 10 || len < at + 10 + read16(m + at + 8))
			return false;
		if (!read_record(t, read16(m + at), m + at + 10, read16(m + at + 8)))
			return false;
		at += 10 + read16(m + at + 8);
	}
	return at == len;
}

/* What is wrong with the answer to a question, or NULL. */
static const char *judge(const struct told *t, enum kind kind)
{
	bool even = t->version % 2 == 0, negative = t->soa && !t->address && !t->address6;

	if (t->mixed)
		return "data of two versions";
	if (t->version == NONE)
		return "no version";
	if (t->version < newest)
		return "an older version than was seen before it was asked";
	if (t->target != NONE && t->target != t->version % TARGETS)
		return "the CNAME is of another version than what it leads to";
	switch (kind) {
	case PLAIN:
		return t->rcode == NOERROR && t->answer_cnt == 1 && !t->soa ? NULL : "not the one record";
	case EVEN_DATA:
		return even ? (t->rcode == NOERROR && t->answer_cnt == 1 ? NULL : "a name is not there, and should be")
			    : (t->rcode == NXDOMAIN && negative ? NULL : "a name is there, and should not be");
	case EVEN_NODATA:
		return t->rcode == (even ? NOERROR : NXDOMAIN) && negative && t->answer_cnt == 0 ? NULL :
		       "rcode and serial do not belong together";
	case CHAIN:
		return t->rcode == NOERROR && t->answer_cnt == 2 && t->target != NONE ? NULL :
		       "a chain that ends early";
	case CHAIN_NODATA:
		return t->rcode == NOERROR && t->answer_cnt == 1 && t->target != NONE && negative ? NULL :
		       "a chain that does not end in no data";
	case ABSENT:
		return t->rcode == NXDOMAIN && negative ? NULL : "not NXDOMAIN";
	case NODATA:
		return t->rcode == NOERROR && t->answer_cnt == 0 && negative ? NULL : "not an answer without data";
	case REFERRAL:
		return t->address && t->address6 ? NULL : "a referral without both addresses";
	}
	return "no kind";
}

static void show_fault(const char *fault, unsigned question, const struct told *t, const uint8_t *m,
		       size_t len)
{
	printf("FAIL: %s, type %u: %s (version %u, rcode %u, target %d; newest seen before %u)\n",
	       questions[question].name, questions[question].type, fault, t->version, t->rcode,
	       (int)t->target, newest);
	for (size_t i = 0; i < len; i++)
		printf("%02x", m[i]);
	putchar('\n');
}

/* One row: 0, or 1 after an answer that is wrong. */
static int ask_row(int fd)
{
	static uint8_t query[ROW][QUERY_MAX], answer[ROW][ANSWER_MAX];
	struct iovec out[ROW], in[ROW];
	struct mmsghdr send[ROW] = {0}, receive[ROW] = {0};
	unsigned question[ROW], sent = 0, got = 0;
	unsigned base = (unsigned)(asked % 65536); /* an answer that comes late is of another row */
	bool there[ROW] = {false};
	uint32_t seen = newest;

	for (unsigned i = 0; i < ROW; i++) {
		question[i] = (unsigned)(draw() >> 33) % QUESTIONS;
		out[i] = (struct iovec){query[i], make_query(query[i], (base + i) & 0xffff, question[i])};
		in[i] = (struct iovec){answer[i], ANSWER_MAX};
		send[i].msg_hdr = (struct msghdr){.msg_iov = &out[i], .msg_iovlen = 1};
		receive[i].msg_hdr = (struct msghdr){.msg_iov = &in[i], .msg_iovlen = 1};
	}
	while (sent < ROW) {
		int n = sendmmsg(fd, send + sent, ROW - sent, 0);

		if (n < 0) {
			perror("mixture: send");
			exit(2);
		}
		sent += (unsigned)n;
	}
	asked += ROW;
	while (got < ROW) {
		int n = recvmmsg(fd, receive, ROW, MSG_WAITFORONE, NULL);

		if (n <= 0)
			break;
		for (int i = 0; i < n; i++) {
			unsigned k = (read16(answer[i]) - base) & 0xffff;
			struct told t;
			const char *fault;

			if (k >= ROW || there[k])
				continue; /* late, and not counted */
			there[k] = true;
			got++;
			fault = read_answer(&t, answer[i], receive[i].msg_len) ?
				judge(&t, questions[question[k]].kind) : "not readable";
			if (fault) {
				show_fault(fault, question[k], &t, answer[i], receive[i].msg_len);
				return 1;
			}
			per_kind[question[k]]++;
			if (t.version > seen) {
				seen = t.version;
				versions++;
			}
		}
	}
	answered += got;
	lost += ROW - got;
	newest = seen;
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), error = 0, room = 4 << 20;
	struct timeval patience = {.tv_usec = 500000};

	if (!wanted || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
		fputs("usage: mixture SERVER QUESTIONS\n", stderr);
		return 2;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		perror("mixture");
		return 2;
	}

	struct timespec begin, end;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	while (!error && asked < wanted)
		error = ask_row(fd);
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("{\"asked\": %llu, \"answered\": %llu, \"lost\": %llu, \"versions\": %llu, \"seconds\": %.3f, \"kinds\": [",
	       (unsigned long long)asked, (unsigned long long)answered, (unsigned long long)lost,
	       (unsigned long long)versions, (double)(end.tv_sec - begin.tv_sec) +
	       (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
	for (size_t i = 0; i < QUESTIONS; i++)
		printf("%s%llu", i ? ", " : "", (unsigned long long)per_kind[i]);
	puts("]}");
	close(fd);
	return error;
}
