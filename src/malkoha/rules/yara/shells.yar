// Reverse and bind shells, implants.

rule reverse_shell_bash {
  meta:
    description = "A reverse shell in bash"
    severity = 4
    attack = "T1059.004"
    reference = "https://attack.mitre.org/techniques/T1059/"
  strings:
    $a = /(bash|sh)[ \t]+-i[ \t]*[<>&0-9 ]{1,8}\/dev\/(tcp|udp)\//
    $b = /exec[ \t]+[0-9]+<>[ \t]*\/dev\/(tcp|udp)\//
    $c = /0<&[0-9]+;[ \t]*exec[ \t]+[0-9]+<>\/dev\/tcp/
  condition:
    any of them
}

rule reverse_shell_python {
  meta:
    description = "A reverse shell in python"
    severity = 4
    attack = "T1059.006"
    reference = "https://attack.mitre.org/techniques/T1059/"
  strings:
    $a = /socket\.socket\(|import socket/
    $b = /os\.dup2\([ \t]*\w+\.fileno\(\)/
    $c = /pty\.spawn\(|subprocess\.(call|Popen|run)\(\[?["']\/bin\/(ba)?sh|os\.execl?v?\(["']\/bin/
  condition:
    filesize < 2MB and all of them
}

rule reverse_shell_perl {
  meta:
    description = "A reverse shell in perl"
    severity = 4
    attack = "T1059"
    reference = "https://attack.mitre.org/techniques/T1059/"
  strings:
    $a = "use Socket"
    $b = "IO::Socket::INET"
    $c = /open\(STDIN,[ ]?["']>&/
    $d = /STDIN->fdopen\(/
    $e = /exec[ \t]*\(?[ \t]*["{']{1,2}\/bin\/(ba)?sh/
  condition:
    filesize < 2MB and any of ($a, $b) and (any of ($c, $d)) or ($a and $e)
}

rule reverse_shell_php {
  meta:
    description = "A reverse shell in php"
    severity = 4
    attack = "T1059"
    reference = "https://attack.mitre.org/techniques/T1059/"
  strings:
    $a = /(fsockopen|stream_socket_client)\(/
    $b = /(proc_open|shell_exec|popen|exec)\([^)\n]{0,80}(\/bin\/(ba)?sh|<&3)/
    $c = "<?"
    $d = "php -r"
  condition:
    filesize < 2MB and $a and $b and any of ($c, $d)
}

rule reverse_shell_ruby {
  meta:
    description = "A reverse shell in ruby"
    severity = 4
    attack = "T1059"
    reference = "https://attack.mitre.org/techniques/T1059/"
  strings:
    $a = /ruby[ \t]+-rsocket/
    $b = "TCPSocket.new"
    $c = "TCPSocket.open"
    $d = /exec[ \t]*\(?[^\n]{0,40}(\/bin\/(ba)?sh|sprintf)[^\n]{0,60}(<&%d|<&#)/
  condition:
    filesize < 2MB and $d and any of ($a, $b, $c)
}

rule reverse_shell_lua {
  meta:
    description = "A reverse shell in lua"
    severity = 4
    attack = "T1059"
    reference = "https://attack.mitre.org/techniques/T1059/"
  strings:
    $a = /require\(['"]socket['"]\)/
    $b = /os\.execute\([^\n]{0,60}\/bin\/(ba)?sh/
    $c = /io\.popen\(/
    $d = ":receive("
    $e = ":send("
  condition:
    filesize < 2MB and $a and ($b or ($c and $d and $e))
}

rule reverse_shell_node {
  meta:
    description = "A reverse shell in node"
    severity = 4
    attack = "T1059.007"
    reference = "https://attack.mitre.org/techniques/T1059/"
  strings:
    $a = /require\(['"]net['"]\)/
    $b = /require\(['"]child_process['"]\)/
    $c = /\.pipe\(\w+\.stdin\)/
    $d = /stdout\.pipe\(/
  condition:
    filesize < 2MB and all of them
}

rule reverse_shell_netcat {
  meta:
    description = "A reverse shell in netcat"
    severity = 4
    attack = "T1059.004"
    reference = "https://attack.mitre.org/techniques/T1059/"
  strings:
    $a = /\b(nc|ncat|netcat|nc\.traditional)[ \t][^\n]{0,60}-(e|c)[ \t]*['"]?(\/bin\/)?(ba|da|z|a)?sh/
    $b = /mkfifo[ \t][^\n]{1,80}\|[ \t]*(\/bin\/)?(ba|da)?sh[^\n]{1,60}\|[ \t]*(nc|ncat|netcat|telnet|openssl)/
  condition:
    any of them
}

rule reverse_shell_socat {
  meta:
    description = "A reverse shell in socat"
    severity = 4
    attack = "T1059.004"
    reference = "https://attack.mitre.org/techniques/T1059/"
  strings:
    $a = /socat[ \t][^\n]{0,80}(exec|system):['"]?(\/bin\/)?(ba)?sh/ nocase
    $b = /tcp[46]?(-connect|-listen)?:/ nocase
  condition:
    $a and $b
}

rule reverse_shell_awk {
  meta:
    description = "A reverse shell in awk"
    severity = 4
    attack = "T1059.004"
    reference = "https://attack.mitre.org/techniques/T1059/"
  strings:
    $a = /\/inet\/(tcp|udp)\/0\//
    $b = "|& getline"
    $c = "BEGIN"
  condition:
    filesize < 2MB and all of them
}

rule reverse_shell_openssl {
  meta:
    description = "A reverse shell in openssl"
    severity = 4
    attack = "T1573"
    reference = "https://attack.mitre.org/techniques/T1059/"
  strings:
    $a = "openssl s_client"
    $b = /mkfifo[ \t]/
    $c = /(ba)?sh -i/
  condition:
    filesize < 2MB and all of them
}

rule bind_shell_text {
  meta:
    description = "A shell that waits for a connection"
    severity = 4
    attack = "T1059.004"
    reference = "https://attack.mitre.org/techniques/T1059/004/"
  strings:
    $a = /\b(nc|ncat|netcat)[ \t][^\n]{0,60}-[a-z]*l[a-z]*[^\n]{0,60}-(e|c)[ \t]*['"]?(\/bin\/)?(ba)?sh/
    $b = /socat[ \t][^\n]{0,60}tcp[46]?-l(isten)?:[^\n]{0,80}exec:/ nocase
  condition:
    any of them
}

rule meterpreter_stage {
  meta:
    description = "A stage of Metasploit's Meterpreter for Linux"
    severity = 5
    attack = "T1105"
    reference = "https://attack.mitre.org/techniques/T1105/"
    family = "meterpreter"
  strings:
    $a = "mettle" fullword
    $b = "core_loadlib"
    $c = "stdapi_fs_"
    $d = "mettlesploit"
    $e = "stdapi_sys_process_"
    $f = "core_channel_open"
  condition:
    3 of them
}

rule sliver_implant {
  meta:
    description = "Names of the Sliver implant"
    severity = 5
    attack = "T1071.001"
    reference = "https://attack.mitre.org/techniques/T1071/001/"
    family = "sliver"
  strings:
    $a = "sliverpb"
    $b = "github.com/bishopfox/sliver"
    $c = ".sliver."
  condition:
    2 of them
}

rule shell_x86_64_connect_code {
  meta:
    description = "Machine code that connects, copies descriptors and runs a shell (x86-64)"
    severity = 4
    attack = "T1059.004"
    reference = "https://attack.mitre.org/techniques/T1059/004/"
  strings:
    $socket = "j)X"
    $connect = "j*X"
    $dup2 = "j!X"
    $exec = "j;X"
    $path = "/bin/sh"
  condition:
    filesize < 64KB and $socket and $dup2 and $exec and $path and $connect
}
