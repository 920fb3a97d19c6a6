#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""as_unit.py UNIT COMMAND...: run a command under the system call filters that systemd would
make of the unit file (SystemCallFilter, MemoryDenyWriteExecute), without systemd.  The rest of
the unit (user, capabilities) is setpriv's."""
import ctypes
import errno
import mmap
import os
import subprocess
import sys

KILL_PROCESS, ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7fff0000  # seccomp(2)
MASKED_EQ = 7  # seccomp_rule_add(3)


def group(name):
    """The calls of a group, and of the groups in it."""
    out = set()
    for line in subprocess.check_output(['systemd-analyze', 'syscall-filter', name], text=True).splitlines()[1:]:
        word = line.strip()
        if word and not word.startswith('#'):
            out |= group(word) if word.startswith('@') else {word}
    return out


def read_unit(path):
    """What it permits, and what becomes of the rest (systemd.exec(5)); its first list permits."""
    allowed, action = group('@default'), KILL_PROCESS
    with open(path) as f:
        for line in f:
            key, _, value = line.strip().partition('=')
            if key == 'SystemCallErrorNumber':
                action = ERRNO | getattr(errno, value)
            if key != 'SystemCallFilter':
                continue
            calls = set()
            for word in value.lstrip('~').split():
                calls |= group(word) if word.startswith('@') else {word}
            allowed = allowed - calls if value.startswith('~') else allowed | calls
    return allowed, action


class Comparison(ctypes.Structure):
    _fields_ = [('argument', ctypes.c_uint), ('how', ctypes.c_int), ('mask', ctypes.c_uint64), ('value', ctypes.c_uint64)]


def deny_write_execute(lib):
    """No memory that can be written and executed, at once or by turns."""
    filter_ = ctypes.c_void_p(lib.seccomp_init(ALLOW))
    both, execute, shm_exec = mmap.PROT_WRITE | mmap.PROT_EXEC, mmap.PROT_EXEC, 0o100000
    for call, bits in ((b'mmap', both), (b'mprotect', execute), (b'pkey_mprotect', execute), (b'shmat', shm_exec)):
        number = lib.seccomp_syscall_resolve_name(call)
        assert lib.seccomp_rule_add(filter_, ERRNO | errno.EPERM, number, 1, Comparison(2, MASKED_EQ, bits, bits)) == 0
    assert lib.seccomp_load(filter_) == 0


def main(unit, *command):
    allowed, action = read_unit(unit)
    lib = ctypes.CDLL('libseccomp.so.2')
    lib.seccomp_init.restype = ctypes.c_void_p
    with open(unit) as f:
        if 'MemoryDenyWriteExecute=yes\n' in f:
            deny_write_execute(lib)
    filter_ = ctypes.c_void_p(lib.seccomp_init(action))
    for call in allowed:
        number = lib.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:
            assert lib.seccomp_rule_add(filter_, ALLOW, number, 0) == 0, call
    assert lib.seccomp_load(filter_) == 0
    os.execv(command[0], command)


main(*sys.argv[1:])
