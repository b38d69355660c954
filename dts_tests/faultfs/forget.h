/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef FAULTFS_FORGET_H
#define FAULTFS_FORGET_H

/**
 * @file
 * Which data and which directory entries a power loss would leave: POSIX promises no more than what was fsynced, the
 * file for its data, size and owner, each directory for its entries. The backing directory always holds what programs
 * see; here is kept what is durable, and what was done since.
 *
 * Without forget_start() every function does nothing. All but forget_lock() are called with the lock held, which spans
 * an operation and its record.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

struct node;

void forget_lock(void);
void forget_unlock(void);

/**
 * All that is there now counts as durable.
 * @param backing  directory that holds what programs see
 * @param objects  directory beside it, made here, for what has lost its name
 * @return 0 or -errno
 */
int forget_start(const char *backing, const char *objects);

/** What a path of the backing directory stands for; NULL: off, or not there. */
struct node *forget_find(const char *real);
/** A file was opened or closed. */
void forget_opened(struct node *n);
void forget_closed(struct node *n);

/** Made: file, directory, symbolic link, or one more name. @return the node */
struct node *forget_added(const char *real);
/** n was removed from its directory. */
void forget_removed(const char *real, struct node *n);
/** n was renamed. @param over  what had the new name, or NULL */
void forget_moved(const char *from, const char *to, struct node *n, struct node *over);

/** Before the content of a file changes. @return 0 or -errno */
int forget_before(struct node *n);
/** Bytes may have changed. */
void forget_changed(struct node *n, uint64_t off, uint64_t len);

void forget_synced(struct node *n);
void forget_synced_dir(struct node *n);

/** Inode numbers outlive a power loss; a hidden name counts for nobody. */
void forget_stat(struct stat *st);

/**
 * The power was lost: make the backing directory what is left.
 * @param seed  0: nothing that was not fsynced; else a random part of it may have reached the disk
 * @return 0 or -errno
 */
int forget_loss(uint64_t seed, FILE *out);

#endif
