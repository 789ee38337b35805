// Ransom, wiping.

rule ransom_note {
  meta:
    description = "The words of a ransom note"
    severity = 4
    attack = "T1486"
    reference = "https://attack.mitre.org/techniques/T1486/"
  strings:
    $a = "files have been encrypted" nocase
    $b = "files are encrypted" nocase
    $c = "decrypt your files" nocase
    $d = "restore your files" nocase
    $e = "recover your files" nocase
    $f = /bitcoin|monero|\bBTC\b|\bXMR\b/ nocase
    $g = ".onion"
    $h = "decryption key" nocase
    $i = "tor browser" nocase
    $j = "private key" nocase
  condition:
    any of ($a, $b, $c, $d, $e) and 2 of ($f, $g, $h, $i, $j)
}

rule esxi_encryptor {
  meta:
    description = "Virtual machines of ESXi are stopped and encrypted"
    severity = 5
    attack = "T1486"
    reference = "https://attack.mitre.org/techniques/T1486/"
  strings:
    $a = "esxcli vm process kill"
    $b = "vim-cmd vmsvc"
    $c = "/vmfs/volumes"
    $d = ".vmdk"
    $e = "encrypt" nocase
  condition:
    $c and $e and any of ($a, $b) and $d
}

rule disk_wiper_script {
  meta:
    description = "A disk or everything on it is overwritten"
    severity = 4
    attack = "T1561.001"
    reference = "https://attack.mitre.org/techniques/T1561/001/"
  strings:
    $a = /dd[ \t]+if=\/dev\/(zero|u?random)[ \t][^\n]{0,40}of=\/dev\/([sv]d[a-z]|nvme|mmcblk|xvd)/
    $b = /rm[ \t]+-[rf]{2,3}[ \t]+(--no-preserve-root[ \t]+\/|\/[ \t]*(\n|;|&|\*))/
    $c = /shred[ \t][^\n]{0,30}\/dev\/([sv]d[a-z]|nvme)/
    $d = ":(){ :|:& };:"
  condition:
    filesize < 20MB and any of them
}
