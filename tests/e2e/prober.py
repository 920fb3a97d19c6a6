#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""prober.py - ask a steady stream of questions and note when each is answered.

    prober.py SERVER INTERVAL_US NAME/TYPE...

Sends one question every INTERVAL_US microseconds, the names in turn ('%' in a name
becomes the question's number), never twice.  Prints "probing", goes on until a line
comes on stdin, waits half a second for late answers, and prints a JSON list: for
each question [sent, answered or null, kind, rcode, flags, data], times in seconds
of CLOCK_MONOTONIC, kind the index of the name, data what the answer holds: the text
of a TXT record, the serial of an SOA, the last four octets of an address, as
{"txt": [...], "soa": [...], "a": [...], "aaaa": [...]}.

Runs with real-time priority where it may: it is the measuring instrument.
"""
import json
import os
import select
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import wire


def data_of(message):
    out = {}
    for rr in message.answer + message.authority + message.additional:
        if rr[1] in (wire.A, wire.AAAA):
            out.setdefault(wire.type_name(rr[1]).lower(), []).append(int.from_bytes(rr[4][-4:], 'big'))
        elif rr[1] == wire.TXT:
            out.setdefault('txt', []).append(rr[4][1:].decode())
        elif rr[1] == wire.SOA:
            out.setdefault('soa', []).append(int.from_bytes(rr[4][-20:-16], 'big'))
    return out


def main():
    server, interval = sys.argv[1], int(sys.argv[2]) / 1e6
    kinds = [a.rsplit('/', 1) for a in sys.argv[3:]]
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except PermissionError:
        pass
    s = socket.socket(socket.AF_INET6 if ':' in server else socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    s.connect((server, 53))
    s.setblocking(False)
    poll = select.poll()
    poll.register(s, select.POLLIN)
    poll.register(0, select.POLLIN)
    sent, got = [], {}
    print('probing', flush=True)
    next_at, end = time.monotonic(), None
    while True:
        now = time.monotonic()
        if end is not None and now >= end:
            break
        if end is None and now >= next_at:
            number = len(sent)
            name, qtype = kinds[number % len(kinds)]
            message = wire.query(wire.name(name.replace('%', str(number))), wire.TYPES[qtype],
                                 ident=number & 0xffff)
            sent.append(now)
            try:
                s.send(message)
            except OSError:  # an ICMP error of an earlier question, or a full buffer: it is lost
                pass
            next_at = max(next_at + interval, now - 10 * interval)
        wait = (end if end is not None else next_at) - time.monotonic()
        for fd, _ in poll.poll(max(0, wait * 1000)):
            if fd == 0:
                poll.unregister(0)
                end = time.monotonic() + 0.5
                continue
            try:
                while True:
                    data = s.recv(65535)
                    now = time.monotonic()
                    # The youngest question with this identifier.
                    number = len(sent) - 1 - ((len(sent) - 1 - int.from_bytes(data[:2], 'big')) & 0xffff)
                    if number >= 0 and number not in got:
                        got[number] = now, data
            except (BlockingIOError, ConnectionRefusedError):
                pass
    rows = []
    for number, at in enumerate(sent):
        row = [at, None, number % len(kinds), None, None, None]
        if number in got:
            message = wire.Message(got[number][1])
            row = [at, got[number][0], number % len(kinds), message.rcode, message.flags, data_of(message)]
        rows.append(row)
    json.dump(rows, sys.stdout)


if __name__ == '__main__':
    main()
