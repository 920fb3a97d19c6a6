#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Either process is killed, crashed or stopped under load; UDP/53 stays answered.

A steady client asks a question every millisecond while dnsperf adds load.  The
longest time between two answered questions must stay below DEADLINE.
"""
import signal
import time

import lab
import wire
from lab import check, equal

DEADLINE = 0.100  # seconds: what the design promises
IN_TIME = 0.050   # an answer later than this is none: a stopped worker answers in the end
ROUNDS = 10 if lab.LONG else 3
LOAD = 5000       # further questions a second

L = lab.Lab(memory='64M')


def gaps(rows, since=None, until=None):
    """(longest time between the sendings of two questions answered in time, questions that
    were not)"""
    last, longest, lost = None, 0, 0
    for sent, answered, *_ in rows:
        if (since is None or sent >= since) and (until is None or sent <= until):
            if answered is None or answered - sent > IN_TIME:
                lost += 1
                continue
            if last is not None:
                longest = max(longest, sent - last)
            last = sent
    return longest, lost


class Load:
    """dnsperf in the background, and the steady client."""

    def __init__(self, *questions):
        L.restore()
        with open(L.path('load.txt'), 'w') as f:
            f.write('www.example.com A\nnx.example.com A\nexample.com NS\n')
        self.dnsperf = L.start('dnsperf', ['dnsperf', '-s', lab.SERVER4, '-d', L.path('load.txt'), '-l', '600', '-Q',
                                           LOAD, '-t', '1', '-q', '1000', '-O', 'suppress=timeout'], L.client)
        self.prober = L.prober(lab.SERVER4, 1000, *(questions or ('www.example.com/A',)))
        time.sleep(0.5)

    def stop(self):
        rows = self.prober.stop()
        self.dnsperf.kill(signal.SIGKILL)
        return rows


def workers_answer():
    """The workers, not the kernel path, answer now."""
    before = L.counters()
    time.sleep(0.1)
    after = L.counters()
    return after.get('answered', 0) > before.get('answered', 0) and \
        after['control-answered'] == before['control-answered']


def dataplane_lost(number):
    load = Load()
    events = []
    try:
        for _ in range(ROUNDS):
            lab.wait_until(workers_answer, 10, 'the workers answer')
            events.append(time.monotonic())
            if number == signal.SIGSTOP:
                L.dataplane.send_signal(signal.SIGSTOP)
                time.sleep(0.7)
                before = L.counters()['control-answered']
                time.sleep(0.1)
                check(L.counters()['control-answered'] > before, 'the control process answers')
                L.dataplane.send_signal(signal.SIGCONT)
            else:
                L.dataplane.kill(number)
                time.sleep(0.7)
                L.start_dataplane()
        lab.wait_until(workers_answer, 10, 'the workers answer again')
    finally:
        rows = load.stop()
    for event in events:
        longest, lost = gaps(rows, event - 0.2, event + 0.6)
        back, lost_back = gaps(rows, event + 0.6, event + 3)
        print('# %s: %.1f ms without an answer, %d lost; coming back: %.1f ms, %d lost' % (
            signal.Signals(number).name, longest * 1e3, lost, back * 1e3, lost_back))
    longest, lost = gaps(rows)
    print('# %d questions, %d lost, longest gap %.1f ms' % (len(rows), lost, longest * 1e3))
    check(longest <= DEADLINE, 'a gap of %.1f ms', longest * 1e3)
    check(all(row[3] in (0, None) for row in rows), 'another rcode than NOERROR')


@lab.measured
def dataplane_killed():
    dataplane_lost(signal.SIGKILL)


@lab.measured
def dataplane_crashed():
    dataplane_lost(signal.SIGSEGV)


@lab.measured
def dataplane_stopped():
    dataplane_lost(signal.SIGSTOP)


@lab.measured
def dataplane_ended_in_good_order():
    load = Load()
    try:
        for _ in range(ROUNDS):
            lab.wait_until(workers_answer, 10, 'the workers answer')
            equal(L.dataplane.stop(), 0, 'exit status')
            time.sleep(0.3)
            L.start_dataplane()
        lab.wait_until(workers_answer, 10, 'the workers answer again')
    finally:
        rows = load.stop()
    longest, lost = gaps(rows)
    print('# %d questions, %d lost, longest gap %.1f ms' % (len(rows), lost, longest * 1e3))
    check(longest <= DEADLINE, 'a gap of %.1f ms', longest * 1e3)


def zone(number):
    return lab.ZONE.replace('hostmaster 1 ', 'hostmaster %d ' % number) + 'v TXT "%d"\n' % number


@lab.measured
def control_killed():
    """The dataplane goes on, meets the new control process, and takes over its data;
    no question is lost and the answers change exactly once."""
    L.restore()
    L.write_zone('example.com', zone(10))
    L.ask_control('zone-reload')
    load = Load('v.example.com/TXT', 'nx%.example.com/A')
    serials = [10]
    try:
        for number in range(11, 11 + ROUNDS):
            lab.wait_until(workers_answer, 10, 'the workers answer')
            L.control.kill()
            L.write_zone('example.com', zone(number))
            serials.append(number)
            time.sleep(0.5)
            L.start_control()
            lab.wait_until(lambda: L.ask_control('status')['dataplane']['attached'], 10, 'the dataplane attached')
            lab.wait_until(lambda: L.ask('v.example.com', 'TXT').answer[0][4][1:] == b'%d' % number, 5, 'the new data')
    finally:
        rows = load.stop()
    longest, lost = gaps(rows)
    print('# %d questions, %d lost, longest gap %.1f ms' % (len(rows), lost, longest * 1e3))
    equal(lost, 0, 'questions lost')
    seen = []
    for row in sorted(rows, key=lambda r: r[1]):
        data = row[5]
        number = int(data['txt'][0]) if row[2] == 0 else data['soa'][0]
        equal(row[3], 0 if row[2] == 0 else wire.NXDOMAIN, 'rcode')
        if not seen or seen[-1] != number:
            seen.append(number)
    equal(seen, serials, 'the data in the order of the answers')


def control_killed_then_dataplane():
    """Without any dataplane a new control process serves alone, and the other way round
    is met by a new dataplane."""
    L.control.kill()
    L.dataplane.kill()
    L.start_control()
    equal(L.ask('www.example.com', 'A').rcode, 0, 'rcode')
    L.start_dataplane()
    lab.wait_until(lambda: L.ask('www.example.com', 'A') and workers_answer_one(), 5, 'the worker answers')


def workers_answer_one():
    before = L.counters().get('answered', 0)
    L.ask('www.example.com', 'A')
    return L.counters().get('answered', 0) > before


@lab.measured
def control_stopped_and_continued():
    """A control process that hangs takes nothing away from UDP/53."""
    load = Load()
    try:
        lab.wait_until(workers_answer, 10, 'the workers answer')
        L.control.send_signal(signal.SIGSTOP)
        time.sleep(1)
        L.control.send_signal(signal.SIGCONT)
        lab.wait_until(workers_answer, 10, 'the workers answer')
    finally:
        rows = load.stop()
    longest, lost = gaps(rows)
    print('# %d questions, %d lost, longest gap %.1f ms' % (len(rows), lost, longest * 1e3))
    equal(lost, 0, 'questions lost')


lab.main(L, dataplane_killed, dataplane_crashed, dataplane_stopped, dataplane_ended_in_good_order, control_killed,
         control_killed_then_dataplane, control_stopped_and_continued)
