/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A system call as two records: its arguments with the memory they point to at entry, and its result with the memory
 * it filled at return. What to copy for which call stands in calls_64 and calls_32, generated from syscalls.tbl.
 */
#include <linux/socket.h>
#include <asm/syscall.h>

#define STRING_LIMIT 4096
#define VECTOR_LIMIT 32768
#define BUFFER_LIMIT 1024
#define INPUT_LIMIT 8192	/* an interpreter reads its script from standard input in such pieces */
#define MESSAGES_LIMIT 4

/* Operation at entry: what the argument points to. */
enum { OP_NONE = 0, OP_STRING = 1, OP_STRINGS = 2, OP_STRUCT = 3, OP_BUFFER = 4, OP_ARRAY = 5, OP_IOVEC = 6,
       OP_MESSAGE = 7, OP_MESSAGES = 8,
       /* Operation at return. */
       OP_OUT_STRUCT = 16, OP_OUT_BUFFER = 17, OP_OUT_ADDRESS = 18, OP_OUT_IOVEC = 19, OP_OUT_MESSAGE = 20 };

/* Of that argument the kernel takes 32 bits only: what is above them may be garbage, meant to mislead. */
#define INDEX_NARROW 0x80

struct operation {
	u8 code;
	u8 index;		/* argument that holds the length or the count, maybe with INDEX_NARROW */
	u16 size;		/* of the structure or of one element */
};

struct call {
	struct operation arg[6];
};

struct rec_enter {
	struct rec_head head;
	s32 nr;
	s32 ppid;
	u64 ip;
	u64 args[6];
	char comm[TASK_COMM_LEN];
};

struct rec_exit {
	struct rec_head head;
	s32 nr;
	u32 reserved;
	s64 ret;
};

enum { ABI_X86_64 = 0, ABI_I386 = 1, ABI_X32 = 2, FLAG_LATE = 0x100 };

static bool capture_create(void)
{
	inside_call = (unsigned long *)__get_free_pages(GFP_ATOMIC | __GFP_ZERO, BITMAP_ORDER);
	unread_memory = (unsigned long *)__get_free_pages(GFP_ATOMIC | __GFP_ZERO, BITMAP_ORDER);
	return inside_call && unread_memory;
}

static void unread(void)
{
	set_bit(current->pid, unread_memory);
}

/* Read up to the first page that cannot be read, as the kernel itself does; return how many bytes that were. */
static u32 user_bytes(char *to, u64 from, u32 size)
{
	u32 done = 0;

	while (done < size) {
		u32 step = min_t(u64, size - done, PAGE_SIZE - offset_in_page(from + done));

		if (copy_from_user_nofault(to + done, (void __user *)(from + done), step))
			break;
		done += step;
	}
	return done;
}

static long user_string(char *to, u64 from, long limit)
{
	long length;

	pagefault_disable();
	length = strncpy_from_user(to, (const char __user *)from, limit);
	pagefault_enable();
	return length;
}

static void capture_string(u8 arg, u64 pointer)
{
	struct blob_head *blob = pointer ? blob_begin(arg, 0, STRING_LIMIT) : NULL;
	long length;

	if (!blob)
		return;
	length = user_string(blob_data(blob), pointer, STRING_LIMIT);
	if (length < 0) {
		unread();
		blob_end(blob, 0, 0, 2);
	} else {
		blob_end(blob, length, length, length == STRING_LIMIT);
	}
}

static bool user_pointer(u64 *to, u64 from, bool compat)
{
	u32 narrow;

	if (!compat)
		return !copy_from_user_nofault(to, (void __user *)from, 8);
	if (copy_from_user_nofault(&narrow, (void __user *)from, 4))
		return false;
	*to = narrow;
	return true;
}

/* argv, envp: the strings one behind the other, each with its NUL. */
static void capture_strings(u8 arg, u64 pointer, bool compat)
{
	struct blob_head *blob = pointer ? blob_begin(arg, 0, VECTOR_LIMIT) : NULL;
	u32 used = 0;
	u64 count = 0, string;
	u8 status = 0;

	if (!blob)
		return;
	for (;; count++, pointer += compat ? 4 : 8) {
		long length;

		if (!user_pointer(&string, pointer, compat)) {
			unread();
			status = 2;
			break;
		}
		if (!string)
			break;
		if (used + 2 > VECTOR_LIMIT) {
			status = 1;
			break;
		}
		length = user_string(blob_data(blob) + used, string, VECTOR_LIMIT - used - 1);
		if (length < 0) {
			unread();
			status = 2;
			break;
		}
		used += length;
		blob_data(blob)[used++] = 0;
		if (used >= VECTOR_LIMIT - 1)
			status = 1;
	}
	blob_end(blob, used, count, status);
}

static void capture_memory(u8 arg, u16 part, u64 pointer, u64 total, u32 limit)
{
	u32 size = min_t(u64, total, limit);
	struct blob_head *blob = pointer ? blob_begin(arg, part, size) : NULL;
	u32 stored;

	if (!blob)
		return;
	stored = user_bytes(blob_data(blob), pointer, size);
	if (stored < size)
		unread();
	blob_end(blob, stored, total, stored < size ? 2 : size < total);
}

/* The content that an iovec array gathers, up to BUFFER_LIMIT bytes, as one blob. */
static void capture_iovec(u8 arg, u16 part, u64 pointer, u64 count, u64 limit, bool compat)
{
	struct blob_head *blob = pointer ? blob_begin(arg, part, BUFFER_LIMIT) : NULL;
	u32 used = 0, step = compat ? 4 : 8;
	u64 total = 0, i;
	u8 status = 0;

	if (!blob)
		return;
	for (i = 0; i < min_t(u64, count, 1024); i++, pointer += 2 * step) {
		u64 base, length;
		u32 size, stored;

		if (!user_pointer(&base, pointer, compat) || !user_pointer(&length, pointer + step, compat)) {
			unread();
			status = 2;
			break;
		}
		length = min(length, limit - total);
		total += length;
		size = min_t(u64, length, BUFFER_LIMIT - used);
		stored = user_bytes(blob_data(blob) + used, base, size);
		used += stored;
		if (stored < size) {
			unread();
			status = 2;
			break;
		}
	}
	if (!status && used < total)
		status = 1;
	blob_end(blob, used, total, status);
}

/* Parts of a message: 0 the header itself, 1 the address, 2 the content, 3 the control data. */
static void capture_message(u8 arg, u16 part, u64 pointer, u64 limit, bool compat)
{
	u64 field[7] = { 0 };
	u32 i, step = compat ? 4 : 8;

	for (i = 0; i < 7; i++) {
		if (!pointer || !user_pointer(&field[i], pointer + i * step, compat)) {
			unread();
			return;
		}
	}
	/* msg_name, msg_namelen (int), msg_iov, msg_iovlen, msg_control, msg_controllen, msg_flags (int) */
	blob_copy(arg, part, field, sizeof(field));
	capture_memory(arg, part + 1, field[0], (u32)field[1], 128);
	capture_iovec(arg, part + 2, field[2], field[3], limit, compat);
	capture_memory(arg, part + 3, field[4], field[5], 256);
}

static void capture_messages(u8 arg, u64 pointer, u64 count, bool compat)
{
	u32 i, step = compat ? 32 : 64;

	for (i = 0; i < min_t(u64, count, MESSAGES_LIMIT); i++)
		capture_message(arg, i * 4, pointer + i * step, ~0ULL >> 1, compat);
}

static u64 length_of(const struct operation *op, const unsigned long *args)
{
	u64 length = args[op->index & ~INDEX_NARROW];

	return op->index & INDEX_NARROW ? (u32)length : length;
}

static void capture_entry(const struct operation *op, u8 arg, const unsigned long *args, bool compat)
{
	u64 pointer = args[arg];

	switch (op->code) {
	case OP_STRING:
		capture_string(arg, pointer);
		break;
	case OP_STRINGS:
		capture_strings(arg, pointer, compat);
		break;
	case OP_STRUCT:
		capture_memory(arg, 0, pointer, op->size, op->size);
		break;
	case OP_BUFFER:
		capture_memory(arg, 0, pointer, length_of(op, args), BUFFER_LIMIT);
		break;
	case OP_ARRAY:
		capture_memory(arg, 0, pointer, min_t(u64, length_of(op, args), 1 << 20) * op->size, BUFFER_LIMIT);
		break;
	case OP_IOVEC:
		capture_iovec(arg, 0, pointer, length_of(op, args), ~0ULL >> 1, compat);
		break;
	case OP_MESSAGE:
		capture_message(arg, 0, pointer, ~0ULL >> 1, compat);
		break;
	case OP_MESSAGES:
		capture_messages(arg, pointer, length_of(op, args), compat);
		break;
	}
}

static void capture_return(const struct operation *op, u8 arg, const unsigned long *args, long ret, bool compat)
{
	u64 pointer = args[arg];
	u32 length = 0;

	if (ret < 0)
		return;
	switch (op->code) {
	case OP_OUT_STRUCT:
		capture_memory(arg, 0, pointer, op->size, op->size);
		break;
	case OP_OUT_BUFFER:
		capture_memory(arg, 0, pointer, ret, !args[0] && ret <= INPUT_LIMIT ? INPUT_LIMIT : BUFFER_LIMIT);
		break;
	case OP_OUT_ADDRESS:
		if (pointer && !copy_from_user_nofault(&length, (void __user *)args[op->index], 4))
			capture_memory(arg, 0, pointer, length, 128);
		break;
	case OP_OUT_IOVEC:
		capture_iovec(arg, 0, pointer, length_of(op, args), ret, compat);
		break;
	case OP_OUT_MESSAGE:
		capture_message(arg, 0, pointer, ret, compat);
		break;
	}
}

static const struct call *call_of(long nr, bool compat)
{
	if (nr < 0)
		return NULL;
	if (compat)
		return nr < ARRAY_SIZE(calls_32) ? &calls_32[nr] : NULL;
	nr &= ~__X32_SYSCALL_BIT;
	return nr < ARRAY_SIZE(calls_64) ? &calls_64[nr] : NULL;
}

static bool call_compat(void)
{
	return syscall_get_arch(current) == AUDIT_ARCH_I386;
}

/* Of a 32-bit call the kernel takes the low halves, whatever the registers hold above them. */
static void call_arguments(struct pt_regs *regs, unsigned long *args, bool compat)
{
	u8 i;

	syscall_get_arguments(current, regs, args);
	for (i = 0; compat && i < 6; i++)
		args[i] = (u32)args[i];
}

static u16 call_abi(long nr, bool compat)
{
	return compat ? ABI_I386 : nr > 0 && (nr & __X32_SYSCALL_BIT) ? ABI_X32 : ABI_X86_64;
}

static void record_enter(struct pt_regs *regs, long nr, u16 flags)
{
	bool compat = call_compat();
	const struct call *call = call_of(nr, compat);
	unsigned long args[6];
	struct rec_enter *rec = rec_begin(REC_ENTER, flags | call_abi(nr, compat), sizeof(*rec));
	u8 i;

	call_arguments(regs, args, compat);
	rec->nr = nr;
	rec->ppid = rcu_dereference(current->real_parent)->tgid;
	rec->ip = regs->ip;
	for (i = 0; i < 6; i++)
		rec->args[i] = args[i];
	memcpy(rec->comm, current->comm, TASK_COMM_LEN);
	for (i = 0; call && i < 6; i++)
		if (call->arg[i].code)
			capture_entry(&call->arg[i], i, args, compat);
	rec_end();
}

static void call_enter(struct pt_regs *regs, long nr)
{
	if (!is_traced())
		return;
	clear_bit(current->pid, unread_memory);
	set_bit(current->pid, inside_call);
	record_enter(regs, nr, 0);
	files_enter(regs, nr, call_compat());
}

/* A new task returns from the fork that its creator made: no call of its own. */
static bool returns_from_fork(long nr, long ret, bool compat)
{
	if (ret)
		return false;
	return compat ? nr == 2 || nr == 120 || nr == 190 || nr == 435 : nr == 56 || nr == 57 || nr == 58 || nr == 435;
}

static void call_exit(struct pt_regs *regs, long ret)
{
	bool compat, again;
	long nr;
	unsigned long args[6];
	const struct call *call;
	struct rec_exit *rec;
	u8 i;

	if (!is_traced())
		return;
	compat = call_compat();
	nr = syscall_get_nr(current, regs);
	if (!test_and_clear_bit(current->pid, inside_call)) {
		if (returns_from_fork(nr, ret, compat))
			return;
		/* Refused before the entry probe could see it: by seccomp or a ptracer. */
		record_enter(regs, nr, FLAG_LATE);
	}
	again = test_and_clear_bit(current->pid, unread_memory);
	call = call_of(nr, compat);
	rec = rec_begin(REC_EXIT, call_abi(nr, compat), sizeof(*rec));
	rec->nr = nr;
	rec->ret = ret;
	call_arguments(regs, args, compat);
	for (i = 0; call && i < 6; i++) {
		u8 code = call->arg[i].code;

		if (code >= OP_OUT_STRUCT)
			capture_return(&call->arg[i], i, args, ret, compat);
		else if (code && again)
			capture_entry(&call->arg[i], i, args, compat);
	}
	clear_bit(current->pid, unread_memory);
	rec_end();
	files_exit(args, nr, ret, compat);
}
