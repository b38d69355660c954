/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Every operation at which a push can be made to die by SLUICE_CRASH. Each name stands for two points, `<name>.before`
 * and `<name>.after`. Included with POINT(id, name) defined; TestSuite_crash.py reads the names from here.
 */

/* a working file */
POINT(OPEN_INTENT, "open.intent")
POINT(OPEN_MKDIR, "open.mkdir")
POINT(MKDIR_FSYNC, "mkdir.fsync")
POINT(OPEN_CREATE, "open.create")
POINT(OPEN_FLOCK, "open.flock")
POINT(OPEN_FALLOCATE, "open.fallocate")
POINT(EXTEND_FALLOCATE, "extend.fallocate")
POINT(WRITE_SUBMIT, "write.submit")
POINT(WRITE_COMPLETE, "write.complete")
/* publish */
POINT(PUBLISH_TRUNCATE, "publish.ftruncate")
POINT(PUBLISH_CHOWN, "publish.fchown")
POINT(PUBLISH_FSYNC, "publish.fsync")
POINT(PUBLISH_FSYNC_DIR, "publish.fsync-dir")
POINT(PUBLISH_INTENT, "publish.intent")
POINT(PUBLISH_LINK, "publish.link")
POINT(PUBLISH_FSYNC_NAME, "publish.fsync-name")
POINT(PUBLISH_FSYNC_GONE, "publish.fsync-gone")
POINT(PUBLISH_UNLINK, "publish.unlink")
POINT(PUBLISH_DONE, "publish.done")
/* a working file whose directory was taken away */
POINT(RESCUE_FSYNC, "rescue.fsync")
/* checkpoint */
POINT(CHECKPOINT_FSYNC, "checkpoint.fsync")
POINT(CHECKPOINT_FSYNC_DIR, "checkpoint.fsync-dir")
POINT(CHECKPOINT_APPEND, "checkpoint.append")
/* journal */
POINT(JOURNAL_WRITE, "journal.write")
POINT(JOURNAL_TORN, "journal.torn")
POINT(JOURNAL_FSYNC_INTENT, "journal.fsync-intent")
POINT(JOURNAL_FSYNC_CHECKPOINT, "journal.fsync-checkpoint")
POINT(JOURNAL_COMPACT, "journal.compact")
POINT(JOURNAL_FSYNC_NEW, "journal.fsync-new")
POINT(JOURNAL_RENAME, "journal.rename")
POINT(JOURNAL_FSYNC_DIR, "journal.fsync-dir")
/* a target that a reload removes */
POINT(ARCHIVE_FSYNC_DIR, "archive.fsync-dir")
/* resume */
POINT(RESUME_TRUNCATE, "resume.ftruncate")
POINT(RESUME_FSYNC_NAME, "resume.fsync-name")
POINT(RESUME_UNLINK, "resume.unlink")
