/* SPDX-License-Identifier: GPL-3.0-or-later */
/* reference.h - the steering rules a second time, written for reading and not for the
 * kernel's verifier; random frames must meet the same fate here and there. */
#ifndef POLLUX_TEST_REFERENCE_H
#define POLLUX_TEST_REFERENCE_H

#include <stddef.h>
#include <stdint.h>

#include "bpf/steer.h"

/* reference_reason - what is to become of len octets that come to a queue with a socket
 * and without bypass, when served[0..served_cnt) are configured. */
enum steer_reason reference_reason(const uint8_t *frame, size_t len,
				   const struct steer_address *served, size_t served_cnt,
				   size_t max_payload);

#endif
