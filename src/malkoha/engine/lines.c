/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One line of text a call, in the grammar of Cuckoo's SystemTap log:
 *   Www Mmm dd HH:MM:SS YYYY.uuuuuu COMM@IP[TID] NAME(ARGS)[ = RET[ (ERRNO)]]
 * Within strings the delimiters ( ) [ ] { } , " are written as \xNN, so that a reader may split at them.
 */
#define LINE_LIMIT 16384

struct line {
	char *data;
	u32 used;
	bool cut;
};

static void line_add(struct line *line, char c)
{
	if (line->used < LINE_LIMIT)
		line->data[line->used++] = c;
	else
		line->cut = true;
}

static void line_text(struct line *line, const char *text)
{
	while (*text)
		line_add(line, *text++);
}

static void line_hex(struct line *line, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";

	line_add(line, '\\');
	line_add(line, 'x');
	line_add(line, digits[c >> 4]);
	line_add(line, digits[c & 15]);
}

/* The kernel lets a task call itself anything but NUL: only what cannot end the field stays as it is. */
static void line_comm(struct line *line, const char *comm)
{
	u32 i;

	for (i = 0; i < TASK_COMM_LEN && comm[i]; i++) {
		unsigned char c = comm[i];

		if (c <= ' ' || c >= 127 || strchr("()[]{},\"\\@=", c))
			line_hex(line, c);
		else
			line_add(line, c);
	}
}

/* SystemTap quotes strings as C does and marks a cut one with ... behind the quote; the mark moves inside. */
static void line_arguments(struct line *line, const char *text)
{
	bool quoted = false;

	for (; *text; text++) {
		if (!quoted) {
			quoted = *text == '"';
			line_add(line, *text == '\n' ? ' ' : *text);
		} else if (*text == '\\' && text[1]) {
			text++;
			if (*text == '"') {
				line_hex(line, '"');
			} else {
				line_add(line, '\\');
				line_add(line, *text);
			}
		} else if (*text == '"') {
			quoted = false;
			if (!strncmp(text + 1, "...", 3)) {
				line_text(line, "...");
				text += 3;
			}
			line_add(line, '"');
		} else if (strchr("()[]{},", *text)) {
			line_hex(line, *text);
		} else {
			line_add(line, *text);
		}
	}
	if (quoted)
		line_add(line, '"');
}

static void line_record(const char *date, long us, unsigned long ip, const char *name, const char *arguments,
			const char *ret)
{
	struct rec_head *rec = rec_begin(REC_TEXT, 0, sizeof(*rec));
	struct scratch *s = this_cpu_ptr(&scratches);
	struct line line = { .data = s->data + sizeof(*rec) };
	char number[64];

	line_text(&line, date);
	snprintf(number, sizeof(number), ".%06ld ", us);
	line_text(&line, number);
	line_comm(&line, current->comm);
	snprintf(number, sizeof(number), "@%lx[%d] ", ip, current->pid);
	line_text(&line, number);
	line_text(&line, name);
	line_add(&line, '(');
	line_arguments(&line, arguments);
	line_add(&line, ')');
	if (*ret) {
		line_text(&line, " = ");
		line_text(&line, ret);
	}
	line.data[line.used++] = '\n';
	while (line.used % 8)
		line.data[line.used++] = 0;
	s->used = sizeof(*rec) + line.used;
	rec_end();
}
