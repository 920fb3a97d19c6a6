#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""differential.py - ask Pollux, NSD, Knot and BIND the same and compare.

    differential.py [--ours NAME] [--seed N] [--scale X] [--show N] [--keep]

Every difference between our server's answer and a peer's must be matched by an
entry of accepted.py; one that is not fails the test.  --ours names another server
than Pollux to be held against the rest, to learn where they disagree themselves.
Environment: POLLUX_CONTROL, the program under test.
"""
import argparse
import collections
import os
import shutil
import sys
import tempfile
import time

import accepted
import ask
import compare
import peers
import questions
import wire
import zones


def limit(q):
    if q.tcp:
        return 65535
    return 512 if q.edns is None else max(512, min(1232, q.edns))


def answers_of(server, asked):
    """Every question's answer, in order."""
    out = [None] * len(asked)
    for tcp, put in ((False, ask.udp), (True, ask.tcp)):
        chosen = [i for i, q in enumerate(asked) if q.tcp == tcp]
        for i, data in zip(chosen, put((server.address, server.port), [asked[i] for i in chosen])):
            out[i] = compare.read(data)
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--ours', default='pollux', choices=peers.ALL)
    parser.add_argument('--seed', type=int, default=int(os.environ.get('POLLUX_SEED', 20240101)))
    parser.add_argument('--scale', type=float, default=1.0 if os.environ.get('POLLUX_LONG') == '1' else 0.5)
    parser.add_argument('--show', type=int, default=5, help='examples of each kind of unexplained difference')
    parser.add_argument('--keep', action='store_true', help='keep the working folder')
    options = parser.parse_args()
    names = [options.ours] + [n for n in peers.ALL if n not in ('pollux', options.ours)]
    print('seed %d; %s' % (options.seed, ', '.join(names)))

    counts = collections.Counter()
    used = collections.Counter()
    unexplained = collections.defaultdict(list)
    faults = []
    total = 0
    folder = tempfile.mkdtemp(prefix='pollux-differential-')
    try:
        for world, texts in zones.WORLDS.items():
            asked = questions.world(texts, options.seed, options.scale)
            known = accepted.World((wire.name(a).lower() for a in texts), {n.lower(): t for n, t in questions.owners(texts).items()})
            place = os.path.join(folder, world)
            os.mkdir(place)
            total += len(asked)
            by_tag = collections.Counter(q.tag.split('-')[0] for q in asked)
            print('world %s: %d zones, %d questions (%s)' % (
                world, len(texts), len(asked), ', '.join('%s %d' % kv for kv in sorted(by_tag.items()))))
            got = {}
            for name, port in zip(names, peers.free_ports(len(names))):
                start = time.monotonic()
                server = peers.ALL[name](place, port, texts)
                try:
                    loaded = time.monotonic()
                    got[name] = answers_of(server, asked)
                finally:
                    status = server.stop()
                print('  %-6s started in %.1f s, answered in %.1f s' % (
                    name, loaded - start, time.monotonic() - loaded))
                if name == 'pollux' and (status or peers.SANITIZED in open(server.log).read()):
                    faults.append('pollux-control ended with %s:\n%s' % (status, open(server.log).read()[-3000:]))
            for i, q in enumerate(asked):
                ours = got[options.ours][i]
                wrong = compare.alone(q, ours, limit(q))
                if isinstance(ours, wire.Message) and accepted.is_referral(ours) and not ours.flags & wire.TC and \
                        known.missing_glue(ours):
                    wrong.append('neither TC nor all glue below the cut (RFC 9471 3.1)')
                for fault in wrong:
                    faults.append('%s: %s\n%s' % (fault, q, ours))
                for name in names[1:]:
                    fields = compare.differences(ours, got[name][i])
                    counts[name, 'same' if not fields else 'different'] += 1
                    left = []
                    for field in fields:
                        entry = accepted.match(q, field, ours, got[name][i], name, known)
                        if entry:
                            used[entry.name, name] += 1
                        else:
                            left.append(field)
                    if left:
                        unexplained[name, world, q.tag, '+'.join(left)].append((q, ours, got[name][i]))
    finally:
        if options.keep:
            print('kept %s' % folder)
        else:
            shutil.rmtree(folder)

    print('\n%d questions' % total)
    for name in names[1:]:
        print('%-6s same %d, different %d' % (name, counts[name, 'same'], counts[name, 'different']))
    print('\naccepted differences, by reason (counted by field):')
    for entry in accepted.ACCEPTED:
        row = ', '.join('%s %d' % (n, used[entry.name, n]) for n in names[1:] if used[entry.name, n])
        print('  %-24s %s' % (entry.name, row or 'none'))
    for (name, world, tag, fields), examples in sorted(unexplained.items(), key=lambda kv: kv[0]):
        print('\nUNEXPLAINED: %s, %s, %s: %s: %d' % (name, world, tag, fields, len(examples)))
        for q, ours, theirs in examples[:options.show]:
            print('- %s\n%s: %s\n%s: %s' % (q, options.ours, ours, name, theirs))
    for fault in faults[:20]:
        print('\nFAULT: %s' % fault)
    bad = sum(map(len, unexplained.values()))
    print('\n%d unexplained differences, %d faults' % (bad, len(faults)))
    return 1 if bad or faults else 0


if __name__ == '__main__':
    sys.exit(main())
