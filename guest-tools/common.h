/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the workloads share: messages, arguments, and the table that they update.
 */
#ifndef COMMON_H
#define COMMON_H

#include <stdbool.h>
#include <stdint.h>

/* Prints a message of @program on standard error and exits. */
extern const char *program;
void __attribute__((noreturn, format(printf, 2, 3)))
fail(int status, const char *format, ...);

/* A number with K, M or G behind it; anything else is wrong usage. */
uint64_t parse(const char *what, const char *s);

/* The advice of madvise() for --huge=never|always; anything else is wrong usage. */
int parse_huge(const char *s);

/* Runs the calling thread on @cpu only. */
void pin(int cpu);

uint64_t rss_bytes(void);

/* CPU time of the process and of the children that it waited for */
uint64_t cpu_ms(void);

/*
 * Prints /proc/self/tpt as words " tpt_NAME=VALUE"; nothing on a kernel without
 * it.
 */
void report_tpt(void);

/* Words of which word i holds i until it is updated */
struct table {
	uint64_t *words;
	uint64_t nr;		/* a power of two */
};

/* Reserves @size bytes, a power of two, aligned to what a huge page needs. */
void table_reserve(struct table *t, uint64_t size);
void table_fill(struct table *t);

/*
 * Does the updates from number @from to @to - 1 of the sequence of HPCC
 * RandomAccess.  An update that is done again undoes itself.
 */
void table_update(struct table *t, uint64_t from, uint64_t to, bool sequential);

/* The number of words that do not hold what they were filled with */
uint64_t table_errors(const struct table *t);

#endif
