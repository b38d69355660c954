/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * A power loss: which changes survive, and the backing directory made anew from them.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "forget.h"
#include "node.h"

/* How this disk behaved; drawn from the seed. */
struct disk {
	uint64_t random;
	unsigned int entries; /* chance in 256 that a change of a directory survives */
	size_t journal; /* changes before this one survive: a journal keeps their order */
	unsigned int pages; /* chance in 256 that a piece of data survives */
	unsigned int piece; /* its bytes */
	unsigned int kept, lost;
};

/* splitmix64 */
static uint64_t
draw(struct disk *d)
{
	uint64_t z = d->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static bool
chance(struct disk *d, unsigned int of_256)
{
	return draw(d) % 256 < of_256;
}

static void
describe_disk(struct disk *d, uint64_t seed)
{
	static const unsigned int chances[] = {0, 26, 128, 230, 256};

	*d = (struct disk){.random = seed, .piece = PAGE};
	if (seed == 0)
		return;
	d->entries = chances[draw(d) % 5];
	d->pages = chances[draw(d) % 5];
	if (draw(d) % 2)
		d->piece = 512;
	if (draw(d) % 3 == 0) {
		d->entries = 0;
		d->journal = draw(d) % (model.change_count + 1);
	}
}

/* ---------------------------------------------------------------- what survives */

static void
settle_changes(struct disk *d)
{
	for (size_t i = 0; i < model.change_count; i++) {
		struct change *c = &model.changes[i];
		bool survives = i < d->journal || (d->entries && chance(d, d->entries));

		/* no file system loses what a directory holds because it has lost the removal of that */
		if (c->type == CHANGE_REMOVE && S_ISDIR(c->node->mode) && c->node->entry_count)
			survives = false;
		if (survives)
			change_apply(c);
		d->kept += survives;
		d->lost += !survives;
		change_free(c);
	}
	model.change_count = 0;
}

static int
restore_page(struct disk *d, const struct node *n, int fd, size_t page)
{
	char buf[PAGE] = {0};

	if (n->shadow >= 0 && pread(n->shadow, buf, PAGE, (off_t)(page * PAGE)) < 0)
		return -errno;
	for (unsigned int at = 0; at < PAGE; at += d->piece) {
		if (d->pages && chance(d, d->pages)) {
			d->kept++;
			continue;
		}
		d->lost++;
		if (pwrite(fd, buf + at, d->piece, (off_t)(page * PAGE + at)) != (ssize_t)d->piece)
			return errno ? -errno : -EIO;
	}
	return 0;
}

static int
settle_content(struct disk *d, struct node *n)
{
	uint64_t size = n->size_count ? n->sizes[0] : 0;
	char object[REAL_MAX];
	int fd, rc = 0;

	if (!n->is_dirty)
		return 0;
	if (d->pages && n->size_count)
		size = n->sizes[draw(d) % n->size_count];
	node_object(n, "", object);
	fd = open(object, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; rc == 0 && i < n->dirty_pages; i++)
		if (n->dirty[i])
			rc = restore_page(d, n, fd, i);
	if (rc == 0 && ftruncate(fd, (off_t)size) < 0)
		rc = -errno;
	close(fd);
	node_clean_all(n);
	return rc;
}

/* ---------------------------------------------------------------- the tree anew */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	return ftw->level == 0 ? 0 : remove(path);
}

static int
build(struct disk *d, struct node *dir, const char *path)
{
	for (size_t i = 0; i < dir->entry_count; i++) {
		struct node *n = dir->entries[i].node;
		char child[REAL_MAX], object[REAL_MAX];
		struct stat st;
		int rc;

		if ((size_t)snprintf(child, sizeof(child), "%s/%s", path, dir->entries[i].name) >= sizeof(child))
			return -ENAMETOOLONG;
		if (S_ISDIR(n->mode)) {
			if (mkdir(child, 0700) < 0 || lstat(child, &st) < 0)
				return -errno;
			if (n->real)
				node_unhash(n);
			node_hash(n, st.st_ino);
			rc = build(d, n, child);
			if (rc < 0)
				return rc;
		} else {
			rc = S_ISREG(n->mode) ? settle_content(d, n) : 0;
			if (rc < 0)
				return rc;
			node_object(n, "", object);
			if (linkat(AT_FDCWD, object, AT_FDCWD, child, 0) < 0)
				return -errno;
		}
		if (lchown(child, n->uid, n->gid) < 0 || (!S_ISLNK(n->mode) && chmod(child, n->mode & 07777) < 0))
			return -errno;
	}
	return 0;
}

/* Directories that are not reached any more have no inode, and their entries are gone. */
static void
forget_unreached(void)
{
	for (struct node *n = model.all; n; n = n->all_next)
		if (S_ISDIR(n->mode) && n != model.root && !n->real)
			while (n->entry_count)
				entry_remove(n, n->entries[0].name);
	for (struct node *n = model.all, *next; n; n = next) {
		next = n->all_next;
		node_release(n);
	}
}

int
forget_loss(uint64_t seed, FILE *out)
{
	struct disk d;
	int rc;

	if (!model.on)
		return -EINVAL;
	describe_disk(&d, seed);
	settle_changes(&d);
	if (nftw(model.backing, remove_one, 64, FTW_DEPTH | FTW_PHYS) < 0)
		return -errno;
	for (struct node *n = model.all; n; n = n->all_next)
		if (S_ISDIR(n->mode) && n != model.root && n->real)
			node_unhash(n);
	rc = build(&d, model.root, model.backing);
	if (rc < 0)
		return rc;
	forget_unreached();
	fprintf(out, "kept %u\nlost %u\n", d.kept, d.lost);
	return 0;
}
