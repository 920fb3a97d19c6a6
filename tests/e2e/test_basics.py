#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of every kind over AF_XDP on veth, and what the kernel's path answers."""
import socket
import struct

import frames
import lab
import wire
from lab import check, equal

ZONE = lab.ZONE + '''
*.wild A 192.0.2.30
deleg NS ns.deleg
ns.deleg A 192.0.2.40
ns.deleg AAAA 2001:db8::40
alias CNAME www
dn DNAME target
a.target A 192.0.2.50
text TXT "only text"
CaSe A 192.0.2.60
_sip._udp SRV 1 2 5060 www
odd TYPE65280 \\# 3 010203
''' + ''.join('many A 10.0.%d.%d\n' % (i // 256, i % 256) for i in range(300)) \
    + ''.join('some A 10.1.0.%d\n' % i for i in range(60))

L = lab.Lab({'example.com': ZONE, 'example.org': lab.ZONE.replace('example.com', 'example.org')})
A = [socket.inet_aton('192.0.2.1')]


def values(message, section='answer', rtype=None):
    return [rr[4] for rr in getattr(message, section) if rtype is None or rr[1] == rtype]


@lab.measured
def positive():
    for server in (lab.SERVER4, lab.SERVER6):
        with L.counting(answered=1, steer_redirect=1, control_answered=0):
            m = L.ask('www.example.com', 'A', server=server)
        equal((m.rcode, m.flags & wire.AA, values(m)), (0, wire.AA, A), 'www A')
        check(not m.authority and not m.additional, 'more than asked for: %s', m)


@lab.measured
def kinds_of_answers():
    with L.counting(answered=11, control_answered=0, rcode_NXDOMAIN=1, rcode_REFUSED=1):
        m = L.ask('x.y.wild.example.com', 'A')
        equal((m.rcode, m.answer[0][0]), (0, wire.name('x.y.wild.example.com')), 'wildcard')
        m = L.ask('host.deleg.example.com', 'A')
        equal((m.rcode, m.flags & wire.AA, len(m.answer), len(m.authority), len(m.additional)), (0, 0, 0, 1, 2),
              'delegation')
        m = L.ask('nx.example.com', 'A')
        equal((m.rcode, m.authority[0][1], m.authority[0][3]), (3, wire.SOA, 300), 'NXDOMAIN')
        m = L.ask('text.example.com', 'A')
        equal((m.rcode, len(m.answer), m.authority[0][1]), (0, 0, wire.SOA), 'NODATA')
        m = L.ask('alias.example.com', 'A')
        equal((m.rcode, [rr[1] for rr in m.answer]), (0, [wire.CNAME, wire.A]), 'CNAME')
        m = L.ask('a.dn.example.com', 'A')
        equal((m.rcode, [rr[1] for rr in m.answer]), (0, [wire.DNAME, wire.CNAME, wire.A]), 'DNAME')
        m = L.ask('www.example.com', 'ANY')
        equal((m.rcode, len(m.answer)), (0, 1), 'ANY over UDP (RFC 8482)')
        m = L.ask('odd.example.com', 65280)
        equal(values(m), [b'\1\2\3'], 'unknown type')
        m = L.ask('www.example.org', 'A')
        equal(values(m), A, 'the other zone')
        m = L.ask('www.example.net', 'A')
        equal((m.rcode, m.flags & wire.AA), (wire.REFUSED, 0), 'no zone of ours')
        m = L.ask('example.com', 'SOA')
        equal((m.rcode, len(m.answer)), (0, 1), 'SOA')


def case_of_the_question_is_kept():
    with L.udp() as s:
        asked = wire.query(b'\x04cAsE\x07ExAmPlE\x03cOm\0', wire.A)
        s.send(asked)
        answer = s.recv(4096)
    equal(answer[12:len(asked)], asked[12:], 'question as asked')
    equal(wire.Message(answer).rcode, 0, 'rcode')


@lab.measured
def names_of_the_server():
    for name, text in (('version.bind', b'\x03e2e'), ('id.server', b'\x03lab'), ('hostname.bind', b'\x03lab')):
        with L.counting(answered=1):
            m = L.ask(name, 'TXT', qclass=wire.CH)
        equal(values(m), [text], name)


def sizes_and_truncation():
    for size, truncated in ((None, True), (512, True), (1232, False), (4096, False)):
        m = L.ask('some.example.com', 'A', edns=None if size is None else wire.opt(size))
        equal(bool(m.flags & wire.TC), truncated, 'TC at %s' % size)
        check(len(m.wire) <= max(512, min(1232, size or 512)), '%d octets at %s', len(m.wire), size)
        equal(m.opt is None, size is None, 'OPT')
    m = L.ask('many.example.com', 'A', edns=wire.opt(4096))
    check(m.flags & wire.TC and len(m.wire) <= 1232, 'an answer of 4800 octets over UDP')
    out = L.dig('many.example.com', 'A')  # sees TC, comes back over TCP
    check('Truncated, retrying in TCP' in out and 'ANSWER: 300' in out, 'TC then TCP:\n%s', out)


def over_tcp():
    with L.counting(control_tcp_accepted=2, answered=0):
        for server in (lab.SERVER4, lab.SERVER6):
            out = L.dig('+tcp', 'www.example.com', 'ANY', server=server)
            check('ANSWER: 2' in out, 'ANY over TCP:\n%s', out)


def other_tools_agree():
    out = L.in_client('kdig', '@' + lab.SERVER4, '+noretry', '+time=3', 'x.wild.example.com', 'A')
    check('192.0.2.30' in out and 'NOERROR' in out, 'kdig:\n%s', out)
    check('192.0.2.30' in L.dig('x.wild.example.com'), 'dig')


@lab.measured
def vlan_tags_are_kept():
    s = L.raw()
    s.setsockopt(263, 8, 1)  # PACKET_AUXDATA
    for tags in ((), (7,), (0x2007,), (100, 200)):
        for src, dst in ((lab.CLIENT4, lab.SERVER4), (lab.CLIENT6, lab.SERVER6)):
            with L.counting(answered=1, sent=1):
                s.send(frames.query(L.client_mac, L.server_mac, src, dst, 4242,
                                    wire.query(wire.name('www.example.com'), wire.A, ident=77), tags))
                while True:
                    frame = frames.receive(s)
                    try:
                        d = frames.Datagram(frame)
                    except frames.Bad as fault:
                        check(b'\x03www' not in frame, 'a bad answer: %s: %s', fault, frame.hex())
                        continue
                    if d.sport == 53:
                        break
            equal([t for _, t in d.tags], list(tags), 'tags')
            equal((d.src_mac, d.dst_mac), (frames.mac(L.server_mac), frames.mac(L.client_mac)), 'MAC addresses')
            equal((d.src, d.dst, d.dport), (dst, src, 4242), 'addresses')
            equal(values(wire.Message(d.payload)), A, 'answer with tags %s' % (tags,))
    s.close()


@lab.measured
def unfinished_and_absent_checksums():
    """What kernel senders on veth leave behind, and UDP without a checksum over IPv4."""
    s = L.raw()
    question = wire.query(wire.name('www.example.com'), wire.A, ident=78)
    s.send(frames.query(L.client_mac, L.server_mac, lab.CLIENT4, lab.SERVER4, 4243, question, checksum=False))
    while True:
        frame = frames.receive(s)
        if question[14:20] in frame:
            break
    equal(frames.Datagram(frame).dport, 4243, 'answer')
    s.close()


@lab.measured
def another_mac_is_not_ours():
    s = L.raw()
    other = '02:00:00:00:00:99'
    with L.counting(answered=1, control_answered=0):
        s.send(frames.query(L.client_mac, other, lab.CLIENT4, lab.SERVER4, 4244,
                            wire.query(wire.name('www.example.com'), wire.A)))
        L.ask('www.example.com', 'A')
    s.close()


@lab.measured
def the_kernel_path_answers_the_rest():
    padding = lambda n: wire.opt(1232, options=struct.pack('>HH', 12, n) + bytes(n))
    for what, message, counter in (
            ('oversized', wire.query(wire.name('www.example.com'), wire.A, edns=padding(1300)), 'pass-size'),
            ('fragmented', wire.query(wire.name('www.example.com'), wire.A, edns=padding(2500)), 'pass-fragment')):
        for server in (lab.SERVER4, lab.SERVER6):
            with L.counting(**{'answered': 0, 'control_answered': 1, 'steer_' + counter: '>=1'}):
                equal(values(L.exchange(message, server)), A, what)
    for opcode in (1, 2, 4, 5, 6, 15):
        with L.counting(answered=0, steer_pass_opcode=1):
            m = L.ask('www.example.com', 'A', opcode=opcode)
            check(m.rcode != 0 and m.opcode == opcode and not m.flags & wire.AA, 'opcode %d: %s', opcode, m)
    with L.udp() as s:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b'\x01\x01\x01\x00')
        with L.counting(answered=0, control_answered=1, steer_pass_options=1):
            s.send(wire.query(wire.name('www.example.com'), wire.A))
            equal(values(wire.Message(s.recv(4096))), A, 'IP options')
    with L.udp(lab.SERVER6) as s:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, b'\0\0\1\4\0\0\0\0')
        with L.counting(answered=0, control_answered=1, steer_pass_options=1):
            s.send(wire.query(wire.name('www.example.com'), wire.A))
            equal(values(wire.Message(s.recv(4096))), A, 'destination options')


@lab.measured
def the_punt_ring():
    """TSIG and IXFR over UDP are handed over and answered from the listening socket."""
    with L.counting(handed_over=1, control_answered='>=0'):
        r = L.in_client('dig', '@' + lab.SERVER4, '+tries=1', '+time=3', '+nocookie', '-y',
                        'hmac-sha256:key.example.com:c2VjcmV0IHNlY3JldCBzZWNyZXQ=', 'www.example.com',
                        check_status=False)
        check('->>HEADER<<-' in r.stdout, 'TSIG:\n%s', r.stdout)
    for server in (lab.SERVER4, lab.SERVER6):
        with L.counting(handed_over=1):
            r = L.in_client('dig', '@' + server, '+tries=1', '+time=3', '+nocookie', '+notcp', '+qr', 'example.com',
                            'IXFR=1', check_status=False)
            check('no servers could be reached' not in r.stdout and 'timed out' not in r.stdout, 'IXFR:\n%s', r.stdout)


def polluxctl_for_people_and_programs():
    check('example.com' in L.polluxctl('zone', 'list'), 'zone list')
    check('serving' in L.polluxctl('zone', 'show', 'example.com'), 'zone show')
    check('worker 0' in L.polluxctl('status'), 'status')
    check('redirect' in L.polluxctl('stats'), 'stats')
    check('"serial":1' in L.polluxctl('--json', 'zone', 'show', 'example.com').replace(' ', ''), '--json')
    equal(sorted(L.polluxctl('zone', 'read', 'example.com', 'www.example.com').split('\n'))[1:],
          ['www.example.com. 3600 IN A 192.0.2.1', 'www.example.com. 3600 IN AAAA 2001:db8::1'], 'zone read')
    r = L.polluxctl('zone', 'show', 'example.net', check_status=False)
    equal(r.returncode, 1, 'status of a failure')
    check(r.stderr and not r.stdout, 'an error goes to stderr: %r %r', r.stdout, r.stderr)


lab.main(
    L, positive, kinds_of_answers, case_of_the_question_is_kept, names_of_the_server, sizes_and_truncation,
    over_tcp, other_tools_agree, vlan_tags_are_kept, unfinished_and_absent_checksums,
    another_mac_is_not_ours, the_kernel_path_answers_the_rest, the_punt_ring,
    polluxctl_for_people_and_programs)
