# SPDX-License-Identifier: GPL-3.0-or-later
"""zones.py - the zones and questions that servers are measured with, kept in a folder so
that the next run finds them there."""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ZONEGEN = os.path.join(HERE, '..', 'tests', 'zonegen.py')


class Kept:
    """A folder of zone files and saved queries."""

    def __init__(self, folder, load):
        self.folder, self.load = os.path.abspath(folder), load
        os.makedirs(self.folder, exist_ok=True)

    def make(self, name, write):
        """The file `name`, made by write(path) unless it is there."""
        path = os.path.join(self.folder, name)
        if not os.path.exists(path):
            write(path + '.new')
            os.rename(path + '.new', path)
        return path

    def zone(self, apex, kind, count, extra='', signed=None):
        """A zone of zonegen.py's, with more lines, and signed with NSEC or NSEC3."""
        def generate(path):
            with open(path, 'w') as f:
                subprocess.run([sys.executable, ZONEGEN, kind, '--count', str(count), '--origin', apex + '.'],
                               stdout=f, check=True)
                f.write(extra)

        def sign(path):
            plain = self.make('%s-%s-%d.plain' % (apex, kind, count), generate)
            keys = path + '.keys'
            os.makedirs(keys)
            try:
                key = subprocess.run(['dnssec-keygen', '-K', keys, '-a', 'ECDSAP256SHA256', '-f', 'KSK', apex],
                                     check=True, capture_output=True, text=True).stdout.strip()
                nsec3 = ['-3', '-', '-H', '0'] if signed == 'nsec3' else []
                # -O full: RFC 1035 lines that every reader knows; -z: one key signs all.
                subprocess.run(['dnssec-signzone', '-P', '-S', '-z', '-q', '-K', keys, '-O', 'full', '-o', apex, '-f', path]
                               + nsec3 + [plain], check=True, capture_output=True, cwd=keys)
                del key
            finally:
                shutil.rmtree(keys)
        name = '%s-%s-%d%s.zone' % (apex, kind, count, '-' + signed if signed else '')
        return self.make(name, sign if signed else generate)

    def queries(self, name, zone, apex, count, *arguments):
        """Saved queries for a zone."""
        def save(path):
            subprocess.run([self.load, '--zone', zone, '--domain', apex, '--count', str(count), '--save', path,
                            *map(str, arguments)], check=True, capture_output=True)
        path = os.path.join(self.folder, name + '.queries')
        if os.path.exists(path) and os.path.getmtime(path) < max(os.path.getmtime(zone), os.path.getmtime(self.load)):
            os.remove(path)
        return self.make(name + '.queries', save)
