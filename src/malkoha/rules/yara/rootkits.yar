// Rootkits in the kernel and before libc.

rule lkm_syscall_hook {
  meta:
    description = "A kernel module that changes the table of system calls"
    severity = 4
    attack = "T1014"
    reference = "https://attack.mitre.org/techniques/T1014/"
  strings:
    $a = "sys_call_table"
    $b = "kallsyms_lookup_name"
    $c = "init_module"
    $d = "getdents64"
    $e = "ftrace_set_filter_ip"
    $f = "register_ftrace_function"
    $g = "commit_creds"
    $m = "vermagic="
  condition:
    uint32(0) == 0x464c457f and $m and $c and 2 of ($a, $b, $d, $e, $f, $g)
}

rule lkm_rootkit_names {
  meta:
    description = "Names of public kernel rootkits"
    severity = 5
    attack = "T1014"
    reference = "https://attack.mitre.org/techniques/T1014/"
  strings:
    $a = "diamorphine" nocase
    $b = "reptile_" nocase
    $c = "suterusu" nocase
    $d = "KoviD" fullword
    $e = "hide_module"
    $f = "give_root"
    $g = "hacked_getdents"
    $h = "is_invisible"
    $i = "find_task"
    $m = "vermagic="
  condition:
    uint32(0) == 0x464c457f and $m and (any of ($a, $b, $c, $d) or 2 of ($e, $f, $g, $h, $i))
}

rule preload_rootkit {
  meta:
    description = "A library that stands before libc and hides files, processes or connections"
    severity = 4
    attack = "T1574.006"
    reference = "https://attack.mitre.org/techniques/T1574/006/"
  strings:
    $a = "readdir64"
    $b = "readdir"
    $c = "dlsym"
    $d = "/proc/net/tcp"
    $e = "ld.so.preload"
    $f = "fopen64"
    $g = "pam_authenticate"
    $h = "/proc/self/fd/%d"
    $i = "/proc/%s/stat"
    $ld = "/ld-linux"
  condition:
    uint32(0) == 0x464c457f and uint16(16) == 3 and filesize < 1MB and not $ld and $c and ($a or $b) and 2 of ($d, $e, $f, $g, $h, $i)
}

rule preload_rootkit_names {
  meta:
    description = "Names of public LD_PRELOAD rootkits"
    severity = 5
    attack = "T1574.006"
    reference = "https://attack.mitre.org/techniques/T1574/006/"
  strings:
    $a = "libprocesshider"
    $b = "process_to_filter"
    $c = "bedevil"
    $d = "azazel" fullword
    $e = "jynx" nocase fullword
    $f = "beurk"
    $g = "HIDE_THIS_SHELL"
    $h = "vlany"
  condition:
    uint32(0) == 0x464c457f and any of them
}

rule preload_installed {
  meta:
    description = "Something is put into /etc/ld.so.preload"
    severity = 4
    attack = "T1574.006"
    reference = "https://attack.mitre.org/techniques/T1574/006/"
  strings:
    $a = />{1,2}[ \t]*["']?\/etc\/ld\.so\.preload/
    $b = /tee[ \t]+(-a[ \t]+)?\/etc\/ld\.so\.preload/
  condition:
    any of them
}

rule process_hidden_by_mount {
  meta:
    description = "A process is hidden by a mount over its /proc folder"
    severity = 4
    attack = "T1564"
    reference = "https://attack.mitre.org/techniques/T1564/"
  strings:
    $a = /mount[ \t]+(-o[ \t]+bind|--bind)[ \t][^\n]{1,80}[ \t]\/proc\/(\$|[0-9]|self)/
  condition:
    any of them
}
