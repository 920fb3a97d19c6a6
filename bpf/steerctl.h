/* SPDX-License-Identifier: GPL-3.0-or-later */
/* steerctl.h - user space's side of the steering program: find it on an interface,
 * take its maps, fill and read them.  Returns 0 or -errno; needs CAP_BPF or root
 * where a program or map is looked up by id, none to use open descriptors.
 * Not thread-safe per struct.
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

/* steer_object_path - the compiled program: $POLLUX_STEER_OBJECT if set, else where it
 * was installed, else beside the running binary (build tree: ../bpf/steer.bpf.o).
 * NULL when there is none. */
const char *steer_object_path(void);

/* steer_detach_stale - remove a program of ours that a killed run left on the
 * interface.  0 when none or removed; -EBUSY when another's program is attached
 * (*id then holds its id); -EBUSY also when ours still has a live AF_XDP socket. */
int steer_detach_stale(unsigned ifindex, uint32_t *id);

/* steer_maps_open - the maps of the program of ours that is attached there. */
int steer_maps_open(struct steer_maps *m, unsigned ifindex);
void steer_maps_close(struct steer_maps *m);

/* steer_set_addresses - make steer_address hold exactly these (AF_INET, AF_INET6
 * sockaddrs with port): new ones are added before old ones are removed. */
int steer_set_addresses(const struct steer_maps *m, const struct sockaddr_storage *sa, size_t cnt);
int steer_set_max_payload(const struct steer_maps *m, uint32_t octets);
int steer_set_bypass(const struct steer_maps *m, unsigned queue, bool on);

/* steer_counters - sums over all CPUs. */
int steer_counters(const struct steer_maps *m, uint64_t counter[STEER_REASONS]);

/* steer_reason_name - "redirect", "pass-size", ... for statistics. */
const char *steer_reason_name(enum steer_reason reason);

#endif
