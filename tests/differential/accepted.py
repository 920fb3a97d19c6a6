# SPDX-License-Identifier: GPL-3.0-or-later
"""accepted.py - where Pollux and its peers differ, and why that is right.

Every entry has a name, the peers and the fields of compare.differences that it may
explain, and a predicate that must hold for the question and the two answers.  The
reason stands above it.  What no entry explains fails the test.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import wire

ANSWERED = {'rcode', 'aa', 'answer', 'authority', 'additional', 'length', 'tc'}
EVERYTHING = ANSWERED | {'silence', 'flags', 'question', 'opt'}
ALL = {'nsd', 'knot', 'bind'}
ADDRESSES = {wire.A, wire.AAAA}
RRSIG = 46
PROOFS = {47, 50}  # NSEC, NSEC3


class World:
    """What the predicates need to know about the zones."""

    def __init__(self, apexes, owners):
        self.apexes, self.owners = set(apexes), owners

    def zone_of(self, name):
        """The deepest apex at or above the name, or None."""
        while True:
            if name in self.apexes:
                return name
            if name == b'\0':
                return None
            name = name[1 + name[0]:]

    def missing_glue(self, referral):
        """Addresses below the cut that the zone has and the referral lacks (RFC 9471 3.1)."""
        cut = referral.authority[0][0]
        there = {(rr[0], rr[1]) for rr in referral.additional}
        return [(target, rtype) for target in (rr[4] for rr in referral.authority) if below(target, cut)
                for rtype in ADDRESSES & self.owners.get(target, set()) if (target, rtype) not in there]


def below(name, ancestor):
    """Is the name at or below the ancestor?  Both are folded."""
    while len(name) > len(ancestor):
        name = name[1 + name[0]:]
    return name == ancestor


def is_referral(m):
    return not m.flags & wire.AA and m.rcode == 0 and not m.answer and m.authority and \
        all(rr[1] == wire.NS for rr in m.authority)


def chain(q, m):
    """The names that an answer goes through, and whether they come back to one of them."""
    aliases = {rr[0]: rr[4] for rr in m.answer if rr[1] == wire.CNAME}
    names = [q.qname.lower()]
    while names[-1] in aliases:
        target = aliases[names[-1]]
        if target in names:
            return names, True
        names.append(target)
    return names, False


def covered(rr):
    """The type a record is, or that its signature covers."""
    return int.from_bytes(rr[4][:2], 'big') if rr[1] == RRSIG else rr[1]


def only(section, types):
    return all(covered(rr) in types for rr in section)


def rrsets(section):
    return {(rr[0], rr[1]) for rr in section}


ACCEPTED = []


class Entry:
    def __init__(self, peers, fields, predicate):
        self.name, self.peers, self.fields, self.predicate = predicate.__name__, peers, fields, predicate


def accept(peers, *fields):
    def register(predicate):
        ACCEPTED.append(Entry(set(peers.split()) if isinstance(peers, str) else peers,
                              set().union(*({f} if isinstance(f, str) else f for f in fields)), predicate))
        return predicate
    return register


def match(q, field, ours, theirs, peer, world):
    """The entry that explains a difference, or None."""
    for entry in ACCEPTED:
        if peer in entry.peers and field in entry.fields and (field == 'silence') == (
                not isinstance(ours, wire.Message) or not isinstance(theirs, wire.Message)) and \
                entry.predicate(q, ours, theirs, world):
            return entry
    return None


# ---- messages that are no ordinary queries ----

# RFC 9619: QDCOUNT above 1 is FORMERR; no question (QDCOUNT 0) is one that we cannot
# answer, either.  A name that is compressed, too long or of unknown label type is
# malformed.  We say so; some peers stay silent, or take QDCOUNT 0 with OPT for a ping.
@accept(ALL, EVERYTHING)
def malformed_is_formerr(q, ours, theirs, world):
    return q.tag.startswith(('qdcount', 'question-', 'prefix')) and ours is not None and ours.rcode == wire.FORMERR \
        and not ours.answer and not ours.flags & wire.AA


# RFC 6891 6.1.1: more than one OPT, or one whose owner is not the root, is FORMERR.
@accept('knot', ANSWERED, 'opt')
def opt_owner_is_formerr(q, ours, theirs, world):
    return q.tag == 'opt-owner' and ours.rcode == wire.FORMERR


# Octets behind the message, records that a query need not have, an rcode in it: we
# ignore what has no meaning (RFC 1035 7.3 asks to be liberal; NSD and Knot refuse).
@accept('nsd knot', EVERYTHING)
def liberal_in_what_we_take(q, ours, theirs, world):
    return q.tag.startswith(('trailing', 'max', 'ancount-1', 'nscount-1', 'arcount-1', 'opt-then-rr', 'rr-then-opt',
                             'rcode-set')) and ours is not None and ours.rcode != wire.FORMERR and (
        theirs is None or theirs.rcode == wire.FORMERR)


# NSD leaves the question, and at times OPT, out of answers with an error.
@accept('nsd', 'question', 'opt')
def nsd_errors_are_bare(q, ours, theirs, world):
    return theirs.rcode not in (0, wire.NXDOMAIN) and not theirs.question and ours.rcode != 0


# NSD does not answer every malformed message: it limits the rate of such answers.
@accept('nsd', 'silence')
def nsd_limits_errors(q, ours, theirs, world):
    return theirs is None and ours.rcode in (wire.FORMERR, wire.NOTIMP) and not q.tag.startswith('owner')


# Opcodes: NOTIMP for all but QUERY (RFC 6895 2.2).  The peers do NOTIFY and UPDATE; BIND
# leaves the question out of its refusal.
@accept(ALL, EVERYTHING)
def other_opcodes_are_notimp(q, ours, theirs, world):
    return q.tag.startswith('opcode') and ours is not None and ours.rcode == wire.NOTIMP and len(ours.question) == 1


# Types that are no data (RFC 6895 3.1) are asked for in vain, like any type that is
# not there; BIND and Knot refuse some of them by number.
@accept('knot bind', ANSWERED)
def meta_types_are_not_there(q, ours, theirs, world):
    return q.tag.startswith('meta') and theirs.rcode in (wire.FORMERR, wire.NOTIMP) and not ours.answer and \
        ours.rcode in (0, wire.NXDOMAIN, wire.REFUSED)


# Classes that we do not have: REFUSED.  BIND calls some unknown ones NOTIMP, NONE
# malformed, and does not answer most of class CHAOS at all.
@accept('bind', EVERYTHING)
def other_classes_are_refused(q, ours, theirs, world):
    return q.tag.startswith('class') and q.qclass != wire.ANY and ours.rcode == wire.REFUSED


# QCLASS ANY is answered from the one class that we have, as Knot does.  NSD clears AA and
# leaves the SOA out, BIND refuses.
@accept('nsd bind', EVERYTHING)
def any_class_is_in(q, ours, theirs, world):
    return q.qclass == wire.ANY and q.tag.startswith('class')


# The server's own names are answered, not served as zones: no AA, nothing else in
# class CHAOS.  BIND has zones of them.
@accept('bind', EVERYTHING)
def chaos_is_no_zone(q, ours, theirs, world):
    return q.qclass == wire.CH and not ours.flags & wire.AA and ours.rcode in (0, wire.REFUSED)


# ANY for the server's own names gives them (as NSD does); Knot wants TXT.
@accept('knot', 'rcode', 'answer')
def chaos_any(q, ours, theirs, world):
    return q.qclass == wire.CH and q.qtype == wire.ANY and theirs.rcode == wire.REFUSED and ours.rcode == 0


# ---- header and EDNS ----

# AD, CD and Z are cleared: nothing here is validated (RFC 6895 2.1, RFC 4035 3.1.6).  BIND
# copies CD, and sets AD where it was asked to.
@accept('bind', 'flags')
def cd_is_not_copied(q, ours, theirs, world):
    return not (ours.flags ^ theirs.flags) & ~(wire.CD | wire.AD | 0x74f) & 0xffff and \
        not ours.flags & (wire.CD | wire.AD)


def extended_error(ours, theirs):
    """INFO-CODE and text of the extended error (RFC 8914) by which alone their OPT differs from ours, or None."""
    if not ours.opt or not theirs.opt or ours.opt[:3] != theirs.opt[:3] or ours.opt[3] or \
            theirs.opt[3][:2] != b'\0\x0f' or int.from_bytes(theirs.opt[3][2:4], 'big') != len(theirs.opt[3]) - 4:
        return None
    return int.from_bytes(theirs.opt[3][4:6], 'big'), theirs.opt[3][6:]


# Extended errors are optional (RFC 8914 3).  We give the one that two peers give, "Not Authoritative"; of the
# others each is one peer's own.  To a class that is not IN NSD says "Not Supported" (4.22).  (BIND says "Prohibited",
# 4.19, to HESIOD; other_classes_are_refused is about that.)
@accept('nsd', 'opt')
def nsd_calls_classes_unsupported(q, ours, theirs, world):
    return q.qclass != wire.IN and ours.rcode == theirs.rcode == wire.REFUSED and \
        extended_error(ours, theirs) == (21, b'')


# "Other" (4.1) with words of their own: BIND where it gives a chain up, which is SERVFAIL there and the chain as far
# as it goes here; NSD for YXDOMAIN, which says the same.
@accept('bind', 'opt')
def bind_says_that_it_gave_up(q, ours, theirs, world):
    return theirs.rcode == wire.SERVFAIL and extended_error(ours, theirs) == (0, b'max. restarts reached')


@accept('nsd', 'opt')
def nsd_says_why_yxdomain(q, ours, theirs, world):
    return theirs.rcode == wire.YXDOMAIN and extended_error(ours, theirs) == (0, b'DNAME expansion became too large')


# BIND does not say that it is not authoritative for a name (RFC 8914 4.21); NSD and Knot do.
@accept('bind', 'opt', 'length')
def not_authoritative(q, ours, theirs, world):
    return ours.rcode == theirs.rcode == wire.REFUSED and ours.opt[3] == b'\0\x0f\0\2\0\x14' and not theirs.opt[3]


# ---- ANY (RFC 8482) ----

# Over UDP one RRset: any will do (4.1).  NSD sends the client to TCP.
@accept(ALL, EVERYTHING)
def any_over_udp_is_one_rrset(q, ours, theirs, world):
    if q.qtype != wire.ANY or q.tcp or theirs is None:
        return False
    if theirs.flags & wire.TC and not theirs.answer and not theirs.question:
        return len(rrsets(ours.answer)) <= 2
    return ours.rcode == theirs.rcode and len(rrsets(ours.answer)) == 1 and len(rrsets(theirs.answer)) == 1


# Over TCP all that is there.  Others give less.
@accept(ALL, 'answer', 'additional', 'length')
def any_over_tcp_is_all(q, ours, theirs, world):
    return q.qtype == wire.ANY and q.tcp and set(theirs.answer) < set(ours.answer)


# ANY matches the CNAME that a DNAME gives, so its target is not asked for (RFC 1034
# 4.3.2 3a), as it is for a CNAME of the zone.
@accept(ALL, ANSWERED, 'opt')
def any_stops_at_a_synthesised_cname(q, ours, theirs, world):
    return q.qtype == wire.ANY and ours.rcode == 0 and len(ours.answer) == 2 and \
        {rr[1] for rr in ours.answer} == {wire.CNAME, wire.DNAME} and set(theirs.answer) >= set(ours.answer)


# ---- chains ----

# A chain goes on through every zone that is loaded.  Knot and BIND end it where it
# leaves the zone of the question, with the CNAME alone or a referral.
@accept('knot bind', ANSWERED)
def chains_cross_zones(q, ours, theirs, world):
    names, _ = chain(q, ours)
    return len({world.zone_of(n) for n in names} - {None}) > 1 and len(chain(q, theirs)[0]) <= len(names)


# NSEC and RRSIG may stand beside a CNAME (RFC 4035 2.5), so they are asked of its owner.  NSD
# follows the CNAME, also to a name beyond a DNAME.
@accept('nsd', ANSWERED)
def what_stands_beside_a_cname(q, ours, theirs, world):
    return q.qtype in (46, 47) and any(rr[1] == wire.CNAME for rr in theirs.answer) and \
        len(ours.answer) < len(theirs.answer)


# A chain that comes back to a name of its own ends there, with what it gave.
@accept(ALL, ANSWERED)
def loops_end_where_they_close(q, ours, theirs, world):
    return chain(q, ours)[1]


# ---- additional records, truncation ----

# A referral whose glue below the cut does not fit is truncated (RFC 9471 3.1); NSD and
# BIND leave glue out and say nothing.
@accept('nsd bind', 'tc', 'additional')
def all_glue_or_tc(q, ours, theirs, world):
    return ours.flags & wire.TC and is_referral(theirs) and not theirs.flags & wire.TC and world.missing_glue(theirs)


def cut_of(m):
    """The owner of the NS records of a referral, at the end of a chain or not; or None."""
    cuts = {rr[0] for rr in m.authority if rr[1] == wire.NS}
    return min(cuts) if len(cuts) == 1 and not any(rr[1] == wire.SOA for rr in m.authority) else None


# As all_glue_or_tc, where a chain leads to the referral, or a DS and proofs stand
# in it.
@accept('nsd bind', 'tc', 'additional')
def all_glue_or_tc_in_any_referral(q, ours, theirs, world):
    cut = cut_of(theirs)
    if not cut or not ours.flags & wire.TC or theirs.flags & wire.TC:
        return False
    there = {(rr[0], rr[1]) for rr in theirs.additional}
    targets = [rr[4] for rr in theirs.authority if rr[1] == wire.NS and below(rr[4], cut)]
    return any((t, a) not in there for t in targets for a in ADDRESSES & world.owners.get(t, set()))


# Where a wildcard stands for a name, the proof says that no closer name exists (RFC 4035 3.1.3.3 and 3.1.3.4,
# RFC 5155 7.2.5 and 7.2.6), also when the name that was asked for begins with an asterisk itself.  Knot takes
# that for the wildcard then.
@accept('knot', 'authority', 'tc')
def knot_takes_an_asterisk_for_the_wildcard(q, ours, theirs, world):
    return any(n.startswith(b'\1*') for n in chain(q, ours)[0]) and (ours.flags & wire.TC or (
        set(theirs.authority) < set(ours.authority) and only(set(ours.authority) - set(theirs.authority), PROOFS)))


# In what a DNAME makes of a name that part of the name is written out which the question has, too; where
# others point there, their answer fits and ours does not.
@accept(ALL, 'tc', 'rcode')
def synthesised_names_are_written_out(q, ours, theirs, world):
    made = [rr for rr in theirs.answer if rr[1] == wire.CNAME]
    return ours.flags & wire.TC and not theirs.flags & wire.TC and any(rr[1] == wire.DNAME for rr in theirs.answer) \
        and len(theirs.wire) + sum(len(rr[4]) for rr in made) > max(512, q.edns or 512)


# The addresses of a referral fit into ours; BIND, whose answer is longer without them, leaves them out and does
# not say so (RFC 9471 3.1).
@accept('bind', 'additional')
def all_glue_fits_into_ours(q, ours, theirs, world):
    left_out = set(ours.additional) - set(theirs.additional)
    return any(rr[1] == wire.NS for rr in ours.authority) and set(theirs.additional) < set(ours.additional) and \
        all(rr[1] in ADDRESSES for rr in left_out) and \
        len(theirs.wire) + min(12 + len(rr[4]) for rr in left_out) > max(512, q.edns or 512)


# An answer fits that theirs does not: fewer additional records, tighter compression.
@accept(ALL, 'tc', 'rcode')
def ours_fits(q, ours, theirs, world):
    return theirs.flags & wire.TC and not ours.flags & wire.TC and \
        (ours.rcode == theirs.rcode or theirs.rcode == 0) and len(ours.answer) >= len(theirs.answer)


# Addresses beside an answer are optional: we add them for NS only, as far as they fit.
@accept(ALL, 'additional')
def optional_addresses(q, ours, theirs, world):
    return ours.flags & theirs.flags & wire.AA and all(
        rr[1] in ADDRESSES for rr in set(ours.additional) ^ set(theirs.additional)) and (
        set(ours.additional) <= set(theirs.additional) or q.qtype == wire.NS)


# Addresses of name servers that are not below the cut are no glue that a referral must
# have (RFC 9471 3.2, 3.3): we give those that the zone has, as far as they fit.
@accept(ALL, 'additional')
def addresses_beside_the_cut(q, ours, theirs, world):
    return is_referral(ours) and is_referral(theirs) and not any(
        below(rr[0], ours.authority[0][0]) for rr in set(ours.additional) ^ set(theirs.additional))


# A block of records is made when its zone is loaded, with pointers to its owner and
# into itself.  A name in it with which the question happens to share more than the
# owner is written out once.
def shared(a, b):
    """Octets of the labels that two names have in common at their ends."""
    x, y, n = wire.labels(a)[::-1], wire.labels(b)[::-1], 0
    for p, r in zip(x, y):
        if p != r:
            break
        n += 1 + len(p)
    return n


def compressible_names(rr):
    """The names in the RDATA of a record of the types in which names are compressed most."""
    if rr[1] in (wire.NS, wire.CNAME, wire.PTR, 7, 8, 9):  # and MB, MG, MR
        return [rr[4]]
    if rr[1] == wire.MX:
        return [rr[4][2:]]
    if rr[1] in (wire.SOA, wire.TYPES['MINFO']):
        end = rr[4].index(b'\0') + 1
        return [rr[4][:end], rr[4][end:-20] if rr[1] == wire.SOA else rr[4][end:]]
    return []


@accept(ALL, 'length', 'tc')
def blocks_are_made_before_the_question(q, ours, theirs, world):
    names = {}
    for rr in ours.answer + ours.authority:
        names.setdefault(rr[:2], []).extend(compressible_names(rr))
    allowed = 0
    for block, inside in names.items():
        # What else the message holds, as other servers may order it otherwise.
        outside = {q.qname.lower()}.union(*(set(more) for other, more in names.items() if other != block))
        allowed += sum(max(0, max(shared(name, o) for o in outside) - shared(name, block[0])) for name in inside)
    if theirs.flags & wire.TC or not ours.flags & wire.TC:
        return 0 < len(ours.wire) - len(theirs.wire) <= allowed
    return len(theirs.wire) + allowed > min(1232, q.edns or 512) and allowed > 0


# NSD keeps the names of all zones in one tree: a name below a child zone's apex that only
# the parent has is there for it, without data.
@accept('nsd', 'rcode')
def nsd_knows_the_parents_names(q, ours, theirs, world):
    return ours.rcode == wire.NXDOMAIN and theirs.rcode == 0 and chain(q, ours)[0][-1] in world.owners




# A chain may have 16 links here; Knot follows 5, BIND 11 and then gives up.
@accept('knot bind', ANSWERED)
def long_chains(q, ours, theirs, world):
    return len(chain(q, ours)[0]) > 5 and set(theirs.answer) < set(ours.answer) or \
        len(chain(q, ours)[0]) > 11 and theirs.rcode == wire.SERVFAIL or \
        ours.flags & wire.TC and len(chain(q, theirs)[0]) > 5


# YXDOMAIN (RFC 6672 2.2) comes with the DNAME that is the cause of it.  Knot adds an SOA
# or what it found at the target before, and says NXDOMAIN at times.
@accept('knot', 'rcode', 'answer', 'authority')
def yxdomain_has_the_dname_alone(q, ours, theirs, world):
    return ours.rcode == wire.YXDOMAIN and set(ours.answer) <= set(theirs.answer) and not ours.authority


# Where the SOA of a negative answer fits it is there.  Knot leaves it out when its own
# answer, less compressed, has no room for it.
@accept('knot', 'authority')
def the_soa_fits(q, ours, theirs, world):
    return not theirs.authority and len(theirs.wire) + 100 > (512 if q.edns is None else max(512, min(1232, q.edns))) \
        and [rr[1] for rr in ours.authority] == [wire.SOA]


# The rcode of a truncated answer is that of the chain as far as it fitted.
@accept(ALL, 'rcode')
def truncated_chains(q, ours, theirs, world):
    return ours.flags & theirs.flags & wire.TC and 0 in (ours.rcode, theirs.rcode)


# A negative answer has its SOA (RFC 2308 2.1, 2.2) or TC.  Knot leaves the SOA out.
@accept('knot', 'tc')
def soa_or_tc(q, ours, theirs, world):
    return ours.flags & wire.TC and not theirs.flags & wire.TC and not theirs.authority and \
        chain(q, theirs)[0][-1] not in {rr[0] for rr in theirs.answer}


# BIND fails when SIG is all that a name has and ANY is asked for.
@accept('bind', ANSWERED)
def any_of_sig(q, ours, theirs, world):
    return q.qtype == wire.ANY and theirs.rcode == wire.SERVFAIL and rrsets(ours.answer) == {(q.qname.lower(), 24)}
