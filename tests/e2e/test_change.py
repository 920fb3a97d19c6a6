#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A zone is replaced, and another removed and added, in a loop while clients ask.

Version N of the zone says N in its SOA serial and in v's TXT; the name `even` exists
in even versions only.  Every single answer must be that of one version: what is
there and what is not must agree with the number it carries; the versions must not
go back; and an answer to a question asked after a version was acknowledged must be
of that version or a later one.
"""
import sys
import time

import lab
import wire
from lab import check, equal

SECONDS = 60 if lab.LONG else 8

ALONE = '--alone' in sys.argv  # the control process by itself: the kernel's path
if ALONE:
    sys.argv.remove('--alone')


def zone(domain, number):
    text = '$ORIGIN %s.\n$TTL 60\n@ SOA ns1 hostmaster %d 7200 900 1209600 300\n@ NS ns1\n' % (domain, number)
    text += 'ns1 A 10.53.0.1\nv TXT "%d"\nc CNAME v\n*.w TXT "%d"\n' % (number, number)
    # Names that come and go, more than fit in one node of a tree, around those asked for.
    text += ''.join('n%d.w%d A 192.0.2.1\n' % (i, number % 3) for i in range(200))
    if number % 2 == 0:
        text += 'even TXT "%d"\na.even A 192.0.2.2\ncover.w TXT "%d"\n' % (number, number)
    else:
        text += 'a.b.odd TXT "%d"\n' % number
    return text


L = lab.Lab({d: zone(d, 1) for d in ('example.com', 'example.org')}, ports=None if ALONE else ('interface: eth0',))


@lab.measured
def replaced_in_a_loop():
    kinds = ['v.example.com/TXT', 'nx%.example.com/TXT', 'even.example.com/TXT', 'a.even.example.com/TXT',
             'v.example.com/AAAA', 'x%.w.example.com/TXT', 'odd.example.com/TXT', 'c.example.com/TXT',
             'example.com/SOA']
    number = first = L.ask_control('zone-show', zone='example.com')['serial']
    asked, done = {first: 0}, {first: 0}  # when each version was asked for, and acknowledged
    prober = L.prober(lab.SERVER4, 500, *kinds)
    try:
        with L.control_socket() as s:
            commands = lab.Commands(s)
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                number += 1
                L.write_zone('example.com', zone('example.com', number))
                asked[number] = time.monotonic()
                reply = commands.put('zone-reload', zone='example.com')
                check(reply['ok'], '%s', reply)
                done[number] = time.monotonic()
            time.sleep(0.1)  # for the last version to be seen
    finally:
        rows = prober.stop()
    print('# %d questions while %d versions were loaded' % (len(rows), number - first))
    check(number - first > 5 * SECONDS, 'only %d versions in %d s', number - first, SECONDS)
    equal([r for r in rows if r[1] is None], [], 'questions lost')
    newest = 0
    for sent, answered, kind, rcode, flags, data in sorted(rows, key=lambda r: r[1]):
        name = kinds[kind]
        versions = set(map(int, data.get('txt', []) + data.get('soa', [])))
        check(len(versions) == 1, '%s: data of versions %s', name, versions)
        version = versions.pop()
        even = version % 2 == 0
        there = {'v.example.com/TXT': True, 'even.example.com/TXT': even, 'x%.w.example.com/TXT': True,
                 'c.example.com/TXT': True, 'example.com/SOA': True}.get(name, False)
        equal('txt' in data or name == 'example.com/SOA', there, '%s in version %d' % (name, version))
        name_there = there or name == 'v.example.com/AAAA' or \
            (name == 'a.even.example.com/TXT' and even) or (name == 'odd.example.com/TXT' and not even)
        equal(rcode, 0 if name_there else wire.NXDOMAIN, 'rcode of %s in version %d' % (name, version))
        check(asked[version] <= answered, '%s: version %d before it was asked for', name, version)
        acknowledged = max(v for v, at in done.items() if at <= sent)
        check(version >= acknowledged, '%s: version %d, asked %.6f s after %d was acknowledged', name, version,
              sent - done[acknowledged], acknowledged)
        check(version >= newest, '%s: version %d after %d', name, version, newest)
        newest = version
    equal(newest, number, 'the last version seen')


@lab.measured
def removed_and_added_in_a_loop():
    kinds = ['v.example.org/TXT', 'nx%.example.org/TXT', 'v.example.com/TXT']
    if not L.command('zone-show', zone='example.org')['ok']:
        L.ask_control('zone-add', zone='example.org', file=L.zone_file('example.org'))
    events = []  # (present afterwards, asked for, acknowledged)
    prober = L.prober(lab.SERVER4, 500, *kinds)
    try:
        with L.control_socket() as s:
            commands = lab.Commands(s)
            end, number = time.monotonic() + SECONDS / 2, 1
            while time.monotonic() < end:
                start = time.monotonic()
                reply = commands.put('zone-remove', zone='example.org')
                check(reply['ok'], '%s', reply)
                events.append((False, start, time.monotonic()))
                time.sleep(0.01)
                number += 1
                L.write_zone('example.org', zone('example.org', number))
                start = time.monotonic()
                reply = commands.put('zone-add', zone='example.org', file=L.zone_file('example.org'))
                check(reply['ok'], '%s', reply)
                events.append((True, start, time.monotonic()))
                time.sleep(0.01)
    finally:
        rows = prober.stop()
    print('# %d questions, the zone removed and added %d times' % (len(rows), number))
    check(number > 5 * SECONDS / 2, 'only %d rounds', number)
    equal([r for r in rows if r[1] is None], [], 'questions lost')
    refused = 0
    for sent, answered, kind, rcode, flags, data in rows:
        if kind == 2:
            equal(rcode, 0, 'the zone beside it')
            continue
        # What may be seen between sent and answered: the state before, and all that
        # was under way meanwhile.
        states = [True]
        for present, start, end in events:
            if end <= sent:
                states = [present]
            elif start <= answered:
                states.append(present)
        check(rcode == (0 if kind == 0 else wire.NXDOMAIN) and True in states or
              rcode == wire.REFUSED and False in states, '%s: rcode %s while %s', kinds[kind], rcode, states)
        refused += rcode == wire.REFUSED
    check(refused > 0, 'never seen removed')


def memory_is_given_back():
    """Versions come and go without the table growing."""
    def used():
        return L.ask_control('status')['table']['used']

    with L.control_socket() as s:
        commands = lab.Commands(s)
        sizes = []
        for number in range(100000, 100300):
            L.write_zone('example.com', zone('example.com', number))
            check(commands.put('zone-reload', zone='example.com')['ok'], 'reload')
            if number % 50 == 0:
                sizes.append(used())
    print('# used octets: %s' % sizes)
    lab.wait_until(lambda: used() <= 1.1 * min(sizes), 5, 'memory given back')
    check(max(sizes) < 4 * min(sizes) + (1 << 20), 'grew: %s', sizes)


lab.main(L, replaced_in_a_loop, removed_and_added_in_a_loop, memory_is_given_back)
