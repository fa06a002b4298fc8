// SPDX-License-Identifier: GPL-2.0-only
/*
 * Translation Pass-Through: user mode on tables of random entries.
 *
 * The tables lie in the guest's own memory.  The host fills them between runs:
 * frames of the guest, of another VM, of the host, of the RMP, former frames,
 * large leaves, tables at every level and in themselves, reserved bits.  At
 * the same time it takes memory from the guest and gives some of it back.
 *
 * For each access an oracle tells the one right result before it is made: it
 * walks the tables itself and knows which frames the guest owns and what is in
 * every page.  What was granted and should not have been is forbidden, and so
 * is a value from another page than the right one, and a page of somebody else
 * that is not what it was.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tpt_util.h"
#include "tpt_user.h"
#include "kvm_test_harness.h"

#define NR_SLOT0	1024ul
#define SLOT0_GVA	(1ul << 30)
#define HPAGE_SIZE	(2ul << 20)
#define PAGE_WORDS	(PAGE_SIZE / sizeof(uint64_t))

/* Anonymous memory, its second half a huge page as long as it lasts */
#define MEM_SLOT	1
#define MEM_GPA		(32ul << 20)
#define MEM_GFN		(MEM_GPA / PAGE_SIZE)
#define NR_MEM		1024ul
/* A file, for holes to be punched into */
#define FILE_SLOT	2
#define FILE_GFN	(MEM_GFN + NR_MEM)
#define NR_FILE		128ul
#define NR_OWN		(NR_MEM + NR_FILE)
/* A read-only slot */
#define RO_SLOT		3
#define RO_GFN		(FILE_GFN + NR_FILE)
#define NR_RO		64ul
#define NR_GFNS		(RO_GFN + NR_RO)

#define NR_VM2		128ul
#define NR_HOST		128ul
#define NR_TAKEN	1024ul
#define NR_FORMER	512ul

/* Accesses of one run, generations of the VM */
#define NR_LIST		1024ul
#define NR_BATCHES	48
#define MAX_REVOKED	16

/* Pages of the guest's memory; what comes behind is data. */
enum {
	PAGE_CODE,
	PAGE_LIST,
	PAGE_CODE_L3 = PAGE_LIST + NR_LIST * 64 / PAGE_SIZE,
	PAGE_CODE_L2,
	PAGE_CODE_L1,
	PAGE_TABLES,
	NR_ROOTS = 4,
	NR_L3 = 12,
	NR_L2 = 16,
	NR_L1 = 32,
	NR_TABLES = NR_ROOTS + NR_L3 + NR_L2 + NR_L1,
	PAGE_DATA = PAGE_TABLES + NR_TABLES,
};

#define CODE_VA		0x100000000000ul
#define CODE_INDEX	((CODE_VA >> 39) & 0x1ff)
#define LIST_VA		(CODE_VA + PAGE_LIST * PAGE_SIZE)
#define LIST_GPA	(MEM_GPA + PAGE_LIST * PAGE_SIZE)

#define PTE_FLAGS	(PTE_PRESENT_MASK | PTE_WRITABLE_MASK | PTE_USER_MASK)
#define PTE_AD		(PTE_ACCESSED_MASK | PTE_DIRTY_MASK)

/* What user mode stores, and what is there before; neither is an entry. */
#define UNIQUE		(0x57ull << 56)
#define MARK		(0x58ull << 56)

enum kind { LOAD, STORE, FETCH, NR_KINDS };

/* Whose a frame is, as far as the test knows */
enum owner {
	OWN, TABLE, SLOT0, INFRA,		/* the guest's */
	LOST, FORMER, RDONLY, OTHER_VM, HOST, MAP, RMP, BEYOND, UNKNOWN,
	NR_OWNERS,
};

static const char * const owner_names[] = {
	"own data", "own table", "own kernel", "own code",
	"not in map", "former", "read-only", "other VM", "host", "address map", "RMP",
	"beyond RMP", "unknown",
};

/* An access, in the list that user mode works off */
struct access {
	uint64_t va;
	uint64_t value;
	uint64_t code;
	uint64_t rax;
	uint32_t done;
	uint32_t error_code;
	uint64_t cr2;
	uint64_t pad[2];
};

static_assert(sizeof(struct access) == 64);

enum { NOT_DONE, DONE, FAULTED };

static struct {
	enum { TOUCH_CODE, TOUCH, TOUCH_ALL, USER } what;
	bool set_cr3;
	uint64_t tpt_cr3;
	uint64_t code;
	uint64_t skip;
	uint64_t nr;
	uint8_t untouchable[NR_OWN];
} job;

static struct {
	uint64_t vector;
	uint64_t error_code;
	uint64_t cr2;
} result;

/* User mode, copied to PAGE_CODE.  A stub at the end of a page returns to %r8. */
extern char fuzz_code, fuzz_load, fuzz_store, fuzz_fetch, fuzz_skip, fuzz_code_end;

asm(".pushsection .text\n"
    "fuzz_code:\n"
    "	mov (%rbx), %rdi\n"
    "	mov 8(%rbx), %rsi\n"
    "	jmp *16(%rbx)\n"
    "fuzz_load:\n"
    "	mov (%rdi), %rax\n"
    "	jmp 1f\n"
    "fuzz_store:\n"
    "	mov %rsi, (%rdi)\n"
    "	jmp 1f\n"
    "fuzz_fetch:\n"
    "	lea 1f(%rip), %r8\n"
    "	jmp *%rdi\n"
    "1:	mov %rax, 24(%rbx)\n"
    "	movl $1, 32(%rbx)\n"
    "fuzz_skip:\n"
    "	add $64, %rbx\n"
    "	dec %rcx\n"
    "	jnz fuzz_code\n"
    "	int $" __stringify(USER_VECTOR) "\n"
    "fuzz_code_end:\n"
    ".popsection\n");

static uint64_t code_va(void *label)
{
	return CODE_VA + ((char *)label - &fuzz_code);
}

static void user_trap(struct ex_regs *regs)
{
	result.vector = regs->vector;
	result.error_code = regs->error_code;
	asm volatile("mov %%cr2, %0" : "=r"(result.cr2));
	tpt_user_leave(regs);
}

/* The access has failed, go on with the next one. */
static void user_fault(struct ex_regs *regs)
{
	struct access *a = (void *)(LIST_GPA + (regs->rbx - LIST_VA));

	/* If it is user mode's code that is not there, that was the test */
	if (regs->rip >= CODE_VA && regs->rip < CODE_VA + PAGE_SIZE &&
	    regs->rip != CODE_VA + (&fuzz_load - &fuzz_code) &&
	    regs->rip != CODE_VA + (&fuzz_store - &fuzz_code)) {
		user_trap(regs);
		return;
	}

	GUEST_ASSERT_EQ(regs->cs, USER_CS);
	GUEST_ASSERT(regs->rbx >= LIST_VA && regs->rbx < LIST_VA + NR_LIST * 64);

	a->done = FAULTED;
	a->error_code = regs->error_code;
	asm volatile("mov %%cr2, %0" : "=r"(a->cr2));
	regs->rip = job.skip;
}

static void touch(uint64_t gva)
{
	asm volatile("lock orb $0, (%0)" :: "r"(gva) : "memory");
}

static void guest_code(struct tpt_user *user)
{
	uint64_t i, end;

	for (i = 0; i < NR_RO; i++)
		READ_ONCE(*(uint64_t *)((RO_GFN + i) * PAGE_SIZE));

	for (;;) {
		switch (job.what) {
		case TOUCH_ALL:
			for (i = 0; i < NR_SLOT0; i++)
				touch(SLOT0_GVA + i * PAGE_SIZE);
			/* fall through */
		case TOUCH:
		case TOUCH_CODE:
			end = job.what == TOUCH_CODE ? PAGE_TABLES + NR_ROOTS : NR_OWN;
			for (i = 0; i < end; i++) {
				if (!job.untouchable[i])
					touch(MEM_GPA + i * PAGE_SIZE);
			}
			break;
		case USER:
			if (job.set_cr3)
				wrmsr(MSR_TPT_CR3, job.tpt_cr3);
			user->rip = job.code;
			user->rbx = LIST_VA;
			user->rcx = job.nr;
			tpt_run_user(user);
			break;
		}
		GUEST_SYNC(0);
	}
}

static void guest_code_vm2(void)
{
	uint64_t i;

	for (i = 0; i < NR_VM2; i++)
		touch(MEM_GPA + i * PAGE_SIZE);
	GUEST_SYNC(0);
}

static uint64_t opt_seed;
static uint64_t opt_count = 200000;
static bool opt_defect;

static uint64_t rng_state;

static uint64_t rnd(void)
{
	uint64_t z = rng_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint64_t below(uint64_t n)
{
	return (rnd() >> 32) * n >> 32;
}

static bool one_in(uint64_t n)
{
	return !below(n);
}

/*
 * Pages that the test owns in one way or another.  Even words hold the page's
 * signature, which is no entry; odd ones an entry that leads to the guest's
 * memory, for whoever takes the page for a table; the last one the stub.
 */
struct region {
	uint8_t id;
	enum owner owner;
	uint64_t nr;
	char *mem;
	uint64_t *pagemap;
	uint64_t bait[NR_MEM];
};

static struct region own = { 1, OWN, NR_MEM }, file = { 2, OWN, NR_FILE },
	rdonly = { 3, RDONLY, NR_RO }, vm2_mem = { 4, OTHER_VM, NR_VM2 },
	host = { 5, HOST, NR_HOST }, taken = { 6, HOST, NR_TAKEN },
	slot0 = { 7, SLOT0, NR_SLOT0 };
static struct region * const regions[] = {
	&own, &file, &rdonly, &vm2_mem, &host, &taken, &slot0,
};

static struct kvm_vm *vm, *vm2;
static struct kvm_vcpu *vcpu;
static const volatile uint64_t *gam;
static int file_fd;
static uint64_t rmp_base, rmp_end, nr_frames, rsvd_bits;

static bool untouchable[NR_OWN];	/* read-only for now */
static bool empty[NR_OWN];		/* has lost what was in it */
static uint64_t nr_taken, nr_former;
static uint64_t former[NR_FORMER];
static uint64_t map_pfns[NR_GFNS * sizeof(uint64_t) / PAGE_SIZE + 1];

static uint64_t snapshot[NR_GFNS];	/* of the address map */
static uint16_t *gfn_of;		/* by frame, 0: not the guest's */
static uint8_t *owner_of;		/* by frame, if not the guest's */

static uint64_t root, root_pfn;
static struct access *list;

/* What the oracle says of an access */
enum outcome { GRANT, FAULT, STALE, UNSURE };

struct verdict {
	enum outcome outcome;
	enum kind kind;
	enum owner owner;		/* of the frame that decides */
	bool table;			/* that frame is a table, or should be one */
	uint32_t error_code;
	uint64_t cr2;
	uint64_t *p;			/* what is reached */
	uint64_t old;			/* there, before the test marked it */
	uint64_t value;
	uint64_t mask;			/* the bits of value that are known */
	bool last;			/* changes a table, must be the last one */
};

static struct verdict verdicts[NR_LIST];

static struct {
	uint64_t fresh, again, roots, batches, generations, huge, revoked, moved, split;
	uint64_t granted[NR_OWNERS][NR_KINDS];
	uint64_t faults[2][NR_KINDS];	/* 1: reserved bits */
	uint64_t stale[NR_OWNERS][2][NR_KINDS];
	uint64_t forbidden, wrong, lost, changed;
} count;

static const char * const kind_names[] = { "load", "store", "fetch" };

#define report(counter, fmt, ...)						\
do {										\
	if (count.counter++ < 10)						\
		ksft_print_msg(#counter ": " fmt "\n", ##__VA_ARGS__);		\
} while (0)

static uint64_t *page_of(struct region *r, uint64_t i)
{
	return (uint64_t *)(r->mem + i * PAGE_SIZE);
}

/* The guest's own pages, both regions of them */
static uint64_t *own_page(uint64_t i)
{
	return i < NR_MEM ? page_of(&own, i) : page_of(&file, i - NR_MEM);
}

static uint64_t own_pfn(uint64_t i)
{
	return tpt_gam_pfn(gam[MEM_GFN + i]);
}

static bool is_table(uint64_t i)
{
	return i >= PAGE_TABLES && i < PAGE_DATA;
}

static int table_level(uint64_t i)
{
	i -= PAGE_TABLES;
	return i < NR_ROOTS ? 4 : i < NR_ROOTS + NR_L3 ? 3 : i < NR_ROOTS + NR_L3 + NR_L2 ? 2 : 1;
}

static uint64_t random_data(void)
{
	return PAGE_DATA + below(NR_OWN - PAGE_DATA);
}

static uint64_t random_table(int level)
{
	static const int first[] = { NR_ROOTS + NR_L3 + NR_L2, NR_ROOTS + NR_L3, NR_ROOTS, 0 };
	static const int nr[] = { NR_L1, NR_L2, NR_L3, NR_ROOTS };

	return PAGE_TABLES + first[level - 1] + below(nr[level - 1]);
}

static uint32_t page_id(struct region *r, uint64_t i)
{
	return r->id << 24 | i << 4 | 1;
}

/* Each signature is there once, and has bit 0 clear. */
static uint64_t signature(struct region *r, uint64_t i, uint64_t word)
{
	return (uint64_t)page_id(r, i) << 32 | word << 8;
}

static uint64_t stub(struct region *r, uint64_t i)
{
	/* mov $id, %eax; jmp *%r8 */
	return 0xe0ff4100000000b8ull | (uint64_t)page_id(r, i) << 8;
}

static uint64_t content(struct region *r, uint64_t i, uint64_t word)
{
	return word == PAGE_WORDS - 1 ? stub(r, i) :
	       word % 2 ? r->bait[i] : signature(r, i, word);
}

static void fill(struct region *r, uint64_t i)
{
	uint64_t *p = page_of(r, i), word;

	r->bait[i] = own_pfn(random_data()) * PAGE_SIZE | PTE_FLAGS;
	/* Only in its own memory may the CPU leave traces, and that is a nuisance */
	if (r->owner == OWN)
		r->bait[i] |= PTE_AD;

	for (word = 0; word < PAGE_WORDS; word++)
		p[word] = content(r, i, word);
}

static void fill_own(uint64_t i)
{
	if (i < NR_MEM)
		fill(&own, i);
	else
		fill(&file, i - NR_MEM);
}

static void check_region(struct region *r)
{
	uint64_t i = r == &own ? PAGE_DATA : 0, nr = r->nr, word, *p;

	if (r == &taken)
		nr = nr_taken;

	for (; i < nr; i++) {
		p = page_of(r, i);
		for (word = 0; word < PAGE_WORDS; word++) {
			if (p[word] != content(r, i, word))
				report(changed, "page %lu of %s, word %lu is %lx instead of %lx",
				       i, owner_names[r->owner], word, p[word],
				       content(r, i, word));
		}
	}
}

static void check_all_pages(void)
{
	check_region(&own);
	check_region(&file);
	check_region(&rdonly);
	check_region(&vm2_mem);
	check_region(&host);
	check_region(&taken);
}

static void alloc_region(struct region *r, int flags, int fd)
{
	char *mem;

	r->mem = mmap(NULL, r->nr * PAGE_SIZE + HPAGE_SIZE, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	TEST_ASSERT(r->mem != MAP_FAILED, __KVM_SYSCALL_ERROR("mmap()", -1));
	mem = (char *)align_up((uintptr_t)r->mem, HPAGE_SIZE);
	r->mem = mmap(mem, r->nr * PAGE_SIZE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
	TEST_ASSERT(r->mem == mem, __KVM_SYSCALL_ERROR("mmap()", -1));
	madvise(mem, r->nr * PAGE_SIZE, MADV_NOHUGEPAGE);
}

static void read_pagemap(struct region *r)
{
	static int fd = -1;
	size_t len = r->nr * sizeof(uint64_t);

	if (fd < 0)
		fd = open("/proc/self/pagemap", O_RDONLY);
	if (!r->pagemap)
		r->pagemap = malloc(len);
	TEST_ASSERT(pread(fd, r->pagemap, len, (uintptr_t)r->mem / PAGE_SIZE * 8) == len,
		    __KVM_SYSCALL_ERROR("pread(pagemap)", -1));
}

static uint64_t pagemap_pfn(struct region *r, uint64_t i)
{
	return r->pagemap[i] & BIT_ULL(63) ? r->pagemap[i] & GENMASK_ULL(54, 0) : 0;
}

static void run(void)
{
	struct ucall uc;

	sync_global_to_guest(vm, job);
	vcpu_run(vcpu);
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, UCALL_SYNC);
	sync_global_from_guest(vm, result);
}

static void guest_touch(int what)
{
	uint64_t i;

	for (i = 0; i < NR_OWN; i++)
		job.untouchable[i] = untouchable[i];
	job.what = what;
	run();
}

static enum owner own_kind(uint64_t gfn)
{
	return gfn < NR_SLOT0 ? SLOT0 : gfn < MEM_GFN + PAGE_TABLES ? INFRA :
	       gfn < MEM_GFN + PAGE_DATA ? TABLE : OWN;
}

static void *gfn_to_hva(uint64_t gfn)
{
	return gfn < MEM_GFN ? (void *)page_of(&slot0, gfn) : (void *)own_page(gfn - MEM_GFN);
}

/* Frames of pages that never are the guest's, or not at the moment */
static void set_owner(uint64_t pfn, enum owner owner)
{
	if (pfn && pfn < nr_frames)
		owner_of[pfn] = owner;
}

/*
 * Learn who owns what.  The map is what KVM says, and /proc says what is true;
 * where the map says something else, KVM would grant what it must not.
 */
static void learn(void)
{
	uint64_t gfn, i, pfn;
	int r;

	for (gfn = 0; gfn < NR_GFNS; gfn++) {
		if (snapshot[gfn])
			gfn_of[tpt_gam_pfn(snapshot[gfn])] = 0;
		snapshot[gfn] = gam[gfn];
	}

	for (r = 0; r < ARRAY_SIZE(regions); r++) {
		read_pagemap(regions[r]);
		for (i = 0; i < regions[r]->nr; i++)
			set_owner(pagemap_pfn(regions[r], i),
				  regions[r]->owner == OWN || regions[r]->owner == SLOT0 ?
				  LOST : regions[r]->owner);
	}

	for (gfn = 0; gfn < NR_GFNS; gfn++) {
		if (!(snapshot[gfn] & TPT_GAM_VALID))
			continue;

		i = gfn - MEM_GFN;
		pfn = gfn < NR_SLOT0 ? pagemap_pfn(&slot0, gfn) :
		      gfn < MEM_GFN ? 0 :
		      i < NR_MEM ? pagemap_pfn(&own, i) :
		      i < NR_OWN ? pagemap_pfn(&file, i - NR_MEM) : 0;
		if (!pfn || pfn != tpt_gam_pfn(snapshot[gfn]))
			report(forbidden, "the map says %lx for gfn %lx, but the frame is %lx",
			       snapshot[gfn], gfn, pfn);
		else
			gfn_of[pfn] = gfn + 1;
	}

	/* The guest's own pages, which the oracle is made to take for foreign */
	for (i = 0; opt_defect && i < 16; i++) {
		pfn = own_pfn(PAGE_DATA + i * 16);
		if (pfn)
			gfn_of[pfn] = 0;
	}
}

static bool frame_is_own(uint64_t pfn, struct verdict *v, bool table)
{
	v->table = table;
	if (pfn < nr_frames && gfn_of[pfn]) {
		v->owner = own_kind(gfn_of[pfn] - 1);
		return true;
	}

	v->owner = pfn >= nr_frames ? BEYOND : owner_of[pfn];
	return false;
}

static uint32_t access_bits(enum kind kind)
{
	return PFERR_USER_MASK | TPT_PF_TPT | (kind == STORE ? PFERR_WRITE_MASK : 0) |
	       (kind == FETCH ? PFERR_FETCH_MASK : 0);
}

static void set_fault(struct verdict *v, enum kind kind, uint64_t va, uint32_t error_code)
{
	v->outcome = error_code & TPT_PF_STALE ? STALE : FAULT;
	v->error_code = error_code | access_bits(kind);
	v->cr2 = va;
}

/* What the CPU must do, docs/tpt-architecture.md section 4.  Return: frame reached, if any */
static uint64_t walk(uint64_t first, uint64_t va, enum kind kind, struct verdict *v)
{
	uint64_t pfn = first, perm = PTE_WRITABLE_MASK | PTE_USER_MASK, nx = 0, e, size;
	int level;

	for (level = 4; ; level--) {
		if (!frame_is_own(pfn, v, true)) {
			set_fault(v, kind, va, TPT_PF_STALE);
			return 0;
		}

		/* The guest's kernel changes these as it runs */
		if (v->owner == SLOT0 || v->owner == INFRA) {
			v->outcome = UNSURE;
			return 0;
		}

		e = ((uint64_t *)gfn_to_hva(gfn_of[pfn] - 1))[va >> (3 + 9 * level) & 0x1ff];
		if (!(e & PTE_PRESENT_MASK)) {
			set_fault(v, kind, va, 0);
			return 0;
		}
		if ((e & rsvd_bits) || (level == 4 && (e & PTE_LARGE_MASK)))
			goto reserved;

		perm &= e;
		nx |= e & PTE_NX_MASK;
		pfn = (e & PHYSICAL_PAGE_MASK) / PAGE_SIZE;
		if (level == 1 || (e & PTE_LARGE_MASK))
			break;
	}

	size = BIT_ULL(9 * (level - 1));
	/* Bit 12 of a large leaf is the PAT's */
	if (pfn & (size - 1) & ~1ull)
		goto reserved;

	if (!(perm & PTE_USER_MASK) || (kind == STORE && !(perm & PTE_WRITABLE_MASK)) ||
	    (kind == FETCH && nx)) {
		set_fault(v, kind, va, PFERR_PRESENT_MASK);
		return 0;
	}

	pfn = (pfn & ~(size - 1)) | (va / PAGE_SIZE & (size - 1));
	if (!frame_is_own(pfn, v, false)) {
		set_fault(v, kind, va, TPT_PF_STALE);
		return 0;
	}

	v->outcome = GRANT;
	return pfn;

reserved:
	set_fault(v, kind, va, PFERR_RSVD_MASK | PFERR_PRESENT_MASK);
	return 0;
}

/* A frame that most likely is not the guest's */
static uint64_t random_frame(void)
{
	switch (below(12)) {
	case 0:
		return pagemap_pfn(&rdonly, below(NR_RO));
	case 1:
	case 2:
		return pagemap_pfn(&vm2_mem, below(NR_VM2));
	case 3:
		return pagemap_pfn(&host, below(NR_HOST));
	case 4:
		return map_pfns[below(ARRAY_SIZE(map_pfns))];
	case 5:
		return rmp_base / PAGE_SIZE + below((rmp_end - rmp_base) / PAGE_SIZE);
	case 6:
		return nr_frames + (one_in(2) ? below(16) :
				    below(BIT_ULL(vm->pa_bits - vm->page_shift) - nr_frames));
	case 7:
		return nr_former ? former[below(min(nr_former, NR_FORMER))] : 0;
	case 8:
		return nr_taken ? pagemap_pfn(&taken, below(nr_taken)) : 0;
	case 9:
		return pagemap_pfn(&own, below(NR_MEM));
	case 10:
		return pagemap_pfn(&file, below(NR_FILE));
	default:
		return below(nr_frames);
	}
}

static uint64_t random_large_frame(int level)
{
	uint64_t size = BIT_ULL(9 * (level - 1));
	uint64_t roll = below(16);

	/* Without the alignment it is an entry with reserved bits */
	return roll < 8 ? own_pfn(NR_MEM / 2 + below(NR_MEM / 2)) & ~(size - 1) :
	       roll < 13 ? own_pfn(random_data()) & ~(size - 1) :
	       roll < 15 ? random_frame() & ~(size - 1) : own_pfn(random_data());
}

/* For a table that mostly serves at @level, so that many walks get to an end */
static uint64_t random_entry(int level)
{
	uint64_t roll = below(100), e = PTE_FLAGS;
	bool large = false;

	if (level == 1) {
		e |= PAGE_SIZE * (roll < 72 ? own_pfn(random_data()) :
				  roll < 78 ? own_pfn(PAGE_TABLES + below(NR_TABLES)) :
				  random_frame());
	} else {
		large = level < 4 && roll >= 92;
		e |= PAGE_SIZE * (large ? random_large_frame(level) :
				  roll < 80 ? own_pfn(random_table(level - 1)) :
				  roll < 84 ? own_pfn(PAGE_TABLES + below(NR_TABLES)) :
				  roll < 86 ? own_pfn(random_data()) : random_frame());
	}

	if (large != one_in(64))
		e |= PTE_LARGE_MASK;
	if (one_in(40))
		e &= ~PTE_PRESENT_MASK;
	if (one_in(16))
		e &= ~PTE_WRITABLE_MASK;
	if (one_in(64))
		e &= ~PTE_USER_MASK;
	if (one_in(32))
		e |= PTE_NX_MASK;
	if (one_in(64))
		e |= BIT_ULL(vm->pa_bits + below(52 - vm->pa_bits));
	/* Accessed, dirty, global, and what the CPU ignores */
	return e | (rnd() & (PTE_AD | PTE_GLOBAL_MASK | GENMASK_ULL(62, 52) | GENMASK_ULL(11, 9)));
}

static uint64_t random_va(void)
{
	uint64_t va;

	do
		va = rnd() >> 16 & ~0xfffull;
	while (va >> 39 == CODE_INDEX);

	return (int64_t)(va << 16) >> 16;
}

static uint64_t load_offset(void)
{
	/* Loads leave to stores what those ask for, see prepare() */
	return one_in(32) ? PAGE_SIZE - 7 + below(7) :
	       one_in(8) ? below(PAGE_WORDS / 2) * 16 + 8 : below(PAGE_WORDS / 4) * 16;
}

/* Ask the oracle, and change what it can't judge or the guest would not survive. */
static void prepare(struct access *a, struct verdict *v, enum kind kind)
{
	static void * const code[] = { &fuzz_load, &fuzz_store, &fuzz_fetch };
	static uint64_t unique;
	uint64_t pfn, shift, lo;
	struct verdict second;

	a->done = NOT_DONE;
	a->rax = 0;
	a->error_code = 0;
	a->cr2 = 0;
again:
	memset(v, 0, sizeof(*v));
	v->kind = kind;
	a->code = code_va(code[kind]);

	pfn = walk(root_pfn, a->va, kind, v);
	if (v->outcome == UNSURE) {
		a->va = random_va() | (a->va & 0xfff);
		goto again;
	}
	if (v->outcome != GRANT)
		return;

	v->p = (void *)((char *)gfn_to_hva(gfn_of[pfn] - 1) + (a->va & 0xfff));
	v->mask = v->owner == OWN ? ~0ull : v->owner == TABLE ? ~PTE_AD : 0;

	switch (kind) {
	case LOAD:
		shift = 8 * (a->va & 7);
		if (!shift) {
			v->value = *v->p;
			return;
		}

		/* Two pages */
		memset(&second, 0, sizeof(second));
		pfn = walk(root_pfn, (a->va | 0xfff) + 1, kind, &second);
		if (second.outcome == UNSURE) {
			a->va &= ~7ull;
			goto again;
		}
		if (second.outcome != GRANT) {
			second.kind = kind;
			*v = second;
			return;
		}
		lo = *(uint64_t *)((uintptr_t)v->p & ~7ul);
		v->value = lo >> shift | *(uint64_t *)gfn_to_hva(gfn_of[pfn] - 1) << (64 - shift);
		if (v->owner != OWN || second.owner != OWN)
			v->mask = 0;
		count.split++;
		return;
	case STORE:
		/* Each word once, into a table only as the last thing that is done */
		if (v->owner == OWN && *v->p != MARK) {
			a->value = UNIQUE | ++unique << 8;
			v->value = a->value;
			v->old = *v->p;
			*v->p = MARK;
			return;
		}
		if (v->owner == TABLE && one_in(32)) {
			a->value = random_entry(1 + below(4));
			v->value = a->value;
			v->last = true;
			return;
		}
		break;
	case FETCH:
		if (v->owner == OWN) {
			v->value = *v->p >> 8 & 0xffffffff;
			return;
		}
		break;
	default:
		break;
	}

	kind = LOAD;
	a->va = (a->va & ~0xfffull) | load_offset();
	goto again;
}

static void draw(struct access *a, struct verdict *v)
{
	unsigned int roll = below(10);
	enum kind kind = roll < 5 ? LOAD : roll < 8 ? STORE : FETCH;

	a->va = random_va() | (kind == LOAD ? load_offset() :
			       kind == FETCH ? PAGE_SIZE - sizeof(uint64_t) :
			       PAGE_SIZE / 2 + below(PAGE_WORDS / 4) * 16);
	prepare(a, v, kind);
}

/* @moved: the map changed in between, so that it was right to refuse what was granted */
static void judge(struct access *a, struct verdict *v, bool moved)
{
	uint64_t value = a->rax;

	TEST_ASSERT(a->done != NOT_DONE, "access %lu was not made", a - list);

	if (v->outcome == GRANT && v->kind == STORE) {
		value = *v->p;
		if (v->owner == OWN)
			*v->p = v->old;
	}

	if (a->done == DONE && v->outcome != GRANT) {
		report(forbidden, "%s at %lx was granted, value %lx: %s %s, %s",
		       kind_names[v->kind], a->va, value, v->table ? "table" : "page",
		       owner_names[v->owner], v->outcome == STALE ? "not owned" : "no right");
	} else if (a->done == DONE && ((value ^ v->value) & v->mask)) {
		report(forbidden, "%s at %lx met %lx instead of %lx: %s",
		       kind_names[v->kind], a->va, value, v->value, owner_names[v->owner]);
	} else if (a->done == DONE) {
		count.granted[v->owner][v->kind]++;
	} else if (v->outcome == GRANT) {
		if (!moved)
			report(lost, "%s at %lx was refused, error code %x: %s",
			       kind_names[v->kind], a->va, a->error_code, owner_names[v->owner]);
	} else {
		if (a->error_code != v->error_code || a->cr2 != v->cr2)
			report(wrong, "%s at %lx: error code %x, CR2 %lx instead of %x, %lx",
			       kind_names[v->kind], a->va, a->error_code, a->cr2,
			       v->error_code, v->cr2);
		else if (v->outcome == STALE)
			count.stale[v->owner][v->table][v->kind]++;
		else
			count.faults[!!(v->error_code & PFERR_RSVD_MASK)][v->kind]++;
	}
}

static bool map_changed(void)
{
	uint64_t gfn;

	for (gfn = 0; gfn < NR_GFNS; gfn++) {
		if (gam[gfn] != snapshot[gfn]) {
			count.moved++;
			return true;
		}
	}
	return false;
}

/* Return: whether user mode may have changed a table */
static bool run_list(bool again)
{
	uint64_t i, nr;
	bool moved;

	learn();
	for (nr = 0; nr < NR_LIST; ) {
		if (again)
			prepare(&list[nr], &verdicts[nr], verdicts[nr].kind);
		else
			draw(&list[nr], &verdicts[nr]);
		if (verdicts[nr++].last)
			break;
	}

	job.what = USER;
	job.set_cr3 = !again;
	job.tpt_cr3 = root_pfn * PAGE_SIZE | TPT_CR3_VALID;
	job.nr = nr;
	run();
	TEST_ASSERT(result.vector == USER_VECTOR, "vector %lu, error code %lx, CR2 %lx",
		    result.vector, result.error_code, result.cr2);

	moved = map_changed();
	for (i = 0; i < nr; i++)
		judge(&list[i], &verdicts[i], moved);

	if (again)
		count.again += nr;
	else
		count.fresh += nr;
	return verdicts[nr - 1].last;
}

/* A root that nothing is known of: user mode does not get as far as its first access. */
static void run_root(void)
{
	struct verdict v = {};
	uint64_t pfn = random_frame();

	learn();
	walk(pfn, CODE_VA, FETCH, &v);
	if (pfn >> (vm->pa_bits - vm->page_shift) || v.outcome == GRANT || v.outcome == UNSURE)
		return;

	job.what = USER;
	job.set_cr3 = true;
	job.tpt_cr3 = pfn * PAGE_SIZE | TPT_CR3_VALID;
	job.nr = 1;
	list[0].done = NOT_DONE;
	run();

	count.roots++;
	if (result.vector != PF_VECTOR || list[0].done != NOT_DONE)
		report(forbidden, "user mode runs with root %lx: %s", pfn, owner_names[v.owner]);
	else if ((result.error_code ^ v.error_code) & ~PFERR_PRESENT_MASK ||
		 result.cr2 != CODE_VA)
		report(wrong, "root %lx: error code %lx, CR2 %lx instead of %x", pfn,
		       result.error_code, result.cr2, v.error_code);
}

static void set_code_path(uint64_t root)
{
	uint64_t i;

	own_page(root)[CODE_INDEX] = own_pfn(PAGE_CODE_L3) * PAGE_SIZE | PTE_FLAGS;
	own_page(PAGE_CODE_L3)[0] = own_pfn(PAGE_CODE_L2) * PAGE_SIZE | PTE_FLAGS;
	own_page(PAGE_CODE_L2)[0] = own_pfn(PAGE_CODE_L1) * PAGE_SIZE | PTE_FLAGS;
	for (i = PAGE_CODE; i < PAGE_CODE_L3; i++)
		own_page(PAGE_CODE_L1)[i] = own_pfn(i) * PAGE_SIZE | PTE_FLAGS;
}

/* New entries, all of them in tables that have lost theirs */
static void roll_entries(void)
{
	uint64_t i, n, *p;

	for (i = PAGE_TABLES; i < PAGE_DATA; i++) {
		if (untouchable[i])
			continue;

		p = own_page(i);
		if (empty[i]) {
			for (n = 0; n < PAGE_WORDS; n++)
				p[n] = random_entry(table_level(i));
			empty[i] = false;
		} else {
			for (n = 0; n < PAGE_WORDS / 8; n++)
				p[below(PAGE_WORDS)] = random_entry(table_level(i));
		}
	}
}

static void revoke_page(uint64_t i, bool protect)
{
	uint64_t pfn = own_pfn(i);

	/* The same root is needed once more */
	if (untouchable[i] || empty[i] || i == root)
		return;

	count.revoked++;
	if (pfn) {
		former[nr_former++ % NR_FORMER] = pfn;
		set_owner(pfn, FORMER);
	}

	if (protect) {
		untouchable[i] = true;
		TEST_ASSERT(!mprotect(own_page(i), PAGE_SIZE, PROT_READ),
			    __KVM_SYSCALL_ERROR("mprotect()", -1));
		return;
	}

	if (i < NR_MEM)
		TEST_ASSERT(!madvise(own_page(i), PAGE_SIZE, MADV_DONTNEED),
			    __KVM_SYSCALL_ERROR("madvise()", -1));
	else
		TEST_ASSERT(!fallocate(file_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				       (i - NR_MEM) * PAGE_SIZE, PAGE_SIZE),
			    __KVM_SYSCALL_ERROR("fallocate()", -1));
	empty[i] = true;

	/* The next one to want a frame gets this one, so take it or give it back */
	if (nr_taken < NR_TAKEN && one_in(2))
		fill(&taken, nr_taken++);
	if (!is_table(i) && one_in(2)) {
		fill_own(i);
		empty[i] = false;
	}
}

static void revoke_pages(void)
{
	uint64_t n;

	for (n = below(MAX_REVOKED + 1); n; n--)
		revoke_page(one_in(16) ? PAGE_TABLES + below(NR_TABLES) : random_data(), false);
}

/* Give back, or let the guest ask for it */
static void repair(void)
{
	bool all = false;
	uint64_t i, n;
	pid_t pid;

	for (i = 0; i < NR_OWN; i++) {
		if (untouchable[i] && one_in(4)) {
			TEST_ASSERT(!mprotect(own_page(i), PAGE_SIZE, PROT_READ | PROT_WRITE),
				    __KVM_SYSCALL_ERROR("mprotect()", -1));
			untouchable[i] = false;
		}
	}

	/*
	 * Where this splits a VMA the kernel takes a huge page for granted, and what is
	 * around is revoked with it: user mode's code, too.
	 */
	for (n = below(4); n; n--)
		revoke_page(one_in(16) ? PAGE_TABLES + below(NR_TABLES) : random_data(), true);

	/* A child takes the right to write from everything */
	if (one_in(32)) {
		pid = fork();
		TEST_ASSERT(pid >= 0, __KVM_SYSCALL_ERROR("fork()", -1));
		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
		all = true;
	}

	guest_touch(all ? TOUCH_ALL : one_in(8) ? TOUCH_CODE : TOUCH);

	/* A frame that KVM refuses here would stay, so let the table have another one */
	for (i = PAGE_TABLES; i < PAGE_DATA; i++) {
		if (!own_pfn(i))
			revoke_page(i, false);
	}

	for (i = PAGE_DATA; i < NR_OWN; i++) {
		if (empty[i])
			fill_own(i);
		empty[i] = false;
	}
}

static void create_vm2(void)
{
	struct kvm_vcpu *vcpu2;
	uint64_t i;
	int fd;

	vm2 = tpt_vm_create(NR_SLOT0);
	vcpu2 = vm_vcpu_add(vm2, 0, guest_code_vm2);
	fd = tpt_create_addrmap(vm2, NR_GFNS);
	close(fd);
	alloc_region(&vm2_mem, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	vm_set_user_memory_region(vm2, MEM_SLOT, 0, MEM_GPA, NR_VM2 * PAGE_SIZE, vm2_mem.mem);
	virt_map(vm2, MEM_GPA, MEM_GPA, NR_VM2);
	vcpu_run(vcpu2);
	for (i = 0; i < NR_VM2; i++)
		fill(&vm2_mem, i);
}

static void create_vm(void)
{
	size_t map_size = align_up(NR_GFNS * sizeof(uint64_t), PAGE_SIZE);
	uint64_t i;
	int fd;

	vm = tpt_vm_create(NR_SLOT0);
	rsvd_bits = GENMASK_ULL(51, vm->pa_bits);
	vcpu = vm_vcpu_add(vm, 0, guest_code);
	fd = tpt_create_addrmap(vm, NR_GFNS);
	gam = tpt_map_addrmap(fd, NR_GFNS);
	close(fd);

	/* A huge page, and no more of them by themselves */
	alloc_region(&own, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	madvise(page_of(&own, NR_MEM / 2), NR_MEM / 2 * PAGE_SIZE, MADV_HUGEPAGE);
	memset(own.mem, 0, NR_MEM * PAGE_SIZE);
	madvise(page_of(&own, NR_MEM / 2), NR_MEM / 2 * PAGE_SIZE, MADV_NOHUGEPAGE);

	file_fd = memfd_create("tpt_fuzz_test", 0);
	TEST_ASSERT(file_fd >= 0 && !ftruncate(file_fd, NR_FILE * PAGE_SIZE),
		    __KVM_SYSCALL_ERROR("memfd_create()", -1));
	alloc_region(&file, MAP_SHARED, file_fd);
	alloc_region(&rdonly, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memset(rdonly.mem, 1, NR_RO * PAGE_SIZE);

	vm_set_user_memory_region(vm, MEM_SLOT, 0, MEM_GPA, NR_MEM * PAGE_SIZE, own.mem);
	vm_set_user_memory_region(vm, FILE_SLOT, 0, FILE_GFN * PAGE_SIZE,
				  NR_FILE * PAGE_SIZE, file.mem);
	vm_set_user_memory_region(vm, RO_SLOT, KVM_MEM_READONLY, RO_GFN * PAGE_SIZE,
				  NR_RO * PAGE_SIZE, rdonly.mem);
	virt_map(vm, MEM_GPA, MEM_GPA, NR_OWN + NR_RO);
	virt_map(vm, SLOT0_GVA, 0, NR_SLOT0);
	slot0.mem = addr_gpa2hva(vm, 0);

	tpt_user_init_vm(vm, user_trap, user_fault);
	vcpu_args_set(vcpu, 1, tpt_user_init_vcpu(vcpu));

	memset(untouchable, 0, sizeof(untouchable));
	memset(empty, 0, sizeof(empty));
	memset(gfn_of, 0, nr_frames * sizeof(*gfn_of));
	memset(snapshot, 0, sizeof(snapshot));
	memset(owner_of, UNKNOWN, nr_frames);
	for (i = rmp_base / PAGE_SIZE; i < rmp_end / PAGE_SIZE; i++)
		set_owner(i, RMP);
	for (i = 0; i < map_size / PAGE_SIZE; i++) {
		/* Have it mapped here, too */
		(void)gam[i * PAGE_WORDS];
		map_pfns[i] = tpt_hva_to_pfn((char *)gam + i * PAGE_SIZE);
		set_owner(map_pfns[i], MAP);
	}

	job.code = CODE_VA;
	job.skip = code_va(&fuzz_skip);
	guest_touch(TOUCH_ALL);
	for (i = 0; i < PAGE_DATA; i++)
		TEST_ASSERT(own_pfn(i), "page %lu is not in the map", i);
	count.huge += tpt_gam_size(gam[MEM_GFN + NR_MEM / 2]) == TPT_RMP_SIZE_2M;
	list = (struct access *)own_page(PAGE_LIST);
	memcpy(own_page(PAGE_CODE), &fuzz_code, &fuzz_code_end - &fuzz_code);
}

static void destroy(void)
{
	kvm_vm_free(vm);
	munmap((void *)gam, align_up(NR_GFNS * sizeof(uint64_t), PAGE_SIZE));
	munmap(own.mem, NR_MEM * PAGE_SIZE);
	munmap(file.mem, NR_FILE * PAGE_SIZE);
	munmap(rdonly.mem, NR_RO * PAGE_SIZE);
	close(file_fd);
	kvm_vm_free(vm2);
	munmap(vm2_mem.mem, NR_VM2 * PAGE_SIZE);
	madvise(taken.mem, NR_TAKEN * PAGE_SIZE, MADV_DONTNEED);
	nr_taken = 0;
	nr_former = 0;
}

/* The life of one VM, or as much of it as is needed */
static void generation(void)
{
	uint64_t batch, i;
	bool changed;

	create_vm();
	for (i = PAGE_DATA; i < NR_OWN; i++)
		fill_own(i);
	for (i = PAGE_TABLES; i < PAGE_DATA; i++)
		empty[i] = true;
	for (i = 0; i < NR_HOST; i++)
		fill(&host, i);
	for (i = 0; i < NR_RO; i++)
		fill(&rdonly, i);
	create_vm2();
	count.generations++;

	for (batch = 0; batch < NR_BATCHES && count.fresh < opt_count; batch++) {
		learn();
		roll_entries();

		/* Without one that user mode's code can be entered in it is the end of this VM */
		for (i = 0; i < 100; i++) {
			root = PAGE_TABLES + below(NR_ROOTS);
			if (!untouchable[root] && own_pfn(root))
				break;
		}
		if (i == 100)
			break;
		count.batches++;
		set_code_path(root);
		root_pfn = own_pfn(root);

		changed = run_list(false);
		revoke_pages();
		/* The same again, with what the TLB may have kept */
		if (!changed)
			run_list(true);
		run_root();

		repair();
		if (batch % 16 == 15)
			check_all_pages();
	}
	check_all_pages();
	destroy();
}

static void print_row(const char *what, const char *whose, const uint64_t *n)
{
	if (n[LOAD] || n[STORE] || n[FETCH])
		ksft_print_msg("%-10s %-12s %8lu %8lu %8lu\n", what, whose,
			       n[LOAD], n[STORE], n[FETCH]);
}

static void print_counts(void)
{
	int i;

	ksft_print_msg("%-10s %-12s %8s %8s %8s\n", "", "", "load", "store", "fetch");
	for (i = 0; i < NR_OWNERS; i++)
		print_row("granted", owner_names[i], count.granted[i]);
	print_row("#PF", "", count.faults[0]);
	print_row("#PF", "reserved", count.faults[1]);
	for (i = 0; i < NR_OWNERS; i++) {
		print_row("stale page", owner_names[i], count.stale[i][0]);
		print_row("stale tbl", owner_names[i], count.stale[i][1]);
	}
	ksft_print_msg("%lu VMs, %lu with a huge page, %lu batches, %lu pages revoked\n",
		       count.generations, count.huge, count.batches, count.revoked);
	ksft_print_msg("%lu roots, %lu accesses to two pages, map changed %lu times\n",
		       count.roots, count.split, count.moved);
	ksft_print_msg("%lu words changed, %lu refused in vain, %lu wrongly reported\n",
		       count.changed, count.lost, count.wrong);
	ksft_print_msg("seed %lu: %lu accesses and %lu again: %lu forbidden\n",
		       opt_seed, count.fresh, count.again, count.forbidden);
}

FIXTURE(fuzz) { };
FIXTURE_SETUP(fuzz) { }
FIXTURE_TEARDOWN(fuzz) { }

TEST_F_TIMEOUT(fuzz, hostile_tables, 3600)
{
	rng_state = opt_seed;
	rmp_base = tpt_read_host_msr(MSR_TPT_RMP_BASE);
	rmp_end = tpt_read_host_msr(MSR_TPT_RMP_END);
	nr_frames = (rmp_end - rmp_base) / sizeof(uint64_t);
	gfn_of = calloc(nr_frames, sizeof(*gfn_of));
	owner_of = calloc(nr_frames, 1);
	ASSERT_TRUE(gfn_of && owner_of);
	alloc_region(&host, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	alloc_region(&taken, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	while (count.fresh < opt_count)
		generation();

	print_counts();
	EXPECT_EQ(0, count.forbidden);
	EXPECT_EQ(0, count.changed);
	EXPECT_EQ(0, count.lost);
	EXPECT_EQ(0, count.wrong);
}

static void usage(const char *name)
{
	printf("usage: %s [-s SEED] [-n COUNT] [-d]\n"
	       "  -s  repeat the run that printed this seed\n"
	       "  -n  number of accesses (default %lu)\n"
	       "  -d  keep from the oracle that some pages are the guest's: the test must fail\n",
	       name, opt_count);
}

int main(int argc, char *argv[])
{
	int opt;

	TEST_ASSERT(getrandom(&opt_seed, 4, 0) == 4, __KVM_SYSCALL_ERROR("getrandom()", -1));
	opt_seed &= 0xffffffff;

	while ((opt = getopt(argc, argv, "s:n:dh")) != -1) {
		switch (opt) {
		case 's':
			opt_seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			opt_count = strtoull(optarg, NULL, 0);
			break;
		case 'd':
			opt_defect = true;
			break;
		default:
			usage(argv[0]);
			exit(opt == 'h' ? 0 : 1);
		}
	}

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_TPT));
	TEST_REQUIRE(!geteuid());
	TEST_REQUIRE(!access("/dev/cpu/0/msr", R_OK));

	optind = 1;
	return test_harness_run(1, argv);
}
