/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef FAULTFS_NODE_H
#define FAULTFS_NODE_H

/**
 * @file
 * Files and directories as forget.c and loss.c see them.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BUCKETS 4096
#define PAGE 4096
#define REAL_MAX (2 * PATH_MAX)

struct entry {
	char *name;
	struct node *node;
};

struct node {
	struct node *next;           /**< in its bucket */
	struct node *all_next;
	uint64_t id;
	uint64_t number;             /**< inode number that programs see */
	uint64_t real;               /**< that of the backing file; 0: none */
	mode_t mode;                 /**< durable, as uid and gid */
	uid_t uid;
	gid_t gid;
	unsigned int durable_names;
	unsigned int mentions;       /**< in changes */
	unsigned int handles;

	/* directories: the durable entries */
	struct entry *entries;
	size_t entry_count;

	/* files */
	bool is_dirty;               /**< something may differ from what is durable */
	int shadow;                  /**< durable content; -1: nothing if it is dirty, else the live one */
	uint8_t *dirty;              /**< one a page */
	size_t dirty_pages;
	uint64_t *sizes;             /**< that it had since, the durable one first */
	size_t size_count;
};

enum change_type { CHANGE_ADD, CHANGE_REMOVE, CHANGE_MOVE };

/** A change of directory entries that is not durable. */
struct change {
	enum change_type type;
	struct node *dir, *to_dir, *node;
	char *name, *to_name;
	bool dir_synced, to_dir_synced;
};

struct model {
	bool on;
	char backing[PATH_MAX], objects[PATH_MAX + 16];
	struct node *root, *all;
	struct node *buckets[BUCKETS];
	uint64_t last_id;
	struct change *changes;      /**< in the order in which they were made */
	size_t change_count;
};

extern struct model model;

void *must(void *p);
void node_hash(struct node *n, uint64_t real);
void node_unhash(struct node *n);
/** The name that a file keeps whatever happens, or, with ".shadow", its durable content. */
void node_object(const struct node *n, const char *kind, char path[REAL_MAX]);
/** The live content is the durable one. */
void node_clean(struct node *n);
/** The same, and the shadow is not up to date. */
void node_clean_all(struct node *n);
void node_release(struct node *n);
/** Copy bytes to the same place; zeros for what lies behind the end. @return 0 or -errno */
int node_copy(int from, int to, uint64_t off, uint64_t len);
struct entry *entry_find(const struct node *dir, const char *name);
void entry_remove(struct node *dir, const char *name);
void entry_set(struct node *dir, const char *name, struct node *n);
void change_apply(const struct change *c);
void change_free(struct change *c);

#endif
