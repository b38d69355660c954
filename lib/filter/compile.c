/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compile.h"
#include "sl_filter.h"

static pthread_mutex_t compile_lock = PTHREAD_MUTEX_INITIALIZER;

static bool
blank(const char *s)
{
	if (s == NULL)
		return true;
	while (*s != '\0' && isspace((unsigned char)*s))
		s++;
	return *s == '\0';
}

/* One line, whatever the parser put into its message. */
static void
one_line(char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ')
			*s = ' ';
}

/*
 * A capture without packets, read through libpcap: only this way a LINKTYPE_ value becomes the DLT_ that tcpdump
 * compiles for (pcap_open_dead() takes a DLT_), and only this way the code generator knows that no kernel metadata is
 * at hand.
 */
static pcap_t *
open_header(uint32_t link_type, uint32_t snap_len, char *errbuf)
{
	const struct {
		uint32_t magic;
		uint16_t major, minor;
		uint32_t zone, sigfigs, snap_len, link_type;
	} header = {0xa1b23c4d, 2, 4, 0, 0, snap_len, link_type};
	char pcap_err[PCAP_ERRBUF_SIZE] = "";
	pcap_t *p;
	FILE *f;

	f = fmemopen(NULL, sizeof(header), "w+");
	if (f == NULL) {
		snprintf(errbuf, SL_FILTER_ERRBUF, "no memory to compile a filter: %s", strerror(errno));
		return NULL;
	}
	if (fwrite(&header, sizeof(header), 1, f) != 1 || fseek(f, 0, SEEK_SET) != 0) {
		snprintf(errbuf, SL_FILTER_ERRBUF, "cannot make a capture header in memory: %s", strerror(errno));
		fclose(f);
		return NULL;
	}
	p = pcap_fopen_offline_with_tstamp_precision(f, PCAP_TSTAMP_PRECISION_NANO, pcap_err);
	if (p == NULL) {
		snprintf(errbuf, SL_FILTER_ERRBUF, "libpcap refuses link type %u: %s", link_type, pcap_err);
		fclose(f);
	}
	return p;
}

int
sl_compile(const char *expression, uint32_t link_type, uint32_t snap_len, struct bpf_program *program, char *errbuf)
{
	int ret = 0;
	pcap_t *p;

	*program = (struct bpf_program){0};
	if (blank(expression)) {
		/* No code generator needed, so that link types without one can be pushed whole. */
		program->bf_insns = calloc(1, sizeof(*program->bf_insns));
		if (program->bf_insns == NULL) {
			snprintf(errbuf, SL_FILTER_ERRBUF, "no memory to compile a filter");
			return -ENOMEM;
		}
		program->bf_len = 1;
		program->bf_insns[0] = (struct bpf_insn)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
		return 0;
	}

	pthread_mutex_lock(&compile_lock);
	p = open_header(link_type, snap_len, errbuf);
	if (p == NULL) {
		pthread_mutex_unlock(&compile_lock);
		return -EINVAL;
	}
	/* Netmask 0, not PCAP_NETMASK_UNKNOWN: what `tcpdump -r` passes, so `ip broadcast` compiles as it does there.
	 */
	if (pcap_compile(p, program, expression, 1, 0) != 0) {
		snprintf(errbuf, SL_FILTER_ERRBUF, "filter '%.400s': %.400s", expression, pcap_geterr(p));
		one_line(errbuf);
		*program = (struct bpf_program){0};
		ret = -EINVAL;
	} else if (!bpf_validate(program->bf_insns, (int)program->bf_len)) {
		/* As pcap_setfilter(), which refuses such a program for tcpdump too. */
		snprintf(
			errbuf, SL_FILTER_ERRBUF, "filter '%.400s': libpcap made an invalid program of it", expression);
		one_line(errbuf);
		pcap_freecode(program);
		*program = (struct bpf_program){0};
		ret = -EINVAL;
	}
	pcap_close(p);
	pthread_mutex_unlock(&compile_lock);
	return ret;
}

void
sl_compile_free(struct bpf_program *program)
{
	/* pcap_freecode() is free() of the instructions, which holds for the calloc() above too. */
	pcap_freecode(program);
}

bool
sl_compile_equal(const struct bpf_program *a, const struct bpf_program *b)
{
	/* struct bpf_insn has no padding: code 16, jt 8, jf 8, k 32 bits. */
	return a->bf_len == b->bf_len && memcmp(a->bf_insns, b->bf_insns, a->bf_len * sizeof(*a->bf_insns)) == 0;
}
