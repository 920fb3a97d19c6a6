#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed zones change by transactions while a validator asks for what is there and what is not.

Versions of a zone with NSEC, and of one with NSEC3 whose salt changes too, are signed beforehand; each
transaction goes from one to another: names come and go with the records that deny the others, and
the chain is another.  delv, with the zone's key, must accept every answer.  That it would not
accept a wrong one is seen first.
"""
import collections
import concurrent.futures
import os
import random
import re
import shutil
import tempfile
import threading
import time

import lab
from lab import check, equal

SECONDS = 90 if lab.LONG else 15
NAMES = 400    # some of them in each version; more than are hashed anew at a time
VERSIONS = 6
ZONES = {'nsec.test': lambda v: [], 'nsec3.test': lambda v: ['-3', ('aa', 'bbcc', '-')[v % 3]],
         'optout.test': lambda v: ['-3', ('0102', '-')[v % 2], '-A']}


def text(domain, version, rng):
    out = ['$ORIGIN %s.' % domain, '$TTL 60', '@ SOA ns1 host %d 7200 900 1209600 60' % (version + 1), '@ NS ns1',
           'ns1 A 10.53.0.1', '*.w TXT "wildcard"', 'www A 192.0.2.1', 'alias CNAME www']
    for i in range(NAMES):
        if rng.random() < 0.6:
            kind = i % 10
            out.append('cut%d NS ns.elsewhere.invalid.' % i if kind == 3 else
                       'h.ent%d A 192.0.2.2' % i if kind == 4 else
                       '*.star%d TXT "x"' % i if kind == 5 else
                       'h%d.w A 192.0.2.3' % i if kind == 6 else 'h%d A 192.0.2.4' % i)
    return '\n'.join(out) + '\n'


def sign(folder, domain, number, arguments):
    source, out = os.path.join(folder, 'source'), os.path.join(folder, '%s.%d' % (domain, number))
    rng = random.Random('%s %d' % (domain, number))
    key = open(os.path.join(folder, '%s.key' % domain)).read()
    with open(source, 'w') as f:
        f.write(text(domain, number, rng) + re.sub(r'^;.*\n', '', key, flags=re.M))
    lab.run('dnssec-signzone', '-d', folder, '-q', '-z', '-P', '-S', '-K', folder, '-o', domain, '-O', 'full', '-f', out,
            *arguments, source)
    return re.sub(r'^;.*\n', '', open(out).read(), flags=re.M)


def rrsets(signed):
    """{(owner, type): its records' (TTL, RDATA)}; the signatures of an owner are one."""
    out = collections.defaultdict(set)
    for line in signed.splitlines():
        owner, ttl, _, kind, data = line.split(None, 4)
        out[owner, kind].add((ttl, data))
    return out


def transaction(domain, old, new):
    lines = ['zone ' + domain]
    for key in sorted(set(old) | set(new)):
        # The SOA always: its serial, which is signed, is raised otherwise.
        if old.get(key) != new.get(key) or key[1] == 'SOA':
            lines += ['set %s %s %s %s' % (key[0], ttl, key[1], data) for ttl, data in sorted(new.get(key, ()))] or \
                ['unset %s %s' % key]
    return '\n'.join(lines + ['commit', ''])


folder = tempfile.mkdtemp(prefix='pollux-denial-')
versions, anchors = {}, os.path.join(folder, 'anchors')
try:
    with open(anchors, 'w') as f:
        for domain in ZONES:
            base = lab.run('dnssec-keygen', '-q', '-K', folder, '-a', 'ECDSAP256SHA256', '-f', 'KSK', '-L', '3600',
                           domain).strip()
            shutil.copy(os.path.join(folder, base + '.key'), os.path.join(folder, domain + '.key'))
            key = re.search(r'DNSKEY (\d+) (\d+) (\d+) (.*)', open(os.path.join(folder, base + '.key')).read())
            f.write('trust-anchors { "%s." static-key %s %s %s "%s"; };\n' % ((domain,) + key.groups()))
            versions[domain] = [rrsets(sign(folder, domain, v, ZONES[domain](v))) for v in range(VERSIONS)]
    first = {d: open(os.path.join(folder, d + '.0')).read() for d in ZONES}
except BaseException:
    shutil.rmtree(folder)
    raise
L = lab.Lab(first)


def apply(lines):
    path = os.path.join(folder, 'transaction')
    with open(path, 'w') as f:
        f.write(lines)
    L.polluxctl('apply', path)


def verdict(domain, name, kind):
    """What delv thinks of the answer; again when it had none in time on a busy machine."""
    for _ in range(3):
        r = L.in_client('delv', '@' + lab.SERVER4, '-a', anchors, '+root=' + domain, '+nomultiline', '-t', kind,
                        '-q', '%s.%s' % (name, domain), check_status=False)
        if 'timed out' not in r.stdout + r.stderr:
            break
    found = re.search(r'^; (fully validated|negative response, fully validated|unsigned answer|'
                      r'negative response, unsigned answer)', r.stdout + r.stderr, re.M)
    return (found[1] if found else 'bogus'), r.stdout + r.stderr


def question(rng):
    i, x = rng.randrange(NAMES), rng.randrange(1000)
    name = rng.choice(['h%d' % i, 'h%d' % i, 'x%d' % x, 'x%d' % x, 'x.h%d' % i, 'ent%d' % i, 'h.ent%d' % i, 'x.ent%d' % i,
                       'h%d.w' % i, 'x%d.w' % x, 'x.star%d' % i, 'www', 'alias', 'x.y.z%d' % x])
    return rng.choice(list(ZONES)), name, rng.choice(['A', 'A', 'TXT', 'MX'])


def negative(domain, when):
    said, whole = verdict(domain, 'x1', 'A')
    check(said == 'negative response, fully validated', '%s: %s: %s', domain, when, whole)


def a_wrong_answer_is_refused():
    """Without one record of its chain a zone cannot deny what that covers."""
    for domain in ZONES:
        now = versions[domain][0]
        kind = 'NSEC' if domain == 'nsec.test' else 'NSEC3'
        gone = {k: v for k, v in now.items() if k[1] != kind or not k[0].endswith('.' + domain + '.')}
        check(len(gone) < len(now), 'nothing to be left out of %s', domain)
        negative(domain, 'before')
        apply(transaction(domain, now, gone))
        equal(verdict(domain, 'x1', 'A')[0], 'bogus', 'without the records')
        apply(transaction(domain, gone, now))
        negative(domain, 'after')


def every_answer_is_proved():
    rng = random.Random(1)
    stop, done, faults = threading.Event(), [0], []

    def change():
        at = dict.fromkeys(ZONES, 0)
        order = random.Random(2)
        try:
            while not stop.is_set():
                domain = order.choice(list(ZONES))
                to = order.choice([v for v in range(VERSIONS) if v != at[domain]])
                apply(transaction(domain, versions[domain][at[domain]], versions[domain][to]))
                at[domain] = to
                done[0] += 1
        except BaseException as fault:
            faults.append(fault)

    counts, bogus = collections.Counter(), []
    thread = threading.Thread(target=change)
    thread.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                asked = [question(rng) for _ in range(16)]
                for q, (said, whole) in zip(asked, pool.map(lambda q: verdict(*q), asked)):
                    counts[said] += 1
                    if said == 'bogus':
                        bogus.append('%s: %s' % (q, whole))
    finally:
        stop.set()
        thread.join()
    print('# %d transactions, answers: %s' % (done[0], ', '.join('%s %d' % kv for kv in sorted(counts.items()))))
    if faults:
        raise faults[0]
    check(not bogus, '%d bogus answers, the first: %s', len(bogus), bogus[:1])
    check(done[0] >= SECONDS, 'only %d transactions', done[0])
    check(counts['negative response, fully validated'] > 10, 'only %s', counts)


def a_gap_is_refused():
    """With dnssec-check: refuse, whole transactions that would leave one, with the name."""
    L.server_extra = '  dnssec-check: refuse\n'
    L.write_configuration()
    L.polluxctl('reload')
    for domain, kind in (('nsec.test', 'NSEC'), ('nsec3.test', 'NSEC3')):
        zone = L.polluxctl('zone', 'read', domain)
        owner = [line.split()[0] for line in zone.splitlines() if re.search(r'\s%s\s' % kind, line)][3]
        path = os.path.join(folder, 'transaction')
        with open(path, 'w') as f:
            f.write('zone %s\nset new 60 A 192.0.2.9\nunset %s %s\ncommit\n' % (domain, owner, kind))
        r = L.polluxctl('apply', path, check_status=False)
        check(r.returncode != 0 and 'would have a gap' in r.stdout + r.stderr, '%s', r)
        # The chain would stay closed, and go on to deny the new name.
        with open(path, 'w') as f:
            f.write('zone %s\nset new 60 A 192.0.2.9\ncommit\n' % domain)
        r = L.polluxctl('apply', path, check_status=False)
        check(r.returncode != 0 and 'lack the record of new.%s.' % domain in r.stdout + r.stderr, '%s', r)
        check(' new.' not in L.polluxctl('zone', 'read', domain), 'refused in part only')


try:
    lab.main(L, a_wrong_answer_is_refused, every_answer_is_proved, a_gap_is_refused)
finally:
    shutil.rmtree(folder)
