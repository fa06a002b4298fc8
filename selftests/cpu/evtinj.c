// SPDX-License-Identifier: GPL-2.0-only
#include "lib.h"
const char test_name[] = "evtinj";
void test(void)
{
}
