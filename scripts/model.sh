# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2034
# Sourced: the CPU models that the machines run on.

CPU_STOCK=EPYC,+svm,+npt
CPU_TPT=$CPU_STOCK,+tpt
# counters and virtual time, caches as they are by default
CPU_MODEL=$CPU_TPT,tpt-model=on
# no walk caches at all: every walk makes all its references
CPU_EXACT=$CPU_MODEL,tpt-l2-tlb=0,tpt-pdc=0,tpt-ntlb=0
CPU_NAIVE=$CPU_MODEL,tpt-check=serial
# the performance counters, too
CPU_PMU=$CPU_MODEL,pmu=on
