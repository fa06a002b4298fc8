/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine without an operating system, to test SVM and TPT on: the first
 * 4 GiB mapped one to one, a serial port, TAP, and one VM whose
 * guest-physical addresses are the host's.
 */
#ifndef LIB_H
#define LIB_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <asm-x86/tpt.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Physical memory.  The program itself is at 1 MiB. */
#define POOL_BASE	0x01000000ul	/* page tables that a test makes */
#define POOL_END	0x02000000ul
#define RMP_BASE	0x02000000ul	/* entries for 4 GiB */
#define RMP_END		0x02800000ul
#define HOLE_BASE	0x03000000ul	/* 2 MiB to unmap in the nested table */
#define DATA_BASE	0x04000000ul	/* 4 KiB and 2 MiB leaves */
#define DATA_1G		0x40000000ul	/* 1 GiB leaf */

/* MSRs, CPUID */
#define MSR_EFER		0xc0000080
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_SFMASK		0xc0000084
#define MSR_VM_HSAVE_PA		0xc0010117

#define PTE_P		0x1ull
#define PTE_W		0x2ull
#define PTE_U		0x4ull
#define PTE_A		0x20ull
#define PTE_D		0x40ull
#define PTE_PS		0x80ull
#define PTE_G		0x100ull
#define PTE_PKEY(n)	((u64)(n) << 59)
#define PTE_NX		(1ull << 63)
#define PTE_ADDR	0x000ffffffffff000ull

#define PF_P		0x01
#define PF_W		0x02
#define PF_U		0x04
#define PF_RSVD		0x08
#define PF_I		0x10
#define PF_PK		0x20

#define CR4_PAE		(1u << 5)
#define CR4_LA57	(1u << 12)
#define CR4_PKE		(1u << 22)

#define SVM_EXIT_EXCP	0x040
#define SVM_EXIT_INTR	0x060
#define SVM_EXIT_NMI	0x061
#define SVM_EXIT_VINTR	0x064
#define SVM_EXIT_IRET	0x074
#define SVM_EXIT_MSR	0x07c
#define SVM_EXIT_VMMCALL 0x081
#define SVM_EXIT_NPF	0x400
#define SVM_EXIT_ERR	(~0ull)

#define INTERCEPT_INTR	(1u << 0)
#define INTERCEPT_NMI	(1u << 1)
#define INTERCEPT_VINTR	(1u << 4)
#define INTERCEPT_IRET	(1u << 20)
#define INTERCEPT_MSR	(1u << 28)
#define INTERCEPT2_VMRUN (1u << 0)
#define INTERCEPT2_VMMCALL (1u << 1)

#define V_TPR_MASK	0xfu
#define V_IRQ		(1u << 8)
#define V_INTR_PRIO(n)	((n) << 16)
#define V_IGN_TPR	(1u << 20)
#define V_INTR_MASKING	(1u << 24)

#define EVT_INTR	(0u << 8)
#define EVT_NMI		(2u << 8)
#define EVT_EXC		(3u << 8)
#define EVT_SOFT	(4u << 8)
#define EVT_ERR		(1u << 11)
#define EVT_VALID	(1u << 31)

struct vmcb_seg {
	u16 selector;
	u16 attrib;
	u32 limit;
	u64 base;
};

struct vmcb {
	/* Control area */
	u32 intercept_cr;
	u32 intercept_dr;
	u32 intercept_exceptions;
	u32 intercept;
	u32 intercept2;
	u8 reserved_014[0x40 - 0x14];
	u64 iopm_base_pa;
	u64 msrpm_base_pa;
	u64 tsc_offset;
	u32 asid;
	u8 tlb_ctl;
	u8 reserved_05d[3];
	u32 int_ctl;
	u32 int_vector;
	u32 int_state;
	u32 reserved_06c;
	u64 exit_code;
	u64 exit_info_1;
	u64 exit_info_2;
	u32 exit_int_info;
	u32 exit_int_info_err;
	u64 nested_ctl;
	u8 reserved_098[16];
	u32 event_inj;
	u32 event_inj_err;
	u64 nested_cr3;
	u8 reserved_0b8[TPT_VMCB_TAG - 0xb8];
	u16 tpt_tag;
	u8 reserved_3c2[6];
	u64 tpt_cr3;
	u64 tpt_exit_gva;
	u8 reserved_3d8[0x400 - 0x3d8];
	/* State save area */
	struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	u8 reserved_4a0[0xcb - 0xa0];
	u8 cpl;
	u32 reserved_4cc;
	u64 efer;
	u8 reserved_4d8[0x148 - 0xd8];
	u64 cr4, cr3, cr0, dr7, dr6, rflags, rip;
	u8 reserved_580[0x1d8 - 0x180];
	u64 rsp;
	u8 reserved_5e0[0x1f8 - 0x1e0];
	u64 rax;
	u8 reserved_600[0x240 - 0x200];
	u64 cr2;
	u8 reserved_648[0x268 - 0x248];
	u64 g_pat;
	u8 reserved_670[0x1000 - 0x670];
} __attribute__((packed));

_Static_assert(offsetof(struct vmcb, exit_code) == 0x70, "VMCB");
_Static_assert(offsetof(struct vmcb, nested_cr3) == 0xb0, "VMCB");
_Static_assert(offsetof(struct vmcb, tpt_cr3) == TPT_VMCB_CR3, "VMCB");
_Static_assert(offsetof(struct vmcb, tpt_exit_gva) == TPT_VMCB_EXIT_GVA, "VMCB");
_Static_assert(offsetof(struct vmcb, rip) == 0x578, "VMCB");
_Static_assert(offsetof(struct vmcb, cr2) == 0x640, "VMCB");
_Static_assert(sizeof(struct vmcb) == 0x1000, "VMCB");

/* In the order that vmrun() in start.S knows */
struct regs {
	u64 rbx, rcx, rdx, rsi, rdi, rbp;
	u64 r8, r9, r10, r11, r12, r13, r14, r15;
};

extern struct vmcb vmcb;
extern struct regs regs;
extern u8 msrpm[8192];
extern u64 boot_pml4[], boot_pml5[];

/* start.S */
bool wrmsr_safe(u32 msr, u64 val);
bool rdmsr_safe(u32 msr, u64 *val);

/* What made the last of the functions that are safe return false */
extern u64 fixup_vector;

void vmrun(u64 vmcb_pa, struct regs *regs);

/* guest.S */
#define GUEST(x)	extern char x[]
GUEST(guest_start); GUEST(guest_end);
GUEST(g_load); GUEST(g_store); GUEST(g_add);
GUEST(g_load_store); GUEST(g_vmmcall);
GUEST(g_mix); GUEST(g_mix_sys); GUEST(g_wrmsr_sys);
GUEST(g_invlpg); GUEST(g_invlpg_sys);
GUEST(g_wrmsr); GUEST(g_rdmsr);
GUEST(g_wrmsr_vmmcall); GUEST(g_rdmsr_vmmcall);
GUEST(g_pf_handler); GUEST(g_load32);
GUEST(g_segload);
GUEST(g_event); GUEST(g_event_err); GUEST(g_event_iret);
GUEST(g_sti); GUEST(g_nops); GUEST(g_nops2); GUEST(g_sti_vmmcall);
GUEST(g_cr8); GUEST(g_int);

#define USER_STACK_SIZE	4096
extern u8 user_stack[USER_STACK_SIZE];
extern u8 kernel_stack[4096];

static inline void outb(u16 port, u8 val)
{
	asm volatile("outb %0, %1" : : "a"(val), "Nd"(port));
}

static inline u8 inb(u16 port)
{
	u8 val;

	asm volatile("inb %1, %0" : "=a"(val) : "Nd"(port));
	return val;
}

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return lo | (u64)hi << 32;
}

static inline void wrmsr(u32 msr, u64 val)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)val),
		     "d"((u32)(val >> 32)) : "memory");
}

static inline void cpuid(u32 leaf, u32 *r)
{
	asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
		     : "a"(leaf), "c"(0));
}

/* Memory that the guest or the walker changes */
static inline u64 peek(u64 pa)
{
	return *(volatile u64 *)pa;
}

static inline void poke(u64 pa, u64 val)
{
	*(volatile u64 *)pa = val;
}

/**
 * stat_read() - read a statistics counter of the CPU
 * @bank:	TPT_STAT_BANK_*
 * @idx:	TPT_STAT_*
 */
static inline u64 stat_read(unsigned int bank, unsigned int idx)
{
	return rdmsr(MSR_TPT_STAT(bank, idx));
}

void *memset(void *s, int c, size_t n);
void *memcpy(void *d, const void *s, size_t n);

void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * ok() - report one test, in TAP
 * @cond:	whether it passed
 * @fmt:	its name
 *
 * What the test says with diag() before is shown only if it fails.
 */
void ok(bool cond, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void diag(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** check_eq() - compare, and say what differs; for use inside ok() */
bool check_eq(u64 got, u64 want, const char *what);

/** finish() - print the plan and end the machine; exit status 1 or 3 */
void finish(void) __attribute__((noreturn));

void lib_init(void);

/**
 * vm_init() - a VM that runs @entry
 * @entry:	where
 * @cpl:	0 or 3
 * @levels:	4 or 5, of its page tables
 *
 * All exceptions and VMMCALL are intercepted.
 */
void vm_init(void *entry, int cpl, int levels);

/** vm_run() - run the VM, return the exit code */
u64 vm_run(void);

/* NMIs and interrupts (vectors 29 to 31) of the host: how many, which last */
extern volatile unsigned int host_events, host_vector;

/** vm_gate() - set a gate of the VM's IDT */
void vm_gate(int vector, void *handler);

/** npt_hole() - unmap, or map, the 2 MiB at HOLE_BASE in the nested table */
void npt_hole(bool unmapped);

/* The test program */
void test(void);
extern const char test_name[];

#endif
