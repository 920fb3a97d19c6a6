#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was changed at run time outlives the control process, however it ends.

Transactions on two zones say their number in both; the control process is killed at
each stage of a commit: the dataplane goes on with one version, and the process that
follows has all that was acknowledged, and what was not in whole or not at all.
"""
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import time

import lab
import wire
from lab import check, equal

ZONES = ('example.com', 'example.org')


def zone(domain, number=1, more=''):
    return '$ORIGIN %s.\n@ 60 SOA ns1 hostmaster %d 7200 900 1209600 300\n@ 60 NS ns1\nns1 60 A 10.53.0.1\n' \
        'v 60 TXT "%d"\n' % (domain, number, number) + more


L = lab.Lab({d: zone(d) for d in ZONES})


def edit(number):
    return ''.join('zone %s\nset v 60 TXT "%d"\nset n%d 60 TXT "%d"\nunset n%d\n' %
                   (d, number, number, number, number - 2) for d in ZONES)


def commit(s, text):
    commands = lab.Commands(s)
    for command, arguments in (('txn-begin', {}), ('txn-edit', {'text': text}), ('txn-commit', {})):
        reply = commands.put(command, **arguments)
        check(reply['ok'], '%s', reply)
    return reply['result']


def run(text):
    with L.control_socket() as s:
        return commit(s, text)


def number_of(name, domain):
    """The number in a TXT record of the zone, None where there is none."""
    m = L.ask('%s.%s' % (name, domain), 'TXT')
    return int(m.answer[0][4][1:]) if m.answer else None


def version():
    """The version that is served, which must be one, whole, in both zones."""
    n = number_of('v', ZONES[0])
    for d in ZONES:
        equal(number_of('v', d), n, 'v in %s' % d)
        if n > 1:
            equal(number_of('n%d' % n, d), n, 'n%d in %s' % (n, d))
        equal(number_of('n%d' % (n + 1), d), None, 'n%d in %s' % (n + 1, d))
        equal(number_of('n%d' % (n - 2), d), None, 'n%d in %s' % (n - 2, d))
    return n


def settled():
    """Until the dataplane serves the new control process's table."""
    lab.wait_until(lambda: L.ask_control('status')['dataplane']['attached'], 20, 'the dataplane attached')
    text = 'dataplane %d serves' % L.dataplane.pid
    lab.wait_until(lambda: L.control.output().split('ready\n')[-1].count(text), 20, 'the dataplane serving')


def restart(**options):
    L.control.stop()
    L.start_control(**options)
    settled()


def rows():
    return {r['zone']: r for r in L.ask_control('zone-list')['rows']}


def changes_outlive_a_restart():
    for n in range(2, 12):
        run(edit(n))
    equal(version(), 11, 'version')
    before = rows()
    restart()
    equal(version(), 11, 'version after the restart')
    equal({z: (r['serial'], r['names'], r['records'], r['changes']) for z, r in rows().items()},
          {z: (r['serial'], r['names'], r['records'], r['changes']) for z, r in before.items()}, 'zones')
    equal(run(edit(12))['zones'][0]['serial'], 12, 'the next serial')


# Where a transaction dies (hook.h, replay.h), whether its version is stored then, and whether it is
# visible; a transaction links six nodes, marks two and publishes two snapshots.
STAGES = (
    ('prepared:%d', False, False),
    ('stored:%d', True, False),
    ('stored:%d,commit: link:1', True, False),
    ('stored:%d,commit: link:6', True, False),
    ('stored:%d,commit: mark:1', True, False),
    ('stored:%d,commit: mark:2', True, False),
    ('stored:%d,commit: snapshot:1', True, False),
    ('stored:%d,commit: snapshot:2', True, False),
    ('stored:%d,commit: before:1', True, False),
    ('stored:%d,commit: after:1', True, True),
    ('committed:%d', True, True),
    ('committed:%d,reclaim: unlink:1', True, True),
    ('committed:%d,reclaim: unlink:2', True, True),
    ('committed:%d,reclaim: free:1', True, True),
    ('committed:%d,reclaim: free:5', True, True),
)


@lab.measured
def killed_at_every_stage():
    L.restore()
    settled()
    n = version()
    for i, (place, stored, visible) in enumerate(STAGES):
        nth = 1 + i % 3
        # Each zone's load reaches the place, too.
        hook = place % (nth + len(ZONES))
        L.control.stop()
        L.start_control(program='POLLUX_CONTROL_HOOKS', env={'POLLUX_HOOK': hook})
        settled()
        acknowledged = n
        with L.control_socket() as s:
            try:
                for _ in range(nth):
                    n += 1
                    commit(s, edit(n))
                    acknowledged = n
            except (lab.Failure, ConnectionError, socket.timeout):
                pass
        L.control.popen.wait(10)
        equal(L.control.popen.returncode, -signal.SIGKILL, 'its end at ' + hook)
        L.control.expect_status = (-signal.SIGKILL,)
        check(acknowledged == n - 1 or (acknowledged == n and 'reclaim' in place), '%d was acknowledged at %s',
              acknowledged, hook)
        equal(version(), n if visible else n - 1, 'the dataplane alone at ' + hook)
        L.start_control()
        settled()
        after = version()
        equal(after, n if stored else n - 1, 'the store at ' + hook)
        n = after


def killed_while_a_base_is_written():
    """A zone large enough for several pieces of a base, killed in each of them."""
    many = ''.join('m%d 60 TXT "%s"\n' % (i, 'x' * 200) for i in range(6000))
    number = 1000
    for place, nth in (('base', 1), ('base-stored', 1), ('base', 2), ('base-stored', 2), ('base', 3),
                       ('base-stored', 3)):
        L.write_zone('example.com', zone('example.com', number, many))
        L.ask_control('zone-reload', zone='example.com', force=True)
        L.control.stop()
        L.start_control(program='POLLUX_CONTROL_HOOKS', env={'POLLUX_HOOK': '%s:%d' % (place, nth)})
        settled()
        # The base follows the commit: its end may come before the acknowledgement.
        with contextlib.suppress(lab.Failure, ConnectionError):
            run('zone example.com\nset v 60 TXT "%d"\nunset m0\nset m1 60 TXT "y"\nunset m5999\n' % (number + 1))
        L.control.popen.wait(10)
        L.control.expect_status = (-signal.SIGKILL,)
        for again in range(2):  # the base is then written in peace, and read
            L.start_control()
            settled()
            equal(number_of('v', 'example.com'), number + 1, 'v after %s:%d' % (place, nth))
            equal([L.ask('m%d.example.com' % i, 'TXT').rcode for i in (0, 1, 2, 5998, 5999)], [3, 0, 0, 0, 3],
                  'names after %s:%d' % (place, nth))
            time.sleep(0.5)
            if not again:
                L.control.kill()
        number += 1000
    L.write_zone('example.com', zone('example.com'))
    L.ask_control('zone-reload', zone='example.com', force=True)


def reload_takes_the_file():
    equal(rows()['example.com.']['changes'], 0, 'changes after a forced reload')
    run('zone example.com\nset v 60 TXT "5"\nset w 60 TXT "5"\n')
    L.write_zone('example.com', zone('example.com', 30))
    reply = L.command('zone-reload', zone='example.com')
    equal((reply['ok'], reply.get('code')), (False, 'changed'), 'reload without force')
    equal(number_of('v', 'example.com'), 5, 'what stood')
    reply = L.command('zone-reload')
    equal((reply['ok'], reply.get('code')), (False, 'changed'), 'reload of all without force')
    equal(rows()['example.com.']['state'], 'stale', 'its state')
    # At the start the zone as it was is served; its file is passed over.
    restart()
    equal((number_of('v', 'example.com'), number_of('w', 'example.com')), (5, 5), 'after a restart')
    log = L.control.output()
    check('example.com.: its file has changed since' in log and 'is served' in log, '%s', log[-2000:])
    os.unlink(L.zone_file('example.com'))
    restart()
    equal((number_of('v', 'example.com'), number_of('w', 'example.com')), (5, 5), 'without its file')
    L.write_zone('example.com', zone('example.com', 31))
    out = L.polluxctl('zone', 'reload', 'example.com', '--force')
    check('3 changes made at run time were dropped' in out, '%s', out)
    equal((number_of('v', 'example.com'), number_of('w', 'example.com')), (31, None), 'after a forced reload')
    restart()
    equal((number_of('v', 'example.com'), number_of('w', 'example.com')), (31, None), 'and a restart')


def zones_added_and_removed():
    L.write_zone('example.net', zone('example.net', 3))
    L.ask_control('zone-add', zone='example.net', file=L.zone_file('example.net'))
    run('zone example.net\nset w 60 TXT "7"\n')
    L.ask_control('zone-remove', zone='example.org')
    L.control.kill()
    L.start_control()
    settled()
    equal(sorted(rows()), ['example.com.', 'example.net.'], 'zones')
    equal((number_of('v', 'example.net'), number_of('w', 'example.net')), (3, 7), 'the zone that was added')
    equal(L.ask('v.example.org', 'TXT').rcode, wire.REFUSED, 'the zone that was removed')
    L.ask_control('zone-remove', zone='example.net')
    L.ask_control('zone-add', zone='example.org', file=L.zone_file('example.org'))
    restart()
    equal(sorted(rows()), ['example.com.', 'example.org.'], 'zones')
    equal(number_of('v', 'example.org'), 1, 'the zone that is back')


def a_store_that_cannot_be_read():
    """Nothing is served that was before acknowledged changes: the start fails, until it can."""
    L.polluxctl('zone', 'set', 'example.com', 'kept 60 TXT 7')
    L.control.stop()
    with open(L.path('data', 'zones.lock')) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = len(L.control.output())
        L.start_control(wait=False)
        L.control.popen.wait(20)
        equal(L.control.popen.returncode, 1, 'status')
        L.control.expect_status = (1,)
        check('another process has it: what was changed at run time is in there' in L.control.output()[before:],
              '%s', L.control.output()[before:])
    L.start_control()
    settled()
    equal(number_of('kept', 'example.com'), 7, 'what was changed before')


def without_a_store():
    """Zones are served, changes are refused."""
    L.write_zone('example.com', zone('example.com', 41))
    L.control.stop()
    shutil.rmtree(L.path('data'))
    with open(L.path('data'), 'w'):
        pass
    L.start_control()
    settled()
    equal(number_of('v', 'example.com'), 41, 'what the file says')
    reply = L.command('zone-remove', zone='example.com')
    equal(reply.get('code'), 'cannot-store', 'removal')
    equal(number_of('v', 'example.com'), 41, 'what was not removed')
    r = L.polluxctl('zone', 'set', 'example.com', 'v 60 TXT 9', check_status=False)
    check(r.returncode == 1 and 'cannot be made durable' in r.stderr, '%s', r)
    equal(number_of('v', 'example.com'), 41, 'what was not changed')


lab.main(L, changes_outlive_a_restart, killed_at_every_stage, killed_while_a_base_is_written,
         reload_takes_the_file, zones_added_and_removed,
         a_store_that_cannot_be_read, without_a_store)
