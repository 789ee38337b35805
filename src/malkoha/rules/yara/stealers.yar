// Takers of credentials.

rule shadow_and_ssh_keys_taken {
  meta:
    description = "Password hashes and SSH keys are collected"
    severity = 4
    attack = "T1552.004"
    reference = "https://attack.mitre.org/techniques/T1552/004/"
  strings:
    $a = "/etc/shadow"
    $b = ".ssh/id_rsa"
    $c = ".ssh/id_ed25519"
    $d = ".aws/credentials"
    $e = ".kube/config"
    $f = ".docker/config.json"
    $g = ".bash_history"
    $h = ".git-credentials"
    $i = "/proc/self/environ"
    $j = "169.254.169.254"
  condition:
    filesize < 20MB and 4 of them
}

rule browser_secrets_taken {
  meta:
    description = "Password stores of browsers are named"
    severity = 3
    attack = "T1555.003"
    reference = "https://attack.mitre.org/techniques/T1555/003/"
  strings:
    $a = "logins.json"
    $b = "key4.db"
    $c = "Login Data"
    $d = ".config/google-chrome"
    $e = ".mozilla/firefox"
    $f = "Local State"
    $g = ".config/chromium"
  condition:
    filesize < 20MB and 4 of them
}

rule cloud_metadata_taken {
  meta:
    description = "Credentials of a cloud machine are asked for"
    severity = 3
    attack = "T1552.005"
    reference = "https://attack.mitre.org/techniques/T1552/005/"
  strings:
    $a = "169.254.169.254/latest/meta-data/iam/security-credentials"
    $b = "metadata.google.internal/computeMetadata/v1/instance/service-accounts"
    $c = "169.254.170.2"
    $d = "169.254.169.254/metadata/identity/oauth2/token"
  condition:
    any of ($a, $b, $d) or ($c and filesize < 1MB)
}

rule passwords_from_memory {
  meta:
    description = "Passwords are looked for in the memory of processes"
    severity = 4
    attack = "T1003.007"
    reference = "https://attack.mitre.org/techniques/T1003/007/"
  strings:
    $a = "mimipenguin" nocase
    $b = "gnome-keyring-daemon"
    $c = "/proc/%d/mem"
    $d = "/proc/%d/maps"
    $e = "_pammodutil_getpwnam_root_1"
  condition:
    $a or ($e and $b) or ($b and $c and $d)
}

rule keylogger_input_events {
  meta:
    description = "Keys are read from the input devices"
    severity = 3
    attack = "T1056.001"
    reference = "https://attack.mitre.org/techniques/T1056/001/"
  strings:
    $a = "/dev/input/event"
    $b = "keylog" nocase
    $c = "KEY_LEFTSHIFT"
    $d = "EV_KEY"
    $e = "logkeys"
    $f = "<LShft>" nocase
  condition:
    $a and $b and any of ($c, $d, $e, $f)
}
