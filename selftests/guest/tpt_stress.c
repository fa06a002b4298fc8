// SPDX-License-Identifier: GPL-2.0-only
/*
 * A multi-threaded program that maps, unmaps, forks and verifies its data,
 * while TPT is switched on and off under it.
 *
 * tpt_stress [-t THREADS] [-n STEPS per thread] [-s SEED] [-T (no toggling)]
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tap.h"

#define PAGE	4096UL
#define HUGE	(2UL << 20)
#define AREAS	6
#define MAX_PAGES 1200UL

/* Each page begins with its own number, the area's, and the generation */
struct stamp {
	unsigned long page, area, generation, check;
};

struct area {
	char *base;
	unsigned long pages;
	unsigned long id;
	/* generation of each page; 0: never written since it was zero */
	unsigned int generation[MAX_PAGES];
};

struct worker {
	pthread_t thread;
	unsigned long rng;
	unsigned int number;
	unsigned long steps, maps, unmaps, forks, moves, protects, drops;
	struct area area[AREAS];
	const char *error;
	unsigned long where, step;
};

static unsigned long steps = 400;
static volatile bool stop;
static unsigned long toggles, toggle_errors;
static int toggle_errno;

static unsigned long rnd(struct worker *w)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return w->rng;
}

static unsigned long check_of(const struct stamp *s)
{
	return (s->page * 0x9e3779b97f4a7c15UL) ^ (s->area << 32) ^ s->generation;
}

static void put(struct area *a, unsigned long page, unsigned int generation)
{
	struct stamp s = { page, a->id, generation, 0 };
	struct stamp *p = (struct stamp *)(a->base + page * PAGE);

	s.check = check_of(&s);
	p[0] = s;
	/* and at the end of the page */
	p[PAGE / sizeof(s) - 1] = s;
	a->generation[page] = generation;
}

static bool good(const struct area *a, unsigned long page)
{
	const struct stamp *p = (const struct stamp *)(a->base + page * PAGE);
	const struct stamp *q = p + PAGE / sizeof(*p) - 1;

	if (!a->generation[page])
		return !p->page && !p->area && !p->check && !q->check;
	return p->page == page && p->area == a->id &&
	       p->generation == a->generation[page] && p->check == check_of(p) &&
	       q->check == p->check && q->generation == p->generation;
}

static bool verify(struct worker *w, struct area *a)
{
	unsigned long i;

	for (i = 0; i < a->pages; i++) {
		if (!good(a, i)) {
			w->where = i;
			return false;
		}
	}
	return true;
}

static bool fail(struct worker *w, const char *what)
{
	if (!w->error)
		w->error = what;
	stop = true;
	return false;
}

static bool do_map(struct worker *w, struct area *a)
{
	char *p;

	a->pages = 1 + rnd(w) % (rnd(w) % 4 ? 60 : MAX_PAGES);
	p = mmap(NULL, a->pages * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return fail(w, "mmap");
	a->base = p;
	a->id = rnd(w);
	memset(a->generation, 0, sizeof(a->generation));
	if (rnd(w) & 1)
		madvise(p, a->pages * PAGE, MADV_HUGEPAGE);
	w->maps++;
	return true;
}

static void do_unmap(struct worker *w, struct area *a)
{
	munmap(a->base, a->pages * PAGE);
	a->base = NULL;
	w->unmaps++;
}

static bool do_write(struct worker *w, struct area *a)
{
	unsigned long i, n = 1 + rnd(w) % a->pages, from = rnd(w) % a->pages;

	for (i = 0; i < n; i++) {
		unsigned long page = (from + i) % a->pages;

		if (!good(a, page)) {
			w->where = page;
			return fail(w, "page is wrong before write");
		}
		put(a, page, a->generation[page] + 1);
	}
	return true;
}

static bool do_fork(struct worker *w, struct area *a)
{
	pid_t pid;
	int status;

	pid = fork();
	if (pid < 0)
		return errno == EAGAIN || errno == ENOMEM || fail(w, "fork");
	if (!pid) {
		unsigned long i;

		if (rnd(w) & 1)
			tpt_set("on");
		if (!verify(w, a))
			_exit(1);
		for (i = 0; i < a->pages; i++)
			put(a, i, 1000000 + w->step);
		_exit(verify(w, a) ? 0 : 2);
	}
	/* Break the sharing from this side, while the child looks */
	if (!do_write(w, a))
		return false;
	if (waitpid(pid, &status, 0) != pid)
		return fail(w, "waitpid");
	w->forks++;
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		w->where = status;
		return fail(w, "a child found wrong data");
	}
	return true;
}

static bool do_move(struct worker *w, struct area *a)
{
	char *p, *q;

	p = mmap(NULL, a->pages * PAGE + HUGE, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return fail(w, "mmap");
	/* half of the time so that whole tables can move */
	q = p;
	if (rnd(w) & 1)
		q += (((unsigned long)a->base - (unsigned long)p) & (HUGE - 1));
	if (mremap(a->base, a->pages * PAGE, a->pages * PAGE,
		   MREMAP_MAYMOVE | MREMAP_FIXED, q) != q)
		return fail(w, "mremap");
	if (q > p)
		munmap(p, q - p);
	munmap(q + a->pages * PAGE, p + HUGE - q);
	a->base = q;
	w->moves++;
	return true;
}

static bool do_drop(struct worker *w, struct area *a)
{
	unsigned long from = rnd(w) % a->pages;
	unsigned long i, n = 1 + rnd(w) % (a->pages - from);

	if (madvise(a->base + from * PAGE, n * PAGE, MADV_DONTNEED))
		return fail(w, "madvise");
	for (i = from; i < from + n; i++)
		a->generation[i] = 0;
	w->drops++;
	return true;
}

static bool do_protect(struct worker *w, struct area *a)
{
	unsigned long from = rnd(w) % a->pages;
	unsigned long n = 1 + rnd(w) % (a->pages - from);
	char *p = a->base + from * PAGE;

	mprotect(p, n * PAGE, PROT_READ);
	if (!verify(w, a))
		return fail(w, "wrong data while read-only");
	mprotect(p, n * PAGE, PROT_NONE);
	mprotect(p, n * PAGE, PROT_READ | PROT_WRITE);
	w->protects++;
	return true;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (w->step = 0; w->step < steps && !stop; w->step++) {
		struct area *a = &w->area[rnd(w) % AREAS];

		if (!a->base && !do_map(w, a))
			break;

		switch (rnd(w) % 16) {
		case 0:
			if (!verify(w, a))
				fail(w, "wrong data before munmap");
			do_unmap(w, a);
			continue;
		case 1:
			do_fork(w, a);
			break;
		case 2:
			do_move(w, a);
			break;
		case 3:
			do_drop(w, a);
			break;
		case 4:
			do_protect(w, a);
			break;
		case 5:
			sched_yield();
			break;
		default:
			do_write(w, a);
		}
		if (a->base && !verify(w, a))
			fail(w, "wrong data");
	}
	w->steps = w->step;
	return NULL;
}

static void *toggle(void *arg)
{
	unsigned long rng = 88172645463325252UL;
	volatile unsigned long i;
	ssize_t n;

	(void)arg;
	while (!stop) {
		n = tpt_set(toggles & 1 ? "off" : "on");
		if (n < 0 && n != -ENOMEM) {
			toggle_errors++;
			toggle_errno = -n;
		}
		toggles++;
		rng ^= rng << 13;
		rng ^= rng >> 7;
		rng ^= rng << 17;
		for (i = 0; i < rng % 300000 && !stop; i++)
			;
	}
	return NULL;
}

static void check_twins(void)
{
	unsigned long tables, entries, missing, stale, drift;
	char text[16], result[128];
	int pid;

	snprintf(text, sizeof(text), "%d", getpid());
	if (write_file("/sys/kernel/debug/tpt/check", text) < 0 ||
	    read_file("/sys/kernel/debug/tpt/check", result, sizeof(result)) < 0 ||
	    sscanf(result, "pid %d tables %lu entries %lu missing %lu stale %lu drift %lu",
		   &pid, &tables, &entries, &missing, &stale, &drift) != 6)
		skip("no checker");
	else
		ok(!drift, "no drift: %.*s", (int)strcspn(result, "\n"), result);
}

int main(int argc, char **argv)
{
	unsigned int i, threads = 3;
	unsigned long seed = 1;
	bool toggling = true, passed = true;
	struct worker *workers;
	pthread_t toggler;
	ssize_t n;
	int opt;

	while ((opt = getopt(argc, argv, "t:n:s:T")) != -1) {
		switch (opt) {
		case 't':
			threads = atoi(optarg);
			break;
		case 'n':
			steps = atol(optarg);
			break;
		case 's':
			seed = atol(optarg);
			break;
		case 'T':
			toggling = false;
			break;
		default:
			fprintf(stderr, "usage: tpt_stress [-t THREADS] [-n STEPS] [-s SEED] [-T]\n");
			return 2;
		}
	}

	n = tpt_set("on");
	if (n == -ENOENT || n == -EOPNOTSUPP) {
		skip("no TPT here: %s", strerror(-n));
		return done();
	}

	workers = calloc(threads, sizeof(*workers));
	if (!workers)
		bail("calloc");
	for (i = 0; i < threads; i++) {
		workers[i].number = i;
		workers[i].rng = (seed + i + 1) * 0x9e3779b97f4a7c15UL;
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	if (toggling)
		pthread_create(&toggler, NULL, toggle, NULL);

	for (i = 0; i < threads; i++) {
		struct worker *w = &workers[i];

		pthread_join(w->thread, NULL);
		if (w->error) {
			diag("thread %u step %lu: %s (%#lx)", i, w->step, w->error, w->where);
			passed = false;
		}
	}
	stop = true;
	if (toggling)
		pthread_join(toggler, NULL);

	for (i = 0; i < threads; i++) {
		struct worker *w = &workers[i];

		diag("thread %u: %lu steps, %lu maps, %lu unmaps, %lu forks, %lu moves, %lu protects, %lu drops",
		     i, w->steps, w->maps, w->unmaps, w->forks, w->moves, w->protects, w->drops);
		ok(!w->error && w->steps == steps, "thread %u found all of its data", i);
	}
	if (toggling) {
		ok(!toggle_errors, "TPT was switched %lu times (%lu errors, %s)", toggles,
		   toggle_errors, toggle_errors ? strerror(toggle_errno) : "none");
		tpt_set("on");
	}
	ok(tpt_is_on(), "TPT is on (reason %s)", tpt_field(getpid(), "reason"));
	check_twins();
	diag("faults: %s sync", tpt_field(getpid(), "faults_sync"));
	diag("faults: %s stale", tpt_field(getpid(), "faults_stale"));
	ok(tpt_set("off") == 3 && !strcmp(tpt_field(getpid(), "twin_pages"), "0"),
	   "no twin is left");

	return passed ? done() : (done(), 1);
}
