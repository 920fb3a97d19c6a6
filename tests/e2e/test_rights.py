#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What both processes may still do once they serve: no capability, no new privileges, few
system calls, a user of their own; and that everything goes on working so, takeovers and the
removal of the steering program included.  With --root no user is configured."""
import os
import pwd
import signal
import stat
import subprocess
import sys

import lab
import wire
from lab import check, equal

ROOT = '--root' in sys.argv
if ROOT:
    sys.argv.remove('--root')
USER = pwd.getpwnam('nobody')
DAC_OVERRIDE, NET_ADMIN = 1 << 1, 1 << 12
# Under a sanitizer system calls are not filtered.
FILTERED = 'sanitiz' not in subprocess.run(['ldd', os.environ['POLLUX_CONTROL']], capture_output=True,
                                           text=True).stdout.replace('libasan', 'sanitiz')


class UserLab(lab.Lab):
    def write_configuration(self):
        super().write_configuration()
        if ROOT:
            return
        # What an administrator does for the user.
        os.chmod(self.folder, 0o755)
        for folder in ('run', 'data'):
            os.chown(self.path(folder), USER.pw_uid, USER.pw_gid)


L = UserLab(server='  threads: 2\n' + ('' if ROOT else '  user: nobody\n'))


def status(pid):
    with open('/proc/%d/status' % pid) as f:
        return dict(line.rstrip('\n').split(':\t', 1) for line in f if ':\t' in line)


def tasks(pid):
    return [int(t) for t in os.listdir('/proc/%d/task' % pid)]


def children(pid):
    with open('/proc/%d/task/%d/children' % (pid, pid)) as f:
        return [int(c) for c in f.read().split()]


def check_process(pid, capabilities, bounding=True):
    for task in tasks(pid):
        s = status(task)
        for which in ('CapEff', 'CapPrm', 'CapInh', 'CapAmb'):
            wanted = capabilities if which in ('CapEff', 'CapPrm') else 0
            equal(int(s[which], 16), wanted, '%s of thread %d (%s)' % (which, task, s['Name']))
        if not ROOT and task == pid:
            equal(int(s['CapBnd'], 16), 0, 'CapBnd of %s' % s['Name'])
        equal(s['NoNewPrivs'], '1', 'NoNewPrivs of %s' % s['Name'])
        if FILTERED:
            equal(s['Seccomp'], '2', 'Seccomp of %s' % s['Name'])
        uid = 0 if ROOT else USER.pw_uid
        equal(s['Uid'].split(), [str(uid)] * 4, 'users of %s' % s['Name'])
        if not ROOT:
            equal(s['Gid'].split(), [str(USER.pw_gid)] * 4, 'groups of %s' % s['Name'])
            check('0' not in s['Groups'].split(), 'group root in %s', s['Name'])
    equal(int(status(pid)['Umask'], 8), 0o077, 'umask')


def every_thread_has_given_up_its_rights():
    kept = DAC_OVERRIDE if ROOT else 0
    check_process(L.control.pid, kept)
    check_process(L.dataplane.pid, kept)
    check(len(tasks(L.dataplane.pid)) > 2 and len(tasks(L.control.pid)) > 2, 'threads')


def one_small_process_keeps_one_right():
    keeper, = children(L.dataplane.pid)
    check_process(keeper, NET_ADMIN)


def both_say_who_they_are():
    for process in (L.control, L.dataplane):
        check(('running on as root' if ROOT else 'running as user nobody') in process.output(), '%s does not say',
              process.name)


def files_are_the_users_own():
    for name in ('control.sock', 'attach.sock'):
        st = os.stat(L.path('run', name))
        equal(st.st_uid, 0 if ROOT else USER.pw_uid, 'owner of ' + name)
        equal(stat.S_IMODE(st.st_mode) & 0o7, 0, 'what others may')


def answers():
    with L.counting(answered=1):
        equal(L.ask('www.example.com', 'A').rcode, 0, 'rcode')
    with L.tcp() as s:
        s.close()


def changes_and_reloads():
    L.polluxctl('zone', 'set', 'example.com', 'added 300 A 192.0.2.9')
    equal(L.ask('added.example.com', 'A').rcode, 0, 'rcode')
    for name in os.listdir(L.path('data')):
        st = os.stat(L.path('data', name))
        equal(stat.S_IMODE(st.st_mode) & 0o077, 0, 'what others may with ' + name)
    L.polluxctl('reload')


def a_hung_dataplane_is_bypassed_and_returns():
    """The control process writes to the steering program's maps without any right."""
    L.dataplane.send_signal(signal.SIGSTOP)
    try:
        lab.wait_until(lambda: 'is silent' in L.control.output(), 2, 'the bypass')
        equal(L.ask('www.example.com', 'A').rcode, 0, 'from the kernel sockets')
    finally:
        L.dataplane.send_signal(signal.SIGCONT)
    lab.wait_until(lambda: 'is back' in L.control.output(), 2, 'the return')
    check('cannot change its bypass' not in L.control.output(), 'the map cannot be written')


def each_goes_on_when_the_other_dies():
    L.control.kill()
    equal(L.ask('www.example.com', 'A').rcode, 0, 'from the workers')
    L.start_control()
    lab.wait_until(lambda: 'serves' in L.control.output().split('ready')[-1], 5, 'the dataplane attached again')
    L.dataplane.kill()
    equal(L.ask('www.example.com', 'A').rcode, 0, 'from the kernel sockets')
    L.start_dataplane()
    with L.counting(answered=1):
        equal(L.ask('www.example.com', 'A').rcode, 0, 'rcode')
    check_process(L.dataplane.pid, DAC_OVERRIDE if ROOT else 0)


def the_steering_program_goes_with_the_dataplane():
    def attached():
        return 'xdp' in L.in_server('ip', 'link', 'show', 'dev', 'eth0')

    keeper, = children(L.dataplane.pid)
    check(attached(), 'no program')
    equal(L.dataplane.stop(), 0, 'status')
    check(not attached(), 'the program stays')
    check(not os.path.exists('/proc/%d' % keeper), 'the keeper stays')
    L.start_dataplane()


def a_user_that_is_not_there_is_refused():
    with open(L.path('pollux.yaml')) as f:
        text = f.read()
    with open(L.path('other.yaml'), 'w') as f:
        f.write(text.replace('  threads: 2\n', '  threads: 2\n  user: nobody-of-that-name\n').replace('  user: nobody\n', ''))
    for program in ('POLLUX_CONTROL', 'POLLUX_DATAPLANE'):
        r = lab.run(os.environ[program], '--config', L.path('other.yaml'), check_status=False, timeout=20)
        check(r.returncode != 0, '%s starts', program)


def a_folder_of_somebody_else_is_refused():
    if ROOT:
        return
    with open(L.path('pollux.yaml')) as f:
        text = f.read()
    os.mkdir(L.path('roots'))
    with open(L.path('other.yaml'), 'w') as f:
        f.write(text.replace('data-directory: data', 'data-directory: roots'))
    r = lab.run(os.environ['POLLUX_CONTROL'], '--config', L.path('other.yaml'), check_status=False, timeout=20)
    check(r.returncode != 0 and 'user nobody cannot write to' in r.stderr, '%s', r.stderr)


def what_a_reload_cannot_read_is_told():
    """A certificate for root alone serves, until it has to be read again."""
    if ROOT:
        return
    with open(L.path('pollux.yaml')) as f:
        text = f.read()
    lab.run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj',
            '/CN=lab', '-keyout', L.path('key.pem'), '-out', L.path('cert.pem'))
    os.chmod(L.path('key.pem'), 0o600)
    os.chmod(L.path('cert.pem'), 0o644)
    for folder in ('keys', 'keys/run', 'keys/data'):
        os.makedirs(L.path(folder))
        os.chown(L.path(folder), USER.pw_uid, USER.pw_gid)
    with open(L.path('keys.yaml'), 'w') as f:
        f.write(text.replace('listen: ' + text.split('listen: ')[1].split('\n')[0], 'listen: ["10.53.0.1@5301"]')
                .replace('directory: run', 'directory: keys/run').replace('directory: data', 'directory: keys/data')
                .replace('  user: nobody\n', '  user: nobody\n  tls: {certificate: cert.pem, key: key.pem}\n'))
    p = L.start('keys', [os.environ['POLLUX_CONTROL'], '--config', L.path('keys.yaml')], L.server)
    p.wait_ready()
    told = [line for line in p.output().splitlines() if 'a reload will not be able to read it' in line]
    check(len(told) == 1 and 'key.pem: ' in told[0], '%s', p.output())
    equal(p.stop(), 0, 'status')


def who_is_not_root_needs_not_be():
    """Started by an ordinary user, on another port: nothing is asked for that it has not."""
    with open(L.path('pollux.yaml')) as f:
        text = f.read()
    listen = text.split('listen: ')[1].split('\n')[0]
    with open(L.path('own.yaml'), 'w') as f:
        f.write(text.replace(listen, '["10.53.0.1@5300"]').replace('directory: run', 'directory: own/run')
                .replace('directory: data', 'directory: own/data').replace('  user: nobody\n', '  user: root\n'))
    os.chmod(L.folder, 0o755)
    for folder in ('own', 'own/run', 'own/data'):
        os.makedirs(L.path(folder))
        os.chown(L.path(folder), USER.pw_uid, USER.pw_gid)
    p = L.start('own', ['setpriv', '--reuid', str(USER.pw_uid), '--regid', str(USER.pw_gid), '--clear-groups',
                        os.environ['POLLUX_CONTROL'], '--config', L.path('own.yaml')], L.server)
    p.wait_ready()
    s = status(p.pid)
    equal((int(s['CapEff'], 16), int(s['CapPrm'], 16), s['NoNewPrivs']), (0, 0, '1'), 'rights')
    check(ROOT or 'only root can become root' in p.output(), 'it does not say that it stays what it is')
    with L.udp(port=5300) as u:
        u.send(wire.query(wire.name('www.example.com'), wire.A))
        equal(wire.Message(u.recv(4096)).rcode, 0, 'rcode')
    equal(p.stop(), 0, 'status')


def the_unit_permits_what_is_needed():
    """The control process as its systemd unit starts it: the ports, the steering program's maps,
    its own filter."""
    if ROOT or not FILTERED:
        return
    unit = os.path.join(lab.HERE, '..', '..', 'scripts', 'pollux-control.service')
    equal(L.control.stop(), 0, 'status')
    p = L.start('control-unit', ['setpriv', '--reuid', str(USER.pw_uid), '--regid', str(USER.pw_gid),
                                 '--clear-groups', '--inh-caps', '-all,+net_bind_service', '--ambient-caps',
                                 '+net_bind_service', '--bounding-set', '-all,+net_bind_service', sys.executable,
                                 os.path.join(lab.HERE, 'as_unit.py'), unit, os.environ['POLLUX_CONTROL'],
                                 '--config', L.path('pollux.yaml')], L.server)
    p.wait_ready()
    lab.wait_until(lambda: 'serves' in p.output(), 5, lambda: 'the dataplane attached again:\n' + p.output())
    equal(L.ask('www.example.com', 'A').rcode, 0, 'rcode')
    L.polluxctl('zone', 'set', 'example.com', 'unit 300 A 192.0.2.9')
    equal(L.ask('unit.example.com', 'A').rcode, 0, 'rcode')
    L.dataplane.send_signal(signal.SIGSTOP)
    try:
        lab.wait_until(lambda: 'is silent' in p.output(), 2, 'the bypass')
        equal(L.ask('www.example.com', 'A').rcode, 0, 'from the kernel sockets')
    finally:
        L.dataplane.send_signal(signal.SIGCONT)
    for word in ('cannot', 'not filtered'):
        check(word not in p.output(), '%s', p.output())
    equal(p.stop(), 0, 'status')
    L.start_control()


def the_dataplanes_unit_permits_what_is_needed():
    """Its ports, its user, its own filter, and the end of the steering program."""
    if not FILTERED:
        return
    unit = os.path.join(lab.HERE, '..', '..', 'scripts', 'pollux-dataplane.service')
    with open(unit) as f:
        bounding = [line.split('=')[1].split() for line in f if line.startswith('CapabilityBoundingSet=')][0]
    equal(L.dataplane.stop(), 0, 'status')
    p = L.start('dataplane-unit', ['setpriv', '--bounding-set', ','.join(['-all'] + [c.lower().replace('cap_', '+') for c in bounding]),
                                   sys.executable, os.path.join(lab.HERE, 'as_unit.py'), unit,
                                   os.environ['POLLUX_DATAPLANE'], '--config', L.path('pollux.yaml')], L.server)
    p.wait_ready()
    lab.wait_until(lambda: L.ask_control('status')['dataplane']['attached'], 5, 'it is attached')
    with L.counting(answered=1):
        equal(L.ask('www.example.com', 'A').rcode, 0, 'rcode')
    for word in ('cannot', 'not filtered'):
        check(word not in p.output(), '%s', p.output())
    equal(p.stop(), 0, 'status')
    check('xdp' not in L.in_server('ip', 'link', 'show', 'eth0'), 'the steering program is still there')
    L.start_dataplane()


lab.main(L, every_thread_has_given_up_its_rights, one_small_process_keeps_one_right, both_say_who_they_are,
         files_are_the_users_own, answers, changes_and_reloads, a_hung_dataplane_is_bypassed_and_returns,
         each_goes_on_when_the_other_dies, the_steering_program_goes_with_the_dataplane, the_unit_permits_what_is_needed,
         the_dataplanes_unit_permits_what_is_needed,
         a_user_that_is_not_there_is_refused, a_folder_of_somebody_else_is_refused,
         what_a_reload_cannot_read_is_told, who_is_not_root_needs_not_be)
