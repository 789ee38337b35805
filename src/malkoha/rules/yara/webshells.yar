// Webshells.

rule php_eval_of_request {
  meta:
    description = "PHP that runs what a request sends"
    severity = 5
    attack = "T1505.003"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
  strings:
    $a = /(eval|assert|system|exec|passthru|shell_exec|popen)[ \t]*\([ \t]*@?(stripslashes\(|base64_decode\(|gzinflate\(|urldecode\(|trim\()*[ \t]*\$_(GET|POST|REQUEST|COOKIE|SERVER)/
    $b = /\$_(GET|POST|REQUEST|COOKIE)\[[^\]]{1,40}\][ \t]*\([ \t]*\$_(GET|POST|REQUEST|COOKIE)/
  condition:
    filesize < 5MB and any of them
}

rule php_packed_code {
  meta:
    description = "PHP that decodes and runs itself"
    severity = 3
    attack = "T1027"
    reference = "https://attack.mitre.org/techniques/T1027/"
  strings:
    $a = /(eval|assert)[ \t]*\([ \t]*@?(gzinflate|gzuncompress|str_rot13|base64_decode|gzdecode|strrev)[ \t]*\([ \t]*@?(base64_decode|str_rot13|gzinflate|strrev|gzuncompress|['"])/
  condition:
    filesize < 5MB and any of them
}

rule php_shell_brands {
  meta:
    description = "The name of a well-known PHP webshell"
    severity = 5
    attack = "T1505.003"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
  strings:
    $a = "c99shell" nocase
    $b = "r57shell" nocase
    $c = "b374k" nocase
    $d = "FilesMan"
    $e = "WSO_VERSION"
    $f = "weevely" nocase
    $g = "p0wny@shell"
    $h = "AnonymousFox"
    $i = "China Chopper" nocase
    $p = "<?"
  condition:
    filesize < 5MB and $p and any of ($a, $b, $c, $d, $e, $f, $g, $h, $i)
}

rule php_upload_form {
  meta:
    description = "PHP that takes an uploaded file and a command"
    severity = 3
    attack = "T1505.003"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
  strings:
    $a = "move_uploaded_file"
    $b = /\$_FILES\[/
    $c = /(system|shell_exec|passthru|proc_open)[ \t]*\(/
    $d = "<?php"
  condition:
    filesize < 5MB and all of them
}

rule jsp_command_shell {
  meta:
    description = "JSP that runs what a request sends"
    severity = 5
    attack = "T1505.003"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
  strings:
    $a = "request.getParameter("
    $b = "Runtime.getRuntime().exec("
    $c = "<%"
  condition:
    filesize < 1MB and all of them
}
