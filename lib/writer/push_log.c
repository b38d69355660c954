/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <rte_log.h>

#include "line_queue.h"
#include "monotonic.h"
#include "push_log.h"
#include "sl_writer.h"
#include "zone.h"
#include "zone_rule.h"

RTE_LOG_REGISTER_SUFFIX(sl_push_log_logtype, push_log, INFO);
#define LOG(level, fmt, ...) rte_log(RTE_LOG_##level, sl_push_log_logtype, "push log: " fmt "\n", ##__VA_ARGS__)

#define KEEP_DAYS 30
#define RETRY_NS (UINT64_C(5) * 1000000000)
#define CLOSE_WAIT_S 5
#define RENAME_WAIT_MS 1000

struct log_file {
	char *desc;
	_Atomic uint64_t dropped; /* lines that found the queue full */
	/* The rest belongs to the log thread. */
	int fd;
	char name[NAME_MAX + 1];
	int64_t day; /* local day of the file */
	uint64_t size;
	uint64_t unwritten; /* lines that could not be written */
	int error; /* of the newest failure, 0: all is well */
	uint64_t retry_at; /* CLOCK_MONOTONIC ns */
	bool cleaned; /* old files have been looked for on this day */
};

struct sl_push_log {
	char *dir;
	size_t count;
	uint64_t roll_bytes;
	struct log_file *files;
	const struct sl_zone *zone;
	pthread_t thread;
	_Atomic uint32_t stop;
	struct line_queue queue;
};

void
sl_push_log_line(struct sl_push_log *log, size_t t, const char *fmt, ...)
{
	struct line *line;
	uint64_t position;
	va_list args;
	int n;

	if (!log || t >= log->count)
		return;
	line = line_queue_take(&log->queue, &position);
	if (!line) {
		atomic_fetch_add_explicit(&log->files[t].dropped, 1, memory_order_relaxed);
		return;
	}
	line->target = t;
	line->rename = NULL;
	clock_gettime(CLOCK_REALTIME, &line->time);
	va_start(args, fmt);
	n = vsnprintf(line->text, sizeof(line->text), fmt, args);
	va_end(args);
	if (n >= (int)sizeof(line->text)) {
		n = sizeof(line->text) - 1;
		memcpy(line->text + n - 3, "...", 3);
	}
	line->len = n < 0 ? 0 : (unsigned int)n;
	line_queue_publish(&log->queue, line, position);
}

int
sl_push_log_rename(struct sl_push_log *log, size_t t, const char *name)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	struct line *line;
	uint64_t position;
	char *copy;

	if (!log || t >= log->count)
		return 0;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	/* in the order of the lines, so that each goes where it belongs */
	for (int i = 0; !(line = line_queue_take(&log->queue, &position)); i++) {
		if (i == RENAME_WAIT_MS) {
			free(copy);
			return -ETIMEDOUT;
		}
		nanosleep(&pause, NULL);
	}
	line->target = t;
	line->rename = copy;
	line->len = 0;
	line_queue_publish(&log->queue, line, position);
	return 0;
}

/* ---------------------------------------------------------------- files */

static int64_t
local_day(const struct tm *tm)
{
	return zone_days(tm->tm_year + 1900, tm->tm_mon + 1, tm->tm_mday);
}

/* Day in the name of a log file of desc, `push_<desc>_YYYYMMDD_HHMM` or with `_1`; -1: it is none of them. */
static int64_t
day_of_name(const char *name, const char *desc)
{
	size_t len = strlen(desc);
	unsigned long date;
	int month, day;
	const char *s;

	if (strncmp(name, "push_", 5) != 0 || strncmp(name + 5, desc, len) != 0 || name[5 + len] != '_')
		return -1;
	s = name + 5 + len + 1;
	if (strspn(s, "0123456789") != 8 || s[8] != '_' || strspn(s + 9, "0123456789") != 4)
		return -1;
	if (s[13] != '\0' &&
		(s[13] != '_' || !isdigit((unsigned char)s[14]) || s[14 + strspn(s + 14, "0123456789")] != '\0'))
		return -1;
	date = strtoul(s, NULL, 10);
	month = (int)(date / 100 % 100);
	day = (int)(date % 100);
	if (month < 1 || month > 12 || day < 1 || day > 31)
		return -1;
	return zone_days((int64_t)(date / 10000), month, day);
}

static void
remove_old(struct sl_push_log *log, const struct log_file *file)
{
	DIR *list = opendir(log->dir);
	struct dirent *entry;
	struct stat st;

	if (!list)
		return;
	while ((entry = readdir(list))) {
		int64_t day = day_of_name(entry->d_name, file->desc);

		if (day < 0 || day >= file->day - KEEP_DAYS)
			continue;
		if (fstatat(dirfd(list), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			unlinkat(dirfd(list), entry->d_name, 0);
	}
	closedir(list);
}

/* @return -ENAMETOOLONG if name does not fit a directory entry or the path a path */
static int
path_in(const struct sl_push_log *log, char *path, const char *name)
{
	size_t dir_len = strlen(log->dir), len = strlen(name);

	if (len > NAME_MAX || dir_len + 1 + len >= SL_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(path, log->dir, dir_len);
	path[dir_len] = '/';
	memcpy(path + dir_len + 1, name, len + 1);
	return 0;
}

/* Let push_<desc>.cur name the open file. A rename replaces the old link, so there is always one. */
static void
point_cur(struct sl_push_log *log, const struct log_file *file)
{
	char temporary[SL_PATH_MAX], cur[SL_PATH_MAX], name[2 * NAME_MAX];

	snprintf(name, sizeof(name), ".push_%s.cur-%d", file->desc, getpid());
	if (path_in(log, temporary, name))
		return;
	snprintf(name, sizeof(name), "push_%s.cur", file->desc);
	if (path_in(log, cur, name))
		return;
	unlink(temporary);
	if (symlink(file->name, temporary) == 0 && rename(temporary, cur) != 0)
		unlink(temporary);
}

static int
file_open(struct sl_push_log *log, struct log_file *file, const struct tm *tm)
{
	char name[2 * NAME_MAX], path[SL_PATH_MAX];
	size_t stem;
	int ret;

	stem = (size_t)snprintf(name, NAME_MAX + 1, "push_%s_%04d%02d%02d_%02d%02d", file->desc, tm->tm_year + 1900,
		tm->tm_mon + 1, tm->tm_mday, tm->tm_hour, tm->tm_min);
	if (stem > NAME_MAX)
		return -ENAMETOOLONG;
	for (int copy = 1;; copy++) {
		ret = path_in(log, path, name);
		if (ret)
			return ret;
		file->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
		if (file->fd >= 0)
			break;
		if (errno != EEXIST || copy > 99999)
			return -errno;
		snprintf(name + stem, sizeof(name) - stem, "_%d", copy);
	}
	memcpy(file->name, name, strlen(name) + 1);
	file->size = 0;
	point_cur(log, file);
	if (!file->cleaned || file->day != local_day(tm)) {
		file->day = local_day(tm);
		remove_old(log, file);
		file->cleaned = true;
	}
	return 0;
}

static void
file_close(struct log_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

/* Write whole lines or nothing. */
static int
file_write(struct log_file *file, const char *text, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(file->fd, text + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int error = n < 0 ? errno : ENOSPC;

			if (done > 0 && ftruncate(file->fd, (off_t)file->size))
				file->size += done;
			return -error;
		}
		done += (size_t)n;
	}
	file->size += len;
	return 0;
}

static int
prefix(char *out, size_t size, const struct tm *tm, long ns)
{
	return snprintf(out, size, "%04d-%02d-%02d %02d:%02d:%02d.%03ld ", tm->tm_year + 1900, tm->tm_mon + 1,
		tm->tm_mday, tm->tm_hour, tm->tm_min, tm->tm_sec, ns / 1000000);
}

/* Have a file open that takes len more bytes on this day. */
static int
file_ready(struct sl_push_log *log, struct log_file *file, const struct tm *tm, size_t len)
{
	struct stat st;

	/* A file that was deleted takes lines, but nobody reads them. */
	if (file->fd >= 0 && (file->day != local_day(tm) || file->size + len > log->roll_bytes ||
				     (fstat(file->fd, &st) == 0 && st.st_nlink == 0)))
		file_close(file);
	return file->fd >= 0 ? 0 : file_open(log, file, tm);
}

/* Say what was lost, in the place where it is missing. */
static int
write_losses(struct sl_push_log *log, struct log_file *file, const struct tm *tm, long ns)
{
	uint64_t dropped = atomic_load_explicit(&file->dropped, memory_order_relaxed);
	char text[256];
	int n, ret;

	if (dropped == 0 && file->unwritten == 0)
		return 0;
	n = prefix(text, sizeof(text), tm, ns);
	n += snprintf(text + n, sizeof(text) - (size_t)n,
		"log: lines lost: %" PRIu64 " (queue full %" PRIu64 ", not written %" PRIu64 "%s%s)\n",
		dropped + file->unwritten, dropped, file->unwritten, file->error ? ": " : "",
		file->error ? strerrordesc_np(file->error) : "");
	ret = file_ready(log, file, tm, (size_t)n);
	if (!ret)
		ret = file_write(file, text, (size_t)n);
	if (ret)
		return ret;
	atomic_fetch_sub_explicit(&file->dropped, dropped, memory_order_relaxed);
	file->unwritten = 0;
	return 0;
}

static void
take_name(struct log_file *file, char *name)
{
	file_close(file);
	free(file->desc);
	file->desc = name;
	atomic_store_explicit(&file->dropped, 0, memory_order_relaxed);
	file->unwritten = 0;
	file->error = 0;
	file->cleaned = false;
}

static void
write_line(struct sl_push_log *log, const struct line *line)
{
	struct log_file *file = &log->files[line->target];
	char text[64 + LINE_MAX_BYTES];
	struct tm tm;
	size_t len;
	int ret;

	if (line->rename) {
		take_name(file, line->rename);
		return;
	}
	if (!*file->desc)
		return;
	if (file->error && monotonic_ns() < file->retry_at) {
		file->unwritten++;
		return;
	}
	sl_zone_localtime(log->zone, line->time.tv_sec, &tm);
	len = (size_t)prefix(text, sizeof(text), &tm, line->time.tv_nsec);
	memcpy(text + len, line->text, line->len);
	/* One call, one line, whatever a file name holds. */
	for (size_t i = len; i < len + line->len; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
	}
	len += line->len;
	text[len++] = '\n';

	ret = write_losses(log, file, &tm, line->time.tv_nsec);
	if (!ret)
		ret = file_ready(log, file, &tm, len);
	if (!ret)
		ret = file_write(file, text, len);
	if (!ret) {
		file->error = 0;
		return;
	}
	if (!file->error)
		LOG(WARNING, "%s/push_%s: cannot write: %s; lines are lost until it works again", log->dir, file->desc,
			strerrordesc_np(-ret));
	/* On a full disk the file stays open: a new one at each attempt would litter the directory. */
	if (ret != -ENOSPC && ret != -EDQUOT && ret != -EFBIG)
		file_close(file);
	file->error = -ret;
	file->unwritten++;
	file->retry_at = monotonic_ns() + RETRY_NS;
}

/* ---------------------------------------------------------------- the thread */

static bool
drain(struct sl_push_log *log)
{
	struct line *line;
	bool any = false;

	while ((line = line_queue_front(&log->queue))) {
		write_line(log, line);
		line_queue_pop(&log->queue);
		any = true;
	}
	return any;
}

/* Lines dropped last, with nothing behind them to carry the word. */
static void
write_last_losses(struct sl_push_log *log)
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	sl_zone_localtime(log->zone, now.tv_sec, &tm);
	for (size_t t = 0; t < log->count; t++)
		if (*log->files[t].desc)
			write_losses(log, &log->files[t], &tm, now.tv_nsec);
}

static void *
log_thread(void *arg)
{
	struct sl_push_log *log = arg;

	for (;;) {
		bool stop = atomic_load(&log->stop);

		if (drain(log))
			continue;
		if (stop)
			break;
		line_queue_wait(&log->queue, &log->stop);
	}
	write_last_losses(log);
	return NULL;
}

/* ---------------------------------------------------------------- open and close */

static int
make_directories(const char *dir)
{
	char path[SL_PATH_MAX];
	size_t len = strlen(dir);

	if (len == 0 || len >= sizeof(path))
		return len ? -ENAMETOOLONG : -EINVAL;
	memcpy(path, dir, len + 1);
	for (char *s = path + 1;; s++) {
		char c = *s;

		if (c != '/' && c != '\0')
			continue;
		*s = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return -errno;
		*s = c;
		if (c == '\0')
			return access(path, W_OK | X_OK) ? -errno : 0;
	}
}

static void
log_free(struct sl_push_log *log)
{
	if (!log)
		return;
	for (size_t t = 0; log->files && t < log->count; t++) {
		file_close(&log->files[t]);
		free(log->files[t].desc);
	}
	free(log->files);
	line_queue_free(&log->queue);
	free(log->dir);
	free(log);
}

static int
log_alloc(const char *dir, const char *const *names, size_t count, struct sl_push_log **out)
{
	struct sl_push_log *log = aligned_alloc(64, sizeof(*log));

	if (!log)
		return -ENOMEM;
	memset(log, 0, sizeof(*log));
	log->dir = strdup(dir);
	log->files = calloc(count ? count : 1, sizeof(*log->files));
	if (!log->dir || !log->files || line_queue_init(&log->queue))
		goto err;
	for (; log->count < count; log->count++) {
		log->files[log->count].fd = -1;
		log->files[log->count].desc = strdup(names[log->count]);
		if (!log->files[log->count].desc) {
			log->count++;
			goto err;
		}
	}
	log->roll_bytes = PUSH_LOG_ROLL_BYTES;
	*out = log;
	return 0;
err:
	log_free(log);
	return -ENOMEM;
}

static int
thread_start(struct sl_push_log *log, const void *helper_cpus)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int ret;

	pthread_attr_init(&attr);
	if (helper_cpus)
		pthread_attr_setaffinity_np(&attr, sizeof(cpu_set_t), helper_cpus);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = -pthread_create(&log->thread, &attr, log_thread, log);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (!ret)
		pthread_setname_np(log->thread, "sl-log");
	return ret;
}

int
sl_push_log_open(const char *dir, const char *const *names, size_t count, const void *helper_cpus,
	struct sl_push_log **log, char *errbuf)
{
	struct sl_push_log *l = NULL;
	int ret;

	*log = NULL;
	ret = make_directories(dir);
	if (ret) {
		snprintf(errbuf, SL_WRITER_ERRBUF, "log directory %s: %s; make it or use --log-dir", dir,
			strerrordesc_np(-ret));
		return ret;
	}
	ret = log_alloc(dir, names, count, &l);
	if (!ret) {
		l->zone = sl_zone_get(NULL);
		/* Lines in UTC are better than no lines. */
		if (!l->zone)
			l->zone = sl_zone_get("UTC0");
		ret = l->zone ? thread_start(l, helper_cpus) : -errno;
	}
	if (ret) {
		snprintf(errbuf, SL_WRITER_ERRBUF, "log directory %s: cannot start the log thread: %s", dir,
			strerrordesc_np(-ret));
		log_free(l);
		return ret;
	}
	*log = l;
	return 0;
}

void
sl_push_log_set_roll_bytes(struct sl_push_log *log, uint64_t bytes)
{
	log->roll_bytes = bytes;
}

void
sl_push_log_close(struct sl_push_log *log)
{
	struct timespec until;

	if (!log)
		return;
	atomic_store(&log->stop, 1);
	line_queue_wake(&log->queue);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += CLOSE_WAIT_S;
	/* A log on a hung mount must not keep the push from ending; the thread keeps what it uses. */
	if (pthread_clockjoin_np(log->thread, NULL, CLOCK_MONOTONIC, &until)) {
		LOG(WARNING, "%s does not answer; its last lines may be missing", log->dir);
		pthread_detach(log->thread);
		return;
	}
	log_free(log);
}
