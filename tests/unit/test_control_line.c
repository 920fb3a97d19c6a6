/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/socket/protocol.h"

static struct request q;
static struct request_fault f;

static int parse_len(const char *line, size_t len)
{
	/* A block of exactly its size, so that ASan sees one octet over. */
	char *copy = malloc(len ? len : 1);
	int rc;

	memcpy(copy, line, len);
	rc = request_parse(&q, &f, copy, len);
	free(copy);
	return rc;
}

static int parse(const char *line)
{
	return parse_len(line, strlen(line));
}

static const char *text(const struct name *n)
{
	static char buffer[NAME_TEXT_MAX];

	return name_to_text(buffer, n->wire);
}

Test(control_line, each_command_is_read)
{
	static const char *const plain[] = {
		[COMMAND_STATUS] = "{\"command\":\"status\"}",
		[COMMAND_ZONE_LIST] = "{\"command\":\"zone-list\"}",
		[COMMAND_STATS] = " {\"command\" : \"stats\"}\r",
		[COMMAND_STOP] = "{\"command\":\"stop\"}",
		[COMMAND_ZONE_RELOAD] = "{\"command\":\"zone-reload\"}",
		[COMMAND_RELOAD] = "{\"command\":\"reload\"}",
		[COMMAND_TXN_BEGIN] = "{\"command\":\"txn-begin\"}",
		[COMMAND_TXN_COMMIT] = "{\"command\":\"txn-commit\"}",
		[COMMAND_TXN_ABORT] = "{\"command\":\"txn-abort\"}",
	};

	for (unsigned i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
		if (!plain[i])
			continue;
		cr_assert_eq(parse(plain[i]), 0, "%s: %s", plain[i], f.text);
		cr_assert_eq(q.command, i);
		cr_assert_not(q.has_zone);
		cr_assert_not(q.has_name);
		cr_assert_str_eq(q.id, "");
	}

	cr_assert_eq(parse("{\"command\":\"zone-show\",\"zone\":\"Example.COM\"}"), 0);
	cr_assert_eq(q.command, COMMAND_ZONE_SHOW);
	cr_assert(q.has_zone);
	cr_assert_str_eq(text(&q.zone), "example.com.");

	cr_assert_eq(parse("{\"command\":\"zone-add\",\"zone\":\"a\",\"file\":\"/a\",\"force\":true}"), 0);
	cr_assert(q.force);
	cr_assert_eq(parse("{\"file\":\"/a b.zone\",\"zone\":\".\",\"command\":\"zone-add\"}"), 0);
	cr_assert_eq(q.command, COMMAND_ZONE_ADD);
	cr_assert_str_eq(text(&q.zone), ".");
	cr_assert_str_eq(q.file, "/a b.zone");

	cr_assert_eq(parse("{\"command\":\"zone-remove\",\"zone\":\"a.\"}"), 0);
	cr_assert_eq(q.command, COMMAND_ZONE_REMOVE);

	cr_assert_eq(parse("{\"command\":\"zone-reload\",\"zone\":\"a.\"}"), 0);
	cr_assert_eq(q.command, COMMAND_ZONE_RELOAD);
	cr_assert(q.has_zone);

	cr_assert_eq(parse("{\"command\":\"zone-read\",\"zone\":\"a.\"}"), 0);
	cr_assert_eq(q.command, COMMAND_ZONE_READ);
	cr_assert_not(q.has_name);
	cr_assert_eq(parse("{\"command\":\"zone-read\",\"name\":\"b.a\",\"zone\":\"a.\"}"), 0);
	cr_assert(q.has_name);
	cr_assert_str_eq(text(&q.name), "b.a.");

	cr_assert_eq(parse("{\"command\":\"txn-begin\",\"source\":\"a file\",\"line\":7}"), 0);
	cr_assert_eq(q.command, COMMAND_TXN_BEGIN);
	cr_assert_str_eq(q.source, "a file");
	cr_assert_eq(q.line, 7);
	cr_assert_eq(parse("{\"command\":\"txn-edit\",\"text\":\"zone a\\n\"}"), 0);
	cr_assert_eq(q.command, COMMAND_TXN_EDIT);
	cr_assert_str_eq(json_string_value(q.text), "zone a\n");
	cr_assert_eq(q.line, 1);
	request_clear(&q);
}

Test(control_line, octets_that_follow)
{
	static const struct { const char *line; int octets; bool good; } cases[] = {
		{"{\"command\":\"txn-edit\",\"octets\":44}", 44, true},
		{"{\"command\":\"txn-edit\",\"octets\":0}", 0, true},
		{"{\"command\":\"txn-edit\",\"octets\":1048576}", 1048576, true},
		/* What follows a bad request is still passed over, if it says how much that is. */
		{"{\"command\":\"txn-edit\",\"text\":\"\",\"octets\":3}", 3, false},
		{"{\"command\":\"txn-commit\",\"octets\":4}", 4, false},
		{"{\"command\":\"nothing\",\"octets\":5}", 5, false},
		{"{\"octets\":6}", 6, false},
		{"{\"command\":\"txn-edit\",\"octets\":7,\"x\":1}", 7, false},
		{"{\"command\":\"txn-edit\",\"octets\":8,\"id\":[]}", 8, false},
		{"{\"command\":\"txn-edit\",\"octets\":-1}", -1, false},
		{"{\"command\":\"txn-edit\",\"octets\":1048577}", -1, false},
		{"{\"command\":\"txn-edit\",\"octets\":null}", -1, false},
		{"{\"command\":\"txn-edit\",\"text\":\"\"}", 0, true},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cr_expect_eq(parse(cases[i].line), cases[i].good ? 0 : -EINVAL, "%s", cases[i].line);
		cr_expect_eq(q.octets, cases[i].octets, "%s", cases[i].line);
		cr_expect(!cases[i].good || !q.text == (i < 3));
		request_clear(&q);
	}
}

Test(control_line, octets_are_taken_from_behind_a_line)
{
	struct lines l;
	const char *line;
	char out[8];
	size_t len;

	lines_init(&l, 100);
	cr_assert_eq(lines_take(&l, out, sizeof(out)), 0);
	cr_assert_eq(lines_add(&l, "one\ntwo\nthree\n", 14), 0);
	cr_assert(lines_next(&l, &line, &len) == 1 && len == 3);
	cr_assert_eq(lines_take(&l, out, 6), 6);
	cr_assert_eq(memcmp(out, "two\nth", 6), 0);
	cr_assert(lines_next(&l, &line, &len) == 1 && len == 3 && memcmp(line, "ree", 3) == 0);
	cr_assert_eq(lines_next(&l, &line, &len), 0);
	cr_assert_eq(lines_add(&l, "abc", 3), 0);
	cr_assert_eq(lines_next(&l, &line, &len), 0);
	cr_assert_eq(lines_take(&l, out, sizeof(out)), 3);
	cr_assert_eq(lines_add(&l, "d\n", 2), 0);
	cr_assert(lines_next(&l, &line, &len) == 1 && len == 1 && *line == 'd');
	lines_free(&l);
}

Test(control_line, a_command_has_the_name_it_is_asked_by)
{
	for (unsigned i = 0; i < COMMAND_COUNT; i++) {
		char line[200];

		snprintf(line, sizeof(line), "{\"command\":\"%s\"}", protocol_command_name(i));
		parse(line);
		cr_assert_eq(q.command, i);
		cr_assert(f.code == NULL || strcmp(f.code, PROTOCOL_BAD_ARGUMENT) == 0);
	}
}

#define LONG_ID "0123456789012345678901234567890123456789012345678901234567890123"

static const struct {
	const char *line, *code, *words;
} refused[] = {
	{"", PROTOCOL_BAD_REQUEST, "not one JSON object"},
	{" ", PROTOCOL_BAD_REQUEST, "not one JSON object"},
	{"status", PROTOCOL_BAD_REQUEST, "not one JSON object"},
	{"\"status\"", PROTOCOL_BAD_REQUEST, "not one JSON object"},
	{"[]", PROTOCOL_BAD_REQUEST, "not a list"},
	{"{", PROTOCOL_BAD_REQUEST, "not one JSON object"},
	{"{\"command\":\"status\"} x", PROTOCOL_BAD_REQUEST, "at octet 22"},
	{"{\"command\":\"status\"}{\"command\":\"status\"}", PROTOCOL_BAD_REQUEST, "not one"},
	{"{\"command\":\"status\",\"command\":\"stop\"}", PROTOCOL_BAD_REQUEST, "different keys"},
	{"{\"command\":\"sta\\u0000tus\"}", PROTOCOL_BAD_REQUEST, "not one JSON object"},
	{"{\"command\":\"\xff\"}", PROTOCOL_BAD_REQUEST, "not one JSON object"},
	{"{}", PROTOCOL_UNKNOWN_COMMAND, "command is missing or no text"},
	{"{\"command\":1}", PROTOCOL_UNKNOWN_COMMAND, "command is missing or no text"},
	{"{\"command\":\"\"}", PROTOCOL_UNKNOWN_COMMAND, "there is no command `'"},
	{"{\"command\":\"Status\"}", PROTOCOL_UNKNOWN_COMMAND, "there is no command `Status'"},
	{"{\"command\":\"a\\u001bb\"}", PROTOCOL_UNKNOWN_COMMAND, "there is no command `a?b'"},
	{"{\"command\":\"status\",\"zone\":\"a\"}", PROTOCOL_BAD_ARGUMENT,
	 "status takes no argument `zone'"},
	{"{\"command\":\"zone-show\",\"zone\":\"a\",\"name\":\"a\"}", PROTOCOL_BAD_ARGUMENT,
	 "zone-show takes no argument `name'"},
	{"{\"command\":\"stop\",\"force\":true}", PROTOCOL_BAD_ARGUMENT,
	 "stop takes no argument `force'"},
	{"{\"command\":\"zone-show\"}", PROTOCOL_BAD_ARGUMENT, "zone-show needs the argument `zone'"},
	{"{\"command\":\"zone-add\",\"zone\":\"a\"}", PROTOCOL_BAD_ARGUMENT,
	 "zone-add needs the argument `file'"},
	{"{\"command\":\"zone-add\",\"file\":\"/a\"}", PROTOCOL_BAD_ARGUMENT,
	 "zone-add needs the argument `zone'"},
	{"{\"command\":\"zone-show\",\"zone\":1}", PROTOCOL_BAD_ARGUMENT, "zone must be a text"},
	{"{\"command\":\"zone-reload\",\"zone\":null}", PROTOCOL_BAD_ARGUMENT, "zone must be a text"},
	{"{\"command\":\"zone-show\",\"zone\":\"\"}", PROTOCOL_BAD_ARGUMENT, "`' is no domain name"},
	{"{\"command\":\"zone-show\",\"zone\":\"a..b\"}", PROTOCOL_BAD_ARGUMENT,
	 "`a..b' is no domain name"},
	{"{\"command\":\"zone-add\",\"zone\":\"a\",\"file\":\"a\"}", PROTOCOL_BAD_ARGUMENT,
	 "`a' is no absolute path"},
	{"{\"command\":\"zone-add\",\"zone\":\"a\",\"file\":\"\"}", PROTOCOL_BAD_ARGUMENT,
	 "`' is no absolute path"},
	{"{\"command\":\"zone-add\",\"zone\":\"a\",\"file\":[]}", PROTOCOL_BAD_ARGUMENT,
	 "file must be a text"},
	{"{\"command\":\"zone-add\",\"zone\":\"a\",\"file\":\"/a\\nb\"}", PROTOCOL_BAD_ARGUMENT,
	 "control character"},
	{"{\"command\":\"zone-read\",\"zone\":\"a\",\"name\":\"b\"}", PROTOCOL_BAD_ARGUMENT,
	 "not within the zone"},
	{"{\"command\":\"status\",\"id\":1.5}", PROTOCOL_BAD_ARGUMENT, "id must be"},
	{"{\"command\":\"status\",\"id\":null}", PROTOCOL_BAD_ARGUMENT, "id must be"},
	{"{\"command\":\"status\",\"id\":[1]}", PROTOCOL_BAD_ARGUMENT, "id must be"},
	{"{\"command\":\"status\",\"id\":\"" LONG_ID "4\"}", PROTOCOL_BAD_ARGUMENT, "id must be"},
	{"{\"command\":\"txn-begin\",\"line\":0}", PROTOCOL_BAD_ARGUMENT, "line must be"},
	{"{\"command\":\"txn-begin\",\"line\":2147483648}", PROTOCOL_BAD_ARGUMENT, "line must be"},
	{"{\"command\":\"txn-begin\",\"line\":\"1\"}", PROTOCOL_BAD_ARGUMENT, "line must be"},
	{"{\"command\":\"txn-begin\",\"source\":1}", PROTOCOL_BAD_ARGUMENT, "source must be"},
	{"{\"command\":\"txn-begin\",\"source\":\"a\\n\"}", PROTOCOL_BAD_ARGUMENT, "control character"},
	{"{\"command\":\"txn-begin\",\"text\":\"\"}", PROTOCOL_BAD_ARGUMENT, "no argument `text'"},
	{"{\"command\":\"txn-edit\"}", PROTOCOL_BAD_ARGUMENT, "needs one of the arguments `text'"},
	{"{\"command\":\"txn-edit\",\"text\":\"\",\"octets\":0}", PROTOCOL_BAD_ARGUMENT, "needs one of"},
	{"{\"command\":\"txn-edit\",\"octets\":-1}", PROTOCOL_BAD_ARGUMENT, "octets must be a number"},
	{"{\"command\":\"txn-edit\",\"octets\":1048577}", PROTOCOL_BAD_ARGUMENT, "from 0 to 1048576"},
	{"{\"command\":\"txn-edit\",\"octets\":\"1\"}", PROTOCOL_BAD_ARGUMENT, "octets must be a number"},
	{"{\"command\":\"txn-edit\",\"octets\":1.0}", PROTOCOL_BAD_ARGUMENT, "octets must be a number"},
	{"{\"command\":\"txn-commit\",\"octets\":1}", PROTOCOL_BAD_ARGUMENT, "no argument `octets'"},
	{"{\"command\":\"txn-edit\",\"text\":null}", PROTOCOL_BAD_ARGUMENT, "text must be a text"},
	{"{\"command\":\"txn-edit\",\"text\":\"\",\"x\":1}", PROTOCOL_BAD_ARGUMENT, "no argument `x'"},
	{"{\"command\":\"status\",\"id\":9223372036854775808}", PROTOCOL_BAD_REQUEST, "not one"},
};

Test(control_line, each_mistake_has_its_code)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		cr_assert_eq(parse(refused[i].line), -EINVAL, "accepted: %s", refused[i].line);
		cr_assert_str_eq(f.code, refused[i].code, "%s: %s", refused[i].line, f.text);
		cr_assert(strstr(f.text, refused[i].words), "%s: %s", refused[i].line, f.text);
	}
}

Test(control_line, a_path_has_its_limit)
{
	char line[PROTOCOL_FILE_MAX + 200], path[PROTOCOL_FILE_MAX + 2];

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	for (size_t n = PROTOCOL_FILE_MAX; n <= PROTOCOL_FILE_MAX + 1; n++) {
		snprintf(line, sizeof(line), "{\"command\":\"zone-add\",\"zone\":\"a\",\"file\":\"%.*s\"}",
			 (int)n, path);
		cr_assert_eq(parse(line), n == PROTOCOL_FILE_MAX ? 0 : -EINVAL);
	}
	cr_assert(strstr(f.text, "longer than 4095 octets"));
}

Test(control_line, a_fault_stays_UTF8_when_it_is_cut)
{
	for (unsigned shift = 0; shift < 4; shift++) {
		char line[512] = "{\"command\":\"";
		size_t len;
		char *reply;

		for (unsigned i = 0; i < shift; i++)
			strcat(line, "x");
		for (unsigned i = 0; i < 50; i++)
			strcat(line, "\xf0\x9f\x8c\x8d");
		strcat(line, "\"}");
		cr_assert_eq(parse(line), -EINVAL);
		cr_assert(strstr(f.text, "...'"));
		cr_assert_null(strstr(f.text, "\xef\xbf\xbd"));
		reply = reply_error(&q, f.code, NULL, &len, "%s", f.text);
		cr_assert_null(strstr(reply, "\xef\xbf\xbd"));
		free(reply);
	}
}

Test(control_line, depth_and_length_are_bounded)
{
	size_t len = PROTOCOL_LINE_MAX;
	char *line = malloc(len);

	for (const char *c = "[{\"0 x"; *c; c++) {
		memset(line, *c, len);
		cr_assert_eq(parse_len(line, len), -EINVAL);
		cr_assert_str_eq(f.code, PROTOCOL_BAD_REQUEST);
	}
	free(line);
}

static const char *const full =
	"{\"command\":\"zone-read\",\"zone\":\"example.com\",\"name\":\"www.example.com\",\"id\":\"7\"}";

Test(control_line, every_prefix_is_refused)
{
	for (size_t len = 0; len < strlen(full); len++)
		cr_assert_eq(parse_len(full, len), -EINVAL);
	cr_assert_eq(parse(full), 0);
}

Test(control_line, every_changed_octet_is_read_or_refused)
{
	char line[200];
	unsigned accepted = 0;

	for (size_t i = 0; i < strlen(full); i++) {
		for (unsigned c = 0; c < 256; c++) {
			strcpy(line, full);
			line[i] = (char)c;
			int rc = parse_len(line, strlen(full));

			cr_assert(rc == 0 || (rc == -EINVAL && f.code && f.text[0]));
			accepted += rc == 0;
		}
	}
	cr_assert_gt(accepted, 0);
}

Test(control_line, replies_are_one_line_with_the_id)
{
	size_t len;
	char *line;

	parse("{\"command\":\"status\",\"id\":\"a\\n\\u0001\\\"\"}");
	line = reply_ok(&q, json_pack("{s:i}", "x", 1), &len);
	cr_assert_eq(len, strlen("{\"ok\":true,\"result\":{\"x\":1},\"id\":\"a\\n\\u0001\\\"\"}\n"));
	cr_assert_eq(memcmp(line, "{\"ok\":true,\"result\":{\"x\":1},\"id\":\"a\\n\\u0001\\\"\"}\n", len), 0);
	free(line);

	parse("{\"command\":\"status\",\"id\":-9223372036854775808}");
	line = reply_more(&q, json_pack("[s]", "x"), &len);
	cr_assert_eq(memcmp(line, "{\"more\":true,\"rows\":[\"x\"],\"id\":-9223372036854775808}\n", len), 0);
	free(line);

	line = reply_error(NULL, PROTOCOL_INTERNAL, NULL, &len, "no %s", "luck");
	cr_assert_eq(memcmp(line, "{\"ok\":false,\"code\":\"internal\",\"error\":\"no luck\"}\n", len), 0);
	free(line);

	/* The id of a refused request comes back too. */
	cr_assert_eq(parse("{\"command\":\"x\",\"id\":5}"), -EINVAL);
	line = reply_error(&q, PROTOCOL_BAD_ZONE, json_pack("[s]", "f:1: a"), &len, "bad");
	cr_assert_eq(memcmp(line, "{\"ok\":false,\"code\":\"bad-zone\",\"error\":\"bad\","
				  "\"details\":[\"f:1: a\"],\"id\":5}\n", len), 0);
	free(line);
	cr_assert_null(reply_ok(NULL, NULL, &len));
}

Test(control_line, the_longest_id_comes_back_whole)
{
	char line[1024] = "{\"command\":\"status\",\"id\":\"";
	size_t len;
	char *reply;

	for (unsigned i = 0; i < PROTOCOL_ID_MAX; i++)
		strcat(line, "\\u0001");
	strcat(line, "\"}");
	cr_assert_eq(parse(line), 0, "%s", f.text);
	reply = reply_ok(&q, json_null(), &len);
	cr_assert(reply);

	json_t *root = json_loadb(reply, len, 0, NULL);

	cr_assert_eq(json_string_length(json_object_get(root, "id")), PROTOCOL_ID_MAX);
	json_decref(root);
	free(reply);
}

Test(control_line, any_octets_become_a_text)
{
	static const char *const from_to[][2] = {
		{"", ""}, {"/srv/z", "/srv/z"}, {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
		{"\xff", "\xef\xbf\xbd"}, {"a\xc3", "a\xef\xbf\xbd"},
		{"\xfc\xc3\xbc\xe2\x82", "\xef\xbf\xbd\xc3\xbc\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xff\xf0\x9f\x8c\x8d!", "\xef\xbf\xbd\xf0\x9f\x8c\x8d!"},
	};

	for (size_t i = 0; i < sizeof(from_to) / sizeof(*from_to); i++) {
		json_t *t = protocol_text(from_to[i][0]);

		cr_assert(t);
		cr_assert_str_eq(json_string_value(t), from_to[i][1]);
		json_decref(t);
	}
}

Test(control_line, everything_that_is_counted_has_a_name)
{
	for (unsigned i = 0; i < CNT_COUNT; i++) {
		cr_assert(protocol_counter[i]);
		for (unsigned k = 0; k < i; k++)
			cr_assert_str_neq(protocol_counter[i], protocol_counter[k]);
	}
}

/* ---- lines ---- */

Test(control_line, lines_are_cut_however_they_arrive)
{
	static const char stream[] = "a\n\nbcd\nlast";
	static const char *const want[] = {"a", "", "bcd"};

	for (size_t piece = 1; piece < sizeof(stream); piece++) {
		struct lines l;
		const char *line;
		size_t len, got = 0;

		lines_init(&l, 100);
		for (size_t at = 0; at < sizeof(stream) - 1; at += piece) {
			size_t n = sizeof(stream) - 1 - at;

			cr_assert_eq(lines_add(&l, stream + at, n < piece ? n : piece), 0);
			while (lines_next(&l, &line, &len) == 1) {
				cr_assert_lt(got, 3);
				cr_assert_eq(len, strlen(want[got]));
				cr_assert_eq(memcmp(line, want[got++], len), 0);
			}
		}
		cr_assert_eq(got, 3);
		cr_assert_eq(lines_add(&l, "!\n", 2), 0);
		cr_assert_eq(lines_next(&l, &line, &len), 1);
		cr_assert_eq(len, 5);
		cr_assert_eq(memcmp(line, "last!", 5), 0);
		cr_assert_eq(lines_next(&l, &line, &len), 0);
		lines_free(&l);
	}
}

Test(control_line, a_line_may_have_max_octets_and_no_more)
{
	for (size_t max = 1; max < 20; max++) {
		char text_[24];
		struct lines l;
		const char *line;
		size_t len;

		memset(text_, 'x', sizeof(text_));
		lines_init(&l, max);
		lines_add(&l, text_, max);
		cr_assert_eq(lines_next(&l, &line, &len), 0);
		lines_add(&l, "\n", 1);
		cr_assert_eq(lines_next(&l, &line, &len), 1);
		cr_assert_eq(len, max);
		lines_add(&l, text_, max + 1);
		cr_assert_eq(lines_next(&l, &line, &len), -EMSGSIZE);
		lines_add(&l, "\n", 1);
		cr_assert_eq(lines_next(&l, &line, &len), -EMSGSIZE);
		lines_free(&l);
	}
}

Test(control_line, memory_of_a_long_line_is_given_back)
{
	struct lines l;
	const char *line;
	size_t len;
	char *big = calloc(1, PROTOCOL_LINE_MAX);

	lines_init(&l, PROTOCOL_LINE_MAX);
	cr_assert_eq(lines_add(&l, big, PROTOCOL_LINE_MAX), 0);
	cr_assert_eq(lines_next(&l, &line, &len), 0);
	cr_assert_eq(lines_add(&l, "\n", 1), 0);
	cr_assert_eq(lines_next(&l, &line, &len), 1);
	cr_assert_eq(len, PROTOCOL_LINE_MAX);
	cr_assert_eq(lines_next(&l, &line, &len), 0);
	cr_assert_null(l.data);
	cr_assert_eq(lines_add(&l, "x\n", 2), 0);
	cr_assert_eq(lines_next(&l, &line, &len), 1);
	free(big);
	lines_free(&l);
}
