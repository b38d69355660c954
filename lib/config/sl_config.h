/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_H
#define SL_CONFIG_H

/**
 * @file
 * push_realtime.lua -> checked plain structs.
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

#ifdef __cplusplus
}
#endif

#endif
