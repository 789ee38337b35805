// Downloaders and what they do first.

rule memfd_loader_script {
  meta:
    description = "A script runs a program from memory"
    severity = 4
    attack = "T1620"
    reference = "https://attack.mitre.org/techniques/T1620/"
  strings:
    $a = "memfd_create"
    $b = /syscall\([ \t]*319/
    $c = "/proc/self/fd/"
    $d = "/proc/$$/fd/"
    $e = /\/proc\/[^\n]{1,20}\/fd\//
  condition:
    not uint32(0) == 0x464c457f and filesize < 2MB and any of ($a, $b) and any of ($c, $d, $e)
}

rule downloader_for_many_cpus {
  meta:
    description = "One program is fetched for every kind of processor"
    severity = 4
    attack = "T1105"
    reference = "https://attack.mitre.org/techniques/T1105/"
  strings:
    $get = /(wget|curl|tftp|ftpget)[ \t]/
    $a = /\bmips(el)?\b|\.mpsl\b/
    $b = /\barm[4567v]?l?\b/
    $c = /\bsh4\b/
    $d = /\b(ppc|powerpc)\b/
    $e = /\b(x86|i[3456]86)\b/
    $f = /\b(m68k|sparc|spc)\b/
    $run = /chmod[ \t]+(\+x|[0-7]{3,4})/
  condition:
    not uint32(0) == 0x464c457f and filesize < 1MB and $get and $run and 4 of ($a, $b, $c, $d, $e, $f)
}

rule download_run_delete {
  meta:
    description = "A file is fetched, made executable, run and removed"
    severity = 3
    attack = "T1105"
    reference = "https://attack.mitre.org/techniques/T1105/"
  strings:
    $a = /(wget|curl)[ \t][^\n]{5,200}[;&\n][^\n]{0,100}chmod[ \t]+(\+x|a\+x|u\+x|[0-7]{3,4})[^\n]{1,100}[;&\n][^\n]{0,100}\.\/[^\n]{1,100}[;&\n][^\n]{0,40}rm[ \t]/
  condition:
    not uint32(0) == 0x464c457f and filesize < 1MB and $a
}

rule pipe_to_shell_encoded {
  meta:
    description = "An encoded script is decoded and run at once"
    severity = 3
    attack = "T1140"
    reference = "https://attack.mitre.org/techniques/T1140/"
  strings:
    $a = /base64[ \t]+(-d|--decode|-D)[^\n|]{0,40}\|[ \t]*(gunzip|gzip -d|zcat|xz -d)?[ \t|]*(\/bin\/)?(ba|da|z)?sh\b/
    $b = /xxd[ \t]+-r[ \t][^\n|]{0,40}\|[ \t]*(ba|da)?sh\b/
  condition:
    not uint32(0) == 0x464c457f and filesize < 5MB and any of them
}

rule cron_download {
  meta:
    description = "A scheduled job fetches and runs something"
    severity = 4
    attack = "T1053.003"
    reference = "https://attack.mitre.org/techniques/T1053/003/"
  strings:
    $a = /\*[ \t]+\*[ \t]+\*[ \t]+\*[^\n]{0,60}(wget|curl)[^\n]{5,160}\|[ \t]*(ba)?sh/
  condition:
    filesize < 5MB and any of them
}

rule security_tools_stopped {
  meta:
    description = "Firewall, SELinux or agents of the host are switched off"
    severity = 3
    attack = "T1562.001"
    reference = "https://attack.mitre.org/techniques/T1562/001/"
  strings:
    $a = "setenforce 0"
    $b = /systemctl[ \t]+(stop|disable)[ \t]+(firewalld|ufw|apparmor|auditd|falcon-sensor|clamav)/
    $c = "iptables -F"
    $d = "ufw disable"
    $e = "aliyun.service"
    $f = "aegis" fullword
    $g = "SELINUX=disabled"
  condition:
    not uint32(0) == 0x464c457f and filesize < 1MB and 2 of them
}

rule logs_and_history_wiped {
  meta:
    description = "Logs or the shell's history are emptied"
    severity = 3
    attack = "T1070.003"
    reference = "https://attack.mitre.org/techniques/T1070/003/"
  strings:
    $a = /(echo[^\n]{0,20}|cat[ \t]+\/dev\/null[ \t]*|:?[ \t]*)>[ \t]*\/var\/log\/(wtmp|btmp|lastlog|secure|auth\.log|messages|syslog)/
    $b = /rm[ \t]+-r?f[ \t]+\/var\/log\/(wtmp|btmp|auth|secure|syslog|messages)/
    $c = "history -c"
    $d = "unset HISTFILE"
    $e = "HISTFILE=/dev/null"
    $f = "HISTSIZE=0"
  condition:
    not uint32(0) == 0x464c457f and filesize < 1MB and (any of ($a, $b) or 2 of ($c, $d, $e, $f))
}
