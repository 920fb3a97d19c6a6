#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dataplane's other ports: pcap files, and memif with dpdk-testpmd as its client.

        dpdk-testpmd:  net_pcap (questions)  <->  net_memif  <-- socket -->  pollux-dataplane
"""
import glob
import os
import random
import signal
import time

import frames
import lab
import wire
from lab import check, equal

SERVER_MAC, CLIENT_MAC = '02:00:00:00:00:01', '02:00:00:00:00:02'
NAMES = ('www.example.com', 'nx.example.com', 'ns1.example.com', 'example.com', 'example.org')

L = lab.Lab(ports=None)


def asked(count):
    """(frames, {(address, port): question octets})"""
    rng, out, questions = random.Random(1), [], {}
    for i in range(count):
        src, dst = ((lab.CLIENT4, lab.SERVER4), (lab.CLIENT6, lab.SERVER6))[i % 2]
        message = wire.query(wire.name(rng.choice(NAMES)), rng.choice((wire.A, wire.AAAA, wire.SOA)), ident=i,
                             edns=rng.choice((None, wire.opt())))
        tags = rng.choice(((), (5,), (6, 7)))
        out.append(frames.query(CLIENT_MAC, SERVER_MAC, src, dst, 1024 + i, message, tags))
        questions[src, 1024 + i] = message, tags
    return out, questions


def verify(got, questions, once=True):
    """Every question answered (once), well, and nothing else sent."""
    seen = set()
    for frame in got:
        d = frames.Datagram(frame)
        message, tags = questions[d.dst, d.dport]
        check(not once or (d.dst, d.dport) not in seen, 'answered twice: %s', frame.hex())
        seen.add((d.dst, d.dport))
        m = wire.Message(d.payload)
        q = wire.Message(message)
        equal((m.ident, m.question, [t for _, t in d.tags]), (q.ident, q.question, list(tags)), 'answer')
        equal((d.src_mac, d.dst_mac, d.sport), (frames.mac(SERVER_MAC), frames.mac(CLIENT_MAC), 53), 'way back')
        name = m.question[0][0]
        equal(m.rcode, {wire.name('nx.example.com'): 3, wire.name('example.org'): 5}.get(name, 0), 'rcode')
    equal(len(seen), len(questions), 'questions answered')


def configure(ports):
    L.ports = ports
    L.write_configuration()


def a_pcap_is_answered_and_ends_the_run():
    good, questions = asked(5000)
    # Between them what must not be answered.
    other = [frames.query(CLIENT_MAC, SERVER_MAC, lab.CLIENT4, '10.53.0.9', 9, wire.query(b'\0', 1)),
             frames.query(CLIENT_MAC, SERVER_MAC, lab.CLIENT4, lab.SERVER4, 9, wire.query(b'\0', 1), dport=54),
             frames.query(CLIENT_MAC, SERVER_MAC, lab.CLIENT4, lab.SERVER4, 9, wire.query(b'\0', 1, flags=wire.QR)),
             frames.query(CLIENT_MAC, SERVER_MAC, lab.CLIENT4, lab.SERVER4, 9, b'short'),
             frames.ether(CLIENT_MAC, SERVER_MAC, frames.ip(lab.CLIENT4, lab.SERVER4, b'tcp', protocol=6)),
             # Takes several of DPDK's buffers, though all but padding is in the first one.
             frames.query(CLIENT_MAC, SERVER_MAC, lab.CLIENT4, lab.SERVER4, 9,
                          wire.query(wire.name('www.example.com'), wire.A)) + bytes(5000),
             b'\xff' * 60, bytes(14), frames.mac(SERVER_MAC) + frames.mac(CLIENT_MAC) + b'\x08\x06' + bytes(46)]
    mixed = []
    for i, frame in enumerate(good):
        mixed.append(frame)
        if i % 100 == 0:
            mixed.append(other[i // 100 % len(other)])
    frames.write_pcap(L.path('queries.pcap'), mixed)
    configure(['pcap: {read: queries.pcap, write: answers.pcap}'])
    L.start_dataplane(wait=False)
    lab.wait_until(lambda: not L.dataplane.running(), 60, 'the end of the run')
    equal(L.dataplane.popen.returncode, 0, 'exit status:\n%s' % L.dataplane.output())
    verify(frames.read_pcap(L.path('answers.pcap')), questions)


def garbage_pcaps_end_well():
    rng = random.Random(2)
    good, _ = asked(200)
    bad = []
    for frame in good:
        bad.append(frame[:rng.randrange(1, len(frame))])
        b = bytearray(frame)
        for _ in range(rng.randrange(1, 6)):
            b[rng.randrange(len(b))] = rng.randrange(256)
        bad.append(bytes(b))
        bad.append(rng.randbytes(rng.randrange(1, 1514)))
    frames.write_pcap(L.path('queries.pcap'), bad)
    L.start_dataplane(wait=False)
    lab.wait_until(lambda: not L.dataplane.running(), 60, 'the end of the run')
    equal(L.dataplane.popen.returncode, 0, 'exit status:\n%s' % L.dataplane.output())
    # A file that is none is a clear error.
    with open(L.path('queries.pcap'), 'w') as f:
        f.write('no pcap at all')
    L.start_dataplane(wait=False)
    lab.wait_until(lambda: not L.dataplane.running(), 60, 'the end of the run')
    check(L.dataplane.popen.returncode > 0, 'exit status %s', L.dataplane.popen.returncode)
    L.dataplane.expect_status = (L.dataplane.popen.returncode,)
    check('queries.pcap' in L.dataplane.output().split('ready')[-1], 'no word of the file:\n%s',
          L.dataplane.output()[-2000:])


def a_pcap_that_has_ended_holds_up_nothing():
    """While another goes on, what its worker might have read comes free."""
    good, _ = asked(500)
    frames.write_pcap(L.path('short.pcap'), good[:10])
    frames.write_pcap(L.path('long.pcap'), good)
    with open(L.path('long.pcap'), 'r+b') as f:
        body = f.read()[24:]
        rounds = (250 << 20) // len(body)
        for _ in range(rounds - 1):
            f.write(body)
    configure(['pcap: {read: short.pcap, write: back1.pcap}', 'pcap: {read: long.pcap, write: back2.pcap}'])

    def received(worker):
        return [row['counters']['received'] for row in L.ask_control('stats')['workers'] if row['name'] == worker]

    L.start_dataplane()
    lab.wait_until(lambda: received('worker 0') == [10] and received('worker 1') > [100], 20, 'the short one\'s end')
    L.polluxctl('zone', 'set', 'example.com', 'x 60 TXT y')
    lab.wait_until(lambda: L.ask_control('status')['table']['retired'] == 0, 10, 'memory that comes free')
    now = received('worker 1')
    check(L.dataplane.running() and now and now[0] < 500 * rounds, 'the long one had ended: %s', now)
    L.dataplane.kill()
    for name in ('long.pcap', 'back2.pcap'):
        os.unlink(L.path(name))


def testpmd(number, keep):
    """A memif client that sends the frames of queries.pcap over and over, and keeps what
    comes back if it is to."""
    return L.start('testpmd%d' % number, [
        'dpdk-testpmd', '--lcores', '0@0,1@0', '--no-shconf', '--no-huge', '-m', '256', '--no-pci', '--no-telemetry',
        '--file-prefix', L.server,
        '--vdev', 'net_memif0,role=client,id=0,socket-abstract=no,socket=' + L.path('memif.sock'),
        '--vdev', 'net_pcap0,infinite_rx=1,rx_pcap=' + L.path('queries.pcap') +
                  (',tx_pcap=' + L.path('back%d.pcap' % number) if keep else ''),
        '--', '--auto-start', '--forward-mode=io', '--total-num-mbufs=8192', '--no-mlockall',
        '--no-lsc-interrupt', '--stats-period', '1'], L.client)


def workers_received():
    return L.counters().get('received', 0)


def memif_clients_come_and_go():
    good, questions = asked(1000)
    frames.write_pcap(L.path('queries.pcap'), good)
    configure(['memif: memif.sock'])
    L.start_dataplane()
    for number in range(6 if lab.LONG else 3):
        before = workers_received()
        client = testpmd(number, keep=True)
        lab.wait_until(lambda: workers_received() >= before + 10 * len(good), 30,
                       lambda: 'questions received:\n%s' % client.output()[-3000:])
        client.send_signal(signal.SIGTERM)
        client.popen.wait(20)
        client.expect_status = (client.popen.returncode,)
        verify(frames.read_pcap(L.path('back%d.pcap' % number), 20 * len(good)), questions, once=False)
        os.unlink(L.path('back%d.pcap' % number))
        check(L.dataplane.running(), 'the dataplane ended:\n%s', L.dataplane.output())


def memif_clients_killed_under_load():
    for number in range(10, 20 if lab.LONG else 13):
        before = workers_received()
        client = testpmd(number, keep=False)
        lab.wait_until(lambda: workers_received() > before + 100000, 30,
                       lambda: 'load:\n%s' % client.output()[-3000:])
        client.kill()
        time.sleep(0.3)
        check(L.dataplane.running(), 'the dataplane ended:\n%s', L.dataplane.output())
    equal(L.ask('www.example.com', 'A').rcode, 0, "the kernel's path")
    equal(L.dataplane.stop(), 0, 'exit status')


def a_stale_memif_socket_is_removed():
    """A killed dataplane leaves its socket file; a running one's is not taken."""
    L.start_dataplane()
    L.dataplane.kill()
    check(os.path.exists(L.path('memif.sock')), 'no socket file')
    L.start_dataplane()
    equal(oct(os.stat(L.path('memif.sock')).st_mode & 0o777), oct(0o660), 'mode')
    first = L.dataplane
    L.start_dataplane(wait=False)
    second = L.dataplane
    lab.wait_until(lambda: not second.running(), 20, 'a second dataplane gives up')
    check(second.popen.returncode > 0, 'exit status %s', second.popen.returncode)
    second.expect_status = (second.popen.returncode,)
    L.dataplane = first
    check(first.running(), 'the first one ended')
    equal(first.stop(), 0, 'exit status')
    equal(glob.glob(L.path('memif*.sock')), [], 'socket files left')


lab.main(L, a_pcap_is_answered_and_ends_the_run, garbage_pcaps_end_well,
         a_pcap_that_has_ended_holds_up_nothing, memif_clients_come_and_go,
         memif_clients_killed_under_load, a_stale_memif_socket_is_removed)
