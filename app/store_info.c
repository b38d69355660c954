/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * `sluice store ls` and `sluice store info`.
 */

#include <inttypes.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "store_actions.h"

/* LINKTYPE_ values are not all DLT_ values; libpcap maps them when it opens a file. */
static void
link_name(uint32_t link_type, char *text, size_t size)
{
	struct store_pcap_header header = {STORE_PCAP_MAGIC, 2, 4, 0, 0, STORE_SNAP_LEN, link_type};
	char errbuf[PCAP_ERRBUF_SIZE];
	const char *name = NULL;
	pcap_t *pcap = NULL;
	FILE *file;

	file = fmemopen(&header, sizeof(header), "r");
	if (file)
		pcap = pcap_fopen_offline(file, errbuf);
	if (pcap)
		name = pcap_datalink_val_to_name(pcap_datalink(pcap));
	if (name)
		snprintf(text, size, "%s", name);
	else
		snprintf(text, size, "%" PRIu32, link_type);
	if (pcap)
		pcap_close(pcap);
	else if (file)
		fclose(file);
}

static void
list_one(const char *store, const struct sl_capture_info *info, bool active, int *status)
{
	char errbuf[SL_STORE_ERRBUF], link[32], first[SL_TIME_SIZE] = "-", last[SL_TIME_SIZE] = "-";
	struct sl_capture_totals totals;
	struct sl_capture *capture;
	int ret;

	ret = sl_capture_open(store, info->name, &capture, errbuf);
	if (ret < 0) {
		fprintf(stderr, "sluice store: %s\n", errbuf);
		*status = SL_EXIT_FAILED;
		return;
	}
	ret = sl_capture_sum(capture, &totals);
	if (ret < 0) {
		fprintf(stderr, "sluice store: %s/%s: %s\n", store, info->name, strerror(-ret));
		*status = SL_EXIT_FAILED;
	} else {
		if (totals.packets > 0) {
			sl_time_format(totals.min_ts, first);
			sl_time_format(totals.max_ts, last);
		}
		link_name(info->link_type, link, sizeof(link));
		printf("%c %-32s %-7s %-12s %8" PRIu64 " %12" PRIu64 " %15" PRIu64 " %-35s %s\n", active ? '*' : ' ',
			info->name, store_state_name(sl_capture_state(capture)), link,
			sl_capture_committed(capture) - sl_capture_first(capture), totals.packets,
			totals.record_bytes - 16 * totals.packets, first, last);
	}
	sl_capture_close(capture);
}

int
store_ls(const struct store_options *o)
{
	char errbuf[SL_STORE_ERRBUF], active[SL_CAPTURE_NAME_MAX] = "";
	struct sl_capture_info *infos;
	int status = SL_EXIT_OK;
	size_t count;

	if (sl_store_list(o->store, &infos, &count, errbuf) < 0)
		return store_refuse(errbuf);
	if (errbuf[0]) {
		fprintf(stderr, "sluice store: %s\n", errbuf);
		status = SL_EXIT_FAILED;
	}
	sl_store_active(o->store, active, NULL);
	printf("  %-32s %-7s %-12s %8s %12s %15s %-35s %s\n", "NAME", "STATE", "LINK", "CHUNKS", "PACKETS", "BYTES",
		"FIRST", "LAST");
	for (size_t i = 0; i < count; i++)
		list_one(o->store, &infos[i], strcmp(infos[i].name, active) == 0, &status);
	free(infos);
	return status;
}

static void
print_totals(const struct sl_capture_totals *t)
{
	char text[SL_TIME_SIZE];

	printf("packets:      %" PRIu64 "\n", t->packets);
	printf("bytes:        %" PRIu64 " captured, %" PRIu64 " on the wire\n", t->record_bytes - 16 * t->packets,
		t->wire_bytes);
	printf("dropped:      %" PRIu64 "\n", t->dropped);
	if (t->dropped > 0)
		printf("  because:    %" PRIu64 " lost before they came here (port or file), %" PRIu64
		       " no buffer, %" PRIu64 " store too slow or full\n",
			t->dropped_by[SL_DROP_NIC], t->dropped_by[SL_DROP_NO_BUFFER], t->dropped_by[SL_DROP_STORE]);
	if (t->packets > 0) {
		sl_time_format(t->min_ts, text);
		printf("earliest:     %s\n", text);
		sl_time_format(t->max_ts, text);
		printf("latest:       %s\n", text);
	}
	if (t->bad_headers > 0)
		printf("unreadable:   %" PRIu64 " chunks; `sluice store verify` names them\n", t->bad_headers);
}

int
store_info(const struct store_options *o)
{
	char errbuf[SL_STORE_ERRBUF], uuid[37], link[32], start[SL_TIME_SIZE], active[SL_CAPTURE_NAME_MAX] = "";
	const struct sl_capture_info *info;
	struct sl_capture_totals totals;
	struct sl_capture *capture;
	uint64_t disk;
	int ret;

	if (sl_capture_open(o->store, o->capture, &capture, errbuf) < 0)
		return store_refuse(errbuf);
	info = sl_capture_info(capture);
	sl_store_active(o->store, active, NULL);
	sl_uuid_format(&info->uuid, uuid);
	link_name(info->link_type, link, sizeof(link));
	sl_time_format(info->start_ts, start);
	printf("name:         %s%s\n", info->name, strcmp(active, info->name) == 0 ? " (active)" : "");
	printf("state:        %s\n", store_state_name(sl_capture_state(capture)));
	printf("uuid:         %s\n", uuid);
	printf("sequence:     %" PRIu64 "\n", info->sequence);
	printf("link type:    %" PRIu32 " (%s)\n", info->link_type, link);
	printf("snap length:  %" PRIu32 "\n", info->snap_len);
	printf("made:         %s on %s\n", start, info->host[0] ? info->host : "an unnamed host");
	printf("source:       %s\n", info->source);
	if (info->expires)
		printf("expires:      when the space is needed (a live capture that keeps %u %% and %" PRIu64
		       " bytes free)\n",
			info->retention.min_free_percent, info->retention.min_free_bytes);
	else
		printf("expires:      never (deleted by hand only)\n");
	printf("chunks:       %" PRIu64 " (%" PRIu64 " to %" PRIu64 ", exclusive)\n",
		sl_capture_committed(capture) - sl_capture_first(capture), sl_capture_first(capture),
		sl_capture_committed(capture));
	ret = sl_capture_disk_bytes(capture, &disk);
	if (ret == 0)
		printf("on disk:      %" PRIu64 " bytes\n", disk);
	if (ret == 0)
		ret = sl_capture_sum(capture, &totals);
	if (ret == 0)
		print_totals(&totals);
	else
		fprintf(stderr, "sluice store: %s/%s: %s\n", o->store, info->name, strerror(-ret));
	sl_capture_close(capture);
	return ret == 0 ? SL_EXIT_OK : SL_EXIT_FAILED;
}
