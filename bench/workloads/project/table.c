#include <stdlib.h>
#include <string.h>
#include "project.h"

struct entry {
	struct entry *next;
	char *key;
	long value;
};

struct table {
	unsigned size;
	struct entry **slots;
};

static unsigned slot(const struct table *table, const char *key)
{
	unsigned hash = 2166136261u;

	while (*key)
		hash = (hash ^ (unsigned char)*key++) * 16777619u;
	return hash % table->size;
}

struct table *table_new(unsigned size)
{
	struct table *table = malloc(sizeof(*table));

	table->size = size;
	table->slots = calloc(size, sizeof(*table->slots));
	return table;
}

void table_put(struct table *table, const char *key, long value)
{
	struct entry *entry = malloc(sizeof(*entry));
	unsigned at = slot(table, key);

	entry->key = strdup(key);
	entry->value = value;
	entry->next = table->slots[at];
	table->slots[at] = entry;
}

long table_sum(const struct table *table)
{
	long sum = 0;
	unsigned i;

	for (i = 0; i < table->size; i++) {
		const struct entry *entry;

		for (entry = table->slots[i]; entry; entry = entry->next)
			sum += entry->value;
	}
	return sum;
}

void table_free(struct table *table)
{
	unsigned i;

	for (i = 0; i < table->size; i++) {
		struct entry *entry = table->slots[i];

		while (entry) {
			struct entry *next = entry->next;

			free(entry->key);
			free(entry);
			entry = next;
		}
	}
	free(table->slots);
	free(table);
}
