/* SPDX-License-Identifier: GPL-2.0-only */
/* What mm/tpt/policy.c needs of <linux/limits.h>, on the build host */
#ifndef HOST_LINUX_LIMITS_H
#define HOST_LINUX_LIMITS_H

#include <stdint.h>

#ifndef U64_MAX
#define U64_MAX		UINT64_MAX
#define U32_MAX		UINT32_MAX
#endif

#endif
