// SPDX-License-Identifier: GPL-2.0-only
/*
 * Translation Pass-Through: discovery of KVM_CAP_X86_TPT, the errors of its
 * ioctls, the rules of the address map's file, CPUID and MSRs.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <asm/kvm_para.h>

#include "tpt_util.h"
#include "kvm_test_harness.h"

#define NR_GFNS		512

FIXTURE(tpt) {
	struct kvm_vm *vm;
};

FIXTURE_SETUP(tpt)
{
	self->vm = vm_create_barebones();
}

FIXTURE_TEARDOWN(tpt)
{
	kvm_vm_free(self->vm);
}

#define ASSERT_ERRNO(expected, call)					\
do {									\
	errno = 0;							\
	ASSERT_EQ(-1, (call)) TH_LOG("%s", #call);			\
	ASSERT_EQ(expected, errno) TH_LOG("%s", #call);			\
} while (0)

TEST_F(tpt, check_extension)
{
	ASSERT_EQ(KVM_X86_TPT_VALID_FLAGS, kvm_check_cap(KVM_CAP_X86_TPT));
	ASSERT_EQ(KVM_X86_TPT_VALID_FLAGS,
		  vm_check_cap(self->vm, KVM_CAP_X86_TPT));
}

TEST_F(tpt, enable_arguments)
{
	int fd = self->vm->fd;

	ASSERT_ERRNO(EINVAL, __tpt_enable(fd, 0, 0, 0));
	ASSERT_ERRNO(EINVAL, __tpt_enable(fd, KVM_X86_TPT_STATS, 0, 0));
	ASSERT_ERRNO(EINVAL, __tpt_enable(fd, KVM_X86_TPT_ENABLE | BIT_ULL(2), 0, 0));
	ASSERT_ERRNO(EINVAL, __tpt_enable(fd, KVM_X86_TPT_ENABLE | BIT_ULL(63), 0, 0));
	ASSERT_ERRNO(EINVAL, __tpt_enable(fd, KVM_X86_TPT_ENABLE, 1, 0));
	ASSERT_ERRNO(EINVAL, __tpt_enable(fd, KVM_X86_TPT_ENABLE, 0, 1));

	/* None of it had an effect, so this can still work, and only once */
	ASSERT_EQ(0, __tpt_enable(fd, KVM_X86_TPT_VALID_FLAGS, 0, 0));
	ASSERT_ERRNO(EEXIST, __tpt_enable(fd, KVM_X86_TPT_ENABLE, 0, 0));
}

TEST_F(tpt, enable_too_late)
{
	struct kvm_vm *vm;

	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, 0, 0, 1, 0);
	ASSERT_ERRNO(EINVAL, __tpt_enable(self->vm->fd, KVM_X86_TPT_ENABLE, 0, 0));

	vm = vm_create_barebones();
	__vm_vcpu_add(vm, 0);
	ASSERT_ERRNO(EINVAL, __tpt_enable(vm->fd, KVM_X86_TPT_ENABLE, 0, 0));
	kvm_vm_free(vm);
}

TEST_F(tpt, not_enabled)
{
	struct kvm_tpt_addrmap args = { .nr_gfns = NR_GFNS };
	uint32_t state = 0;
	int fd = self->vm->fd;

	ASSERT_ERRNO(ENXIO, __tpt_create_addrmap(fd, &args));
	ASSERT_ERRNO(ENXIO, ioctl(fd, KVM_X86_TPT_SET_STATE, &state));
	ASSERT_ERRNO(ENXIO, ioctl(fd, KVM_X86_TPT_GET_STATE, &state));
}

TEST_F(tpt, addrmap_arguments)
{
	struct kvm_tpt_addrmap args = { .nr_gfns = NR_GFNS };
	int fd = self->vm->fd, fd2, i;

	ASSERT_EQ(0, __tpt_enable(fd, KVM_X86_TPT_ENABLE, 0, 0));

	args.nr_gfns = 0;
	ASSERT_ERRNO(EINVAL, __tpt_create_addrmap(fd, &args));
	args.nr_gfns = BIT_ULL(self->vm->pa_bits - self->vm->page_shift) + 1;
	ASSERT_ERRNO(EINVAL, __tpt_create_addrmap(fd, &args));
	args.nr_gfns = -1ull;
	ASSERT_ERRNO(EINVAL, __tpt_create_addrmap(fd, &args));
	args.nr_gfns = NR_GFNS;

	args.flags = 1;
	ASSERT_ERRNO(EINVAL, __tpt_create_addrmap(fd, &args));
	args.flags = 0;

	for (i = 0; i < ARRAY_SIZE(args.reserved); i++) {
		args.reserved[i] = 1;
		ASSERT_ERRNO(EINVAL, __tpt_create_addrmap(fd, &args));
		args.reserved[i] = 0;
	}

	ASSERT_ERRNO(EFAULT, __tpt_create_addrmap(fd, NULL));

	/* A failure leaves neither a map nor a descriptor behind */
	fd2 = dup(fd);
	close(fd2);
	ASSERT_EQ(0, __tpt_create_addrmap(fd, &args));
	ASSERT_EQ(fd2, args.fd);
	ASSERT_ERRNO(EEXIST, __tpt_create_addrmap(fd, &args));
	close(args.fd);
	ASSERT_ERRNO(EEXIST, __tpt_create_addrmap(fd, &args));
}

TEST_F(tpt, addrmap_read_only_argument)
{
	struct kvm_tpt_addrmap *args;

	ASSERT_EQ(0, __tpt_enable(self->vm->fd, KVM_X86_TPT_ENABLE, 0, 0));

	args = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, args);
	args->nr_gfns = NR_GFNS;
	ASSERT_EQ(0, mprotect(args, getpagesize(), PROT_READ));
	ASSERT_ERRNO(EFAULT, __tpt_create_addrmap(self->vm->fd, args));

	ASSERT_EQ(0, mprotect(args, getpagesize(), PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, __tpt_create_addrmap(self->vm->fd, args));
	close(args->fd);
	munmap(args, getpagesize());
}

TEST_F(tpt, addrmap_mmap)
{
	/* Not a whole number of pages */
	size_t page = getpagesize(), nr_gfns = 2 * page / 8 + 1, size = 3 * page;
	uint64_t i, *gam;
	int fd, mem;

	ASSERT_EQ(0, __tpt_enable(self->vm->fd, KVM_X86_TPT_ENABLE, 0, 0));
	fd = tpt_create_addrmap(self->vm, nr_gfns);

	ASSERT_ERRNO(EINVAL, (long)mmap(NULL, size + page, PROT_READ, MAP_SHARED, fd, 0));
	ASSERT_ERRNO(EINVAL, (long)mmap(NULL, page, PROT_READ, MAP_SHARED, fd, size));
	ASSERT_ERRNO(EINVAL, (long)mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, fd, 2 * page));
	ASSERT_ERRNO(EINVAL, (long)mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 1l << 60));
	ASSERT_ERRNO(EACCES, (long)mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	ASSERT_ERRNO(EINVAL, (long)mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0));
	ASSERT_ERRNO(EINVAL, (long)mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));

	gam = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, gam);
	ASSERT_ERRNO(EACCES, mprotect(gam, size, PROT_READ | PROT_WRITE));
	ASSERT_ERRNO(EACCES, mprotect(gam, size, PROT_READ | PROT_EXEC));
	ASSERT_ERRNO(EFAULT, (long)mremap(gam, size, size + page, MREMAP_MAYMOVE));

	/* Whoever may debug the process may write to its read-only memory */
	mem = open("/proc/self/mem", O_RDWR);
	ASSERT_LE(0, mem);
	i = -1ull;
	ASSERT_ERRNO(EIO, pwrite(mem, &i, sizeof(i), (uintptr_t)gam));
	close(mem);

	/* Neither the descriptor nor the VM is needed any longer */
	close(fd);
	kvm_vm_free(self->vm);
	for (i = 0; i < size / sizeof(*gam); i++)
		ASSERT_EQ(0, READ_ONCE(gam[i]));
	munmap(gam, size);

	self->vm = vm_create_barebones();
}

TEST_F(tpt, addrmap_file)
{
	uint64_t entry = 1;
	int fd;

	ASSERT_EQ(0, __tpt_enable(self->vm->fd, KVM_X86_TPT_ENABLE, 0, 0));
	fd = tpt_create_addrmap(self->vm, NR_GFNS);

	ASSERT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	ASSERT_EQ(O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	ASSERT_EQ(-1, read(fd, &entry, sizeof(entry)));
	ASSERT_EQ(-1, write(fd, &entry, sizeof(entry)));
	ASSERT_EQ(-1, ftruncate(fd, 0));
	close(fd);
}

TEST_F(tpt, addrmap_after_run)
{
	struct kvm_tpt_addrmap args = { .nr_gfns = NR_GFNS };
	struct kvm_vcpu *vcpu;

	ASSERT_EQ(0, __tpt_enable(self->vm->fd, KVM_X86_TPT_ENABLE, 0, 0));

	/* A vCPU is not too late, one that has been run is */
	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, 0, 0, 1, 0);
	vcpu = __vm_vcpu_add(self->vm, 0);
	vcpu->run->immediate_exit = false;
	_vcpu_run(vcpu);
	ASSERT_ERRNO(EBUSY, __tpt_create_addrmap(self->vm->fd, &args));
}

TEST_F(tpt, state)
{
	uint32_t state = 77;
	int fd = self->vm->fd;

	ASSERT_EQ(0, __tpt_enable(fd, KVM_X86_TPT_ENABLE, 0, 0));

	ASSERT_EQ(0, ioctl(fd, KVM_X86_TPT_GET_STATE, &state));
	ASSERT_EQ(KVM_X86_TPT_STATE_RUN, state);

	state = 2;
	ASSERT_ERRNO(EINVAL, ioctl(fd, KVM_X86_TPT_SET_STATE, &state));
	ASSERT_ERRNO(EFAULT, ioctl(fd, KVM_X86_TPT_SET_STATE, NULL));
	ASSERT_ERRNO(EFAULT, ioctl(fd, KVM_X86_TPT_GET_STATE, NULL));

	state = KVM_X86_TPT_STATE_SUSPENDED;
	ASSERT_EQ(0, ioctl(fd, KVM_X86_TPT_SET_STATE, &state));
	ASSERT_EQ(0, ioctl(fd, KVM_X86_TPT_SET_STATE, &state));
	state = 77;
	ASSERT_EQ(0, ioctl(fd, KVM_X86_TPT_GET_STATE, &state));
	ASSERT_EQ(KVM_X86_TPT_STATE_SUSPENDED, state);

	state = KVM_X86_TPT_STATE_RUN;
	ASSERT_EQ(0, ioctl(fd, KVM_X86_TPT_SET_STATE, &state));
	ASSERT_EQ(0, ioctl(fd, KVM_X86_TPT_GET_STATE, &state));
	ASSERT_EQ(KVM_X86_TPT_STATE_RUN, state);
}

TEST_F(tpt, dirty_logging_suspends)
{
	uint32_t state, suspended = KVM_X86_TPT_STATE_SUSPENDED;
	uint32_t run = KVM_X86_TPT_STATE_RUN;
	struct kvm_vm *vm = self->vm;
	int fd = vm->fd;

	ASSERT_EQ(0, __tpt_enable(fd, KVM_X86_TPT_ENABLE, 0, 0));
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, 0, 0, 16, 0);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, 1 << 20, 1, 16,
				    KVM_MEM_LOG_DIRTY_PAGES);

	ASSERT_EQ(0, ioctl(fd, KVM_X86_TPT_GET_STATE, &state));
	ASSERT_EQ(suspended, state);

	/* Two slots log, then one, then none */
	vm_mem_region_set_flags(vm, 0, KVM_MEM_LOG_DIRTY_PAGES);
	vm_mem_region_set_flags(vm, 1, 0);
	ASSERT_EQ(0, ioctl(fd, KVM_X86_TPT_GET_STATE, &state));
	ASSERT_EQ(suspended, state);

	/* User space can't resume what logging suspended */
	ASSERT_EQ(0, ioctl(fd, KVM_X86_TPT_SET_STATE, &run));
	ASSERT_EQ(0, ioctl(fd, KVM_X86_TPT_GET_STATE, &state));
	ASSERT_EQ(suspended, state);

	vm_mem_region_set_flags(vm, 0, 0);
	ASSERT_EQ(0, ioctl(fd, KVM_X86_TPT_GET_STATE, &state));
	ASSERT_EQ(run, state);

	/* Nor the other way round */
	ASSERT_EQ(0, ioctl(fd, KVM_X86_TPT_SET_STATE, &suspended));
	vm_mem_region_set_flags(vm, 0, KVM_MEM_LOG_DIRTY_PAGES);
	vm_mem_region_set_flags(vm, 0, 0);
	ASSERT_EQ(0, ioctl(fd, KVM_X86_TPT_GET_STATE, &state));
	ASSERT_EQ(suspended, state);
	ASSERT_EQ(0, ioctl(fd, KVM_X86_TPT_SET_STATE, &run));

	/* A slot that is deleted logs no more */
	vm_mem_region_set_flags(vm, 1, KVM_MEM_LOG_DIRTY_PAGES);
	vm_mem_region_delete(vm, 1);
	ASSERT_EQ(0, ioctl(fd, KVM_X86_TPT_GET_STATE, &state));
	ASSERT_EQ(run, state);
}

/* What the guest sees, with TPT and without. */
static void guest_msrs(uint32_t flags)
{
	uint32_t eax, ebx, ecx, edx;
	uint64_t val;
	int i;

	cpuid(KVM_CPUID_FEATURES, &eax, &ebx, &ecx, &edx);
	GUEST_ASSERT_EQ(!!(eax & BIT(KVM_FEATURE_TPT)), !!(flags & KVM_X86_TPT_ENABLE));

	cpuid(0x8000000a, &eax, &ebx, &ecx, &edx);
	GUEST_ASSERT(!(edx & BIT(TPT_CPUID_SVM_EDX_BIT)));

	/* The host's are the host's */
	GUEST_ASSERT_EQ(rdmsr_safe(MSR_TPT_RMP_BASE, &val), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr_safe(MSR_TPT_RMP_END, &val), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_TPT_RMP_BASE, 0), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_TPT_RMP_END, 0), GP_VECTOR);

	for (i = MSR_TPT_STAT_BASE; i <= MSR_TPT_STAT_LAST; i++)
		GUEST_ASSERT_EQ(wrmsr_safe(i, 0), GP_VECTOR);

	i = MSR_TPT_STAT(TPT_STAT_BANK_ALL, TPT_STAT_ALL_EXITS);
	GUEST_ASSERT_EQ(rdmsr_safe(i, &val),
			flags & KVM_X86_TPT_STATS ? 0 : GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr_safe(MSR_TPT_STAT_LAST, &val), GP_VECTOR);

	if (!(flags & KVM_X86_TPT_ENABLE)) {
		GUEST_ASSERT_EQ(rdmsr_safe(MSR_TPT_CR3, &val), GP_VECTOR);
		GUEST_ASSERT_EQ(wrmsr_safe(MSR_TPT_CR3, 0), GP_VECTOR);
		GUEST_DONE();
	}

	GUEST_ASSERT_EQ(rdmsr(MSR_TPT_CR3), 0);
	wrmsr(MSR_TPT_CR3, 0x12345000);
	GUEST_ASSERT_EQ(rdmsr(MSR_TPT_CR3), 0x12345000);
	for (i = 1; i < 64; i++) {
		if (i >= 12 && i < 36)
			continue;
		/* 36 to 51 depend on the CPU's physical address width */
		if (i >= 36 && i < 52)
			continue;
		GUEST_ASSERT_EQ(wrmsr_safe(MSR_TPT_CR3, BIT_ULL(i)), GP_VECTOR);
	}
	GUEST_ASSERT_EQ(rdmsr(MSR_TPT_CR3), 0x12345000);

	GUEST_SYNC(1);
	GUEST_ASSERT_EQ(rdmsr(MSR_TPT_CR3), 0x12345000);
	wrmsr(MSR_TPT_CR3, 0);

	GUEST_DONE();
}

static void run_guest_msrs(uint32_t flags)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct userspace_mem_region *slot0;
	struct kvm_vcpu *vcpu;
	struct ucall uc;
	int i;

	if (flags)
		TEST_ASSERT(!__tpt_enable(vm->fd, flags, 0, 0),
			    KVM_IOCTL_ERROR(KVM_ENABLE_CAP, -1));

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, 0, 0, 1024, 0);
	for (i = 0; i < NR_MEM_REGIONS; i++)
		vm->memslots[i] = 0;
	kvm_vm_elf_load(vm, program_invocation_name);
	slot0 = memslot2region(vm, 0);
	ucall_init(vm, slot0->region.guest_phys_addr + slot0->region.memory_size);
	kvm_arch_vm_post_create(vm);

	vcpu = vm_vcpu_add(vm, 0, guest_msrs);
	/* KVM hides it again where the capability is not enabled. */
	vcpu_set_cpuid_feature(vcpu, KVM_X86_CPU_FEATURE(KVM_CPUID_FEATURES, 0, EAX,
							  KVM_FEATURE_TPT));
	vcpu_args_set(vcpu, 1, flags);

	for (;;) {
		vcpu_run(vcpu);
		switch (get_ucall(vcpu, &uc)) {
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT(uc);
			break;
		case UCALL_SYNC:
			continue;
		case UCALL_DONE:
			kvm_vm_free(vm);
			return;
		default:
			TEST_FAIL("Unexpected ucall %lu", uc.cmd);
		}
	}
}

TEST_F(tpt, guest_without)
{
	ASSERT_FALSE(kvm_cpu_has(KVM_X86_CPU_FEATURE(KVM_CPUID_FEATURES, 0, EAX,
						     KVM_FEATURE_TPT)));
	run_guest_msrs(0);
}

TEST_F(tpt, guest_with)
{
	run_guest_msrs(KVM_X86_TPT_ENABLE);
}

TEST_F(tpt, guest_with_stats)
{
	run_guest_msrs(KVM_X86_TPT_ENABLE | KVM_X86_TPT_STATS);
}

TEST_F(tpt, tags)
{
	struct kvm_vm *vms[8];
	int i, round;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < ARRAY_SIZE(vms); i++) {
			vms[i] = vm_create_barebones();
			ASSERT_EQ(0, __tpt_enable(vms[i]->fd, KVM_X86_TPT_ENABLE, 0, 0));
			close(tpt_create_addrmap(vms[i], NR_GFNS));
		}
		for (i = 0; i < ARRAY_SIZE(vms); i++)
			kvm_vm_free(vms[i]);
	}
}

/* Without a CPU that has TPT, or without nested paging, there is only this. */
static int test_not_supported(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct kvm_tpt_addrmap args = { .nr_gfns = NR_GFNS };

	TEST_ASSERT_EQ(vm_check_cap(vm, KVM_CAP_X86_TPT), 0);
	TEST_ASSERT(__tpt_enable(vm->fd, KVM_X86_TPT_ENABLE, 0, 0) && errno == EINVAL,
		    "KVM_ENABLE_CAP without support");
	TEST_ASSERT(__tpt_create_addrmap(vm->fd, &args) &&
		    (errno == ENXIO || errno == ENOTTY),
		    "KVM_X86_TPT_CREATE_ADDRMAP without support");
	TEST_ASSERT(!kvm_cpu_has(KVM_X86_CPU_FEATURE(KVM_CPUID_FEATURES, 0, EAX,
						      KVM_FEATURE_TPT)),
		    "KVM_FEATURE_TPT without support");
	kvm_vm_free(vm);

	ksft_print_header();
	ksft_set_plan(1);
	ksft_test_result_pass("not supported, and refused\n");
	ksft_finished();
}

int main(int argc, char *argv[])
{
	if (!kvm_check_cap(KVM_CAP_X86_TPT))
		return test_not_supported();

	return test_harness_run(argc, argv);
}
