# SPDX-License-Identifier: GPL-2.0-only
# The output of bench-auto's machines as tables and, with -v csv=FILE, as
# comma-separated values.  kind=full|short|sensitivity.  Exit status: 1 when data is
# wrong or a bound that must hold does not, 2 when results are missing.

BEGIN {
	nr_columns = split("program mode workload size updates count rss_bytes errors " \
		"virtual_ns cycles instructions walks walk_cycles other_walk_cycles data_cycles " \
		"refs_guest refs_host refs_tpt refs_rmp tpt_walks exits switch_cycles_cpu " \
		"state reason decision decisions first_on_ms switched_on switched_off " \
		"walk_share_before walk_share gain_estimated gain_verified miss_rate miss_penalty " \
		"pattern rss_kb guest_page host_page tpt_exits tpt_exit_cycles sensor " \
		"children children_on intervals candidates windows filter_cycles " \
		"sensor_cycles decision_cycles switch_cycles interval_ms_effective", column, " ")
	for (i = 1; i <= nr_columns; i++)
		printf "%s%s", column[i], i < nr_columns ? "," : "\n" > csv
	# of several runs of a program: the mean, the sum, of all others the last
	split("virtual_ns cycles instructions exits intervals candidates windows filter_cycles " \
		"sensor_cycles decision_cycles switch_cycles", mean, " ")
	split("switched_on switched_off children children_on", added, " ")
	for (i in mean)
		summed[mean[i]] = 1
	for (i in added)
		summed[added[i]] = 1
	interval_ms = 1000
}

# take FROM: the words key=value from field FROM on
function take(from,    i, eq, k)
{
	for (i = from; i <= NF; i++) {
		eq = index($i, "=")
		k = substr($i, 1, eq - 1)
		word[k] = substr($i, eq + 1)
	}
}

$1 == "run" {
	split("", word)
	split("", child)
	take(2)
	mode = word["mode"]
	program = word["program"]
	n = program SUBSEP mode
	if (!(program in seen)) {
		seen[program] = 1
		order[++programs] = program
	}
	for (i = 1; i <= nr_columns; i++)
		delete v[n, column[i]]
	split("", stats)
	split("", sum)
	split("", sum_off)
	ons = offs = late = got = 0
	next
}

$1 ~ /^workload=/ {
	split("", word)
	take(1)
	for (k in word) {
		t = k
		sub(/^tpt_/, "", t)
		# counters with the same names: those of the whole run come from tptstat
		if (k ~ /^(workload|size|updates|count|rss_bytes|errors)$/)
			v[n, k] = word[k]
		else if (k == "tpt_exits" || k == "tpt_exit_cycles")
			v[n, k] = word[k]
		else if (k ~ /^tpt_/ && k != "tpt_walks" && !(t ~ /^(walks|walk_cycles|cycles|instructions)$/))
			v[n, t] = word[k]
	}
	got = 1
	next
}

# A program's children stand for it: what they have in common is averaged, what
# counts is added
$1 == "child" {
	split("", word)
	take(2)
	c = ++v[n, "children"]
	if (word["tpt_switched_on"] + 0 > 0) {
		v[n, "children_on"]++
		for (k in word)
			if (k ~ /^tpt_(walk_share_before|walk_share|gain_estimated|gain_verified)$/)
				sum[substr(k, 5)] += word[k]
		if (word["tpt_first_on_ms"] + 0 > late)
			late = word["tpt_first_on_ms"] + 0
	} else {
		for (k in word)
			if (k ~ /^tpt_(walk_share|gain_estimated)$/)
				sum_off[substr(k, 5)] += word[k]
	}
	ons += word["tpt_switched_on"]
	offs += word["tpt_switched_off"]
	v[n, "child_errors"] += word["errors"]
	next
}

$1 == "tptstat:" {
	split("", word)
	take(2)
	for (k in word)
		v[n, k == "switch_cycles" ? "switch_cycles_cpu" : k] = word[k]
	next
}

$1 == "before" || $1 == "after" {
	# the clock's period is 2 ns (-icount shift=1)
	if (sub(/_ns$/, "_cycles", $2))
		$3 /= 2
	if ($1 == "before")
		stats[$2] = $3
	else if ($2 == "interval_ms_effective")
		v[n, $2] = $3
	else if ($2 != "switched_on" && $2 != "switched_off" && $2 != "decisions")
		v[n, $2] = $3 - stats[$2]
	next
}

$1 == "tunable" && $2 ~ /^interval_ms=/ {
	interval_ms = substr($2, 13)
}

$1 == "kernel" {
	sub(/\[ *[0-9.]*\] */, "")
	if (!($0 in message) && ++messages <= 10)
		message[$0] = messages
}

$1 == "refused" { refused[n] = $2 }

$1 == "end" {
	if (v[n, "children"]) {
		v[n, "switched_on"] += ons
		v[n, "switched_off"] += offs
		m = v[n, "children_on"] + 0
		if (m) {
			v[n, "decision"] = "on"
			v[n, "first_on_ms"] = late
			v[n, "walk_share_before"] = sum["walk_share_before"] / m
			v[n, "walk_share"] = sum["walk_share"] / m
			v[n, "gain_estimated"] = sum["gain_estimated"] / m
			v[n, "gain_verified"] = sum["gain_verified"] / m
		} else {
			v[n, "walk_share"] = sum_off["walk_share"] / v[n, "children"]
			v[n, "gain_estimated"] = sum_off["gain_estimated"] / v[n, "children"]
		}
	}
	v[n, "program"] = program
	v[n, "mode"] = mode
	if (!got || !v[n, "cycles"]) {
		print "no result: " program ", tpt=" mode
		missing = 1
	}
	if (v[n, "errors"] != "0") {
		print "data is wrong: " program ", tpt=" mode
		wrong = 1
	}
	for (i = 1; i <= nr_columns; i++)
		printf "%s%s", v[n, column[i]], i < nr_columns ? "," : "\n" > csv
	runs[n]++
	for (i = 1; i <= nr_columns; i++) {
		k = column[i]
		res[n, k] = k in summed ? res[n, k] + v[n, k] : v[n, k]
	}
}

function cycles(program, mode)
{
	return res[program, mode, "cycles"] + 0
}

function percent(a, b)
{
	return b ? 100 * (a - b) / b : 0
}

# a number in 1/100 %
function share(x)
{
	return x == "" ? "-" : sprintf("%.1f%%", x / 100)
}

# What auto takes more than the better of MODES, by cycles or by time, whichever is
# worse: cycles are also taken from others, and there is time that nobody computes.
# N: the runs of auto, if not those of P
function excess(p, modes, n,    i, k, m, b, r, worst, metric, mode)
{
	split("cycles virtual_ns", metric, " ")
	m = split(modes, mode, " ")
	worst = -100
	for (k = 1; k <= 2; k++) {
		b = 0
		for (i = 1; i <= m; i++) {
			r = res[p, mode[i], metric[k]] + 0
			if (r && (!b || r < b))
				b = r
		}
		r = percent(res[n ? n : p SUBSEP "auto", metric[k]], b)
		if (r > worst)
			worst = r
	}
	return worst
}

# aim WHAT VALUE AIM UNIT: smaller is better
function aim(what, value, limit, unit)
{
	if (value <= limit)
		printf "  met              %-62s %.2f%s (aim %s%s)\n", what, value, unit, limit, unit
	else {
		printf "  missed by %-7s%-62s %.2f%s (aim %s%s)\n", sprintf("%.2f", value - limit), what, value, unit, limit, unit
		aims_missed++
	}
}

# must WHAT CONDITION VALUE
function must(what, ok, value)
{
	printf "  %-16s %-62s %s\n", ok ? "met" : "MISSED", what, value
	if (!ok)
		aims_missed++
}

function table(    i, p, n)
{
	printf "\nWhole runs, cycles in millions; regret: auto against the better of never and always, by\ncycles or by time, whichever is worse\n"
	printf "%-11s %8s %8s %8s %7s %7s  %-8s %7s %6s %-15s %-15s\n", "program", "never", "always", \
		"auto", "regret", "/never", "decision", "after", "on/off", "  walk share", "     gain"
	printf "%-11s %8s %8s %8s %7s %7s  %-8s %7s %6s %7s %7s %7s %7s\n", "", "", "", "", "", "", "", \
		"CPU ms", "", "before", "after", "expect.", "verif."
	for (i = 1; i <= programs; i++) {
		p = order[i]
		if (!cycles(p, "auto") || !cycles(p, "never"))
			continue
		n = p SUBSEP "auto"
		on = res[n, "switched_on"] + 0
		printf "%-11s %8.1f %8.1f %8.1f %6.2f%% %6.2f%%  %-8s %7s %6s %7s %7s %7s %7s\n", p, \
			cycles(p, "never") / 1e6, cycles(p, "always") / 1e6, cycles(p, "auto") / 1e6, \
			excess(p, "never always"), excess(p, "never"), \
			res[n, "children"] && on ? res[n, "children_on"] + 0 " of " res[n, "children"] : on ? "on" : "stays off", \
			on ? res[n, "first_on_ms"] : "-", on "/" res[n, "switched_off"] + 0, \
			share(on ? res[n, "walk_share_before"] : res[n, "walk_share"]), \
			on ? share(res[n, "walk_share"]) : "-", share(res[n, "gain_estimated"]), \
			on ? share(res[n, "gain_verified"]) : "-"
	}
}

function costs(    i, p, n, c)
{
	printf "\nWhat auto mode itself took, share of the cycles of the run; exits: #VMEXITs per 1 s beyond never\n"
	printf "%-11s %9s %10s %8s %9s %9s %9s %9s %8s\n", "program", "intervals", "candidates", \
		"windows", "filter", "sensor", "decision", "switching", "exits"
	for (i = 1; i <= programs; i++) {
		p = order[i]
		n = p SUBSEP "auto"
		c = cycles(p, "auto")
		if (!c || p ~ /-/ || p ~ /@/)
			continue
		printf "%-11s %9d %10d %8d %8.4f%% %8.4f%% %8.4f%% %8.4f%% %8.1f\n", p, res[n, "intervals"], \
			res[n, "candidates"], res[n, "windows"], 100 * res[n, "filter_cycles"] / c, \
			100 * res[n, "sensor_cycles"] / c, 100 * res[n, "decision_cycles"] / c, \
			100 * res[n, "switch_cycles"] / c, res[n, "virtual_ns"] ? \
			1e9 * (res[n, "exits"] / res[n, "virtual_ns"] - \
			res[p, "never", "exits"] / (res[p, "never", "virtual_ns"] + 1)) : 0
	}
}

function figure(    i, p, n, most, bar, k)
{
	for (i = 1; i <= programs; i++)
		if (order[i] ~ /^procs-/ && res[order[i], "auto", "intervals"]) {
			n = order[i] SUBSEP "auto"
			cost[order[i]] = (res[n, "filter_cycles"] + res[n, "sensor_cycles"] + \
				res[n, "decision_cycles"]) / res[n, "intervals"]
			if (cost[order[i]] > most)
				most = cost[order[i]]
		}
	if (!most)
		return
	printf "\nCost of an interval: processes, and busy ones among them; cycles per interval\n"
	printf "%5s %5s %10s %9s %9s %9s\n", "procs", "busy", "candidates", "filter", "sensor", "decision"
	for (i = 1; i <= programs; i++) {
		p = order[i]
		if (!(p in cost))
			continue
		n = p SUBSEP "auto"
		split(p, part, "-")
		k = res[n, "intervals"]
		bar = ""
		while (length(bar) < 40 * cost[p] / most)
			bar = bar "#"
		printf "%5d %5d %10.1f %9.0f %9.0f %9.0f  %s\n", part[2], part[3], res[n, "candidates"] / k, \
			res[n, "filter_cycles"] / k, res[n, "sensor_cycles"] / k, res[n, "decision_cycles"] / k, bar
	}
}

function aims(    i, p, n, r, worst, w)
{
	printf "\nAims\n"
	for (i = 1; i <= programs; i++) {
		p = order[i]
		if (!cycles(p, "auto") || !cycles(p, "always"))
			continue
		aim(p ": regret", excess(p, "never always"), 1, " %")
	}
	for (i = 1; i <= programs; i++) {
		p = order[i]
		if (cycles(p, "auto") && cycles(p, "never"))
			aim(p ": worse than nested", excess(p, "never"), 0.5, " %")
	}
	if (cycles("random", "auto")) {
		n = "random" SUBSEP "auto"
		must("random: switched on", res[n, "switched_on"] > 0, res[n, "switched_on"] + 0 " times")
		if (res[n, "switched_on"] > 0)
			aim("random: intervals of CPU time until switched on", res[n, "first_on_ms"] / interval_ms, 3, "")
		if (cycles("random", "always"))
			aim("random: whole run over always", excess("random", "always"), 3, " %")
	}
	if (cycles("sequential", "auto"))
		aim("sequential, gains nothing: cost of sensor and policy", excess("sequential", "never"), 0.3, " %")
	w = split("sequential ptheavy short idle", list, " ")
	for (i = 1; i <= w; i++)
		if (cycles(list[i], "auto"))
			must(list[i] ": stays on nested paging", !(res[list[i], "auto", "switched_on"] + 0), \
				"switched on " res[list[i], "auto", "switched_on"] + 0 " times")
	if (cycles("phase", "auto")) {
		n = "phase" SUBSEP "auto"
		r = res[n, "count"]
		must("phase: followed both ways", res[n, "switched_on"] > 0 && res[n, "switched_off"] > 0, \
			res[n, "switched_on"] + 0 " on, " res[n, "switched_off"] + 0 " off")
		must("phase: no more switches than changes of phase, " 2 * r, \
			res[n, "switched_on"] + res[n, "switched_off"] <= 2 * r, res[n, "switched_on"] + res[n, "switched_off"])
	}
	if (("procs-200-2" in cost) && ("procs-4-2" in cost)) {
		aim("200 processes, 2 busy: cost of an interval over that with 4", \
			cost["procs-200-2"] / cost["procs-4-2"], 2, "")
		printf "  %-16s %-62s %.2f\n", "for comparison", "200 processes, 4 busy, over 2 busy", \
			cost["procs-200-4"] / cost["procs-200-2"]
	}
}

function sensitivity(    i, j, p, base, w, names, r, total)
{
	printf "\nRegret with each threshold halved and doubled, against the better of never and always\n"
	w = split("random sequential ptheavy phase", names, " ")
	printf "%-24s", "threshold"
	for (j = 1; j <= w; j++)
		printf " %10s", names[j]
	printf " %10s\n", "worst"
	for (i = 1; i <= programs; i++) {
		p = order[i]
		if (p !~ /^random@/)
			continue
		base = substr(p, 8)
		printf "%-24s", base
		worst = -100
		for (j = 1; j <= w; j++) {
			n = names[j] "@" base SUBSEP "auto"
			if (n in refused)
				printf " %10s", "refused"
			else {
				r = excess(names[j], "never always", n)
				if (r > worst)
					worst = r
				printf " %9.2f%%", r
			}
		}
		printf " %9.2f%%%s\n", worst, (worst > 3 ? "  aim (3 %) missed by " sprintf("%.2f", worst - 3) : "")
	}
}

END {
	for (n in runs)
		for (i in mean)
			res[n, mean[i]] /= runs[n]
	if (kind == "sensitivity")
		sensitivity()
	else {
		table()
		costs()
		figure()
		aims()
	}
	if (messages) {
		printf "\nKernel messages\n"
		for (m in message)
			print "  " substr(m, 8)
	}
	if (missing || !programs)
		exit 2
	exit wrong ? 1 : 0
}
