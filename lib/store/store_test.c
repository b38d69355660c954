/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "store_test.h"

void
test_dir_make(char path[128], bool tmpfs)
{
	const char *base = getenv("SLUICE_TEST_DIR");
	struct statfs fs;

	if (tmpfs && statfs("/dev/shm", &fs) == 0 && fs.f_type == TMPFS_MAGIC) {
		base = "/dev/shm";
		tmpfs = false;
	}
	snprintf(path, 128, "%s/sluice-store-XXXXXX", base ? base : "/var/tmp");
	assert_non_null(mkdtemp(path));
	/* A bare chroot has no tmpfs on /dev/shm. */
	if (tmpfs && mount("tmpfs", path, "tmpfs", 0, NULL) < 0) {
		rmdir(path);
		print_message("SKIPPED: no tmpfs, and mounting one needs root\n");
		skip();
	}
}

void
test_dir_remove(const char *path)
{
	char command[256];

	snprintf(command, sizeof(command), "umount '%s' 2>/dev/null; rm -rf '%s'", path, path);
	assert_int_equal(system(command), 0);
}

struct sl_store_writer *
test_writer(const char *store, const char *name, uint64_t flush_interval)
{
	struct sl_store_writer_params params = {
		.store = store,
		.name = name,
		.link_type = 1,
		.snap_len = 65535,
		.source = "a \"test\"\n",
		.flush_interval = flush_interval,
	};
	char errbuf[SL_STORE_ERRBUF] = "";
	struct sl_store_writer *writer;

	if (sl_store_writer_create(&params, &writer, errbuf) < 0)
		fail_msg("writer: %s", errbuf);
	return writer;
}

struct sl_store_writer *
test_live_writer(const char *store, const char *name, struct sl_store_writer_params params)
{
	char errbuf[SL_STORE_ERRBUF] = "";
	struct sl_store_writer *writer;

	params.store = store;
	params.name = name;
	params.link_type = 1;
	params.snap_len = 65535;
	if (params.buffers == 0)
		params.buffers = SL_STORE_BUFFERS_MIN;
	if (sl_store_writer_create(&params, &writer, errbuf) < 0)
		fail_msg("writer: %s", errbuf);
	return writer;
}

void
test_mount(const char *path, unsigned int mib)
{
	char options[32];

	snprintf(options, sizeof(options), "size=%um", mib);
	if (mount("tmpfs", path, "tmpfs", 0, options) == 0)
		return;
	test_dir_remove(path);
	print_message("SKIPPED: mounting a small tmpfs needs root\n");
	skip();
}

uint64_t
test_packet(uint64_t i, uint8_t data[1600], uint32_t *len)
{
	uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u;

	*len = (uint32_t)(x >> 32) % 1500;
	for (uint32_t b = 0; b < *len; b++)
		data[b] = (uint8_t)(x >> (b % 8 * 8)) ^ (uint8_t)b;
	/* Mostly ascending, with a step back now and then. */
	return 1700000000000000000u + i * 1000003u - (i % 7 == 3 ? 500000000u : 0);
}

void
test_append(struct sl_store_writer *writer, uint64_t first, uint64_t count)
{
	char errbuf[SL_STORE_ERRBUF] = "";
	uint8_t data[1600];

	for (uint64_t i = first; i < first + count; i++) {
		uint32_t len;
		uint64_t ts = test_packet(i, data, &len);

		if (sl_store_writer_append(writer, ts, len, len + 3, (uint8_t)i, (uint8_t)(i & 0xf), data, errbuf) < 0)
			fail_msg("append: %s", errbuf);
	}
}

void
test_check_chunk(const struct sl_chunk *chunk, uint64_t *next)
{
	uint8_t data[1600];

	for (uint32_t i = 0; i < chunk->packets; i++, ++*next) {
		const struct sl_record *r = sl_chunk_record(chunk, i);
		uint32_t len;
		uint64_t ts = test_packet(*next, data, &len);

		assert_true(sl_record_ts(r) == ts);
		assert_int_equal(r->caplen, len);
		assert_int_equal(r->len, len + 3);
		assert_int_equal(sl_chunk_port(chunk, i), (uint8_t)*next);
		assert_int_equal(chunk->index[i] >> 28, *next & 0xf);
		if (len > 0)
			assert_memory_equal(r + 1, data, len);
	}
}

struct sl_capture *
test_open(const char *store, const char *name)
{
	char errbuf[SL_STORE_ERRBUF] = "";
	struct sl_capture *capture;

	if (sl_capture_open(store, name, &capture, errbuf) < 0)
		fail_msg("open: %s", errbuf);
	return capture;
}

void *
test_buffer(void)
{
	void *buf = aligned_alloc(SL_STORE_ALIGN, SL_CHUNK_SIZE);

	assert_non_null(buf);
	return buf;
}

void
test_patch(const char *store, const char *name, const char *file, uint64_t at, const void *bytes, size_t len)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/%s", store, name, file);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, (off_t)at), len);
	/* Reads of this library go past the page cache. */
	assert_int_equal(fsync(fd), 0);
	close(fd);
}

int
main(int argc, char **argv)
{
	int failed = 0;

	/* One test alone: its name, with * for any. */
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	failed += chunk_tests();
	failed += find_tests();
	failed += info_tests();
	failed += writer_tests();
	failed += mark_tests();
	failed += recovery_tests();
	failed += reader_tests();
	failed += live_tests();
	failed += live_roll_tests();
	failed += live_crash_tests();
	failed += newest_tests();
	failed += retention_tests();
	return failed != 0;
}
