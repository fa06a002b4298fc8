# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
# Sourced after lib.sh: boots several machines, two at a time.
#
# The script defines "machine NAME", which ends in exec of boot-l1 with --name
# "$name-NAME" and its messages in $d/NAME.err, and sets $name and $vmlog.  It may
# define "finished NAME", called when one has ended well, in the order of their
# start.

d=$(mktemp -d) || exit 1
pids=''

# shellcheck disable=SC2086,SC2317
cleanup()
{
	trap '' INT TERM HUP
	ticker_stop
	[ -z "$pids" ] || kill $pids 2>/dev/null
	wait
	rm -rf "$d"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

finished()
{
	:
}

start()
{
	machine "$1" &
	pids="$pids $!"
	eval "pid_$1=\$!"
}

# finish NAME: waits; a failure ends everything
finish()
{
	f_pid=""
	eval "f_pid=\$pid_$1"
	wait "$f_pid"
	f_status=$?
	# shellcheck disable=SC2154
	[ $f_status -ne 0 ] || {
		cp "$vmlog/$name-$1.out" "$d/$name-$1.txt" || exit 1
		finished "$1"
		return
	}
	ticker_stop
	{
		echo "$PROG: the machine \"$1\" failed (status $f_status)"
		cat "$d/$1.err"
		echo "--- output, $(relative "$vmlog/$name-$1.out")"
		tail -n 10 "$vmlog/$name-$1.out"
		echo "--- to repeat: ${REPEAT:-make $name}"
	} >&2
	exit 1
}

# machines NAME...: their output ends up in $d/$name-NAME.txt
machines()
{
	running=''
	for m_name; do
		# shellcheck disable=SC2086
		set -- $running
		if [ $# -ge 2 ]; then
			finish "$1"
			shift
			running=$*
		fi
		start "$m_name"
		running="$running $m_name"
	done
	for m_name in $running; do
		finish "$m_name"
	done
	pids=''
}
