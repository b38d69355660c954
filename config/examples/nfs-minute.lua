-- SPDX-License-Identifier: BSD-3-Clause
-- One file a minute of everything, and one of all TCP, on an NFS share that is mounted on /mnt/remote0.
--
-- /etc/fstab names the share, for example:
--     nas.example.com:/export/pcap  /mnt/remote0  nfs  rw,hard,nofail,_netdev  0 0
-- While it is not mounted the targets wait, and nothing is written below /mnt/remote0.

local Config = {}

Config.Target = {}

table.insert(Config.Target,
{
    Desc      = "pcap-all",
    Mode      = "File",
    Path      = "/mnt/remote0/push/all",
    Split     = "--split-time 60e9",
    FileName  = "--filename-epoch-sec-startend",
    FilterBPF = nil,
    Mount     = "/mnt/remote0",
})

table.insert(Config.Target,
{
    Desc      = "pcap-tcp",
    Mode      = "File",
    Path      = "/mnt/remote0/push/tcp",
    Split     = "--split-time 60e9",
    FileName  = "--filename-epoch-sec-startend",
    FilterBPF = "tcp",
    Mount     = "/mnt/remote0",
})

return Config
