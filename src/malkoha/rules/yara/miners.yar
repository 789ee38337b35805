// Miners and what prepares a host for them.

rule xmrig_like {
  meta:
    description = "XMRig or a program made from it"
    severity = 4
    attack = "T1496"
    reference = "https://attack.mitre.org/techniques/T1496/"
    family = "xmrig"
  strings:
    $a = "donate.v2.xmrig.com"
    $b = "xmrig" nocase
    $c = "randomx" nocase
    $d = "cryptonight"
    $e = "nicehash" nocase
    $f = "--donate-level"
    $g = "cn/r" fullword
    $h = "rx/0"
    $i = "max-cpu-usage"
  condition:
    $a or (4 of ($b, $c, $d, $e, $f, $g, $h, $i))
}

rule stratum_client {
  meta:
    description = "A client of the Stratum protocol, by which miners get work"
    severity = 3
    attack = "T1496"
    reference = "https://attack.mitre.org/techniques/T1496/"
  strings:
    $a = "stratum+tcp://"
    $b = "stratum+ssl://"
    $c = "mining.subscribe"
    $d = "mining.authorize"
    $e = "mining.submit"
    $f = "\"method\":\"login\""
    $g = "\"method\": \"login\""
    $h = "keepalived"
  condition:
    any of ($a, $b) or 2 of ($c, $d, $e) or (any of ($f, $g) and $h)
}

rule mining_pool_address {
  meta:
    description = "The address of a public mining pool"
    severity = 3
    attack = "T1496"
    reference = "https://attack.mitre.org/techniques/T1496/"
  strings:
    $a = "pool.minexmr.com"
    $b = "xmr.pool.minergate.com"
    $c = "pool.supportxmr.com"
    $d = "moneroocean.stream"
    $e = "xmrpool.eu"
    $f = "nanopool.org"
    $g = "2miners.com"
    $h = "c3pool.org"
    $i = "hashvault.pro"
  condition:
    any of them
}

rule miner_rivals_killed {
  meta:
    description = "A script that kills other miners before it starts its own"
    severity = 4
    attack = "T1489"
    reference = "https://attack.mitre.org/techniques/T1489/"
  strings:
    $a = /(pkill|killall)[ \t][^\n]{0,40}(xmrig|minerd|cryptonight|kinsing|kdevtmpfsi|xmr-stak)/
    $b = /grep[^\n]{0,40}(xmrig|minerd|kinsing|kdevtmpfsi|stratum)[^\n]{0,80}(kill|xargs)/
  condition:
    any of them
}

rule kinsing_like {
  meta:
    description = "Names that the Kinsing miner uses"
    severity = 5
    attack = "T1496"
    reference = "https://attack.mitre.org/techniques/T1496/"
    family = "kinsing"
  strings:
    $a = "kdevtmpfsi"
    $b = "/tmp/kinsing"
    $c = "/var/tmp/kinsing"
    $d = "libsystem.so"
  condition:
    $a and any of ($b, $c, $d)
}

rule msr_tuned_for_mining {
  meta:
    description = "Registers of the processor and huge pages set for faster mining"
    severity = 3
    attack = "T1496"
    reference = "https://attack.mitre.org/techniques/T1496/"
  strings:
    $a = "modprobe msr"
    $b = "wrmsr"
    $c = "vm.nr_hugepages"
    $d = "randomx" nocase
    $e = "0x1a4"
  condition:
    3 of them
}
