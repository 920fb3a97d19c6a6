# SPDX-License-Identifier: GPL-3.0-or-later
"""questions.py - the questions that all servers are asked about a world's zones.

Owner names come from the zones themselves; around each of them stand its children,
neighbours and wildcards.
"""
import os
import random
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import wire

COMMON = [wire.TYPES[t] for t in ('A', 'AAAA', 'NS', 'SOA', 'MX', 'TXT', 'CNAME', 'DNAME', 'DS', 'SRV',
                                  'PTR', 'HTTPS')] + [65280]
RARE = [wire.TYPES[t] for t in ('DNSKEY', 'NSEC', 'NSEC3PARAM', 'HINFO', 'NAPTR', 'SPF', 'NULL', 'LOC')] + [64000]
SIZES = (0, 511, 512, 700, 1231, 1232, 1233, 4096, 65535)
HEADER_BITS = (0, wire.RD, wire.CD, wire.AD, wire.Z, wire.RD | wire.CD | wire.AD | wire.Z,
               wire.AA, wire.TC, wire.RA, wire.RA | wire.AA | wire.RD)


class Question:
    """message is the query with identifier 0; tag says what kind it is."""
    __slots__ = ('tag', 'message', 'tcp', 'qname', 'qtype', 'qclass', 'flags', 'edns', 'alone', 'dnssec')

    def __init__(self, tag, qname, qtype, qclass=wire.IN, flags=0, opcode=0, edns=None, tcp=False, dnssec=False):
        self.tag, self.qname, self.qtype, self.qclass = tag, qname, qtype, qclass
        self.flags, self.edns, self.tcp, self.alone, self.dnssec = flags, edns, tcp, False, dnssec
        self.message = wire.query(qname, qtype, qclass, flags, opcode,
                                  None if edns is None else wire.opt(edns, flags=0x8000 if dnssec else 0))

    def __str__(self):
        return '%s: %s %s class %d flags %#x %s over %s: %s' % (
            self.tag, wire.text(self.qname), wire.type_name(self.qtype), self.qclass, self.flags,
            'no EDNS' if self.edns is None else 'EDNS %d%s' % (self.edns, ' DO' * self.dnssec), 'TCP' if self.tcp else 'UDP',
            self.message.hex() if len(self.message) < 120 else '%d octets' % len(self.message))


def raw(tag, message, alone=False):
    """A question whose octets are not a plain query."""
    q = Question(tag, b'\0', 0)
    q.message, q.alone = message, alone
    return q


def owners(zones):
    """{owner in wire form: set of types} of all zones, empty non-terminals included.

    The zones of zones.py keep to a simple form: one record a line, which begins with
    its owner, then perhaps a TTL and a class, then its type.
    """
    out = {}
    for apex, text in zones.items():
        for line in text.splitlines():
            words = line.split()
            if not words or words[0][0] in '$;':
                continue
            owner = wire.name(words[0])
            if words[0] == '@':
                owner = wire.name(apex)
            elif not words[0].endswith('.'):
                owner = owner[:-1] + wire.name(apex)
            words = [w for w in words[1:4] if not w.isdigit() and w != 'IN']
            rtype = wire.TYPES[words[0]] if words[0] in wire.TYPES else int(words[0][len('TYPE'):])
            out.setdefault(owner, set()).add(rtype)
            while len(owner) > len(wire.name(apex)):
                owner = owner[1 + owner[0]:]
                out.setdefault(owner, set())
    return out


def fits(labels):
    return sum(len(x) + 1 for x in labels) + 1 <= 255


def around(rng, owner):
    """Names near an owner: below it, beside it, above it."""
    l = wire.labels(owner)
    near = [[b'x'] + l, [b'*'] + l, [b'x', b'y'] + l, [b'\0'] + l, [b'a', b'*'] + l, [b'ns'] + l]
    if l:
        first = l[0]
        near += [[first + b'0'] + l[1:], [first[:-1] + bytes([first[-1] ^ 1])] + l[1:], [b'*'] + l[1:],
                 [first[:-1] or b'q'] + l[1:], [first] + l, [rng.choice((b'zz', b'a', b'~'))] + l[1:]]
    return [wire.join(x) for x in near if fits(x) and all(0 < len(y) <= 63 for y in x)]


def mixed_case(rng, name):
    """The name with its letters in random case; the length octets are below 'A'."""
    return bytes(c ^ 0x20 if (65 <= c <= 90 or 97 <= c <= 122) and rng.random() < 0.5 else c for c in name)


def odd_headers(name):
    """Messages that are no plain queries: what a server must refuse, ignore or survive."""
    q = wire.query(name, wire.A)
    q_opt = wire.query(name, wire.A, edns=wire.opt())
    question = q[12:]

    def counts(*c, body=question, flags=0):
        return struct.pack('>HHHHHH', 0, flags, *c) + body

    rr = name + struct.pack('>HHIH', wire.A, wire.IN, 60, 4) + b'\xc0\0\2\1'
    out = [
        raw('qdcount-0', counts(0, 0, 0, 0, body=b'')),
        raw('qdcount-0-opt', counts(0, 0, 0, 1, body=wire.opt())),
        raw('qdcount-2', counts(2, 0, 0, 0, body=question * 2)),
        raw('qdcount-2-missing', counts(2, 0, 0, 0)),
        raw('qdcount-65535', counts(65535, 0, 0, 0)),
        raw('ancount-1', counts(1, 1, 0, 0, body=question + rr)),
        raw('nscount-1', counts(1, 0, 1, 0, body=question + rr)),
        raw('arcount-1', counts(1, 0, 0, 1, body=question + rr)),
        raw('ancount-missing', counts(1, 1, 0, 0)),
        raw('arcount-missing', counts(1, 0, 0, 1)),
        raw('trailing', q + b'trailing octets'),
        raw('trailing-opt', q_opt + b'trailing octets'),
        raw('question-pointer', counts(1, 0, 0, 0, body=b'\xc0\x0c\0\1\0\1')),
        raw('question-pointer-header', counts(1, 0, 0, 0, body=b'\1a\xc0\0\0\1\0\1')),
        raw('question-label-40', counts(1, 0, 0, 0, body=b'\x41\0' + question)),
        raw('question-label-80', counts(1, 0, 0, 0, body=b'\x81\0' + question)),
        raw('question-256', counts(1, 0, 0, 0, body=b'\1a' * 127 + b'\1b\0' + b'\0\1\0\1')),
        raw('question-255', counts(1, 0, 0, 0, body=b'\1a' * 126 + b'\0' + b'\0\1\0\1')),
        raw('opt-2', counts(1, 0, 0, 2, body=question + wire.opt() + wire.opt())),
        raw('opt-version-1', counts(1, 0, 0, 1, body=question + wire.opt(version=1))),
        raw('opt-version-255', counts(1, 0, 0, 1, body=question + wire.opt(version=255))),
        raw('opt-flags', counts(1, 0, 0, 1, body=question + wire.opt(flags=0x7fff))),
        raw('opt-rcode', counts(1, 0, 0, 1, body=question + wire.opt(rcode=1))),
        raw('opt-owner', counts(1, 0, 0, 1, body=question + b'\1a' + wire.opt())),
        raw('opt-unknown-option', counts(1, 0, 0, 1, body=question + wire.opt(options=b'\xfd\xe9\0\3abc'))),
        raw('opt-empty-option', counts(1, 0, 0, 1, body=question + wire.opt(options=b'\xfd\xe9\0\0'))),
        raw('opt-option-cut', counts(1, 0, 0, 1, body=question + wire.opt(options=b'\xfd\xe9\0\x09abc'))),
        raw('opt-option-header-cut', counts(1, 0, 0, 1, body=question + wire.opt(options=b'\xfd\xe9\0'))),
        raw('opt-rdlength-long', counts(1, 0, 0, 1, body=question + wire.opt()[:-2] + b'\0\x09')),
        raw('opt-in-answer', counts(1, 1, 0, 0, body=question + wire.opt())),
        raw('opt-in-authority', counts(1, 0, 1, 0, body=question + wire.opt())),
        raw('opt-then-rr', counts(1, 0, 0, 2, body=question + wire.opt() + rr)),
        raw('rr-then-opt', counts(1, 0, 0, 2, body=question + rr + wire.opt())),
        raw('response', counts(1, 0, 0, 0, flags=wire.QR), alone=True),
        raw('response-error', counts(1, 0, 0, 0, flags=wire.QR | 3), alone=True),
        raw('rcode-set', counts(1, 0, 0, 0, flags=5)),
        raw('max', q + bytes(1400)),
    ]
    for opcode in range(1, 16):
        out += [raw('opcode-%d' % opcode, wire.query(name, wire.A, opcode=opcode)),
                raw('opcode-%d-opt' % opcode, wire.query(name, wire.SOA, opcode=opcode, edns=wire.opt()))]
    out += [raw('prefix', q_opt[:n], alone=n < 12) for n in range(len(q_opt))]
    return out


LETTERS = [bytes((c,)) for c in range(256)] + [b'a', b'*', b'www', b'x' * 63, b'A' * 30] * 40


def at_random(rng, pool, count):
    """`count` questions for names out of the blue below those of the pool, with random types, EDNS
    sizes and header bits."""
    out = []
    for _ in range(count):
        l = [rng.choice(LETTERS) for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 8, 40)))]
        l += wire.labels(rng.choice(pool))
        while not fits(l):
            l.pop(0)
        name = wire.join(l)
        out.append(Question('random', mixed_case(rng, name) if rng.random() < 0.3 else name, rng.choice(COMMON),
                            flags=rng.choice(HEADER_BITS), edns=rng.choice((None,) + SIZES)))
    return out


def world(zones, seed, scale=1.0):
    """All questions about a world, in a fixed order for a seed."""
    rng = random.Random(seed)
    out, known = [], owners(zones)
    apexes = [wire.name(a) for a in zones]

    def ask(tag, name, qtype, **options):
        out.append(Question(tag, name, qtype, **options))

    def ask_randomly(tag, name, qtype):
        """The same with random EDNS size and header bits."""
        ask(tag, mixed_case(rng, name) if rng.random() < 0.3 else name, qtype, flags=rng.choice(HEADER_BITS),
            edns=rng.choice((None,) + SIZES))

    for owner in sorted(known):
        there = known[owner]
        for qtype in COMMON:
            ask('owner', owner, qtype, edns=1232)
            ask_randomly('owner', owner, qtype)
        for qtype in sorted(there - set(COMMON)) + rng.sample(RARE, 2):
            ask('owner', owner, qtype, edns=1232)
            ask_randomly('owner', owner, qtype)
        for qtype in sorted(there):
            for size in (None, 512, 1232, 4096):
                ask('size', owner, qtype, edns=size)
            ask('tcp', owner, qtype, tcp=True, edns=rng.choice((None, 512, 1232)))
        if not there:
            ask('tcp', owner, rng.choice(COMMON), tcp=True)
        ask('any-udp', owner, wire.ANY, edns=1232)
        ask('any-udp', owner, wire.ANY)
        ask('any-tcp', owner, wire.ANY, tcp=True)
        for name in around(rng, owner):
            kinds = [wire.A] + rng.sample(COMMON[1:] + RARE, 3)
            if rng.random() < scale:
                for qtype in kinds:
                    ask_randomly('near', name, qtype)
            if rng.random() < 0.2:
                ask('any-udp', name, wire.ANY, edns=1232)
                ask('tcp', name, rng.choice(COMMON), tcp=True, edns=1232)

    # Names out of the blue, below every apex and below names that are there.
    out += at_random(rng, sorted(known), int(6000 * scale))

    # Outside all zones, and at the edges of what a name can be.
    for text in ('.', 'test.', 'invalid.', 'com.', 'www.elsewhere.invalid.', 'xexample.', 'example.com.', 'tes.', 'a.b.'):
        for qtype in (wire.A, wire.NS, wire.SOA, wire.DS, wire.TXT, wire.ANY):
            ask('outside', wire.name(text), qtype, edns=1232)
            ask('outside', wire.name(text), qtype)
            ask('outside', wire.name(text), qtype, tcp=True)

    # Meta types, other classes, the server's own names.
    for apex in apexes + [wire.name('www.example.'), wire.name('nx.example.')]:
        for qtype in (0, wire.OPT, 249, 250, 253, 254, 128, 65535):
            ask('meta-%d' % qtype, apex, qtype, edns=1232)
            ask('meta-%d' % qtype, apex, qtype)
        for qclass in (0, 2, wire.CH, wire.HS, wire.NONE, wire.ANY, 65535):
            for qtype in (wire.A, wire.TXT, wire.SOA):
                ask('class-%d' % qclass, apex, qtype, qclass=qclass, edns=1232)
                ask('class-%d' % qclass, apex, qtype, qclass=qclass)
    for text in ('version.bind.', 'version.server.', 'id.server.', 'hostname.bind.', 'ID.Server.', 'authors.bind.',
                 'bind.', 'server.', 'x.version.bind.'):
        for qtype in (wire.TXT, wire.A, wire.ANY, wire.SOA, wire.NS):
            ask('chaos', wire.name(text), qtype, qclass=wire.CH, edns=1232)
            ask('chaos', wire.name(text), qtype, qclass=wire.CH)
        ask('chaos-in', wire.name(text), wire.TXT)

    for owner in (apexes[0], apexes[-1], wire.name('www.example.'), wire.name('nx.example.'),
                  wire.name('nowhere.invalid.')):
        out += odd_headers(owner)
    return out
