// SPDX-License-Identifier: GPL-2.0-only
/*
 * tptctl explain: why TPT is on or off, in words.
 *
 * In the sentences, {NAME} is a field of /proc/PID/tpt, or a setting of mode auto,
 * or one of the values that are put in for them here; {NAME%} is the same in per cent,
 * {NAME/100} a value that the kernel gives times 100.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tptctl.h"

struct word {
	const char *name;
	const char *meaning;	/* for --list */
	const char *off, *on;	/* sentences; on is NULL: the same */
};

/* What mode auto last decided: tpt_why_names of the kernel */
static const struct word decisions[] = {
	{
		"none", "not looked at yet",
		"Mode auto has not looked at it yet: it looks at processes with at least "
		"{min_rss_kb} KiB of resident memory (min_rss_kb; this one has {rss_kb} KiB) "
		"that take at least {min_cpu_percent} % of a CPU (min_cpu_percent) and have had "
		"{min_age_ms} ms of CPU time (this one had {cpu_ms} ms).", NULL
	}, {
		"no-data", "it did not run, the PMU was busy, or it is switched too often to be measured",
		"The last measurement has no result: it did not run then, the PMU was "
		"somebody else's, or it is switched so often that counters would mostly show "
		"what it costs to switch them (sensor: {sensor}).", NULL
	}, {
		"small-gain", "off: less than on_gain is to be expected",
		"TPT would save {gain_estimated%} of its cycles, and to be worth it that has to be "
		"{on_gain%} (on_gain).", NULL
	}, {
		"updates", "there would be a gain, but for page-table updates",
		"Page walks alone would be worth it, but it changes its page tables so often that, "
		"at {update_cycles} cycles for each change (update_cycles), {gain_estimated%} "
		"of its cycles remain as gain; {on_gain%} are needed (on_gain).",
		"Because of the changes of its page tables, at {update_cycles} cycles for each "
		"(update_cycles), {gain_estimated%} of its cycles remain as gain; at {off_gain%} "
		"(off_gain) it is switched off."
	}, {
		"cost", "switching would not be earned back soon enough",
		"TPT would save {gain_estimated%} of its cycles, but to build tables for "
		"{rss_kb} KiB would not be earned back within {horizon_ms} ms of CPU time "
		"(horizon_ms), or within as much as it has had, which is {cpu_ms} ms.", NULL
	}, {
		"confirming", "another window is to confirm this",
		"TPT would save {gain_estimated%} of its cycles, which is at least the {on_gain%} "
		"that are needed (on_gain); it takes {confirm_on} votes to switch it on "
		"(confirm_on), and another measurement is to come.",
		"The gain has fallen to {gain_estimated%} of its cycles, less than {off_gain%} "
		"(off_gain); it takes {confirm_off} votes or more to switch it off (confirm_off), "
		"and another measurement is to come."
	}, {
		"gain", "it pays",
		"TPT is to save {gain_estimated%} of its cycles, at least the {on_gain%} that are "
		"needed (on_gain): it is about to be switched on.",
		"It pays: TPT saves {gain_estimated%} of its cycles after its running cost, and "
		"it stays on from {off_gain%} (off_gain)."
	}, {
		"verifying", "on: the gain is being measured",
		"The gain was being measured when it was switched off.",
		"It was switched on to save {gain_estimated%} of its cycles, by estimate, and "
		"{verify} measurements (verify) are to show whether it does."
	}, {
		"not-verified", "off: the expected gain did not show",
		"It was on, but the gain that was expected did not show: {gain_verified%} of its "
		"cycles were saved.  To stay on that has to be {off_gain%} (off_gain) compared with "
		"before, or {on_gain%} (on_gain) with afterwards, without the same work becoming "
		"dearer by {on_gain%}.", NULL
	}, {
		"gain-gone", "off: what the process does has changed",
		"It was on, and what it does has changed: TPT saved {gain_estimated%} of its "
		"cycles in the end, less than {off_gain%} (off_gain).", NULL
	}, {
		"backoff", "off: left alone after failures",
		"It is left alone for a while after {failures} attempts in a row that did not pay: "
		"{backoff} intervals of {interval_ms} ms (backoff, interval_ms) after the first, "
		"twice as many after each further one, {backoff_max} at most (backoff_max).", NULL
	}, {
		"budget", "off: others gain more for the memory",
		"TPT would pay, but tables may take {max_twin_percent} % of memory "
		"(max_twin_percent), and other processes gain more for it; it is looked at again "
		"after {backoff} intervals (backoff).", NULL
	}, {
		"failed", "off: the mechanism refused or gave up",
		"TPT would pay, but it could not be switched on, or did not stay on; {failures} "
		"attempts in a row have failed.", NULL
	}, { }
};

/* Why it was last switched off: tpt_reason_names of the kernel */
static const struct word reasons[] = {
	{
		"none", "it is on, or never was", "It was never on.", NULL
	}, {
		"user", "switched off by the user", "The user has switched it off.", NULL
	}, {
		"unmappable", "it accessed memory that TPT cannot map",
		"It accessed memory that TPT cannot map: memory of a device, or a page that the "
		"host does not give to this guest alone and writable, such as a merged one.", NULL
	}, {
		"nomem", "no memory for tables", "There was no memory for its tables.", NULL
	}, {
		"no-progress", "the CPU and the kernel did not agree on a table",
		"The same fault came again and again, although its table was right: that is a bug "
		"of the host or of the kernel and should be reported.", NULL
	}, {
		"corrupt", "the CPU found a table that it does not understand",
		"The CPU found a table that it does not understand: that is a bug of the kernel "
		"or of the host and should be reported.", NULL
	}, {
		"mode", "the mode became never", "It was on until the mode became never.", NULL
	}, {
		"policy", "mode auto decided so", "Mode auto has switched it off.", NULL
	}, {
		"no-map", "the Guest Address Map was taken away",
		"The Guest Address Map was taken away, as when the machine moves to another host.",
		NULL
	}, { }
};

/* Values besides those of the kernel's files */
struct extra {
	const char *name;
	long long value;
};

static bool value_of(const struct process *p, const struct extra *extra, const char *name,
		     long long *v)
{
	for (; extra->name; extra++) {
		if (!strcmp(extra->name, name)) {
			*v = extra->value;
			return true;
		}
	}
	return number_of(p, name, v) || setting(name, v);
}

/* Prints a sentence, with its numbers; what the kernel does not tell is a "?". */
static void say(const struct process *p, const struct extra *extra, const char *sentence)
{
	while (*sentence) {
		size_t n = strcspn(sentence, "{");
		char name[32];
		const char *sign;
		long long v;

		printf("%.*s", (int)n, sentence);
		sentence += n;
		if (!*sentence)
			break;
		n = strcspn(++sentence, "}%/");
		snprintf(name, sizeof(name), "%.*s", (int)n, sentence);
		sign = sentence + n;
		sentence += strcspn(sentence, "}") + 1;
		if (!value_of(p, extra, name, &v))
			printf("%s", *text_of(p, name) ? text_of(p, name) : "?");
		else if (*sign == '}')
			printf("%lld", v);
		else
			printf("%.2f%s", v / 100.0, *sign == '%' ? " %" : "");
	}
	putchar('\n');
}

static const struct word *find_word(const struct word *list, const char *name)
{
	while (list->name && strcmp(list->name, name))
		list++;
	return list->name ? list : NULL;
}

static void say_word(const struct process *p, const struct extra *extra, const struct word *list,
		     const char *field)
{
	const char *name = text_of(p, field);
	const struct word *w = find_word(list, name);

	if (!w)
		printf("The kernel says \"%s: %s\", which this program does not know.\n", field, name);
	else
		say(p, extra, is_off(p) || !w->on ? w->off : w->on);
}

/* Who decides about it, the user, the kernel or the mode? Returns true if it is mode auto. */
static bool say_who(const struct process *p, const struct extra *extra, const char *mode)
{
	if (!strcmp(mode, "never")) {
		say(p, extra, "The mode is never: no process uses TPT "
		    "(to change it: echo auto > " TPT_SYS "enabled).");
		return false;
	}
	if (!strcmp(mode, "always")) {
		say(p, extra, "The mode is always: every program uses TPT from its start, unless "
		    "the user switches it off.");
		return false;
	}
	if (!strcmp(mode, "manual")) {
		say(p, extra, "The mode is manual: a process uses TPT when it was told to "
		    "(tptctl on {pid}).");
		return false;
	}
	if (strcmp(text_of(p, "mode"), "auto")) {
		say(p, extra, "The user has decided about it, so mode auto leaves it alone "
		    "(tptctl auto {pid} changes that).");
		return false;
	}
	say(p, extra, "The mode is auto: the kernel decides about it.");
	return true;
}

static void say_numbers(const struct process *p, const struct extra *extra)
{
	long long v;

	say(p, extra, "When it was last measured (sensor: {sensor}), page walks took {walk_share%} of its "
	    "cycles, {miss_penalty/100} cycles each, {miss_rate/100} of them per 1,000 "
	    "instructions; access pattern: {pattern}.");
	if (number_of(p, "switched_on", &v) && v)
		say(p, extra, "Before it was switched on they took {walk_share_before%}; "
		    "{gain_verified%} of its cycles were seen to be saved by that.");
	if (number_of(p, "first_on_ms", &v) && v)
		say(p, extra, "It had been looked at for {first_on_ms} ms of its CPU time when it was "
		    "first switched on.");
}

static void explain(const struct process *p)
{
	long long interval = 0, percent = 0, pages = 0, pauses, available = 0;
	struct extra extra[] = {
		{ "pid", p->pid }, { "cpu_ms", 0 }, { "twin_kb", 0 }, { "min_age_ms", 0 }, { }
	};
	char mode[32] = "?", line[32];
	struct stat_of st = { };
	bool is_auto;

	read_stat(p->pid, &st);
	setting("interval_ms", &interval);
	setting("min_cpu_percent", &percent);
	number_of(p, "twin_pages", &pages);
	read_choice(TPT_SYS "enabled", mode, sizeof(mode));
	if (read_line(TPT_SYS "available", line, sizeof(line)))
		available = atoi(line);

	extra[1].value = st.cpu_ms;
	extra[2].value = pages * 4;
	/* as mm/tpt/auto.c has it, TPT_MIN_AGE */
	extra[3].value = 4 * interval * percent / 100;

	printf("%d (%s) %s\n", p->pid, p->comm, is_off(p) ? "does not use TPT." :
	       strcmp(text_of(p, "state"), "on") ? "is being switched to TPT." : "uses TPT.");
	if (!available)
		say(p, extra, "TPT is not available in this machine now (tptctl doctor says why).");
	is_auto = say_who(p, extra, mode);

	/* what mode auto says is more than that it was it, or that nobody was */
	if (is_off(p) && (!is_auto || (strcmp(text_of(p, "reason"), "policy") &&
				       strcmp(text_of(p, "reason"), "none"))))
		say_word(p, extra, reasons, "reason");
	if (is_auto && *text_of(p, "decision"))
		say_word(p, extra, decisions, "decision");
	if (is_candidate(p))
		say_numbers(p, extra);
	if (number_of(p, "pauses", &pauses) && pauses)
		say(p, extra, "Times that it went on without TPT for a moment, because the host could "
		    "not give it a page at once: {pauses}.");
	if (!strcmp(text_of(p, "inherit"), "on"))
		say(p, extra, "The processes that it starts use TPT, too: it has chosen so.");
	else if (!strcmp(text_of(p, "inherit"), "off"))
		say(p, extra, "The processes that it starts do not use TPT either: it has chosen so.");
	say(p, extra, "It has {rss_kb} KiB of resident memory; its tables for TPT take {twin_kb} KiB. "
	    "Times that it was switched on: {switched_on}, in {cycles_on} cycles; off: "
	    "{switched_off}, in {cycles_off} cycles.");
}

static void print_words(const char *field, const struct word *list)
{
	for (; list->name; list++)
		printf("%-8s  %-12s  %s\n", field, list->name, list->meaning);
}

int explain_main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "list", 0, NULL, 'l' }, { "help", 0, NULL, 'h' }, { }
	};
	int worst = OK, i;
	bool list = false;

	while (next_option(argc, argv, "l", names) >= 0)
		list = true;
	if (list && optind < argc)
		return usage_error("either --list or PIDs");
	if (list) {
		print_words("decision", decisions);
		print_words("reason", reasons);
		return OK;
	}
	if (optind == argc)
		return usage_error("no PID");
	for (i = optind; i < argc; i++)
		parse_pid(argv[i]);

	for (i = optind; i < argc; i++) {
		pid_t pid = parse_pid(argv[i]);
		struct process *p = read_process(pid);
		int status = p ? OK : missing(pid, errno);

		if (status > worst)
			worst = status;
		if (status == NO_TPT)
			break;
		if (!p)
			continue;
		if (i > optind)
			putchar('\n');
		explain(p);
		free(p);
	}
	return worst;
}
