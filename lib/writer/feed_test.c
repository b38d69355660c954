/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "feed_test.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <isa-l/crc.h>
#include <rte_malloc.h>

#include "monotonic.h"

#define RECORDS_OFF 128u

/*
 * Blocks without EAL: its memory is shared with forked processes, and crash_test.c kills these. The program's own
 * definitions come before those of DPDK's libraries, which nothing here initialises.
 */
void *
rte_malloc(const char *type, size_t size, unsigned int align)
{
	(void)type;
	return aligned_alloc(align, (size + align - 1) / align * align);
}

void
rte_free(void *p)
{
	free(p);
}

static struct {
	const struct feed_stream *stream;
	const struct feed_options *options;
	struct sl_writers *writers;
	struct sl_consumer *consumers;
	unsigned int targets;
	struct sl_stream streams[2];
	struct sl_capture_info infos[2];
	uint16_t program[64];
	struct sl_dispatch d;
	bool have;
	uint64_t number;
	size_t cursor; /* next chunk, then 1 for CLOCK, then END */
	int phase;
	uint8_t *buf;
	uint32_t *index;
	struct sl_verdict verdicts[64];
	uint16_t *arena;
} feed;

static struct sl_position
position_of(size_t chunk)
{
	size_t roll = feed.stream->roll_at;

	if (roll && chunk >= roll)
		return (struct sl_position){.sequence = 2, .chunk = chunk - roll};
	return (struct sl_position){.sequence = 1, .chunk = chunk};
}

static size_t
chunk_of(struct sl_position p)
{
	return (size_t)p.chunk + (p.sequence == 2 ? feed.stream->roll_at : 0);
}

/* The number of a packet stands in its first four bytes, the rest follows from it. */
static void
fill_packet(uint8_t *data, uint32_t caplen, uint32_t number)
{
	uint32_t i;

	for (i = 0; i < caplen; i++)
		data[i] = (uint8_t)(number * 31 + i);
	memcpy(data, &number, caplen < 4 ? caplen : 4);
}

static void
make_chunk(size_t n)
{
	const struct feed_stream *s = feed.stream;
	size_t from = s->starts[n], to = n + 1 < s->chunks ? s->starts[n + 1] : s->count, i;
	struct sl_chunk *c = &feed.d.chunk;
	uint32_t off = RECORDS_OFF;
	unsigned int t;
	uint16_t *arena = feed.arena;

	*c = (struct sl_chunk){.base = feed.buf, .index = feed.index, .number = position_of(n).chunk};
	c->records_off = off;
	c->heartbeat = s->heartbeats[n];
	c->min_ts = UINT64_MAX;
	for (i = 0; i < from; i++)
		if (s->packets[i].ts > c->clock)
			c->clock = s->packets[i].ts;
	for (i = from; i < to; i++) {
		const struct feed_packet *p = &s->packets[i];
		struct sl_record r = {(uint32_t)(p->ts / S), (uint32_t)(p->ts % S), p->caplen, p->len};

		feed.index[i - from] = off;
		memcpy(feed.buf + off, &r, sizeof(r));
		fill_packet(feed.buf + off + sizeof(r), p->caplen, (uint32_t)i);
		off += (uint32_t)sizeof(r) + p->caplen;
		if (p->ts < c->min_ts)
			c->min_ts = p->ts;
		if (p->ts > c->max_ts)
			c->max_ts = p->ts;
		c->last_ts = p->ts;
	}
	assert_true(off <= SL_CHUNK_SIZE);
	c->packets = (uint32_t)(to - from);
	c->records_len = off - RECORDS_OFF;
	c->first_ts = to > from ? s->packets[from].ts : 0;
	if (to == from)
		c->min_ts = 0;
	for (t = 0; t < feed.targets; t++) {
		struct sl_verdict *v = &feed.verdicts[t];

		v->packets = arena;
		v->count = 0;
		for (i = from; i < to; i++)
			if (s->packets[i].match & (1u << t))
				arena[v->count++] = (uint16_t)(i - from);
		v->kind = v->count == 0 ? SL_VERDICT_NONE : v->count == c->packets ? SL_VERDICT_ALL : SL_VERDICT_LIST;
		arena += v->count;
	}
	feed.d.type = SL_DISPATCH_CHUNK;
	feed.d.position = position_of(n);
	feed.d.next = feed.d.position;
	feed.d.next.chunk++;
	feed.d.stream = &feed.streams[feed.d.position.sequence - 1];
	feed.d.verdicts.of = feed.verdicts;
}

static size_t
chunks_to_serve(void)
{
	return feed.options->upto ? feed.options->upto : feed.stream->chunks;
}

/* One cursor for all: it goes back to the lowest position of a target that is READY again. */
static bool
next_dispatch(void)
{
	size_t end = chunks_to_serve(), low = feed.cursor;
	unsigned int t;

	for (t = 0; t < feed.targets; t++) {
		struct sl_consumer *c = &feed.consumers[t];

		if (sl_consumer_state(c) == SL_CONSUMER_READY) {
			size_t at = chunk_of(c->next);

			/* attached from here on: the word's two low bits, as the reader does it */
			atomic_fetch_and(&c->word, ~3u);
			if (at < low) {
				low = at;
				feed.phase = 0;
			} else if (at >= end) {
				feed.phase = feed.phase > 1 ? 1 : feed.phase;
			}
		}
	}
	feed.cursor = low;
	if (feed.options->each)
		feed.options->each(feed.writers, feed.number);
	if (feed.cursor < end) {
		size_t roll = feed.stream->roll_at;

		if (roll && feed.cursor == roll && feed.phase == 0) {
			feed.d.type = SL_DISPATCH_ROLL;
			feed.d.position = (struct sl_position){.sequence = 1, .chunk = roll};
			feed.d.next = (struct sl_position){.sequence = 2};
			feed.d.stream = &feed.streams[0];
			feed.phase = -1;
			return true;
		}
		feed.phase = 0;
		if (feed.cursor == feed.stream->gap_at && feed.stream->gap_to) {
			/* as the catch-up cursor meets it: from a place that not all of its targets have */
			feed.d.type = SL_DISPATCH_GAP;
			feed.d.position = position_of(feed.cursor - 1);
			feed.d.next = position_of(feed.stream->gap_to);
			feed.cursor = feed.stream->gap_to;
			return true;
		}
		make_chunk(feed.cursor++);
		return true;
	}
	feed.d.position = feed.d.next = position_of(end);
	/* As the reader does: what follows the last chunk names its capture too. */
	feed.d.stream = &feed.streams[feed.d.position.sequence - 1];
	if (feed.phase <= 0) {
		feed.phase = 1;
		if (feed.stream->clock_after) {
			feed.d.type = SL_DISPATCH_CLOCK;
			feed.d.clock = feed.stream->clock_after;
			return true;
		}
	}
	if (feed.phase == 1) {
		feed.phase = 2;
		feed.d.type = feed.options->stop ? SL_DISPATCH_STOP : SL_DISPATCH_END;
		return true;
	}
	return false;
}

struct sl_dispatch *
sl_pipeline_peek(struct sl_pipeline *pipeline, unsigned int w)
{
	(void)pipeline;
	(void)w;
	if (!feed.have) {
		feed.have = next_dispatch();
		if (feed.have)
			feed.d.number = feed.number++;
	}
	return feed.have ? &feed.d : NULL;
}

void
sl_pipeline_pass(struct sl_pipeline *pipeline, unsigned int w)
{
	(void)pipeline;
	(void)w;
	feed.have = false;
}

bool
sl_pipeline_has_more(const struct sl_pipeline *pipeline, unsigned int w)
{
	(void)pipeline;
	(void)w;
	return true;
}

void
sl_pipeline_wake(struct sl_pipeline *pipeline)
{
	(void)pipeline;
}

int
feed_run(const struct feed_stream *stream, const struct sl_target_config *targets, unsigned int count,
	const struct feed_options *options, struct sl_target_stats *stats)
{
	const struct sl_target_config *list[64];
	struct sl_position first[64];
	struct sl_writers_params params = {
		.writers = 1,
		.sink = options->sink,
		.crc = options->crc,
		.once = options->once,
		.retry_for = options->retry_for,
		.state_dir = options->state_dir,
		.log_dir = options->log_dir,
		.block_memory = 2u << 20,
	};
	char errbuf[SL_WRITER_ERRBUF];
	uint64_t deadline = monotonic_ns() + (options->seconds ? options->seconds : 60) * S;
	struct sl_stage stage;
	unsigned int t;
	size_t low = SIZE_MAX;
	int rc;

	memset(&feed, 0, sizeof(feed));
	feed.stream = stream;
	feed.options = options;
	feed.targets = count;
	feed.consumers = aligned_alloc(64, sizeof(*feed.consumers) * count);
	memset(feed.consumers, 0, sizeof(*feed.consumers) * count);
	feed.buf = aligned_alloc(4096, SL_CHUNK_SIZE);
	feed.index = calloc(65536, sizeof(*feed.index));
	feed.arena = calloc(65536 * (size_t)count, sizeof(*feed.arena));
	params.consumers = feed.consumers;
	for (t = 0; t < 2; t++) {
		feed.infos[t] = (struct sl_capture_info){.sequence = t + 1, .link_type = 1, .snap_len = 262144};
		feed.infos[t].uuid.bytes[0] = (uint8_t)(t + 1);
		feed.streams[t] =
			(struct sl_stream){.info = &feed.infos[t], .program = feed.program, .programs = count};
	}
	if (stream->link_type2)
		feed.infos[1].link_type = stream->link_type2;
	for (t = 0; t < count; t++) {
		list[t] = &targets[t];
		feed.program[t] = (uint16_t)t;
	}
	rc = sl_writers_create_for(&params, list, count, &feed.writers, errbuf);
	if (rc < 0) {
		print_message("create: %s\n", errbuf);
		goto out;
	}
	if (options->ckpt_ns || options->ckpt_bytes)
		sl_writers_set_checkpoints(feed.writers, options->ckpt_ns, options->ckpt_bytes);
	for (t = 0; t < count; t++) {
		struct sl_resume resume;

		first[t] = (struct sl_position){.sequence = 1};
		if (sl_writers_resume(feed.writers, t, &resume)) {
			assert_int_equal(resume.capture.bytes[0], resume.position.sequence);
			first[t] = resume.position;
		}
		if (chunk_of(first[t]) < low)
			low = chunk_of(first[t]);
	}
	feed.cursor = low;
	rc = sl_writers_start(feed.writers, first, errbuf);
	assert_int_equal(rc, 0);
	stage = sl_writers_stage(feed.writers, 0);
	while (!sl_writers_done(feed.writers)) {
		enum sl_poll_result r = stage.poll(stage.ctx);

		if (monotonic_ns() > deadline) {
			rc = -ETIMEDOUT;
			break;
		}
		if (r != SL_POLL_BUSY)
			usleep(20);
	}
	for (t = 0; stats && t < count; t++)
		sl_writers_target_stats(feed.writers, t, &stats[t]);
	sl_writers_destroy(feed.writers);
out:
	free(feed.consumers);
	free(feed.buf);
	free(feed.index);
	free(feed.arena);
	return rc;
}

static uint64_t
next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

void
feed_random(struct feed_stream *s, unsigned int seed, size_t count, size_t per, uint64_t start, uint64_t gap,
	uint32_t max_len)
{
	uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, ts = start;
	size_t i;

	memset(s, 0, sizeof(*s));
	s->packets = calloc(count ? count : 1, sizeof(*s->packets));
	s->count = count;
	for (i = 0; i < count; i++) {
		if (i % per == 0)
			s->starts[s->chunks++] = i;
		ts += next_random(&x) % gap;
		s->packets[i].ts = ts;
		s->packets[i].caplen = 20 + (uint32_t)(next_random(&x) % (max_len - 20));
		s->packets[i].len = s->packets[i].caplen + (uint32_t)(next_random(&x) % 3);
		/* target 0 all, 1 a third, 2 a tenth, 3 none, 4 and up one half each */
		s->packets[i].match = 1u | (next_random(&x) % 3 == 0) << 1 |
				      (uint32_t)(next_random(&x) % 10 == 0) << 2 | ((uint32_t)next_random(&x) & ~0xfu);
	}
}

void
feed_free(struct feed_stream *s)
{
	free(s->packets);
	s->packets = NULL;
}

struct sl_target_config
feed_target(const char *desc, const char *path)
{
	return (struct sl_target_config){
		.desc = desc,
		.file_desc = desc,
		.path = path,
		.separator = "_",
		.name_mode = SL_NAME_EPOCH_SEC_STARTEND,
		.name_format = "",
		.filter = "",
		.file_suffix = ".pcap",
		.follow_start = true,
		.time_zone = "UTC",
		.owner_uid = UINT32_MAX,
		.owner_gid = UINT32_MAX,
		.mount = "",
	};
}

void
feed_make_dir(char *dir)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, 256, "%s/sluice-writer-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
}

void
feed_remove_dir(const char *dir)
{
	char command[512];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	assert_int_equal(system(command), 0);
}

static void
list_into(FILE *out, const char *dir, const char *below)
{
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort), i;

	for (i = 0; i < n; i++) {
		char path[1024], name[512];
		struct stat st;

		if (names[i]->d_name[0] != '.') {
			snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
			snprintf(name, sizeof(name), "%s%s", below, names[i]->d_name);
			assert_int_equal(lstat(path, &st), 0);
			if (S_ISDIR(st.st_mode)) {
				strcat(name, "/");
				list_into(out, path, name);
			} else {
				FILE *f = fopen(path, "rb");
				uint8_t *buf = malloc((size_t)st.st_size + 1);

				assert_non_null(f);
				assert_int_equal(fread(buf, 1, (size_t)st.st_size, f), st.st_size);
				fclose(f);
				fprintf(out, "%s %lld %08x\n", name, (long long)st.st_size,
					crc32_gzip_refl(0, buf, (uint64_t)st.st_size));
				free(buf);
			}
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

char *
feed_listing(const char *dir)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	list_into(out, dir, "");
	fclose(out);
	return text;
}

size_t
feed_read(const char *path, uint32_t *numbers, size_t max)
{
	FILE *f = fopen(path, "rb");
	struct sl_record r;
	uint8_t head[24];
	size_t n = 0;

	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(fread(head, 1, 24, f), 24);
	assert_memory_equal(head, "\x4d\x3c\xb2\xa1\x02\x00\x04\x00", 8);
	while (fread(&r, 1, sizeof(r), f) == sizeof(r)) {
		uint8_t data[65536], want[65536];
		uint32_t number = 0;

		assert_true(r.caplen <= sizeof(data));
		assert_int_equal(fread(data, 1, r.caplen, f), r.caplen);
		memcpy(&number, data, r.caplen < 4 ? r.caplen : 4);
		fill_packet(want, r.caplen, number);
		assert_memory_equal(data, want, r.caplen);
		assert_true(n < max);
		numbers[n++] = number;
	}
	assert_true(feof(f));
	fclose(f);
	return n;
}

void
feed_path_of(int fd, char *path)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, SL_PATH_MAX - 1);
	path[n > 0 ? n : 0] = '\0';
}
