# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2034
# Sourced by the scripts beside it: places, messages, progress, stamps.

TOP=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
while [ ! -e "$TOP/scripts/lib.sh" ] && [ "$TOP" != / ]; do
	TOP=$(dirname -- "$TOP")
done
BUILD=${BUILD:-$TOP/build}
case $BUILD in
/*) ;;
*) BUILD=$TOP/$BUILD ;;
esac
OUT=${OUT:-$TOP/out}
case $OUT in
/*) ;;
*) OUT=$TOP/$OUT ;;
esac
LOG=$BUILD/log
TREES=$BUILD/trees
JOBS=${JOBS:-$(nproc)}
PROG=${0##*/}
nl='
'

die()
{
	echo "$PROG: $*" >&2
	exit 1
}

usage_error()
{
	echo "$PROG: $*" >&2
	exit 2
}

# is_uint WORD: a decimal number without sign
is_uint()
{
	case $1 in
	'' | *[!0-9]*) return 1 ;;
	esac
}

# need_value OPTION [VALUE]: for option parsers, "$@"
need_value()
{
	[ $# -ge 2 ] || usage_error "$1 needs a value"
}

# quote WORD...: the words so that a shell reads them back unchanged
quote()
{
	for quote_w; do
		case $quote_w in
		'' | *[!A-Za-z0-9_./:=,+@%-]*)
			printf "'%s' " "$(printf %s "$quote_w" | sed "s/'/'\\\\''/g")"
			;;
		*)
			printf '%s ' "$quote_w"
			;;
		esac
	done
}

# relative PATH: as the user would type it at the top of the project
relative()
{
	case $1 in
	"$TOP"/*) echo "${1#"$TOP"/}" ;;
	*) echo "$1" ;;
	esac
}

#
# Progress: one line when a step begins, the elapsed time when it ends.  A
# terminal sees the seconds pass.
#

ticker=''

ticker_start()
{
	ticker=''
	[ -t 2 ] || return 0
	(
		trap 'exit 0' TERM
		ticker_s=0
		while sleep 1; do
			ticker_s=$((ticker_s + 1))
			[ $ticker_s -lt 3 ] || printf '\r%-40s %4d s ' "$1" $ticker_s >&2
		done
	) &
	ticker=$!
}

ticker_stop()
{
	[ -n "$ticker" ] || return 0
	kill "$ticker" 2>/dev/null
	wait "$ticker" 2>/dev/null
	printf '\r\033[K' >&2
	ticker=''
}

# step NAME LOG COMMAND...: COMMAND with its output in LOG; on failure the last
# lines of the log and how to repeat the step
step()
{
	step_name=$1 step_log=$LOG/$2.log
	shift 2
	mkdir -p "${step_log%/*}"
	step_t0=$(date +%s)
	[ -t 2 ] || echo "$step_name ..." >&2
	ticker_start "$step_name"
	"$@" > "$step_log" 2>&1 < /dev/null
	step_status=$?
	ticker_stop
	step_t=$(($(date +%s) - step_t0))
	if [ $step_status -ne 0 ]; then
		printf '%-40s FAILED after %d s\n' "$step_name" $step_t
		echo "--- last lines of $(relative "$step_log")"
		tail -n 20 "$step_log"
		echo "--- to repeat: ${REPEAT:-make ${GOAL:-}}"
		exit 1
	fi >&2
	printf '%-40s %4d s\n' "$step_name" $step_t >&2
}

#
# Stamps: a step whose inputs have the hash that they had when it last
# succeeded is not repeated.
#

stamp_is()
{
	[ "$(cat "$BUILD/stamps/$1" 2>/dev/null)" = "$2" ]
}

stamp_set()
{
	mkdir -p "$BUILD/stamps"
	echo "$2" > "$BUILD/stamps/$1"
}

stamp_clear()
{
	rm -f "$BUILD/stamps/$1"
}

# hash: of standard input
hash()
{
	sha256sum | cut -c1-40
}

# hash_files FILE...: names within the project and contents
hash_files()
{
	(cd "$TOP" && sha256sum -- "$@") | hash
}

# Only one process at a time changes trees and builds.
lock_build()
{
	mkdir -p "$BUILD" || exit 1
	exec 9> "$BUILD/.lock"
	flock -n 9 || {
		echo "$PROG: waiting for another make in $(relative "$BUILD")" >&2
		flock 9
	}
}

# libraries PROGRAM: those it is linked with, and its loader, a path per line
libraries()
{
	ldd "$1" | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }'
}

# kernel_complaints FILE...: prints what a healthy kernel does not, with file and
# line; fails when there is nothing.  What KCSAN reports is not all to be mended,
# scripts/check.d/65-races looks at it.
kernel_complaints()
{
	grep -HnaE '^(\[[^]]*\] )?(------------\[ cut here|WARNING: (CPU|possible|suspicious|inconsistent|bad|lock|nested)|=+\[? *WARNING|BUG:|BUG at|sysrq: Trigger a crash|kernel BUG|Oops|general protection|Kernel panic|INFO: (task|rcu|possible|suspicious|lockdep)|rcu: INFO|watchdog: BUG|unchecked MSR|page_table_check|Bad page|KASAN|UBSAN|DEBUG_LOCKS_WARN|trying to register non-static key|possible recursive)' "$@" |
		grep -v 'BUG: KCSAN'
}
