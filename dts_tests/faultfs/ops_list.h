/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Operations by the names that rules and the log use: OP(id, name, it changes or syncs something).
 */

OP(GETATTR, "getattr", false)
OP(READLINK, "readlink", false)
OP(READDIR, "readdir", false)
OP(OPEN, "open", false)
OP(READ, "read", false)
OP(STATFS, "statfs", false)
OP(FLUSH, "flush", false)
OP(CREATE, "create", true)
OP(MKDIR, "mkdir", true)
OP(SYMLINK, "symlink", true)
OP(LINK, "link", true)
OP(RENAME, "rename", true)
OP(UNLINK, "unlink", true)
OP(RMDIR, "rmdir", true)
OP(WRITE, "write", true)
OP(TRUNCATE, "truncate", true)
OP(FALLOCATE, "fallocate", true)
OP(CHOWN, "chown", true)
OP(CHMOD, "chmod", true)
OP(FSYNC, "fsync", true)
OP(FSYNCDIR, "fsyncdir", true)
