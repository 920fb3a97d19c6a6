#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a test zone to standard output: the same kind, count and seed give the
same octets.

  zonegen.py hosting     COUNT names of a hoster: A, AAAA, MX, TXT, CNAME, SRV
  zonegen.py delegations COUNT delegations of a registry: 2 or 3 NS each, 30 % with
                         a DS, 20 % with name servers below the cut and their glue
  zonegen.py features    COUNT groups of names that exercise every rule of the lookup:
                         wildcards, empty non-terminals, CNAME chains and loops,
                         DNAME, delegations with glue and occluded names
"""
import argparse
import random
import sys

HEAD = """$ORIGIN {origin}
$TTL 3600
@ SOA ns1 hostmaster {serial} 7200 3600 1209600 300
@ NS ns1
@ NS ns2
ns1 A 192.0.2.1
ns1 AAAA 2001:db8::1
ns2 A 192.0.2.2
"""

SYLLABLES = [a + b for a in "bcdfghklmnprstvz" for b in "aeio"]  # 64


class Source:
    """Pseudo-random numbers by the bit, and what zones are made of."""

    def __init__(self, seed):
        self.bits = random.Random(seed).getrandbits

    def label(self, i):
        """A label for the i-th name: words of some length, and unlike all others."""
        word = self.bits(24)
        text = "".join(SYLLABLES[word >> shift & 63] for shift in (0, 6, 12, 18)[: 2 + (word >> 23)])
        return "%s%d" % (text, i)

    def a(self):
        n = self.bits(24)
        return "10.%d.%d.%d" % (n >> 16, n >> 8 & 255, n & 255)

    def aaaa(self):
        n = self.bits(48)
        return "2001:db8:%x:%x::%x" % (n >> 32, n >> 16 & 0xFFFF, (n & 0xFFFF) or 1)

    def hex(self, octets):
        return "%0*X" % (2 * octets, self.bits(8 * octets))


def hosting(s, count):
    for i in range(count):
        name = s.label(i)
        kind = s.bits(7)  # 0..127
        if kind < 16:
            yield "%s CNAME %s\n" % (name, "ns1" if kind < 8 else "web%d" % (kind & 7))
            continue
        lines = ["%s A %s\n" % (name, s.a())]
        if kind & 1:
            lines.append("%s AAAA %s\n" % (name, s.aaaa()))
        if kind < 40:
            lines.append("%s MX 10 mx%d\n%s MX 20 mx%d\n" % (name, kind & 3, name, kind + 1 & 3))
            lines.append('%s TXT "v=spf1 ip4:%s -all"\n' % (name, s.a()))
        elif kind < 44:
            lines.append("%s 86400 SRV 0 5 5060 sip.%s\n" % (name, name))
        yield "".join(lines)
    for i in range(8):
        yield "web%d A %s\n" % (i, s.a())
    for i in range(4):
        yield "mx%d A %s\nmx%d AAAA %s\n" % (i, s.a(), i, s.aaaa())


def delegations(s, count):
    for i in range(count):
        name = s.label(i)
        draw = s.bits(20)
        lines = []
        if draw % 10 < 2:
            lines.append("%s 86400 NS ns1.%s\n%s 86400 NS ns2.%s\n" % (name, name, name, name))
            lines.append("ns1.%s 86400 A %s\nns2.%s 86400 A %s\n" % (name, s.a(), name, s.a()))
            if draw & 1:
                lines.append("ns1.%s 86400 AAAA %s\n" % (name, s.aaaa()))
        else:
            hoster = draw >> 4 & 4095
            for k in range(2 + (draw & 1)):
                lines.append("%s 86400 NS ns%d.hoster%d.example.\n" % (name, k + 1, hoster))
        if draw // 10 % 10 < 3:
            lines.append("%s 86400 DS %d 13 2 %s\n" % (name, draw & 0xFFFF, s.hex(32)))
        yield "".join(lines)


FEATURES = """plain{i} A {a}
plain{i} TXT "group {i}" "second string"
*.wild{i} A {a}
*.wild{i} MX 10 mail.wild{i}
known.wild{i} TXT "hides the wildcard"
below.ent.wild{i} AAAA {aaaa}
*.star{i} CNAME plain{i}
leaf.ent{i}.empty{i} A {a}
first{i} CNAME second{i}
second{i} CNAME third{i}
third{i} CNAME plain{i}
out{i} CNAME elsewhere.example.net.
dangling{i} CNAME missing{i}
loop{i}a CNAME loop{i}b
loop{i}b CNAME loop{i}a
dname{i} DNAME ent{i}.empty{i}
dname{i} A {a}
todname{i} CNAME leaf.dname{i}
cut{i} NS ns.cut{i}
cut{i} NS ns2
ns.cut{i} A {a}
ns.cut{i} AAAA {aaaa}
www.cut{i} A {a}
deep.under.cut{i} TXT "occluded"
secure{i} NS ns1
secure{i} DS {tag} 13 2 {digest}
_sip._udp.srv{i} SRV 0 5 5060 plain{i}
many{i} A 10.0.0.1
many{i} A 10.0.0.2
many{i} A 10.0.0.3
UPPER{i} TXT "case of the owner"
upper-target{i} CNAME UPPER{i}
odd\\.dot{i} TXT "a dot in a label"
odd\\000{i} A {a}
unknown{i} TYPE65280 \\# 4 {raw}
big{i} TXT {big}
"""


def features(s, count):
    strings = " ".join('"%s"' % ("x" * 250) for _ in range(6))
    for i in range(count):
        yield FEATURES.format(i=i, a=s.a(), aaaa=s.aaaa(), tag=s.bits(16), digest=s.hex(32),
                              raw=s.hex(4), big=strings)


KINDS = {"hosting": hosting, "delegations": delegations, "features": features}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--origin", default="example.com.", help="with its final dot")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serial", type=int, default=1)
    args = parser.parse_args()
    if not args.origin.endswith("."):
        parser.error("--origin needs its final dot")

    sys.stdout.write(HEAD.format(origin=args.origin, serial=args.serial))
    sys.stdout.writelines(KINDS[args.kind](Source(args.seed), args.count))


if __name__ == "__main__":
    main()
