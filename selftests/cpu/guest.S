/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What runs inside the VM.  Each piece ends with VMMCALL, which is
 * intercepted, or goes on to the system call handler in MSR_LSTAR.
 */
	.section .guest, "ax"
	.balign	4096
	.globl	guest_start
guest_start:

/* One access to (rdi) */
	.globl	g_load, g_store, g_add, g_load_store, g_vmmcall
g_load:
	movq	(%rdi), %rax
	vmmcall
g_store:
	movq	%rax, (%rdi)
	vmmcall
g_add:
	lock addq %rax, (%rdi)
	vmmcall
/* Load (rdi), then store to (rsi) */
g_load_store:
	movq	(%rdi), %r8
	movq	%rax, (%rsi)
g_vmmcall:
	vmmcall

/* User, supervisor and user again read (rdi) into r8, r9, r10 */
	.globl	g_mix, g_mix_sys
g_mix:
	movq	(%rdi), %r8
	syscall
	movq	(%rdi), %r10
	vmmcall
g_mix_sys:
	movq	(%rdi), %r9
	sysretq

/* As g_mix, but the system call sets the MSR r15 to rsi */
	.globl	g_wrmsr_sys
g_wrmsr_sys:
	movq	%rcx, %rbx
	movl	%r15d, %ecx
	movl	%esi, %eax
	movq	%rsi, %rdx
	shrq	$32, %rdx
	wrmsr
	movq	%rbx, %rcx
	sysretq

/* Read (rdi) and (rsi); store rdx to (rbp) and INVLPG (rdi); read (rsi) */
	.globl	g_invlpg, g_invlpg_sys
g_invlpg:
	movq	(%rdi), %r8
	movq	(%rsi), %r9
	syscall
	movq	(%rsi), %r10
	vmmcall
g_invlpg_sys:
	movq	%rdx, (%rbp)
	invlpg	(%rdi)
	sysretq

/* Supervisor: WRMSR, RDMSR of rcx with rdx:rax */
	.globl	g_wrmsr, g_rdmsr, g_wrmsr_vmmcall, g_rdmsr_vmmcall
g_wrmsr:
	wrmsr
g_wrmsr_vmmcall:
	vmmcall
g_rdmsr:
	rdmsr
g_rdmsr_vmmcall:
	vmmcall

/* Page-fault handler: error code and CR2 to r8, r9; RIP to r10 */
	.globl	g_pf_handler
g_pf_handler:
	popq	%r8
	movq	%cr2, %r9
	movq	(%rsp), %r10
	vmmcall

	.code32
	.globl	g_load32
g_load32:
	movl	(%edi), %eax
	vmmcall
	.code64

/* Event handlers: count, look at what was pushed, compute for a while */
	.globl	g_event, g_event_err, g_event_nmi, g_event_iret
g_event_err:
	popq	%r8
g_event:
	movq	(%rsp), %r10
	incq	%r12
	movl	$3000000, %ecx
1:	decl	%ecx
	jnz	1b
	vmmcall
g_event_iret:
	incq	%r12
	iretq
g_event_nmi:
	incq	%r13
	iretq

/* Supervisor pieces that receive events; r14 marks how far they came */
	.globl	g_spin, g_sti, g_sti_vmmcall, g_sti_nop, g_nops
g_spin:
	movl	$3000000, %ecx
1:	decl	%ecx
	jnz	1b
	vmmcall
g_sti:
	incq	%r14
	sti
	incq	%r14
	incq	%r14
g_sti_nop:
	vmmcall
g_nops:
	incq	%r14
	incq	%r14
	incq	%r14
	vmmcall
g_sti_vmmcall:
	sti
	vmmcall

	.balign	4096
	.globl	guest_end
guest_end:

	.section .note.GNU-stack, "", @progbits
