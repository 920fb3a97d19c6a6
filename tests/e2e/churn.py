#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""churn.py - connections that come and go, over TCP or TLS, in every way there is.

    churn.py tcp|tls SERVER PORT SECONDS SEED

One connection after the other: asks once, or many times at once, or for a long answer; closes,
shuts down its side and reads on, resets, leaves in the middle of a question, of an answer or of the
handshake, rests a while, talks nonsense.  Whoever behaves has to get every answer.  Prints
{"connections": n, "answers": n, "faults": [...]} at the end.
"""
import contextlib
import json
import os
import random
import socket
import ssl
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import wire

KIND, SERVER, PORT, SECONDS, SEED = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
FAULTS_MAX = 20

rng = random.Random(SEED)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.set_alpn_protocols(['dot'])


def framed(message):
    return struct.pack('>H', len(message)) + message


def question(name='www.example.com', qtype=wire.A):
    return framed(wire.query(wire.name(name), qtype, ident=rng.randrange(1 << 16)))


LONG = 'long.example.com', wire.TXT


def opened():
    s = socket.socket(socket.AF_INET6 if ':' in SERVER else socket.AF_INET, socket.SOCK_STREAM)
    s.settimeout(10)
    s.connect((SERVER, PORT))
    if KIND == 'tls':
        s = context.wrap_socket(s)
    return s


def octets(s, n):
    out = b''
    while len(out) < n:
        data = s.recv(n - len(out))
        if not data:
            raise EOFError('closed after %d of %d octets' % (len(out), n))
        out += data
    return out


def answers(s, asked):
    """As many answers as questions, each its own; their number."""
    for q in asked:
        m = octets(s, int.from_bytes(octets(s, 2), 'big'))
        if m[:2] != q[2:4] or not m[2] & 0x80 or m[3] & 15:
            raise ValueError('question %s, answer %s' % (q.hex(), m[:12].hex()))
    return len(asked)


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))


# Those who behave.

def one(s):
    q = question()
    s.sendall(q)
    return answers(s, [q])


def many(s):
    asked = [question() for _ in range(rng.randrange(2, 60))]
    s.sendall(b''.join(asked))
    return answers(s, asked)


def one_by_one(s):
    return sum(one(s) for _ in range(rng.randrange(2, 20)))


def long_answers(s):
    asked = [question(*LONG) for _ in range(rng.randrange(1, 6))]
    s.sendall(b''.join(asked))
    return answers(s, asked)


def in_pieces(s):
    q = question()
    cut = rng.randrange(1, len(q))
    s.sendall(q[:cut])
    time.sleep(0.002)
    s.sendall(q[cut:])
    return answers(s, [q])


def half_closed(s):
    asked = [question() for _ in range(5)]
    s.sendall(b''.join(asked))
    if KIND == 'tcp':
        s.shutdown(socket.SHUT_WR)
    return answers(s, asked)


def rests(s):
    n = one(s)
    time.sleep(rng.random() * 0.3)
    return n + one(s)


# Those who do not: nothing is expected, but that nothing stays of them.

def leaves_in_a_question(s):
    q = question()
    s.sendall(q[:rng.randrange(1, len(q))])


def leaves_in_an_answer(s):
    s.sendall(question(*LONG) * 5)
    s.recv(rng.randrange(1, 5000))


def reads_nothing(s):
    s.settimeout(0.05)
    s.sendall(question(*LONG) * 50)


def resets(s):
    s.sendall(question(*LONG) * rng.randrange(1, 4))
    reset(s)


def says_nothing(s):
    time.sleep(rng.random() * 0.05)


def talks_nonsense(s):
    s.sendall(rng.randbytes(rng.randrange(1, 3000)))
    s.recv(100)


GOOD = [one, one, one, many, one_by_one, long_answers, in_pieces, half_closed, rests]
BAD = [leaves_in_a_question, leaves_in_an_answer, reads_nothing, resets, says_nothing, talks_nonsense]


def leaves_in_the_handshake():
    with socket.create_connection((SERVER, PORT), timeout=10) as s:
        s.sendall(bytes.fromhex('160301') + rng.randbytes(rng.randrange(0, 400)))
        if rng.random() < 0.5:
            reset(s)


def main():
    out = {'connections': 0, 'answers': 0, 'faults': []}
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        out['connections'] += 1
        if rng.random() < 0.25:
            with contextlib.suppress(OSError, EOFError):
                if KIND == 'tls' and rng.random() < 0.3:
                    leaves_in_the_handshake()
                    continue
                with opened() as s:
                    rng.choice(BAD)(s)
            continue
        act = rng.choice(GOOD)
        try:
            with opened() as s:
                out['answers'] += act(s)
                if rng.random() < 0.2:
                    reset(s)
        except (OSError, EOFError, ValueError) as e:
            if len(out['faults']) < FAULTS_MAX:
                out['faults'].append('%s: %s: %s' % (act.__name__, type(e).__name__, e))
    print(json.dumps(out))


if __name__ == '__main__':
    main()
