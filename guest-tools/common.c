// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common.h"

/* a(n) = x^n modulo x^64 + x^2 + x + 1 over GF(2) */
#define POLY 7

const char *program = "";

void fail(int status, const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", program);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

uint64_t parse(const char *what, const char *s)
{
	char *end;
	uint64_t v;
	int shift = 0;

	errno = 0;
	v = strtoull(s, &end, 0);
	if (*end == 'K')
		shift = 10;
	else if (*end == 'M')
		shift = 20;
	else if (*end == 'G')
		shift = 30;
	if (shift)
		end++;
	if (errno || end == s || *end || *s == '-' || v > UINT64_MAX >> shift)
		fail(2, "%s: not a number: %s", what, s);
	return v << shift;
}

int parse_huge(const char *s)
{
	if (!strcmp(s, "always"))
		return MADV_HUGEPAGE;
	if (strcmp(s, "never"))
		fail(2, "--huge: neither \"never\" nor \"always\": %s", s);
	return MADV_NOHUGEPAGE;
}

#define MAX_OPTIONS 32

static void set_option(const struct opt *o, const char *value)
{
	char name[32];

	if (o->flag) {
		*o->flag = o->value;
	} else if (o->word) {
		*o->word = value;
	} else if (value) {
		snprintf(name, sizeof(name), "--%s", o->name);
		*o->number = parse(name, value);
	} else {
		*o->number = o->without;
	}
}

void parse_options(int argc, char **argv, const struct opt *own,
		   const struct opt *common, const char *usage)
{
	const struct opt *tables[] = { own, common }, *opts[MAX_OPTIONS], *o;
	struct option options[MAX_OPTIONS + 2] = { { "help", no_argument, NULL, 1 } };
	char letters[2 * MAX_OPTIONS + 1], *l = letters;
	int i, c, n = 0;

	for (i = 0; i < 2; i++) {
		for (o = tables[i]; o && o->name; o++, n++) {
			opts[n] = o;
			options[n + 1] = (struct option){
				o->name, o->flag ? no_argument : required_argument,
				NULL, 256 + n
			};
			if (o->without)
				options[n + 1].has_arg = optional_argument;
			if (!o->letter)
				continue;
			*l++ = o->letter;
			if (!o->flag)
				*l++ = ':';
		}
	}
	*l = '\0';

	while ((c = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		if (c == '?')
			exit(2);
		if (c == 1) {
			fputs(usage, stdout);
			exit(0);
		}
		for (i = 0; i < n && c != 256 + i && c != opts[i]->letter; i++)
			;
		set_option(opts[i], optarg);
	}
	if (optind != argc)
		fail(2, "unexpected argument: %s", argv[optind]);
}

int parse_name(int argc, char **argv, const char *const names[], const char *usage)
{
	int i;

	if (argc < 2)
		fail(2, "no program (--help)");
	if (!strcmp(argv[1], "--help")) {
		fputs(usage, stdout);
		exit(0);
	}
	optind = 2;
	for (i = 0; names[i]; i++)
		if (!strcmp(names[i], argv[1]))
			return i;
	fail(2, "unknown program: %s (--help)", argv[1]);
}

void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail(1, "CPU %d: %s", cpu, strerror(errno));
}

FILE *proc_open(pid_t pid, const char *name)
{
	char path[64];

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	else
		snprintf(path, sizeof(path), "/proc/self/%s", name);
	return fopen(path, "r");
}

uint64_t rss_bytes(pid_t pid)
{
	unsigned long pages = 0;
	FILE *f = proc_open(pid, "statm");

	if (f) {
		if (fscanf(f, "%*u %lu", &pages) != 1)
			pages = 0;
		fclose(f);
	}
	return (uint64_t)pages * sysconf(_SC_PAGESIZE);
}

uint64_t cpu_ms(void)
{
	static const int who[] = { RUSAGE_SELF, RUSAGE_CHILDREN };
	struct rusage r;
	uint64_t us = 0;
	int i;

	for (i = 0; i < 2; i++) {
		if (getrusage(who[i], &r))
			continue;
		us += (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000ULL +
		      r.ru_utime.tv_usec + r.ru_stime.tv_usec;
	}
	return us / 1000;
}

void report_tpt(pid_t pid)
{
	FILE *f = proc_open(pid, "tpt");
	char line[256], *value, *p;

	while (f && fgets(line, sizeof(line), f)) {
		value = strchr(line, ':');
		if (!value)
			continue;
		*value++ = '\0';
		value += strspn(value, " \t");
		value[strcspn(value, "\n")] = '\0';
		for (p = value; *p; p++)
			if (*p == ' ' || *p == '\t' || *p == ',')
				*p = '-';
		printf(" tpt_%s=%s", line, value);
	}
	if (f)
		fclose(f);
}

void *memory_reserve(uint64_t size)
{
	void *p;

	p = mmap(NULL, size + (2 << 20), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		fail(1, "no memory for %" PRIu64 " bytes", size);
	return (void *)(((uintptr_t)p + (2 << 20) - 1) & -(2UL << 20));
}

void memory_release(void *p, uint64_t size)
{
	munmap(p, size);
}

void table_reserve(struct table *t, uint64_t size)
{
	t->words = memory_reserve(size);
	t->nr = size / sizeof(*t->words);
}

void table_fill(struct table *t)
{
	uint64_t i;

	for (i = 0; i < t->nr; i++)
		t->words[i] = i;
}

static inline uint64_t next(uint64_t a)
{
	return (a << 1) ^ ((int64_t)a < 0 ? POLY : 0);
}

static uint64_t multiply(uint64_t a, uint64_t b)
{
	uint64_t r = 0;

	for (; b; b >>= 1, a = next(a))
		if (b & 1)
			r ^= a;
	return r;
}

/* a(n), where somebody begins who does the updates from n on */
static uint64_t start(uint64_t n)
{
	uint64_t r = 1, x = 2;

	for (; n; n >>= 1, x = multiply(x, x))
		if (n & 1)
			r = multiply(r, x);
	return r;
}

void table_update(struct table *table, uint64_t from, uint64_t to, bool sequential)
{
	uint64_t *t = table->words;
	uint64_t mask = table->nr - 1;
	uint64_t a = start(from);
	uint64_t i;

	if (sequential) {
		for (i = from; i < to; i++) {
			a = next(a);
			t[i & mask] ^= a;
		}
	} else {
		for (i = from; i < to; i++) {
			a = next(a);
			t[a & mask] ^= a;
		}
	}
}

uint64_t table_errors(const struct table *t)
{
	uint64_t i, errors = 0;

	for (i = 0; i < t->nr; i++)
		errors += t->words[i] != i;
	return errors;
}
