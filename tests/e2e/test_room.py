#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of one transport fill all places, and keep them: those of every other transport
are still served.  The control process alone."""
import contextlib
import os
import ssl
import struct
import subprocess
import time

import lab
import wire
from lab import SERVER4, check, equal

CLIENTS = 30

L = lab.Lab({'example.com': lab.ZONE}, ports=None,
            server='  tls: {}\n  tcp: {max-clients: %d, idle-timeout: 20s, first-byte-timeout: 20s}\n' % CLIENTS)

QUERY = wire.query(wire.name('www.example.com'), wire.A)


def read(s):
    out = b''
    while len(out) < 2 or len(out) < 2 + int.from_bytes(out[:2], 'big'):
        data = s.recv(4096)
        check(data, 'closed')
        out += data
    return wire.Message(out[2:])


def ask(s):
    s.sendall(struct.pack('>H', len(QUERY)) + QUERY)
    equal(read(s).rcode, 0, 'rcode')
    return s


def tls():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    return c.wrap_socket(L.tcp(port=853))


def swarm(*arguments):
    return [os.environ['POLLUX_SWARM'], *map(str, arguments), '--wait', '10', SERVER4, '853', QUERY.hex()]


def over_tcp():
    with L.tcp() as s:
        ask(s)


def over_tls():
    with tls() as s:
        ask(s)


def over_swarm(kind):
    r = L.in_client(*swarm(kind, 1), check_status=False)
    check(' done=1 ' in r.stdout, '%s%s', r.stdout, r.stderr)


WAYS = over_tcp, over_tls, lambda: over_swarm('--doq'), lambda: over_swarm('--dtls')


@contextlib.contextmanager
def sockets(make):
    held = [make() for _ in range(CLIENTS)]
    yield
    for s in held:
        s.close()


@contextlib.contextmanager
def crowd(kind):
    """As many of the swarm's, which stay after their answer."""
    before = L.counters()['control-answered']
    p = subprocess.Popen(['nsenter', '--net=/run/netns/' + L.client, *swarm(kind, CLIENTS, '--hold', 8)],
                         stdout=subprocess.PIPE, text=True)
    lab.wait_until(lambda: L.counters()['control-answered'] - before >= CLIENTS, 10, 'a crowd')
    time.sleep(0.5)  # until they have acknowledged their answers, and rest
    yield
    check(p.poll() is None, 'the crowd went too early')
    p.kill()
    p.wait()
    p.stdout.close()


def everybody_comes_while(held):
    """One after the other; who has gone again leaves a place, which somebody takes."""
    with held:
        fillers = []
        for once in WAYS:
            once()
            fillers.append(ask(L.tcp()))
        for s in fillers:
            s.close()


def behind_tcp():
    with L.counting(control_tcp_evicted='>=3', control_quic_accepted=1, control_quic_retried='>=1',
                    control_dtls_accepted=1):
        everybody_comes_while(sockets(lambda: ask(L.tcp())))


def behind_tls():
    everybody_comes_while(sockets(lambda: ask(tls())))


def behind_quic():
    with L.counting(control_quic_evicted='>=3'):
        everybody_comes_while(crowd('--doq'))


def behind_dtls():
    with L.counting(control_dtls_evicted='>=3'):
        everybody_comes_while(crowd('--dtls'))


class HalfOpen:
    """A client of TLS that has sent half of its ClientHello."""

    def __init__(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)
        self.socket = L.tcp(port=853)
        with contextlib.suppress(ssl.SSLWantReadError):  # it waits for the server, who has not heard it yet
            self.tls.do_handshake()
        hello = self.outgoing.read()
        self.socket.sendall(hello[:100])
        self.outgoing.write(hello[100:])

    def close(self):
        self.socket.close()

    def done(self, step):
        """What step() comes to once the server has said enough."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.send()
                data = self.socket.recv(4096)
                check(data, 'closed')
                self.incoming.write(data)

    def send(self):
        self.socket.sendall(self.outgoing.read())

    def ask(self):
        self.done(self.tls.do_handshake)
        self.tls.write(struct.pack('>H', len(QUERY)) + QUERY)
        self.send()
        length = int.from_bytes(self.done(lambda: self.tls.read(2)), 'big')
        equal(wire.Message(self.done(lambda: self.tls.read(length))).rcode, 0, 'rcode')


def handshake_stays():
    """A handshake under way does not go while others rest, though they are younger; when it is
    over, its client still has time to ask."""
    half = HalfOpen()
    with L.counting(control_tcp_evicted='>=2'), sockets(lambda: ask(L.tcp())):
        half.done(half.tls.do_handshake)
        half.send()
        ask(L.tcp()).close()
        half.ask()
    half.close()


def behind_handshakes():
    """Those that have begun one stay for a second, and then go for others."""
    with L.counting(control_tcp_evicted='>=3'), sockets(HalfOpen):
        time.sleep(1.5)
        everybody_comes_while(contextlib.nullcontext())


def behind_silent():
    """Those that have not begun one go at once."""
    with L.counting(control_tcp_evicted='>=3'):
        everybody_comes_while(sockets(lambda: L.tcp(port=853)))


lab.main(L, handshake_stays, behind_handshakes, behind_silent, behind_tcp, behind_tls, behind_quic, behind_dtls)
