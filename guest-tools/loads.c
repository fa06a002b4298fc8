// SPDX-License-Identifier: GPL-2.0-only
/*
 * loads: programs that differ in what translation costs them.  The work of each
 * is fixed by its arguments, so that cycles compare from one mode to another, and
 * all of it is counted, from the start of the program to its end, with what the
 * kernel and the hypervisor do meanwhile.  Every table is verified: updates are
 * done twice, and must have undone themselves.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common.h"
#include "counters.h"

#define PAGE 4096

static uint64_t size, nr_updates, nr_sequential, count, chunk, idle_size, busy, nap_ms;
static bool report;
static const char *name;
static struct table table;

static const char usage_text[] =
"usage: loads PROGRAM [OPTION...]\n"
"programs, with their defaults:\n"
"  ptheavy   a random table in memory, but mostly: map a chunk, write and read\n"
"            each page of it, unmap it\n"
"            --size=64M --chunk=256K --count=16K (chunks) --updates=100 (for each)\n"
"  short     starts programs one after the other that live some 50 ms\n"
"            --size=16M --count=100 (programs) --updates=8K (of each, twice)\n"
"  phase     random and sequential phases in turn\n"
"            --size=128M --count=2 (of each kind, even) --updates=14M (of a random\n"
"            phase) --sequential=256M (of a sequential phase)\n"
"  idle      sleeps, and updates a few words now and then\n"
"            --size=128M --count=20 (wakes) --nap=1000 (ms) --updates=64 (per wake)\n"
"  procs     processes of which most sleep while some update tables at random\n"
"            --count=200 --busy=2 --size=32M --idle-size=256K --updates=8M (of\n"
"            each busy one)\n"
"  forker    children that update their copies of the parent's table at random\n"
"            --size=64M --count=3 (children) --updates=6M (of each)\n"
"options:\n"
"  -s, --size=BYTES -u, --updates=N -n, --count=N --sequential=N --chunk=BYTES\n"
"      --busy=N --idle-size=BYTES --nap=MS   K, M, G may follow a number\n"
"      --no-counters     do not read the CPU's counters\n"
"      --report-tpt      add what /proc/self/tpt says at the end; children that\n"
"                        work print a line of their own, \"child ...\"\n"
"      --help\n"
"\n"
"Prints one line of key=value words.  Exit status: 0; 1 an error, or data is\n"
"wrong; 2 wrong usage.\n";

static void nap(uint64_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* The line of a child; its status says whether its data is right. */
static void __attribute__((noreturn)) child_ends(uint64_t errors)
{
	if (report) {
		printf("child workload=%s pid=%d rss_bytes=%" PRIu64 " errors=%" PRIu64,
		       name, getpid(), rss_bytes(0), errors);
		report_tpt(0);
		putchar('\n');
		fflush(stdout);
	}
	_exit(!!errors);
}

static pid_t start_child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		fail(1, "fork: %s", strerror(errno));
	/* none may outlive the parent */
	if (!pid && prctl(PR_SET_PDEATHSIG, SIGKILL))
		_exit(1);
	return pid;
}

/* Returns 1 for a child that failed. */
static uint64_t end_of(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return 1;
	}
	return status != 0;
}

/* Maps a chunk, writes and reads it; returns the number of wrong words. */
static uint64_t use_chunk(uint64_t tag)
{
	volatile uint64_t *p;
	uint64_t i, errors = 0, step = PAGE / sizeof(*p);

	p = mmap(NULL, chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		fail(1, "no memory for a chunk");
	for (i = 0; i < chunk / sizeof(*p); i += step) {
		errors += p[i] != 0;
		p[i] = tag + i;
	}
	for (i = 0; i < chunk / sizeof(*p); i += step)
		errors += p[i] != tag + i;
	munmap((void *)p, chunk);
	return errors;
}

static uint64_t ptheavy(void)
{
	uint64_t half = (count + 1) / 2, errors = 0, i, from;

	table_reserve(&table, size);
	table_fill(&table);
	/* the second half of the chunks comes with the updates of the first */
	for (i = 0; i < 2 * half; i++) {
		from = i % half * nr_updates;
		errors += use_chunk(i);
		table_update(&table, from, from + nr_updates, false);
	}
	return errors + table_errors(&table);
}

static uint64_t short_one(void)
{
	table_reserve(&table, size);
	table_fill(&table);
	table_update(&table, 0, nr_updates, false);
	table_update(&table, 0, nr_updates, false);
	return table_errors(&table);
}

static uint64_t short_all(char **argv)
{
	uint64_t errors = 0, i;
	pid_t pid;

	argv[1] = "short-one";
	for (i = 0; i < count; i++) {
		pid = start_child();
		if (!pid) {
			execv("/proc/self/exe", argv);
			_exit(1);
		}
		errors += end_of(pid);
	}
	return errors;
}

static uint64_t phase(void)
{
	uint64_t i;

	table_reserve(&table, size);
	table_fill(&table);
	for (i = 0; i < count; i++) {
		table_update(&table, 0, nr_updates, false);
		table_update(&table, 0, nr_sequential, true);
	}
	return table_errors(&table);
}

static uint64_t idle(void)
{
	uint64_t i, from;

	table_reserve(&table, size);
	table_fill(&table);
	for (i = 0; i < count; i++) {
		nap(nap_ms);
		from = i / 2 * nr_updates;
		table_update(&table, from, from + nr_updates, false);
	}
	return table_errors(&table);
}

static uint64_t procs(void)
{
	pid_t *pid = calloc(count, sizeof(*pid));
	struct table own;
	uint64_t errors = 0, i;

	if (!pid)
		fail(1, "no memory");
	/* the idle ones first, so that they are there when the work begins */
	for (i = busy; i < count; i++) {
		pid[i] = start_child();
		if (!pid[i]) {
			table_reserve(&own, idle_size);
			table_fill(&own);
			for (;;)
				pause();
		}
	}
	for (i = 0; i < busy; i++) {
		pid[i] = start_child();
		if (!pid[i]) {
			table_reserve(&own, size);
			table_fill(&own);
			table_update(&own, 0, nr_updates / 2, false);
			table_update(&own, 0, nr_updates / 2, false);
			child_ends(table_errors(&own));
		}
	}
	for (i = 0; i < busy; i++)
		errors += end_of(pid[i]);
	for (i = busy; i < count; i++) {
		kill(pid[i], SIGKILL);
		end_of(pid[i]);
	}
	free(pid);
	return errors;
}

static uint64_t forker(void)
{
	pid_t pid[64];
	uint64_t errors = 0, i;

	table_reserve(&table, size);
	table_fill(&table);
	for (i = 0; i < count; i++) {
		pid[i] = start_child();
		if (!pid[i]) {
			table_update(&table, 0, nr_updates / 2, false);
			table_update(&table, 0, nr_updates / 2, false);
			child_ends(table_errors(&table));
		}
	}
	for (i = 0; i < count; i++)
		errors += end_of(pid[i]);
	/* of what the children wrote, nothing may have come here */
	return errors + table_errors(&table);
}

/* What is not given on the command line */
static const struct defaults {
	const char *name;
	uint64_t size, updates, count;
} defaults[] = {
	{ "ptheavy", 64 << 20, 100, 16 << 10 },
	{ "short", 16 << 20, 8 << 10, 100 },
	{ "short-one", 16 << 20, 8 << 10, 1 },
	{ "phase", 128 << 20, 14 << 20, 2 },
	{ "idle", 128 << 20, 64, 20 },
	{ "procs", 32 << 20, 8 << 20, 200 },
	{ "forker", 64 << 20, 6 << 20, 3 },
};
#define NR_PROGRAMS (sizeof(defaults) / sizeof(defaults[0]))

static bool power_of_two(uint64_t v)
{
	return v >= PAGE && !(v & (v - 1));
}

static void check_arguments(void)
{
	if (!power_of_two(size))
		fail(2, "--size: not a power of two of at least 4K");
	if (!power_of_two(idle_size))
		fail(2, "--idle-size: not a power of two of at least 4K");
	if (!chunk || chunk % PAGE)
		fail(2, "--chunk: not a multiple of 4K");
	if (!count || count > 1 << 24)
		fail(2, "--count: not between 1 and 16M");
	if ((!strcmp(name, "phase") || !strcmp(name, "idle")) && count % 2)
		fail(2, "--count: not even");
	if (!strcmp(name, "procs") && (busy > count || count > 10000))
		fail(2, "--count: less than --busy, or more than 10000");
	if (!strcmp(name, "forker") && count > 64)
		fail(2, "--count: more than 64 children");
}

int main(int argc, char **argv)
{
	bool have_counters = true;
	const struct opt options[] = {
		{ "size", 's', .number = &size },
		{ "updates", 'u', .number = &nr_updates },
		{ "count", 'n', .number = &count },
		{ "sequential", .number = &nr_sequential },
		{ "chunk", .number = &chunk },
		{ "busy", .number = &busy },
		{ "idle-size", .number = &idle_size },
		{ "nap", .number = &nap_ms },
		{ "no-counters", .flag = &have_counters, .value = false },
		{ "report-tpt", .flag = &report, .value = true },
		{ }
	};
	const char *names[NR_PROGRAMS + 1] = { };
	struct counters before = { }, after = { };
	struct counter_source source = { .fd = -1 };
	const struct defaults *d;
	uint64_t errors;
	unsigned int i;

	for (i = 0; i < NR_PROGRAMS; i++)
		names[i] = defaults[i].name;
	program = "loads";
	d = &defaults[parse_name(argc, argv, names, usage_text)];
	name = d->name;
	size = d->size;
	nr_updates = d->updates;
	count = d->count;
	nr_sequential = 256 << 20;
	chunk = 256 << 10;
	idle_size = 256 << 10;
	busy = 2;
	nap_ms = 1000;

	parse_options(argc, argv, options, NULL, usage_text);
	check_arguments();

	if (!strcmp(name, "short-one"))
		child_ends(short_one());

	/* the counters are those of one CPU; children inherit it */
	pin(0);
	have_counters = have_counters && !counters_open(&source, 0);
	counters_begin(&source, 1, &before);
	if (!strcmp(name, "ptheavy"))
		errors = ptheavy();
	else if (!strcmp(name, "short"))
		errors = short_all(argv);
	else if (!strcmp(name, "phase"))
		errors = phase();
	else if (!strcmp(name, "idle"))
		errors = idle();
	else if (!strcmp(name, "procs"))
		errors = procs();
	else
		errors = forker();
	counters_end(&source, 1, &after);
	counters_sub(&after, &before);

	printf("workload=%s size=%" PRIu64 " updates=%" PRIu64 " count=%" PRIu64
	       " rss_bytes=%" PRIu64, name, size, nr_updates, count, rss_bytes(0));
	if (have_counters)
		counters_print(&after);
	else
		printf(" virtual_ns=%" PRIu64, after.ns);
	printf(" cpu_ms=%" PRIu64 " errors=%" PRIu64, cpu_ms(), errors);
	if (report)
		report_tpt(0);
	putchar('\n');
	if (errors)
		fail(1, "%s: data is wrong", name);
	return 0;
}
