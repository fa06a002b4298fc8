# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash disable=SC2034
# Sourced in L2 by the scripts that show what the mode auto does.

tpt=/sys/kernel/mm/tpt
trace=/sys/kernel/tracing

# policy_mode MODE: of the kernel; ends the script where there is no such mode
policy_mode()
{
	if ! echo "$1" > $tpt/enabled || ! grep -q "\[$1\]" $tpt/enabled; then
		echo "this kernel has no tpt=$1: $(cat $tpt/enabled 2>&1)"
		exit 1
	fi
}

# policy_stats WHEN: the policy's statistics, WHEN before each line
policy_stats()
{
	[ ! -e $tpt/auto/stats ] || sed "s/^/$1 /" $tpt/auto/stats
}

# policy_trace: begins to keep what is measured and decided
policy_trace()
{
	for e in tpt_sample tpt_decide tpt_switch; do
		[ ! -e $trace/events/tpt/$e ] || echo 1 > $trace/events/tpt/$e/enable
	done
	[ ! -e $trace/trace ] || echo > $trace/trace
}

# policy_traced: the last 400 lines of it, with the time in seconds
policy_traced()
{
	[ ! -e $trace/trace ] ||
		sed -n 's/^.* \([0-9]*\.[0-9]*: [a-z_]*:\)/trace \1/p' $trace/trace | tail -n 400
}
