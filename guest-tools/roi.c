// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "counters.h"
#include "roi.h"

uint64_t roi_size = 256 << 20;
bool roi_verify = true;

bool roi_report_tpt;

static bool have_counters = true, whole, wait_signal;
static uint64_t wait_on;
static const char *huge, *fifos;
static int advice;

static struct counter_source source[ROI_MAX_CPUS];
static struct counters before, after;
static int nr_cpus;
static sigset_t usr1;

/* FIFOs of perf stat --control */
static int perf_ctl = -1, perf_ack = -1;

static void perf_open(void)
{
	const char *ack = strchr(fifos, ',');
	char *ctl;

	if (!ack)
		fail(2, "--perf-control: not two files: %s", fifos);
	ctl = strndupa(fifos, ack++ - fifos);
	perf_ctl = open(ctl, O_WRONLY | O_CLOEXEC);
	if (perf_ctl < 0)
		fail(1, "%s: %s", ctl, strerror(errno));
	perf_ack = open(ack, O_RDONLY | O_CLOEXEC);
	if (perf_ack < 0)
		fail(1, "%s: %s", ack, strerror(errno));
}

/* Has perf do what @command says, with a newline, and waits until it is done. */
static void perf_command(const char *command)
{
	static const char expected[] = "ack\n";
	char answer[8];

	if (perf_ctl < 0)
		return;
	if (write(perf_ctl, command, strlen(command)) < 0 ||
	    read(perf_ack, answer, sizeof(answer)) < (ssize_t)strlen(expected) ||
	    strncmp(answer, expected, strlen(expected)))
		fail(1, "perf does not answer");
}

void roi_options(int argc, char **argv, const struct opt *own, const char *usage)
{
	static const struct opt options[] = {
		{ "size", 's', .number = &roi_size },
		{ "no-verify", .flag = &roi_verify, .value = false },
		{ "huge", .word = &huge },
		{ "no-counters", .flag = &have_counters, .value = false },
		{ "whole", .flag = &whole, .value = true },
		{ "perf-control", .word = &fifos },
		{ "report-tpt", .flag = &roi_report_tpt, .value = true },
		{ "wait-tpt", .number = &wait_on, .without = 60 },
		{ "wait-signal", .flag = &wait_signal, .value = true },
		{ }
	};

	parse_options(argc, argv, own, options, usage);
	if (fifos)
		perf_open();
	if (huge)
		advice = parse_huge(huge);
}

static void begin(void)
{
	perf_command("enable\n");
	counters_begin(source, nr_cpus, &before);
}

static void end(void)
{
	counters_end(source, nr_cpus, &after);
	perf_command("disable\n");
}

int roi_start(int threads)
{
	int n;

	/* waited for, so it must not be delivered to a thread */
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);

	pin(0);
	nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (nr_cpus > threads)
		nr_cpus = threads;
	for (n = 0; n < nr_cpus; n++) {
		source[n].fd = -1;
		if (have_counters && counters_open(&source[n], n))
			have_counters = false;
	}
	if (whole)
		begin();
	return nr_cpus;
}

/* What roi_memory() gave */
static struct {
	volatile uint64_t *words;
	uint64_t size;
} regions[16];
static unsigned int nr_regions;

void *roi_memory(uint64_t size)
{
	void *p = memory_reserve(size);

	if (huge && madvise(p, size, advice))
		fail(1, "--huge=%s: %s", huge, strerror(errno));
	regions[nr_regions].words = p;
	regions[nr_regions++].size = size;
	return p;
}

/*
 * Reads a word of each page and writes it back, so that whatever is built on first
 * access is there when the clock starts.
 */
static void touch(void)
{
	unsigned int r;
	uint64_t i;

	for (r = 0; r < nr_regions; r++)
		for (i = 0; i < regions[r].size / 8; i += 4096 / 8)
			regions[r].words[i] = regions[r].words[i];
}

bool tpt_is_on(pid_t pid)
{
	char line[128], state[32];
	bool on = false;
	FILE *f = proc_open(pid, "tpt");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "state: %31s", state) == 1)
			on = !strcmp(state, "on");
	}
	if (f)
		fclose(f);
	return on;
}

static void wait_tpt(pid_t pid)
{
	const struct timespec nap = { .tv_nsec = 10000000 };
	uint64_t n;
	FILE *f = proc_open(pid, "tpt");

	if (!f)
		fail(1, "/proc/PID/tpt: %s", strerror(errno));
	fclose(f);
	for (n = 0; !tpt_is_on(pid); n++) {
		if (n == wait_on * 100)
			fail(1, "TPT was not switched on within %" PRIu64 " s", wait_on);
		nanosleep(&nap, NULL);
	}
}

void roi_ready(pid_t pid)
{
	int sig;

	if (wait_on || wait_signal) {
		printf("READY %d\n", pid ? pid : getpid());
		fflush(stdout);
	}
	if (wait_signal)
		sigwait(&usr1, &sig);
	if (wait_on)
		wait_tpt(pid);
	touch();
}

void roi_begin(void)
{
	if (!whole)
		begin();
}

void roi_end(void)
{
	if (!whole)
		end();
}

/* The page size that maps most of the process's memory */
static unsigned long guest_page(pid_t pid)
{
	unsigned long kb, resident = 0, in_huge = 0;
	char line[256];
	FILE *f = proc_open(pid, "smaps_rollup");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Rss: %lu kB", &kb) == 1)
			resident = kb;
		else if (sscanf(line, "AnonHugePages: %lu kB", &kb) == 1)
			in_huge = kb;
	}
	if (f)
		fclose(f);
	return in_huge > resident / 2 ? 2 << 20 : 4096;
}

static uint64_t page_table_bytes(pid_t pid)
{
	unsigned long kb = 0;
	char line[256];
	FILE *f = proc_open(pid, "status");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmPTE: %lu kB", &kb) == 1)
			break;
	}
	if (f)
		fclose(f);
	return kb * 1024;
}

void roi_report(const struct roi_result *r)
{
	if (whole)
		end();
	counters_sub(&after, &before);

	printf("workload=%s size=%" PRIu64 " %s=%" PRIu64
	       " threads=%d guest_page=%lu rss_bytes=%" PRIu64,
	       r->workload, roi_size, r->amount_name, r->amount, r->threads,
	       guest_page(r->pid), r->rss ? r->rss : rss_bytes(r->pid));
	if (!r->rss)
		printf(" pt_bytes=%" PRIu64, page_table_bytes(r->pid));
	if (have_counters)
		counters_print(&after);
	else
		printf(" virtual_ns=%" PRIu64, after.ns);
	printf(" cpu_ms=%" PRIu64, cpu_ms());
	if (roi_verify)
		printf(" errors=%" PRIu64, r->errors);
	if (r->more)
		printf("%s", r->more);
	if (roi_report_tpt)
		report_tpt(r->pid);
	putchar('\n');
	/* before a message that the result is wrong */
	fflush(stdout);
}
