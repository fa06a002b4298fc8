# SPDX-License-Identifier: GPL-2.0-only
# The lines "result key=value ..." of the machines' output, each file one
# configuration of the CPU model (its name is the file's), as a table and, with
# -v csv=FILE, as comma-separated values.

BEGIN {
	columns = "workload mode caches guest_page host_page rss_bytes updates " \
		"instructions cycles walks refs_guest refs_host refs_tpt refs_rmp " \
		"walk_cycles exits virtual_ns walk_faults tpt_walks l1_misses l2_hits " \
		"pwc_hits ntlb_hits data_cycles switch_cycles other_walk_cycles errors"
	nr_columns = split(columns, column, " ")
	if (csv) {
		for (i = 1; i <= nr_columns; i++)
			printf "%s%s", column[i], i < nr_columns ? "," : "\n" > csv
	}
}

FNR == 1 {
	config = FILENAME
	sub(/.*\//, "", config)
	sub(/\..*/, "", config)
	sub(/.*-/, "", config)
}

$1 == "result" {
	split("", v)
	for (i = 2; i <= NF; i++) {
		eq = index($i, "=")
		v[substr($i, 1, eq - 1)] = substr($i, eq + 1)
	}
	v["caches"] = config
	if (csv) {
		for (i = 1; i <= nr_columns; i++)
			printf "%s%s", v[column[i]], i < nr_columns ? "," : "\n" > csv
	}
	if (!v["walks"]) {
		print "no counters: " $0
		bad = 1
		next
	}
	group = config " " v["workload"]
	if (!(group in native))
		order[++groups] = group
	if (v["mode"] == "native")
		native[group] = v["cycles"]
	line[group, ++lines[group]] = $0
	if (v["errors"] != 0)
		bad = 1
}

function per_walk(what) { return v[what] / v["walks"] }

END {
	for (g = 1; g <= groups; g++) {
		split(order[g], name, " ")
		if (name[1] != shown) {
			shown = name[1]
				printf "\n%s\n", shown == "exact" ? \
					"Walk caches off: every walk makes all its references" : \
					shown == "naive" ? "Default caches, RMP checked in series (TPT-naive)" : \
					"Default caches"
			printf "%-11s %-7s %14s %8s %10s   %-27s %7s %6s\n", "workload", "mode", "cycles", \
				"/native", "walks", "references per walk", "walk", "table"
			printf "%-11s %-7s %14s %8s %10s %7s %6s %6s %6s %7s %6s\n", "", "", "", "", "", \
				"guest", "host", "TPT", "RMP", "share", "errors"
		}
		for (n = 1; n <= lines[order[g]]; n++) {
			split("", v)
			m = split(line[order[g], n], word, " ")
			for (i = 2; i <= m; i++) {
				eq = index(word[i], "=")
				v[substr(word[i], 1, eq - 1)] = substr(word[i], eq + 1)
			}
			printf "%-11s %-7s %14.0f %8s %10.0f %7.2f %6.2f %6.2f %6.2f %6.1f%% %6s\n", \
				n == 1 ? v["workload"] : "", v["mode"], v["cycles"], \
				native[order[g]] ? sprintf("%.3f", v["cycles"] / native[order[g]]) : "-", v["walks"], \
				per_walk("refs_guest"), per_walk("refs_host"), \
				per_walk("refs_tpt"), per_walk("refs_rmp"), \
				v["cycles"] ? 100 * v["walk_cycles"] / v["cycles"] : 0, v["errors"]
		}
	}
	exit bad
}
