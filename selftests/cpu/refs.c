// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model of address translation with every cache off: each walk has the
 * textbook's number of references, each of which takes as long as memory
 * does, and all of it is seen by the clock.
 */
#include "model.h"

#define MEM_CYCLES	200	/* tpt-mem-cycles */
#define SWITCH_CYCLES	1300	/* tpt-vmrun-cycles + tpt-vmexit-cycles */
#define TICK_NS		2	/* -icount shift=1 */

#ifdef SERIAL
const char test_name[] = "refs, checks in series";
#define SERIAL_CHECK	true
#else
const char test_name[] = "refs";
#define SERIAL_CHECK	false
#endif

static const char * const leaf_name[] = { "", "4K", "2M", "1G" };

/* Different indices at each level, and an own page for each use */
static u64 test_va(int levels, unsigned int n)
{
	return (levels == 5 ? 0x00ab51c012345678ull : 0x000051c012345678ull) +
	       n * 0x8000000000ull;
}

static u64 test_pa(u64 va, int leaf)
{
	return (leaf == 3 ? DATA_1G : DATA_BASE) | (va & (level_size(leaf) - 1));
}

/* Cycles are instructions and stalls, and the clock has seen them all */
static bool check_time(void)
{
	u64 cycles = delta.all[TPT_STAT_ALL_INSTRUCTIONS] +
		     delta.all[TPT_STAT_ALL_SWITCH_CYCLES];

	for (int b = 0; b < TPT_STAT_BANK_ALL; b++)
		cycles += delta.stat[b][TPT_STAT_WALK_CYCLES] +
			  delta.stat[b][TPT_STAT_DATA_CYCLES];
	return check_eq(delta.all[TPT_STAT_ALL_CYCLES], cycles, "cycles") &
	       check_eq(delta.tsc, cycles * TICK_NS, "ns");
}

static bool check_cycles(unsigned int bank, u64 walk, u64 data)
{
	u64 *s = delta.stat[bank];

	return check_eq(s[TPT_STAT_WALK_CYCLES], walk * MEM_CYCLES,
			"walk cycles") &
	       check_eq(s[TPT_STAT_DATA_CYCLES], data * MEM_CYCLES,
			"data cycles") &
	       check_time();
}

static void test_native(void)
{
	int levels = host_levels();
	unsigned int bank = TPT_STAT_BANK_HOST_KERNEL;

	for (int leaf = 1; leaf <= 3; leaf++) {
		u64 va = test_va(levels, leaf);
		u64 n = levels - leaf + 1;
		struct expect e = { .l1_misses = 1, .walks = 1, .guest = n };
		struct expect none = {};
		bool r;

		map(read_cr3(), levels, va, test_pa(va, leaf), leaf, RWU);
		warm_up();
		host_load(va);
		r = check_counts(bank, &e);
		r &= check_cycles(bank, n, 1);
		ok(r, "native, %d levels, %s: %lu", levels, leaf_name[leaf], n);

		host_load(va);
		r = check_counts(bank, &none);
		r &= check_cycles(bank, 0, 0);
		ok(r, "native, %d levels, %s: again: 0", levels,
		   leaf_name[leaf]);
	}
}

/* A guest page table that maps the code, and @pa at @va */
static u64 guest_table(int levels, u64 va, u64 pa, int leaf)
{
	u64 root = new_page();

	for (u64 a = (u64)guest_start; a < (u64)guest_end; a += 4096)
		map(root, levels, a, a, 1, PTE_P | PTE_U);
	map(root, levels, va, pa, leaf, RWU);
	return root;
}

static void npt_map(u64 root, u64 start, u64 end, int leaf)
{
	for (u64 a = start & -level_size(leaf); a < end; a += level_size(leaf))
		map(root, host_levels(), a, a, leaf, RWU);
}

static void test_nested(int levels, int leaf, int host_leaf)
{
	unsigned int bank = TPT_STAT_BANK_GUEST_USER;
	u64 va = test_va(levels, 0), pa = test_pa(va, leaf);
	u64 tables = pool, cr3 = guest_table(levels, va, pa, leaf);
	u64 tables_end = pool, npt = new_page();
	u64 n = levels - leaf + 1, h = host_levels() - host_leaf + 1;
	struct expect e = {
		.l1_misses = 1,
		.walks = 1,
		.guest = n,
		.host = (n + 1) * h,
	};
	bool r;

	npt_map(npt, tables, tables_end, host_leaf);
	npt_map(npt, (u64)guest_start, (u64)guest_end, host_leaf);
	npt_map(npt, pa, pa + 1, host_leaf);

	vm_init(g_load, 3, levels);
	vmcb.cr3 = cr3;
	vmcb.nested_cr3 = npt;
	warm_up();
	poke(pa, 0x1234567);
	r = check_eq(guest_run(g_load, va, 0), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(vmcb.rax, 0x1234567, "loaded");
	r &= check_counts(bank, &e);
	r &= check_cycles(bank, e.guest + e.host, 1);
	r &= check_eq(delta.all[TPT_STAT_ALL_EXITS], 1, "exits");
	r &= check_eq(delta.all[TPT_STAT_ALL_SWITCH_CYCLES], SWITCH_CYCLES,
		      "switch cycles");
	ok(r, "nested, %d+%d levels, %s/%s: %lu", levels, host_levels(),
	   leaf_name[leaf], leaf_name[host_leaf], n + (n + 1) * h);
	pool = tables;
}

/* A VM whose TPT table maps @va to @pa */
static u64 tpt_init(int levels, u64 va, u64 pa, int leaf)
{
	u64 tables = pool, root = guest_table(levels, va, pa, leaf);

	for (u64 a = tables; a < pool; a += 4096)
		rmp_set(a, OWN);
	for (u64 a = (u64)guest_start; a < (u64)guest_end; a += 4096)
		rmp_set(a, TAG);
	rmp_set(pa, OWN);

	vm_init(g_load, 3, levels);
	vmcb.tpt_tag = TAG;
	vmcb.tpt_cr3 = root | TPT_CR3_VALID;
	return root;
}

/* Cycles of a walk of @n tables that completes, without the data */
static u64 tpt_cycles(u64 n)
{
	return SERIAL_CHECK ? n + n + 1 : n;
}

static void test_tpt(int levels, int leaf)
{
	unsigned int bank = TPT_STAT_BANK_GUEST_USER;
	u64 va = test_va(levels, 0), pa = test_pa(va, leaf);
	u64 n = levels - leaf + 1;
	struct expect e = {
		.l1_misses = 1,
		.walks = 1,
		.tpt_walks = 1,
		.tpt = n,
		.rmp = n + 1,
	};
	u64 tables = pool;
	bool r;

	tpt_init(levels, va, pa, leaf);
	warm_up();
	poke(pa, 0x7654321);
	r = check_eq(guest_run(g_load, va, 0), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(vmcb.rax, 0x7654321, "loaded");
	r &= check_counts(bank, &e);
	r &= check_cycles(bank, tpt_cycles(n), 1);
	ok(r, "TPT, %d levels, %s: %lu + %lu", levels, leaf_name[leaf], n,
	   n + 1);
	pool = tables;
}

/* A store to a page that a load has brought in clean walks again */
static void test_dirty(void)
{
	unsigned int bank = TPT_STAT_BANK_GUEST_USER;
	u64 va = test_va(4, 0), pa = test_pa(va, 1);
	struct expect e = {
		.l1_misses = 2,
		.walks = 2,
		.tpt_walks = 2,
		.tpt = 8,
		.rmp = 10,
	};
	u64 tables = pool;
	bool r;

	tpt_init(4, va, pa, 1);
	warm_up();
	r = check_eq(guest_run(g_load_store, va, va), SVM_EXIT_VMMCALL,
		     "exit code");
	r &= check_counts(bank, &e);
	ok(r, "load, then the first store");

	e = (struct expect){
		.l1_misses = 1, .walks = 1, .tpt_walks = 1, .tpt = 4, .rmp = 5,
	};
	r = check_eq(guest_run(g_load_store, va, va), SVM_EXIT_VMMCALL,
		     "exit code");
	r &= check_counts(bank, &e);
	ok(r, "load, then another store");
	pool = tables;
}

/* What ends in a fault or an exit is a fault, and takes time */
static void test_faults(void)
{
	unsigned int bank = TPT_STAT_BANK_GUEST_USER;
	u64 va = test_va(4, 0), pa = test_pa(va, 1);
	struct expect e = { .faults = 1 };
	u64 tables = pool, root;
	bool r;

	root = tpt_init(4, va, pa, 1);
	map(root, 4, va, 0, 3, 0);
	warm_up();
	r = check_eq(guest_run(g_load, va, 0), SVM_EXIT_EXCP + 14, "exit code");
	r &= check_counts(bank, &e);
	r &= check_cycles(bank, SERIAL_CHECK ? 4 : 2, 0);
	ok(r, "TPT: not present at level 3");

	root = tpt_init(4, va, pa, 1);
	rmp_set(pa, 0);
	warm_up();
	r = check_eq(guest_run(g_load, va, 0), SVM_EXIT_TPT, "exit code");
	r &= check_counts(bank, &e);
	r &= check_cycles(bank, SERIAL_CHECK ? 9 : 5, 0);
	ok(r, "TPT: the leaf's frame refused");

	root = tpt_init(4, va, pa, 1);
	rmp_set(peek(root + (va >> 39 & 511) * 8) & PTE_ADDR, 0);
	warm_up();
	r = check_eq(guest_run(g_load, va, 0), SVM_EXIT_TPT, "exit code");
	r &= check_counts(bank, &e);
	r &= check_cycles(bank, SERIAL_CHECK ? 3 : 2, 0);
	ok(r, "TPT: the frame of the second table refused");

	vm_init(g_load, 3, 4);
	npt_hole(true);
	warm_up();
	r = check_eq(guest_run(g_load, HOLE_BASE, 0), SVM_EXIT_NPF,
		     "exit code");
	r &= check_counts(bank, &e);
	/* 2 MiB in guest and nested table */
	r &= check_cycles(bank, 3 * (1 + 3) + 3, 0);
	ok(r, "nested: a hole in the nested table");
	npt_hole(false);
	pool = tables;
}

/* Supervisor accesses of the guest have a bank of their own */
static void test_banks(void)
{
	struct expect none = {}, one = {
		.l1_misses = 1, .walks = 1, .guest = 3, .host = 12,
	};
	bool r;

	vm_init(g_load, 0, 4);
	warm_up();
	r = check_eq(guest_run(g_load, DATA_BASE, 0), SVM_EXIT_VMMCALL,
		     "exit code");
	r &= check_counts(TPT_STAT_BANK_GUEST_KERNEL, &one);
	r &= check_counts(TPT_STAT_BANK_GUEST_USER, &none);
	r &= check_counts(TPT_STAT_BANK_HOST_USER, &none);
	ok(r, "supervisor accesses in guest mode");
}

/* Few pages stay in the first level TLB, many do not */
static void test_l1(void)
{
	u64 base = test_va(host_levels(), 4) & -4096ul;
	const u64 *s = delta.stat[TPT_STAT_BANK_HOST_KERNEL];
	u64 misses[2];
	bool r;

	for (u64 i = 0; i < 512; i++)
		map(read_cr3(), host_levels(), base + i * 4096,
		    DATA_BASE + i * 4096, 1, RWU);
	for (int big = 0; big < 2; big++) {
		u64 n = big ? 512 : 32;

		for (int pass = 0; pass < 2; pass++) {
			start_counts();
			for (u64 i = 0; i < n; i++)
				peek(base + i * 4096);
			stop_counts();
		}
		misses[big] = s[TPT_STAT_L1_MISSES];
	}
	r = check_eq(misses[0], 0, "32 pages");
	if (misses[1] < 512) {
		diag("512 pages: %lu", misses[1]);
		r = false;
	}
	ok(r, "size of the first level TLB");
}

void test(void)
{
	bool la57;
	u32 c[4];

	cpuid(7, c);
	la57 = c[2] & 1 << 16;
	wrmsr(MSR_TPT_RMP_BASE, RMP_BASE);
	wrmsr(MSR_TPT_RMP_END, RMP_END);

	test_native();
	for (int levels = 4; levels <= (la57 ? 5 : 4); levels++) {
		for (int leaf = 1; leaf <= 3; leaf++) {
			for (int host_leaf = 1; host_leaf <= 3; host_leaf++)
				test_nested(levels, leaf, host_leaf);
			test_tpt(levels, leaf);
		}
	}
	if (host_levels() == 5)
		return;
	test_dirty();
	test_faults();
	test_banks();
	test_l1();
}
