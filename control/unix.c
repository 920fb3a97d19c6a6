/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/unix.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64
#define CLAIM_WAIT_MS 2000 /* for a process that has been killed to be gone */
#define CLAIM_STEP_MS 50

/* The kernel needs a while to take a big table apart: who restarts right after a kill
 * must not be told that another one runs. */
static int lock(int fd)
{
	for (unsigned waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += CLAIM_STEP_MS) {
		if (errno != EWOULDBLOCK)
			return -errno;
		if (waited >= CLAIM_WAIT_MS)
			return -EBUSY;
		usleep(CLAIM_STEP_MS * 1000);
	}
	return 0;
}

int unix_claim(const char *directory, char *error, size_t error_size)
{
	if (mkdir(directory, 0755) < 0 && errno != EEXIST) {
		int result = -errno;

		snprintf(error, error_size, "cannot make the run directory %s: %s", directory,
			 strerror(-result));
		return result;
	}

	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		int result = -errno;

		snprintf(error, error_size, "cannot open the run directory %s: %s", directory,
			 strerror(-result));
		return result;
	}

	int result = lock(fd);

	if (result) {
		close(fd);
		if (result == -EBUSY)
			snprintf(error, error_size, "another pollux-control runs in %s", directory);
		else
			snprintf(error, error_size, "cannot lock the run directory %s: %s",
				 directory, strerror(-result));
		return result;
	}
	return fd;
}

/* Removes a socket file that is left over.  0, or -errno when it is not ours to take. */
static int remove_stale(const struct sockaddr_un *sa, int type)
{
	struct stat st;

	if (lstat(sa->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;

	int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;

	int result = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 ? -errno : 0;

	close(fd);
	if (result != -ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(sa->sun_path) < 0 ? -errno : 0;
}

/* Binds with the permissions from the first moment on. */
static int bind_mode(int fd, const struct sockaddr_un *sa, mode_t mode)
{
	mode_t before = umask(0777 & ~mode);
	int result = bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 ? -errno : 0;

	umask(before);
	return result;
}

int unix_listen(char *path, const char *directory, const char *name, int type, mode_t mode,
		char *error, size_t error_size)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s", directory, name);

	static_assert(sizeof(sa.sun_path) == UNIX_PATH_ROOM, "unix.h says how long a path may be");
	if (n < 0 || (size_t)n >= sizeof(sa.sun_path)) {
		snprintf(error, error_size, "%s/%s is too long for a socket's path (%d octets)",
			 directory, name, UNIX_PATH_ROOM - 1);
		return -ENAMETOOLONG;
	}
	memcpy(path, sa.sun_path, UNIX_PATH_ROOM);

	int result = remove_stale(&sa, type);
	int fd = -1;

	if (result)
		goto fail;
	fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		result = -errno;
		goto fail;
	}
	result = bind_mode(fd, &sa, mode);
	if (!result && listen(fd, BACKLOG) < 0) {
		result = -errno;
		unlink(path);
	}
	if (!result)
		return fd;
	close(fd);
fail:
	if (result == -EADDRINUSE)
		snprintf(error, error_size, "%s: another pollux-control runs", path);
	else if (result == -EEXIST)
		snprintf(error, error_size, "%s is there and is no socket", path);
	else
		snprintf(error, error_size, "cannot listen on %s: %s", path, strerror(-result));
	return result;
}
