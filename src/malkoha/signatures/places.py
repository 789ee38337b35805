"""Tables of paths that signatures look for."""

from __future__ import annotations

from malkoha.signatures.paths import table

# ------------------------------------------------------------------------------------------------ persistence
CRON = table("/etc/{crontab,anacrontab}", "/etc/cron.{d,hourly,daily,weekly,monthly}/**", "/var/spool/cron/**")
AT = table("/var/spool/cron/atjobs/**", "/var/spool/at/**", "/var/spool/atjobs/**")
UNITS = table(
    "/{etc,run}/systemd/{system,user}/**.{service,socket,path,target,mount,conf}",
    "/usr/lib/systemd/{system,user}/**.{service,socket,path,target,mount,conf}",
    "/lib/systemd/{system,user}/**.{service,socket,path,target,mount,conf}",
    "/usr/local/lib/systemd/**.{service,socket,path}",
    "~/.config/systemd/user/**.{service,socket,path}",
    "~/.local/share/systemd/user/**.{service,socket,path}",
)
TIMERS = table(
    "/{etc,run}/systemd/{system,user}/**.timer", "/usr/lib/systemd/{system,user}/**.timer",
    "/lib/systemd/{system,user}/**.timer", "~/.config/systemd/user/**.timer", "/run/systemd/transient/*.timer",
)  # fmt: skip
GENERATORS = table(
    "/{etc,run}/systemd/{system,user}-{generators,environment-generators}/*",
    "/usr/lib/systemd/{system,user}-generators/*", "/usr/local/lib/systemd/{system,user}-generators/*",
    "/usr/lib/systemd/system-{shutdown,sleep}/*",
)  # fmt: skip
RC = table("/etc/rc.local", "/etc/rc?.d/*", "/etc/rc.d/**", "/etc/init.d/*", "/etc/inittab", "/etc/init/*.conf")
PROFILES = table(
    "/etc/{profile,bash.bashrc,bashrc,environment,zshrc,zshenv,csh.login,csh.cshrc}",
    "/etc/profile.d/**",
    "/etc/zsh/*",
    "/etc/skel/.*",
    "/etc/bash_completion.d/*",
    "/etc/fish/**",
    "~/.{bashrc,bash_profile,bash_login,bash_logout,bash_aliases,profile,zshrc,zprofile,zshenv,zlogin,kshrc,cshrc,tcshrc}",
    "~/.config/fish/**",
    "~/.{xinitrc,xsession,xprofile}",
)
XDG = table("/etc/xdg/autostart/*", "~/.config/autostart/*", "~/.config/{autostart-scripts,plasma-workspace/env}/*")
AUTHORIZED = table(".ssh/authorized_keys{,2}", "/etc/ssh/authorized_keys/*")
SSH_RC = table(".ssh/rc", "/etc/ssh/sshrc", ".ssh/environment")
SSHD = table("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*")
PRELOAD = table("/etc/ld.so.preload")
LOADER = table("/etc/ld.so.conf", "/etc/ld.so.conf.d/*", "/etc/ld.so.cache")
UDEV = table("/{etc,run}/udev/rules.d/*", "/usr/lib/udev/rules.d/*", "/lib/udev/rules.d/*")
MOTD = table("/etc/update-motd.d/*")
PAM = table("/etc/pam.d/*", "/etc/pam.conf", "/etc/security/*", "pam_*.so", "security/pam_*.so")
GIT_HOOKS = table(
    ".git/hooks/{applypatch-msg,commit-msg,post-checkout,post-commit,post-merge,pre-commit,pre-push,pre-rebase,post-rewrite}",
    "~/.config/git/hooks/*",
)
MODULES = table(
    "/etc/modules", "/etc/modules-load.d/*", "/etc/modprobe.d/*", "/lib/modules/**.ko*", "/usr/lib/modules/**.ko*"
)
INITRAMFS = table("/etc/initramfs-tools/**", "/usr/share/initramfs-tools/{hooks,scripts}/**", "/etc/dracut.conf.d/*")
BOOT = table("/boot/**", "/etc/default/grub", "/etc/grub.d/*")
APT_HOOKS = table("/etc/apt/apt.conf.d/*", "/etc/apt/apt.conf", "/etc/dpkg/dpkg.cfg.d/*", "/etc/yum/pluginconf.d/*")
MAINTAINER = table("/var/lib/dpkg/info/*.{postinst,preinst,prerm,postrm}")
DBUS = table("/etc/dbus-1/system.d/*", "/usr/share/dbus-1/{system-services,services}/*", "/etc/polkit-1/rules.d/*")
NETWORK_HOOKS = table(
    "/etc/network/if-{up,down,pre-up,post-down}.d/*", "/etc/NetworkManager/dispatcher.d/**",
    "/etc/networkd-dispatcher/**", "/etc/dhcp/dhclient-{enter,exit}-hooks.d/*",
)  # fmt: skip
PYTHON_HOOKS = table("usercustomize.py", "sitecustomize.py", "{dist,site}-packages/*.pth")
BINFMT = table("/proc/sys/fs/binfmt_misc/register", "/etc/binfmt.d/*", "/usr/lib/binfmt.d/*")
ALIASES = table("/etc/aliases", "~/.forward", "~/.procmailrc", "/etc/inetd.conf", "/etc/xinetd.d/*")
WEB_ROOT = table(
    "/var/www/**.{php,php5,phtml,jsp,jspx,cgi,pl,py,asp,aspx}", "/usr/share/nginx/**.php", "/srv/http/**.php"
)
SYSTEM_PROGRAMS = table("/{bin,sbin}/*", "/usr/{bin,sbin}/*", "/usr/lib/{openssh,systemd,x86_64-linux-gnu,polkit-1}/*")
LIBRARIES = table("/lib/x86_64-linux-gnu/*.so*", "/usr/lib/x86_64-linux-gnu/*.so*", "/usr/lib/*.so*", "/lib64/*")

# ---------------------------------------------------------------------------------------- privilege escalation
SUDOERS = table("/etc/sudoers", "/etc/sudoers.d/*", "/etc/doas.conf")
ACCOUNT_FILES = table("/etc/{passwd,shadow,group,gshadow}")
KERNEL_HELPERS = table(
    "/proc/sys/kernel/{core_pattern,modprobe,hotplug,poweroff_cmd,usermodehelper/**}", "/sys/kernel/uevent_helper",
    "/sys/fs/cgroup/**/release_agent", "release_agent", "notify_on_release",
)  # fmt: skip
CONTAINER_SOCKETS = table("/{run,var/run}/{docker,containerd/containerd,crio/crio,podman/podman}.sock")
CONTAINER_HOST = table("/proc/1/root/**", "/proc/1/ns/*", "/proc/1/cwd/**")
KERNEL_MEMORY = table("/dev/{mem,kmem,port}", "/proc/{kcore,kallsyms}", "/boot/System.map*")

# --------------------------------------------------------------------------------------------------- stealth
LOGS = table(
    "/var/log/{syslog*,messages*,auth.log*,secure*,kern.log*,daemon.log*,user.log*,debug*,boot.log*,cron*,maillog*,mail*}",
    "/var/log/{system.log*,dpkg.log*,faillog,yum.log*,audit/**,apache2/**,nginx/**,httpd/**,security*,journal/**}",
    "/var/audit/*", "/{run,var}/log/journal/**",
)  # fmt: skip
LOGINS = table("/var/log/{wtmp,btmp,lastlog}", "/{run,var/run}/utmp")
HISTORIES = table(
    "~/.{bash_history,zsh_history,ash_history,sh_history,history,python_history,mysql_history,psql_history,sqlite_history,lesshst,viminfo,wget-hsts}",
    "~/.local/share/fish/fish_history",
    "~/.config/fish/fish_history",
)
MAILBOXES = table("/var/spool/mail/**", "/var/mail/**", "~/{Maildir,Mail}/**", "~/.thunderbird/**")
MEMORY_FOLDERS = table("/dev/shm/**", "/run/shm/**", "/dev/mqueue/**")

# --------------------------------------------------------------------------------------- defence impairment
AUDIT = table("/etc/audit/**", "/etc/audisp/**", "/etc/{auditd,libaudit}.conf", "/etc/audit.rules")
LOGGING = table(
    "/etc/{rsyslog,syslog,syslog-ng}.conf", "/etc/rsyslog.d/*", "/etc/syslog-ng/**", "/etc/systemd/journald.conf",
    "/etc/systemd/journald.conf.d/*",
)  # fmt: skip
FIREWALL = table(
    "/etc/ufw/**", "/etc/default/ufw", "/lib/ufw/**", "/etc/iptables/**", "/etc/nftables.conf", "/etc/firewalld/**",
    "/etc/sysconfig/iptables",
)  # fmt: skip
SECURITY_POLICY = table(
    "/etc/selinux/**", "/sys/fs/selinux/{enforce,disable}", "/etc/apparmor.d/**", "/etc/apparmor/**"
)
HARDENING = table(
    "/proc/sys/kernel/{randomize_va_space,yama/ptrace_scope,kptr_restrict,dmesg_restrict,perf_event_paranoid}",
    "/proc/sys/kernel/{unprivileged_bpf_disabled,ftrace_enabled,nmi_watchdog}", "/proc/sys/fs/{suid_dumpable,protected_*}",
    "/sys/kernel/debug/kprobes/enabled", "/sys/kernel/tracing/**", "/sys/kernel/debug/tracing/**",
)  # fmt: skip
CACHES = table("/proc/sys/vm/drop_caches")
SYSRQ = table("/proc/sysrq-trigger", "/proc/sys/kernel/sysrq")
CERTIFICATES = table(
    "/usr/local/share/ca-certificates/**", "/etc/ssl/certs/*", "/etc/pki/ca-trust/source/anchors/*",
    "/usr/share/ca-certificates/**", "/etc/ca-certificates.conf",
)  # fmt: skip

# ------------------------------------------------------------------------------------------ credential access
HASHES = table(
    "/etc/{shadow,gshadow,shadow-,gshadow-,master.passwd}", "/etc/security/opasswd", "/var/lib/extrausers/shadow"
)
SSH_KEYS = table(
    ".ssh/id_{rsa,dsa,ecdsa,ed25519,ed25519_sk,ecdsa_sk}", ".ssh/{identity,config,known_hosts}", "/etc/ssh/ssh_host_*_key",
)  # fmt: skip
PGP_KEYS = table(".gnupg/{private-keys-v1.d/**,secring.gpg,gpg.conf,pubring.kbx}", ".gnupg")
CLOUD = table(
    ".aws/{credentials,config}", ".azure/**", ".config/gcloud/**", ".oci/**", ".kube/config", ".docker/config.json",
    ".config/doctl/**", ".terraform.d/**", ".boto", ".s3cfg", "/etc/kubernetes/*.conf", ".config/rclone/**",
)  # fmt: skip
PASSWORD_FILES = table(
    ".{netrc,git-credentials,pgpass,my.cnf,npmrc,pypirc,vault-token,htpasswd,smbcredentials}",
    ".config/gh/hosts.yml",
    "wp-config.php",
    ".env",
    "/etc/mysql/debian.cnf",
    "/etc/{ppp,ipsec.d}/*secrets",
    "/etc/ipsec.secrets",
    ".config/filezilla/**",
    ".subversion/auth/**",
    "/etc/wpa_supplicant/*.conf",
    "/etc/openvpn/**.{key,conf,pass}",
)
BROWSER = table(
    ".mozilla/firefox/**/{logins.json,key4.db,key3.db,cookies.sqlite,signons.sqlite}",
    ".config/{google-chrome,chromium,microsoft-edge,BraveSoftware/Brave-Browser,opera}/**/{Login Data,Cookies,Web Data}",
    "{Login Data,logins.json,key4.db,cookies.sqlite}",
)
BROWSING = table(
    ".mozilla/firefox/**/places.sqlite",
    ".config/{google-chrome,chromium,microsoft-edge}/**/{Bookmarks,History}",
    "Bookmarks",
)
WALLETS = table(
    ".{bitcoin,litecoin,dogecoin,ethereum,electrum,monero,zcash,dash,dashcore}/**",
    "wallet.dat",
    ".config/{Exodus,solana,atomic}/**",
)
PASSWORD_STORES = table(
    ".password-store/**", "*.kdbx", ".local/share/keyrings/*", ".config/keepassxc/**", ".config/Bitwarden/**"
)
TICKETS = table("/tmp/krb5cc_*", "/etc/krb5.keytab", "*.keytab", "/var/lib/sss/**")
TOKENS = table("/{run,var/run}/secrets/kubernetes.io/serviceaccount/*", "/{run,var/run}/secrets/**")
PROCESS_MEMORY = table("/proc/*/mem", "/proc/*/maps", "/proc/*/environ", "/proc/*/fd/*")

# ------------------------------------------------------------------------------------------------- discovery
RELEASE = table(
    "/etc/{os-release,lsb-release,redhat-release,debian_version,issue,issue.net,fedora-release,system-release}",
    "/proc/version", "/usr/lib/os-release", "/proc/sys/kernel/{osrelease,version}",
)  # fmt: skip
HARDWARE = table("/proc/{cpuinfo,meminfo}", "/proc/{partitions,diskstats,uptime,loadavg,interrupts,ioports,iomem}")
NETWORK_STATE = table("/proc/net/{tcp,tcp6,udp,udp6,unix,raw,packet}", "/proc/*/net/{tcp,tcp6,udp,udp6,unix,raw}")
NETWORK_SETUP = table(
    "/etc/{resolv.conf,hosts,network/interfaces}", "/proc/net/{route,dev,arp,if_inet6,fib_trie}", "/proc/*/net/{route,dev,arp}",
    "/sys/class/net/**", "/etc/netplan/*", "/etc/NetworkManager/system-connections/*",
)  # fmt: skip
PASSWORD_POLICY = table(
    "/etc/pam.d/{common-password,passwd,system-auth,password-auth}", "/etc/{login.defs,security/pwquality.conf}"
)
SUDO_RULES = table("/etc/sudoers", "/etc/sudoers.d/*", "/etc/sudoers.d")
SERVICES = table("/etc/init.d", "/etc/rc?.d", "/{etc,lib,run}/systemd/system", "/usr/lib/systemd/system")
LOCALE = table("/etc/default/{locale,keyboard}", "/etc/locale.{conf,gen}", "/etc/timezone", "/etc/vconsole.conf")
DRIVERS = table("/proc/modules", "/sys/module", "/lib/modules/**/drivers{,/**}", "/usr/lib/modules/**/drivers{,/**}")
MOUNTED = table(
    "/proc/{mounts,filesystems}",
    "/proc/*/mounts",
    "/proc/*/mountinfo",
    "/etc/{fstab,exports,mtab}",
    "/etc/samba/smb.conf",
)
SECURITY_TOOLS = table(
    "/opt/{CrowdStrike,SentinelOne,carbonblack,kaspersky,sophos-spl,eset,ds_agent,McAfee,Tanium,qualys}{,/**}",
    "/etc/{falco,osquery,wazuh,ossec,clamav,rkhunter.conf,chkrootkit.conf,snort,suricata,fail2ban,tripwire}{,/**}",
    "/var/ossec{,/**}",
    "/usr/local/{qcloud,aegis,cloudmonitor}{,/**}",
    "/var/lib/{aide,clamav}{,/**}",
)

# -------------------------------------------------------------------------------------------- sandbox evasion
DMI = table(
    "/sys/class/dmi/id/*", "/sys/devices/virtual/dmi/id/*", "/sys/firmware/dmi/**", "/sys/firmware/acpi/tables/**"
)
VIRTUAL_HARDWARE = table(
    "/sys/bus/virtio/**",
    "/proc/scsi/**",
    "/proc/ide/**",
    "/sys/block/*/device/{model,vendor}",
    "/dev/disk/by-id{,/*}",
    "/sys/hypervisor/**",
    "/proc/xen/**",
    "/proc/bus/pci/devices",
    "/proc/vz",
    "/proc/bc",
    "/dev/{vboxguest,vboxuser,vmci,kvm}",
    "/sys/module/{vboxguest,vboxsf,vmw_balloon,vmxnet3,virtio_pci,virtio_net,hv_vmbus,xen_blkfront,kvm_intel}{,/**}",
)
CONTAINER_MARKS = table(
    "/.dockerenv",
    "/.dockerinit",
    "/run/.containerenv",
    "/run/systemd/container",
    "/proc/1/{environ,cgroup,sched,comm,cmdline}",
    "/proc/self/cgroup",
    "/proc/2/{status,comm,cmdline}",
)
SANDBOX_MARKS = table(
    "/root/.cuckoo{,/**}",
    "/tmp/.cuckoo*",
    "/opt/{sandbox,cuckoo,cape}{,/**}",
    "{analyzer,agent,cuckoo}.py",
    "stap.log",
    "{qemu-ga,VBoxService,VBoxClient,vmtoolsd,spice-vdagent}",
    "/proc/systemtap{,/**}",
    "/sys/kernel/debug/{systemtap,tracing}{,/**}",
    "/usr/bin/{stap,staprun,strace,ltrace,gdb,sysdig,bpftrace}",
)
SELF = table("/proc/self/{status,stat,wchan,syscall}", "/proc/self/task/*/status")
SELF_IMAGE = table("/proc/self/{exe,mem}")
INPUT_DEVICES = table("/dev/input/**", "/dev/uinput", "/dev/hidraw*", "/dev/{vcs,vcsa}*")
CAMERAS = table("/dev/video*", "/dev/media*")
SOUND = table("/dev/snd/pcm*c", "/dev/dsp*", "/dev/audio*")
SCREENS = table("/dev/fb*", "/dev/dri/card*")

# ---------------------------------------------------------------------------------------------------- impact
DISKS = table(
    "/dev/{sd,hd,vd,xvd}[a-z]",
    "/dev/{sd,hd,vd,xvd}?",
    "/dev/{sd,hd,vd,xvd}??",
    "/dev/nvme*",
    "/dev/mmcblk*",
    "/dev/mtd*",
    "/dev/dm-*",
)
WATCHDOGS = table("/dev/watchdog*", "/dev/misc/watchdog", "/dev/FTWDT101_watchdog")
ESXI = table("/vmfs/volumes/**", "*.{vmdk,vmx,vmsd,vmsn,vswp}")
RESOLVER = table("/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf")
NOTES = table(
    "*{readme,README,Readme,DECRYPT,decrypt,Decrypt,RECOVER,recover,RESTORE,restore,RANSOM,ransom,UNLOCK}*.{txt,TXT,html,hta,md}",
)
LOCKS = table("/var/run/*.{lock,pid}", "/run/*.{lock,pid}", "/tmp/.*{lock,pid}*", "/dev/shm/*")
