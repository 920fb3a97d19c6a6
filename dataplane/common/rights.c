/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dataplane/common/rights.h"

#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/common/log.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define THREAD_WAIT_MS 1000 /* for a thread to run its signal handler */

/* ---- who ---- */

int rights_find(struct rights *r, const struct config *c, char *error, size_t error_size)
{
	const struct passwd *pw;

	*r = (struct rights){0};
	if (!c->user[0])
		return 0;
	errno = 0;
	pw = getpwnam(c->user);
	if (!pw) {
		int result = errno ? -errno : -ENOENT;

		snprintf(error, error_size, "%s:%u: user: there is no user `%s'", c->path, c->user_line,
			 c->user);
		return result;
	}
	if (pw->pw_uid == geteuid())
		return 0;
	if (geteuid() != 0) {
		log_warn("%s:%u: user: only root can become %s; running on as user %u", c->path,
			 c->user_line, c->user, (unsigned)geteuid());
		return 0;
	}
	*r = (struct rights){.user = c->user, .uid = pw->pw_uid, .gid = pw->pw_gid};
	return 0;
}

/* May the user write there?  By owner, group and others; what lists of access say in
 * addition is found out by the first file. */
static bool may_write(const struct rights *r, const struct stat *st)
{
	if (st->st_uid == r->uid)
		return (st->st_mode & 0300) == 0300;
	if (st->st_gid == r->gid)
		return (st->st_mode & 030) == 030;
	return (st->st_mode & 03) == 03;
}

int rights_directory(const struct rights *r, const char *path, char *error, size_t error_size)
{
	struct stat st;
	int result;

	if (!r->user)
		return 0;
	if (mkdir(path, 0755) == 0) {
		if (chown(path, r->uid, r->gid) == 0)
			return 0;
		result = -errno;
		snprintf(error, error_size, "cannot give %s to user %s: %s", path, r->user, strerror(errno));
		return result;
	}
	if (errno != EEXIST || stat(path, &st) < 0) {
		result = -errno;
		snprintf(error, error_size, "cannot make the folder %s: %s", path, strerror(errno));
		return result;
	}
	if (may_write(r, &st))
		return 0;
	snprintf(error, error_size, "user %s cannot write to %s (chown -R %s: %s)", r->user, path, r->user, path);
	return -EACCES;
}

/* ---- capabilities, of every thread ---- */

/* What a thread is to have; set before the signal is sent. */
static struct __user_cap_data_struct wanted[_LINUX_CAPABILITY_U32S_3];
static _Atomic unsigned followed;

static int set_own(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};

	return (int)syscall(SYS_capset, &head, wanted);
}

static void on_follow(int number)
{
	int before = errno;

	(void)number;
	set_own();
	errno = before;
	atomic_fetch_add(&followed, 1);
}

/* Capabilities belong to threads, and only a thread itself can give its own up. */
static int others_follow(void)
{
	struct sigaction action = {.sa_handler = on_follow, .sa_flags = SA_RESTART}, before;
	static const struct timespec nap = {.tv_nsec = 1000000};
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *e;
	unsigned asked = 0;

	if (!tasks)
		return -errno;
	sigfillset(&action.sa_mask);
	sigaction(SIGRTMAX - 1, &action, &before);
	while ((e = readdir(tasks))) {
		int tid = atoi(e->d_name);

		if (tid > 0 && tid != (int)syscall(SYS_gettid) &&
		    syscall(SYS_tgkill, getpid(), tid, SIGRTMAX - 1) == 0)
			asked++;
	}
	closedir(tasks);
	for (unsigned ms = 0; atomic_load(&followed) < asked && ms < THREAD_WAIT_MS; ms++)
		nanosleep(&nap, NULL);
	if (atomic_load(&followed) < asked)
		return -ETIMEDOUT; /* the handler stays, for it may still come */
	sigaction(SIGRTMAX - 1, &before, NULL);
	return 0;
}

static int give_up_capabilities(const struct rights *r, int keep, char *error, size_t error_size)
{
	int result;

	capng_clear(CAPNG_SELECT_ALL);
	memset(wanted, 0, sizeof(wanted));
	if (keep >= 0) {
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, (unsigned)keep);
		wanted[keep / 32].effective = wanted[keep / 32].permitted = 1u << keep % 32;
	}
	if (r->user) {
		/* glibc changes the user in all threads; each then loses its capabilities. */
		result = capng_change_id((int)r->uid, (int)r->gid, CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
		if (result) {
			snprintf(error, error_size, "cannot become user %s (libcap-ng says %d): root needs "
				 "CAP_SETUID, CAP_SETGID and CAP_SETPCAP for it", r->user, result);
			return -EPERM;
		}
	} else if (capng_apply(CAPNG_SELECT_CAPS) < 0) {
		snprintf(error, error_size, "cannot give capabilities up: %s", strerror(errno));
		return -EPERM;
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	result = others_follow();
	if (result)
		log_warn("a thread did not give its capabilities up: %s", strerror(-result));
	return 0;
}

/* ---- system calls ---- */

/* What serving takes: sockets, files, memory, threads, time, signals.  Not among them:
 * programs and processes, other processes' memory, mounts, modules, keys, namespaces,
 * users, clocks, io_uring. */
static const char *const calls[] = {
	/* descriptors and files */
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2",
	"close", "close_range", "dup", "dup2", "dup3", "fcntl", "ioctl", "lseek", "sendfile", "copy_file_range",
	"open", "openat", "openat2", "creat", "access", "faccessat", "faccessat2", "stat", "lstat", "fstat",
	"newfstatat", "statx", "statfs", "fstatfs", "readlink", "readlinkat", "getcwd", "getdents", "getdents64",
	"mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat",
	"symlink", "symlinkat", "chmod", "fchmod", "fchmodat", "umask", "utimensat", "ftruncate", "truncate",
	"fallocate", "fadvise64", "fsync", "fdatasync", "sync_file_range", "flock", "memfd_create", "inotify_init1",
	"inotify_add_watch", "inotify_rm_watch",
	/* waiting */
	"poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
	"epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2", "signalfd4", "timerfd_create", "timerfd_settime",
	"timerfd_gettime", "pipe", "pipe2",
	/* sockets; socket itself is below */
	"socketpair", "bind", "listen", "accept", "accept4", "connect", "shutdown", "getsockname", "getpeername",
	"getsockopt", "setsockopt", "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg",
	/* memory */
	"brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "msync", "mincore", "mlock", "mlock2", "munlock",
	"membarrier", "get_mempolicy", "mbind", "set_mempolicy",
	/* threads and the process itself; clone is below */
	"futex", "futex_waitv", "set_robust_list", "get_robust_list", "set_tid_address", "rseq", "arch_prctl",
	"prctl", "exit", "exit_group", "getpid", "gettid", "getppid", "getpgrp", "getuid", "geteuid", "getgid",
	"getegid", "getresuid", "getresgid", "getgroups", "capget", "getrlimit", "setrlimit", "prlimit64",
	"getrusage", "sysinfo", "uname", "getcpu", "getpriority", "setpriority", "sched_yield",
	"sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_getscheduler",
	"sched_get_priority_max", "sched_get_priority_min", "getrandom",
	/* time */
	"clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times",
	/* signals, and who is alive */
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait",
	"sigaltstack", "restart_syscall", "tgkill", "tkill", "kill", "pidfd_open", "pause", "wait4", "waitid",
};

/* What the first argument is to be. */
static struct scmp_arg_cmp equals(scmp_datum_t value)
{
	return (struct scmp_arg_cmp){.arg = 0, .op = SCMP_CMP_EQ, .datum_a = value};
}

static struct scmp_arg_cmp has(scmp_datum_t flag)
{
	return (struct scmp_arg_cmp){.arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = flag, .datum_b = flag};
}

static int allow_some(scmp_filter_ctx f, bool netlink)
{
	/* Of maps only, by descriptors that we have. */
	static const unsigned maps[] = {
		BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM, BPF_MAP_GET_NEXT_KEY,
		BPF_OBJ_GET_INFO_BY_FD,
	};
	int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, equals(AF_UNIX));

	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, equals(AF_INET));
	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, equals(AF_INET6));
	if (rc == 0 && netlink)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, equals(AF_NETLINK));
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]) && rc == 0; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(bpf), 1, equals(maps[i]));
	/* Threads, no processes.  clone3's flags lie in memory, where no filter looks: libc
	 * takes clone where there is no clone3. */
	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				      has(CLONE_THREAD));
	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return rc;
}

static int filter_calls(bool netlink)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc = f ? 0 : -ENOMEM;

	if (rc == 0)
		rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1); /* all threads, with no_new_privs */
	if (rc == 0)
		seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree instead of a list */
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]) && rc == 0; i++) {
		int number = seccomp_syscall_resolve_name(calls[i]);

		if (number != __NR_SCMP_ERROR) /* libseccomp may be older than the call */
			rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, number, 0);
	}
	if (rc == 0)
		rc = allow_some(f, netlink);
	if (rc == 0)
		rc = seccomp_load(f);
	if (f)
		seccomp_release(f);
	return rc;
}

static int drop(const struct rights *r, int keep, bool netlink, char *error, size_t error_size)
{
	int result;

	umask(0077);
	result = give_up_capabilities(r, keep, error, error_size);
	if (result)
		return result;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		snprintf(error, error_size, "cannot renounce new rights: %s", strerror(errno));
		return -errno;
	}
	result = SANITIZED ? 0 : filter_calls(netlink);
	if (result)
		log_warn("system calls are not filtered: %s", strerror(-result));
	return 0;
}

int rights_drop(const struct rights *r, char *error, size_t error_size)
{
	bool stays_root = !r->user && geteuid() == 0;
	int result = drop(r, stays_root ? CAP_DAC_OVERRIDE : -1, false, error, error_size);

	if (result)
		return result;
	if (stays_root)
		log_warn("running on as root, as no `user' is configured; of its capabilities only "
			 "dac_override is kept");
	else if (r->user)
		log_info("running as user %s without capabilities", r->user);
	if (SANITIZED)
		log_warn("system calls are not filtered: a sanitizer's run-time makes its own");
	return 0;
}

int rights_keep_net_admin(const struct rights *r, char *error, size_t error_size)
{
	return drop(r, CAP_NET_ADMIN, true, error, error_size);
}
