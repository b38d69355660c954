/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "follow.h"

#define READ_ROOM (1u << 20)
/* Then others have their turn, a stop is seen, and files that came meanwhile are opened before a ring removes them. */
#define TURN_BYTES (16u << 20)

/* ---------------------------------------------------------------- the file being read */

static void
say_damage(struct follow *f, struct follow_source *s, struct followed *file, const char *then)
{
	char label[PATH_MAX + NAME_MAX + 2];

	f->im.result->damaged++;
	import_fail(&f->im, -EBADMSG,
		"%s: damaged at byte %" PRIu64 ": %s; whole packets before it, all kept: %" PRIu64 "%s",
		follow_label(s, file, label), s->reader.error_offset, s->reader.error, file->packets, then);
}

/* The file is left for another one: what it has begun it should have ended. */
static void
leave(struct follow *f, struct follow_source *s)
{
	struct followed *file = s->tail;
	enum rd_event event = RD_MORE;

	if (file == NULL)
		return;
	if (!file->damaged && !file->told) {
		event = reader_end(&s->reader, s->end - s->pos);
		/* A header alone, or nothing at all, is what a capture without packets leaves. */
		if (event == RD_DAMAGE && file->size) {
			file->told = true;
			say_damage(f, s, file, "");
		} else if (event == RD_TOO_LARGE) {
			f->im.result->too_large++;
			import_fail(&f->im, -EMSGSIZE, "%s/%s: a packet too large for a chunk, skipped", s->dir,
				file->name);
		}
	}
	if (file->print.len)
		follow_state_left(&f->state, s->dir, file->name, file->ino, &file->print, file->looked);
	if (f->run_file == file)
		f->run_file = NULL;
	close(file->fd);
	file->fd = -1;
	s->tail = NULL;
	if (!file->gone)
		return;
	for (size_t i = 0; i < s->count; i++) {
		if (s->files[i] != file)
			continue;
		memmove(&s->files[i], &s->files[i + 1], (s->count - i - 1) * sizeof(struct followed *));
		s->count--;
		break;
	}
	free(file);
}

/* @return 0; -EAGAIN: not now; -ENOMEM */
static int
take_up(struct follow *f, struct follow_source *s, struct followed *file)
{
	struct stat st;
	int fd;

	if (file->fd < 0) {
		fd = follow_open(s, file->name, &st);
		if (fd < 0 || st.st_ino != file->ino) {
			if (fd >= 0)
				close(fd);
			s->rescan = true;
			return -EAGAIN;
		}
		file->fd = fd;
	} else {
		f->held--;
	}
	if (s->buf == NULL) {
		s->buf = malloc(READ_ROOM);
		if (s->buf == NULL) {
			close(file->fd);
			file->fd = -1;
			return -ENOMEM;
		}
		s->buf_room = READ_ROOM;
	}
	reader_free(&s->reader);
	/* What is in the store already is passed over without being looked at. */
	reader_init(&s->reader, file->consumed > 0);
	s->pos = s->end = 0;
	s->fits = 0;
	s->has_link_type = false;
	s->tail = file;
	return 0;
}

/*
 * Before another file is begun, a last look at this one: its writer closed it before it made the other, and on a
 * network file system only opening a file shows its true size.
 */
static bool
has_grown(struct follow_source *s)
{
	struct followed *file = s->tail;
	struct stat st;
	int fd;

	if (file->gone || file->damaged)
		return false;
	fd = follow_open(s, file->name, &st);
	if (fd < 0)
		return false;
	close(fd);
	if (st.st_ino != file->ino)
		return false;
	file->size = (uint64_t)st.st_size;
	file->mtime = st.st_mtim;
	return file->size > file->looked;
}

enum refill { REFILL_MORE, REFILL_NONE, REFILL_OTHER, REFILL_ERROR };

/* At its end, or is it another file by now? */
static enum refill
at_end(struct follow_source *s)
{
	struct followed *file = s->tail;
	struct stat st;

	file->looked = s->reader.offset + (s->end - s->pos);
	file->between = s->end == s->pos && !s->reader.skip && !s->reader.block_len && !s->reader.chunk_left;
	if (fstat(file->fd, &st) == 0) {
		file->size = (uint64_t)st.st_size;
		file->mtime = st.st_mtim;
		if (file->size < file->looked)
			return REFILL_OTHER;
	}
	return REFILL_NONE;
}

static enum refill
refill(struct follow *f, struct follow_source *s)
{
	struct followed *file = s->tail;
	char label[PATH_MAX + NAME_MAX + 2];
	ssize_t n;

	n = follow_make_room(&s->buf, &s->buf_room, &s->pos, &s->end, s->reader.need);
	if (n == 0)
		n = follow_read_at(file->fd, s->buf + s->end, s->buf_room - s->end, s->reader.offset + s->end);
	if (n < 0) {
		if (!file->told)
			import_fail(&f->im, (int)n, "%s: read at byte %" PRIu64 ": %s; it is tried again",
				follow_label(s, file, label), s->reader.offset, strerror((int)-n));
		file->told = true;
		return REFILL_ERROR;
	}
	/* After the read: what was read is what was meant only if the file had not been written over by then. */
	if (file->print.len && !follow_same(file->fd, &file->print))
		return REFILL_OTHER;
	if (n == 0)
		return at_end(s);
	s->end += (size_t)n;
	return REFILL_MORE;
}

/* ---------------------------------------------------------------- packets */

/* Interfaces described since the last look. @return whether packets of this one can be taken */
static bool
look_at_interfaces(struct follow *f, struct follow_source *s)
{
	const struct reader *reader = &s->reader;
	char label[PATH_MAX + NAME_MAX + 2], who[80], mine[96], theirs[96];
	const struct rd_interface *interface = reader_last_interface(reader);
	uint32_t number = reader_last_number(reader);
	uint32_t snap_len = interface->snap_len ? interface->snap_len : SURVEY_SNAP_LEN;

	if (reader->format != RD_FMADIO && f->im.params->interface >= 0 && number != (uint32_t)f->im.params->interface)
		return true;
	if (!s->has_link_type) {
		s->has_link_type = true;
		s->link_type = interface->link_type;
		s->snap_len = snap_len;
		return true;
	}
	if (snap_len > s->snap_len)
		s->snap_len = snap_len;
	if (interface->link_type == s->link_type)
		return true;
	import_fail(&f->im, -EPROTOTYPE,
		"%s%s has link type %s, but the file began with %s; a capture has one link type, so the packets of "
		"this "
		"interface are left out; take one interface with --interface N",
		follow_label(s, s->tail, label), interface_text(reader, who),
		link_type_text(interface->link_type, mine), link_type_text(s->link_type, theirs));
	return false;
}

static bool
is_taken(const struct follow *f, const struct follow_source *s, const struct rd_packet *packet)
{
	const struct reader *reader = &s->reader;
	uint32_t index = reader->format == RD_PCAPNG ? packet->interface - reader->interface_base : 0;

	if (f->im.params->interface >= 0 && packet->interface != (uint32_t)f->im.params->interface)
		return false;
	return reader->interfaces[index].link_type == s->link_type;
}

/*
 * The next packet is of this file, which begins at `offset`: note that before the store has it.
 *
 * @return 0; -EPROTOTYPE: the file is none for this capture; -ECANCELED: stopped; another -errno: failed
 */
static int
begin_run(struct follow *f, struct follow_source *s, uint64_t offset)
{
	char errbuf[SL_CAPTURE_ERRBUF];
	struct followed *file = s->tail;
	uint32_t snap_len = s->snap_len;
	char mine[96], theirs[96];
	int ret;

	/* Sources that take turns must not make captures by turns. */
	if (f->source_count > 1) {
		if (snap_len < SURVEY_SNAP_LEN)
			snap_len = SURVEY_SNAP_LEN;
		if (f->im.writer && s->link_type != f->link_type) {
			import_fail(&f->im, -EPROTOTYPE,
				"%s/%s has link type %s, but the capture has %s, and a capture of several sources has "
				"one; "
				"the file is left out; import that source into a store of its own",
				s->dir, file->name, link_type_text(s->link_type, mine),
				link_type_text(f->link_type, theirs));
			return -EPROTOTYPE;
		}
	}
	ret = follow_capture(f, s->link_type, snap_len);
	if (ret < 0)
		return ret;
	while ((ret = follow_state_run(&f->state, f->position, s->dir, file->name, file->ino, &file->print, offset,
			errbuf)) == -ENOSPC) {
		ret = follow_wait_room(f);
		if (ret < 0)
			return ret;
	}
	if (ret < 0) {
		import_fail(&f->im, ret, "%s", errbuf);
		return ret;
	}
	f->run_file = file;
	f->run_begin = f->position;
	f->run_offset = offset;
	return 0;
}

/* By the packets' own time, so a capture has the same packets whenever it is made. */
static bool
is_roll_due(struct follow *f, const struct rd_packet *packet)
{
	const struct sl_import_params *params = f->im.params;

	if (params->roll_bytes && f->capture_bytes >= params->roll_bytes)
		return true;
	if (params->roll_next == NULL || packet->bad_time)
		return false;
	if (f->roll_at == 0)
		f->roll_at = params->roll_next(params->roll_ctx, packet->ts);
	return packet->ts >= f->roll_at;
}

/* @return 0; -EPROTOTYPE: the file is left out; -ECANCELED: stopped; another -errno: failed */
static int
take(struct follow *f, struct follow_source *s, const struct rd_packet *packet, uint64_t offset)
{
	struct followed *file = s->tail;
	uint64_t packets = f->im.result->packets, mark;
	struct rd_packet again = *packet;
	int ret;

	if (s->reader.offset <= file->consumed)
		return 0;
	if (!is_taken(f, s, packet)) {
		file->consumed = s->reader.offset;
		return 0;
	}
	if (f->im.writer && is_roll_due(f, packet)) {
		ret = follow_end_capture(f);
		if (ret < 0)
			return ret;
	}
	if (f->run_file != file) {
		ret = begin_run(f, s, offset);
		if (ret < 0)
			return ret;
	}
	mark = f->run_begin + (s->reader.offset - f->run_offset);
	sl_store_writer_mark(f->im.writer, mark);
	while ((ret = import_packet(&f->im, &again, f->snap_len)) == -EAGAIN) {
		again.dropped = 0; /* those are counted */
		ret = follow_wait_store(f);
		if (ret < 0)
			return ret;
	}
	if (ret < 0)
		return ret;
	f->position = mark;
	file->consumed = s->reader.offset;
	if (f->im.result->packets == packets)
		return 0;
	file->packets++;
	file->newest_ts = packet->ts;
	f->capture_bytes += sizeof(struct sl_record) + packet->caplen;
	return 0;
}

/* Where the part ends that the store has already. */
static void
pass_consumed(struct follow_source *s)
{
	struct reader *reader = &s->reader;

	if (!reader->scan || reader->skip || reader->block_len)
		return;
	if (reader->format == RD_PCAP && reader->header_len) {
		if (s->tail->consumed > reader->offset)
			reader->skip = s->tail->consumed - reader->offset;
		reader->scan = false;
	} else if (reader->offset >= s->tail->consumed) {
		reader->scan = false;
	}
}

/* As far as the file goes; beyond that it must be waited for. */
static void
skip(struct follow_source *s)
{
	struct reader *reader = &s->reader;
	uint64_t rest;

	if (!reader->skip || s->pos != s->end)
		return;
	rest = s->tail->size > reader->offset ? s->tail->size - reader->offset : 0;
	reader_skipped(reader, reader->skip < rest ? reader->skip : rest);
}

/* Read on in the tail. */
static enum follow_turn
read_tail(struct follow *f, struct follow_source *s)
{
	struct followed *file = s->tail;
	struct reader *reader = &s->reader;
	char label[PATH_MAX + NAME_MAX + 2];
	const uint64_t start = reader->offset;
	enum follow_turn turn = TURN_IDLE;
	struct rd_packet packet;
	size_t used;
	int ret;

	while (reader->offset - start < TURN_BYTES) {
		uint64_t offset;
		enum rd_event event;

		pass_consumed(s);
		offset = reader->offset;
		event = reader_next(reader, s->buf + s->pos, s->end - s->pos, &used, &packet);
		s->pos += used;
		switch (event) {
		case RD_PACKET:
			turn = TURN_BUSY;
			ret = take(f, s, &packet, offset);
			if (ret == -EPROTOTYPE) {
				file->damaged = true;
				file->looked = file->size;
				return TURN_BUSY;
			}
			if (ret < 0)
				return ret == -ECANCELED ? TURN_STOPPED : TURN_FAILED;
			break;
		case RD_MORE:
			switch (refill(f, s)) {
			case REFILL_MORE:
				turn = TURN_BUSY;
				break;
			case REFILL_OTHER:
				import_warn(&f->im,
					"%s: was written over; %" PRIu64 " of its bytes had been read, and what came "
					"behind them is lost if there was any; "
					"goes on at its beginning",
					follow_label(s, file, label), file->looked);
				follow_renew(f, s, file);
				s->rescan = true;
				return TURN_BUSY;
			default:
				return turn;
			}
			break;
		case RD_TOO_LARGE:
			if (f->im.params->interface >= 0 &&
				reader->large_interface != (uint32_t)f->im.params->interface)
				break;
			if (f->im.writer)
				sl_store_writer_drop(f->im.writer, 1);
			f->im.result->too_large++;
			import_fail(&f->im, -EMSGSIZE,
				"%s: a packet at byte %" PRIu64 " is too large for a chunk, skipped",
				follow_label(s, file, label), reader->large_offset);
			break;
		case RD_DAMAGE:
			file->damaged = true;
			file->looked = file->size;
			say_damage(f, s, file, reader->offset || file->packets ? "; the rest of it is left out" : "");
			return TURN_BUSY;
		case RD_INTERFACE:
			look_at_interfaces(f, s);
			break;
		default:
			skip(s);
		}
	}
	return TURN_BUSY;
}

enum follow_turn
follow_turn(struct follow *f, struct follow_source *s)
{
	struct followed *next = NULL;
	struct stat st;
	int ret;

	if (s->tail && !s->tail->damaged && fstat(s->tail->fd, &st) == 0) {
		s->tail->size = (uint64_t)st.st_size;
		s->tail->mtime = st.st_mtim;
	}
	for (size_t i = 0; i < s->count && next == NULL; i++)
		if (follow_unread(s->files[i]))
			next = s->files[i];
	if (next == NULL)
		return TURN_IDLE;
	if (next != s->tail) {
		if (s->tail && has_grown(s))
			next = s->tail;
		else
			leave(f, s);
	}
	if (next != s->tail) {
		ret = take_up(f, s, next);
		if (ret == -ENOMEM) {
			import_fail(&f->im, ret, "%s/%s: no memory to read it", s->dir, next->name);
			return TURN_FAILED;
		}
		if (ret < 0)
			return TURN_IDLE;
	}
	return read_tail(f, s);
}
