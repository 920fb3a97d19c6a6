# SPDX-License-Identifier: GPL-3.0-or-later
"""compare.py - how two answers to one question differ, and what one answer alone
must keep to."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import wire


def read(octets):
    """A Message, None for silence, or the fault as a string."""
    if octets is None:
        return None
    try:
        return wire.Message(octets)
    except wire.Malformed as fault:
        return 'malformed: %s: %s' % (fault, octets.hex())


def differences(ours, theirs):
    """The fields in which two read answers differ."""
    if ours is None or theirs is None or isinstance(ours, str) or isinstance(theirs, str):
        return [] if ours is None and theirs is None else ['silence']
    out = []
    if ours.rcode != theirs.rcode:
        out.append('rcode')
    for field, bit in (('aa', wire.AA), ('tc', wire.TC)):
        if (ours.flags ^ theirs.flags) & bit:
            out.append(field)
    if (ours.flags ^ theirs.flags) & (wire.QR | wire.RD | wire.RA | wire.Z | wire.AD | wire.CD) or \
            ours.opcode != theirs.opcode:
        out.append('flags')
    if ours.question != theirs.question:
        out.append('question')
    if (ours.opt is None) != (theirs.opt is None) or ours.opt and (
            ours.opt[1:3] != theirs.opt[1:3] or ours.opt[3] != theirs.opt[3]):
        out.append('opt')
    if (ours.flags | theirs.flags) & wire.TC:
        return out
    same = True
    for field in ('answer', 'authority', 'additional'):
        if sorted(getattr(ours, field)) != sorted(getattr(theirs, field)):
            out.append(field)
            same = False
    if same and not out and len(ours.wire) > len(theirs.wire):
        out.append('length')
    return out


def alone(question, answer, limit):
    """What is wrong with one answer by itself; [] if nothing."""
    if answer is None:
        return []
    if isinstance(answer, str):
        return [answer]
    out = []
    if not answer.flags & wire.QR:
        out.append('QR is clear')
    if answer.flags & (wire.RA | wire.AD | wire.CD | wire.Z):
        out.append('a flag that is not ours to set: %#x' % answer.flags)
    if (answer.flags ^ int.from_bytes(question.message[2:4], 'big')) & (wire.RD | 0x7800):
        out.append('RD or opcode not copied')
    if len(answer.wire) > limit:
        out.append('%d octets, %d allowed' % (len(answer.wire), limit))
    if answer.illegally_compressed:
        out.append('compressed RDATA of %s' % answer.illegally_compressed)
    for section in (answer.answer, answer.authority, answer.additional):
        if len(set(section)) != len(section):
            out.append('a record twice')
    if question.tag.startswith(('owner', 'near', 'random', 'tcp', 'any', 'size', 'outside')):
        if answer.question != [(question.qname, question.qtype, question.qclass)]:
            out.append('question not copied as asked')
        if (answer.opt is not None) != (question.edns is not None):
            out.append('OPT where none was asked for, or the other way round')
    return out
