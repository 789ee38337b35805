#include <errno.h>
#include <stdlib.h>
#include "project.h"

long number_parse(const char *text)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 0);
	return errno || *end ? -1 : value;
}
