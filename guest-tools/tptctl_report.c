// SPDX-License-Identifier: GPL-2.0-only
/*
 * tptctl report: what a file of tptctl record says about each process.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tptctl.h"

enum { TIME, PID, COMM, STATE, REASON, DECISION, SHARE, GAIN, ON, OFF, REFS, NR_WANTED };

static const char * const wanted[NR_WANTED] = {
	"time_ms", "pid", "comm", "state", "reason", "decision", "walk_share", "gain_estimated",
	"switched_on", "switched_off", "refs_per_walk",
};

#define MAX_COLUMNS 256

/* One line: its columns, and which of them is which of the above */
static struct {
	const char *file;
	unsigned long line;
	unsigned int nr;
	char *text[MAX_COLUMNS];
	unsigned int index[NR_WANTED];
} row;

/* A mean and the largest of the values so far */
struct figure {
	double sum, max;
	unsigned long nr;
};

struct change {
	double time;
	char state[16], reason[32];
	double share, gain;
	bool known;
};

/* What was seen of a process */
struct life {
	long long pid;
	char comm[64];
	unsigned long samples;
	double first, last, first_on;	/* ms; first_on < 0: never */
	double on, off;			/* ms */
	long long switched_on, switched_off;
	struct figure before, with, refs_off, refs_on;
	unsigned int nr;
	struct change *change;
};

static struct life *life;
static unsigned int nr_lives;

static void __attribute__((noreturn)) malformed(const char *what, const char *text)
{
	message("%s:%lu: %s%.40s", row.file, row.line, what, text);
	exit(ERROR);
}

static void *grow(void *p, size_t size)
{
	p = realloc(p, size);
	if (!p) {
		message("%s", strerror(ENOMEM));
		exit(ERROR);
	}
	return p;
}

/* Cuts a line into its columns, in place. */
static void split(char *line)
{
	char *to;

	row.nr = 0;
	for (;;) {
		if (row.nr == MAX_COLUMNS)
			malformed("too many columns", "");
		row.text[row.nr++] = to = line;
		if (*line == '"') {
			for (line++; *line && (*line != '"' || line[1] == '"'); line++) {
				line += *line == '"';
				*to++ = *line;
			}
			if (!*line)
				malformed("no end of a quoted column", "");
			line++;
		} else {
			line += strcspn(line, ",");
			to = line;
		}
		if (*line && *line != ',')
			malformed("text behind a quoted column: ", line);
		if (!*line) {
			*to = '\0';
			return;
		}
		*to = '\0';
		line++;
	}
}

static const char *text(unsigned int what)
{
	return row.text[row.index[what]];
}

static double number(unsigned int what)
{
	char *end;
	double v = strtod(text(what), &end);

	if (end == text(what) || *end || !(v > -1e18 && v < 1e18))
		malformed("not a number: ", text(what));
	return v;
}

static void read_header(void)
{
	unsigned int i, k;

	for (i = 0; i < NR_WANTED; i++) {
		for (k = 0; k < row.nr && strcmp(row.text[k], wanted[i]); k++)
			;
		if (k == row.nr)
			malformed("not a file of tptctl record, there is no column ", wanted[i]);
		row.index[i] = k;
	}
}

static struct life *find_life(long long pid, const char *comm)
{
	struct life *p;
	unsigned int i;

	/* the last one, if a PID was given to another process */
	for (i = nr_lives; i--;)
		if (life[i].pid == pid)
			return &life[i];
	life = grow(life, (nr_lives + 1) * sizeof(*life));
	p = &life[nr_lives++];
	memset(p, 0, sizeof(*p));
	p->pid = pid;
	p->first_on = -1;
	snprintf(p->comm, sizeof(p->comm), "%s", comm);
	return p;
}

static void add(struct figure *f, double v)
{
	if (!f->nr++ || v > f->max)
		f->max = v;
	f->sum += v;
}

static void add_change(struct life *p, double time, const char *state, const char *reason)
{
	struct change *c;

	p->change = grow(p->change, (p->nr + 1) * sizeof(*c));
	c = &p->change[p->nr++];
	memset(c, 0, sizeof(*c));
	c->time = time;
	snprintf(c->state, sizeof(c->state), "%s", state);
	snprintf(c->reason, sizeof(c->reason), "%s", reason);
	c->known = *text(SHARE);
	if (c->known) {
		c->share = number(SHARE);
		c->gain = number(GAIN);
	}
}

static void add_sample(void)
{
	static double now;
	const char *state = text(STATE), *reason = text(DECISION);
	bool on = !strcmp(state, "on");
	double time = number(TIME);
	const struct change *last;
	struct life *p;

	if (time < now)
		malformed("time goes backwards: ", text(TIME));
	now = time;
	if (!on && strcmp(state, "off") && strcmp(state, "building"))
		malformed("not a state: ", state);
	if (!*reason || !strcmp(reason, "none"))
		reason = text(REASON);

	p = find_life(number(PID), text(COMM));
	/* an exec() gives it another name */
	snprintf(p->comm, sizeof(p->comm), "%s", text(COMM));
	last = p->nr ? &p->change[p->nr - 1] : NULL;
	if (!last)
		p->first = time;
	else if (!strcmp(last->state, "on"))
		p->on += time - p->last;
	else
		p->off += time - p->last;
	if (!last || strcmp(last->state, state) || strcmp(last->reason, reason))
		add_change(p, time, state, reason);
	if (on && p->first_on < 0)
		p->first_on = time;
	p->last = time;
	p->samples++;
	p->switched_on = number(ON);
	p->switched_off = number(OFF);
	if (*text(SHARE) && on)
		add(&p->with, number(SHARE));
	else if (*text(SHARE) && p->first_on < 0)
		add(&p->before, number(SHARE));
	if (*text(REFS))
		add(on ? &p->refs_on : &p->refs_off, number(REFS));
}

static void read_rows(FILE *f)
{
	char *line = NULL;
	size_t size = 0;
	unsigned int nr = 0;
	ssize_t n, i;

	while ((n = getline(&line, &size, f)) >= 0) {
		row.line++;
		if (line[n - 1] != '\n')
			malformed("the line has no end", "");
		line[--n] = '\0';
		/* some of it goes to the terminal */
		for (i = 0; i < n; i++)
			if (line[i] < ' ' || line[i] > '~')
				malformed("not text", "");
		split(line);
		if (row.line == 1) {
			read_header();
			nr = row.nr;
			continue;
		}
		if (row.nr != nr)
			malformed("not as many columns as in line 1", "");
		add_sample();
	}
	free(line);
	if (ferror(f)) {
		message("%s: %s", row.file, strerror(errno));
		exit(ERROR);
	}
	if (!row.line) {
		row.line = 1;
		malformed("no header, the file is empty", "");
	}
}

static void print_figure(const char *what, const struct figure *f, double unit, const char *sign)
{
	if (f->nr)
		printf("  %s: mean %.2f%s, highest %.2f%s (%lu samples)\n", what,
		       f->sum / f->nr / unit, sign, f->max / unit, sign, f->nr);
}

static void print_life(const struct life *p, double begin)
{
	const struct change *c;

	printf("%lld %s: %lu samples from %.3f s to %.3f s\n", p->pid, p->comm, p->samples,
	       (p->first - begin) / 1000, (p->last - begin) / 1000);
	if (p->first_on < 0)
		printf("  never seen on\n");
	else if (p->first_on > p->first)
		printf("  first on: %.3f s after it was first seen\n", (p->first_on - p->first) / 1000);
	else
		printf("  first on: from the first sample\n");
	printf("  on for %.3f s, off for %.3f s; switched on %lld times, off %lld times\n",
	       p->on / 1000, p->off / 1000, p->switched_on, p->switched_off);
	print_figure("walk share before it was on", &p->before, 100, " %");
	print_figure("walk share while on", &p->with, 100, " %");
	print_figure("references per walk while off", &p->refs_off, 1, "");
	print_figure("references per walk while on", &p->refs_on, 1, "");
	for (c = p->change; c < p->change + p->nr; c++) {
		printf("  %10.3f s  %-8s %-12s", (c->time - begin) / 1000, c->state, c->reason);
		if (c->known)
			printf(" walk share %.2f %%, gain %.2f %%", c->share / 100, c->gain / 100);
		putchar('\n');
	}
}

int report_main(int argc, char **argv)
{
	static const struct option names[] = { { "help", 0, NULL, 'h' }, { } };
	FILE *f = stdin;
	unsigned int i;

	while (next_option(argc, argv, "", names) >= 0)
		;
	if (argc - optind != 1)
		return usage_error(optind == argc ? "no file" : "more than one file");
	row.file = argv[optind];
	if (!strcmp(row.file, "-"))
		row.file = "standard input";
	else
		f = fopen(row.file, "re");
	if (!f) {
		message("%s: %s", row.file, strerror(errno));
		return ERROR;
	}
	read_rows(f);

	if (!nr_lives)
		puts("no samples");
	for (i = 0; i < nr_lives; i++)
		print_life(&life[i], life[0].first);
	return OK;
}
