/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * One thread for each mounted file system makes the calls that touch its metadata, so that no lcore ever waits for it,
 * and a hung one holds up nobody else.
 */

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static void *
endpoint_main(void *arg)
{
	struct sl_endpoint *e = arg;
	const void *cpus = e->writers->params.helper_cpus;
	char name[16];

	snprintf(name, sizeof(name), "sl-meta%u", e->index % 1000);
	pthread_setname_np(pthread_self(), name);
	if (cpus)
		(void)pthread_setaffinity_np(pthread_self(), sizeof(cpu_set_t), cpus);
	for (;;) {
		void *obj;

		if (rte_ring_dequeue(e->urgent, &obj) == 0 || rte_ring_dequeue(e->normal, &obj) == 0) {
			struct sl_job *job = obj;
			struct sl_writer *w = job->target->writer;

			run(job);
			/* room for every job there can be */
			(void)rte_ring_enqueue(w->done, job);
			if (w->lcore)
				sl_bell_ring(&w->lcore->bell);
			continue;
		}
		if (atomic_load_explicit(&e->quit, memory_order_acquire))
			return NULL;
		while (sem_wait(&e->work) < 0 && errno == EINTR)
			;
	}
}

int
sl_endpoint_start(struct sl_endpoint *e, struct sl_writers *writers, unsigned int jobs)
{
	int rc;

	e->writers = writers;
	e->urgent = sl_queue_create(jobs, true);
	e->normal = sl_queue_create(jobs, true);
	if (!e->urgent || !e->normal)
		return -ENOMEM;
	sem_init(&e->work, 0, 0);
	rc = pthread_create(&e->thread, NULL, endpoint_main, e);
	if (rc)
		return -rc;
	e->started = true;
	return 0;
}

void
sl_endpoint_post(struct sl_endpoint *e, struct sl_job *job, bool urgent)
{
	(void)rte_ring_enqueue(urgent ? e->urgent : e->normal, job);
	sem_post(&e->work);
}

int
sl_endpoint_stop(struct sl_endpoint *e, uint64_t deadline)
{
	struct timespec ts;
	uint64_t left, now;
	int rc = 0;

	if (e->started) {
		atomic_store_explicit(&e->quit, true, memory_order_release);
		sem_post(&e->work);
		clock_gettime(CLOCK_MONOTONIC, &ts);
		now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
		left = deadline > now ? deadline - now : 0;
		clock_gettime(CLOCK_REALTIME, &ts);
		now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec + left;
		ts.tv_sec = (time_t)(now / 1000000000u);
		ts.tv_nsec = (long)(now % 1000000000u);
		rc = -pthread_timedjoin_np(e->thread, NULL, &ts);
		if (rc)
			return rc;
		e->started = false;
		sem_destroy(&e->work);
	}
	free(e->urgent);
	free(e->normal);
	e->urgent = e->normal = NULL;
	return 0;
}
