#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS over QUIC (RFC 9250) beside a running dataplane: kdig, clients of our own in a
crowd, and datagrams that are no QUIC."""
import concurrent.futures
import os
import socket
import struct
import time

import lab
import wire
from lab import SERVER4, SERVER6, check, equal

L = lab.Lab({'example.com': lab.ZONE + ''.join('long TXT "%s"\n' % (('%04d' % i) * 60) for i in range(250))
             + ''.join('m%d A 192.0.2.%d\n' % (i, i) for i in range(200))},
            server='  threads: 2\n  tls: {}\n  tcp: {max-clients: 3000, max-clients-per-prefix: 3000, idle-timeout: 5s}\n')


def query(name, qtype=wire.A, **options):
    return wire.query(wire.name(name), qtype, **options).hex()


def swarm(*arguments, server=SERVER4, expect=0):
    """What swarm.c prints of each kind of client, {'doq': {'clients': 1, ...}}; other lines under ''."""
    r = L.in_client(os.environ['POLLUX_SWARM'], *arguments[:-1], server, '853', *arguments[-1].split(), check_status=False)
    equal(r.returncode, expect, 'swarm %s: %s%s' % (arguments, r.stdout, r.stderr))
    out = {'': []}
    for line in r.stdout.splitlines():
        words = line.split()
        if '=' in line:
            out[words[0]] = {k: int(v) for k, v in (w.split('=') for w in words[1:])}
        else:
            out[''].append(line)
    return out


def served():
    equal(swarm('--doq', '1', query('www.example.com'))['doq']['done'], 1, 'answers')


def kdig():
    for server in (SERVER4, SERVER6):
        out = L.in_client('kdig', '+quic', '@' + server, 'www.example.com', '+short')
        equal(out.split(), ['192.0.2.1'], 'answer')


def kdig_a_hundred_times():
    """One after the other; half of them fail where the QUIC Bit is offered for greasing
    and DTLS shares the port."""
    for i in range(100):
        out = L.in_client('kdig', '+quic', '+retry=0', '@' + (SERVER6 if i % 2 else SERVER4), 'm%d.example.com' % i, '+short')
        equal(out.split(), ['192.0.2.%d' % i], 'answer %d' % i)


def never_told_to_grease():
    got = swarm('--doq', '50', query('www.example.com'))['doq']
    equal((got['done'], got['grease']), (50, 0), 'answered, told that the QUIC Bit may be cleared')


def long_answers():
    out = swarm('--doq', '1', '--print', query('long.example.com', wire.TXT))
    m = wire.Message(bytes.fromhex(out[''][0]))
    equal((m.ident, len(m.answer), m.flags & wire.TC), (0, 250, 0), 'answer')


def padding():
    out = swarm('--doq', '1', '--print', query('www.example.com', edns=wire.opt(options=b'\0\x0c\0\0')))
    equal(len(out[''][0]), 2 * 468, 'octets')


def a_thousand_at_once():
    got = swarm('--doq', '1000', '--wait', '60', '--times', '3', ' '.join(query('m%d.example.com' % i) for i in range(10)))['doq']
    equal((got['done'], got['closed']), (1000, 0), 'answered, closed')
    check(got['retried'] > 0, 'no client had to show that it is there')


def resumption():
    for i in range(4):  # the threads share the keys of tickets
        got = swarm('--doq', '20', '--resume', query('www.example.com'))['doq']
        equal((got['done'], got['resumed']), (20, 20), 'answered, resumed')


def migration():
    """From another port, which the kernel's hash would often give to another thread."""
    got = swarm('--doq', '100', '--times', '3', '--move', query('www.example.com'))['doq']
    equal((got['done'], got['closed'], got['lost']), (100, 0, 0), 'answered')


def idle_clients():
    """A thousand that shake hands and are silent; then they have to go for others."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        crowd = pool.submit(swarm, '--doq', '1000', '--silent', '--hold', '3', query('www.example.com'))
        time.sleep(1)
        served()
        got = crowd.result()['doq']
    equal(got['shaken'], 1000, 'handshakes')


def unknown_versions():
    """Version Negotiation, never larger than what asked for it; nothing for short ones."""
    with L.udp(port=853) as s:
        s.settimeout(0.5)
        for version in (0x0a0a0a0a, 2, 0x6b3343cf, 0xff00001d):
            for size, wanted in ((1200, True), (1199, False), (40, False)):
                dcid, scid = os.urandom(8), os.urandom(8)
                packet = bytes((0xc0 | os.urandom(1)[0] & 0x3f,)) + struct.pack('>I', version) + b'\x08' + dcid + b'\x08' + scid
                s.send(packet.ljust(size, b'\0'))
                try:
                    got = s.recv(2000)
                except socket.timeout:
                    check(not wanted, 'no answer to version %#x', version)
                    continue
                check(wanted, '%d octets for %d of version %#x', len(got), size, version)
                check(got[0] & 0x80 and got[1:5] == b'\0\0\0\0', 'not Version Negotiation: %s', got.hex())
                equal(got[5:23], b'\x08' + scid + b'\x08' + dcid, 'ids')
                check(struct.pack('>I', 1) in [got[i:i + 4] for i in range(23, len(got), 4)], 'version 1 is not offered')
    served()


def junk():
    """Nothing that is no QUIC gets more than it is itself."""
    with L.udp(port=853) as s:
        s.settimeout(0.05)
        for size in (0, 1, 17, 40, 100, 1200, 1472):
            for first in range(3, 256, 23):
                s.send((bytes((first,)) + os.urandom(size))[:size])
                try:
                    while True:
                        got = s.recv(2000)
                        check(len(got) < size, '%d octets for %d that begin with %d', len(got), size, first)
                except socket.timeout:
                    pass
    served()


def replayed():
    """What one client sent comes again from another address: nobody is answered twice, and no
    address that has not shown itself gets more than three times what came from it."""
    packets = []
    s = L.socket(socket.AF_PACKET, socket.SOCK_RAW, namespace=L.server)
    s.bind(('eth0', 3))
    served()
    s.settimeout(0.3)
    try:
        while True:
            frame = s.recv(2000)
            if frame[12:14] == b'\x08\0' and frame[23] == 17 and frame[36:38] == struct.pack('>H', 853):
                packets.append(frame[42:])
    except socket.timeout:
        pass
    s.close()
    check(len(packets) >= 3, 'only %d packets seen', len(packets))
    with L.udp(port=853) as u:
        u.settimeout(1.5)
        before = L.counters()['control-answered']
        for p in packets:
            u.send(p)
        got = 0
        try:
            while True:
                got += len(u.recv(2000))
        except socket.timeout:
            pass
        check(got <= 3 * sum(map(len, packets)), '%d octets for %d', got, sum(map(len, packets)))
        equal(L.counters()['control-answered'] - before, 0, 'answers')
    served()


def doq_off():
    """Without it nobody answers QUIC there, and nothing else changes."""
    L.server_extra = L.server_extra.replace('tls: {}', 'tls: {doq: no, dtls: no}')
    L.write_configuration()
    L.control.stop()
    L.start_control()
    r = L.in_client('kdig', '+quic', '+retry=0', '+timeout=1', '@' + SERVER4, 'www.example.com', '+short', check_status=False)
    check('192.0.2.1' not in r.stdout, 'answered')
    equal(L.in_client('kdig', '+tls', '@' + SERVER4, 'www.example.com', '+short').split(), ['192.0.2.1'], 'over TLS')
    L.server_extra = L.server_extra.replace('tls: {doq: no, dtls: no}', 'tls: {}')
    L.write_configuration()
    L.control.stop()
    L.start_control()
    served()


lab.main(L, kdig, kdig_a_hundred_times, never_told_to_grease, long_answers, padding, a_thousand_at_once, resumption,
         migration, idle_clients, unknown_versions, junk, replayed, doq_off)
