/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * The record of what is durable. What a loss makes of it is in loss.c.
 */

#include "forget.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node.h"

struct model model;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t *numbers; /* inode numbers in use */
static size_t numbers_size;

void
forget_lock(void)
{
	pthread_mutex_lock(&lock);
}

void
forget_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

void *
must(void *p)
{
	if (!p)
		abort();
	return p;
}

/* ---------------------------------------------------------------- nodes */

/* The lowest one that is free, as ext4 does it: a number is soon another file's. */
static uint64_t
take_number(void)
{
	size_t i = 1;

	while (i < numbers_size && numbers[i])
		i++;
	if (i >= numbers_size) {
		size_t size = numbers_size ? numbers_size * 2 : 1024;

		numbers = must(realloc(numbers, size));
		memset(numbers + numbers_size, 0, size - numbers_size);
		numbers_size = size;
	}
	numbers[i] = 1;
	return i;
}

static struct node **
bucket(uint64_t real)
{
	return &model.buckets[real % BUCKETS];
}

static struct node *
by_inode(uint64_t real)
{
	struct node *n = *bucket(real);

	while (n && n->real != real)
		n = n->next;
	return n;
}

void
node_unhash(struct node *n)
{
	struct node **at = bucket(n->real);

	while (*at && *at != n)
		at = &(*at)->next;
	if (*at)
		*at = n->next;
	n->real = 0;
}

void
node_hash(struct node *n, uint64_t real)
{
	n->real = real;
	n->next = *bucket(real);
	*bucket(real) = n;
}

void
node_object(const struct node *n, const char *kind, char path[REAL_MAX])
{
	snprintf(path, REAL_MAX, "%s/%lu%s", model.objects, (unsigned long)n->id, kind);
}

static struct node *
make_node(const char *real, const struct stat *st)
{
	struct node *n = must(calloc(1, sizeof(*n)));
	char object[REAL_MAX];

	n->id = ++model.last_id;
	n->number = take_number();
	n->mode = st->st_mode;
	n->uid = st->st_uid;
	n->gid = st->st_gid;
	n->shadow = -1;
	node_hash(n, st->st_ino);
	n->all_next = model.all;
	model.all = n;
	/* keeps the file when it has no name left, and its inode number from being given to another one */
	if (!S_ISDIR(st->st_mode)) {
		node_object(n, "", object);
		if (linkat(AT_FDCWD, real, AT_FDCWD, object, 0) < 0)
			abort();
	}
	return n;
}

static void
drop_shadow(struct node *n)
{
	char path[REAL_MAX];

	if (n->shadow < 0)
		return;
	close(n->shadow);
	n->shadow = -1;
	node_object(n, ".shadow", path);
	unlink(path);
}

void
node_clean(struct node *n)
{
	free(n->dirty);
	free(n->sizes);
	n->dirty = NULL;
	n->sizes = NULL;
	n->dirty_pages = n->size_count = 0;
	n->is_dirty = false;
}

void
node_clean_all(struct node *n)
{
	drop_shadow(n);
	node_clean(n);
}

/* Free what has no name, neither now nor after a power loss, and is not open. */
void
node_release(struct node *n)
{
	char object[REAL_MAX];
	struct node **at;
	struct stat st;

	if (n == model.root || n->durable_names || n->mentions || n->handles)
		return;
	if (S_ISDIR(n->mode)) {
		if (n->real || n->entry_count)
			return;
	} else {
		node_object(n, "", object);
		if (lstat(object, &st) == 0 && st.st_nlink > 1)
			return;
		unlink(object);
		node_unhash(n);
	}
	node_clean_all(n);
	numbers[n->number] = 0;
	for (at = &model.all; *at != n; at = &(*at)->all_next)
		;
	*at = n->all_next;
	free(n->entries);
	free(n);
}

struct node *
forget_find(const char *real)
{
	struct stat st;

	if (!model.on || lstat(real, &st) < 0)
		return NULL;
	return by_inode(st.st_ino);
}

void
forget_opened(struct node *n)
{
	if (n)
		n->handles++;
}

void
forget_closed(struct node *n)
{
	if (!n)
		return;
	n->handles--;
	node_release(n);
}

void
forget_stat(struct stat *st)
{
	const struct node *n = model.on ? by_inode(st->st_ino) : NULL;

	if (!n)
		return;
	st->st_ino = n->number;
	if (!S_ISDIR(st->st_mode))
		st->st_nlink--;
}

/* ---------------------------------------------------------------- entries of directories */

struct entry *
entry_find(const struct node *dir, const char *name)
{
	for (size_t i = 0; i < dir->entry_count; i++)
		if (strcmp(dir->entries[i].name, name) == 0)
			return &dir->entries[i];
	return NULL;
}

void
entry_remove(struct node *dir, const char *name)
{
	struct entry *e = entry_find(dir, name);

	if (!e)
		return;
	e->node->durable_names--;
	free(e->name);
	*e = dir->entries[--dir->entry_count];
}

void
entry_set(struct node *dir, const char *name, struct node *n)
{
	entry_remove(dir, name);
	dir->entries = must(realloc(dir->entries, (dir->entry_count + 1) * sizeof(*dir->entries)));
	dir->entries[dir->entry_count].name = must(strdup(name));
	dir->entries[dir->entry_count++].node = n;
	n->durable_names++;
}

static struct node *
parent(const char *real, const char **name)
{
	const char *slash = strrchr(real, '/');
	char dir[REAL_MAX];

	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - real), real);
	*name = slash + 1;
	return must(forget_find(dir));
}

static void
note_change(struct change change)
{
	struct change *c;

	model.changes = must(realloc(model.changes, (model.change_count + 1) * sizeof(*model.changes)));
	c = &model.changes[model.change_count++];
	*c = change;
	c->name = must(strdup(change.name));
	c->to_name = change.to_name ? must(strdup(change.to_name)) : NULL;
	c->node->mentions++;
	c->dir->mentions++;
	if (c->to_dir)
		c->to_dir->mentions++;
}

void
change_apply(const struct change *c)
{
	const struct entry *old;

	switch (c->type) {
	case CHANGE_ADD:
		entry_set(c->dir, c->name, c->node);
		break;
	case CHANGE_REMOVE:
		entry_remove(c->dir, c->name);
		break;
	case CHANGE_MOVE:
		old = entry_find(c->dir, c->name);
		if (old && old->node == c->node)
			entry_remove(c->dir, c->name);
		entry_set(c->to_dir, c->to_name, c->node);
		break;
	}
}

void
change_free(struct change *c)
{
	c->node->mentions--;
	c->dir->mentions--;
	if (c->to_dir)
		c->to_dir->mentions--;
	free(c->name);
	free(c->to_name);
}

static void
note_size(struct node *n, uint64_t size)
{
	if (n->size_count && n->sizes[n->size_count - 1] == size)
		return;
	n->sizes = must(realloc(n->sizes, (n->size_count + 1) * sizeof(*n->sizes)));
	n->sizes[n->size_count++] = size;
}

struct node *
forget_added(const char *real)
{
	struct change c = {.type = CHANGE_ADD};
	const char *name;
	struct stat st;

	if (!model.on || lstat(real, &st) < 0)
		return NULL;
	c.node = by_inode(st.st_ino);
	if (!c.node) {
		c.node = make_node(real, &st);
		if (S_ISREG(st.st_mode)) {
			c.node->is_dirty = true;
			note_size(c.node, 0);
		}
	}
	c.dir = parent(real, &name);
	c.name = (char *)(uintptr_t)name;
	note_change(c);
	return c.node;
}

void
forget_removed(const char *real, struct node *n)
{
	struct change c = {.type = CHANGE_REMOVE, .node = n};
	const char *name;

	if (!n)
		return;
	c.dir = parent(real, &name);
	c.name = (char *)(uintptr_t)name;
	note_change(c);
	/* the directory's number may be given to another one now */
	if (S_ISDIR(n->mode))
		node_unhash(n);
}

void
forget_moved(const char *from, const char *to, struct node *n, struct node *over)
{
	struct change c = {.type = CHANGE_MOVE, .node = n};
	const char *name, *to_name;

	if (!n)
		return;
	c.dir = parent(from, &name);
	c.to_dir = parent(to, &to_name);
	c.name = (char *)(uintptr_t)name;
	c.to_name = (char *)(uintptr_t)to_name;
	note_change(c);
	if (over && over != n && S_ISDIR(over->mode))
		node_unhash(over);
}

/* A rename from one directory to another is durable when both are. */
static bool
settled_by(struct change *c, const struct node *dir)
{
	if (c->dir == dir)
		c->dir_synced = true;
	if (c->to_dir == dir)
		c->to_dir_synced = true;
	return c->dir_synced && (!c->to_dir || c->to_dir_synced);
}

void
forget_synced_dir(struct node *dir)
{
	size_t kept = 0;

	if (!dir)
		return;
	for (size_t i = 0; i < model.change_count; i++) {
		struct change c = model.changes[i];

		if (!settled_by(&c, dir)) {
			model.changes[kept++] = c;
			continue;
		}
		change_apply(&c);
		change_free(&c);
	}
	model.change_count = kept;
	/* what has just lost its last durable name; the list changes under our feet */
	for (struct node *n = model.all, *next; n; n = next) {
		next = n->all_next;
		node_release(n);
	}
}

/* ---------------------------------------------------------------- content of files */

static uint64_t
live_size(const struct node *n)
{
	char object[REAL_MAX];
	struct stat st;

	node_object(n, "", object);
	return lstat(object, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

int
node_copy(int from, int to, uint64_t off, uint64_t len)
{
	static char buf[1 << 20];

	while (len) {
		size_t want = len < sizeof(buf) ? (size_t)len : sizeof(buf);
		ssize_t n = pread(from, buf, want, (off_t)off);

		if (n < 0)
			return -errno;
		/* behind its end, or a hole */
		memset(buf + n, 0, want - (size_t)n);
		if (pwrite(to, buf, want, (off_t)off) != (ssize_t)want)
			return errno ? -errno : -EIO;
		off += want;
		len -= want;
	}
	return 0;
}

static int
make_shadow(struct node *n, uint64_t size)
{
	char object[REAL_MAX], shadow[REAL_MAX];
	int rc, fd;

	node_object(n, "", object);
	node_object(n, ".shadow", shadow);
	fd = open(object, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n->shadow = open(shadow, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	rc = n->shadow < 0 ? -errno : node_copy(fd, n->shadow, 0, size);
	close(fd);
	return rc;
}

int
forget_before(struct node *n)
{
	uint64_t size;

	if (!n || n->is_dirty)
		return 0;
	size = live_size(n);
	if (n->shadow < 0) {
		int rc = make_shadow(n, size);

		if (rc < 0)
			return rc;
	}
	n->is_dirty = true;
	note_size(n, size);
	return 0;
}

void
forget_changed(struct node *n, uint64_t off, uint64_t len)
{
	size_t last;

	if (!n)
		return;
	if (len) {
		last = (size_t)((off + len - 1) / PAGE);
		if (last >= n->dirty_pages) {
			size_t pages = last + 1 + last / 2;

			n->dirty = must(realloc(n->dirty, pages));
			memset(n->dirty + n->dirty_pages, 0, pages - n->dirty_pages);
			n->dirty_pages = pages;
		}
		memset(n->dirty + off / PAGE, 1, last + 1 - (size_t)(off / PAGE));
	}
	note_size(n, live_size(n));
}

void
forget_synced(struct node *n)
{
	char object[REAL_MAX];
	struct stat st;
	int fd;

	if (!n)
		return;
	node_object(n, "", object);
	fd = open(object, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		abort();
	n->mode = st.st_mode;
	n->uid = st.st_uid;
	n->gid = st.st_gid;
	if (n->shadow >= 0) {
		for (size_t i = 0; i < n->dirty_pages; i++)
			if (n->dirty[i] && node_copy(fd, n->shadow, i * PAGE, PAGE) < 0)
				abort();
		if (ftruncate(n->shadow, st.st_size) < 0)
			abort();
	}
	close(fd);
	node_clean(n);
}

/* ---------------------------------------------------------------- start */

static void
scan(struct node *dir, const char *path)
{
	DIR *list = must(opendir(path));
	struct dirent *e;

	while ((e = readdir(list)) != NULL) {
		char child[REAL_MAX];
		struct node *n;
		struct stat st;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if ((size_t)snprintf(child, sizeof(child), "%s/%s", path, e->d_name) >= sizeof(child) ||
			lstat(child, &st) < 0)
			abort();
		n = by_inode(st.st_ino);
		if (!n)
			n = make_node(child, &st);
		entry_set(dir, e->d_name, n);
		if (S_ISDIR(st.st_mode))
			scan(n, child);
	}
	closedir(list);
}

int
forget_start(const char *backing, const char *objects)
{
	struct stat st;

	if (model.on)
		return -EALREADY;
	if (mkdir(objects, 0700) < 0 || lstat(backing, &st) < 0)
		return -errno;
	snprintf(model.backing, sizeof(model.backing), "%s", backing);
	snprintf(model.objects, sizeof(model.objects), "%s", objects);
	model.on = true;
	model.root = make_node(backing, &st);
	scan(model.root, backing);
	return 0;
}
