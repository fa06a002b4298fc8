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
	# limits: the aim, and what must hold
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
	known[n] = 1
	delete stats
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
	got[n] = 1
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
				sum[n, substr(k, 5)] += word[k]
		if (word["tpt_first_on_ms"] + 0 > late[n])
			late[n] = word["tpt_first_on_ms"] + 0
	} else {
		for (k in word)
			if (k ~ /^tpt_(walk_share|gain_estimated)$/)
				sum_off[n, substr(k, 5)] += word[k]
	}
	ons[n] += word["tpt_switched_on"]
	offs[n] += word["tpt_switched_off"]
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
	if (!($0 in message) && ++messages <= 10)
		message[$0] = messages
}

$1 == "refused" { refused[n] = $2 }

$1 == "end" {
	if (v[n, "children"]) {
		v[n, "switched_on"] += ons[n]
		v[n, "switched_off"] += offs[n]
		m = v[n, "children_on"] + 0
		if (m) {
			v[n, "decision"] = "on"
			v[n, "first_on_ms"] = late[n]
			v[n, "walk_share_before"] = sum[n, "walk_share_before"] / m
			v[n, "walk_share"] = sum[n, "walk_share"] / m
			v[n, "gain_estimated"] = sum[n, "gain_estimated"] / m
			v[n, "gain_verified"] = sum[n, "gain_verified"] / m
		} else {
			v[n, "walk_share"] = sum_off[n, "walk_share"] / v[n, "children"]
			v[n, "gain_estimated"] = sum_off[n, "gain_estimated"] / v[n, "children"]
		}
	}
	v[n, "program"] = program
	v[n, "mode"] = mode
	if (!got[n] || !v[n, "cycles"]) {
		print "no result: " program ", tpt=" mode
		missing = 1
	}
	if (v[n, "errors"] != "0") {
		print "data is wrong: " program ", tpt=" mode
		wrong = 1
	}
	for (i = 1; i <= nr_columns; i++)
		printf "%s%s", v[n, column[i]], i < nr_columns ? "," : "\n" > csv
}

function cycles(program, mode)
{
	return v[program, mode, "cycles"] + 0
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

function best(p,    a, b)
{
	a = cycles(p, "never")
	b = cycles(p, "always")
	return b && b < a ? b : a
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
	printf "\nWhole runs, cycles in millions; regret: auto against the better of never and always\n"
	printf "%-11s %8s %8s %8s %7s %7s  %-8s %7s %6s %-15s %-15s\n", "program", "never", "always", \
		"auto", "regret", "/never", "decision", "after", "on/off", "  walk share", "     gain"
	printf "%-11s %8s %8s %8s %7s %7s  %-8s %7s %6s %7s %7s %7s %7s\n", "", "", "", "", "", "", "", \
		"CPU ms", "", "before", "after", "expect.", "verif."
	for (i = 1; i <= programs; i++) {
		p = order[i]
		if (!cycles(p, "auto") || !cycles(p, "never"))
			continue
		n = p SUBSEP "auto"
		on = v[n, "switched_on"] + 0
		printf "%-11s %8.1f %8.1f %8.1f %6.2f%% %6.2f%%  %-8s %7s %6s %7s %7s %7s %7s\n", p, \
			cycles(p, "never") / 1e6, cycles(p, "always") / 1e6, cycles(p, "auto") / 1e6, \
			percent(cycles(p, "auto"), best(p)), percent(cycles(p, "auto"), cycles(p, "never")), \
			v[n, "children"] && on ? v[n, "children_on"] + 0 " of " v[n, "children"] : on ? "on" : "stays off", \
			on ? v[n, "first_on_ms"] : "-", on "/" v[n, "switched_off"] + 0, \
			share(on ? v[n, "walk_share_before"] : v[n, "walk_share"]), \
			on ? share(v[n, "walk_share"]) : "-", share(v[n, "gain_estimated"]), \
			on ? share(v[n, "gain_verified"]) : "-"
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
		printf "%-11s %9d %10d %8d %8.4f%% %8.4f%% %8.4f%% %8.4f%% %8.1f\n", p, v[n, "intervals"], \
			v[n, "candidates"], v[n, "windows"], 100 * v[n, "filter_cycles"] / c, \
			100 * v[n, "sensor_cycles"] / c, 100 * v[n, "decision_cycles"] / c, \
			100 * v[n, "switch_cycles"] / c, v[n, "virtual_ns"] ? \
			1e9 * (v[n, "exits"] / v[n, "virtual_ns"] - \
			v[p, "never", "exits"] / (v[p, "never", "virtual_ns"] + 1)) : 0
	}
}

function figure(    i, p, n, most, bar, k)
{
	for (i = 1; i <= programs; i++)
		if (order[i] ~ /^procs-/ && v[order[i], "auto", "intervals"]) {
			n = order[i] SUBSEP "auto"
			cost[order[i]] = (v[n, "filter_cycles"] + v[n, "sensor_cycles"] + \
				v[n, "decision_cycles"]) / v[n, "intervals"]
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
		k = v[n, "intervals"]
		bar = ""
		while (length(bar) < 40 * cost[p] / most)
			bar = bar "#"
		printf "%5d %5d %10.1f %9.0f %9.0f %9.0f  %s\n", part[2], part[3], v[n, "candidates"] / k, \
			v[n, "filter_cycles"] / k, v[n, "sensor_cycles"] / k, v[n, "decision_cycles"] / k, bar
	}
}

function aims(    i, p, n, r, worst, w)
{
	printf "\nAims\n"
	for (i = 1; i <= programs; i++) {
		p = order[i]
		if (!cycles(p, "auto") || !cycles(p, "always"))
			continue
		aim(p ": regret", percent(cycles(p, "auto"), best(p)), 1, " %")
	}
	for (i = 1; i <= programs; i++) {
		p = order[i]
		if (cycles(p, "auto") && cycles(p, "never"))
			aim(p ": worse than nested", percent(cycles(p, "auto"), cycles(p, "never")), 0.5, " %")
	}
	if (cycles("random", "auto")) {
		n = "random" SUBSEP "auto"
		must("random: switched on", v[n, "switched_on"] > 0, v[n, "switched_on"] + 0 " times")
		if (v[n, "switched_on"] > 0)
			aim("random: intervals of CPU time until switched on", v[n, "first_on_ms"] / interval_ms, 3, "")
		if (cycles("random", "always"))
			aim("random: whole run over always", percent(cycles("random", "auto"), cycles("random", "always")), 3, " %")
	}
	if (cycles("sequential", "auto"))
		aim("sequential, gains nothing: cost of sensor and policy", \
			percent(cycles("sequential", "auto"), cycles("sequential", "never")), 0.3, " %")
	w = split("sequential ptheavy short idle", list, " ")
	for (i = 1; i <= w; i++)
		if (cycles(list[i], "auto"))
			must(list[i] ": stays on nested paging", !(v[list[i], "auto", "switched_on"] + 0), \
				"switched on " v[list[i], "auto", "switched_on"] + 0 " times")
	if (cycles("phase", "auto")) {
		n = "phase" SUBSEP "auto"
		r = v[n, "count"]
		must("phase: followed both ways", v[n, "switched_on"] > 0 && v[n, "switched_off"] > 0, \
			v[n, "switched_on"] + 0 " on, " v[n, "switched_off"] + 0 " off")
		must("phase: no more switches than changes of phase, " 2 * r, \
			v[n, "switched_on"] + v[n, "switched_off"] <= 2 * r, v[n, "switched_on"] + v[n, "switched_off"])
	}
	if (("procs-200-2" in cost) && ("procs-4-2" in cost)) {
		aim("200 processes, 2 busy: cost of an interval over that with 4", \
			cost["procs-200-2"] / cost["procs-4-2"], 2, "")
		printf "  %-16s %-62s %.2f\n", "for comparison", "200 processes, 8 busy, over 2 busy", \
			cost["procs-200-8"] / cost["procs-200-2"]
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
				r = percent(v[n, "cycles"], best(names[j]))
				if (r > worst)
					worst = r
				printf " %9.2f%%", r
			}
		}
		printf " %9.2f%%%s\n", worst, worst > 3 ? "  aim (3 %) missed by " sprintf("%.2f", worst - 3) : ""
	}
}

END {
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
