// SPDX-License-Identifier: GPL-2.0-only
/*
 * tptctl doctor: is everything there that TPT needs, and what is to be done if not?
 */
#define _GNU_SOURCE
#include <asm/tpt.h>
#include <cpuid.h>
#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tptctl.h"

/* Documentation/virt/kvm/x86/cpuid.rst of the kernel, and its uapi header asm/kvm_para.h */
#define KVM_SIGNATURE		"KVMKVMKVM\0\0"
#define KVM_FEATURE_TPT		18

static unsigned int failures;

static void __attribute__((format(printf, 1, 2))) pass(const char *format, ...)
{
	va_list ap;

	fputs("PASS  ", stdout);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

/* What is wrong, a colon, and the remedy */
static void __attribute__((format(printf, 1, 2))) fail(const char *format, ...)
{
	va_list ap;

	failures++;
	fputs("FAIL  ", stdout);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

/* The first CPUID leaf of KVM, 0: it is not KVM.  Others may be in front of it. */
static unsigned int kvm_leaf(void)
{
	unsigned int leaf, a, b, c, d, signature[3];

	__cpuid(1, a, b, c, d);
	if (!(c & 1U << 31))
		return 0;
	for (leaf = 0x40000000; leaf < 0x40010000; leaf += 0x100) {
		__cpuid(leaf, a, signature[0], signature[1], signature[2]);
		if (!memcmp(signature, KVM_SIGNATURE, sizeof(signature)))
			return leaf;
	}
	return 0;
}

static void check_host(void)
{
	unsigned int leaf = kvm_leaf(), a, b, c, d;

	if (!leaf) {
		fail("this is no guest of KVM: TPT is for virtual machines, run this in one");
		return;
	}
	pass("the hypervisor is KVM");
	__cpuid(leaf + 1, a, b, c, d);
	if (a & 1U << KVM_FEATURE_TPT)
		pass("KVM offers TPT");
	else
		fail("KVM does not offer TPT: start the VMM with -accel kvm,tpt=on, on a host whose "
		     "CPU and KVM have it");
}

static void check_kernel(void)
{
	char mode[32] = "";

	if (!have_tpt() || !read_choice(TPT_SYS "enabled", mode, sizeof(mode))) {
		fail("this kernel has no TPT: boot one with CONFIG_TPT_GUEST");
		return;
	}
	pass("the kernel has TPT");
	if (access(TPT_SYS "auto", F_OK))
		fail("the kernel has no mode auto: boot one with CONFIG_TPT_AUTO");
	else
		pass("the kernel has the mode auto");
	if (!strcmp(mode, "never"))
		fail("the mode is never: echo auto > " TPT_SYS "enabled, or boot with tpt=auto");
	else
		pass("the mode is %s", mode);
}

#define PCI "/sys/bus/pci/devices/"

/* A file of a PCI function that has a number in it */
static bool has_id(const char *device, const char *file, unsigned long id)
{
	char path[320], line[32];

	snprintf(path, sizeof(path), PCI "%s/%s", device, file);
	return read_line(path, line, sizeof(line)) && strtoul(line, NULL, 16) == id;
}

/* The address of the device on the bus; "" if there is none */
static void find_device(char *address, size_t size)
{
	DIR *dir = opendir(PCI);
	struct dirent *entry;

	*address = '\0';
	while (dir && !*address && (entry = readdir(dir)))
		if (has_id(entry->d_name, "vendor", TPT_ADDRMAP_PCI_VENDOR) &&
		    has_id(entry->d_name, "device", TPT_ADDRMAP_PCI_DEVICE))
			snprintf(address, size, "%s", entry->d_name);
	if (dir)
		closedir(dir);
}

static void check_device(void)
{
	char device[256], path[320], line[32];

	find_device(device, sizeof(device));
	if (!*device) {
		fail("there is no device tpt-addrmap (PCI %04x:%04x): start the VMM with "
		     "-device tpt-addrmap", TPT_ADDRMAP_PCI_VENDOR, TPT_ADDRMAP_PCI_DEVICE);
		return;
	}
	pass("the device tpt-addrmap is there (%s)", device);
	snprintf(path, sizeof(path), PCI "%s/driver", device);
	if (access(path, F_OK))
		fail("the device tpt-addrmap has no driver: dmesg | grep tpt-addrmap says why");
	else
		pass("the device tpt-addrmap has its driver");
	if (!read_line(TPT_SYS "available", line, sizeof(line)) || strcmp(line, "1"))
		fail("TPT is not available: see what else fails, and dmesg | grep tpt");
	else
		pass("TPT is available");
}

static void check_pmu(void)
{
	const uint64_t misses = PERF_COUNT_HW_CACHE_DTLB | PERF_COUNT_HW_CACHE_OP_READ << 8 |
				PERF_COUNT_HW_CACHE_RESULT_MISS << 16;
	char sensor[32] = "", paranoid[16] = "?";
	bool walks;
	uint64_t config;
	int fd;

	/* mode auto has tried, with the events that it uses */
	if (read_choice(TPT_SYS "auto/sensor", sensor, sizeof(sensor)) && strcmp(sensor, "none")) {
		if (strcmp(sensor, "abit"))
			pass("mode auto measures with the PMU (sensor %s)", sensor);
		else
			fail("mode auto has found no PMU that counts page walks, and estimates: start "
			     "the VMM with -cpu ...,pmu=on");
		return;
	}
	read_line("/proc/sys/kernel/perf_event_paranoid", paranoid, sizeof(paranoid));
	walks = named_event("tpt_walks", &config);
	fd = walks ? try_event(PERF_TYPE_RAW, config) : try_event(PERF_TYPE_HW_CACHE, misses);
	if (fd >= 0) {
		close(fd);
		pass("the PMU counts %s (perf_event_paranoid is %s)",
		     walks ? "page walks" : "misses of the data TLB", paranoid);
	} else if (errno == EACCES || errno == EPERM) {
		fail("the PMU may not be used, perf_event_paranoid is %s: be root, or "
		     "sysctl kernel.perf_event_paranoid=2", paranoid);
	} else if (errno == ENOSYS) {
		fail("the kernel has no perf events: boot one with CONFIG_PERF_EVENTS");
	} else {
		fail("no PMU that counts page walks (%s), mode auto can only estimate: start the VMM "
		     "with -cpu ...,pmu=on", strerror(errno));
	}
}

static bool may_ptrace_all(void)
{
	unsigned long long set = 0;
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "CapEff: %llx", &set) != 1)
		;
	if (f)
		fclose(f);
	return set & 1ULL << CAP_SYS_PTRACE;
}

static void check_permissions(void)
{
	char scope[16] = "0";

	read_line("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof(scope));
	if (!strcmp(scope, "3"))
		fail("nobody may switch running processes, kernel.yama.ptrace_scope is 3: reboot "
		     "without that, or use tptctl run");
	else if (may_ptrace_all())
		pass("you may switch all processes (user ID %d)", geteuid());
	else if (!strcmp(scope, "0"))
		pass("you may switch your own processes (user ID %d); for all, be root", geteuid());
	else
		fail("you may not switch running processes, kernel.yama.ptrace_scope is %s and you "
		     "lack CAP_SYS_PTRACE: be root, or use tptctl run", scope);
}

static void check_memory(void)
{
	long long total = 0, available = 0, tables = 0, percent, need;
	char huge[32] = "none, the kernel has none";

	read_choice("/sys/kernel/mm/transparent_hugepage/enabled", huge, sizeof(huge));
	printf("INFO  transparent huge pages: %s\n", huge);

	read_value("/proc/meminfo", "MemTotal", &total);
	read_value("/proc/meminfo", "MemAvailable", &available);
	read_value("/proc/meminfo", "SecPageTables", &tables);
	/* a table of 512 entries for as many pages */
	need = total / 512;
	if (available < need)
		fail("%lld KiB of memory are available, TPT's tables may need %lld: give the machine "
		     "more, or end something", available, need);
	else
		pass("there is memory for tables: %lld KiB available, at most %lld needed", available,
		     need);
	if (!setting("max_twin_percent", &percent))
		return;
	if (percent)
		pass("mode auto may use %lld KiB for tables (max_twin_percent is %lld); %lld are in use",
		     total * percent / 100, percent, tables);
	else
		fail("mode auto may use no memory for tables: echo 1 > " TPT_SYS
		     "auto/max_twin_percent");
}

int doctor_main(int argc, char **argv)
{
	static const struct option names[] = { { "help", 0, NULL, 'h' }, { } };

	while (next_option(argc, argv, "", names) >= 0)
		;
	if (optind < argc)
		return usage_error("unknown argument %s", argv[optind]);
	check_host();
	check_kernel();
	check_device();
	check_pmu();
	check_permissions();
	check_memory();
	return failures ? ERROR : OK;
}
