// SPDX-License-Identifier: GPL-2.0-only
/*
 * tptctl: translation pass-through of running processes, through /proc/PID/tpt.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PR_SET_TPT
#define PR_SET_TPT	0x54505453
#define PR_TPT_ON	1
#define PR_TPT_INHERIT	(1UL << 0)
#endif

enum { OK, ERROR, USAGE, NO_PROCESS, NO_TPT, RUN_FAILED = 125, RUN_EXEC, RUN_NOT_FOUND };

static const char usage_text[] =
"usage: tptctl status [PID...]      show TPT's state: of the processes that use it,\n"
"                                   or all there is to know about PID\n"
"       tptctl on PID...            switch TPT on, off, in a running process\n"
"       tptctl off PID...           both hold, also in mode auto, until:\n"
"       tptctl auto PID...          leave it to the kernel (tpt=auto)\n"
"       tptctl run [-c] [--] COMMAND...  start COMMAND with TPT on from its first\n"
"                                   instruction; -c: and the processes that it starts\n"
"\n"
"exit status: 0; 1 the kernel refused; 2 wrong usage; 3 no such process; 4 this\n"
"kernel has no TPT.  run: COMMAND's status, 128 + N after signal N, 125 TPT could\n"
"not be switched on (COMMAND has not run), 126 and 127 COMMAND could not be started.\n";

static void __attribute__((format(printf, 1, 2))) message(const char *format, ...)
{
	va_list ap;

	fputs("tptctl: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* What an errno of /proc/PID/tpt means to the user */
static const char *reason(int error)
{
	switch (error) {
	case EPERM:
	case EACCES:
		return "not permitted";
	case ENOMEM:
		return "not enough memory; it stays on nested paging";
	case ENODEV:
	case EOPNOTSUPP:
		return "TPT is not available, or its mode is never";
	case ESRCH:
		return "the process has ended";
	default:
		return strerror(error);
	}
}

/* The status for a process without readable /proc/PID/tpt, with a message */
static int missing(pid_t pid, int error)
{
	if (error != ENOENT && error != ESRCH) {
		message("%d: %s", pid, reason(error));
		return ERROR;
	}
	if (access("/proc/self/tpt", F_OK)) {
		message("this kernel has no TPT (no /proc/PID/tpt)");
		return NO_TPT;
	}
	message("%d: no such process", pid);
	return NO_PROCESS;
}

static int open_tpt(pid_t pid, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/tpt", pid);
	return open(path, flags | O_CLOEXEC);
}

static int set_tpt(pid_t pid, const char *state)
{
	size_t length = strlen(state);
	int status = OK;
	int fd = open_tpt(pid, O_WRONLY);

	if (fd < 0)
		return missing(pid, errno);
	if (write(fd, state, length) != (ssize_t)length) {
		message("%d: %s: %s", pid, state, errno == EOPNOTSUPP &&
			!strcmp(state, "auto") ? "the kernel is not in mode auto" :
			reason(errno));
		status = errno == ESRCH ? NO_PROCESS : ERROR;
	}
	close(fd);
	return status;
}

/* The text of /proc/PID/tpt into @buf; -1 with errno */
static ssize_t read_tpt(pid_t pid, char *buf, size_t size)
{
	ssize_t n, total = 0;
	int fd = open_tpt(pid, O_RDONLY);

	if (fd < 0)
		return -1;
	while ((n = read(fd, buf + total, size - 1 - total)) > 0)
		total += n;
	if (n < 0)
		total = -1;
	else
		buf[total] = '\0';
	close(fd);
	return total;
}

static int show(pid_t pid)
{
	char buf[4096];

	if (read_tpt(pid, buf, sizeof(buf)) < 0)
		return missing(pid, errno);
	fputs(buf, stdout);
	return OK;
}

static void name_of(pid_t pid, char *name, size_t size)
{
	char path[32];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "r");
	if (!f || !fgets(name, size, f))
		snprintf(name, size, "?");
	name[strcspn(name, "\n")] = '\0';
	if (f)
		fclose(f);
}

/* A line for each process whose state is not off */
static int list(void)
{
	char buf[4096], state[32], name[64];
	struct dirent *entry;
	DIR *dir;

	if (access("/proc/self/tpt", F_OK)) {
		message("this kernel has no TPT (no /proc/PID/tpt)");
		return NO_TPT;
	}
	dir = opendir("/proc");
	if (!dir) {
		message("/proc: %s", strerror(errno));
		return ERROR;
	}
	printf("%7s %-8s %s\n", "PID", "STATE", "COMMAND");
	while ((entry = readdir(dir))) {
		char *line = buf;
		pid_t pid;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		pid = atoi(entry->d_name);
		if (read_tpt(pid, buf, sizeof(buf)) < 0)
			continue;
		while (line && sscanf(line, "state: %31s", state) != 1) {
			line = strchr(line, '\n');
			line += !!line;
		}
		if (!line || !strcmp(state, "off"))
			continue;
		name_of(pid, name, sizeof(name));
		printf("%7d %-8s %s\n", pid, state, name);
	}
	closedir(dir);
	return OK;
}

static volatile sig_atomic_t child;

static void forward(int sig)
{
	if (child)
		kill(child, sig);
}

static void __attribute__((noreturn)) execute(char **argv)
{
	execvp(argv[0], argv);
	message("%s: %s", argv[0], strerror(errno));
	_exit(errno == ENOENT ? RUN_NOT_FOUND : RUN_EXEC);
}

/* This process becomes the command, and what it has chosen is inherited. */
static int run_with_children(char **argv)
{
	if (prctl(PR_SET_TPT, PR_TPT_ON, PR_TPT_INHERIT, 0, 0)) {
		message("%s", errno == EINVAL ? "this kernel has no TPT" : reason(errno));
		return RUN_FAILED;
	}
	execute(argv);
}

/*
 * The command stops itself at its exec, and gets TPT while it is stopped: it
 * has its own, still empty address space then.
 */
static int run(char **argv)
{
	struct sigaction sa = { .sa_handler = forward };
	int status;
	pid_t pid;

	pid = fork();
	if (pid < 0) {
		message("fork: %s", strerror(errno));
		return RUN_FAILED;
	}
	if (!pid) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL)) {
			message("ptrace: %s", strerror(errno));
			_exit(RUN_FAILED);
		}
		execute(argv);
	}

	child = pid;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	/* the terminal sends these to the command as well */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);

	while (waitpid(pid, &status, 0) < 0)
		;
	if (WIFSTOPPED(status)) {
		if (set_tpt(pid, "on") != OK) {
			kill(pid, SIGKILL);
			ptrace(PTRACE_DETACH, pid, NULL, NULL);
			waitpid(pid, &status, 0);
			return RUN_FAILED;
		}
		if (ptrace(PTRACE_DETACH, pid, NULL, NULL)) {
			message("ptrace: %s", strerror(errno));
			kill(pid, SIGKILL);
		}
		while (waitpid(pid, &status, 0) < 0)
			;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int usage_error(const char *what, const char *arg)
{
	message("%s%s (--help)", what, arg);
	return USAGE;
}

int main(int argc, char **argv)
{
	int worst = OK, status, i;
	const char *command;

	if (argc < 2)
		return usage_error("no command", "");
	command = argv[1];
	if (!strcmp(command, "--help") || !strcmp(command, "-h")) {
		fputs(usage_text, stdout);
		return OK;
	}
	if (!strcmp(command, "run")) {
		bool children = false;

		argv += 2;
		if (*argv && !strcmp(*argv, "-c")) {
			children = true;
			argv++;
		}
		if (*argv && !strcmp(*argv, "--"))
			argv++;
		if (!*argv)
			return usage_error("run: no command", "");
		return children ? run_with_children(argv) : run(argv);
	}
	if (strcmp(command, "status") && strcmp(command, "on") && strcmp(command, "off") &&
	    strcmp(command, "auto"))
		return usage_error("unknown command: ", command);
	if (argc == 2 && !strcmp(command, "status"))
		return list();
	if (argc == 2)
		return usage_error(command, ": no PID");

	/* all or nothing as far as the arguments go */
	for (i = 2; i < argc; i++) {
		char *end;
		long pid = strtol(argv[i], &end, 10);

		if (!isdigit((unsigned char)argv[i][0]) || *end || pid < 1 || pid > 1 << 22)
			return usage_error("not a PID: ", argv[i]);
	}
	for (i = 2; i < argc; i++) {
		pid_t pid = atoi(argv[i]);

		status = !strcmp(command, "status") ? show(pid) : set_tpt(pid, command);
		if (status > worst)
			worst = status;
	}
	return worst;
}
