/* Numbers without a call, garbage in the upper halves, memory that ends, and texts that are too long. */
#include "conform.h"

void miscellaneous(void)
{
	static char path[6000];
	char *end = (char *)raw(SYS_mmap, 0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + 4096;

	raw(SYS_munmap, (long)end, 4096, 0, 0, 0, 0);
	memset(path, 'p', sizeof(path) - 1);
	memcpy(end - 8, "at end\n", 8);
	CALL(SYS_open, path, O_RDONLY);
	CALL(SYS_open, end - 8, O_RDONLY);
	CALL(SYS_open, end - 4, O_RDONLY | 0xabcd00000000);
	CALL(SYS_write, 0xabcd00000001, end - 8, 0);
	CALL(SYS_write, NOFD, path, 6000);
	CALL(SYS_close, 0xabcd00001092);
	CALL(400);
	CALL(470, 1, 2, 3, 4, 5, 6);
	CALL(999, 1, 2, 3, 4, 5, 6);
	CALL(-1, 1, 2, 3);
	CALL(512, 1, 2, 3);
	CALL(SYS_getpid, 1, 2, 3, 4, 5, 6);
}
