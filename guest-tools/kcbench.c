// SPDX-License-Identifier: GPL-2.0-only
/*
 * kcbench: compiles files of the Linux kernel with gcc's compiler proper, one after the
 * other, each in a process of its own, as the old custom of timing a kernel build does.
 * scripts/kcbench-files makes the directory with the files: already preprocessed, so
 * that neither headers nor a preprocessor are needed, with the compiler's options, and
 * with the checksums of the assembler that the compiler made of them elsewhere.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "roi.h"

#define MAX_FILES	64
#define MAX_ARGUMENTS	256

static const char usage_text[] =
"usage: kcbench [OPTION...]\n"
"      --compiler=PATH   cc1 (/usr/bin/cc1)\n"
"      --dir=DIR         made by scripts/kcbench-files (/usr/share/kcbench): files\n"
"                        NAME.i, \"options\" of the compiler, and \"expected\", lines\n"
"                        with checksum and bytes of the assembler and NAME.i\n"
"  -s, --size=BYTES      heap that the compiler fills before it collects garbage;\n"
"                        K, M, G (256M)\n"
"  -n, --rounds=N        how often all files are compiled and timed (1), after a\n"
"                        round that is not\n"
ROI_USAGE
"\n"
"Prints one line of key=value words; memory is that of the largest compiler.  Exit\n"
"status: 0; 1 an error, or the assembler is wrong; 2 wrong usage.\n";

struct sum {
	uint32_t crc;
	uint64_t bytes;
};

static struct file {
	char *name;
	struct sum sum;			/* of the first round */
} files[MAX_FILES];

static const char *compiler = "/usr/bin/cc1", *dir = "/usr/share/kcbench";
static char *arguments[MAX_ARGUMENTS];
static int name_argument;
static unsigned int nr_files;
static char output[] = "/tmp/kcbench.XXXXXX";
static uint64_t max_rss, nr_on;

/* Appends the words of the file to the arguments, of which there are @n. */
static void read_options(int n)
{
	char *text = NULL, *word;
	size_t size = 0;
	FILE *f = fopen("options", "r");

	if (!f || getdelim(&text, &size, '\0', f) < 0)
		fail(2, "%s/options: %s", dir, f ? "empty" : strerror(errno));
	fclose(f);
	for (word = strtok(text, " \n"); word; word = strtok(NULL, " \n")) {
		if (n == MAX_ARGUMENTS - 1)
			fail(2, "%s/options: too many", dir);
		arguments[n++] = word;
	}
}

static void find_files(void)
{
	struct dirent **entries;
	int i, n = scandir(".", &entries, NULL, alphasort);

	for (i = 0; i < n; i++) {
		const char *end = strrchr(entries[i]->d_name, '.');

		if (!end || strcmp(end, ".i"))
			continue;
		if (nr_files == MAX_FILES)
			fail(2, "%s: more than %d files", dir, MAX_FILES);
		files[nr_files++].name = entries[i]->d_name;
	}
	if (!nr_files)
		fail(2, "%s: no .i files", dir);
}

static uint32_t add_to_crc(uint32_t crc, uint8_t byte)
{
	int bit;

	crc ^= (uint32_t)byte << 24;
	for (bit = 0; bit < 8; bit++)
		crc = crc << 1 ^ (crc >> 31 ? 0x04c11db7 : 0);
	return crc;
}

/* As POSIX specifies for cksum: of the bytes and of their number */
static struct sum sum_of_output(void)
{
	struct sum s = { };
	uint32_t crc = 0;
	uint64_t n;
	int c;
	FILE *f = fopen(output, "r");

	if (!f)
		fail(1, "%s: %s", output, strerror(errno));
	for (; (c = getc(f)) != EOF; s.bytes++)
		crc = add_to_crc(crc, c);
	fclose(f);
	for (n = s.bytes; n; n >>= 8)
		crc = add_to_crc(crc, n);
	s.crc = ~crc;
	return s;
}

static bool same(struct sum a, struct sum b)
{
	return a.crc == b.crc && a.bytes == b.bytes;
}

/* Says which files differ from what is expected, if that is there. */
static uint64_t count_unexpected(void)
{
	uint64_t errors = 0;
	struct sum s;
	char name[256];
	unsigned int i;
	FILE *f = fopen("expected", "r");

	while (f && fscanf(f, "%" SCNu32 " %" SCNu64 " %255s", &s.crc, &s.bytes, name) == 3) {
		for (i = 0; i < nr_files; i++) {
			if (strcmp(files[i].name, name) || same(files[i].sum, s))
				continue;
			fprintf(stderr, "%s: %s: not the expected assembler\n", program, name);
			errors++;
		}
	}
	if (f)
		fclose(f);
	return errors;
}

static void __attribute__((noreturn)) be_compiler(void)
{
	if (!prctl(PR_SET_PDEATHSIG, SIGKILL) &&
	    (!roi_report_tpt || !ptrace(PTRACE_TRACEME, 0, NULL, NULL)))
		execv(compiler, arguments);
	fprintf(stderr, "%s: %s: %s\n", program, compiler, strerror(errno));
	_exit(127);
}

/*
 * Waits for the end of a compiler.  To ask for its TPT at the end needs ptrace, as a
 * process that has ended has none.
 */
static int end_of(pid_t pid)
{
	struct rusage usage;
	bool begun = false;
	int status, sig;

	for (;;) {
		if (wait4(pid, &status, 0, &usage) < 0)
			fail(1, "wait4: %s", strerror(errno));
		if (!WIFSTOPPED(status))
			break;
		sig = 0;
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8))
			nr_on += tpt_is_on(pid);
		else if (begun)
			sig = WSTOPSIG(status);
		else
			ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACEEXIT);
		begun = true;
		ptrace(PTRACE_CONT, pid, NULL, (void *)(long)sig);
	}
	if ((uint64_t)usage.ru_maxrss << 10 > max_rss)
		max_rss = (uint64_t)usage.ru_maxrss << 10;
	return status;
}

static void compile(const struct file *f)
{
	pid_t pid;
	int status;

	arguments[name_argument] = f->name;
	pid = fork();
	if (pid < 0)
		fail(1, "fork: %s", strerror(errno));
	if (!pid)
		be_compiler();
	status = end_of(pid);
	if (status)
		fail(1, "%s: the compiler fails, status 0x%x", f->name, status);
}

static void remove_output(void)
{
	unlink(output);
}

int main(int argc, char **argv)
{
	static uint64_t nr_rounds = 1;
	static const struct opt options[] = {
		{ "compiler", .word = &compiler },
		{ "dir", .word = &dir },
		{ "rounds", 'n', .number = &nr_rounds },
		{ }
	};
	struct roi_result result = {
		.workload = "kcbench", .amount_name = "rounds", .threads = 1,
	};
	char heap[64], more[128];
	uint64_t round, bytes = 0;
	unsigned int i;
	int n = 0, fd;

	program = "kcbench";
	roi_options(argc, argv, options, usage_text);
	if (roi_size < 1 << 20 || roi_size > 1ULL << 40)
		fail(2, "--size: not between 1M and 1024G");
	if (access(compiler, X_OK))
		fail(2, "%s: %s", compiler, strerror(errno));
	if (chdir(dir))
		fail(2, "%s: %s", dir, strerror(errno));
	find_files();

	snprintf(heap, sizeof(heap), "--param=ggc-min-heapsize=%" PRIu64, roi_size >> 10);
	arguments[n++] = (char *)compiler;
	arguments[n++] = "-fpreprocessed";
	name_argument = n++;
	arguments[n++] = heap;
	arguments[n++] = "-o";
	arguments[n++] = output;
	read_options(n);

	roi_start(1);
	fd = mkstemp(output);
	if (fd < 0)
		fail(1, "%s: %s", output, strerror(errno));
	close(fd);
	atexit(remove_output);
	for (i = 0; i < nr_files; i++) {
		compile(&files[i]);
		files[i].sum = sum_of_output();
		bytes += files[i].sum.bytes;
	}
	if (roi_verify)
		result.errors = count_unexpected();
	nr_on = 0;
	roi_ready(0);

	roi_begin();
	for (round = 0; round < nr_rounds; round++) {
		for (i = 0; i < nr_files; i++) {
			compile(&files[i]);
			if (roi_verify)
				result.errors += !same(files[i].sum, sum_of_output());
		}
	}
	roi_end();

	n = snprintf(more, sizeof(more), " files=%u output_bytes=%" PRIu64, nr_files, bytes);
	if (roi_report_tpt)
		snprintf(more + n, sizeof(more) - n, " tpt_children_on=%" PRIu64, nr_on);
	result.amount = nr_rounds;
	result.rss = max_rss;
	result.more = more;
	roi_report(&result);
	if (result.errors)
		fail(1, "the assembler is wrong %" PRIu64 " times", result.errors);
	return 0;
}
