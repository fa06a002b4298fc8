# SPDX-License-Identifier: GPL-2.0-only
# The lines "result key=value ..." of the machines' output as a table and, with
# -v csv=FILE, as comma-separated values.  A file's name ends in the name of its
# configuration of the CPU model.

BEGIN {
	nr_columns = split("workload mode caches guest_page host_page rss_bytes updates " \
		"instructions cycles walks refs_guest refs_host refs_tpt refs_rmp " \
		"walk_cycles exits virtual_ns walk_faults tpt_walks l1_misses l2_hits " \
		"pwc_hits ntlb_hits data_cycles switch_cycles other_walk_cycles errors", column, " ")
	title["default"] = "Default caches"
	title["exact"] = "Walk caches off: every walk makes all its references"
	title["exact5"] = "Walk caches off, 5-level tables"
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
	# only the order of check and walk differs
	if (config == "naive")
		config = "default"
}

$1 == "result" {
	n = ++results
	for (i = 2; i <= NF; i++) {
		eq = index($i, "=")
		v[n, substr($i, 1, eq - 1)] = substr($i, eq + 1)
	}
	v[n, "caches"] = config
	if (csv) {
		for (i = 1; i <= nr_columns; i++)
			printf "%s%s", v[n, column[i]], i < nr_columns ? "," : "\n" > csv
	}
	if (!v[n, "walks"] || v[n, "errors"] != "0")
		bad = 1
	group = config " " v[n, "workload"]
	if (!(group in count))
		order[++groups] = group
	member[group, ++count[group]] = n
	if (v[n, "mode"] == "native")
		native[group] = v[n, "cycles"]
}

function per_walk(n, what)
{
	return v[n, "walks"] ? v[n, what] / v[n, "walks"] : 0
}

function head(config)
{
	printf "\n%s\n", title[config]
	printf "%-11s %-10s %13s %8s %9s  %-26s %7s %6s\n", "workload", "mode", "cycles", \
		"/native", "walks", "   references per walk", "walk", "table"
	printf "%-11s %-10s %13s %8s %9s %6s %6s %6s %6s %7s %6s\n", "", "", "", "", "", \
		"guest", "host", "TPT", "RMP", "share", "errors"
}

END {
	for (g = 1; g <= groups; g++) {
		group = order[g]
		split(group, name, " ")
		if (name[1] != shown)
			head(shown = name[1])
		for (i = 1; i <= count[group]; i++) {
			n = member[group, i]
			printf "%-11s %-10s %13.0f %8s %9.0f %6.2f %6.2f %6.2f %6.2f %6.1f%% %6s\n", \
				i == 1 ? name[2] : "", v[n, "mode"], v[n, "cycles"], \
				native[group] ? sprintf("%.3f", v[n, "cycles"] / native[group]) : "-", \
				v[n, "walks"], per_walk(n, "refs_guest"), per_walk(n, "refs_host"), \
				per_walk(n, "refs_tpt"), per_walk(n, "refs_rmp"), \
				v[n, "cycles"] ? 100 * v[n, "walk_cycles"] / v[n, "cycles"] : 0, v[n, "errors"]
		}
	}
	exit bad || !results
}
