-- SPDX-License-Identifier: BSD-3-Clause
-- Everything but the nightly backup: what goes to or from the backup servers is left out, tagged or not.
--
-- 'not host A' alone would keep the backup's packets that carry a VLAN tag: behind 'vlan' a filter looks into the tag.

local Config = {}

Config.Target = {}

local Backup = { "192.168.1.100", "192.168.1.101" }

local Hosts = "host " .. table.concat(Backup, " or host ")

table.insert(Config.Target,
{
    Desc      = "without-backup",
    Path      = "/mnt/remote0/push/all",
    Split     = "--split-time 5m",
    FileName  = "--filename-epoch-sec",
    FilterBPF = "not (" .. Hosts .. ") and not (vlan and (" .. Hosts .. "))",
    Mount     = "/mnt/remote0",
})

return Config
