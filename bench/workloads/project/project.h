struct table;
struct table *table_new(unsigned size);
void table_put(struct table *table, const char *key, long value);
long table_sum(const struct table *table);
void table_free(struct table *table);
long number_parse(const char *text);
char *text_upper(char *text);
