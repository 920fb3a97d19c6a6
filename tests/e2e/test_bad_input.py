#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Garbage at every door while a well-behaved client keeps being answered."""
import contextlib
import json
import os
import random
import socket
import struct
import time

import frames
import lab
import wire
from lab import check, equal

SEED = int(os.environ.get('POLLUX_SEED', 20240101))
FRAMES = 300_000 if lab.LONG else 20_000

L = lab.Lab()


class Meanwhile:
    """A steady client around a block: no question of its may be lost."""

    def __enter__(self):
        self.prober = L.prober(lab.SERVER4, 2000, 'www.example.com/A', 'nx%.example.com/A')

    def __exit__(self, kind, value, trace):
        rows = self.prober.stop()
        if kind is None:
            equal([r for r in rows if r[1] is None], [], 'questions lost')
            check(all(r[3] == (0, wire.NXDOMAIN)[r[2]] for r in rows), 'a wrong rcode')
            for process in (L.control, L.dataplane):
                check(process.running(), '%s ended:\n%s', process.name, process.output()[-3000:])


def good_frames():
    out = []
    for src, dst in ((lab.CLIENT4, lab.SERVER4), (lab.CLIENT6, lab.SERVER6)):
        for tags in ((), (5,), (6, 7)):
            for edns in (None, wire.opt(1232), wire.opt(options=b'\0\x0c\0\4abcd')):
                for name, qtype in (('www.example.com', wire.A), ('a.b.c.example.com', 255), ('.', wire.NS)):
                    out.append(frames.query(L.client_mac, L.server_mac, src, dst, 5353,
                                            wire.query(wire.name(name), qtype, edns=edns), tags))
    return out


def send_all(s, many):
    for i, frame in enumerate(many):
        with contextlib.suppress(OSError):  # the kernel's own refusals: too short, no buffer
            s.send(frame)
        if i % 64 == 0:
            time.sleep(0.002)


@lab.measured
def frames_cut_at_every_length():
    with Meanwhile(), L.raw() as s:
        for frame in good_frames()[::5]:
            send_all(s, (frame[:n] for n in range(14, len(frame))))


@lab.measured
def mutated_frames():
    rng = random.Random(SEED)
    print('# seed %d' % SEED)
    good = good_frames()

    def mutated():
        for _ in range(FRAMES):
            b = bytearray(rng.choice(good))
            for _ in range(rng.choice((1, 1, 2, 3, 8))):
                at = rng.randrange(12, len(b))
                b[at] = rng.choice((0, 255, 0xc0, b[at] ^ 1 << rng.randrange(8), rng.randrange(256)))
            kind = rng.random()
            if kind < 0.1:
                del b[rng.randrange(14, len(b)):]
            elif kind < 0.2:
                b += rng.randbytes(rng.randrange(1, 1400 - len(b)))
            yield bytes(b)

    with Meanwhile(), L.raw() as s:
        send_all(s, mutated())


@lab.measured
def mutated_messages():
    """The same behind right lengths and checksums, so that all of it reaches the parser."""
    rng = random.Random(SEED + 1)

    def mutated():
        for i in range(FRAMES):
            b = bytearray(wire.query(wire.name('www.example.com'), rng.choice((1, 255, 6, 252, 251)),
                                     edns=rng.choice((None, wire.opt(), wire.opt(options=bytes(range(40)))))))
            for _ in range(rng.choice((0, 1, 1, 2, 5))):
                b[rng.randrange(2, len(b))] = rng.choice((0, 1, 255, 0xc0, 0x3f, 0x40, rng.randrange(256)))
            if rng.random() < 0.3:
                del b[rng.randrange(0, len(b)):]
            src, dst = ((lab.CLIENT4, lab.SERVER4), (lab.CLIENT6, lab.SERVER6))[i % 2]
            yield frames.query(L.client_mac, L.server_mac, src, dst, 5354, bytes(b))

    with Meanwhile(), L.raw() as s:
        send_all(s, mutated())
        # The kernel's path, from an ordinary socket: what the steering would not pass.
        with L.udp() as u:
            for i in range(FRAMES // 20):
                with contextlib.suppress(OSError):
                    u.send(rng.randbytes(rng.randrange(1240, 1460)))
                if i % 32 == 0:
                    time.sleep(0.002)


@lab.measured
def random_frames():
    rng = random.Random(SEED + 2)
    head = frames.mac(L.server_mac) + frames.mac(L.client_mac)
    kinds = (b'\x08\0', b'\x86\xdd', b'\x81\0', b'\x88\xa8', b'\x08\6', b'')
    with Meanwhile(), L.raw() as s:
        send_all(s, (head + rng.choice(kinds) + rng.randbytes(rng.randrange(2, 1400)) for _ in range(FRAMES)))


@lab.measured
def garbage_to_the_control_socket():
    rng = random.Random(SEED + 3)
    good = json.dumps({'command': 'zone-show', 'zone': 'example.com', 'id': 'x'}).encode()

    def replies(data):
        with L.control_socket() as s:
            s.settimeout(5)
            out = b''
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while True:
                    more = s.recv(1 << 16)
                    if not more:
                        break
                    out += more
        return [json.loads(line) for line in out.splitlines()]

    with Meanwhile():
        for n in range(len(good)):
            answers = replies(good[:n] + b'\n')
            check(len(answers) == 1 and answers[0]['ok'] is False, '%r: %s', good[:n], answers)
        for line, code in ((b'[]', 'bad-request'), (b'{}', 'unknown-command'), (b'{"command": 1}', 'unknown-command'),
                           (b'{"command": "explode"}', 'unknown-command'), (b'\xff\xfe', 'bad-request'),
                           (b'{"command": "zone-show"}', 'bad-argument'),
                           (b'{"command": "zone-show", "zone": 7}', 'bad-argument'),
                           (b'{"command": "zone-show", "zone": "a..b"}', 'bad-argument'),
                           (b'{"command": "zone-show", "zone": "example.net"}', 'no-such-zone'),
                           (b'{"command": "zone-add", "zone": "example.com", "file": "/etc/passwd"}', 'bad-zone'),
                           (b'{"command": "zone-add", "zone": "example.net", "file": "/does/not/exist"}', 'cannot-read'),
                           (b'{"command": "zone-add", "zone": "example.net", "file": "relative"}', 'bad-argument'),
                           (b'{"command": "zone-add", "zone": "example.net", "file": "/dev/zero"}', None),
                           (b'{"command": "zone-add", "zone": "example.net", "file": "/etc"}', None),
                           (b'{"command": "zone-add", "zone": "example.net", "file": "/etc/passwd"}', 'bad-zone'),
                           (b'[' * 100000, 'bad-request')):
            answers = replies(line + b'\n')
            check(len(answers) == 1 and answers[0]['ok'] is False and code in (None, answers[0]['code']), '%r: %s',
                  line[:80], answers)
        answers = replies(b'x' * (1 << 21))
        check(answers and answers[-1]['code'] == 'too-long', 'a line without end: %s', answers)
        for _ in range(200):
            b = bytearray(good + b'\n')
            for _ in range(rng.randrange(1, 5)):
                b[rng.randrange(len(b))] = rng.randrange(256)
            for reply in replies(bytes(b)):
                check('ok' in reply, '%r: %s', b, reply)
        for _ in range(50):
            replies(rng.randbytes(rng.randrange(1, 5000)))
        # Connections that say nothing, and many of them.
        idle = [L.control_socket() for _ in range(50)]
        equal(L.ask_control('zone-show', zone='example.com')['state'], 'serving', 'the zone')
        for s in idle:
            s.close()


@lab.measured
def garbage_to_the_attach_socket():
    rng = random.Random(SEED + 4)
    path = L.path('run', 'attach.sock')
    magic = struct.pack('=IHH', 0x50585441, 1, 1)
    hello = magic + struct.pack('=IIII', 1, 1, os.getpid(), 1)
    with Meanwhile():
        for data in [b'', b'x', magic, hello[:-1], hello + b'x', magic[:-2] + b'\xff\xff' + hello[8:],
                     hello[:8] + struct.pack('=IIII', 99, 99, 1, 1), hello[:8] + struct.pack('=IIII', 1, 1, 1, 0),
                     hello[:8] + struct.pack('=IIII', 1, 1, 1, 1 << 31)] + \
                [rng.randbytes(rng.randrange(1, 400)) for _ in range(50)] + \
                [magic + rng.randbytes(rng.randrange(1, 400)) for _ in range(50)]:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                s.settimeout(0.05)
                s.connect(path)
                with contextlib.suppress(OSError):
                    if len(data) % 3 == 0:  # with descriptors that nobody asked for
                        socket.send_fds(s, [data], [0, 0, 0])
                    else:
                        s.send(data)
                    s.recv(1024)
        descriptors = len(os.listdir('/proc/%d/fd' % L.control.pid))
        for _ in range(50):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                s.connect(path)
                with contextlib.suppress(OSError):
                    socket.send_fds(s, [magic + b'junk'], [0] * 10)
        lab.wait_until(lambda: len(os.listdir('/proc/%d/fd' % L.control.pid)) <= descriptors, 5,
                       'descriptors closed again')


@lab.measured
def garbage_over_tcp():
    rng = random.Random(SEED + 5)
    with Meanwhile():
        for _ in range(150):
            s = L.tcp()
            s.settimeout(0.05)
            with contextlib.suppress(OSError):
                for _ in range(rng.randrange(1, 10)):
                    body = bytearray(wire.query(wire.name('www.example.com'), rng.choice((1, 252, 255)), edns=wire.opt()))
                    for _ in range(rng.randrange(0, 6)):
                        body[rng.randrange(len(body))] = rng.randrange(256)
                    s.sendall(struct.pack('>H', len(body) + rng.choice((0, 0, 0, -3, 7))) + body)
                s.recv(4096)
            s.close()
            L.sockets.remove(s)


BAD_ZONES = (
    ('no SOA', '@ NS ns1\nns1 A 192.0.2.1\n'),
    ('no NS', '@ SOA ns1 h 1 1 1 1 1\n'),
    ('two SOA', '@ SOA ns1 h 1 1 1 1 1\n@ SOA ns1 h 2 1 1 1 1\n@ NS ns1\n'),
    ('CNAME and other data', lab.ZONE + 'www CNAME ns1\n'),
    ('all outside the zone', lab.ZONE.replace('example.com', 'example.net')),
    ('syntax', lab.ZONE + 'www A 192.0.2.999\n'),
    ('short generic RDATA', lab.ZONE + 'x TYPE1 \\# 3 010203\n'),
    ('meta-type', lab.ZONE + 'x TYPE255 \\# 1 01\n'),
    ('include of itself', lab.ZONE + '$INCLUDE example.com.zone\n'),
    ('missing include', lab.ZONE + '$INCLUDE nothing.zone\n'),
    ('unclosed', lab.ZONE + 'x TXT ( "a"\n'),
    ('binary', '\0\1\2\3' * 100),
)


@lab.measured
def bad_zones_leave_the_old_data():
    with Meanwhile():
        for what, text in BAD_ZONES:
            L.write_zone('example.com', text)
            reply = L.command('zone-reload', zone='example.com')
            wanted = 'cannot-read' if what == 'missing include' else 'bad-zone'
            check(reply['ok'] is False and reply['code'] == wanted, '%s: %s', what, reply)
            check(any('example.com.zone' in d for d in reply.get('details', [])), '%s: no file and line: %s', what,
                  reply)
            equal(L.ask_control('zone-show', zone='example.com')['state'], 'stale', what)
        L.write_zone('example.com', lab.ZONE)
        equal(L.ask_control('zone-reload', zone='example.com')['rows'][0]['state'], 'serving', 'a good one again')


BAD_CONFIGURATIONS = (
    ('serve: 1\n', 1, 'serve'),
    ('server:\n  listen: [127.0.0.1]\n  colour: red\n', 3, 'colour'),
    ('server:\n  listen: [127.0.0.1]\n  listen: [127.0.0.2]\n', 3, 'listen'),
    ('server:\n  listen: [127.0.0.1, 127.0.0.1]\n', 2, '127.0.0.1'),
    ('server:\n  listen: [localhost]\n', 2, 'localhost'),
    ('server:\n  listen: &a [127.0.0.1]\n  identity: *a\n', 2, ''),
    ('server:\n  listen: {a: b}\n', 2, 'listen'),
    ('server:\n  listen: [127.0.0.1]\nzone:\n  - domain: example.com\n    file: missing.zone\n', 5, 'missing.zone'),
    ('server:\n  listen: [127.0.0.1]\nzone:\n  - domain: a..b\n    file: good.zone\n', 4, 'a..b'),
    ('server:\n  listen: [127.0.0.1]\nzone:\n  - domain: A.example\n    file: good.zone\n  - domain: a.example.\n'
     '    file: good.zone\n', 6, 'a.example'),
    ('server:\n  listen: [127.0.0.1]\ntable:\n  memory: much\n', 4, 'much'),
    ('server:\n  listen: [127.0.0.1]\ndataplane:\n  cores: [1, 1]\n', 4, '1'),
    ('server:\n  listen: [127.0.0.1]\n  tcp: {idle-timeout: -1s}\n', 3, '-1s'),
    ('server: [\n', None, ''),
    ('\0', None, ''),
    ('', None, ''),
)


def bad_configurations_are_refused_with_file_line_and_reason():
    folder = L.path('configurations')
    os.mkdir(folder)
    with open(os.path.join(folder, 'good.zone'), 'w') as f:
        f.write(lab.ZONE)
    path = os.path.join(folder, 'bad.yaml')
    for text, line, word in BAD_CONFIGURATIONS:
        with open(path, 'w') as f:
            f.write(text)
        # A zone file that is missing keeps only its zone from being served.
        programs = [('POLLUX_CONTROL', ['--check'])]
        if 'missing.zone' not in text:
            programs += [('POLLUX_CONTROL', []), ('POLLUX_DATAPLANE', [])]
        for program, options in programs:
            r = lab.run(os.environ[program], *options, '--config', path, check_status=False)
            check(r.returncode > 0, '%r: status %s', text, r.returncode)
            where = 'bad.yaml:' if line is None else 'bad.yaml:%d:' % line
            check(where in r.stderr and word in r.stderr, '%s: %r: not %r with %r:\n%s', program, text, where, word,
                  r.stderr)
    r = lab.run(os.environ['POLLUX_CONTROL'], '--check', '--config', os.path.join(folder, 'none.yaml'),
                check_status=False)
    check(r.returncode > 0 and 'none.yaml' in r.stderr, 'a missing file: %s', r.stderr)
    with open(path, 'w') as f:
        f.write('server:\n  listen: [127.0.0.1@5300]\nzone:\n  - domain: example.com\n    file: good.zone\n')
    lab.run(os.environ['POLLUX_CONTROL'], '--check', '--config', path)
    # A bad zone fails --check too, and is named.
    with open(os.path.join(folder, 'good.zone'), 'a') as f:
        f.write('www CNAME ns1\n')
    r = lab.run(os.environ['POLLUX_CONTROL'], '--check', '--config', path, check_status=False)
    check(r.returncode > 0 and 'good.zone' in r.stderr, 'a bad zone: %d %s', r.returncode, r.stderr)


def interfaces_that_cannot_serve():
    """An interface that is not there, or with an MTU that native XDP cannot take."""
    L.dataplane.stop()
    L.in_server('ip', 'link', 'set', 'eth0', 'mtu', 9000)
    for ports, word in ((['interface: nosuch0'], 'nosuch0'), (['interface: eth0'], 'MTU')):
        L.ports = ports
        L.write_configuration()
        before = len(L.dataplane.output())
        L.start_dataplane(wait=False)
        lab.wait_until(lambda: not L.dataplane.running(), 20,
                       lambda: 'the dataplane gives up:\n%s' % L.dataplane.output())
        L.dataplane.expect_status = (L.dataplane.popen.returncode,)
        said = L.dataplane.output()[before:]
        check(L.dataplane.popen.returncode > 0 and word in said, 'status %s:\n%s', L.dataplane.popen.returncode, said)
    L.in_server('ip', 'link', 'set', 'eth0', 'mtu', 1500)
    L.start_dataplane()
    with L.counting(answered=1):
        L.ask('www.example.com', 'A')


lab.main(L, frames_cut_at_every_length, mutated_frames, mutated_messages, random_frames,
         garbage_to_the_control_socket, garbage_to_the_attach_socket, garbage_over_tcp, bad_zones_leave_the_old_data,
         bad_configurations_are_refused_with_file_line_and_reason, interfaces_that_cannot_serve)
