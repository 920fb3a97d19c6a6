/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The dataplane's end of the attach protocol against a control process played by the
 * test, with workers that adopt when they are told to. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/answer/db.h"
#include "dataplane/attach_client.h"
#include "dataplane/common/attach.h"

#define WORKERS 2

/* ---- what worker.c does otherwise ---- */

static const struct attachment *published;
static bool adopted;

unsigned workers_cnt(const struct workers *w)
{
	return WORKERS;
}

void workers_publish(struct workers *w, const struct attachment *a)
{
	published = a;
	adopted = false;
}

bool workers_adopted(const struct workers *w)
{
	return adopted;
}

/* ---- the control process's side ---- */

static char folder[] = "/tmp/pollux-attach-XXXXXX";
static char path[64];
static int listener = -1;
static struct attach_client client;
static struct port ports[2];

static void control_listen(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	unlink(path);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
	cr_assert_eq(bind(listener, (struct sockaddr *)&sun, sizeof(sun)), 0);
	cr_assert_eq(listen(listener, 4), 0);
}

static void control_close(void)
{
	close(listener);
	unlink(path);
}

static void setup(void)
{
	cr_assert(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/attach.sock", folder);
	/* One port on AF_XDP, with descriptors that only have to travel, and one not. */
	ports[0] = (struct port){ .name = "eth1", .ifindex = 7, .queues = WORKERS,
				  .maps = { 0, 0, 0, 0 } };
	ports[1] = (struct port){ .name = "/memif0.sock", .queues = 1 };
	cr_assert_eq(attach_client_init(&client, folder, NULL, ports, 2), 0);
}

static void teardown(void)
{
	attach_client_close(&client);
	unlink(path);
	rmdir(folder);
}

/* Lets the client take what has arrived, or its next try. */
static void step(void)
{
	struct pollfd p = { .fd = attach_client_fd(&client), .events = POLLIN };

	poll(&p, 1, 50);
	attach_client_step(&client);
}

/* Steps until the client calls; returns the connection after its hello. */
static int control_accept(void)
{
	struct attach_message m;
	int fds[ATTACH_FDS], s = -1;
	unsigned cnt = 0;

	for (int i = 0; i < 100 && s < 0; i++) {
		attach_client_step(&client);
		s = accept(listener, NULL, NULL);
		if (s < 0)
			usleep(20000);
	}
	cr_assert_geq(s, 0, "the client has called");
	cr_assert_eq(attach_receive(s, &m, fds, &cnt), 0);
	cr_assert_eq(m.type, ATTACH_HELLO);
	cr_assert_eq(m.hello.worker_cnt, (uint32_t)WORKERS);
	cr_assert_eq(m.hello.pid, (uint32_t)getpid());
	cr_assert_eq(m.hello.arena_layout, (uint32_t)ARENA_LAYOUT);
	return s;
}

static void control_welcome(int s, uint32_t workers, uint64_t size, int arena_fd, int status_fd)
{
	struct attach_message m = {
		.magic = ATTACH_MAGIC, .version = ATTACH_VERSION, .type = ATTACH_WELCOME,
		.welcome = { .arena_size = size, .worker_cnt = workers, .slot = { 3, 5, 6 } },
	};
	int fds[2] = { arena_fd, status_fd };

	cr_assert_eq(attach_send(s, &m, fds, 2), 0);
}

static void control_expect_serving(int s)
{
	struct attach_message m;
	int fds[ATTACH_FDS];
	unsigned cnt = 0;

	cr_assert_eq(attach_receive(s, &m, fds, &cnt), 0);
	cr_assert_eq(m.type, ATTACH_SERVING);
	cr_assert_eq(m.serving.port_cnt, 1u);
	cr_assert_eq(m.serving.port[0].ifindex, 7u);
	cr_assert_eq(m.serving.port[0].queues, (uint32_t)WORKERS);
	cr_assert_str_eq(m.serving.port[0].name, "eth1");
	cr_assert_eq(cnt, 4u);
	for (unsigned i = 0; i < cnt; i++)
		close(fds[i]);
}

/* A whole attach to db; returns the connection. */
static int attach_to(struct db *db)
{
	int s = control_accept(), fd = db_arena_fd(db);
	struct stat st;

	fstat(fd, &st);
	control_welcome(s, WORKERS, (uint64_t)st.st_size, fd, db_status_fd(db));
	close(fd);
	step();
	cr_assert_eq(client.state, ATTACH_ADOPTING);
	adopted = true;
	step();
	cr_assert_eq(client.state, ATTACH_ATTACHED);
	control_expect_serving(s);
	return s;
}

static struct db *make_db(void)
{
	struct db *db;

	cr_assert_eq(db_create(&db, 4 << 20, ARENA_HUGE_NO), 0);
	return db;
}

Test(attach_client, waits_for_workers_before_serving, .init = setup, .fini = teardown)
{
	struct db *db = make_db();
	struct attach_message m;
	int s, fd = db_arena_fd(db);
	struct stat st;

	attach_client_step(&client); /* nobody there yet */
	cr_assert_eq(client.state, ATTACH_AWAY);
	cr_assert_geq(attach_client_timeout(&client), 0);

	control_listen();
	s = control_accept();
	cr_assert_eq(client.state, ATTACH_GREETED);
	cr_assert_eq(attach_client_timeout(&client), -1, "zones may take long to load");
	fstat(fd, &st);
	control_welcome(s, WORKERS, (uint64_t)st.st_size, fd, db_status_fd(db));
	close(fd);
	for (int i = 0; i < 3; i++)
		step();
	cr_assert_eq(client.state, ATTACH_ADOPTING);
	cr_assert_eq(recv(s, &m, sizeof(m), MSG_DONTWAIT), -1, "nothing said before they have moved");
	cr_assert_eq(published->slot[0], 3u);
	cr_assert_eq(published->slot[1], 5u);
	/* Both mappings are the db's own memory. */
	cr_assert_eq(memcmp(published->map.base, "RAXULLOP", 8), 0);
	atomic_store(&db_status(db)->slot[3].heartbeat, 53);
	cr_assert_eq(atomic_load(&published->status->slot[3].heartbeat), 53u);

	adopted = true;
	step();
	control_expect_serving(s);
	cr_assert_eq(recv(s, &m, sizeof(m), MSG_DONTWAIT), -1, "and nothing after it");
	close(s);
	control_close();
	db_destroy(db);
}

Test(attach_client, keeps_the_old_table_until_the_new_one_is_adopted, .init = setup, .fini = teardown)
{
	struct db *one = make_db(), *two = make_db();
	const struct attachment *old;
	struct stat st;
	int s, fd;

	control_listen();
	s = attach_to(one);
	old = client.current;
	cr_assert_eq(old, published);
	control_close();
	close(s);
	db_destroy(one); /* its memory lives on in our mapping */
	step();
	cr_assert_eq(client.state, ATTACH_AWAY);
	cr_assert_eq(client.current, old);
	cr_assert_eq(memcmp(old->map.base, "RAXULLOP", 8), 0);

	control_listen();
	s = control_accept();
	fd = db_arena_fd(two);
	fstat(fd, &st);
	control_welcome(s, WORKERS, (uint64_t)st.st_size, fd, db_status_fd(two));
	close(fd);
	step();
	cr_assert_eq(client.state, ATTACH_ADOPTING);
	cr_assert_eq(client.current, old, "still in use");
	adopted = true;
	step();
	cr_assert_eq(client.state, ATTACH_ATTACHED);
	cr_assert_eq(client.current, published);
	control_expect_serving(s);
	close(s);
	control_close();
	db_destroy(two);
}

Test(attach_client, goes_on_after_a_refusal, .init = setup, .fini = teardown)
{
	struct attach_message m = {
		.magic = ATTACH_MAGIC, .version = ATTACH_VERSION, .type = ATTACH_REFUSE,
		.refuse = { .reason = "no slots" },
	};
	struct db *db = make_db();
	int s;

	control_listen();
	s = attach_to(db);
	close(s);
	step();
	s = control_accept();
	cr_assert_eq(attach_send(s, &m, NULL, 0), 0);
	step();
	cr_assert_eq(client.state, ATTACH_AWAY);
	cr_assert_gt(attach_client_timeout(&client), 1000, "tried again slowly");
	cr_assert_not_null(client.current);
	close(s);
	control_close();
	db_destroy(db);
}

/* The answer of one that speaks another version of the protocol. */
Test(attach_client, says_which_versions_differ, .init = setup, .fini = teardown)
{
	struct attach_message m = { .magic = ATTACH_MAGIC, .version = ATTACH_VERSION + 6, .type = 77 };
	int s;

	control_listen();
	s = control_accept();
	cr_assert_eq(send(s, &m, 100, 0), 100);
	step();
	cr_assert_eq(client.state, ATTACH_AWAY);
	cr_assert_gt(attach_client_timeout(&client), 1000, "tried again slowly");
	cr_assert_not_null(strstr(client.refused, "differ: 7 of pollux-control, 1 of pollux-dataplane"), "%s",
			   client.refused);
	close(s);
	control_close();
}

/* A control process that goes before it hears that we serve has not made us ready; the
 * next one does. */
Test(attach_client, is_ready_at_the_second_attempt, .init = setup, .fini = teardown)
{
	struct db *db = make_db();
	int s, fd = db_arena_fd(db);
	struct stat st;

	fstat(fd, &st);
	control_listen();
	s = control_accept();
	control_welcome(s, WORKERS, (uint64_t)st.st_size, fd, db_status_fd(db));
	close(fd);
	step();
	cr_assert_eq(client.state, ATTACH_ADOPTING);
	close(s);
	adopted = true;
	step();
	cr_assert_eq(client.state, ATTACH_AWAY);
	cr_assert_not(client.ready);
	s = attach_to(db);
	cr_assert(client.ready);
	close(s);
	control_close();
	db_destroy(db);
}

/* Whatever is wrong with a welcome, nothing of it reaches the workers. */
Test(attach_client, refuses_what_it_cannot_use, .init = setup, .fini = teardown)
{
	struct db *db = make_db();
	int good = db_arena_fd(db), wrong = memfd_create("wrong", 0), small = memfd_create("small", 0);
	struct arena_head *head;
	struct stat st;

	fstat(good, &st);
	cr_assert_eq(ftruncate(wrong, st.st_size), 0);
	head = mmap(NULL, sizeof(*head), PROT_READ | PROT_WRITE, MAP_SHARED, wrong, 0);
	*head = (struct arena_head){ .magic = ARENA_MAGIC, .layout = ARENA_LAYOUT + 1,
				     .unit = ARENA_UNIT, .size = (uint64_t)st.st_size };
	cr_assert_eq(ftruncate(small, 4096), 0);

	const struct { uint32_t workers; int arena, status; } cases[] = {
		{ WORKERS, wrong, db_status_fd(db) },   /* another layout */
		{ WORKERS, small, db_status_fd(db) },   /* no arena at all */
		{ WORKERS, good, small },               /* a status region too small */
		{ WORKERS, good, wrong },               /* one of zeros */
		{ WORKERS + 1, good, db_status_fd(db) } /* slots for somebody else */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int s;

		control_listen();
		client.retry_at = 0;
		published = NULL;
		s = control_accept();
		control_welcome(s, cases[i].workers, (uint64_t)st.st_size, cases[i].arena,
				cases[i].status);
		step();
		cr_assert_eq(client.state, ATTACH_AWAY, "case %zu", i);
		cr_assert_null(published);
		cr_assert_null(client.next);
		close(s);
		control_close();
	}
	munmap(head, sizeof(*head));
	close(good);
	close(wrong);
	close(small);
	db_destroy(db);
}

Test(attach_client, says_when_the_path_is_too_long)
{
	char longer[200];

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	cr_assert_eq(attach_client_init(&client, longer, NULL, NULL, 0), -ENAMETOOLONG);
}
