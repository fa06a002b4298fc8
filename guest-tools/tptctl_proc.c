// SPDX-License-Identifier: GPL-2.0-only
/*
 * tptctl: what the kernel tells, in /proc/PID/tpt and /sys/kernel/mm/tpt.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tptctl.h"

const char *reason_of(int error)
{
	switch (error) {
	case EPERM:
	case EACCES:
		return "not permitted";
	case ENOMEM:
		return "not enough memory; it stays on nested paging";
	case ENODEV:
	case EOPNOTSUPP:
		return "TPT is not available, or its mode is never";
	case ESRCH:
		return "the process has ended";
	default:
		return strerror(error);
	}
}

bool have_tpt(void)
{
	return !access("/proc/self/tpt", F_OK);
}

int no_tpt(void)
{
	message("this kernel has no TPT (no /proc/PID/tpt)");
	return NO_TPT;
}

int missing(pid_t pid, int error)
{
	struct stat_of st;

	if (error != ENOENT && error != ESRCH) {
		message("%d: %s", pid, reason_of(error));
		return ERROR;
	}
	if (!have_tpt())
		return no_tpt();
	if (error == ESRCH && read_stat(pid, &st))
		message("%d: a kernel thread, or a process that has ended", pid);
	else
		message("%d: no such process", pid);
	return NO_PROCESS;
}

int open_tpt(pid_t pid, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/tpt", pid);
	return open(path, flags | O_CLOEXEC);
}

/* Until the end of the file or the buffer; -1 with errno */
static ssize_t read_text(int fd, char *buf, size_t size)
{
	ssize_t n, total = 0;

	while ((n = read(fd, buf + total, size - 1 - total)) > 0)
		total += n;
	if (n < 0)
		return -1;
	buf[total] = '\0';
	return total;
}

static ssize_t read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error;
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read_text(fd, buf, size);
	error = errno;
	close(fd);
	errno = error;
	return n;
}

/* A name may have line ends in it, and what a terminal takes for a command. */
static void read_comm(struct process *p)
{
	char path[32];
	size_t n;
	char *c;

	snprintf(path, sizeof(path), "/proc/%d/comm", p->pid);
	if (read_file(path, p->raw_comm, sizeof(p->raw_comm)) <= 0)
		strcpy(p->raw_comm, "?");
	n = strlen(p->raw_comm);
	if (n && p->raw_comm[n - 1] == '\n')
		p->raw_comm[n - 1] = '\0';
	strcpy(p->comm, p->raw_comm);
	for (c = p->comm; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

static void parse_fields(struct process *p)
{
	char *save, *line;

	strcpy(p->cut, p->text);
	for (line = strtok_r(p->cut, "\n", &save); line && p->nr < MAX_FIELDS;
	     line = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(line, ':');

		if (!value)
			continue;
		*value++ = '\0';
		p->field[p->nr].name = line;
		p->field[p->nr++].value = value + strspn(value, " \t");
	}
}

struct process *read_process(pid_t pid)
{
	struct process *p;
	int fd = open_tpt(pid, O_RDONLY), error;

	if (fd < 0)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (p && read_text(fd, p->text, sizeof(p->text)) < 0) {
		error = errno;
		free(p);
		p = NULL;
		errno = error;
	}
	error = errno;
	close(fd);
	errno = error;
	if (!p)
		return NULL;
	p->pid = pid;
	p->refs = -1;
	read_comm(p);
	parse_fields(p);
	return p;
}

const char *text_of(const struct process *p, const char *name)
{
	unsigned int i;

	for (i = 0; i < p->nr; i++)
		if (!strcmp(p->field[i].name, name))
			return p->field[i].value;
	return "";
}

static bool to_number(const char *text, long long *value)
{
	char *end;

	errno = 0;
	*value = strtoll(text, &end, 10);
	return end != text && !*end && !errno;
}

bool number_of(const struct process *p, const char *name, long long *value)
{
	return to_number(text_of(p, name), value);
}

bool is_off(const struct process *p)
{
	return !strcmp(text_of(p, "state"), "off");
}

bool is_candidate(const struct process *p)
{
	const char *decision = text_of(p, "decision");

	return *decision && strcmp(decision, "none");
}

bool is_of_interest(const struct process *p)
{
	return !is_off(p) || is_candidate(p);
}

void add_process(struct list *l, struct process *p)
{
	if (l->nr == l->size) {
		l->size = l->size ? 2 * l->size : 64;
		l->process = realloc(l->process, l->size * sizeof(l->process[0]));
		if (!l->process) {
			message("%s", strerror(ENOMEM));
			exit(ERROR);
		}
	}
	l->process[l->nr++] = p;
}

void free_list(struct list *l)
{
	unsigned int i;

	for (i = 0; i < l->nr; i++)
		free(l->process[i]);
	free(l->process);
	memset(l, 0, sizeof(*l));
}

void read_all(struct list *l, bool (*wanted_pid)(pid_t pid),
	      bool (*wanted)(const struct process *p))
{
	struct dirent *entry;
	DIR *dir = opendir("/proc");

	if (!dir) {
		message("/proc: %s", strerror(errno));
		exit(ERROR);
	}
	while ((entry = readdir(dir))) {
		pid_t pid = atoi(entry->d_name);
		struct process *p;

		if (!isdigit((unsigned char)entry->d_name[0]) || (wanted_pid && !wanted_pid(pid)))
			continue;
		p = read_process(pid);
		/* it may have ended meanwhile, or be a kernel thread */
		if (!p)
			l->unreadable += errno == EPERM || errno == EACCES;
		else if (!wanted || wanted(p))
			add_process(l, p);
		else
			free(p);
	}
	closedir(dir);
}

bool read_stat(pid_t pid, struct stat_of *st)
{
	unsigned long long user, system;
	char path[32], buf[1024], *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_file(path, buf, sizeof(buf)) <= 0)
		return false;
	/* the name, in parentheses, can have any character in it */
	p = strrchr(buf, ')');
	if (!p || sscanf(p + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu"
			 " %*d %*d %*d %*d %*d %*d %llu", &st->parent, &user, &system,
			 &st->started) != 4)
		return false;
	st->cpu_ms = (user + system) * 1000 / sysconf(_SC_CLK_TCK);
	return true;
}

bool read_line(const char *path, char *line, size_t size)
{
	if (read_file(path, line, size) < 0)
		return false;
	line[strcspn(line, "\n")] = '\0';
	return true;
}

bool read_choice(const char *path, char *word, size_t size)
{
	char line[256], *begin;

	if (!read_line(path, line, sizeof(line)))
		return false;
	begin = strchr(line, '[');
	if (!begin)
		return false;
	begin++;
	begin[strcspn(begin, "]")] = '\0';
	snprintf(word, size, "%s", begin);
	return true;
}

bool read_value(const char *path, const char *key, long long *value)
{
	size_t n = strlen(key);
	char line[256];
	bool found = false;
	FILE *f = fopen(path, "re");

	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, key, n) && strchr(": \t", line[n]) &&
			sscanf(line + n + 1, "%lld", value) == 1;
	if (f)
		fclose(f);
	return found;
}

bool setting(const char *name, long long *value)
{
	char path[128], line[64];

	snprintf(path, sizeof(path), TPT_SYS "auto/%s", name);
	return read_line(path, line, sizeof(line)) && to_number(line, value);
}
