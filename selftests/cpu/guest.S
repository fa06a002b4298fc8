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

/* Load a segment register, which reads the GDT */
	.globl	g_segload
g_segload:
	movl	$0x23, %eax
	movl	%eax, %ds
	vmmcall

/*
 * Event handlers.  r12 counts, r8 is the error code, r10 the return address;
 * the long ones run for some ms of virtual time.
 */
	.globl	g_event, g_event_err, g_event_iret
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
	movq	(%rsp), %r10
	incq	%r12
	iretq

/* Pieces that receive events; r14 marks how far they came */
	.globl	g_sti, g_nops, g_nops2, g_sti_vmmcall, g_cr8, g_int
g_sti:
	incq	%r14
	sti
	incq	%r14
	incq	%r14
	vmmcall
g_nops:
	incq	%r14
g_nops2:
	incq	%r14
	vmmcall
g_sti_vmmcall:
	sti
	vmmcall
g_cr8:
	movq	%rdi, %cr8
	incq	%r14
	movq	%cr8, %r9
	vmmcall
g_int:
	int	$0x51
	vmmcall

	.balign	4096
	.globl	guest_end
guest_end:

	.section .note.GNU-stack, "", @progbits
