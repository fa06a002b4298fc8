/* SPDX-License-Identifier: GPL-2.0-only */
/* What mm/tpt/policy.c needs of <linux/overflow.h>, on the build host */
#ifndef HOST_LINUX_OVERFLOW_H
#define HOST_LINUX_OVERFLOW_H

#define check_add_overflow(a, b, d)	__builtin_add_overflow(a, b, d)
#define check_mul_overflow(a, b, d)	__builtin_mul_overflow(a, b, d)

#endif
