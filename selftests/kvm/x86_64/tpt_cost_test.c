// SPDX-License-Identifier: GPL-2.0-only
/*
 * Translation Pass-Through: what it costs the host to keep the RMP and the Guest
 * Address Map in step with the guest's memory, against a VM without TPT.
 *
 * Prints a line for each operation, in nanoseconds per page.  What is asserted is far
 * from what is measured: it is there to notice work that has become quadratic, or a
 * flush for each page.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tpt_util.h"

#define NR_SLOT0	1024ul
#define TEST_SLOT	1
#define TEST_GPA	(32ul << 20)
#define HPAGE_SIZE	(2ul << 20)
#define NR_PAGES	8192ul
#define ROUNDS		3
/* For single pages, each with a flush of its own */
#define NR_SINGLE	256ul

enum op { FAULT, REVOKE, REVOKE_SINGLE, REFAULT, LOG_ON, LOG_OFF, SLOT_GONE, NR_OPS };

static const struct {
	const char *name;
	const char *what;
	double limit;		/* with TPT over without */
} ops[NR_OPS] = {
	[FAULT]		= { "fault", "first store of the guest to a page that the host has", 2 },
	[REVOKE]	= { "revoke", "madvise(DONTNEED), all pages at once", 2 },
	[REVOKE_SINGLE]	= { "revoke-single", "the same, one page each", 2 },
	[REFAULT]	= { "refault", "after that, with a new page of the host", 2 },
	[LOG_ON]	= { "log-on", "dirty logging switched on", 2 },
	[LOG_OFF]	= { "log-off", "and off", 2 },
	[SLOT_GONE]	= { "slot-gone", "the slot deleted", 2 },
};

static uint64_t nr_touch;

static void guest_code(void)
{
	uint64_t i;

	for (;;) {
		for (i = 0; i < nr_touch; i++)
			*(volatile uint64_t *)(TEST_GPA + i * PAGE_SIZE) = i;
		GUEST_SYNC(0);
	}
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void set_slot(struct kvm_vm *vm, uint32_t flags, uint64_t nr_pages, void *mem)
{
	vm_set_user_memory_region(vm, TEST_SLOT, flags, TEST_GPA, nr_pages * PAGE_SIZE, mem);
}

static void touch(struct kvm_vm *vm, struct kvm_vcpu *vcpu, uint64_t nr)
{
	struct ucall uc;

	nr_touch = nr;
	sync_global_to_guest(vm, nr_touch);
	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_SYNC);
}

#define MEASURE(op, code)						\
do {									\
	uint64_t __start = now();					\
									\
	code;								\
	__start = now() - __start;					\
	if (!ns[op] || __start < ns[op])				\
		ns[op] = __start;					\
} while (0)

static void measure(bool tpt, int advice, uint64_t *ns)
{
	struct kvm_vm *vm = __tpt_vm_create(NR_SLOT0, tpt);
	struct kvm_vcpu *vcpu = vm_vcpu_add(vm, 0, guest_code);
	uint64_t i;
	char *mem;
	int round;

	if (tpt)
		close(tpt_create_addrmap(vm, TEST_GPA / PAGE_SIZE + NR_PAGES));
	virt_map(vm, TEST_GPA, TEST_GPA, NR_PAGES);
	touch(vm, vcpu, 0);

	mem = mmap(NULL, NR_PAGES * PAGE_SIZE + HPAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(mem != MAP_FAILED, __KVM_SYSCALL_ERROR("mmap()", -1));
	mem = (char *)align_up((uintptr_t)mem, HPAGE_SIZE);
	TEST_ASSERT(!madvise(mem, NR_PAGES * PAGE_SIZE, advice), __KVM_SYSCALL_ERROR("madvise()", -1));

	for (round = 0; round < ROUNDS; round++) {
		memset(mem, 1, NR_PAGES * PAGE_SIZE);
		set_slot(vm, 0, NR_PAGES, mem);
		MEASURE(FAULT, touch(vm, vcpu, NR_PAGES));
		MEASURE(REVOKE, madvise(mem, NR_PAGES * PAGE_SIZE, MADV_DONTNEED));
		MEASURE(REFAULT, touch(vm, vcpu, NR_PAGES));
		MEASURE(REVOKE_SINGLE, for (i = 0; i < NR_SINGLE; i++)
			madvise(mem + i * PAGE_SIZE, PAGE_SIZE, MADV_DONTNEED));
		touch(vm, vcpu, NR_PAGES);
		MEASURE(LOG_ON, set_slot(vm, KVM_MEM_LOG_DIRTY_PAGES, NR_PAGES, mem));
		touch(vm, vcpu, NR_PAGES);
		MEASURE(LOG_OFF, set_slot(vm, 0, NR_PAGES, mem));
		touch(vm, vcpu, NR_PAGES);
		MEASURE(SLOT_GONE, set_slot(vm, 0, 0, mem));
	}
	munmap(mem, NR_PAGES * PAGE_SIZE);
	kvm_vm_free(vm);
}

int main(int argc, char *argv[])
{
	static const struct {
		const char *name;
		int advice;
	} sizes[] = { { "4k", MADV_NOHUGEPAGE }, { "2m", MADV_HUGEPAGE } };
	uint64_t ns[2][NR_OPS];
	unsigned int s;
	enum op op;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_TPT));
	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(sizes) * NR_OPS);

	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		memset(ns, 0, sizeof(ns));
		measure(false, sizes[s].advice, ns[0]);
		measure(true, sizes[s].advice, ns[1]);

		for (op = 0; op < NR_OPS; op++) {
			uint64_t pages = op == REVOKE_SINGLE ? NR_SINGLE : NR_PAGES;

			ksft_print_msg("cost size=%s op=%s pages=%lu off_ns=%lu on_ns=%lu # %s\n",
				       sizes[s].name, ops[op].name, pages, ns[0][op], ns[1][op],
				       ops[op].what);
			/* A 2 MiB page is nearly free without TPT, and then 512 entries */
			ksft_test_result(ns[1][op] <= ops[op].limit * ns[0][op] + 500 * pages,
					 "%s, %s: at most %.0f times as much, and 500 ns per page\n",
					 ops[op].name, sizes[s].name, ops[op].limit);
		}
	}
	ksft_finished();
}
