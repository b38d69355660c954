/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * `sluice capture`: ports, lcores and store together, looked after from the main thread.
 */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_launch.h>

#include "app.h"
#include "capture.h"
#include "eal.h"
#include "monotonic.h"

#define TICK_NS 20000000
#define DRAIN_MAX_NS 5000000000u /* an lcore that has not stopped by then does not run */
#define RX_TIMER_MS 1 /* an idle lcore's look at interfaces */

static const struct lcore_stage stages_of_capture[] = {
	{"rx", CAPTURE_STAGE_RX},
	{"store", CAPTURE_STAGE_STORE},
	{NULL, 0},
};

static volatile sig_atomic_t stop_asked, roll_asked;

static void
on_signal(int sig)
{
	if (sig == SIGUSR1) {
		roll_asked = 1;
		return;
	}
	/* Who asks twice does not want to wait; the next capture seals this one. */
	if (stop_asked)
		_exit(SL_EXIT_FAILED);
	stop_asked = 1;
}

static void
catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, hangup;

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	/* A terminal that is closed ends it as Ctrl-C does, unless nohup says otherwise. */
	if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler == SIG_DFL)
		sigaction(SIGHUP, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* ---------------------------------------------------------------- lcores */

/* Few CPUs or one queue: one lcore does all. Else one for the store and the others receive; of four and more one is
 * left free. */
static void
choose_map(struct capture *c)
{
	unsigned int queues = c->options.port_count * c->options.queues, n = 0, rx;
	unsigned int cpus[LCORE_MAP_MAX];

	for (unsigned int cpu = 0; cpu < CPU_SETSIZE && n < LCORE_MAP_MAX; cpu++)
		if (CPU_ISSET(cpu, &c->allowed))
			cpus[n++] = cpu;
	if (queues == 1 || n < 3) {
		c->map[0] = (struct lcore_entry){.stages = CAPTURE_STAGE_RX | CAPTURE_STAGE_STORE, .cpu = cpus[0]};
		c->lcore_count = 1;
		return;
	}
	rx = n >= 4 ? n - 2 : n - 1;
	rx = rx < queues ? rx : queues;
	for (unsigned int i = 0; i < rx; i++)
		c->map[i] = (struct lcore_entry){.stages = CAPTURE_STAGE_RX, .cpu = cpus[i]};
	c->map[rx] = (struct lcore_entry){.stages = CAPTURE_STAGE_STORE, .cpu = cpus[rx]};
	c->lcore_count = rx + 1;
}

/* @return -1: go on; else the exit status */
static int
choose_cpus(struct capture *c)
{
	const struct capture_options *o = &c->options;
	char errbuf[256];

	if (sched_getaffinity(0, sizeof(c->allowed), &c->allowed)) {
		fprintf(stderr, "sluice capture: CPU affinity: %s\n", strerror(errno));
		return SL_EXIT_REFUSED;
	}
	if (!o->lcores.map) {
		choose_map(c);
	} else if (lcore_map_parse(stages_of_capture, o->lcores.map, &c->allowed, c->map, &c->lcore_count, errbuf,
			   sizeof(errbuf))) {
		fprintf(stderr, "sluice capture: --map: %s\n", errbuf);
		return SL_EXIT_REFUSED;
	}
	c->lanes = lcore_map_with(c->map, c->lcore_count, CAPTURE_STAGE_RX);
	if (lcore_map_with(c->map, c->lcore_count, CAPTURE_STAGE_STORE) != 1 || c->lanes == 0) {
		fprintf(stderr,
			"sluice capture: --map: %u rx and %u store lcores: it takes at least one rx and one store\n",
			c->lanes, lcore_map_with(c->map, c->lcore_count, CAPTURE_STAGE_STORE));
		return SL_EXIT_REFUSED;
	}
	return lcore_options_helpers("capture", &o->lcores, c->map, c->lcore_count, &c->allowed, &c->helper_cpus);
}

static const enum sl_poll_result poll_results[] = {
	[SL_LIVE_IDLE] = SL_POLL_IDLE, [SL_LIVE_BUSY] = SL_POLL_BUSY, [SL_LIVE_WAITING] = SL_POLL_WAITING};

static enum sl_poll_result
poll_rx(void *ctx)
{
	const struct capture_lane *lane = ctx;

	return poll_results[sl_live_rx_poll(lane->live, lane->number)];
}

static enum sl_poll_result
poll_store(void *ctx)
{
	return poll_results[sl_live_store_poll(ctx)];
}

static int
make_lcores(struct capture *c)
{
	for (unsigned int i = 0; i < c->lcore_count; i++) {
		size_t size = (sizeof(*c->lcores[i]) + SL_CACHE_LINE - 1) / SL_CACHE_LINE * SL_CACHE_LINE;

		c->lcores[i] = aligned_alloc(SL_CACHE_LINE, size);
		if (!c->lcores[i])
			return -ENOMEM;
		memset(c->lcores[i], 0, size);
	}
	return 0;
}

static void
map_stages(struct capture *c)
{
	unsigned int lanes = 0;

	for (unsigned int i = 0; i < c->lcore_count; i++) {
		struct sl_lcore *lcore = c->lcores[i];
		unsigned int stages = c->map[i].stages;

		lcore->poll_mode = c->options.lcores.poll;
		lcore->timer_ms = RX_TIMER_MS;
		if (c->lcore_count == 1)
			snprintf(lcore->name, sizeof(lcore->name), "sl-capture");
		else if (stages & CAPTURE_STAGE_RX)
			snprintf(lcore->name, sizeof(lcore->name), "sl-rx%u", lanes);
		else
			snprintf(lcore->name, sizeof(lcore->name), "sl-merge");
		if (stages & CAPTURE_STAGE_RX) {
			struct capture_lane *lane = &c->lane[lanes];

			*lane = (struct capture_lane){.live = c->live, .number = lanes};
			lcore->stages[lcore->stage_count++] =
				(struct sl_stage){.name = "rx", .poll = poll_rx, .ctx = lane};
			lanes++;
		}
		if (stages & CAPTURE_STAGE_STORE)
			lcore->stages[lcore->stage_count++] =
				(struct sl_stage){.name = "store", .poll = poll_store, .ctx = c->live};
	}
}

/* ---------------------------------------------------------------- beginning */

static void
wake_store(void *ctx)
{
	sl_bell_ring(ctx);
}

static struct sl_bell *
store_bell(const struct capture *c)
{
	for (unsigned int i = 0; i < c->lcore_count; i++)
		if (c->map[i].stages & CAPTURE_STAGE_STORE)
			return &c->lcores[i]->bell;
	return NULL;
}

static struct sl_live_params
live_params(const struct capture *c)
{
	const struct capture_options *o = &c->options;

	return (struct sl_live_params){
		.ports = o->ports,
		.port_count = o->port_count,
		.queues = o->queues,
		.lanes = c->lanes,
		/* One lcore may be both; then a queue's packets go to the store at once. */
		.store_apart = c->lcore_count > 1,
		.promiscuous = o->promiscuous,
		.snap_len = o->snap_len,
		.buffer_bytes = o->buffer_bytes,
		.wake = wake_store,
		.wake_ctx = store_bell(c),
		.filter = o->filter,
	};
}

static int
start_eal(struct capture *c, char **argv)
{
	struct sl_live_params params = live_params(c);
	const char *pci[SL_PORTS_MAX];
	struct eal eal = {
		.command = "capture",
		.lcores = c->map,
		.lcore_count = c->lcore_count,
		.helper_cpus = &c->helper_cpus,
		.allowed = &c->allowed,
		.memory = sl_live_memory(&params),
		.no_huge = c->options.lcores.no_huge,
		.pci = pci,
		.extra = c->options.lcores.eal,
	};

	for (unsigned int i = 0; i < c->options.port_count; i++)
		if (c->options.ports[i].kind == SL_PORT_PCI)
			pci[eal.pci_count++] = c->options.ports[i].name;
	return eal_init(&eal, argv);
}

/* Ports first: a capture is begun only when there is something to put into it. @return -1: go on; else the exit status
 */
static int
begin(struct capture *c)
{
	struct sl_live_params params = live_params(c);
	const struct capture_options *o = &c->options;
	char errbuf[SL_CAPTURE_ERRBUF];
	struct sl_store_writer *writer;
	size_t used = 0;
	int ret;

	ret = sl_live_create(&params, &c->live, errbuf);
	if (ret < 0) {
		fprintf(stderr, "sluice capture: %s\n", errbuf);
		return ret == -ENOMEM ? SL_EXIT_FAILED : SL_EXIT_REFUSED;
	}
	for (unsigned int i = 0; i < o->port_count && used < sizeof(c->source); i++)
		used += (size_t)snprintf(
			c->source + used, sizeof(c->source) - used, "%s%s", i ? " " : "", o->ports[i].text);
	struct sl_store_writer_params store = {
		.store = o->store,
		.name = o->name,
		.link_type = sl_live_link_type(c->live),
		.snap_len = o->snap_len,
		.source = c->source,
		.flush_interval = o->flush_interval,
		.buffers = o->store_buffers,
		.nonblocking = true,
		.retention = o->retention,
		.helper_cpus = &c->helper_cpus,
	};
	ret = sl_store_writer_create(&store, &writer, errbuf);
	if (ret < 0) {
		fprintf(stderr, "sluice capture: %s\n", errbuf);
		return ret == -EEXIST || ret == -EBUSY || ret == -EINVAL ? SL_EXIT_REFUSED : SL_EXIT_FAILED;
	}
	capture_warn_of_retention("capture", o->store, &o->retention);
	snprintf(c->first_name, sizeof(c->first_name), "%s", sl_store_writer_info(writer)->name);
	sl_live_start(c->live, writer);
	map_stages(c);
	return -1;
}

/* ---------------------------------------------------------------- running */

static void
tick(void)
{
	struct timespec ts = {.tv_nsec = TICK_NS};

	nanosleep(&ts, NULL);
}

static void
report_ports(const struct capture *c, bool *told)
{
	char errbuf[SL_CAPTURE_ERRBUF];

	for (unsigned int i = 0; i < c->options.port_count; i++) {
		if (told[i] || !sl_live_port_failed(c->live, i, errbuf))
			continue;
		told[i] = true;
		fprintf(stderr, "sluice capture: %s; it brings no more packets\n", errbuf);
	}
}

/* @return 0 when it was asked to end; -errno, after a message, when it can't go on */
static int
look_after(struct capture *c)
{
	bool told[SL_PORTS_MAX] = {false};
	char errbuf[SL_CAPTURE_ERRBUF];

	while (!stop_asked) {
		int ret;

		tick();
		sl_live_tick(c->live);
		report_ports(c, told);
		ret = sl_live_error(c->live, errbuf);
		if (ret < 0) {
			fprintf(stderr, "sluice capture: %s\n", errbuf);
			return ret;
		}
		if (roll_asked) {
			roll_asked = 0;
			capture_roll_tick(c, true);
		} else {
			capture_roll_tick(c, false);
		}
		capture_report_space(c);
		capture_report_line(c);
		if (c->options.duration && monotonic_ns() - c->begun >= c->options.duration)
			break;
	}
	return 0;
}

/* What has arrived by now still goes into the store. */
static void
drain(struct capture *c)
{
	uint64_t since = monotonic_ns();

	sl_live_roll_at(c->live, UINT64_MAX, NULL);
	sl_live_stop(c->live);
	while (!sl_live_drained(c->live) && monotonic_ns() - since < DRAIN_MAX_NS) {
		const struct timespec ts = {.tv_nsec = TICK_NS / 10};

		nanosleep(&ts, NULL);
		sl_live_tick(c->live);
	}
	c->ended = monotonic_ns();
	for (unsigned int i = 0; i < c->lcore_count; i++) {
		atomic_store(&c->lcores[i]->quit, true);
		sl_bell_ring(&c->lcores[i]->bell);
	}
	rte_eal_mp_wait_lcore();
}

static void
say_capturing(const struct capture *c)
{
	if (!c->options.quiet && isatty(STDERR_FILENO))
		fprintf(stderr, "sluice capture: %s into %s, capture %s; Ctrl-C ends\n", c->source, c->options.store,
			c->first_name);
}

static int
run(struct capture *c)
{
	char errbuf[SL_CAPTURE_ERRBUF];
	int ret = 0, closed;

	capture_roll_begin(c);
	c->begun = monotonic_ns();
	for (unsigned int i = 0; i < c->lcore_count && ret == 0; i++)
		ret = rte_eal_remote_launch(sl_lcore_run, c->lcores[i], i + 1);
	if (ret < 0) {
		fprintf(stderr, "sluice capture: an lcore did not start: %s\n", strerror(-ret));
	} else {
		capture_telemetry_start(c);
		say_capturing(c);
		ret = look_after(c);
	}
	drain(c);
	capture_telemetry_stop();
	closed = sl_live_finish(c->live, errbuf);
	capture_report_summary(c, closed == 0);
	if (closed < 0 && ret == 0)
		fprintf(stderr, "sluice capture: %s\n", errbuf);
	return ret < 0 || closed < 0 ? SL_EXIT_FAILED : SL_EXIT_OK;
}

int
cmd_capture(int argc, char **argv)
{
	struct capture *c = calloc(1, sizeof(*c));
	int status, rc;

	if (!c) {
		fprintf(stderr, "sluice capture: out of memory\n");
		return SL_EXIT_FAILED;
	}
	status = capture_options_parse(argc, argv, &c->options);
	if (status < 0)
		status = choose_cpus(c);
	if (status >= 0)
		goto out;
	status = SL_EXIT_FAILED;
	if (make_lcores(c)) {
		fprintf(stderr, "sluice capture: out of memory\n");
		goto out;
	}
	catch_signals();
	/* Helper threads inherit this; the lcores are pinned by EAL. */
	sched_setaffinity(0, sizeof(c->helper_cpus), &c->helper_cpus);
	rc = start_eal(c, argv);
	status = rc == -EINVAL ? SL_EXIT_REFUSED : SL_EXIT_FAILED;
	if (rc < 0)
		goto out;
	status = begin(c);
	if (status < 0)
		status = run(c);
	sl_live_destroy(c->live);
	rte_eal_cleanup();
out:
	for (unsigned int i = 0; i < c->lcore_count; i++)
		free(c->lcores[i]);
	free(c);
	return status;
}
