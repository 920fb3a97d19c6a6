/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/client/identities.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run(const char *program, const char *folder)
{
	char command[512];

	snprintf(command, sizeof(command), "%s %s", program, folder);
	return system(command);
}

char *identities_make(void)
{
	char template[] = "/tmp/identities.XXXXXX";

	return mkdtemp(template) && run(MAKE_IDENTITIES, template) == 0 ? strdup(template) : NULL;
}

void identities_remove(char *folder)
{
	if (folder && run("rm -r", folder))
		perror(folder);
	free(folder);
}

const char *identities_path(const char *folder, const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s.pem", folder, name);
	return path;
}

gnutls_certificate_credentials_t identities_load(const char *folder, const char *name, const char *key)
{
	gnutls_certificate_credentials_t c;
	char certificate[256];

	if (gnutls_certificate_allocate_credentials(&c) < 0)
		return NULL;
	gnutls_certificate_set_flags(c, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
	if (!name)
		return c;
	snprintf(certificate, sizeof(certificate), "%s", identities_path(folder, name));
	if (gnutls_certificate_set_x509_key_file(c, certificate, identities_path(folder, key), GNUTLS_X509_FMT_PEM) < 0) {
		gnutls_certificate_free_credentials(c);
		return NULL;
	}
	return c;
}
