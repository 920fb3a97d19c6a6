#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same questions over every transport get the same answer: UDP from a worker and
from the kernel's socket, TCP, TLS, QUIC and DTLS."""
import os
import ssl
import struct

import lab
import wire
from lab import SERVER4, SERVER6, check, equal

ZONE = lab.ZONE + '''*.wild TXT "a wildcard"
alias CNAME www
far CNAME www.example.net.
old DNAME www
sub NS ns.sub
ns.sub A 192.0.2.53
mail MX 10 www
''' + ''.join('many A 192.0.2.%d\n' % i for i in range(1, 60)) + ''.join(
    'long TXT "%s"\n' % (('%04d' % i) * 60) for i in range(250))

L = lab.Lab({'example.com': ZONE}, server='  threads: 2\n  tls: {}\n')

QUESTIONS = [('www', 'A'), ('www', 'AAAA'), ('www', 'MX'), ('WwW', 'A'), ('none', 'A'), ('', 'SOA'), ('', 'NS'), ('', 'A'),
             ('x.wild', 'TXT'), ('wild', 'TXT'), ('alias', 'A'), ('far', 'A'), ('x.old', 'A'), ('www.sub', 'A'), ('mail', 'MX'),
             ('many', 'A'), ('long', 'TXT'), ('www', 'ANY'), ('www', 'TYPE65280')]
OPTIONS = [None, wire.opt(), wire.opt(size=4096, flags=0x8000), wire.opt(size=512, options=b'\0\3\0\0'), wire.opt(version=1)]


def messages():
    for name, qtype in QUESTIONS:
        for edns in OPTIONS:
            number = int(qtype[4:]) if qtype.startswith('TYPE') else wire.TYPES[qtype]
            yield wire.query(wire.name((name + '.example.com').lstrip('.')), number, edns=edns)
    yield wire.query(wire.name('www.example.org'), wire.A)
    yield wire.query(wire.name('id.server'), wire.TXT, qclass=wire.CH)
    yield wire.query(wire.name('www.example.com'), wire.A, opcode=4)
    yield wire.query(wire.name('www.example.com'), wire.A)[:-1]
    yield wire.query(wire.name('www.example.com'), wire.A, edns=wire.opt())[:-1]


def over_udp(asked, server):
    return [L.exchange(m, server).wire for m in asked]


def stream(s, asked):
    def octets(n):
        out = b''
        while len(out) < n:
            data = s.recv(n - len(out))
            check(data, 'closed')
            out += data
        return out

    out = []
    for m in asked:
        s.sendall(struct.pack('>H', len(m)) + m)
        out.append(octets(int.from_bytes(octets(2), 'big')))
    return out


def over_tcp(asked, server):
    with L.tcp(server) as s:
        return stream(s, asked)


def over_tls(asked, server):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    with c.wrap_socket(L.tcp(server, 853)) as s:
        return stream(s, asked)


def swarm(kind, asked, server):
    out = []
    for i in range(0, len(asked), 50):
        text = L.in_client(os.environ['POLLUX_SWARM'], kind, '1', '--print', '--wait', '10', server, '853',
                           *[m.hex() for m in asked[i:i + 50]], check_status=False).stdout
        out += [bytes.fromhex(line) for line in text.splitlines() if '=' not in line]
    return out


def over_quic(asked, server):
    return swarm('--doq', asked, server)


def over_dtls(asked, server):
    return swarm('--dtls', asked, server)


def facts(octets):
    """All of an answer that must be the same."""
    m = wire.Message(octets)
    return (m.flags, m.opcode, m.rcode, m.question, sorted(m.answer), sorted(m.authority), sorted(m.additional), m.opt)


def compare(ways, server):
    asked = list(messages())
    got = {way.__name__: way(asked, server) for way in ways}
    for name, answers in got.items():
        equal(len(answers), len(asked), 'answers ' + name)
    cut = 0
    for i, m in enumerate(asked):
        whole = facts(got['over_tcp'][i])
        for name, answers in got.items():
            mine = facts(answers[i])
            if mine[0] & wire.TC:  # in datagrams, of answers that are long
                check(name in ('over_udp', 'over_dtls') and len(got['over_tcp'][i]) > 512,
                      '%s: %s is truncated', name, m.hex())
                equal((mine[0] & ~wire.TC, mine[1:4]), (whole[0], whole[1:4]), '%s: %s' % (name, m.hex()))
                cut += 1
                continue
            if any(q[1] == wire.ANY for q in whole[3]) and name != 'over_tcp':
                continue  # RFC 8482: over UDP the least, over streams all
            equal(mine, whole, '%s: %s' % (name, m.hex()))
    return cut


def every_transport():
    for server in (SERVER4, SERVER6):
        cut = compare((over_udp, over_tcp, over_tls, over_quic, over_dtls), server)
        check(cut >= 5, 'only %d answers were long enough to be truncated', cut)


def without_the_dataplane():
    L.dataplane.stop()
    compare((over_udp, over_tcp, over_tls, over_quic, over_dtls), SERVER4)
    L.start_dataplane()


def on_another_port():
    """tls: port is TCP's and UDP's, and 853 is nobody's then."""
    L.server_extra = L.server_extra.replace('tls: {}', 'tls: {port: 8853}')
    L.write_configuration()
    L.control.stop()
    L.start_control()
    for way in ('+tls', '+quic'):
        for server in (SERVER4, SERVER6):
            out = L.in_client('kdig', way, '-p', '8853', '+retry=0', '@' + server, 'www.example.com', '+short')
            equal(out.split(), ['192.0.2.1'], '%s at port 8853 of %s' % (way, server))
        r = L.in_client('kdig', way, '+retry=0', '+timeout=1', '@' + SERVER4, 'www.example.com', '+short', check_status=False)
        check('192.0.2.1' not in r.stdout, '%s at port 853, too', way)
    query = wire.query(wire.name('www.example.com'), wire.A).hex()
    out = L.in_client(os.environ['POLLUX_SWARM'], '--dtls', '1', SERVER4, '8853', query)
    check(' done=1 ' in out, 'DTLS at port 8853: %s', out)
    L.server_extra = L.server_extra.replace('tls: {port: 8853}', 'tls: {}')
    L.write_configuration()
    L.control.stop()
    L.start_control()


def with_kdig():
    """A client that we did not write, over the four that it speaks."""
    for name, qtype in QUESTIONS:
        got = {}
        for way in ('+notcp', '+tcp', '+tls', '+quic'):
            out = L.in_client('kdig', way, '+retry=0', '+noall', '+answer', '+authority', '@' + SERVER4,
                              '-t', qtype, '-q', (name + '.example.com').lstrip('.'))
            got[way] = sorted(line for line in out.split('\n') if line and not line.startswith(';'))
        if qtype == 'ANY' or name in ('many', 'long'):  # least over UDP, or too long for it
            del got['+notcp']
        wanted = got['+tcp']
        for way, lines in got.items():
            equal(lines, wanted, '%s %s %s' % (name, qtype, way))


lab.main(L, every_transport, without_the_dataplane, with_kdig, on_another_port)
