#include <ctype.h>
#include <string.h>
#include "project.h"

char *text_upper(char *text)
{
	size_t i;

	for (i = 0; i < strlen(text); i++)
		text[i] = toupper((unsigned char)text[i]);
	return text;
}
