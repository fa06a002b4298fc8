/* SPDX-License-Identifier: GPL-2.0-only */
/* What mm/tpt/policy.c needs of <linux/math64.h>, on the build host */
#ifndef HOST_LINUX_MATH64_H
#define HOST_LINUX_MATH64_H

#include <stdlib.h>
#include <linux/types.h>

static inline u64 div64_u64(u64 a, u64 b)
{
	return a / b;
}

/* On x86 an overflow traps, so it has to be noticed here as well */
static inline u64 mul_u64_u64_div_u64(u64 a, u64 mul, u64 div)
{
	unsigned __int128 q = (unsigned __int128)a * mul / div;

	if (q >> 64)
		abort();
	return q;
}

#endif
