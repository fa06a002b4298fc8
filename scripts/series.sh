# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
# Sourced: git trees and the three patch series.
#
# A branch is "in step" with its directory of mails when exporting it gives the
# same bytes.  For each branch two things are kept, so that nobody's work is
# overwritten: the commit that both last agreed on (refs/tpt/BRANCH) and the
# hash of the mails then (config tpt.BRANCH.mails).

export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_COMMITTER_NAME='Auto-TPT' GIT_COMMITTER_EMAIL='auto-tpt@example.org'

series_repo()
{
	case $1 in
	kvm | guest) echo "$TREES/linux" ;;
	qemu) echo "$TREES/qemu" ;;
	esac
}

series_dir()
{
	case $1 in
	kvm) echo "$TOP/kvm-patches" ;;
	guest) echo "$TOP/linux-patches" ;;
	qemu) echo "$TOP/qemu-patches" ;;
	esac
}

series_branch()
{
	case $1 in
	kvm | guest) echo "$1" ;;
	qemu) echo tpt ;;
	esac
}

# mails DIR: its mails, in order
mails()
{
	find "$1" -maxdepth 1 -name '[0-9]*.patch' | LC_ALL=C sort
}

mails_hash()
{
	mails "$1" | while IFS= read -r mails_f; do
		echo "${mails_f##*/}"
		cat "$mails_f"
	done | hash
}

# format_series REPO BRANCH DIR: the commits of base..BRANCH as mails.  Every
# option whose default depends on git's version or the user's settings is given.
format_series()
{
	git -C "$1" -c core.abbrev=12 -c diff.algorithm=histogram -c diff.renames=true \
		-c diff.noprefix=false -c diff.mnemonicPrefix=false -c diff.context=3 \
		-c diff.interHunkContext=0 -c diff.indentHeuristic=true -c diff.statGraphWidth=40 \
		-c format.encodeEmailHeaders=true -c core.quotePath=true \
		format-patch -q --zero-commit --no-signature --no-numbered --full-index \
		--no-base --no-cover-letter --no-attach --no-thread --no-to --no-cc \
		--no-add-header --subject-prefix=PATCH --suffix=.patch --no-notes \
		--no-ext-diff --no-color --stat=80,60 -o "$3" "base..$2"
}

# in_step REPO BRANCH DIR
in_step()
{
	in_step_d=$(mktemp -d "$BUILD/tmp.XXXXXX") || exit 1
	mkdir "$in_step_d/mails" "$in_step_d/dir"
	mails "$3" | while IFS= read -r in_step_f; do
		cp "$in_step_f" "$in_step_d/dir"
	done
	format_series "$1" "$2" "$in_step_d/mails" &&
		diff -r "$in_step_d/dir" "$in_step_d/mails" > /dev/null
	in_step_s=$?
	rm -rf "$in_step_d"
	return $in_step_s
}

agree()
{
	git -C "$1" update-ref "refs/tpt/$2" "refs/heads/$2" &&
		git -C "$1" config "tpt.$2.mails" "$(mails_hash "$3")"
}

# apply_series REPO START DIR: prints the commit of START with the mails of DIR
# on top.  Works in a worktree of its own that holds just the files they touch,
# so that no other file gets a new time stamp.
apply_series()
{
	apply_n=$(mails "$3" | wc -l)
	if [ "$apply_n" -eq 0 ]; then
		git -C "$1" rev-parse "$2^{commit}"
		return
	fi
	apply_wt=$(mktemp -d "$BUILD/tmp.XXXXXX") || exit 1
	{
		git -C "$1" worktree add -q --no-checkout --detach "$apply_wt/w" "$2" &&
		mails "$3" | xargs sed -n \
			-e 's#^--- a/#/#p' -e 's#^+++ b/#/#p' \
			-e 's#^rename [a-z]* #/#p' -e 's#^diff --git a/\([^ ]*\) .*#/\1#p' |
			LC_ALL=C sort -u |
			git -C "$apply_wt/w" sparse-checkout set -q --no-cone --stdin &&
		git -C "$apply_wt/w" checkout -q &&
		mails "$3" | xargs git -C "$apply_wt/w" -c core.fsync=none -c gc.auto=0 \
			-c advice.mergeConflict=false am --3way --no-gpg-sign \
			--committer-date-is-author-date
	} >&2
	apply_s=$?
	[ $apply_s -eq 0 ] && git -C "$apply_wt/w" rev-parse HEAD
	if [ $apply_s -ne 0 ]; then
		apply_at=$(cat "$(git -C "$apply_wt/w" rev-parse --git-path rebase-apply/next)" 2>/dev/null)
		{
			echo "$(relative "$3"): $(mails "$3" | sed -n "${apply_at:-1}p" |
				sed 's#.*/##') does not apply to $(git -C "$1" log -1 --format=%s "$2")"
			git -C "$apply_wt/w" diff --name-only --diff-filter=U | sed 's/^/  conflict in /'
		} >&2
	fi
	git -C "$1" worktree remove -f "$apply_wt/w" >&2
	rm -rf "$apply_wt"
	return $apply_s
}

# worktree_of REPO BRANCH: the directory that has BRANCH checked out, if any
worktree_of()
{
	git -C "$1" worktree list --porcelain |
		awk -v b="branch refs/heads/$2" '/^worktree /{ w = substr($0, 10) } $0 == b { print w }'
}

# set_branch REPO BRANCH COMMIT: also where it is checked out
set_branch()
{
	set_wt=$(worktree_of "$1" "$2")
	if [ -z "$set_wt" ]; then
		git -C "$1" branch -q -f "$2" "$3"
	else
		[ -z "$(git -C "$set_wt" status --porcelain -uno)" ] || {
			echo "$(relative "$set_wt") has changes that are not committed" >&2
			return 1
		}
		git -C "$set_wt" reset -q --keep "$3"
	fi
}

# sync_branch SERIES: makes the branch from the mails, unless it has commits that
# the mails lack
sync_branch()
{
	sync_repo=$(series_repo "$1") sync_dir=$(series_dir "$1") sync_b=$(series_branch "$1")
	if sync_cur=$(git -C "$sync_repo" rev-parse -q --verify "refs/heads/$sync_b"); then
		sync_old=$(git -C "$sync_repo" rev-parse -q --verify "refs/tpt/$sync_b")
		sync_based=''
		git -C "$sync_repo" merge-base --is-ancestor base "$sync_b" && sync_based=1
		if [ -n "$sync_based" ] && [ "$sync_cur" = "$sync_old" ] &&
			[ "$(git -C "$sync_repo" config "tpt.$sync_b.mails")" = "$(mails_hash "$sync_dir")" ]; then
			return 0
		fi
		if [ -n "$sync_based" ] && in_step "$sync_repo" "$sync_b" "$sync_dir"; then
			agree "$sync_repo" "$sync_b" "$sync_dir"
			return
		fi
		if [ "$sync_cur" != "$sync_old" ]; then
			cat >&2 <<-END
			branch $sync_b of $(relative "$sync_repo") has commits that $(relative "$sync_dir") lacks.
			"make export" writes them there; or, to drop them: git -C $(relative "$sync_repo") update-ref refs/tpt/$sync_b $sync_b
			END
			return 1
		fi
	fi
	sync_new=$(apply_series "$sync_repo" base "$sync_dir") &&
		set_branch "$sync_repo" "$sync_b" "$sync_new" &&
		agree "$sync_repo" "$sync_b" "$sync_dir"
}
