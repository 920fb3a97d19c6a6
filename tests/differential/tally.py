# SPDX-License-Identifier: GPL-3.0-or-later
"""tally.py - put questions about a world's zones to all servers, hold our answers against
the others', and report."""
import argparse
import collections
import os
import random
import time

import ask
import compare
import peers
import wire

BATCH = 20000  # questions whose answers are kept at a time
LONG = os.environ.get('POLLUX_LONG') == '1'
LONG_RANDOM = 600000  # random questions of a nightly run, for each of its two programs


def arguments(scale):
    parser = argparse.ArgumentParser()
    parser.add_argument('--ours', default='pollux', choices=peers.ALL)
    parser.add_argument('--seed', type=int, default=int(os.environ.get('POLLUX_SEED', 20240101)))
    parser.add_argument('--scale', type=float, default=scale)
    parser.add_argument('--random', type=int, default=LONG_RANDOM if LONG else 0,
                        help='so many random questions on top, about all worlds together')
    parser.add_argument('--show', type=int, default=5, help='examples of each kind of unexplained difference')
    parser.add_argument('--keep', action='store_true', help='keep the working folder')
    parser.add_argument('--world', help='this one only')
    return parser


class Tally:
    """What came of it.  match(q, field, ours, theirs, name, known) is the entry of the accepted differences
    that explains a field, or None; entries lists them all."""

    def __init__(self, options, entries, match):
        self.options, self.entries, self.match = options, entries, match
        self.names = [options.ours] + [n for n in peers.ALL if n not in ('pollux', options.ours)]
        self.total, self.counts, self.used = 0, collections.Counter(), collections.Counter()
        self.octets = {n: [0, 0, 0] for n in self.names}  # of equal answers: how many, ours, theirs
        self.unexplained, self.faults = collections.defaultdict(list), []
        print('seed %d; %s' % (options.seed, ', '.join(self.names)))

    def world(self, world, place, texts, known, asked, more, limit, alone=None, first=None, **how):
        """Start all servers; ask `asked`, then what more(rng, count) makes, in batches.  limit(q) is how
        long an answer may be, alone(ours) what else is wrong with one; first(server, answers) is called after
        the first batch of ours."""
        extra = self.options.random
        by_tag = collections.Counter(q.tag.split('-')[0] for q in asked)
        print('world %s: %d zones, %d questions (%s)%s' % (
            world, len(texts), len(asked), ', '.join('%s %d' % kv for kv in sorted(by_tag.items())),
            ', and %d at random' % extra if extra else ''), flush=True)
        servers, rng = {}, random.Random('%s %s' % (self.options.seed, world))
        try:
            for name, port in zip(self.names, peers.free_ports(len(self.names))):
                servers[name] = peers.ALL[name](place, port, texts, **how)
            while asked or extra:
                if not asked:
                    asked = more(rng, min(extra, BATCH))
                    extra -= min(extra, BATCH)
                got = {name: answers_of(server, asked) for name, server in servers.items()}
                if first:
                    self.faults += first(servers[self.options.ours], got[self.options.ours])
                    first = None
                self.compare(world, asked, got, known, limit, alone)
                asked = []
        finally:
            status = {name: server.stop() for name, server in servers.items()}
        if 'pollux' in servers:
            log = open(servers['pollux'].log).read()
            if status['pollux'] or peers.SANITIZED in log:
                self.faults.append('pollux-control ended with %s:\n%s' % (status['pollux'], log[-3000:]))

    def compare(self, world, asked, got, known, limit, alone):
        ours_name = self.names[0]
        self.total += len(asked)
        for i, q in enumerate(asked):
            ours = got[ours_name][i]
            wrong = compare.alone(q, ours, limit(q))
            if alone and isinstance(ours, wire.Message):
                wrong += alone(ours)
            self.faults += ['%s: %s\n%s' % (fault, q, ours) for fault in wrong]
            for name in self.names[1:]:
                theirs = got[name][i]
                fields = compare.differences(ours, theirs)
                self.counts[name, 'same' if not fields else 'different'] += 1
                if set(fields) <= {'length'} and isinstance(ours, wire.Message):
                    for k, n in enumerate((1, len(ours.wire), len(theirs.wire))):
                        self.octets[name][k] += n
                left = []
                for field in fields:
                    entry = self.match(q, field, ours, theirs, name, known)
                    if entry:
                        self.used[entry.name, name] += 1
                    else:
                        left.append(field)
                if left:
                    self.unexplained[name, world, q.tag, '+'.join(left)].append((q, ours, theirs))

    def report(self):
        """Print all of it; returns the exit status."""
        ours_name, others = self.names[0], self.names[1:]
        print('\n%d questions' % self.total)
        for name in others:
            n, ours, theirs = self.octets[name]
            print('%-6s same %d, different %d; octets of %d answers with the same records: %s %d, %s %d' % (
                name, self.counts[name, 'same'], self.counts[name, 'different'], n, ours_name, ours, name, theirs))
        print('\naccepted differences, by reason (counted by field):')
        for entry in self.entries:
            row = ', '.join('%s %d' % (n, self.used[entry.name, n]) for n in others if self.used[entry.name, n])
            if row:
                print('  %-24s %s' % (entry.name, row))
        for (name, world, tag, fields), examples in sorted(self.unexplained.items(), key=lambda kv: kv[0]):
            print('\nUNEXPLAINED: %s, %s, %s: %s: %d' % (name, world, tag, fields, len(examples)))
            for q, ours, theirs in examples[:self.options.show]:
                print('- %s' % q)
                a, b = (str(m).splitlines() for m in (ours, theirs))
                print('\n'.join(['  %s: %s' % (ours_name, line[:160]) for line in a if line not in b] +
                                ['  %s: %s' % (name, line[:160]) for line in b if line not in a]))
        for fault in self.faults[:20]:
            print('\nFAULT: %s' % fault)
        bad = sum(map(len, self.unexplained.values()))
        print('\n%d unexplained differences, %d faults' % (bad, len(self.faults)))
        return 1 if bad or self.faults else 0


def answers_of(server, asked):
    """Every question's answer, in order; None where the server is silent time and again."""
    out = [None] * len(asked)
    for tcp, put in ((False, ask.udp), (True, ask.tcp)):
        chosen = [i for i, q in enumerate(asked) if q.tcp == tcp]
        if chosen:
            for i, data in zip(chosen, put((server.address, server.port), [asked[i] for i in chosen])):
                out[i] = compare.read(data)
    # On a busy machine a server may have been away for longer than ask.py waits.
    silent = [i for i, q in enumerate(asked) if out[i] is None and not q.alone and not q.tcp]
    if silent:
        time.sleep(1)
        for i, data in zip(silent, ask.udp((server.address, server.port), [asked[i] for i in silent])):
            out[i] = compare.read(data)
    return out
