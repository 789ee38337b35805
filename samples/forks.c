/* Fifty children and eight threads, all at work at the same time. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void *work(void *name)
{
	FILE *file = fopen(name, "w");

	if (file) {
		fputs("thread\n", file);
		fclose(file);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[8];
	char names[8][32];
	int i;

	for (i = 0; i < 50; i++) {
		if (fork() == 0) {
			char name[32];

			snprintf(name, sizeof(name), "/tmp/child.%d", i);
			work(name);
			_exit(i);
		}
	}
	for (i = 0; i < 8; i++) {
		snprintf(names[i], sizeof(names[i]), "/tmp/thread.%d", i);
		pthread_create(&threads[i], NULL, work, names[i]);
	}
	for (i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	while (wait(NULL) > 0)
		;
	puts("done");
	return 0;
}
