/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <pcap/pcap.h>
#include <stdio.h>

#include "survey.h"

/*
 * The numbers in files (LINKTYPE_) and those of libpcap's API (DLT_) differ for some types. Only libpcap knows the map,
 * and it applies it when it opens a file: so let it open a header.
 */
static int
dlt_of(uint32_t link_type)
{
	struct pcap_file_header header = {.magic = 0xa1b2c3d4,
		.version_major = 2,
		.version_minor = 4,
		.snaplen = SURVEY_SNAP_LEN,
		.linktype = link_type};
	char errbuf[PCAP_ERRBUF_SIZE];
	int dlt = -1;
	pcap_t *pcap;
	FILE *file;

	file = fmemopen(&header, sizeof(header), "r");
	if (file == NULL)
		return -1;
	pcap = pcap_fopen_offline(file, errbuf);
	if (pcap == NULL) {
		fclose(file);
		return -1;
	}
	dlt = pcap_datalink(pcap);
	pcap_close(pcap);
	return dlt;
}

bool
link_type_known(uint32_t link_type)
{
	return pcap_datalink_val_to_name(dlt_of(link_type)) != NULL;
}

const char *
link_type_text(uint32_t link_type, char text[96])
{
	int dlt = dlt_of(link_type);
	const char *name = pcap_datalink_val_to_name(dlt);
	const char *description = pcap_datalink_val_to_description(dlt);

	if (name == NULL)
		snprintf(text, 96, "%u", link_type);
	else
		snprintf(text, 96, "%u (%s, %s)", link_type, name, description ? description : "no description");
	return text;
}
