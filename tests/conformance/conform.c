/* Runs one group of calls by its name, and tells what was done. */
#include "conform.h"
#include <sys/wait.h>

struct said {
	int tid, narrow;
	long nr, arg[6], ret;
};

#define SAID_MAX 2048

static struct said *said;
static int *said_count;
static int own_tid;
int child;
char buffer[65536];

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{ "files", files }, { "directories", directories }, { "descriptors", descriptors }, { "attributes", attributes },
	{ "memory", memory }, { "processes", processes }, { "signals", signals }, { "clocks", clocks },
	{ "identities", identities }, { "sockets", sockets }, { "ipc", ipc }, { "polling", polling },
	{ "mounts", mounts }, { "aio", aio }, { "security", security }, { "tracing", tracing },
	{ "scheduling", scheduling }, { "miscellaneous", miscellaneous }, { "narrow", narrow }, { "wide", wide },
};

long raw(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		: "rcx", "r11", "memory");
	return ret;
}

static long raw32(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;

	/* the sixth word goes in rbp, which the compiler keeps for itself */
	__asm__ volatile("push %%rbp\n\tmov %7, %%rbp\n\tint $0x80\n\tpop %%rbp" : "=a"(ret)
		: "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), "r"(f) : "r8", "r9", "r10", "r11", "memory");
	return (int)ret;
}

long made(int is_narrow, long nr, long a, long b, long c, long d, long e, long f)
{
	long arg[6] = { a, b, c, d, e, f };
	long ret;
	struct said *one = &said[__atomic_fetch_add(said_count, 1, __ATOMIC_SEQ_CST)];

	if (one >= said + SAID_MAX)
		__builtin_trap();
	one->ret = 0x7e57;	/* what stays when it does not return */
	one->tid = own_tid;
	one->narrow = is_narrow;
	one->nr = nr;
	memcpy(one->arg, arg, sizeof(arg));
	ret = is_narrow ? raw32(nr, a, b, c, d, e, f) : raw(nr, a, b, c, d, e, f);
	/* what a child would say here is its creator's to say */
	if (ret || is_narrow || (nr != SYS_fork && nr != SYS_clone && nr != SYS_clone3))
		one->ret = ret;
	return ret;
}

int fork_child(void)
{
	int pid = raw(SYS_fork, 0, 0, 0, 0, 0, 0);

	if (!pid)
		own_tid = raw(SYS_gettid, 0, 0, 0, 0, 0, 0);
	return pid;
}

void reap(int pid)
{
	raw(SYS_wait4, pid, 0, __WALL, 0, 0, 0);
}

static char *hex(char *to, unsigned long value)
{
	char digits[17];
	int n = 0;

	do
		digits[n++] = "0123456789abcdef"[value & 15];
	while (value >>= 4);
	while (n)
		*to++ = digits[--n];
	*to++ = ' ';
	return to;
}

static void tell(void)
{
	char line[256], *end;
	int i, j;

	for (i = 0; i < *said_count; i++) {
		end = hex(line, said[i].tid);
		end = hex(end, said[i].narrow);
		end = hex(end, said[i].nr);
		for (j = 0; j < 6; j++)
			end = hex(end, said[i].arg[j]);
		end = hex(end, said[i].ret);
		end[-1] = '\n';
		raw(SYS_write, 1, (long)line, end - line, 0, 0, 0);
	}
}

int main(int argc, char **argv)
{
	size_t i;
	/* shared with children */
	char *shared = mmap(NULL, 4096 + SAID_MAX * sizeof(*said), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	said_count = (int *)shared;
	said = (struct said *)(shared + 4096);
	own_tid = getpid();
	for (i = 0; argc > 1 && i < sizeof(groups) / sizeof(groups[0]); i++)
		if (!strcmp(groups[i].name, argv[1])) {
			groups[i].run();
			tell();
			return 0;
		}
	return 2;
}
