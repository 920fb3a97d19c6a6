/* SPDX-License-Identifier: GPL-3.0-or-later */
/* eal.h - DPDK's environment layer, started from the configuration.
 *
 * The main thread becomes lcore 0 on the CPUs that no worker has (on all of them
 * when workers have them all); core i of the configuration becomes lcore 1 + i.
 * PCI is not probed, nothing is shared with other processes, and DPDK's own log
 * lines come out through log.h.  Main thread only.
 */
#ifndef POLLUX_EAL_H
#define POLLUX_EAL_H

#include <stddef.h>

#include "dataplane/common/config.h"

#define EAL_LCORE_FIRST 1 /* lcore of the first configured core */

/* eal_start - start DPDK with room for `memory` octets of buffers.  Tells what is
 * wrong in the log.  0 or -errno. */
int eal_start(const struct config *c, size_t memory);

/* eal_stop - after all cores have returned and all ports are closed. */
void eal_stop(void);

#endif
