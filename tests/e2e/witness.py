#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""witness.py - has the machine itself stood still?

Sleeps 5 ms at a time on every CPU with real-time priority until its input ends; then
prints the longest time, in seconds, by which any of these sleeps was late.  A virtual
machine whose host takes a CPU away for a while cannot keep deadlines of its own.
"""
import os
import select
import sys
import time

cpus = sorted(os.sched_getaffinity(0))
pipes = []
for cpu in cpus:
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.sched_setaffinity(0, {cpu})
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(20))
        except PermissionError:
            pass
        longest, last = 0.0, time.monotonic()
        while not select.select([0], [], [], 0.005)[0]:
            now = time.monotonic()
            longest, last = max(longest, now - last - 0.005), now
        longest = max(longest, time.monotonic() - last - 0.005)
        os.write(writer, b'%.6f' % longest)
        os._exit(0)
    os.close(writer)
    pipes.append(reader)
print('watching', flush=True)
longest = max(float(os.read(p, 100) or 0) for p in pipes)
for _ in cpus:
    os.wait()
sys.stdout.write('%.6f\n' % longest)
