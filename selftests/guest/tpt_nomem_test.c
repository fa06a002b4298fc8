// SPDX-License-Identifier: GPL-2.0-only
/*
 * No memory for TPT's tables: a process stays on, or falls back to, nested
 * paging, and does not notice.  First the memory cgroup is what runs out,
 * because it does so for one process only.  Then each allocation in turn fails,
 * where the kernel has fault injection.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tap.h"

#define PAGE	4096UL
#define SIZE	(64UL << 20)
#define STEP	(SIZE / 512)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static const char *cgroup = "/tmp/tpt-cgroup";
static char *memory;

static void put(void)
{
	size_t i;

	for (i = 0; i < SIZE; i += STEP)
		*(size_t *)(memory + i) = i ^ 0x5a5a;
}

static bool good(void)
{
	size_t i;

	for (i = 0; i < SIZE; i += STEP)
		if (*(volatile size_t *)(memory + i) != (i ^ 0x5a5a))
			return false;
	return true;
}

/* What the process charges from now on may not exceed @max */
static int limit(const char *max)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/memory.max", cgroup);
	if (write_file(path, max) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	return write_file(path, "0") < 0 ? -1 : 0;
}

static int switch_on(const char *max)
{
	int fd = open("/proc/self/tpt", O_RDWR);
	ssize_t n;

	put();
	if (fd < 0 || limit(max))
		return 10;
	n = write(fd, "on", 2);
	if (n >= 0)
		return 11;
	if (errno != ENOMEM)
		return errno;
	return good() ? 0 : 12;
}

static int with_hardly_any(int report)
{
	(void)report;
	return switch_on("8192");
}

static int with_little(int report)
{
	(void)report;
	return switch_on("49152");
}

/*
 * Memory that the kernel faulted in has no tables for TPT yet: they come with
 * the first access from user mode, and there is no memory for them.
 */
static int in_fault(int report)
{
	if (tpt_set("on") != 2)
		return 10;
	if (madvise(memory, SIZE, MADV_POPULATE_WRITE))
		return 11;
	if (limit("49152"))
		return 12;
	put();
	if (!good())
		return 13;
	/* There is no memory to open a file either: the parent will look */
	if (write(report, "", 1) != 1)
		return 14;
	for (;;)
		pause();
}

static int run(int (*fn)(int), char *reason, size_t size)
{
	int report[2], status;
	pid_t pid;
	char c;

	if (pipe(report))
		bail("pipe");
	pid = fork();
	if (pid < 0)
		bail("fork");
	if (!pid) {
		close(report[0]);
		_exit(fn(report[1]));
	}
	close(report[1]);
	if (read(report[0], &c, 1) == 1) {
		snprintf(reason, size, "%s", tpt_field(pid, "reason"));
		kill(pid, SIGKILL);
	}
	close(report[0]);
	if (waitpid(pid, &status, 0) != pid)
		bail("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define INJECT "/sys/kernel/debug/fail_tpt_alloc/"

/* Uses what there is: new pages, large pages, a child, other protections. */
static int work(int report)
{
	static const size_t huge = 2UL << 20;
	ssize_t n = tpt_set("on");
	bool on = n == 2;
	char *p, *q, why[32];
	int status;
	pid_t pid;

	(void)report;
	if (!on && n != -ENOMEM)
		return 10;
	if (on != tpt_is_on())
		return 11;
	put();
	p = mmap(NULL, 4 * huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return 12;
	q = (char *)(((size_t)p + huge - 1) & ~(huge - 1));
	if (madvise(q, huge, MADV_HUGEPAGE))
		return 13;
	q[0] = q[huge - 1] = 1;
	q[2 * huge] = 2;
	if (madvise(q, PAGE, MADV_DONTNEED) || mprotect(q + PAGE, PAGE, PROT_READ))
		return 14;
	q[0] = 3;
	pid = fork();
	if (!pid) {
		tpt_set("on");
		q[huge - 1] = 4;
		q[2 * huge] = 5;
		_exit(!good() || q[0] != 3);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		return 15;
	if (!good() || q[0] != 3 || q[1] || q[huge - 1] != 1 || q[2 * huge] != 2)
		return 16;
	munmap(p, 4 * huge);

	/* Either it is on, or it says why not.  Once more, nothing fails. */
	snprintf(why, sizeof(why), "%s", tpt_field(getpid(), "reason"));
	if (tpt_is_on() ? strcmp(why, "none") : on && strcmp(why, "nomem"))
		return 17;
	if (tpt_set("on") != 2 || !tpt_is_on() || !good())
		return 18;
	return 0;
}

static void each_allocation(void)
{
	long failed = vm_event("tpt_alloc_fail");
	char text[32] = "";
	int i, status = 0;

	if (write_file(INJECT "probability", "100") < 0) {
		skip("each allocation in turn: the kernel has no fault injection");
		return;
	}
	write_file(INJECT "interval", "1");
	write_file(INJECT "verbose", "0");

	/* The first i succeed; the last run is one in which none is left to fail. */
	for (i = 0; i < 1000 && !status && atoi(text) != 1; i++) {
		snprintf(text, sizeof(text), "%d", i);
		write_file(INJECT "space", text);
		write_file(INJECT "times", "1");
		status = run(work, text, sizeof(text));
		if (read_file(INJECT "times", text, sizeof(text)) < 0)
			bail(INJECT);
	}
	write_file(INJECT "times", "0");
	write_file(INJECT "probability", "0");
	ok(failed >= 0 && vm_event("tpt_alloc_fail") > failed, "vmstat: allocations that failed");
	ok(!status && i > 10 && i < 1000,
	   "each of %d allocations fails once: the process goes on (%d)", i - 1, status);
}

int main(void)
{
	char reason[64] = "";
	ssize_t n = tpt_set("on");
	int status;

	if (n < 0) {
		skip("no TPT here: %s", strerror(-n));
		return done();
	}
	tpt_set("off");

	mkdir("/tmp/cgroup2", 0700);
	if (mount("none", "/tmp/cgroup2", "cgroup2", 0, NULL) ||
	    write_file("/tmp/cgroup2/cgroup.subtree_control", "+memory") < 0) {
		skip("no memory cgroup: %s", strerror(errno));
		return done();
	}
	cgroup = "/tmp/cgroup2/tpt";
	mkdir(cgroup, 0700);

	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		bail("mmap");

	status = run(with_hardly_any, reason, sizeof(reason));
	ok(!status, "on with hardly any memory: ENOMEM, and the process goes on (%d)", status);
	status = run(with_little, reason, sizeof(reason));
	ok(!status, "on with memory for some of the tables: ENOMEM (%d)", status);
	status = run(in_fault, reason, sizeof(reason));
	ok(status == -SIGKILL && !strcmp(reason, "nomem"),
	   "no memory in a fault: off because of %s (%d)", reason, status);

	each_allocation();

	rmdir(cgroup);
	umount("/tmp/cgroup2");
	return done();
}
