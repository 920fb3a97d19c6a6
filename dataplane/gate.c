/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dataplane/gate.h"

#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <rte_interrupts.h>

#define GATE_LEFT UINT64_MAX  /* seen of a pass whose core polls no more */
#define GATE_NAP_NS 20000     /* between two looks at a pass; a core may share our CPU */

static _Atomic uint64_t generation;       /* odd: closed */
static _Atomic unsigned passes;
static struct { alignas(64) _Atomic uint64_t seen; } pass_state[GATE_PASSES];

int gate_join(void)
{
	unsigned pass = atomic_load_explicit(&passes, memory_order_relaxed);

	if (pass == GATE_PASSES)
		return -1;
	/* In the interrupt thread's eyes the core has left until it first polls. */
	atomic_store_explicit(&pass_state[pass].seen, GATE_LEFT, memory_order_relaxed);
	atomic_store_explicit(&passes, pass + 1, memory_order_release);
	return (int)pass;
}

bool gate_open(int pass)
{
	uint64_t now = atomic_load_explicit(&generation, memory_order_seq_cst); /* G2, G4 */

	if (atomic_load_explicit(&pass_state[pass].seen, memory_order_relaxed) == now)
		return now % 2 == 0;
	/* From a core that had left nobody waited for us until this store.  Look again
	 * next round, when the interrupt thread either waits or has its odd number out:
	 * that is why these accesses and those in gate_close are sequentially consistent. */
	atomic_store_explicit(&pass_state[pass].seen, now, memory_order_seq_cst); /* G2 */
	return false;
}

void gate_leave(int pass)
{
	atomic_store_explicit(&pass_state[pass].seen, GATE_LEFT, memory_order_release);
}

static void gate_close(void)
{
	static const struct timespec nap = { .tv_nsec = GATE_NAP_NS };
	uint64_t now = atomic_load_explicit(&generation, memory_order_relaxed) + 1;
	unsigned cnt = atomic_load_explicit(&passes, memory_order_acquire);

	atomic_store_explicit(&generation, now, memory_order_seq_cst); /* G1 */
	for (unsigned i = 0; i < cnt; i++) {
		for (;;) {
			uint64_t seen = atomic_load_explicit(&pass_state[i].seen,
							     memory_order_seq_cst); /* G3 */

			if (seen == now || seen == GATE_LEFT)
				break;
			nanosleep(&nap, NULL);
		}
	}
}

static void gate_reopen(void)
{
	uint64_t now = atomic_load_explicit(&generation, memory_order_relaxed);

	if (now % 2 == 1)
		atomic_store_explicit(&generation, now + 1, memory_order_release); /* G4 */
}

/* Takes the place of libc's, which libraries find behind ours.  Same contract. */
int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout)
{
	bool interrupts = rte_thread_is_intr() != 0;

	if (interrupts)
		gate_reopen();

	int cnt = epoll_pwait(epfd, events, max, timeout, NULL);
	int error = errno;

	if (interrupts && cnt > 0)
		gate_close();
	errno = error;
	return cnt;
}

/* The same for sendmsg, but that the interrupt thread never learns of a peer that has
 * hung up. */
ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	ssize_t sent = syscall(SYS_sendmsg, fd, msg, flags);

	if (sent < 0 && (errno == EPIPE || errno == ECONNRESET) && rte_thread_is_intr()) {
		sent = 0;
		for (size_t i = 0; i < msg->msg_iovlen; i++)
			sent += (ssize_t)msg->msg_iov[i].iov_len;
	}
	return sent;
}
