// SPDX-License-Identifier: GPL-2.0-only
/*
 * tptstat: runs a command pinned to one CPU and prints what the CPU's counters
 * counted meanwhile, or reads them for a virtual machine.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counters.h"

static struct counter_source source;
static int host_cycles = -1;

static void usage(FILE *f)
{
	fprintf(f, "usage: tptstat COMMAND [ARGUMENT...]\n"
		"       tptstat --serve < FIFO > FIFO\n"
		"Runs COMMAND on CPU 0, prints the counters of its time as key=value\n"
		"words on standard error and exits with its status (125: an error of\n"
		"tptstat, 127: no such command).  --serve: reads the counters when programs\n"
		"in a VM with TPT_COUNTERS ask for it at the other end of the FIFOs.\n");
}

/* Cycles of CPU 0 outside of guests, by the performance counters if it has them */
static void open_host_cycles(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_CPU_CYCLES,
		.exclude_guest = 1,
		.pinned = 1,
	};

	host_cycles = syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0);
}

static void count(struct counters *c, bool begin)
{
	uint64_t value;

	if (begin)
		counters_begin(&source, 1, c);
	if (read(host_cycles, &value, sizeof(value)) == sizeof(value))
		c->host_cycles += value;
	if (!begin)
		counters_end(&source, 1, c);
}

static int run(char **argv)
{
	struct counters before = { }, after = { };
	int status;
	pid_t pid;

	counters_begin(&source, 1, &before);
	pid = fork();
	if (pid < 0) {
		perror("tptstat: fork");
		return 125;
	}
	if (!pid) {
		execvp(argv[0], argv);
		fprintf(stderr, "tptstat: %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		;
	counters_end(&source, 1, &after);
	counters_sub(&after, &before);

	fflush(stdout);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	fputs("tptstat:", stdout);
	counters_print(&after);
	putchar('\n');
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	bool serve = argc == 2 && !strcmp(argv[1], "--serve");
	cpu_set_t set;

	if (!serve && (argc < 2 || argv[1][0] == '-')) {
		bool help = argc == 2 && !strcmp(argv[1], "--help");

		usage(help ? stdout : stderr);
		return help ? 0 : 2;
	}

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set) || counters_open(&source, 0))
		return 125;
	if (!serve)
		return run(argv + 1);
	open_host_cycles();
	return counters_serve(STDIN_FILENO, STDOUT_FILENO, count) ? 0 : 125;
}
