/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Translation Pass-Through: what the tests of KVM_CAP_X86_TPT share.
 */
#ifndef SELFTEST_KVM_TPT_UTIL_H
#define SELFTEST_KVM_TPT_UTIL_H

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include <asm/tpt.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"

static inline int __tpt_enable(int vm_fd, uint64_t arg0, uint64_t arg1,
			       uint32_t flags)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_TPT,
		.flags = flags,
		.args = { arg0, arg1 },
	};

	return ioctl(vm_fd, KVM_ENABLE_CAP, &cap);
}

/* Like __vm_create(), but TPT has to be enabled before there is memory, if it is. */
static inline struct kvm_vm *__tpt_vm_create(uint64_t nr_pages, bool tpt)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct userspace_mem_region *slot0;
	int i;

	TEST_ASSERT(!tpt || !__tpt_enable(vm->fd, KVM_X86_TPT_ENABLE, 0, 0),
		    KVM_IOCTL_ERROR(KVM_ENABLE_CAP, -1));

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, 0, 0, nr_pages, 0);
	for (i = 0; i < NR_MEM_REGIONS; i++)
		vm->memslots[i] = 0;

	kvm_vm_elf_load(vm, program_invocation_name);
	slot0 = memslot2region(vm, 0);
	ucall_init(vm, slot0->region.guest_phys_addr + slot0->region.memory_size);
	kvm_arch_vm_post_create(vm);

	return vm;
}

static inline struct kvm_vm *tpt_vm_create(uint64_t nr_pages)
{
	return __tpt_vm_create(nr_pages, true);
}

static inline int __tpt_create_addrmap(int vm_fd, struct kvm_tpt_addrmap *args)
{
	return ioctl(vm_fd, KVM_X86_TPT_CREATE_ADDRMAP, args);
}

/* With exit records for vCPU IDs 0 to @nr_exits - 1, if there are any */
static inline int tpt_create_addrmap_exits(struct kvm_vm *vm, uint64_t nr_gfns,
					   uint64_t nr_exits)
{
	struct kvm_tpt_addrmap args = {
		.nr_gfns = nr_gfns,
		.flags = KVM_TPT_ADDRMAP_EXITS,
		.nr_exits = nr_exits,
	};

	vm_ioctl(vm, KVM_X86_TPT_CREATE_ADDRMAP, &args);
	return args.fd;
}

static inline int tpt_create_addrmap(struct kvm_vm *vm, uint64_t nr_gfns)
{
	struct kvm_tpt_addrmap args = { .nr_gfns = nr_gfns };

	vm_ioctl(vm, KVM_X86_TPT_CREATE_ADDRMAP, &args);
	return args.fd;
}

static inline const volatile uint64_t *tpt_map_addrmap(int fd, uint64_t nr_gfns)
{
	void *gam = mmap(NULL, align_up(nr_gfns * sizeof(uint64_t), getpagesize()),
			 PROT_READ, MAP_SHARED, fd, 0);

	TEST_ASSERT(gam != MAP_FAILED, __KVM_SYSCALL_ERROR("mmap()", -1));
	return gam;
}

/* The host frame at @hva, which must be mapped.  Needs CAP_SYS_ADMIN. */
static inline uint64_t tpt_hva_to_pfn(void *hva)
{
	uint64_t entry;
	int fd;

	fd = open("/proc/self/pagemap", O_RDONLY);
	TEST_ASSERT(fd >= 0, __KVM_SYSCALL_ERROR("open(pagemap)", fd));
	TEST_ASSERT(pread(fd, &entry, sizeof(entry),
			  (uintptr_t)hva / getpagesize() * sizeof(entry)) == sizeof(entry),
		    __KVM_SYSCALL_ERROR("pread(pagemap)", -1));
	close(fd);

	if (!(entry & BIT_ULL(63)))
		return 0;

	TEST_ASSERT(entry & GENMASK_ULL(54, 0), "pagemap hides frame numbers");
	return entry & GENMASK_ULL(54, 0);
}

static inline uint64_t tpt_read_host_msr(uint32_t msr)
{
	uint64_t val;
	int fd = open("/dev/cpu/0/msr", O_RDONLY);

	TEST_ASSERT(fd >= 0, __KVM_SYSCALL_ERROR("open(/dev/cpu/0/msr)", fd));
	TEST_ASSERT(pread(fd, &val, sizeof(val), msr) == sizeof(val),
		    __KVM_SYSCALL_ERROR("pread(msr)", -1));
	close(fd);
	return val;
}

static inline uint64_t tpt_gam_pfn(uint64_t entry)
{
	return (entry & TPT_GAM_FRAME_MASK) >> PAGE_SHIFT;
}

static inline unsigned int tpt_gam_size(uint64_t entry)
{
	return (entry & TPT_GAM_SIZE_MASK) >> TPT_GAM_SIZE_SHIFT;
}

#endif /* SELFTEST_KVM_TPT_UTIL_H */
