# SPDX-License-Identifier: GPL-3.0-or-later
"""wire.py - DNS messages as octets: a builder and a strict reader for the tests.

Names are octets in wire form throughout (b'\\x03www\\x07example\\x00').  The reader
knows nothing of zones; it raises Malformed for whatever a server may not send.
"""
import struct

(A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, NAPTR, DNAME, OPT, DS) = (
    1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 39, 41, 43)
IXFR, AXFR, ANY = 251, 252, 255
IN, CH, HS, NONE = 1, 3, 4, 254
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, YXDOMAIN, BADVERS = 0, 1, 2, 3, 4, 5, 6, 16
QR, AA, TC, RD, RA, Z, AD, CD = 0x8000, 0x400, 0x200, 0x100, 0x80, 0x40, 0x20, 0x10

TYPES = {
    'A': 1, 'NS': 2, 'MD': 3, 'MF': 4, 'CNAME': 5, 'SOA': 6, 'MB': 7, 'MG': 8, 'MR': 9, 'NULL': 10,
    'WKS': 11, 'PTR': 12, 'HINFO': 13, 'MINFO': 14, 'MX': 15, 'TXT': 16, 'RP': 17, 'AFSDB': 18,
    'X25': 19, 'ISDN': 20, 'RT': 21, 'NSAP': 22, 'NSAP-PTR': 23, 'SIG': 24, 'KEY': 25, 'PX': 26,
    'GPOS': 27, 'AAAA': 28, 'LOC': 29, 'NXT': 30, 'EID': 31, 'NIMLOC': 32, 'SRV': 33, 'ATMA': 34,
    'NAPTR': 35, 'KX': 36, 'CERT': 37, 'A6': 38, 'DNAME': 39, 'SINK': 40, 'OPT': 41, 'APL': 42,
    'DS': 43, 'SSHFP': 44, 'IPSECKEY': 45, 'RRSIG': 46, 'NSEC': 47, 'DNSKEY': 48, 'DHCID': 49,
    'NSEC3': 50, 'NSEC3PARAM': 51, 'TLSA': 52, 'SMIMEA': 53, 'HIP': 55, 'CDS': 59, 'CDNSKEY': 60,
    'OPENPGPKEY': 61, 'CSYNC': 62, 'ZONEMD': 63, 'SVCB': 64, 'HTTPS': 65, 'SPF': 99, 'NID': 104,
    'L32': 105, 'L64': 106, 'LP': 107, 'EUI48': 108, 'EUI64': 109, 'TKEY': 249, 'TSIG': 250,
    'IXFR': 251, 'AXFR': 252, 'MAILB': 253, 'MAILA': 254, 'ANY': 255, 'URI': 256, 'CAA': 257,
    'AVC': 258, 'TA': 32768, 'DLV': 32769,
}
TYPE_NAMES = {number: name for name, number in TYPES.items()}
RCODE_NAMES = {0: 'NOERROR', 1: 'FORMERR', 2: 'SERVFAIL', 3: 'NXDOMAIN', 4: 'NOTIMP', 5: 'REFUSED',
               6: 'YXDOMAIN', 9: 'NOTAUTH', 16: 'BADVERS', 23: 'BADCOOKIE'}

# Where names stand in RDATA: digits are fixed octets, S a character-string, N a name.
# What follows the last one is copied.
_FIELDS = {
    2: 'N', 3: 'N', 4: 'N', 5: 'N', 6: 'NN', 7: 'N', 8: 'N', 9: 'N', 12: 'N', 14: 'NN', 15: '2N',
    17: 'NN', 18: '2N', 21: '2N', 26: '2NN', 30: 'N', 33: '6N', 35: '4SSSN', 36: '2N', 39: 'N',
    107: '2N',
}
# The types in whose RDATA a sender may compress (RFC 3597 section 4: those of RFC 1035).
_COMPRESSIBLE = {2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15}


class Malformed(Exception):
    """A message that no server may send."""


def type_name(number):
    return TYPE_NAMES.get(number, 'TYPE%d' % number)


def rcode_name(number):
    return RCODE_NAMES.get(number, 'RCODE%d' % number)


def name(text):
    """The wire form of a name in master-file form (always taken as absolute)."""
    labels, label, i = [], bytearray(), 0
    while i < len(text):
        c = text[i]
        if c == '\\':
            if text[i + 1:i + 4].isdigit():
                label.append(int(text[i + 1:i + 4]))
                i += 4
            else:
                label.append(ord(text[i + 1]))
                i += 2
            continue
        if c == '.':
            if label:
                labels.append(bytes(label))
            label = bytearray()
        else:
            label.append(ord(c))
        i += 1
    if label:
        labels.append(bytes(label))
    return join(labels)


def join(labels):
    return b''.join(bytes((len(x),)) + x for x in labels) + b'\0'


def labels(wire):
    out, i = [], 0
    while wire[i]:
        out.append(wire[i + 1:i + 1 + wire[i]])
        i += 1 + wire[i]
    return out


def text(wire):
    def octet(c):
        if c in b'."\\();@$':
            return '\\' + chr(c)
        return chr(c) if 33 <= c <= 126 else '\\%03d' % c
    return '.'.join(''.join(map(octet, x)) for x in labels(wire)) + '.'


def lower(wire):
    """Fold A-Z (RFC 4343); bytes.lower() does exactly that, and length octets are below 64."""
    return wire.lower()


def opt(size=1232, version=0, flags=0, rcode=0, options=b''):
    return b'\0' + struct.pack('>HHBBHH', OPT, size, rcode, version, flags, len(options)) + options


def query(qname, qtype, qclass=IN, flags=0, opcode=0, edns=None, ident=0):
    """A query; edns is None or the octets of an OPT record."""
    return (struct.pack('>HHHHHH', ident, flags | opcode << 11, 1, 0, 0, 1 if edns else 0)
            + qname + struct.pack('>HH', qtype, qclass) + (edns or b''))


class RR(tuple):
    """(owner, type, class, ttl, rdata): names folded and written out."""
    __slots__ = ()

    def __str__(self):
        return '%s %d %s %s' % (text(self[0]), self[3], type_name(self[1]), self[4].hex())


class Message:
    __slots__ = ('wire', 'ident', 'flags', 'opcode', 'rcode', 'question', 'answer', 'authority',
                 'additional', 'opt', 'counts', 'compressed')

    def __init__(self, wire):
        """Read a whole message.  Raises Malformed."""
        self.wire = wire
        if len(wire) < 12:
            raise Malformed('shorter than a header')
        self.ident, self.flags, *self.counts = struct.unpack_from('>HHHHHH', wire)
        self.opcode, self.rcode = self.flags >> 11 & 15, self.flags & 15
        self.opt = None
        self.compressed = set()
        at, self.question = 12, []
        for _ in range(self.counts[0]):
            owner, at = self._name(at)
            if at + 4 > len(wire):
                raise Malformed('question cut short')
            self.question.append((owner,) + struct.unpack_from('>HH', wire, at))
            at += 4
        self.answer, at = self._section(at, self.counts[1])
        self.authority, at = self._section(at, self.counts[2])
        self.additional, at = self._section(at, self.counts[3], True)
        if at != len(wire):
            raise Malformed('%d octets behind the last record' % (len(wire) - at))

    def _name(self, at):
        wire, out, end, size = self.wire, [], None, 1
        limit = at
        while True:
            if at >= len(wire):
                raise Malformed('name runs past the end')
            n = wire[at]
            if n >= 0xc0:
                if at + 2 > len(wire):
                    raise Malformed('pointer cut short')
                target = (n & 0x3f) << 8 | wire[at + 1]
                if end is None:
                    end = at + 2
                if target >= limit or target < 12:
                    raise Malformed('pointer at %d to %d' % (at, target))
                at = limit = target
                continue
            if n > 63:
                raise Malformed('label type %#x' % n)
            size += n + 1 if n else 0
            if size > 255:
                raise Malformed('name over 255 octets')
            out.append(wire[at:at + 1 + n])
            at += 1 + n
            if at > len(wire):
                raise Malformed('label runs past the end')
            if n == 0:
                return b''.join(out), at if end is None else end

    def _section(self, at, count, additional=False):
        out, wire = [], self.wire
        for _ in range(count):
            owner, at = self._name(at)
            if at + 10 > len(wire):
                raise Malformed('record cut short')
            rtype, rclass, ttl, size = struct.unpack_from('>HHIH', wire, at)
            at += 10
            if at + size > len(wire):
                raise Malformed('RDATA runs past the end')
            if rtype == OPT:
                if not additional or self.opt is not None or owner != b'\0':
                    raise Malformed('OPT out of place')
                self.opt = (rclass, ttl >> 16 & 255, ttl & 0xffff, wire[at:at + size])
                self.rcode |= ttl >> 24 << 4
            else:
                out.append(RR((owner.lower(), rtype, rclass, ttl, self._rdata(rtype, at, size))))
            at += size
        return out, at

    def _rdata(self, rtype, at, size):
        fields, end, wire = _FIELDS.get(rtype), at + size, self.wire
        if fields is None or size == 0:
            return wire[at:end]
        out = []
        for f in fields:
            if f == 'N':
                owner, after = self._name(at)
                if after - at < len(owner):
                    self.compressed.add(rtype)
                out.append(owner.lower())
                at = after
            else:
                n = wire[at] + 1 if f == 'S' else int(f)
                out.append(wire[at:at + n])
                at += n
            if at > end:
                raise Malformed('RDATA of %s' % type_name(rtype))
        out.append(wire[at:end])
        return b''.join(out)

    @property
    def illegally_compressed(self):
        """Types with a compressed name where RFC 3597 section 4 forbids it."""
        return self.compressed - _COMPRESSIBLE

    def __str__(self):
        flags = ' '.join(n for n, bit in (('qr', QR), ('aa', AA), ('tc', TC), ('rd', RD), ('ra', RA),
                                          ('z', Z), ('ad', AD), ('cd', CD)) if self.flags & bit)
        out = ['%s [%s] %d octets%s' % (rcode_name(self.rcode), flags, len(self.wire),
                                        '' if self.opt is None else ' opt %s' % (self.opt,))]
        out += ['  ? %s %s class %d' % (text(n), type_name(t), c) for n, t, c in self.question]
        for title, section in (('an', self.answer), ('ns', self.authority), ('ad', self.additional)):
            out += ['  %s %s' % (title, rr) for rr in sorted(section)]
        return '\n'.join(out)
