/* SPDX-License-Identifier: GPL-2.0-only */
/* The Test Anything Protocol, and /proc/PID/tpt, for the tests in L2. */
#ifndef TAP_H
#define TAP_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int tap_number, tap_failures;

static inline void __attribute__((format(printf, 2, 3)))
ok(bool passed, const char *format, ...)
{
	va_list ap;

	printf("%sok %d - ", passed ? "" : "not ", ++tap_number);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	tap_failures += !passed;
}

static inline void __attribute__((format(printf, 1, 2)))
skip(const char *format, ...)
{
	va_list ap;

	printf("ok %d # SKIP ", ++tap_number);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static inline void __attribute__((format(printf, 1, 2)))
diag(const char *format, ...)
{
	va_list ap;

	printf("# ");
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static inline int done(void)
{
	printf("1..%d\n", tap_number);
	fflush(stdout);
	return tap_failures ? 1 : 0;
}

static inline void __attribute__((format(printf, 1, 2), noreturn))
bail(const char *format, ...)
{
	va_list ap;

	printf("Bail out! ");
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf(": %s\n", strerror(errno));
	fflush(stdout);
	exit(1);
}

/* write() to a file; returns bytes written, or -errno */
static inline ssize_t write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	if (n < 0)
		n = -errno;
	close(fd);
	return n;
}

static inline ssize_t read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n, total = 0;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf + total, size - 1 - total)) > 0)
		total += n;
	if (n < 0)
		total = -errno;
	else
		buf[total] = '\0';
	close(fd);
	return total;
}

/* A field of /proc/PID/tpt as text; "" if there is none */
static inline const char *tpt_field(pid_t pid, const char *name)
{
	static char value[64];
	char path[40], buf[4096], format[64], *line;

	value[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/tpt", pid);
	if (read_file(path, buf, sizeof(buf)) < 0)
		return value;
	snprintf(format, sizeof(format), "%s: %%63s", name);
	for (line = buf; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, format, value) == 1)
			break;
	}
	return value;
}

/* An event of /proc/vmstat; -1 if there is none */
static inline long vm_event(const char *name)
{
	FILE *f = fopen("/proc/vmstat", "re");
	char line[128];
	long n = -1;

	while (f && fgets(line, sizeof(line), f)) {
		size_t len = strcspn(line, " ");

		if (len == strlen(name) && !strncmp(line, name, len))
			n = atol(line + len);
	}
	if (f)
		fclose(f);
	return n;
}

static inline bool tpt_is_on(void)
{
	return !strcmp(tpt_field(getpid(), "state"), "on");
}

static inline ssize_t tpt_set(const char *text)
{
	return write_file("/proc/self/tpt", text);
}

#endif /* TAP_H */
