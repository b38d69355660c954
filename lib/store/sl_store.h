/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_STORE_H
#define SL_STORE_H

/**
 * @file
 * The capture store: captures on disk as 1 MiB chunks in segments.
 *
 * This library is the only code that knows a chunk's bytes. A capture has one writer process and any number of
 * reader processes. Functions return 0 or -errno; where a user should read more than an errno, the function takes an
 * error buffer and fills it with one line that names the file, what is wrong and what to do.
 *
 * All times are nanoseconds since 1970-01-01 UTC, unsigned 64 bit.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SL_CHUNK_SIZE (1u << 20)      /**< bytes of a chunk's slot in a segment */
#define SL_CHUNK_MAX_PACKETS 65535u   /**< packets of a chunk at the most: packet numbers are 16 bit */
#define SL_SEGMENT_CHUNKS 1024u       /**< slots of a segment file */
#define SL_STORE_ALIGN 4096u          /**< alignment of buffers that chunks are read into */
#define SL_STORE_ERRBUF 512u          /**< bytes that hold any error line of this library */
#define SL_CAPTURE_NAME_MAX 128u      /**< bytes of a capture's name, the terminating 0 included */

#define SL_STORE_DEFAULT "/mnt/store0/capture"

/** Flag of a packet: the port saw a bad frame check sequence. */
#define SL_PACKET_BAD_FCS 0x1u

/** A packet's record as it lies in a chunk and in a nanosecond pcap file, host byte order (little-endian). */
struct sl_record {
	uint32_t sec;    /**< seconds since 1970 UTC */
	uint32_t nsec;   /**< nanoseconds, below 1e9 */
	uint32_t caplen; /**< bytes that follow */
	uint32_t len;    /**< bytes on the wire */
} __attribute__((packed)); /* records follow one another without padding, so they lie at any address */

/** A capture's identity: 16 random bytes (RFC 9562 version 4). */
struct sl_uuid {
	uint8_t bytes[16];
};

/* ---------------------------------------------------------------- chunks */

/** A checked chunk in memory, read-only. Points into the buffer that it was parsed from. */
struct sl_chunk {
	const uint8_t *base;   /**< first byte of the chunk */
	const uint32_t *index; /**< one entry a packet: bits 0..19 offset from base, 20..27 port, 28..31 flags */
	uint64_t number;       /**< chunk number within its capture */
	uint32_t packets;      /**< packets in it, 0 to SL_CHUNK_MAX_PACKETS */
	uint32_t records_off;  /**< offset from base of the first record */
	uint32_t records_len;  /**< bytes of all records, their 16-byte headers included */
	uint64_t first_ts, min_ts, max_ts, last_ts;
	uint64_t clock;     /**< the capture's clock before the first packet: largest time seen, heartbeats included */
	uint64_t heartbeat; /**< newest heartbeat since the previous chunk, 0 if none */
	uint64_t wire_bytes; /**< sum of len */
	uint64_t dropped;    /**< packets lost between the previous chunk and this one */
};

/** Record of packet i of a chunk. */
static inline const struct sl_record *
sl_chunk_record(const struct sl_chunk *c, uint32_t i)
{
	return (const struct sl_record *)(c->base + (c->index[i] & 0xfffffu));
}

/** Capture port of packet i of a chunk. */
static inline uint8_t
sl_chunk_port(const struct sl_chunk *c, uint32_t i)
{
	return (uint8_t)(c->index[i] >> 20);
}

/** Time of a record in nanoseconds since 1970 UTC. */
static inline uint64_t
sl_record_ts(const struct sl_record *r)
{
	return (uint64_t)r->sec * 1000000000u + r->nsec;
}

/**
 * Check a chunk in memory and describe it. Verifies header CRC, capture, number, body CRC and every index entry,
 * so that a caller may follow the index without checks.
 *
 * Any thread; never blocks.
 *
 * @param buf      SL_CHUNK_SIZE bytes, 64-byte aligned; must outlive the view
 * @param capture  the capture it must belong to, or NULL for any
 * @param number   the chunk number it must have
 * @param[out] chunk  the view
 * @return 0; -ENODATA: the slot is empty (no header); -ESTALE: a chunk of another capture or number;
 *         -EBADMSG: a checksum or a bound is wrong
 */
int sl_chunk_parse(const void *buf, const struct sl_uuid *capture, uint64_t number, struct sl_chunk *chunk);

/**
 * The mark of a chunk that sl_chunk_parse() has passed: see sl_store_writer_mark(). Any thread; never blocks.
 *
 * @param buf  as for sl_chunk_parse()
 * @return 0; -ENODATA: it carries none
 */
int sl_chunk_mark(const void *buf, uint64_t *mark);

/* ---------------------------------------------------------------- captures of a store */

enum sl_capture_state {
	SL_CAPTURE_OPEN,     /**< a living writer appends to it */
	SL_CAPTURE_CLOSED,   /**< closed or sealed: nothing will be added */
	SL_CAPTURE_UNCLEAN,  /**< its writer is gone without closing it; readable up to its last valid chunk */
};

/** What is fixed when a capture is made (capture.json). */
struct sl_capture_info {
	char name[SL_CAPTURE_NAME_MAX];
	struct sl_uuid uuid;
	uint64_t sequence;    /**< position among the captures of the store, from 1 */
	uint32_t link_type;   /**< LINKTYPE_ value as in a pcap file header */
	uint32_t snap_len;
	uint64_t start_ts;    /**< wall clock when it was made */
	char host[256];
	char source[1024];    /**< what filled it: file names, port names */
};

struct sl_capture; /**< a capture opened for reading */

/**
 * Open a capture for reading. Blocks on the file system; no privilege needed beyond reading the files.
 *
 * @param store    the store's directory
 * @param name     capture name, or NULL for the active one
 * @param[out] capture  to be closed with sl_capture_close()
 * @param errbuf   SL_STORE_ERRBUF bytes
 * @return 0; -ENOENT: no such store, capture, or no active one; -EPROTO: capture.json or head not understood;
 *         another -errno of open or mmap
 */
int sl_capture_open(const char *store, const char *name, struct sl_capture **capture, char *errbuf);

/** As sl_capture_open(), by UUID. -ENOENT if the store has no such capture. */
int sl_capture_open_uuid(const char *store, const struct sl_uuid *uuid, struct sl_capture **capture, char *errbuf);

/** As sl_capture_open(): the capture with the lowest sequence above the given one. -ENOENT if there is none yet. */
int sl_capture_open_after(const char *store, uint64_t sequence, struct sl_capture **capture, char *errbuf);

/** Close it; NULL is allowed. No read may be in flight. */
void sl_capture_close(struct sl_capture *capture);

/** What is fixed about it; valid until it is closed. Any thread. */
const struct sl_capture_info *sl_capture_info(const struct sl_capture *capture);

/* Moving state, read from the shared head page: any thread, never blocks (UNCLEAN is decided at open). */

/** First chunk that still exists. */
uint64_t sl_capture_first(const struct sl_capture *capture);
/** One past the last committed chunk (0: none yet). */
uint64_t sl_capture_committed(const struct sl_capture *capture);
/**
 * The newest heartbeat of the capture, 0 if none: the time that silence has reached. Packets do not raise it, they
 * carry their own times; so a target that takes every chunk and this value sees the same clock as one that replays the
 * chunks with their heartbeat fields. Valid after all chunks below a sl_capture_committed() that was read AFTER it.
 */
uint64_t sl_capture_clock(const struct sl_capture *capture);
/**
 * Whether its head page was missing or damaged when it was opened: then where it begins and ends was found from its
 * segments, and chunks that are missing at its end are not known to be. Any thread.
 */
bool sl_capture_head_damaged(const struct sl_capture *capture);
/** Its state now. After CLOSED is seen, a later sl_capture_committed() is final. */
enum sl_capture_state sl_capture_state(const struct sl_capture *capture);
/** Ask again whether the writer still lives (lock and boot id); may turn OPEN into UNCLEAN. Makes system calls. */
enum sl_capture_state sl_capture_recheck(struct sl_capture *capture);

/** Sums over the chunks of a capture. */
struct sl_capture_totals {
	uint64_t packets;
	uint64_t record_bytes; /**< captured bytes and 16 bytes a packet */
	uint64_t wire_bytes;
	uint64_t dropped;      /**< packets lost before or between packets */
	uint64_t min_ts, max_ts; /**< earliest and latest time of a packet; 0 if there is none */
	uint64_t bad_headers;  /**< chunks whose header could not be read; 0 if the writer's own sums were used */
};

/** Sum a capture up: by the writer's own sums, else by reading every chunk's header. Blocks; one thread at a time. */
int sl_capture_sum(struct sl_capture *capture, struct sl_capture_totals *totals);

/** Blocks that a capture's segments occupy on its file system, in bytes. Blocks. @return 0 or -errno */
int sl_capture_disk_bytes(struct sl_capture *capture, uint64_t *bytes);

/** Where a chunk lies: "<store>/<capture>/00000000.seg", and the byte offset in it. Any thread. */
void sl_capture_place(const struct sl_capture *capture, uint64_t number, char *path, size_t size, uint64_t *offset);

/**
 * Read one chunk, blocking, and check it. One thread at a time for each opened capture.
 *
 * @param buf  SL_CHUNK_SIZE bytes, SL_STORE_ALIGN aligned
 * @return as sl_chunk_parse(), or -ENOENT: its segment is gone, or another -errno of open or read
 */
int sl_capture_read(struct sl_capture *capture, uint64_t number, void *buf, struct sl_chunk *chunk);

/**
 * Read and check only a chunk's header, blocking: what is far outside a time range need not be read whole. The view has
 * counts and times; its index and records are not there. One thread at a time for each opened capture.
 *
 * @param buf  at least SL_STORE_ALIGN bytes, SL_STORE_ALIGN aligned
 * @return as sl_capture_read()
 */
int sl_capture_peek(struct sl_capture *capture, uint64_t number, void *buf, struct sl_chunk *chunk);

/**
 * The chunks of what is committed now that may hold packets with from <= time < to; others of them may too. Blocking: reads
 * a header a segment, and those of the segments at both ends. One thread at a time for each opened capture.
 *
 * Packets that lie a whole segment (1 GiB) or more out of time order may be missed.
 *
 * @param from  ns since 1970; 0: from the first chunk on
 * @param to    ns since 1970; UINT64_MAX: to the last committed chunk
 * @param[out] first, end  chunk numbers, end is one past the last; equal: there are none
 * @return 0 or -ENOMEM
 */
int sl_capture_find(struct sl_capture *capture, uint64_t from, uint64_t to, uint64_t *first, uint64_t *end);

/* Reading without blocking, for the reader lcore. */

/** Reads that may be returned before the mapped place or the descriptor of an earlier one goes away. */
#define SL_READER_HOLD 2048u

struct sl_reader; /**< keeps several chunk reads in flight: O_DIRECT and io_uring on disks, mapped or copied on tmpfs */

/** A finished read. */
struct sl_read {
	void *cookie;          /**< as submitted */
	/**
	 * SL_CHUNK_SIZE bytes: the submitted buffer, or a mapped place of a tmpfs segment. NULL: the bytes are still to be
	 * copied from tmpfs, see sl_read_fetch(). A mapped place, and what a fetch needs, is valid until SL_READER_HOLD
	 * further reads were returned, sl_reader_release() was called, or the reader is destroyed.
	 */
	const void *data;
	int result;            /**< 0, or -errno (-ENOENT: segment gone) */
	int fd;                /**< of the segment, if data is NULL */
	uint32_t slot;
};

/**
 * Copy the bytes of a read whose data is NULL into buf (SL_CHUNK_SIZE bytes). For the lcore that looks at them next: so they
 * lie in its caches, and several lcores copy at a time. Any thread; does not wait, unless the kernel has swapped the page out.
 *
 * @return 0 or -errno of pread
 */
int sl_read_fetch(const struct sl_read *read, void *buf);

/**
 * Make a reader. Starts one helper thread, named "sl-store", that opens segments ahead of use so that
 * sl_reader_submit() and sl_reader_poll() make no file-system call that blocks.
 *
 * @param depth  reads in flight at the most, 1 to 256
 * @param helper_cpus  CPUs for the helper thread and kernel I/O workers: a cpu_set_t, or NULL for any
 */
int sl_reader_create(unsigned int depth, const void *helper_cpus, struct sl_reader **reader, char *errbuf);
void sl_reader_destroy(struct sl_reader *reader);

/**
 * Begin to read a chunk; the next sl_reader_poll() at the latest hands it to the disk. The reader's own lcore only.
 * The capture must stay open until the read has been returned by sl_reader_poll(). Completions may come in any order.
 *
 * @param buf  SL_CHUNK_SIZE bytes, SL_STORE_ALIGN aligned; belongs to the reader until the read is returned
 * @return 0, or -EAGAIN: depth reads are in flight, or the segment is still being opened: try again later
 */
int sl_reader_submit(struct sl_reader *reader, struct sl_capture *capture, uint64_t number, void *buf, void *cookie);

/** Collect finished reads. The reader's own lcore only. @return how many entries of done[] were filled, 0 to max */
unsigned int sl_reader_poll(struct sl_reader *reader, struct sl_read *done, unsigned int max);

/** The caller uses no data of reads returned so far: what is mapped may go. Optional. The reader's own lcore only. */
void sl_reader_release(struct sl_reader *reader);

/** Reads in flight. The reader's own lcore only. */
unsigned int sl_reader_in_flight(const struct sl_reader *reader);

/* ---------------------------------------------------------------- direct I/O */

/**
 * What direct I/O on an open file asks for, as statx() says since Linux 6.1 (STATX_DIOALIGN); where it does not say, 4096
 * bytes for both, which every disk takes. Any thread; may block on the file system.
 *
 * @param[out] memory  alignment of buffers, bytes
 * @param[out] offset  alignment of file offsets and lengths, bytes
 * @return 0; -EOPNOTSUPP: this file system does no direct I/O, or not on this file
 */
int sl_direct_alignment(int fd, uint32_t *memory, uint32_t *offset);

/* ---------------------------------------------------------------- writing a capture */

struct sl_store_writer; /**< appends packets to one capture; one thread at a time */

struct sl_store_writer_params {
	const char *store;       /**< directory, made if missing */
	const char *name;        /**< capture name, or NULL: made from the wall clock and host */
	uint32_t link_type;      /**< LINKTYPE_ value */
	uint32_t snap_len;
	const char *source;      /**< for capture.json */
	uint64_t flush_interval; /**< ns; a chunk that is not full goes out after this long. 0: only when full */
	bool marks;              /**< chunks carry marks: see sl_store_writer_mark() */
};

/**
 * Begin a capture: makes its directory, becomes the store's active capture. Unclean captures are sealed first.
 *
 * @return 0; -EEXIST: a capture of that name exists; -EBUSY: the active capture has a living writer; -EINVAL: bad name;
 *         another -errno
 */
int sl_store_writer_create(const struct sl_store_writer_params *params, struct sl_store_writer **writer, char *errbuf);

/**
 * Append one packet. May block on the disk.
 *
 * @param ts      ns since 1970 UTC
 * @param caplen  bytes at data
 * @param len     bytes on the wire
 * @param port    capture port or pcapng interface, modulo 256
 * @param flags   SL_PACKET_*
 * @return 0; -EMSGSIZE: too large for a chunk, not stored (counted as dropped); -ENOSPC with a line in errbuf that says
 *         what space is needed; -ERANGE: ts does not fit a pcap record; another -errno of the write
 */
int sl_store_writer_append(struct sl_store_writer *writer, uint64_t ts, uint32_t caplen, uint32_t len, uint8_t port,
	uint8_t flags, const void *data, char *errbuf);

/**
 * Say what the next packet appended is: a number of the caller's, which goes into the chunk with the packet. A chunk keeps the
 * mark of its last packet, so after a crash the last chunk says exactly how far the caller had come: what is committed and
 * where to go on are one write. Only with params.marks.
 */
void sl_store_writer_mark(struct sl_store_writer *writer, uint64_t mark);

/** Count packets that were lost before the next one appended. */
void sl_store_writer_drop(struct sl_store_writer *writer, uint64_t packets);

/**
 * To be called while no packet comes, at least every flush interval: sends out a chunk older than the flush interval,
 * and raises the clock that readers see. A heartbeat lies between two chunks: while packets are buffered that are
 * younger than the flush interval it is passed over.
 *
 * @param clock  ns since 1970 UTC, on the packets' clock; ignored unless above the newest heartbeat; 0: none
 */
int sl_store_writer_idle(struct sl_store_writer *writer, uint64_t clock, char *errbuf);

/** Write what is buffered, make all durable, mark the capture closed and free the writer, also on error. */
int sl_store_writer_close(struct sl_store_writer *writer, char *errbuf);

/** Packets, record bytes and chunks so far. */
void sl_store_writer_stats(const struct sl_store_writer *writer, uint64_t *packets, uint64_t *bytes, uint64_t *chunks);
/** The capture that is being written. */
const struct sl_capture_info *sl_store_writer_info(const struct sl_store_writer *writer);

/* ---------------------------------------------------------------- a store as a whole */

/**
 * Names and facts of all captures of a store, ascending by sequence. Free the array with free().
 * Directories that are not captures are passed over; a damaged capture.json is reported through errbuf and passed over.
 */
int sl_store_list(const char *store, struct sl_capture_info **infos, size_t *count, char *errbuf);

/**
 * Seal what is unclean, as sl_store_writer_create() does before it begins, and make the store if it is missing. What is
 * read of those captures from then on is final.
 *
 * @return 0; -EBUSY: the active capture has a living writer; another -errno
 */
int sl_store_seal(const char *store, char *errbuf);

/** Name of the active capture. -ENOENT if there is none. */
int sl_store_active(const char *store, char name[SL_CAPTURE_NAME_MAX], char *errbuf);

/**
 * A time as a user writes it: seconds since 1970 UTC with an optional fraction (1700000000.5); ISO 8601
 * (2023-11-14, 2023-11-14T22:13, 2023-11-14T22:13:20.5) with Z or +hh:mm, local time without; YYYYMMDD_HHMMSS, local.
 * Any thread.
 *
 * @param[out] ns  since 1970 UTC
 * @return 0; -EINVAL: none of these, or no such date; -ERANGE: before 1970 or beyond a pcap record's 32-bit seconds
 */
int sl_time_parse(const char *text, uint64_t *ns);

/** What to say behind a text that sl_time_parse() refused with rc: what is wrong, and what to write. Static text. */
const char *sl_time_refusal(int rc);

#define SL_TIME_SIZE 48u /**< bytes that hold what sl_time_format() writes */

/** "2023-11-14T23:13:20.000000000+01:00": local time with its offset; sl_time_parse() reads it. Any thread. */
void sl_time_format(uint64_t ns, char text[SL_TIME_SIZE]);
/** The same in UTC: "2023-11-14T22:13:20.000000000Z". */
void sl_time_format_utc(uint64_t ns, char text[SL_TIME_SIZE]);

/** "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" and a terminating 0. */
void sl_uuid_format(const struct sl_uuid *uuid, char text[37]);
/** @return 0, or -EINVAL */
int sl_uuid_parse(const char *text, struct sl_uuid *uuid);

#ifdef __cplusplus
}
#endif

#endif
