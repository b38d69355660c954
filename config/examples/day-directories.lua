-- SPDX-License-Identifier: BSD-3-Clause
-- A directory for each day, a file for each hour: strftime conversions in Path are expanded for each file.
--
-- os.date() in Path would be evaluated once, when this file is read, and would not change at midnight.

local Config = {}

Config.Target = {}

table.insert(Config.Target,
{
    Desc       = "hourly",
    Path       = "/mnt/remote0/push/%Y-%m-%d/all-",
    Split      = "--split-time 1h",
    FileName   = "--filename-tstr-HHMM",
    TimeZone   = "UTC",
    Mount      = "/mnt/remote0",
})

-- The day of Berlin, from midnight to midnight there: one file of headers a day, also on a day without packets.
table.insert(Config.Target,
{
    Desc       = "daily-headers",
    Path       = "/mnt/remote0/push/headers/day",
    Split      = "--split-time 1d",
    SplitAlign = "local",
    TimeZone   = "Europe/Berlin",
    FileName   = '--filename-strftime "%Y-%m-%d"',
    Slice      = 128,
    EmptyFiles = true,
    Mount      = "/mnt/remote0",
})

return Config
