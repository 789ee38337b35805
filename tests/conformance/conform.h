/*
 * Calls made one by one and told. Each CALL makes one system call with nothing of libc in between; at the end tell()
 * writes, for each of them, the thread, the gate, the number, the six words that were passed and what came back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

long raw(long nr, long a, long b, long c, long d, long e, long f);
long made(int narrow, long nr, long a, long b, long c, long d, long e, long f);

/* Words that are not given are 0. CALL32 goes through int 0x80: numbers and structures of i386, pointers below 4 GiB. */
#define WORDS(nr, a, b, c, d, e, f, ...) (nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f)
#define CALL(...) made(0, WORDS(__VA_ARGS__, 0, 0, 0, 0, 0, 0))
#define CALL32(...) made(1, WORDS(__VA_ARGS__, 0, 0, 0, 0, 0, 0))

/* Makes a child that does what stands behind, up to CHILD_END, and ends with status 7; not told itself. */
extern int child;
int fork_child(void);
#define CHILD_BEGIN if (!(child = fork_child())) {
#define CHILD_END raw(SYS_exit_group, 7, 0, 0, 0, 0, 0); }
/* Waits for it without telling. */
void reap(int pid);

#define BAD ((void *)0x10)	/* no memory is there */
#define NOFD 4242		/* no descriptor */

extern char buffer[65536];

void aio(void), directories(void), descriptors(void), files(void), identities(void), ipc(void), memory(void);
void miscellaneous(void), mounts(void), narrow(void), polling(void), processes(void), scheduling(void), security(void);
void signals(void), sockets(void), clocks(void), tracing(void), wide(void), attributes(void);
