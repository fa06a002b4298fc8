/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the workloads share: messages, arguments, and the table that they update.
 */
#ifndef COMMON_H
#define COMMON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* Prints a message of @program on standard error and exits. */
extern const char *program;
void __attribute__((noreturn, format(printf, 2, 3)))
fail(int status, const char *format, ...);

/* A number with K, M or G behind it; anything else is wrong usage. */
uint64_t parse(const char *what, const char *s);

/* The advice of madvise() for --huge=never|always; anything else is wrong usage. */
int parse_huge(const char *s);

/* An option; one of the pointers says what it sets. */
struct opt {
	const char *name;
	char letter;		/* its short form, or 0 */
	uint64_t *number;
	uint64_t without;	/* not 0: the number when none is given */
	const char **word;
	bool *flag;
	bool value;		/* what *flag becomes */
};

/*
 * Parses the arguments from getopt's optind on: the options in the tables, which end
 * with one without a name (@common may be NULL), and --help, which prints @usage and
 * exits.  Anything else is wrong usage.
 */
void parse_options(int argc, char **argv, const struct opt *own,
		   const struct opt *common, const char *usage);

/*
 * The index of the first argument in @names, which end with NULL; options come behind
 * it.  Anything else is wrong usage.
 */
int parse_name(int argc, char **argv, const char *const names[], const char *usage);

/* Runs the calling thread on @cpu only. */
void pin(int cpu);

/* Opens /proc/@pid/@name; 0 is the process itself. */
FILE *proc_open(pid_t pid, const char *name);

uint64_t rss_bytes(pid_t pid);

/* CPU time of the process and of the children that it waited for */
uint64_t cpu_ms(void);

/*
 * Prints /proc/@pid/tpt as words " tpt_NAME=VALUE"; nothing on a kernel without
 * it.
 */
void report_tpt(pid_t pid);

/* Memory, zeroed, aligned to what a huge page needs */
void *memory_reserve(uint64_t size);
void memory_release(void *p, uint64_t size);

/*
 * SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
 * OOPSLA 2014): the next number after *state, and its mixing function alone.
 */
static inline uint64_t mix64(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static inline uint64_t random64(uint64_t *state)
{
	return mix64(*state += 0x9e3779b97f4a7c15);
}

/* A random number below @n, which is 2^32 at most, out of @random */
static inline uint64_t below(uint64_t random, uint64_t n)
{
	return (random >> 32) * n >> 32;
}

/* Words of which word i holds i until it is updated */
struct table {
	uint64_t *words;
	uint64_t nr;		/* a power of two */
};

/* Reserves @size bytes, a power of two. */
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
