/* SPDX-License-Identifier: GPL-3.0-or-later */
/* identities.h - certificates of clients, good and bad, made when a test asks for them.
 * make-identities, the program that makes them, says which there are. */
#ifndef POLLUX_IDENTITIES_H
#define POLLUX_IDENTITIES_H

#include <gnutls/gnutls.h>
#include <stddef.h>

/* identities_make - into a new folder, which the caller owns and identities_remove removes
 * again.  NULL when it cannot be done. */
char *identities_make(void);
void identities_remove(char *folder);

/* identities_path - the file name.pem of the folder, in a text that lasts until the next call. */
const char *identities_path(const char *folder, const char *name);

/* identities_load - a client's credentials with the certificate name.pem and key.pem; the key
 * need not belong to it.  Without a certificate when name is NULL.  The caller's. */
gnutls_certificate_credentials_t identities_load(const char *folder, const char *name, const char *key);

#endif
