/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The statistics counters of the TPT CPU, read through /dev/cpu/N/msr.
 */
#ifndef COUNTERS_H
#define COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

#include <asm/tpt.h>

#define NR_BANKS 5
#define NR_INDEX 32

struct counters {
	uint64_t c[NR_BANKS][NR_INDEX];
	uint64_t ns;			/* CLOCK_MONOTONIC_RAW */
};

/* One way to the counters of a CPU; fd < 0: there are none */
struct counter_source {
	int cpu;
	int fd;
};

/*
 * Returns 0, or -1 with a message on standard error when the CPU has no
 * counters or they may not be read.
 */
int counters_open(struct counter_source *s, int cpu);
void counters_close(struct counter_source *s);

/*
 * Both add to *c, so that the sum over CPUs falls out.  The counters that run
 * all the time (instructions, cycles, exits) and the clock are read nearest to
 * the measured part: last when it begins, first when it ends.
 */
void counters_begin(const struct counter_source *s, int nr, struct counters *c);
void counters_end(const struct counter_source *s, int nr, struct counters *c);

/* b - a into b */
void counters_sub(struct counters *b, const struct counters *a);

/* Does this CPU run under KVM, that is: are we in L2? */
bool counters_in_guest(void);

/* Prints the counters as key=value words, each with a space in front. */
void counters_print(const struct counters *c);

#endif
