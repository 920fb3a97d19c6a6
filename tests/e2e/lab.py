# SPDX-License-Identifier: GPL-3.0-or-later
"""lab.py - two network namespaces, both processes of Pollux in one of them.

        namespace pxPID-c                           namespace pxPID-s
      +-------------------+                       +--------------------------------+
      |  the test's       |        veth           |  pollux-dataplane  (AF_XDP)    |
      |  clients     eth0 |<--------------------->| eth0                           |
      |     10.53.0.2/24  |                       |  10.53.0.1/24                  |
      |     fd53::2/64    |                       |  fd53::1/64                    |
      +-------------------+                       |  pollux-control (kernel)       |
                                                  +--------------------------------+

A Lab is a context manager: whatever it started or made is gone after it, also when
the test fails or is told to end.  Names carry the test's process id, so that labs do
not meet.  The programs under test come from the environment:

        POLLUX_CONTROL  POLLUX_DATAPLANE  POLLUXCTL
        POLLUX_CONTROL_HOOKS (can be told to die)
        POLLUX_CONTROL_LAYOUT, _STATUS, _PROTOCOL (that differ from the dataplane)

Namespaces are entered with nsenter (ip netns exec would mount another /sys).  No
offload needs to be turned off: the workers do not verify the checksums that a
kernel sender leaves unfinished on a veth.
"""
import atexit
import contextlib
import ctypes
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import wire

SERVER4, SERVER6 = '10.53.0.1', 'fd53::1'
CLIENT4, CLIENT6 = '10.53.0.2', 'fd53::2'
LONG = os.environ.get('POLLUX_LONG') == '1'
HERE = os.path.dirname(os.path.abspath(__file__))

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET, _PR_SET_PDEATHSIG = 0x40000000, 1

ZONE = '''$ORIGIN example.com.
$TTL 3600
@ SOA ns1 hostmaster 1 7200 900 1209600 300
@ NS ns1
@ NS ns2
ns1 A 10.53.0.1
ns1 AAAA fd53::1
ns2 A 10.53.0.1
www A 192.0.2.1
www AAAA 2001:db8::1
'''


class Failure(AssertionError):
    """What a test found wrong."""


def check(condition, message, *values):
    if not condition:
        raise Failure(message % values if values else message)


def equal(got, wanted, what):
    check(got == wanted, '%s: %r, not %r', what, got, wanted)


def wait_until(condition, seconds, what):
    """Ask condition() until it is true; its value.  what: a text, or what gives one."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < end, 'not within %s s: %s', seconds, what() if callable(what) else what)
        time.sleep(0.02)


def run(*command, check_status=True, timeout=60, **options):
    """Run a command to its end; its stdout.  Shows what it said when it failed."""
    r = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, capture_output=True,
                       text=True, timeout=timeout, errors='replace', **options)
    if check_status:
        check(r.returncode == 0, '%s: status %d\n%s%s', ' '.join(map(str, command)), r.returncode,
              r.stdout, r.stderr)
    return r.stdout if check_status else r


def _child():
    """In every child: end it when this program ends, however that comes about."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _first_child():
    """In the processes under test: other work on the machine comes after them."""
    _child()
    os.setpriority(os.PRIO_PROCESS, 0, -10)


class Process:
    """A program in a namespace, its output in a log."""

    def __init__(self, lab, name, command, namespace, first=False, env=None):
        self.name, self.log = name, os.path.join(lab.folder, name + '.log')
        if namespace:
            command = ['nsenter', '--net=/run/netns/' + namespace] + command
        with open(self.log, 'a') as log:
            self.popen = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=log, cwd=lab.folder, preexec_fn=_first_child if first else _child,
                                          env=dict(os.environ, **(env or {})))
        self.pid = self.popen.pid
        self.expect_status = (0,)

    def output(self):
        with open(self.log, errors='replace') as f:
            return f.read()

    def wait_ready(self, seconds=30, times=1):
        """Until it has printed `ready` for the times-th time (logs are appended to)."""
        def ready():
            if self.popen.poll() is not None:
                raise Failure('%s ended with %s:\n%s' % (self.name, self.popen.returncode, self.output()[-3000:]))
            return self.output().split('\n').count('ready') >= times
        wait_until(ready, seconds, lambda: '%s ready:\n%s' % (self.name, self.output()[-3000:]))

    def send_signal(self, number):
        self.popen.send_signal(number)

    def running(self):
        return self.popen.poll() is None

    def stop(self, seconds=15):
        """SIGTERM (and SIGCONT), then wait; its exit status."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            self.popen.send_signal(signal.SIGCONT)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise Failure('%s does not stop on SIGTERM:\n%s' % (self.name, self.output()[-3000:]))
        return self.popen.returncode

    def kill(self, number=signal.SIGKILL):
        """End it at once; whatever status that gives is as expected."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        self.popen.wait(10)
        self.expect_status = (self.popen.returncode,)


class Lab:
    """zones: {domain: text of its file}.  ports: the dataplane's, as YAML flow text, or
    None for a control process alone."""

    def __init__(self, zones=None, ports=('interface: eth0',), queues=1, mtu=1500, memory='64M', server='',
                 dataplane='', listen=(SERVER4, SERVER6), cores='[1]'):
        self.zones = {'example.com': ZONE} if zones is None else zones
        self.ports, self.queues, self.mtu, self.memory = ports, queues, mtu, memory
        self.server_extra, self.dataplane_extra, self.listen, self.cores = server, dataplane, listen, cores
        self.client, self.server = 'px%d-c' % os.getpid(), 'px%d-s' % os.getpid()
        self.processes, self.sockets = [], []
        self.control = self.dataplane = None
        self.folder = None

    # Life and death.

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
        atexit.register(self.clean)
        try:
            self.folder = tempfile.mkdtemp(prefix='pollux-e2e-')
            self.make_network()
            for domain, text in self.zones.items():
                self.write_zone(domain, text)
            self.write_configuration()
            self.start_control()
            if self.ports is not None:
                self.start_dataplane()
        except BaseException:
            self.clean()
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.clean()

    def finish(self):
        """Stop everything in good order; both processes must end well."""
        for process in (self.dataplane, self.control):
            if process is not None:
                process.stop()
        self.check_logs()

    def check_logs(self):
        for process in self.processes:
            text = process.output()
            for word in ('AddressSanitizer', 'LeakSanitizer', 'runtime error', 'Assertion', 'ThreadSanitizer'):
                check(word not in text, '%s says:\n%s', process.name, text[-4000:])
            if not process.running():
                check(process.popen.returncode in process.expect_status, '%s ended with %s:\n%s', process.name,
                      process.popen.returncode, text[-3000:])

    def clean(self):
        atexit.unregister(self.clean)
        for s in self.sockets:
            s.close()
        for process in reversed(self.processes):
            if process.popen.poll() is None:
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    process.popen.kill()
                    process.popen.wait(10)
        for namespace in (self.client, self.server):
            if os.path.exists('/run/netns/' + namespace):
                subprocess.run(['ip', 'netns', 'delete', namespace], capture_output=True)
        shutil.rmtree('/run/dpdk/' + self.server, ignore_errors=True)  # of dpdk-testpmd
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def make_network(self):
        for namespace in (self.client, self.server):
            run('ip', 'netns', 'add', namespace)
            run('ip', '-n', namespace, 'link', 'set', 'lo', 'up')
        queues = ['numtxqueues', self.queues, 'numrxqueues', self.queues]
        run('ip', '-n', self.server, 'link', 'add', 'eth0', 'mtu', self.mtu, *queues, 'type', 'veth',
            'peer', 'name', 'eth0', 'mtu', self.mtu, *queues, 'netns', self.client)
        for namespace, v4, v6 in ((self.client, CLIENT4, CLIENT6), (self.server, SERVER4, SERVER6)):
            run('ip', '-n', namespace, 'address', 'add', v4 + '/24', 'dev', 'eth0')
            run('ip', '-n', namespace, 'address', 'add', v6 + '/64', 'dev', 'eth0', 'nodad')
            run('ip', '-n', namespace, 'link', 'set', 'eth0', 'up')
        self.client_mac, self.server_mac = (
            json.loads(run('ip', '-j', '-n', n, 'link', 'show', 'eth0'))[0]['address']
            for n in (self.client, self.server))

    # Files.

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def zone_file(self, domain):
        return self.path((domain.strip('.') or 'root') + '.zone')

    def write_zone(self, domain, text):
        """Replace the zone's file in one step."""
        with open(self.zone_file(domain) + '.new', 'w') as f:
            f.write(text)
        os.rename(self.zone_file(domain) + '.new', self.zone_file(domain))

    def write_configuration(self):
        text = 'server:\n  listen: [%s]\n  identity: lab\n  version: e2e\n' % ', '.join(
            '"%s"' % a for a in self.listen)
        text += '  run-directory: run\n  data-directory: data\n' + self.server_extra
        if self.ports is not None:
            text += 'dataplane:\n  cores: %s\n%s  ports:\n' % (self.cores, self.dataplane_extra)
            text += ''.join('    - {%s}\n' % p if self.queues == 1 or 'interface' not in p
                            else '    - {%s, queues: %d}\n' % (p, self.queues) for p in self.ports)
        text += 'table:\n  memory: %s\n' % self.memory
        text += 'zone:\n' if self.zones else 'zone: []\n'
        for domain in self.zones:
            text += '  - domain: "%s"\n    file: "%s"\n' % (domain, self.zone_file(domain))
        with open(self.path('pollux.yaml'), 'w') as f:
            f.write(text)
        for folder in ('run', 'data'):
            os.makedirs(self.path(folder), exist_ok=True)

    # Processes.

    def start(self, name, command, namespace=None, first=False, env=None):
        process = Process(self, name, command, namespace, first, env)
        self.processes.append(process)
        return process

    def readies(self, name):
        """How often a process of that name has said so: its log is appended to."""
        try:
            with open(self.path(name + '.log'), errors='replace') as f:
                return f.read().split('\n').count('ready')
        except FileNotFoundError:
            return 0

    def start_control(self, wait=True, program='POLLUX_CONTROL', **options):
        before = self.readies('control')
        self.control = self.start('control', [os.environ[program], '--config', self.path('pollux.yaml')],
                                  self.server, first=True, **options)
        if wait:
            self.control.wait_ready(times=before + 1)

    def start_dataplane(self, wait=True):
        before = self.readies('dataplane')
        self.dataplane = self.start('dataplane',
                                    [os.environ['POLLUX_DATAPLANE'], '--config', self.path('pollux.yaml')],
                                    self.server, first=True)
        if wait:
            self.dataplane.wait_ready(times=before + 1)

    def restore(self):
        """Both processes run, whatever a test did to them."""
        if not self.control.running():
            self.start_control()
        self.control.send_signal(signal.SIGCONT)
        if self.ports is not None:
            if not self.dataplane.running():
                self.start_dataplane()
            self.dataplane.send_signal(signal.SIGCONT)

    def in_client(self, *command, **options):
        return run('nsenter', '--net=/run/netns/' + self.client, *command, **options)

    def in_server(self, *command, **options):
        return run('nsenter', '--net=/run/netns/' + self.server, *command, **options)

    # The control socket.

    def control_socket(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(self.path('run', 'control.sock'))
        return s

    def command(self, command, **arguments):
        """One request; its reply's last line, the rows of all lines put together."""
        with self.control_socket() as s:
            return Commands(s).put(command, **arguments)

    def ask_control(self, command, **arguments):
        """The same; the result, which must be ok."""
        reply = self.command(command, **arguments)
        check(reply.get('ok') is True, '%s %s: %s', command, arguments, reply)
        return reply['result']

    def polluxctl(self, *arguments, **options):
        return run(os.environ['POLLUXCTL'], '--socket', self.path('run', 'control.sock'), *arguments, **options)

    def counters(self):
        """Sums of the workers' counters, {'received': 1, ...}; steering under 'steer-...';
        the control process's own under 'control-...'."""
        stats = self.ask_control('stats')
        out = {'steer-' + name: n for name, n in stats['steering'].items()}
        for row in stats['workers']:
            prefix = '' if row['name'].startswith('worker') else 'control-'
            for name, n in row['counters'].items():
                out[prefix + name] = out.get(prefix + name, 0) + n
            for name, n in row['rcodes'].items():
                out[prefix + 'rcode-' + name] = out.get(prefix + 'rcode-' + name, 0) + n
        return out

    @contextlib.contextmanager
    def counting(self, **wanted):
        """Check by how much counters grow within the block; a number, or a text such as
        '>=1'.  Names have - for _."""
        before = self.counters()
        yield

        def grown(name):
            return after.get(name, 0) - before.get(name, 0)

        # A worker counts a burst after sending it: the client may be faster.
        end = time.monotonic() + 1
        while True:
            after = self.counters()
            wrong = [(name.replace('_', '-'), change) for name, change in wanted.items()
                     if not (grown(name.replace('_', '-')) >= int(change[2:]) if isinstance(change, str)
                             else grown(name.replace('_', '-')) == change)]
            if not wrong:
                return
            check(time.monotonic() < end, 'counters grew by other numbers than %s; all that changed: %s', dict(wrong),
                  {k: v - before.get(k, 0) for k, v in after.items() if v != before.get(k, 0)})
            time.sleep(0.01)

    # The client's side.

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_DGRAM, protocol=0, namespace=None):
        """A socket of the client's namespace (or another), closed with the lab."""
        home = os.open('/proc/self/ns/net', os.O_RDONLY)
        there = os.open('/run/netns/' + (namespace or self.client), os.O_RDONLY)
        try:
            if _libc.setns(there, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), 'setns')
            s = socket.socket(family, kind, protocol)
            if _libc.setns(home, _CLONE_NEWNET):
                os._exit(1)
        finally:
            os.close(home)
            os.close(there)
        self.sockets.append(s)
        s.settimeout(2)
        return s

    def udp(self, server=SERVER4, port=53):
        s = self.socket(socket.AF_INET6 if ':' in server else socket.AF_INET)
        s.connect((server, port))
        return s

    def tcp(self, server=SERVER4, port=53):
        s = self.socket(socket.AF_INET6 if ':' in server else socket.AF_INET, socket.SOCK_STREAM)
        s.connect((server, port))
        return s

    def raw(self):
        """A packet socket on the client's end of the wire."""
        s = self.socket(socket.AF_PACKET, socket.SOCK_RAW)
        s.setsockopt(263, 23, 1)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
        s.bind(('eth0', 3))       # ETH_P_ALL
        return s

    def ask(self, name, qtype, server=SERVER4, tries=3, **options):
        """Ask once (repeated when silent) over UDP; a wire.Message."""
        message = wire.query(wire.name(name), wire.TYPES.get(qtype, qtype), ident=os.getpid() & 0xffff, **options)
        return self.exchange(message, server, tries)

    def exchange(self, message, server=SERVER4, tries=3):
        with self.udp(server) as s:
            self.sockets.remove(s)
            s.settimeout(1)
            for _ in range(tries):
                s.send(message)
                with contextlib.suppress(socket.timeout):
                    return wire.Message(s.recv(65535))
        raise Failure('no answer to %s' % message.hex())

    def dig(self, *arguments, server=SERVER4):
        """dig's output; no retries hide a loss."""
        return self.in_client('dig', '@' + server, '+tries=1', '+time=3', '+nocookie', *arguments)

    def prober(self, *arguments):
        """A steady client in a process of its own (see prober.py)."""
        return Prober(self, arguments)


class Commands:
    """A connection to the control socket."""

    def __init__(self, s):
        self.s, self.rest = s, b''

    def line(self):
        while b'\n' not in self.rest:
            data = self.s.recv(1 << 16)
            check(data, 'the control socket was closed')
            self.rest += data
        line, self.rest = self.rest.split(b'\n', 1)
        return json.loads(line)

    def put(self, command, **arguments):
        self.s.sendall(json.dumps(dict(arguments, command=command)).encode() + b'\n')
        return self.reply()

    def reply(self):
        rows = []
        while True:
            reply = self.line()
            if not reply.get('more'):
                break
            rows += reply['rows']
        if isinstance(reply.get('result'), dict) and 'rows' in reply['result']:
            reply['result']['rows'] = rows + reply['result']['rows']
        return reply


class Prober:
    """prober.py, running; stop() gives what it saw."""

    def __init__(self, lab, arguments):
        self.popen = subprocess.Popen(
            ['nsenter', '--net=/run/netns/' + lab.client, sys.executable, os.path.join(HERE, 'prober.py')]
            + [str(a) for a in arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=_child)
        equal(self.popen.stdout.readline(), b'probing\n', 'the prober')

    def stop(self):
        out, _ = self.popen.communicate(b'\n', timeout=30)
        return [tuple(row) for row in json.loads(out)]


STALL = 0.020  # seconds; deadlines are 50 to 100 ms


def measured(test):
    """Decorator of a test with a deadline, or that allows no loss: when it fails while
    the machine itself stood still (witness.py), it is done once more, at most twice.
    Such a test leaves a lab in which it can begin again."""
    @functools.wraps(test)
    def repeated():
        for left in (2, 1, 0):
            witness = subprocess.Popen([sys.executable, os.path.join(HERE, 'witness.py')], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, preexec_fn=_child)
            witness.stdout.readline()
            fault = None
            try:
                test()
            except Failure as e:
                fault = e
            stall = float(witness.communicate(timeout=10)[0])
            if fault is None:
                return
            if stall < STALL or left == 0:
                print('# the machine stood still for at most %.1f ms' % (stall * 1e3))
                raise fault
            print('# %s\n# but the machine itself stood still for %.1f ms: once more' % (
                str(fault).split('\n')[0][:200], stall * 1e3), flush=True)
    return repeated


def main(lab, *tests):
    """Run tests (functions without arguments), report in TAP, end the program.

    With a Lab (or None) they run within it, and that its processes end well is the
    last test.  Arguments choose tests by name."""
    tests = [t for t in tests if len(sys.argv) < 2 or t.__name__ in sys.argv[1:]]
    count = len(tests) + (lab is not None)
    print('TAP version 13\n1..%d' % count, flush=True)
    results = []

    def attempt(test, name):
        start, verdict = time.monotonic(), 'not ok'
        try:
            test()
            verdict = 'ok'
        except Exception:
            for line in traceback.format_exc().rstrip().split('\n'):
                print('# ' + line)
        results.append(verdict)
        print('%s %d - %s (%.1f s)' % (verdict, len(results), name, time.monotonic() - start), flush=True)

    def attempt_all():
        for test in tests:
            attempt(test, test.__name__.replace('_', ' '))

    try:
        if lab is None:
            attempt_all()
        else:
            with lab:
                attempt_all()
                if 'not ok' in results:
                    for process in lab.processes:
                        print('# log of %s:' % process.name)
                        for line in process.output()[-6000:].split('\n'):
                            print('#   ' + line)
                attempt(lab.finish, 'both processes end well')
    except Exception:
        for line in traceback.format_exc().rstrip().split('\n'):
            print('# ' + line)
        print('Bail out! the lab could not be set up', flush=True)
        sys.exit(1)
    sys.exit(1 if 'not ok' in results else 0)
