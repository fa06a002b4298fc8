// SPDX-License-Identifier: GPL-2.0-only
/*
 * Translation Pass-Through: vCPUs run user mode on TPT tables, and mend them as
 * a guest would, while the host does to the VM's memory whatever it can.
 *
 * Every word that user mode loads must be the one that it stored last, every
 * page that the host took must stay as the host left it.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tpt_util.h"
#include "tpt_user.h"
#include "kvm_test_harness.h"

#define NR_VCPUS	2
#define NR_SLOT0	1024ul
#define PAGE_WORDS	(PAGE_SIZE / sizeof(uint64_t))

/* A file, mapped shared: what is taken from the guest comes back as it was */
#define FILE_SLOT	1
#define FILE_GFN	(32ul << 8)
#define NR_FILE		128ul
/* Anonymous memory: what is taken may be lost, and a child gets a copy */
#define ANON_SLOT	2
#define ANON_GFN	(48ul << 8)
#define NR_ANON		64ul
/* A slot that comes and goes, in two places */
#define MOVED_SLOT	3
#define MOVED_GFN	(64ul << 8)
#define NR_MOVED	16ul
/* The map, for the guest to read */
#define MAP_SLOT	4
#define MAP_GFN		(80ul << 8)

#define NR_GFNS		(MOVED_GFN + 2 * NR_MOVED)

/* Pages of the file */
enum {
	PAGE_CODE,
	PAGE_FLAG,		/* says whether TPT is suspended */
	PAGE_BY_TPT,		/* what user mode sees behind the flag in its TPT table */
	PAGE_BY_CR3,		/* and under CR3 */
	PAGE_TABLES,		/* 4 for each vCPU */
	PAGE_DATA = PAGE_TABLES + 4 * NR_VCPUS,
};

#define NR_FILE_DATA	(NR_FILE - PAGE_DATA)

/* One last-level table has it all: code, flag, what is behind it, the data */
#define USER_VA		0x100000000000ul
#define FLAG_INDEX	1
#define WAY_INDEX	2
#define FILE_INDEX	3
#define ANON_INDEX	(FILE_INDEX + NR_FILE_DATA)
#define NR_INDEX	(ANON_INDEX + NR_ANON)

#define PTE_FLAGS	(PTE_PRESENT_MASK | PTE_WRITABLE_MASK | PTE_USER_MASK)

#define WAY_TPT		1
#define WAY_CR3		2

/* What user mode ended with, in %rax */
#define USER_BAD_DATA	1
#define USER_BAD_WAY	2

#define PASSES_PER_SYNC	8
#define SYNC_PORT	0x1001

#define SECRET		0x5ec4e75ec4e70001ul

/* A vCPU's words in each page; no value is one of another's, or 0. */
#define first_value(vcpu, anon)	((0x7bull << 56) + (((vcpu) * 2ull + (anon)) << 48))

struct vcpu_state {
	uint64_t passes[2];		/* by the way user mode saw */
	uint64_t stale;
	uint64_t missing;
	uint64_t refused;
	uint64_t off;
	uint64_t lost;
	uint64_t root;
	uint64_t value[2];
	/* Set when something is wrong */
	uint64_t error;
	uint64_t where[4];
};

static struct vcpu_state states[NR_VCPUS];

/*
 * User mode.  %rbx: the first page, %rcx: number of pages, %rdi: offset in each,
 * %rsi: value that is expected there, %r8: the flag.  Zero is a page that was
 * lost, %rdx counts them.
 */
extern char race_code, race_load, race_store, race_skip, race_code_end;

asm(".pushsection .text\n"
    "race_code:\n"
    "	mov (%r8), %r9\n"
    "	mov 4096(%r8), %r10\n"
    "	cmp (%r8), %r9\n"
    "	jne race_load\n"
    "	test $0xff, %r9b\n"
    "	jz race_load\n"
    "	cmp $" __stringify(WAY_TPT) ", %r10\n"
    "	jne race_load\n"
    "	mov $" __stringify(USER_BAD_WAY) ", %eax\n"
    "	int $" __stringify(USER_VECTOR) "\n"
    "race_load:\n"
    "	mov (%rbx, %rdi), %rax\n"
    "	cmp %rsi, %rax\n"
    "	je 1f\n"
    "	inc %rdx\n"
    "	test %rax, %rax\n"
    "	jz 1f\n"
    "	mov %rax, %r9\n"
    "	mov $" __stringify(USER_BAD_DATA) ", %eax\n"
    "	int $" __stringify(USER_VECTOR) "\n"
    "1:	lea 1(%rsi), %rax\n"
    "race_store:\n"
    "	mov %rax, (%rbx, %rdi)\n"
    "race_skip:\n"
    "	add $4096, %rbx\n"
    "	dec %rcx\n"
    "	jnz race_code\n"
    "	xor %eax, %eax\n"
    "	int $" __stringify(USER_VECTOR) "\n"
    "race_code_end:\n"
    ".popsection\n");

static uint64_t code_va(void *label)
{
	return USER_VA + ((char *)label - &race_code);
}

static uint64_t index_to_gfn(uint64_t index)
{
	return index >= ANON_INDEX ? ANON_GFN + index - ANON_INDEX :
	       index >= FILE_INDEX ? FILE_GFN + PAGE_DATA + index - FILE_INDEX :
	       index == WAY_INDEX ? FILE_GFN + PAGE_BY_TPT :
	       index == FLAG_INDEX ? FILE_GFN + PAGE_FLAG : FILE_GFN + PAGE_CODE;
}

static struct {
	uint64_t rax;
	uint64_t rbx;
	uint64_t rdx;
	uint64_t r9;
	uint64_t r10;
} ends[NR_VCPUS];

static void user_trap(struct ex_regs *regs)
{
	uint64_t id = tpt_user_of(regs)->id;

	ends[id].rax = regs->rax;
	ends[id].rbx = regs->rbx;
	ends[id].rdx = regs->rdx;
	ends[id].r9 = regs->r9;
	ends[id].r10 = regs->r10;
	tpt_user_leave(regs);
}

/* The frame of a page, if need be after having the host make it the guest's */
static uint64_t look_up(uint64_t gfn)
{
	volatile uint64_t *entry = (uint64_t *)(MAP_GFN * PAGE_SIZE) + gfn;
	uint64_t e = *entry;

	if (!(e & TPT_GAM_VALID)) {
		asm volatile("lock orb $0, (%0)" :: "r"(gfn * PAGE_SIZE) : "memory");
		e = *entry;
	}
	return e & TPT_GAM_VALID ? e & TPT_GAM_FRAME_MASK : 0;
}

static uint64_t *table_of(uint64_t id, int level)
{
	return (uint64_t *)((FILE_GFN + PAGE_TABLES + 4 * id + 4 - level) * PAGE_SIZE);
}

static uint64_t table_entry(uint64_t frame)
{
	return frame ? frame | PTE_FLAGS : 0;
}

/* Go on under CR3 alone, until the next round */
static void tpt_off(struct vcpu_state *s)
{
	s->off++;
	s->root = 0;
	wrmsr(MSR_TPT_CR3, 0);
}

/* Compare all levels with the map.  Return: whether @va can be reached now */
static bool mend(uint64_t id, uint64_t va)
{
	struct vcpu_state *s = &states[id];
	bool complete = true, new_root = false;
	uint64_t index, e, *p;
	int level;

	e = look_up((uint64_t)table_of(id, 4) / PAGE_SIZE);
	if (!e) {
		tpt_off(s);
		return true;
	}
	if (s->root != e) {
		s->root = e;
		new_root = true;
	}

	for (level = 4; level >= 1; level--) {
		index = va >> (3 + 9 * level) & 0x1ff;
		p = table_of(id, level) + index;
		e = table_entry(look_up(level > 1 ? (uint64_t)table_of(id, level - 1) / PAGE_SIZE :
					index_to_gfn(index)));
		if ((*p & ~(PTE_ACCESSED_MASK | PTE_DIRTY_MASK)) != e)
			WRITE_ONCE(*p, e);
		complete &= e;
	}

	if (new_root)
		wrmsr(MSR_TPT_CR3, s->root | TPT_CR3_VALID);
	else
		asm volatile("invlpg (%0)" :: "r"(va) : "memory");
	return complete;
}

static void user_fault(struct ex_regs *regs)
{
	struct tpt_user *user = tpt_user_of(regs);
	struct vcpu_state *s = &states[user->id];
	uint64_t va, *p;

	asm volatile("mov %%cr2, %0" : "=r"(va));
	__GUEST_ASSERT((regs->error_code & TPT_PF_TPT) && va - USER_VA < NR_INDEX * PAGE_SIZE,
		       "error code %lx, CR2 %lx", regs->error_code, va);

	if (regs->error_code & TPT_PF_STALE)
		s->stale++;
	else
		s->missing++;

	if (mend(user->id, va))
		return;

	/* Code or flag: somebody has taken it again already.  Leave it to CR3 for now */
	if (va < USER_VA + FILE_INDEX * PAGE_SIZE) {
		tpt_off(s);
		return;
	}

	/* A page that TPT can't have; do here what user mode wanted to */
	s->refused++;
	p = (uint64_t *)(index_to_gfn((va - USER_VA) / PAGE_SIZE) * PAGE_SIZE + va % PAGE_SIZE);
	if (regs->rip == code_va(&race_load) && *p != regs->rsi) {
		regs->rdx++;
		if (*p) {
			regs->r9 = *p;
			regs->rax = USER_BAD_DATA;
			user_trap(regs);
			return;
		}
	}
	WRITE_ONCE(*p, regs->rsi + 1);
	regs->rip = code_va(&race_skip);
}

static void pass(struct tpt_user *user, bool anon)
{
	struct vcpu_state *s = &states[user->id];

	user->rip = code_va(&race_code);
	user->rbx = USER_VA + (anon ? ANON_INDEX : FILE_INDEX) * PAGE_SIZE;
	user->rcx = anon ? NR_ANON : NR_FILE_DATA;
	user->rdi = user->id * 64;
	user->rsi = s->value[anon];
	user->r8 = USER_VA + FLAG_INDEX * PAGE_SIZE;
	tpt_run_user(user);

	s->passes[ends[user->id].r10 == WAY_CR3]++;
	s->lost += ends[user->id].rdx;
	if (ends[user->id].rax || (!anon && ends[user->id].rdx)) {
		s->where[0] = (ends[user->id].rbx - USER_VA) / PAGE_SIZE;
		s->where[1] = ends[user->id].r9;
		s->where[2] = s->value[anon];
		s->where[3] = ends[user->id].r10;
		s->error = ends[user->id].rax ?: USER_BAD_DATA;
	}
	s->value[anon]++;
}

static void guest_code(struct tpt_user *user)
{
	struct vcpu_state *s = &states[user->id];
	const uint64_t gpa = MOVED_GFN * PAGE_SIZE;
	uint64_t n;

	for (n = 0; ; n++) {
		if (!s->root)
			mend(user->id, USER_VA);
		pass(user, false);
		pass(user, true);

		/* Nothing or memory, in either place */
		if (!(n % 4))
			WRITE_ONCE(*(uint64_t *)(gpa + n / 4 % (2 * NR_MOVED) * PAGE_SIZE), n);

		if (s->error || !(n % PASSES_PER_SYNC))
			asm volatile("outb %%al, %%dx" :: "a"(0), "d"(SYNC_PORT) : "memory");
	}
}

/*
 * The host's side, one VM for each process
 */
static struct kvm_vm *vm;
static struct kvm_vcpu *vcpus[NR_VCPUS];
static int map_fd, file_fd;
static const volatile uint64_t *gam;
static char *file, *anon, *moved;
static volatile uint64_t *flag;		/* in the file, wherever take() is at */

static volatile bool stop, closing;

/* What the threads have done, and found */
static struct {
	uint64_t syncs, mmio, efault;
	uint64_t taken, children, moves, logged, dirty, suspends, entries;
	uint64_t errors;
} count;

static unsigned int opt_vms = 50;
static unsigned int opt_kills = 20;
static unsigned int opt_ms = 400;

#define add(counter, n)	__atomic_fetch_add(&count.counter, n, __ATOMIC_RELAXED)

#define error(fmt, ...)								\
do {										\
	if (add(errors, 1) < 10)						\
		ksft_print_msg("error: " fmt "\n", ##__VA_ARGS__);		\
} while (0)

static uint64_t rnd(uint64_t n)
{
	static __thread uint64_t state;

	if (!state)
		state = (uintptr_t)&state | 1;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 32) * n >> 32;
}

/* A slot may be set or the VM used until somebody has closed it. */
static bool done(int ret, const char *what)
{
	if (!ret)
		return true;
	if (!closing)
		error("%s: %s", what, strerror(errno));
	return false;
}

static bool set_slot(uint32_t slot, uint32_t flags, uint64_t gfn, uint64_t nr, void *mem)
{
	return done(__vm_set_user_memory_region(vm, slot, flags, gfn * PAGE_SIZE,
						nr * PAGE_SIZE, mem), "memslot");
}

static char *alloc_mem(uint64_t nr, int flags, int fd)
{
	char *mem = mmap(NULL, nr * PAGE_SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);

	TEST_ASSERT(mem != MAP_FAILED, __KVM_SYSCALL_ERROR("mmap()", -1));
	return mem;
}

static void map_user(uint64_t va, uint64_t gfn)
{
	int level;

	virt_pg_map(vm, va, gfn * PAGE_SIZE);
	for (level = PG_LEVEL_4K; level <= PG_LEVEL_512G; level++) {
		int l = level;

		*__vm_get_page_table_entry(vm, va, &l) |= PTE_USER_MASK;
	}
}

static void create(void)
{
	const uint64_t map_pages = align_up(NR_GFNS * sizeof(uint64_t), PAGE_SIZE) / PAGE_SIZE;
	uint64_t i, j, word;

	vm = tpt_vm_create(NR_SLOT0);
	map_fd = tpt_create_addrmap(vm, NR_GFNS);
	gam = tpt_map_addrmap(map_fd, NR_GFNS);
	file_fd = memfd_create("tpt_race_test", 0);
	TEST_ASSERT(file_fd >= 0 && !ftruncate(file_fd, NR_FILE * PAGE_SIZE),
		    __KVM_SYSCALL_ERROR("memfd_create()", -1));

	file = alloc_mem(NR_FILE, MAP_SHARED, file_fd);
	flag = (uint64_t *)(alloc_mem(NR_FILE, MAP_SHARED, file_fd) + PAGE_FLAG * PAGE_SIZE);
	/* Before anything is taken: a frame that was another page's would be refused for ever */
	memset(file, 0, NR_FILE * PAGE_SIZE);
	anon = alloc_mem(NR_ANON, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	moved = alloc_mem(NR_MOVED, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	set_slot(FILE_SLOT, 0, FILE_GFN, NR_FILE, file);
	set_slot(ANON_SLOT, 0, ANON_GFN, NR_ANON, anon);
	set_slot(MOVED_SLOT, 0, MOVED_GFN, NR_MOVED, moved);
	set_slot(MAP_SLOT, KVM_MEM_READONLY, MAP_GFN, map_pages, (void *)gam);
	virt_map(vm, FILE_GFN * PAGE_SIZE, FILE_GFN * PAGE_SIZE, NR_FILE);
	virt_map(vm, ANON_GFN * PAGE_SIZE, ANON_GFN * PAGE_SIZE, NR_ANON);
	virt_map(vm, MOVED_GFN * PAGE_SIZE, MOVED_GFN * PAGE_SIZE, 2 * NR_MOVED);
	virt_map(vm, MAP_GFN * PAGE_SIZE, MAP_GFN * PAGE_SIZE, map_pages);

	/* While TPT is suspended user mode goes on under CR3, in the same memory but one page */
	for (i = 0; i < NR_INDEX; i++)
		map_user(USER_VA + i * PAGE_SIZE, i == WAY_INDEX ? FILE_GFN + PAGE_BY_CR3 :
							    index_to_gfn(i));

	memcpy(file + PAGE_CODE * PAGE_SIZE, &race_code, &race_code_end - &race_code);
	*(uint64_t *)(file + PAGE_BY_TPT * PAGE_SIZE) = WAY_TPT;
	*(uint64_t *)(file + PAGE_BY_CR3 * PAGE_SIZE) = WAY_CR3;

	memset(states, 0, sizeof(states));
	for (i = 0; i < NR_VCPUS; i++) {
		word = i * 8;
		states[i].value[0] = first_value(i, 0);
		states[i].value[1] = first_value(i, 1);
		for (j = PAGE_DATA; j < NR_FILE; j++)
			((uint64_t *)(file + j * PAGE_SIZE))[word] = first_value(i, 0);
		for (j = 0; j < NR_ANON; j++)
			((uint64_t *)(anon + j * PAGE_SIZE))[word] = first_value(i, 1);
		vcpus[i] = vm_vcpu_add(vm, i, guest_code);
		vcpu_args_set(vcpus[i], 1, tpt_user_init_vcpu(vcpus[i]));
	}
	tpt_user_init_vm(vm, user_trap, user_fault);
	sync_global_to_guest(vm, states);
}

static void destroy(void)
{
	kvm_vm_free(vm);
	munmap((void *)gam, align_up(NR_GFNS * sizeof(uint64_t), PAGE_SIZE));
	close(map_fd);
	close(file_fd);
	munmap(file, NR_FILE * PAGE_SIZE);
	munmap((char *)flag - PAGE_FLAG * PAGE_SIZE, NR_FILE * PAGE_SIZE);
	munmap(anon, NR_ANON * PAGE_SIZE);
	munmap(moved, NR_MOVED * PAGE_SIZE);
}

static void *run_vcpu(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct vcpu_state *s = &((struct vcpu_state *)
				 addr_gva2hva(vm, (uintptr_t)states))[vcpu->id];
	struct ucall uc;

	/* There are fewer CPUs than threads, and the others sleep most of the time */
	setpriority(PRIO_PROCESS, syscall(SYS_gettid), 10);

	while (!stop) {
		if (__vcpu_run(vcpu)) {
			if (closing)
				break;
			/* Read-only for a moment, see take() */
			if (errno == EFAULT || errno == EAGAIN) {
				add(efault, 1);
				sched_yield();
				continue;
			}
			if (errno == EINTR)
				continue;
			error("KVM_RUN: %s", strerror(errno));
			break;
		}

		if (vcpu->run->exit_reason == KVM_EXIT_MMIO) {
			add(mmio, 1);
			continue;
		}
		if (vcpu->run->exit_reason != KVM_EXIT_IO || vcpu->run->io.port != SYNC_PORT) {
			if (closing)
				break;
			if (get_ucall(vcpu, &uc) == UCALL_ABORT)
				REPORT_GUEST_ASSERT(uc);
			error("exit %u", vcpu->run->exit_reason);
			break;
		}

		add(syncs, 1);
		if (s->error) {
			error("vCPU %u, %s, page %lu: %lx instead of %lx, way %lu", vcpu->id,
			      s->error == USER_BAD_WAY ? "TPT although suspended" : "data",
			      s->where[0], s->where[1], s->where[2], s->where[3]);
			break;
		}
	}
	return NULL;
}

/*
 * Frames that the guest has had.  Each is filled with secrets that nobody may see
 * or change, and kept for some time, since KVM lets the VM not have them again
 * in another place.
 */
#define NR_KEPT		1024

static void keep(uint64_t nr)
{
	static __thread struct {
		uint64_t *p;
		uint64_t nr;
	} kept[NR_KEPT], *k;
	static __thread unsigned int next;
	unsigned int j;
	uint64_t i;

	k = &kept[next++ % NR_KEPT];
	if (k->p)
		munmap(k->p, k->nr * PAGE_SIZE);
	k->p = (uint64_t *)alloc_mem(nr, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	k->nr = nr;
	for (i = 0; i < nr * PAGE_WORDS; i++)
		k->p[i] = SECRET;
	usleep(rnd(300));

	/* This one, and one of the others */
	for (j = 0; j < 2; j++) {
		for (i = 0; k->p && i < k->nr * PAGE_WORDS; i++) {
			if (k->p[i] != SECRET)
				error("word %lu of %lu kept pages became %lx", i, k->nr, k->p[i]);
		}
		k = &kept[rnd(NR_KEPT)];
	}
}

static void take(void)
{
	uint64_t nr = 1 + rnd(8), first;

	first = rnd(NR_FILE - nr);
	if (rnd(4)) {
		madvise(file + first * PAGE_SIZE, nr * PAGE_SIZE, MADV_DONTNEED);
	} else {
		mprotect(file + first * PAGE_SIZE, nr * PAGE_SIZE, PROT_READ);
		mprotect(file + first * PAGE_SIZE, nr * PAGE_SIZE, PROT_READ | PROT_WRITE);
	}

	first = rnd(NR_ANON - nr);
	madvise(anon + first * PAGE_SIZE, nr * PAGE_SIZE, MADV_DONTNEED);
	keep(nr);
	add(taken, 2 * nr);
}

static void *taker(void *arg)
{
	while (!stop) {
		take();
		usleep(rnd(500));
	}
	return NULL;
}

static uint64_t sum_of(const char *mem, uint64_t nr)
{
	const volatile uint64_t *p = (void *)mem;
	uint64_t sum = 0, i, j;

	for (i = 0; i < nr; i++) {
		for (j = 0; j < NR_VCPUS; j++)
			sum = sum * 31 + p[i * PAGE_WORDS + j * 8];
	}
	return sum;
}

/* A child's copy must stay what it was, whoever keeps the page itself. */
static void *forker(void *arg)
{
	struct timespec ts = { .tv_nsec = 300000 };
	uint64_t sum;
	int status, i;
	pid_t pid;

	while (!stop) {
		pid = fork();
		if (!pid) {
			sum = sum_of(anon, NR_ANON);
			for (i = 0; i < 4; i++) {
				nanosleep(&ts, NULL);
				if (sum_of(anon, NR_ANON) != sum)
					_exit(1);
			}
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid) {
			error("fork: %s", strerror(errno));
			break;
		}
		if (status)
			error("a child's memory was changed, or it died: %x", status);
		/* Those that the child had last */
		keep(NR_ANON / 2);
		add(children, 1);
		usleep(rnd(2000));
	}
	return NULL;
}

static void *mover(void *arg)
{
	uint64_t place = 0;

	while (!stop) {
		switch (rnd(3)) {
		case 0:
			/* Moved */
			place = !place;
			break;
		case 1:
			/* With other memory */
			if (!set_slot(MOVED_SLOT, 0, MOVED_GFN + place * NR_MOVED, 0, moved))
				return NULL;
			madvise(moved, NR_MOVED * PAGE_SIZE, MADV_DONTNEED);
			usleep(rnd(200));
			break;
		default:
			/* In the other place, with the same memory */
			if (!set_slot(MOVED_SLOT, 0, MOVED_GFN + place * NR_MOVED, 0, moved))
				return NULL;
			usleep(rnd(200));
			place = !place;
		}
		if (!set_slot(MOVED_SLOT, 0, MOVED_GFN + place * NR_MOVED, NR_MOVED, moved))
			return NULL;
		add(moves, 1);
		usleep(rnd(1000));
	}
	return NULL;
}

/*
 * The flag for user mode: a number that is never the same again, and in its low
 * byte how many threads have suspended TPT.
 */
static pthread_mutex_t flag_lock = PTHREAD_MUTEX_INITIALIZER;

static void set_suspended(bool suspended)
{
	static uint64_t number, users;

	pthread_mutex_lock(&flag_lock);
	users += suspended ? 1 : -1;
	*flag = ++number << 8 | users;
	pthread_mutex_unlock(&flag_lock);
}

static void *suspender(void *arg)
{
	uint32_t state;

	while (!stop) {
		state = KVM_X86_TPT_STATE_SUSPENDED;
		if (!done(__vm_ioctl(vm, KVM_X86_TPT_SET_STATE, &state), "suspend"))
			break;
		set_suspended(true);
		usleep(rnd(500));
		set_suspended(false);
		state = KVM_X86_TPT_STATE_RUN;
		if (!done(__vm_ioctl(vm, KVM_X86_TPT_SET_STATE, &state), "resume"))
			break;
		add(suspends, 1);
		usleep(rnd(5000));
	}
	return NULL;
}

static void copy_words(uint64_t (*to)[NR_VCPUS])
{
	volatile uint64_t *p;
	uint64_t i, j;

	for (i = PAGE_DATA; i < NR_FILE; i++) {
		p = (uint64_t *)(file + i * PAGE_SIZE);
		for (j = 0; j < NR_VCPUS; j++)
			to[i][j] = p[j * 8];
	}
}

/* What changes while the slot is logged is in the log. */
static void *logger(void *arg)
{
	static uint64_t before[NR_FILE][NR_VCPUS], after[NR_FILE][NR_VCPUS];
	unsigned long bitmap[NR_FILE / 64];
	struct kvm_dirty_log log = { .slot = FILE_SLOT, .dirty_bitmap = bitmap };
	uint64_t i;
	int n;

	while (!stop) {
		if (!set_slot(FILE_SLOT, KVM_MEM_LOG_DIRTY_PAGES, FILE_GFN, NR_FILE, file))
			break;
		set_suspended(true);
		for (n = 0; n < 3; n++) {
			copy_words(before);
			usleep(rnd(1000));
			copy_words(after);
			if (!done(__vm_ioctl(vm, KVM_GET_DIRTY_LOG, &log), "dirty log"))
				break;
			for (i = PAGE_DATA; i < NR_FILE; i++) {
				if (!memcmp(before[i], after[i], sizeof(before[i])))
					continue;
				add(dirty, 1);
				if (!(bitmap[i / 64] & BIT_ULL(i % 64)))
					error("a store to page %lu is not in the log", i);
			}
		}
		set_suspended(false);
		if (!set_slot(FILE_SLOT, 0, FILE_GFN, NR_FILE, file))
			break;
		add(logged, 1);
		usleep(rnd(8000));
	}
	return NULL;
}

/*
 * An entry is empty or right.  It is cleared before the host takes the page, so
 * between two looks at the same entry the page was there.  Only if it went and
 * came back meanwhile it may have been seen missing, hence try again.
 */
static void check_entry(uint64_t gfn, char *hva)
{
	uint64_t e, pfn = 0;
	int n;

	for (n = 0; n < 20; n++) {
		e = gam[gfn];
		if (!e)
			return;
		pfn = tpt_hva_to_pfn(hva);
		if (gam[gfn] != e)
			continue;
		if (pfn == tpt_gam_pfn(e) && (e & ~(TPT_GAM_FRAME_MASK | TPT_GAM_SIZE_MASK)) ==
		    (TPT_GAM_VALID | TPT_GAM_WRITABLE))
			return;
	}
	if (gam[gfn] == e)
		error("gfn %lx: the map says %lx, the frame is %lx", gfn, e, pfn);
}

static void *reader(void *arg)
{
	uint64_t i;

	while (!stop) {
		for (i = 0; i < NR_FILE && !stop; i++)
			check_entry(FILE_GFN + i, file + i * PAGE_SIZE);
		for (i = 0; i < NR_ANON && !stop; i++)
			check_entry(ANON_GFN + i, anon + i * PAGE_SIZE);
		for (i = 0; i < 2 * NR_MOVED && !stop; i++)
			check_entry(MOVED_GFN + i, moved + i % NR_MOVED * PAGE_SIZE);
		for (i = 0; i < NR_SLOT0 && !stop; i += 1 + rnd(16))
			check_entry(i, addr_gpa2hva(vm, i * PAGE_SIZE));
		add(entries, NR_FILE + NR_ANON + 2 * NR_MOVED + NR_SLOT0 / 8);
		usleep(100);
	}
	return NULL;
}

typedef void *(*thread_fn)(void *);

static pthread_t threads[NR_VCPUS + 8];
static int nr_threads;

static void start(const thread_fn *loads)
{
	int i;

	stop = false;
	nr_threads = 0;
	for (i = 0; i < NR_VCPUS; i++)
		pthread_create(&threads[nr_threads++], NULL, run_vcpu, vcpus[i]);
	for (i = 0; loads[i]; i++)
		pthread_create(&threads[nr_threads++], NULL, loads[i], NULL);
}

static void print_states(void)
{
	struct vcpu_state *s;
	int i;

	for (i = 0; i < NR_VCPUS; i++) {
		s = (struct vcpu_state *)addr_gva2hva(vm, (uintptr_t)states) + i;
		ksft_print_msg("vCPU %d: %lu passes by TPT, %lu under CR3, %lu words lost\n",
			       i, s->passes[0], s->passes[1], s->lost);
		ksft_print_msg("  %lu stale, %lu missing, %lu refused, %lu times off\n",
			       s->stale, s->missing, s->refused, s->off);
	}
}

static void join(void)
{
	struct timespec ts;
	int i;

	/* A guest that faults for ever never gets as far as its next exit */
	for (i = 0; nr_threads; i++) {
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_sec += 10;
		if (!pthread_timedjoin_np(threads[nr_threads - 1], NULL, &ts)) {
			nr_threads--;
			i = 0;
			continue;
		}
		ksft_print_msg("thread %d does not end\n", nr_threads - 1);
		if (!closing)
			print_states();
		if (i == 2)
			_exit(KSFT_FAIL);
	}
}

static const thread_fn all_loads[] = {
	taker, forker, mover, suspender, logger, reader, NULL,
};

static void race(struct __test_metadata *_metadata, const thread_fn *loads, unsigned int ms)
{
	memset(&count, 0, sizeof(count));
	create();
	start(loads);
	usleep(ms * 1000);
	stop = true;
	join();

	sync_global_from_guest(vm, states);
	print_states();
	ksft_print_msg("%lu pages taken, %lu children, %lu moves, %lu times suspended\n",
		       count.taken, count.children, count.moves, count.suspends);
	ksft_print_msg("%lu times logged, %lu dirty pages, %lu entries read, %lu MMIO, %lu again\n",
		       count.logged, count.dirty, count.entries, count.mmio, count.efault);
	destroy();

	EXPECT_EQ(0, count.errors);
	EXPECT_LT(0, states[0].passes[0] + states[1].passes[0]);
}

FIXTURE(race) { };
FIXTURE_SETUP(race) { }
FIXTURE_TEARDOWN(race) { }

TEST_F_TIMEOUT(race, revoked, 600)
{
	static const thread_fn loads[] = { taker, reader, NULL };

	race(_metadata, loads, opt_ms);
	EXPECT_LT(0, states[0].stale + states[1].stale);
	EXPECT_LT(0, count.taken);
}

TEST_F_TIMEOUT(race, forked, 600)
{
	static const thread_fn loads[] = { forker, reader, NULL };

	race(_metadata, loads, opt_ms);
	EXPECT_LT(0, states[0].stale + states[1].stale);
	EXPECT_LT(0, count.children);
	EXPECT_EQ(0, states[0].lost + states[1].lost);
}

TEST_F_TIMEOUT(race, slot_moved, 600)
{
	static const thread_fn loads[] = { mover, reader, NULL };

	race(_metadata, loads, opt_ms);
	EXPECT_LT(0, count.moves);
	EXPECT_EQ(0, states[0].lost + states[1].lost);
}

TEST_F_TIMEOUT(race, dirty_logging, 600)
{
	static const thread_fn loads[] = { logger, reader, NULL };

	race(_metadata, loads, opt_ms);
	EXPECT_LT(0, count.dirty);
	EXPECT_LT(0, states[0].passes[1] + states[1].passes[1]);
	EXPECT_EQ(0, states[0].lost + states[1].lost);
}

TEST_F_TIMEOUT(race, suspended, 600)
{
	static const thread_fn loads[] = { suspender, reader, NULL };

	race(_metadata, loads, opt_ms);
	EXPECT_LT(0, count.suspends);
	EXPECT_LT(0, states[0].passes[1] + states[1].passes[1]);
	EXPECT_EQ(0, states[0].lost + states[1].lost);
}

TEST_F_TIMEOUT(race, everything, 600)
{
	race(_metadata, all_loads, 2 * opt_ms);
	EXPECT_LT(0, states[0].stale + states[1].stale);
	EXPECT_LT(0, count.dirty);
}

/*
 * The end of a VM whose vCPUs are running.  The map outlives it, and shows what
 * is tagged: nothing may be.
 */
static bool kernel_has_warned(void)
{
	unsigned long tainted = 0;
	FILE *f = fopen("/proc/sys/kernel/tainted", "r");

	TEST_ASSERT(f && fscanf(f, "%lu", &tainted) == 1, "tainted cannot be read");
	fclose(f);
	return tainted & BIT(9);
}

static uint64_t nr_tagged(const volatile uint64_t *map)
{
	uint64_t i, n = 0;

	for (i = 0; i < NR_GFNS; i++)
		n += !!map[i];
	return n;
}

/* A new VM gets what the old one had; all of it, nothing is somebody else's still. */
static void guest_touch(void)
{
	uint64_t i;

	for (i = 0; i < 4 * NR_ANON; i++)
		asm volatile("lock orb $0, (%0)" :: "r"((ANON_GFN + i) * PAGE_SIZE) : "memory");
	asm volatile("outb %%al, %%dx" :: "a"(0), "d"(SYNC_PORT) : "memory");
}

/* Return: how many frames were refused */
static uint64_t run_new_vm(void)
{
	const volatile uint64_t *map;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *new;
	uint64_t i, n = 0;
	char *mem;
	int fd;

	new = tpt_vm_create(NR_SLOT0);
	vcpu = vm_vcpu_add(new, 0, guest_touch);
	fd = tpt_create_addrmap(new, NR_GFNS);
	map = tpt_map_addrmap(fd, NR_GFNS);
	close(fd);
	mem = alloc_mem(4 * NR_ANON, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	vm_set_user_memory_region(new, ANON_SLOT, 0, ANON_GFN * PAGE_SIZE,
				  4 * NR_ANON * PAGE_SIZE, mem);
	virt_map(new, ANON_GFN * PAGE_SIZE, ANON_GFN * PAGE_SIZE, 4 * NR_ANON);
	vcpu_run(vcpu);
	for (i = 0; i < 4 * NR_ANON; i++)
		n += !map[ANON_GFN + i];
	kvm_vm_free(new);
	n += nr_tagged(map);
	munmap((void *)map, align_up(NR_GFNS * sizeof(uint64_t), PAGE_SIZE));
	munmap(mem, 4 * NR_ANON * PAGE_SIZE);
	return n;
}

struct shared {
	volatile int map_fd;
	volatile bool running;
	volatile bool go;
	volatile bool close;
	volatile bool closed;
	volatile bool checked;
	volatile uint64_t errors;
};

/* Close what there is of the VM, with the vCPUs in KVM_RUN */
static void close_vm(void)
{
	int i, size, kvm_fd = open_kvm_dev_path_or_exit();

	closing = true;
	for (i = 0; i < NR_VCPUS; i++)
		close(vcpus[i]->fd);
	close(vm->fd);
	close(vm->kvm_fd);
	close(map_fd);
	stop = true;
	join();
	/* The mapping is a reference, too */
	size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL);
	for (i = 0; i < NR_VCPUS; i++)
		munmap(vcpus[i]->run, size);
}

static void victim(struct shared *shared)
{
	uint64_t last;

	memset(&count, 0, sizeof(count));
	create();
	start(all_loads);
	while (count.syncs < 4 && !count.errors)
		usleep(500);
	shared->map_fd = map_fd;
	shared->running = true;

	if (!shared->close) {
		/* The parent kills */
		for (last = 0; ; last = count.errors) {
			shared->errors = last;
			usleep(500);
		}
	}

	while (!shared->go)
		usleep(500);
	usleep(rnd(5000));
	close_vm();
	shared->errors = count.errors;
	shared->closed = true;
	while (!shared->checked)
		usleep(500);
	_exit(0);
}

TEST_F_TIMEOUT(race, killed, 3600)
{
	const size_t map_size = align_up(NR_GFNS * sizeof(uint64_t), PAGE_SIZE);
	bool warned = kernel_has_warned(), close_it;
	const volatile uint64_t *map;
	struct shared *shared;
	uint64_t before = 0, n, tries;
	int pidfd, fd, status;
	unsigned int i;
	pid_t pid;

	shared = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)shared);

	for (i = 0; i < opt_kills; i++) {
		close_it = i % 2;
		memset(shared, 0, sizeof(*shared));
		shared->close = close_it;

		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			victim(shared);
		while (!shared->running) {
			ASSERT_EQ(0, waitpid(pid, &status, WNOHANG));
			usleep(500);
		}

		pidfd = syscall(SYS_pidfd_open, pid, 0);
		ASSERT_LE(0, pidfd);
		fd = syscall(SYS_pidfd_getfd, pidfd, shared->map_fd, 0);
		ASSERT_LE(0, fd) TH_LOG("pidfd_getfd: %s", strerror(errno));
		map = mmap(NULL, map_size, PROT_READ, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, (void *)map);

		n = nr_tagged(map);
		before += n;
		if (close_it) {
			shared->go = true;
			while (!shared->closed) {
				ASSERT_EQ(0, waitpid(pid, &status, WNOHANG));
				usleep(500);
			}
		} else {
			usleep(rnd(5000));
			ASSERT_EQ(0, kill(pid, SIGKILL));
			ASSERT_EQ(pid, waitpid(pid, &status, 0));
		}

		/* A child of the forker's may be the last to go */
		for (tries = 0; (n = nr_tagged(map)) && tries < 1000; tries++)
			usleep(1000);
		EXPECT_EQ(0, n) TH_LOG("round %u: %lu frames are tagged", i, n);
		EXPECT_EQ(0, shared->errors);

		if (close_it) {
			shared->checked = true;
			ASSERT_EQ(pid, waitpid(pid, &status, 0));
			EXPECT_EQ(0, status);
		}
		/* As long as a child of the forker's keeps the VM, frames are kept for it */
		for (tries = 0; (n = run_new_vm()) && tries < 20; tries++)
			usleep(10000);
		EXPECT_EQ(0, n) TH_LOG("round %u: a new VM is refused %lu frames", i, n);

		munmap((void *)map, map_size);
		close(fd);
		close(pidfd);
	}
	ksft_print_msg("%u VMs killed or closed, %lu frames were tagged\n", i, before);
	EXPECT_LT(0, before);
	if (!warned)
		EXPECT_FALSE(kernel_has_warned());
}

/* Nothing stays behind, not even a tag: there are 65535 */
static uint64_t vmalloc_used(void)
{
	unsigned long kib = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "r");

	TEST_ASSERT(f, __KVM_SYSCALL_ERROR("fopen(meminfo)", -1));
	while (fgets(line, sizeof(line), f) && sscanf(line, "VmallocUsed: %lu", &kib) != 1)
		;
	fclose(f);
	return kib;
}

TEST_F_TIMEOUT(race, created_and_destroyed, 3600)
{
	bool warned = kernel_has_warned();
	uint64_t kib, refused = 0;
	unsigned int i;

	refused += run_new_vm();
	kib = vmalloc_used();
	for (i = 0; i < opt_vms; i++)
		refused += run_new_vm();
	kib = vmalloc_used() - kib;

	ksft_print_msg("%u VMs, %lu frames refused, %ld KiB of vmalloc more than before\n", i,
		       refused, (long)kib);
	EXPECT_EQ(0, refused);
	EXPECT_GT((long)(opt_vms * NR_GFNS * sizeof(uint64_t) / 1024 / 4), (long)kib);
	if (!warned)
		EXPECT_FALSE(kernel_has_warned());
}

static void usage(const char *name)
{
	printf("usage: %s [-t MS] [-k KILLS] [-n VMS]\n"
	       "  -t  milliseconds for each race (default %u)\n"
	       "  -k  VMs that are killed or closed while they run (default %u)\n"
	       "  -n  VMs that are created and destroyed (default %u)\n",
	       name, opt_ms, opt_kills, opt_vms);
}

int main(int argc, char *argv[])
{
	int opt;

	while ((opt = getopt(argc, argv, "t:k:n:h")) != -1) {
		switch (opt) {
		case 't':
			opt_ms = strtoul(optarg, NULL, 0);
			break;
		case 'k':
			opt_kills = strtoul(optarg, NULL, 0);
			break;
		case 'n':
			opt_vms = strtoul(optarg, NULL, 0);
			break;
		default:
			usage(argv[0]);
			exit(opt == 'h' ? 0 : 1);
		}
	}

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_TPT));
	TEST_REQUIRE(!geteuid());

	optind = 1;
	return test_harness_run(1, argv);
}
