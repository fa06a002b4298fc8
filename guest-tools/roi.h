/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The frame of a workload: options that all have, the region of interest, which
 * is the part that is timed, and the line that reports it.
 *
 *	roi_options(...);
 *	roi_start(1);
 *	... data ...
 *	roi_ready(0);
 *	... warm-up ...
 *	roi_begin();
 *	... the timed part ...
 *	roi_end();
 *	... check ...
 *	roi_report(...);
 */
#ifndef ROI_H
#define ROI_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common.h"

#define ROI_MAX_CPUS 64

extern uint64_t roi_size;		/* --size, 256M */
extern bool roi_verify;			/* no --no-verify */
extern bool roi_report_tpt;		/* --report-tpt */

/* What --help says about the options that all have, but for --size */
#define ROI_USAGE							\
"      --no-verify       do not verify the result\n"			\
"      --huge=WHAT       \"never\" or \"always\": transparent huge pages for the\n"	\
"                        data (the system's default)\n"		\
"      --no-counters     do not read the CPU's counters\n"		\
"      --whole           count the whole run, not only the timed part\n"	\
"      --perf-control=CTL,ACK\n"					\
"                        have perf stat -D -1 --control=fifo:CTL,ACK count the\n" \
"                        same\n"					\
"      --report-tpt      add what /proc/PID/tpt says at the end\n"	\
"      --wait-tpt[=S]    after the initialization print READY and wait until\n"	\
"                        /proc/PID/tpt says on, S seconds at most (60)\n"	\
"      --wait-signal     after the initialization print READY, wait for SIGUSR1\n"	\
"      --help\n"

/* Parses the options of all and those in @own, ended by one without a name. */
void roi_options(int argc, char **argv, const struct opt *own, const char *usage);

/*
 * To be called before the data is made: goes to CPU 0 and opens the counters of
 * as many CPUs as @threads can use, which it returns.
 */
int roi_start(int threads);

/* Memory, zeroed, as --huge says; 16 times at most */
void *roi_memory(uint64_t size);

/*
 * The data is there: waits for what the options say, then touches each page of it.
 * The process whose TPT counts is @pid, or 0: this one.
 */
void roi_ready(pid_t pid);

/* Does /proc/@pid/tpt say on?  0 is the process itself. */
bool tpt_is_on(pid_t pid);

void roi_begin(void);
void roi_end(void);

struct roi_result {
	const char *workload;
	const char *amount_name;	/* what the work is counted in */
	uint64_t amount;
	uint64_t errors;
	const char *more;		/* " key=value" words of its own, or NULL */
	int threads;
	pid_t pid;			/* as for roi_ready() */
	uint64_t rss;			/* 0: as /proc says */
};

/* Prints the line. */
void roi_report(const struct roi_result *r);

#endif
