#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load generator against the dataplane: that it finds right answers right and wrong
ones wrong.  How fast it is nobody asks here.

        pollux-load  <-- memif, or AF_XDP on veth -->  pollux-dataplane
"""
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

import lab
import wire
from lab import check, equal

HERE = os.path.dirname(os.path.abspath(__file__))
ZONE = subprocess.run([sys.executable, os.path.join(HERE, '..', 'zonegen.py'), 'hosting', '--count', '3000'],
                      capture_output=True, text=True, check=True).stdout
DELEGATIONS = subprocess.run(
    [sys.executable, os.path.join(HERE, '..', 'zonegen.py'), 'delegations', '--count', '3000', '--origin', 'tld.'],
    capture_output=True, text=True, check=True).stdout
BOTH = (lab.SERVER4, lab.SERVER6)

L = lab.Lab(zones={'example.com': ZONE, 'tld': DELEGATIONS}, ports=['memif: memif.sock', 'interface: eth0'])


def load(*arguments, status=0, zone='example.com'):
    """Run pollux-load in the client's namespace; its results.  It gets one worker's CPU."""
    zone = ['--zone', L.zone_file(zone), '--domain', zone] if zone else []
    r = L.in_client(os.environ['POLLUX_LOAD'], '--core', 0, '--json', '-', '--count', 50000, '--timeout', 10, *zone, *arguments,
                    check_status=False)
    equal(r.returncode, status, 'exit status; it says:\n%s%s' % (r.stdout[-3000:], r.stderr[-3000:]))
    return json.loads(r.stdout)


def memif(*arguments, **options):
    return load(*arguments, 'memif:' + L.path('memif.sock'), *BOTH, **options)


def flawless(result):
    """All answers right, each sample among them compared as a whole."""
    shown = {k: v for k, v in result.items() if k != 'course'}
    check(result['answered'] > 50, 'too few answers: %s', shown)
    equal(result['wrong'], 0, 'wrong answers: %s' % shown)
    equal(result['right'], result['answered'], 'right answers: %s' % shown)
    check(result['sampled'] > 0, 'none compared: %s', shown)
    equal(result['answered'] + result['lost'], result['offered'], 'answered and lost: %s' % shown)


def answers_over_memif_are_right():
    r = memif('--profile', 'mixed', '--time', 2, '--sources', 5000, '--do', 10)
    flawless(r)
    equal(r['lost'], 0, 'lost over memif')
    equal(set(r['rcodes']), {'NOERROR', 'NXDOMAIN'}, 'rcodes')


def every_profile_is_answered():
    for profile, rcodes in (('hits', {'NOERROR'}), ('zipf', {'NOERROR'}), ('nxdomain', {'NXDOMAIN'}),
                            ('deep', {'NXDOMAIN'})):
        r = memif('--profile', profile, '--time', 0.3, '--sample', 1, '--vlan', '7,9')
        flawless(r)
        equal(set(r['rcodes']), rcodes, profile)
    r = memif('--profile', 'referrals', '--time', 0.3, '--sample', 1, zone='tld')
    flawless(r)


def a_fixed_rate_and_a_sweep():
    r = memif('--rate', 5000, '--time', 1)
    flawless(r)
    check(r['offered'] <= 5000 * r['seconds'] + 1, 'more than the rate: %d in %f s', r['offered'], r['seconds'])
    r = memif('--sweep', 0.1, '--step', 0.05, '--time', 0.3)
    check(r['wrong'] == 0 and len(r['sweep']['steps']) >= 10, 'sweep: %s', r['sweep'])


def answers_over_af_xdp_are_right():
    flawless(load('--profile', 'mixed', '--inflight', 64, '--time', 2, 'interface:eth0', *BOTH))
    equal(L.ask('www0.example.org', 'A').rcode, 5, "the interface's own traffic, after it")


def a_wrong_answer_is_noticed():
    """The zone that the generator believes in has other addresses, TTLs and names."""
    text = ZONE.replace('$TTL 3600', '$TTL 3601')
    with open(L.path('other.zone'), 'w') as f:
        f.write(text)
    other = ['--zone', L.path('other.zone'), '--domain', 'example.com', '--time', 0.3]
    r = memif(*other, '--sample', 1, '--type', 'A', zone=None, status=1)
    equal(r['wrong_by_kind']['content'], r['answered'], 'wrong content')
    check(r['examples'], 'no example')
    r = memif(*other, '--sample', 0, zone=None)
    equal((r['wrong'], r['sampled']), (0, 0), 'unseen without samples')
    with open(L.path('other.zone'), 'w') as f:
        f.write(ZONE + '\n'.join('new%d A 192.0.2.1' % i for i in range(3000)) + '\n')
    r = memif(*other, '--sample', 0, zone=None, status=1)
    check(r['wrong'] == r['wrong_by_kind']['rcode'] > 0, 'wrong rcodes: %s', r['wrong_by_kind'])


def questions_from_a_file_are_learnt():
    with open(L.path('questions'), 'w') as f:
        f.write('example.com SOA\nnx.example.com A E\nns1.example.com AAAA D\nexample.org A\n')
    r = memif('--queries', L.path('questions'), '--learn', '--sample', 1, '--time', 0.5, zone=None)
    flawless(r)
    equal(set(r['rcodes']), {'NOERROR', 'NXDOMAIN', 'REFUSED'}, 'rcodes')
    equal(r['sampled'], r['answered'], 'all compared')


def nobody_there_is_an_error():
    r = L.in_client(os.environ['POLLUX_LOAD'], '--core', 0, '--queries', L.path('questions'), 'interface:eth9',
                    lab.SERVER4, check_status=False)
    equal(r.returncode, 2, 'exit status')
    check('eth9: there is no such interface' in r.stderr, 'message: %s', r.stderr)


def the_way_leads_over_a_gateway():
    """Of a server that is not on the link the gateway's MAC address is found: the queries go
    out, and nobody there answers them."""
    L.in_client('ip', 'route', 'add', '10.99.0.0/24', 'via', lab.SERVER4)
    r = load('--queries', L.path('questions'), '--time', 0.2, '--timeout', 0.2, 'interface:eth0', '10.99.0.1',
             zone=None, status=1)
    check(r['sent'] > 0 and r['answered'] == 0, 'sent and answered: %s', r)
    L.in_client('ip', 'route', 'add', 'unreachable', '10.98.0.0/24')
    r = L.in_client(os.environ['POLLUX_LOAD'], '--core', 0, '--queries', L.path('questions'), 'interface:eth0',
                    '10.98.0.1', check_status=False)
    equal(r.returncode, 2, 'exit status')
    check('no way to the server' in r.stderr, 'message: %s', r.stderr)


def the_report_says_what_it_comes_down_to():
    def report(*arguments, status):
        r = L.in_client(os.environ['POLLUX_LOAD'], '--core', 0, '--queries', L.path('questions'), '--time', 0.3,
                        '--timeout', 10, *arguments, 'memif:' + L.path('memif.sock'), lab.SERVER4,
                        check_status=False)
        equal(r.returncode, status, 'exit status: %s%s' % (r.stdout, r.stderr))
        return r.stdout
    text = report(status=0)
    check('All answers were right' in text and 'queries a second with 512 under way.' in text, 'report: %s', text)
    text = report('--rate', 1000, status=0)
    check('The server answered 100 % of ' in text, 'report: %s', text)
    text = report('--echo', status=1)
    check('of the answers were WRONG' in text, 'report: %s', text)


def queries_from_a_capture():
    """As a user's capture has them; their answers are compared with the zone's."""
    names = ['www0.example.com', 'nx.example.com', 'example.com']
    frames = b''
    for i, name in enumerate(names):
        message = wire.query(wire.name(name), wire.A, ident=i)
        udp = struct.pack('!HHHH', 40000 + i, 53, 8 + len(message), 0) + message
        ip = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), bytes([10, 0, 0, 1])) + udp
        frame = bytes(12) + b'\x08\x00' + ip
        frames += struct.pack('<IIII', i, 0, len(frame), len(frame)) + frame
    with open(L.path('queries.pcap'), 'wb') as f:
        f.write(struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1) + frames)
    r = memif('--pcap', L.path('queries.pcap'), '--sample', 1, '--time', 0.3)
    flawless(r)
    equal((r['queries'], r['sampled']), (len(names), r['answered']), 'queries')


def memif_server(path, script):
    """A memif server that answers one client with the messages of a script, and hangs up."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(1)

    def serve():
        client, _ = listener.accept()
        with client, listener:
            for message, asked in script:
                client.send(message.ljust(128, b'\0'))
                for _ in range(asked):
                    client.recv(128)
            time.sleep(0.3)
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


HELLO = struct.pack('<H32sHHHHHB', 2, b'test', 0x200, 0x200, 8, 8, 8, 14)
ACK, CONNECTED = struct.pack('<H', 1), struct.pack('<H', 6)
REFUSAL = struct.pack('<HI96s', 8, 0, b'not today')


def memif_servers_that_misbehave():
    for name, script, status, words in (
            ('leaves', [(HELLO, 1), (ACK, 1), (ACK, 1), (ACK, 1), (ACK, 1), (struct.pack('<H', 7), 0)], 1,
             'The server went away.'),
            ('refuses', [(HELLO, 1), (ACK, 1), (REFUSAL, 0)], 2, 'not today'),
            ('hangs up', [(HELLO, 1), (ACK, 1)], 2, 'Connection reset by peer'),
            ('speaks out of turn', [(HELLO, 1), (CONNECTED, 0)], 2, 'Protocol error'),
            ('is too new', [(struct.pack('<H32sHHHHHB', 2, b'test', 0x300, 0x300, 8, 8, 8, 14), 0)], 2,
             'Protocol not supported')):
        path = L.path(name.replace(' ', '-') + '.sock')
        thread = memif_server(path, script)
        r = L.in_client(os.environ['POLLUX_LOAD'], '--core', 0, '--queries', L.path('questions'), '--time', 1,
                        '--timeout', 0.2, 'memif:' + path, lab.SERVER4, check_status=False)
        thread.join(5)
        check(r.returncode == status and words in r.stdout + r.stderr, 'a server that %s: status %d; %s%s', name,
              r.returncode, r.stdout, r.stderr)


lab.main(L, answers_over_memif_are_right, every_profile_is_answered, a_fixed_rate_and_a_sweep,
         answers_over_af_xdp_are_right, a_wrong_answer_is_noticed, questions_from_a_file_are_learnt,
         nobody_there_is_an_error, the_way_leads_over_a_gateway, the_report_says_what_it_comes_down_to,
         queries_from_a_capture, memif_servers_that_misbehave)
