#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each line of bpf/README.md over a real veth, with both processes: its frames move the counter
that it names, and who is to answer them does."""
import os
import signal
import struct
import time

import frames
import lab
import wire
from lab import check, equal

PAGE = os.path.join(lab.HERE, '..', '..', 'bpf', 'README.md')
TCP, ICMP, ICMP6 = 6, 1, 58
# What hosts say by themselves moves these, too.
NOISY = ('pass-not-udp', 'pass-options', 'pass-not-ip')

L = lab.Lab()


def addresses(family):
    return (lab.CLIENT4, lab.SERVER4) if family == 4 else (lab.CLIENT6, lab.SERVER6)


def message(qtype=wire.A, opcode=0, flags=0, size=0, edns=None):
    m = wire.query(wire.name('www.example.com'), qtype, opcode=opcode, flags=flags, edns=edns)
    if size:  # EDNS padding
        m = wire.query(wire.name('www.example.com'), qtype, opcode=opcode, flags=flags, edns=wire.opt(
            options=struct.pack('>HH', 12, size - len(m) - 15) + bytes(size - len(m) - 15)))
    return m


class Sender:
    def __init__(self):
        self.s = L.raw()
        self.client, self.server = L.client_mac, L.server_mac

    def ether(self, packet, tags=()):
        return frames.ether(self.client, self.server, packet, tags)

    def udp(self, family, payload, dport=53, sport=40000, dst=None, tags=(), checksum=True, change=lambda u: u, **ip):
        src, server = addresses(family)
        dst = dst or server
        return self.ether(frames.ip(src, dst, change(frames.udp(src, dst, sport, dport, payload, checksum)), **ip), tags)

    def other(self, family, protocol, port=0):
        src, dst = addresses(family)
        body = struct.pack('>HHIIBBHHH', 40000, port, 1, 0, 0x50, 4, 0, 0, 0)  # a reset
        return self.ether(frames.ip(src, dst, body, protocol=protocol))

    def extension(self, family, header):
        """A datagram of IPv6 behind an extension header."""
        src, dst = addresses(family)
        body = bytes((17,)) + header[1] + frames.udp(src, dst, 40000, 53, message())
        return self.ether(frames.ip(src, dst, body, protocol=header[0]))

    def fragments(self, family):
        src, dst = addresses(family)
        u = frames.udp(src, dst, 40000, 53, message(size=600))
        self.ident = getattr(self, 'ident', 0) + 1
        if family == 4:
            return [self.ether(frames.ip(src, dst, u[:304], fragment=0x2000, ident=self.ident)),
                    self.ether(frames.ip(src, dst, u[304:], fragment=304 // 8, ident=self.ident))]
        return [self.ether(frames.ip(src, dst, struct.pack('>BBHI', 17, 0, at | more, self.ident) + part, protocol=44))
                for at, more, part in ((0, 1, u[:304]), (304, 0, u[304:]))]


def rows():
    """What comes: (frames of a family, who answers: worker, control or nobody)."""
    s = SENDER
    q = message()
    return {
        'a query over UDP to a listen address and its port': (lambda f: [s.udp(f, q)], 'worker'),
        'the same in one or two VLAN tags': (lambda f: [s.udp(f, q, tags=t) for t in ((7,), (7, 8))], 'worker'),
        'the same from any port of the client, 53 too': (lambda f: [s.udp(f, q, sport=p) for p in (1, 53, 853, 65535)],
                                                         'worker'),
        'a query with EDNS options, signed (TSIG), IXFR or AXFR over UDP': (
            lambda f: [s.udp(f, message(edns=wire.opt(options=b'\0\3\0\0')))], 'worker'),
        'ARP': (lambda f: [frames.mac(s.server) + frames.mac(s.client) + b'\x08\x06' + bytes(28)], None),
        'three VLAN tags': (lambda f: [frames.mac(s.server) + frames.mac(s.client) + b'\x81\0\0\7' * 3
                                       + s.udp(f, q)[12:]], None),
        'TCP to port 53 (domain)': (lambda f: [s.other(f, TCP, 53)], None),
        'TCP to port 853 (domain-s: DNS over TLS)': (lambda f: [s.other(f, TCP, 853)], None),
        'TCP to any other port': (lambda f: [s.other(f, TCP, p) for p in (1, 22, 5300)], None),
        'ICMP or ICMPv6': (lambda f: [s.other(f, ICMP if f == 4 else ICMP6)], None),
        'UDP to port 853 (domain-s: DNS over QUIC and DTLS)': (lambda f: [s.udp(f, q, dport=853)], None),
        'UDP to any other port': (lambda f: [s.udp(f, q, dport=p) for p in (52, 54, 5353)], None),
        'UDP to port 53 of another address': (
            lambda f: [s.udp(f, q, dst='10.53.0.99' if f == 4 else 'fd53::99')], None),
        'a response to another port of ours': (lambda f: [s.udp(f, message(flags=0x8000), dport=40001)], None),
        'IPv4 options': (lambda f: [s.udp(f, q, options=b'\1\1\1\0')] if f == 4 else [], 'control'),
        'IPv6 hop-by-hop options, routing or destination options': (
            lambda f: [s.extension(f, h) for h in ((0, b'\0\1\4\0\0\0\0'), (60, b'\0\1\4\0\0\0\0'))] if f == 6 else [],
            'control'),
        'the first fragment of a query': (lambda f: s.fragments(f)[:1], None),
        'a later fragment of a query': (lambda f: s.fragments(f)[1:], None),
        'a query longer than udp-payload': (lambda f: [s.udp(f, message(size=n)) for n in (1233, 1400)], 'control'),
        'an UPDATE longer than udp-payload': (lambda f: [s.udp(f, message(opcode=5, size=1300))], 'control'),
        'NOTIFY, UPDATE, STATUS and other opcodes': (
            lambda f: [s.udp(f, message(opcode=n)) for n in range(1, 16)], 'control'),
        "a UDP length that is not IP's": (
            lambda f: [s.udp(f, q, change=lambda u: u[:4] + struct.pack('>H', len(u) + n) + u[6:]) for n in (-1, 1)], None),
        "an IP length beyond the frame's end": (lambda f: [s.udp(f, q)[:-1]], None),
        'UDP over IPv6 without a checksum': (lambda f: [s.udp(f, q, checksum=False)] if f == 6 else [], None),
        'a response (QR=1) to a listen address and its port': (
            lambda f: [s.udp(f, message(flags=0x8000 | n << 11)) for n in (0, 4, 5)], None),
        'less than a DNS header to a listen address and its port': (lambda f: [s.udp(f, q[:n]) for n in (0, 1, 11)], None),
    }


# These need something else to be so.
SILENT, NO_SOCKET = "a query while the queue's worker is silent", 'a query while the queue has no AF_XDP socket'


def page():
    with open(PAGE) as f:
        lines = [[c.strip() for c in line.split('|')[1:-1]] for line in f if line.startswith('| ')]
    return {what: (where, counter) for what, where, counter in lines if what != 'what comes'}


def send(what, counter, make, by):
    sent = 0
    before = L.counters()
    for family in (4, 6):
        for frame in make(family):
            SENDER.s.send(frame)
            sent += 1
    check(sent > 0, '%s: no frames', what)

    def grown(name, after):
        return after.get(name, 0) - before.get(name, 0)

    def done():
        after = L.counters()
        moved = grown('steer-' + counter, after)
        answered = {'worker': grown('answered', after), 'control': grown('control-answered', after)}
        return (moved >= sent if counter in NOISY else moved == sent) and (
            by is None or answered[by] >= sent) and (by is not None or sum(answered.values()) == 0)

    lab.wait_until(done, 2, lambda: '%s: %d frames; %s' % (what, sent, {
        k: v - before.get(k, 0) for k, v in L.counters().items() if v != before.get(k, 0)}))
    if counter not in NOISY:
        equal(L.counters()['steer-' + counter] - before.get('steer-' + counter, 0), sent, what)


@lab.measured
def every_line_of_the_page_is_so():
    lines, made = page(), rows()
    equal(sorted(lines), sorted(list(made) + [SILENT, NO_SOCKET]), 'lines of the page')
    for what, (make, by) in made.items():
        where, counter = lines[what]
        check(by != 'worker' or where.startswith('worker'), '%s: %s', what, where)
        check(by != 'control' or where == 'kernel', '%s: %s', what, where)
        send(what, counter, make, by)


@lab.measured
def whole_fragments_are_answered():
    with L.counting(control_answered=2):
        for family in (4, 6):
            for frame in SENDER.fragments(family):
                SENDER.s.send(frame)


def a_silent_worker_is_passed_by():
    L.dataplane.send_signal(signal.SIGSTOP)
    try:
        time.sleep(0.2)
        send(SILENT, page()[SILENT][1], lambda f: [SENDER.udp(f, message())], 'control')
    finally:
        L.dataplane.send_signal(signal.SIGCONT)
    time.sleep(0.2)


SENDER = None


def begin():
    global SENDER
    SENDER = Sender()
    for server in (lab.SERVER4, lab.SERVER6):
        equal(L.ask('www.example.com', 'A', server).rcode, 0, 'rcode')


lab.main(L, begin, every_line_of_the_page_is_so, whole_fragments_are_answered, a_silent_worker_is_passed_by)
