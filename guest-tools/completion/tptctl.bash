# SPDX-License-Identifier: GPL-2.0-only
# bash completion of tptctl; sourced by bash
# shellcheck shell=bash

_tptctl()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]} options='' words='' i path

	COMPREPLY=()
	if [[ $COMP_CWORD -eq 1 ]]; then
		mapfile -t COMPREPLY < <(compgen -W \
			'status on off auto run watch record report explain doctor --help' -- "$word")
		return
	fi

	# a command to run: where it begins, and then whatever completes it
	for ((i = 2; i < COMP_CWORD; i++)); do
		[[ $command == run || $command == record ]] || break
		[[ ${COMP_WORDS[i]} == -- || ($command == run && ${COMP_WORDS[i]} != -*) ]] || continue
		if [[ ${COMP_WORDS[i]} == -- && $((i + 1)) -eq $COMP_CWORD ]]; then
			mapfile -t COMPREPLY < <(compgen -c -- "$word")
		else
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
		fi
		return
	done

	# "--sort=x" is three words here
	[[ $before == '=' ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
	[[ $word == '=' ]] && word=''
	case $command,$before in
	status,-s | watch,-s | *,--sort)
		mapfile -t COMPREPLY < <(compgen -W 'pid share gain state twin rss' -- "$word")
		return
		;;
	record,-o | *,--output)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	watch,-[dn] | record,-[dn] | *,--delay | *,--count)
		return
		;;
	esac

	case $command in
	status) options='--all --json --reverse --sort' ;;
	run) options='--children --' ;;
	watch) options='--all --count --delay --refs --reverse --sort' ;;
	record) options='--all --count --delay --output --refs --' ;;
	explain) options=--list ;;
	esac
	if [[ $word == -* ]]; then
		words="$options --help"
	else
		case $command in
		status | on | off | auto | record | explain)
			for path in /proc/[0-9]*; do
				words+=" ${path##*/}"
			done
			;;
		report)
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
			return
			;;
		run)
			mapfile -t COMPREPLY < <(compgen -c -- "$word")
			return
			;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _tptctl tptctl
