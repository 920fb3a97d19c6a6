#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""additional.py - the additional section when all of it is wanted (additional: full).

Pollux, NSD, Knot and BIND answer about one zone without being told to keep answers small.  Our
additional section must be what two of the others give, or what one gives and accepted() explains.
Environment: POLLUX_CONTROL.
"""
import random
import shutil
import sys
import tempfile

import peers
import questions
import tally
import wire

ZONE = '''$ORIGIN full.test.
$TTL 3600
@ SOA ns1 host 7 1800 900 604800 60
@ NS ns1
@ NS ns.elsewhere.invalid.
ns1 A 192.0.2.1
ns1 AAAA 2001:db8::1
@ MX 10 mail
@ MX 20 mail2
@ MX 30 mail
@ MX 40 gone
@ MX 50 mail.elsewhere.invalid.
mail A 192.0.2.2
mail A 192.0.2.3
mail2 AAAA 2001:db8::2
one MX 10 mail
_s._tcp SRV 0 0 1 mail
_s._tcp SRV 0 0 2 mail
_s._tcp SRV 0 0 3 mail2
alias CNAME one
*.w MX 10 mail
none MX 10 gone
ptr PTR mail
'''
ASKED = [(n, t) for n in ('@', 'one', '_s._tcp', 'alias', 'x.w', 'none', 'ptr', 'mail')
         for t in ('MX', 'SRV', 'NS', 'PTR', 'A', 'TXT')]
ADDRESSES = {wire.A, wire.TYPES['AAAA']}


class Pollux(peers.Pollux):
    def configure(self, zones):
        command = super().configure(zones)
        path = self.path('pollux.yaml')
        text = open(path).read()
        with open(path, 'w') as f:
            f.write(text.replace('server:\n', 'server:\n  additional: full\n', 1))
        return command


class Nsd(peers.Nsd):
    def configure(self, zones):
        command = super().configure(zones)
        replace(self.path('nsd.conf'), 'minimal-responses: yes', 'minimal-responses: no')
        return command


class Bind(peers.Bind):
    def configure(self, zones):
        command = super().configure(zones)
        replace(self.path('named.conf'), 'minimal-responses yes', 'minimal-responses no')
        return command


def replace(path, old, new):
    text = open(path).read()
    assert old in text, path
    with open(path, 'w') as f:
        f.write(text.replace(old, new))


def additional(m):
    """What a positive answer adds for its answer section: addresses, but for those of the name servers that
    some add in the authority section."""
    targets = set()
    for rr in m.answer:
        skip = {wire.MX: 2, wire.TYPES['SRV']: 6, wire.NS: 0}.get(rr[1])
        if skip is not None:
            targets.add(rr[4][skip:].lower())
    return sorted(rr for rr in m.additional if rr[1] in ADDRESSES and rr[0].lower() in targets)


def main():
    asked = [questions.Question('full', wire.name(('' if n == '@' else n + '.') + 'full.test.'), wire.TYPES[t],
                                edns=e, tcp=tcp)
             for n, t in ASKED for e, tcp in ((None, False), (1232, False), (None, True))]
    random.Random(1).shuffle(asked)
    folder = tempfile.mkdtemp(prefix='pollux-additional-')
    got, faults, added = {}, 0, 0
    try:
        for kind, port in zip((Pollux, Nsd, peers.Knot, Bind), peers.free_ports(4)):
            server = kind(folder, port, {'full.test.': ZONE})
            try:
                got[kind.name] = tally.answers_of(server, asked)
            finally:
                server.stop()
    finally:
        shutil.rmtree(folder)
    for i, q in enumerate(asked):
        ours = additional(got['pollux'][i])
        theirs = {n: additional(got[n][i]) for n in ('nsd', 'knot', 'bind')}
        votes = sorted(theirs.values(), key=lambda a: -sum(a == b for b in theirs.values()))
        agreed = sum(votes[0] == b for b in theirs.values()) > 1
        added += bool(ours)
        if not agreed or ours != votes[0] or got['pollux'][i].flags & wire.TC:
            faults += 1
            print('%s\n  pollux %s\n  %s' % (q, ours, '\n  '.join('%s %s' % kv for kv in theirs.items())))
    print('%d questions, %d answers with addresses, %d differences' % (len(asked), added, faults))
    return 1 if faults or not added else 0


if __name__ == '__main__':
    sys.exit(main())
