// SPDX-License-Identifier: GPL-2.0-only
/*
 * Translation Pass-Through: a guest can build any TPT table it likes, and run
 * user mode on it, but reaches no frame that the host did not give it.
 *
 * The guest's kernel is the test's usual guest code at CPL 0, under CR3.  Its
 * user mode is three instructions in a page that only the TPT table maps.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tpt_util.h"
#include "tpt_user.h"
#include "kvm_test_harness.h"

#define NR_SLOT0	1024ul
#define HPAGE_SIZE	(2ul << 20)
#define TEST_SLOT	1
#define TEST_GPA	(32ul << 20)
#define TEST_GFN	(TEST_GPA >> 12)
#define NR_PAGES	1024ul
#define NR_GFNS		(TEST_GFN + NR_PAGES)

/* User mode's addresses: its code, and what it tries to reach */
#define CODE_VA		0x100000000000ul
#define TARGET_VA	0x200040600000ul

/* Pages of the test's slot */
enum {
	PAGE_CODE,
	PAGE_DATA,
	PAGE_OTHER,
	PAGE_ROOT,
	PAGE_CODE_L3,
	PAGE_CODE_L2,
	PAGE_CODE_L1,
	PAGE_L3,
	PAGE_L2,
	PAGE_L1,
	NR_TEST_PAGES,
};

#define DATA_VALUE	0xdadadadadadadadaul
#define STORE_VALUE	0x5705705705705700ul

#define PTE_FLAGS	(PTE_PRESENT_MASK | PTE_WRITABLE_MASK | PTE_USER_MASK)

enum access { LOAD, STORE, FETCH };
static const char * const access_names[] = { "load", "store", "fetch" };

/* What the guest is to do next, and what came of it */
static struct {
	struct tpt_user *state;
	bool user;
	bool confirm;
	bool set_cr3;
	uint64_t tpt_cr3;
	uint64_t rip;
	uint64_t rdi;
	uint64_t rsi;
	uint64_t rcx;
} job;

static struct {
	uint64_t vector;
	uint64_t error_code;
	uint64_t cr2;
	uint64_t rip;
	uint64_t rax;
} result;

/* User mode, copied to PAGE_CODE */
extern char user_code, user_load, user_store, user_fetch, user_watch, user_code_end;

asm(".pushsection .text\n"
    "user_code:\n"
    "user_load:\n"
    "	mov (%rdi), %rax\n"
    "	int $" __stringify(USER_VECTOR) "\n"
    "user_store:\n"
    "	mov %rsi, (%rdi)\n"
    "	int $" __stringify(USER_VECTOR) "\n"
    "user_fetch:\n"
    "	jmp *%rdi\n"
    "user_watch:\n"
    "	mov (%rdi), %rax\n"
    "	cmp %rsi, %rax\n"
    "	je 1f\n"
    "	dec %rcx\n"
    "	jnz user_watch\n"
    "1:	int $" __stringify(USER_VECTOR) "\n"
    "user_code_end:\n"
    ".popsection\n");

static void user_trap(struct ex_regs *regs)
{
	result.vector = regs->vector;
	result.error_code = regs->error_code;
	result.rip = regs->rip;
	result.rax = regs->rax;
	asm volatile("mov %%cr2, %0" : "=r"(result.cr2));

	tpt_user_leave(regs);
}

static void guest_code(void)
{
	uint64_t i;

	for (;;) {
		if (job.set_cr3)
			wrmsr(MSR_TPT_CR3, job.tpt_cr3);

		if (job.user) {
			job.state->rip = job.rip;
			job.state->rdi = job.rdi;
			job.state->rsi = job.rsi;
			job.state->rcx = job.rcx;
			tpt_run_user(job.state);
		} else if (job.confirm) {
			result.rax = kvm_hypercall(KVM_HC_TPT_CONFIRM, job.rdi, 0, 0, 0);
		} else {
			/* Have KVM map what the table is to be made of */
			for (i = 0; i < job.rcx; i++)
				asm volatile("lock orb $0, (%0)" ::
					     "r"(job.rdi + i * PAGE_SIZE) : "memory");
		}
		GUEST_SYNC(0);
	}
}

FIXTURE(rmp) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	const volatile uint64_t *gam;
	char *mem;
	uint64_t rmp_base;
	uint64_t rmp_end;
};

static char *alloc_mem(size_t nr_pages)
{
	char *mem = mmap(NULL, nr_pages * PAGE_SIZE + HPAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	TEST_ASSERT(mem != MAP_FAILED, __KVM_SYSCALL_ERROR("mmap()", -1));
	mem = (char *)align_up((uintptr_t)mem, HPAGE_SIZE);
	madvise(mem, nr_pages * PAGE_SIZE, MADV_NOHUGEPAGE);
	return mem;
}

/* Return: what the guest's job.state is to be, for a VM that runs user mode */
static struct tpt_user *create(struct kvm_vm **vm, struct kvm_vcpu **vcpu,
			       const volatile uint64_t **gam, char **mem)
{
	int fd;

	*vm = tpt_vm_create(NR_SLOT0);
	*vcpu = vm_vcpu_add(*vm, 0, guest_code);
	fd = tpt_create_addrmap(*vm, NR_GFNS);
	*gam = tpt_map_addrmap(fd, NR_GFNS);
	close(fd);

	*mem = alloc_mem(NR_PAGES);
	vm_set_user_memory_region(*vm, TEST_SLOT, 0, TEST_GPA,
				  NR_PAGES * PAGE_SIZE, *mem);
	virt_map(*vm, TEST_GPA, TEST_GPA, NR_PAGES);
	tpt_user_init_vm(*vm, user_trap, user_trap);
	return (void *)tpt_user_init_vcpu(*vcpu);
}

static void run(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	sync_global_to_guest(vm, job);
	vcpu_run(vcpu);
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, UCALL_SYNC);
	sync_global_from_guest(vm, result);
}

static void touch(struct kvm_vm *vm, struct kvm_vcpu *vcpu, uint64_t page,
		  uint64_t nr_pages)
{
	job.user = false;
	job.confirm = false;
	job.set_cr3 = false;
	job.rdi = TEST_GPA + page * PAGE_SIZE;
	job.rcx = nr_pages;
	run(vm, vcpu);
}

static int64_t confirm(struct kvm_vm *vm, struct kvm_vcpu *vcpu, uint64_t op)
{
	job.user = false;
	job.confirm = true;
	job.set_cr3 = false;
	job.rdi = op;
	run(vm, vcpu);
	return result.rax;
}

#define page_ptr(self, page)	((uint64_t *)((self)->mem + (page) * PAGE_SIZE))

static uint64_t frame_of(FIXTURE_DATA(rmp) *self, uint64_t page)
{
	uint64_t entry = self->gam[TEST_GFN + page];

	TEST_ASSERT(entry & TPT_GAM_VALID, "page %lu is not in the map", page);
	return entry & TPT_GAM_FRAME_MASK;
}

static int va_index(uint64_t va, int level)
{
	return (va >> (12 + 9 * (level - 1))) & 0x1ff;
}

/* The entry of TARGET_VA at a level, in the table that is used for it */
static uint64_t *target_entry(FIXTURE_DATA(rmp) *self, int level)
{
	static const int pages[] = { 0, PAGE_L1, PAGE_L2, PAGE_L3, PAGE_ROOT };

	return page_ptr(self, pages[level]) + va_index(TARGET_VA, level);
}

static void map(FIXTURE_DATA(rmp) *self, uint64_t va, int l3, int l2, int l1, int leaf)
{
	page_ptr(self, PAGE_ROOT)[va_index(va, 4)] = frame_of(self, l3) | PTE_FLAGS;
	page_ptr(self, l3)[va_index(va, 3)] = frame_of(self, l2) | PTE_FLAGS;
	page_ptr(self, l2)[va_index(va, 2)] = frame_of(self, l1) | PTE_FLAGS;
	page_ptr(self, l1)[va_index(va, 1)] = frame_of(self, leaf) | PTE_FLAGS;
}

/* All is well: CODE_VA maps the code, TARGET_VA the data. */
static void build_table(FIXTURE_DATA(rmp) *self)
{
	map(self, CODE_VA, PAGE_CODE_L3, PAGE_CODE_L2, PAGE_CODE_L1, PAGE_CODE);
	map(self, TARGET_VA, PAGE_L3, PAGE_L2, PAGE_L1, PAGE_DATA);
	job.tpt_cr3 = frame_of(self, PAGE_ROOT) | TPT_CR3_VALID;
}

FIXTURE_SETUP(rmp)
{
	self->rmp_base = tpt_read_host_msr(MSR_TPT_RMP_BASE);
	self->rmp_end = tpt_read_host_msr(MSR_TPT_RMP_END);

	job.state = create(&self->vm, &self->vcpu, &self->gam, &self->mem);
	touch(self->vm, self->vcpu, 0, NR_TEST_PAGES);

	memcpy(page_ptr(self, PAGE_CODE), &user_code, &user_code_end - &user_code);
	page_ptr(self, PAGE_DATA)[0] = DATA_VALUE;
	build_table(self);
}

FIXTURE_TEARDOWN(rmp)
{
	kvm_vm_free(self->vm);
}

static uint64_t code_va(void *label)
{
	return CODE_VA + ((char *)label - &user_code);
}

/* @set_cr3: load the root, which flushes the TLB, as the guest has to itself */
static void user(FIXTURE_DATA(rmp) *self, enum access access, uint64_t va, bool set_cr3)
{
	void *code[] = { &user_load, &user_store, &user_fetch };

	job.user = true;
	job.set_cr3 = set_cr3;
	job.rip = code_va(code[access]);
	job.rdi = va;
	job.rsi = STORE_VALUE;
	run(self->vm, self->vcpu);
}

static uint64_t access_bits(enum access access)
{
	return access == STORE ? PFERR_WRITE_MASK :
	       access == FETCH ? PFERR_FETCH_MASK : 0;
}

/* A page that could serve as table or data, for whoever gets hold of it */
static void make_bait(FIXTURE_DATA(rmp) *self, uint64_t *p)
{
	int i;

	/* Any index leads to the data, with accessed and dirty still to set */
	for (i = 0; i < 512; i++)
		p[i] = frame_of(self, PAGE_DATA) | PTE_FLAGS;
}

#define ASSERT_STALE(access, va)						\
do {										\
	ASSERT_EQ(PF_VECTOR, result.vector);					\
	ASSERT_EQ(PFERR_USER_MASK | TPT_PF_TPT | TPT_PF_STALE |			\
		  access_bits(access), result.error_code);			\
	ASSERT_EQ(va, result.cr2);						\
} while (0)

#define ASSERT_NO_FAULT(self, access, value)					\
do {										\
	ASSERT_EQ(USER_VECTOR, result.vector)					\
		TH_LOG("%s: error code %lx cr2 %lx", access_names[access],	\
		       result.error_code, result.cr2);				\
	if ((access) == LOAD)							\
		ASSERT_EQ(value, result.rax);					\
} while (0)

TEST_F(rmp, own_memory)
{
	uint64_t *data = page_ptr(self, PAGE_DATA);
	int level;

	user(self, LOAD, TARGET_VA, true);
	ASSERT_NO_FAULT(self, LOAD, DATA_VALUE);
	for (level = 1; level <= 4; level++) {
		ASSERT_TRUE(*target_entry(self, level) & PTE_ACCESSED_MASK);
		ASSERT_FALSE(*target_entry(self, level) & PTE_DIRTY_MASK);
	}

	user(self, STORE, TARGET_VA + 64, false);
	ASSERT_NO_FAULT(self, STORE, 0);
	ASSERT_EQ(STORE_VALUE, data[8]);
	ASSERT_TRUE(*target_entry(self, 1) & PTE_DIRTY_MASK);

	memcpy(data + 32, "\xcd\x80", 2);
	user(self, FETCH, TARGET_VA + 256, false);
	ASSERT_NO_FAULT(self, FETCH, 0);
	ASSERT_EQ(TARGET_VA + 258, result.rip);

	/* Without the valid bit there is no TPT table, CR3 has none of this */
	job.tpt_cr3 &= ~TPT_CR3_VALID;
	user(self, LOAD, TARGET_VA, true);
	ASSERT_EQ(PF_VECTOR, result.vector);
	ASSERT_EQ(PFERR_USER_MASK | PFERR_FETCH_MASK, result.error_code);
}

/* What the table itself forbids is the guest's own affair. */
TEST_F(rmp, faults_in_table)
{
	static const uint64_t bits[] = { PTE_PRESENT_MASK, PTE_USER_MASK, PTE_WRITABLE_MASK };
	uint64_t entry, error_code;
	enum access access;
	int level, i;

	for (level = 1; level <= 4; level++) {
		entry = *target_entry(self, level);

		for (i = 0; i < ARRAY_SIZE(bits); i++) {
			*target_entry(self, level) = entry & ~bits[i];

			for (access = LOAD; access <= FETCH; access++) {
				memcpy(page_ptr(self, PAGE_DATA) + 32, "\xcd\x80", 2);
				user(self, access, TARGET_VA + 256, true);

				if (bits[i] == PTE_WRITABLE_MASK && access != STORE) {
					ASSERT_EQ(USER_VECTOR, result.vector);
					continue;
				}

				error_code = PFERR_USER_MASK | TPT_PF_TPT | access_bits(access);
				if (bits[i] != PTE_PRESENT_MASK)
					error_code |= PFERR_PRESENT_MASK;
				ASSERT_EQ(PF_VECTOR, result.vector);
				ASSERT_EQ(error_code, result.error_code);
				ASSERT_EQ(TARGET_VA + 256, result.cr2);
			}
		}

		*target_entry(self, level) = entry | PTE_NX_MASK;
		user(self, FETCH, TARGET_VA + 256, true);
		ASSERT_EQ(PFERR_PRESENT_MASK | PFERR_USER_MASK | TPT_PF_TPT |
			  PFERR_FETCH_MASK, result.error_code);

		*target_entry(self, level) = entry;
	}
}

/*
 * A frame that is not the guest's, in every place where a walk finds a frame,
 * and for every access.  The page @bait is where the frame is mapped here, if
 * it is, and must not be changed.
 */
static void try_frame(struct __test_metadata *_metadata, FIXTURE_DATA(rmp) *self,
		      const char *name, uint64_t pfn, uint64_t *bait)
{
	uint64_t copy[512], frame = pfn * PAGE_SIZE, *entry, saved, cr3;
	enum access access;
	int level;

	if (bait)
		memcpy(copy, bait, PAGE_SIZE);

	for (level = 1; level <= 4; level++) {
		entry = target_entry(self, level);
		saved = *entry;

		for (access = LOAD; access <= FETCH; access++) {
			*entry = frame | PTE_FLAGS;
			user(self, access, TARGET_VA, true);
			if (!(result.error_code & TPT_PF_STALE))
				TH_LOG("%s, frame %lx, level %d, %s", name, pfn,
				       level, access_names[access]);
			ASSERT_STALE(access, TARGET_VA);
			*entry = saved;
		}
	}

	/* As the root, whatever user mode wants to do, it does not even start */
	cr3 = job.tpt_cr3;
	for (access = LOAD; access <= FETCH; access++) {
		job.tpt_cr3 = frame | TPT_CR3_VALID;
		user(self, access, TARGET_VA, true);
		ASSERT_STALE(FETCH, job.rip);
	}
	job.tpt_cr3 = cr3;

	if (bait)
		ASSERT_EQ(0, memcmp(copy, bait, PAGE_SIZE));
	ASSERT_EQ(DATA_VALUE, page_ptr(self, PAGE_DATA)[0]);

	user(self, LOAD, TARGET_VA, true);
	ASSERT_NO_FAULT(self, LOAD, DATA_VALUE);
}

TEST_F(rmp, frame_of_other_vm)
{
	const volatile uint64_t *gam2;
	struct kvm_vcpu *vcpu2;
	struct kvm_vm *vm2;
	uint64_t *bait;
	char *mem2;

	create(&vm2, &vcpu2, &gam2, &mem2);
	touch(vm2, vcpu2, 0, NR_TEST_PAGES);
	bait = (uint64_t *)(mem2 + PAGE_DATA * PAGE_SIZE);
	make_bait(self, bait);
	ASSERT_TRUE(gam2[TEST_GFN + PAGE_DATA] & TPT_GAM_VALID);

	try_frame(_metadata, self, "other VM",
		  tpt_gam_pfn(gam2[TEST_GFN + PAGE_DATA]), bait);
	ASSERT_TRUE(gam2[TEST_GFN + PAGE_DATA] & TPT_GAM_VALID);
	kvm_vm_free(vm2);
}

TEST_F(rmp, frame_of_no_vm)
{
	uint64_t *bait = (uint64_t *)alloc_mem(1);

	make_bait(self, bait);
	try_frame(_metadata, self, "no VM", tpt_hva_to_pfn(bait), bait);
}

TEST_F(rmp, frame_of_address_map)
{
	ASSERT_NE(0, self->gam[TEST_GFN]);
	try_frame(_metadata, self, "address map",
		  tpt_hva_to_pfn((void *)&self->gam[TEST_GFN]),
		  (void *)((uintptr_t)&self->gam[TEST_GFN] & PAGE_MASK));
}

TEST_F(rmp, frame_of_rmp)
{
	uint64_t entry = self->rmp_base + frame_of(self, PAGE_DATA) / PAGE_SIZE * 8;

	try_frame(_metadata, self, "first of RMP", self->rmp_base / PAGE_SIZE, NULL);
	try_frame(_metadata, self, "last of RMP", self->rmp_end / PAGE_SIZE - 1, NULL);
	try_frame(_metadata, self, "its own in RMP", entry / PAGE_SIZE, NULL);
}

TEST_F(rmp, frame_without_entry)
{
	uint64_t last = (1ull << (self->vm->pa_bits - self->vm->page_shift)) - 1;

	try_frame(_metadata, self, "first beyond RMP",
		  (self->rmp_end - self->rmp_base) / 8, NULL);
	try_frame(_metadata, self, "last there can be", last, NULL);
	try_frame(_metadata, self, "frame 0", 0, NULL);
}

/* The host takes memory away: at once, and also if the TLB has it. */
TEST_F(rmp, revoked)
{
	static const int pages[] = { PAGE_DATA, PAGE_L1, PAGE_L2, PAGE_L3 };
	enum access access;
	int i;

	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		for (access = LOAD; access <= FETCH; access++) {
			memcpy(page_ptr(self, PAGE_DATA) + 32, "\xcd\x80", 2);
			user(self, access, TARGET_VA + 256, true);
			ASSERT_EQ(USER_VECTOR, result.vector);

			ASSERT_EQ(0, madvise(page_ptr(self, pages[i]), PAGE_SIZE, MADV_DONTNEED));
			user(self, access, TARGET_VA + 256, false);
			ASSERT_STALE(access, TARGET_VA + 256);

			/* Repaired as by a guest: touch, look at the map again */
			touch(self->vm, self->vcpu, 0, NR_TEST_PAGES);
			build_table(self);
		}
	}
}

/* The frame of one page becomes that of another, and the first is empty.  Return: the frame */
static uint64_t move_page(FIXTURE_DATA(rmp) *self, uint64_t from, uint64_t to)
{
	void *old = page_ptr(self, from), *new = page_ptr(self, to);
	uint64_t pfn = tpt_hva_to_pfn(old), page;

	TEST_ASSERT_EQ(mremap(old, PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, new), new);
	TEST_ASSERT_EQ(mmap(old, PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), old);
	/* Splitting the VMA costs more than the page; what is not empty comes back */
	for (page = 0; page < NR_TEST_PAGES; page++)
		if (tpt_hva_to_pfn(page_ptr(self, page)))
			touch(self->vm, self->vcpu, page, 1);
	TEST_ASSERT_EQ(tpt_hva_to_pfn(new), pfn);
	return pfn;
}

/* The frame comes back at another place of the same VM. */
TEST_F(rmp, reused)
{
	enum access access;

	user(self, LOAD, TARGET_VA, true);
	ASSERT_NO_FAULT(self, LOAD, DATA_VALUE);

	move_page(self, PAGE_DATA, PAGE_OTHER);
	ASSERT_EQ(0, self->gam[TEST_GFN + PAGE_OTHER]);

	for (access = LOAD; access <= FETCH; access++) {
		user(self, access, TARGET_VA, access == LOAD);
		ASSERT_STALE(access, TARGET_VA);
	}
	ASSERT_EQ(DATA_VALUE, page_ptr(self, PAGE_OTHER)[0]);
}

/* The guest confirms that it does not remember what was revoked. */
TEST_F(rmp, confirmed)
{
	uint64_t pfn, pfn2;

	ASSERT_EQ(0, confirm(self->vm, self->vcpu, KVM_TPT_CONFIRM_BEGIN));
	ASSERT_EQ(-KVM_EINVAL, confirm(self->vm, self->vcpu, KVM_TPT_CONFIRM_END));
	ASSERT_EQ(-KVM_EINVAL, confirm(self->vm, self->vcpu, 2));

	pfn = move_page(self, PAGE_DATA, PAGE_OTHER);
	ASSERT_EQ(0, self->gam[TEST_GFN + PAGE_OTHER]);
	ASSERT_EQ(1, confirm(self->vm, self->vcpu, KVM_TPT_CONFIRM_BEGIN));
	ASSERT_EQ(0, self->gam[TEST_GFN + PAGE_OTHER]);
	user(self, LOAD, TARGET_VA, true);
	ASSERT_STALE(LOAD, TARGET_VA);

	/* What is revoked from here on may be remembered */
	ASSERT_EQ(1, confirm(self->vm, self->vcpu, KVM_TPT_CONFIRM_BEGIN));
	pfn2 = move_page(self, PAGE_CODE_L1, PAGE_DATA);
	ASSERT_EQ(0, confirm(self->vm, self->vcpu, KVM_TPT_CONFIRM_END));
	ASSERT_EQ(pfn, tpt_gam_pfn(self->gam[TEST_GFN + PAGE_OTHER]));
	ASSERT_EQ(0, self->gam[TEST_GFN + PAGE_DATA]);

	/* A guest that lies sees its own memory; here it is the test that looks */
	touch(self->vm, self->vcpu, PAGE_CODE_L1, 1);
	map(self, CODE_VA, PAGE_CODE_L3, PAGE_CODE_L2, PAGE_CODE_L1, PAGE_CODE);
	user(self, LOAD, TARGET_VA, true);
	ASSERT_NO_FAULT(self, LOAD, DATA_VALUE);

	/* Now the rest, once */
	ASSERT_EQ(1, confirm(self->vm, self->vcpu, KVM_TPT_CONFIRM_BEGIN));
	ASSERT_EQ(0, confirm(self->vm, self->vcpu, KVM_TPT_CONFIRM_END));
	ASSERT_EQ(pfn2, tpt_gam_pfn(self->gam[TEST_GFN + PAGE_DATA]));
	ASSERT_EQ(0, confirm(self->vm, self->vcpu, KVM_TPT_CONFIRM_BEGIN));
}

/* What another VM had is in demand there, and then here. */
TEST_F(rmp, confirmed_by_other_vm)
{
	const volatile uint64_t *gam2;
	struct kvm_vcpu *vcpu2;
	struct kvm_vm *vm2;
	char *mem2, *to;
	uint64_t pfn;

	create(&vm2, &vcpu2, &gam2, &mem2);
	pfn = tpt_hva_to_pfn(page_ptr(self, PAGE_DATA));
	to = mem2 + PAGE_DATA * PAGE_SIZE;
	ASSERT_EQ(to, mremap(page_ptr(self, PAGE_DATA), PAGE_SIZE, PAGE_SIZE,
			     MREMAP_MAYMOVE | MREMAP_FIXED, to));
	touch(vm2, vcpu2, PAGE_DATA, 1);
	ASSERT_EQ(pfn, tpt_hva_to_pfn(to));
	ASSERT_EQ(0, gam2[TEST_GFN + PAGE_DATA]);

	/* It has nothing to confirm, and that does not help */
	ASSERT_EQ(1, confirm(vm2, vcpu2, KVM_TPT_CONFIRM_BEGIN));
	ASSERT_EQ(0, confirm(vm2, vcpu2, KVM_TPT_CONFIRM_END));
	ASSERT_EQ(0, gam2[TEST_GFN + PAGE_DATA]);

	touch(self->vm, self->vcpu, 0, 1);
	ASSERT_EQ(1, confirm(self->vm, self->vcpu, KVM_TPT_CONFIRM_BEGIN));
	ASSERT_EQ(0, confirm(self->vm, self->vcpu, KVM_TPT_CONFIRM_END));

	ASSERT_EQ(1, confirm(vm2, vcpu2, KVM_TPT_CONFIRM_BEGIN));
	ASSERT_EQ(0, confirm(vm2, vcpu2, KVM_TPT_CONFIRM_END));
	ASSERT_EQ(pfn, tpt_gam_pfn(gam2[TEST_GFN + PAGE_DATA]));
	kvm_vm_free(vm2);
}

TEST_F(rmp, suspended)
{
	uint32_t state, i;

	for (i = 0; i < 2; i++) {
		user(self, LOAD, TARGET_VA, true);
		ASSERT_NO_FAULT(self, LOAD, DATA_VALUE);

		/* By user space, or because a slot is logged */
		state = KVM_X86_TPT_STATE_SUSPENDED;
		if (!i)
			vm_ioctl(self->vm, KVM_X86_TPT_SET_STATE, &state);
		else
			vm_set_user_memory_region(self->vm, TEST_SLOT, KVM_MEM_LOG_DIRTY_PAGES,
						  TEST_GPA, NR_PAGES * PAGE_SIZE, self->mem);

		/* User mode is not mapped in CR3, but the CPU looks there */
		user(self, LOAD, TARGET_VA, false);
		ASSERT_EQ(PF_VECTOR, result.vector);
		ASSERT_EQ(PFERR_USER_MASK | PFERR_FETCH_MASK, result.error_code);
		ASSERT_EQ(job.rip, result.cr2);

		state = KVM_X86_TPT_STATE_RUN;
		if (!i)
			vm_ioctl(self->vm, KVM_X86_TPT_SET_STATE, &state);
		else
			vm_set_user_memory_region(self->vm, TEST_SLOT, 0,
						  TEST_GPA, NR_PAGES * PAGE_SIZE, self->mem);

		user(self, LOAD, TARGET_VA, false);
		ASSERT_NO_FAULT(self, LOAD, DATA_VALUE);
	}
}

/* Stores through TPT reach the page, not the SPTE, and must not get lost. */
TEST_F(rmp, logged_stores)
{
	unsigned long *bitmap = calloc(1, NR_PAGES / 8);
	int round;

	for (round = 0; round < 2; round++) {
		user(self, STORE, TARGET_VA, true);
		ASSERT_NO_FAULT(self, STORE, 0);
		ASSERT_EQ(STORE_VALUE, page_ptr(self, PAGE_DATA)[0]);
		page_ptr(self, PAGE_DATA)[0] = 0;

		vm_set_user_memory_region(self->vm, TEST_SLOT, KVM_MEM_LOG_DIRTY_PAGES,
					  TEST_GPA, NR_PAGES * PAGE_SIZE, self->mem);
		kvm_vm_get_dirty_log(self->vm, TEST_SLOT, bitmap);

		/* Suspended, so nothing is stored behind the log's back */
		user(self, STORE, TARGET_VA, true);
		ASSERT_EQ(PF_VECTOR, result.vector);
		ASSERT_EQ(0, page_ptr(self, PAGE_DATA)[0]);
		kvm_vm_get_dirty_log(self->vm, TEST_SLOT, bitmap);
		ASSERT_EQ(0, bitmap[0]);

		vm_set_user_memory_region(self->vm, TEST_SLOT, 0, TEST_GPA,
					  NR_PAGES * PAGE_SIZE, self->mem);
	}
	free(bitmap);
}

/* One bit for each frame, in words of 64: the page has not been accessed. */
static void set_idle(int fd, uint64_t pfn)
{
	uint64_t word = BIT_ULL(pfn % 64);

	TEST_ASSERT(pwrite(fd, &word, 8, pfn / 64 * 8) == 8,
		    __KVM_SYSCALL_ERROR("pwrite(page_idle)", -1));
}

static bool is_idle(int fd, uint64_t pfn)
{
	uint64_t word;

	TEST_ASSERT(pread(fd, &word, 8, pfn / 64 * 8) == 8,
		    __KVM_SYSCALL_ERROR("pread(page_idle)", -1));
	return word & BIT_ULL(pfn % 64);
}

/* The host sees accesses through TPT, the guest does not see it looking. */
TEST_F(rmp, aged)
{
	uint64_t pfn = tpt_hva_to_pfn(page_ptr(self, PAGE_DATA));
	uint64_t entry = self->gam[TEST_GFN + PAGE_DATA];
	enum access access;
	int fd;

	fd = open("/sys/kernel/mm/page_idle/bitmap", O_RDWR);
	if (fd < 0)
		SKIP(return, "no idle page tracking");

	/* It only knows pages that have got as far as the LRU lists */
	munmap(mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	       PAGE_SIZE);

	memcpy(page_ptr(self, PAGE_DATA) + 32, "\xcd\x80", 2);

	for (access = LOAD; access <= FETCH; access++) {
		user(self, access, TARGET_VA + 256, true);
		ASSERT_EQ(USER_VECTOR, result.vector);
		memcpy(page_ptr(self, PAGE_DATA) + 32, "\xcd\x80", 2);

		set_idle(fd, pfn);
		ASSERT_TRUE(is_idle(fd, pfn));
		ASSERT_EQ(entry, self->gam[TEST_GFN + PAGE_DATA]);

		user(self, access, TARGET_VA + 256, true);
		ASSERT_EQ(USER_VECTOR, result.vector);
		ASSERT_FALSE(is_idle(fd, pfn));
		ASSERT_EQ(entry, self->gam[TEST_GFN + PAGE_DATA]);
		memcpy(page_ptr(self, PAGE_DATA) + 32, "\xcd\x80", 2);
	}

	/* The guest knows it by right, so it is not released while marked idle */
	move_page(self, PAGE_L1, PAGE_OTHER);
	set_idle(fd, pfn);
	ASSERT_EQ(1, confirm(self->vm, self->vcpu, KVM_TPT_CONFIRM_BEGIN));
	ASSERT_EQ(0, confirm(self->vm, self->vcpu, KVM_TPT_CONFIRM_END));
	ASSERT_EQ(entry, self->gam[TEST_GFN + PAGE_DATA]);
	touch(self->vm, self->vcpu, PAGE_L1, 1);
	build_table(self);
	user(self, LOAD, TARGET_VA, true);
	ASSERT_NO_FAULT(self, LOAD, DATA_VALUE);

	/* Revoked after it was marked idle and the guest had begun: not released */
	set_idle(fd, pfn);
	move_page(self, PAGE_L1, PAGE_OTHER);
	ASSERT_EQ(1, confirm(self->vm, self->vcpu, KVM_TPT_CONFIRM_BEGIN));
	move_page(self, PAGE_DATA, PAGE_L1);
	ASSERT_EQ(0, confirm(self->vm, self->vcpu, KVM_TPT_CONFIRM_END));
	ASSERT_EQ(0, self->gam[TEST_GFN + PAGE_L1]);
	ASSERT_EQ(1, confirm(self->vm, self->vcpu, KVM_TPT_CONFIRM_BEGIN));
	ASSERT_EQ(0, confirm(self->vm, self->vcpu, KVM_TPT_CONFIRM_END));
	ASSERT_EQ(pfn, tpt_gam_pfn(self->gam[TEST_GFN + PAGE_L1]));

	/* Taken away for good while it is marked idle */
	touch(self->vm, self->vcpu, 0, NR_TEST_PAGES);
	pfn = tpt_hva_to_pfn(page_ptr(self, PAGE_DATA));
	build_table(self);
	set_idle(fd, pfn);
	ASSERT_EQ(0, madvise(page_ptr(self, PAGE_DATA), PAGE_SIZE, MADV_DONTNEED));
	ASSERT_EQ(0, self->gam[TEST_GFN + PAGE_DATA]);
	user(self, LOAD, TARGET_VA, true);
	ASSERT_STALE(LOAD, TARGET_VA);
	close(fd);
}

/* A 2 MiB leaf is as good as the frames under it. */
TEST_F(rmp, large_leaf)
{
	const uint64_t first = 512, hole = first + 7;
	uint64_t *entry = target_entry(self, 2);
	uint64_t i, va;

	ASSERT_EQ(0, madvise(page_ptr(self, first), HPAGE_SIZE, MADV_HUGEPAGE));
	memset(page_ptr(self, first), 0, HPAGE_SIZE);
	/* It stays; but khugepaged must not make another one of what is left of it */
	ASSERT_EQ(0, madvise(page_ptr(self, first), HPAGE_SIZE, MADV_NOHUGEPAGE));
	touch(self->vm, self->vcpu, first, 512);
	if (tpt_gam_size(self->gam[TEST_GFN + first]) != TPT_RMP_SIZE_2M)
		SKIP(return, "no huge page to be had");

	for (i = first; i < NR_PAGES; i++)
		page_ptr(self, i)[0] = DATA_VALUE + i;

	*entry = frame_of(self, first) | PTE_FLAGS | PTE_LARGE_MASK;
	for (i = first; i < NR_PAGES; i++) {
		va = TARGET_VA + (i - first) * PAGE_SIZE;
		user(self, LOAD, va, i == first);
		ASSERT_NO_FAULT(self, LOAD, DATA_VALUE + i);
	}

	/* One page goes; KVM zaps all of them, but gives back the others */
	ASSERT_EQ(0, madvise(page_ptr(self, hole), PAGE_SIZE, MADV_DONTNEED));
	user(self, LOAD, TARGET_VA + PAGE_SIZE, false);
	ASSERT_STALE(LOAD, TARGET_VA + PAGE_SIZE);
	touch(self->vm, self->vcpu, first, 512);

	for (i = first; i < NR_PAGES; i++) {
		va = TARGET_VA + (i - first) * PAGE_SIZE;
		user(self, LOAD, va, false);
		if (i == hole)
			ASSERT_STALE(LOAD, va);
		else
			ASSERT_NO_FAULT(self, LOAD, DATA_VALUE + i);
	}
	ASSERT_EQ(TPT_RMP_SIZE_4K, tpt_gam_size(self->gam[TEST_GFN + first]));

	/* A leaf that reaches beyond the memory that was given */
	*entry = (frame_of(self, PAGE_DATA) & ~(HPAGE_SIZE - 1)) | PTE_FLAGS | PTE_LARGE_MASK;
	va = TARGET_VA + (frame_of(self, PAGE_DATA) & (HPAGE_SIZE - 1));
	user(self, LOAD, va, true);
	ASSERT_NO_FAULT(self, LOAD, DATA_VALUE);
	for (i = 0; i < 512; i++) {
		uint64_t pfn = (*entry & TPT_GAM_FRAME_MASK) / PAGE_SIZE + i, j;

		for (j = 0; j < NR_GFNS; j++) {
			if (self->gam[j] && tpt_gam_pfn(self->gam[j]) == pfn)
				break;
		}
		user(self, LOAD, TARGET_VA + i * PAGE_SIZE, false);
		if (j == NR_GFNS)
			ASSERT_STALE(LOAD, TARGET_VA + i * PAGE_SIZE);
		else
			ASSERT_EQ(USER_VECTOR, result.vector);
	}
}

/*
 * While user mode reads a page in a loop, the host takes the page away and uses
 * the frame for a secret.
 */
#define SECRET		0x5ec4e75ec4e7ul
#define ROUNDS		200

static volatile bool thief_done;

static void *thief(void *arg)
{
	uint64_t *page = arg, *p;
	int i, j;

	for (i = 0; i < ROUNDS; i++) {
		usleep(100);
		madvise(page, PAGE_SIZE, MADV_DONTNEED);
		p = mmap(NULL, 16 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		TEST_ASSERT(p != MAP_FAILED, "mmap() failed");
		for (j = 0; j < 16 * PAGE_SIZE / sizeof(*p); j++)
			p[j] = SECRET;
		munmap(p, 16 * PAGE_SIZE);
	}
	thief_done = true;
	return NULL;
}

TEST_F(rmp, revoked_while_running)
{
	uint64_t faults = 0, loops = 0, refused = 0;
	pthread_t thread;

	thief_done = false;
	pthread_create(&thread, NULL, thief, page_ptr(self, PAGE_DATA));

	while (!thief_done) {
		job.user = true;
		job.set_cr3 = true;
		job.rip = code_va(&user_watch);
		job.rdi = TARGET_VA;
		job.rsi = SECRET;
		job.rcx = 20000;
		run(self->vm, self->vcpu);

		ASSERT_NE(SECRET, result.rax);
		loops++;
		if (result.vector == USER_VECTOR)
			continue;

		ASSERT_STALE(LOAD, TARGET_VA);
		ASSERT_EQ(code_va(&user_watch), result.rip);
		faults++;

		touch(self->vm, self->vcpu, PAGE_DATA, 1);
		*target_entry(self, 1) = self->gam[TEST_GFN + PAGE_DATA] &
					 TPT_GAM_FRAME_MASK;
		if (*target_entry(self, 1))
			*target_entry(self, 1) |= PTE_FLAGS;
		else
			refused++;

		/* Refused frames stay refused, so start over with another one */
		while (!*target_entry(self, 1) && !thief_done) {
			usleep(100);
			touch(self->vm, self->vcpu, PAGE_DATA, 1);
			if (self->gam[TEST_GFN + PAGE_DATA])
				*target_entry(self, 1) = PTE_FLAGS |
					(self->gam[TEST_GFN + PAGE_DATA] & TPT_GAM_FRAME_MASK);
		}
	}

	pthread_join(thread, NULL);
	TH_LOG("%lu runs, %lu times revoked, %lu times refused", loops, faults, refused);
	ASSERT_NE(0, faults);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_TPT));
	TEST_REQUIRE(!geteuid());
	TEST_REQUIRE(!access("/dev/cpu/0/msr", R_OK));

	return test_harness_run(argc, argv);
}
