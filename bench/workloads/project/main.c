#include <stdio.h>
#include <stdlib.h>
#include "project.h"

int main(int argc, char **argv)
{
	struct table *table = table_new(64);
	int i;

	for (i = 1; i < argc; i++)
		table_put(table, argv[i], number_parse(argv[i]));
	printf("%s: %ld\n", text_upper(argv[0]), table_sum(table));
	table_free(table);
	return EXIT_SUCCESS;
}
