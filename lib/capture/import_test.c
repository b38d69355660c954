/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "capture_test.h"
#include "sl_capture.h"

#define TS(n) (1700000000000000000ull + (n)*1000000000ull)

static char lines[4096];
static volatile int stop;
static struct sl_import_result result;
static char errbuf[SL_CAPTURE_ERRBUF];

static void
on_line(void *ctx, const char *line)
{
	(void)ctx;
	snprintf(lines + strlen(lines), sizeof(lines) - strlen(lines), "%s\n", line);
}

static int
import(int interface, size_t count, const char *const *files)
{
	struct sl_import_params params = {
		.store = "/nowhere",
		.files = files,
		.file_count = count,
		.interface = interface,
		.flush_interval = 200000000,
		.stop = &stop,
		.report = on_line,
	};

	lines[0] = '\0';
	return sl_import(&params, &result, errbuf);
}

static void
said(const char *part)
{
	if (!strstr(lines, part))
		fail_msg("'%s' is not in: %s", part, lines);
}

static int
set_up(void **state)
{
	(void)state;
	fake_reset();
	stop = 0;
	return 0;
}

static const char *
pcap_file(int n, uint32_t link_type, uint32_t snap_len, int packets)
{
	struct blob b = {0};
	const char *path;

	pcap_begin(&b, NSEC, snap_len, link_type);
	for (int i = 0; i < packets; i++)
		pcap_packet(&b, NSEC, TS(i), 50, 50, (uint8_t)(n * 10 + i));
	path = test_file(n, b.data, b.len);
	blob_free(&b);
	return path;
}

/* Two interfaces; the second is described only at the end, after many bytes. */
static const char *
pcapng_file(int n, uint16_t second)
{
	struct blob b = {0};
	const char *path;

	pcapng_section(&b);
	pcapng_interface(&b, 1, 0, 9, 0);
	for (int i = 0; i < 5; i++)
		pcapng_enhanced(&b, 0, TS(i), 200000, 200000, (uint8_t)i);
	pcapng_interface(&b, second, 1000, 9, 0);
	pcapng_enhanced(&b, 1, TS(9), 20, 20, 99);
	path = test_file(n, b.data, b.len);
	blob_free(&b);
	return path;
}

static void
test_several_files(void **state)
{
	const char *files[] = {pcap_file(0, 1, 65535, 3), pcap_file(1, 1, 262145, 2), pcapng_file(2, 1)};

	(void)state;
	assert_int_equal(import(-1, 3, files), 0);
	assert_string_equal(lines, "");
	assert_string_equal(errbuf, "");
	assert_string_equal(result.capture, "fake");
	assert_int_equal(fake.created, 1);
	assert_int_equal(fake.closed, 1);
	assert_int_equal(fake.link_type, 1);
	assert_int_equal(fake.snap_len, 262145);
	assert_int_equal(fake.flush_interval, 0);
	assert_int_equal(fake.count, 11);
	assert_int_equal(fake.packets[0].first_byte, 0);
	assert_int_equal(fake.packets[3].first_byte, 10);
	assert_int_equal(fake.packets[10].first_byte, 99);
	assert_int_equal(fake.packets[10].port, 1);
	assert_int_equal(result.packets, 11);
	assert_int_equal(result.bytes, 5 * 50 + 5 * 200000 + 20);
	assert_int_equal(result.first_ts, TS(0));
	assert_int_equal(result.last_ts, TS(9));
	assert_int_equal(fake.clock_count, 0);
}

static void
test_link_types(void **state)
{
	const char *files[] = {pcap_file(0, 1, 0, 3), pcap_file(1, 113, 0, 2), pcapng_file(2, 127)};

	(void)state;
	assert_int_equal(import(-1, 3, files), -EINVAL);
	assert_int_equal(fake.created, 0);
	said(files[0]);
	said(files[1]);
	said("113 (LINUX_SLL");
	said(files[2]);
	said("interface 1 (eth?x) has link type 127");
	said("--interface N");
	/* one interface of the pcapng file */
	assert_int_equal(import(1, 1, &files[2]), 0);
	assert_int_equal(fake.link_type, 127);
	assert_int_equal(fake.snap_len, 1000);
	assert_int_equal(fake.count, 1);
	assert_int_equal(fake.packets[0].first_byte, 99);
	fake_reset();
	assert_int_equal(import(0, 1, &files[2]), 0);
	assert_int_equal(fake.count, 5);
	fake_reset();
	assert_int_equal(import(2, 1, &files[2]), -EINVAL);
	said("no interface 2");
	assert_int_equal(import(1, 1, &files[0]), -EINVAL);
	said("no interface 1");
	assert_int_equal(fake.created, 0);
}

static void
test_unreadable(void **state)
{
	const char *missing = "/nowhere/x.pcap", *dir = "/tmp";
	const char *files[] = {missing, dir, test_file(0, "", 0), test_file(1, "\x1f\x8b\x08\0", 4),
		test_file(2, "\xd4\xc3\xb2\xa1\2\0", 6), "-", "-"};

	(void)state;
	assert_int_equal(import(-1, 5, files), -EINVAL);
	said("/nowhere/x.pcap: No such file");
	said("/tmp: is a directory");
	said("0.cap: empty");
	said("zcat ");
	said("header is cut short (6 of 24");
	assert_int_equal(fake.created, 0);
	assert_non_null(strstr(errbuf, "No such file"));
}

static void
test_damage_goes_on(void **state)
{
	struct blob b = {0};
	const char *files[2];

	(void)state;
	pcap_begin(&b, USEC, 0, 1);
	pcap_packet(&b, USEC, TS(0), 60, 60, 1);
	pcap_packet(&b, USEC, TS(1), 60, 60, 2);
	files[0] = test_file(0, b.data, b.len - 1);
	files[1] = pcap_file(1, 1, 0, 2);
	blob_free(&b);
	assert_int_equal(import(-1, 2, files), -EBADMSG);
	said("0.cap: damaged at byte 100: truncated: the file ends at byte 175");
	said("whole packets before it, all kept: 1");
	assert_int_equal(fake.count, 3);
	assert_int_equal(fake.closed, 1);
	assert_int_equal(result.damaged, 1);
}

/* A block of almost 4 GiB, by seeking, in a sparse file. */
static void
test_huge_block(void **state)
{
	const uint32_t size = 0xfffffff0u;
	struct blob b = {0}, tail = {0};
	const char *files[1];
	size_t at;
	FILE *f;

	(void)state;
	pcapng_section(&b);
	pcapng_interface(&b, 1, 0, 9, 0);
	pcapng_enhanced(&b, 0, TS(0), 60, 60, 1);
	at = b.len;
	blob_u32(&b, 0x0bad);
	blob_u32(&b, size);
	files[0] = test_file(0, b.data, b.len);
	blob_u32(&tail, size);
	pcapng_enhanced(&tail, 0, TS(1), 60, 60, 2);
	f = fopen(files[0], "r+");
	assert_non_null(f);
	assert_int_equal(fseeko(f, (off_t)(at + size - 4), SEEK_SET), 0);
	assert_int_equal(fwrite(tail.data, 1, tail.len, f), tail.len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(import(-1, 1, files), 0);
	assert_int_equal(fake.count, 2);
	/* cut short within it */
	fake_reset();
	assert_int_equal(truncate(files[0], (off_t)size / 2), 0);
	assert_int_equal(import(-1, 1, files), -EBADMSG);
	said("inside the block that begins here");
	assert_int_equal(fake.count, 1);
	blob_free(&b);
	blob_free(&tail);
}

static void
test_store_errors(void **state)
{
	const char *files[] = {pcap_file(0, 1, 0, 5)};

	(void)state;
	fake.fail_at = 3;
	fake.fail_with = -ENOSPC;
	assert_int_equal(import(-1, 1, files), -ENOSPC);
	said("append failed");
	assert_int_equal(fake.closed, 1);
	assert_true(result.incomplete);
	said("the files have 354 bytes and need about as much space");

	fake_reset();
	fake.create_result = -EEXIST;
	assert_int_equal(import(-1, 1, files), -EINVAL);
	said("create failed");
	fake.create_result = -EACCES;
	assert_int_equal(import(-1, 1, files), -EINVAL);
	fake.create_result = -EIO;
	assert_int_equal(import(-1, 1, files), -EIO);
	assert_string_equal(result.capture, "");
}

static void
test_left_out(void **state)
{
	struct blob b = {0};
	const char *files[1];

	(void)state;
	pcapng_section(&b);
	pcapng_interface(&b, 1, 0, 9, -1000);
	pcapng_enhanced(&b, 0, 5, 10, 10, 1);
	pcapng_enhanced(&b, 0, TS(0), (1 << 20) + 1, 10, 2);
	pcapng_enhanced(&b, 0, TS(1), 10, 10, 3);
	files[0] = test_file(0, b.data, b.len);
	blob_free(&b);
	assert_int_equal(import(-1, 1, files), -EMSGSIZE);
	said("packets too large for a chunk of 1048576 bytes, skipped: 1");
	said("time before 1970 or after 2106, skipped: 1");
	assert_int_equal(fake.count, 1);
	assert_int_equal(fake.packets[0].first_byte, 3);
	assert_int_equal(fake.dropped, 2);
	assert_int_equal(result.too_large, 1);
	assert_int_equal(result.bad_times, 1);
}

/* ---- pipes */

struct step {
	const uint8_t *data;
	size_t len;
	int sleep_ms; /* after it */
	bool stop;
};

struct feeder {
	struct step steps[6];
	size_t count;
	int fd;
	pthread_t thread;
	char path[64];
	int read_fd;
};

static void *
feed(void *arg)
{
	struct feeder *f = arg;

	for (size_t i = 0; i < f->count; i++) {
		struct timespec pause = {f->steps[i].sleep_ms / 1000, f->steps[i].sleep_ms % 1000 * 1000000L};

		if (f->steps[i].len && write(f->fd, f->steps[i].data, f->steps[i].len) < 0)
			break;
		nanosleep(&pause, NULL);
		if (f->steps[i].stop)
			stop = 1;
	}
	close(f->fd);
	return NULL;
}

static int
import_fed(struct feeder *f, int interface)
{
	const char *files[] = {f->path};
	int fds[2], ret;

	assert_int_equal(pipe(fds), 0);
	f->read_fd = fds[0];
	f->fd = fds[1];
	snprintf(f->path, sizeof(f->path), "/proc/self/fd/%d", fds[0]);
	assert_int_equal(pthread_create(&f->thread, NULL, feed, f), 0);
	ret = import(interface, 1, files);
	close(f->read_fd);
	pthread_join(f->thread, NULL);
	return ret;
}

static uint64_t
wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void
test_pipe_clock(void **state)
{
	struct feeder f = {.count = 2};
	struct blob b = {0};
	uint64_t start = wall(), clocks;

	(void)state;
	/* live: the clock goes on while it is silent, a margin behind the wall */
	pcap_begin(&b, NSEC, 0, 1);
	pcap_packet(&b, NSEC, start, 60, 60, 1);
	pcap_packet(&b, NSEC, start, 60, 60, 2);
	f.steps[0] = (struct step){b.data, b.mark[1], 600, false};
	f.steps[1] = (struct step){b.data + b.mark[1], b.len - b.mark[1], 0, false};
	assert_int_equal(import_fed(&f, -1), 0);
	assert_int_equal(fake.count, 2);
	assert_int_equal(fake.flush_interval, 200000000);
	assert_true(fake.clock_count >= 4);
	for (size_t i = 0; i < fake.clock_count; i++) {
		assert_true(fake.clocks[i] >= start - 1500000000u);
		assert_true(fake.clocks[i] <= wall() - 1500000000u);
	}
	/* half a record at hand: a packet older than the silence is on its way */
	fake_reset();
	f.steps[0].len = b.mark[1] + 20;
	f.steps[1] = (struct step){b.data + b.mark[1] + 20, b.len - b.mark[1] - 20, 0, false};
	assert_int_equal(import_fed(&f, -1), 0);
	assert_int_equal(fake.count, 2);
	clocks = fake.clock_count;
	assert_int_equal(clocks, 0);
	assert_true(fake.idles >= 4); /* but chunks go out */
	blob_free(&b);
	/* a replayed file: no clock */
	fake_reset();
	pcap_begin(&b, NSEC, 0, 1);
	pcap_packet(&b, NSEC, start - 11000000000u, 60, 60, 1);
	f.steps[0] = (struct step){b.data, b.len, 400, false};
	f.steps[1].len = 0;
	assert_int_equal(import_fed(&f, -1), 0);
	assert_int_equal(fake.count, 1);
	assert_int_equal(fake.clock_count, 0);
	assert_true(fake.idles >= 3);
	blob_free(&b);
}

static void
test_pipe_stop(void **state)
{
	struct feeder f = {.count = 3};
	struct blob b = {0};

	(void)state;
	pcap_begin(&b, NSEC, 0, 1);
	pcap_packet(&b, NSEC, TS(0), 60, 60, 1);
	pcap_packet(&b, NSEC, TS(1), 60, 60, 2);
	pcap_packet(&b, NSEC, TS(2), 60, 60, 3);
	/* what comes just after the request is taken; the half record at the end is no damage */
	f.steps[0] = (struct step){b.data, b.mark[1] + 5, 50, true};
	f.steps[1] = (struct step){b.data + b.mark[1] + 5, b.mark[2] - b.mark[1], 0, false};
	f.steps[2] = (struct step){NULL, 0, 1500, false};
	assert_int_equal(import_fed(&f, -1), 0);
	assert_string_equal(lines, "");
	assert_int_equal(fake.count, 2);
	assert_int_equal(fake.closed, 1);
	blob_free(&b);

	/* before a header came */
	set_up(NULL);
	f.steps[0] = (struct step){NULL, 0, 50, true};
	f.steps[1] = f.steps[2];
	f.count = 2;
	assert_int_equal(import_fed(&f, -1), 0);
	said("no capture was made");
	assert_int_equal(fake.created, 0);
}

static void
test_pipe_interfaces(void **state)
{
	struct feeder f = {.count = 2};
	struct blob b = {0};

	(void)state;
	pcapng_section(&b);
	pcapng_interface(&b, 1, 0, 9, 0);
	pcapng_interface(&b, 1, 0, 9, 0);
	pcapng_enhanced(&b, 0, TS(0), 60, 60, 1);
	pcapng_enhanced(&b, 1, TS(1), 60, 60, 2);
	pcapng_interface(&b, 113, 0, 9, 0);
	pcapng_enhanced(&b, 2, TS(2), 60, 60, 3);
	f.steps[0] = (struct step){b.data, b.len, 0, false};
	f.count = 1;
	assert_int_equal(import_fed(&f, -1), -EPROTOTYPE);
	said("interface 2 (eth?x), described at byte ");
	said("113 (LINUX_SLL");
	assert_int_equal(fake.count, 2);
	assert_int_equal(fake.closed, 1);
	set_up(NULL);
	assert_int_equal(import_fed(&f, 1), 0);
	assert_int_equal(fake.count, 1);
	assert_int_equal(fake.packets[0].first_byte, 2);
	set_up(NULL);
	assert_int_equal(import_fed(&f, 2), 0);
	assert_int_equal(fake.link_type, 113);
	assert_int_equal(fake.count, 1);
	set_up(NULL);
	assert_int_equal(import_fed(&f, 3), -EINVAL);
	said("no interface 3");
	assert_int_equal(fake.created, 0);
	blob_free(&b);

	/* both known before anything is written */
	set_up(NULL);
	pcapng_section(&b);
	pcapng_interface(&b, 1, 0, 9, 0);
	pcapng_interface(&b, 113, 0, 9, 0);
	pcapng_enhanced(&b, 0, TS(0), 60, 60, 1);
	f.steps[0] = (struct step){b.data, b.len, 0, false};
	assert_int_equal(import_fed(&f, -1), -EINVAL);
	assert_int_equal(fake.created, 0);
	blob_free(&b);
}

static void
test_file_stop(void **state)
{
	const char *files[] = {pcap_file(0, 1, 0, 5)};

	(void)state;
	stop = 1;
	assert_int_equal(import(-1, 1, files), -EINTR);
	said("stopped before anything");
	assert_int_equal(fake.created, 0);
}

int
import_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_several_files, set_up),
		cmocka_unit_test_setup(test_link_types, set_up),
		cmocka_unit_test_setup(test_unreadable, set_up),
		cmocka_unit_test_setup(test_damage_goes_on, set_up),
		cmocka_unit_test_setup(test_huge_block, set_up),
		cmocka_unit_test_setup(test_store_errors, set_up),
		cmocka_unit_test_setup(test_left_out, set_up),
		cmocka_unit_test_setup(test_pipe_clock, set_up),
		cmocka_unit_test_setup(test_pipe_stop, set_up),
		cmocka_unit_test_setup(test_pipe_interfaces, set_up),
		cmocka_unit_test_setup(test_file_stop, set_up),
	};

	return cmocka_run_group_tests_name("import", tests, NULL, NULL);
}
