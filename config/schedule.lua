-- SPDX-License-Identifier: BSD-3-Clause
-- Which push runs when: `sluice scheduler --schedule schedule.lua` starts and stops them, `--check` looks for mistakes,
-- `--list` shows when each row starts and stops next.
local Schedule = {}

Schedule.Row = {}

-- around the clock
table.insert(Schedule.Row,
{
    Desc     = "realtime",
    Enable   = true,
    Engine   = "push_realtime",
    Config   = "/opt/fmadio/etc/push_realtime.lua",
    Always   = true                 -- 24/7
})

-- from the closing bell to midnight, by the clocks of the exchange
table.insert(Schedule.Row,
{
    Desc     = "end of day",
    Enable   = false,
    Engine   = "push_pcap",
    Config   = "/opt/fmadio/etc/push_pcap_eod.lua",
    Days     = "Mon-Fri",           -- on which days it starts
    Start    = "17:00:00",
    Stop     = "24:00:00",          -- not after Start: on the next day
    TimeZone = "America/New_York"   -- without: the local time of this machine
})

return Schedule
