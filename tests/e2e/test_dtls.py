#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS over DTLS (RFC 8094) beside DNS over QUIC on one UDP port: clients that we did not
write, a crowd of both, and datagrams that are neither."""
import os
import select
import socket
import struct
import subprocess
import time

import lab
import wire
from lab import SERVER4, SERVER6, check, equal

L = lab.Lab({'example.com': lab.ZONE + ''.join('long TXT "%s"\n' % (('%04d' % i) * 60) for i in range(250))
             + ''.join('m%d A 192.0.2.%d\n' % (i, i) for i in range(200))},
            server='  threads: 2\n  tls: {}\n  tcp: {max-clients: 3000, max-clients-per-prefix: 3000, idle-timeout: 5s}\n')


def query(name, qtype=wire.A, **options):
    return wire.query(wire.name(name), qtype, **options).hex()


def swarm(*arguments, server=SERVER4, port=853):
    """What swarm.c prints of each kind of client, {'dtls': {'clients': 1, ...}}; other lines under ''."""
    r = L.in_client(os.environ['POLLUX_SWARM'], *arguments[:-1], server, port, *arguments[-1].split(), check_status=False)
    equal(r.returncode, 0, 'swarm %s: %s%s' % (arguments, r.stdout, r.stderr))
    out = {'': []}
    for line in r.stdout.splitlines():
        words = line.split()
        if '=' in line:
            out[words[0]] = {k: int(v) for k, v in (w.split('=') for w in words[1:])}
        else:
            out[''].append(line)
    return out


def one(message, server=SERVER4):
    return wire.Message(bytes.fromhex(swarm('--dtls', '1', '--print', message, server=server)[''][0]))


def served():
    equal(one(query('www.example.com', ident=99)).ident, 99, 'id')


def a_question():
    for server in (SERVER4, SERVER6):
        m = one(query('m7.example.com', ident=4711), server)
        equal((m.ident, m.rcode, m.answer[0][4][3]), (4711, 0, 7), 'answer')


def s_client(*arguments):
    return subprocess.Popen(['nsenter', '--net=/run/netns/' + L.client, 'openssl', 's_client', '-dtls1_2', '-quiet', '-nbio',
                             '-connect', SERVER4 + ':853', *arguments], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def ask_through(p, number):
    p.stdin.write(bytes.fromhex(query('m%d.example.com' % number, ident=number)))
    p.stdin.flush()
    check(select.select([p.stdout], [], [], 5)[0], 'no answer %d', number)
    m = wire.Message(os.read(p.stdout.fileno(), 2000))
    equal((m.ident, m.answer[0][4][3]), (number, number), 'answer')


def openssl():
    p = s_client()
    ask_through(p, 9)
    p.kill()
    p.wait()


def a_forged_initial_from_its_address():
    """The first packet of a QUIC connection, which anybody can send in anybody's name, does not
    take a DTLS client's datagrams away from it."""
    with L.socket(socket.AF_PACKET, socket.SOCK_RAW, namespace=L.server) as s:
        s.bind(('eth0', 3))
        swarm('--doq', '1', query('www.example.com'))
        s.settimeout(2)
        while True:
            frame = s.recv(2000)
            if frame[12:14] == b'\x08\0' and frame[23] == 17 and frame[36:38] == struct.pack('>H', 853):
                break
    initial = frame[42:]
    check(initial[0] & 0xf0 == 0xc0 and len(initial) >= 1200, 'no Initial: %s', initial[:20].hex())
    time.sleep(1)  # its connection is forgotten
    p = s_client('-bind', '10.53.0.2:20853')
    ask_through(p, 9)
    with L.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as s:
        s.sendto(struct.pack('>HHHH', 20853, 853, 8 + len(initial), 0) + initial, (SERVER4, 0))
        time.sleep(0.2)
    for i in range(10, 15):
        ask_through(p, i)
    p.kill()
    p.wait()


def gnutls_cli():
    out = L.in_client('gnutls-cli', '--udp', '--insecure', '--port', '853', SERVER4, check_status=False)
    check('Handshake was completed' in out.stdout and 'DTLS1.2' in out.stdout, '%s%s', out.stdout, out.stderr)


def truncated():
    """What does not fit into a datagram comes with TC, whatever size the client names."""
    for edns in (None, wire.opt(size=1232), wire.opt(size=65535)):
        m = one(query('long.example.com', wire.TXT, edns=edns))
        check(m.flags & wire.TC, 'not truncated: %s', m)
        check(len(m.wire) <= 1232, '%d octets', len(m.wire))


def padding():
    m = one(query('www.example.com', edns=wire.opt(options=b'\0\x0c\0\0')))
    equal(len(m.wire), 468, 'octets')


def resumption():
    for _ in range(4):
        got = swarm('--dtls', '20', '--resume', query('www.example.com'))['dtls']
        equal((got['done'], got['resumed']), (20, 20), 'answered, resumed')


def a_thousand_of_each():
    """At one moment on one port; none is taken for the other."""
    got = swarm('--doq', '1000', '--dtls', '1000', '--wait', '60', '--times', '3',
                ' '.join(query('m%d.example.com' % i) for i in range(5)))
    for kind in ('doq', 'dtls'):
        g = got[kind]
        equal((g['shaken'], g['done'], g['wrong'], g['closed']), (1000, 1000, 0, 0), kind)
    equal(got['doq']['grease'], 0, 'clients that may clear the QUIC Bit')


def junk_before_each():
    """From the very ports of the clients, with first octets that are neither's."""
    got = swarm('--doq', '300', '--dtls', '300', '--junk', query('www.example.com'))
    equal((got['doq']['done'], got['dtls']['done']), (300, 300), 'answered')


def hello(session=b'', cookie=b'', version=b'\xfe\xfd'):
    body = (version + os.urandom(32) + bytes((len(session),)) + session + bytes((len(cookie),)) + cookie
            + struct.pack('>HHH', 4, 0xc02b, 0xc02f) + b'\1\0')
    message = b'\1' + len(body).to_bytes(3, 'big') + b'\0\0' + b'\0\0\0' + len(body).to_bytes(3, 'big') + body
    return b'\x16\xfe\xff' + b'\0' * 8 + struct.pack('>H', len(message)) + message


def nothing_before_the_cookie():
    """A flood of ClientHellos costs no memory and gets less than it sends; a wrong cookie is
    no cookie; what is no ClientHello gets nothing."""
    before = resident()
    with L.udp(port=853) as s:
        s.settimeout(0.5)
        s.send(hello())
        got = s.recv(2000)
        equal((got[0], got[13]), (22, 3), 'a HelloVerifyRequest')
        check(len(got) < len(hello()), '%d octets', len(got))
        s.send(hello(cookie=os.urandom(16)))
        equal(s.recv(2000)[13], 3, 'another HelloVerifyRequest')
        for bad in (hello()[:-1], hello() + b'\0', b'\x16\xfe\xfd' + os.urandom(100), hello(version=b'\3\3'),
                    b'\x17\xfe\xfd' + hello()[3:], b'\x15\xfe\xfd' + b'\0' * 8 + b'\0\2\2\x28', b'\x14' + hello()[1:]):
            s.send(bad)
        try:
            check(False, '%d octets for what is no ClientHello', len(s.recv(2000)))
        except socket.timeout:
            pass
        for _ in range(20000):
            s.send(hello())
    check(resident() - before < 4 << 20, 'memory grew by %d octets', resident() - before)
    served()


def resident():
    with open('/proc/%d/statm' % L.control.pid) as f:
        return int(f.read().split()[1]) * 4096


def silent_clients():
    """A thousand that shake hands, ask nothing and stay are let go after the idle time."""
    swarm('--dtls', '1000', '--silent', '--hold', '1', query('www.example.com'))
    served()


def vanished_clients():
    """Killed in every state: nothing is left after the idle time, and others are served."""
    for wait in (0.05, 0.2, 0.5):
        p = subprocess.Popen(['nsenter', '--net=/run/netns/' + L.client, os.environ['POLLUX_SWARM'], '--doq', '300',
                              '--dtls', '300', '--times', '1000', SERVER4, '853', query('www.example.com')],
                             stdout=subprocess.DEVNULL)
        time.sleep(wait)
        p.kill()
        p.wait()
        served()
    time.sleep(6)
    before = resident()
    swarm('--doq', '300', '--dtls', '300', query('www.example.com'))
    time.sleep(6)
    check(resident() - before < 8 << 20, 'memory grew by %d octets', resident() - before)


def dtls_off():
    L.server_extra = L.server_extra.replace('tls: {}', 'tls: {dtls: no}')
    L.write_configuration()
    L.control.stop()
    L.start_control()
    with L.udp(port=853) as s:
        s.settimeout(0.5)
        s.send(hello())
        try:
            check(False, '%d octets', len(s.recv(2000)))
        except socket.timeout:
            pass
    equal(swarm('--doq', '10', query('www.example.com'))['doq']['done'], 10, 'over QUIC')
    L.server_extra = L.server_extra.replace('tls: {dtls: no}', 'tls: {}')
    L.write_configuration()
    L.control.stop()
    L.start_control()
    served()


lab.main(L, a_question, openssl, a_forged_initial_from_its_address, gnutls_cli, truncated, padding, resumption, a_thousand_of_each, junk_before_each,
         nothing_before_the_cookie, silent_clients, vanished_clients, dtls_off)
