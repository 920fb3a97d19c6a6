/* SPDX-License-Identifier: GPL-3.0-or-later */
/* protocol.h - what programs say on the control socket (RUN-DIRECTORY/control.sock,
 * a Unix stream socket): JSON, one object a line (RFC 8259, UTF-8, "\n").
 *
 * A request is one line:
 *
 *      {"command": "zone-add", "zone": "example.com", "file": "/srv/example.zone"}
 *
 *      command      arguments ([]: may be left out)     result
 *      status       -                                   see below
 *      zone-list    -                                   rows: of all zones, by name
 *      zone-show    zone                                row of the zone
 *      zone-add     zone, file (an absolute path),      row of the zone, and in it
 *                   [force]                             "dropped": see below
 *      zone-remove  zone                                {"zone"}
 *      zone-reload  [zone], [force]                     rows: of the zones reloaded, and
 *                                                       "dropped": see below
 *      zone-read    zone, [name]                        rows: texts in master-file form
 *      stats        -                                   see below
 *      stop         -                                   {}; then the process ends
 *      reload       -                                   {"text", "restart"}: see below
 *      txn-begin    [source], [line]                    {}
 *      txn-edit     text, or octets                     {}
 *      txn-commit   -                                   {"commit", "zones"}
 *      txn-abort    -                                   {}
 *
 * "id", a text of at most 64 octets or an integer, may stand in every request and
 * comes back in each line of its reply.  Requests of one connection are answered one
 * after the other, in their order.
 *
 * A reply is one line, or for long results several of which all but the last are
 * "more" lines:
 *
 *      {"more": true, "rows": [...]}
 *      {"ok": true, "result": ...}
 *      {"ok": false, "code": "no-such-zone", "error": "a sentence", "details": [...]}
 *
 * reload reads the configuration file again (SIGHUP does the same) and applies what can
 * change while the process runs: settings of answers, limits, zones that come, go or have
 * another file; the files of all other zones are read again as by zone-reload.  "text" is
 * a sentence about the zones, "restart" the list of what differs from what the process
 * was started with and needs a restart, texts such as "table: memory (pollux-control)".
 *
 * A transaction is the connection's own, and each has at most one open.  txn-edit adds
 * operations to it, whole lines of the form that control/zone/edit.h tells:
 *
 *      {"command": "txn-edit", "text": "zone example.com\nset www 300 A 192.0.2.1\n"}
 *
 * Instead of "text" there may be a number, "octets", at most PROTOCOL_OCTETS_MAX: the text then
 * follows the request's line as so many octets, as they are and nothing else behind them.  So
 * a large change needs no escapes, and a name may hold what is not UTF-8:
 *
 *      {"command": "txn-edit", "octets": 44}
 *      zone example.com
 *      set www 300 A 192.0.2.1
 *
 * txn-commit makes all of them visible at once, in all zones: to every query either
 * everything or nothing.  Its result tells the commit's number and the new serials:
 *
 *      {"commit": 7, "zones": [{"zone": "example.com.", "serial": 2026112201}]}
 *
 * The SOA's serial is raised by one in each zone that changes (RFC 1982), unless the
 * transaction sets or unsets the SOA.  Any fault ends the transaction and nothing of it
 * is applied: "details" tells "SOURCE:LINE: cause", with the source of txn-begin (a text of
 * at most 255 octets; default "transaction") and lines counted from its line (default 1)
 * over all txn-edits.  A transaction ends with its connection, too.
 *
 * Results called "rows" are {"rows": [...]}, and belong behind the rows of the more
 * lines before it.  An error may follow more lines; what they told is then not whole.
 * "details" is there only when a zone's faults are told: "FILE:LINE: cause" texts.
 * zone-reload of all zones is an error when one of them is bad; the others have been
 * reloaded all the same.
 *
 * A row of a zone:
 *
 *      {"zone": "example.com.", "state": "serving", "file": "/srv/example.zone",
 *       "serial": 1, "names": 3, "records": 7, "changes": 0, "error": null}
 *
 *      state    "loading"   waits for the first load of all zones after the start
 *               "serving"   loaded from the file as it was read last
 *               "stale"     the last reload failed: `error` says why, the old data is served
 *               "failed"    never loaded: `error` says why, queries for it are refused
 *      serial, names, records are null, and the zone is not served, when it failed.
 *      changes  RRsets that transactions have changed since the file was read
 *
 * What is changed at run time (transactions, zone-add, zone-remove) is durable when the
 * reply says so, and is there again after a restart.  Reading the file of a zone with
 * changes again would drop them: zone-reload refuses that unless force is true, and then
 * says how many changes it has "dropped".  zone-reload of all zones passes over zones
 * with changes whose files are as they were.  zone-add of a zone that is there is a zone-reload from
 * that file, which is its file from then on, whatever the configuration says.  Else it brings back what
 * was changed in a zone that went with the configuration that named it; with force it drops that, too.
 *
 * The result of status (times in what their names say, sizes in octets):
 *
 *      {"version": "0.1.0", "pid": 1, "uptime_s": 1, "commit": 1, "zones": 1,
 *       "dataplane": {"attached": true, "pid": 2, "workers":
 *          [{"slot": 1, "name": "worker 0", "heartbeat_age_ms": 0, "bypassed": false}]},
 *       "refused": [{"pid": 3, "reason": "layouts differ: ..."}],
 *       "table": {"max": 1, "fill": 1, "used": 1, "peak": 1, "retired": 0, "huge": false,
 *                 "stalled": [{"slot": 1, "name": "worker 0", "pid": 2, "ms": 150}]},
 *       "transactions": {"open": 0, "staged": 0}}
 *
 *      "retired" counts blocks of memory that wait until no reader uses them, and
 *      "pins" readers of whole zones (zone-read) are at work, for whom alone "held" of these blocks
 *      wait; "stalled" names readers that have not let go of such memory for 100 ms or more.
 *      "refused" tells of dataplanes that live and may not attach: they go on with the table
 *      that they have, and one of the two programs has to be restarted.
 *      Without a dataplane: {"attached": false, "pid": null, "workers": []}.
 *
 * The result of stats (all counted since the process behind it started; names are
 * those of protocol_counter below, of rcode_name, opcode_name and steer_reason_name):
 *
 *      {"workers": [{"name": "worker 0", "counters": {"received": 1, ...},
 *                    "rcodes": {"NOERROR": 1, ...}, "opcodes": {"NOTIFY": 1, ...}}],
 *       "steering": {"redirect": 1, ...}}
 *
 *      Every counter is there; of the rcodes, and of the opcodes but QUERY, those that are not 0.
 *      "steering" is the sum over all ports, and {} when there is no port with the steering program.
 *
 * What a peer may do wrong, and the code it gets:
 *
 *      bad-request      the line is not one JSON object, or names a key twice
 *      too-long         more than PROTOCOL_LINE_MAX octets without a newline; the
 *                       connection is closed behind this reply, without an id
 *      unknown-command  "command" is missing, no text or not in the table
 *      bad-argument     an argument that is missing, unknown, mistyped, no domain name,
 *                       no absolute path; an id that is none
 *      no-such-zone     the zone is not configured (or, for zone-read, not loaded)
 *      no-such-name     the zone does not have that name
 *      cannot-read      the zone's file, or one that it includes, cannot be read
 *      bad-zone         the zone's file was read and is refused
 *      transaction-open txn-begin while one is open (which stays so)
 *      no-transaction   txn-edit, txn-commit, txn-abort while none is open
 *      bad-change       a fault in a transaction; "details" tells where.  It is aborted
 *      too-much         open transactions take more than PROTOCOL_STAGED_MAX octets of
 *                       memory together; this one is aborted
 *      changed          zone-reload or zone-add would drop changes made at run time
 *      cannot-store     the change cannot be made durable; nothing changed
 *      bad-configuration  the configuration has faults, which "details" tells; nothing changed
 *      table-full       no room for the change; nothing changed
 *      internal         our fault; the log tells more
 *
 * None but too-long closes the connection, and bad-argument when it is of "octets": what is
 * behind the line could then be anything.  Behind any other fault so many octets are passed over.
 *
 * The functions below do no I/O and keep no state: any thread may call them.
 */
#ifndef POLLUX_PROTOCOL_H
#define POLLUX_PROTOCOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "dataplane/answer/name.h"
#include "dataplane/answer/status.h"

#define PROTOCOL_LINE_MAX (1u << 20)  /* octets of a request, newline not counted */
#define PROTOCOL_OCTETS_MAX (1u << 20) /* of text behind a txn-edit */
#define PROTOCOL_REPLY_MAX (64u << 20) /* octets of a reply's line a client must take */
#define PROTOCOL_FILE_MAX 4095        /* octets of a path */
#define PROTOCOL_ID_MAX 64            /* octets of an id that is a text */
#define PROTOCOL_SOURCE_MAX 255       /* octets of txn-begin's source */
#define PROTOCOL_STAGED_MAX (UINT64_C(1) << 30) /* octets that all open transactions take */

#define PROTOCOL_BAD_REQUEST     "bad-request"
#define PROTOCOL_TOO_LONG        "too-long"
#define PROTOCOL_UNKNOWN_COMMAND "unknown-command"
#define PROTOCOL_BAD_ARGUMENT    "bad-argument"
#define PROTOCOL_NO_SUCH_ZONE    "no-such-zone"
#define PROTOCOL_NO_SUCH_NAME    "no-such-name"
#define PROTOCOL_CANNOT_READ     "cannot-read"
#define PROTOCOL_BAD_ZONE        "bad-zone"
#define PROTOCOL_CHANGED         "changed"
#define PROTOCOL_CANNOT_STORE    "cannot-store"
#define PROTOCOL_BAD_CONFIGURATION "bad-configuration"
#define PROTOCOL_TABLE_FULL      "table-full"
#define PROTOCOL_TRANSACTION_OPEN "transaction-open"
#define PROTOCOL_NO_TRANSACTION  "no-transaction"
#define PROTOCOL_BAD_CHANGE      "bad-change"
#define PROTOCOL_TOO_MUCH        "too-much"
#define PROTOCOL_INTERNAL        "internal"

enum protocol_command {
	COMMAND_STATUS, COMMAND_ZONE_LIST, COMMAND_ZONE_SHOW, COMMAND_ZONE_ADD,
	COMMAND_ZONE_REMOVE, COMMAND_ZONE_RELOAD, COMMAND_ZONE_READ, COMMAND_STATS,
	COMMAND_STOP, COMMAND_RELOAD, COMMAND_TXN_BEGIN, COMMAND_TXN_EDIT, COMMAND_TXN_COMMIT,
	COMMAND_TXN_ABORT, COMMAND_COUNT
};

/* One request, checked.  Plain data but for `text`. */
struct request {
	enum protocol_command command;
	bool force;
	bool has_zone, has_name;   /* where the argument may be left out */
	struct name zone;
	struct name name;          /* zone-read; within zone */
	char file[PROTOCOL_FILE_MAX + 1];
	char source[PROTOCOL_SOURCE_MAX + 1]; /* "" when there was none */
	uint32_t line;             /* 1 when there was none */
	json_t *text;              /* txn-edit; else NULL: */
	int32_t octets;            /* so many follow the line, also of a bad request; -1: nobody knows */
	char id[6 * PROTOCOL_ID_MAX + 3]; /* as JSON; "" when there was none */
};

/* What was wrong with a request. */
struct request_fault {
	const char *code;          /* a constant of above */
	char text[256];            /* a sentence, UTF-8 */
};

/* request_parse - read line[0..len), untrusted, without its newline, into *q.
 * request_clear is then due.  0, or -EINVAL with *f set; q->id and q->octets are then what
 * could be read of them, so that the error can carry the one and pass over the other.
 * -ENOMEM sets *f too. */
int request_parse(struct request *q, struct request_fault *f, const char *line, size_t len);

/* request_clear - free what a request holds.  It may be all zeros. */
void request_clear(struct request *q);

/* protocol_command_name - as it stands in requests: "zone-add". */
const char *protocol_command_name(enum protocol_command command);

/* reply_ok, reply_more, reply_error - one line of a reply with its newline (*len
 * octets; a NUL behind them), from malloc: the caller's.  `q` gives the id and may be NULL.  `result` and `rows` are
 * taken over (their reference is gone afterwards, also after failure).  `details` is
 * taken over likewise and may be NULL.  NULL when memory has ended or result is NULL. */
char *reply_ok(const struct request *q, json_t *result, size_t *len);
char *reply_more(const struct request *q, json_t *rows, size_t *len);
char *reply_error(const struct request *q, const char *code, json_t *details, size_t *len,
		  const char *format, ...) __attribute__((format(printf, 5, 6)));

/* protocol_text - a JSON string of any octets: what is not UTF-8 becomes U+FFFD.
 * NULL without memory. */
json_t *protocol_text(const char *text);

/* protocol_counter - names of what workers count. */
extern const char *const protocol_counter[CNT_COUNT];

/* Cutting a stream into lines. */
struct lines {
	char *data;
	size_t begin, end, cap;    /* octets data[begin..end) are not handed out yet */
	size_t seen;               /* data[begin..seen) holds no newline */
	size_t max;                /* octets of a line */
};

/* lines_init - an empty stream of lines of at most `max` octets.  Never fails. */
void lines_init(struct lines *l, size_t max);

/* lines_add - append octets that were received.  0 or -ENOMEM. */
int lines_add(struct lines *l, const void *octets, size_t len);

/* lines_next - the next whole line into *line (without its newline; valid until the
 * next call with l) and its length: 1; 0 when none is complete; -EMSGSIZE when it is
 * longer than max. */
int lines_next(struct lines *l, const char **line, size_t *len);

/* lines_take - move at most `room` octets that were received and not handed out, whatever
 * they are, to `out`.  Returns how many. */
size_t lines_take(struct lines *l, void *out, size_t room);

void lines_free(struct lines *l);

#endif
