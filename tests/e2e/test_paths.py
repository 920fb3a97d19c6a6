#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The differential tests' questions over both paths: first the control process alone on
the kernel's sockets, then the workers over AF_XDP.  The answers must be the same octets; of unsigned
zones and, mostly with DO, of signed ones."""
import os
import random
import sys
import tempfile

import lab
from lab import check, equal

sys.path.insert(0, os.path.join(lab.HERE, '..', 'differential'))
import ask
import questions
import signed
import zones

SCALE, SEED = (1.0 if lab.LONG else 0.1), int(os.environ.get('POLLUX_SEED', 20240101))
SIGNED_MAX = 10 ** 6 if lab.LONG else 12000  # questions about signed zones


def signed_world():
    """Signed zones, those that have no other's name, and questions about them."""
    texts, asked, rng = {}, [], random.Random(SEED)
    with tempfile.TemporaryDirectory(prefix='pollux-paths-') as folder:
        for apex, (records, arguments) in {**signed.WORLDS['mixed'], **signed.WORLDS['family']}.items():
            if arguments is None or apex in zones.WORLDS['zones']:
                continue
            texts[apex], _ = signed.sign(folder, apex, records, arguments)
            asked += [q for q in signed.ask_all(rng, *signed.owners(apex, records, texts[apex]), SCALE) if not q.tcp]
    return texts, rng.sample(asked, min(SIGNED_MAX, len(asked)))


SIGNED, ASKED = signed_world()
ASKED += [q for q in questions.world(zones.WORLDS['zones'], SEED, SCALE) if not q.tcp]
L = lab.Lab({**zones.WORLDS['zones'], **SIGNED}, ports=None, memory='256M')


def answers(server):
    return ask.udp((server, 53), ASKED, make=L.socket)


def both_paths_give_the_same_octets():
    print('# seed %d, %d questions, %d of them with DO' % (SEED, len(ASKED), sum(q.dnssec for q in ASKED)))
    servers = (lab.SERVER4, lab.SERVER6)
    before = [answers(s) for s in servers]
    L.ports = ('interface: eth0',)
    L.write_configuration()
    L.start_dataplane()
    with L.counting(answered='>=%d' % (1.9 * len(ASKED))):
        after = [answers(s) for s in servers]
    for server, one, other in zip(servers, before, after):
        for q, a, b in zip(ASKED, one, other):
            check((a is None) == (b is None) and (a is None or a[2:] == b[2:]), '%s: %s: %s by the kernel, %s by a worker',
                  server, q, a and a.hex(), b and b.hex())
    check(sum(a is not None for a in before[0]) > 0.98 * len(ASKED), 'too much silence')
    equal([(a or b'')[2:] for a in before[0]], [(a or b'')[2:] for a in before[1]], 'IPv4 and IPv6')


lab.main(L, both_paths_give_the_same_octets)
