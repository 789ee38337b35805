/* Numbers of x32: this kernel refuses them, and they are recorded all the same. */
#include "conform.h"

void wide(void)
{
	CALL(0x40000000 | SYS_getpid);
	CALL(0x40000000 | SYS_write, 1, "x32\n", 4);
	CALL(0x40000000 | 520, "/bin/true", NULL, NULL);
	CALL(0x40000000 | 514, 1, 0x5401, buffer);
}
