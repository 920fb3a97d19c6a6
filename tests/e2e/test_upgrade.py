#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that do not agree on the layout of shared memory: whoever comes later is
refused, with the reason in both logs and in `status`; what is served goes on."""

import lab
from lab import check, equal


L = lab.Lab()


def www(address):
    equal(L.ask('www.example.com', 'A').answer[0][4], bytes(map(int, address.split('.'))), 'www.example.com')


def a_new_control_process_beside_an_old_dataplane():
    www('192.0.2.1')
    with L.counting(answered='>=1'):
        www('192.0.2.1')
    L.control.stop()
    L.write_zone('example.com', lab.ZONE.replace('192.0.2.1', '192.0.2.99'))
    L.start_control(program='POLLUX_CONTROL_LAYOUT')
    lab.wait_until(lambda: 'layout' in L.control.output(), 10, 'a word in its log')
    lab.wait_until(lambda: 'layout' in L.dataplane.output(), 10, 'a word in the dataplane\'s log')
    check(L.dataplane.running(), 'the dataplane ended')
    www('192.0.2.1')  # the old arena's
    for text in (L.control.output(), L.dataplane.output()):
        line = [x for x in text.split('\n') if 'layout' in x][-1]
        check('restart' in line and 'pollux-dataplane' in line, '%s', line)
    status = L.ask_control('status')
    equal(status['dataplane']['attached'], False, 'attached')
    equal(len(status['refused']), 1, 'refused dataplanes')
    equal(status['refused'][0]['pid'], L.dataplane.pid, 'which')
    check('layout' in status['refused'][0]['reason'], '%s', status)
    check('layout' in L.polluxctl('status'), 'polluxctl status')


def a_restarted_dataplane_is_refused_too():
    L.dataplane.stop()
    www('192.0.2.99')  # the control process answers
    lab.wait_until(lambda: L.ask_control('status')['refused'] == [], 5, 'the refused dataplane forgotten')


def back_to_programs_that_agree():
    L.start_dataplane(wait=False)
    lab.wait_until(lambda: L.ask_control('status')['refused'], 10, 'the old dataplane refused again')
    www('192.0.2.99')
    L.control.stop()
    L.start_control()
    lab.wait_until(lambda: L.ask_control('status')['dataplane']['attached'], 20, 'the dataplane attached')
    equal(L.ask_control('status')['refused'], [], 'refused dataplanes')
    lab.wait_until(lambda: 'serves' in L.control.output().split('ready\n')[-1], 20, 'it serves')
    with L.counting(answered='>=1'):
        www('192.0.2.99')


lab.main(L, a_new_control_process_beside_an_old_dataplane, a_restarted_dataplane_is_refused_too,
         back_to_programs_that_agree)
