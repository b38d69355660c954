/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_PUSH_LOG_H
#define SL_WRITER_PUSH_LOG_H

/**
 * @file
 * Log files of targets: `push_<Desc>_YYYYMMDD_HHMM` with a `push_<Desc>.cur` link, rolled at local midnight and at
 * 64 MiB, kept 30 days. One thread ("sl-log") writes them; a line is handed over through a ring, so no caller blocks. A
 * line that finds the ring full is counted, and the count is logged once there is room.
 */

#include <stddef.h>
#include <stdint.h>

#define PUSH_LOG_ROLL_BYTES (UINT64_C(64) << 20)

struct sl_push_log;

/**
 * Start the log thread. Files are opened with their first line. A file's name that is taken (two starts within a minute)
 * gets `_1`, `_2` and so on. What cannot be written later (disk full, directory lost) is tried again every 5 s; lines in
 * between are lost and counted.
 *
 * @param dir    made if missing
 * @param names  count file descriptions (sl_target_config.file_desc), "" for none yet; copied
 * @param helper_cpus  cpu_set_t or NULL
 * @param[out] log     to be closed with sl_push_log_close()
 * @param[out] errbuf  SL_WRITER_ERRBUF bytes, set on error
 * @return 0; -errno of the directory or the thread
 */
int sl_push_log_open(const char *dir, const char *const *names, size_t count, const void *helper_cpus,
	struct sl_push_log **log, char *errbuf);

/**
 * Add a line (time stamp and newline are added) to the log of target t. Any thread, lcores too; never blocks. Control
 * characters become '?'. A NULL log is allowed.
 */
void sl_push_log_line(struct sl_push_log *log, size_t t, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/**
 * From here on the log of target t belongs to another file description, "" for none: lines added before go into the file
 * that is open. Main thread; waits a second at the most for room in the queue. A NULL log is allowed.
 * @param t  below the count given to sl_push_log_open()
 * @return 0, -ENOMEM; -ETIMEDOUT: the log does not answer
 */
int sl_push_log_rename(struct sl_push_log *log, size_t t, const char *name);

/**
 * Write what is queued and end the thread; NULL is allowed. Waits 5 s at the most for a directory that does not answer.
 * Nobody may be adding lines any more.
 */
void sl_push_log_close(struct sl_push_log *log);

/** Roll at another size, for tests; before the first line. */
void sl_push_log_set_roll_bytes(struct sl_push_log *log, uint64_t bytes);

#endif
