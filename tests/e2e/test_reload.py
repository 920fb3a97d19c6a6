#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration read again while both processes answer, by polluxctl and by SIGHUP."""
import mmap
import os
import re
import signal
import socket
import struct
import time

import lab
import wire
from lab import check, equal


def zone(domain, number=1):
    return '$ORIGIN %s.\n@ 60 SOA ns1 hostmaster %d 7200 900 1209600 300\n@ 60 NS ns1\nns1 60 A 10.53.0.1\n' \
        'v 60 TXT "%d"\n' % (domain, number, number)


L = lab.Lab({d: zone(d) for d in ('example.com', 'example.org')})


def configure(**changes):
    """Write the configuration with these replacements of its text."""
    L.write_configuration()
    with open(L.path('pollux.yaml')) as f:
        text = f.read()
    for old, new in changes.get('replace', []):
        check(old in text, '%r is not in the configuration', old)
        text = text.replace(old, new)
    with open(L.path('pollux.yaml'), 'w') as f:
        f.write(text)


def chaos(name):
    m = L.ask(name, 'TXT', qclass=wire.CH)
    return m.answer[0][4][1:].decode() if m.answer else m.rcode


def rows():
    return {r['zone']: r for r in L.ask_control('zone-list')['rows']}


def settings():
    equal((chaos('id.server'), chaos('version.bind')), ('lab', 'e2e'), 'before')
    configure(replace=[('identity: lab', 'identity: other'), ('version: e2e', 'version: ""\n  udp-payload: 600')])
    result = L.ask_control('reload')
    equal(result['restart'], [], 'what needs a restart')
    equal((chaos('id.server'), chaos('version.bind')), ('other', wire.REFUSED), 'after')
    L.write_zone('example.com', zone('example.com') + ''.join('big 60 A 192.0.2.%d\n' % i for i in range(60)))
    L.ask_control('zone-reload', zone='example.com')
    m = L.ask('big.example.com', 'A', edns=wire.opt(1232))
    check(m.flags & wire.TC, 'an answer of over 600 octets')
    configure()
    L.ask_control('reload')
    m = L.ask('big.example.com', 'A', edns=wire.opt(1232))
    check(not m.flags & wire.TC and len(m.answer) == 60, 'an answer of under 1232 octets')


def payload_of_queries():
    """The steering program gives workers queries up to udp-payload, as it is now."""
    def ask(octets):
        length = octets - 46
        padding = wire.opt(1232, options=struct.pack('>HH', 12, length) + bytes(length))  # RFC 7830
        message = wire.query(wire.name('v.example.com'), wire.TXT, edns=padding)
        equal(len(message), octets, 'octets of the query')
        equal(L.ask('v.example.com', 'TXT', edns=padding).rcode, 0, 'rcode')

    def passed(octets):
        before = L.counters()
        ask(octets)
        after = L.counters()
        return after.get('steer-pass-size', 0) - before.get('steer-pass-size', 0)

    equal((passed(1232), passed(1233)), (0, 1), 'queries for the kernel')
    configure(replace=[('identity: lab', 'identity: lab\n  udp-payload: 600')])
    L.ask_control('reload')
    equal((passed(600), passed(601)), (0, 1), 'queries for the kernel of over 600 octets')
    L.dataplane.kill()  # a dataplane that comes later is told the same
    L.start_dataplane()
    lab.wait_until(lambda: 'serves' in L.control.output().rsplit('attached', 1)[-1], 5, 'the new dataplane')
    equal((passed(600), passed(601)), (0, 1), 'queries for the kernel, with a new dataplane')
    configure()
    L.ask_control('reload')
    equal((passed(1232), passed(1233)), (0, 1), 'queries for the kernel as before')


def limits():
    def connections():
        """Which of three, opened one after the other, get an answer when all are open."""
        out, opened = [], []
        message = wire.query(wire.name('v.example.com'), wire.TXT)
        for _ in range(3):
            opened.append(L.tcp())
            opened[-1].settimeout(1)
            opened[-1].sendall(len(message).to_bytes(2, 'big') + message)
            opened[-1].recv(65535)
        for s in opened:
            try:
                s.sendall(len(message).to_bytes(2, 'big') + message)
                out.append(bool(s.recv(4)))
            except (socket.timeout, ConnectionError):
                out.append(False)
        return out

    equal(connections(), [True] * 3, 'connections')
    for s in L.sockets:
        s.close()
    configure(replace=[('  identity: lab\n', '  identity: lab\n  tcp: {max-clients: 1, idle-timeout: 1s}\n')])
    L.ask_control('reload')
    time.sleep(1.5)
    equal(connections(), [False, False, True], 'connections of one at a time: the newest')
    for s in L.sockets:
        s.close()
    configure()
    L.ask_control('reload')


def zones_come_and_go():
    # One that is new, one that has another file, one that goes.
    L.zones = {'example.net': '', 'example.com': ''}
    L.write_zone('example.net', zone('example.net', 5))
    with open(L.path('another.zone'), 'w') as f:
        f.write(zone('example.com', 6))
    configure(replace=[(L.zone_file('example.com'), L.path('another.zone'))])
    out = L.polluxctl('reload')
    check('2 zones loaded' in out, '%s', out)
    equal(sorted(rows()), ['example.com.', 'example.net.'], 'zones')
    equal(rows()['example.com.']['serial'], 6, 'serial from the other file')
    equal(L.ask('v.example.org', 'TXT').rcode, wire.REFUSED, 'the zone that went')
    equal(L.ask('v.example.net', 'TXT').rcode, 0, 'the zone that came')
    # Run-time changes stay: a zone that was added, one that was removed, one that was changed.
    L.write_zone('example.org', zone('example.org', 7))
    L.ask_control('zone-add', zone='example.org', file=L.zone_file('example.org'))
    L.ask_control('zone-remove', zone='example.net')
    L.polluxctl('zone', 'set', 'example.com', 'w 60 TXT x')
    L.control.send_signal(signal.SIGHUP)
    lab.wait_until(lambda: 'example.net. was removed at run time' in L.control.output(), 10, 'the reload')
    L.ask_control('reload')
    equal(sorted(rows()), ['example.com.', 'example.org.'], 'zones')
    equal(L.ask('w.example.com', 'TXT').rcode, 0, 'what was changed')
    # The changed zone's file changes: it is named and left alone.
    with open(L.path('another.zone'), 'w') as f:
        f.write(zone('example.com', 8))
    reply = L.command('reload')
    check(reply.get('code') == 'changed' and 'example.com' in reply['error'], '%s', reply)
    equal(L.ask('w.example.com', 'TXT').rcode, 0, 'what was changed')
    L.ask_control('zone-reload', zone='example.com', force=True)
    equal(rows()['example.com.']['serial'], 8, 'serial after the forced reload')


def faults_change_nothing():
    with open(L.path('pollux.yaml')) as f:
        good = f.read()
    with open(L.path('pollux.yaml'), 'w') as f:
        f.write(good.replace('identity: lab', 'identity: [lab]') + 'more: 1\n')
    reply = L.command('reload')
    equal(reply.get('code'), 'bad-configuration', 'code')
    equal(len(reply['details']), 2, 'faults in %s' % reply)
    check(reply['details'][0].startswith(L.path('pollux.yaml') + ':3: '), '%s', reply)
    equal(chaos('id.server'), 'lab', 'the old identity')
    os.unlink(L.path('pollux.yaml'))
    equal(L.command('reload').get('code'), 'bad-configuration', 'without the file')
    with open(L.path('pollux.yaml'), 'w') as f:
        f.write(good)


def what_needs_a_restart_is_named():
    with open(L.path('pollux.yaml')) as f:
        good = f.read()
    with open(L.path('pollux.yaml'), 'w') as f:
        f.write(good.replace('memory: 64M', 'memory: 65M').replace('listen: [', 'listen: [10.53.0.9, ')
                .replace('cores: [1]', 'cores: [0]').replace('identity: lab', 'identity: third'))
    result = L.ask_control('reload')
    equal(result['restart'], ['server: listen (pollux-control and pollux-dataplane)',
                              'table: memory (pollux-control)', 'dataplane: cores (pollux-dataplane)'], 'named')
    equal(chaos('id.server'), 'third', 'what could be applied')
    check('needs a restart' in L.control.output(), 'the log says so')
    said = L.polluxctl('reload')
    for what in result['restart']:
        check('needs a restart: %s\n' % what in said, '%s in what polluxctl says: %s', what, said)
    with open(L.path('pollux.yaml'), 'w') as f:
        f.write(good)


def stalled_readers_are_named():
    L.dataplane.send_signal(signal.SIGSTOP)
    try:
        L.polluxctl('zone', 'set', 'example.com', 'x 60 TXT y')
        table = lab.wait_until(lambda: [s for s in [L.ask_control('status')['table']] if s['stalled']], 5,
                               'the stalled reader')[0]
        reader = table['stalled'][0]
        equal((reader['name'], reader['pid']), ('worker 0', L.dataplane.pid), 'who it is')
        check(reader['ms'] >= 100 and table['retired'] > 0, '%s', table)
        time.sleep(0.3)
        out = L.polluxctl('status')
        check('worker 0 (process %d) has held retired memory' % L.dataplane.pid in out, '%s', out)
    finally:
        L.dataplane.send_signal(signal.SIGCONT)
    lab.wait_until(lambda: L.ask_control('status')['table']['retired'] == 0, 5, 'memory that is given back')
    equal(L.ask_control('status')['table']['stalled'], [], 'stalled readers')


HEADER, HELLO, REFUSE = '=IHH', 1, 3  # struct attach_message


def attach(table, status):
    """A connection on which hello was said, the reply to it, and descriptors."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(L.path('run', 'attach.sock'))
    s.send(struct.pack(HEADER + 'IIII', 0x50585441, 1, HELLO, table, status, os.getpid(), 1))
    data, fds, _, _ = socket.recv_fds(s, 4096, 2)
    return s, data, fds


def hold_and_close():
    """What a dataplane does that reads the oldest version of all, and closes its connection."""
    _, data, _ = attach(0, 0)
    equal(struct.unpack_from(HEADER, data)[2], REFUSE, 'the reply to a hello of no layout')
    s, data, fds = attach(*map(int, re.search(rb'table (\d+) and status (\d+) of pollux-control', data).groups()))
    slot, = struct.unpack_from('=I', data, 20)
    status = mmap.mmap(fds[1], 0)
    at = 64 + slot * struct.unpack_from('=I', status, 12)[0]
    status[at + 80:at + 85] = b'lost\0'  # struct status_slot: its name,
    status[at:at + 8] = bytes(8)         # and its epoch
    s.close()


def readers_without_a_connection_are_waited_for():
    """As long as their process lives."""
    wait, tell = os.pipe()
    peer = os.fork()
    if peer == 0:
        try:
            lab._child()
            hold_and_close()
            os.write(tell, b'!')
            signal.pause()
        finally:
            os._exit(1)
    os.close(tell)
    try:
        equal(os.read(wait, 1), b'!', 'the peer')
        for i in range(2):
            L.polluxctl('zone', 'set', 'example.com', 'x 60 TXT z%d' % i)
            table = lab.wait_until(lambda: [s for s in [L.ask_control('status')['table']] if s['stalled']], 5,
                                   'the stalled reader')[0]
            equal([(r['name'], r['pid']) for r in table['stalled']], [('lost', peer)], 'who it is')
            check(table['retired'] > 0, '%s', table)
            time.sleep(0.3)
    finally:
        os.close(wait)
        os.kill(peer, signal.SIGKILL)
        os.waitpid(peer, 0)
    lab.wait_until(lambda: L.ask_control('status')['table']['retired'] == 0, 5, 'memory that is given back')
    equal(L.ask_control('status')['table']['stalled'], [], 'stalled readers')


lab.main(L, settings, payload_of_queries, limits, zones_come_and_go, faults_change_nothing, what_needs_a_restart_is_named,
         stalled_readers_are_named, readers_without_a_connection_are_waited_for)
