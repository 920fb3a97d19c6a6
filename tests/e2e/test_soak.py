#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of every transport come and go beside a load over UDP: all who behave are answered, and
once everything has its size no memory, descriptor or connection stays behind.

--alone: the control process without a dataplane.  From the environment: POLLUX_SOAK seconds (60),
POLLUX_SOAK_RATE questions a second over UDP (20000; 0: as many as are answered), POLLUX_SOAK_OUT a
file for the samples, one a second: second, then resident KiB and descriptors of each process."""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import lab
import wire
from lab import check

ALONE = '--alone' in sys.argv
if ALONE:
    sys.argv.remove('--alone')
SECONDS = int(os.environ.get('POLLUX_SOAK', 60))
RATE = int(os.environ.get('POLLUX_SOAK_RATE', 20000))
OUT = os.environ.get('POLLUX_SOAK_OUT')
WARM = min(60, SECONDS // 3)
# An allocator's and a sanitizer's own; what leaks at each of thousands of connections is far more.
SANITIZED = 'libasan' in subprocess.run(['ldd', os.environ['POLLUX_CONTROL']], capture_output=True, text=True).stdout
SPARE = (48 if SANITIZED else 4) << 10
os.environ['ASAN_OPTIONS'] = 'quarantine_size_mb=4:malloc_context_size=12:' + os.environ.get('ASAN_OPTIONS', '')
# What DPDK's driver of AF_XDP and its libraries never free; and the argument that rte_eal_init
# drops from the list that it is given.
LIBRARIES = 'leak:libxdp.so\nleak:libbpf.so\nleak:librte_\nleak:__vasprintf_internal\n'

L = lab.Lab({'example.com': lab.ZONE + ''.join('long TXT "%s"\n' % (('%04d' % i) * 60) for i in range(250))},
            ports=None if ALONE else ('interface: eth0',),
            server='  threads: 2\n  tls: {}\n  tcp: {max-clients-per-prefix: 1024, idle-timeout: 5s}\n')
QUESTIONS = [wire.query(wire.name(n), t).hex() for n, t in (
    ('www.example.com', wire.A), ('none.example.com', wire.A), ('example.com', wire.SOA), ('long.example.com', wire.TXT))]


def sample(pid):
    with open('/proc/%d/status' % pid) as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith('VmRSS'))
    return rss, len(os.listdir('/proc/%d/fd' % pid))


class Swarm:
    """Clients of DoQ and DTLS, a crowd after the other."""

    def __init__(self, server):
        self.server, self.rounds, self.faults, self.p = server, 0, [], None
        self.next()

    def next(self):
        how = [[], ['--resume'], ['--move'], ['--junk'], ['--silent']][self.rounds % 5]
        self.p = subprocess.Popen(
            ['nsenter', '--net=/run/netns/' + L.client, os.environ['POLLUX_SWARM'], '--doq', '20', '--dtls', '20',
             '--times', '2', '--wait', '30', *how, self.server, '853', *QUESTIONS[:3]], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=lab._child)
        self.silent, self.how = '--silent' in how, how
        self.rounds += 1

    def poll(self, last=False):
        if not last and self.p.poll() is None:
            return
        text = self.p.communicate(timeout=60)[0]
        if self.p.returncode and not self.silent:
            self.faults.append('%s, %s' % (' '.join(self.how), text))
        if not last:
            self.next()


def everybody_is_answered_and_nothing_grows():
    processes = {'control': L.control.pid}
    if not ALONE:
        processes['dataplane'] = L.dataplane.pid
    with open(L.path('load.zone'), 'w') as f:
        f.write(lab.ZONE)
    rate = ['--rate', str(RATE)] if RATE else []
    load = L.start('load', [os.environ['POLLUX_LOAD'], '--zone', L.path('load.zone'), '--domain', 'example.com', '--json',
                            L.path('load.json'), '--quiet', '--core', '0', '--time', str(SECONDS), *rate, 'interface:eth0', lab.SERVER4], L.client)
    churns = [L.start('churn-%d' % i, ['/usr/bin/python3', os.path.join(lab.HERE, 'churn.py'), kind, server, port,
                                       str(SECONDS), str(i)], L.client)
              for i, (kind, server, port) in enumerate((('tcp', lab.SERVER4, '53'), ('tcp', lab.SERVER6, '53'),
                                                        ('tls', lab.SERVER4, '853'), ('tls', lab.SERVER6, '853')))]
    swarm = Swarm(lab.SERVER4)
    samples, start = [], time.monotonic()
    while time.monotonic() < start + SECONDS:
        samples.append((time.monotonic() - start, {name: sample(pid) for name, pid in processes.items()}))
        swarm.poll()
        time.sleep(1)
    swarm.poll(last=True)
    for p in churns + [load]:
        p.popen.wait(60)
    if OUT:
        with open(OUT, 'w') as f:
            f.write('# second; resident KiB, descriptors: %s\n' % ', '.join(processes))
            for at, rows in samples:
                f.write('%.1f %s\n' % (at, ' '.join('%d %d' % rows[name] for name in processes)))

    faults = list(swarm.faults)
    connections = answers = 0
    for p in churns:
        r = json.loads(p.output().strip().split('\n')[-1])
        connections += r['connections']
        answers += r['answers']
        faults += r['faults']
    with open(L.path('load.json')) as f:
        r = json.load(f)
    print('# %d connections over TCP and TLS with %d answers, %d crowds over QUIC and DTLS, %d answers over UDP (%d lost)' % (
        connections, answers, swarm.rounds, r['answered'], r['lost']))
    ended = {name: n for name, n in L.counters().items() if n and name.startswith('control-') and name.endswith(
        ('-timed-out', '-evicted', '-refused', '-retried'))}
    print('# ended by the server: %s' % (', '.join('%s %d' % x for x in sorted(ended.items())) or 'none'))
    for name in processes:
        def middle(rows):
            return statistics.median(x[1][name][0] for x in rows), max(x[1][name][1] for x in rows)

        warm = [x for x in samples if x[0] >= WARM]
        early, late = middle(warm[:max(1, len(warm) // 4)]), middle(warm[-max(1, len(warm) // 4):])
        print('# %s: resident %d KiB after %d s, %d at the end; at most %d and %d descriptors' % (
            name, early[0], WARM, late[0], early[1], late[1]))
        check(late[0] <= early[0] * 1.02 + SPARE, '%s grew from %d to %d KiB', name, early[0], late[0])
    check(not faults, '%d faults: %s', len(faults), '\n'.join(faults[:10]))
    check(r['wrong'] == 0, '%d wrong answers over UDP: %s', r['wrong'], r['examples'][:3])
    check(connections > 4 * SECONDS and swarm.rounds > 1 and r['answered'] > 100 * SECONDS, 'too little was asked')


def descriptors_go_with_their_clients():
    """Once everybody has gone and the time-outs are over."""
    before = [None]

    def few():
        before[0] = sample(L.control.pid)[1]
        return before[0] < 100
    lab.wait_until(few, 60, lambda: '%s descriptors' % before)


with tempfile.NamedTemporaryFile('w', suffix='.supp') as suppressions:
    suppressions.write(LIBRARIES)
    suppressions.flush()
    os.environ['LSAN_OPTIONS'] = 'print_suppressions=0:suppressions=' + suppressions.name
    lab.main(L, everybody_is_answered_and_nothing_grows, descriptors_go_with_their_clients)
