/* SPDX-License-Identifier: GPL-2.0-only */
/* What mm/tpt/policy.c needs of <linux/minmax.h>, on the build host */
#ifndef HOST_LINUX_MINMAX_H
#define HOST_LINUX_MINMAX_H

#define min_t(type, a, b) ({			\
	type min_a = (a), min_b = (b);		\
	min_a < min_b ? min_a : min_b; })
#define max_t(type, a, b) ({			\
	type max_a = (a), max_b = (b);		\
	max_a > max_b ? max_a : max_b; })
/* the kernel's refuses to compare signed with unsigned, this the compiler does */
#define min(a, b) ({				\
	__typeof__(a) min_x = (a);		\
	__typeof__(b) min_y = (b);		\
	(void)(&min_x == &min_y);		\
	min_x < min_y ? min_x : min_y; })
#define max(a, b) ({				\
	__typeof__(a) max_x = (a);		\
	__typeof__(b) max_y = (b);		\
	(void)(&max_x == &max_y);		\
	max_x > max_y ? max_x : max_y; })
#define clamp_t(type, v, lo, hi) min_t(type, max_t(type, v, lo), hi)

#endif
