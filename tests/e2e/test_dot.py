#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS over TLS (RFC 7858) beside a running dataplane: clients that we did not write,
resumption, padding, reloads, limits, and what clients do wrong."""
import contextlib
import os
import re
import socket
import ssl
import struct
import subprocess
import time

import lab
import wire
from lab import SERVER4, SERVER6, check, equal

IDLE, CLIENTS = 2, 40

L = lab.Lab({'example.com': lab.ZONE + ''.join('long TXT "%s"\n' % (('%04d' % i) * 60) for i in range(250))
             + ''.join('m%d A 192.0.2.%d\n' % (i, i) for i in range(200))},
            server='  threads: 2\n  tls: {}\n  tcp: {max-clients: %d, idle-timeout: %ds, first-byte-timeout: 1s}\n'
                   % (CLIENTS, IDLE))


def context(version=None, alpn=('dot',)):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    if version:
        c.minimum_version = c.maximum_version = version
    if alpn:
        c.set_alpn_protocols(alpn)
    return c


def tls(server=SERVER4, **options):
    return context(**options).wrap_socket(L.tcp(server, 853))


def framed(message):
    return struct.pack('>H', len(message)) + message


def question(name, qtype=wire.A, ident=0, **options):
    return framed(wire.query(wire.name(name), qtype, ident=ident, **options))


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


def served():
    """Somebody else is still answered."""
    with tls() as s:
        s.sendall(question('www.example.com', ident=4711))
        m = answer(s)
        equal((m.ident, m.rcode, len(m.answer)), (4711, 0, 1), 'answer')


def pin():
    return re.findall(r'pin-sha256="([^"]+)"', L.control.output())[-1]


def closed(s):
    try:
        return s.recv(1) == b''
    except (ConnectionResetError, ssl.SSLError):
        return True


def kdig_and_dig():
    for server in (SERVER4, SERVER6):
        for command in (('kdig', '+tls'), ('kdig', '+tls', '+tls-pin=' + pin()), ('dig', '+tls')):
            out = L.in_client(*command, '@' + server, 'www.example.com', '+short')
            equal(out.split(), ['192.0.2.1'], ' '.join(command))


def a_wrong_pin_is_noticed():
    r = L.in_client('kdig', '+tls', '+tls-pin=' + 'A' * 43 + '=', '@' + SERVER4, 'www.example.com',
                    '+short', check_status=False)
    check('192.0.2.1' not in r.stdout, '%s', r.stdout)


def s_client(*arguments):
    return L.in_client('openssl', 's_client', '-connect', SERVER4 + ':853', *arguments, check_status=False)


def openssl_and_gnutls():
    for version in ('-tls1_2', '-tls1_3'):
        r = s_client(version, '-alpn', 'dot')
        check('ALPN protocol: dot' in r.stdout, '%s', r.stdout)
    out = L.in_client('gnutls-cli', '--insecure', '--port', '853', '--alpn', 'dot', SERVER4, check_status=False)
    check('Handshake was completed' in out.stdout, '%s%s', out.stdout, out.stderr)
    check(pin() in out.stdout, 'gnutls-cli sees another pin than the log has:\n%s', out.stdout)


def old_versions_and_other_protocols_are_refused():
    r = s_client('-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0')
    check('Cipher is (NONE)' in r.stdout, '%s', r.stdout)
    with lab_error('no application protocol'):
        tls(alpn=('h2',))
    with lab_error('no application protocol'):
        tls(alpn=('doq',))
    tls(alpn=None).close()


@contextlib.contextmanager
def lab_error(words):
    try:
        yield
    except (ssl.SSLError, ConnectionResetError) as e:
        check(words in str(e).replace('_', ' ').lower(), '%s', e)
    else:
        raise lab.Failure('nothing went wrong')


def resumption():
    for version in ('-tls1_2', '-tls1_3'):
        file = L.path('session.pem')
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file)
        # A query holds the connection open until the tickets are here.
        command = ['nsenter', '--net=/run/netns/' + L.client, 'openssl', 's_client', '-connect', SERVER4 + ':853', version]
        p = subprocess.Popen(command + ['-sess_out', file, '-quiet'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
        p.stdin.write(question('www.example.com'))
        p.stdin.flush()
        check(p.stdout.read(2), 'no answer')
        p.stdin.close()
        p.stdout.close()
        p.wait(10)
        r = s_client(version, '-sess_in', file)
        check('Reused, ' in r.stdout, '%s: %s', version, r.stdout)


def pipelined():
    with tls() as s:
        s.sendall(b''.join(question('m%d.example.com' % i, ident=i) for i in range(200)))
        equal([(m.ident, m.answer[0][4][3]) for m in (answer(s) for _ in range(200))],
              [(i, i) for i in range(200)], 'answers')


def octet_by_octet():
    with tls() as s:
        for c in question('m7.example.com') + question('m8.example.com'):
            s.send(bytes((c,)))
        equal([answer(s).answer[0][4][3] for _ in range(2)], [7, 8], 'answers')


def long_answers():
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with tls(version=version) as s:
            for _ in range(3):
                s.sendall(question('long.example.com', wire.TXT) * 3)
                for _ in range(3):
                    m = answer(s)
                    equal((len(m.answer), m.flags & wire.TC), (250, 0), 'answer')


def padding():
    """Asked for, answers come in blocks of 468 octets (RFC 8467 section 4.1)."""
    with tls() as s:
        s.sendall(question('www.example.com', edns=wire.opt(options=b'\0\x0c\0\0')))
        equal(len(answer(s).wire), 468, 'octets')
        s.sendall(question('www.example.com'))
        check(len(answer(s).wire) < 100, 'padding that was not asked for')


def half_closed():
    """After the client's end what was asked is still answered."""
    with tls() as s:
        s.sendall(b''.join(question('m%d.example.com' % i, ident=i) for i in range(50)))
        raw = socket.socket(fileno=os.dup(s.fileno()))
        raw.shutdown(socket.SHUT_WR)
        raw.close()
        equal(sorted(answer(s).ident for _ in range(50)), list(range(50)), 'answers')


def idle_connections_are_closed():
    """Whether they have said anything, or not even begun."""
    with L.tcp(port=853) as silent, L.tcp(port=853) as begun, tls() as asked:
        begun.sendall(bytes.fromhex('1603010100'))
        asked.sendall(question('www.example.com'))
        answer(asked)
        for s, longest in ((silent, 3), (begun, IDLE + 2), (asked, IDLE + 2)):
            s.settimeout(10)
            start = time.monotonic()
            with contextlib.suppress(ConnectionResetError, ssl.SSLError):
                while s.recv(1000):
                    pass
            check(time.monotonic() - start < longest, 'closed after %.1f s', time.monotonic() - start)


def more_connections_than_permitted():
    """The oldest go; memory does not."""
    sockets = [L.tcp(port=853) for _ in range(5 * CLIENTS)]
    served()
    for s in sockets:
        s.close()


def garbage():
    """Before, within and after the handshake."""
    hello = client_hello()
    junk = [os.urandom(300), b'GET / HTTP/1.1\r\n\r\n', question('www.example.com'), b'\x15\x03\x03\0\2\2\x28',
            b'\x15\x03\x03\0\2\1\0', b'\x17\x03\x03\x40\0' + b'\0' * 0x4000, b'\x16\x03\x01\xff\xff' + os.urandom(60000),
            b'\x16\x03\x03\0\4\x01\xff\xff\xff' + b'\0' * 1000, b'\x14\x03\x03\0\1\1' * 50, b'\0' * 30000]
    for data in junk:
        for before in (b'', hello[:1], hello[:40], hello):
            with L.tcp(port=853) as s, contextlib.suppress(OSError):
                s.sendall(before + data)
                s.shutdown(socket.SHUT_WR)
                got = 0
                while True:
                    some = s.recv(65536)
                    if not some:
                        break
                    got += len(some)
                check(got < 10000, '%d octets for garbage', got)
        with tls() as s:
            s.sendall(question('m1.example.com'))
            answer(s)
            raw = socket.socket(fileno=os.dup(s.fileno()))
            with contextlib.suppress(OSError):
                raw.sendall(data)
            raw.close()
    served()


def client_hello():
    """One as openssl sends it."""
    out, inn = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context().wrap_bio(inn, out).do_handshake()
    return out.read()


def resets_in_every_state():
    linger = struct.pack('ii', 1, 0)
    hello = client_hello()
    for data in (b'', hello[:100], hello):
        for _ in range(20):
            s = L.tcp(port=853)
            s.sendall(data)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            s.close()
    for sent in (b'', question('www.example.com')[:10], question('long.example.com', wire.TXT) * 30):
        for _ in range(10):
            s = tls()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            s.sendall(sent)
            s.close()
    served()


def replace_certificate(key='key.pem'):
    run = lambda *c: subprocess.run(c, check=True, capture_output=True)
    run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30',
        '-subj', '/CN=reloaded.example', '-keyout', L.path('key.pem'), '-out', L.path('cert.pem'))
    if key != 'key.pem':
        run('openssl', 'genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', L.path('key.pem'))


def reload_keeps_connections():
    with tls() as s:
        s.sendall(question('m1.example.com'))
        answer(s)
        old = s.getpeercert(True)
        L.server_extra = L.server_extra.replace('tls: {}', 'tls: {certificate: cert.pem, key: key.pem}')
        replace_certificate()
        L.write_configuration()
        L.polluxctl('reload')
        s.sendall(question('m2.example.com'))
        equal(answer(s).answer[0][4][3], 2, 'the old connection')
    with tls() as s:
        new = s.getpeercert(True)
        check(new != old, 'the certificate is the same')
        check(b'reloaded.example' in new, 'not the one that was configured')
    # A key of another certificate: what is in use stays.
    replace_certificate(key='other')
    r = L.polluxctl('reload', check_status=False)
    check(r.returncode != 0 and 'the key does not belong to the certificate' in r.stderr, '%d %s', r.returncode, r.stderr)
    check('the key does not belong to the certificate' in L.control.output(), 'the fault is not logged')
    with tls() as s:
        equal(s.getpeercert(True), new, 'certificate')
    r = L.in_server(os.environ['POLLUX_CONTROL'], '--config', L.path('pollux.yaml'), '--check', check_status=False)
    check(r.returncode != 0 and 'the key does not belong to the certificate' in r.stderr, '%d %s', r.returncode, r.stderr)
    replace_certificate()
    L.polluxctl('reload')
    served()


def counted():
    with L.counting(control_tcp_accepted='>=1', control_answered='>=1'):
        served()


lab.main(L, kdig_and_dig, a_wrong_pin_is_noticed, openssl_and_gnutls, old_versions_and_other_protocols_are_refused,
         resumption, pipelined, octet_by_octet, long_answers, padding, half_closed, idle_connections_are_closed,
         more_connections_than_permitted, garbage, resets_in_every_state, reload_keeps_connections, counted)
