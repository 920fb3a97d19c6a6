#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of clients (server: tls: client-ca) over TLS, QUIC and DTLS: clients that we
did not write, with the identities of tests/client/make-identities, and reloads."""
import os
import ssl
import struct

import lab
import wire
from lab import SERVER4, SERVER6, check, equal

SERVER = '  threads: 2\n  tls: {%s}\n'
L = lab.Lab({'example.com': lab.ZONE}, server=SERVER % '')
OVER = ('+tls', '+quic')
QUERY = wire.query(wire.name('www.example.com'), wire.A)


def path(name):
    return L.path(os.path.join('id', name + '.pem'))


def make_identities():
    os.mkdir(L.path('id'))
    lab.run(os.path.join(lab.HERE, '..', 'client', 'make-identities'), L.path('id'))


def configure(tls, fault=None):
    """Reload with `tls: {tls}`; a fault that is to be told in the log."""
    before = len(L.control.output())
    L.server_extra = SERVER % tls
    L.write_configuration()
    equal(L.polluxctl('reload', check_status=False).returncode != 0, fault is not None, 'the reload fails')
    lab.wait_until(lambda: (fault or 'pin-sha256') in L.control.output()[before:], 5, 'the reload is logged')
    r = L.in_server(os.environ['POLLUX_CONTROL'], '--config', L.path('pollux.yaml'), '--check', check_status=False)
    equal(r.returncode != 0, fault is not None, '--check: %s' % r.stderr)
    check(not fault or fault in r.stderr, '--check says: %s', r.stderr)


def kdig(over, name=None, server=SERVER4):
    """Is the client with that certificate answered?"""
    # The transport comes last: +tls-certfile implies TLS.
    options = ['+tls-certfile=' + path(name), '+tls-keyfile=' + path('key')] if name else []
    r = L.in_client('kdig', '@' + server, '+short', '+retry=0', '+timeout=5', *options, over, 'www.example.com',
                    check_status=False)
    check(r.stdout.split() in ([], ['192.0.2.1']), '%s', r.stdout)
    return r.stdout != ''


def swarm(name=None):
    """How many of ten clients of QUIC and of ten of DTLS are answered."""
    options = ['--certificate', path(name), '--key', path('key')] if name else []
    r = L.in_client(os.environ['POLLUX_SWARM'], '--doq', '10', '--dtls', '10', *options, SERVER4, '853', QUERY.hex(),
                    check_status=False)
    return [int(line.split(' done=')[1].split()[0]) for line in r.stdout.splitlines()]


def gnutls_cli(*options, name=None):
    """What it says of its handshake and of the alert that it got."""
    certificate = ['--x509certfile', path(name), '--x509keyfile', path('key')] if name else []
    r = L.in_client('gnutls-cli', '--insecure', '--port', '853', *certificate, *options, SERVER4, check_status=False)
    return r.stdout + r.stderr


def answered(name):
    for over in OVER:
        for server in (SERVER4, SERVER6):
            check(kdig(over, name, server), 'kdig %s %s %s: no answer', over, name, server)
    equal(swarm(name), [10, 10], 'answered over QUIC and DTLS, %s' % name)


def refused(name):
    for over in OVER:
        check(not kdig(over, name), 'kdig %s %s: answered', over, name)
    equal(swarm(name), [0, 0], 'answered over QUIC and DTLS, %s' % name)


def refused_if_it_insists(name):
    """kdig shows no certificate of an authority that the server does not name."""
    equal(swarm(name), [0, 0], 'answered over QUIC and DTLS, %s' % name)
    out = gnutls_cli(name=name)
    check('CA is unknown' in out, '%s', out)


def context(version):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    c.minimum_version = c.maximum_version = version
    return c


def ask(s):
    s.sendall(struct.pack('>H', len(QUERY)) + QUERY)
    length = int.from_bytes(s.recv(2), 'big')
    equal(len(wire.Message(s.recv(length)).answer), 1, 'records')


def ask_again(c, session):
    """In a connection of its own, with the ticket; was that taken?"""
    with c.wrap_socket(L.tcp(SERVER4, 853), session=session) as s:
        ask(s)
        return s.session_reused


def a_reload_asks():
    """Connections go on; who comes has to show a certificate, whatever ticket it has."""
    make_identities()
    answered(None)
    clients = []
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        c = context(version)
        s = c.wrap_socket(L.tcp(SERVER4, 853))
        ask(s)
        clients.append((c, s, s.session))
        check(ask_again(c, s.session), '%s: no resumption', version)
    configure('client-ca: id/ca.pem')
    for c, s, session in clients:
        ask(s)
        s.close()
        try:
            ask_again(c, session)
        except (ssl.SSLError, ConnectionResetError):
            pass
        else:
            raise lab.Failure('the ticket lets it in')
        c.load_cert_chain(path('good'), path('key'))
        check(not ask_again(c, session), 'the ticket is taken')
    refused(None)


def good_ones():
    for name in ('good', 'plain', 'chain'):
        answered(name)


def bad_ones():
    for name in ('expired', 'future', 'server', 'stranger', 'forged', 'own'):
        refused(name)


def alerts():
    for options, none in (((), 'Certificate is required'), (('--udp',), 'Handshake failed'),
                          (('--priority', 'NORMAL:-VERS-ALL:+VERS-TLS1.2'), 'Handshake failed')):
        for name, words in ((None, none), ('expired', 'Certificate is expired'), ('stranger', 'CA is unknown'),
                            ('server', 'Certificate is not supported'), ('good', 'Simple Client Mode'),
                            ('chain', 'Simple Client Mode')):
            out = gnutls_cli(*options, name=name)
            check(words in out, '%s %s: %s', options, name, out)
            check(name not in ('good', 'chain') or 'alert' not in out, '%s %s: %s', options, name, out)


def request():
    """Who has none is answered, who has a bad one is not."""
    configure('client-ca: id/ca.pem, client-certificates: request')
    for name in (None, 'good'):
        answered(name)
    refused('expired')
    refused_if_it_insists('stranger')


def faults_leave_all_as_it_is():
    faulty = L.path('faulty.pem')
    for text, words in (('', 'faulty.pem: '), ('none\n', 'faulty.pem: there is no certificate in PEM form'),
                        (open(path('good')).read(), 'faulty.pem: certificate 1 of 1 is not that of an authority')):
        with open(faulty, 'w') as f:
            f.write(text)
        configure('client-ca: faulty.pem', fault=words)
    os.unlink(faulty)
    configure('client-ca: faulty.pem', fault='faulty.pem: No such file')
    configure('client-certificates: require', fault='tls: client-certificates needs client-ca')
    answered(None)
    refused_if_it_insists('stranger')


def other_authorities():
    configure('client-ca: id/other-ca.pem')
    answered('stranger')
    refused('good')
    with open(L.path('both.pem'), 'w') as f:
        f.write(open(path('ca')).read() + open(path('other-ca')).read())
    configure('client-ca: both.pem, client-certificates: require')
    answered('stranger')
    answered('good')
    refused(None)


def nobody_is_asked_again():
    configure('')
    answered(None)
    answered('stranger')


lab.main(L, a_reload_asks, good_ones, bad_ones, alerts, request, faults_leave_all_as_it_is, other_authorities,
         nobody_is_asked_again)
