# SPDX-License-Identifier: GPL-2.0-only
# The output of cells of the evaluation, one file each, as comma-separated values:
# -v csv=FILE, a line for each cell, and -v decisions=FILE, a line for each measurement
# of the mode auto.  Exit status 1, with a line that says why, when a cell is not
# complete or its program's data is wrong.

BEGIN {
	nr = split("workload mode guest_page host_page scale size rss_bytes pt_bytes twin_bytes " \
		"mapped_page errors " \
		"cycles instructions walks refs_guest refs_host refs_tpt refs_rmp walk_cycles " \
		"tpt_walks walk_faults l1_misses l2_hits pwc_hits ntlb_hits data_cycles " \
		"other_walk_cycles exits switch_cycles host_cycles virtual_ns " \
		"whole_cycles whole_instructions whole_walks whole_refs_guest whole_refs_host " \
		"whole_refs_tpt whole_refs_rmp whole_walk_cycles whole_tpt_walks whole_exits " \
		"whole_switch_cycles whole_host_cycles whole_virtual_ns " \
		"state decision switched_on switched_off first_on_ms cycles_on walk_share_before " \
		"walk_share gain_estimated gain_verified pattern children children_on " \
		"intervals windows filter_cycles sensor_cycles decision_cycles policy_switch_cycles", column, " ")
	nd = split("workload guest_page host_page pid ms event state decision reason walk_share " \
		"gain_estimated gain_verified cycles instructions walks walk_cycles pages " \
		"switch_cycles", dcolumn, " ")
	line(csv, column, nr)
	line(decisions, dcolumn, nd)
	bytes["4K"] = 4096
	bytes["2M"] = 2097152
	# what the program says at its end of the whole run comes from tptstat
	split("cycles instructions walks refs_guest refs_host refs_tpt refs_rmp walk_cycles " \
		"tpt_walks exits switch_cycles host_cycles virtual_ns", list, " ")
	for (i in list)
		whole[list[i]] = 1
}

# line FILE, the names in NAMES, or with VALUE, what it has for them
function line(file, names, n, value, use,    i)
{
	for (i = 1; i <= n; i++)
		printf "%s%s", use ? value[names[i]] : names[i], i < n ? "," : "\n" > file
}

# words FROM: key=value of the fields from FROM on, into word.  The first counts: tpt_walks of
# /proc/PID/tpt, the last window's, comes after that of the counters.
function words(from,    i, eq, key)
{
	split("", word)
	for (i = from; i <= NF; i++) {
		eq = index($i, "=")
		key = substr($i, 1, eq - 1)
		if (eq && !(key in word))
			word[key] = substr($i, eq + 1)
	}
}

function complain(what)
{
	print name ": " what
	bad = 1
}

function finish()
{
	if (!name)
		return
	if (!complete)
		complain("the file is not complete")
	else if (!(v["cycles"] > 0) || !(v["whole_cycles"] > 0))
		complain("no counters")
	else if (v["errors"] != "0")
		complain("its self-check failed: errors=" v["errors"])
	else if (v["mode"] ~ /^tpt/ && !(v["tpt_walks"] > 0))
		complain("no walk by TPT")
	else
		line(csv, column, nr, v, 1)
}

FNR == 1 {
	finish()
	split("", v)
	split("", stats)
	split("", sample)
	complete = began = 0
	words(2)
	name = word["name"]
	for (k in word)
		v[k] = word[k]
	v["guest_page"] = bytes[word["guest"]]
	v["host_page"] = bytes[word["host"]]
	next
}

$1 ~ /^workload=/ {
	words(1)
	for (k in word) {
		t = k
		if (k == "guest_page")
			v["mapped_page"] = word[k]
		else if (sub(/^tpt_/, "", t) && k != "tpt_walks") {
			if (t ~ /^(state|decision|switched_on|switched_off|first_on_ms|cycles_on|walk_share_before|walk_share|gain_estimated|gain_verified|pattern|children|children_on)$/)
				v[t] = word[k]
			else if (t == "twin_pages")
				v["twin_bytes"] = 4096 * word[k]
		} else if (k != "workload")
			v[k] = word[k]
	}
}

$1 == "tptstat:" {
	words(2)
	for (k in word)
		if (k in whole)
			v["whole_" k] = word[k]
}

$1 == "before" || $1 == "after" {
	k = $2
	value = $3
	# the clock's period is 2 ns (-icount shift=1)
	if (sub(/_ns$/, "_cycles", k))
		value /= 2
	if (k == "switch_cycles")
		k = "policy_switch_cycles"
	if ($1 == "before")
		stats[k] = value
	else if (k ~ /^(intervals|windows)$|_cycles$/)
		v[k] = value - stats[k]
}

# A measurement is a line tpt_sample, what came of it the tpt_decide that follows.
$1 == "trace" {
	time = $2 * 1000
	if ($3 == "tracing_mark_write:") {
		began = time
		next
	}
	words(4)
	pid = word["pid"]
	if ($3 == "tpt_sample:") {
		for (k in word)
			sample[pid, k] = word[k]
		next
	}
	split("", r)
	r["workload"] = v["workload"]
	r["guest_page"] = v["guest_page"]
	r["host_page"] = v["host_page"]
	r["pid"] = pid
	r["ms"] = sprintf("%.0f", time - began)
	if ($3 == "tpt_switch:") {
		r["event"] = "switch"
		r["state"] = $5
		r["reason"] = word["result"]
		r["pages"] = word["pages"]
		r["switch_cycles"] = word["cycles"]
	} else if ($3 == "tpt_decide:") {
		r["event"] = "sample"
		r["state"] = sample[pid, "on"] ? "on" : "off"
		r["decision"] = word["decision"]
		r["reason"] = word["reason"]
		r["walk_share"] = word["share"]
		r["gain_estimated"] = word["gain_estimated"]
		r["gain_verified"] = word["gain_verified"]
		n = split("cycles instructions walks walk_cycles", k4, " ")
		for (i = 1; i <= n; i++)
			r[k4[i]] = sample[pid, k4[i]]
	} else
		next
	line(decisions, dcolumn, nd, r, 1)
}

$1 == "done" { complete = 1 }

END {
	finish()
	exit bad
}
