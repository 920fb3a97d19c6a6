/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/unix.h"

static char folder[] = "/tmp/pollux-unix-XXXXXX";
static char path[UNIX_PATH_ROOM], error[512];

static void setup(void)
{
	cr_assert_not_null(mkdtemp(folder));
}

static void teardown(void)
{
	unlink(path);
	rmdir(folder);
}

TestSuite(unix_socket, .init = setup, .fini = teardown);

static int listen_here(int type)
{
	return unix_listen(path, folder, "a.sock", type, 0600, error, sizeof(error));
}

Test(unix_socket, permissions_and_connection)
{
	int fd = listen_here(SOCK_STREAM);
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct stat st;

	cr_assert_geq(fd, 0, "%s", error);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert(S_ISSOCK(st.st_mode));
	cr_assert_eq(st.st_mode & 0777, 0600);

	int client = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(sa.sun_path, path, sizeof(sa.sun_path));
	cr_assert_eq(connect(client, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(client);
	close(fd);
}

Test(unix_socket, who_listens_keeps_the_socket)
{
	static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};

	for (unsigned i = 0; i < 2; i++) {
		int fd = listen_here(types[i]);

		cr_assert_geq(fd, 0, "%s", error);
		cr_assert_eq(listen_here(types[i]), -EADDRINUSE);
		cr_assert_not_null(strstr(error, path));
		/* Of another kind: somebody listens all the same. */
		cr_assert_eq(listen_here(types[1 - i]), -EADDRINUSE);
		close(fd);
	}
}

Test(unix_socket, stale_socket_is_replaced)
{
	int fd = listen_here(SOCK_STREAM);

	cr_assert_geq(fd, 0);
	close(fd);
	fd = listen_here(SOCK_SEQPACKET);
	cr_assert_geq(fd, 0, "%s", error);
	close(fd);
}

Test(unix_socket, another_file_is_left_alone)
{
	snprintf(path, sizeof(path), "%s/a.sock", folder);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	cr_assert_eq(listen_here(SOCK_STREAM), -EEXIST);
	cr_assert_eq(access(path, F_OK), 0);
}

Test(unix_socket, path_of_every_length)
{
	char name[200];

	for (size_t n = 80; n < 110; n++) {
		size_t room = n - strlen(folder) - 1;

		memset(name, 'n', room);
		name[room] = '\0';

		int fd = unix_listen(path, folder, name, SOCK_STREAM, 0600, error, sizeof(error));

		if (n < UNIX_PATH_ROOM) {
			cr_assert_geq(fd, 0, "%zu octets: %s", n, error);
			close(fd);
			unlink(path);
		} else {
			cr_assert_eq(fd, -ENAMETOOLONG, "%zu octets", n);
		}
	}
}

Test(unix_socket, a_directory_has_one_owner)
{
	char run[64];
	struct stat st;
	pid_t other;
	int fd, status;

	snprintf(run, sizeof(run), "%s/run", folder);
	fd = unix_claim(run, error, sizeof(error));
	cr_assert_geq(fd, 0, "%s", error);
	cr_assert_eq(stat(run, &st), 0);
	cr_assert_eq(st.st_mode & 0777 & ~0755, 0);
	other = fork();
	if (other == 0)
		_exit(unix_claim(run, error, sizeof(error)) == -EBUSY && strstr(error, run) ? 0 : 1);
	cr_assert_eq(waitpid(other, &status, 0), other);
	cr_assert_eq(status, 0);
	close(fd);
	fd = unix_claim(run, error, sizeof(error));
	cr_assert_geq(fd, 0, "%s", error);
	close(fd);
	rmdir(run);
}
