// SPDX-License-Identifier: GPL-2.0-only
/*
 * tptctl: references per page walk, which the kernel does not measure by itself.
 *
 * The events are those that a CPU with TPT has, and the kernel has names for.  Each
 * thread gets a group of two counters, so that both count the same time, whoever else
 * wants the PMU; what they give is the ratio.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tptctl.h"

#define EVENTS "/sys/bus/event_source/devices/cpu/events/"

/* Threads that are counted at a time: a descriptor limit of 1024 has room for them */
#define MAX_THREADS 480

struct counter {
	pid_t pid, tid;
	int fd[2];
	uint64_t walks, refs;
	bool alive;
};

static struct counter counter[MAX_THREADS];
static unsigned int nr_counters;
static uint64_t walks_config, refs_config;

static int open_event(unsigned int type, uint64_t config, pid_t tid, int group)
{
	struct perf_event_attr attr = {
		.type = type,
		.size = sizeof(attr),
		.config = config,
		.exclude_kernel = 1,
		.exclude_hv = 1,
		.read_format = PERF_FORMAT_GROUP,
	};

	return syscall(SYS_perf_event_open, &attr, tid, -1, group, PERF_FLAG_FD_CLOEXEC);
}

int try_event(unsigned int type, uint64_t config)
{
	return open_event(type, config, 0, -1);
}

/* AMD64 Architecture Programmer's Manual volume 2, 13.2: event select and unit mask */
bool named_event(const char *name, uint64_t *config)
{
	unsigned int event, mask;
	char path[128], line[64];

	snprintf(path, sizeof(path), EVENTS "%s", name);
	if (!read_line(path, line, sizeof(line)) ||
	    sscanf(line, "event=%x,umask=%x", &event, &mask) != 2)
		return false;
	*config = (event & 0xff) | (uint64_t)(event & 0xf00) << 24 | (mask & 0xff) << 8;
	return true;
}

bool refs_init(void)
{
	static const char * const refs[] = {
		"tpt_refs_guest", "tpt_refs_host", "tpt_refs_tpt", "tpt_rmp_checks"
	};
	uint64_t config = 0;
	unsigned int i;
	bool found = named_event("tpt_walks", &walks_config);
	int fd;

	/* one event, of which unit masks can be combined */
	for (i = 0; i < sizeof(refs) / sizeof(refs[0]); i++) {
		found = found && named_event(refs[i], &config);
		refs_config |= config;
	}
	fd = found ? try_event(PERF_TYPE_RAW, walks_config) : -1;
	if (fd < 0)
		message("the references of page walks cannot be counted: %s",
			found ? strerror(errno) : "no PMU has events for them");
	else
		close(fd);
	return fd >= 0;
}

static void close_counter(struct counter *c)
{
	close(c->fd[0]);
	close(c->fd[1]);
	*c = counter[--nr_counters];
}

/* Counts from now on; what cannot be counted is left out. */
static void open_counter(pid_t pid, pid_t tid)
{
	struct counter *c = &counter[nr_counters];

	if (nr_counters == MAX_THREADS)
		return;
	memset(c, 0, sizeof(*c));
	c->pid = pid;
	c->tid = tid;
	c->alive = true;
	c->fd[0] = open_event(PERF_TYPE_RAW, walks_config, tid, -1);
	if (c->fd[0] < 0)
		return;
	c->fd[1] = open_event(PERF_TYPE_RAW, refs_config, tid, c->fd[0]);
	if (c->fd[1] < 0)
		close(c->fd[0]);
	else
		nr_counters++;
}

static struct counter *find_counter(pid_t pid, pid_t tid)
{
	unsigned int i;

	for (i = 0; i < nr_counters; i++)
		if (counter[i].pid == pid && counter[i].tid == tid)
			return &counter[i];
	return NULL;
}

static void update_process(struct process *p)
{
	uint64_t walks = 0, refs = 0;
	struct dirent *entry;
	char path[32];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", p->pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		struct {
			uint64_t nr, walks, refs;
		} now;
		pid_t tid = atoi(entry->d_name);
		struct counter *c = find_counter(p->pid, tid);

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		if (!c) {
			open_counter(p->pid, tid);
			continue;
		}
		c->alive = true;
		if (read(c->fd[0], &now, sizeof(now)) != sizeof(now))
			continue;
		walks += now.walks - c->walks;
		refs += now.refs - c->refs;
		c->walks = now.walks;
		c->refs = now.refs;
	}
	if (dir)
		closedir(dir);
	p->refs = walks ? (double)refs / walks : -1;
}

void refs_update(struct list *l)
{
	unsigned int i;

	for (i = 0; i < nr_counters; i++)
		counter[i].alive = false;
	for (i = 0; i < l->nr; i++)
		update_process(l->process[i]);
	for (i = 0; i < nr_counters;)
		if (counter[i].alive)
			i++;
		else
			close_counter(&counter[i]);
}
