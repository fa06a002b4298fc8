// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptbench: what operations on page tables cost.  Each is repeated, and the CPU's
 * counters are read before and after each repetition; what the reading costs is
 * measured in the same way and taken off.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "counters.h"

#define PAGE 4096ul

static const char usage_text[] =
"usage: ptbench [OPTION...]\n"
"  -p, --pages=N         pages of a mapping; K, M, G (2048)\n"
"  -r, --rounds=N        repetitions (16)\n"
"  -f, --fork            instead: fork a child that exits, fork one that executes\n"
"                        this program, with N pages mapped\n"
"  -t, --tpt             switch this process on first, by /proc/self/tpt\n"
"      --huge=WHAT       \"never\" or \"always\": transparent huge pages (never)\n"
"      --help\n"
"\n"
"Prints a line of key=value words for each operation: all instructions and cycles\n"
"of the CPU, for one repetition.  Exit status: 0; 1 an error; 2 wrong usage.\n";

struct cost {
	const char *name;
	uint64_t instructions;
	uint64_t cycles;
	uint64_t times;
};

static struct counter_source source;
static struct cost reading = { .name = "reading" };
static uint64_t pages = 2048, rounds = 16;
static int advice = MADV_NOHUGEPAGE;

static uint64_t counter(int index)
{
	uint64_t value;

	if (pread(source.fd, &value, sizeof(value), MSR_TPT_STAT(TPT_STAT_BANK_ALL, index)) !=
	    sizeof(value))
		fail(1, "cannot read the CPU's counters: %s", strerror(errno));
	return value;
}

static void begin(struct cost *c)
{
	c->instructions -= counter(TPT_STAT_ALL_INSTRUCTIONS);
	c->cycles -= counter(TPT_STAT_ALL_CYCLES);
}

static void end(struct cost *c)
{
	c->cycles += counter(TPT_STAT_ALL_CYCLES);
	c->instructions += counter(TPT_STAT_ALL_INSTRUCTIONS);
	c->times++;
}

static void calibrate(void)
{
	int i;

	for (i = 0; i < 100; i++) {
		begin(&reading);
		end(&reading);
	}
}

static double net(uint64_t sum, uint64_t times, uint64_t cost)
{
	return (double)sum / times - (double)cost / reading.times;
}

static void print(const struct cost *c)
{
	printf("operation=%s pages=%" PRIu64 " rounds=%" PRIu64
	       " instructions=%.0f cycles=%.0f\n", c->name, pages, c->times,
	       net(c->instructions, c->times, reading.instructions),
	       net(c->cycles, c->times, reading.cycles));
}

static void check(int err, const char *what)
{
	if (err)
		fail(1, "%s: %s", what, strerror(errno));
}

static char *reserve(void)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		fail(1, "mmap: %s", strerror(errno));
	check(madvise(p, pages * PAGE, advice), "madvise");
	return p;
}

static void touch(volatile char *p)
{
	uint64_t i;

	for (i = 0; i < pages; i++)
		p[i * PAGE];
}

static void store(volatile char *p)
{
	uint64_t i;

	for (i = 0; i < pages; i++)
		p[i * PAGE] = 1;
}

/* Round 0 warms up: frames that the host has not given yet, caches. */
static void start_round(uint64_t round, struct cost *costs, int nr)
{
	int i;

	for (i = 0; round == 1 && i < nr; i++)
		costs[i] = (struct cost){ .name = costs[i].name };
}

static void print_all(const struct cost *costs, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		print(&costs[i]);
}

static void mappings(void)
{
	enum { MAP, TOUCH, PROTECT, UNPROTECT, UNMAP, FAULT, NR };
	struct cost costs[NR] = {
		[MAP] = { .name = "map" }, [TOUCH] = { .name = "touch" }, [PROTECT] = { .name = "protect" },
		[UNPROTECT] = { .name = "unprotect" }, [UNMAP] = { .name = "unmap" }, [FAULT] = { .name = "fault" },
	};
	uint64_t r;
	char *p;

	for (r = 0; r <= rounds; r++) {
		start_round(r, costs, NR);

		begin(&costs[MAP]);
		p = reserve();
		check(madvise(p, pages * PAGE, MADV_POPULATE_WRITE), "madvise(MADV_POPULATE_WRITE)");
		end(&costs[MAP]);

		begin(&costs[TOUCH]);
		touch(p);
		end(&costs[TOUCH]);

		begin(&costs[PROTECT]);
		check(mprotect(p, pages * PAGE, PROT_READ), "mprotect");
		end(&costs[PROTECT]);
		touch(p);

		begin(&costs[UNPROTECT]);
		check(mprotect(p, pages * PAGE, PROT_READ | PROT_WRITE), "mprotect");
		end(&costs[UNPROTECT]);
		touch(p);

		begin(&costs[UNMAP]);
		check(munmap(p, pages * PAGE), "munmap");
		end(&costs[UNMAP]);

		p = reserve();
		begin(&costs[FAULT]);
		store(p);
		end(&costs[FAULT]);
		check(munmap(p, pages * PAGE), "munmap");
	}
	print_all(costs, NR);
}

static void wait_for(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		fail(1, "a child failed");
}

static void forks(void)
{
	enum { FORK, COW, EXEC, NR };
	struct cost costs[NR] = {
		[FORK] = { .name = "fork" }, [COW] = { .name = "cow" }, [EXEC] = { .name = "fork+exec" },
	};
	char *p = reserve();
	uint64_t r;
	pid_t pid;

	store(p);
	for (r = 0; r <= rounds; r++) {
		start_round(r, costs, NR);

		begin(&costs[FORK]);
		pid = fork();
		if (!pid)
			_exit(0);
		wait_for(pid);
		end(&costs[FORK]);

		/* The parent has its pages to itself again, and finds out. */
		begin(&costs[COW]);
		store(p);
		end(&costs[COW]);

		begin(&costs[EXEC]);
		pid = fork();
		if (!pid) {
			execl("/proc/self/exe", "ptbench", "--nothing", NULL);
			_exit(1);
		}
		wait_for(pid);
		end(&costs[EXEC]);
		store(p);
	}
	print_all(costs, NR);
}

static int tpt_fd = -1;

/* "on" or "off" for this process; open() is not part of what is measured */
static void set_tpt(const char *word)
{
	if (write(tpt_fd, word, strlen(word)) < 0)
		fail(1, "/proc/self/tpt: %s", strerror(errno));
}

static void switch_on(void)
{
	tpt_fd = open("/proc/self/tpt", O_WRONLY | O_CLOEXEC);
	if (tpt_fd < 0)
		fail(1, "/proc/self/tpt: %s", strerror(errno));
	set_tpt("on");
}

/* What it takes to switch on, with all pages mapped */
static void switching(void)
{
	struct cost on = { .name = "switch-on" };
	char *p = reserve();
	uint64_t r;

	store(p);
	for (r = 0; r <= rounds; r++) {
		set_tpt("off");
		start_round(r, &on, 1);
		begin(&on);
		set_tpt("on");
		end(&on);
		touch(p);
	}
	print(&on);
	printf("memory pages=%" PRIu64 " rss_bytes=%" PRIu64, pages, rss_bytes(0));
	report_tpt(0);
	putchar('\n');
	check(munmap(p, pages * PAGE), "munmap");
}

int main(int argc, char **argv)
{
	bool tpt = false, fork = false, nothing = false;
	const char *huge = NULL;
	const struct opt options[] = {
		{ "pages", 'p', .number = &pages },
		{ "rounds", 'r', .number = &rounds },
		{ "fork", 'f', .flag = &fork, .value = true },
		{ "tpt", 't', .flag = &tpt, .value = true },
		{ "huge", .word = &huge },
		{ "nothing", .flag = &nothing, .value = true },
		{ }
	};

	program = "ptbench";
	parse_options(argc, argv, options, NULL, usage_text);
	if (nothing)
		return 0;
	if (huge)
		advice = parse_huge(huge);
	if (!pages || !rounds)
		fail(2, "--pages, --rounds: not 0");

	pin(0);
	if (counters_open(&source, 0))
		return 1;
	calibrate();
	if (tpt)
		switch_on();
	if (fork)
		forks();
	else
		mappings();
	if (tpt && !fork)
		switching();
	return 0;
}
