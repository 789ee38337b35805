/* Processes: making them, their programs, their end and what can be asked of them. */
#include "conform.h"
#include <linux/sched.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/prctl.h>

static void programs(void)
{
	char *args[] = { "true", "with arguments", NULL }, *env[] = { "NAME=value", NULL };
	int status;

	CALL(SYS_execve, "/nothing", args, env);
	CALL(SYS_execve, "/etc/passwd", args, NULL);
	CALL(SYS_execve, BAD, args, env);
	CALL(SYS_execveat, AT_FDCWD, "/nothing", args, env, AT_SYMLINK_NOFOLLOW);
	CHILD_BEGIN
		CALL(SYS_execve, "/bin/true", args, env);
	CHILD_END
	CALL(SYS_wait4, child, &status, 0, NULL);
	CHILD_BEGIN
		CALL(SYS_execveat, AT_FDCWD, "/bin/false", args, env, 0);
	CHILD_END
	CALL(SYS_wait4, child, &status, __WALL, NULL);
}

static void endings(void)
{
	struct rusage usage;
	siginfo_t info;
	int status = 0, pid;

	CHILD_BEGIN
		CALL(SYS_exit, 3);
	CHILD_END
	CALL(SYS_wait4, child, &status, 0, &usage);
	CHILD_BEGIN
		CALL(SYS_kill, getpid(), SIGKILL);
	CHILD_END
	CALL(SYS_wait4, -1, &status, 0, NULL);
	CHILD_BEGIN
		CALL(SYS_exit_group, 4);
	CHILD_END
	CALL(SYS_waitid, P_PID, child, &info, WEXITED | WNOWAIT, NULL);
	CALL(SYS_waitid, P_PID, child, &info, WEXITED, &usage);
	CALL(SYS_waitid, P_ALL, 0, &info, WEXITED | WNOHANG, NULL);
	CALL(SYS_waitid, P_ALL, 0, &info, 0, NULL);
	CALL(SYS_wait4, -1, &status, WNOHANG, NULL);
	pid = CALL(SYS_fork);
	if (!pid)
		raw(SYS_exit_group, 5, 0, 0, 0, 0, 0);
	CALL(SYS_wait4, pid, &status, 0, NULL);
}

void processes(void)
{
	struct iovec local = { buffer, 16 }, remote = { "memory of mine", 14 }, bad = { BAD, 4 };
	struct clone_args args = { .flags = 0x1000, .exit_signal = SIGCHLD };
	struct rlimit limit = { 0, 0 }, other;
	struct rusage usage;
	int pidfd = -1, status, pid;

	programs();
	endings();
	args.pidfd = (uint64_t)&pidfd;
	pid = CALL(SYS_clone3, &args, sizeof(args));
	if (!pid)
		raw(SYS_exit_group, 0, 0, 0, 0, 0, 0);
	CALL(SYS_pidfd_send_signal, pidfd, 0, NULL, 0);
	CALL(SYS_waitid, 3, pidfd, buffer, WEXITED, NULL);
	args.flags = 0x800;
	CALL(SYS_clone3, &args, sizeof(args));
	CALL(SYS_clone3, BAD, 8);
	pid = CALL(SYS_clone, SIGCHLD | CLONE_FILES, 0, NULL, NULL, 0);
	if (!pid)
		raw(SYS_exit_group, 0, 0, 0, 0, 0, 0);
	CALL(SYS_wait4, pid, &status, 0, NULL);
	CALL(SYS_clone, CLONE_THREAD, 0, NULL, NULL, 0);
	CALL(SYS_getpid);
	CALL(SYS_getppid);
	CALL(SYS_gettid);
	CALL(SYS_getpgrp);
	CALL(SYS_getpgid, 0);
	CALL(SYS_getpgid, 999999);
	CALL(SYS_setpgid, 0, 0);
	CALL(SYS_setpgid, 1, 1);
	CALL(SYS_getsid, 0);
	CALL(SYS_setsid);
	CALL(SYS_set_tid_address, buffer);
	CALL(SYS_set_robust_list, buffer, 24);
	CALL(SYS_set_robust_list, buffer, 5);
	CALL(SYS_get_robust_list, 0, buffer + 100, buffer + 200);
	CALL(SYS_get_robust_list, 999999, buffer + 100, buffer + 200);
	CALL(SYS_getrlimit, RLIMIT_NOFILE, &limit);
	CALL(SYS_getrlimit, 99, &limit);
	CALL(SYS_setrlimit, RLIMIT_NOFILE, &limit);
	CALL(SYS_prlimit64, 0, RLIMIT_CORE, NULL, &limit);
	CALL(SYS_prlimit64, 0, RLIMIT_CORE, &limit, &other);
	CALL(SYS_prlimit64, 999999, RLIMIT_CPU, NULL, &other);
	CALL(SYS_getrusage, RUSAGE_SELF, &usage);
	CALL(SYS_getrusage, 9, &usage);
	CALL(SYS_times, buffer);
	pidfd = CALL(SYS_pidfd_open, getpid(), 0);
	CALL(SYS_pidfd_open, 999999, 0x800);
	CALL(SYS_pidfd_getfd, pidfd, 1, 0);
	CALL(SYS_pidfd_getfd, pidfd, NOFD, 0);
	CALL(SYS_process_vm_readv, getpid(), &local, 1, &remote, 1, 0);
	CALL(SYS_process_vm_readv, getpid(), &local, 1, &bad, 1, 0);
	CALL(SYS_process_vm_writev, getpid(), &remote, 1, &local, 1, 0);
	CALL(SYS_process_vm_writev, 999999, &remote, 1, &local, 1, 0);
	CALL(SYS_prctl, PR_SET_NAME, "renamed");
	CALL(SYS_prctl, PR_GET_NAME, buffer);
	CALL(SYS_prctl, PR_SET_PDEATHSIG, SIGTERM);
	CALL(SYS_prctl, PR_GET_PDEATHSIG, buffer);
	CALL(SYS_prctl, PR_SET_DUMPABLE, 1);
	CALL(SYS_prctl, PR_GET_DUMPABLE);
	CALL(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1);
	CALL(SYS_prctl, PR_GET_CHILD_SUBREAPER, buffer);
	CALL(SYS_prctl, PR_SET_TIMERSLACK, 50000);
	CALL(SYS_prctl, PR_GET_TIMERSLACK);
	CALL(SYS_prctl, PR_CAPBSET_READ, 21);
	CALL(SYS_prctl, PR_GET_SECUREBITS);
	CALL(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 1, 0, 0);
	CALL(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	CALL(SYS_prctl, PR_SET_VMA, 0, 0x7000, 4096, "name");
	CALL(SYS_prctl, 9999, 1, 2, 3, 4);
}
