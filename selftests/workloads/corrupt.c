// SPDX-License-Identifier: GPL-2.0-only
/*
 * Linked into the workloads of guest-tools with ld's --wrap: turns one bit over in the
 * data of a workload, to see whether it finds out.
 *
 *	CORRUPT="begin|end REGION WORD BIT"	when, in which roi_memory() and where
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_REGIONS 16

void *__real_roi_memory(uint64_t size);
void __real_roi_begin(void);
void __real_roi_end(void);
void *__wrap_roi_memory(uint64_t size);
void __wrap_roi_begin(void);
void __wrap_roi_end(void);

static uint64_t *regions[MAX_REGIONS];
static unsigned int nr_regions;

static void corrupt(const char *now)
{
	const char *text = getenv("CORRUPT");
	unsigned int region, bit;
	unsigned long word;
	char when[8];

	if (!text || sscanf(text, "%7s %u %lu %u", when, &region, &word, &bit) != 4 ||
	    region >= nr_regions) {
		fprintf(stderr, "CORRUPT is wrong\n");
		exit(3);
	}
	if (!strcmp(when, now))
		regions[region][word] ^= 1ULL << bit;
}

void *__wrap_roi_memory(uint64_t size)
{
	regions[nr_regions] = __real_roi_memory(size);
	return regions[nr_regions++];
}

void __wrap_roi_begin(void)
{
	corrupt("begin");
	__real_roi_begin();
}

void __wrap_roi_end(void)
{
	__real_roi_end();
	corrupt("end");
}
