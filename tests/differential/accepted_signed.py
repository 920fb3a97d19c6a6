# SPDX-License-Identifier: GPL-3.0-or-later
"""accepted_signed.py - as accepted.py, for answers from signed zones."""
import accepted
import wire
from accepted import ADDRESSES, ALL, ANSWERED, PROOFS, RRSIG, Entry, below, chain, covered, cut_of, only

ACCEPTED = []
NSEC, DNSKEY, NSEC3 = 47, 48, 50


def accept(peers, *fields):
    def register(predicate):
        ACCEPTED.append(Entry(set(peers.split()) if isinstance(peers, str) else peers,
                              set().union(*({f} if isinstance(f, str) else f for f in fields)), predicate))
        return predicate
    return register


def match(q, field, ours, theirs, peer, world):
    """The entry that explains a difference, or None."""
    if not isinstance(ours, wire.Message) or not isinstance(theirs, wire.Message):
        return None
    for entry in ACCEPTED:
        if peer in entry.peers and field in entry.fields and entry.predicate(q, ours, theirs, world):
            return entry
    return None


# Addresses that are no glue below the cut are optional, and so are signatures beside them
# (RFC 4035 3.1.1, RFC 9471 3.2, 3.3): each server gives what it likes and has room for.
@accept(ALL, 'additional')
def optional_additional(q, ours, theirs, world):
    cut = cut_of(ours)
    more = set(ours.additional) ^ set(theirs.additional)
    return only(more, ADDRESSES) and cut == cut_of(theirs) and \
        not any(cut and below(rr[0], cut) for rr in more)


# A referral's addresses at all: BIND leaves them out of an answer that a chain leads to.
@accept('nsd bind', 'additional')
def chains_into_referrals(q, ours, theirs, world):
    return len(chain(q, ours)[0]) > 1 and cut_of(ours) and set(theirs.additional) < set(ours.additional)


# ANY over UDP: one RRset, whichever, with its signatures (RFC 8482 4.1).
@accept(ALL, ANSWERED)
def any_is_one_signed_rrset(q, ours, theirs, world):
    return q.qtype == wire.ANY and not q.tcp and ours.rcode == theirs.rcode and \
        len({(rr[0], covered(rr)) for rr in ours.answer}) == 1 and theirs.answer


# RRSIG over UDP: those of one RRset, as Knot and BIND do; over TCP all, as NSD and BIND do.
@accept(ALL, 'answer', 'authority', 'tc', 'length')
def rrsig_is_like_any(q, ours, theirs, world):
    return q.qtype == RRSIG and ours.rcode == theirs.rcode and (
        set(theirs.answer) <= set(ours.answer) if q.tcp else len({(rr[0], covered(rr)) for rr in ours.answer if rr[1] == RRSIG}) <= 2)


# The parent has an NSEC at a cut, and BIND answers it there; NSD, Knot and we refer, as for
# all types but DS (RFC 4035 3.1.4.1 names DS alone).
@accept('bind', ANSWERED)
def nsec_at_a_cut_is_referred(q, ours, theirs, world):
    return q.qtype in (NSEC, RRSIG) and cut_of(ours) and theirs.answer


# NSD never takes NSEC3 for a type that a name could lack: at a CNAME it says so instead of
# following, as all others do.
@accept('nsd', ANSWERED)
def nsd_asks_no_alias_for_nsec3(q, ours, theirs, world):
    return q.qtype == NSEC3 and len(chain(q, ours)[0]) > 1


# The owner of an NSEC3 record is no name of the zone (RFC 5155 7.2.8), so what is below it has
# the apex as its closest encloser.  NSD proves something else about names there.
@accept('nsd', 'authority', 'tc', 'additional')
def nsd_knows_hashed_owners(q, ours, theirs, world):
    return q.tag == 'hashed' and ours.rcode == theirs.rcode == wire.NXDOMAIN and only(theirs.authority, PROOFS | {wire.SOA})


# For the same reason a DNAME at the apex holds for names below such an owner, too, as in Knot and BIND.
@accept('nsd', ANSWERED)
def nsd_hides_hashed_owners_from_a_dname(q, ours, theirs, world):
    return q.tag == 'hashed' and any(rr[1] == wire.DNAME for rr in ours.answer) and not theirs.answer and \
        theirs.rcode == wire.NXDOMAIN


# NSD proves more than it must: that nothing is closer to a wildcard than itself, where it was
# asked for by its own name.
@accept('nsd', 'authority', 'tc')
def nsd_proves_more_of_wildcards(q, ours, theirs, world):
    name = chain(q, ours)[0][-1]
    return name.startswith(b'\1*') and not ours.flags & wire.TC and (
        theirs.flags & wire.TC or set(ours.authority) < set(theirs.authority) and
        only(set(theirs.authority) - set(ours.authority), {NSEC3}))


# Where a wildcard is an empty non-terminal, an NSEC says that it has no data (RFC 4035
# 3.1.3.4).  BIND and Knot leave it to be told from the next record's owner.
@accept('knot bind', 'authority', 'tc')
def the_wildcard_is_empty(q, ours, theirs, world):
    if ours.flags & wire.TC:
        name = chain(q, ours)[0][-1]
        return any(world.owners.get(b'\1*' + name[i:]) == set() for i in range(len(name)))
    return ours.rcode == 0 and not ours.answer and set(theirs.authority) < set(ours.authority) and \
        only(set(ours.authority) - set(theirs.authority), {NSEC})


# NSD says of a DS that a chain leads to, and a wildcard has not, what it would say of the
# name itself.
@accept('nsd', 'authority')
def nsd_forgets_wildcards_for_ds(q, ours, theirs, world):
    return q.qtype == wire.DS and len(chain(q, ours)[0]) > 1 and ours.rcode == 0


# Pointers of a proof's owner lead to the question or to the end of a chain, as in Knot.  BIND
# and NSD also find names inside the SOA, and those that a chain passed by.
@accept('bind nsd', 'length')
def owners_of_proofs(q, ours, theirs, world):
    inside = {q.qname.lower()} | set(chain(q, ours)[0]) | {rr[0] for rr in ours.answer + ours.authority}
    for rr in ours.authority + ours.answer:
        inside.update(accepted.compressible_names(rr))
    near = [q.qname.lower(), chain(q, ours)[0][-1]]
    owners = {rr[0] for rr in ours.authority if rr[1] in PROOFS}
    allowed = sum(max(accepted.shared(o, n) for n in inside - {o} | {n for n in inside if n == o}) -
                  max(accepted.shared(o, n) for n in near) for o in owners)
    blocks = 0
    for rr in ours.authority + ours.answer:
        for name in accepted.compressible_names(rr):
            blocks += max(accepted.shared(name, n) for n in near + [n for n in inside if n != name]) - \
                min(accepted.shared(name, rr[0]), len(name))
    return len(ours.wire) - len(theirs.wire) <= allowed + max(0, blocks)


# An answer from a wildcard has its proof (RFC 4035 3.1.3.3), also when NSEC was asked for and
# the record of the proof is the wildcard's own.  Knot leaves it out then.
@accept('knot', 'authority')
def nsec_of_a_wildcard_is_proved(q, ours, theirs, world):
    return q.qtype == NSEC and ours.answer and not theirs.authority and only(ours.authority, {NSEC})


# What a DNAME leads to is proved absent under its own name.  NSD gives NSEC records that do not
# cover that name.
@accept('nsd', 'authority', 'tc')
def nsd_proves_the_wrong_name_behind_a_dname(q, ours, theirs, world):
    return any(rr[1] == wire.DNAME for rr in ours.answer) and only(theirs.authority, PROOFS | {wire.SOA}) and \
        ours.rcode == theirs.rcode


# An empty non-terminal between names that are not signed has no NSEC3, so the closest
# provable encloser serves (RFC 5155 7.2.4, 12.1.1), as in Knot and BIND.  NSD takes the
# one before it in the chain for its own.
@accept('nsd', 'authority', 'tc')
def nsd_knows_no_provable_encloser(q, ours, theirs, world):
    span = [rr for rr in ours.authority if rr[1] == NSEC3]
    names = {chain(q, ours)[0][-1]}
    while min(map(len, names)) > 1:
        names |= {n[1 + n[0]:] for n in names if len(n) > 1}
    return ours.rcode == theirs.rcode and span and all(rr[4][1] & 1 for rr in span) and \
        any(world.owners.get(n) == set() for n in names) and (ours.flags & wire.TC or len(ours.wire) > len(theirs.wire))


# NSEC3 records are not data of their owner (RFC 5155 7.2.8), nor are their signatures.
@accept('nsd', 'answer')
def nsd_shows_signatures_of_nsec3(q, ours, theirs, world):
    return q.qtype == RRSIG and set(ours.answer) < set(theirs.answer) and \
        only(set(theirs.answer) - set(ours.answer), {NSEC3})
