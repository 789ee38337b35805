/* Becomes a daemon by forking twice, and works on for five seconds after its parents have gone. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	int i;

	if (fork())
		_exit(0);
	setsid();
	if (fork())
		_exit(0);
	for (i = 0; i < 5; i++) {
		char line[32];
		int file;

		sleep(1);
		file = open("/tmp/daemon.log", O_WRONLY | O_CREAT | O_APPEND, 0644);
		snprintf(line, sizeof(line), "second %d\n", i + 1);
		if (write(file, line, strlen(line)) < 0)
			return 1;
		close(file);
	}
	return 0;
}
