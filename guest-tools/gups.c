// SPDX-License-Identifier: GPL-2.0-only
/*
 * gups: random updates of a large table, after the rules of the HPC Challenge
 * benchmark RandomAccess, and its twin with the same updates in sequential
 * order.  Verifies the table and reports the CPU's translation counters for the
 * timed part.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common.h"
#include "counters.h"

#define MAX_THREADS 64

static struct table table;
static uint64_t nr_updates, nr_warmup;
static int nr_threads = 1, nr_cpus = 1;
static bool sequential;

/* FIFOs of perf stat --control */
static int perf_ctl = -1, perf_ack = -1;

static const char usage_text[] =
"usage: gups [OPTION...]\n"
"  -s, --size=BYTES      size of the table, a power of two; K, M, G (256M)\n"
"  -u, --updates=N       timed updates; K, M, G (4 for each word of the table)\n"
"      --warmup=N        updates before these (65536)\n"
"  -S, --sequential      update the words in sequence instead of at random\n"
"      --random          the opposite, and the default\n"
"  -t, --threads=N       threads, spread over the CPUs (1)\n"
"      --no-verify       do not verify the table\n"
"      --huge=WHAT       \"never\" or \"always\": transparent huge pages for the\n"
"                        table (the system's default)\n"
"      --no-counters     do not read the CPU's counters\n"
"      --whole           count the whole run, not only the timed part\n"
"      --perf-control=CTL,ACK\n"
"                        have perf stat -D -1 --control=fifo:CTL,ACK count the\n"
"                        same\n"
"      --report-tpt      add what /proc/self/tpt says at the end\n"
"      --wait-tpt[=S]    after the initialization print READY and wait until\n"
"                        /proc/self/tpt says on, S seconds at most (60)\n"
"      --wait-signal     after the initialization print READY, wait for SIGUSR1\n"
"      --help\n"
"\n"
"Prints one line of key=value words.  Exit status: 0; 1 an error, or the table\n"
"is wrong (one thread: any error, more: above 1 %); 2 wrong usage.\n";

static pthread_barrier_t barrier;

static void *thread(void *arg)
{
	uint64_t n = (uintptr_t)arg;

	pin(n % nr_cpus);
	pthread_barrier_wait(&barrier);		/* all are there */
	pthread_barrier_wait(&barrier);		/* the counters have been read */
	table_update(&table, nr_warmup + nr_updates * n / nr_threads,
		     nr_warmup + nr_updates * (n + 1) / nr_threads, sequential);
	pthread_barrier_wait(&barrier);		/* all have finished */
	return NULL;
}

/*
 * Reads a word of each page and writes it back, so that whatever is built on
 * first access is there when the clock starts.
 */
static void touch(void)
{
	volatile uint64_t *t = table.words;
	uint64_t i;

	for (i = 0; i < table.nr; i += 4096 / sizeof(*t))
		t[i] = t[i];
}

/* The page size that maps most of the table */
static unsigned long guest_page(void)
{
	unsigned long kb, huge = 0, from, to;
	char line[512];
	bool mine = false;
	FILE *f = fopen("/proc/self/smaps", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			mine = from < (uintptr_t)(table.words + table.nr) &&
			       to > (uintptr_t)table.words;
		else if (mine && sscanf(line, "AnonHugePages: %lu kB", &kb) == 1)
			huge += kb;
	}
	if (f)
		fclose(f);
	return huge * 1024 > table.nr * sizeof(*table.words) / 2 ? 2 << 20 : 4096;
}

static bool tpt_is_on(void)
{
	char line[128], state[32];
	bool on = false;
	FILE *f = fopen("/proc/self/tpt", "r");

	if (!f)
		fail(1, "/proc/self/tpt: %s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "state: %31s", state) == 1)
			on = !strcmp(state, "on");
	}
	fclose(f);
	return on;
}

static void wait_tpt(unsigned int seconds)
{
	const struct timespec nap = { .tv_nsec = 10000000 };
	unsigned int n;

	for (n = 0; !tpt_is_on(); n++) {
		if (n == seconds * 100)
			fail(1, "TPT was not switched on within %u s", seconds);
		nanosleep(&nap, NULL);
	}
}

static void perf_open(char *fifos)
{
	char *ack = strchr(fifos, ',');

	if (!ack)
		fail(2, "--perf-control: not two files: %s", fifos);
	*ack++ = '\0';
	perf_ctl = open(fifos, O_WRONLY | O_CLOEXEC);
	if (perf_ctl < 0)
		fail(1, "%s: %s", fifos, strerror(errno));
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

static void begin(const struct counter_source *source, struct counters *c)
{
	perf_command("enable\n");
	counters_begin(source, nr_cpus, c);
}

static void end(const struct counter_source *source, struct counters *c)
{
	counters_end(source, nr_cpus, c);
	perf_command("disable\n");
}

static void ready(void)
{
	printf("READY %d\n", getpid());
	fflush(stdout);
}

int main(int argc, char **argv)
{
	enum {
		WARMUP = 256, NO_VERIFY, HUGE, NO_COUNTERS, WHOLE, REPORT_TPT, WAIT_TPT,
		WAIT_SIGNAL, RANDOM, PERF_CONTROL, HELP
	};
	static const struct option options[] = {
		{ "size", required_argument, NULL, 's' },
		{ "updates", required_argument, NULL, 'u' },
		{ "warmup", required_argument, NULL, WARMUP },
		{ "sequential", no_argument, NULL, 'S' },
		{ "random", no_argument, NULL, RANDOM },
		{ "threads", required_argument, NULL, 't' },
		{ "no-verify", no_argument, NULL, NO_VERIFY },
		{ "huge", required_argument, NULL, HUGE },
		{ "no-counters", no_argument, NULL, NO_COUNTERS },
		{ "whole", no_argument, NULL, WHOLE },
		{ "perf-control", required_argument, NULL, PERF_CONTROL },
		{ "report-tpt", no_argument, NULL, REPORT_TPT },
		{ "wait-tpt", optional_argument, NULL, WAIT_TPT },
		{ "wait-signal", no_argument, NULL, WAIT_SIGNAL },
		{ "help", no_argument, NULL, HELP },
		{ }
	};
	struct counter_source source[MAX_THREADS];
	struct counters before = { }, after = { };
	uint64_t size = 256 << 20, errors = 0;
	bool verify = true, have_counters = true, wait_signal = false;
	bool whole = false, report = false;
	unsigned int wait_on = 0;
	const char *huge = NULL;
	int advice = 0;
	char *fifos = NULL;
	pthread_t id[MAX_THREADS];
	sigset_t usr1;
	int c, n, sig;

	program = "gups";
	nr_warmup = 65536;
	while ((c = getopt_long(argc, argv, "s:u:St:", options, NULL)) != -1) {
		switch (c) {
		case 's':
			size = parse("--size", optarg);
			break;
		case 'u':
			nr_updates = parse("--updates", optarg);
			break;
		case WARMUP:
			nr_warmup = parse("--warmup", optarg);
			break;
		case 'S':
			sequential = true;
			break;
		case 't':
			nr_threads = parse("--threads", optarg);
			break;
		case NO_VERIFY:
			verify = false;
			break;
		case HUGE:
			huge = optarg;
			advice = parse_huge(huge);
			break;
		case NO_COUNTERS:
			have_counters = false;
			break;
		case WHOLE:
			whole = true;
			break;
		case REPORT_TPT:
			report = true;
			break;
		case WAIT_TPT:
			wait_on = optarg ? parse("--wait-tpt", optarg) : 60;
			break;
		case WAIT_SIGNAL:
			wait_signal = true;
			break;
		case RANDOM:
			sequential = false;
			break;
		case PERF_CONTROL:
			fifos = optarg;
			break;
		case HELP:
			fputs(usage_text, stdout);
			return 0;
		default:
			return 2;
		}
	}
	if (optind != argc)
		fail(2, "unexpected argument: %s", argv[optind]);
	if (size < 4096 || size & (size - 1))
		fail(2, "--size: not a power of two of at least 4K");
	if (nr_threads < 1 || nr_threads > MAX_THREADS)
		fail(2, "--threads: not between 1 and %d", MAX_THREADS);

	if (fifos)
		perf_open(fifos);

	if (!nr_updates)
		nr_updates = 4 * (size / sizeof(uint64_t));

	table_reserve(&table, size);
	if (huge && madvise(table.words, size, advice))
		fail(1, "--huge=%s: %s", huge, strerror(errno));

	/* waited for, so it must not be delivered to a thread */
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);

	pin(0);
	nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (nr_cpus > nr_threads)
		nr_cpus = nr_threads;
	for (n = 0; n < nr_cpus; n++) {
		source[n].fd = -1;
		if (have_counters && counters_open(&source[n], n))
			have_counters = false;
	}
	if (whole)
		begin(source, &before);
	pthread_barrier_init(&barrier, NULL, nr_threads);
	for (n = 1; n < nr_threads; n++)
		if (pthread_create(&id[n], NULL, thread, (void *)(uintptr_t)n))
			fail(1, "cannot create a thread");

	table_fill(&table);

	if (wait_on || wait_signal)
		ready();
	if (wait_signal)
		sigwait(&usr1, &sig);
	if (wait_on)
		wait_tpt(wait_on);

	touch();
	table_update(&table, 0, nr_warmup, sequential);

	pthread_barrier_wait(&barrier);
	if (!whole)
		begin(source, &before);
	pthread_barrier_wait(&barrier);
	table_update(&table, nr_warmup, nr_warmup + nr_updates / nr_threads, sequential);
	pthread_barrier_wait(&barrier);
	if (!whole)
		end(source, &after);

	for (n = 1; n < nr_threads; n++)
		pthread_join(id[n], NULL);

	if (verify) {
		/* an update undoes itself */
		table_update(&table, 0, nr_warmup + nr_updates, sequential);
		errors = table_errors(&table);
	}
	if (whole)
		end(source, &after);
	counters_sub(&after, &before);

	printf("workload=%s size=%" PRIu64 " updates=%" PRIu64 " threads=%d guest_page=%lu rss_bytes=%" PRIu64,
	       sequential ? "sequential" : "random", size, nr_updates, nr_threads,
	       guest_page(), rss_bytes());
	if (have_counters)
		counters_print(&after);
	else
		printf(" virtual_ns=%" PRIu64, after.ns);

	printf(" cpu_ms=%" PRIu64, cpu_ms());
	if (verify)
		printf(" errors=%" PRIu64, errors);
	if (report)
		report_tpt();
	putchar('\n');
	if (errors > (nr_threads > 1 ? table.nr / 100 : 0))
		fail(1, "%" PRIu64 " of %" PRIu64 " words are wrong", errors, table.nr);
	return 0;
}
