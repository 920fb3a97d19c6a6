#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS over TCP (RFC 7766): pipelining, long answers, time-outs, limits, slow clients.
With --threads on two serving threads."""
import contextlib
import os
import select
import socket
import struct
import sys
import time

import lab
import wire
from lab import check, equal

IDLE, FIRST, CLIENTS, PREFIX = 1.5, 0.7, 20, 12
THREADS = 1
if '--threads' in sys.argv:
    sys.argv.remove('--threads')
    THREADS = 2

L = lab.Lab({'example.com': lab.ZONE + ''.join('long TXT "%s"\n' % (('%04d' % i) * 60) for i in range(250))
             + ''.join('m%d A 192.0.2.%d\n' % (i, i) for i in range(200))},
            ports=None, server='  threads: %d\n  tcp:\n    max-clients: %d\n    idle-timeout: %dms\n'
            '    first-byte-timeout: %dms\n    max-clients-per-prefix: %d\n    ipv4-prefix-length: 32\n'
            % (THREADS, CLIENTS, IDLE * 1000, FIRST * 1000, CLIENTS))


def framed(message):
    return struct.pack('>H', len(message)) + message


def question(name, qtype=wire.A, ident=0):
    return framed(wire.query(wire.name(name), qtype, ident=ident))


def octets(s, n):
    out = b''
    while len(out) < n:
        data = s.recv(n - len(out))
        if not data:
            raise EOFError('closed after %d of %d octets' % (len(out), n))
        out += data
    return out


def answer(s):
    return wire.Message(octets(s, int.from_bytes(octets(s, 2), 'big')))


def closed(s):
    """Has the server closed it, without an answer?"""
    try:
        return s.recv(1) == b''
    except ConnectionResetError:
        return True


def pipelined():
    with L.tcp() as s:
        s.sendall(b''.join(question('m%d.example.com' % i, ident=i) for i in range(200)))
        got = {}
        for _ in range(200):
            m = answer(s)
            got[m.ident] = m.answer[0][4][3]
        equal(got, {i: i for i in range(200)}, 'answers')


def octet_by_octet():
    with L.tcp() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for c in question('m7.example.com') + question('m8.example.com'):
            s.send(bytes((c,)))
            time.sleep(0.005)
        equal([answer(s).answer[0][4][3] for _ in range(2)], [7, 8], 'answers')


def whole_answers_of_60_kilobytes():
    for server in (lab.SERVER4, lab.SERVER6):
        with L.tcp(server) as s:
            s.sendall(question('long.example.com', wire.TXT))
            m = answer(s)
            equal((len(m.answer), m.flags & wire.TC), (250, 0), 'answer')
            check(len(m.wire) > 60000, '%d octets', len(m.wire))


def half_closed():
    """A client that shuts its side down still gets its answers (RFC 7766 section 6.2.4)."""
    with L.tcp() as s:
        s.sendall(b''.join(question('m%d.example.com' % i, ident=i) for i in range(50)))
        s.shutdown(socket.SHUT_WR)
        equal(sorted(answer(s).ident for _ in range(50)), list(range(50)), 'answers')
        check(closed(s), 'not closed')


def who_says_nothing_is_closed_earlier():
    with L.tcp() as s:
        start = time.monotonic()
        check(closed(s), 'data where the end was expected')
        took = time.monotonic() - start
        check(FIRST * 0.5 < took < IDLE, 'closed after %.1f s', took)


def keepalive():
    """Who asks is told the idle time-out (RFC 7828)."""
    ask = framed(wire.query(wire.name('m1.example.com'), wire.A, edns=wire.opt(options=b'\0\x0b\0\0')))
    with L.tcp() as s:
        s.sendall(ask)
        wanted = b'\0\x0b\0\2' + struct.pack('>H', int(IDLE * 10))
        check(answer(s).wire.endswith(wanted), 'no option, or another time-out')
    with L.udp() as s:
        s.send(ask[2:])
        check(wanted[:4] not in s.recv(4096), 'the option over UDP')


def keepalive_is_0_when_all_places_are_taken():
    """Who is there had better leave (RFC 7828 section 3.3.2)."""
    ask = framed(wire.query(wire.name('m1.example.com'), wire.A, edns=wire.opt(options=b'\0\x0b\0\0')))
    held = []
    try:
        for _ in range(CLIENTS):
            s = L.tcp()
            s.sendall(ask)
            last = answer(s).wire[-6:]
            equal(last[:4], b'\0\x0b\0\2', 'option')
            held.append(s)
        equal(last, b'\0\x0b\0\2\0\0', 'option of the last')
    finally:
        for s in held:
            s.close()
    lab.wait_until(served_again, 5, 'room for connections again')


def fast_open():
    """The query comes with the SYN, and its answer before the handshake ends (RFC 7413)."""
    L.in_client('sysctl', '-qw', 'net.ipv4.tcp_fastopen=1')
    L.in_server('sysctl', '-qw', 'net.ipv4.tcp_fastopen=3')

    def opened():
        out = L.in_server('nstat', '-asz', 'TcpExtTCPFastOpenPassive')
        return int(out.split('TcpExtTCPFastOpenPassive')[1].split()[0])

    before = opened()
    for _ in range(3):
        with L.socket(kind=socket.SOCK_STREAM) as s:
            s.settimeout(None)
            s.sendto(question('m1.example.com'), socket.MSG_FASTOPEN, (lab.SERVER4, 53))
            s.settimeout(2)
            equal(answer(s).answer[0][4][3], 1, 'answer')
    # The first only gets the cookie.
    check(opened() >= before + 2, '%d connections with Fast Open', opened() - before)


def idle_connections_are_closed():
    for sent in (b'', b'\0', framed(b'\0' * 40)[:20], b'\xff\xff' + bytes(100)):
        with L.tcp() as s:
            s.settimeout(10)
            s.sendall(question('m1.example.com'))
            answer(s)
            if sent:
                s.sendall(sent)
            start = time.monotonic()
            check(closed(s), 'data where the end was expected')
            took = time.monotonic() - start
            check(IDLE * 0.5 < took < IDLE + 2, 'closed after %.1f s', took)


def one_octet_now_and_then_is_idle():
    """A client that keeps a message unfinished does not keep its connection."""
    with L.tcp() as s:
        start, left = time.monotonic(), framed(b'\0' * 100)
        with contextlib.suppress(OSError):
            for c in left:
                s.send(bytes((c,)))
                s.settimeout(0.3)
                with contextlib.suppress(socket.timeout):
                    check(closed(s), 'an answer')
                    break
        took = time.monotonic() - start
        check(took < IDLE * 5, 'still open after %.1f s', took)


def no_more_connections_than_allowed():
    held = []
    try:
        for i in range(CLIENTS):
            s = L.tcp()
            s.sendall(question('m%d.example.com' % i))
            equal(answer(s).answer[0][4][3], i, 'answer')
            held.append(s)
        s = L.tcp()
        held.append(s)
        with contextlib.suppress(OSError):
            s.sendall(question('m1.example.com'))
        # The one that has rested longest makes room; never more than CLIENTS.
        served = 0
        for s in held:
            with contextlib.suppress(OSError, EOFError):
                s.settimeout(1)
                if s is not held[-1]:
                    s.sendall(question('m1.example.com'))
                answer(s)
                served += 1
                check(THREADS > 1 or s is not held[0], 'the oldest is served still')
        check(CLIENTS <= served < CLIENTS + THREADS, '%d connections at once', served)
        # UDP does not suffer.
        equal(L.ask('www.example.com', 'A').rcode, 0, 'over UDP')
    finally:
        for s in held:
            s.close()
    lab.wait_until(lambda: served_again(), 5, 'room for connections again')


def a_prefix_has_its_share():
    """One prefix at its limit does not take the places of the others."""
    def configure(old, new):
        with open(L.path('pollux.yaml')) as f:
            text = f.read()
        check(old in text, 'no %s', old)
        with open(L.path('pollux.yaml'), 'w') as f:
            f.write(text.replace(old, new))
        L.ask_control('reload')

    one, other = 'max-clients-per-prefix: %d\n' % CLIENTS, 'max-clients-per-prefix: %d\n' % PREFIX
    configure(one, other)
    L.in_client('ip', 'address', 'add', '10.53.0.3/24', 'dev', 'eth0')
    held = []
    try:
        for i in range(CLIENTS - PREFIX):
            s = L.socket(kind=socket.SOCK_STREAM)
            s.bind(('10.53.0.3', 0))
            s.connect((lab.SERVER4, 53))
            s.sendall(question('m%d.example.com' % i))
            answer(s)
            held.append(s)
        flood = [L.tcp() for _ in range(3 * PREFIX)]
        for s in flood[-PREFIX // 2:]:
            s.sendall(question('m1.example.com'))
            answer(s)
        for i, s in enumerate(held):
            s.sendall(question('m%d.example.com' % i))
            equal(answer(s).answer[0][4][3], i, 'answer')
        for s in flood:
            s.close()
    finally:
        configure(other, one)
        for s in held:
            s.close()


def a_thousand_idle_connections():
    """All that come are taken, at most CLIENTS stay, and new ones are served meanwhile."""
    held = []
    try:
        for i in range(1000):
            s = L.socket(kind=socket.SOCK_STREAM)
            s.setblocking(False)
            s.connect_ex((lab.SERVER4, 53))
            held.append(s)
            if i % 100 == 99:
                check(served_again(), 'no longer served')
        time.sleep(0.1)
        equal(L.ask('www.example.com', 'A').rcode, 0, 'over UDP')
        open_still = [s for s in held if not select.select([s], [], [], 0)[0]]
        check(len(open_still) < CLIENTS + THREADS, '%d connections', len(open_still))
    finally:
        for s in held:
            s.close()


def one_octet_a_second_from_everybody():
    """Clients that each keep a message unfinished hold no place that another wants."""
    held = [L.tcp() for _ in range(CLIENTS)]
    start, message = time.monotonic(), question('m1.example.com')
    try:
        for s in held:
            s.sendall(message[:3])
        time.sleep(1.1)
        for c in message[3:5]:
            for s in held:
                with contextlib.suppress(OSError):
                    s.send(bytes((c,)))
        with L.tcp() as s:
            s.sendall(message)
            equal(answer(s).answer[0][4][3], 1, 'answer')
        check(time.monotonic() - start < IDLE + 1, 'only after %.1f s', time.monotonic() - start)
    finally:
        for s in held:
            s.close()


def nothing_is_left_behind():
    """Whatever the clients above did: no descriptor and no counted connection stays."""
    def descriptors():
        return len(os.listdir('/proc/%d/fd' % L.control.pid))

    time.sleep(IDLE + 1)
    before = descriptors()
    for _ in range(50):
        for how in range(4):
            with contextlib.suppress(OSError, EOFError):
                s = L.tcp()
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', how & 1, 0))
                s.sendall(question('long.example.com', wire.TXT)[:20 if how & 2 else None])
                s.close()
    lab.wait_until(lambda: descriptors() <= before, 5, lambda: '%d descriptors, %d before' % (descriptors(), before))
    L.control.send_signal(0)


def spread_over_threads():
    """Each thread answers some, over TCP and over UDP."""
    def rows():
        return {row['name']: row['counters'] for row in L.ask_control('stats')['workers']}

    before = rows()
    equal(sorted(before), ['control', 'control 1'][:THREADS], 'threads')
    for i in range(64):
        equal(L.ask('m%d.example.com' % i, 'A').rcode, 0, 'over UDP')
        check(served_again(), 'not served')
    after = rows()
    for name in before:
        udp = after[name]['answered'] - before[name]['answered'] - after[name]['tcp-accepted'] + before[name]['tcp-accepted']
        check(after[name]['tcp-accepted'] > before[name]['tcp-accepted'], '%s took no connection', name)
        check(udp > 0, '%s answered no datagram', name)


def served_again():
    with contextlib.suppress(OSError, EOFError):
        with L.tcp() as s:
            s.sendall(question('m1.example.com'))
            return answer(s)


def a_client_that_does_not_read():
    """Thousands of long answers asked for, none read: the server neither waits for it nor
    gathers them all in memory."""
    def resident():
        with open('/proc/%d/status' % L.control.pid) as f:
            return int([line for line in f if line.startswith('VmRSS')][0].split()[1]) >> 10

    before = resident()
    with L.tcp() as s:
        s.settimeout(0.5)
        with contextlib.suppress(OSError):
            for _ in range(200):
                s.sendall(question('long.example.com', wire.TXT) * 200)
        for i in range(100):
            equal(L.ask('m%d.example.com' % i, 'A', tries=1).rcode, 0, 'over UDP meanwhile')
        with L.tcp() as other:
            other.sendall(question('m3.example.com'))
            equal(answer(other).answer[0][4][3], 3, 'over TCP meanwhile')
        grown = resident() - before
        check(grown < 100, 'grew by %d MB', grown)


def garbage():
    for data in (b'\0\0', b'\0\1x', b'\0\x0c' + bytes(12), b'\xff\xff' + bytes(65535), b'GET / HTTP/1.1\r\n\r\n',
                 framed(wire.query(b'\0', wire.A)[:-1]), framed(struct.pack('>HHHHHH', 1, 0x8000, 1, 0, 0, 0))):
        with L.tcp() as s:
            s.settimeout(IDLE + 3)
            with contextlib.suppress(OSError):
                s.sendall(data)
                while s.recv(4096):
                    pass
    check(served_again(), 'no longer served')


def reset_in_the_middle():
    for i in range(100):
        s = L.tcp()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        s.sendall(question('long.example.com', wire.TXT) * 5)
        if i % 2:
            s.recv(1000)
        s.close()
    check(lab.wait_until(served_again, 5, 'served'), 'no longer served')


lab.main(L, pipelined, octet_by_octet, whole_answers_of_60_kilobytes, half_closed, who_says_nothing_is_closed_earlier,
         keepalive, keepalive_is_0_when_all_places_are_taken, fast_open, idle_connections_are_closed, one_octet_now_and_then_is_idle,
         no_more_connections_than_allowed, a_prefix_has_its_share, a_thousand_idle_connections,
         one_octet_a_second_from_everybody, a_client_that_does_not_read, garbage, reset_in_the_middle,
         spread_over_threads, nothing_is_left_behind)
