# SPDX-License-Identifier: GPL-3.0-or-later
"""plot.py - results as SVG and PNG, drawn by gnuplot."""
import os
import statistics
import subprocess

HEAD = '''set encoding utf8
set grid
set key outside right
set style data linespoints
set datafile missing "-"
'''


def draw(out, name, commands):
    """Run gnuplot's commands once for each form."""
    for form, terminal in (('svg', 'svg size 900,540 dynamic background rgb "white"'),
                           ('png', 'pngcairo size 900,540')):
        path = os.path.join(out, '%s.%s' % (name, form))
        script = 'set terminal %s\nset output "%s"\n%s%s\n' % (terminal, path, HEAD, commands)
        subprocess.run(['gnuplot'], input=script, text=True, check=True, capture_output=True)


def quote(text):
    return '"%s"' % text.replace('"', "'")


def blocks(rows):
    """Named data blocks: rows of [(title, [(x, y, ...)])]."""
    return ''.join('$d%d << END\n%s\nEND\n' % (i, '\n'.join(' '.join('%.6g' % v for v in p) for p in points))
                   for i, (_, points) in enumerate(rows))


def lines(rows, x=1, y=2):
    return 'plot ' + ', '.join('$d%d using %d:%d title %s' % (i, x, y, quote(title))
                               for i, (title, _) in enumerate(rows))


def sweeps(results, out):
    """Offered against answered rate, and latency against offered rate."""
    for w in sorted({s['workload'] for s in results['sweeps']}):
        for path in ('veth', 'memif'):
            rows = []
            for s in results['sweeps']:
                if s['workload'] == w and s['server'].startswith(path + '/'):
                    points = sorted((t['offered'] / 1e6, t['answered'] / 1e6, t['p50'], t['p99']) for t in s['steps'])
                    if points:
                        rows.append((s['server'].split('/')[1], points))
            if not rows:
                continue
            draw(out, 'rate-%s-%s' % (path, w), blocks(rows) + 'set title "%s over %s"\n' % (w, path)
                 + 'set xlabel "offered, millions a second"\nset ylabel "answered, millions a second"\n'
                 + 'set xrange [0:*]\nset yrange [0:*]\n' + lines(rows))
            draw(out, 'latency-%s-%s' % (path, w), blocks(rows) + 'set title "%s over %s: median (thick), 99 %%"\n' % (w, path)
                 + 'set xlabel "offered, millions a second"\nset ylabel "microseconds"\nset logscale y\nset xrange [0:*]\nplot '
                 + ', '.join('$d%d using 1:3 lw 2 lc %d title %s, $d%d using 1:4 lc %d dt 2 notitle' % (
                     i, i + 1, quote(title), i, i + 1) for i, (title, _) in enumerate(rows)))


def rates(results, workloads, out):
    """Closed-loop rates of all servers, a group of bars for each workload."""
    for path in ('veth', 'memif'):
        keys = [k for k in results['rounds'][0]['rates'] if k.startswith(path + '/')]
        if not keys:
            continue
        text = '$d << END\nworkload %s\n' % ' '.join(quote(k.split('/')[1]) for k in keys)
        for w in results['workloads']:
            medians = [statistics.median(r['rates'][k]['rate'] for r in results['rounds'] if r['workload'] == w) / 1e6
                       for k in keys]
            text += '%s %s\n' % (quote(w), ' '.join('%.4f' % m for m in medians))
        draw(out, 'rates-' + path, text + 'END\nset style data histograms\nset style fill solid 0.8\n'
             'set title "closed loop over %s, every answer checked"\nset ylabel "millions a second"\nset yrange [0:*]\n'
             'plot for [i=2:%d] $d using i:xtic(1) title columnheader(i)' % (path, len(keys) + 1))


def scale(results, out):
    """Cost of an answer and memory against the number of names."""
    kinds = sorted({r['workload'] for r in results['sizes']})
    rows = [(k, sorted((r['names'], r['ratio'], 1e9 / r['rate'], r['octets_per_name'])
                       for r in results['sizes'] if r['workload'] == k)) for k in kinds]
    common = blocks(rows) + 'set logscale x\nset xlabel "names"\n'
    draw(out, 'scale-cost', common + 'set yrange [0:*]\nset ylabel "nanoseconds an answer, generator and all"\n'
         'set title "cost of an answer against the zone\'s size (memif)"\n' + lines(rows, 1, 3))
    draw(out, 'scale-ratio', common + 'set yrange [0:1]\nset ylabel "rate, as a share of the checked echo"\n'
         'set title "rate against the zone\'s size (memif)"\n' + lines(rows, 1, 2))
