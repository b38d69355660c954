/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config_load_test.h"
#include "tests.h"

#define TWO(a, b)                                                                                                      \
	"local C = {Target = {}}\ntable.insert(C.Target, { " a " })\ntable.insert(C.Target, { " b " })\nreturn C\n"
#define MINUTES ", Split = \"--split-time 60e9\", FileName = \"--filename-epoch-sec\""

static void
test_collisions(void **state)
{
	(void)state;
	check_finding(TWO("Desc = \"a\", Path = \"/a\"" MINUTES, "Desc = \"a\", Path = \"/b\"" MINUTES), true, 3,
		"Desc", "the target of line 2 has this Desc too");
	check_finding(TWO("Desc = \"a b\", Path = \"/a\"" MINUTES, "Desc = \"a/b\", Path = \"/b\"" MINUTES), true, 3,
		"Desc", "becomes \"a_b\"");
	/* Put into the list by index in a loop: there is no line to name. */
	check_finding(
		"local C = {Target = {}}\nfor i = 1, 2 do C.Target[i] = { Desc = \"d\" .. i, Path = \"/a\"" MINUTES
		" } end\nreturn C\n",
		true, 0, "Path", "target \"d1\" writes files of the same names");
	static const char *const same[] = {
		TWO("Desc = \"a\", Path = \"/a\"" MINUTES, "Desc = \"b\", Path = \"/a\"" MINUTES),
		TWO("Desc = \"a\", Path = \"/a\"" MINUTES, "Desc = \"b\", Path = \"//./a_\"" MINUTES),
		TWO("Desc = \"a\", Path = \"/a\"" MINUTES, "Desc = \"b\", Path = \"/a\", Separator = \"_\"" MINUTES),
		TWO("Desc = \"a\", Path = \"/a\"" MINUTES, "Desc = \"b\", Path = \"/a\", Split = \"--split-byte 5G\", "
							   "FileName = '--filename-strftime %s'"),
		TWO("Desc = \"a\", Path = \"/a/%Y%m%d\", Split = \"--split-time 1m\", FileName = '--filename-strftime "
		    "%H%M'",
			"Desc = \"b\", Path = \"/a/\", Split = \"--split-time 1h\", FileName = "
			"\"--filename-timestr-HHMM\""),
	};
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		check_finding(same[i], true, 3, "Path", "target \"a\" of line 2 writes files of the same names");
	static const char *const different[] = {
		TWO("Desc = \"a\", Path = \"/a\"" MINUTES,
			"Desc = \"b\", Path = \"/a\", FileSuffix = \".cap\"" MINUTES),
		TWO("Desc = \"a\", Path = \"/a\"" MINUTES, "Desc = \"b\", Path = \"/a-\"" MINUTES),
		TWO("Desc = \"a\", Path = \"/a\"" MINUTES, "Desc = \"b\", Path = \"/a\", Split = \"--split-time 1m\", "
							   "FileName = \"--filename-epoch-sec-startend\""),
		TWO("Desc = \"a\", Path = \"/a\"" MINUTES, "Desc = \"b\", Path = \"/a\", Split = \"--split-time 1m "
							   "--split-byte 1G\", FileName = \"--filename-epoch-sec\""),
	};
	for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++)
		sl_config_free(config_load_clean(different[i]));
}

static void
test_warnings(void **state)
{
	(void)state;
	check_warning(
		"Path = \"/x\", Split = \"--split-time 10s\", FileName = \"--filename-tstr-HHMM\", TimeZone = \"UTC\"",
		"FileName", "names tell the minute, but a file begins every 10 s");
	check_warning("Path = \"/x\", Split = \"--split-time 10ms\", FileName = \"--filename-epoch-sec\"", "FileName",
		"names tell the second");
	check_warning("Path = \"/x\", Split = \"--split-byte 100M\", FileName = \"--filename-tstr-HHMM\"", "FileName",
		"use --filename-tstr-HHMMSS_NS");
	check_warning("Path = \"/x\", Split = \"--split-byte 1G\", FileName = \"--filename-epoch-sec\"", "FileName",
		"at 10 Gb/s 1 GB are full sooner");
	check_warning("Path = \"/x\", Split = \"--split-time 1m\", FileName = \"--filename-strftime %H%M\"", "FileName",
		"comes again every day");
	check_warning("Path = \"/x\", Split = \"--split-time 1m\", FileName = \"--filename-strftime %Y%m%d\"",
		"FileName", "names tell the day");
	check_warning("Path = \"/x\", Split = \"--split-time 1m\", FileName = \"--filename-strftime fixed\"",
		"FileName", "all files want the same name");
	check_warning("Path = \"/x\", Split = \"--split-time 1m\", FileName = \"--filename-tstr-HHMM\", TimeZone = "
		      "\"Europe/Berlin\"",
		"FileName", "Europe/Berlin repeats an hour");
	check_warning("Path = \"/x\", Split = \"--split-byte 5G\", FileName = \"--filename-tstr-HHMMSS_NS\", "
		      "TimeZone = \"America/New_York\"",
		"FileName", "America/New_York repeats an hour");
	check_warning(PLACE ", FileSuffix = \"pcap\"", "FileSuffix", "did you mean \".pcap\"?");
	check_warning(PLACE ", FileSuffix = \".pcap.gz\"", "FileSuffix", "looks compressed");
	check_warning(PLACE ", Mount = \"/other\"", "Mount", "does not lie below");
	check_warning(
		"Path = \"/x\", Split = \"--split-byte 5G\", FileName = \"--filename-epoch-nsec\", EmptyFiles = true",
		"EmptyFiles", "no effect");
	check_warning(PLACE ", Path = \"/again\"", "Path", "written twice");
	static const char *const quiet[] = {
		ONE("Path = \"/x/%Y%m%d/\", Split = \"--split-time 1m\", FileName = \"--filename-strftime %H%M\", "
		    "TimeZone = \"UTC\""),
		ONE("Path = \"/x\", Split = \"--split-time 90s\", FileName = \"--filename-tstr-HHMM\", TimeZone = "
		    "\"Asia/Tokyo\""),
		ONE("Path = \"/x\", Split = \"--split-time 2h\", FileName = \"--filename-tstr-HHMM\", TimeZone = "
		    "\"Europe/Berlin\""),
		ONE("Path = \"/x\", Split = \"--split-time 1m\", FileName = \"--filename-tstr-HHMMSS_TZ\", TimeZone = "
		    "\"Europe/Berlin\""),
		ONE("Path = \"/x\", Split = \"--split-time 1h --split-byte 1M\", FileName = \"--filename-epoch-sec\""),
		ONE("Path = \"/x\", Split = \"--split-byte 1M\", FileName = \"--filename-epoch-nsec\""),
		ONE("Path = \"/x\", Split = \"--split-byte 5G\", FileName = \"--filename-epoch-sec\""),
	};
	for (size_t i = 0; i < sizeof(quiet) / sizeof(quiet[0]); i++)
		sl_config_free(config_load_clean(quiet[i]));
}

static void
test_dates(void **state)
{
	(void)state;
	check_warning(
		"Path = os.date(\"/x/%Y%m%d/all-\"), Split = \"--split-time 1m\", FileName = \"--filename-epoch-sec\"",
		"Path", "write Path = \"/x/%Y%m%d/all-\"");
	check_warning("Path = \"/x/\" .. os.date(\"!%Y/%m/%d\") .. \"/all\", Split = \"--split-time 1m\", "
		      "FileName = \"--filename-epoch-sec\"",
		"Path", "write Path = \"/x/%Y/%m/%d/all\"");
	check_warning("Path = \"/x/\" .. os.date(\"*t\").year .. \"/\", Split = \"--split-time 1m\", "
		      "FileName = \"--filename-epoch-sec\"",
		"Path", "will not change at midnight");
	check_warning("Path = \"/x/\" .. os.time() .. \"/\", Split = \"--split-time 1m\", FileName = "
		      "\"--filename-epoch-sec\"",
		"Path", "will not change at midnight");
	/* A date that goes nowhere, or is a given one, surprises nobody. */
	sl_config_free(config_load_clean(ONE(PLACE ", FilterBPF = os.date() and \"tcp\"")));
	sl_config_free(config_load_clean(ONE(
		"Path = os.date(\"/x/%Y/\", 0), Split = \"--split-time 1m\", FileName = \"--filename-epoch-sec\"")));
}

int
check_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_collisions),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_dates),
	};

	return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
