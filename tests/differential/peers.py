# SPDX-License-Identifier: GPL-3.0-or-later
"""peers.py - start Pollux, NSD, Knot and BIND on loopback with the same zones.

Each server runs in the foreground in a folder of its own, on a port of its own, as
this program's child, and is stopped by its process id.  All are told to answer with
as little as they can (no additional records that were not asked for), to allow UDP
answers of 1232 octets unless the caller says otherwise, and to call themselves by the same identity and version.
"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import wire

IDENTITY, VERSION = 'ns1.example', 'test'
SANITIZED = 'SUMMARY: '  # how every sanitizer's report ends


def file_of(apex):
    return (apex.strip('.') or 'root') + '.zone'


class Server:
    """A running name server: .name, .address, .port."""

    def __init__(self, folder, port, zones, address='127.0.0.1', udp=1232):
        self.udp = udp
        self.folder = os.path.join(folder, self.name)
        self.address, self.port = address, port
        os.makedirs(self.folder)
        for apex, text in zones.items():
            with open(os.path.join(self.folder, file_of(apex)), 'w') as f:
                f.write(text)
        self.log = os.path.join(self.folder, 'log')
        command = self.configure(zones)
        with open(self.log, 'w') as log:
            self.process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)
        try:
            self.wait(zones)
        except BaseException:
            self.stop()
            raise

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, file, text):
        with open(self.path(file), 'w') as f:
            f.write(text)

    def wait(self, zones):
        """Until each zone's SOA is answered with authority."""
        deadline = time.monotonic() + 30
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            s.connect((self.address, self.port))
            for apex in zones:
                while True:
                    if self.process.poll() is not None:
                        raise RuntimeError('%s ended with %s:\n%s' % (
                            self.name, self.process.returncode, open(self.log).read()[-3000:]))
                    if time.monotonic() > deadline:
                        raise RuntimeError('%s does not serve %s:\n%s' % (
                            self.name, apex, open(self.log).read()[-3000:]))
                    try:
                        s.send(wire.query(wire.name(apex), wire.SOA))
                        m = wire.Message(s.recv(65535))
                        if m.rcode == 0 and m.flags & wire.AA and m.answer:
                            break
                    except (socket.timeout, ConnectionRefusedError):
                        pass
                    time.sleep(0.05)

    def stop(self):
        """End it and its children; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        try:  # children of a server that did not go by itself
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return self.process.wait()


class Pollux(Server):
    name = 'pollux'

    def configure(self, zones):
        self.write('pollux.yaml', '''server:
  listen: ["%s@%d"]
  identity: %s
  version: %s
  udp-payload: %d
  run-directory: run
  data-directory: data
table:
  memory: 512M
zone:
%s''' % (self.address, self.port, IDENTITY, VERSION, self.udp,
         ''.join('  - domain: "%s"\n    file: %s\n' % (apex, file_of(apex)) for apex in zones)))
        os.mkdir(self.path('run'))
        os.mkdir(self.path('data'))
        return [os.environ['POLLUX_CONTROL'], '--config', self.path('pollux.yaml')]


class Nsd(Server):
    name = 'nsd'

    def configure(self, zones):
        self.write('nsd.conf', '''server:
  ip-address: %s@%d
  username: ""
  chroot: ""
  zonesdir: "%s"
  database: ""
  zonelistfile: "%s"
  xfrdfile: ""
  xfrdir: "%s"
  pidfile: ""
  server-count: 1
  minimal-responses: yes
  refuse-any: yes
  round-robin: no
  ipv4-edns-size: %d
  ipv6-edns-size: %d
  identity: "%s"
  version: "%s"
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
  verbosity: 1
remote-control:
  control-enable: no
%s''' % (self.address, self.port, self.folder, self.path('zone.list'), self.folder, self.udp, self.udp, IDENTITY, VERSION,
         ''.join('zone:\n  name: "%s"\n  zonefile: "%s"\n' % (apex, file_of(apex)) for apex in zones)))
        return [shutil.which('nsd') or '/usr/sbin/nsd', '-d', '-c', self.path('nsd.conf')]


class Knot(Server):
    name = 'knot'

    def configure(self, zones):
        self.write('knot.conf', '''server:
  listen: %s@%d
  rundir: "%s"
  identity: "%s"
  version: "%s"
  udp-max-payload: %d
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  answer-rotation: off
database:
  storage: "%s"
control:
  listen: "%s"
template:
  - id: default
    storage: "%s"
    zonefile-load: whole
    zonefile-sync: -1
    journal-content: none
    semantic-checks: off
log:
  - target: stderr
    any: info
zone:
%s''' % (self.address, self.port, self.folder, IDENTITY, VERSION, self.udp, self.path('db'), 'knot.sock', self.folder,
         ''.join('  - domain: "%s"\n    file: "%s"\n' % (apex, file_of(apex)) for apex in zones)))
        return [shutil.which('knotd') or '/usr/sbin/knotd', '-c', self.path('knot.conf')]


class Bind(Server):
    name = 'bind'

    def configure(self, zones):
        self.write('named.conf', '''options {
  directory "%s";
  listen-on port %d { %s; };
  listen-on-v6 { none; };
  pid-file none;
  session-keyfile none;
  recursion no;
  minimal-responses yes;
  minimal-any yes;
  empty-zones-enable no;
  max-udp-size %d;
  edns-udp-size %d;
  nocookie-udp-size %d;
  answer-cookie no;
  notify no;
  dnssec-validation no;
  zero-no-soa-ttl no;
  check-names primary ignore;
  check-integrity no;
  check-mx ignore;
  check-mx-cname ignore;
  check-srv-cname ignore;
  check-sibling no;
  check-spf ignore;
  check-wildcard no;
  max-records-per-type 0;
  max-types-per-name 0;
  hostname "%s";
  server-id "%s";
  version "%s";
};
controls { };
logging { category default { default_stderr; }; category lame-servers { null; }; };
%s''' % (self.folder, self.port, self.address, self.udp, self.udp, self.udp, IDENTITY, IDENTITY, VERSION,
         ''.join('zone "%s" { type primary; file "%s"; };\n' % (apex, file_of(apex)) for apex in zones)))
        return [shutil.which('named') or '/usr/sbin/named', '-g', '-n', '1', '-c', self.path('named.conf')]


ALL = {s.name: s for s in (Pollux, Nsd, Knot, Bind)}


def free_ports(count):
    """Ports of loopback that are free for UDP and TCP now."""
    out, holders = [], []
    while len(out) < count:
        t = socket.socket()
        t.bind(('127.0.0.1', 0))
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            u.bind(t.getsockname())
            out.append(t.getsockname()[1])
        except OSError:
            pass
        holders += [t, u]
    for s in holders:
        s.close()
    return out
