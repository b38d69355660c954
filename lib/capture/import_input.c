/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <inttypes.h>

#include "import.h"

static bool
is_wanted(const struct import *im, uint32_t interface)
{
	return im->params->interface < 0 || interface == (uint32_t)im->params->interface;
}

int
import_packet(struct import *im, const struct rd_packet *packet, uint32_t snap_len)
{
	struct sl_import_result *result = im->result;
	char errbuf[SL_STORE_ERRBUF] = "";
	int ret;

	if (!is_wanted(im, packet->interface))
		return 0;
	if (packet->dropped)
		sl_store_writer_drop(im->writer, packet->dropped);
	if (packet->bad_time) {
		sl_store_writer_drop(im->writer, 1);
		im->bad_times++;
		return 0;
	}
	ret = sl_store_writer_append(im->writer, packet->ts, packet->caplen, packet->len, (uint8_t)packet->interface,
		packet->flags, packet->data, errbuf);
	if (__builtin_expect(ret != 0, 0)) {
		if (ret == -EAGAIN)
			return ret;
		if (ret == -EMSGSIZE) {
			im->too_large++;
			return 0;
		}
		if (ret == -ERANGE) {
			im->bad_times++;
			return 0;
		}
		return import_store_failed(im, ret, errbuf);
	}
	if (packet->caplen > snap_len)
		im->over_snap++;
	if (result->packets == 0 || packet->ts < result->first_ts)
		result->first_ts = packet->ts;
	if (packet->ts > result->last_ts)
		result->last_ts = packet->ts;
	result->packets++;
	result->bytes += packet->caplen;
	im->file_packets++;
	im->newest = packet->ts;
	im->fresh = true;
	return 0;
}

static void
say_damage(struct import *im, const struct input *input)
{
	im->result->damaged++;
	import_fail(im, -EBADMSG, "%s: damaged at byte %" PRIu64 ": %s; whole packets before it, all kept: %" PRIu64,
		input->source.label, input->reader.error_offset, input->reader.error, im->file_packets);
}

/* The survey could not see this one: it came with a stream, or the file has changed since. */
static bool
fits(struct import *im, const struct input *input)
{
	const struct rd_interface *interface = reader_last_interface(&input->reader);
	char who[80], mine[96], theirs[96];

	if (!is_wanted(im, reader_last_number(&input->reader)))
		return true;
	if (interface->link_type == im->survey.link_type)
		return true;
	import_fail(im, -EPROTOTYPE,
		"%s%s, described at byte %" PRIu64
		", has link type %s, but the capture has %s; stopped there, packets before it, all kept: %" PRIu64
		"; take one interface with --interface N",
		input->source.label, interface_text(&input->reader, who), input->reader.interface_offset,
		link_type_text(interface->link_type, mine), link_type_text(im->survey.link_type, theirs),
		im->file_packets);
	return false;
}

int
import_input(struct import *im, struct input *input)
{
	struct source *source = &input->source;
	struct reader *reader = &input->reader;
	uint32_t snap_len = im->survey.snap_len;
	struct rd_packet packet;
	enum rd_event event;
	size_t used;
	int ret;

	if (input->pending) {
		input->pending = false;
		ret = import_packet(im, &input->packet, snap_len);
		if (ret < 0)
			return ret;
	}
	for (;;) {
		event = reader_next(reader, source->buf + source->pos, source_avail(source), &used, &packet);
		source->pos += used;
		if (__builtin_expect(event == RD_PACKET, 1)) {
			ret = import_packet(im, &packet, snap_len);
			if (ret < 0)
				return ret;
			continue;
		}
		if (event == RD_MORE) {
			switch (import_refill(im, input)) {
			case REFILL_DATA:
				continue;
			case REFILL_STOP:
				if (input->stream)
					return -ECANCELED; /* the normal end of a pipe; half a record is no damage */
				import_fail(im, -EINTR,
					"%s: stopped at byte %" PRIu64 "; the packets before it are kept",
					source->label, reader->offset);
				return -EINTR;
			case REFILL_FAILED:
				return im->store_errno;
			default:
				event = reader_end(reader, source_avail(source));
				if (event == RD_MORE)
					return 0;
			}
		}
		if (event == RD_TOO_LARGE) {
			if (!is_wanted(im, reader->large_interface))
				continue;
			sl_store_writer_drop(im->writer, 1);
			im->too_large++;
		} else if (event == RD_DAMAGE) {
			say_damage(im, input);
			return 0;
		} else if (event == RD_INTERFACE && !fits(im, input)) {
			return 0;
		} else if (reader->skip && !input->stream) {
			reader_skipped(reader, source_skip(source, reader->skip));
		}
	}
}
