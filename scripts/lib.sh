# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
# Sourced by the scripts beside it: places, messages, progress, stamps.

TOP=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
while [ ! -e "$TOP/scripts/lib.sh" ] && [ "$TOP" != / ]; do
	TOP=$(dirname -- "$TOP")
done
BUILD=${BUILD:-$TOP/build}
case $BUILD in
/*) ;;
*) BUILD=$TOP/$BUILD ;;
esac
OUT=${OUT:-$TOP/out}
LOG=$BUILD/log
PROG=${0##*/}

# The first error of a script is its last; wrong usage exits with 2.
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

# quote WORD...: the words so that a shell reads them back unchanged
quote()
{
	for quote_w; do
		printf "'%s' " "$(printf %s "$quote_w" | sed "s/'/'\\\\''/g")"
	done
}
