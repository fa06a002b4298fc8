/* SPDX-License-Identifier: GPL-2.0-only */
/* What mm/tpt/policy_test.c needs of KUnit, on the build host: results are TAP */
#ifndef HOST_KUNIT_TEST_H
#define HOST_KUNIT_TEST_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/minmax.h>
#include <linux/types.h>

struct kunit {
	const char *name;
	unsigned int failures;
	jmp_buf end;
};

struct kunit_case {
	void (*run)(struct kunit *test);
	const char *name;
};

struct kunit_suite {
	const char *name;
	struct kunit_case *test_cases;
};

#define KUNIT_CASE(f)	{ .run = f, .name = #f }

/* of each failing test the first few are enough */
#define KUNIT_REPORT(test, ...) do {				\
	if ((test)->failures++ < 10) {				\
		printf("# %s:%d: ", __FILE__, __LINE__);	\
		printf(__VA_ARGS__);				\
		putchar('\n');					\
	}							\
} while (0)

#define KUNIT_FAIL(test, ...)	KUNIT_REPORT(test, __VA_ARGS__)

#define KUNIT_COMPARE(test, a, op, b, last) do {		\
	__typeof__(a) kunit_a = (a);				\
	__typeof__(b) kunit_b = (b);				\
	if (!(kunit_a op kunit_b)) {				\
		KUNIT_REPORT(test, "%s is %lld, not " #op	\
			     " %lld", #a, (long long)kunit_a,	\
			     (long long)kunit_b);		\
		last;						\
	}							\
} while (0)

#define KUNIT_EXPECT_EQ(test, a, b)	KUNIT_COMPARE(test, a, ==, b, (void)0)
#define KUNIT_EXPECT_LE(test, a, b)	KUNIT_COMPARE(test, a, <=, b, (void)0)
#define KUNIT_EXPECT_GE(test, a, b)	KUNIT_COMPARE(test, a, >=, b, (void)0)
#define KUNIT_EXPECT_GT(test, a, b)	KUNIT_COMPARE(test, a, >, b, (void)0)
#define KUNIT_ASSERT_EQ(test, a, b) \
	KUNIT_COMPARE(test, a, ==, b, longjmp((test)->end, 1))
#define KUNIT_EXPECT_TRUE(test, a) \
	KUNIT_COMPARE(test, (int)!!(a), ==, 1, (void)0)
#define KUNIT_EXPECT_FALSE(test, a) \
	KUNIT_COMPARE(test, (int)!!(a), ==, 0, (void)0)
#define KUNIT_EXPECT_PTR_EQ(test, a, b) \
	KUNIT_COMPARE(test, (size_t)(a), ==, (size_t)(b), (void)0)

/* apart from main(), whose variables a longjmp() could clobber */
static inline void kunit_run(struct kunit *test, void (*run)(struct kunit *test))
{
	if (!setjmp(test->end))
		run(test);
}

#define kunit_test_suite(suite)					\
int main(void)							\
{								\
	unsigned int n = 0, failed = 0;				\
								\
	setvbuf(stdout, NULL, _IOLBF, 0);			\
	for (struct kunit_case *c = (suite).test_cases; c->run; c++) { \
		struct kunit test = { .name = c->name };	\
								\
		kunit_run(&test, c->run);			\
		printf("%sok %u - %s\n", test.failures ? "not " : "", \
		       ++n, c->name);				\
		failed += !!test.failures;			\
	}							\
	printf("1..%u\n", n);					\
	return !!failed;					\
}								\
extern struct kunit_suite suite

#endif
