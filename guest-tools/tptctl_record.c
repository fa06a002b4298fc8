// SPDX-License-Identifier: GPL-2.0-only
/*
 * tptctl record: decisions and metrics over time, as CSV (RFC 4180).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tptctl.h"

/* After time_ms, pid and comm: the fields of /proc/PID/tpt; then refs_per_walk */
static const char * const columns[] = {
	"state", "mode", "inherit", "reason", "twin_pages", "switched_on", "switched_off",
	"cycles_on", "cycles_off", "faults_sync", "faults_stale", "pauses", "rss_kb",
	"guest_page", "host_page", "decision", "sensor", "first_on_ms", "walk_share",
	"walk_share_before", "gain_estimated", "gain_verified", "cycles", "instructions",
	"walks", "walk_cycles", "kernel_walk_cycles", "miss_rate", "miss_penalty", "pattern",
	"exits", "exit_cycles", "failures",
};

#define NR_COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* A process that was named on the command line; a PID may be given to another one */
struct target {
	pid_t pid;
	unsigned long long started;
};

static struct target *target;
static unsigned int nr_targets;
static pid_t child;

static void write_text(FILE *f, const char *text)
{
	if (!strpbrk(text, ",\"")) {
		fputs(text, f);
		return;
	}
	putc('"', f);
	for (; *text; text++) {
		if (*text == '"')
			putc('"', f);
		putc(*text, f);
	}
	putc('"', f);
}

static void write_header(FILE *f)
{
	unsigned int i;

	fputs("time_ms,pid,comm", f);
	for (i = 0; i < NR_COLUMNS; i++)
		fprintf(f, ",%s", columns[i]);
	fputs(",refs_per_walk\n", f);
}

static void write_sample(FILE *f, uint64_t ms, const struct process *p)
{
	unsigned int i;

	fprintf(f, "%llu,%d,", (unsigned long long)ms, p->pid);
	write_text(f, p->comm);
	for (i = 0; i < NR_COLUMNS; i++) {
		putc(',', f);
		write_text(f, text_of(p, columns[i]));
	}
	if (p->refs >= 0)
		fprintf(f, ",%.3f\n", p->refs);
	else
		fputs(",\n", f);
}

static bool started_by_command(pid_t pid)
{
	struct stat_of st;

	while (pid != child) {
		if (pid <= 1 || pid == getpid() || !read_stat(pid, &st))
			return false;
		pid = st.parent;
	}
	return true;
}

static bool is_named(pid_t pid)
{
	unsigned int i;

	for (i = 0; i < nr_targets; i++)
		if (target[i].pid == pid)
			return true;
	return child && started_by_command(pid);
}

/* Forgets those that have ended: what is left of one has no memory. */
static void check_targets(const struct list *l)
{
	unsigned int i = 0, k;
	struct stat_of st;

	while (i < nr_targets) {
		for (k = 0; k < l->nr && l->process[k]->pid != target[i].pid; k++)
			;
		if (k < l->nr && read_stat(target[i].pid, &st) && st.started == target[i].started)
			i++;
		else
			target[i] = target[--nr_targets];
	}
}

/* Returns false if there is nothing left to record. */
static bool sample(FILE *f, bool named, bool all, bool refs)
{
	struct list l = { };
	uint64_t ms = now_ms();
	unsigned int i;
	bool go_on;

	read_all(&l, named ? is_named : NULL, named || all ? NULL : is_of_interest);
	check_targets(&l);
	go_on = !named || child || nr_targets;
	if (refs)
		refs_update(&l);
	for (i = 0; go_on && i < l.nr; i++)
		write_sample(f, ms, l.process[i]);
	free_list(&l);
	return go_on;
}

/* Waits for all that has ended; processes that lost their parent are ours now. */
static bool command_ended(int *status)
{
	bool ended = false;
	pid_t pid;
	int s;

	while ((pid = waitpid(-1, &s, WNOHANG)) > 0) {
		if (pid == child) {
			*status = exit_status(s);
			ended = true;
		}
	}
	return ended;
}

/* It is there when this returns: nothing of tptctl itself is recorded. */
static int start_command(char **argv)
{
	int executed[2];
	char c;

	if (pipe2(executed, O_CLOEXEC)) {
		message("pipe: %s", strerror(errno));
		return ERROR;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	child = fork();
	if (child < 0) {
		message("fork: %s", strerror(errno));
		return ERROR;
	}
	if (!child) {
		release_signals();
		execute(argv);
	}
	close(executed[1]);
	while (read(executed[0], &c, 1) < 0 && errno == EINTR)
		;
	close(executed[0]);
	return OK;
}

static void find_targets(char **argv, unsigned int n)
{
	target = calloc(n + 1, sizeof(*target));
	if (!target) {
		message("%s", strerror(ENOMEM));
		exit(ERROR);
	}
	for (; nr_targets < n; nr_targets++) {
		pid_t pid = parse_pid(argv[nr_targets]);
		struct process *p = read_process(pid);
		struct stat_of st;

		if (!p || !read_stat(pid, &st))
			exit(missing(pid, p ? ENOENT : errno));
		target[nr_targets].pid = pid;
		target[nr_targets].started = st.started;
		free(p);
	}
}

/* Until the next sample; returns true if there is to be none. */
static bool pause_until(uint64_t ms, int *status)
{
	const unsigned int ending = 1U << SIGINT | 1U << SIGTERM | 1U << SIGHUP;
	unsigned int signals;

	while ((signals = wait_until(ms, -1))) {
		if (child && command_ended(status))
			return true;
		if (!child && signals & ending)
			return true;
		/* it decides; and the terminal sends SIGINT to it as well */
		if (child && signals & (1U << SIGTERM | 1U << SIGHUP))
			kill(child, signals & 1U << SIGTERM ? SIGTERM : SIGHUP);
	}
	return false;
}

/* Returns the exit status. */
static int record(FILE *f, const char *name, bool all, bool refs, unsigned int delay,
		  unsigned int count)
{
	bool named = nr_targets || child, ended = false, failed;
	uint64_t next = now_ms();
	int status = OK;
	unsigned int i;

	write_header(f);
	for (i = 0; !(failed = !flush(f)) && !ended && (!count || i < count); i++) {
		if (!sample(f, named, all, refs))
			break;
		/* at the latest now, so that what there is can be looked at */
		if (!flush(f))
			continue;
		if (i + 1 == count && !child)
			break;
		next += delay;
		ended = pause_until(next, &status);
	}
	/* main() tells of standard output */
	if (failed && f != stdout)
		message("%s: %s", name, strerror(errno));
	while (child && !ended)
		ended = pause_until(now_ms() + 1000, &status);
	return failed ? ERROR : status;
}

int record_main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "all", 0, NULL, 'a' }, { "count", 1, NULL, 'n' }, { "delay", 1, NULL, 'd' },
		{ "output", 1, NULL, 'o' }, { "refs", 0, NULL, 'R' }, { "help", 0, NULL, 'h' }, { }
	};
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGCHLD, 0 };
	bool all = false, refs = false;
	unsigned int delay = 1000, count = 0, n;
	const char *output = NULL;
	char **command;
	FILE *f = stdout;
	int c, status;

	while ((c = next_option(argc, argv, "+ad:n:o:R", names)) >= 0) {
		switch (c) {
		case 'a':
			all = true;
			break;
		case 'd':
			delay = parse_ms(optarg);
			break;
		case 'n':
			count = parse_count(optarg);
			break;
		case 'o':
			output = optarg;
			break;
		case 'R':
			refs = true;
			break;
		}
	}
	/* getopt_long() takes away a "--" that comes before all other arguments */
	if (!strcmp(argv[optind - 1], "--") && argv[optind - 1] != output)
		optind--;
	argv += optind;
	for (n = 0; argv[n] && strcmp(argv[n], "--"); n++)
		parse_pid(argv[n]);
	command = argv[n] ? argv + n + 1 : NULL;
	if (command && !*command)
		return usage_error("no command after --");
	if (command && !output)
		return usage_error("a command needs --output, standard output is its own");
	if (all && (n || command))
		return usage_error("either --all, or PIDs and a command");
	if (!have_tpt())
		return no_tpt();
	if (refs && !refs_init())
		return ERROR;
	find_targets(argv, n);

	if (output) {
		f = fopen(output, "we");
		if (!f) {
			message("%s: %s", output, strerror(errno));
			return ERROR;
		}
	}
	catch_signals(signals);
	if (command && start_command(command))
		return ERROR;
	status = record(f, output, all, refs, delay, count);
	if (output && fclose(f) && status != ERROR) {
		message("%s: %s", output, strerror(errno));
		status = ERROR;
	}
	return status;
}
