/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "store_test.h"

struct seen {
	char text[512];
};

static int
note(void *ctx, const struct json_member *m)
{
	struct seen *seen = ctx;
	size_t len = strlen(seen->text);

	if (m->string)
		snprintf(seen->text + len, sizeof(seen->text) - len, "%s='%s' ", m->key, m->string);
	else if (m->is_number)
		snprintf(seen->text + len, sizeof(seen->text) - len, "%s=%llu ", m->key, (unsigned long long)m->number);
	else
		snprintf(seen->text + len, sizeof(seen->text) - len, "%s ", m->key);
	return strcmp(m->key, "stop") == 0 ? -ECANCELED : 0;
}

static int
parse(const char *json, struct seen *seen)
{
	char *text = strdup(json);
	size_t where;
	int ret;

	memset(seen, 0, sizeof(*seen));
	ret = json_members(text, note, seen, &where);
	free(text);
	return ret;
}

static void
test_json(void **state)
{
	static const char *const bad[] = {"", "x", "[]", "{", "{\"a\"", "{\"a\":", "{\"a\":}", "{\"a\":1", "{\"a\":1,}",
		"{\"a\" 1}", "{\"a\":\"x}", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\n\"}", "{a:1}",
		"{\"a\":-}", "{\"a\":[1,2}", "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1", "{\"a\":tru}",
		"{\"a\":\"\\"};
	struct seen seen;

	(void)state;
	assert_int_equal(
		parse(" {\"a\" : 1, \"b\":\"x\\n\\\"\\u00e9\\ud83d\\ude00\\ud800.\" ,\r\n\t\"c\":null}", &seen), 0);
	assert_string_equal(seen.text, "a=1 b='x\n\"\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd.' c ");
	assert_int_equal(parse("{}", &seen), 0);
	assert_int_equal(parse("{\"later\":{\"x\":[1,{},\"y\",[]],\"z\":{}},\"n\":18446744073709551615}", &seen), 0);
	assert_string_equal(seen.text, "later n=18446744073709551615 ");
	/* Not whole, not 64 bits: no number for us. */
	assert_int_equal(parse("{\"a\":18446744073709551616,\"b\":1.5,\"c\":-1,\"d\":1e9}", &seen), 0);
	assert_string_equal(seen.text, "a b c d ");
	assert_int_equal(parse("{\"stop\":1,\"never\":2}", &seen), -ECANCELED);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(bad[i], &seen), -EPROTO);
}

static void
test_info_round_trip(void **state)
{
	struct sl_capture_info info = {
		.name = "c",
		.sequence = UINT64_MAX,
		.link_type = 147,
		.snap_len = 262144,
		.start_ts = 1700000000123456789u,
		.host = "h\xc3\xb6st",
		.source = "a\"b\\c\x01\xff/\xe2\x82.pcap",
		.expires = true,
		.retention = {.min_free_bytes = UINT64_MAX, .min_free_percent = 99},
	};
	char dir[128], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_capture_info back;
	int fd;

	(void)state;
	test_dir_make(dir, false);
	assert_int_equal(store_uuid_make(&info.uuid), 0);
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(store_info_write(fd, &info), 0);
	assert_int_equal(store_info_read(fd, "store", "c", &back, errbuf), 0);
	/* What is not UTF-8 cannot be in JSON. */
	strcpy(info.source, "a\"b\\c\x01\xef\xbf\xbd/\xef\xbf\xbd\xef\xbf\xbd.pcap");
	assert_memory_equal(&info.uuid, &back.uuid, sizeof(info.uuid));
	assert_true(back.sequence == info.sequence && back.start_ts == info.start_ts);
	assert_int_equal(back.link_type, 147);
	assert_int_equal(back.snap_len, 262144);
	assert_string_equal(back.host, info.host);
	assert_string_equal(back.source, info.source);
	assert_string_equal(back.name, "c");
	assert_true(
		back.expires && back.retention.min_free_bytes == UINT64_MAX && back.retention.min_free_percent == 99);
	test_patch(dir, ".", "capture.json", 0, "[", 1);
	assert_int_equal(store_info_read(fd, "store", "c", &back, errbuf), -EPROTO);
	assert_non_null(strstr(errbuf, "store/c/capture.json: damaged at byte 1"));
	close(fd);
	test_dir_remove(dir);
}

/* No wrong bit may change what a capture is said to be: a wrong link type would be written into every file pushed. */
static void
test_info_bits(void **state)
{
	struct sl_capture_info info = {.name = "c",
		.sequence = 7,
		.link_type = 1,
		.snap_len = 65535,
		.start_ts = 1700000000123456789u,
		.host = "h",
		.source = "s"};
	char dir[128], text[4096], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_capture_info back;
	char *crc_line;
	ssize_t size;
	int fd, file;

	(void)state;
	test_dir_make(dir, false);
	assert_int_equal(store_uuid_make(&info.uuid), 0);
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(store_info_write(fd, &info), 0);
	file = openat(fd, "capture.json", O_RDONLY);
	size = read(file, text, sizeof(text) - 1);
	assert_true(size > 0);
	close(file);
	for (size_t bit = 0; bit < 8 * (size_t)size; bit++) {
		char byte = (char)(text[bit / 8] ^ 1 << bit % 8);

		test_patch(dir, ".", "capture.json", bit / 8, &byte, 1);
		if (store_info_read(fd, "store", "c", &back, errbuf) == 0)
			assert_memory_equal(&back, &info, sizeof(info));
		test_patch(dir, ".", "capture.json", bit / 8, &text[bit / 8], 1);
	}
	/* Changed on purpose, without the checksum. */
	text[size] = '\0';
	crc_line = strstr(text, ",\n\t\"crc\"");
	assert_non_null(crc_line);
	memset(crc_line, ' ', strlen(crc_line));
	*crc_line = '}';
	*strstr(text, "65535") = '5';
	test_patch(dir, ".", "capture.json", 0, text, (size_t)size);
	assert_int_equal(store_info_read(fd, "store", "c", &back, errbuf), 0);
	assert_int_equal(back.snap_len, 55535);
	close(fd);
	test_dir_remove(dir);
}

static void
test_uuid(void **state)
{
	struct sl_uuid a, b;
	char text[37];

	(void)state;
	assert_int_equal(store_uuid_make(&a), 0);
	sl_uuid_format(&a, text);
	assert_int_equal(strlen(text), 36);
	assert_int_equal(text[14], '4');
	assert_non_null(strchr("89ab", text[19]));
	assert_int_equal(sl_uuid_parse(text, &b), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(sl_uuid_parse("0152e3cc-c26b-43d0-8967-4c20e9bcda9", &b), -EINVAL);
	assert_int_equal(sl_uuid_parse("0152e3cc-c26b-43d0-8967-4c20e9bcda977", &b), -EINVAL);
	assert_int_equal(sl_uuid_parse("0152e3ccc26b43d089674c20e9bcda97", &b), -EINVAL);
	assert_int_equal(sl_uuid_parse("", &b), -EINVAL);
}

static void
test_time(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {
		{"0", 0},
		{"1700000000", 1700000000000000000u},
		{"1700000000.5", 1700000000500000000u},
		{"1700000000.123456789", 1700000000123456789u},
		{"1700000000.1234567890", 1700000000123456789u},
		{"4294967295.999999999", 4294967295999999999u},
		{"2023-11-14T22:13:20Z", 1700000000000000000u},
		{"2023-11-14T22:13:20.25z", 1700000000250000000u},
		{"2023-11-14T23:13:20+01:00", 1700000000000000000u},
		{"2023-11-14T16:43:20-0530", 1700000000000000000u},
		{"2023-11-14T23:13+01", 1699999980000000000u},
		/* Local: Berlin, winter and summer. */
		{"2023-11-14T23:13:20", 1700000000000000000u},
		{"2023-11-14 23:13:20", 1700000000000000000u},
		{"20231114_231320", 1700000000000000000u},
		{"20231114_231320.5", 1700000000500000000u},
		{"20231114_2313", 1699999980000000000u},
		{"2023-07-01", 1688162400000000000u},
		{"2024-02-29T00:00:00Z", 1709164800000000000u},
	};
	static const char *const bad[] = {"", "x", "-1", "17e8", "1700000000.", "1700000000.1234567891", "4294967296",
		"20231114221320", "2023-02-29", "2023-13-01", "2023-11-31", "2023-11-14T24:00:00Z",
		"2023-11-14T22:60:00Z", "2023-11-14T22:13:20X", "2023-11-14T22:13:20+1", "2023-11-14T22:13:20+01:60",
		"20231114_", "20231114_22", "2023-11-14T", "2023-11-14T22:13:20Z ", "1700000000Z"};
	char text[SL_TIME_SIZE];
	uint64_t ns;

	(void)state;
	setenv("TZ", "Europe/Berlin", 1);
	tzset();
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (sl_time_parse(good[i].text, &ns) < 0 || ns != good[i].ns)
			fail_msg("%s: %llu", good[i].text, (unsigned long long)ns);
		sl_time_format(good[i].ns, text);
		if (sl_time_parse(text, &ns) < 0 || ns != good[i].ns)
			fail_msg("%s became %s", good[i].text, text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (sl_time_parse(bad[i], &ns) == 0)
			fail_msg("'%s' was taken", bad[i]);
	assert_int_equal(sl_time_parse("1969-12-31T23:59:59Z", &ns), -ERANGE);
	assert_int_equal(sl_time_parse("2200-01-01", &ns), -ERANGE);
	sl_time_format(1700000000000000005u, text);
	assert_string_equal(text, "2023-11-14T23:13:20.000000005+01:00");
	sl_time_format_utc(1700000000000000005u, text);
	assert_string_equal(text, "2023-11-14T22:13:20.000000005Z");
	unsetenv("TZ");
	tzset();
}

int
info_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_info_round_trip),
		cmocka_unit_test(test_info_bits),
		cmocka_unit_test(test_uuid),
		cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests_name("info", tests, NULL, NULL);
}
