// SPDX-License-Identifier: GPL-2.0-only
/*
 * tptctl watch: the table of status, live.
 *
 * A terminal needs no more than the sequences of ECMA-48 for home, erase to the end of
 * line or screen, and DEC's to hide the cursor; a serial console has them.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "tptctl.h"

#define HOME		"\033[H"
#define ERASE_LINE	"\033[K"
#define ERASE_BELOW	"\033[J"
#define HIDE_CURSOR	"\033[?25l"
#define SHOW_CURSOR	"\033[?25h"

static bool on_terminal;	/* else one table after the other */
static bool have_keys;
static struct termios cooked;
static unsigned int rows, columns, used;

static unsigned int from_environment(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);
	long n = text ? strtol(text, NULL, 10) : 0;

	return n >= 1 && n <= 10000 ? n : otherwise;
}

/* A serial console does not know its size. */
static void measure_terminal(void)
{
	struct winsize ws = { };

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws);
	rows = ws.ws_row ?: from_environment("LINES", 24);
	columns = ws.ws_col ?: from_environment("COLUMNS", 80);
}

static void enter_terminal(void)
{
	struct termios raw;

	if (!on_terminal)
		return;
	have_keys = !tcgetattr(STDIN_FILENO, &cooked);
	if (have_keys) {
		raw = cooked;
		raw.c_lflag &= ~(ICANON | ECHO);
		raw.c_cc[VMIN] = 1;
		raw.c_cc[VTIME] = 0;
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	fputs(HIDE_CURSOR HOME ERASE_BELOW, stdout);
}

static void leave_terminal(void)
{
	if (!on_terminal)
		return;
	fputs(SHOW_CURSOR "\r\n", stdout);
	fflush(stdout);
	if (have_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
}

/*
 * On a terminal never as many characters as it has columns: some begin a new line
 * then, some do not.
 */
static void put(const char *line)
{
	if (!on_terminal) {
		puts(line);
		return;
	}
	if (used == rows)
		return;
	printf("%s%.*s" ERASE_LINE, used ? "\r\n" : "", (int)columns - 1, line);
	used++;
}

/* What the sensor took of all CPUs since the last call; < 0: not known */
static double sensor_percent(void)
{
	static long long last_ns = -1;
	static uint64_t last_ms;
	uint64_t ms = now_ms();
	double percent = -1;
	long long ns;

	if (!read_value(TPT_SYS "auto/stats", "sensor_ns", &ns))
		return -1;
	if (last_ns >= 0 && ms > last_ms)
		percent = (ns - last_ns) / 1e4 / (ms - last_ms) / sysconf(_SC_NPROCESSORS_ONLN);
	last_ns = ns;
	last_ms = ms;
	return percent;
}

static void summary(const struct list *l, const char *mode)
{
	long long tracked = 0, intervals = 0, interval_ms = 0;
	unsigned int i, on = 0, n;
	double percent;
	char line[256], sensor[32] = "";

	for (i = 0; i < l->nr; i++)
		on += !is_off(l->process[i]);
	n = snprintf(line, sizeof(line), "mode %s  %u on", mode, on);
	if (!strcmp(mode, "auto")) {
		read_choice(TPT_SYS "auto/sensor", sensor, sizeof(sensor));
		read_value(TPT_SYS "auto/stats", "tracked", &tracked);
		read_value(TPT_SYS "auto/stats", "intervals", &intervals);
		read_value(TPT_SYS "auto/stats", "interval_ms_effective", &interval_ms);
		n += snprintf(line + n, sizeof(line) - n,
			      "  %lld candidates  round %lld, %lld ms  sensor %s",
			      tracked, intervals, interval_ms, sensor);
		percent = sensor_percent();
		if (percent >= 0)
			n += snprintf(line + n, sizeof(line) - n, " %.2f %% of CPU", percent);
	}
	if (l->unreadable)
		snprintf(line + n, sizeof(line) - n, "  %u not readable", l->unreadable);
	put(line);
	put("");
}

static void draw(bool all, const char *key, bool reverse, bool refs)
{
	char line[256], mode[32] = "";
	struct list l = { };
	unsigned int i;

	read_choice(TPT_SYS "enabled", mode, sizeof(mode));
	read_all(&l, NULL, all ? NULL : is_of_interest);
	if (refs)
		refs_update(&l);
	sort_list(&l, key, reverse);

	used = 0;
	if (on_terminal) {
		measure_terminal();
		fputs(HOME, stdout);
	}
	/* a few lines are for what one has come for */
	if (!on_terminal || rows >= 5)
		summary(&l, mode);
	if (!on_terminal || rows >= 2) {
		table_line(line, sizeof(line), NULL, mode, refs);
		put(line);
	}
	for (i = 0; i < l.nr; i++) {
		table_line(line, sizeof(line), l.process[i], mode, refs);
		put(line);
	}
	if (on_terminal)
		fputs(ERASE_BELOW, stdout);
	else
		putchar('\n');
	free_list(&l);
}

/* Gives the terminal back for as long as the shell has it. */
static void stop(void)
{
	leave_terminal();
	raise(SIGSTOP);
	enter_terminal();
}

/* Until it is time for the next table.  Returns the signal that ends it, 0 for "q", -1: go on */
static int pause_until(uint64_t ms)
{
	static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	unsigned int i, signals;
	char c;

	while ((signals = wait_until(ms, have_keys ? STDIN_FILENO : -1))) {
		for (i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
			if (signals & 1U << ending[i])
				return ending[i];
		if (signals & 1U << SIGTSTP)
			stop();
		if (signals & (1U << SIGTSTP | 1U << SIGWINCH))
			break;
		if (read(STDIN_FILENO, &c, 1) != 1)
			have_keys = false;
		else if (c == 'q' || c == 'Q')
			return 0;
	}
	return -1;
}

int watch_main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "all", 0, NULL, 'a' }, { "count", 1, NULL, 'n' }, { "delay", 1, NULL, 'd' },
		{ "refs", 0, NULL, 'R' }, { "reverse", 0, NULL, 'r' }, { "sort", 1, NULL, 's' },
		{ "help", 0, NULL, 'h' }, { }
	};
	static const int none[] = { 0 };
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH, 0 };
	bool all = false, reverse = false, refs = false;
	unsigned int delay = 2000, count = 0, i;
	const char *key = "share", *term;
	int c, end = -1;
	uint64_t next;

	while ((c = next_option(argc, argv, "ad:n:Rrs:", names)) >= 0) {
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
		case 'R':
			refs = true;
			break;
		case 'r':
			reverse = true;
			break;
		case 's':
			key = optarg;
			break;
		}
	}
	if (optind < argc)
		return usage_error("unknown argument %s", argv[optind]);
	check_sort_key(key);
	if (!have_tpt())
		return no_tpt();
	if (refs && !refs_init())
		return ERROR;

	term = getenv("TERM");
	on_terminal = isatty(STDOUT_FILENO) && !(term && !strcmp(term, "dumb"));
	catch_signals(on_terminal ? signals : none);
	enter_terminal();
	next = now_ms();
	for (i = 0; end < 0 && (!count || i < count); i++) {
		if (i)
			end = pause_until(next);
		if (end >= 0)
			break;
		draw(all, key, reverse, refs);
		if (!flush(stdout))
			break;
		next = now_ms() + delay;
	}
	leave_terminal();
	if (end > 0 && end != SIGINT) {
		signal(end, SIG_DFL);
		release_signals();
		raise(end);
	}
	return OK;
}
