#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS over TCP (RFC 7766): pipelining, long answers, time-outs, limits, slow clients."""
import contextlib
import socket
import struct
import time

import lab
import wire
from lab import check, equal

IDLE, CLIENTS = 1.5, 20

L = lab.Lab({'example.com': lab.ZONE + ''.join('long TXT "%s"\n' % (('%04d' % i) * 60) for i in range(250))
             + ''.join('m%d A 192.0.2.%d\n' % (i, i) for i in range(200))},
            ports=None, server='  tcp:\n    max-clients: %d\n    idle-timeout: %dms\n' % (CLIENTS, IDLE * 1000))


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


def idle_connections_are_closed():
    for sent in (b'', b'\0', framed(b'\0' * 40)[:20]):
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
                check(s is not held[0], 'the oldest is served still')
        check(served <= CLIENTS, '%d connections at once', served)
        check(served == CLIENTS, 'only %d connections', served)
        # UDP does not suffer.
        equal(L.ask('www.example.com', 'A').rcode, 0, 'over UDP')
    finally:
        for s in held:
            s.close()
    lab.wait_until(lambda: served_again(), 5, 'room for connections again')


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


lab.main(L, pipelined, octet_by_octet, whole_answers_of_60_kilobytes, half_closed, idle_connections_are_closed,
         one_octet_now_and_then_is_idle, no_more_connections_than_allowed, a_client_that_does_not_read, garbage,
         reset_in_the_middle)
