// SPDX-License-Identifier: GPL-2.0-only
/*
 * graph: PageRank, breadth-first search and connected components on Kronecker graphs,
 * after the rules of the GAP benchmark suite (Beamer, Asanovic, Patterson: The GAP
 * benchmark suite, arXiv:1508.03619, 2015): 16 edges for each vertex, Graph500's
 * probabilities, vertices renumbered, edges used in both directions.
 *
 * The graph is there twice: as the list of edges that was generated, from which all
 * checks start, and as the neighbours of each vertex, which the algorithms use.
 * Numbers of vertices have 64 bits, as in Graph500's reference implementation.
 */
#include <inttypes.h>
#include <string.h>

#include "roi.h"

#define NONE UINT64_MAX

/* Levels of the Kronecker product that one random number decides */
#define LEVELS		7
#define OUTCOMES	(1 << 2 * LEVELS)

/* A number of 32 bits chooses an outcome, and with the rest of its bits whether to keep it. */
#define KEEP_BITS	(32 - 2 * LEVELS)

#define MAX_SCALE	(4 * LEVELS)

#define DAMPING .85

static const char usage_text[] =
"usage: graph PROGRAM [OPTION...]\n"
"programs:\n"
"  pr     PageRank\n"
"  bfs    breadth-first search, direction-optimizing, from several vertices\n"
"  cc     connected components, Afforest\n"
"options:\n"
"  -s, --size=BYTES      about the size of the graph; K, M, G (256M)\n"
"  -k, --degree=N        edges for each vertex (16)\n"
"  -i, --iterations=N    pr: timed iterations (3)\n"
"  -r, --sources=N       bfs: timed searches, 64 at most (4)\n"
"  -n, --rounds=N        cc: how often all of it is done and timed (6)\n"
ROI_USAGE
"\n"
"Prints one line of key=value words.  Exit status: 0; 1 an error, or the result is\n"
"wrong; 2 wrong usage.\n";

struct edge {
	uint64_t u, v;
};

static uint64_t degree = 16;
static unsigned int scale;
static uint64_t nr_vertices, nr_edges;
static struct edge *edges;
static uint64_t *first;		/* [nr_vertices + 2]: where its neighbours begin */
static uint64_t *neighbours;	/* [2 * nr_edges] */

/*
 * Edges.  The quadrant of the adjacency matrix is chosen on each level with
 * probabilities .57, .19, .19, .05 (Graph500).  To choose it on LEVELS levels at once
 * takes one look into a table of all their outcomes, by the alias method (Walker:
 * An efficient method for generating discrete random variables with general
 * distributions, ACM TOMS 3, 1977).
 */
static struct {
	/*
	 * Outcomes, which are bits of the numbers of an edge's vertices: of the first from
	 * bit 32 on, of the second from bit 0 on.
	 */
	uint64_t bits[2];
	uint32_t limit;		/* from which number of KEEP_BITS on the second is meant */
} outcomes[OUTCOMES];

static void make_outcomes(void)
{
	static const double quadrant[4] = { .57, .19, .19, .05 };
	static double p[OUTCOMES];
	static int small[OUTCOMES], large[OUTCOMES];
	int i, l, nr_small = 0, nr_large = 0;

	for (i = 0; i < OUTCOMES; i++) {
		p[i] = OUTCOMES;
		for (l = 0; l < LEVELS; l++)
			p[i] *= quadrant[(i >> l & 1) | (i >> (l + LEVELS) & 1) << 1];
		outcomes[i].bits[0] = (uint64_t)(i >> LEVELS) << 32 | i % (1 << LEVELS);
		outcomes[i].limit = 1 << KEEP_BITS;
		if (p[i] < 1)
			small[nr_small++] = i;
		else
			large[nr_large++] = i;
	}
	while (nr_small && nr_large) {
		int s = small[--nr_small], b = large[nr_large - 1];

		outcomes[s].limit = p[s] * (1 << KEEP_BITS);
		outcomes[s].bits[1] = outcomes[b].bits[0];
		p[b] -= 1 - p[s];
		if (p[b] < 1) {
			nr_large--;
			small[nr_small++] = b;
		}
	}
}

static inline uint64_t choose(uint32_t random)
{
	uint32_t i = random % OUTCOMES;

	return outcomes[i].bits[random >> 2 * LEVELS >= outcomes[i].limit];
}

/* A bijection of the numbers below 2^scale, so that no number shows a degree */
static inline uint64_t renumber(uint64_t v)
{
	v = v * 0x9e3779b97f4a7c15 & (nr_vertices - 1);
	return v ^ v >> (scale + 1) / 2;
}

static inline struct edge make_edge(uint64_t *seed)
{
	uint64_t mask = nr_vertices - 1, r = random64(seed), bits;

	bits = choose(r) << LEVELS | choose(r >> 32);
	if (scale > 2 * LEVELS) {
		r = random64(seed);
		bits = bits << LEVELS | choose(r);
		if (scale > 3 * LEVELS)
			bits = bits << LEVELS | choose(r >> 32);
	}
	return (struct edge){ renumber(bits >> 32 & mask), renumber(bits & mask) };
}

static uint64_t vertex_degree(uint64_t v)
{
	return first[v + 1] - first[v];
}

/*
 * Edges between the same two ranges of vertices stand together, so that what is done
 * edge by edge, here and in the checks, needs few pages at a time.
 */
#define RANGE_BITS	8
#define DIGIT_BITS	4

static unsigned int digit(const struct edge *e, unsigned int shift)
{
	unsigned int range = scale > RANGE_BITS ? scale - RANGE_BITS : 0;

	return ((e->u >> range) << RANGE_BITS | e->v >> range) >> shift & ((1 << DIGIT_BITS) - 1);
}

static void sort_edges(const struct edge *from, struct edge *to, unsigned int shift)
{
	uint64_t place[(1 << DIGIT_BITS) + 1] = { }, i;

	for (i = 0; i < nr_edges; i++)
		place[digit(&from[i], shift) + 1]++;
	for (i = 1; i < 1 << DIGIT_BITS; i++)
		place[i] += place[i - 1];
	for (i = 0; i < nr_edges; i++)
		to[place[digit(&from[i], shift)]++] = from[i];
}

static void make_graph(void)
{
	struct edge *other = (struct edge *)neighbours;
	uint64_t seed = 1, i;

	make_outcomes();
	for (i = 0; i < nr_edges; i++) {
		/* no loops */
		do {
			edges[i] = make_edge(&seed);
		} while (edges[i].u == edges[i].v);
	}
	for (i = 0; i < 2 * RANGE_BITS; i += 2 * DIGIT_BITS) {
		sort_edges(edges, other, i);
		sort_edges(other, edges, i + DIGIT_BITS);
	}
	for (i = 0; i < nr_edges; i++) {
		first[edges[i].u + 2]++;
		first[edges[i].v + 2]++;
	}
	for (i = 2; i < nr_vertices + 2; i++)
		first[i] += first[i - 1];
	/* first[v + 1] is where the next neighbour of v goes, and in the end where they end */
	for (i = 0; i < nr_edges; i++) {
		neighbours[first[edges[i].u + 1]++] = edges[i].v;
		neighbours[first[edges[i].v + 1]++] = edges[i].u;
	}
}

static uint64_t *vertex_words(void)
{
	return roi_memory(nr_vertices * sizeof(uint64_t));
}

static uint64_t checksum(const void *result)
{
	const uint64_t *words = result;
	uint64_t v, sum = 0;

	for (v = 0; v < nr_vertices; v++)
		sum += mix64(words[v] + (v << 32));
	return sum;
}

/*
 * PageRank: each iteration sums, for each vertex, what its neighbours contribute.
 * Vertices without neighbours give to all alike, so that the sum of the ranks stays 1.
 */
static double *rank, *contribution;
static double base;

static void pagerank(uint64_t iterations)
{
	uint64_t i, v, e;
	double sum;

	for (i = 0; i < iterations; i++) {
		sum = 0;
		for (v = 0; v < nr_vertices; v++) {
			if (vertex_degree(v))
				contribution[v] = rank[v] / vertex_degree(v);
			else
				sum += rank[v];
		}
		base = (1 - DAMPING + DAMPING * sum) / nr_vertices;
		for (v = 0; v < nr_vertices; v++) {
			sum = 0;
			for (e = first[v]; e < first[v + 1]; e++)
				sum += contribution[neighbours[e]];
			rank[v] = base + DAMPING * sum;
		}
	}
}

/*
 * The last iteration again, edge by edge.  It adds in another order, so the ranks may
 * differ by rounding.
 */
static uint64_t pagerank_errors(void)
{
	double *sum = memory_reserve(nr_vertices * sizeof(*sum)), all = 0, d;
	uint64_t i, errors = 0;

	for (i = 0; i < nr_edges; i++) {
		sum[edges[i].u] += contribution[edges[i].v];
		sum[edges[i].v] += contribution[edges[i].u];
	}
	for (i = 0; i < nr_vertices; i++) {
		d = base + DAMPING * sum[i] - rank[i];
		errors += !(d < 1e-9 * rank[i] && -d < 1e-9 * rank[i]);
		all += rank[i];
	}
	return errors + !(all > 1 - 1e-9 && all < 1 + 1e-9);
}

/*
 * Breadth-first search: top down while few vertices have been reached, else bottom up
 * (Beamer, Asanovic, Patterson: Direction-optimizing breadth-first search, SC 2012).
 */
#define ALPHA 15
#define BETA 18

/* Deeper than anything, and far from NONE */
#define UNREACHED (1ULL << 40)

static uint64_t *queue;			/* all vertices reached, in their order */
static uint64_t queue_begin, queue_end;	/* those of the last step */
static uint64_t *front, *next;		/* the same as bitmaps */

static bool in_bitmap(const uint64_t *bitmap, uint64_t v)
{
	return bitmap[v / 64] >> v % 64 & 1;
}

static void add_to_bitmap(uint64_t *bitmap, uint64_t v)
{
	bitmap[v / 64] |= 1ULL << v % 64;
}

static uint64_t bitmap_bytes(void)
{
	return (nr_vertices + 63) / 64 * sizeof(uint64_t);
}

/* Returns the number of edges of the vertices that were reached. */
static uint64_t step_down(uint64_t *parent)
{
	uint64_t i, e, u, v, end = queue_end, found = 0;

	for (i = queue_begin; i < end; i++) {
		u = queue[i];
		for (e = first[u]; e < first[u + 1]; e++) {
			v = neighbours[e];
			if (parent[v] != NONE)
				continue;
			parent[v] = u;
			queue[queue_end++] = v;
			found += vertex_degree(v);
		}
	}
	queue_begin = end;
	return found;
}

/* Returns the number of vertices that were reached. */
static uint64_t step_up(uint64_t *parent)
{
	uint64_t v, e, *bitmap, found = 0;

	memset(next, 0, bitmap_bytes());
	for (v = 0; v < nr_vertices; v++) {
		if (parent[v] != NONE)
			continue;
		for (e = first[v]; e < first[v + 1]; e++) {
			if (in_bitmap(front, neighbours[e])) {
				parent[v] = neighbours[e];
				add_to_bitmap(next, v);
				found++;
				break;
			}
		}
	}
	bitmap = front;
	front = next;
	next = bitmap;
	return found;
}

static void search(uint64_t source, uint64_t *parent)
{
	uint64_t left = 2 * nr_edges, found = vertex_degree(source), before, now, v;

	memset(parent, 0xff, nr_vertices * sizeof(*parent));
	parent[source] = source;
	queue[0] = source;
	queue_begin = 0;
	queue_end = 1;
	while (queue_begin < queue_end) {
		if (found <= left / ALPHA) {
			left -= found;
			found = step_down(parent);
			continue;
		}
		memset(front, 0, bitmap_bytes());
		for (v = queue_begin; v < queue_end; v++)
			add_to_bitmap(front, queue[v]);
		now = queue_end - queue_begin;
		do {
			before = now;
			now = step_up(parent);
		} while (now >= before || now > nr_vertices / BETA);
		queue_begin = 0;
		queue_end = 0;
		for (v = 0; v < nr_vertices; v++)
			if (in_bitmap(front, v))
				queue[queue_end++] = v;
		found = 1;
	}
}

/*
 * How deep each vertex is in the tree; queue is a stack here.  Returns the number of
 * vertices from which the way up does not end at the source.
 */
static uint64_t find_depths(uint64_t source, const uint64_t *parent, uint64_t *depth)
{
	uint64_t u, v, n, errors = 0;

	for (v = 0; v < nr_vertices; v++)
		depth[v] = UNREACHED;
	depth[source] = 0;
	for (v = 0; v < nr_vertices; v++) {
		for (n = 0, u = v; parent[u] < nr_vertices && depth[u] == UNREACHED; u = parent[u]) {
			if (n == nr_vertices)
				return errors + 1;	/* a circle */
			queue[n++] = u;
		}
		errors += n && depth[u] == UNREACHED;
		while (n--)
			depth[queue[n]] = depth[parent[queue[n]]] + 1;
	}
	return errors;
}

/*
 * As Graph500 validates: the tree has no circles, each of its edges is in the graph,
 * and no edge of the graph leaves the tree or spans more than one level.  This makes
 * the depths right: an edge that goes up one level per step is a shortest way as none
 * goes up more.
 */
static uint64_t search_errors(uint64_t source, const uint64_t *parent)
{
	uint64_t *depth = memory_reserve(nr_vertices * sizeof(*depth));
	uint64_t i, u, v, errors;

	errors = parent[source] != source;
	errors += find_depths(source, parent, depth);
	memset(next, 0, bitmap_bytes());	/* whose edge to the parent is there */
	for (i = 0; i < nr_edges; i++) {
		u = edges[i].u;
		v = edges[i].v;
		/* unsigned, so that both signs of the difference are seen */
		errors += depth[u] - depth[v] + 1 > 2;
		if (parent[u] == v)
			add_to_bitmap(next, u);
		if (parent[v] == u)
			add_to_bitmap(next, v);
	}
	for (v = 0; v < nr_vertices; v++)
		errors += v != source && parent[v] != NONE && !in_bitmap(next, v);
	memory_release(depth, nr_vertices * sizeof(*depth));
	return errors;
}

/*
 * Connected components: joins each vertex with its first two neighbours, then only what
 * is not in the largest component by then with the rest of its neighbours (Sutton,
 * Ben-Nun, Barak: Optimizing parallel graph connectivity computation via subgraph
 * sampling, IPDPS 2018).  In the end a component is the number of its first vertex.
 */
#define SAMPLED_NEIGHBOURS 2
#define SAMPLES 1024

static uint64_t *component;

static void join(uint64_t u, uint64_t v)
{
	uint64_t a = component[u], b = component[v], high, low;

	while (a != b) {
		high = a > b ? a : b;
		low = a > b ? b : a;
		if (component[high] == high) {
			component[high] = low;
			return;
		}
		a = component[component[high]];
		b = component[low];
	}
}

static void shorten_ways(void)
{
	uint64_t v;

	for (v = 0; v < nr_vertices; v++)
		while (component[v] != component[component[v]])
			component[v] = component[component[v]];
}

static uint64_t largest_component(void)
{
	uint64_t sample[SAMPLES], seed = 2, best = 0, i, j, n, most = 0;

	for (i = 0; i < SAMPLES; i++)
		sample[i] = component[below(random64(&seed), nr_vertices)];
	for (i = 0; i < SAMPLES && most < SAMPLES / 2; i++) {
		for (n = 0, j = i; j < SAMPLES; j++)
			n += sample[j] == sample[i];
		if (n > most) {
			most = n;
			best = sample[i];
		}
	}
	return best;
}

static void find_components(void)
{
	uint64_t v, e, largest;
	int k;

	for (v = 0; v < nr_vertices; v++)
		component[v] = v;
	for (k = 0; k < SAMPLED_NEIGHBOURS; k++) {
		for (v = 0; v < nr_vertices; v++)
			if (first[v] + k < first[v + 1])
				join(v, neighbours[first[v] + k]);
		shorten_ways();
	}
	largest = largest_component();
	for (v = 0; v < nr_vertices; v++) {
		if (component[v] == largest)
			continue;
		for (e = first[v] + SAMPLED_NEIGHBOURS; e < first[v + 1]; e++)
			join(v, neighbours[e]);
	}
	shorten_ways();
}

static uint64_t find_root(uint64_t *root, uint64_t v)
{
	for (; root[v] != v; v = root[v])
		root[v] = root[root[v]];
	return v;
}

/* Union-find, edge by edge, whose roots are first vertices as well */
static uint64_t component_errors(void)
{
	uint64_t *root = memory_reserve(nr_vertices * sizeof(*root));
	uint64_t i, u, v, errors = 0;

	for (v = 0; v < nr_vertices; v++)
		root[v] = v;
	for (i = 0; i < nr_edges; i++) {
		u = find_root(root, edges[i].u);
		v = find_root(root, edges[i].v);
		if (u < v)
			root[v] = u;
		else
			root[u] = v;
	}
	for (v = 0; v < nr_vertices; v++)
		errors += component[v] != find_root(root, v);
	return errors;
}

static uint64_t nr_iterations = 3, nr_sources = 4, nr_rounds = 6;
static uint64_t result_sum, result_errors;

static void run_pagerank(void)
{
	uint64_t v;

	rank = (double *)vertex_words();
	contribution = (double *)vertex_words();
	for (v = 0; v < nr_vertices; v++)
		rank[v] = 1. / nr_vertices;
	roi_ready(0);
	roi_begin();
	pagerank(nr_iterations);
	roi_end();
	result_sum = checksum(rank);
	if (roi_verify && nr_iterations)
		result_errors = pagerank_errors();
}

static void run_bfs(void)
{
	uint64_t seed = 3, n, *sources, *parents;

	sources = memory_reserve(nr_sources * sizeof(*sources));
	for (n = 0; n < nr_sources; n++) {
		do {
			sources[n] = below(random64(&seed), nr_vertices);
		} while (!vertex_degree(sources[n]));
	}
	parents = roi_memory(nr_sources * nr_vertices * sizeof(*parents));
	queue = vertex_words();
	front = roi_memory(bitmap_bytes());
	next = roi_memory(bitmap_bytes());
	roi_ready(0);
	roi_begin();
	for (n = 0; n < nr_sources; n++)
		search(sources[n], parents + n * nr_vertices);
	roi_end();
	for (n = 0; n < nr_sources; n++) {
		result_sum += checksum(parents + n * nr_vertices);
		if (roi_verify)
			result_errors += search_errors(sources[n], parents + n * nr_vertices);
	}
}

static void run_components(void)
{
	uint64_t n;

	component = vertex_words();
	roi_ready(0);
	roi_begin();
	for (n = 0; n < nr_rounds; n++)
		find_components();
	roi_end();
	result_sum = checksum(component);
	if (roi_verify && nr_rounds)
		result_errors = component_errors();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *workload, *amount_name;
		uint64_t *amount;
		void (*run)(void);
	} programs[] = {
		{ "pagerank", "iterations", &nr_iterations, run_pagerank },
		{ "bfs", "sources", &nr_sources, run_bfs },
		{ "cc", "rounds", &nr_rounds, run_components },
	};
	static const char *const names[] = { "pr", "bfs", "cc", NULL };
	static const struct opt options[] = {
		{ "degree", 'k', .number = &degree },
		{ "iterations", 'i', .number = &nr_iterations },
		{ "sources", 'r', .number = &nr_sources },
		{ "rounds", 'n', .number = &nr_rounds },
		{ }
	};
	struct roi_result result = { .threads = 1 };
	uint64_t per_vertex;
	char more[128];
	int n;

	program = "graph";
	n = parse_name(argc, argv, names, usage_text);
	roi_options(argc, argv, options, usage_text);
	if (degree < 1 || degree > 1024)
		fail(2, "--degree: not between 1 and 1024");
	if (nr_sources > 64)
		fail(2, "--sources: more than 64");
	/* and some words for each vertex */
	per_vertex = degree * (sizeof(struct edge) + 2 * sizeof(*neighbours)) +
		     5 * sizeof(*first);
	while (scale < MAX_SCALE && per_vertex << scale <= roi_size / 2 + roi_size / 8)
		scale++;
	if (scale < 5)
		fail(2, "--size: too small for a graph");
	nr_vertices = 1ULL << scale;
	nr_edges = degree * nr_vertices;

	roi_start(1);
	edges = roi_memory(nr_edges * sizeof(*edges));
	first = roi_memory((nr_vertices + 2) * sizeof(*first));
	neighbours = roi_memory(2 * nr_edges * sizeof(*neighbours));
	make_graph();
	programs[n].run();

	snprintf(more, sizeof(more), " vertices=%" PRIu64 " edges=%" PRIu64 " checksum=%016" PRIx64,
		 nr_vertices, nr_edges, result_sum);
	result.workload = programs[n].workload;
	result.amount_name = programs[n].amount_name;
	result.amount = *programs[n].amount;
	result.errors = result_errors;
	result.more = more;
	roi_report(&result);
	if (result.errors)
		fail(1, "the result is wrong in %" PRIu64 " places", result.errors);
	return 0;
}
