/* SPDX-License-Identifier: GPL-2.0-only */
/* What refs.c and caches.c share: page tables, and the CPU's counters */
#ifndef MODEL_H
#define MODEL_H

#include "lib.h"

#define TAG		0x1234ull
#define OWN		(TAG | TPT_RMP_WRITABLE)
#define RWU		(PTE_P | PTE_W | PTE_U)

static u64 pool = POOL_BASE;

static inline u64 new_page(void)
{
	u64 pa = pool;

	if (pool == POOL_END) {
		print("Bail out! the pool is empty\n");
		finish();
	}
	pool += 4096;
	memset((void *)pa, 0, 4096);
	return pa;
}

static inline u64 level_size(int level)
{
	return 1ull << (12 + 9 * (level - 1));
}

/* Map @va to @pa by a leaf of level @leaf; make tables as needed */
static inline void map(u64 root, int levels, u64 va, u64 pa, int leaf,
		       u64 flags)
{
	u64 table = root, e;

	for (int l = levels; ; l--) {
		e = table + (va >> (12 + 9 * (l - 1)) & 511) * 8;
		if (l == leaf)
			break;
		if (!(peek(e) & PTE_P))
			poke(e, new_page() | RWU);
		table = peek(e) & PTE_ADDR;
	}
	poke(e, (pa & -level_size(leaf)) | flags | (leaf > 1 ? PTE_PS : 0));
}

static inline u64 read_cr3(void)
{
	u64 val;

	asm volatile("movq %%cr3, %0" : "=r"(val));
	return val;
}

static inline void write_cr3(u64 val)
{
	asm volatile("movq %0, %%cr3" : : "r"(val) : "memory");
}

static inline int host_levels(void)
{
	u64 cr4;

	asm volatile("movq %%cr4, %0" : "=r"(cr4));
	return cr4 & CR4_LA57 ? 5 : 4;
}

static inline void rmp_set(u64 pa, u64 entry)
{
	poke(RMP_BASE + (pa >> 12) * 8, entry);
}

/* All counters, and the time stamp */
struct counts {
	u64 stat[TPT_STAT_BANK_ALL][TPT_STAT_NR];
	u64 all[TPT_STAT_ALL_NR];
	u64 tsc;
};

static __attribute__((noinline)) void read_counts(struct counts *c)
{
	u32 lo, hi;

	for (int b = 0; b < TPT_STAT_BANK_ALL; b++)
		for (int i = 0; i < TPT_STAT_NR; i++)
			c->stat[b][i] = stat_read(b, i);
	for (int i = 0; i < TPT_STAT_ALL_NR; i++)
		c->all[i] = stat_read(TPT_STAT_BANK_ALL, i);
	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	c->tsc = lo | (u64)hi << 32;
}

static struct counts before, delta;

/*
 * Each is done twice, so that what is kept was read without misses.
 */
static __attribute__((noinline)) void start_counts(void)
{
	read_counts(&before);
	read_counts(&before);
}

static __attribute__((noinline)) void stop_counts(void)
{
	u64 *b = (u64 *)&before, *d = (u64 *)&delta;

	read_counts(&delta);
	read_counts(&delta);
	for (unsigned int i = 0; i < sizeof(delta) / sizeof(u64); i++)
		d[i] -= b[i];
}

/* The counters of one bank, as the last stop_counts() left them */
struct expect {
	u64 l1_misses, l2_hits;
	u64 walks, tpt_walks, faults;
	u64 guest, host, tpt, rmp;
	u64 pwc, ntlb;
};

static inline bool check_counts(unsigned int bank, const struct expect *e)
{
	const u64 *s = delta.stat[bank];
	bool r = check_eq(s[TPT_STAT_L1_MISSES], e->l1_misses, "L1 misses");

	r &= check_eq(s[TPT_STAT_L2_HITS], e->l2_hits, "L2 hits");
	r &= check_eq(s[TPT_STAT_WALKS], e->walks, "walks");
	r &= check_eq(s[TPT_STAT_TPT_WALKS], e->tpt_walks, "TPT walks");
	r &= check_eq(s[TPT_STAT_WALK_FAULTS], e->faults, "faults");
	r &= check_eq(s[TPT_STAT_REFS_GUEST], e->guest, "guest references");
	r &= check_eq(s[TPT_STAT_REFS_HOST], e->host, "host references");
	r &= check_eq(s[TPT_STAT_REFS_TPT], e->tpt, "TPT references");
	r &= check_eq(s[TPT_STAT_REFS_RMP], e->rmp, "RMP references");
	r &= check_eq(s[TPT_STAT_PWC_HITS], e->pwc, "walk cache hits");
	r &= check_eq(s[TPT_STAT_NTLB_HITS], e->ntlb, "nested TLB hits");
	return r;
}

/*
 * The host reads @va, and nothing else that misses: neither data nor code,
 * which is why this is in one place only.
 */
static __attribute__((noinline)) void host_load(u64 va)
{
	start_counts();
	peek(va);
	stop_counts();
}

/* Fill the first level TLB with what host_load() needs */
static inline void warm_up(void)
{
	for (int i = 0; i < 2; i++)
		host_load(POOL_BASE);
}

static __attribute__((noinline, unused)) u64
guest_run(void *code, u64 va, u64 va2)
{
	u64 r;

	vmcb.rip = (u64)code;
	regs.rdi = va;
	regs.rsi = va2;
	start_counts();
	r = vm_run();
	stop_counts();
	return r;
}

#endif
