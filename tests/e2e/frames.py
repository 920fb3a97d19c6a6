# SPDX-License-Identifier: GPL-3.0-or-later
"""frames.py - Ethernet frames with DNS in them: build, take apart, and verify every
checksum and length; and pcap files (nanoseconds are not needed: microsecond form)."""
import socket
import struct

IPV4, IPV6, VLAN, QINQ = 0x0800, 0x86dd, 0x8100, 0x88a8


class Bad(Exception):
    """A frame that is not as it should be."""


def mac(text):
    return bytes.fromhex(text.replace(':', ''))


def ones(data):
    """The Internet checksum (RFC 1071) of octets; 0 over data with a right checksum."""
    if len(data) % 2:
        data += b'\0'
    total = sum(struct.unpack('>%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ':' in address else socket.AF_INET, address)


def udp(src, dst, sport, dport, payload, checksum=True):
    """A UDP datagram's octets; checksum False writes 0 (IPv4: none)."""
    s, d = packed(src), packed(dst)
    head = struct.pack('>HHHH', sport, dport, 8 + len(payload), 0)
    pseudo = s + d + (struct.pack('>BBH', 0, 17, 8 + len(payload)) if len(s) == 4
                      else struct.pack('>IHBB', 8 + len(payload), 0, 0, 17))
    value = (ones(pseudo + head + payload) or 0xffff) if checksum else 0
    return head[:6] + struct.pack('>H', value) + payload


def ip(src, dst, payload, protocol=17, options=b'', fragment=0, ident=1, ttl=64):
    s, d = packed(src), packed(dst)
    if len(s) == 16:
        return struct.pack('>IHBB', 6 << 28, len(payload), protocol, ttl) + s + d + payload
    head = struct.pack('>BBHHHBBH', 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), ident, fragment,
                       ttl, protocol, 0) + s + d + options
    return head[:10] + struct.pack('>H', ones(head)) + head[12:] + payload


def ether(src, dst, packet, tags=()):
    """tags: VLAN identifiers, the outer first; two are 802.1ad and 802.1Q."""
    out = mac(dst) + mac(src)
    for i, tag in enumerate(tags):
        out += struct.pack('>HH', QINQ if len(tags) == 2 and i == 0 else VLAN, tag)
    return out + struct.pack('>H', IPV6 if packet[0] >> 4 == 6 else IPV4) + packet


def query(src_mac, dst_mac, src, dst, sport, payload, tags=(), dport=53, checksum=True):
    return ether(src_mac, dst_mac, ip(src, dst, udp(src, dst, sport, dport, payload, checksum)), tags)


class Datagram:
    """A whole UDP frame taken apart and verified.  Raises Bad."""

    def __init__(self, frame):
        self.dst_mac, self.src_mac, at = frame[:6], frame[6:12], 12
        self.tags = []
        kind = int.from_bytes(frame[at:at + 2], 'big')
        while kind in (VLAN, QINQ):
            self.tags.append((kind, int.from_bytes(frame[at + 2:at + 4], 'big')))
            at += 4
            kind = int.from_bytes(frame[at:at + 2], 'big')
        p = frame[at + 2:]
        if kind == IPV4:
            size, head = int.from_bytes(p[2:4], 'big'), (p[0] & 15) * 4
            if p[0] >> 4 != 4 or ones(p[:head]) or p[9] != 17:
                raise Bad('IPv4 header %s' % p[:head].hex())
            src, dst, family, self.ttl = p[12:16], p[16:20], socket.AF_INET, p[8]
        elif kind == IPV6:
            size, head = 40 + int.from_bytes(p[4:6], 'big'), 40
            if p[0] >> 4 != 6 or p[6] != 17:
                raise Bad('IPv6 header %s' % p[:head].hex())
            src, dst, family, self.ttl = p[8:24], p[24:40], socket.AF_INET6, p[7]
        else:
            raise Bad('ethertype %#x' % kind)
        if size > len(p):
            raise Bad('cut short: %d of %d octets' % (len(p), size))
        u = p[head:size]
        self.sport, self.dport, length, checksum = struct.unpack_from('>HHHH', u)
        if length != len(u):
            raise Bad('UDP length %d in %d octets' % (length, len(u)))
        pseudo = src + dst + (struct.pack('>BBH', 0, 17, length) if len(src) == 4
                              else struct.pack('>IHBB', length, 0, 0, 17))
        if checksum == 0 or ones(pseudo + u):
            raise Bad('UDP checksum %#x' % checksum)
        self.src, self.dst = socket.inet_ntop(family, src), socket.inet_ntop(family, dst)
        self.payload = u[8:]


def receive(s):
    """A frame from a packet socket that has PACKET_AUXDATA on: the kernel takes the
    outer VLAN tag off and tells of it beside the frame."""
    frame, ancillary, _, _ = s.recvmsg(65535, 256)
    for level, kind, data in ancillary:
        if (level, kind) == (263, 8):
            status, _, _, _, _, tci, tpid = struct.unpack_from('=IIIHHHH', data)
            if status & 0x10:  # TP_STATUS_VLAN_VALID
                frame = frame[:12] + struct.pack('>HH', tpid if status & 0x40 else VLAN, tci) + frame[12:]
    return frame


def write_pcap(path, frames):
    with open(path, 'wb') as f:
        f.write(struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for i, frame in enumerate(frames):
            f.write(struct.pack('<IIII', 1 + i // 1000, i % 1000, len(frame), len(frame)) + frame)


def read_pcap(path, most=None):
    """The frames of a file, or the first so many."""
    with open(path, 'rb') as f:
        data = f.read() if most is None else f.read(24 + 2048 * most)
    magic = data[:4]
    order = '<' if magic in (b'\xd4\xc3\xb2\xa1', b'\x4d\x3c\xb2\xa1') else '>'
    at, out = 24, []
    while at < len(data) and len(out) != most:
        size, = struct.unpack_from(order + 'I', data, at + 8)
        out.append(data[at + 16:at + 16 + size])
        at += 16 + size
    return out
