/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entry from the PVH boot protocol: 32-bit, flat, paging off.  Map the first
 * 4 GiB one to one, enter long mode, call main().
 */
#define CR0_BITS	0x80010021	/* PG, WP, NE, PE */
#ifdef LA57
#define CR4_BITS	0x00001020	/* LA57, PAE */
#define BOOT_TABLE	boot_pml5
#else
#define CR4_BITS	0x00000020	/* PAE */
#define BOOT_TABLE	boot_pml4
#endif
#define EFER_BITS	0x00001d01	/* SVME, NXE, LMA, LME, SCE */

	.section .note.pvh, "a", @note
	.balign	4
	.long	4, 8, 18
	.asciz	"Xen"
	.quad	pvh_start

	.text
	.code32
	.globl	pvh_start
pvh_start:
	cld
	cli
	movl	$boot_stack_top, %esp

	/* 2 MiB pages, present, writable, user */
	movl	$boot_pd, %edi
	movl	$0x87, %eax
	movl	$2048, %ecx
1:	movl	%eax, (%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	loop	1b

	movl	$BOOT_TABLE, %eax
	movl	%eax, %cr3
	movl	$CR4_BITS, %eax
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx
	movl	$EFER_BITS, %eax
	xorl	%edx, %edx
	wrmsr
	movl	$CR0_BITS, %eax
	movl	%eax, %cr0
	lgdt	gdt_ptr
	ljmp	$0x08, $start64

	.code64
start64:
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movq	$boot_stack_top, %rsp
	call	main
1:	hlt
	jmp	1b

/* Host exceptions: vector and error code on the stack, as exception() wants */
	.macro	EXC vec, err
	.balign	16
	.if	\err == 0
	pushq	$0
	.endif
	pushq	$\vec
	jmp	exc_common
	.endm

	.balign	16
	.globl	exc_stubs
exc_stubs:
	.set	vec, 0
	.rept	32
	.if	vec == 8 || vec == 10 || vec == 11 || vec == 12 || vec == 13 || vec == 14 || vec == 17
	EXC	vec, 1
	.else
	EXC	vec, 0
	.endif
	.set	vec, vec + 1
	.endr

exc_common:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	leaq	72(%rsp), %rdi
	call	exception
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq

/* bool wrmsr_safe(u32 msr, u64 val), bool rdmsr_safe(u32 msr, u64 *val) */
	.globl	wrmsr_safe, rdmsr_safe
wrmsr_safe:
	movl	%edi, %ecx
	movl	%esi, %eax
	movq	%rsi, %rdx
	shrq	$32, %rdx
	movq	$gp_fixup, fixup_rip
	wrmsr
	movq	$0, fixup_rip
	movl	$1, %eax
	ret
rdmsr_safe:
	movl	%edi, %ecx
	movq	$gp_fixup, fixup_rip
	rdmsr
	movq	$0, fixup_rip
	shlq	$32, %rdx
	orq	%rdx, %rax
	movq	%rax, (%rsi)
	movl	$1, %eax
	ret
gp_fixup:
	xorl	%eax, %eax
	ret

/* void vmrun(u64 vmcb_pa, struct regs *regs): rbx rcx ... r15, not rax, rsp */
	.globl	vmrun
vmrun:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	pushq	%rsi
	movq	%rdi, %rax
	movq	0(%rsi), %rbx
	movq	8(%rsi), %rcx
	movq	16(%rsi), %rdx
	movq	32(%rsi), %rdi
	movq	40(%rsi), %rbp
	movq	48(%rsi), %r8
	movq	56(%rsi), %r9
	movq	64(%rsi), %r10
	movq	72(%rsi), %r11
	movq	80(%rsi), %r12
	movq	88(%rsi), %r13
	movq	96(%rsi), %r14
	movq	104(%rsi), %r15
	movq	24(%rsi), %rsi
	clgi
	vmrun	%rax
	stgi
	pushq	%rsi
	movq	8(%rsp), %rsi
	popq	24(%rsi)
	movq	%rbx, 0(%rsi)
	movq	%rcx, 8(%rsi)
	movq	%rdx, 16(%rsi)
	movq	%rdi, 32(%rsi)
	movq	%rbp, 40(%rsi)
	movq	%r8, 48(%rsi)
	movq	%r9, 56(%rsi)
	movq	%r10, 64(%rsi)
	movq	%r11, 72(%rsi)
	movq	%r12, 80(%rsi)
	movq	%r13, 88(%rsi)
	movq	%r14, 96(%rsi)
	movq	%r15, 104(%rsi)
	popq	%rsi
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

	.data
	.balign	4096
	.globl	boot_pml4, boot_pml5, boot_pdpt, boot_pd
boot_pml5:
	.quad	boot_pml4 + 0x7
	.fill	511, 8, 0
boot_pml4:
	.quad	boot_pdpt + 0x7
	.fill	511, 8, 0
boot_pdpt:
	.quad	boot_pd + 0x7
	.quad	boot_pd + 0x1007
	.quad	boot_pd + 0x2007
	.quad	boot_pd + 0x3007
	.fill	508, 8, 0
boot_pd:
	.fill	2048, 8, 0

	.balign	16
	.globl	gdt, gdt_end
gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* 08 kernel code */
	.quad	0x00cf93000000ffff	/* 10 kernel data */
	.quad	0x00cffb000000ffff	/* 18 user code, 32 bit */
	.quad	0x00cff3000000ffff	/* 20 user data */
	.quad	0x00affb000000ffff	/* 28 user code */
	.quad	0, 0			/* 30 TSS */
gdt_end:
gdt_ptr:
	.word	gdt_end - gdt - 1
	.quad	gdt

	.bss
	.balign	4096
	.fill	16384
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
