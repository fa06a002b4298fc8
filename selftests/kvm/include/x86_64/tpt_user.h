/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Translation Pass-Through: user mode for guest code.
 *
 * Each vCPU gets a TSS of its own and with it a stack for what interrupts user
 * mode, so that several can run user mode at a time.
 */
#ifndef SELFTEST_KVM_TPT_USER_H
#define SELFTEST_KVM_TPT_USER_H

#include <string.h>

#include "kvm_util.h"
#include "processor.h"

/* Selectors behind those of the library */
#define KERNEL_CS	0x08
#define KERNEL_DS	0x10
#define USER_CS		0x2b
#define USER_DS		0x33
#define USER_VECTOR	0x80

#define TPT_USER_STACK_PAGES	4

/* What user mode starts with; it lies on top of the stack, where handlers find it. */
struct tpt_user {
	uint64_t kernel_rsp;
	uint64_t rip;
	uint64_t rdi;
	uint64_t rsi;
	uint64_t rcx;
	uint64_t rbx;
	uint64_t r8;
	uint64_t id;
};

extern char tpt_user_return;
void tpt_run_user(struct tpt_user *user);

asm(".pushsection .text\n"
    ".global tpt_run_user, tpt_user_return\n"
    "tpt_run_user:\n"
    "	push %rbx\n"
    "	push %rbp\n"
    "	push %r12\n"
    "	push %r13\n"
    "	push %r14\n"
    "	push %r15\n"
    "	mov %rsp, (%rdi)\n"
    "	push $" __stringify(USER_DS) "\n"
    "	push $0\n"
    "	push $2\n"
    "	push $" __stringify(USER_CS) "\n"
    "	push 8(%rdi)\n"
    "	mov 24(%rdi), %rsi\n"
    "	mov 32(%rdi), %rcx\n"
    "	mov 40(%rdi), %rbx\n"
    "	mov 48(%rdi), %r8\n"
    "	mov 16(%rdi), %rdi\n"
    "	xor %eax, %eax\n"
    "	xor %edx, %edx\n"
    "	iretq\n"
    "tpt_user_return:\n"
    "	pop %r15\n"
    "	pop %r14\n"
    "	pop %r13\n"
    "	pop %r12\n"
    "	pop %rbp\n"
    "	pop %rbx\n"
    "	ret\n"
    ".popsection\n");

/* In a handler.  The structure ends within the frame, which has two words more. */
static inline uint64_t *tpt_user_frame(struct ex_regs *regs)
{
	__GUEST_ASSERT(regs->cs == USER_CS, "vector %lu, error code %lx at %lx in the kernel",
		       regs->vector, regs->error_code, regs->rip);
	return &regs->rip;
}

static inline struct tpt_user *tpt_user_of(struct ex_regs *regs)
{
	return (void *)(tpt_user_frame(regs) + 5);
}

/* Leave user mode: the handler returns to behind tpt_run_user(). */
static inline void tpt_user_leave(struct ex_regs *regs)
{
	uint64_t *frame = tpt_user_frame(regs);
	struct tpt_user *user = tpt_user_of(regs);

	frame[0] = (uint64_t)&tpt_user_return;
	frame[1] = KERNEL_CS;
	frame[2] = 2;
	frame[3] = user->kernel_rsp;
	frame[4] = KERNEL_DS;
}

static inline void tpt_user_init_vm(struct kvm_vm *vm, void (*trap)(struct ex_regs *),
				    void (*fault)(struct ex_regs *))
{
	uint64_t *gdt = addr_gva2hva(vm, vm->arch.gdt);
	struct idt_entry *idt = addr_gva2hva(vm, vm->arch.idt);

	gdt[USER_CS >> 3] = 0x00affb000000ffffull;
	gdt[USER_DS >> 3] = 0x00cff3000000ffffull;
	idt[USER_VECTOR].dpl = 3;

	vm_install_exception_handler(vm, USER_VECTOR, trap);
	vm_install_exception_handler(vm, PF_VECTOR, fault);
}

/* Return: the guest's address of the vCPU's struct tpt_user */
static inline uint64_t tpt_user_init_vcpu(struct kvm_vcpu *vcpu)
{
	struct kvm_vm *vm = vcpu->vm;
	uint64_t tss = vm_vaddr_alloc_page(vm);
	uint64_t rsp0 = vm_vaddr_alloc_pages(vm, TPT_USER_STACK_PAGES) +
			TPT_USER_STACK_PAGES * PAGE_SIZE - sizeof(struct tpt_user);
	struct tpt_user *user = addr_gva2hva(vm, rsp0);
	struct kvm_sregs sregs;

	memcpy((char *)addr_gva2hva(vm, tss) + 4, &rsp0, sizeof(rsp0));
	memset(user, 0, sizeof(*user));
	user->id = vcpu->id;

	vcpu_sregs_get(vcpu, &sregs);
	sregs.tr.base = tss;
	vcpu_sregs_set(vcpu, &sregs);
	return rsp0;
}

#endif /* SELFTEST_KVM_TPT_USER_H */
