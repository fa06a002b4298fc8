// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory management under TPT: each case runs with TPT on, has to behave as
 * without, and has to leave twins that agree with the page tables.
 */
#define _GNU_SOURCE
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "tap.h"

#define PAGE	4096UL
#define HUGE	(2UL << 20)

#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static sigjmp_buf jump;
static volatile int fault_code;
static void * volatile fault_address;

static void on_segv(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	fault_code = info->si_code;
	fault_address = info->si_addr;
	siglongjmp(jump, 1);
}

/* Returns the si_code of the SIGSEGV that an access raises, or 0 */
static int try_read(volatile char *p)
{
	if (sigsetjmp(jump, 1))
		return fault_code;
	(void)*p;
	return 0;
}

static int try_write(volatile char *p)
{
	if (sigsetjmp(jump, 1))
		return fault_code;
	*p = 1;
	return 0;
}

static int try_call(void *p)
{
	if (sigsetjmp(jump, 1))
		return fault_code;
	((void (*)(void))p)();
	return 0;
}

static char *map(size_t size, int prot, int flags)
{
	char *p = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (p == MAP_FAILED)
		bail("mmap");
	return p;
}

/* An area aligned for a huge page */
static char *map_huge(size_t size)
{
	char *p = map(size + HUGE, PROT_READ | PROT_WRITE, MAP_NORESERVE);
	char *q = (char *)(((unsigned long)p + HUGE - 1) & ~(HUGE - 1));

	if (q > p)
		munmap(p, q - p);
	munmap(q + size, p + HUGE - q);
	return q;
}

static void fill(char *p, size_t size, unsigned long seed)
{
	unsigned long *w = (unsigned long *)p;
	size_t i;

	for (i = 0; i < size / sizeof(*w); i++)
		w[i] = (i + 1) * 0x9e3779b97f4a7c15UL ^ seed;
}

static bool verify(const char *p, size_t size, unsigned long seed)
{
	const unsigned long *w = (const unsigned long *)p;
	size_t i;

	for (i = 0; i < size / sizeof(*w); i++)
		if (w[i] != ((i + 1) * 0x9e3779b97f4a7c15UL ^ seed))
			return false;
	return true;
}

/* A number from the line of /proc/self/smaps that describes @p, in KiB */
static long smaps(const void *p, const char *field)
{
	unsigned long start, end;
	bool inside = false;
	char line[256];
	long value = -1;
	FILE *f = fopen("/proc/self/smaps", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (unsigned long)p >= start && (unsigned long)p < end;
		else if (inside && !strncmp(line, field, strlen(field)) &&
			 line[strlen(field)] == ':')
			value = atol(line + strlen(field) + 1);
	}
	if (f)
		fclose(f);
	return value;
}

/* Compare both tables.  There is no debugfs in every kernel. */
static void check(const char *name)
{
	unsigned long tables, entries, missing, stale, drift;
	char text[16], result[128];
	int pid;

	snprintf(text, sizeof(text), "%d", getpid());
	ok(tpt_is_on(), "%s: TPT is still on", name);
	if (!tpt_is_on())
		diag("reason: %s", tpt_field(getpid(), "reason"));
	if (write_file("/sys/kernel/debug/tpt/check", text) < 0 ||
	    read_file("/sys/kernel/debug/tpt/check", result, sizeof(result)) < 0 ||
	    sscanf(result, "pid %d tables %lu entries %lu missing %lu stale %lu drift %lu",
		   &pid, &tables, &entries, &missing, &stale, &drift) != 6) {
		skip("%s: no checker", name);
		return;
	}
	ok(!drift, "%s: no drift: %.*s", name, (int)strcspn(result, "\n"), result);
}

static void test_anon(void)
{
	size_t size = 600 * PAGE, i;
	char *p = map(size, PROT_READ | PROT_WRITE, 0);
	bool zero = true;

	for (i = 0; i < size; i += PAGE)
		zero &= !p[i];
	ok(zero, "anon: reads give zeroes");
	fill(p, size, 1);
	ok(verify(p, size, 1), "anon: reads give what was written");
	madvise(p, size / 2, MADV_DONTNEED);
	ok(!p[0] && !p[size / 2 - 1], "anon: zeroes after MADV_DONTNEED");
	fill(p, size, 2);
	ok(verify(p, size, 2), "anon: and can be written again");
	check("anon");
	munmap(p, size);
	ok(try_read(p) == SEGV_MAPERR && fault_address == p, "anon: gone after munmap");
}

/* Beyond 47 bits, if there are tables of 5 levels */
static void test_high(void)
{
	size_t size = 3 * PAGE;
	char *p = mmap((void *)(1UL << 55), size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		bail("mmap");
	if ((unsigned long)p < 1UL << 47) {
		skip("high: no 5-level tables");
	} else {
		fill(p, size, 3);
		ok(verify(p, size, 3), "high: reads at %p give what was written", (void *)p);
		check("high");
	}
	munmap(p, size);
}

static void test_segv(void)
{
	char *p = map(4 * PAGE, PROT_READ | PROT_WRITE, 0);
	void *kernel = (void *)0xffff888000000000UL;

	ok(try_read(NULL) == SEGV_MAPERR && !fault_address, "segv: null pointer");
	ok(try_read(kernel) == SEGV_MAPERR, "segv: the kernel's half");
	ok(try_write((char *)0x7ffffffff000UL) == SEGV_MAPERR, "segv: the end of the lower half");
	p[0] = 1;
	mprotect(p, PAGE, PROT_READ);
	ok(!try_read(p), "segv: read of a read-only page");
	ok(try_write(p) == SEGV_ACCERR && fault_address == p, "segv: write to a read-only page");
	mprotect(p, PAGE, PROT_NONE);
	ok(try_read(p) == SEGV_ACCERR, "segv: read of PROT_NONE");
	ok(try_write(p) == SEGV_ACCERR, "segv: write to PROT_NONE");
	mprotect(p, PAGE, PROT_READ | PROT_WRITE);
	ok(p[0] == 1 && !try_write(p), "segv: back to read-write");
	p[PAGE] = (char)0xc3;	/* ret */
	ok(try_call(p + PAGE) == SEGV_ACCERR, "segv: call into data");
	mprotect(p + PAGE, PAGE, PROT_READ | PROT_EXEC);
	ok(!try_call(p + PAGE), "segv: call into code");
	ok(try_write(p + PAGE) == SEGV_ACCERR, "segv: write to code");
	check("segv");
	munmap(p, 4 * PAGE);
}

/* Runs @fn in a child that switches TPT on (or not) first */
static int child(bool tpt, int (*fn)(char *), char *arg)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		bail("fork");
	if (!pid) {
		if (tpt && tpt_set("on") != 2)
			_exit(99);
		_exit(fn(arg));
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static int cow_child(char *p)
{
	if (!verify(p, 300 * PAGE, 7))
		return 1;
	fill(p, 300 * PAGE, 8);
	return verify(p, 300 * PAGE, 8) ? 0 : 2;
}

static void test_fork(void)
{
	char *p = map(300 * PAGE, PROT_READ | PROT_WRITE, 0);
	int i, status = 1;

	fill(p, 300 * PAGE, 7);
	ok(!child(false, cow_child, p), "fork: child on nested paging has its own copy");
	ok(verify(p, 300 * PAGE, 7), "fork: parent has its own");
	ok(!child(true, cow_child, p), "fork: child on TPT has its own copy");
	ok(verify(p, 300 * PAGE, 7), "fork: parent has its own");
	for (i = 0; i < 5; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(verify(p, 300 * PAGE, 7 + i) ? 0 : 1);
		fill(p, 300 * PAGE, 8 + i);
		waitpid(pid, &status, 0);
		if (status || !verify(p, 300 * PAGE, 8 + i))
			break;
	}
	ok(i == 5, "fork: parent writes while the child reads");
	check("fork");
	munmap(p, 300 * PAGE);
}

static void test_mremap(void)
{
	char *p = map_huge(2 * HUGE), *q = map_huge(4 * HUGE), *r;

	madvise(p, 2 * HUGE, MADV_NOHUGEPAGE);
	madvise(q, 4 * HUGE, MADV_NOHUGEPAGE);
	fill(p, 2 * HUGE, 3);
	r = mremap(p, 2 * HUGE, 2 * HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, q);
	ok(r == q && verify(q, 2 * HUGE, 3), "mremap: whole tables move");
	ok(try_read(p) == SEGV_MAPERR, "mremap: nothing is left behind");
	fill(q, 2 * HUGE, 4);
	r = mremap(q, 2 * HUGE, 2 * HUGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   q + 2 * HUGE);
	ok(r != MAP_FAILED && verify(r, 2 * HUGE, 4), "mremap: and once more");
	r = mremap(r + PAGE, 100 * PAGE, 100 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q + 7 * PAGE);
	ok(r == q + 7 * PAGE, "mremap: single pages move");
	check("mremap");
	munmap(q, 4 * HUGE);
}

/* A page table moves, with its twin, to where there is no table above it that has one. */
static void test_mremap_far(void)
{
	const size_t gib = 1UL << 30;
	char *area = mmap(NULL, 3 * gib, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *from = map_huge(HUGE), *to, *p;

	if (area == MAP_FAILED)
		bail("mmap");
	madvise(from, HUGE, MADV_NOHUGEPAGE);
	fill(from, HUGE, 5);
	to = (char *)(((unsigned long)area + gib - 1) & ~(gib - 1)) + 7 * HUGE;
	munmap(area, 3 * gib);
	p = mremap(from, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	ok(p == to, "mremap: to another GiB");
	check("mremap, not used since");
	(void)*(volatile char *)(p + 9 * PAGE);
	check("mremap, one page used");
	ok(verify(p, HUGE, 5), "mremap: data");
	check("mremap, all used");
	munmap(p, HUGE);
}

static void test_huge(void)
{
	char *p = map_huge(4 * HUGE);
	size_t i;

	if (madvise(p, 4 * HUGE, MADV_HUGEPAGE)) {
		skip("huge: no huge pages");
		munmap(p, 4 * HUGE);
		return;
	}
	fill(p, 4 * HUGE, 5);
	if (smaps(p, "AnonHugePages") < 2048) {
		skip("huge: the kernel has no huge page left");
		munmap(p, 4 * HUGE);
		return;
	}
	ok(verify(p, 4 * HUGE, 5), "huge: %ld KiB in huge pages", smaps(p, "AnonHugePages"));
	check("huge");
	fill(p, 300 * PAGE, 7);
	ok(!child(true, cow_child, p) && verify(p, 300 * PAGE, 7), "huge: fork");
	fill(p, 4 * HUGE, 5);
	ok(verify(p, 4 * HUGE, 5), "huge: written after fork");
	mprotect(p + PAGE, PAGE, PROT_READ);
	ok(try_write(p + PAGE) == SEGV_ACCERR && !try_write(p), "huge: split by mprotect");
	fill(p, PAGE, 5);
	ok(verify(p, 4 * HUGE, 5), "huge: the rest is the same");
	munmap(p + HUGE + 9 * PAGE, PAGE);
	ok(try_read(p + HUGE + 9 * PAGE) == SEGV_MAPERR &&
	   verify(p, HUGE, 5), "huge: split by munmap");
	madvise(p + 2 * HUGE, PAGE, MADV_DONTNEED);
	ok(!p[2 * HUGE] && !try_write(p + 2 * HUGE), "huge: split by MADV_DONTNEED");
	check("huge, split");
	for (i = 0; i < HUGE; i += PAGE)
		p[3 * HUGE + i] = i / PAGE;
	madvise(p + 3 * HUGE, HUGE, MADV_NOHUGEPAGE);
	mprotect(p + 3 * HUGE, PAGE, PROT_READ);
	mprotect(p + 3 * HUGE, PAGE, PROT_READ | PROT_WRITE);
	madvise(p + 3 * HUGE, HUGE, MADV_HUGEPAGE);
	if (madvise(p + 3 * HUGE, HUGE, MADV_COLLAPSE)) {
		skip("huge: MADV_COLLAPSE: %s", strerror(errno));
	} else {
		for (i = 0; i < HUGE; i += PAGE)
			if (p[3 * HUGE + i] != (char)(i / PAGE))
				break;
		ok(i == HUGE, "huge: collapsed");
	}
	check("huge, collapsed");
	munmap(p, 4 * HUGE);
}

/* Has user code the pages in its TLB that the kernel writes to? */
static bool same_pages(volatile char *p, int nr, char tag)
{
	char c[2] = { tag };
	int fd[2], i;

	if (pipe(fd))
		bail("pipe");
	for (i = 1; i <= nr; i++) {
		if (write(fd[1], c, 1) != 1 || read(fd[0], (char *)p + i * PAGE, 1) != 1)
			bail("write through a pipe");
	}
	close(fd[0]);
	close(fd[1]);
	for (i = 1; i <= nr; i++) {
		if (p[i * PAGE] != tag)
			return false;
	}
	return true;
}

/*
 * Where the host has no huge page for one of the guest, each small part of it
 * has an entry of its own in the TLB, and has to be flushed.  Few pages, so that
 * the TLB can hold them all.
 */
static void test_flush(void)
{
	volatile char *p = map_huge(HUGE);
	const int nr = 20;
	int i, round;

	for (round = 0; round < 3; round++) {
		if (mmap((char *)p, HUGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != p)
			bail("mmap");
		madvise((char *)p, HUGE, MADV_HUGEPAGE);
		for (i = 0; i <= nr; i++)
			p[i * PAGE] = 1;
		if (smaps((char *)p, "AnonHugePages") < 2048) {
			skip("flush: the kernel has no huge page left");
			break;
		}
		ok(same_pages(p, nr, 2), "flush: huge page");

		/* other frames, in one step each */
		madvise((char *)p, PAGE, MADV_NOHUGEPAGE);
		madvise((char *)p, HUGE, MADV_HUGEPAGE);
		ok(same_pages(p, nr, 3), "flush: split");
		if (!madvise((char *)p, HUGE, MADV_COLLAPSE))
			ok(same_pages(p, nr, 4), "flush: collapsed");
		else
			skip("flush: MADV_COLLAPSE: %s", strerror(errno));

		if (mmap((char *)p, HUGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != p)
			bail("mmap");
		for (i = 0; i <= nr; i++)
			if (p[i * PAGE])
				break;
		ok(i > nr, "flush: another mapping in this place is empty");
		check("flush");
	}
	munmap((char *)p, HUGE);
}

static void test_shared(void)
{
	int fd = memfd_create("tpt", 0);
	size_t size = 40 * PAGE;
	char *p, *q;

	if (fd < 0 || ftruncate(fd, size))
		bail("memfd");
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	q = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED || q == MAP_FAILED)
		bail("mmap");
	fill(p, size, 6);
	ok(verify(q, size, 6), "shared: private mapping sees the file");
	q[0]++;
	ok(verify(p, size, 6), "shared: and writes to itself");
	if (ftruncate(fd, PAGE))
		bail("ftruncate");
	ok(verify(p, PAGE, 6), "shared: truncated");
	check("shared");
	munmap(p, size);
	munmap(q, size);
	close(fd);
}

/*
 * clear_refs does not flush the TLB, and an entry that is there keeps the CPU from
 * setting the bit again.  Linux on x86 flushes all of an address space once the
 * range has more than 33 pages.
 */
static void flush_tlb(void)
{
	size_t size = 64 * PAGE;
	char *p = map(size, PROT_READ | PROT_WRITE, 0);

	fill(p, size, 1);
	ok(!mprotect(p, size, PROT_READ), "flush: mprotect");
	munmap(p, size);
}

/* Bits that the CPU sets through the twin must reach those who look for them */
static void test_accessed_dirty(void)
{
	size_t size = 64 * PAGE, i;
	char *p = map(size, PROT_READ | PROT_WRITE, 0);
	long kb;

	fill(p, size, 9);
	if (write_file("/proc/self/clear_refs", "1") < 0) {
		skip("accessed: no clear_refs");
	} else {
		kb = smaps(p, "Referenced");
		ok(kb == 0, "accessed: nothing right after clear_refs (%ld KiB)", kb);
		flush_tlb();
		for (i = 0; i < 10; i++)
			(void)*(volatile char *)(p + i * PAGE);
		kb = smaps(p, "Referenced");
		ok(kb == 40, "accessed: ten pages are referenced (%ld KiB)", kb);
	}

	/* A page that is written after MADV_FREE must not be thrown away */
	fill(p, size, 10);
	ok(!madvise(p, size, MADV_FREE), "dirty: MADV_FREE");
	fill(p, size / 2, 11);
	madvise(p, size, MADV_PAGEOUT);
	ok(verify(p, size / 2, 11), "dirty: what was written after MADV_FREE survives reclaim");
	kb = smaps(p, "LazyFree");
	ok(kb == 0 || kb == 128, "dirty: %ld KiB of %lu are still to be freed", kb, size / 2048);
	check("accessed and dirty");
	munmap(p, size);
}

static void test_migration(void)
{
	size_t size = 2000 * PAGE, i;
	char *p = map(size, PROT_READ | PROT_WRITE, 0);
	int round;

	madvise(p, size, MADV_NOHUGEPAGE);
	fill(p, size, 12);
	/* holes, so that compaction has something to do */
	for (i = 0; i < size; i += 4 * PAGE)
		madvise(p + i, PAGE, MADV_DONTNEED);
	for (round = 0; round < 3; round++) {
		if (write_file("/proc/sys/vm/compact_memory", "1") < 0)
			break;
		for (i = 0; i < size; i += PAGE)
			if (i % (4 * PAGE) && *(unsigned long *)(p + i) !=
			    ((i / 8 + 1) * 0x9e3779b97f4a7c15UL ^ 12))
				break;
		if (i < size)
			break;
	}
	if (!round)
		skip("migration: no compaction");
	else
		ok(round == 3, "migration: data is the same after compaction");
	check("migration");
	munmap(p, size);
}

static void use_stack(int depth)
{
	volatile char page[PAGE];

	page[0] = depth;
	if (depth)
		use_stack(depth - 1);
	if (page[0] != (char)depth)
		abort();
}

static void test_special(void)
{
	struct timespec a, b;
	int i, fd;
	char *p, c;

	for (i = 0; i < 1000; i++) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		clock_gettime(CLOCK_MONOTONIC, &b);
		if (a.tv_sec > b.tv_sec ||
		    (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec))
			break;
	}
	ok(i == 1000, "special: the vDSO's clock does not run backwards");
	use_stack(200);
	ok(true, "special: the stack grows");

	fd = open("/proc/self/exe", O_RDONLY);
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	ok(p != MAP_FAILED && !memcmp(p, "\177ELF", 4), "special: a file is mapped");
	munmap(p, PAGE);
	close(fd);

	/* What the kernel writes, the process sees, and the other way round */
	p = map(3 * PAGE, PROT_READ | PROT_WRITE, 0);
	fd = open("/dev/zero", O_RDONLY);
	if (fd >= 0) {
		memset(p, 1, 3 * PAGE);
		ok(read(fd, p, 3 * PAGE) == 3 * PAGE && !p[0] && !p[3 * PAGE - 1],
		   "special: read(2) into a mapped page");
		close(fd);
	}
	madvise(p, 3 * PAGE, MADV_DONTNEED);
	fd = open("/proc/self/comm", O_RDONLY);
	ok(read(fd, p, 4) == 4 && !memcmp(p, "tpt_", 4), "special: read(2) into a page not there");
	close(fd);
	c = p[PAGE];
	ok(!c, "special: zero page");
	p[PAGE] = 1;
	ok(p[PAGE] == 1 && !p[PAGE + 1], "special: written after the zero page was mapped");
	mlock(p, 3 * PAGE);
	ok(!try_write(p + 2 * PAGE), "special: locked memory");
	check("special");
	munmap(p, 3 * PAGE);
}

static void *uffd_server(void *arg)
{
	int uffd = *(int *)arg;
	struct uffd_msg msg;
	static char page[PAGE] __attribute__((aligned(4096)));
	struct uffdio_copy copy = { .src = (unsigned long)page, .len = PAGE };

	memset(page, 'u', PAGE);
	while (read(uffd, &msg, sizeof(msg)) == sizeof(msg)) {
		if (msg.event != UFFD_EVENT_PAGEFAULT)
			continue;
		copy.dst = msg.arg.pagefault.address & ~(PAGE - 1);
		if (ioctl(uffd, UFFDIO_COPY, &copy))
			break;
	}
	return NULL;
}

static void test_userfaultfd(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	pthread_t thread;
	char *p;
	int i;

	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api)) {
		skip("userfaultfd: %s", strerror(errno));
		return;
	}
	p = map(20 * PAGE, PROT_READ | PROT_WRITE, 0);
	reg.range.start = (unsigned long)p;
	reg.range.len = 20 * PAGE;
	if (ioctl(uffd, UFFDIO_REGISTER, &reg))
		bail("UFFDIO_REGISTER");
	pthread_create(&thread, NULL, uffd_server, &uffd);
	for (i = 0; i < 20; i++)
		if (p[i * PAGE + 5] != 'u')
			break;
	ok(i == 20, "userfaultfd: pages come from the other thread");
	pthread_cancel(thread);
	pthread_join(thread, NULL);
	check("userfaultfd");
	close(uffd);
	munmap(p, 20 * PAGE);
}

/* What a process sees of the other's pages, which it changes */
static bool exchange(char *p, int fd_in, int fd_out, bool first, int rounds)
{
	int i;
	char c = 0;

	for (i = 0; i < rounds; i++) {
		if (!first && read(fd_in, &c, 1) != 1)
			return false;
		if (!first && (p[0] != (char)(i + 1) || p[HUGE + 7 * PAGE] != (char)(i + 2)))
			return false;
		if (first) {
			p[0] = i + 1;
			p[HUGE + 7 * PAGE] = i + 2;
		} else {
			p[PAGE] = i + 3;
		}
		if (write(fd_out, &c, 1) != 1)
			return false;
		if (first && (read(fd_in, &c, 1) != 1 || p[PAGE] != (char)(i + 3)))
			return false;
	}
	return true;
}

/*
 * Shared memory of hugetlbfs, large enough for a PMD table in common, with a
 * process that uses TPT or does not, and switches meanwhile.
 */
static void test_hugetlb(void)
{
	const size_t gib = 1UL << 30;
	int there[2], back[2], status, mode, fd, i;
	char *p, *area;
	pid_t pid;

	if (write_file("/proc/sys/vm/nr_hugepages", "8") < 0) {
		skip("hugetlb: no pages");
		return;
	}
	fd = memfd_create("hugetlb", MFD_HUGETLB);
	if (fd < 0 || ftruncate(fd, 2 * gib)) {
		skip("hugetlb: %s", strerror(errno));
		return;
	}

	area = mmap(NULL, 3 * gib, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		bail("mmap");
	p = (char *)(((unsigned long)area + gib - 1) & ~(gib - 1));

	/* mode 0: both off when the table is made; 1: only the child; 2: none */
	for (mode = 0; mode < 3; mode++) {
		if (mode < 2)
			tpt_set(mode ? "on" : "off");
		if (mmap(p, 2 * gib, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0) != p)
			bail("mmap of hugetlbfs");
		if (pipe(there) || pipe(back))
			bail("pipe");
		p[0] = p[PAGE] = p[HUGE + 7 * PAGE] = 0;

		pid = fork();
		if (!pid) {
			bool r;

			if (mode == 2)
				tpt_set("on");
			p[HUGE] = 1;
			r = exchange(p, there[0], back[1], false, 10);
			if (mode == 0)
				tpt_set("on");
			r = exchange(p, there[0], back[1], false, 10) && r;
			r = r && (mode == 1 || tpt_is_on());
			_exit(!r);
		}
		ok(exchange(p, back[0], there[1], true, 10), "hugetlb: both see the same, %d", mode);
		tpt_set("on");
		ok(exchange(p, back[0], there[1], true, 10), "hugetlb: and again, %d", mode);
		waitpid(pid, &status, 0);
		ok(!status, "hugetlb: the other is right, %d", mode);
		check("hugetlb");
		for (i = 0; i < 2; i++) {
			close(there[i]);
			close(back[i]);
		}
		munmap(p, 2 * gib);
	}
	close(fd);
	munmap(area, 3 * gib);

	p = mmap(NULL, HUGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (p == MAP_FAILED)
		bail("private hugetlb");
	fill(p, HUGE, 3);
	pid = fork();
	if (!pid) {
		tpt_set("on");
		fill(p, HUGE, 4);
		_exit(!verify(p, HUGE, 4));
	}
	waitpid(pid, &status, 0);
	ok(!status && verify(p, HUGE, 3), "hugetlb: private, copied on write");
	check("hugetlb private");
	munmap(p, HUGE);
	write_file("/proc/sys/vm/nr_hugepages", "0");
}

static void on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/*
 * A page of hugetlbfs is copied for the first store after fork(), and the old one is the
 * child's.  If small entries map it the CPU has to forget all of them, not only that of
 * the store: the child then writes to a part that the parent has read before.
 */
static void test_hugetlb_copied(void)
{
	volatile int *step = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const size_t other = 300 * PAGE;
	int round, old = 0, status, wrong = 0;
	cpu_set_t before;

	if (step == MAP_FAILED || write_file("/proc/sys/vm/nr_hugepages", "4") < 0) {
		skip("hugetlb, copied: no pages");
		return;
	}
	sched_getaffinity(0, sizeof(before), &before);
	for (round = 0; round < 20; round++) {
		volatile char *p = mmap(NULL, HUGE, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
		pid_t pid;

		if (p == MAP_FAILED)
			bail("private hugetlb");
		*step = p[0] = 0;
		p[other] = 1;
		on_cpu(0);
		pid = fork();
		if (!pid) {
			on_cpu(1);
			while (*step != 1)
				;
			p[other] = 2;
			*step = 2;
			_exit(p[0]);
		}
		wrong += p[other] != 1;
		p[0] = 1;
		*step = 1;
		while (*step != 2)
			;
		old += p[other] != 1;
		waitpid(pid, &status, 0);
		wrong += status != 0;
		munmap((void *)p, HUGE);
	}
	ok(!old && !wrong, "hugetlb: after the copy, all of it is (%d of %d times not)", old, round);
	check("hugetlb copied");
	sched_setaffinity(0, sizeof(before), &before);
	munmap((void *)step, PAGE);
	write_file("/proc/sys/vm/nr_hugepages", "0");
}

/* One page of 1 GiB, which the host backs by smaller ones */
static void test_gigantic(void)
{
	const size_t gib = 1UL << 30, step = HUGE + 3 * PAGE;
	size_t i, bad = 0;
	char *p;

	p = mmap(NULL, gib, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 30 << MAP_HUGE_SHIFT, -1, 0);
	if (p == MAP_FAILED) {
		skip("gigantic: there is no page of 1 GiB");
		return;
	}
	for (i = 0; i < gib; i += step)
		*(size_t *)(p + i) = i + 1;
	for (i = 0; i < gib; i += step)
		bad += *(volatile size_t *)(p + i) != i + 1;
	ok(!bad, "gigantic: data");
	check("gigantic");
	mprotect(p, gib, PROT_READ);
	ok(try_read(p + 5 * step) == 0 && try_write(p + 5 * step) == SEGV_ACCERR,
	   "gigantic: read-only");
	check("gigantic read-only");
	mprotect(p, gib, PROT_READ | PROT_WRITE);
	ok(try_write(p + 7 * step) == 0, "gigantic: writable again");
	check("gigantic writable");
	tpt_set("off");
	tpt_set("on");
	for (i = 0; i < gib; i += step)
		bad += i != 7 * step && *(volatile size_t *)(p + i) != i + 1;
	ok(!bad, "gigantic: data after off and on");
	check("gigantic after off and on");
	munmap(p, gib);
	ok(try_read(p) == SEGV_MAPERR, "gigantic: unmapped");
	check("gigantic unmapped");
}

/* Where TPT cannot go, the process goes on without */
static void test_unmappable(void)
{
	char *p;
	int fd;

	fd = open("/dev/mem", O_RDONLY);
	p = fd < 0 ? MAP_FAILED : mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0xfee00000);
	if (p == MAP_FAILED) {
		skip("unmappable: no device to map: %s", strerror(errno));
	} else {
		(void)*(volatile int *)p;
		ok(!tpt_is_on() && !strcmp(tpt_field(getpid(), "reason"), "unmappable"),
		   "unmappable: with a device's page TPT is off, and says why (%s)",
		   tpt_field(getpid(), "reason"));
		munmap(p, PAGE);
	}
	if (fd >= 0)
		close(fd);
	ok(tpt_set("on") == 2 && tpt_is_on(), "unmappable: can be switched on again");
}

static void test_on_off(void)
{
	size_t size = 1000 * PAGE;
	char *p = map(size, PROT_READ | PROT_WRITE, 0);
	int i;

	for (i = 0; i < 20; i++) {
		fill(p, size, i);
		if (tpt_set(i & 1 ? "on" : "off") < 0)
			break;
		if (!verify(p, size, i))
			break;
	}
	ok(i == 20, "on and off: data is the same (%d)", i);
	check("on and off");
	munmap(p, size);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} tests[] = {
		{ "anon", test_anon },
		{ "high", test_high },
		{ "segv", test_segv },
		{ "fork", test_fork },
		{ "mremap", test_mremap },
		{ "mremap-far", test_mremap_far },
		{ "huge", test_huge },
		{ "flush", test_flush },
		{ "shared", test_shared },
		{ "accessed", test_accessed_dirty },
		{ "migration", test_migration },
		{ "special", test_special },
		{ "userfaultfd", test_userfaultfd },
		{ "hugetlb", test_hugetlb },
		{ "hugetlb-copied", test_hugetlb_copied },
		{ "gigantic", test_gigantic },
		{ "onoff", test_on_off },
		{ "unmappable", test_unmappable },
	};
	struct sigaction sa = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };
	unsigned int i;
	char text[64];
	ssize_t n;

	sigaction(SIGSEGV, &sa, NULL);

	n = tpt_set("on");
	if (n == -ENOENT || n == -EOPNOTSUPP) {
		skip("no TPT here: %s", strerror(-n));
		return done();
	}
	ok(n == 2, "TPT on");

	/* Drift is a kernel warning. */
	write_file("/sys/kernel/debug/tpt/check_faults", "1");

	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (argc > 1 && strcmp(argv[1], tests[i].name))
			continue;
		tests[i].fn();
	}

	if (read_file("/sys/kernel/debug/tpt/faults", text, sizeof(text)) > 0) {
		unsigned long checked = 0, drift = 1;

		sscanf(text, "checked %lu drift %lu", &checked, &drift);
		ok(checked && !drift, "after each fault: %.*s", (int)strcspn(text, "\n"), text);
		write_file("/sys/kernel/debug/tpt/check_faults", "0");
	}
	diag("faults: %s sync", tpt_field(getpid(), "faults_sync"));
	diag("faults: %s stale", tpt_field(getpid(), "faults_stale"));
	return done();
}
