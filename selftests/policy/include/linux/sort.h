/* SPDX-License-Identifier: GPL-2.0-only */
/* What mm/tpt/policy.c needs of <linux/sort.h>, on the build host */
#ifndef HOST_LINUX_SORT_H
#define HOST_LINUX_SORT_H

#include <stdlib.h>

/* the kernel's may be given NULL if there is nothing to sort */
static inline void sort(void *base, size_t num, size_t size,
			int (*cmp)(const void *, const void *), void *swap)
{
	(void)swap;
	if (num)
		qsort(base, num, size, cmp);
}

#endif
