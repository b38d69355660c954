/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "feed_test.h"

#include <string.h>

#include "block.h"

#define SIZE (64u << 10)

static void
make_pool(struct sl_block_pool *pool, unsigned int targets)
{
	const struct sl_block_plan plan = {.block_size = SIZE, .per_target = 6, .extra = 16};

	assert_int_equal(sl_block_pool_init(pool, &plan, targets), 0);
}

static void
test_more_targets(void **state)
{
	struct sl_block_pool pool;
	struct sl_block_extent *extent;
	struct sl_block *b, *last = NULL;
	uint32_t used[4] = {0}, lacks, n = 0;

	(void)state;
	make_pool(&pool, 1);
	assert_int_equal(pool.count, 22);
	/* what a pool has spare is enough for a while */
	assert_int_equal(sl_block_pool_lacks(pool.count, 1), 0);
	lacks = sl_block_pool_lacks(pool.count, 4);
	assert_int_equal(lacks, 18);
	/* one target has taken all that it may when three others come */
	while ((b = sl_block_get(&pool, &used[0])) != NULL) {
		last = b;
		n++;
	}
	assert_int_equal(n, 22);
	if (!last)
		return;
	sl_block_pool_share(&pool, used, 4);
	assert_int_equal(sl_block_available(&pool, used[0]), 0);
	assert_int_equal(sl_block_available(&pool, used[1]), 0);
	/* what it gives back is theirs, not its own again */
	sl_block_put(&pool, &used[0], last);
	assert_int_equal(sl_block_available(&pool, used[0]), 0);
	assert_int_equal(sl_block_available(&pool, used[1]), 1);

	assert_int_equal(sl_block_extent_create(SIZE, lacks, &extent), 0);
	sl_block_pool_add(&pool, extent);
	sl_block_pool_add(&pool, NULL);
	sl_block_pool_share(&pool, used, 4);
	assert_int_equal(pool.count, 40);
	for (unsigned int t = 1; t < 4; t++)
		for (unsigned int i = 0; i < 6; i++) {
			b = sl_block_get(&pool, &used[t]);
			assert_non_null(b);
			memset(b->data, 1, SIZE);
		}
	assert_int_equal(pool.reserved, 0);
	assert_int_equal(pool.free_count, 1);
	sl_block_pool_free(&pool);
	assert_null(pool.extents);
}

static void
test_fewer_targets(void **state)
{
	struct sl_block_pool pool;
	uint32_t used[8] = {0};

	(void)state;
	make_pool(&pool, 8);
	assert_int_equal(sl_block_available(&pool, 0), 6 + 16);
	sl_block_pool_share(&pool, used, 1);
	assert_int_equal(pool.reserve, pool.reserve_max);
	assert_int_equal(sl_block_available(&pool, 0), pool.count);
	sl_block_pool_share(&pool, used, 0);
	assert_int_equal(pool.reserved, 0);
	sl_block_pool_free(&pool);
}

int
block_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_more_targets),
		cmocka_unit_test(test_fewer_targets),
	};

	return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
