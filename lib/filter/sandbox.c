/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sandbox.h"

#define SIGNALS 4

static const int signals[SIGNALS] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before[SIGNALS]; /* under one_at_a_time */
static _Thread_local sigjmp_buf *volatile armed;

struct sl_sandbox {
	uint8_t *area;
	size_t area_len;
	uint8_t *end; /* first byte that nobody may read */
};

static void
on_signal(int signo)
{
	if (armed != NULL)
		siglongjmp(*armed, 1);
	/* Not ours: it happens again when this returns, and then goes where it went before. */
	for (int i = 0; i < SIGNALS; i++)
		if (signals[i] == signo)
			sigaction(signo, &before[i], NULL);
}

int
sl_sandbox_create(struct sl_sandbox **sandbox)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t room = (SL_CONCOLIC_MAX_CAPLEN + sizeof(struct sl_record) + page - 1) / page * page;
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};
	struct sl_sandbox *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	/* A page that nobody may read at both ends. */
	s->area_len = room + 2 * page;
	s->area = mmap(NULL, s->area_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->area == MAP_FAILED) {
		free(s);
		return -ENOMEM;
	}
	if (mprotect(s->area + page, room, PROT_READ | PROT_WRITE) != 0) {
		munmap(s->area, s->area_len);
		free(s);
		return -ENOMEM;
	}
	s->end = s->area + page + room;
	sigemptyset(&sa.sa_mask);
	pthread_mutex_lock(&one_at_a_time);
	for (int i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &sa, &before[i]);
	*sandbox = s;
	return 0;
}

void
sl_sandbox_destroy(struct sl_sandbox *sandbox)
{
	if (sandbox == NULL)
		return;
	for (int i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &before[i], NULL);
	pthread_mutex_unlock(&one_at_a_time);
	munmap(sandbox->area, sandbox->area_len);
	free(sandbox);
}

int
sl_sandbox_run(struct sl_sandbox *sandbox, sl_filter_fn fn, const struct sl_packet *packet, const uint8_t **data,
	uint64_t *result)
{
	struct sl_record r = {.sec = 1, .nsec = 2, .caplen = packet->caplen, .len = packet->len};
	uint8_t *at = sandbox->end - packet->caplen;
	sigjmp_buf back;

	memcpy(at, packet->data, packet->caplen);
	memcpy(at - sizeof(r), &r, sizeof(r));
	*data = at;
	/* Without the signal mask, which would cost a system call a packet: SA_NODEFER leaves it as it is. */
	if (sigsetjmp(back, 0) != 0) {
		armed = NULL;
		return -EFAULT;
	}
	armed = &back;
	*result = fn(at - sizeof(r));
	armed = NULL;
	return 0;
}
