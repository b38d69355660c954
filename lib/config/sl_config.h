/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_H
#define SL_CONFIG_H

/**
 * @file
 * push_realtime.lua and the schedule -> checked plain structs.
 *
 * This library knows Lua and nothing of the engine. What it returns has been checked as far as that is possible
 * without a capture: filters are checked by the caller, who adds what is wrong with them, because they need a link type.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum sl_mode { SL_MODE_FILE, SL_MODE_RCLONE };

/** What a file's name is made from. */
enum sl_name_mode {
	SL_NAME_EPOCH_SEC,
	SL_NAME_EPOCH_SEC_STARTEND,
	SL_NAME_EPOCH_MSEC,
	SL_NAME_EPOCH_USEC,
	SL_NAME_EPOCH_NSEC,
	SL_NAME_TSTR_HHMM,
	SL_NAME_TSTR_HHMMSS,
	SL_NAME_TSTR_HHMMSS_NS,
	SL_NAME_TSTR_HHMMSS_TZ,
	SL_NAME_TSTR_HHMMSS_SUB,
	SL_NAME_STRFTIME,
};

enum sl_on_stop { SL_ON_STOP_CLOSE, SL_ON_STOP_RESUME };

/** One push target, all defaults filled in. Strings are never NULL unless said; owned by the configuration. */
struct sl_target_config {
	const char *desc;        /**< as written */
	const char *file_desc;   /**< desc with bytes outside [A-Za-z0-9._-] as '_' */
	enum sl_mode mode;
	const char *path;        /**< directory and prefix; strftime conversions are expanded for each file */
	const char *separator;   /**< between path and stamp: "_", "", or as configured */
	uint64_t split_time;     /**< window length in ns, 0: no time split */
	uint64_t split_byte;     /**< bytes of a file at the most, 0: no byte split */
	enum sl_name_mode name_mode;
	const char *name_format; /**< for SL_NAME_STRFTIME, else "" */
	const char *filter;      /**< libpcap expression, "" for all packets */
	const char *file_suffix; /**< ".pcap" */
	const char *owner_user;  /**< from SplitCmd -Z, or NULL */
	const char *owner_group; /**< from SplitCmd -Z user.group, or NULL */
	uint32_t owner_uid;      /**< resolved from -Z; UINT32_MAX: leave as it is (as chown(2) takes it) */
	uint32_t owner_gid;      /**< resolved from -Z (the user's own group if none is given); UINT32_MAX: leave as it is */
	bool follow_start;       /**< begin at the capture's start, not at now */
	uint32_t slice;          /**< snap length of the output, 0: as captured */
	const char *time_zone;   /**< name for the tz database, or NULL: the local zone */
	bool align_local;        /**< SplitAlign = "local": windows are multiples of split_time in local time */
	bool empty_files;
	enum sl_on_stop on_stop;
	uint64_t min_free;       /**< bytes to leave free; UINT64_MAX: default by kind of file system (1 GiB on local disks) */
	const char *mount;       /**< mount point that must be mounted, "" for none, NULL: find it from fstab and units */
	unsigned int line;       /**< line of the configuration file where the target stands */
};

#define SL_CONFIG_DEFAULT_FMADIO "/opt/fmadio/etc/push_realtime.lua"
#define SL_CONFIG_DEFAULT_ETC "/etc/sluice/push_realtime.lua"

struct sl_config; /**< a loaded configuration; read-only after loading, any thread */

/** One finding about a configuration. */
struct sl_config_finding {
	bool is_error;      /**< else a warning */
	unsigned int line;  /**< 0: the whole file */
	const char *target; /**< Desc, or "" */
	const char *field;  /**< field name, or "" */
	const char *text;   /**< what is wrong and what to do */
};

/**
 * Load and check a configuration. The file runs in a sandbox: no io, require or os.execute, bounded steps and memory.
 * Finds as many errors as it can, not only the first.
 *
 * @param path         file to read
 * @param[out] config  always set unless memory is short; free with sl_config_free(). Its targets are usable only if 0
 *                     is returned; their desc, filter and line also after -EINVAL, so that filters can be checked
 * @return 0: no errors (there may be warnings); -EINVAL: at least one finding is an error; -ENOENT and other errno of
 *         reading the file, with a finding that says so; -ENOMEM
 */
int sl_config_load(const char *path, struct sl_config **config);
void sl_config_free(struct sl_config *config);
/** The first default configuration file that is there, or NULL: then the user must name one. Static text. */
const char *sl_config_default_path(void);

const char *sl_config_path(const struct sl_config *config);
size_t sl_config_targets(const struct sl_config *config);
const struct sl_target_config *sl_config_target(const struct sl_config *config, size_t i);

/**
 * Copy a target so that it outlives its configuration. Any thread.
 * @param[out] copy  with strings of its own; free them with sl_target_config_free_copy()
 * @return 0 or -ENOMEM
 */
int sl_target_config_copy(const struct sl_target_config *config, struct sl_target_config *copy);
void sl_target_config_free_copy(struct sl_target_config *copy);
/** Would a target that runs by one of both not notice if it ran by the other? Any thread. */
bool sl_target_config_same(const struct sl_target_config *a, const struct sl_target_config *b);

/**
 * Add a finding of the caller's (a filter that does not compile, two targets with the same next file name), so that all
 * findings are shown together. Printf format.
 */
void sl_config_add_finding(struct sl_config *config, bool is_error, unsigned int line, const char *target,
	const char *field, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/**
 * Add the error that the filter of target i does not compile, and the keyword of pcap-filter(7) that was probably meant.
 * @param text  libpcap's message
 */
void sl_config_add_filter_error(struct sl_config *config, size_t i, const char *text);
size_t sl_config_findings(const struct sl_config *config);
const struct sl_config_finding *sl_config_finding(const struct sl_config *config, size_t i);
size_t sl_config_errors(const struct sl_config *config);
/** Print all findings sorted by line, one "file:line: error|warning: target "x": field: text" each. */
void sl_config_print_findings(const struct sl_config *config, FILE *out);

/** Line of a field within target i (the target's own line if it is not written there). */
unsigned int sl_config_field_line(const struct sl_config *config, size_t i, const char *field);

/* ---------------------------------------------------------------- schedule.lua: when which push runs */

#define SL_SCHEDULE_DEFAULT_FMADIO "/opt/fmadio/etc/schedule.lua"
#define SL_SCHEDULE_DEFAULT_ETC "/etc/sluice/schedule.lua"
#define SL_SCHEDULE_NEVER INT64_MAX
#define SL_SCHEDULE_DAY 86400u

/**
 * When a row is on. A window begins at `start` on each of `days`, by the clocks of the zone, and ends at the next `stop`: on
 * the same day, or on the next one if stop is not after start (equal: it lasts until the same time of the next day).
 *
 * Where clocks are put forward, a time that no clock shows is the moment of the change. Where they are put back, a time that
 * clocks show twice is the first one for a start and the second one for a stop. So nothing that lies within a window by any
 * clock is missed.
 */
struct sl_schedule_rule {
	bool always;           /**< 24/7: nothing else counts */
	uint8_t days;          /**< bit n: windows begin on weekday n, 0 is Sunday as in struct tm */
	uint32_t start, stop;  /**< seconds of the day, 0 to SL_SCHEDULE_DAY */
	const char *time_zone; /**< name for the tz database, or NULL: the local zone */
};

/** What a rule says about one moment. Seconds since 1970 UTC. */
struct sl_schedule_state {
	bool on;
	int64_t start; /**< it is on next from here, SL_SCHEDULE_NEVER: never (again) */
	int64_t stop;  /**< on: until here; off: the end of what begins at start. SL_SCHEDULE_NEVER: it does not end */
};

/**
 * Evaluate a rule. Depends on its arguments only (and on the zone's file, read once), so a clock that is set makes no
 * difference to a caller who asks again. Any thread; the first call for a zone blocks on its file.
 *
 * @param now  seconds since 1970 UTC
 * @return 0; -errno of loading the zone
 */
int sl_schedule_at(const struct sl_schedule_rule *rule, int64_t now, struct sl_schedule_state *state);

/** A row: one configuration and when it is pushed. Strings are never NULL unless said; owned by the schedule. */
struct sl_schedule_row {
	const char *desc;
	bool enable;
	struct sl_schedule_rule rule;
	const char *engine;    /**< "push_realtime" or "push_pcap" */
	const char *config;    /**< absolute path of a push configuration */
	const char *store;     /**< NULL: the engine's default; so are the next two */
	const char *state_dir;
	const char *log_dir;
	const char *options;   /**< more words for the engine, separated by blanks */
	uint32_t stop_timeout; /**< seconds that the engine may take to end */
	unsigned int line;
};

struct sl_schedule; /**< a loaded schedule; read-only after loading, any thread */

/** As sl_config_load(), for a schedule. */
int sl_schedule_load(const char *path, struct sl_schedule **schedule);
void sl_schedule_free(struct sl_schedule *schedule);
/** The first default schedule that is there, or NULL. Static text. */
const char *sl_schedule_default_path(void);
size_t sl_schedule_rows(const struct sl_schedule *schedule);
const struct sl_schedule_row *sl_schedule_row(const struct sl_schedule *schedule, size_t i);
/** Line of a field within row i (the row's own line if it is not written there). */
unsigned int sl_schedule_field_line(const struct sl_schedule *schedule, size_t i, const char *field);
/** The findings, for sl_config_add_finding() and its fellows, and the path. It has no targets. Lives with the schedule. */
struct sl_config *sl_schedule_findings(struct sl_schedule *schedule);

#ifdef __cplusplus
}
#endif

#endif
