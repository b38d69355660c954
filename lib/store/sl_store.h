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

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SL_CHUNK_SIZE (1u << 20)      /**< bytes of a chunk's slot in a segment */
#define SL_CHUNK_MAX_PACKETS 65535u   /**< packets of a chunk at the most: packet numbers are 16 bit */
#define SL_SEGMENT_CHUNKS 1024u       /**< slots of a segment file */
#define SL_HOLE_MIN 65536u            /**< a shorter unused tail of a slot is not worth a journal entry: it stays allocated */
#define SL_STORE_ALIGN 4096u          /**< alignment of buffers that chunks are read into */
#define SL_STORE_ERRBUF 512u          /**< bytes that hold any error line of this library */
#define SL_CAPTURE_NAME_MAX 128u      /**< bytes of a capture's name, the terminating 0 included */

#define SL_STORE_DEFAULT "/mnt/store0/capture"

/** Why packets were lost. */
enum sl_drop_cause {
	SL_DROP_NIC,       /**< before they came to us: counted by the port, or by what the packets were imported from */
	SL_DROP_NO_BUFFER, /**< the port had no buffer to receive into */
	SL_DROP_STORE,     /**< the store was too slow or full, or the packet fits no chunk */
	SL_DROP_CAUSES
};

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
	/** Packets lost between the previous chunk and this one; in a live capture also among this one's packets. */
	uint64_t dropped;
	uint64_t dropped_by[SL_DROP_CAUSES]; /**< the same by cause */
};

/** Bytes of its slot that a chunk occupies on a file system that can have holes. */
static inline uint32_t
sl_chunk_disk_bytes(const struct sl_chunk *c)
{
	uint32_t used = (uint32_t)((const uint8_t *)c->index - c->base) + 4 * c->packets;

	used = (used + SL_STORE_ALIGN - 1) / SL_STORE_ALIGN * SL_STORE_ALIGN;
	return SL_CHUNK_SIZE - used >= SL_HOLE_MIN ? used : SL_CHUNK_SIZE;
}

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

/** What a live capture leaves free on the store's file system; the larger of the two counts. 0, 0: nothing is deleted. */
struct sl_retention {
	uint64_t min_free_bytes;
	unsigned int min_free_percent; /**< of the file system's size, 0 to 99 */
};

#define SL_RETENTION_DEFAULT_BYTES (5ull << 30)
#define SL_RETENTION_DEFAULT_PERCENT 10u

/** What that is of a file system of `size` bytes. */
static inline uint64_t
sl_retention_bytes(const struct sl_retention *retention, uint64_t size)
{
	uint64_t part = size / 100 * retention->min_free_percent;

	return part > retention->min_free_bytes ? part : retention->min_free_bytes;
}

/** A capture that is being written keeps so many segments: the one that is filled, and the one that followers read. */
#define SL_RETENTION_LEAST_SEGMENTS 2u
#define SL_RETENTION_LEAST_BYTES ((uint64_t)SL_RETENTION_LEAST_SEGMENTS * SL_SEGMENT_CHUNKS * SL_CHUNK_SIZE)

/**
 * What retention leaves to captures and to whatever else is on a store's file system. Any thread; asks the file system.
 *
 * @param[out] bytes  0: the file system is smaller than what is to be kept free on it
 * @return 0 or -errno of statvfs(2)
 */
int sl_retention_room(const char *store, const struct sl_retention *limits, uint64_t *bytes);

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
	bool expires;         /**< retention may delete it: it was made by a writer that deletes */
	struct sl_retention retention; /**< if it expires: what that writer keeps free */
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

/**
 * Sleep until more than `committed` chunks are committed, the capture is no longer open, or the time is up. A heartbeat
 * wakes nobody, and neither does a writer that dies: ask sl_capture_recheck() now and then. Any thread that may sleep.
 *
 * @param committed   what the caller has seen of sl_capture_committed()
 * @param timeout_ns  0: only look; UINT64_MAX: for ever
 * @return 0: there is something to look at; -ETIMEDOUT; -EINTR: a signal came
 */
int sl_capture_wait(const struct sl_capture *capture, uint64_t committed, uint64_t timeout_ns);

/**
 * The word that sl_capture_wait() sleeps on, for a thread that waits for more than one thing (futex_waitv(2)): a shared
 * futex in a map that is read-only, incremented and woken after each commit and at the end. Read it, then look at
 * sl_capture_committed(), then sleep while it has the value that was read. NULL: nothing will be committed any more.
 * Valid until the capture is closed. Any thread.
 */
const _Atomic uint32_t *sl_capture_bell(const struct sl_capture *capture);

/** Sums over the chunks of a capture. */
struct sl_capture_totals {
	uint64_t packets;
	uint64_t record_bytes; /**< captured bytes and 16 bytes a packet */
	uint64_t wire_bytes;
	uint64_t dropped;      /**< packets lost before or between packets */
	uint64_t dropped_by[SL_DROP_CAUSES]; /**< the same by cause */
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
 * Read one chunk, blocking, and check it: from the writer's memory if it is one of the newest of a live capture, else from
 * the disk. One thread at a time for each opened capture.
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

/** Reads so far that were served from the memory of a live capture's writer, without the disk. The reader's own lcore only. */
uint64_t sl_reader_from_memory(const struct sl_reader *reader);

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

struct sl_store_writer; /**< appends packets to one capture at a time; one thread at a time */

#define SL_STORE_BUFFERS_MIN 4u       /**< chunk buffers of an asynchronous writer, at least */
#define SL_STORE_BUFFERS_MAX 256u     /**< and at the most */
#define SL_STORE_BUFFERS_DEFAULT 64u  /**< what a live capture should have */

struct sl_store_writer_params {
	const char *store;       /**< directory, made if missing */
	const char *name;        /**< capture name, or NULL: made from the wall clock and host */
	uint32_t link_type;      /**< LINKTYPE_ value */
	uint32_t snap_len;
	const char *source;      /**< for capture.json */
	uint64_t flush_interval; /**< ns; a chunk that is not full goes out after this long. 0: only when full */
	bool marks;              /**< chunks carry marks: see sl_store_writer_mark() */
	/**
	 * 0: the thread that appends writes. SL_STORE_BUFFERS_MIN to _MAX: helper threads write from that many chunk buffers;
	 * those of a store on a disk lie in shared memory, where readers find the newest chunks.
	 */
	unsigned int buffers;
	bool nonblocking;        /**< with buffers only: no call but create and close waits for anything */
	struct sl_retention retention; /**< with buffers only; marks its captures as deletable */
	const void *helper_cpus; /**< CPUs for the helper threads and kernel workers: a cpu_set_t, or NULL for any */
};

/**
 * Begin a capture: makes its directory, becomes the store's active capture. Unclean captures are sealed first.
 *
 * With buffers, three helper threads do all that may wait: "sl-write" writes chunks and commits them, "sl-ahead" prepares
 * segments and captures before they are needed, "sl-keep" syncs, closes and deletes.
 *
 * @return 0; -EEXIST: a capture of that name exists; -EBUSY: the active capture has a living writer; -EINVAL: bad name,
 *         buffers or retention; another -errno
 */
int sl_store_writer_create(const struct sl_store_writer_params *params, struct sl_store_writer **writer, char *errbuf);

/**
 * Append one packet. May block on the disk, unless the writer is nonblocking.
 *
 * @param ts      ns since 1970 UTC
 * @param caplen  bytes at data
 * @param len     bytes on the wire
 * @param port    capture port or pcapng interface, modulo 256
 * @param flags   SL_PACKET_*
 * @return 0; -EMSGSIZE: too large for a chunk, not stored (counted as dropped); -EAGAIN: nonblocking, and every buffer waits
 *         for the disk: not stored, and the caller's to count with sl_store_writer_drop_for(); -ENOSPC with a line in errbuf
 *         that says what space is needed (never with buffers: they wait for room); -ERANGE: ts does not fit a pcap record;
 *         another -errno of the write, then and from then on
 */
int sl_store_writer_append(struct sl_store_writer *writer, uint64_t ts, uint32_t caplen, uint32_t len, uint8_t port,
	uint8_t flags, const void *data, char *errbuf);

/**
 * Say what the next packet appended is: a number of the caller's, which goes into the chunk with the packet. A chunk keeps the
 * mark of its last packet, so after a crash the last chunk says exactly how far the caller had come: what is committed and
 * where to go on are one write. Only with params.marks, and packets of sl_store_writer_append().
 */
void sl_store_writer_mark(struct sl_store_writer *writer, uint64_t mark);

/** The chunk being filled: what every writer begins with, for sl_store_writer_reserve() alone. */
struct sl_store_fill {
	uint8_t *chunk;
	uint32_t *index;  /**< SL_CHUNK_MAX_PACKETS entries */
	uint32_t end;     /**< offset from chunk of the next record */
	uint32_t limit;   /**< a record that ends at or before it needs no further look; 0: no chunk is open */
	uint32_t packets;
	uint64_t min_ts, max_ts, last_ts, wire_bytes;
};

/**
 * The short way of sl_store_writer_append(): a place for the packet's bytes, if there is one at once. The caller copies
 * caplen bytes to it before the next call with this writer. Whoever uses it calls sl_store_writer_poll() every few
 * milliseconds, since it looks at no clock.
 *
 * @return the place; NULL: use sl_store_writer_append()
 */
static inline void *
sl_store_writer_reserve(struct sl_store_writer *writer, uint64_t ts, uint32_t caplen, uint32_t len, uint8_t port,
	uint8_t flags)
{
	struct sl_store_fill *fill = (struct sl_store_fill *)writer;
	uint64_t end = (uint64_t)fill->end + sizeof(struct sl_record) + caplen;
	uint64_t sec = ts / 1000000000u;
	struct sl_record *r;

	if (__builtin_expect(end > fill->limit || sec > UINT32_MAX, 0))
		return NULL;
	r = (struct sl_record *)(fill->chunk + fill->end);
	r->sec = (uint32_t)sec;
	r->nsec = (uint32_t)(ts - sec * 1000000000u);
	r->caplen = caplen;
	r->len = len;
	fill->index[fill->packets++] = fill->end | (uint32_t)port << 20 | (uint32_t)(flags & 0xf) << 28;
	fill->end = (uint32_t)end;
	fill->last_ts = ts;
	fill->min_ts = ts < fill->min_ts ? ts : fill->min_ts;
	fill->max_ts = ts > fill->max_ts ? ts : fill->max_ts;
	fill->wire_bytes += len;
	return r + 1;
}

/** Count packets that were lost before the next one appended: sl_store_writer_drop_for() with SL_DROP_NIC. */
void sl_store_writer_drop(struct sl_store_writer *writer, uint64_t packets);
/**
 * Count packets that were lost about now. They are recorded in the chunk where the loss lies: with buffers the one being
 * filled, else the next one.
 */
void sl_store_writer_drop_for(struct sl_store_writer *writer, enum sl_drop_cause cause, uint64_t packets);

/**
 * With buffers: send out a chunk older than the flush interval, and ask how the helpers fare. Never waits and costs about
 * what the coarse clock costs: once a burst is right. Without buffers: take what the disk has done.
 *
 * @return 0, or the first -errno of a helper, then and from then on, with a line in errbuf. A full disk is none: see
 *         sl_store_writer_look()
 */
int sl_store_writer_poll(struct sl_store_writer *writer, char *errbuf);

/**
 * To be called while no packet comes, at least every flush interval: sends out a chunk older than the flush interval,
 * and raises the clock that readers see. A heartbeat lies between two chunks: while packets are buffered that are
 * younger than the flush interval, or not yet committed, it is passed over.
 *
 * @param clock  ns since 1970 UTC, on the packets' clock; ignored unless above the newest heartbeat; 0: none
 */
int sl_store_writer_idle(struct sl_store_writer *writer, uint64_t clock, char *errbuf);

/**
 * Close the capture and go on in a new one of the same store; no packet is lost, and `active` is switched in one step. With
 * buffers the new one is made by a helper: packets appended meanwhile wait in the buffers, and the call itself waits for
 * nothing. Drops not yet recorded go into the new capture.
 *
 * @param name  of the new capture, or NULL: from the wall clock and host; _1, _2, ... is added if it is taken
 * @return 0; -EINVAL: bad name; -EAGAIN: with buffers, and the roll before is still under way: nothing was done, try later;
 *         another -errno: the writer has failed
 */
int sl_store_writer_roll(struct sl_store_writer *writer, const char *name, char *errbuf);

/** Write what is buffered, make all durable, mark the capture closed and free the writer, also on error. Waits. */
int sl_store_writer_close(struct sl_store_writer *writer, char *errbuf);

/** Packets, record bytes and chunks so far of the capture being written (since the last roll). */
void sl_store_writer_stats(const struct sl_store_writer *writer, uint64_t *packets, uint64_t *bytes, uint64_t *chunks);

/** How a writer fares. Sums are over all captures since create. */
struct sl_store_writer_state {
	uint64_t packets;
	uint64_t record_bytes; /**< captured bytes and 16 bytes a packet */
	uint64_t dropped[SL_DROP_CAUSES];
	uint64_t chunks;       /**< handed to the helpers */
	uint64_t committed;    /**< of them committed */
	uint64_t rolls;
	unsigned int buffers;  /**< chunk buffers */
	unsigned int busy;     /**< of them filled and not committed, or being filled */
	bool rolling;          /**< a roll is under way */
	bool no_space;         /**< the file system is full: chunks wait in the buffers for room */
	bool shared;           /**< readers find the newest chunks in shared memory */
	uint64_t removed_bytes; /**< blocks that retention has freed */
	uint64_t removed_captures; /**< captures that retention has removed whole */
};

/** How it fares. Never waits. The writer's own thread. */
void sl_store_writer_look(const struct sl_store_writer *writer, struct sl_store_writer_state *state);

/**
 * The capture that is being written; with buffers, after a roll, the one before until the new one has been made. Valid until
 * the next roll. The writer's own thread.
 */
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
