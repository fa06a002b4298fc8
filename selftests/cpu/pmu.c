// SPDX-License-Identifier: GPL-2.0-only
/*
 * The performance counters: that they count what the statistics of the model
 * count, in the modes they are told to, and that their overflow interrupts.
 *
 * Built with -DPMU_OFF for a CPU without them.
 */
#ifdef PMU_OFF
#include "lib.h"

const char test_name[] = "pmu-off";
#else
#include "model.h"

const char test_name[] = "pmu";
#endif

#define MSR_CTL(n)	(0xc0010200 + 2 * (n))
#define MSR_CTR(n)	(0xc0010201 + 2 * (n))
#define MSR_K7_CTL(n)	(0xc0010000 + (n))
#define MSR_K7_CTR(n)	(0xc0010004 + (n))
#define NR_PMC		6

#define EVENT(e, u)	(((e) & 0xffull) | ((e) & 0xf00ull) << 24 | (u) << 8)
#define USR		(1ull << 16)
#define OS		(1ull << 17)
#define EDGE		(1ull << 18)
#define INT		(1ull << 20)
#define EN		(1ull << 22)
#define INV		(1ull << 23)
#define CMASK(n)	((u64)(n) << 24)
#define GUEST_ONLY	(1ull << 40)
#define HOST_ONLY	(1ull << 41)

#define CYCLES		EVENT(0x76, 0)
#define INSNS		EVENT(0xc0, 0)
#define BRANCHES	EVENT(0xc2, 0)
#define LOADS		EVENT(0x29, 1)
#define STORES		EVENT(0x29, 2)
#define LOAD_STORES	EVENT(0x29, 4)

#define CTR_MASK	((1ull << 48) - 1)

#define EFER_SVME	(1ull << 12)
#define CR4_PCE		(1u << 8)
#define INTERCEPT_RDPMC	(1u << 15)
#define SVM_EXIT_RDPMC	0x06f

#define APIC_EOI	0xfee000b0ul
#define APIC_SVR	0xfee000f0ul
#define APIC_LVTT	0xfee00320ul
#define APIC_LVTPC	0xfee00340ul
#define APIC_TICR	0xfee00380ul
#define APIC_TDCR	0xfee003e0ul
#define APIC_NMI	0x400
#define APIC_MASKED	0x10000
#define VECTOR		30

/* What it raises is in fixup_vector */
bool rdpmc_safe(u32 index, u64 *val);

/* Guest: RDPMC of rcx; rdi times around a loop of two instructions */
extern char g_rdpmc[], g_far[];

asm(".text\n"
    "rdpmc_safe:\n"
    "	movl	%edi, %ecx\n"
    "	movq	$rdpmc_fixup, fixup_rip\n"
    "	rdpmc\n"
    "	movq	$0, fixup_rip\n"
    "	shlq	$32, %rdx\n"
    "	orq	%rdx, %rax\n"
    "	movq	%rax, (%rsi)\n"
    "	movl	$1, %eax\n"
    "	ret\n"
    "rdpmc_fixup:\n"
    "	xorl	%eax, %eax\n"
    "	ret\n"
    ".section .guest, \"ax\"\n"
    "g_rdpmc:\n"
    "	rdpmc\n"
    "	vmmcall\n"
    "g_far:\n"
    "	decq	%rdi\n"
    "	jnz	g_far\n"
    "	vmmcall\n"
    ".text\n");

static inline void mmio_write(u64 pa, u32 val)
{
	*(volatile u32 *)pa = val;
}

static bool has_perfctr_core(void)
{
	u32 c[4];

	cpuid(0x80000001, c);
	return c[2] & 1 << 23;
}

#ifdef PMU_OFF

/* Writes to the old MSRs have always been ignored, RDPMC has always been #UD */
void test(void)
{
	u64 val = 1;
	bool r;

	ok(!has_perfctr_core(), "CPUID: no PerfCtrExtCore");

	r = true;
	for (unsigned int i = 0; i < 4; i++) {
		r &= wrmsr_safe(MSR_K7_CTL(i), EN | OS | INSNS);
		r &= wrmsr_safe(MSR_K7_CTR(i), 1);
		r &= rdmsr_safe(MSR_K7_CTL(i), &val);
		r &= check_eq(val, 0, "PERF_CTL");
		r &= rdmsr_safe(MSR_K7_CTR(i), &val);
		r &= check_eq(val, 0, "PERF_CTR");
	}
	ok(r, "K7 MSRs: ignored");

	r = !rdpmc_safe(0, &val);
	r &= check_eq(fixup_vector, 6, "vector");
	ok(r, "RDPMC: #UD");
}

#else

/*
 * Start counter 0 and execute NOPS instructions, MOV and RDMSR, none of which
 * looks at memory.
 */
#define NOPS	100
#define COUNTED	(NOPS + 2)

static __attribute__((noinline)) u64 run_nops(u64 ctl)
{
	u32 lo = ctl, hi = ctl >> 32, msr = MSR_CTL(0);

	asm volatile("wrmsr\n"
		     ".rept %c[nops]; nop; .endr\n"
		     "movl %[ctr], %%ecx\n"
		     "rdmsr\n"
		     : "+a"(lo), "+d"(hi), "+c"(msr)
		     : [nops] "i"(NOPS), [ctr] "i"(MSR_CTR(0))
		     : "memory");
	wrmsr(MSR_CTL(0), 0);
	return lo | (u64)hi << 32;
}

/* The same from 0 */
static u64 count_nops(u64 ctl)
{
	wrmsr(MSR_CTR(0), 0);
	return run_nops(ctl);
}

static __attribute__((noinline)) void loop(u64 n)
{
	asm volatile("1: decq %0; jnz 1b" : "+r"(n));
}

/* Nothing but 500 branches that are taken and one that is not */
static __attribute__((noinline)) u64 count_branches(u64 ctl)
{
	u32 lo = ctl, hi = ctl >> 32, msr = MSR_CTL(0);
	u64 n = 501;

	wrmsr(MSR_CTR(0), 0);
	asm volatile("wrmsr\n"
		     "1: decq %[n]\n"
		     "jnz 1b\n"
		     "movl %[ctr], %%ecx\n"
		     "rdmsr\n"
		     : "+a"(lo), "+d"(hi), "+c"(msr), [n] "+r"(n)
		     : [ctr] "i"(MSR_CTR(0))
		     : "memory");
	wrmsr(MSR_CTL(0), 0);
	return lo | (u64)hi << 32;
}

static void test_branches(void)
{
	bool r = check_eq(count_branches(EN | OS | BRANCHES), 501, "count");

	/* The block is translated already */
	r &= check_eq(count_branches(EN | OS | INSNS), 1002 + 2,
		      "instructions");
	r &= check_eq(count_branches(EN | OS | BRANCHES), 501, "again");
	r &= check_eq(count_branches(EN | USR | BRANCHES), 0, "user");
	ok(r, "branches");

	vm_init(g_mix, 3, 4);
	wrmsr(MSR_LSTAR, (u64)g_mix_sys);
	regs.rdi = DATA_BASE;
	for (unsigned int i = 0; i < 2; i++) {
		wrmsr(MSR_CTR(i), 0);
		wrmsr(MSR_CTL(i), EN | GUEST_ONLY | BRANCHES | (i ? USR : OS));
	}
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(rdmsr(MSR_CTR(0)), 1, "SYSRET");
	r &= check_eq(rdmsr(MSR_CTR(1)), 1, "SYSCALL");
	wrmsr(MSR_CTL(0), 0);
	wrmsr(MSR_CTL(1), 0);
	ok(r, "branches by mode");
}

/* A function that executes an instruction 100 times on mem, and counts */
static u64 mem[4];

#define ACCESS(name, insn)						\
static __attribute__((noinline)) u64 access_##name(u64 ctl)		\
{									\
	u32 lo = ctl, hi = ctl >> 32, msr = MSR_CTL(0);			\
	u64 n = 100, *si = mem, *di = mem + 1;				\
									\
	wrmsr(MSR_CTR(0), 0);						\
	asm volatile("wrmsr\n"						\
		     "1: " insn "\n"					\
		     "decq %[n]\n"					\
		     "jnz 1b\n"						\
		     "movl %[ctr], %%ecx\n"				\
		     "rdmsr\n"						\
		     : "+a"(lo), "+d"(hi), "+c"(msr), [n] "+r"(n),	\
		       "+S"(si), "+D"(di)				\
		     : [ctr] "i"(MSR_CTR(0))				\
		     : "memory");					\
	wrmsr(MSR_CTL(0), 0);						\
	return lo | (u64)hi << 32;					\
}

ACCESS(mov_load, "movq mem, %%rax")
ACCESS(cmp, "cmpq %%rax, mem")
ACCESS(cmp_imm, "cmpq $1, mem")
ACCESS(mov_store, "movq $1, mem")
ACCESS(inc, "incq mem")
ACCESS(lock_add, "lock addq %%rax, mem")
ACCESS(xchg, "xchgq %%rax, mem")
ACCESS(lea, "leaq mem, %%rax")
ACCESS(movs, "movsq; leaq mem, %%rsi; leaq mem+8, %%rdi")
ACCESS(lods, "lodsq; leaq mem, %%rsi")
ACCESS(fild, "fildll mem; fstp %%st(0)")
ACCESS(fnstcw, "fnstcw mem")
ACCESS(nop, "nopl mem")
ACCESS(prefetch, "prefetcht0 mem")

static void test_accesses(void)
{
	static const struct {
		const char *name;
		u64 (*fn)(u64 ctl);
		u64 loads, stores, both;
	} t[] = {
		{ "MOV from memory", access_mov_load, 100, 0, 0 },
		{ "CMP", access_cmp, 100, 0, 0 },
		{ "CMP, immediate", access_cmp_imm, 100, 0, 0 },
		{ "MOV to memory", access_mov_store, 0, 100, 0 },
		{ "INC", access_inc, 0, 0, 100 },
		{ "LOCK ADD", access_lock_add, 0, 0, 100 },
		{ "XCHG", access_xchg, 0, 0, 100 },
		{ "LEA", access_lea, 0, 0, 0 },
		{ "MOVS", access_movs, 100, 100, 0 },
		{ "LODS", access_lods, 100, 0, 0 },
		{ "FILD", access_fild, 100, 0, 0 },
		{ "FNSTCW", access_fnstcw, 0, 100, 0 },
		{ "NOP", access_nop, 0, 0, 0 },
		{ "PREFETCH", access_prefetch, 0, 0, 0 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(t); i++) {
		bool r = check_eq(t[i].fn(EN | OS | LOADS), t[i].loads, "loads");

		r &= check_eq(t[i].fn(EN | OS | STORES), t[i].stores, "stores");
		r &= check_eq(t[i].fn(EN | OS | LOAD_STORES), t[i].both, "both");
		r &= check_eq(t[i].fn(EN | OS | LOADS | STORES | LOAD_STORES),
			      t[i].loads + t[i].stores + t[i].both, "sum");
		r &= check_eq(t[i].fn(EN | USR | LOADS | STORES | LOAD_STORES), 0,
			      "user");
		ok(r, "accesses: %s", t[i].name);
	}
}

static void test_registers(void)
{
	u64 val, all = EN | USR | OS | EVENT(0xfff, 0xff) | GUEST_ONLY |
		       HOST_ONLY | INT | EDGE | INV | CMASK(0xff);
	bool r = true;

	ok(has_perfctr_core(), "CPUID: PerfCtrExtCore");

	for (unsigned int i = 0; i < NR_PMC; i++) {
		r &= check_eq(rdmsr(MSR_CTL(i)), 0, "PERF_CTL");
		r &= check_eq(rdmsr(MSR_CTR(i)), 0, "PERF_CTR");
	}
	ok(r, "reset: 0");

	r = true;
	for (unsigned int i = 0; i < NR_PMC; i++) {
		wrmsr(MSR_CTL(i), ~EN);
		r &= check_eq(rdmsr(MSR_CTL(i)), all & ~EN, "PERF_CTL");
		wrmsr(MSR_CTL(i), i);
		wrmsr(MSR_CTR(i), ~0ull << 8 | i);
		val = rdmsr(MSR_CTR(i));
		r &= check_eq(val, (~0ull << 8 | i) & CTR_MASK, "PERF_CTR");
	}
	for (unsigned int i = 0; i < 4; i++) {
		r &= check_eq(rdmsr(MSR_K7_CTL(i)), i, "old PERF_CTL");
		val = rdmsr(MSR_K7_CTR(i));
		r &= check_eq(val, (~0ull << 8 | i) & CTR_MASK, "old PERF_CTR");
		wrmsr(MSR_K7_CTL(i), i + 1);
		r &= check_eq(rdmsr(MSR_CTL(i)), i + 1, "PERF_CTL");
		wrmsr(MSR_K7_CTR(i), i + 2);
		r &= check_eq(rdmsr(MSR_CTR(i)), i + 2, "PERF_CTR");
	}
	for (unsigned int i = 0; i < NR_PMC; i++) {
		wrmsr(MSR_CTL(i), 0);
		wrmsr(MSR_CTR(i), 0);
	}
	ok(r, "MSRs: 48 bits, the first four have two names");
}

static void test_exact(void)
{
	static const struct {
		u64 ctl;
		u64 count;
		const char *name;
	} t[] = {
		{ EN | OS | INSNS, COUNTED, "instructions" },
		{ EN | OS | CYCLES, COUNTED, "cycles" },
		{ EN | OS | USR | INSNS, COUNTED, "both modes" },
		{ EN | OS | INSNS | 0xab00, COUNTED, "any unit mask" },
		{ EN | OS | INSNS | HOST_ONLY, COUNTED, "host" },
		{ EN | OS | INSNS | HOST_ONLY | GUEST_ONLY, COUNTED,
		  "host and guest" },
		{ EN | OS | INSNS | GUEST_ONLY, 0, "not guest" },
		{ EN | USR | INSNS, 0, "not user" },
		{ EN | INSNS, 0, "no mode" },
		{ OS | INSNS, 0, "not enabled" },
		{ EN | OS | INSNS | CMASK(1), 0, "CNTMASK" },
		{ EN | OS | INSNS | INV, 0, "INV" },
		{ EN | OS | INSNS | EDGE, 0, "EDGE" },
		{ EN | OS | EVENT(0x084, 0), 0, "ITLB misses" },
		{ EN | OS | EVENT(0xfff, 0xff), 0, "unknown event" },
		{ EN | OS | EVENT(0x1c0, 0), 0, "another unknown event" },
	};
	u64 val;
	bool r;

	for (unsigned int i = 0; i < ARRAY_SIZE(t); i++)
		ok(check_eq(count_nops(t[i].ctl), t[i].count, "count"),
		   "%u instructions: %s", COUNTED, t[i].name);

	wrmsr(MSR_CTR(0), 1000);
	r = check_eq(run_nops(EN | OS | INSNS), 1000 + COUNTED, "from 1000");
	val = rdmsr(MSR_CTR(0));
	r &= check_eq(run_nops(EN | OS | INSNS), val + COUNTED, "and on");
	ok(r, "stopped and started");

	wrmsr(MSR_CTR(0), CTR_MASK - 9);
	r = check_eq(run_nops(EN | OS | INSNS), COUNTED - 10, "count");
	ok(r, "wrap");

	/* With SVM off the bits for host and guest mean nothing */
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
	r = check_eq(count_nops(EN | OS | INSNS | GUEST_ONLY), COUNTED,
		     "guest only");
	r &= check_eq(count_nops(EN | OS | INSNS | HOST_ONLY), COUNTED,
		      "host only");
	wrmsr(MSR_CTL(0), EN | OS | INSNS | GUEST_ONLY);
	wrmsr(MSR_CTR(0), 0);
	loop(500);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	loop(500);
	if (rdmsr(MSR_CTR(0)) < 1000 || rdmsr(MSR_CTR(0)) > 1050) {
		diag("count when EFER.SVME changes: %lu", rdmsr(MSR_CTR(0)));
		r = false;
	}
	wrmsr(MSR_CTL(0), 0);
	ok(r, "EFER.SVME");
}

/* Write it while it counts */
static void test_write(void)
{
	u64 a, b;
	bool r;

	wrmsr(MSR_CTL(1), EN | OS | INSNS);
	wrmsr(MSR_CTR(1), 5000);
	a = rdmsr(MSR_CTR(1));
	b = rdmsr(MSR_CTR(1));
	r = a > 5000 && a < 5010 && b > a && b < a + 10;
	diag("5000, then %lu, then %lu", a, b);
	wrmsr(MSR_CTL(1), OS | INSNS);
	a = rdmsr(MSR_CTR(1));
	loop(100);
	r &= check_eq(rdmsr(MSR_CTR(1)), a, "stopped");
	wrmsr(MSR_CTL(1), 0);
	ok(r, "write while it counts");
}

/* The model's counters */

static const struct {
	u64 event;
	int stat[2];		/* whose sum it is; -1: none */
	const char *name;
} events[] = {
	{ EVENT(0x45, 0x0f), { TPT_STAT_L2_HITS, -1 }, "L2 DTLB hits" },
	{ EVENT(0x45, 0xf0), { TPT_STAT_WALKS, -1 }, "L2 DTLB misses" },
	{ EVENT(0x45, 0xff), { TPT_STAT_L1_MISSES, -1 }, "L1 DTLB misses" },
	{ EVENT(0x46, 0x03), { TPT_STAT_WALKS, TPT_STAT_WALK_FAULTS },
	  "table walks for data" },
	{ EVENT(0x46, 0x0c), { -1, -1 }, "table walks for code" },
	{ EVENT(0x84, 0), { -1, -1 }, "L1 ITLB misses" },
	{ EVENT(0x85, 7), { -1, -1 }, "L2 ITLB misses" },
	{ EVENT(0xf80, 1), { TPT_STAT_WALK_CYCLES, -1 }, "walk cycles" },
	{ EVENT(0xf81, 1), { TPT_STAT_REFS_GUEST, -1 }, "guest references" },
	{ EVENT(0xf81, 2), { TPT_STAT_REFS_HOST, -1 }, "host references" },
	{ EVENT(0xf81, 4), { TPT_STAT_REFS_TPT, -1 }, "TPT references" },
	{ EVENT(0xf81, 8), { TPT_STAT_REFS_RMP, -1 }, "RMP checks" },
	{ EVENT(0xf81, 3), { TPT_STAT_REFS_GUEST, TPT_STAT_REFS_HOST },
	  "two kinds of references" },
	{ EVENT(0xf82, 1), { TPT_STAT_WALKS, -1 }, "walks" },
	{ EVENT(0xf82, 2), { TPT_STAT_TPT_WALKS, -1 }, "TPT walks" },
	{ EVENT(0xf82, 4), { TPT_STAT_WALK_FAULTS, -1 }, "faults" },
	{ EVENT(0xf84, 1), { TPT_STAT_DATA_CYCLES, -1 }, "data cycles" },
};

#define EVICT		0x61c000000000ull	/* 4 KiB pages */
#define EVICT_2M	0x62c000000000ull
#define TPT_VA		0x51c012345678ull
#define NR_PAGES	200

static u64 tpt_root;

static void workload_init(void)
{
	u64 first;

	for (u64 i = 0; i < NR_PAGES; i++)
		map(read_cr3(), 4, EVICT + i * 4096, DATA_BASE + i * 4096, 1,
		    RWU);
	for (u64 i = 0; i < 8; i++)
		map(read_cr3(), 4, EVICT_2M + (i << 21), DATA_BASE + (i << 21),
		    2, RWU);

	wrmsr(MSR_TPT_RMP_BASE, RMP_BASE);
	wrmsr(MSR_TPT_RMP_END, RMP_END);
	first = pool;
	tpt_root = new_page();
	for (u64 a = (u64)guest_start; a < (u64)guest_end; a += 4096) {
		map(tpt_root, 4, a, a, 1, PTE_P | PTE_U);
		rmp_set(a, TAG);
	}
	map(tpt_root, 4, TPT_VA, DATA_BASE | (TPT_VA & 0xfff), 1, RWU);
	rmp_set(DATA_BASE, OWN);
	for (u64 a = first; a < pool; a += 4096)
		rmp_set(a, OWN);
}

/* Hits and misses of all kinds, and faults, in three of the four modes */
static void workload(void)
{
	for (u64 j = 0; j < 2; j++) {
		for (u64 i = 0; i < NR_PAGES; i++)
			peek(EVICT + i * 4096);
		for (u64 i = 0; i < 8; i++)
			peek(EVICT_2M + (i << 21) + j * 4096);
	}
	asm volatile("invlpg (%0)" : : "r"(EVICT) : "memory");
	peek(EVICT);

	/* Nested: user, kernel, user */
	vm_init(g_mix, 3, 4);
	wrmsr(MSR_LSTAR, (u64)g_mix_sys);
	regs.rdi = DATA_BASE + 0x400000;
	vmcb.tlb_ctl = 1;
	vm_run();

	/* TPT, and a fault */
	vm_init(g_load, 3, 4);
	vmcb.tpt_tag = TAG;
	vmcb.tpt_cr3 = tpt_root | TPT_CR3_VALID;
	regs.rdi = TPT_VA;
	vm_run();
	vmcb.rip = (u64)g_load;
	regs.rdi = TPT_VA + 0x1000;
	vm_run();
}

/* In the order of the banks; then all of them */
static const u64 filters[TPT_STAT_BANK_ALL + 1] = {
	[TPT_STAT_BANK_HOST_KERNEL] = OS | HOST_ONLY,
	[TPT_STAT_BANK_HOST_USER] = USR | HOST_ONLY,
	[TPT_STAT_BANK_GUEST_KERNEL] = OS | GUEST_ONLY,
	[TPT_STAT_BANK_GUEST_USER] = USR | GUEST_ONLY,
	[TPT_STAT_BANK_ALL] = USR | OS,
};

static u64 pmc_start[NR_PMC], pmc_delta[NR_PMC];

static __attribute__((noinline)) void pmc_read_all(u64 *val)
{
	for (unsigned int i = 0; i < NR_PMC; i++)
		val[i] = rdmsr(MSR_CTR(i));
}

/* Run the workload; leave in delta and pmc_delta what has been counted */
static __attribute__((noinline)) void measure(void)
{
	/* What is kept was read without misses */
	for (int i = 0; i < 2; i++) {
		pmc_read_all(pmc_delta);
		pmc_read_all(pmc_start);
		start_counts();
		pmc_read_all(pmc_start);
	}
	workload();
	stop_counts();
	pmc_read_all(pmc_delta);
	for (unsigned int i = 0; i < NR_PMC; i++)
		pmc_delta[i] = (pmc_delta[i] - pmc_start[i]) & CTR_MASK;
}

static u64 stat_sum(unsigned int bank, const int *idx)
{
	u64 sum = 0;

	for (unsigned int b = 0; b < TPT_STAT_BANK_ALL; b++)
		for (int i = 0; i < 2; i++)
			if ((bank == TPT_STAT_BANK_ALL || bank == b) &&
			    idx[i] >= 0)
				sum += delta.stat[b][idx[i]];
	return sum;
}

static void test_model(void)
{
	static const char * const bank_name[] = {
		"host kernel", "host user", "guest kernel", "guest user", "all",
	};

	for (int pass = 0; pass < 2; pass++)
		workload();
	for (unsigned int e = 0; e < ARRAY_SIZE(events); e++) {
		bool r = true;

		for (unsigned int b = 0; b <= TPT_STAT_BANK_ALL; b++)
			wrmsr(MSR_CTL(b), EN | filters[b] | events[e].event);
		wrmsr(MSR_CTL(5), 0);
		measure();
		for (unsigned int b = 0; b <= TPT_STAT_BANK_ALL; b++)
			r &= check_eq(pmc_delta[b],
				      stat_sum(b, events[e].stat),
				      bank_name[b]);
		/* Something must have happened to compare */
		if (events[e].stat[0] >= 0 && !pmc_delta[TPT_STAT_BANK_ALL]) {
			diag("nothing counted");
			r = false;
		}
		ok(r, "%s: %lu as in the statistics", events[e].name,
		   pmc_delta[TPT_STAT_BANK_ALL]);
	}
	for (unsigned int i = 0; i < NR_PMC; i++)
		wrmsr(MSR_CTL(i), 0);
}

static void test_page_size(void)
{
	u64 hit4, hit2, walk4, walk2;
	bool r;

	wrmsr(MSR_CTL(0), EN | OS | HOST_ONLY | EVENT(0x45, 0x01));
	wrmsr(MSR_CTL(1), EN | OS | HOST_ONLY | EVENT(0x45, 0x04));
	wrmsr(MSR_CTL(2), EN | OS | HOST_ONLY | EVENT(0x45, 0x10));
	wrmsr(MSR_CTL(3), EN | OS | HOST_ONLY | EVENT(0x45, 0x40));
	wrmsr(MSR_CTL(4), EN | OS | HOST_ONLY | EVENT(0x45, 0x8a));
	measure();
	hit4 = pmc_delta[0];
	hit2 = pmc_delta[1];
	walk4 = pmc_delta[2];
	walk2 = pmc_delta[3];
	r = check_eq(hit4 + hit2,
		     delta.stat[TPT_STAT_BANK_HOST_KERNEL][TPT_STAT_L2_HITS],
		     "hits");
	r &= check_eq(walk4 + walk2,
		      delta.stat[TPT_STAT_BANK_HOST_KERNEL][TPT_STAT_WALKS],
		      "walks");
	/* The last VMRUN before has emptied it; then INVLPG */
	r &= check_eq(walk4, NR_PAGES + 1, "walks, 4 KiB");
	r &= check_eq(pmc_delta[4], 0, "1 GiB and coalesced");
	if (hit4 < NR_PAGES / 2 || hit2 < 8 || walk2 < 8) {
		diag("4 KiB: %lu hits, 2 MiB: %lu hits, %lu walks", hit4, hit2,
		     walk2);
		r = false;
	}
	for (unsigned int i = 0; i < NR_PMC; i++)
		wrmsr(MSR_CTL(i), 0);
	ok(r, "L1 DTLB misses by page size");
}

/* Cycles are instructions and stalls, mode by mode */
static void test_cycles(void)
{
	u64 insns[TPT_STAT_BANK_ALL];
	bool r = true;

	/* All banks have one offset, that of reading the counters: twice */
	wrmsr(MSR_CTL(4), EN | USR | OS | CYCLES);
	wrmsr(MSR_CTL(5), EN | USR | OS | INSNS);
	for (unsigned int b = 0; b < TPT_STAT_BANK_ALL; b++)
		wrmsr(MSR_CTL(b), EN | filters[b] | INSNS);
	for (int pass = 0; pass < 3; pass++)
		measure();
	for (unsigned int b = 0; b < TPT_STAT_BANK_ALL; b++)
		insns[b] = pmc_delta[b];

	/* stop_counts() is between the readings of the statistics */
	r &= check_eq(insns[TPT_STAT_BANK_HOST_USER], 0, "host user");
	r &= check_eq(insns[TPT_STAT_BANK_GUEST_KERNEL], 2, "guest kernel");
	/* g_mix: 3; g_load: 1; the last one faults */
	r &= check_eq(insns[TPT_STAT_BANK_GUEST_USER], 4, "guest user");
	r &= check_eq(insns[TPT_STAT_BANK_HOST_KERNEL] + 6, pmc_delta[5],
		      "all instructions");
	ok(r, "instructions by mode");

	for (unsigned int b = 0; b < TPT_STAT_BANK_ALL; b++)
		wrmsr(MSR_CTL(b), EN | filters[b] | CYCLES);
	for (int pass = 0; pass < 3; pass++)
		measure();
	r = true;
	for (unsigned int b = 0; b < TPT_STAT_BANK_ALL; b++) {
		const u64 *s = delta.stat[b];
		u64 cycles = insns[b] + s[TPT_STAT_WALK_CYCLES] +
			     s[TPT_STAT_DATA_CYCLES] + s[TPT_STAT_L2_HITS] * 7;

		if (b == TPT_STAT_BANK_HOST_KERNEL)
			cycles += delta.all[TPT_STAT_ALL_SWITCH_CYCLES];
		r &= check_eq(pmc_delta[b], cycles, "cycles");
	}
	r &= check_eq(pmc_delta[4],
		      pmc_delta[0] + pmc_delta[1] + pmc_delta[2] + pmc_delta[3],
		      "sum of the cycles");
	ok(r, "cycles by mode");

	wrmsr(MSR_CTL(0), EN | OS | EVENT(0xf83, 1));
	wrmsr(MSR_CTL(1), EN | OS | EVENT(0xf83, 2));
	wrmsr(MSR_CTL(2), EN | OS | EVENT(0xf83, 3));
	wrmsr(MSR_CTL(3), EN | OS | USR | GUEST_ONLY | EVENT(0xf83, 3));
	measure();
	r = check_eq(pmc_delta[0], 3, "VMRUN");
	r &= check_eq(pmc_delta[1], 3, "#VMEXIT");
	r &= check_eq(pmc_delta[1], delta.all[TPT_STAT_ALL_EXITS], "exits");
	r &= check_eq(pmc_delta[2], 6, "both");
	r &= check_eq(pmc_delta[3], 0, "guest");
	for (unsigned int i = 0; i < NR_PMC; i++)
		wrmsr(MSR_CTL(i), 0);
	ok(r, "world switches");
}

/* Read two MSRs, one directly after the other */
static __attribute__((noinline)) void read_pair(u32 msr, u32 msr2, u64 *val)
{
	u32 lo, hi, lo2, hi2;

	asm volatile("rdmsr\n"
		     "movl %%eax, %[lo]\n"
		     "movl %%edx, %[hi]\n"
		     "movl %[msr2], %%ecx\n"
		     "rdmsr\n"
		     : "=&a"(lo2), "=&d"(hi2), [lo] "=&r"(lo), [hi] "=&r"(hi),
		       "+c"(msr)
		     : [msr2] "r"(msr2));
	val[0] = lo | (u64)hi << 32;
	val[1] = lo2 | (u64)hi2 << 32;
}

/* One counter against the model's own sum, to the last cycle */
static void test_total(void)
{
	for (int cycles = 0; cycles < 2; cycles++) {
		u32 msr = MSR_TPT_STAT(TPT_STAT_BANK_ALL,
				       cycles ? TPT_STAT_ALL_CYCLES :
						TPT_STAT_ALL_INSTRUCTIONS);
		u64 a[2], b[2];

		wrmsr(MSR_CTL(0), EN | USR | OS | (cycles ? CYCLES : INSNS));
		read_pair(msr, MSR_CTR(0), a);
		workload();
		read_pair(msr, MSR_CTR(0), b);
		wrmsr(MSR_CTL(0), 0);
		ok(check_eq(b[1] - a[1], b[0] - a[0], "counter"),
		   "total of %s: %lu", cycles ? "cycles" : "instructions",
		   b[1] - a[1]);
	}
}

/* Interrupts */

static void arm(u64 event, u64 left, u32 lvtpc)
{
	host_events = 0;
	host_vector = 0;
	mmio_write(APIC_LVTPC, lvtpc);
	wrmsr(MSR_CTR(0), -left);
	wrmsr(MSR_CTL(0), EN | INT | event);
}

static void disarm(void)
{
	wrmsr(MSR_CTL(0), 0);
	mmio_write(APIC_LVTPC, APIC_MASKED);
}

static void test_nmi(void)
{
	static const struct {
		u64 event;
		u64 left;
		const char *name;
	} t[] = {
		{ OS | INSNS, 100000, "instructions" },
		{ OS | USR | CYCLES, 100000, "cycles" },
		{ OS | BRANCHES, 50000, "branches" },
	};
	bool r;

	mmio_write(APIC_SVR, 0x1ff);
	for (unsigned int i = 0; i < ARRAY_SIZE(t); i++) {
		arm(t[i].event, t[i].left, APIC_NMI);
		loop(48000);
		r = check_eq(host_events, 0, "too early");
		loop(4000);
		r &= check_eq(host_events, 1, "NMIs");
		r &= check_eq(host_vector, 2, "vector");
		r &= check_eq(rdmsr(MSR_CTL(0)), EN | INT | t[i].event, "ctl");
		loop(1000000);
		r &= check_eq(host_events, 1, "NMIs after a while");

		/* Nothing is masked by it */
		wrmsr(MSR_CTR(0), -1000ull);
		loop(2000);
		r &= check_eq(host_events, 2, "NMIs the second time");
		disarm();
		ok(r, "NMI: %s", t[i].name);
	}

	arm(OS | INSNS, 1000, APIC_NMI | APIC_MASKED);
	loop(2000);
	r = check_eq(host_events, 0, "NMIs");
	r &= rdmsr(MSR_CTR(0)) < 100000;
	disarm();
	ok(r, "LVTPC masked");

	arm(OS | INSNS, 1000, APIC_NMI);
	wrmsr(MSR_CTL(0), EN | OS | INSNS);
	loop(2000);
	r = check_eq(host_events, 0, "NMIs");
	disarm();
	ok(r, "not without INT");

	arm(USR | INSNS, 1000, APIC_NMI);
	loop(2000);
	r = check_eq(host_events, 0, "NMIs");
	wrmsr(MSR_CTL(0), EN | INT | OS | INSNS);
	loop(2000);
	r &= check_eq(host_events, 1, "NMIs");
	disarm();
	ok(r, "not in another mode");

	arm(OS | INSNS, 1000, VECTOR);
	loop(2000);
	r = check_eq(host_events, 0, "interrupts with IF clear");
	asm volatile("sti; nop; nop; cli");
	r &= check_eq(host_events, 1, "interrupts");
	r &= check_eq(host_vector, VECTOR, "vector");
	mmio_write(APIC_EOI, 0);
	disarm();
	ok(r, "fixed interrupt");
}

static void test_nmi_model(void)
{
	bool r;

	arm(OS | EVENT(0xf82, 1), 3, APIC_NMI);
	for (int i = 0; i < 4; i++) {
		r = check_eq(host_events, i >= 3, "NMIs");
		asm volatile("invlpg (%0)" : : "r"(EVICT) : "memory");
		peek(EVICT);
		loop(10);
		if (!r)
			break;
	}
	disarm();
	ok(r, "NMI: the third walk");

	arm(OS | EVENT(0xf83, 2), 2, APIC_NMI);
	for (int i = 0; i < 2; i++) {
		r &= check_eq(host_events, 0, "NMIs");
		vm_init(g_vmmcall, 0, 4);
		vm_run();
	}
	loop(10);
	r &= check_eq(host_events, 1, "NMIs");
	disarm();
	ok(r, "NMI: the second #VMEXIT");
}

static void test_nmi_guest(void)
{
	bool r;

	vm_init(g_far, 3, 4);
	regs.rdi = 100000;
	arm(USR | GUEST_ONLY | INSNS, 1000, APIC_NMI);
	loop(2000);
	r = check_eq(host_events, 0, "NMIs before");
	r &= check_eq(vm_run(), SVM_EXIT_NMI, "exit code");
	r &= check_eq(host_events, 1, "NMIs");
	/* 500 times around, and where the timer found it */
	r &= check_eq(100000 - regs.rdi, 500, "iterations");
	disarm();
	r &= check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	ok(r, "NMI: #VMEXIT");

	/* It waits for a long time, and then counts in short pieces */
	arm(USR | GUEST_ONLY | INSNS, 100, APIC_NMI);
	r = true;
	for (int i = 0; i < 20; i++) {
		vm_init(g_far, 3, 4);
		regs.rdi = 4;
		loop(1000);
		r &= check_eq(host_events, i >= 13, "NMIs");
		vm_run();
		if (!r)
			break;
	}
	disarm();
	ok(r, "NMI: a guest that runs for 8 instructions");
}

/* The timer is for one counter in the host, for another in the guest. */
static void test_nmi_modes(void)
{
	bool r;

	vm_init(g_far, 3, 4);
	regs.rdi = 100000;
	wrmsr(MSR_CTR(1), -(1ull << 40));
	wrmsr(MSR_CTL(1), EN | INT | OS | USR | CYCLES);
	arm(USR | GUEST_ONLY | INSNS, 1000, APIC_NMI);
	loop(2000);
	r = check_eq(host_events, 0, "NMIs before");
	r &= check_eq(vm_run(), SVM_EXIT_NMI, "exit code");
	r &= check_eq(100000 - regs.rdi, 500, "iterations");
	disarm();
	wrmsr(MSR_CTL(1), 0);
	r &= check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	ok(r, "NMI: of a guest, beside a counter of all modes");
}

/* @n times 100 repetitions, each a load and a store */
static void copy(u64 n)
{
	static u64 from[100], to[100];

	asm volatile("1:	mov $100, %%ecx\n"
		     "	lea %[from], %%rsi\n"
		     "	lea %[to], %%rdi\n"
		     "	rep movsq\n"
		     "	dec %[n]\n"
		     "	jnz 1b"
		     : [n] "+r"(n), [to] "=m"(to)
		     : [from] "m"(from)
		     : "rcx", "rsi", "rdi");
}

/* Events that one instruction makes several of */
static void test_nmi_units(void)
{
	bool r;

	arm(OS | LOADS | STORES, 20000, APIC_NMI);
	copy(98);
	r = check_eq(host_events, 0, "NMIs before");
	copy(4);
	r &= check_eq(host_events, 1, "NMIs");
	disarm();
	ok(r, "NMI: loads and stores of MOVS");
}

/* Time passes while the CPU is halted, but not cycles */
static void test_halt(void)
{
	u64 cycles, tsc;
	u32 lo, hi;
	bool r;

	mmio_write(APIC_TDCR, 0xb);
	mmio_write(APIC_LVTT, VECTOR + 1);
	arm(OS | CYCLES, 5000, APIC_NMI);
	mmio_write(APIC_TICR, 1000000);
	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	tsc = lo | (u64)hi << 32;
	asm volatile("sti; hlt; cli");
	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	tsc = (lo | (u64)hi << 32) - tsc;
	cycles = (rdmsr(MSR_CTR(0)) + 5000) & CTR_MASK;
	r = check_eq(host_events, 1, "interrupts");
	r &= check_eq(host_vector, VECTOR + 1, "vector");
	mmio_write(APIC_EOI, 0);
	if (tsc < 900000 || cycles > 2000) {
		diag("%lu ns, %lu cycles", tsc, cycles);
		r = false;
	}
	loop(5000);
	r &= check_eq(host_events, 2, "interrupts after it");
	r &= check_eq(host_vector, 2, "vector");
	disarm();
	ok(r, "halted");
}

/* RDPMC */

static void test_rdpmc(void)
{
	u64 val = 0;
	bool r = true;

	for (unsigned int i = 0; i < NR_PMC; i++) {
		wrmsr(MSR_CTR(i), 0xabcd00000000ull + i);
		r &= rdpmc_safe(i, &val);
		r &= check_eq(val, 0xabcd00000000ull + i, "value");
	}
	r &= !rdpmc_safe(NR_PMC, &val);
	r &= check_eq(fixup_vector, 13, "vector");
	r &= !rdpmc_safe(~0u, &val);
	ok(r, "RDPMC");

	vm_init(g_rdpmc, 3, 4);
	regs.rcx = 1;
	r = check_eq(vm_run(), SVM_EXIT_EXCP + 13, "CPL 3");
	vm_init(g_rdpmc, 0, 4);
	regs.rcx = 1;
	r &= check_eq(vm_run(), SVM_EXIT_VMMCALL, "CPL 0");
	r &= check_eq((u32)vmcb.rax, 1, "eax");
	r &= check_eq(regs.rdx, 0xabcd, "edx");
	ok(r, "RDPMC: CR4.PCE clear");

	vm_init(g_rdpmc, 3, 4);
	vmcb.cr4 |= CR4_PCE;
	regs.rcx = 2;
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq((u32)vmcb.rax, 2, "eax");
	ok(r, "RDPMC: CR4.PCE set");

	vm_init(g_rdpmc, 3, 4);
	vmcb.cr4 |= CR4_PCE;
	vmcb.intercept |= INTERCEPT_RDPMC;
	r = check_eq(vm_run(), SVM_EXIT_RDPMC, "exit code");
	r &= check_eq(vmcb.rip, (u64)g_rdpmc, "rip");
	ok(r, "RDPMC: intercepted");

	for (unsigned int i = 0; i < NR_PMC; i++)
		wrmsr(MSR_CTR(i), 0);
}

static void msr_intercept(u32 msr)
{
	u32 bit = (0x4000 + (msr - 0xc0010000)) * 2;

	msrpm[bit / 8] |= 3 << bit % 8;
}

static void test_msr_intercept(void)
{
	static const u32 msrs[] = { MSR_CTL(0), MSR_CTR(5), MSR_K7_CTL(3) };
	bool r = true;

	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++) {
		vm_init(g_rdmsr, 0, 4);
		regs.rcx = msrs[i];
		r &= check_eq(vm_run(), SVM_EXIT_VMMCALL, "not intercepted");

		vm_init(g_rdmsr, 0, 4);
		msr_intercept(msrs[i]);
		regs.rcx = msrs[i];
		r &= check_eq(vm_run(), SVM_EXIT_MSR, "RDMSR");

		vm_init(g_wrmsr, 0, 4);
		msr_intercept(msrs[i]);
		regs.rcx = msrs[i];
		regs.rdx = 1;
		r &= check_eq(vm_run(), SVM_EXIT_MSR, "WRMSR");
		r &= check_eq(rdmsr(msrs[i]), 0, "value");
	}
	ok(r, "MSRs: intercepted");
}

void test(void)
{
	test_registers();
	test_exact();
	test_branches();
	test_accesses();
	test_write();
	workload_init();
	test_model();
	test_page_size();
	test_cycles();
	test_total();
	test_nmi();
	test_nmi_model();
	test_nmi_guest();
	test_nmi_modes();
	test_nmi_units();
	test_halt();
	test_rdpmc();
	test_msr_intercept();
}

#endif /* !PMU_OFF */
