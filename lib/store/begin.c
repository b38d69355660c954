/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "begin.h"
#include "newest.h"

static int
check_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= SL_CAPTURE_NAME_MAX || name[0] == '.' || name[0] == '-' || strcmp(name, "active") == 0)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (name[i] == '/' || (unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return -EINVAL;
	return 0;
}

int
begin_check_name(const char *name, char *errbuf)
{
	if (check_name(name) == 0)
		return 0;
	return store_err(-EINVAL, errbuf,
		"capture name \"%s\": must have 1 to %u characters, no / and no control characters, "
		"not begin with . or -, and not be \"active\"",
		name, SL_CAPTURE_NAME_MAX - 1);
}

/* The name itself, or with _1, _2, ... if that is taken. */
static int
find_free_name(int store_dir, const char *wanted, char name[SL_CAPTURE_NAME_MAX])
{
	for (unsigned int i = 0; i < 100000; i++) {
		int n = i == 0 ? snprintf(name, SL_CAPTURE_NAME_MAX, "%s", wanted)
			       : snprintf(name, SL_CAPTURE_NAME_MAX, "%s_%u", wanted, i);

		if (n >= (int)SL_CAPTURE_NAME_MAX)
			return -ENAMETOOLONG;
		if (faccessat(store_dir, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? 0 : -errno;
	}
	return -EEXIST;
}

/* Without a name: "<host>_YYYYMMDD_HHMMSS", local time as FMADIO's captures have it, and _1, _2, ... if that is taken.
 */
static int
make_name(int store_dir, struct sl_capture_info *info)
{
	time_t now = (time_t)(info->start_ts / 1000000000u);
	char stamp[32], host[64], wanted[SL_CAPTURE_NAME_MAX];
	struct tm tm;

	snprintf(host, sizeof(host), "%.63s", info->host[0] ? info->host : "capture");
	host[strcspn(host, "./")] = '\0';
	if (check_name(host) < 0)
		strcpy(host, "capture");
	strftime(stamp, sizeof(stamp), "%Y%m%d_%H%M%S", localtime_r(&now, &tm));
	snprintf(wanted, sizeof(wanted), "%s_%s", host, stamp);
	return find_free_name(store_dir, wanted, info->name);
}

/* Made complete under a hidden name, then renamed: nobody sees a capture without its description. */
static int
make_capture(struct begun *b, int store_dir, const struct newest *newest, uint64_t newest_base, char *errbuf)
{
	char hidden[SL_CAPTURE_NAME_MAX + 8];
	const char *what, *at = hidden;
	int ret;

	snprintf(hidden, sizeof(hidden), ".%s.new", b->info.name);
	/* What a writer that died here has left; nobody else uses it, for we hold the store's lock. */
	store_remove_directory(store_dir, hidden);
	what = "mkdir";
	if (mkdirat(store_dir, hidden, 0755) < 0)
		goto err;
	what = "open";
	b->dir = openat(store_dir, hidden, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->dir < 0)
		goto err;
	what = "capture.json";
	ret = store_info_write(b->dir, &b->info);
	if (ret < 0)
		goto err_ret;
	what = HEAD_NAME;
	ret = head_create(b->dir, &b->info.uuid, &b->head, &b->head_fd);
	if (ret == 0 && newest && newest->fd >= 0) {
		b->head->newest = newest->name;
		b->head->newest_base = newest_base;
	}
	/* a lost head is made anew; but a full server tells of it only now, and of what is mapped never */
	if (ret == 0)
		ret = store_sync_fd(b->head_fd);
	if (ret == 0)
		ret = store_sync_fd(b->dir);
	if (ret < 0)
		goto err_ret;
	what = "rename";
	if (renameat(store_dir, hidden, store_dir, b->info.name) < 0)
		goto err;
	at = b->info.name;
	what = "fsync of the store";
	ret = store_sync_fd(store_dir);
	if (ret < 0)
		goto err_ret;
	what = "switching the link `active`";
	ret = store_set_active(store_dir, b->info.name);
	if (ret < 0)
		goto err_ret;
	return 0;
err:
	ret = -errno;
err_ret:
	store_err(ret, errbuf, "%s: cannot make the capture: %s: %s", b->path, what, strerror(-ret));
	store_remove_directory(store_dir, at);
	return ret;
}

int
begin_describe(struct sl_capture_info *info, const struct sl_store_writer_params *params, char *errbuf)
{
	int ret;

	info->link_type = params->link_type;
	info->snap_len = params->snap_len;
	info->retention = params->retention;
	info->expires = params->retention.min_free_bytes > 0 || params->retention.min_free_percent > 0;
	info->start_ts = store_now_ns(CLOCK_REALTIME);
	gethostname(info->host, sizeof(info->host) - 1);
	snprintf(info->source, sizeof(info->source), "%s", params->source ? params->source : "");
	ret = store_uuid_make(&info->uuid);
	return ret < 0 ? store_err(ret, errbuf, "getrandom: %s", strerror(-ret)) : 0;
}

static int
choose_name(struct begun *b, int store_dir, const char *store, const char *name, bool roll, char *errbuf)
{
	int ret;

	if (name && !roll) {
		snprintf(b->info.name, sizeof(b->info.name), "%s", name);
		if (faccessat(store_dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return store_err(-EEXIST, errbuf, "%s/%s: exists; choose another --capture name", store, name);
		return 0;
	}
	ret = name ? find_free_name(store_dir, name, b->info.name) : make_name(store_dir, &b->info);
	if (ret < 0)
		return store_err(ret, errbuf, "%s: cannot find a name for the capture: %s", store, strerror(-ret));
	return 0;
}

int
begin_capture(struct begun *b, const char *store, const char *name, bool roll, const struct newest *newest,
	uint64_t newest_base, char *errbuf)
{
	int store_dir = -1, lock = -1, ret;

	b->dir = b->head_fd = -1;
	b->head = NULL;
	ret = roll ? store_prepare_roll(store, &store_dir, &lock, &b->info.sequence, errbuf)
		   : store_prepare(store, &store_dir, &lock, &b->info.sequence, errbuf);
	if (ret < 0)
		return ret;
	ret = choose_name(b, store_dir, store, name, roll, errbuf);
	if (ret == 0) {
		snprintf(b->path, sizeof(b->path), "%s/%s", store, b->info.name);
		ret = make_capture(b, store_dir, newest, newest_base, errbuf);
	}
	if (ret == 0)
		store_note_sequence(lock, b->info.sequence);
	close(lock);
	close(store_dir);
	if (ret < 0)
		begin_release(b);
	return ret;
}

void
begin_release(struct begun *b)
{
	head_unmap(b->head, b->head_fd);
	if (b->dir >= 0)
		close(b->dir);
	b->head = NULL;
	b->dir = b->head_fd = -1;
}
