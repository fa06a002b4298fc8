# SPDX-License-Identifier: GPL-2.0-only
# Makes a table and results.csv (-v csv=FILE) of what bench-sync-l1 printed.

function aim(op, n)
{
	if (n < 2048)
		return ""
	return op == "map" ? 1.05 : op ~ /protect$/ ? 1.5 : op == "unmap" ? 1.3 : ""
}

function ratio(a, b)
{
	return b > 0 ? sprintf("%.3f", a / b) : "-"
}

{
	mode = $1
	delete w
	for (i = 2; i <= NF; i++)
		if (split($i, kv, "=") == 2)
			w[kv[1]] = kv[2]
}

$2 ~ /^operation=/ {
	key = w["operation"] " " w["pages"]
	if (!(key in known)) {
		known[key] = 1
		order[++n] = key
	}
	insns[mode, key] = w["instructions"]
	cycles[mode, key] = w["cycles"]
	modes[mode] = 1
}

$2 == "memory" {
	# the tables of 512 pages each, and one for each level above
	p = w["pages"]
	if (p >= 2048) {
		m_pages[++nm] = p
		m_rss[nm] = w["rss_bytes"]
		m_twins[nm] = w["tpt_twin_pages"]
	}
}

END {
	print "mode,operation,pages,instructions,cycles" > csv
	close(csv)
	for (m in modes)
		for (i = 1; i <= n; i++) {
			split(order[i], k, " ")
			if ((m, order[i]) in cycles)
				print m "," k[1] "," k[2] "," insns[m, order[i]] "," cycles[m, order[i]] | ("sort >> " csv)
		}
	close("sort >> " csv)

	printf "%-10s %8s %14s %14s %10s %10s %6s %14s\n", "operation", "pages", "single: cycles", \
		"dual: cycles", "per page", "dual/single", "aim", "never/base"
	for (i = 1; i <= n; i++) {
		k[1] = k[2] = ""
		split(order[i], k, " ")
		s = cycles["single", order[i]]
		d = cycles["dual", order[i]]
		printf "%-10s %8d %14s %14s %10.1f %10s %6s %14s\n", k[1], k[2], s == "" ? "-" : s, d, d / k[2], \
			ratio(d, s), aim(k[1], k[2]), \
			sprintf("%s", insns["base", order[i]] == "" ? "-" : \
				sprintf("%+.3f %%", 100 * (insns["never", order[i]] / insns["base", order[i]] - 1)))
		if (d == "" || (k[1] != "switch-on" && s == ""))
			missing = 1
		if (k[2] > 2048 && insns["base", order[i]] != "") {
			base += insns["base", order[i]]
			never += insns["never", order[i]]
		}
	}
	print "never/base: instructions, kernel with the series under tpt=never against the one without"
	if (base)
		printf "in all, with the largest mappings: %+.3f %%\n", 100 * (never / base - 1)
	for (i = 1; i <= nm; i++)
		printf "memory: %d pages mapped, %d pages of twins: %.3f %% of RSS\n", m_pages[i], m_twins[i], \
			100 * 4096 * m_twins[i] / m_rss[i]
	exit missing || !n
}
