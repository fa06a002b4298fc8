// SPDX-License-Identifier: GPL-2.0-only
/* /proc/PID/tpt and /sys/kernel/mm/tpt: what they accept and what they refuse. */
#define _GNU_SOURCE
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tap.h"

#ifndef PR_SET_TPT
#define PR_SET_TPT		0x54505453
#define PR_TPT_AUTO		0
#define PR_TPT_ON		1
#define PR_TPT_OFF		2
#define PR_TPT_INHERIT		(1UL << 0)
#define PR_GET_TPT		0x54505447
#define PR_TPT_IS_ON		(1 << 0)
#define PR_TPT_IS_CHOSEN	(1 << 1)
#define PR_TPT_IS_INHERITED	(1 << 2)
#endif

static bool available;

/* Runs @fn in a child; its return value is the child's exit status */
static int in_child(int (*fn)(void *), void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		bail("fork");
	if (!pid)
		_exit(fn(arg));
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* A process that waits to be killed */
static pid_t sleeper(uid_t uid)
{
	int ready[2];
	char c;
	pid_t pid;

	if (pipe(ready))
		bail("pipe");
	pid = fork();
	if (pid < 0)
		bail("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (uid && setresuid(uid, uid, uid))
			_exit(1);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	if (read(ready[0], &c, 1) != 1)
		bail("child did not start");
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void reap(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_words(void)
{
	static const char * const bad[] = {
		"onx", "ON", " on", "on ", "o", "offf", "autos", "always", "1", "0",
		"on\n\n", "\n", "on\noff", "onoff", "a rather long word that is no word",
	};
	void *bad_buffer;
	unsigned int i;
	int fd;
	ssize_t n;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		n = tpt_set(bad[i]);
		ok(n == -EINVAL, "word %u is refused with EINVAL (%zd)", i, n);
	}

	fd = open("/proc/self/tpt", O_WRONLY);
	n = write(fd, "", 0);
	ok(n == -1 && errno == EINVAL, "an empty write is refused with EINVAL");
	n = write(fd, "on\0", 3);
	ok(n == -1 && errno == EINVAL, "a NUL byte is refused with EINVAL");
	n = lseek(fd, 1, SEEK_SET) == 1 ? write(fd, "on", 2) : 0;
	ok(n == -1 && errno == EINVAL, "a write in the middle is refused with EINVAL");
	lseek(fd, 0, SEEK_SET);
	bad_buffer = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	n = write(fd, bad_buffer, 2);
	ok(n == -1 && errno == EFAULT, "a bad buffer is refused with EFAULT");
	close(fd);
}

static int state_is_off(void *arg)
{
	(void)arg;
	return strcmp(tpt_field(getpid(), "state"), "off") ? 1 : 0;
}

static void *thread_on(void *arg)
{
	*(ssize_t *)arg = tpt_set("on");
	return NULL;
}

static void test_on_off(void)
{
	long on = vm_event("tpt_on"), off = vm_event("tpt_off"), sync;
	const size_t size = 8 << 20; /* whole tables, whose twins come with faults */
	pthread_t thread;
	ssize_t n = 0;
	char *p;

	ok(tpt_set("on") == 2, "on");
	ok(tpt_is_on(), "state is on");
	ok(!strcmp(tpt_field(getpid(), "reason"), "none"), "no reason to be off");
	ok(atoi(tpt_field(getpid(), "twin_pages")) >= 4, "there are twin pages: %s",
	   tpt_field(getpid(), "twin_pages"));
	sync = vm_event("tpt_fault_sync");
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		bail("mmap");
	memset(p, 1, size);
	munmap(p, size);
	ok(sync >= 0 && vm_event("tpt_fault_sync") > sync, "vmstat: faults that brought a twin up to date");
	ok(tpt_set("on\n") == 3, "on again, with a newline, is no error");
	ok(tpt_set("off\n") == 4, "off");
	ok(state_is_off(NULL) == 0, "state is off");
	ok(!strcmp(tpt_field(getpid(), "reason"), "user"), "because the user said so");
	ok(!strcmp(tpt_field(getpid(), "twin_pages"), "0"), "no twin pages are left: %s",
	   tpt_field(getpid(), "twin_pages"));
	ok(tpt_set("off") == 3, "off again is no error");
	ok(on >= 0 && vm_event("tpt_on") == on + 1, "vmstat: switched on once");
	ok(off >= 0 && vm_event("tpt_off") == off + 1, "vmstat: switched off once");

	pthread_create(&thread, NULL, thread_on, &n);
	pthread_join(thread, NULL);
	ok(n == 2 && tpt_is_on(), "a thread switches the whole process on");
	ok(in_child(state_is_off, NULL) == 0, "a child starts off");
	ok(tpt_is_on(), "and its parent stays on");
	tpt_set("off");
}

static int other_user(void *arg)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/tpt", *(pid_t *)arg);
	if (setresuid(1000, 1000, 1000))
		return 255;
	return -write_file(path, "on");
}

static int without_ptrace(void *arg)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/tpt", *(pid_t *)arg);
	if (syscall(SYS_capget, &header, data))
		return 255;
	data[0].effective &= ~(1U << CAP_SYS_PTRACE);
	data[0].permitted &= ~(1U << CAP_SYS_PTRACE);
	if (syscall(SYS_capset, &header, data))
		return 254;
	return -write_file(path, "on");
}

static void test_rights(void)
{
	pid_t pid = sleeper(0);
	char path[32];
	int e;

	e = in_child(other_user, &pid);
	ok(e == EACCES || e == EPERM, "another user may not (%s)", strerror(e));
	reap(pid);

	pid = sleeper(1000);
	e = in_child(without_ptrace, &pid);
	ok(e == EPERM, "root without CAP_SYS_PTRACE may not: EPERM (%s)", strerror(e));
	snprintf(path, sizeof(path), "/proc/%d/tpt", pid);
	if (available)
		ok(write_file(path, "on") == 2, "root may");
	reap(pid);

	e = -write_file("/proc/2/tpt", "on");
	ok(e == ESRCH, "a kernel thread has no memory: ESRCH (%s)", strerror(e));
}

static void test_gone(void)
{
	char path[32], buf[256];
	pid_t pid = sleeper(0);
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/tpt", pid);
	fd = open(path, O_RDWR);
	if (fd < 0)
		bail("%s", path);
	reap(pid);
	n = write(fd, "on", 2);
	ok(n == -1 && errno == ESRCH, "on for a process that has ended: ESRCH");
	n = write(fd, "off", 3);
	ok(n == -1 && errno == ESRCH, "off for a process that has ended: ESRCH");
	n = pread(fd, buf, sizeof(buf), 0);
	ok(n == -1 && errno == ESRCH, "reading a process that has ended: ESRCH");
	close(fd);
}

/* After exec: the new program is off, and the old file speaks of the old one */
static int after_exec(int fd)
{
	ssize_t n;

	if (state_is_off(NULL))
		return 1;
	n = write(fd, "on", 2);
	if (n != -1 || errno != ESRCH)
		return 2;
	return state_is_off(NULL) ? 3 : 0;
}

static int do_exec(void *arg)
{
	char number[12];
	int fd = open("/proc/self/tpt", O_RDWR);

	(void)arg;
	if (available && tpt_set("on") != 2)
		return 10;
	snprintf(number, sizeof(number), "%d", fd);
	execl("/proc/self/exe", "tpt_proc_test", "--after-exec", number, NULL);
	return 11;
}

#define ENABLED "/sys/kernel/mm/tpt/enabled"

static int in_exec(void *arg)
{
	(void)arg;
	execl("/proc/self/exe", "tpt_proc_test", "--is-on", NULL);
	return 11;
}

static int in_fork(void *arg)
{
	(void)arg;
	return tpt_is_on() ? 0 : 12;
}

/*
 * Off while it is switched on.  There is a moment for that if there is much to
 * build; whether it is met is a matter of luck, so try several times.
 */
static void test_abort(void)
{
	size_t size = 256UL << 20, i;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int round, aborted = 0, wrong = 0;

	if (p == MAP_FAILED)
		bail("mmap");
	/* the zero page takes no memory, but page tables */
	madvise(p, size, MADV_NOHUGEPAGE);
	for (i = 0; i < size; i += 4096)
		((volatile char *)p)[i];

	for (round = 0; round < 30; round++) {
		pthread_t thread;
		ssize_t n = 0, off;

		pthread_create(&thread, NULL, thread_on, &n);
		usleep(round * 200);
		off = tpt_set("off");
		pthread_join(thread, NULL);
		aborted += n == -ECANCELED;
		wrong += off != 3 || (n != 2 && n != -ECANCELED) ||
			 (n == -ECANCELED && tpt_is_on());
		tpt_set("off");
	}
	ok(!wrong, "off while it is switched on: off, or on was later");
	ok(aborted, "off ends switching on: %d of %d times", aborted, round);
	munmap(p, size);
}

/* A process that was never on is told to be off before the mode is auto. */
static int is_off_in_auto(void *arg)
{
	bool kept;

	(void)arg;
	if (tpt_set("off") != 3 || write_file(ENABLED, "auto") != 4)
		return 1;
	kept = !strcmp(tpt_field(getpid(), "mode"), "manual");
	return write_file(ENABLED, "manual") != 6 ? 2 : !kept;
}

/* The mode is changed while this process runs; at the end it is what it was. */
static void test_modes(void)
{
	int status;

	ok(tpt_set("auto") == -EOPNOTSUPP, "mode manual: a process cannot be left to the policy");
	ok(tpt_set("on") == 2 && tpt_is_on(), "mode manual: on");
	ok(write_file(ENABLED, "never") == 5 && !tpt_is_on() &&
	   !strcmp(tpt_field(getpid(), "reason"), "mode"),
	   "mode never switches it off");
	ok(tpt_set("on") == -EOPNOTSUPP, "mode never: on is refused");

	ok(write_file(ENABLED, "always") == 6, "mode always");
	status = in_child(in_exec, NULL);
	ok(status == 0, "mode always: a program is on after exec (%d)", status);
	ok(tpt_set("on") == 2, "mode always: on");
	status = in_child(in_fork, NULL);
	ok(status == 0, "mode always: the child of a process that is on is on (%d)", status);

	ok(write_file(ENABLED, "auto") == 4, "mode auto");
	ok(!strcmp(tpt_field(getpid(), "mode"), "manual"), "mode auto: the user's word counts");
	ok(tpt_set("auto") == 4 && !strcmp(tpt_field(getpid(), "mode"), "auto"),
	   "mode auto: until it is taken back");

	ok(write_file(ENABLED, "manual") == 6 && tpt_is_on(), "mode manual leaves it on");
	tpt_set("off");

	status = in_child(is_off_in_auto, NULL);
	ok(status == 0, "mode auto: what was said in mode manual counts (%d)", status);
}

/* In a child that has inherited the choice to be off */
static int taken_back(void *arg)
{
	(void)arg;
	if (strcmp(tpt_field(getpid(), "mode"), "manual"))
		return 1;
	if (tpt_set("auto") != 4)
		return 2;
	return strcmp(tpt_field(getpid(), "mode"), "auto") ? 3 : 0;
}

static int leader_pipe[2];

/* On, without its leader; says whether it is still on when it was told to look */
static void *leaderless(void *arg)
{
	char c = tpt_set("on") == 2 && tpt_is_on();

	(void)arg;
	/* the leader becomes a zombie, which has no memory */
	for (;;) {
		char path[40], buf[512] = "";

		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
		read_file(path, buf, sizeof(buf));
		if (strstr(buf, ") Z "))
			break;
		usleep(1000);
	}
	if (write(leader_pipe[1], &c, 1) != 1 || read(leader_pipe[1], &c, 1) != 1)
		_exit(1);
	c = prctl(PR_GET_TPT, 0, 0, 0, 0);
	if (write(leader_pipe[1], &c, 1) != 1)
		_exit(1);
	_exit(0);
}

static void test_leaderless(void)
{
	pthread_t thread;
	char on = 0, after = 1;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, leader_pipe))
		bail("socketpair");
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (pthread_create(&thread, NULL, leaderless, NULL))
			_exit(1);
		pthread_exit(NULL);
	}
	if (pid < 0 || read(leader_pipe[0], &on, 1) != 1)
		bail("the child did not start");
	ok(on == 1, "mode never: a process without its first thread is on");
	if (write_file(ENABLED, "never") != 5 || write(leader_pipe[0], "", 1) != 1 ||
	    read(leader_pipe[0], &after, 1) != 1)
		bail("the child did not answer");
	ok(!(after & PR_TPT_IS_ON), "mode never: and off when it was written");
	waitpid(pid, NULL, 0);
	close(leader_pipe[0]);
	close(leader_pipe[1]);
	ok(write_file(ENABLED, "manual") == 6, "mode manual");
}

static int set_choice(unsigned long what, unsigned long flags)
{
	return prctl(PR_SET_TPT, what, flags, 0, 0) ? -errno : 0;
}

static int get_choice(void)
{
	return prctl(PR_GET_TPT, 0, 0, 0, 0);
}

static int is_choice(void *arg)
{
	return get_choice() == *(int *)arg ? 0 : 1;
}

/* In a new program, and in a child of it */
static int choice_in_exec(void *arg)
{
	char number[12];

	snprintf(number, sizeof(number), "%d", *(int *)arg);
	execl("/proc/self/exe", "tpt_proc_test", "--is-choice", number, NULL);
	return 11;
}

static void test_prctl(void)
{
	int status, off = 0, chosen = PR_TPT_IS_CHOSEN | PR_TPT_IS_INHERITED;
	int before = get_choice(), on = chosen | PR_TPT_IS_ON;

	ok(set_choice(3, 0) == -EINVAL && set_choice(-1, 0) == -EINVAL, "prctl: unknown word: EINVAL");
	ok(set_choice(PR_TPT_ON, 2) == -EINVAL, "prctl: unknown flag: EINVAL");
	ok(prctl(PR_SET_TPT, PR_TPT_ON, 0, 1, 0) == -1 && errno == EINVAL &&
	   prctl(PR_SET_TPT, PR_TPT_ON, 0, 0, 1) == -1 && errno == EINVAL,
	   "prctl: set: other arguments must be 0");
	ok(prctl(PR_GET_TPT, 1, 0, 0, 0) == -1 && errno == EINVAL &&
	   prctl(PR_GET_TPT, 0, 1, 0, 0) == -1 && errno == EINVAL &&
	   prctl(PR_GET_TPT, 0, 0, 1, 0) == -1 && errno == EINVAL &&
	   prctl(PR_GET_TPT, 0, 0, 0, 1) == -1 && errno == EINVAL,
	   "prctl: get: other arguments must be 0");
	ok(!tpt_is_on() && get_choice() == before, "prctl: nothing of that changed anything");

	ok(set_choice(PR_TPT_ON, 0) == 0 && get_choice() == (PR_TPT_IS_ON | PR_TPT_IS_CHOSEN),
	   "prctl: on");
	status = in_child(is_choice, &off);
	ok(status == 0, "prctl: a child starts off (%d)", status);

	ok(set_choice(PR_TPT_ON, PR_TPT_INHERIT) == 0 && get_choice() == on &&
	   !strcmp(tpt_field(getpid(), "inherit"), "on"), "prctl: on, with children");
	status = in_child(is_choice, &on);
	ok(status == 0, "prctl: a child is on (%d)", status);
	status = in_child(choice_in_exec, &on);
	ok(status == 0, "prctl: and a program that it executes, and its child (%d)", status);

	ok(set_choice(PR_TPT_OFF, PR_TPT_INHERIT) == 0 && get_choice() == chosen, "prctl: off, with children");
	ok(write_file(ENABLED, "auto") == 4, "prctl: mode auto");
	status = in_child(taken_back, NULL);
	ok(status == 0, "prctl: a child's inherited choice can be taken back (%d)", status);
	ok(write_file(ENABLED, "always") == 6, "prctl: mode always");
	status = in_child(choice_in_exec, &chosen);
	ok(status == 0, "prctl: the choice is off in mode always, too (%d)", status);
	ok(set_choice(PR_TPT_AUTO, 0) == 0 && get_choice() == 0, "prctl: taken back");
	on = PR_TPT_IS_ON;
	status = in_child(choice_in_exec, &on);
	ok(status == 0, "prctl: then the mode decides (%d)", status);

	ok(write_file(ENABLED, "never") == 5 && set_choice(PR_TPT_ON, PR_TPT_INHERIT) == -EOPNOTSUPP &&
	   get_choice() == 0, "prctl: mode never: EOPNOTSUPP, and nothing is inherited");
	ok(write_file(ENABLED, "manual") == 6, "prctl: mode manual");
}

static void test_settings(void)
{
	static const char gain[] = "/sys/kernel/mm/tpt/auto/on_gain";
	char before[32] = "", after[32] = "";

	if (read_file(gain, before, sizeof(before)) < 0) {
		skip("no mode auto in this kernel");
		return;
	}
	ok(atoi(before) > 0, "auto/on_gain is %d", atoi(before));
	ok(write_file(gain, "0") == -EINVAL && write_file(gain, "1") == -EINVAL &&
	   write_file(gain, "many") == -EINVAL &&
	   write_file(gain, "99999999999") == -ERANGE,
	   "auto/on_gain: out of range, below off_gain, no number: an error");
	read_file(gain, after, sizeof(after));
	ok(!strcmp(before, after), "and none of that changed it");
}

static void test_sysfs(void)
{
	char buf[64] = "";

	read_file(ENABLED, buf, sizeof(buf));
	ok(!strcmp(buf, "never [manual] auto always\n") ||
	   !strcmp(buf, "[never] manual auto always\n"),
	   "/sys/kernel/mm/tpt/enabled is %.*s", (int)strcspn(buf, "\n"), buf);
	ok(write_file(ENABLED, "sometimes") == -EINVAL, "another word: EINVAL");
	read_file("/sys/kernel/mm/tpt/available", buf, sizeof(buf));
	ok(!strcmp(buf, "1\n") == available, "/sys/kernel/mm/tpt/available is %.*s",
	   (int)strcspn(buf, "\n"), buf);
}

int main(int argc, char **argv)
{
	ssize_t n;

	if (argc == 2 && !strcmp(argv[1], "--is-on"))
		return !tpt_is_on();
	if (argc == 3 && !strcmp(argv[1], "--is-choice")) {
		int choice = atoi(argv[2]);

		return is_choice(&choice) ?: in_child(is_choice, &choice);
	}
	if (argc == 3 && !strcmp(argv[1], "--after-exec"))
		return after_exec(atoi(argv[2]));

	if (access("/proc/self/tpt", F_OK)) {
		skip("this kernel has no TPT");
		return done();
	}

	ok(state_is_off(NULL) == 0, "a process starts off");
	test_words();
	ok(state_is_off(NULL) == 0, "and nothing of that switched it on");

	n = tpt_set("on");
	available = n == 2;
	if (argc > 1 && !strcmp(argv[1], "--need"))
		ok(available, "TPT is available");
	else if (!available)
		ok(n == -EOPNOTSUPP, "on is refused with EOPNOTSUPP where there is no TPT");
	tpt_set("off");

	test_sysfs();
	test_settings();
	if (available) {
		test_on_off();
		test_abort();
		test_modes();
		test_leaderless();
		test_prctl();
	}
	test_rights();
	test_gone();
	n = in_child(do_exec, NULL);
	ok(n == 0, "exec gives a process that is off, and the old file does not reach it (%zd)", n);

	return done();
}
