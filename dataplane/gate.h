/* SPDX-License-Identifier: GPL-3.0-or-later */
/* gate.h - keeps DPDK's interrupt thread and the polling cores apart.
 *
 * The memif driver answers its clients' connects and disconnects in EAL's interrupt
 * thread.  A disconnect unmaps the rings there and then, whoever is reading them;
 * DPDK leaves it to the application to see that nobody is.  EAL has no hook around
 * its handlers, but they run exactly between two epoll_wait calls of that thread:
 * gate.c puts itself in front of epoll_wait, closes the gate before the thread goes
 * on to its handlers, and opens it when the thread comes back to wait.
 *
 * The driver has another fault on that path: when its greeting to a new client fails,
 * because the client has hung up already, it closes the connection but leaves it
 * registered, and EAL ends the process over the closed descriptor.  So gate.c is also
 * in front of sendmsg, and lets that thread believe that such a message went out: the
 * hang-up comes as an event next, which the driver does handle.
 *
 * While the gate is closed, cores leave gated ports alone and do everything else,
 * so heartbeats and other ports go on.  Polling cores pay one load a round.
 *
 * G1  the interrupt thread stores an odd generation (release).
 * G2  a core that loads it (acquire) between two bursts stores it as seen
 *     (release) and does not touch gated ports until the generation is even.
 * G3  the interrupt thread waits until all passes have seen it (acquire): every
 *     burst on a gated port has ended, and what it wrote is visible.
 * G4  the interrupt thread stores an even generation (release) when its handlers
 *     are done; a core that loads it sees what they changed.
 */
#ifndef POLLUX_GATE_H
#define POLLUX_GATE_H

#include <stdbool.h>

#define GATE_PASSES 128 /* polling cores at most */

/* gate_join - a pass for a core that will call gate_open every round.  Main
 * thread, before the core runs; -1 when there are too many. */
int gate_join(void);

/* gate_open - may gated ports be used until the next call?  The core of the pass. */
bool gate_open(int pass);

/* gate_leave - the core will not touch a gated port again. */
void gate_leave(int pass);

#endif
