// SPDX-License-Identifier: GPL-2.0-only
/*
 * xsbench: look-ups of macroscopic cross sections, the part of neutron transport by
 * Monte Carlo that takes the time.  After the description of XSBench: Tramm, Siegel,
 * Islam, Schulz: XSBench - the development and verification of a performance
 * abstraction for Monte Carlo reactor analysis, PHYSOR 2014.  The reactor is Hoogenboom
 * and Martin's, with the 68 nuclides of the small problem; the size sets the number of
 * energies for each nuclide.
 *
 * Each nuclide has a grid of energies with five cross sections.  The unionized grid
 * has all energies of all nuclides, sorted, and for each the place in every nuclide's
 * own grid.  A look-up takes a random energy and a random material, finds the energy in
 * the unionized grid by bisection, interpolates the cross sections of each nuclide of the
 * material and adds them up, weighted by its density.
 */
#include <inttypes.h>
#include <string.h>

#include "roi.h"

#define NUCLIDES	68
#define MATERIALS	12
#define MAX_IN_MATERIAL	34
#define SECTIONS	5

/* One look-up in so many is done again another way. */
#define CHECKED		16

/* A point in the grid of a nuclide */
struct point {
	double energy;
	double section[SECTIONS];
};

struct material {
	int nr;
	int nuclide[MAX_IN_MATERIAL];
	double density[MAX_IN_MATERIAL];
};

/*
 * Fuel, cladding, cold and hot borated water, pressure vessel, lower and upper
 * reflector, bottom plate, bottom and top nozzle, top and bottom of fuel assemblies:
 * how many nuclides they have, and how many of 1000 look-ups are theirs.
 */
static const struct {
	int nuclides;
	int share;
} kinds[MATERIALS] = {
	{ 34, 139 }, { 5, 52 }, { 4, 275 }, { 4, 134 }, { 27, 154 }, { 21, 64 },
	{ 21, 66 }, { 21, 55 }, { 21, 8 }, { 21, 15 }, { 9, 25 }, { 9, 13 },
};

static const char usage_text[] =
"usage: xsbench [OPTION...]\n"
"  -s, --size=BYTES      size of the grids; K, M, G (256M)\n"
"  -l, --lookups=N       timed look-ups; K, M, G (192K)\n"
ROI_USAGE
"\n"
"Prints one line of key=value words.  Exit status: 0; 1 an error, or a look-up is\n"
"wrong; 2 wrong usage.\n";

static uint64_t nr_points;		/* of each nuclide */
static uint64_t nr_union;
static struct point *grid;		/* [NUCLIDES][nr_points] */
static double *energies;		/* [nr_union] */
static uint32_t (*places)[NUCLIDES];	/* [nr_union] */
static struct material materials[MATERIALS];
static uint8_t material_of[1000];

static double unit(uint64_t random)
{
	return (random >> 11) * 0x1p-53;
}

/* The fuel has the first half of the nuclides, the others have some of the rest. */
static void make_materials(void)
{
	uint64_t seed = 1;
	int i, j, k, n = 0;

	for (i = 0; i < MATERIALS; i++) {
		struct material *m = &materials[i];
		int first = i ? MAX_IN_MATERIAL : 0;
		bool used[NUCLIDES] = { };

		for (m->nr = 0; m->nr < kinds[i].nuclides; m->nr++) {
			do {
				k = first + below(random64(&seed), MAX_IN_MATERIAL);
			} while (used[k]);
			used[k] = true;
			m->nuclide[m->nr] = k;
			m->density[m->nr] = unit(random64(&seed));
		}
		for (j = 0; j < kinds[i].share; j++)
			material_of[n++] = i;
	}
}

/* Energies at random, sorted: by buckets, of which each gets one on average */
static void make_energies(void)
{
	uint32_t *end = memory_reserve((nr_union + 1) * sizeof(*end));
	uint64_t seed, i, j;
	double e;

	for (i = 0, seed = 2; i < nr_union; i++)
		end[below(random64(&seed), nr_union) + 1]++;
	for (i = 0; i < nr_union; i++)
		end[i + 1] += end[i];
	/* behind the smaller ones of the bucket, which are there already */
	for (i = 0, seed = 2; i < nr_union; i++) {
		uint64_t r = random64(&seed);
		uint64_t bucket = below(r, nr_union);

		e = unit(r);
		for (j = end[bucket]++; j && energies[j - 1] > e; j--)
			energies[j] = energies[j - 1];
		energies[j] = e;
	}
	memory_release(end, (nr_union + 1) * sizeof(*end));
}

static void make_grids(void)
{
	uint32_t place[NUCLIDES] = { }, nr[NUCLIDES] = { };
	uint64_t seed = 3, i;
	int n, k;

	for (i = 0; i < nr_union; i++) {
		struct point *p;

		/* a nuclide whose grid is not full */
		n = below(random64(&seed), NUCLIDES);
		while (nr[n] == nr_points)
			n = (n + 1) % NUCLIDES;
		p = &grid[n * nr_points + nr[n]];
		p->energy = energies[i];
		for (k = 0; k < SECTIONS; k++)
			p->section[k] = unit(random64(&seed));
		/* the point at or below the energy, but one that has a successor */
		if (nr[n] < nr_points - 1)
			place[n] = nr[n];
		nr[n]++;
		memcpy(places[i], place, sizeof(place));
	}
}

/* The last of the @n points, @stride apart, whose energy is not above @e, or the first */
static inline uint64_t bisect(const double *energy, uint64_t stride, uint64_t n, double e)
{
	uint64_t low = 0, high = n, middle;

	while (high - low > 1) {
		middle = (low + high) / 2;
		if (energy[middle * stride] > e)
			high = middle;
		else
			low = middle;
	}
	return low;
}

static void choose(uint64_t number, double *e, const struct material **m)
{
	uint64_t r = mix64(number + 1);

	*e = unit(r);
	*m = &materials[material_of[below(mix64(r), 1000)]];
}

static void add(double *sum, const struct point *p, double e, double density)
{
	double f = (p[1].energy - e) / (p[1].energy - p[0].energy);
	int k;

	for (k = 0; k < SECTIONS; k++)
		sum[k] += density * (p[1].section[k] - f * (p[1].section[k] - p[0].section[k]));
}

/* Bit by bit: both ways to a result do the same arithmetic in the same order. */
static uint64_t hash(const double *sum)
{
	uint64_t h = 0, bits;
	int k;

	for (k = 0; k < SECTIONS; k++) {
		memcpy(&bits, &sum[k], sizeof(bits));
		h = (h ^ bits) * 0x9e3779b97f4a7c15;
	}
	return h ^ h >> 32;
}

static uint64_t look_up(uint64_t number)
{
	const struct material *m;
	double sum[SECTIONS] = { }, e;
	const uint32_t *place;
	int i, n;

	choose(number, &e, &m);
	place = places[bisect(energies, 1, nr_union, e)];
	for (i = 0; i < m->nr; i++) {
		n = m->nuclide[i];
		add(sum, &grid[n * nr_points + place[n]], e, m->density[i]);
	}
	return hash(sum);
}

/* The same without the unionized grid, by bisection of each nuclide's own */
static uint64_t look_up_slowly(uint64_t number)
{
	const struct material *m;
	double sum[SECTIONS] = { }, e;
	const struct point *p;
	int i;

	choose(number, &e, &m);
	for (i = 0; i < m->nr; i++) {
		p = &grid[m->nuclide[i] * nr_points];
		p += bisect(&p->energy, sizeof(*p) / sizeof(double), nr_points - 1, e);
		add(sum, p, e, m->density[i]);
	}
	return hash(sum);
}

int main(int argc, char **argv)
{
	static uint64_t nr_lookups = 192 << 10;
	static const struct opt options[] = {
		{ "lookups", 'l', .number = &nr_lookups },
		{ }
	};
	struct roi_result result = {
		.workload = "xsbench", .amount_name = "lookups", .threads = 1,
	};
	const uint64_t per_point = sizeof(struct point) + sizeof(double) + sizeof(*places);
	uint64_t i, h, sum = 0, *checked;
	char more[64];

	program = "xsbench";
	roi_options(argc, argv, options, usage_text);
	nr_points = roi_size / NUCLIDES / per_point;
	if (roi_size < 64 << 10 || roi_size > 1ULL << 40)
		fail(2, "--size: not between 64K and 1024G");
	nr_union = nr_points * NUCLIDES;

	roi_start(1);
	grid = roi_memory(nr_union * sizeof(*grid));
	energies = roi_memory(nr_union * sizeof(*energies));
	places = roi_memory(nr_union * sizeof(*places));
	checked = memory_reserve((nr_lookups / CHECKED + 1) * sizeof(*checked));
	make_materials();
	make_energies();
	make_grids();
	roi_ready(0);

	for (i = 0; i < nr_lookups / 64; i++)
		look_up(nr_lookups + i);
	roi_begin();
	for (i = 0; i < nr_lookups; i++) {
		h = look_up(i);
		sum += h;
		if (i % CHECKED == 0)
			checked[i / CHECKED] = h;
	}
	roi_end();

	for (i = 0; roi_verify && i < nr_lookups; i += CHECKED)
		result.errors += checked[i / CHECKED] != look_up_slowly(i);
	snprintf(more, sizeof(more), " checksum=%016" PRIx64, sum);
	result.more = more;
	result.amount = nr_lookups;
	roi_report(&result);
	if (result.errors)
		fail(1, "%" PRIu64 " look-ups are wrong", result.errors);
	return 0;
}
