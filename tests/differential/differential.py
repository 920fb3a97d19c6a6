#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""differential.py - ask Pollux, NSD, Knot and BIND the same and compare.

    differential.py [--ours NAME] [--seed N] [--scale X] [--random N] [--show N] [--keep] [--world NAME]

Every difference between our server's answer and a peer's must be matched by an
entry of accepted.py; one that is not fails the test.  --ours names another server
than Pollux to be held against the rest, to learn where they disagree themselves.
Environment: POLLUX_CONTROL, the program under test.
"""
import os
import shutil
import sys
import tempfile

import accepted
import questions
import tally
import wire
import zones


def limit(q):
    if q.tcp:
        return 65535
    return 512 if q.edns is None else max(512, min(1232, q.edns))


def main():
    options = tally.arguments(1.0 if tally.LONG else 0.5).parse_args()
    worlds = {w: t for w, t in zones.WORLDS.items() if options.world in (None, w)}
    options.random //= len(worlds)
    all_of_it = tally.Tally(options, accepted.ACCEPTED, accepted.match)
    folder = tempfile.mkdtemp(prefix='pollux-differential-')
    try:
        for world, texts in worlds.items():
            known = accepted.World((wire.name(a).lower() for a in texts),
                                   {n.lower(): t for n, t in questions.owners(texts).items()})

            def glue(ours):
                if accepted.is_referral(ours) and not ours.flags & wire.TC and known.missing_glue(ours):
                    return ['neither TC nor all glue below the cut (RFC 9471 3.1)']
                return []

            place = os.path.join(folder, world)
            os.mkdir(place)
            pool = sorted(questions.owners(texts))
            all_of_it.world(world, place, texts, known, questions.world(texts, options.seed, options.scale),
                            lambda rng, count: questions.at_random(rng, pool, count), limit, glue)
    finally:
        if options.keep:
            print('kept %s' % folder)
        else:
            shutil.rmtree(folder)
    return all_of_it.report()


if __name__ == '__main__':
    sys.exit(main())
