// SPDX-License-Identifier: GPL-2.0-only
/* tptctl, where there is something for it to see: its output, terminals, errors. */
#define _GNU_SOURCE
#include <ctype.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <utmp.h>

#include "tap.h"

#define ENABLED "/sys/kernel/mm/tpt/enabled"
#define NOBODY "4194303"
#define CSV "/tmp/tpt_tool_test.csv"

static char out[1 << 20], err[1 << 14];

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* How tptctl is to be started */
struct how {
	uid_t uid;
	bool ignore_pipe;	/* SIGPIPE */
	bool closed;		/* nobody reads its output */
	int interrupt_ms;	/* SIGINT after so long */
};

static int exit_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Arguments, cut at spaces, behind "tptctl" */
static void split(char *words, char **argv, int max)
{
	int n = 0;

	argv[n++] = "tptctl";
	for (words = strtok(words, " "); words && n < max - 1; words = strtok(NULL, " "))
		argv[n++] = words;
	argv[n] = NULL;
}

static void take(struct pollfd *pfd, char *buf, size_t size, size_t *n)
{
	ssize_t got;
	char lost[512];

	if (!pfd->revents)
		return;
	got = *n < size - 1 ? read(pfd->fd, buf + *n, size - 1 - *n) : read(pfd->fd, lost, sizeof(lost));
	if (got <= 0)
		pfd->fd = -1;
	else if (*n < size - 1)
		*n += got;
}

/* Runs tptctl: its exit status, with standard output in out and errors in err. */
static int __attribute__((format(printf, 2, 3))) tool(const struct how *how, const char *format, ...)
{
	size_t n_out = 0, n_err = 0;
	int to_out[2], to_err[2], status;
	char words[256], *argv[32];
	struct pollfd pfd[2];
	double begin = seconds();
	bool interrupted = false;
	va_list ap;
	pid_t pid;

	va_start(ap, format);
	vsnprintf(words, sizeof(words), format, ap);
	va_end(ap);
	split(words, argv, 32);
	if (pipe2(to_out, O_CLOEXEC) || pipe2(to_err, O_CLOEXEC))
		bail("pipe");
	pid = fork();
	if (pid < 0)
		bail("fork");
	if (!pid) {
		dup2(to_out[1], 1);
		dup2(to_err[1], 2);
		/* so that it is the last one that could have read */
		close(to_out[0]);
		if (how && how->closed)
			usleep(100000);
		if (how && how->ignore_pipe)
			signal(SIGPIPE, SIG_IGN);
		if (how && how->uid && setresuid(how->uid, how->uid, how->uid))
			_exit(99);
		execvp(argv[0], argv);
		_exit(98);
	}
	close(to_out[1]);
	close(to_err[1]);
	if (how && how->closed)
		close(to_out[0]);
	pfd[0] = (struct pollfd){ how && how->closed ? -1 : to_out[0], POLLIN, 0 };
	pfd[1] = (struct pollfd){ to_err[0], POLLIN, 0 };
	while (pfd[0].fd >= 0 || pfd[1].fd >= 0) {
		poll(pfd, 2, 50);
		take(&pfd[0], out, sizeof(out), &n_out);
		take(&pfd[1], err, sizeof(err), &n_err);
		if (how && how->interrupt_ms && !interrupted &&
		    seconds() > begin + how->interrupt_ms / 1000.0) {
			kill(pid, SIGINT);
			interrupted = true;
		}
	}
	out[n_out] = '\0';
	err[n_err] = '\0';
	if (!how || !how->closed)
		close(to_out[0]);
	close(to_err[0]);
	waitpid(pid, &status, 0);
	return exit_status(status);
}

static int lines(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if (*text != '\n' && !isprint((unsigned char)*text))
			return true;
	return false;
}

/* The rest after a value of JSON (RFC 8259), NULL if it is none */
static const char *json(const char *s)
{
	const char *begin;
	char end;

	s += strspn(s, " \n");
	if (*s == '"') {
		for (s++; *s != '"'; s++) {
			if ((unsigned char)*s < ' ')
				return NULL;
			if (*s != '\\')
				continue;
			s++;
			if (!*s || !strchr("\"\\/bfnrtu", *s))
				return NULL;
			if (*s == 'u' && strspn(s + 1, "0123456789abcdefABCDEF") < 4)
				return NULL;
		}
		return s + 1;
	}
	if (*s != '{' && *s != '[') {
		begin = s;
		s += *s == '-';
		s += strspn(s, "0123456789");
		return s > begin && isdigit((unsigned char)s[-1]) ? s : NULL;
	}
	end = *s == '{' ? '}' : ']';
	s += 1 + strspn(s + 1, " \n");
	if (*s == end)
		return s + 1;
	for (;;) {
		if (end == '}') {
			s += strspn(s, " \n");
			s = *s == '"' ? json(s) : NULL;
			if (!s || *s++ != ':')
				return NULL;
		}
		s = json(s);
		if (!s)
			return NULL;
		s += strspn(s, " \n");
		if (*s == end)
			return s + 1;
		if (*s++ != ',')
			return NULL;
	}
}

static bool is_json(const char *text)
{
	const char *rest = json(text);

	return rest && !strcmp(rest, "\n");
}

static pid_t sleeper(const char *name)
{
	pid_t pid = fork();

	if (pid < 0)
		bail("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		for (;;)
			pause();
	}
	usleep(100000);
	return pid;
}

/* A process that mode auto has to look at: accesses memory at random */
static pid_t walker(void)
{
	const size_t size = 64 << 20;
	unsigned long long x = 1;
	volatile char *p;
	pid_t pid = fork();

	if (pid < 0)
		bail("fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "walker");
	p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (p == MAP_FAILED)
		_exit(1);
	for (;;) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		p[(x >> 30) % size]++;
	}
}

static void reap(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_errors(void)
{
	static const char * const commands[] = { "status", "on", "off", "auto", "explain", "record" };
	const struct how user = { .uid = 1000 }, gone = { .closed = true };
	const struct how ignored = { .closed = true, .ignore_pipe = true };
	pid_t pid = sleeper("sleeper");
	unsigned int i;
	int status;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		status = tool(NULL, "%s " NOBODY, commands[i]);
		ok(status == 3 && lines(err) == 1 && (!*out || i == 5),
		   "%s: no such process: 3 and a line (%d)", commands[i], status);
		status = tool(NULL, "%s 2", commands[i]);
		ok(status == 3 && lines(err) == 1, "%s: a kernel thread: 3 and a line (%d)",
		   commands[i], status);
		status = tool(&user, "%s %d", commands[i], pid);
		ok(status == 1 && lines(err) == 1, "%s: no permission: 1 and a line (%d)",
		   commands[i], status);
		status = tool(NULL, "%s 1x", commands[i]);
		ok(status == 2 && lines(err) == 1 && !*out, "%s: no PID: 2 and a line (%d)",
		   commands[i], status);
	}
	status = tool(&user, "status --all");
	ok(status == 0 && strstr(err, "may not be looked at") && lines(err) == 1,
	   "status: processes that may not be read are counted (%d)", status);
	status = tool(&user, "status --json");
	ok(status == 0 && is_json(out) && !strstr(out, "\"unreadable\": 0"),
	   "status --json: so it does there (%d)", status);

	status = tool(&gone, "status --all");
	ok(status == 128 + SIGPIPE && !*err, "closed pipe: SIGPIPE, without a word (%d)", status);
	status = tool(&ignored, "status --all");
	ok(status == 1 && lines(err) == 1, "closed pipe, SIGPIPE ignored: 1 and a line (%d)", status);
	status = tool(&ignored, "record --all");
	ok(status == 1 && lines(err) == 1, "record: closed pipe: 1 and a line (%d)", status);
	status = tool(NULL, "record --all -n 1 -o /dev/full");
	ok(status == 1 && lines(err) == 1, "record: disk full: 1 and a line (%d)", status);
	reap(pid);
}

static void test_status(void)
{
	pid_t pid = sleeper("a\"b\\c\n\033[31m\xff\xc3\xa4"), last = 0;
	char path[32], text[4096] = "", name[64], *line;
	int status, sorted = 1;

	snprintf(path, sizeof(path), "/proc/%d/tpt", pid);
	read_file(path, text, sizeof(text));
	status = tool(NULL, "status %d", pid);
	ok(status == 0 && *text && !strcmp(out, text), "status PID: the text of the file (%d)", status);

	status = tool(NULL, "status --json --all");
	ok(status == 0 && is_json(out), "status --json: is JSON (%d)", status);
	ok(strstr(out, "a\\\"b\\\\c\\u000a\\u001b[31m\\ufffd\xc3\xa4\""), "status --json: names are escaped");
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		snprintf(name, sizeof(name), "\"%.*s\": ", (int)strcspn(line, ":"), line);
		if (!strstr(out, name)) {
			diag("no %s", name);
			sorted = 0;
		}
	}
	ok(sorted, "status --json: has all fields");

	status = tool(NULL, "status --all --sort=pid --reverse");
	ok(status == 0 && !has_control(out) && strstr(out, "a\"b\\c??[31m???"),
	   "status: nothing of a name that a terminal understands (%d)", status);
	for (line = strchr(out, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
		sorted = sorted && (!last || atoi(line + 1) < last);
		last = atoi(line + 1);
	}
	ok(sorted && last == 1, "status --sort: sorted");
	reap(pid);
}

/*
 * Follows what is written to a terminal of @rows and @columns: does it stay within,
 * and is the cursor shown at the end?
 */
static bool fits(const char *s, int rows, int columns, bool *cursor)
{
	int row = 0, column = 0;
	bool good = true;

	*cursor = true;
	for (; *s; s++) {
		if (!strncmp(s, "\033[?25", 5)) {
			*cursor = s[5] == 'h';
			s += 5;
		} else if (!strncmp(s, "\033[", 2)) {
			s += 2;
			if (*s == 'H')
				row = column = 0;
			else if (*s != 'K' && *s != 'J')
				good = false;
		} else if (*s == '\r') {
			column = 0;
		} else if (*s == '\n') {
			/* at the end, after the cursor, it may scroll */
			good = good && (++row < rows || *cursor);
		} else {
			good = good && ++column < columns && isprint((unsigned char)*s);
		}
	}
	return good;
}

/*
 * Runs tptctl watch on a terminal, and sends it @key or, if it is 0, @sig when there is
 * a table.  Returns its status; out is what it wrote.
 */
static int watch(int rows, int columns, const char *options, char key, int sig, bool *restored)
{
	struct winsize ws = { .ws_row = rows, .ws_col = columns };
	struct termios before, after;
	char words[128], *argv[32];
	int master, slave, status = 0;
	bool told = false, tables = false, gone = false;
	double begin = seconds();
	size_t n = 0;
	pid_t pid;

	if (openpty(&master, &slave, NULL, NULL, &ws))
		bail("openpty");
	tcgetattr(slave, &before);
	snprintf(words, sizeof(words), "watch --all %s", options);
	split(words, argv, 32);
	pid = fork();
	if (pid < 0)
		bail("fork");
	if (!pid) {
		close(master);
		login_tty(slave);
		unsetenv("TERM");
		execvp(argv[0], argv);
		_exit(98);
	}
	while (n < sizeof(out) - 1 && !gone && seconds() < begin + 60) {
		struct pollfd pfd = { master, POLLIN, 0 };
		ssize_t got = 0;

		if (poll(&pfd, 1, 100) > 0)
			got = read(master, out + n, sizeof(out) - 1 - n);
		if (got > 0)
			n += got;
		out[n] = '\0';
		tables = strstr(out, "\033[J\033[H") || (strstr(out, "PID") && strstr(out, "\033[K\033[J"));
		if (tables && !told) {
			if (key && write(master, &key, 1) != 1)
				bail("write");
			if (!key && sig)
				kill(pid, sig);
			told = true;
		}
		/* what is left to read comes first */
		gone = got <= 0 && waitpid(pid, &status, WNOHANG) == pid;
	}
	if (!gone) {
		reap(pid);
		status = 97 << 8;
	}
	tcgetattr(slave, &after);
	*restored = !memcmp(&before, &after, sizeof(before));
	close(master);
	close(slave);
	return exit_status(status);
}

static void test_watch(void)
{
	static const struct {
		int rows, columns, seen_rows, seen_columns;
	} sizes[] = {
		{ 24, 80, 24, 80 }, { 0, 0, 24, 80 }, { 5, 200, 5, 200 }, { 4, 39, 4, 39 },
		{ 2, 20, 2, 20 }, { 1, 2, 1, 2 }, { 1, 1, 1, 1 },
	};
	bool restored, cursor;
	unsigned int i;
	int status;

	unsetenv("LINES");
	unsetenv("COLUMNS");
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		status = watch(sizes[i].rows, sizes[i].columns, "-d 0.2 -n 2", 0, 0, &restored);
		ok(status == 0 && restored && fits(out, sizes[i].seen_rows, sizes[i].seen_columns, &cursor) &&
		   cursor, "watch: fits a terminal of %d x %d (%d)", sizes[i].rows, sizes[i].columns, status);
	}
	setenv("LINES", "6", 1);
	setenv("COLUMNS", "50", 1);
	status = watch(0, 0, "-n 1", 0, 0, &restored);
	ok(status == 0 && fits(out, 6, 50, &cursor) && lines(out) == 6,
	   "watch: LINES and COLUMNS, if the terminal does not know (%d)", status);

	status = watch(24, 80, "-d 100", 'q', 0, &restored);
	ok(status == 0 && restored && fits(out, 24, 80, &cursor) && cursor, "watch: q ends it (%d)", status);
	status = watch(24, 80, "-d 100", 3, 0, &restored);
	ok(status == 0 && restored && fits(out, 24, 80, &cursor) && cursor, "watch: so does ^C (%d)", status);
	status = watch(24, 80, "-d 100", 0, SIGTERM, &restored);
	ok(status == 128 + SIGTERM && restored && fits(out, 24, 80, &cursor) && cursor,
	   "watch: SIGTERM, the terminal is as it was (%d)", status);

	status = tool(NULL, "watch -a -n 2 -d 0.2");
	ok(status == 0 && !has_control(out) && strstr(strstr(out, "PID") + 1, "PID"),
	   "watch: no terminal: two tables, no escapes (%d)", status);
}

/* The number of columns of a line of CSV without quotes */
static int columns(const char *line)
{
	int n = 1;

	for (; *line && *line != '\n'; line++)
		n += *line == ',';
	return n;
}

static void test_record(void)
{
	const struct how interrupted = { .interrupt_ms = 1000 };
	char text[4096] = "", header[2048], name[64], *line;
	int status, good = 1, n = 0, width;

	status = tool(NULL, "record -d 0.1 -o " CSV " -- sh -c true;sleep${IFS}1;exit${IFS}7");
	ok(status == 7 && !*out && !*err, "record: the status of the command (%d)", status);
	read_file(CSV, out, sizeof(out));
	snprintf(header, sizeof(header), "%.*s,", (int)strcspn(out, "\n"), out);
	width = columns(out);
	for (line = strchr(out, '\n') + 1; *line; line = strchr(line, '\n') + 1, n++)
		good = good && columns(line) == width;
	ok(good && n >= 3, "record: %d samples of %d columns", n, width);
	ok(strstr(out, ",sleep,") && !strstr(out, ",tptctl,"), "record: the command's children, nothing else");
	read_file("/proc/self/tpt", text, sizeof(text));
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		snprintf(name, sizeof(name), ",%.*s,", (int)strcspn(line, ":"), line);
		if (!strstr(header, name)) {
			diag("no column %s", name);
			good = 0;
		}
	}
	ok(good, "record: all fields have a column");
	status = tool(NULL, "report " CSV);
	ok(status == 0 && strstr(out, " sh: ") && strstr(out, "never seen on"), "report (%d)", status);

	status = tool(&interrupted, "record -a -d 0.1");
	ok(status == 0 && lines(out) > 3 && out[strlen(out) - 1] == '\n',
	   "record: SIGINT ends it with whole lines (%d)", status);
	status = tool(NULL, "record -d 0.1 -n 3 %d", getpid());
	ok(status == 0 && lines(out) == 4, "record: a PID, three times (%d)", status);
	status = tool(NULL, "record -o " CSV " -- /nonexistent");
	ok(status == 127 && lines(err) == 1, "record: no such command: 127 and a line (%d)", status);
	unlink(CSV);
}

static void test_doctor(bool available)
{
	int status = tool(NULL, "doctor");
	bool fails = !strncmp(out, "FAIL", 4) || strstr(out, "\nFAIL"), good = true;
	char *line;

	ok(status == fails && !*err, "doctor: its status says whether something fails (%d)", status);
	if (!available)
		return;
	for (line = strtok(out, "\n"); line; line = strtok(NULL, "\n")) {
		if (!strncmp(line, "FAIL", 4) && !strstr(line, "PMU"))
			good = false;
		diag("%s", line);
	}
	ok(good, "doctor: nothing fails, but perhaps the PMU");
}

static void test_choices(void)
{
	pid_t pid = sleeper("chosen");
	int status;

	status = tool(NULL, "on %d", pid);
	ok(status == 0 && !*out && !*err, "on (%d)", status);
	status = tool(NULL, "status");
	ok(status == 0 && strstr(out, "user") && strstr(out, "chosen"), "status: it is on, by the user (%d)", status);
	status = tool(NULL, "explain %d", pid);
	ok(status == 0 && strstr(out, "uses TPT") && !strchr(out, '?') && !strchr(out, '{'),
	   "explain: it is on (%d)", status);
	status = tool(NULL, "off %d", pid);
	ok(status == 0, "off (%d)", status);
	status = tool(NULL, "status");
	ok(status == 0 && !strstr(out, "chosen"), "status: it is off (%d)", status);
	status = tool(NULL, "explain %d", pid);
	ok(status == 0 && strstr(out, "The user has switched it off"), "explain: it is off (%d)", status);
	status = tool(NULL, "auto %d", pid);
	ok(status == 1 && lines(err) == 1, "auto: refused, the mode is another (%d)", status);
	status = tool(NULL, "run -- sh -c exit${IFS}5");
	ok(status == 5, "run: the status of the command (%d)", status);
	reap(pid);
}

static void test_auto(void)
{
	double begin = seconds();
	int status;
	pid_t pid;

	if (write_file(ENABLED, "auto") < 0) {
		skip("no mode auto in this kernel");
		return;
	}
	pid = walker();
	while (seconds() < begin + 60 && (!*tpt_field(pid, "walk_share") ||
					  !strcmp(tpt_field(pid, "decision"), "none")))
		usleep(100000);
	status = tool(NULL, "explain %d", pid);
	ok(status == 0 && strstr(out, "The mode is auto") && strstr(out, "page walks took") &&
	   !strchr(out, '?') && !strchr(out, '{') && !strstr(out, "does not know"),
	   "explain: a candidate of mode auto (%d)", status);
	diag("%.*s", (int)strcspn(out, "\n"), out);
	status = tool(NULL, "watch -d 1 -n 2");
	ok(status == 0 && strstr(out, "walker") && strstr(out, "mode auto") && strstr(out, "% of CPU"),
	   "watch: it is there, and what the sensor costs (%d)", status);
	status = tool(NULL, "record -d 0.2 -n 5 -o " CSV " %d", pid);
	ok(status == 0, "record (%d)", status);
	status = tool(NULL, "report " CSV);
	ok(status == 0 && strstr(out, " walker: 5 samples") && strstr(out, "walk share"), "report (%d)", status);
	unlink(CSV);
	status = tool(NULL, "off %d", pid);
	tool(NULL, "explain %d", pid);
	ok(status == 0 && strstr(out, "mode auto leaves it alone"), "explain: the user has decided (%d)", status);
	status = tool(NULL, "auto %d", pid);
	ok(status == 0, "auto (%d)", status);
	reap(pid);
	write_file(ENABLED, "manual");
}

int main(void)
{
	char buf[8] = "";

	signal(SIGPIPE, SIG_DFL);
	if (access("/proc/self/tpt", F_OK)) {
		skip("this kernel has no TPT");
		return done();
	}
	if (tool(NULL, "--help") != 0) {
		skip("there is no tptctl");
		return done();
	}
	read_file("/sys/kernel/mm/tpt/available", buf, sizeof(buf));
	test_errors();
	test_status();
	test_watch();
	test_record();
	test_doctor(buf[0] == '1');
	if (buf[0] == '1') {
		test_choices();
		test_auto();
	}
	return done();
}
