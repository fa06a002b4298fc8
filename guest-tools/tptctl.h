/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tptctl: what its parts share.
 */
#ifndef TPTCTL_H
#define TPTCTL_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum { OK, ERROR, USAGE, NO_PROCESS, NO_TPT, RUN_FAILED = 125, RUN_EXEC, RUN_NOT_FOUND };

/* One for each word that can follow "tptctl" */
struct command {
	const char *name;
	const char *arguments;
	const char *summary;
	const char *details;	/* for --help: options, one per line; NULL: none */
	int (*run)(int argc, char **argv);
};

/*
 * tptctl.c
 */

/* A line on standard error; errno stays as it is. */
void __attribute__((format(printf, 1, 2))) message(const char *format, ...);

/* Writes out what was printed; false with errno if that failed, now or before. */
bool flush(FILE *f);

/* The same, about the command line; returns USAGE. */
int __attribute__((format(printf, 1, 2))) usage_error(const char *format, ...);

/*
 * The next option of the command, as getopt_long() has it, "+" included: then the first
 * argument that is no option ends them.  Exits on --help and on what is wrong.
 */
int next_option(int argc, char **argv, const char *letters, const struct option *names);

/* Numbers of the command line; exit with USAGE if they are none. */
pid_t parse_pid(const char *text);
unsigned int parse_count(const char *text);
unsigned int parse_ms(const char *seconds);

/* Becomes COMMAND, or exits with 126 or 127. */
void __attribute__((noreturn)) execute(char **argv);

/* The exit status for what waitpid() returned */
int exit_status(int status);

/*
 * Signals that end a command, or that it has to know of, arrive in wait_until()
 * only, so that nothing is left half done.
 */
void catch_signals(const int *signals);	/* 0 ends the list */
void release_signals(void);		/* in a child, before it executes something */

uint64_t now_ms(void);			/* CLOCK_MONOTONIC */

/*
 * Waits for the time @ms, or for @fd to be readable (-1: none).  Returns the signals
 * that came, as a mask of 1 << N; 1: @fd is readable; 0: it is time.
 */
unsigned int wait_until(uint64_t ms, int fd);

/*
 * tptctl_proc.c: /proc/PID/tpt and /sys/kernel/mm/tpt
 */
#define MAX_FIELDS 64

struct process {
	pid_t pid;
	char comm[64];			/* printable ASCII */
	char raw_comm[64];		/* as it is */
	unsigned int nr;
	struct {
		const char *name, *value;
	} field[MAX_FIELDS];
	double refs;			/* per walk, see tptctl_perf.c; < 0: not known */
	char text[4096];			/* of the file */
	char cut[4096];			/* the same, where the fields are */
};

struct list {
	struct process **process;
	unsigned int nr, size;
	unsigned int unreadable;	/* for want of permission */
};

/* What an errno of /proc/PID/tpt means to the user */
const char *reason_of(int error);

/* A message that there is no TPT, or none of @pid; return the exit status. */
int no_tpt(void);
int missing(pid_t pid, int error);
bool have_tpt(void);

int open_tpt(pid_t pid, int flags);
/* NULL with errno; free() it. */
struct process *read_process(pid_t pid);
/* A field of it: "" or false if the kernel does not tell */
const char *text_of(const struct process *p, const char *name);
bool number_of(const struct process *p, const char *name, long long *value);
bool is_off(const struct process *p);
/* Is it, or was it, one that mode auto looks at? */
bool is_candidate(const struct process *p);
/* One of both: it is on, or may come on */
bool is_of_interest(const struct process *p);

/* All processes, less those that one of the functions returns false for; both may be NULL */
void read_all(struct list *l, bool (*wanted_pid)(pid_t pid),
	      bool (*wanted)(const struct process *p));
void add_process(struct list *l, struct process *p);
void free_list(struct list *l);

/* /proc/PID/stat; false: there is no such process. */
struct stat_of {
	pid_t parent;
	unsigned long long cpu_ms, started;
};

bool read_stat(pid_t pid, struct stat_of *st);

/* The first line of a file, without its end */
bool read_line(const char *path, char *line, size_t size);
/* The word in brackets in a file such as "never [manual] auto" */
bool read_choice(const char *path, char *word, size_t size);
/* The number behind @key in a file of lines "key number"; a colon is taken for a space. */
bool read_value(const char *path, const char *key, long long *value);

#define TPT_SYS "/sys/kernel/mm/tpt/"
/* A setting in auto/, as a number */
bool setting(const char *name, long long *value);

/*
 * tptctl_status.c
 */
/* Sorts by a key; returns false if there is no such key. */
bool sort_list(struct list *l, const char *key, bool reverse);
void check_sort_key(const char *key);

/* A line of the table into @line; without a process, its head */
void table_line(char *line, size_t size, const struct process *p, const char *mode, bool refs);

/*
 * tptctl_perf.c: references per walk, counted by the PMU
 */

/* Returns the descriptor of an event of the calling thread for user code, or -1 with errno. */
int try_event(unsigned int type, uint64_t config);
/* The code of an event that the kernel has a name for */
bool named_event(const char *name, uint64_t *config);
/* False, with a message, if this CPU does not count them */
bool refs_init(void);
/* Fills in refs for what happened since the last call. */
void refs_update(struct list *l);

int status_main(int argc, char **argv);
int watch_main(int argc, char **argv);
int record_main(int argc, char **argv);
int report_main(int argc, char **argv);
int explain_main(int argc, char **argv);
int doctor_main(int argc, char **argv);

#endif
