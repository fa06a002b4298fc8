# SPDX-License-Identifier: GPL-2.0-only
# TAP from: programs, list, log of the build, output with never, output with always.
# A test, or a part of one, is not ok if it does worse with always than with never.

BEGIN { level["ok"] = 3; level["skip"] = 2; level["not"] = 1; level[""] = 0 }

input == "programs" { program[++programs] = $1; next }

input == "list" && $1 ~ /^(short|chance|part|all|skip)$/ {
	name = $2 == "su" ? $5 : $2
	sub(/.*\//, "", name)
	listed[name] = 1
	if ($1 == "skip") {
		sub(/:$/, "", name)
		listed[name] = 1
		sub(/^skip[ \t]+[^ ]* */, "")
		left_out[++left_outs] = name " # SKIP " $0
	}
	next
}

# the first error that names the program's source, or its own rule
input == "log" {
	if (/error:|fatal error:|cannot find/) {
		error = $0
		sub(/.*error: /, "", error)
		src = $0
		sub(/\.c:.*/, "", src)
		if (!(src in why))
			why[src] = error
	}
	next
}

mode != "" && /^drift / { print "# " $0; drift++; next }
mode != "" && /^checks / { checks = $2; next }

mode != "" && /^== / {
	raw = command = substr($0, 4)
	if (++times[command, mode] > 1)
		command = command " (" times[command, mode] ")"
	part = 0
	tail = ""
	if (mode == "never")
		order[++commands] = command
	else if (!((command, "never") in seen))
		order[++commands] = command
	seen[command, mode] = 1
	next
}

mode != "" && /^= / {
	r = $2
	sub(/^= [a-z]* /, "")
	if (mode == "never" || !((command, $0, "never") in parts))
		if (!((command, $0) in known)) {
			known[command, $0] = 1
			part_name[command, ++nr_parts[command]] = $0
		}
	parts[command, $0, mode] = r
	next
}

# the reason, if it gives one, and else the last words
mode != "" && /^   / {
	if (tail !~ /[Ss][Kk][Ii][Pp]|[Bb]ail out/ && !/# (Totals|Planned)|Restore THP/) {
		tail = $0
		sub(/^[ #]*/, "", tail)
	}
	next
}

mode != "" && /^# / {
	c = $0
	sub(/^# [^ ]+ [^ ]+ [^ ]+ [^ ]+ /, "", c)
	if (c != raw)
		next
	c = command
	status[c, mode] = $2
	time[c, mode] = $3
	on[c, mode] = $4
	off[c, mode] = $5
	last[c, mode] = tail
	total[mode] += $3
	next
}

function result(c, mode,	s)
{
	if (!((c, mode) in status))
		return ""
	s = status[c, mode]
	return s == 0 ? "ok" : s == 4 ? "skip" : "not"
}

function text(c, mode,	s)
{
	if (!((c, mode) in status))
		return (c, mode) in seen ? "the machine ended in it" : "not run"
	s = status[c, mode]
	return s == 0 ? "passes" : s == 4 ? "skips" : s == 124 || s == 143 ? "no end" : "status " s
}

function tap(good, what)
{
	print (good ? "ok " : "not ok ") ++tests " - " what
}

END {
	for (i = 1; i <= commands; i++) {
		c = order[i]
		if ((c, "never") in status && status[c, "never"] == "-") {
			split(c, w, " ")
			tap(1, c " # SKIP not built: " (w[1] in why ? why[w[1]] : "see the log"))
			continue
		}
		rn = result(c, "never")
		ra = result(c, "always")
		bad = rn == "" || level[ra] < level[rn] || off[c, "always"] ~ /no-progress|corrupt/
		n["ok"] = n["skip"] = n["not"] = 0
		worse = better = 0
		for (p = 1; p <= nr_parts[c]; p++) {
			name = part_name[c, p]
			pn = parts[c, name, "never"]
			pa = parts[c, name, "always"]
			n[pn]++
			if (pn == pa)
				continue
			if (level[pa] < level[pn]) {
				bad = 1
				if (++worse == 1)
					first = name
				if (worse <= 10)
					print "# " c ": never " pn ", always " (pa == "" ? "-" : pa) ": " name
			} else if (++better <= 5) {
				print "# " c ": never " (pn == "" ? "-" : pn) ", always " pa ": " name
			}
		}
		told = c
		if (nr_parts[c])
			told = told sprintf(": parts pass %d, skip %d, fail %d", n["ok"], n["skip"], n["not"])
		told = told sprintf("; TPT on %d, off %s; %d and %d s", on[c, "always"],
				    off[c, "always"], time[c, "never"], time[c, "always"])
		if (bad) {
			tap(0, told ": never " text(c, "never") ", always " text(c, "always") \
			    (worse ? ", parts worse: " worse ", the first is " first : ""))
			if (last[c, "always"] != "")
				print "#   " last[c, "always"]
		} else if (rn == "ok" || ra == "ok") {
			tap(1, told)
			passed++
		} else {
			tap(1, told " # SKIP both: " text(c, "never") ": " last[c, "never"])
		}
		if ((c, "always") in status && !on[c, "always"]) {
			print "# not on TPT: " c
			not_on++
		}
		if (on[c, "never"])
			not_off++
	}
	for (i = 1; i <= left_outs; i++)
		tap(1, left_out[i])
	for (i = 1; i <= programs; i++)
		if (!(program[i] in listed))
			tap(1, program[i] " # SKIP it is not in the list")
	tap(commands && !not_on && !not_off && total["always"] != "",
	    sprintf("%d pass with never; with always each ran on TPT; %d and %d s of virtual time",
		    passed, total["never"], total["always"]))
	tap(!drift && checks, "no twin grants what its page table does not show, in " checks + 0 " checks")
}
