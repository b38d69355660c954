-- SPDX-License-Identifier: BSD-3-Clause
-- 96 multicast groups of a market data feed, each to files of its own, made by a loop.
--
-- The packets are read once, however many targets there are.

local Config = {}

Config.Target = {}

local function Group(Index)
    return string.format("233.43.202.%d", Index)
end

for Line = 1, 96 do
    table.insert(Config.Target,
    {
        Desc      = string.format("opra-%02d", Line),
        Path      = string.format("/mnt/remote0/opra/%%Y%%m%%d/line%02d_", Line),
        Split     = "--split-time " .. (60e9 * 1),
        FileName  = "--filename-tstr-HHMM",
        TimeZone  = "UTC",
        FilterBPF = "udp and dst host " .. Group(Line),
        Mount     = "/mnt/remote0",
    })
end

return Config
