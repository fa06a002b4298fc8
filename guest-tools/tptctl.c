// SPDX-License-Identifier: GPL-2.0-only
/*
 * tptctl: translation pass-through of running processes, through /proc/PID/tpt.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tptctl.h"

#ifndef PR_SET_TPT
#define PR_SET_TPT	0x54505453
#define PR_TPT_ON	1
#define PR_TPT_INHERIT	(1UL << 0)
#endif

static const char exit_text[] =
"exit status: 0; 1 the kernel refused, or an error; 2 wrong usage; 3 no such process;\n"
"4 this kernel has no TPT.  run: COMMAND's status, 128 + N after signal N, 125 TPT\n"
"could not be switched on (COMMAND has not run), 126 and 127 COMMAND could not be\n"
"started.\n";

static const struct command *command;

/* stdio keeps in mind that there was an error, and not which */
static int output_error;

bool flush(FILE *f)
{
	errno = 0;
	if (!fflush(f) && !ferror(f))
		return true;
	if (!output_error)
		output_error = errno;
	return false;
}

void message(const char *format, ...)
{
	int error = errno;
	va_list ap;

	flush(stdout);
	fputs("tptctl: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	errno = error;
}

int usage_error(const char *format, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	message("%s%s%s (--help)", command ? command->name : "", command ? ": " : "", text);
	return USAGE;
}

int next_option(int argc, char **argv, const char *letters, const struct option *names)
{
	bool first = *letters == '+';
	char all[32];
	int c;

	/* the colon: no messages */
	snprintf(all, sizeof(all), "%s:h%s", first ? "+" : "", letters + first);
	c = getopt_long(argc, argv, all, names, NULL);
	switch (c) {
	case 'h':
		printf("usage: tptctl %s%s\n%s\n%s", command->name, command->arguments,
		       command->summary, command->details ?: "");
		exit(OK);
	case ':':
		exit(usage_error("%s needs a value", argv[optind - 1]));
	case '?':
		/* getopt_long() does not say which letter of a group it was */
		if (optopt && isprint(optopt))
			exit(usage_error("unknown option -%c", optopt));
		exit(usage_error("unknown option %s", argv[optind - 1]));
	}
	return c;
}

pid_t parse_pid(const char *text)
{
	char *end;
	long pid = strtol(text, &end, 10);

	if (!isdigit((unsigned char)text[0]) || *end || pid < 1 || pid > 1 << 22)
		exit(usage_error("not a PID: %s", text));
	return pid;
}

unsigned int parse_count(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!isdigit((unsigned char)text[0]) || *end || n < 1 || n > 1000000000)
		exit(usage_error("not a number from 1 to 1000000000: %s", text));
	return n;
}

unsigned int parse_ms(const char *seconds)
{
	char *end;
	double s = strtod(seconds, &end);

	if (!isdigit((unsigned char)seconds[0]) || *end || !(s >= 0.01 && s <= 86400))
		exit(usage_error("not a number of seconds from 0.01 to 86400: %s", seconds));
	return s * 1000 + 0.5;
}

void execute(char **argv)
{
	execvp(argv[0], argv);
	message("%s: %s", argv[0], strerror(errno));
	_exit(errno == ENOENT ? RUN_NOT_FOUND : RUN_EXEC);
}

int exit_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static sigset_t caught_set, other_set;
static volatile sig_atomic_t caught;

static void note_signal(int sig)
{
	caught |= 1 << sig;
}

void catch_signals(const int *signals)
{
	struct sigaction sa = { .sa_handler = note_signal };

	/* one handler at a time */
	sigfillset(&sa.sa_mask);
	sigemptyset(&caught_set);
	for (; *signals; signals++) {
		struct sigaction old;

		/* nohup */
		if (*signals == SIGHUP && !sigaction(SIGHUP, NULL, &old) &&
		    old.sa_handler == SIG_IGN)
			continue;
		sigaction(*signals, &sa, NULL);
		sigaddset(&caught_set, *signals);
	}
	sigprocmask(SIG_BLOCK, &caught_set, &other_set);
}

void release_signals(void)
{
	sigprocmask(SIG_SETMASK, &other_set, NULL);
}

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

unsigned int wait_until(uint64_t ms, int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint64_t now = now_ms();
	uint64_t left = ms > now ? ms - now : 0;
	struct timespec ts = { left / 1000, left % 1000 * 1000000 };
	int n = ppoll(&pfd, 1, &ts, &other_set);
	unsigned int signals = caught;

	caught = 0;
	return signals ?: n > 0;
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
			reason_of(errno));
		status = errno == ESRCH ? NO_PROCESS : ERROR;
	}
	close(fd);
	return status;
}

static const struct option no_names[] = { { "help", 0, NULL, 'h' }, { } };

/* on, off and auto: the command's name is what is written */
static int set_main(int argc, char **argv)
{
	int worst = OK, status, i;

	while (next_option(argc, argv, "", no_names) >= 0)
		;
	if (optind == argc)
		return usage_error("no PID");
	/* all or nothing as far as the arguments go */
	for (i = optind; i < argc; i++)
		parse_pid(argv[i]);
	for (i = optind; i < argc; i++) {
		status = set_tpt(parse_pid(argv[i]), command->name);
		if (status == NO_TPT)
			return status;
		if (status > worst)
			worst = status;
	}
	return worst;
}

static volatile sig_atomic_t child;

static void forward(int sig)
{
	if (child)
		kill(child, sig);
}

/* This process becomes the command, and what it has chosen is inherited. */
static int run_with_children(char **argv)
{
	if (prctl(PR_SET_TPT, PR_TPT_ON, PR_TPT_INHERIT, 0, 0)) {
		message("%s", errno == EINVAL ? "this kernel has no TPT" : reason_of(errno));
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
	return exit_status(status);
}

static int run_main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "children", 0, NULL, 'c' }, { "help", 0, NULL, 'h' }, { }
	};
	bool children = false;

	while (next_option(argc, argv, "+c", names) >= 0)
		children = true;
	argv += optind;
	if (!*argv)
		return usage_error("no command");
	return children ? run_with_children(argv) : run(argv);
}

static const struct command commands[] = {
	{
		"status", " [-ajr] [-s KEY] [PID...]",
		"show the processes that use TPT, or all there is to know about PID",
		"  -a, --all        processes that do not use it, too\n"
		"  -s, --sort=KEY   pid (default), share, gain, state, twin or rss\n"
		"  -r, --reverse    the other way round\n"
		"  -j, --json       all there is to know, as one JSON document\n",
		status_main
	}, {
		"on", " PID...", "switch TPT on in a running process; it stays on until off or auto",
		NULL, set_main
	}, {
		"off", " PID...", "switch TPT off in a running process; it stays off until on or auto",
		NULL, set_main
	}, {
		"auto", " PID...", "leave it to the kernel (tpt=auto)", NULL, set_main
	}, {
		"run", " [-c] [--] COMMAND...", "start COMMAND with TPT on from its first instruction",
		"  -c, --children   and the processes that it starts\n",
		run_main
	}, {
		"watch", " [-aRr] [-d SECONDS] [-n COUNT] [-s KEY]", "the same table as status, again and again",
		"  -a, --all        processes that mode auto does not look at, too\n"
		"  -d, --delay=SECONDS  between two tables (default 2)\n"
		"  -n, --count=COUNT    end after so many\n"
		"  -s, --sort=KEY   share (default), pid, gain, state, twin or rss\n"
		"  -r, --reverse    the other way round\n"
		"  -R, --refs       count the references of page walks with the PMU\n"
		"On a terminal the table stays in its place, and q ends it.\n",
		watch_main
	}, {
		"record", " [-aR] [-o FILE] [-d SECONDS] [-n COUNT] [PID...] [-- COMMAND...]",
		"write decisions and metrics as CSV, until COMMAND or all PIDs have ended",
		"  -a, --all        without PID and COMMAND: all processes, not only those\n"
		"                   that use TPT or that mode auto looks at\n"
		"  -o, --output=FILE    instead of standard output\n"
		"  -d, --delay=SECONDS  between two samples (default 1)\n"
		"  -n, --count=COUNT    end after so many\n"
		"  -R, --refs       count the references of page walks with the PMU\n"
		"COMMAND is recorded with all the processes that it starts; it needs --output.\n",
		record_main
	}, {
		"report", " FILE", "summarize what record has written (-: standard input)",
		NULL, report_main
	}, {
		"explain", " PID... | --list", "say why TPT is on or off, with the numbers",
		"  -l, --list       all reasons that the kernel can give\n",
		explain_main
	}, {
		"doctor", "", "check kernel, device, PMU and permissions; status 1 if something fails",
		NULL, doctor_main
	}, { }
};

static void help(void)
{
	const struct command *c;

	puts("Translation pass-through (TPT) of processes.  usage:");
	for (c = commands; c->name; c++)
		printf("  tptctl %s%s\n      %s\n", c->name, c->arguments, c->summary);
	printf("tptctl COMMAND --help has more.\n\n%s", exit_text);
}

/* An output that could not be written is an error. */
static int end(int status)
{
	if (flush(stdout))
		return status;
	message("write error%s%s", output_error ? ": " : "",
		output_error ? strerror(output_error) : "");
	return status ?: ERROR;
}

int main(int argc, char **argv)
{
	const struct command *c = commands;

	if (argc < 2)
		return usage_error("no command");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		help();
		return end(OK);
	}
	while (c->name && strcmp(argv[1], c->name))
		c++;
	if (!c->name)
		return usage_error("unknown command: %s", argv[1]);
	command = c;
	opterr = 0;
	return end(c->run(argc - 1, argv + 1));
}
