/* Signals: how they are taken, sent, waited for and blocked. */
#include "conform.h"

struct kernel_action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask;
};

static void handle(int number)
{
	(void)number;
}

__asm__("back: mov $15, %eax\n\tsyscall");
void back(void);

void signals(void)
{
	struct kernel_action action = { handle, 0x04000000 | SA_RESTART | SA_SIGINFO, back, 1UL << (SIGUSR2 - 1) }, old;
	unsigned long set = 1UL << (SIGUSR1 - 1) | 1UL << (SIGRTMIN - 1), none = 0, all = ~0UL;
	struct timespec now = { 0, 0 }, soon = { 0, 1000000 };
	siginfo_t info = { 0 };
	stack_t stack = { buffer, 0, 16384 }, stack_old;

	CALL(SYS_rt_sigaction, SIGUSR1, &action, &old, 8);
	CALL(SYS_rt_sigaction, SIGUSR1, NULL, &old, 8);
	CALL(SYS_rt_sigaction, SIGKILL, &action, NULL, 8);
	CALL(SYS_rt_sigaction, SIGINT, &action, NULL, 5);
	CALL(SYS_kill, getpid(), SIGUSR1);
	CALL(SYS_rt_sigprocmask, SIG_BLOCK, &set, &old.mask, 8);
	CALL(SYS_rt_sigprocmask, 77, &set, NULL, 8);
	CALL(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &old.mask, 8);
	CALL(SYS_tkill, getpid(), SIGUSR1);
	CALL(SYS_tgkill, getpid(), getpid(), 0);
	CALL(SYS_tgkill, 1, 999999, SIGTERM);
	CALL(SYS_rt_sigpending, &old.mask, 8);
	CALL(SYS_rt_sigtimedwait, &set, &info, &now, 8);
	CALL(SYS_rt_sigtimedwait, &set, &info, &soon, 8);
	memset(&info, 0, sizeof(info));
	info.si_signo = SIGUSR1, info.si_code = SI_QUEUE, info.si_pid = 5, info.si_uid = 6, info.si_value.sival_int = 7;
	CALL(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info);
	CALL(SYS_rt_sigtimedwait, &set, &info, NULL, 8);
	CALL(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, &info);
	CALL(SYS_rt_sigqueueinfo, 999999, SIGUSR2, &info);
	CALL(SYS_rt_sigtimedwait, &set, NULL, &now, 8);
	CALL(SYS_kill, 999999, SIGTERM);
	CALL(SYS_kill, getpid(), 99);
	CALL(SYS_sigaltstack, &stack, &stack_old);
	CALL(SYS_sigaltstack, NULL, &stack_old);
	stack.ss_size = 1;
	CALL(SYS_sigaltstack, &stack, NULL);
	CALL(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8);
	CALL(SYS_rt_sigprocmask, SIG_BLOCK, &all, NULL, 8);
	CALL(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8);
	CALL(SYS_alarm, 1000);
	CALL(SYS_alarm, 0);
	CALL(SYS_restart_syscall);
	/* interrupted by what the child sends */
	action.flags &= ~SA_RESTART;
	CALL(SYS_rt_sigaction, SIGUSR2, &action, NULL, 8);
	CALL(SYS_rt_sigprocmask, SIG_BLOCK, &action.mask, NULL, 8);
	CHILD_BEGIN
		CALL(SYS_kill, getppid(), SIGUSR2);
	CHILD_END
	CALL(SYS_rt_sigsuspend, &none, 8);
	reap(child);
	CALL(SYS_rt_sigsuspend, &none, 5);
}
