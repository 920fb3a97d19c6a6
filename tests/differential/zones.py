# SPDX-License-Identifier: GPL-3.0-or-later
"""zones.py - the unsigned zones that all servers are asked about, as master-file text.

WORLDS maps a world's name to its zones, {apex: text}.  The zones of a world are
loaded together; a root zone leaves no name outside, so it has a world of its own.
"""

SOA = '@ 3600 IN SOA ns1 hostmaster 2024010101 7200 900 1209600 300\n'


def example():
    z = ['$ORIGIN example.', '$TTL 3600', SOA.strip()]
    z += '''
@ NS ns1
@ NS ns2
@ NS ns.other.test.
@ MX 10 mail
@ MX 20 mx.other.test.
@ TXT "the apex"
@ A 192.0.2.80
@ AAAA 2001:db8::80
@ TYPE65280 \\# 4 0a000001
ns1 A 192.0.2.1
ns1 AAAA 2001:db8::1
ns2 A 192.0.2.2
mail A 192.0.2.25
mail AAAA 2001:db8::25
www A 192.0.2.10
www A 192.0.2.11
www A 192.0.2.12
www AAAA 2001:db8::10
www TXT "one" "two" ""
www MX 0 .
www TYPE65280 \\# 0
www 60 HINFO "cpu" "os"
single 1 A 192.0.2.13
long 2147483647 A 192.0.2.14
zero 0 A 192.0.2.15
nodata TXT "no address"
_sip._udp SRV 1 2 5060 www
_sip._udp SRV 3 4 5060 srv.other.test.
naptr NAPTR 10 20 "u" "E2U+sip" "!^.*$!sip:info@example!" .
naptr NAPTR 10 30 "s" "" "" _sip._udp
; Empty non-terminals.
a.b.c.ent A 192.0.2.20
z.b.c.ent A 192.0.2.21
; Wildcards (RFC 4592): at several depths, hidden by names and by empty non-terminals.
*.wild A 192.0.2.30
*.wild TXT "wild"
*.wild MX 10 mail.wild
exist.wild TXT "hides the wildcard"
mail.wild A 192.0.2.31
a.ent.wild A 192.0.2.32
*.deep.wild A 192.0.2.33
*.deep.wild AAAA 2001:db8::33
*.a.b.c.deep.wild TXT "deeper"
deleg.wild NS ns.deleg.wild
ns.deleg.wild A 192.0.2.34
cut.wild NS ns.elsewhere.invalid.
*.star A 192.0.2.35
*.*.star TXT "two asterisks"
sub.*.star TXT "below an asterisk"
*.txtonly TXT "only text"
*.cwild CNAME www
*.cwnx CNAME nx
*.cwwild CNAME x.wild
*.cwout CNAME www.outside.invalid.
*.cwother CNAME target.other.test.
*.cwself CNAME x.cwself
*.cwdn CNAME a.dn
*.cwdeleg CNAME host.deleg
*.srvwild SRV 1 1 1 www
; Aliases.
cwww CNAME www
c2 CNAME cwww
c3 CNAME c2
loop1 CNAME loop2
loop2 CNAME loop1
self CNAME self
loopx CNAME loopx.other.test.
cout CNAME www.outside.invalid.
cother CNAME target.other.test.
cothernx CNAME nx.other.test.
cotherback CNAME back.other.test.
cotherdeleg CNAME host.deleg.other.test.
cnx CNAME nx
cnodata CNAME nodata
cent CNAME b.c.ent
cdeleg CNAME host.deleg
cglue CNAME ns.deleg
ccut CNAME deleg
cwildt CNAME foo.wild
cwildnx CNAME foo.exist.wild
cdn CNAME a.dn
cdnx CNAME nx.dn
csub CNAME www.sub
csubapex CNAME sub
csubnx CNAME nx.sub
capex CNAME @
croot CNAME .
; Redirected trees (RFC 6672).
target TXT "target itself"
a.target A 192.0.2.40
b.target TXT "b"
c.target CNAME a.target
d.e.target A 192.0.2.41
*.w.target A 192.0.2.42
dn DNAME target
dn TXT "data beside the DNAME"
dn MX 5 mail
dnout DNAME outside.invalid.
dnother DNAME tree.other.test.
dnchain1 DNAME dnchain2
dnchain2 DNAME target
dndeleg DNAME deleg
dnsub DNAME sub
dnnx DNAME nowhere
dnroot DNAME .
dnwild DNAME wild
dncase DNAME TaRgEt
dnlong DNAME {l63}.{m63}.{n63}.{o47}
dnself DNAME dnself
dn.under.ent.dntop DNAME target
; Delegations: with glue, with a sibling's, with none; and names they hide.
deleg NS ns.deleg
deleg NS ns2.deleg
deleg DS 12345 8 2 {hash}
deleg A 192.0.2.50
deleg TXT "data at a cut"
ns.deleg A 192.0.2.51
ns.deleg AAAA 2001:db8::51
ns2.deleg A 192.0.2.52
hidden.deleg TXT "below a cut"
x.hidden.deleg A 192.0.2.53
*.deleg A 192.0.2.54
hiddencut.deleg NS ns.hiddencut.deleg
ns.hiddencut.deleg A 192.0.2.55
hiddencname.deleg CNAME www
hiddendname.deleg DNAME target
sibling NS ns.sibling
ns.sibling A 192.0.2.56
bysibling NS ns.sibling
bysibling NS ns1
auth NS ns1
auth NS ns2
nogluedeleg NS ns.elsewhere.invalid.
missing NS ns.missing
missing DS 1 8 2 {hash}
byother NS ns.other.test.
selfns NS selfns
selfns A 192.0.2.57
mixed NS ns.mixed
mixed NS ns.deleg
mixed NS ns.elsewhere.invalid.
ns.mixed AAAA 2001:db8::57
below.ent2.cut NS ns1
cnamens NS cwww
wildns NS x.wild
; Child zones that are loaded beside this one.
sub NS ns.sub
sub NS ns1
sub DS 54321 8 2 {hash}
ns.sub A 192.0.2.60
stale.sub A 192.0.2.61
a.b.deepchild NS ns.a.b.deepchild
ns.a.b.deepchild A 192.0.2.62
'''.format(l63='l' * 63, m63='m' * 63, n63='n' * 63, o47='o' * 40, hash='ab' * 32).strip().split('\n')
    z += ['chain%d CNAME chain%d' % (i, i + 1) for i in range(12)] + ['chain12 A 192.0.2.70']
    z += ['many NS ns%d.many' % i for i in range(13)]
    z += ['ns%d.many A 198.51.100.%d' % (i, i) for i in range(13)]
    z += ['ns%d.many AAAA 2001:db8:1::%d' % (i, i) for i in range(13)]
    return '\n'.join(z) + '\n'


def child(apex, ns):
    return ('$ORIGIN %s\n$TTL 600\n' % apex) + SOA + '''
@ NS ns
@ NS %s
@ A 192.0.2.90
@ DNSKEY 256 3 8 AwEAAag=
@ TXT "child apex"
ns A 192.0.2.60
www A 192.0.2.91
*.w TXT "child wildcard"
up CNAME www.example.
updn DNAME target.example.
deleg NS ns.deleg
ns.deleg A 192.0.2.92
deleg DS 7 8 2 %s
''' % (ns, 'cd' * 32)


def other():
    return '$ORIGIN other.test.\n$TTL 1800\n' + SOA + '''
@ NS ns
@ NS ns1.example.
ns1 A 192.0.2.99
ns A 203.0.113.1
ns AAAA 2001:db8:2::1
mx A 203.0.113.2
srv A 203.0.113.3
target A 203.0.113.4
target AAAA 2001:db8:2::4
back CNAME www.example.
loopx CNAME loopx.example.
a.tree A 203.0.113.5
b.tree CNAME www.example.
c.tree CNAME nx.example.
deleg NS ns.deleg
ns.deleg A 203.0.113.6
'''


def types():
    z = ['$ORIGIN types.test.', '$TTL 3600', SOA.strip(), '@ NS ns', 'ns A 192.0.2.1']
    host = b'\x04host\x05types\x04test\x00'
    mixed = b'\x04HoSt\x05tYpEs\x04TEST\x00'
    data = [
        ('A', '192.0.2.1'), ('AAAA', '2001:db8::1'), ('MX', '1 host'), ('MX', '2 ns'), ('TXT', '"x"'),
        ('PTR', 'host'), ('HINFO', '"a" "b"'), ('MINFO', 'host ns'), ('RP', 'host ns'),
        ('AFSDB', '1 host'), ('RT', '1 host'), ('LOC', '52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m'),
        ('SRV', '1 2 3 host'), ('NAPTR', '1 2 "u" "E2U+x" "!^.*$!x!" host'), ('KX', '1 host'),
        ('CERT', '1 2 3 AQID'), ('APL', '1:192.0.2.0/24 !2:2001:db8::/32'),
        ('SSHFP', '1 1 ' + 'ab' * 20), ('IPSECKEY', '10 3 2 host AQID'),
        ('DHCID', 'AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA='), ('TLSA', '3 1 1 ' + 'ab' * 32),
        ('SMIMEA', '3 1 1 ' + 'cd' * 32), ('CDS', '1 8 2 ' + 'ef' * 32), ('CDNSKEY', '256 3 8 AwEAAag='),
        ('OPENPGPKEY', 'AQID'), ('SVCB', '1 host alpn="h2" port=53'), ('SVCB', '0 host'),
        ('HTTPS', '1 . alpn="h3"'), ('SPF', '"v=spf1 -all"'), ('NID', '10 0014:4fff:ff20:ee64'),
        ('L32', '10 10.1.2.0'), ('L64', '10 2001:0DB8:1140:1000'), ('LP', '10 host'),
        ('EUI48', '00-00-5e-00-53-2a'), ('EUI64', '00-00-5e-ef-10-00-00-2a'), ('URI', '1 2 "https://x/"'),
        ('CAA', '0 issue "ca.example"'),
    ]
    # Types whose text some of the servers do not know, as RFC 3597 data.
    generic = [
        (7, host), (8, mixed), (9, host), (10, b'null'), (11, b'\xc0\0\2\1\6\0\0\x40'), (19, b'\x041234'),
        (20, b'\x02ab\x02cd'), (22, b'\x47\0\5\x80'), (24, b'\0\1\5\2\0\0\0\1\0\0\0\1\0\0\0\1\0\1' + host + b's'),
        (25, b'\1\0\3\5key'), (26, b'\0\1' + host + mixed), (27, b'\x021\x30\x021\x30\x021\x30'),
        (31, b'eid'), (32, b'nimloc'), (40, b'\1\1sink'), (55, b'\4\2\0\4hit!keyk' + host),
        (258, b'\3avc'), (32768, b'\0\1\5\1' + bytes(20)), (32769, b'\0\1\5\1' + bytes(20)),
        (65280, b'private'), (65280, b''), (65534, bytes(range(256))), (1234, host),
    ]
    seen = set()
    for t, d in data:
        z += ['%s.t %s %s' % (t.lower(), t, d), 'all %s %s' % (t, d), '*.w%s %s %s' % (t.lower(), t, d)]
        if t in ('MX', 'SRV', 'PTR', 'NAPTR'):
            z += ['%s.root %s %s' % (t.lower(), t, d.replace('host', '.').replace('ns', '.'))]
    for t, d in generic:
        r = '\\# %d %s' % (len(d), d.hex())
        seen.add(t)
        z += ['type%d.t TYPE%d %s' % (t, t, r), 'generic TYPE%d %s' % (t, r)]
    z += ['host A 192.0.2.2', 'c CNAME all', 'dn DNAME t']
    return '\n'.join(z) + '\n'


def big():
    """RRsets around every size at which an answer is cut."""
    z = ['$ORIGIN big.test.', '$TTL 3600', SOA.strip()]
    z += ['@ NS ns%d' % i for i in range(20)]
    z += ['ns%d A 198.51.100.%d\nns%d AAAA 2001:db8:3::%d' % (i, i, i, i) for i in range(20)]
    for n in (10, 26, 27, 28, 29, 30, 31, 70, 71, 72, 73, 74, 75, 76, 100, 200, 240, 253, 254, 255, 1000):
        z += ['a%d A 10.%d.%d.%d' % (n, n & 255, i >> 8, i & 255) for i in range(n)]
    for n in (5, 12, 14, 15, 16, 17, 18, 40, 41, 42, 43, 44, 45, 140):
        z += ['aaaa%d AAAA 2001:db8:%x::%x' % (n, n, i + 1) for i in range(n)]
        z += ['mx%d MX %d host%d.mail' % (n, i, i) for i in range(n)]
        z += ['srv%d SRV %d 0 %d host%d.srv' % (n, i, i, i) for i in range(n)]
    for n in (440, 450, 455, 460, 465, 470, 475, 480, 490, 1150, 1160, 1165, 1170, 1175, 1180, 1190, 1200,
              4000, 4040, 4060, 16300, 16400, 20000, 40000, 60000, 64000):
        text, left = [], n
        while left > 0:
            size = min(255, left)
            text.append('"%s"' % ('t' * size))
            left -= size + 1
        z += ['t%d TXT %s' % (n, ' '.join(text))]
    z += ['many TXT "%s"' % ('%04d' % i * 60) for i in range(200)]
    z += ['cbig CNAME a30', 'cbig4 CNAME t4000', 'ccbig CNAME cbig', '*.wbig A 10.0.0.1']
    z += ['*.wbig A 10.1.%d.%d' % (i, i) for i in range(35)]
    z += ['dn DNAME a30', 'deleg NS %s.ns%d' % ('x' * 60, 0)]
    z += ['deleg NS %s%d.deleg' % ('y' * 50, i) for i in range(12)]
    z += ['%s%d.deleg A 10.2.0.%d\n%s%d.deleg AAAA 2001:db8:4::%d' % ('y' * 50, i, i, 'y' * 50, i, i)
          for i in range(12)]
    z += ['deleg2 NS ns%d.%s' % (i, 'nothere.invalid.') for i in range(60)]
    # More than 16 KiB of names: targets that no pointer reaches.
    z += ['ptrs PTR h%04d.%s' % (i, 'far.apart') for i in range(900)]
    z += ['mail A 10.3.0.1']
    return '\n'.join(z) + '\n'


def limits():
    z = ['$ORIGIN limits.test.', '$TTL 3600', SOA.strip(), '@ NS ns', 'ns A 192.0.2.1']
    z += ['a.' * 120 + 'b A 192.0.2.2']                      # 123 labels, 255 octets
    full = '.'.join(['x' * 63, 'y' * 63, 'z' * 63, 'w' * 49])
    z += [full + ' A 192.0.2.3', 'cfull CNAME ' + full, 'mxfull MX 1 ' + full]
    z += ['*.' + '.'.join(['y' * 63, 'z' * 63, 'w' * 47]) + ' TXT "near the limit"']
    z += ['dn DNAME ' + '.'.join(['p' * 63, 'q' * 63, 'r' * 60]),
          'a.' + '.'.join(['p' * 63, 'q' * 63, 'r' * 60]) + ' A 192.0.2.4',
          'dnfull DNAME ' + full]
    z += ['s' * 63 + ' TXT "63 octets"', 's' * 62 + ' TXT "62 octets"']
    z += ['*.1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20 TXT "deep wildcard"',
          '1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20 TXT "deep"']
    return '\n'.join(z) + '\n'


def case():
    z = ['$ORIGIN CaSe.TeSt.', '$TTL 3600', SOA.strip(), '@ NS Ns', '@ NS nS2']
    z += r'''
ns A 192.0.2.1
Ns2 A 192.0.2.2
UPPER A 192.0.2.3
lower CNAME uPPeR
MiXeD MX 1 UPPER.case.test.
MiXeD MX 2 lower.CASE.test.
mIxEd TXT "TeXt keeps its case"
*.WiLd TXT "Wild"
Dn DNAME TaRgEt
a.target A 192.0.2.4
Deleg NS Ns.Deleg
nS.dELEG A 192.0.2.5
PtR PTR SoMe.HoSt.CaSe.TeSt.
a\.b A 192.0.2.10
a.b A 192.0.2.11
\000 A 192.0.2.12
\255\254 A 192.0.2.13
sp\032ace A 192.0.2.14
\"quote A 192.0.2.15
semi\;colon A 192.0.2.16
at\@ A 192.0.2.17
back\\slash A 192.0.2.18
par\(en\) A 192.0.2.19
\195\132 A 192.0.2.20
\195\164 A 192.0.2.21
\123 A 192.0.2.23
\001\002\003 TXT "\000\001\255\"\\"
_under A 192.0.2.24
-dash- A 192.0.2.25
123 A 192.0.2.26
\*star A 192.0.2.27
x\*.y A 192.0.2.28
'''.strip().split('\n')
    return '\n'.join(z) + '\n'


def root():
    z = ['$ORIGIN .', '$TTL 86400',
         '. SOA a.root-servers.test. nstld.test. 2024010101 1800 900 604800 86400']
    z += ['. NS %s.root-servers.test.' % c for c in 'abcdefghijklm']
    z += ['%s.root-servers.test. A 198.41.0.%d' % (c, i) for i, c in enumerate('abcdefghijklm')]
    z += ['%s.root-servers.test. AAAA 2001:503::%x' % (c, i) for i, c in enumerate('abcdefghijklm')]
    z += ['com. NS %s.gtld-servers.net.' % c for c in 'abcdefghijklm']
    z += ['net. NS %s.gtld-servers.net.' % c for c in 'abcdefghijklm']
    z += ['%s.gtld-servers.net. A 192.5.6.%d' % (c, i) for i, c in enumerate('abcdefghijklm')]
    z += ['%s.gtld-servers.net. AAAA 2001:502::%x' % (c, i) for i, c in enumerate('abcdefghijklm')]
    z += ['com. DS 30909 8 2 ' + 'e2' * 32]
    for i in range(150):
        tld = 'tld%03d.' % i
        z += ['%s NS ns1.nic.%s' % (tld, tld), '%s NS ns2.nic.%s' % (tld, 'tld%03d.' % ((i + 1) % 150)),
              'ns1.nic.%s A 203.0.113.%d' % (tld, i), 'ns2.nic.%s AAAA 2001:db8:5::%x' % (tld, i)]
        if i % 3:
            z += ['%s DS %d 8 2 %s' % (tld, i, 'aa' * 32)]
    z += ['arpa. NS ns.arpa.', 'ns.arpa. A 192.0.2.1', 'arpa. DS 1 8 2 ' + 'bb' * 32]
    z += ['*.wildtld. TXT "wild"', 'alias. CNAME host.wildtld.', 'redirect. DNAME wildtld.']
    z += ['1.' * 127 + ' A 192.0.2.127', 'ent.below.127. TXT "x"']
    return '\n'.join(z) + '\n'


def arpa():
    return '$ORIGIN arpa.\n$TTL 3600\n' + SOA + '''
@ NS ns
ns A 192.0.2.1
home NS blackhole.example.
1.2.0.192.in-addr PTR host.com.
*.2.0.192.in-addr PTR any.com.
up CNAME a.root-servers.test.
'''


WORLDS = {
    'zones': {
        'example.': example(),
        'sub.example.': child('sub.example.', 'ns1.example.'),
        'a.b.deepchild.example.': child('a.b.deepchild.example.', 'ns.other.test.'),
        'orphan.example.': child('orphan.example.', 'ns1.example.'),
        'other.test.': other(),
        'types.test.': types(),
        'big.test.': big(),
        'limits.test.': limits(),
        'case.test.': case(),
    },
    'root': {'.': root(), 'arpa.': arpa()},
}
