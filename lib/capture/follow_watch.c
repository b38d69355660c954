/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <linux/magic.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "follow.h"

/* linux/magic.h does not have them all. */
#define CIFS_MAGIC 0xff534d42u
#define SMB2_MAGIC 0xfe534d42u
#define CEPH_MAGIC 0x00c36400u
#define FUSE_MAGIC 0x65735546u

#define WATCHED                                                                                                        \
	(IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
/* A writer that flushes each packet would wake us as often. */
#define WAKE_MIN_MS 10
/* Whatever inotify may miss. */
#define RESCAN_NS (5 * SECOND_NS)
#define RESCAN_NETWORK_NS (SECOND_NS / 2)

/* What other machines write there raises no event here. */
static bool
is_network(const char *dir)
{
	struct statfs fs;

	if (statfs(dir, &fs) < 0)
		return true;
	switch ((unsigned int)fs.f_type) {
	case NFS_SUPER_MAGIC:
	case SMB_SUPER_MAGIC:
	case CIFS_MAGIC:
	case SMB2_MAGIC:
	case AFS_SUPER_MAGIC:
	case CEPH_MAGIC:
	case FUSE_MAGIC:
	case V9FS_MAGIC:
		return true;
	default:
		return false;
	}
}

static void
watch_source(struct follow *f, struct follow_source *s)
{
	s->network = is_network(s->dir);
	s->watch = f->inotify < 0 ? -1 : inotify_add_watch(f->inotify, s->dir, WATCHED);
}

void
follow_watch(struct follow *f)
{
	/* It may be forbidden, or all instances may be in use: then we look ourselves. */
	f->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	for (size_t i = 0; i < f->source_count; i++)
		watch_source(f, &f->sources[i]);
}

void
follow_unwatch(struct follow *f)
{
	if (f->inotify >= 0)
		close(f->inotify);
	f->inotify = -1;
}

static void
take_event(struct follow *f, const struct inotify_event *event)
{
	for (size_t i = 0; i < f->source_count; i++) {
		struct follow_source *s = &f->sources[i];

		if (event->mask & IN_Q_OVERFLOW) {
			s->rescan = true;
			continue;
		}
		if (s->watch != event->wd)
			continue;
		if (event->mask & IN_IGNORED) {
			s->watch = -1;
			s->rescan = true;
			continue;
		}
		/* Writing to the file being read: that is looked at anyway. */
		if (event->mask == IN_MODIFY && event->len && s->tail && !strcmp(event->name, s->tail->name))
			continue;
		if (s->only[0] && event->len && strcmp(event->name, s->only) != 0)
			continue;
		s->rescan = true;
	}
}

static void
take_events(struct follow *f)
{
	_Alignas(struct inotify_event) char buf[64 * 1024];
	ssize_t n;

	while ((n = read(f->inotify, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *event = (const struct inotify_event *)p;

			take_event(f, event);
			p += sizeof(*event) + event->len;
		}
	}
}

void
follow_wait(struct follow *f, int timeout_ms)
{
	struct pollfd pfd = {.fd = f->inotify, .events = POLLIN};
	struct timespec pause = {.tv_nsec = WAKE_MIN_MS * (long)MS_NS};
	uint64_t now;

	/* A descriptor below 0 only waits. */
	if (poll(&pfd, 1, timeout_ms) > 0) {
		if (timeout_ms)
			nanosleep(&pause, NULL);
		take_events(f);
	}
	now = import_now_ns(CLOCK_MONOTONIC);
	for (size_t i = 0; i < f->source_count; i++) {
		struct follow_source *s = &f->sources[i];
		bool blind = s->network || s->watch < 0;

		if (now - s->scanned_at < (blind ? RESCAN_NETWORK_NS : RESCAN_NS))
			continue;
		s->rescan = true;
		/* It has gone, and perhaps come back as another. */
		if (s->watch < 0)
			watch_source(f, s);
	}
}
