# SPDX-License-Identifier: GPL-2.0-only
# make run's table of auto mode: from the output of the machines never and always,
# in which the programs ran alone, and mixed, in which they ran side by side.

function take(from,    i, eq)
{
	split("", word)
	for (i = from; i <= NF; i++) {
		eq = index($i, "=")
		word[substr($i, 1, eq - 1)] = substr($i, eq + 1)
	}
}

$1 == "run" {
	take(2)
	mode = word["mode"]
	program = word["program"]
	if (mode == "mixed")
		order[++programs] = program
	next
}

$1 == "child" {
	take(2)
	on_children[program, mode] += word["tpt_switched_on"] > 0
}

$1 ~ /^workload=/ {
	take(1)
	cpu[program, mode] = word["cpu_ms"]
	if (word["errors"] != "0") {
		print "data is wrong: " program ", " mode
		bad = 1
	}
	if (mode == "mixed")
		for (k in word)
			v[program, k] = word[k]
}

function share(x)
{
	return x == "" ? "-" : sprintf("%.1f%%", x / 100)
}

# The better of both, in ms; what two runs differ by anyway is no difference.
function choice(never, always)
{
	if (always < 0.98 * never && never - always > 50)
		return "always"
	return never < 0.98 * always && always - never > 50 ? "never" : "either"
}

# what the CPU time of A is shorter than that of B, per cent of B
function gain(a, b)
{
	return b ? sprintf("%.1f%%", 100 * (b - a) / b) : "-"
}

END {
	print "\nAuto mode, the programs side by side; then each alone with TPT never and always"
	printf "%-11s %-9s %7s %-15s %-15s  %-22s %-7s %s\n", "program", "decision", "after", \
		"   walk share", "     gain", "  CPU time, seconds", "always", "best"
	printf "%-11s %-9s %7s %7s %7s %7s %7s  %7s %7s %7s %6s  %s\n", "", "", "CPU ms", \
		"before", "after", "expect.", "verif.", "auto", "never", "always", "gains", "choice"
	for (i = 1; i <= programs; i++) {
		p = order[i]
		if (!((p, "mixed") in cpu) || !((p, "never") in cpu) || !((p, "always") in cpu)) {
			print "no result: " p
			bad = 1
			continue
		}
		on = v[p, "tpt_switched_on"] + on_children[p, "mixed"]
		a = cpu[p, "always"]
		b = cpu[p, "never"]
		printf "%-11s %-9s %7s %7s %7s %7s %7s  %7.2f %7.2f %7.2f %6s  %s\n", p, \
			!on ? "stays off" : v[p, "tpt_switched_off"] ? "on, off" : "on", \
			on ? v[p, "tpt_first_on_ms"] : "-", \
			share(on ? v[p, "tpt_walk_share_before"] : v[p, "tpt_walk_share"]), \
			on ? share(v[p, "tpt_walk_share"]) : "-", share(v[p, "tpt_gain_estimated"]), \
			on ? share(v[p, "tpt_gain_verified"]) : "-", cpu[p, "mixed"] / 1000, \
			b / 1000, a / 1000, gain(a, b), choice(b, a)
	}
	exit bad || !programs
}
