// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
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

void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail(1, "CPU %d: %s", cpu, strerror(errno));
}

uint64_t rss_bytes(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

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

void report_tpt(void)
{
	FILE *f = fopen("/proc/self/tpt", "r");
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

void table_reserve(struct table *t, uint64_t size)
{
	void *p;

	p = mmap(NULL, size + (2 << 20), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		fail(1, "no memory for %" PRIu64 " bytes", size);
	t->words = (uint64_t *)(((uintptr_t)p + (2 << 20) - 1) & -(2UL << 20));
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
