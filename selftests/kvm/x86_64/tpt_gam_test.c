// SPDX-License-Identifier: GPL-2.0-only
/*
 * Translation Pass-Through: the Guest Address Map says what really backs the
 * guest's memory, through everything that the host can do to that memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tpt_util.h"
#include "kvm_test_harness.h"

#define NR_SLOT0	1024ul
#define HPAGE_SIZE	(2ul << 20)
#define TEST_SLOT	1
#define TEST_GPA	(32ul << 20)
#define TEST_GFN	(TEST_GPA >> 12)
#define NR_PAGES	1024ul
#define NR_GFNS		(TEST_GFN + 4 * NR_PAGES)

/* What the guest is to do next; it reports back with a ucall. */
static struct {
	uint64_t gpa;
	uint64_t nr_pages;
	bool write;
} job;

static void guest_code(void)
{
	volatile uint64_t *p;
	uint64_t i;

	for (;;) {
		for (i = 0; i < job.nr_pages; i++) {
			p = (void *)(job.gpa + i * PAGE_SIZE);
			if (job.write)
				*p = job.gpa + i;
			else
				(void)*p;
		}
		GUEST_SYNC(0);
	}
}

FIXTURE(gam) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	const volatile uint64_t *gam;
	char *mem;
};

/* Slots of the test's own choice, so that the library does not get in the way. */
static void set_slot(struct kvm_vm *vm, uint32_t slot, uint32_t flags,
		     uint64_t gfn, uint64_t nr_pages, void *mem)
{
	vm_set_user_memory_region(vm, slot, flags, gfn * PAGE_SIZE,
				  nr_pages * PAGE_SIZE, mem);
}

static void create(struct kvm_vm **vm, struct kvm_vcpu **vcpu,
		   const volatile uint64_t **gam)
{
	int fd;

	*vm = tpt_vm_create(NR_SLOT0);
	*vcpu = vm_vcpu_add(*vm, 0, guest_code);
	fd = tpt_create_addrmap(*vm, NR_GFNS);
	*gam = tpt_map_addrmap(fd, NR_GFNS);
	close(fd);

	virt_map(*vm, TEST_GPA, TEST_GPA, 8 * NR_PAGES);
}

static char *alloc_mem(size_t nr_pages)
{
	/* Aligned so that it can be huge, small unless the test says so */
	char *mem = mmap(NULL, nr_pages * PAGE_SIZE + HPAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	TEST_ASSERT(mem != MAP_FAILED, __KVM_SYSCALL_ERROR("mmap()", -1));
	mem = (char *)align_up((uintptr_t)mem, HPAGE_SIZE);
	madvise(mem, nr_pages * PAGE_SIZE, MADV_NOHUGEPAGE);
	return mem;
}

FIXTURE_SETUP(gam)
{
	create(&self->vm, &self->vcpu, &self->gam);
	self->mem = alloc_mem(NR_PAGES);
	set_slot(self->vm, TEST_SLOT, 0, TEST_GFN, NR_PAGES, self->mem);
}

FIXTURE_TEARDOWN(gam)
{
	kvm_vm_free(self->vm);
}

static void __touch(struct kvm_vm *vm, struct kvm_vcpu *vcpu, uint64_t gfn,
		    uint64_t nr_pages, bool write)
{
	struct ucall uc;

	job.gpa = gfn * PAGE_SIZE;
	job.nr_pages = nr_pages;
	job.write = write;
	sync_global_to_guest(vm, job);

	vcpu_run(vcpu);
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, UCALL_SYNC);
}

#define touch(self, gfn, nr)	__touch((self)->vm, (self)->vcpu, gfn, nr, true)
#define peek(self, gfn, nr)	__touch((self)->vm, (self)->vcpu, gfn, nr, false)

/* An entry is either empty or right. */
#define ASSERT_ENTRY(entry, hva)						\
do {										\
	uint64_t __e = (entry);							\
										\
	if (__e) {								\
		ASSERT_EQ(TPT_GAM_VALID | TPT_GAM_WRITABLE, __e &		\
			  ~(TPT_GAM_FRAME_MASK | TPT_GAM_SIZE_MASK));		\
		ASSERT_EQ(tpt_hva_to_pfn(hva), tpt_gam_pfn(__e));		\
	}									\
} while (0)

#define ASSERT_VALID(entry, hva)						\
do {										\
	ASSERT_NE(0, entry);							\
	ASSERT_ENTRY(entry, hva);						\
} while (0)

#define ASSERT_ALL_RIGHT(self)							\
do {										\
	uint64_t __i;								\
										\
	for (__i = 0; __i < NR_PAGES; __i++)					\
		ASSERT_ENTRY((self)->gam[TEST_GFN + __i],			\
			     (self)->mem + __i * PAGE_SIZE);			\
} while (0)

static uint64_t nr_valid(const volatile uint64_t *gam, uint64_t gfn, uint64_t nr)
{
	uint64_t i, n = 0;

	for (i = 0; i < nr; i++)
		n += !!(gam[gfn + i] & TPT_GAM_VALID);
	return n;
}

/* The dump shows the map, and that the RMP agrees with it. */
TEST_F(gam, debugfs)
{
	uint64_t gfn, frame, rmp_gfn, n = 0;
	char path[80], line[128], size[4], right[4], rmp_size[4], rmp_access[4];
	unsigned int tag, active, rmp_tag;
	FILE *f;

	touch(self, TEST_GFN, NR_PAGES);
	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/tpt", getpid(), self->vm->fd);
	f = fopen(path, "r");
	if (!f && errno == ENOENT && access("/sys/kernel/debug/kvm", F_OK))
		SKIP(return, "debugfs is not mounted");
	ASSERT_NE(NULL, f);

	ASSERT_NE(NULL, fgets(line, sizeof(line), f));
	ASSERT_EQ(2, sscanf(line, "tag %u active %u gfns", &tag, &active));
	ASSERT_EQ(tag, active);
	ASSERT_NE(NULL, fgets(line, sizeof(line), f));
	while (fgets(line, sizeof(line), f)) {
		ASSERT_EQ(8, sscanf(line, "%lx %lx %3s %3s %u %lx %3s %3s", &gfn, &frame,
				    size, right, &rmp_tag, &rmp_gfn, rmp_size, rmp_access));
		ASSERT_EQ(tpt_gam_pfn(self->gam[gfn]), frame);
		ASSERT_EQ(tag, rmp_tag);
		ASSERT_EQ(gfn, rmp_gfn);
		ASSERT_STREQ(size, rmp_size);
		ASSERT_STREQ(right, rmp_access);
		n += gfn >= TEST_GFN;
	}
	ASSERT_EQ(NR_PAGES, n);
	fclose(f);
}

TEST_F(gam, written)
{
	uint64_t i;

	ASSERT_EQ(0, nr_valid(self->gam, TEST_GFN, NR_PAGES));

	touch(self, TEST_GFN + 3, 5);
	ASSERT_EQ(5, nr_valid(self->gam, TEST_GFN, NR_PAGES));
	for (i = 3; i < 8; i++)
		ASSERT_VALID(self->gam[TEST_GFN + i], self->mem + i * PAGE_SIZE);

	touch(self, TEST_GFN, NR_PAGES);
	for (i = 0; i < NR_PAGES; i++) {
		ASSERT_VALID(self->gam[TEST_GFN + i], self->mem + i * PAGE_SIZE);
		ASSERT_EQ(TPT_RMP_SIZE_4K, tpt_gam_size(self->gam[TEST_GFN + i]));
	}

	/* Slot 0 is memory like any other, and the rest is nothing */
	for (i = 0; i < TEST_GFN; i++) {
		if (i < NR_SLOT0)
			ASSERT_ENTRY(self->gam[i], addr_gpa2hva(self->vm, i * PAGE_SIZE));
		else
			ASSERT_EQ(0, self->gam[i]);
	}
	ASSERT_EQ(0, nr_valid(self->gam, TEST_GFN + NR_PAGES, 3 * NR_PAGES));
}

TEST_F(gam, zero_page)
{
	peek(self, TEST_GFN, 16);
	ASSERT_EQ(0, nr_valid(self->gam, TEST_GFN, 16));

	touch(self, TEST_GFN, 16);
	ASSERT_EQ(16, nr_valid(self->gam, TEST_GFN, 16));
	ASSERT_ALL_RIGHT(self);
}

TEST_F(gam, read_only_slot)
{
	memset(self->mem, 1, NR_PAGES * PAGE_SIZE);
	set_slot(self->vm, TEST_SLOT, 0, TEST_GFN, 0, self->mem);
	set_slot(self->vm, TEST_SLOT, KVM_MEM_READONLY, TEST_GFN, NR_PAGES, self->mem);

	peek(self, TEST_GFN, NR_PAGES);
	ASSERT_EQ(0, nr_valid(self->gam, TEST_GFN, NR_PAGES));
}

TEST_F(gam, dontneed)
{
	uint64_t i, n;

	touch(self, TEST_GFN, NR_PAGES);
	ASSERT_EQ(NR_PAGES, nr_valid(self->gam, TEST_GFN, NR_PAGES));

	ASSERT_EQ(0, madvise(self->mem + 10 * PAGE_SIZE, 100 * PAGE_SIZE, MADV_DONTNEED));
	ASSERT_EQ(0, nr_valid(self->gam, TEST_GFN + 10, 100));
	ASSERT_EQ(NR_PAGES - 100, nr_valid(self->gam, TEST_GFN, NR_PAGES));
	ASSERT_ALL_RIGHT(self);

	/*
	 * Backwards, so that frames come back for other gfns.  Those are refused;
	 * there is no other reason to.
	 */
	for (i = 110; i-- > 10; )
		touch(self, TEST_GFN + i, 1);
	ASSERT_ALL_RIGHT(self);
	n = nr_valid(self->gam, TEST_GFN + 10, 100);
	TH_LOG("%lu of 100 frames are new or came back in their place", n);
	ASSERT_EQ(NR_PAGES - 100 + n, nr_valid(self->gam, TEST_GFN, NR_PAGES));
}

TEST_F(gam, unmapped)
{
	touch(self, TEST_GFN, NR_PAGES);
	ASSERT_EQ(0, munmap(self->mem, 10 * PAGE_SIZE));
	ASSERT_EQ(0, nr_valid(self->gam, TEST_GFN, 10));
	ASSERT_EQ(0, mprotect(self->mem + 10 * PAGE_SIZE, 10 * PAGE_SIZE, PROT_READ));
	ASSERT_EQ(0, nr_valid(self->gam, TEST_GFN + 10, 10));
	peek(self, TEST_GFN + 10, 10);
	ASSERT_EQ(0, nr_valid(self->gam, TEST_GFN + 10, 10));
	ASSERT_EQ(0, mprotect(self->mem + 10 * PAGE_SIZE, 10 * PAGE_SIZE,
			      PROT_READ | PROT_WRITE));
	touch(self, TEST_GFN + 10, NR_PAGES - 10);
	ASSERT_EQ(NR_PAGES - 10, nr_valid(self->gam, TEST_GFN, NR_PAGES));
}

TEST_F(gam, slot_deleted)
{
	touch(self, TEST_GFN, NR_PAGES);

	set_slot(self->vm, TEST_SLOT, 0, TEST_GFN, 0, self->mem);
	ASSERT_EQ(0, nr_valid(self->gam, TEST_GFN, NR_PAGES));

	/* The same memory in the same place is welcome again */
	set_slot(self->vm, TEST_SLOT, 0, TEST_GFN, NR_PAGES, self->mem);
	ASSERT_EQ(0, nr_valid(self->gam, TEST_GFN, NR_PAGES));
	touch(self, TEST_GFN, NR_PAGES);
	ASSERT_EQ(NR_PAGES, nr_valid(self->gam, TEST_GFN, NR_PAGES));
	ASSERT_ALL_RIGHT(self);

	/* In another place it would be what a stale entry reaches */
	set_slot(self->vm, TEST_SLOT, 0, TEST_GFN, 0, self->mem);
	set_slot(self->vm, TEST_SLOT, 0, TEST_GFN + 1, NR_PAGES, self->mem);
	touch(self, TEST_GFN + 1, NR_PAGES);
	ASSERT_EQ(0, nr_valid(self->gam, TEST_GFN, NR_PAGES + 1));
}

/* Another slot is deleted: all roots are zapped, this slot comes back. */
TEST_F(gam, other_slot_deleted)
{
	char *other = alloc_mem(1);
	int i;

	for (i = 0; i < 4; i++) {
		touch(self, TEST_GFN, NR_PAGES);
		ASSERT_EQ(NR_PAGES, nr_valid(self->gam, TEST_GFN, NR_PAGES));
		set_slot(self->vm, TEST_SLOT + 1, 0, TEST_GFN - 1, 1, other);
		set_slot(self->vm, TEST_SLOT + 1, 0, TEST_GFN - 1, 0, other);
	}
	ASSERT_ALL_RIGHT(self);
}

TEST_F(gam, slot_moved)
{
	touch(self, TEST_GFN, NR_PAGES);

	set_slot(self->vm, TEST_SLOT, 0, TEST_GFN + NR_PAGES, NR_PAGES, self->mem);
	ASSERT_EQ(0, nr_valid(self->gam, TEST_GFN, 2 * NR_PAGES));
	touch(self, TEST_GFN + NR_PAGES, NR_PAGES);
	ASSERT_EQ(0, nr_valid(self->gam, TEST_GFN, 2 * NR_PAGES));

	set_slot(self->vm, TEST_SLOT, 0, TEST_GFN, NR_PAGES, self->mem);
	touch(self, TEST_GFN, NR_PAGES);
	ASSERT_EQ(NR_PAGES, nr_valid(self->gam, TEST_GFN, NR_PAGES));
}

TEST_F(gam, alias)
{
	/* The second one to come is refused, whichever it is */
	set_slot(self->vm, TEST_SLOT + 1, 0, TEST_GFN + NR_PAGES, NR_PAGES, self->mem);
	touch(self, TEST_GFN, NR_PAGES / 2);
	touch(self, TEST_GFN + NR_PAGES, NR_PAGES);
	touch(self, TEST_GFN, NR_PAGES);

	ASSERT_EQ(NR_PAGES / 2, nr_valid(self->gam, TEST_GFN, NR_PAGES / 2));
	ASSERT_EQ(0, nr_valid(self->gam, TEST_GFN + NR_PAGES / 2, NR_PAGES));
	ASSERT_EQ(NR_PAGES / 2, nr_valid(self->gam, TEST_GFN + NR_PAGES + NR_PAGES / 2,
					 NR_PAGES / 2));
	ASSERT_ALL_RIGHT(self);
}

TEST_F(gam, beyond_map)
{
	char *mem = alloc_mem(NR_PAGES);

	/* The last entry is there, the first one beyond is not */
	set_slot(self->vm, TEST_SLOT + 1, 0, NR_GFNS - 1, NR_PAGES, mem);
	touch(self, NR_GFNS - 1, NR_PAGES);
	ASSERT_VALID(self->gam[NR_GFNS - 1], mem);

	/* It would be the same frame, but it has never been given away */
	set_slot(self->vm, TEST_SLOT + 1, 0, NR_GFNS - 1, 0, mem);
	set_slot(self->vm, TEST_SLOT + 1, 0, TEST_GFN + NR_PAGES, NR_PAGES - 1,
		 mem + PAGE_SIZE);
	touch(self, TEST_GFN + NR_PAGES, NR_PAGES - 1);
	ASSERT_EQ(NR_PAGES - 1, nr_valid(self->gam, TEST_GFN + NR_PAGES, NR_PAGES - 1));
}

TEST_F(gam, fork)
{
	int status;
	pid_t pid;

	touch(self, TEST_GFN, NR_PAGES);

	/* Copy on write: neither side may write to the page any more */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(nr_valid(self->gam, TEST_GFN, NR_PAGES) ? 1 : 0);
	ASSERT_EQ(0, nr_valid(self->gam, TEST_GFN, NR_PAGES));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);

	peek(self, TEST_GFN, 100);
	touch(self, TEST_GFN, NR_PAGES);
	ASSERT_EQ(NR_PAGES, nr_valid(self->gam, TEST_GFN, NR_PAGES));
	ASSERT_ALL_RIGHT(self);
}

/*
 * The frame of gfn 0 becomes that of gfn 1.  The guest may have a TPT entry for
 * gfn 0 which would, if the frame got the tag again, reach gfn 1.
 */
TEST_F(gam, frame_reuse)
{
	uint64_t pfn;
	void *p;

	touch(self, TEST_GFN, 2);
	pfn = tpt_gam_pfn(self->gam[TEST_GFN]);

	p = mremap(self->mem, PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   self->mem + PAGE_SIZE);
	ASSERT_EQ((void *)(self->mem + PAGE_SIZE), p);
	ASSERT_EQ(0, nr_valid(self->gam, TEST_GFN, 2));
	ASSERT_EQ(pfn, tpt_hva_to_pfn(p));

	touch(self, TEST_GFN + 1, 1);
	ASSERT_EQ(pfn, tpt_hva_to_pfn(p));
	ASSERT_EQ(0, self->gam[TEST_GFN + 1]);

	/* Back in its place it does no harm */
	p = mremap(p, PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, self->mem);
	ASSERT_EQ((void *)self->mem, p);
	touch(self, TEST_GFN, 1);
	ASSERT_EQ(pfn, tpt_hva_to_pfn(p));
	ASSERT_VALID(self->gam[TEST_GFN], p);
}

TEST_F(gam, huge)
{
	uint64_t i, entry;

	ASSERT_EQ(0, madvise(self->mem, NR_PAGES * PAGE_SIZE, MADV_HUGEPAGE));
	touch(self, TEST_GFN, 1);
	entry = self->gam[TEST_GFN];
	if (tpt_gam_size(entry) != TPT_RMP_SIZE_2M)
		SKIP(return, "no huge page to be had");

	touch(self, TEST_GFN, NR_PAGES);
	for (i = 0; i < NR_PAGES; i++) {
		ASSERT_VALID(self->gam[TEST_GFN + i], self->mem + i * PAGE_SIZE);
		ASSERT_EQ(TPT_RMP_SIZE_2M, tpt_gam_size(self->gam[TEST_GFN + i]));
	}

	/* A hole in the first one, which KVM zaps as a whole */
	ASSERT_EQ(0, madvise(self->mem + 7 * PAGE_SIZE, PAGE_SIZE, MADV_DONTNEED));
	ASSERT_EQ(0, self->gam[TEST_GFN + 7]);
	ASSERT_ALL_RIGHT(self);
	ASSERT_EQ(512, nr_valid(self->gam, TEST_GFN + 512, 512));

	touch(self, TEST_GFN, NR_PAGES);
	ASSERT_ALL_RIGHT(self);
	for (i = 0; i < 512; i++) {
		if (i != 7)
			ASSERT_NE(0, self->gam[TEST_GFN + i]);
		ASSERT_EQ(TPT_RMP_SIZE_4K, tpt_gam_size(self->gam[TEST_GFN + i]));
		ASSERT_EQ(TPT_RMP_SIZE_2M, tpt_gam_size(self->gam[TEST_GFN + 512 + i]));
	}
}

/* Dirty logging splits huge pages; the frames stay the same. */
TEST_F(gam, dirty_logging)
{
	uint64_t i, n;

	ASSERT_EQ(0, madvise(self->mem, NR_PAGES * PAGE_SIZE, MADV_HUGEPAGE));
	touch(self, TEST_GFN, NR_PAGES);

	for (n = 0; n < 3; n++) {
		set_slot(self->vm, TEST_SLOT, KVM_MEM_LOG_DIRTY_PAGES, TEST_GFN,
			 NR_PAGES, self->mem);
		touch(self, TEST_GFN, NR_PAGES / 2);
		ASSERT_ALL_RIGHT(self);
		set_slot(self->vm, TEST_SLOT, 0, TEST_GFN, NR_PAGES, self->mem);
		ASSERT_ALL_RIGHT(self);
		touch(self, TEST_GFN, NR_PAGES);
		for (i = 0; i < NR_PAGES; i++)
			ASSERT_VALID(self->gam[TEST_GFN + i], self->mem + i * PAGE_SIZE);
	}
}

TEST_F(gam, compaction)
{
	uint64_t n;
	int fd;

	/* Make holes, for there to be something to compact */
	touch(self, TEST_GFN, NR_PAGES);
	for (n = 0; n < NR_PAGES; n += 2)
		ASSERT_EQ(0, madvise(self->mem + n * PAGE_SIZE, PAGE_SIZE, MADV_DONTNEED));

	fd = open("/proc/sys/vm/compact_memory", O_WRONLY);
	if (fd < 0)
		SKIP(return, "no compaction");
	ASSERT_EQ(1, write(fd, "1", 1));
	close(fd);

	ASSERT_ALL_RIGHT(self);
	TH_LOG("%lu frames moved", NR_PAGES / 2 - nr_valid(self->gam, TEST_GFN, NR_PAGES));
	touch(self, TEST_GFN, NR_PAGES);
	ASSERT_ALL_RIGHT(self);
}

/* Memory that two VMs share belongs to the one that came first. */
TEST_F(gam, shared_by_two_vms)
{
	const volatile uint64_t *gam2;
	struct kvm_vcpu *vcpu2;
	struct kvm_vm *vm2;

	create(&vm2, &vcpu2, &gam2);
	set_slot(vm2, TEST_SLOT, 0, TEST_GFN, NR_PAGES, self->mem);

	touch(self, TEST_GFN, NR_PAGES / 2);
	__touch(vm2, vcpu2, TEST_GFN, NR_PAGES, true);
	touch(self, TEST_GFN, NR_PAGES);

	ASSERT_EQ(NR_PAGES / 2, nr_valid(self->gam, TEST_GFN, NR_PAGES / 2));
	ASSERT_EQ(0, nr_valid(gam2, TEST_GFN, NR_PAGES / 2));
	ASSERT_EQ(0, nr_valid(self->gam, TEST_GFN + NR_PAGES / 2, NR_PAGES / 2));
	ASSERT_EQ(NR_PAGES / 2, nr_valid(gam2, TEST_GFN + NR_PAGES / 2, NR_PAGES / 2));

	/* The end of one VM lets go of everything it had, and had had */
	kvm_vm_free(vm2);
	ASSERT_EQ(0, nr_valid(gam2, 0, NR_GFNS));

	set_slot(self->vm, TEST_SLOT, 0, TEST_GFN, 0, self->mem);
	set_slot(self->vm, TEST_SLOT, 0, TEST_GFN, NR_PAGES, self->mem);
	touch(self, TEST_GFN, NR_PAGES);
	ASSERT_EQ(NR_PAGES, nr_valid(self->gam, TEST_GFN, NR_PAGES));
	ASSERT_ALL_RIGHT(self);
}

/* A VMM that is killed takes the VM with it. */
TEST_F(gam, killed)
{
	int status, ready[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		const volatile uint64_t *gam;
		struct kvm_vcpu *vcpu;
		struct kvm_vm *vm;

		create(&vm, &vcpu, &gam);
		set_slot(vm, TEST_SLOT, 0, TEST_GFN, NR_PAGES, alloc_mem(NR_PAGES));
		__touch(vm, vcpu, TEST_GFN, NR_PAGES, true);
		if (nr_valid(gam, TEST_GFN, NR_PAGES) == NR_PAGES)
			c = write(ready[1], "", 1);
		pause();
	}
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &c, 1));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));

	/* Its memory may well be ours now */
	touch(self, TEST_GFN, NR_PAGES);
	ASSERT_EQ(NR_PAGES, nr_valid(self->gam, TEST_GFN, NR_PAGES));
	ASSERT_ALL_RIGHT(self);
}

/* The guest sees the same map, in a slot that it can't write to. */
static void guest_read_map(uint64_t gva, uint64_t gfn)
{
	uint64_t *gam = (void *)gva;

	WRITE_ONCE(*(uint64_t *)(gfn * PAGE_SIZE), 1);
	GUEST_SYNC(READ_ONCE(gam[gfn]));
	GUEST_SYNC(READ_ONCE(gam[gfn]));
	/* Ignored by a VMM; KVM exits to it */
	WRITE_ONCE(gam[gfn], -1ull);
	GUEST_SYNC(READ_ONCE(gam[gfn]));
}

TEST_F(gam, guest_view)
{
	const uint64_t map_gpa = TEST_GPA + 2 * NR_PAGES * PAGE_SIZE;
	const uint64_t size = align_up(NR_GFNS * sizeof(uint64_t), PAGE_SIZE);
	struct ucall uc;

	set_slot(self->vm, TEST_SLOT + 1, KVM_MEM_READONLY, map_gpa / PAGE_SIZE,
		 size / PAGE_SIZE, (void *)self->gam);
	vcpu_arch_set_entry_point(self->vcpu, guest_read_map);
	vcpu_args_set(self->vcpu, 2, map_gpa, TEST_GFN);

	vcpu_run(self->vcpu);
	ASSERT_EQ(UCALL_SYNC, get_ucall(self->vcpu, &uc));
	ASSERT_NE(0, self->gam[TEST_GFN]);
	ASSERT_EQ(self->gam[TEST_GFN], uc.args[1]);

	ASSERT_EQ(0, madvise(self->mem, PAGE_SIZE, MADV_DONTNEED));
	vcpu_run(self->vcpu);
	ASSERT_EQ(UCALL_SYNC, get_ucall(self->vcpu, &uc));
	ASSERT_EQ(0, uc.args[1]);

	/* The map's own pages are nothing that can be passed through */
	ASSERT_EQ(0, nr_valid(self->gam, map_gpa / PAGE_SIZE, size / PAGE_SIZE));

	vcpu_run(self->vcpu);
	ASSERT_EQ(KVM_EXIT_MMIO, self->vcpu->run->exit_reason);
	ASSERT_EQ(map_gpa + TEST_GFN * sizeof(uint64_t), self->vcpu->run->mmio.phys_addr);
	ASSERT_EQ(1, self->vcpu->run->mmio.is_write);
	vcpu_run(self->vcpu);
	ASSERT_EQ(UCALL_SYNC, get_ucall(self->vcpu, &uc));
	ASSERT_EQ(0, uc.args[1]);
}

/*
 * Exit records.  A VM of its own, since a VM has one map; two vCPUs, the second
 * of which is beyond the records.
 */
#define NR_EXITS	2ul
#define OTHER_ID	NR_EXITS

static void guest_exit_often(void)
{
	for (;;)
		GUEST_SYNC(0);
}

static void run_to_sync(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_SYNC);
}

TEST(exits)
{
	const size_t map_size = align_up(NR_GFNS * sizeof(uint64_t), PAGE_SIZE);
	const volatile struct tpt_exit_record *record;
	struct kvm_vcpu *vcpu, *other;
	struct tpt_exit_record last;
	struct kvm_vm *vm;
	char *map;
	int fd, i;

	vm = tpt_vm_create(NR_SLOT0);
	vcpu = vm_vcpu_add(vm, NR_EXITS - 1, guest_exit_often);
	other = vm_vcpu_add(vm, OTHER_ID, guest_exit_often);
	fd = tpt_create_addrmap_exits(vm, NR_GFNS, NR_EXITS);

	/* Entries and records, one page of these, and no more; read-only too */
	map = mmap(NULL, map_size + PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(MAP_FAILED, mmap(NULL, map_size + 2 * PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0));
	ASSERT_EQ(EINVAL, errno);
	ASSERT_EQ(MAP_FAILED, mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, fd,
				   map_size + PAGE_SIZE));
	ASSERT_EQ(EINVAL, errno);
	ASSERT_EQ(MAP_FAILED, mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
				   map_size));
	ASSERT_EQ(EACCES, errno);
	close(fd);

	record = (void *)(map + map_size);
	for (i = 0; i < PAGE_SIZE; i++)
		ASSERT_EQ(0, map[map_size + i]);

	/* The first run ends with an exit that nothing has followed yet */
	run_to_sync(vcpu);
	record += NR_EXITS - 1;
	last.exits = record->exits;
	last.cycles = record->cycles;
	ASSERT_LT(0, last.exits);

	for (i = 0; i < 100; i++) {
		run_to_sync(vcpu);
		ASSERT_LT(last.exits, record->exits);
		ASSERT_LT(last.cycles, record->cycles);
		last.exits = record->exits;
		last.cycles = record->cycles;
	}
	TH_LOG("%llu exits, %llu cycles", last.exits, last.cycles);

	/* User space is part of it: 20 ms at 100 MHz are more than the rest */
	usleep(20000);
	run_to_sync(vcpu);
	ASSERT_LT(last.cycles + 2000000, record->cycles);
	last.exits = record->exits;
	last.cycles = record->cycles;

	/* Nobody else's record, and nothing behind the last one, is touched */
	for (i = 0; i < 10; i++)
		run_to_sync(other);
	ASSERT_EQ(last.exits, record->exits);
	ASSERT_EQ(last.cycles, record->cycles);
	for (i = 0; i < PAGE_SIZE; i++) {
		if (i / sizeof(*record) != NR_EXITS - 1)
			ASSERT_EQ(0, map[map_size + i]);
	}

	/* The map outlives the VM */
	kvm_vm_free(vm);
	ASSERT_EQ(last.exits, record->exits);
	munmap(map, map_size + PAGE_SIZE);
}

TEST(exits_arguments)
{
	static const struct {
		uint32_t flags;
		uint64_t nr_exits;
		int err;
	} cases[] = {
		{ KVM_TPT_ADDRMAP_EXITS, 0, EINVAL },
		{ 0, 1, EINVAL },
		{ KVM_TPT_ADDRMAP_EXITS << 1, 0, EINVAL },
		{ KVM_TPT_ADDRMAP_EXITS << 1, 1, EINVAL },
		{ 1u << 31, 0, EINVAL },
		{ KVM_TPT_ADDRMAP_EXITS, KVM_TPT_ADDRMAP_MAX_EXITS + 1, EINVAL },
		{ KVM_TPT_ADDRMAP_EXITS, -1ull, EINVAL },
		{ KVM_TPT_ADDRMAP_EXITS, 1, 0 },
	};
	struct kvm_vm *vm = tpt_vm_create(NR_SLOT0);
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kvm_tpt_addrmap args = {
			.nr_gfns = NR_GFNS,
			.flags = cases[i].flags,
			.nr_exits = cases[i].nr_exits,
		};
		int ret = __tpt_create_addrmap(vm->fd, &args);

		TH_LOG("flags %#x, %llu records", cases[i].flags,
		       (unsigned long long)cases[i].nr_exits);
		if (cases[i].err) {
			ASSERT_EQ(-1, ret);
			ASSERT_EQ(cases[i].err, errno);
		} else {
			ASSERT_EQ(0, ret);
			close(args.fd);
		}
	}
	kvm_vm_free(vm);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_TPT));
	TEST_REQUIRE(!geteuid());

	return test_harness_run(argc, argv);
}
