/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef CAPTURE_READER_H
#define CAPTURE_READER_H

/**
 * @file
 * Readers of pcap, pcapng and FMADIO's chunked stream as state machines over memory: no file descriptors, no waiting. The caller offers the
 * bytes that it has, the reader says what they are and how many it has used. So the same code serves files, pipes,
 * unit tests and the fuzzer, and a record may be cut anywhere.
 *
 * pcap: draft-ietf-opsawg-pcap and pcap-savefile(5), microsecond, nanosecond and the patched format of old Linux
 * libpcaps (24-byte record headers). pcapng: draft-ietf-opsawg-pcapng. Either byte order.
 *
 * What a file says is kept as tcpdump keeps it, however odd: times in any order, more bytes captured than were on the
 * wire. Unlike libpcap a packet longer than the file's snapshot length, but not than its link type allows, is handed out
 * whole, a fraction of more than a second counts on into the seconds, and sections of a pcapng file may differ in byte
 * order and snapshot length.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Captured bytes of the largest packet that is handed out; a larger one cannot fit a chunk and is passed over. */
#define RD_MAX_PACKET (1u << 20)
/** A larger captured length than any link type has (libpcap allows D-Bus this much): damage. */
#define RD_MAX_CAPLEN (128u << 20)
/** A block that must lie in memory as a whole (packets with options, interfaces, section headers) may be this long. */
#define RD_MAX_BLOCK (16u << 20)
/** Interfaces of a section at the most. */
#define RD_MAX_INTERFACES 65536u

/** An interface of a pcapng section, or the only one of a pcap file. */
struct rd_interface {
	uint32_t link_type; /**< LINKTYPE_ value */
	uint32_t snap_len;  /**< as the file says, 0: no limit */
	int64_t offset;     /**< seconds to add to each time (if_tsoffset) */
	uint64_t factor;    /**< see unit */
	enum {
		RD_TIMES,   /**< ns = units * factor */
		RD_DIVIDED, /**< ns = units / factor; factor 0: always 0 */
		RD_BINARY,  /**< ns = units * 1e9 / 2^factor */
	} unit;
	char name[32]; /**< if_name, cut to fit, printable; "" if the file gives none */
};

/** A packet, valid until the buffer it was read from changes. */
struct rd_packet {
	uint64_t ts; /**< ns since 1970 UTC; meaningless if bad_time */
	uint32_t caplen, len;
	uint32_t interface; /**< number within the file: counts on through its sections, as Wireshark shows it; FMADIO: the port */
	uint32_t dropped;   /**< packets that the file says were lost before this one */
	uint8_t flags;      /**< SL_PACKET_* */
	bool bad_time;      /**< before 1970 or after 2106: no pcap record can hold it */
	const uint8_t *data;
};

enum rd_event {
	RD_MORE,      /**< cannot go on with less than reader.need bytes at buf */
	RD_PACKET,    /**< a packet */
	RD_INTERFACE, /**< an interface was described: reader_last_interface() */
	RD_PASSED,    /**< something that holds no packet, or a part of it, was passed over */
	RD_TOO_LARGE, /**< a whole packet larger than RD_MAX_PACKET was passed over */
	RD_DAMAGE,    /**< reader.error at reader.error_offset; for good */
};

enum rd_format { RD_UNKNOWN, RD_PCAP, RD_PCAPNG, RD_FMADIO };

struct reader {
	enum rd_format format;
	bool swapped;      /**< byte order of the file or section is not the host's */
	bool scan;         /**< pcapng: pass over packets unseen, report interfaces only */
	uint64_t offset;   /**< bytes used so far: where buf begins in the file */
	uint64_t skip;     /**< bytes to pass over before anything else: see reader_skipped() */
	size_t need;       /**< with RD_MORE */
	uint64_t large_offset; /**< where the packet passed over as too large began */
	bool large;        /**< it is not yet certain that it was one */
	uint32_t large_interface; /**< its interface, as rd_packet.interface */

	/* pcap */
	uint32_t header_len;
	uint32_t frac_ns;  /**< ns of a unit of the fraction: 1000 or 1 */
	uint32_t sane_max; /**< libpcap's idea of the largest captured length for this file */
	uint32_t magic;    /**< as the file's writer meant it */
	enum { RD_LENGTHS, RD_LENGTHS_SWAPPED, RD_LENGTHS_MAYBE } lengths;

	/* FMADIO */
	uint32_t chunk_left; /**< bytes of the chunk's payload that are still to come */

	/* pcapng; block_offset FMADIO's chunk too */
	uint64_t block_offset;
	uint32_t block_len; /**< of the block that is being passed over; 0: none */

	struct rd_interface *interfaces; /**< of this section */
	size_t interface_count, interface_room;
	uint32_t interface_base;   /**< number of the section's first interface */
	uint64_t interface_offset; /**< where the last interface is described */

	uint64_t error_offset;
	const char *decompressor; /**< the file is compressed: a program that writes it plain on standard output */
	char error[200];
};

/** Begin a file. All zero is a valid reader too. */
void reader_init(struct reader *reader, bool scan);
/** Free what it holds. */
void reader_free(struct reader *reader);

/**
 * Go on by one event.
 *
 * @param buf    bytes of the file from reader->offset on; packet data in it may be changed (pseudo-headers of the
 *               other byte order)
 * @param avail  how many
 * @param[out] used  how many of them are done with
 * @param[out] packet  filled with RD_PACKET
 */
enum rd_event reader_next(struct reader *reader, uint8_t *buf, size_t avail, size_t *used, struct rd_packet *packet);

/** The caller has passed over n (at most reader->skip) bytes of the file itself, for example by seeking. */
void reader_skipped(struct reader *reader, uint64_t n);

/**
 * The file ends here. To be called until it returns RD_MORE (a clean end) or RD_DAMAGE (truncated).
 *
 * @param avail  bytes that the last reader_next() had and did not use
 */
enum rd_event reader_end(struct reader *reader, size_t avail);

/** The interface that the last RD_INTERFACE was about. */
const struct rd_interface *reader_last_interface(const struct reader *reader);
/** Its number within the file. */
uint32_t reader_last_number(const struct reader *reader);

/* ---- between the files of the reader */

static inline uint16_t
rd_u16(const struct reader *reader, const uint8_t *p)
{
	uint16_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return reader->swapped ? __builtin_bswap16(v) : v;
}

static inline uint32_t
rd_u32(const struct reader *reader, const uint8_t *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return reader->swapped ? __builtin_bswap32(v) : v;
}

enum rd_event reader_damage(struct reader *reader, uint64_t offset, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** Room for one more interface, zeroed; NULL with the damage set. */
struct rd_interface *reader_add_interface(struct reader *reader, uint64_t offset);
/** An interface's time unit in ns. @return false: a pcap record cannot hold it */
bool reader_time(const struct rd_interface *interface, uint64_t units, uint64_t *ns);

bool reader_pcap_magic(struct reader *reader, uint32_t magic);
enum rd_event reader_pcap_header(struct reader *reader, const uint8_t *buf, size_t avail, size_t *used);
enum rd_event reader_pcap_next(struct reader *reader, uint8_t *buf, size_t avail, size_t *used,
	struct rd_packet *packet);
bool reader_fmadio_magic(uint32_t magic);
enum rd_event reader_fmadio_header(struct reader *reader, const uint8_t *buf, size_t avail, size_t *used);
enum rd_event reader_fmadio_next(struct reader *reader, uint8_t *buf, size_t avail, size_t *used,
	struct rd_packet *packet);
enum rd_event reader_pcapng_next(struct reader *reader, uint8_t *buf, size_t avail, size_t *used,
	struct rd_packet *packet);
/** Pseudo-headers that the capturing host wrote in its own byte order, brought to ours, as libpcap does. */
void reader_swap_pseudo_header(uint32_t link_type, uint8_t *data, uint32_t caplen, uint32_t len);

#endif
