# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2034
# Sourced by the tests in check.d.  Results go to descriptor 8, which the driver
# reads; without a driver (a test run by hand) to standard output.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "$0")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=model.sh
. "$TOP/scripts/model.sh"
NAME=${NAME:-${0##*-}}
WORK=${WORK:-$BUILD/check/$NAME}
mkdir -p "$WORK" || exit 1
{ true >&8; } 2> /dev/null || exec 8>&1
last=$(date +%s) failed=''

# result RESULT WHAT [REASON]
result()
{
	result_now=$(date +%s)
	printf '%s\t%s: %s\t%s\t%s\n' "$1" "$NAME" "$2" $((result_now - last)) "${3:-}" >&8
	echo "== $1 $2 ${3:-}"
	last=$result_now
}

ok() { result ok "$1"; }
skip() { result skip "$1" "$2"; }

# not_ok WHAT [REASON]; the test ends with "finish"
not_ok()
{
	failed=1
	result not_ok "$1" "${2:-}"
}

skip_all()
{
	skip "$1" "$2"
	exit 0
}

finish()
{
	# the driver shows the log of what failed
	[ -z "$failed" ] || exit 3
	exit 0
}

# expect WHAT COMMAND...
expect()
{
	expect_what=$1
	shift
	if "$@"; then
		ok "$expect_what"
	else
		not_ok "$expect_what" "$1: status $?"
	fi
}

# tap WHAT FILE: the results of a program that speaks TAP
tap()
{
	tap_n=0
	sed -n 's/^\(not ok\|ok\) \{1,\}[0-9]* *-* */\1\t/p' "$2" > "$WORK/tap"
	while IFS= read -r tap_line; do
		tap_n=$((tap_n + 1))
		tap_text=${tap_line#*"$(printf '\t')"}
		case $tap_line in
		*'# SKIP'*) skip "$1 ${tap_text%%#*}" "${tap_text#*# SKIP }" ;;
		not*) not_ok "$1 $tap_text" ;;
		*) ok "$1 $tap_text" ;;
		esac
	done < "$WORK/tap"
	[ "$tap_n" -gt 0 ] || not_ok "$1" 'it printed no result'
}

# csv FILE COLUMN [NAME=VALUE...]: the column of those lines whose other columns have these values
csv()
{
	csv_file=$1 csv_column=$2
	shift 2
	awk -F, -v column="$csv_column" -v where="$*" '
	NR == 1 {
		for (i = 1; i <= NF; i++)
			c[$i] = i
		n = split(where, w, " ")
		next
	}
	{
		for (i = 1; i <= n; i++) {
			split(w[i], is, "=")
			if ($c[is[1]] != is[2])
				next
		}
		print $c[column]
	}' "$csv_file"
}

# series_applied SERIES: is there anything to test?
series_applied()
{
	[ -n "$(find "$TOP/$1" -name '*.patch' | head -n 1)" ]
}

have_qemu_tpt()
{
	"$BUILD/qemu/qemu-system-x86_64" -device help 2> /dev/null | grep -q tpt-addrmap
}

have_tpt()
{
	series_applied kvm-patches && series_applied linux-patches && have_qemu_tpt
}

# need_tpt WHAT: ends the test unless all three series are there
need_tpt()
{
	for need_d in kvm-patches linux-patches qemu-patches; do
		series_applied $need_d || skip_all "$1" "$need_d is empty"
	done
	have_qemu_tpt || skip_all "$1" 'QEMU has no tpt-addrmap'
}

# add_l2 PROGRAM: arguments for boot-l1 that put a program of this machine into L2
add_l2()
{
	{ echo "$1"; libraries "$1"; } | sed 's/.*/--add-l2 &:&/'
}

# machine NAME ARG...: boot-l1, on the debug kernel
machine()
{
	machine_name=$1
	shift
	KERNEL=${KERNEL:-$BUILD/kernel-debug/arch/x86/boot/bzImage} \
		"$TOP/scripts/boot-l1" --name "$NAME-$machine_name" "$@"
}


# refs FILE CACHES MODE GUEST HOST TPT RMP: each walk of the random workload makes
# exactly so many references
refs()
{
	awk -F, -v caches="$2" -v mode="$3" -v g="$4" -v h="$5" -v t="$6" -v r="$7" '
		NR == 1 { for (i = 1; i <= NF; i++) c[$i] = i; next }
		$c["workload"] == "random" && $c["mode"] == mode && $c["caches"] == caches {
			n++
			w = $c["walks"]
			print "walks " w ": " $c["refs_guest"] " " $c["refs_host"] " " \
				$c["refs_tpt"] " " $c["refs_rmp"]
			if ($c["refs_guest"] != g * w || $c["refs_host"] != h * w ||
			    $c["refs_tpt"] != t * w || $c["refs_rmp"] != r * w || w < 100000)
				bad = 1
		}
		END { exit bad || n != 1 }' "$1"
}
