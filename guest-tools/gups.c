// SPDX-License-Identifier: GPL-2.0-only
/*
 * gups: random updates of a large table, after the rules of the HPC Challenge
 * benchmark RandomAccess, and its twin with the same updates in sequential
 * order.  Verifies the table and reports the CPU's translation counters for the
 * timed part.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <pthread.h>

#include "roi.h"

#define MAX_THREADS ROI_MAX_CPUS

static struct table table;
static uint64_t nr_updates, nr_warmup = 65536, nr_threads = 1;
static int nr_cpus;
static bool sequential;

static const char usage_text[] =
"usage: gups [OPTION...]\n"
"  -s, --size=BYTES      size of the table, a power of two; K, M, G (256M)\n"
"  -u, --updates=N       timed updates; K, M, G (4 for each word of the table)\n"
"      --warmup=N        updates before these (65536)\n"
"  -S, --sequential      update the words in sequence instead of at random\n"
"      --random          the opposite, and the default\n"
"  -t, --threads=N       threads, spread over the CPUs (1)\n"
ROI_USAGE
"\n"
"Prints one line of key=value words.  Exit status: 0; 1 an error, or the table\n"
"is wrong (one thread: any error, more: above 1 %); 2 wrong usage.\n";

static const struct opt options[] = {
	{ "updates", 'u', .number = &nr_updates },
	{ "warmup", .number = &nr_warmup },
	{ "sequential", 'S', .flag = &sequential, .value = true },
	{ "random", .flag = &sequential, .value = false },
	{ "threads", 't', .number = &nr_threads },
	{ }
};

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

int main(int argc, char **argv)
{
	struct roi_result result = { .amount_name = "updates" };
	pthread_t id[MAX_THREADS];
	unsigned int n;

	program = "gups";
	roi_options(argc, argv, options, usage_text);
	if (roi_size < 4096 || roi_size & (roi_size - 1))
		fail(2, "--size: not a power of two of at least 4K");
	if (nr_threads < 1 || nr_threads > MAX_THREADS)
		fail(2, "--threads: not between 1 and %d", MAX_THREADS);
	if (!nr_updates)
		nr_updates = 4 * (roi_size / sizeof(uint64_t));

	table.words = roi_memory(roi_size);
	table.nr = roi_size / sizeof(*table.words);
	nr_cpus = roi_start(nr_threads);
	pthread_barrier_init(&barrier, NULL, nr_threads);
	for (n = 1; n < nr_threads; n++)
		if (pthread_create(&id[n], NULL, thread, (void *)(uintptr_t)n))
			fail(1, "cannot create a thread");

	table_fill(&table);
	roi_ready(0);
	table_update(&table, 0, nr_warmup, sequential);

	pthread_barrier_wait(&barrier);
	roi_begin();
	pthread_barrier_wait(&barrier);
	table_update(&table, nr_warmup, nr_warmup + nr_updates / nr_threads, sequential);
	pthread_barrier_wait(&barrier);
	roi_end();

	for (n = 1; n < nr_threads; n++)
		pthread_join(id[n], NULL);

	if (roi_verify) {
		/* an update undoes itself */
		table_update(&table, 0, nr_warmup + nr_updates, sequential);
		result.errors = table_errors(&table);
	}
	result.workload = sequential ? "sequential" : "random";
	result.amount = nr_updates;
	result.threads = nr_threads;
	roi_report(&result);
	if (result.errors > (nr_threads > 1 ? table.nr / 100 : 0))
		fail(1, "%" PRIu64 " of %" PRIu64 " words are wrong", result.errors, table.nr);
	return 0;
}
