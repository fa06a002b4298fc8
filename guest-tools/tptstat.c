// SPDX-License-Identifier: GPL-2.0-only
/*
 * tptstat: runs a command pinned to one CPU and prints what the CPU's counters
 * counted meanwhile.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counters.h"

int main(int argc, char **argv)
{
	struct counters before = { }, after = { };
	struct counter_source source;
	cpu_set_t set;
	int status;
	pid_t pid;

	if (argc < 2 || argv[1][0] == '-') {
		FILE *f = argc == 2 && !strcmp(argv[1], "--help") ? stdout : stderr;

		fprintf(f, "usage: tptstat COMMAND [ARGUMENT...]\n"
			"Runs COMMAND on CPU 0, prints the counters of its time as key=value\n"
			"words on standard error and exits with its status (125: an error of\n"
			"tptstat, 127: no such command).\n");
		return f == stdout ? 0 : 2;
	}

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set) || counters_open(&source, 0))
		return 125;

	counters_begin(&source, 1, &before);
	pid = fork();
	if (pid < 0) {
		perror("tptstat: fork");
		return 125;
	}
	if (!pid) {
		execvp(argv[1], argv + 1);
		fprintf(stderr, "tptstat: %s: %s\n", argv[1], strerror(errno));
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
