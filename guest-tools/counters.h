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
	uint64_t host_cycles;		/* of the hypervisor, if L1 reads the counters */
	uint64_t ns;			/* CLOCK_MONOTONIC_RAW */
};

/* One way to the counters of a CPU; fd < 0: there are none */
struct counter_source {
	int cpu;
	int fd;
	bool remote;			/* fd is a serial port, L1 answers */
};

/*
 * Returns 0, or -1 with a message on standard error when the CPU has no
 * counters or they may not be read.  If TPT_COUNTERS in the environment names a
 * serial port, the machine at its other end reads them (tptstat --serve), as a VM
 * on shadow paging cannot.
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

/*
 * The other end: a byte asks to begin, which is answered with the same byte, or to
 * end, which is answered with what was counted since the last that began and has
 * not ended.  @count adds what the counters show.  Returns when there is nothing more
 * to read, false after an error.
 */
#define COUNTERS_BEGIN 'b'
#define COUNTERS_END 'e'
bool counters_serve(int fd_in, int fd_out, void (*count)(struct counters *c, bool begin));

/* b - a into b */
void counters_sub(struct counters *b, const struct counters *a);

/* Does this CPU run under KVM, that is: are we in L2? */
bool counters_in_guest(void);

/* Prints the counters as key=value words, each with a space in front. */
void counters_print(const struct counters *c);

#endif
