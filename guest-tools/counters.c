// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "counters.h"

static const int bank_size[NR_BANKS] = {
	TPT_STAT_NR, TPT_STAT_NR, TPT_STAT_NR, TPT_STAT_NR, TPT_STAT_ALL_NR
};

static bool read_msr(int fd, uint32_t msr, uint64_t *value)
{
	return pread(fd, value, sizeof(*value), msr) == sizeof(*value);
}

static int open_port(struct counter_source *s, const char *path)
{
	struct termios t;

	s->fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->fd < 0 || tcgetattr(s->fd, &t)) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		counters_close(s);
		return -1;
	}
	cfmakeraw(&t);
	cfsetspeed(&t, B115200);
	tcsetattr(s->fd, TCSANOW, &t);
	s->remote = true;
	return 0;
}

int counters_open(struct counter_source *s, int cpu)
{
	const char *port = getenv("TPT_COUNTERS");
	char path[64];
	uint64_t value;

	s->cpu = cpu;
	s->remote = false;
	if (port && cpu == 0)
		return open_port(s, port);
	snprintf(path, sizeof(path), "/dev/cpu/%d/msr", cpu);
	s->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	if (!read_msr(s->fd, MSR_TPT_STAT_BASE, &value)) {
		fprintf(stderr, "%s: this CPU shows no TPT statistics\n", path);
		counters_close(s);
		return -1;
	}
	return 0;
}

void counters_close(struct counter_source *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static void read_bank(const struct counter_source *s, int nr, int bank,
		      struct counters *c)
{
	uint64_t value;
	int i, cpu;

	for (cpu = 0; cpu < nr; cpu++) {
		for (i = 0; s[cpu].fd >= 0 && !s[cpu].remote && i < bank_size[bank]; i++) {
			if (read_msr(s[cpu].fd, MSR_TPT_STAT(bank, i), &value))
				c->c[bank][i] += value;
		}
	}
}

static bool transfer(int fd, void *data, size_t size, bool out)
{
	char *p = data;
	ssize_t n;

	for (; size; size -= n, p += n) {
		n = out ? write(fd, p, size) : read(fd, p, size);
		if (n <= 0)
			return false;
	}
	return true;
}

/* All counters as they go over the port */
static bool transfer_counters(int fd, struct counters *c, bool out)
{
	int bank;

	for (bank = 0; bank < NR_BANKS; bank++)
		if (!transfer(fd, c->c[bank], bank_size[bank] * sizeof(c->c[0][0]), out))
			return false;
	return transfer(fd, &c->host_cycles, sizeof(c->host_cycles), out);
}

bool counters_serve(int fd_in, int fd_out, void (*count)(struct counters *c, bool begin))
{
	struct counters begun[4], c;
	int depth = 0;
	char what;

	while (read(fd_in, &what, 1) == 1) {
		if (what == COUNTERS_BEGIN && depth < 4) {
			begun[depth] = (struct counters){ };
			count(&begun[depth++], true);
			if (!transfer(fd_out, &what, 1, true))
				return false;
		} else if (what == COUNTERS_END && depth) {
			c = (struct counters){ };
			count(&c, false);
			counters_sub(&c, &begun[--depth]);
			if (!transfer_counters(fd_out, &c, true))
				return false;
		}
	}
	return true;
}

static void remote_begin(int fd)
{
	char what = COUNTERS_BEGIN;

	if (!transfer(fd, &what, 1, true) || !transfer(fd, &what, 1, false))
		perror("the host does not read the counters");
}

static void remote_end(int fd, struct counters *c)
{
	char what = COUNTERS_END;
	struct counters add;
	int bank, i;

	if (!transfer(fd, &what, 1, true) || !transfer_counters(fd, &add, false)) {
		perror("the host does not read the counters");
		return;
	}
	for (bank = 0; bank < NR_BANKS; bank++)
		for (i = 0; i < bank_size[bank]; i++)
			c->c[bank][i] += add.c[bank][i];
	c->host_cycles += add.host_cycles;
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

void counters_begin(const struct counter_source *s, int nr, struct counters *c)
{
	int bank;

	if (nr && s->fd >= 0 && s->remote)
		remote_begin(s->fd);
	for (bank = 0; bank < NR_BANKS; bank++)
		read_bank(s, nr, bank, c);
	c->ns += now();
}

void counters_end(const struct counter_source *s, int nr, struct counters *c)
{
	int bank;

	c->ns += now();
	if (nr && s->fd >= 0 && s->remote)
		remote_end(s->fd, c);
	for (bank = NR_BANKS - 1; bank >= 0; bank--)
		read_bank(s, nr, bank, c);
}

void counters_sub(struct counters *b, const struct counters *a)
{
	int bank, i;

	for (bank = 0; bank < NR_BANKS; bank++)
		for (i = 0; i < NR_INDEX; i++)
			b->c[bank][i] -= a->c[bank][i];
	b->host_cycles -= a->host_cycles;
	b->ns -= a->ns;
}

bool counters_in_guest(void)
{
	unsigned int a, b, c, d;

	__cpuid(0x40000000, a, b, c, d);
	return b == 0x4b4d564b && c == 0x564b4d56 && d == 0x4d;	/* "KVMKVMKVM" */
}

void counters_print(const struct counters *c)
{
	static const struct {
		const char *name;
		int index;
	} words[] = {
		{ "walks", TPT_STAT_WALKS },
		{ "walk_faults", TPT_STAT_WALK_FAULTS },
		{ "tpt_walks", TPT_STAT_TPT_WALKS },
		{ "refs_guest", TPT_STAT_REFS_GUEST },
		{ "refs_host", TPT_STAT_REFS_HOST },
		{ "refs_tpt", TPT_STAT_REFS_TPT },
		{ "refs_rmp", TPT_STAT_REFS_RMP },
		{ "walk_cycles", TPT_STAT_WALK_CYCLES },
		{ "l1_misses", TPT_STAT_L1_MISSES },
		{ "l2_hits", TPT_STAT_L2_HITS },
		{ "pwc_hits", TPT_STAT_PWC_HITS },
		{ "ntlb_hits", TPT_STAT_NTLB_HITS },
		{ "data_cycles", TPT_STAT_DATA_CYCLES },
	};
	const uint64_t *user, *all = c->c[TPT_STAT_BANK_ALL];
	uint64_t other = 0;
	unsigned int i;
	int bank, own;

	own = counters_in_guest() ? TPT_STAT_BANK_GUEST_USER : TPT_STAT_BANK_HOST_USER;
	user = c->c[own];
	for (bank = 0; bank < TPT_STAT_BANK_ALL; bank++)
		if (bank != own)
			other += c->c[bank][TPT_STAT_WALK_CYCLES];

	printf(" instructions=%" PRIu64 " cycles=%" PRIu64,
	       all[TPT_STAT_ALL_INSTRUCTIONS], all[TPT_STAT_ALL_CYCLES]);
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		printf(" %s=%" PRIu64, words[i].name, user[words[i].index]);
	printf(" other_walk_cycles=%" PRIu64 " exits=%" PRIu64
	       " switch_cycles=%" PRIu64 " virtual_ns=%" PRIu64,
	       other, all[TPT_STAT_ALL_EXITS], all[TPT_STAT_ALL_SWITCH_CYCLES],
	       c->ns);
	if (c->host_cycles)
		printf(" host_cycles=%" PRIu64, c->host_cycles);
}
