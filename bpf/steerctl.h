/* SPDX-License-Identifier: GPL-3.0-or-later */
/* steerctl.h - user space's side of the steering program: find it on an interface,
 * take its maps, fill and read them.  Returns 0 or -errno (-ENODEV: no such interface).
 * The kernel wants CAP_SYS_ADMIN where a program or map is looked up by id
 * (steer_detach_stale, steer_program_open, steer_maps_open) and nothing more than the descriptors for the
 * rest.
 * Any thread, but one at a time per struct.
 */
#ifndef POLLUX_STEERCTL_H
#define POLLUX_STEERCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "steer.h"

#define STEER_PROGRAM "pollux_steer" /* the program's name in the kernel */

/* Descriptors of one attached program's maps, close-on-exec; -1 when not open. */
struct steer_maps { int address, settings, bypass, counter; };

/* steer_object_path - the compiled program: $POLLUX_STEER_OBJECT if set, else the build
 * tree's (../bpf/steer.bpf.o from the running binary's folder; it must not be shadowed
 * by an older one that is installed), else where it was installed.  NULL when it cannot
 * be read there.  The string is static; not for two threads at once. */
const char *steer_object_path(void);

/* steer_detach_stale - remove a program of ours that a killed run left on the
 * interface.  0 when none or removed.  -EBUSY when a program stays: *id is its id if it
 * is another's, and 0 if it is ours and its xsks_map still holds a live AF_XDP socket
 * (another run is using the interface; a killed one keeps its sockets until it is wholly
 * gone, which may take some tenths of a second: try again).  A program that takes the place of ours in the
 * meantime is not removed.  Ours is one that is named STEER_PROGRAM. */
int steer_detach_stale(unsigned ifindex, uint32_t *id);

/* steer_program_open - a descriptor, close-on-exec and the caller's, of the program of ours
 * that is attached there, and the mode that it is attached with.  -ENOENT when there is none. */
int steer_program_open(unsigned ifindex, uint32_t *mode);

/* steer_program_detach - take that program off, if it is still the one that is attached
 * (-EEXIST when another is).  Wants CAP_NET_ADMIN and nothing else. */
int steer_program_detach(unsigned ifindex, int program, uint32_t mode);

/* steer_maps_open - the maps of the program of ours that is attached there.  -ENOENT
 * when there is none, -EPROTO when its maps are not laid out as in steer.h (another
 * version's).  On failure *m holds only -1. */
int steer_maps_open(struct steer_maps *m, unsigned ifindex);

/* steer_maps_close - close what is open; *m then holds only -1. */
void steer_maps_close(struct steer_maps *m);

/* steer_set_addresses - make steer_address hold exactly these (AF_INET, AF_INET6
 * sockaddrs with port): new ones are added before old ones are removed, so that what is
 * in both lists is served throughout.  -EINVAL, and nothing changed, for another family,
 * an unspecified address (no packet bears it) or port 0; -E2BIG for more than
 * STEER_ADDRESSES.  Should the kernel refuse a change half-way, what was there stays and
 * some of the new may be there too. */
int steer_set_addresses(const struct steer_maps *m, const struct sockaddr_storage *sa, size_t cnt);

/* steer_set_max_payload - as struct steer_settings. */
int steer_set_max_payload(const struct steer_maps *m, uint32_t octets);

/* steer_set_bypass - pass (or no longer pass) the queue's traffic to the kernel.
 * -EINVAL for a queue of STEER_QUEUES or more. */
int steer_set_bypass(const struct steer_maps *m, unsigned queue, bool on);

/* steer_counters - sums over all CPUs, since the program was loaded. */
int steer_counters(const struct steer_maps *m, uint64_t counter[STEER_REASONS]);

/* steer_reason_name - "redirect", "pass-size", ... for statistics; NULL for
 * what is no reason. */
const char *steer_reason_name(enum steer_reason reason);

#endif
