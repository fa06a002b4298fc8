# SPDX-License-Identifier: GPL-2.0-only
# The body of the evaluation's report as HTML, and in -v dir=DIR a gnuplot script NAME.gp
# for each plot, which is mentioned in a line "@plot NAME".  Reads CSV files, each after an
# assignment of kind: results (of the run), decisions, reference (results of the
# reference run), sensitivity, and failed ("CELL: reason" lines), machine (text).

BEGIN {
	FS = ","
	split("native nested shadow tpt-naive tpt-opt auto", mode, " ")
	nr_modes = 6
	split("native nested shadow naive opt auto", short, " ")
	split("#8a8f98 #d1495b #e09f3e #6f9fd8 #2a6fbb #3fa34d", c, " ")
	for (i = 1; i <= nr_modes; i++)
		color[mode[i]] = c[i]
	split("4096 4096 4096 2097152 2097152 2097152", both, " ")
	for (i = 1; i <= 3; i++) {
		page[i] = both[2 * i - 1] SUBSEP both[2 * i]
		page_name[i] = size(both[2 * i - 1]) "/" size(both[2 * i])
	}
	# the aims, per cent
	aim_best = 2
	aim_nested = 1
	# results that differ by more from the reference run are marked
	tolerance = 2
}

function size(bytes)
{
	return bytes >= 1048576 ? bytes / 1048576 "M" : bytes / 1024 "K"
}

FNR == 1 && (kind == "results" || kind == "decisions" || kind == "reference" || kind == "sensitivity") {
	split("", col)
	for (i = 1; i <= NF; i++)
		col[i] = $i
	nf = NF
	next
}

kind == "results" || kind == "reference" {
	key = $1 SUBSEP $2 SUBSEP $3 SUBSEP $4
	if (kind == "results") {
		cells++
		if (!($1 in known)) {
			known[$1] = 1
			scale[$1] = $5
			if ($5 == 1)
				plain[++nr_plain] = $1
			else
				work[++nr_work] = $1
		}
		for (i = 1; i <= nf; i++)
			R[key, col[i]] = $i
		have[key] = 1
	} else {
		for (i = 1; i <= nf; i++)
			ref[key, col[i]] = $i
		have_ref[key] = 1
		references++
	}
}

kind == "decisions" && $2 == 4096 && $3 == 4096 {
	n = ++nr_decisions[$1]
	for (i = 1; i <= nf; i++)
		D[$1, n, col[i]] = $i
	seen_pid[$1, $4]++
	if (seen_pid[$1, $4] == 1)
		pids[$1]++
	if (seen_pid[$1, $4] > most[$1]) {
		most[$1] = seen_pid[$1, $4]
		main_pid[$1] = $4
	}
}

kind == "sensitivity" {
	sens[++nr_sens] = $0
	if (nr_sens == 1)
		sens_nf = nf
	for (i = 1; i <= nf; i++)
		sens_col[i] = col[i]
}

kind == "failed" { failed[++nr_failed] = $0 }

kind == "machine" { machine[++nr_machine] = $0 }

#
# Values
#

# get WORKLOAD MODE PAGE COLUMN: "" when there is none.  Native has one page size.
function get(w, m, p, k,    a)
{
	if (m == "native" && p == 2)
		p = 1
	a = w SUBSEP m SUBSEP page[p] SUBSEP k
	return a in R ? R[a] : ""
}

function ratio(a, b)
{
	return a == "" || b == "" || b + 0 == 0 ? "" : a / b
}

function speedup(w, m, p, base)
{
	return ratio(get(w, base, p, "cycles"), get(w, m, p, "cycles"))
}

# the better of the choices that a guest has, by column K; sets best_mode
function best(w, p, k,    n, t)
{
	n = get(w, "nested", p, k)
	t = get(w, "tpt-opt", p, k)
	best_mode = ""
	if (n == "" || t == "")
		return ""
	best_mode = n + 0 <= t + 0 ? "nested" : "tpt-opt"
	return n + 0 <= t + 0 ? n : t
}

# geometric mean of the speed-ups of M over BASE; sets mean_n
function mean(m, base, p,    i, s, sum)
{
	sum = mean_n = 0
	for (i = 1; i <= nr_work; i++) {
		s = speedup(work[i], m, p, base)
		if (s == "")
			continue
		sum += log(s)
		mean_n++
	}
	return mean_n ? exp(sum / mean_n) : ""
}

#
# HTML
#

function esc(s)
{
	gsub(/&/, "\\&amp;", s)
	gsub(/</, "\\&lt;", s)
	gsub(/>/, "\\&gt;", s)
	return s
}

# td VALUE FORMAT: a cell of a table; what is missing is shown so
function td(v, format, class)
{
	if (v == "")
		return "<td class=\"none\">–</td>"
	return "<td" (class ? " class=\"" class "\"" : "") ">" sprintf(format, v) "</td>"
}

function percent_of(a, b,    r)
{
	r = ratio(a, b)
	return r == "" ? "" : 100 * r
}

function percent(v, class)
{
	return td(v == "" ? "" : 100 * v, "%.1f %%", class)
}

# Does a result differ from the reference run by more than the tolerance?  Then this
# goes behind it.
function mark(w, m, p,    key, d)
{
	if (m == "native" && p == 2)
		p = 1
	key = w SUBSEP m SUBSEP page[p]
	if (!(key in have) || !(key in have_ref))
		return ""
	d = 100 * (R[key, "cycles"] / ref[key, "cycles"] - 1)
	return d > tolerance || d < -tolerance ? "<sup title=\"deviates from the reference run\">≠</sup>" : ""
}

function table(heads,    n, i, h)
{
	n = split(heads, h, "|")
	printf "<div class=\"table\"><table><thead><tr>"
	for (i = 1; i <= n; i++)
		printf "<th>%s</th>", h[i]
	print "</tr></thead><tbody>"
}

function end_table()
{
	print "</tbody></table></div>" (in_details ? "</details>" : "")
	in_details = 0
}

# A long table is behind a click.
function open_details()
{
	print "<details><summary>All figures</summary>"
	in_details = 1
}

function row(s)
{
	print "<tr>" s "</tr>"
}

function head(w)
{
	return "<th scope=\"row\">" esc(w) "</th>"
}

function section(id, title)
{
	printf "</section>\n<section id=\"%s\"><h2>%s</h2>\n", id, title
}

function para(s)
{
	print "<p>" s "</p>"
}

#
# Plots
#

# plot_begin NAME TITLE W H [OPTIONS of the terminal]
function plot_begin(name, title, w, h, options)
{
	gp = dir "/" name ".gp"
	print "# " title > gp
	printf "set terminal svg size %d,%d dynamic font \"sans-serif,12\" noenhanced %s\n", w, h, options > gp
	print "set output \"" dir "/" name ".svg\"" > gp
	print "set datafile missing \"?\"\nset border 3\nset tics nomirror out scale 0.5" > gp
	print "set grid ytics\nset style fill solid 1 noborder" > gp
	print "set key outside bottom center horizontal samplen 1" > gp
	plots++
}

function plot_end(name)
{
	close(gp)
	print "@plot " name
}

function q(v)
{
	return v == "" ? "?" : v
}

# bars_of FROM N WHAT LABEL: grouped bars for N workloads, blanks where there are less
function bars_of(from, n, what, label,    j, m)
{
	print "set style data histograms\nset style histogram clustered gap 1" > gp
	print "set ylabel \"" label "\"\nset yrange [0:*]" > gp
	print "$d << EOD" > gp
	for (j = from; j < from + n; j++) {
		printf "%s", (j <= nr_work ? work[j] : "\"\"") > gp
		for (m = 1; m <= nr_modes; m++)
			printf " %s", (j <= nr_work ? q(value(what, work[j], mode[m])) : "?") > gp
		print "" > gp
	}
	printf "EOD\nplot " > gp
	for (m = 1; m <= nr_modes; m++)
		printf "%s$d using %d:xtic(1) title \"%s\" lc rgb \"%s\"", (m == 1 ? "" : ", "), m + 1, \
			mode[m], color[mode[m]] > gp
	print "" > gp
}

# bars PREFIX TITLE WHAT LABEL: plots of four workloads each.  WHAT says what value() is
# to return
function bars(prefix, title, what, label,    i, name)
{
	print "<div class=\"plots\">"
	for (i = 1; i <= nr_work; i += 4) {
		name = prefix (i + 3) / 4
		plot_begin(name, title, 440, 290)
		bars_of(i, nr_work > 4 ? 4 : nr_work, what, label)
		plot_end(name)
	}
	print "</div>"
}

function refs(w, m, p,    walks)
{
	walks = get(w, m, p, "walks")
	if (!(walks > 0))
		return ""
	return (get(w, m, p, "refs_guest") + get(w, m, p, "refs_host") + get(w, m, p, "refs_tpt") + \
		get(w, m, p, "refs_rmp")) / walks
}

function walk_share(w, m, p)
{
	return ratio(get(w, m, p, "walk_cycles"), get(w, m, p, "cycles"))
}

function value(what, w, m)
{
	if (what == "speedup")
		return speedup(w, m, 1, "nested")
	return refs(w, m, 1)
}

#
# Sections
#

# verdict OK TEXT
function verdict(ok, text)
{
	printf "<li class=\"%s\"><b>%s</b> %s</li>\n", ok == "" ? "open" : ok ? "met" : "missed", \
		ok == "" ? "open" : ok ? "met" : "missed", text
}

function worst_regret(against, column,    i, j, b, a, r, worst)
{
	worst = ""
	regret_n = 0
	for (i = 1; i <= nr_work; i++)
		for (j = 1; j <= 3; j++) {
			a = get(work[i], "auto", j, column)
			b = against == "best" ? best(work[i], j, column) : get(work[i], against, j, column)
			if (a == "" || b == "")
				continue
			regret_n++
			r = 100 * (a / b - 1)
			if (worst == "" || r > worst) {
				worst = r
				worst_at = work[i] " " page_name[j]
			}
		}
	return worst
}

function summary(    i, r, bad, key)
{
	print "<ul class=\"verdicts\">"
	r = worst_regret("best", "cycles")
	verdict(r == "" ? "" : r <= aim_best, sprintf("auto against the better of nested and TPT-opt, timed part: at most %d %%. %s", \
		aim_best, r == "" ? "No results." : sprintf("Worst: %.2f %% (%s), of %d.", r, worst_at, regret_n)))
	r = worst_regret("best", "whole_cycles")
	verdict(r == "" ? "" : r <= aim_best, sprintf("the same, whole run. %s", \
		r == "" ? "No results." : sprintf("Worst: %.2f %% (%s), of %d.", r, worst_at, regret_n)))
	r = worst_regret("nested", "cycles")
	verdict(r == "" ? "" : r <= aim_nested, sprintf("auto against nested, timed part: at most %d %% slower. %s", \
		aim_nested, r == "" ? "No results." : sprintf("Worst: %.2f %% (%s), of %d.", r, worst_at, regret_n)))
	r = worst_regret("nested", "whole_cycles")
	verdict(r == "" ? "" : r <= aim_nested, sprintf("the same, whole run. %s", \
		r == "" ? "No results." : sprintf("Worst: %.2f %% (%s), of %d.", r, worst_at, regret_n)))
	r = worst_regret("shadow", "cycles")
	printf "<li>%s</li>\n", r == "" ? "auto against shadow paging: no results." : \
		sprintf("auto against shadow paging, which a guest cannot choose, timed part. Worst: %.2f %% (%s), of %d.", r, worst_at, regret_n)
	bad = 0
	for (key in have)
		if (R[key, "errors"] != "0")
			bad++
	verdict(!bad && !nr_failed, sprintf("self-checks: %d of %d cells right, %d failed to run", cells - bad, cells, nr_failed))
	print "</ul>"
	for (i = 1; i <= nr_failed; i++)
		para("<b>Failed:</b> " esc(failed[i]))
}

# A cell for the speed-up of each mode over nested paging: of a program, and of all
function speedups(w, j,    m, s)
{
	for (m = 1; m <= nr_modes; m++)
		if (mode[m] != "nested")
			s = s td(speedup(w, mode[m], j, "nested"), "%.2f" mark(w, mode[m], j))
	return s
}

function means(j,    m, s)
{
	for (m = 1; m <= nr_modes; m++)
		if (mode[m] != "nested")
			s = s td(mean(mode[m], "nested", j), "%.2f")
	return s
}

function headline(    i)
{
	section("speedup", "Speed-up over nested paging")
	para("Cycles of the timed part in mode nested, over those of each mode; 4 KiB pages in guest and host. Higher is better, 1 is nested paging.")
	bars("speedup", "Speed-up over nested paging", "speedup", "speed-up")
	# the same in one, by itself
	plot_begin("headline", "Speed-up over nested paging", 960, 320, "background \"white\"")
	bars_of(1, nr_work, "speedup", "speed-up over nested paging")
	close(gp)
	table("workload|native|shadow|TPT-naive|TPT-opt|auto|TPT-opt over shadow|auto over shadow")
	for (i = 1; i <= nr_work; i++) {
		row(head(work[i]) speedups(work[i], 1) td(speedup(work[i], "tpt-opt", 1, "shadow"), "%.2f") \
			td(speedup(work[i], "auto", 1, "shadow"), "%.2f"))
	}
	row(head("geometric mean") means(1) td(mean("tpt-opt", "shadow", 1), "%.2f") td(mean("auto", "shadow", 1), "%.2f"))
	end_table()
}

# Cells in which most of the data is mapped by smaller pages than were asked for
function small_pages(    i, m, j, s)
{
	for (i = 1; i <= nr_work; i++)
		for (m = 1; m <= nr_modes; m++)
			for (j = 1; j <= 3; j++)
				if (get(work[i], mode[m], j, "mapped_page") + 0 < get(work[i], mode[m], j, "guest_page") + 0)
					s = s (s ? ", " : "") work[i] " " mode[m] " " page_name[j]
	return s
}

function pages(    i, j, v)
{
	section("pages", "Page sizes")
	para("The same by page size in guest and host. A native program has one: 4 KiB stands beside 4K/2M, too.")
	table("workload|pages|native|shadow|TPT-naive|TPT-opt|auto|TPT-opt over shadow|cycles of nested, millions")
	for (i = 1; i <= nr_work; i++)
		for (j = 1; j <= 3; j++) {
			v = get(work[i], "nested", j, "cycles")
			row(head(j == 1 ? work[i] : "") td(page_name[j], "%s") speedups(work[i], j) \
				td(speedup(work[i], "tpt-opt", j, "shadow"), "%.2f") \
				td(v == "" ? "" : v / 1e6, "%.0f" mark(work[i], "nested", j)))
		}
	for (j = 1; j <= 3; j++) {
		row(head(j == 1 ? "geometric mean" : "") td(page_name[j], "%s") means(j) \
			td(mean("tpt-opt", "shadow", j), "%.2f") td("", ""))
	}
	end_table()
	v = small_pages()
	if (v)
		para("Most of their data is mapped by 4 KiB pages all the same: " esc(v) ". Huge pages are given when a large area is touched for the first time, or later by khugepaged, whenever it comes by.")
}

function per_walk(w, m, p, k,    walks, v)
{
	walks = get(w, m, p, "walks")
	v = get(w, m, p, k)
	return walks > 0 && v != "" ? v / walks : ""
}

function walks_section(    i, m, s, c, n)
{
	section("refs", "References per walk")
	para("Reads of page tables and of RMP entries for each walk of the program’s own accesses, 4 KiB pages on both sides. With walk caches; without them a native walk makes 4, a nested one 24, one by TPT 4 + 5 (<code>make run</code> counts these).")
	bars("refs", "References per walk", "refs", "references")
	open_details()
	table("workload|mode|guest|host|TPT|RMP|sum|cycles per walk|walks, millions|walks per 1,000 instructions|share of walk cycles")
	for (i = 1; i <= nr_work; i++)
		for (m = 1; m <= nr_modes; m++) {
			s = head(m == 1 ? work[i] : "") td(mode[m], "%s")
			n = get(work[i], mode[m], 1, "walks")
			c = get(work[i], mode[m], 1, "instructions")
			row(s td(per_walk(work[i], mode[m], 1, "refs_guest"), "%.2f") td(per_walk(work[i], mode[m], 1, "refs_host"), "%.2f") \
				td(per_walk(work[i], mode[m], 1, "refs_tpt"), "%.2f") td(per_walk(work[i], mode[m], 1, "refs_rmp"), "%.2f") \
				td(refs(work[i], mode[m], 1), "%.2f") td(per_walk(work[i], mode[m], 1, "walk_cycles"), "%.0f") \
				td(n == "" ? "" : n / 1e6, "%.2f") td(c > 0 ? 1000 * n / c : "", "%.2f") \
				percent(walk_share(work[i], mode[m], 1)))
		}
	end_table()
}

function breakdown(    i, m, k, base, total, host, walk, n, name)
{
	section("cycles", "Where the cycles go")
	para("Timed part, 4 KiB pages on both sides; all cycles of mode nested are 1. <i>walks</i>: stalls of page walks of the program. <i>hypervisor</i>: everything outside of the guest, exits, KVM, the VMM and the world switches. <i>rest</i>: instructions, data that is not in the caches, the program’s kernel.")
	print "<div class=\"plots\">"
	for (i = 1; i <= nr_work; i++) {
		base = get(work[i], "nested", 1, "cycles")
		if (base == "")
			continue
		name = "cycles" i
		plot_begin(name, "Cycles of " work[i], 440, 250)
		print "set style data histograms\nset style histogram rowstacked\nset boxwidth 0.7\nset ytics 0.2" > gp
		print "set title \"" work[i] "\"\nset yrange [0:*]\n$d << EOD" > gp
		for (m = 1; m <= nr_modes; m++) {
			total = get(work[i], mode[m], 1, "cycles")
			walk = get(work[i], mode[m], 1, "walk_cycles")
			host = get(work[i], mode[m], 1, "host_cycles") + 0
			if (total == "")
				print short[m] " ? ? ?" > gp
			else
				print short[m], walk / base, host / base, (total - walk - host) / base > gp
		}
		print "EOD\nplot $d using 4:xtic(1) title \"rest\" lc rgb \"#8a8f98\"," \
			" \"\" using 2 title \"walks\" lc rgb \"#d1495b\"," \
			" \"\" using 3 title \"hypervisor\" lc rgb \"#e09f3e\"" > gp
		plot_end(name)
	}
	print "</div>"
	open_details()
	table("workload|mode|cycles, millions|walks|other walks|data|hypervisor|world switches|exits|cycles per exit|L1 TLB misses, millions|L2 TLB hits, millions")
	for (i = 1; i <= nr_work; i++)
		for (m = 1; m <= nr_modes; m++) {
			total = get(work[i], mode[m], 1, "cycles")
			n = get(work[i], mode[m], 1, "exits")
			k = get(work[i], mode[m], 1, "l1_misses")
			host = get(work[i], mode[m], 1, "host_cycles")
			row(head(m == 1 ? work[i] : "") td(mode[m], "%s") td(total == "" ? "" : total / 1e6, "%.0f" mark(work[i], mode[m], 1)) \
				percent(ratio(get(work[i], mode[m], 1, "walk_cycles"), total)) \
				percent(ratio(get(work[i], mode[m], 1, "other_walk_cycles"), total)) \
				percent(ratio(get(work[i], mode[m], 1, "data_cycles"), total)) \
				percent(ratio(host, total)) \
				percent(ratio(get(work[i], mode[m], 1, "switch_cycles"), total)) td(n, "%d") \
				td(n > 0 ? ratio(host, n) : "", "%.0f") td(k == "" ? "" : k / 1e6, "%.2f") \
				td(k == "" ? "" : get(work[i], mode[m], 1, "l2_hits") / 1e6, "%.2f"))
		}
	end_table()
}

function decisions(    i, n, w, name, state, t, shown, nr, last)
{
	section("decisions", "What auto decided")
	para("Share of page walks in the cycles of a program, each time that it was measured, and (green) when it was on TPT; 4 KiB pages on both sides. Seconds since the program was started, in the machine’s time. Of several processes the one that was measured most often.")
	print "<div class=\"plots\">"
	for (i = 1; i <= nr_work; i++) {
		w = work[i]
		if (!nr_decisions[w])
			continue
		name = "decisions" i
		plot_begin(name, "Decisions for " w, 440, 220)
		print "set title \"" w (pids[w] > 1 ? sprintf(" (one of %d processes)", pids[w]) : "") "\"" > gp
		print "set xrange [0:*]\nset yrange [0:100]\nset ylabel \"walk share, %\"\n$s << EOD\n0 0" > gp
		nr = last = 0
		for (n = 1; n <= nr_decisions[w]; n++) {
			if (D[w, n, "pid"] != main_pid[w])
				continue
			last = D[w, n, "ms"] / 1000
			if (D[w, n, "event"] == "switch")
				print last, D[w, n, "state"] == "on" ? 100 : 0 > gp
			else
				nr++
		}
		v = get(w, "auto", 1, "whole_virtual_ns") / 1e9
		if (v > last)
			last = v
		print last, 0 "\nEOD\n$d << EOD" > gp
		for (n = 1; n <= nr_decisions[w]; n++)
			if (D[w, n, "pid"] == main_pid[w] && D[w, n, "event"] == "sample")
				print D[w, n, "ms"] / 1000, D[w, n, "walk_share"] / 100 > gp
		print "EOD\nplot $s using 1:2 with fillsteps lc rgb \"#3fa34d\" fs transparent solid 0.25 title \"on TPT\"" \
			(nr ? ", $d using 1:2 with lines lw 2 lc rgb \"#d1495b\" title \"walk share\"" : "") > gp
		plot_end(name)
	}
	print "</div>"
	table("workload|pages|state at the end|decision|on/off|on after, CPU ms|pattern|walk share before|and after|gain expected|gain verified")
	for (i = 1; i <= nr_work; i++)
		for (n = 1; n <= 3; n++) {
			if (get(work[i], "auto", n, "cycles") == "")
				continue
			w = work[i]
			shown = get(w, "auto", n, "switched_on") + 0
			row(head(w) td(page_name[n], "%s") td(get(w, "auto", n, "state"), "%s") td(get(w, "auto", n, "decision"), "%s") \
				td(shown "/" get(w, "auto", n, "switched_off") + 0, "%s") \
				td(shown ? get(w, "auto", n, "first_on_ms") : "", "%d") td(get(w, "auto", n, "pattern"), "%s") \
				td(ratio(get(w, "auto", n, shown ? "walk_share_before" : "walk_share"), 100), "%.1f %%") \
				td(shown ? ratio(get(w, "auto", n, "walk_share"), 100) : "", "%.1f %%") \
				td(ratio(get(w, "auto", n, "gain_estimated"), 100), "%.1f %%") \
				td(shown ? ratio(get(w, "auto", n, "gain_verified"), 100) : "", "%.1f %%"))
		}
	end_table()
}

function overhead(    i, n, w, c, k, s, list, nr, on)
{
	section("overhead", "What auto costs: profiling, and switching on")
	para("Item 1 of the evaluation plan: (a) cycles that profiling takes, (b) cycles to switch TPT on while the program runs. Shares of all cycles of the whole run. The sensor’s cycles are those of measurements, with the exits that they cause.")
	table("workload|pages|looks|measurements|filter|sensor|decision|(a) sum|(b) switching, cycles|cycles per page of 4 KiB|share|on after, CPU ms")
	nr = split("filter_cycles sensor_cycles decision_cycles", list, " ")
	for (i = 1; i <= nr_work; i++)
		for (n = 1; n <= 3; n++) {
			w = work[i]
			c = get(w, "auto", n, "whole_cycles")
			if (c == "")
				continue
			s = head(w) td(page_name[n], "%s") td(get(w, "auto", n, "intervals"), "%d") td(get(w, "auto", n, "windows"), "%d")
			sum = 0
			for (k = 1; k <= nr; k++) {
				sum += get(w, "auto", n, list[k])
				s = s td(100 * get(w, "auto", n, list[k]) / c, "%.4f %%")
			}
			on = get(w, "auto", n, "switched_on") + 0
			k = get(w, "auto", n, "policy_switch_cycles")
			row(s td(100 * sum / c, "%.4f %%") td(on ? k : "", "%d") \
				td(on ? k / on / (get(w, "auto", n, "rss_bytes") / 4096) : "", "%.1f") \
				td(on ? 100 * k / c : "", "%.4f %%") td(on ? get(w, "auto", n, "first_on_ms") : "", "%d"))
		}
	end_table()
}

function pair(a, b, format)
{
	return td(a, format) td(b, format)
}

function before_after(    i, j, w, n, off, rows)
{
	section("before-after", "Before and after switching on")
	para("Item 2 of the evaluation plan, for programs that auto has switched on. References per walk in one and the same run under auto: by nested paging until it was switched on, and by TPT since. The rest is the timed part, which is the same work: under nested paging, and under auto after the program was switched on.")
	table("workload|pages|in one run: refs per walk, before|after|(a) refs per walk, before|after|(b) cycles per walk, before|after|walk share, before|after|(c) cycles, millions, before|after|faster by")
	for (i = 1; i <= nr_work; i++)
		for (j = 1; j <= 3; j++) {
			w = work[i]
			n = get(w, "auto", j, "whole_tpt_walks")
			if (!(n > 0) || !(get(w, "auto", j, "switched_on") > 0))
				continue
			rows++
			off = get(w, "auto", j, "whole_walks") - n
			row(head(w) td(page_name[j], "%s") \
				td(off > 0 ? (get(w, "auto", j, "whole_refs_guest") + get(w, "auto", j, "whole_refs_host")) / off : "", "%.2f") \
				td((get(w, "auto", j, "whole_refs_tpt") + get(w, "auto", j, "whole_refs_rmp")) / n, "%.2f") \
				pair(refs(w, "nested", j), refs(w, "auto", j), "%.2f") \
				pair(per_walk(w, "nested", j, "walk_cycles"), per_walk(w, "auto", j, "walk_cycles"), "%.0f") \
				percent(walk_share(w, "nested", j)) percent(walk_share(w, "auto", j)) \
				pair(ratio(get(w, "nested", j, "cycles"), 1e6), ratio(get(w, "auto", j, "cycles"), 1e6), "%.0f") \
				td(speedup(w, "auto", j, "nested"), "%.2f"))
		}
	end_table()
	if (!rows)
		para("No run in which a program was switched on.")
}

function regret_cell(r, aim)
{
	return td(r, "%.2f %%", r == "" ? "" : r <= aim ? "good" : "bad")
}

function regret(    i, j, w, s, k, c, a, b, v, list)
{
	section("regret", "Regret")
	para(sprintf("What auto takes more than the better of the fixed choices that a guest has, nested and TPT-opt (aim: at most %d %%), and more than nested (at most %d %%). Shadow paging, which only the host can choose, for comparison. Timed part, and whole run with everything from exec to exit: initialization, detection, building the tables, verification.", aim_best, aim_nested))
	table("workload|pages|timed part: better|auto over it|auto over nested|auto over shadow|whole run: better|auto over it|auto over nested|auto over shadow")
	split("cycles whole_cycles", list, " ")
	for (i = 1; i <= nr_work; i++)
		for (j = 1; j <= 3; j++) {
			w = work[i]
			s = head(j == 1 ? w : "") td(page_name[j], "%s")
			for (k = 1; k <= 2; k++) {
				a = get(w, "auto", j, list[k])
				b = best(w, j, list[k])
				v = get(w, "nested", j, list[k])
				s = s td(b == "" ? "" : best_mode, "%s") \
					regret_cell(a == "" || b == "" ? "" : 100 * (a / b - 1), aim_best) \
					regret_cell(a == "" || v == "" ? "" : 100 * (a / v - 1), aim_nested)
				v = get(w, "shadow", j, list[k])
				s = s td(a == "" || v == "" ? "" : 100 * (a / v - 1), "%.2f %%")
			}
			row(s)
		}
	end_table()
}

function memory(    i, j, w, r)
{
	section("memory", "Memory")
	para("Resident memory, page tables and TPT’s tables of the program, at its end.")
	table("workload|pages|RSS, MiB|page tables, KiB|TPT’s tables with TPT-opt, KiB|with auto, KiB|of RSS")
	for (i = 1; i <= nr_work; i++)
		for (j = 1; j <= 3; j += 2) {
			w = work[i]
			r = get(w, "nested", j, "rss_bytes")
			row(head(j == 1 ? w : "") td(page_name[j], "%s") td(r == "" ? "" : r / 1048576, "%.1f") \
				td(ratio(get(w, "nested", j, "pt_bytes"), 1024), "%.0f") \
				td(ratio(get(w, "tpt-opt", j, "twin_bytes"), 1024), "%.0f") \
				td(ratio(get(w, "auto", j, "twin_bytes"), 1024), "%.0f") \
				td(percent_of(get(w, "tpt-opt", j, "twin_bytes"), r), "%.2f %%"))
		}
	end_table()
}

function unscaled(    i, w)
{
	if (!nr_plain)
		return
	section("unscaled", "Without scaling")
	para("The same program with the caches of the real size: its page tables fit them, and a nested walk is cheap. 4 KiB pages on both sides.")
	table("workload|native|shadow|TPT-naive|TPT-opt|auto|nested: refs per walk|cycles per walk|walk share")
	for (i = 1; i <= nr_plain; i++) {
		w = plain[i]
		row(head(w) speedups(w, 1) td(refs(w, "nested", 1), "%.2f") td(per_walk(w, "nested", 1, "walk_cycles"), "%.0f") \
			percent(walk_share(w, "nested", 1)))
	}
	end_table()
}

function sensitivity(    i, k, f, s, worst)
{
	section("sensitivity", "Sensitivity")
	if (!nr_sens) {
		para("Not measured.")
		return
	}
	para("Regret, per cent, against the better of never and always with each threshold of auto halved and doubled (<code>scripts/bench-auto --sensitivity</code>; other programs, other sizes, no scaling).")
	s = "threshold"
	for (k = 2; k <= sens_nf; k++)
		s = s "|" sens_col[k]
	table(s "|worst")
	for (i = 1; i <= nr_sens; i++) {
		split(sens[i], f, ",")
		s = head(f[1])
		worst = f[2] + 0
		for (k = 2; k <= sens_nf; k++) {
			s = s td(f[k], "%.2f")
			if (f[k] + 0 > worst)
				worst = f[k] + 0
		}
		row(s td(worst, "%.2f", worst > 3 ? "bad" : "good"))
	}
	end_table()
}

function published_row(what, source, theirs, ours, why)
{
	row("<td>" what "</td><td>" source "</td><td>" theirs "</td>" td(ours, "%s") "<td>" why "</td>")
}

# span M BASE: lowest and highest speed-up over all workloads, 4 KiB pages
function span(m, base,    i, s, lo, hi)
{
	lo = hi = ""
	for (i = 1; i <= nr_work; i++) {
		s = speedup(work[i], m, 1, base)
		if (s == "")
			continue
		if (lo == "" || s < lo)
			lo = s
		if (hi == "" || s > hi)
			hi = s
	}
	return lo == "" ? "" : sprintf("%.2f to %.2f", lo, hi)
}

# cycles of the better of nested and shadow over native, 4 KiB pages
function mean_best(    i, n, a, b, sum)
{
	for (i = 1; i <= nr_work; i++) {
		a = ratio(get(work[i], "nested", 1, "cycles"), get(work[i], "native", 1, "cycles"))
		b = ratio(get(work[i], "shadow", 1, "cycles"), get(work[i], "native", 1, "cycles"))
		if (a == "" || b == "")
			continue
		sum += log(a < b ? a : b)
		n++
	}
	return n ? exp(sum / n) : ""
}

function mean_refs(m,    i, n, r, sum)
{
	for (i = 1; i <= nr_work; i++)
		if ((r = refs(work[i], m, 1)) != "") {
			sum += r
			n++
		}
	return n ? sum / n : ""
}

function published(    g, tpt)
{
	tpt = "Bergman et al., <i>Translation Pass-Through</i>, USENIX ATC 2023"
	section("published", "Published figures and ours")
	table("what|source|theirs|ours|why they differ")
	g = mean("tpt-opt", "nested", 1)
	published_row("TPT-opt over nested", tpt ", abstract", "up to 2.4", \
		g == "" ? "" : sprintf("mean %.2f, %s (4K/4K)", g, span("tpt-opt", "nested")), \
		"The paper runs 70 to 129 GiB on one CPU of another maker, whose walk caches and out-of-order execution the model does not have. Here walks and data stall the CPU one after the other, so that data is dearer against walks.")
	g = mean("tpt-opt", "shadow", 1)
	published_row("TPT-opt over shadow", tpt ", abstract", "up to 1.4", \
		g == "" ? "" : sprintf("mean %.2f, %s (4K/4K)", g, span("tpt-opt", "shadow")), \
		"Shadow paging loses by exits when page tables change. Most of these programs change them in their initialization only, which is not in the timed part; kernel compilation does all the time.")
	published_row("TPT-opt against native", tpt ", abstract", "equal", \
		(g = mean("tpt-opt", "native", 1)) == "" ? "" : sprintf("mean %.2f", g), \
		"What is left are timer interrupts that exit, and checks that take longer than walk and data.")
	published_row("toy example, sysbench, random, 4 GiB", "the prototype’s README", "2.10 over nested", \
		(g = speedup("gups", "tpt-opt", 1, "nested")) == "" ? "" : sprintf("%.2f (gups)", g), \
		"The prototype has no checks, which cost nothing here either when they are parallel; its caches are those of a server CPU.")
	published_row("references of a nested walk with walk caches", "<i>Flattened page tables</i>, ASPLOS 2022", "4.4", \
		(g = mean_refs("nested")) == "" ? "" : sprintf("%.2f", g), "Sizes of walk caches; programs.")
	published_row("nested paging with 2 MiB pages against native", "Bhargava et al., ASPLOS 2008", "0.93", \
		(g = mean("nested", "native", 3)) == "" ? "" : sprintf("%.2f", g), \
		"Their programs are smaller than 1 GiB, these stand for 64 GiB.")
	published_row("best of nested and shadow, against native", "<i>Agile paging</i>, ISCA 2016", "about 1.16 times the cycles (from the next two)", \
		(g = mean_best()) == "" ? "" : sprintf("%.2f times", g), "Their own scheme is 12 % better than the best of both and within 4 % of native: the aim that TPT and auto compare with.")
	end_table()
}

function deviations(    i, m, j, key, d, rows, compared, w)
{
	section("deviations", "Deviations from the reference run")
	if (!references) {
		para("There is no reference run to compare with.")
		return
	}
	para(sprintf("docs/results has the results of a full run. Cells whose cycles differ from there by more than %d %% are marked ≠ above and listed here. The same binaries give the same results to the last cycle; another compiler moves code and data.", tolerance))
	for (i = 1; i <= nr_work + nr_plain; i++) {
		w = i <= nr_work ? work[i] : plain[i - nr_work]
		for (m = 1; m <= nr_modes; m++)
			for (j = 1; j <= 3; j++) {
				key = w SUBSEP mode[m] SUBSEP page[j]
				if (!(key in have) || !(key in have_ref))
					continue
				compared++
				d = 100 * (R[key, "cycles"] / ref[key, "cycles"] - 1)
				if (R[key, "cycles"] == ref[key, "cycles"])
					same++
				if (d <= tolerance && d >= -tolerance)
					continue
				if (!rows++)
					table("workload|mode|pages|cycles, millions|reference|deviation")
				row(head(w) td(mode[m], "%s") td(page_name[j], "%s") td(R[key, "cycles"] / 1e6, "%.1f") \
					td(ref[key, "cycles"] / 1e6, "%.1f") td(d, "%+.1f %%", "bad"))
			}
	}
	if (rows)
		end_table()
	para(sprintf("%d cells compared: %d the same to the last cycle, %d deviate by more than %d %%.", compared, same, rows, tolerance))
}

function how(    i)
{
	section("how", "How it was measured")
	para("docs/evaluation.md describes the cells, the scaled CPU model and its limits, docs/timing-model.md the CPU model, docs/results.md the columns: <a href=\"results.csv\">results.csv</a>, <a href=\"decisions.csv\">decisions.csv</a>.")
	if (nr_machine) {
		print "<pre>"
		for (i = 1; i <= nr_machine; i++)
			print esc(machine[i])
		print "</pre>"
	}
}

END {
	print "<section id=\"top\"><h1>Auto-TPT: evaluation</h1>"
	para(sprintf("%d cells: %d programs, in modes native, nested, shadow, TPT-naive, TPT-opt and auto, by page sizes of guest and host. What has no result is shown as –.", cells, nr_work + nr_plain))
	summary()
	print "<nav><a href=\"#speedup\">speed-up</a> <a href=\"#pages\">page sizes</a> <a href=\"#refs\">references</a> <a href=\"#cycles\">cycles</a> <a href=\"#decisions\">decisions</a> <a href=\"#overhead\">overhead</a> <a href=\"#before-after\">before/after</a> <a href=\"#regret\">regret</a> <a href=\"#memory\">memory</a> <a href=\"#sensitivity\">sensitivity</a> <a href=\"#published\">published</a> <a href=\"#deviations\">deviations</a> <a href=\"#how\">how</a></nav>"
	headline()
	pages()
	walks_section()
	breakdown()
	decisions()
	overhead()
	before_after()
	regret()
	memory()
	unscaled()
	sensitivity()
	published()
	deviations()
	how()
	print "</section>"
	exit !cells
}
