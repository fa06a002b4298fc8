# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2034
# Sourced after lib.sh: how a kernel is configured and made.

# Reproducible and independent of where the project lies.
export LC_ALL=C KBUILD_BUILD_TIMESTAMP=@0 KBUILD_BUILD_USER=tpt KBUILD_BUILD_HOST=tpt
export CCACHE_BASEDIR="$BUILD" CCACHE_NOHASHDIR=1
cc=gcc
! command -v ccache > /dev/null || cc='ccache gcc'
compiler=$(gcc --version | head -n 1)

# tree_id DIR: what is checked out; empty when files were changed since
tree_id()
{
	[ -n "$(git -C "$1" status --porcelain)" ] || git -C "$1" rev-parse 'HEAD^{tree}'
}

# kernel_config TREE O FRAGMENTS: of these, kernel-FRAGMENT.config
kernel_config()
{
	kc_tree=$1 kc_o=$2 kc_fragments=$3
	set -- "$TOP/scripts/kernel.config"
	for kc_f in $kc_fragments; do
		set -- "$@" "$TOP/scripts/kernel-$kc_f.config"
	done
	kvm_series='' guest_series=''
	! grep -rqs --include=Kconfig "^config KVM_AMD_TPT" "$kc_tree/arch/x86" || kvm_series=1
	! grep -rqs --include=Kconfig "^config TPT_GUEST" "$kc_tree/arch/x86" "$kc_tree/mm" "$kc_tree/drivers/virt" || guest_series=1
	mkdir -p "$kc_o"
	cp "$kc_o/.config" "$kc_o/.config.before" 2> /dev/null
	kmake tinyconfig &&
		(cd "$kc_o" && "$kc_tree/scripts/kconfig/merge_config.sh" -m -O . .config "$@") &&
		kmake olddefconfig || return
	cat "$@" | kernel_config_check "$kc_o/.config" || return
	# An equal configuration keeps its time stamp.
	if cmp -s "$kc_o/.config" "$kc_o/.config.before"; then
		touch -r "$kc_o/.config.before" "$kc_o/.config"
	fi
}

# kernel_config_check .config: every symbol asked for on standard input is set
kernel_config_check()
{
	awk -v config="$1" -v kvm="$kvm_series" -v guest="$guest_series" '
		BEGIN { while ((getline l < config) > 0) have[l] = 1 }
		!/^CONFIG_/ { next }
		{ i = index($0, "="); name = substr($0, 1, i - 1); want[name] = substr($0, i + 1) }
		END {
			if (!kvm) delete want["CONFIG_KVM_AMD_TPT"]
			if (!guest) delete want["CONFIG_TPT_GUEST"]
			if (!guest) delete want["CONFIG_TPT_AUTO"]
			if (!guest) delete want["CONFIG_TPT_KUNIT_TEST"]
			for (name in want) {
				if (want[name] == "n") {
					if (!((name "=y") in have))
						continue
				} else if ((name "=" want[name]) in have)
					continue
				print "not set as asked for: " name "=" want[name]
				bad = 1
			}
			exit bad
		}'
}

kmake()
{
	make -C "$kc_tree" O="$kc_o" CC="$cc" HOSTCC="$cc" LOCALVERSION= -j "$JOBS" "$@"
}

