#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions: RRsets of several zones change in one step while clients ask.

Version N of both zones says N in its SOA serial (raised by each commit), in v's TXT and
in the addresses of `pair`, and of the name server of the delegation `sub`; the name
`gone` and the one below it exist in even versions only; the CNAME c leads into the
other zone, to x0 or x1, of which each version has one.  Every answer must be that of
one version, whatever stands in it, and none older than what had been seen before; what is
asked after a commit was acknowledged must be answered from it or a later one.
"""
import json
import os
import socket
import subprocess
import sys
import threading
import time

import lab
import wire
from lab import check, equal

SECONDS = 600 if lab.LONG else 10
PERIOD_US = 250 if lab.LONG else 500

ALONE = '--alone' in sys.argv  # the control process by itself: the kernel's path
if ALONE:
    sys.argv.remove('--alone')

ZONES = ('example.com', 'example.org')


def address(number):
    return '10.%d.%d.%d' % (number >> 16 & 255, number >> 8 & 255, number & 255)


def records(domain, number):
    """What is set in version `number` beside the SOA."""
    if domain == 'example.org':
        return ['x%d 60 TXT "%d"' % (number % 2, number)]
    out = ['v 60 TXT "%d"' % number, 'pair 60 A ' + address(number), 'pair 60 AAAA 2001:db8::%x:%x' %
           (0xa00 | number >> 16, number & 0xffff), 'c 60 CNAME x%d.example.org.' % (number % 2),
           'ns.sub 60 A ' + address(number),
           'ns.sub 60 AAAA 2001:db8::%x:%x' % (0xa00 | number >> 16, number & 0xffff)]
    if number % 2 == 0:
        out += ['gone 60 TXT "%d"' % number, 'a.gone 60 TXT "%d"' % number]
    return out


def zone(domain):
    return '$ORIGIN %s.\n@ 60 SOA ns1 hostmaster 1 7200 900 1209600 300\n@ 60 NS ns1\nns1 60 A 10.53.0.1\n' \
        'sub 60 NS ns.sub\n' % domain + '\n'.join(records(domain, 1)) + '\n'


def edit(number):
    text = ''
    for domain in ZONES:
        text += 'zone %s\n' % domain + ''.join('set %s\n' % r for r in records(domain, number))
        if domain == 'example.org':
            text += 'unset x%d TXT\n' % ((number + 1) % 2)
        elif number % 2:
            text += 'unset gone\nunset a.gone TXT\n'
    return text


L = lab.Lab({d: zone(d) for d in ZONES}, ports=None if ALONE else ('interface: eth0',))


class Transaction(lab.Commands):
    def ok(self, command, **arguments):
        reply = self.put(command, **arguments)
        check(reply['ok'], '%s: %s', command, reply)
        return reply['result']

    def run(self, text):
        self.ok('txn-begin')
        self.ok('txn-edit', text=text)
        return self.ok('txn-commit')

    def refused(self, code, command, **arguments):
        reply = self.put(command, **arguments)
        check(not reply['ok'], '%s went well', command)
        equal(reply['code'], code, 'code of %s' % reply)
        return reply


def serial(domain='example.com'):
    return L.ask_control('zone-show', zone=domain)['serial']


@lab.measured
def no_mixture():
    kinds = ['v.example.com/TXT', 'pair.example.com/A', 'pair.example.com/AAAA', 'gone.example.com/TXT',
             'a.gone.example.com/TXT', 'nx%.example.com/TXT', 'c.example.com/TXT', 'y.sub.example.com/A',
             'v.example.com/MX', 'gone.example.com/MX', 'nx%.example.org/A']
    first = number = serial()
    asked, done = {first: 0}, {first: 0}
    prober = L.prober(lab.SERVER4, PERIOD_US, *kinds)
    try:
        with L.control_socket() as s:
            t, end = Transaction(s), time.monotonic() + SECONDS
            while time.monotonic() < end:
                number += 1
                asked[number] = time.monotonic()
                result = t.run(edit(number))
                done[number] = time.monotonic()
                equal(result['zones'], [{'zone': d + '.', 'serial': number} for d in ZONES], 'serials')
        time.sleep(0.1)
    finally:
        rows = prober.stop()
    print('# %d questions while %d transactions were committed' % (len(rows), number - first))
    check(number - first > 5 * SECONDS, 'only %d transactions in %d s', number - first, SECONDS)
    lost = [r for r in rows if r[1] is None]
    equal(lost, [], 'questions lost')
    acks = sorted((at, v) for v, at in done.items())
    newest, ack, seen, versions, next_seen = 0, 0, [], [], 0
    for sent, answered, kind, rcode, flags, data in sorted(rows, key=lambda r: r[1]):
        name = kinds[kind]
        values = [int(x) for x in data.get('txt', [])] + data.get('soa', []) + \
            [a & 0xffffff for a in data.get('a', []) + data.get('aaaa', [])]
        check(len(set(values)) == 1, '%s: data of versions %s: %s', name, set(values), data)
        version = values[0]
        even = version % 2 == 0
        if name.startswith(('v.', 'pair.', 'c.', 'y.sub')):
            wanted = 0
        elif 'gone' in name:
            wanted = 0 if even else wire.NXDOMAIN
        else:
            wanted = wire.NXDOMAIN
        equal(rcode, wanted, 'rcode of %s in version %d' % (name, version))
        if name == 'y.sub.example.com/A':
            equal((len(data['a']), len(data['aaaa'])), (1, 1), 'glue')
        equal('soa' in data, wanted == wire.NXDOMAIN or name.endswith('/MX'), 'SOA with %s' % name)
        check(asked[version] <= answered, '%s: version %d before it was asked for', name, version)
        while ack + 1 < len(acks) and acks[ack + 1][0] <= sent:
            ack += 1
        at, acknowledged = acks[ack] if acks[ack][0] <= sent else max(a for a in acks if a[0] <= sent)
        check(version >= acknowledged, '%s: version %d, asked %.6f s after %d was acknowledged', name, version,
              sent - at, acknowledged)
        seen.append((answered, version))
        versions.append((sent, version))
    # In the order of questions: none may be older than what had been seen when it was sent.
    seen.sort()
    for sent, version in sorted(versions):
        while next_seen < len(seen) and seen[next_seen][0] < sent:
            newest = max(newest, seen[next_seen][1])
            next_seen += 1
        check(version >= newest, 'version %d for a question sent after %d was seen', version, newest)
    equal(max(v for _, v in seen), number, 'the last version seen')


def refused_whole():
    before = serial()
    with L.control_socket() as s:
        t = Transaction(s)
        t.refused('no-transaction', 'txn-edit', text='')
        t.refused('no-transaction', 'txn-commit')
        t.refused('no-transaction', 'txn-abort')
        t.ok('txn-begin')
        t.refused('transaction-open', 'txn-begin')
        t.ok('txn-abort')
        for text, line in (('set v 60 CNAME other\n', 3), ('unset @ SOA\n', 3), ('unset @\n', 3),
                           ('unset @ NS\n', 3), ('set w 60 A 192.0.2.1\nset w 60 CNAME w\n', 4),
                           ('set d 60 DNAME a.\nset d 60 DNAME b.\n', 4), ('set d 60 SOA a. b. 1 2 3 4 5\n', 3)):
            t.ok('txn-begin', source='f')
            t.ok('txn-edit', text='zone example.com\nset good 60 A 192.0.2.1\n' + text)
            reply = t.refused('bad-change', 'txn-commit')
            check(any(d.startswith('f:%d: ' % line) for d in reply['details']), '%s: %s', text, reply)
            t.refused('no-transaction', 'txn-commit')
        for text, line in (('set x 60 A 192.0.2\n', 13), ('set x.example.org. 60 A 192.0.2.1\n', 13),
                           ('zone example.net\n', 13), ('x\n', 13)):
            t.ok('txn-begin', line=11)
            t.ok('txn-edit', text='zone example.com\nset good 60 A 192.0.2.1\n')
            reply = t.refused('bad-change', 'txn-edit', text=text)
            check(reply['details'][0].startswith('transaction:%d: ' % line), '%s: %s', text, reply)
            t.refused('no-transaction', 'txn-commit')
        # In part good: the other zone stays as it was, too.
        t.ok('txn-begin')
        t.ok('txn-edit', text='zone example.org\nset good 60 A 192.0.2.1\nzone example.com\nset v 60 CNAME w\n')
        t.refused('bad-change', 'txn-commit')
    equal((serial(), serial('example.org')), (before, before), 'serials')
    equal(L.ask('good.example.com', 'A').rcode, wire.NXDOMAIN, 'what was refused')
    equal(L.ask('good.example.org', 'A').rcode, wire.NXDOMAIN, 'what was refused')


def ends_with_its_connection():
    before = serial()
    with L.control_socket() as s:
        t = Transaction(s)
        t.ok('txn-begin')
        t.ok('txn-edit', text='zone example.com\nset good 60 A 192.0.2.1\n')
    lab.wait_until(lambda: L.ask_control('status')['transactions'] == {'open': 0, 'staged': 0}, 5,
                   'the end of the transaction')
    equal(serial(), before, 'serial')


def serials_by_hand():
    with L.control_socket() as s:
        t = Transaction(s)
        soa = 'set @ 60 SOA ns1 hostmaster %d 7200 900 1209600 300\n'
        equal(t.run('zone example.com\n' + soa % 4294967295)['zones'][0]['serial'], 4294967295, 'serial by hand')
        equal(t.run('zone example.com\nunset nothing A\n')['zones'][0]['serial'], 0, 'serial after the last')
        equal(t.run('zone example.com\n')['zones'], [], 'zones without a change')


def text_as_octets():
    """The text behind its request: in pieces, with what is no UTF-8, skipped behind a fault."""
    def edit(octets, **arguments):
        return json.dumps({'command': 'txn-edit', 'octets': len(octets), **arguments}).encode() + b'\n' + octets

    text = b'zone example.com\nset octets 60 TXT "\xff\xfe"\n'
    with L.control_socket() as s:
        t = Transaction(s)
        s.sendall(edit(text))  # no transaction is open: passed over
        equal(t.reply()['code'], 'no-transaction', 'code')
        s.sendall(b'{"command": "txn-begin"}\n' + edit(text[:20]) + edit(b'zone', bad=1) + edit(b''))
        equal([t.reply().get('code') for _ in range(4)], [None, 'bad-change', 'bad-argument', 'no-transaction'], 'codes')
        t.ok('txn-begin')
        s.sendall(edit(text)[:60])
        time.sleep(0.05)
        s.sendall(edit(text)[60:])
        check(t.reply()['ok'], 'octets in pieces')
        big = b'set octets 60 A 192.0.2.1\n' * 40000  # as many as may be, all the same record
        s.sendall(edit(big[:1048576 - 1048576 % 26]) + b'{"command": "txn-commit"}\n')
        check(t.reply()['ok'] and t.reply()['ok'], 'a megabyte, and the request behind it')
        equal([r[4] for r in L.ask('octets.example.com', 'TXT').answer], [b'\x02\xff\xfe'], 'set as octets')
        equal(len(L.ask('octets.example.com', 'A').answer), 1, 'set many times')
        s.sendall(b'{"command": "txn-edit", "octets": 1048577}\n' + 100 * b'zone\n')
        equal(t.reply()['code'], 'bad-argument', 'code of too many octets')
        s.shutdown(socket.SHUT_WR)
        equal(s.recv(1), b'', 'what follows a reply that ends the connection')
    with L.control_socket() as s:
        s.sendall(b'{"command": "txn-begin"}\n' + edit(text)[:50])  # cut off
        check(lab.Commands(s).reply()['ok'], 'begin')
    lab.wait_until(lambda: L.ask_control('status')['transactions'] == {'open': 0, 'staged': 0}, 5,
                   'the end of the transaction')


def several_connections():
    """Transactions of several connections queue; none is lost."""
    sockets = [L.control_socket() for _ in range(8)]
    try:
        ts = [Transaction(s) for s in sockets]
        before = serial()
        for i, t in enumerate(ts):
            t.ok('txn-begin')
            t.ok('txn-edit', text='zone example.com\nset many%d 60 A 192.0.2.%d\n' % (i, i))
        for t in ts:
            t.s.sendall(b'{"command": "txn-commit"}\n')
        serials = sorted(t.reply()['result']['zones'][0]['serial'] for t in ts)
        equal(serials, list(range(before + 1, before + 9)), 'serials')
        for i in range(8):
            equal(L.ask('many%d.example.com' % i, 'A').rcode, 0, 'many%d' % i)
    finally:
        for s in sockets:
            s.close()


def polluxctl_says_the_line():
    with open(L.path('edits'), 'w') as f:
        f.write('# two transactions\nzone example.com\nset file 60 A 192.0.2.1\nset file 60 A 192.0.2.2\ncommit\n'
                'set file 60 A 192.0.2.3\nset file 60 A 192.0.2\ncommit\n')
    r = L.polluxctl('apply', L.path('edits'), check_status=False)
    equal(r.returncode, 1, 'status')
    check(r.stdout.startswith('commit ') and L.path('edits') + ':7: ' in r.stderr, '%s', r)
    equal(len(L.ask('file.example.com', 'A').answer), 2, 'addresses of the first transaction')
    r = L.polluxctl('zone', 'set', 'example.com', 'file 60 AAAA ::1', 'www 60 A 192.0.2.7')
    check('example.com. serial' in r, '%s', r)
    equal(len(L.ask('www.example.com', 'A').answer), 1, 'set by polluxctl')
    L.polluxctl('zone', 'unset', 'example.com', 'file', 'A')
    equal(len(L.ask('file.example.com', 'AAAA').answer), 1, 'what was not unset')
    L.polluxctl('zone', 'unset', 'example.com', 'file')
    equal(L.ask('file.example.com', 'AAAA').rcode, wire.NXDOMAIN, 'what was unset')
    r = L.polluxctl('zone', 'set', 'example.com', 'file 60 CNAME', check_status=False)
    check(r.returncode == 1 and 'command line:2: ' in r.stderr, '%s', r)
    r = subprocess.run([os.environ['POLLUXCTL'], '--socket', L.path('run', 'control.sock'), '--json', 'apply', '-'],
                       input='zone example.com\nset cut 60 A 192.0.2.1\n', text=True, capture_output=True)
    check(r.returncode == 1 and 'no `commit' in r.stderr, '%s', r)
    equal(L.ask('cut.example.com', 'A').rcode, wire.NXDOMAIN, 'a transaction without its end')


@lab.measured
def many_in_one():
    """100,000 RRsets in one transaction, while a client asks."""
    count = 100000
    L.polluxctl('zone', 'reload', 'example.com', '--force')
    with open(L.path('edits'), 'w') as f:
        f.write('zone example.com\n' + ''.join('set n%d 60 A %s\n' % (i, address(i)) for i in range(count)) +
                'commit\n')
    prober = L.prober(lab.SERVER4, 1000, 'n0.example.com/A', 'n%d.example.com/A' % (count - 1))
    try:
        start = time.monotonic()
        L.polluxctl('apply', L.path('edits'), timeout=120)
        took = time.monotonic() - start
        time.sleep(0.1)
    finally:
        rows = prober.stop()
    print('# %d RRsets in %.2f s' % (count, took))
    equal([r for r in rows if r[1] is None], [], 'questions lost')
    seen = [r[3] for r in sorted(rows, key=lambda r: r[1])]
    equal(seen, sorted(seen, reverse=True), 'rcodes: first NXDOMAIN, then NOERROR')
    check(0 in seen and 3 in seen, 'seen before and after: %s', set(seen))


def reading_holds_up_nothing_else():
    """A zone of 100,000 names is read back, again and again, beside changes in another one: what was
    read is of one version, nobody is named as a stalled reader, and nothing stays behind."""
    stop, faults = threading.Event(), []

    def read():
        while not stop.is_set():
            rows = L.command('zone-read', zone='example.com')['result']['rows']
            serials = [r for r in rows if '\tSOA\t' in r or ' SOA ' in r]
            if len(rows) < 100000 or len(serials) != 1:
                faults.append('%d rows, of which %d are SOAs' % (len(rows), len(serials)))

    reader = threading.Thread(target=read)
    reader.start()
    pins = 0
    try:
        with L.control_socket() as s:
            t, end = Transaction(s), time.monotonic() + 4
            while time.monotonic() < end:
                t.run('zone example.org\nset reading 60 TXT "%f"\nzone example.com\nset reading 60 A 192.0.2.1\n' %
                      time.monotonic())
                table = L.ask_control('status')['table']
                pins = max(pins, table['pins'])
                equal(table['stalled'], [], 'stalled readers')
    finally:
        stop.set()
        reader.join()
    equal(faults, [], 'what was read')
    equal(pins, 1, 'pins seen')
    lab.wait_until(lambda: L.ask_control('status')['table']['held'] == 0 and
                   L.ask_control('status')['table']['retired'] == 0, 5, 'that memory is given back')


lab.main(L, no_mixture, refused_whole, ends_with_its_connection, serials_by_hand, text_as_octets, several_connections,
         polluxctl_says_the_line, many_in_one,
         reading_holds_up_nothing_else)
