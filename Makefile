# SPDX-License-Identifier: GPL-2.0-only
#
# Auto-TPT: `make help` lists the targets.

MAKEFLAGS += --no-print-directory --no-builtin-rules
.NOTPARALLEL:
.DEFAULT_GOAL := help

# What a user may set on the command line or in the environment.
VARIABLES := JOBS MEM SMP TPT HUGE CMD KERNEL_SRC QEMU_SRC QEMU_CONFIGURE BUILD OUT \
	     TESTS SEEDS FORCE WORKLOADS

unknown := $(filter-out $(VARIABLES),$(foreach v,$(.VARIABLES),\
	   $(if $(filter command line,$(origin $v)),$v)))
ifneq ($(filter-out MAKEFLAGS MAKEOVERRIDES -*-,$(unknown)),)
$(error unknown variable: $(firstword $(filter-out MAKEFLAGS MAKEOVERRIDES -*-,$(unknown))) (make help lists them))
endif

quoted = '$(subst ','\'',$(1))'
problem := $(shell $(foreach v,JOBS MEM SMP TPT HUGE SEEDS FORCE KERNEL_SRC QEMU_SRC,\
	     $v=$(call quoted,$($v))) scripts/check-variables)
ifneq ($(problem),)
$(error $(problem))
endif

export $(VARIABLES)

help:
	@scripts/help

run: kernel qemu tools
	@scripts/run

vm: kernel qemu tools
	@scripts/vm

check: kernel kernel-debug qemu tools perf
	@scripts/check

check-all: kernel kernel-debug kernel-base qemu qemu-base tools perf
	@scripts/check --all

check-mm: kernel kernel-debug qemu tools
	@scripts/check mm-all

stress: kernel kernel-debug kernel-kasan qemu tools
	@TESTS=stress scripts/check --all

refs5: kernel qemu tools
	@scripts/run --refs5

bench-auto: kernel qemu tools
	@scripts/bench-auto

bench-sync: kernel kernel-base qemu tools
	@scripts/bench-sync

bench-host: kernel qemu tools
	@scripts/bench-host

migrate: kernel qemu tools
	@scripts/migrate

eval: kernel qemu tools
	@scripts/eval

eval-quick: kernel qemu tools
	@scripts/eval --quick

report:
	@scripts/report

deps:
	@scripts/deps

fetch: deps
	@scripts/fetch

trees: fetch
	@scripts/trees

kernel kernel-debug kernel-kasan kernel-kcsan kernel-base qemu qemu-base tools perf: trees
	@scripts/build $@

export:
	@scripts/export

doctor:
	@scripts/doctor

clean:
	@scripts/clean

distclean:
	@scripts/clean --all

.PHONY: help run vm check check-all check-mm refs5 bench-auto bench-sync bench-host migrate eval eval-quick report stress deps fetch trees export doctor clean \
	distclean kernel kernel-debug kernel-kasan kernel-kcsan kernel-base qemu qemu-base tools perf
