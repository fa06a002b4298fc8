// SPDX-License-Identifier: GPL-2.0-only
/*
 * The TPT CPU against docs/tpt-architecture.md: MSRs, the walk with its
 * checks, exits and faults, what may be cached, the VMCB.
 */
#include "lib.h"

const char test_name[] = "tpt";

#define TAG	0x1234ull
#define OTHER	0x1235ull
#define OWN	(TAG | TPT_RMP_WRITABLE)
#define SIZE(s)	((u64)TPT_RMP_SIZE_##s << TPT_RMP_SIZE_SHIFT)

#define STORED	0x5354ull
#define LOADED	0x4c4full
#define VMMCALL	0xd9010full		/* the instruction */

#define NO_FRAME	0xfffff00000ull	/* within 40 bits, beyond everything */

enum kind { LOAD, STORE, FETCH };

static const char * const kind_name[] = { "load", "store", "fetch" };
static const char * const leaf_name[] = { "", "4K", "2M", "1G" };
static const u64 kind_exit[] = { 0, TPT_EXIT_WRITE, TPT_EXIT_FETCH };
static const u64 kind_pf[] = { 0, PF_W, PF_I };

static u64 pool;			/* next free page */
static u64 root;
static int levels;
static u64 rmp_used[4096];		/* frames with an RMP entry */
static unsigned int nr_rmp_used;

static void rmp_set(u64 pa, u64 entry)
{
	u64 frame = pa >> 12;

	if (nr_rmp_used == ARRAY_SIZE(rmp_used)) {
		print("Bail out! rmp_used[] is too small\n");
		finish();
	}
	rmp_used[nr_rmp_used++] = frame;
	poke(RMP_BASE + frame * 8, entry);
}

static u64 level_size(int level)
{
	return 1ull << (12 + 9 * (level - 1));
}

static u64 new_table(void)
{
	u64 pa = pool;

	pool += 4096;
	memset((void *)pa, 0, 4096);
	rmp_set(pa, OWN);
	return pa;
}

/* The address of the entry for @va at @level; tables are made as needed */
static u64 entry(u64 va, int level)
{
	u64 table = root;

	for (int l = levels; ; l--) {
		u64 e = table + (va >> (12 + 9 * (l - 1)) & 511) * 8;

		if (l == level)
			return e;
		if (!(peek(e) & PTE_P))
			poke(e, new_table() | PTE_P | PTE_W | PTE_U);
		table = peek(e) & PTE_ADDR;
	}
}

static void map(u64 va, u64 pa, int leaf, u64 flags)
{
	u64 mask = level_size(leaf) - 1;

	poke(entry(va, leaf),
	     (pa & ~mask) | flags | (leaf > 1 ? PTE_PS : 0));
}

static void set_tpt_cr3(void)
{
	vmcb.tpt_cr3 = root | TPT_CR3_VALID;
}

/* No RMP entries, a TPT table that maps the guest's code and stack */
static void setup(int nr_levels)
{
	levels = nr_levels;
	while (nr_rmp_used)
		poke(RMP_BASE + rmp_used[--nr_rmp_used] * 8, 0);
	wrmsr(MSR_TPT_RMP_BASE, RMP_BASE);
	wrmsr(MSR_TPT_RMP_END, RMP_END);

	pool = POOL_BASE;
	root = new_table();
	for (u64 a = (u64)guest_start; a < (u64)guest_end; a += 4096) {
		map(a, a, 1, PTE_P | PTE_U);
		rmp_set(a, TAG);
	}
	map((u64)user_stack, (u64)user_stack, 1, PTE_P | PTE_W | PTE_U);
	rmp_set((u64)user_stack, OWN);

	vm_init(g_vmmcall, 3, levels);
	vmcb.tpt_tag = TAG;
	set_tpt_cr3();
}

/* The page under test: different indices at each level */
static u64 test_va(int leaf)
{
	return (levels == 5 ? 0x00ab51c012345678ull : 0x000051c012345678ull) &
	       (leaf == 1 ? ~0x3000ull : ~0ull);
}

static u64 test_pa(int leaf)
{
	u64 base = leaf == 3 ? DATA_1G : DATA_BASE;

	return base | (test_va(leaf) & (level_size(leaf) - 1));
}

static void setup_page(int nr_levels, int leaf)
{
	setup(nr_levels);
	map(test_va(leaf), test_pa(leaf), leaf, PTE_P | PTE_W | PTE_U);
	rmp_set(test_pa(leaf), OWN);
}

static void prepare(enum kind kind, u64 va)
{
	u64 code[] = { (u64)g_load, (u64)g_store, va };

	vmcb.rip = code[kind];
	vmcb.rax = STORED;
	regs.rdi = va;
}

static u64 access(enum kind kind, u64 va)
{
	prepare(kind, va);
	return vm_run();
}

/* Whether the last exit is from an access of @kind to @va, completed */
static bool done(enum kind kind, u64 va, u64 pa)
{
	bool r = check_eq(vmcb.exit_code, SVM_EXIT_VMMCALL, "exit code");

	switch (kind) {
	case LOAD:
		r &= check_eq(vmcb.rax, peek(pa), "loaded");
		break;
	case STORE:
		r &= check_eq(peek(pa), STORED, "stored");
		break;
	case FETCH:
		r &= check_eq(vmcb.rip, va, "rip");
		break;
	}
	if (!r)
		diag("info_1 0x%lx info_2 0x%lx gva 0x%lx rip 0x%lx",
		     vmcb.exit_info_1, vmcb.exit_info_2, vmcb.tpt_exit_gva,
		     vmcb.rip);
	return r;
}

/* Whether the last exit is a refusal of the RMP; nothing was changed */
static bool refused(enum kind kind, u64 va, u64 pa, int level, u64 info)
{
	bool r = check_eq(vmcb.exit_code, SVM_EXIT_TPT, "exit code");

	r &= check_eq(vmcb.exit_info_1, kind_exit[kind] | info |
		      (u64)level << TPT_EXIT_LEVEL_SHIFT, "info_1");
	r &= check_eq(vmcb.exit_info_2, pa, "info_2");
	r &= check_eq(vmcb.tpt_exit_gva, va, "gva");
	if (kind == FETCH)
		r &= check_eq(vmcb.rip, va, "rip");
	else
		r &= check_eq(vmcb.rip,
			      (u64)(kind == LOAD ? g_load : g_store), "rip");
	return r;
}

#define TABLE		TPT_EXIT_TABLE
#define RANGE		(TPT_EXIT_REASON_RANGE << TPT_EXIT_REASON_SHIFT)
#define WRONG_TAG	(TPT_EXIT_REASON_TAG << TPT_EXIT_REASON_SHIFT)
#define PERM		(TPT_EXIT_REASON_PERM << TPT_EXIT_REASON_SHIFT)

/* Whether the last exit is an intercepted page fault */
static bool faulted(enum kind kind, u64 va, u64 error)
{
	bool r = check_eq(vmcb.exit_code, SVM_EXIT_EXCP + 14, "exit code");

	r &= check_eq(vmcb.exit_info_1, error | kind_pf[kind], "error code");
	r &= check_eq(vmcb.exit_info_2, va, "address");
	return r;
}

static void test_cpuid(void)
{
	u32 r[4];

	cpuid(0x8000000a, r);
	ok(r[3] & 1u << TPT_CPUID_SVM_EDX_BIT, "CPUID reports TPT");
}

static void test_host_msrs(void)
{
	u64 val = 1;

	ok(rdmsr_safe(MSR_TPT_RMP_BASE, &val) && !val &&
	   rdmsr_safe(MSR_TPT_RMP_END, &val) && !val,
	   "RMP_BASE, RMP_END are 0 after reset");
	ok(!rdmsr_safe(MSR_TPT_CR3, &val) && !wrmsr_safe(MSR_TPT_CR3, 0),
	   "TPT_CR3 raises #GP in host mode");
	ok(wrmsr_safe(MSR_TPT_RMP_BASE, 0xfffffff000) &&
	   rdmsr_safe(MSR_TPT_RMP_BASE, &val) && val == 0xfffffff000,
	   "RMP_BASE takes an aligned address");
	ok(!wrmsr_safe(MSR_TPT_RMP_BASE, 1) &&
	   !wrmsr_safe(MSR_TPT_RMP_BASE, 0x800) &&
	   !wrmsr_safe(MSR_TPT_RMP_BASE, 1ull << 40) &&
	   !wrmsr_safe(MSR_TPT_RMP_BASE, 1ull << 63) &&
	   rdmsr_safe(MSR_TPT_RMP_BASE, &val) && val == 0xfffffff000,
	   "RMP_BASE: reserved bits raise #GP, change nothing");
	ok(!wrmsr_safe(MSR_TPT_RMP_END, 1) &&
	   !wrmsr_safe(MSR_TPT_RMP_END, 1ull << 40) &&
	   rdmsr_safe(MSR_TPT_RMP_END, &val) && !val,
	   "RMP_END: reserved bits raise #GP, change nothing");
	ok(!wrmsr_safe(MSR_TPT_STAT_BASE, 0) &&
	   !wrmsr_safe(MSR_TPT_STAT_LAST, 0),
	   "TPT_STAT: WRMSR raises #GP");
	ok(!rdmsr_safe(MSR_TPT_STAT(TPT_STAT_BANK_HOST_KERNEL, TPT_STAT_NR),
		       &val) &&
	   !rdmsr_safe(MSR_TPT_STAT(TPT_STAT_BANK_ALL, TPT_STAT_ALL_NR), &val),
	   "TPT_STAT: an undefined index raises #GP");
}

static u64 guest_msr(void *code, u32 msr, u64 val)
{
	vm_init(code, 0, 4);
	vmcb.tpt_cr3 = 0x5000;
	vmcb.tpt_tag = TAG;
	regs.rcx = msr;
	vmcb.rax = (u32)val;
	regs.rdx = val >> 32;
	return vm_run();
}

/* The 2 bits of an MSR above C001_0000 in the permission map */
static void intercept_msr(u32 msr)
{
	u32 bit = (16384 + msr - 0xc0010000) * 2;

	msrpm[bit / 8] |= 3u << bit % 8;
}

static void test_guest_msrs(void)
{
	static const u64 bad[] = {
		2, 0x800, 1ull << 40, 1ull << 51, 1ull << 52, 1ull << 63,
	};
	static const u32 host_only[] = { MSR_TPT_RMP_BASE, MSR_TPT_RMP_END };
	u64 gp = SVM_EXIT_EXCP + 13;
	bool r;

	r = check_eq(guest_msr(g_wrmsr, MSR_TPT_CR3, 0xfffffff001),
		     SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(vmcb.tpt_cr3, 0xfffffff001, "TPT_CR3");
	ok(r, "guest writes TPT_CR3, #VMEXIT saves it");

	r = check_eq(guest_msr(g_rdmsr, MSR_TPT_CR3, 0), SVM_EXIT_VMMCALL,
		     "exit code");
	r &= check_eq(vmcb.rax, 0x5000, "eax") && check_eq(regs.rdx, 0, "edx");
	ok(r, "VMRUN loads TPT_CR3, the guest reads it");

	r = true;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		r &= check_eq(guest_msr(g_wrmsr, MSR_TPT_CR3, bad[i] | 1), gp,
			      "exit code");
		r &= check_eq(vmcb.tpt_cr3, 0x5000, "TPT_CR3");
	}
	ok(r, "TPT_CR3: reserved bits raise #GP, change nothing");

	r = true;
	for (unsigned int i = 0; i < ARRAY_SIZE(host_only); i++) {
		r &= check_eq(guest_msr(g_wrmsr, host_only[i], 0), gp, "write");
		r &= check_eq(guest_msr(g_rdmsr, host_only[i], 0), gp, "read");
	}
	ok(r, "RMP_BASE, RMP_END raise #GP in guest mode");

	r = true;
	for (u32 msr = MSR_TPT_CR3; msr <= MSR_TPT_RMP_END; msr++) {
		vm_init(g_wrmsr, 0, 4);
		intercept_msr(msr);
		regs.rcx = msr;
		vmcb.rax = 0xfff;		/* would raise #GP */
		r &= check_eq(vm_run(), SVM_EXIT_MSR, "exit code");
		r &= check_eq(vmcb.exit_info_1, 1, "info_1");
		vmcb.rip = (u64)g_rdmsr;
		r &= check_eq(vm_run(), SVM_EXIT_MSR, "exit code");
		r &= check_eq(vmcb.exit_info_1, 0, "info_1");
	}
	ok(r, "the MSR permission map comes before #GP");
}

/* From another depth of the stack: the exit has to find the way back to here */
static __attribute__((noinline)) u64 vm_run_deeper(unsigned int depth)
{
	volatile u64 frame[8] = { depth };
	u64 exit = depth ? vm_run_deeper(depth - 1) : vm_run();

	return frame[0] == depth ? exit : ~0ull;
}

static void test_vmrun(void)
{
	static const u64 bad[] = {
		0x003, 0x801, 1ull << 40 | 1, 1ull << 52 | 1, 1ull << 63 | 1,
		0x002,
	};
	bool r = true;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		vm_init(g_vmmcall, 0, 4);
		vmcb.tpt_tag = 1;
		vmcb.tpt_cr3 = bad[i];
		r &= check_eq(vm_run_deeper(i * 7 % 5), SVM_EXIT_ERR, "exit code");
		r &= check_eq(vmcb.tpt_cr3, bad[i], "TPT_CR3");
	}
	ok(r, "VMRUN with a tag refuses reserved bits of TPT_CR3");

	vm_init(g_vmmcall, 0, 4);
	vmcb.tpt_cr3 = bad[0];
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(vmcb.tpt_cr3, bad[0], "TPT_CR3");
	ok(r, "VMRUN without a tag carries any TPT_CR3");
}

static bool accessed(u64 va, int level)
{
	return peek(entry(va, level)) & PTE_A;
}

static void test_walk(int nr_levels, int leaf)
{
	for (enum kind kind = LOAD; kind <= FETCH; kind++) {
		u64 va, pa, exit;
		bool r;

		setup_page(nr_levels, leaf);
		va = test_va(leaf);
		pa = test_pa(leaf);
		poke(pa, kind == FETCH ? VMMCALL : LOADED);
		access(kind, va);
		r = done(kind, va, pa);
		for (int l = levels; l >= leaf; l--)
			r &= check_eq(accessed(va, l), true, "accessed");
		r &= check_eq(!!(peek(entry(va, leaf)) & PTE_D), kind == STORE,
			      "dirty");
		ok(r, "%d levels, %s, %s: translated, A and D set", levels,
		   leaf_name[leaf], kind_name[kind]);

		/*
		 * A foreign, an unassigned frame at each level.  Without the
		 * root the code that loads or stores cannot be fetched.
		 */
		for (int l = levels; l >= leaf; l--) {
			u64 e;
			enum kind k = kind;
			u64 at = va;

			if (l == levels && kind != FETCH) {
				k = FETCH;
				at = (u64)(kind == LOAD ? g_load : g_store);
			}

			setup_page(nr_levels, leaf);
			poke(pa, LOADED);
			e = entry(at, l);
			rmp_set(e, OTHER | TPT_RMP_WRITABLE);
			access(kind, va);
			r = refused(k, at, e, l, TABLE | WRONG_TAG);
			r &= check_eq(accessed(va, l), false, "accessed");
			rmp_set(e, TPT_RMP_WRITABLE);
			access(kind, va);
			r &= refused(k, at, e, l, TABLE | WRONG_TAG);
			r &= check_eq(peek(pa), LOADED, "data");
			ok(r, "%d levels, %s, %s: foreign table at level %d",
			   levels, leaf_name[leaf], kind_name[kind], l);

			/* and one that is not there at all */
			setup_page(nr_levels, leaf);
			if (l == levels) {
				vmcb.tpt_cr3 = NO_FRAME | TPT_CR3_VALID;
			} else {
				e = entry(va, l + 1);
				poke(e, (peek(e) & ~PTE_ADDR) | NO_FRAME);
			}
			access(kind, va);
			r = refused(k, at, NO_FRAME +
				    (at >> (12 + 9 * (l - 1)) & 511) * 8,
				    l, TABLE | RANGE);
			ok(r, "%d levels, %s, %s: table out of range at level %d",
			   levels, leaf_name[leaf], kind_name[kind], l);

			/* A needs to be set, but the frame is read-only */
			setup_page(nr_levels, leaf);
			vm_run();	/* sets A for the code */
			poke(pa, LOADED);
			e = entry(va, l);
			rmp_set(e, TAG);
			access(kind, va);
			r = refused(kind, va, e, l, TABLE | PERM);
			r &= check_eq(peek(e) & (PTE_A | PTE_D), 0, "A and D");
			r &= check_eq(peek(pa), LOADED, "data");
			ok(r, "%d levels, %s, %s: A in read-only table at level %d",
			   levels, leaf_name[leaf], kind_name[kind], l);

			/* A is set already: only D needs the right */
			poke(e, peek(e) | PTE_A);
			poke(pa, kind == FETCH ? VMMCALL : LOADED);
			access(kind, va);
			if (kind == STORE && l == leaf)
				r = refused(kind, va, e, l, TABLE | PERM) &
				    check_eq(peek(e) & PTE_D, 0, "dirty");
			else
				r = done(kind, va, pa);
			ok(r, "%d levels, %s, %s: A set in read-only table at level %d",
			   levels, leaf_name[leaf], kind_name[kind], l);
		}

		/* The frame itself */
		setup_page(nr_levels, leaf);
		poke(pa, LOADED);
		rmp_set(pa, OTHER | TPT_RMP_WRITABLE);
		access(kind, va);
		r = refused(kind, va, pa, leaf, WRONG_TAG);
		rmp_set(pa, 0);
		access(kind, va);
		r &= refused(kind, va, pa, leaf, WRONG_TAG);
		r &= check_eq(peek(pa), LOADED, "data");
		r &= check_eq(peek(entry(va, leaf)) & (PTE_A | PTE_D), 0,
			      "A and D");
		ok(r, "%d levels, %s, %s: foreign page", levels,
		   leaf_name[leaf], kind_name[kind]);

		rmp_set(pa, TAG);
		poke(pa, kind == FETCH ? VMMCALL : LOADED);
		exit = access(kind, va);
		if (kind == STORE) {
			r = refused(kind, va, pa, leaf, PERM);
			r &= check_eq(peek(pa), LOADED, "data");
			r &= check_eq(peek(entry(va, leaf)) & (PTE_A | PTE_D),
				      0, "A and D");
			/* Given the right, VMRUN restarts the instruction */
			rmp_set(pa, OWN);
			exit = vm_run();
		} else {
			r = true;
		}
		r &= check_eq(exit, SVM_EXIT_VMMCALL, "exit code");
		r &= done(kind, va, pa);
		ok(r, "%d levels, %s, %s: read-only page", levels,
		   leaf_name[leaf], kind_name[kind]);

		setup_page(nr_levels, leaf);
		map(va, NO_FRAME, leaf, PTE_P | PTE_W | PTE_U);
		access(kind, va);
		r = refused(kind, va,
			    (NO_FRAME & ~(level_size(leaf) - 1)) |
			    (va & (level_size(leaf) - 1)), leaf, RANGE);
		ok(r, "%d levels, %s, %s: page out of range", levels,
		   leaf_name[leaf], kind_name[kind]);

		/* Faults of the table */
		r = true;
		for (int l = levels; l >= leaf; l--) {
			setup_page(nr_levels, leaf);
			poke(entry(va, l), peek(entry(va, l)) & ~PTE_P);
			access(kind, va);
			r &= faulted(kind, va, PF_U | TPT_PF_TPT);
		}
		ok(r, "%d levels, %s, %s: not present, any level", levels,
		   leaf_name[leaf], kind_name[kind]);

		r = true;
		for (int l = levels; l >= leaf; l--) {
			u64 no = kind == FETCH ? PTE_NX : 0;

			setup_page(nr_levels, leaf);
			/* The fault comes before the check of the page */
			rmp_set(pa, 0);
			poke(entry(va, l), (peek(entry(va, l)) & ~PTE_U) | no);
			access(kind, va);
			r &= faulted(kind, va, PF_P | PF_U | TPT_PF_TPT);
			if (kind == LOAD)
				continue;
			poke(entry(va, l), peek(entry(va, l)) | PTE_U);
			if (kind == STORE)
				poke(entry(va, l), peek(entry(va, l)) & ~PTE_W);
			access(kind, va);
			r &= faulted(kind, va, PF_P | PF_U | TPT_PF_TPT);
		}
		r &= check_eq(peek(entry(va, leaf)) & (PTE_A | PTE_D), 0,
			      "A and D");
		ok(r, "%d levels, %s, %s: not permitted, any level", levels,
		   leaf_name[leaf], kind_name[kind]);

		r = true;
		for (int l = levels; l >= leaf; l--) {
			setup_page(nr_levels, leaf);
			poke(entry(va, l), peek(entry(va, l)) | 1ull << 45);
			access(kind, va);
			r &= faulted(kind, va, PF_P | PF_U | PF_RSVD | TPT_PF_TPT);
		}
		ok(r, "%d levels, %s, %s: reserved bit, any level", levels,
		   leaf_name[leaf], kind_name[kind]);
	}
}

static void test_pkey(void)
{
	u64 va, pa;
	u32 r[4];
	bool pass;

	cpuid(7, r);
	if (!(r[2] & 1 << 3)) {
		ok(true, "protection key # SKIP no PKU");
		return;
	}
	/* The PKRU of the host is the guest's */
	asm volatile("movq %0, %%cr4" : : "r"((u64)CR4_PAE | CR4_PKE));
	asm volatile("wrpkru" : : "a"(1 << 4 | 2 << 6), "c"(0), "d"(0));

	setup_page(4, 1);
	va = test_va(1);
	pa = test_pa(1);
	poke(pa, LOADED);
	vmcb.cr4 |= CR4_PKE;
	map(va, pa, 1, PTE_P | PTE_W | PTE_U | PTE_PKEY(2));
	access(LOAD, va);
	pass = faulted(LOAD, va, PF_P | PF_U | PF_PK | TPT_PF_TPT);
	map(va, pa, 1, PTE_P | PTE_W | PTE_U | PTE_PKEY(3));
	access(STORE, va);
	pass &= faulted(STORE, va, PF_P | PF_U | PF_PK | TPT_PF_TPT);
	access(LOAD, va);
	pass &= done(LOAD, va, pa);
	ok(pass, "protection keys");

	asm volatile("wrpkru" : : "a"(0), "c"(0), "d"(0));
	asm volatile("movq %0, %%cr4" : : "r"((u64)CR4_PAE));
}

/*
 * TPT maps a page of low memory elsewhere, so that it can be seen which
 * table an access walked.
 */
#define LOW_VA	(DATA_BASE + 0x10000)
#define LOW_TPT	(DATA_BASE + 0x20000)
#define LOW_TPT2 (DATA_BASE + 0x30000)

static void setup_low(void *code, void *sys)
{
	setup(4);
	map(LOW_VA, LOW_TPT, 1, PTE_P | PTE_W | PTE_U);
	rmp_set(LOW_TPT, OWN);
	poke(LOW_VA, 0xc3);
	poke(LOW_TPT, 0x791);
	poke(LOW_TPT2, 0x792);
	vmcb.rip = (u64)code;
	regs.rdi = LOW_VA;
	wrmsr(MSR_LSTAR, (u64)sys);
}

static void test_in_force(void)
{
	bool r;

	setup_low(g_load, NULL);
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(vmcb.rax, 0x791, "loaded");
	ok(r, "tag and valid TPT_CR3: TPT");

	setup_low(g_load, NULL);
	vmcb.tpt_tag = 0;
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(vmcb.rax, 0xc3, "loaded");
	ok(r, "tag 0: CR3");

	setup_low(g_load, NULL);
	vmcb.tpt_cr3 &= ~TPT_CR3_VALID;
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(vmcb.rax, 0xc3, "loaded");
	ok(r, "TPT_CR3 not valid: CR3");

	setup_low(g_mix, g_mix_sys);
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(regs.r8, 0x791, "user") &
	     check_eq(regs.r9, 0xc3, "supervisor") &
	     check_eq(regs.r10, 0x791, "user again");
	ok(r, "supervisor accesses walk CR3");

	/* The host is not in guest mode, and has another address space */
	r = check_eq(peek(LOW_VA), 0xc3, "host");
	vmcb.rip = (u64)g_mix;
	vmcb.tpt_tag = 0;
	vm_run();
	r &= check_eq(regs.r8, 0xc3, "next VMRUN, tag 0");
	ok(r, "nothing of TPT is left after #VMEXIT");

	/* The GDT is not in the TPT table */
	setup(4);
	vmcb.rip = (u64)g_segload;
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(vmcb.ds.selector, 0x23, "ds");
	ok(r, "implicit supervisor accesses at CPL 3 walk CR3");

	/* 32-bit code in long mode */
	setup_low(g_load32, NULL);
	vmcb.cs.selector = 0x1b;
	vmcb.cs.attrib = 0xcfb;
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(vmcb.rax, 0x791, "loaded");
	ok(r, "compatibility mode: TPT");

	/* Nested paging off: not in force */
	setup_low(g_load, NULL);
	vmcb.nested_ctl = 0;
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(vmcb.rax, 0xc3, "loaded");
	ok(r, "no nested paging: CR3");

	/* A hole in the nested table does not matter to TPT, but to CR3 */
	setup(4);
	map(LOW_VA, HOLE_BASE, 1, PTE_P | PTE_W | PTE_U);
	rmp_set(HOLE_BASE, OWN);
	poke(HOLE_BASE, LOADED);
	npt_hole(true);
	access(LOAD, LOW_VA);
	r = done(LOAD, LOW_VA, HOLE_BASE);
	vmcb.tpt_tag = 0;
	access(LOAD, HOLE_BASE);
	r &= check_eq(vmcb.exit_code, SVM_EXIT_NPF, "exit code") &
	     check_eq(vmcb.exit_info_2, HOLE_BASE, "info_2");
	npt_hole(false);
	ok(r, "TPT does not walk the nested table");
}

static void test_wrmsr_flush(void)
{
	u64 first, flags = PTE_P | PTE_W | PTE_U;
	bool r;

	/* Another root */
	setup_low(g_mix, g_wrmsr_sys);
	first = root;
	root = new_table();
	map((u64)guest_start, (u64)guest_start, 1, PTE_P | PTE_U);
	map(LOW_VA, LOW_TPT2, 1, flags);
	rmp_set(LOW_TPT2, OWN);
	regs.r15 = MSR_TPT_CR3;
	regs.rsi = root | TPT_CR3_VALID;
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(regs.r8, 0x791, "before") &
	     check_eq(regs.r10, 0x792, "after") &
	     check_eq(vmcb.tpt_cr3, root | TPT_CR3_VALID, "TPT_CR3");
	ok(r, "WRMSR to TPT_CR3 switches tables");

	/* Off */
	vmcb.tpt_cr3 = first | TPT_CR3_VALID;
	vmcb.rip = (u64)g_mix;
	regs.rsi = 0;
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(regs.r8, 0x791, "before") &
	     check_eq(regs.r10, 0xc3, "after");
	ok(r, "WRMSR to TPT_CR3 turns TPT off");

	/* On */
	vmcb.tpt_cr3 = 0;
	vmcb.rip = (u64)g_mix;
	regs.rsi = root | TPT_CR3_VALID;
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(regs.r8, 0xc3, "before") &
	     check_eq(regs.r10, 0x792, "after");
	ok(r, "WRMSR to TPT_CR3 turns TPT on");
}

static void test_invlpg(void)
{
	u64 va = test_va(2) & ~0x1fffffull;
	u64 flags = PTE_P | PTE_W | PTE_U;
	bool r;

	/*
	 * One INVLPG drops all of a large leaf, also what was cached of it
	 * in smaller pieces.
	 */
	setup(4);
	va = DATA_BASE + 0x200000;		/* mapped by CR3, too */
	map(va, DATA_BASE + 0x400000, 2, flags);
	for (u64 o = 0; o <= 0x200000; o += 0x200000) {
		rmp_set(DATA_BASE + 0x400000 + o, OWN);
		rmp_set(DATA_BASE + 0x405000 + o, OWN);
		poke(DATA_BASE + 0x405000 + o, o + 1);
	}
	vmcb.rip = (u64)g_invlpg;
	wrmsr(MSR_LSTAR, (u64)g_invlpg_sys);
	regs.rdi = va;
	regs.rsi = va + 0x5000;
	regs.rbp = entry(va, 2);
	regs.rdx = (DATA_BASE + 0x600000) | flags | PTE_PS;
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(regs.r9, 1, "before") &
	     check_eq(regs.r10, 0x200001, "after");
	ok(r, "INVLPG drops all of a 2 MiB leaf over 4 KiB blocks");
}

static void test_blocks(int nr_levels, int leaf)
{
	static const u64 sizes[] = { SIZE(4K), SIZE(2M), SIZE(1G),
				     TPT_RMP_SIZE_MASK };
	u64 va, pa;
	bool r = true;

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		setup_page(nr_levels, leaf);
		va = test_va(leaf);
		pa = test_pa(leaf);
		rmp_set(pa, OWN | sizes[i]);
		poke(pa, LOADED);
		access(LOAD, va);
		r &= done(LOAD, va, pa);
		access(STORE, va);
		r &= done(STORE, va, pa);
	}
	ok(r, "%d levels, %s: RMP blocks of any size", levels,
	   leaf_name[leaf]);

	/*
	 * The neighbours, within one run: the first is ours, the second is
	 * foreign, or read-only.
	 */
	setup_page(nr_levels, leaf);
	if (leaf == 1)
		return;
	poke(pa, LOADED);
	poke(pa + 4096, LOADED);
	vmcb.rip = (u64)g_load_store;
	vmcb.rax = STORED;
	regs.rdi = va;
	regs.rsi = va + 4096;
	r = check_eq(vm_run(), SVM_EXIT_TPT, "exit code");
	r &= check_eq(vmcb.exit_info_1, TPT_EXIT_WRITE | WRONG_TAG |
		      (u64)leaf << TPT_EXIT_LEVEL_SHIFT, "info_1");
	r &= check_eq(vmcb.exit_info_2, pa + 4096, "info_2");
	r &= check_eq(vmcb.tpt_exit_gva, va + 4096, "gva");
	r &= check_eq(regs.r8, LOADED, "loaded");
	rmp_set(pa + 4096, TAG);
	r &= check_eq(vm_run(), SVM_EXIT_TPT, "exit code");
	r &= check_eq(vmcb.exit_info_1, TPT_EXIT_WRITE | PERM |
		      (u64)leaf << TPT_EXIT_LEVEL_SHIFT, "info_1");
	r &= check_eq(peek(pa + 4096), LOADED, "data");
	rmp_set(pa + 4096, OWN);
	r &= check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(peek(pa + 4096), STORED, "stored");
	ok(r, "%d levels, %s: splintered over 4 KiB blocks", levels,
	   leaf_name[leaf]);
}

static void test_cached(void)
{
	u64 va, pa;
	bool r;

	/* What is taken away holds at once for what is not cached */
	setup(4);
	va = LOW_VA;
	map(va, LOW_TPT, 1, PTE_P | PTE_U);
	rmp_set(LOW_TPT, TAG);
	vmcb.rip = (u64)g_invlpg;
	wrmsr(MSR_LSTAR, (u64)g_invlpg_sys);
	regs.rdi = regs.rsi = va;
	regs.rbp = RMP_BASE + (root >> 12) * 8;
	regs.rdx = OTHER;
	r = check_eq(vm_run(), SVM_EXIT_TPT, "exit code");
	r &= check_eq(vmcb.exit_info_1, TABLE | WRONG_TAG |
		      4ull << TPT_EXIT_LEVEL_SHIFT, "info_1");
	r &= check_eq(vmcb.tpt_exit_gva, va, "gva");
	ok(r, "a root lost, without a flush");

	/* A load fills the TLB, with D set in the table; then a store */
	setup_page(4, 1);
	va = test_va(1);
	pa = test_pa(1);
	rmp_set(pa, TAG);
	poke(pa, LOADED);
	poke(entry(va, 1), peek(entry(va, 1)) | PTE_A | PTE_D);
	vmcb.rip = (u64)g_load_store;
	vmcb.rax = STORED;
	regs.rdi = regs.rsi = va;
	r = check_eq(vm_run(), SVM_EXIT_TPT, "exit code");
	r &= check_eq(vmcb.exit_info_1, TPT_EXIT_WRITE | PERM |
		      1ull << TPT_EXIT_LEVEL_SHIFT, "info_1");
	r &= check_eq(regs.r8, LOADED, "loaded");
	r &= check_eq(peek(pa), LOADED, "data");
	ok(r, "a translation cached without the right to write");

	/* A right lost, with a flush */
	setup_page(4, 1);
	access(STORE, va);
	r = done(STORE, va, pa);
	poke(pa, LOADED);
	rmp_set(pa, TAG);
	vmcb.tlb_ctl = 1;
	access(STORE, va);
	r &= refused(STORE, va, pa, 1, PERM);
	rmp_set(pa, 0);
	access(LOAD, va);
	r &= refused(LOAD, va, pa, 1, WRONG_TAG);
	r &= check_eq(peek(pa), LOADED, "data");
	ok(r, "a right lost after it was cached");

	/* The VM next door */
	setup_page(4, 1);
	access(STORE, va);
	r = done(STORE, va, pa);
	vmcb.tpt_tag = OTHER;
	vmcb.asid = 2;
	access(LOAD, va);
	r &= check_eq(vmcb.exit_code, SVM_EXIT_TPT, "exit code");
	ok(r, "a translation of another tag");

	/* The bounds */
	setup_page(4, 1);
	access(LOAD, va);
	r = done(LOAD, va, pa);
	wrmsr(MSR_TPT_RMP_END, RMP_BASE + (pa >> 12) / 512 * 4096);
	access(LOAD, va);
	r &= refused(LOAD, va, pa, 1, RANGE);
	wrmsr(MSR_TPT_RMP_END, RMP_BASE);
	access(LOAD, va);
	r &= check_eq(vmcb.exit_code, SVM_EXIT_TPT, "exit code");
	r &= check_eq(vmcb.exit_info_1 & ~TPT_EXIT_LEVEL_MASK,
		      TPT_EXIT_FETCH | TABLE | RANGE, "info_1");
	ok(r, "the bounds of the RMP");
}

static void test_rmp_itself(void)
{
	u64 va, pa;
	bool r = true;

	for (enum kind kind = LOAD; kind <= FETCH; kind++) {
		setup_page(4, 1);
		va = test_va(1);
		pa = RMP_BASE | (va & 0xfff);
		map(va, pa, 1, PTE_P | PTE_W | PTE_U);
		access(kind, va);
		r &= refused(kind, va, pa, 1, WRONG_TAG);
		poke(entry(va, 2), RMP_BASE | PTE_P | PTE_W | PTE_U);
		access(kind, va);
		r &= refused(kind, va, RMP_BASE + (va >> 12 & 511) * 8, 1,
			     TABLE | WRONG_TAG);
	}
	ok(r, "the frames of the RMP, as page and as table");
}

static void test_two_pages(void)
{
	u64 va, pa, a;
	bool r;

	setup_page(4, 1);
	va = test_va(1) & ~0xfffull;
	pa = test_pa(1) & ~0xfffull;
	a = va + 4096 - 4;
	map(va + 4096, DATA_BASE + 0x8000, 1, PTE_P | PTE_W | PTE_U);
	poke(pa + 4096 - 8, 0);
	poke(DATA_BASE + 0x8000, 0);
	access(STORE, a);
	r = check_eq(vmcb.exit_code, SVM_EXIT_TPT, "exit code");
	r &= check_eq(vmcb.exit_info_2, DATA_BASE + 0x8000, "info_2");
	r &= check_eq(vmcb.tpt_exit_gva, va + 4096, "gva");
	r &= check_eq(peek(pa + 4096 - 8), 0, "first page");
	rmp_set(DATA_BASE + 0x8000, OWN);
	r &= check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(peek(pa + 4096 - 8), STORED << 32, "first page");
	ok(r, "a store to two pages, the second foreign");

	/* An instruction in two pages */
	setup_page(4, 1);
	map(va + 4096, DATA_BASE + 0x8000, 1, PTE_P | PTE_W | PTE_U);
	poke(pa + 4096 - 8, VMMCALL << 48);
	poke(DATA_BASE + 0x8000, VMMCALL >> 16);
	access(FETCH, va + 4096 - 2);
	r = check_eq(vmcb.exit_code, SVM_EXIT_TPT, "exit code");
	r &= check_eq(vmcb.exit_info_1, TPT_EXIT_FETCH | WRONG_TAG |
		      1ull << TPT_EXIT_LEVEL_SHIFT, "info_1");
	r &= check_eq(vmcb.tpt_exit_gva, va + 4096, "gva");
	r &= check_eq(vmcb.rip, va + 4096 - 2, "rip");
	rmp_set(DATA_BASE + 0x8000, OWN);
	r &= check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(vmcb.rip, va + 4096 - 2, "rip");
	ok(r, "an instruction in two pages, the second foreign");

	/* A locked read-modify-write is a store from the start */
	setup_page(4, 1);
	va = test_va(1);
	pa = test_pa(1);
	rmp_set(pa, TAG);
	poke(pa, 1);
	vmcb.rip = (u64)g_add;
	vmcb.rax = 2;
	regs.rdi = va;
	r = check_eq(vm_run(), SVM_EXIT_TPT, "exit code");
	r &= check_eq(vmcb.exit_info_1, TPT_EXIT_WRITE | PERM |
		      1ull << TPT_EXIT_LEVEL_SHIFT, "info_1");
	r &= check_eq(vmcb.exit_info_2, pa, "info_2");
	rmp_set(pa, OWN);
	r &= check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(peek(pa), 3, "sum");
	ok(r, "a locked read-modify-write");
}

static void test_delivered_fault(void)
{
	u64 va;
	bool r;

	setup_page(4, 1);
	va = test_va(1);
	poke(entry(va, 1), 0);
	vmcb.intercept_exceptions &= ~(1u << 14);
	vm_gate(14, g_pf_handler);
	r = check_eq(access(STORE, va), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(regs.r8, PF_U | PF_W | TPT_PF_TPT, "error code");
	r &= check_eq(regs.r9, va, "cr2") & check_eq(vmcb.cr2, va, "VMCB cr2");
	r &= check_eq(regs.r10, (u64)g_store, "rip");
	r &= check_eq(vmcb.rip >= (u64)g_pf_handler, true, "in handler");
	ok(r, "the guest handles a fault of the TPT table");

	/* A refusal is not intercepted like an exception, nor seen by it */
	setup_page(4, 1);
	rmp_set(test_pa(1), 0);
	vmcb.intercept_exceptions = 0;
	vmcb.cr2 = 0xdead000;
	access(STORE, va);
	r = refused(STORE, va, test_pa(1), 1, WRONG_TAG);
	r &= check_eq(vmcb.cr2, 0xdead000, "cr2");
	r &= check_eq(vmcb.exit_int_info & EVT_VALID, 0, "exit_int_info");
	ok(r, "a refusal needs no intercept and leaves CR2 alone");

	/* The hypervisor's answer to it */
	vm_gate(14, g_pf_handler);
	vmcb.event_inj = EVT_VALID | EVT_EXC | EVT_ERR | 14;
	vmcb.event_inj_err = PF_U | PF_W | TPT_PF_TPT | TPT_PF_STALE;
	vmcb.cr2 = va;
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(regs.r8, PF_U | PF_W | TPT_PF_TPT | TPT_PF_STALE,
		      "error code");
	r &= check_eq(regs.r9, va, "cr2") &
	     check_eq(regs.r10, (u64)g_store, "rip");
	ok(r, "an injected fault with the STALE bit");
}

void test(void)
{
	u32 r[4];
	bool la57;

	cpuid(0x8000000a, r);
	if (!(r[3] & 1u << TPT_CPUID_SVM_EDX_BIT)) {
		u64 val;

		ok(!rdmsr_safe(MSR_TPT_RMP_BASE, &val) &&
		   !wrmsr_safe(MSR_TPT_RMP_BASE, 0) &&
		   !rdmsr_safe(MSR_TPT_RMP_END, &val) &&
		   !rdmsr_safe(MSR_TPT_CR3, &val) &&
		   !rdmsr_safe(MSR_TPT_STAT_BASE, &val),
		   "without TPT its MSRs raise #GP");
		return;
	}
	cpuid(7, r);
	la57 = r[2] & 1 << 16;

	test_cpuid();
	test_host_msrs();
	test_guest_msrs();
	test_vmrun();
	for (int l = 4; l <= (la57 ? 5 : 4); l++) {
		for (int leaf = 1; leaf <= 3; leaf++) {
			test_walk(l, leaf);
			test_blocks(l, leaf);
		}
	}
	if (!la57)
		ok(true, "5 levels # SKIP no LA57");
	test_pkey();
	test_in_force();
	test_wrmsr_flush();
	test_invlpg();
	test_cached();
	test_rmp_itself();
	test_two_pages();
	test_delivered_fault();
}
