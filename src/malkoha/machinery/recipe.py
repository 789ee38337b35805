"""What goes into the guest and into the build root: tables only; a change here changes every image's id.

The guest is to look like a small server that somebody uses, and to be quiet: periodic jobs are switched off, since
their calls would only cost time, and a name lookup is answered by nobody but tried.
"""

from __future__ import annotations

SUITE = "trixie"
"""Debian 13: its kernel 6.12 and its SystemTap 5.1 work together."""

VERSION = 1
"""Raised when the code that builds changes what comes out, so that old images are built anew."""

KERNEL = "cloud-amd64"

GUEST_PACKAGES = (
    f"linux-image-{KERNEL}",
    *("systemd-sysv", "dbus", "udev", "kmod", "cron", "at", "rsyslog", "logrotate", "sudo", "passwd"),
    *("bash", "dash", "busybox-static", "coreutils", "procps", "psmisc", "less", "nano", "vim-tiny", "file", "lsof"),
    *("python3", "perl", "gawk", "bzip2", "xz-utils", "zip", "unzip", "tzdata", "libc6-i386", "libstdc++6"),
    *("openssh-server", "openssh-client", "curl", "wget", "ca-certificates", "iputils-ping", "netcat-openbsd"),
    *("iproute2", "net-tools", "inetutils-telnet", "tnftp", "ifupdown", "python3-requests"),
)
"""No compiler and no strace: what a small server lacks and what a sample takes for an analyst's machine."""

BUILD_PACKAGES = (
    *("systemtap", "systemtap-runtime", f"linux-headers-{KERNEL}", f"linux-image-{KERNEL}"),
    *("gcc", "libc6-dev", "make", "zstd", "kmod", "strace"),
)

KEPT_TRACE_HEADERS = ("syscalls.h", "sched.h", "signal.h")
"""Tracepoint headers that the tracer needs; SystemTap compiles a query for each header it finds (90 s for all)."""

HOSTNAME = "web01"
USER = "deploy"

MASKED_UNITS = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "apt-daily.service", "apt-daily-upgrade.service"),
    *("man-db.timer", "dpkg-db-backup.timer", "fstrim.timer", "e2scrub_all.timer", "e2scrub_reap.service"),
    *("logrotate.timer", "systemd-tmpfiles-clean.timer", "systemd-pstore.service", "systemd-hibernate-clear.service"),
    *("systemd-networkd-wait-online.service", "systemd-timesyncd.service", "systemd-firstboot.service"),
    *("systemd-hwdb-update.service", "ldconfig.service", "systemd-journal-catalog-update.service"),
    *("systemd-update-done.service", "systemd-machine-id-commit.service", "systemd-boot-random-seed.service"),
    *("systemd-udev-settle.service", "systemd-tpm2-setup.service", "systemd-tpm2-setup-early.service"),
    *("systemd-pcrmachine.service", "systemd-pcrphase.service", "systemd-pcrphase-sysinit.service"),
    *(
        "systemd-pcrphase-initrd.service",
        "systemd-bootctl.socket",
        "systemd-pcrextend.socket",
        "systemd-pcrlock.socket",
    ),
    *("modprobe@configfs.service", "modprobe@drm.service", "modprobe@fuse.service", "modprobe@efi_pstore.service"),
    *("sys-fs-fuse-connections.mount", "sys-kernel-config.mount", "proc-sys-fs-binfmt_misc.automount"),
    *("systemd-binfmt.service", "systemd-random-seed.service", "systemd-journal-flush.service"),
    *("systemd-remount-fs.service", "systemd-udev-load-credentials.service", "kmod-static-nodes.service"),
    *("systemd-tmpfiles-setup-dev-early.service", "systemd-modules-load.service", "systemd-ask-password-wall.path"),
    *("systemd-ask-password-console.path", "systemd-hostnamed.socket", "sshd-unix-local.socket"),
    *("systemd-creds.socket", "systemd-sysext.socket", "sys-kernel-debug.mount", "dev-hugepages.mount"),
)

UNLOADED = (
    *("kvm_amd", "kvm_intel", "powernow_k8", "acpi_cpufreq", "pcspkr"),
    *(
        "qemu_fw_cfg",
        "vsock",
        "vsock_loopback",
        "vmw_vmci",
        "vmw_vsock_vmci_transport",
        "vmw_vsock_virtio_transport_common",
    ),
)
"""Modules that are of no use in the guest; those of the second line a computer of its own would not have."""

FILES: dict[str, tuple[int, str]] = {
    "/etc/hostname": (0o644, f"{HOSTNAME}\n"),
    "/etc/hosts": (
        0o644,
        f"""127.0.0.1\tlocalhost
127.0.1.1\t{HOSTNAME}

::1\tlocalhost ip6-localhost ip6-loopback
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
""",
    ),
    "/etc/resolv.conf": (0o644, "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n"),
    "/etc/fstab": (0o644, "/dev/vda1 / ext4 defaults,errors=remount-ro,noinit_itable 0 0\n"),
    "/etc/default/locale": (0o644, "LANG=C.UTF-8\n"),
    "/etc/network/interfaces": (0o644, "auto lo\niface lo inet loopback\n"),
    "/etc/sysctl.d/90-local.conf": (0o644, "kernel.hung_task_timeout_secs = 0\nkernel.printk = 3 4 1 3\n"),
    "/etc/systemd/journald.conf.d/local.conf": (0o644, "[Journal]\nReadKMsg=no\nStorage=volatile\nRuntimeMaxUse=16M\n"),
    "/etc/systemd/system.conf.d/local.conf": (0o644, "[Manager]\nDefaultTimeoutStopSec=10s\n"),
    "/etc/modprobe.d/local.conf": (
        0o644,
        "".join(f"blacklist {name}\n" for name in UNLOADED),
    ),
    "/etc/apt/sources.list": (0o644, ""),
    "/root/.bash_history": (
        0o600,
        """apt update
apt upgrade
df -h
systemctl status ssh
tail -f /var/log/syslog
less /etc/ssh/sshd_config
adduser deploy
usermod -aG sudo deploy
reboot
uptime
last
free -m
""",
    ),
}

HOME_FILES: dict[str, tuple[int, str]] = {
    ".bash_history": (
        0o600,
        """ls -la
cd www
nano index.html
python3 -m http.server 8000
scp backup.tar.gz backup@10.20.0.14:/srv/backup/
ssh backup@10.20.0.14
sudo systemctl restart cron
crontab -l
vi notes.txt
./backup.sh
du -sh *
exit
""",
    ),
    ".ssh/config": (0o600, "Host backup\n\tHostName 10.20.0.14\n\tUser backup\n\tIdentityFile ~/.ssh/id_ed25519\n"),
    "notes.txt": (
        0o644,
        """todo
- rotate the backup key in May
- ask Jan about the old database dump
- certificates run out on the 14th
""",
    ),
    "backup.sh": (
        0o755,
        """#!/bin/sh
set -e
cd "$HOME"
tar czf backup.tar.gz www documents
scp -q backup.tar.gz backup:/srv/backup/
""",
    ),
    "www/index.html": (
        0o644,
        "<!doctype html>\n<title>Under maintenance</title>\n<p>We are back in a few minutes.</p>\n",
    ),
    "www/config.ini": (0o640, "[database]\nhost = 10.20.0.12\nname = shop\nuser = shop\npassword = b4Rn-0wl-91\n"),
    "documents/customers.csv": (
        0o644,
        """id,name,city,since
1001,Miller and Sons,Leeds,2019-03-04
1002,Kovac d.o.o.,Zagreb,2019-11-18
1003,Atelier Morel,Lyon,2020-06-30
1004,Nordlys AS,Bergen,2021-01-12
1005,Tanaka Foods,Osaka,2022-08-09
""",
    ),
    "documents/invoice-2041.txt": (
        0o644,
        "Invoice 2041\nMiller and Sons\n12 hours at 85.00\nTotal 1020.00\nDue in 30 days\n",
    ),
}

SETUP = f"""#!/bin/sh
# Runs in the guest's root while it is built.
set -e
useradd -m -s /bin/bash -c 'Deploy' -G sudo,adm {USER}
cp -a /tmp/home-files/. /home/{USER}/
rm -rf /tmp/home-files
ssh-keygen -q -t ed25519 -N '' -C {USER}@{HOSTNAME} -f /home/{USER}/.ssh/id_ed25519
cp /home/{USER}/.ssh/id_ed25519.pub /home/{USER}/.ssh/authorized_keys
chmod 700 /home/{USER}/.ssh
chmod 600 /home/{USER}/.ssh/authorized_keys
chown -R {USER}:{USER} /home/{USER}
find /home/{USER} /root -type f -exec touch -d '23 days ago' {{}} +
passwd -q -d root
passwd -q -l {USER}
ls /etc/ssh/ssh_host_ed25519_key > /dev/null 2>&1 || ssh-keygen -A
ln -sf /usr/share/zoneinfo/Etc/UTC /etc/localtime
echo Etc/UTC > /etc/timezone
systemctl mask -q {" ".join(MASKED_UNITS)}
systemctl disable -q getty@tty1.service networking.service || true
rm -f /etc/cron.daily/apt-compat /etc/cron.daily/dpkg /etc/cron.daily/man-db /etc/cron.d/e2scrub_all
rm -f /etc/dpkg/dpkg.cfg.d/99mmdebstrap /etc/apt/apt.conf.d/99mmdebstrap
rm -rf /etc/apt/sources.list.d/* /var/lib/apt/lists/* /var/cache/apt/*.bin
rm -rf /var/cache/debconf/*-old /var/log/bootstrap.log
touch /var/lib/systemd/clock /etc/.updated /var/.updated
"""

BUILD_SETUP = f"""#!/bin/sh
# Runs in the build root while it is built: leaves SystemTap those tracepoint headers alone that the tracer needs.
set -e
cd /usr/src/linux-headers-*-common/include/trace/events
mkdir -p /usr/src/unused-trace-headers
for header in $(grep -lE 'TRACE_EVENT|DEFINE_EVENT|DECLARE_TRACE' *.h); do
    case " {" ".join(KEPT_TRACE_HEADERS)} " in
        *" $header "*) ;;
        *) mv "$header" /usr/src/unused-trace-headers/ ;;
    esac
done
rm -rf /etc/apt/sources.list.d/* /var/lib/apt/lists/* /var/cache/apt/*.bin
"""
