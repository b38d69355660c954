/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_PUSH_PLACE_H
#define SL_APP_PUSH_PLACE_H

/**
 * @file
 * Where a Path leads: the same for all of its spellings.
 */

#include <limits.h>

#define PUSH_PLACE_SIZE (3 * PATH_MAX)

/**
 * "/a//b/./c/../x" -> "/a/b/x": as text. Of a slash at the end one stays, the difference between a directory and the beginning
 * of a name.
 * @param path  absolute
 * @param out   as long as path
 */
void push_place_clean(const char *path, char *out);

/**
 * Follow the symbolic links of a Path's directory, as far as it is there and does not lie on a file system that may hang; beyond
 * that, and from the first strftime conversion on, it is taken as text. Main thread, before stages run or beside them.
 *
 * @param path  absolute; what follows its last slash is the beginning of a file's name
 * @param out   PUSH_PLACE_SIZE bytes
 * @return 0 or -ENAMETOOLONG
 */
int push_place_follow(const char *path, char *out);

/**
 * "8:1:/srv/push/x": file system and path in it, as seen by the kernel, so whatever it is mounted on, symbolic links or the
 * mount namespace call it.
 * @param path  as push_place_follow() gave it
 * @param out   PUSH_PLACE_SIZE bytes
 * @return 0; -ENAMETOOLONG; -errno of reading /proc/self/mountinfo
 */
int push_place_name(const char *path, char *out);

#endif
