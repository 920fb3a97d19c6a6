# SPDX-License-Identifier: GPL-3.0-or-later
"""ask.py - put many questions to a server and keep the raw answers.

UDP: a window of questions on one connected socket, each identified by its message
identifier; repeated when the server stays silent.  TCP: pipelined on one connection.
Silence is an answer too: None.
"""
import select
import socket
import struct
import time

WINDOW = 48
PATIENCE = 0.4  # seconds without any answer, after which the open questions are repeated
TRIES = 3


def udp(address, questions, window=WINDOW, make=socket.socket):
    """Answers (octets or None) in the order of the questions.  make opens a socket."""
    family = socket.AF_INET6 if ':' in address[0] else socket.AF_INET
    answers = [None] * len(questions)
    with make(family, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        s.connect(address)
        s.setblocking(False)
        poll = select.poll()
        poll.register(s, select.POLLIN)
        todo = iter([(i, q) for i, q in enumerate(questions) if not q.alone])
        waiting, ident, more = {}, 0, True

        def send(key, index):
            try:
                s.send(struct.pack('>H', key) + questions[index].message[2:])
            except (BlockingIOError, ConnectionRefusedError):
                pass

        while more or waiting:
            while more and len(waiting) < window:
                entry = next(todo, None)
                if entry is None:
                    more = False
                    break
                ident = (ident + 1) & 0xffff
                while ident in waiting:
                    ident = (ident + 1) & 0xffff
                waiting[ident] = [entry[0], 1]
                send(ident, entry[0])
            if not waiting:
                break
            if poll.poll(PATIENCE * 1000):
                try:
                    while True:
                        data = s.recv(65535)
                        key = int.from_bytes(data[:2], 'big')
                        if key in waiting:
                            answers[waiting.pop(key)[0]] = data
                except (BlockingIOError, ConnectionRefusedError):
                    pass
                continue
            for key, state in list(waiting.items()):
                if state[1] == TRIES:
                    del waiting[key]
                else:
                    state[1] += 1
                    send(key, state[0])

    # What has no identifier of its own, or may meet no answer: each from its own
    # socket, all at once.
    alone = [i for i, q in enumerate(questions) if q.alone]
    for start in range(0, len(alone), 200):
        sockets = {}
        for i in alone[start:start + 200]:
            s = make(family, socket.SOCK_DGRAM)
            s.connect(address)
            s.send(questions[i].message)
            sockets[s] = i
        end = time.monotonic() + 0.7
        while sockets and time.monotonic() < end:
            for s in select.select(list(sockets), [], [], 0.1)[0]:
                answers[sockets.pop(s)] = s.recv(65535)
                s.close()
        for s in sockets:
            s.close()
    return answers


def _exactly(s, n):
    out = b''
    while len(out) < n:
        part = s.recv(n - len(out))
        if not part:
            raise ConnectionError('closed')
        out += part
    return out


def tcp(address, questions, window=16):
    answers = [None] * len(questions)
    tries = [0] * len(questions)
    todo = list(range(len(questions)))[::-1]
    while todo:
        waiting = {}
        try:
            with socket.create_connection(address, 3) as s:
                s.settimeout(3)
                while todo or waiting:
                    batch = b''
                    while todo and len(waiting) < window:
                        i = todo.pop()
                        tries[i] += 1
                        waiting[i & 0xffff] = i
                        message = struct.pack('>H', i & 0xffff) + questions[i].message[2:]
                        batch += struct.pack('>H', len(message)) + message
                    if batch:
                        s.sendall(batch)
                    data = _exactly(s, int.from_bytes(_exactly(s, 2), 'big'))
                    answers[waiting.pop(int.from_bytes(data[:2], 'big'))] = data
        except (OSError, ConnectionError):
            pass
        todo += [i for i in waiting.values() if tries[i] < TRIES]
    return answers
