// Packers and bundlers: no proof of malice.

rule packed_by_upx {
  meta:
    description = "Packed with UPX"
    severity = 1
    attack = "T1027.002"
    reference = "https://attack.mitre.org/techniques/T1027/002/"
  strings:
    $a = "UPX!"
    $b = "$Info: This file is packed with the UPX"
  condition:
    uint32(0) == 0x464c457f and ($b or #a > 1)
}

rule shell_script_compiled_by_shc {
  meta:
    description = "A shell script in a program, made by shc"
    severity = 2
    attack = "T1027.002"
    reference = "https://attack.mitre.org/techniques/T1027/002/"
  strings:
    $a = "E: neither argv[0] nor $_ works."
    $b = "Please contact your provider"
    $c = "x%lx"
  condition:
    uint32(0) == 0x464c457f and 2 of them
}

rule python_bundle {
  meta:
    description = "A Python program in one file, made by PyInstaller"
    severity = 1
    attack = "T1027"
    reference = "https://attack.mitre.org/techniques/T1027/"
  strings:
    $a = "_MEIPASS2"
    $b = "pyi-runtime-tmpdir"
    $c = { 4d 45 49 0c 0b 0a 0b 0e }
  condition:
    uint32(0) == 0x464c457f and any of them
}
