# SPDX-License-Identifier: GPL-2.0-only
# The output of migrate-l1 as a table and, with -v csv=FILE, as comma-separated values.
# Exit status: 1 when data is wrong or a migration has failed.

function take(from,    i, eq)
{
	for (i = from; i <= NF; i++) {
		eq = index($i, "=")
		if (eq)
			v[substr($i, 1, eq - 1)] = substr($i, eq + 1)
	}
}

BEGIN {
	print "case,total_ms,downtime_ms,transferred,rounds,state_before,state_moved,state_after," \
		"switched_on,switched_off,cpu_ms,errors,status" > csv
	print "Live migration while gups updates a table at random; milliseconds of the host"
	printf "%-8s %9s %9s %10s %7s   %-7s %-7s %-7s %8s  %s\n", "case", "total", "downtime", "MiB", \
		"rounds", "before", "moved", "at end", "CPU ms", "data"
}

$1 == "case" { split("", v); name = $2; before = moved = after = "-" }
$1 == "migration" { take(2) }
# the last look may be at the moment when the map has gone already
$1 == "before" && $2 == "look" { take(4); if (v["map"] == "1" || before == "-") before = v["state"] }
$1 == "after" && $2 == "look" { take(4); if (moved == "-") moved = v["state"] }
$1 == "after" && $2 == "result" { take(3); after = v["tpt_state"] }
$1 == "status" { v["status"] = $2 }

$1 == "end" {
	ok = v["errors"] == "0" && v["status"] == "0" && v["total_ms"] != ""
	bad += !ok
	printf "%-8s %9s %9s %10.1f %7s   %-7s %-7s %-7s %8s  %s\n", name, v["total_ms"], v["downtime_ms"], \
		v["transferred"] / 1048576, v["rounds"], before, moved, after, v["cpu_ms"], \
		ok ? "right" : "WRONG or no result"
	printf "%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s\n", name, v["total_ms"], v["downtime_ms"], \
		v["transferred"], v["rounds"], before, moved, after, v["tpt_switched_on"], \
		v["tpt_switched_off"], v["cpu_ms"], v["errors"], v["status"] > csv
	cases++
}

$1 == "migrate:" { print }

END { exit bad || !cases }
