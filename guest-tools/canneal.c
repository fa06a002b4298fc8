// SPDX-License-Identifier: GPL-2.0-only
/*
 * canneal: places the elements of a netlist on a chip so that its wires get short, by
 * simulated annealing.  After the description of the kernel in Bienia, Kumar, Singh, Li:
 * The PARSEC benchmark suite: characterization and architectural implications, PACT
 * 2008.  A move swaps the places of two random elements; one that makes wires longer is
 * accepted with a probability that falls with the temperature.
 *
 * The netlist is random: each element has FAN_IN inputs, which come from any others,
 * and as many outputs as follow from that.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "roi.h"

#define FAN_IN	5

/* exp(-i / EXP_STEPS), below that 0 */
#define EXP_STEPS	32
#define EXP_SIZE	(16 * EXP_STEPS)

/* A wire's length is the distance of its ends in x plus that in y. */
struct place {
	int32_t x, y;
};

struct element {
	const struct place *place;
	struct element *in[FAN_IN];
	uint64_t out;		/* the first in outs; the next element's come behind */
};

static const char usage_text[] =
"usage: canneal [OPTION...]\n"
"  -s, --size=BYTES      size of the netlist; K, M, G (256M)\n"
"  -n, --steps=N         timed moves; K, M, G (512K)\n"
"      --temperature=N   in the beginning, in units of length (2000)\n"
"      --per-temperature=N\n"
"                        moves before the temperature falls by a third (15000)\n"
ROI_USAGE
"\n"
"Prints one line of key=value words.  Exit status: 0; 1 an error, or the lengths\n"
"are wrong; 2 wrong usage.\n";

static uint64_t nr_elements;
static struct element *elements;	/* and two behind the last */
static struct element **outs;
static struct place *places;		/* where the element with the same index begins */
static double exponential[EXP_SIZE];

static uint64_t start_temperature = 2000, per_temperature = 15000;
static uint64_t seed = 1, nr_accepted;
static double temperature;
static int64_t growth;			/* of the length of all wires, by the moves */

static struct element *random_element(const struct element *not_this)
{
	struct element *e;

	do {
		e = &elements[below(random64(&seed), nr_elements)];
	} while (e == not_this);
	return e;
}

static void make_netlist(void)
{
	uint64_t side = 1, i;
	struct element *e;
	int k;

	while (side * side < nr_elements)
		side++;
	for (i = 0; i < nr_elements; i++) {
		places[i].x = i % side;
		places[i].y = i / side;
		e = &elements[i];
		e->place = &places[i];
		for (k = 0; k < FAN_IN; k++) {
			e->in[k] = random_element(e);
			e->in[k][2].out++;
		}
	}
	for (i = 2; i < nr_elements + 2; i++)
		elements[i].out += elements[i - 1].out;
	/* e[1].out is where the next output of e goes, and in the end where they end */
	for (e = elements; e < elements + nr_elements; e++)
		for (k = 0; k < FAN_IN; k++)
			outs[e->in[k][1].out++] = e;
}

/* e^(-1/32) by its series, then its powers; a library's may depend on the CPU */
static void make_exponential(void)
{
	double term = 1, factor = 0;
	int i;

	for (i = 1; i < 12; i++) {
		factor += term;
		term *= -1. / EXP_STEPS / i;
	}
	exponential[0] = 1;
	for (i = 1; i < EXP_SIZE; i++)
		exponential[i] = exponential[i - 1] * factor;
}

static inline int64_t distance(const struct place *a, const struct place *b)
{
	return abs(a->x - b->x) + abs(a->y - b->y);
}

/*
 * How much longer the wires of @e get when it goes to where @other is, and that one to
 * where @e is: wires between them stay as long as they are.
 */
static int64_t growth_of(const struct element *e, const struct element *other)
{
	const struct element *n;
	int64_t sum = 0;
	uint64_t i;
	int k;

	for (k = 0; k < FAN_IN; k++) {
		n = e->in[k];
		if (n != other)
			sum += distance(n->place, other->place) - distance(n->place, e->place);
	}
	for (i = e->out; i < e[1].out; i++) {
		n = outs[i];
		if (n != other)
			sum += distance(n->place, other->place) - distance(n->place, e->place);
	}
	return sum;
}

static bool accepted(int64_t longer)
{
	double x;

	if (longer <= 0)
		return true;
	x = longer * EXP_STEPS / temperature;
	return x < EXP_SIZE && (random64(&seed) >> 11) * 0x1p-53 < exponential[(int)x];
}

static void anneal(uint64_t steps)
{
	struct element *a, *b;
	const struct place *place;
	int64_t longer;
	uint64_t i;

	for (i = 0; i < steps; i++) {
		if (i % per_temperature == 0)
			temperature = i ? temperature / 1.5 : start_temperature;
		a = random_element(NULL);
		b = random_element(a);
		longer = growth_of(a, b) + growth_of(b, a);
		if (!accepted(longer))
			continue;
		place = a->place;
		a->place = b->place;
		b->place = place;
		growth += longer;
		nr_accepted++;
	}
}

/*
 * What the moves added up to must be the difference between the lengths of all wires
 * then and now, and no two elements may be in one place.
 */
static uint64_t count_errors(void)
{
	uint8_t *used = memory_reserve(nr_elements);
	int64_t before = 0, now = 0;
	const struct element *e;
	uint64_t i, errors = 0;
	int k;

	for (i = 0; i < nr_elements; i++) {
		e = &elements[i];
		for (k = 0; k < FAN_IN; k++) {
			before += distance(&places[i], &places[e->in[k] - elements]);
			now += distance(e->place, e->in[k]->place);
		}
		errors += used[e->place - places]++ != 0;
	}
	return errors + (before + growth != now);
}

static uint64_t checksum(void)
{
	uint64_t i, sum = 0;

	for (i = 0; i < nr_elements; i++)
		sum += mix64((i << 32) + (elements[i].place - places));
	return sum;
}

int main(int argc, char **argv)
{
	static uint64_t nr_steps = 512 << 10;
	static const struct opt options[] = {
		{ "steps", 'n', .number = &nr_steps },
		{ "temperature", .number = &start_temperature },
		{ "per-temperature", .number = &per_temperature },
		{ }
	};
	struct roi_result result = {
		.workload = "canneal", .amount_name = "steps", .threads = 1,
	};
	char more[128];

	program = "canneal";
	roi_options(argc, argv, options, usage_text);
	if (!start_temperature || !per_temperature)
		fail(2, "--temperature, --per-temperature: not 0");
	nr_elements = roi_size / (sizeof(*elements) + FAN_IN * sizeof(*outs) + sizeof(*places));
	if (roi_size < 4096 || nr_elements > UINT32_MAX)
		fail(2, "--size: not between 4K and 384G");

	roi_start(1);
	elements = roi_memory((nr_elements + 2) * sizeof(*elements));
	outs = roi_memory(nr_elements * FAN_IN * sizeof(*outs));
	places = roi_memory(nr_elements * sizeof(*places));
	make_netlist();
	make_exponential();
	roi_ready(0);

	roi_begin();
	anneal(nr_steps);
	roi_end();

	if (roi_verify)
		result.errors = count_errors();
	snprintf(more, sizeof(more), " elements=%" PRIu64 " accepted=%" PRIu64
		 " growth=%" PRId64 " checksum=%016" PRIx64,
		 nr_elements, nr_accepted, growth, checksum());
	result.more = more;
	result.amount = nr_steps;
	roi_report(&result);
	if (result.errors)
		fail(1, "the lengths of the wires or the places are wrong");
	return 0;
}
