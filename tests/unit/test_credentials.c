/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/serve/credentials.h"
#include "tests/client/identities.h"

static char folder[64], certificate[128], key[128], error[512];

/* A folder with a certificate of our own in it. */
static struct credentials *own(void)
{
	struct credentials *c;
	bool made;

	snprintf(folder, sizeof(folder), "/tmp/test_credentials.XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
	snprintf(certificate, sizeof(certificate), "%s/" CREDENTIALS_CERTIFICATE, folder);
	snprintf(key, sizeof(key), "%s/" CREDENTIALS_KEY, folder);
	cr_assert_eq(credentials_own(&c, folder, "ns1.example", &made, error, sizeof(error)), 0, "%s", error);
	cr_assert(made);
	return c;
}

static void clean(void)
{
	unlink(certificate);
	unlink(key);
	cr_assert_eq(rmdir(folder), 0, "something else was left there");
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
}

static void refused(const char *wanted)
{
	struct credentials *c = NULL;

	cr_expect_neq(credentials_load(&c, certificate, key, error, sizeof(error)), 0);
	cr_expect_not_null(strstr(error, wanted), "says: %s", error);
	cr_expect_null(c);
}

Test(credentials, own_is_kept)
{
	struct credentials *c = own(), *again;
	struct stat st;
	bool made;

	cr_assert_eq(stat(key, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
	cr_expect_eq(strlen(c->pin), 44);
	cr_assert_eq(credentials_own(&again, folder, "other.example", &made, error, sizeof(error)), 0);
	cr_expect_not(made);
	cr_expect_str_eq(again->pin, c->pin);
	cr_expect_arr_eq(again->secret, c->secret, sizeof(c->secret));
	cr_expect_neq(memcmp(again->ticket_key.data, c->ticket_key.data, c->ticket_key.size), 0);
	credentials_drop(again);
	credentials_drop(c);
	clean();
}

/* As openssl computes it: RFC 7858's appendix A, RFC 7469's section 2.4. */
Test(credentials, pin)
{
	struct credentials *c = own();
	char command[512], line[80] = "";

	snprintf(command, sizeof(command), "openssl x509 -in %s -noout -pubkey | openssl pkey -pubin -outform DER | "
		 "openssl dgst -sha256 -binary | openssl base64", certificate);

	FILE *f = popen(command, "r");

	cr_assert_not_null(f);
	cr_assert_not_null(fgets(line, sizeof(line), f));
	cr_assert_eq(pclose(f), 0);
	line[strcspn(line, "\n")] = '\0';
	cr_expect_str_eq(c->pin, line);
	credentials_drop(c);
	clean();
}

Test(credentials, files_that_will_not_do)
{
	char moved[160], other[64], command[512];
	struct credentials *c = own();

	credentials_drop(c);
	snprintf(moved, sizeof(moved), "%s.away", key);
	rename(key, moved);
	refused("tls-key.pem: No such file");
	write_text(key, "");
	refused("tls-key.pem: ");
	write_text(key, "no key\n");
	refused("no private key in PEM form");

	/* A key of another certificate. */
	snprintf(other, sizeof(other), "%s", folder);
	unlink(key);
	snprintf(command, sizeof(command), "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 "
		 "-out %s 2>/dev/null", key);
	cr_assert_eq(system(command), 0);
	refused("tls-key.pem: the key does not belong to the certificate in ");
	snprintf(command, sizeof(command), "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 "
		 "-aes256 -pass pass:x -out %s 2>/dev/null", key);
	cr_assert_eq(system(command), 0);
	refused("tls-key.pem: the key is encrypted");
	cr_assert_eq(rename(moved, key), 0);
	cr_assert_eq(credentials_load(&c, certificate, key, error, sizeof(error)), 0, "%s", error);
	credentials_drop(c);

	write_text(certificate, "no certificate\n");
	refused("no certificate in PEM form");
	unlink(certificate);
	refused("tls-certificate.pem: No such file");
	snprintf(certificate, sizeof(certificate), "%s", key);
	refused("no certificate in PEM form");
	snprintf(certificate, sizeof(certificate), "%s/none", other);
	clean();
}

/* Made by root, they are the folder's owner's: whom the process becomes. */
Test(credentials, owner)
{
	struct credentials *c;
	struct stat st;
	bool made;

	credentials_drop(own());
	unlink(certificate);
	unlink(key);
	if (geteuid() == 0)
		cr_assert_eq(chown(folder, 65534, 65534), 0);
	cr_assert_eq(credentials_own(&c, folder, "", &made, error, sizeof(error)), 0, "%s", error);
	credentials_drop(c);
	cr_assert_eq(stat(key, &st), 0);
	cr_expect_eq(st.st_uid, geteuid() == 0 ? 65534 : geteuid());
	clean();
}

Test(credentials, a_folder_that_will_not_do)
{
	struct credentials *c;
	bool made;

	cr_expect_neq(credentials_own(&c, "/proc/nonexistent", "", &made, error, sizeof(error)), 0);
	cr_expect_not_null(strstr(error, "cannot make a certificate in /proc/nonexistent: No such file"), "%s", error);
}

Test(credentials, who_is_trusted)
{
	struct credentials *c = own();
	char *id = identities_make(), file[256], command[1024];

	cr_assert_not_null(id);
	cr_expect_eq(c->ask, GNUTLS_CERT_IGNORE);
	cr_assert_eq(credentials_trust(c, identities_path(id, "ca"), true, error, sizeof(error)), 0, "%s", error);
	cr_expect_eq(c->ask, GNUTLS_CERT_REQUIRE);
	cr_expect_eq(c->authorities, 1);
	credentials_drop(c);
	cr_assert_eq(credentials_load(&c, certificate, key, error, sizeof(error)), 0);
	snprintf(file, sizeof(file), "%s/file", id);
	snprintf(command, sizeof(command), "cd %s; cat ca.pem other-ca.pem >file", id);
	cr_assert_eq(system(command), 0);
	cr_assert_eq(credentials_trust(NULL, file, false, error, sizeof(error)), 0, "%s", error);
	cr_assert_eq(credentials_trust(c, file, false, error, sizeof(error)), 0, "%s", error);
	cr_expect_eq(c->ask, GNUTLS_CERT_REQUEST);
	cr_expect_eq(c->authorities, 2);
	credentials_drop(c);
	clean();
	identities_remove(id);
}

Test(credentials, authorities_that_will_not_do)
{
	static const struct { const char *make, *fault; } bad[] = {
		{"rm file", "/file: No such file"},
		{">file", "/file: "},
		{"echo none >file", "/file: there is no certificate in PEM form"},
		{"cp ca-key.pem file", "/file: there is no certificate in PEM form"},
		{"cp good.pem file", "/file: certificate 1 of 1 is not that of an authority (CA)"},
		{"cat ca.pem good.pem >file", "/file: certificate 2 of 2 is not that of an authority (CA)"},
		{"for i in $(seq 65); do cat ca.pem; done >file", "/file: more than 64 certificates"},
		{"(cat ca.pem; sed s/[a-m]/x/g ca.pem) >file", "/file: "},
	};
	struct credentials *c = own();
	char *id = identities_make(), command[1024], file[256];

	cr_assert_not_null(id);
	snprintf(file, sizeof(file), "%s/file", id);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(command, sizeof(command), "cd %s; touch file; %s", id, bad[i].make);
		cr_assert_eq(system(command), 0);
		cr_expect_neq(credentials_trust(NULL, file, true, error, sizeof(error)), 0, "%s", bad[i].make);
		cr_expect_neq(credentials_trust(c, file, true, error, sizeof(error)), 0, "%s", bad[i].make);
		cr_expect_not_null(strstr(error, bad[i].fault), "%s: %s", bad[i].make, error);
		cr_expect_eq(c->ask, GNUTLS_CERT_IGNORE);
	}
	credentials_drop(c);
	clean();
	identities_remove(id);
}

Test(credentials, another_in_force)
{
	struct credentials *first = own(), *second, *held, *now;
	struct credentials_vault v;

	credentials_vault_init(&v, first);
	held = credentials_get(&v);
	cr_assert_eq(held, first);
	cr_assert_eq(credentials_load(&second, certificate, key, error, sizeof(error)), 0);
	cr_assert_eq(credentials_put(&v, second), 0);
	now = credentials_get(&v);
	cr_expect_eq(now, second);
	cr_expect_eq(now->ticket_key.size, held->ticket_key.size);
	cr_expect_arr_eq(now->ticket_key.data, held->ticket_key.data, held->ticket_key.size);
	cr_expect_arr_eq(now->cookie_key.data, held->cookie_key.data, held->cookie_key.size);
	cr_expect_eq(atomic_load(&held->users), 1, "ours alone");
	credentials_drop(held);
	credentials_drop(now);
	credentials_vault_free(&v);
	clean();
}
