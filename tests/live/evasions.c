/* Calls that try to show a tracer something else than what the kernel takes; each is harmless. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

static long raw_call(long number, long first, long second, long third)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(first), "S"(second), "d"(third)
			 : "rcx", "r11", "memory");
	return result;
}

/* A 32-bit call from 64-bit code: the kernel takes the low halves only. */
static long narrow_call(long number, long first, long second)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(0L)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

static void *wait_forever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void *become_another(void *path)
{
	char *arguments[] = { "second", "image", NULL };

	execv(path, arguments);
	return NULL;
}

int main(int count, char **arguments)
{
	char *page, *low;
	struct sockaddr_un *address;
	int ends[2], i;
	pthread_t thread;

	if (count > 1)
		return write(1, "second image\n", 13) == 13 ? 7 : 1;

	/* What follows the page is not readable. */
	page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(page + PAGE, PAGE);
	memcpy(page + PAGE - 11, "page-ending", 11);
	if (pipe(ends))
		return 1;
	raw_call(SYS_write, ends[1], (long)(page + PAGE - 11), 500);

	/* The length's upper half is garbage. */
	address = (struct sockaddr_un *)(page + PAGE - 20);
	memset(address, 0, 20);
	address->sun_family = AF_UNIX;
	strcpy(address->sun_path, "/run/hidden");
	raw_call(SYS_connect, socket(AF_UNIX, SOCK_STREAM, 0), (long)address, 0x500000014L);

	low = mmap((void *)0x10000000, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	strcpy(low, "/etc/narrow");
	narrow_call(5, (long)low | 0xdead00000000L, 0);

	/* A number that no call has. */
	raw_call(5000, 1, 2, 3);

	for (i = 0; i < 20; i++) {
		pid_t child = fork();

		if (!child)
			_exit(i);
		waitpid(child, NULL, 0);
	}

	pthread_create(&thread, NULL, wait_forever, NULL);
	pthread_create(&thread, NULL, become_another, arguments[0]);
	pthread_join(thread, NULL);
	return 1;
}
