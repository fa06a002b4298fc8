// SPDX-License-Identifier: GPL-2.0-only
/*
 * The TLBs and walk caches of the model of address translation, with their
 * default sizes: what they save, what empties them, and whom it belongs to.
 */
#include "model.h"

const char test_name[] = "caches";

#define HOST	TPT_STAT_BANK_HOST_KERNEL
#define USER	TPT_STAT_BANK_GUEST_USER

#define VA	0x51c012345678ull
#define PA(va)	(DATA_BASE | ((va) & 0x1fff000))
#define CR4_PGE	(1u << 7)

#define EVICT	0x61c000000000ull	/* pages to fill the first level with */
#define NR_EVICT 256

static void host_map(u64 va, u64 flags)
{
	map(read_cr3(), 4, va, PA(va), 1, RWU | flags);
}

/* Let the first level TLB forget everything else */
static void evict_l1(void)
{
	for (u64 i = 0; i < NR_EVICT; i++)
		peek(EVICT + i * 4096);
	warm_up();
}

static bool host_check(u64 va, const struct expect *e)
{
	warm_up();
	host_load(va);
	return check_counts(HOST, e);
}

static const struct expect hit = { .l1_misses = 1, .l2_hits = 1 };

/* A native walk of 4 levels of which @saved were found in the walk caches */
static struct expect walk(u64 saved)
{
	return (struct expect){
		.l1_misses = 1, .walks = 1, .guest = 4 - saved, .pwc = saved,
	};
}

static void test_walk_caches(void)
{
	static const struct {
		u64 va;
		u64 saved;
		const char *what;
	} t[] = {
		{ VA, 0, "first access" },
		{ VA + 0x1000, 3, "the same page table" },
		{ VA + 0x200000, 2, "the same page directory" },
		{ VA + 0x40000000, 1, "the same directory pointer table" },
		{ VA + 0x8000000000, 0, "another" },
		{ VA + 0x2000, 3, "the first page table again" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(t); i++) {
		struct expect e = walk(t[i].saved);

		host_map(t[i].va, 0);
		ok(host_check(t[i].va, &e), "walk caches: %s", t[i].what);
	}
}

static void test_l2_tlb(void)
{
	struct expect full = walk(0), pde = walk(3);
	bool r;

	host_map(VA, 0);
	host_load(VA);
	evict_l1();
	ok(host_check(VA, &hit), "second level TLB: hit");

	asm volatile("invlpg (%0)" : : "r"(VA) : "memory");
	ok(host_check(VA, &full), "INVLPG: a whole walk");

	/* INVLPG drops the walk caches, but other translations stay */
	host_map(VA + 0x1000, 0);
	host_load(VA + 0x1000);
	evict_l1();
	asm volatile("invlpg (%0)" : : "r"(VA) : "memory");
	r = host_check(VA + 0x1000, &hit);
	r &= host_check(VA, &full);
	ok(r, "INVLPG: not another page");

	write_cr3(read_cr3());
	r = host_check(VA, &full);
	r &= host_check(VA + 0x1000, &pde);
	ok(r, "MOV to CR3");

	asm volatile("movq %0, %%cr4" : : "r"((u64)CR4_PAE | CR4_PGE));
	host_map(VA + 0x3000, PTE_G);
	host_load(VA + 0x3000);
	write_cr3(read_cr3());
	r = host_check(VA + 0x3000, &hit);
	r &= host_check(VA, &full);
	ok(r, "MOV to CR3: global pages stay");

	asm volatile("movq %0, %%cr4" : : "r"((u64)CR4_PAE));
	ok(host_check(VA + 0x3000, &full), "MOV to CR4: global pages go");
}

/* 4 KiB leaves, or 2 MiB of which only one piece was touched before */
static void test_sizes(void)
{
	u64 va = 0x71c000000000ull;

	map(read_cr3(), 4, va, DATA_BASE, 2, RWU);
	host_load(va);
	ok(host_check(va + 0x5000, &hit), "second level TLB: 2 MiB");
}

static void nested_init(u32 asid)
{
	vm_init(g_load, 3, 4);
	vmcb.asid = asid;
}

static bool guest_check(u64 va, const struct expect *e)
{
	bool r;

	warm_up();
	r = check_eq(guest_run(g_load, va, 0), SVM_EXIT_VMMCALL, "exit code");
	return r & check_counts(USER, e);
}

static void test_asid(void)
{
	/* 2 MiB in both tables; the nested walks share what they find */
	struct expect walks = { .l1_misses = 1, .walks = 1, .guest = 3 };
	bool r;

	nested_init(1);
	vmcb.tlb_ctl = 1;
	warm_up();
	guest_run(g_load, DATA_BASE, 0);
	walks.host = delta.stat[USER][TPT_STAT_REFS_HOST];
	walks.pwc = delta.stat[USER][TPT_STAT_PWC_HITS];
	walks.ntlb = delta.stat[USER][TPT_STAT_NTLB_HITS];
	r = check_counts(USER, &walks);
	if (walks.host >= 4 * 3 + 3) {
		diag("host references: %lu", walks.host);
		r = false;
	}
	ok(r, "guest: first run");

	nested_init(1);
	ok(guest_check(DATA_BASE, &hit), "guest: the same ASID");
	nested_init(2);
	ok(guest_check(DATA_BASE, &walks), "guest: another ASID");
	nested_init(1);
	ok(guest_check(DATA_BASE, &hit), "guest: the first ASID again");

	vmcb.tlb_ctl = 1;
	ok(guest_check(DATA_BASE, &walks), "guest: all ASIDs flushed");
	nested_init(2);
	ok(guest_check(DATA_BASE, &walks), "guest: the other one, too");

	host_map(VA, 0);
	host_load(VA);
	evict_l1();
	nested_init(2);
	guest_run(g_load, DATA_BASE, 0);
	ok(host_check(VA, &hit), "host: its translations stay");

	nested_init(2);
	asm volatile("invlpga %%rax, %%ecx" : : "a"(DATA_BASE), "c"(1));
	ok(guest_check(DATA_BASE, &hit), "INVLPGA: not another ASID");
	asm volatile("invlpga %%rax, %%ecx" : : "a"(DATA_BASE), "c"(2));
	warm_up();
	guest_run(g_load, DATA_BASE, 0);
	r = check_eq(delta.stat[USER][TPT_STAT_REFS_GUEST], 3,
		     "guest references");
	ok(r, "INVLPGA");
}

/* The second page of a page table: guest 1, and no nested walk for it */
static void test_nested(void)
{
	u64 cr3 = new_page();
	struct expect e = {
		.l1_misses = 1, .walks = 1, .guest = 1, .host = 1,
		.pwc = 3 + 2, .ntlb = 1,
	};

	for (u64 a = (u64)guest_start; a < (u64)guest_end; a += 4096)
		map(cr3, 4, a, a, 1, PTE_P | PTE_U);
	map(cr3, 4, VA, PA(VA), 1, RWU);
	map(cr3, 4, VA + 0x1000, PA(VA + 0x1000), 1, RWU);

	nested_init(3);
	vmcb.cr3 = cr3;
	guest_run(g_load, VA, 0);
	vmcb.rip = (u64)g_load;
	ok(guest_check(VA + 0x1000, &e), "nested: the same page table");
}

static void test_tpt(void)
{
	u64 first = pool, root = new_page();
	struct expect walks = {
		.l1_misses = 1, .walks = 1, .tpt_walks = 1, .tpt = 4, .rmp = 5,
	};
	struct expect next = {
		.l1_misses = 1, .walks = 1, .tpt_walks = 1, .tpt = 1, .rmp = 1,
		.pwc = 3,
	};
	bool r;

	wrmsr(MSR_TPT_RMP_BASE, RMP_BASE);
	wrmsr(MSR_TPT_RMP_END, RMP_END);
	for (u64 a = (u64)guest_start; a < (u64)guest_end; a += 4096) {
		map(root, 4, a, a, 1, PTE_P | PTE_U);
		rmp_set(a, TAG);
	}
	for (u64 a = VA; a < VA + 0x3000; a += 0x1000) {
		map(root, 4, a, PA(a), 1, RWU);
		rmp_set(PA(a), OWN);
	}
	for (u64 a = first; a < pool; a += 4096)
		rmp_set(a, OWN);

	nested_init(4);
	vmcb.tpt_tag = TAG;
	vmcb.tpt_cr3 = root | TPT_CR3_VALID;
	ok(guest_check(VA, &walks), "TPT: first run");
	ok(guest_check(VA, &hit), "TPT: again");
	ok(guest_check(VA + 0x1000, &next), "TPT: the same page table");

	/* Not to be mixed up with what CR3 maps there */
	vmcb.tpt_tag = 0;
	warm_up();
	guest_run(g_load, DATA_BASE, 0);
	r = check_eq(delta.stat[USER][TPT_STAT_L2_HITS], 0, "L2 hits");
	vmcb.tpt_tag = TAG;
	r &= guest_check(VA, &hit);
	ok(r, "TPT: apart from CR3");

	/* The RMP moves: nothing is left of the old one */
	wrmsr(MSR_TPT_RMP_BASE, RMP_BASE);
	ok(guest_check(VA, &walks), "TPT: WRMSR to RMP_BASE");

	/* The guest's WRMSR to TPT_CR3, with the same value */
	vmcb.rip = (u64)g_mix;
	wrmsr(MSR_LSTAR, (u64)g_wrmsr_sys);
	regs.rdi = VA;
	regs.rsi = root | TPT_CR3_VALID;
	regs.r15 = MSR_TPT_CR3;
	warm_up();
	start_counts();
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	stop_counts();
	r &= check_eq(delta.stat[USER][TPT_STAT_L2_HITS], 1, "L2 hits");
	r &= check_eq(delta.stat[USER][TPT_STAT_TPT_WALKS], 1, "TPT walks");
	r &= check_eq(delta.stat[USER][TPT_STAT_REFS_TPT], 4,
		      "TPT references");
	ok(r, "TPT: WRMSR to TPT_CR3");
}

/* A line is in memory first, and then in the first data cache */
static void test_data_caches(void)
{
	u64 va = VA + 0x10000;
	const u64 *s = delta.stat[HOST];
	bool r;

	host_map(va, 0);
	warm_up();
	host_load(va);
	r = check_eq(s[TPT_STAT_DATA_CYCLES], 200, "first access");
	asm volatile("invlpg (%0)" : : "r"(va) : "memory");
	warm_up();
	host_load(va);
	r &= check_eq(s[TPT_STAT_DATA_CYCLES], 4, "second access");
	/* Second level TLB, four entries that have just been read */
	r &= check_eq(s[TPT_STAT_WALK_CYCLES], 7 + 4 * 4, "second walk");
	ok(r, "data caches");
}

void test(void)
{
	for (u64 i = 0; i < NR_EVICT; i++)
		map(read_cr3(), 4, EVICT + i * 4096, DATA_BASE + i * 4096, 1,
		    RWU);
	test_walk_caches();
	test_l2_tlb();
	test_sizes();
	test_asid();
	test_nested();
	test_tpt();
	test_data_caches();
}
