#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A zone of a million names: loaded, served by the workers, read back as it was."""
import os
import random
import subprocess
import time

import lab
import wire
from lab import check, equal

NAMES = 1_000_000
SEED = 20240101


def label(i):
    """Names of many lengths, in no order; every tenth one has a child."""
    return 'n%x-%s' % (i * 2654435761 & 0xffffffff, 'abcdefghijklmnop'[:i % 17])


def write(path):
    """The zone in the form and, but for the order, with the words in which it is read
    back: the lines themselves can be compared."""
    with open(path, 'w') as f:
        f.write('million.test. 3600 IN SOA ns.million.test. hostmaster.million.test. 7 7200 900 1209600 300\n'
                'million.test. 3600 IN NS ns.million.test.\n'
                'ns.million.test. 3600 IN A 10.53.0.1\n')
        for i in range(NAMES - 2):
            name = '%s.million.test.' % label(i if i % 10 else i + 1)
            if i % 10 == 0:
                name = 'child.' + name
            f.write('%s 3600 IN A 10.%d.%d.%d\n' % (name, i >> 16 & 255, i >> 8 & 255, i & 255))
            if i % 4 == 0:
                f.write('%s 3600 IN AAAA 2001:db8::%x:%x\n' % (name, 1 + (i >> 16), 1 + (i & 0x7fff)))


L = lab.Lab(memory='2G')


def loaded():
    path = L.path('million.zone')
    write(path)
    start = time.monotonic()
    row = L.ask_control('zone-add', zone='million.test', file=path)
    seconds = time.monotonic() - start
    table = L.ask_control('status')['table']
    equal((row['state'], row['serial']), ('serving', 7), 'the zone')
    check(row['names'] >= NAMES, '%d names', row['names'])
    print('# loaded %d names, %d records (%.0f MB of text) in %.2f s; %.0f octets of table a name, %.0f at the peak' % (
        row['names'], row['records'], os.path.getsize(path) / 1e6, seconds, table['used'] / row['names'],
        table['peak'] / row['names']))


def served():
    rng = random.Random(SEED)
    with L.counting(answered='>=4000', control_answered=0), L.udp() as s:
        for _ in range(2000):
            i = rng.randrange(1, NAMES - 2)
            name = ('child.%s' % label(i + 1) if i % 10 == 0 else label(i)) + '.million.test.'
            s.send(wire.query(wire.name(name), wire.A))
            m = wire.Message(s.recv(4096))
            equal([rr[4] for rr in m.answer], [bytes((10, i >> 16 & 255, i >> 8 & 255, i & 255))], name)
            s.send(wire.query(wire.name('x' + name), wire.A))
            m = wire.Message(s.recv(4096))
            equal((m.rcode, m.authority[0][1]), (wire.NXDOMAIN, wire.SOA), 'x' + name)


def read_back_as_written():
    start = time.monotonic()
    with open(L.path('read.txt'), 'w') as f:
        r = subprocess.run([os.environ['POLLUXCTL'], '--socket', L.path('run', 'control.sock'), 'zone', 'read',
                            'million.test'], stdout=f, stderr=subprocess.PIPE, text=True, timeout=300)
    equal((r.returncode, r.stderr), (0, ''), 'polluxctl zone read')
    print('# read back in %.2f s' % (time.monotonic() - start))
    with open(L.path('read.txt')) as f:
        read = f.read().splitlines()
    with open(L.path('million.zone')) as f:
        written = f.read().splitlines()
    equal(len(read), len(written), 'lines')
    keys = [line.split(' ', 1)[0][:-1].split('.')[::-1] for line in read]
    check(keys == sorted(keys), 'not in canonical order')
    read.sort()
    written.sort()
    for a, b in zip(read, written):
        equal(a, b, 'a line')


@lab.measured
def reloaded_while_asked():
    """A reload of all of it keeps the workers answering; another serial, one name changed."""
    with open(L.path('million.zone'), 'r+') as f:
        old = L.ask_control('zone-show', zone='million.test')['serial']
        text = f.read().replace(' %d 7200' % old, ' %d 7200' % (old + 1), 1)
        f.seek(0)
        f.write(text)
        f.truncate()
    prober = L.prober(lab.SERVER4, 1000, 'nx%.million.test/A')
    start = time.monotonic()
    row = L.ask_control('zone-reload', zone='million.test')['rows'][0]
    print('# reloaded in %.2f s' % (time.monotonic() - start))
    time.sleep(0.1)
    rows = prober.stop()
    equal(row['serial'], old + 1, 'serial')
    equal([r for r in rows if r[1] is None], [], 'questions lost')
    equal(sorted({r[5]['soa'][0] for r in rows}), [old, old + 1], 'serials seen')


def removed():
    L.ask_control('zone-remove', zone='million.test')
    equal(L.ask('ns.million.test', 'A').rcode, wire.REFUSED, 'rcode')
    lab.wait_until(lambda: L.ask_control('status')['table']['used'] < 64 << 20, 30, 'the memory given back')


lab.main(L, loaded, served, read_back_as_written, reloaded_while_asked, removed)
