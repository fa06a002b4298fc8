// SPDX-License-Identifier: GPL-2.0-only
/*
 * tptctl status: processes as a table and as JSON.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tptctl.h"

/* What the user wants to know: who has decided, and why? */
static const char *why(const struct process *p, const char *mode)
{
	const char *reason = text_of(p, "reason");

	if (!strcmp(text_of(p, "mode"), "auto")) {
		if (is_candidate(p) && strcmp(text_of(p, "decision"), "failed"))
			return text_of(p, "decision");
		return reason;
	}
	if (is_off(p))
		return reason;
	return strcmp(mode, "always") ? "user" : "mode";
}

/* A share of 1/100 %, without the sign; "-" if there is none */
static void share_text(char *text, size_t size, const struct process *p, const char *name)
{
	long long v;

	if (number_of(p, name, &v))
		snprintf(text, size, "%.2f", v / 100.0);
	else
		snprintf(text, size, "-");
}

static void size_text(char *text, size_t size, long long kib)
{
	if (kib < 10000)
		snprintf(text, size, "%lldK", kib);
	else if (kib < 10000LL << 10)
		snprintf(text, size, "%lldM", kib >> 10);
	else
		snprintf(text, size, "%lldG", kib >> 20);
}

void table_line(char *line, size_t size, const struct process *p, const char *mode, bool refs)
{
	char share[16], gain[16], saved[16], twin[24], rss[24], walk[16] = "";
	long long pages = 0, kib = 0;

	if (!p) {
		snprintf(line, size, "%7s %-8s %-12s %6s%s %6s %6s %5s %5s %s", "PID", "STATE",
			 "REASON", "WALK%", refs ? " REFS/W" : "", "GAIN%", "SAVED%", "TWIN",
			 "RSS", "COMMAND");
		return;
	}
	share_text(share, sizeof(share), p, "walk_share");
	share_text(gain, sizeof(gain), p, "gain_estimated");
	share_text(saved, sizeof(saved), p, "gain_verified");
	if (is_off(p) || !strcmp(saved, "0.00"))
		strcpy(saved, "-");
	number_of(p, "twin_pages", &pages);
	size_text(twin, sizeof(twin), pages * 4);
	number_of(p, "rss_kb", &kib);
	size_text(rss, sizeof(rss), kib);
	if (refs && p->refs >= 0)
		snprintf(walk, sizeof(walk), " %6.2f", p->refs);
	else if (refs)
		snprintf(walk, sizeof(walk), " %6s", "-");
	snprintf(line, size, "%7d %-8s %-12s %6s%s %6s %6s %5s %5s %s", p->pid, text_of(p, "state"),
		 why(p, mode), share, walk, gain, saved, twin, rss, p->comm);
}

/*
 * Sorting.  What counts most comes first; processes that have no such number last.
 */
static const struct {
	const char *name, *field;
} keys[] = {
	{ "pid", NULL },
	{ "share", "walk_share" },
	{ "gain", "gain_estimated" },
	{ "state", NULL },
	{ "twin", "twin_pages" },
	{ "rss", "rss_kb" },
	{ }
};

static const char *sort_name, *sort_field;
static bool sort_reverse;

static int by_key(const struct process *x, const struct process *y)
{
	bool has_x, has_y;
	long long a, b;

	if (sort_field) {
		has_x = number_of(x, sort_field, &a);
		has_y = number_of(y, sort_field, &b);
		if (has_x != has_y)
			return has_x ? -1 : 1;
		if (has_x && a != b)
			return a > b ? -1 : 1;
	} else if (!strcmp(sort_name, "state")) {
		/* on, building, off */
		a = is_off(x);
		b = is_off(y);
		if (a != b)
			return a < b ? -1 : 1;
		a = strcmp(text_of(x, "state"), text_of(y, "state"));
		if (a)
			return a < 0 ? 1 : -1;
	}
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static int compare(const void *a, const void *b)
{
	int n = by_key(*(const struct process * const *)a, *(const struct process * const *)b);

	return sort_reverse ? -n : n;
}

bool sort_list(struct list *l, const char *key, bool reverse)
{
	int i;

	for (i = 0; keys[i].name && strcmp(key, keys[i].name); i++)
		;
	if (!keys[i].name)
		return false;
	sort_name = key;
	sort_field = keys[i].field;
	sort_reverse = reverse;
	if (l->nr)
		qsort(l->process, l->nr, sizeof(l->process[0]), compare);
	return true;
}

void check_sort_key(const char *key)
{
	struct list empty = { };

	if (!sort_list(&empty, key, false))
		exit(usage_error("--sort: none of pid, share, gain, state, twin, rss: %s", key));
}

/* The bytes of the UTF-8 sequence that begins at @s (RFC 3629), or 0 */
static int utf8_length(const unsigned char *s)
{
	int n = *s < 0x80 ? 1 : *s < 0xc2 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : *s < 0xf5 ? 4 : 0;
	int i;

	for (i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* too long for what it says, a surrogate, or beyond the last character */
	if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) ||
	    (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static void json_string(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	putchar('"');
	while (*s) {
		int n = utf8_length(s);

		if (!n)
			printf("\\ufffd");
		else if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if (*s < ' ')
			printf("\\u%04x", *s);
		else
			printf("%.*s", n, (const char *)s);
		s += n ?: 1;
	}
	putchar('"');
}

static void json_process(const struct process *p)
{
	unsigned int i;
	long long v;

	printf("{\"pid\": %d, \"comm\": ", p->pid);
	json_string(p->raw_comm);
	for (i = 0; i < p->nr; i++) {
		printf(", ");
		json_string(p->field[i].name);
		printf(": ");
		if (number_of(p, p->field[i].name, &v))
			printf("%lld", v);
		else
			json_string(p->field[i].value);
	}
	putchar('}');
}

static void json(const struct list *l, const char *mode)
{
	unsigned int i;

	printf("{\"mode\": ");
	json_string(mode);
	printf(", \"unreadable\": %u, \"processes\": [", l->unreadable);
	for (i = 0; i < l->nr; i++) {
		printf("%s\n  ", i ? "," : "");
		json_process(l->process[i]);
	}
	printf("%s]}\n", l->nr ? "\n" : "");
}

static bool not_off(const struct process *p)
{
	return !is_off(p);
}

int status_main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "all", 0, NULL, 'a' }, { "json", 0, NULL, 'j' }, { "reverse", 0, NULL, 'r' },
		{ "sort", 1, NULL, 's' }, { "help", 0, NULL, 'h' }, { }
	};
	bool all = false, as_json = false, reverse = false;
	const char *key = "pid";
	char line[256], mode[32] = "";
	struct list l = { };
	int c, worst = OK;
	unsigned int i;

	while ((c = next_option(argc, argv, "ajrs:", names)) >= 0) {
		switch (c) {
		case 'a':
			all = true;
			break;
		case 'j':
			as_json = true;
			break;
		case 'r':
			reverse = true;
			break;
		case 's':
			key = optarg;
			break;
		}
	}
	check_sort_key(key);
	argv += optind;
	if (*argv && all)
		return usage_error("either --all or PIDs");
	for (i = 0; argv[i]; i++)
		parse_pid(argv[i]);

	read_choice(TPT_SYS "enabled", mode, sizeof(mode));
	if (!*argv) {
		if (!have_tpt())
			return no_tpt();
		read_all(&l, NULL, all ? NULL : not_off);
	}
	for (; *argv; argv++) {
		pid_t pid = parse_pid(*argv);
		struct process *p = read_process(pid);
		int status = p ? OK : missing(pid, errno);

		if (status > worst)
			worst = status;
		if (status == NO_TPT)
			return worst;
		if (p && !as_json) {
			fputs(p->text, stdout);
			free(p);
		} else if (p) {
			add_process(&l, p);
		}
	}

	sort_list(&l, key, reverse);
	if (as_json) {
		json(&l, mode);
	} else if (optind == argc) {
		table_line(line, sizeof(line), NULL, mode, false);
		puts(line);
		for (i = 0; i < l.nr; i++) {
			table_line(line, sizeof(line), l.process[i], mode, false);
			puts(line);
		}
		if (l.unreadable)
			message("%u more processes may not be looked at", l.unreadable);
	}
	free_list(&l);
	return worst;
}
