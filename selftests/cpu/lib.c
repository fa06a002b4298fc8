// SPDX-License-Identifier: GPL-2.0-only
#include "lib.h"

#define PAGE_ALIGNED	__attribute__((aligned(4096)))

struct vmcb vmcb PAGE_ALIGNED;
struct regs regs;
u8 msrpm[8192] PAGE_ALIGNED;
u8 user_stack[USER_STACK_SIZE] PAGE_ALIGNED;
u8 kernel_stack[4096] PAGE_ALIGNED;

static u8 hsave[4096] PAGE_ALIGNED;
static u8 iopm[12288] PAGE_ALIGNED;
static u64 npt_pml4[512] PAGE_ALIGNED;
static u64 npt_pdpt[512] PAGE_ALIGNED;
static u64 npt_pd[4][512] PAGE_ALIGNED;

struct gate {
	u16 offset_0;
	u16 selector;
	u8 ist;
	u8 type;
	u16 offset_16;
	u32 offset_32;
	u32 reserved;
} __attribute__((packed));

static struct gate host_idt[32], guest_idt[256];
static u64 tss[13];

extern u64 gdt[], gdt_end[];
extern char exc_stubs[];
u64 fixup_rip, fixup_vector;
volatile unsigned int host_events, host_vector;

static unsigned int nr_tests, nr_failed;

void *memset(void *s, int c, size_t n)
{
	void *d = s;

	asm volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return s;
}

void *memcpy(void *d, const void *s, size_t n)
{
	void *r = d;

	asm volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
	return r;
}

/* Serial output, printf */

static char diag_buf[2048];
static size_t diag_len;
static bool to_diag;

static void put(char c)
{
	if (to_diag) {
		if (diag_len < sizeof(diag_buf))
			diag_buf[diag_len++] = c;
		return;
	}
	while (!(inb(0x3f8 + 5) & 0x20))
		;
	outb(0x3f8, c);
}

static void put_num(u64 n, unsigned int base, int width)
{
	char buf[24];
	int i = 0;

	do {
		buf[i++] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n || i < width);
	while (i)
		put(buf[--i]);
}

/* %s, %d, %u, %x, %lx, %lu, %c and a width with 0 */
static void vprint(const char *fmt, va_list ap)
{
	for (; *fmt; fmt++) {
		bool is_long = false;
		int width = 0;

		if (*fmt != '%') {
			put(*fmt);
			continue;
		}
		fmt++;
		while (*fmt >= '0' && *fmt <= '9')
			width = width * 10 + *fmt++ - '0';
		if (*fmt == 'l') {
			is_long = true;
			fmt++;
		}
		switch (*fmt) {
		case 's': {
			const char *s = va_arg(ap, const char *);

			while (*s)
				put(*s++);
			break;
		}
		case 'c':
			put(va_arg(ap, int));
			break;
		case 'd': {
			int n = va_arg(ap, int);

			if (n < 0) {
				put('-');
				n = -n;
			}
			put_num(n, 10, width);
			break;
		}
		case 'u':
		case 'x':
			put_num(is_long ? va_arg(ap, u64) : va_arg(ap, u32),
				*fmt == 'u' ? 10 : 16, width);
			break;
		default:
			put(*fmt);
		}
	}
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
}

void diag(const char *fmt, ...)
{
	va_list ap;

	to_diag = true;
	va_start(ap, fmt);
	print("# ");
	vprint(fmt, ap);
	put('\n');
	va_end(ap);
	to_diag = false;
}

void ok(bool cond, const char *fmt, ...)
{
	va_list ap;

	nr_tests++;
	if (!cond) {
		nr_failed++;
		print("not ");
	}
	print("ok %u ", nr_tests);
	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
	put('\n');
	if (!cond) {
		for (size_t i = 0; i < diag_len; i++)
			put(diag_buf[i]);
	}
	diag_len = 0;
}

bool check_eq(u64 got, u64 want, const char *what)
{
	if (got != want)
		diag("%s: 0x%lx, not 0x%lx", what, got, want);
	return got == want;
}

void finish(void)
{
	print("1..%u\n", nr_tests);
	for (;;)
		outb(0xf4, nr_failed ? 1 : 0);
}

/* Exceptions of the host */

struct exc_frame {
	u64 vector, error, rip, cs, rflags, rsp, ss;
};

void exception(struct exc_frame *f);

void exception(struct exc_frame *f)
{
	u64 cr2;

	if (f->vector == 2 || f->vector >= 29) {
		host_events++;
		host_vector = f->vector;
		return;
	}
	if ((f->vector == 13 || f->vector == 6) && fixup_rip) {
		f->rip = fixup_rip;
		fixup_vector = f->vector;
		fixup_rip = 0;
		return;
	}
	asm volatile("movq %%cr2, %0" : "=r"(cr2));
	print("Bail out! exception %lu, error 0x%lx, rip 0x%lx, cr2 0x%lx\n",
	      f->vector, f->error, f->rip, cr2);
	for (;;)
		outb(0xf4, 2);
}

static void set_gate(struct gate *g, u64 handler, int dpl)
{
	*g = (struct gate){
		.offset_0 = handler,
		.selector = 0x08,
		.type = 0x8e | dpl << 5,
		.offset_16 = handler >> 16,
		.offset_32 = handler >> 32,
	};
}

void vm_gate(int vector, void *handler)
{
	set_gate(&guest_idt[vector], (u64)handler, 3);
}

void npt_hole(bool unmapped)
{
	u64 *e = &npt_pd[HOLE_BASE >> 30][(HOLE_BASE >> 21) & 511];

	if (unmapped)
		*e &= ~PTE_P;
	else
		*e |= PTE_P;
}

void lib_init(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) idtr = { sizeof(host_idt) - 1, (u64)host_idt };
	u64 *tss_desc = &gdt[6];
	u64 base = (u64)tss;

	for (unsigned int i = 0; i < ARRAY_SIZE(host_idt); i++)
		set_gate(&host_idt[i], (u64)exc_stubs + i * 16, 0);
	asm volatile("lidt %0" : : "m"(idtr));

	/* Guest and host share the TSS: RSP0 is the guest's */
	*(u64 *)((u8 *)tss + 4) = (u64)kernel_stack + sizeof(kernel_stack);
	tss_desc[0] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 |
		      0x89ull << 40 | (base >> 24 & 0xff) << 56;
	tss_desc[1] = base >> 32;
	asm volatile("ltr %w0" : : "r"(0x30));

	wrmsr(MSR_STAR, 0x1bull << 48 | 0x08ull << 32);
	wrmsr(MSR_SFMASK, 0);
	wrmsr(MSR_VM_HSAVE_PA, (u64)hsave);

	npt_pml4[0] = (u64)npt_pdpt | PTE_P | PTE_W | PTE_U;
	for (u64 i = 0; i < 4; i++) {
		npt_pdpt[i] = (u64)npt_pd[i] | PTE_P | PTE_W | PTE_U;
		for (u64 j = 0; j < 512; j++)
			npt_pd[i][j] = i << 30 | j << 21 |
				       PTE_PS | PTE_P | PTE_W | PTE_U;
	}

	/* 115200 8n1, as far as it matters */
	outb(0x3f8 + 3, 3);
}

void vm_init(void *entry, int cpl, int levels)
{
	struct vmcb_seg code0 = { 0x08, 0xa9b, ~0u, 0 };
	struct vmcb_seg data0 = { 0x10, 0xc93, ~0u, 0 };
	struct vmcb_seg code3 = { 0x2b, 0xafb, ~0u, 0 };
	struct vmcb_seg data3 = { 0x23, 0xcf3, ~0u, 0 };

	memset(&vmcb, 0, sizeof(vmcb));
	memset(&regs, 0, sizeof(regs));
	memset(msrpm, 0, sizeof(msrpm));
	memset(guest_idt, 0, sizeof(guest_idt));

	vmcb.intercept_exceptions = ~0u;
	vmcb.intercept = INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_MSR;
	vmcb.intercept2 = INTERCEPT2_VMRUN | INTERCEPT2_VMMCALL;
	vmcb.iopm_base_pa = (u64)iopm;
	vmcb.msrpm_base_pa = (u64)msrpm;
	vmcb.asid = 1;
	vmcb.nested_ctl = 1;
	vmcb.nested_cr3 = (u64)npt_pml4;
	vmcb.int_ctl = V_INTR_MASKING;

	vmcb.cs = cpl ? code3 : code0;
	vmcb.ss = cpl ? data3 : data0;
	vmcb.ds = vmcb.es = vmcb.ss;
	vmcb.cpl = cpl;
	vmcb.gdtr.base = (u64)gdt;
	vmcb.gdtr.limit = (u64)gdt_end - (u64)gdt - 1;
	vmcb.idtr.base = (u64)guest_idt;
	vmcb.idtr.limit = sizeof(guest_idt) - 1;
	vmcb.efer = rdmsr(MSR_EFER);
	vmcb.cr0 = 0x80010031;
	vmcb.cr3 = (u64)(levels == 5 ? boot_pml5 : boot_pml4);
	vmcb.cr4 = CR4_PAE | (levels == 5 ? CR4_LA57 : 0);
	vmcb.dr6 = 0xffff0ff0;
	vmcb.dr7 = 0x400;
	vmcb.rflags = 2;
	vmcb.rip = (u64)entry;
	vmcb.rsp = cpl ? (u64)user_stack + sizeof(user_stack) :
			 (u64)kernel_stack + sizeof(kernel_stack);
	vmcb.g_pat = 0x0007040600070406ull;
}

u64 vm_run(void)
{
	vmrun((u64)&vmcb, &regs);
	return vmcb.exit_code;
}

int main(void);

int main(void)
{
	lib_init();
	print("# %s\n", test_name);
	test();
	finish();
}
