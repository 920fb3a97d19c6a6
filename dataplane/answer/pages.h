/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pages.h - large blocks of private memory, in huge pages where the kernel has them.
 *
 * What a big zone needs while it is loaded is hundreds of megabytes that are touched once: in
 * pages of 4 KiB the faults take a third of the time.  Blocks of less than 2 MiB are malloc's.
 *
 * Any thread may call it.
 */
#ifndef POLLUX_PAGES_H
#define POLLUX_PAGES_H

#include <stddef.h>

#define PAGES_HUGE ((size_t)2 << 20) /* octets */

/* pages_alloc - a block of `size` octets (not 0), not zeroed; NULL when memory has ended.
 * The caller owns it until pages_free, which wants the same size. */
void *pages_alloc(size_t size);

/* pages_resize - a block of another size with the same contents, as far as they fit; p may be
 * NULL, with size 0.  Takes p, unless it returns NULL: then p is as it was. */
void *pages_resize(void *p, size_t size, size_t new_size);

/* pages_drop - the first `len` octets of a block of `size` will not be read again: give back what
 * whole huge pages they fill. */
void pages_drop(void *p, size_t size, size_t len);

/* pages_free - give back; NULL is nothing. */
void pages_free(void *p, size_t size);

#endif
