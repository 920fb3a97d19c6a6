# SPDX-License-Identifier: GPL-3.0-or-later
"""ground.py - where servers are measured: two network namespaces, a veth pair for each
server, and the servers themselves.

        namespace bnPID-c                          namespace bnPID-s
      +---------------------------+              +-----------------------------+
      |  pollux-load     c1  <-----------veth-----------> s1   server 1        |
      |  (first CPU)     c2  <-----------veth-----------> s2   server 2        |
      |                           |              |             ...  (last CPU) |
      +---------------------------+              +-----------------------------+
        10.53.N.2, fd53:N::2                       10.53.N.1, fd53:N::1
        sources 10.(100+N).0.0/16, fd54:N::/64

All servers run on the last CPU, one of them at a time: those that poll are stopped
(SIGSTOP) while others are measured.  All serve the same zone files.  Everything that is
started or made here is gone when the Ground is left, however that comes about.
"""
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'tests'))
import wire

SOURCES = 1000           # addresses that queries come from
PAYLOAD = 1232           # octets: the largest UDP answer
HUGE_PAGE = 2 << 20
HUGE_PAGES = '/proc/sys/vm/nr_hugepages'
SPARE = 4 << 30          # octets of memory that are not made huge pages

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET, _PR_SET_PDEATHSIG = 0x40000000, 1


class Failure(Exception):
    """Something that makes the comparison impossible."""


def run(*command, **options):
    """Run a command to its end; its standard output."""
    r = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       errors='replace', **options)
    if r.returncode != 0:
        raise Failure('%s: status %d\n%s%s' % (' '.join(map(str, command)), r.returncode, r.stdout[-2000:],
                                               r.stderr[-2000:]))
    return r.stdout


def cpus():
    """(generator's, server's)"""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise Failure('two CPUs are needed: one for the generator, one for the server')
    return allowed[0], allowed[-1]


class Ground:
    """The namespaces and whatever runs in them."""

    def __init__(self, build):
        self.build = os.path.abspath(build)
        self.client, self.server = 'bn%d-c' % os.getpid(), 'bn%d-s' % os.getpid()
        self.generator_cpu, self.server_cpu = cpus()
        self.links, self.processes = 0, []
        self.folder = None
        self.huge_before = None  # pages that the machine had

    def program(self, name):
        path = os.path.join(self.build, {'pollux-control': 'control', 'pollux-dataplane': 'dataplane',
                                         'polluxctl': 'control/socket', 'pollux-load': 'bench/load',
                                         'distance': 'bench/load'}[name], name)
        if not os.access(path, os.X_OK):
            raise Failure('%s is not built' % path)
        return path

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            # Short: paths of Unix sockets have 108 octets.
            self.folder = tempfile.mkdtemp(prefix='pollux-bench-')
            for namespace in (self.client, self.server):
                run('ip', 'netns', 'add', namespace)
                run('ip', '-n', namespace, 'link', 'set', 'lo', 'up')
        except BaseException:
            self.clean()
            raise
        return self

    def __exit__(self, *_):
        self.clean()

    def clean(self):
        for p in reversed(self.processes):
            self.end(p)
        for path in ('veth', 'memif'):
            shutil.rmtree('/var/run/dpdk/bn%d-%s' % (os.getpid(), path), ignore_errors=True)
        for namespace in (self.client, self.server):
            if os.path.exists('/run/netns/' + namespace):
                subprocess.run(['ip', 'netns', 'delete', namespace], capture_output=True)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
        if self.huge_before is not None:
            with open(HUGE_PAGES, 'w') as f:
                f.write(str(self.huge_before))
            self.huge_before = None

    def huge(self, octets):
        """Have so many octets of huge pages free, until the end, if the machine can spare them."""
        def value(file, key):
            with open(file) as f:
                return next(int(line.split()[1]) for line in f if line.startswith(key))
        need = -(-octets // HUGE_PAGE) - value('/proc/meminfo', 'HugePages_Free')
        if need <= 0:
            return True
        if value('/proc/meminfo', 'MemAvailable') * 1024 < need * HUGE_PAGE + SPARE:
            return False
        with open(HUGE_PAGES) as f:
            now = int(f.read())
        if self.huge_before is None:
            self.huge_before = now
        with open('/proc/sys/vm/compact_memory', 'w') as f:
            f.write('1')
        with open(HUGE_PAGES, 'w') as f:
            f.write(str(now + need))
        return value('/proc/meminfo', 'HugePages_Free') * HUGE_PAGE >= octets

    def distance(self):
        """Nanoseconds that a cache line takes between the two CPUs: a virtual machine's are
        moved about by its host, and runs at different distances are not comparable."""
        return float(run(self.program('distance'), self.generator_cpu, self.server_cpu))

    def link(self):
        """A new veth pair; its number."""
        self.links += 1
        n = self.links
        run('ip', '-n', self.server, 'link', 'add', 's%d' % n, 'mtu', 1500, 'numtxqueues', 1, 'numrxqueues', 1,
            'type', 'veth', 'peer', 'name', 'c%d' % n, 'mtu', 1500, 'numtxqueues', 1, 'numrxqueues', 1,
            'netns', self.client)
        for namespace, side, host in ((self.client, 'c', 2), (self.server, 's', 1)):
            run('ip', '-n', namespace, 'address', 'add', '10.53.%d.%d/24' % (n, host), 'dev', '%s%d' % (side, n))
            run('ip', '-n', namespace, 'address', 'add', 'fd53:%d::%d/64' % (n, host), 'dev', '%s%d' % (side, n),
                'nodad')
            run('ip', '-n', namespace, 'link', 'set', '%s%d' % (side, n), 'up')
        run('ip', '-n', self.server, 'route', 'add', '10.%d.0.0/16' % (100 + n), 'via', '10.53.%d.2' % n)
        run('ip', '-n', self.server, '-6', 'route', 'add', 'fd54:%d::/64' % n, 'via', 'fd53:%d::2' % n)
        return n

    def mac(self, namespace, device):
        return json.loads(run('ip', '-j', '-n', namespace, 'link', 'show', device))[0]['address']

    # Processes.

    def start(self, name, command, cpu=None, cwd=None):
        """Start a server's process on the servers' CPU in their namespace."""
        def child():
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            os.sched_setaffinity(0, {self.server_cpu if cpu is None else cpu})
        log = os.path.join(self.folder, name + '.log')
        with open(log, 'a') as f:
            p = subprocess.Popen(['nsenter', '--net=/run/netns/' + self.server] + [str(c) for c in command],
                                 stdin=subprocess.PIPE, stdout=f, stderr=f, cwd=cwd or self.folder,
                                 preexec_fn=child)
        p.log = log
        self.processes.append(p)
        return p

    def end(self, p):
        p.stdin.close()  # what testpmd ends on
        if p.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                p.send_signal(signal.SIGTERM)
                p.send_signal(signal.SIGCONT)
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait(10)
        if p in self.processes:
            self.processes.remove(p)

    def wait(self, condition, process, seconds, what):
        end = time.monotonic() + seconds
        while not condition():
            if process.poll() is not None or time.monotonic() > end:
                with open(process.log, errors='replace') as f:
                    raise Failure('%s did not happen:\n%s' % (what, f.read()[-3000:]))
            time.sleep(0.01)

    def socket(self, kind=socket.SOCK_DGRAM, family=socket.AF_INET):
        """A socket in the client's namespace."""
        home = os.open('/proc/self/ns/net', os.O_RDONLY)
        there = os.open('/run/netns/' + self.client, os.O_RDONLY)
        try:
            if _libc.setns(there, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), 'setns')
            s = socket.socket(family, kind)
            if _libc.setns(home, _CLONE_NEWNET):
                os._exit(1)
        finally:
            os.close(home)
            os.close(there)
        return s

    def load(self, *arguments, timeout=300):
        """pollux-load in the client's namespace; its results.  Wrong answers are told of in
        them and are no error."""
        r = subprocess.run(['nsenter', '--net=/run/netns/' + self.client, self.program('pollux-load'), '--json', '-',
                            '--quiet', '--core', str(self.generator_cpu)] + [str(a) for a in arguments],
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        if r.returncode not in (0, 1) or not r.stdout:
            raise Failure('pollux-load %s: status %d\n%s' % (' '.join(map(str, arguments)), r.returncode,
                                                             r.stderr[-2000:]))
        result = json.loads(r.stdout)
        if result['link_lost']:
            raise Failure('pollux-load %s: the server went away' % ' '.join(map(str, arguments)))
        return result


def children(pid):
    """A process and all below it."""
    out = [pid]
    with contextlib.suppress(FileNotFoundError):
        for task in os.listdir('/proc/%d/task' % pid):
            with open('/proc/%d/task/%s/children' % (pid, task)) as f:
                for child in f.read().split():
                    out += children(int(child))
    return out


class Server:
    """One server.  name: for people.  path: 'veth' or 'memif'.  zones: {apex: file}."""
    path, polls, serves = 'veth', False, True

    def __init__(self, ground, zones, tag='', watch=False):
        self.ground, self.zones = ground, zones
        self.n = ground.link() if self.path == 'veth' else None
        self.address = '10.53.%d.1' % self.n if self.n else '10.53.0.1'
        self.address6 = 'fd53:%d::1' % self.n if self.n else 'fd53::1'
        self.folder = os.path.join(ground.folder, type(self).__name__ + tag)
        os.makedirs(self.folder)
        self.processes, self.paused, self.configuration = [], False, ''
        self.peak = 0            # octets of memory while it was watched
        self.loading = None      # seconds until all zones were served
        with self.watched() if watch else contextlib.nullcontext():
            self.begun = time.monotonic()
            self.configure()
            if self.serves and zones:
                self.wait_zones()
                self.loading = time.monotonic() - self.begun
            self.after_zones()

    def after_zones(self):
        """What is to be started once the zones are loaded."""

    def write(self, file, text, show=True):
        path = os.path.join(self.folder, file)
        with open(path, 'w') as f:
            f.write(text)
        if show:
            self.configuration = text
        return path

    def start(self, *command, **options):
        p = self.ground.start('%s-%d' % (os.path.basename(self.folder), len(self.processes)), command,
                              cwd=self.folder, **options)
        self.processes.append(p)
        return p

    def stop(self):
        for p in reversed(self.processes):
            self.ground.end(p)

    def pause(self):
        if self.polls and not self.paused:
            self.processes[-1].send_signal(signal.SIGSTOP)
            self.paused = True

    def resume(self):
        if self.paused:
            self.processes[-1].send_signal(signal.SIGCONT)
            self.paused = False
            time.sleep(0.15)

    def pids(self):
        return [pid for p in self.processes for pid in children(p.pid)]

    def memory(self):
        """Octets of memory, what processes share counted once, huge pages included."""
        time.sleep(0.5)  # what starts up takes its last pages
        return self.memory_now()

    @contextlib.contextmanager
    def watched(self):
        """Meanwhile the most memory that is in use is noted in self.peak."""
        done = threading.Event()
        self.peak = 0

        def watch():
            while not done.wait(0.1):
                self.peak = max(self.peak, self.memory_now())
        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def memory_now(self):
        total, shared = 0, 0
        for pid in self.pids():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                with open('/proc/%d/smaps_rollup' % pid) as f:
                    sizes = {line.split(':')[0]: int(line.split()[1]) * 1024 for line in f if ' kB' in line}
                total += sizes.get('Pss', 0) + sizes.get('Private_Hugetlb', 0)
                # All that is shared in huge pages is shared by all (the arena).
                shared = max(shared, sizes.get('Shared_Hugetlb', 0))
        return total + shared

    # Asking it over the kernel's way.

    def ask(self, name, qtype, timeout=0.2):
        """One question; the answer, or None."""
        with self.ground.socket() as s:
            s.settimeout(timeout)
            s.connect((self.address, 53))
            try:
                s.send(wire.query(wire.name(name), qtype))
                return wire.Message(s.recv(65535))
            except (socket.timeout, ConnectionRefusedError):
                return None

    def wait_zones(self, seconds=300):
        for apex in self.zones:
            def served():
                m = self.ask(apex, wire.SOA)
                return m is not None and m.rcode == 0 and m.answer
            self.ground.wait(served, self.processes[0], seconds, '%s serving %s' % (self.name, apex))

    # For pollux-load.

    def load(self, *arguments, **options):
        """One run of pollux-load against it, its CPU among the results; the server runs
        only meanwhile."""
        self.resume()
        for attempt in (1, 2):
            try:
                r = self.ground.load('--watch', ','.join(map(str, self.pids())), *arguments, *self.target(),
                                     **options)
                break
            except Failure as e:
                # A queue that an earlier run has just left may take the kernel seconds.
                if attempt == 2:
                    raise
                print('%s: tried again after: %s' % (self.name, e), file=sys.stderr, flush=True)
                self.recover()
        self.pause()
        r['distance'] = self.ground.distance()
        return r

    def recover(self):
        time.sleep(2)

    def target(self):
        """The last arguments of pollux-load."""
        if self.path == 'memif':
            return ['--sources', SOURCES, 'memif:' + self.memif, self.address, self.address6]
        return ['--sources', SOURCES, '--source', '10.%d.0.1' % (100 + self.n), '--source', 'fd54:%d::1' % self.n,
                '--mac', self.ground.mac(self.ground.server, 's%d' % self.n), 'interface:c%d' % self.n, self.address,
                self.address6]


HUGE = 256 << 20  # octets of packet buffers and DPDK's own, for one process


class Echo(Server):
    """dpdk-testpmd, which swaps addresses and ports and sends every query back."""
    name, polls, serves = 'echo', True, False

    def device(self):
        return 'net_af_xdp0,iface=s%d,start_queue=0,queue_count=1,busy_budget=0' % self.n

    def configure(self):
        cpu = self.ground.server_cpu
        # Its packet buffers in the same kind of pages as the dataplane's.
        memory = ['--in-memory'] if self.ground.huge(HUGE) else ['--no-huge', '-m', str(HUGE >> 20)]
        command = ['stdbuf', '-oL', 'dpdk-testpmd', '--lcores=0@%d,1@%d' % (cpu, cpu), '--main-lcore=0', *memory,
                   '--no-pci', '--no-telemetry', '--single-file-segments',
                   '--file-prefix=bn%d-%s' % (os.getpid(), self.path), '--vdev', self.device(), '--', '--auto-start',
                   '--forward-mode=5tswap', '--total-num-mbufs=16384', '--no-mlockall', '--no-lsc-interrupt', '--disable-link-check',
                   '--burst=32', '--txd=2048', '--rxd=2048']
        self.configuration = ' '.join(command)
        p = self.start(*command)

        def started():
            with open(p.log, errors='replace') as f:
                return 'Port 0: ' in f.read()
        self.ground.wait(started, p, 30, 'testpmd')
        time.sleep(0.5)

    def resume(self):
        super().resume()
        if self.processes[-1].poll() is not None:
            self.restart()

    def restart(self):
        """testpmd may crash when a memif client leaves: its driver unmaps the rings while
        they are polled."""
        self.stop()
        self.processes, self.paused = [], False
        if self.path == 'memif' and os.path.exists(self.memif):
            os.remove(self.memif)
        self.configure()

    def recover(self):
        self.restart()

    def stop(self):
        super().stop()
        shutil.rmtree('/var/run/dpdk/bn%d-%s' % (os.getpid(), self.path), ignore_errors=True)

    def target(self):
        return ['--echo'] + super().target()


class EchoMemif(Echo):
    path = 'memif'

    def device(self):
        self.memif = os.path.join(self.folder, 'sock')
        return 'net_memif0,role=server,id=0,rsize=11,socket-abstract=no,socket=' + self.memif


TABLE = 10   # octets of table for one of zone file, at the very most
ZONE = 8192  # octets for a zone besides


class Pollux(Server):
    name, polls = 'Pollux', True

    def port(self):
        return 'interface: s%d' % self.n

    def configure(self):
        for folder in ('run', 'data'):
            os.makedirs(os.path.join(self.folder, folder), exist_ok=True)
        # At most: the arena takes what it needs.
        table = max(512 << 20, TABLE * sum(os.path.getsize(f) for f in self.zones.values()) + ZONE * len(self.zones))
        table = -(-table // HUGE_PAGE) * HUGE_PAGE
        huge = self.ground.huge(table + HUGE)
        self.yaml = self.write('pollux.yaml', '''server:
  listen: ["%s", "%s"]
  run-directory: run
  data-directory: data
dataplane:
  cores: [%d]
  huge-pages: %s
  ports:
    - %s
table:
  memory: %dM
zone:%s
''' % (self.address, self.address6, self.ground.server_cpu, 'yes' if huge else 'no', self.port(), table >> 20, ''.join(
            '\n  - domain: "%s"\n    file: "%s"' % item for item in self.zones.items()) or ' []'))
        p = self.start(self.ground.program('pollux-control'), '--config', self.yaml)
        self.ready(p)

    def ready(self, p, seconds=300):
        def said():
            with open(p.log, errors='replace') as f:
                return 'ready\n' in f.read()
        self.ground.wait(said, p, seconds, 'ready')

    def after_zones(self):
        # A worker owns its CPU; the process's other threads are on all the others.
        p = self.ground.start(os.path.basename(self.folder) + '-dataplane',
                              ['taskset', '-c', '%d,%d' % (self.ground.generator_cpu, self.ground.server_cpu),
                               self.ground.program('pollux-dataplane'), '--config', self.yaml], cwd=self.folder)
        self.processes.append(p)
        self.ready(p)

    def control(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(120)
        s.connect(os.path.join(self.folder, 'run', 'control.sock'))
        return s

    @staticmethod
    def put(s, **request):
        s.sendall(json.dumps(request).encode() + b'\n')
        data = b''
        while not data.endswith(b'\n') or b'"ok"' not in data.rsplit(b'\n', 2)[-2]:
            more = s.recv(65536)
            if not more:
                raise Failure('the control socket was closed')
            data += more
        reply = json.loads(data.rsplit(b'\n', 2)[-2])
        if not reply['ok']:
            raise Failure('%s: %s' % (request, reply))

    def reload(self, apex):
        with self.control() as s:
            self.put(s, command='zone-reload', zone=apex, force=True)

    def change(self, apex, owner, address):
        with self.control() as s:
            self.put(s, command='txn-begin')
            self.put(s, command='txn-edit', text='zone %s\nset %s 300 A %s\n' % (apex, owner, address))
            self.put(s, command='txn-commit')


class PolluxMemif(Pollux):
    path = 'memif'

    def port(self):
        self.memif = os.path.join(self.folder, 'sock')
        return 'memif: ' + self.memif

    def wait_zones(self, seconds=300):
        """pollux-control says ready when all zones are loaded, and has no address here."""


class Knot(Server):
    name = 'Knot'

    def listen(self):
        return 'server:\n  listen: [%s, %s]\n' % (self.address, self.address6)

    def configure(self):
        self.conf = self.write('knot.conf', '''%s  rundir: "%s"
  udp-max-payload: %d
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  answer-rotation: off
database:
  storage: "%s"
control:
  listen: knot.sock
template:
  - id: default
    storage: "%s"
    zonefile-load: whole
    zonefile-sync: -1
    journal-content: none
    semantic-checks: off
log:
  - target: stderr
    any: warning
zone:
%s''' % (self.listen(), self.folder, PAYLOAD, os.path.join(self.folder, 'db'), self.folder,
         ''.join('  - domain: "%s"\n    file: "%s"\n' % item for item in self.zones.items())))
        self.start(shutil.which('knotd') or '/usr/sbin/knotd', '-c', self.conf)

    def after_zones(self):
        """knotd puts its workers on CPUs of its own choice, the first on the generator's."""
        for pid in self.pids():
            for thread in os.listdir('/proc/%d/task' % pid):
                os.sched_setaffinity(int(thread), {self.ground.server_cpu})

    def control(self, *arguments):
        run(shutil.which('knotc') or '/usr/sbin/knotc', '-c', self.conf, *arguments, cwd=self.folder, timeout=120)

    def reload(self, apex):
        self.control('-b', 'zone-reload', apex)

    def change(self, apex, owner, address):
        self.control('zone-begin', apex)
        self.control('zone-set', apex, owner, '300', 'A', address)
        self.control('zone-commit', apex)


class KnotXdp(Knot):
    name = 'Knot XDP'

    def listen(self):
        return 'xdp:\n  listen: s%d\n  udp: on\n  tcp: off\nserver:\n' % self.n


class Nsd(Server):
    name = 'NSD'

    def configure(self):
        self.conf = self.write('nsd.conf', '''server:
  ip-address: %s
  ip-address: %s
  username: ""
  chroot: ""
  zonesdir: "%s"
  database: ""
  zonelistfile: "%s/zone.list"
  xfrdfile: ""
  xfrdir: "%s"
  pidfile: ""
  server-count: 1
  minimal-responses: yes
  refuse-any: yes
  round-robin: no
  ipv4-edns-size: %d
  ipv6-edns-size: %d
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
  verbosity: 0
remote-control:
  control-enable: yes
  control-interface: "%s/control"
%s''' % (self.address, self.address6, self.folder, self.folder, self.folder, PAYLOAD, PAYLOAD, self.folder,
         ''.join('zone:\n  name: "%s"\n  zonefile: "%s"\n' % item for item in self.zones.items())))
        self.start(shutil.which('nsd') or '/usr/sbin/nsd', '-d', '-c', self.conf)

    def reload(self, apex):
        run(shutil.which('nsd-control') or '/usr/sbin/nsd-control', '-c', self.conf, 'reload', apex, timeout=120)


ALL = [EchoMemif, PolluxMemif, Echo, Pollux, KnotXdp, Knot, Nsd]


def versions():
    """What is compared, in the programs' own words."""
    def first_line(*command):
        r = subprocess.run(command, capture_output=True, text=True)
        return ((r.stdout + r.stderr).strip().splitlines() or ['?'])[0]
    kernel = os.uname().release
    with open('/proc/cpuinfo') as f:
        model = next((line.split(':', 1)[1].strip() for line in f if line.startswith('model name')), '?')
    return {'machine': '%s, %d CPUs, Linux %s' % (model, len(os.sched_getaffinity(0)), kernel),
            'knot': first_line(shutil.which('knotd') or '/usr/sbin/knotd', '-V'),
            'nsd': first_line(shutil.which('nsd') or '/usr/sbin/nsd', '-v'),
            'dpdk': first_line('dpkg-query', '-W', '-f', '${Version}\n', 'librte-eal*')}
