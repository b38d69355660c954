/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "capture_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sl_store.h"

void
blob_free(struct blob *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}

void
blob_bytes(struct blob *b, const void *data, size_t len)
{
	if (b->len + len > b->room) {
		b->room = (b->len + len) * 2;
		b->data = realloc(b->data, b->room);
		assert_non_null(b->data);
	}
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
}

void
blob_u16(struct blob *b, uint16_t v)
{
	v = b->swap ? __builtin_bswap16(v) : v;
	blob_bytes(b, &v, sizeof(v));
}

void
blob_u32(struct blob *b, uint32_t v)
{
	v = b->swap ? __builtin_bswap32(v) : v;
	blob_bytes(b, &v, sizeof(v));
}

void
blob_u64(struct blob *b, uint64_t v)
{
	v = b->swap ? __builtin_bswap64(v) : v;
	blob_bytes(b, &v, sizeof(v));
}

void
blob_mark(struct blob *b)
{
	assert_true(b->marks < sizeof(b->mark) / sizeof(b->mark[0]));
	b->mark[b->marks++] = b->len;
}

static void
pattern(struct blob *b, uint32_t len, uint8_t seed)
{
	for (uint32_t i = 0; i < len; i++) {
		uint8_t v = (uint8_t)(seed + i * 7);

		blob_bytes(b, &v, 1);
	}
}

void
pcap_begin(struct blob *b, uint32_t magic, uint32_t snap_len, uint32_t link_type)
{
	blob_u32(b, magic);
	blob_u16(b, 2);
	blob_u16(b, 4);
	blob_u32(b, 0);
	blob_u32(b, 0);
	blob_u32(b, snap_len);
	blob_u32(b, link_type);
	blob_mark(b);
}

void
pcap_packet(struct blob *b, uint32_t magic, uint64_t ts, uint32_t caplen, uint32_t len, uint8_t seed)
{
	blob_u32(b, (uint32_t)(ts / 1000000000u));
	blob_u32(b, (uint32_t)(ts % 1000000000u / (magic == NSEC ? 1 : 1000)));
	blob_u32(b, caplen);
	blob_u32(b, len);
	if (magic == PATCHED)
		blob_u64(b, 0x1122334455667788u);
	pattern(b, caplen, seed);
	blob_mark(b);
}

void
pcapng_block(struct blob *b, uint32_t type, const struct blob *body)
{
	uint32_t total = (uint32_t)((body->len + 3) & ~(size_t)3) + 12;

	blob_u32(b, type);
	blob_u32(b, total);
	blob_bytes(b, body->data, body->len);
	blob_bytes(b, "\0\0\0", (4 - body->len % 4) % 4);
	blob_u32(b, total);
	blob_mark(b);
}

void
pcapng_section(struct blob *b)
{
	struct blob body = {.swap = b->swap};

	blob_u32(&body, 0x1a2b3c4d);
	blob_u16(&body, 1);
	blob_u16(&body, 0);
	blob_u64(&body, UINT64_MAX);
	pcapng_block(b, 0x0a0d0d0a, &body);
	blob_free(&body);
}

void
pcapng_interface(struct blob *b, uint16_t link_type, uint32_t snap_len, int resolution, int64_t offset)
{
	struct blob body = {.swap = b->swap};
	uint8_t value[4] = {(uint8_t)resolution};

	blob_u16(&body, link_type);
	blob_u16(&body, 0);
	blob_u32(&body, snap_len);
	blob_u16(&body, 2);
	blob_u16(&body, 5);
	blob_bytes(&body, "eth\tx\0\0\0", 8);
	if (resolution >= 0) {
		blob_u16(&body, 9);
		blob_u16(&body, 1);
		blob_bytes(&body, value, 4);
	}
	if (offset) {
		blob_u16(&body, 14);
		blob_u16(&body, 8);
		blob_u64(&body, (uint64_t)offset);
	}
	blob_u32(&body, 0);
	pcapng_block(b, 1, &body);
	blob_free(&body);
}

void
pcapng_enhanced(struct blob *b, uint32_t interface, uint64_t units, uint32_t caplen, uint32_t len, uint8_t seed)
{
	struct blob body = {.swap = b->swap};

	blob_u32(&body, interface);
	blob_u32(&body, (uint32_t)(units >> 32));
	blob_u32(&body, (uint32_t)units);
	blob_u32(&body, caplen);
	blob_u32(&body, len);
	pattern(&body, caplen, seed);
	pcapng_block(b, 6, &body);
	blob_free(&body);
}

void
pcapng_simple(struct blob *b, uint32_t caplen, uint32_t len, uint8_t seed)
{
	struct blob body = {.swap = b->swap};

	blob_u32(&body, len);
	pattern(&body, caplen, seed);
	pcapng_block(b, 3, &body);
	blob_free(&body);
}

void
pcapng_obsolete(
	struct blob *b, uint16_t interface, uint16_t drops, uint64_t units, uint32_t caplen, uint32_t len, uint8_t seed)
{
	struct blob body = {.swap = b->swap};

	blob_u16(&body, interface);
	blob_u16(&body, drops);
	blob_u32(&body, (uint32_t)(units >> 32));
	blob_u32(&body, (uint32_t)units);
	blob_u32(&body, caplen);
	blob_u32(&body, len);
	pattern(&body, caplen, seed);
	pcapng_block(b, 2, &body);
	blob_free(&body);
}

static char test_dir[] = "/tmp/sl-capture-test-XXXXXX";

const char *
test_file(int n, const void *data, size_t len)
{
	static char paths[8][64];
	FILE *f;

	snprintf(paths[n], sizeof(paths[n]), "%s/%d.cap", test_dir, n);
	f = fopen(paths[n], "w");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	return paths[n];
}

/* ---- the store that remembers */

struct fake_store fake;

struct sl_store_writer {
	struct sl_capture_info info;
};
static struct sl_store_writer the_writer = {.info.name = "fake"};

void
fake_reset(void)
{
	memset(&fake, 0, sizeof(fake));
}

int
sl_store_writer_create(const struct sl_store_writer_params *params, struct sl_store_writer **writer, char *errbuf)
{
	if (fake.create_result) {
		snprintf(errbuf, SL_STORE_ERRBUF, "create failed");
		return fake.create_result;
	}
	fake.created++;
	fake.link_type = params->link_type;
	fake.snap_len = params->snap_len;
	fake.flush_interval = params->flush_interval;
	*writer = &the_writer;
	return 0;
}

int
sl_store_writer_append(struct sl_store_writer *writer, uint64_t ts, uint32_t caplen, uint32_t len, uint8_t port,
	uint8_t flags, const void *data, char *errbuf)
{
	(void)writer;
	if (fake.fail_at && fake.count + 1 == fake.fail_at) {
		snprintf(errbuf, SL_STORE_ERRBUF, "append failed");
		return fake.fail_with;
	}
	assert_true(fake.count < sizeof(fake.packets) / sizeof(fake.packets[0]));
	fake.packets[fake.count++] =
		(struct fake_packet){ts, caplen, len, port, flags, caplen ? *(const uint8_t *)data : 0};
	return 0;
}

void
sl_store_writer_drop(struct sl_store_writer *writer, uint64_t packets)
{
	(void)writer;
	fake.dropped += packets;
}

int
sl_store_writer_idle(struct sl_store_writer *writer, uint64_t clock, char *errbuf)
{
	(void)writer;
	(void)errbuf;
	fake.idles++;
	if (clock && fake.clock_count < sizeof(fake.clocks) / sizeof(fake.clocks[0]))
		fake.clocks[fake.clock_count++] = clock;
	return 0;
}

int
sl_store_writer_close(struct sl_store_writer *writer, char *errbuf)
{
	(void)writer;
	(void)errbuf;
	fake.closed++;
	return 0;
}

const struct sl_capture_info *
sl_store_writer_info(const struct sl_store_writer *writer)
{
	return &writer->info;
}

int
main(void)
{
	int failed;

	if (!mkdtemp(test_dir)) {
		perror(test_dir);
		return 1;
	}
	failed = reader_tests() + reader_damage_tests() + reader_libpcap_tests() + import_tests() + clock_tests() +
		 merge_tests() + follow_order_tests() + follow_state_tests();
	for (int i = 0; i < 8; i++) {
		char path[64];

		snprintf(path, sizeof(path), "%s/%d.cap", test_dir, i);
		(void)unlink(path);
	}
	(void)rmdir(test_dir);
	return failed ? 1 : 0;
}
