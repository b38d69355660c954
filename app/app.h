/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_H
#define SL_APP_H

/**
 * @file
 * The subcommands of `sluice`, one file each. Each takes argv with its own name as argv[0] and returns the exit status:
 * 0 done, 1 failed while running, 2 input refused before anything was touched.
 */

#define SL_EXIT_OK 0
#define SL_EXIT_FAILED 1
#define SL_EXIT_REFUSED 2

int cmd_capture(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_push(int argc, char **argv);
int cmd_scheduler(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_store(int argc, char **argv);

#endif
