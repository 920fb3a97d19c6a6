#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""No answer mixes two versions: millions of questions while two zones change in one commit
after the other.

tests/e2e/mixture.c asks and judges, and says what the zones hold; here they are committed.
In half of the transactions one zone stands first, in half the other; every tenth also adds or
removes hundreds of names that nobody asks for, so that trees and table move.
"""
import json
import os
import sys

import lab
import wire
from lab import check, equal

QUESTIONS = 30000000 if lab.LONG else 4000000
ALONE = '--alone' in sys.argv  # the control process by itself: the kernel's path
if ALONE:
    sys.argv.remove('--alone')
    QUESTIONS //= 4
TARGETS = 1000


def address(number):
    return '10.%d.%d.%d' % (number >> 16 & 255, number >> 8 & 255, number & 255)


def address6(number):
    return '2001:db8::%x:%x' % (number >> 16, number & 65535)


def records(domain, number):
    if domain == 'example.org':
        return ['x%d 60 TXT "%d"' % (number % TARGETS, number)]
    out = ['v 60 TXT "%d"' % number, 'c 60 CNAME x%d.example.org.' % (number % TARGETS)]
    for owner in ('pair', 'ns.sub'):
        out += [owner + ' 60 A ' + address(number), owner + ' 60 AAAA ' + address6(number)]
    if number % 2 == 0:
        out.append('gone 60 TXT "%d"' % number)
    return out


def zone(domain, number=1):
    return '$ORIGIN %s.\n@ 60 SOA ns1 h %d 2 3 4 5\n@ 60 NS ns1\nns1 60 A 192.0.2.1\nsub 60 NS ns.sub\n' % (
        domain, number) + '\n'.join(records(domain, number)) + '\n'


def edit(number):
    text = {d: 'zone %s\n' % d + ''.join('set %s\n' % r for r in records(d, number))
            for d in ('example.com', 'example.org')}
    text['example.org'] += 'unset x%d\n' % ((number - 1) % TARGETS)
    if number % 2:
        text['example.com'] += 'unset gone\n'
    if number % 10 == 0:  # nobody asks for these: trees and table grow and shrink around the others
        text['example.com'] += ''.join('%s\n' % ('set z%d 60 A 192.0.2.1' % i if number % 20 else 'unset z%d' % i)
                                       for i in range(500))
    return ''.join(text[d] for d in sorted(text, reverse=number % 4 < 2))


L = lab.Lab({d: zone(d) for d in ('example.com', 'example.org')}, ports=None if ALONE else ('interface: eth0',))


def commit(t, number):
    text = edit(number).encode()
    t.s.sendall(b'{"command": "txn-begin"}\n{"command": "txn-edit", "octets": %d}\n%s{"command": "txn-commit"}\n' % (
        len(text), text))
    replies = [t.reply() for _ in range(3)]
    check(all(r['ok'] for r in replies), 'version %d: %s', number, replies)
    equal([z['serial'] for z in replies[2]['result']['zones']], [number, number], 'serials')


def no_mixture():
    equal(L.ask('c.example.com', 'TXT').rcode, wire.NOERROR, 'the first version')
    before = L.counters()
    asking = L.start('mixture', [os.environ['POLLUX_MIXTURE'], lab.SERVER4, QUESTIONS], L.client)
    number = 1
    with L.control_socket() as s:
        t = lab.Commands(s)
        while asking.running():
            number += 1
            commit(t, number)
    said = asking.output()
    check(asking.popen.returncode == 0, '%s', said)
    counted = json.loads(said)
    print('# %(asked)d questions in %(seconds).1f s, %(lost)d lost, answers of %(versions)d versions' % counted +
          '; %d commits' % (number - 1))
    check(counted['lost'] * 1000 <= counted['asked'], 'questions lost: %s', counted)  # on a busy machine
    check(min(counted['kinds']) * 20 > counted['asked'] / len(counted['kinds']), 'a kind was not asked: %s', counted)
    check(number > 100 and counted['versions'] > 50, '%d commits, of which %d were seen', number, counted['versions'])
    if not ALONE:
        grown = L.counters()['answered'] - before['answered']
        check(grown >= 0.9 * counted['answered'], 'the workers have answered %d of %s', grown, counted)


lab.main(L, no_mixture)
