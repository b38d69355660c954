/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "app.h"

int
option_refuse(const char *command, const char *option, const char *value, const char *what)
{
	fprintf(stderr, "sluice %s: %s %s: %s\n", command, option, value, what);
	return SL_EXIT_REFUSED;
}

int
option_seconds(const char *text, double max, uint64_t *ns)
{
	char *end;
	double s;

	errno = 0;
	s = strtod(text, &end);
	/* not a number is neither */
	if (end == text || *end != '\0' || errno || !(s >= 0 && s <= max))
		return -EINVAL;
	*ns = (uint64_t)(s * 1e9);
	return 0;
}

bool
lcore_options_take(struct lcore_options *options, int opt, const char *value)
{
	switch (opt) {
	case OPT_MAP:
		options->map = value;
		return true;
	case OPT_HELPER_CPUS:
		options->helper_cpus = value;
		return true;
	case OPT_POLL:
		options->poll = true;
		return true;
	case OPT_NO_HUGE:
		options->no_huge = true;
		return true;
	case OPT_EAL:
		options->eal = value;
		return true;
	default:
		return false;
	}
}

int
lcore_options_helpers(const char *command, const struct lcore_options *options, const struct lcore_entry *lcores,
	unsigned int count, const cpu_set_t *allowed, cpu_set_t *helpers)
{
	char errbuf[256];

	if (options->poll && lcore_map_shares_cpu(lcores, count)) {
		fprintf(stderr,
			"sluice %s: --poll needs a CPU for each lcore, and this --map has lcores that share one\n",
			command);
		return SL_EXIT_REFUSED;
	}
	if (lcore_map_helpers(options->helper_cpus, lcores, count, allowed, helpers, errbuf, sizeof(errbuf)))
		return option_refuse(command, "--helper-cpus", options->helper_cpus, errbuf);
	return -1;
}
