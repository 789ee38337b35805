// Families of bots and backdoors.

rule mirai_like {
  meta:
    description = "Strings of a Mirai-like bot: attacks, the watchdog and the telnet scanner"
    severity = 4
    attack = "T1498"
    reference = "https://github.com/jgamblin/Mirai-Source-Code"
    family = "mirai"
  strings:
    $a = "/dev/watchdog"
    $b = "/dev/misc/watchdog"
    $c = "/bin/busybox" nocase
    $d = "MIRAI" nocase fullword
    $e = "ECCHI"
    $f = "enable" fullword
    $g = "shell" fullword
    $h = "TSource Engine Query"
    $i = "REPORT %s:%s"
    $j = "LOLNOGTFO"
    $k = "/proc/net/tcp"
    $l = "listening tun0"
  condition:
    uint32(0) == 0x464c457f and (4 of ($a, $b, $d, $e, $h, $i, $j, $k, $l) or (($a or $b) and $c and $k and ($f and $g)))
}

rule mirai_encoded_table {
  meta:
    description = "The configuration of Mirai, XORed with its usual key 0x22"
    severity = 4
    attack = "T1027"
    reference = "https://github.com/jgamblin/Mirai-Source-Code"
    family = "mirai"
  strings:
    $a = "/bin/busybox" xor(0x22)
    $b = "/dev/watchdog" xor(0x22)
    $c = "ncorrect" xor(0x22)
    $d = "/proc/" xor(0x22)
    $e = "listening tun0" xor(0x22)
  condition:
    uint32(0) == 0x464c457f and 3 of them
}

rule gafgyt_like {
  meta:
    description = "Commands of a Gafgyt-like bot"
    severity = 4
    attack = "T1498"
    reference = "https://attack.mitre.org/software/"
    family = "gafgyt"
  strings:
    $b = "PONG!"
    $c = "GETLOCALIP"
    $d = "HOLD" fullword
    $e = "JUNK" fullword
    $f = "KILLATTK"
    $g = "LOLNOGTFO"
    $h = "SCANNER ON"
    $i = "UDP Flooding %s"
    $j = "TCP Flooding %s"
    $k = "BUILD %s"
    $l = "gayfgt"
  condition:
    uint32(0) == 0x464c457f and ($l or 4 of ($b, $c, $d, $e, $f, $g, $h, $i, $j, $k))
}

rule tsunami_like {
  meta:
    description = "Commands of a Tsunami (Kaiten) IRC bot"
    severity = 4
    attack = "T1071.001"
    reference = "https://attack.mitre.org/software/"
    family = "tsunami"
  strings:
    $a = "NOTICE %s :TSUNAMI"
    $b = "NOTICE %s :PAN <target>"
    $c = "NOTICE %s :UNKNOWN <target>"
    $d = "NOTICE %s :GETSPOOFS"
    $e = "NOTICE %s :KILLALL"
    $f = "Kaiten wa goraku"
    $g = "NICK %s\nUSER %s localhost localhost :%s"
    $h = ">bot +unknown"
  condition:
    2 of them
}

rule xorddos_like {
  meta:
    description = "Persistence and keys of XorDDoS"
    severity = 5
    attack = "T1498"
    reference = "https://attack.mitre.org/techniques/T1498/"
    family = "xorddos"
  strings:
    $a = "BB2FA36AAA9541F0"
    $b = "/etc/cron.hourly/gcc.sh"
    $c = "/lib/libudev.so"
    $d = "cp /lib/libudev.so /lib/libudev.so.6"
    $e = "denyip="
    $f = "filename="
    $g = "rmfile="
  condition:
    $a or 2 of ($b, $c, $d) or (2 of ($e, $f, $g) and $c)
}

rule bpfdoor_like {
  meta:
    description = "Traits of BPFDoor: a packet filter on a raw socket, a lock file and a masked name"
    severity = 5
    attack = "T1205.002"
    reference = "https://attack.mitre.org/techniques/T1205/002/"
    family = "bpfdoor"
  strings:
    $a = "/var/run/haldrund.pid"
    $b = "/dev/shm/kdmtmpflush"
    $c = "ttcompat"
    $d = "/sbin/iptables -t nat -D PREROUTING -p tcp -s %s --dport %d -j REDIRECT --to-ports %d"
    $e = "/sbin/iptables -I INPUT -p tcp -s %s -j ACCEPT"
    $f = "qmgr -l -t fifo -u"
    $g = "dbus-daemon --system"
    $h = "HISTFILE=/dev/null"
  condition:
    $d or 3 of them
}

rule ddos_tool_text {
  meta:
    description = "The attack menu of a DDoS bot"
    severity = 4
    attack = "T1498"
    reference = "https://attack.mitre.org/techniques/T1498/"
  strings:
    $a = "udpflood" nocase
    $b = "synflood" nocase
    $c = "ackflood" nocase
    $d = "httpflood" nocase
    $e = "dnsflood" nocase
    $f = "icmpflood" nocase
    $g = "slowloris" nocase
  condition:
    3 of them
}

rule irc_bot_commands {
  meta:
    description = "A program that speaks IRC and takes commands to run or flood"
    severity = 3
    attack = "T1071"
    reference = "https://attack.mitre.org/techniques/T1071/"
  strings:
    $a = "PRIVMSG %s :"
    $b = "NICK %s"
    $c = "JOIN %s"
    $d = "USER %s "
    $e = "!flood" nocase
    $f = "!shell" nocase
    $g = "!download" nocase
    $h = "!udp" nocase
  condition:
    2 of ($a, $b, $c, $d) and any of ($e, $f, $g, $h)
}

rule telnet_bruteforce_list {
  meta:
    description = "Factory passwords of cameras and routers, as a brute-forcing worm carries them"
    severity = 3
    attack = "T1110.001"
    reference = "https://attack.mitre.org/techniques/T1110/001/"
    family = "mirai"
  strings:
    $a = "xc3511"
    $b = "vizxv"
    $c = "hi3518"
    $d = "7ujMko0admin"
    $e = "juantech"
    $f = "zlxx."
    $g = "klv123"
    $h = "anko" fullword
    $i = "dreambox"
    $j = "GM8182"
  condition:
    4 of them
}
