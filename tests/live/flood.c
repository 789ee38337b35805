/* Half a million calls in each of two threads, as fast as they can; each call tells which one of its thread it is. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALLS 500000L

/* dup3(2) with two equal descriptors fails at once, whatever the flags. */
static void *flood(void *thread)
{
	long i, number = (long)thread * CALLS;

	for (i = 0; i < CALLS; i++)
		syscall(SYS_dup3, number + i, number + i, 0);
	return NULL;
}

int main(void)
{
	pthread_t other;

	pthread_create(&other, NULL, flood, (void *)1);
	flood(NULL);
	pthread_join(other, NULL);
	return 0;
}
