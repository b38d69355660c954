/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "eal.h"
#include "eal_telemetry.h"

#define MAX_WORDS 64
#define MIB (1ul << 20)
#define EAL_OVERHEAD (12 * MIB) /* heap headers, rings' zones, EAL's own tables */
#define SLEEP_AT_MOST_US 10000
#define HUGEPAGES_DIR "/sys/kernel/mm/hugepages"

static unsigned long
read_number(const char *path)
{
	unsigned long n = 0;
	FILE *f = fopen(path, "re");

	if (!f)
		return 0;
	if (fscanf(f, "%lu", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

/* Bytes of free hugepages of the best-provided size. */
static size_t
free_hugepage_bytes(void)
{
	DIR *dir = opendir(HUGEPAGES_DIR);
	struct dirent *entry;
	size_t best = 0;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)) != NULL) {
		char path[512];
		unsigned long kib;
		size_t bytes;

		if (sscanf(entry->d_name, "hugepages-%lukB", &kib) != 1)
			continue;
		snprintf(path, sizeof(path), HUGEPAGES_DIR "/%s/free_hugepages", entry->d_name);
		bytes = (size_t)read_number(path) * kib * 1024;
		if (bytes > best)
			best = bytes;
	}
	closedir(dir);
	return best;
}

/* "0@(2,3),1@0,2@1": lcore 0 is the main thread, the others are the map's. */
static void
format_lcores(const struct eal *eal, char *text, size_t len)
{
	char cpus[1024];
	size_t used;

	cpu_list_format(eal->helper_cpus, cpus, sizeof(cpus));
	used = (size_t)snprintf(text, len, "0@(%s)", cpus);
	for (unsigned int i = 0; i < eal->lcore_count && used < len; i++)
		used += (size_t)snprintf(text + used, len - used, ",%u@%u", i + 1, eal->lcores[i].cpu);
}

/* The same command with --no-huge: EAL cannot be initialised twice in one process. Returns if that fails. */
static void
restart_without_hugepages(const struct eal *eal, char **argv)
{
	size_t argc = 0;
	char **words;

	while (argv[argc])
		argc++;
	words = calloc(argc + 3, sizeof(*words));
	if (!words)
		return;
	words[0] = (char *)"sluice";
	words[1] = (char *)(uintptr_t)eal->command;
	words[2] = (char *)"--no-huge";
	memcpy(&words[3], &argv[1], (argc - 1) * sizeof(*words));
	fprintf(stderr, "sluice %s: the free hugepages could not be taken; starting again with --no-huge\n",
		eal->command);
	/* The new process chooses its CPUs again, from all of them. */
	sched_setaffinity(0, sizeof(*eal->allowed), eal->allowed);
	execv("/proc/self/exe", words);
	free(words);
}

/* Adds the words of --eal, which stay in *copy. @return how many there are now; -E2BIG; -ENOMEM */
static int
add_extra(const struct eal *eal, char **words, int n, char **copy)
{
	char *save;

	if (!eal->extra)
		return n;
	*copy = strdup(eal->extra);
	if (!*copy)
		return -ENOMEM;
	for (char *w = strtok_r(*copy, " \t", &save); w; w = strtok_r(NULL, " \t", &save)) {
		if (n == MAX_WORDS + 2 * EAL_PCI_MAX - 1)
			return -E2BIG;
		words[n++] = w;
	}
	return n;
}

/* Only the devices that are to be captured from are touched: any other may carry this machine's own traffic. */
static int
add_pci(const struct eal *eal, char **words, int n)
{
	if (eal->pci_count == 0)
		words[n++] = (char *)"--no-pci";
	for (unsigned int i = 0; i < eal->pci_count; i++) {
		words[n++] = (char *)"-a";
		words[n++] = (char *)(uintptr_t)eal->pci[i];
	}
	return n;
}

static void
on_alarm(int sig)
{
	(void)sig;
}

/*
 * Where the CPU does not tell its TSC's frequency, as in most virtual machines, EAL sleeps 100 ms to measure it, half
 * of the time that a push takes to start. Nobody here needs more than a rough figure, and a signal ends nanosleep().
 */
static void
shorten_sleeps(bool on)
{
	const struct itimerval every = {.it_interval.tv_usec = SLEEP_AT_MOST_US, .it_value.tv_usec = SLEEP_AT_MOST_US};
	const struct itimerval never = {0};
	struct sigaction action = {.sa_handler = on ? on_alarm : SIG_DFL, .sa_flags = SA_RESTART};

	if (!on)
		setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &action, NULL);
	if (on)
		setitimer(ITIMER_REAL, &every, NULL);
}

int
eal_init(struct eal *eal, char **argv)
{
	size_t memory = eal->memory + EAL_OVERHEAD, free_bytes = free_hugepage_bytes();
	char lcores[8192], megabytes[32], prefix[EAL_PREFIX_SIZE], *copy = NULL;
	char *words[MAX_WORDS + 2 * EAL_PCI_MAX];
	int n = 0, lock, rc;

	eal->hugepages = !eal->no_huge && free_bytes >= memory;
	format_lcores(eal, lcores, sizeof(lcores));
	snprintf(megabytes, sizeof(megabytes), "%zu", (memory + MIB - 1) / MIB);
	words[n++] = (char *)"sluice";
	words[n++] = (char *)"--lcores";
	words[n++] = lcores;
	words[n++] = (char *)"--main-lcore";
	words[n++] = (char *)"0";
	words[n++] = (char *)"-m";
	words[n++] = megabytes;
	words[n++] = (char *)"--file-prefix";
	words[n++] = prefix;
	n = add_pci(eal, words, n);
	/* dpdk-telemetry.py -f sluice; a second process has the socket dpdk_telemetry.v2:1, and so on */
	if (eal_telemetry_prefix(prefix, &lock) < 0)
		words[n++] = (char *)"--no-telemetry";
	words[n++] = (char *)"--log-level";
	words[n++] = (char *)"lib.eal:error";
	words[n++] = (char *)"--log-level";
	words[n++] = (char *)"lib.telemetry:error";
	/*
	 * Nothing is shared through files, so several of us and other DPDK programs run side by side, and none is left
	 * behind, however the process ends. --in-memory implies it, but EAL refuses that together with --no-huge.
	 */
	words[n++] = eal->hugepages ? (char *)"--in-memory" : (char *)"--no-huge";
	if (!eal->hugepages)
		words[n++] = (char *)"--no-shconf";
	n = add_extra(eal, words, n, &copy);
	if (n < 0) {
		free(copy);
		if (lock >= 0)
			close(lock);
		fprintf(stderr, "sluice %s: --eal: %s\n", eal->command, n == -E2BIG ? "too many words" : strerror(-n));
		return n == -E2BIG ? -EINVAL : n;
	}
	words[n] = NULL;
	if (!eal->hugepages && !eal->no_huge)
		fprintf(stderr,
			"sluice %s: %zu MiB of hugepages are free and %s MiB are needed: using ordinary memory\n",
			eal->command, free_bytes / MIB, megabytes);
	shorten_sleeps(true);
	rc = rte_eal_init(n, words);
	shorten_sleeps(false);
	free(copy);
	if (lock >= 0)
		close(lock);
	if (rc >= 0)
		return 0;
	rc = rte_errno > 0 ? -rte_errno : -EIO;
	if (rc == -EINVAL && eal->extra) {
		fprintf(stderr, "sluice %s: --eal \"%s\": EAL refuses its arguments, as it said above\n", eal->command,
			eal->extra);
		return rc;
	}
	if (eal->hugepages)
		restart_without_hugepages(eal, argv);
	fprintf(stderr, "sluice %s: DPDK's EAL did not start (lcores %s, %s MiB): %s\n", eal->command, lcores,
		megabytes, strerror(-rc));
	/* That is no refusal of what the user wrote. */
	return rc == -EINVAL ? -EIO : rc;
}
