// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's decision whether a process should use TPT, on the build host.
 *
 *   replay [-p NAME=VALUE]... TRACE...	decide by recorded samples
 *   replay [-p NAME=VALUE]... -m MODEL	decide for a model of a program
 *   replay -w MODEL			write the samples of that, as a trace
 *   replay -l				list models
 *   replay -t [TRACE...]		test: TAP on standard output
 *
 * A trace has a sample per line, as the tracepoint tpt:tpt_sample prints it: pairs
 * of name=value in any order, among other words.  All but pid= and cycles= may be
 * missing and are 0 then.  Lines without these, and those that begin with #, are
 * skipped.  Numbers are decimal.
 *
 * Replayed samples are what they are: whether the process was on is recorded, and
 * whatever was recorded to be switched is reported to the policy, whether or not it
 * would have decided so.  Models are run in closed loop: what is decided changes
 * the next sample.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

static const char * const decision_names[] = { "keep", "ON", "OFF" };
static const char * const phase_names[] = { "off", "verify", "on", "backoff", "compare" };
static const char * const pattern_names[] = { "-", "sequential", "random" };
static const char * const why_names[TPT_WHY_NR] = {
	"none", "no_data", "small_gain", "updates", "cost", "confirming", "gain",
	"verifying", "not_verified", "gain_gone", "backoff", "budget", "failed",
};

static const struct {
	const char *name;
	size_t offset;
} param_table[] = {
#define PARAM(name) { #name, offsetof(struct tpt_params, name) }
	PARAM(interval_ms), PARAM(on_gain), PARAM(off_gain), PARAM(confirm_on),
	PARAM(confirm_off), PARAM(horizon_ms), PARAM(verify), PARAM(backoff),
	PARAM(backoff_max), PARAM(skip_max), PARAM(ratio), PARAM(page_cycles),
	PARAM(update_cycles), PARAM(penalty),
};

static u32 *param(struct tpt_params *p, const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(param_table); i++)
		if (strlen(param_table[i].name) == len &&
		    !strncmp(param_table[i].name, name, len))
			return (u32 *)((char *)p + param_table[i].offset);
	return NULL;
}

static void print_sample(long pid, const struct tpt_sample *s)
{
	printf("pid=%ld cycles=%llu instructions=%llu walks=%llu walk_cycles=%llu updates=%llu update_span=%llu age_ms=%llu khz=%llu rss_pages=%llu on=%d",
	       pid, s->cycles, s->instructions, s->walks, s->walk_cycles,
	       s->updates, s->update_span, s->age_ms, s->khz, s->rss_pages, s->on);
}

static void print_decision(const struct tpt_policy *pol, enum tpt_decision d)
{
	printf(" share=%u.%02u pattern=%s estimated=%.2f verified=%.2f votes=%u phase=%s decision=%s why=%s\n",
	       pol->share / 100, pol->share % 100, pattern_names[pol->pattern],
	       pol->estimated / 100.0, pol->verified / 100.0, pol->votes,
	       phase_names[pol->phase], decision_names[d], why_names[pol->why]);
}

/* ---- Models of programs ---- */

/* What a program does for a number of intervals, on nested paging */
struct part {
	u32 intervals;
	u32 share;		/* walk cycles of all cycles, 1/100 % */
	u32 rate;		/* walks per 1,000,000 instructions */
	u32 updates;		/* page-table updates per interval */
};

struct model {
	const char *name;
	const char *what;
	struct part part[4];	/* by turns */
	u32 intervals;		/* altogether */
	u32 life;		/* of a process: then the next begins; 0: all */
	u32 cpu_ms;		/* CPU time in an interval, on nested paging */
	u32 pages;
	u32 ratio;		/* of walk cycles that remain with TPT, 1/100 % */
	u32 sensor;		/* what it has */
#define NO_INSTRUCTIONS	1
#define NO_WALK_CYCLES	2
	u32 max_switches;	/* that are allowed, and needed */
	u32 min_switches;
	double max_regret;	/* per cent of the best fixed choice */
	double max_changed;	/* the same with any threshold halved or doubled */
};

/*
 * Constants of the models, none of them that of the policy's defaults: 500 MHz is
 * the clock of the CPU model.
 */
#define KHZ		500000ULL
#define WINDOW_MS	100ULL
#define CPI		1.5	/* without walks */
#define ON_PAGE		150.0	/* cycles to switch on, per page */
#define OFF_PAGE	20.0	/* and off */
#define UPDATE		400.0	/* cycles per update while on */
#define SENSOR		100000.0 /* cycles of a window: 0.02 % of a second */

static const struct model models[] = {
	{ "random", "256 MiB at random",
	  { { 1, 4000, 10000, 10 } }, 120, 0, 1000, 65536, 4800, 0,
	  1, 1, 1, 3 },
	{ "random-big", "4 GiB at random",
	  { { 1, 5000, 12000, 10 } }, 120, 0, 1000, 1048576, 3500, 0,
	  1, 1, 1, 3 },
	{ "random-weak", "a gain of 2.6 per cent: on after two windows",
	  { { 1, 500, 700, 10 } }, 120, 0, 1000, 65536, 4800, 0,
	  1, 1, 1, 3 },
	{ "below", "a gain of 1.5 per cent: below the threshold",
	  { { 1, 300, 500, 10 } }, 120, 0, 1000, 65536, 4800, 0,
	  0, 0, 2, 3 },
	{ "sequential", "a sweep",
	  { { 1, 120, 1000, 10 } }, 120, 0, 1000, 65536, 4800, 0,
	  0, 0, 1, 3 },
	{ "ptheavy", "maps and unmaps: updates take more than is gained",
	  { { 1, 1500, 3000, 200000 } }, 120, 0, 1000, 65536, 4800, 0,
	  0, 0, 1, 3 },
	{ "ptheavy-late", "random, then maps and unmaps",
	  { { 60, 2500, 5000, 10 }, { 60, 1000, 2000, 250000 } }, 120, 0, 1000,
	  65536, 4800, 0,
	  2, 2, 1, 3 },
	{ "useless", "walks are not cheaper with TPT",
	  { { 1, 2000, 4000, 10 } }, 500, 0, 1000, 65536, 10000, 0,
	  14, 2, 1, 3 },
	{ "harmful", "walks are dearer with TPT",
	  { { 1, 2000, 4000, 10 } }, 500, 0, 1000, 65536, 12000, 0,
	  14, 2, 1, 3 },
	{ "phase", "20 intervals at random, 20 not",
	  { { 20, 4000, 10000, 10 }, { 20, 50, 500, 10 } }, 240, 0, 1000, 65536,
	  4800, 0,
	  12, 12, 1, 3 },
	{ "phase-ptheavy", "20 intervals at random, 20 map and unmap",
	  { { 20, 4000, 10000, 10 }, { 20, 500, 1000, 300000 } }, 240, 0, 1000,
	  65536, 4800, 0,
	  12, 12, 1, 3 },
	{ "phase-fast", "3 intervals at random, 3 not",
	  { { 3, 4000, 10000, 10 }, { 3, 50, 500, 10 } }, 240, 0, 1000, 65536,
	  4800, 0,
	  5, 1, 1, 3 },
	{ "phase-alternating", "1 interval at random, 1 not",
	  { { 1, 4000, 10000, 10 }, { 1, 50, 500, 10 } }, 240, 0, 1000, 65536,
	  4800, 0,
	  1, 1, 1, 3 },
	/* a horizon of half the length says rightly that one phase does not pay */
	{ "phase-costly", "5 intervals of a gain that 8 GiB do not earn back, 5 not",
	  { { 5, 1700, 2000, 10 }, { 5, 50, 500, 10 } }, 500, 0, 1000, 2097152,
	  4800, 0,
	  6, 1, 1, 5 },
	/*
	 * Always is right for these: twins are built in a fraction of what they
	 * gain.  But a process is looked at before anything is done, and then its
	 * life is over, or half of it.  What counts is to lose nothing.
	 */
	{ "short", "200 processes of 250 ms",
	  { { 1, 2000, 4000, 2000 } }, 200, 1, 250, 20000, 4800, 0,
	  20, 1, 10, 20 },
	{ "short-second", "100 processes of 1 s",
	  { { 1, 3000, 6000, 2000 } }, 200, 2, 500, 65536, 4800, 0,
	  100, 100, 10, 20 },
	{ "no-instructions", "random, instructions are not counted",
	  { { 1, 4000, 10000, 10 } }, 120, 0, 1000, 65536, 4800, NO_INSTRUCTIONS,
	  1, 1, 1, 3 },
	{ "walks-only", "random, cycles of walks are not counted",
	  { { 1, 4000, 10000, 10 } }, 120, 0, 1000, 65536, 4800, NO_WALK_CYCLES,
	  1, 1, 1, 3 },
	{ "useless-walks-only", "useless, cycles of walks are not counted",
	  { { 1, 2000, 4000, 10 } }, 500, 0, 1000, 65536, 10000, NO_WALK_CYCLES,
	  16, 2, 1, 3 },
};

/* The same numbers everywhere: xorshift64* */
static u64 random_state;

/* Between -1 and 1 */
static double noise(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (double)(s64)(random_state * 2685821657736338717ULL) /
	       9223372036854775808.0;
}

enum mode { NEVER, ALWAYS, AUTO };

struct outcome {
	double cycles;
	u32 switches;
	u32 windows;
	u32 first_on;		/* interval, from 1; 0: never */
	double loss;		/* per cent more than never, at most */
};

static const struct part *part_at(const struct model *m, u32 interval)
{
	u32 length = 0, i = 0;

	for (size_t k = 0; k < ARRAY_SIZE(m->part); k++)
		length += m->part[k].intervals;
	interval %= length;
	while (interval >= m->part[i].intervals)
		interval -= m->part[i++].intervals;
	return &m->part[i];
}

/* Cycles of an interval's work, and what a window in it shows */
static double work(const struct model *m, const struct part *part, bool on,
		   struct tpt_sample *s)
{
	double nested = (double)m->cpu_ms * KHZ, share, walk, rest, all;
	double instructions, updates = part->updates, scale;

	/* 5 % of noise on the walks, 1 % on the rest */
	share = part->share / 10000.0;
	walk = nested * share * (1 + 0.05 * noise());
	rest = nested * (1 - share) * (1 + 0.01 * noise());
	instructions = nested * (1 - share) / CPI;
	if (on)
		walk *= m->ratio / 10000.0;
	all = walk + rest + (on ? updates * UPDATE : 0);

	/* a window is part of it, or all if there is no more */
	scale = WINDOW_MS * (double)KHZ / all;
	if (scale > 1)
		scale = 1;
	*s = (struct tpt_sample) {
		.cycles = all * scale,
		.instructions = m->sensor & NO_INSTRUCTIONS ? 0 :
				(u64)(instructions * scale),
		.walks = instructions * scale * part->rate / 1e6,
		.walk_cycles = m->sensor & NO_WALK_CYCLES ? 0 :
			       (u64)(walk * scale),
		.updates = updates,
		.update_span = all,
		.khz = KHZ,
		.rss_pages = m->pages,
		.on = on,
	};
	return all;
}

static struct outcome run(const struct model *m, const struct tpt_params *p,
			  enum mode mode, u64 seed, bool verbose, bool trace)
{
	struct tpt_learned sys = { };
	struct tpt_history hist = { };
	struct tpt_policy pol;
	struct outcome o = { };
	struct tpt_sample s;
	double age = 0;
	long pid = 1000;
	bool on = false;

	random_state = seed * 2 + 1;
	tpt_policy_init(&pol, NULL);
	for (u32 i = 0; i < m->intervals; i++) {
		enum tpt_decision d;
		double cycles;

		if (m->life && i % m->life == 0) {
			if (i && mode == AUTO) {
				tpt_policy_exit(&pol, p, age / KHZ, KHZ);
				hist = pol.hist;
				tpt_policy_init(&pol, &hist);
			}
			pid++;
			on = false;
			age = 0;
		}
		if (mode == ALWAYS && !on) {
			on = true;
			o.switches++;
			o.cycles += ON_PAGE * m->pages;
		}
		cycles = work(m, part_at(m, i), on, &s);
		/* the window ends with the interval, and what is decided comes after */
		s.age_ms = (age + cycles) / KHZ;
		age += cycles;
		o.cycles += cycles;
		if (mode != AUTO || !tpt_policy_due(&pol))
			continue;

		o.windows++;
		o.cycles += SENSOR;
		d = tpt_policy_sample(&pol, p, &s, &sys);
		if (verbose || trace) {
			print_sample(pid, &s);
			if (verbose)
				print_decision(&pol, d);
			else
				putchar('\n');
		}
		/* where is it now?  At the end of a short process it is gone */
		if (d == TPT_TURN_ON) {
			on = true;
			if (!o.first_on)
				o.first_on = i + 1;
			o.switches++;
			o.cycles += ON_PAGE * m->pages;
			tpt_policy_switched(&pol, p, true, ON_PAGE * m->pages,
					    m->pages, &sys);
		} else if (d == TPT_TURN_OFF) {
			on = false;
			o.switches++;
			o.cycles += OFF_PAGE * m->pages;
			tpt_policy_switched(&pol, p, false, OFF_PAGE * m->pages,
					    m->pages, &sys);
		}
	}
	return o;
}

#define SEEDS	5

/* Per cent more than the best fixed choice: mean of seeds; switches: most of all */
static double regret(const struct model *m, const struct tpt_params *p,
		     struct outcome *worst)
{
	double sum = 0;

	*worst = (struct outcome) { .loss = -100 };
	for (u64 seed = 1; seed <= SEEDS; seed++) {
		double never = run(m, p, NEVER, seed, false, false).cycles;
		double always = run(m, p, ALWAYS, seed, false, false).cycles;
		struct outcome o = run(m, p, AUTO, seed, false, false);

		sum += 100 * (o.cycles / fmin(never, always) - 1);
		worst->switches = o.switches > worst->switches ?
				  o.switches : worst->switches;
		worst->first_on = o.first_on > worst->first_on ?
				  o.first_on : worst->first_on;
		worst->windows += o.windows;
		worst->loss = fmax(worst->loss, 100 * (o.cycles / never - 1));
	}
	return sum / SEEDS;
}

static const struct model *find_model(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(models); i++)
		if (!strcmp(models[i].name, name))
			return &models[i];
	fprintf(stderr, "replay: no model \"%s\": see replay -l\n", name);
	exit(2);
}

/* ---- Recorded samples ---- */

static bool field(const char *line, const char *name, u64 *value)
{
	size_t n = strlen(name);
	const char *at = line;

	while ((at = strstr(at, name))) {
		if ((at == line || strchr(" \t:", at[-1])) && at[n] == '=' &&
		    at[n + 1] >= '0' && at[n + 1] <= '9') {
			errno = 0;
			*value = strtoull(at + n + 1, NULL, 10);
			return !errno;
		}
		at += n;
	}
	return false;
}

static bool parse(const char *line, long *pid, struct tpt_sample *s)
{
	u64 id, on = 0;

	memset(s, 0, sizeof(*s));
	if (*line == '#' || !field(line, "pid", &id) ||
	    !field(line, "cycles", &s->cycles))
		return false;
	field(line, "instructions", &s->instructions);
	field(line, "walks", &s->walks);
	field(line, "walk_cycles", &s->walk_cycles);
	field(line, "updates", &s->updates);
	field(line, "update_span", &s->update_span);
	field(line, "age_ms", &s->age_ms);
	field(line, "khz", &s->khz);
	field(line, "rss_pages", &s->rss_pages);
	field(line, "on", &on);
	s->on = on;
	*pid = id;
	return true;
}

struct process {
	long pid;
	bool on;
	enum tpt_decision last;
	struct tpt_policy pol;
	struct process *next;
};

struct tally {
	u32 samples, processes, decisions;
	u32 switches, explained;	/* recorded, and decided likewise */
};

/* A recorded trace: samples go to the policy as they are */
static int replay(const char *name, const struct tpt_params *p, bool verbose,
		  struct tally *t)
{
	FILE *f = strcmp(name, "-") ? fopen(name, "r") : stdin;
	struct tpt_learned sys = { };
	struct process *all = NULL, *q;
	struct tpt_sample s;
	size_t size = 0;
	char *line = NULL;
	long pid;

	memset(t, 0, sizeof(*t));
	if (!f) {
		fprintf(stderr, "replay: %s: %s\n", name, strerror(errno));
		return 1;
	}
	while (getline(&line, &size, f) > 0) {
		enum tpt_decision d;

		if (!parse(line, &pid, &s))
			continue;
		for (q = all; q && q->pid != pid; q = q->next)
			;
		if (!q) {
			q = calloc(1, sizeof(*q));
			if (!q)
				abort();
			q->pid = pid;
			q->next = all;
			all = q;
			tpt_policy_init(&q->pol, NULL);
			t->processes++;
		}
		if (s.on != q->on) {
			t->switches++;
			t->explained += q->last == (s.on ? TPT_TURN_ON :
							   TPT_TURN_OFF);
			q->on = s.on;
			/* what it took is not recorded */
			tpt_policy_switched(&q->pol, p, s.on,
					    s.rss_pages * p->page_cycles,
					    s.rss_pages, &sys);
		}
		/* it was sampled, so it was due */
		if (q->pol.phase == TPT_PHASE_BACKOFF && !s.on)
			while (!tpt_policy_due(&q->pol))
				;
		t->samples++;
		d = tpt_policy_sample(&q->pol, p, &s, &sys);
		q->last = d;
		t->decisions += d != TPT_KEEP;
		if (verbose) {
			print_sample(pid, &s);
			print_decision(&q->pol, d);
		}
	}
	free(line);
	if (f != stdin)
		fclose(f);
	while (all) {
		q = all->next;
		free(all);
		all = q;
	}
	return 0;
}

/* ---- Tests ---- */

static int number, failures;

static void __attribute__((format(printf, 2, 3)))
ok(bool passed, const char *format, ...)
{
	va_list ap;

	printf("%sok %d - ", passed ? "" : "not ", ++number);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	failures += !passed;
}

static void test_models(void)
{
	struct outcome o;

	for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
		const struct model *m = &models[i];
		double r = regret(m, &tpt_params_default, &o);

		ok(r <= m->max_regret, "%s: regret %.2f %%, at most %.0f", m->name,
		   r, m->max_regret);
		ok(o.switches >= m->min_switches && o.switches <= m->max_switches,
		   "%s: %u switches, %u to %u", m->name, o.switches,
		   m->min_switches, m->max_switches);
		ok(o.loss <= 0.5, "%s: %.2f %% worse than nested paging, at most 0.5",
		   m->name, o.loss);
	}
	regret(find_model("random"), &tpt_params_default, &o);
	ok(o.first_on && o.first_on <= 3, "random: on in interval %u, of 3",
	   o.first_on);
	regret(find_model("random-weak"), &tpt_params_default, &o);
	ok(o.first_on && o.first_on <= 3, "random-weak: on in interval %u, of 3",
	   o.first_on);
	/* what does not change is looked at once in four intervals */
	regret(find_model("sequential"), &tpt_params_default, &o);
	ok(o.windows <= SEEDS * (120 / 4 + 3), "sequential: %u windows in %u",
	   o.windows / SEEDS, 120);
}

/* One threshold is not what it should be */
static void test_sensitivity(void)
{
	for (size_t k = 0; k < ARRAY_SIZE(param_table); k++) {
		const char *name = param_table[k].name;

		/* the caller's: nothing here depends on it */
		if (!strcmp(name, "interval_ms"))
			continue;
		for (int twice = 0; twice < 2; twice++) {
			struct tpt_params p = tpt_params_default;
			u32 *v = param(&p, name, strlen(name));
			double worst = -100;
			const char *where = "";
			bool bad = false;

			/* what is halved and doubled is what TPT saves */
			if (!strcmp(name, "ratio"))
				*v = twice ? 0 : TPT_ONE - (TPT_ONE - *v) / 2;
			else
				*v = twice ? *v * 2 : (*v + 1) / 2;
			if (!*v)
				*v = 500;
			if (p.off_gain > p.on_gain)
				p.off_gain = p.on_gain;
			if (p.backoff > p.backoff_max)
				p.backoff = p.backoff_max;
			for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
				struct outcome o;
				double r = regret(&models[i], &p, &o);

				if (r > models[i].max_changed) {
					printf("# %s: %.2f %%\n",
					       models[i].name, r);
					bad = true;
				}
				if (!models[i].life && r > worst) {
					worst = r;
					where = models[i].name;
				}
			}
			ok(!bad, "%s = %u: regret at most %.2f %% (%s), short-lived apart",
			   name, *v, worst, where);
		}
	}
}

static void test_parser(void)
{
	struct tpt_sample s;
	long pid;

	ok(parse("  kthread-12 [000] ..... 1.0: tpt_sample: pid=7 cycles=1 instructions=2 walks=3 walk_cycles=4 updates=5 update_span=6 age_ms=8 khz=9 rss_pages=10 on=1",
		 &pid, &s) && pid == 7 && s.cycles == 1 && s.instructions == 2 &&
	   s.walks == 3 && s.walk_cycles == 4 && s.updates == 5 &&
	   s.update_span == 6 && s.age_ms == 8 && s.khz == 9 &&
	   s.rss_pages == 10 && s.on, "parser: all fields");
	/* a name is not taken for the end of another one */
	ok(parse("pid=7 walk_cycles=4 cycles=1", &pid, &s) && s.cycles == 1 &&
	   s.walk_cycles == 4 && !s.walks && !s.on, "parser: other order");
	ok(!parse("# pid=7 cycles=1", &pid, &s), "parser: comment");
	ok(!parse("pid=7 walk_cycles=4", &pid, &s), "parser: no cycles");
	ok(!parse("pid=7 cycles=-1", &pid, &s), "parser: negative");
}

static void test_trace(const char *name)
{
	struct tally t;
	int error = replay(name, &tpt_params_default, false, &t);

	/* when is a matter of what switching took, which is not recorded; whether is not */
	ok(!error && t.samples && t.explained == t.switches &&
	   (t.switches || !t.decisions),
	   "trace %s: %u samples of %u processes, %u switches, %u decided likewise",
	   name, t.samples, t.processes, t.switches, t.explained);
}

int main(int argc, char **argv)
{
	struct tpt_params p = tpt_params_default;
	bool test = false, trace = false;
	const char *model = NULL;
	int c, status = 0;
	char *equals;
	u32 *value;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt(argc, argv, "p:m:w:lt")) != -1) {
		switch (c) {
		case 'p':
			equals = strchr(optarg, '=');
			value = equals ? param(&p, optarg, equals - optarg) : NULL;
			if (!value) {
				fprintf(stderr, "replay: no parameter \"%s\"\n",
					optarg);
				return 2;
			}
			*value = strtoul(equals + 1, NULL, 10);
			break;
		case 'w':
			trace = true;
			/* fall through */
		case 'm':
			model = optarg;
			break;
		case 'l':
			for (size_t i = 0; i < ARRAY_SIZE(models); i++)
				printf("%-20s %s\n", models[i].name,
				       models[i].what);
			return 0;
		case 't':
			test = true;
			break;
		default:
			fprintf(stderr, "usage: replay [-p NAME=VALUE]... TRACE... | -m MODEL | -w MODEL | -l | -t [TRACE...]\n");
			return 2;
		}
	}
	if (!tpt_params_valid(&p)) {
		fprintf(stderr, "replay: these parameters are not valid\n");
		return 2;
	}
	if (test) {
		test_parser();
		test_models();
		test_sensitivity();
		for (; optind < argc; optind++)
			test_trace(argv[optind]);
		printf("1..%d\n", number);
		return !!failures;
	}
	if (model) {
		const struct model *m = find_model(model);
		struct outcome o = run(m, &p, AUTO, 1, !trace, trace);
		double never = run(m, &p, NEVER, 1, false, false).cycles;
		double always = run(m, &p, ALWAYS, 1, false, false).cycles;

		if (!trace)
			printf("# cycles: auto %.0f, never %.0f, always %.0f; regret %.2f %%; switches %u, windows %u\n",
			       o.cycles, never, always,
			       100 * (o.cycles / fmin(never, always) - 1),
			       o.switches, o.windows);
		return 0;
	}
	for (; optind < argc; optind++) {
		struct tally t;

		status |= replay(argv[optind], &p, true, &t);
		printf("# %s: %u samples of %u processes, %u decisions, %u switches recorded, %u of them decided likewise\n",
		       argv[optind], t.samples, t.processes, t.decisions,
		       t.switches, t.explained);
	}
	return status;
}
