/* ptrace: succeeds when nobody else traces us already. */
#include "conform.h"
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

void tracing(void)
{
	struct user_regs_struct regs;
	long word = 0;
	int status, gate[2];
	struct { void *at; size_t size; } set = { &regs, sizeof(regs) };

	raw(SYS_pipe, (long)gate, 0, 0, 0, 0, 0);
	CHILD_BEGIN
		char c;

		/* stays until the other end is closed */
		raw(SYS_close, gate[1], 0, 0, 0, 0, 0);
		raw(SYS_read, gate[0], (long)&c, 1, 0, 0, 0);
	CHILD_END
	CALL(SYS_ptrace, PTRACE_SEIZE, child, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXIT);
	CALL(SYS_ptrace, PTRACE_ATTACH, 999999, 0, 0);
	CALL(SYS_ptrace, PTRACE_INTERRUPT, child, 0, 0);
	if (raw(SYS_wait4, child, 0, WNOHANG, 0, 0, 0) == 0)
		raw(SYS_nanosleep, (long)&(struct timespec){ 0, 200000000 }, 0, 0, 0, 0, 0);
	CALL(SYS_wait4, child, &status, __WALL | WNOHANG, NULL);
	CALL(SYS_ptrace, PTRACE_GETREGS, child, 0, &regs);
	CALL(SYS_ptrace, PTRACE_GETREGSET, child, 1, &set);
	CALL(SYS_ptrace, PTRACE_PEEKDATA, child, &word, &word);
	CALL(SYS_ptrace, PTRACE_POKEDATA, child, &word, 0x55);
	CALL(SYS_ptrace, PTRACE_SETOPTIONS, child, 0, PTRACE_O_EXITKILL);
	CALL(SYS_ptrace, PTRACE_GETSIGINFO, child, 0, buffer);
	CALL(SYS_ptrace, PTRACE_GETEVENTMSG, child, 0, &word);
	CALL(SYS_ptrace, PTRACE_DETACH, child, 0, 0);
	CALL(SYS_ptrace, PTRACE_CONT, child, 0, SIGTERM);
	CALL(SYS_ptrace, 9999, child, 1, 2);
	raw(SYS_close, gate[0], 0, 0, 0, 0, 0);
	raw(SYS_close, gate[1], 0, 0, 0, 0, 0);
	reap(child);
	CHILD_BEGIN
		CALL(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
	CHILD_END
	reap(child);
}
