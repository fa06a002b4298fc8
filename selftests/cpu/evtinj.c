// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events that a hypervisor injects at VMRUN, or waits to be able to inject:
 * delivered once and rightly, and reported when their delivery fails.  These
 * need SVM, not TPT.
 */
#include "lib.h"

const char test_name[] = "evtinj";

#define VECTOR	0x50
#define RFLAGS_IF	0x200

struct event {
	const char *name;
	u32 inj;
	u32 err;
	void *handler;
};

static const struct event events[] = {
	{ "interrupt", EVT_INTR | VECTOR, 0, g_event },
	{ "interrupt with an exception's vector", EVT_INTR | 13, 0, g_event },
	{ "NMI", EVT_NMI | 2, 0, g_event },
	{ "exception", EVT_EXC | 6, 0, g_event },
	{ "exception with error code", EVT_EXC | EVT_ERR | 13, 0x4321,
	  g_event_err },
	{ "software interrupt", EVT_SOFT | 0x51, 0, g_event },
};

/*
 * The timer makes QEMU's execution loop stop every ms of virtual time.  No
 * interrupt comes of it.
 */
static void start_timer(void)
{
	unsigned int count = 1193;

	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	outb(0x43, 0x34);
	outb(0x40, count & 0xff);
	outb(0x40, count >> 8);
}

static void setup(void *code, int cpl)
{
	vm_init(code, cpl, 4);
	vmcb.intercept_exceptions = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(events); i++)
		vm_gate(events[i].inj & 0xff, events[i].handler);
}

static void inject(const struct event *e)
{
	vm_gate(e->inj & 0xff, e->handler);
	vmcb.event_inj = e->inj | EVT_VALID;
	vmcb.event_inj_err = e->err;
}

/* Whether the handler ran, once and to its end */
static bool delivered(const struct event *e, u64 rip)
{
	bool r = check_eq(vmcb.exit_code, SVM_EXIT_VMMCALL, "exit code");

	r &= check_eq(regs.r12, 1, "times delivered");
	r &= check_eq(regs.r10, rip, "return address");
	r &= check_eq(regs.r8, e->err, "error code");
	r &= check_eq(vmcb.rflags & RFLAGS_IF, 0, "IF");
	r &= check_eq(vmcb.exit_int_info & EVT_VALID, 0, "exit_int_info");
	r &= check_eq(vmcb.event_inj & EVT_VALID, 0, "event_inj");
	return r;
}

static void test_delivery(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(events); i++) {
		const struct event *e = &events[i];
		bool r;

		for (int cpl = 0; cpl <= 3; cpl += 3) {
			setup(g_vmmcall, cpl);
			vmcb.rflags |= RFLAGS_IF;
			inject(e);
			vm_run();
			r = delivered(e, (u64)g_vmmcall);
			ok(r, "%s at CPL %d: delivered once", e->name, cpl);
		}

		/* The stack is not there: the event is reported, and comes again */
		setup(g_vmmcall, 0);
		vmcb.rsp = HOLE_BASE + 4096;
		npt_hole(true);
		inject(e);
		r = check_eq(vm_run(), SVM_EXIT_NPF, "exit code");
		r &= check_eq(vmcb.exit_int_info, e->inj | EVT_VALID,
			      "exit_int_info");
		if (e->inj & EVT_ERR)
			r &= check_eq(vmcb.exit_int_info_err, e->err,
				      "exit_int_info_err");
		r &= check_eq(vmcb.rip, (u64)g_vmmcall, "rip");
		r &= check_eq(vmcb.rsp, HOLE_BASE + 4096, "rsp");
		r &= check_eq(regs.r12, 0, "times delivered");
		npt_hole(false);
		inject(e);
		vm_run();
		r &= delivered(e, (u64)g_vmmcall);
		ok(r, "%s: nested page fault during delivery", e->name);
	}
}

/* As before, for events that the guest causes itself */
static void test_own_events(void)
{
	static const struct event pf = {
		"", EVT_EXC | EVT_ERR | 14, PF_W, g_event_err,
	};
	static const struct event soft = { "", EVT_SOFT | 0x51, 0, g_event };
	u64 va = 1ull << 46;
	bool r;

	setup(g_store, 0);
	vm_gate(14, g_event_err);
	regs.rdi = va;
	vmcb.rsp = HOLE_BASE + 4096;
	npt_hole(true);
	r = check_eq(vm_run(), SVM_EXIT_NPF, "exit code");
	r &= check_eq(vmcb.exit_int_info, pf.inj | EVT_VALID, "exit_int_info");
	r &= check_eq(vmcb.exit_int_info_err, PF_W, "exit_int_info_err");
	r &= check_eq(vmcb.rip, (u64)g_store, "rip");
	r &= check_eq(vmcb.cr2, va, "cr2");
	npt_hole(false);
	inject(&pf);
	vm_run();
	r &= delivered(&pf, (u64)g_store);
	ok(r, "page fault of the guest: nested page fault during delivery");

	setup(g_int, 0);
	vmcb.rsp = HOLE_BASE + 4096;
	npt_hole(true);
	r = check_eq(vm_run(), SVM_EXIT_NPF, "exit code");
	r &= check_eq(vmcb.exit_int_info, soft.inj | EVT_VALID,
		      "exit_int_info");
	r &= check_eq(vmcb.rip, (u64)g_int, "rip");
	npt_hole(false);
	vmcb.rip += 2;
	inject(&soft);
	vm_run();
	r &= delivered(&soft, (u64)g_int + 2);
	ok(r, "INT instruction: nested page fault during delivery");
}

/* The interrupt window: a virtual interrupt, intercepted */
static void setup_window(void *code)
{
	setup(code, 0);
	vmcb.intercept |= INTERCEPT_VINTR;
	vmcb.int_ctl |= V_IRQ | V_INTR_PRIO(15);
}

static bool window(u64 r14)
{
	bool r = check_eq(vmcb.exit_code, SVM_EXIT_VINTR, "exit code");

	r &= check_eq(regs.r14, r14, "progress");
	r &= check_eq(vmcb.int_state & 1, 0, "interrupt shadow");
	r &= check_eq(!!(vmcb.int_ctl & V_IRQ), true, "V_IRQ");
	return r;
}

static void test_window(void)
{
	bool r;

	setup_window(g_nops);
	vm_run();
	r = check_eq(vmcb.exit_code, SVM_EXIT_VMMCALL, "exit code");
	ok(r, "window: none with IF clear");

	setup_window(g_nops);
	vmcb.rflags |= RFLAGS_IF;
	vm_run();
	ok(window(0), "window: at once with IF set");

	setup_window(g_nops);
	vmcb.rflags |= RFLAGS_IF;
	vmcb.int_state = 1;
	vm_run();
	r = window(1) & check_eq(vmcb.rip, (u64)g_nops2, "rip");
	ok(r, "window: one instruction after a shadow from the VMCB");

	setup_window(g_sti);
	vm_run();
	ok(window(2), "window: one instruction after STI");

	setup_window(g_nops);
	vmcb.rflags |= RFLAGS_IF;
	inject(&(struct event){ "", EVT_INTR | VECTOR, 0, g_event_iret });
	vm_run();
	r = window(0) & check_eq(regs.r12, 1, "times delivered");
	r &= check_eq(vmcb.rip, (u64)g_nops, "rip");
	ok(r, "window: after the handler of an injected interrupt");

	setup(g_sti_vmmcall, 0);
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(vmcb.int_state & 1, 1, "interrupt shadow");
	r &= check_eq(!!(vmcb.rflags & RFLAGS_IF), true, "IF");
	ok(r, "#VMEXIT in an interrupt shadow saves it");

	setup(g_event_iret, 0);
	vmcb.intercept |= INTERCEPT_IRET;
	r = check_eq(vm_run(), SVM_EXIT_IRET, "exit code");
	ok(r, "IRET is intercepted");
}

/*
 * Interrupts of the host: sent by the local APIC to itself while GIF is
 * clear, so that they are pending at VMRUN.
 */
#define APIC_BASE	0xfee00000ul
#define APIC_EOI	0xb0
#define APIC_SVR	0xf0
#define APIC_ICR	0x300
#define ICR_SELF	0x44000
#define ICR_NMI		0x400
#define HOST_VECTOR	29

static void apic_write(u32 reg, u32 val)
{
	*(volatile u32 *)(APIC_BASE + reg) = val;
}

static void run_pending(u32 icr)
{
	host_events = 0;
	asm volatile("clgi");
	apic_write(APIC_ICR, ICR_SELF | icr);
	vm_run();			/* ends with STGI */
}

static bool host_exit(u64 exit, u64 rip, u64 vector)
{
	bool r = check_eq(vmcb.exit_code, exit, "exit code");

	r &= check_eq(vmcb.rip, rip, "rip") & check_eq(regs.r14, 0, "progress");
	r &= check_eq(vmcb.exit_int_info & EVT_VALID, 0, "exit_int_info");
	r &= check_eq(host_events, 1, "host handler runs");
	r &= check_eq(host_vector, vector, "host vector");
	return r;
}

static void test_host_interrupts(void)
{
	bool r;

	apic_write(APIC_SVR, 0x1ff);

	setup(g_nops, 0);
	asm volatile("sti");
	run_pending(HOST_VECTOR);
	asm volatile("cli");
	apic_write(APIC_EOI, 0);
	ok(host_exit(SVM_EXIT_INTR, (u64)g_nops, HOST_VECTOR),
	   "host interrupt: at once, whatever IF of the guest");

	setup(g_nops, 0);
	inject(&events[0]);
	asm volatile("sti");
	run_pending(HOST_VECTOR);
	asm volatile("cli");
	apic_write(APIC_EOI, 0);
	r = host_exit(SVM_EXIT_INTR, (u64)events[0].handler, HOST_VECTOR);
	r &= check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= delivered(&events[0], (u64)g_nops);
	ok(r, "host interrupt: after the delivery of an injected one");

	setup(g_nops, 0);
	vmcb.rflags |= RFLAGS_IF;
	run_pending(HOST_VECTOR);
	r = check_eq(vmcb.exit_code, SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(host_events, 0, "host handler runs");
	asm volatile("sti; nop; cli");
	apic_write(APIC_EOI, 0);
	r &= check_eq(host_events, 1, "host handler runs");
	ok(r, "host interrupt: not while IF of the host is clear");

	for (int i = 0; i < 2; i++) {
		setup(g_nops, 0);
		run_pending(ICR_NMI);
		ok(host_exit(SVM_EXIT_NMI, (u64)g_nops, 2),
		   "host NMI, number %d", i);
	}
}

static void test_tpr(void)
{
	bool r;

	setup(g_cr8, 0);
	regs.rdi = 5;
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(vmcb.int_ctl & V_TPR_MASK, 5, "V_TPR");
	r &= check_eq(regs.r9, 5, "cr8");
	ok(r, "CR8 is V_TPR");

	setup_window(g_cr8);
	regs.rdi = 5;
	r = check_eq(vm_run(), SVM_EXIT_VMMCALL, "exit code");
	r &= check_eq(vmcb.int_ctl & V_TPR_MASK, 5, "V_TPR");
	ok(r, "CR8 is written while a virtual interrupt is pending");
}

void test(void)
{
	start_timer();
	test_delivery();
	test_own_events();
	test_window();
	test_host_interrupts();
	test_tpr();
}
