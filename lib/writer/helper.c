/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * A few threads for each mounted file system make the calls that touch its metadata, so that no lcore ever waits for
 * it, and a hung one holds up nobody else. The first of them takes only what packets wait for: however many fsyncs are
 * under way, the next file is opened at once.
 */

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "monotonic.h"
#include "resume.h"
#include "target.h"

struct rte_ring *
sl_queue_create(unsigned int entries, bool multi_producer)
{
	unsigned int flags = RING_F_SC_DEQ | RING_F_EXACT_SZ | (multi_producer ? 0 : RING_F_SP_ENQ);
	unsigned int count = 2;
	struct rte_ring *r;
	ssize_t size;

	while (count < entries + 1)
		count *= 2;
	size = rte_ring_get_memsize(count);
	if (size < 0)
		return NULL;
	r = aligned_alloc(
		RTE_CACHE_LINE_SIZE, ((size_t)size + RTE_CACHE_LINE_SIZE - 1) & ~(size_t)(RTE_CACHE_LINE_SIZE - 1));
	if (!r)
		return NULL;
	if (rte_ring_init(r, "sl_jobs", entries, flags) < 0) {
		free(r);
		return NULL;
	}
	return r;
}

static void
run(struct sl_job *job)
{
	switch (job->type) {
	case SL_JOB_OPEN:
		sl_job_open(job);
		break;
	case SL_JOB_EXTEND:
		sl_job_extend(job);
		break;
	case SL_JOB_PUBLISH:
		sl_job_publish(job);
		break;
	case SL_JOB_CHECKPOINT:
		sl_job_checkpoint(job);
		break;
	case SL_JOB_ADOPT:
		sl_job_adopt(job);
		break;
	}
}

static struct sl_job *
next_job(const struct sl_helper *h)
{
	struct sl_endpoint *e = h->endpoint;
	void *obj = NULL;

	pthread_mutex_lock(&e->lock);
	if (rte_ring_dequeue(e->urgent, &obj) < 0 && h->index > 0)
		(void)rte_ring_dequeue(e->normal, &obj);
	pthread_mutex_unlock(&e->lock);
	return obj;
}

static void
give_back(struct sl_endpoint *e, struct sl_job *job)
{
	struct sl_writer *w = job->target->writer;

	/* room for every job there can be; under the lock, so that no helper spins for one that has lost its CPU */
	pthread_mutex_lock(&e->lock);
	(void)rte_ring_enqueue(w->done, job);
	pthread_mutex_unlock(&e->lock);
	if (w->lcore)
		sl_bell_ring(&w->lcore->bell);
}

static void *
helper_main(void *arg)
{
	struct sl_helper *h = arg;
	struct sl_endpoint *e = h->endpoint;
	const void *cpus = e->writers->params.helper_cpus;
	sem_t *work = h->index == 0 ? &e->urgent_work : &e->work;
	char name[16];

	snprintf(name, sizeof(name), "sl-meta%u.%u", e->index % 1000, h->index);
	pthread_setname_np(pthread_self(), name);
	if (cpus)
		(void)pthread_setaffinity_np(pthread_self(), sizeof(cpu_set_t), cpus);
	for (;;) {
		struct sl_job *job = next_job(h);

		if (job) {
			atomic_store_explicit(&h->busy_since, monotonic_ns(), memory_order_relaxed);
			atomic_store_explicit(&job->begun, true, memory_order_relaxed);
			run(job);
			give_back(e, job);
			atomic_store_explicit(&e->progress_at, monotonic_ns(), memory_order_relaxed);
			atomic_store_explicit(&h->busy_since, 0, memory_order_relaxed);
			continue;
		}
		if (atomic_load_explicit(&e->quit, memory_order_acquire))
			return NULL;
		while (sem_wait(work) < 0 && errno == EINTR)
			;
	}
}

static int
add_helper(struct sl_endpoint *e)
{
	struct sl_helper *h = &e->helpers[e->started];
	int rc;

	h->endpoint = e;
	h->index = e->started;
	rc = pthread_create(&h->thread, NULL, helper_main, h);
	if (rc)
		return -rc;
	e->started++;
	return 0;
}

int
sl_endpoint_grow(struct sl_endpoint *e)
{
	unsigned int i, wanted = 0;
	int rc = 0;

	/* two jobs of one target may hang, which must not take all of those that do more than open files */
	for (i = 0; i < e->writers->target_count; i++)
		wanted += 2 * (e->writers->targets[i].endpoint == e);
	e->wanted = wanted > SL_HELPERS ? SL_HELPERS : wanted;
	/* the thread that starts more where some hang may be at it, too */
	pthread_mutex_lock(&e->lock);
	while (rc == 0 && e->started < e->wanted)
		rc = add_helper(e);
	pthread_mutex_unlock(&e->lock);
	return rc;
}

int
sl_endpoint_start(struct sl_endpoint *e, struct sl_writers *writers, unsigned int jobs)
{
	if (!e->urgent)
		e->urgent = sl_queue_create(jobs, true);
	if (!e->normal)
		e->normal = sl_queue_create(jobs, true);
	if (!e->urgent || !e->normal)
		return -ENOMEM;
	e->writers = writers;
	pthread_mutex_init(&e->lock, NULL);
	sem_init(&e->work, 0, 0);
	sem_init(&e->urgent_work, 0, 0);
	return sl_endpoint_grow(e);
}

void
sl_endpoint_post(struct sl_endpoint *e, struct sl_job *job, bool urgent)
{
	(void)rte_ring_enqueue(urgent ? e->urgent : e->normal, job);
	sem_post(&e->work);
	if (urgent)
		sem_post(&e->urgent_work);
}

/* ---------------------------------------------------------------- helpers for those that hang */

#define HANGS_NS UINT64_C(500000000)

static bool
helper_hangs(struct sl_endpoint *e)
{
	uint64_t now = monotonic_ns();

	for (unsigned int i = 0; i < e->started; i++) {
		uint64_t since = atomic_load_explicit(&e->helpers[i].busy_since, memory_order_relaxed);

		if (since && now - since > HANGS_NS)
			return true;
	}
	return false;
}

static void
relieve(struct sl_endpoint *e)
{
	int rc;

	/* busy is not hung: more threads would only make more of what is too much already */
	if (e->started >= SL_HELPERS_MAX || !helper_hangs(e))
		return;
	pthread_mutex_lock(&e->lock);
	rc = add_helper(e);
	pthread_mutex_unlock(&e->lock);
	if (rc == 0)
		WLOG(NOTICE, "%s: a system call hangs; thread %u does what waits behind it\n", e->key, e->started);
}

static void *
spare_main(void *arg)
{
	struct sl_writers *all = arg;
	const void *cpus = all->params.helper_cpus;

	pthread_setname_np(pthread_self(), "sl-meta-spare");
	if (cpus)
		(void)pthread_setaffinity_np(pthread_self(), sizeof(cpu_set_t), cpus);
	for (;;) {
		while (sem_wait(&all->spare_work) < 0 && errno == EINTR)
			;
		if (atomic_load_explicit(&all->spare_quit, memory_order_acquire))
			return NULL;
		for (unsigned int i = 0; i < all->endpoint_count; i++)
			if (atomic_exchange(&all->endpoints[i].starved, false))
				relieve(&all->endpoints[i]);
	}
}

int
sl_spare_start(struct sl_writers *all)
{
	int rc;

	sem_init(&all->spare_work, 0, 0);
	rc = pthread_create(&all->spare, NULL, spare_main, all);
	all->spare_started = rc == 0;
	return -rc;
}

void
sl_spare_stop(struct sl_writers *all)
{
	if (!all->spare_started)
		return;
	atomic_store_explicit(&all->spare_quit, true, memory_order_release);
	sem_post(&all->spare_work);
	pthread_join(all->spare, NULL);
	sem_destroy(&all->spare_work);
	all->spare_started = false;
}

void
sl_endpoint_starved(struct sl_endpoint *e)
{
	if (!atomic_exchange(&e->starved, true))
		sem_post(&e->writers->spare_work);
}

int
sl_endpoint_stop(struct sl_endpoint *e, uint64_t deadline)
{
	const struct timespec until = {
		.tv_sec = (time_t)(deadline / 1000000000u), .tv_nsec = (long)(deadline % 1000000000u)};
	unsigned int i;

	if (e->started) {
		atomic_store_explicit(&e->quit, true, memory_order_release);
		for (i = 0; i < e->started; i++) {
			sem_post(&e->work);
			sem_post(&e->urgent_work);
		}
		/* one that hangs stays the last in the list, so that a second call would wait for it again */
		while (e->started) {
			/* the clock of the wall may be set meanwhile */
			int rc = pthread_clockjoin_np(e->helpers[e->started - 1].thread, NULL, CLOCK_MONOTONIC, &until);

			if (rc)
				return -rc;
			e->started--;
		}
		sem_destroy(&e->work);
		sem_destroy(&e->urgent_work);
		pthread_mutex_destroy(&e->lock);
	}
	free(e->urgent);
	free(e->normal);
	e->urgent = e->normal = NULL;
	return 0;
}
