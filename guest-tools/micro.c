// SPDX-License-Identifier: GPL-2.0-only
/*
 * micro: reads words of a table, at random or one after the other.  It does nothing
 * else: what a translation costs and what it does not cost shows at its clearest.
 */
#include <inttypes.h>

#include "roi.h"

static const char usage_text[] =
"usage: micro PROGRAM [OPTION...]\n"
"programs:\n"
"  random       reads words at random places, each independent of the one before\n"
"  sequential   reads each word, from the first to the last, over and over\n"
"options:\n"
"  -s, --size=BYTES      size of the table, a power of two; K, M, G (256M)\n"
"  -r, --reads=N         timed reads; K, M, G (12M; sequential 32M)\n"
ROI_USAGE
"\n"
"Prints one line of key=value words.  Exit status: 0; 1 an error, or the sum of what\n"
"was read is wrong; 2 wrong usage.\n";

static struct table table;

static uint64_t read_at_random(uint64_t reads)
{
	const uint64_t *words = table.words;
	uint64_t seed = 1, mask = table.nr - 1, sum = 0, i;

	for (i = 0; i < reads; i++)
		sum += words[random64(&seed) & mask];
	return sum;
}

/* Each word holds its index. */
static uint64_t expected_at_random(uint64_t reads)
{
	uint64_t seed = 1, mask = table.nr - 1, sum = 0, i;

	for (i = 0; i < reads; i++)
		sum += random64(&seed) & mask;
	return sum;
}

static uint64_t read_in_sequence(uint64_t reads)
{
	const volatile uint64_t *words = table.words;
	uint64_t mask = table.nr - 1, sum = 0, i;

	for (i = 0; i < reads; i++)
		sum += words[i & mask];
	return sum;
}

/* Of 0 + 1 + ... + (n - 1) */
static uint64_t sum_below(uint64_t n)
{
	return n % 2 ? (n - 1) / 2 * n : n / 2 * (n - 1);
}

static uint64_t expected_in_sequence(uint64_t reads)
{
	return reads / table.nr * sum_below(table.nr) + sum_below(reads % table.nr);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *workload;
		uint64_t reads;
		uint64_t (*read)(uint64_t reads);
		uint64_t (*expected)(uint64_t reads);
	} programs[] = {
		{ "micro-random", 12 << 20, read_at_random, expected_at_random },
		{ "micro-sequential", 32 << 20, read_in_sequence, expected_in_sequence },
	}, *p;
	static const char *const names[] = { "random", "sequential", NULL };
	static uint64_t nr_reads;
	static const struct opt options[] = {
		{ "reads", 'r', .number = &nr_reads },
		{ }
	};
	struct roi_result result = { .amount_name = "reads", .threads = 1 };
	char more[64];
	uint64_t sum;

	program = "micro";
	p = &programs[parse_name(argc, argv, names, usage_text)];
	nr_reads = p->reads;
	roi_options(argc, argv, options, usage_text);
	if (roi_size < 4096 || roi_size & (roi_size - 1))
		fail(2, "--size: not a power of two of at least 4K");

	roi_start(1);
	table.words = roi_memory(roi_size);
	table.nr = roi_size / sizeof(*table.words);
	table_fill(&table);
	roi_ready(0);

	p->read(nr_reads / 64);
	roi_begin();
	sum = p->read(nr_reads);
	roi_end();

	if (roi_verify)
		result.errors = sum != p->expected(nr_reads);
	snprintf(more, sizeof(more), " checksum=%016" PRIx64, sum);
	result.workload = p->workload;
	result.amount = nr_reads;
	result.more = more;
	roi_report(&result);
	if (result.errors)
		fail(1, "the sum is wrong");
	return 0;
}
