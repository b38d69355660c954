-- SPDX-License-Identifier: BSD-3-Clause
-- A file each ten minutes, but none larger than 2 GB: a busy window is written in parts _p001, _p002 and so on.
-- A target by size alone has the time of its first packet in the name; nanoseconds keep the names apart.

local Config = {}

Config.Target = {}

table.insert(Config.Target,
{
    Desc      = "ten-minutes",
    Path      = "/data/pcap/all",
    Split     = "--split-time 10m --split-byte 2G",
    FileName  = "--filename-epoch-sec",
    MinFree   = "20G",
    Mount     = "",
})

table.insert(Config.Target,
{
    Desc      = "dns-100M",
    Path      = "/data/pcap/dns",
    Split     = "--split-byte 100M",
    FileName  = "--filename-epoch-nsec",
    FilterBPF = "port 53",
    MinFree   = "20G",
    Mount     = "",
})

return Config
