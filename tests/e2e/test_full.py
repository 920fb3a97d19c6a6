#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A table that is too small: what does not fit is refused as a whole, what stood is
served, and its memory comes back."""
import lab
import wire
from lab import check, equal

L = lab.Lab(memory='16M')


def used():
    return L.ask_control('status')['table']['used']


def records(prefix, count):
    return ''.join('%s%d 60 TXT "%s"\n' % (prefix, i, 'x' * 100) for i in range(count))


def transactions():
    start = used()
    for i in range(5):
        with open(L.path('edits'), 'w') as f:
            f.write('zone example.com\n' + records('set t', 100000) + 'commit\n')
        r = L.polluxctl('--json', 'apply', L.path('edits'), check_status=False)
        check(r.returncode == 1 and '"table-full"' in r.stdout and 'the table is full' in r.stdout, '%s', r)
        equal(L.ask('t0.example.com', 'A').rcode, wire.NXDOMAIN, 'what was refused')
        equal(L.ask('www.example.com', 'A').rcode, 0, 'what stood')
        lab.wait_until(lambda: used() <= 1.01 * start, 5, 'memory that comes back')
    equal(L.ask_control('zone-show', zone='example.com')['serial'], 1, 'serial')
    check(L.ask_control('status')['table']['peak'] > 8 << 20, 'the peak tells of it')


def zones():
    start = used()
    L.write_zone('example.org', '$ORIGIN example.org.\n@ 60 SOA ns1 h 1 2 3 4 5\n@ 60 NS ns1\n' +
                 records('t', 100000))
    for _ in range(3):
        reply = L.command('zone-add', zone='example.org', file=L.zone_file('example.org'))
        equal(reply.get('code'), 'table-full', 'code')
        lab.wait_until(lambda: used() <= 1.01 * start, 5, 'memory that comes back')
    L.write_zone('example.com', '$ORIGIN example.com.\n@ 60 SOA ns1 h 2 2 3 4 5\n@ 60 NS ns1\n' +
                 records('t', 100000))
    for command in ('zone-reload', 'reload'):
        arguments = {'zone': 'example.com'} if command == 'zone-reload' else {}
        equal(L.command(command, **arguments).get('code'), 'table-full', 'code')
        equal(L.ask('www.example.com', 'A').rcode, 0, 'what stood')
        equal(L.ask_control('zone-show', zone='example.com')['state'], 'stale', 'its state')


def what_fits_is_taken():
    with open(L.path('edits'), 'w') as f:
        f.write('zone example.com\n' + records('set t', 10000) + 'commit\n')
    for _ in range(10):
        L.polluxctl('apply', L.path('edits'))
    equal(L.ask('t9999.example.com', 'TXT').rcode, 0, 'the last of them')


lab.main(L, transactions, zones, what_fits_is_taken)
