#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that do not agree on the layout of shared memory, or on how it is handed over: whoever comes
later is refused, with the reason in both logs and in `status`; what is served goes on."""

import lab
from lab import check, equal


L = lab.Lab()


def www(address):
    equal(L.ask('www.example.com', 'A').answer[0][4], bytes(map(int, address.split('.'))), 'www.example.com')


# What differs, as both logs and `status` name it: of which program which.
DIFFERENT = (
    ('POLLUX_CONTROL_LAYOUT', 'layouts differ: table 1000 and status'),
    ('POLLUX_CONTROL_STATUS', 'and status 1000 of pollux-control'),
    ('POLLUX_CONTROL_PROTOCOL', 'versions of the attach protocol differ: 1000 of pollux-control, '),
)


def in_new(log, before, words):
    lab.wait_until(lambda: words in log()[before:], 10, 'the words in a log')
    line = [x for x in log()[before:].split('\n') if words in x][-1]
    check('restart' in line and 'pollux-dataplane' in line, '%s', line)


def a_new_control_process_beside_an_old_dataplane(program, words):
    www('192.0.2.1')
    with L.counting(answered='>=1'):
        www('192.0.2.1')
    L.control.stop()
    L.write_zone('example.com', lab.ZONE.replace('192.0.2.1', '192.0.2.99'))
    before = [len(p.output()) for p in (L.control, L.dataplane)]
    L.start_control(program=program)
    in_new(L.control.output, before[0], words)
    in_new(L.dataplane.output, before[1], words)
    check(L.dataplane.running(), 'the dataplane ended')
    www('192.0.2.1')  # the old arena's
    status = L.ask_control('status')
    equal(status['dataplane']['attached'], False, 'attached')
    equal(len(status['refused']), 1, 'refused dataplanes')
    equal(status['refused'][0]['pid'], L.dataplane.pid, 'which')
    check(words in status['refused'][0]['reason'], '%s', status)
    check(words in L.polluxctl('status'), 'polluxctl status')


def a_restarted_dataplane_is_refused_too():
    L.dataplane.stop()
    www('192.0.2.99')  # the control process answers
    lab.wait_until(lambda: L.ask_control('status')['refused'] == [], 5, 'the refused dataplane forgotten')
    L.start_dataplane(wait=False)
    lab.wait_until(lambda: L.ask_control('status')['refused'], 10, 'the old dataplane refused again')
    www('192.0.2.99')


def back_to_programs_that_agree():
    L.control.stop()
    L.start_control()
    lab.wait_until(lambda: L.ask_control('status')['dataplane']['attached'], 20, 'the dataplane attached')
    equal(L.ask_control('status')['refused'], [], 'refused dataplanes')
    lab.wait_until(lambda: 'serves' in L.control.output().split('ready\n')[-1], 20, 'it serves')
    with L.counting(answered='>=1'):
        www('192.0.2.99')
    L.write_zone('example.com', lab.ZONE)
    L.ask_control('zone-reload', zone='example.com')


def programs_that_differ(program, words):
    a_new_control_process_beside_an_old_dataplane(program, words)
    a_restarted_dataplane_is_refused_too()
    back_to_programs_that_agree()


def another_layout_of_the_table():
    programs_that_differ(*DIFFERENT[0])


def another_layout_of_the_status_region():
    programs_that_differ(*DIFFERENT[1])


def another_attach_protocol():
    programs_that_differ(*DIFFERENT[2])


lab.main(L, another_layout_of_the_table, another_layout_of_the_status_region, another_attach_protocol)
