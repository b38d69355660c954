/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app.h"
#include "options.h"
#include "push_options.h"
#include "sl_store.h"

#define DEFAULT_LOG_DIR "/mnt/store0/log"
#define DEFAULT_ONCE_LOG_DIR DEFAULT_LOG_DIR "/once"
#define DEFAULT_STATE_ROOT "/var/lib/sluice"
#define SECONDS_MAX 1e9
#define DEFAULT_RETRY_FOR_NS 60000000000ull
#define DEFAULT_STOP_TIMEOUT_NS 30000000000ull

static void
usage(FILE *out)
{
	fprintf(out,
		"usage: sluice push [OPTION]...\n\n"
		"Push a capture store to every target of a configuration. Follows the active capture until\n"
		"stopped by SIGTERM or SIGINT, unless --once is given.\n\n"
		"  --config FILE      configuration (default: %s,\n"
		"                     else %s)\n"
		"  --store DIR        capture store (default: %s)\n"
		"  --capture NAME     this capture instead of the active one\n"
		"  --once             push what is committed now, close the last split, exit\n"
		"  --from TIME        with --once or --to: packets of this time and later, also from captures before "
		"the\n"
		"  --to TIME          active one; packets before this time, once. Seconds since 1970, or\n"
		"                     YYYY-MM-DDTHH:MM:SS with Z, +hh:mm, or nothing for local time\n"
		"  --state-dir DIR    journals, for going on after a stop or a crash (default when following:\n"
		"                     %s/<name of the configuration>; with --once: none)\n"
		"  --log-dir DIR      log files of the targets (default: %s;\n"
		"                     with --once: once in it, none if that is missing)\n"
		"  --retry-for S      with --once: give up a failing target after S seconds (default: 60)\n"
		"  --stop-timeout S   after a signal: leave a hung target after S seconds (default: 30)\n"
		"  --sink KIND        file, or null: everything but the write call;\n"
		"                     file,crc and null,crc print a CRC-32 of each target's records\n\n"
		"  --map MAP          lcores, each STAGES@CPU: all@0, or reader+filter@0,filter+writer@1, ...\n"
		"                     (default: from the affinity mask)\n"
		"%s"
		"  --verdict-cache on|off\n"
		"                     off: every filter runs on every packet (default: on, where it pays)\n"
		"%s\n"
		"Exit status: 0 done, 1 failed while running, or a target could not publish all of its packets,\n"
		"2 refused before anything was touched. SIGHUP reads the configuration again; one with errors is\n"
		"refused, and the old one goes on. A second SIGTERM or SIGINT ends it at once; the journals make that\n"
		"safe.\n",
		SL_CONFIG_DEFAULT_FMADIO, SL_CONFIG_DEFAULT_ETC, SL_STORE_DEFAULT, DEFAULT_STATE_ROOT, DEFAULT_LOG_DIR,
		LCORE_USAGE_CPUS, LCORE_USAGE_EAL);
}

static int
parse_sink(const char *text, struct push_options *options)
{
	options->crc = false;
	if (!strncmp(text, "file", 4))
		options->sink = SL_SINK_FILE;
	else if (!strncmp(text, "null", 4))
		options->sink = SL_SINK_NULL;
	else
		return -EINVAL;
	text += 4;
	if (!strcmp(text, ",crc"))
		options->crc = true;
	else if (*text != '\0')
		return -EINVAL;
	return 0;
}

static bool
is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* One that is not there is made later. */
static bool
may_be_dir(const char *option, const char *path)
{
	struct stat st;

	if (path == NULL || (*path != '\0' && (stat(path, &st) != 0 || S_ISDIR(st.st_mode))))
		return true;
	(void)option_refuse(
		"push", option, *path != '\0' ? path : "''", "not a directory; name one, or one to be made");
	return false;
}

void
push_default_state_dir(const char *config, char dir[PATH_MAX])
{
	const char *name = strrchr(config, '/');
	const char *dot;

	name = name ? name + 1 : config;
	dot = strrchr(name, '.');
	snprintf(dir, PATH_MAX, "%s/%.*s", DEFAULT_STATE_ROOT,
		dot && dot != name ? (int)(dot - name) : (int)strlen(name), name);
}

static int
complete(struct push_options *options)
{
	if (!options->config)
		options->config = sl_config_default_path();
	if (!options->config) {
		fprintf(stderr,
			"sluice push: neither " SL_CONFIG_DEFAULT_FMADIO " nor " SL_CONFIG_DEFAULT_ETC " exists: "
			"name the configuration with --config FILE\n");
		return SL_EXIT_REFUSED;
	}
	if (!is_dir(options->store)) {
		fprintf(stderr,
			"sluice push: no capture store at %s: name one with --store DIR, or make one with "
			"`sluice import --store DIR FILE`\n",
			options->store);
		return SL_EXIT_REFUSED;
	}
	/* What has an end is pushed once. */
	if (options->to != UINT64_MAX)
		options->once = true;
	if (options->from != 0 && !options->once) {
		fprintf(stderr,
			"sluice push: --from pushes what was captured since: it needs --once (up to now) or --to\n");
		return SL_EXIT_REFUSED;
	}
	if (options->from >= options->to) {
		fprintf(stderr, "sluice push: --from is not before --to\n");
		return SL_EXIT_REFUSED;
	}
	if (!may_be_dir("--log-dir", options->log_dir) || !may_be_dir("--state-dir", options->state_dir))
		return SL_EXIT_REFUSED;
	if (!options->log_dir && options->sink == SL_SINK_FILE) {
		if (is_dir(DEFAULT_LOG_DIR)) {
			/* A live push has the logs' own directory, and targets of the same names, perhaps. */
			options->log_dir = options->once ? DEFAULT_ONCE_LOG_DIR : DEFAULT_LOG_DIR;
		} else if (!options->once) {
			fprintf(stderr,
				"sluice push: no directory %s for the targets' logs: name one with --log-dir DIR\n",
				DEFAULT_LOG_DIR);
			return SL_EXIT_REFUSED;
		}
	}
	if (!options->state_dir && !options->once && options->sink == SL_SINK_FILE) {
		push_default_state_dir(options->config, options->state_dir_default);
		options->state_dir = options->state_dir_default;
	}
	return -1;
}

enum {
	OPT_CONFIG = OPT_OWN,
	OPT_STORE,
	OPT_CAPTURE,
	OPT_ONCE,
	OPT_FROM,
	OPT_TO,
	OPT_STATE_DIR,
	OPT_LOG_DIR,
	OPT_RETRY_FOR,
	OPT_STOP_TIMEOUT,
	OPT_SINK,
	OPT_VERDICT_CACHE,
};

static const struct option long_options[] = {
	{"config", required_argument, NULL, OPT_CONFIG},
	{"store", required_argument, NULL, OPT_STORE},
	{"capture", required_argument, NULL, OPT_CAPTURE},
	{"once", no_argument, NULL, OPT_ONCE},
	{"from", required_argument, NULL, OPT_FROM},
	{"to", required_argument, NULL, OPT_TO},
	{"state-dir", required_argument, NULL, OPT_STATE_DIR},
	{"log-dir", required_argument, NULL, OPT_LOG_DIR},
	{"retry-for", required_argument, NULL, OPT_RETRY_FOR},
	{"stop-timeout", required_argument, NULL, OPT_STOP_TIMEOUT},
	{"sink", required_argument, NULL, OPT_SINK},
	{"verdict-cache", required_argument, NULL, OPT_VERDICT_CACHE},
	LCORE_OPTIONS,
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

int
push_options_parse(int argc, char **argv, struct push_options *options)
{
	int opt, rc;

	*options = (struct push_options){
		.store = SL_STORE_DEFAULT,
		.to = UINT64_MAX,
		.sink = SL_SINK_FILE,
		.retry_for = DEFAULT_RETRY_FOR_NS,
		.stop_timeout = DEFAULT_STOP_TIMEOUT_NS,
	};
	while ((opt = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (opt) {
		case OPT_CONFIG:
			options->config = optarg;
			break;
		case OPT_STORE:
			options->store = optarg;
			break;
		case OPT_CAPTURE:
			options->capture = optarg;
			break;
		case OPT_ONCE:
			options->once = true;
			break;
		case OPT_FROM:
			rc = sl_time_parse(optarg, &options->from);
			if (rc)
				return option_refuse("push", "--from", optarg, sl_time_refusal(rc));
			break;
		case OPT_TO:
			rc = sl_time_parse(optarg, &options->to);
			if (rc)
				return option_refuse("push", "--to", optarg, sl_time_refusal(rc));
			break;
		case OPT_STATE_DIR:
			options->state_dir = optarg;
			break;
		case OPT_LOG_DIR:
			options->log_dir = optarg;
			break;
		case OPT_RETRY_FOR:
			if (option_seconds(optarg, SECONDS_MAX, &options->retry_for))
				return option_refuse("push", "--retry-for", optarg, "not a number of seconds");
			break;
		case OPT_STOP_TIMEOUT:
			if (option_seconds(optarg, SECONDS_MAX, &options->stop_timeout))
				return option_refuse("push", "--stop-timeout", optarg, "not a number of seconds");
			break;
		case OPT_SINK:
			if (parse_sink(optarg, options))
				return option_refuse(
					"push", "--sink", optarg, "must be file, null, file,crc or null,crc");
			break;
		case OPT_VERDICT_CACHE:
			if (strcmp(optarg, "on") != 0 && strcmp(optarg, "off") != 0)
				return option_refuse("push", "--verdict-cache", optarg, "must be on or off");
			options->no_verdict_cache = strcmp(optarg, "off") == 0;
			break;
		case 'h':
			usage(stdout);
			return SL_EXIT_OK;
		default:
			if (lcore_options_take(&options->lcores, opt, optarg))
				break;
			fprintf(stderr, "`sluice push --help` lists the options.\n");
			return SL_EXIT_REFUSED;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "sluice push: '%s' is not an option; the configuration is named with --config FILE\n",
			argv[optind]);
		return SL_EXIT_REFUSED;
	}
	return complete(options);
}
