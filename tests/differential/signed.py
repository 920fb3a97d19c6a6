#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""signed.py - ask Pollux, NSD, Knot and BIND about signed zones, and compare.

    signed.py [--ours NAME] [--seed N] [--scale X] [--random N] [--sample N] [--show N] [--keep] [--world NAME]

The zones are signed when the test starts (dnssec-signzone): with NSEC, with NSEC3, with
and without opt-out, salt and iterations.  Every difference must be matched by an entry of
accepted.py or accepted_signed.py.  Of Pollux's answers a sample is also given to a
validator (delv) with the zones' keys.  Environment: POLLUX_CONTROL.
"""
import collections
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

import accepted
import accepted_signed
import questions
import tally
import wire

UDP = 4096
DO_SIZES = (512, 1232, 4096)
PLAIN_SIZES = (None, 512, 1232, 4096)  # without DO; None: without EDNS
PLAIN_SHARE = 0.15  # of the questions for other than owners' names
TYPES = [wire.TYPES[t] for t in ('A', 'AAAA', 'NS', 'SOA', 'MX', 'TXT', 'CNAME', 'DNAME', 'DS', 'DNSKEY', 'NSEC',
                                 'NSEC3', 'NSEC3PARAM', 'RRSIG')]

SOA = '@ SOA ns1 host 7 1800 900 604800 60\n'

# Every kind of name: chains, wildcards, empty non-terminals, delegations.
MIXED = SOA + '''
@ NS ns1
@ NS ns.other.invalid.
@ MX 10 mail
ns1 A 192.0.2.1
ns1 AAAA 2001:db8::1
mail A 192.0.2.2
www A 192.0.2.3
www TXT "hello"
alias CNAME www
alias2 CNAME alias
none CNAME nothing
out CNAME www.outside.invalid.
tocut CNAME host.cut
tolame CNAME host.lame
loop1 CNAME loop2
loop2 CNAME loop1
nodata CNAME txtonly
txtonly TXT "x"
deep.a.b A 192.0.2.5
z.a.b A 192.0.2.6
*.wild TXT "star"
*.wild MX 10 mail
exists.wild A 192.0.2.7
sub.ent.wild A 192.0.2.8
cut.wild NS ns.elsewhere.invalid.
*.cwild CNAME www
*.cnone CNAME nothing
*.chain CNAME x.cwild
*.cout CNAME www.outside.invalid.
*.ccut CNAME host.cut
*.cdn CNAME deep.d
a.*.starent TXT "below an asterisk"
cut NS ns.cut
cut NS ns1
cut DS 1 8 2 {hash}
ns.cut A 192.0.2.9
hidden.cut A 192.0.2.10
lame NS ns.elsewhere.invalid.
lame2 NS ns.lame2
ns.lame2 A 192.0.2.11
in.ent2 NS ns.elsewhere.invalid.
in2.ent2 NS ns.elsewhere.invalid.
sec.ent3 NS ns.elsewhere.invalid.
sec.ent3 DS 1 8 2 {hash}
ins.ent3 NS ns.elsewhere.invalid.
a.b.c.ent4 NS ns.elsewhere.invalid.
d DNAME a.b
d TXT "owner"
dout DNAME outside.invalid.
dwild DNAME wild
dcut DNAME cut
dnone DNAME nothing
many TXT "{a}" "{a}" "{a}" "{a}" "{a}"
\\000.odd TXT "zero"
\\001.odd TXT "one"
\\255.odd TXT "last"
a\\.b.odd TXT "dot"
UPPER MX 10 Mail
'''.format(hash='00' * 32, a='a' * 250)

# RFC 4035 appendix A, RFC 5155 appendix A.
RFC4035 = '''@ SOA ns1 bugs.x.w 1081539377 3600 300 3600000 3600
@ NS ns1
@ NS ns2
@ MX 1 xx
a NS ns1.a
a NS ns2.a
a DS 57855 5 1 B6DCD485719ADCA18E5F3D48A2331627FDD3636B
ns1.a A 192.0.2.5
ns2.a A 192.0.2.6
ai A 192.0.2.9
ai HINFO "KLH-10" "ITS"
ai AAAA 2001:db8::f00:baa9
b NS ns1.b
b NS ns2.b
ns1.b A 192.0.2.7
ns2.b A 192.0.2.8
ns1 A 192.0.2.1
ns2 A 192.0.2.2
*.w MX 1 ai
x.w MX 1 xx
x.y.w MX 1 xx
xx A 192.0.2.10
xx HINFO "KLH-10" "TOPS-20"
xx AAAA 2001:db8::f00:baaa
'''
RFC5155 = RFC4035.replace('b NS', 'c NS').replace('ns1.b', 'ns1.c').replace('ns2.b', 'ns2.c') + \
    '2t7b4g4vsa5smi47k61mv5bv1a22bojr A 192.0.2.127\n'

CHILD = SOA + '''@ NS ns
ns A 192.0.2.50
www A 192.0.2.51
*.w TXT "child wildcard"
up CNAME www.{parent}
deleg NS ns.elsewhere.invalid.
'''

# A DNAME at the apex: there is nothing else but what proves that.
DNAME = SOA.replace('ns1', 'ns.other.invalid.') + '''@ NS ns.other.invalid.
@ TXT "apex"
@ DNAME www.child.parent.
'''


def registry():
    z = [SOA.strip(), '@ NS a.nic', '@ NS b.nic', 'a.nic A 192.0.2.1', 'b.nic AAAA 2001:db8::1']
    for i in range(60):
        z += ['name%02d NS ns1.name%02d' % (i, (i * 7) % 60), 'name%02d NS ns.elsewhere.invalid.' % i,
              'ns1.name%02d A 192.0.2.%d' % (i, i)]
        if i % 3 == 0:
            z += ['name%02d DS %d 8 2 %s' % (i, i, '%02x' % i * 32)]
    return '\n'.join(z) + '\n'


# World -> {apex: (records, arguments of dnssec-signzone; None: unsigned)}.
WORLDS = {
    'mixed': {
        'nsec.test.': (MIXED, []),
        'nsec3.test.': (MIXED, ['-3', '-']),
        'iterated.test.': (MIXED, ['-3', 'aabbccdd', '-H', '12']),
        'optout.test.': (MIXED, ['-3', 'ab', '-H', '1', '-A']),
        'plain.test.': (MIXED, None),
        'example.': (RFC4035, []),
        'registry.': (registry(), ['-3', '-', '-A']),
        'registry1.': (registry(), []),
    },
    'family': {
        'example.': (RFC5155, ['-3', 'aabbccdd', '-H', '12', '-A']),
        'parent.': (MIXED.replace('{', '') + 'child NS ns.child\nns.child A 192.0.2.50\n', []),
        'child.parent.': (CHILD.format(parent='parent.'), ['-3', '-']),
        'parent3.': (MIXED + 'child NS ns.child\nns.child A 192.0.2.50\n', ['-3', '-', '-A']),
        'child.parent3.': (CHILD.format(parent='parent3.'), []),
        'dname.test.': (DNAME, []),
        'dname3.test.': (DNAME, ['-3', '-']),
        'dnameout.test.': (DNAME.replace('www.child.parent.', 'nowhere.invalid.'), ['-3', 'ab', '-H', '2', '-A']),
    },
    'root': {'.': (registry().replace('.elsewhere.invalid.', '.name01.'), [])},
    'root3': {'.': (registry().replace('.elsewhere.invalid.', '.name01.'), ['-3', '-', '-A'])},
}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError('%s: %s' % (' '.join(command), done.stderr))
    return done.stdout


def sign(folder, apex, records, arguments):
    """The zone as signed master-file text, a record a line, and its key."""
    head = '$ORIGIN %s\n$TTL 3600\n' % apex
    if arguments is None:
        return head + records, None
    base = run('dnssec-keygen', '-q', '-K', folder, '-a', 'ECDSAP256SHA256', '-f', 'KSK', '-L', '3600', apex).strip()
    key = open(os.path.join(folder, base + '.key')).read()
    source, out = os.path.join(folder, 'source'), os.path.join(folder, 'signed')
    with open(source, 'w') as f:
        f.write(head + records + re.sub(r'^;.*\n', '', key, flags=re.M))
    run('dnssec-signzone', '-d', folder, '-q', '-z', '-P', '-S', '-K', folder, '-o', apex, '-O', 'full', '-f', out, *arguments, source)
    return re.sub(r'^;.*\n', '', open(out).read(), flags=re.M), re.search(r'DNSKEY (.*)', key)[1]


def owners(apex, records, text):
    """Names of the zone without those of DNSSEC, and the owners of NSEC3 records."""
    plain = questions.owners({apex: '\n'.join(line for line in records.splitlines())})
    hashed = {wire.name(line.split()[0]).lower() for line in text.splitlines() if re.search(r'\sIN\s+NSEC3\s', line)}
    return plain, sorted(hashed - {n.lower() for n in plain})


def ask(rng, tag, name, qtype):
    """One question, mostly with DO."""
    dnssec = rng.random() > PLAIN_SHARE
    return questions.Question(tag, name, qtype, edns=rng.choice(DO_SIZES if dnssec else PLAIN_SIZES), dnssec=dnssec)


def ask_all(rng, known, hashed, scale):
    out = []

    def put(tag, name, qtype):
        out.append(ask(rng, tag, name, qtype))

    for owner in sorted(known):
        for qtype in TYPES:
            for size in DO_SIZES:
                out.append(questions.Question('owner', owner, qtype, edns=size, dnssec=True))
            for size in rng.sample(PLAIN_SIZES, rng.choice((0, 1, 1))):
                out.append(questions.Question('owner-without-do', owner, qtype, edns=size))
            if rng.random() < 0.3:
                out.append(questions.Question('tcp', owner, qtype, edns=1232, dnssec=True, tcp=True))
        out.append(questions.Question('any-udp', owner, wire.ANY, edns=1232, dnssec=True))
        out.append(questions.Question('any-tcp', owner, wire.ANY, edns=1232, dnssec=True, tcp=True))
        for name in questions.around(rng, owner):
            if rng.random() < scale:
                for qtype in rng.sample(TYPES, 3):
                    put('near', questions.mixed_case(rng, name), qtype)
    for owner in hashed:
        for qtype in (wire.A, wire.TYPES['NSEC3'], wire.TYPES['RRSIG'], wire.DS):
            put('hashed', owner, qtype)
        put('hashed', b'\1x' + owner, wire.A)
    return out + at_random(rng, sorted(known), int(600 * scale))


def at_random(rng, pool, count):
    """`count` questions for names out of the blue below those of the pool."""
    out = []
    while len(out) < count:
        name = rng.choice(pool)
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            name = bytes([n := rng.randrange(1, 9)]) + bytes(rng.choice(b'abcxyz019-_*') for _ in range(n)) + name
        if len(name) < 250:
            out.append(ask(rng, 'random', questions.mixed_case(rng, name), rng.choice(TYPES)))
    return out


def judged(apex, q, answer, known):
    """Can delv, which follows no referrals, judge this answer?"""
    if q.tcp or not q.dnssec or q.qtype in (wire.ANY, wire.TYPES['RRSIG']) or not isinstance(answer, wire.Message):
        return False
    names, loop = accepted.chain(q, answer)
    if q.qtype == wire.DS and wire.name(apex) in names:  # it would ask the parent
        return False
    return not loop and answer.flags & wire.AA and answer.rcode in (wire.NOERROR, wire.NXDOMAIN) and \
        all(known.zone_of(n) == wire.name(apex) for n in names) and not accepted_signed.cut_of(answer)


def validate(server, keys, asked):
    """Give questions to delv; returns the faults."""
    folder = server.folder
    anchors = os.path.join(folder, 'anchors')
    with open(anchors, 'w') as f:
        f.write('trust-anchors {\n%s};\n' % ''.join(
            '  "%s" static-key %s;\n' % (apex, '%s %s %s "%s"' % tuple(key.split(None, 3)))
            for apex, key in keys.items()))
    faults, verdicts = [], collections.Counter()
    for apex, q in asked:
        done = subprocess.run(
            ['delv', '@' + server.address, '-p', str(server.port), '-a', anchors, '+root=' + apex, '+nomultiline',
             '-t', wire.type_name(q.qtype), '-q', wire.text(q.qname)], capture_output=True, text=True)
        text = done.stdout + done.stderr
        verdict = re.search(r'^; (fully validated|negative response, fully validated|unsigned answer|'
                            r'negative response, unsigned answer)', text, re.M)
        verdicts[verdict[1] if verdict else 'bogus'] += 1
        if not verdict:
            faults.append('delv: %s\n%s' % (q, text))
    print('  delv: %s' % ', '.join('%s %d' % kv for kv in sorted(verdicts.items())))
    return faults


def limit(q):
    return 65535 if q.tcp else max(512, min(UDP, q.edns or 0))


def match(q, *rest):
    return accepted_signed.match(q, *rest) or accepted.match(q, *rest)


def main():
    parser = tally.arguments(0.5)
    parser.add_argument('--sample', type=int, default=60, help='answers of each world for the validator')
    options = parser.parse_args()
    worlds = {w: z for w, z in WORLDS.items() if options.world in (None, w)}
    options.random //= len(worlds)
    all_of_it = tally.Tally(options, accepted_signed.ACCEPTED + accepted.ACCEPTED, match)
    folder = tempfile.mkdtemp(prefix='pollux-signed-')
    try:
        for world, zones in worlds.items():
            place = os.path.join(folder, world)
            os.mkdir(place)
            rng = random.Random(options.seed)
            texts, keys, asked, all_owners, sample, pool = {}, {}, [], {}, [], set()
            for apex, (records, arguments) in zones.items():
                texts[apex], key = sign(place, apex, records, arguments)
                known, hashed = owners(apex, records, texts[apex])
                all_owners.update({n.lower(): t for n, t in known.items()})
                pool.update(known)
                part = ask_all(rng, known, hashed, options.scale)
                if key:
                    keys[apex] = key
                    sample += [(apex, len(asked) + i) for i in range(len(part))]
                asked += part
            known, pool = accepted.World((wire.name(a).lower() for a in texts), all_owners), sorted(pool)

            def first(server, answers):
                chosen = [(a, asked[i]) for a, i in sample if judged(a, asked[i], answers[i], known)]
                return validate(server, keys, rng.sample(chosen, min(options.sample, len(chosen))))

            all_of_it.world(world, place, texts, known, asked, lambda rng, count: at_random(rng, pool, count), limit,
                            first=first, udp=UDP)
    finally:
        if options.keep:
            print('kept %s' % folder)
        else:
            shutil.rmtree(folder)
    return all_of_it.report()


if __name__ == '__main__':
    sys.exit(main())
